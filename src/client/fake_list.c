/* SPDX-License-Identifier: BSD-2-Clause */
/* What the fake engine lists, counts and explains: see fake_engine.h. */
#undef NDEBUG
#include "fake_engine_private.h"

#include <string.h>

#include "mapi/explain.h"

/* Return: NULL with an error reply. */
static const struct fake_listed *fake_find_listed(
	uint64_t request_id, const struct fake_listed *list, int id, bool next, int code)
{
	for (; list && list->device; list++)
		if (next ? list->id > id : list->id == id)
			return list;
	fake_reply_error(request_id, code, "not in the list");
	return NULL;
}

void fake_list_device(const Wire__Request *request)
{
	const struct fake_listed *found = fake_find_listed(request->id, fake_devices,
		request->list_device->id, request->list_device->next, MAPI_DEVICE_INFO_ERR);
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__ListedDevice body = WIRE__LISTED_DEVICE__INIT;

	if (!found)
		return;
	body.id = found->id;
	body.device = (char *)(uintptr_t)found->device;
	body.driver = (char *)(uintptr_t) "fake";
	body.alias = (char *)(uintptr_t)found->alias;
	body.description = (char *)(uintptr_t) "a device";
	body.link_speed_mbps = found->functions;
	body.vlan = true;
	body.group = (uint32_t)found->id;
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_LISTED_DEVICE;
	reply.listed_device = &body;
	fake_reply(&reply, NULL, 0);
}

void fake_list_flow(const Wire__Request *request)
{
	const Wire__ListFlow *list = request->list_flow;
	const struct fake_listed *found = fake_find_listed(request->id, fake_flows, (int)list->id,
		list->next, list->next ? MAPI_FLOW_INFO_ERR : MAPI_INVALID_FLOW);
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__ListedFlow body = WIRE__LISTED_FLOW__INIT;

	if (!found)
		return;
	body.id = (uint32_t)found->id;
	body.uid = 4711;
	body.device_id = 12;
	body.device = (char *)(uintptr_t)found->device;
	body.functions = found->functions;
	body.start_ns = 7000000000u;
	body.status = FLOW_ACTIVE;
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_LISTED_FLOW;
	reply.listed_flow = &body;
	fake_reply(&reply, NULL, 0);
}

/* Every flow that is listed, and every other, has the functions 1 and 3. */
void fake_list_function(const Wire__Request *request)
{
	const Wire__ListFunction *list = request->list_function;
	uint32_t fid = list->next ? (list->function < 1 ? 1 : 3) : list->function;
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__ListedFunction body = WIRE__LISTED_FUNCTION__INIT;

	if (fake_flows &&
		!fake_find_listed(
			request->id, fake_flows, (int)list->flow, false, MAPI_INVALID_FLOW))
		return;
	if ((list->next && list->function >= 3) || (fid != 1 && fid != 3)) {
		fake_reply_error(request->id, MAPI_FUNCTION_INFO_ERR, "no such function");
		return;
	}
	body.function = fid;
	body.name = (char *)(uintptr_t) "FAKE";
	body.library = (char *)(uintptr_t) "fakelib";
	body.pkts = 1000 + fid;
	body.passed_pkts = 500;
	body.result_bytes = 8;
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_LISTED_FUNCTION;
	reply.listed_function = &body;
	fake_reply(&reply, NULL, 0);
}

/* Only of devices that the client has opened, and of "fake9". */
void fake_device_stats(const Wire__Request *request)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__DeviceStatsReply body = WIRE__DEVICE_STATS_REPLY__INIT;

	if (!request->device_stats->device && strcmp(request->device_stats->name, "fake9") != 0) {
		fake_reply_error(request->id, MAPI_STATS_ERROR, "nobody uses it");
		return;
	}
	body.pkts = ((uint64_t)1 << 32) + 7;
	body.ring_lost_pkts = 3;
	body.nic_lost_pkts = 2;
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_DEVICE_STATS;
	reply.device_stats = &body;
	fake_reply(&reply, NULL, 0);
}

void fake_explain(const Wire__Request *request)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__ExplainReply body = WIRE__EXPLAIN_REPLY__INIT;

	body.tier = MAPI_TIER_KERNEL;
	body.kind = MAPI_WORK_SEARCH;
	body.order = MAPI_ORDER_AFFINITY;
	body.step = 2;
	body.n_steps = 5;
	body.domain = 1;
	body.together = 4;
	body.shared = 3;
	body.late = true;
	body.group = 6;
	body.instructions = 77;
	body.ns_per_pkt = 1.5;
	body.reason = (char *)(uintptr_t) "because";
	body.has_seed = true;
	body.seed = 0x123456789abcdef;
	reply.id = request->id;
	reply.result_case = WIRE__REPLY__RESULT_EXPLAIN;
	reply.explain = &body;
	fake_reply(&reply, NULL, 0);
}
