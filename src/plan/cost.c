/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What functions cost in user space, for people: of one batch in RUN_COST_BATCHES the time is
 * taken. Nobody else waits for it, and the clock is no system call.
 */
#include <stdatomic.h>

#include "run_private.h"

/* Relaxed: the two numbers belong together only in the long run. */
static void cost_add(const struct plan_run *run, const struct plan_node *node, uint64_t ns)
{
	struct plan_cost *cost = &node->instance->cost;

	atomic_fetch_add_explicit(&cost->ns, ns, memory_order_relaxed);
	atomic_fetch_add_explicit(&cost->pkts, run->domains[0].view->n, memory_order_relaxed);
}

void run_cost_begin(struct plan_run *run, bool late)
{
	run->measured = run->n_batches[late]++ % RUN_COST_BATCHES == 0;
}

void run_cost_kind(
	const struct plan_run *run, unsigned int d, enum plan_node_kind kind, uint64_t begin_ns)
{
	const struct plan *plan = run->plan;
	uint64_t ns;

	if (!run->measured)
		return;
	ns = clock_monotonic_ns() - begin_ns;
	for (unsigned int n = 0; n < plan->n_nodes; n++)
		if (plan->nodes[n].kind == kind &&
			(kind == PLAN_NODE_TRANSFORM ? plan->nodes[n].index
						     : plan->nodes[n].domain) == d)
			cost_add(run, &plan->nodes[n], ns);
}

void run_cost_list(const struct plan_run *run, const unsigned int *list, unsigned int n_members,
	uint64_t begin_ns)
{
	uint64_t ns;

	if (!run->measured)
		return;
	ns = clock_monotonic_ns() - begin_ns;
	for (unsigned int m = 0; m < n_members; m++) {
		const struct plan_node *node = &run->plan->nodes[list[m]];

		if (node->kind == PLAN_NODE_PROCESS)
			cost_add(run, node, ns);
	}
}

double plan_cost_ns_per_pkt(const struct plan_instance *instance)
{
	uint64_t pkts = atomic_load_explicit(&instance->cost.pkts, memory_order_relaxed);

	return pkts == 0 ? 0
			 : (double)atomic_load_explicit(&instance->cost.ns, memory_order_relaxed) /
			(double)pkts;
}
