/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs that mean it ill: what a user may take has limits, and others are served. */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "mapi/errors.h"
#include "session.h"
#include "test_live_private.h"
#include "wire/test_send.h"

#define LIVE_FUNCTIONS_MAX 16384 /* of a user; users.c */
#define LIVE_RINGS_MAX 768 /* of a user; users.c */
#define LIVE_LINGER_S 8
#define LIVE_NAME_LEN 1000000

/* However many programs and flows they are spread over. */
static void functions_of_a_user_are_limited(void **state)
{
	struct test_client clients[2];
	Wire__Reply *reply;
	uint64_t devices[2];
	uint32_t flow = 0;
	unsigned int n = 0;

	for (unsigned int i = 0; i < 2; i++) {
		live_connect(&clients[i]);
		devices[i] = live_device(&clients[i]);
	}
	for (; n < LIVE_FUNCTIONS_MAX; n++) {
		unsigned int i = n / SESSION_FUNCTIONS_MAX % 2;

		if (n % SESSION_FUNCTIONS_MAX == 0)
			flow = test_flow(&clients[i], devices[i], false, NULL);
		reply = test_apply(&clients[i], flow, "PKT_COUNTER", NULL, 0);
		if (reply->error)
			fail_msg("function %u: %s", n, reply->error->text);
	}
	reply = test_apply(&clients[1], flow, "PKT_COUNTER", NULL, 0);
	assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED); /* of the flow */
	flow = test_flow(&clients[0], devices[0], false, NULL);
	reply = test_apply(&clients[0], flow, "PKT_COUNTER", NULL, 0);
	assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED);
	assert_non_null(strstr(reply->error->text, "functions together"));
	test_end(&clients[1]);
	do
		reply = test_apply(&clients[0], flow, "PKT_COUNTER", NULL, 0);
	while (reply->error); /* until the other one's have gone */
	test_end(&clients[0]);
}

/* They take descriptors, which all users share. */
static void rings_of_a_user_are_limited(void **state)
{
	const char *const args[] = { "1", "1" };
	struct test_client client;
	Wire__Reply *reply = NULL;
	uint32_t flows[LIVE_RINGS_MAX / SESSION_FUNCTIONS_MAX + 1], flow = 0;
	unsigned int n_flows = 0;
	uint64_t device;
	struct rlimit limit;
	unsigned int n = 0, rings_max = LIVE_RINGS_MAX;
	int fds[RING_N_FDS];

	/* Engine and client are one process here. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	rings_max = (unsigned int)MIN(rings_max, limit.rlim_max / 24);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	live_connect(&client);
	device = live_device(&client);
	for (; n <= rings_max; n++) {
		if (n % SESSION_FUNCTIONS_MAX == 0)
			flows[n_flows++] = flow = test_flow(&client, device, false, NULL);
		reply = test_apply(&client, flow, "HASHSAMP", args, 2);
		if (reply->error)
			break;
		assert_int_equal(wire_conn_take_fds(client.conn, fds, RING_N_FDS), 0);
		for (unsigned int i = 0; i < RING_N_FDS; i++)
			(void)close(fds[i]);
	}
	assert_int_equal(n, rings_max);
	assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED);
	assert_non_null(strstr(reply->error->text, "records together"));
	assert_null(test_apply(&client, flow, "PKT_COUNTER", NULL, 0)->error);
	while (n_flows)
		test_close(&client, flows[--n_flows], 0);
	test_end(&client);
}

/* Two queues of 32 MiB are as much as the quota is, so with what is around them they are more. */
static void all_memory_of_functions_is_charged(void **state)
{
	const char *const args[] = { "0", "out" };
	struct test_client client;
	uint64_t device;
	uint32_t first, second;
	Wire__Reply *reply;
	int fd = memfd_create("out", MFD_CLOEXEC);

	live_connect(&client);
	device = live_device(&client);
	first = test_flow(&client, device, false, NULL);
	second = test_flow(&client, device, false, NULL);
	assert_null(test_apply_fds(&client, first, "TO_FILE", args, 2, &fd, 1)->error);
	reply = test_apply_fds(&client, second, "TO_FILE", args, 2, &fd, 1);
	assert_non_null(reply->error);
	assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED);
	test_close(&client, first, 0);
	do
		reply = test_apply_fds(&client, second, "TO_FILE", args, 2, &fd, 1);
	while (reply->error); /* the thread ends some time */
	test_end(&client);
	(void)close(fd);
}

/* What they are prepared into takes time and memory. */
static void searches_of_a_user_are_limited(void **state)
{
	static char text[8001];
	const char *const args[] = { text };
	struct test_client clients[2];
	uint32_t flows[2];
	Wire__Reply *reply;
	unsigned int n = 0;

	memset(text, 'x', sizeof(text) - 1);
	for (unsigned int i = 0; i < 2; i++) {
		live_connect(&clients[i]);
		flows[i] = test_flow(&clients[i], live_device(&clients[i]), false, NULL);
	}
	do
		reply = test_apply(&clients[n % 2], flows[n % 2], "STR_SEARCH", args, 1);
	while (!reply->error && ++n < 100);
	assert_int_equal(n, 65536 / 8000);
	assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED);
	assert_non_null(strstr(reply->error->text, "characters together"));
	test_close(&clients[0], flows[0], 0);
	assert_null(test_apply(&clients[1], flows[1], "STR_SEARCH", args, 1)->error);
	for (unsigned int i = 0; i < 2; i++)
		test_end(&clients[i]);
}

/* They are copied together. */
static void results_of_a_user_are_limited(void **state)
{
	char self[16];
	const char *const size[] = { "1" }, *args[] = { self, "1", "0", "65536", "1" };
	struct test_client clients[2];
	uint32_t flows[2];
	Wire__Reply *reply;
	unsigned int n = 0;

	for (unsigned int i = 0; i < 2; i++) {
		live_connect(&clients[i]);
		flows[i] = test_flow(&clients[i], live_device(&clients[i]), false, NULL);
		assert_null(test_apply(&clients[i], flows[i], "PKTINFO", size, 1)->error);
	}
	do {
		(void)snprintf(self, sizeof(self), "%u", flows[n % 2]);
		reply = test_apply(&clients[n % 2], flows[n % 2], "DIST", args, 5);
	} while (!reply->error && ++n < 100);
	assert_int_equal(n, (16 << 20) / (8 * 65536) - 1);
	assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED);
	assert_non_null(strstr(reply->error->text, "results of this user"));
	assert_null(test_apply(&clients[1], flows[1], "PKT_COUNTER", NULL, 0)->error);
	test_close(&clients[0], flows[0], 0);
	(void)snprintf(self, sizeof(self), "%u", flows[1]);
	assert_null(test_apply(&clients[1], flows[1], "DIST", args, 5)->error);
	for (unsigned int i = 0; i < 2; i++)
		test_end(&clients[i]);
}

/* They are made one set, whenever anybody's flow comes or goes. */
static void filters_of_a_user_are_limited(void **state)
{
	char text[1024];
	const char *const args[] = { text };
	struct test_client clients[2];
	uint32_t flows[2];
	Wire__Reply *reply;
	unsigned int n = 0;
	size_t used = 0;

	for (unsigned int i = 0; i < 60; i++)
		used += (size_t)snprintf(
			text + used, sizeof(text) - used, "%s %u", i ? " or" : "tcp port", 2 * i);
	for (unsigned int i = 0; i < 2; i++) {
		live_connect(&clients[i]);
		flows[i] = test_flow(&clients[i], live_device(&clients[i]), false, NULL);
	}
	do
		reply = test_apply(&clients[n % 2], flows[n % 2], "BPF_FILTER", args, 1);
	while (!reply->error && ++n < 65536 / 60);
	assert_in_range(n, 65536 / 600, 65536 / 120);
	assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED);
	assert_non_null(strstr(reply->error->text, "instructions"));
	assert_null(test_apply(&clients[1], flows[1], "PKT_COUNTER", NULL, 0)->error);
	test_close(&clients[0], flows[0], 0);
	assert_null(test_apply(&clients[1], flows[1], "BPF_FILTER", args, 1)->error);
	for (unsigned int i = 0; i < 2; i++)
		test_end(&clients[i]);
}

/* A request that is longer than the socket takes at once. */
static void live_ask_long(struct test_client *client, char *name)
{
	struct pollfd p = { .fd = wire_conn_fd(client->conn), .events = POLLOUT };
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__Describe describe = WIRE__DESCRIBE__INIT;
	int r;

	describe.name = name;
	request.id = ++client->id;
	request.call_case = WIRE__REQUEST__CALL_DESCRIBE;
	request.describe = &describe;
	r = wire_conn_put(client->conn, &request.base, NULL, 0);
	while (r == WIRE_E_AGAIN) {
		assert_int_equal(poll(&p, 1, -1), 1);
		r = wire_conn_flush(client->conn);
	}
}

/* A message of 1 MiB may become 128: who cannot pay for that hears it, and is sent away. */
static void long_requests_are_charged(void **state)
{
	struct test_client hostile, other;
	char *name = malloc(LIVE_NAME_LEN + 1);

	assert_non_null(name);
	memset(name, 'x', LIVE_NAME_LEN);
	name[LIVE_NAME_LEN] = '\0';
	live_connect(&hostile);
	live_connect(&other);
	for (unsigned int i = 0; i < 100; i++) { /* it is given back each time */
		name[LIVE_NAME_LEN / 4] = '\0';
		live_ask_long(&other, name);
		assert_non_null(test_reply(&other)->error);
		name[LIVE_NAME_LEN / 4] = 'x';
	}
	live_ask_long(&hostile, name);
	hostile.id = 0; /* what ends a connection answers no request */
	assert_int_equal(test_reply(&hostile)->error->code, MAPI_QUOTA_EXCEEDED);
	assert_null(test_reply(&hostile));
	live_call(&other);
	test_end(&hostile);
	test_end(&other);
	free(name);
}

/* What finds no place is closed by the kernel, in the thread that reads the message. */
static void nobody_waits_for_descriptors_without_a_place(void **state)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__Describe describe = WIRE__DESCRIBE__INIT;
	struct test_client hostile, other;
	struct rlimit limit, none;
	uint64_t begin_ns;
	int peer, fd;

	live_connect(&hostile);
	live_connect(&other);
	fd = test_lingering(LIVE_LINGER_S, &peer);
	assert_true(fd >= 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	describe.name = (char[]){ "PKT_COUNTER" };
	request.id = ++hostile.id;
	request.call_case = WIRE__REQUEST__CALL_DESCRIBE;
	request.describe = &describe;
	assert_int_equal(wire_conn_put(hostile.conn, &request.base, &fd, 1), 0);
	(void)close(fd);
	begin_ns = clock_monotonic_ns();
	for (unsigned int i = 0; i < 100; i++)
		live_call(&other);
	assert_true(clock_monotonic_ns() - begin_ns < LIVE_LINGER_S * UINT64_C(500000000));
	/* With places it is read, and who sends sockets is not served any longer. */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_null(test_reply(&hostile));
	live_call(&other);
	test_end(&hostile);
	test_end(&other);
	(void)close(peer);
}

/* Who has taken many descriptors keeps nobody from being served, and told why. */
static void without_room_everybody_is_answered(void **state)
{
	struct test_client client, other;
	struct rlimit limit, little;
	Wire__Reply *reply;
	uint64_t device;
	uint32_t flow;
	int taken[100];

	live_connect(&client);
	device = live_device(&client);
	flow = test_flow(&client, device, true, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		taken[i] = fcntl(0, F_DUPFD_CLOEXEC, 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	little = limit;
	little.rlim_cur = (rlim_t)taken[ARRAY_SIZE(taken) - 1] * 8 / 5; /* a quarter for messages */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &little), 0);
	live_connect(&other);
	live_call(&other);
	do /* places that are given back meanwhile are taken first */
		reply = live_open_device(&other, "live1");
	while (!reply->error);
	assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED);
	assert_non_null(strstr(reply->error->text, "descriptors"));
	do
		reply = test_apply(&client, flow, "TO_BUFFER", NULL, 0);
	while (!reply->error);
	assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED);
	assert_non_null(strstr(reply->error->text, "descriptors"));
	assert_null(test_apply(&client, flow, "PKT_COUNTER", NULL, 0)->error);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_null(test_apply(&client, flow, "TO_BUFFER", NULL, 0)->error);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		(void)close(taken[i]);
	test_end(&client);
	test_end(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_of_a_user_are_limited),
		cmocka_unit_test(rings_of_a_user_are_limited),
		cmocka_unit_test(all_memory_of_functions_is_charged),
		cmocka_unit_test(searches_of_a_user_are_limited),
		cmocka_unit_test(results_of_a_user_are_limited),
		cmocka_unit_test(filters_of_a_user_are_limited),
		cmocka_unit_test(long_requests_are_charged),
		cmocka_unit_test(nobody_waits_for_descriptors_without_a_place),
		cmocka_unit_test(without_room_everybody_is_answered),
	};

	return cmocka_run_group_tests(tests, live_begin, live_teardown);
}
