/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of plans have in common: packets made at random, and functions applied to flows.
 */
#ifndef MAPI_PLAN_TEST_PACKETS_PRIVATE_H
#define MAPI_PLAN_TEST_PACKETS_PRIVATE_H

#include "plan.h"

#define TEST_PKTS 1500

struct test_packet {
	uint8_t data[64];
	uint32_t cap_bytes;
	uint32_t wire_bytes;
	uint64_t ts_ns;
};

extern struct test_packet test_packets[TEST_PKTS];
extern bool test_live; /* packets are a live source's, every third a super-packet */

void test_seed(uint64_t seed);
uint32_t test_random(uint32_t below);

/* Ethernet and IPv4 with TCP or UDP; time mostly forward. */
void test_make_packets(uint64_t seed);
/* Packets @from to @from + @n. */
void test_fill(struct packet_batch *batch, unsigned int from, unsigned int n);

extern const struct plan_device test_device;

/* @values, @ref: NULL: none. */
struct plan_instance *test_apply(struct plan_flow *flow, const char *name,
	const struct function_value *values, struct plan_instance *ref);

/* All packets by one worker; @before: NULL, or called before the batch that begins with packet @at.
 */
void test_run_direct(struct plan *plan, unsigned int batch_pkts,
	void (*before)(struct plan_run *run, unsigned int at));

#endif
