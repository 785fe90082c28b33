/* SPDX-License-Identifier: BSD-2-Clause */
/* Times in arguments: numbers, units, what is neither, what does not fit. */
#undef NDEBUG
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "time_text_private.h"

#define TEST_UNTOUCHED 77u

static void test_numbers_and_units(void **state)
{
	static const struct {
		const char *text;
		enum std_time_text is;
		uint64_t value;
	} cases[] = {
		{ "0", STD_TIME_TEXT_NUMBER, 0 },
		{ "0012", STD_TIME_TEXT_NUMBER, 12 },
		{ "18446744073709551615", STD_TIME_TEXT_NUMBER, UINT64_MAX },
		{ "18446744073709551616", STD_TIME_TEXT_NONE, TEST_UNTOUCHED },
		{ "0s", STD_TIME_TEXT_NS, 0 },
		{ "7us", STD_TIME_TEXT_NS, 7000 },
		{ "500ms", STD_TIME_TEXT_NS, 500000000 },
		{ "5s", STD_TIME_TEXT_NS, 5000000000 },
		{ "2m", STD_TIME_TEXT_NS, 120000000000 },
		{ "18446744073s", STD_TIME_TEXT_NS, 18446744073000000000u },
		{ "18446744074s", STD_TIME_TEXT_NONE, TEST_UNTOUCHED },
		{ "307445734561825861m", STD_TIME_TEXT_NONE, TEST_UNTOUCHED },
		{ "", STD_TIME_TEXT_NONE, TEST_UNTOUCHED },
		{ "s", STD_TIME_TEXT_NONE, TEST_UNTOUCHED },
		{ "-1", STD_TIME_TEXT_NONE, TEST_UNTOUCHED },
		{ "+1s", STD_TIME_TEXT_NONE, TEST_UNTOUCHED },
		{ " 1s", STD_TIME_TEXT_NONE, TEST_UNTOUCHED },
		{ "1 s", STD_TIME_TEXT_NONE, TEST_UNTOUCHED },
		{ "1s ", STD_TIME_TEXT_NONE, TEST_UNTOUCHED },
		{ "1.5s", STD_TIME_TEXT_NONE, TEST_UNTOUCHED },
		{ "1h", STD_TIME_TEXT_NONE, TEST_UNTOUCHED },
		{ "1S", STD_TIME_TEXT_NONE, TEST_UNTOUCHED },
		{ "0x10", STD_TIME_TEXT_NONE, TEST_UNTOUCHED },
	};

	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		uint64_t value = TEST_UNTOUCHED;

		assert_int_equal(std_time_text_parse(cases[k].text, &value), cases[k].is);
		assert_int_equal(value, cases[k].value);
		assert_int_equal(std_time_text_period_ns(cases[k].text),
			cases[k].is == STD_TIME_TEXT_NS ? cases[k].value : 0);
	}
}

static void test_values_are_numbers_or_fixed_point_seconds(void **state)
{
	uint64_t value = TEST_UNTOUCHED;

	assert_true(std_time_text_value("1500", &value));
	assert_int_equal(value, 1500);
	assert_true(std_time_text_value("1500ms", &value));
	assert_int_equal(value, 0x180000000u);
	assert_true(std_time_text_value("1us", &value));
	assert_int_equal(value, 4295); /* 2^32 / 10^6 is 4294.97 */
	assert_true(std_time_text_value("4294967295s", &value));
	assert_int_equal(value, 0xffffffff00000000u);
	value = TEST_UNTOUCHED;
	assert_false(std_time_text_value("4294967296s", &value));
	assert_false(std_time_text_value("1 s", &value));
	assert_int_equal(value, TEST_UNTOUCHED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_and_units),
		cmocka_unit_test(test_values_are_numbers_or_fixed_point_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
