/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several rings in the order of time. The rings are memory of this test's, which fills their blocks
 * as the kernel does: so it knows what came when, and decides when a block is handed over.
 */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka wants those before it. */
#include <cmocka.h>
#include <stdlib.h>

#include "afpacket_private.h"
#include "base/cleanup.h"

#define TEST_BLOCK_BYTES 2048u
#define TEST_BLOCKS 64u
#define TEST_RINGS_MAX 8u
#define TEST_PKTS_MAX 20000u
#define TEST_CHUNKS 5u
#define TEST_MAC 80u
#define TEST_FRAME_BYTES (TEST_MAC + 16u)
#define TEST_MS 1000000u

/* The kernel's view of a ring: the block that it fills, and where. */
struct test_kernel {
	unsigned int block;
	uint8_t *at;
	uint8_t *previous;
};

struct test_rig {
	struct afpacket_ring rings[TEST_RINGS_MAX];
	struct test_kernel kernels[TEST_RINGS_MAX];
	unsigned int n_rings;
	struct afpacket_merge merge;
	struct afpacket_chunk *out[TEST_CHUNKS];
	unsigned int n_out;
	unsigned int batch_pkts;
	bool was_short; /* half a ring has been with us */
	/* What came, and what was given. */
	uint32_t n_sent, n_dropped, n_given;
	uint64_t sent_ns[TEST_PKTS_MAX];
	uint32_t given[TEST_PKTS_MAX];
	uint8_t ring_of[TEST_PKTS_MAX];
};

static void rig_open(struct test_rig *rig, unsigned int n_rings)
{
	*rig = (struct test_rig){ .n_rings = n_rings, .batch_pkts = 7 };
	for (unsigned int i = 0; i < n_rings; i++) {
		struct afpacket_ring *ring = &rig->rings[i];

		ring->block_bytes = TEST_BLOCK_BYTES;
		ring->n_blocks = TEST_BLOCKS;
		ring->map = calloc(TEST_BLOCKS, TEST_BLOCK_BYTES);
		assert_non_null(ring->map);
	}
	assert_int_equal(afpacket_merge_init(&rig->merge, rig->rings, n_rings, TEST_CHUNKS), 0);
}

static void rig_close(struct test_rig *rig)
{
	afpacket_merge_deinit(&rig->merge);
	for (unsigned int i = 0; i < rig->n_rings; i++)
		free(rig->rings[i].map);
}

static struct tpacket_block_desc *rig_block(struct test_rig *rig, unsigned int r)
{
	return (void *)(rig->rings[r].map + rig->kernels[r].block * TEST_BLOCK_BYTES);
}

static void rig_note_short(struct test_rig *rig, unsigned int r)
{
	unsigned int n = 0;

	for (unsigned int b = 0; b < TEST_BLOCKS; b++) {
		const struct tpacket_block_desc *block =
			(void *)(rig->rings[r].map + b * TEST_BLOCK_BYTES);

		n += block->hdr.bh1.block_status & TP_STATUS_USER ? 1 : 0;
	}
	rig->was_short = rig->was_short || n >= TEST_BLOCKS / 2;
}

/* The kernel hands the block over, if there is something in it. */
static void rig_retire(struct test_rig *rig, unsigned int r)
{
	struct test_kernel *kernel = &rig->kernels[r];
	struct tpacket_hdr_v1 *head = &rig_block(rig, r)->hdr.bh1;
	struct tpacket3_hdr *last = (void *)kernel->previous;

	if (!kernel->at || head->num_pkts == 0)
		return;
	last->tp_next_offset = 0;
	head->ts_last_pkt.ts_sec = last->tp_sec;
	head->ts_last_pkt.ts_nsec = last->tp_nsec;
	head->block_status = TP_STATUS_USER;
	kernel->block = (kernel->block + 1) % TEST_BLOCKS;
	kernel->at = NULL;
	rig_note_short(rig, r);
}

/* Return: whether the kernel has a block to fill. */
static bool rig_begin_block(struct test_rig *rig, unsigned int r)
{
	struct test_kernel *kernel = &rig->kernels[r];
	struct tpacket_block_desc *block = rig_block(rig, r);

	if (kernel->at)
		return true;
	if (block->hdr.bh1.block_status & TP_STATUS_USER)
		return false;
	block->hdr.bh1.num_pkts = 0;
	block->hdr.bh1.offset_to_first_pkt = 64;
	kernel->at = (uint8_t *)block + 64;
	return true;
}

/* A packet comes, and carries its number. */
static void rig_send(struct test_rig *rig, unsigned int r, uint64_t ts_ns)
{
	struct test_kernel *kernel = &rig->kernels[r];
	struct tpacket3_hdr *frame;

	if (kernel->at &&
		kernel->at + TEST_FRAME_BYTES > (uint8_t *)rig_block(rig, r) + TEST_BLOCK_BYTES)
		rig_retire(rig, r);
	if (!rig_begin_block(rig, r)) {
		rig->n_dropped++;
		return;
	}
	assert_true(rig->n_sent < TEST_PKTS_MAX);
	frame = (void *)kernel->at;
	memset(frame, 0, TEST_MAC);
	frame->tp_next_offset = TEST_FRAME_BYTES;
	frame->tp_sec = (uint32_t)(ts_ns / 1000000000u);
	frame->tp_nsec = (uint32_t)(ts_ns % 1000000000u);
	frame->tp_mac = TEST_MAC;
	frame->tp_snaplen = frame->tp_len = sizeof(rig->n_sent);
	memcpy(kernel->at + TEST_MAC, &rig->n_sent, sizeof(rig->n_sent));
	rig->ring_of[rig->n_sent] = (uint8_t)r;
	rig->sent_ns[rig->n_sent++] = ts_ns;
	kernel->previous = kernel->at;
	kernel->at += TEST_FRAME_BYTES;
	rig_block(rig, r)->hdr.bh1.num_pkts++;
}

/* Give a chunk's packets, to @ret. Return: how many. */
static unsigned int rig_walk(struct test_rig *rig, struct afpacket_chunk *chunk, uint32_t *ret)
{
	const struct afpacket_frames frames = {
		.linktype = 1, .mtu_bytes = 1500, .batch_pkts = rig->batch_pkts
	};
	static struct packet_batch batch;
	unsigned int n = 0;

	while (afpacket_chunk_next(chunk, &frames, &batch) == 0) {
		assert_true(batch.n > 0 && batch.n <= rig->batch_pkts);
		for (unsigned int i = 0; i < batch.n; i++, n++) {
			memcpy(&ret[n], batch.data[i], sizeof(ret[n]));
			assert_true(ret[n] < rig->n_sent);
			assert_true(batch.ts_ns[i] == rig->sent_ns[ret[n]]);
		}
	}
	return n;
}

/* The next chunk; it stays out. Return: as afpacket_merge_claim(). */
static int rig_claim(struct test_rig *rig, uint64_t now_ns)
{
	static uint32_t again[TEST_PKTS_MAX];
	struct afpacket_chunk *chunk;
	unsigned int n;
	int r = afpacket_merge_claim(&rig->merge, now_ns, &chunk);

	if (r != 0)
		return r;
	n = rig_walk(rig, chunk, rig->given + rig->n_given);
	afpacket_chunk_start(chunk);
	assert_int_equal(rig_walk(rig, chunk, again), n);
	assert_memory_equal(again, rig->given + rig->n_given, n * sizeof(again[0]));
	rig->n_given += n;
	rig->out[rig->n_out++] = chunk;
	return 0;
}

static void rig_release(struct test_rig *rig)
{
	if (rig->n_out == 0)
		return;
	afpacket_merge_release(rig->out[0]);
	memmove(rig->out, rig->out + 1, --rig->n_out * sizeof(rig->out[0]));
}

static void rig_drain(struct test_rig *rig, uint64_t now_ns)
{
	do {
		while (rig->n_out > 0)
			rig_release(rig);
	} while (rig_claim(rig, now_ns) == 0);
}

static unsigned int rig_n_late(const struct test_rig *rig)
{
	uint64_t watermark_ns = 0;
	unsigned int n = 0;

	for (uint32_t i = 0; i < rig->n_given; i++) {
		n += rig->sent_ns[rig->given[i]] < watermark_ns;
		watermark_ns = MAX(watermark_ns, rig->sent_ns[rig->given[i]]);
	}
	return n;
}

/* Each packet once, and those of a ring as they came. */
static void rig_assert_whole(const struct test_rig *rig)
{
	static bool given[TEST_PKTS_MAX];
	uint32_t last[TEST_RINGS_MAX] = { 0 };

	memset(given, 0, sizeof(given));
	assert_int_equal(rig->n_given, rig->n_sent);
	for (uint32_t i = 0; i < rig->n_given; i++) {
		uint32_t no = rig->given[i];

		assert_false(given[no]);
		given[no] = true;
		assert_true(no >= last[rig->ring_of[no]]);
		last[rig->ring_of[no]] = no;
	}
}

static unsigned int test_random(uint32_t *seed, unsigned int n)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (unsigned int)((uint64_t)(*seed >> 8) * n >> 24);
}

/* Packets come in order, to rings that are more or less busy; blocks are handed over and back at
 * any time. */
static void test_random_traffic(struct test_rig *rig, uint32_t *seed, unsigned int shuffle_ns)
{
	unsigned int n_busy = 1 + test_random(seed, rig->n_rings);
	uint64_t ts_ns = 1000000000u;

	for (unsigned int i = 0; i < 3000; i++) {
		unsigned int r = test_random(seed, 8) ? test_random(seed, n_busy)
						      : test_random(seed, rig->n_rings);

		switch (test_random(seed, 16)) {
		case 0:
			rig_retire(rig, test_random(seed, rig->n_rings));
			break;
		case 1:
		case 2:
		case 3:
			if (rig->n_out < TEST_CHUNKS)
				(void)rig_claim(rig, 1);
			break;
		case 4:
		case 5:
		case 6:
			rig_release(rig);
			break;
		default:
			ts_ns += test_random(seed, 3) ? test_random(seed, 1000) : 0;
			rig_send(rig, r, ts_ns + test_random(seed, shuffle_ns + 1));
			break;
		}
		if (rig->n_sent > TEST_PKTS_MAX - 2)
			break;
	}
	for (unsigned int r = 0; r < rig->n_rings; r++)
		rig_retire(rig, r);
	rig_drain(rig, 1);
}

static void test_packets_of_all_rings_come_in_order(void **state)
{
	static struct test_rig rig;
	uint32_t seed = 1;
	unsigned int n_in_order = 0;

	for (unsigned int round = 0; round < 400; round++) {
		rig_open(&rig, 1 + round % TEST_RINGS_MAX);
		rig.batch_pkts = round % 3 == 0 ? 1 : round % 3 == 1 ? 7 : 256;
		test_random_traffic(&rig, &seed, 0);
		rig_assert_whole(&rig);
		/* Nothing is kept waiting where a ring is half full; then it may be late. */
		if (!rig.was_short) {
			assert_int_equal(rig_n_late(&rig), 0);
			n_in_order++;
		}
		rig_close(&rig);
	}
	assert_true(n_in_order > 200);
}

/* Several processors, or queues of a card, stamp packets and put them into a ring. */
static void test_disorder_within_a_ring_stays(void **state)
{
	static struct test_rig rig;
	uint32_t seed = 2;

	for (unsigned int round = 0; round < 100; round++) {
		rig_open(&rig, 1 + round % TEST_RINGS_MAX);
		test_random_traffic(&rig, &seed, 3000);
		rig_assert_whole(&rig);
		rig_close(&rig);
	}
}

static void test_a_ring_without_packets_holds_nobody(void **state)
{
	static struct test_rig rig;

	rig_open(&rig, 3);
	rig_send(&rig, 1, 100);
	assert_int_equal(rig_claim(&rig, 1), AFPACKET_E_NONE);
	rig_retire(&rig, 1);
	assert_int_equal(rig_claim(&rig, 1), 0);
	assert_int_equal(rig.n_given, 1);
	assert_int_equal(rig_claim(&rig, 1), AFPACKET_E_NONE);
	rig_close(&rig);
}

static void test_packets_wait_for_what_another_ring_is_filled_with(void **state)
{
	static struct test_rig rig;

	rig_open(&rig, 3);
	rig_send(&rig, 0, 100);
	rig_send(&rig, 1, 200);
	rig_retire(&rig, 1);
	assert_int_equal(rig_claim(&rig, 1), AFPACKET_E_HELD);
	rig_send(&rig, 2, 300); /* later than what waits: nobody waits for this */
	rig_retire(&rig, 0);
	assert_int_equal(rig_claim(&rig, 2), 0);
	assert_int_equal(rig_claim(&rig, 2), AFPACKET_E_HELD);
	rig_retire(&rig, 2);
	rig_drain(&rig, 3);
	rig_assert_whole(&rig);
	assert_int_equal(rig_n_late(&rig), 0);
	rig_close(&rig);
}

/* Who comes while others wait is not waited for, or they might wait again and again. */
static void test_who_begins_later_is_not_waited_for(void **state)
{
	static struct test_rig rig;

	rig_open(&rig, 3);
	rig_send(&rig, 0, 100);
	rig_send(&rig, 1, 200);
	rig_retire(&rig, 1);
	assert_int_equal(rig_claim(&rig, 1), AFPACKET_E_HELD);
	rig_retire(&rig, 0);
	rig_send(&rig, 2, 300);
	/* Ring 0 came and went meanwhile; its next block has begun, too. */
	assert_int_equal(rig_claim(&rig, 2), 0);
	assert_int_equal(rig.n_given, 1);
	rig_close(&rig);
}

static void test_nothing_waits_for_ever(void **state)
{
	static struct test_rig rig;

	rig_open(&rig, 2);
	rig_send(&rig, 0, 100);
	rig_send(&rig, 1, 200);
	rig_retire(&rig, 1);
	assert_int_equal(rig_claim(&rig, TEST_MS), AFPACKET_E_HELD);
	assert_int_equal(rig_claim(&rig, 60 * TEST_MS), AFPACKET_E_HELD);
	assert_int_equal(rig_claim(&rig, 101 * TEST_MS), 0);
	assert_int_equal(rig.n_given, 1);
	/* Too late, but not lost; and the next one waits as long. */
	rig_retire(&rig, 0);
	assert_int_equal(rig_claim(&rig, 102 * TEST_MS), 0);
	assert_int_equal(rig_n_late(&rig), 1);
	rig_send(&rig, 0, 300);
	rig_send(&rig, 1, 400);
	rig_retire(&rig, 1);
	assert_int_equal(rig_claim(&rig, 150 * TEST_MS), AFPACKET_E_HELD);
	rig_close(&rig);
}

static void test_order_costs_no_packet(void **state)
{
	static struct test_rig rig;
	unsigned int n_held = 0;

	rig_open(&rig, 2);
	rig_send(&rig, 0, 1);
	for (unsigned int i = 0; i < 5000; i++) {
		rig_send(&rig, 1, 2 + i);
		n_held += rig_claim(&rig, 1) == AFPACKET_E_HELD;
		rig_release(&rig);
	}
	assert_true(n_held > 0);
	assert_int_equal(rig.n_dropped, 0);
	rig_close(&rig);
}

/* A ring has packets of tomorrow when the clock is set back; others go on. */
static void test_a_clock_that_is_set_back_holds_nobody(void **state)
{
	const uint64_t day_ns = 86400ull * 1000000000u;
	static struct test_rig rig;
	unsigned int n = 0;

	rig_open(&rig, 2);
	rig_send(&rig, 0, 2 * day_ns);
	rig_retire(&rig, 0);
	while (n < 1000 && (rig.n_given == 0 || rig.given[rig.n_given - 1] != 0)) {
		rig_send(&rig, 1, day_ns + n++);
		rig_retire(&rig, 1);
		assert_int_equal(rig_claim(&rig, 1), 0);
		rig_release(&rig);
	}
	assert_true(n > TEST_BLOCKS && n < 3 * TEST_BLOCKS);
	rig_drain(&rig, 1);
	rig_assert_whole(&rig);
	rig_close(&rig);
}

static void test_no_more_chunks_than_there_are(void **state)
{
	static struct test_rig rig;

	rig_open(&rig, 1);
	for (unsigned int i = 0; i < TEST_CHUNKS + 1; i++) {
		rig_send(&rig, 0, i);
		rig_retire(&rig, 0);
	}
	for (unsigned int i = 0; i < TEST_CHUNKS; i++)
		assert_int_equal(rig_claim(&rig, 1), 0);
	assert_int_equal(rig_claim(&rig, 1), AFPACKET_E_NONE);
	rig_release(&rig);
	assert_int_equal(rig_claim(&rig, 1), 0);
	rig_assert_whole(&rig);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets_of_all_rings_come_in_order),
		cmocka_unit_test(test_disorder_within_a_ring_stays),
		cmocka_unit_test(test_a_ring_without_packets_holds_nobody),
		cmocka_unit_test(test_packets_wait_for_what_another_ring_is_filled_with),
		cmocka_unit_test(test_who_begins_later_is_not_waited_for),
		cmocka_unit_test(test_nothing_waits_for_ever),
		cmocka_unit_test(test_order_costs_no_packet),
		cmocka_unit_test(test_a_clock_that_is_set_back_holds_nobody),
		cmocka_unit_test(test_no_more_chunks_than_there_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
