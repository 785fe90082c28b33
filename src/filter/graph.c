/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions about values, and the decision graph made of them.
 *
 * A question is brought to one of few forms, so that filters which ask the same in different words
 * share the answer: "jset" becomes an equality with 0, "greater" becomes "greater or equal", and
 * what was computed from the value - masks, shifts, sums - is moved to the constant, until the
 * question is about a load itself: ((ip[0] & 0xf) << 2) == 20 becomes (ip[0] & 0xf) == 5. What
 * cannot be otherwise is decided here.
 *
 * A load outside the captured bytes rejects, whatever is asked about its value. In the graph that
 * is a node of its own before the question, (inside ? question : reject), so that answers about
 * bytes that are not there may be anything, and nodes may be merged and dropped freely.
 */
#include "filter_private.h"

#include <errno.h>

int filter_graph_init(struct filter_graph *g)
{
	const struct filter_node terminal[2] = { { .test = 0 }, { .test = 1 } };
	uint32_t i;

	*g = (struct filter_graph){ .failed = false };
	filter_intern_init(&g->values, sizeof(struct filter_value));
	filter_intern_init(&g->tests, sizeof(struct filter_test));
	filter_intern_init(&g->nodes, sizeof(struct filter_node));
	/* Number 0 of each table exists from the start: what a failed constructor returns. */
	(void)filter_value_const(g, 0);
	if (g->failed ||
		filter_intern_get(&g->tests,
			&(struct filter_test){
				.op = FILTER_TEST_NEVER, .other = FILTER_VALUE_NONE },
			&i, NULL) < 0 ||
		filter_intern_get(&g->nodes, &terminal[FILTER_NODE_REJECT], &i, NULL) < 0 ||
		filter_intern_get(&g->nodes, &terminal[FILTER_NODE_ACCEPT], &i, NULL) < 0) {
		filter_graph_deinit(g);
		return -ENOMEM;
	}
	return 0;
}

void filter_graph_deinit(struct filter_graph *g)
{
	filter_intern_deinit(&g->values);
	filter_intern_deinit(&g->tests);
	filter_intern_deinit(&g->nodes);
}

static filter_literal graph_not(filter_literal l)
{
	return l ^ 1;
}

static filter_literal graph_truth(bool truth)
{
	return truth ? FILTER_LITERAL_TRUE : FILTER_LITERAL_FALSE;
}

static filter_literal graph_literal(struct filter_graph *g, const struct filter_test *test)
{
	uint32_t i = 0;

	if (filter_intern_get(&g->tests, test, &i, NULL) < 0)
		g->failed = true;
	return 2 * i;
}

/* Is @v a calculation with a constant on its right? */
static bool graph_is_alu_const(
	const struct filter_graph *g, const struct filter_value *v, uint32_t *ret_k)
{
	const struct filter_value *b;

	if (v->kind != FILTER_VALUE_ALU)
		return false;
	b = filter_graph_value(g, v->b);
	*ret_k = b->k;
	return b->kind == FILTER_VALUE_CONST;
}

/* One step of the transformation of (v & mask) == k; false where there is none. */
static bool graph_eq_unwrap(uint32_t op, uint32_t c, uint32_t *mask, uint32_t *k, bool *ret_never)
{
	switch (op) {
	case BPF_AND:
		*mask &= c;
		return true;
	case BPF_OR:
		*ret_never = (*k ^ c) & c & *mask;
		*mask &= ~c;
		*k &= ~c;
		return true;
	case BPF_XOR:
		*k ^= c & *mask;
		return true;
	case BPF_RSH:
		*mask &= UINT32_MAX >> c;
		*ret_never = *k & ~*mask;
		*mask <<= c;
		*k <<= c;
		return true;
	case BPF_LSH:
		*ret_never = *k & ~(UINT32_MAX << c);
		*mask >>= c;
		*k >>= c;
		return true;
	case BPF_ADD:
		/* carries cross a mask */
		*k -= *mask == UINT32_MAX ? c : 0;
		return *mask == UINT32_MAX;
	}
	return false;
}

/* (v & mask) == k */
static filter_literal graph_eq_masked(struct filter_graph *g, uint32_t v, uint32_t mask, uint32_t k)
{
	const struct filter_value *value = filter_graph_value(g, v);
	bool never = false;
	uint32_t c;

	while (!never && !(k & ~mask) && graph_is_alu_const(g, value, &c) &&
		graph_eq_unwrap(value->op, c, &mask, &k, &never)) {
		v = value->a;
		value = filter_graph_value(g, v);
	}
	mask &= filter_value_bits(value->max);
	if (never || k & ~mask || k > value->max)
		return FILTER_LITERAL_FALSE;
	if (value->kind == FILTER_VALUE_CONST)
		return graph_truth((value->k & mask) == k);
	if (mask == 0)
		return FILTER_LITERAL_TRUE;
	return graph_literal(g,
		&(struct filter_test){ .op = FILTER_TEST_EQ,
			.value = v,
			.other = FILTER_VALUE_NONE,
			.mask = mask,
			.k = k });
}

/* One step of the transformation of (v & mask) >= k, where v = a @op c; false where there is none.
 */
static bool graph_ge_unwrap(uint32_t op, uint32_t c, uint32_t a_max, uint32_t *mask, uint32_t *k)
{
	switch (op) {
	case BPF_AND:
		*mask &= c;
		return true;
	case BPF_RSH:
		*mask &= UINT32_MAX >> c;
		if (*k > *mask)
			return false; /* decided by the caller */
		*mask <<= c;
		*k <<= c;
		return true;
	case BPF_LSH:
		if (*mask != UINT32_MAX || a_max > UINT32_MAX >> c)
			return false;
		*k = ((*k - 1) >> c) + 1;
		return true;
	case BPF_ADD:
		if (*mask != UINT32_MAX || a_max > UINT32_MAX - c)
			return false;
		*k = *k > c ? *k - c : 0;
		return true;
	}
	return false;
}

/* v >= k */
static filter_literal graph_ge_const(struct filter_graph *g, uint32_t v, uint32_t k)
{
	const struct filter_value *value = filter_graph_value(g, v);
	uint32_t mask = UINT32_MAX, c;

	while (k && graph_is_alu_const(g, value, &c) &&
		graph_ge_unwrap(value->op, c, filter_graph_value(g, value->a)->max, &mask, &k)) {
		v = value->a;
		value = filter_graph_value(g, v);
	}
	mask &= filter_value_bits(value->max);
	if (k == 0)
		return FILTER_LITERAL_TRUE;
	if (k > mask || k > value->max)
		return FILTER_LITERAL_FALSE;
	if (value->kind == FILTER_VALUE_CONST)
		return graph_truth((value->k & mask) >= k);
	return graph_literal(g,
		&(struct filter_test){ .op = FILTER_TEST_GE,
			.value = v,
			.other = FILTER_VALUE_NONE,
			.mask = mask,
			.k = k });
}

filter_literal filter_graph_eq(struct filter_graph *g, uint32_t v, uint32_t w)
{
	if (v == w)
		return FILTER_LITERAL_TRUE;
	if (filter_graph_value(g, w)->kind == FILTER_VALUE_CONST)
		return graph_eq_masked(g, v, UINT32_MAX, filter_graph_value(g, w)->k);
	if (filter_graph_value(g, v)->kind == FILTER_VALUE_CONST)
		return graph_eq_masked(g, w, UINT32_MAX, filter_graph_value(g, v)->k);
	return graph_literal(g,
		&(struct filter_test){
			.op = FILTER_TEST_EQ_VALUE, .value = MIN(v, w), .other = MAX(v, w) });
}

filter_literal filter_graph_ge(struct filter_graph *g, uint32_t v, uint32_t w)
{
	if (v == w)
		return FILTER_LITERAL_TRUE;
	if (filter_graph_value(g, w)->kind == FILTER_VALUE_CONST)
		return graph_ge_const(g, v, filter_graph_value(g, w)->k);
	if (filter_graph_value(g, v)->kind == FILTER_VALUE_CONST) {
		uint32_t k = filter_graph_value(g, v)->k;

		/* k >= w is not (w >= k + 1) */
		return k == UINT32_MAX ? FILTER_LITERAL_TRUE
				       : graph_not(graph_ge_const(g, w, k + 1));
	}
	return graph_literal(
		g, &(struct filter_test){ .op = FILTER_TEST_GE_VALUE, .value = v, .other = w });
}

filter_literal filter_graph_set(struct filter_graph *g, uint32_t v, uint32_t w)
{
	return graph_not(graph_eq_masked(g, filter_value_alu(g, BPF_AND, v, w), UINT32_MAX, 0));
}

filter_literal filter_graph_inside(
	struct filter_graph *g, uint32_t base, uint32_t k, uint32_t bytes)
{
	uint64_t end = (uint64_t)k + bytes;

	if (base != FILTER_VALUE_NONE && filter_graph_value(g, base)->kind == FILTER_VALUE_CONST) {
		end += filter_graph_value(g, base)->k;
		base = FILTER_VALUE_NONE;
	}
	if (end > UINT32_MAX)
		return FILTER_LITERAL_FALSE;
	if (base == FILTER_VALUE_NONE)
		return graph_ge_const(g, filter_value_cap(g), (uint32_t)end);
	return graph_literal(g,
		&(struct filter_test){ .op = FILTER_TEST_INSIDE,
			.value = base,
			.other = FILTER_VALUE_NONE,
			.k = (uint32_t)end });
}

uint32_t filter_graph_branch(struct filter_graph *g, filter_literal l, uint32_t yes, uint32_t no)
{
	struct filter_node node = {
		.test = l / 2,
		.yes = l & 1 ? no : yes,
		.no = l & 1 ? yes : no,
	};
	uint32_t i = 0;

	if (l == FILTER_LITERAL_TRUE || yes == no)
		return yes;
	if (l == FILTER_LITERAL_FALSE)
		return no;
	/* A child that asks the same again: the answer is known. */
	if (node.yes > FILTER_NODE_ACCEPT && filter_graph_node(g, node.yes)->test == node.test)
		node.yes = filter_graph_node(g, node.yes)->yes;
	if (node.no > FILTER_NODE_ACCEPT && filter_graph_node(g, node.no)->test == node.test)
		node.no = filter_graph_node(g, node.no)->no;
	if (node.yes == node.no)
		return node.yes;
	if (filter_intern_get(&g->nodes, &node, &i, NULL) < 0)
		g->failed = true;
	return i;
}
