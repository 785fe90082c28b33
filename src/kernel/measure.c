/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a packet costs in a program: it is run on a few frames before it is attached (BPF_PROG_RUN),
 * and its memory is cleared afterwards. The cost is left in the first CPU's share, so that it comes
 * to whoever maps the counters, also from another process.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "kernel_private.h"

#define MEASURE_RUNS 100 /* of each frame; a program of 65,536 instructions: some 10 ms in all */

/* clang-format off */
/* DNS over UDP, from 192.0.2.1 to 192.0.2.2. */
static const uint8_t measure_udp[74] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00,
	0x45, 0, 0, 60, 0, 1, 0x40, 0, 64, 17, 0xb6, 0xac, 192, 0, 2, 1, 192, 0, 2, 2,
	0xd4, 0x31, 0, 53, 0, 40, 0, 0,
};
/* A full segment of TCP, to port 443. */
static const uint8_t measure_tcp[1514] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00,
	0x45, 0, 0x05, 0xdc, 0, 1, 0x40, 0, 64, 6, 0xb1, 0x17, 192, 0, 2, 1, 192, 0, 2, 2,
	0xd4, 0x31, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
};
/* The same without data, over IPv6: from 2001:db8::1 to 2001:db8::2. */
static const uint8_t measure_tcp6[74] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd,
	0x60, 0, 0, 0, 0, 20, 6, 64,
	0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
	0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
	0xd4, 0x31, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
};
/* clang-format on */

static const struct {
	const uint8_t *data;
	uint32_t n_bytes;
} measure_frames[] = {
	{ measure_udp, sizeof(measure_udp) },
	{ measure_tcp, sizeof(measure_tcp) },
	{ measure_tcp6, sizeof(measure_tcp6) },
};

/* Return: nanoseconds per packet; 0: this kernel does not say. */
static uint64_t measure_run(int program_fd)
{
	uint64_t sum_ns = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(measure_frames); i++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = measure_frames[i].data,
			.data_size_in = measure_frames[i].n_bytes, .repeat = MEASURE_RUNS);

		if (bpf_prog_test_run_opts(program_fd, &opts) < 0)
			return 0;
		sum_ns += opts.duration; /* of one run */
	}
	return MAX(sum_ns / ARRAY_SIZE(measure_frames), 1u);
}

int kernel_measure(const struct kernel_fds *fds, size_t area_bytes, bool runs)
{
	_cleanup_(cleanup_freep) struct kernel_area *zero = calloc(1, area_bytes);
	const uint32_t first = 0;

	if (!zero)
		return -ENOMEM;
	zero->cost_ns = runs ? measure_run(fds->program) : 0;
	return bpf_map_update_elem(fds->area, &first, zero, 0) < 0 ? -errno : 0;
}
