/* SPDX-License-Identifier: BSD-2-Clause */
/* The inside of a plan, shared by plan.c (what it is made of), flow.c, link.c, searches.c, order.c
 * (in which order), explain.c, lower.c and, through run_private.h, by those that run it. */
#ifndef MAPI_PLAN_PLAN_PRIVATE_H
#define MAPI_PLAN_PLAN_PRIVATE_H

#include "filter/filter.h"
#include "plan.h"
#include "search/search.h"

/* One expression compiled for one link type; program is NULL if there is none. */
struct plan_program {
	struct plan_program *next;
	uint32_t linktype;
	struct filter_program *program;
};

enum plan_node_kind {
	PLAN_NODE_FILTER, /* pure, decided by the domain's filter set */
	PLAN_NODE_SEARCH, /* pure, decided by the domain's search set */
	PLAN_NODE_GATE, /* pure: passes everything or nothing */
	PLAN_NODE_TRANSFORM, /* opens a child domain */
	PLAN_NODE_PROCESS,
	_PLAN_NODE_N
};

/**
 * struct plan_node - one instance in the plan
 * @flow:   index of its flow
 * @domain: index of the domain whose packets it sees
 * @index:  FILTER, SEARCH: its place in the domain's set; TRANSFORM: the child domain;
 *          GATE: 1 if it is open
 * @in, @out: indices of the selections it reads and, if it filters, writes; else both are equal
 * @sources: indices of the nodes that it refers to, one for each reference
 * @late:   needs all packets in order
 * @group:  0, or the number of a group that runs packet by packet
 * @delayed: someone earlier in (fd, fid) order refers to it
 * @is_reset: someone resets it
 */
struct plan_node {
	struct plan_instance *instance;
	enum plan_node_kind kind;
	unsigned int flow;
	unsigned int domain;
	unsigned int index;
	unsigned int in;
	unsigned int out;
	const unsigned int *sources;
	bool late;
	unsigned int group;
	bool has_column;
	bool delayed;
	bool is_reset;
};

/* A search and the pure filters before it in its flow: only what passes them is searched.
 * @set:  which of the domain's databases finds it
 * @slot: the place of its verdict among those of all searches of the domain */
struct plan_search {
	struct plan_instance *instance;
	unsigned int set;
	unsigned int slot;
	unsigned int *filters; /* indices in the domain's filter set */
	unsigned int n_filters;
};

/* A domain's database of one owner. @first: the place of its first verdict, as slots are. */
struct plan_search_set {
	struct plan_searches *searches;
	const struct search_set *set; /* of @searches */
	unsigned int first;
};

/**
 * struct plan_domain - packets that a part of the plan sees (semantics O4)
 * @parent:    domain 0 is the captured batch
 * @transform: the instance that opened it; NULL for domain 0
 */
struct plan_domain {
	unsigned int parent;
	struct plan_instance *transform;
	struct plan_instance **filters;
	unsigned int n_filters;
	struct plan_search *searches;
	unsigned int n_searches;
	struct plan_search_set *search_sets;
	unsigned int n_search_sets;
	unsigned int n_slots; /* verdicts of all of them */
	unsigned int first_mask; /* verdicts of the filters, then of the searches */
	bool early_decode;
	bool late_decode;
};

/* The filter sets of all domains for one link type. */
struct plan_link {
	struct plan_link *next;
	uint32_t linktype;
	struct filter_set **sets; /* one per domain; NULL where a domain has no filters */
};

struct plan {
	struct plan_flow **flows;
	unsigned int n_flows;
	struct plan_node *nodes; /* in order of execution, once plan_order() has run */
	unsigned int n_nodes;
	unsigned int *sources; /* of all nodes */
	unsigned int n_selections; /* the first n_flows are what enters the flows */
	unsigned int n_masks; /* verdicts of pure filters and searches, all domains */
	struct plan_domain *domains;
	unsigned int n_domains;
	bool has_late;
	struct plan_link *links; /* guarded by link.c's compile lock; links are only added */
};

/* searches.c: give a domain of @plan its databases. @previous: a plan to take them from, NULL:
 * none. Return: 0, -EINVAL with @err filled, -ENOMEM. */
int plan_searches_init(struct plan_domain *domain, const struct plan *plan,
	const struct plan *previous, struct error *err);
void plan_searches_deinit(struct plan_domain *domain);

/* order.c: sort plan->nodes for execution, find groups, mark late nodes. Return: 0, -ENOMEM. */
int plan_order(struct plan *plan);

/* Whether later nodes of the flow see a selection that this node makes. */
static inline bool plan_node_filters(const struct plan_node *node)
{
	return node->instance->function->desc.flags & MAPI_FUNCTION_FILTERS;
}

static inline enum function_order plan_instance_order(const struct plan_instance *instance)
{
	const struct function *f = instance->function;

	return f->order_of ? f->order_of(instance->memory) : f->order;
}

static inline bool plan_instance_resets_refs(const struct plan_instance *instance)
{
	const struct function *f = instance->function;

	return f->resets_refs && (!f->resets_refs_of || f->resets_refs_of(instance->memory));
}

/* Whether the instance must run packet by packet with a function that it refers to. */
static inline bool plan_instance_is_bound(
	const struct plan_instance *instance, const struct plan_node *source)
{
	const struct function *f = instance->function;

	if (f->only_at_end && f->only_at_end(instance->memory))
		return false;
	return plan_instance_resets_refs(instance) || (f->tick && source->is_reset);
}

/* link.c: an instance's filter, compiled for a link type. NULL: it is not. */
const struct filter_program *plan_program_of(
	const struct plan_instance *instance, uint32_t linktype);

/* link.c: the filter sets for a link type, made at its first packet. NULL: out of memory. */
const struct plan_link *plan_link_get(struct plan *plan, uint32_t linktype);
void plan_link_free(const struct plan *plan, struct plan_link *link);

/* Compile an instance's expression for a link type, or find it compiled. A program that is
 * not valid for @linktype, or could not be had, is remembered as NULL: it matches nothing there. */
int plan_program_get(struct plan_instance *instance, uint32_t linktype, bool may_wait,
	const struct filter_program **ret, struct error *err);
struct plan_program *plan_program_free(struct plan_program *programs); /* takes NULL; all of them */

#endif
