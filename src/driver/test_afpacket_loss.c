/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the AF_PACKET driver says was lost, on a veth pair in a network namespace of this test's
 * own: "a" sends, "b" is captured. Needs the right to make namespaces; skips without.
 */
#undef NDEBUG
#include "test_afpacket_private.h"

static void test_what_is_not_delivered_is_counted(void **state)
{
	for (unsigned int n_workers = 1; n_workers <= 2; n_workers++) {
		struct driver_stats stats;
		struct test_capture c;

		test_capture_open(&c, "b", &(struct driver_options){ .ring_bytes = 1 }, n_workers);
		for (unsigned int i = 0; i < 5000; i++)
			(void)test_send_udp("a", i, 1000, i);
		driver_afpacket.stats(c.source, &stats); /* reading it twice adds up */
		test_capture_read(&c, 5000 - stats.ring_lost_pkts);
		driver_afpacket.stats(c.source, &stats);
		assert_true(stats.ring_lost_pkts > 0);
		assert_true(c.pkts > 0);
		assert_int_equal(c.pkts + stats.ring_lost_pkts, 5000);
		/* And it goes on. */
		for (unsigned int i = 0; i < 100; i++)
			(void)test_send_udp("a", i, 1000, i);
		test_capture_read(&c, c.pkts + 100);
		assert_int_equal(c.pkts + stats.ring_lost_pkts, 5100);
		test_capture_close(&c);
	}
}

/* What has been sent is counted soon, and nothing else ever. */
static struct driver_stats test_all_is_counted(struct test_capture *c, uint64_t n_sent)
{
	uint64_t end_ns = clock_monotonic_ns() + 5000000000u;
	struct driver_stats stats;

	do {
		driver_afpacket.stats(c->source, &stats);
		assert_true(stats.drops.met_pkts + stats.ring_lost_pkts <= n_sent);
	} while (stats.drops.met_pkts + stats.ring_lost_pkts < n_sent &&
		clock_monotonic_ns() < end_ns);
	assert_int_equal(stats.drops.met_pkts + stats.ring_lost_pkts, n_sent);
	return stats;
}

/* At any moment a packet has been read, or waits in a ring, or is lost; whoever reads stands still
 * for a while, or reads a little. */
static void test_every_packet_is_somewhere(void **state)
{
	for (unsigned int n_workers = 1; n_workers <= 2; n_workers++) {
		struct driver_stats stats;
		struct test_capture c;
		uint64_t n_sent = 0;

		srandom(n_workers);
		test_capture_open(&c, "b", &(struct driver_options){ .ring_bytes = 1 }, n_workers);
		for (unsigned int round = 0; round < 60; round++) {
			unsigned int n = (unsigned int)random() % 300;

			for (unsigned int i = 0; i < n; i++)
				(void)test_send_udp("a", i, 60 + random() % 1400, i);
			n_sent += n;
			(void)test_all_is_counted(&c, n_sent);
			for (unsigned int i = 0; i < random() % 4; i++)
				test_capture_idle(&c);
			stats = test_all_is_counted(&c, n_sent);
			assert_int_equal(stats.drops.read_pkts, c.pkts);
			assert_true(c.pkts <= stats.drops.met_pkts);
		}
		test_capture_read(&c, stats.drops.met_pkts);
		stats = test_all_is_counted(&c, n_sent);
		assert_true(stats.ring_lost_pkts > 0);
		assert_int_equal(c.pkts + stats.ring_lost_pkts, n_sent);
		assert_int_equal(stats.drops.read_pkts, stats.drops.met_pkts);
		test_capture_close(&c);
	}
}

/* Turn the claims until the drops have been read twice more. */
static struct driver_drops test_drops(struct test_capture *c)
{
	struct driver_stats stats;
	uint64_t n_read;
	unsigned int i = 0;

	driver_afpacket.stats(c->source, &stats);
	n_read = stats.drops.n_read;
	while (stats.drops.n_read < n_read + 2 && i++ < 500) {
		test_capture_idle(c);
		driver_afpacket.stats(c->source, &stats);
	}
	assert_true(stats.drops.n_read >= n_read + 2);
	assert_int_equal(stats.nic_lost_pkts, 0); /* only cards count those */
	assert_int_equal(stats.ring_lost_pkts, 0);
	return stats.drops;
}

/* A packet that is larger than the peer of a veth may receive is dropped there, and counted. */
static void test_lose(const char *name, unsigned int n)
{
	struct test_frame frame = { .n = 0 };

	test_frame_ethernet(&frame);
	test_frame_udp(&frame, 1, 1400, 1);
	for (unsigned int i = 0; i < n; i++)
		assert_false(test_try_send(name, &frame, NULL));
}

static void test_losses_of_the_interface_are_counted(void **state)
{
	struct driver_drops drops;
	struct test_capture c;

	test_veth_ip("link set dev b mtu 1000");
	test_lose("a", 1); /* before it is opened: not its loss */
	test_capture_open(&c, "b", NULL, 1);
	test_lose("a", 3);
	drops = test_drops(&c);
	assert_int_equal(c.pkts, 0);
	assert_int_equal(drops.pkts, 3);
	assert_int_equal(drops.met_pkts, 0);
	(void)test_send_udp("a", 1, 100, 1);
	test_capture_read(&c, 1);
	drops = test_drops(&c);
	assert_int_equal(drops.pkts, 3);
	assert_int_equal(drops.met_pkts, 1);
	assert_int_equal(drops.read_pkts, 1);
	assert_int_equal(drops.foreign_pkts, 0);
	test_capture_close(&c);
	test_veth_ip("link set dev b mtu 1500");
}

/* What the kernel calls dropped although it was captured is no more than what is called foreign. */
static void test_foreign_packets_are_counted(void **state)
{
	static const uint16_t types[][3] = { { 0x88b5 }, { 50 }, { 0x8100, 0x88b5 },
		{ 0x88a8, 0x8100, 0x0800 }, { 0x8100, 0x8100, 0x0800 }, { 0x8100, 0x8847 },
		{ 0x8100, 0x0800 }, { 0x8100, 0x86dd }, { 0x0800 }, { 0x0806 } };
	struct driver_drops drops;
	struct test_capture c;

	for (unsigned int n_workers = 1; n_workers <= 2; n_workers++) {
		test_capture_open(&c, "b", NULL, n_workers);
		for (size_t k = 0; k < ARRAY_SIZE(types) * 10; k++) {
			struct test_frame frame = { .n = 0 };

			test_frame_ethernet(&frame);
			for (unsigned int t = 0; t < 3 && types[k / 10][t]; t++) {
				test_frame_u16(&frame, types[k / 10][t]);
				if (types[k / 10][t] == 0x8100 || types[k / 10][t] == 0x88a8)
					test_frame_u16(&frame, (uint16_t)(40 + t));
			}
			frame.n += 46;
			test_send("a", &frame, NULL);
			test_send("b", &frame, NULL); /* what leaves is not the stack's */
		}
		test_capture_read(&c, 2 * ARRAY_SIZE(types) * 10);
		drops = test_drops(&c);
		assert_int_equal(drops.met_pkts, 2 * ARRAY_SIZE(types) * 10);
		assert_int_equal(drops.read_pkts, drops.met_pkts);
		assert_int_equal(
			drops.foreign_pkts, access("/proc/net/if_inet6", F_OK) == 0 ? 60 : 70);
		assert_true(drops.pkts > 0 && drops.pkts <= drops.foreign_pkts);
		test_capture_close(&c);
	}
}

static _Atomic uint64_t test_set_back; /* by so much counters of interfaces are less */

int __real_afpacket_link_counts(int fd, int ifindex, struct afpacket_counts *ret);
int __wrap_afpacket_link_counts(int fd, int ifindex, struct afpacket_counts *ret);

int __wrap_afpacket_link_counts(int fd, int ifindex, struct afpacket_counts *ret)
{
	int r = __real_afpacket_link_counts(fd, ifindex, ret);

	if (r == 0)
		ret->dropped_pkts -= test_set_back;
	return r;
}

/* Counters are those of the interface that is captured, whatever it is called. */
static void test_losses_follow_the_interface(void **state)
{
	struct test_capture c;

	test_veth_ip("link set dev b mtu 1000");
	test_veth_ip("link add name x type veth peer name y mtu 1000");
	test_veth_ip("link set dev x up");
	test_veth_ip("link set dev y up");
	test_veth_await_running("x");
	test_capture_open(&c, "b", NULL, 1);
	test_lose("a", 3);
	test_lose("x", 50);
	assert_int_equal(test_drops(&c).pkts, 3);
	/* Others have its name. */
	test_veth_ip("link set dev b down"); /* kernels before 6.2 insist */
	test_veth_ip("link set dev y down");
	test_veth_ip("link set dev b name c");
	test_veth_ip("link set dev y name b");
	test_veth_ip("link set dev b up");
	test_veth_ip("link set dev c up");
	test_veth_await_running("a");
	test_veth_await_running("x");
	test_lose("x", 60);
	assert_int_equal(test_drops(&c).pkts, 3);
	test_lose("a", 2);
	assert_int_equal(test_drops(&c).pkts, 5);
	/* It is another one now, which has lost much before. */
	test_veth_ip("link del dev c");
	(void)test_drops(&c);
	test_lose("x", 4);
	assert_int_equal(test_drops(&c).pkts, 9);
	/* Made anew, it begins at 0; under the number of another. */
	test_veth_ip("link del dev b");
	test_veth_ip("link add name a index 2000 type veth peer name b mtu 1000 index 2001");
	test_veth_up();
	(void)test_drops(&c);
	test_lose("a", 1);
	assert_int_equal(test_drops(&c).pkts, 10);
	/* Its driver has counted from the beginning again. */
	test_set_back = 1;
	assert_int_equal(test_drops(&c).pkts, 10);
	test_lose("a", 2);
	assert_int_equal(test_drops(&c).pkts, 12);
	test_capture_close(&c);
	test_set_back = 0;
	test_veth_ip("link set dev b mtu 1500");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_not_delivered_is_counted),
		cmocka_unit_test(test_every_packet_is_somewhere),
		cmocka_unit_test(test_losses_of_the_interface_are_counted),
		cmocka_unit_test(test_foreign_packets_are_counted),
		cmocka_unit_test(test_losses_follow_the_interface),
	};

	if (!test_veth_enter()) {
		puts("skipped: no right to make a network namespace, or no ip command");
		return 77;
	}
	return cmocka_run_group_tests_name("afpacket-loss", tests, NULL, NULL);
}
