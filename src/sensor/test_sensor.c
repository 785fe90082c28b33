/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests and what comes of them, on captures that the tests make themselves. */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "filter/test_slow.h"
#include "test_sensor_private.h"

/* ---- the tests ---- */

static void counts_with_one_worker_and_more(void **unused)
{
	for (unsigned int n_workers = 1; n_workers <= 3; n_workers++) {
		struct test_client client;
		const struct results_flow *shared;
		const struct results_slot *pkts, *bytes;
		uint32_t flow;

		test_start(&client);
		test_greet(&client, n_workers);
		flow = test_flow(&client, test_open(&client), true, &shared);
		assert_null(test_apply(&client, flow, "BPF_FILTER", (const char *[]){ "tcp" }, 1)
				    ->error);
		pkts = test_slot(&client, test_apply(&client, flow, "PKT_COUNTER", NULL, 0));
		bytes = test_slot(
			&client, test_apply(&client, flow, "stdflib:BYTE_COUNTER", NULL, 0));
		test_connect(&client, flow);
		test_finish(&client, flow, shared);
		assert_int_equal(test_u64(pkts), TEST_PKTS / 2);
		assert_int_equal(test_u64(bytes), TEST_PKTS / 2 * TEST_PKT_BYTES);
		assert_int_equal(shared->pkts, TEST_PKTS);
		assert_int_equal(shared->error_code, 0);
		test_close(&client, flow, 0);
		test_close(&client, flow, 6145);
		test_stop(&client);
		assert_int_equal(client.engine_result, 0);
	}
}

static void flows_share_a_device_and_refer_to_each_other(void **unused)
{
	struct test_client client;
	const struct results_flow *shared;
	const struct results_slot *stats;
	char fd_text[16];
	uint64_t device;
	uint32_t source, referrer;

	test_start(&client);
	test_greet(&client, 2);
	device = test_open(&client);
	source = test_flow(&client, device, false, NULL);
	referrer = test_flow(&client, device, false, &shared);
	test_slot(&client, test_apply(&client, source, "PKT_COUNTER", NULL, 0));
	snprintf(fd_text, sizeof(fd_text), "%u", source);
	stats = test_slot(&client,
		test_apply(&client, referrer, "STATS", (const char *[]){ fd_text, "1", "0" }, 3));
	test_connect(&client, source);
	test_connect(&client, referrer);
	/* The source is closed before it has counted anything: it goes on for who refers to it. */
	test_close(&client, source, 0);
	test_start_device(&client, device);
	test_finish(&client, referrer, shared);
	assert_int_equal(test_u64(stats), TEST_PKTS);
	test_close(&client, referrer, 0);
	test_stop(&client);
}

/* The output file of a closed flow is complete although the flow goes on for who refers to it. */
static void closing_completes_the_file_of_a_flow_that_goes_on(void **unused)
{
	struct test_client client;
	const struct results_flow *shared;
	char fd_text[16];
	uint64_t device;
	uint32_t source, referrer;
	int fd = memfd_create("test-output", MFD_CLOEXEC);

	test_start(&client);
	test_greet(&client, 2);
	device = test_open(&client);
	source = test_flow(&client, device, false, NULL);
	referrer = test_flow(&client, device, false, &shared);
	test_slot(&client, test_apply(&client, source, "PKT_COUNTER", NULL, 0));
	assert_null(test_apply_fds(
		&client, source, "TO_FILE", (const char *[]){ "0", "output" }, 2, &fd, 1)
			    ->error);
	snprintf(fd_text, sizeof(fd_text), "%u", source);
	test_slot(&client,
		test_apply(&client, referrer, "STATS", (const char *[]){ fd_text, "1", "0" }, 3));
	test_connect(&client, source);
	test_connect(&client, referrer);
	test_start_device(&client, device);
	test_finish(&client, referrer, shared);
	test_close(&client, source, 0);
	assert_int_equal(
		lseek(fd, 0, SEEK_END), 24 + TEST_PKTS * (16 + TEST_PKT_BYTES)); /* pcap heads */
	close(fd);
	test_close(&client, referrer, 0);
	test_stop(&client);
}

/* What TO_FILE keeps back and cannot write when its flow closes: whoever closes it hears of it, and
 * the flow is closed all the same. */
static void closing_says_what_could_not_be_written(void **unused)
{
	enum { CONNECTED = 1, REFERRED = 2, RUNNING = 4 };

	for (unsigned int how = 0; how < 8; how++) {
		struct test_client client;
		char fd_text[16];
		uint64_t device;
		uint32_t flow, referrer;
		int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

		if (fd < 0)
			skip();
		test_start(&client);
		test_greet(&client, 2);
		device = test_open(&client);
		flow = test_flow(&client, device, false, NULL);
		referrer = test_flow(&client, device, false, NULL);
		test_slot(&client, test_apply(&client, flow, "PKT_COUNTER", NULL, 0));
		assert_null(test_apply_fds(
			&client, flow, "TO_FILE", (const char *[]){ "0", "output" }, 2, &fd, 1)
				    ->error);
		close(fd);
		snprintf(fd_text, sizeof(fd_text), "%u", flow);
		if (how & REFERRED)
			test_slot(&client,
				test_apply(&client, referrer, "STATS",
					(const char *[]){ fd_text, "1", "0" }, 3));
		if (how & CONNECTED)
			test_connect(&client, flow);
		if (how & RUNNING)
			test_start_device(&client, device);
		test_close(&client, flow, 9003);
		test_close(&client, flow, 6145);
		test_close(&client, referrer, 0);
		test_stop(&client);
	}
}

static void bad_references_are_refused(void **unused)
{
	static const char *const bad[][3] = { { "77", "1", "0" }, { "1", "9", "0" },
		{ "1", "1", "0" } };
	struct test_client client;
	uint64_t device;
	uint32_t flow;

	test_start(&client);
	test_greet(&client, 1);
	device = test_open(&client);
	flow = test_flow(&client, device, false, NULL);
	assert_null(test_apply(&client, flow, "BPF_FILTER", (const char *[]){ "tcp" }, 1)->error);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(test_apply(&client, flow, "STATS", bad[i], 3)->error->code, 7001);
	test_stop(&client);
}

static void packets_wait_for_their_reader_until_it_closes(void **unused)
{
	struct test_client client;
	struct ring_reader *reader;
	Wire__Reply *reply;
	const void *record;
	size_t record_bytes;
	uint32_t flow;

	test_start(&client);
	test_greet(&client, 2);
	flow = test_flow(&client, test_open(&client), true, NULL);
	reply = test_apply(&client, flow, "TO_BUFFER", NULL, 0);
	assert_null(reply->error);
	assert_true(reply->apply->has_ring);
	assert_int_equal(wire_conn_take_fds(client.conn, client.fds, RING_N_FDS), 0);
	assert_int_equal(ring_reader_new(&reader, client.fds), 0);
	test_connect(&client, flow);
	for (unsigned int i = 0; i < TEST_PKTS / 2; i++) {
		struct mapipkt pkt;

		while (ring_reader_next(reader, &record, &record_bytes) == RING_READ_E_EMPTY)
			ring_reader_wait(reader, -1);
		assert_int_equal(record_bytes, offsetof(struct mapipkt, pkt) + TEST_PKT_BYTES);
		memcpy(&pkt, record, sizeof(pkt));
		assert_int_equal(pkt.ts >> 32, 1000000000 + i / 10);
	}
	test_close(&client, flow, 0); /* with half of the packets unread */
	ring_reader_free(reader);
	test_stop(&client);
}

static void results_outlive_the_device_but_not_the_flow(void **unused)
{
	struct test_client client;
	const struct results_flow *shared;
	const struct results_slot *pkts;
	Wire__DeviceClose device_close = WIRE__DEVICE_CLOSE__INIT;
	uint64_t device;
	uint32_t flow;

	test_start(&client);
	test_greet(&client, 1);
	device = test_open(&client);
	flow = test_flow(&client, device, false, &shared);
	pkts = test_slot(&client, test_apply(&client, flow, "PKT_COUNTER", NULL, 0));
	test_connect(&client, flow);
	test_start_device(&client, device);
	test_finish(&client, flow, shared);
	device_close.device = device;
	assert_null(TEST_CALL(&client, device_close, DEVICE_CLOSE, &device_close)->error);
	assert_int_equal(
		TEST_CALL(&client, device_close, DEVICE_CLOSE, &device_close)->error->code, 3202);
	assert_int_equal(test_u64(pkts), TEST_PKTS);
	test_close(&client, flow, 0);
	test_stop(&client);
}

static void errors_name_their_code(void **unused)
{
	static const struct {
		const char *function;
		const char *arg;
		int code;
	} cases[] = {
		{ "NO_SUCH", "", 6144 },
		{ "BPF_FILTER", "tcp prot 80", 1025 },
		{ "BPF_FILTER", "", 7001 },
		{ "STR_SEARCH", "|41", 3503 },
		{ "TO_BUFFER", "7", 7001 },
		{ "HASHSAMP", "5000", 7001 },
		{ "PKTINFO", "9", 7002 },
		{ "CUT", "0", 7001 },
	};
	struct test_client client;
	uint32_t flow;

	test_start(&client);
	test_greet(&client, 1);
	flow = test_flow(&client, test_open(&client), true, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		Wire__Reply *reply = test_apply(&client, flow, cases[i].function, &cases[i].arg, 1);

		assert_non_null(reply->error);
		if (reply->error->code != cases[i].code)
			fail_msg("%s(%s): %d %s", cases[i].function, cases[i].arg,
				reply->error->code, reply->error->text);
		assert_true(strlen(reply->error->text) > 10);
	}
	test_connect(&client, flow);
	assert_int_equal(test_apply(&client, flow, "PKT_COUNTER", NULL, 0)->error->code, 7006);
	test_stop(&client);
}

/* Neither a helper process nor a zombie of one is left. */
static void test_no_child(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void a_slow_expression_is_refused_and_the_flow_goes_on(void **unused)
{
	struct test_client client;
	const struct results_flow *shared;
	const struct results_slot *pkts;
	const char *slow = test_slow();
	Wire__Reply *reply;
	uint32_t flow;

	test_start(&client);
	test_greet(&client, 2);
	flow = test_flow(&client, test_open(&client), true, &shared);
	reply = test_apply(&client, flow, "BPF_FILTER", &slow, 1);
	assert_non_null(reply->error);
	assert_int_equal(reply->error->code, 1025);
	assert_non_null(strstr(reply->error->text, "split it"));
	reply = test_apply(&client, flow, "BPF_FILTER", (const char *[]){ "udp" }, 1);
	assert_null(reply->error);
	assert_int_equal(reply->apply->function, 1);
	pkts = test_slot(&client, test_apply(&client, flow, "PKT_COUNTER", NULL, 0));
	test_connect(&client, flow);
	test_finish(&client, flow, shared);
	assert_int_equal(test_u64(pkts), TEST_PKTS / 2);
	test_stop(&client);
	test_no_child();
}

static void the_engine_ends_while_an_expression_is_compiled(void **unused)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowApply apply = WIRE__FLOW_APPLY__INIT;
	Wire__Value value = WIRE__VALUE__INIT, *values = &value;
	struct test_client client;
	uint64_t began_ns;

	test_start(&client);
	test_greet(&client, 2);
	apply.flow = test_flow(&client, test_open(&client), true, NULL);
	apply.function = (char[]){ "BPF_FILTER" };
	value.kind_case = WIRE__VALUE__KIND_TEXT;
	value.text = strdup(test_slow());
	apply.args = &values;
	apply.n_args = 1;
	request.id = ++client.id;
	request.call_case = WIRE__REQUEST__CALL_FLOW_APPLY;
	request.flow_apply = &apply;
	assert_int_equal(wire_conn_put(client.conn, &request.base, NULL, 0), 0);
	free(value.text);
	/* There is a child as soon as the expression is being compiled. */
	while (waitpid(-1, NULL, WNOHANG) != 0)
		(void)sched_yield();
	began_ns = clock_monotonic_ns();
	test_stop(&client);
	assert_true(clock_monotonic_ns() - began_ns < 1000000000u); /* 2 s, if it waited */
	assert_int_equal(client.engine_result, 0);
	test_no_child();
}

static void a_request_before_the_greeting_ends_the_session(void **unused)
{
	struct test_client client;
	Wire__Describe describe = WIRE__DESCRIBE__INIT;

	test_start(&client);
	assert_null(TEST_CALL(&client, describe, DESCRIBE, &describe));
	test_stop(&client);
}

static void garbage_ends_the_session(void **unused)
{
	struct test_client client;
	const uint8_t *frame;
	size_t frame_bytes;

	test_start(&client);
	assert_int_equal(send(wire_conn_fd(client.conn), "\0\0\0\4zzzz", 8, 0), 8);
	while (wire_conn_next(client.conn, &frame, &frame_bytes) == WIRE_E_AGAIN)
		test_wait(&client);
	test_stop(&client);
}

static void functions_describe_themselves(void **unused)
{
	struct test_client client;
	Wire__Describe describe = WIRE__DESCRIBE__INIT;
	Wire__Reply *reply;

	test_start(&client);
	test_greet(&client, 1);
	reply = TEST_CALL(&client, describe, DESCRIBE, &describe);
	assert_true(reply->describe->n_functions >= 12);
	describe.name = (char[]){ "STATS" };
	reply = TEST_CALL(&client, describe, DESCRIBE, &describe);
	assert_int_equal(reply->describe->n_functions, 1);
	assert_int_equal(reply->describe->functions[0]->result_bytes, 64);
	describe.name = (char[]){ "PKT_COUNTR" };
	reply = TEST_CALL(&client, describe, DESCRIBE, &describe);
	assert_int_equal(reply->error->code, 6144);
	assert_non_null(strstr(reply->error->text, "PKT_COUNTER"));
	test_stop(&client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_with_one_worker_and_more),
		cmocka_unit_test(flows_share_a_device_and_refer_to_each_other),
		cmocka_unit_test(closing_completes_the_file_of_a_flow_that_goes_on),
		cmocka_unit_test(closing_says_what_could_not_be_written),
		cmocka_unit_test(bad_references_are_refused),
		cmocka_unit_test(packets_wait_for_their_reader_until_it_closes),
		cmocka_unit_test(results_outlive_the_device_but_not_the_flow),
		cmocka_unit_test(errors_name_their_code),
		cmocka_unit_test(a_slow_expression_is_refused_and_the_flow_goes_on),
		cmocka_unit_test(the_engine_ends_while_an_expression_is_compiled),
		cmocka_unit_test(a_request_before_the_greeting_ends_the_session),
		cmocka_unit_test(garbage_ends_the_session),
		cmocka_unit_test(functions_describe_themselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
