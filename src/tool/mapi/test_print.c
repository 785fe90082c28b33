/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets on lines: known packets give known lines, cut and random ones are read safely. */
#undef NDEBUG
#include "print.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "linktype.h"

#define TS_NS 1234567890123456789u

/* Hexadecimal digits, spaces ignored. Return: number of bytes. */
static uint32_t bytes_of(const char *hex, uint8_t *ret)
{
	uint32_t n = 0;
	unsigned int byte;
	int used;

	while (sscanf(hex, " %2x%n", &byte, &used) == 1) {
		ret[n++] = (uint8_t)byte;
		hex += used;
	}
	return n;
}

#define MACS "001122334455 66778899aabb "
#define IPV4(length, proto) "4500 " length " 0001 4000 40 " proto " 0000 c0000201 c6336402 "
#define TCP_SYN                                                                                  \
	"04d2 0050 00000064 00000000 a002 ffff 0000 0000 020405b4 0402 080a0000000100000000 01 " \
	"030307 "

static void line_options(const struct print_options *options, uint32_t linktype, const char *hex,
	const char *expected)
{
	struct print_state state = { .any = false };
	uint8_t *data = malloc(512);
	struct print_packet packet = { .number = 7, .ts_ns = TS_NS, .linktype = linktype };
	size_t text_bytes;
	char *text;
	FILE *out = open_memstream(&text, &text_bytes);

	packet.cap_bytes = packet.wire_bytes = bytes_of(hex, data);
	packet.data = data;
	print_packet(out, options, &state, &packet);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
	free(data);
}

static void line(uint32_t linktype, const char *hex, const char *expected)
{
	const struct print_options options = { .time = PRINT_TIME_NONE, .digits = 6 };

	line_options(&options, linktype, hex, expected);
}

static void test_tcp(void **state)
{
	line(1, MACS "0800" IPV4("003c", "06") TCP_SYN,
		"IP 192.0.2.1.1234 > 198.51.100.2.80: Flags [S], seq 100, win 65535, "
		"options [mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7], length 0\n");
	line(1,
		MACS "0800" IPV4(
			"002c", "06") "0050 04d2 00000001 00000065 5018 0400 0000 0000 41424344",
		"IP 192.0.2.1.80 > 198.51.100.2.1234: Flags [P.], seq 1:5, ack 101, win 1024, "
		"length 4\n");
	line(1,
		MACS "0800" IPV4(
			"0028", "06") "0050 04d2 00000001 00000065 5010 0400 0000 0000 0000 0000",
		"IP 192.0.2.1.80 > 198.51.100.2.1234: Flags [.], ack 101, win 1024, length 0\n");
	line(1,
		MACS "0800" IPV4("0030",
			"06") "0050 04d2 00000001 00000065 7010 0400 0000 0000 05ff 0000 0000 0000",
		"IP 192.0.2.1.80 > 198.51.100.2.1234: Flags [.], ack 101, win 1024, "
		"options [[bad opt]], length 0\n");
}

static void test_udp_and_dns(void **state)
{
	line(101, IPV4("0020", "11") "1388 1389 000c 0000 00010203",
		"IP 192.0.2.1.5000 > 198.51.100.2.5001: UDP, length 4\n");
	line(101,
		IPV4("0039", "11") "1388 0035 0025 0000 1267 0100 0001 0000 0000 0000 "
				   "07 6578616d706c65 03 6f7267 00 0001 0001",
		"IP 192.0.2.1.5000 > 198.51.100.2.53: 4711+ A? example.org. (29)\n");
	line(101,
		IPV4("0049", "11") "0035 1388 0035 0000 1267 8180 0001 0001 0000 0000 "
				   "07 6578616d706c65 03 6f7267 00 0001 0001 c00c 0001 0001 "
				   "00000e10 0004 c0000207",
		"IP 192.0.2.1.53 > 198.51.100.2.5000: 4711 1/0/0 A 192.0.2.7 (45)\n");
	line(101, IPV4("0028", "11") "0035 1388 0014 0000 1267 8183 0000 0000 0000 0000",
		"IP 192.0.2.1.53 > 198.51.100.2.5000: 4711 NXDomain 0/0/0 (12)\n");
	/* A compression pointer to itself ends. */
	line(101,
		IPV4("002e",
			"11") "1388 0035 001a 0000 1267 0100 0001 0000 0000 0000 c00c 0001 0001",
		"IP 192.0.2.1.5000 > 198.51.100.2.53: 4711+ (18)\n");
}

static void test_arp_icmp_and_ipv6(void **state)
{
	line(1, MACS "0806 0001 0800 06 04 0001 66778899aabb c0000201 000000000000 c0000202",
		"ARP, Request who-has 192.0.2.2 tell 192.0.2.1, length 28\n");
	line(1, MACS "0806 0001 0800 06 04 0002 66778899aabb c0000201 001122334455 c0000202",
		"ARP, Reply 192.0.2.1 is-at 66:77:88:99:aa:bb, length 28\n");
	line(101, IPV4("001c", "01") "08 00 0000 0005 0006",
		"IP 192.0.2.1 > 198.51.100.2: ICMP echo request, id 5, seq 6, length 8\n");
	line(101, IPV4("001c", "01") "03 03 0000 0000 0000",
		"IP 192.0.2.1 > 198.51.100.2: ICMP port unreachable, length 8\n");
	line(101,
		"60000000 0018 3a ff fe800000000000000000000000000001 "
		"ff0200000000000000000001ff000002 "
		"87 00 0000 00000000 20010db8000000000000000000000002",
		"IP6 fe80::1 > ff02::1:ff00:2: ICMP6, neighbor solicitation, who has 2001:db8::2, "
		"length 24\n");
	line(101,
		"60000000 0010 00 40 20010db8000000000000000000000001 "
		"20010db8000000000000000000000002 "
		"11 00 010400000000 1388 1389 0008 0000",
		"IP6 2001:db8::1.5000 > 2001:db8::2.5001: UDP, length 0\n");
}

static void test_tags_tunnels_and_fragments(void **state)
{
	const struct print_options link = { .time = PRINT_TIME_NONE, .digits = 6, .link = true };

	line_options(&link, 1,
		MACS "8100 2064 0800" IPV4("0020", "11") "1388 1389 000c 0000 00010203",
		"66:77:88:99:aa:bb > 00:11:22:33:44:55, ethertype IPv4 (0x0800), length 50: "
		"vlan 100, p 1, IP 192.0.2.1.5000 > 198.51.100.2.5001: UDP, length 4\n");
	line(1, MACS "8847 000641ff" IPV4("0020", "11") "1388 1389 000c 0000 00010203",
		"MPLS (label 100, tc 0, [S], ttl 255) "
		"IP 192.0.2.1.5000 > 198.51.100.2.5001: UDP, length 4\n");
	line(101, IPV4("0034", "04") IPV4("0020", "11") "1388 1389 000c 0000 00010203",
		"IP 192.0.2.1 > 198.51.100.2: IP 192.0.2.1.5000 > 198.51.100.2.5001: UDP, length "
		"4\n");
	line(101, "4500 001c 0001 2001 40 11 0000 c0000201 c6336402 0011223344556677",
		"IP 192.0.2.1 > 198.51.100.2: frag (1:8@8+) UDP, length 8\n");
	line(1, MACS "88cc 0001 0203", "LLDP, length 4\n");
	line(1, MACS "1234 0001 0203", "ethertype 0x1234, length 4\n");
	line(113,
		"0000 0001 0006 001122334455 0000 0800" IPV4(
			"0020", "11") "1388 1389 000c 0000 00010203",
		"IP 192.0.2.1.5000 > 198.51.100.2.5001: UDP, length 4\n");
	line(0, "02000000" IPV4("0020", "11") "1388 1389 000c 0000 00010203",
		"IP 192.0.2.1.5000 > 198.51.100.2.5001: UDP, length 4\n");
	line(1, MACS "0026 4242 03 0000", "STP, length 38\n");
	line(1, MACS "0018 aaaa 03 00000c 2001 1000",
		"SNAP, oui 0x00000c, pid 0x2001, length 24\n");
	line(1, MACS "0003 e0e0 03", "LLC, dsap 0xe0, ssap 0xe0, ctrl 0x03, length 3\n");
	line(1, MACS "0003 e0", "802.3, length 3 [|llc]\n");
	line(147, "01020304", "linktype 147, length 4\n");
}

static void test_cut_headers_are_named(void **state)
{
	line(1, MACS "08", "linktype 1, length 13 [|link]\n");
	line(1, MACS "0800 4500", "IPv4, length 2 [|ip]\n");
	line(101, IPV4("003c", "06") "04d2 0050",
		"IP 192.0.2.1 > 198.51.100.2: TCP, length 40 [|tcp]\n");
	line(1, MACS "0806 0001", "ARP, length 2 [|arp]\n");
}

static void test_detail(void **state)
{
	const struct print_options verbose = {
		.time = PRINT_TIME_UNIX, .digits = 9, .verbose = 1, .number = true
	};
	const struct print_options quick = { .time = PRINT_TIME_UNIX, .digits = 6, .quick = true };

	line_options(&verbose, 101, IPV4("0020", "11") "1388 1389 000c 0000 00010203",
		"    7  1234567890.123456789 IP (tos 0x0, ttl 64, id 1, offset 0, flags [DF], "
		"proto UDP (17), length 32) 192.0.2.1.5000 > 198.51.100.2.5001: UDP, length 4\n");
	line_options(&quick, 1, MACS "0800" IPV4("003c", "06") TCP_SYN,
		"1234567890.123456 IP 192.0.2.1.1234 > 198.51.100.2.80: tcp 0\n");
}

static void test_times(void **state)
{
	struct print_options options = { .digits = 6 };
	struct print_state since = { .any = false }, delta = since, date = since;
	size_t text_bytes;
	char *text;
	FILE *out = open_memstream(&text, &text_bytes);

	setenv("TZ", "UTC", 1);
	options.time = PRINT_TIME_SINCE_FIRST;
	print_time(out, &options, &since, TS_NS);
	print_time(out, &options, &since, TS_NS + 3661000002000u);
	options.time = PRINT_TIME_DELTA;
	print_time(out, &options, &delta, TS_NS);
	print_time(out, &options, &delta, TS_NS - 1000000u);
	options.time = PRINT_TIME_DATE;
	print_time(out, &options, &date, TS_NS);
	print_time(out, &options, &date, TS_NS + 1000000000u);
	fclose(out);
	assert_string_equal(text,
		" 00:00:00.000000  01:01:01.000002  00:00:00.000000 "
		" -00:00:00.001000 2009-02-13 23:31:30.123456 "
		"2009-02-13 23:31:31.123456 ");
	free(text);
}

static void test_bytes(void **state)
{
	struct print_options options = { .time = PRINT_TIME_NONE, .bytes = PRINT_BYTES_HEX };
	const char *packet = MACS "88cc 41424344454647484950515253545556 5758";

	line_options(&options, 1, packet,
		"LLDP, length 18\n"
		"\t0x0000:  4142 4344 4546 4748 4950 5152 5354 5556\n\t0x0010:  5758\n");
	options.bytes_link = true;
	options.bytes = PRINT_BYTES_HEX_ASCII;
	line_options(&options, 1, packet,
		"LLDP, length 18\n"
		"\t0x0000:  0011 2233 4455 6677 8899 aabb 88cc 4142  ..\"3DUfw......AB\n"
		"\t0x0010:  4344 4546 4748 4950 5152 5354 5556 5758  CDEFGHIPQRSTUVWX\n");
	options.bytes_link = false;
	options.bytes = PRINT_BYTES_ASCII;
	line_options(&options, 1, packet, "LLDP, length 18\nABCDEFGHIPQRSTUVWX\n");
}

static void test_json(void **state)
{
	uint8_t data[512];
	struct print_packet packet = { .number = 7, .ts_ns = TS_NS, .linktype = 1, .data = data };
	size_t text_bytes;
	char *text;
	FILE *out = open_memstream(&text, &text_bytes);

	packet.cap_bytes = packet.wire_bytes =
		bytes_of(MACS "0800" IPV4("003c", "06") TCP_SYN, data);
	print_packet_json(out, &packet);
	fclose(out);
	assert_string_equal(text,
		"{\"number\":7,\"ts\":\"2009-02-13T23:31:30.123456789Z\",\"linktype\":1,"
		"\"caplen\":74,\"len\":74,\"eth_src\":\"66:77:88:99:aa:bb\",\"eth_dst\":\"00:11:22:"
		"33:44:55\","
		"\"ethertype\":2048,\"ip_version\":4,\"src\":\"192.0.2.1\",\"dst\":\"198.51.100."
		"2\","
		"\"proto\":6,\"proto_name\":\"TCP\",\"ttl\":64,\"src_port\":1234,\"dst_port\":80,"
		"\"tcp_flags\":\"S\",\"seq\":100,\"ack\":0,\"window\":65535,\"payload_bytes\":0,"
		"\"cut\":null}\n");
	free(text);
}

/* Each packet is a heap block of its own size, so that the sanitizer sees every byte too many. */
static void print_anything(const uint8_t *data, uint32_t cap_bytes, uint32_t wire_bytes, FILE *out)
{
	static const uint32_t linktypes[] = { 0, 1, 101, 113, 276, 9999 };
	const struct print_options options = {
		.verbose = 1, .link = true, .bytes = PRINT_BYTES_HEX_ASCII
	};
	uint8_t *copy = malloc(cap_bytes ? cap_bytes : 1);
	unsigned int i;

	memcpy(copy, data, cap_bytes);
	for (i = 0; i < sizeof(linktypes) / sizeof(linktypes[0]); i++) {
		struct print_state state = { .any = false };
		struct print_packet packet = { .linktype = linktypes[i],
			.data = copy,
			.cap_bytes = cap_bytes,
			.wire_bytes = wire_bytes };

		print_packet(out, &options, &state, &packet);
		print_packet_json(out, &packet);
	}
	free(copy);
}

static void test_hostile_packets_are_read_safely(void **state)
{
	static const char *const packets[] = { MACS "0800" IPV4("003c", "06") TCP_SYN,
		MACS "8100 2064 0800" IPV4(
			"0049", "11") "0035 1388 0035 0000 1267 8180 0001 0001 0000 0000 "
				      "07 6578616d706c65 03 6f7267 00 0001 0001 c00c 000f 0001 "
				      "00000e10 0004 0001c00c",
		MACS "8847 000641ff" IPV4("0034", "04")
			IPV4("0020", "11") "1388 1389 000c 0000 00010203",
		MACS "86dd 60000000 0018 00 ff fe800000000000000000000000000001 "
		     "ff0200000000000000000001ff000002 2c 00 000000000000 3a 00 0001 00000001 87 "
		     "00 0000",
		MACS "0806 0001 0800 06 04 0001 66778899aabb c0000201 000000000000 c0000202" };
	FILE *out = fopen("/dev/null", "we");
	uint8_t data[512], mutated[512];
	unsigned int i, round, seed = 1;
	uint32_t n, cut;

	for (i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
		n = bytes_of(packets[i], data);
		for (cut = 0; cut <= n; cut++)
			print_anything(data, cut, n, out);
		for (round = 0; round < 2000; round++) {
			memcpy(mutated, data, n);
			seed = seed * 1103515245u + 12345u;
			mutated[(seed >> 8) % n] = (uint8_t)(seed >> 24);
			mutated[(seed >> 16) % n] ^= (uint8_t)(1u << (seed >> 28 & 7));
			print_anything(mutated, n - round % 7, n, out);
		}
	}
	fclose(out);
}

static void test_link_types(void **state)
{
	uint32_t type;

	assert_int_equal(linktype_parse("linux_sll", &type), 0);
	assert_int_equal(type, 113);
	assert_int_equal(linktype_parse("147", &type), 0);
	assert_int_equal(type, 147);
	assert_int_equal(linktype_parse("FOO", &type), -EINVAL);
	assert_int_equal(linktype_parse("99999", &type), -EINVAL);
	assert_int_equal(linktype_canonical(12), 101);
	assert_int_equal(linktype_canonical(1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_udp_and_dns),
		cmocka_unit_test(test_arp_icmp_and_ipv6),
		cmocka_unit_test(test_tags_tunnels_and_fragments),
		cmocka_unit_test(test_cut_headers_are_named),
		cmocka_unit_test(test_detail),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_hostile_packets_are_read_safely),
		cmocka_unit_test(test_link_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
