/* SPDX-License-Identifier: BSD-2-Clause */
/* Super-packets (semantics P3) in the functions of the standard library that count. */
#undef NDEBUG
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "std.h"
#include "test_std_private.h"

static uint64_t test_u64(const struct test_run *run)
{
	uint64_t value;

	memcpy(&value, run->result, sizeof(value));
	return value;
}

/* Every third packet stands for several on the wire, the others for themselves. */
static void test_make_live(struct packet_batch *batch, bool with_super)
{
	batch->is_live = true;
	batch->has_super = with_super;
	for (unsigned int i = 0; i < batch->n; i++) {
		uint16_t wire_pkts = with_super && i % 3 == 0 ? (uint16_t)(2 + i) : 1;

		batch->flags[i] = PACKET_OUTBOUND;
		batch->wire_pkts[i] = wire_pkts;
		batch->all_wire_bytes[i] = batch->wire_bytes[i] + 54u * (wire_pkts - 1u);
	}
}

static void test_super_packets_count_for_all_they_stand_for(void **state)
{
	struct test_traffic *t = test_traffic_new(11);
	struct test_run pkts, bytes;
	uint64_t n_pkts = 0, n_bytes = 0;

	for (unsigned int b = 0; b < TEST_N_BATCHES; b++)
		test_make_live(&t->batch[b], b % 2 == 0);
	assert_int_equal(0, test_open(&pkts, &std_pkt_counter, NULL, 0, false));
	assert_int_equal(0, test_open(&bytes, &std_byte_counter, NULL, 0, false));
	test_run(&pkts, t, 0, TEST_N_BATCHES, TEST_SPLIT_RANDOM, true);
	test_run(&bytes, t, 0, TEST_N_BATCHES, TEST_SPLIT_RANDOM, true);
	for (unsigned int b = 0; b < TEST_N_BATCHES; b++) {
		for (unsigned int i = 0; i < t->batch[b].n; i++) {
			if (packet_mask_test(&t->selection[b], i)) {
				n_pkts += t->batch[b].wire_pkts[i];
				n_bytes += t->batch[b].all_wire_bytes[i];
			}
			assert_int_equal(pkts.column[b][i], n_pkts);
			assert_int_equal(bytes.column[b][i], n_bytes);
		}
	}
	assert_int_equal(test_u64(&pkts), n_pkts);
	assert_int_equal(test_u64(&bytes), n_bytes);
	/* Whole batches, without a column, are counted by other code. */
	test_run(&pkts, t, 0, TEST_N_BATCHES, TEST_SPLIT_WHOLE, false);
	test_run(&bytes, t, 0, TEST_N_BATCHES, TEST_SPLIT_WHOLE, false);
	assert_int_equal(test_u64(&pkts), n_pkts);
	assert_int_equal(test_u64(&bytes), n_bytes);
	free(t);
}

static void test_cut_keeps_what_packets_stand_for(void **state)
{
	struct test_traffic *t = test_traffic_new(10);
	struct packet_batch *cut = calloc(1, sizeof(*cut));
	struct function_value bytes = test_number(64);
	struct test_run run;

	assert_non_null(cut);
	assert_int_equal(0, test_open(&run, &std_cut, &bytes, 1, false));
	for (unsigned int b = 0; b < TEST_N_BATCHES; b++) {
		struct packet_batch *from = &t->batch[b];
		struct function_call call = { .batch = from, .n = from->n };

		test_make_live(from, b != 2);
		from->is_live = b != 1; /* one from a file, and then live again */
		from->has_super = from->is_live && b != 2;
		std_cut.transform(&call, run.instance, NULL, cut);
		assert_int_equal(cut->is_live, from->is_live);
		assert_int_equal(cut->has_super, from->has_super);
		for (unsigned int i = 0; from->is_live && i < from->n; i++) {
			assert_int_equal(cut->flags[i], from->flags[i]);
			assert_int_equal(cut->wire_pkts[i], from->wire_pkts[i]);
			assert_int_equal(cut->all_wire_bytes[i], from->all_wire_bytes[i]);
		}
	}
	free(cut);
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_super_packets_count_for_all_they_stand_for),
		cmocka_unit_test(test_cut_keeps_what_packets_stand_for),
	};

	return cmocka_run_group_tests_name("std_super", tests, NULL, NULL);
}
