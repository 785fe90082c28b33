/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables, rates, screens and keys of mapi top. */
#undef NDEBUG
#include "top.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mapi/topx.h"
#include "terminal.h"

/* A result of TOP with @n of the records. */
static size_t test_result(
	unsigned char *out, unsigned int n, const struct topx_result *records, unsigned int n_real)
{
	memcpy(out, &n, sizeof(n));
	memcpy(out + sizeof(n), records, n_real * sizeof(*records));
	return sizeof(n) + n_real * sizeof(*records);
}

static void test_lists(void **state)
{
	struct topx_result records[3] = {
		{ .family = AF_INET, .count = 5, .bytecount = 500 },
		{ .family = AF_INET6, .count = 3, .bytecount = 300 },
		{ .family = AF_INET, .count = 1, .bytecount = 100 },
	};
	struct topx_result port = { .value = 443, .count = 7, .bytecount = 70 };
	unsigned char bytes[256];
	struct top_table table = { .n_rows = 0 };
	size_t n;

	assert_int_equal(inet_pton(AF_INET, "192.0.2.1", &records[0].value), 1);
	assert_int_equal(inet_pton(AF_INET6, "2001:db8::1", &records[1].addr6), 1);
	assert_int_equal(inet_pton(AF_INET, "192.0.2.2", &records[2].value), 1);
	n = test_result(bytes, 3, records, 3);
	assert_int_equal(top_table_add_list(&table, TOP_LIST_ADDRESSES, 0, bytes, n, 4), 0);
	assert_false(table.cut);
	assert_int_equal(top_table_add_list(&table, TOP_LIST_ADDRESSES, 1, bytes, n, 3), 0);
	assert_true(table.cut);
	assert_int_equal(table.n_rows, 3);
	assert_string_equal(table.rows[0].name, "192.0.2.1");
	assert_string_equal(table.rows[1].name, "2001:db8::1");
	assert_int_equal(table.rows[1].pkts[0], 3);
	assert_int_equal(table.rows[1].bytes[1], 300);
	n = test_result(bytes, 1, &port, 1);
	assert_int_equal(top_table_add_list(&table, TOP_LIST_UDP_PORTS, 1, bytes, n, 3), 0);
	assert_string_equal(table.rows[3].name, "443/udp");
	free(table.rows);
}

static void test_bad_lists(void **state)
{
	struct topx_result record = { .value = 1, .count = 1 };
	unsigned char bytes[128];
	struct top_table table = { .n_rows = 0 };
	size_t n = test_result(bytes, 2, &record, 1); /* says two, has one */

	assert_int_equal(top_table_add_list(&table, TOP_LIST_TCP_PORTS, 0, bytes, n, 9), -EBADMSG);
	assert_int_equal(top_table_add_list(&table, TOP_LIST_TCP_PORTS, 0, bytes, 3, 9), -EBADMSG);
	n = test_result(bytes, ~0u, &record, 1);
	assert_int_equal(top_table_add_list(&table, TOP_LIST_TCP_PORTS, 0, bytes, n, 9), -EBADMSG);
	assert_int_equal(table.n_rows, 0);
}

static struct top_sample test_sample(uint64_t at_ns, uint64_t pkts, const char *only)
{
	struct top_sample s = { .at_ns = at_ns,
		.total = { .pkts = { pkts }, .bytes = { pkts * 10 }, .pps = -1, .bps = -1 } };

	assert_int_equal(top_table_add(&s.tables[TOP_VIEW_HOSTS], "a", 0, pkts, pkts * 10), 0);
	if (only)
		assert_int_equal(
			top_table_add(&s.tables[TOP_VIEW_HOSTS], only, 1, pkts, pkts * 10), 0);
	return s;
}

static void test_rates(void **state)
{
	struct top_sample before = test_sample(1000000000u, 10, NULL);
	struct top_sample now = test_sample(3000000000u, 30, "b");

	top_rates(&now, NULL);
	assert_true(now.total.pps < 0);
	top_rates(&now, &before);
	assert_true(now.total.pps == 10 && now.total.bps == 800);
	assert_true(now.tables[TOP_VIEW_HOSTS].rows[0].pps == 10);
	assert_true(now.tables[TOP_VIEW_HOSTS].rows[1].pps == 15); /* was not there: all is new */
	before.tables[TOP_VIEW_HOSTS].cut = true;
	top_rates(&now, &before);
	assert_true(now.tables[TOP_VIEW_HOSTS].rows[1].pps < 0); /* may have been there */
	before.tables[TOP_VIEW_HOSTS].rows[0].pkts[0] = 31; /* began anew: never negative */
	top_rates(&now, &before);
	assert_true(now.tables[TOP_VIEW_HOSTS].rows[0].pps == -1);
	top_sort(&now, TOP_SORT_PKTS);
	top_sample_deinit(&before);
	top_sample_deinit(&now);
	top_sample_deinit(&now);
}

static void test_order(void **state)
{
	struct top_sample s = { .at_ns = 0 };
	struct top_table *hosts = &s.tables[TOP_VIEW_HOSTS];

	assert_int_equal(top_table_add(hosts, "many", 0, 100, 6400), 0);
	assert_int_equal(top_table_add(hosts, "large", 0, 10, 15000), 0);
	assert_int_equal(top_table_add(hosts, "fast", 0, 1, 60), 0);
	top_sort(&s, TOP_SORT_BYTES);
	assert_string_equal(hosts->rows[0].name, "large");
	top_sort(&s, TOP_SORT_PKTS);
	assert_string_equal(hosts->rows[0].name, "many");
	hosts->rows[2].pps = 5;
	hosts->rows[0].pps = hosts->rows[1].pps = 1;
	top_sort(&s, TOP_SORT_PKTS);
	assert_string_equal(hosts->rows[0].name, "fast");
	top_sample_deinit(&s);
}

static void test_scale(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ 999, "999" },
		{ 999.6, "1.00 k" },
		{ 1234, "1.23 k" },
		{ 99950, "100 k" },
		{ 99940, "99.9 k" },
		{ 9.99e6, "9.99 M" },
		{ 9.996e6, "10.0 M" },
		{ 18446744073709551615.0, "18.4 E" },
		{ 1e30, "1000000000000 E" },
	};
	char text[32];
	unsigned int i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		top_scale(text, sizeof(text), cases[i].value);
		assert_string_equal(text, cases[i].text);
	}
}

/* Columns of the widest line of @text; counts the lines. */
static unsigned int test_measure(const char *text, unsigned int *ret_lines)
{
	unsigned int width = 0, widest = 0;

	*ret_lines = 1;
	for (; *text; text++) {
		if (*text == '\033') {
			text += strcspn(text, "m");
			continue;
		}
		width = *text == '\n' ? 0 : width + 1;
		*ret_lines += *text == '\n';
		widest = width > widest ? width : widest;
		assert_true(*text == '\n' || (*text >= ' ' && *text <= '~'));
	}
	return widest;
}

static void test_screen_fits(void **state)
{
	static const unsigned int sizes[][2] = { { 80, 24 }, { 40, 10 }, { 20, 5 }, { 1000, 100 },
		{ 64, 24 }, { 63, 24 }, { 80, 1 }, { 7, 2 }, { 1, 1 } };
	static const unsigned int n_sizes = sizeof(sizes) / sizeof(sizes[0]);
	struct top_sample s = test_sample(1, ~0ull, "2001:db8:1111:2222:3333:4444:5555:6666");
	struct top_screen screen = { .device = "eth0\033[2J\xff\n",
		.filter = "tcp port 80 or (vlan and tcp port 80) or udp port 53",
		.colour = true };
	unsigned int i, lines;
	char *text;
	size_t n;
	FILE *out;

	for (i = 0; i < n_sizes * 2 * 4; i++) {
		screen.view = i / n_sizes % 2 ? TOP_VIEW_HOSTS : TOP_VIEW_PROTOCOLS;
		screen.help = i / n_sizes / 2 == 1;
		screen.edit = i / n_sizes / 2 == 2 ? screen.filter : NULL;
		screen.message = i / n_sizes / 2 == 3 ? screen.filter : NULL;
		screen.scroll = i;
		out = open_memstream(&text, &n);
		top_show_screen(out, &screen, &s, sizes[i % n_sizes][0], sizes[i % n_sizes][1]);
		fclose(out);
		assert_true(test_measure(text, &lines) <= sizes[i % n_sizes][0]);
		assert_int_equal(lines, sizes[i % n_sizes][1]);
		free(text);
	}
	top_sample_deinit(&s);
}

/* The screen as text, without colour; the caller frees. */
static char *test_screen(
	const struct top_screen *screen, const struct top_sample *s, unsigned int width)
{
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	top_show_screen(out, screen, s, width, 24);
	fclose(out);
	for (char *at = text; *at; at++)
		*at = *at == '\n' ? ' ' : *at;
	return text;
}

/* Whatever people have to read to the end is there to the end. */
static void test_sentences_are_whole(void **state)
{
	static const char message[] = "can't parse filter expression: syntax error at the end, "
				      "where a number is expected";
	struct top_sample s = test_sample(1, 10, NULL);
	struct top_screen screen = { .device = "eth0", .paused = true };
	const unsigned int widths[] = { 80, 72, 70, 64, 63, 40, 30, 20 };

	for (unsigned int i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		char *text = test_screen(&screen, &s, widths[i]), *keys = strstr(text, "q quit");
		unsigned int n_words = 0;

		assert_non_null(keys);
		assert_non_null(strstr(keys, "help"));
		free(text);
		screen.message = message;
		text = test_screen(&screen, &s, widths[i]);
		for (const char *word = message; *word; word += strspn(word, " ")) {
			char copy[32];
			size_t len = strcspn(word, " ");

			(void)snprintf(copy, sizeof(copy), "%.*s", (int)len, word);
			assert_non_null(strstr(text, copy));
			word += len;
			n_words++;
		}
		assert_int_equal(n_words, 14);
		free(text);
		screen.message = NULL;
	}
	top_sample_deinit(&s);
}

static void test_names_are_followed(void **state)
{
	struct top_sample s = test_sample(1, 10, NULL);
	struct top_screen screen = { .device = "wan0", .was = "eth0" };
	char *text = test_screen(&screen, &s, 80);

	assert_non_null(strstr(text, "wan0 (was eth0)"));
	free(text);
	top_sample_deinit(&s);
}

static void test_loss_is_shown(void **state)
{
	struct top_sample s = test_sample(1, 10, NULL);
	struct top_screen screen = { .device = "eth0" };
	char *text;
	size_t n;
	FILE *out;

	s.status.lost_pkts[MAPI_LOSS_RING] = 17;
	out = open_memstream(&text, &n);
	top_show_screen(out, &screen, &s, 80, 24);
	top_show_lines(out, &screen, &s, 10);
	fclose(out);
	assert_non_null(strstr(text, "17 lost in the capture buffer"));
	assert_non_null(strstr(strstr(text, "17 lost") + 1, "17 lost"));
	free(text);
	top_sample_deinit(&s);
}

static void test_keys(void **state)
{
	static const struct {
		const char *bytes;
		int key;
		size_t used;
	} cases[] = {
		{ "q", 'q', 1 },
		{ "\033[A", TERMINAL_KEY_UP, 3 },
		{ "\033OB", TERMINAL_KEY_DOWN, 3 },
		{ "\033[5~", TERMINAL_KEY_PAGE_UP, 4 },
		{ "\033[6~x", TERMINAL_KEY_PAGE_DOWN, 4 },
		{ "\033", TERMINAL_KEY_ESCAPE, 1 },
		{ "\033x", TERMINAL_KEY_ESCAPE, 1 },
		{ "\033[", TERMINAL_KEY_NONE, 2 },
		{ "\033[12;", TERMINAL_KEY_NONE, 5 },
		{ "\033[1;5Cq", TERMINAL_KEY_NONE, 6 },
		{ "\xc3\xa4", TERMINAL_KEY_NONE, 1 },
		{ "\r", TERMINAL_KEY_ENTER, 1 },
	};
	size_t used;
	unsigned int i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(terminal_decode(cases[i].bytes, strlen(cases[i].bytes), &used),
			cases[i].key);
		assert_int_equal(used, cases[i].used);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_bad_lists),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_scale),
		cmocka_unit_test(test_screen_fits),
		cmocka_unit_test(test_sentences_are_whole),
		cmocka_unit_test(test_names_are_followed),
		cmocka_unit_test(test_loss_is_shown),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests_name("top", tests, NULL, NULL);
}
