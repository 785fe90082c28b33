/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device in use: an opened source, the flows connected to it, and the workers that carry packets
 * from the one through the plan to the other.
 *
 * The control thread adds and removes flows and never waits for a worker: a change is "settled"
 * when no worker can be using the plan before it, and device_settled() says so. Workers poke the
 * notify descriptor when that or the end of the source may have come.
 */
#ifndef MAPI_SENSOR_DEVICE_H
#define MAPI_SENSOR_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "driver/driver.h"
#include "kernel/kernel.h"
#include "mapi/explain.h"
#include "plan/plan.h"
#include "searches.h"
#include "wire/results.h"

struct device;

/* Where a flow's packets are counted (docs/architecture.md, "The kernel tier"). */
enum device_counts {
	DEVICE_COUNTS_UNKNOWN, /* it takes part in no plan yet */
	DEVICE_COUNTS_CAPTURE, /* among what is captured, or kept from being so */
	DEVICE_COUNTS_HOOK, /* by a program at the interface, alone */
};

/* A moment, by both clocks: packets of live devices have the one, which may jump, or another. */
struct device_moment {
	uint64_t monotonic_ns;
	uint64_t realtime_ns;
};

/**
 * struct device_flow - a flow of a device
 * @plan:     its functions; each instance's result is its struct results_slot in the result area
 * @shared:   its status in the result area
 * @error:    why it ended early; set when shared->error_code is
 * @device:   NULL unless connected
 * @event_fd: of wake_new(), to be signalled after each publication that brings something new; -1:
 *            none
 * @told_pkts, @told_ticks, @told_end: what the last such publication brought
 * @waits:    for device_prepare(); @next_waiting: who does beside
 * @counts:   GUARDED_BY(flows_lock); the control thread's to change
 * @moves:    the control thread's: it is about to be counted among what is captured, no longer at
 *            the interface
 * @moved:    when it did; 0: long ago, or never
 * @has_moved: it did
 * @base_outages, @base_times_behind: of the hook
 * @next_held: of those that wait for flows that they refer to
 */
struct device_flow {
	struct plan_flow *plan;
	struct results_flow *shared;
	struct error error;
	struct device *device;
	uint64_t start_ns;
	uint64_t end_ns;
	uint64_t base_pkts;
	uint64_t base_late_pkts;
	uint64_t base_steps;
	struct driver_stats base_stats;
	bool ended;
	int event_fd;
	uint64_t told_pkts;
	uint64_t told_ticks;
	bool told_end;
	bool waits;
	struct device_flow *next_waiting;
	enum device_counts counts;
	bool moves;
	struct device_moment moved;
	bool has_moved;
	uint64_t base_outages;
	uint64_t base_times_behind;
	struct device_flow *next_held;
};

/* As kernel_root_attach(), to the interface called @name, perhaps by another process. */
typedef int device_attach_fn(void *argument, const char *name, enum kernel_way way,
	struct kernel_root *ret, char ret_others[KERNEL_TEXT_BYTES], struct error *err);

/* As kernel_root_before(), of the interface called @name, perhaps by another process. Return: 0,
 * negative errno with @err filled. */
typedef int device_look_fn(void *argument, const char *name, uint32_t id,
	char ret_others[KERNEL_TEXT_BYTES], struct error *err);

/**
 * struct device_loader - who has programs loaded into the kernel
 * @load:     any thread. NULL: nobody
 * @attach:   any thread. NULL: nobody
 * @look:     any thread; there is one where there is @attach
 * @argument: of all of them; outlives the device
 * @is_asked_for: engine=kernel: that a device has none is worth a warning
 * @may_use_xdp: where only what comes in is captured
 * @discards: and in XDP packets end there while nobody wants them
 * @has_long_jumps: see kernel_has_long_jumps()
 * @is_distrusted: its programs are verified as anybody's are
 * @page_max: programs on a page at most; 0: as many as fit
 * @turns:    numbers of samples, of all programs that are loaded; NULL: samples are taken in user
 *            space
 */
struct device_loader {
	bool is_asked_for;
	bool may_use_xdp;
	bool discards;
	kernel_load_fn *load;
	device_attach_fn *attach;
	device_look_fn *look;
	void *argument;
	bool has_long_jumps;
	bool is_distrusted;
	unsigned int page_max;
	struct kernel_turns *turns;
};

/**
 * struct device_tier - where a function is executed
 * @n_insns:    of the program that it is part of
 * @ns_per_pkt: what a packet costs there; 0: not known
 */
struct device_tier {
	enum mapi_tier tier;
	unsigned int n_insns;
	double ns_per_pkt;
	char reason[MAPI_STR_LENGTH];
};

/**
 * struct device_args - how to open a device
 * @open:      what the driver is told; open.fd is consumed also on failure
 * @seed:      of everything random
 * @notify_fd: eventfd of the control thread; borrowed
 * @cpus, @n_cpus: processors for the workers, in turn; 0: anywhere
 * @loader:    of the kernel tier
 * @compiler:  of search databases; outlives the device. NULL: the control thread builds them
 */
struct device_args {
	struct driver_open_args open;
	uint64_t seed;
	int notify_fd;
	const unsigned int *cpus;
	unsigned int n_cpus;
	struct device_loader loader;
	struct compiler *compiler;
};

/* Return: 0, -EINVAL with @err filled (3200, 1026, 9001 ...), -ENOMEM. */
int device_new(struct device **ret, const struct device_args *args, struct error *err);

/* Stops the workers, joins them, closes the source. All flows have been removed. Takes NULL. */
struct device *device_free(struct device *device);
DEFINE_CLEANUP(struct device *, device_free);

/* What plan_flow_apply() needs to know; it refers to @device. Who asks adds the compiler. */
struct plan_device device_describe(struct device *device);

/* Set when the workers shall stop; whoever waits on their behalf watches it. */
const _Atomic bool *device_stop_flag(const struct device *device);

const char *device_name(const struct device *device);
const char *device_driver_name(const struct device *device);
unsigned int device_n_workers(const struct device *device);

/* A capture interface of the source. Return: 0, -ENOENT. */
int device_interface(const struct device *device, unsigned int index, struct driver_interface *ret);

/* Workers begin to read. Return: 0 (also when started before), negative errno. */
int device_start(struct device *device);

enum device_outcome {
	DEVICE_E_AGAIN = 1, /* not yet: ask again when device_has_prepared() */
	_DEVICE_E_N
};

/**
 * device_prepare() - have done what takes long before a plan is made
 * @flow: to be connected next; it waits until it is, or device_unprepare(). NULL: those that are
 *        connected are to be started
 *
 * Return: 0, DEVICE_E_AGAIN, -EINVAL with @err filled (7007), -ENOMEM, other negative errno.
 */
int device_prepare(struct device *device, struct device_flow *flow, struct error *err);
/* How often something has been prepared for the flow's owner; and whether there is something new to
 * who was told to ask again when it was @n. */
uint64_t device_n_prepared(const struct device *device, const struct device_flow *flow);
bool device_has_prepared(const struct device *device, const struct device_flow *flow, uint64_t n);
void device_unprepare(struct device *device, struct device_flow *flow);

/**
 * device_add() - connect a flow
 *
 * It counts every packet from the moment the change is settled, or from the start of the device. If
 * it refers to flows that refer to it, from when the last of them is added.
 * Return: 0, -EINVAL with @err filled, -ENOMEM.
 */
int device_add(struct device *device, struct device_flow *flow, struct error *err);

/* A flow that is not connected has been closed: flows that wait for it end with 7001. */
void device_never_comes(struct device *device, struct plan_flow *closed);

/* Disconnect many flows, of whatever clients: device_drop() each; device_catch_up() some time later
 * makes one plan without them, unless there is one already; the rest as after device_remove(). No
 * flow that stays refers to one of them. */
void device_drop(struct device *device, struct device_flow *flow);
void device_catch_up(struct device *device);

/* Make the plan anew: something that it was made from has changed. */
void device_renew(struct device *device);

/* What flows need of the kernel may have changed with time. */
void device_follow_time(struct device *device);

/* Whether it captures no more, or is about to stop. */
bool device_is_over(struct device *device);

/* Begin to disconnect a flow: once settled, call device_forget(), then it may be freed. */
void device_remove(struct device *device, struct device_flow *flow);
void device_forget(struct device *device, struct device_flow *flow);

/* The client has closed a flow that others refer to: begin to take out what does not serve them;
 * once settled, call device_close_retired(). @err: as of plan_flow_complete(). */
void device_retire(struct device *device, struct device_flow *flow);
void device_close_retired(struct device *device, struct device_flow *flow, struct error *err);

/* No worker uses a plan older than the latest change. Frees what nobody uses. */
bool device_settled(struct device *device);

/* Number of the latest change. */
uint64_t device_epoch(const struct device *device);

/* No worker uses a plan older than change @epoch, and the kernel does what was wanted of it then:
 * flows that had been added get every packet from now on. Frees what nobody uses. */
bool device_connected(struct device *device, uint64_t epoch);

/* Workers stop soon, wherever they wait; flows end as they are. */
void device_stop(struct device *device);

/* After device_stop(): wait until they have. */
void device_join(struct device *device);

bool device_ended(struct device *device);

/* Why a connected flow has ended early; @ret stays empty if it has not. */
void device_flow_error(struct device *device, const struct device_flow *flow, struct error *ret);

/* Counts of a function, as they were published last. */
struct plan_counts device_counts(struct device *device, const struct plan_instance *instance);

/* What was captured since the device was opened. @ret_pkts: handed to its flows. */
void device_stats(struct device *device, uint64_t *ret_pkts, struct driver_stats *ret);

/* How a function of a connected flow is executed. Return: 0, -ENOENT: it takes no part (any more),
 * -EINVAL with @err filled, -ENOMEM. */
int device_explain(struct device *device, const struct plan_instance *instance,
	struct plan_explanation *ret, struct device_tier *ret_tier, struct error *err);

/* Have the flow's descriptor signalled from now on; it is taken. The flow is connected. */
void device_watch(struct device *device, struct device_flow *flow, int event_fd);

/* Bring the result area up to date. Return: false if a worker is busy: it does so itself soon. */
bool device_publish(struct device *device);

struct device_moment device_moment_now(void);

/* device_publish(), until results cover what had come to a live device by @moment; what a file
 * holds is not waited for. Return: false if they do not yet, or a worker is busy: ask again. */
bool device_flush(struct device *device, const struct device_moment *moment);

#endif
