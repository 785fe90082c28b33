/* SPDX-License-Identifier: BSD-2-Clause */
/* The pcapng format: hand-made files for each feature, read from memory. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_private.h"

static size_t block_at;

static void block(uint32_t type)
{
	block_at = n_bytes;
	u32(type);
	u32(0);
}

static void block_end(void)
{
	uint32_t n;

	while ((n_bytes - block_at) % 4)
		u8(0);
	n = (uint32_t)(n_bytes - block_at) + 4;
	u32(n);
	memcpy(bytes + block_at + 4, bytes + n_bytes - 4, 4);
}

static void section(void)
{
	block(0x0a0d0d0a);
	u32(0x1a2b3c4d);
	u16(1);
	u16(0);
	u64(UINT64_MAX);
	block_end();
}

static void interface(uint16_t linktype, uint32_t snaplen)
{
	block(1);
	u16(linktype);
	u16(0);
	u32(snaplen);
	block_end();
}

static void option(uint16_t code, const void *value, uint16_t length)
{
	u16(code);
	u16(length);
	put(value, length);
	while (n_bytes % 4)
		u8(0);
}

static void enhanced(uint32_t index, uint64_t ts, uint32_t cap, uint32_t wire)
{
	block(6);
	u32(index);
	u32((uint32_t)(ts >> 32));
	u32((uint32_t)ts);
	u32(cap);
	u32(wire);
	fill(cap);
	block_end();
}

static void test_pcapng_sections_interfaces_and_blocks(void **state)
{
	const struct capfile_interface *third;

	start(false);
	section();
	interface(1, 0);
	interface(113, 100);
	enhanced(0, 5000001, 20, 60);
	block(5); /* statistics */
	u64(0);
	block_end();
	enhanced(0, 5000002, 21, 61);
	block(2); /* obsolete */
	u16(0);
	u16(9);
	u32(0);
	u32(5000003);
	u32(10);
	u32(70);
	fill(10);
	block_end();
	block(3); /* simple */
	u32(33);
	fill(33);
	block_end();
	swap = true; /* a section of the other order */
	section();
	block(1);
	u16(1);
	u16(0);
	u32(15);
	option(2, "eth7", 4);
	option(9, "\x09", 1);
	option(14, "\0\0\0\0\0\0\0\x0a", 8);
	option(0, "", 0);
	fill(2); /* behind the end of the options: not looked at */
	block_end();
	enhanced(0, 6000000001, 12, 12);
	block(3);
	u32(33);
	fill(15);
	block_end();
	read_fine(6);
	assert_int_equal(batch.linktype, 1);
	assert_int_equal(batch.ts_ns[0], 5000001000);
	assert_int_equal(batch.cap_bytes[2], 10);
	assert_int_equal(batch.wire_bytes[2], 70);
	assert_int_equal(batch.cap_bytes[3], 33);
	assert_int_equal(batch.ts_ns[3], 0);
	assert_int_equal(batch.ts_ns[4], 16000000001);
	assert_int_equal(batch.ifindex[4], 2);
	assert_int_equal(batch.cap_bytes[5], 15);
	assert_int_equal(batch.wire_bytes[5], 33);
	third = capfile_interface_get(&format, 2);
	assert_non_null(third);
	assert_string_equal(third->name, "eth7");
	assert_int_equal(third->ts_units_per_s, 1000000000);
	assert_null(capfile_interface_get(&format, 3));
}

static void test_pcapng_batches_end_where_the_link_type_changes(void **state)
{
	struct capfile_cursor cursor = { .swapped = false };
	struct capfile_span span;

	start(false);
	section();
	interface(1, 0);
	interface(101, 0);
	enhanced(0, 1, 20, 20);
	enhanced(0, 2, 20, 20);
	enhanced(1, 3, 20, 20);
	assert_int_equal(read_all(), 0);
	assert_int_equal(batch.n, 2); /* and not 3 */
	span = (struct capfile_span){ .bytes = bytes, .stop = n_bytes, .end = n_bytes };
	batch.n = 0;
	assert_int_equal(capfile_walk(&format, &cursor, &span, &batch, 256, "x", &err), 0);
	assert_int_equal(batch.n, 2);
	assert_int_equal(batch.linktype, 1);
	assert_int_equal(
		capfile_walk(&format, &cursor, &span, &batch, 256, "x", &err), CAPFILE_E_STOP);
	assert_int_equal(batch.n, 1);
	assert_int_equal(batch.linktype, 101);
	assert_int_equal(batch.ifindex[0], 1);
}

static void test_pcapng_timestamp_units(void **state)
{
	static const struct {
		uint8_t resolution;
		uint64_t ts, ns;
		int64_t offset;
	} rows[] = {
		{ 0, 5, 5000000000, 0 },
		{ 3, 5001, 5001000000, 0 },
		{ 6, 5000001, 5000001000, 0 },
		{ 6, UINT64_MAX, UINT64_MAX, 0 },
		{ 9, 5000000001, 5000000001, 0 },
		{ 12, 5000000001999, 5000000001, 0 },
		{ 19, 5, 0, 0 },
		{ 0x80 | 1, 3, 1500000000, 0 },
		{ 0x80 | 32, 0x180000000, 1500000000, 0 },
		{ 0x80 | 63, 1ULL << 62, 500000000, 0 },
		{ 6, 1000000, 0, -5 },
		{ 6, 1000000, UINT64_MAX, INT64_MAX },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start(false);
		section();
		block(1);
		u32(1);
		u32(0);
		option(9, &rows[i].resolution, 1);
		if (rows[i].offset)
			option(14, &rows[i].offset, 8);
		block_end();
		enhanced(0, rows[i].ts, 4, 4);
		read_fine(1);
		assert_int_equal(batch.ts_ns[0], rows[i].ns);
	}
}

static void bad_option(uint16_t code, uint16_t length, const char *value, const char *what)
{
	start(false);
	section();
	block(1);
	u32(1);
	u32(0);
	option(code, value, length);
	block_end();
	damaged(what);
}

static void test_pcapng_damage_is_named(void **state)
{
	size_t keep;

	bad_option(9, 1, "\x14", "10^-20");
	bad_option(9, 1, "\xc0", "2^-64");
	bad_option(9, 2, "\x06\x06", "resolution of 2 bytes");
	bad_option(14, 4, "\0\0\0\0", "offset of 4 bytes");
	start(false);
	section();
	keep = n_bytes;
	enhanced(0, 1, 4, 4);
	damaged("not been described");
	n_bytes = keep;
	block(3);
	u32(4);
	fill(4);
	block_end();
	damaged("not been described");
	n_bytes = keep;
	interface(1, 10);
	enhanced(0, 1, 11, 11);
	damaged("its interface at most 10");
	n_bytes = keep;
	interface(1, 0);
	enhanced(0, 1, 8, 8);
	bytes[block_at + 20] = 200;
	damaged("has room for 8");
	n_bytes = keep;
	block(6);
	u32(0);
	block_end();
	damaged("packet block of only 16");
	n_bytes = keep;
	block(2);
	block_end();
	damaged("packet block of only 12");
	n_bytes = keep;
	block(3);
	block_end();
	damaged("packet block of only 12");
	n_bytes = keep;
	block(1);
	block_end();
	damaged("interface description of only 12");
	n_bytes = keep;
	block(0x0a0d0d0a);
	u32(0x1a2b3c4d);
	block_end();
	damaged("section header of only 16");
	n_bytes = keep;
	block(0x0a0d0d0a);
	u32(0x1a2b3c4e);
	block_end();
	damaged("without byte order mark");
	n_bytes = keep;
	section();
	bytes[block_at + 12] = 2;
	damaged("version 2");
	n_bytes = keep;
	interface(1, 0);
	bytes[n_bytes - 4]++;
	damaged("starts with the length 20 and ends with 21");
	n_bytes = keep;
	block(77);
	block_end();
	bytes[block_at + 4] = 8;
	damaged("too short");
	bytes[block_at + 4] = 14;
	damaged("not a multiple of 4");
	bytes[block_at + 7] = 2;
	bytes[block_at + 4] = 16;
	damaged("too long");
	start(false);
	section();
	block(1);
	u32(1);
	u32(0);
	u16(2);
	u16(100);
	block_end();
	damaged("longer than its block");
}

static void test_pcapng_that_cannot_be_opened(void **state)
{
	start(false);
	section();
	bytes[14] = 1;
	assert_int_equal(read_all(), -EINVAL);
	assert_non_null(strstr(err.text, "1.1"));
	bytes[8] = 0;
	assert_int_equal(read_all(), CAPFILE_E_UNKNOWN);
	n_bytes = 10;
	assert_int_equal(read_all(), CAPFILE_E_UNKNOWN);
	assert_int_equal(capfile_file_open(&format, bytes, 10, true, "x", &err), CAPFILE_E_MORE);
	assert_int_equal(capfile_file_open(&format, bytes, 2, true, "x", &err), CAPFILE_E_MORE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pcapng_sections_interfaces_and_blocks),
		cmocka_unit_test(test_pcapng_batches_end_where_the_link_type_changes),
		cmocka_unit_test(test_pcapng_timestamp_units),
		cmocka_unit_test(test_pcapng_damage_is_named),
		cmocka_unit_test(test_pcapng_that_cannot_be_opened),
	};

	return cmocka_run_group_tests_name("capfile pcapng", tests, NULL, teardown);
}
