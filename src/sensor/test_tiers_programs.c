/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs for the flows of a case: loaded, and what they have counted. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lowering_counts.h"
#include "test_tiers_private.h"

#define TIERS_SNAPLEN_BYTES 262144u

bool tiers_can_load(void)
{
	const struct kernel_options options = { .hook = KERNEL_SOCKET };
	struct kernel_program *program = NULL;
	struct error err = ERROR_INIT;
	int r = kernel_program_make(&program, NULL, &options, NULL, 0, NULL, NULL, &err);

	kernel_program_free(program);
	if (r < 0)
		print_message("SKIP: %s\n", err.text);
	assert_true(r == 0 || r == -EPERM); /* not what the verifier refuses */
	return r == 0;
}

void tiers_kernel_init(struct tiers_kernel *ret)
{
	*ret = (struct tiers_kernel){ .turns = NULL };
	assert_int_equal(kernel_turns_new(&ret->turns), 0);
	for (unsigned int n = 2; n <= TIERS_WORKERS_MAX; n++) {
		for (unsigned int i = 0; i < n; i++) {
			struct error err = ERROR_INIT;
			char text[32];

			(void)snprintf(text, sizeof(text), "len %% %u = %u", n, i);
			assert_int_equal(filter_compile(&ret->own[n][i], text, 1, &err), 0);
		}
	}
}

void tiers_kernel_deinit(struct tiers_kernel *kernel)
{
	for (unsigned int n = 2; n <= TIERS_WORKERS_MAX; n++)
		for (unsigned int i = 0; i < n; i++)
			filter_program_free(kernel->own[n][i]);
	kernel_turns_free(kernel->turns);
}

void tiers_set_free(struct tiers_set *set)
{
	plan_places_free(set->places, set->n_places);
	for (unsigned int i = 0; i < TIERS_WORKERS_MAX; i++)
		kernel_program_free(set->programs[i]);
	free(set->counts);
	free(set->added);
	free(set);
}

/* The cell of a place that samples. */
static uint32_t tiers_cell(struct tiers_run *t, const struct plan_place *place)
{
	unsigned int flow = 0;
	int *cell;

	while (t->flows[flow] != place->flow)
		flow++;
	cell = &t->cells[flow][place->first - 1];
	if (*cell == 0)
		*cell = kernel_turns_get(t->kernel->turns) + 1;
	assert_true(*cell > 0);
	return (uint32_t)*cell - 1;
}

/* As lowering_set.c does. Return: 0; -ENOTSUP: all must be delivered; -EAGAIN: places were cut. */
static int tiers_load(struct tiers_run *t, struct tiers_set *set, unsigned int worker)
{
	struct kernel_sampling samplings[TIERS_PLACES_MAX];
	const struct filter_program *programs[TIERS_PLACES_MAX];
	bool deliver[ARRAY_SIZE(programs)];
	const struct kernel_options options = { .hook = KERNEL_SOCKET,
		.snaplen_bytes = t->c->snaplen_bytes ? t->c->snaplen_bytes : TIERS_SNAPLEN_BYTES,
		.is_cut = t->c->snaplen_bytes > 0,
		.own = t->kernel->own[t->c->n_workers][worker],
		.undelivered = true,
		.deliver = deliver,
		.samplings = samplings,
		.no_long_jumps = !kernel_has_long_jumps() };
	_cleanup_(kernel_code_freep) struct kernel_code *code = NULL;
	struct kernel_program **program = &set->programs[worker];
	struct error err = ERROR_INIT;
	unsigned int i;

	assert_true(set->n_places <= ARRAY_SIZE(programs));
	for (i = 0; i < set->n_places; i++) {
		programs[i] = set->places[i].program;
		deliver[i] = set->places[i].deliver;
		samplings[i] = (struct kernel_sampling){ .cell = 0 };
		if (set->places[i].sampling)
			samplings[i] = (struct kernel_sampling){ .rule = *set->places[i].sampling,
				.cell = tiers_cell(t, &set->places[i]) };
	}
	*program = kernel_program_free(*program);
	if (kernel_program_make(program, &code, &options, programs, set->n_places,
		    kernel_turns_load, t->kernel->turns, &err) < 0)
		fail_msg("%s", err.text);
	for (i = 0; i < set->n_places; i++)
		if (kernel_code_reason(code, i) != KERNEL_LOWERED)
			break;
	if (i == set->n_places)
		return 0;
	if (set->places[i].first == 0)
		return -ENOTSUP;
	set->n_places = plan_places_cut(set->places, set->n_places, i);
	return -EAGAIN;
}

/* Programs of all workers. Return: false: all must be delivered. */
static bool tiers_load_all(struct tiers_run *t, struct tiers_set *set)
{
	unsigned int worker = 0;

	while (worker < t->c->n_workers) {
		int r = tiers_load(t, set, worker);

		if (r == -ENOTSUP)
			return false;
		worker = r == -EAGAIN ? 0 : worker + 1;
	}
	return true;
}

static bool tiers_wants_all(const struct tiers_set *set)
{
	for (unsigned int i = 0; i < set->n_places; i++)
		if (set->places[i].deliver && set->places[i].first == 0)
			return true;
	return false;
}

/* The place that is followed by the packets' first function, or the flow's end. */
static unsigned int tiers_flow_end(const struct tiers_set *set, const struct plan_flow *flow)
{
	unsigned int end = 0;

	for (unsigned int i = 0; i < set->n_places; i++)
		if (set->places[i].flow == flow)
			end = set->places[i].end;
	return end;
}

static bool tiers_is_able(const struct plan_instance *instance)
{
	const struct function *f = instance->function;

	return f->filter || f->programs || f->add || f->sampling || f->gate ||
		(f->only_ticks && f->only_ticks(instance->memory));
}

/* Where filters and counters of the flows are. @ends: of each flow, before places were cut. */
static void tiers_account_set(struct tiers_account *a, const struct tiers_set *set,
	struct plan_flow *const flows[], unsigned int n_flows, const unsigned int ends[], bool all)
{
	for (unsigned int f = 0; f < n_flows; f++) {
		unsigned int end = tiers_flow_end(set, flows[f]);

		for (unsigned int i = 0; i < flows[f]->n_instances; i++) {
			if (!tiers_is_able(flows[f]->instances[i]))
				continue;
			a->n_beside_all += all;
			a->n_behind += !all && i >= ends[f];
			a->n_able += !all && i < ends[f];
			a->n_kernel += !all && i < end;
			a->n_timed += !all && i < end && flows[f]->instances[i]->function->tick;
			a->n_untranslated += !all && i >= end && i < ends[f];
		}
	}
}

/* Functions that sample have their numbers from the kernel from now on. */
static void tiers_share(struct tiers_run *t, const struct tiers_set *set)
{
	for (unsigned int i = 0; i < set->n_places; i++) {
		const struct plan_place *place = &set->places[i];

		if (place->sampling && !place->state->shared)
			sampling_share(place->state,
				kernel_turns_at(t->kernel->turns, (int)tiers_cell(t, place)));
	}
}

struct tiers_set *tiers_set_new(struct tiers_run *t, struct plan_flow *const flows[],
	unsigned int n_flows, bool deliver_all)
{
	struct tiers_set *set = calloc(1, sizeof(*set));
	unsigned int ends[TIERS_FLOWS_MAX];
	bool all;

	assert_non_null(set);
	assert_int_equal(plan_lower(flows, n_flows, 1, &set->places, &set->n_places), 0);
	set->counts = calloc(set->n_places, sizeof(set->counts[0]));
	set->added = calloc(set->n_places, sizeof(set->added[0]));
	assert_true(set->counts && set->added);
	for (unsigned int f = 0; f < n_flows; f++)
		ends[f] = tiers_flow_end(set, flows[f]);
	all = tiers_wants_all(set);
	if (!all && !deliver_all) {
		set->selects = tiers_load_all(t, set);
		if (set->selects)
			tiers_share(t, set);
		t->kernel->account.n_programs += t->c->n_workers;
	}
	if (!deliver_all)
		tiers_account_set(&t->kernel->account, set, flows, n_flows, ends, all);
	return set;
}

void tiers_set_read(struct tiers_set *set)
{
	struct kernel_count counts[TIERS_PLACES_MAX];

	if (!set->selects)
		return;
	memset(set->counts, 0, set->n_places * sizeof(set->counts[0]));
	for (unsigned int worker = 0; worker < TIERS_WORKERS_MAX; worker++) {
		if (!set->programs[worker])
			break;
		kernel_program_read(set->programs[worker], counts, set->n_places);
		for (unsigned int i = 0; i < set->n_places; i++) {
			set->counts[i].units += counts[i].units;
			set->counts[i].pkts += counts[i].pkts;
			set->counts[i].bytes += counts[i].bytes;
		}
	}
}

void tiers_set_give(struct tiers_set *set, uint64_t last_ns)
{
	lowering_counts_give(set->places, set->counts, set->added, set->n_places, last_ns);
}

void tiers_cells_put(struct tiers_run *t)
{
	const int *cells = &t->cells[0][0];

	for (unsigned int i = 0; i < TIERS_FLOWS_MAX * TIERS_FUNCTIONS_MAX; i++)
		if (cells[i] > 0)
			kernel_turns_put(t->kernel->turns, cells[i] - 1);
}
