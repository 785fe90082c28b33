/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A set of filters: programs in, one mask per program and batch out.
 *
 * Each different program is lifted into the one graph of the set. Those that cannot be are kept
 * and interpreted, packet by packet.
 */
#include "filter_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* While a set is built: of each different program, its root or its place among the interpreted. */
struct set_program {
	const struct filter_program *program;
	uint32_t outcome;
	bool is_interpreted;
};

struct set_job {
	struct filter_set *set;
	struct filter_graph graph;
	struct set_program *distinct;
	uint32_t *which; /* of each given program: index into distinct */
	uint32_t *roots; /* of each distinct program that was lifted */
	unsigned int n_distinct, n_roots, n_interpreted;
};

static int set_compare_programs(const void *a, const void *b)
{
	const struct filter_program *p = *(const struct filter_program *const *)a;
	const struct filter_program *q = *(const struct filter_program *const *)b;

	if (p->n_insns != q->n_insns)
		return p->n_insns < q->n_insns ? -1 : 1;
	return memcmp(p->insns, q->insns, p->n_insns * sizeof(p->insns[0]));
}

/* Finds which programs are equal. */
static int set_sort(
	struct set_job *j, const struct filter_program *const programs[], unsigned int n_programs)
{
	const struct filter_program **sorted = calloc(n_programs + 1, sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	if (n_programs)
		memcpy(sorted, programs, n_programs * sizeof(*sorted));
	qsort(sorted, n_programs, sizeof(*sorted), set_compare_programs);
	for (unsigned int i = 0; i < n_programs; i++) {
		if (i == 0 || set_compare_programs(&sorted[i - 1], &sorted[i]) != 0)
			j->distinct[j->n_distinct++].program = sorted[i];
	}
	for (unsigned int i = 0; i < n_programs; i++) {
		const struct set_program *found = bsearch(&programs[i], j->distinct, j->n_distinct,
			sizeof(*found), set_compare_programs);

		j->which[i] = (uint32_t)(found - j->distinct);
	}
	free(sorted);
	return 0;
}

static int set_lift(struct set_job *j)
{
	for (unsigned int i = 0; i < j->n_distinct; i++) {
		struct set_program *p = &j->distinct[i];
		int r = filter_lift(&j->graph, p->program, &j->roots[j->n_roots]);

		if (r == FILTER_LIFT_E_REFUSED) {
			r = filter_program_copy(&j->set->interpreted[j->n_interpreted],
				p->program->insns, p->program->n_insns);
			p->is_interpreted = true;
			p->outcome = j->n_interpreted++;
		} else {
			p->outcome = j->n_roots++;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int set_build(
	struct set_job *j, const struct filter_program *const programs[], unsigned int n_programs)
{
	struct filter_set *set = j->set;
	struct filter_schedule *s = &set->schedule;
	int r;

	r = set_sort(j, programs, n_programs);
	if (r < 0)
		return r;
	r = set_lift(j);
	if (r < 0)
		return r;
	r = filter_schedule_init(s, &j->graph, j->roots, j->n_roots);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < n_programs; i++) {
		const struct set_program *p = &j->distinct[j->which[i]];

		set->outcome[i] =
			p->is_interpreted ? s->n_masks + p->outcome : j->roots[p->outcome];
	}
	set->stats = (struct filter_set_stats){
		.n_programs = n_programs,
		.n_distinct = j->n_distinct,
		.n_interpreted = j->n_interpreted,
		.n_loads = s->n_loads,
		.n_tests = s->n_tests + s->n_tests_of_two,
		.n_nodes = s->n_nodes,
	};
	return 0;
}

int filter_set_new(struct filter_set **ret, const struct filter_program *const programs[],
	unsigned int n_programs)
{
	_cleanup_(filter_set_freep) struct filter_set *set = calloc(1, sizeof(*set));
	struct set_job j = { .set = set };
	int r = -ENOMEM;

	if (!set)
		return -ENOMEM;
	set->compare = filter_compare_list()[0];
	set->outcome = calloc(n_programs + 1, sizeof(*set->outcome));
	set->interpreted = calloc(n_programs + 1, sizeof(struct filter_program *));
	j.distinct = calloc(n_programs + 1, sizeof(*j.distinct));
	j.which = calloc(n_programs + 1, sizeof(*j.which));
	j.roots = calloc(n_programs + 1, sizeof(*j.roots));
	if (set->outcome && set->interpreted && j.distinct && j.which && j.roots)
		r = filter_graph_init(&j.graph);
	if (r == 0)
		r = set_build(&j, programs, n_programs);
	filter_graph_deinit(&j.graph);
	free(j.distinct);
	free(j.which);
	free(j.roots);
	if (r == 0)
		*ret = TAKE(set);
	return r;
}

struct filter_set *filter_set_free(struct filter_set *set)
{
	if (!set)
		return NULL;
	if (set->interpreted) {
		for (unsigned int i = 0; set->interpreted[i]; i++)
			filter_program_free(set->interpreted[i]);
	}
	filter_schedule_deinit(&set->schedule);
	free(set->interpreted);
	free(set->outcome);
	free(set);
	return NULL;
}

size_t filter_set_scratch_bytes(const struct filter_set *set)
{
	return set->schedule.scratch_bytes;
}

static void set_interpret(const struct filter_program *program, const struct packet_batch *batch,
	struct packet_mask *ret)
{
	*ret = (struct packet_mask){ 0 };
	for (unsigned int i = 0; i < batch->n; i++) {
		if (filter_interpret(program, batch->data[i], batch->wire_bytes[i],
			    batch->cap_bytes[i],
			    filter_direction(batch, i)) == FILTER_INTERPRET_ACCEPT)
			packet_mask_set(ret, i);
	}
}

void filter_set_run(const struct filter_set *set, void *scratch, const struct packet_batch *batch,
	struct packet_mask ret[])
{
	const struct packet_mask *masks = scratch;
	uint32_t n_masks = set->schedule.n_masks;

	filter_schedule_run(&set->schedule, set->compare, scratch, batch);
	for (unsigned int i = 0; i < set->stats.n_programs; i++) {
		uint32_t outcome = set->outcome[i];

		if (outcome < n_masks)
			ret[i] = masks[outcome];
		else
			set_interpret(set->interpreted[outcome - n_masks], batch, &ret[i]);
	}
}

struct filter_set_stats filter_set_stats(const struct filter_set *set)
{
	return set->stats;
}
