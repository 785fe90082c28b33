/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets of each length, of which the first part, all of it or nothing can be read in place; with
 * filters that ask for each byte around the ends of what is read so, and of what is copied. By
 * BPF_PROG_RUN, and at an interface (TAP), to which packets can be given in pieces.
 */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/test_veth.h"
#include "test_agree_private.h"

#define LENGTHS_FROM 15u /* more than an Ethernet header: else it is not run */
#define LENGTHS_TO 200u

/* TCP over IPv4 with options of up to 40 bytes, or a senseless length; the rest is anything. @type:
 * what it says that it is, instead of IPv4 */
static void lengths_packet(struct random *r, uint8_t packet[LENGTHS_TO], const char *type)
{
	static const uint8_t words[] = { 5, 5, 5, 6, 9, 15, 4, 0 };

	for (uint32_t i = 0; i < LENGTHS_TO; i++)
		packet[i] = (uint8_t)random_next(r);
	memcpy(packet, "\x02\x00\x00\x00\x00\x01", 6);
	memcpy(packet + 12, type, 2);
	packet[14] = 0x40 | words[random_below(r, ARRAY_SIZE(words))];
	packet[20] = packet[21] = 0;
	packet[23] = 6;
}

/* The first two read less in place than all together. */
static void lengths_filters(struct agree_filters *f)
{
	static const char *const texts[] = { "tcp port 80", "tcp src portrange 1000-40000",
		"tcp[13] & 0x52 != 0", "tcp[20:4] > 0x7fffffff", "ip[ip[15]] > 127",
		"tcp[((tcp[12:1] & 0xf0) >> 2):2] > 0x7fff", "ether[ether[6]:2] > 0x7fff",
		"tcp[100] > 127", "len > 97", "less 60" };

	agree_filters_init(f, 200);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_true(agree_filters_add(f, texts[i]));
	for (unsigned int at = 9; at < 110; at++) {
		unsigned int bytes = 1u << at % 3;
		char text[64];

		(void)snprintf(text, sizeof(text), "%s[%u:%u] > %u", at % 2 ? "ether" : "tcp",
			at % 2 ? at : at - 9, bytes, 0x7fffffffu >> (32 - 8 * bytes));
		assert_true(agree_filters_add(f, text));
	}
}

static void packets_agree(void **state)
{
	static const struct kernel_options rows[] = { { .hook = KERNEL_SOCKET },
		{ .hook = KERNEL_TC }, { .hook = KERNEL_TC, .is_distrusted = true },
		{ .hook = KERNEL_XDP }, { .hook = KERNEL_XDP, .is_distrusted = true },
		{ .hook = KERNEL_XDP, .is_distrusted = true, .has_frags = true } };
	struct random r = { .state = 100 };
	struct agree_filters f;

	(void)state;
	if (!agree_can_load())
		skip();
	lengths_filters(&f);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct agree_account a = { 0 };
		struct agree_set sets[2];

		agree_set_init(&sets[0], &a, &rows[i], &f, 0, 2);
		agree_set_init(&sets[1], &a, &rows[i], &f, 0, f.n);
		for (uint32_t n_bytes = LENGTHS_FROM; n_bytes <= LENGTHS_TO; n_bytes++) {
			uint8_t data[LENGTHS_TO];
			struct test_packet packet = { .data = data, .n_bytes = n_bytes };

			/* What is called IPv4 and is no header is not run. */
			lengths_packet(&r, data, n_bytes < 14 + 20 ? "\x88\xb5" : "\x08\x00");
			if (rows[i].has_frags)
				packet.linear_bytes = 14 + random_below(&r, n_bytes - 13);
			for (size_t s = 0; s < ARRAY_SIZE(sets); s++)
				agree_set_run(&sets[s], &a, &packet, &packet, 1, 0);
		}
		assert_int_equal(a.n_packets, 2 * (LENGTHS_TO - LENGTHS_FROM + 1));
		agree_account_close(
			rows[i].is_distrusted ? "each length, distrusted" : "each length",
			rows[i].hook, &a);
		for (size_t s = 0; s < ARRAY_SIZE(sets); s++)
			agree_set_deinit(&sets[s]);
	}
	agree_filters_clear(&f);
}

/* ---- at an interface ---- */

/* An interface to which packets are written in pieces, which stay so. Return: -1 if that cannot
 * be. */
static int tap_open(void)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_NAPI | IFF_NAPI_FRAGS,
		.ifr_name = "tap" };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) {
		cleanup_closep(&fd);
		return -1;
	}
	test_veth_ip("link set dev tap up");
	return fd;
}

/* Of @linear_bytes and pieces of up to 50. */
static void tap_send(int fd, uint8_t *packet, uint32_t n_bytes, uint32_t linear_bytes)
{
	struct iovec pieces[8];
	int n = 0;

	for (uint32_t at = 0, more; at < n_bytes; at += more) {
		more = MIN(n_bytes - at, at ? 50u : linear_bytes);
		pieces[n++] = (struct iovec){ .iov_base = packet + at, .iov_len = more };
	}
	assert_int_equal(writev(fd, pieces, n), n_bytes);
}

static void tap_right(const struct agree_filters *f, const uint8_t *packet, uint32_t n_bytes,
	struct kernel_count *right)
{
	for (unsigned int i = 0; i < f->n; i++) {
		if (reference_decide(&f->references[i], packet, n_bytes, n_bytes) !=
			FILTER_INTERPRET_ACCEPT)
			continue;
		right[i].pkts++;
		right[i].bytes += n_bytes;
		right[i].units++;
	}
}

static bool tap_is_right(const struct kernel_program *program, const struct kernel_count *right,
	struct kernel_count *counts, unsigned int n)
{
	uint64_t end_ns = clock_monotonic_ns() + 5000000000u;

	do {
		kernel_program_read(program, counts, n);
		if (memcmp(counts, right, n * sizeof(*counts)) == 0)
			return true;
	} while (clock_monotonic_ns() < end_ns && poll(NULL, 0, 1) == 0);
	return false;
}

static void packets_in_pieces_agree(void **state)
{
	static const struct {
		struct kernel_options options;
		enum kernel_place place;
	} rows[] = { { { .hook = KERNEL_TC }, KERNEL_TCX_INGRESS },
		{ { .hook = KERNEL_TC, .is_distrusted = true }, KERNEL_TCX_INGRESS },
		{ { .hook = KERNEL_XDP, .is_distrusted = true }, KERNEL_XDP_GENERIC } };
	struct random r = { .state = 101 };
	struct agree_filters f;
	int fd;

	(void)state;
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0 || (fd = tap_open()) < 0) {
		print_message("SKIP: no right to make a TAP interface\n");
		skip();
	}
	lengths_filters(&f);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct agree_account a = { 0 };
		struct error err = ERROR_INIT;
		struct agree_set set;
		int link = -1;

		agree_set_init(&set, &a, &rows[i].options, &f, 0, f.n);
		if (kernel_attach_interface(
			    &link, set.program, if_nametoindex("tap"), rows[i].place, &err) < 0)
			print_message("not here: %s\n", err.text);
		for (uint32_t n_bytes = LENGTHS_FROM; link >= 0 && n_bytes <= LENGTHS_TO;
			n_bytes++) {
			uint8_t packet[LENGTHS_TO];

			lengths_packet(&r, packet, "\x08\x00");
			tap_send(fd, packet, n_bytes, 14 + random_below(&r, n_bytes - 13));
			tap_right(&f, packet, n_bytes, set.right);
			if (!tap_is_right(set.program, set.right, set.counts, f.n))
				fail_msg("row %zu: %u bytes are not counted as they should be", i,
					n_bytes);
		}
		cleanup_closep(&link);
		agree_set_deinit(&set);
	}
	agree_filters_clear(&f);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_agree),
		cmocka_unit_test(packets_in_pieces_agree),
	};

	return cmocka_run_group_tests(tests, agree_setup, agree_teardown);
}
