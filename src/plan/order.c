/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In which order the nodes of a plan run on a batch so that the outcome is that of one packet after
 * the other in (fd, fid) order (semantics O1, O2).
 *
 * A node depends on the last filter before it in its flow, because it needs that selection, and on
 * the functions it refers to, because it needs their value columns: batch-wise, those run first. A
 * source that stands later in (fd, fid) order shows its values one packet late; that is a matter of
 * columns (run.c), not of order. A function that resets its sources makes them depend on it in
 * turn; so does a function that looks at a source from time to time, if somebody resets that
 * source, because it must see values before resets and after. Such a circle is a strongly connected
 * component of more than one node; it becomes a group, which runs packet by packet, its nodes in
 * (fd, fid) order. Tarjan's algorithm (R. Tarjan, Depth-first search and linear graph algorithms,
 * 1972) yields the components dependencies first, which is the order of execution.
 *
 * Late nodes need all packets in order. With several workers the rest runs early, on chunks whose
 * turn has not come.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plan_private.h"

#define ORDER_NONE UINT32_MAX

/* Edges from each node to what must run before it: to[first[v]] .. to[first[v + 1] - 1]. */
struct order_graph {
	uint32_t n;
	uint32_t *first;
	uint32_t *to;
};

/* State of Tarjan's algorithm, without recursion: a plan may have a hundred thousand nodes. */
struct order_search {
	uint32_t *number; /* 0: not visited */
	uint32_t *low;
	uint32_t *edge; /* next edge to look at */
	uint32_t *path; /* the recursion that is not one */
	uint32_t *stack;
	uint8_t *on_stack;
	uint32_t n_path, n_stack, n_numbered;
};

/* Calls visit for every edge; used twice, to count and to fill. */
static void order_edges(const struct plan *plan,
	void (*visit)(struct order_graph *, uint32_t from, uint32_t to), struct order_graph *graph)
{
	uint32_t last_filter = ORDER_NONE;
	unsigned int flow = 0;

	for (uint32_t v = 0; v < plan->n_nodes; v++) {
		const struct plan_node *node = &plan->nodes[v];
		const struct plan_instance *instance = node->instance;

		if (v == 0 || node->flow != flow) {
			flow = node->flow;
			last_filter = ORDER_NONE;
		}
		if (last_filter != ORDER_NONE)
			visit(graph, v, last_filter);
		if (plan_node_filters(node))
			last_filter = v;
		for (unsigned int i = 0; i < instance->n_refs; i++) {
			uint32_t source = instance->refs[i]->node;

			visit(graph, v, source);
			if (plan_instance_is_bound(instance, &plan->nodes[source]))
				visit(graph, source, v);
		}
	}
}

static void order_count_edge(struct order_graph *graph, uint32_t from, uint32_t to)
{
	graph->first[from + 1]++;
}

/* first[from] is the next free place until all edges are in. */
static void order_add_edge(struct order_graph *graph, uint32_t from, uint32_t to)
{
	graph->to[graph->first[from]++] = to;
}

static int order_graph_init(struct order_graph *graph, const struct plan *plan)
{
	graph->n = plan->n_nodes;
	graph->first = calloc((size_t)graph->n + 2, sizeof(graph->first[0]));
	if (!graph->first)
		return -ENOMEM;
	order_edges(plan, order_count_edge, graph);
	for (uint32_t v = 0; v < graph->n; v++)
		graph->first[v + 1] += graph->first[v];
	graph->to = malloc(((size_t)graph->first[graph->n] + 1) * sizeof(graph->to[0]));
	if (!graph->to)
		return -ENOMEM;
	order_edges(plan, order_add_edge, graph);
	/* Every first[v] has moved to its end, which is the start of v + 1. */
	memmove(graph->first + 1, graph->first, graph->n * sizeof(graph->first[0]));
	graph->first[0] = 0;
	return 0;
}

static void order_graph_deinit(struct order_graph *graph)
{
	free(graph->first);
	free(graph->to);
}

static int order_search_init(struct order_search *s, uint32_t n)
{
	size_t size = MAX(n, 1u);

	*s = (struct order_search){ .number = calloc(size, sizeof(uint32_t)),
		.low = calloc(size, sizeof(uint32_t)),
		.edge = calloc(size, sizeof(uint32_t)),
		.path = calloc(size, sizeof(uint32_t)),
		.stack = calloc(size, sizeof(uint32_t)),
		.on_stack = calloc(size, 1) };
	return s->number && s->low && s->edge && s->path && s->stack && s->on_stack ? 0 : -ENOMEM;
}

static void order_search_deinit(struct order_search *s)
{
	free(s->number);
	free(s->low);
	free(s->edge);
	free(s->path);
	free(s->stack);
	free(s->on_stack);
}

static void order_enter(struct order_search *s, const struct order_graph *graph, uint32_t v)
{
	s->number[v] = s->low[v] = ++s->n_numbered;
	s->edge[v] = graph->first[v];
	s->stack[s->n_stack++] = v;
	s->on_stack[v] = 1;
	s->path[s->n_path++] = v;
}

static int order_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The component on top of the stack, down to @root, is complete: append its nodes. */
static void order_emit(struct order_search *s, struct plan *plan, uint32_t root,
	struct plan_node *ret_nodes, uint32_t *n_emitted, unsigned int *n_groups)
{
	uint32_t bottom = s->n_stack;

	while (s->stack[--bottom] != root)
		;
	/* Within a group the order is that of (fd, fid), which is that of the node numbers. */
	qsort(s->stack + bottom, s->n_stack - bottom, sizeof(s->stack[0]), order_compare);
	if (s->n_stack - bottom > 1)
		++*n_groups;
	for (uint32_t i = bottom; i < s->n_stack; i++) {
		uint32_t v = s->stack[i];

		s->on_stack[v] = 0;
		plan->nodes[v].group = s->n_stack - bottom > 1 ? *n_groups : 0;
		ret_nodes[(*n_emitted)++] = plan->nodes[v];
	}
	s->n_stack = bottom;
}

static void order_components(struct plan *plan, const struct order_graph *graph,
	struct order_search *s, struct plan_node *ret_nodes)
{
	uint32_t n_emitted = 0;
	unsigned int n_groups = 0;

	for (uint32_t start = 0; start < graph->n; start++) {
		if (s->number[start])
			continue;
		order_enter(s, graph, start);
		while (s->n_path) {
			uint32_t v = s->path[s->n_path - 1];

			if (s->edge[v] < graph->first[v + 1]) {
				uint32_t w = graph->to[s->edge[v]++];

				if (!s->number[w])
					order_enter(s, graph, w);
				else if (s->on_stack[w])
					s->low[v] = MIN(s->low[v], s->number[w]);
				continue;
			}
			s->n_path--;
			if (s->n_path) {
				uint32_t parent = s->path[s->n_path - 1];

				s->low[parent] = MIN(s->low[parent], s->low[v]);
			}
			if (s->low[v] == s->number[v])
				order_emit(s, plan, v, ret_nodes, &n_emitted, &n_groups);
		}
	}
}

/* Marks one flow's nodes late where one rule asks for it. Return: whether something changed. */
static bool order_mark_flow(struct plan_node *nodes, uint32_t n)
{
	bool changed = false, late_filter = false, late_after = false;

	for (uint32_t i = 0; i < n; i++) {
		if (late_filter && !nodes[i].late)
			changed = nodes[i].late = true;
		late_filter |= nodes[i].late && plan_node_filters(&nodes[i]);
	}
	/* A filter that is not pure has no verdict kept for the late pass: it moves there. */
	for (uint32_t i = n; i-- > 0;) {
		if (late_after && !nodes[i].late && plan_node_filters(&nodes[i]) &&
			nodes[i].kind == PLAN_NODE_PROCESS)
			changed = nodes[i].late = true;
		late_after |= nodes[i].late;
	}
	return changed;
}

/* Before sorting: which nodes need all packets in order, and which values are read one packet late.
 */
static void order_mark_late(struct plan *plan, const uint32_t *flow_first)
{
	bool changed = true;

	for (uint32_t v = 0; v < plan->n_nodes; v++) {
		struct plan_node *node = &plan->nodes[v];
		const struct plan_instance *instance = node->instance;

		if (node->kind == PLAN_NODE_PROCESS &&
			(plan_instance_order(instance) != FUNCTION_FREE || instance->n_refs ||
				instance->referred || instance->function->tick))
			node->late = true;
		for (unsigned int i = 0; i < instance->n_refs; i++) {
			uint32_t source = instance->refs[i]->node;

			if (source >= v)
				plan->nodes[source].delayed = true;
			if (plan_instance_resets_refs(instance))
				plan->nodes[source].is_reset = true;
		}
	}
	while (changed) {
		changed = false;
		for (unsigned int f = 0; f < plan->n_flows; f++)
			changed |= order_mark_flow(
				plan->nodes + flow_first[f], flow_first[f + 1] - flow_first[f]);
	}
	for (uint32_t v = 0; v < plan->n_nodes; v++) {
		const struct plan_node *node = &plan->nodes[v];
		struct plan_domain *domain = &plan->domains[node->domain];

		plan->has_late |= node->late;
		if (node->instance->function->wants_decode && node->late)
			domain->late_decode = true;
		else if (node->instance->function->wants_decode)
			domain->early_decode = true;
	}
}

int plan_order(struct plan *plan)
{
	struct order_graph graph = { .n = 0 };
	struct order_search search = { .n_path = 0 };
	struct plan_node *sorted = calloc(MAX(plan->n_nodes, 1u), sizeof(sorted[0]));
	uint32_t *flow_first = calloc((size_t)plan->n_flows + 1, sizeof(flow_first[0]));
	int r = -ENOMEM;

	if (!sorted || !flow_first)
		goto out;
	/* Nodes were added flow by flow in application order. */
	for (uint32_t v = 0; v < plan->n_nodes; v++)
		flow_first[plan->nodes[v].flow + 1] = v + 1;
	for (unsigned int f = 0; f < plan->n_flows; f++)
		flow_first[f + 1] = MAX(flow_first[f + 1], flow_first[f]);
	order_mark_late(plan, flow_first);
	r = order_graph_init(&graph, plan);
	if (r == 0)
		r = order_search_init(&search, plan->n_nodes);
	if (r < 0)
		goto out;
	order_components(plan, &graph, &search, sorted);
	free(plan->nodes);
	plan->nodes = TAKE(sorted);
out:
	order_search_deinit(&search);
	order_graph_deinit(&graph);
	free(flow_first);
	free(sorted);
	return r;
}
