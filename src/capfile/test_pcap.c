/* SPDX-License-Identifier: BSD-2-Clause */
/* The pcap format: hand-made files for each feature, read from memory. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_private.h"

static void pcap_head(
	uint32_t magic, uint16_t major, uint16_t minor, uint32_t snaplen, uint32_t link)
{
	u32(magic);
	u16(major);
	u16(minor);
	u32(0);
	u32(0);
	u32(snaplen);
	u32(link);
}

static void pcap_packet(uint32_t s, uint32_t frac, uint32_t cap, uint32_t wire)
{
	u32(s);
	u32(frac);
	u32(cap);
	u32(wire);
	fill(cap);
}

static void test_pcap_of_both_byte_orders_and_units(void **state)
{
	for (int s = 0; s < 2; s++) {
		start(s);
		pcap_head(0xa1b2c3d4, 2, 4, 65535, 1);
		pcap_packet(3, 7, 20, 60);
		read_fine(1);
		assert_int_equal(batch.ts_ns[0], 3000007000);
		assert_int_equal(batch.cap_bytes[0], 20);
		assert_int_equal(batch.wire_bytes[0], 60);
		assert_int_equal(batch.linktype, 1);
		start(s);
		pcap_head(0xa1b23c4d, 2, 4, 65535, 1);
		pcap_packet(3, 7, 20, 60);
		read_fine(1);
		assert_int_equal(batch.ts_ns[0], 3000000007);
	}
}

static void test_pcap_variants_of_kuznetsov_and_ixia(void **state)
{
	start(false);
	pcap_head(0xa1b2cd34, 2, 4, 10, 1);
	for (int i = 0; i < 2; i++) {
		pcap_packet(1, 2, 0, 30);
		bytes[n_bytes - 8] = 30;
		put("ifindxpk", 8);
		fill(30);
	}
	read_fine(2);
	assert_int_equal(batch.cap_bytes[1], 24); /* snapshot and a faked Ethernet header */
	assert_int_equal(batch.data[1][0], 1);
	start(true);
	pcap_head(0x1c0001ac, 2, 4, 65535, 1);
	u32(36);
	pcap_packet(1, 2, 20, 20);
	read_fine(1);
	assert_int_equal(batch.ts_ns[0], 1000000002);
}

static void test_pcap_lengths_in_the_old_order(void **state)
{
	static const struct {
		uint16_t major, minor;
		uint32_t cap, wire;
	} rows[] = { { 2, 2, 20, 60 }, { 543, 0, 20, 60 }, { 2, 3, 20, 60 }, { 2, 4, 20, 60 } };

	for (size_t i = 0; i < 4; i++) {
		bool old = rows[i].minor < 4;

		start(false);
		pcap_head(0xa1b2c3d4, rows[i].major, rows[i].minor, 65535, 1);
		u32(1);
		u32(2);
		u32(old ? rows[i].wire : rows[i].cap);
		u32(old ? rows[i].cap : rows[i].wire);
		fill(20);
		read_fine(1);
		assert_int_equal(batch.cap_bytes[0], 20);
		assert_int_equal(batch.wire_bytes[0], 60);
	}
	start(false);
	pcap_head(0xa1b2c3d4, 2, 3, 65535, 1);
	pcap_packet(1, 2, 20, 60);
	read_fine(1);
	assert_int_equal(batch.cap_bytes[0], 20);
}

static void test_pcap_snapshot_lengths(void **state)
{
	static const uint32_t absurd[] = { 0, 0x80000000, 0xffffffff };

	start(false);
	pcap_head(0xa1b2c3d4, 2, 4, 15, 1 | 0x14000000); /* with the length of an FCS */
	pcap_packet(1, 2, 20, 60);
	read_fine(1);
	assert_int_equal(batch.cap_bytes[0], 15);
	assert_int_equal(batch.linktype, 1);
	for (size_t i = 0; i < 3; i++) {
		start(false);
		pcap_head(0xa1b2c3d4, 2, 4, absurd[i], 1);
		pcap_packet(1, 2, 20, 60);
		read_fine(1);
		assert_int_equal(batch.cap_bytes[0], 20);
		assert_int_equal(capfile_interface_get(&format, 0)->snaplen_bytes, 262144);
	}
}

static void test_pcap_that_cannot_be_opened(void **state)
{
	start(false);
	pcap_head(0xa1b2c3d4, 2, 5, 65535, 1);
	assert_int_equal(read_all(), -EINVAL);
	assert_int_equal(err.code, PCAP_OPEN_ERR);
	assert_non_null(strstr(err.text, "2.5"));
	start(false);
	pcap_head(0xa1b2c3d4, 1, 0, 65535, 1);
	assert_int_equal(read_all(), -EINVAL);
	start(false);
	pcap_head(0x12345678, 2, 4, 65535, 1);
	assert_int_equal(read_all(), CAPFILE_E_UNKNOWN);
}

static void test_pcap_records_that_are_too_long(void **state)
{
	start(false);
	pcap_head(0xa1b2c3d4, 2, 4, 65535, 1);
	pcap_packet(1, 2, 20, 60);
	u64(0);
	u32(262145);
	u32(262145);
	damaged("262145 captured bytes");
	assert_int_equal(batch.n, 1);
	assert_non_null(strstr(err.text, "offset 60"));
	/* D-Bus messages may be longer: here the file ends, which is another fault. */
	bytes[20] = 231;
	damaged("the file ends after 16");
}

/* Fields of foreign headers, turned: each row is one that libpcap turns too. */
static void test_pseudo_headers_of_foreign_hosts(void **state)
{
	static const struct {
		uint32_t linktype;
		uint8_t set_at, set; /* a byte that decides, 0xff: none */
		uint8_t at, length;
	} rows[] = { { 113, 15, 12, 16, 4 }, { 117, 0, 61, 44, 4 }, { 117, 0, 61, 56, 4 },
		{ 189, 9, 3, 0, 8 }, { 189, 9, 3, 12, 2 }, { 189, 9, 3, 16, 8 },
		{ 189, 9, 3, 36, 4 }, { 189, 9, 0, 44, 4 }, { 220, 9, 0, 48, 4 },
		{ 220, 9, 3, 56, 4 }, { 239, 1, 0, 4, 2 }, { 239, 1, 0, 6, 2 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t before[80];

		for (uint32_t cap = 0; cap <= 80; cap++) {
			size_t at;

			start(true);
			pcap_head(0xa1b2c3d4, 2, 4, 65535, rows[i].linktype);
			at = n_bytes + 16;
			pcap_packet(1, 2, cap, 80);
			if (rows[i].linktype == 113 && cap > 15)
				bytes[at + 14] = 0;
			if (cap > rows[i].set_at)
				bytes[at + rows[i].set_at] = rows[i].set;
			memcpy(before, bytes + at, cap);
			read_fine(1);
		}
		for (unsigned int b = 0; b < rows[i].length; b++)
			assert_int_equal(batch.data[0][rows[i].at + b],
				before[rows[i].at + rows[i].length - 1 - b]);
	}
}

static void test_usb_lengths_are_mended(void **state)
{
	for (int broken = 0; broken < 2; broken++) {
		start(false);
		pcap_head(0xa1b2c3d4, 2, 4, 65535, 220);
		pcap_packet(1, 2, 0, (uint32_t)(64 + 2 * 16 + 1000 + broken));
		bytes[n_bytes - 8] = 64 + 32 + 10;
		u64(1);
		u8('C');
		u8(0);
		u8(0x81);
		u8(1);
		u16(1);
		u8('-');
		u8(0);
		u64(0);
		u32(0);
		u32(0);
		u32(1000); /* urb length */
		u32(10);
		u64(0);
		u32(0);
		u32(0);
		u32(0);
		u32(2); /* descriptors */
		for (uint32_t i = 0; i < 2; i++) {
			u32(0);
			u32(i * 100);
			u32(50);
			u32(0);
		}
		fill(10);
		read_fine(1);
		assert_int_equal(batch.wire_bytes[0], broken ? 1097 : 64 + 32 + 150);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pcap_of_both_byte_orders_and_units),
		cmocka_unit_test(test_pcap_variants_of_kuznetsov_and_ixia),
		cmocka_unit_test(test_pcap_lengths_in_the_old_order),
		cmocka_unit_test(test_pcap_snapshot_lengths),
		cmocka_unit_test(test_pcap_that_cannot_be_opened),
		cmocka_unit_test(test_pcap_records_that_are_too_long),
		cmocka_unit_test(test_pseudo_headers_of_foreign_hosts),
		cmocka_unit_test(test_usb_lengths_are_mended),
	};

	return cmocka_run_group_tests_name("capfile pcap", tests, NULL, teardown);
}
