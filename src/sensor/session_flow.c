/* SPDX-License-Identifier: BSD-2-Clause */
/* Flows of a session: how they leave their plan, and their device, and are freed. */
#include "session_private.h"

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
	session->env.user->n_functions -= n_functions;
	free(flow);
}

/* Does one of its functions refer to a flow that is marked? */
static bool session_refers_to_marked(const struct session *session, const struct session_flow *flow)
{
	const struct plan_flow *plan = flow->device_flow.plan;

	for (unsigned int i = 0; i < session->n_flows; i++)
		for (unsigned int k = 0; session->flows[i]->marked && k < plan->n_instances; k++)
			for (unsigned int n = 0; n < plan->instances[k]->n_refs; n++)
				if (plan->instances[k]->refs[n]->flow ==
					session->flows[i]->device_flow.plan)
					return true;
	return false;
}

/* Mark the flow, and all closed ones that refer to it, themselves or by others. Return: how many
 * they are; 0: one that is open refers to it, too. */
static unsigned int session_mark(struct session *session, struct session_flow *flow)
{
	unsigned int n = 0, n_marked = 1;

	for (unsigned int i = 0; i < session->n_flows; i++)
		session->flows[i]->marked = session->flows[i] == flow;
	while (n < n_marked) {
		n = n_marked;
		for (unsigned int i = 0; i < session->n_flows; i++) {
			struct session_flow *other = session->flows[i];

			if (other->marked || other->leaving || other->hanging ||
				!session_refers_to_marked(session, other))
				continue;
			if (!other->closed)
				return 0;
			other->marked = true;
			n_marked++;
		}
	}
	return n;
}

/* An open flow refers to it: it goes on for that one. */
static void session_flow_retire(struct session *session, struct session_flow *flow)
{
	if (!flow->closed && flow->connected) {
		flow->retiring = true;
		device_retire(flow->device->device, &flow->device_flow);
	} else if (!flow->closed) {
		plan_flow_retire(flow->device_flow.plan);
		device_never_comes(flow->device->device, flow->device_flow.plan);
		plan_flow_close_retired(flow->device_flow.plan, session_close_error(session, flow));
	}
	flow->closed = true;
}

/* A closed flow leaves its plan unless a flow that stays refers to it; then it leaves later. Flows
 * that refer to each other leave together. */
void session_flow_leave(struct session *session, struct session_flow *flow)
{
	unsigned int n_marked = session_mark(session, flow);
	struct device *device = flow->device->device;

	if (n_marked == 0) {
		session_flow_retire(session, flow);
		return;
	}
	if (flow->device->closed && flow->device->n_flows == n_marked && !flow->device->entry)
		device_stop(device); /* nobody else listens to it */
	for (unsigned int i = 0; i < session->n_flows; i++) {
		struct session_flow *marked = session->flows[i];

		if (!marked->marked)
			continue;
		marked->closed = marked->leaving = true;
		marked->retiring = false;
		if (marked->connected && n_marked == 1)
			device_remove(device, &marked->device_flow);
		else if (marked->connected)
			device_drop(device, &marked->device_flow);
	}
	if (n_marked > 1)
		device_catch_up(device);
}

void session_sweep(struct session *session)
{
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
		if (!flow->leaving)
			session_flow_leave(session, flow);
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
