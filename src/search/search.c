/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many patterns searched at once.
 *
 * All literals of all patterns go into one vectorscan database, each once. What a match means is
 * looked up by the literal's number: a literal has one use for each (offset, depth, pattern) it
 * serves; a use says between which bytes of the packet the match must lie, and which pattern's mask
 * gets the packet's bit. Places are checked here and not by vectorscan, whose own offset limits
 * make it compile for minutes (1,000 literals: 46 s against 0.02 s).
 *
 * Literals longer than SEARCH_PREFIX_BYTES are searched by their beginning; the rest is compared
 * here.
 */
#include "search/search.h"

#include <errno.h>
#include <hs/hs.h>
#include <stdlib.h>
#include <string.h>

#include "mapi/errors.h"
#include "search_private.h"

/* Nothing in a packet begins by chance with so many bytes of a literal, and vectorscan (which takes
 * 16,000 bytes) needs time and memory for each. */
#define SEARCH_PREFIX_BYTES 256u

/**
 * struct search_use - what a match of one literal may mean
 * @low:    first byte of the packet where the match may begin
 * @high:   the match must end at or before this byte
 * @slot:   pattern whose mask gets the bit
 * @tail, @tail_bytes: what must follow the prefix
 */
struct search_use {
	uint64_t low;
	uint64_t high;
	const uint8_t *tail;
	uint32_t tail_bytes;
	unsigned int slot;
	const uint8_t *prefix;
	uint32_t prefix_bytes;
};

/* struct search_group - the uses of one literal of the database: [first_use, first_use + n_uses).
 */
struct search_group {
	unsigned int first_use;
	unsigned int n_uses;
};

/**
 * struct search_set - see search.h
 * @slots:    [n_patterns] which pattern's mask holds the result of each pattern: the first equal
 * one
 * @n_slots:  number of different patterns
 * @uses:     ordered by literal; @n_uses
 * @groups:   by the number of the literal in @database
 * @bytes:    what the uses point to
 * @low, @high: union of all places
 * @min_bytes: length of the shortest literal
 */
struct search_set {
	unsigned int n_patterns;
	unsigned int *slots;
	unsigned int n_slots;
	struct search_use *uses;
	unsigned int n_uses;
	struct search_group *groups;
	unsigned int n_groups;
	uint8_t *bytes;
	hs_database_t *database;
	uint64_t low;
	uint64_t high;
	uint32_t min_bytes;
};

struct search_scratch {
	hs_scratch_t *hs;
};

/* struct search_scan - one packet, for the callback */
struct search_scan {
	const struct search_set *set;
	struct packet_mask *masks;
	const uint8_t *data; /* first byte searched */
	uint64_t skip_bytes; /* captured bytes before it */
	uint64_t cap_bytes;
	uint64_t bit;
	unsigned int word;
	unsigned int n_missing; /* patterns not found yet */
};

static int search_compare_bytes(const uint8_t *a, uint32_t n_a, const uint8_t *b, uint32_t n_b)
{
	if (n_a != n_b)
		return n_a < n_b ? -1 : 1;
	return n_a ? memcmp(a, b, n_a) : 0;
}

static int search_compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int search_compare_patterns(const struct search_pattern *a, const struct search_pattern *b)
{
	int order = search_compare_numbers(a->offset_bytes, b->offset_bytes);

	if (!order)
		order = search_compare_numbers(a->depth_bytes, b->depth_bytes);
	if (!order)
		order = search_compare_numbers(a->n_literals, b->n_literals);
	for (unsigned int i = 0; !order && i < a->n_literals; i++)
		order = search_compare_bytes(a->literals[i].bytes, a->literals[i].n_bytes,
			b->literals[i].bytes, b->literals[i].n_bytes);
	return order;
}

/* struct search_rank - a pattern and its number, to be sorted */
struct search_rank {
	const struct search_pattern *pattern;
	unsigned int index;
};

static int search_compare_ranks(const void *a, const void *b)
{
	const struct search_rank *x = a, *y = b;
	int order = search_compare_patterns(x->pattern, y->pattern);

	return order ? order : search_compare_numbers(x->index, y->index);
}

/* By literal, so that the uses of one stand together; then by everything, so that equal ones do. */
static int search_compare_uses(const void *a, const void *b)
{
	const struct search_use *x = a, *y = b;
	int order = search_compare_bytes(x->prefix, x->prefix_bytes, y->prefix, y->prefix_bytes);

	if (!order)
		order = search_compare_numbers(x->slot, y->slot);
	if (!order)
		order = search_compare_bytes(x->tail, x->tail_bytes, y->tail, y->tail_bytes);
	return order;
}

/* Give equal patterns one slot, that of the first. */
static int search_set_slots(struct search_set *set, const struct search_pattern *const patterns[])
{
	_cleanup_(cleanup_freep) struct search_rank *ranks =
		calloc(set->n_patterns, sizeof(*ranks));

	set->slots = calloc(set->n_patterns, sizeof(*set->slots));
	if (!ranks || !set->slots)
		return -ENOMEM;
	for (unsigned int i = 0; i < set->n_patterns; i++)
		ranks[i] = (struct search_rank){ .pattern = patterns[i], .index = i };
	qsort(ranks, set->n_patterns, sizeof(*ranks), search_compare_ranks);
	for (unsigned int i = 0; i < set->n_patterns; i++) {
		bool equal = i && !search_compare_patterns(ranks[i - 1].pattern, ranks[i].pattern);

		set->slots[ranks[i].index] =
			equal ? set->slots[ranks[i - 1].index] : ranks[i].index;
		set->n_slots += !equal;
	}
	return 0;
}

static void search_set_add(struct search_set *set, const struct search_pattern *pattern,
	unsigned int slot, const struct search_literal *literal, const uint8_t *bytes)
{
	uint32_t prefix_bytes = MIN(literal->n_bytes, SEARCH_PREFIX_BYTES);

	set->uses[set->n_uses++] = (struct search_use){
		.low = pattern->offset_bytes,
		.high = pattern->depth_bytes
			? (uint64_t)pattern->offset_bytes + pattern->depth_bytes
			: UINT64_MAX,
		.slot = slot,
		.prefix = bytes,
		.prefix_bytes = prefix_bytes,
		.tail = bytes + prefix_bytes,
		.tail_bytes = literal->n_bytes - prefix_bytes,
	};
	set->low = MIN(set->low, pattern->offset_bytes);
	set->high = MAX(set->high, set->uses[set->n_uses - 1].high);
	set->min_bytes = MIN(set->min_bytes, literal->n_bytes);
}

/* Collect the uses of all different patterns, with copies of the bytes. */
static int search_set_uses(struct search_set *set, const struct search_pattern *const patterns[])
{
	size_t n_bytes = 0, n_uses = 0, used_bytes = 0;
	unsigned int kept = 0;

	for (unsigned int i = 0; i < set->n_patterns; i++) {
		for (unsigned int k = 0; set->slots[i] == i && k < patterns[i]->n_literals; k++) {
			n_bytes += patterns[i]->literals[k].n_bytes;
			n_uses++;
		}
	}
	if (n_uses > UINT32_MAX)
		return -ENOMEM;
	set->bytes = malloc(n_bytes);
	set->uses = calloc(n_uses, sizeof(*set->uses));
	if (!set->bytes || !set->uses)
		return -ENOMEM;
	for (unsigned int i = 0; i < set->n_patterns; i++) {
		for (unsigned int k = 0; set->slots[i] == i && k < patterns[i]->n_literals; k++) {
			const struct search_literal *literal = &patterns[i]->literals[k];

			memcpy(set->bytes + used_bytes, literal->bytes, literal->n_bytes);
			search_set_add(set, patterns[i], i, literal, set->bytes + used_bytes);
			used_bytes += literal->n_bytes;
		}
	}
	qsort(set->uses, set->n_uses, sizeof(*set->uses), search_compare_uses);
	for (unsigned int i = 0; i < set->n_uses; i++) {
		if (!i || search_compare_uses(&set->uses[i], &set->uses[kept - 1]))
			set->uses[kept++] = set->uses[i];
	}
	set->n_uses = kept;
	return 0;
}

/* Number the literals. */
static int search_set_groups(struct search_set *set)
{
	set->groups = calloc(set->n_uses, sizeof(*set->groups));
	if (!set->groups)
		return -ENOMEM;
	for (unsigned int i = 0; i < set->n_uses; i++) {
		const struct search_use *use = &set->uses[i];

		if (!i ||
			search_compare_bytes(use[-1].prefix, use[-1].prefix_bytes, use->prefix,
				use->prefix_bytes))
			set->groups[set->n_groups++].first_use = i;
		set->groups[set->n_groups - 1].n_uses++;
	}
	return 0;
}

/* Whether any one match of the literal decides all its uses: vectorscan may then report one and
 * forget the rest, which is several times faster on literals that are frequent. It does not promise
 * to report the first one, so every place in the searched bytes must do. */
static bool search_set_single(const struct search_set *set, const struct search_group *group)
{
	for (unsigned int i = 0; i < group->n_uses; i++) {
		const struct search_use *use = &set->uses[group->first_use + i];

		if (use->low > set->low || use->high < set->high || use->tail_bytes)
			return false;
	}
	return true;
}

static int search_set_compile(struct search_set *set, struct error *err)
{
	_cleanup_(cleanup_freep) const char **literals = calloc(set->n_groups, sizeof(*literals));
	_cleanup_(cleanup_freep) size_t *n_bytes = calloc(set->n_groups, sizeof(*n_bytes));
	_cleanup_(cleanup_freep) unsigned int *flags = calloc(set->n_groups, sizeof(*flags));
	_cleanup_(cleanup_freep) unsigned int *ids = calloc(set->n_groups, sizeof(*ids));
	hs_compile_error_t *failure = NULL;

	if (!literals || !n_bytes || !flags || !ids)
		return -ENOMEM;
	for (unsigned int i = 0; i < set->n_groups; i++) {
		const struct search_use *use = &set->uses[set->groups[i].first_use];

		literals[i] = (const char *)use->prefix;
		n_bytes[i] = use->prefix_bytes;
		flags[i] = search_set_single(set, &set->groups[i]) ? HS_FLAG_SINGLEMATCH : 0;
		ids[i] = i;
	}
	if (hs_compile_lit_multi(literals, flags, ids, n_bytes, set->n_groups, HS_MODE_BLOCK, NULL,
		    &set->database, &failure) == HS_SUCCESS)
		return 0;
	error_set(err, MFUNCT_COULD_NOT_INIT_FUNCT,
		"The search for %u strings cannot be prepared: %s", set->n_groups,
		failure ? failure->message : "unknown cause");
	(void)hs_free_compile_error(failure);
	return -EINVAL;
}

int search_set_new(struct search_set **ret, const struct search_pattern *const patterns[],
	unsigned int n_patterns, struct error *err)
{
	_cleanup_(search_set_freep) struct search_set *set = calloc(1, sizeof(*set));
	int r;

	if (!set)
		return -ENOMEM;
	set->n_patterns = n_patterns;
	set->low = UINT64_MAX;
	set->min_bytes = UINT32_MAX;
	r = search_set_slots(set, patterns);
	if (!r)
		r = search_set_uses(set, patterns);
	if (!r)
		r = search_set_groups(set);
	if (!r)
		r = search_set_compile(set, err);
	if (r < 0)
		return r;
	*ret = TAKE(set);
	return 0;
}

struct search_set *search_set_free(struct search_set *set)
{
	if (!set)
		return NULL;
	(void)hs_free_database(set->database);
	free(set->bytes);
	free(set->groups);
	free(set->uses);
	free(set->slots);
	free(set);
	return NULL;
}

int search_scratch_new(struct search_scratch **ret, const struct search_set *set)
{
	_cleanup_(search_scratch_freep) struct search_scratch *scratch =
		calloc(1, sizeof(*scratch));

	if (!scratch || hs_alloc_scratch(set->database, &scratch->hs) != HS_SUCCESS)
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

/* vectorscan's callback. Return: non-zero to stop, when every pattern has been found. */
static int search_matched(unsigned int id, unsigned long long from, unsigned long long to,
	unsigned int flags, void *context)
{
	struct search_scan *scan = context;
	const struct search_group *group = &scan->set->groups[id];
	const struct search_use *use = &scan->set->uses[group->first_use];
	uint64_t end = scan->skip_bytes + to;

	for (unsigned int i = 0; i < group->n_uses; i++, use++) {
		uint64_t *word = &scan->masks[use->slot].word[scan->word];

		if (*word & scan->bit || end - use->prefix_bytes < use->low)
			continue;
		if (end + use->tail_bytes > MIN(use->high, scan->cap_bytes))
			continue;
		if (use->tail_bytes && memcmp(scan->data + to, use->tail, use->tail_bytes))
			continue;
		*word |= scan->bit;
		scan->n_missing--;
	}
	return scan->n_missing == 0;
}

void search_set_run(const struct search_set *set, struct search_scratch *scratch,
	const struct packet_batch *batch, const struct packet_mask *wanted,
	struct packet_mask ret[])
{
	struct search_scan scan = { .set = set, .masks = ret };

	memset(ret, 0, set->n_patterns * sizeof(*ret));
	packet_mask_for_each (i, wanted) {
		uint64_t end = MIN(set->high, batch->cap_bytes[i]);

		if (end < set->low + set->min_bytes)
			continue;
		scan.data = batch->data[i] + set->low;
		scan.skip_bytes = set->low;
		scan.cap_bytes = batch->cap_bytes[i];
		scan.word = i / 64;
		scan.bit = 1ULL << i % 64;
		scan.n_missing = set->n_slots;
		/* It can only fail by a wrong argument, or by the stop that the callback asks for.
		 */
		(void)hs_scan(set->database, (const char *)scan.data,
			(unsigned int)(end - set->low), 0, scratch->hs, search_matched, &scan);
	}
	for (unsigned int i = 0; i < set->n_patterns; i++) {
		if (set->slots[i] != i)
			ret[i] = ret[set->slots[i]];
	}
}
