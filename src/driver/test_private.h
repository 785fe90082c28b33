/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers of the file driver's tests: files made in memory, and readings to be compared. */
#ifndef MAPI_DRIVER_TEST_PRIVATE_H
#define MAPI_DRIVER_TEST_PRIVATE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "file_private.h"

struct test_bytes {
	uint8_t bytes[1 << 20];
	size_t n;
};

static inline void test_put(struct test_bytes *out, const void *bytes, size_t n)
{
	memcpy(out->bytes + out->n, bytes, n);
	out->n += n;
}

static inline void test_u16(struct test_bytes *out, uint16_t v, bool swap)
{
	v = swap ? __builtin_bswap16(v) : v;
	test_put(out, &v, sizeof(v));
}

static inline void test_u32(struct test_bytes *out, uint32_t v, bool swap)
{
	v = swap ? __builtin_bswap32(v) : v;
	test_put(out, &v, sizeof(v));
}

static inline void test_pcap_header(
	struct test_bytes *out, uint32_t magic, uint32_t snaplen, uint32_t linktype, bool swap)
{
	test_u32(out, magic, swap);
	test_u16(out, 2, swap);
	test_u16(out, 4, swap);
	test_u32(out, 0, swap);
	test_u32(out, 0, swap);
	test_u32(out, snaplen, swap);
	test_u32(out, linktype, swap);
}

/* A packet whose bytes follow from its number. */
static inline void test_pcap_packet(struct test_bytes *out, uint32_t no, uint32_t cap, bool swap)
{
	test_u32(out, 1000000 + no, swap);
	test_u32(out, no % 1000000, swap);
	test_u32(out, cap, swap);
	test_u32(out, cap + no % 3, swap);
	for (uint32_t i = 0; i < cap; i++)
		out->bytes[out->n++] = (uint8_t)(no * 7 + i);
}

/* @n_pkts packets of varied lengths, some empty. */
static inline void test_pcap(struct test_bytes *out, unsigned int n_pkts)
{
	out->n = 0;
	test_pcap_header(out, 0xa1b2c3d4, 65535, 1, false);
	for (unsigned int i = 0; i < n_pkts; i++)
		test_pcap_packet(out, i, i * 37 % 120, false);
}

static inline int test_memfd(const void *bytes, size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	if (fd < 0 || (n > 0 && write(fd, bytes, n) != (ssize_t)n) || lseek(fd, 0, SEEK_SET) != 0)
		abort();
	return fd;
}

/* struct test_reading - everything that a reading gave, in few numbers. */
struct test_reading {
	uint64_t pkts;
	uint64_t cap_bytes;
	uint64_t wire_bytes;
	uint64_t sum; /* of all fields of all packets, in order */
	unsigned int redos;
	unsigned int last;
	struct error err;
};

static inline uint64_t test_mix(uint64_t sum, uint64_t v)
{
	return (sum ^ v) * 0x100000001b3u + (sum >> 47);
}

static inline void test_read_chunk(
	struct driver_source *source, struct driver_chunk *chunk, struct test_reading *ret)
{
	static struct packet_batch batch;

	while (driver_file.next_batch(source, chunk, &batch) == 0) {
		if (batch.n == 0 || batch.n > source->batch_pkts)
			abort();
		for (unsigned int i = 0; i < batch.n; i++) {
			ret->sum = test_mix(ret->sum, batch.ts_ns[i]);
			ret->sum = test_mix(ret->sum, batch.cap_bytes[i]);
			ret->sum = test_mix(ret->sum, batch.wire_bytes[i]);
			ret->sum = test_mix(
				ret->sum, (uint64_t)batch.linktype << 16 | batch.ifindex[i]);
			for (uint32_t b = 0; b < batch.cap_bytes[i]; b++)
				ret->sum = test_mix(ret->sum, batch.data[i][b]);
			ret->cap_bytes += batch.cap_bytes[i];
			ret->wire_bytes += batch.wire_bytes[i];
		}
		ret->pkts += batch.n;
	}
}

/* Read all with @n_workers chunks in flight, the newest first; redo as the plan does. */
static inline void test_read_all(
	struct driver_source *source, unsigned int n_workers, struct test_reading *ret)
{
	struct driver_chunk chunks[8];
	struct test_reading part;
	bool over = false;

	while (!over) {
		unsigned int n = 0;

		while (n < n_workers && driver_file.claim(source, &chunks[n]) == 0)
			n++;
		if (n == 0)
			return;
		for (unsigned int i = n; i-- > 0;) {
			part = (struct test_reading){ .pkts = 0 };
			test_read_chunk(source, &chunks[i], &part);
		}
		for (unsigned int i = 0; i < n; i++) {
			if (driver_file.verify(source, &chunks[i]) == DRIVER_E_REDO) {
				driver_file.rewind(source, &chunks[i]);
				part = (struct test_reading){ .pkts = 0 };
				test_read_chunk(source, &chunks[i], &part);
				ret->redos++;
			}
			if (!over) {
				/* Again from the start: rewinding gives the same, in the right
				 * order. */
				driver_file.rewind(source, &chunks[i]);
				test_read_chunk(source, &chunks[i], ret);
			}
			over = over || chunks[i].last;
			ret->last += chunks[i].last;
			if (chunks[i].error.code && !ret->err.code)
				ret->err = chunks[i].error;
			driver_file.release(source, &chunks[i]);
		}
	}
}

/* Open and read. @fd is taken. Return: as open(). */
static inline int test_read_fd(int fd, unsigned int n_workers, size_t range_bytes,
	size_t stream_bytes, unsigned int batch_pkts, struct test_reading *ret)
{
	struct driver_open_args args = {
		.name = "trace", .fd = fd, .batch_pkts = batch_pkts, .n_workers = n_workers
	};
	struct driver_source *source = NULL;
	int r;

	*ret = (struct test_reading){ .pkts = 0 };
	r = file_open_sized(&source, &args, range_bytes, stream_bytes, &ret->err);
	if (r == 0)
		test_read_all(source, n_workers, ret);
	(void)driver_file.close(source);
	return r;
}

#endif
