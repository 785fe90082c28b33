/* SPDX-License-Identifier: BSD-2-Clause */
/* Variadic arguments: typed, plain and as an array; conversions; what legacy programs pass. */
#undef NDEBUG
#include "fake_engine.h"
#include "test_run.h"

#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* As an object compiled with the header of 2.0 calls it. */
#define plain_apply (mapi_apply_function)

static int flow;

static int setup(void **state)
{
	flow = mapi_create_offline_flow("/dev/null", MFF_PCAP);
	return flow > 0 ? 0 : -1;
}

static int teardown(void **state)
{
	return mapi_close_flow(flow);
}

#define assert_number(i, n)                                                           \
	do {                                                                          \
		assert_int_equal(fake_last_apply.kinds[i], WIRE__VALUE__KIND_NUMBER); \
		assert_int_equal(fake_last_apply.numbers[i], n);                      \
	} while (0)
#define assert_large(i, n)                                                           \
	do {                                                                         \
		assert_int_equal(fake_last_apply.kinds[i], WIRE__VALUE__KIND_LARGE); \
		assert_true(fake_last_apply.large[i] == (n));                        \
	} while (0)
#define assert_text(i, s)                                                           \
	do {                                                                        \
		assert_int_equal(fake_last_apply.kinds[i], WIRE__VALUE__KIND_TEXT); \
		assert_string_equal(fake_last_apply.texts[i], s);                   \
	} while (0)
#define assert_missing(i) assert_int_equal(fake_last_apply.kinds[i], WIRE__VALUE__KIND_MISSING)

enum color { RED, GREEN };

static void test_integers_of_any_type(void **state)
{
	signed char sc = -5;
	unsigned short us = 65535;

	assert_true(mapi_apply_function(flow, "STR_SEARCH", "x", 1L, 2ull) > 0);
	assert_text(0, "x");
	assert_number(1, 1);
	assert_number(2, 2);
	assert_true(mapi_apply_function(flow, "STR_SEARCH", "x", sc, us) > 0);
	assert_number(1, -5);
	assert_number(2, 65535);
	assert_true(mapi_apply_function(flow, "STR_SEARCH", "x", GREEN, 'a') > 0);
	assert_number(1, 1);
	assert_number(2, 'a');
	assert_true(mapi_apply_function(flow, "STR_SEARCH", "x", 0xffffffffu, (_Bool)1) > 0);
	assert_number(1, -1);
	assert_number(2, 1);
	assert_true(mapi_apply_function(flow, "CHAR", 'q') > 0);
	assert_number(0, 'q');
	assert_int_equal(mapi_apply_function(flow, "STR_SEARCH", "x", ~0ull, 1), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_2);
}

static void test_numbers_for_strings(void **state)
{
	assert_true(mapi_apply_function(flow, "STATS", flow, 1, 0) > 0);
	assert_number(0, flow);
	assert_number(1, 1);
	assert_text(2, "0");
	assert_true(mapi_apply_function(flow, "STATS", flow, 1, -17) > 0);
	assert_text(2, "-17");
	assert_true(mapi_apply_function(flow, "STATS", flow, 1, ~0ull) > 0);
	assert_text(2, "18446744073709551615");
	assert_true(mapi_apply_function(flow, "STATS", flow, 1, NULL) > 0);
	assert_missing(2);
	assert_true(mapi_apply_function(flow, "STATS", flow, 1, 0L) > 0); /* NULL of C++ */
	assert_missing(2);
	assert_int_equal(mapi_apply_function(flow, "STATS", flow, 1, 0.5), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_3);
	assert_int_equal(mapi_apply_function(flow, "STATS", 1.0L, 1, "0"), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_1);
}

static void test_strings_for_numbers(void **state)
{
	assert_true(mapi_apply_function(flow, "TO_BUFFER", "NOWAIT") > 0);
	assert_number(0, 1);
	assert_true(mapi_apply_function(flow, "STR_SEARCH", "x", "-3", "0") > 0);
	assert_number(1, -3);
	assert_int_equal(mapi_apply_function(flow, "STR_SEARCH", "x", "3x"), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_2);
	assert_int_equal(mapi_apply_function(flow, "STR_SEARCH", "x", "", 1), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_2);
	assert_int_equal(mapi_apply_function(flow, "STR_SEARCH", "x", " 1", 1), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_2);
	assert_int_equal(mapi_apply_function(flow, "STR_SEARCH", "x", "99999999999999999999"), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_2);
}

static void test_missing_arguments(void **state)
{
	assert_true(mapi_apply_function(flow, "TO_BUFFER") > 0);
	assert_int_equal(fake_last_apply.n_args, 1);
	assert_missing(0);
	assert_true(mapi_apply_function(flow, "STR_SEARCH", "x") > 0);
	assert_missing(1);
	assert_missing(2);
	assert_int_equal(mapi_apply_function(flow, "BPF_FILTER"), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_1);
	assert_int_equal(mapi_apply_function(flow, "BPF_FILTER", (char *)NULL), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_1);
	assert_int_equal(mapi_apply_function(flow, "STATS", flow), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_1); /* as its description says */
}

static void test_more_than_there_are(void **state)
{
	assert_true(mapi_apply_function(flow, "STR_SEARCH", "x", 0, 0, 1500) > 0);
	assert_number(2, 0);
	assert_true(mapi_apply_function(
			    flow, "PKT_COUNTER", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12) > 0);
	assert_int_equal(fake_last_apply.n_args, 0);
}

static void test_what_no_function_takes(void **state)
{
	struct {
		int a, b, c, d, e;
	} big = { 0 };

	assert_int_equal(mapi_apply_function(flow, "STR_SEARCH", "x", big, 1), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_2);
	assert_int_equal(mapi_apply_function(flow, "BPF_FILTER", &big), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_1);
}

static char *temporary_path(const char *name)
{
	static char path[128];

	(void)snprintf(path, sizeof(path), "/tmp/mapi-test-args-%d-%s", (int)getpid(), name);
	return path;
}

static void test_output_files(void **state)
{
	char *path = temporary_path("out");
	char bytes[16] = "";
	struct stat st;
	int fd;

	assert_true(mapi_apply_function(flow, "TO_FILE", MFF_PCAP, path, 5) > 0);
	assert_number(0, MFF_PCAP);
	assert_text(1, path);
	assert_large(2, 5u);
	assert_int_equal(fake_last_apply.n_fds, 1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), 7);
	assert_string_equal(bytes, "written");
	close(fd);
	unlink(path);
	assert_true(mapi_apply_function(flow, "TO_FILE", MFF_PCAP, path) > 0);
	assert_missing(2);
	unlink(path);
	assert_int_equal(mapi_apply_function(flow, "TO_FILE", MFF_PCAP, path, -1), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_3);
	unlink(path);
	assert_int_equal(mapi_apply_function(flow, "TO_FILE", MFF_PCAP, NULL, 0), -1);
	assert_error(MAPI_ERROR_FILE);
	assert_int_equal(mapi_apply_function(flow, "TO_FILE", MFF_PCAP), -1);
	assert_error(MAPI_ERROR_FILE);
	assert_int_equal(mapi_apply_function(flow, "TO_FILE", MFF_PCAP, 0, 0), -1);
	assert_error(MAPI_ERROR_FILE);
	assert_int_equal(mapi_apply_function(flow, "TO_FILE", MFF_PCAP, "/nonexistent/x", 0), -1);
	assert_error(MAPI_ERROR_FILE);
}

static void test_arrays(void **state)
{
	char pattern[] = "www", zero[] = "0", depth[] = "1500", wait[] = "NOWAIT";
	char *args[] = { pattern, zero, depth };
	char *some[] = { pattern, NULL };
	char *names[] = { wait };

	assert_true(mapi_apply_function_array(flow, "STR_SEARCH", args, 3) > 0);
	assert_text(0, "www");
	assert_number(1, 0);
	assert_number(2, 1500);
	assert_true(mapi_apply_function_array(flow, "PKT_COUNTER", NULL, 0) > 0);
	assert_true(mapi_apply_function_array(flow, "PKT_COUNTER", NULL, 3) > 0);
	assert_true(mapi_apply_function_array(flow, "STR_SEARCH", some, 2) > 0);
	assert_missing(1);
	assert_true(mapi_apply_function_array(flow, "TO_BUFFER", names, 1) > 0);
	assert_number(0, 1);
	assert_int_equal(mapi_apply_function_array(flow, "STR_SEARCH", NULL, 0), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_1);
	assert_int_equal(mapi_apply_function_array(flow, "NOTHING", NULL, 0), -1);
	assert_error(MAPI_FUNCTION_NOT_FOUND);
	assert_int_equal(mapi_apply_function_array(0, "PKT_COUNTER", NULL, 0), -1);
	assert_error(MAPI_INVALID_FID_FUNCID);
}

static void test_plain_calls(void **state)
{
	char *path = temporary_path("plain");

	assert_true(plain_apply(flow, "STR_SEARCH", "www", 0, 1500) > 0);
	assert_text(0, "www");
	assert_number(1, 0);
	assert_number(2, 1500);
	assert_true(plain_apply(flow, "PKT_COUNTER") > 0);
	assert_true(plain_apply(flow, "TO_FILE", MFF_PCAP, path, 7ull) > 0);
	assert_large(2, 7u);
	unlink(path);
	assert_true(plain_apply(flow, "STR_SEARCH", "www", -1, 0) > 0); /* the daemon refuses it */
	assert_number(1, -1);
	/* What a register held, for what programs of old leave out: the default. */
	assert_true(plain_apply(flow, "TO_BUFFER", 12345678) > 0);
	assert_missing(0);
	assert_int_equal(plain_apply(flow, NULL), -1);
	assert_error(MFUNCT_COULD_NOT_APPLY_FUNCT);
	assert_int_equal(plain_apply(-1, "PKT_COUNTER"), -1);
	assert_error(MAPI_INVALID_FID_FUNCID);
}

static void test_plain_calls_with_wild_pointers(void **state)
{
	char *pages =
		mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(pages != MAP_FAILED);
	memset(pages, 'x', 3 * 4096);
	assert_int_equal(mprotect(pages + 2 * 4096, 4096, PROT_NONE), 0);
	assert_true(plain_apply(flow, "STATS", flow, 1, NULL) > 0);
	assert_missing(2);
	assert_true(plain_apply(flow, "STATS", flow, 1, (char *)5) > 0);
	assert_text(2, "5");
	assert_true(plain_apply(flow, "STATS", flow, 1, (char *)0xdead0000beef0000) > 0);
	assert_missing(2);
	assert_true(plain_apply(flow, "STATS", flow, 1, (char *)-8) > 0);
	assert_missing(2);
	/* Not terminated before the memory ends. */
	assert_true(plain_apply(flow, "STATS", flow, 1, pages + 4090) > 0);
	assert_missing(2);
	pages[8191] = '\0';
	assert_true(plain_apply(flow, "STATS", flow, 1, pages + 8000) > 0);
	assert_int_equal(strlen(fake_last_apply.texts[2]), 191);
	assert_int_equal(plain_apply(flow, "BPF_FILTER", (char *)0xdead0000beef0000), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_1);
	assert_int_equal(plain_apply(flow, "TO_FILE", 0, (char *)0xdead0000beef0000, 0ull), -1);
	assert_error(MAPI_ERROR_FILE);
	assert_int_equal(plain_apply(flow, "TO_FILE", 0, (char *)17, 0ull), -1);
	assert_error(MAPI_ERROR_FILE);
	munmap(pages, 3 * 4096);
}

static void test_long_strings(void **state)
{
	char *text = malloc(2u << 20);

	assert_non_null(text);
	memset(text, 'x', 2u << 20);
	text[(2u << 20) - 1] = '\0';
	assert_int_equal(mapi_apply_function(flow, "BPF_FILTER", text), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_1);
	assert_int_equal(plain_apply(flow, "BPF_FILTER", text), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_1);
	text[400000] = '\0';
	assert_true(mapi_apply_function(flow, "BPF_FILTER", text) > 0);
	assert_true(plain_apply(flow, "BPF_FILTER", text) > 0);
	free(text);
}

static void test_descriptions(void **state)
{
	const struct mapi_function_desc *d = mapi_describe_function("stdflib:STR_SEARCH");
	unsigned int n = 0;

	assert_non_null(d);
	assert_string_equal(d->name, "STR_SEARCH");
	assert_int_equal(d->n_args, 3);
	assert_string_equal(d->args[1].name, "offset");
	assert_string_equal(d->args[1].default_text, "0");
	assert_null(d->args[0].default_text);
	assert_null(mapi_describe_function("extraflib:STR_SEARCH"));
	assert_error(MAPI_FUNCTION_NOT_FOUND);
	assert_null(mapi_describe_function("STR"));
	assert_error(MAPI_FUNCTION_NOT_FOUND);
	assert_null(mapi_describe_function(NULL));
	assert_error(MFUNCT_COULD_NOT_APPLY_FUNCT);
	for (d = mapi_describe_next_function(NULL); d; d = mapi_describe_next_function(d))
		n++;
	assert_int_equal(n, 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_integers_of_any_type, setup, teardown),
		cmocka_unit_test_setup_teardown(test_numbers_for_strings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strings_for_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_arguments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_more_than_there_are, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_no_function_takes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_output_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_arrays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plain_calls, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_plain_calls_with_wild_pointers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_strings, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptions, setup, teardown),
	};
	int r = cmocka_run_group_tests_name("args", tests, NULL, NULL);

	fake_engine_kill();
	return r;
}
