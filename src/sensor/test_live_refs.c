/* SPDX-License-Identifier: BSD-2-Clause */
/* Flows of a live device that refer to each other, whichever is connected first. */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "mapi/errors.h"
#include "test_live_private.h"

/* Two connected flows, the second refers to the first. Each has opened the device itself. */
static void live_pair(struct test_client *client, uint32_t *source, uint32_t *flow)
{
	char text[16];

	*source = live_flow(client, live_device(client));
	*flow = live_flow(client, live_device(client));
	(void)snprintf(text, sizeof(text), "%u", *source);
	assert_null(
		test_apply(client, *flow, "STATS", (const char *[]){ text, "1", "0" }, 3)->error);
	test_connect(client, *source);
	test_connect(client, *flow);
}

/* A program opens a live device with each flow, and means the same one. */
static void flows_of_a_live_device_refer_to_each_other(void **state)
{
	struct test_client client;
	uint32_t source, flow;

	live_connect(&client);
	live_pair(&client, &source, &flow);
	test_close(&client, source, 0);
	test_close(&client, flow, 0);
	live_pair(&client, &source, &flow); /* these go with their program */
	test_end(&client);
}

static void live_stats_of(struct test_client *client, uint32_t flow, uint32_t source)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%u", source);
	assert_null(
		test_apply(client, flow, "STATS", (const char *[]){ text, "1", "0" }, 3)->error);
}

/* Three flows in a ring of references, each not connected yet. */
static void live_ring(struct test_client *client, uint32_t flows[3],
	const volatile struct results_flow *shared[3])
{
	for (unsigned int i = 0; i < 3; i++) {
		const struct results_flow *head;

		flows[i] = test_flow(client, live_device(client), true, &head);
		assert_null(test_apply(client, flows[i], "PKT_COUNTER", NULL, 0)->error);
		shared[i] = head;
	}
	for (unsigned int i = 0; i < 3; i++)
		live_stats_of(client, flows[i], flows[(i + 1) % 3]);
}

/* The first ones wait for the last, whichever that is; one that refers to one of them waits, too;
 * who has nothing to do with them does not. They go in any order. */
static void flows_that_refer_to_each_other_come_together(void **state)
{
	const volatile struct results_flow *shared[3];
	struct test_client client, other;
	uint32_t flows[3], after, alone;

	live_connect(&client);
	live_connect(&other);
	for (unsigned int last = 0; last < 3; last++) {
		live_ring(&client, flows, shared);
		after = live_flow(&client, live_device(&client));
		live_stats_of(&client, after, flows[(last + 1) % 3]);
		test_connect(&client, flows[(last + 1) % 3]);
		test_connect(&client, after);
		test_connect(&client, flows[(last + 2) % 3]);
		alone = live_flow(&other, live_device(&other));
		test_connect(&other, alone);
		test_close(&other, alone, 0);
		for (unsigned int i = 0; i < 3; i++)
			assert_int_equal(shared[i]->status, FLOW_INIT);
		test_connect(&client, flows[last]);
		for (unsigned int i = 0; i < 3; i++)
			assert_int_equal(shared[i]->status, FLOW_ACTIVE);
		for (unsigned int i = 0; i < 3; i++)
			test_close(&client, flows[(last + i) % 3], 0);
		test_close(&client, after, 0);
	}
	/* others go while they wait, and so does their program */
	live_ring(&client, flows, shared);
	test_connect(&client, flows[0]);
	test_connect(&client, flows[1]);
	test_close(&client, flows[1], 0);
	test_connect(&client, flows[2]);
	assert_int_equal(shared[0]->status, FLOW_ACTIVE);
	live_ring(&client, flows, shared);
	test_connect(&client, flows[0]);
	test_end(&client);
	test_end(&other);
}

/* What it waits for never comes: that is an error of who waits, now or when it connects. */
static void who_waits_for_a_closed_flow_is_told(void **state)
{
	const volatile struct results_flow *shared[3];
	Wire__FlowConnect connect = WIRE__FLOW_CONNECT__INIT;
	Wire__FlowError error = WIRE__FLOW_ERROR__INIT;
	struct test_client client;
	uint32_t flows[3];

	live_connect(&client);
	live_ring(&client, flows, shared);
	test_connect(&client, flows[0]);
	test_close(&client, flows[2], 0);
	while (shared[0]->status != FLOW_FINISHED)
		live_call(&client);
	error.flow = flows[0];
	assert_int_equal(TEST_CALL(&client, flow_error, FLOW_ERROR, &error)->flow_error->code,
		MFUNCT_INVALID_ARGUMENT_1);
	connect.flow = flows[1];
	assert_int_equal(TEST_CALL(&client, flow_connect, FLOW_CONNECT, &connect)->error->code,
		MFUNCT_INVALID_ARGUMENT_1);
	test_end(&client);
}

static void how_many_wait_is_limited(void **state)
{
	const volatile struct results_flow *shared[3];
	Wire__FlowConnect connect = WIRE__FLOW_CONNECT__INIT;
	struct test_client client;
	uint32_t flows[3];

	live_connect(&client);
	for (unsigned int i = 0; i < 65; i++) {
		Wire__Reply *reply;

		live_ring(&client, flows, shared);
		connect.flow = flows[0];
		reply = TEST_CALL(&client, flow_connect, FLOW_CONNECT, &connect);
		if (i < 64)
			assert_null(reply->error);
		else
			assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED);
	}
	test_end(&client);
}

/* Who connects a flow that refers to one that is not connected must not keep others from starting
 * the device. */
static void bad_references_do_not_keep_a_device_from_starting(void **state)
{
	struct test_client hostile, other;
	Wire__FlowConnect connect = WIRE__FLOW_CONNECT__INIT;
	uint64_t device;
	uint32_t source, flow;
	char text[16];

	live_connect(&hostile);
	live_connect(&other);
	device = live_device(&hostile);
	source = test_flow(&hostile, device, false, NULL);
	assert_null(test_apply(&hostile, source, "PKT_COUNTER", NULL, 0)->error);
	(void)snprintf(text, sizeof(text), "%u", source);
	flow = test_flow(&hostile, device, false, NULL);
	assert_null(
		test_apply(&hostile, flow, "STATS", (const char *[]){ text, "1", "0" }, 3)->error);
	connect.flow = flow;
	assert_int_equal(TEST_CALL(&hostile, flow_connect, FLOW_CONNECT, &connect)->error->code,
		MFUNCT_INVALID_ARGUMENT_1);
	test_connect(&other, live_flow(&other, live_device(&other)));
	test_connect(&hostile, source);
	test_connect(&hostile, flow);
	test_end(&hostile);
	test_end(&other);
}

/* However many they are: nobody waits while it is found out which of them may go. */
static void many_closed_flows_go_on_for_others(void **state)
{
	enum { N = 1500 };
	const volatile struct results_flow *shared[2];
	struct test_client client;
	uint32_t sources[N], flows[N];
	uint64_t device;

	live_connect(&client);
	device = live_device(&client);
	for (unsigned int i = 0; i < N; i++)
		sources[i] = live_flow(&client, device);
	for (unsigned int i = 0; i < N; i++) {
		const struct results_flow *head;

		flows[i] = test_flow(&client, device, false, &head);
		live_stats_of(&client, flows[i], sources[i]);
		shared[i > 0] = head;
	}
	test_connect(&client, sources[0]);
	test_connect(&client, flows[0]);
	for (unsigned int i = 0; i < N; i++)
		test_close(&client, sources[i], 0);
	assert_int_equal(live_n_flows(&client), N);
	assert_int_equal(shared[0]->status, FLOW_ACTIVE);
	assert_int_equal(shared[1]->status, FLOW_INIT);
	for (unsigned int i = 0; i < N; i++)
		test_close(&client, flows[i], 0);
	test_end(&client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flows_of_a_live_device_refer_to_each_other),
		cmocka_unit_test(flows_that_refer_to_each_other_come_together),
		cmocka_unit_test(who_waits_for_a_closed_flow_is_told),
		cmocka_unit_test(how_many_wait_is_limited),
		cmocka_unit_test(bad_references_do_not_keep_a_device_from_starting),
		cmocka_unit_test(many_closed_flows_go_on_for_others),
	};

	return cmocka_run_group_tests(tests, live_begin, live_teardown);
}
