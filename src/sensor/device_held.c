/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flows that are connected and wait for those that they refer to (semantics O2).
 *
 * Functions of several flows may refer to each other in a ring, although no function refers to
 * itself. Whichever of these flows is connected first refers to one that is not. On a file that has
 * not been started this is nothing special: there is no plan yet. On a device that runs they are
 * held, and with the last of them all come into the plan together. How many may wait is limited,
 * so that finding out who can go on takes no time that others would notice.
 */
#include "device_private.h"
#include "mapi/errors.h"

#define HELD_MAX 64u /* of one user, and flows that one flow waits for */

/* Before a file is started all flows are as good as there: it gets one plan of them, or none. A
 * live device is shared: nobody's mistake may keep it from starting. */
static bool held_are_wanted(struct device *device)
{
	return !device->driver->lossless || device_runs(device);
}

static int held_check_count(
	const struct device *device, const struct plan_flow *flow, struct error *err)
{
	unsigned int n = 0;

	for (const struct device_flow *held = device->held; held; held = held->next_held)
		n += held->plan->owner == flow->owner;
	return n < HELD_MAX ? 0
			    : error_set(err, MAPI_QUOTA_EXCEEDED,
				      "%u flows of this user wait on this device for flows that "
				      "they refer to",
				      n);
}

/* A reference of the flow to one that is not connected. @seen: that have been looked at. */
static int held_check(struct device *device, struct plan_flow *flow, struct plan_flow *other,
	const struct plan_flow *seen[], unsigned int *n_seen, struct error *err)
{
	for (unsigned int i = 0; i < *n_seen; i++)
		if (seen[i] == other)
			return 0;
	if (*n_seen == HELD_MAX || other->retired ||
		!plan_flow_refers(other, flow, ++device->n_walks))
		return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
			"a function refers to flow %u, which is not connected", other->id);
	seen[(*n_seen)++] = other;
	return *n_seen == 1 ? held_check_count(device, flow, err) : 0;
}

int device_check_refs(struct device *device, struct plan_flow *flow, struct error *err)
{
	const struct plan_flow *seen[HELD_MAX];
	unsigned int n_seen = 0;
	int r = 0;

	if (!held_are_wanted(device))
		return 0;
	for (unsigned int i = 0; i < flow->n_instances; i++)
		for (unsigned int n = 0; r == 0 && n < flow->instances[i]->n_refs; n++) {
			struct plan_flow *other = flow->instances[i]->refs[n]->flow;

			if (other != flow && other->place == PLAN_FLOW_OUT)
				r = held_check(device, flow, other, seen, &n_seen, err);
		}
	return r;
}

void device_hold(struct device *device, struct device_flow *flow)
{
	flow->plan->place = PLAN_FLOW_HELD;
	flow->next_held = device->held;
	device->held = flow;
}

void device_unhold(struct device *device, const struct device_flow *flow)
{
	for (struct device_flow **at = &device->held; *at; at = &(*at)->next_held)
		if (*at == flow) {
			*at = flow->next_held;
			flow->plan->place = PLAN_FLOW_OUT;
			return;
		}
}

/* Does it refer to a flow that has not come, or is stuck itself? */
static bool held_is_stuck(const struct plan_flow *flow)
{
	for (unsigned int i = 0; i < flow->n_instances; i++)
		for (unsigned int n = 0; n < flow->instances[i]->n_refs; n++) {
			const struct plan_flow *other = flow->instances[i]->refs[n]->flow;

			if (other->place == PLAN_FLOW_OUT ||
				(other->place == PLAN_FLOW_HELD && other->stuck))
				return true;
		}
	return false;
}

struct device_flow *device_release(struct device *device, unsigned int owner)
{
	struct device_flow **at = &device->held, *ret = NULL;
	bool changes = held_are_wanted(device);

	for (struct device_flow *flow = device->held; flow; flow = flow->next_held)
		flow->plan->stuck = flow->plan->owner != owner;
	while (changes) {
		changes = false;
		for (struct device_flow *flow = device->held; flow; flow = flow->next_held)
			if (!flow->plan->stuck && held_is_stuck(flow->plan))
				flow->plan->stuck = changes = true;
	}
	while (*at) {
		struct device_flow *flow = *at;

		if (flow->plan->stuck) {
			at = &flow->next_held;
			continue;
		}
		*at = flow->next_held;
		flow->next_held = ret;
		ret = flow;
	}
	return ret;
}

void device_never_comes(struct device *device, struct plan_flow *closed)
{
	if (!device->held)
		return;
	(void)pthread_mutex_lock(&device->flows_lock);
	for (struct device_flow *flow = device->held; flow; flow = flow->next_held) {
		if (flow->plan->owner != closed->owner ||
			!plan_flow_refers(flow->plan, closed, ++device->n_walks))
			continue;
		(void)error_set(&flow->plan->instances[0]->error, MFUNCT_INVALID_ARGUMENT_1,
			"the flow waits for flow %u, which was closed before it was connected",
			closed->id);
		/* Pairs with the acquire of who publishes. */
		atomic_store_explicit(&flow->plan->failed, true, memory_order_release);
	}
	(void)pthread_mutex_unlock(&device->flows_lock);
	(void)device_publish(device);
}
