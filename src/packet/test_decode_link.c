/* SPDX-License-Identifier: BSD-2-Clause */
/* Link types, and the tags between them and the network header. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "decode_test_private.h"

static struct decode_columns c;

/* Header bytes in hexadecimal; blanks are ignored. */
static void put_hex(struct pkt *p, const char *hex)
{
	for (unsigned int digits = 0; *hex; hex++) {
		int value;

		if (*hex == ' ')
			continue;
		value = *hex <= '9' ? *hex - '0' : *hex - 'a' + 10;
		if (digits++ % 2)
			p->b[p->n - 1] = (uint8_t)(p->b[p->n - 1] << 4 | value);
		else
			put8(p, (unsigned int)value);
	}
}

#define MACS "020202020202 060606060606 "
#define SNAP "aaaa03 000000 "
#define ZERO4 "00000000"
#define ZERO16 ZERO4 ZERO4 ZERO4 ZERO4

static void test_link_types_that_carry_ip(void **state)
{
	static const struct {
		uint32_t linktype;
		const char *header;
		int version;
	} cases[] = {
		{ 0, "02000000", 4 }, /* null, both byte orders */
		{ 0, "00000002", 4 },
		{ 0, "1e000000", 6 },
		{ 0, "0000001c", 6 },
		{ 108, "00000018", 6 },
		{ 108, "0000000a", 6 },
		{ 1, MACS "0800", 4 },
		{ 1, MACS "86dd", 6 },
		{ 1, MACS "0040" SNAP "0800", 4 },
		{ 1, MACS "0040 aaaa03 0000f8 0800", 4 },
		{ 1, MACS "0040 060603", 4 },
		{ 1, MACS "8100 0005 0040" SNAP "86dd", 6 },
		{ 6, "0050" MACS SNAP "0800", 4 }, /* token ring */
		{ 6, "0040 020202020202 860606060606 c430 0000" SNAP "0800", 4 },
		{ 8, ZERO16, 4 },
		{ 9, "ff030021", 4 }, /* PPP */
		{ 9, "0021", 4 },
		{ 9, "21", 4 },
		{ 9, "0f000800", 4 }, /* Cisco */
		{ 9, "0057", 6 },
		{ 9, "ff030281 00010140", 4 },
		{ 10, "50" MACS SNAP "0800", 4 }, /* FDDI */
		{ 12, "", 4 },
		{ 14, "", 6 },
		{ 50, "ff030021", 4 },
		{ 50, "0f000800", 4 }, /* Cisco */
		{ 51, "1100 0001 002e 0021", 4 },
		{ 100, SNAP "0800", 4 },
		{ 100, "aaaa03 0080c2 0007 0000" MACS "0800", 4 },
		{ 101, "", 4 },
		{ 101, "", 6 },
		{ 104, "0f0086dd", 6 },
		{ 105, "0801 0000" ZERO16 ZERO4 SNAP "0800", 4 }, /* 802.11 */
		{ 105, "0803 0000" ZERO16 ZERO4 ZERO4 "0000" SNAP "0800", 4 }, /* four addresses */
		{ 105, "8801 0000" ZERO16 ZERO4 "0000" SNAP "0800", 4 }, /* QoS */
		{ 105, "8881 0000" ZERO16 ZERO4 "0000" ZERO4 SNAP "0800", 4 }, /* HT control */
		{ 107, "1841 03 cc", 4 }, /* frame relay */
		{ 107, "1841 03 8e", 6 },
		{ 107, "1841 03 00 80 000000 0800", 4 },
		{ 107, "18400001 03 cc", 4 },
		{ 107, "1841 0800", 4 },
		{ 109, "02000000" ZERO4 ZERO4, 4 },
		{ 113, "0000 0001 0006" ZERO4 ZERO4 "0800", 4 }, /* cooked */
		{ 113, "0000 0001 0006" ZERO4 ZERO4 "0004" SNAP "0800", 4 },
		{ 113, "0000 0001 0006" ZERO4 ZERO4 "8100 0007 86dd", 6 },
		{ 117, "05" ZERO4 "000000", 4 },
		{ 119,
			ZERO16 ZERO16 ZERO16 ZERO16 ZERO16 ZERO16 ZERO16 ZERO16 ZERO16
			"0801 0000" ZERO16 ZERO4 SNAP "0800",
			4 },
		{ 119, "80211001 00000008 0801 0000" ZERO16 ZERO4 SNAP "0800", 4 },
		{ 123,
			"02"
			"000000" SNAP "0800",
			4 },
		{ 127, "0000 0800 00000000 0801 0000" ZERO16 ZERO4 SNAP "0800", 4 }, /* radiotap */
		{ 127, "0000 0900 02000000 20 8801 0000" ZERO16 ZERO4 "0000 0000" SNAP "0800", 4 },
		{ 127,
			"0000 1900 03000080 00000000 00000000" ZERO4 ZERO4
			"20 8801 0000" ZERO16 ZERO4 "0000 0000" SNAP "0800",
			4 },
		{ 138, ZERO16 "0800", 4 },
		{ 163, "80211001 00000008 0801 0000" ZERO16 ZERO4 SNAP "0800", 4 },
		{ 192, "0000 0800 69000000 0801 0000" ZERO16 ZERO4 SNAP "0800", 4 }, /* PPI */
		{ 219, "00010140", 4 },
		{ 228, "", 4 },
		{ 229, "", 6 },
		{ 239, "02000000 0500 0100 ff000000 3000 0900", 4 }, /* NFLOG */
		{ 239, "0a000000 4400 0900", 6 },
		{ 276, "0800" ZERO16 "0000", 4 },
		{ 282, MACS ZERO4 "0800", 4 },
		{ 283, ZERO4 MACS "0800", 4 },
		{ 284, MACS ZERO4 "0800", 4 },
		{ 285, MACS ZERO4 ZERO4 "0800", 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pkt p = { 0 };
		uint32_t n;

		put_hex(&p, cases[i].header);
		n = p.n;
		if (cases[i].version == 4)
			put_ipv4_tcp(&p);
		else
			put_ipv6_tcp(&p);
		check_packet(cases[i].linktype, &p, &c);
		if (c.outer[0].l3_offset != n)
			print_error("case %zu, link type %u\n", i, cases[i].linktype);
		assert_int_equal(c.l2_end[0], n);
		assert_int_equal(c.ethertype[0], cases[i].version == 4 ? 0x0800 : 0x86dd);
		assert_int_equal(c.outer[0].l3_offset, n);
		assert_int_equal(c.outer[0].src_port, 1234);
	}
}

static void test_link_types_that_carry_something_else(void **state)
{
	static const struct {
		uint32_t linktype;
		const char *packet;
		uint32_t l2_end;
		unsigned int ethertype;
	} cases[] = {
		{ 0, "07000000 ffff", 4, 0 },
		{ 1, MACS "0806 0001", 14, 0x0806 },
		{ 1, MACS "05dd 0001", 14, 0 }, /* neither a length nor a type */
		{ 1, MACS "0020 ffff 0020", 14, 0 },
		{ 1, MACS "0020 424203 00", 17, 0 },
		{ 1, MACS "0020 f0f000 00", 18, 0 },
		{ 1, MACS "0020 aaaa03 00000c 2000", 22, 0 },
		{ 6, "0000" MACS "00", 14, 0 },
		{ 9, "c021 01", 2, 0 },
		{ 10, "4f" MACS "00", 13, 0 },
		{ 51, "1109 0000 0004 0101", 6, 0 }, /* PPPoE discovery */
		{ 105, "8000 0000" ZERO16, 0, 0 }, /* beacon */
		{ 105, "0841 0000" ZERO16 ZERO4 SNAP "0800", 24, 0 }, /* encrypted */
		{ 105, "4801 0000" ZERO16 ZERO4 SNAP "0800", 24, 0 }, /* no data */
		{ 105, "8801 0000" ZERO16 ZERO4 "8000" SNAP "0800", 26, 0 }, /* aggregate */
		{ 107, "1841 03 08 00", 4, 0 },
		{ 113, "0000 0338 0000" ZERO4 ZERO4 "0800", 16, 0 }, /* netlink */
		{ 113, "0000 0001 0006" ZERO4 ZERO4 "0001 ff", 16, 0 },
		{ 123, "06000000 00", 4, 0 },
		{ 192, "0000 0800 c0000000 0000", 8, 0 }, /* PPI in PPI */
		{ 192, "0000 0800 ffff0000 0000", 8, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pkt p = { 0 };

		put_hex(&p, cases[i].packet);
		check_packet(cases[i].linktype, &p, &c);
		if (c.l2_end[0] != cases[i].l2_end)
			print_error("case %zu, link type %u\n", i, cases[i].linktype);
		assert_int_equal(c.l2_end[0], cases[i].l2_end);
		assert_int_equal(c.ethertype[0], cases[i].ethertype);
		check_nothing(&c, 0);
	}
}

static void test_malformed_link_headers(void **state)
{
	static const struct {
		uint32_t linktype;
		const char *packet;
	} cases[] = {
		{ 127, "0000 0700 00000000 0801 0000" },
		{ 163, "80211001 ffffffff 0801" },
		{ 192, "0000 0700 69000000 0801" },
		{ 239, "02000000 0300 0100" },
		{ 239, "02000000 ffff 0100 00" },
		{ 107, "18404040 4040" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pkt p = { 0 };

		put_hex(&p, cases[i].packet);
		check_packet(cases[i].linktype, &p, &c);
		if (i < ARRAY_SIZE(cases) - 1)
			assert_int_equal(c.l2_end[0], DECODE_NONE);
		assert_int_equal(c.outer[0].ip_version, 0);
	}
}

static void test_nflog_without_payload_is_bounded(void **state)
{
	struct pkt p = { 0 };

	put_hex(&p, "02000000");
	for (unsigned int i = 0; i < 100; i++)
		put_hex(&p, "0400 0100");
	check_packet(239, &p, &c);
	check_nothing(&c, DECODE_CUT);
}

static void test_unknown_link_type_decodes_to_nothing(void **state)
{
	struct pkt p = { 0 };

	put_ipv4_tcp(&p);
	check_packet(147, &p, &c);
	assert_int_equal(c.l2_end[0], DECODE_NONE);
	assert_int_equal(c.ethertype[0], 0);
	check_nothing(&c, 0);
}

static void test_vlan_tags(void **state)
{
	static const unsigned int types[] = { 0x88a8, 0x8100, 0x9100, 0x9200 };
	struct pkt p = { 0 };

	put_ethernet(&p, types[0]);
	for (unsigned int i = 0; i < 4; i++) {
		put16(&p, 0xe000 + 100 + i);
		put16(&p, i < 3 ? types[i + 1] : 0x0800);
	}
	put_ipv4_tcp(&p);
	check_packet(1, &p, &c);
	assert_int_equal(c.n_vlans[0], 4);
	assert_int_equal(c.vlan_tci[0], 0xe000 + 100);
	assert_int_equal(c.l2_end[0], 30);
	assert_int_equal(c.outer[0].src_port, 1234);
}

static void test_tags_are_bounded(void **state)
{
	struct pkt p = { 0 };

	put_ethernet(&p, 0x8100);
	for (unsigned int i = 0; i < 300; i++)
		put32(&p, 0x00018100);
	check_packet(1, &p, &c);
	assert_int_equal(c.l2_end[0], DECODE_NONE);
	check_nothing(&c, DECODE_CUT);
	p = (struct pkt){ 0 };
	for (unsigned int i = 0; i < 300; i++)
		put32(&p, 0x00010040); /* labels without a last one */
	check_packet(219, &p, &c);
	check_nothing(&c, DECODE_CUT);
}

static void test_mpls(void **state)
{
	struct pkt p = { 0 };

	put_ethernet(&p, 0x8847);
	put32(&p, 0x00010040);
	put32(&p, 0x00020140);
	put_ipv6_tcp(&p);
	check_packet(1, &p, &c);
	assert_int_equal(c.ethertype[0], 0x86dd);
	assert_int_equal(c.l2_end[0], 22);

	p = (struct pkt){ 0 };
	put_ethernet(&p, 0x8848);
	put32(&p, 0x00020140);
	put32(&p, 0); /* control word of an Ethernet pseudowire */
	put_ethernet(&p, 0x8100);
	put32(&p, 0x00070800);
	put_ipv4_tcp(&p);
	check_packet(1, &p, &c);
	assert_int_equal(c.l2_end[0], 40);
	assert_int_equal(c.n_vlans[0], 1);
	assert_int_equal(c.vlan_tci[0], 7);

	p = (struct pkt){ 0 };
	put_ethernet(&p, 0x8847);
	put32(&p, 0x00020140);
	put_ethernet(&p, 0x0800);
	put_ipv4_tcp(&p);
	check_packet(1, &p, &c);
	assert_int_equal(c.l2_end[0], 32);

	p = (struct pkt){ 0 };
	put_ethernet(&p, 0x8847);
	put32(&p, 0x00020140);
	put_fill(&p, 0x11, 30); /* who knows */
	check_packet(1, &p, &c);
	assert_int_equal(c.l2_end[0], 18);
	assert_int_equal(c.ethertype[0], 0);
}

static void test_pppoe_and_backbone(void **state)
{
	struct pkt p = { 0 };

	put_ethernet(&p, 0x88e7);
	put32(&p, 0x00001234);
	put_ethernet(&p, 0x8864);
	put16(&p, 0x1100);
	put32(&p, 0x0001002e);
	put16(&p, 0x0057);
	put_ipv6_tcp(&p);
	check_packet(1, &p, &c);
	assert_int_equal(c.ethertype[0], 0x86dd);
	assert_int_equal(c.l2_end[0], 40);
}

static void test_batch_columns_stay_apart(void **state)
{
	static struct packet_batch batch;
	struct pkt p[3] = { { 0 }, { 0 }, { 0 } };

	put_ethernet(&p[0], 0x8100);
	put32(&p[0], 0x00070800);
	put_ipv4_tcp(&p[0]);
	put_ethernet(&p[1], 0x0806);
	put_ethernet(&p[2], 0x86dd);
	put_ipv6_tcp(&p[2]);
	batch.n = PACKET_BATCH_MAX;
	batch.linktype = 1;
	for (unsigned int i = 0; i < batch.n; i++) {
		batch.data[i] = p[i % 3].b;
		batch.cap_bytes[i] = p[i % 3].n;
	}
	decode_batch(&batch, &c);
	for (unsigned int i = 0; i < batch.n; i++) {
		assert_int_equal(c.n_vlans[i], i % 3 == 0);
		assert_int_equal(c.vlan_tci[i], i % 3 == 0 ? 7 : 0);
		assert_int_equal(c.outer[i].ip_version, i % 3 == 0 ? 4 : i % 3 == 1 ? 0 : 6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link_types_that_carry_ip),
		cmocka_unit_test(test_link_types_that_carry_something_else),
		cmocka_unit_test(test_malformed_link_headers),
		cmocka_unit_test(test_nflog_without_payload_is_bounded),
		cmocka_unit_test(test_unknown_link_type_decodes_to_nothing),
		cmocka_unit_test(test_vlan_tags),
		cmocka_unit_test(test_tags_are_bounded),
		cmocka_unit_test(test_mpls),
		cmocka_unit_test(test_pppoe_and_backbone),
		cmocka_unit_test(test_batch_columns_stay_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
