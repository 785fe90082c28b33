/* SPDX-License-Identifier: BSD-2-Clause */
/* Where functions are executed, and why there: see lowering.h. */
#include <stdio.h>

#include "lowering_private.h"
#include "mapi/explain.h"

/* The place whose packets the instance sees, or makes of those of the one before. */
static const struct plan_place *lowering_place(
	const struct lowering_set *set, const struct plan_instance *instance)
{
	for (unsigned int i = 0; i < set->n_places; i++) {
		const struct plan_place *place = &set->places[i];

		if (place->flow == instance->flow && !place->is_rest &&
			place->first <= instance->fid && instance->fid <= place->end)
			return place;
	}
	return NULL;
}

/* Why packets are delivered to a function. */
static const char *lowering_need(const struct plan_instance *instance)
{
	const struct function *f = instance->function;

	if (f->filter || f->programs)
		return "its filter cannot be a program of the kernel";
	if (f->sampling)
		return "it chooses by the order of packets, and others have packets delivered; "
		       "alone on "
		       "the device it would choose in the kernel";
	if (f->gate)
		return "packets tell when it opens; while it is open it needs none";
	if (f->add)
		return "a function that refers to its value needs packets";
	if (f->only_ticks && f->only_ticks(instance->memory))
		return "it refers to a function that needs packets";
	if (f->only_ticks)
		return "it needs packets: only with a period it would not";
	return plan_needs_all(instance) ? "it needs to know of all packets"
					: "it needs packets; those that get here are delivered";
}

/* Of a flow that wants all packets: the function that does. */
static const struct plan_instance *lowering_wants_all(const struct plan_flow *flow)
{
	for (unsigned int i = 0; i < flow->n_instances; i++)
		if (plan_needs_all(flow->instances[i]))
			return flow->instances[i];
	return NULL;
}

/* The first function that keeps the flow's packets from staying in the kernel. */
static void lowering_explain_packets(const struct lowering_set *set,
	const struct plan_instance *instance, struct device_tier *ret)
{
	const struct plan_flow *flow = instance->flow;
	const struct function *f = instance->function;
	const struct plan_instance *first = lowering_wants_all(flow);
	const struct plan_place *last = NULL;

	for (unsigned int i = 0; i < set->n_places; i++)
		if (set->places[i].flow == flow)
			last = &set->places[i];
	if (!first && last && last->end < flow->n_instances)
		first = flow->instances[last->end];
	if (first && first->function->gate && last && !last->deliver)
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"%s (function %u) is closed: no packet comes so far",
			first->function->desc.name, first->fid);
	else if (first == instance && last && last->sampling && last->end < flow->n_instances)
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"packets that a function before it chooses are delivered");
	else if (first == instance || (f->only_ticks && !f->only_ticks(instance->memory)))
		(void)snprintf(ret->reason, sizeof(ret->reason), "%s", lowering_need(instance));
	else if (first)
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"packets are delivered for %s (function %u)", first->function->desc.name,
			first->fid);
}

/* Do the set's programs decide? */
static bool lowering_is_kernel(const struct lowering_set *set)
{
	return set->programs && !set->why.code;
}

/* What is done in the kernel for a function. */
static const char *lowering_does(const struct plan_place *place, const struct function *f)
{
	if (f->programs)
		return "decides by headers; packets with rare ones are delivered";
	if (f->tick)
		return "looks at what was counted when its period ends";
	return place->deliver ? "decides which packets are delivered"
			      : "packets are counted, and not delivered";
}

void lowering_explain(const struct lowering *lowering, const struct plan_instance *instance,
	struct device_tier *ret)
{
	const struct lowering_set *set = lowering_set_running(lowering->sets);
	const struct plan_place *place;

	*ret = (struct device_tier){ .tier = MAPI_TIER_USER };
	if (!set) {
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"all packets are delivered until a program for all filters is made, which "
			"takes a moment");
		return;
	}
	place = lowering_place(set, instance);
	if (lowering_is_kernel(set) && place) {
		*ret = (struct device_tier){ .tier = MAPI_TIER_KERNEL,
			.n_insns = set->n_insns,
			.ns_per_pkt = (double)lowering_programs_cost_ns(set->programs) };
		(void)snprintf(ret->reason, sizeof(ret->reason), "%s",
			lowering_does(place, instance->function));
		return;
	}
	if (lowering_is_kernel(set) || place == NULL)
		lowering_explain_packets(set, instance, ret);
	if (!ret->reason[0] && set->why.code)
		(void)snprintf(ret->reason, sizeof(ret->reason), "%.*s",
			(int)sizeof(ret->reason) - 1, set->why.text);
	if (!ret->reason[0])
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"all packets are delivered: another flow on the device wants them (\"mapi "
			"flows\" lists flows)");
}
