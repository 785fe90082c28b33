/* SPDX-License-Identifier: BSD-2-Clause */
/* From the committed states to the result area, under commit_lock. */
#include <string.h>

#include "base/clock.h"
#include "device_private.h"
#include "mapi.h"
#include "wire/ring.h"
#include "wire/wake.h"

#define PUBLISH_PERIOD_NS                                                       \
	2000000u /* results are at most this old while packets flow (R1: 10 ms) \
		  */

/* Results of many functions take long, and packets wait meanwhile: then this share of the time. */
#define PUBLISH_SHARE 5u

/* What was lost, and the state of the device, are at most this old unless exactness is asked for.
 * Asking takes system calls. */
#define PUBLISH_STATS_NS 250000000u

static void publish_instance(const struct plan_instance *instance, uint64_t order)
{
	const struct function *f = instance->function;
	struct results_slot *slot = instance->result;

	if (!slot || instance->retired)
		return;
	results_write_begin(&slot->seq);
	slot->order = order;
	if (f->read)
		f->read(instance->memory, instance->state, slot->data);
	else
		memcpy(slot->data, instance->state, slot->data_bytes);
	results_write_end(&slot->seq);
}

/* No packet will reach the flow any more: its readers may drain their rings. */
static void publish_end_rings(struct device_flow *flow)
{
	for (unsigned int i = 0; i < flow->plan->n_instances; i++) {
		struct plan_instance *instance = flow->plan->instances[i];

		if (!instance->closed && instance->function->ring &&
			instance->function->ring(instance->memory))
			ring_end(instance->function->ring(instance->memory));
	}
}

static void publish_failure(struct device *device, struct device_flow *flow)
{
	/* Pairs with the release in plan_fail_filter(). */
	bool failed = atomic_load_explicit(&flow->plan->failed, memory_order_acquire);

	for (unsigned int i = 0; i < flow->plan->n_instances && !flow->error.code; i++)
		flow->error = flow->plan->instances[i]->error;
	for (unsigned int i = 0; failed && i < flow->plan->n_instances && !flow->error.code; i++)
		flow->error = flow->plan->instances[i]->filter_error;
	if (!flow->error.code && device->finished)
		flow->error = device->error;
	if (!flow->ended && (device->finished || failed)) {
		flow->ended = true;
		flow->end_ns = clock_realtime_ns();
	}
}

/* Tell who watches; once per publication, which is once in milliseconds. */
static void publish_event(struct device_flow *flow, uint64_t pkts, uint64_t ticks)
{
	if (flow->event_fd < 0 ||
		(pkts == flow->told_pkts && ticks == flow->told_ticks &&
			flow->ended == flow->told_end))
		return;
	flow->told_pkts = pkts;
	flow->told_ticks = ticks;
	flow->told_end = flow->ended;
	wake_signal(flow->event_fd);
}

/* What the flow's readers were too slow for. */
static uint64_t publish_dropped(const struct plan_flow *flow)
{
	uint64_t dropped = 0;

	for (unsigned int i = 0; i < flow->n_instances; i++) {
		const struct plan_instance *instance = flow->instances[i];

		if (instance->function->ring && !instance->closed &&
			instance->function->ring(instance->memory))
			dropped += ring_dropped(instance->function->ring(instance->memory));
	}
	return dropped;
}

/* What the functions themselves could not do justice to. */
static void publish_lost(const struct plan_flow *flow, uint64_t lost_pkts[])
{
	for (unsigned int i = 0; i < flow->n_instances; i++) {
		const struct plan_instance *instance = flow->instances[i];

		if (instance->function->lost && !instance->closed)
			instance->function->lost(instance->memory, instance->state, lost_pkts);
	}
}

_Static_assert((int)DRIVER_UP == (int)MAPI_DEVICE_UP && (int)DRIVER_DOWN == (int)MAPI_DEVICE_DOWN &&
		(int)DRIVER_GONE == (int)MAPI_DEVICE_GONE,
	"programs are told what the driver says");

/* Packets that have come to the flow's place, since it connected; with flows_lock held. */
static uint64_t publish_entered(const struct device *device, const struct device_flow *flow)
{
	uint64_t pkts;

	if (flow->has_moved) /* by the time of packets, some of which may not have been seen yet */
		return flow->plan->pkts;
	pkts = flow->counts == DEVICE_COUNTS_HOOK
		? hook_units(device->hook, false)
		: atomic_load_explicit(&device->seen_pkts, memory_order_relaxed) +
			lowering_units(device->lowering, false);
	return pkts - flow->base_pkts;
}

static void publish_flow(struct device *device, struct device_flow *flow, uint64_t now_ns)
{
	const struct driver_stats *stats = &device->stats;
	struct results_flow *shared = flow->shared;
	uint64_t lost_pkts[RESULTS_N_LOSS] = { 0 };
	bool had_ended = flow->ended;

	for (unsigned int i = 0; i < flow->plan->n_instances; i++)
		publish_instance(flow->plan->instances[i], device->clock.pkts);
	plan_flow_count(flow->plan);
	publish_failure(device, flow);
	publish_lost(flow->plan, lost_pkts);
	results_write_begin(&shared->seq);
	shared->status = flow->ended ? FLOW_FINISHED : FLOW_ACTIVE;
	shared->error_code = flow->error.code;
	shared->published_ns = now_ns;
	shared->start_ns = flow->start_ns;
	shared->end_ns = flow->end_ns;
	shared->pkts = publish_entered(device, flow);
	shared->late_pkts = device->clock.late_pkts - flow->base_late_pkts;
	shared->clock_steps =
		atomic_load_explicit(&device->n_steps, memory_order_relaxed) - flow->base_steps;
	memcpy(shared->lost_pkts, lost_pkts, sizeof(lost_pkts));
	shared->lost_pkts[MAPI_LOSS_NIC] += stats->nic_lost_pkts - flow->base_stats.nic_lost_pkts;
	shared->lost_pkts[MAPI_LOSS_RING] +=
		stats->ring_lost_pkts - flow->base_stats.ring_lost_pkts;
	shared->lost_pkts[MAPI_LOSS_QUEUE] += publish_dropped(flow->plan);
	shared->done_bytes = stats->done_bytes;
	shared->total_bytes = stats->total_bytes;
	shared->last_ts_ns =
		MAX(MAX(device->clock.watermark_ns, lowering_last_ns(device->lowering)),
			hook_last_ns(device->hook));
	shared->device_state = (uint32_t)stats->state;
	shared->outages = stats->outages - flow->base_stats.outages;
	shared->changes = stats->changes - flow->base_stats.changes;
	shared->behind = 0;
	if (flow->counts == DEVICE_COUNTS_HOOK) {
		shared->outages += hook_outages(device->hook) - flow->base_outages;
		shared->behind = hook_is_behind(device->hook);
		shared->times_behind = hook_times_behind(device->hook) - flow->base_times_behind;
	}
	results_write_end(&shared->seq);
	/* After the head, where a reader that finds the end looks for its cause. */
	if (flow->ended && !had_ended)
		publish_end_rings(flow);
	publish_event(flow, shared->pkts, device->ticks);
}

/* It has counted nothing; but it is told of its end. */
static void publish_held(struct device *device, struct device_flow *flow, uint64_t now_ns)
{
	if (flow->ended ||
		(!device->finished &&
			!atomic_load_explicit(&flow->plan->failed, memory_order_acquire)))
		return;
	flow->base_stats = device->stats;
	flow->base_late_pkts = device->clock.late_pkts;
	device_begin(device, flow, DEVICE_COUNTS_UNKNOWN);
	publish_flow(device, flow, now_ns);
}

void publish_ask(struct device *device, uint64_t now_ns)
{
	device->driver->stats(device->source, &device->stats);
	device->stats.nic_lost_pkts = loss_update(&device->loss, &device->stats,
		lowering_foreign(device->lowering) + hook_foreign(device->hook));
	device->asked_ns = now_ns;
}

static void publish_flows(struct device *device, uint64_t now_ns, bool exact)
{
	(void)pthread_mutex_lock(&device->flows_lock);
	if (exact || now_ns - device->asked_ns >= PUBLISH_STATS_NS)
		publish_ask(device, now_ns);
	if (device->finished) { /* no worker does that any more */
		(void)lowering_read(device->lowering);
		lowering_give(device->lowering);
	}
	if (device->finished || !device->looks_at_hook)
		hook_add(device->hook);
	for (unsigned int i = 0; i < device->n_flows; i++)
		publish_flow(device, device->flows[i], now_ns);
	for (struct device_flow *flow = device->held; flow; flow = flow->next_held)
		publish_held(device, flow, now_ns);
	(void)pthread_mutex_unlock(&device->flows_lock);
	device->published_ns = now_ns;
	device->rest_ns = PUBLISH_SHARE * (clock_monotonic_ns() - now_ns);
	if (exact) {
		device->exact_ns = now_ns;
		device->exact_caught_up_ns = device->caught_up_ns;
		device->exact_watermark_ns = device->counted_watermark_ns;
	}
}

void publish_all(struct device *device)
{
	publish_flows(device, clock_monotonic_ns(), true);
}

bool publish_is_due(const struct device *device)
{
	return clock_monotonic_ns() - device->published_ns >=
		MAX(PUBLISH_PERIOD_NS, device->rest_ns);
}

void publish_now(struct device *device)
{
	publish_flows(device, clock_monotonic_ns(),
		atomic_exchange_explicit(&device->exact_wanted, false, memory_order_relaxed));
}
