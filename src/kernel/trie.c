/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All filters of a page as one decision trie.
 *
 * A set of filters, each with what is left of it, is decided by what most of them ask next: the set
 * is split by that, and each part goes on with what is left then. Filters that do not ask it at all
 * wait until the others are decided. There are three ways to split:
 *
 * - by a test of two answers;
 * - by the ranges of a value, all of the set in each: Ethernet types, protocols. Only where that
 *   does not multiply the set;
 * - by the pieces of a value (pieces.c): in its piece a filter is decided by itself, then all meet
 *   again and go on with the usual rests. Two hundred ports are two hundred pieces, but one usual
 *   rest. A filter that was decided in a piece is marked with the packet's number, and what the
 *   usual rest says of it later does not count.
 *
 * A test is asked only where it is the first of some filter's rest, so what it looks at is there.
 * A filter whose rests would grow to several times its size is decided by itself where it stands.
 */
#include "trie_private.h"

#include <stdlib.h>
#include <string.h>

#define TRIE_DEPTH_MAX 200u

struct items items_new(struct trie *t, uint32_t room)
{
	struct items items = { .at = calloc(room + 1, sizeof(*items.at)) };

	if (!items.at)
		t->e->code.failed = true;
	return items;
}

struct question trie_question(const struct trie *t, uint32_t node)
{
	uint32_t test = graph_node(t->e->g, node)->test;
	const struct test *of = graph_test(t->e->g, test);

	if (!test_is_of_value(of) || graph_value(t->e->g, of->value)->kind == VALUE_CAP)
		return (struct question){ .value = VALUE_NONE, .test = test };
	return (struct question){ .value = of->value, .mask = of->mask };
}

static int trie_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct question));
}

/* What most of them ask next. */
static struct question trie_choose(struct trie *t, const struct items *items)
{
	struct question *all = calloc(items->n, sizeof(*all));
	struct question best = trie_question(t, items->at[0].node);
	uint32_t best_n = 0;

	if (!all) {
		t->e->code.failed = true;
		return best;
	}
	for (uint32_t i = 0; i < items->n; i++)
		all[i] = trie_question(t, items->at[i].node);
	qsort(all, items->n, sizeof(*all), trie_compare);
	for (uint32_t i = 0; i < items->n;) {
		uint32_t first = i;

		while (i < items->n && trie_compare(&all[i], &all[first]) == 0)
			i++;
		if (i - first > best_n) {
			best = all[first];
			best_n = i - first;
		}
	}
	free(all);
	return best;
}

static void trie_alone(struct trie *t, const struct item *item, uint32_t end)
{
	uint32_t n_kept = t->e->n_kept;

	single(t->e, t->c, item->slot, item->node, item->check, end);
	operand_forget(t->e, n_kept);
}

void trie_alone_here(struct trie *t, const struct item *item)
{
	uint32_t next = code_label(&t->e->code);

	trie_alone(t, item, next);
	emit_place(t->e, next);
}

bool trie_afford(struct trie *t, uint32_t slot, uint32_t size)
{
	uint32_t *limit = &t->limit[slot - t->first];

	if (size > *limit)
		return false;
	*limit -= size;
	return true;
}

uint32_t trie_size(struct trie *t, uint32_t node)
{
	return cofactor_size(t->c, node, TRIE_SIZE_MAX);
}

/* Of a length, an answer says more than of the test itself. */
static struct fact trie_fact(const struct trie *t, uint32_t test, bool holds)
{
	const struct test *of = graph_test(t->e->g, test);

	if (of->op == TEST_GE && of->mask == UINT32_MAX)
		return (struct fact){ .value = of->value,
			.mask = of->mask,
			.lo = holds ? of->k : 0,
			.hi = holds ? UINT32_MAX : of->k - 1 };
	return (struct fact){ .value = VALUE_NONE, .test = test, .holds = holds };
}

/* By a test of two answers. */
static void trie_split_test(struct trie *t, const struct items *items, uint32_t test, uint32_t end)
{
	struct items sets[2] = { items_new(t, items->n), items_new(t, items->n) };
	const struct fact facts[2] = { trie_fact(t, test, false), trie_fact(t, test, true) };
	uint32_t no = code_label(&t->e->code), n_kept;

	for (uint32_t i = 0; i < items->n && !emit_failed(t->e); i++) {
		struct item yes_item = items->at[i], no_item = items->at[i];

		yes_item.node = cofactor_node(t->c, yes_item.node, &facts[1]);
		no_item.node = cofactor_node(t->c, no_item.node, &facts[0]);
		if (yes_item.node == NODE_REJECT || no_item.node == NODE_REJECT ||
			trie_afford(t, no_item.slot, 1 + trie_size(t, no_item.node))) {
			items_put(&sets[1], &yes_item);
			items_put(&sets[0], &no_item);
		} else {
			trie_alone_here(t, &items->at[i]);
		}
	}
	operand_test(t->e, test, sets[0].n ? no : end);
	n_kept = t->e->n_kept;
	trie_decide(t, &sets[1], end);
	operand_forget(t->e, n_kept);
	if (sets[0].n) {
		emit_place(t->e, no);
		trie_decide(t, &sets[0], end);
	}
	free(sets[0].at);
	free(sets[1].at);
}

static bool trie_is_length(const struct trie *t, const struct question *q)
{
	const struct test *of = graph_test(t->e->g, q->test);

	return q->value == VALUE_NONE && of->op == TEST_GE;
}

/* Does the filter ask the question anywhere? Of the length, any answer tells something. */
static bool trie_asks(struct trie *t, uint32_t node, const struct question *q)
{
	uint32_t nodes[TRIE_SIZE_MAX / 4];
	uint32_t n = cofactor_list(t->c, node, nodes, ARRAY_SIZE(nodes));

	for (uint32_t i = 0; i < n; i++) {
		struct question own = trie_question(t, nodes[i]);

		if (trie_compare(&own, q) == 0 || (trie_is_length(t, &own) && trie_is_length(t, q)))
			return true;
	}
	return n == ARRAY_SIZE(nodes);
}

/* Accepts what is accepted; the others to @ret. */
static void trie_accept(struct trie *t, const struct items *given, struct items *ret)
{
	for (uint32_t i = 0; i < given->n; i++) {
		const struct item *item = &given->at[i];

		if (item->node == NODE_ACCEPT)
			frame_accept(t->e, item->slot, item->check);
		else
			items_put(ret, item);
	}
}

/* One round: what most ask is decided for all that ask it. The others are left in @left. */
static void trie_round(struct trie *t, struct items *left, uint32_t end)
{
	struct question question = trie_choose(t, left);
	struct items asking = items_new(t, left->n);
	uint32_t n_left = 0, next, n_kept = t->e->n_kept;

	for (uint32_t i = 0; asking.at && i < left->n; i++) {
		if (trie_asks(t, left->at[i].node, &question))
			items_put(&asking, &left->at[i]);
		else
			left->at[n_left++] = left->at[i];
	}
	left->n = n_left;
	next = n_left ? code_label(&t->e->code) : end;
	if (asking.n == 1)
		trie_alone(t, &asking.at[0], next);
	else if (question.value == VALUE_NONE)
		trie_split_test(t, &asking, question.test, next);
	else
		trie_split_value(t, &asking, question, next);
	operand_forget(t->e, n_kept);
	if (n_left)
		emit_place(t->e, next);
	free(asking.at);
}

void trie_decide(struct trie *t, const struct items *given, uint32_t end)
{
	struct items left = items_new(t, given->n);

	t->depth++;
	if (left.at)
		trie_accept(t, given, &left);
	if (t->depth > TRIE_DEPTH_MAX || t->e->options->is_separate) {
		for (uint32_t i = 0; i < left.n; i++) {
			trie_alone_here(t, &left.at[i]);
		}
		left.n = 0;
	}
	while (left.n && !emit_failed(t->e))
		trie_round(t, &left, end);
	emit_goto(t->e, end);
	t->depth--;
	free(left.at);
}

void trie(struct emit *e, struct cofactor *c, const uint32_t roots[], uint32_t n, uint32_t first,
	uint32_t end)
{
	struct trie t = { .e = e, .c = c, .first = first };
	struct items items = items_new(&t, n);

	t.limit = calloc(n + 1, sizeof(*t.limit));
	if (t.limit && items.at) {
		for (uint32_t i = 0; i < n; i++) {
			struct item item = { .slot = first + i, .node = roots[i] };

			t.limit[i] = TRIE_GROWTH_FREE + TRIE_GROWTH_MAX * trie_size(&t, roots[i]);
			items_put(&items, &item);
		}
		trie_decide(&t, &items, end);
	} else {
		e->code.failed = true;
	}
	free(t.limit);
	free(items.at);
}
