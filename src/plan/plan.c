/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a plan is made of: nodes and domains. Flows and their instances are in flow.c, what filters
 * become for a link type is in link.c; the order of execution is decided in order.c, running is in
 * run.c.
 *
 * Pure filters of a domain are collected into one filter set per link type and one search set, so
 * that all flows share the work (semantics O3); searches share one per owner. A transform opens a
 * child domain; flows whose transforms follow from the same domain with the same arguments share
 * the child.
 */
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mapi/errors.h"
#include "plan_private.h"

static int plan_compare_id(const void *id, const void *flow)
{
	unsigned int a = *(const unsigned int *)id;
	unsigned int b = (*(const struct plan_flow *const *)flow)->id;

	return a < b ? -1 : a > b;
}

/* Does the gate open with the plan? That is when all whom it waits for are in it or have been
 * connected elsewhere. */
static bool plan_gate_is_open(const struct plan *plan, const struct plan_instance *gate)
{
	for (unsigned int i = 0; i < gate->n_waits; i++)
		if (!gate->waits[i].connected &&
			!bsearch(&gate->waits[i].flow, plan->flows, plan->n_flows,
				sizeof(plan->flows[0]), plan_compare_id))
			return false;
	return true;
}

static void plan_open_gates(struct plan *plan)
{
	for (unsigned int n = 0; n < plan->n_nodes; n++) {
		struct plan_node *node = &plan->nodes[n];

		if (node->kind != PLAN_NODE_GATE)
			continue;
		node->index = plan_gate_is_open(plan, node->instance);
	}
}

/* The child of @parent that @transform opens: an existing one if it would hold the same packets. */
static int plan_domain_open(
	struct plan *plan, unsigned int parent, struct plan_instance *transform, unsigned int *ret)
{
	struct plan_domain *domains;

	for (unsigned int d = 0; d < plan->n_domains; d++) {
		struct plan_instance *other = plan->domains[d].transform;

		if (transform && other && plan->domains[d].parent == parent &&
			other->function == transform->function &&
			memcmp(other->memory, transform->memory,
				transform->function->instance_bytes) == 0) {
			*ret = d;
			return 0;
		}
	}
	domains = realloc(plan->domains, (plan->n_domains + 1) * sizeof(domains[0]));
	if (!domains)
		return -ENOMEM;
	plan->domains = domains;
	domains[plan->n_domains] = (struct plan_domain){ .parent = parent, .transform = transform };
	*ret = plan->n_domains++;
	return 0;
}

static int plan_domain_add_filter(
	struct plan_domain *domain, struct plan_instance *instance, unsigned int *ret)
{
	/* Grown in powers of two. */
	if ((domain->n_filters & (domain->n_filters - 1)) == 0) {
		size_t n = domain->n_filters ? 2 * (size_t)domain->n_filters : 1;
		struct plan_instance **grown = realloc(domain->filters, n * sizeof(grown[0]));

		if (!grown)
			return -ENOMEM;
		domain->filters = grown;
	}
	domain->filters[domain->n_filters] = instance;
	*ret = domain->n_filters++;
	return 0;
}

static int plan_domain_add_search(struct plan_domain *domain, struct plan_instance *instance,
	const unsigned int *filters, unsigned int n_filters, unsigned int *ret)
{
	unsigned int *copy = NULL;

	if ((domain->n_searches & (domain->n_searches - 1)) == 0) {
		size_t n = domain->n_searches ? 2 * (size_t)domain->n_searches : 1;
		struct plan_search *grown = realloc(domain->searches, n * sizeof(grown[0]));

		if (!grown)
			return -ENOMEM;
		domain->searches = grown;
	}
	if (n_filters) {
		copy = malloc(n_filters * sizeof(copy[0]));
		if (!copy)
			return -ENOMEM;
		memcpy(copy, filters, n_filters * sizeof(copy[0]));
	}
	domain->searches[domain->n_searches] = (struct plan_search){
		.instance = instance, .filters = copy, .n_filters = n_filters
	};
	*ret = domain->n_searches++;
	return 0;
}

/* One flow's instances become nodes, in application order. */
static int plan_add_flow(struct plan *plan, unsigned int flow_index)
{
	struct plan_flow *flow = plan->flows[flow_index];
	_cleanup_(cleanup_freep) unsigned int *filters = NULL;
	unsigned int domain = 0, n_filters = 0, selection = flow_index;
	int r = 0;

	filters = malloc(MAX(flow->n_instances, 1u) * sizeof(filters[0]));
	if (!filters)
		return -ENOMEM;
	for (unsigned int i = 0; i < flow->n_instances; i++) {
		struct plan_instance *instance = flow->instances[i];
		const struct function *f = instance->function;
		struct plan_node *node = &plan->nodes[plan->n_nodes];

		if (instance->retired)
			continue;
		instance->node = plan->n_nodes++;
		*node = (struct plan_node){ .instance = instance,
			.kind = PLAN_NODE_PROCESS,
			.flow = flow_index,
			.domain = domain,
			.in = selection,
			.has_column =
				instance->referred && (f->desc.flags & MAPI_FUNCTION_REFERABLE) };
		if (plan_node_filters(node))
			selection = plan->n_selections++;
		node->out = selection;
		if (f->filter) {
			node->kind = PLAN_NODE_FILTER;
			r = plan_domain_add_filter(&plan->domains[domain], instance, &node->index);
			filters[n_filters++] = node->index;
		} else if (f->waits) {
			node->kind = PLAN_NODE_GATE;
		} else if (f->search) {
			node->kind = PLAN_NODE_SEARCH;
			r = plan_domain_add_search(
				&plan->domains[domain], instance, filters, n_filters, &node->index);
		} else if (f->transform) {
			node->kind = PLAN_NODE_TRANSFORM;
			r = plan_domain_open(plan, domain, instance, &domain);
			node->index = domain;
			n_filters = 0; /* indices of another domain's set */
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* References must stay within the plan: a source that has left would leave a dangling column. */
static int plan_check_refs(const struct plan *plan, struct error *err)
{
	for (unsigned int n = 0; n < plan->n_nodes; n++)
		for (unsigned int i = 0; i < plan->nodes[n].instance->n_refs; i++)
			plan->nodes[n].instance->refs[i]->flow->taken = false;
	for (unsigned int f = 0; f < plan->n_flows; f++)
		plan->flows[f]->taken = true;
	for (unsigned int n = 0; n < plan->n_nodes; n++) {
		const struct plan_instance *instance = plan->nodes[n].instance;

		for (unsigned int i = 0; i < instance->n_refs; i++)
			if (!instance->refs[i]->flow->taken)
				return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
					"%s refers to a flow that is not connected on the same "
					"device: "
					"connect the flow it refers to first",
					instance->function->desc.name);
	}
	return 0;
}

/* Where those stand that nodes refer to, once nodes stand where they are executed. */
static int plan_find_sources(struct plan *plan)
{
	unsigned int n_sources = 0;

	for (unsigned int n = 0; n < plan->n_nodes; n++) {
		plan->nodes[n].instance->node = n;
		n_sources += plan->nodes[n].instance->n_refs;
	}
	plan->sources = calloc(MAX(n_sources, 1u), sizeof(plan->sources[0]));
	if (!plan->sources)
		return -ENOMEM;
	n_sources = 0;
	for (unsigned int n = 0; n < plan->n_nodes; n++) {
		const struct plan_instance *instance = plan->nodes[n].instance;

		plan->nodes[n].sources = &plan->sources[n_sources];
		for (unsigned int i = 0; i < instance->n_refs; i++)
			plan->sources[n_sources++] = instance->refs[i]->node;
	}
	return 0;
}

int plan_new(struct plan **ret, struct plan_flow *const *flows, unsigned int n_flows,
	const struct plan *previous, struct error *err)
{
	_cleanup_(plan_freep) struct plan *plan = calloc(1, sizeof(*plan));
	unsigned int n_nodes = 0, root;
	int r;

	if (!plan)
		return -ENOMEM;
	for (unsigned int i = 0; i < n_flows; i++)
		n_nodes += flows[i]->n_instances;
	plan->flows = calloc(MAX(n_flows, 1u), sizeof(plan->flows[0]));
	plan->nodes = calloc(MAX(n_nodes, 1u), sizeof(plan->nodes[0]));
	if (!plan->flows || !plan->nodes)
		return -ENOMEM;
	plan->n_selections = n_flows;
	r = plan_domain_open(plan, 0, NULL, &root);
	for (unsigned int i = 0; i < n_flows && r == 0; i++) {
		plan->flows[i] = flows[i];
		plan->n_flows++;
		r = plan_add_flow(plan, i);
	}
	if (r == 0)
		r = plan_check_refs(plan, err);
	plan_open_gates(plan);
	for (unsigned int d = 0; d < plan->n_domains && r == 0; d++) {
		struct plan_domain *domain = &plan->domains[d];

		r = plan_searches_init(domain, plan, previous, err);
		domain->first_mask = plan->n_masks;
		plan->n_masks += domain->n_filters + domain->n_slots;
	}
	if (r == 0)
		r = plan_order(plan);
	if (r == 0)
		r = plan_find_sources(plan);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < n_flows; i++)
		plan_flow_bring_searches(flows[i], NULL);
	*ret = TAKE(plan);
	return 0;
}

struct plan *plan_free(struct plan *plan)
{
	if (!plan)
		return NULL;
	while (plan->links) {
		struct plan_link *next = plan->links->next;

		plan_link_free(plan, plan->links);
		plan->links = next;
	}
	for (unsigned int d = 0; d < plan->n_domains; d++) {
		struct plan_domain *domain = &plan->domains[d];

		for (unsigned int s = 0; s < domain->n_searches; s++)
			free(domain->searches[s].filters);
		free(domain->searches);
		free(domain->filters);
		plan_searches_deinit(domain);
	}
	free(plan->domains);
	free(plan->sources);
	free(plan->nodes);
	free(plan->flows);
	free(plan);
	return NULL;
}
