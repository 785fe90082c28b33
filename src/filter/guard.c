/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which packets need a column?
 *
 * Gathering the ports of IPv6 in a batch of IPv4 is a waste. So for each value we find its
 * *guards*: tests that were true on every path, of every filter, before any use of it. They are
 * found as a compiler finds available expressions: from the roots down, what is known at a node is
 * what is known on all edges to it; what is known where a test is asked, is known of the values it
 * asks about, and of those from which they are computed.
 *
 * At run time the column is gathered only for packets in all its guards; if there are none, it and
 * its tests are skipped. What stands there then is left over from older batches. It does no harm: a
 * packet outside a guard takes no path on which that is looked at.
 */
#include "schedule_private.h"

static void guard_intersect(struct filter_guards *a, const struct filter_guards *b)
{
	uint8_t n = 0;

	if (b->all)
		return;
	if (a->all) {
		*a = *b;
		return;
	}
	for (unsigned int i = 0; i < a->n; i++) {
		for (unsigned int j = 0; j < b->n; j++) {
			if (a->test[i] == b->test[j]) {
				a->test[n++] = a->test[i];
				break;
			}
		}
	}
	a->n = n;
}

/* When there are too many, those nearest to the root stay: they are shared by most. */
static struct filter_guards guard_with(const struct filter_guards *a, uint32_t test)
{
	struct filter_guards with = *a;

	if (with.n < FILTER_STEP_GUARDS_MAX)
		with.test[with.n++] = test;
	return with;
}

static void guard_nodes(struct filter_schedule_job *j, const uint32_t roots[], unsigned int n_roots)
{
	for (unsigned int i = 0; i < n_roots; i++) {
		struct filter_schedule_node *root = &j->nodes[roots[i]];

		root->is_used = true;
		root->is_root = true;
		root->known = (struct filter_guards){ .n = 0 };
	}
	for (uint32_t n = j->g->nodes.n; n-- > FILTER_NODE_ACCEPT + 1;) {
		const struct filter_node *node = filter_graph_node(j->g, n);
		const struct filter_schedule_node *at = &j->nodes[n];
		struct filter_schedule_node *yes = &j->nodes[node->yes], *no = &j->nodes[node->no];
		struct filter_guards in_yes = at->known;

		if (!at->is_used)
			continue;
		guard_intersect(&j->tests[node->test].known, &at->known);
		/* Equalities select; bounds and ranges mostly hold for all packets. */
		if (filter_graph_test(j->g, node->test)->op == FILTER_TEST_EQ)
			in_yes = guard_with(&in_yes, node->test);
		guard_intersect(&yes->known, &in_yes);
		guard_intersect(&no->known, &at->known);
		yes->is_used = no->is_used = true;
		yes->n_parents++;
		no->n_parents++;
	}
}

static bool guard_is_of_two(const struct filter_test *test)
{
	return test->op == FILTER_TEST_EQ_VALUE || test->op == FILTER_TEST_GE_VALUE;
}

static void guard_tests(struct filter_schedule_job *j)
{
	for (uint32_t t = 1; t < j->g->tests.n; t++) {
		const struct filter_test *test = filter_graph_test(j->g, t);
		struct filter_schedule_value *value = &j->values[test->value];
		const struct filter_guards *known = &j->tests[t].known;

		if (known->all)
			continue;
		guard_intersect(&value->known, known);
		value->is_wide |= test->op != FILTER_TEST_EQ && test->op != FILTER_TEST_GE;
		if (guard_is_of_two(test)) {
			guard_intersect(&j->values[test->other].known, known);
			j->values[test->other].is_wide = true;
		}
	}
}

static void guard_values(struct filter_schedule_job *j)
{
	for (uint32_t v = j->g->values.n; v-- > 0;) {
		const struct filter_value *value = filter_graph_value(j->g, v);
		const uint32_t operand[2] = { value->a, value->b };
		struct filter_schedule_value *at = &j->values[v];

		if (at->known.all)
			continue;
		for (unsigned int i = 0; i < 2; i++) {
			if (operand[i] == FILTER_VALUE_NONE)
				continue;
			guard_intersect(&j->values[operand[i]].known, &at->known);
			j->values[operand[i]].is_wide = true;
		}
		if (value->kind != FILTER_VALUE_LOAD)
			continue;
		/* The graph may have a stronger bound in its place; to gather we need this one. */
		at->inside = filter_graph_inside(j->g, value->a, value->k, value->bytes) / 2;
		guard_intersect(&j->tests[at->inside].known, &at->known);
	}
}

static void guard_lists(struct filter_schedule_job *j)
{
	for (uint32_t t = 1; t < j->g->tests.n; t++) {
		const struct filter_test *test = filter_graph_test(j->g, t);

		if (j->tests[t].known.all ||
			(test->op != FILTER_TEST_EQ && test->op != FILTER_TEST_GE))
			continue;
		j->tests[t].next = j->values[test->value].first_test;
		j->values[test->value].first_test = t;
	}
}

void filter_guard_find(struct filter_schedule_job *j, const uint32_t roots[], unsigned int n_roots)
{
	for (uint32_t n = 0; n < j->g->nodes.n; n++)
		j->nodes[n].known.all = true;
	for (uint32_t t = 0; t < j->g->tests.n; t++)
		j->tests[t].known.all = true;
	for (uint32_t v = 0; v < j->g->values.n; v++)
		j->values[v].known.all = true;
	guard_nodes(j, roots, n_roots);
	guard_tests(j);
	guard_values(j);
	guard_lists(j);
}
