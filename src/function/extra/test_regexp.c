/* SPDX-License-Identifier: BSD-2-Clause */
/* REGEXP on made-up packets: what it finds, what it refuses, what it gives up, and when. */
#undef NDEBUG
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "extra.h"
#include "mapi.h"
#include "mapi/errors.h"

struct test_run {
	struct error error;
	_Alignas(16) unsigned char instance[64];
	_Alignas(16) unsigned char state[64];
};

static int test_open(struct test_run *run, const char *pattern, bool lossless)
{
	const struct function_value arg = { .text = pattern };
	struct function_open open = { .args = &arg,
		.n_args = 1,
		.instance = run->instance,
		.device = "test",
		.lossless = lossless };

	*run = (struct test_run){ .error = ERROR_INIT };
	assert_true(extra_regexp.instance_bytes <= sizeof(run->instance));
	assert_true(extra_regexp.state_bytes <= sizeof(run->state));
	return extra_regexp.open(&open, &run->error);
}

static struct packet_mask test_process(
	struct test_run *run, const struct packet_batch *batch, unsigned int step)
{
	struct packet_mask selection = packet_mask_first(batch->n);

	for (unsigned int i = 0; i < batch->n; i += step) {
		struct function_call call = { .batch = batch,
			.first = i,
			.n = MIN(step, batch->n - i),
			.error = &run->error };

		extra_regexp.process(&call, run->instance, run->state, &selection);
	}
	assert_int_equal(run->error.code, 0);
	return selection;
}

static uint64_t test_given_up(const struct test_run *run)
{
	uint64_t lost_pkts[MAPI_N_LOSS] = { 0 };

	extra_regexp.lost(run->instance, run->state, lost_pkts);
	return lost_pkts[MAPI_LOSS_MEMORY];
}

static struct packet_batch *test_batch_new(
	const void *const data[], const size_t n_bytes[], unsigned int n)
{
	struct packet_batch *batch = calloc(1, sizeof(*batch));

	assert_non_null(batch);
	batch->n = n;
	for (unsigned int i = 0; i < n; i++) {
		batch->data[i] = data[i];
		batch->cap_bytes[i] = (uint32_t)n_bytes[i];
	}
	return batch;
}

/* Return: whether @pattern is found, -1 if it is given up. */
static int test_find(const char *pattern, const void *data, size_t n_bytes)
{
	struct packet_batch *batch = test_batch_new(&data, &n_bytes, 1);
	struct packet_mask passed;
	struct test_run run;
	uint64_t given_up;

	assert_int_equal(0, test_open(&run, pattern, true));
	passed = test_process(&run, batch, 1);
	given_up = test_given_up(&run);
	assert_false(given_up && packet_mask_test(&passed, 0));
	extra_regexp.close(run.instance);
	free(batch);
	return given_up ? -1 : packet_mask_test(&passed, 0);
}

static void test_patterns_find(void **state)
{
	static const struct {
		const char *pattern, *packet;
		size_t n_bytes;
		int found;
	} cases[] = {
		{ "HTTP.*OK", "HTTP/1.1 200 OK\r\n", 17, 1 },
		{ "HTTP.*OK", "HTTP/1.1\n200 OK", 15, 0 },
		{ "(?s)HTTP.*OK", "HTTP/1.1\n200 OK", 15, 1 },
		{ "http", "HTTP", 4, 0 },
		{ "(?i)http", "HTTP", 4, 1 },
		{ "a\\x00b", "xa\0bx", 5, 1 },
		{ "^a", "ba", 2, 0 },
		{ "b$", "ab\n", 3, 1 },
		{ "\\x{ff}[\\x80-\\xfe]", "\xff\x90", 2, 1 },
		{ "^$", "", 0, 1 },
		{ "a", "", 0, 0 },
		{ "abc", "abcabc", 2, 0 }, /* only the captured bytes */
		{ "(..).*\\1", "abxxab", 6, 1 },
		{ "^(\\((?:[^()]|(?1))*\\))$", "((a)(b(c)))", 11, 1 },
		{ "(?<=GET )/", "GET /", 5, 1 },
		{ "\\Gb", "ab", 2, 0 },
	};

	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		uint8_t *exact = malloc(MAX(cases[k].n_bytes, (size_t)1));

		assert_non_null(exact);
		memcpy(exact, cases[k].packet, cases[k].n_bytes);
		assert_int_equal(
			test_find(cases[k].pattern, exact, cases[k].n_bytes), cases[k].found);
		free(exact);
	}
}

static void test_refused_patterns(void **state)
{
	static char longest[1024 + 2], nested[200];
	static const char *const patterns[] = { "", "a(b", "[z-a]", "*", "(?<n", "\\", "(*UTF)a",
		"(*UCP)a", "((((a|b|c){1,10}){1,9}){1,8}){1,5}", longest, nested };
	struct test_run run;

	memset(longest, 'a', sizeof(longest) - 1);
	memset(nested, '(', 100);
	memset(nested + 100, ')', 99);
	for (size_t k = 0; k < ARRAY_SIZE(patterns); k++) {
		assert_true(test_open(&run, patterns[k], true) < 0);
		assert_int_equal(run.error.code, MFUNCT_INVALID_ARGUMENT);
		assert_true(strlen(run.error.text) > 10);
	}
	assert_true(test_open(&run, "a(b", true) < 0);
	assert_non_null(strstr(run.error.text, "character 4"));
	assert_non_null(strstr(run.error.text, "parenthes"));
	longest[1024] = '\0';
	assert_int_equal(0, test_open(&run, longest, true));
	extra_regexp.close(run.instance);
}

static void test_long_packets(void **state)
{
	size_t n_bytes = 65536;
	uint8_t *packet = malloc(n_bytes);

	assert_non_null(packet);
	for (size_t at = 2030; at < 2060; at++) {
		memset(packet, 'x', n_bytes);
		memcpy(packet + at, "needle", 6);
		assert_int_equal(test_find("needle", packet, n_bytes), 1);
		assert_int_equal(test_find("(?<=x{9})needlex{9}", packet, n_bytes), 1);
		assert_int_equal(test_find("^needle", packet, n_bytes), 0);
		assert_int_equal(test_find("needles", packet, n_bytes), 0);
		assert_int_equal(test_find("needlex*$", packet, n_bytes), 1);
	}
	memcpy(packet + n_bytes - 6, "needle", 6);
	assert_int_equal(test_find("needle$", packet, n_bytes), 1);
	assert_int_equal(test_find("x$", packet, n_bytes), 0);
	free(packet);
}

/* Exponential in theory: given up soon in practice. */
static void test_hostile_patterns_are_given_up(void **state)
{
	static const char *const patterns[] = { "(a+)+$", "(a|aa)+$", "(a|a)*b", "(?:a?){30}a{30}$",
		"(.|.)+?(.|.)+?(.|.)+?(.|.)+?(.|.)+?z", "^(((a+)+)+)+$" };
	static const size_t sizes[] = { 60, 1514, 9000, 65535 };
	uint8_t *packet = malloc(65536);
	uint64_t begin_ns;
	unsigned int n = 0;

	assert_non_null(packet);
	memset(packet, 'a', 65536);
	begin_ns = clock_monotonic_ns();
	for (size_t k = 0; k < ARRAY_SIZE(patterns); k++) {
		for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
			packet[sizes[s] - 1] = '!';
			n += test_find(patterns[k], packet, sizes[s]) < 0;
			packet[sizes[s] - 1] = 'a';
		}
	}
	assert_true(n >= 16);
	/* Generous: under sanitizers, on slow machines. Without limits, the sun would be cold. */
	assert_true(clock_monotonic_ns() - begin_ns < 60000000000u);
	free(packet);
}

static void test_any_split_gives_the_same(void **state)
{
	static const unsigned int steps[] = { 1, 7, 256 };
	static uint8_t bytes[256][40];
	struct packet_batch *batch = calloc(1, sizeof(*batch));
	struct packet_mask passed[ARRAY_SIZE(steps)];

	assert_non_null(batch);
	srand(9);
	batch->n = 256;
	for (unsigned int i = 0; i < 256; i++) {
		for (unsigned int b = 0; b < 40; b++)
			bytes[i][b] = (uint8_t)('a' + rand() % 3);
		batch->data[i] = bytes[i];
		batch->cap_bytes[i] = (uint32_t)(rand() % 41);
	}
	for (size_t k = 0; k < ARRAY_SIZE(steps); k++) {
		struct test_run run;

		assert_int_equal(0, test_open(&run, "(a|ab)(c|bcd)?(a*)c.{3}b+a$", true));
		passed[k] = test_process(&run, batch, steps[k]);
		assert_memory_equal(&passed[k], &passed[0], sizeof(passed[0]));
		extra_regexp.close(run.instance);
	}
	assert_in_range(packet_mask_count(&passed[0]), 1, 255);
	free(batch);
}

static void test_parts_add_up(void **state)
{
	uint64_t into[8] = { 3 }, from[8] = { 4 };
	uint64_t lost_pkts[MAPI_N_LOSS] = { 0 };
	struct test_run run;

	assert_int_equal(0, test_open(&run, "a", true));
	extra_regexp.merge(run.instance, into, from);
	extra_regexp.lost(run.instance, into, lost_pkts);
	assert_int_equal(lost_pkts[MAPI_LOSS_MEMORY], 7);
	extra_regexp.close(run.instance);
}

/* On a live device an expensive pattern runs into debt: most packets are given up at once. */
static void test_live_devices_go_on(void **state)
{
	static uint8_t bytes[1514];
	const void *data[PACKET_BATCH_MAX];
	size_t n_bytes[PACKET_BATCH_MAX];
	struct packet_batch *batch;
	struct packet_mask passed;
	uint64_t begin_ns;
	struct test_run run;

	memset(bytes, 'a', sizeof(bytes));
	for (unsigned int i = 0; i < PACKET_BATCH_MAX; i++) {
		data[i] = bytes;
		n_bytes[i] = sizeof(bytes);
	}
	batch = test_batch_new(data, n_bytes, PACKET_BATCH_MAX);
	assert_int_equal(0, test_open(&run, "(a+)+!", false));
	begin_ns = clock_monotonic_ns();
	for (unsigned int k = 0; k < 20; k++) {
		passed = test_process(&run, batch, 256);
		assert_true(packet_mask_empty(&passed));
	}
	assert_true(clock_monotonic_ns() - begin_ns < 20000000000u);
	extra_regexp.close(run.instance);

	assert_int_equal(0, test_open(&run, "a{20}", false));
	passed = test_process(&run, batch, 256);
	assert_int_equal(packet_mask_count(&passed) + test_given_up(&run), 256);
	extra_regexp.close(run.instance);
	free(batch);
}

/* What PCRE2 does not count as steps: without a limit these take minutes. */
static void test_what_is_passed_over_is_work(void **state)
{
	static char alternatives[1024];
	static const char *const patterns[] = { alternatives, "(?:a++b|a++c)", "(?:[a-c]++d|.++e)",
		"(?>a*)(?:b|c)", "a{30000}b|q", "(?x)(?:a {30000} b|q)", "(a{9000})\\1{3}b|q",
		"(?<n>a{999})(?:\\k<n>b|(?P=n)c|\\g1d)", "()\\1{60000}b|q" };
	size_t n_bytes = 65536;
	uint8_t *packet = malloc(n_bytes);
	uint64_t begin_ns = clock_monotonic_ns();

	assert_non_null(packet);
	memset(packet, 'a', n_bytes);
	packet[29999] = packet[59999] = packet[n_bytes - 1] = '!';
	strcpy(alternatives, "q");
	while (strlen(alternatives) + 6 < sizeof(alternatives))
		strcat(alternatives, "|a++b");
	for (size_t k = 0; k < ARRAY_SIZE(patterns); k++) {
		const void *data = packet;
		struct packet_batch *batch = test_batch_new(&data, &n_bytes, 1);
		struct test_run run;

		for (unsigned int lossless = 0; lossless < 2; lossless++) {
			if (test_open(&run, patterns[k], lossless) != 0)
				fail_msg("%s: %s", patterns[k], run.error.text);
			(void)test_process(&run, batch, 1);
			if (test_given_up(&run) != 1)
				fail_msg("%s: is not given up", patterns[k]);
			extra_regexp.close(run.instance);
		}
		free(batch);
	}
	/* Generous, as above. */
	assert_true(clock_monotonic_ns() - begin_ns < 60000000000u);
	free(packet);
}

/* Work is counted, not time: what a live device gives up is what a file gives up. */
static void test_live_devices_find_the_same(void **state)
{
	static const char *const patterns[] = { "(a|ab)*c", "(a*)*b", "(a|aa)+c$", "b+?a{2,}c" };
	static uint8_t bytes[PACKET_BATCH_MAX][400];
	struct packet_batch *batch = calloc(1, sizeof(*batch));
	unsigned int n_given_up = 0;

	assert_non_null(batch);
	srand(5);
	for (size_t k = 0; k < ARRAY_SIZE(patterns); k++) {
		for (unsigned int i = 0; i < 40; i++) {
			struct packet_mask passed[2];
			uint64_t given_up[2];

			batch->n = 1;
			batch->data[0] = bytes[i];
			batch->cap_bytes[0] = (uint32_t)(rand() % 400);
			for (unsigned int b = 0; b < batch->cap_bytes[0]; b++)
				bytes[i][b] = "aaaaaaaaaaaaaaaaaaabc"[rand() % 21];
			for (unsigned int lossless = 0; lossless < 2; lossless++) {
				struct test_run run;

				assert_int_equal(0, test_open(&run, patterns[k], lossless));
				passed[lossless] = test_process(&run, batch, 1);
				given_up[lossless] = test_given_up(&run);
				extra_regexp.close(run.instance);
			}
			assert_memory_equal(&passed[0], &passed[1], sizeof(passed[0]));
			assert_int_equal(given_up[0], given_up[1]);
			n_given_up += given_up[0] > 0;
		}
	}
	assert_in_range(n_given_up, 1, 100);
	free(batch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns_find),
		cmocka_unit_test(test_refused_patterns),
		cmocka_unit_test(test_long_packets),
		cmocka_unit_test(test_hostile_patterns_are_given_up),
		cmocka_unit_test(test_any_split_gives_the_same),
		cmocka_unit_test(test_parts_add_up),
		cmocka_unit_test(test_live_devices_go_on),
		cmocka_unit_test(test_what_is_passed_over_is_work),
		cmocka_unit_test(test_live_devices_find_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
