/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a flow: created, connected, flushed, closed; and what a client may know of it. */
#include <errno.h>

#include "mapi.h"
#include "mapi/errors.h"
#include "requests_private.h"
#include "wire/wake.h"

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

int request_flow_create(struct session *session, uint64_t id, const Wire__FlowCreate *create)
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
	if (r == 0)
		flow->device_flow.plan->owner = session->env.user->uid;
	if (r < 0) {
		area_put(session->area, flow->shared_offset, sizeof(struct results_flow));
		return request_fail(session, id, r, &err);
	}
	flow->device = device;
	flow->ordinal = ++session->n_flows_made;
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

/* The flow is in its plan, or never will be: gates of others that wait for it may open, on @here
 * with the next plan, which is being made, on other devices by a new one. */
static void request_tell_gates(struct session *session, unsigned int id, const struct device *here)
{
	for (unsigned int i = 0; i < session->n_flows; i++) {
		struct session_flow *flow = session->flows[i];

		if (plan_flow_note_connected(flow->device_flow.plan, id) && flow->connected &&
			flow->device->device != here)
			device_renew(flow->device->device);
	}
}

/* Flows have come into the plan of a device: the one that was connected, and those that were held
 * until it came. */
static void request_have_come(struct session *session, const struct device *device)
{
	for (unsigned int i = 0; i < session->n_flows; i++) {
		struct session_flow *flow = session->flows[i];

		if (flow->told || !flow->connected || flow->device_flow.plan->place != PLAN_FLOW_IN)
			continue;
		flow->told = true;
		request_tell_gates(session, flow->id, device);
	}
}

int request_flow_connect(struct session *session, uint64_t id, const Wire__FlowConnect *connect)
{
	return request_connect(session, id, connect->flow);
}

int request_connect(struct session *session, uint64_t id, uint32_t flow_id)
{
	struct session_flow *flow = request_flow(session, flow_id);
	struct error err = ERROR_INIT;
	uint64_t epoch;
	int r = 0;

	if (!flow)
		return request_no_flow(session, id, flow_id);
	if (flow->connected) {
		error_set(&err, FLOW_ALREADY_ACTIVE, "flow %u is connected already", flow->id);
		return request_refuse(session, id, &err);
	}
	/* Flows of a file that has not been started are prepared for together, when it is. */
	if (flow->start || flow->device->entry || flow->device->running)
		r = device_prepare(flow->device->device, &flow->device_flow, &err);
	if (r == DEVICE_E_AGAIN) {
		session_wait_prepared(session, id, flow->device, flow);
		return 0;
	}
	session_forget_prepared(session); /* also if the device has ended meanwhile */
	if (r == 0)
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
	request_have_come(session, flow->device->device);
	epoch = device_epoch(flow->device->device);
	if (device_connected(flow->device->device, epoch))
		return request_done(session, id);
	session_wait(session, SESSION_PENDING_CONNECT, id, flow->device, flow->id);
	session->pending.epoch = epoch;
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

int request_flow_close(struct session *session, uint64_t id, const Wire__FlowClose *close)
{
	struct session_flow *flow = request_flow(session, close->flow);

	if (!flow)
		return request_no_flow(session, id, close->flow);
	if (flow->start)
		flow->device->closed = true; /* opened for this flow, goes with it */
	if (flow->connected && !flow->told) {
		flow->told = true; /* it was held, and keeps nobody waiting either */
		request_tell_gates(session, flow->id, NULL);
	}
	session->closing = (struct session_closing){ .flow_id = flow->id };
	session_flow_close(session, flow);
	session_sweep(session);
	if (!session_flow_closing(session, close->flow))
		return request_closed(session, id);
	session_wait(session, SESSION_PENDING_CLOSE, id, NULL, close->flow);
	return 0;
}

int request_flushed(struct session *session, uint64_t id, bool is_late)
{
	struct error err = ERROR_INIT;
	int r;

	session_refresh_cells(session);
	if (!is_late)
		return request_done(session, id);
	r = error_set(&err, MAPI_FLUSH_INCOMPLETE,
		"the daemon could not process within a second all that had been captured before: "
		"results do not cover it");
	return request_fail(session, id, r, &err);
}

int request_flow_flush(struct session *session, uint64_t id, const Wire__FlowFlush *flush)
{
	struct session_flow *flow = request_flow(session, flush->flow);
	struct device_moment now;

	if (!flow)
		return request_no_flow(session, id, flush->flow);
	now = device_moment_now();
	if (device_flush(flow->device->device, &now))
		return request_flushed(session, id, false);
	session_wait(session, SESSION_PENDING_FLUSH, id, flow->device, flow->id);
	return 0;
}

int request_flow_error(struct session *session, uint64_t id, const Wire__FlowError *request)
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

int request_flow_events(struct session *session, uint64_t id, const Wire__FlowEvents *request)
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
	if (!closer_has_room(session_fd(session))) {
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

int request_flow_interface(struct session *session, uint64_t id, const Wire__FlowInterface *request)
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

int request_result_cell(struct session *session, uint64_t id, const Wire__ResultCell *request)
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
