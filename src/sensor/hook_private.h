/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of counting at an interface share: hook.c (the thread, and who asks it),
 * hook_interface.c (what is attached to the interface), hook_counts.c (what has been counted). */
#ifndef MAPI_SENSOR_HOOK_PRIVATE_H
#define MAPI_SENSOR_HOOK_PRIVATE_H

#include "hook.h"
#include "lowering_private.h"

#define HOOK_WAYS_MAX 3u

/**
 * struct hook - of one device
 * @ways:     how to attach, best first
 * @thread:   that attaches and makes programs
 * @root:     the thread's
 * @ifindex:  that it was attached to; the thread's
 * @lost:     it has been taken away; written by the thread, as all that follows
 * @way:      how it is, or was, attached
 * @why_not:  why not in the first of the ways; empty: it is
 * @said:     why not in each of the ways, as the log has it; the thread's
 * @before:   programs of others that see packets before ours do; empty: none
 * @times_behind: how often such have come
 * @asked_ns: when that was asked for last; the thread's
 * @has_complained: that it cannot be put there again; the thread's
 * @sets:     newest first
 * @wants_packets: somebody does, as of the newest request
 * @listens:  packets are captured
 * @failed:   what was asked for last could not be done, and nobody has been told
 * @refusal:  no more flows are taken until @refused_until_ns; next time @refusal_ns is doubled
 * @units:    that sets have counted which have been freed
 * @alone:    that were counted while nothing was captured, at each of the first places
 */
struct hook {
	struct device *device;
	struct device_loader loader;
	enum kernel_way ways[HOOK_WAYS_MAX];
	unsigned int n_ways;
	uint32_t linktype;
	struct driver_select select; /* of which these programs share no packets */
	struct lowering_thread thread;
	struct kernel_root root;
	unsigned int ifindex;
	bool lost;
	enum kernel_way way;
	struct error why_not;
	struct error said[HOOK_WAYS_MAX];
	char before[KERNEL_TEXT_BYTES];
	uint64_t times_behind;
	uint64_t asked_ns;
	bool has_complained;
	struct lowering_set *sets;
	bool wants_packets;
	bool listens;
	bool failed;
	struct error refusal;
	uint64_t refusal_ns;
	uint64_t refused_until_ns;
	uint64_t served_epoch;
	uint64_t changed_ns;
	uint64_t units;
	uint64_t alone[_LOWERING_N];
	uint64_t last_ns;
	uint64_t outages;
};

static inline void hook_lock(struct hook *hook)
{
	(void)pthread_mutex_lock(&hook->device->flows_lock);
}

static inline void hook_unlock(struct hook *hook)
{
	(void)pthread_mutex_unlock(&hook->device->flows_lock);
}

/* Whether packets end at the interface while nobody wants them. */
static inline bool hook_discards(const struct hook *hook)
{
	return hook->loader.discards && kernel_way_hook(hook->way) == KERNEL_XDP;
}

/* hook_interface.c, the thread's. Attach the root, in the first way that can be. Return: 0,
 * negative errno with @err filled, of the last way. */
int hook_attach(struct hook *hook, struct error *err);

/* Have packets captured, or not. Return: 0, what the driver says. */
int hook_listen(struct hook *hook, bool listens);

/* Look whether the root is still attached; if not, put it there again when that can be done. */
void hook_look(struct hook *hook);

#endif
