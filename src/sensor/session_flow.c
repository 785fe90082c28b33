/* SPDX-License-Identifier: BSD-2-Clause */
/* Flows of a session: how they leave their plan, and their device, and are freed. */
#include "session_private.h"

#define SESSION_WALK UINT64_MAX /* no device asks with this one */

/* Where to say what is lost when this flow's functions are closed: to who has asked for that. */
static struct error *session_close_error(struct session *session, const struct session_flow *flow)
{
	return flow->id == session->closing.flow_id ? &session->closing.error : NULL;
}

void session_flow_part(struct session *session, struct session_flow *flow)
{
	struct session_device *device = flow->device;

	if (flow->connected)
		device_forget(device->device, &flow->device_flow);
	plan_flow_complete(flow->device_flow.plan, session_close_error(session, flow));
	flow->connected = flow->leaving = false;
	flow->hanging = true;
	flow->device = NULL;
	device->n_flows--;
	session_device_release(session, device);
}

void session_flow_free(struct session *session, struct session_flow *flow)
{
	unsigned int n_functions = flow->device_flow.plan->n_instances;

	for (unsigned int i = 0; i < n_functions; i++) {
		const struct plan_instance *instance = flow->device_flow.plan->instances[i];
		const struct results_slot *slot = instance->result;

		session->env.user->n_rings -= instance->function->ring != NULL;
		session->env.user->n_writers -= instance->function->draining != NULL;
		if (slot)
			area_put(session->area, session_offset(session, slot),
				results_slot_bytes(slot->data_bytes));
	}
	for (unsigned int i = 0; i < session->n_cells;) {
		if (session->cells[i].flow != flow) {
			i++;
			continue;
		}
		area_put(session->area, session->cells[i].offset, sizeof(uint64_t));
		session->cells[i] = session->cells[--session->n_cells];
	}
	area_put(session->area, flow->shared_offset, sizeof(struct results_flow));
	cleanup_closep(&flow->device_flow.event_fd);
	plan_flow_free(flow->device_flow.plan);
	session->flows[flow->index] = session->flows[--session->n_flows];
	session->flows[flow->index]->index = flow->index;
	session->env.user->n_flows--;
	session->env.user->memory_bytes -= flow->charged_bytes;
	session->env.user->search_bytes -= flow->search_bytes;
	session->env.user->filter_insns -= flow->filter_insns;
	session->env.user->result_bytes -= flow->result_bytes;
	session->env.user->n_functions -= n_functions;
	free(flow);
}

/* Which flows others refer to that are open, themselves or by others. */
static void session_find_needed(struct session *session)
{
	for (unsigned int i = 0; i < session->n_flows; i++)
		session->flows[i]->device_flow.plan->walk = 0;
	for (unsigned int i = 0; i < session->n_flows; i++)
		if (!session->flows[i]->closed)
			plan_flow_walk(session->flows[i]->device_flow.plan, SESSION_WALK);
	for (unsigned int i = 0; i < session->n_flows; i++)
		session->flows[i]->needed =
			session->flows[i]->device_flow.plan->walk == SESSION_WALK;
}

/* Closed, and still where it was. */
static bool session_flow_stays(const struct session_flow *flow)
{
	return flow->closed && !flow->leaving && !flow->hanging;
}

/* An open flow refers to it: it goes on for that one. */
static void session_flow_retire(struct session *session, struct session_flow *flow)
{
	if (flow->connected) {
		flow->retiring = true;
		device_retire(flow->device->device, &flow->device_flow);
		return;
	}
	plan_flow_retire(flow->device_flow.plan);
	device_never_comes(flow->device->device, flow->device_flow.plan);
	plan_flow_close_retired(flow->device_flow.plan, session_close_error(session, flow));
}

/* Closed flows of a device that nobody needs leave its plan, together: some may refer to others. */
static void session_flows_leave(struct session *session, struct session_device *of)
{
	struct device *device = of->device;
	unsigned int n = 0;

	for (unsigned int i = 0; i < session->n_flows; i++) {
		const struct session_flow *flow = session->flows[i];

		n += session_flow_stays(flow) && !flow->needed && flow->device->device == device;
	}
	if (of->closed && of->n_flows == n && !of->entry)
		device_stop(device); /* nobody else listens to it */
	for (unsigned int i = 0; i < session->n_flows; i++) {
		struct session_flow *flow = session->flows[i];

		if (!session_flow_stays(flow) || flow->needed || flow->device->device != device)
			continue;
		flow->leaving = true;
		flow->retiring = false;
		if (flow->connected && n == 1)
			device_remove(device, &flow->device_flow);
		else if (flow->connected)
			device_drop(device, &flow->device_flow);
	}
	if (n > 1)
		device_catch_up(device);
}

void session_flow_close(struct session *session, struct session_flow *flow)
{
	flow->closed = true;
	session_find_needed(session);
	if (flow->needed)
		session_flow_retire(session, flow);
	else
		session_flows_leave(session, flow->device);
}

void session_sweep(struct session *session)
{
	bool some_stay = false;

	for (unsigned int i = 0; i < session->n_flows && !some_stay; i++)
		some_stay = session_flow_stays(session->flows[i]);
	if (some_stay)
		session_find_needed(session);
	for (unsigned int i = session->n_flows; i-- > 0;) {
		struct session_flow *flow = session->flows[i];

		if (!flow->closed || (flow->hanging && plan_flow_is_busy(flow->device_flow.plan)))
			continue;
		if (flow->hanging) {
			session_flow_free(session, flow);
			i = session->n_flows; /* indices have moved */
			continue;
		}
		if (flow->retiring && device_settled(flow->device->device) &&
			!plan_flow_is_draining(flow->device_flow.plan)) {
			device_close_retired(flow->device->device, &flow->device_flow,
				session_close_error(session, flow));
			flow->retiring = false;
		}
		if (!flow->leaving && !flow->needed)
			session_flows_leave(session, flow->device);
		if (!flow->leaving ||
			(flow->connected &&
				(!device_settled(flow->device->device) ||
					plan_flow_is_draining(flow->device_flow.plan))))
			continue;
		session_flow_part(session, flow);
		i = session->n_flows; /* now it may be free to go, or another that it referred to */
	}
}

bool session_flow_closing(const struct session *session, uint32_t id)
{
	for (unsigned int i = 0; i < session->n_flows; i++) {
		const struct session_flow *flow = session->flows[i];

		if (flow->id == id && (flow->leaving || flow->retiring))
			return true;
	}
	return false;
}
