/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's clock is set (semantics T1): what is noticed, when it is taken for the packets, and
 * what becomes of periods. Both clocks are the test's own (clock_gettime() is wrapped), and so is
 * the driver: packets have the time at which they were captured, and are handed on later.
 */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device_private.h"
#include "mapi.h"
#include "mapi/stats.h"
#include "test_driver.h"

#define S 1000000000
#define TEST_MONOTONIC_NS (1000u * (uint64_t)S)
#define TEST_REALTIME_NS (1700000000u * (uint64_t)S)

static _Atomic uint64_t test_monotonic_ns, test_realtime_ns;

int __wrap_clock_gettime(clockid_t id, struct timespec *ret);

int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
	uint64_t ns = id == CLOCK_REALTIME ? test_realtime_ns : test_monotonic_ns;

	*ret = (struct timespec){ .tv_sec = (time_t)(ns / S), .tv_nsec = (long)(ns % S) };
	return 0;
}

/* ---- what is noticed ---- */

static void test_look(struct step *step)
{
	step_look(step, test_monotonic_ns, test_realtime_ns);
}

static void test_pass(int64_t monotonic_ns, int64_t set_ns)
{
	test_monotonic_ns += (uint64_t)monotonic_ns;
	test_realtime_ns += (uint64_t)(monotonic_ns + set_ns);
}

static void steps_are_noticed(void **state)
{
	struct step step = { .has_looked = false };

	test_monotonic_ns = TEST_MONOTONIC_NS;
	test_realtime_ns = TEST_REALTIME_NS;
	test_look(&step);
	assert_int_equal(step.pending_ns, 0);
	for (unsigned int i = 0; i < 1000; i++) { /* the clock is slewed */
		test_pass(S / 10, S / 20);
		test_look(&step);
		assert_int_equal(step.pending_ns, 0);
	}
	test_pass(S / 10, -5 * (int64_t)S);
	test_look(&step);
	assert_int_equal(step.pending_ns, -5 * (int64_t)S);
	test_pass(S / 10, -(int64_t)S);
	test_look(&step);
	assert_int_equal(step.pending_ns, -6 * (int64_t)S);
	test_pass(S / 10, 6 * (int64_t)S); /* set back before a packet has shown it */
	test_look(&step);
	assert_int_equal(step.pending_ns, 0);
}

/* Packets that were stamped before are still on their way. */
static void steps_are_taken_in_time(void **state)
{
	static const int64_t by_ns[] = { 3600 * (int64_t)S, -3600 * (int64_t)S };

	for (unsigned int i = 0; i < ARRAY_SIZE(by_ns); i++) {
		struct step step = { .has_looked = false };
		uint64_t old_ns, new_ns;

		test_look(&step);
		assert_int_equal(step_take(&step, test_realtime_ns, test_realtime_ns), 0);
		old_ns = test_realtime_ns;
		test_pass(S / 10, by_ns[i]);
		new_ns = test_realtime_ns - S / 100;
		test_look(&step);
		assert_int_equal(step_take(&step, old_ns, old_ns), 0);
		assert_int_equal(step_take_idle(&step, test_monotonic_ns), 0);
		/* together: what is ahead of its time must not meet the old clock */
		assert_int_equal(step_take(&step, old_ns, new_ns), by_ns[i] > 0 ? by_ns[i] : 0);
		assert_int_equal(step_take(&step, new_ns, new_ns), by_ns[i] > 0 ? 0 : by_ns[i]);
		assert_int_equal(step_take(&step, new_ns, new_ns), 0);
		test_pass(S / 10, by_ns[i]);
		test_look(&step);
		test_pass(S / 2, 0);
		test_look(&step);
		assert_int_equal(step_take_idle(&step, test_monotonic_ns), 0);
		test_pass(S / 2, 0);
		assert_int_equal(step_take_idle(&step, test_monotonic_ns), by_ns[i]);
		assert_int_equal(step_take_idle(&step, test_monotonic_ns), 0);
	}
}

/* ---- a device: ten packets in a second, for half a minute ---- */

#define TEST_PKTS 300u
#define TEST_GAP_NS (S / 10)

/* The clock is set before these packets are captured. */
static const struct {
	unsigned int pkt;
	int64_t by_ns;
} test_steps[] = { { 53, -7200 * (int64_t)S }, { 121, 86400 * (int64_t)S }, { 122, -S / 2 },
	{ 200, -3 * (int64_t)S } };
#define TEST_STEPS 3u /* of a second or more */

static unsigned int test_batch_pkts;

static int test_claim(struct driver_source *source, struct driver_chunk *chunk)
{
	if (source->n_pkts == TEST_PKTS)
		return DRIVER_E_END;
	source->given = false;
	*chunk = (struct driver_chunk){ .seq = source->next_seq++ };
	return 0;
}

static int test_next_batch(
	struct driver_source *source, struct driver_chunk *chunk, struct packet_batch *batch)
{
	static const uint8_t packet[64];

	if (source->given)
		return DRIVER_E_END;
	source->given = true;
	batch->linktype = 1;
	for (batch->n = 0; batch->n < test_batch_pkts && source->n_pkts < TEST_PKTS; batch->n++) {
		int64_t set_ns = 0;

		for (unsigned int i = 0; i < ARRAY_SIZE(test_steps); i++)
			if (test_steps[i].pkt == source->n_pkts)
				set_ns = test_steps[i].by_ns;
		test_pass(TEST_GAP_NS, set_ns);
		source->n_pkts++;
		batch->data[batch->n] = packet;
		batch->cap_bytes[batch->n] = batch->wire_bytes[batch->n] = sizeof(packet);
		batch->ts_ns[batch->n] = test_realtime_ns;
	}
	return 0;
}

/* Packets of each second. Until the source has ended. */
static void test_periods(unsigned int batch_pkts, stats_t *ret, struct results_flow *ret_shared)
{
	struct device_args args = { .open = { .name = "test", .fd = -1, .n_workers = 1 } };
	struct function_value values[FUNCTION_ARGS_MAX] = { { .number = 1 }, { .number = 1 },
		{ .text = "1s" } };
	struct device_flow flow = { .shared = ret_shared, .event_fd = -1 };
	struct plan_instance *instance;
	struct plan_device describe;
	struct error err = ERROR_INIT;
	struct plan_refs refs = { .n = 1 };
	struct device *device;

	*ret_shared = (struct results_flow){ .status = FLOW_INIT };
	test_batch_pkts = args.open.batch_pkts = batch_pkts;
	test_monotonic_ns = TEST_MONOTONIC_NS;
	test_realtime_ns = TEST_REALTIME_NS;
	args.notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(device_new(&device, &args, &err), 0);
	describe = device_describe(device);
	assert_int_equal(plan_flow_new(&flow.plan, 1), 0);
	assert_int_equal(plan_flow_apply(flow.plan, function_find("PKT_COUNTER"), NULL, NULL,
				 &describe, &refs.instances[0], &err),
		0);
	assert_int_equal(plan_flow_apply(flow.plan, function_find("STATS"), values, &refs,
				 &describe, &instance, &err),
		0);
	assert_int_equal(device_add(device, &flow, &err), 0);
	assert_int_equal(device_start(device), 0);
	while (device_runs(device))
		(void)usleep(1000);
	device_join(device);
	memcpy(ret, instance->state, sizeof(*ret));
	test_device_end(device, &flow, 1);
	(void)close(args.notify_fd);
}

static void periods_survive_steps(void **state)
{
	struct results_flow shared;
	stats_t stats;

	/* Each packet is handed on at once: every second has its ten. */
	test_periods(1, &stats, &shared);
	assert_int_equal(shared.status, FLOW_FINISHED);
	assert_int_equal(shared.pkts, TEST_PKTS);
	assert_int_equal(shared.clock_steps, TEST_STEPS);
	/* by half a second back is none: packets are late until that time is over */
	assert_int_equal(shared.late_pkts, 4);
	assert_in_range(stats.count, 28, 30);
	assert_in_range((uint64_t)stats.max, 10, 15);
	assert_int_equal((uint64_t)stats.min, 10);
	/* Later, with others from before and after: those may be late. */
	test_periods(7, &stats, &shared);
	assert_int_equal(shared.clock_steps, TEST_STEPS);
	assert_in_range(shared.late_pkts, 4, 4 + 7 * TEST_STEPS);
	assert_in_range(stats.count, 27, 30);
	assert_in_range((uint64_t)stats.max, 10, 20);
	assert_in_range((uint64_t)stats.min, 3, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_are_noticed),
		cmocka_unit_test(steps_are_taken_in_time),
		cmocka_unit_test(periods_survive_steps),
	};

	test_driver.real_time = true;
	test_driver.claim = test_claim;
	test_driver.next_batch = test_next_batch;
	return cmocka_run_group_tests_name("steps of the clock", tests, NULL, NULL);
}
