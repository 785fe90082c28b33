/* SPDX-License-Identifier: BSD-2-Clause */
/* Network and transport headers, tunnels and flow keys; link types are in test_decode_link.c. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "decode_test_private.h"

#define NONE DECODE_NONE
#define ETHERNET 1
#define RAW 101

static struct decode_columns c;

static void test_plain_tcp(void **state)
{
	struct pkt p = { 0 };

	put_ethernet(&p, 0x0800);
	put_ipv4_tcp(&p);
	put_fill(&p, 0, 2); /* trailer */
	check_packet(ETHERNET, &p, &c);
	assert_int_equal(c.l2_end[0], 14);
	assert_int_equal(c.ethertype[0], 0x0800);
	assert_int_equal(c.n_vlans[0], 0);
	check_outer(&c, (struct check_layers){ 14, 34, 54, 58, 4, 6, 0, 1234, 80 });
	check_inner(&c, (struct check_layers){ 14, 34, 54, 58, 4, 6, 0, 1234, 80 });
}

/* The short way for plain packets and the walk must agree on everything, whatever the bytes: link
 * type 283 is Ethernet behind four bytes and has no short way. */
static void test_short_way_equals_walk(void **state)
{
	static struct decode_columns walked;
	struct packet_batch batch;
	struct pkt p = { 0 }, prefixed;
	uint32_t random = 1;

	put_ethernet(&p, 0x0800);
	put_ipv4_tcp(&p);
	for (unsigned int round = 0; round < 40000; round++) {
		struct pkt q = p;
		uint32_t shift;

		for (unsigned int k = 0; k < round % 4; k++) {
			random = random * 1664525u + 1013904223u;
			q.b[12 + (random >> 8) % (p.n - 12)] = (uint8_t)(random >> 24);
		}
		random = random * 1664525u + 1013904223u;
		if (round & 4)
			q.n = (random >> 8) % (p.n + 1);
		if (round & 8)
			q.b[23] = 17;
		prefixed = (struct pkt){ 0 };
		put32(&prefixed, 0);
		memcpy(prefixed.b + 4, q.b, q.n);
		prefixed.n = q.n + 4;
		check_decode(ETHERNET, q.b, q.n, &batch, &c);
		check_free(&batch);
		check_decode(283, prefixed.b, prefixed.n, &batch, &walked);
		check_free(&batch);
		assert_int_equal(c.ethertype[0], walked.ethertype[0]);
		assert_int_equal(c.n_vlans[0], walked.n_vlans[0]);
		assert_int_equal(c.vlan_tci[0], walked.vlan_tci[0]);
		shift = walked.l2_end[0] == NONE ? 0 : 4;
		assert_int_equal(c.l2_end[0], walked.l2_end[0] - shift);
		for (unsigned int k = 0; k < 2; k++) {
			struct decode_layers *l = k ? &walked.inner[0] : &walked.outer[0];

			l->l3_offset -= l->l3_offset == NONE ? 0 : 4;
			l->l4_offset -= l->l4_offset == NONE ? 0 : 4;
			l->payload_offset -= l->payload_offset == NONE ? 0 : 4;
			l->l3_end -= l->l3_end == NONE ? 0 : 4;
			assert_memory_equal(l, k ? &c.inner[0] : &c.outer[0], sizeof(*l));
		}
	}
}

static void test_ipv4_options_and_lengths(void **state)
{
	struct pkt p = { 0 };

	put_ipv4(&p, 17, 4 + 8 + 3);
	p.b[0] = 0x46;
	put_fill(&p, 1, 4);
	put_udp(&p, 53, 5353, 3);
	put_fill(&p, 'x', 10);
	check_packet(RAW, &p, &c);
	assert_int_equal(c.l2_end[0], 0);
	check_outer(&c, (struct check_layers){ 0, 24, 32, 35, 4, 17, 0, 53, 5353 });

	p.b[2] = p.b[3] = 0; /* length left to the interface */
	check_packet(RAW, &p, &c);
	check_outer(&c, (struct check_layers){ 0, 24, 32, 42, 4, 17, 0, 53, 5353 });

	p.b[3] = 23; /* the datagram ends within its options */
	check_packet(RAW, &p, &c);
	check_outer(&c, (struct check_layers){ 0, NONE, NONE, 23, 4, 17, DECODE_CUT, 0, 0 });

	p.b[3] = 27; /* no room for the ports */
	check_packet(RAW, &p, &c);
	check_outer(&c, (struct check_layers){ 0, 24, NONE, 27, 4, 17, DECODE_CUT, 0, 0 });

	p.b[3] = 28; /* ports, but not the whole header */
	check_packet(RAW, &p, &c);
	check_outer(&c, (struct check_layers){ 0, 24, NONE, 28, 4, 17, DECODE_CUT, 53, 5353 });

	p.b[0] = 0x44;
	check_packet(RAW, &p, &c);
	check_nothing(&c, 0);
}

static void test_ipv4_fragments(void **state)
{
	struct pkt p = { 0 };

	put_ipv4_tcp(&p);
	p.b[6] = 0x20;
	check_packet(RAW, &p, &c);
	check_outer(&c, (struct check_layers){ 0, 20, 40, 44, 4, 6, DECODE_FRAGMENT, 1234, 80 });
	p.b[6] = 0;
	p.b[7] = 1;
	check_packet(RAW, &p, &c);
	check_outer(&c,
		(struct check_layers){
			0, 20, 20, 44, 4, 6, DECODE_FRAGMENT | DECODE_FRAGMENT_LATER, 0, 0 });
	p.b[6] = 0x40; /* "don't fragment" is none */
	p.b[7] = 0;
	check_packet(RAW, &p, &c);
	check_outer(&c, (struct check_layers){ 0, 20, 40, 44, 4, 6, 0, 1234, 80 });
}

static void test_transport_headers(void **state)
{
	static const struct {
		uint8_t proto;
		uint8_t header_bytes;
		bool ports;
	} cases[] = {
		{ 1, 8, false }, /* ICMP */
		{ 2, 8, false }, /* IGMP */
		{ 6, 24, true }, /* TCP with options */
		{ 17, 8, true }, /* UDP */
		{ 33, 16, true }, /* DCCP with options */
		{ 47, 4, false }, /* GRE */
		{ 50, 0, false }, /* ESP: nothing is known of it */
		{ 58, 8, false }, /* ICMPv6 */
		{ 132, 12, true }, /* SCTP */
		{ 136, 8, true }, /* UDP-Lite */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pkt p = { 0 };

		put_ipv4(&p, cases[i].proto, 30);
		put16(&p, cases[i].ports ? 7 : 0);
		put16(&p, cases[i].ports ? 8 : 0);
		put8(&p, cases[i].proto == 33 ? 4 : 0);
		put_fill(&p, 0, 25);
		if (cases[i].proto == 6)
			p.b[32] = 0x60;
		check_packet(RAW, &p, &c);
		check_outer(&c,
			(struct check_layers){ 0, 20, 20u + cases[i].header_bytes, 50, 4,
				cases[i].proto, 0, cases[i].ports ? 7 : 0,
				cases[i].ports ? 8 : 0 });
	}
}

static void test_bad_transport_length_gives_no_payload(void **state)
{
	struct pkt p = { 0 };

	put_ipv4_tcp(&p);
	p.b[32] = 0x40;
	check_packet(RAW, &p, &c);
	check_outer(&c, (struct check_layers){ 0, 20, NONE, 44, 4, 6, DECODE_CUT, 1234, 80 });
	p.b[32] = 0xf0;
	check_packet(RAW, &p, &c);
	check_outer(&c, (struct check_layers){ 0, 20, NONE, 44, 4, 6, DECODE_CUT, 1234, 80 });
}

/* An extension header of eight bytes. */
static void put_extension(struct pkt *p, unsigned int next)
{
	put8(p, next);
	put_fill(p, 0, 7);
}

static void test_ipv6_extensions(void **state)
{
	static const uint8_t chain[] = { 0, 60, 43, 44, 51, 135, 139, 140, 6 };
	struct pkt p = { 0 };
	uint32_t n = ARRAY_SIZE(chain) - 1;

	put_ipv6(&p, chain[0], 8 * n + 24);
	for (uint32_t i = 0; i < n; i++)
		put_extension(&p, chain[i + 1]);
	put_tcp(&p, 1, 2);
	put_fill(&p, 'x', 6);
	check_packet(RAW, &p, &c);
	check_outer(
		&c, (struct check_layers){ 0, 40 + 8 * n, 60 + 8 * n, 64 + 8 * n, 6, 6, 0, 1, 2 });

	p.b[40 + 8 * 3 + 3] = 1; /* more fragments */
	check_packet(RAW, &p, &c);
	check_outer(&c,
		(struct check_layers){
			0, 40 + 8 * n, 60 + 8 * n, 64 + 8 * n, 6, 6, DECODE_FRAGMENT, 1, 2 });

	p.b[40 + 8 * 3 + 3] = 8; /* a later fragment ends the chain */
	check_packet(RAW, &p, &c);
	check_outer(&c,
		(struct check_layers){ 0, 72, 72, 64 + 8 * n, 6, 51,
			DECODE_FRAGMENT | DECODE_FRAGMENT_LATER, 0, 0 });

	p.b[41] = 200; /* a header longer than the packet */
	check_packet(RAW, &p, &c);
	check_outer(&c, (struct check_layers){ 0, NONE, NONE, 64 + 8 * n, 6, 0, DECODE_CUT, 0, 0 });
}

static void test_ipv6_extensions_are_bounded(void **state)
{
	struct pkt p = { 0 };

	put_ipv6(&p, 60, 8 * 40);
	for (unsigned int i = 0; i < 40; i++)
		put_extension(&p, 60);
	check_packet(RAW, &p, &c);
	check_outer(
		&c, (struct check_layers){ 0, NONE, NONE, 40 + 8 * 40, 6, 60, DECODE_CUT, 0, 0 });
}

static void test_ipv6_that_ends_in_an_extension(void **state)
{
	struct pkt p = { 0 };

	put_ipv6(&p, 135, 8);
	put_extension(&p, 59);
	check_packet(RAW, &p, &c);
	check_outer(&c, (struct check_layers){ 0, 40, 40, 48, 6, 135, 0, 0, 0 });
	p = (struct pkt){ 0 };
	put_ipv6(&p, 59, 0);
	put_fill(&p, 0, 6);
	check_packet(RAW, &p, &c);
	check_outer(&c, (struct check_layers){ 0, 40, 40, 40, 6, 59, 0, 0, 0 });
}

static void test_ipv6_jumbo(void **state)
{
	struct pkt p = { 0 };

	put_ipv6(&p, 0, 0);
	put16(&p, 0x0600);
	put16(&p, 0xc204);
	put32(&p, 8 + 20 + 3);
	put_tcp(&p, 1, 2);
	put_fill(&p, 'x', 10);
	check_packet(RAW, &p, &c);
	check_outer(&c, (struct check_layers){ 0, 48, 68, 71, 6, 6, 0, 1, 2 });
	memset(p.b + 44, 0xff, 4); /* longer than what was captured */
	check_packet(RAW, &p, &c);
	check_outer(&c, (struct check_layers){ 0, 48, 68, 78, 6, 6, 0, 1, 2 });
	memset(p.b + 44, 0, 4); /* shorter than its own header: ignored */
	check_packet(RAW, &p, &c);
	check_outer(&c, (struct check_layers){ 0, 48, 68, 78, 6, 6, 0, 1, 2 });
	memset(p.b + 42, 0, 6); /* no length at all: left to the interface */
	check_packet(RAW, &p, &c);
	check_outer(&c, (struct check_layers){ 0, 48, 68, 78, 6, 6, 0, 1, 2 });
}

static void test_ip_in_ip(void **state)
{
	struct pkt p = { 0 };

	put_ipv4(&p, 41, 40 + 20 + 44);
	put_ipv6(&p, 4, 20 + 44);
	put_ipv4(&p, 4, 44);
	put_ipv4_tcp(&p);
	check_packet(RAW, &p, &c);
	check_outer(&c, (struct check_layers){ 0, 20, 20, 124, 4, 41, 0, 0, 0 });
	check_inner(&c, (struct check_layers){ 80, 100, 120, 124, 4, 6, 0, 1234, 80 });
	p.b[80] = 0; /* not IP: the innermost header that can be read is the one before */
	check_packet(RAW, &p, &c);
	check_inner(&c, (struct check_layers){ 60, 80, 80, 124, 4, 4, 0, 0, 0 });
}

static void test_tunnels_are_bounded(void **state)
{
	struct pkt p = { 0 };

	for (unsigned int i = 0; i < 20; i++)
		put_ipv4(&p, 4, 20 * (19 - i));
	check_packet(RAW, &p, &c);
	assert_int_equal(c.inner[0].l3_offset, 20 * 8);
}

static void test_inner_packet_stays_in_the_outer_one(void **state)
{
	struct pkt p = { 0 };

	put_ipv4(&p, 4, 20 + 20 + 2);
	put_ipv4(&p, 6, 100);
	put_tcp(&p, 1, 2);
	put_fill(&p, 'x', 80);
	check_packet(RAW, &p, &c);
	check_inner(&c, (struct check_layers){ 20, 40, 60, 62, 4, 6, 0, 1, 2 });
}

static void test_gre(void **state)
{
	static const struct {
		unsigned int flags;
		uint32_t extra;
	} cases[] = { { 0, 0 }, { 0x8000, 4 }, { 0x2000, 4 }, { 0x1000, 4 }, { 0xb000, 12 } };
	struct pkt p;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t at = 24 + cases[i].extra;

		p = (struct pkt){ 0 };
		put_ipv4(&p, 47, 4 + cases[i].extra + 64);
		put16(&p, cases[i].flags);
		put16(&p, 0x86dd);
		put_fill(&p, 0, cases[i].extra);
		put_ipv6_tcp(&p);
		check_packet(RAW, &p, &c);
		check_outer(&c, (struct check_layers){ 0, 20, at, at + 64, 4, 47, 0, 0, 0 });
		check_inner(&c,
			(struct check_layers){ at, at + 40, at + 60, at + 64, 6, 6, 0, 1234, 80 });
	}
	p.b[20] = 0x40; /* source routes */
	check_packet(RAW, &p, &c);
	assert_int_equal(c.outer[0].payload_offset, NONE);
	assert_int_equal(c.inner[0].l3_offset, 0);
}

static void put_gre(struct pkt *p, unsigned int flags, unsigned int type)
{
	put_ipv4(p, 47, 100);
	put16(p, flags);
	put16(p, type);
	for (uint32_t bits = flags & 0xb080; bits; bits &= bits - 1)
		put32(p, 0);
}

static void test_gre_payloads(void **state)
{
	struct pkt p = { 0 };

	put_gre(&p, 0, 0x6558);
	put_ethernet(&p, 0x8100);
	put16(&p, 5);
	put16(&p, 0x0800);
	put_ipv4_tcp(&p);
	check_packet(RAW, &p, &c);
	assert_int_equal(c.n_vlans[0], 0); /* the outer packet has no tag */
	check_inner(&c, (struct check_layers){ 42, 62, 82, 86, 4, 6, 0, 1234, 80 });

	p = (struct pkt){ 0 };
	put_gre(&p, 0, 0x88be); /* ERSPAN type I */
	put_ethernet(&p, 0x0800);
	put_ipv4_tcp(&p);
	check_packet(RAW, &p, &c);
	assert_int_equal(c.inner[0].l3_offset, 38);

	p = (struct pkt){ 0 };
	put_gre(&p, 0x1000, 0x88be); /* type II */
	put_fill(&p, 0, 8);
	put_ethernet(&p, 0x0800);
	put_ipv4_tcp(&p);
	check_packet(RAW, &p, &c);
	assert_int_equal(c.inner[0].l3_offset, 50);

	p = (struct pkt){ 0 };
	put_gre(&p, 0x1000, 0x22eb); /* type III with the optional part */
	put_fill(&p, 0, 11);
	put8(&p, 1);
	put_fill(&p, 0, 8);
	put_ethernet(&p, 0x0800);
	put_ipv4_tcp(&p);
	check_packet(RAW, &p, &c);
	assert_int_equal(c.inner[0].l3_offset, 62);

	p = (struct pkt){ 0 };
	put_gre(&p, 0x3081, 0x880b); /* version 1: PPP */
	put32(&p, 0xff030021);
	put_ipv4_tcp(&p);
	check_packet(RAW, &p, &c);
	assert_int_equal(c.inner[0].l3_offset, 40);
	assert_int_equal(c.inner[0].src_port, 1234);
}

static void test_udp_tunnels(void **state)
{
	struct pkt p = { 0 };

	put_ethernet(&p, 0x0800);
	put_ipv4(&p, 17, 100);
	put_udp(&p, 50000, 4789, 92);
	put32(&p, 0x08000000);
	put32(&p, 0x00123400);
	put_ethernet(&p, 0x0800);
	put_ipv4_tcp(&p);
	check_packet(ETHERNET, &p, &c);
	check_outer(&c, (struct check_layers){ 14, 34, 42, 108, 4, 17, 0, 50000, 4789 });
	check_inner(&c, (struct check_layers){ 64, 84, 104, 108, 4, 6, 0, 1234, 80 });
	p.b[42] = 0x0c; /* the header tells what follows */
	p.b[45] = 3;
	check_packet(ETHERNET, &p, &c);
	assert_int_equal(c.inner[0].l3_offset, 64);
	p.b[45] = 4;
	check_packet(ETHERNET, &p, &c);
	assert_int_equal(c.inner[0].l3_offset, 14);
	p.b[45] = 1;
	memmove(p.b + 50, p.b + 64, 44);
	check_packet(ETHERNET, &p, &c);
	assert_int_equal(c.inner[0].l3_offset, 50);
	p.b[45] = 2;
	p.b[50] = 0x60;
	check_packet(ETHERNET, &p, &c);
	assert_int_equal(c.inner[0].l3_offset, 50);
	assert_int_equal(c.inner[0].ip_version, 6);
	p.b[42] = 0; /* the flag that must be set */
	check_packet(ETHERNET, &p, &c);
	assert_int_equal(c.inner[0].l3_offset, 14);

	p = (struct pkt){ 0 };
	put_ipv4(&p, 17, 100);
	put_udp(&p, 50000, 6081, 92);
	put32(&p, 0x01006558); /* Geneve, four bytes of options */
	put_fill(&p, 0, 8);
	put_ethernet(&p, 0x0800);
	put_ipv4_tcp(&p);
	check_packet(RAW, &p, &c);
	assert_int_equal(c.inner[0].l3_offset, 54);

	p = (struct pkt){ 0 };
	put_ipv4(&p, 17, 100);
	put_udp(&p, 2152, 2152, 92);
	put32(&p, 0x30ff0000); /* GTP-U */
	put32(&p, 1);
	put_ipv6_tcp(&p);
	check_packet(RAW, &p, &c);
	assert_int_equal(c.inner[0].l3_offset, 36);

	p = (struct pkt){ 0 };
	put_ipv4(&p, 17, 100);
	put_udp(&p, 2152, 999, 92);
	put32(&p, 0x34ff0000); /* with two extension headers */
	put_fill(&p, 0, 7);
	put8(&p, 0x85);
	put32(&p, 0x01000085);
	put32(&p, 0x01000000);
	put_ipv4_tcp(&p);
	check_packet(RAW, &p, &c);
	assert_int_equal(c.inner[0].l3_offset, 48);
	p.b[40] = 0; /* an extension header without length */
	check_packet(RAW, &p, &c);
	assert_int_equal(c.inner[0].l3_offset, 0);

	p = (struct pkt){ 0 };
	put_ipv4(&p, 17, 120);
	put_udp(&p, 3544, 999, 112);
	put32(&p, 0x00010203); /* Teredo with authentication and origin indications */
	put_fill(&p, 0, 14);
	put_fill(&p, 0, 8);
	put_ipv6_tcp(&p);
	check_packet(RAW, &p, &c);
	assert_int_equal(c.inner[0].l3_offset, 28 + 18 + 8);
}

static void test_other_tunnels(void **state)
{
	struct pkt p = { 0 };

	put_ipv4(&p, 97, 2 + 14 + 44);
	put16(&p, 0x3000);
	put_ethernet(&p, 0x0800);
	put_ipv4_tcp(&p);
	check_packet(RAW, &p, &c);
	assert_int_equal(c.inner[0].l3_offset, 36);

	p = (struct pkt){ 0 };
	put_ipv6(&p, 137, 4 + 44);
	put32(&p, 0x00010140);
	put_ipv4_tcp(&p);
	check_packet(RAW, &p, &c);
	assert_int_equal(c.inner[0].l3_offset, 44);
}

static bool key_of(const struct pkt *p, struct decode_flow_key *ret)
{
	struct packet_batch batch;
	bool has;

	check_decode(RAW, p->b, p->n, &batch, &c);
	has = decode_flow_key(&batch, 0, &c.outer[0], ret);
	check_free(&batch);
	return has;
}

static void test_flow_key(void **state)
{
	static const uint8_t src4[16] = { [10] = 0xff, 0xff, 10, 0, 0, 1 };
	struct decode_flow_key key, untouched;
	struct pkt p = { 0 };

	put_ipv4_tcp(&p);
	assert_true(key_of(&p, &key));
	assert_memory_equal(key.src, src4, 16);
	assert_int_equal(key.dst[15], 2);
	assert_int_equal(key.src_port, 1234);
	assert_int_equal(key.dst_port, 80);
	assert_int_equal(key.ip_version, 4);
	assert_int_equal(key.l4_proto, 6);
	p.b[6] = 0x20; /* a first fragment is a fragment */
	assert_true(key_of(&p, &key));
	assert_int_equal(key.src_port, 0);

	p = (struct pkt){ 0 };
	put_ipv6_tcp(&p);
	assert_true(key_of(&p, &key));
	assert_memory_equal(key.src, p.b + 8, 16);
	assert_memory_equal(key.dst, p.b + 24, 16);
	untouched = key;
	p.b[0] = 0;
	assert_false(key_of(&p, &key));
	assert_memory_equal(&key, &untouched, sizeof(key));
}

static void test_flow_hash_is_symmetric(void **state)
{
	struct decode_flow_key key = {
		.src_port = 1, .dst_port = 2, .ip_version = 4, .l4_proto = 6
	};
	struct decode_flow_key back = key;
	uint64_t hash;

	key.src[15] = back.dst[15] = 9;
	key.dst[15] = back.src[15] = 7;
	back.src_port = 2;
	back.dst_port = 1;
	hash = decode_flow_hash(&key, 42);
	assert_true(hash == decode_flow_hash(&back, 42));
	assert_true(hash != decode_flow_hash(&key, 43));
	back.src_port = 3;
	assert_true(hash != decode_flow_hash(&back, 42));
	back.src_port = 1; /* ports exchanged, addresses not: another flow */
	back.dst_port = 2;
	assert_true(hash != decode_flow_hash(&back, 42));
	key.l4_proto = 17;
	assert_true(hash != decode_flow_hash(&key, 42));
	memcpy(key.dst, key.src, 16);
	back = key;
	back.src_port = key.dst_port;
	back.dst_port = key.src_port;
	assert_true(decode_flow_hash(&key, 1) == decode_flow_hash(&back, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_tcp),
		cmocka_unit_test(test_short_way_equals_walk),
		cmocka_unit_test(test_ipv4_options_and_lengths),
		cmocka_unit_test(test_ipv4_fragments),
		cmocka_unit_test(test_transport_headers),
		cmocka_unit_test(test_bad_transport_length_gives_no_payload),
		cmocka_unit_test(test_ipv6_extensions),
		cmocka_unit_test(test_ipv6_extensions_are_bounded),
		cmocka_unit_test(test_ipv6_that_ends_in_an_extension),
		cmocka_unit_test(test_ipv6_jumbo),
		cmocka_unit_test(test_ip_in_ip),
		cmocka_unit_test(test_tunnels_are_bounded),
		cmocka_unit_test(test_inner_packet_stays_in_the_outer_one),
		cmocka_unit_test(test_gre),
		cmocka_unit_test(test_gre_payloads),
		cmocka_unit_test(test_udp_tunnels),
		cmocka_unit_test(test_other_tunnels),
		cmocka_unit_test(test_flow_key),
		cmocka_unit_test(test_flow_hash_is_symmetric),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
