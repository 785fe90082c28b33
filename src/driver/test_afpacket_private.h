/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers of the AF_PACKET driver's tests: frames to send, captures to sum up. */
#ifndef MAPI_DRIVER_TEST_AFPACKET_PRIVATE_H
#define MAPI_DRIVER_TEST_AFPACKET_PRIVATE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants those before it. */
#include <cmocka.h>
#include <errno.h>

#include "afpacket_private.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "mapi/errors.h"
#include "test_veth.h"

#define TEST_FRAME_BYTES 16384

struct test_frame {
	uint8_t bytes[TEST_FRAME_BYTES];
	size_t n;
};

/* struct test_capture - a source, and sums over what it gave. */
struct test_capture {
	struct driver_source *source;
	uint64_t pkts;
	uint64_t wire_pkts;
	uint64_t wire_bytes;
	uint64_t all_wire_bytes;
	uint64_t cap_bytes;
	uint64_t outbound;
	uint64_t disordered; /* packets before their predecessor in time */
	uint64_t numbers; /* sum of the packets' own */
	uint64_t last_ts_ns;
	uint8_t last[TEST_FRAME_BYTES];
	size_t last_bytes;
	uint8_t last_flags;
	const void *ring[2];
	unsigned int rings[64]; /* by flow: which rings saw it, a bit for each */
	uint8_t *copy; /* NULL, or TEST_COPY_BYTES for (length, bytes) of each packet */
	size_t copy_bytes;
};

#define TEST_COPY_BYTES (4u << 20)

void test_frame_put(struct test_frame *frame, const void *bytes, size_t n);
void test_frame_u16(struct test_frame *frame, uint16_t host);
void test_frame_ethernet(struct test_frame *frame); /* the two addresses */
/* From the Ethernet type on; the whole frame becomes @n_bytes long. Both directions of flow number
 * @flow: odd numbers go backwards. */
void test_frame_udp(struct test_frame *frame, uint32_t no, size_t n_bytes, unsigned int flow);
void test_frame_tcp(struct test_frame *frame, size_t payload_bytes);

/* Return: whether it was sent. */
bool test_try_send(
	const char *name, const struct test_frame *frame, const struct virtio_net_hdr *vnet);
void test_send(const char *name, const struct test_frame *frame, const struct virtio_net_hdr *vnet);
/* From "a" forwards, from others backwards. Return: bytes of the frame. */
size_t test_send_udp(const char *name, uint32_t no, size_t n_bytes, unsigned int flow);

void test_capture_open(struct test_capture *c, const char *name,
	const struct driver_options *options, unsigned int n_workers);
/* prepare() with all rights, open() without CAP_NET_RAW, which stays so until closing. */
void test_capture_open_without_right(
	struct test_capture *c, const char *name, unsigned int n_workers);
void test_capture_close(struct test_capture *c);
bool test_capture_knows_super(const struct test_capture *c);

/* Add up a chunk, twice: after rewinding it must be the same. */
void test_capture_chunk(struct test_capture *c, struct driver_chunk *chunk);
/* Until there are @n_pkts in all, or 5 s have passed; then once more, to find surplus. */
void test_capture_read(struct test_capture *c, uint64_t n_pkts);
/* One claim that gives nothing, or a chunk that is counted. */
void test_capture_idle(struct test_capture *c);

/* tcpdump, capturing into a file. Return: false if there is none. */
bool test_tcpdump_start(const char *name, pid_t *ret_pid, int *ret_fd);
/* When it has written @n_bytes, read them. */
void test_tcpdump_end(pid_t pid, int fd, uint8_t *ret, size_t n_bytes);

#endif
