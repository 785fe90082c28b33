/* SPDX-License-Identifier: BSD-2-Clause */
/* RES2FILE: what is in the file, and what happens if nobody takes it. */
#undef NDEBUG
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "mapi.h"
#include "mapi/errors.h"
#include "mapi/stats.h"
#include "res2file_private.h"
#include "std.h"

#define TEST_S 1000000000ull
#define TEST_FILE_BYTES (1u << 20)

/* An applied RES2FILE with two sources, a counter and a STATS, whose results the test makes up. */
struct test_save {
	_Alignas(16) unsigned char instance[2048];
	_Alignas(16) unsigned char state[256];
	struct error error;
	struct packet_batch batch;
	uint64_t deadline_ns;
	uint64_t value;
	stats_t stats;
	unsigned int n_resets;
	int fd; /* of a file in memory */
	char *text; /* of that, once read */
};

static const struct function *const test_sources[] = { &std_pkt_counter, &std_stats };

static void test_reset_ref(const struct function_call *call, unsigned int ref)
{
	struct test_save *save = call->plan;

	save->n_resets++;
	if (ref == 0)
		save->value = 0;
	else
		save->stats = (stats_t){ .count = 0 };
}

static void test_read_ref(const struct function_call *call, unsigned int ref, void *ret_result)
{
	const struct test_save *save = call->plan;

	if (ref == 0)
		memcpy(ret_result, &save->value, sizeof(save->value));
	else
		memcpy(ret_result, &save->stats, sizeof(save->stats));
}

/* @n_refs: how many of the sources are referred to. */
static int test_open_fd(struct test_save *save, const char *types, unsigned int n_refs,
	const char *period, int reset, bool live, int fd)
{
	const struct function_value args[] = { { .text = types }, { .text = "1@1" },
		{ .text = "header" }, { .text = "lines", .fd = fd }, { .text = period },
		{ .number = reset } };
	const struct function_open open = { .args = args,
		.n_args = ARRAY_SIZE(args),
		.instance = save->instance,
		.device = "test",
		.lossless = !live,
		.refs = test_sources,
		.n_refs = n_refs };

	assert_true(std_res2file.instance_bytes <= sizeof(save->instance));
	assert_true(std_res2file.state_bytes <= sizeof(save->state));
	*save = (struct test_save){ .fd = -1 };
	return std_res2file.open(&open, &save->error);
}

static void test_open(struct test_save *save, const char *types, unsigned int n_refs,
	const char *period, int reset, bool live)
{
	int fd = memfd_create("lines", MFD_CLOEXEC), taken = dup(fd);

	assert_true(taken >= 0);
	assert_int_equal(0, test_open_fd(save, types, n_refs, period, reset, live, taken));
	save->fd = fd;
}

static struct function_call test_call(struct test_save *save, const struct function_ref refs[])
{
	return (struct function_call){ .batch = &save->batch,
		.refs = refs,
		.error = &save->error,
		.reset_ref = test_reset_ref,
		.read_ref = test_read_ref,
		.plan = save };
}

/* Time passes, before a packet or without one. */
static void test_time(struct test_save *save, uint64_t now_ns, bool with_packet)
{
	const struct function_ref refs[] = { { .value = &save->value }, { .value = NULL } };
	struct function_call call = test_call(save, refs);

	while (save->deadline_ns <= now_ns && (with_packet || save->deadline_ns > 0))
		save->deadline_ns = std_res2file.tick(&call, save->instance, save->state, now_ns);
}

/* A packet, after which the counter has another value. */
static void test_packet(struct test_save *save, uint64_t ts_ns, uint64_t value, bool selected)
{
	const struct function_ref refs[] = { { .value = &save->value }, { .value = NULL } };
	struct packet_mask selection = packet_mask_first(selected ? 1 : 0);
	struct function_call call = test_call(save, refs);

	test_time(save, ts_ns, true);
	save->batch = (struct packet_batch){ .n = 1, .ts_ns = { ts_ns } };
	save->value = value;
	call.n = 1;
	std_res2file.process(&call, save->instance, save->state, &selection);
}

static uint64_t test_lines(const struct test_save *save)
{
	uint64_t n_lines;

	memcpy(&n_lines, save->state, sizeof(n_lines));
	return n_lines;
}

static void test_finish(struct test_save *save)
{
	const struct function_ref refs[] = { { .value = NULL }, { .value = NULL } };
	struct function_call call = test_call(save, refs);

	std_res2file.finish(&call, save->instance, save->state);
}

/* The flow is closed. Return: what the file has after its header. */
static const char *test_close(struct test_save *save, size_t *ret_bytes)
{
	ssize_t n;

	assert_int_equal(0, std_res2file.complete(save->instance, &save->error));
	std_res2file.close(save->instance);
	save->text = calloc(1, TEST_FILE_BYTES);
	assert_non_null(save->text);
	n = pread(save->fd, save->text, TEST_FILE_BYTES - 1, 0);
	assert_true(n >= 7);
	assert_memory_equal(save->text, "header\n", 7);
	(void)close(save->fd);
	if (ret_bytes)
		*ret_bytes = (size_t)n - 7;
	return save->text + 7;
}

static void test_a_line_at_each_packet(void **state)
{
	struct test_save save;

	test_open(&save, "1", 1, "0", 0, false);
	test_packet(&save, 5, 1, true);
	test_packet(&save, 4, 2, false);
	test_packet(&save, 4, UINT64_MAX, true);
	assert_int_equal(test_lines(&save), 2);
	assert_string_equal(test_close(&save, NULL), "1\n18446744073709551615\n");
	assert_int_equal(save.n_resets, 0);
	free(save.text);

	test_open(&save, "1", 1, "0", 1, false);
	test_packet(&save, 5, 1, true);
	assert_int_equal(save.n_resets, 1);
	assert_string_equal(test_close(&save, NULL), "1\n");
	free(save.text);
}

static void test_every_type(void **state)
{
	struct test_save save;
	const char *line;
	size_t n_bytes;

	/* 2^-32 s is 232.83 ps; halves go to the even neighbour. */
	test_open(&save, "R2F_ULLSEC, 3", 2, "0", 0, false);
	save.stats = (stats_t){ .count = 3, .sum = 7, .sum2 = 25, .max = 4, .min = 0 };
	test_packet(&save, 5, 3 * (1ull << 31) + 1, true);
	test_packet(&save, 6, 1u << 19, true);
	test_packet(&save, 6, UINT64_MAX, true);
	assert_string_equal(test_close(&save, NULL),
		"1.500000000233 3 7 25 4 0\n0.000122070312 3 7 25 4 0\n"
		"4294967295.999999999767 3 7 25 4 0\n");
	free(save.text);

	test_open(&save, "0,R2F_RAW", 2, "0", 0, false);
	save.stats.count = 7;
	test_packet(&save, 5, 0x0a0a0a0a0a0a0a0a, true);
	line = test_close(&save, &n_bytes);
	assert_int_equal(n_bytes, 8 + 1 + sizeof(stats_t) + 1);
	assert_memory_equal(line, "\n\n\n\n\n\n\n\n ", 9);
	assert_memory_equal(line + 9, &save.stats, sizeof(save.stats.count));
	free(save.text);
}

/* Of the largest numbers that there are. */
static void test_the_longest_line(void **state)
{
	struct test_save save;
	stats_t most = { .count = UINT64_MAX };
	char expected[512];

	most.sum = (long double)most.count * (long double)UINT64_MAX;
	most.sum2 = most.sum * (long double)UINT64_MAX;
	most.max = most.min = (double)UINT64_MAX;
	test_open(&save, "2,3", 2, "0", 0, false);
	save.stats = most;
	test_packet(&save, 5, UINT64_MAX, true);
	(void)snprintf(expected, sizeof(expected),
		"4294967295.999999999767 18446744073709551615 %.0Lf %.0Lf 18446744073709551616 "
		"18446744073709551616\n",
		most.sum, most.sum2);
	assert_string_equal(test_close(&save, NULL), expected);
	free(save.text);
}

/* A period ends before the packet at its end. */
static void test_periods_without_packets_are_zeroes(void **state)
{
	for (unsigned int idle = 0; idle < 2; idle++) {
		struct test_save save;

		test_open(&save, "1,3", 2, "1s", 1, false);
		test_packet(&save, 10 * TEST_S, 1, true);
		test_packet(&save, 11 * TEST_S - 1, 2, false);
		save.stats.count = 9;
		test_packet(&save, 11 * TEST_S, 5, true);
		test_packet(&save, 10 * TEST_S, 6, true); /* late */
		/* On a live device time also passes without packets, to the same effect. */
		for (uint64_t ms = 11001; idle && ms < 14999; ms += 10)
			test_time(&save, ms * (TEST_S / 1000), false);
		test_packet(&save, 15 * TEST_S - 1, 7, true);
		test_packet(&save, 15 * TEST_S, 8, true);
		assert_int_equal(test_lines(&save), 5);
		assert_string_equal(test_close(&save, NULL),
			"2 9 0 0 0 0\n6 0 0 0 0 0\n0 0 0 0 0 0\n0 0 0 0 0 0\n7 0 0 0 0 0\n");
		assert_int_equal(save.n_resets, 6); /* there is nothing to reset in silence */
		free(save.text);
	}
}

/* Before the packets that come next, as in a plan. */
static void test_set_clock(struct test_save *save, int64_t by_s)
{
	int64_t by_ns = by_s * (int64_t)TEST_S;

	std_res2file.step(save->instance, save->state, by_ns);
	save->deadline_ns = function_moment(save->deadline_ns, by_ns);
}

/* A period lasts as long as it should, however the clock calls its end. */
static void test_periods_when_the_clock_is_set(void **state)
{
	struct test_save save;

	test_open(&save, "1", 1, "1s", 0, false);
	test_packet(&save, 10 * TEST_S, 1, true);
	test_set_clock(&save, 5000);
	test_packet(&save, 5011 * TEST_S - 1, 2, true);
	assert_int_equal(test_lines(&save), 0);
	test_packet(&save, 5011 * TEST_S, 3, true);
	assert_int_equal(test_lines(&save), 1);
	test_set_clock(&save, -900);
	test_packet(&save, 4112 * TEST_S - 1, 4, true);
	assert_int_equal(test_lines(&save), 1);
	test_packet(&save, 4112 * TEST_S, 5, true);
	assert_int_equal(test_lines(&save), 2);
	assert_string_equal(test_close(&save, NULL), "2\n4\n");
	free(save.text);
}

static void test_a_long_silence_fills_no_disk(void **state)
{
	const uint64_t later = UINT64_MAX / 2;

	for (unsigned int idle = 0; idle < 2; idle++) {
		struct test_save save;
		const char *text;
		size_t n_bytes;

		test_open(&save, "1", 1, "1us", 0, false);
		test_packet(&save, TEST_S, 1, true);
		for (uint64_t ms = 1; idle && ms < 300; ms++)
			test_time(&save, TEST_S + ms * 1000000, false);
		test_packet(&save, later, 2, true);
		assert_int_equal(test_lines(&save), 100001);
		/* A period begins with this packet. */
		test_packet(&save, later + 999, 3, true);
		assert_int_equal(test_lines(&save), 100001);
		test_packet(&save, later + 1000, 4, true);
		assert_int_equal(test_lines(&save), 100002);
		text = test_close(&save, &n_bytes);
		assert_int_equal(n_bytes, 2 * 100002);
		assert_memory_equal(text, "1\n0\n0\n", 6);
		assert_string_equal(text + n_bytes - 4, "0\n3\n");
		free(save.text);
	}
}

/* Whether the file ends or the flow is closed before that, or both. */
static void test_one_line_at_the_end(void **state)
{
	for (unsigned int finished = 0; finished < 2; finished++) {
		struct test_save save;

		test_open(&save, "1,3", 2, "-1", 1, false);
		test_packet(&save, 5, 1, true);
		save.stats.count = 2;
		test_packet(&save, 6, 3, false);
		assert_int_equal(test_lines(&save), 0);
		if (finished)
			test_finish(&save);
		assert_int_equal(test_lines(&save), finished);
		assert_string_equal(test_close(&save, NULL), "3 2 0 0 0 0\n");
		assert_int_equal(save.n_resets, 0);
		free(save.text);
	}
}

static void test_refused_arguments(void **state)
{
	static const struct {
		const char *types;
		unsigned int n_refs;
		const char *period;
		int code;
	} cases[] = {
		{ "", 1, "0", 7001 },
		{ "4", 1, "0", 7001 },
		{ "10", 1, "0", 7001 },
		{ "-1", 1, "0", 7001 },
		{ "1,", 1, "0", 7001 },
		{ "1 1", 2, "0", 7001 },
		{ "R2F_ULL", 1, "0", 7001 },
		{ "1,1", 1, "0", 7001 }, /* two types, one result */
		{ "1", 2, "0", 7001 },
		{ "1,1", 2, "0", 7001 }, /* STATS is no value */
		{ "3", 1, "0", 7001 }, /* a counter is no STATS */
		{ "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", 1, "0",
			7001 },
		{ "1", 1, "", 7005 },
		{ "1", 1, "1", 7005 },
		{ "1", 1, "-2", 7005 },
		{ "1", 1, "0s", 7005 },
		{ "1", 1, "5 s", 7005 },
		{ "1", 1, "99999999999999999999s", 7005 },
	};
	int fd = memfd_create("lines", MFD_CLOEXEC);
	struct test_save save;

	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		assert_int_equal(-EINVAL,
			test_open_fd(&save, cases[k].types, cases[k].n_refs, cases[k].period, 0,
				false, fd));
		assert_int_equal(save.error.code, cases[k].code);
		assert_true(save.error.text[0]);
	}
	assert_int_equal(-EINVAL, test_open_fd(&save, "1", 1, "0", 0, false, -1));
	assert_int_equal(save.error.code, MAPI_ERROR_FILE);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	(void)close(fd);
}

/* Lists are not for lines; what has more to it than a value cannot begin again. */
static void test_refused_results(void **state)
{
	static const struct function *const lists[] = { &std_dist, &std_burst };
	static const struct function *const files[] = { &std_to_file };
	struct function_value args[] = { { .text = "0" }, { .text = "1@1" }, { .text = "" },
		{ .text = "lines" }, { .text = "0" }, { .number = 0 } };
	_Alignas(16) unsigned char instance[2048] = { 0 };
	struct function_open open = {
		.args = args, .n_args = 6, .instance = instance, .lossless = true, .n_refs = 1
	};

	args[3].fd = memfd_create("lines", MFD_CLOEXEC);
	for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
		struct error err = ERROR_INIT;

		open.refs = &lists[k];
		assert_int_equal(-EINVAL, std_res2file.open(&open, &err));
		assert_int_equal(err.code, MFUNCT_INVALID_ARGUMENT_2);
	}
	open.refs = files;
	for (int reset = 1; reset >= 0; reset--) {
		struct error err = ERROR_INIT;

		args[5].number = reset;
		assert_int_equal(reset ? -EINVAL : 0, std_res2file.open(&open, &err));
		assert_int_equal(err.code, reset ? MFUNCT_INVALID_ARGUMENT_6 : 0);
	}
	std_res2file.close(instance);
}

static void test_a_full_disk_ends_the_flow(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct test_save save;

	assert_true(fd >= 0);
	assert_int_equal(0, test_open_fd(&save, "1", 1, "0", 0, false, fd));
	for (unsigned int i = 0; i < 100000 && !save.error.code; i++)
		test_packet(&save, i, i, true);
	assert_int_equal(save.error.code, MAPI_OUTPUT_FAILED);
	assert_non_null(strstr(save.error.text, strerror(ENOSPC)));
	save.error = (struct error)ERROR_INIT;
	assert_int_equal(-EINVAL, std_res2file.complete(save.instance, &save.error));
	std_res2file.close(save.instance);
}

/* ---- on live devices ---- */

static void test_read_line(int fd, char *line, size_t room)
{
	size_t n = 0;

	do {
		assert_true(n + 1 < room);
		assert_int_equal(read(fd, line + n, 1), 1);
	} while (line[n++] != '\n');
	line[n] = '\0';
}

static void test_live_lines_are_seen_soon(void **state)
{
	struct test_save save;
	char line[64];
	int fds[2];

	assert_int_equal(0, pipe2(fds, O_CLOEXEC));
	assert_int_equal(0, test_open_fd(&save, "1", 1, "1s", 0, true, fds[1]));
	test_read_line(fds[0], line, sizeof(line));
	assert_string_equal(line, "header\n");
	test_packet(&save, TEST_S, 1, true);
	test_time(&save, 2 * TEST_S, false);
	test_read_line(fds[0], line, sizeof(line));
	assert_string_equal(line, "1\n");
	test_time(&save, 4 * TEST_S, false);
	for (unsigned int i = 0; i < 2; i++) {
		test_read_line(fds[0], line, sizeof(line));
		assert_string_equal(line, "0\n");
	}
	assert_int_equal(0, std_res2file.complete(save.instance, &save.error));
	std_res2file.close(save.instance);
	assert_int_equal(read(fds[0], line, 1), 0);
	(void)close(fds[0]);
}

/* A worker does not wait for them; all are written or counted. */
static void test_live_lines_without_room_are_counted(void **state)
{
	uint64_t lost_pkts[MAPI_LOSS_MEMORY + 1] = { 0 }, n_taken;
	struct test_save save;
	int fds[2];

	assert_int_equal(0, pipe2(fds, O_CLOEXEC));
	assert_int_equal(0, test_open_fd(&save, "1", 1, "0", 0, true, fds[1]));
	for (unsigned int i = 0; i < 200000; i++)
		test_packet(&save, i, 1000000000000000000u + i, true);
	assert_int_equal(save.error.code, 0);
	n_taken = test_lines(&save);
	std_res2file.lost(save.instance, save.state, lost_pkts);
	assert_true(n_taken > 1000 && n_taken < 200000);
	assert_int_equal(lost_pkts[MAPI_LOSS_QUEUE], 200000 - n_taken);
	/* Nobody reads: closing does not wait for ever, and says what is missing. */
	std_res2file.cancel(save.instance);
	assert_int_equal(-EINVAL, std_res2file.complete(save.instance, &save.error));
	assert_int_equal(save.error.code, MAPI_OUTPUT_FAILED);
	assert_non_null(strstr(save.error.text, "lines were not written"));
	std_res2file.close(save.instance);
	(void)close(fds[0]);
}

static void test_a_live_line_at_the_end(void **state)
{
	struct test_save save;

	test_open(&save, "1", 1, "-1", 0, true);
	test_packet(&save, 5, 7, true);
	while (std_res2file.draining(save.instance))
		;
	assert_string_equal(test_close(&save, NULL), "7\n");
	free(save.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_line_at_each_packet),
		cmocka_unit_test(test_every_type),
		cmocka_unit_test(test_the_longest_line),
		cmocka_unit_test(test_periods_without_packets_are_zeroes),
		cmocka_unit_test(test_periods_when_the_clock_is_set),
		cmocka_unit_test(test_a_long_silence_fills_no_disk),
		cmocka_unit_test(test_one_line_at_the_end),
		cmocka_unit_test(test_refused_arguments),
		cmocka_unit_test(test_refused_results),
		cmocka_unit_test(test_a_full_disk_ends_the_flow),
		cmocka_unit_test(test_live_lines_are_seen_soon),
		cmocka_unit_test(test_live_lines_without_room_are_counted),
		cmocka_unit_test(test_a_live_line_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
