/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Functions: what a flow does with packets. A function is one const descriptor in one file; a
 * function library is a folder of them and a visible list (function/std/std.c). How to write one:
 * docs/adding-a-function.md.
 *
 * Three kinds of memory belong to an applied function:
 *   instance  its checked arguments and what it opened; made by open(), constant while packets flow
 *   state     what it has counted so far; zeroed, then init(). The plan keeps one state per
 *             instance, and for FUNCTION_FREE functions a second one per worker, for packets whose
 *             place in the order is not decided yet; merge() adds the second to the first
 *   result    what clients read: result_bytes or less, made from the state by read()
 *
 * The plan calls process() for a range of packets of a batch, in order. Whatever the ranges, the
 * outcome must be that of one packet after the other (semantics O1).
 */
#ifndef MAPI_FUNCTION_FUNCTION_H
#define MAPI_FUNCTION_FUNCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/sampling.h"
#include "mapi/schema.h"
#include "packet/decode.h"
#include "packet/packet.h"

#define FUNCTION_ABI 1u
#define FUNCTION_ARGS_MAX 8
#define FUNCTION_REFS_MAX 32 /* of one instance */

struct ring; /* wire/ring.h */
struct filter_program; /* filter/filter.h */
struct search_pattern; /* search/search.h */

enum function_order {
	FUNCTION_FREE, /* any split of the packets; merge() makes them one */
	FUNCTION_AFFINITY, /* packets of one bidirectional flow together, each flow's in order */
	FUNCTION_ORDER, /* all packets, in order */
	_FUNCTION_ORDER_N
};

/* One argument, checked against its struct mapi_arg. */
struct function_value {
	long long number; /* INT, CHAR, FLOW, FUNCTION */
	unsigned long long large; /* ULL */
	const char *text; /* STRING, FILE (its path, for messages), REFS, FLOWS; never NULL;
			   * borrowed during open() */
	int fd; /* FILE: open for writing; taken by an open() that succeeds. Only a thread of the
		 * function may use or close it on a live device: either may take for ever */
};

/**
 * struct function_open - what open() is given
 * @args:     n_args values, defaults filled in
 * @instance: instance_bytes, zeroed; to be filled
 * @device:   name of the device, for output files
 * @lossless: the device waits for its readers (a file): a full ring must wait, not drop
 * @seed:     of this instance, for anything random (semantics T3)
 * @refs:     n_refs functions that the instance refers to, in argument order
 */
struct function_open {
	const struct function_value *args;
	unsigned int n_args;
	void *instance;
	const char *device;
	bool lossless;
	uint64_t seed;
	const struct function *const *refs;
	unsigned int n_refs;
};

/**
 * struct function_ref - the value of another function, packet by packet (semantics O2)
 * @value: value[i] is what this function sees at packet i of the batch: it includes packet i itself
 *         iff the source stands earlier in (fd, fid) order. NULL for a source that is not
 *         MAPI_FUNCTION_REFERABLE: see function_read_ref()
 */
struct function_ref {
	const uint64_t *value;
};

/**
 * struct function_call - one call of process()
 * @batch:    the packets of the domain
 * @first, @n: the range [first, first + n) to be processed
 * @decode:   columns of @batch; NULL unless wants_decode
 * @column:   NULL, or the value must be written for every packet i of the range, selected or not:
 *            column[i] = the value after packet i
 * @refs:     the functions that this one refers to, in argument order
 * @reset_ref, @read_ref: function_reset_ref(), function_read_ref()
 * @error:    set it (error_set) when the function cannot go on, e.g. a full disk: the flow ends
 */
struct function_call {
	const struct packet_batch *batch;
	unsigned int first;
	unsigned int n;
	const struct decode_columns *decode;
	uint64_t *column;
	const struct function_ref *refs;
	struct error *error;
	void (*reset_ref)(const struct function_call *call, unsigned int ref);
	void (*read_ref)(const struct function_call *call, unsigned int ref, void *ret_result);
	void *plan; /* of the plan */
};

/**
 * struct function_count - packets that were counted in the kernel, and never seen
 * @units: what was captured: a super-packet is one
 * @pkts, @bytes: on the wire (semantics P3)
 * @last_ns: when the last of them had come, at the latest
 */
struct function_count {
	uint64_t units;
	uint64_t pkts;
	uint64_t bytes;
	uint64_t last_ns;
};

/* What a gate does with packets for a while. */
enum function_gate {
	FUNCTION_GATE_UNSURE, /* it wants to see all packets of the device */
	FUNCTION_GATE_CLOSED,
	FUNCTION_GATE_OPEN,
};

/**
 * struct function - a function library's entry
 * @abi, @struct_bytes: FUNCTION_ABI and sizeof(struct function); checked first
 * @desc:         what users see: name, arguments, result, flags
 * @order:        how its packets may be split
 * @wants_decode: process() reads call->decode
 * @follows_time: process() is called for every batch, also when nothing is selected
 * @resets_refs:  the function and its sources run packet by packet: process() and tick() may reset
 * a source, and what they read of one is as of the packet
 * @live_bytes:   memory that an instance on a live device takes beside its state; it is charged to
 *                the user
 * @waits:        a gate: passes nothing until all flows that its FLOWS argument names are
 *                connected, then everything; decided by the plan, process is NULL
 * @order_of, @resets_refs_of: the same for one open instance, where it is less demanding than the
 *                descriptor must be; NULL: as the descriptor says
 */
struct function {
	uint32_t abi;
	uint32_t struct_bytes;
	struct mapi_function_desc desc;
	enum function_order order;
	bool wants_decode;
	bool follows_time;
	bool resets_refs;
	bool waits;
	enum function_order (*order_of)(const void *instance);
	bool (*resets_refs_of)(const void *instance);
	size_t instance_bytes;
	size_t state_bytes; /* 0: the function keeps no state */
	size_t live_bytes;

	/* Control thread, before open(). How long the result of an instance with these checked
	 * arguments is, at most desc.result_bytes; anything up to that if open() will refuse them.
	 * The user is charged for it and for as much state. NULL: desc.result_bytes. */
	size_t (*result_bytes_of)(const struct function_value *args);

	/* Control thread. Check what bounds cannot say, allocate, open. NULL: nothing to do.
	 * Return: 0, -EINVAL with @err filled, -ENOMEM; after failure close() is not called. */
	int (*open)(const struct function_open *open, struct error *err);

	/* Control thread, once, before close(), when no worker uses the instance any more: hand on
	 * what is still kept back. Who closes the flow hears of a failure. It must not wait for
	 * anybody for long: others wait for this thread. NULL: nothing is kept back.
	 * Return: 0, -EINVAL with @err filled. */
	int (*complete)(void *instance, struct error *err);

	/* Control thread, once, when no worker uses the instance any more, and busy() is false or
	 * the daemon ends. NULL: nothing to do. */
	void (*close)(void *instance);

	/* A pure filter is decided by the plan, not by process() (semantics O3): it returns its
	 * program or pattern here and leaves process NULL. */
	const char *(*filter)(const void *instance); /* a pcap expression */
	struct search_pattern *(*search)(const void *instance);

	/* A worker. Filters clear bits of *selection within the range; others leave it alone.
	 * No lock, allocation, log or system call per packet. */
	void (*process)(const struct function_call *call, void *instance, void *state,
		struct packet_mask *selection);

	/* A worker, in turn: time has come to @now_ns (semantics T1), and what follows is later
	 * than that, or late. It is called before the first packet of the domain since the state
	 * was made, selected or not, with that packet's time; then before the first packet that is
	 * not earlier than what it has asked for, or without any packet when a live device's time
	 * has come that far. So everything that periods do belongs here and nothing of it to
	 * process(); and because a recording has no pauses, two calls without a packet between them
	 * must come to the same as the second alone. @call has no packets; refs[i].value[0] is the
	 * source's value after all packets so far, wherever the source stands; a reset is effective
	 * at once. NULL: time is no matter. Return: when to be called next, later than @now_ns;
	 * UINT64_MAX: never again; 0: again as before the first packet, with the next one, which
	 * may be waiting. */
	uint64_t (*tick)(
		const struct function_call *call, void *instance, void *state, uint64_t now_ns);

	/* A worker, in turn: the clock of a live device was set, by @by_ns. Moments in the state
	 * that follow from a span of time move with it (function_moment()); what tick() has
	 * returned moves by itself. NULL: there are none. */
	void (*step)(const void *instance, void *state, int64_t by_ns);

	/* A worker. A transform makes the packets of a child domain: packet i of @ret stands for
	 * packet i of call->batch, whole batch at once, pure, no state. @memory: memory_bytes of
	 * this worker for bytes that @ret points to. */
	void (*transform)(const struct function_call *call, const void *instance, void *memory,
		struct packet_batch *ret);
	size_t memory_bytes;

	/* State. NULL init: zeroes. NULL merge: not FREE, or no state. */
	void (*init)(const void *instance, void *state);
	void (*merge)(const void *instance, void *into, const void *from);

	/* A worker, in turn: what process() would have done to the state, had it seen packets of
	 * which only this much is known. So they need not be delivered (docs/architecture.md, "The
	 * kernel tier"). The function filters nothing, and nobody refers to the instance. NULL: it
	 * wants to see packets. */
	void (*add)(const void *instance, void *state, const struct function_count *count);

	/* Whether what it does depends on packets that filters before it hold back: on their number
	 * or time. NULL: it does if it has tick(). */
	bool (*needs_all)(const void *instance);

	/* The function does nothing but let packets pass by sampling_next(): the kernel may choose
	 * packets, too. @ret_state: in @state. NULL: it does more, or goes by something else. */
	const struct sampling *(*sampling)(
		const void *instance, void *state, struct sampling_state **ret_state);

	/* Control thread. What filters can tell of the packets that process() lets pass, if it goes
	 * by headers and keeps no state: @ret_passes accepts only such, @ret_unsure those of which
	 * only process() can tell; both are the caller's. So the kernel can decide of all others.
	 * What it does with packets that pass (a ring), it does with those that are delivered.
	 * Return: 0, -ENOTSUP: nothing for this link type, -ENOMEM. NULL: it goes by something
	 * else. */
	int (*programs)(const void *instance, uint32_t linktype, struct filter_program **ret_passes,
		struct filter_program **ret_unsure);

	/* A worker, in turn. What will it do with packets that come after those that it has seen,
	 * and are not later than @until_ns? If it is open, add() is told of those that have passed.
	 * NULL: that depends on more than time. */
	enum function_gate (*gate)(const void *instance, const void *state, uint64_t until_ns);

	/* Whether all that it does is done in tick(), by the values or results of functions that it
	 * refers to, and process() only notes that packets have come. Then those of the device need
	 * not be delivered for it, if what it refers to only counts (docs/architecture.md, "The
	 * kernel tier"). NULL: it looks at packets. */
	bool (*only_ticks)(const void *instance);

	/* A worker, in turn, if only_ticks: what process() notes, of packets that have been
	 * counted. NULL: nothing. */
	void (*met)(const void *instance, void *state);

	/* A worker, in turn: what a filter with only_ticks does with packets that come now. NULL:
	 * it passes them. */
	bool (*passes)(const void *instance, const void *state);

	/* Whether what it does goes by chance. @seed: what the user gave, which repeats it; a
	 * function that has one of its own writes it there. NULL: it does not. */
	bool (*seed)(const void *instance, uint64_t *seed);

	/* Whether it looks at the functions that it refers to when no packet follows, and not
	 * before: then process() finds their values after the whole batch, whatever resets them.
	 * NULL: it does not. */
	bool (*only_at_end)(const void *instance);

	/* NULL: the first desc.result_bytes of the state are the result. */
	void (*read)(const void *instance, const void *state, void *ret_result);

	/* By the worker that saw the end of the source, once; not after an error. NULL ok. */
	void (*finish)(const struct function_call *call, void *instance, void *state);

	/* Any thread: wake a process() that waits (a full ring), because the flow closes: whatever
	 * it waits for, it must return soon and not wait again. NULL: process() never waits. */
	void (*cancel)(void *instance);

	/* The packet or record ring that clients of this instance read; NULL: none. */
	struct ring *(*ring)(void *instance);

	/* Whether reading that ring returns at once when it is empty. NULL: it waits. */
	bool (*no_wait)(const void *instance);

	/* A worker, in turn. Add to @lost_pkts[cause] (enum mapi_loss) what the instance could not
	 * do justice to since it was opened, e.g. because a table was full. NULL: that cannot be.
	 */
	void (*lost)(const void *instance, const void *state, uint64_t lost_pkts[]);

	/* Control thread, between the last worker's leaving and complete(), any number of times: is
	 * something still being handed on by a thread of the instance, so that complete() would
	 * wait for it? Becomes false in bounded time. NULL: never. */
	bool (*draining)(void *instance);

	/* Control thread, after complete(), any number of times: does a thread of the instance hang
	 * in the kernel? Then memory cannot be given back, and stays on its user's account, for as
	 * long. NULL: never. */
	bool (*busy)(void *instance);
};

/* Ask the plan to reset the state of source number @ref, effective after the current packet. */
static inline void function_reset_ref(const struct function_call *call, unsigned int ref)
{
	call->reset_ref(call, ref);
}

/* The result of source number @ref, in process() or finish(): as of the packet, in (fd, fid) order,
 * if the function resets_refs, else after all packets so far. @ret_result: its result_bytes. */
static inline void function_read_ref(
	const struct function_call *call, unsigned int ref, void *ret_result)
{
	call->read_ref(call, ref, ret_result);
}

/**
 * function_find() - look a function up
 * @name: "NAME" or "library:NAME"; a "!OID" suffix (historical device class) is ignored
 *
 * Return: the descriptor, NULL if there is none.
 */
const struct function *function_find(const char *name);

/**
 * function_at() - list all functions
 * @index: 0, 1, 2 ...
 *
 * Return: the descriptor in library order, NULL after the last.
 */
const struct function *function_at(unsigned int index);

/**
 * function_suggest() - the function whose name is nearest to a mistyped one
 *
 * Return: a name, NULL if nothing is near.
 */
const char *function_suggest(const char *name);

/* A moment after the clock was set, where 0 and UINT64_MAX are none. */
static inline uint64_t function_moment(uint64_t moment_ns, int64_t by_ns)
{
	uint64_t moved_ns = moment_ns + (uint64_t)by_ns;

	if (moment_ns == 0 || moment_ns == UINT64_MAX)
		return moment_ns;
	if (by_ns < 0)
		return moved_ns < moment_ns && moved_ns > 0 ? moved_ns : 1;
	return moved_ns > moment_ns ? moved_ns : UINT64_MAX;
}

#endif
