/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Statistics of functions: how many packets reach each, and how many later ones see.
 *
 * Both are told by the selections that a function reads and writes, and only what enters a flow and
 * what a filter lets pass are selections of their own. So they cost a population count for each
 * flow and filter and batch, and nothing for other functions, packets or commits.
 */
#include <stdlib.h>

#include "run_private.h"

/* Of one selection; @committed belongs to its flow or to the filter that writes it. */
struct run_count {
	uint64_t *committed;
	uint64_t early_pkts; /* since the last commit */
	bool late;
};

struct run_count *run_counts_new(const struct plan *plan, bool direct)
{
	struct run_count *counts = calloc(MAX(plan->n_selections, 1u), sizeof(*counts));

	if (!counts)
		return NULL;
	for (unsigned int f = 0; f < plan->n_flows; f++)
		counts[f].committed = &plan->flows[f]->pkts;
	for (unsigned int n = 0; n < plan->n_nodes; n++)
		if (plan_node_filters(&plan->nodes[n]))
			counts[plan->nodes[n].out] = (struct run_count){
				.committed = &plan->nodes[n].instance->passed_pkts,
				.late = plan->nodes[n].late && !direct,
			};
	return counts;
}

void run_count(struct plan_run *run, bool late)
{
	for (unsigned int s = 0; s < run->plan->n_selections; s++) {
		struct run_count *count = &run->counts[s];

		if (count->late != late)
			continue;
		*(late || run->direct ? count->committed : &count->early_pkts) +=
			packet_mask_count(&run->selections[s]);
	}
}

void run_count_commit(struct plan_run *run)
{
	for (unsigned int s = 0; s < run->plan->n_selections; s++) {
		*run->counts[s].committed += run->counts[s].early_pkts;
		run->counts[s].early_pkts = 0;
	}
}

void run_count_abandon(struct plan_run *run)
{
	for (unsigned int s = 0; s < run->plan->n_selections; s++)
		run->counts[s].early_pkts = 0;
}

void plan_flow_count(struct plan_flow *flow)
{
	uint64_t pkts = flow->pkts;

	for (unsigned int i = 0; i < flow->n_instances; i++) {
		struct plan_instance *instance = flow->instances[i];

		instance->counts.pkts = pkts;
		if (instance->function->desc.flags & MAPI_FUNCTION_FILTERS)
			pkts = instance->passed_pkts;
		instance->counts.passed_pkts = pkts;
	}
}
