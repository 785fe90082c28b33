/* SPDX-License-Identifier: BSD-2-Clause */
/* What a daemon serves, and what runs there: devices for everybody, flows for their owners. */
#include <errno.h>
#include <string.h>

#include "mapi.h"
#include "mapi/errors.h"
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
	reply.result_case = WIRE__REPLY__RESULT_LISTED_DEVICE;
	reply.listed_device = &body;
	return request_reply(session, id, &reply, NULL, 0);
}

/* The wanted flow among those that this client may see, and whose it is. */
static const struct session_flow *request_find_listed(
	const struct session *asking, const Wire__ListFlow *list, uid_t *ret_uid)
{
	const struct session_flow *found = NULL;

	for (const struct session *s = *asking->env.sessions; s; s = s->next_session) {
		if (s->env.user->uid != asking->env.user->uid && asking->env.user->uid != 0)
			continue;
		for (unsigned int i = 0; i < s->n_flows; i++) {
			const struct session_flow *flow = s->flows[i];
			bool fits = list->next ? flow->id > list->id : flow->id == list->id;

			if (!fits || flow->closed || (found && found->id < flow->id))
				continue;
			found = flow;
			*ret_uid = s->env.user->uid;
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
