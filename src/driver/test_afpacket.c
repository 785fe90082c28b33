/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The AF_PACKET driver on a veth pair in a network namespace of this test's own: "a" sends, "b" is
 * captured, unless said otherwise. Needs the right to make namespaces; skips without.
 */
#undef NDEBUG
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "test_afpacket_private.h"

static void test_counts_and_bytes_are_those_sent(void **state)
{
	struct test_capture c;
	struct driver_chunk chunk;
	uint64_t n_bytes = 0;

	test_capture_open(&c, "b", &(struct driver_options){ .snaplen_bytes = 0 }, 1);
	assert_int_equal(driver_afpacket.claim(c.source, &chunk), DRIVER_E_IDLE);
	/* In parts: the kernel has room for 1,000 between two interfaces (netdev_max_backlog). */
	for (unsigned int i = 0; i < 3000; i++) {
		n_bytes += test_send_udp("a", i, 60 + i % 1400, 1);
		if (i % 500 == 499)
			test_capture_read(&c, i + 1);
	}
	assert_int_equal(c.pkts, 3000);
	assert_int_equal(c.wire_bytes, n_bytes);
	assert_int_equal(c.all_wire_bytes, n_bytes);
	assert_int_equal(c.cap_bytes, n_bytes);
	assert_int_equal(c.outbound, 0);
	assert_int_equal(c.disordered, 0);
	/* Packets carry their numbers. */
	assert_int_equal(c.numbers, 3000ull * 2999 / 2);
	test_capture_close(&c);
}

static void test_outgoing_packets_are_seen_and_marked(void **state)
{
	struct test_capture c;

	test_capture_open(&c, "a", NULL, 1);
	for (unsigned int i = 0; i < 20; i++)
		(void)test_send_udp("a", i, 100, 1);
	for (unsigned int i = 0; i < 30; i++)
		(void)test_send_udp("b", i, 100, 1);
	test_capture_read(&c, 50);
	assert_int_equal(c.pkts, 50);
	assert_int_equal(c.outbound, 20);
	test_capture_close(&c);
}

static void test_tags_are_put_back(void **state)
{
	static const uint16_t tags[][2] = { { 0x8100, 0 }, { 0x88a8, 0 }, { 0x8100, 0x8100 },
		{ 0x88a8, 0x8100 } };

	for (size_t k = 0; k < 4; k++) {
		struct test_frame frame = { .n = 0 };
		struct test_capture c;

		test_frame_ethernet(&frame);
		for (unsigned int t = 0; t < 2 && tags[k][t]; t++) {
			test_frame_u16(&frame, tags[k][t]);
			test_frame_u16(&frame, (uint16_t)(0x6000 + 100 * t + k)); /* priority 3 */
		}
		test_frame_udp(&frame, 7, 90, 1);
		test_capture_open(&c, "b", NULL, 1);
		test_send("a", &frame, NULL);
		test_capture_read(&c, 1);
		assert_int_equal(c.pkts, 1);
		assert_int_equal(c.wire_bytes, frame.n);
		assert_int_equal(c.last_bytes, frame.n);
		assert_memory_equal(c.last, frame.bytes, frame.n);
		assert_true(c.last_flags & PACKET_TAG_RESTORED);
		test_capture_close(&c);
	}
}

static void test_snaplen_cuts_also_behind_a_tag(void **state)
{
	for (unsigned int tagged = 0; tagged < 2; tagged++) {
		struct test_frame frame = { .n = 0 };
		struct test_capture c;

		test_frame_ethernet(&frame);
		if (tagged) {
			test_frame_u16(&frame, 0x8100);
			test_frame_u16(&frame, 42);
		}
		test_frame_udp(&frame, 7, 900, 1);
		for (uint32_t snaplen = 1; snaplen < 80; snaplen += snaplen < 10 ? 9
				: snaplen < 20                                   ? 1
										 : 20) {
			struct driver_interface interface;

			test_capture_open(&c, "b",
				&(struct driver_options){
					.snaplen_bytes = snaplen, .ring_bytes = 1 },
				1);
			assert_int_equal(driver_afpacket.interface(c.source, 0, &interface), 0);
			assert_int_equal(interface.snaplen_bytes, snaplen);
			test_send("a", &frame, NULL);
			test_capture_read(&c, 1);
			assert_int_equal(c.wire_bytes, frame.n);
			/* A tag cannot be put into less than both addresses. */
			assert_int_equal(c.last_bytes, snaplen);
			assert_memory_equal(c.last, frame.bytes, snaplen);
			test_capture_close(&c);
		}
	}
}

static void test_loopback_is_not_doubled(void **state)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = { htonl(INADDR_LOOPBACK) }
	};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct test_capture c;

	test_capture_open(&c, "lo", NULL, 1);
	/* Bound, so that nobody answers. */
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
	test_capture_read(&c, 100);
	assert_int_equal(c.pkts, 100);
	assert_int_equal(c.wire_bytes, 100 * (14 + 20 + 8 + 1));
	assert_int_equal(c.outbound, 0);
	test_capture_close(&c);
	(void)close(fd);
}

static void test_blocks_come_back_in_any_hands(void **state)
{
	struct driver_chunk chunks[16];
	struct test_capture c;
	unsigned int n = 0;

	/* All four blocks are out: no fifth one may be claimed. */
	test_capture_open(&c, "b", &(struct driver_options){ .ring_bytes = 1 }, 1);
	for (unsigned int i = 0; i < 5000; i++)
		(void)test_send_udp("a", i, 1000, i);
	while (n < 16 && driver_afpacket.claim(c.source, &chunks[n]) == 0)
		n++;
	assert_int_equal(n, 4);
	for (unsigned int i = 0; i < n; i++)
		test_capture_chunk(&c, &chunks[i]);
	for (unsigned int i = 0; i < n; i++)
		driver_afpacket.release(c.source, &chunks[i]);
	(void)test_send_udp("a", 1, 1000, 1);
	test_capture_read(&c, c.pkts + 1);
	test_capture_close(&c);
}

static void test_a_flow_has_one_ring(void **state)
{
	struct test_capture c;
	unsigned int rings = 0;

	test_capture_open(&c, "b", NULL, 2);
	for (unsigned int flow = 0; flow < 64; flow++) {
		(void)test_send_udp("a", 1, 100, flow);
		(void)test_send_udp("b", 2, 100, flow); /* swaps addresses and ports */
	}
	test_capture_read(&c, 128);
	assert_int_equal(c.pkts, 128);
	assert_int_equal(c.outbound, 64);
	for (unsigned int flow = 0; flow < 64; flow++) {
		assert_true(c.rings[flow] == 1 || c.rings[flow] == 2);
		rings |= c.rings[flow];
	}
	assert_int_equal(rings, 3);
	test_capture_close(&c);
}

static void test_super_packets_say_what_they_stand_for(void **state)
{
	for (unsigned int tagged = 0; tagged < 2; tagged++) {
		struct virtio_net_hdr vnet = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
			.gso_size = 1000,
			.hdr_len = (uint16_t)(54 + 4 * tagged),
			.csum_start = (uint16_t)(34 + 4 * tagged),
			.csum_offset = 16 };
		struct test_frame frame = { .n = 0 };
		struct test_capture c;
		struct test_capture out;
		uint32_t wire_pkts = 4;

		test_frame_ethernet(&frame);
		if (tagged) {
			test_frame_u16(&frame, 0x8100);
			test_frame_u16(&frame, 42);
		}
		test_frame_tcp(&frame, 3500);
		test_capture_open(&c, "b", NULL, 1);
		test_capture_open(&out, "a", NULL, 1);
		if (!test_capture_knows_super(&c)) { /* then segments are taken for full ones */
			vnet.gso_size = 1460;
			wire_pkts = 3;
		}
		test_send("a", &frame, &vnet);
		test_capture_read(&c, 1);
		test_capture_read(&out, 1);
		/* The veth may divide it on the way; the sums are the same. */
		assert_int_equal(c.wire_pkts, wire_pkts);
		assert_int_equal(c.all_wire_bytes, frame.n + (wire_pkts - 1) * (54 + 4 * tagged));
		if (tagged && !test_capture_knows_super(&out)) {
			assert_in_range(out.wire_pkts, 1, wire_pkts); /* the tag hides what it is */
		} else {
			assert_int_equal(out.wire_pkts, wire_pkts);
			assert_int_equal(
				out.all_wire_bytes, frame.n + (wire_pkts - 1) * (54 + 4 * tagged));
		}
		if (out.pkts == 1 && out.wire_pkts > 1) {
			assert_true(out.last_flags & PACKET_SUPER);
			assert_true(out.last_flags & PACKET_CHECKSUM_OPEN);
			assert_int_equal(out.last_bytes, frame.n);
		}
		test_capture_close(&c);
		test_capture_close(&out);
	}
}

static void test_assert_captures(struct test_capture *c)
{
	uint64_t before = c->pkts;

	for (unsigned int i = 0; i < 10; i++)
		(void)test_send_udp("a", i, 100, 1);
	test_capture_read(c, before + 10);
	assert_int_equal(c->pkts, before + 10);
}

/* Turn the claims until the source is in @state. */
static void test_await(struct test_capture *c, enum driver_state state)
{
	struct driver_stats stats;
	unsigned int i = 0;

	do {
		test_capture_idle(c);
		driver_afpacket.stats(c->source, &stats);
	} while (stats.state != state && i++ < 500);
	assert_int_equal(stats.state, state);
}

static void test_assert_changes(const struct test_capture *c, unsigned int n)
{
	struct driver_stats stats;

	driver_afpacket.stats(c->source, &stats);
	assert_int_equal(stats.changes, n);
}

static void test_assert_name(const struct test_capture *c, const char *name)
{
	struct driver_interface interface;

	assert_int_equal(driver_afpacket.interface(c->source, 0, &interface), 0);
	assert_string_equal(interface.name, name);
}

/* All of this without the right to capture: what takes it has been done by prepare(). */
static void test_interfaces_go_and_come(void **state)
{
	for (unsigned int n_workers = 1; n_workers <= 2; n_workers++) {
		struct driver_stats stats;
		struct test_capture c;

		test_capture_open_without_right(&c, "b", n_workers);
		test_assert_captures(&c);

		test_veth_ip("link set dev b down");
		test_await(&c, DRIVER_DOWN);
		test_veth_up();
		test_await(&c, DRIVER_UP);
		test_assert_captures(&c);
		driver_afpacket.stats(c.source, &stats);
		assert_int_equal(stats.outages, 1);

		/* Quicker than anybody looks. */
		test_veth_ip("link set dev b down");
		test_veth_up();
		test_assert_captures(&c);
		test_capture_idle(&c);
		driver_afpacket.stats(c.source, &stats);
		assert_int_equal(stats.outages, 2);

		test_veth_ip("link del dev b");
		test_await(&c, DRIVER_GONE);
		test_veth_ip("link add name a type veth peer name b");
		test_await(&c, DRIVER_DOWN);
		test_veth_up();
		test_await(&c, DRIVER_UP);
		test_assert_captures(&c);
		driver_afpacket.stats(c.source, &stats);
		assert_int_equal(stats.outages, 3);

		/* Under the same number. */
		test_veth_ip("link del dev b");
		test_veth_ip("link add name a index 1000 type veth peer name b index 1001");
		test_veth_up();
		test_await(&c, DRIVER_UP);
		test_assert_captures(&c);
		test_veth_ip("link del dev b");
		test_veth_ip("link add name a index 1000 type veth peer name b index 1001");
		test_veth_up();
		test_capture_idle(&c);
		test_await(&c, DRIVER_UP);
		test_assert_captures(&c);
		driver_afpacket.stats(c.source, &stats);
		assert_int_equal(stats.outages, 5);
		assert_int_equal(stats.changes, 0);

		test_veth_ip("link set dev b down"); /* kernels before 6.2 insist */
		test_veth_ip("link set dev b name c");
		test_await(&c, DRIVER_DOWN);
		test_assert_changes(&c, 1);
		test_veth_ip("link set dev c up");
		test_veth_ip("link set dev c mtu 9000");
		test_veth_ip("link set dev a mtu 9000");
		test_veth_await_running("a");
		(void)test_send_udp("a", 1, 9000, 1);
		test_capture_read(&c, c.pkts + 1);
		assert_int_equal(c.last_bytes, 9000);
		test_await(&c, DRIVER_UP);
		test_assert_name(&c, "c");
		test_assert_changes(&c, 2);
		test_veth_ip("link del dev c");
		test_veth_ip(
			"link add name a type veth peer name b"); /* the name that was asked for */
		test_veth_up();
		test_await(&c, DRIVER_UP);
		test_assert_captures(&c);
		test_assert_name(&c, "b");
		test_assert_changes(&c, 3);
		test_capture_close(&c);
	}
}

/* ---- questions that wait ---- */

static _Atomic bool test_holds; /* questions about interfaces have no answer */
static _Atomic unsigned int test_n_held;

int __real_afpacket_link_get(int fd, int ifindex, const char *name, struct afpacket_link *ret);
int __wrap_afpacket_link_get(int fd, int ifindex, const char *name, struct afpacket_link *ret);

int __wrap_afpacket_link_get(int fd, int ifindex, const char *name, struct afpacket_link *ret)
{
	test_n_held += test_holds;
	while (test_holds)
		(void)sched_yield();
	return __real_afpacket_link_get(fd, ifindex, name, ret);
}

int __real_afpacket_link_counts(int fd, int ifindex, struct afpacket_counts *ret);
int __wrap_afpacket_link_counts(int fd, int ifindex, struct afpacket_counts *ret);

int __wrap_afpacket_link_counts(int fd, int ifindex, struct afpacket_counts *ret)
{
	while (test_holds)
		(void)sched_yield();
	return __real_afpacket_link_counts(fd, ifindex, ret);
}

static void *test_claim_once(void *argument)
{
	struct test_capture *c = argument;
	struct driver_chunk chunk;

	return driver_afpacket.claim(c->source, &chunk) == DRIVER_E_IDLE ? NULL : c;
}

/* The control thread reads counters and names while a worker waits for whoever changes interfaces.
 */
static void test_counters_do_not_wait_for_questions(void **state)
{
	struct driver_interface interface;
	struct driver_stats stats;
	struct test_capture c;
	pthread_t thread;
	void *failed;

	test_capture_open(&c, "b", NULL, 1);
	test_await(&c, DRIVER_UP);
	test_veth_ip("link set dev b down");
	test_holds = true;
	assert_int_equal(pthread_create(&thread, NULL, test_claim_once, &c), 0);
	while (!test_n_held)
		(void)sched_yield();
	(void)alarm(20); /* or this hangs */
	driver_afpacket.stats(c.source, &stats);
	assert_int_equal(driver_afpacket.interface(c.source, 0, &interface), 0);
	(void)alarm(0);
	assert_string_equal(interface.name, "b");
	assert_int_equal(stats.state, DRIVER_UP); /* not known yet */
	test_holds = false;
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	test_await(&c, DRIVER_DOWN);
	test_veth_up();
	test_await(&c, DRIVER_UP);
	test_capture_close(&c);
}

static void test_waking_ends_the_claims(void **state)
{
	struct driver_chunk chunk;
	struct test_capture c;

	test_capture_open(&c, "b", NULL, 1);
	driver_afpacket.wake(c.source);
	assert_int_equal(driver_afpacket.claim(c.source, &chunk), DRIVER_E_END);
	assert_int_equal(driver_afpacket.claim(c.source, &chunk), DRIVER_E_END);
	test_capture_close(&c);
}

static void test_refusals_say_what_to_do(void **state)
{
	static const char *const names[] = { "nosuch", "", "a/b", "a-name-that-is-too-long" };
	struct driver_open_args args = { .fd = -1, .batch_pkts = 256, .n_workers = 1 };
	struct driver_source *source;
	int fds[DRIVER_FDS_MAX];
	unsigned int n_fds;

	for (size_t i = 0; i < 4; i++) {
		struct error err = ERROR_INIT;

		args.name = names[i];
		assert_false(driver_afpacket.match(&args));
		assert_int_equal(driver_afpacket.prepare(&args, fds, &n_fds, &err), -EINVAL);
		assert_int_equal(err.code, MAPID_NO_DRIVER);
		assert_non_null(strstr(err.text, "mapi devices"));
	}
	args.name = "b";
	assert_true(driver_afpacket.match(&args));
	assert_ptr_equal(driver_find(&args), &driver_afpacket);
	assert_int_equal(seteuid(65534), 0);
	for (unsigned int i = 0; i < 2; i++) {
		struct error err = ERROR_INIT;
		int r = i ? driver_afpacket.open(&source, &args, &err)
			  : driver_afpacket.prepare(&args, fds, &n_fds, &err);

		assert_int_equal(r, -EINVAL);
		assert_int_equal(err.code, MAPI_NO_PERMISSION);
		assert_non_null(strstr(err.text, "CAP_NET_RAW"));
	}
	assert_int_equal(seteuid(0), 0);
}

/* All sorts of frames, in both directions. Return: bytes of a pcap file of them. */
static size_t test_send_all_sorts(unsigned int n)
{
	static const uint16_t tags[] = { 0x8100, 0x88a8, 0x8100 };
	size_t file_bytes = 24;

	for (unsigned int i = 0; i < n; i++) {
		struct test_frame frame = { .n = 0 };

		test_frame_ethernet(&frame);
		for (unsigned int t = 0; t < i % 4; t++) {
			test_frame_u16(&frame, tags[t]);
			test_frame_u16(&frame, (uint16_t)(i + t));
		}
		test_frame_udp(&frame, i, 62 + i * 13 % 1400, i);
		test_send(i % 3 ? "a" : "b", &frame, NULL);
		file_bytes += 16 + frame.n;
	}
	return file_bytes;
}

/* Record for record what tcpdump writes, of the same traffic on the same interface. */
static void test_records_are_those_of_tcpdump(void **state)
{
	static uint8_t written[TEST_COPY_BYTES], copy[TEST_COPY_BYTES];
	struct test_capture c;
	size_t n_bytes, at = 24, copy_at = 0;
	int fd;
	pid_t pid;

	if (!test_tcpdump_start("b", &pid, &fd))
		skip();
	test_capture_open(&c, "b", NULL, 1);
	c.copy = copy;
	n_bytes = test_send_all_sorts(600);
	test_capture_read(&c, 600);
	assert_int_equal(c.pkts, 600);
	test_tcpdump_end(pid, fd, written, n_bytes);
	for (unsigned int i = 0; i < 600; i++) {
		uint32_t head[4], cap_bytes;

		memcpy(head, written + at, sizeof(head));
		memcpy(&cap_bytes, copy + copy_at, sizeof(cap_bytes));
		assert_int_equal(head[2], cap_bytes);
		assert_int_equal(head[3], cap_bytes);
		assert_memory_equal(
			written + at + sizeof(head), copy + copy_at + sizeof(cap_bytes), cap_bytes);
		at += sizeof(head) + cap_bytes;
		copy_at += sizeof(cap_bytes) + cap_bytes;
	}
	assert_int_equal(at, n_bytes);
	test_capture_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_and_bytes_are_those_sent),
		cmocka_unit_test(test_outgoing_packets_are_seen_and_marked),
		cmocka_unit_test(test_tags_are_put_back),
		cmocka_unit_test(test_snaplen_cuts_also_behind_a_tag),
		cmocka_unit_test(test_loopback_is_not_doubled),
		cmocka_unit_test(test_blocks_come_back_in_any_hands),
		cmocka_unit_test(test_a_flow_has_one_ring),
		cmocka_unit_test(test_super_packets_say_what_they_stand_for),
		cmocka_unit_test(test_interfaces_go_and_come),
		cmocka_unit_test(test_records_are_those_of_tcpdump),
		cmocka_unit_test(test_counters_do_not_wait_for_questions),
		cmocka_unit_test(test_waking_ends_the_claims),
		cmocka_unit_test(test_refusals_say_what_to_do),
	};

	if (!test_veth_enter()) {
		puts("skipped: no right to make a network namespace, or no ip command");
		return 77;
	}
	return cmocka_run_group_tests_name("afpacket", tests, NULL, NULL);
}
