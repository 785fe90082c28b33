/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of flows: finding them, references on them, their memory.
 *
 * A flow is found without a lock. Its memory is never given back to malloc, so that a thread that
 * has just read the pointer may try to take a reference; it then checks that the flow is still the
 * one it looked for.
 */
#include <string.h>

#include "client.h"

static struct flow_table {
	_Atomic(struct flow *) slots[CLIENT_FLOWS_MAX]; /* at fd % CLIENT_FLOWS_MAX */

	/* Guarded by the client's lock: closed flows without references, oldest first. */
	struct flow *closed;
	struct flow **closed_end;
	unsigned int n_closed;
} flow_table = { .closed_end = &flow_table.closed };

/* ---- references ---- */

struct flow *flow_get(int fd)
{
	struct flow *flow;
	uint64_t refs;

	if (fd <= 0)
		return NULL;
	flow = atomic_load_explicit(&flow_table.slots[fd % CLIENT_FLOWS_MAX], memory_order_acquire);
	if (!flow)
		return NULL;
	refs = atomic_load_explicit(&flow->refs, memory_order_relaxed);
	do {
		if (refs == 0)
			return NULL;
	} while (!atomic_compare_exchange_weak_explicit(
		&flow->refs, &refs, refs + 1, memory_order_acquire, memory_order_relaxed));
	if (atomic_load(&flow->fd) == fd && !atomic_load(&flow->is_closed))
		return flow;
	flow_put(flow);
	return NULL;
}

int flow_unknown(int fd)
{
	return client_fail(MAPI_INVALID_FLOW, "there is no flow %d", fd);
}

struct flow *flow_find(int fd)
{
	struct flow *flow = flow_get(fd);

	if (!flow)
		(void)flow_unknown(fd);
	return flow;
}

struct flow *flow_enter(int fd)
{
	return client_enter() < 0 ? NULL : flow_find(fd);
}

int flow_need_connected(const struct flow *flow)
{
	if (atomic_load_explicit(&flow->is_connected, memory_order_acquire))
		return 0;
	return client_fail(
		MAPI_FLOW_NOT_CONNECTED, "flow %d is not connected", atomic_load(&flow->fd));
}

void flow_park(struct flow *flow)
{
	atomic_fetch_add(&flow->refs, FLOW_PARKED);
}

void flow_unpark(struct flow *flow)
{
	atomic_fetch_sub(&flow->refs, FLOW_PARKED);
}

int flow_next(int fd)
{
	int next_fd = 0;

	for (unsigned int i = 0; i < CLIENT_FLOWS_MAX; i++) {
		const struct flow *flow = atomic_load(&flow_table.slots[i]);
		int other_fd = flow ? atomic_load(&flow->fd) : 0;

		if (other_fd > 0 && other_fd > fd && (next_fd == 0 || other_fd < next_fd))
			next_fd = other_fd;
	}
	return next_fd;
}

bool flow_is_own(const struct engine *engine, uint32_t id)
{
	for (unsigned int i = 0; i < CLIENT_FLOWS_MAX; i++) {
		const struct flow *flow = atomic_load(&flow_table.slots[i]);

		if (flow && flow->engine == engine && flow->id == id)
			return true;
	}
	return false;
}

const struct flow *flow_on_device(const char *name)
{
	for (unsigned int i = 0; i < CLIENT_FLOWS_MAX; i++) {
		const struct flow *flow = atomic_load(&flow_table.slots[i]);

		if (flow && !atomic_load(&flow->is_closed) && !atomic_load(&flow->is_over) &&
			strcmp(flow->device_name, name) == 0 &&
			!engine_is_lost(atomic_load(&flow->engine)))
			return flow;
	}
	return NULL;
}

struct flow *flow_in_slot(unsigned int i)
{
	return i < CLIENT_FLOWS_MAX ? atomic_load(&flow_table.slots[i]) : NULL;
}

struct flow *flow_by_number(int fd)
{
	struct flow *flow = fd > 0 ? flow_in_slot((unsigned int)fd % CLIENT_FLOWS_MAX) : NULL;

	return flow && atomic_load(&flow->fd) == fd ? flow : NULL;
}

int flow_id_of(const void *data, int fd)
{
	const struct engine *engine = data, *other;
	const struct flow *flow = flow_by_number(fd);
	int id = fd - engine->fd_base;

	if (flow) {
		other = flow->engine;
		/* While flows are built again, those that have not moved yet have their numbers. */
		if (other == engine || (other->is_system && engine->is_system))
			return (int)flow->id;
	}
	/* A number that is not ours must not become one of ours by chance. */
	return id > 0 && flow_is_own(engine, (uint32_t)id) ? 0 : id;
}

static void flow_close_events(struct flow *flow)
{
	int event_fd = atomic_exchange(&flow->event_fd, -1);

	if (event_fd >= 0)
		(void)close(event_fd); /* nothing was written that close could lose */
	if (flow->poll_fd >= 0)
		(void)close(flow->poll_fd);
	flow->poll_fd = -1;
}

/* The last reference is gone. Under the lock; async-signal-safe. */
static void flow_retire(struct flow *flow)
{
	unsigned int n_functions = atomic_load(&flow->n_functions);

	for (unsigned int i = 0; i < n_functions; i++) {
		struct applied *applied = atomic_load(&flow->functions[i]);

		if (applied->ring)
			ring_reader_close(applied->ring);
		if (applied->function->poll_fd >= 0)
			(void)close(applied->function->poll_fd);
		applied->function->poll_fd = -1;
	}
	restart_close(flow);
	flow_close_events(flow);
	flow->next = NULL;
	*flow_table.closed_end = flow;
	flow_table.closed_end = &flow->next;
	flow_table.n_closed++;
}

static bool flow_unref(struct flow *flow)
{
	return atomic_fetch_sub_explicit(&flow->refs, 1, memory_order_acq_rel) == 1;
}

void flow_put_locked(struct flow *flow)
{
	if (flow_unref(flow))
		flow_retire(flow);
}

void flow_put(struct flow *flow)
{
	struct client_lock lock;

	if (!flow_unref(flow))
		return;
	client_lock(&lock);
	flow_retire(flow);
	client_unlock(&lock);
}

struct applied *flow_function(const struct flow *flow, int fid)
{
	unsigned int n_functions = atomic_load_explicit(&flow->n_functions, memory_order_acquire);
	struct applied *applied;

	if (fid <= 0)
		return NULL;
	/* Acquire: what a restart has made may take the place of the old at any time. Usually the
	 * daemon counts as we do. */
	if ((unsigned int)fid <= n_functions) {
		applied = atomic_load_explicit(&flow->functions[fid - 1], memory_order_acquire);
		if (applied->fid == fid)
			return applied;
	}
	for (unsigned int i = 0; i < n_functions; i++) {
		applied = atomic_load_explicit(&flow->functions[i], memory_order_acquire);
		if (applied->fid == fid)
			return applied;
	}
	return NULL;
}

/* ---- memory; never in a signal handler ---- */

static void flow_dismantle(struct flow *flow)
{
	unsigned int n_functions = atomic_load(&flow->n_functions);

	for (unsigned int i = 0; i < n_functions; i++) {
		struct applied *applied = atomic_load(&flow->functions[i]);

		recipe_free(applied->function);
		applied_free(applied);
	}
	atomic_store(&flow->n_functions, 0);
	restart_forget(flow);
	atomic_load(&flow->engine)->n_users--;
	atomic_store(&flow->engine, NULL);
}

struct flow *flow_new(void)
{
	struct flow *flow;

	if (flow_table.n_closed <= CLIENT_GRACE_FLOWS) {
		flow = calloc(1, sizeof(*flow));
		if (flow) {
			atomic_store(&flow->event_fd, -1);
			flow->poll_fd = -1;
		}
		return flow;
	}
	flow = flow_table.closed;
	flow_table.closed = flow->next;
	if (!flow_table.closed)
		flow_table.closed_end = &flow_table.closed;
	flow_table.n_closed--;
	flow_dismantle(flow);
	return flow;
}

void flow_give_up(struct flow *flow, struct engine *engine)
{
	atomic_store(&flow->engine, engine);
	engine->n_users++;
	flow_retire(flow);
}

void flow_publish(struct flow *flow, int fd)
{
	atomic_store(&flow->fd, fd);
	atomic_store(&flow->refs, 1);
	atomic_store(&flow_table.slots[fd % CLIENT_FLOWS_MAX], flow);
}

void flow_withdraw(struct flow *flow)
{
	atomic_store(&flow->is_closed, true);
	atomic_store(&flow_table.slots[atomic_load(&flow->fd) % CLIENT_FLOWS_MAX], NULL);
}

void flow_forget_all(void)
{
	for (unsigned int i = 0; i < CLIENT_FLOWS_MAX; i++) {
		struct flow *flow = atomic_exchange(&flow_table.slots[i], NULL);

		if (!flow)
			continue;
		atomic_store(&flow->is_closed, true);
		if (!flow_unref(flow))
			continue; /* fork() was called in a callback, which still has the packet */
		flow_close_events(flow);
		flow_dismantle(flow);
		free(flow);
	}
	while (flow_table.closed) {
		struct flow *flow = flow_table.closed;

		flow_table.closed = flow->next;
		flow_dismantle(flow);
		free(flow);
	}
	flow_table.closed_end = &flow_table.closed;
	flow_table.n_closed = 0;
}
