/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What port80.bpf.c counts, for its loader. */
#ifndef MAPI_BENCH_PORT80_H
#define MAPI_BENCH_PORT80_H

#define PORT80_CPUS_MAX 64

struct port80_count {
	__u64 pkts;
	__u64 bytes;
	__u64 reserve[6]; /* a cache line for each CPU */
};
_Static_assert(sizeof(struct port80_count) == 64, "one cache line");

#endif
