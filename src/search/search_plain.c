/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine of searches in builds without vectorscan: one memmem() after the other. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "search_private.h"

struct search_engine {
	const struct search_set *set;
};

struct search_scratch {
	char nothing;
};

int search_engine_new(struct search_engine **ret, const struct search_set *set, struct error *err)
{
	struct search_engine *engine = malloc(sizeof(*engine));

	if (!engine)
		return -ENOMEM;
	*engine = (struct search_engine){ .set = set };
	*ret = engine;
	return 0;
}

/* The engine is the set itself: any source will do. */
int search_engine_source(const struct search_set *set, uint8_t **ret, size_t *ret_n_bytes)
{
	*ret = calloc(1, 1);
	if (!*ret)
		return -ENOMEM;
	*ret_n_bytes = 1;
	return 0;
}

int search_database_build(const uint8_t *source, size_t n_bytes, uint8_t **ret, size_t *ret_n_bytes,
	struct error *err)
{
	return search_engine_source(NULL, ret, ret_n_bytes);
}

int search_engine_load(struct search_engine **ret, const struct search_set *set,
	const uint8_t *database, size_t n_bytes)
{
	return search_engine_new(ret, set, NULL);
}

struct search_engine *search_engine_free(struct search_engine *engine)
{
	free(engine);
	return NULL;
}

int search_scratch_new(struct search_scratch **ret, const struct search_set *set)
{
	struct search_scratch *scratch = calloc(1, sizeof(*scratch));

	if (!scratch)
		return -ENOMEM;
	*ret = scratch;
	return 0;
}

struct search_scratch *search_scratch_free(struct search_scratch *scratch)
{
	free(scratch);
	return NULL;
}

/* Return: whether every pattern has been found. */
static bool search_engine_find(
	struct search_scan *scan, const struct search_group *group, uint64_t end)
{
	const struct search_use *use = &scan->set->uses[group->first_use];
	const uint8_t *at = scan->data + scan->set->low, *stop = scan->data + end;

	while (!search_is_decided(scan, group)) {
		at = memmem(at, (size_t)(stop - at), use->bytes + use->head_bytes, use->part_bytes);
		if (!at)
			return false;
		if (search_match(scan, group, (uint64_t)(at - scan->data) + use->part_bytes))
			return true;
		at++;
	}
	return false;
}

void search_engine_scan(const struct search_engine *engine, struct search_scratch *scratch,
	struct search_scan *scan, uint64_t end)
{
	const struct search_set *set = engine->set;

	for (unsigned int i = set->n_short_groups; i < set->n_groups; i++)
		if (search_engine_find(scan, &set->groups[i], end))
			return;
}
