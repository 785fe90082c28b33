/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The nodes of a schedule, and where their masks live.
 *
 * A node that rejects unless its test holds, followed by a node that only it leads to, is computed
 * as one: valid & (test ? yes : no). Most bounds tests vanish in this way. The masks of nodes whose
 * parents are all computed are used again for others, last freed first: a thousand filters then
 * work within the nearest cache.
 */
#include "schedule_private.h"

#include <errno.h>
#include <stdlib.h>

/* Masks as offsets; see struct filter_run_node. */
static uint32_t slot_at(uint32_t mask)
{
	return mask * (uint32_t)sizeof(filter_mask_vec);
}

/* The node that is computed together with @n; @n itself if none is. */
static uint32_t slot_partner(const struct filter_schedule_job *j, uint32_t n)
{
	const struct filter_node *node = filter_graph_node(j->g, n);
	const struct filter_schedule_node *child = &j->nodes[node->yes];

	if (node->no == FILTER_NODE_REJECT && node->yes > FILTER_NODE_ACCEPT && !child->is_root &&
		child->n_parents == 1)
		return node->yes;
	return n;
}

static void slot_fuse(struct filter_schedule_job *j)
{
	for (uint32_t n = j->g->nodes.n; n-- > FILTER_NODE_ACCEPT + 1;) {
		struct filter_schedule_node *at = &j->nodes[n];

		if (!at->is_used || at->is_fused)
			continue;
		at->partner = slot_partner(j, n);
		if (at->partner != n)
			j->nodes[at->partner].is_fused = true;
	}
}

/* One parent less needs the mask of @n. */
static void slot_drop(
	struct filter_schedule_job *j, uint32_t n, uint32_t *free_slots, uint32_t *n_free)
{
	struct filter_schedule_node *node = &j->nodes[n];

	if (n > FILTER_NODE_ACCEPT && --node->n_parents == 0 && !node->is_root)
		free_slots[(*n_free)++] = node->mask;
}

int filter_slot_assign(struct filter_schedule_job *j)
{
	struct filter_schedule *s = j->s;
	uint32_t n_nodes = j->g->nodes.n, n_free = 0;
	uint32_t *free_slots = calloc(n_nodes, sizeof(*free_slots));

	s->nodes = calloc(n_nodes, sizeof(*s->nodes));
	if (!free_slots || !s->nodes) {
		free(free_slots);
		return -ENOMEM;
	}
	slot_fuse(j);
	j->nodes[FILTER_NODE_REJECT].mask = FILTER_MASK_REJECT;
	j->nodes[FILTER_NODE_ACCEPT].mask = FILTER_MASK_ALL;
	for (uint32_t n = FILTER_NODE_ACCEPT + 1; n < n_nodes; n++) {
		struct filter_schedule_node *at = &j->nodes[n];
		const struct filter_node *node = filter_graph_node(j->g, at->partner);
		uint32_t valid = FILTER_MASK_ALL;

		if (!at->is_used || at->is_fused)
			continue;
		if (at->partner != n)
			valid = j->tests[filter_graph_node(j->g, n)->test].mask;
		slot_drop(j, node->yes, free_slots, &n_free);
		slot_drop(j, node->no, free_slots, &n_free);
		at->mask = n_free ? free_slots[--n_free] : s->n_masks++;
		s->nodes[s->n_nodes++] = (struct filter_run_node){
			.valid = slot_at(valid),
			.test = slot_at(j->tests[node->test].mask),
			.yes = slot_at(j->nodes[node->yes].mask),
			.no = slot_at(j->nodes[node->no].mask),
			.ret = slot_at(at->mask),
		};
	}
	free(free_slots);
	return 0;
}
