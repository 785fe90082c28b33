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

		if (place->flow == instance->flow && place->first <= instance->fid &&
			instance->fid <= place->end)
			return place;
	}
	return NULL;
}

/* The first function that keeps the flow's packets from staying in the kernel. */
static void lowering_explain_packets(const struct lowering_set *set,
	const struct plan_instance *instance, struct device_tier *ret)
{
	const struct plan_flow *flow = instance->flow;
	const struct plan_place *last = NULL;
	const struct plan_instance *first;

	for (unsigned int i = 0; i < set->n_places; i++)
		if (set->places[i].flow == flow)
			last = &set->places[i];
	if (!last || last->end >= flow->n_instances)
		return;
	first = flow->instances[last->end];
	if (first == instance && first->referred)
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"another function refers to its values, packet by packet");
	else if (first->function->gate && !last->deliver)
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"%s (function %u) is closed: no packet comes so far",
			first->function->desc.name, first->fid);
	else if (first == instance && last->sampling)
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"packets that a function before it chooses are delivered");
	else if (first == instance && first->function->filter)
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"its filter cannot be a program of the kernel");
	else if (first == instance)
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"it needs packets; those that get here are delivered");
	else
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"packets are delivered for %s (function %u)", first->function->desc.name,
			first->fid);
}

/* Do the set's programs decide? */
static bool lowering_is_kernel(const struct lowering_set *set)
{
	return set->programs && !set->why.code;
}

void lowering_explain(const struct lowering *lowering, const struct plan_instance *instance,
	struct device_tier *ret)
{
	const struct lowering_set *set = lowering->sets;
	const struct plan_place *place;

	while (set && set->state != LOWERING_RUNS)
		set = set->next;
	*ret = (struct device_tier){ .tier = MAPI_TIER_USER };
	if (!set) {
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"all packets are delivered until a program for all filters is made");
		return;
	}
	place = lowering_place(set, instance);
	if (lowering_is_kernel(set) && place) {
		*ret = (struct device_tier){ .tier = MAPI_TIER_KERNEL,
			.n_insns = set->n_insns,
			.ns_per_pkt = (double)lowering_programs_cost_ns(set->programs) };
		(void)snprintf(ret->reason, sizeof(ret->reason),
			place->deliver ? "decides which packets are delivered"
				       : "packets are counted, and not delivered");
		return;
	}
	if (lowering_is_kernel(set) || place == NULL)
		lowering_explain_packets(set, instance, ret);
	if (!ret->reason[0] && set->why.code)
		(void)snprintf(ret->reason, sizeof(ret->reason), "%.*s",
			(int)sizeof(ret->reason) - 1, set->why.text);
	if (!ret->reason[0])
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"some function on the device wants all packets");
}
