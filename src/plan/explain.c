/* SPDX-License-Identifier: BSD-2-Clause */
/* What a plan has made of a function, for people: see struct plan_explanation. */
#include <errno.h>
#include <string.h>

#include "plan_private.h"

/* Whether one piece of work serves both nodes, which are of one kind and domain. */
static bool explain_is_shared(const struct plan_node *a, const struct plan_node *b)
{
	const struct function *f = a->instance->function, *g = b->instance->function;

	switch (a->kind) {
	case PLAN_NODE_FILTER:
		return strcmp(f->filter(a->instance->memory), g->filter(b->instance->memory)) == 0;
	case PLAN_NODE_SEARCH:
		return search_pattern_equal(
			f->search(a->instance->memory), g->search(b->instance->memory));
	case PLAN_NODE_TRANSFORM:
		return a->index == b->index;
	case PLAN_NODE_GATE:
	case PLAN_NODE_PROCESS:
	case _PLAN_NODE_N:
		break;
	}
	return a == b;
}

static enum plan_work explain_work(enum plan_node_kind kind)
{
	switch (kind) {
	case PLAN_NODE_FILTER:
		return PLAN_WORK_FILTER;
	case PLAN_NODE_SEARCH:
		return PLAN_WORK_SEARCH;
	case PLAN_NODE_TRANSFORM:
		return PLAN_WORK_TRANSFORM;
	case PLAN_NODE_GATE:
	case PLAN_NODE_PROCESS:
	case _PLAN_NODE_N:
		break;
	}
	return PLAN_WORK_PROCESS;
}

int plan_explain(
	const struct plan *plan, const struct plan_instance *instance, struct plan_explanation *ret)
{
	const struct plan_node *node = NULL;
	unsigned int n;

	for (n = 0; n < plan->n_nodes && !node; n++)
		if (plan->nodes[n].instance == instance)
			node = &plan->nodes[n];
	if (!node)
		return -ENOENT;
	*ret = (struct plan_explanation){
		.work = explain_work(node->kind),
		.step = n,
		.n_steps = plan->n_nodes,
		.domain = node->domain,
		.new_domain = node->kind == PLAN_NODE_TRANSFORM ? node->index : 0,
		.order = plan_instance_order(instance),
		.late = node->late,
		.group = node->group,
	};
	for (unsigned int i = 0; i < plan->n_nodes; i++) {
		const struct plan_node *other = &plan->nodes[i];
		bool is_near = other->kind == node->kind && other->domain == node->domain &&
			(ret->work != PLAN_WORK_PROCESS || other == node);

		ret->together += is_near;
		ret->shared += is_near && explain_is_shared(node, other);
	}
	return 0;
}
