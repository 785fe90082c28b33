/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Answers to the requests of a client, one function per message of mapi.proto; FlowApply, the
 * longest, is in requests_apply.c, and those that ask what there is are in requests_list.c.
 *
 * A request that cannot be granted gets an error reply and changes nothing. A frame that is not a
 * request, or asks before it has greeted, ends the session.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "describe.h"
#include "mapi.h"
#include "mapi/errors.h"
#include "registry.h"
#include "requests_private.h"
#include "wire/wake.h"

/* ---- replies ---- */

int request_reply(struct session *session, uint64_t request_id, Wire__Reply *reply, const int *fds,
	unsigned int n_fds)
{
	int r;

	reply->id = request_id;
	r = wire_conn_put(session->conn, &reply->base, fds, n_fds);
	return r < 0 ? r : 0;
}

int request_refuse(struct session *session, uint64_t request_id, const struct error *err)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__Error error = WIRE__ERROR__INIT;
	char text[ERROR_TEXT_BYTES];

	(void)snprintf(text, sizeof(text), "%s", err->text); /* same size */
	error.code = err->code ? err->code : MAPID_MEM_ALLOCATION_ERROR;
	error.text = text;
	reply.error = &error;
	return request_reply(session, request_id, &reply, NULL, 0);
}

/* Turn what a module returned into an error reply: -EINVAL has filled @err. */
int request_fail(struct session *session, uint64_t request_id, int r, struct error *err)
{
	char cause[128];

	if (!err->code && r == -ENOMEM)
		error_set(err, MAPID_MEM_ALLOCATION_ERROR, "the daemon is out of memory");
	else if (!err->code)
		error_set(err, MCOM_UNKNOWN_ERROR, "the daemon cannot do this: %s",
			strerror_r(-r, cause, sizeof(cause)));
	return request_refuse(session, request_id, err);
}

int request_done(struct session *session, uint64_t request_id)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__Empty empty = WIRE__EMPTY__INIT;

	reply.result_case = WIRE__REPLY__RESULT_DONE;
	reply.done = &empty;
	return request_reply(session, request_id, &reply, NULL, 0);
}

/* ---- look-up ---- */

struct session_device *request_device(const struct session *session, uint64_t id)
{
	for (unsigned int i = 0; i < session->n_devices; i++)
		if (session->devices[i]->id == id && !session->devices[i]->closed)
			return session->devices[i];
	return NULL;
}

struct session_flow *request_flow(const struct session *session, uint32_t id)
{
	for (unsigned int i = 0; i < session->n_flows; i++)
		if (session->flows[i]->id == id && !session->flows[i]->closed)
			return session->flows[i];
	return NULL;
}

static int request_no_flow(struct session *session, uint64_t request_id, uint32_t id)
{
	struct error err = ERROR_INIT;

	error_set(&err, MAPI_INVALID_FLOW, "there is no flow %u", id);
	return request_refuse(session, request_id, &err);
}

struct plan_instance *request_instance(const struct session_flow *flow, uint32_t fid)
{
	const struct plan_flow *plan = flow->device_flow.plan;

	return fid >= 1 && fid <= plan->n_instances ? plan->instances[fid - 1] : NULL;
}

/* ---- greeting and descriptions ---- */

static unsigned int request_clamp(uint32_t value, unsigned int fallback, unsigned int max)
{
	return value == 0 ? fallback : MIN(value, max);
}

/* The interfaces that the client sees are not those that the daemon does. */
static bool request_is_elsewhere(const Wire__Hello *hello)
{
	struct stat st;

	return hello->netns_inode && stat("/proc/self/ns/net", &st) == 0 &&
		st.st_ino != hello->netns_inode;
}

static int request_hello(struct session *session, uint64_t id, const Wire__Hello *hello)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__HelloReply body = WIRE__HELLO_REPLY__INIT;
	long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int fd = area_fd(session->area);

	if (hello->version != WIRE_VERSION) {
		struct error err = ERROR_INIT;

		error_set(&err, MCOM_INIT_SOCKET_ERROR,
			"libmapi speaks version %u of the protocol, mapid version %u: install both "
			"from one release",
			hello->version, WIRE_VERSION);
		return request_refuse(session, id, &err);
	}
	if (request_is_elsewhere(hello)) {
		struct error err = ERROR_INIT;

		error_set(&err, MCOM_INIT_SOCKET_ERROR,
			"this daemon captures in another network namespace");
		return request_refuse(session, id, &err);
	}
	session->greeted = true;
	session->n_workers = request_clamp(
		hello->workers, n_cpus > 0 ? (unsigned int)n_cpus : 1, SESSION_WORKERS_MAX);
	session->batch_pkts = request_clamp(hello->batch_pkts, PACKET_BATCH_MAX, PACKET_BATCH_MAX);
	/* A shared device is as the administrator wants it, not as who comes first. */
	session->live_workers =
		session->env.is_system ? 0 : MIN(hello->workers, SESSION_WORKERS_MAX);
	session->seed = hello->has_seed ? hello->seed : 0;
	body.version = WIRE_VERSION;
	body.results_bytes = area_bytes(session->area);
	body.workers = session->n_workers;
	reply.result_case = WIRE__REPLY__RESULT_HELLO;
	reply.hello = &body;
	return request_reply(session, id, &reply, &fd, 1);
}

static int request_describe(struct session *session, uint64_t id, const Wire__Describe *describe)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__DescribeReply body;
	struct error err = ERROR_INIT;
	int r = describe_functions(&body, describe->name, &err);

	if (r < 0)
		return request_fail(session, id, r, &err);
	reply.result_case = WIRE__REPLY__RESULT_DESCRIBE;
	reply.describe = &body;
	r = request_reply(session, id, &reply, NULL, 0);
	describe_free(&body);
	return r;
}

/* ---- devices ---- */

/* A device of the client's own: it has opened the capture file. */
static int request_open_file(struct session *session, const char *name, int fd,
	struct session_device *device, struct error *err)
{
	const struct device_args args = { .open = { .name = name,
						  .fd = fd,
						  .batch_pkts = session->batch_pkts,
						  .n_workers = session->n_workers },
		.seed = session->seed,
		.notify_fd = session->env.notify_fd };

	if (!session->env.is_system)
		return device_new(&device->device, &args, err);
	session_close_fd(session, fd);
	return error_set(err, MAPID_NO_DRIVER,
		"%s: capture files are read by a private daemon, never by that of the system",
		name);
}

static int request_device_reply(
	struct session *session, uint64_t id, const struct session_device *device)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__DeviceReply body = WIRE__DEVICE_REPLY__INIT;

	body.device = device->id;
	body.id = request_device_number(session, device);
	body.driver = (char *)(uintptr_t)device_driver_name(device->device);
	reply.result_case = WIRE__REPLY__RESULT_DEVICE;
	reply.device = &body;
	return request_reply(session, id, &reply, NULL, 0);
}

/* There is room for it in session->devices. */
static int request_device_add(struct session *session, uint64_t id, struct session_device *device)
{
	device->id = ++session->last_device_id;
	device->index = session->n_devices;
	session->devices[session->n_devices++] = device;
	return request_device_reply(session, id, device);
}

int request_open_again(struct session *session, uint64_t id)
{
	struct session_device *device = session->opening;
	struct error err = ERROR_INIT;
	int r = registry_opened(session->env.registry, device->entry, &device->device, &err);

	if (r == REGISTRY_E_AGAIN) {
		session_wait(session, SESSION_PENDING_OPEN, id, NULL, 0);
		return 0;
	}
	if (r < 0) {
		request_open_forget(session);
		return request_fail(session, id, r, &err);
	}
	session->opening = NULL;
	return request_device_add(session, id, device);
}

void request_open_forget(struct session *session)
{
	if (session->opening)
		registry_put(session->env.registry, session->opening->entry);
	free(session->opening);
	session->opening = NULL;
}

/* What opening a device needs but the device. Return: 0, -EINVAL with @err filled, -ENOMEM. */
static int request_device_room(struct session *session, const char *name, struct error *err)
{
	struct session_device **grown;

	if (!closer_has_places(session_fd(session)))
		return error_set(err, MAPI_QUOTA_EXCEEDED,
			"%s: the daemon has no descriptors left (ulimit -n)", name);
	if (session->n_devices >= SESSION_DEVICES_MAX)
		return error_set(err, MAPI_QUOTA_EXCEEDED,
			"%s: a program may open %d devices at once", name, SESSION_DEVICES_MAX);
	grown = realloc(session->devices, (session->n_devices + 1) * sizeof(grown[0]));
	if (!grown)
		return -ENOMEM;
	session->devices = grown;
	return 0;
}

static int request_device_open(struct session *session, uint64_t id, const Wire__DeviceOpen *open)
{
	_cleanup_(cleanup_freep) struct session_device *device = calloc(1, sizeof(*device));
	bool is_system = session->env.is_system;
	struct error err = ERROR_INIT;
	int fd = -1;
	int r = device ? request_device_room(session, open->name, &err) : -ENOMEM;

	(void)wire_conn_take_fds(session->conn, &fd, 1); /* none: a live device */
	if (r < 0 && fd >= 0)
		session_close_fd(session, fd);
	if (r < 0)
		return request_fail(session, id, r, &err);
	device->compiler = session->compiler;
	if (fd >= 0) {
		r = request_open_file(session, open->name, fd, device, &err);
		return r < 0 ? request_fail(session, id, r, &err)
			     : request_device_add(session, id, TAKE(device));
	}
	r = registry_get(session->env.registry, open->name, session->live_workers,
		is_system ? PACKET_BATCH_MAX : session->batch_pkts, is_system ? 0 : session->seed,
		&device->entry, &err);
	if (r < 0)
		return request_fail(session, id, r, &err);
	session->opening = TAKE(device);
	return request_open_again(session, id);
}

static int request_no_device(struct session *session, uint64_t request_id)
{
	struct error err = ERROR_INIT;

	error_set(&err, MAPID_NO_DEVICE, "there is no such offline device");
	return request_refuse(session, request_id, &err);
}

static int request_device_start(
	struct session *session, uint64_t id, const Wire__DeviceStart *start)
{
	struct session_device *device = request_device(session, start->device);
	struct error err = ERROR_INIT;
	int r;

	if (!device)
		return request_no_device(session, id);
	r = device_start(device->device);
	if (r < 0)
		return request_fail(session, id, r, &err);
	device->running = true;
	return request_done(session, id);
}

static int request_device_close(
	struct session *session, uint64_t id, const Wire__DeviceClose *close)
{
	struct session_device *device = request_device(session, close->device);

	if (!device)
		return request_no_device(session, id);
	device->closed = true;
	if (!device->entry)
		device_stop(device->device);
	session_device_release(session, device);
	return request_done(session, id);
}

/* ---- flows ---- */

static bool request_id_is_used(const struct session *session, uint32_t id)
{
	for (const struct session *s = *session->env.sessions; s; s = s->next_session)
		for (unsigned int i = 0; i < s->n_flows; i++)
			if (s->flows[i]->id == id)
				return true;
	return false;
}

static uint32_t request_new_flow_id(struct session *session)
{
	struct session_ids *ids = session->env.flow_ids;
	uint32_t id;

	do {
		if (++ids->last > ids->n) {
			ids->last = 1;
			ids->again = true;
		}
		id = ids->base + ids->last;
	} while (ids->again && request_id_is_used(session, id));
	return id;
}

static int request_flow_create(struct session *session, uint64_t id, const Wire__FlowCreate *create)
{
	struct session_device *device = request_device(session, create->device);
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__FlowReply body = WIRE__FLOW_REPLY__INIT;
	struct session_flow **grown;
	_cleanup_(cleanup_freep) struct session_flow *flow = NULL;
	struct error err = ERROR_INIT;
	int r;

	if (!device)
		return request_no_device(session, id);
	if (session->n_flows >= SESSION_FLOWS_MAX) {
		error_set(&err, MAPI_QUOTA_EXCEEDED, "a program may have %d flows at once",
			SESSION_FLOWS_MAX);
		return request_refuse(session, id, &err);
	}
	if (session->env.user->n_flows >= session->env.user->flows_max) {
		error_set(&err, MAPI_QUOTA_EXCEEDED,
			"this user's programs may have %u flows together (max_flows in mapi.conf)",
			session->env.user->flows_max);
		return request_refuse(session, id, &err);
	}
	grown = realloc(session->flows, (session->n_flows + 1) * sizeof(grown[0]));
	if (grown)
		session->flows = grown;
	flow = calloc(1, sizeof(*flow));
	if (!grown || !flow)
		return request_fail(session, id, -ENOMEM, &err);
	flow->shared_offset = area_get(session->area, sizeof(struct results_flow));
	if (flow->shared_offset == AREA_NONE)
		return request_fail(session, id, -ENOMEM, &err);
	flow->device_flow.event_fd = -1;
	flow->id = request_new_flow_id(session);
	r = plan_flow_new(&flow->device_flow.plan, flow->id);
	if (r < 0) {
		area_put(session->area, flow->shared_offset, sizeof(struct results_flow));
		return request_fail(session, id, r, &err);
	}
	flow->device = device;
	flow->start = create->start;
	flow->device_flow.shared = area_at(session->area, flow->shared_offset);
	flow->index = session->n_flows;
	device->n_flows++;
	session->env.user->n_flows++;
	body.flow = flow->id;
	body.flow_offset_bytes = flow->shared_offset;
	session->flows[session->n_flows++] = TAKE(flow);
	reply.result_case = WIRE__REPLY__RESULT_FLOW;
	reply.flow = &body;
	return request_reply(session, id, &reply, NULL, 0);
}

/* The flow is connected: gates of others that wait for it may open, on its own device with it, on
 * others by a new plan. */
static void request_tell_gates(struct session *session, const struct session_flow *connected)
{
	for (unsigned int i = 0; i < session->n_flows; i++) {
		struct session_flow *flow = session->flows[i];

		if (plan_flow_note_connected(flow->device_flow.plan, connected->id) &&
			flow->connected && flow->device != connected->device)
			device_renew(flow->device->device);
	}
}

static int request_flow_connect(
	struct session *session, uint64_t id, const Wire__FlowConnect *connect)
{
	struct session_flow *flow = request_flow(session, connect->flow);
	struct error err = ERROR_INIT;
	int r;

	if (!flow)
		return request_no_flow(session, id, connect->flow);
	if (flow->connected) {
		error_set(&err, FLOW_ALREADY_ACTIVE, "flow %u is connected already", flow->id);
		return request_refuse(session, id, &err);
	}
	r = device_add(flow->device->device, &flow->device_flow, &err);
	if (r < 0)
		return request_fail(session, id, r, &err);
	if (flow->start) {
		r = device_start(flow->device->device);
		if (r < 0) {
			/* Nobody runs it: it is out as it came in. */
			device_remove(flow->device->device, &flow->device_flow);
			device_forget(flow->device->device, &flow->device_flow);
			return request_fail(session, id, r, &err);
		}
		flow->device->running = true;
	}
	flow->connected = true;
	request_tell_gates(session, flow);
	if (device_settled(flow->device->device))
		return request_done(session, id);
	session_wait(session, SESSION_PENDING_CONNECT, id, flow->device, flow->id);
	return 0;
}

/* The flow is closed, whatever its functions could not hand on. */
int request_closed(struct session *session, uint64_t request_id)
{
	struct session_closing closing = session->closing;

	session->closing = (struct session_closing){ .flow_id = 0 };
	if (closing.error.code)
		return request_refuse(session, request_id, &closing.error);
	return request_done(session, request_id);
}

static int request_flow_close(struct session *session, uint64_t id, const Wire__FlowClose *close)
{
	struct session_flow *flow = request_flow(session, close->flow);

	if (!flow)
		return request_no_flow(session, id, close->flow);
	if (flow->start)
		flow->device->closed = true; /* opened for this flow, goes with it */
	session->closing = (struct session_closing){ .flow_id = flow->id };
	session_flow_leave(session, flow);
	session_sweep(session);
	if (!session_flow_closing(session, close->flow))
		return request_closed(session, id);
	session_wait(session, SESSION_PENDING_CLOSE, id, NULL, close->flow);
	return 0;
}

static int request_flow_flush(struct session *session, uint64_t id, const Wire__FlowFlush *flush)
{
	struct session_flow *flow = request_flow(session, flush->flow);
	struct device_moment now;

	if (!flow)
		return request_no_flow(session, id, flush->flow);
	now = device_moment_now();
	if (device_flush(flow->device->device, &now))
		return request_done(session, id);
	session_wait(session, SESSION_PENDING_FLUSH, id, flow->device, flow->id);
	return 0;
}

static int request_flow_error(struct session *session, uint64_t id, const Wire__FlowError *request)
{
	struct session_flow *flow = request_flow(session, request->flow);
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__Error body = WIRE__ERROR__INIT;
	struct error err = ERROR_INIT;

	if (!flow)
		return request_no_flow(session, id, request->flow);
	if (flow->connected)
		device_flow_error(flow->device->device, &flow->device_flow, &err);
	body.code = err.code;
	body.text = err.text;
	reply.result_case = WIRE__REPLY__RESULT_FLOW_ERROR;
	reply.flow_error = &body;
	return request_reply(session, id, &reply, NULL, 0);
}

static int request_flow_events(
	struct session *session, uint64_t id, const Wire__FlowEvents *request)
{
	struct session_flow *flow = request_flow(session, request->flow);
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__Empty empty = WIRE__EMPTY__INIT;
	struct error err = ERROR_INIT;

	if (!flow)
		return request_no_flow(session, id, request->flow);
	if (!flow->connected) {
		error_set(&err, MAPI_FLOW_NOT_CONNECTED, "flow %u is not connected", flow->id);
		return request_refuse(session, id, &err);
	}
	if (!closer_has_places(session_fd(session))) {
		error_set(&err, MAPI_QUOTA_EXCEEDED,
			"the daemon has no descriptors left (ulimit -n)");
		return request_refuse(session, id, &err);
	}
	if (flow->device_flow.event_fd < 0) {
		int fd = wake_new(true);

		if (fd < 0)
			return request_fail(session, id, fd, &err);
		device_watch(flow->device->device, &flow->device_flow, fd);
	}
	reply.result_case = WIRE__REPLY__RESULT_DONE;
	reply.done = &empty;
	return request_reply(session, id, &reply, &flow->device_flow.event_fd, 1);
}

static int request_flow_interface(
	struct session *session, uint64_t id, const Wire__FlowInterface *request)
{
	struct session_flow *flow = request_flow(session, request->flow);
	struct driver_interface interface = { .linktype = 0 };
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__InterfaceReply body = WIRE__INTERFACE_REPLY__INIT;
	struct error err = ERROR_INIT;

	if (!flow)
		return request_no_flow(session, id, request->flow);
	if (device_interface(flow->device->device, request->index, &interface) < 0) {
		error_set(&err, MAPI_DEVICE_INFO_ERR, "the device has no interface %u so far",
			request->index);
		return request_refuse(session, id, &err);
	}
	body.linktype = interface.linktype;
	body.snaplen_bytes = interface.snaplen_bytes;
	body.ts_units_per_s = interface.ts_units_per_s;
	body.name = interface.name;
	reply.result_case = WIRE__REPLY__RESULT_INTERFACE;
	reply.interface = &body;
	return request_reply(session, id, &reply, NULL, 0);
}

static unsigned int request_field_bytes(enum mapi_field_type type)
{
	switch (type) {
	case MAPI_FIELD_U16:
		return 2;
	case MAPI_FIELD_U32:
	case MAPI_FIELD_I32:
	case MAPI_FIELD_IPV4:
	case MAPI_FIELD_KEY: /* its number */
		return 4;
	case MAPI_FIELD_U64:
	case MAPI_FIELD_I64:
	case MAPI_FIELD_F64:
	case MAPI_FIELD_F80: /* its low half; programs that want it whole copy the result */
	case MAPI_FIELD_TS:
		return 8;
	}
	return 0;
}

static int request_cell_reply(struct session *session, uint64_t id, uint64_t offset_bytes)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__CellReply body = WIRE__CELL_REPLY__INIT;

	body.cell_offset_bytes = offset_bytes;
	reply.result_case = WIRE__REPLY__RESULT_CELL;
	reply.cell = &body;
	return request_reply(session, id, &reply, NULL, 0);
}

static int request_result_cell(
	struct session *session, uint64_t id, const Wire__ResultCell *request)
{
	struct session_flow *flow = request_flow(session, request->flow);
	struct plan_instance *instance = flow ? request_instance(flow, request->function) : NULL;
	struct session_cell *grown;
	const struct mapi_field *field;
	struct error err = ERROR_INIT;
	uint64_t offset;

	if (!instance || !instance->result) {
		error_set(&err, MAPI_INVALID_FID_FUNCID, "function %u has no result to point to",
			request->function);
		return request_refuse(session, id, &err);
	}
	for (unsigned int i = 0; i < session->n_cells; i++)
		if (session->cells[i].slot == instance->result)
			return request_cell_reply(session, id, session->cells[i].offset);
	grown = realloc(session->cells, (session->n_cells + 1) * sizeof(grown[0]));
	if (!grown)
		return request_fail(session, id, -ENOMEM, &err);
	session->cells = grown;
	offset = area_get(session->area, sizeof(uint64_t));
	if (offset == AREA_NONE)
		return request_fail(session, id, -ENOMEM, &err);
	field = &instance->function->desc.fields[0];
	session->cells[session->n_cells++] = (struct session_cell){ .flow = flow,
		.slot = instance->result,
		.field_offset_bytes = field->offset_bytes,
		.field_bytes = request_field_bytes(field->type),
		.offset = offset };
	session_refresh_cell(session, &session->cells[session->n_cells - 1]);
	return request_cell_reply(session, id, offset);
}

/* What a client of the read-only socket may ask. */
static bool request_only_looks(const Wire__Request *request)
{
	return request->call_case == WIRE__REQUEST__CALL_HELLO ||
		request->call_case == WIRE__REQUEST__CALL_DESCRIBE ||
		request->call_case == WIRE__REQUEST__CALL_LIST_DEVICE ||
		request->call_case == WIRE__REQUEST__CALL_LIST_FLOW ||
		request->call_case == WIRE__REQUEST__CALL_LIST_FUNCTION ||
		request->call_case == WIRE__REQUEST__CALL_DEVICE_STATS;
}

static int request_may_not(struct session *session, uint64_t id)
{
	struct error err = ERROR_INIT;

	error_set(&err, MAPI_NO_PERMISSION,
		"this connection may only look: capturing needs the other socket, which is for "
		"members of its group");
	return request_refuse(session, id, &err);
}

int request_answer(struct session *session, const Wire__Request *request)
{
	if (!session->greeted && request->call_case != WIRE__REQUEST__CALL_HELLO)
		return -EPROTO;
	if (session->env.read_only && !request_only_looks(request))
		return request_may_not(session, request->id);
	switch (request->call_case) {
	case WIRE__REQUEST__CALL_HELLO:
		return request_hello(session, request->id, request->hello);
	case WIRE__REQUEST__CALL_DESCRIBE:
		return request_describe(session, request->id, request->describe);
	case WIRE__REQUEST__CALL_DEVICE_OPEN:
		return request_device_open(session, request->id, request->device_open);
	case WIRE__REQUEST__CALL_DEVICE_START:
		return request_device_start(session, request->id, request->device_start);
	case WIRE__REQUEST__CALL_DEVICE_CLOSE:
		return request_device_close(session, request->id, request->device_close);
	case WIRE__REQUEST__CALL_FLOW_CREATE:
		return request_flow_create(session, request->id, request->flow_create);
	case WIRE__REQUEST__CALL_FLOW_APPLY:
		return request_flow_apply(session, request->id, request->flow_apply);
	case WIRE__REQUEST__CALL_FLOW_CONNECT:
		return request_flow_connect(session, request->id, request->flow_connect);
	case WIRE__REQUEST__CALL_FLOW_CLOSE:
		return request_flow_close(session, request->id, request->flow_close);
	case WIRE__REQUEST__CALL_FLOW_FLUSH:
		return request_flow_flush(session, request->id, request->flow_flush);
	case WIRE__REQUEST__CALL_FLOW_ERROR:
		return request_flow_error(session, request->id, request->flow_error);
	case WIRE__REQUEST__CALL_RESULT_CELL:
		return request_result_cell(session, request->id, request->result_cell);
	case WIRE__REQUEST__CALL_FLOW_EVENTS:
		return request_flow_events(session, request->id, request->flow_events);
	case WIRE__REQUEST__CALL_FLOW_INTERFACE:
		return request_flow_interface(session, request->id, request->flow_interface);
	case WIRE__REQUEST__CALL_LIST_DEVICE:
		return request_list_device(session, request->id, request->list_device);
	case WIRE__REQUEST__CALL_LIST_FLOW:
		return request_list_flow(session, request->id, request->list_flow);
	case WIRE__REQUEST__CALL_LIST_FUNCTION:
		return request_list_function(session, request->id, request->list_function);
	case WIRE__REQUEST__CALL_DEVICE_STATS:
		return request_device_stats(session, request->id, request->device_stats);
	case WIRE__REQUEST__CALL_EXPLAIN:
		return request_explain(session, request->id, request->explain);
	case WIRE__REQUEST__CALL__NOT_SET:
	case _WIRE__REQUEST__CALL__CASE_IS_INT_SIZE:
		break;
	}
	return -EPROTO;
}
