/* SPDX-License-Identifier: BSD-2-Clause */
/* The ERF format: hand-made files for each feature, read from memory. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_private.h"

static void erf_record(uint8_t type, uint32_t s, uint8_t flags, uint16_t extra, uint16_t wire)
{
	uint16_t v;

	swap = false;
	u32(0x80000000); /* half a second */
	u32(s);
	u8(type);
	u8(flags);
	v = __builtin_bswap16((uint16_t)(16 + extra));
	put(&v, 2);
	u16(0);
	v = __builtin_bswap16(wire);
	put(&v, 2);
}

static void test_erf_types(void **state)
{
	start(false);
	erf_record(2, 1000, 6, 2 + 64, 60); /* Ethernet with 4 bytes of alignment */
	fill(66);
	erf_record(2 | 0x80, 1001, 0, 16 + 2 + 20, 90); /* two extension headers */
	u8(0x85);
	fill(7);
	u8(0x05);
	fill(7);
	u16(0);
	fill(20);
	erf_record(48, 0, 0, 4, 0); /* padding */
	fill(4);
	erf_record(27, 1001, 0, 8, 0); /* provenance */
	fill(8);
	erf_record(16, 1002, 1, 2 + 30, 30);
	fill(32);
	read_fine(3);
	assert_int_equal(batch.linktype, 1);
	assert_int_equal(batch.cap_bytes[0], 60);
	assert_int_equal(batch.wire_bytes[0], 60);
	assert_int_equal(batch.ts_ns[0], 1000500000000);
	assert_int_equal(batch.ifindex[0], 2);
	assert_int_equal(batch.data[0][0], 3);
	assert_int_equal(batch.cap_bytes[1], 20);
	assert_int_equal(batch.wire_bytes[1], 90);
	assert_int_equal(batch.data[1][0], 1);
	assert_int_equal(batch.ifindex[2], 1);
}

static void test_erf_link_types(void **state)
{
	static const struct {
		uint8_t type;
		const char *head;
		uint32_t linktype;
	} rows[] = { { 1, "\xff\x03\x00\x21", 50 }, { 1, "\x0f\x00\x08\x00", 104 },
		{ 10, "\x8f\x00\x08\x00", 104 }, { 22, "\x45\x00\x00\x14", 228 },
		{ 23, "\x60\x00\x00\x00", 229 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start(false);
		erf_record(rows[i].type, 1000, 0, 4, 40);
		put(rows[i].head, 4);
		read_fine(1);
		assert_int_equal(batch.linktype, rows[i].linktype);
	}
}

static void test_erf_damage_and_doubt(void **state)
{
	start(false);
	erf_record(2, 1000, 0, 22, 20);
	fill(22);
	for (int i = 0; i < 20; i++) {
		erf_record(2, 1000, 0, 2, 20);
		fill(2);
	}
	erf_record(2, 1000, 0, 2, 20);
	bytes[n_bytes - 5] = 15; /* shorter than its header */
	damaged("15 bytes");
	n_bytes -= 16;
	erf_record(2 | 0x80, 1000, 0, 4, 20);
	fill(4);
	damaged("extension headers");
	n_bytes -= 20;
	erf_record(2, 1000, 0, 1, 20);
	fill(1);
	damaged("Ethernet record of only");
	/* Not plausible: other times, no length, no type. */
	start(false);
	erf_record(2, 1000, 0, 2, 20);
	fill(2);
	erf_record(2, 1000 + 8 * 86400, 0, 2, 20);
	fill(2);
	assert_int_equal(read_all(), CAPFILE_E_UNKNOWN);
	start(false);
	erf_record(2, 1000, 0, 2, 0);
	fill(2);
	assert_int_equal(read_all(), CAPFILE_E_UNKNOWN);
	start(false);
	erf_record(100, 1000, 0, 2, 20);
	fill(2);
	assert_int_equal(read_all(), CAPFILE_E_UNKNOWN);
	start(false);
	erf_record(48, 1000, 0, 2, 20); /* nothing but padding */
	fill(2);
	assert_int_equal(read_all(), CAPFILE_E_UNKNOWN);
	assert_int_equal(
		capfile_file_open(&format, bytes, n_bytes, true, "x", &err), CAPFILE_E_MORE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_erf_types),
		cmocka_unit_test(test_erf_link_types),
		cmocka_unit_test(test_erf_damage_and_doubt),
	};

	return cmocka_run_group_tests_name("capfile erf", tests, NULL, teardown);
}
