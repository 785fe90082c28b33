/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine of searches: all parts in one vectorscan database.
 *
 * Places are checked by search_match() and not by vectorscan, whose own offset limits make it
 * compile for minutes (1,000 literals: 46 s against 0.02 s).
 *
 * vectorscan 5.4.9 takes what begins with a NUL byte for empty, and misses matches of sets with
 * literals below three bytes (a third of a percent of random sets; never without them). So it gets
 * neither. Of a few literals (two to six in random sets) it misses some places beyond byte 60 of a
 * block; never of sets with a dozen literals that begin and go on differently. So every set gets
 * those, as fillers, but one literal alone, which has an engine of its own that is right.
 */
#include <errno.h>
#include <hs/hs.h>
#include <stdlib.h>

#include "mapi/errors.h"
#include "search_private.h"

#define SEARCH_FILLERS 12
#define SEARCH_FILLER_BYTES 8

struct search_engine {
	hs_database_t *database;
};

struct search_scratch {
	hs_scratch_t *hs;
};

/* Whether any one match of the part decides all its uses: vectorscan may then report one and
 * forget the rest, which is several times faster on literals that are frequent. It does not promise
 * to report the first one, so every place in the searched bytes must do. */
static bool search_set_single(const struct search_set *set, const struct search_group *group)
{
	for (unsigned int i = 0; i < group->n_uses; i++) {
		const struct search_use *use = &set->uses[group->first_use + i];

		if (use->low > set->low || use->high < set->high || use->part_bytes < use->n_bytes)
			return false;
	}
	return true;
}

/* Any two differ in each byte. */
static void search_engine_fill(uint8_t ret[SEARCH_FILLERS][SEARCH_FILLER_BYTES])
{
	for (unsigned int i = 0; i < SEARCH_FILLERS; i++)
		for (unsigned int k = 0; k < SEARCH_FILLER_BYTES; k++)
			ret[i][k] = (uint8_t)(0x80 | ((37 * i + 11 * k + 7 * i * k) & 0x7f));
}

static int search_engine_compile(
	struct search_engine *engine, const struct search_set *set, struct error *err)
{
	unsigned int n_groups = set->n_groups - set->n_short_groups;
	unsigned int n = n_groups + (n_groups > 1 ? SEARCH_FILLERS : 0);
	_cleanup_(cleanup_freep) const char **literals = calloc(n, sizeof(*literals));
	_cleanup_(cleanup_freep) size_t *n_bytes = calloc(n, sizeof(*n_bytes));
	_cleanup_(cleanup_freep) unsigned int *flags = calloc(n, sizeof(*flags));
	_cleanup_(cleanup_freep) unsigned int *ids = calloc(n, sizeof(*ids));
	uint8_t fillers[SEARCH_FILLERS][SEARCH_FILLER_BYTES];
	hs_compile_error_t *failure = NULL;

	if (!literals || !n_bytes || !flags || !ids)
		return -ENOMEM;
	search_engine_fill(fillers);
	for (unsigned int i = n_groups; i < n; i++) {
		literals[i] = (const char *)fillers[i - n_groups];
		n_bytes[i] = SEARCH_FILLER_BYTES;
		flags[i] = HS_FLAG_SINGLEMATCH;
		ids[i] = set->n_groups;
	}
	for (unsigned int i = 0; i < n_groups; i++) {
		const struct search_group *group = &set->groups[set->n_short_groups + i];
		const struct search_use *use = &set->uses[group->first_use];

		literals[i] = (const char *)use->bytes + use->head_bytes;
		n_bytes[i] = use->part_bytes;
		flags[i] = search_set_single(set, group) ? HS_FLAG_SINGLEMATCH : 0;
		ids[i] = set->n_short_groups + i;
	}
	if (hs_compile_lit_multi(literals, flags, ids, n_bytes, n, HS_MODE_BLOCK, NULL,
		    &engine->database, &failure) == HS_SUCCESS)
		return 0;
	error_set(err, MFUNCT_COULD_NOT_INIT_FUNCT,
		"The search for %u strings cannot be prepared: %s", n_groups,
		failure ? failure->message : "unknown cause");
	(void)hs_free_compile_error(failure);
	return -EINVAL;
}

int search_engine_new(struct search_engine **ret, const struct search_set *set, struct error *err)
{
	_cleanup_(search_engine_freep) struct search_engine *engine = calloc(1, sizeof(*engine));
	int r = engine ? search_engine_compile(engine, set, err) : -ENOMEM;

	if (r == 0)
		*ret = TAKE(engine);
	return r;
}

struct search_engine *search_engine_free(struct search_engine *engine)
{
	if (!engine)
		return NULL;
	(void)hs_free_database(engine->database);
	free(engine);
	return NULL;
}

int search_scratch_new(struct search_scratch **ret, const struct search_set *set)
{
	_cleanup_(search_scratch_freep) struct search_scratch *scratch =
		calloc(1, sizeof(*scratch));

	if (!scratch)
		return -ENOMEM;
	if (set->engine && hs_alloc_scratch(set->engine->database, &scratch->hs) != HS_SUCCESS)
		return -ENOMEM;
	*ret = TAKE(scratch);
	return 0;
}

struct search_scratch *search_scratch_free(struct search_scratch *scratch)
{
	if (!scratch)
		return NULL;
	(void)hs_free_scratch(scratch->hs);
	free(scratch);
	return NULL;
}

/* vectorscan's callback. Return: non-zero to stop. */
static int search_matched(unsigned int id, unsigned long long from, unsigned long long to,
	unsigned int flags, void *context)
{
	struct search_scan *scan = context;

	if (id == scan->set->n_groups) /* a filler */
		return 0;
	return search_match(scan, &scan->set->groups[id], scan->set->low + to);
}

void search_engine_scan(const struct search_engine *engine, struct search_scratch *scratch,
	struct search_scan *scan, uint64_t end)
{
	uint64_t low = scan->set->low;

	/* It can only fail by a wrong argument, or by the stop that the callback asks for. */
	(void)hs_scan(engine->database, (const char *)scan->data + low, (unsigned int)(end - low),
		0, scratch->hs, search_matched, scan);
}
