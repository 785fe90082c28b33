/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a device has lost: asked for rarely, because that takes system calls, but exact when
 * somebody flushes or connects. The driver is the test's own.
 */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "device_private.h"
#include "mapi.h"
#include "test_driver.h"

#define PUBLISH_EXACT_NS 2000000u /* between two exact publications */
#define PUBLISH_FLOOD_NS 200000000u
#define PUBLISH_SLOW_NS 10000000 /* of a function whose result is large */
#define PUBLISH_ASK_LEAST_NS 250000000u /* between two questions to the driver */

static _Atomic unsigned int publish_n_asked;
static _Atomic uint64_t publish_lost;

/* Packets never end. */
static int publish_claim(struct driver_source *source, struct driver_chunk *chunk)
{
	if (source->woken)
		return DRIVER_E_END;
	(void)poll(NULL, 0, 1); /* a packet in a millisecond */
	source->given = false;
	*chunk = (struct driver_chunk){ .seq = source->next_seq++ };
	return 0;
}

static int publish_next_batch(
	struct driver_source *source, struct driver_chunk *chunk, struct packet_batch *batch)
{
	static const uint8_t packet[64];

	if (source->given)
		return DRIVER_E_END;
	source->given = true;
	batch->n = 1;
	batch->linktype = 1;
	batch->data[0] = packet;
	batch->cap_bytes[0] = batch->wire_bytes[0] = sizeof(packet);
	batch->ts_ns[0] = 1000000000u + chunk->seq;
	return 0;
}

static void publish_stats(const struct driver_source *source, struct driver_stats *ret)
{
	publish_n_asked++;
	*ret = (struct driver_stats){ .ring_lost_pkts = publish_lost, .n_interfaces = 1 };
}

struct publish_test {
	struct device *device;
	int notify_fd;
	struct device_flow flows[2];
	struct results_flow shared[2];
};

static void publish_connect(struct publish_test *test, unsigned int n)
{
	struct device_flow *flow = &test->flows[n];
	struct error err = ERROR_INIT;

	*flow = (struct device_flow){ .shared = &test->shared[n], .event_fd = -1 };
	assert_int_equal(plan_flow_new(&flow->plan, n + 1), 0);
	assert_int_equal(device_add(test->device, flow, &err), 0);
}

static struct publish_test *publish_begin(void)
{
	struct publish_test *test = calloc(1, sizeof(*test));
	struct error err = ERROR_INIT;
	struct device_args args = {
		.open = { .name = "test", .fd = -1, .n_workers = 1, .batch_pkts = PACKET_BATCH_MAX }
	};

	assert_non_null(test);
	publish_lost = 0;
	test->notify_fd = args.notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(device_new(&test->device, &args, &err), 0);
	publish_connect(test, 0);
	assert_int_equal(device_start(test->device), 0);
	return test;
}

static void publish_end(struct publish_test *test)
{
	test_device_end(test->device, test->flows, ARRAY_SIZE(test->flows));
	(void)close(test->notify_fd);
	free(test);
}

static void publish_read(struct publish_test *test, unsigned int n, struct results_flow *ret)
{
	(void)pthread_mutex_lock(&test->device->flows_lock);
	memcpy(ret, &test->shared[n], sizeof(*ret));
	(void)pthread_mutex_unlock(&test->device->flows_lock);
}

static void publish_await(struct publish_test *test, uint64_t later_than_ns)
{
	struct results_flow now;

	do {
		(void)poll(NULL, 0, 1);
		publish_read(test, 0, &now);
	} while (now.published_ns <= later_than_ns);
}

static uint64_t publish_flushed_loss(struct publish_test *test, unsigned int n)
{
	struct device_moment moment = device_moment_now();
	struct results_flow now;

	while (!device_flush(test->device, &moment))
		(void)poll(NULL, 0, 1);
	publish_read(test, n, &now);
	return now.lost_pkts[MAPI_LOSS_RING];
}

static void the_driver_is_asked_rarely(void **state)
{
	struct publish_test *test = publish_begin();
	uint64_t begin_ns = clock_monotonic_ns();
	unsigned int n_asked = publish_n_asked;

	for (unsigned int i = 0; i < 20; i++)
		publish_await(test, clock_monotonic_ns());
	assert_in_range(publish_n_asked - n_asked, 0,
		(clock_monotonic_ns() - begin_ns) / PUBLISH_ASK_LEAST_NS + 1);
	publish_end(test);
}

static void flushed_losses_are_exact(void **state)
{
	struct publish_test *test = publish_begin();

	for (uint64_t lost = 1; lost < 10; lost++) {
		publish_lost = lost;
		assert_int_equal(publish_flushed_loss(test, 0), lost);
	}
	publish_end(test);
}

/* Who flushes while a worker commits gets from that worker what he would have fetched. */
static void losses_are_exact_if_the_worker_is_busy(void **state)
{
	struct publish_test *test = publish_begin();
	struct results_flow now;
	uint64_t moment_ns;

	assert_int_equal(publish_flushed_loss(test, 0), 0);
	(void)pthread_mutex_lock(&test->device->commit_lock);
	publish_lost = 5;
	moment_ns = clock_monotonic_ns();
	assert_false(device_publish(test->device));
	(void)pthread_mutex_unlock(&test->device->commit_lock);
	publish_await(test, moment_ns);
	publish_read(test, 0, &now);
	assert_int_equal(now.lost_pkts[MAPI_LOSS_RING], 5);
	publish_end(test);
}

/* Each publication takes the time of all who share the device. */
static void who_flushes_all_the_time_costs_no_more(void **state)
{
	struct publish_test *test = publish_begin();
	uint64_t begin_ns = clock_monotonic_ns();
	unsigned int n_asked = publish_n_asked, n_done = 0, n_tries = 0;

	while (clock_monotonic_ns() - begin_ns < PUBLISH_FLOOD_NS) {
		struct device_moment moment = { .monotonic_ns =
							clock_monotonic_ns() - PUBLISH_EXACT_NS };

		n_done += device_flush(test->device, &moment);
		n_tries++;
	}
	assert_true(n_tries > 1000);
	assert_in_range(n_done, 1, n_tries);
	assert_in_range(publish_n_asked - n_asked, 1,
		(clock_monotonic_ns() - begin_ns) / PUBLISH_EXACT_NS + 3);
	publish_end(test);
}

static void publish_slowly(const void *instance, const void *state, void *ret_result)
{
	const struct timespec pause = { .tv_nsec = PUBLISH_SLOW_NS };

	(void)nanosleep(&pause, NULL);
}

static void publish_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
}

/* Somebody's results take long to copy: packets are not to wait for that all the time. */
static void slow_results_are_published_rarely(void **state)
{
	static const struct function slow = { .desc = { .name = "SLOW", .result_bytes = 8 },
		.state_bytes = 8,
		.process = publish_process,
		.read = publish_slowly };
	struct publish_test *test = publish_begin();
	struct plan_device described = device_describe(test->device);
	struct results_slot *slot = calloc(1, results_slot_bytes(8));
	struct device_flow *flow = &test->flows[1];
	struct plan_instance *instance;
	struct error err = ERROR_INIT;
	uint64_t begin_ns;

	*flow = (struct device_flow){ .shared = &test->shared[1], .event_fd = -1 };
	assert_int_equal(plan_flow_new(&flow->plan, 2), 0);
	assert_int_equal(
		plan_flow_apply(flow->plan, &slow, NULL, NULL, &described, &instance, &err), 0);
	assert_non_null(slot);
	slot->data_bytes = 8;
	instance->result = slot;
	assert_int_equal(device_add(test->device, flow, &err), 0);
	begin_ns = clock_monotonic_ns();
	for (unsigned int i = 0; i < 10; i++)
		publish_await(test, clock_monotonic_ns());
	assert_true(clock_monotonic_ns() - begin_ns >= UINT64_C(8) * 5 * PUBLISH_SLOW_NS);
	publish_end(test);
	free(slot);
}

static void a_flow_begins_without_losses(void **state)
{
	struct publish_test *test = publish_begin();
	struct results_flow now;

	publish_await(test, clock_monotonic_ns());
	publish_lost = 7;
	publish_connect(test, 1);
	publish_read(test, 1, &now);
	assert_int_equal(now.lost_pkts[MAPI_LOSS_RING], 0);
	publish_await(test, clock_monotonic_ns());
	publish_read(test, 1, &now);
	assert_int_equal(now.lost_pkts[MAPI_LOSS_RING], 0);
	publish_lost = 9;
	assert_int_equal(publish_flushed_loss(test, 1), 2);
	assert_int_equal(publish_flushed_loss(test, 0), 9);
	publish_end(test);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_driver_is_asked_rarely),
		cmocka_unit_test(flushed_losses_are_exact),
		cmocka_unit_test(losses_are_exact_if_the_worker_is_busy),
		cmocka_unit_test(who_flushes_all_the_time_costs_no_more),
		cmocka_unit_test(slow_results_are_published_rarely),
		cmocka_unit_test(a_flow_begins_without_losses),
	};

	test_driver.claim = publish_claim;
	test_driver.next_batch = publish_next_batch;
	test_driver.stats = publish_stats;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
