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
			merges[f->type](f->merge, to + f->offset_bytes, from + f->offset_bytes, is_later);
	}
}

/* A slot, as long as the longest fixed result; longer ones travel in rings. */
#define RESULT_SLOT_BYTES_MAX 4096

static bool result_read_slots(struct engine *engine, struct applied *applied)
{
	_Alignas(16) unsigned char copy[RESULT_SLOT_BYTES_MAX];
	size_t n_bytes = offsetof(struct results_slot, data) + applied->result_bytes;
	uint64_t last_order = 0;
	bool has_value = false;

	if (applied->n_slots == 1) {
		const struct results_slot *slot = (const void *)applied->slots;

		return result_copy(
			engine, &slot->seq, slot->data, applied->buffer, applied->result_bytes);
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
			result_merge(applied->desc, applied->buffer, data, order > last_order);
		else
			memcpy(applied->buffer, data, applied->result_bytes);
		has_value = true;
		last_order = MAX(last_order, order);
	}
	return true;
}

/* ---- functions whose results are records ---- */

/* Until there is a record, the end, or a cause to look. */
static int result_wait(struct flow *flow, struct applied *applied)
{
	int r = ring_reader_wait_peer(applied->ring, flow->engine->fd, -1);

	if (atomic_load(&flow->is_closed))
		return client_fail(MAPI_INVALID_FLOW, "the flow was closed");
	if (r == RING_READ_E_HANGUP) {
		atomic_store(&flow->engine->is_lost, true);
		return client_fail(MAPI_DAEMON_LOST, "the daemon of this flow ended unexpectedly");
	}
	return 0;
}

int client_next_record(struct flow *flow, struct applied *applied, bool no_wait,
	const void **ret_record, size_t *ret_bytes)
{
	int r = -1;

	if (atomic_exchange(&applied->is_busy, true))
		return client_fail(
			MAPI_SEM_ERR, "another thread is reading function %d", applied->fid);
	for (;;) {
		if (atomic_load(&flow->is_closed)) {
			r = client_fail(MAPI_INVALID_FLOW, "the flow was closed");
			break;
		}
		r = ring_reader_next(applied->ring, ret_record, ret_bytes);
		if (r == -EBADMSG) {
			r = client_fail(MCOM_UNKNOWN_ERROR, "the packet ring is damaged");
			break;
		}
		if (r == RING_READ_E_END) {
			r = flow_failed(flow) ? -1 : CLIENT_E_END;
			break;
		}
		if (r == 0)
			break;
		if (no_wait) {
			r = CLIENT_E_EMPTY;
			break;
		}
		r = result_wait(flow, applied);
		if (r < 0)
			break;
	}
	atomic_store(&applied->is_busy, false);
	return r;
}

static bool result_read_record(struct flow *flow, struct applied *applied)
{
	const void *record;
	size_t n_bytes;
	int r = client_next_record(flow, applied, false, &record, &n_bytes);

	if (r == CLIENT_E_END)
		client_clear_error();
	if (r != 0)
		return false;
	memset(applied->buffer, 0, applied->result_bytes);
	memcpy(applied->buffer, record, MIN(n_bytes, applied->result_bytes));
	return true;
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
	if (!atomic_load_explicit(&flow->is_connected, memory_order_acquire)) {
		client_fail(MAPI_FLOW_NOT_CONNECTED, "flow %d is not connected", fd);
		goto failed;
	}
	return flow;
failed:
	if (flow)
		flow_put(flow);
	return NULL;
}

mapi_results_t *mapi_read_results(int fd, int fid)
{
	struct applied *applied;
	struct flow *flow = result_begin(fd, fid, &applied);
	bool is_read = true;

	if (!flow)
		return NULL;
	flow_consume_news(flow);
	if (applied->ring && (applied->desc->flags & MAPI_FUNCTION_BLOCKING))
		is_read = result_read_record(flow, applied);
	else if ((applied->n_slots > 0 && !result_read_slots(flow->engine, applied)) ||
		result_is_orphaned(flow->engine)) {
		client_fail(MAPI_DAEMON_LOST, "the daemon of this flow ended unexpectedly");
		is_read = false;
	}
	if (is_read) {
		applied->result.size = (int)applied->result_bytes;
		applied->result.ts = clock_realtime_ns() / 1000;
	}
	flow_put(flow);
	return is_read ? &applied->result : NULL;
}

/* The place of MAPI_REF. Under the lock. */
static const void *result_cell(struct flow *flow, const struct applied *applied)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__ResultCell cell = WIRE__RESULT_CELL__INIT;
	const Wire__Reply *reply;
	uint64_t offset_bytes;

	cell.flow = flow->id;
	cell.function = (uint32_t)applied->fid;
	request.call_case = WIRE__REQUEST__CALL_RESULT_CELL;
	request.result_cell = &cell;
	reply = engine_call(flow->engine, &request, NULL, 0);
	if (!reply)
		return NULL;
	offset_bytes = reply->result_case == WIRE__REPLY__RESULT_CELL
		? reply->cell->cell_offset_bytes
		: UINT64_MAX;
	if (offset_bytes % sizeof(uint64_t) != 0 || offset_bytes > flow->engine->results_bytes ||
		flow->engine->results_bytes - offset_bytes < sizeof(uint64_t)) {
		client_fail(MAPI_SHM_ERR, "the daemon sent an invalid place");
		return NULL;
	}
	return flow->engine->results + offset_bytes;
}

static void *result_read_ref(int fd, int fid)
{
	struct applied *applied;
	struct flow *flow = result_begin(fd, fid, &applied);
	struct client_lock lock;
	const void *cell;

	if (!flow)
		return NULL;
	cell = atomic_load(&applied->cell);
	if (!cell && applied->n_slots == 0) {
		cell = applied->buffer; /* no result: zero, for ever */
	} else if (!cell) {
		client_lock(&lock);
		cell = result_cell(flow, applied);
		atomic_store(&applied->cell, cell);
		client_unlock(&lock);
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
