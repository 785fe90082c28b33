/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs at work, in a network namespace of their own, on a veth pair: what is sent on "a" is
 * counted leaving a and arriving at b, once, whatever the place; with tags, which the kernel takes
 * out of the packet on the way; and while programs replace each other.
 */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/test_veth.h"
#include "test_filters.h"

#define N_REPLACEMENTS 200u

static const char *const texts[] = { "", "udp", "udp port 53", "vlan", "vlan 7 and udp dst port 53",
	"vlan 7 and vlan 9", "not vlan", "ether[12:2] = 0x8100 and ether[16:2] = 0x0800",
	"len = 100", "arp", "ip6", "ip and ip[40:4] = 0", "vlan and ip[100] = 1" };
#define N_FILTERS (sizeof(texts) / sizeof(texts[0]))
#define N_FRAMES 24u

static struct test_filters filters;

static int setup(void **state)
{
	(void)state;
	test_filters_init(&filters, texts, N_FILTERS);
	(void)test_veth_enter();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_filters_deinit(&filters);
	return 0;
}

/* It hears nothing before it is filtered. */
static int open_filtered(const char *name, const struct kernel_program *program)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct error err = ERROR_INIT;

	if (kernel_attach_socket(program, fd, &err) < 0)
		fail_msg("%s", err.text);
	test_veth_bind(fd, name, ETH_P_ALL);
	return fd;
}

/* UDP to port 53, with up to two tags, of different lengths. Return: its length. */
static uint32_t frame_make(uint8_t frame[1500], unsigned int i)
{
	static const uint8_t header[] = { 0x45, 0, 0, 86, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1,
		10, 1, 0, 0, 4, 0, 0, 53, 0, 66, 0, 0 };
	uint32_t at = 12, n_bytes = i % 3 == 0 ? 100 : 60 + 50 * i;

	memset(frame, 0, 1500);
	memcpy(frame, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02", 12);
	for (unsigned int tag = 0; tag < i % 4 && tag < 2; tag++) {
		memcpy(frame + at, tag ? "\x81\x00\x00\x09" : "\x81\x00\x00\x07", 4);
		at += 4;
	}
	frame[at] = 0x08;
	frame[at + 1] = i % 5 == 4 ? 0x06 : 0x00; /* ARP, more or less */
	memcpy(frame + at + 2, header, sizeof(header));
	frame[at + 2 + 100] = 1;
	return n_bytes;
}

static bool accepts(size_t filter, const uint8_t *frame, uint32_t n_bytes)
{
	const struct bpf_insn *insns;

	(void)filter_program_insns(filters.programs[filter], &insns);
	return bpf_filter(insns, frame, n_bytes, n_bytes) != 0;
}

/* Sends all frames @rounds times, and adds what is right to count. */
static void send_frames(
	const char *interface, unsigned int rounds, struct kernel_count right[N_FILTERS])
{
	int fd = test_veth_socket(interface, 0);

	for (unsigned int i = 0; i < N_FRAMES * rounds; i++) {
		uint8_t frame[1500];
		uint32_t n_bytes = frame_make(frame, i % N_FRAMES);

		assert_int_equal(send(fd, frame, n_bytes, 0), n_bytes);
		for (size_t f = 0; f < N_FILTERS; f++) {
			if (!accepts(f, frame, n_bytes))
				continue;
			right[f].pkts++;
			right[f].bytes += n_bytes;
			right[f].units++;
		}
	}
	(void)close(fd);
}

/* What the socket programs deliver. */
#define DELIVERED 2

/* @undelivered: the other packets are counted, those that arrive. */
static struct kernel_program *load(enum kernel_hook hook, bool undelivered)
{
	static const bool deliver[N_FILTERS] = { [DELIVERED] = true };
	struct kernel_options options = { .hook = hook,
		.snaplen_bytes = 65536,
		.deliver = hook == KERNEL_SOCKET ? deliver : NULL,
		.undelivered = undelivered,
		.skip_outgoing = undelivered };
	struct kernel_program *program = NULL;
	struct error err = ERROR_INIT;
	struct kernel_code *code = test_filters_code(&filters, &options);

	if (kernel_program_load(&program, code, &err) < 0)
		fail_msg("%s", err.text);
	kernel_code_free(code);
	return program;
}

static bool has_counted(
	const struct kernel_program *program, const struct kernel_count right[N_FILTERS])
{
	struct kernel_count counts[N_FILTERS];

	kernel_program_read(program, counts, N_FILTERS);
	return memcmp(counts, right, sizeof(counts)) == 0;
}

/* Packets are on their way for a moment; then all counts are right, and stay so. */
static void await_counts(
	const struct kernel_program *program, const struct kernel_count right[N_FILTERS])
{
	uint64_t end_ns = clock_monotonic_ns() + 5000000000u;
	struct kernel_count counts[N_FILTERS];

	while (!has_counted(program, right) && clock_monotonic_ns() < end_ns)
		(void)poll(NULL, 0, 1);
	kernel_program_read(program, counts, N_FILTERS);
	for (size_t f = 0; f < N_FILTERS; f++) {
		if (counts[f].pkts != right[f].pkts || counts[f].bytes != right[f].bytes)
			print_error("'%s': %lu packets, %lu bytes instead of %lu, %lu\n", texts[f],
				(unsigned long)counts[f].pkts, (unsigned long)counts[f].bytes,
				(unsigned long)right[f].pkts, (unsigned long)right[f].bytes);
	}
	assert_true(has_counted(program, right));
}

/* A program has been run to be measured: that leaves no trace. */
static void programs_begin_at_zero(void **state)
{
	const struct kernel_count zero[N_FILTERS] = { { 0 } };

	(void)state;
	test_veth_need();
	for (enum kernel_hook hook = 0; hook < _KERNEL_HOOK_N; hook++) {
		struct kernel_program *program = load(hook, false);

		assert_true(kernel_program_cost_ns(program) > 0);
		assert_true(has_counted(program, zero));
		assert_int_equal(kernel_program_unparsed(program), 0);
		kernel_program_free(program);
	}
}

static void sockets_count_what_is_sent(void **state)
{
	struct kernel_count right[N_FILTERS] = { { 0 } };
	struct kernel_program *arriving, *leaving;
	uint64_t n_delivered = 0;
	char byte;
	int a, b;

	(void)state;
	test_veth_need();
	arriving = load(KERNEL_SOCKET, false);
	leaving = load(KERNEL_SOCKET, false);
	b = open_filtered("b", arriving);
	a = open_filtered("a", leaving);
	send_frames("a", 3, right);
	await_counts(arriving, right);
	await_counts(leaving, right);
	while (recv(b, &byte, 1, MSG_DONTWAIT) == 1)
		n_delivered++;
	assert_int_equal(n_delivered, right[DELIVERED].pkts);
	(void)close(a);
	(void)close(b);
	kernel_program_free(arriving);
	kernel_program_free(leaving);
}

/* On loopback, where all that leaves comes back: what is delivered, and what is counted by the
 * kernel, are all that was sent, once. */
static void sockets_count_what_is_not_delivered(void **state)
{
	struct kernel_count right[N_FILTERS] = { { 0 } };
	struct kernel_program *program;
	struct pollfd p = { .events = POLLIN };
	uint8_t frame[1500];
	uint64_t n_wanted;
	ssize_t n_bytes;
	int fd;

	(void)state;
	test_veth_need();
	test_veth_ip("link set dev lo up");
	program = load(KERNEL_SOCKET, true);
	fd = open_filtered("lo", program);
	send_frames("lo", 2, right);
	n_wanted = right[DELIVERED].pkts;
	assert_true(n_wanted >= 10 && right[0].pkts > 2 * n_wanted);
	for (p.fd = fd; n_wanted > 0; n_wanted--) {
		assert_int_equal(poll(&p, 1, 5000), 1);
		n_bytes = recv(fd, frame, sizeof(frame), MSG_DONTWAIT);
		assert_true(n_bytes > 0 && accepts(DELIVERED, frame, (uint32_t)n_bytes));
		for (size_t f = 0; f < N_FILTERS; f++) {
			if (!accepts(f, frame, (uint32_t)n_bytes))
				continue;
			right[f].pkts--;
			right[f].bytes -= (uint64_t)n_bytes;
			right[f].units--;
		}
	}
	await_counts(program, right);
	assert_true(recv(fd, frame, sizeof(frame), MSG_DONTWAIT) < 0);
	/* And what leaves is not seen at all. */
	(void)close(fd);
	fd = open_filtered("a", program);
	send_frames("a", 1, (struct kernel_count[N_FILTERS]){ { 0 } });
	await_counts(program, right);
	assert_true(recv(fd, frame, sizeof(frame), MSG_DONTWAIT) < 0);
	(void)close(fd);
	kernel_program_free(program);
}

static void interfaces_count_what_is_sent(void **state)
{
	static const struct {
		const char *name;
		const char *interface;
		enum kernel_place place;
	} places[] = { { "TCX ingress", "b", KERNEL_TCX_INGRESS },
		{ "TCX egress", "a", KERNEL_TCX_EGRESS }, { "XDP", "b", KERNEL_XDP_NATIVE },
		{ "generic XDP", "b", KERNEL_XDP_GENERIC } };

	(void)state;
	test_veth_need();
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct kernel_count right[N_FILTERS] = { { 0 } };
		struct kernel_program *program =
			load(places[i].place <= KERNEL_TCX_EGRESS ? KERNEL_TC : KERNEL_XDP, false);
		struct error err = ERROR_INIT;
		int link = -1, r;

		r = kernel_attach_interface(
			&link, program, if_nametoindex(places[i].interface), places[i].place, &err);
		if (r == -EINVAL && places[i].place <= KERNEL_TCX_EGRESS) {
			print_message("no TCX here: %s\n", err.text);
			kernel_program_free(program);
			continue;
		}
		if (r < 0)
			fail_msg("%s: %s", places[i].name, err.text);
		print_message("%s\n", places[i].name);
		send_frames("a", 3, right);
		await_counts(program, right);
		/* Closed, it sees nothing more. */
		(void)close(link);
		send_frames("a", 1, (struct kernel_count[N_FILTERS]){ { 0 } });
		assert_true(has_counted(program, right));
		kernel_program_free(program);
	}
}

/* ---- super-packets ---- */

#define SUPER_SEGMENT_BYTES 1000u
#define SUPER_PAYLOAD_BYTES 3500u /* four packets on the wire */

static const char *const super_kinds[] = { "TCP", "TCP with options", "tagged TCP", "UDP",
	"TCP in VXLAN", "UDP in VXLAN", "TCP in GRE", "TCP in IP in IP" };
#define SUPER_TUNNELS \
	4u /* kinds from this one on: the kernel counts them, and cannot send them on */

/* Appends an IPv4 header. */
static uint32_t super_ip(uint8_t *frame, uint32_t at, uint8_t protocol, uint32_t n_bytes)
{
	const uint8_t header[] = { 0x45, 0, (uint8_t)(n_bytes >> 8), (uint8_t)n_bytes, 0, 0, 0x40,
		0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2 };

	memcpy(frame + at, header, sizeof(header));
	return at + (uint32_t)sizeof(header);
}

static uint32_t super_ethernet(uint8_t *frame, uint32_t at)
{
	memcpy(frame + at, "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00", 14);
	return at + 14;
}

/* @ret: what a driver would be told. Return: the bytes of all headers. */
static uint32_t super_make(uint8_t *frame, unsigned int kind, struct virtio_net_hdr *ret)
{
	bool is_udp = kind == 3 || kind == 5;
	uint32_t transport_bytes = is_udp ? 8 : kind == 1 ? 32 : 20;
	uint32_t inner_bytes = 20 + transport_bytes + SUPER_PAYLOAD_BYTES;
	uint32_t at = super_ethernet(frame, 0);

	if (kind == 2) {
		memcpy(frame + 12, "\x81\x00\x00\x07\x08\x00", 6);
		at += 4;
	} else if (kind == 4 || kind == 5) {
		at = super_ip(frame, at, 17, 20 + 8 + 8 + 14 + inner_bytes);
		memcpy(frame + at, "\x80\x00\x12\xb5\x00\x00\x00\x00\x08\x00\x00\x00", 12);
		frame[at + 4] = (uint8_t)((8 + 8 + 14 + inner_bytes) >> 8);
		frame[at + 5] = (uint8_t)(8 + 8 + 14 + inner_bytes);
		at = super_ethernet(frame, at + 16);
	} else if (kind == 6) {
		at = super_ip(frame, at, 47, 20 + 4 + inner_bytes);
		memcpy(frame + at, "\x00\x00\x08\x00", 4);
		at += 4;
	} else if (kind == 7) {
		at = super_ip(frame, at, 4, 20 + inner_bytes);
	}
	at = super_ip(frame, at, is_udp ? 17 : 6, inner_bytes);
	frame[at + 1] = frame[at + 3] = 9;
	if (is_udp) {
		frame[at + 4] = (uint8_t)((8 + SUPER_PAYLOAD_BYTES) >> 8);
		frame[at + 5] = (uint8_t)(8 + SUPER_PAYLOAD_BYTES);
	} else {
		frame[at + 12] = (uint8_t)(transport_bytes << 2);
		frame[at + 13] = 0x10;
	}
	*ret = (struct virtio_net_hdr){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = is_udp ? 5 /* VIRTIO_NET_HDR_GSO_UDP_L4 */ : VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = SUPER_SEGMENT_BYTES,
		.hdr_len = (uint16_t)(at + transport_bytes),
		.csum_start = (uint16_t)at,
		.csum_offset = is_udp ? 6 : 16 };
	return at + transport_bytes;
}

/* Return: 0, or why the kernel does not take it. */
static int super_send(const uint8_t *frame, uint32_t n_bytes, const struct virtio_net_hdr *vnet)
{
	static uint8_t bytes[sizeof(*vnet) + 8000];
	int fd = test_veth_socket("a", 0), one = 1, r = 0;

	memcpy(bytes, vnet, sizeof(*vnet));
	memcpy(bytes + sizeof(*vnet), frame, n_bytes);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	if (send(fd, bytes, sizeof(*vnet) + n_bytes, 0) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

/* A root at an interface, with a program that counts all packets. */
struct super_hook {
	struct kernel_root root;
	struct kernel_program *program;
};

static int super_attach(struct super_hook *hook, struct kernel_turns *turns, const char *name)
{
	struct kernel_options options = { .hook = KERNEL_TC, .has_root = true };
	char others[KERNEL_TEXT_BYTES];
	struct error err = ERROR_INIT;
	int super_fd = kernel_turns_super(turns, &err);
	int r = MIN(super_fd, 0);

	hook->root = KERNEL_ROOT_INIT;
	hook->program = NULL;
	if (r == 0)
		r = kernel_root_attach(&hook->root, if_nametoindex(name), KERNEL_WAY_TCX, false,
			super_fd, others, &err);
	if (r == 0)
		r = kernel_program_make(&hook->program, NULL, &options,
			(const struct filter_program *const *)filters.programs, 1,
			kernel_turns_load, turns, &err);
	if (r == 0)
		r = kernel_root_put(&hook->root, hook->program, &err);
	if (r < 0)
		print_message("%s: %s\n", name, err.text);
	return r;
}

static void super_detach(struct super_hook *hook)
{
	kernel_root_close(&hook->root);
	kernel_program_free(hook->program);
}

/* Packets and bytes more, in a moment. */
static void super_expect(
	const struct super_hook *hook, struct kernel_count *right, uint32_t pkts, uint32_t bytes)
{
	uint64_t end_ns = clock_monotonic_ns() + 5000000000u;
	struct kernel_count now;

	right->pkts += pkts;
	right->bytes += bytes;
	do {
		kernel_program_read(hook->program, &now, 1);
	} while (now.pkts < right->pkts && clock_monotonic_ns() < end_ns && poll(NULL, 0, 1) == 0);
	assert_int_equal(now.pkts, right->pkts);
	assert_int_equal(now.bytes, right->bytes);
}

/* With a root all super-packets are exact that the kernel knows itself, tunnels and all. */
static void roots_tell_of_super_packets(void **state)
{
	struct kernel_count leaving = { 0 }, arriving = { 0 };
	_cleanup_(kernel_turns_freep) struct kernel_turns *turns = NULL;
	struct super_hook a, b;
	bool is_possible;

	(void)state;
	test_veth_need();
	assert_int_equal(kernel_turns_new(&turns), 0);
	is_possible = super_attach(&a, turns, "a") == 0 && super_attach(&b, turns, "b") == 0;
	for (unsigned int kind = 0; is_possible && kind < ARRAY_SIZE(super_kinds); kind++) {
		static uint8_t frame[8000];
		struct virtio_net_hdr vnet;
		uint32_t header_bytes, n_bytes;

		memset(frame, 0, sizeof(frame));
		header_bytes = super_make(frame, kind, &vnet);
		n_bytes = header_bytes + SUPER_PAYLOAD_BYTES;
		if (super_send(frame, n_bytes, &vnet) == -EINVAL) {
			print_message("%s: not by this kernel\n", super_kinds[kind]);
			continue;
		}
		print_message("%s\n", super_kinds[kind]);
		super_expect(&a, &leaving, 4, n_bytes + 3 * header_bytes);
		if (kind < SUPER_TUNNELS)
			super_expect(&b, &arriving, 4, n_bytes + 3 * header_bytes);
		assert_int_equal(kernel_program_unparsed(a.program), 0);
	}
	assert_true(!is_possible || leaving.pkts >= 16);
	super_detach(&a);
	if (is_possible)
		super_detach(&b);
}

struct sender {
	_Atomic bool must_end;
	uint64_t n_sent;
};

static void *sender_run(void *argument)
{
	struct sender *s = argument;
	int fd = test_veth_socket("a", 0);
	uint8_t frame[1500];

	(void)frame_make(frame, 0);
	while (!atomic_load(&s->must_end))
		s->n_sent += send(fd, frame, 100, 0) == 100;
	(void)close(fd);
	return NULL;
}

static uint64_t count_all(struct kernel_program *const programs[], unsigned int n)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct kernel_count counts[N_FILTERS];

		kernel_program_read(programs[i], counts, N_FILTERS);
		sum += counts[0].pkts;
	}
	return sum;
}

/* Old and new count every packet once, however often they change under traffic. */
static void replacing_loses_nothing(void **state)
{
	static struct kernel_program *programs[N_REPLACEMENTS];

	(void)state;
	test_veth_need();
	for (unsigned int is_link = 0; is_link < 2; is_link++) {
		enum kernel_hook hook = is_link ? KERNEL_TC : KERNEL_SOCKET;
		struct sender sender = { .n_sent = 0 };
		uint64_t end_ns = clock_monotonic_ns() + 5000000000u;
		struct error err = ERROR_INIT;
		int fd = -1, r = 0;
		pthread_t thread;

		/* What leaves is counted where it is sent: nothing can drop it before. */
		programs[0] = load(hook, false);
		if (is_link)
			r = kernel_attach_interface(
				&fd, programs[0], if_nametoindex("a"), KERNEL_TCX_EGRESS, &err);
		else
			fd = open_filtered("a", programs[0]);
		if (r < 0) {
			print_message("not here: %s\n", err.text);
			kernel_program_free(programs[0]);
			continue;
		}
		assert_int_equal(pthread_create(&thread, NULL, sender_run, &sender), 0);
		for (unsigned int i = 1; i < N_REPLACEMENTS; i++) {
			programs[i] = load(hook, false);
			r = is_link ? kernel_link_replace(fd, programs[i], &err)
				    : kernel_attach_socket(programs[i], fd, &err);
			assert_int_equal(r, 0);
		}
		atomic_store(&sender.must_end, true);
		assert_int_equal(pthread_join(thread, NULL), 0);
		while (count_all(programs, N_REPLACEMENTS) != sender.n_sent &&
			clock_monotonic_ns() < end_ns)
			(void)poll(NULL, 0, 1);
		print_message("%s: %u replacements, %lu packets sent\n",
			is_link ? "TCX egress" : "socket", N_REPLACEMENTS,
			(unsigned long)sender.n_sent);
		assert_int_equal(count_all(programs, N_REPLACEMENTS), sender.n_sent);
		assert_true(sender.n_sent > N_REPLACEMENTS);
		for (unsigned int i = 0; i < N_REPLACEMENTS; i++)
			kernel_program_free(programs[i]);
		(void)close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(programs_begin_at_zero),
		cmocka_unit_test(sockets_count_what_is_sent),
		cmocka_unit_test(sockets_count_what_is_not_delivered),
		cmocka_unit_test(interfaces_count_what_is_sent),
		cmocka_unit_test(roots_tell_of_super_packets),
		cmocka_unit_test(replacing_loses_nothing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
