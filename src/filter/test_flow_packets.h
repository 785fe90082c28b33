/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets at random whose headers are mostly in order: VLAN tags and others, IP with options,
 * extension headers, fragments, lengths that end them early; mostly of TCP and UDP. */
#ifndef MAPI_FILTER_TEST_FLOW_PACKETS_H
#define MAPI_FILTER_TEST_FLOW_PACKETS_H

#include "test_random.h"

struct test_flow_packet {
	uint8_t bytes[512];
	uint32_t n;
};

void test_flow_packet(struct test_flow_packet *ret, struct random *r);

#endif
