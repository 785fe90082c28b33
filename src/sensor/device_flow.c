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

void device_forget(struct device *device, struct device_flow *flow)
{
	(void)pthread_mutex_lock(&device->flows_lock);
	lowering_forget(device->lowering, flow->plan);
	hook_forget(device->hook, flow->plan);
	for (unsigned int i = 0; i < device->n_flows; i++) {
		if (device->flows[i] != flow)
			continue;
		memmove(&device->flows[i], &device->flows[i + 1],
			(device->n_flows - i - 1) * sizeof(device->flows[0]));
		device->n_flows--;
		break;
	}
	(void)pthread_mutex_unlock(&device->flows_lock);
	device_forget_owner(device, flow->plan->owner);
}

/* Functions of a flow may refer to those of connected flows of this device, and its own. */
static int device_check_refs(
	const struct device *device, const struct plan_flow *flow, struct error *err)
{
	for (unsigned int i = 0; i < flow->n_instances; i++)
		for (unsigned int n = 0; n < flow->instances[i]->n_refs; n++) {
			const struct plan_flow *other = flow->instances[i]->refs[n]->flow;
			bool found = other == flow;

			for (unsigned int k = 0; k < device->n_flows && !found; k++)
				found = device->flows[k]->plan == other && device->flows[k]->device;
			if (!found)
				return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
					"%s refers to flow %u, which is not connected",
					flow->instances[i]->function->desc.name, other->id);
		}
	return 0;
}

int device_add(struct device *device, struct device_flow *flow, struct error *err)
{
	struct device_flow **grown;
	int r = 0;

	/* A live device is shared: nobody's mistake may keep it from starting. */
	if (!device->driver->lossless)
		r = device_check_refs(device, flow->plan, err);
	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&device->flows_lock);
	grown = realloc(device->flows, (device->n_flows + 1) * sizeof(grown[0]));
	if (!grown) {
		(void)pthread_mutex_unlock(&device->flows_lock);
		return -ENOMEM;
	}
	device->flows = grown;
	flow->device = device;
	flow->start_ns = clock_realtime_ns();
	publish_ask(device, clock_monotonic_ns()); /* what is published next is no older than what
						      it began with */
	flow->base_stats = device->stats;
	device_begin(device, flow, DEVICE_COUNTS_UNKNOWN);
	flow->base_late_pkts = atomic_load_explicit(&device->seen_late_pkts, memory_order_relaxed);
	device_insert_flow(device, flow);
	flow->shared->status = FLOW_ACTIVE;
	(void)pthread_mutex_unlock(&device->flows_lock);
	/* A device that has not started gets its plan when it does. */
	if (device_runs(device))
		r = device_replan(device, NULL, true, err);
	if (r < 0) {
		device_forget(device, flow);
		flow->device = NULL;
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

void device_remove(struct device *device, struct device_flow *flow)
{
	device_cancel(flow->plan);
	flow->device = NULL;
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
	flow->device = NULL;
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
