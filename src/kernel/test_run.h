/* SPDX-License-Identifier: BSD-2-Clause */
/* Loaded programs run on given packets, by BPF_PROG_RUN. Apart from the tests themselves, because
 * libpcap's instructions and the kernel's have the same name. */
#ifndef MAPI_KERNEL_TEST_RUN_H
#define MAPI_KERNEL_TEST_RUN_H

#include "kernel.h"

/**
 * struct test_packet - what is run
 * @tag:      a VLAN tag (type, then tag control information) that the kernel keeps beside the
 *            packet: TC only. 0: none
 * @gso_size, @gso_segs: of a super-packet; 0: it is none. Not XDP
 * @linear_bytes: how much of it is in one piece, 0: all of it. XDP only
 */
struct test_packet {
	const uint8_t *data;
	uint32_t n_bytes;
	uint32_t tag;
	uint32_t gso_size;
	uint32_t gso_segs;
	uint32_t linear_bytes;
};

/* Larger packets are in several buffers; and larger than the second are not run. */
#define TEST_RUN_BYTES_MAX 3400u
#define TEST_RUN_JUMBO_MAX 9000u

/**
 * test_run() - run a program on one packet
 * @ret_verdict: what it returned; NULL is allowed
 *
 * Return: 0, or a negative errno if the kernel does not take the packet.
 */
int test_run(int fd, enum kernel_hook hook, const struct test_packet *packet, int *ret_verdict);

/* Median of @rounds of the mean nanoseconds of @repeat runs; 0 if the kernel does not take it. */
double test_run_ns(int fd, enum kernel_hook hook, const struct test_packet *packet,
	unsigned int repeat, unsigned int rounds);

/* A program that pushes @packet's tag, which must be the same from now on, then calls @fd; for TC.
 * Return: a descriptor, or a negative errno. */
int test_run_tagger(int fd, uint32_t tag);

/* From now on this thread loads as an engine's parent does, without CAP_PERFMON, or as before. */
void test_run_distrust(bool is_distrusted);

/* How many instructions the verifier went through; 0: this kernel does not say. */
uint32_t test_run_verified(int fd);

/* A program that returns at once. Return: a descriptor, or a negative errno. */
int test_run_nothing(enum kernel_hook hook);

#endif
