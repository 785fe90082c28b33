/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions of the standard library that hand something on: rings, files, filters. */
#undef NDEBUG
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "mapi/errors.h"
#include "mapi/hashsamp.h"
#include "mapi/to_file.h"
#include "std.h"
#include "test_std_private.h"
#include "wire/ring.h"

#define ARGS(...) ((const struct function_value[]){ __VA_ARGS__ })

static void test_to_buffer_hands_over_what_is_selected(void **state)
{
	struct test_traffic *t = test_traffic_new(1);
	struct ring_reader *reader;
	struct test_run run;
	const uint8_t *record;
	size_t n_bytes;

	assert_int_equal(0, test_open(&run, &std_to_buffer, ARGS(test_number(0)), 1, true));
	reader = test_ring_reader(&run);
	test_run(&run, t, 0, TEST_N_BATCHES, TEST_SPLIT_RANDOM, false);
	for (unsigned int b = 0; b < TEST_N_BATCHES; b++) {
		const struct packet_batch *batch = &t->batch[b];

		packet_mask_for_each (i, &t->selection[b]) {
			uint64_t ts = packet_ts_from_ns(batch->ts_ns[i]);

			assert_int_equal(
				0, ring_reader_next(reader, (const void **)&record, &n_bytes));
			assert_int_equal(n_bytes, 20 + batch->cap_bytes[i]);
			assert_memory_equal(record, &ts, 8);
			assert_memory_equal(record + 8, &batch->ifindex[i], 2);
			assert_memory_equal(record + 12, &batch->cap_bytes[i], 4);
			assert_memory_equal(record + 16, &batch->wire_bytes[i], 4);
			assert_memory_equal(record + 20, batch->data[i], batch->cap_bytes[i]);
		}
		assert_memory_equal(&run.passed[b], &t->selection[b], sizeof(run.passed[b]));
	}
	assert_int_equal(
		RING_READ_E_EMPTY, ring_reader_next(reader, (const void **)&record, &n_bytes));
	ring_reader_free(reader);
	test_close(&run);
	free(t);
}

/* Enough packets to fill the ring more than once. */
static void test_flood(struct test_run *run, const struct test_traffic *t)
{
	for (unsigned int round = 0; round < 100; round++) {
		run->passed[0] = packet_mask_first(t->batch[0].n);
		test_process(run, t, 0, 0, t->batch[0].n, false);
	}
}

static void test_to_buffer_drops_and_counts_live(void **state)
{
	struct test_traffic *t = test_traffic_new(2);
	struct ring_reader *reader;
	struct test_run run;
	uint64_t n_read = 0;
	const void *record;
	size_t n_bytes;

	assert_int_equal(0, test_open(&run, &std_to_buffer, ARGS(test_number(1)), 1, false));
	reader = test_ring_reader(&run);
	test_flood(&run, t);
	assert_int_equal(run.error.code, 0);
	while (ring_reader_next(reader, &record, &n_bytes) == 0)
		n_read++;
	assert_true(n_read > 0);
	assert_int_equal(n_read + ring_dropped(std_to_buffer.ring(run.instance)), 100 * 256);
	ring_reader_free(reader);
	test_close(&run);
	free(t);
}

struct test_flood_thread {
	struct test_run *run;
	const struct test_traffic *traffic;
};

static void *test_flood_main(void *arg)
{
	struct test_flood_thread *self = arg;

	test_flood(self->run, self->traffic);
	return NULL;
}

/* The flood cannot end by itself: nobody reads. */
static void test_to_buffer_cancel_frees_a_waiting_worker(void **state)
{
	struct test_traffic *t = test_traffic_new(3);
	struct test_run run;
	struct test_flood_thread self = { .run = &run, .traffic = t };
	pthread_t thread;

	assert_int_equal(0, test_open(&run, &std_to_buffer, ARGS(test_number(0)), 1, true));
	assert_int_equal(0, pthread_create(&thread, NULL, test_flood_main, &self));
	std_to_buffer.cancel(run.instance);
	assert_int_equal(0, pthread_join(thread, NULL));
	assert_int_equal(run.error.code, 0);
	test_close(&run);
	free(t);
}

static void test_hashsamp_keeps_records(void **state)
{
	struct test_traffic *t = test_traffic_new(4);
	struct ring_reader *reader;
	struct sample sample;
	struct test_run run;
	const void *record;
	size_t n_bytes;

	assert_int_equal(0,
		test_open(&run, &std_hashsamp, ARGS(test_number(1024), test_number(1)), 2, true));
	assert_int_equal(std_hashsamp.order_of(run.instance), FUNCTION_ORDER);
	reader = test_ring_reader(&run);
	test_packet(t, 0, 0, TEST_KIND_TCP4, 7, false);
	t->bytes[0][0][34 + 13] = 0x1f; /* ACK PSH RST SYN FIN */
	test_packet(t, 0, 1, TEST_KIND_UDP4, 8, true);
	t->decode[0].outer[1].flags |= DECODE_FRAGMENT; /* the first one has ports */
	test_packet(t, 0, 2, TEST_KIND_TCP6, 9, false);
	t->bytes[0][2][54 + 13] = 0x12; /* SYN ACK */
	t->batch[0].cap_bytes[2] = 54 + 10; /* the flags are not captured */
	t->batch[0].n = 3;
	t->selection[0] = packet_mask_first(3);
	test_run(&run, t, 0, 1, TEST_SPLIT_WHOLE, false);
	assert_int_equal(packet_mask_count(&run.passed[0]), 3);

	assert_int_equal(0, ring_reader_next(reader, &record, &n_bytes));
	assert_int_equal(n_bytes, sizeof(sample));
	memcpy(&sample, record, sizeof(sample));
	assert_int_equal(sample.source_ip, 0x0a000007);
	assert_int_equal(sample.dest_ip, 0x0a00006b);
	assert_int_equal(sample.sourceport, 1007);
	assert_int_equal(sample.destport, 80);
	assert_int_equal(sample.protocol, 6);
	assert_int_equal(sample.sequence, buf_peek_be32(&t->bytes[0][0][34 + 4]));
	assert_int_equal(sample.tcp_flags, 31);
	assert_int_equal(sample.timestamp, packet_ts_from_ns(t->batch[0].ts_ns[0]));

	assert_int_equal(0, ring_reader_next(reader, &record, &n_bytes));
	memcpy(&sample, record, sizeof(sample));
	assert_int_equal(sample.source_ip, 0x0a00006c);
	assert_int_equal(sample.sourceport, 80);
	assert_int_equal(sample.protocol, 17);
	assert_int_equal(sample.sequence, 0);
	assert_int_equal(sample.tcp_flags, 0);

	assert_int_equal(0, ring_reader_next(reader, &record, &n_bytes));
	memcpy(&sample, record, sizeof(sample));
	assert_int_equal(sample.source_ip, 0);
	assert_int_equal(sample.sequence, buf_peek_be32(&t->bytes[0][2][54 + 4]));
	assert_int_equal(sample.tcp_flags, 0);

	ring_reader_free(reader);
	std_hashsamp.cancel(run.instance);
	test_close(&run);
	free(t);
}

static int test_open_to_file(struct test_run *run, int format, int fd, unsigned long long limit)
{
	struct function_value path = test_text("out.pcap"), max = test_number(0);
	int r;

	path.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	max.large = limit;
	r = test_open(run, &std_to_file, ARGS(test_number(format), path, max), 3, true);
	if (r < 0)
		(void)close(path.fd);
	return r;
}

static int32_t test_running(struct test_run *run)
{
	int32_t running;

	test_read(run);
	memcpy(&running, run->result, sizeof(running));
	return running;
}

static void test_finish(struct test_run *run)
{
	struct function_call call = { .error = &run->error, .plan = run };

	run->function->finish(&call, run->instance, run->state);
}

/* What libpcap reads from @fd: the first @n selected packets, times rounded down to @unit_ns. */
static void test_assert_file(int fd, const struct test_traffic *t, unsigned int n, uint64_t unit_ns)
{
	char text[PCAP_ERRBUF_SIZE];
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	FILE *file = fdopen(own, "r");
	struct pcap_pkthdr header;
	const u_char *data;
	pcap_t *p;

	assert_non_null(file);
	rewind(file);
	p = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, text);
	assert_non_null(p);
	assert_int_equal(pcap_datalink(p), DLT_EN10MB);
	for (unsigned int b = 0; b < TEST_N_BATCHES; b++) {
		packet_mask_for_each (i, &t->selection[b]) {
			uint64_t ts_ns = t->batch[b].ts_ns[i] / unit_ns * unit_ns;

			data = pcap_next(p, &header);
			if (!n--) {
				assert_null(data);
				pcap_close(p);
				return;
			}
			assert_non_null(data);
			assert_int_equal(header.caplen, t->batch[b].cap_bytes[i]);
			assert_int_equal(header.len, t->batch[b].wire_bytes[i]);
			assert_int_equal(header.ts.tv_sec, ts_ns / 1000000000u);
			assert_int_equal(header.ts.tv_usec, ts_ns % 1000000000u);
			assert_memory_equal(data, t->batch[b].data[i], header.caplen);
		}
	}
	assert_null(pcap_next(p, &header));
	pcap_close(p);
}

static void test_to_file_writes_what_is_selected(void **state)
{
	static const struct {
		int format;
		uint64_t unit_ns;
	} cases[] = {
		{ 0, 1000 },
		{ 1, 1000 },
		{ MFF_PCAP_NS, 1 },
		{ MFF_PCAPNG, 1 },
	};

	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		struct test_traffic *t = test_traffic_new(5);
		int fd = memfd_create("out", MFD_CLOEXEC);
		struct test_run run;

		assert_true(fd >= 0);
		assert_int_equal(0, test_open_to_file(&run, cases[k].format, fd, 0));
		test_run(&run, t, 0, TEST_N_BATCHES, TEST_SPLIT_RANDOM, false);
		test_finish(&run);
		assert_int_equal(test_running(&run), 11);
		assert_int_equal(run.error.code, 0);
		test_assert_file(fd, t, UINT32_MAX, cases[k].unit_ns);
		test_close(&run);
		(void)close(fd);
		free(t);
	}
}

static void test_to_file_is_complete_at_its_limit(void **state)
{
	struct test_traffic *t = test_traffic_new(6);
	int fd = memfd_create("out", MFD_CLOEXEC);
	struct test_run run;

	assert_true(fd >= 0);
	assert_int_equal(0, test_open_to_file(&run, 0, fd, 100));
	test_reset(&run);
	assert_int_equal(test_running(&run), 11);
	test_run(&run, t, 0, TEST_N_BATCHES, TEST_SPLIT_RANDOM, false);
	assert_int_equal(test_running(&run), 0);
	test_assert_file(fd, t, 100, 1000); /* not finished, not closed */
	test_close(&run);
	(void)close(fd);
	free(t);
}

static void test_to_file_on_a_full_disk_says_so(void **state)
{
	struct test_traffic *t = test_traffic_new(7);
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct test_run run;

	if (fd < 0) {
		print_message("skipped: no /dev/full: %s\n", strerror(errno));
		skip();
	}
	/* While packets come, and when the last ones leave the buffer. */
	for (unsigned int round = 0; round < 2; round++) {
		assert_int_equal(0, test_open_to_file(&run, 0, fd, 0));
		test_reset(&run);
		if (round == 0) {
			test_flood(&run, t);
			assert_int_equal(test_running(&run), 0);
		} else {
			test_run(&run, t, 1, 2, TEST_SPLIT_WHOLE, false);
			assert_int_equal(run.error.code, 0);
			test_finish(&run);
		}
		assert_int_equal(run.error.code, MAPI_OUTPUT_FAILED);
		assert_non_null(strstr(run.error.text, "out.pcap"));
		test_close(&run);
	}
	(void)close(fd);
	free(t);
}

/* What is kept back when a flow closes early is lost, and who closes the flow hears of it. */
static void test_to_file_says_what_is_lost_at_the_close(void **state)
{
	struct test_traffic *t = test_traffic_new(8);
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct test_run run;

	if (fd < 0) {
		print_message("skipped: no /dev/full: %s\n", strerror(errno));
		skip();
	}
	assert_int_equal(0, test_open_to_file(&run, MFF_PCAPNG, fd, 0));
	test_run(&run, t, 1, 2, TEST_SPLIT_WHOLE, false);
	assert_int_equal(run.error.code, 0);
	assert_int_equal(-EINVAL, std_to_file.complete(run.instance, &run.error));
	assert_int_equal(run.error.code, MAPI_OUTPUT_FAILED);
	assert_non_null(strstr(run.error.text, strerror(ENOSPC)));
	test_close(&run);
	(void)close(fd);
	free(t);
}

static uint32_t test_u32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* Whatever ends it, a pcapng file says where it comes from, and how many packets it got, once. */
static void test_to_file_says_what_it_holds(void **state)
{
	static const char comment[] = "mapi TO_FILE of test";
	static uint8_t bytes[4 << 20];

	for (unsigned int how = 0; how < 3; how++) {
		struct test_traffic *t = test_traffic_new(9);
		int fd = memfd_create("out", MFD_CLOEXEC);
		unsigned int n_statistics = 0, n_pkts = 0, n_counted = 0;
		struct test_run run;
		ssize_t n;

		assert_int_equal(0, test_open_to_file(&run, MFF_PCAPNG, fd, how == 0 ? 100 : 0));
		test_reset(&run);
		test_run(&run, t, 0, TEST_N_BATCHES, TEST_SPLIT_RANDOM, false);
		if (how == 1)
			test_finish(&run);
		if (how != 0)
			assert_int_equal(0, std_to_file.complete(run.instance, &run.error));
		test_close(&run);
		n = pread(fd, bytes, sizeof(bytes), 0);
		assert_in_range(n, 100, sizeof(bytes) - 1);
		assert_non_null(memmem(bytes, 100, comment, strlen(comment)));
		for (ssize_t at = 0; at < n; at += test_u32(bytes + at + 4)) {
			n_pkts += test_u32(bytes + at) == 6;
			if (test_u32(bytes + at) != 5)
				continue;
			n_statistics++;
			n_counted += test_u32(bytes + at + 24);
		}
		assert_int_equal(n_statistics, 3); /* the interfaces of the traffic */
		assert_true(n_pkts == 100 || how != 0);
		assert_int_equal(n_counted, n_pkts);
		(void)close(fd);
		free(t);
	}
}

static void test_filters_hand_their_expression_to_the_plan(void **state)
{
	char text[] = "tcp port 80";
	struct test_run run;

	assert_int_equal(0, test_open(&run, &std_bpf_filter, ARGS(test_text(text)), 1, true));
	memset(text, 'x', sizeof(text) - 1); /* borrowed only during open() */
	assert_string_equal(std_bpf_filter.filter(run.instance), "tcp port 80");
	test_close(&run);
}

static void test_str_search_reports_what_the_parser_says(void **state)
{
	const struct {
		const char *pattern;
		int depth, code;
	} cases[] = {
		{ "", 0, MFUNCT_INVALID_ARGUMENT_1 },
		{ "|41", 0, MDLIB_STRSEARCH_UNTERMINATED_PIPE },
		{ "abcd", 3, MDLIB_STRSEARCH_DEPTH_ERR },
	};
	struct test_run run;

	assert_int_equal(0,
		test_open(&run, &std_str_search,
			ARGS(test_text("www"), test_number(0), test_number(1500)), 3, true));
	assert_non_null(std_str_search.search(run.instance));
	test_close(&run);
	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		assert_int_equal(-EINVAL,
			test_open(&run, &std_str_search,
				ARGS(test_text(cases[k].pattern), test_number(0),
					test_number(cases[k].depth)),
				3, true));
		assert_int_equal(run.error.code, cases[k].code);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_to_buffer_hands_over_what_is_selected),
		cmocka_unit_test(test_to_buffer_drops_and_counts_live),
		cmocka_unit_test(test_to_buffer_cancel_frees_a_waiting_worker),
		cmocka_unit_test(test_hashsamp_keeps_records),
		cmocka_unit_test(test_to_file_writes_what_is_selected),
		cmocka_unit_test(test_to_file_is_complete_at_its_limit),
		cmocka_unit_test(test_to_file_on_a_full_disk_says_so),
		cmocka_unit_test(test_to_file_says_what_is_lost_at_the_close),
		cmocka_unit_test(test_to_file_says_what_it_holds),
		cmocka_unit_test(test_filters_hand_their_expression_to_the_plan),
		cmocka_unit_test(test_str_search_reports_what_the_parser_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
