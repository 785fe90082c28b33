/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of util_series.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util_series.h"

#define MS UINT64_C(1000000)
#define BEGIN_NS (UINT64_C(1000000000) * 1700000000)

static struct util_series series[2];

static int begin(void **state)
{
	memset(series, 0, sizeof(series));
	return 0;
}

static void add(unsigned int which, uint64_t i, uint64_t value)
{
	util_series_add(&series[which], BEGIN_NS + i * MS, MS, value);
}

static void expect_pair(uint64_t i, uint64_t first, uint64_t second)
{
	struct util_pair pair;

	assert_true(util_series_pair(series, MS, &pair));
	assert_int_equal(pair.begin_ns, BEGIN_NS + i * MS);
	assert_int_equal(pair.values[0], first);
	assert_int_equal(pair.values[1], second);
}

static void expect_none(void)
{
	assert_false(util_series_pair(series, MS, &(struct util_pair){ .begin_ns = 0 }));
}

/* All of a silence, and what follows it, comes of one series before the other's first record. */
static void test_silence(void **state)
{
	const uint64_t silent = 50 * UTIL_SERIES_RUNS;

	add(0, 0, 60);
	for (uint64_t i = 1; i <= silent; i++)
		add(0, i, 0);
	add(0, silent + 1, 1500);
	expect_none();
	add(1, 0, 1);
	for (uint64_t i = 1; i <= silent; i++)
		add(1, i, 0);
	add(1, silent + 1, 2);
	expect_pair(0, 60, 1);
	for (uint64_t i = 1; i <= silent; i++)
		expect_pair(i, 0, 0);
	expect_pair(silent + 1, 1500, 2);
	expect_none();
}

/* Equal values are a run only while no interval is missing between them. */
static void test_lost(void **state)
{
	add(0, 0, 7);
	add(0, 1, 7);
	add(0, 4, 7);
	add(0, 5, 8);
	add(1, 1, 10);
	add(1, 2, 20);
	add(1, 3, 20);
	add(1, 4, 20);
	expect_pair(1, 7, 10);
	expect_pair(4, 7, 20);
	expect_none();
	add(1, 6, 60);
	expect_none();
	add(0, 6, 6);
	expect_pair(6, 6, 60);
}

/* No place is left: the newest stay, and pairs stay pairs. */
static void test_full(void **state)
{
	for (uint64_t i = 0; i < UTIL_SERIES_RUNS + 3u; i++)
		add(0, i, i);
	for (uint64_t i = 0; i < UTIL_SERIES_RUNS + 3u; i++)
		add(1, i, 1000 + i);
	for (uint64_t i = 3; i < UTIL_SERIES_RUNS + 3u; i++)
		expect_pair(i, i, 1000 + i);
	expect_none();
}

/* 32 bits of seconds end in 2106. */
static void test_round(void **state)
{
	const uint64_t era_ns = UINT64_C(1000000000) << 32;
	struct util_pair pair;

	for (unsigned int i = 0; i < 2; i++) {
		util_series_add(&series[i], era_ns - 2 * MS, MS, i);
		util_series_add(&series[i], era_ns - MS, MS, i);
		util_series_add(&series[i], 0, MS, i);
		util_series_add(&series[i], MS, MS, i);
	}
	for (unsigned int i = 0; i < 4; i++) {
		assert_true(util_series_pair(series, MS, &pair));
		assert_int_equal(pair.begin_ns, era_ns + i * MS - 2 * MS);
		assert_int_equal(pair.values[1], 1);
	}
	assert_int_equal(series[0].n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_silence, begin),
		cmocka_unit_test_setup(test_lost, begin),
		cmocka_unit_test_setup(test_full, begin),
		cmocka_unit_test_setup(test_round, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
