/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices, the control thread's side: see device.h. */
#include "device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/build.h"
#include "base/clock.h"
#include "base/thread.h"
#include "device_private.h"
#include "mapi.h"
#include "mapi/errors.h"
#include "wire/wake.h"

#define DEVICE_SEED_DEFAULT 0x6d617069u
#define DEVICE_BLOCK_NS 10000000u /* no driver holds a packet back for longer */
#define DEVICE_EXACT_NS 2000000u /* between two exact publications that were asked for */
#define DEVICE_LINKTYPE_DEFAULT 1u /* LINKTYPE_ETHERNET, where the source does not know yet */

int device_new(struct device **ret, const struct device_args *args, struct error *err)
{
	const struct driver *driver = driver_find(&args->open);
	struct driver_open_args open = args->open;
	_cleanup_(device_freep) struct device *device = NULL;
	int r;

	if (!driver) {
		cleanup_closep(&open.fd);
		return error_set(err, MAPID_NO_DRIVER, "%s: no driver for this device%s%s",
			args->open.name,
			MAPI_WITH_PCAP_LIVE ? ""
					    : " (this build of MAPI opens network interfaces; "
					      "others need meson -Dpcap-live=enabled)",
			driver_file_advice(args->open.name));
	}
	device = calloc(1, sizeof(*device));
	if (!device) {
		cleanup_closep(&open.fd);
		return -ENOMEM;
	}
	(void)pthread_mutex_init(&device->claim_lock, NULL); /* these cannot fail on Linux */
	(void)pthread_mutex_init(&device->plan_lock, NULL);
	(void)pthread_mutex_init(&device->commit_lock, NULL);
	(void)pthread_mutex_init(&device->flows_lock, NULL);
	(void)pthread_cond_init(&device->turn_cond, NULL);
	device->driver = driver;
	device->seed = args->seed ? args->seed : DEVICE_SEED_DEFAULT;
	device->notify_fd = args->notify_fd;
	device->n_workers = open.n_workers;
	device->loader = args->loader;
	r = driver->open(&device->source, &open, err);
	if (r == 0 && args->compiler)
		r = searches_new(&device->searches, args->compiler);
	if (r < 0)
		return r;
	device->name = strdup(open.name);
	device->workers = calloc(open.n_workers, sizeof(device->workers[0]));
	if (!device->name || !device->workers)
		return -ENOMEM;
	if (args->n_cpus) {
		device->cpus = calloc(open.n_workers, sizeof(device->cpus[0]));
		if (!device->cpus)
			return -ENOMEM;
		for (unsigned int w = 0; w < open.n_workers; w++)
			device->cpus[w] = args->cpus[w % args->n_cpus];
	}
	*ret = TAKE(device);
	return 0;
}

/* Whoever waits in one of the flow's functions returns. */
static void device_cancel(const struct plan_flow *flow)
{
	for (unsigned int i = 0; i < flow->n_instances; i++) {
		struct plan_instance *instance = flow->instances[i];

		if (instance->function->cancel && !instance->closed)
			instance->function->cancel(instance->memory);
	}
}

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

static void device_free_retired(struct device *device)
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

struct device *device_free(struct device *device)
{
	if (!device)
		return NULL;
	device_stop(device);
	device_join(device);
	for (unsigned int w = 0; device->workers && w < device->n_workers; w++)
		plan_run_free(device->workers[w].run);
	device->n_threads = 0; /* nobody uses anything */
	device_free_retired(device);
	plan_free(device->plan);
	searches_free(device->searches);
	hook_free(device->hook);
	lowering_stop(device->lowering);
	if (device->source)
		device->driver->close(device->source);
	lowering_free(device->lowering); /* of which nothing counts any more */
	(void)pthread_cond_destroy(&device->turn_cond);
	(void)pthread_mutex_destroy(&device->flows_lock);
	(void)pthread_mutex_destroy(&device->commit_lock);
	(void)pthread_mutex_destroy(&device->plan_lock);
	(void)pthread_mutex_destroy(&device->claim_lock);
	free(device->flows);
	free(device->cpus);
	free(device->workers);
	free(device->name);
	free(device);
	return NULL;
}

const _Atomic bool *device_stop_flag(const struct device *device)
{
	return &device->stop;
}

struct plan_device device_describe(struct device *device)
{
	struct driver_interface interface = { .linktype = DEVICE_LINKTYPE_DEFAULT };

	(void)device->driver->interface(device->source, 0, &interface); /* or the default stays */
	return (struct plan_device){ .name = device->name,
		.lossless = device->driver->lossless,
		.linktype = interface.linktype,
		.seed = device->seed };
}

const char *device_name(const struct device *device)
{
	return device->name;
}

const char *device_driver_name(const struct device *device)
{
	return device->driver->name;
}

unsigned int device_n_workers(const struct device *device)
{
	return device->n_workers;
}

int device_interface(const struct device *device, unsigned int index, struct driver_interface *ret)
{
	return device->driver->interface(device->source, index, ret);
}

bool device_runs(struct device *device)
{
	bool runs = false;

	(void)pthread_mutex_lock(&device->plan_lock);
	for (unsigned int w = 0; w < device->n_threads; w++)
		runs |= !device->workers[w].left;
	(void)pthread_mutex_unlock(&device->plan_lock);
	return runs;
}

/* Of the flows that are connected and not leaving, those that are counted there. Return: how many.
 */
static unsigned int device_list(const struct device *device, const struct device_flow *without,
	enum device_counts where, struct plan_flow *ret[])
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < device->n_flows; i++)
		if (device->flows[i] != without && device->flows[i]->device &&
			device->flows[i]->counts == where)
			ret[n++] = device->flows[i]->plan;
	return n;
}

/* With flows_lock held: the flow counts from now on, there. On a running device: the packets up to
 * now, give or take the batch under way. */
static void device_begin(struct device *device, struct device_flow *flow, enum device_counts where)
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

/* Those that have not been placed yet go to the hook, if all of them only count, and nobody wants
 * packets: then none need be captured, which is what the hook saves. Else counting costs less where
 * packets are looked at anyway. @room: for the list of all flows.
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

		if (device_must_leave_hook(flow))
			device_begin(device, flow, DEVICE_COUNTS_CAPTURE);
		if (flow->counts == DEVICE_COUNTS_UNKNOWN)
			device_begin(
				device, flow, to_hook ? DEVICE_COUNTS_HOOK : DEVICE_COUNTS_CAPTURE);
	}
	(void)pthread_mutex_unlock(&device->flows_lock);
	if (to_hook)
		return 0;
	*ret = lowering_set_free(*ret);
	n = device_list(device, without, DEVICE_COUNTS_HOOK, room);
	return hook_prepare(device->hook, room, n, ret);
}

/* Make the plan of the flows that are connected and not leaving, and let workers adopt it.
 * @has_come: some are new. */
static int device_replan(
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
	hook_ask(device->hook, TAKE(hook_set), n > 0, has_come);
	return 0;
}

/* Where the worker runs. A processor that is not there is no reason not to capture. */
static void device_pin(const struct device *device, unsigned int w)
{
	cpu_set_t set;

	if (!device->cpus || device->cpus[w] >= CPU_SETSIZE)
		return;
	CPU_ZERO(&set);
	CPU_SET(device->cpus[w], &set);
	(void)pthread_setaffinity_np(device->workers[w].thread, sizeof(set), &set);
}

int device_start(struct device *device)
{
	int r;

	if (device->n_threads)
		return 0;
	if (!device->lowering)
		(void)lowering_new(&device->lowering, device, &device->loader,
			&device->lowering_why); /* without, all packets are delivered */
	if (!device->hook)
		(void)hook_new(&device->hook, device, &device->loader); /* it can do without */
	r = device_replan(device, NULL, true, NULL);
	if (r < 0)
		return r;
	/* Nobody leaves before it is known how many there are. */
	(void)pthread_mutex_lock(&device->commit_lock);
	for (unsigned int w = 0; w < device->n_workers && r == 0; w++) {
		device->workers[w].device = device;
		device->workers[w].idle = true; /* until it runs */
		r = thread_start(&device->workers[w].thread, worker_main, &device->workers[w]);
		if (r == 0)
			device_pin(device, w);
		device->n_threads += r == 0;
		device->n_joinable += r == 0;
	}
	device->n_active = device->n_threads;
	(void)pthread_mutex_unlock(&device->commit_lock);
	/* Fewer workers than planned do the same work. */
	return device->n_threads ? 0 : r;
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

void device_follow_time(struct device *device)
{
	if (lowering_has_turned(device->lowering))
		device_renew(device);
}

bool device_is_over(struct device *device)
{
	return device_stopping(device) || device_ended(device);
}

bool device_settled(struct device *device)
{
	bool settled = !device->outdated;

	(void)pthread_mutex_lock(&device->plan_lock);
	for (unsigned int w = 0; w < device->n_threads; w++)
		settled &= device->workers[w].idle || device->workers[w].epoch >= device->epoch;
	(void)pthread_mutex_unlock(&device->plan_lock);
	device_free_retired(device);
	return settled;
}

uint64_t device_epoch(const struct device *device)
{
	return device->epoch; /* only this thread changes it */
}

bool device_connected(struct device *device, uint64_t epoch)
{
	bool connected = true;

	if (hook_failed(device->hook))
		device_fall_back(device);
	epoch = MAX(epoch, device->floor_epoch);
	(void)pthread_mutex_lock(&device->plan_lock);
	for (unsigned int w = 0; w < device->n_threads; w++)
		connected &= device->workers[w].idle || device->workers[w].epoch >= epoch;
	(void)pthread_mutex_unlock(&device->plan_lock);
	device_free_retired(device);
	return connected && lowering_settled(device->lowering, epoch) &&
		hook_settled(device->hook, epoch);
}

void device_stop(struct device *device)
{
	atomic_store_explicit(&device->stop, true, memory_order_relaxed);
	if (device->source)
		device->driver->wake(device->source);
	for (unsigned int i = 0; i < device->n_flows; i++)
		device_cancel(device->flows[i]->plan);
	if (device->n_threads || !device->source)
		return;
	(void)pthread_mutex_lock(&device->commit_lock); /* nobody else wants it */
	device->ended = device->finished = true;
	publish_all(device);
	(void)pthread_mutex_unlock(&device->commit_lock);
}

void device_join(struct device *device)
{
	for (unsigned int w = 0; w < device->n_joinable; w++)
		(void)pthread_join(device->workers[w].thread, NULL); /* it is ours and joinable */
	device->n_joinable = 0;
}

bool device_ended(struct device *device)
{
	bool ended;

	if (pthread_mutex_trylock(&device->commit_lock) != 0)
		return false;
	ended = device->finished;
	(void)pthread_mutex_unlock(&device->commit_lock);
	return ended;
}

void device_flow_error(struct device *device, const struct device_flow *flow, struct error *ret)
{
	(void)pthread_mutex_lock(&device->flows_lock);
	*ret = flow->error;
	(void)pthread_mutex_unlock(&device->flows_lock);
}

/* Take commit_lock, if no worker has it; one that has it publishes soon. */
static bool device_interrupt(struct device *device)
{
	if (pthread_mutex_trylock(&device->commit_lock) == 0)
		return true;
	atomic_store_explicit(&device->exact_wanted, true, memory_order_relaxed);
	return false;
}

bool device_publish(struct device *device)
{
	if (!device_interrupt(device))
		return false;
	publish_all(device);
	(void)pthread_mutex_unlock(&device->commit_lock);
	return true;
}

struct device_moment device_moment_now(void)
{
	return (struct device_moment){ .monotonic_ns = clock_monotonic_ns(),
		.realtime_ns = clock_realtime_ns() };
}

/* With commit_lock held. A source that is never without packets shows by their time how far it is:
 * those of a moment have left the kernel's block, and a second ring's, some milliseconds later. */
static bool device_covers(const struct device *device, uint64_t caught_up_ns, uint64_t watermark_ns,
	const struct device_moment *moment)
{
	return !device->driver->real_time || !device->n_threads || device->finished ||
		caught_up_ns >= moment->monotonic_ns ||
		watermark_ns >= moment->realtime_ns + DEVICE_BLOCK_NS;
}

/* With commit_lock held. Publishing takes the time of all flows of a device that is shared: what
 * was published meanwhile will do, and who flushes all the time waits until it is time again. */
static bool device_publish_exactly(struct device *device, const struct device_moment *moment)
{
	if (device->exact_ns >= moment->monotonic_ns &&
		device_covers(
			device, device->exact_caught_up_ns, device->exact_watermark_ns, moment))
		return true;
	if (!device_covers(device, device->caught_up_ns, device->counted_watermark_ns, moment) ||
		(!device->driver->lossless &&
			clock_monotonic_ns() - device->exact_ns < DEVICE_EXACT_NS))
		return false;
	publish_all(device);
	return true;
}

bool device_flush(struct device *device, const struct device_moment *moment)
{
	bool is_exact;

	if (!device_interrupt(device))
		return false;
	is_exact = device_publish_exactly(device, moment);
	(void)pthread_mutex_unlock(&device->commit_lock);
	return is_exact;
}

void device_watch(struct device *device, struct device_flow *flow, int event_fd)
{
	(void)pthread_mutex_lock(&device->flows_lock);
	flow->event_fd = event_fd;
	/* What is there already is news to who begins to watch. */
	wake_signal(event_fd);
	(void)pthread_mutex_unlock(&device->flows_lock);
}

struct plan_counts device_counts(struct device *device, const struct plan_instance *instance)
{
	struct plan_counts counts;

	(void)pthread_mutex_lock(&device->flows_lock);
	counts = instance->counts;
	(void)pthread_mutex_unlock(&device->flows_lock);
	return counts;
}

void device_stats(struct device *device, uint64_t *ret_pkts, struct driver_stats *ret)
{
	(void)pthread_mutex_lock(&device->flows_lock);
	publish_ask(device, clock_monotonic_ns());
	*ret = device->stats;
	*ret_pkts = atomic_load_explicit(&device->seen_pkts, memory_order_relaxed) +
		lowering_units(device->lowering, false) + hook_units_alone(device->hook);
	(void)pthread_mutex_unlock(&device->flows_lock);
}

/* A flow that is in no plan, because it is counted elsewhere: as if it were alone in one. */
static int device_explain_alone(
	const struct plan_instance *instance, struct plan_explanation *ret, struct error *err)
{
	_cleanup_(plan_freep) struct plan *plan = NULL;
	struct plan_flow *flow = instance->flow;
	int r = plan_new(&plan, &flow, 1, NULL, err);

	return r < 0 ? r : plan_explain(plan, instance, ret);
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
