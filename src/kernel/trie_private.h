/* SPDX-License-Identifier: BSD-2-Clause */
/* What the trie's two files share: trie.c decides sets, split.c splits them by a value. */
#ifndef MAPI_KERNEL_TRIE_PRIVATE_H
#define MAPI_KERNEL_TRIE_PRIVATE_H

#include "kernel_private.h"

#define TRIE_GROWTH_MAX 4u /* of a filter's rests in all, by its own size */
#define TRIE_GROWTH_FREE 48u
#define TRIE_SIZE_MAX 4096u

/* A filter, and what is left of it. */
struct kernel_item {
	uint32_t slot;
	uint32_t node;
	bool check; /* it may have been decided already */
};

struct kernel_items {
	struct kernel_item *at;
	uint32_t n;
};

/* What a set asks. Tests of two values, lengths and bounds have two answers: value is
 * FILTER_VALUE_NONE.
 */
struct kernel_question {
	uint32_t value;
	uint32_t mask;
	uint32_t test;
};

struct kernel_trie {
	struct kernel_emit *e;
	struct kernel_cofactor *c;
	uint32_t first; /* slot of limit[0] */
	uint32_t *limit; /* of each slot: how much it may still grow */
	unsigned int depth;
};

/* For @room items; empty. Nothing is there if memory runs out, which is recorded. */
struct kernel_items kernel_items_new(struct kernel_trie *t, uint32_t room);

static inline void kernel_items_put(struct kernel_items *items, const struct kernel_item *item)
{
	if (items->at && item->node != FILTER_NODE_REJECT)
		items->at[items->n++] = *item;
}

/* What a rest asks next. */
struct kernel_question kernel_trie_question(const struct kernel_trie *t, uint32_t node);
uint32_t kernel_trie_size(struct kernel_trie *t, uint32_t node);
/* May the filter take this much more? */
bool kernel_trie_afford(struct kernel_trie *t, uint32_t slot, uint32_t size);
/* Decides a filter by itself and goes on behind it. */
void kernel_trie_alone_here(struct kernel_trie *t, const struct kernel_item *item);
/* Decides a set; goes to @end. */
void kernel_trie_decide(struct kernel_trie *t, const struct kernel_items *given, uint32_t end);

/* split.c: decides a set by @question's value; goes to @end. */
void kernel_trie_split_value(struct kernel_trie *t, const struct kernel_items *items,
	struct kernel_question question, uint32_t end);

#endif
