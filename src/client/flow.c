/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flows: the table, creating, connecting, closing.
 *
 * A flow is found without a lock. Its memory is never given back to malloc, so that a thread that
 * has just read the pointer may try to take a reference; it then checks that the flow is still the
 * one it looked for.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "client.h"
#include "wire/wake.h"

#define FLOW_PCAP "pcap:" /* a local device that libpcap opens */

/* Classes of devices, by their historical numbers. Capture files were read by the driver of network
 * interfaces. */
#define FLOW_DEVTYPE_NIC "1.3"
#define FLOW_DEVTYPE_TRACES "1.4"

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

int flow_id_of(const void *data, int fd)
{
	const struct engine *engine = data, *other;
	const struct flow *flow = fd > 0 ? flow_in_slot((unsigned int)fd % CLIENT_FLOWS_MAX) : NULL;
	int id = fd - engine->fd_base;

	if (flow && atomic_load(&flow->fd) == fd) {
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

static struct flow *flow_new(void)
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

/* Put back what flow_new() gave, before it was published. */
static void flow_give_up(struct flow *flow, struct engine *engine)
{
	atomic_store(&flow->engine, engine);
	engine->n_users++;
	flow_retire(flow);
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

/* ---- creating ---- */

int flow_close_at_engine(struct engine *engine, uint32_t id)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowClose close_request = WIRE__FLOW_CLOSE__INIT;

	close_request.flow = id;
	request.call_case = WIRE__REQUEST__CALL_FLOW_CLOSE;
	request.flow_close = &close_request;
	return engine_call(engine, &request, NULL, 0) ? 0 : -1;
}

static void flow_close_device(struct engine *engine, uint64_t device)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__DeviceClose close_request = WIRE__DEVICE_CLOSE__INIT;

	close_request.device = device;
	request.call_case = WIRE__REQUEST__CALL_DEVICE_CLOSE;
	request.device_close = &close_request;
	(void)engine_call(engine, &request, NULL, 0); /* a lost daemon has closed it */
}

int flow_ask_new(struct engine *engine, uint64_t device, bool start, uint32_t *ret_id,
	const struct results_flow **ret_shared)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowCreate create = WIRE__FLOW_CREATE__INIT;
	const struct results_flow *shared;
	const Wire__Reply *reply;

	create.device = device;
	create.start = start;
	request.call_case = WIRE__REQUEST__CALL_FLOW_CREATE;
	request.flow_create = &create;
	reply = engine_call(engine, &request, NULL, 0);
	if (!reply)
		return -1;
	if (reply->result_case != WIRE__REPLY__RESULT_FLOW || reply->flow->flow == 0 ||
		reply->flow->flow > (uint32_t)(INT32_MAX - engine->fd_base))
		return client_fail(MCOM_UNKNOWN_ERROR, "the daemon sent an unexpected reply");
	shared = engine_results(engine, reply->flow->flow_offset_bytes, sizeof(*shared));
	if (!shared)
		return client_fail(MAPI_SHM_ERR, "the daemon sent an invalid place");
	*ret_id = reply->flow->flow;
	*ret_shared = shared;
	return 0;
}

/* One flow at the engine whose descriptor has a free slot. Return: 0, or -1 with this thread's
 * error. */
static int flow_create_at_engine(
	struct engine *engine, uint64_t device, bool start, struct flow *flow, int *ret_fd)
{
	/* Its number may fall on a slot that an old flow still has: then the next one. */
	for (unsigned int i = 0; i < CLIENT_FLOWS_MAX && engine->fd_last < INT32_MAX; i++) {
		const struct results_flow *shared;
		int fd;

		if (flow_ask_new(engine, device, start, &flow->id, &shared) < 0)
			return -1;
		atomic_store(&flow->shared, shared);
		/* A daemon that was restarted may count again from where it began. */
		fd = MAX(engine->fd_base + (int)flow->id, engine->fd_last + 1);
		engine->fd_last = fd;
		if (!atomic_load(&flow_table.slots[fd % CLIENT_FLOWS_MAX])) {
			*ret_fd = fd;
			return 0;
		}
		if (flow_close_at_engine(engine, flow->id) < 0)
			return -1;
	}
	return client_fail(MAPI_QUOTA_EXCEEDED, "this program has %d flows, and cannot have more",
		CLIENT_FLOWS_MAX);
}

/* Under the lock. Return: the descriptor, or -1. */
static int flow_create(
	struct engine *engine, const struct flow_device *device, bool owns_device, const char *name)
{
	struct flow *flow = flow_new();
	int fd = 0;

	if (!flow)
		return client_fail(MAPI_OUT_OF_MEMORY, "out of memory");
	if (flow_create_at_engine(engine, device->id, owns_device, flow, &fd) < 0) {
		flow_give_up(flow, engine);
		return -1;
	}
	atomic_store(&flow->engine, engine);
	engine->n_users++;
	flow->device = device->id;
	atomic_store(&flow->device_number, device->number);
	flow->devtype = device->devtype;
	flow->owns_device = owns_device;
	(void)snprintf(flow->device_name, sizeof(flow->device_name), "%s", name);
	atomic_store(&flow->is_closed, false);
	atomic_store(&flow->is_connected, false);
	atomic_store(&flow->is_end_told, false);
	atomic_store(&flow->restarts, 0);
	atomic_store(&flow->gap_ns, 0);
	atomic_store(&flow->is_over, false);
	flow->n_fatal = 0;
	atomic_store(&flow->fd, fd);
	atomic_store(&flow->refs, 1);
	atomic_store(&flow_table.slots[fd % CLIENT_FLOWS_MAX], flow);
	return fd;
}

/* Ask the engine for a device. @fd: of a capture file, -1: none. Under the lock. */
int flow_open_device(
	struct engine *engine, const char *name, int format, int fd, struct flow_device *ret_device)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__DeviceOpen open_request = WIRE__DEVICE_OPEN__INIT;
	const Wire__Reply *reply;

	open_request.name = (char *)(uintptr_t)name;
	open_request.format = format;
	request.call_case = WIRE__REQUEST__CALL_DEVICE_OPEN;
	request.device_open = &open_request;
	reply = engine_call(engine, &request, &fd, fd >= 0 ? 1 : 0);
	if (!reply)
		return -1;
	if (reply->result_case != WIRE__REPLY__RESULT_DEVICE)
		return client_fail(MCOM_UNKNOWN_ERROR, "the daemon sent an unexpected reply");
	*ret_device = (struct flow_device){ .id = reply->device->device,
		.number = reply->device->id,
		.devtype = strcmp(reply->device->driver, "tracedir") == 0 ? FLOW_DEVTYPE_TRACES
									  : FLOW_DEVTYPE_NIC };
	return 0;
}

/* Under the lock: a flow on a device of its own. @engine: NULL with this thread's error. */
static int flow_create_on_new_device(struct engine *engine, const char *name, int format, int fd)
{
	struct flow_device device;
	int flow_fd;

	if (!engine || flow_open_device(engine, name, format, fd, &device) < 0)
		return -1;
	flow_fd = flow_create(engine, &device, true, name);
	if (flow_fd < 0)
		flow_close_device(engine, device.id);
	return flow_fd;
}

int mapi_create_flow(const char *dev)
{
	struct client_lock lock;
	struct engine *engine;
	struct flow_device device = { .devtype = FLOW_DEVTYPE_NIC };
	int fd;

	if (!dev)
		return client_fail(MAPI_DEVICE_INFO_ERR, "the device is NULL");
	client_lock(&lock);
	/* First, because in a child of fork() it forgets the parent's devices. */
	if (client_begin() < 0)
		fd = -1;
	else if (device_find(dev, &engine, &device.id, &device.number))
		fd = flow_create(engine, &device, false, dev);
	else if (strchr(dev, ':') && strncmp(dev, FLOW_PCAP, strlen(FLOW_PCAP)) != 0)
		fd = client_fail(MAPID_NO_DRIVER,
			"'%s': remote flows are not supported by this version", dev);
	else
		fd = flow_create_on_new_device(client_live_engine(), dev, 0, -1);
	client_unlock(&lock);
	return fd;
}

int mapi_create_offline_flow(const char *path, int format)
{
	_cleanup_(cleanup_closep) int file_fd = -1;
	struct client_lock lock;
	int fd;

	if (!path)
		return client_fail(MAPI_DEVICE_INFO_ERR, "the path of the capture file is NULL");
	file_fd = device_open_file(path);
	if (file_fd < 0)
		return -1;
	client_lock(&lock);
	fd = flow_create_on_new_device(client_engine(), path, format, file_fd);
	client_unlock(&lock);
	return fd;
}

/* ---- connecting, flushing ---- */

/* A request that kills the daemon is repeated so often. */
#define FLOW_REQUEST_TRIES 2

int flow_request(struct flow *flow, Wire__Request *request, uint32_t *id,
	int (*take)(struct flow *flow, const Wire__Reply *reply, void *data), void *data)
{
	for (unsigned int tries = 1;; tries++) {
		const Wire__Reply *reply;
		struct client_lock lock;
		int r = -1;

		client_lock(&lock);
		/* Another thread may have closed it while this one waited for the lock. */
		if (atomic_load(&flow->is_closed)) {
			client_fail(MAPI_INVALID_FLOW, "the flow was closed");
		} else if (atomic_load(&flow->is_over)) {
			client_fail_error(&flow->end);
		} else {
			*id = flow->id;
			reply = engine_call(flow->engine, request, NULL, 0);
			if (reply)
				r = take ? take(flow, reply, data) : 0;
		}
		client_unlock(&lock);
		if (r == 0 || tries == FLOW_REQUEST_TRIES || !restart_is_due(flow))
			return r;
		if (restart_recover(flow, RESTART_BLOCKING_MS) < 0)
			return -1;
	}
}

static int flow_take_connected(struct flow *flow, const Wire__Reply *reply, void *data)
{
	(void)reply;
	(void)data;
	atomic_store(&flow->is_connected, true);
	return 0;
}

int mapi_connect(int fd)
{
	_cleanup_(flow_putp) struct flow *flow = NULL;
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowConnect connect = WIRE__FLOW_CONNECT__INIT;

	if (client_enter() < 0)
		return -1;
	flow = flow_get(fd);
	if (!flow)
		return client_fail(MAPI_INVALID_FLOW, "there is no flow %d", fd);
	if (atomic_load(&flow->is_connected))
		return client_fail(FLOW_ALREADY_ACTIVE, "flow %d is connected already", fd);
	request.call_case = WIRE__REQUEST__CALL_FLOW_CONNECT;
	request.flow_connect = &connect;
	return flow_request(flow, &request, &connect.flow, flow_take_connected, NULL);
}

int mapi_flush(int fd)
{
	_cleanup_(flow_putp) struct flow *flow = NULL;
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowFlush flush = WIRE__FLOW_FLUSH__INIT;

	if (client_enter() < 0)
		return -1;
	flow = flow_get(fd);
	if (!flow)
		return client_fail(MAPI_INVALID_FLOW, "there is no flow %d", fd);
	if (!atomic_load(&flow->is_connected))
		return client_fail(MAPI_FLOW_NOT_CONNECTED, "flow %d is not connected", fd);
	request.call_case = WIRE__REQUEST__CALL_FLOW_FLUSH;
	request.flow_flush = &flush;
	return flow_request(flow, &request, &flush.flow, NULL, NULL);
}

int mapi_authenticate(int fd, const char *user, const char *password, const char *vo)
{
	_cleanup_(flow_putp) struct flow *flow = NULL;

	(void)user;
	(void)password;
	(void)vo;
	if (client_enter() < 0)
		return -1;
	flow = flow_get(fd);
	if (!flow)
		return client_fail(MAPI_INVALID_FLOW, "there is no flow %d", fd);
	return 0;
}

/* ---- closing ---- */

static void flow_wake(struct flow *flow)
{
	unsigned int n_functions = atomic_load(&flow->n_functions);

	for (unsigned int i = 0; i < n_functions; i++) {
		struct applied *applied = atomic_load(&flow->functions[i]);

		if (applied->ring)
			ring_reader_wake(applied->ring);
	}
	if (atomic_load(&flow->event_fd) >= 0)
		wake_signal_now(atomic_load(&flow->event_fd));
}

int mapi_close_flow(int fd)
{
	struct client_lock lock;
	struct flow *flow;
	int r = 0;

	if (client_enter() < 0)
		return -1;
	client_lock(&lock);
	flow = fd > 0 ? atomic_load(&flow_table.slots[fd % CLIENT_FLOWS_MAX]) : NULL;
	if (!flow || atomic_load(&flow->fd) != fd) {
		r = client_fail(MAPI_INVALID_FLOW, "there is no flow %d", fd);
	} else {
		atomic_store(&flow->is_closed, true);
		atomic_store(&flow_table.slots[fd % CLIENT_FLOWS_MAX], NULL);
		flow_wake(flow);
		/* A device of its own goes with it. */
		if (!atomic_load(&flow->is_over) &&
			!atomic_load(&atomic_load(&flow->engine)->is_lost))
			r = flow_close_at_engine(flow->engine, flow->id);
		if (flow_unref(flow))
			flow_retire(flow);
	}
	client_unlock(&lock);
	return r;
}
