/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flows of a device that only count, counted at its interface: by TCX what comes in and goes out,
 * by XDP what comes in (docs/architecture.md, "The kernel tier").
 *
 * Such a flow is put there when it connects, and stays: nobody else counts for it. The control
 * thread says which flows there are; a thread of the hook has a program made of their filters and
 * puts it in the place of the one before; whoever publishes results adds to them what programs have
 * counted. While no other flow wants packets, none are captured.
 */
#ifndef MAPI_SENSOR_HOOK_H
#define MAPI_SENSOR_HOOK_H

#include "device.h"

struct hook;
struct lowering_set;

/**
 * hook_new() - prepare a device that is about to start
 * @ret:    the hook; NULL if flows are never counted at the interface
 * @loader: who loads and attaches programs; outlives the device
 *
 * Return: 0, -ENOTSUP, -ENOMEM, what pthread_create() says.
 */
int hook_new(struct hook **ret, struct device *device, const struct device_loader *loader);

/* Ends the thread; workers have ended. Nothing is attached any more. Takes NULL. */
struct hook *hook_free(struct hook *hook);
DEFINE_CLEANUP(struct hook *, hook_free);

/* Control thread, as what follows. Whether more flows may come, which is not so for some time after
 * a failure, and for longer after each further one. */
bool hook_is_open(struct hook *hook);

/* What is wanted for these flows, which only count. Return: 0, -ENOMEM. */
int hook_prepare(struct hook *hook, struct plan_flow *const flows[], unsigned int n_flows,
	struct lowering_set **ret);

/* Whether that can be done, and soon. */
bool hook_accepts(const struct lowering_set *set);

/* Whether it is of no flows. */
bool hook_is_empty(const struct lowering_set *set);

/* Have that done; the set is taken. The control thread is notified at the end. @listens: others
 * want packets to be captured. @at_once: flows have come. */
void hook_ask(struct hook *hook, struct lowering_set *set, bool listens, bool at_once);

/* What is counted goes on as it is; but somebody wants packets to be captured. And whether they
 * are.
 */
void hook_ask_packets(struct hook *hook);
bool hook_listens(struct hook *hook);

/* Whether what was asked for up to @epoch of the device has been done. Not after a failure that
 * nobody has heard of. */
bool hook_settled(struct hook *hook, uint64_t epoch);

/* Whether flows that have come could not be put to the interface; told once. */
bool hook_failed(struct hook *hook);

/* The caller holds flows_lock, as in what follows. Whether the flow is being counted. */
bool hook_serves(const struct hook *hook, const struct plan_flow *flow);

/* The flow is about to be freed. */
void hook_forget(struct hook *hook, const struct plan_flow *flow);

/* Give flows what was counted for them since the last call. The caller holds commit_lock, too, and
 * if functions look at them it is a worker for which time has passed. Or only those that arrive
 * (struct plan_flow). */
void hook_add(struct hook *hook);
void hook_add_arriving(struct hook *hook);

/* Packets that came to the interface while there were flows. @now: until now; else until the last
 * hook_add(). */
uint64_t hook_units(const struct hook *hook, bool now);

/* Of them, those that were not captured, until the last hook_add(). */
uint64_t hook_units_alone(const struct hook *hook);

/* Of those, the ones that struct loss calls foreign, until now. */
uint64_t hook_foreign(const struct hook *hook);

/* When such a packet came last, CLOCK_REALTIME, at most one publication late; 0: never. */
uint64_t hook_last_ns(const struct hook *hook);

/* How often somebody has taken the programs away. */
uint64_t hook_outages(const struct hook *hook);

/* Whether programs of others see packets before, as far as is known, and how often they have come.
 */
bool hook_is_behind(const struct hook *hook);
uint64_t hook_times_behind(const struct hook *hook);

/* Tell where a function of a flow is executed that is counted here. */
void hook_explain(const struct hook *hook, struct device_tier *ret);

/* Why flows that only count were not put here when that was tried last; empty: they were. */
const char *hook_refusal(const struct hook *hook);

#endif
