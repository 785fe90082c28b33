/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who waits for programs of the kernel tier, and for which. The driver and the loader are the
 * test's own, so it needs no rights.
 */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "device_private.h"
#include "hook.h"
#include "lowering_private.h"
#include "mapi/errors.h"
#include "test_driver.h"

#define LOWERING_FLOWS 3u
#define LOWERING_WAIT_MS 10000
/* Of the memory for counters, which nobody else looks into. */
#define LOWERING_SLOT_BYTES 32u
#define LOWERING_REACH_BYTES 32768u

static void lowering_attached(void);

static int lowering_select(struct driver_source *source, const int program_fds[], struct error *err)
{
	if (program_fds)
		lowering_attached();
	return 0;
}

static int lowering_selects(
	const struct driver_source *source, struct driver_select *ret, struct error *err)
{
	*ret = (struct driver_select){ .snaplen_bytes = 65535, .n_programs = 1 };
	return 0;
}

static int lowering_listen(struct driver_source *source, bool listens)
{
	return 0;
}

/* Counters as a program would have them: the first processor's are counted in. */
struct lowering_counters {
	uint8_t *bytes;
	size_t n_bytes;
	size_t slots_at;
	unsigned int n_slots;
};

/*
 * @begun: a program is being loaded, or attached if programs @count; @may_end: and may be refused,
 * or that goes on
 * @counters: of the programs that were loaded, one after the other
 * @n_refused: how often nothing could be put to the interface; if programs do not count
 */
struct lowering_test {
	bool count;
	bool has_interface;
	_Atomic unsigned int n_refused;
	struct lowering_counters counters[LOWERING_FLOWS];
	unsigned int n_loaded;
	struct device *device;
	int notify_fd;
	sem_t begun, may_end;
	struct device_flow flows[LOWERING_FLOWS];
	struct results_flow shared[LOWERING_FLOWS];
};

/* No program, but counters. */
static void lowering_make_counters(
	struct lowering_counters *c, const struct kernel_code *code, struct kernel_fds *ret)
{
	struct kernel_stats stats = kernel_code_stats(code);
	size_t slots_bytes = (stats.n_slots * LOWERING_SLOT_BYTES + 63) & ~63u;

	*ret = KERNEL_FDS_INIT;
	ret->program = eventfd(0, EFD_CLOEXEC);
	ret->area = memfd_create("counters", MFD_CLOEXEC);
	c->n_bytes = kernel_code_area_bytes(code);
	assert(ret->program >= 0 && ftruncate(ret->area, (off_t)c->n_bytes) == 0);
	c->bytes = mmap(NULL, c->n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ret->area, 0);
	assert(c->bytes != MAP_FAILED);
	/* The last processor's share is followed by what keeps addresses within the memory. */
	c->slots_at = (c->n_bytes - LOWERING_REACH_BYTES) / kernel_n_cpus() - slots_bytes;
	c->n_slots = stats.n_slots;
}

/* @n packets of 60 bytes that all filters accept. */
static void lowering_count(const struct lowering_counters *c, unsigned int n)
{
	for (unsigned int i = 0; i < c->n_slots; i++) {
		uint64_t *slot = (void *)(c->bytes + c->slots_at + i * LOWERING_SLOT_BYTES);

		__atomic_fetch_add(&slot[0], n, __ATOMIC_RELAXED);
		__atomic_fetch_add(&slot[1], 60 * n, __ATOMIC_RELAXED);
		__atomic_fetch_add(&slot[2], n, __ATOMIC_RELAXED);
	}
}

static struct lowering_test *lowering_counting; /* whose programs count */

/* At once there is something to count, also for the program before, on another processor. */
static void lowering_attached(void)
{
	struct lowering_test *test = lowering_counting;

	if (!test)
		return;
	lowering_count(&test->counters[test->n_loaded - 1], 5);
	if (test->n_loaded > 1)
		lowering_count(&test->counters[test->n_loaded - 2], 1);
	assert(sem_post(&test->begun) == 0);
	assert(sem_wait(&test->may_end) == 0);
}

static int lowering_load(
	void *argument, const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	struct lowering_test *test = argument;

	if (test->count) {
		assert(test->n_loaded < LOWERING_FLOWS);
		lowering_make_counters(&test->counters[test->n_loaded++], code, ret);
		return 0;
	}
	assert(sem_post(&test->begun) == 0);
	assert(sem_wait(&test->may_end) == 0);
	return error_set(err, MFUNCT_NOT_SUPPORTED, "refused");
}

static int lowering_refuse(void *argument, const char *name, enum kernel_way way,
	struct kernel_root *ret, char ret_others[KERNEL_TEXT_BYTES], struct error *err)
{
	struct lowering_test *test = argument;

	atomic_fetch_add(&test->n_refused, 1);
	return error_set(err, MFUNCT_NOT_SUPPORTED, "no room");
}

/* Return: the number of the change. */
static uint64_t lowering_connect(struct lowering_test *test, unsigned int n, const char *filter)
{
	struct device_flow *flow = &test->flows[n];
	struct plan_device device = device_describe(test->device);
	struct function_value values[FUNCTION_ARGS_MAX] = { { .text = filter } };
	struct plan_instance *instance;
	struct error err = ERROR_INIT;

	*flow = (struct device_flow){ .shared = &test->shared[n], .event_fd = -1 };
	assert_int_equal(plan_flow_new(&flow->plan, n + 1), 0);
	assert_int_equal(plan_flow_apply(flow->plan, function_find("BPF_FILTER"), values, NULL,
				 &device, &instance, &err),
		0);
	assert_int_equal(device_add(test->device, flow, &err), 0);
	assert_int_equal(device_start(test->device), 0);
	return device_epoch(test->device);
}

static void lowering_await(struct lowering_test *test, uint64_t epoch)
{
	while (!device_connected(test->device, epoch)) {
		struct pollfd p = { .fd = test->notify_fd, .events = POLLIN };
		eventfd_t n;

		assert_int_equal(poll(&p, 1, LOWERING_WAIT_MS), 1);
		assert_int_equal(eventfd_read(test->notify_fd, &n), 0);
	}
}

static void lowering_disconnect(struct lowering_test *test, unsigned int n)
{
	struct device_flow *flow = &test->flows[n];

	device_remove(test->device, flow);
	while (!device_settled(test->device))
		(void)poll(NULL, 0, 1);
	device_forget(test->device, flow);
	flow->plan = plan_flow_free(flow->plan);
}

static void lowering_begin(struct lowering_test *test)
{
	struct error err = ERROR_INIT;
	struct device_args args = {
		.open = { .name = "test",
			.fd = -1,
			.n_workers = 1,
			.batch_pkts = PACKET_BATCH_MAX },
		.loader = { .load = lowering_load,
			.attach = test->has_interface ? lowering_refuse : NULL,
			.argument = test },
	};

	assert_int_equal(sem_init(&test->begun, 0, 0), 0);
	assert_int_equal(sem_init(&test->may_end, 0, 0), 0);
	test->notify_fd = args.notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(device_new(&test->device, &args, &err), 0);
}

/* Programs that are still to be loaded need not wait. */
static void lowering_end(struct lowering_test *test)
{
	for (unsigned int n = 0; n < 2 * LOWERING_FLOWS; n++)
		assert_int_equal(sem_post(&test->may_end), 0);
	test_device_end(test->device, test->flows, LOWERING_FLOWS);
	(void)close(test->notify_fd);
	(void)sem_destroy(&test->begun);
	(void)sem_destroy(&test->may_end);
}

/* However many flows come while it waits: a connection waits for the program of its own. */
static void nobody_waits_for_who_comes_later(void **state)
{
	struct lowering_test test = { .device = NULL };
	uint64_t epochs[LOWERING_FLOWS];

	(void)state;
	lowering_begin(&test);
	epochs[0] = lowering_connect(&test, 0, "tcp");
	for (unsigned int n = 0; n < LOWERING_FLOWS; n++) {
		assert_int_equal(sem_wait(&test.begun), 0);
		assert_false(device_connected(test.device, epochs[n]));
		if (n + 1 < LOWERING_FLOWS)
			epochs[n + 1] = lowering_connect(&test, n + 1, "tcp");
		assert_int_equal(sem_post(&test.may_end), 0);
		lowering_await(&test, epochs[n]);
		if (n + 1 < LOWERING_FLOWS)
			assert_false(device_connected(test.device, epochs[n + 1]));
	}
	lowering_end(&test);
}

/* Neither who wants a large program nor who comes while it is made. */
static void nobody_waits_for_large_programs(void **state)
{
	struct lowering_test test = { .device = NULL };
	char filter[8192] = "tcp port 1";

	(void)state;
	for (unsigned int port = 3; port < 700; port += 2) {
		size_t n = strlen(filter);

		(void)snprintf(filter + n, sizeof(filter) - n, " or %u", port);
	}
	lowering_begin(&test);
	lowering_await(&test, lowering_connect(&test, 0, filter));
	assert_int_equal(sem_wait(&test.begun), 0);
	for (unsigned int n = 1; n < LOWERING_FLOWS; n++)
		lowering_await(&test, lowering_connect(&test, n, "udp"));
	assert_int_equal(sem_post(&test.may_end), 0);
	assert_int_equal(sem_wait(&test.begun), 0); /* for all of them */
	lowering_end(&test);
}

/* Whether the program for @n flows that sample is a large one. */
static bool lowering_is_large(unsigned int n)
{
	const struct driver_select select = { .snaplen_bytes = 65535, .n_programs = 1 };
	struct plan_device device = { .name = "test", .linktype = 1 };
	struct function_value values[FUNCTION_ARGS_MAX] = { { .number = 10 }, { .number = 1 } };
	struct plan_flow *flows[64];
	struct lowering_set *set;
	bool is_large;

	assert_in_range(n, 1, ARRAY_SIZE(flows));
	for (unsigned int i = 0; i < n; i++) {
		struct plan_instance *instance;
		struct error err = ERROR_INIT;

		assert_int_equal(plan_flow_new(&flows[i], i + 1), 0);
		assert_int_equal(plan_flow_apply(flows[i], function_find("SAMPLE"), values, NULL,
					 &device, &instance, &err),
			0);
	}
	assert_int_equal(lowering_set_new(&set, flows, n, 1, &select), 0);
	is_large = set->is_large;
	lowering_set_free(set);
	for (unsigned int i = 0; i < n; i++)
		plan_flow_free(flows[i]);
	return is_large;
}

/* Each of them is more work than its filter. */
static void many_samples_are_large(void **state)
{
	(void)state;
	assert_false(lowering_is_large(10));
	assert_true(lowering_is_large(64));
}

/* What a flow was given, once the worker has read what there was. */
static uint64_t lowering_given(struct lowering_test *test, unsigned int n)
{
	const struct device_moment now = device_moment_now();
	struct plan_counts counts;

	while (!device_flush(test->device, &now))
		;
	counts = device_counts(test->device, test->flows[n].plan->instances[0]);
	assert_int_equal(counts.pkts, counts.passed_pkts);
	return counts.pkts;
}

/* From the moment in which its program is attached, whether or not that has been told already, and
 * to the last packet of a program that is replaced. */
static void all_that_is_counted_is_given_once(void **state)
{
	struct lowering_test test = { .count = true };
	uint64_t epoch;

	(void)state;
	lowering_begin(&test);
	lowering_counting = &test;
	epoch = lowering_connect(&test, 0, "udp");
	assert_int_equal(sem_wait(&test.begun), 0);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(lowering_given(&test, 0), 5);
		assert_false(device_connected(test.device, epoch));
	}
	assert_int_equal(sem_post(&test.may_end), 0);
	lowering_await(&test, epoch);
	assert_int_equal(lowering_given(&test, 0), 5);
	lowering_count(&test.counters[0], 2);
	assert_int_equal(lowering_given(&test, 0), 7);
	epoch = lowering_connect(&test, 1, "tcp");
	assert_int_equal(sem_wait(&test.begun), 0);
	assert_int_equal(lowering_given(&test, 0), 7 + 5 + 1);
	assert_int_equal(lowering_given(&test, 1), 5);
	assert_false(device_connected(test.device, epoch));
	lowering_count(&test.counters[0], 1); /* late */
	assert_int_equal(sem_post(&test.may_end), 0);
	lowering_await(&test, epoch);
	lowering_count(&test.counters[1], 3);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(lowering_given(&test, 0), 7 + 5 + 2 + 3);
		assert_int_equal(lowering_given(&test, 1), 5 + 3);
	}
	lowering_counting = NULL;
	lowering_end(&test);
	for (unsigned int i = 0; i < test.n_loaded; i++)
		(void)munmap(test.counters[i].bytes, test.counters[i].n_bytes);
}

/* However often flows come that could be counted there. */
static void what_interfaces_refuse_is_logged_once(void **state)
{
	struct lowering_test test = { .has_interface = true };
	int log = memfd_create("log", MFD_CLOEXEC), messages = dup(STDERR_FILENO);
	char text[4096];
	const char *said;
	ssize_t n;

	(void)state;
	assert_true(log >= 0 && messages >= 0);
	assert_true(dup2(log, STDERR_FILENO) >= 0);
	lowering_begin(&test);
	for (unsigned int i = 0; i < 2; i++) {
		while (i > 0 && !hook_is_open(test.device->hook)) /* which the first makes */
			(void)poll(NULL, 0, 1);
		for (unsigned int n_loads = 0; n_loads < 4; n_loads++)
			assert_int_equal(sem_post(&test.may_end), 0);
		lowering_await(&test, lowering_connect(&test, 0, "udp"));
		lowering_disconnect(&test, 0);
	}
	lowering_end(&test);
	assert_true(dup2(messages, STDERR_FILENO) >= 0);
	assert_int_equal(atomic_load(&test.n_refused), 2);
	n = pread(log, text, sizeof(text) - 1, 0);
	assert_in_range(n, 1, sizeof(text) - 1);
	text[n] = '\0';
	print_message("%s", text);
	said = strstr(text,
		"test: flows that only count are counted where packets are captured, "
		"not at the interface: no room");
	assert_non_null(said);
	assert_null(strstr(strchr(said, '\n'), "not at the interface"));
	(void)close(log);
	(void)close(messages);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_waits_for_who_comes_later),
		cmocka_unit_test(nobody_waits_for_large_programs),
		cmocka_unit_test(many_samples_are_large),
		cmocka_unit_test(all_that_is_counted_is_given_once),
		cmocka_unit_test(what_interfaces_refuse_is_logged_once),
	};

	test_driver.real_time = true;
	test_driver.select = lowering_select;
	test_driver.selects = lowering_selects;
	test_driver.listen = lowering_listen;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
