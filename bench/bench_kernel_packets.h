/* SPDX-License-Identifier: BSD-2-Clause */
/* What bench_kernel runs on, of libpcap's side: its instructions have the kernel's name. */
#ifndef MAPI_BENCH_KERNEL_PACKETS_H
#define MAPI_BENCH_KERNEL_PACKETS_H

#include "filter/filter.h"
#include "kernel/test_run.h"

#define BENCH_PACKETS_MAX 192

/* Packets from all over the files, as many of each, of at least 60 bytes, as on a wire. The same
 * files give the same packets. Return: their number. */
unsigned int bench_packets(
	struct test_packet ret[BENCH_PACKETS_MAX], char *const paths[], unsigned int n_paths);

/* The first is "tcp port 80", all others are different. Return: 0, or negative. */
int bench_filters(const struct filter_program *ret[], unsigned int n);

#endif
