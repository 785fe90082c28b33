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
#include <string.h>

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

/* What a database is made of: this, the literals, and their bytes one after the other. */
struct search_source {
	uint32_t n_literals;
	uint32_t n_groups; /* of them; the others are fillers */
};

struct search_source_literal {
	uint32_t n_bytes;
	uint32_t flags;
	uint32_t id;
};

/* @i: group or filler. */
static struct search_source_literal search_source_literal(
	const struct search_set *set, unsigned int i, unsigned int n_groups)
{
	const struct search_group *group;

	if (i >= n_groups)
		return (struct search_source_literal){ .n_bytes = SEARCH_FILLER_BYTES,
			.flags = HS_FLAG_SINGLEMATCH,
			.id = set->n_groups };
	group = &set->groups[set->n_short_groups + i];
	return (struct search_source_literal){ .n_bytes = set->uses[group->first_use].part_bytes,
		.flags = search_set_single(set, group) ? HS_FLAG_SINGLEMATCH : 0,
		.id = set->n_short_groups + i };
}

int search_engine_source(const struct search_set *set, uint8_t **ret, size_t *ret_n_bytes)
{
	struct search_source head = { .n_groups = set->n_groups - set->n_short_groups };
	uint8_t fillers[SEARCH_FILLERS][SEARCH_FILLER_BYTES], *bytes, *at;
	size_t n_bytes;

	head.n_literals = head.n_groups + (head.n_groups > 1 ? SEARCH_FILLERS : 0);
	n_bytes = sizeof(head) + head.n_literals * sizeof(struct search_source_literal);
	for (unsigned int i = 0; i < head.n_literals; i++)
		n_bytes += search_source_literal(set, i, head.n_groups).n_bytes;
	bytes = malloc(n_bytes);
	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, &head, sizeof(head));
	search_engine_fill(fillers);
	at = bytes + sizeof(head) + head.n_literals * sizeof(struct search_source_literal);
	for (unsigned int i = 0; i < head.n_literals; i++) {
		struct search_source_literal literal = search_source_literal(set, i, head.n_groups);
		const struct search_use *use =
			i < head.n_groups ? &set->uses[set->groups[literal.id].first_use] : NULL;

		memcpy(bytes + sizeof(head) + i * sizeof(literal), &literal, sizeof(literal));
		memcpy(at, use ? use->bytes + use->head_bytes : fillers[i - head.n_groups],
			literal.n_bytes);
		at += literal.n_bytes;
	}
	*ret = bytes;
	*ret_n_bytes = n_bytes;
	return 0;
}

/* struct search_literals - a source, as vectorscan takes it */
struct search_literals {
	const char **at;
	size_t *n_bytes;
	unsigned int *flags;
	unsigned int *ids;
};

/* Return: whether the source is whole. */
static bool search_literals_read(struct search_literals *ret, const struct search_source *head,
	const uint8_t *source, size_t n_bytes)
{
	const uint8_t *table = source + sizeof(*head);
	size_t used_bytes = sizeof(*head) + head->n_literals * sizeof(struct search_source_literal);

	if (used_bytes > n_bytes)
		return false;
	for (unsigned int i = 0; i < head->n_literals; i++) {
		struct search_source_literal literal;

		memcpy(&literal, table + i * sizeof(literal), sizeof(literal));
		if (literal.n_bytes > n_bytes - used_bytes)
			return false;
		ret->at[i] = (const char *)source + used_bytes;
		ret->n_bytes[i] = literal.n_bytes;
		ret->flags[i] = literal.flags;
		ret->ids[i] = literal.id;
		used_bytes += literal.n_bytes;
	}
	return used_bytes == n_bytes;
}

static int search_refuse(unsigned int n_strings, const char *why, struct error *err)
{
	return error_set(err, MFUNCT_COULD_NOT_INIT_FUNCT,
		"The search for %u strings cannot be prepared: %s", n_strings, why);
}

static int search_compile(
	hs_database_t **ret, const uint8_t *source, size_t n_bytes, struct error *err)
{
	_cleanup_(cleanup_freep) const char **at = NULL;
	_cleanup_(cleanup_freep) size_t *sizes = NULL;
	_cleanup_(cleanup_freep) unsigned int *flags = NULL, *ids = NULL;
	struct search_source head = { .n_literals = 0 };
	hs_compile_error_t *failure = NULL;

	if (n_bytes >= sizeof(head))
		memcpy(&head, source, sizeof(head));
	if (head.n_literals == 0 ||
		head.n_literals > n_bytes / sizeof(struct search_source_literal))
		return search_refuse(head.n_groups, "damaged on the way", err);
	at = calloc(head.n_literals, sizeof(*at));
	sizes = calloc(head.n_literals, sizeof(*sizes));
	flags = calloc(head.n_literals, sizeof(*flags));
	ids = calloc(head.n_literals, sizeof(*ids));
	if (!at || !sizes || !flags || !ids)
		return -ENOMEM;
	if (!search_literals_read(
		    &(struct search_literals){ at, sizes, flags, ids }, &head, source, n_bytes))
		return search_refuse(head.n_groups, "damaged on the way", err);
	if (hs_compile_lit_multi(at, flags, ids, sizes, head.n_literals, HS_MODE_BLOCK, NULL, ret,
		    &failure) == HS_SUCCESS)
		return 0;
	(void)search_refuse(head.n_groups, failure ? failure->message : "unknown cause", err);
	(void)hs_free_compile_error(failure);
	return -EINVAL;
}

int search_database_build(const uint8_t *source, size_t n_bytes, uint8_t **ret, size_t *ret_n_bytes,
	struct error *err)
{
	hs_database_t *database = NULL;
	char *bytes = NULL;
	int r = search_compile(&database, source, n_bytes, err);

	if (r < 0)
		return r;
	if (hs_serialize_database(database, &bytes, ret_n_bytes) != HS_SUCCESS)
		r = -ENOMEM;
	else
		*ret = (uint8_t *)bytes; /* of malloc(), vectorscan's default */
	(void)hs_free_database(database);
	return r;
}

int search_engine_new(struct search_engine **ret, const struct search_set *set, struct error *err)
{
	_cleanup_(search_engine_freep) struct search_engine *engine = calloc(1, sizeof(*engine));
	_cleanup_(cleanup_freep) uint8_t *source = NULL;
	size_t n_bytes;
	int r = engine ? search_engine_source(set, &source, &n_bytes) : -ENOMEM;

	if (r == 0)
		r = search_compile(&engine->database, source, n_bytes, err);
	if (r == 0)
		*ret = TAKE(engine);
	return r;
}

int search_engine_load(struct search_engine **ret, const struct search_set *set,
	const uint8_t *database, size_t n_bytes)
{
	_cleanup_(search_engine_freep) struct search_engine *engine = calloc(1, sizeof(*engine));
	hs_error_t r;

	if (!engine)
		return -ENOMEM;
	r = hs_deserialize_database((const char *)database, n_bytes, &engine->database);
	if (r != HS_SUCCESS)
		return r == HS_NOMEM ? -ENOMEM : -EBADMSG;
	*ret = TAKE(engine);
	return 0;
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
