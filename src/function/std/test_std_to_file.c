/* SPDX-License-Identifier: BSD-2-Clause */
/* TO_FILE on live devices: the worker never waits, and what is lost is counted and told. */
#undef NDEBUG
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "mapi.h"
#include "mapi/errors.h"
#include "mapi/to_file.h"
#include "std.h"
#include "test_std_private.h"
#include "to_file_private.h"

#define TEST_LARGE_BYTES 100000u
#define TEST_SMALL_QUEUE_BYTES (512u << 10)
#define TEST_CLOSE_NS 1600000000u
#define TEST_PCAP_HEADER_BYTES 24u
#define TEST_RECORD_HEADER_BYTES 16u

static uint8_t test_bytes[TEST_LARGE_BYTES];

static int test_open_live(
	struct test_run *run, int format, int fd, unsigned long long limit, bool lossless)
{
	struct function_value path = test_text("out.pcap"), max = test_number(0);
	const struct function_value number = test_number(format);
	int r;

	path.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	max.large = limit;
	r = test_open(run, &std_to_file, (const struct function_value[]){ number, path, max }, 3,
		lossless);
	if (r == 0)
		test_reset(run);
	else
		(void)close(path.fd);
	return r;
}

static uint64_t test_lost(const struct test_run *run)
{
	uint64_t lost_pkts[MAPI_LOSS_MEMORY + 1] = { 0 };

	std_to_file.lost(run->instance, run->state, lost_pkts);
	return lost_pkts[MAPI_LOSS_QUEUE];
}

static int32_t test_running(struct test_run *run)
{
	int32_t running;

	test_read(run);
	memcpy(&running, run->result, sizeof(running));
	return running;
}

/* One batch of one packet, whose number is its time and its length on the wire. */
static bool test_offer_bytes(
	struct test_run *run, struct test_traffic *t, uint32_t no, uint32_t cap_bytes)
{
	uint64_t dropped = test_lost(run);

	t->batch[0].n = 1;
	t->batch[0].data[0] = test_bytes;
	t->batch[0].cap_bytes[0] = cap_bytes;
	t->batch[0].wire_bytes[0] = TEST_LARGE_BYTES + no;
	t->batch[0].ts_ns[0] = no;
	run->passed[0] = packet_mask_first(1);
	test_process(run, t, 0, 0, 1, false);
	return test_lost(run) == dropped;
}

static bool test_offer(struct test_run *run, struct test_traffic *t, uint32_t no)
{
	return test_offer_bytes(run, t, no, TEST_LARGE_BYTES);
}

/* Reads a descriptor to its end. */
struct test_reader {
	int fd;
	uint8_t *bytes;
	size_t n_bytes;
	pthread_t thread;
};

static void *test_reader_main(void *argument)
{
	struct test_reader *reader = argument;
	size_t room = 0;
	ssize_t n;

	do {
		if (room - reader->n_bytes < 65536) {
			room = room ? 2 * room : 1u << 20;
			reader->bytes = realloc(reader->bytes, room);
			assert_non_null(reader->bytes);
		}
		n = read(reader->fd, reader->bytes + reader->n_bytes, room - reader->n_bytes);
		reader->n_bytes += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	return NULL;
}

static void test_reader_start(struct test_reader *reader, int fd)
{
	*reader = (struct test_reader){ .fd = fd };
	assert_int_equal(0, pthread_create(&reader->thread, NULL, test_reader_main, reader));
}

static void test_reader_join(struct test_reader *reader)
{
	assert_int_equal(0, pthread_join(reader->thread, NULL));
	(void)close(reader->fd);
}

static uint32_t test_u32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint64_t test_u64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* Whole packets of a pcap file; @nos: the number of each, NULL: not wanted. */
static unsigned int test_pcap_pkts(const struct test_reader *file, uint32_t *nos)
{
	size_t at = TEST_PCAP_HEADER_BYTES;
	unsigned int n = 0;

	while (at + TEST_RECORD_HEADER_BYTES <= file->n_bytes) {
		const uint8_t *record = file->bytes + at;
		uint32_t cap_bytes = test_u32(record + 8);

		at += TEST_RECORD_HEADER_BYTES + cap_bytes;
		if (at > file->n_bytes)
			break;
		assert_memory_equal(record + TEST_RECORD_HEADER_BYTES, test_bytes, cap_bytes);
		assert_int_equal(test_u32(record + 4), test_u32(record + 12) - TEST_LARGE_BYTES);
		if (nos)
			nos[n] = test_u32(record + 4);
		n++;
	}
	return n;
}

static void test_pipe(int *ret_read, int *ret_write)
{
	int fds[2];

	assert_int_equal(0, pipe2(fds, O_CLOEXEC));
	*ret_read = fds[0];
	*ret_write = fds[1];
}

/* Also: nothing waits, and everything that was taken is either in the pipe or in the error. */
static void test_a_pipe_that_nobody_reads_is_given_up(void **state)
{
	struct test_traffic *t = test_traffic_new(1);
	unsigned int accepted = 0, offered = 1000;
	unsigned long long left = 0;
	struct test_reader file;
	struct test_run run;
	uint64_t start_ns;
	int in, out;

	test_pipe(&in, &out);
	assert_int_equal(0, test_open_live(&run, MFF_PCAP_NS, out, 0, false));
	(void)close(out);
	/* The first ones get stuck in the writer's buffer, others in the queue. */
	for (uint32_t no = 0; no < offered; no++)
		accepted += test_offer_bytes(&run, t, no, no < 200 ? 1000 : TEST_LARGE_BYTES);
	assert_int_equal(run.error.code, 0);
	assert_in_range(accepted, STD_FILE_QUEUE_BYTES / TEST_LARGE_BYTES - 2, offered - 1);
	assert_int_equal(test_lost(&run), offered - accepted);

	start_ns = clock_monotonic_ns();
	std_to_file.cancel(run.instance);
	assert_true(std_to_file.draining(run.instance));
	assert_int_equal(-EINVAL, std_to_file.complete(run.instance, &run.error));
	assert_true(clock_monotonic_ns() - start_ns < TEST_CLOSE_NS);
	assert_int_equal(run.error.code, MAPI_OUTPUT_FAILED);
	assert_non_null(strstr(run.error.text, "out.pcap"));
	assert_int_equal(1, sscanf(run.error.text, "%*s closed when %llu", &left));
	assert_false(std_to_file.draining(run.instance));
	test_close(&run);

	test_reader_start(&file, in);
	test_reader_join(&file);
	assert_int_equal(test_pcap_pkts(&file, NULL) + left, accepted);
	free(file.bytes);
	free(t);
}

/* The limit counts what is taken, so it is what gets into the file. */
static void test_a_late_reader_gets_what_was_taken(void **state)
{
	enum { LIMIT = 600 };
	struct test_traffic *t = test_traffic_new(2);
	static uint32_t taken[LIMIT + 1], got[LIMIT + 1];
	unsigned int n_taken = 0, n_dropped = 0;
	struct test_reader file;
	struct test_run run;
	uint32_t no = 0;
	int in, out;

	test_pipe(&in, &out);
	assert_int_equal(0, test_open_live(&run, MFF_PCAP_NS, out, LIMIT, false));
	(void)close(out);
	while (n_dropped < 50) {
		if (test_offer(&run, t, no))
			taken[n_taken++] = no;
		else
			n_dropped++;
		no++;
		assert_true(n_taken < LIMIT);
	}
	test_reader_start(&file, in);
	while (n_taken < LIMIT) {
		if (test_offer(&run, t, no))
			taken[n_taken++] = no;
		else
			(void)sched_yield();
		no++;
	}
	for (unsigned int i = 0; i < 10; i++)
		assert_true(test_offer(&run, t, no)); /* no longer wanted: not lost */
	while (test_running(&run) != 0)
		(void)sched_yield();
	assert_false(std_to_file.draining(run.instance));
	assert_int_equal(0, std_to_file.complete(run.instance, &run.error));
	test_close(&run);
	test_reader_join(&file);
	assert_int_equal(file.n_bytes,
		TEST_PCAP_HEADER_BYTES + LIMIT * (TEST_RECORD_HEADER_BYTES + TEST_LARGE_BYTES));
	assert_int_equal(test_pcap_pkts(&file, got), LIMIT);
	assert_memory_equal(taken, got, LIMIT * sizeof(taken[0]));
	free(file.bytes);
	free(t);
}

static void test_whole_file(struct test_reader *file, int fd)
{
	assert_int_equal(0, lseek(fd, 0, SEEK_SET));
	test_reader_start(file, fd);
	test_reader_join(file);
}

/* A recording tells the same of the same packets, wherever they come from (semantics T2). */
static void test_a_live_file_is_that_of_a_file(void **state)
{
	static const int formats[] = { 0, MFF_PCAP_NS };

	for (unsigned int k = 0; k < 2 * ARRAY_SIZE(formats); k++) {
		struct test_traffic *t = test_traffic_new(3);
		struct test_reader files[2];

		for (unsigned int lossless = 0; lossless < 2; lossless++) {
			int fd = memfd_create("out", MFD_CLOEXEC);
			struct test_run run;

			assert_true(fd >= 0);
			assert_int_equal(0,
				test_open_live(
					&run, formats[k / 2], fd, k % 2 ? 100 : 0, lossless));
			for (unsigned int b = 0; b < TEST_N_BATCHES; b++) {
				run.passed[b] = t->selection[b];
				test_process(&run, t, b, 0, t->batch[b].n, false);
			}
			while (k % 2 && test_running(&run) != 0)
				(void)sched_yield();
			assert_int_equal(test_lost(&run), 0);
			if (k % 2 == 0) {
				assert_int_equal(test_running(&run), 11);
				assert_int_equal(0, std_to_file.complete(run.instance, &run.error));
			}
			test_whole_file(&files[lossless], fd); /* at the limit: before the close */
			test_close(&run);
			assert_int_equal(run.error.code, 0);
		}
		assert_int_equal(files[0].n_bytes, files[1].n_bytes);
		assert_memory_equal(files[0].bytes, files[1].bytes, files[0].n_bytes);
		free(files[0].bytes);
		free(files[1].bytes);
		free(t);
	}
}

static void test_a_full_disk_ends_the_flow(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct test_traffic *t = test_traffic_new(4);
	struct test_run run;

	if (fd < 0) {
		print_message("skipped: no /dev/full: %s\n", strerror(errno));
		skip();
	}
	/* While packets come; after the limit; when the last ones leave the buffer. */
	for (unsigned int round = 0; round < 3; round++) {
		assert_int_equal(0, test_open_live(&run, 0, fd, round == 1 ? 1 : 0, false));
		assert_true(test_offer(&run, t, 1));
		if (round == 2)
			assert_int_equal(-EINVAL, std_to_file.complete(run.instance, &run.error));
		while (!run.error.code) {
			(void)sched_yield();
			run.passed[0] = packet_mask_first(0); /* nothing passes the filters */
			test_process(&run, t, 0, 0, 1, false);
		}
		assert_int_equal(run.error.code, MAPI_OUTPUT_FAILED);
		assert_non_null(strstr(run.error.text, strerror(ENOSPC)));
		if (round < 2) {
			while (test_running(&run) != 0) /* its thread ends */
				(void)sched_yield();
			assert_int_equal(test_lost(&run), 1);
		}
		test_close(&run);
	}
	(void)close(fd);
	free(t);
}

/* ---- the queue, a small one ---- */

static struct std_queue *test_queue(int fd, enum capfile_format format)
{
	struct capfile_writer_args args = {
		.fd = fd, .path = "out", .format = format, .keep_ifindex = true
	};
	struct capfile_writer *writer = NULL;
	struct std_queue *queue = NULL;

	assert_int_equal(0, capfile_writer_new(&writer, &args, NULL));
	assert_int_equal(0, std_file_queue_new(&queue, writer, "out", TEST_SMALL_QUEUE_BYTES));
	return queue;
}

static bool test_put(struct std_queue *queue, uint32_t no, uint32_t cap_bytes)
{
	const struct capfile_packet packet = { .data = test_bytes,
		.cap_bytes = cap_bytes,
		.wire_bytes = TEST_LARGE_BYTES + no,
		.linktype = 1,
		.ifindex = (uint16_t)(no % 3 * 7),
		.ts_ns = no };

	return std_file_queue_put(queue, &packet);
}

/* Around the end of the memory many times, while the thread writes. */
static void test_the_queue_keeps_order_and_contents(void **state)
{
	enum { PKTS = 20000 };
	uint32_t *taken = calloc(PKTS, sizeof(*taken)), *got = calloc(PKTS, sizeof(*got));
	struct std_queue *queue;
	struct test_reader file;
	unsigned int n_taken = 0;
	int in, out;

	assert_non_null(taken);
	assert_non_null(got);
	srand(5);
	test_pipe(&in, &out);
	queue = test_queue(out, CAPFILE_PCAP_NS);
	test_reader_start(&file, in);
	for (uint32_t no = 0; no < PKTS; no++) {
		uint32_t cap_bytes = (uint32_t)(no % 64 ? rand() % 1500 : rand() % 100000);

		if (test_put(queue, no, cap_bytes))
			taken[n_taken++] = no;
		else
			(void)sched_yield();
		if (no % 50 == 0)
			std_queue_publish(queue);
	}
	assert_int_equal(std_queue_lost(queue), PKTS - n_taken);
	assert_int_equal(0, std_queue_close(queue, NULL));
	test_reader_join(&file);
	assert_int_equal(test_pcap_pkts(&file, got), n_taken);
	assert_memory_equal(taken, got, n_taken * sizeof(taken[0]));
	free(file.bytes);
	free(taken);
	free(got);
}

/* A pcapng file says where packets are missing, and how many. */
static void test_a_pcapng_file_tells_its_gaps(void **state)
{
	uint64_t lost[3] = { 0 }, taken[3] = { 0 }, gaps[3] = { 0 };
	unsigned int n_statistics = 0, n_gaps = 0, n_interfaces = 0;
	struct std_queue *queue;
	struct test_reader file;
	int in, out;

	test_pipe(&in, &out);
	queue = test_queue(out, CAPFILE_PCAPNG);
	/* Nobody reads: a gap, once there is room again, and one at the end. */
	for (uint32_t no = 0; no < 100; no++)
		(*(test_put(queue, no, 10000) ? &taken : &lost))[no % 3]++;
	assert_true(lost[0] > 10);
	std_queue_publish(queue);
	test_reader_start(&file, in);
	while (!test_put(queue, 0, 10000)) {
		lost[0]++;
		(void)sched_yield();
	}
	taken[0]++;
	for (uint32_t no = 0; no < 300; no++)
		(*(test_put(queue, no, 10000) ? &taken : &lost))[no % 3]++;
	assert_int_equal(std_queue_lost(queue), lost[0] + lost[1] + lost[2]);
	assert_int_equal(0, std_queue_close(queue, NULL));
	test_reader_join(&file);
	for (size_t at = 0; at < file.n_bytes; at += test_u32(file.bytes + at + 4)) {
		const uint8_t *block = file.bytes + at;
		uint32_t interface = test_u32(block + 8) / 7;

		n_interfaces += test_u32(block) == 1;
		if (test_u32(block) == 5 || test_u32(block) == 6)
			assert_int_equal(test_u32(block + 8) % 7, 0);

		if (test_u32(block) == 6 && test_u32(block + 4) > 32 + 10000) {
			assert_int_equal(test_u32(block + 28 + 10000), 4 | 8 << 16);
			gaps[interface] += test_u64(block + 28 + 10000 + 4);
			n_gaps++;
		}
		if (test_u32(block) != 5)
			continue;
		assert_int_equal(test_u32(block + 4), 52);
		assert_int_equal(test_u64(block + 24), taken[interface] + lost[interface]);
		assert_int_equal(test_u64(block + 36), lost[interface]);
		assert_true(gaps[interface] <= lost[interface]);
		n_statistics++;
	}
	assert_int_equal(n_statistics, 3);
	assert_int_equal(n_interfaces, 15); /* numbered as they are, up to 14 */
	assert_true(n_gaps >= 1);
	free(file.bytes);
}

/* Who reads a pipe while the packets are few sees them soon, without an end. */
static void test_what_comes_slowly_is_not_kept_back(void **state)
{
	uint8_t bytes[TEST_PCAP_HEADER_BYTES + TEST_RECORD_HEADER_BYTES + 10];
	struct std_queue *queue;
	int in, out;

	test_pipe(&in, &out);
	queue = test_queue(out, CAPFILE_PCAP_NS);
	for (unsigned int i = 0; i < 3; i++) {
		size_t n_bytes = sizeof(bytes) - (i ? TEST_PCAP_HEADER_BYTES : 0);

		assert_true(test_put(queue, i, 10));
		std_queue_publish(queue);
		assert_int_equal(n_bytes, read(in, bytes, sizeof(bytes)));
	}
	assert_int_equal(0, std_queue_close(queue, NULL));
	(void)close(in);
}

/* SIGPIPE is blocked in the thread, so whoever uses the library needs no handler. */
static void test_a_reader_that_leaves_is_an_error(void **state)
{
	struct error err = ERROR_INIT;
	struct std_queue *queue;
	int in, out;

	test_pipe(&in, &out);
	queue = test_queue(out, CAPFILE_PCAP_NS);
	(void)close(in);
	assert_true(test_put(queue, 0, 10));
	assert_int_equal(-EINVAL, std_queue_close(queue, &err));
	assert_int_equal(err.code, MAPI_OUTPUT_FAILED);
	assert_non_null(strstr(err.text, strerror(EPIPE)));
	assert_int_equal(0, std_queue_close(NULL, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_pipe_that_nobody_reads_is_given_up),
		cmocka_unit_test(test_a_late_reader_gets_what_was_taken),
		cmocka_unit_test(test_a_live_file_is_that_of_a_file),
		cmocka_unit_test(test_a_full_disk_ends_the_flow),
		cmocka_unit_test(test_the_queue_keeps_order_and_contents),
		cmocka_unit_test(test_a_pcapng_file_tells_its_gaps),
		cmocka_unit_test(test_what_comes_slowly_is_not_kept_back),
		cmocka_unit_test(test_a_reader_that_leaves_is_an_error),
	};

	for (size_t i = 0; i < sizeof(test_bytes); i++)
		test_bytes[i] = (uint8_t)(i * 7 >> 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
