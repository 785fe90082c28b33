/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the two processes of the system daemon: the parent, which keeps the right to open devices
 * and parses nothing hostile, and the engine, which has no rights and meets packets and clients.
 *
 * They share a SOCK_SEQPACKET socketpair, and an area of memory in which code for the kernel is
 * handed over. A message is one struct privileged_request or
 * privileged_reply, of exactly its size, with descriptors beside the reply. The parent believes the
 * engine nothing: every field is checked, and a device must be allowed by the configuration.
 */
#ifndef MAPI_SENSOR_PRIVILEGED_H
#define MAPI_SENSOR_PRIVILEGED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "config/config.h"
#include "driver/driver.h"
#include "kernel/kernel.h"

#define PRIVILEGED_NAME_BYTES 256

/* Instructions of a PRIVILEGED_LOAD. While the parent loads, it does nothing else; and because it
 * does so without CAP_PERFMON, the verifier trusts nobody, and takes up to ten times as long: for
 * this many some 0.4 seconds, on pages that are small. It is also what a packet may cost. */
#define PRIVILEGED_LOAD_INSNS_MAX 65536u

/* What is loaded for an engine at a time: programs, and counters of all of them. Where that is not
 * enough, the daemon counts by itself. */
#define PRIVILEGED_LOADS_MAX 128u
#define PRIVILEGED_COUNTERS_BYTES_MAX ((size_t)64 << 20)

/**
 * struct privileged_loads - the parent's: what it has loaded for an engine
 *
 * The engine may have been conquered, and keep descriptors for ever. So counters are not given up
 * once they are made, but used again, by something that is loaded later; and chains of programs
 * stay with the parent, which takes them apart. The engine has a lease of each: the end of a pipe,
 * which it closes as the last of what it was given.
 *
 * @at: the first @n were used once; a @lease_fd of -1: to be used again. @chain_fd: -1: none
 * @area_bytes: of all counters
 * @has_turns, @turns_fd: the map of numbers that programs take (kernel_turns_open()), once one has
 * @has_super, @super_fd: where roots tell of super-packets (kernel_super_open()), once there is one
 */
struct privileged_loads {
	struct privileged_load {
		int area_fd;
		size_t area_bytes;
		int chain_fd;
		int lease_fd;
	} at[PRIVILEGED_LOADS_MAX];
	unsigned int n;
	size_t area_bytes;
	bool has_turns;
	int turns_fd;
	bool has_super;
	int super_fd;
};

/* Nothing is loaded any more, as far as the parent is concerned: the engine has ended. All zero is
 * a good beginning. */
void privileged_loads_clear(struct privileged_loads *loads);

enum privileged_op {
	PRIVILEGED_PREPARE = 1, /* run the driver's prepare() */
	PRIVILEGED_ALIVE, /* the engine's loop turns: for the watchdog; no reply */
	PRIVILEGED_READY, /* the engine serves; no reply */
	PRIVILEGED_LOAD, /* load the code in the area into the kernel */
	PRIVILEGED_ATTACH, /* put a root for programs to a device's interface */
	PRIVILEGED_LOOK, /* which programs are before ours at a device's interface */
	_PRIVILEGED_N
};

/* What an operation does not need is zero. */
struct privileged_request {
	uint32_t op;
	union {
		uint32_t n_workers; /* PREPARE: 1 .. DRIVER_FDS_MAX */
		uint32_t n_bytes; /* LOAD: of the code, at the begin of the area */
		uint32_t way; /* ATTACH: enum kernel_way */
		uint32_t id; /* LOOK: of kernel_root_id() */
	};
	uint64_t serial; /* comes back with the reply: who gave up waiting meets no old answer */
	char name[PRIVILEGED_NAME_BYTES]; /* PREPARE, ATTACH, LOOK: zero-terminated */
};

struct privileged_reply {
	int32_t code; /* 0; PREPARE: of mapi/errors.h; else a negative errno */
	uint32_t n_fds;
	uint64_t serial;
	char text[ERROR_TEXT_BYTES]; /* zero-terminated */
};

/**
 * privileged_find() - may this device be opened, and how? Both sides ask the same
 * @config:      what is allowed
 * @name:        as a program gave it; need not be printable
 * @ret_args:    name (of the device, where @name is an alias), fd and options are set; borrows from
 *               @config, @name and @ret_options
 * @ret_options: from the device's section; defaults if it has none
 * @err:         3200: no section names it, and it is not an interface that needs none
 *
 * Thread safety: any thread.
 *
 * Return: 0, -EINVAL with @err filled.
 */
int privileged_find(const struct config *config, const char *name,
	struct driver_open_args *ret_args, struct driver_options *ret_options, struct error *err);

/**
 * privileged_prepare() - the engine's side: have a device opened
 * @fd:   the engine's end of the socketpair
 * @name: of the device
 *
 * Waits for the answer, at most 5 seconds. The descriptors are the caller's.
 *
 * Thread safety: any thread; who asks for another device does not wait for this one.
 *
 * Return: 0; -EINVAL with @err filled; -EPIPE with @err filled: the parent is gone.
 */
int privileged_prepare(int fd, const char *name, unsigned int n_workers,
	int ret_fds[DRIVER_FDS_MAX], unsigned int *ret_n_fds, struct error *err);

/**
 * privileged_load() - the engine's side: have code loaded into the kernel
 * @fd:   the engine's end of the socketpair
 * @area: of the parent_engine; whatever is there is overwritten
 * @code: of any hook
 * @ret:  the caller owns the descriptors
 *
 * Waits for its turn, and then for the answer, at most 5 seconds.
 *
 * Thread safety: any thread; those who load take turns.
 *
 * Return: 0; negative errno of kernel_code_load() with @err filled; -EPIPE with @err filled: the
 * parent is gone.
 */
int privileged_load(int fd, void *area, size_t area_bytes, const struct kernel_code *code,
	struct kernel_fds *ret, struct error *err);

/**
 * privileged_attach() - the engine's side: have a root put to an interface
 * @fd:         the engine's end of the socketpair
 * @name:       of a device that is an interface; XDP takes one that is configured for it
 * @ret:        the caller owns the descriptors; the parent keeps none
 * @ret_others: as of kernel_root_attach()
 *
 * Waits for the answer, at most 5 seconds.
 *
 * Thread safety: any thread.
 *
 * Return: 0; negative errno of kernel_root_attach() with @err filled; -EPIPE with @err filled: the
 * parent is gone.
 */
int privileged_attach(int fd, const char *name, enum kernel_way way, struct kernel_root *ret,
	char ret_others[KERNEL_TEXT_BYTES], struct error *err);

/**
 * privileged_look() - the engine's side: which programs of others see packets before ours do
 * @fd:         the engine's end of the socketpair
 * @name:       of a device that is an interface
 * @id:         of kernel_root_id()
 * @ret_others: as of kernel_root_before()
 *
 * Waits for the answer, at most 5 seconds. Thread safety: any thread.
 *
 * Return: 0; negative errno with @err filled; -EPIPE with @err filled: the parent is gone.
 */
int privileged_look(int fd, const char *name, uint32_t id, char ret_others[KERNEL_TEXT_BYTES],
	struct error *err);

/* Tell the parent. Never waits; any thread. @op: PRIVILEGED_ALIVE, PRIVILEGED_READY. */
void privileged_tell(int fd, enum privileged_op op);

/* Processes for devices at a time, those included that hang and cannot be ended. */
#define PRIVILEGED_HELPERS_MAX 32u

/* What a helper says of itself, in memory that it shares with the parent. */
enum privileged_phase {
	PRIVILEGED_OPENS, /* or does another thing that takes 4 seconds at most */
	PRIVILEGED_KEEPS, /* has answered, and serves a device until the engine closes it */
	PRIVILEGED_HANGS, /* has answered; its own process cannot be ended */
};

/**
 * struct privileged_helpers - the parent's: processes that do for it what may hang
 *
 * A driver may wait for hardware, a directory of captures may be on a file system that does not
 * answer, and the kernel configures one interface at a time. So a process of its own opens a
 * device, or puts a program to an interface, and sends the engine the answer. The parent ends it
 * after 4 seconds, and answers in its place. If the kernel does not let it end, nobody else tries
 * that device. Devices that cannot be handed over are kept by their helpers (privileged_keep.c).
 *
 * @phases: enum privileged_phase of each, shared with them; NULL before there was one
 * @at: all zero is a good beginning. @pid: 0: none. @serial: 0: nobody waits for it. @until_ns: it
 *      is ended then; UINT64_MAX: it was. @hangs: because it took too long
 */
struct privileged_helpers {
	_Atomic uint32_t *phases;
	struct privileged_helper {
		pid_t pid;
		uint32_t op;
		uint64_t serial;
		uint64_t until_ns;
		bool hangs;
		char name[PRIVILEGED_NAME_BYTES];
	} at[PRIVILEGED_HELPERS_MAX];
};

/**
 * privileged_helpers_on_time() - end those that take too long
 * @fd: the parent's end; -1: there is no engine
 *
 * Return: when to call it again; UINT64_MAX: no need.
 */
uint64_t privileged_helpers_on_time(struct privileged_helpers *helpers, int fd);

/**
 * privileged_helpers_ended() - a child of the parent has ended
 * @fd:     the parent's end; -1: there is no engine
 * @pid:    has been reaped
 * @status: as of waitpid()
 *
 * Return: 0; -ESRCH: it was no helper; -EBADMSG: the engine does not read answers, and must be
 * ended.
 */
int privileged_helpers_ended(struct privileged_helpers *helpers, int fd, pid_t pid, int status);

/* The engine is gone: nobody waits for what it has asked for. They are ended, and reaped as ever.
 */
void privileged_helpers_forget(struct privileged_helpers *helpers);

/**
 * privileged_answer() - the parent's side: answer one request of the engine
 * @fd: the parent's end, readable
 * @area, @area_bytes: that the engine writes to, also now; 0: none
 * @loads: of this engine
 * @helpers: the answer may come later, by one of them; NULL: all is done at once, and takes as long
 *           as it takes
 * @ret_op: what was asked
 *
 * Return: 0; -EPIPE: the engine is gone; -EBADMSG: it sent nonsense, and must be ended.
 */
int privileged_answer(int fd, const struct config *config, const void *area, size_t area_bytes,
	struct privileged_loads *loads, struct privileged_helpers *helpers,
	enum privileged_op *ret_op);

#endif
