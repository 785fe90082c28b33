/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel tier of a device (docs/architecture.md, "The kernel tier"): which of its packets the
 * kernel delivers, and what it has counted of the others.
 *
 * The control thread says which flows there are; a thread of the lowering makes a program of their
 * filters, has it loaded, and puts it in the place of the one before; whoever publishes results
 * adds to them what the programs have counted. Whatever goes wrong, all packets are delivered.
 */
#ifndef MAPI_SENSOR_LOWERING_H
#define MAPI_SENSOR_LOWERING_H

#include "device.h"

struct lowering;
struct lowering_set; /* the flows of a plan, and the program for them */

/**
 * lowering_new() - prepare a device that is about to start
 * @ret:    the lowering; NULL if all packets of the device have to be delivered
 * @loader: who loads programs; outlives the device
 * @err:    why there is none
 *
 * Return: 0, -ENOTSUP with @err filled, -ENOMEM, what pthread_create() says.
 */
int lowering_new(struct lowering **ret, struct device *device, const struct device_loader *loader,
	struct error *err);

/* Ends the thread; workers have ended. Takes NULL. */
void lowering_stop(struct lowering *lowering);

/* The source has been closed: its program's counters may serve others now. What was counted is lost
 * with them. Takes NULL. */
struct lowering *lowering_free(struct lowering *lowering);
DEFINE_CLEANUP(struct lowering *, lowering_free);

/* Control thread. What is wanted of the kernel for these flows. @others: there are flows that are
 * counted elsewhere; so without these, nothing is going to be captured. Return: 0, -ENOMEM. */
int lowering_prepare(struct lowering *lowering, struct plan_flow *const flows[],
	unsigned int n_flows, bool others, struct lowering_set **ret);
struct lowering_set *lowering_set_free(struct lowering_set *set); /* not asked for; takes NULL */
DEFINE_CLEANUP(struct lowering_set *, lowering_set_free);

/* Control thread: have that done; the set is taken. The control thread is notified at the end.
 * @at_once: flows have come; else some have gone, and nobody waits. */
void lowering_ask(struct lowering *lowering, struct lowering_set *set, bool at_once);

/* Control thread. Whether what was asked for up to @epoch of the device has been done; what others
 * ask for later does not matter. */
bool lowering_settled(struct lowering *lowering, uint64_t epoch);

/* The flow is about to be freed. The caller holds flows_lock, as below. */
void lowering_forget(struct lowering *lowering, const struct plan_flow *flow);

/* What was counted by now. Return: how many packets, as lowering_units(). */
uint64_t lowering_read(struct lowering *lowering);

/* Control thread. Whether gates of flows have opened or closed since the last call: then the kernel
 * is to be asked for other things. The control thread is notified. */
bool lowering_has_turned(struct lowering *lowering);

/* Give flows what was counted for them by then. The caller holds commit_lock, too. */
void lowering_give(struct lowering *lowering);

/* Packets that were not delivered. @now: until now; else until it was read last. */
uint64_t lowering_units(const struct lowering *lowering, bool now);

/* Those of them until now whose protocol the stack may not know (loss.h). */
uint64_t lowering_foreign(const struct lowering *lowering);

/* When such a packet came last, CLOCK_REALTIME, as it was read; 0: never. */
uint64_t lowering_last_ns(const struct lowering *lowering);

/* Tell where an instance is executed. */
void lowering_explain(const struct lowering *lowering, const struct plan_instance *instance,
	struct device_tier *ret);

#endif
