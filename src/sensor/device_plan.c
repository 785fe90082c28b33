/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The plan of a device, and where its flows are counted: made anew when flows come or go, adopted
 * by workers, freed when nobody uses it any more. The control thread's.
 */
#include <errno.h>

#include "base/clock.h"
#include "device_private.h"

#define DEVICE_MOVE_NS 20000u /* longer than looking at the clock and reading counters takes */
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

/* Where the flow is counted, or is about to be. */
static enum device_counts device_place(const struct device_flow *flow)
{
	return flow->moves ? DEVICE_COUNTS_CAPTURE : flow->counts;
}

/* Of the flows that are connected and not leaving, those that are counted there. Return: how many.
 */
static unsigned int device_list(const struct device *device, const struct device_flow *without,
	enum device_counts where, struct plan_flow *ret[])
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < device->n_flows; i++)
		if (device->flows[i] != without && device->flows[i]->device &&
			device_place(device->flows[i]) == where)
			ret[n++] = device->flows[i]->plan;
	return n;
}

/* Of the same, those of the plan: also flows that are counted at the interface, if functions of
 * others look at their counters. */
static unsigned int device_list_planned(
	struct device *device, const struct device_flow *without, struct plan_flow *ret[])
{
	bool looks_at_hook = false;
	unsigned int n = 0;

	for (unsigned int i = 0; i < device->n_flows; i++) {
		struct device_flow *flow = device->flows[i];
		bool is_captured = device_place(flow) == DEVICE_COUNTS_CAPTURE;

		if (flow == without || !flow->device ||
			!(is_captured || plan_flow_is_referred(flow->plan)))
			continue;
		looks_at_hook |= !is_captured;
		ret[n++] = flow->plan;
	}
	(void)pthread_mutex_lock(&device->flows_lock);
	device->looks_at_hook = looks_at_hook;
	(void)pthread_mutex_unlock(&device->flows_lock);
	return n;
}

/* Find out which functions need packets. @room: for the list of all flows. */
static void device_mark_countable(
	const struct device *device, const struct device_flow *without, struct plan_flow *room[])
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < device->n_flows; i++)
		if (device->flows[i] != without && device->flows[i]->device)
			room[n++] = device->flows[i]->plan;
	plan_mark_countable(room, n);
}

void device_begin(struct device *device, struct device_flow *flow, enum device_counts where)
{
	flow->counts = where;
	atomic_store_explicit(&flow->plan->from_ns, where == DEVICE_COUNTS_HOOK ? UINT64_MAX : 0,
		memory_order_relaxed);
	flow->base_outages = hook_outages(device->hook);
	flow->base_times_behind = hook_times_behind(device->hook) - hook_is_behind(device->hook);
	if (where == DEVICE_COUNTS_HOOK)
		flow->base_pkts = hook_units(device->hook, true);
	else
		flow->base_pkts = atomic_load_explicit(&device->seen_pkts, memory_order_relaxed) +
			lowering_units(device->lowering, true);
}

/* After device_mark_countable(): a flow of the hook is needed where packets are, because others
 * refer to its counter that look at it with each packet. */
static bool device_must_leave_hook(const struct device_flow *flow)
{
	return flow->counts == DEVICE_COUNTS_HOOK && !plan_flow_is_counted(flow->plan);
}

/* Whether the flow does not keep others from the hook. */
static bool device_suits_hook(const struct device_flow *flow)
{
	if (flow->counts == DEVICE_COUNTS_HOOK)
		return !device_must_leave_hook(flow);
	return flow->counts == DEVICE_COUNTS_UNKNOWN && plan_flow_only_counts(flow->plan);
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

	device_mark_countable(device, without, room);
	for (unsigned int i = 0; i < device->n_flows; i++)
		if (device->flows[i] != without && device->flows[i]->device)
			to_hook &= device_suits_hook(device->flows[i]);
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
			flow->plan->arrives = true;
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
	bool listens;
	int r;

	if (!flows)
		return -ENOMEM;
	r = device_place_flows(device, without, flows, &hook_set);
	if (r < 0)
		return r;
	n = device_list(device, without, DEVICE_COUNTS_CAPTURE, flows);
	listens = n > 0;
	r = lowering_prepare(
		device->lowering, flows, n, hook_set && !hook_is_empty(hook_set), &set);
	if (r < 0)
		return r;
	if (device->plan) {
		retired = calloc(1, sizeof(*retired));
		if (!retired)
			return -ENOMEM;
	}
	n = device_list_planned(device, without, flows);
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
		hook_ask(device->hook, TAKE(hook_set), listens, has_come);
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

/* With commit_lock and flows_lock held. Give flows that move what the hook has counted by a moment.
 * Return: that moment, around which no packet has been counted, if packets leave the time. */
static struct device_moment device_read_hook(struct device *device)
{
	struct device_moment moment;
	uint64_t before;
	unsigned int n = 0;

	do {
		before = hook_units(device->hook, true);
		moment = device_moment_now();
		hook_add_arriving(device->hook);
	} while ((hook_units(device->hook, true) != before ||
			 clock_monotonic_ns() - moment.monotonic_ns > DEVICE_MOVE_NS) &&
		++n < DEVICE_MOVE_TRIES);
	return moment;
}

/* With commit_lock and flows_lock held. The hook's counters are read for the last time for flows
 * that move, and packets that come from that moment on are seen by the plan. */
static void device_take_from_hook(struct device *device)
{
	struct device_moment moment = device_read_hook(device);

	for (unsigned int i = 0; i < device->n_flows; i++) {
		struct device_flow *flow = device->flows[i];

		if (!flow->moves)
			continue;
		hook_forget(device->hook, flow->plan);
		device_begin(device, flow, DEVICE_COUNTS_CAPTURE);
		atomic_store_explicit(
			&flow->plan->from_ns, moment.realtime_ns, memory_order_relaxed);
		flow->plan->arrives = false;
		flow->moves = false;
		flow->has_moved = true;
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
