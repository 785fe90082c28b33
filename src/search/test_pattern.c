/* SPDX-License-Identifier: BSD-2-Clause */
/* The language of patterns: every error, every limit. */
#undef NDEBUG
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mapi/errors.h"
#include "test_private.h"

static void test_errors_name_place_and_remedy(void **state)
{
	static const struct {
		const char *text;
		uint32_t depth;
		int code;
		const char *says;
	} cases[] = {
		{ NULL, 0, MFUNCT_INVALID_ARGUMENT_1, "empty" },
		{ "", 0, MFUNCT_INVALID_ARGUMENT_1, "empty" },
		{ "ab|", 0, MDLIB_STRSEARCH_UNTERMINATED_PIPE, "column 3" },
		{ "ab|41", 0, MDLIB_STRSEARCH_UNTERMINATED_PIPE, "column 3" },
		{ "|41||42", 0, MDLIB_STRSEARCH_UNTERMINATED_PIPE, "column 5" },
		{ "|41 ", 0, MDLIB_STRSEARCH_UNTERMINATED_PIPE, "column 1" },
		{ "|4g|", 0, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING, "column 2" },
		{ "|g4|", 0, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING, "Column 2" },
		{ "x|41 4|", 0, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING, "column 6" },
		{ "|4 1|", 0, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING, "column 2" },
		{ "|4", 0, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING, "column 2" },
		{ "a|  |", 0, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING, "column 2" },
		{ "||", 0, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING, "column 1" },
		{ "||a", 0, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING, "column 1" },
		{ "a||", 0, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING, "column 4" },
		{ "a||||b", 0, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING, "column 4" },
		{ "abc\\", 0, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING, "column 4" },
		{ "abc", 2, MDLIB_STRSEARCH_DEPTH_ERR, "depth is 2" },
		{ "a||bcd||e", 2, MDLIB_STRSEARCH_DEPTH_ERR, "column 4 has 3" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct search_pattern *pattern = (void *)0x1;
		struct error err = ERROR_INIT;

		assert_int_equal(
			search_pattern_new(&pattern, cases[i].text, 0, cases[i].depth, &err),
			-EINVAL);
		if (err.code != cases[i].code || !strstr(err.text, cases[i].says))
			print_error("'%s': %d %s\n", cases[i].text, err.code, err.text);
		assert_int_equal(err.code, cases[i].code);
		assert_non_null(strstr(err.text, cases[i].says));
		assert_ptr_equal(pattern, (void *)0x1);
	}
}

static void test_too_long_a_text_is_refused(void **state)
{
	struct search_pattern *pattern = NULL;
	struct error err = ERROR_INIT;
	char *text = malloc(SEARCH_TEXT_BYTES_MAX + 2);

	assert_non_null(text);
	memset(text, 'a', SEARCH_TEXT_BYTES_MAX + 1);
	text[SEARCH_TEXT_BYTES_MAX + 1] = '\0';
	assert_int_equal(search_pattern_new(&pattern, text, 0, 0, &err), -EINVAL);
	assert_int_equal(err.code, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING);
	text[SEARCH_TEXT_BYTES_MAX] = '\0';
	assert_int_equal(search_pattern_new(&pattern, text, 0, 0, NULL), 0);
	search_pattern_free(pattern);
	free(text);
}

static void check_literals(const char *text, unsigned int n, ...)
{
	struct search_pattern *pattern = pattern_ok(text, 0, 0);
	va_list list;

	va_start(list, n);
	assert_int_equal(pattern->n_literals, n);
	for (unsigned int i = 0; i < n; i++) {
		const char *want = va_arg(list, const char *);

		assert_int_equal(pattern->literals[i].n_bytes, strlen(want));
		assert_memory_equal(pattern->literals[i].bytes, want, strlen(want));
	}
	va_end(list);
	search_pattern_free(pattern);
}

static void test_grammar(void **state)
{
	check_literals("abc", 1, "abc");
	check_literals("a||b", 2, "a", "b");
	check_literals("|41||42|", 1, "AB");
	check_literals("|41||||42|", 2, "A", "B");
	check_literals("a|||42|", 2, "a", "B");
	check_literals("|41|||b", 2, "A", "b");
	check_literals("| 41  4243 |c", 1, "ABCc");
	check_literals("|4a4B|", 1, "JK");
	check_literals("\\||41|\\|", 1, "|A|");
	check_literals("\\|\\|", 1, "||");
	check_literals("\\\\\\\"\\:\\;", 1, "\\\":;");
	check_literals("\\a b", 1, "a b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors_name_place_and_remedy),
		cmocka_unit_test(test_too_long_a_text_is_refused),
		cmocka_unit_test(test_grammar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
