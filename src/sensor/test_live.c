/* SPDX-License-Identifier: BSD-2-Clause */
/* Live devices that many programs share: opened, used and left beside each other. */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "mapi/errors.h"
#include "test_live_private.h"

#define LIVE_CROWD 30

static void workers_of_a_shared_device_are_the_administrators(void **state)
{
	struct test_client client;
	Wire__Hello hello = WIRE__HELLO__INIT;

	live_connect(&client);
	hello.version = WIRE_VERSION;
	hello.workers = 7;
	assert_null(TEST_CALL(&client, hello, HELLO, &hello)->error);
	(void)live_device(&client);
	assert_int_equal(live_control.n_workers, LIVE_CPUS);
	test_end(&client);
}

/* The request, without waiting for its answer. */
static void live_ask_for_device(struct test_client *client, const char *name)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__DeviceOpen open = WIRE__DEVICE_OPEN__INIT;
	char copy[32];

	(void)snprintf(copy, sizeof(copy), "%s", name);
	open.name = copy;
	request.id = ++client->id;
	request.call_case = WIRE__REQUEST__CALL_DEVICE_OPEN;
	request.device_open = &open;
	assert_int_equal(wire_conn_put(client->conn, &request.base, NULL, 0), 0);
}

/* Whatever takes time, the parent or the kernel: nobody but who has asked waits, and who goes
 * meanwhile is missed by nobody. */
static void others_go_on_while_a_device_is_opened(void **state)
{
	_Atomic bool *const holds[] = { &live_control.holds_prepare, &live_control.holds_open };
	_Atomic unsigned int *const n[] = { &live_control.n_prepared, &live_control.n_opened };

	for (unsigned int i = 0; i < ARRAY_SIZE(holds); i++) {
		struct test_client patient, gone, other;
		unsigned int before = *n[i];

		live_teardown(NULL); /* which closes the device */
		live_setup(NULL);
		live_connect(&patient);
		live_connect(&gone);
		live_connect(&other);
		*holds[i] = true;
		live_ask_for_device(&patient, "live0");
		live_ask_for_device(&gone, "live0");
		while (*n[i] == before)
			live_call(&other);
		live_call(&other);
		test_end(&gone);
		live_call(&other);
		*holds[i] = false;
		assert_null(test_reply(&patient)->error);
		assert_int_equal(
			live_open_device(&other, "broken")->error->code, MAPI_NO_PERMISSION);
		(void)live_device(&other);
		assert_int_equal(*n[i], before + (i == 0 ? 2 : 1)); /* one live0, for all */
		test_end(&patient);
		test_end(&other);
	}
}

/* It keeps no other from being opened. */
static void devices_are_opened_beside_one_that_takes_long(void **state)
{
	struct test_client patient, other;
	unsigned int before;

	live_teardown(NULL); /* which closes the devices */
	live_setup(NULL);
	before = live_control.n_opened;
	live_connect(&patient);
	live_connect(&other);
	live_control.holds_open = true;
	live_ask_for_device(&patient, "live0");
	while (live_control.n_opened == before)
		live_call(&other);
	assert_null(live_open_device(&other, "live1")->error);
	assert_int_equal(live_open_device(&other, "broken")->error->code, MAPI_NO_PERMISSION);
	live_control.holds_open = false;
	assert_null(test_reply(&patient)->error);
	test_end(&patient);
	test_end(&other);
}

/* The engine hears of all at once, because it is held meanwhile. */
static void clients_that_leave_together_make_few_plans(void **state)
{
	struct test_client crowd[LIVE_CROWD], other;
	uint32_t first, last;
	uint64_t device;
	unsigned int before;

	live_connect(&other);
	device = live_device(&other);
	first = live_flow(&other, device);
	last = live_flow(&other, live_device(&other));
	test_connect(&other, first);
	for (unsigned int i = 0; i < LIVE_CROWD; i++) {
		live_connect(&crowd[i]);
		for (unsigned int k = 0; k < 3; k++)
			test_connect(&crowd[i], live_flow(&crowd[i], live_device(&crowd[i])));
	}
	assert_int_equal(live_n_flows(&other), 2 + 3 * LIVE_CROWD);
	live_control.holds_plan = true;
	before = live_control.n_plans;
	test_connect_later(&other, last);
	while (live_control.n_plans == before)
		(void)poll(NULL, 0, 1);
	for (unsigned int i = 0; i < LIVE_CROWD; i++)
		test_end(&crowd[i]);
	live_control.holds_plan = false;
	assert_null(test_reply(&other)->error);
	while (live_n_flows(&other) > 2)
		;
	test_close(&other, last, 0);
	assert_in_range(live_control.n_plans - before, 2, 4); /* last comes, they go, last goes */
	test_end(&other);
}

/* A flow that searches for @text, to be connected when test_reply() says so; NULL: for nothing. */
static uint32_t live_searching(struct test_client *client, const char *text)
{
	const char *const args[] = { text };
	uint32_t flow;

	live_connect(client);
	flow = test_flow(client, live_device(client), true, NULL);
	if (text)
		assert_null(test_apply(client, flow, "STR_SEARCH", args, 1)->error);
	assert_null(test_apply(client, flow, "PKT_COUNTER", NULL, 0)->error);
	test_connect_later(client, flow);
	return flow;
}

static void live_await_builds(unsigned int n)
{
	while (live_control.builds->n_begun < n)
		(void)poll(NULL, 0, 1);
	assert_int_equal(live_control.builds->n_begun, n);
}

static bool live_has_reply(const struct test_client *client)
{
	struct pollfd p = { .fd = wire_conn_fd(client->conn), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* However long a database takes, who searches for nothing does not wait; and those who come with
 * searches meanwhile wait for one together. */
static void others_connect_while_a_search_is_prepared(void **state)
{
	struct test_client first, other, second, third, again;
	uint32_t flow;

	*live_control.builds = (struct live_builds){ .hold = true };
	flow = live_searching(&first, "needle");
	live_await_builds(1);
	(void)live_searching(&other, NULL);
	assert_null(test_reply(&other)->error);
	(void)live_searching(&second, "haystack");
	(void)live_searching(&third, "straw||reed");
	live_call(&other);
	assert_false(live_has_reply(&first) || live_has_reply(&second) || live_has_reply(&third));
	assert_int_equal(live_control.builds->n_begun, 1);
	live_control.builds->hold = false;
	assert_null(test_reply(&first)->error);
	assert_null(test_reply(&second)->error);
	assert_null(test_reply(&third)->error);
	assert_int_equal(live_control.builds->n_begun, 2);
	/* Nor is there anything new for who searches for the same, or when somebody goes. */
	(void)live_searching(&again, "straw||reed");
	assert_null(test_reply(&again)->error);
	test_close(&first, flow, 0);
	test_end(&third);
	test_end(&second);
	live_call(&other);
	assert_int_equal(live_control.builds->n_begun, 2);
	test_end(&first);
	test_end(&other);
	test_end(&again);
}

/* Nothing is kept of a flow that was to be connected to it. */
static void a_file_ends_while_a_search_is_prepared(void **state)
{
	const char *const args[] = { "behind the end" };
	const struct results_flow *shared;
	struct test_client client;
	uint32_t first, second;
	uint64_t device;

	test_start(&client);
	test_greet(&client, 1);
	device = test_open_fd(&client, memfd_create("file", MFD_CLOEXEC));
	first = test_flow(&client, device, false, &shared);
	assert_null(test_apply(&client, first, "PKT_COUNTER", NULL, 0)->error);
	test_connect(&client, first);
	test_start_device(&client, device);
	second = test_flow(&client, device, false, NULL);
	assert_null(test_apply(&client, second, "STR_SEARCH", args, 1)->error);
	*live_control.builds = (struct live_builds){ .hold = true };
	test_connect_later(&client, second);
	live_await_builds(1);
	live_control.ends = true;
	while (*(const volatile uint32_t *)&shared->status != FLOW_FINISHED)
		(void)poll(NULL, 0, 1);
	live_control.builds->hold = false;
	assert_null(test_reply(&client)->error);
	live_control.ends = false;
	test_close(&client, second, 0);
	test_flush(&client, first); /* the second is freed now */
	test_close(&client, first, 0);
	test_stop(&client);
}

static void who_waits_for_a_search_may_go(void **state)
{
	struct test_client first, second;

	*live_control.builds = (struct live_builds){ .hold = true };
	(void)live_searching(&first, "gone before it is found");
	live_await_builds(1);
	(void)live_searching(&second, "stays");
	test_end(&first);
	live_control.builds->hold = false;
	assert_null(test_reply(&second)->error);
	test_end(&second);
}

/* The worker gets no time, so what came before the call may not be in the results. */
static void a_flush_that_comes_too_late_says_so(void **state)
{
	Wire__FlowFlush flush = WIRE__FLOW_FLUSH__INIT;
	struct test_client client;

	live_teardown(NULL); /* which closes the device */
	test_driver.real_time = true;
	live_setup(NULL);
	live_connect(&client);
	flush.flow = live_flow(&client, live_device(&client));
	test_connect(&client, flush.flow);
	assert_null(TEST_CALL(&client, flow_flush, FLOW_FLUSH, &flush)->error);
	live_control.holds_claim = true;
	assert_int_equal(TEST_CALL(&client, flow_flush, FLOW_FLUSH, &flush)->error->code,
		MAPI_FLUSH_INCOMPLETE);
	live_control.holds_claim = false;
	assert_null(TEST_CALL(&client, flow_flush, FLOW_FLUSH, &flush)->error);
	test_end(&client);
	live_teardown(NULL);
	test_driver.real_time = false;
	live_setup(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_of_a_shared_device_are_the_administrators),
		cmocka_unit_test(others_go_on_while_a_device_is_opened),
		cmocka_unit_test(devices_are_opened_beside_one_that_takes_long),
		cmocka_unit_test(clients_that_leave_together_make_few_plans),
		cmocka_unit_test(others_connect_while_a_search_is_prepared),
		cmocka_unit_test(a_file_ends_while_a_search_is_prepared),
		cmocka_unit_test(who_waits_for_a_search_may_go),
		cmocka_unit_test(a_flush_that_comes_too_late_says_so),
	};

	return cmocka_run_group_tests(tests, live_begin, live_teardown);
}
