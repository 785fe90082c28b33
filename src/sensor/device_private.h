/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a device is made of: shared by device.c, device_plan.c, device_flow.c, device_publish.c,
 * device_explain.c, device_prepare.c (the control thread's side), worker.c (the workers' side) and
 * publish.c (from states to the result area).
 *
 * Locks, in the order in which they may nest:
 *   claim_lock   one claim at a time; held while a driver waits for a pipe
 *   plan_lock    the current plan, and which plan each worker uses
 *   commit_lock  the committed states: held by the worker whose turn it is, also while a function
 *                waits for a client; the control thread only tries it
 *   flows_lock   the list of flows and what is published of them; never held while packets run
 */
#ifndef MAPI_SENSOR_DEVICE_PRIVATE_H
#define MAPI_SENSOR_DEVICE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "device.h"
#include "hook.h"
#include "loss.h"
#include "lowering.h"
#include "step.h"

/* Time as packets tell it (semantics T1). */
struct device_clock {
	uint64_t watermark_ns;
	uint64_t late_pkts;
	uint64_t pkts;
};

/* A pause between packets: time goes on. Monotonic, because the clock that packets have may jump.
 * @pkts, @units: clock.pkts, and packets that the kernel had counted, when it began
 * @ts_ns: the time of the packets then
 */
struct device_pause {
	uint64_t pkts;
	uint64_t units;
	uint64_t begin_ns;
	uint64_t ts_ns;
};

struct device_worker {
	struct device *device;
	pthread_t thread;
	struct plan *plan; /* that run was made for */
	struct plan_run *run;
	uint64_t epoch; /* GUARDED_BY(plan_lock): of that plan */
	bool left; /* GUARDED_BY(plan_lock): for ever */
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

	struct device_loader loader;
	struct lowering *lowering; /* NULL: the kernel delivers all packets */
	struct error lowering_why; /* there is none */
	struct hook *hook; /* NULL: nothing is counted at the interface */
	bool looks_at_hook; /* GUARDED_BY(flows_lock): functions of the plan, at its flows */
	uint64_t floor_epoch; /* the control thread's: flows of before wait for it */
	bool has_moved; /* the control thread's: flows leave the hook, or have done so just now */

	unsigned int *cpus; /* of the workers; NULL: anywhere */
	struct device_worker *workers;
	unsigned int n_workers;
	unsigned int n_threads; /* started */
	unsigned int n_joinable; /* of them, not joined */

	pthread_mutex_t claim_lock;
	uint64_t n_claimed; /* GUARDED_BY(claim_lock): chunks */

	pthread_mutex_t plan_lock;
	struct plan *plan;
	uint64_t epoch;
	bool outdated; /* the control thread's: flows of the plan have been dropped */
	struct device_plan *retired; /* plans that a worker's run may still refer to */

	pthread_mutex_t commit_lock;
	pthread_cond_t turn_cond;
	uint64_t turn; /* seq of the chunk to be committed next */
	unsigned int n_active; /* workers that have not left */
	bool ended; /* no later chunk counts */
	bool finished; /* flows have been told */
	struct device_clock clock;
	struct device_pause pause;
	struct step step;
	uint64_t caught_up_ns; /* monotonic: what had come to a live source by then is committed */
	uint64_t counted_watermark_ns; /* of clock, when kernel counts were given last */
	uint64_t ticks; /* how often time alone has changed something */
	struct error error;
	uint64_t published_ns;
	uint64_t rest_ns; /* after that, until it is done again: not all the time is for it */
	/* When results were last published exactly, and what of a live source they cover. */
	uint64_t exact_ns;
	uint64_t exact_caught_up_ns;
	uint64_t exact_watermark_ns;
	_Atomic bool exact_wanted; /* by who found commit_lock taken; order does not matter */
	_Atomic uint64_t
		seen_pkts; /* clock.pkts and late_pkts, for who cannot wait for commit_lock */
	_Atomic uint64_t seen_late_pkts;
	_Atomic uint64_t n_steps; /* of the clock */

	pthread_mutex_t flows_lock;
	struct searches *searches; /* the control thread's, as what follows; NULL: none */
	struct device_flow *waiting; /* for device_prepare() */
	struct device_flow *held; /* connected, but flows that they refer to are not */
	uint64_t n_walks; /* for plan_flow_refers(); the control thread's */
	struct device_flow **flows; /* ascending by id */
	unsigned int n_flows;
	struct driver_stats stats; /* as of asked_ns; all GUARDED_BY(flows_lock) */
	struct loss loss;
	uint64_t asked_ns;
};

static inline bool device_stopping(const struct device *device)
{
	return atomic_load_explicit(&device->stop, memory_order_relaxed);
}

/* Any thread: workers stop soon, as after device_stop(); of a live device, whose functions do not
 * wait. */
static inline void device_halt(struct device *device)
{
	atomic_store_explicit(&device->stop, true, memory_order_relaxed);
	device->driver->wake(device->source);
}

/* device.c. Whether a change of flows needs a new plan: someone runs, or may run, the present one.
 */
bool device_runs(struct device *device);

/* device_plan.c. Make the plan of the flows that are connected and not leaving, and let workers
 * adopt it. @without: another that leaves; NULL: none. @has_come: some are new. Return: 0, -EINVAL
 * with
 * @err filled, -ENOMEM. */
int device_replan(
	struct device *device, const struct device_flow *without, bool has_come, struct error *err);
/* The flow counts from now on, there. On a running device: the packets up to now, give or take the
 * batch under way. The caller holds flows_lock. */
void device_begin(struct device *device, struct device_flow *flow, enum device_counts where);
/* Plans that nobody uses any more. */
void device_free_retired(struct device *device);

/* device_publish.c. Whether what had come by @moment has been seen, if time is as far as that. The
 * caller holds commit_lock. */
bool device_covers(const struct device *device, uint64_t caught_up_ns, uint64_t watermark_ns,
	const struct device_moment *moment);

/* device_flow.c. Whoever waits in one of the flow's functions returns. */
void device_cancel(const struct plan_flow *flow);

/* device_held.c; the control thread's, who holds flows_lock where the list changes.
 * May the flow be connected? Return: 0, -EINVAL with @err filled: it refers to one that is not, and
 * that does not refer to it. */
int device_check_refs(struct device *device, struct plan_flow *flow, struct error *err);
void device_hold(struct device *device, struct device_flow *flow);
void device_unhold(struct device *device, const struct device_flow *flow); /* if it is held */
/* Those of @owner that can go on now, not held any more; linked by next_held. */
struct device_flow *device_release(struct device *device, unsigned int owner);

/* device_prepare.c. A flow of @owner has gone: perhaps its last. */
void device_forget_owner(struct device *device, unsigned int owner);

/* publish.c; the caller holds commit_lock. */
void publish_all(struct device *device);
bool publish_is_due(const struct device *device);
void publish_now(struct device *device); /* exactly, if somebody wants that */

/* Bring device->stats up to date, where nic_lost_pkts is all that the interface lost; the caller
 * holds flows_lock. */
void publish_ask(struct device *device, uint64_t now_ns);

/* worker.c: the body of a worker's thread; @argument is its struct device_worker. */
void *worker_main(void *argument);

#endif
