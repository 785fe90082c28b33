/* SPDX-License-Identifier: BSD-2-Clause */
/* STARTSTOP and BURST: times, and sizes of what comes together. */
#undef NDEBUG
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "mapi/burst.h"
#include "mapi/errors.h"
#include "mapi/startstop.h"
#include "std.h"
#include "test_std_private.h"

#define TEST_S 1000000000ull

struct test_packets {
	uint64_t ts_ns;
	uint32_t wire_bytes;
};

/* These packets and no others, all selected. */
static void test_set(struct test_traffic *t, const struct test_packets packets[], unsigned int n)
{
	t->batch[0].n = n;
	t->selection[0] = packet_mask_first(n);
	for (unsigned int i = 0; i < n; i++) {
		t->batch[0].ts_ns[i] = packets[i].ts_ns;
		t->batch[0].wire_bytes[i] = packets[i].wire_bytes;
	}
}

/* ---- STARTSTOP ---- */

static startstop_t test_times(const struct test_run *run)
{
	startstop_t times;

	memcpy(&times, run->result, sizeof(times));
	return times;
}

/* Which of @n packets at these times pass, as bits from the first on. */
static unsigned int test_pass(const char *start, const char *stop, const uint64_t ts_ns[],
	unsigned int n, startstop_t *ret)
{
	const struct function_value args[] = { test_text(start), test_text(stop) };
	struct test_traffic *t = test_traffic_new(1);
	struct test_packets packets[16];
	struct test_run run;
	unsigned int passed = 0;

	for (unsigned int i = 0; i < n; i++)
		packets[i] = (struct test_packets){ .ts_ns = ts_ns[i], .wire_bytes = 60 };
	test_set(t, packets, n);
	assert_int_equal(0, test_open(&run, &std_startstop, args, 2, true));
	test_run(&run, t, 0, 1, TEST_SPLIT_WHOLE, false);
	for (unsigned int i = 0; i < n; i++)
		passed |= (unsigned int)packet_mask_test(&run.passed[0], i) << i;
	if (ret)
		*ret = test_times(&run);
	test_close(&run);
	free(t);
	return passed;
}

static void test_spans_begin_with_the_first_packet(void **state)
{
	const uint64_t ts_ns[] = { 10 * TEST_S, 11 * TEST_S - 1, 11 * TEST_S, 13 * TEST_S - 1,
		13 * TEST_S, 20 * TEST_S };
	startstop_t times;

	assert_int_equal(test_pass("+1s", "+2s", ts_ns, 6, &times), 0x0c);
	assert_int_equal(times.first, packet_ts_from_ns(10 * TEST_S));
	assert_int_equal(times.first_processed, packet_ts_from_ns(11 * TEST_S));
	assert_int_equal(times.last, packet_ts_from_ns(13 * TEST_S - 1));
	assert_int_equal(test_pass("+0s", "", ts_ns, 6, NULL), 0x3f);
	assert_int_equal(test_pass("+18446744073s", "", ts_ns, 6, &times), 0);
	assert_int_equal(times.first, packet_ts_from_ns(10 * TEST_S));
	assert_int_equal(times.first_processed, 0);
	assert_int_equal(times.last, 0);
	/* Sums do not overflow. */
	assert_int_equal(test_pass("+1s", "+18446744073s", ts_ns, 6, NULL), 0x3c);
}

/* A packet at the epoch is one. */
static void test_packets_at_time_zero(void **state)
{
	const uint64_t ts_ns[] = { 0, TEST_S, 2 * TEST_S };
	startstop_t times;

	assert_int_equal(test_pass("+0s", "+2s", ts_ns, 3, &times), 0x03);
	assert_int_equal(times.first, 0);
	assert_int_equal(times.first_processed, 0);
	assert_int_equal(times.last, packet_ts_from_ns(TEST_S));
}

/* Time does not run backwards, so there is one start and one stop. */
static void test_late_packets_pass_with_their_neighbours(void **state)
{
	const uint64_t ts_ns[] = { 10 * TEST_S, 11 * TEST_S, 10 * TEST_S, 12 * TEST_S,
		11 * TEST_S };
	startstop_t times;

	assert_int_equal(test_pass("+1s", "+1s", ts_ns, 5, &times), 0x06);
	assert_int_equal(times.first_processed, packet_ts_from_ns(11 * TEST_S));
	assert_int_equal(times.last, packet_ts_from_ns(10 * TEST_S));
}

/* The packets that filters keep away have times, too. */
static void test_time_is_that_of_all_packets(void **state)
{
	const struct test_packets packets[] = { { 5 * TEST_S, 60 }, { 10 * TEST_S, 60 },
		{ 12 * TEST_S, 60 }, { 11 * TEST_S, 60 } };
	const struct function_value args[] = { test_text("+0s"), test_text("+2s") };
	struct test_traffic *t = test_traffic_new(1);
	struct test_run run;

	test_set(t, packets, 4);
	packet_mask_clear(&t->selection[0], 0);
	packet_mask_clear(&t->selection[0], 2);
	assert_int_equal(0, test_open(&run, &std_startstop, args, 2, true));
	test_run(&run, t, 0, 1, TEST_SPLIT_WHOLE, false);
	assert_true(packet_mask_test(&run.passed[0], 1));
	assert_false(packet_mask_test(&run.passed[0], 3));
	assert_int_equal(test_times(&run).first, packet_ts_from_ns(10 * TEST_S));
	free(t);
}

/* More packets of the same flow; the clock was set before them. */
static unsigned int test_pass_more(
	struct test_run *run, struct test_traffic *t, int64_t by_s, const uint64_t ts_s[3])
{
	unsigned int passed = 0;

	test_set(t,
		(const struct test_packets[]){ { ts_s[0] * TEST_S, 60 }, { ts_s[1] * TEST_S, 60 },
			{ ts_s[2] * TEST_S, 60 } },
		3);
	std_startstop.step(run->instance, run->state, by_s * (int64_t)TEST_S);
	run->passed[0] = t->selection[0];
	test_process(run, t, 0, 0, 3, false);
	for (unsigned int i = 0; i < 3; i++)
		passed |= (unsigned int)packet_mask_test(&run->passed[0], i) << i;
	return passed;
}

/* Spans go on, a time of day is that of the new clock, what is over stays so. */
static void test_startstop_when_the_clock_is_set(void **state)
{
	const struct function_value spans[] = { test_text("+2s"), test_text("+3s") };
	const struct function_value times[] = { test_text("1970-01-01 00:01:00"),
		test_text("1970-01-01 00:02:00") };
	struct test_traffic *t = test_traffic_new(1);
	struct test_run run;

	assert_int_equal(0, test_open(&run, &std_startstop, spans, 2, true));
	test_reset(&run);
	assert_int_equal(test_pass_more(&run, t, 0, (const uint64_t[]){ 1010, 1011, 1011 }), 0);
	assert_int_equal(
		test_pass_more(&run, t, 5000, (const uint64_t[]){ 6011, 6012, 6013 }), 0x06);
	assert_int_equal(
		test_pass_more(&run, t, -900, (const uint64_t[]){ 5113, 5114, 5115 }), 0x03);
	assert_int_equal(test_pass_more(&run, t, -900, (const uint64_t[]){ 4212, 4213, 4215 }), 0);
	test_close(&run);
	assert_int_equal(0, setenv("TZ", "UTC", 1));
	assert_int_equal(0, test_open(&run, &std_startstop, times, 2, true));
	test_reset(&run);
	assert_int_equal(test_pass_more(&run, t, 0, (const uint64_t[]){ 40, 41, 42 }), 0);
	assert_int_equal(test_pass_more(&run, t, 17, (const uint64_t[]){ 59, 60, 61 }), 0x06);
	assert_int_equal(test_pass_more(&run, t, -30, (const uint64_t[]){ 31, 32, 120 }), 0x03);
	assert_int_equal(test_pass_more(&run, t, -60, (const uint64_t[]){ 61, 62, 63 }), 0);
	test_close(&run);
	free(t);
}

static void test_absolute_times_are_local(void **state)
{
	const uint64_t noon = 1089374400 * TEST_S; /* 2004-07-09 12:00:00 UTC */
	const uint64_t ts_ns[] = { noon - 1, noon, noon + TEST_S - 1, noon + TEST_S };

	assert_int_equal(0, setenv("TZ", "XYZ-05:30", 1));
	assert_int_equal(
		test_pass("2004-07-09 17:30:00", "2004-07-09 17:30:01", ts_ns, 4, NULL), 0x06);
	assert_int_equal(test_pass("2004-07-09 17:30:00", "+1s", ts_ns, 4, NULL), 0x06);
	assert_int_equal(0, setenv("TZ", "UTC", 1));
	assert_int_equal(test_pass("2004-07-09 12:00:01", "", ts_ns, 4, NULL), 0x08);
	assert_int_equal(test_pass("1970-01-01 00:00:00", "", ts_ns, 4, NULL), 0x0f);
}

static void test_refused_times(void **state)
{
	static const struct {
		const char *start, *stop;
		int code;
	} cases[] = {
		{ "", "", 7001 },
		{ "+", "", 7001 },
		{ "+5", "", 7001 },
		{ "5s", "", 7001 },
		{ "+-5s", "", 7001 },
		{ "+5s ", "", 7001 },
		{ "2004-07-09", "", 7001 },
		{ "2004-07-09 12:00:00Z", "", 7001 },
		{ "2004-02-30 12:00:00", "", 7001 },
		{ "1969-12-31 12:00:00", "", 7001 },
		{ "2600-01-01 00:00:00", "", 7001 },
		{ "+5s", "5s", 7002 },
		{ "+5s", "never", 7002 },
		{ "+5s", "2004-07-09 12:00:00", 7000 },
		{ "2004-07-09 12:00:00", "2004-07-09 12:00:00", 7002 },
		{ "2004-07-09 12:00:00", "2004-07-09 11:00:00", 7002 },
	};

	assert_int_equal(0, setenv("TZ", "UTC", 1));
	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		const struct function_value args[] = { test_text(cases[k].start),
			test_text(cases[k].stop) };
		struct test_run run;

		assert_int_equal(-EINVAL, test_open(&run, &std_startstop, args, 2, true));
		assert_int_equal(run.error.code, cases[k].code);
		assert_true(run.error.text[0]);
	}
}

/* ---- BURST ---- */

static void test_burst_args(struct function_value ret[7], const int numbers[7])
{
	for (unsigned int i = 0; i < 7; i++)
		ret[i] = test_number(numbers[i]);
}

/* 1000 Mbit/s: 125 bytes take 1 us. Categories: below 100, from 100, 200 and 300 bytes on. */
static void test_bursts_and_gaps(void **state)
{
	static const struct test_packets packets[] = {
		{ 1000000, 125 }, /* the next one is due after 1000 + 100 ns */
		{ 1001100 + 20, 125 }, /* as late as it may be */
		{ 1002220 - 10, 50 }, /* as early as it may be; 50 bytes take 400 ns */
		{ 1002710 + 21, 60 }, /* too late: a gap of 21 ns, 2 bytes */
		{ 1003311 + 800, 90 }, /* a gap of 800 ns, 100 bytes */
		{ 1004931 - 11, 95 }, /* too early: no gap */
		{ 1, 99 }, /* back in time: no gap */
		{ 893 + 1000000000, 300 }, /* a gap of a second; this burst is not over */
	};
	struct function_value args[7];
	struct test_traffic *t = test_traffic_new(1);
	const burst_category_t *c;
	struct test_run run;

	test_burst_args(args, (const int[]){ 100, 300, 100, 100, 20, 10, 1000 });
	test_set(t, packets, 8);
	assert_int_equal(0, test_open(&run, &std_burst, args, 7, true));
	assert_int_equal(run.result_bytes, 4 * sizeof(burst_category_t));
	test_run(&run, t, 0, 1, TEST_SPLIT_WHOLE, false);
	c = (const void *)run.result;
	assert_int_equal(c[0].bursts, 4);
	assert_int_equal(c[0].packets, 4);
	assert_int_equal(c[0].bytes, 60 + 90 + 95 + 99);
	assert_int_equal(c[0].gaps, 1);
	assert_int_equal(c[0].gap_bytes, 2);
	assert_int_equal(c[1].bursts, 0);
	assert_int_equal(c[1].gaps, 1);
	assert_int_equal(c[1].gap_bytes, 100);
	assert_int_equal(c[2].bursts, 0);
	assert_int_equal(c[3].bursts, 2);
	assert_int_equal(c[3].packets, 4);
	assert_int_equal(c[3].bytes, 300 + 300);
	assert_int_equal(c[3].gaps, 1);
	assert_int_equal(c[3].gap_bytes, 125000000);
	/* Reading changes nothing. */
	test_read(&run);
	assert_int_equal(c[3].bursts, 2);
	test_close(&run);
	free(t);
}

static void test_a_gap_from_one_end_of_time_to_the_other(void **state)
{
	static const struct test_packets packets[] = { { 0, 60 }, { UINT64_MAX, 60 }, { 0, 60 } };
	struct function_value args[7];
	struct test_traffic *t = test_traffic_new(1);
	const burst_category_t *c;
	struct test_run run;

	test_burst_args(args, (const int[]){ 0, 0, INT_MAX, INT_MAX, INT_MAX, INT_MAX, INT_MAX });
	test_set(t, packets, 3);
	assert_int_equal(0, test_open(&run, &std_burst, args, 7, true));
	test_run(&run, t, 0, 1, TEST_SPLIT_WHOLE, false);
	c = (const void *)run.result;
	assert_int_equal(c[1].gaps, 1);
	assert_int_equal(c[1].gap_bytes, UINT64_MAX);
	assert_int_equal(c[1].bursts, 2); /* the last one is early by no more than that */
	test_close(&run);
	free(t);
}

static void test_refused_sizes(void **state)
{
	static const struct {
		int numbers[7];
		int code;
	} cases[] = {
		{ { 2, 1, 1, 0, 0, 0, 1 }, 7002 },
		{ { 0, 16384, 1, 0, 0, 0, 1 }, 7003 },
		{ { 0, INT_MAX, 1, 0, 0, 0, 1 }, 7003 },
	};
	struct function_value args[7];
	struct function_open open = { .args = args, .n_args = 7 };
	_Alignas(16) unsigned char instance[128] = { 0 };

	assert_true(std_burst.instance_bytes <= sizeof(instance));
	open.instance = instance;
	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		struct error err = ERROR_INIT;

		test_burst_args(args, cases[k].numbers);
		assert_true(std_burst.result_bytes_of(args) <= std_burst.desc.result_bytes);
		assert_int_equal(-EINVAL, std_burst.open(&open, &err));
		assert_int_equal(err.code, cases[k].code);
	}
	test_burst_args(args, (const int[]){ 1, 16383, 1, 0, 0, 0, 1 });
	assert_int_equal(0, std_burst.open(&open, NULL));
	assert_int_equal(std_burst.result_bytes_of(args), std_burst.desc.result_bytes);
	std_burst.close(instance);
}

/* ---- both ---- */

static void test_any_split_gives_the_same(void **state)
{
	struct test_traffic *t = test_traffic_new(3);
	struct function_value args[7];

	test_any_split(t, &std_startstop,
		(const struct function_value[]){ test_text("+1s"), test_text("+12s") }, 2, true);
	test_burst_args(args, (const int[]){ 0, 2000, 200, 100, 20000000, 1000, 1 });
	test_any_split(t, &std_burst, args, 7, true);
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spans_begin_with_the_first_packet),
		cmocka_unit_test(test_packets_at_time_zero),
		cmocka_unit_test(test_late_packets_pass_with_their_neighbours),
		cmocka_unit_test(test_time_is_that_of_all_packets),
		cmocka_unit_test(test_startstop_when_the_clock_is_set),
		cmocka_unit_test(test_absolute_times_are_local),
		cmocka_unit_test(test_refused_times),
		cmocka_unit_test(test_bursts_and_gaps),
		cmocka_unit_test(test_a_gap_from_one_end_of_time_to_the_other),
		cmocka_unit_test(test_refused_sizes),
		cmocka_unit_test(test_any_split_gives_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
