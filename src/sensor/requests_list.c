/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a daemon serves, and what runs there: devices for everybody, flows and their functions for
 * their owners.
 */
#include <errno.h>
#include <string.h>

#include "mapi.h"
#include "mapi/errors.h"
#include "mapi/explain.h"
#include "registry.h"
#include "requests_private.h"

int request_list_device(struct session *session, uint64_t id, const Wire__ListDevice *list)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__ListedDevice body = WIRE__LISTED_DEVICE__INIT;
	struct registry_listed listed;
	struct error err = ERROR_INIT;

	if (registry_list(session->env.registry, list->id, list->next, &listed) < 0) {
		error_set(&err, MAPI_DEVICE_INFO_ERR, "there is no device %d", list->id);
		return request_refuse(session, id, &err);
	}
	body.id = listed.id;
	body.device = (char *)(uintptr_t)listed.device;
	body.driver = (char *)(uintptr_t)listed.driver;
	body.alias = (char *)(uintptr_t)listed.alias;
	body.description = (char *)(uintptr_t)listed.description;
	body.link_speed_mbps = listed.link_speed_mbps;
	body.mpls = listed.mpls;
	body.vlan = listed.vlan;
	body.group = listed.group;
	reply.result_case = WIRE__REPLY__RESULT_LISTED_DEVICE;
	reply.listed_device = &body;
	return request_reply(session, id, &reply, NULL, 0);
}

int request_device_number(const struct session *session, const struct session_device *device)
{
	return device->entry ? registry_id(session->env.registry, device_name(device->device)) : -1;
}

/* The wanted flow among those that this client may see, and whose it is. */
static const struct session_flow *request_find_listed(
	const struct session *asking, const Wire__ListFlow *list, uid_t *ret_uid)
{
	const struct session_flow *found = NULL;

	for (const struct session *s = *asking->env.sessions; s; s = s->next_session) {
		if (s->env.uid != asking->env.uid && asking->env.uid != 0)
			continue;
		for (unsigned int i = 0; i < s->n_flows; i++) {
			const struct session_flow *flow = s->flows[i];
			bool fits = list->next ? flow->id > list->id : flow->id == list->id;

			if (!fits || flow->closed || (found && found->id < flow->id))
				continue;
			found = flow;
			*ret_uid = s->env.uid;
		}
	}
	return found;
}

int request_list_flow(struct session *session, uint64_t id, const Wire__ListFlow *list)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__ListedFlow body = WIRE__LISTED_FLOW__INIT;
	const struct session_flow *flow;
	struct results_flow copy;
	uint32_t begun;
	struct error err = ERROR_INIT;
	uid_t uid = 0;

	flow = request_find_listed(session, list, &uid);
	if (!flow) {
		error_set(&err, list->next ? MAPI_FLOW_INFO_ERR : MAPI_INVALID_FLOW,
			"there is no flow %s%u", list->next ? "after " : "", list->id);
		return request_refuse(session, id, &err);
	}
	do { /* a worker may be writing it */
		begun = results_read_begin(&flow->device_flow.shared->seq);
		memcpy((void *)&copy, (const void *)flow->device_flow.shared, sizeof(copy));
	} while (results_read_retry(&flow->device_flow.shared->seq, begun));
	body.id = flow->id;
	body.uid = uid;
	body.device = (char *)(uintptr_t)device_name(flow->device->device);
	body.device_id = request_device_number(session, flow->device);
	body.functions = flow->device_flow.plan->n_instances;
	body.start_ns = copy.start_ns;
	body.end_ns = copy.end_ns;
	body.status = flow->connected ? copy.status : FLOW_INIT;
	body.pkts = copy.pkts;
	for (unsigned int i = 0; i < RESULTS_N_LOSS; i++)
		body.lost_pkts += copy.lost_pkts[i];
	reply.result_case = WIRE__REPLY__RESULT_LISTED_FLOW;
	reply.listed_flow = &body;
	return request_reply(session, id, &reply, NULL, 0);
}

int request_list_function(struct session *session, uint64_t id, const Wire__ListFunction *list)
{
	Wire__ListFlow of = WIRE__LIST_FLOW__INIT;
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__ListedFunction body = WIRE__LISTED_FUNCTION__INIT;
	struct plan_instance *instance;
	const struct session_flow *flow;
	struct plan_counts counts;
	struct error err = ERROR_INIT;
	uid_t uid;

	of.id = list->flow;
	flow = request_find_listed(session, &of, &uid);
	if (!flow) {
		error_set(&err, MAPI_INVALID_FLOW, "there is no flow %u", list->flow);
		return request_refuse(session, id, &err);
	}
	instance = list->next && list->function == UINT32_MAX
		? NULL
		: request_instance(flow, list->function + list->next);
	if (!instance) {
		error_set(&err, MAPI_FUNCTION_INFO_ERR, "flow %u has no function %s%u", list->flow,
			list->next ? "after " : "", list->function);
		return request_refuse(session, id, &err);
	}
	counts = device_counts(flow->device->device, instance);
	body.function = instance->fid;
	body.name = (char *)(uintptr_t)instance->function->desc.name;
	body.library = (char *)(uintptr_t)instance->function->desc.library;
	body.pkts = counts.pkts;
	body.passed_pkts = counts.passed_pkts;
	body.result_bytes = request_result_bytes_of(instance);
	reply.result_case = WIRE__REPLY__RESULT_LISTED_FUNCTION;
	reply.listed_function = &body;
	return request_reply(session, id, &reply, NULL, 0);
}

/* A device of which somebody, perhaps another user, has a flow: how much it captures is no more
 * than what the kernel tells everybody about interfaces. */
int request_device_stats(struct session *session, uint64_t id, const Wire__DeviceStats *request)
{
	struct session_device *own =
		request->device ? request_device(session, request->device) : NULL;
	struct device *device = own ? own->device : NULL;
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__DeviceStatsReply body = WIRE__DEVICE_STATS_REPLY__INIT;
	struct driver_stats stats;
	struct error err = ERROR_INIT;

	if (!request->device)
		device = registry_look(session->env.registry, request->name);
	if (!device) {
		error_set(
			&err, MAPI_STATS_ERROR, "no flow uses the device '%.200s'", request->name);
		return request_refuse(session, id, &err);
	}
	device_stats(device, &body.pkts, &stats);
	body.ring_lost_pkts = stats.ring_lost_pkts;
	body.nic_lost_pkts = stats.nic_lost_pkts;
	reply.result_case = WIRE__REPLY__RESULT_DEVICE_STATS;
	reply.device_stats = &body;
	return request_reply(session, id, &reply, NULL, 0);
}

_Static_assert((int)PLAN_WORK_FILTER == (int)MAPI_WORK_FILTER &&
		(int)PLAN_WORK_SEARCH == (int)MAPI_WORK_SEARCH &&
		(int)PLAN_WORK_TRANSFORM == (int)MAPI_WORK_TRANSFORM &&
		(int)PLAN_WORK_PROCESS == (int)MAPI_WORK_PROCESS &&
		(int)FUNCTION_FREE == (int)MAPI_ORDER_FREE &&
		(int)FUNCTION_AFFINITY == (int)MAPI_ORDER_AFFINITY &&
		(int)FUNCTION_ORDER == (int)MAPI_ORDER_ALL,
	"programs are told what the plan says");

/* A flow of the client's, or one that it may list. */
static const struct session_flow *request_find_explained(
	const struct session *session, uint32_t flow_id)
{
	Wire__ListFlow of = WIRE__LIST_FLOW__INIT;
	uid_t uid;

	of.id = flow_id;
	return request_find_listed(session, &of, &uid);
}

/* What a user has to give to have the same choice again (T3). */
static void request_explain_seed(Wire__ExplainReply *body, const struct session_flow *flow,
	const struct plan_instance *instance)
{
	const struct function *f = instance->function;

	body->seed = flow->seed;
	body->has_seed = f->seed && f->seed(instance->memory, &body->seed);
	if (!body->has_seed)
		body->seed = 0;
}

int request_explain(struct session *session, uint64_t id, const Wire__Explain *request)
{
	const struct session_flow *flow = request_find_explained(session, request->flow);
	const struct plan_instance *instance =
		flow ? request_instance(flow, request->function) : NULL;
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__ExplainReply body = WIRE__EXPLAIN_REPLY__INIT;
	struct plan_explanation e;
	struct device_tier tier;
	struct error err = ERROR_INIT;
	int r = -ENOENT;

	if (!instance)
		error_set(&err, flow ? MAPI_FUNCTION_INFO_ERR : MAPI_INVALID_FLOW,
			flow ? "flow %u has no function %u" : "there is no flow %u", request->flow,
			request->function);
	else if (!flow->connected)
		error_set(&err, MAPI_FLOW_NOT_CONNECTED, "flow %u is not connected", flow->id);
	else
		r = device_explain(flow->device->device, instance, &e, &tier, &err);
	if (r == -ENOENT && !err.code)
		error_set(&err, MAPI_FUNCTION_INFO_ERR,
			"function %u takes no part: the device has ended", request->function);
	if (r < 0)
		return request_fail(session, id, r, &err);
	body.tier = (uint32_t)tier.tier;
	body.instructions = tier.n_insns;
	body.ns_per_pkt =
		tier.tier == MAPI_TIER_USER ? plan_cost_ns_per_pkt(instance) : tier.ns_per_pkt;
	body.kind = (uint32_t)e.work;
	body.order = (uint32_t)e.order;
	body.step = e.step;
	body.n_steps = e.n_steps;
	body.domain = e.domain;
	body.new_domain = e.new_domain;
	body.together = e.together;
	body.shared = e.shared;
	body.late = e.late;
	body.group = e.group;
	body.reason = tier.reason;
	request_explain_seed(&body, flow, instance);
	reply.result_case = WIRE__REPLY__RESULT_EXPLAIN;
	reply.explain = &body;
	return request_reply(session, id, &reply, NULL, 0);
}
