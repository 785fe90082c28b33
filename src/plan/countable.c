/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which functions need not see packets, because knowing how many have come will do.
 *
 * A counter need not if nobody wants its value packet by packet. Who refers to it may have periods
 * (only_ticks): it looks at the value when a period ends. But then it must not need packets for
 * another of its sources, and nobody may need packets who refers to that. So functions that are
 * connected by references are countable together or not at all.
 */
#include "plan_private.h"

/* By itself, whoever refers to it. */
static bool countable_alone(const struct plan_instance *instance)
{
	const struct function *f = instance->function;

	if (f->only_ticks)
		return f->only_ticks(instance->memory);
	return f->add && !f->gate;
}

/* What stands for all that the instance is connected with. */
static struct plan_instance *countable_root(struct plan_instance *instance)
{
	while (instance->connected != instance) {
		instance->connected = instance->connected->connected;
		instance = instance->connected;
	}
	return instance;
}

static void countable_connect(struct plan_instance *instance)
{
	for (unsigned int i = 0; i < instance->n_refs; i++) {
		struct plan_instance *source = instance->refs[i];

		if (source->connected) /* else it is in no plan, and so this one in none */
			countable_root(source)->connected = countable_root(instance);
	}
}

/* All functions of the flows, which take part in a plan. */
static void countable_for_each(struct plan_flow *const flows[], unsigned int n_flows,
	void (*visit)(struct plan_instance *))
{
	for (unsigned int f = 0; f < n_flows; f++)
		for (unsigned int i = 0; i < flows[f]->n_instances; i++)
			if (!flows[f]->instances[i]->retired)
				visit(flows[f]->instances[i]);
}

static void countable_begin(struct plan_instance *instance)
{
	instance->connected = instance;
	instance->countable = true;
}

static void countable_judge(struct plan_instance *instance)
{
	if (!countable_alone(instance))
		countable_root(instance)->countable = false;
}

static void countable_spread(struct plan_instance *instance)
{
	instance->countable = countable_root(instance)->countable;
}

static void countable_end(struct plan_instance *instance)
{
	instance->connected = NULL; /* what it points to may be freed before the next time */
}

void plan_mark_countable(struct plan_flow *const flows[], unsigned int n_flows)
{
	countable_for_each(flows, n_flows, countable_begin);
	countable_for_each(flows, n_flows, countable_connect);
	countable_for_each(flows, n_flows, countable_judge);
	countable_for_each(flows, n_flows, countable_spread);
	countable_for_each(flows, n_flows, countable_end);
}
