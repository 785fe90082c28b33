/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happens between packets: time passes, and functions that others refer to are reset.
 *
 * A function with tick() names the moment that it waits for. Before a packet that is not earlier,
 * it is called; so what belongs to the end of a period is done before the packet that lies beyond
 * it. A live device's time also passes without packets (plan_run_tick()), and the outcome must be
 * that of a recording, where the next packet is the first to tell (semantics T2).
 *
 * For one function alone that is its own affair. Functions that reset a source that others look at
 * have to act in the order of their moments: who is due before the reset sees the old value, who is
 * due later sees what is left. As no packet comes between, a source that has been reset stays as it
 * is; so only the first moment of each function that resets matters, however many have gone by.
 */
#include <stdatomic.h>
#include <string.h>

#include "run_private.h"

/* It has met a packet since its state was made. */
static bool run_has_begun(const struct run_node *rn)
{
	return rn->node->instance->deadline_ns != 0;
}

void run_reset_ref(const struct function_call *call, unsigned int ref)
{
	struct run_node *rn = call->plan;

	rn->sources[ref].node->reset = true;
}

/* Sources are late, so their committed state is what they have counted. */
void run_read_ref(const struct function_call *call, unsigned int ref, void *ret_result)
{
	const struct run_node *rn = call->plan;
	const struct plan_instance *source = rn->sources[ref].instance;
	const struct function *f = source->function;

	if (f->read)
		f->read(source->memory, source->state, ret_result);
	else
		memcpy(ret_result, source->state, f->desc.result_bytes);
}

/* Do what somebody asked for, @at before or after packet @i. */
static void run_reset(struct run_node *rn, unsigned int i, unsigned int at)
{
	struct plan_instance *instance = rn->node->instance;
	struct packet_mask nothing = { .word = { 0 } };
	uint64_t after;

	rn->reset = false;
	run_init_state(instance, instance->state);
	instance->deadline_ns = 0;
	if (!rn->columns)
		return;
	after = rn->columns->after[i];
	rn->call.first = i;
	rn->call.n = 1;
	instance->function->process(&rn->call, instance->memory, instance->state, &nothing);
	rn->columns->before[at] = rn->columns->after[i];
	rn->columns->after[i] = after;
}

void run_reset_after(struct run_node *rn, unsigned int i)
{
	if (rn->reset)
		run_reset(rn, i, i + 1);
}

/* A group keeps all values before packets; who is alone only the first. NULL: it is no value. */
static const uint64_t *run_value_before(const struct run_node *source, unsigned int i)
{
	if (!source->columns)
		return NULL;
	if (source->node->group || i == 0)
		return &source->columns->before[i];
	return &source->columns->after[i - 1];
}

static void run_tick(struct run_node *rn, unsigned int i, uint64_t now_ns);

/* Who looks at results sees what belongs to moments before, wherever their functions stand. */
static void run_tick_sources(const struct run_node *rn, unsigned int i, uint64_t now_ns)
{
	for (unsigned int r = 0; now_ns > 0 && r < rn->node->instance->n_refs; r++) {
		struct run_node *source = rn->sources[r].node;

		if (run_has_begun(source) && run_is_due(source, now_ns - 1))
			run_tick(source, i, now_ns - 1);
	}
}

static void run_tick(struct run_node *rn, unsigned int i, uint64_t now_ns)
{
	struct plan_instance *instance = rn->node->instance;
	const struct function *f = instance->function;
	struct function_ref refs[FUNCTION_REFS_MAX];
	struct function_call call = { .refs = refs,
		.error = &instance->error,
		.reset_ref = run_reset_ref,
		.read_ref = run_read_ref,
		.plan = rn };

	rn->ticked = true;
	if (atomic_load_explicit(&instance->flow->failed, memory_order_relaxed)) {
		instance->deadline_ns = UINT64_MAX;
		return;
	}
	run_tick_sources(rn, i, now_ns);
	for (unsigned int r = 0; r < instance->n_refs; r++)
		refs[r].value = run_value_before(rn->sources[r].node, i);
	instance->deadline_ns = f->tick(&call, instance->memory, instance->state, now_ns);
	if (instance->error.code)
		run_fail(instance->flow);
}

/* The next moment at which some function may be reset. */
static uint64_t run_next_reset(
	const struct plan_run *run, const unsigned int *list, unsigned int n, uint64_t now_ns)
{
	uint64_t ret_ns = now_ns;

	for (unsigned int m = 0; m < n; m++) {
		const struct run_node *rn = &run->nodes[list[m]];
		const struct plan_instance *instance = rn->node->instance;

		if (!rn->ticked && run_has_begun(rn) && instance->function->tick &&
			plan_instance_resets_refs(instance))
			ret_ns = MIN(ret_ns, instance->deadline_ns);
	}
	return ret_ns;
}

void run_pass_time(struct plan_run *run, const unsigned int *list, unsigned int n, unsigned int i,
	uint64_t now_ns, bool begins)
{
	uint64_t step_ns;
	bool due = false;

	for (unsigned int m = 0; m < n; m++) {
		run->nodes[list[m]].ticked = false;
		due = due || run_is_due(&run->nodes[list[m]], now_ns);
	}
	if (!due)
		return;
	do {
		step_ns = run_next_reset(run, list, n, now_ns);
		for (unsigned int m = 0; m < n; m++)
			if (run_has_begun(&run->nodes[list[m]]) &&
				run_is_due(&run->nodes[list[m]], step_ns))
				run_tick(&run->nodes[list[m]], i, step_ns);
		for (unsigned int m = 0; m < n; m++)
			if (run->nodes[list[m]].reset)
				run_reset(&run->nodes[list[m]], i, i);
	} while (step_ns < now_ns);
	for (unsigned int m = 0; begins && m < n; m++)
		if (!run_has_begun(&run->nodes[list[m]]) &&
			run_is_due(&run->nodes[list[m]], now_ns))
			run_tick(&run->nodes[list[m]], i, now_ns);
}

/* Time is all that it needs. */
static bool run_only_ticks(const struct run_node *rn)
{
	const struct plan_instance *instance = rn->node->instance;

	return instance->function->only_ticks && instance->function->only_ticks(instance->memory);
}

/* Nodes for which time passes between packets, in their order. */
static unsigned int run_in_order(const struct plan_run *run, const unsigned int **ret_list)
{
	*ret_list = run->direct ? run->early : run->late;
	return run->direct ? run->n_early : run->n_late;
}

/* @begins: only for functions that need no more than time, which also begin. */
static bool run_pass_pause(struct plan_run *run, uint64_t now_ns, bool begins)
{
	const unsigned int *list;
	unsigned int n_list = run_in_order(run, &list), n;
	bool due = false;

	for (unsigned int m = 0; m < n_list && !due; m++) {
		const struct run_node *rn = &run->nodes[list[m]];

		due = (begins ? run_only_ticks(rn) : run_has_begun(rn)) && run_is_due(rn, now_ns);
	}
	if (!due)
		return false;
	/* A packet that reaches nobody. */
	*run->kept_batch = (struct packet_batch){ .n = 1, .ts_ns = { now_ns } };
	for (unsigned int m = 0; m < n_list; m++) {
		struct run_node *rn = &run->nodes[list[m]];

		rn->call.batch = run->kept_batch;
		if (rn->columns)
			rn->columns->before[0] = run_value(rn->node->instance);
	}
	for (unsigned int m = 0; m < n_list; m += n) {
		unsigned int group = run->nodes[list[m]].node->group;
		bool concerned = !begins || run_only_ticks(&run->nodes[list[m]]);

		for (n = 1; group && m + n < n_list; n++) {
			if (run->nodes[list[m + n]].node->group != group)
				break;
			concerned |= run_only_ticks(&run->nodes[list[m + n]]);
		}
		if (concerned)
			run_pass_time(run, list + m, n, 0, now_ns, false);
	}
	for (unsigned int m = 0; begins && m < n_list; m++) {
		struct run_node *rn = &run->nodes[list[m]];

		if (run_only_ticks(rn) && !run_has_begun(rn) && run_is_due(rn, now_ns))
			run_tick(rn, 0, now_ns);
	}
	return true;
}

bool plan_run_tick(struct plan_run *run, uint64_t now_ns)
{
	return run_pass_pause(run, now_ns, false);
}

void plan_run_step(struct plan_run *run, int64_t by_ns)
{
	const unsigned int *list;
	unsigned int n_list = run_in_order(run, &list);

	for (unsigned int m = 0; m < n_list; m++) {
		struct plan_instance *instance = run->nodes[list[m]].node->instance;

		instance->deadline_ns = function_moment(instance->deadline_ns, by_ns);
		if (instance->function->step)
			instance->function->step(instance->memory, instance->state, by_ns);
	}
}

bool plan_run_counted(struct plan_run *run, uint64_t now_ns)
{
	bool ticked = run_pass_pause(run, now_ns, true);
	const unsigned int *list;
	unsigned int n_list = run_in_order(run, &list);

	for (unsigned int m = 0; m < n_list; m++) {
		const struct plan_instance *instance = run->nodes[list[m]].node->instance;

		if (run_only_ticks(&run->nodes[list[m]]) && instance->function->met)
			instance->function->met(instance->memory, instance->state);
	}
	return ticked;
}
