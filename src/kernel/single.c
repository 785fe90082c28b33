/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One filter by itself: each node of its graph once, parents first; paths join. Neighbouring nodes
 * that ask about the same value are one search.
 */
#include "kernel_private.h"

#include <stdlib.h>

#define SINGLE_SEARCH_MAX 512u
#define SINGLE_NODES_MAX 65536u

/* A node of the filter; index into the list of its nodes, which falls. */
struct single_node {
	uint32_t label; /* ASM_NOWHERE: nobody jumps here */
	uint32_t n_parents;
};

struct single {
	struct kernel_emit *e;
	uint32_t *nodes;
	struct single_node *at;
	uint32_t n;
	uint32_t accept, reject;
};

static struct single_node *single_at(const struct single *s, uint32_t node)
{
	uint32_t lo = 0, hi = s->n;

	while (lo + 1 < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (s->nodes[mid] < node)
			hi = mid;
		else
			lo = mid;
	}
	return &s->at[lo];
}

static uint32_t single_label(const struct single *s, uint32_t node)
{
	struct single_node *at;

	if (node == FILTER_NODE_REJECT)
		return s->reject;
	if (node == FILTER_NODE_ACCEPT)
		return s->accept;
	at = single_at(s, node);
	if (at->label == ASM_NOWHERE)
		at->label = kernel_asm_label(&s->e->code);
	return at->label;
}

/* Does the node belong to a search that started at @t? */
static bool single_belongs(const struct single *s, uint32_t node, const struct filter_test *t)
{
	const struct filter_test *own;

	if (node <= FILTER_NODE_ACCEPT || single_at(s, node)->n_parents != 1)
		return false;
	own = filter_graph_test(s->e->g, filter_graph_node(s->e->g, node)->test);
	return test_is_of_value(own) && own->value == t->value && own->mask == t->mask;
}

static void single_put_cuts(const struct filter_test *t, uint32_t cuts[], uint32_t *n)
{
	cuts[(*n)++] = t->k;
	if (t->op == FILTER_TEST_EQ && t->k < t->mask)
		cuts[(*n)++] = t->k + 1;
}

static int single_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Where the search ends for one number. */
static uint32_t single_follow(
	const struct single *s, uint32_t node, const struct filter_test *first, uint32_t number)
{
	for (;;) {
		const struct filter_node *n = filter_graph_node(s->e->g, node);
		const struct filter_test *t = filter_graph_test(s->e->g, n->test);
		bool holds = t->op == FILTER_TEST_EQ ? number == t->k : number >= t->k;

		node = holds ? n->yes : n->no;
		if (!single_belongs(s, node, first))
			return node;
	}
}

/* All nodes of the search that begins at @node, and the cuts of their tests. */
static uint32_t single_gather(const struct single *s, uint32_t node,
	const struct filter_test *first, uint32_t cuts[2 * SINGLE_SEARCH_MAX + 2])
{
	uint32_t stack[2 * SINGLE_SEARCH_MAX + 2], n_stack = 0, n = 0, n_unique = 0;

	cuts[n++] = 0;
	stack[n_stack++] = node;
	while (n_stack) {
		const struct filter_node *at = filter_graph_node(s->e->g, stack[--n_stack]);

		if (n + 2 > 2 * SINGLE_SEARCH_MAX)
			return 0;
		single_put_cuts(filter_graph_test(s->e->g, at->test), cuts, &n);
		if (single_belongs(s, at->yes, first))
			stack[n_stack++] = at->yes;
		if (single_belongs(s, at->no, first))
			stack[n_stack++] = at->no;
	}
	qsort(cuts, n, sizeof(*cuts), single_compare);
	for (uint32_t i = 0; i < n; i++) {
		if (i == 0 || cuts[i] != cuts[n_unique - 1])
			cuts[n_unique++] = cuts[i];
	}
	return n_unique;
}

/* Return: false if the node is not worth it. */
static bool single_search(const struct single *s, uint32_t node)
{
	uint32_t cuts[2 * SINGLE_SEARCH_MAX + 2], labels[2 * SINGLE_SEARCH_MAX + 2];
	const struct filter_test first =
		*filter_graph_test(s->e->g, filter_graph_node(s->e->g, node)->test);
	uint32_t n;

	if (!test_is_of_value(&first))
		return false;
	n = single_gather(s, node, &first, cuts);
	if (n == 0)
		return false;
	for (uint32_t i = 0; i < n; i++)
		labels[i] = single_label(s, single_follow(s, node, &first, cuts[i]));
	kernel_operand_masked(s->e, first.value, first.mask);
	kernel_choose(s->e, cuts, labels, n);
	return true;
}

static void single_node(const struct single *s, uint32_t node)
{
	const struct filter_node *n = filter_graph_node(s->e->g, node);
	uint32_t n_kept = s->e->n_kept;

	if (!single_search(s, node)) {
		kernel_operand_test(s->e, n->test, single_label(s, n->no));
		emit_goto(s->e, single_label(s, n->yes));
	}
	kernel_operand_forget(s->e, n_kept);
}

static void single_count_parents(const struct single *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		s->at[i] = (struct single_node){ .label = ASM_NOWHERE };
	for (uint32_t i = 0; i < s->n; i++) {
		const struct filter_node *node = filter_graph_node(s->e->g, s->nodes[i]);

		if (node->yes > FILTER_NODE_ACCEPT)
			single_at(s, node->yes)->n_parents++;
		if (node->no > FILTER_NODE_ACCEPT)
			single_at(s, node->no)->n_parents++;
	}
}

static void single_all(struct single *s)
{
	struct kernel_emit *e = s->e;

	single_count_parents(s);
	(void)single_label(s, s->nodes[0]);
	for (uint32_t i = 0; i < s->n && !emit_failed(e); i++) {
		if (s->at[i].label == ASM_NOWHERE)
			continue; /* inside of a search */
		emit_place(e, s->at[i].label);
		single_node(s, s->nodes[i]);
	}
}

void kernel_decide(struct kernel_emit *e, struct kernel_cofactor *c, uint32_t node, uint32_t accept,
	uint32_t reject)
{
	uint32_t size = kernel_cofactor_size(c, node, SINGLE_NODES_MAX);
	struct single s = { .e = e, .accept = accept, .reject = reject };

	if (emit_failed(e))
		return;
	if (size >= SINGLE_NODES_MAX) {
		e->too_large = true;
		return;
	}
	if (node <= FILTER_NODE_ACCEPT) {
		emit_goto(e, node == FILTER_NODE_ACCEPT ? accept : reject);
		return;
	}
	s.nodes = calloc(size, sizeof(*s.nodes));
	s.at = calloc(size, sizeof(*s.at));
	if (s.nodes && s.at) {
		s.n = kernel_cofactor_list(c, node, s.nodes, size);
		single_all(&s);
	} else {
		e->code.failed = true;
	}
	free(s.nodes);
	free(s.at);
}

void kernel_single(struct kernel_emit *e, struct kernel_cofactor *c, uint32_t slot, uint32_t node,
	bool check, uint32_t end)
{
	uint32_t accept = kernel_asm_label(&e->code);

	kernel_decide(e, c, node, accept, end);
	emit_place(e, accept);
	kernel_frame_accept(e, slot, check);
	emit_goto(e, end);
}
