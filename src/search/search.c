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
 * vectorscan 5.4.9 gets only a part of some literals, and the whole is compared here: of long ones
 * the first SEARCH_PART_BYTES, and never leading NUL bytes, because it takes what begins with one
 * for empty. Parts below SEARCH_SHORT_BYTES are not given to it at all, because sets with such
 * literals miss matches (a third of a percent of random sets; never without them): they are found
 * by a walk over the bytes (search_short()). What is NUL bytes alone is searched by memmem().
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
#define SEARCH_PART_BYTES 256u
#define SEARCH_SHORT_BYTES 3u
#define SEARCH_NONE UINT32_MAX

/**
 * struct search_use - what a match of a literal may mean
 * @low:    first byte of the packet where the match may begin
 * @high:   the match must end at or before this byte
 * @bytes, @n_bytes: the literal
 * @head_bytes: NUL bytes at its beginning
 * @part_bytes: how many of those behind them are searched; 0: there are none
 * @slot:   pattern whose mask gets the bit
 */
struct search_use {
	uint64_t low;
	uint64_t high;
	const uint8_t *bytes;
	uint32_t n_bytes;
	uint32_t head_bytes;
	uint32_t part_bytes;
	unsigned int slot;
};

/* struct search_group - the uses of one part: [first_use, first_use + n_uses). */
struct search_group {
	unsigned int first_use;
	unsigned int n_uses;
};

/**
 * struct search_shorts - parts of one and two bytes, by their first byte
 * @any:   whether one begins with this byte
 * @one:   number of the group of this byte alone, or SEARCH_NONE
 * @pairs: groups [pairs[b], pairs[b + 1]) begin with b
 */
struct search_shorts {
	bool any[256];
	uint32_t one[256];
	uint32_t pairs[257];
};

/**
 * struct search_set - see search.h
 * @slots:    [n_patterns] which pattern's mask holds the result of each pattern: the first equal
 * one
 * @n_slots:  number of different patterns
 * @uses:     ordered by part, those without one first; @n_uses, @n_nul_uses
  * @groups:   uses of one part; the first @n_short_groups are for search_short(), the others have
 *            their number in @database
 * @shorts:   NULL if there are no short parts
 * @database: NULL if all parts are short

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
	unsigned int n_nul_uses;
	struct search_group *groups;
	unsigned int n_groups;
	unsigned int n_short_groups;
	struct search_shorts *shorts;
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
	const uint8_t *data;
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

static int search_compare_parts(const struct search_use *a, const struct search_use *b)
{
	return search_compare_bytes(
		a->bytes + a->head_bytes, a->part_bytes, b->bytes + b->head_bytes, b->part_bytes);
}

/* By part, so that the uses of one stand together; then by everything, so that equal ones do. */
static int search_compare_uses(const void *a, const void *b)
{
	const struct search_use *x = a, *y = b;
	int order = search_compare_parts(x, y);

	if (!order)
		order = search_compare_numbers(x->slot, y->slot);
	if (!order)
		order = search_compare_bytes(x->bytes, x->n_bytes, y->bytes, y->n_bytes);
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
	unsigned int slot, const uint8_t *bytes, uint32_t n_bytes)
{
	struct search_use *use = &set->uses[set->n_uses++];

	*use = (struct search_use){
		.low = pattern->offset_bytes,
		.high = UINT64_MAX,
		.bytes = bytes,
		.n_bytes = n_bytes,
		.slot = slot,
	};
	if (pattern->depth_bytes)
		use->high = use->low + pattern->depth_bytes;
	while (use->head_bytes < n_bytes && bytes[use->head_bytes] == 0)
		use->head_bytes++;
	use->part_bytes = MIN(n_bytes - use->head_bytes, SEARCH_PART_BYTES);

	set->low = MIN(set->low, use->low);
	set->high = MAX(set->high, use->high);
	set->min_bytes = MIN(set->min_bytes, n_bytes);
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
			search_set_add(
				set, patterns[i], i, set->bytes + used_bytes, literal->n_bytes);
			used_bytes += literal->n_bytes;
		}
	}
	qsort(set->uses, set->n_uses, sizeof(*set->uses), search_compare_uses);
	for (unsigned int i = 0; i < set->n_uses; i++) {
		if (!i || search_compare_uses(&set->uses[i], &set->uses[kept - 1]))
			set->uses[kept++] = set->uses[i];
	}
	set->n_uses = kept;
	while (set->n_nul_uses < kept && set->uses[set->n_nul_uses].part_bytes == 0)
		set->n_nul_uses++;
	return 0;
}

/* Index the short groups, which are ordered by length, then by bytes. */
static int search_set_shorts(struct search_set *set)
{
	unsigned int n = 0;

	while (n < set->n_groups &&
		set->uses[set->groups[n].first_use].part_bytes < SEARCH_SHORT_BYTES)
		n++;
	set->n_short_groups = n;
	if (n == 0)
		return 0;
	set->shorts = calloc(1, sizeof(*set->shorts));
	if (!set->shorts)
		return -ENOMEM;
	memset(set->shorts->one, 0xff, sizeof(set->shorts->one));
	for (unsigned int i = n; i-- > 0;) {
		const struct search_use *use = &set->uses[set->groups[i].first_use];
		uint8_t first = use->bytes[use->head_bytes];

		set->shorts->any[first] = true;
		if (use->part_bytes == 1)
			set->shorts->one[first] = i;
		else
			set->shorts->pairs[first + 1]++;
		if (use->part_bytes == 2)
			set->shorts->pairs[0] = i;
	}
	for (unsigned int b = 0; b < 256; b++)
		set->shorts->pairs[b + 1] += set->shorts->pairs[b];
	return 0;
}

/* Number the parts. */
static int search_set_groups(struct search_set *set)
{
	set->groups = calloc(set->n_uses, sizeof(*set->groups));
	if (!set->groups)
		return -ENOMEM;
	for (unsigned int i = set->n_nul_uses; i < set->n_uses; i++) {
		if (i == set->n_nul_uses || search_compare_parts(&set->uses[i - 1], &set->uses[i]))
			set->groups[set->n_groups++].first_use = i;
		set->groups[set->n_groups - 1].n_uses++;
	}
	return search_set_shorts(set);
}

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

static int search_set_compile(struct search_set *set, struct error *err)
{
	unsigned int n = set->n_groups - set->n_short_groups;
	_cleanup_(cleanup_freep) const char **literals = calloc(n + 1, sizeof(*literals));
	_cleanup_(cleanup_freep) size_t *n_bytes = calloc(n + 1, sizeof(*n_bytes));
	_cleanup_(cleanup_freep) unsigned int *flags = calloc(n + 1, sizeof(*flags));
	_cleanup_(cleanup_freep) unsigned int *ids = calloc(n + 1, sizeof(*ids));
	hs_compile_error_t *failure = NULL;

	if (n == 0)
		return 0;
	if (!literals || !n_bytes || !flags || !ids)
		return -ENOMEM;
	for (unsigned int i = 0; i < n; i++) {
		const struct search_group *group = &set->groups[set->n_short_groups + i];
		const struct search_use *use = &set->uses[group->first_use];

		literals[i] = (const char *)use->bytes + use->head_bytes;
		n_bytes[i] = use->part_bytes;
		flags[i] = search_set_single(set, group) ? HS_FLAG_SINGLEMATCH : 0;
		ids[i] = set->n_short_groups + i;
	}
	if (hs_compile_lit_multi(literals, flags, ids, n_bytes, n, HS_MODE_BLOCK, NULL,
		    &set->database, &failure) == HS_SUCCESS)
		return 0;
	error_set(err, MFUNCT_COULD_NOT_INIT_FUNCT,
		"The search for %u strings cannot be prepared: %s", n,
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
	free(set->shorts);
	free(set->uses);
	free(set->slots);
	free(set);
	return NULL;
}

int search_scratch_new(struct search_scratch **ret, const struct search_set *set)
{
	_cleanup_(search_scratch_freep) struct search_scratch *scratch =
		calloc(1, sizeof(*scratch));

	if (!scratch)
		return -ENOMEM;
	if (set->database && hs_alloc_scratch(set->database, &scratch->hs) != HS_SUCCESS)
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

static void search_found(struct search_scan *scan, const struct search_use *use)
{
	scan->masks[use->slot].word[scan->word] |= scan->bit;
	scan->n_missing--;
}

static bool search_is_found(const struct search_scan *scan, const struct search_use *use)
{
	return scan->masks[use->slot].word[scan->word] & scan->bit;
}

/* A part ends before byte @end. Return: whether every pattern has been found. */
static bool search_match(struct search_scan *scan, const struct search_group *group, uint64_t end)
{
	const struct search_use *use = &scan->set->uses[group->first_use];

	for (unsigned int i = 0; i < group->n_uses; i++, use++) {
		uint64_t before_bytes = (uint64_t)use->head_bytes + use->part_bytes;
		uint64_t begin = end - before_bytes;

		if (end < use->low + before_bytes ||
			begin + use->n_bytes > MIN(use->high, scan->cap_bytes))
			continue;
		if (search_is_found(scan, use))
			continue;
		if (use->part_bytes < use->n_bytes &&
			memcmp(scan->data + begin, use->bytes, use->n_bytes) != 0)
			continue;
		search_found(scan, use);
	}
	return scan->n_missing == 0;
}

/* vectorscan's callback. Return: non-zero to stop. */
static int search_matched(unsigned int id, unsigned long long from, unsigned long long to,
	unsigned int flags, void *context)
{
	struct search_scan *scan = context;

	return search_match(scan, &scan->set->groups[id], scan->set->low + to);
}

static bool search_pair(struct search_scan *scan, uint64_t at)
{
	const struct search_set *set = scan->set;
	uint8_t first = scan->data[at], second = scan->data[at + 1];

	for (uint32_t i = set->shorts->pairs[first]; i < set->shorts->pairs[first + 1]; i++) {
		const struct search_use *use = &set->uses[set->groups[i].first_use];

		if (use->bytes[use->head_bytes + 1] == second)
			return search_match(scan, &set->groups[i], at + 2);
	}
	return false;
}

static void search_short(struct search_scan *scan, uint64_t end)
{
	const struct search_shorts *shorts = scan->set->shorts;

	for (uint64_t at = scan->set->low; at < end; at++) {
		uint8_t byte = scan->data[at];

		if (!shorts->any[byte])
			continue;
		if (shorts->one[byte] != SEARCH_NONE &&
			search_match(scan, &scan->set->groups[shorts->one[byte]], at + 1))
			return;
		if (at + 1 < end && search_pair(scan, at))
			return;
	}
}

static void search_nul_bytes(struct search_scan *scan)
{
	for (unsigned int i = 0; i < scan->set->n_nul_uses; i++) {
		const struct search_use *use = &scan->set->uses[i];
		uint64_t end = MIN(use->high, scan->cap_bytes);

		if (end < use->low + use->n_bytes || search_is_found(scan, use))
			continue;
		if (memmem(scan->data + use->low, end - use->low, use->bytes, use->n_bytes))
			search_found(scan, use);
	}
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
		scan.data = batch->data[i];
		scan.cap_bytes = batch->cap_bytes[i];
		scan.word = i / 64;
		scan.bit = 1ULL << i % 64;
		scan.n_missing = set->n_slots;
		if (set->n_nul_uses)
			search_nul_bytes(&scan);
		if (set->shorts)
			search_short(&scan, end);
		/* It can only fail by a wrong argument, or by the stop that the callback asks for.
		 */
		if (set->database && scan.n_missing)
			(void)hs_scan(set->database, (const char *)scan.data + set->low,
				(unsigned int)(end - set->low), 0, scratch->hs, search_matched,
				&scan);
	}
	for (unsigned int i = 0; i < set->n_patterns; i++) {
		if (set->slots[i] != i)
			ret[i] = ret[set->slots[i]];
	}
}
