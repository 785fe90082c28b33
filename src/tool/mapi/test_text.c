/* SPDX-License-Identifier: BSD-2-Clause */
/* Text, JSON, results by schema, the progress line, and places in filters. */
#undef NDEBUG
#include "text.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "filter_error.h"
#include "json.h"
#include "progress.h"
#include "result.h"

/* A stream into memory and what was written to it. */
struct memory {
	FILE *out;
	char *text;
	size_t text_bytes;
};

static struct memory memory_open(void)
{
	struct memory m = { .text = NULL };

	return m;
}

static FILE *memory_stream(struct memory *m)
{
	m->out = open_memstream(&m->text, &m->text_bytes);
	assert_non_null(m->out);
	return m->out;
}

static void memory_expect(struct memory *m, const char *expected)
{
	fclose(m->out);
	assert_string_equal(m->text, expected);
	free(m->text);
}

static void test_json_escapes(void **state)
{
	struct memory m = memory_open();
	struct json j = JSON_TO(memory_stream(&m));

	json_object(&j, NULL);
	json_string(&j, "a\"b", "q\"\\\n\t\x01\x7f");
	json_string(&j, "utf8", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	json_string(&j, "bad", "\xff\xc3(\xed\xa0\x80\xc0\xaf");
	json_string(&j, "none", NULL);
	json_end_object(&j);
	json_line(&j);
	memory_expect(&m,
		"{\"a\\\"b\":\"q\\\"\\\\\\n\\t\\u0001\\u007f\","
		"\"utf8\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\","
		"\"bad\":\"\\ufffd\\ufffd(\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\",\"none\":null}\n");
}

static void test_json_numbers_and_nesting(void **state)
{
	struct memory m = memory_open();
	struct json j = JSON_TO(memory_stream(&m));

	json_object(&j, NULL);
	json_u64(&j, "u", UINT64_MAX);
	json_i64(&j, "i", INT64_MIN);
	json_array(&j, "f");
	json_f64(&j, NULL, 0.1);
	json_f64(&j, NULL, -3);
	json_f64(&j, NULL, 1e300);
	json_f64(&j, NULL, NAN);
	json_f64(&j, NULL, INFINITY);
	json_f80(&j, NULL, 309175572.0L);
	json_f80(&j, NULL, 18446744073709551615.0L);
	json_f80(&j, NULL, 0.5L);
	json_f80(&j, NULL, -INFINITY);
	json_end_array(&j);
	json_object(&j, "o");
	json_end_object(&j);
	json_bool(&j, "t", true);
	json_bool(&j, "n", false);
	json_end_object(&j);
	json_line(&j);
	json_object(&j, NULL);
	json_end_object(&j);
	memory_expect(&m,
		"{\"u\":18446744073709551615,\"i\":-9223372036854775808,"
		"\"f\":[0.1,-3,1e+300,null,null,309175572,18446744073709551615,0.5,null],"
		"\"o\":{},\"t\":true,\"n\":false}\n{}");
}

static const char *suggested(const char *word)
{
	static const char *const names[] = { "PKT_COUNTER", "BYTE_COUNTER", "STATS", "run",
		"dump" };
	struct text_suggestion s = TEXT_SUGGESTION(word, strlen(word));
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		text_suggest(&s, names[i]);
	return text_suggested(&s);
}

static void test_suggestions(void **state)
{
	assert_string_equal(suggested("PKT_COUNTR"), "PKT_COUNTER");
	assert_string_equal(suggested("pkt_conuter"), "PKT_COUNTER");
	assert_string_equal(suggested("STAST"), "STATS");
	assert_string_equal(suggested("rnu"), "run");
	assert_string_equal(suggested("PKT_COUNT"), "PKT_COUNTER");
	assert_string_equal(suggested("BYTE"), "BYTE_COUNTER");
	assert_null(suggested("x"));
	assert_null(suggested(""));
	assert_null(suggested("FROBNICATE"));
	assert_null(suggested("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
}

static void test_unsafe_text_is_shown_harmless(void **state)
{
	struct memory m = memory_open();

	text_safe(memory_stream(&m),
		"a\033[31m\xc2\x9b"
		"b\n\xff\xc3\xa4");
	memory_expect(&m, "a\\x1b[31m\\xc2\\x9bb\\x0a\\xff\xc3\xa4");
}

static void test_words_are_wrapped(void **state)
{
	char text[300], wanted[400];
	struct memory m = memory_open();

	text_wrap(memory_stream(&m), "", 7);
	memory_expect(&m, "\n");
	text_wrap(memory_stream(&m), "  a  b ", 7);
	memory_expect(&m, "a b\n");
	/* 36 and 36 columns with the blank fill a line from column 6; from column 7 on they do not.
	 */
	(void)snprintf(text, sizeof(text), "%036d %036d", 0, 1);
	text_wrap(memory_stream(&m), text, 6);
	(void)snprintf(wanted, sizeof(wanted), "%s\n", text);
	memory_expect(&m, wanted);
	text_wrap(memory_stream(&m), text, 7);
	(void)snprintf(wanted, sizeof(wanted), "%036d\n       %036d\n", 0, 1);
	memory_expect(&m, wanted);
	/* Longer than a line, and unsafe: 4 columns for each byte that is none of a character. */
	(void)snprintf(text, sizeof(text), "%0149d\xff\xc3\xa4", 0);
	text_wrap(memory_stream(&m), text, 5);
	(void)snprintf(wanted, sizeof(wanted), "%074d\n     %074d\n     0\\xff\xc3\xa4\n", 0, 0);
	memory_expect(&m, wanted);
}

static void test_times_and_sizes(void **state)
{
	char text[TEXT_TIME_BYTES];

	text_rfc3339(text, 1234567890123456789u);
	assert_string_equal(text, "2009-02-13T23:31:30.123456789Z");
	/* 32.32 rounded up comes back exactly. */
	for (uint64_t ns = 0; ns < 1000000000u; ns += 999983)
		assert_int_equal(
			text_ns_from_ts(7ull << 32 | ((ns << 32) + 999999999u) / 1000000000u),
			7000000000u + ns);
	assert_int_equal(
		text_ns_from_ts(((999999999ull << 32) + 999999999u) / 1000000000u), 999999999u);
	text_bytes(text, sizeof(text), 999);
	assert_string_equal(text, "999 B");
	text_bytes(text, sizeof(text), 999.6);
	assert_string_equal(text, "1.00 kB");
	text_bytes(text, sizeof(text), 12345678);
	assert_string_equal(text, "12.3 MB");
	text_bytes(text, sizeof(text), 999999999999);
	assert_string_equal(text, "1.00 TB");
}

static void test_colour_obeys_the_environment(void **state)
{
	enum text_colour_mode mode;

	assert_int_equal(text_colour_parse("never", &mode), 0);
	assert_false(text_colour_wanted(mode, 1));
	assert_int_equal(text_colour_parse("always", &mode), 0);
	assert_true(text_colour_wanted(mode, -1));
	assert_int_equal(text_colour_parse("sometimes", &mode), -EINVAL);
	setenv("CLICOLOR_FORCE", "1", 1);
	unsetenv("NO_COLOR");
	assert_true(text_colour_wanted(TEXT_COLOUR_AUTO, -1));
	setenv("NO_COLOR", "1", 1);
	assert_false(text_colour_wanted(TEXT_COLOUR_AUTO, -1));
	unsetenv("CLICOLOR_FORCE");
	unsetenv("NO_COLOR");
	assert_false(text_colour_wanted(TEXT_COLOUR_AUTO, -1));
}

/* One field of each type, in a struct that is not aligned. */
static const struct mapi_field fields[] = {
	{ .name = "u16", .type = MAPI_FIELD_U16, .offset_bytes = 0, .unit = "packets" },
	{ .name = "u32", .type = MAPI_FIELD_U32, .offset_bytes = 2, .unit = "" },
	{ .name = "u64", .type = MAPI_FIELD_U64, .offset_bytes = 6, .unit = "bytes" },
	{ .name = "i32", .type = MAPI_FIELD_I32, .offset_bytes = 14 },
	{ .name = "i64", .type = MAPI_FIELD_I64, .offset_bytes = 18 },
	{ .name = "f64", .type = MAPI_FIELD_F64, .offset_bytes = 26 },
	{ .name = "f80", .type = MAPI_FIELD_F80, .offset_bytes = 34 },
	{ .name = "ts", .type = MAPI_FIELD_TS, .offset_bytes = 50 },
	{ .name = "ip", .type = MAPI_FIELD_IPV4, .offset_bytes = 58 },
};

static void put(uint8_t *result, unsigned int field, const void *value, size_t value_bytes)
{
	memcpy(result + fields[field].offset_bytes, value, value_bytes);
}

static void fill(uint8_t result[64])
{
	memset(result, 0, 64);
	put(result, 0, &(uint16_t){ 65535 }, 2);
	put(result, 1, &(uint32_t){ 4294967295u }, 4);
	put(result, 2, &(uint64_t){ 18446744073709551615u }, 8);
	put(result, 3, &(int32_t){ -11 }, 4);
	put(result, 4, &(int64_t){ -1234567890123 }, 8);
	put(result, 5, &(double){ 2.5 }, 8);
	put(result, 6, &(long double){ 309175572 }, 16);
	put(result, 7, &(uint64_t){ 1234567890ull << 32 | 1ull << 31 }, 8);
	put(result, 8, &(uint32_t){ 0xc0000201u }, 4);
}

static void test_results_follow_the_schema(void **state)
{
	const struct mapi_function_desc many = { .name = "F", .fields = fields, .n_fields = 9 };
	const struct mapi_function_desc one = { .name = "F", .fields = &fields[2], .n_fields = 1 };
	struct memory m = memory_open();
	struct json j = JSON_TO(memory_stream(&m));
	uint8_t result[64];

	fill(result);
	json_object(&j, NULL);
	result_value_json(&j, "many", &many, result, sizeof(result));
	result_value_json(&j, "one", &one, result, sizeof(result));
	json_end_object(&j);
	memory_expect(&m,
		"{\"many\":{\"u16\":65535,\"u32\":4294967295,\"u64\":18446744073709551615,"
		"\"i32\":-11,\"i64\":-1234567890123,\"f64\":2.5,\"f80\":309175572,"
		"\"ts\":\"2009-02-13T23:31:30.500000000Z\",\"ip\":\"192.0.2.1\"},"
		"\"one\":18446744073709551615}");
}

static void test_tables_are_aligned(void **state)
{
	const struct mapi_function_desc two = { .name = "F", .fields = fields, .n_fields = 2 };
	const struct mapi_function_desc one = { .name = "F", .fields = &fields[3], .n_fields = 1 };
	struct result_table table = { .n_rows = 0 };
	struct memory m = memory_open();
	uint8_t result[64];

	fill(result);
	assert_int_equal(result_table_add(&table, "size/STATS", &two, result, sizeof(result)), 0);
	assert_int_equal(result_table_add(&table, "X", &one, result, sizeof(result)), 0);
	result_table_print(&table, memory_stream(&m), 0);
	result_table_deinit(&table);
	memory_expect(&m,
		"size/STATS  u16       65535 packets\n"
		"            u32  4294967295\n"
		"X                       -11\n");
}

/* u16, u32: the head; u64: the records, which go to the end. */
static const struct mapi_function_desc list_of_values = { .name = "F",
	.fields = fields,
	.n_fields = 3,
	.result_bytes = 64,
	.record_bytes = 8,
	.list_offset_bytes = 6,
	.n_head_fields = 2 };

/* The fields of a record. The number of records lies before it. */
static const struct mapi_field record_fields[] = {
	{ .name = "key", .type = MAPI_FIELD_U32, .offset_bytes = 4, .unit = "" },
	{ .name = "n", .type = MAPI_FIELD_U16, .offset_bytes = 8, .unit = "packets" },
};
static const struct mapi_function_desc counted_list = { .name = "G",
	.fields = record_fields,
	.n_fields = 2,
	.result_bytes = 64,
	.flags = MAPI_FUNCTION_COUNTED,
	.record_bytes = 6,
	.list_offset_bytes = 4 };

static void test_lists_follow_the_schema(void **state)
{
	const uint16_t values[11] = { 7, 1, 0, 3, 0, 0, 0, 4, 0, 0, 0 };
	const uint16_t counted[11] = { 2, 0, 9, 0, 1, 8, 0, 2, 7, 0, 3 };
	struct result_table table = { .n_rows = 0 };
	struct memory m = memory_open();
	struct json j = JSON_TO(memory_stream(&m));

	json_object(&j, NULL);
	result_value_json(&j, "a", &list_of_values, values, 22);
	result_value_json(&j, "b", &list_of_values, values, 6);
	result_value_json(&j, "c", &counted_list, counted, 22);
	result_value_json(&j, "d", &counted_list, counted, 10); /* it counts more than there are */
	json_end_object(&j);
	memory_expect(&m,
		"{\"a\":{\"u16\":7,\"u32\":1,\"u64\":[3,4]},\"b\":{\"u16\":7,\"u32\":1,\"u64\":[]},"
		"\"c\":[{\"key\":9,\"n\":1},{\"key\":8,\"n\":2}],\"d\":[{\"key\":9,\"n\":1}]}");

	assert_true(result_is_whole(&list_of_values, 6));
	assert_false(result_is_whole(&list_of_values, 5));
	m = memory_open();
	assert_int_equal(result_table_add(&table, "F", &list_of_values, values, 22), 0);
	assert_int_equal(result_table_add(&table, "G", &counted_list, counted, 22), 0);
	result_table_print(&table, memory_stream(&m), 0);
	result_table_deinit(&table);
	memory_expect(&m,
		"F  u16     7 packets\n"
		"   u32     1\n"
		"   u64[0]  3 bytes\n"
		"   u64[1]  4 bytes\n"
		"G  9       1 packets\n"
		"   8       2 packets\n");
}

static void test_losses(void **state)
{
	unsigned long long lost[MAPI_N_LOSS] = { 0, 12, 0, 0, 3, 0 };
	struct memory m = memory_open();
	struct json j = JSON_TO(memory_stream(&m));
	char text[256];

	result_loss_text(text, sizeof(text), lost);
	assert_string_equal(text, "12 lost in the capture buffer, 3 withheld by policy");
	result_loss_json(&j, NULL, lost);
	memory_expect(
		&m, "{\"nic\":0,\"ring\":12,\"queue\":0,\"table\":0,\"policy\":3,\"memory\":0}");
	memset(lost, 0, sizeof(lost));
	result_loss_text(text, sizeof(text), lost);
	assert_string_equal(text, "");
}

static void test_progress_line(void **state)
{
	char line[128];

	progress_line(line, sizeof(line), 2000000000u, 1000000000u, 4000000000u);
	assert_string_equal(
		line, "[######                  ]  25 %  1.00 GB of 4.00 GB  500 MB/s  0:06 left");
	progress_line(line, sizeof(line), 1000000000u, 5, 0);
	assert_string_equal(line, "5 B read, 5 B/s");
	progress_line(line, sizeof(line), 0, 9, 3);
	assert_string_equal(line, "[########################] 100 %  3 B of 3 B  0 B/s  0:00 left");
}

static void place_expect(
	const char *filter, const char *message, const char *marked, const char *keyword)
{
	struct pipeline_place whole = { .source = filter, .len = strlen(filter) }, place;
	const char *found;

	filter_error_find(whole, message, &place, &found);
	if (place.len != strlen(marked) || strncmp(filter + place.at, marked, place.len) != 0)
		fail_msg("%s: marks \"%.*s\"", filter, (int)place.len, filter + place.at);
	if (keyword)
		assert_string_equal(found, keyword);
	else
		assert_null(found);
}

static void test_places_in_filters(void **state)
{
	const char *syntax = "can't parse filter expression: syntax error";

	place_expect("tcp prot 80", syntax, "prot", "proto");
	place_expect("tpc port 80", syntax, "tpc", "tcp");
	place_expect(
		"host nosuch.example", "unknown host 'nosuch.example'", "nosuch.example", NULL);
	place_expect("tcp and (port 80", syntax, "(", NULL);
	place_expect("tcp) and port 80", syntax, ")", NULL);
	place_expect("ip[0:2", syntax, "[", NULL);
	place_expect("port 99999", "illegal port number 99999 > 65535", "port 99999", NULL);
	place_expect("tcp tcp tcp", syntax, "tcp tcp tcp", NULL);
	place_expect("", syntax, "", NULL);
	place_expect("tcp an port 80", syntax, "an", "and");
	place_expect("port htpp", "unknown port 'htpp'", "htpp", NULL);
}

/* What is left of filters that were typed without quotes. */
static void test_filters_that_a_shell_has_cut(void **state)
{
	static const struct {
		const char *filter;
		bool is_cut;
	} cases[] = {
		{ "tcp[13]", true }, /* & 2 != 0 */
		{ "tcp port 80 and", true }, /* (...) */
		{ "len", true }, /* > 100 */
		{ "ip[2:2] =", true },
		{ "ip proto tcp", true }, /* a backslash */
		{ "ip proto \\tcp", false },
		{ "tcp prot 80", false },
		{ "host and.example", false },
		{ "not arp ", false },
		{ "", false },
		{ "   ", false },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (filter_error_is_cut(cases[i].filter) != cases[i].is_cut)
			fail_msg("\"%s\"", cases[i].filter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_escapes),
		cmocka_unit_test(test_json_numbers_and_nesting),
		cmocka_unit_test(test_suggestions),
		cmocka_unit_test(test_unsafe_text_is_shown_harmless),
		cmocka_unit_test(test_words_are_wrapped),
		cmocka_unit_test(test_times_and_sizes),
		cmocka_unit_test(test_colour_obeys_the_environment),
		cmocka_unit_test(test_results_follow_the_schema),
		cmocka_unit_test(test_tables_are_aligned),
		cmocka_unit_test(test_lists_follow_the_schema),
		cmocka_unit_test(test_losses),
		cmocka_unit_test(test_progress_line),
		cmocka_unit_test(test_places_in_filters),
		cmocka_unit_test(test_filters_that_a_shell_has_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
