/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See top_private.h. Entries stand in one array and are found by a hash table with chains. Two
 * heaps over their numbers, smallest first: TOP holds the x largest, so that reading needs no look
 * at the others; ALL holds all of them, from when the table is full on, to find the smallest.
 * Counts only grow, so an entry only ever sinks in its heaps.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "top_private.h"

#define TOP_NONE UINT32_MAX

enum top_heap_kind { TOP_HEAP_TOP, TOP_HEAP_ALL, _TOP_HEAP_N };

/* @inherited_pkts: of pkts, those that were counted for values that had this place before.
 * @place: in the heaps; TOP_NONE: not in it */
struct top_entry {
	struct top_key key;
	uint32_t hash;
	uint32_t next; /* of the chain */
	uint32_t place[_TOP_HEAP_N];
	uint64_t pkts;
	uint64_t bytes;
	uint64_t inherited_pkts;
};

struct top_heap {
	uint32_t *at;
	uint32_t n;
};

/* @order: TOP sorted, largest first; valid unless @is_stale */
struct top_table {
	uint32_t capacity;
	uint32_t x;
	bool by_bytes;
	uint64_t seed;
	uint64_t lost_pkts;
	struct top_entry *entries;
	uint32_t n;
	uint32_t *chains;
	uint32_t chain_mask;
	struct top_heap heaps[_TOP_HEAP_N];
	uint32_t *order;
	bool is_stale;
};

int top_table_new(
	struct top_table **ret, uint32_t capacity, uint32_t x, bool by_bytes, uint64_t seed)
{
	struct top_table *t = calloc(1, sizeof(*t));
	uint32_t n_chains = 1;

	if (!t)
		return -ENOMEM;
	while (n_chains < capacity)
		n_chains *= 2;
	*t = (struct top_table){ .capacity = capacity,
		.x = x,
		.by_bytes = by_bytes,
		.seed = seed,
		.chain_mask = n_chains - 1 };
	/* Zeroed, which calloc() leaves to the system: pages come when they are needed. */
	t->entries = calloc(capacity, sizeof(t->entries[0]));
	t->chains = calloc(n_chains, sizeof(t->chains[0]));
	t->heaps[TOP_HEAP_TOP].at = calloc(x, sizeof(uint32_t));
	t->heaps[TOP_HEAP_ALL].at = calloc(capacity, sizeof(uint32_t));
	t->order = calloc(x, sizeof(t->order[0]));
	if (!t->entries || !t->chains || !t->heaps[TOP_HEAP_TOP].at || !t->heaps[TOP_HEAP_ALL].at ||
		!t->order) {
		top_table_free(t);
		return -ENOMEM;
	}
	*ret = t;
	return 0;
}

struct top_table *top_table_free(struct top_table *t)
{
	if (!t)
		return NULL;
	free(t->entries);
	free(t->chains);
	free(t->heaps[TOP_HEAP_TOP].at);
	free(t->heaps[TOP_HEAP_ALL].at);
	free(t->order);
	free(t);
	return NULL;
}

/* Whether entry @a ranks below entry @b; the ranking is total. */
static bool top_below(const struct top_table *t, uint32_t a, uint32_t b)
{
	const struct top_entry *x = &t->entries[a], *y = &t->entries[b];
	uint64_t x_first = t->by_bytes ? x->bytes : x->pkts;
	uint64_t y_first = t->by_bytes ? y->bytes : y->pkts;
	uint64_t x_second = t->by_bytes ? x->pkts : x->bytes;
	uint64_t y_second = t->by_bytes ? y->pkts : y->bytes;

	if (x_first != y_first)
		return x_first < y_first;
	if (x_second != y_second)
		return x_second < y_second;
	return memcmp(&x->key, &y->key, sizeof(x->key)) > 0;
}

/* ---- heaps ---- */

static void top_put(struct top_table *t, enum top_heap_kind kind, uint32_t place, uint32_t entry)
{
	t->heaps[kind].at[place] = entry;
	t->entries[entry].place[kind] = place;
}

/* The entry at @place has grown. */
static void top_sink(struct top_table *t, enum top_heap_kind kind, uint32_t place)
{
	struct top_heap *heap = &t->heaps[kind];
	uint32_t entry = heap->at[place];

	for (;;) {
		uint32_t child = 2 * place + 1;

		if (child >= heap->n)
			break;
		if (child + 1 < heap->n && top_below(t, heap->at[child + 1], heap->at[child]))
			child++;
		if (!top_below(t, heap->at[child], entry))
			break;
		top_put(t, kind, place, heap->at[child]);
		place = child;
	}
	top_put(t, kind, place, entry);
}

/* A new entry; its counts are set. */
static void top_rise(struct top_table *t, enum top_heap_kind kind, uint32_t entry)
{
	struct top_heap *heap = &t->heaps[kind];
	uint32_t place = heap->n++;

	while (place > 0 && top_below(t, entry, heap->at[(place - 1) / 2])) {
		top_put(t, kind, place, heap->at[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	top_put(t, kind, place, entry);
}

/* The table has just become full. */
static void top_fill_all(struct top_table *t)
{
	struct top_heap *heap = &t->heaps[TOP_HEAP_ALL];

	for (uint32_t i = 0; i < t->n; i++)
		top_put(t, TOP_HEAP_ALL, i, i);
	heap->n = t->n;
	for (uint32_t i = t->n / 2; i-- > 0;)
		top_sink(t, TOP_HEAP_ALL, i);
}

/* ---- entries ---- */

/* Chains hold numbers of entries plus 1, so that zeroes are empty ones. */
static uint32_t top_find(const struct top_table *t, const struct top_key *key, uint32_t hash)
{
	uint32_t at = t->chains[hash & t->chain_mask];

	for (; at != 0; at = t->entries[at - 1].next) {
		const struct top_entry *e = &t->entries[at - 1];

		if (e->hash == hash && memcmp(&e->key, key, sizeof(*key)) == 0)
			return at - 1;
	}
	return TOP_NONE;
}

static void top_link(struct top_table *t, uint32_t entry, const struct top_key *key, uint32_t hash)
{
	uint32_t *chain = &t->chains[hash & t->chain_mask];

	t->entries[entry].key = *key;
	t->entries[entry].hash = hash;
	t->entries[entry].next = *chain;
	*chain = entry + 1;
}

static void top_unlink(struct top_table *t, uint32_t entry)
{
	uint32_t *at = &t->chains[t->entries[entry].hash & t->chain_mask];

	while (*at != entry + 1)
		at = &t->entries[*at - 1].next;
	*at = t->entries[entry].next;
}

static uint32_t top_new_entry(struct top_table *t)
{
	uint32_t entry = t->n++;

	t->entries[entry] = (struct top_entry){ .place = { TOP_NONE, TOP_NONE } };
	return entry;
}

/* The smallest makes room, and leaves its counts. */
static uint32_t top_take_smallest(struct top_table *t)
{
	uint32_t entry = t->heaps[TOP_HEAP_ALL].at[0];
	struct top_entry *e = &t->entries[entry];

	t->lost_pkts += e->pkts - e->inherited_pkts;
	e->inherited_pkts = e->pkts;
	top_unlink(t, entry);
	return entry;
}

static void top_rank(struct top_table *t, uint32_t entry)
{
	struct top_heap *top = &t->heaps[TOP_HEAP_TOP];
	uint32_t place = t->entries[entry].place[TOP_HEAP_TOP];

	if (place != TOP_NONE) {
		top_sink(t, TOP_HEAP_TOP, place);
	} else if (top->n < t->x) {
		top_rise(t, TOP_HEAP_TOP, entry);
	} else if (top_below(t, top->at[0], entry)) {
		t->entries[top->at[0]].place[TOP_HEAP_TOP] = TOP_NONE;
		top_put(t, TOP_HEAP_TOP, 0, entry);
		top_sink(t, TOP_HEAP_TOP, 0);
	}
}

void top_table_add(struct top_table *t, const struct top_key *key, uint32_t pkts, uint64_t bytes)
{
	uint32_t hash = (uint32_t)XXH3_64bits_withSeed(key, sizeof(*key), t->seed);
	uint32_t entry = top_find(t, key, hash);

	if (entry == TOP_NONE) {
		if (t->n == t->capacity && t->heaps[TOP_HEAP_ALL].n == 0)
			top_fill_all(t);
		entry = t->n < t->capacity ? top_new_entry(t) : top_take_smallest(t);
		top_link(t, entry, key, hash);
	}
	t->entries[entry].pkts += pkts;
	t->entries[entry].bytes += bytes;
	if (t->heaps[TOP_HEAP_ALL].n)
		top_sink(t, TOP_HEAP_ALL, t->entries[entry].place[TOP_HEAP_ALL]);
	top_rank(t, entry);
	t->is_stale = true;
}

void top_table_clear(struct top_table *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		t->chains[t->entries[i].hash & t->chain_mask] = 0;
	t->n = 0;
	t->heaps[TOP_HEAP_TOP].n = 0;
	t->heaps[TOP_HEAP_ALL].n = 0;
	t->is_stale = true;
}

uint64_t top_table_lost_pkts(const struct top_table *t)
{
	return t->lost_pkts;
}

/* ---- reading ---- */

/* Heap sort: the smallest of a copy of TOP goes to the end, until nothing is left. */
static void top_sort(struct top_table *t)
{
	const struct top_heap *top = &t->heaps[TOP_HEAP_TOP];
	uint32_t *at = t->order;

	memcpy(at, top->at, top->n * sizeof(at[0]));
	for (uint32_t n = top->n; n-- > 1;) {
		uint32_t entry = at[n], place = 0;

		at[n] = at[0];
		for (;;) {
			uint32_t child = 2 * place + 1;

			if (child >= n)
				break;
			if (child + 1 < n && top_below(t, at[child + 1], at[child]))
				child++;
			if (!top_below(t, at[child], entry))
				break;
			at[place] = at[child];
			place = child;
		}
		at[place] = entry;
	}
	t->is_stale = false;
}

uint32_t top_table_largest(struct top_table *t, struct top_count ret[])
{
	uint32_t n = t->heaps[TOP_HEAP_TOP].n;

	if (t->is_stale)
		top_sort(t);
	for (uint32_t i = 0; i < n; i++) {
		const struct top_entry *e = &t->entries[t->order[i]];

		ret[i] = (struct top_count){ .key = e->key, .pkts = e->pkts, .bytes = e->bytes };
	}
	return n;
}
