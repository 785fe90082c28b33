/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices: see device.h.
 *
 * A worker claims a chunk of packets, runs what needs no order, waits until all earlier chunks are
 * committed ("its turn"), lets the driver verify where the chunk really began, and commits. A
 * device with one worker commits batch by batch instead.
 *
 * Locks, in the order in which they may nest:
 *   claim_lock   one claim at a time; held while a driver waits for a pipe
 *   plan_lock    the current plan, and which plan each worker uses
 *   commit_lock  the committed states: held by the worker whose turn it is, also while a function
 *                waits for a client; the control thread only tries it
 *   flows_lock   the list of flows and what is published of them; never held while packets run
 */
#include "device.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "mapi.h"
#include "mapi/errors.h"
#include "wire/ring.h"

#define DEVICE_PUBLISH_NS 2000000u /* results are at most this old while packets flow (R1: 10 ms) \
				    */
#define DEVICE_SEED_DEFAULT 0x6d617069u
#define DEVICE_LINKTYPE_DEFAULT 1u /* LINKTYPE_ETHERNET, where the source does not know yet */

/* Time as packets tell it (semantics T1). */
struct device_clock {
	uint64_t watermark_ns;
	uint64_t late_pkts;
	uint64_t pkts;
};

struct device_worker {
	struct device *device;
	pthread_t thread;
	struct plan *plan; /* that run was made for */
	struct plan_run *run;
	uint64_t epoch; /* GUARDED_BY(plan_lock): of that plan */
	bool idle; /* GUARDED_BY(plan_lock): waits for packets, uses no instance */
	struct packet_batch batch;
};

struct device_plan {
	struct device_plan *next;
	struct plan *plan;
	uint64_t epoch;
};

struct device {
	const struct driver *driver;
	struct driver_source *source;
	char *name;
	uint64_t seed;
	int notify_fd;
	_Atomic bool stop;

	struct device_worker *workers;
	unsigned int n_workers;
	unsigned int n_threads; /* started */
	unsigned int n_joinable; /* of them, not joined */

	pthread_mutex_t claim_lock;

	pthread_mutex_t plan_lock;
	struct plan *plan;
	uint64_t epoch;
	struct device_plan *retired; /* plans that a worker's run may still refer to */

	pthread_mutex_t commit_lock;
	pthread_cond_t turn_cond;
	uint64_t turn; /* seq of the chunk to be committed next */
	unsigned int n_active; /* workers that have not left */
	bool ended; /* no later chunk counts */
	bool finished; /* flows have been told */
	struct device_clock clock;
	struct error error;
	uint64_t published_ns;
	_Atomic uint64_t
		seen_pkts; /* clock.pkts and late_pkts, for who cannot wait for commit_lock */
	_Atomic uint64_t seen_late_pkts;

	pthread_mutex_t flows_lock;
	struct device_flow **flows; /* ascending by id */
	unsigned int n_flows;
};

static void device_notify(const struct device *device)
{
	(void)eventfd_write(device->notify_fd, 1); /* fails only if it is about to be read anyway */
}

/* ---- publishing: the caller holds commit_lock ---- */

static void device_publish_instance(const struct plan_instance *instance, uint64_t order)
{
	const struct function *f = instance->function;
	struct results_slot *slot = instance->result;

	if (!slot)
		return;
	results_write_begin(&slot->seq);
	slot->order = order;
	if (f->read)
		f->read(instance->memory, instance->state, slot->data);
	else
		memcpy(slot->data, instance->state, f->desc.result_bytes);
	results_write_end(&slot->seq);
}

/* No packet will reach the flow any more: its readers may drain their rings. */
static void device_end_flow(struct device_flow *flow)
{
	flow->ended = true;
	flow->end_ns = clock_realtime_ns();
	for (unsigned int i = 0; i < flow->plan->n_instances; i++) {
		struct plan_instance *instance = flow->plan->instances[i];

		if (instance->function->ring && instance->function->ring(instance->memory))
			ring_end(instance->function->ring(instance->memory));
	}
}

static void device_note_failure(struct device *device, struct device_flow *flow)
{
	for (unsigned int i = 0; i < flow->plan->n_instances && !flow->error.code; i++)
		flow->error = flow->plan->instances[i]->error;
	if (!flow->error.code && device->finished)
		flow->error = device->error;
	if (!flow->ended &&
		(device->finished ||
			atomic_load_explicit(&flow->plan->failed, memory_order_relaxed)))
		device_end_flow(flow);
}

static void device_publish_flow(
	struct device *device, struct device_flow *flow, const struct driver_stats *stats)
{
	struct results_flow *shared = flow->shared;

	for (unsigned int i = 0; i < flow->plan->n_instances; i++)
		device_publish_instance(flow->plan->instances[i], device->clock.pkts);
	device_note_failure(device, flow);
	results_write_begin(&shared->seq);
	shared->status = flow->ended ? FLOW_FINISHED : FLOW_ACTIVE;
	shared->error_code = flow->error.code;
	shared->published_ns = clock_monotonic_ns();
	shared->start_ns = flow->start_ns;
	shared->end_ns = flow->end_ns;
	shared->pkts = device->clock.pkts - flow->base_pkts;
	shared->late_pkts = device->clock.late_pkts - flow->base_late_pkts;
	shared->lost_pkts[MAPI_LOSS_NIC] = stats->nic_lost_pkts - flow->base_stats.nic_lost_pkts;
	shared->lost_pkts[MAPI_LOSS_RING] = stats->ring_lost_pkts - flow->base_stats.ring_lost_pkts;
	shared->done_bytes = stats->done_bytes;
	shared->total_bytes = stats->total_bytes;
	shared->last_ts_ns = device->clock.watermark_ns;
	results_write_end(&shared->seq);
}

static void device_publish_all(struct device *device)
{
	struct driver_stats stats = { .total_bytes = 0 };

	device->driver->stats(device->source, &stats);
	(void)pthread_mutex_lock(&device->flows_lock);
	for (unsigned int i = 0; i < device->n_flows; i++)
		device_publish_flow(device, device->flows[i], &stats);
	(void)pthread_mutex_unlock(&device->flows_lock);
	device->published_ns = clock_monotonic_ns();
}

static void device_publish_due(struct device *device)
{
	if (clock_monotonic_ns() - device->published_ns >= DEVICE_PUBLISH_NS)
		device_publish_all(device);
}

bool device_publish(struct device *device)
{
	if (pthread_mutex_trylock(&device->commit_lock) != 0)
		return false;
	device_publish_all(device);
	(void)pthread_mutex_unlock(&device->commit_lock);
	return true;
}

/* ---- workers ---- */

static void device_clock_batch(struct device_clock *clock, const struct packet_batch *batch)
{
	uint64_t watermark_ns = clock->watermark_ns, late = 0;

	for (unsigned int i = 0; i < batch->n; i++) {
		late += batch->ts_ns[i] < watermark_ns;
		watermark_ns = MAX(watermark_ns, batch->ts_ns[i]);
	}
	clock->watermark_ns = watermark_ns;
	clock->late_pkts += late;
	clock->pkts += batch->n;
}

static void device_show_clock(struct device *device)
{
	atomic_store_explicit(&device->seen_pkts, device->clock.pkts, memory_order_relaxed);
	atomic_store_explicit(
		&device->seen_late_pkts, device->clock.late_pkts, memory_order_relaxed);
}

static bool device_stopping(const struct device *device)
{
	return atomic_load_explicit(&device->stop, memory_order_relaxed);
}

/* The worker leaves the plan it used for the one that is current; without memory it has no run. */
static void device_adopt(struct device_worker *worker, struct plan *plan, uint64_t epoch)
{
	struct device *device = worker->device;
	bool changed = plan != worker->plan;

	if (changed) {
		worker->run = plan_run_free(worker->run);
		worker->plan = plan;
		(void)plan_run_new(&worker->run, plan, device->n_workers == 1);
	}
	if (changed || worker->epoch != epoch) {
		(void)pthread_mutex_lock(&device->plan_lock);
		worker->epoch = epoch;
		(void)pthread_mutex_unlock(&device->plan_lock);
		device_notify(device);
	}
}

/* Reserve a chunk; take the plan that is current at this point of the packet order, so that no
 * later chunk runs under an earlier plan. Return: 0, DRIVER_E_END. */
static int device_claim(struct device_worker *worker, struct driver_chunk *chunk)
{
	struct device *device = worker->device;
	struct plan *plan;
	uint64_t epoch;
	int r;

	(void)pthread_mutex_lock(&device->plan_lock);
	worker->idle = true;
	(void)pthread_mutex_unlock(&device->plan_lock);
	device_notify(device);

	(void)pthread_mutex_lock(&device->claim_lock);
	r = device_stopping(device) ? DRIVER_E_END : device->driver->claim(device->source, chunk);
	(void)pthread_mutex_lock(&device->plan_lock);
	worker->idle = false;
	plan = device->plan;
	epoch = device->epoch;
	(void)pthread_mutex_unlock(&device->plan_lock);
	(void)pthread_mutex_unlock(&device->claim_lock);

	device_adopt(worker, plan, epoch);
	return r;
}

/* One worker, all packets in order: commit batch by batch. Return: 0, -ENOMEM. */
static int device_run_direct(struct device_worker *worker, struct driver_chunk *chunk)
{
	struct device *device = worker->device;
	struct packet_batch *batch = &worker->batch;

	while (!device_stopping(device) &&
		device->driver->next_batch(device->source, chunk, batch) == 0) {
		int r;

		(void)pthread_mutex_lock(&device->commit_lock);
		batch->first_no = device->clock.pkts;
		device_clock_batch(&device->clock, batch);
		device_show_clock(device);
		r = plan_run_direct(worker->run, batch);
		device_publish_due(device);
		(void)pthread_mutex_unlock(&device->commit_lock);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What needs no order. @ret_first_ts_ns: time of the chunk's first packet. Return: 0, -ENOMEM. */
static int device_run_early(struct device_worker *worker, struct driver_chunk *chunk,
	struct device_clock *ret, uint64_t *ret_first_ts_ns)
{
	struct device *device = worker->device;
	struct packet_batch *batch = &worker->batch;

	*ret = (struct device_clock){ .pkts = 0 };
	*ret_first_ts_ns = UINT64_MAX;
	while (!device_stopping(device) &&
		device->driver->next_batch(device->source, chunk, batch) == 0) {
		int r;

		if (ret->pkts == 0)
			*ret_first_ts_ns = batch->ts_ns[0];
		device_clock_batch(ret, batch);
		r = plan_run_early(worker->run, batch);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The chunk's packets are now the next ones. If they begin before the watermark, which packets are
 * late can only be told by looking at their times again. */
static void device_advance_clock(struct device_worker *worker, struct driver_chunk *chunk,
	const struct device_clock *local, uint64_t first_ts_ns)
{
	struct device *device = worker->device;
	struct device_clock *clock = &device->clock;

	if (first_ts_ns >= clock->watermark_ns) {
		clock->late_pkts += local->late_pkts;
		clock->watermark_ns = MAX(clock->watermark_ns, local->watermark_ns);
		clock->pkts += local->pkts;
		return;
	}
	device->driver->rewind(device->source, chunk);
	while (device->driver->next_batch(device->source, chunk, &worker->batch) == 0)
		device_clock_batch(clock, &worker->batch);
}

/* In turn: make sure that the chunk began in the right place, commit. Return: 0, -ENOMEM. */
static int device_commit(struct device_worker *worker, struct driver_chunk *chunk,
	struct device_clock *local, uint64_t first_ts_ns)
{
	struct device *device = worker->device;
	uint64_t first_no;
	int r = 0;

	if (device->ended || device_stopping(device)) {
		plan_run_abandon(worker->run);
		return 0;
	}
	if (device->driver->verify(device->source, chunk) == DRIVER_E_REDO) {
		plan_run_abandon(worker->run);
		device->driver->rewind(device->source, chunk);
		chunk->error = ERROR_INIT;
		chunk->last = false;
		r = device_run_early(worker, chunk, local, &first_ts_ns);
	}
	first_no = device->clock.pkts;
	device_advance_clock(worker, chunk, local, first_ts_ns);
	device_show_clock(device);
	plan_run_commit(worker->run, first_no);
	device_publish_due(device);
	return r;
}

/* With commit_lock held: the chunk is done, the next one's turn has come. */
static void device_pass(struct device *device, struct driver_chunk *chunk, int r)
{
	if (!device->ended && (r < 0 || chunk->last || chunk->error.code)) {
		device->ended = true;
		device->error = chunk->error;
		if (r < 0)
			error_set(&device->error, MAPI_OUT_OF_MEMORY,
				"%s: out of memory while reading", device->name);
	}
	device->driver->release(device->source, chunk);
	device->turn = chunk->seq + 1;
	(void)pthread_cond_broadcast(&device->turn_cond);
}

/* The last worker that leaves tells the flows that the source has ended. */
static void device_leave(struct device_worker *worker, int r)
{
	struct device *device = worker->device;

	(void)pthread_mutex_lock(&device->commit_lock);
	if (r == -ENOMEM)
		error_set(&device->error, MAPI_OUT_OF_MEMORY, "%s: out of memory while reading",
			device->name);
	if (--device->n_active == 0) {
		device->ended = true;
		if (worker->run && !device_stopping(device))
			plan_run_finish(worker->run);
		device->finished = true;
		device_publish_all(device);
	}
	(void)pthread_mutex_unlock(&device->commit_lock);

	(void)pthread_mutex_lock(&device->plan_lock);
	worker->idle = true;
	(void)pthread_mutex_unlock(&device->plan_lock);
	device_notify(device);
}

static bool device_has_ended(struct device *device)
{
	bool ended;

	(void)pthread_mutex_lock(&device->commit_lock);
	ended = device->ended;
	(void)pthread_mutex_unlock(&device->commit_lock);
	return ended;
}

static void *device_work(void *argument)
{
	struct device_worker *worker = argument;
	struct device *device = worker->device;
	int r = 0;

	while (!device_has_ended(device)) {
		struct driver_chunk chunk = { .seq = 0 };
		struct device_clock local = { .pkts = 0 };
		uint64_t first_ts_ns = UINT64_MAX;

		r = device_claim(worker, &chunk);
		if (r != 0)
			break;
		if (!worker->run)
			r = -ENOMEM;
		else if (device->n_workers == 1)
			r = device_run_direct(worker, &chunk);
		else
			r = device_run_early(worker, &chunk, &local, &first_ts_ns);
		(void)pthread_mutex_lock(&device->commit_lock);
		while (device->turn != chunk.seq)
			(void)pthread_cond_wait(&device->turn_cond, &device->commit_lock);
		if (r == 0 && device->n_workers > 1)
			r = device_commit(worker, &chunk, &local, first_ts_ns);
		device_pass(device, &chunk, r);
		(void)pthread_mutex_unlock(&device->commit_lock);
	}
	device_leave(worker, r);
	return NULL;
}

/* ---- the control thread ---- */

int device_new(struct device **ret, const struct device_args *args, struct error *err)
{
	const struct driver *driver = driver_find(&args->open);
	struct driver_open_args open = args->open;
	_cleanup_(device_freep) struct device *device = NULL;
	int r;

	if (!driver) {
		cleanup_closep(&open.fd);
		return error_set(err, MAPID_NO_DRIVER,
			"%s: no driver for this device; capture files are opened with "
			"mapi_create_offline_device() (mapi run -r FILE)",
			args->open.name);
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
	r = driver->open(&device->source, &open, err);
	if (r < 0)
		return r;
	device->name = strdup(open.name);
	device->workers = calloc(open.n_workers, sizeof(device->workers[0]));
	if (!device->name || !device->workers)
		return -ENOMEM;
	*ret = TAKE(device);
	return 0;
}

static void device_free_retired(struct device *device, uint64_t below_epoch)
{
	struct device_plan **link = &device->retired;

	while (*link) {
		struct device_plan *retired = *link;

		if (retired->epoch >= below_epoch) {
			link = &retired->next;
			continue;
		}
		*link = retired->next;
		plan_free(retired->plan);
		free(retired);
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
	device_free_retired(device, UINT64_MAX);
	plan_free(device->plan);
	if (device->source)
		device->driver->close(device->source);
	(void)pthread_cond_destroy(&device->turn_cond);
	(void)pthread_mutex_destroy(&device->flows_lock);
	(void)pthread_mutex_destroy(&device->commit_lock);
	(void)pthread_mutex_destroy(&device->plan_lock);
	(void)pthread_mutex_destroy(&device->claim_lock);
	free(device->flows);
	free(device->workers);
	free(device->name);
	free(device);
	return NULL;
}

struct plan_device device_describe(const struct device *device)
{
	struct driver_interface interface = { .linktype = DEVICE_LINKTYPE_DEFAULT };

	(void)device->driver->interface(device->source, 0, &interface); /* or the default stays */
	return (struct plan_device){ .name = device->name,
		.lossless = device->driver->lossless,
		.linktype = interface.linktype,
		.seed = device->seed };
}

/* Make the plan of the flows that are connected and not leaving, and let workers adopt it. */
static int device_replan(
	struct device *device, const struct device_flow *without, struct error *err)
{
	_cleanup_(cleanup_freep) struct plan_flow **flows = NULL;
	struct device_plan *retired = NULL;
	struct plan *plan;
	unsigned int n = 0;
	int r;

	flows = calloc(MAX(device->n_flows, 1u), sizeof(flows[0]));
	if (!flows)
		return -ENOMEM;
	for (unsigned int i = 0; i < device->n_flows; i++)
		if (device->flows[i] != without && device->flows[i]->device)
			flows[n++] = device->flows[i]->plan;
	if (device->plan) {
		retired = calloc(1, sizeof(*retired));
		if (!retired)
			return -ENOMEM;
	}
	r = plan_new(&plan, flows, n, err);
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
	(void)pthread_mutex_unlock(&device->plan_lock);
	return 0;
}

int device_start(struct device *device)
{
	sigset_t all, old;
	int r;

	if (device->n_threads)
		return 0;
	r = device_replan(device, NULL, NULL);
	if (r < 0)
		return r;
	device->n_active = device->n_workers;
	(void)sigfillset(&all); /* signals are the control thread's business */
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned int w = 0; w < device->n_workers && r == 0; w++) {
		device->workers[w].device = device;
		r = -pthread_create(
			&device->workers[w].thread, NULL, device_work, &device->workers[w]);
		device->n_threads += r == 0;
		device->n_joinable += r == 0;
	}
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0 || device->n_threads == 0)
		return r;
	/* Fewer workers than planned do the same work. */
	(void)pthread_mutex_lock(&device->commit_lock);
	device->n_active -= device->n_workers - device->n_threads;
	(void)pthread_mutex_unlock(&device->commit_lock);
	return 0;
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
	for (unsigned int i = 0; i < device->n_flows; i++) {
		if (device->flows[i] != flow)
			continue;
		memmove(&device->flows[i], &device->flows[i + 1],
			(device->n_flows - i - 1) * sizeof(device->flows[0]));
		device->n_flows--;
		break;
	}
	(void)pthread_mutex_unlock(&device->flows_lock);
}

int device_add(struct device *device, struct device_flow *flow, struct error *err)
{
	struct device_flow **grown;
	int r = 0;

	(void)pthread_mutex_lock(&device->flows_lock);
	grown = realloc(device->flows, (device->n_flows + 1) * sizeof(grown[0]));
	if (!grown) {
		(void)pthread_mutex_unlock(&device->flows_lock);
		return -ENOMEM;
	}
	device->flows = grown;
	flow->device = device;
	flow->start_ns = clock_realtime_ns();
	device->driver->stats(device->source, &flow->base_stats);
	/* Of a running device: the counts up to now, give or take the batch under way. */
	flow->base_pkts = atomic_load_explicit(&device->seen_pkts, memory_order_relaxed);
	flow->base_late_pkts = atomic_load_explicit(&device->seen_late_pkts, memory_order_relaxed);
	device_insert_flow(device, flow);
	flow->shared->status = FLOW_ACTIVE;
	(void)pthread_mutex_unlock(&device->flows_lock);
	/* A device that has not started gets its plan when it does. */
	if (device->n_threads)
		r = device_replan(device, NULL, err);
	if (r < 0) {
		device_forget(device, flow);
		flow->device = NULL;
		return r;
	}
	(void)device_publish(device); /* on a device that has ended the flow is finished at once */
	return 0;
}

void device_remove(struct device *device, struct device_flow *flow)
{
	for (unsigned int i = 0; i < flow->plan->n_instances; i++) {
		struct plan_instance *instance = flow->plan->instances[i];

		if (instance->function->cancel)
			instance->function->cancel(instance->memory);
	}
	flow->device = NULL;
	if (!device->n_threads)
		return;
	if (device_replan(device, flow, NULL) < 0)
		/* Out of memory, or another flow refers to this one: it cannot leave the plan, so
		 * all leave. What others have counted stays readable. */
		device_stop(device);
}

bool device_settled(struct device *device)
{
	bool settled = true, adopted = true;

	(void)pthread_mutex_lock(&device->plan_lock);
	for (unsigned int w = 0; w < device->n_threads; w++) {
		adopted &= device->workers[w].epoch >= device->epoch;
		settled &= device->workers[w].idle || device->workers[w].epoch >= device->epoch;
	}
	(void)pthread_mutex_unlock(&device->plan_lock);
	if (adopted)
		device_free_retired(device, device->epoch);
	return settled;
}

void device_stop(struct device *device)
{
	atomic_store_explicit(&device->stop, true, memory_order_relaxed);
	if (device->source)
		device->driver->wake(device->source);
	for (unsigned int i = 0; i < device->n_flows; i++) {
		const struct plan_flow *flow = device->flows[i]->plan;

		for (unsigned int k = 0; k < flow->n_instances; k++)
			if (flow->instances[k]->function->cancel)
				flow->instances[k]->function->cancel(flow->instances[k]->memory);
	}
	if (device->n_threads || !device->source)
		return;
	(void)pthread_mutex_lock(&device->commit_lock); /* nobody else wants it */
	device->ended = device->finished = true;
	device_publish_all(device);
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
