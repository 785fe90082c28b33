/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions of the standard library that compute: values, filters, any split of the packets. */
#undef NDEBUG
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "mapi/errors.h"
#include "mapi/pktinfo.h"
#include "mapi/sample.h"
#include "mapi/stats.h"
#include "std.h"
#include "test_std_private.h"

#define ARGS(...) ((const struct function_value[]){ __VA_ARGS__ })
#define NO_ARGS NULL

static uint64_t test_u64(const struct test_run *run)
{
	uint64_t value;

	memcpy(&value, run->result, sizeof(value));
	return value;
}

static stats_t test_stats(const struct test_run *run)
{
	stats_t stats;

	memcpy(&stats, run->result, sizeof(stats));
	return stats;
}

static void test_no_gap_in_arguments(const struct mapi_function_desc *desc)
{
	bool may_be_missing = false;

	for (unsigned int a = 0; a < desc->n_args; a++) {
		const struct mapi_arg *arg = &desc->args[a];

		assert_non_null(arg->name);
		assert_true(arg->error_code >= 6000);
		assert_true(arg->min <= arg->max);
		assert_int_equal(arg->help[strlen(arg->help) - 1], '.');
		assert_false(may_be_missing && !arg->default_text);
		may_be_missing = arg->default_text;
	}
}

static void test_every_descriptor_is_complete(void **state)
{
	assert_true(std_n_functions >= 12);
	for (unsigned int k = 0; k < std_n_functions; k++) {
		const struct function *f = std_functions[k];
		char name[64];

		assert_int_equal(f->abi, FUNCTION_ABI);
		assert_int_equal(f->struct_bytes, sizeof(*f));
		assert_int_equal(f->desc.help[strlen(f->desc.help) - 1], '.');
		assert_true(f->desc.n_args <= FUNCTION_ARGS_MAX);
		test_no_gap_in_arguments(&f->desc);
		for (unsigned int i = 0; i < f->desc.n_fields; i++) {
			assert_true(f->desc.fields[i].offset_bytes < f->desc.result_bytes);
			if (f->desc.record_bytes && i >= f->desc.n_head_fields)
				assert_in_range(f->desc.fields[i].offset_bytes,
					f->desc.list_offset_bytes,
					f->desc.list_offset_bytes + f->desc.record_bytes - 1);
			assert_non_null(f->desc.fields[i].unit);
			assert_non_null(f->desc.fields[i].help);
		}
		assert_int_equal(!f->desc.n_fields, !f->desc.result_bytes);
		assert_int_equal(
			1, !!f->process + !!f->filter + !!f->search + !!f->transform + f->waits);
		if (f->order == FUNCTION_FREE && f->state_bytes)
			assert_non_null(f->merge);

		(void)snprintf(name, sizeof(name), "%s:%s!1.3.6", STD_LIBRARY, f->desc.name);
		assert_ptr_equal(function_find(name), f);
		assert_ptr_equal(function_find(f->desc.name), f);
	}
}

/* What has a value or passes packets, with arguments that make it work for its living. */
static const struct test_case {
	const struct function *function;
	unsigned int n_args;
	struct function_value args[3];
} test_cases[] = {
	{ &std_pkt_counter, 0, { { .number = 0 } } },
	{ &std_byte_counter, 0, { { .number = 0 } } },
	{ &std_pktinfo, 1, { { .number = PKT_TS } } },
	{ &std_pktinfo, 1, { { .number = PKT_SIZE } } },
	{ &std_hash, 1, { { .number = 0 } } },
	{ &std_hash, 1, { { .number = 1 } } },
	{ &std_hash, 1, { { .number = 2 } } },
	{ &std_hash, 1, { { .number = 3 } } },
	{ &std_sample, 2, { { .number = 1 }, { .number = PERIODIC } } },
	{ &std_sample, 2, { { .number = 7 }, { .number = PERIODIC } } },
	{ &std_sample, 2, { { .number = 30 }, { .number = PROBABILISTIC } } },
	{ &std_hashsamp, 2, { { .number = 300 }, { .number = 0 } } },
	{ &std_stats, 3, { { .number = 1 }, { .number = 1 }, { .text = "0" } } },
	{ &std_stats, 3, { { .number = 1 }, { .number = 1 }, { .text = "1" } } },
	{ &std_stats, 3, { { .number = 1 }, { .number = 1 }, { .text = "500ms" } } },
};

static void test_any_split_gives_the_same(void **state)
{
	struct test_traffic *t = test_traffic_new(1);

	for (size_t k = 0; k < ARRAY_SIZE(test_cases); k++)
		test_any_split(
			t, test_cases[k].function, test_cases[k].args, test_cases[k].n_args, true);
	free(t);
}

static enum function_order test_order(const struct test_run *run)
{
	const struct function *f = run->function;

	return f->order_of ? f->order_of(run->instance) : f->order;
}

static void test_parts_of_free_functions_add_up(void **state)
{
	struct test_traffic *t = test_traffic_new(2);
	unsigned int n_free = 0;

	for (size_t k = 0; k < ARRAY_SIZE(test_cases); k++) {
		const struct test_case *c = &test_cases[k];
		struct test_run whole, left, right;

		assert_int_equal(0, test_open(&whole, c->function, c->args, c->n_args, true));
		assert_int_equal(0, test_open(&left, c->function, c->args, c->n_args, true));
		assert_int_equal(0, test_open(&right, c->function, c->args, c->n_args, true));
		if (test_order(&whole) == FUNCTION_FREE) {
			n_free++;
			test_run(&whole, t, 0, 4, TEST_SPLIT_WHOLE, false);
			test_run(&right, t, 1, 4, TEST_SPLIT_WHOLE, false);
			test_run(&left, t, 0, 1, TEST_SPLIT_WHOLE, false);
			if (c->function->merge)
				c->function->merge(left.instance, left.state, right.state);
			test_read(&left);
			test_assert_same_result(&whole, &left);
			test_assert_same_packets(&whole, &left, 0, 1);
			test_assert_same_packets(&whole, &right, 1, 4);
		}
		test_close(&whole);
		test_close(&left);
		test_close(&right);
	}
	assert_true(n_free >= 3);
	free(t);
}

static void test_counters_count_what_is_selected(void **state)
{
	struct test_traffic *t = test_traffic_new(3);
	struct test_run pkts, bytes;
	uint64_t n_pkts = 0, n_bytes = 0;

	assert_int_equal(0, test_open(&pkts, &std_pkt_counter, NO_ARGS, 0, true));
	assert_int_equal(0, test_open(&bytes, &std_byte_counter, NO_ARGS, 0, true));
	t->batch[0].wire_bytes[64] = t->batch[0].wire_bytes[65] =
		UINT32_MAX; /* sums need 64 bits */
	test_run(&pkts, t, 0, TEST_N_BATCHES, TEST_SPLIT_WHOLE, true);
	test_run(&bytes, t, 0, TEST_N_BATCHES, TEST_SPLIT_WHOLE, true);
	for (unsigned int b = 0; b < TEST_N_BATCHES; b++) {
		for (unsigned int i = 0; i < t->batch[b].n; i++) {
			if (packet_mask_test(&t->selection[b], i)) {
				n_pkts++;
				n_bytes += t->batch[b].wire_bytes[i];
			}
			assert_int_equal(pkts.column[b][i], n_pkts);
			assert_int_equal(bytes.column[b][i], n_bytes);
		}
	}
	assert_int_equal(test_u64(&pkts), n_pkts);
	assert_int_equal(test_u64(&bytes), n_bytes);
	assert_true(n_bytes > UINT32_MAX);
	free(t);
}

static void test_pktinfo_is_of_the_last_packet(void **state)
{
	struct test_traffic *t = test_traffic_new(4);
	struct test_run run;

	t->selection[0] = packet_mask_first(0);
	packet_mask_set(&t->selection[0], 77);
	assert_int_equal(0, test_open(&run, &std_pktinfo, ARGS(test_number(PKT_TS)), 1, true));
	test_run(&run, t, 0, 1, TEST_SPLIT_WHOLE, true);
	assert_int_equal(test_u64(&run), packet_ts_from_ns(t->batch[0].ts_ns[77]));
	assert_int_equal(run.column[0][76], 0);
	assert_int_equal(run.column[0][255], test_u64(&run));

	assert_int_equal(0, test_open(&run, &std_pktinfo, ARGS(test_number(PKT_SIZE)), 1, true));
	test_run(&run, t, 0, 1, TEST_SPLIT_WHOLE, false);
	assert_int_equal(test_u64(&run), t->batch[0].wire_bytes[77]);
	free(t);
}

static void test_hash_is_length_and_bytes(void **state)
{
	/* The kinds whose layers begin and end at other places; end 0: there is no such layer. */
	static const struct {
		enum test_kind kind;
		unsigned int begin[4], end[4];
	} expected[] = {
		{ TEST_KIND_TCP4, { 0, 14, 34, 54 }, { 79, 79, 74, 74 } },
		{ TEST_KIND_UDP4, { 0, 14, 34, 42 }, { 67, 67, 62, 62 } },
		{ TEST_KIND_TCP6, { 0, 14, 54, 74 }, { 99, 99, 94, 94 } },
		{ TEST_KIND_ARP, { 0, 14, 0, 0 }, { 60, 60, 0, 0 } },
		{ TEST_KIND_FRAGMENT, { 0, 14, 34, 0 }, { 67, 67, 62, 0 } },
		{ TEST_KIND_CUT, { 0, 0, 0, 0 }, { 9, 0, 0, 0 } },
		{ TEST_KIND_EMPTY, { 0, 0, 0, 0 }, { 0, 0, 0, 0 } },
	};
	struct test_traffic *t = test_traffic_new(5);

	for (size_t k = 0; k < ARRAY_SIZE(expected); k++) {
		for (unsigned int layer = 0; layer < 4; layer++) {
			struct test_run run;
			uint32_t sum = expected[k].end[layer] - expected[k].begin[layer], value;

			t->selection[0] = packet_mask_first(0);
			packet_mask_set(&t->selection[0], expected[k].kind);
			for (unsigned int b = expected[k].begin[layer]; b < expected[k].end[layer];
				b++)
				sum += t->bytes[0][expected[k].kind][b];
			assert_int_equal(
				0, test_open(&run, &std_hash, ARGS(test_number(layer)), 1, true));
			test_run(&run, t, 0, 1, TEST_SPLIT_WHOLE, false);
			memcpy(&value, run.result, sizeof(value));
			assert_int_equal(value, sum % 500009);
		}
	}
	free(t);
}

static unsigned int test_count(const struct packet_mask mask[])
{
	unsigned int n = 0;

	for (unsigned int b = 0; b < TEST_N_BATCHES; b++)
		n += packet_mask_count(&mask[b]);
	return n;
}

static void test_sample_passes_every_nth(void **state)
{
	struct test_traffic *t = test_traffic_new(6);
	unsigned int n = 0;
	struct test_run run;

	assert_int_equal(0,
		test_open(
			&run, &std_sample, ARGS(test_number(20), test_number(PERIODIC)), 2, true));
	test_run(&run, t, 0, TEST_N_BATCHES, TEST_SPLIT_RANDOM, false);
	for (unsigned int b = 0; b < TEST_N_BATCHES; b++) {
		for (unsigned int i = 0; i < t->batch[b].n; i++) {
			bool selected = packet_mask_test(&t->selection[b], i);

			n += selected;
			assert_int_equal(
				packet_mask_test(&run.passed[b], i), selected && n % 20 == 0);
		}
	}
	assert_true(n > 300);
	free(t);
}

static void test_sample_arguments_fall_back(void **state)
{
	static const struct {
		long long value, mode;
		unsigned int passed_percent;
	} cases[] = {
		{ 1, PERIODIC, 100 },
		{ 0, PERIODIC, 100 },
		{ -5, PERIODIC, 100 },
		{ 2, 0, 50 },
		{ 2, 99, 50 },
		{ 0, PROBABILISTIC, 0 },
		{ INT_MIN, PROBABILISTIC, 0 },
		{ 100, PROBABILISTIC, 100 },
		{ INT_MAX, PROBABILISTIC, 100 },
	};
	struct test_traffic *t = test_traffic_new(7);

	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		struct test_run run;

		assert_int_equal(0,
			test_open(&run, &std_sample,
				ARGS(test_number(cases[k].value), test_number(cases[k].mode)), 2,
				true));
		test_run(&run, t, 0, TEST_N_BATCHES, TEST_SPLIT_WHOLE, false);
		assert_int_equal(test_count(run.passed),
			test_count(t->selection) * cases[k].passed_percent / 100);
	}
	free(t);
}

/* Whether each of the packets that are selected has passed, one after the other. */
static unsigned int test_passes(const struct test_traffic *t, const struct test_run *run, bool *ret)
{
	unsigned int n = 0;

	for (unsigned int b = 0; b < TEST_N_BATCHES; b++)
		packet_mask_for_each (i, &t->selection[b])
			ret[n++] = packet_mask_test(&run->passed[b], i);
	return n;
}

static void test_sample_by_chance_depends_on_the_number_only(void **state)
{
	static bool of_some[TEST_N_BATCHES * PACKET_BATCH_MAX], of_all[ARRAY_SIZE(of_some)];
	struct test_traffic *t = test_traffic_new(8);
	struct test_run some, all;
	unsigned int n_some, n_all, n;

	assert_int_equal(0,
		test_open(&some, &std_sample, ARGS(test_number(30), test_number(PROBABILISTIC)), 2,
			true));
	assert_int_equal(0,
		test_open(&all, &std_sample, ARGS(test_number(30), test_number(PROBABILISTIC)), 2,
			true));
	test_run(&some, t, 0, TEST_N_BATCHES, TEST_SPLIT_WHOLE, false);
	n_some = test_passes(t, &some, of_some);
	for (unsigned int b = 0; b < TEST_N_BATCHES; b++)
		t->selection[b] = packet_mask_first(t->batch[b].n);
	test_run(&all, t, 0, TEST_N_BATCHES, TEST_SPLIT_WHOLE, false);
	n_all = test_passes(t, &all, of_all);
	assert_true(n_some > 100 && n_some < n_all);
	assert_memory_equal(of_some, of_all, n_some * sizeof(of_some[0]));
	n = test_count(all.passed);
	assert_in_range(n, 583 * 20 / 100, 583 * 40 / 100);
	/* It is the number of the packet that counts, not the place in the batch. */
	assert_memory_not_equal(&all.passed[0], &all.passed[3], sizeof(all.passed[0]));
	test_close(&some);
	test_close(&all);
	free(t);
	(void)state;
}

/* What packet 0 of batch 1 is. */
static bool test_sample_passes(struct test_traffic *t, long long range)
{
	struct test_run run;
	bool passes;

	t->selection[1] = packet_mask_first(1);
	assert_int_equal(0,
		test_open(&run, &std_hashsamp, ARGS(test_number(range), test_number(0)), 2, true));
	assert_int_equal(std_hashsamp.order_of(run.instance), FUNCTION_FREE);
	test_run(&run, t, 1, 2, TEST_SPLIT_WHOLE, false);
	passes = packet_mask_test(&run.passed[1], 0);
	test_close(&run);
	return passes;
}

static bool test_flow_passes(struct test_traffic *t, long long range, enum test_kind kind,
	unsigned int flow, bool backwards)
{
	test_packet(t, 1, 0, kind, flow, backwards);
	return test_sample_passes(t, range);
}

/* The first fragment of a datagram has ports, so it passes with the rest of its flow. */
static void test_hashsamp_knows_first_fragments(void **state)
{
	struct test_traffic *t = test_traffic_new(9);

	for (unsigned int flow = 0; flow < 100; flow++) {
		bool passes = test_flow_passes(t, 512, TEST_KIND_UDP4, flow, false);

		t->decode[1].outer[0].flags |= DECODE_FRAGMENT;
		assert_int_equal(passes, test_sample_passes(t, 512));
	}
	free(t);
}

static void test_hashsamp_decides_by_flow(void **state)
{
	struct test_traffic *t = test_traffic_new(9);
	struct decode_flow_key key;
	unsigned int n = 0;

	for (unsigned int flow = 0; flow < 100; flow++) {
		bool passes = test_flow_passes(t, 512, TEST_KIND_TCP4, flow, false);

		n += passes;
		assert_int_equal(passes, test_flow_passes(t, 512, TEST_KIND_TCP4, flow, false));
		assert_int_equal(passes, test_flow_passes(t, 512, TEST_KIND_TCP4, flow, true));
		/* A smaller range is a part of a larger one. */
		if (!passes)
			assert_false(test_flow_passes(t, 100, TEST_KIND_TCP4, flow, false));
	}
	assert_in_range(n, 30, 70);
	test_packet(t, 1, 0, TEST_KIND_TCP4, 1, false);
	assert_true(decode_flow_key(&t->batch[1], 0, &t->decode[1].outer[0], &key));
	n = decode_flow_hash(&key, 6564987) % 1024;
	assert_false(test_flow_passes(t, n, TEST_KIND_TCP4, 1, false));
	assert_true(test_flow_passes(t, n + 1, TEST_KIND_TCP4, 1, false));
	assert_true(test_flow_passes(t, 1024, TEST_KIND_TCP4, 1, false));
	assert_true(test_flow_passes(t, 1024, TEST_KIND_UDP4, 1, false));
	assert_true(test_flow_passes(t, 1024, TEST_KIND_TCP6, 1, false));
	assert_false(test_flow_passes(t, 1024, TEST_KIND_ARP, 1, false));
	assert_false(test_flow_passes(t, 1024, TEST_KIND_FRAGMENT, 1, false));
	assert_false(test_flow_passes(t, 1024, TEST_KIND_CUT, 1, false));
	free(t);
}

static void test_cut_shortens_only_what_is_captured(void **state)
{
	struct test_traffic *t = test_traffic_new(10);
	struct packet_batch *cut = calloc(1, sizeof(*cut));
	struct test_run run;

	assert_non_null(cut);
	assert_int_equal(0, test_open(&run, &std_cut, ARGS(test_number(64)), 1, true));
	for (unsigned int b = 0; b < TEST_N_BATCHES; b++) {
		const struct packet_batch *from = &t->batch[b];
		struct function_call call = { .batch = from, .n = from->n };

		std_cut.transform(&call, run.instance, NULL, cut);
		assert_int_equal(cut->n, from->n);
		assert_int_equal(cut->linktype, from->linktype);
		assert_int_equal(cut->first_no, from->first_no);
		for (unsigned int i = 0; i < from->n; i++) {
			assert_int_equal(cut->cap_bytes[i], MIN(from->cap_bytes[i], 64));
			assert_int_equal(cut->wire_bytes[i], from->wire_bytes[i]);
			assert_int_equal(cut->ts_ns[i], from->ts_ns[i]);
			assert_int_equal(cut->ifindex[i], from->ifindex[i]);
			assert_ptr_equal(cut->data[i], from->data[i]);
		}
	}
	free(cut);
	free(t);
}

/* Batch 0 becomes packets at these times; the value of the source is 1, 2, 3 ... */
static void test_set_times(struct test_traffic *t, const uint64_t ts_ns[], unsigned int n)
{
	t->batch[0].n = n;
	t->selection[0] = packet_mask_first(n);
	for (unsigned int i = 0; i < n; i++) {
		t->batch[0].ts_ns[i] = ts_ns[i];
		t->source[0][i] = i + 1;
	}
}

static stats_t test_run_stats(
	struct test_traffic *t, const char *interval, unsigned int *ret_resets)
{
	struct test_run run;

	assert_int_equal(0,
		test_open(&run, &std_stats,
			ARGS(test_number(1), test_number(1), test_text(interval)), 3, true));
	assert_int_equal(std_stats.resets_refs_of(run.instance), strlen(interval) > 1);
	test_run(&run, t, 0, 1, TEST_SPLIT_RANDOM, false);
	*ret_resets = run.n_resets;
	return test_stats(&run);
}

static void test_stats_per_packet(void **state)
{
	struct test_traffic *t = test_traffic_new(11);
	unsigned int n_resets;
	stats_t stats;

	test_set_times(t, (const uint64_t[]){ 5, 4, 3, 2 }, 4);
	stats = test_run_stats(t, "0", &n_resets);
	assert_int_equal(stats.count, 4);
	assert_true(stats.sum == 10 && stats.sum2 == 30 && stats.min == 1 && stats.max == 4);
	stats = test_run_stats(t, "1", &n_resets);
	assert_int_equal(stats.count, 3);
	assert_true(stats.sum == 9 && stats.sum2 == 29 && stats.min == 2 && stats.max == 4);
	t->selection[0] = packet_mask_first(0);
	stats = test_run_stats(t, "0", &n_resets);
	assert_true(stats.count == 0 && stats.sum == 0 && stats.min == 0 && stats.max == 0);
	assert_int_equal(n_resets, 0);
	free(t);
}

static void test_stats_per_period(void **state)
{
	struct test_traffic *t = test_traffic_new(12);
	const uint64_t s = 1000000000u;
	unsigned int n_resets;
	stats_t stats;

	/* Ends at 11 s, before the packet at 11 s; the late one belongs to the second period, which
	 * is over before 12.5 s. */
	test_set_times(
		t, (const uint64_t[]){ 10 * s, 11 * s - 1, 11 * s, 9 * s, 12 * s + s / 2 }, 5);
	stats = test_run_stats(t, "1s", &n_resets);
	assert_int_equal(stats.count, 2);
	assert_true(stats.sum == 2 + 4 && stats.min == 2 && stats.max == 4);
	assert_int_equal(n_resets, 2);

	/* Time goes on while filters keep all packets away. */
	t->selection[0] = packet_mask_first(0);
	stats = test_run_stats(t, "1s", &n_resets);
	assert_int_equal(stats.count, 2);
	assert_int_equal(n_resets, 2);
	free(t);
}

static void test_stats_of_empty_periods_are_zero(void **state)
{
	struct test_traffic *t = test_traffic_new(13);
	const uint64_t s = 1000000000u;
	unsigned int n_resets;
	stats_t stats;

	test_set_times(t, (const uint64_t[]){ 10 * s, 13 * s + 1, 14 * s }, 3);
	stats = test_run_stats(t, "1s", &n_resets);
	assert_int_equal(stats.count, 4); /* 11: 1, 12: 0, 13: 0, 14: 2 */
	assert_true(stats.sum == 3 && stats.sum2 == 5 && stats.min == 0 && stats.max == 2);
	assert_int_equal(n_resets, 2);

	/* From the beginning to the end of time, in no time. */
	test_set_times(t, (const uint64_t[]){ 0, UINT64_MAX }, 2);
	stats = test_run_stats(t, "1us", &n_resets);
	assert_int_equal(stats.count, UINT64_MAX / 1000);
	free(t);
}

static void test_refused_arguments(void **state)
{
	const struct function_value ref = test_number(1);
	const struct {
		const struct function *function;
		unsigned int n_args;
		struct function_value args[3];
		int code;
	} cases[] = {
		{ &std_bpf_filter, 1, { test_text("") }, MFUNCT_INVALID_ARGUMENT_1 },
		{ &std_bpf_filter, 1, { test_text(" \t ") }, MFUNCT_INVALID_ARGUMENT_1 },
		{ &std_str_search, 3, { test_text("a"), test_number(-1), test_number(0) },
			MFUNCT_INVALID_ARGUMENT_2 },
		{ &std_str_search, 3, { test_text("a"), test_number(0), test_number(-1) },
			MFUNCT_INVALID_ARGUMENT_3 },
		{ &std_pktinfo, 1, { test_number(2) }, MFUNCT_INVALID_ARGUMENT_2 },
		{ &std_pktinfo, 1, { test_number(-1) }, MFUNCT_INVALID_ARGUMENT_2 },
		{ &std_hash, 1, { test_number(4) }, MFUNCT_INVALID_ARGUMENT_1 },
		{ &std_hash, 1, { test_number(-1) }, MFUNCT_INVALID_ARGUMENT_1 },
		{ &std_hashsamp, 2, { test_number(0), test_number(0) }, MFUNCT_INVALID_ARGUMENT_1 },
		{ &std_hashsamp, 2, { test_number(1025), test_number(1) },
			MFUNCT_INVALID_ARGUMENT_1 },
		{ &std_cut, 1, { test_number(0) }, MFUNCT_INVALID_ARGUMENT_1 },
		{ &std_stats, 3, { ref, ref, test_text("") }, MFUNCT_INVALID_ARGUMENT_3 },
		{ &std_stats, 3, { ref, ref, test_text("2") }, MFUNCT_INVALID_ARGUMENT_3 },
		{ &std_stats, 3, { ref, ref, test_text("-1") }, MFUNCT_INVALID_ARGUMENT_3 },
		{ &std_stats, 3, { ref, ref, test_text("0s") }, MFUNCT_INVALID_ARGUMENT_3 },
		{ &std_stats, 3, { ref, ref, test_text("5 s") }, MFUNCT_INVALID_ARGUMENT_3 },
		{ &std_stats, 3, { ref, ref, test_text("5h") }, MFUNCT_INVALID_ARGUMENT_3 },
		{ &std_stats, 3, { ref, ref, test_text("ms") }, MFUNCT_INVALID_ARGUMENT_3 },
		{ &std_stats, 3, { ref, ref, test_text("18446744073709551616us") },
			MFUNCT_INVALID_ARGUMENT_3 },
		{ &std_stats, 3, { ref, ref, test_text("307445734561825861m") },
			MFUNCT_INVALID_ARGUMENT_3 },
		{ &std_to_buffer, 1, { test_number(2) }, MFUNCT_INVALID_ARGUMENT_1 },
		{ &std_to_buffer, 1, { test_number(-1) }, MFUNCT_INVALID_ARGUMENT_1 },
		{ &std_to_file, 3, { test_number(2), test_text("x"), test_number(0) },
			MFUNCT_COULD_NOT_APPLY_FUNCT },
		{ &std_to_file, 3, { test_number(-1), test_text("x"), test_number(0) },
			MFUNCT_COULD_NOT_APPLY_FUNCT },
		{ &std_to_file, 3, { test_number(0), test_text("x"), test_number(0) },
			MAPI_ERROR_FILE },
	};

	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		struct test_run run;

		assert_true(test_open(&run, cases[k].function, cases[k].args, cases[k].n_args,
				    true) < 0);
		assert_int_equal(run.error.code, cases[k].code);
		assert_true(strlen(run.error.text) > 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_descriptor_is_complete),
		cmocka_unit_test(test_any_split_gives_the_same),
		cmocka_unit_test(test_parts_of_free_functions_add_up),
		cmocka_unit_test(test_counters_count_what_is_selected),
		cmocka_unit_test(test_pktinfo_is_of_the_last_packet),
		cmocka_unit_test(test_hash_is_length_and_bytes),
		cmocka_unit_test(test_sample_passes_every_nth),
		cmocka_unit_test(test_sample_arguments_fall_back),
		cmocka_unit_test(test_sample_by_chance_depends_on_the_number_only),
		cmocka_unit_test(test_hashsamp_decides_by_flow),
		cmocka_unit_test(test_hashsamp_knows_first_fragments),
		cmocka_unit_test(test_cut_shortens_only_what_is_captured),
		cmocka_unit_test(test_stats_per_packet),
		cmocka_unit_test(test_stats_per_period),
		cmocka_unit_test(test_stats_of_empty_periods_are_zero),
		cmocka_unit_test(test_refused_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
