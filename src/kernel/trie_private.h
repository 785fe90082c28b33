/* SPDX-License-Identifier: BSD-2-Clause */
/* What the trie's two files share: trie.c decides sets, split.c splits them by a value. */
#ifndef MAPI_KERNEL_TRIE_PRIVATE_H
#define MAPI_KERNEL_TRIE_PRIVATE_H

#include "kernel_private.h"

#define TRIE_GROWTH_MAX 4u /* of a filter's rests in all, by its own size */
#define TRIE_GROWTH_FREE 48u
#define TRIE_SIZE_MAX 4096u

/* A filter, and what is left of it. */
struct item {
	uint32_t slot;
	uint32_t node;
	bool check; /* it may have been decided already */
};

struct items {
	struct item *at;
	uint32_t n;
};

/* What a set asks. Tests of two values, lengths and bounds have two answers: value is VALUE_NONE.
 */
struct question {
	uint32_t value;
	uint32_t mask;
	uint32_t test;
};

struct trie {
	struct emit *e;
	struct cofactor *c;
	uint32_t first; /* slot of limit[0] */
	uint32_t *limit; /* of each slot: how much it may still grow */
	unsigned int depth;
};

/* For @room items; empty. Nothing is there if memory runs out, which is recorded. */
struct items items_new(struct trie *t, uint32_t room);

static inline void items_put(struct items *items, const struct item *item)
{
	if (items->at && item->node != NODE_REJECT)
		items->at[items->n++] = *item;
}

/* What a rest asks next. */
struct question trie_question(const struct trie *t, uint32_t node);
uint32_t trie_size(struct trie *t, uint32_t node);
/* May the filter take this much more? */
bool trie_afford(struct trie *t, uint32_t slot, uint32_t size);
/* Decides a filter by itself and goes on behind it. */
void trie_alone_here(struct trie *t, const struct item *item);
/* Decides a set; goes to @end. */
void trie_decide(struct trie *t, const struct items *given, uint32_t end);

/* split.c: decides a set by @question's value; goes to @end. */
void trie_split_value(
	struct trie *t, const struct items *items, struct question question, uint32_t end);

#endif
