/* SPDX-License-Identifier: BSD-2-Clause */
/* Random filter expressions, programs and packets, for tests and benchmarks. Repeatable by seed. */
#ifndef MAPI_FILTER_TEST_RANDOM_H
#define MAPI_FILTER_TEST_RANDOM_H

#include <pcap/pcap.h>
#include <stddef.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

uint32_t random_next(struct random *r);

/* Less than @n. */
uint32_t random_below(struct random *r, uint32_t n);

/* An expression over the primitives of pcap-filter(7) for Ethernet; libpcap refuses some of them.
 */
void random_expression(struct random *r, char *ret, size_t ret_bytes);

/* One of five patterns that monitoring programs use, with varying numbers; never refused. */
void random_plain_expression(struct random *r, char *ret, size_t ret_bytes);

/* Changes a few fields of a program; what comes out need not be valid. */
void random_mutate_program(struct random *r, struct bpf_insn *insns, unsigned int n_insns);

/* A program of random instructions: the codes are known, most jumps and slots within bounds. */
void random_program(struct random *r, struct bpf_insn *insns, unsigned int n_insns);

/* Fills a packet with bytes that look somewhat like Ethernet, and cuts it. Return: its length. */
uint32_t random_packet(struct random *r, uint8_t *ret, uint32_t room_bytes);

#endif
