/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel tier against libpcap: filters made at random and filters that people use, on packets
 * of captures and made-up ones, in each kind of program, by BPF_PROG_RUN (test_agree_private.h).
 *
 * Packets are whole in the kernel: those of captures are taken as long as they were captured.
 */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test_agree_private.h"

static bool is_quick(void)
{
	return !getenv("MAPI_TEST_LONG");
}

static void random_filters_agree(void **state)
{
	static const unsigned int sizes[] = { 1, 10, 100, 1000 };
	unsigned int n = is_quick() ? 300 : 2000;
	struct random r = { .state = 4711 };
	struct agree_trace t = { 0 };
	struct agree_filters f;

	(void)state;
	if (!agree_can_load())
		skip();
	agree_trace_fill(&t, &r, &agree_captures, is_quick() ? 300 : 600);
	agree_filters_random(&f, n, &r, false);
	for (unsigned int hook = 0; hook < _KERNEL_HOOK_N; hook++) {
		struct kernel_options options = { .hook = hook };
		struct agree_account a = { 0 };

		for (unsigned int s = 0; s < ARRAY_SIZE(sizes); s++) {
			unsigned int size = MIN(sizes[s], n);

			for (unsigned int from = 0; from + size <= (size == 1 ? n / 10 : n);
				from += size)
				agree_all(&a, &options, &f, from, size, &t);
		}
		agree_account_close("random filters", hook, &a);
		assert_true(a.n_lowered * 10 > a.n_filters * 8);
	}
	agree_filters_clear(&f);
	agree_trace_clear(&t);
}

/* Every second is of a kind that monitoring programs use: ports and addresses are searched. */
static void mixed_filters_agree(void **state)
{
	unsigned int n = is_quick() ? 400 : 1000;
	bool *deliver = calloc(n, sizeof(*deliver));
	struct random r = { .state = 12 };
	struct agree_trace t = { 0 };
	struct agree_filters f;

	(void)state;
	if (!agree_can_load()) {
		free(deliver);
		skip();
	}
	assert_non_null(deliver);
	agree_trace_fill(&t, &r, &agree_captures, 300);
	agree_filters_random(&f, n, &r, true);
	for (unsigned int i = 0; i < n; i++)
		deliver[i] = random_below(&r, 8) == 0;
	for (unsigned int hook = 0; hook < _KERNEL_HOOK_N; hook++) {
		struct kernel_options options = { .hook = hook,
			.snaplen_bytes = 200,
			.deliver = hook == KERNEL_SOCKET ? deliver : NULL };
		struct agree_account a = { 0 };
		unsigned int n_pages;

		agree_all(&a, &options, &f, 0, n, &t);
		options.is_distrusted = hook != KERNEL_SOCKET;
		options.page_max = n / 7; /* a chain */
		agree_all(&a, &options, &f, 0, n, &t);
		options.page_max = 0; /* as many pages as short jumps make necessary */
		options.no_long_jumps = true;
		n_pages = a.n_pages;
		agree_all(&a, &options, &f, 0, n, &t);
		assert_true(is_quick() || a.n_pages - n_pages > 1);
		options.is_distrusted = false;
		options.is_separate = true;
		options.page_max = 50;
		agree_all(&a, &options, &f, 0, MIN(n, 200), &t);
		agree_account_close("mixed filters", hook, &a);
		assert_true(a.n_pages > 3);
	}
	agree_filters_clear(&f);
	agree_trace_clear(&t);
	free(deliver);
}

/* Does the filter accept more than an eighth of the packets? */
static bool accepts_many(const struct agree_filters *f, unsigned int i, const struct agree_trace *t)
{
	unsigned int n = 0;

	for (unsigned int p = 0; p < t->n; p++)
		n += reference_decide(&f->references[i], t->packets[p].data, t->packets[p].n_bytes,
			     t->packets[p].n_bytes) == FILTER_INTERPRET_ACCEPT;
	return n > t->n / 8;
}

/* @n random filters, with room for two more, and packets; skips where nothing can be loaded.
 * Return: of each filter whether its packets are delivered: of none; the caller frees it. */
static bool *delivery_begin(
	uint64_t seed, unsigned int n, struct agree_filters *ret, struct agree_trace *ret_trace)
{
	struct random r = { .state = seed };
	bool *deliver;

	if (!agree_can_load())
		skip();
	deliver = calloc(n + 2, sizeof(*deliver));
	assert_non_null(deliver);
	agree_trace_fill(ret_trace, &r, &agree_captures, 300);
	agree_filters_random(ret, n, &r, true);
	return deliver;
}

/* What is delivered is not counted, by no filter and on no page; all else is, by all. */
static void undelivered_packets_are_counted(void **state)
{
	unsigned int n = is_quick() ? 120 : 600;
	struct kernel_options options = {
		.hook = KERNEL_SOCKET, .snaplen_bytes = 99, .undelivered = true
	};
	struct agree_trace t = { 0 };
	struct agree_filters f;
	bool *deliver;

	(void)state;
	options.deliver = deliver = delivery_begin(77, n, &f, &t);
	assert_true(agree_filters_add(&f, "udp") && agree_filters_add(&f, "udp"));
	/* none; some, of which one is counted, too; all */
	for (unsigned int which = 0; which < 3; which++) {
		struct agree_account a = { 0 };

		for (unsigned int i = 0; i < f.n; i++)
			deliver[i] = which == 2 ||
				(which == 1 && i % 6 == 5 && !accepts_many(&f, i, &t));
		deliver[f.n - 1] = which > 0;
		for (unsigned int pages = 1; pages < 30; pages *= 5) {
			options.page_max = (f.n + pages - 1) / pages;
			agree_all(&a, &options, &f, 0, f.n, &t);
		}
		options.is_separate = true;
		agree_all(&a, &options, &f, 0, f.n, &t);
		options.is_separate = false;
		agree_account_close("undelivered packets", KERNEL_SOCKET, &a);
		print_message("  %lu delivered\n", a.n_delivered);
		assert_true(which == 0 ? a.n_delivered == 0 : a.n_delivered > a.n_packets / 20);
		assert_true(which != 1 || a.n_delivered < a.n_packets * 19 / 20);
	}
	agree_filters_clear(&f);
	agree_trace_clear(&t);
	free(deliver);
}

/* Filters see no more than what is kept of packets. Of programs that share packets each has its
 * own, which it finds whatever filters see. */
static void cut_and_shared_packets_agree(void **state)
{
	static const char *const own[] = { NULL, "ether[30] & 1 = 0 or len < 31",
		"len >= 31 and ether[30] & 1 = 1" };
	static const uint32_t snaplens[] = { 1, 14, 20, 40, 68, 150 };
	unsigned int n = is_quick() ? 120 : 500;
	struct kernel_options options = { .hook = KERNEL_SOCKET, .undelivered = true };
	struct agree_trace t = { 0 };
	struct agree_filters f;
	bool *deliver;

	(void)state;
	options.deliver = deliver = delivery_begin(41, n, &f, &t);
	assert_true(agree_filters_add(&f, "") && agree_filters_add(&f, "udp"));
	deliver[f.n - 1] = true;
	for (size_t share = 0; share < ARRAY_SIZE(own); share++) {
		struct agree_account a = { 0 };
		struct filter_program *program = NULL;
		struct error err = ERROR_INIT;

		if (own[share] && filter_compile(&program, own[share], 1, &err) < 0)
			fail_msg("%s", err.text);
		options.own = program;
		for (size_t i = 0; i < ARRAY_SIZE(snaplens); i++) {
			options.snaplen_bytes = snaplens[i];
			options.is_cut = i % 2 == 0 || share == 0;
			options.page_max = i == 2 ? f.n / 3 : 0;
			agree_all(&a, &options, &f, 0, f.n, &t);
		}
		agree_account_close("cut and shared packets", KERNEL_SOCKET, &a);
		assert_true(share == 0 ? a.n_foreign == 0
				       : a.n_foreign > a.n_packets / 8 &&
					a.n_foreign < a.n_packets * 7 / 8);
		filter_program_free(program);
	}
	agree_filters_clear(&f);
	agree_trace_clear(&t);
	free(deliver);
}

/* The list of expressions that the filter engine is tested with. */
static void listed_filters_agree(void **state)
{
	struct random r = { .state = 5 };
	struct agree_trace t = { 0 };
	struct agree_filters f;
	char line[4096];
	FILE *file = fopen(MAPI_FILTERS, "re");

	(void)state;
	assert_non_null(file);
	agree_filters_init(&f, 1000);
	while (f.n < 1000 && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] && line[0] != '#' && agree_filters_add(&f, line) &&
			filter_program_asks_direction(f.programs[f.n - 1]))
			agree_filters_drop(&f); /* the reference sees packets without one */
	}
	(void)fclose(file);
	assert_true(f.n > 50);
	if (!agree_can_load()) {
		agree_filters_clear(&f);
		skip();
	}
	agree_trace_fill(&t, &r, &agree_captures, 600);
	for (unsigned int hook = 0; hook < _KERNEL_HOOK_N; hook++) {
		struct kernel_options options = { .hook = hook };
		struct agree_account a = { 0 };

		agree_all(&a, &options, &f, 0, f.n, &t);
		agree_account_close("listed filters", hook, &a);
	}
	agree_filters_clear(&f);
	agree_trace_clear(&t);
}

/* A tag that the kernel keeps beside the packet is where it was on the wire. */
static void tags_are_put_back(void **state)
{
	static const uint32_t tags[] = { 0x81000001, 0x81000fff, 0x8100e064, 0x88a80005 };
	static const char *const more[] = { "vlan", "vlan 1", "vlan 100 and tcp", "not vlan",
		"vlan and vlan", "vlan 5 and vlan", "ether[12:4] = 0x81000001", "ether[13:4] != 0",
		"ether[14:2] & 0xe000 != 0", "ether[15] = 5", "ether[ether[15]:2] > 100",
		"vlan and port 53", "vlan and ip6 and udp", "len = 64", "ether[100:4] > 3" };
	struct kernel_options options = { .hook = KERNEL_TC };
	struct random r = { .state = 99 };
	struct agree_account a = { 0 };
	struct agree_trace t = { 0 };
	struct agree_filters f;
	struct agree_set s;

	(void)state;
	if (!agree_can_load())
		skip();
	agree_trace_fill(&t, &r, &agree_captures, is_quick() ? 200 : 1000);
	agree_filters_random(&f, 100, &r, true);
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		assert_true(agree_filters_add(&f, more[i]));
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		agree_set_init(&s, &a, &options, &f, 0, f.n);
		s.run_fd = test_run_tagger(s.run_fd, tags[i]);
		assert_true(s.run_fd >= 0);
		for (unsigned int p = 0; p < t.n; p++) {
			uint8_t wire[TEST_RUN_JUMBO_MAX + 4];
			struct test_packet tagged = { .data = wire,
				.n_bytes = t.packets[p].n_bytes + 4 };
			uint16_t type;

			if (t.packets[p].n_bytes < 14)
				continue;
			memcpy(&type, t.packets[p].data + 12, sizeof(type));
			memcpy(wire, t.packets[p].data, 12);
			for (unsigned int b = 0; b < 4; b++)
				wire[12 + b] = (uint8_t)(tags[i] >> (24 - 8 * b));
			memcpy(wire + 16, t.packets[p].data + 12, t.packets[p].n_bytes - 12);
			agree_set_run(&s, &a, &t.packets[p], &tagged, 1, 0);
		}
		(void)close(s.run_fd);
		agree_set_deinit(&s);
	}
	agree_account_close("tagged packets", KERNEL_TC, &a);
	agree_filters_clear(&f);
	agree_trace_clear(&t);
}

/* TCP or UDP over IP of some payload. Return: bytes of its headers. */
static uint32_t super_make(
	uint8_t *packet, unsigned int kind, uint32_t payload_bytes, uint32_t *ret_bytes)
{
	uint32_t tag = kind & 4 ? 4 : 0, ip = 14 + tag, transport = ip + (kind & 1 ? 40 : 24);
	uint32_t header_bytes = transport + (kind & 2 ? 8 : 32);

	memset(packet, 0, header_bytes + payload_bytes);
	if (tag)
		memcpy(packet + 12, "\x81\x00\x00\x07", 4);
	packet[ip - 2] = kind & 1 ? 0x86 : 0x08;
	packet[ip - 1] = kind & 1 ? 0xdd : 0x00;
	packet[ip] = kind & 1 ? 0x60 : 0x46;
	packet[ip + (kind & 1 ? 6 : 9)] = kind & 2 ? 17 : 6;
	packet[transport + 12] = 0x80;
	*ret_bytes = header_bytes + payload_bytes;
	return header_bytes;
}

static void super_packets_count_as_segments(void **state)
{
	static const bool deliver_arp[] = { false, false, false, true };
	/* The last two count on pages behind the first, and deliver what is not TCP, or all. */
	static const struct kernel_options options[] = { { .hook = KERNEL_SOCKET },
		{ .hook = KERNEL_TC },
		{ .hook = KERNEL_SOCKET,
			.deliver = deliver_arp,
			.undelivered = true,
			.snaplen_bytes = 2000,
			.page_max = 1 },
		{ .hook = KERNEL_SOCKET,
			.deliver = deliver_arp,
			.undelivered = true,
			.snaplen_bytes = 20,
			.is_cut = true,
			.page_max = 1 } };
	struct agree_filters f;

	(void)state;
	if (!agree_can_load())
		skip();
	agree_filters_init(&f, 8);
	assert_true(agree_filters_add(&f, "") && agree_filters_add(&f, "tcp or udp") &&
		agree_filters_add(&f, "vlan") && agree_filters_add(&f, "arp"));
	for (size_t h = 0; h < ARRAY_SIZE(options); h++) {
		struct agree_account a = { 0 };
		struct agree_set s;

		agree_set_init(&s, &a, &options[h], &f, 0, f.n);
		for (unsigned int kind = 0; kind < 16; kind++) {
			uint8_t data[4000];
			struct test_packet packet = { .data = data, .gso_size = 700 };
			uint32_t header_bytes = super_make(data, kind, 2000, &packet.n_bytes);

			/* known to the kernel, or to be found out: 700, 700, 600 */
			packet.gso_segs = kind & 8 ? 3 : 0;
			s.delivers_all = options[h].undelivered && (kind & 2 || options[h].is_cut);
			agree_set_run(&s, &a, &packet, &packet, 3, 2 * header_bytes);
		}
		assert_true(kernel_program_unparsed(s.program) == 0);
		{
			uint8_t data[1000] = { [12] = 0x12, [13] = 0x34 };
			struct test_packet packet = { .data = data,
				.n_bytes = sizeof(data),
				.gso_size = 100,
				.gso_segs = 9 };

			/* not known what it is: its segments, and nothing more */
			s.delivers_all = options[h].undelivered;
			agree_set_run(&s, &a, &packet, &packet, 9, 0);
			assert_true(kernel_program_unparsed(s.program) == !s.delivers_all);
		}
		agree_set_deinit(&s);
		agree_account_close("super-packets", options[h].hook, &a);
	}
	agree_filters_clear(&f);
}

#define RAW_LINKTYPE 101u
#define RAW_AT 14u /* bytes of Ethernet's header */

static bool raw_filters_add(struct agree_filters *f, const char *text)
{
	struct filter_program *program;
	struct error err = ERROR_INIT;

	if (filter_compile(&program, text, RAW_LINKTYPE, &err) < 0)
		return false;
	agree_filters_take(f, program, text);
	return true;
}

static bool raw_is_ip(const struct test_packet *packet)
{
	return packet->n_bytes >= RAW_AT &&
		(memcmp(packet->data + 12, "\x08\x00", 2) == 0 ||
			memcmp(packet->data + 12, "\x86\xdd", 2) == 0);
}

/* Packets that begin with their IP header, also super-packets. */
static void raw_packets_agree(void **state)
{
	struct kernel_options options = { .hook = KERNEL_SOCKET, .is_raw = true };
	struct random r = { .state = 101 };
	struct agree_account a = { 0 };
	struct agree_trace t = { 0 }, raw = { 0 };
	struct agree_filters f;
	struct agree_set s;

	(void)state;
	if (!agree_can_load())
		skip();
	agree_trace_fill(&t, &r, &agree_captures, is_quick() ? 300 : 1500);
	for (unsigned int p = 0; p < t.n; p++)
		if (raw_is_ip(&t.packets[p]))
			agree_trace_add(
				&raw, t.packets[p].data + RAW_AT, t.packets[p].n_bytes - RAW_AT);
	assert_true(raw.n > t.n / 4);
	agree_filters_init(&f, 102);
	assert_true(raw_filters_add(&f, "") && raw_filters_add(&f, "tcp or udp"));
	while (f.n < 100) {
		char text[4096];

		random_expression(&r, text, sizeof(text));
		(void)raw_filters_add(&f, text);
	}
	agree_all(&a, &options, &f, 0, f.n, &raw);
	agree_set_init(&s, &a, &options, &f, 0, f.n);
	for (unsigned int kind = 0; kind < 16; kind++) {
		uint8_t data[4000];
		struct test_packet packet = { .data = data + RAW_AT, .gso_size = 700 };
		uint32_t header_bytes = super_make(data, kind & ~4u, 2000, &packet.n_bytes);

		packet.n_bytes -= RAW_AT;
		packet.gso_segs = kind & 8 ? 3 : 0;
		agree_set_run(&s, &a, &packet, &packet, 3, 2 * (header_bytes - RAW_AT));
	}
	assert_true(kernel_program_unparsed(s.program) == 0);
	agree_set_deinit(&s);
	agree_account_close("packets without Ethernet", KERNEL_SOCKET, &a);
	agree_filters_clear(&f);
	agree_trace_clear(&raw);
	agree_trace_clear(&t);
}

/* Packets of several buffers, of which the first holds little. */
static void scattered_packets_agree(void **state)
{
	struct kernel_options options = { .hook = KERNEL_XDP, .has_frags = true };
	struct random r = { .state = 31 };
	struct agree_account a = { 0 };
	struct agree_trace t = { 0 };
	struct agree_filters f;
	struct agree_set s;
	uint8_t data[TEST_RUN_JUMBO_MAX];
	unsigned long n_short;

	(void)state;
	if (!agree_can_load())
		skip();
	agree_trace_fill(&t, &r, &agree_captures, is_quick() ? 150 : 800);
	for (unsigned int i = 0; i < 20; i++) {
		(void)random_packet(&r, data, 1600);
		(void)agree_trace_add(&t, data, 4000 + random_below(&r, 5000));
	}
	agree_filters_random(&f, 150, &r, true);
	agree_set_init(&s, &a, &options, &f, 0, f.n);
	for (unsigned int p = 0; p < t.n; p++) {
		struct test_packet packet = t.packets[p];

		agree_set_run(&s, &a, &packet, &packet, 1, 0);
		if (packet.n_bytes > 100) {
			packet.linear_bytes = 14 + random_below(&r, 80);
			n_short = a.n_packets;
			agree_set_run(&s, &a, &packet, &packet, 1, 0);
			a.n_scattered += a.n_packets - n_short;
		}
	}
	agree_set_deinit(&s);
	print_message("%lu packets with a short first buffer\n", a.n_scattered);
	agree_account_close("scattered packets", KERNEL_XDP, &a);
	agree_filters_clear(&f);
	agree_trace_clear(&t);
}

/* Without CAP_PERFMON the verifier tells more paths apart: not those that we make. That of Linux
 * 6.1 tells four times as many apart, of its million. */
static void distrust_does_not_multiply_paths(void **state)
{
	struct random r = { .state = 41 };
	struct agree_filters f;

	(void)state;
	if (!agree_can_load())
		skip();
	agree_filters_random(&f, 200, &r, true);
	for (unsigned int hook = KERNEL_TC; hook < _KERNEL_HOOK_N; hook++) {
		uint32_t verified[2];

		for (unsigned int i = 0; i < ARRAY_SIZE(verified); i++) {
			struct kernel_options options = { .hook = hook, .is_distrusted = i > 0 };
			struct agree_account a = { 0 };
			struct agree_set s;

			agree_set_init(&s, &a, &options, &f, 0, f.n);
			verified[i] = test_run_verified(kernel_program_fd(s.program));
			assert_int_equal(a.n_pages, 1);
			agree_set_deinit(&s);
		}
		print_message(
			"%u instructions verified, %u in distrust\n", verified[0], verified[1]);
		if (kernel_has_long_jumps())
			assert_true(verified[1] <= verified[0] + verified[0] / 2);
		else
			assert_true(verified[1] <= 5 * verified[0]);
	}
	agree_filters_clear(&f);
}

/* What cannot be translated is left out, and said so; the others are not harmed. */
static void loops_stay_in_user_space(void **state)
{
	struct kernel_options options = { .hook = KERNEL_TC, .n_cpus = 1 };
	struct kernel_code *code;
	struct kernel_stats stats;
	struct agree_filters f;

	(void)state;
	agree_filters_init(&f, 3);
	assert_true(agree_filters_add(&f, "tcp") && agree_filters_add(&f, "ip6 protochain 6") &&
		agree_filters_add(&f, "tcp"));
	assert_int_equal(kernel_code_new(&code, &options,
				 (const struct filter_program *const *)f.programs, f.n),
		0);
	stats = kernel_code_stats(code);
	assert_int_equal(kernel_code_reason(code, 0), KERNEL_LOWERED);
	assert_int_equal(kernel_code_reason(code, 1), KERNEL_REASON_LOOP);
	assert_int_equal(kernel_code_reason(code, 2), KERNEL_LOWERED);
	assert_int_equal(stats.n_lowered, 2);
	assert_int_equal(stats.n_slots, 1);
	kernel_code_free(code);
	options.has_frags = true;
	assert_int_equal(kernel_code_new(&code, &options, NULL, 0), -EINVAL);
	agree_filters_clear(&f);
}

/* TC does not tell where packets go; XDP sees those that come. */
static void directions_are_asked_where_they_are_known(void **state)
{
	static const enum kernel_reason reasons[_KERNEL_HOOK_N] = {
		[KERNEL_SOCKET] = KERNEL_LOWERED,
		[KERNEL_TC] = KERNEL_REASON_DIRECTION,
		[KERNEL_XDP] = KERNEL_LOWERED,
	};

	(void)state;
	for (unsigned int hook = 0; hook < _KERNEL_HOOK_N; hook++) {
		struct kernel_options options = { .hook = hook, .n_cpus = 1 };
		struct error err = ERROR_INIT;
		struct kernel_code *code;
		struct agree_filters f;

		agree_filters_init(&f, 2);
		assert_true(
			agree_filters_add(&f, "outbound and tcp") && agree_filters_add(&f, "tcp"));
		assert_int_equal(kernel_code_new(&code, &options,
					 (const struct filter_program *const *)f.programs, f.n),
			0);
		assert_int_equal(kernel_code_reason(code, 0), reasons[hook]);
		assert_int_equal(kernel_code_reason(code, 1), KERNEL_LOWERED);
		assert_int_equal(kernel_code_check(code, &err), 0);
		kernel_code_free(code);
		agree_filters_clear(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_filters_agree),
		cmocka_unit_test(mixed_filters_agree),
		cmocka_unit_test(undelivered_packets_are_counted),
		cmocka_unit_test(cut_and_shared_packets_agree),
		cmocka_unit_test(listed_filters_agree),
		cmocka_unit_test(tags_are_put_back),
		cmocka_unit_test(super_packets_count_as_segments),
		cmocka_unit_test(raw_packets_agree),
		cmocka_unit_test(scattered_packets_agree),
		cmocka_unit_test(distrust_does_not_multiply_paths),
		cmocka_unit_test(loops_stay_in_user_space),
		cmocka_unit_test(directions_are_asked_where_they_are_known),
	};

	return cmocka_run_group_tests(tests, agree_setup, agree_teardown);
}
