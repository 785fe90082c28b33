/* SPDX-License-Identifier: BSD-2-Clause */
/* The steps of a schedule, on one batch: see schedule.c for the idea. */
#include "filter_private.h"

#include <string.h>

/* What a run works with. */
struct run {
	const struct filter_schedule *s;
	const struct filter_compare_ops *compare;
	const struct packet_batch *batch;
	uint8_t *scratch;
	struct packet_mask *masks; /* at the start of the scratch memory */
	uint32_t *temporary; /* at its end */
	unsigned int n_words;
};

static void *run_column(const struct run *r, uint32_t column)
{
	return r->scratch + r->s->column[column];
}

/* A column to read; NULL if there is none. */
static const void *run_input(const struct run *r, uint32_t column)
{
	if (column == FILTER_COLUMN_NONE)
		return NULL;
	if (column == FILTER_COLUMN_LEN)
		return r->batch->wire_bytes;
	if (column == FILTER_COLUMN_CAP)
		return r->batch->cap_bytes;
	return run_column(r, column);
}

/* The packets for which the column of a step is needed. */
static const struct packet_mask *run_need(const struct run *r, const struct filter_step *step)
{
	struct packet_mask *need = &r->masks[step->need];

	*need = packet_mask_and(r->masks[step->need_a], r->masks[step->need_b]);
	*need = packet_mask_and(*need, r->masks[step->inside]);
	for (unsigned int i = 0; i < step->n_guards; i++)
		*need = packet_mask_and(*need, r->masks[step->guard[i]]);
	return need;
}

/* Reading all packets where it is legal costs less than visiting this part of them. */
#define RUN_SPARSE_PARTS 8

static void run_load(const struct run *r, const struct filter_step *step)
{
	const struct packet_mask *need = run_need(r, step);
	const struct packet_mask *all = &r->masks[FILTER_MASK_ALL];
	struct packet_mask inside = packet_mask_and(r->masks[step->inside], *all);

	if (packet_mask_empty(need))
		return;
	if (memcmp(&inside, all, sizeof(inside)) == 0 &&
		(memcmp(need, all, sizeof(*need)) == 0 ||
			packet_mask_count(need) > r->batch->n / RUN_SPARSE_PARTS))
		need = NULL;
	filter_column_load(step, r->batch, need, run_input(r, step->a), run_column(r, step->ret));
}

static void run_direction(const struct run *r, const struct filter_step *step)
{
	if (!packet_mask_empty(run_need(r, step)))
		filter_column_direction(
			r->batch, (enum filter_column_width)step->width, run_column(r, step->ret));
}

static void run_alu(const struct run *r, const struct filter_step *step)
{
	if (!packet_mask_empty(run_need(r, step)))
		filter_column_alu(step, r->batch->n, run_input(r, step->a), run_input(r, step->b),
			run_column(r, step->ret));
}

/* Tests other than against a constant: their truth as numbers, 0 or 1. */
static void run_truth(const struct run *r, const struct filter_step *step)
{
	const uint32_t *a = run_input(r, step->a), *b = run_input(r, step->b);
	const uint32_t *cap = r->batch->cap_bytes;
	uint32_t *restrict truth = r->temporary;
	unsigned int n = r->batch->n;
	uint32_t k = step->k;

	switch (step->op) {
	case FILTER_TEST_EQ_VALUE:
		for (unsigned int i = 0; i < n; i++)
			truth[i] = a[i] == b[i];
		break;
	case FILTER_TEST_GE_VALUE:
		for (unsigned int i = 0; i < n; i++)
			truth[i] = a[i] >= b[i];
		break;
	case FILTER_TEST_INSIDE:
		for (unsigned int i = 0; i < n; i++)
			truth[i] = (cap[i] >= k) & (cap[i] - k >= a[i]);
		break;
	}
}

/* Does any packet of the batch need the tests of a step? */
static bool run_is_needed(const struct run *r, const struct filter_step *step)
{
	struct packet_mask need = packet_mask_and(r->masks[step->need_a], r->masks[step->need_b]);

	return !packet_mask_empty(&need);
}

static void run_tests(const struct run *r, const struct filter_step *step)
{
	const struct filter_run_test *tests = r->s->tests + step->first_test;
	const void *column = run_input(r, step->a);

	if (!run_is_needed(r, step)) {
		for (unsigned int i = 0; i < step->n_tests; i++)
			r->masks[tests[i].ret] = (struct packet_mask){ 0 };
	} else if (step->op == FILTER_TEST_EQ) {
		r->compare->eq[step->width](
			column, step->mask, tests, step->n_tests, r->n_words, r->masks);
	} else {
		r->compare->ge[step->width](
			column, step->mask, tests, step->n_tests, r->n_words, r->masks);
	}
}

static void run_test(const struct run *r, const struct filter_step *step)
{
	const struct filter_run_test is_true = { .k = 1, .ret = step->ret };

	if (!run_is_needed(r, step)) {
		r->masks[step->ret] = (struct packet_mask){ 0 };
		return;
	}
	run_truth(r, step);
	r->compare->eq[FILTER_COLUMN_32](
		r->temporary, UINT32_MAX, &is_true, 1, r->n_words, r->masks);
}

void filter_schedule_run(const struct filter_schedule *s, const struct filter_compare_ops *compare,
	void *scratch, const struct packet_batch *batch)
{
	void *temporary =
		(uint8_t *)scratch + s->scratch_bytes - PACKET_BATCH_MAX * sizeof(uint32_t);
	const struct run r = {
		.s = s,
		.compare = compare,
		.batch = batch,
		.scratch = scratch,
		.masks = scratch,
		.temporary = temporary,
		.n_words = (batch->n + 63) / 64,
	};

	r.masks[FILTER_MASK_REJECT] = (struct packet_mask){ 0 };
	r.masks[FILTER_MASK_ALL] = packet_mask_first(batch->n);
	for (unsigned int i = 0; i < s->n_steps; i++) {
		const struct filter_step *step = &s->steps[i];

		switch ((enum filter_step_kind)step->kind) {
		case FILTER_STEP_LOAD:
			run_load(&r, step);
			break;
		case FILTER_STEP_DIRECTION:
			run_direction(&r, step);
			break;
		case FILTER_STEP_ALU:
			run_alu(&r, step);
			break;
		case FILTER_STEP_TESTS:
			run_tests(&r, step);
			break;
		case FILTER_STEP_TEST:
			run_test(&r, step);
			break;
		}
	}
	compare->nodes(s->nodes, s->n_nodes, scratch);
}
