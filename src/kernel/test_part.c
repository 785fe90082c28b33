/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs that choose flows (filter_program_flow()), in the kernel: beside filters and behind
 * them, in each kind of program, whole and cut, with tags in packets and beside them. Our
 * interpreter says what is right; that it agrees with the decoder is filter-flow's.
 */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/test_flow_packets.h"
#include "test_agree_private.h"

#define PART_FILTERS_MAX 64u

static void part_trace(struct agree_trace *t, struct random *r)
{
	bool is_long = getenv("MAPI_TEST_LONG");
	struct test_flow_packet p;

	agree_trace_fill(t, r, &agree_captures, is_long ? 4000 : 400);
	for (unsigned int i = 0; i < (is_long ? 10000u : 600u); i++) {
		test_flow_packet(&p, r);
		agree_trace_add(t, p.bytes, p.n);
	}
}

/* @n_parts: as of filter_program_flow(). @text: a filter before it; NULL: none */
static void part_add(struct agree_filters *f, unsigned int n_parts, const char *text)
{
	struct filter_program *programs[2], *joined;
	struct error err = ERROR_INIT;
	char name[64];

	(void)snprintf(name, sizeof(name), "%s, then %u parts", text ? text : "all", n_parts);
	assert_int_equal(filter_program_flow(&programs[1], n_parts), 0);
	if (!text) {
		agree_filters_take(f, programs[1], name);
		return;
	}
	assert_int_equal(filter_compile(&programs[0], text, 1, &err), 0);
	assert_int_equal(
		filter_program_join(&joined, (const struct filter_program *const *)programs, 2), 0);
	agree_filters_take(f, joined, name);
	filter_program_free(programs[0]);
	filter_program_free(programs[1]);
}

static void part_filters(struct agree_filters *f, struct random *r)
{
	agree_filters_init(f, PART_FILTERS_MAX);
	part_add(f, 512, NULL);
	part_add(f, 0, NULL);
	part_add(f, 1 + random_below(r, 1024), "tcp");
	part_add(f, 0, "tcp");
	part_add(f, 1024, "vlan");
	part_add(f, 1 + random_below(r, 1024), "port 80 or port 53");
	for (unsigned int i = 0; i < 10; i++)
		part_add(f, 1 + random_below(r, 1024), NULL);
	while (f->n < 40) {
		char text[4096];

		random_plain_expression(r, text, sizeof(text));
		(void)agree_filters_add(f, text);
	}
}

static void parts_agree(void **state)
{
	static const unsigned int sizes[] = { 1, 6, 40 };
	struct random r = { .state = 10 };
	struct agree_trace t = { 0 };
	struct agree_filters f;

	(void)state;
	if (!agree_can_load())
		skip();
	part_trace(&t, &r);
	part_filters(&f, &r);
	for (unsigned int hook = 0; hook < _KERNEL_HOOK_N; hook++) {
		for (unsigned int copies = 0; copies < 2; copies++) {
			struct kernel_options options = { .hook = hook,
				.is_distrusted = hook != KERNEL_SOCKET && copies,
				.snaplen_bytes = 60,
				.is_cut = hook == KERNEL_SOCKET && copies,
				.no_long_jumps = !kernel_has_long_jumps() };
			struct agree_account a = { 0 };

			for (unsigned int s = 0; s < ARRAY_SIZE(sizes); s++)
				agree_all(&a, &options, &f, 0, sizes[s], &t);
			agree_account_close(
				copies ? "parts of flows, cut or copied" : "parts of flows", hook,
				&a);
			assert_int_equal(a.n_lowered, a.n_filters);
		}
	}
	agree_filters_clear(&f);
	agree_trace_clear(&t);
}

/* A program that chooses, and what delivers the packets of which it is not sure. */
static void unsure_packets_are_delivered(void **state)
{
	static const bool deliver[] = { false, true };
	struct kernel_options options = { .hook = KERNEL_SOCKET,
		.snaplen_bytes = 262144,
		.deliver = deliver,
		.undelivered = true };
	struct random r = { .state = 11 };
	struct agree_account a = { 0 };
	struct agree_trace t = { 0 };
	struct agree_filters f;

	(void)state;
	if (!agree_can_load())
		skip();
	part_trace(&t, &r);
	agree_filters_init(&f, 2);
	part_add(&f, 700, NULL);
	part_add(&f, 0, NULL);
	agree_all(&a, &options, &f, 0, 2, &t);
	print_message("%lu packets, %lu delivered\n", a.n_packets, a.n_delivered);
	assert_true(a.n_delivered > 0 && a.n_delivered < a.n_packets / 2);
	agree_account_close("unsure packets", KERNEL_SOCKET, &a);
	agree_filters_clear(&f);
	agree_trace_clear(&t);
}

/* What it costs to ask, on a packet of TCP over IPv4. */
static void the_price_is_small(void **state)
{
	struct kernel_options options = { .hook = KERNEL_SOCKET };
	struct random r = { .state = 12 };
	struct agree_account a = { 0 };
	struct test_flow_packet p;
	struct test_packet packet;
	struct agree_filters f;
	struct agree_set s;
	double ns[2];

	(void)state;
	if (!agree_can_load())
		skip();
	do
		test_flow_packet(&p, &r);
	while (p.n < 54 || memcmp(p.bytes + 12, "\x08\x00\x45", 3) != 0 || p.bytes[23] != 6 ||
		p.bytes[20] || p.bytes[21] || p.bytes[17] < 40);
	packet = (struct test_packet){ .data = p.bytes, .n_bytes = p.n };
	agree_filters_init(&f, 2);
	(void)agree_filters_add(&f, "tcp");
	part_add(&f, 512, NULL);
	for (unsigned int i = 0; i < 2; i++) {
		agree_set_init(&s, &a, &options, &f, i, 1);
		ns[i] = test_run_ns(s.run_fd, options.hook, &packet, 20000, 5);
		print_message("%s: %u instructions, %.0f ns\n", f.texts[i],
			kernel_code_stats(s.code).n_insns, ns[i]);
		agree_set_deinit(&s);
	}
	agree_filters_clear(&f);
	assert_true(ns[0] > 0 && ns[1] - ns[0] < 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_agree),
		cmocka_unit_test(unsure_packets_are_delivered),
		cmocka_unit_test(the_price_is_small),
	};

	return cmocka_run_group_tests(tests, agree_setup, agree_teardown);
}
