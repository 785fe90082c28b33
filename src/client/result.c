/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading results (semantics R1-R3): from the shared result area, without a system call.
 *
 * A function has one slot per worker. Each slot is copied under its sequence count and then merged
 * into the result, field by field, as the description says.
 */
#include <sched.h>
#include <string.h>

#include "base/clock.h"
#include "client.h"

#undef mapi_read_results

/* A writer holds a slot for nanoseconds; a reader that tries longer looks after the writer. */
#define RESULT_TRIES 10000
/* Reading asks at most this often whether the daemon lives. */
#define RESULT_ASK_NS 10000000u

/* Copy @n_bytes of what @seq guards. Return: false if the daemon died while it wrote. */
static bool result_copy(struct engine *engine, const _Atomic uint32_t *seq, const void *from,
	void *to, size_t n_bytes)
{
	for (unsigned int tries = 1;; tries++) {
		uint32_t begun = results_read_begin(seq);

		memcpy(to, from, n_bytes);
		if (!results_read_retry(seq, begun))
			return true;
		if (tries % RESULT_TRIES == 0) {
			if (engine_is_lost(engine))
				return false;
			(void)sched_yield();
		}
	}
}

/* ---- merging ---- */

/* result_merge_TYPE(): add one field of @from to @to. */
#define RESULT_MERGE(type)                                                        \
	static void result_merge_##type(enum mapi_merge merge, unsigned char *to, \
		const unsigned char *from, bool is_later)                         \
	{                                                                         \
		type a, b;                                                        \
                                                                                  \
		memcpy(&a, to, sizeof(a));                                        \
		memcpy(&b, from, sizeof(b));                                      \
		switch (merge) {                                                  \
		case MAPI_MERGE_SUM:                                              \
			a = (type)(a + b);                                        \
			break;                                                    \
		case MAPI_MERGE_MAX:                                              \
			a = MAX(a, b);                                            \
			break;                                                    \
		case MAPI_MERGE_MIN:                                              \
			a = MIN(a, b);                                            \
			break;                                                    \
		case MAPI_MERGE_LAST:                                             \
			a = is_later ? b : a;                                     \
			break;                                                    \
		}                                                                 \
		memcpy(to, &a, sizeof(a));                                        \
	}
typedef long double long_double;
RESULT_MERGE(uint16_t)
RESULT_MERGE(uint32_t)
RESULT_MERGE(uint64_t)
RESULT_MERGE(double)
RESULT_MERGE(long_double)
RESULT_MERGE(int32_t)
RESULT_MERGE(int64_t)

static void result_merge(const struct mapi_function_desc *desc, unsigned char *to,
	const unsigned char *from, bool is_later)
{
	static void (*const merges[])(enum mapi_merge merge, unsigned char *to,
		const unsigned char *from, bool is_later) = {
		[MAPI_FIELD_U16] = result_merge_uint16_t,
		[MAPI_FIELD_U32] = result_merge_uint32_t,
		[MAPI_FIELD_U64] = result_merge_uint64_t,
		[MAPI_FIELD_I32] = result_merge_int32_t,
		[MAPI_FIELD_I64] = result_merge_int64_t,
		[MAPI_FIELD_F64] = result_merge_double,
		[MAPI_FIELD_F80] = result_merge_long_double,
		[MAPI_FIELD_TS] = result_merge_uint64_t,
		[MAPI_FIELD_IPV4] = result_merge_uint32_t,
		[MAPI_FIELD_KEY] = NULL, /* lists have one writer */
	};

	for (unsigned int i = 0; i < desc->n_fields; i++) {
		const struct mapi_field *f = &desc->fields[i];

		if (merges[f->type])
			merges[f->type](
				f->merge, to + f->offset_bytes, from + f->offset_bytes, is_later);
	}
}

/* A slot, as long as the longest fixed result; longer ones travel in rings. */
#define RESULT_SLOT_BYTES_MAX 4096

static bool result_read_slots(const struct applied *applied)
{
	_Alignas(16) unsigned char copy[RESULT_SLOT_BYTES_MAX];
	size_t n_bytes = offsetof(struct results_slot, data) + applied->result_bytes;
	unsigned char *buffer = applied->function->buffer;
	struct engine *engine = applied->engine;
	uint64_t last_order = 0;
	bool has_value = false;

	if (applied->n_slots == 1) {
		const struct results_slot *slot = (const void *)applied->slots;

		return result_copy(engine, &slot->seq, slot->data, buffer, applied->result_bytes);
	}
	if (n_bytes > sizeof(copy))
		return true;
	for (unsigned int i = 0; i < applied->n_slots; i++) {
		const unsigned char *at = applied->slots + i * applied->slot_bytes;
		const struct results_slot *slot = (const void *)at;
		const unsigned char *data = copy + offsetof(struct results_slot, data);
		uint64_t order;

		if (!result_copy(engine, &slot->seq, slot, copy, n_bytes))
			return false;
		memcpy(&order, copy + offsetof(struct results_slot, order), sizeof(order));
		/* A worker without packets has no minimum. */
		if (order == 0 && (has_value || i + 1 < applied->n_slots))
			continue;
		if (has_value)
			result_merge(applied->desc, buffer, data, order > last_order);
		else
			memcpy(buffer, data, applied->result_bytes);
		has_value = true;
		last_order = MAX(last_order, order);
	}
	return true;
}

/* ---- the end of the daemon ---- */

static int result_fail_lost(void)
{
	return client_fail(MAPI_DAEMON_LOST, "the daemon of this flow ended unexpectedly");
}

/* Nobody tells a program that only reads results that the daemon has died: it asks the kernel, but
 * not each time. */
static bool result_is_orphaned(struct engine *engine)
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t asked_ns = atomic_load_explicit(&engine->asked_ns, memory_order_relaxed);

	if (now_ns - asked_ns < RESULT_ASK_NS)
		return atomic_load_explicit(&engine->is_lost, memory_order_relaxed);
	atomic_store_explicit(&engine->asked_ns, now_ns, memory_order_relaxed);
	return engine_is_lost(engine);
}

/* ---- functions whose results are records ---- */

/* Beside enum client_outcome: the flow is at another daemon, or should be. */
#define RESULT_E_MOVED _CLIENT_E_N

/* Until there is a record, the end, or a cause to look. Return: 0, RESULT_E_MOVED, or -1. */
static int result_wait(struct flow *flow, struct applied *applied)
{
	struct pollfd ends[ENGINE_N_ENDS];
	int r;

	/* Until this thread lets the ring go, its memory and the engine's socket stay. */
	engine_ends(applied->engine, ends);
	flow_park(flow);
	r = ring_reader_wait_peer(applied->ring, ends, ENGINE_N_ENDS, -1);
	flow_unpark(flow);
	if (atomic_load(&flow->is_closed))
		return client_fail(MAPI_INVALID_FLOW, "the flow was closed");
	if (r != RING_READ_E_HANGUP)
		return 0;
	atomic_store(&applied->engine->is_lost, true);
	return applied->engine->is_system ? RESULT_E_MOVED : result_fail_lost();
}

/* Of one ring, which this thread has. Return: 0, CLIENT_E_*, RESULT_E_MOVED, or -1. */
static int result_next(
	struct flow *flow, struct applied *applied, const void **ret_record, size_t *ret_bytes)
{
	for (;;) {
		int r;

		if (atomic_load(&flow->is_closed))
			return client_fail(MAPI_INVALID_FLOW, "the flow was closed");
		r = ring_reader_next(applied->ring, ret_record, ret_bytes);
		if (r == -EBADMSG)
			return client_fail(MCOM_UNKNOWN_ERROR, "the packet ring is damaged");
		if (r == RING_READ_E_END)
			return flow_failed(flow) ? -1 : CLIENT_E_END;
		if (r == 0) {
			atomic_store(&applied->was_read, true);
			return 0;
		}
		if (applied->no_wait)
			return applied->engine->is_system && result_is_orphaned(applied->engine)
				? RESULT_E_MOVED
				: CLIENT_E_EMPTY;
		r = result_wait(flow, applied);
		if (r != 0)
			return r;
	}
}

int client_next_record(struct flow *flow, int fid, const void **ret_record, size_t *ret_bytes)
{
	for (;;) {
		struct applied *applied = flow_function(flow, fid);
		int timeout_ms = applied->no_wait ? RESTART_READING_MS : RESTART_BLOCKING_MS;
		int r = RESULT_E_MOVED;

		if (!atomic_exchange(&applied->is_busy, true)) {
			r = result_next(flow, applied, ret_record, ret_bytes);
			atomic_store(&applied->is_busy, false);
		} else if (flow_function(flow, fid) == applied) {
			return client_fail(
				MAPI_SEM_ERR, "another thread is reading function %d", fid);
		}
		if (r != RESULT_E_MOVED)
			return r;
		if (restart_recover(flow, timeout_ms) < 0)
			return -1;
	}
}

static bool result_read_record(struct flow *flow, int fid, const struct recipe *function)
{
	const void *record;
	size_t n_bytes;
	int r = client_next_record(flow, fid, &record, &n_bytes);

	if (r == CLIENT_E_END)
		client_clear_error();
	if (r != 0)
		return false;
	memset(function->buffer, 0, function->result_bytes);
	memcpy(function->buffer, record, MIN(n_bytes, function->result_bytes));
	return true;
}

/* ---- the calls ---- */

/* Find a function of a connected flow. Return: a referenced flow, NULL: failed. */
static struct flow *result_begin(int fd, int fid, struct applied **ret_applied)
{
	struct flow *flow;

	if (client_enter() < 0)
		return NULL;
	flow = flow_get(fd);
	if (!flow || fid <= 0) {
		client_fail(MAPI_INVALID_FLOW, "there is no function %d of a flow %d", fid, fd);
		goto failed;
	}
	*ret_applied = flow_function(flow, fid);
	if (!*ret_applied) {
		client_fail(MAPI_INVALID_FID_FUNCID, "flow %d has no function %d", fd, fid);
		goto failed;
	}
	if (flow_need_connected(flow) < 0)
		goto failed;
	return flow;
failed:
	if (flow)
		flow_put(flow);
	return NULL;
}

/* The current value. Return: false with this thread's error. */
static bool result_read_value(struct flow *flow, int fid)
{
	for (;;) {
		const struct applied *applied = flow_function(flow, fid);
		struct engine *engine = applied->engine;

		if ((applied->n_slots == 0 || result_read_slots(applied)) &&
			!result_is_orphaned(engine))
			return true;
		if (!engine->is_system)
			return result_fail_lost() == 0;
		/* What a flow had before its end stays readable. */
		if (atomic_load(&flow->is_over))
			return true;
		if (restart_recover(flow, RESTART_READING_MS) < 0 && !atomic_load(&flow->is_over))
			return false;
	}
}

mapi_results_t *mapi_read_results(int fd, int fid)
{
	struct recipe *function;
	struct applied *applied;
	struct flow *flow = result_begin(fd, fid, &applied);
	bool is_read;

	if (!flow)
		return NULL;
	function = applied->function;
	flow_consume_news(flow);
	if (applied->ring && (applied->desc->flags & MAPI_FUNCTION_BLOCKING))
		is_read = result_read_record(flow, fid, function);
	else
		is_read = result_read_value(flow, fid);
	if (is_read) {
		function->result.size = (int)function->result_bytes;
		function->result.ts = clock_realtime_ns() / 1000;
	}
	flow_put(flow);
	return is_read ? &function->result : NULL;
}

/* The place of MAPI_REF. Under the lock. @data: the function's id. */
static int result_take_cell(struct flow *flow, const Wire__Reply *reply, void *data)
{
	struct applied *applied = flow_function(flow, *(const int *)data);
	const struct engine *engine = flow->engine;
	uint64_t offset_bytes = reply->result_case == WIRE__REPLY__RESULT_CELL
		? reply->cell->cell_offset_bytes
		: UINT64_MAX;

	if (offset_bytes % sizeof(uint64_t) != 0 || offset_bytes > engine->results_bytes ||
		engine->results_bytes - offset_bytes < sizeof(uint64_t))
		return client_fail(MAPI_SHM_ERR, "the daemon sent an invalid place");
	atomic_store(&applied->cell, engine->results + offset_bytes);
	return 0;
}

static void *result_read_ref(int fd, int fid)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__ResultCell result_cell = WIRE__RESULT_CELL__INIT;
	struct applied *applied;
	struct flow *flow = result_begin(fd, fid, &applied);
	const void *cell;

	if (!flow)
		return NULL;
	/* A place at a former daemon would keep its last value for ever. */
	if (restart_is_due(flow) && restart_recover(flow, RESTART_READING_MS) < 0) {
		flow_put(flow);
		return NULL;
	}
	applied = flow_function(flow, fid);
	cell = atomic_load(&applied->cell);
	if (!cell && applied->n_slots == 0) {
		cell = applied->function->buffer; /* no result: zero, for ever */
	} else if (!cell) {
		request.call_case = WIRE__REQUEST__CALL_RESULT_CELL;
		request.result_cell = &result_cell;
		result_cell.function = (uint32_t)fid;
		if (flow_request(flow, &request, &result_cell.flow, result_take_cell, &fid) == 0)
			cell = atomic_load(&flow_function(flow, fid)->cell);
	}
	flow_put(flow);
	return (void *)(uintptr_t)cell;
}

void *mapi_read_results_method(int fd, int fid, int method)
{
	mapi_results_t *result;

	if (method == MAPI_REF)
		return result_read_ref(fd, fid);
	result = mapi_read_results(fd, fid);
	return result ? result->res : NULL;
}
