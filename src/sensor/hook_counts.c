/* SPDX-License-Identifier: BSD-2-Clause */
/* What programs at an interface have counted, for who publishes it, and what is told of them. */
#include <stdio.h>

#include "base/clock.h"
#include "hook_private.h"
#include "lowering_counts.h"

void hook_add(struct hook *hook)
{
	if (!hook)
		return;
	for (struct lowering_set *set = hook->sets; set; set = set->next) {
		const uint64_t before[_LOWERING_N] = { set->added[LOWERING_ALL].units,
			set->added[LOWERING_FOREIGN].units };

		lowering_set_read(set);
		if (set->counts[LOWERING_ALL].units != before[LOWERING_ALL])
			hook->last_ns = clock_realtime_ns();
		lowering_set_give(set, hook->last_ns);
		for (unsigned int i = 0; i < _LOWERING_N && !hook->listens; i++)
			hook->alone[i] += set->added[i].units - before[i];
	}
}

void hook_add_arriving(struct hook *hook)
{
	for (struct lowering_set *set = hook ? hook->sets : NULL; set; set = set->next) {
		lowering_set_read(set);
		for (unsigned int i = 0; i < set->n_places; i++)
			if (set->places[i].flow && set->places[i].flow->arrives)
				lowering_counts_give(&set->places[i], &set->counts[i],
					&set->added[i], 1, hook->last_ns);
	}
}

uint64_t hook_units(const struct hook *hook, bool now)
{
	uint64_t units = hook ? hook->units : 0;

	for (const struct lowering_set *set = hook ? hook->sets : NULL; set; set = set->next) {
		struct kernel_count all = { .units = set->added[LOWERING_ALL].units };

		if (now && set->programs)
			lowering_programs_read(set->programs, &all, 1);
		units += all.units;
	}
	return units;
}

uint64_t hook_units_alone(const struct hook *hook)
{
	return hook ? hook->alone[LOWERING_ALL] : 0;
}

uint64_t hook_foreign(const struct hook *hook)
{
	/* What ends at the interface some drivers call dropped. */
	enum lowering_place which = hook && hook_discards(hook) ? LOWERING_ALL : LOWERING_FOREIGN;
	uint64_t units = hook ? hook->alone[which] : 0;

	if (!hook || hook->listens)
		return units;
	for (const struct lowering_set *set = hook->sets; set; set = set->next) {
		struct kernel_count counts[_LOWERING_N];

		if (!set->programs)
			continue;
		lowering_programs_read(set->programs, counts, _LOWERING_N);
		units += counts[which].units - set->added[which].units;
	}
	return units;
}

uint64_t hook_last_ns(const struct hook *hook)
{
	return hook ? hook->last_ns : 0;
}

uint64_t hook_outages(const struct hook *hook)
{
	return hook ? hook->outages : 0;
}

bool hook_is_behind(const struct hook *hook)
{
	return hook && hook->before[0];
}

uint64_t hook_times_behind(const struct hook *hook)
{
	return hook ? hook->times_behind : 0;
}

void hook_explain(const struct hook *hook, struct device_tier *ret)
{
	const struct lowering_set *running = lowering_set_running(hook->sets);

	*ret = (struct device_tier){ .tier = MAPI_TIER_KERNEL };
	if (running && running->programs) {
		ret->n_insns = running->n_insns;
		ret->ns_per_pkt = (double)lowering_programs_cost_ns(running->programs);
	}
	if (hook->lost)
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"counted at the interface, when it is there again");
	else if (hook->before[0])
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"counted at the interface (%s), behind programs of others: %.180s",
			kernel_way_name(hook->way), hook->before);
	else if (hook->why_not.text[0])
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"counted at the interface (%s)%s; not by %s: %.150s",
			kernel_way_name(hook->way),
			hook->loader.discards && !hook_discards(hook) ? ", where no packet ends"
								      : "",
			kernel_way_name(hook->ways[0]), hook->why_not.text);
	else
		(void)snprintf(ret->reason, sizeof(ret->reason), "counted at the interface (%s)%s",
			kernel_way_name(hook->way),
			hook_discards(hook) && !hook->listens ? ", where packets end" : "");
}

const char *hook_refusal(const struct hook *hook)
{
	return hook ? hook->refusal.text : "";
}
