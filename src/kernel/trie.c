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

struct kernel_items kernel_items_new(struct kernel_trie *t, uint32_t room)
{
	struct kernel_items items = { .at = calloc(room + 1, sizeof(*items.at)) };

	if (!items.at)
		t->e->code.failed = true;
	return items;
}

struct kernel_question kernel_trie_question(const struct kernel_trie *t, uint32_t node)
{
	uint32_t test = filter_graph_node(t->e->g, node)->test;
	const struct filter_test *of = filter_graph_test(t->e->g, test);

	if (!test_is_of_value(of) ||
		filter_graph_value(t->e->g, of->value)->kind == FILTER_VALUE_CAP)
		return (struct kernel_question){ .value = FILTER_VALUE_NONE, .test = test };
	return (struct kernel_question){ .value = of->value, .mask = of->mask };
}

static int trie_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct kernel_question));
}

/* What most of them ask next. */
static struct kernel_question trie_choose(struct kernel_trie *t, const struct kernel_items *items)
{
	struct kernel_question *all = calloc(items->n, sizeof(*all));
	struct kernel_question best = kernel_trie_question(t, items->at[0].node);
	uint32_t best_n = 0;

	if (!all) {
		t->e->code.failed = true;
		return best;
	}
	for (uint32_t i = 0; i < items->n; i++)
		all[i] = kernel_trie_question(t, items->at[i].node);
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

static void trie_alone(struct kernel_trie *t, const struct kernel_item *item, uint32_t end)
{
	uint32_t n_kept = t->e->n_kept;

	kernel_single(t->e, t->c, item->slot, item->node, item->check, end);
	kernel_operand_forget(t->e, n_kept);
}

void kernel_trie_alone_here(struct kernel_trie *t, const struct kernel_item *item)
{
	uint32_t next = kernel_asm_label(&t->e->code);

	trie_alone(t, item, next);
	emit_place(t->e, next);
}

bool kernel_trie_afford(struct kernel_trie *t, uint32_t slot, uint32_t size)
{
	uint32_t *limit = &t->limit[slot - t->first];

	if (size > *limit)
		return false;
	*limit -= size;
	return true;
}

uint32_t kernel_trie_size(struct kernel_trie *t, uint32_t node)
{
	return kernel_cofactor_size(t->c, node, TRIE_SIZE_MAX);
}

/* Of a length, an answer says more than of the test itself. */
static struct kernel_fact trie_fact(const struct kernel_trie *t, uint32_t test, bool holds)
{
	const struct filter_test *of = filter_graph_test(t->e->g, test);

	if (of->op == FILTER_TEST_GE && of->mask == UINT32_MAX)
		return (struct kernel_fact){ .value = of->value,
			.mask = of->mask,
			.lo = holds ? of->k : 0,
			.hi = holds ? UINT32_MAX : of->k - 1 };
	return (struct kernel_fact){ .value = FILTER_VALUE_NONE, .test = test, .holds = holds };
}

/* By a test of two answers. */
static void trie_split_test(
	struct kernel_trie *t, const struct kernel_items *items, uint32_t test, uint32_t end)
{
	struct kernel_items sets[2] = { kernel_items_new(t, items->n),
		kernel_items_new(t, items->n) };
	const struct kernel_fact facts[2] = { trie_fact(t, test, false), trie_fact(t, test, true) };
	uint32_t no = kernel_asm_label(&t->e->code), n_kept;

	for (uint32_t i = 0; i < items->n && !emit_failed(t->e); i++) {
		struct kernel_item yes_item = items->at[i], no_item = items->at[i];

		yes_item.node = kernel_cofactor_node(t->c, yes_item.node, &facts[1]);
		no_item.node = kernel_cofactor_node(t->c, no_item.node, &facts[0]);
		if (yes_item.node == FILTER_NODE_REJECT || no_item.node == FILTER_NODE_REJECT ||
			kernel_trie_afford(
				t, no_item.slot, 1 + kernel_trie_size(t, no_item.node))) {
			kernel_items_put(&sets[1], &yes_item);
			kernel_items_put(&sets[0], &no_item);
		} else {
			kernel_trie_alone_here(t, &items->at[i]);
		}
	}
	kernel_operand_test(t->e, test, sets[0].n ? no : end);
	n_kept = t->e->n_kept;
	kernel_trie_decide(t, &sets[1], end);
	kernel_operand_forget(t->e, n_kept);
	if (sets[0].n) {
		emit_place(t->e, no);
		kernel_trie_decide(t, &sets[0], end);
	}
	free(sets[0].at);
	free(sets[1].at);
}

static bool trie_is_length(const struct kernel_trie *t, const struct kernel_question *q)
{
	const struct filter_test *of = filter_graph_test(t->e->g, q->test);

	return q->value == FILTER_VALUE_NONE && of->op == FILTER_TEST_GE;
}

/* Does the filter ask the question anywhere? Of the length, any answer tells something. */
static bool trie_asks(struct kernel_trie *t, uint32_t node, const struct kernel_question *q)
{
	uint32_t nodes[TRIE_SIZE_MAX / 4];
	uint32_t n = kernel_cofactor_list(t->c, node, nodes, ARRAY_SIZE(nodes));

	for (uint32_t i = 0; i < n; i++) {
		struct kernel_question own = kernel_trie_question(t, nodes[i]);

		if (trie_compare(&own, q) == 0 || (trie_is_length(t, &own) && trie_is_length(t, q)))
			return true;
	}
	return n == ARRAY_SIZE(nodes);
}

/* Accepts what is accepted; the others to @ret. */
static void trie_accept(
	struct kernel_trie *t, const struct kernel_items *given, struct kernel_items *ret)
{
	for (uint32_t i = 0; i < given->n; i++) {
		const struct kernel_item *item = &given->at[i];

		if (item->node == FILTER_NODE_ACCEPT)
			kernel_frame_accept(t->e, item->slot, item->check);
		else
			kernel_items_put(ret, item);
	}
}

/* One round: what most ask is decided for all that ask it. The others are left in @left. */
static void trie_round(struct kernel_trie *t, struct kernel_items *left, uint32_t end)
{
	struct kernel_question question = trie_choose(t, left);
	struct kernel_items asking = kernel_items_new(t, left->n);
	uint32_t n_left = 0, next, n_kept = t->e->n_kept;

	for (uint32_t i = 0; asking.at && i < left->n; i++) {
		if (trie_asks(t, left->at[i].node, &question))
			kernel_items_put(&asking, &left->at[i]);
		else
			left->at[n_left++] = left->at[i];
	}
	left->n = n_left;
	next = n_left ? kernel_asm_label(&t->e->code) : end;
	if (asking.n == 1)
		trie_alone(t, &asking.at[0], next);
	else if (question.value == FILTER_VALUE_NONE)
		trie_split_test(t, &asking, question.test, next);
	else
		kernel_trie_split_value(t, &asking, question, next);
	kernel_operand_forget(t->e, n_kept);
	if (n_left)
		emit_place(t->e, next);
	free(asking.at);
}

void kernel_trie_decide(struct kernel_trie *t, const struct kernel_items *given, uint32_t end)
{
	struct kernel_items left = kernel_items_new(t, given->n);

	t->depth++;
	if (left.at)
		trie_accept(t, given, &left);
	if (t->depth > TRIE_DEPTH_MAX || t->e->options->is_separate) {
		for (uint32_t i = 0; i < left.n; i++) {
			kernel_trie_alone_here(t, &left.at[i]);
		}
		left.n = 0;
	}
	while (left.n && !emit_failed(t->e))
		trie_round(t, &left, end);
	emit_goto(t->e, end);
	t->depth--;
	free(left.at);
}

void kernel_trie(struct kernel_emit *e, struct kernel_cofactor *c, const uint32_t roots[],
	uint32_t n, uint32_t first, uint32_t end)
{
	struct kernel_trie t = { .e = e, .c = c, .first = first };
	struct kernel_items items = kernel_items_new(&t, n);

	t.limit = calloc(n + 1, sizeof(*t.limit));
	if (t.limit && items.at) {
		for (uint32_t i = 0; i < n; i++) {
			struct kernel_item item = { .slot = first + i, .node = roots[i] };

			t.limit[i] =
				TRIE_GROWTH_FREE + TRIE_GROWTH_MAX * kernel_trie_size(&t, roots[i]);
			kernel_items_put(&items, &item);
		}
		kernel_trie_decide(&t, &items, end);
	} else {
		e->code.failed = true;
	}
	free(t.limit);
	free(items.at);
}
