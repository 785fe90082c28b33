/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the graph to an order of work.
 *
 * A batch is decided column by column: each load of the graph is gathered once for all packets,
 * each test makes one mask, each node is (test & yes) | (~test & no) on masks, children first.
 * Nothing branches per packet. What would be wasted then is gathering what no packet needs - the
 * ports of IPv6 in a batch of IPv4. So for each column we find the *guards*: tests that must have
 * been true on every path, of every filter, before any use. A guard is asked before all uses, so
 * nodes visited from the roots down emit it first; at run time the column is gathered for the
 * packets in all its guards, and if there are none, it and the tests of it are skipped. Values
 * elsewhere are leftovers of older batches. They do no harm: a packet outside a guard never reaches
 * a node that looks there.
 */
#include "filter_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Tests known to be true; "all" before any path was seen. */
struct guards {
	bool all;
	uint8_t n;
	uint32_t test[STEP_GUARDS_MAX];
};

struct schedule_job {
	struct graph *g;
	struct schedule *s;
	bool *node_used;
	struct guards *node_known;
	struct guards *test_known;
	struct guards *value_known;
	bool *value_wide; /* used otherwise than in tests against constants */
	uint32_t *test_mask;
	uint32_t *value_column;
	uint32_t *value_need;
	size_t column_bytes;
	unsigned int n_steps_room, n_columns_room;
	bool failed;
};

static void guards_intersect(struct guards *a, const struct guards *b)
{
	unsigned int n = 0;

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
	a->n = (uint8_t)n;
}

/* The guards nearest to the root are kept: they are shared by most. */
static struct guards guards_with(const struct guards *a, uint32_t test)
{
	struct guards with = *a;

	if (with.n < STEP_GUARDS_MAX)
		with.test[with.n++] = test;
	return with;
}

/* Which nodes do the roots reach, and what is known to be true there on all ways? */
static void schedule_reach(struct schedule_job *j, const uint32_t roots[], unsigned int n_roots)
{
	const struct guards nothing = { .n = 0 };

	for (unsigned int i = 0; i < n_roots; i++) {
		j->node_used[roots[i]] = true;
		j->node_known[roots[i]] = nothing;
	}
	for (uint32_t n = j->g->nodes.n; n-- > NODE_ACCEPT + 1;) {
		const struct node *node = graph_node(j->g, n);
		struct guards yes;

		if (!j->node_used[n])
			continue;
		guards_intersect(&j->test_known[node->test], &j->node_known[n]);
		yes = j->node_known[n];
		if (graph_test(j->g, node->test)->op == TEST_EQ)
			yes = guards_with(&yes, node->test);
		j->node_used[node->yes] = true;
		j->node_used[node->no] = true;
		guards_intersect(&j->node_known[node->yes], &yes);
		guards_intersect(&j->node_known[node->no], &j->node_known[n]);
	}
}

/* What is known wherever a value is used, and how wide its column must be. */
static void schedule_uses(struct schedule_job *j)
{
	for (uint32_t t = 1; t < j->g->tests.n; t++) {
		const struct test *test = graph_test(j->g, t);
		bool wide = test->op != TEST_EQ && test->op != TEST_GE;

		if (j->test_known[t].all)
			continue; /* in no node that is reached */
		guards_intersect(&j->value_known[test->value], &j->test_known[t]);
		j->value_wide[test->value] |= wide;
		if (test->op == TEST_EQ_VALUE || test->op == TEST_GE_VALUE) {
			guards_intersect(&j->value_known[test->other], &j->test_known[t]);
			j->value_wide[test->other] = true;
		}
	}
	for (uint32_t v = j->g->values.n; v-- > 0;) {
		const struct value *value = graph_value(j->g, v);
		const uint32_t operand[2] = { value->a, value->b };

		for (unsigned int i = 0; i < 2; i++) {
			if (j->value_known[v].all || operand[i] == VALUE_NONE)
				continue;
			guards_intersect(&j->value_known[operand[i]], &j->value_known[v]);
			j->value_wide[operand[i]] = true;
		}
	}
}

static struct step *schedule_step(struct schedule_job *j, enum step_kind kind)
{
	struct schedule *s = j->s;

	if (s->n_steps == j->n_steps_room) {
		unsigned int room = j->n_steps_room ? 2 * j->n_steps_room : 64;
		struct step *steps = realloc(s->steps, room * sizeof(*steps));

		if (!steps) {
			j->failed = true;
			return NULL;
		}
		s->steps = steps;
		j->n_steps_room = room;
	}
	s->steps[s->n_steps] = (struct step){ .kind = kind,
		.a = COLUMN_NONE,
		.b = COLUMN_NONE,
		.need_a = MASK_ALL,
		.need_b = MASK_ALL,
		.inside = MASK_ALL };
	return &s->steps[s->n_steps++];
}

/* Gives @v a column of its own. */
static void schedule_column(struct schedule_job *j, uint32_t v, enum column_width width)
{
	struct schedule *s = j->s;

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
	j->column_bytes += (size_t)PACKET_BATCH_MAX << width;
	j->value_column[v] = s->n_columns++;
	j->value_need[v] = s->n_masks++;
}

static enum column_width schedule_width(const struct schedule_job *j, uint32_t v)
{
	const struct value *value = graph_value(j->g, v);

	if (value->kind != VALUE_LOAD || j->value_wide[v] || value->bytes == 4)
		return COLUMN_32;
	return value->bytes == 2 ? COLUMN_16 : COLUMN_8;
}

static void schedule_guards(struct schedule_job *j, struct step *step, uint32_t v)
{
	const struct guards *known = &j->value_known[v];

	for (unsigned int i = 0; i < known->n; i++) {
		uint32_t mask = j->test_mask[known->test[i]];

		if (mask != MASK_NONE)
			step->guard[step->n_guards++] = mask;
	}
}

static void schedule_test(struct schedule_job *j, uint32_t t);

/* Operands first; no deeper than a program has instructions. */
static void schedule_value(struct schedule_job *j, uint32_t v)
{
	const struct value *value = graph_value(j->g, v);
	const struct value *b = value->b == VALUE_NONE ? NULL : graph_value(j->g, value->b);
	const struct value *a = value->a == VALUE_NONE ? NULL : graph_value(j->g, value->a);
	uint32_t inside = 0;
	struct step *step;

	if (j->value_column[v] != COLUMN_NONE || value->kind == VALUE_CONST)
		return;
	if (a)
		schedule_value(j, value->a);
	if (b)
		schedule_value(j, value->b);
	if (value->kind == VALUE_LOAD) {
		inside = graph_inside(j->g, value->a, value->k, value->bytes) / 2;
		schedule_test(j, inside);
	}
	schedule_column(j, v, schedule_width(j, v));
	step = schedule_step(j, value->kind == VALUE_LOAD ? STEP_LOAD : STEP_ALU);
	if (!step)
		return;
	step->op = (uint8_t)value->op;
	step->bytes = (uint8_t)value->bytes;
	step->width = (uint8_t)schedule_width(j, v);
	step->k = value->k;
	step->ret = j->value_column[v];
	step->need = j->value_need[v];
	if (value->kind == VALUE_LOAD) {
		step->inside = j->test_mask[inside];
		j->s->n_loads++;
	}
	/* a constant operand stands in the step itself */
	if (a && a->kind == VALUE_CONST)
		step->k = a->k;
	else if (a) {
		step->a = j->value_column[value->a];
		step->need_a = j->value_need[value->a];
	}
	if (b && b->kind == VALUE_CONST)
		step->k = b->k;
	else if (b) {
		step->b = j->value_column[value->b];
		step->need_b = j->value_need[value->b];
	}
	schedule_guards(j, step, v);
}

static void schedule_test(struct schedule_job *j, uint32_t t)
{
	const struct test *test = graph_test(j->g, t);
	struct step *step;

	if (j->test_mask[t] != MASK_NONE)
		return;
	schedule_value(j, test->value);
	if (test->op == TEST_EQ_VALUE || test->op == TEST_GE_VALUE)
		schedule_value(j, test->other);
	step = schedule_step(j, STEP_TEST);
	if (!step)
		return;
	step->op = (uint8_t)test->op;
	step->width = (uint8_t)schedule_width(j, test->value);
	step->k = test->k;
	step->mask = test->mask;
	step->a = j->value_column[test->value];
	step->need_a = j->value_need[test->value];
	if (test->op == TEST_EQ_VALUE || test->op == TEST_GE_VALUE) {
		step->b = j->value_column[test->other];
		step->need_b = j->value_need[test->other];
	}
	step->ret = j->s->n_masks++;
	j->test_mask[t] = step->ret;
	j->s->n_tests++;
}

/* Renumbers the nodes in use, children first as in the graph. */
static int schedule_nodes(struct schedule_job *j, uint32_t roots[], unsigned int n_roots)
{
	struct schedule *s = j->s;
	uint32_t n_nodes = j->g->nodes.n;
	uint32_t *mask = calloc(n_nodes, sizeof(*mask));

	s->nodes = calloc(n_nodes, sizeof(*s->nodes));
	if (!mask || !s->nodes) {
		free(mask);
		return -ENOMEM;
	}
	mask[NODE_REJECT] = MASK_REJECT;
	mask[NODE_ACCEPT] = MASK_ALL;
	s->first_node = s->n_masks;
	for (uint32_t n = NODE_ACCEPT + 1; n < n_nodes; n++) {
		const struct node *node = graph_node(j->g, n);

		if (!j->node_used[n])
			continue;
		s->nodes[s->n_nodes++] = (struct run_node){
			.test = j->test_mask[node->test],
			.yes = mask[node->yes],
			.no = mask[node->no],
		};
		mask[n] = s->n_masks++;
	}
	for (unsigned int i = 0; i < n_roots; i++)
		roots[i] = mask[roots[i]];
	free(mask);
	return 0;
}

static int schedule_build(struct schedule_job *j, uint32_t roots[], unsigned int n_roots)
{
	struct schedule *s = j->s;
	uint32_t len = value_len(j->g), cap = value_cap(j->g);
	size_t masks_bytes;
	int r;

	for (uint32_t v = 0; v < j->g->values.n; v++) {
		j->value_column[v] = v == len ? COLUMN_LEN : v == cap ? COLUMN_CAP : COLUMN_NONE;
		j->value_need[v] = MASK_ALL;
		j->value_known[v].all = true;
	}
	for (uint32_t t = 0; t < j->g->tests.n; t++) {
		j->test_mask[t] = MASK_NONE;
		j->test_known[t].all = true;
	}
	for (uint32_t n = 0; n < j->g->nodes.n; n++)
		j->node_known[n].all = true;
	schedule_reach(j, roots, n_roots);
	schedule_uses(j);
	for (uint32_t n = j->g->nodes.n; n-- > NODE_ACCEPT + 1 && !j->failed;) {
		if (j->node_used[n])
			schedule_test(j, graph_node(j->g, n)->test);
	}
	if (j->failed || j->g->failed)
		return -ENOMEM;
	r = schedule_nodes(j, roots, n_roots);
	if (r < 0)
		return r;
	masks_bytes = ((size_t)s->n_masks * sizeof(struct packet_mask) + 63) & ~(size_t)63;
	for (unsigned int c = COLUMN_FIRST; c < s->n_columns; c++)
		s->column[c] += (uint32_t)masks_bytes;
	/* one more column, to compute in */
	s->scratch_bytes = masks_bytes + j->column_bytes + PACKET_BATCH_MAX * sizeof(uint32_t);
	return 0;
}

int schedule_init(struct schedule *s, struct graph *g, uint32_t roots[], unsigned int n_roots)
{
	struct schedule_job j = { .g = g, .s = s };
	int r = -ENOMEM;

	*s = (struct schedule){ .n_masks = MASK_FIRST, .n_columns = COLUMN_FIRST };
	(void)value_len(g);
	(void)value_cap(g);
	j.node_used = calloc(g->nodes.n, sizeof(*j.node_used));
	j.node_known = calloc(g->nodes.n, sizeof(*j.node_known));
	j.test_known = calloc(g->tests.n, sizeof(*j.test_known));
	j.test_mask = calloc(g->tests.n, sizeof(*j.test_mask));
	j.value_known = calloc(g->values.n, sizeof(*j.value_known));
	j.value_wide = calloc(g->values.n, sizeof(*j.value_wide));
	j.value_column = calloc(g->values.n, sizeof(*j.value_column));
	j.value_need = calloc(g->values.n, sizeof(*j.value_need));
	if (j.node_used && j.node_known && j.test_known && j.test_mask && j.value_known &&
		j.value_wide && j.value_column && j.value_need)
		r = schedule_build(&j, roots, n_roots);
	free(j.node_used);
	free(j.node_known);
	free(j.test_known);
	free(j.test_mask);
	free(j.value_known);
	free(j.value_wide);
	free(j.value_column);
	free(j.value_need);
	if (r < 0)
		schedule_deinit(s);
	return r;
}

void schedule_deinit(struct schedule *s)
{
	free(s->steps);
	free(s->column);
	free(s->nodes);
	*s = (struct schedule){ .n_masks = MASK_FIRST };
}
