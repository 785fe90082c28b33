/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flows that come to a running device and go (semantics C1). The device reads a pipe, so that the
 * test decides which packets there are at which time. Every packet has a length of its own number:
 * a sum over packets that is right for a count tells that these were the last packets of that
 * count, without a gap and without one twice.
 */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "session.h"
#include "test_sensor_private.h"

#define CHANGE_FLOWS 12
#define CHANGE_PKTS_MAX 200000u

struct change_flow {
	uint32_t id;
	const struct results_flow *shared;
	const struct results_slot *pkts;
	const struct results_slot *bytes;
	uint64_t least, most; /* packets before its connection: as known before and after it */
};

/* @fed: packets that are in the pipe, or have been */
struct change_pipe {
	int fd;
	atomic_uint fed;
	atomic_bool enough;
};

static uint32_t change_length(uint32_t no)
{
	return 60 + no * 2654435761u % 97;
}

static void change_write(int fd, const void *bytes, size_t n_bytes)
{
	const char *at = bytes;

	while (n_bytes > 0) {
		ssize_t n = write(fd, at, n_bytes);

		assert_true(n > 0);
		at += n;
		n_bytes -= (size_t)n;
	}
}

static void change_feed(struct change_pipe *feed, uint32_t n_pkts)
{
	for (uint32_t i = 0; i < n_pkts; i++) {
		uint32_t no = atomic_load(&feed->fed), length = change_length(no);
		uint32_t record[4 + 160 / 4] = { 1000000000 + no / 1000000, no % 1000000, length,
			length };

		change_write(feed->fd, record, 16 + length);
		atomic_store(&feed->fed, no + 1);
	}
}

/* A device on a new pipe in which a file head is. */
static uint64_t change_open(struct test_client *client, struct change_pipe *feed)
{
	const uint32_t head[6] = { 0xa1b2c3d4, 0x00040002, 0, 0, 65535, 1 };
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	*feed = (struct change_pipe){ .fd = fds[1] };
	change_write(feed->fd, head, sizeof(head));
	return test_open_fd(client, fds[0]);
}

/* A flow that first waits for @n_others and itself; none: it does not wait. */
static struct change_flow change_flow_waiting(struct test_client *client, uint64_t device,
	const struct change_flow *const *others, unsigned int n_others)
{
	struct change_flow flow = { .least = 0 };
	char list[64];
	int n;

	flow.id = test_flow(client, device, false, &flow.shared);
	n = snprintf(list, sizeof(list), "%u", flow.id);
	for (unsigned int i = 0; i < n_others; i++)
		n += snprintf(list + n, sizeof(list) - (size_t)n, ", %u", others[i]->id);
	if (n_others)
		assert_null(
			test_apply(client, flow.id, "SYNC", (const char *[]){ list }, 1)->error);
	flow.pkts = test_slot(client, test_apply(client, flow.id, "PKT_COUNTER", NULL, 0));
	flow.bytes = test_slot(client, test_apply(client, flow.id, "BYTE_COUNTER", NULL, 0));
	return flow;
}

static struct change_flow change_flow_new(struct test_client *client, uint64_t device)
{
	return change_flow_waiting(client, device, NULL, 0);
}

/* Flushed results change no more while no packet is under way. */
static void change_reach(struct test_client *client, const struct change_flow *flow, uint64_t pkts)
{
	do
		test_flush(client, flow->id);
	while (test_u64(flow->pkts) < pkts);
}

static void change_check(const struct change_flow *flow, uint32_t from, uint32_t to)
{
	uint64_t bytes = 0;

	for (uint32_t no = from; no < to; no++)
		bytes += change_length(no);
	assert_int_equal(test_u64(flow->pkts), to - from);
	assert_int_equal(test_u64(flow->bytes), bytes);
}

static void change_in_steps(unsigned int n_workers)
{
	struct test_client client;
	struct change_pipe feed;
	struct change_flow a, b, c;
	uint64_t device;

	test_start(&client);
	test_greet(&client, n_workers);
	device = change_open(&client, &feed);
	a = change_flow_new(&client, device);
	test_connect(&client, a.id);
	test_start_device(&client, device);
	change_feed(&feed, 100);
	change_reach(&client, &a, 100);

	b = change_flow_new(&client, device);
	test_connect(&client, b.id);
	change_feed(&feed, 50);
	change_reach(&client, &b, 50);
	change_reach(&client, &a, 150);

	c = change_flow_new(&client, device);
	test_connect(&client, c.id);
	change_feed(&feed, 1); /* fewer than there are workers */
	change_reach(&client, &c, 1);
	change_feed(&feed, 32);
	change_reach(&client, &c, 33);
	change_check(&c, 150, 183);
	test_close(&client, c.id, 0);

	change_feed(&feed, 200);
	close(feed.fd);
	test_finish(&client, a.id, a.shared);
	test_finish(&client, b.id, b.shared);
	change_check(&a, 0, 383);
	change_check(&b, 100, 383);
	assert_int_equal(a.shared->pkts, 383);
	assert_int_equal(b.shared->pkts, 283);
	assert_int_equal(a.shared->error_code, 0);
	assert_int_equal(b.shared->error_code, 0);
	test_stop(&client);
}

static void a_flow_counts_what_comes_after_its_connection(void **unused)
{
	change_in_steps(1);
	change_in_steps(3);
}

static void *change_feeder(void *argument)
{
	struct change_pipe *feed = argument;

	while (!atomic_load(&feed->enough) && atomic_load(&feed->fed) < CHANGE_PKTS_MAX)
		change_feed(feed, 7);
	change_feed(feed, 100);
	close(feed->fd);
	return NULL;
}

/* Packets flow while flows come and go: where exactly each begins is not known, but each counts all
 * from there on. */
static void change_in_the_stream(unsigned int n_workers)
{
	struct change_flow first, flows[CHANGE_FLOWS];
	struct test_client client;
	struct change_pipe feed;
	pthread_t feeder;
	uint64_t device;
	uint32_t fed;

	test_start(&client);
	test_greet(&client, n_workers);
	device = change_open(&client, &feed);
	first = change_flow_new(&client, device);
	test_connect(&client, first.id);
	test_start_device(&client, device);
	assert_int_equal(pthread_create(&feeder, NULL, change_feeder, &feed), 0);
	for (unsigned int i = 0; i < CHANGE_FLOWS; i++) {
		struct change_flow passing = change_flow_new(&client, device);

		change_reach(&client, &first, test_u64(first.pkts) + 1);
		test_connect(&client, passing.id);
		flows[i] = change_flow_new(&client, device);
		test_flush(&client, first.id);
		flows[i].least = test_u64(first.pkts);
		test_connect(&client, flows[i].id);
		flows[i].most = atomic_load(&feed.fed);
		test_close(&client, passing.id, 0);
	}
	atomic_store(&feed.enough, true);
	assert_int_equal(pthread_join(feeder, NULL), 0);
	fed = atomic_load(&feed.fed);
	test_finish(&client, first.id, first.shared);
	change_check(&first, 0, fed);
	for (unsigned int i = 0; i < CHANGE_FLOWS; i++) {
		uint64_t from;

		test_finish(&client, flows[i].id, flows[i].shared);
		from = fed - test_u64(flows[i].pkts);
		assert_in_range(from, flows[i].least, flows[i].most + 1); /* one is being fed */
		change_check(&flows[i], (uint32_t)from, fed);
	}
	test_stop(&client);
}

static void flows_that_come_in_the_stream_lose_and_repeat_nothing(void **unused)
{
	change_in_the_stream(1);
	change_in_the_stream(3);
}

/* Flows of one device begin with the same packet, the one from which on the last of them counts. */
static void change_together(unsigned int n_workers)
{
	struct change_flow all, waiting, last;
	struct test_client client;
	struct change_pipe feed;
	uint64_t device;

	test_start(&client);
	test_greet(&client, n_workers);
	device = change_open(&client, &feed);
	all = change_flow_new(&client, device);
	last = change_flow_new(&client, device);
	waiting = change_flow_waiting(&client, device, (const struct change_flow *[]){ &last }, 1);
	test_connect(&client, all.id);
	test_connect(&client, waiting.id);
	test_start_device(&client, device);
	change_feed(&feed, 100);
	change_reach(&client, &all, 100);
	assert_int_equal(test_u64(waiting.pkts), 0);

	test_connect(&client, last.id);
	change_feed(&feed, 50);
	change_reach(&client, &all, 150);
	change_check(&waiting, 100, 150);
	change_check(&last, 100, 150);

	/* That they have met is enough. */
	test_close(&client, last.id, 0);
	change_feed(&feed, 7);
	close(feed.fd);
	test_finish(&client, waiting.id, waiting.shared);
	change_check(&waiting, 100, 157);
	test_stop(&client);
}

/* The last flow is one of another device. */
static void change_elsewhere(unsigned int n_workers)
{
	struct change_flow all, waiting, near, far;
	struct change_pipe feed, other_feed;
	struct test_client client;
	uint64_t device, other;

	test_start(&client);
	test_greet(&client, n_workers);
	device = change_open(&client, &feed);
	other = change_open(&client, &other_feed);
	all = change_flow_new(&client, device);
	near = change_flow_new(&client, device);
	far = change_flow_new(&client, other);
	waiting = change_flow_waiting(
		&client, device, (const struct change_flow *[]){ &near, &far }, 2);
	test_connect(&client, all.id);
	test_connect(&client, waiting.id);
	test_start_device(&client, device);
	test_connect(&client, near.id);
	change_feed(&feed, 100);
	change_reach(&client, &all, 100);
	assert_int_equal(test_u64(waiting.pkts), 0);

	test_connect(&client, far.id);
	change_feed(&feed, 50);
	change_reach(&client, &all, 150);
	change_check(&waiting, 100, 150);
	close(feed.fd);
	close(other_feed.fd);
	test_stop(&client);
}

enum change_beginning { CHANGE_AT_ONCE, CHANGE_LATER, CHANGE_WAITING };

/* What a flow chooses by chance of 200 packets, the same each time, though not the device's first
 * ones. Return: their bytes. */
static uint64_t change_sample(unsigned int n_workers, enum change_beginning beginning)
{
	struct change_flow all, sample, last;
	struct test_client client;
	struct change_pipe feed;
	uint64_t device, bytes;

	test_start(&client);
	test_greet(&client, n_workers);
	device = change_open(&client, &feed);
	all = change_flow_new(&client, device);
	last = change_flow_new(&client, device);
	sample.id = test_flow(&client, device, false, &sample.shared);
	if (beginning == CHANGE_WAITING) {
		char list[32];

		(void)snprintf(list, sizeof(list), "%u,%u", sample.id, last.id);
		assert_null(
			test_apply(&client, sample.id, "SYNC", (const char *[]){ list }, 1)->error);
	} else { /* has the same number */
		assert_null(test_apply(&client, sample.id, "PKT_COUNTER", NULL, 0)->error);
	}
	assert_null(
		test_apply(&client, sample.id, "SAMPLE", (const char *[]){ "30", "3" }, 2)->error);
	sample.pkts = test_slot(&client, test_apply(&client, sample.id, "PKT_COUNTER", NULL, 0));
	sample.bytes = test_slot(&client, test_apply(&client, sample.id, "BYTE_COUNTER", NULL, 0));
	test_connect(&client, all.id);
	test_start_device(&client, device);
	if (beginning == CHANGE_WAITING)
		test_connect(&client, sample.id);
	if (beginning != CHANGE_AT_ONCE) {
		change_feed(&feed, 100);
		change_reach(&client, &all, 100);
	}
	if (beginning != CHANGE_WAITING)
		test_connect(&client, sample.id);
	test_connect(&client, last.id);
	atomic_store(&feed.fed, 100);
	change_feed(&feed, 200);
	close(feed.fd);
	test_finish(&client, sample.id, sample.shared);
	assert_in_range(test_u64(sample.pkts), 30, 90);
	bytes = test_u64(sample.bytes);
	test_stop(&client);
	return bytes;
}

static void chance_begins_with_the_flow(void **unused)
{
	uint64_t bytes = change_sample(1, CHANGE_AT_ONCE);

	for (unsigned int n_workers = 1; n_workers <= 3; n_workers += 2) {
		assert_int_equal(change_sample(n_workers, CHANGE_AT_ONCE), bytes);
		assert_int_equal(change_sample(n_workers, CHANGE_LATER), bytes);
		assert_int_equal(change_sample(n_workers, CHANGE_WAITING), bytes);
	}
}

static void flows_that_wait_for_each_other_begin_together(void **unused)
{
	change_together(1);
	change_together(3);
	change_elsewhere(1);
	change_elsewhere(3);
}

static void a_flow_waits_for_flows_that_there_are(void **unused)
{
	static const char *const lists[] = { "", ",", "0", "-1", "x", "1,", "1 1", "1@1", "99999",
		"18446744073709551617" };
	struct test_client client;
	struct change_pipe feed;
	char list[256] = "";
	uint64_t device;
	uint32_t id;

	test_start(&client);
	test_greet(&client, 1);
	device = change_open(&client, &feed);
	id = test_flow(&client, device, false, NULL);
	for (unsigned int i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const Wire__Reply *reply = test_apply(&client, id, "SYNC", &lists[i], 1);

		assert_non_null(reply->error);
		assert_int_equal(reply->error->code, 7001);
	}
	for (unsigned int i = 0; i < 33; i++)
		snprintf(
			list + strlen(list), sizeof(list) - strlen(list), "%s%u", i ? "," : "", id);
	assert_int_equal(
		test_apply(&client, id, "SYNC", (const char *[]){ list }, 1)->error->code, 7001);
	*strrchr(list, ',') = '\0';
	assert_null(test_apply(&client, id, "SYNC", (const char *[]){ list }, 1)->error);
	close(feed.fd);
	test_stop(&client);
}

/* Two flows, each with statistics of the other's counter. */
static void change_circle(struct test_client *client, uint64_t device, uint32_t ret[2])
{
	for (unsigned int i = 0; i < 2; i++) {
		ret[i] = test_flow(client, device, false, NULL);
		assert_null(test_apply(client, ret[i], "PKT_COUNTER", NULL, 0)->error);
	}
	for (unsigned int i = 0; i < 2; i++) {
		char text[16];

		(void)snprintf(text, sizeof(text), "%u", ret[!i]);
		assert_null(
			test_apply(client, ret[i], "STATS", (const char *[]){ text, "1", "0" }, 3)
				->error);
	}
}

/* A flow that is connected, but held because it refers to one that is not, has not begun: who waits
 * for it still does, on its device (@near) and on another one. It begins when the other comes, or
 * keeps nobody waiting because it goes. */
static void change_held(bool comes)
{
	struct change_flow all, elsewhere, near, far, held = { .least = 0 };
	struct change_pipe feed, other_feed;
	struct test_client client;
	uint64_t device, other;
	uint32_t circle[2];

	test_start(&client);
	test_greet(&client, 1);
	device = change_open(&client, &feed);
	other = change_open(&client, &other_feed);
	all = change_flow_new(&client, device);
	elsewhere = change_flow_new(&client, other);
	change_circle(&client, device, circle);
	held.id = circle[0];
	near = change_flow_waiting(&client, device, (const struct change_flow *[]){ &held }, 1);
	far = change_flow_waiting(&client, other, (const struct change_flow *[]){ &held }, 1);
	test_connect(&client, all.id);
	test_start_device(&client, device);
	test_connect(&client, elsewhere.id);
	test_start_device(&client, other);
	test_connect(&client, near.id);
	test_connect(&client, far.id);
	test_connect(&client, held.id);
	for (uint32_t n_fed = 50; n_fed <= 100; n_fed += 50) {
		change_feed(&feed, 50);
		change_feed(&other_feed, 50);
		change_reach(&client, &all, n_fed);
		change_reach(&client, &elsewhere, n_fed);
		assert_int_equal(test_u64(near.pkts), n_fed - 50);
		assert_int_equal(test_u64(far.pkts), n_fed - 50);
		if (n_fed == 50 && comes)
			test_connect(&client, circle[1]);
		else if (n_fed == 50)
			test_close(&client, held.id, 0);
	}
	change_check(&near, 50, 100);
	change_check(&far, 50, 100);
	close(feed.fd);
	close(other_feed.fd);
	test_stop(&client);
}

static void who_is_held_has_not_begun(void **unused)
{
	change_held(true);
	change_held(false);
}

/* More of them than a program may have at once, and a pair that has counted. */
static void flows_that_refer_to_each_other_go_together(void **unused)
{
	struct test_client client;
	struct change_pipe feed;
	struct change_flow other;
	uint32_t circle[2];
	uint64_t device;

	test_start(&client);
	test_greet(&client, 1);
	device = change_open(&client, &feed);
	for (unsigned int i = 0; i < SESSION_FLOWS_MAX / 2; i++) {
		change_circle(&client, device, circle);
		test_close(&client, circle[i % 2], 0);
		test_close(&client, circle[!(i % 2)], 0);
	}
	other = change_flow_new(&client, device);
	change_circle(&client, device, circle);
	test_connect(&client, circle[0]);
	test_connect(&client, circle[1]);
	test_connect(&client, other.id);
	test_start_device(&client, device);
	change_feed(&feed, 100);
	change_reach(&client, &other, 100);
	test_close(&client, circle[0], 0);
	change_feed(&feed, 100);
	change_reach(&client, &other, 200);
	test_close(&client, circle[1], 0);
	change_feed(&feed, 100);
	close(feed.fd);
	test_finish(&client, other.id, other.shared);
	change_check(&other, 0, 300);
	assert_int_equal(other.shared->error_code, 0);
	test_stop(&client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_held_has_not_begun),
		cmocka_unit_test(flows_that_refer_to_each_other_go_together),
		cmocka_unit_test(a_flow_counts_what_comes_after_its_connection),
		cmocka_unit_test(flows_that_come_in_the_stream_lose_and_repeat_nothing),
		cmocka_unit_test(flows_that_wait_for_each_other_begin_together),
		cmocka_unit_test(chance_begins_with_the_flow),
		cmocka_unit_test(a_flow_waits_for_flows_that_there_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
