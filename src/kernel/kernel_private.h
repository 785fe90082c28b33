/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the kernel tier share. In the order of the work:
 *
 * cofactor.c  what is left of a filter when a fact about the packet is known
 * pieces.c    ... for each range of a value
 * trie.c      all filters of a page -> one decision trie;  split.c: by a value
 * single.c    one filter by itself;  choose.c: by ranges of a value, to labels
 * operand.c   values and tests -> registers;  part.c: in which part of all flows a packet is
 * frame.c     what stands around that: finding the packet, counting, ends
 * sample.c    what functions that sample choose;  turns.c: their numbers
 * asm.c       instructions and labels -> a program
 * emit.c      the whole: pages, kernel_code_new();  make.c: again, if they are too large
 * check.c     looks at finished instructions;  flat.c: as bytes for another process
 * load.c      into the kernel;  measure.c: what a packet costs there;  attach.c: to work
 * program.c   reading counters
 * root.c      what stays at an interface while programs come and go;  super.c: and tells of
 *             super-packets
 *
 * Nothing that the kernel's verifier keeps track of may live where paths join: it would follow each
 * path separately. So registers hold only what is the same on all paths (below), and everything
 * else - lengths, values that are used again, flags - lies in memory, from where it comes back as
 * any number.
 */
#ifndef MAPI_KERNEL_PRIVATE_H
#define MAPI_KERNEL_PRIVATE_H

#include <linux/bpf.h>

#include "filter/graph.h"
#include "kernel.h"

/* Registers that keep their meaning throughout a program. */
#define REG_CTX BPF_REG_6
#define REG_WINDOW BPF_REG_7 /* the first bytes: in the packet, or in the area */
#define REG_BYTES BPF_REG_8 /* of the packet on the wire, to be counted */
#define REG_AREA BPF_REG_9 /* of this CPU, plus AREA_BIAS */

/* Where a root tells of super-packets (super.c): scratch. */
#define REG_SUPER BPF_REG_3

/* So that offsets of instructions, which are signed, reach twice as far. */
#define AREA_BIAS 32768

/* How much of a packet is copied where it cannot be read in place: a TCP header's flags behind an
 * IPv4 header of any length; more than this takes longer than one byte does (Zen 4, `rep movsb`).
 */
#define WINDOW_BYTES 96u

/* Packets of that many bytes are read in place, if linear: all Ethernet frames are at least so
 * long. */
#define DIRECT_BYTES_MAX 60u

#define COLUMNS_MAX 1000u

/*
 * struct kernel_area - a CPU's share of the map; the head is followed by columns and slots
 * @seq:      odd while a packet is counted. Also the packet's number, for marks
 * @len:      length of the packet, with VLAN tag
 * @is_copy:  the window is @window
 * @shift:    bytes of a VLAN tag that is not in the packet's data, 0 or 4
 * @deliver:  some filter wants the packet
 * @pkts, @bytes: what the packet counts
 * @unparsed: super-packets so far whose headers were not found; see kernel_program_unparsed()
 * @transport: scratch of the search for headers: offset of the one that it has reached
 * @temp:     what a helper writes
 * @cap:      how much of the packet filters see; only if that is less than all
 * @discard:  written by user space: packets end once they have been counted
 * @cost_ns:  of the first CPU: what a packet costs, measured before the program was attached;
 *            0: not known
 * @flow:     words of a flow's key (FILTER_FLOW_WORDS), scratch
 * @reserved: so that slots begin with a line of the cache
 * @window:   the first bytes of the packet, tag included, where they are not read in place
 * @columns:  values of the packet that are kept for further use, each once it is computed
 */
struct kernel_area {
	uint64_t seq;
	uint32_t len;
	uint32_t is_copy;
	uint32_t shift;
	uint32_t deliver;
	uint64_t pkts;
	uint64_t bytes;
	uint64_t unparsed;
	uint32_t transport;
	uint32_t temp;
	uint32_t cap;
	uint32_t discard;
	uint64_t cost_ns;
	uint32_t flow[FILTER_FLOW_WORDS];
	uint32_t reserved[4];
	uint8_t window[WINDOW_BYTES];
	uint32_t columns[COLUMNS_MAX];
};
_Static_assert(sizeof(struct kernel_area) == 128 + WINDOW_BYTES + 4 * COLUMNS_MAX, "no padding");
_Static_assert(sizeof(struct kernel_area) % 64 == 0, "slots begin with a line of the cache");

/*
 * struct kernel_slot - counters of one filter
 * @units: not in XDP, where each is a packet
 * @mark:  the packet's number, once the filter is decided for it
 */
struct kernel_slot {
	uint64_t pkts;
	uint64_t bytes;
	uint64_t units;
	uint64_t mark;
};
_Static_assert(sizeof(struct kernel_slot) == 32, "within a line of the cache");

#define AREA_AT(member) ((int16_t)((int)offsetof(struct kernel_area, member) - AREA_BIAS))

/* asm.c: instructions with labels */

struct kernel_asm {
	struct bpf_insn *insns;
	uint32_t *targets; /* of each instruction: label + 1, 0 if it does not jump */
	uint32_t *labels; /* of each label: the instruction, ASM_NOWHERE until it is placed */
	uint32_t n, room;
	uint32_t n_labels, labels_room;
	bool failed; /* memory ran out: ask once, at the end */
};

#define ASM_NOWHERE UINT32_MAX
#define ASM_INSNS_MAX 400000u /* what the verifier can go through twice, with some reserve */

void kernel_asm_deinit(struct kernel_asm *c);
uint32_t kernel_asm_label(struct kernel_asm *c);
void kernel_asm_place(struct kernel_asm *c, uint32_t label);
void kernel_asm_put(struct kernel_asm *c, struct bpf_insn insn);
void kernel_asm_jump(struct kernel_asm *c, struct bpf_insn insn, uint32_t label);

/* Resolves labels, drops what is never reached. @long_jumps: may be used. Return: 0, -ENOMEM,
 * -E2BIG if a jump is too long or there are too many instructions. */
int kernel_asm_finish(struct kernel_asm *c, bool long_jumps);

#define INSN(op, d, s, o, i) \
	((struct bpf_insn){ .code = (op), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define MOV_REG(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV_IMM(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ALU_REG(op, d, s) INSN(BPF_ALU64 | (op) | BPF_X, d, s, 0, 0)
#define ALU_IMM(op, d, i) INSN(BPF_ALU64 | (op) | BPF_K, d, 0, 0, i)
#define ALU32_REG(op, d, s) INSN(BPF_ALU | (op) | BPF_X, d, s, 0, 0)
#define ALU32_IMM(op, d, i) INSN(BPF_ALU | (op) | BPF_K, d, 0, 0, (int32_t)(i))
#define LOAD(size, d, s, o) INSN(BPF_LDX | BPF_MEM | (size), d, s, o, 0)
#define STORE(size, d, s, o) INSN(BPF_STX | BPF_MEM | (size), d, s, o, 0)
#define STORE_IMM(size, d, o, i) INSN(BPF_ST | BPF_MEM | (size), d, 0, o, i)
#define TO_BE(d, bits) INSN(BPF_ALU | BPF_END | BPF_TO_BE, d, 0, 0, bits)
#define CALL(helper) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
/* Jumps get their distance from a label. All comparisons of values are of 32 bits. */
#define GOTO() INSN(BPF_JMP | BPF_JA, 0, 0, 0, 0)
#define IF_IMM(op, d, i) INSN(BPF_JMP32 | (op) | BPF_K, d, 0, 0, (int32_t)(i))
#define IF_REG(op, d, s) INSN(BPF_JMP32 | (op) | BPF_X, d, s, 0, 0)
#define IF64_IMM(op, d, i) INSN(BPF_JMP | (op) | BPF_K, d, 0, 0, i)
#define IF64_REG(op, d, s) INSN(BPF_JMP | (op) | BPF_X, d, s, 0, 0)

/* A function of the same program. */
#define CALL_LABEL() INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 0)

/*
 * struct kernel_emit - a page in the making
 * @g:            all filters; nodes may be added, values and tests not
 * @direct_bytes: what must be readable in place
 * @uses:         of each value: how many others and tests are made of it
 * @column:       of each value: where it is kept + 1, 0 if nowhere yet
 * @kept:         values that are in their columns here; the first @n_kept
 * @is_kept:      of each value, the same
 * @slow:         label of the function that loads anything, used if @uses_slow
 * @part:         label of the function that finds the part of a flow, used if @uses_part
 * @delivered:    label of the end of a packet that is delivered and not counted
 * @foreign:      label of the end of a packet that is another program's
 * @sees_all:     loads may go beyond what filters see of a packet
 * @too_large:    a limit was met: the page cannot be made
 */
struct kernel_emit {
	struct filter_graph *g;
	const struct kernel_options *options;
	struct kernel_asm code;
	uint32_t direct_bytes;
	uint32_t *uses;
	uint32_t *column;
	uint32_t n_columns;
	uint32_t *kept;
	bool *is_kept;
	uint32_t n_kept;
	uint32_t slow;
	uint32_t part;
	uint32_t delivered;
	uint32_t foreign;
	bool sees_all;
	bool uses_slow;
	bool uses_part;
	bool too_large;
	const uint8_t *actions; /* of each slot */
	uint32_t n_early; /* slots that are decided before anything is counted: the first ones */
	const struct kernel_sample *samples;
	uint32_t n_samples;
};

/*
 * struct kernel_sample - a program that samples
 * @filter:  slot of its filter
 * @slot:    its own, which is behind those of all filters
 * @leader:  slot of the first sample of the same filter. Its mark says that the filter has accepted
 * @deliver: what is chosen
 */
struct kernel_sample {
	struct kernel_sampling of;
	uint32_t filter;
	uint32_t slot;
	uint32_t leader;
	bool deliver;
};

/* Whether the window is always a copy: a socket's filter cannot read packets in place. */
static inline bool emit_reads_copy(const struct kernel_emit *e)
{
	return e->options->hook == KERNEL_SOCKET;
}

/* What a slot does with packets that its filter accepts. */
#define ACTION_COUNT 1u
#define ACTION_DELIVER 2u
#define ACTION_SAMPLE 4u

static inline void emit_put(struct kernel_emit *e, struct bpf_insn insn)
{
	kernel_asm_put(&e->code, insn);
}

static inline void emit_jump(struct kernel_emit *e, struct bpf_insn insn, uint32_t label)
{
	kernel_asm_jump(&e->code, insn, label);
}

static inline void emit_place(struct kernel_emit *e, uint32_t label)
{
	kernel_asm_place(&e->code, label);
}

static inline void emit_goto(struct kernel_emit *e, uint32_t label)
{
	kernel_asm_jump(&e->code, GOTO(), label);
}

static inline bool emit_failed(const struct kernel_emit *e)
{
	return e->too_large || e->code.failed || e->g->failed;
}

/* operand.c: where in a packet a load ends, if headers before it have no options. UINT32_MAX: there
 * is no telling, it is far, or no load. */
uint32_t kernel_operand_end(const struct filter_graph *g, const struct filter_value *v);

/* r0 = value; changes r1 to r5. What is kept stays so until kernel_operand_forget(). */
void kernel_operand_value(struct kernel_emit *e, uint32_t value);
void kernel_operand_masked(struct kernel_emit *e, uint32_t value, uint32_t mask);
/* Goes to @no where the test does not hold, and on where it does. */
void kernel_operand_test(struct kernel_emit *e, uint32_t test, uint32_t no);
/* Keeps @value for what follows, if it is costly. */
void kernel_operand_keep(struct kernel_emit *e, uint32_t value);
void kernel_operand_forget(struct kernel_emit *e, uint32_t n_kept);

/* part.c: the function: r3 area, with the words of a key in @flow -> r0; changes r1 to r5. The
 * label is placed here. */
void kernel_part_put(struct kernel_asm *c, uint32_t label);
/* Its instructions as they are in every program. @ret: the caller's. Return: their number, -ENOMEM.
 */
int kernel_part_insns(struct bpf_insn **ret);

/*
 * frame.c
 * @counts_from: the first page that counts
 */
struct kernel_frame_page {
	unsigned int index, n_pages, counts_from;
	unsigned int n_cpus;
	uint32_t stride_bytes;
};
void kernel_frame_begin(struct kernel_emit *e, const struct kernel_frame_page *page, uint32_t end);
/* From here on filters may be accepted that count. */
void kernel_frame_counts(struct kernel_emit *e, const struct kernel_frame_page *page);
void kernel_frame_end(struct kernel_emit *e, const struct kernel_frame_page *page, uint32_t end);
/* @slot's filter has accepted. @check: unless it is marked. Keeps r0. */
void kernel_frame_accept(struct kernel_emit *e, uint32_t slot, bool check);
void kernel_frame_mark(struct kernel_emit *e, uint32_t slot);
void kernel_frame_count(struct kernel_emit *e, uint32_t slot);
/* Where a slot's counters are: an offset from *@reg, which is r5 if it is far. */
int16_t kernel_frame_slot(struct kernel_emit *e, uint32_t slot, size_t member, uint8_t *reg);

/* sample.c: change r0 to r5. Delivers what is chosen to be; all filters for that are decided. */
void kernel_sample_deliver(struct kernel_emit *e);
/* Counts what is chosen of packets of the filters from slot @first, which are decided. */
void kernel_sample_count(struct kernel_emit *e, uint32_t first, uint32_t n);

/* cofactor.c */

/* (value & mask) is lo to hi; or, if value is FILTER_VALUE_NONE, the test holds or does not. */
struct kernel_fact {
	uint32_t value;
	uint32_t mask;
	uint32_t lo, hi;
	uint32_t test;
	bool holds;
};

/*
 * struct kernel_cofactor - working memory of walks through the graph
 * @stamp, @result: of each node
 */
struct kernel_cofactor {
	struct filter_graph *g;
	uint32_t *stamp;
	uint32_t *result;
	uint32_t room;
	uint32_t now;
};

void kernel_cofactor_deinit(struct kernel_cofactor *c);
/* The node that decides as @node does where the fact is known. */
uint32_t kernel_cofactor_node(
	struct kernel_cofactor *c, uint32_t node, const struct kernel_fact *fact);
/* Number of nodes, at most @max; ACCEPT and REJECT do not count. */
uint32_t kernel_cofactor_size(struct kernel_cofactor *c, uint32_t node, uint32_t max);
/* Writes up to @room nodes, in the order of their numbers, falling. Return: their number. */
uint32_t kernel_cofactor_list(
	struct kernel_cofactor *c, uint32_t node, uint32_t *ret, uint32_t room);

static inline bool test_is_of_value(const struct filter_test *t)
{
	return t->op == FILTER_TEST_EQ || t->op == FILTER_TEST_GE;
}

/* pieces.c: an item's residuals by ranges of a value */
struct kernel_piece {
	uint32_t item;
	uint32_t lo, hi; /* later: numbers of ranges, hi excluded */
	uint32_t node;
};

struct kernel_pieces {
	struct kernel_piece *at;
	uint32_t n, room;
	uint32_t *cuts; /* where ranges begin, rising; the first is 0 */
	uint32_t n_cuts, cuts_room;
	bool failed;
};

#define PIECES_CONSTANTS_MAX 512u

void kernel_pieces_deinit(struct kernel_pieces *p);
/*
 * Adds the pieces of (value & mask) in which @node's residual is not the usual one, which is
 * written to @ret_usual. Return: false if there are too many; then nothing was added.
 */
bool kernel_pieces_add(struct kernel_pieces *p, struct kernel_cofactor *c, uint32_t item,
	uint32_t node, uint32_t value, uint32_t mask, uint32_t *ret_usual);
/* Finds the cuts, and turns lo and hi into their numbers. */
void kernel_pieces_cut(struct kernel_pieces *p);

/* choose.c: r0 is in [cuts[i], cuts[i + 1]) -> labels[i]. Both arrays are changed. */
void kernel_choose(struct kernel_emit *e, uint32_t cuts[], uint32_t labels[], uint32_t n);

/* single.c: decides a filter: goes to @accept or @reject. */
void kernel_decide(struct kernel_emit *e, struct kernel_cofactor *c, uint32_t node, uint32_t accept,
	uint32_t reject);
/* Counts and delivers what the filter accepts; then goes to @end in any case. */
void kernel_single(struct kernel_emit *e, struct kernel_cofactor *c, uint32_t slot, uint32_t node,
	bool check, uint32_t end);

/* trie.c: decides all filters, given by their roots, one for each slot from @first; goes to @end.
 */
void kernel_trie(struct kernel_emit *e, struct kernel_cofactor *c, const uint32_t roots[],
	uint32_t n, uint32_t first, uint32_t end);

/* emit.c */
struct kernel_page {
	struct bpf_insn *insns;
	uint32_t n_insns;
};

struct kernel_code {
	struct kernel_options options; /* without what is borrowed */
	struct kernel_page *pages;
	unsigned int n_pages;
	uint32_t *slots; /* of each program; UINT32_MAX if it has none */
	uint8_t *reasons; /* of each program */
	unsigned int n_programs, n_slots, n_lowered;
	uint32_t stride_bytes;
	bool samples;
};

/* load.c: what the kernel has said. Return: -ENOMEM, -EPERM, -EINVAL with @err filled. */
int kernel_load_fail(struct error *err, const char *what, int error);
/* kernel_code_load() of any code. @turns_fd, @super_fd: as in struct kernel_memory. */
int kernel_load_fresh(const struct kernel_code *code, int turns_fd, int super_fd,
	struct kernel_fds *ret, struct error *err);

#define KERNEL_SAMPLES_MAX 256u /* of a code */
#define KERNEL_PAGES_MAX 32u /* the kernel allows 33 tail calls */
#define KERNEL_AREA_BYTES_MAX (16u << 20) /* of all CPUs */

/* attach.c: as kernel_attach_interface(). Return: the link, or a negative errno with @err filled.
 */
int kernel_attach_fd(
	int program_fd, unsigned int ifindex, enum kernel_place place, struct error *err);

/* load.c */
#define LOAD_LICENSE "Dual BSD/GPL"
#define LOAD_F_XDP_HAS_FRAGS (1u << 5) /* BPF_F_XDP_HAS_FRAGS, Linux 5.18 */
enum bpf_prog_type kernel_load_type(enum kernel_hook hook);
int kernel_load_fail(struct error *err, const char *what, int error);

/* super.c: of each CPU, bytes of all headers of the super-packet that the root has seen last, from
 * the link header on, without a tag that is not in the packet's data; 0: not known. */
#define KERNEL_SUPER_STRIDE 8
/* The root's part, r6 being its context: changes all other registers. @fd: of kernel_super_open().
 * Return: 0, -EINVAL with @err filled: this kernel does not let that be known. */
int kernel_super_tell(struct kernel_asm *c, int fd, struct error *err);

/* frame.c: what the hook does with packets that no filter wants: what it does without us. */
int kernel_frame_verdict(enum kernel_hook hook);

/* A CPU's share of the area. */
static inline uint32_t kernel_stride_bytes(uint32_t n_slots)
{
	return (uint32_t)(sizeof(struct kernel_area) + n_slots * sizeof(struct kernel_slot) + 63) &
		~63u;
}

/* How many of @size hold @n? */
static inline uint32_t kernel_pages(uint32_t n, uint32_t size)
{
	return (n + size - 1) / size;
}

/* measure.c: run what is loaded on a few frames, clear its memory of @area_bytes, and leave the
 * cost there. Return: 0, -ENOMEM, what the kernel says. */
int kernel_measure(const struct kernel_fds *fds, size_t area_bytes, bool runs);

#endif
