/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices: what is done for flows before they are connected, because it takes long. */
#include <errno.h>
#include <stdlib.h>

#include "device_private.h"

void device_unprepare(struct device *device, struct device_flow *flow)
{
	for (struct device_flow **at = &device->waiting; *at; at = &(*at)->next_waiting)
		if (*at == flow) {
			*at = flow->next_waiting;
			flow->waits = false;
			return;
		}
}

/* Connected flows and @flow, if any; and those that wait. Return: 0, -ENOMEM. */
static int device_wanted(
	struct device *device, struct device_flow *flow, struct searches_wanted *ret)
{
	unsigned int n_waiting = 0;

	for (const struct device_flow *f = device->held; f; f = f->next_held)
		n_waiting++;
	for (const struct device_flow *f = device->waiting; f; f = f->next_waiting)
		n_waiting++;
	*ret = (struct searches_wanted){ .plan = device_runs(device) ? device->plan : NULL };
	ret->flows = calloc(device->n_flows + n_waiting + 1, sizeof(ret->flows[0]));
	if (!ret->flows)
		return -ENOMEM;
	for (unsigned int i = 0; i < device->n_flows; i++)
		if (device->flows[i]->device)
			ret->flows[ret->n_flows++] = device->flows[i]->plan;
	/* They come with another one, perhaps this. */
	for (const struct device_flow *f = device->held; f; f = f->next_held)
		ret->flows[ret->n_flows++] = f->plan;
	if (flow)
		ret->flows[ret->n_flows++] = flow->plan;
	ret->others = ret->flows + ret->n_flows;
	for (const struct device_flow *f = device->waiting; f; f = f->next_waiting)
		if (f != flow)
			ret->others[ret->n_others++] = f->plan;
	return 0;
}

/* Whose owner it is about: devices that are started with many flows have one owner. */
static struct plan_flow *device_first(const struct device *device, const struct device_flow *flow)
{
	if (flow)
		return flow->plan;
	return device->n_flows ? device->flows[0]->plan : NULL;
}

int device_prepare(struct device *device, struct device_flow *flow, struct error *err)
{
	struct plan_flow *first = device_first(device, flow);
	struct searches_wanted wanted;
	int r;

	if (!device->searches || !first)
		return 0;
	if (flow && !flow->waits) {
		flow->waits = true;
		flow->next_waiting = device->waiting;
		device->waiting = flow;
	}
	r = device_wanted(device, flow, &wanted);
	if (r == 0)
		r = searches_get(device->searches, &wanted, first->owner, first, err);
	free(wanted.flows);
	if (r == SEARCHES_E_AGAIN)
		return DEVICE_E_AGAIN;
	if (flow)
		device_unprepare(device, flow);
	return r;
}

uint64_t device_n_prepared(const struct device *device, const struct device_flow *flow)
{
	const struct plan_flow *first = device_first(device, flow);

	return device->searches && first ? searches_n_answers(device->searches, first->owner) : 0;
}

bool device_has_prepared(const struct device *device, const struct device_flow *flow, uint64_t n)
{
	const struct plan_flow *first = device_first(device, flow);

	return !device->searches || !first ||
		searches_have_answered(device->searches, first->owner, n);
}

void device_forget_owner(struct device *device, unsigned int owner)
{
	if (!device->searches)
		return;
	for (unsigned int i = 0; i < device->n_flows; i++)
		if (device->flows[i]->plan->owner == owner)
			return;
	for (const struct device_flow *f = device->waiting; f; f = f->next_waiting)
		if (f->plan->owner == owner)
			return;
	for (const struct device_flow *f = device->held; f; f = f->next_held)
		if (f->plan->owner == owner)
			return;
	searches_forget(device->searches, owner);
}
