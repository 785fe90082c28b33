/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Helpers of the tests of the formats: a file is put together field by field in memory, then
 * scanned and walked. Included after cmocka.h, once per program.
 */
#ifndef MAPI_CAPFILE_TEST_PRIVATE_H
#define MAPI_CAPFILE_TEST_PRIVATE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mapi/errors.h"
#include "reader.h"

static uint8_t bytes[1 << 16];
static size_t n_bytes;
static bool swap;

static struct packet_batch batch;
static struct capfile_file format;
static struct error err;
static int outcome; /* of the last walk or, if that found nothing wrong, of the scan */

static inline void put(const void *from, size_t n)
{
	memcpy(bytes + n_bytes, from, n);
	n_bytes += n;
}

static inline void u8(uint8_t v)
{
	bytes[n_bytes++] = v;
}

static inline void u16(uint16_t v)
{
	v = swap ? __builtin_bswap16(v) : v;
	put(&v, sizeof(v));
}

static inline void u32(uint32_t v)
{
	v = swap ? __builtin_bswap32(v) : v;
	put(&v, sizeof(v));
}

static inline void u64(uint64_t v)
{
	v = swap ? __builtin_bswap64(v) : v;
	put(&v, sizeof(v));
}

static inline void start(bool swapped)
{
	n_bytes = 0;
	swap = swapped;
}

static inline void fill(size_t n)
{
	for (size_t i = 0; i < n; i++)
		u8((uint8_t)(i + 1));
}

/* Scan and walk all that was put. Return: outcome of opening. */
static inline int read_all(void)
{
	struct capfile_cursor scanned = { .swapped = false }, walked = { .swapped = false };
	struct capfile_span span = { .bytes = bytes, .end = n_bytes, .rewrite = true };
	uint64_t n_pkts = 0;
	int r;

	capfile_file_deinit(&format);
	memset(&format, 0, sizeof(format));
	err = ERROR_INIT;
	batch.n = 0;
	r = capfile_file_open(&format, bytes, n_bytes, false, "x", &err);
	if (r != 0)
		return r;
	span.at = format.header_bytes;
	span.stop = n_bytes;
	outcome = capfile_scan(&format, &scanned, &span, &n_pkts, "x", &err);
	span.stop = span.at;
	span.at = format.header_bytes;
	r = capfile_walk(&format, &walked, &span, &batch, PACKET_BATCH_MAX, "x", NULL);
	assert_int_equal(r, batch.n == n_pkts ? CAPFILE_E_STOP : 0);
	return 0;
}

static inline void damaged(const char *what)
{
	assert_int_equal(read_all(), 0);
	assert_int_equal(outcome, CAPFILE_E_DAMAGED);
	assert_int_equal(err.code, MAPI_CAPTURE_DAMAGED);
	if (!strstr(err.text, what))
		fail_msg("'%s' is not in '%s'", what, err.text);
}

static inline void read_fine(unsigned int n_pkts)
{
	assert_int_equal(read_all(), 0);
	if (outcome != CAPFILE_E_STOP)
		fail_msg("%s", err.text);
	assert_int_equal(batch.n, n_pkts);
}

static inline int teardown(void **state)
{
	capfile_file_deinit(&format);
	return 0;
}

#endif
