/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The plan of a device, and where its flows are counted: made anew when flows come or go, adopted
 * by workers, freed when nobody uses it any more. The control thread's.
 */
#include <errno.h>

#include "base/clock.h"
#include "device_private.h"

#define DEVICE_MOVE_NS 20000u /* from looking at the clock to having read the counters */
#define DEVICE_MOVE_TRIES 100u

/* May a worker's run refer to the plan of this epoch, now or when it adopts what it has just taken?
 * A worker that waits for packets takes the current plan next, so plans that came and went
 * meanwhile are nobody's. With plan_lock held. */
static bool device_plan_used(const struct device *device, uint64_t epoch)
{
	for (unsigned int w = 0; w < device->n_threads; w++) {
		const struct device_worker *worker = &device->workers[w];

		if (worker->epoch == epoch || (worker->epoch < epoch && !worker->idle))
			return true;
	}
	return false;
}

void device_free_retired(struct device *device)
{
	struct device_plan **link = &device->retired, *unused = NULL;

	(void)pthread_mutex_lock(&device->plan_lock);
	while (*link) {
		struct device_plan *retired = *link;

		if (device_plan_used(device, retired->epoch)) {
			link = &retired->next;
			continue;
		}
		*link = retired->next;
		retired->next = unused;
		unused = retired;
	}
	(void)pthread_mutex_unlock(&device->plan_lock);
	while (unused) {
		struct device_plan *next = unused->next;

		plan_free(unused->plan);
		free(unused);
		unused = next;
	}
}

/* Of the flows that are connected and not leaving, those that are counted there. Return: how many.
 */
static unsigned int device_list(const struct device *device, const struct device_flow *without,
	enum device_counts where, struct plan_flow *ret[])
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < device->n_flows; i++)
		if (device->flows[i] != without && device->flows[i]->device &&
			(device->flows[i]->moves ? DEVICE_COUNTS_CAPTURE
						 : device->flows[i]->counts) == where)
			ret[n++] = device->flows[i]->plan;
	return n;
}

void device_begin(struct device *device, struct device_flow *flow, enum device_counts where)
{
	uint64_t had = flow->counts == DEVICE_COUNTS_UNKNOWN ? 0 : publish_entered(device, flow);

	flow->counts = where;
	flow->base_pkts = 0;
	flow->base_outages = hook_outages(device->hook);
	if (where == DEVICE_COUNTS_HOOK)
		flow->base_pkts = hook_units(device->hook, true);
	else
		flow->base_pkts = atomic_load_explicit(&device->seen_pkts, memory_order_relaxed) +
			lowering_units(device->lowering, true);
	flow->base_pkts -= had;
}

/* A flow of the hook that others refer to now is needed where they are. */
static bool device_must_leave_hook(const struct device_flow *flow)
{
	return flow->counts == DEVICE_COUNTS_HOOK && !plan_flow_only_counts(flow->plan);
}

static bool device_has_moves(const struct device *device, const struct device_flow *without)
{
	bool moves = false;

	for (unsigned int i = 0; i < device->n_flows; i++)
		moves |= device->flows[i] != without && device->flows[i]->device &&
			device->flows[i]->moves;
	return moves;
}

/* Those that have not been placed yet go to the hook, if all of them only count, and nobody wants
 * packets: then none need be captured, which is what the hook saves. Else counting costs less where
 * packets are looked at anyway. @room: for the list of all flows. @ret: what the hook is asked for;
 * NULL: to go on as it does.
 * Return: 0, -ENOMEM. */
static int device_place_flows(struct device *device, const struct device_flow *without,
	struct plan_flow *room[], struct lowering_set **ret)
{
	bool to_hook = hook_is_open(device->hook);
	unsigned int n;
	int r;

	for (unsigned int i = 0; i < device->n_flows; i++) {
		const struct device_flow *flow = device->flows[i];

		if (flow != without && flow->device)
			to_hook &= flow->counts != DEVICE_COUNTS_CAPTURE &&
				plan_flow_only_counts(flow->plan);
	}
	if (to_hook) {
		n = device_list(device, without, DEVICE_COUNTS_HOOK, room);
		n += device_list(device, without, DEVICE_COUNTS_UNKNOWN, &room[n]);
		r = hook_prepare(device->hook, room, n, ret);
		if (r < 0)
			return r;
		to_hook = hook_accepts(*ret);
	}
	(void)pthread_mutex_lock(&device->flows_lock);
	for (unsigned int i = 0; i < device->n_flows; i++) {
		struct device_flow *flow = device->flows[i];

		if (device_must_leave_hook(flow) && !flow->moves) {
			flow->moves = device->has_moved = true;
			atomic_store_explicit(
				&flow->plan->from_ns, UINT64_MAX, memory_order_relaxed);
		}
		if (flow->counts == DEVICE_COUNTS_UNKNOWN)
			device_begin(
				device, flow, to_hook ? DEVICE_COUNTS_HOOK : DEVICE_COUNTS_CAPTURE);
	}
	(void)pthread_mutex_unlock(&device->flows_lock);
	if (to_hook)
		return 0;
	*ret = lowering_set_free(*ret);
	if (device_has_moves(device, without))
		return 0;
	n = device_list(device, without, DEVICE_COUNTS_HOOK, room);
	return hook_prepare(device->hook, room, n, ret);
}

int device_replan(
	struct device *device, const struct device_flow *without, bool has_come, struct error *err)
{
	_cleanup_(lowering_set_freep) struct lowering_set *set = NULL, *hook_set = NULL;
	_cleanup_(cleanup_freep) struct plan_flow **flows =
		calloc(MAX(device->n_flows, 1u), sizeof(flows[0]));
	struct device_plan *retired = NULL;
	struct plan *plan;
	unsigned int n;
	int r;

	if (!flows)
		return -ENOMEM;
	r = device_place_flows(device, without, flows, &hook_set);
	if (r < 0)
		return r;
	n = device_list(device, without, DEVICE_COUNTS_CAPTURE, flows);
	r = lowering_prepare(
		device->lowering, flows, n, hook_set && !hook_is_empty(hook_set), &set);
	if (r < 0)
		return r;
	if (device->plan) {
		retired = calloc(1, sizeof(*retired));
		if (!retired)
			return -ENOMEM;
	}
	r = plan_new(&plan, flows, n, device->plan, err);
	if (r < 0) {
		free(retired);
		return r;
	}
	(void)pthread_mutex_lock(&device->plan_lock);
	if (retired) {
		*retired = (struct device_plan){
			.next = device->retired, .plan = device->plan, .epoch = device->epoch
		};
		device->retired = retired;
	}
	device->plan = plan;
	device->epoch++;
	device->outdated = false;
	(void)pthread_mutex_unlock(&device->plan_lock);
	lowering_ask(device->lowering, TAKE(set), has_come);
	if (hook_set)
		hook_ask(device->hook, TAKE(hook_set), n > 0, has_come);
	else
		hook_ask_packets(device->hook);
	return 0;
}

/* Flows that have come could not be put to the interface: they are counted where packets are
 * captured, and connected when that is so. */
static void device_fall_back(struct device *device)
{
	unsigned int n = 0;

	(void)pthread_mutex_lock(&device->flows_lock);
	for (unsigned int i = 0; i < device->n_flows; i++) {
		struct device_flow *flow = device->flows[i];

		if (flow->counts != DEVICE_COUNTS_HOOK || hook_serves(device->hook, flow->plan))
			continue;
		device_begin(device, flow, DEVICE_COUNTS_CAPTURE);
		n++;
	}
	(void)pthread_mutex_unlock(&device->flows_lock);
	if (n == 0)
		return;
	if (device_replan(device, NULL, true, NULL) < 0)
		device_stop(device); /* out of memory: they are counted nowhere */
	device->floor_epoch = device->epoch;
}

void device_renew(struct device *device)
{
	if (device_runs(device) && device_replan(device, NULL, false, NULL) < 0)
		device_stop(device); /* out of memory: none can leave the plan, so all leave */
	device->outdated = false;
}

void device_catch_up(struct device *device)
{
	if (device->outdated)
		device_renew(device);
}

/* Whether no worker uses a plan older than change @epoch. */
static bool device_has_adopted(struct device *device, uint64_t epoch)
{
	bool adopted = true;

	(void)pthread_mutex_lock(&device->plan_lock);
	for (unsigned int w = 0; w < device->n_threads; w++)
		adopted &= device->workers[w].idle || device->workers[w].epoch >= epoch;
	(void)pthread_mutex_unlock(&device->plan_lock);
	return adopted;
}

/* With commit_lock and flows_lock held. The hook's counters are read for the last time for flows
 * that move, and packets that come from that moment on are seen by the plan. */
static void device_take_from_hook(struct device *device)
{
	struct device_moment moment;
	unsigned int n = 0;

	do {
		moment = device_moment_now();
		hook_add(device->hook);
	} while (clock_monotonic_ns() - moment.monotonic_ns > DEVICE_MOVE_NS &&
		++n < DEVICE_MOVE_TRIES);
	for (unsigned int i = 0; i < device->n_flows; i++) {
		struct device_flow *flow = device->flows[i];

		if (!flow->moves)
			continue;
		hook_forget(device->hook, flow->plan);
		atomic_store_explicit(
			&flow->plan->from_ns, moment.realtime_ns, memory_order_relaxed);
		device_begin(device, flow, DEVICE_COUNTS_CAPTURE);
		flow->moves = false;
		flow->moved = moment;
	}
}

/* Flows that leave the hook do so when all packets are captured, and workers have the plan in which
 * they are: then each packet is counted once, but for what is on its way at that moment. */
static void device_end_moves(struct device *device)
{
	if (!device_has_moves(device, NULL) || !device_has_adopted(device, device->epoch) ||
		!lowering_settled(device->lowering, device->epoch) ||
		!(hook_listens(device->hook) || device_stopping(device)) ||
		pthread_mutex_trylock(&device->commit_lock) != 0)
		return;
	(void)pthread_mutex_lock(&device->flows_lock);
	device_take_from_hook(device);
	(void)pthread_mutex_unlock(&device->flows_lock);
	(void)pthread_mutex_unlock(&device->commit_lock);
	if (device_replan(device, NULL, true, NULL) < 0)
		device_stop(device); /* out of memory: what they need of the kernel is not known */
	device->floor_epoch = device->epoch;
}

/* Packets of before flows moved have been seen: time matters no more, which may be set back. */
static void device_forget_moves(struct device *device)
{
	if (pthread_mutex_trylock(&device->commit_lock) != 0)
		return;
	device->has_moved = false;
	for (unsigned int i = 0; i < device->n_flows; i++) {
		struct device_flow *flow = device->flows[i];

		if (flow->moved.monotonic_ns > 0 &&
			device_covers(device, device->caught_up_ns, device->clock.watermark_ns,
				&flow->moved)) {
			flow->moved = (struct device_moment){ .monotonic_ns = 0 };
			atomic_store_explicit(&flow->plan->from_ns, 0, memory_order_relaxed);
		}
		device->has_moved |= flow->moves || flow->moved.monotonic_ns > 0;
	}
	(void)pthread_mutex_unlock(&device->commit_lock);
}

void device_follow_time(struct device *device)
{
	if (device->has_moved) {
		device_end_moves(device);
		device_forget_moves(device);
	}
	if (lowering_has_turned(device->lowering))
		device_renew(device);
}

bool device_settled(struct device *device)
{
	bool settled = !device->outdated && device_has_adopted(device, device->epoch);

	device_free_retired(device);
	return settled;
}

uint64_t device_epoch(const struct device *device)
{
	return device->epoch; /* only this thread changes it */
}

bool device_connected(struct device *device, uint64_t epoch)
{
	bool connected;

	if (hook_failed(device->hook))
		device_fall_back(device);
	device_end_moves(device);
	epoch = MAX(epoch, device->floor_epoch);
	connected = device_has_adopted(device, epoch) && !device_has_moves(device, NULL);
	device_free_retired(device);
	return connected && lowering_settled(device->lowering, epoch) &&
		hook_settled(device->hook, epoch);
}
