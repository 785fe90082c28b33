/* SPDX-License-Identifier: BSD-2-Clause */
/* BUCKET and THRESHOLD: records at the ends of periods, and what passes. */
#undef NDEBUG
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "mapi.h"
#include "mapi/errors.h"
#include "mapi/threshold.h"
#include "std.h"
#include "test_std_private.h"
#include "wire/ring.h"

#define S ((uint64_t)1000000000u) /* nanoseconds */
#define TS(s) ((uint64_t)(s) << 32)
#define TEST_EMPTY_MAX 100000 /* intervals without packets, until a packet comes */

struct test_record {
	uint64_t timestamp, value;
};

/* Batch 0 becomes selected packets at these times; values of the source after each. */
static void test_set(
	struct test_traffic *t, const uint64_t ts_ns[], const uint64_t values[], unsigned int n)
{
	t->batch[0].n = n;
	t->selection[0] = packet_mask_first(n);
	memcpy(t->batch[0].ts_ns, ts_ns, n * sizeof(ts_ns[0]));
	memcpy(t->source[0], values, n * sizeof(values[0]));
}

/* The records so far are exactly these. */
static void test_records(
	struct ring_reader *reader, const struct test_record expected[], unsigned int n)
{
	const void *record;
	size_t n_bytes;

	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(0, ring_reader_next(reader, &record, &n_bytes));
		assert_int_equal(n_bytes, sizeof(expected[0]));
		assert_memory_equal(record, &expected[i], sizeof(expected[0]));
	}
	assert_int_equal(RING_READ_E_EMPTY, ring_reader_next(reader, &record, &n_bytes));
}

#define TEST_RECORDS(reader, ...)                                         \
	test_records(reader, (const struct test_record[]){ __VA_ARGS__ }, \
		sizeof((const struct test_record[]){ __VA_ARGS__ }) / sizeof(struct test_record))

/* ---- BUCKET ---- */

static struct ring_reader *test_bucket(
	struct test_run *run, const char *interval, int reset, bool lossless)
{
	const struct function_value args[] = { test_number(1), test_number(1), test_text(interval),
		test_number(reset) };

	assert_int_equal(0, test_open(run, &std_bucket, args, 4, lossless));
	assert_int_equal(std_bucket.resets_refs_of(run->instance), reset != 0);
	return test_ring_reader(run);
}

static void test_bucket_gives_values_of_intervals(void **state)
{
	static const uint64_t ts_ns[] = { 10 * S, 10 * S + 1, 11 * S, 9 * S, 14 * S, 15 * S };
	static const uint64_t values[] = { 1, 2, 3, 4, 5, 6 };

	/* The packet at 11 s begins an interval; the late one belongs to it; then two are empty. */
	for (int reset = 0; reset <= 1; reset++) {
		for (enum test_split split = 0; split < _TEST_SPLIT_N; split++) {
			struct test_traffic *t = test_traffic_new(1);
			struct test_run run;
			struct ring_reader *reader = test_bucket(&run, "1s", reset, true);

			test_set(t, ts_ns, values, 6);
			packet_mask_clear(&t->selection[0], 4); /* filtered, but time has come */
			test_run(&run, t, 0, 1, split, false);
			TEST_RECORDS(reader, { TS(10), 2 }, { TS(11), 4 }, { TS(12), 0 },
				{ TS(13), 0 }, { TS(14), 5 });
			assert_int_equal(run.n_resets, reset ? 3 : 0);
			assert_memory_equal(
				&run.passed[0], &t->selection[0], sizeof(run.passed[0]));
			ring_reader_free(reader);
			test_close(&run);
			free(t);
		}
	}
}

/* The device is idle: time passes without packets. @value: what the source shows. */
static uint64_t test_idle(struct test_run *run, uint64_t value, uint64_t now_ns)
{
	struct function_call call = { .refs = (const struct function_ref[]){ { .value = &value } },
		.error = &run->error };

	return run->function->tick(&call, run->instance, run->state, now_ns);
}

static void test_idle_time_changes_nothing(void **state)
{
	struct test_traffic *t = test_traffic_new(2);
	struct test_run run;
	struct ring_reader *reader = test_bucket(&run, "1s", 0, true);

	test_set(t, (const uint64_t[]){ 10 * S }, (const uint64_t[]){ 7 }, 1);
	test_run(&run, t, 0, 1, TEST_SPLIT_WHOLE, false);
	assert_int_equal(test_idle(&run, 7, 11 * S), 12 * S);
	TEST_RECORDS(reader, { TS(10), 7 });
	assert_int_equal(test_idle(&run, 7, 13 * S + 5), 14 * S);
	TEST_RECORDS(reader, { TS(11), 0 }, { TS(12), 0 });
	ring_reader_free(reader);
	test_close(&run);
	free(t);
}

static void test_bucket_live_counts_what_it_loses(void **state)
{
	struct test_traffic *t = test_traffic_new(3);
	struct test_run run;
	struct ring_reader *reader = test_bucket(&run, "1us", 0, false);
	uint64_t lost_pkts[MAPI_N_LOSS] = { 0 }, n_read = 0;
	const void *record;
	size_t n_bytes;

	/* From the beginning to the end of time, in no time. */
	test_set(t, (const uint64_t[]){ 0, UINT64_MAX }, (const uint64_t[]){ 1, 2 }, 2);
	test_run(&run, t, 0, 1, TEST_SPLIT_WHOLE, false);
	while (ring_reader_next(reader, &record, &n_bytes) == 0)
		n_read++;
	assert_true(n_read >= 1000);
	std_bucket.lost(run.instance, run.state, lost_pkts);
	assert_int_equal(
		n_read + lost_pkts[MAPI_LOSS_QUEUE] + ring_dropped(std_bucket.ring(run.instance)),
		1 + TEST_EMPTY_MAX);
	assert_int_equal(run.error.code, 0);
	ring_reader_free(reader);
	test_close(&run);

	/* A full ring drops one and gives up for this time. */
	reader = test_bucket(&run, "1us", 0, false);
	test_set(t, (const uint64_t[]){ 0, S / 100, S / 50, S / 25 },
		(const uint64_t[]){ 1, 2, 3, 4 }, 4);
	test_run(&run, t, 0, 1, TEST_SPLIT_WHOLE, false);
	for (n_read = 0; ring_reader_next(reader, &record, &n_bytes) == 0; n_read++)
		;
	memset(lost_pkts, 0, sizeof(lost_pkts));
	std_bucket.lost(run.instance, run.state, lost_pkts);
	assert_true(ring_dropped(std_bucket.ring(run.instance)) > 0);
	assert_int_equal(
		n_read + lost_pkts[MAPI_LOSS_QUEUE] + ring_dropped(std_bucket.ring(run.instance)),
		40000);
	ring_reader_free(reader);
	test_close(&run);
	free(t);
}

/* All that there is to read, of a ring that gives up when it is full. Return: with what was lost;
 * the last record. */
static uint64_t test_given(struct test_run *run, struct ring_reader *reader, uint64_t *in_out_lost,
	struct test_record *ret_last)
{
	uint64_t lost_pkts[MAPI_N_LOSS] = { 0 }, n_read = 0, n_lost;
	const void *record;
	size_t n_bytes;

	for (; ring_reader_next(reader, &record, &n_bytes) == 0; n_read++)
		memcpy(ret_last, record, sizeof(*ret_last));
	run->function->lost(run->instance, run->state, lost_pkts);
	n_lost = lost_pkts[MAPI_LOSS_QUEUE] + ring_dropped(run->function->ring(run->instance));
	n_read += n_lost - *in_out_lost;
	*in_out_lost = n_lost;
	return n_read;
}

/* After a long silence, whether time passed meanwhile or not, an interval begins with a packet. */
static void test_a_long_silence(const struct test_record *expected, struct test_run *run,
	struct ring_reader *reader, bool idle)
{
	const uint64_t year_ns = 365 * 86400 * S;
	struct test_traffic *t = test_traffic_new(8);
	struct test_record last = { .value = 0 };
	uint64_t n_lost = 0, n = 0;

	test_set(t, (const uint64_t[]){ 10 * S }, (const uint64_t[]){ 7 }, 1);
	test_run(run, t, 0, 1, TEST_SPLIT_WHOLE, false);
	for (uint64_t ms = 1; idle && run->deadline_ns && ms < 300; ms++) {
		run->deadline_ns = test_idle(run, 7, 10 * S + ms * 1000000);
		n += test_given(run, reader, &n_lost, &last);
	}
	test_set(t, (const uint64_t[]){ year_ns + 300, year_ns + 1299, year_ns + 1300 },
		(const uint64_t[]){ 8, 9, 10 }, 3);
	test_process(run, t, 0, 0, 1, false);
	n += test_given(run, reader, &n_lost, &last);
	assert_int_equal(n, 1 + TEST_EMPTY_MAX);
	test_process(run, t, 0, 1, 1, false);
	assert_int_equal(test_given(run, reader, &n_lost, &last), 0);
	test_process(run, t, 0, 2, 1, false);
	assert_int_equal(test_given(run, reader, &n_lost, &last), 1);
	assert_memory_equal(&last, expected, sizeof(last));
	assert_int_equal(run->error.code, 0);
	free(t);
}

static void test_bucket_ends_when_nobody_reads(void **state)
{
	struct test_traffic *t = test_traffic_new(4);
	struct test_run run;
	struct ring_reader *reader = test_bucket(&run, "1us", 0, true);

	std_bucket.cancel(run.instance);
	test_set(t, (const uint64_t[]){ 0, UINT64_MAX }, (const uint64_t[]){ 1, 2 }, 2);
	test_run(&run, t, 0, 1, TEST_SPLIT_WHOLE, false);
	assert_int_equal(run.error.code, 0);
	ring_reader_free(reader);
	test_close(&run);
	free(t);
}

/* ---- THRESHOLD ---- */

struct test_threshold {
	int type;
	unsigned long long threshold;
	int boundary, timeout_us, divider, count;
};

static struct ring_reader *test_threshold(
	struct test_run *run, const struct test_threshold *of, bool lossless)
{
	const struct function_value args[] = { test_number(of->type), test_number(1),
		test_number(1), test_number((long long)of->threshold), test_number(of->boundary),
		test_number(of->timeout_us), test_number(of->divider), test_number(of->count) };

	assert_int_equal(0, test_open(run, &std_threshold, args, 8, lossless));
	return test_ring_reader(run);
}

/* Which of the packets at 0, 1, 2 ... seconds pass, as bits; the records stay in *ret_reader. */
static uint64_t test_passing(const struct test_threshold *of, const uint64_t values[],
	unsigned int n, struct ring_reader **ret_reader)
{
	struct test_traffic *t = test_traffic_new(5);
	uint64_t ts_ns[PACKET_BATCH_MAX];
	struct test_run run;
	uint64_t passed;

	for (unsigned int i = 0; i < n; i++)
		ts_ns[i] = i * S;
	test_set(t, ts_ns, values, n);
	*ret_reader = test_threshold(&run, of, true);
	test_run(&run, t, 0, 1, TEST_SPLIT_RANDOM, false);
	passed = run.passed[0].word[0];
	test_close(&run);
	free(t);
	return passed;
}

static void test_threshold_passes_while_it_holds(void **state)
{
	static const uint64_t values[] = { 5, 9, 10, 11, 300, 10, 4, 267, 20, 30 };
	static const struct {
		struct test_threshold of;
		uint64_t passed;
	} cases[] = {
		{ { THRESHOLD_ULL, 10, TR_B_EQ, 0, 1, 0 }, 0x024 },
		{ { THRESHOLD_ULL, 10, TR_B_POS, 0, 1, 0 }, 0x398 },
		{ { THRESHOLD_ULL, 10, TR_B_NEG, 0, 1, 0 }, 0x043 },
		{ { THRESHOLD_CHAR, 11, TR_B_EQ, 0, 1, 0 }, 0x088 }, /* 267 is 256 + 11 */
		{ { THRESHOLD_INT, 267, TR_B_EQ, 0, 1, 0 }, 0x080 },
		{ { THRESHOLD_ULL, 1, TR_B_EQ, 0, 10, 0 }, 0x02c }, /* 10 .. 19, divided by 10 */
		{ { THRESHOLD_ULL, 1, TR_B_D_EQ, 0, 1, 0 }, 0x00c },
		{ { THRESHOLD_ULL, 1, TR_B_D_POS, 0, 1, 0 }, 0x292 }, /* not the first one */
		{ { THRESHOLD_ULL, 1, TR_B_D_NEG, 0, 1, 0 }, 0x160 }, /* smaller: not grown */
		{ { THRESHOLD_ULL, 1, TR_B_D_EQ, 0, 4, 0 }, 0x002 },
	};

	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		struct ring_reader *reader;

		assert_int_equal(test_passing(&cases[k].of, values, 10, &reader), cases[k].passed);
		ring_reader_free(reader);
	}
}

static void test_threshold_reports_crossings(void **state)
{
	static const uint64_t values[] = { 1, 11, 12, 5, 13, 13, 14 };
	struct test_threshold of = { THRESHOLD_ULL, 10, TR_B_POS, 0, 1, 0 };
	struct ring_reader *reader;

	assert_int_equal(test_passing(&of, values, 7, &reader), 0x76);
	TEST_RECORDS(reader, { TS(1), 11 }, { TS(4), 13 });
	ring_reader_free(reader);

	of.count = 1; /* of records; it passes the same */
	assert_int_equal(test_passing(&of, values, 7, &reader), 0x76);
	TEST_RECORDS(reader, { TS(1), 11 });
	ring_reader_free(reader);

	of.type |= THRESHOLD_MULTI;
	of.count = 4;
	assert_int_equal(test_passing(&of, values, 7, &reader), 0x76);
	TEST_RECORDS(reader, { TS(1), 11 }, { TS(2), 12 }, { TS(4), 13 }, { TS(5), 13 });
	ring_reader_free(reader);
}

static void test_threshold_looks_at_periods(void **state)
{
	/* Two packets a second for two seconds, one in the third, none in the next two. */
	static const uint64_t ts_ns[] = { 0, S / 2, S, 3 * S / 2, 2 * S, 5 * S, 6 * S };
	static const uint64_t values[] = { 1, 2, 3, 4, 5, 6, 7 };
	struct test_threshold of = { THRESHOLD_ULL | THRESHOLD_MULTI, 2, TR_B_D_NEG, 1000000, 1,
		0 };
	struct test_traffic *t = test_traffic_new(6);
	struct test_run run;
	struct ring_reader *reader = test_threshold(&run, &of, true);

	test_set(t, ts_ns, values, 7);
	test_run(&run, t, 0, 1, TEST_SPLIT_RANDOM, false);
	/* What passes is what comes after a second with fewer than two. */
	assert_int_equal(run.passed[0].word[0], 0x60);
	TEST_RECORDS(reader, { TS(3), 1 }, { TS(4), 0 }, { TS(5), 0 }, { TS(6), 1 });
	ring_reader_free(reader);
	test_close(&run);

	/* Looking more often while nothing comes gives the same, whatever others reset. */
	reader = test_threshold(&run, &of, true);
	test_set(t, ts_ns, values, 5);
	test_run(&run, t, 0, 1, TEST_SPLIT_RANDOM, false);
	assert_int_equal(test_idle(&run, 5, 3 * S), 4 * S);
	assert_int_equal(test_idle(&run, 0, 4 * S + 1), 5 * S);
	assert_int_equal(test_idle(&run, 1000, 5 * S), 6 * S);
	TEST_RECORDS(reader, { TS(3), 1 }, { TS(4), 0 }, { TS(5), 0 });
	ring_reader_free(reader);
	test_close(&run);
	free(t);
}

static void test_long_silences(void **state)
{
	const uint64_t second = 365 * 86400, from = TS(second) + 1289, to = TS(second) + 5584;
	const struct test_threshold of = { THRESHOLD_ULL | THRESHOLD_MULTI, 100, TR_B_NEG, 1, 1,
		0 };

	for (int idle = 0; idle < 2; idle++) {
		struct test_run run;
		struct ring_reader *reader = test_bucket(&run, "1us", 0, false);

		test_a_long_silence(&(struct test_record){ from, 9 }, &run, reader, idle);
		ring_reader_free(reader);
		test_close(&run);
		reader = test_threshold(&run, &of, false);
		test_a_long_silence(&(struct test_record){ to, 9 }, &run, reader, idle);
		ring_reader_free(reader);
		test_close(&run);
	}
}

static void test_threshold_says_how_it_is_read(void **state)
{
	for (int poll = 0; poll <= THRESHOLD_POLL; poll += THRESHOLD_POLL) {
		const struct test_threshold of = { THRESHOLD_INT | poll, 2, TR_B_EQ, 0, 0, 0 };
		struct test_run run;

		ring_reader_free(test_threshold(&run, &of, true));
		assert_int_equal(std_threshold.no_wait(run.instance), poll != 0);
		test_close(&run);
	}
}

/* ---- all ---- */

/* ---- the clock is set ---- */

/* Before the packets that come next, as in a plan. */
static void test_set_clock(struct test_run *run, int64_t by_s)
{
	int64_t by_ns = by_s * (int64_t)S;

	run->function->step(run->instance, run->state, by_ns);
	run->deadline_ns = function_moment(run->deadline_ns, by_ns);
}

/* Two packets of the same flow, with the values of the source after them. */
static void test_two_more(struct test_run *run, struct test_traffic *t, const uint64_t ts_ns[2],
	const uint64_t values[2])
{
	test_set(t, ts_ns, values, 2);
	run->passed[0] = t->selection[0];
	test_process(run, t, 0, 0, 2, false);
}

/* The first interval lasts a second, however the clock calls its end; so does the next one. */
static void test_bucket_when_the_clock_is_set(void **state)
{
	struct test_traffic *t = test_traffic_new(8);
	struct test_run run;
	struct ring_reader *reader = test_bucket(&run, "1s", 0, true);

	test_reset(&run);
	test_two_more(
		&run, t, (const uint64_t[]){ 10 * S, 10 * S + 1 }, (const uint64_t[]){ 1, 2 });
	test_set_clock(&run, 5000);
	test_two_more(
		&run, t, (const uint64_t[]){ 5011 * S - 1, 5011 * S }, (const uint64_t[]){ 3, 4 });
	TEST_RECORDS(reader, { TS(5010), 3 });
	test_set_clock(&run, -900);
	test_two_more(
		&run, t, (const uint64_t[]){ 4112 * S - 1, 4112 * S }, (const uint64_t[]){ 5, 6 });
	TEST_RECORDS(reader, { TS(4111), 5 });
	ring_reader_free(reader);
	test_close(&run);
	free(t);
}

static void test_threshold_when_the_clock_is_set(void **state)
{
	const struct test_threshold of = { THRESHOLD_ULL | THRESHOLD_MULTI, 2, TR_B_POS, 1000000, 1,
		0 };
	struct test_traffic *t = test_traffic_new(9);
	struct test_run run;
	struct ring_reader *reader = test_threshold(&run, &of, true);

	test_reset(&run);
	test_two_more(
		&run, t, (const uint64_t[]){ 10 * S, 10 * S + 1 }, (const uint64_t[]){ 1, 2 });
	assert_int_equal(run.passed[0].word[0], 0);
	test_set_clock(&run, 5000);
	test_two_more(
		&run, t, (const uint64_t[]){ 5011 * S - 1, 5011 * S }, (const uint64_t[]){ 3, 4 });
	assert_int_equal(run.passed[0].word[0], 0x02);
	TEST_RECORDS(reader, { TS(5011), 3 });
	test_set_clock(&run, -900);
	test_two_more(
		&run, t, (const uint64_t[]){ 4112 * S - 1, 4112 * S }, (const uint64_t[]){ 1, 6 });
	assert_int_equal(run.passed[0].word[0], 0x01);
	test_records(reader, NULL, 0);
	ring_reader_free(reader);
	test_close(&run);
	free(t);
}

static void test_any_split_gives_the_same(void **state)
{
	const struct function_value bucket[] = { test_number(1), test_number(1), test_text("2s"),
		test_number(1) };
	const struct function_value at_packets[] = { test_number(THRESHOLD_ULL), test_number(1),
		test_number(1), test_number(2500), test_number(TR_B_POS), test_number(0),
		test_number(1), test_number(0) };
	const struct function_value periods[] = { test_number(THRESHOLD_ULL), test_number(1),
		test_number(1), test_number(100), test_number(TR_B_D_POS), test_number(500000),
		test_number(2), test_number(3) };
	struct test_traffic *t = test_traffic_new(7);

	/* Live, because nobody reads. */
	test_any_split(t, &std_bucket, bucket, 4, false);
	test_any_split(t, &std_threshold, at_packets, 8, false);
	test_any_split(t, &std_threshold, periods, 8, false);
	free(t);
}

static void test_refused_arguments(void **state)
{
	static const char *const intervals[] = { "", "0s", "1", "5 s", "-1s", "4294967296" };
	static const struct {
		struct test_threshold of;
		int code;
	} cases[] = {
		{ { 3, 0, TR_B_EQ, 0, 0, 0 }, MFUNCT_INVALID_ARGUMENT_1 },
		{ { -1, 0, TR_B_EQ, 0, 0, 0 }, MFUNCT_INVALID_ARGUMENT_1 },
		{ { 256, 0, TR_B_EQ, 0, 0, 0 }, MFUNCT_INVALID_ARGUMENT_1 },
		{ { 2, 0, 3, 0, 0, 0 }, MFUNCT_INVALID_ARGUMENT_5 },
		{ { 2, 0, -1, 0, 0, 0 }, MFUNCT_INVALID_ARGUMENT_5 },
		{ { 2, 0, 32, 0, 0, 0 }, MFUNCT_INVALID_ARGUMENT_5 },
	};
	struct test_run run;

	for (size_t k = 0; k < ARRAY_SIZE(intervals); k++) {
		const struct function_value args[] = { test_number(1), test_number(1),
			test_text(intervals[k]), test_number(1) };

		assert_true(test_open(&run, &std_bucket, args, 4, true) < 0);
		assert_int_equal(run.error.code, MFUNCT_INVALID_ARGUMENT_3);
	}
	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		const struct function_value args[] = { test_number(cases[k].of.type),
			test_number(1), test_number(1), test_number(0),
			test_number(cases[k].of.boundary), test_number(0), test_number(0),
			test_number(0) };

		assert_true(test_open(&run, &std_threshold, args, 8, true) < 0);
		assert_int_equal(run.error.code, cases[k].code);
		assert_true(strlen(run.error.text) > 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bucket_gives_values_of_intervals),
		cmocka_unit_test(test_idle_time_changes_nothing),
		cmocka_unit_test(test_bucket_live_counts_what_it_loses),
		cmocka_unit_test(test_bucket_ends_when_nobody_reads),
		cmocka_unit_test(test_threshold_passes_while_it_holds),
		cmocka_unit_test(test_threshold_reports_crossings),
		cmocka_unit_test(test_threshold_looks_at_periods),
		cmocka_unit_test(test_long_silences),
		cmocka_unit_test(test_threshold_says_how_it_is_read),
		cmocka_unit_test(test_bucket_when_the_clock_is_set),
		cmocka_unit_test(test_threshold_when_the_clock_is_set),
		cmocka_unit_test(test_any_split_gives_the_same),
		cmocka_unit_test(test_refused_arguments),
	};

	return cmocka_run_group_tests_name("std_periods", tests, NULL, NULL);
}
