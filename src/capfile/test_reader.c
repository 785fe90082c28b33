/* SPDX-License-Identifier: BSD-2-Clause */
/* The formats: hand-made files for each feature, read from memory. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

static void put(const void *from, size_t n)
{
	memcpy(bytes + n_bytes, from, n);
	n_bytes += n;
}

static void u8(uint8_t v)
{
	bytes[n_bytes++] = v;
}

static void u16(uint16_t v)
{
	v = swap ? __builtin_bswap16(v) : v;
	put(&v, sizeof(v));
}

static void u32(uint32_t v)
{
	v = swap ? __builtin_bswap32(v) : v;
	put(&v, sizeof(v));
}

static void u64(uint64_t v)
{
	v = swap ? __builtin_bswap64(v) : v;
	put(&v, sizeof(v));
}

static void start(bool swapped)
{
	n_bytes = 0;
	swap = swapped;
}

static void fill(size_t n)
{
	for (size_t i = 0; i < n; i++)
		u8((uint8_t)(i + 1));
}

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

/* Scan and walk all that was put. Return: outcome of opening. */
static int read_all(void)
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

static void damaged(const char *what)
{
	assert_int_equal(read_all(), 0);
	assert_int_equal(outcome, CAPFILE_E_DAMAGED);
	assert_int_equal(err.code, MAPI_CAPTURE_DAMAGED);
	if (!strstr(err.text, what))
		fail_msg("'%s' is not in '%s'", what, err.text);
}

static void read_fine(unsigned int n_pkts)
{
	assert_int_equal(read_all(), 0);
	if (outcome != CAPFILE_E_STOP)
		fail_msg("%s", err.text);
	assert_int_equal(batch.n, n_pkts);
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

static int teardown(void **state)
{
	capfile_file_deinit(&format);
	return 0;
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
		cmocka_unit_test(test_pcapng_sections_interfaces_and_blocks),
		cmocka_unit_test(test_pcapng_batches_end_where_the_link_type_changes),
		cmocka_unit_test(test_pcapng_timestamp_units),
		cmocka_unit_test(test_pcapng_damage_is_named),
		cmocka_unit_test(test_pcapng_that_cannot_be_opened),
		cmocka_unit_test(test_erf_types),
		cmocka_unit_test(test_erf_link_types),
		cmocka_unit_test(test_erf_damage_and_doubt),
	};

	return cmocka_run_group_tests_name("capfile reader", tests, NULL, teardown);
}
