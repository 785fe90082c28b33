/* SPDX-License-Identifier: BSD-2-Clause */
/* GAP, BINOP and DIST: values of packets and of values. */
#undef NDEBUG
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "mapi/binop.h"
#include "mapi/dist.h"
#include "mapi/errors.h"
#include "std.h"
#include "test_std_private.h"

#define S 1000000000u /* nanoseconds */

/* Batch 0 becomes packets at these times; all of them are selected. */
static void test_set_times(struct test_traffic *t, const uint64_t ts_ns[], unsigned int n)
{
	t->batch[0].n = n;
	t->selection[0] = packet_mask_first(n);
	memcpy(t->batch[0].ts_ns, ts_ns, n * sizeof(ts_ns[0]));
}

static uint64_t test_u64(const struct test_run *run)
{
	uint64_t value;

	memcpy(&value, run->result, sizeof(value));
	return value;
}

/* ---- GAP ---- */

static void test_gap_is_between_packets_that_reach_it(void **state)
{
	static const uint64_t ts_ns[] = { 10u * S, 11u * S, 11u * S + 1, 9u * S, 9u * S + S / 2 };
	struct test_traffic *t = test_traffic_new(1);
	struct test_run run;

	test_set_times(t, ts_ns, 5);
	packet_mask_clear(&t->selection[0], 1);
	assert_int_equal(0, test_open(&run, &std_gap, NULL, 0, true));
	test_run(&run, t, 0, 1, TEST_SPLIT_RANDOM, true);
	assert_int_equal(run.column[0][0], 0); /* nothing before it */
	assert_int_equal(run.column[0][1], 0); /* filtered: nothing new */
	assert_int_equal(run.column[0][2], packet_ts_from_ns(S + 1));
	assert_int_equal(run.column[0][3], 0); /* backwards is no gap */
	assert_int_equal(run.column[0][4], 1ULL << 31); /* from the packet before, late or not */
	assert_int_equal(test_u64(&run), 1ULL << 31);
	free(t);
}

static void test_gap_converts_back(void **state)
{
	struct test_traffic *t = test_traffic_new(2);
	struct test_run run;

	/* To nanoseconds by cutting off, as programs do; and what 32.32 cannot hold. */
	assert_int_equal(0, test_open(&run, &std_gap, NULL, 0, true));
	for (uint64_t gap_ns = 1; gap_ns < 4u * S; gap_ns = gap_ns * 3 + 1) {
		test_set_times(t, (const uint64_t[]){ 123456789, 123456789 + gap_ns }, 2);
		test_run(&run, t, 0, 1, TEST_SPLIT_WHOLE, false);
		assert_int_equal(
			(unsigned long long)((unsigned __int128)test_u64(&run) * S >> 32), gap_ns);
	}
	test_set_times(t, (const uint64_t[]){ 0, UINT64_MAX }, 2);
	test_run(&run, t, 0, 1, TEST_SPLIT_WHOLE, false);
	assert_int_equal(test_u64(&run), UINT64_MAX);
	free(t);
}

/* ---- BINOP ---- */

static void test_binop_is_of_the_last_packet_that_reaches_it(void **state)
{
	static const uint64_t a[] = { 5, 7, 0, UINT64_MAX }, b[] = { 3, 1, 1, 2 };
	static const uint64_t sums[] = { 8, 8, 1, 1 },
			      differences[] = { 2, 2, UINT64_MAX, UINT64_MAX - 2 };
	struct test_traffic *t = test_traffic_new(3);

	for (int operation = BINOP_ADD; operation <= BINOP_SUB; operation++) {
		const uint64_t *expected = operation == BINOP_ADD ? sums : differences;
		const struct function_value args[5] = { test_number(operation) };
		struct test_run run;

		test_set_times(t, (const uint64_t[]){ 1, 2, 3, 4 }, 4);
		packet_mask_clear(&t->selection[0], 1);
		memcpy(t->source[0], a, sizeof(a));
		memcpy(t->second[0], b, sizeof(b));
		assert_int_equal(0, test_open(&run, &std_binop, args, 5, true));
		test_run(&run, t, 0, 1, TEST_SPLIT_RANDOM, true);
		assert_memory_equal(run.column[0], expected, sizeof(sums));
		assert_int_equal(test_u64(&run), expected[3]);
	}
	free(t);
}

/* ---- DIST ---- */

static const dist_t *test_dist(struct test_run *run, struct test_traffic *t, const char *min,
	const char *max, const char *interval)
{
	const struct function_value args[] = { test_number(1), test_number(1), test_text(min),
		test_text(max), test_text(interval) };

	assert_int_equal(0, test_open(run, &std_dist, args, 5, true));
	test_run(run, t, 0, 1, TEST_SPLIT_RANDOM, false);
	test_close(run);
	return (const dist_t *)(const void *)run->result;
}

static void test_dist_counts_values_in_intervals(void **state)
{
	static const uint64_t values[] = { 9, 10, 14, 15, 24, 25, 29, 30, 31, UINT64_MAX, 12 };
	struct test_traffic *t = test_traffic_new(4);
	struct test_run run;
	const dist_t *dist;

	test_set_times(t, values, ARRAY_SIZE(values)); /* of no interest */
	packet_mask_clear(&t->selection[0], 10);
	memcpy(t->source[0], values, sizeof(values));
	dist = test_dist(&run, t, "10", "30", "5");
	assert_true(dist->min == 10 && dist->max == 30 && dist->intervals == 4);
	assert_int_equal(run.result_bytes, 24 + 6 * 8);
	assert_memory_equal(
		dist->data, ((const uint64_t[]){ 1, 2, 1, 1, 2, 3 }), 6 * sizeof(uint64_t));

	/* The last interval is shorter, and has the maximum. */
	dist = test_dist(&run, t, "10", "30", "8");
	assert_int_equal(dist->intervals, 3);
	assert_memory_equal(
		dist->data, ((const uint64_t[]){ 1, 3, 2, 2, 2 }), 5 * sizeof(uint64_t));

	/* Everything is one interval, but what is above. */
	dist = test_dist(&run, t, "0", "18446744073709551614", "18446744073709551615");
	assert_int_equal(dist->intervals, 1);
	assert_memory_equal(dist->data, ((const uint64_t[]){ 0, 9, 1 }), 3 * sizeof(uint64_t));
	free(t);
}

static void test_dist_takes_times(void **state)
{
	static const uint64_t values[] = { 0, 1ULL << 30, 1ULL << 31, 1ULL << 32 };
	struct test_traffic *t = test_traffic_new(5);
	struct test_run run;
	const dist_t *dist;

	test_set_times(t, values, 4);
	memcpy(t->source[0], values, sizeof(values));
	dist = test_dist(&run, t, "250ms", "1s", "250ms");
	assert_int_equal(dist->intervals, 3);
	assert_int_equal(dist->max, 1ULL << 32);
	assert_memory_equal(
		dist->data, ((const uint64_t[]){ 1, 1, 1, 0, 1 }), 5 * sizeof(uint64_t));
	free(t);
}

static void test_dist_is_only_as_long_as_it_must_be(void **state)
{
	struct function_value args[] = { test_number(1), test_number(1), test_text("0"),
		test_text("65536"), test_text("1") };

	assert_int_equal(std_dist.result_bytes_of(args), std_dist.desc.result_bytes);
	args[4] = test_text("65536");
	assert_int_equal(std_dist.result_bytes_of(args), 24 + 3 * 8);
	args[4] = test_text("");
	assert_in_range(std_dist.result_bytes_of(args), 24, std_dist.desc.result_bytes);
}

/* ---- all ---- */

static void test_any_split_gives_the_same(void **state)
{
	const struct function_value sum[5] = { test_number(BINOP_SUB) };
	const struct function_value dist[5] = { { .fd = -1 }, { .fd = -1 }, test_text("100"),
		test_text("4000"), test_text("77") };
	struct test_traffic *t = test_traffic_new(6);

	test_any_split(t, &std_gap, NULL, 0, true);
	test_any_split(t, &std_binop, sum, 5, true);
	test_any_split(t, &std_dist, dist, 5, true);
	free(t);
}

static void test_refused_arguments(void **state)
{
	const struct function_value ref = test_number(1), ten = test_text("10");
	const struct {
		const struct function *function;
		struct function_value args[5];
		int code;
	} cases[] = {
		{ &std_binop, { test_number(2), ref, ref, ref, ref }, MFUNCT_INVALID_ARGUMENT_1 },
		{ &std_binop, { test_number(-1), ref, ref, ref, ref }, MFUNCT_INVALID_ARGUMENT_1 },
		{ &std_dist, { ref, ref, test_text(""), ten, ten }, MFUNCT_INVALID_ARGUMENT_3 },
		{ &std_dist, { ref, ref, test_text("-1"), ten, ten }, MFUNCT_INVALID_ARGUMENT_3 },
		{ &std_dist, { ref, ref, ten, test_text("5 s"), ten }, MFUNCT_INVALID_ARGUMENT_4 },
		{ &std_dist, { ref, ref, ten, ten, ten }, MFUNCT_INVALID_ARGUMENT_4 },
		{ &std_dist, { ref, ref, ten, test_text("9"), ten }, MFUNCT_INVALID_ARGUMENT_4 },
		{ &std_dist, { ref, ref, ten, test_text("20"), test_text("0") },
			MFUNCT_INVALID_ARGUMENT_5 },
		{ &std_dist, { ref, ref, ten, test_text("20"), test_text("x") },
			MFUNCT_INVALID_ARGUMENT_5 },
		{ &std_dist, { ref, ref, test_text("0"), test_text("65537"), test_text("1") },
			MFUNCT_INVALID_ARGUMENT_5 },
		{ &std_dist,
			{ ref, ref, test_text("0"), test_text("18446744073709551615"),
				test_text("1") },
			MFUNCT_INVALID_ARGUMENT_5 },
	};

	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		struct test_run run;

		assert_true(test_open(&run, cases[k].function, cases[k].args, 5, true) < 0);
		assert_int_equal(run.error.code, cases[k].code);
		assert_true(strlen(run.error.text) > 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gap_is_between_packets_that_reach_it),
		cmocka_unit_test(test_gap_converts_back),
		cmocka_unit_test(test_binop_is_of_the_last_packet_that_reaches_it),
		cmocka_unit_test(test_dist_counts_values_in_intervals),
		cmocka_unit_test(test_dist_takes_times),
		cmocka_unit_test(test_dist_is_only_as_long_as_it_must_be),
		cmocka_unit_test(test_any_split_gives_the_same),
		cmocka_unit_test(test_refused_arguments),
	};

	return cmocka_run_group_tests_name("std_values", tests, NULL, NULL);
}
