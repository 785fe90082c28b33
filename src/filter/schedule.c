/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the graph to an order of work.
 *
 * A batch is decided column by column: each load of the graph is gathered once, each test makes one
 * mask, each node is valid & (test ? yes : no) on masks, children first (slot.c). Nothing branches
 * per packet. Columns are gathered only for packets that need them (guard.c). A guard is asked
 * before all uses of what it guards, on every path; therefore the nodes are visited from the roots
 * down, and what a node asks about is put in order when its first node is met: its guards then
 * stand before it.
 */
#include "schedule_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct filter_step *schedule_step(struct filter_schedule_job *j, enum filter_step_kind kind)
{
	struct filter_schedule *s = j->s;

	if (s->n_steps == j->n_steps_room) {
		unsigned int room = j->n_steps_room ? 2 * j->n_steps_room : 64;
		struct filter_step *steps = realloc(s->steps, room * sizeof(*steps));

		if (!steps) {
			j->failed = true;
			return NULL;
		}
		s->steps = steps;
		j->n_steps_room = room;
	}
	s->steps[s->n_steps] = (struct filter_step){
		.kind = (uint8_t)kind,
		.a = FILTER_COLUMN_NONE,
		.b = FILTER_COLUMN_NONE,
		.need_a = FILTER_MASK_ALL,
		.need_b = FILTER_MASK_ALL,
		.inside = FILTER_MASK_ALL,
	};
	return &s->steps[s->n_steps++];
}

static enum filter_column_width schedule_width(const struct filter_schedule_job *j, uint32_t v)
{
	const struct filter_value *value = filter_graph_value(j->g, v);

	if (value->kind == FILTER_VALUE_DIRECTION && !j->values[v].is_wide)
		return FILTER_COLUMN_8;
	if (value->kind != FILTER_VALUE_LOAD || j->values[v].is_wide || value->bytes == 4)
		return FILTER_COLUMN_32;
	return value->bytes == 2 ? FILTER_COLUMN_16 : FILTER_COLUMN_8;
}

/* Gives @v a column of its own. */
static void schedule_column(struct filter_schedule_job *j, uint32_t v)
{
	struct filter_schedule *s = j->s;

	if (s->n_columns >= j->n_columns_room) {
		unsigned int room = j->n_columns_room ? 2 * j->n_columns_room : 64;
		uint32_t *column = realloc(s->column, room * sizeof(*column));

		if (!column) {
			j->failed = true;
			return;
		}
		s->column = column;
		j->n_columns_room = room;
	}
	s->column[s->n_columns] = (uint32_t)j->column_bytes;
	j->column_bytes += (size_t)PACKET_BATCH_MAX << schedule_width(j, v);
	j->values[v].column = s->n_columns++;
	j->values[v].need = s->n_masks++;
}

static uint32_t schedule_mask(struct filter_schedule_job *j, uint32_t t)
{
	if (j->tests[t].mask == FILTER_MASK_NONE)
		j->tests[t].mask = j->s->n_masks++;
	return j->tests[t].mask;
}

static void schedule_guards(struct filter_schedule_job *j, struct filter_step *step, uint32_t v)
{
	const struct filter_guards *known = &j->values[v].known;

	for (unsigned int i = 0; i < known->n; i++) {
		if (j->tests[known->test[i]].is_done)
			step->guard[step->n_guards++] = j->tests[known->test[i]].mask;
	}
}

static int schedule_compare_tests(const void *a, const void *b, void *graph)
{
	const struct filter_test *s = filter_graph_test(graph, *(const uint32_t *)a);
	const struct filter_test *t = filter_graph_test(graph, *(const uint32_t *)b);

	if (s->op != t->op)
		return s->op < t->op ? -1 : 1;
	if (s->mask != t->mask)
		return s->mask < t->mask ? -1 : 1;
	return s->k < t->k ? -1 : s->k > t->k;
}

/* All tests of @v against constants, grouped by operator and bit mask. */
static void schedule_tests(struct filter_schedule_job *j, uint32_t v)
{
	struct filter_schedule *s = j->s;
	struct filter_step *step = NULL;
	uint32_t n = 0;

	for (uint32_t t = j->values[v].first_test; t; t = j->tests[t].next)
		j->sorted[n++] = t;
	qsort_r(j->sorted, n, sizeof(*j->sorted), schedule_compare_tests, j->g);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t t = j->sorted[i];
		const struct filter_test *test = filter_graph_test(j->g, t);

		if (!step || step->op != test->op || step->mask != test->mask) {
			step = schedule_step(j, FILTER_STEP_TESTS);
			if (!step)
				return;
			step->op = (uint8_t)test->op;
			step->width = (uint8_t)schedule_width(j, v);
			step->mask = test->mask;
			step->a = j->values[v].column;
			step->need_a = j->values[v].need;
			step->first_test = s->n_tests;
		}
		step->n_tests++;
		s->tests[s->n_tests++] =
			(struct filter_run_test){ .k = test->k, .ret = schedule_mask(j, t) };
		j->tests[t].is_done = true;
	}
}

static void schedule_test(struct filter_schedule_job *j, uint32_t t);

/* An operand of a load or calculation: a column, or a constant in the step itself. */
static void schedule_operand(struct filter_schedule_job *j, struct filter_step *step, uint32_t v,
	uint32_t *ret, uint32_t *ret_need)
{
	if (v == FILTER_VALUE_NONE)
		return;
	if (filter_graph_value(j->g, v)->kind == FILTER_VALUE_CONST) {
		step->k = filter_graph_value(j->g, v)->k;
		return;
	}
	*ret = j->values[v].column;
	*ret_need = j->values[v].need;
}

static enum filter_step_kind schedule_kind(const struct filter_value *value)
{
	if (value->kind == FILTER_VALUE_LOAD)
		return FILTER_STEP_LOAD;
	return value->kind == FILTER_VALUE_DIRECTION ? FILTER_STEP_DIRECTION : FILTER_STEP_ALU;
}

/* What computes @v; its operands come first. No deeper than a program has instructions. */
static void schedule_value(struct filter_schedule_job *j, uint32_t v)
{
	const struct filter_value *value = filter_graph_value(j->g, v);
	struct filter_schedule_value *at = &j->values[v];
	struct filter_step *step;

	if (at->is_done || value->kind == FILTER_VALUE_CONST)
		return;
	at->is_done = true;
	if (value->a != FILTER_VALUE_NONE)
		schedule_value(j, value->a);
	if (value->b != FILTER_VALUE_NONE)
		schedule_value(j, value->b);
	if (value->kind != FILTER_VALUE_LEN && value->kind != FILTER_VALUE_CAP) {
		if (value->kind == FILTER_VALUE_LOAD)
			schedule_test(j, at->inside);
		schedule_column(j, v);
		step = schedule_step(j, schedule_kind(value));
		if (!step)
			return;
		step->op = (uint8_t)value->op;
		step->bytes = (uint8_t)value->bytes;
		step->width = (uint8_t)schedule_width(j, v);
		step->k = value->k;
		step->ret = at->column;
		step->need = at->need;
		schedule_operand(j, step, value->a, &step->a, &step->need_a);
		schedule_operand(j, step, value->b, &step->b, &step->need_b);
		if (value->kind == FILTER_VALUE_LOAD) {
			step->inside = j->tests[at->inside].mask;
			j->s->n_loads++;
		}
		schedule_guards(j, step, v);
	}
	schedule_tests(j, v);
}

static void schedule_test(struct filter_schedule_job *j, uint32_t t)
{
	const struct filter_test *test = filter_graph_test(j->g, t);
	bool of_two = test->op == FILTER_TEST_EQ_VALUE || test->op == FILTER_TEST_GE_VALUE;
	struct filter_step *step;

	if (j->tests[t].is_done)
		return;
	schedule_value(j, test->value);
	if (test->op == FILTER_TEST_EQ || test->op == FILTER_TEST_GE)
		return; /* the value has brought it */
	if (of_two)
		schedule_value(j, test->other);
	step = schedule_step(j, FILTER_STEP_TEST);
	if (!step)
		return;
	step->op = (uint8_t)test->op;
	step->width = FILTER_COLUMN_32;
	step->k = test->k;
	step->a = j->values[test->value].column;
	step->need_a = j->values[test->value].need;
	if (of_two) {
		step->b = j->values[test->other].column;
		step->need_b = j->values[test->other].need;
	}
	step->ret = schedule_mask(j, t);
	j->tests[t].is_done = true;
	j->s->n_tests_of_two++;
}

static int schedule_build(struct filter_schedule_job *j, uint32_t roots[], unsigned int n_roots)
{
	struct filter_schedule *s = j->s;
	size_t masks_bytes;
	int r;

	for (uint32_t v = 0; v < j->g->values.n; v++) {
		uint32_t kind = filter_graph_value(j->g, v)->kind;

		j->values[v].need = FILTER_MASK_ALL;
		j->values[v].column =
			kind == FILTER_VALUE_LEN ? FILTER_COLUMN_LEN : FILTER_COLUMN_CAP;
	}
	for (uint32_t t = 0; t < j->g->tests.n; t++)
		j->tests[t].mask = FILTER_MASK_NONE;
	filter_guard_find(j, roots, n_roots);
	/* Masks lie in the order in which the nodes, which are visited children first, read them.
	 */
	for (uint32_t n = FILTER_NODE_ACCEPT + 1; n < j->g->nodes.n; n++) {
		if (j->nodes[n].is_used)
			(void)schedule_mask(j, filter_graph_node(j->g, n)->test);
	}
	for (uint32_t n = j->g->nodes.n; n-- > FILTER_NODE_ACCEPT + 1 && !j->failed;) {
		if (j->nodes[n].is_used)
			schedule_test(j, filter_graph_node(j->g, n)->test);
	}
	if (j->failed || j->g->failed)
		return -ENOMEM;
	r = filter_slot_assign(j);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < n_roots; i++)
		roots[i] = j->nodes[roots[i]].mask;
	masks_bytes = ((size_t)s->n_masks * sizeof(struct packet_mask) + 63) & ~(size_t)63;
	for (unsigned int c = FILTER_COLUMN_FIRST; c < s->n_columns; c++)
		s->column[c] += (uint32_t)masks_bytes;
	/* one more column, to compute in */
	s->scratch_bytes = masks_bytes + j->column_bytes + PACKET_BATCH_MAX * sizeof(uint32_t);
	return 0;
}

int filter_schedule_init(
	struct filter_schedule *s, struct filter_graph *g, uint32_t roots[], unsigned int n_roots)
{
	struct filter_schedule_job j = { .g = g, .s = s };
	int r = -ENOMEM;

	*s = (struct filter_schedule){ .n_masks = FILTER_MASK_FIRST,
		.n_columns = FILTER_COLUMN_FIRST };
	j.nodes = calloc(g->nodes.n, sizeof(*j.nodes));
	j.tests = calloc(g->tests.n, sizeof(*j.tests));
	j.values = calloc(g->values.n, sizeof(*j.values));
	j.sorted = calloc(g->tests.n, sizeof(*j.sorted));
	s->tests = calloc(g->tests.n, sizeof(*s->tests));
	if (j.nodes && j.tests && j.values && j.sorted && s->tests)
		r = schedule_build(&j, roots, n_roots);
	free(j.nodes);
	free(j.tests);
	free(j.values);
	free(j.sorted);
	if (r < 0)
		filter_schedule_deinit(s);
	return r;
}

void filter_schedule_deinit(struct filter_schedule *s)
{
	free(s->steps);
	free(s->tests);
	free(s->column);
	free(s->nodes);
	*s = (struct filter_schedule){ .n_masks = FILTER_MASK_FIRST };
}
