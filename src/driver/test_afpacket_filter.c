/* SPDX-License-Identifier: BSD-2-Clause */
/* The programs of the AF_PACKET driver's sockets, run by libpcap's interpreter: no right needed. */
#undef NDEBUG
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "afpacket_private.h"
#include "filter/filter.h"

#define TEST_SHARES_MAX 5
#define TEST_BYTES 96

_Static_assert(sizeof(struct sock_filter) == sizeof(struct bpf_insn), "the same instructions");

struct test_programs {
	struct sock_filter code[TEST_SHARES_MAX][AFPACKET_FILTER_MAX];
	unsigned int n_shares;
};

/* How packets are seen: as on the wire, or with no tag or one beside them. */
enum test_view { TEST_WIRE, TEST_NO_TAG_BESIDE, TEST_TAG_BESIDE, _TEST_VIEW_N };

/* libpcap's interpreter knows of nothing beside packets: what is known is put in. */
static void test_put_beside(struct sock_filter code[], unsigned int n, uint32_t is_beside)
{
	for (unsigned int i = 0; i < n; i++)
		if (code[i].k == AFPACKET_TAG_IS_BESIDE)
			code[i] = (struct sock_filter){ .code = BPF_LD | BPF_IMM, .k = is_beside };
}

static void test_programs(
	struct test_programs *p, uint32_t linktype, unsigned int n_shares, enum test_view view)
{
	p->n_shares = n_shares;
	for (unsigned int i = 0; i < n_shares; i++) {
		struct afpacket_filter filter = { .linktype = linktype,
			.snaplen_bytes = 77,
			.share = i,
			.n_shares = n_shares,
			.is_wire = view == TEST_WIRE };
		unsigned int n = afpacket_filter_make(&filter, p->code[i]);

		assert_true(n < AFPACKET_FILTER_MAX);
		test_put_beside(p->code[i], n, view == TEST_TAG_BESIDE);
		assert_true(bpf_validate((const struct bpf_insn *)p->code[i], (int)n));
	}
}

/* Return: the one share that takes the packet. */
static unsigned int test_share(const struct test_programs *p, const uint8_t *data, unsigned int n)
{
	unsigned int ret = TEST_SHARES_MAX;

	for (unsigned int i = 0; i < p->n_shares; i++) {
		unsigned int kept = bpf_filter((const struct bpf_insn *)p->code[i], data, n, n);

		assert_true(kept == 0 || kept == 77);
		if (kept == 0)
			continue;
		assert_int_equal(ret, TEST_SHARES_MAX); /* not taken by another */
		ret = i;
	}
	assert_true(ret < TEST_SHARES_MAX);
	return ret;
}

static uint8_t test_byte(void)
{
	static uint32_t state = 1;

	state = state * 1664525 + 1013904223;
	return (uint8_t)(state >> 24);
}

static void test_swap(uint8_t *a, uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t byte = a[i];

		a[i] = b[i];
		b[i] = byte;
	}
}

/* A packet of any kind, and the same in the other direction. @ret_ip_at: where IP begins. */
static unsigned int test_packet(unsigned int kind, bool ethernet, uint8_t *one, uint8_t *other)
{
	static const uint8_t protos[] = { 6, 17, 132, 1, 44, 50 };
	bool v6 = kind % 2;
	unsigned int n_tags = ethernet ? kind / 2 % 4 : 0;
	unsigned int at = ethernet ? 14 + 4 * n_tags : 0;
	uint8_t ihl = (uint8_t)(5 + kind / 6 % 4);
	unsigned int ports_at = at + (v6 ? 40 : 4 * ihl);

	for (unsigned int i = 0; i < TEST_BYTES; i++)
		one[i] = test_byte();
	for (unsigned int t = 0; ethernet && t < n_tags; t++)
		memcpy(one + 12 + 4 * t, t ? "\x81\x00" : "\x88\xa8", 2);
	if (ethernet)
		memcpy(one + at - 2, v6 ? "\x86\xdd" : "\x08\x00", 2);
	one[at] = v6 ? 0x60 : (uint8_t)(0x40 | ihl);
	one[at + (v6 ? 6 : 9)] = protos[kind / 24 % 6];
	if (!v6 && test_byte() % 2)
		memset(one + at + 6, 0, 2); /* no fragment */
	memcpy(other, one, TEST_BYTES);
	if (ethernet)
		test_swap(other, other + 6, 6);
	test_swap(other + at + (v6 ? 8 : 12), other + at + (v6 ? 24 : 16), v6 ? 16 : 4);
	if (ports_at + 4 <= TEST_BYTES)
		test_swap(other + ports_at, other + ports_at + 2, 2);
	return at;
}

static void test_each_packet_is_one_socket_s(void **state)
{
	static struct test_programs p;

	for (unsigned int ethernet = 0; ethernet < 2; ethernet++) {
		for (unsigned int n_shares = 2; n_shares <= TEST_SHARES_MAX; n_shares++) {
			unsigned int count[TEST_SHARES_MAX] = { 0 };

			test_programs(&p,
				ethernet ? AFPACKET_LINKTYPE_ETHERNET : AFPACKET_LINKTYPE_RAW,
				n_shares, TEST_WIRE);
			for (unsigned int kind = 0; kind < 2000; kind++) {
				uint8_t one[TEST_BYTES], other[TEST_BYTES];

				(void)test_packet(kind, ethernet, one, other);
				/* However short: and then both directions too. */
				for (unsigned int n = kind % 7; n <= TEST_BYTES; n += 7)
					(void)test_share(&p, one, n);
				count[test_share(&p, one, TEST_BYTES)]++;
				assert_int_equal(test_share(&p, one, TEST_BYTES),
					test_share(&p, other, TEST_BYTES));
			}
			for (unsigned int i = 0; i < n_shares; i++)
				assert_true(count[i] > 2000 / n_shares / 2);
		}
	}
}

/* Ports of fragments are payload, or absent. */
static void test_fragments_go_by_addresses(void **state)
{
	static struct test_programs p;

	test_programs(&p, AFPACKET_LINKTYPE_ETHERNET, 2, TEST_WIRE);
	for (unsigned int kind = 0; kind < 200; kind += 2) {
		uint8_t one[TEST_BYTES], other[TEST_BYTES];
		unsigned int at, share;

		if (kind / 2 % 4 == 3)
			continue; /* more tags than are looked behind: all by Ethernet addresses */
		at = test_packet(kind, true, one, other);
		one[at + 9] = 17;
		memcpy(one + at + 6, "\x20\x00", 2);
		share = test_share(&p, one, TEST_BYTES);
		memcpy(one + at + 6, "\x00\x10", 2);
		for (unsigned int i = at + 20; i < TEST_BYTES; i++) {
			one[i] ^= 0xff;
			assert_int_equal(test_share(&p, one, TEST_BYTES), share);
		}
	}
}

/* Whether the kernel keeps a tag beside a packet, or it was put back: it is the same socket's. */
static void test_tags_beside_packets_change_nothing(void **state)
{
	static struct test_programs views[_TEST_VIEW_N];
	unsigned int n_tagged = 0;

	for (unsigned int view = 0; view < _TEST_VIEW_N; view++)
		test_programs(&views[view], AFPACKET_LINKTYPE_ETHERNET, TEST_SHARES_MAX, view);
	for (unsigned int kind = 0; kind < 2000; kind++) {
		uint8_t one[TEST_BYTES], other[TEST_BYTES];

		(void)test_packet(kind, true, one, other);
		memcpy(other, one, 12);
		memcpy(other + 12, one + 16, TEST_BYTES - 16);
		for (unsigned int n = TEST_BYTES; n > 13; n -= 1 + kind % 5) {
			unsigned int share = test_share(&views[TEST_WIRE], one, n);

			assert_int_equal(test_share(&views[TEST_NO_TAG_BESIDE], one, n), share);
			if (kind / 2 % 4 == 0 || n < 14 + 4)
				continue; /* no tag; shorter, it is not put back */
			assert_int_equal(test_share(&views[TEST_TAG_BESIDE], other, n - 4), share);
			n_tagged++;
		}
	}
	assert_true(n_tagged > 10000);
}

/* The kernel tier makes the same of the instructions: they can be lifted. */
static void test_lift(uint32_t linktype)
{
	static struct test_programs p;
	static struct packet_batch batch = { .n = 1 };

	batch.linktype = linktype;
	test_programs(&p, linktype, 3, TEST_WIRE);
	for (unsigned int i = 0; i < 3; i++) {
		struct filter_program *program;
		struct filter_set *set;
		unsigned int n = 0, n_own = 0;
		void *scratch;

		while (p.code[i][n].code != (BPF_RET | BPF_K) || p.code[i][n].k)
			n++;
		assert_int_equal(
			filter_program_new(&program, (const struct bpf_insn *)p.code[i], n + 1), 0);
		assert_int_equal(
			filter_set_new(&set, (const struct filter_program *const *)&program, 1), 0);
		assert_int_equal(filter_set_stats(set).n_interpreted, 0);
		scratch = aligned_alloc(64, filter_set_scratch_bytes(set));
		for (unsigned int kind = 0; kind < 2000; kind++) {
			uint8_t one[TEST_BYTES], other[TEST_BYTES];
			struct packet_mask mask;

			(void)test_packet(kind, linktype == AFPACKET_LINKTYPE_ETHERNET, one, other);
			batch.data[0] = one;
			batch.cap_bytes[0] = batch.wire_bytes[0] = TEST_BYTES - kind % 90;
			filter_set_run(set, scratch, &batch, &mask);
			assert_int_equal(
				mask.word[0] & 1, test_share(&p, one, batch.cap_bytes[0]) == i);
			n_own += mask.word[0] & 1;
		}
		assert_true(n_own > 2000 / 6);
		free(scratch);
		filter_set_free(set);
		filter_program_free(program);
	}
}

static void test_shares_can_be_lifted(void **state)
{
	test_lift(AFPACKET_LINKTYPE_ETHERNET);
	test_lift(AFPACKET_LINKTYPE_RAW);
}

static void test_one_socket_takes_all(void **state)
{
	struct afpacket_filter filter = { .snaplen_bytes = 99, .n_shares = 1 };
	struct sock_filter code[AFPACKET_FILTER_MAX];
	const uint8_t data[1] = { 0 };

	assert_int_equal(afpacket_filter_make(&filter, code), 2);
	assert_int_equal(bpf_filter((const struct bpf_insn *)code, data, 1, 1), 99);
	assert_int_equal(bpf_filter((const struct bpf_insn *)code, data, 0, 0), 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_packet_is_one_socket_s),
		cmocka_unit_test(test_fragments_go_by_addresses),
		cmocka_unit_test(test_tags_beside_packets_change_nothing),
		cmocka_unit_test(test_shares_can_be_lifted),
		cmocka_unit_test(test_one_socket_takes_all),
	};

	return cmocka_run_group_tests_name("afpacket_filter", tests, NULL, NULL);
}
