/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hash-consing: equal records get one number. It is what makes filters share their loads, tests and
 * nodes. Open addressing with linear probes, at most half full; records never go away.
 */
#include "filter_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INTERN_SLOTS_FIRST 256u

void filter_intern_init(struct filter_intern *t, uint32_t item_bytes)
{
	/* Programs come from users: where the table lies they do not know, so they cannot choose
	 * records that meet in one slot. */
	*t = (struct filter_intern){ .item_bytes = item_bytes, .seed = (uintptr_t)t };
}

void filter_intern_deinit(struct filter_intern *t)
{
	free(t->items);
	free(t->slots);
	*t = (struct filter_intern){ .item_bytes = t->item_bytes, .seed = t->seed };
}

static uint32_t intern_hash(const void *item, uint32_t item_bytes, uint64_t seed)
{
	const uint8_t *p = item;
	uint64_t h = seed;
	uint32_t word;

	for (uint32_t i = 0; i + sizeof(word) <= item_bytes; i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	return (uint32_t)(h >> 16);
}

static uint32_t *intern_slot(const struct filter_intern *t, const void *item)
{
	uint32_t i = intern_hash(item, t->item_bytes, t->seed) & (t->n_slots - 1);

	while (t->slots[i] &&
		memcmp(filter_intern_at(t, t->slots[i] - 1), item, t->item_bytes) != 0)
		i = (i + 1) & (t->n_slots - 1);
	return &t->slots[i];
}

static int intern_grow(struct filter_intern *t)
{
	uint32_t n_slots = t->n_slots ? t->n_slots * 2 : INTERN_SLOTS_FIRST;
	uint32_t *slots = calloc(n_slots, sizeof(*slots));
	uint8_t *items = realloc(t->items, (size_t)n_slots / 2 * t->item_bytes);

	if (items)
		t->items = items;
	if (!slots || !items) {
		free(slots);
		return -ENOMEM;
	}
	free(t->slots);
	t->slots = slots;
	t->n_slots = n_slots;
	for (uint32_t i = 0; i < t->n; i++)
		*intern_slot(t, filter_intern_at(t, i)) = i + 1;
	return 0;
}

int filter_intern_get(struct filter_intern *t, const void *item, uint32_t *ret, bool *ret_new)
{
	uint32_t *slot = t->n_slots ? intern_slot(t, item) : NULL;
	bool is_new = !slot || *slot == 0;

	if (is_new) {
		/* only here: finding a known record must not move the others */
		if (t->n >= t->n_slots / 2) {
			int r = intern_grow(t);

			if (r < 0)
				return r;
			slot = intern_slot(t, item);
		}
		memcpy(filter_intern_at(t, t->n), item, t->item_bytes);
		*slot = ++t->n;
	}
	*ret = *slot - 1;
	if (ret_new)
		*ret_new = is_new;
	return 0;
}
