/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel tier (docs/architecture.md, "The kernel tier"): filters that count inside the kernel.
 *
 * Many packet filters become one eBPF program, or a few in a chain, that runs where packets arrive:
 * as a socket filter, at tc (TCX) or in XDP. It counts packets and bytes of each filter in memory
 * that user space maps, and as a socket filter can say which packets are to be delivered. Making
 * the instructions needs no rights and no compiler; loading them does (CAP_BPF and what the hook
 * asks for). Semantics P1, P2, P3.
 */
#ifndef MAPI_KERNEL_KERNEL_H
#define MAPI_KERNEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/build_config.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/sampling.h"
#include "filter/filter.h"

/* Without libbpf nothing can be made or loaded: calls fail with -ENOTSUP, and @err filled. */
static inline bool kernel_is_built(void)
{
	return MAPI_WITH_KERNEL;
}

enum kernel_hook {
	KERNEL_SOCKET, /* a filter of packet sockets: SO_ATTACH_BPF */
	KERNEL_TC, /* TCX, ingress or egress */
	KERNEL_XDP,
	_KERNEL_HOOK_N
};

/*
 * Of packets that are delivered, user space may do the counting, for all filters: then the kernel
 * counts those that are not (@undelivered), and a count is the sum of both, whichever program a
 * packet met.
 */

/* struct kernel_sampling - of a program that counts or delivers only what is chosen of the packets
 * that it accepts. @cell: of kernel_turns_get(), from where they have their numbers */
struct kernel_sampling {
	struct sampling rule; /* mode SAMPLING_NONE: everything is chosen */
	uint32_t cell;
};

/**
 * struct kernel_options - what to make of a set of filters
 * @hook:          where it will run
 * @n_cpus:        possible CPUs, each with counters of its own; 0: those of this machine
 * @snaplen_bytes: SOCKET: how much of a packet that is delivered is copied
 * @is_cut:        SOCKET: filters see @snaplen_bytes of a packet at most, as they do where it is
 *                 delivered
 * @own:           SOCKET: of several programs for one interface each has packets of its own: those
 *                 that this filter accepts. It sees whole packets. Others are neither counted nor
 *                 delivered. Borrowed for the call. NULL: all packets are
 * @deliver:       SOCKET: for each program, whether packets that it accepts are delivered. Borrowed
 *                 for the call. NULL: nothing is
 * @undelivered:   SOCKET: a packet that is delivered is not counted, by any filter. Delivered are
 *                 then also super-packets of which it is not known here what they stand for on the
 *                 wire (P3): all but those of TCP over IP, and where packets are cut, all
 * @samplings:     for each program; borrowed for the call. NULL: none. If packets are delivered,
 *                 only together with @undelivered
 * @is_raw:        SOCKET: packets begin with their IP header (LINKTYPE_RAW), not with Ethernet's
 * @skip_outgoing: SOCKET: packets on their way out are neither counted nor delivered: for loopback,
 *                 where all of them come back
 * @is_distrusted: TC, XDP: it is verified as anybody's program is, without CAP_PERFMON: what
 * depends on a packet is not added to its address, nor are addresses subtracted
 * @has_root:      TC: it stands in a slot of a root, which tells where the headers of super-packets
 *                 end; else that is known of plain TCP only, and guessed of UDP
 * @has_frags:     XDP: packets may consist of several buffers (kernel 5.18)
 * @discards:      XDP, only with @has_frags: packets may end there once they have been counted, see
 *                 kernel_program_discard()
 * @no_long_jumps: keep to instructions of kernels before 6.6; see kernel_has_long_jumps()
 * @page_max:      programs on one page at most, 0: as many as fit
 * @is_separate:   each filter by itself, one after the other: to measure what sharing saves
 */
struct kernel_options {
	enum kernel_hook hook;
	unsigned int n_cpus;
	uint32_t snaplen_bytes;
	bool is_cut;
	const struct filter_program *own;
	const bool *deliver;
	const struct kernel_sampling *samplings;
	bool undelivered;
	bool is_raw;
	bool skip_outgoing;
	bool is_distrusted;
	bool has_root;
	bool has_frags;
	bool discards;
	bool no_long_jumps;
	unsigned int page_max;
	bool is_separate;
};

/* Why a filter stays in user space. */
enum kernel_reason {
	KERNEL_LOWERED, /* it does not */
	KERNEL_REASON_LOOP, /* its program jumps backwards, or its paths multiply */
	KERNEL_REASON_SIZE, /* more instructions or columns than a program may have */
	KERNEL_REASON_PAGES, /* the pages before it are all that a chain may have */
	KERNEL_REASON_COUNTERS, /* the counters before its own fill the memory for them */
	KERNEL_REASON_DIRECTION, /* TC: programs are not told where a packet goes */
	KERNEL_REASON_SAMPLES, /* more samples than a program may have */
	_KERNEL_REASON_N
};

/* A sentence for people; static. */
const char *kernel_reason_text(enum kernel_reason reason);

/* struct kernel_code - the instructions for a set of filters; immutable, nothing loaded. */
struct kernel_code;

/**
 * struct kernel_stats - of the instructions
 * @n_slots: pairs of counters: equal filters share one
 */
struct kernel_stats {
	unsigned int n_pages;
	unsigned int n_insns; /* of all pages */
	unsigned int n_slots;
	unsigned int n_lowered; /* programs that are in it */
};

/**
 * kernel_code_new() - make the instructions
 * @ret:        the code; the caller owns it. Keeps no reference to @programs
 * @options:    borrowed for the call
 * @programs:   @n_programs programs for Ethernet, in an order that the caller knows
 *
 * Programs that cannot be translated are left out: kernel_code_reason() tells.
 * Thread safety: any thread, no shared state.
 *
 * Return: 0, -ENOMEM, -EINVAL for options that contradict each other.
 */
int kernel_code_new(struct kernel_code **ret, const struct kernel_options *options,
	const struct filter_program *const programs[], unsigned int n_programs);

struct kernel_code *kernel_code_free(struct kernel_code *code);
DEFINE_CLEANUP(struct kernel_code *, kernel_code_free);

enum kernel_hook kernel_code_hook(const struct kernel_code *code);
struct kernel_stats kernel_code_stats(const struct kernel_code *code);

/* Does it take numbers (struct kernel_turns)? */
bool kernel_code_samples(const struct kernel_code *code);

/* Is it told of super-packets (kernel_super_open())? */
bool kernel_code_has_root(const struct kernel_code *code);

/* May packets end there? */
bool kernel_code_discards(const struct kernel_code *code);

/* Is program @i of kernel_code_new() in it, and if not, why? */
enum kernel_reason kernel_code_reason(const struct kernel_code *code, unsigned int i);

/**
 * kernel_code_check() - look at finished instructions without a kernel
 *
 * All instructions are such as are made here, jumps go forward and to instructions, registers are
 * written before they are read, every path ends, the area is accessed within its bounds; only the
 * helpers of the hook, the area and the next page are used, whatever numbers stand for maps. It is
 * for tests, and before code from a process without rights is loaded; what memory may be accessed,
 * the kernel's verifier has to say.
 *
 * Return: 0, or -EINVAL with @err filled.
 */
int kernel_code_check(const struct kernel_code *code, struct error *err);

/**
 * struct kernel_fds - what a process with the right to load has for one without
 * @program: the first page
 * @area:    the map of the counters
 * @chain:   the further pages, -1 if there are none; also the first where a socket would not take
 *           it (net.core.optmem_max). An array of programs is emptied when its last descriptor is
 *           closed: it stays open as long as the program is used. Or what stands for it, where
 *           another process keeps the array
 * @turns:   the map of the numbers that it takes, -1: who has loaded it has it already, or needs
 *           none
 */
struct kernel_fds {
	int program;
	int area;
	int chain;
	int turns;
};

#define KERNEL_FDS_INIT ((struct kernel_fds){ .program = -1, .area = -1, .chain = -1, .turns = -1 })

void kernel_fds_close(struct kernel_fds *fds);

/**
 * kernel_code_load() - load the pages of a code that shares no memory, and make its counters
 * @ret: the caller owns the descriptors. Nothing is attached
 * @err: what the verifier said, in its own words, or which right is missing
 *
 * Thread safety: any thread.
 *
 * Return: 0, -ENOMEM, -EPERM or -EINVAL with @err filled, -E2BIG (too much for the verifier: try
 * with smaller pages, as kernel_program_make() does) with @err filled.
 */
int kernel_code_load(const struct kernel_code *code, struct kernel_fds *ret, struct error *err);

/* Possible CPUs of this machine. Thread safety: any thread. */
unsigned int kernel_n_cpus(void);

/* What the counters of a code take, of all CPUs. */
size_t kernel_code_area_bytes(const struct kernel_code *code);

/* Memory for counters, as a map of the kernel. Takes the right to load. Return: the descriptor;
 * negative errno with @err filled. */
int kernel_area_new(size_t area_bytes, struct error *err);

/**
 * struct kernel_memory - of programs, used again
 * @area_fd:    of kernel_area_new(); borrowed. Nothing else may count there; it begins at zero
 * @area_bytes: its size, at least kernel_code_area_bytes()
 * @turns_fd:   of kernel_turns_open(); borrowed. -1: none, for a code that does not sample
 * @super_fd:   of kernel_super_open(); borrowed. -1: none, for a code without root
 */
struct kernel_memory {
	int area_fd;
	size_t area_bytes;
	int turns_fd;
	int super_fd;
};

/* Memory in which roots tell programs of super-packets: the same for all of them. Takes the right
 * to load. Return: the descriptor; negative errno with @err filled. */
int kernel_super_open(struct error *err);

/**
 * kernel_code_load_into() - as kernel_code_load(), for who cannot wait, and uses memory again
 * @until_ns: CLOCK_MONOTONIC: no page is begun later. The verifier takes a second for one at most,
 *            or twice that if it refuses it
 *
 * Return: also -ETIME with @err filled.
 */
int kernel_code_load_into(const struct kernel_code *code, uint64_t until_ns,
	const struct kernel_memory *memory, struct kernel_fds *ret, struct error *err);

/**
 * kernel_code_flatten() - a code as bytes, for another process on this machine
 * @bytes:      what loading needs is written here; nothing if there is not enough room
 * @room_bytes: its size
 *
 * Return: how many bytes it takes.
 */
size_t kernel_code_flatten(const struct kernel_code *code, void *bytes, size_t room_bytes);

/**
 * kernel_code_unflatten() - a code from bytes that anybody may have written
 * @ret:     the code; the caller owns it. It knows nothing of programs: it is for
 * kernel_code_check() and kernel_code_load()
 * @bytes:   copied; nobody may write to them meanwhile
 *
 * Return: 0, -ENOMEM, -EBADMSG.
 */
int kernel_code_unflatten(struct kernel_code **ret, const void *bytes, size_t n_bytes);

/*
 * struct kernel_turns - the numbers of packets among which functions choose, as programs and user
 * space give them out together (base/sampling.h): one for all programs of a process
 *
 * Thread safety: any thread, several at once.
 */
struct kernel_turns;

#define KERNEL_TURNS_MAX 4096u
#define KERNEL_TURNS_BYTES (KERNEL_TURNS_MAX * sizeof(struct sampling_turns))

/* No map yet. Return: 0 (*@ret is NULL in a build without kernel tier), -ENOMEM. */
int kernel_turns_new(struct kernel_turns **ret);
struct kernel_turns *kernel_turns_free(struct kernel_turns *turns); /* takes NULL */
DEFINE_CLEANUP(struct kernel_turns *, kernel_turns_free);

/* A cell for one sample. Return: its number; -1: there is none left, or @turns is NULL. */
int kernel_turns_get(struct kernel_turns *turns);
void kernel_turns_put(struct kernel_turns *turns, int cell); /* no program uses it any more */

/* The cell's memory; NULL: no program that samples has been loaded yet. */
struct sampling_turns *kernel_turns_at(struct kernel_turns *turns, int cell);

/* With the right to load: make a map. Return: the descriptor, which is the caller's, or as
 * kernel_code_load(). */
int kernel_turns_open(struct error *err);

/* The map of these numbers, if they have none yet; @fd is taken. Return: 0, -EINVAL with @err
 * filled. */
int kernel_turns_map(struct kernel_turns *turns, int fd, struct error *err);

/* The process's memory of kernel_super_open(), made when it is first asked for; belongs to @turns,
 * for there is one for all programs of a process, too. Return: the descriptor, or as
 * kernel_super_open(). */
int kernel_turns_super(struct kernel_turns *turns, struct error *err);

/* A kernel_load_fn with the right to load: kernel_code_load() of any code. @argument: a struct
 * kernel_turns, which gets its maps with the first code that needs them; NULL: none does. */
int kernel_turns_load(
	void *argument, const struct kernel_code *code, struct kernel_fds *ret, struct error *err);

/* struct kernel_program - loaded code with its counters. */
struct kernel_program;

/**
 * kernel_program_new() - what is loaded, with its counters mapped for reading
 * @ret:  the program; the caller owns it. Keeps no reference to @code
 * @code: of which @fds were made, perhaps by another process
 * @fds:  taken, also on failure
 *
 * Needs no rights. Thread safety: any thread.
 *
 * Return: 0, -ENOMEM, -EINVAL with @err filled.
 */
int kernel_program_new(struct kernel_program **ret, const struct kernel_code *code,
	const struct kernel_fds *fds, struct error *err);

/* kernel_code_load() and kernel_program_new() in one. */
int kernel_program_load(
	struct kernel_program **ret, const struct kernel_code *code, struct error *err);

/* As kernel_code_load(), perhaps by another process. */
typedef int kernel_load_fn(
	void *argument, const struct kernel_code *code, struct kernel_fds *ret, struct error *err);

/**
 * kernel_program_make() - from filters to a loaded program
 * @ret:      the program; the caller owns it
 * @ret_code: its code; the caller owns it. NULL: not wanted
 * @options:  of kernel_code_new(), as are @programs. Where the verifier finds pages too large, a
 *            smaller @page_max is taken
 * @load:     called with @argument, once or several times. NULL: kernel_code_load()
 *
 * Thread safety: any thread.
 *
 * Return: 0, -ENOMEM, or of kernel_code_new(), @load and kernel_program_new(), with @err filled.
 */
int kernel_program_make(struct kernel_program **ret, struct kernel_code **ret_code,
	const struct kernel_options *options, const struct filter_program *const programs[],
	unsigned int n_programs, kernel_load_fn *load, void *argument, struct error *err);

/* Unloads what is not attached any more; the descriptor is closed. */
struct kernel_program *kernel_program_free(struct kernel_program *program);
DEFINE_CLEANUP(struct kernel_program *, kernel_program_free);

/* The first page's descriptor, for attaching; belongs to the program. */
int kernel_program_fd(const struct kernel_program *program);

struct kernel_count {
	uint64_t pkts; /* on the wire: a super-packet counts as its segments (P3) */
	uint64_t bytes;
	uint64_t units; /* as captured: a super-packet is one */
};

/**
 * kernel_program_read() - what was counted so far, over all CPUs
 * @program: the program
 * @ret:     one for each program of kernel_code_new(); zero for those that are not in it
 * @n:       their number
 *
 * Of each CPU, the counts of all filters are from between the same two packets, where packets leave
 * the time to read them; else each count is of its own moment. No allocation, lock or system call.
 * Thread safety: one thread at a time for each program.
 */
void kernel_program_read(
	const struct kernel_program *program, struct kernel_count ret[], unsigned int n);

/**
 * kernel_program_unparsed() - super-packets whose headers were not found (tunnels)
 *
 * Their segments are counted, but their bytes without the repeated headers; none where
 * undelivered packets are counted. No system call.
 * Thread safety: any thread, several at once.
 *
 * Return: their number so far, over all CPUs.
 */
uint64_t kernel_program_unparsed(const struct kernel_program *program);

/**
 * kernel_program_cost_ns() - what a packet costs, on average of a few frames (DNS, TCP, IPv6)
 *
 * As measured when it was loaded: the program is called by BPF_PROG_RUN, which takes some 25 ns of
 * it. Thread safety: any thread.
 *
 * Return: nanoseconds; 0: not known.
 */
uint64_t kernel_program_cost_ns(const struct kernel_program *program);

/**
 * kernel_program_discard() - let packets end in a program once it has counted them, or pass
 * @program: of a code that discards; on others nothing happens
 *
 * At first they pass, and so do always those that it does not count. Packets that are on their way
 * in the program may still meet what was said before. A store to memory, which cannot fail.
 * Thread safety: any thread.
 */
void kernel_program_discard(struct kernel_program *program, bool discard);

/**
 * kernel_attach_socket() - filter a packet socket; replaces what filters it now
 * @program:   a SOCKET program; may be freed afterwards, but then not be read
 * @socket_fd: borrowed
 *
 * No packet is filtered by both or by neither. Thread safety: any thread.
 *
 * Return: 0, or a negative errno with @err filled.
 */
int kernel_attach_socket(const struct kernel_program *program, int socket_fd, struct error *err);

#define KERNEL_TEXT_BYTES 256

enum kernel_place {
	KERNEL_TCX_INGRESS, /* Linux 6.6; at the head of the list */
	KERNEL_TCX_EGRESS,
	KERNEL_XDP_NATIVE, /* in the driver */
	KERNEL_XDP_GENERIC, /* on any interface, behind it */
};

/**
 * kernel_attach_interface() - let a program see the packets of an interface
 * @ret_link_fd: the link; the caller owns it. Nothing is attached once it is closed
 * @program:     of the place's hook
 * @ifindex:     in this process's network namespace
 *
 * Programs of others stay; where only one is allowed (XDP) it is an error.
 * Thread safety: any thread.
 *
 * Return: 0, or a negative errno with @err filled: -EINVAL if the kernel is older, -EBUSY.
 */
int kernel_attach_interface(int *ret_link_fd, const struct kernel_program *program,
	unsigned int ifindex, enum kernel_place place, struct error *err);

/*
 * A root is a program of a few instructions at one interface that calls what stands in its slots,
 * one after the other; what a program in a slot decides is final, so one that others shall follow
 * has to call them itself. To replace what stands in a slot is quick in all places, and links,
 * which in XDP take tens of milliseconds, stay as they are.
 */
#define KERNEL_ROOT_SLOTS 8u
/* The slot of what counts: the first, because an empty one before it costs each packet, too. Who is
 * to come before takes it, and calls what counts in another. */
#define KERNEL_ROOT_COUNTS 0u
#define KERNEL_ROOT_LINKS_MAX 2u

/**
 * struct kernel_root - the descriptors of a root; nothing is attached once they are closed
 * @slots: the array of programs; it is emptied when its last descriptor is closed
 * @links: of each place
 */
struct kernel_root {
	int slots;
	int links[KERNEL_ROOT_LINKS_MAX];
	unsigned int n_links;
};

#define KERNEL_ROOT_INIT ((struct kernel_root){ .slots = -1, .links = { -1, -1 } })

/* At which places of an interface a root is. */
enum kernel_way {
	KERNEL_WAY_TCX, /* what comes in and goes out */
	KERNEL_WAY_TCX_INGRESS,
	KERNEL_WAY_XDP_NATIVE,
	KERNEL_WAY_XDP_GENERIC,
	_KERNEL_WAY_N
};

/* Of the programs that a root of this way can call. */
enum kernel_hook kernel_way_hook(enum kernel_way way);

/* For people: "TCX", "native XDP" ...; static. */
const char *kernel_way_name(enum kernel_way way);

/**
 * kernel_root_attach() - put a root without programs to an interface
 * @ret:        the caller owns the descriptors
 * @ifindex:    in this process's network namespace
 * @way:        how
 * @discards:   XDP: it takes programs with @has_frags (struct kernel_options), which alone may
 *              discard, and no others; the kernel keeps them apart. A root without it takes only
 *              others
 * @super_fd:   TCX: memory of kernel_super_open(), which its programs have; borrowed. Else -1
 * @ret_others: programs of others at the same places, for people; empty: none
 *
 * Thread safety: any thread.
 *
 * Return: 0, or a negative errno with @err filled; see kernel_attach_interface().
 */
int kernel_root_attach(struct kernel_root *ret, unsigned int ifindex, enum kernel_way way,
	bool discards, int super_fd, char ret_others[KERNEL_TEXT_BYTES], struct error *err);

void kernel_root_close(struct kernel_root *root);

/**
 * kernel_root_put() - have a program count what comes to the places from now on
 * @program: of the root's hook, and as it is of programs that discard or not. Each packet is seen
 *           by it or by the one before, which may still be counting its last packet on another CPU
 *
 * Needs no rights since Linux 5.19. Thread safety: any thread.
 *
 * Return: 0, or a negative errno with @err filled.
 */
int kernel_root_put(
	const struct kernel_root *root, const struct kernel_program *program, struct error *err);

/**
 * kernel_root_is_attached() - is it still at its interface, everywhere?
 *
 * Links are taken away by who administers the machine, and with the interface. Needs no rights.
 * Thread safety: any thread.
 */
bool kernel_root_is_attached(const struct kernel_root *root);

/* The number of its program in the kernel, by which others know it. Needs no rights. Return: 0: it
 * is not attached. Thread safety: any thread. */
uint32_t kernel_root_id(const struct kernel_root *root);

/**
 * kernel_root_before() - programs of others that see packets before a root does
 * @ifindex:    in this process's network namespace
 * @id:         of kernel_root_id()
 * @ret_others: TCX: they may be content with a packet, and then it is not counted. For people;
 *              empty: none, or it is not known. Of XDP, where nobody else can be, empty
 *
 * It takes CAP_NET_ADMIN, and waits while others configure interfaces. Thread safety: any thread.
 */
void kernel_root_before(unsigned int ifindex, uint32_t id, char ret_others[KERNEL_TEXT_BYTES]);

/**
 * kernel_link_replace() - put another program behind a link
 *
 * Each packet is seen by one of them. The old one may still be counting its last packet on another
 * CPU. An XDP link takes 10 to 65 ms. Thread safety: any thread; of two that replace at once the
 * later one stays.
 *
 * Return: 0, or a negative errno with @err filled.
 */
int kernel_link_replace(int link_fd, const struct kernel_program *program, struct error *err);

/**
 * kernel_has_long_jumps() - does this kernel (6.6) know jumps over more than 32,767 instructions?
 *
 * By its release: needs no rights. Thread safety: any thread.
 */
bool kernel_has_long_jumps(void);

#endif
