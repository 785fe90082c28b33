/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many patterns searched at once.
 *
 * All literals of all patterns are collected, each once. What a match means is looked up by the
 * literal's number: a literal has one use for each (offset, depth, pattern) it serves; a use says
 * between which bytes of the packet the match must lie, and which pattern's mask gets the packet's
 * bit.
 *
 * An engine (search_vectorscan.c, or search_plain.c in a build without it) finds the literals. It
 * gets only a part of some, and the whole is compared here: of long ones the first
 * SEARCH_PART_BYTES, and never leading NUL bytes. Parts below SEARCH_SHORT_BYTES are not given to
 * it at all: they are found by a walk over the bytes (search_short()). What is NUL bytes alone is
 * searched by memmem(). search_vectorscan.c tells why.
 */
#include "search/search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "search_private.h"

#define SEARCH_NONE UINT32_MAX

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

int search_pattern_compare(const struct search_pattern *a, const struct search_pattern *b)
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
	int order = search_pattern_compare(x->pattern, y->pattern);

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
		bool equal = i && !search_pattern_compare(ranks[i - 1].pattern, ranks[i].pattern);

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

static bool search_set_needs_engine(const struct search_set *set)
{
	return set->n_groups > set->n_short_groups;
}

int search_set_prepare(struct search_set **ret, const struct search_pattern *const patterns[],
	unsigned int n_patterns)
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
	if (r < 0)
		return r;
	*ret = TAKE(set);
	return 0;
}

int search_set_new(struct search_set **ret, const struct search_pattern *const patterns[],
	unsigned int n_patterns, struct error *err)
{
	_cleanup_(search_set_freep) struct search_set *set = NULL;
	int r = search_set_prepare(&set, patterns, n_patterns);

	if (r == 0 && search_set_needs_engine(set))
		r = search_engine_new(&set->engine, set, err);
	if (r < 0)
		return r;
	*ret = TAKE(set);
	return 0;
}

int search_set_source(const struct search_set *set, uint8_t **ret, size_t *ret_n_bytes)
{
	if (search_set_needs_engine(set))
		return search_engine_source(set, ret, ret_n_bytes);
	*ret = NULL;
	*ret_n_bytes = 0;
	return 0;
}

int search_set_complete(struct search_set *set, const uint8_t *database, size_t n_bytes)
{
	return search_engine_load(&set->engine, set, database, n_bytes);
}

struct search_set *search_set_free(struct search_set *set)
{
	if (!set)
		return NULL;
	search_engine_free(set->engine);
	free(set->bytes);
	free(set->groups);
	free(set->shorts);
	free(set->uses);
	free(set->slots);
	free(set);
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

bool search_is_decided(const struct search_scan *scan, const struct search_group *group)
{
	const struct search_use *use = &scan->set->uses[group->first_use];

	for (unsigned int i = 0; i < group->n_uses; i++)
		if (!search_is_found(scan, &use[i]))
			return false;
	return true;
}

bool search_match(struct search_scan *scan, const struct search_group *group, uint64_t end)
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
		if (set->engine && scan.n_missing)
			search_engine_scan(set->engine, scratch, &scan, end);
	}
	for (unsigned int i = 0; i < set->n_patterns; i++) {
		if (set->slots[i] != i)
			ret[i] = ret[set->slots[i]];
	}
}
