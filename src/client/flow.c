/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flows: creating, connecting, flushing, closing; the table of them is in flow_table.c.
 */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "wire/wake.h"

#define FLOW_PCAP "pcap:" /* a local device that libpcap opens */

/* Classes of devices, by their historical numbers. Capture files were read by the driver of network
 * interfaces. */
#define FLOW_DEVTYPE_NIC "1.3"
#define FLOW_DEVTYPE_TRACES "1.4"

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
		if (!flow_in_slot((unsigned int)fd % CLIENT_FLOWS_MAX)) {
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
	flow_publish(flow, fd);
	return fd;
}

/* Ask the engine for a device. @fd: of a capture file, -1: none. Under the lock. */
int flow_open_device(
	struct engine *engine, const char *name, int fd, struct flow_device *ret_device)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__DeviceOpen open_request = WIRE__DEVICE_OPEN__INIT;
	const Wire__Reply *reply;

	open_request.name = (char *)(uintptr_t)name;
	if (fd < 0)
		open_request.no_system = (char *)(uintptr_t)client_why_private(engine);
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
static int flow_create_on_new_device(struct engine *engine, const char *name, int fd)
{
	struct flow_device device;
	int flow_fd;

	if (!engine || flow_open_device(engine, name, fd, &device) < 0)
		return -1;
	flow_fd = flow_create(engine, &device, true, name);
	if (flow_fd < 0)
		flow_close_device(engine, device.id);
	return flow_fd;
}

static int flow_create_live(const char *dev)
{
	struct engine *engine = client_live_engine();
	int fd = flow_create_on_new_device(engine, dev, -1);

	return fd < 0 ? client_refused_live(engine) : fd;
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
		fd = flow_create_live(dev);
	client_unlock(&lock);
	return fd;
}

int mapi_create_offline_flow(const char *path, int format)
{
	_cleanup_(cleanup_closep) int file_fd = -1;
	struct client_lock lock;
	int fd;

	(void)format; /* the content decides */
	if (!path)
		return client_fail(MAPI_DEVICE_INFO_ERR, "the path of the capture file is NULL");
	file_fd = device_open_file(path);
	if (file_fd < 0)
		return -1;
	client_lock(&lock);
	fd = flow_create_on_new_device(client_engine(), path, file_fd);
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
	_cleanup_(flow_putp) struct flow *flow = flow_enter(fd);
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowConnect connect = WIRE__FLOW_CONNECT__INIT;

	if (!flow)
		return -1;
	if (atomic_load(&flow->is_connected))
		return client_fail(FLOW_ALREADY_ACTIVE, "flow %d is connected already", fd);
	request.call_case = WIRE__REQUEST__CALL_FLOW_CONNECT;
	request.flow_connect = &connect;
	return flow_request(flow, &request, &connect.flow, flow_take_connected, NULL);
}

int flow_flush(struct flow *flow)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowFlush flush = WIRE__FLOW_FLUSH__INIT;

	request.call_case = WIRE__REQUEST__CALL_FLOW_FLUSH;
	request.flow_flush = &flush;
	return flow_request(flow, &request, &flush.flow, NULL, NULL);
}

int mapi_flush(int fd)
{
	_cleanup_(flow_putp) struct flow *flow = flow_enter(fd);

	return flow && flow_need_connected(flow) == 0 ? flow_flush(flow) : -1;
}

int mapi_authenticate(int fd, const char *user, const char *password, const char *vo)
{
	_cleanup_(flow_putp) struct flow *flow = flow_enter(fd);

	(void)user;
	(void)password;
	(void)vo;
	return flow ? 0 : -1;
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
	flow = flow_by_number(fd);
	if (!flow) {
		r = flow_unknown(fd);
	} else {
		flow_withdraw(flow);
		flow_wake(flow);
		/* A device of its own goes with it. */
		if (!atomic_load(&flow->is_over) &&
			!atomic_load(&atomic_load(&flow->engine)->is_lost))
			r = flow_close_at_engine(flow->engine, flow->id);
		flow_put_locked(flow);
	}
	client_unlock(&lock);
	return r;
}
