/* SPDX-License-Identifier: BSD-2-Clause */
/* Flows of a device: how they come and go. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "device_private.h"
#include "mapi/errors.h"
#include "wire/wake.h"

void device_cancel(const struct plan_flow *flow)
{
	for (unsigned int i = 0; i < flow->n_instances; i++) {
		struct plan_instance *instance = flow->instances[i];

		if (instance->function->cancel && !instance->closed)
			instance->function->cancel(instance->memory);
	}
}

static void device_insert_flow(struct device *device, struct device_flow *flow)
{
	unsigned int at = device->n_flows;

	while (at > 0 && device->flows[at - 1]->plan->id > flow->plan->id) {
		device->flows[at] = device->flows[at - 1];
		at--;
	}
	device->flows[at] = flow;
	device->n_flows++;
}

static void device_take_out(struct device *device, const struct device_flow *flow)
{
	for (unsigned int i = 0; i < device->n_flows; i++) {
		if (device->flows[i] != flow)
			continue;
		memmove(&device->flows[i], &device->flows[i + 1],
			(device->n_flows - i - 1) * sizeof(device->flows[0]));
		device->n_flows--;
		flow->plan->place = PLAN_FLOW_OUT;
		break;
	}
}

void device_forget(struct device *device, struct device_flow *flow)
{
	(void)pthread_mutex_lock(&device->flows_lock);
	lowering_forget(device->lowering, flow->plan);
	hook_forget(device->hook, flow->plan);
	device_unhold(device, flow);
	device_take_out(device, flow);
	(void)pthread_mutex_unlock(&device->flows_lock);
	device_forget_owner(device, flow->plan->owner);
}

/* With flows_lock held, for which it has room: the flow is in the next plan. */
static void device_enter(struct device *device, struct device_flow *flow)
{
	flow->start_ns = clock_realtime_ns();
	flow->base_stats = device->stats;
	device_begin(device, flow, DEVICE_COUNTS_UNKNOWN);
	flow->base_steps = atomic_load_explicit(&device->n_steps, memory_order_relaxed);
	flow->base_late_pkts = atomic_load_explicit(&device->seen_late_pkts, memory_order_relaxed);
	device_insert_flow(device, flow);
	flow->shared->status = FLOW_ACTIVE;
	flow->plan->place = PLAN_FLOW_IN;
}

/* The flow, or if it is held those for which it was the last: into the list of flows.
 * Return: 0, -ENOMEM. */
static int device_admit(struct device *device, struct device_flow *flow, struct device_flow **ret)
{
	unsigned int n = device->n_flows + 1;
	struct device_flow **grown;

	for (const struct device_flow *held = device->held; held; held = held->next_held)
		n++;
	(void)pthread_mutex_lock(&device->flows_lock);
	grown = realloc(device->flows, n * sizeof(grown[0]));
	if (!grown) {
		(void)pthread_mutex_unlock(&device->flows_lock);
		return -ENOMEM;
	}
	device->flows = grown;
	flow->device = device;
	device_hold(device, flow);
	*ret = device_release(device, flow->plan->owner);
	if (*ret)
		publish_ask(device, clock_monotonic_ns()); /* what is published next is no older
							      than what they began with */
	for (struct device_flow *next = *ret; next; next = next->next_held)
		device_enter(device, next);
	(void)pthread_mutex_unlock(&device->flows_lock);
	return 0;
}

/* They are as they were before device_admit(). */
static void device_reject(struct device *device, struct device_flow *flow, struct device_flow *came)
{
	(void)pthread_mutex_lock(&device->flows_lock);
	while (came) {
		struct device_flow *next = came->next_held;

		device_take_out(device, came);
		came->counts = DEVICE_COUNTS_UNKNOWN;
		came->shared->status = FLOW_INIT;
		device_hold(device, came);
		came = next;
	}
	(void)pthread_mutex_unlock(&device->flows_lock);
	device_forget(device, flow);
	flow->device = NULL;
}

int device_add(struct device *device, struct device_flow *flow, struct error *err)
{
	struct device_flow *came = NULL;
	int r = device_check_refs(device, flow->plan, err);
	if (r == 0)
		r = device_admit(device, flow, &came);
	if (r < 0)
		return r;
	/* A device that has not started gets its plan when it does. */
	if (came && device_runs(device))
		r = device_replan(device, NULL, true, err);
	if (r < 0) {
		device_reject(device, flow, came);
		return r;
	}
	/* On a device that has ended the flow is finished at once; on one that has not begun there
	 * is nothing to tell. */
	if (device->n_threads || device_stopping(device))
		(void)device_publish(device);
	return 0;
}

void device_retire(struct device *device, struct device_flow *flow)
{
	device_cancel(flow->plan);
	(void)pthread_mutex_lock(&device->flows_lock);
	plan_flow_retire(flow->plan);
	(void)pthread_mutex_unlock(&device->flows_lock);
	if (device_runs(device) && device_replan(device, NULL, false, NULL) < 0)
		device_stop(device); /* out of memory: it cannot leave the plan, so all leave */
}

void device_close_retired(struct device *device, struct device_flow *flow, struct error *err)
{
	(void)pthread_mutex_lock(&device->flows_lock);
	plan_flow_close_retired(flow->plan, err);
	(void)pthread_mutex_unlock(&device->flows_lock);
}

/* Out of the next plan. */
static void device_part(struct device *device, struct device_flow *flow)
{
	(void)pthread_mutex_lock(&device->flows_lock);
	device_unhold(device, flow);
	(void)pthread_mutex_unlock(&device->flows_lock);
	flow->plan->place = PLAN_FLOW_OUT;
	flow->device = NULL;
}

void device_remove(struct device *device, struct device_flow *flow)
{
	device_cancel(flow->plan);
	device_part(device, flow);
	if (!device_runs(device))
		return;
	if (device_replan(device, flow, false, NULL) < 0)
		/* Out of memory, or another flow refers to this one: it cannot leave the plan, so
		 * all leave. What others have counted stays readable. */
		device_stop(device);
}

void device_drop(struct device *device, struct device_flow *flow)
{
	device_cancel(flow->plan);
	device_part(device, flow);
	device->outdated = device_runs(device);
}

void device_flow_error(struct device *device, const struct device_flow *flow, struct error *ret)
{
	(void)pthread_mutex_lock(&device->flows_lock);
	*ret = flow->error;
	(void)pthread_mutex_unlock(&device->flows_lock);
}

void device_watch(struct device *device, struct device_flow *flow, int event_fd)
{
	(void)pthread_mutex_lock(&device->flows_lock);
	flow->event_fd = event_fd;
	/* What is there already is news to who begins to watch. */
	wake_signal(event_fd);
	(void)pthread_mutex_unlock(&device->flows_lock);
}
