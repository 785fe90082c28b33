/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A worker of a device: the thread that carries packets from the source through the plan.
 *
 * It claims a chunk of packets, runs what needs no order, waits until all earlier chunks are
 * committed ("its turn"), lets the driver verify where the chunk really began, and commits. A
 * device with one worker commits batch by batch instead.
 */
#include <errno.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/log.h"
#include "device_private.h"
#include "mapi/errors.h"

static void worker_notify(const struct device *device)
{
	(void)eventfd_write(device->notify_fd, 1); /* fails only if it is about to be read anyway */
}

static void worker_clock_batch(struct device_clock *clock, const struct packet_batch *batch)
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

static void worker_show_clock(struct device *device)
{
	atomic_store_explicit(&device->seen_pkts, device->clock.pkts, memory_order_relaxed);
	atomic_store_explicit(
		&device->seen_late_pkts, device->clock.late_pkts, memory_order_relaxed);
}

/* The clock was set before the packets that come next. With commit_lock held, in turn. */
static void worker_set_clock(struct device_worker *worker, int64_t by_ns)
{
	struct device *device = worker->device;

	if (by_ns == 0)
		return;
	device->clock.watermark_ns = function_moment(device->clock.watermark_ns, by_ns);
	device->counted_watermark_ns = function_moment(device->counted_watermark_ns, by_ns);
	device->exact_watermark_ns = function_moment(device->exact_watermark_ns, by_ns);
	device->pause.ts_ns = function_moment(device->pause.ts_ns, by_ns);
	if (worker->run)
		plan_run_step(worker->run, by_ns);
	atomic_fetch_add_explicit(&device->n_steps, 1, memory_order_relaxed);
	log_event(LOG_WARNING,
		"%s: the clock was set, by %+.3f seconds; periods go on as they were", device->name,
		(double)by_ns / 1e9);
}

/* Packets of these times come next. */
static void worker_meet(struct device_worker *worker, uint64_t first_ns, uint64_t last_ns)
{
	struct device *device = worker->device;

	if (!device->driver->real_time)
		return;
	step_look(&device->step, clock_monotonic_ns(), clock_realtime_ns());
	worker_set_clock(worker, step_take(&device->step, first_ns, last_ns));
}

/* The worker leaves the plan it used for the one that is current; without memory it has no run. */
static void worker_adopt(struct device_worker *worker, struct plan *plan, uint64_t epoch)
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
		worker_notify(device);
	}
}

/* Reserve a chunk; take the plan that is current at this point of the packet order, so that no
 * later chunk runs under an earlier plan. @ret_asked_ns: packets that had come by then have been
 * claimed, if it returns DRIVER_E_IDLE, and chunk->seq is that of the next one.
 * Return: 0, DRIVER_E_END, DRIVER_E_IDLE. */
static int worker_claim(
	struct device_worker *worker, struct driver_chunk *chunk, uint64_t *ret_asked_ns)
{
	struct device *device = worker->device;
	struct plan *plan;
	uint64_t epoch;
	int r;

	(void)pthread_mutex_lock(&device->claim_lock);
	*ret_asked_ns = device->driver->real_time ? clock_monotonic_ns() : 0;
	r = device_stopping(device) ? DRIVER_E_END : device->driver->claim(device->source, chunk);
	if (r == 0)
		device->n_claimed = chunk->seq + 1;
	else
		chunk->seq = device->n_claimed;
	if (r == DRIVER_E_IDLE && device->driver->asked_ns)
		*ret_asked_ns = MIN(*ret_asked_ns, device->driver->asked_ns(device->source));
	(void)pthread_mutex_lock(&device->plan_lock);
	worker->idle = false;
	plan = device->plan;
	epoch = device->epoch;
	(void)pthread_mutex_unlock(&device->plan_lock);
	(void)pthread_mutex_unlock(&device->claim_lock);

	worker_adopt(worker, plan, epoch);
	return r;
}

/* Packets that the kernel has kept back have come by now. With commit_lock held, in turn. */
static void worker_count_kept(struct device_worker *worker)
{
	struct device *device = worker->device;
	struct device_pause *pause = &device->pause;
	uint64_t units;

	(void)pthread_mutex_lock(&device->flows_lock);
	units = lowering_read(device->lowering);
	(void)pthread_mutex_unlock(&device->flows_lock);
	if (units != pause->units) {
		*pause = (struct device_pause){ .pkts = device->clock.pkts,
			.units = units,
			.begin_ns = clock_monotonic_ns(),
			/* as packets have it: a step may not have been taken yet */
			.ts_ns = clock_realtime_ns() - (uint64_t)device->step.pending_ns };
		device->ticks += plan_run_counted(worker->run, pause->ts_ns);
	}
	(void)pthread_mutex_lock(&device->flows_lock);
	lowering_give(device->lowering);
	(void)pthread_mutex_unlock(&device->flows_lock);
}

/* Packets that the kernel has counted have come by now: that is their time, for who needs one; only
 * then their number is known. With commit_lock held, in turn. */
static void worker_count(struct device_worker *worker)
{
	struct device *device = worker->device;

	device->counted_watermark_ns = device->clock.watermark_ns;
	if (!worker->run)
		return;
	if (device->lowering)
		worker_count_kept(worker);
	(void)pthread_mutex_lock(&device->flows_lock);
	if (device->looks_at_hook)
		hook_add(device->hook);
	(void)pthread_mutex_unlock(&device->flows_lock);
}

/* If it is time, results become visible. With commit_lock held, in turn. */
static void worker_publish(struct device_worker *worker)
{
	if (!publish_is_due(worker->device))
		return;
	worker_count(worker);
	publish_now(worker->device);
}

/* One worker, all packets in order: commit batch by batch. Return: 0, -ENOMEM. */
static int worker_run_direct(struct device_worker *worker, struct driver_chunk *chunk)
{
	struct device *device = worker->device;
	struct packet_batch *batch = &worker->batch;

	while (!device_stopping(device) &&
		device->driver->next_batch(device->source, chunk, batch) == 0) {
		int r;

		(void)pthread_mutex_lock(&device->commit_lock);
		batch->first_no = device->clock.pkts;
		worker_meet(worker, batch->ts_ns[0], batch->ts_ns[batch->n - 1]);
		worker_clock_batch(&device->clock, batch);
		worker_show_clock(device);
		r = plan_run_direct(worker->run, batch);
		worker_publish(worker);
		(void)pthread_mutex_unlock(&device->commit_lock);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What needs no order. @ret_first_ts_ns: time of the chunk's first packet. Return: 0, -ENOMEM. */
static int worker_run_early(struct device_worker *worker, struct driver_chunk *chunk,
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
		worker_clock_batch(ret, batch);
		r = plan_run_early(worker->run, batch);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The chunk's packets are now the next ones. If they begin before the watermark, which packets are
 * late can only be told by looking at their times again. */
static void worker_advance_clock(struct device_worker *worker, struct driver_chunk *chunk,
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
		worker_clock_batch(clock, &worker->batch);
}

/* In turn: make sure that the chunk began in the right place, commit. Return: 0, -ENOMEM. */
static int worker_commit(struct device_worker *worker, struct driver_chunk *chunk,
	struct device_clock *local, uint64_t first_ts_ns)
{
	struct device *device = worker->device;
	uint64_t first_no;
	int r = 0;

	if (device->ended || device_stopping(device)) {
		plan_run_abandon(worker->run);
		return 0;
	}
	if (device->driver->verify &&
		device->driver->verify(device->source, chunk) == DRIVER_E_REDO) {
		plan_run_abandon(worker->run);
		device->driver->rewind(device->source, chunk);
		chunk->error = ERROR_INIT;
		chunk->last = false;
		r = worker_run_early(worker, chunk, local, &first_ts_ns);
	}
	first_no = device->clock.pkts;
	if (local->pkts > 0)
		worker_meet(worker, first_ts_ns, local->watermark_ns);
	worker_advance_clock(worker, chunk, local, first_ts_ns);
	worker_show_clock(device);
	plan_run_commit(worker->run, first_no);
	worker_publish(worker);
	return r;
}

/* With commit_lock held: the chunk is done, the next one's turn has come. */
static void worker_pass(struct device *device, struct driver_chunk *chunk, int r)
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
static void worker_leave(struct device_worker *worker, int r)
{
	struct device *device = worker->device;
	struct plan *plan;
	uint64_t epoch;

	/* Flows may have come since its last chunk, and a short source may have left it none. */
	(void)pthread_mutex_lock(&device->plan_lock);
	worker->idle = false;
	plan = device->plan;
	epoch = device->epoch;
	(void)pthread_mutex_unlock(&device->plan_lock);
	worker_adopt(worker, plan, epoch);

	(void)pthread_mutex_lock(&device->commit_lock);
	if (r == -ENOMEM)
		error_set(&device->error, MAPI_OUT_OF_MEMORY, "%s: out of memory while reading",
			device->name);
	if (--device->n_active == 0) {
		device->ended = true;
		if (worker->run && !device_stopping(device))
			plan_run_finish(worker->run);
		device->finished = true;
		publish_all(device);
	}
	(void)pthread_mutex_unlock(&device->commit_lock);

	(void)pthread_mutex_lock(&device->plan_lock);
	worker->left = true;
	worker->idle = true;
	(void)pthread_mutex_unlock(&device->plan_lock);
	worker_notify(device);
}

/* Whoever commits may wait for a client, so asking may take long: this worker is idle meanwhile. */
static bool worker_has_ended(struct device_worker *worker)
{
	struct device *device = worker->device;
	bool ended, awaited;

	(void)pthread_mutex_lock(&device->plan_lock);
	worker->idle = true;
	awaited = worker->epoch != device->epoch;
	(void)pthread_mutex_unlock(&device->plan_lock);
	if (awaited) /* a change may be settled now */
		worker_notify(device);

	(void)pthread_mutex_lock(&device->commit_lock);
	ended = device->ended;
	(void)pthread_mutex_unlock(&device->commit_lock);
	return ended;
}

/* The time of the packets goes on. The pause is told from a moment at which no packet had come for
 * DRIVER_IDLE_MS to one since which none has come for as long: so it is told too short, packets
 * that are still on their way are later, and it does not matter what clock stamps them. */
static void worker_tick(struct device_worker *worker, uint64_t asked_ns)
{
	struct device *device = worker->device;
	struct device_pause *pause = &device->pause;

	if (pause->pkts != device->clock.pkts)
		*pause = (struct device_pause){ .pkts = device->clock.pkts,
			.units = pause->units,
			.begin_ns = clock_monotonic_ns(),
			.ts_ns = device->clock.watermark_ns };
	else if (asked_ns > pause->begin_ns &&
		plan_run_tick(worker->run, pause->ts_ns + (asked_ns - pause->begin_ns)))
		device->ticks++;
}

/* No packet came: what was counted last becomes visible. @next_seq: of the chunk that comes next */
static void worker_idle(struct device_worker *worker, uint64_t next_seq, uint64_t asked_ns)
{
	struct device *device = worker->device;

	(void)pthread_mutex_lock(&device->commit_lock);
	if (device->driver->real_time && worker->run && device->turn == next_seq &&
		!device->ended) {
		step_look(&device->step, clock_monotonic_ns(), clock_realtime_ns());
		worker_set_clock(worker, step_take_idle(&device->step, asked_ns));
		worker_count(worker);
		worker_tick(worker, asked_ns);
		device->caught_up_ns = MAX(device->caught_up_ns, asked_ns);
	}
	if (publish_is_due(device))
		publish_now(device);
	(void)pthread_mutex_unlock(&device->commit_lock);
}

void *worker_main(void *argument)
{
	struct device_worker *worker = argument;
	struct device *device = worker->device;
	int r = 0;

	while (!worker_has_ended(worker)) {
		struct driver_chunk chunk = { .seq = 0 };
		struct device_clock local = { .pkts = 0 };
		uint64_t first_ts_ns = UINT64_MAX, asked_ns;

		r = worker_claim(worker, &chunk, &asked_ns);
		if (r == DRIVER_E_IDLE) {
			worker_idle(worker, chunk.seq, asked_ns);
			continue;
		}
		if (r != 0)
			break;
		if (!worker->run)
			r = -ENOMEM;
		else if (device->n_workers == 1)
			r = worker_run_direct(worker, &chunk);
		else
			r = worker_run_early(worker, &chunk, &local, &first_ts_ns);
		(void)pthread_mutex_lock(&device->commit_lock);
		while (device->turn != chunk.seq)
			(void)pthread_cond_wait(&device->turn_cond, &device->commit_lock);
		if (r == 0 && device->n_workers > 1)
			r = worker_commit(worker, &chunk, &local, first_ts_ns);
		worker_pass(device, &chunk, r);
		(void)pthread_mutex_unlock(&device->commit_lock);
	}
	worker_leave(worker, r);
	return NULL;
}
