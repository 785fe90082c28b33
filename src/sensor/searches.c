/* SPDX-License-Identifier: BSD-2-Clause */
/* Search databases of a device: see searches.h. */
#include "searches.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/**
 * struct searches_owner - an owner of flows
 * @building: whose set the compiler has; NULL: nothing is being built
 * @ready:    that was built last
 * @n_answers: how many have been
 */
struct searches_owner {
	struct searches_owner *next;
	unsigned int owner;
	struct compiler_client *client;
	struct plan_searches *building;
	struct plan_searches *ready;
	uint64_t n_answers;
};

struct searches {
	struct compiler *compiler;
	struct searches_owner *owners;
};

int searches_new(struct searches **ret, struct compiler *compiler)
{
	struct searches *searches = calloc(1, sizeof(*searches));

	if (!searches)
		return -ENOMEM;
	searches->compiler = compiler;
	*ret = searches;
	return 0;
}

static void searches_owner_free(struct searches_owner *owner)
{
	compiler_client_free(owner->client);
	plan_searches_unref(owner->building);
	plan_searches_unref(owner->ready);
	free(owner);
}

struct searches *searches_free(struct searches *searches)
{
	while (searches && searches->owners) {
		struct searches_owner *owner = searches->owners;

		searches->owners = owner->next;
		searches_owner_free(owner);
	}
	free(searches);
	return NULL;
}

static struct searches_owner *searches_find(const struct searches *searches, unsigned int owner)
{
	for (struct searches_owner *o = searches->owners; o; o = o->next)
		if (o->owner == owner)
			return o;
	return NULL;
}

static int searches_owner_get(
	struct searches *searches, unsigned int owner, struct searches_owner **ret)
{
	struct searches_owner *o = searches_find(searches, owner);
	int r = 0;

	if (!o) {
		o = calloc(1, sizeof(*o));
		r = o ? compiler_client_new(&o->client, searches->compiler, owner) : -ENOMEM;
		if (r < 0) {
			free(o);
			return r;
		}
		o->owner = owner;
		o->next = searches->owners;
		searches->owners = o;
	}
	*ret = o;
	return 0;
}

/* Take what has been built. Return: 0, also if it still is; negative: it could not be. */
static int searches_take(struct searches_owner *owner, struct error *err)
{
	struct search_set *set;
	int r;

	if (!owner->building)
		return 0;
	r = compiler_built(owner->client, &set, err);
	if (r == COMPILER_E_AGAIN)
		return 0;
	owner->n_answers++;
	if (r < 0) {
		owner->building = plan_searches_unref(owner->building);
		return r;
	}
	plan_searches_give(owner->building, set);
	plan_searches_unref(owner->ready);
	owner->ready = TAKE(owner->building);
	return 0;
}

/* For all that are there, and all that wait. */
static int searches_build(
	struct searches_owner *owner, const struct searches_wanted *wanted, struct error *err)
{
	unsigned int n = wanted->n_flows + wanted->n_others;
	_cleanup_(cleanup_freep) struct plan_flow **all = calloc(MAX(n, 1u), sizeof(all[0]));
	int r;

	if (!all)
		return -ENOMEM;
	if (wanted->n_flows)
		memcpy(all, wanted->flows, wanted->n_flows * sizeof(all[0]));
	if (wanted->n_others)
		memcpy(all + wanted->n_flows, wanted->others, wanted->n_others * sizeof(all[0]));
	r = plan_searches_new(&owner->building, all, n, owner->owner);
	if (r == 0)
		r = compiler_build(owner->client, plan_searches_take(owner->building), err);
	if (r < 0)
		owner->building = plan_searches_unref(owner->building);
	return r < 0 ? r : SEARCHES_E_AGAIN;
}

int searches_get(struct searches *searches, const struct searches_wanted *wanted,
	unsigned int owner, struct plan_flow *flow, struct error *err)
{
	struct searches_owner *o;
	int r;

	if (plan_serves(wanted->plan, wanted->flows, wanted->n_flows, owner))
		return 0;
	r = searches_owner_get(searches, owner, &o);
	if (r == 0)
		r = searches_take(o, err);
	if (r < 0)
		return r;
	if (plan_searches_serve(o->ready, wanted->flows, wanted->n_flows, owner)) {
		plan_flow_bring_searches(flow, plan_searches_ref(o->ready));
		return 0;
	}
	return o->building ? SEARCHES_E_AGAIN : searches_build(o, wanted, err);
}

uint64_t searches_n_answers(const struct searches *searches, unsigned int owner)
{
	const struct searches_owner *o = searches_find(searches, owner);

	return o ? o->n_answers : 0;
}

bool searches_have_answered(const struct searches *searches, unsigned int owner, uint64_t n)
{
	const struct searches_owner *o = searches_find(searches, owner);

	return !o || o->n_answers != n || !o->building || compiler_has_answered(o->client);
}

void searches_forget(struct searches *searches, unsigned int owner)
{
	for (struct searches_owner **at = &searches->owners; *at; at = &(*at)->next)
		if ((*at)->owner == owner) {
			struct searches_owner *o = *at;

			*at = o->next;
			searches_owner_free(o);
			return;
		}
}
