/* SPDX-License-Identifier: BSD-2-Clause */
/* How the functions of a flow are executed: who does the work, in which order, shared with whom. */
#ifndef MAPI_EXPLAIN_H
#define MAPI_EXPLAIN_H

#include <stddef.h>

#include "../mapi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Who does the work. */
enum mapi_tier {
	MAPI_TIER_USER = 0, /* the daemon, on packets that it was handed */
	MAPI_TIER_KERNEL, /* the kernel, before packets are copied */
	MAPI_TIER_CARD /* the capture card, before the kernel has them; nothing does so yet */
};

/* What kind of work it is. */
enum mapi_work {
	MAPI_WORK_FILTER =
		0, /* a filter expression, decided with all others of its domain at once */
	MAPI_WORK_SEARCH, /* a search for strings, with all others of its domain at once */
	MAPI_WORK_TRANSFORM, /* makes other packets of the packets: opens a domain */
	MAPI_WORK_PROCESS /* everything else */
};

/* Which packets one worker must see. */
enum mapi_order {
	MAPI_ORDER_FREE = 0, /* any: workers share them as they like */
	MAPI_ORDER_AFFINITY, /* all those of a connection, in order */
	MAPI_ORDER_ALL /* all, in order */
};

/**
 * struct mapi_explanation - how a function is executed
 * @sz:           set by the caller: sizeof(struct mapi_explanation)
 * @tier:         who does it, @reason says why there
 * @work:         what kind of work
 * @order:        which packets one worker must see
 * @late:         1: waits for its turn where several workers read one source; 0: runs in parallel
 * @group:        0, or the number of the group of functions that run packet by packet because they
 *                depend on each other in a circle
 * @step, @n_steps: place in the order of execution, from 1, among the functions of all flows of the
 *                device
 * @domain:       whose packets it sees; 0: the captured ones
 * @new_domain:   domain that it opens; 0: none
 * @together:     functions, of whatever flow, that are decided in the same pass as this one, itself
 *                included
 * @shared:       of them, those that want the very same, so that the work is done once
 * @instructions: of its program in the kernel; 0: none, or not known
 * @ns_per_pkt:   nanoseconds that it costs there for each packet that the device delivers, with
 *                all that are decided in the same pass or run in the same circle; in the kernel:
 *                the whole program for each packet that comes, measured on a few frames when it
 *                was loaded; 0: not known (yet)
 * @reason:       one sentence
 * @has_seed:     1: what it does goes by chance, which @seed repeats: that of the program
 * (MAPI_SEED) with SAMPLE, the documented one with HASHSAMP
 */
struct mapi_explanation {
	size_t sz;
	enum mapi_tier tier;
	enum mapi_work work;
	enum mapi_order order;
	int late;
	unsigned int group;
	unsigned int step;
	unsigned int n_steps;
	unsigned int domain;
	unsigned int new_domain;
	unsigned int together;
	unsigned int shared;
	unsigned int instructions;
	double ns_per_pkt;
	char reason[MAPI_STR_LENGTH];
	int has_seed;
	unsigned long long seed;
};

/**
 * mapi_explain() - how a function of a connected flow is executed
 * @fd:  as for mapi_get_flow_info(): also a flow that another program has at the system daemon
 * @ret: sz must be set; filled up to that size
 *
 * What is told is the plan at the time of the call: it changes when flows of the same device come
 * and go, whosever they are.
 *
 * Return: 0, or -1: 7003 (@ret), 6145 (no such flow), 6150 (no such function), 6143 (not
 * connected), 9005 (daemon lost).
 */
MAPI_API int mapi_explain(int fd, int fid, struct mapi_explanation *ret);

#ifdef __cplusplus
}
#endif

#endif
