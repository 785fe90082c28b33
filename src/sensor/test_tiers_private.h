/* SPDX-License-Identifier: BSD-2-Clause */
/* Flows at random, and packets for them: the same whenever they are made of the same case. */
#ifndef MAPI_SENSOR_TEST_TIERS_PRIVATE_H
#define MAPI_SENSOR_TEST_TIERS_PRIVATE_H

#include "filter/test_random.h"
#include "kernel/test_run.h"
#include "plan/plan.h"

#define TIERS_FLOWS_MAX 8u
#define TIERS_FUNCTIONS_MAX 6u
#define TIERS_PKTS_MAX 240u
#define TIERS_CHANGES_MAX 6u
#define TIERS_WORKERS_MAX 3u

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
 * @is_single:   some function goes by numbers of packets, which both tiers give out, or by the time
 * of single ones: what is delivered is run at once, or packets would have others
 */
struct tiers_case {
	bool has_all, has_gates, is_reversed, is_single;
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

#define TIERS_OUTPUT_BYTES 65536u

/* What an instance gives: its result, and records or what it has written to its file. */
struct tiers_output {
	_Alignas(64) uint8_t result[256];
	size_t n_bytes;
	uint8_t bytes[TIERS_OUTPUT_BYTES];
};

/* @fd: of its file, -1: it writes none. Records are there until the instance is closed. */
void tiers_output_read(const struct plan_instance *instance, int fd, struct tiers_output *ret);
bool tiers_output_equals(const struct tiers_output *a, const struct tiers_output *b);

/* What a packet stands for on the wire. */
uint16_t tiers_wire_pkts(const struct test_packet *packet);
uint32_t tiers_wire_bytes(const struct test_packet *packet);

#endif
