/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Search databases, and how they come into plans and from one plan into the next.
 *
 * Building a database takes long, leaving patterns of it out takes nothing. So a plan goes on with
 * any database that its predecessor has, or that its flows bring, and that finds what is wanted;
 * only where there is none it builds one. Patterns are compared by what they find, not by whose
 * they are. Owners do not share databases: so nobody waits for another one's.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "plan_private.h"

#define SEARCHES_NONE UINT32_MAX

/**
 * struct plan_searches - a database
 * @set: NULL: it is being built elsewhere
 * @patterns: @n different ones, in the order of search_pattern_compare(), which is that of @set
 */
struct plan_searches {
	_Atomic unsigned int refs; /* besides the first */
	unsigned int owner;
	unsigned int n;
	struct search_set *set;
	struct search_pattern *patterns[];
};

struct plan_searches *plan_searches_ref(struct plan_searches *searches)
{
	atomic_fetch_add_explicit(&searches->refs, 1, memory_order_relaxed);
	return searches;
}

struct plan_searches *plan_searches_unref(struct plan_searches *searches)
{
	if (!searches || atomic_fetch_sub_explicit(&searches->refs, 1, memory_order_acq_rel) > 0)
		return NULL;
	for (unsigned int i = 0; i < searches->n; i++)
		search_pattern_free(searches->patterns[i]);
	search_set_free(searches->set);
	free(searches);
	return NULL;
}

static int searches_compare(const void *a, const void *b)
{
	return search_pattern_compare(
		*(struct search_pattern *const *)a, *(struct search_pattern *const *)b);
}

/* Make it of @patterns, @n of them, at least one, which are sorted. */
static int searches_new(struct plan_searches **ret, struct search_pattern **patterns,
	unsigned int n, unsigned int owner)
{
	struct plan_searches *searches;

	qsort(patterns, n, sizeof(patterns[0]), searches_compare);
	searches = calloc(1, sizeof(*searches) + n * sizeof(searches->patterns[0]));
	if (!searches)
		return -ENOMEM;
	searches->owner = owner;
	for (unsigned int i = 0; i < n; i++)
		if (i == 0 || search_pattern_compare(patterns[i - 1], patterns[i]) != 0)
			searches->patterns[searches->n++] = search_pattern_ref(patterns[i]);
	*ret = searches;
	return 0;
}

static const struct search_pattern *const *searches_patterns(const struct plan_searches *searches)
{
	return (const struct search_pattern *const *)searches->patterns;
}

/* The place of a pattern that finds the same; SEARCHES_NONE: there is none. */
static unsigned int searches_slot(
	const struct plan_searches *searches, const struct search_pattern *pattern)
{
	struct search_pattern *const *at = bsearch(&pattern, searches->patterns, searches->n,
		sizeof(searches->patterns[0]), searches_compare);

	return at ? (unsigned int)(at - searches->patterns) : SEARCHES_NONE;
}

/* ---- of flows ---- */

static struct search_pattern *searches_pattern(const struct plan_instance *instance)
{
	return instance->function->search && !instance->retired
		? instance->function->search(instance->memory)
		: NULL;
}

int plan_searches_new(struct plan_searches **ret, struct plan_flow *const flows[],
	unsigned int n_flows, unsigned int owner)
{
	_cleanup_(cleanup_freep) struct search_pattern **patterns = NULL;
	struct plan_searches *searches = NULL;
	unsigned int n = 0;
	int r;

	for (unsigned int f = 0; f < n_flows; f++)
		n += flows[f]->n_instances;
	patterns = calloc(MAX(n, 1u), sizeof(patterns[0]));
	if (!patterns)
		return -ENOMEM;
	n = 0;
	for (unsigned int f = 0; f < n_flows; f++)
		for (unsigned int i = 0; flows[f]->owner == owner && i < flows[f]->n_instances;
			i++) {
			patterns[n] = searches_pattern(flows[f]->instances[i]);
			n += patterns[n] != NULL;
		}
	r = searches_new(&searches, patterns, n, owner);
	if (r == 0 && n > 0)
		r = search_set_prepare(&searches->set, searches_patterns(searches), searches->n);
	if (r < 0) {
		plan_searches_unref(searches);
		return r;
	}
	*ret = searches;
	return 0;
}

struct search_set *plan_searches_take(struct plan_searches *searches)
{
	return TAKE(searches->set);
}

void plan_searches_give(struct plan_searches *searches, struct search_set *set)
{
	searches->set = set;
}

bool plan_searches_serve(const struct plan_searches *searches, struct plan_flow *const flows[],
	unsigned int n_flows, unsigned int owner)
{
	for (unsigned int f = 0; f < n_flows; f++)
		for (unsigned int i = 0; flows[f]->owner == owner && i < flows[f]->n_instances;
			i++) {
			const struct search_pattern *pattern =
				searches_pattern(flows[f]->instances[i]);

			if (pattern &&
				(!searches || !searches->set || searches->owner != owner ||
					searches_slot(searches, pattern) == SEARCHES_NONE))
				return false;
		}
	return true;
}

bool plan_serves(const struct plan *plan, struct plan_flow *const flows[], unsigned int n_flows,
	unsigned int owner)
{
	if (plan_searches_serve(NULL, flows, n_flows, owner))
		return true; /* they search for nothing */
	for (unsigned int d = 0; plan && d < plan->n_domains; d++)
		for (unsigned int s = 0; s < plan->domains[d].n_search_sets; s++)
			if (plan_searches_serve(plan->domains[d].search_sets[s].searches, flows,
				    n_flows, owner))
				return true;
	return false;
}

void plan_flow_bring_searches(struct plan_flow *flow, struct plan_searches *searches)
{
	plan_searches_unref(flow->searches);
	flow->searches = searches;
}

/* ---- of a plan ---- */

static bool searches_fit(
	const struct plan_searches *searches, const struct plan_domain *domain, unsigned int owner)
{
	if (!searches || !searches->set || searches->owner != owner)
		return false;
	for (unsigned int i = 0; i < domain->n_searches; i++) {
		const struct plan_instance *instance = domain->searches[i].instance;

		if (instance->flow->owner == owner &&
			searches_slot(searches, searches_pattern(instance)) == SEARCHES_NONE)
			return false;
	}
	return true;
}

/* What finds the least besides what is wanted. NULL: nothing fits. */
static struct plan_searches *searches_find(const struct plan *plan, const struct plan *previous,
	const struct plan_domain *domain, unsigned int owner)
{
	struct plan_searches *ret = NULL;

	for (unsigned int f = 0; f < plan->n_flows; f++) {
		struct plan_searches *searches = plan->flows[f]->searches;

		if (searches_fit(searches, domain, owner) && (!ret || searches->n < ret->n))
			ret = searches;
	}
	for (unsigned int d = 0; previous && d < previous->n_domains; d++)
		for (unsigned int s = 0; s < previous->domains[d].n_search_sets; s++) {
			struct plan_searches *searches =
				previous->domains[d].search_sets[s].searches;

			if (searches_fit(searches, domain, owner) && (!ret || searches->n < ret->n))
				ret = searches;
		}
	return ret;
}

static int searches_build(struct plan_searches **ret, const struct plan_domain *domain,
	unsigned int owner, struct error *err)
{
	_cleanup_(cleanup_freep) struct search_pattern **patterns =
		calloc(domain->n_searches, sizeof(patterns[0]));
	struct plan_searches *built;
	unsigned int n = 0;
	int r;

	if (!patterns)
		return -ENOMEM;
	for (unsigned int i = 0; i < domain->n_searches; i++)
		if (domain->searches[i].instance->flow->owner == owner)
			patterns[n++] = searches_pattern(domain->searches[i].instance);
	r = searches_new(&built, patterns, n, owner);
	if (r < 0)
		return r;
	r = search_set_new(&built->set, searches_patterns(built), built->n, err);
	if (r < 0)
		plan_searches_unref(built);
	else
		*ret = built;
	return r;
}

/* The domain's database of @owner: a new one, if it has none. */
static int searches_get(struct plan_domain *domain, const struct plan *plan,
	const struct plan *previous, unsigned int owner, struct plan_search_set **ret,
	struct error *err)
{
	struct plan_search_set *grown, *set;
	int r = 0;

	for (unsigned int s = 0; s < domain->n_search_sets; s++)
		if (domain->search_sets[s].searches->owner == owner) {
			*ret = &domain->search_sets[s];
			return 0;
		}
	grown = realloc(domain->search_sets, (domain->n_search_sets + 1) * sizeof(grown[0]));
	if (!grown)
		return -ENOMEM;
	domain->search_sets = grown;
	set = &grown[domain->n_search_sets];
	set->searches = searches_find(plan, previous, domain, owner);
	if (set->searches)
		plan_searches_ref(set->searches);
	else
		r = searches_build(&set->searches, domain, owner, err);
	if (r < 0)
		return r;
	domain->n_search_sets++;
	set->set = set->searches->set;
	set->first = domain->n_slots;
	domain->n_slots += set->searches->n;
	*ret = set;
	return 0;
}

int plan_searches_init(struct plan_domain *domain, const struct plan *plan,
	const struct plan *previous, struct error *err)
{
	for (unsigned int i = 0; i < domain->n_searches; i++) {
		struct plan_search *search = &domain->searches[i];
		struct plan_search_set *set;
		int r = searches_get(
			domain, plan, previous, search->instance->flow->owner, &set, err);

		if (r < 0)
			return r;
		search->set = (unsigned int)(set - domain->search_sets);
		search->slot = set->first +
			searches_slot(set->searches, searches_pattern(search->instance));
	}
	return 0;
}

void plan_searches_deinit(struct plan_domain *domain)
{
	for (unsigned int s = 0; s < domain->n_search_sets; s++)
		plan_searches_unref(domain->search_sets[s].searches);
	free(domain->search_sets);
}
