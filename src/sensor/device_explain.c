/* SPDX-License-Identifier: BSD-2-Clause */
/* How and where the functions of a device are executed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "device_private.h"

/* A flow that is in no plan, because it is counted elsewhere: as if it were alone in one. */
static int device_explain_alone(
	const struct plan_instance *instance, struct plan_explanation *ret, struct error *err)
{
	_cleanup_(plan_freep) struct plan *plan = NULL;
	struct plan_flow *flow = instance->flow;
	int r = plan_new(&plan, &flow, 1, NULL, err);

	return r < 0 ? r : plan_explain(plan, instance, ret);
}

/* With flows_lock held: of a flow that might be counted at the interface, what has kept it from
 * there. */
static void device_explain_refusal(
	const struct device *device, const struct plan_instance *instance, struct device_tier *ret)
{
	const char *refusal = hook_refusal(device->hook);
	size_t len = strlen(ret->reason);

	if (ret->tier == MAPI_TIER_KERNEL && refusal[0] && plan_flow_only_counts(instance->flow))
		(void)snprintf(ret->reason + len, sizeof(ret->reason) - len,
			"; not at the interface: %.160s", refusal);
}

/* Return: whether its flow is counted at the interface. */
static bool device_explain_tier(
	struct device *device, const struct plan_instance *instance, struct device_tier *ret)
{
	bool is_hook;

	*ret = (struct device_tier){ .tier = MAPI_TIER_USER };
	(void)pthread_mutex_lock(&device->flows_lock);
	is_hook = device->hook && hook_serves(device->hook, instance->flow);
	if (is_hook)
		hook_explain(device->hook, ret);
	(void)pthread_mutex_unlock(&device->flows_lock);
	if (is_hook)
		return true;
	if (!device->lowering) {
		(void)snprintf(ret->reason, sizeof(ret->reason), "%.*s",
			(int)sizeof(ret->reason) - 1,
			device->driver->lossless
				? "the packets of capture files are only seen by the daemon"
				: device->lowering_why.text);
		return false;
	}
	(void)pthread_mutex_lock(&device->flows_lock);
	lowering_explain(device->lowering, instance, ret);
	device_explain_refusal(device, instance, ret);
	(void)pthread_mutex_unlock(&device->flows_lock);
	return false;
}

int device_explain(struct device *device, const struct plan_instance *instance,
	struct plan_explanation *ret, struct device_tier *ret_tier, struct error *err)
{
	if (device_explain_tier(device, instance, ret_tier))
		return device_explain_alone(instance, ret, err);
	/* Only this thread makes plans, and what is told of one never changes. */
	if (device->plan && plan_explain(device->plan, instance, ret) == 0)
		return 0;
	if (device->n_threads == 0) {
		int r = device_replan(device, NULL, true, err);

		if (r < 0)
			return r;
	}
	return device->plan ? plan_explain(device->plan, instance, ret) : -ENOENT;
}
