/* SPDX-License-Identifier: BSD-2-Clause */
/* Search sets of domains, and how one plan inherits them from another: see struct plan_searches. */
#include <errno.h>
#include <stdlib.h>

#include "plan_private.h"

/* A set of which most is no longer wanted costs more in scanning than a new one in building. */
#define SEARCHES_WANTED_MIN(n) ((n) / 2)

static uint64_t searches_key(const struct plan_search *search)
{
	return (uint64_t)search->instance->flow->id << 32 | search->instance->fid;
}

struct plan_searches *plan_searches_unref(struct plan_searches *searches)
{
	if (!searches || --searches->refs > 0)
		return NULL;
	search_set_free(searches->set);
	free(searches);
	return NULL;
}

/* Whether @set holds all searches of @domain; then they know their slots. Both ascend. */
static bool searches_fit(struct plan_domain *domain, const struct plan_searches *set)
{
	unsigned int slot = 0;

	if (domain->n_searches < SEARCHES_WANTED_MIN(set->n))
		return false;
	for (unsigned int i = 0; i < domain->n_searches; i++) {
		uint64_t key = searches_key(&domain->searches[i]);

		while (slot < set->n && set->keys[slot] < key)
			slot++;
		if (slot == set->n || set->keys[slot] != key)
			return false;
		domain->searches[i].slot = slot;
	}
	return true;
}

static int searches_build(struct plan_domain *domain, struct error *err)
{
	unsigned int n = domain->n_searches;
	_cleanup_(cleanup_freep) const struct search_pattern **patterns = NULL;
	_cleanup_(cleanup_freep) struct plan_searches *built = NULL;
	int r;

	patterns = malloc(n * sizeof(patterns[0]));
	built = malloc(sizeof(*built) + n * sizeof(built->keys[0]));
	if (!patterns || !built)
		return -ENOMEM;
	*built = (struct plan_searches){ .refs = 1, .n = n };
	for (unsigned int i = 0; i < n; i++) {
		struct plan_instance *instance = domain->searches[i].instance;

		domain->searches[i].slot = i;
		built->keys[i] = searches_key(&domain->searches[i]);
		patterns[i] = instance->function->search(instance->memory);
	}
	r = search_set_new(&built->set, patterns, n, err);
	if (r < 0)
		return r;
	domain->search_set = TAKE(built);
	return 0;
}

int plan_searches_init(
	struct plan_domain *domain, const struct plan_domain *previous, struct error *err)
{
	if (!domain->n_searches)
		return 0;
	if (!previous || !previous->search_set || !searches_fit(domain, previous->search_set))
		return searches_build(domain, err);
	domain->search_set = previous->search_set;
	domain->search_set->refs++;
	return 0;
}
