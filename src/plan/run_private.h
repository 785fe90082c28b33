/* SPDX-License-Identifier: BSD-2-Clause */
/* A worker's run of a plan: shared by run.c, which runs it, between.c, which does what happens
 * between packets, cost.c, which takes the time, count.c, which counts what functions see, and
 * keep.c, which keeps batches. */
#ifndef MAPI_PLAN_RUN_PRIVATE_H
#define MAPI_PLAN_RUN_PRIVATE_H

#include "base/clock.h"
#include "plan_private.h"

#define RUN_ALIGN_BYTES 64

struct run_columns {
	uint64_t after[PACKET_BATCH_MAX];
	uint64_t before[PACKET_BATCH_MAX + 1];
};

struct run_node;

/* @node: where it runs in this plan */
struct run_source {
	const struct plan_instance *instance;
	struct run_node *node;
};

struct run_node {
	const struct plan_node *node;
	struct function_call call;
	struct run_columns *columns; /* NULL: nobody refers to it */
	struct run_source *sources; /* one for each reference */
	struct function_ref *refs; /* call.refs */
	void *delta; /* early state, NULL if none */
	bool dirty; /* the delta holds something */
	bool reset; /* somebody asked for a reset */
	bool ticked; /* in the current run_pass_time() */
};

struct run_domain {
	const struct packet_batch *view;
	struct packet_batch
		*child; /* where the view of a child domain is made; NULL for the root */
	struct decode_columns *decode;
	void *memory;
	void *filter_scratch;
	struct search_scratch **search_scratch; /* one for each search set */
	struct packet_mask
		*searched; /* for each search set: packets that some flow wants searched */
};

struct run_count;

struct plan_run {
	struct plan *plan;
	bool direct;
	bool measured; /* the time of this batch is taken */
	unsigned int n_batches[2]; /* early and late ones */
	const struct plan_link *link;
	struct run_domain *domains;
	struct run_node *nodes;
	unsigned int *early, *late; /* indices of nodes */
	unsigned int n_early, n_late;
	struct packet_mask *selections;
	struct run_count *counts; /* of the selections */
	struct packet_mask *masks;
	struct packet_batch *kept_batch; /* where kept batches are unpacked */
	uint8_t *kept;
	size_t kept_bytes, kept_size_bytes;
};

/* run.c */
void run_init_state(const struct plan_instance *instance, void *state);
void run_fail(struct plan_flow *flow);
/* What others see of an instance that they refer to after all committed packets. */
uint64_t run_value(const struct plan_instance *instance);

static inline bool run_is_due(const struct run_node *rn, uint64_t now_ns)
{
	const struct plan_instance *instance = rn->node->instance;

	return instance->function->tick && instance->deadline_ns <= now_ns &&
		instance->deadline_ns != UINT64_MAX;
}

/* between.c: of function calls */
void run_reset_ref(const struct function_call *call, unsigned int ref);
void run_read_ref(const struct function_call *call, unsigned int ref, void *ret_result);

/* between.c: the reset that somebody asked for takes effect between packet i and i + 1. */
void run_reset_after(struct run_node *rn, unsigned int i);

/**
 * run_pass_time() - what is due happens
 * @list:   @n nodes that depend on each other: a group, or a node alone
 * @i:      the packet that comes next
 * @now_ns: its time
 * @begins: there is such a packet: functions that have not met one begin
 *
 * between.c.
 */
void run_pass_time(struct plan_run *run, const unsigned int *list, unsigned int n, unsigned int i,
	uint64_t now_ns, bool begins);

/* count.c: how many packets each selection holds. NULL: out of memory; free() frees. */
struct run_count *run_counts_new(const struct plan *plan, bool direct);
/* After run_nodes(): of a direct run, and if @late, what is written now is committed. */
void run_count(struct plan_run *run, bool late);
void run_count_commit(struct plan_run *run);
void run_count_abandon(struct plan_run *run);

/* cost.c: what nodes cost, of a batch in so many. Times are of run_clock_ns(). */
#define RUN_COST_BATCHES 64u
void run_cost_begin(struct plan_run *run, bool late);
/* All nodes of a kind in a domain; of transforms: that which opens it. */
void run_cost_kind(
	const struct plan_run *run, unsigned int d, enum plan_node_kind kind, uint64_t begin_ns);
void run_cost_list(const struct plan_run *run, const unsigned int *list, unsigned int n_members,
	uint64_t begin_ns);

static inline uint64_t run_clock_ns(const struct plan_run *run)
{
	return run->measured ? clock_monotonic_ns() : 0;
}

/* keep.c: append a batch and the verdicts in run->masks. Return: 0, -ENOMEM. */
int run_keep(struct plan_run *run, const struct packet_batch *batch);

/* keep.c: bring the batch kept at @offset back to run->kept_batch and run->masks.
 * Return: the bytes that it takes. */
size_t run_restore(struct plan_run *run, size_t offset);

#endif
