/* SPDX-License-Identifier: BSD-2-Clause */
/* Flows and their instances: applied, told of each other, retired, closed. */
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plan_private.h"

int plan_flow_new(struct plan_flow **ret, unsigned int id)
{
	struct plan_flow *flow = calloc(1, sizeof(*flow));

	if (!flow)
		return -ENOMEM;
	flow->id = id;
	*ret = flow;
	return 0;
}

static void plan_instance_free(struct plan_instance *instance)
{
	plan_program_free(instance->programs);
	free(instance->memory);
	free(instance->state);
	free(instance->refs);
	free(instance->waits);
	free(instance);
}
DEFINE_CLEANUP(struct plan_instance *, plan_instance_free);

static void plan_instance_complete(struct plan_instance *instance, struct error *err)
{
	if (!instance->completed && instance->function->complete)
		(void)instance->function->complete(instance->memory, err); /* the first one wins */
	instance->completed = true;
}

static bool plan_instance_is_busy(const struct plan_instance *instance)
{
	return !instance->closed && instance->function->busy &&
		instance->function->busy(instance->memory);
}

static void plan_instance_close(struct plan_instance *instance)
{
	if (instance->closed)
		return;
	plan_instance_complete(instance, NULL);
	instance->closed = true;
	if (instance->function->close)
		instance->function->close(instance->memory);
}

void plan_flow_complete(struct plan_flow *flow, struct error *err)
{
	for (unsigned int i = 0; i < flow->n_instances; i++)
		plan_instance_complete(flow->instances[i], err);
}

bool plan_flow_is_busy(const struct plan_flow *flow)
{
	bool busy = false;

	for (unsigned int i = 0; i < flow->n_instances; i++)
		busy |= plan_instance_is_busy(flow->instances[i]);
	return busy;
}

bool plan_flow_is_draining(const struct plan_flow *flow)
{
	for (unsigned int i = 0; i < flow->n_instances; i++) {
		const struct plan_instance *instance = flow->instances[i];

		if (!instance->completed && instance->function->draining &&
			instance->function->draining(instance->memory))
			return true;
	}
	return false;
}

/* The flows that @flow refers to come to those that the walk is to visit. */
static struct plan_flow *flow_walk_on(
	struct plan_flow *to_visit, const struct plan_flow *flow, uint64_t walk)
{
	for (unsigned int i = 0; i < flow->n_instances; i++)
		for (unsigned int n = 0; n < flow->instances[i]->n_refs; n++) {
			struct plan_flow *next = flow->instances[i]->refs[n]->flow;

			if (next->walk == walk)
				continue;
			next->walk = walk;
			next->next_walked = to_visit;
			to_visit = next;
		}
	return to_visit;
}

/* Without recursion: a user makes the chain as long as flows are allowed. */
void plan_flow_walk(struct plan_flow *flow, uint64_t walk)
{
	struct plan_flow *to_visit = flow->walk == walk ? NULL : flow;

	flow->walk = walk;
	flow->next_walked = NULL;
	while (to_visit) {
		flow = to_visit;
		to_visit = flow_walk_on(flow->next_walked, flow, walk);
	}
}

bool plan_flow_refers(struct plan_flow *flow, const struct plan_flow *to, uint64_t walk)
{
	plan_flow_walk(flow, walk);
	return to->walk == walk;
}

void plan_flow_retire(struct plan_flow *flow)
{
	flow->retired = true;
	for (unsigned int i = 0; i < flow->n_instances; i++) {
		struct plan_instance *instance = flow->instances[i];
		unsigned int flags = instance->function->desc.flags;

		if (!instance->referred &&
			!(flags & (MAPI_FUNCTION_FILTERS | MAPI_FUNCTION_TRANSFORMS)))
			instance->retired = true;
	}
}

void plan_flow_close_retired(struct plan_flow *flow, struct error *err)
{
	for (unsigned int i = 0; i < flow->n_instances; i++) {
		struct plan_instance *instance = flow->instances[i];

		if (!instance->retired)
			continue;
		plan_instance_complete(instance, err);
		if (!plan_instance_is_busy(instance))
			plan_instance_close(instance);
	}
}

struct plan_flow *plan_flow_free(struct plan_flow *flow)
{
	if (!flow)
		return NULL;
	for (unsigned int i = 0; i < flow->n_instances; i++)
		plan_instance_close(flow->instances[i]);
	for (unsigned int i = flow->n_instances; i-- > 0;)
		plan_instance_free(flow->instances[i]);
	free(flow->instances);
	plan_searches_unref(flow->searches);
	free(flow);
	return NULL;
}

/* What the arguments name. Return: 0, -ENOMEM. */
static int plan_instance_refer(struct plan_instance *instance, const struct plan_refs *refs)
{
	instance->refs = calloc(MAX(refs->n, 1u), sizeof(struct plan_instance *));
	instance->waits = calloc(MAX(refs->n_flows, 1u), sizeof(instance->waits[0]));
	if (!instance->refs || !instance->waits)
		return -ENOMEM;
	instance->n_refs = refs->n;
	for (unsigned int i = 0; i < refs->n; i++)
		instance->refs[i] = refs->instances[i];
	instance->n_waits = refs->n_flows;
	for (unsigned int i = 0; i < refs->n_flows; i++)
		instance->waits[i].flow = refs->flows[i];
	return 0;
}

int plan_flow_apply(struct plan_flow *flow, const struct function *function,
	const struct function_value *args, const struct plan_refs *refs,
	const struct plan_device *device, struct plan_instance **ret, struct error *err)
{
	_cleanup_(plan_instance_freep) struct plan_instance *instance =
		calloc(1, sizeof(*instance));
	static const struct plan_refs none;
	const struct function *functions[FUNCTION_REFS_MAX];
	struct plan_instance **instances;
	struct function_open open;
	int r;

	if (!instance)
		return -ENOMEM;
	instances = realloc(flow->instances, (flow->n_instances + 1) * sizeof(instances[0]));
	if (!instances)
		return -ENOMEM;
	flow->instances = instances;
	instance->function = function;
	instance->flow = flow;
	instance->compiler = device->compiler;
	instance->tells_direction = device->tells_direction;
	instance->fid = flow->n_instances + 1;
	instance->memory = calloc(1, MAX(function->instance_bytes, (size_t)1));
	/* States are copied into result structs, which may hold long doubles. */
	instance->state = aligned_alloc(64, (MAX(function->state_bytes, (size_t)1) + 63) / 64 * 64);
	if (!instance->memory || !instance->state)
		return -ENOMEM;
	r = plan_instance_refer(instance, refs ? refs : &none);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < instance->n_refs; i++)
		functions[i] = instance->refs[i]->function;
	open = (struct function_open){ .args = args,
		.n_args = function->desc.n_args,
		.instance = instance->memory,
		.device = device->name,
		.lossless = device->lossless,
		.seed = device->seed ^ instance->fid,
		.refs = functions,
		.n_refs = instance->n_refs };
	r = function->open ? function->open(&open, err) : 0;
	if (r < 0)
		return r;
	if (function->filter) {
		const struct filter_program *program;

		r = plan_program_get(instance, device->linktype, false, &program, err);
		if (r != 0) {
			if (function->close)
				function->close(instance->memory);
			return r;
		}
	}
	memset(instance->state, 0, function->state_bytes);
	if (function->init)
		function->init(instance->memory, instance->state);
	for (unsigned int i = 0; i < instance->n_refs; i++)
		instance->refs[i]->referred = true;
	flow->instances[flow->n_instances++] = instance;
	*ret = TAKE(instance);
	return 0;
}

bool plan_flow_note_connected(struct plan_flow *flow, unsigned int id)
{
	bool opens = false;

	for (unsigned int i = 0; i < flow->n_instances; i++) {
		struct plan_instance *instance = flow->instances[i];
		bool noted = false, open = true;

		for (unsigned int w = 0; w < instance->n_waits; w++) {
			struct plan_wait *wait = &instance->waits[w];

			if (wait->flow == id && !wait->connected)
				noted = wait->connected = true;
			open &= wait->connected;
		}
		opens |= noted && open;
	}
	return opens;
}
