/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the test have in common: test_tiers_case.c (flows at random, and packets for
 * them: the same whenever they are made of the same case), test_tiers_programs.c (what is loaded
 * into the kernel for them), test_tiers_output.c (what they give), test_tiers.c (both runs). */
#ifndef MAPI_SENSOR_TEST_TIERS_PRIVATE_H
#define MAPI_SENSOR_TEST_TIERS_PRIVATE_H

#include "filter/test_random.h"
#include "kernel/kernel.h"
#include "kernel/test_run.h"
#include "plan/plan.h"

#define TIERS_FLOWS_MAX 8u
#define TIERS_FUNCTIONS_MAX 6u
#define TIERS_PKTS_MAX 240u
#define TIERS_CHANGES_MAX 6u
#define TIERS_WORKERS_MAX 3u
/* Of a flow, one of all its packets; two for each filter; and one of all flows. */
#define TIERS_PLACES_MAX (TIERS_FLOWS_MAX * (2 * TIERS_FUNCTIONS_MAX + 1) + 1)

/* Packets and filter expressions to choose from. */
struct tiers_pool {
	unsigned int n_packets, n_filters;
	struct test_packet *packets;
	char **filters;
};

/* Of captures (filter/test_captures.h) and made up; @n_packets and @n_filters at most. */
void tiers_pool_init(struct tiers_pool *pool, unsigned int n_packets, unsigned int n_filters);
void tiers_pool_deinit(struct tiers_pool *pool);

/* @refs: functions that it refers to; all is counted from 0 */
struct tiers_function {
	const char *name;
	struct function_value values[FUNCTION_ARGS_MAX];
	unsigned int n_refs;
	struct {
		unsigned int flow, function;
	} refs[2];
};

/* @joins, @leaves: number of a change */
struct tiers_flow {
	unsigned int n_functions;
	struct tiers_function functions[TIERS_FUNCTIONS_MAX];
	unsigned int joins, leaves;
};

/**
 * struct tiers_change - of the plan before packet @at, and of the program before packet @program_at
 * @at: that of the first change is 0, as is its program's
 * @all: the program could not be made: all packets are delivered
 */
struct tiers_change {
	unsigned int at, program_at;
	bool all;
};

struct tiers_packet {
	const struct test_packet *packet;
	uint64_t ts_ns;
};

/**
 * struct tiers_case - one test
 * @has_all:     some flows may want all packets
 * @n_workers:   so many programs share the packets
 * @snaplen_bytes: packets are cut to; 0: whole
 * @is_reversed: flows that are made later are earlier in order (semantics O2)
 * @has_gates:   some flows may begin and end with time
 * @is_single:   some function goes by the time of single packets: what is delivered is run at once
 * @has_samples: some function goes by numbers of packets, which both tiers give out
 */
struct tiers_case {
	bool has_all, has_gates, is_reversed, is_single, has_samples;
	unsigned int n_workers;
	uint32_t snaplen_bytes;
	unsigned int n_packets, n_flows, n_changes;
	struct tiers_packet packets[TIERS_PKTS_MAX];
	struct tiers_flow flows[TIERS_FLOWS_MAX];
	struct tiers_change changes[TIERS_CHANGES_MAX];
};

void tiers_case_make(struct tiers_case *ret, const struct tiers_pool *pool, uint64_t seed);

/* Whether both tiers must agree on the flow: it comes and goes, as do those that it refers to and
 * those that may reset it, with the program. */
bool tiers_is_exact(const struct tiers_case *c, unsigned int flow);

/* What the kernel was asked for and did, of all plans. */
struct tiers_account {
	unsigned long n_plans, n_programs, n_run, n_delivered, n_flows, n_compared;
	unsigned long n_able, n_kernel,
		n_untranslated; /* filters and counters that need no packets */
	unsigned long n_beside_all, n_behind;
	unsigned long n_timed; /* of them, functions with periods */
	unsigned long n_output_bytes;
	unsigned long n_refused, n_turned;
	uint32_t refused_least, refused_most;
};

/* A program that runs, or has been replaced. */
struct tiers_set {
	struct tiers_set *next;
	struct plan_place *places;
	unsigned int n_places;
	bool selects; /* else all packets are delivered */
	struct kernel_program *programs[TIERS_WORKERS_MAX]; /* of each worker that there is */
	struct kernel_count *counts, *added;
};

/**
 * struct tiers_kernel - what programs of all cases have in common
 * @own: each packet is one worker's, by its length; of so many workers, each
 */
struct tiers_kernel {
	struct filter_program *own[TIERS_WORKERS_MAX + 1][TIERS_WORKERS_MAX];
	struct kernel_turns *turns;
	struct tiers_account account;
};

/* What a run has done, in order. @index: of the packet, or change */
struct tiers_event {
	enum { TIERS_PACKET, TIERS_PLAN, TIERS_TICK } kind;
	unsigned int index;
	uint64_t ts_ns;
};

#define TIERS_EVENTS_MAX (2 * TIERS_PKTS_MAX + TIERS_CHANGES_MAX + 2)

/**
 * struct tiers_run - a case under way
 * @random:  of what must not matter
 * @files:   of each function, -1: none
 * @events:  what has reached the plan
 * @waiting: packets in the batch
 * @counted: packets that the kernel has counted since it was asked last
 * @cells:   of functions that sample, + 1
 */
struct tiers_run {
	const struct tiers_case *c;
	struct tiers_kernel *kernel;
	struct random random;
	struct plan_flow *flows[TIERS_FLOWS_MAX];
	int files[TIERS_FLOWS_MAX][TIERS_FUNCTIONS_MAX];
	struct tiers_event events[TIERS_EVENTS_MAX];
	unsigned int n_events;
	unsigned int waiting[PACKET_BATCH_MAX];
	unsigned int counted[TIERS_PKTS_MAX], n_counted;
	struct plan *plan;
	struct plan_run *run;
	struct tiers_set *sets; /* newest first */
	struct packet_batch batch;
	uint64_t n_delivered, now_ns;
	uint64_t last_ns; /* of the last packet that was not delivered */
	unsigned int change, plan_change; /* of the program, of the plan */
	int cells[TIERS_FLOWS_MAX][TIERS_FUNCTIONS_MAX];
};

/* Can programs be loaded here? Says why not. */
bool tiers_can_load(void);
void tiers_kernel_init(struct tiers_kernel *ret);
void tiers_kernel_deinit(struct tiers_kernel *kernel);

/* What the flows want, and programs for it; none if all packets are to be delivered. */
struct tiers_set *tiers_set_new(struct tiers_run *t, struct plan_flow *const flows[],
	unsigned int n_flows, bool deliver_all);
void tiers_set_free(struct tiers_set *set);
/* What its programs have counted; and that given to the flows, as of packets until @last_ns. */
void tiers_set_read(struct tiers_set *set);
void tiers_set_give(struct tiers_set *set, uint64_t last_ns);
/* Functions of the run sample no more. */
void tiers_cells_put(struct tiers_run *t);

/* What an instance gives: its result, and records, packets or what it has written to its file. */
struct tiers_output {
	_Alignas(64) uint8_t result[256];
	size_t n_bytes;
	uint64_t hash;
};

/* @fd: of its file, -1: it writes none. Records are there until the instance is closed. */
void tiers_output_read(const struct plan_instance *instance, int fd, struct tiers_output *ret);
bool tiers_output_equals(const struct tiers_output *a, const struct tiers_output *b);

/* What a packet stands for on the wire. */
uint16_t tiers_wire_pkts(const struct test_packet *packet);
uint32_t tiers_wire_bytes(const struct test_packet *packet);

#endif
