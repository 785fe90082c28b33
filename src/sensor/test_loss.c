/* SPDX-License-Identifier: BSD-2-Clause */
/* What is reported as lost, from what the kernel counts: see loss.h. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka wants those before it. */
#include <cmocka.h>

#include "loss.h"

/* struct test_link - what happens on an interface, and what a driver says of it. */
struct test_link {
	struct loss loss;
	struct driver_stats stats;
	uint64_t unseen; /* foreign, and counted in the kernel */
	uint64_t waiting; /* captured, not read */
	uint64_t waiting_foreign;
};

static void test_read(struct test_link *link)
{
	link->stats.drops.read_pkts += link->waiting;
	link->stats.drops.foreign_pkts += link->waiting_foreign;
	link->waiting = link->waiting_foreign = 0;
}

/* A packet is captured; @foreign: and dropped afterwards. */
static void test_capture(struct test_link *link, bool foreign)
{
	link->waiting++;
	link->stats.drops.met_pkts++;
	link->waiting_foreign += foreign;
	link->stats.drops.pkts += foreign;
}

/* One is lost in a queue of the machine, or (@mine false) in that of another interface. */
static void test_queue_drops(struct test_link *link, bool mine)
{
	link->stats.drops.queues_before++;
	link->stats.drops.queues_after++;
	link->stats.drops.pkts += mine;
}

/* The counters are read. Return: packets reported as lost. */
static uint64_t test_look(struct test_link *link)
{
	link->stats.drops.n_read++;
	return loss_update(&link->loss, &link->stats, link->unseen);
}

static uint64_t test_look_at_the_end(struct test_link *link)
{
	test_read(link);
	return test_look(link);
}

static void without_foreign_packets_all_that_is_dropped_is_lost(void **state)
{
	struct test_link link = { .stats = { .drops = { .pkts = 0 } } };

	link.stats.drops.queues_before = link.stats.drops.queues_after = 1000;
	assert_int_equal(test_look(&link), 0);
	for (unsigned int i = 1; i <= 10; i++) {
		test_capture(&link, false);
		link.stats.drops.pkts += i % 2;
		assert_int_equal(test_look_at_the_end(&link), (i + 1) / 2);
	}
	link.stats.nic_lost_pkts = 7;
	assert_int_equal(test_look(&link), 12);
}

static void foreign_packets_are_no_loss(void **state)
{
	struct test_link link = { .stats = { .drops = { .pkts = 0 } } };

	assert_int_equal(test_look(&link), 0);
	for (unsigned int i = 0; i < 100; i++) {
		test_capture(&link, true);
		if (i % 7 == 0)
			test_read(&link);
		/* What waits has been dropped, but nobody knows yet what it is. */
		assert_int_equal(test_look(&link), 0);
	}
	assert_int_equal(test_look_at_the_end(&link), 0);
	/* Two readings later they hide nothing that is lost. */
	assert_int_equal(test_look(&link), 0);
	assert_int_equal(test_look(&link), 0);
	link.stats.drops.pkts += 5;
	assert_int_equal(test_look(&link), 5);
}

static void foreign_packets_may_stay_in_the_kernel(void **state)
{
	struct test_link link = { .stats = { .drops = { .pkts = 0 } } };

	assert_int_equal(test_look(&link), 0);
	for (unsigned int i = 0; i < 100; i++) {
		link.unseen += 3;
		link.stats.drops.pkts += 3;
		assert_int_equal(test_look(&link), 0);
	}
}

/* Counted after the reading, it was dropped after it, too: it stands for a packet of the next. */
static void a_foreign_packet_may_come_while_counters_are_read(void **state)
{
	struct test_link link = { .stats = { .drops = { .pkts = 0 } } };

	assert_int_equal(test_look(&link), 0);
	for (unsigned int i = 0; i < 100; i++) {
		link.unseen++;
		assert_int_equal(test_look(&link), 0);
		link.stats.drops.pkts++;
		assert_int_equal(test_look(&link), 0);
	}
}

static void a_full_ring_may_have_dropped_foreign_packets(void **state)
{
	struct test_link link = { .stats = { .drops = { .pkts = 0 } } };

	assert_int_equal(test_look(&link), 0);
	link.stats.ring_lost_pkts += 10;
	link.stats.drops.pkts += 10;
	assert_int_equal(test_look(&link), 0);
	/* Only those of that time. */
	link.stats.drops.pkts += 10;
	assert_int_equal(test_look(&link), 10);
}

static void what_queues_drop_is_lost(void **state)
{
	struct test_link link = { .stats = { .drops = { .pkts = 0 } } };

	link.stats.drops.queues_before = link.stats.drops.queues_after = 1000;
	link.stats.drops.pkts = 30; /* before anybody wanted to know */
	assert_int_equal(test_look(&link), 0);
	for (unsigned int i = 0; i < 50; i++) {
		test_capture(&link, true);
		test_queue_drops(&link, true);
	}
	assert_int_equal(test_look_at_the_end(&link), 50);
	/* Of another interface: at most as much as this one has dropped, and nothing if that is
	 * nothing. */
	test_queue_drops(&link, false);
	assert_int_equal(test_look_at_the_end(&link), 50);
	test_queue_drops(&link, false);
	test_capture(&link, true);
	test_capture(&link, true);
	assert_int_equal(test_look_at_the_end(&link), 51);
}

/* The same reading again says nothing new. */
static void readings_count_once(void **state)
{
	struct test_link link = { .stats = { .drops = { .pkts = 0 } } };

	assert_int_equal(test_look(&link), 0);
	link.stats.drops.pkts += 4;
	assert_int_equal(test_look(&link), 4);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(loss_update(&link.loss, &link.stats, 0), 4);
	/* A driver that has no such counts. */
	link = (struct test_link){ .stats = { .nic_lost_pkts = 3 } };
	assert_int_equal(loss_update(&link.loss, &link.stats, 0), 3);
}

/* Whatever happens, in any order: nothing is invented, and what is not reported is no more than
 * what may have been foreign in the intervals around it. */
static void losses_are_within_their_bounds(void **state)
{
	for (unsigned int seed = 1; seed <= 200; seed++) {
		struct test_link link = { .stats = { .drops = { .pkts = 0 } } };
		uint64_t lost = 0, foreign = 0, reported = test_look(&link);

		srandom(seed);
		for (unsigned int i = 0; i < 2000; i++) {
			uint64_t now;

			switch (random() % (seed % 2 ? 8 : 6)) {
			case 0:
				link.stats.drops.pkts++;
				lost++;
				break;
			case 1:
				test_read(&link);
				break;
			case 2:
				now = test_look(&link);
				assert_true(now >= reported && now <= lost);
				reported = now;
				break;
			case 6:
				test_capture(&link, true);
				foreign++;
				break;
			case 7:
				link.unseen++;
				link.stats.drops.pkts++;
				foreign++;
				break;
			default:
				test_capture(&link, false);
			}
		}
		(void)test_look_at_the_end(&link);
		reported = test_look(&link);
		assert_true(reported <= lost);
		assert_true(reported + 2 * foreign >= lost);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_foreign_packets_all_that_is_dropped_is_lost),
		cmocka_unit_test(foreign_packets_are_no_loss),
		cmocka_unit_test(foreign_packets_may_stay_in_the_kernel),
		cmocka_unit_test(a_foreign_packet_may_come_while_counters_are_read),
		cmocka_unit_test(a_full_ring_may_have_dropped_foreign_packets),
		cmocka_unit_test(what_queues_drop_is_lost),
		cmocka_unit_test(readings_count_once),
		cmocka_unit_test(losses_are_within_their_bounds),
	};

	return cmocka_run_group_tests_name("loss", tests, NULL, NULL);
}
