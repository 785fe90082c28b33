/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plans at work: whatever the batches and however the packets are split into chunks, the outcome is
 * that of one packet after the other; references see what (fd, fid) order says.
 */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "mapi/stats.h"
#include "plan_private.h"
#include "test_packets_private.h"

#define TEST_FLOWS_MAX 4

static bool test_ticks; /* time passes between batches, as on a live device */

/* The same flows for the same seed. */
static unsigned int test_make_flows(struct plan_flow *flows[TEST_FLOWS_MAX], uint64_t seed)
{
	static const char *const filters[] = { "tcp", "udp", "greater 700", "ip[23] & 1 = 1" };
	static const char *const periods[] = { "0", "1", "7ms", "50ms", "300ms", "1s" };
	struct plan_instance *sources[64];
	unsigned int n_flows, n_sources = 0;

	test_seed(seed);
	n_flows = 1 + test_random(TEST_FLOWS_MAX);
	for (unsigned int f = 0; f < n_flows; f++)
		assert_int_equal(plan_flow_new(&flows[f], f + 1), 0);
	/* Functions go to flows in any order, so that references point both ways. */
	for (unsigned int k = 0; k < 5 * n_flows; k++) {
		struct plan_flow *flow = flows[test_random(n_flows)];
		struct function_value values[FUNCTION_ARGS_MAX] = { { .text = "" } };

		switch (test_random(8)) {
		case 0:
			values[0].text = filters[test_random(4)];
			test_apply(flow, "BPF_FILTER", values, NULL);
			break;
		case 1:
			sources[n_sources++] = test_apply(flow, "PKT_COUNTER", NULL, NULL);
			break;
		case 2:
			sources[n_sources++] = test_apply(flow, "BYTE_COUNTER", NULL, NULL);
			break;
		case 3:
			values[0].number = 1 + test_random(5);
			values[1].number = 2 + test_random(2);
			test_apply(flow, "SAMPLE", values, NULL);
			break;
		case 4:
			values[0].number = test_random(2);
			sources[n_sources++] = test_apply(flow, "PKTINFO", values, NULL);
			break;
		case 5:
			values[0].text = "www";
			test_apply(flow, "STR_SEARCH", values, NULL);
			break;
		case 6:
			values[0].number = 20 + test_random(40);
			test_apply(flow, "CUT", values, NULL);
			break;
		case 7:
			if (!n_sources)
				break;
			values[2].text = periods[test_random(6)];
			test_apply(flow, "STATS", values, sources[test_random(n_sources)]);
			break;
		}
	}
	return n_flows;
}

/* All results of all functions, one after the other. */
static size_t test_results(
	struct plan_flow *const *flows, unsigned int n_flows, uint8_t *ret, size_t ret_bytes)
{
	size_t used = 0;

	for (unsigned int f = 0; f < n_flows; f++) {
		plan_flow_count(flows[f]);
		for (unsigned int i = 0; i < flows[f]->n_instances; i++) {
			const struct plan_instance *instance = flows[f]->instances[i];
			const struct function *function = instance->function;
			_Alignas(64) uint8_t result[256] = { 0 };

			if (function->read)
				function->read(instance->memory, instance->state, result);
			else
				memcpy(result, instance->state, function->desc.result_bytes);
			assert_true(used + function->desc.result_bytes <= ret_bytes);
			memcpy(ret + used, result, function->desc.result_bytes);
			used += function->desc.result_bytes;
			assert_true(used + sizeof(instance->counts) <= ret_bytes);
			memcpy(ret + used, &instance->counts, sizeof(instance->counts));
			used += sizeof(instance->counts);
		}
	}
	return used;
}

/* Packet @at is the next one: ticks come, some of them before the latest packet, which is none. */
static void test_pass_time(struct plan_run *run, unsigned int at)
{
	uint64_t now_ns = 0, end_ns = test_packets[at].ts_ns;

	if (!test_ticks)
		return;
	for (unsigned int i = 0; i < at; i++)
		now_ns = MAX(now_ns, test_packets[i].ts_ns);
	now_ns -= MIN(now_ns, 50000000u);
	while (now_ns < end_ns && test_random(8) > 0) {
		(void)plan_run_tick(run, now_ns);
		now_ns += test_random(2) ? test_random(5000000) : test_random(900000000);
	}
}

/* Two workers take chunks of random length in turn; some chunks begin in the wrong place first. */
static void test_run_chunks(struct plan *plan, unsigned int batch_pkts)
{
	struct plan_run *runs[2];
	unsigned int at = 0, turn = 0;

	assert_int_equal(plan_run_new(&runs[0], plan, false), 0);
	assert_int_equal(plan_run_new(&runs[1], plan, false), 0);
	while (at < TEST_PKTS) {
		unsigned int length = 1 + test_random(600);
		unsigned int n = MIN(length, TEST_PKTS - at);
		struct plan_run *run = runs[turn++ % 2];
		struct packet_batch batch;

		if (test_random(4) == 0) {
			test_fill(&batch, test_random(TEST_PKTS - 10), 10);
			assert_int_equal(plan_run_early(run, &batch), 0);
			plan_run_abandon(run);
		}
		for (unsigned int done = 0; done < n; done += batch.n) {
			test_fill(&batch, at + done, MIN(batch_pkts, n - done));
			assert_int_equal(plan_run_early(run, &batch), 0);
		}
		test_pass_time(run, at);
		plan_run_commit(run, at);
		at += n;
	}
	plan_run_finish(runs[0]);
	plan_run_free(runs[0]);
	plan_run_free(runs[1]);
}

static size_t test_outcome(
	uint64_t seed, unsigned int batch_pkts, bool chunks, uint8_t *ret, size_t ret_bytes)
{
	struct plan_flow *flows[TEST_FLOWS_MAX];
	unsigned int n_flows = test_make_flows(flows, seed);
	struct error err = ERROR_INIT;
	struct plan *plan;
	size_t n;

	assert_int_equal(plan_new(&plan, flows, n_flows, NULL, &err), 0);
	if (chunks)
		test_run_chunks(plan, batch_pkts);
	else
		test_run_direct(plan, batch_pkts, test_pass_time);
	n = test_results(flows, n_flows, ret, ret_bytes);
	plan_free(plan);
	for (unsigned int f = 0; f < n_flows; f++)
		plan_flow_free(flows[f]);
	return n;
}

static void batches_and_chunks_change_nothing(void **unused)
{
	static const unsigned int sizes[] = { 7, 64, 255, 256 };
	static uint8_t one[8192], other[8192];

	for (uint64_t seed = 1; seed <= 300; seed++) {
		size_t n;

		test_live = seed % 2;
		test_ticks = false;
		n = test_outcome(seed, 1, false, one, sizeof(one));
		test_ticks = seed % 3;

		for (unsigned int s = 0; s < ARRAY_SIZE(sizes); s++) {
			for (unsigned int chunks = 0; chunks < 2; chunks++) {
				assert_int_equal(
					test_outcome(seed, sizes[s], chunks, other, sizeof(other)),
					n);
				if (memcmp(one, other, n) != 0)
					fail_msg("seed %u, batches of %u, %s", (unsigned int)seed,
						sizes[s], chunks ? "chunks" : "direct");
			}
		}
	}
	test_live = false;
}

/* What statistics say of each function is what a PKT_COUNTER in its place counts; and all are known
 * to have cost something. */
static void test_statistics(bool chunks)
{
	static const char *const filters[] = { NULL, "BPF_FILTER", "SAMPLE", "STR_SEARCH", "CUT",
		"BPF_FILTER" };
	struct function_value args[ARRAY_SIZE(filters)][FUNCTION_ARGS_MAX] = { { { .text = "" } },
		{ { .text = "tcp" } }, { { .number = 3 }, { .number = 2 } }, { { .text = "www" } },
		{ { .number = 60 } }, { { .text = "greater 700" } } };
	struct plan_flow *flow;
	struct error err = ERROR_INIT;
	uint64_t counted[ARRAY_SIZE(filters)];
	struct plan *plan;

	assert_int_equal(plan_flow_new(&flow, 1), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(filters); i++) {
		if (filters[i])
			test_apply(flow, filters[i], args[i], NULL);
		test_apply(flow, "PKT_COUNTER", NULL, NULL);
	}
	assert_int_equal(plan_new(&plan, &flow, 1, NULL, &err), 0);
	if (chunks)
		test_run_chunks(plan, 256);
	else
		test_run_direct(plan, 256, NULL);
	plan_flow_count(flow);
	for (unsigned int i = 0; i < flow->n_instances; i++) {
		const struct plan_instance *instance = flow->instances[i];
		unsigned int before = (i + 1) / 2;

		assert_true(plan_cost_ns_per_pkt(instance) > 0);
		if (i % 2 == 0) {
			memcpy(&counted[before], instance->state, sizeof(uint64_t));
			assert_int_equal(instance->counts.pkts, counted[before]);
			assert_int_equal(instance->counts.passed_pkts, counted[before]);
		} else {
			assert_int_equal(instance->counts.pkts, counted[before - 1]);
		}
	}
	for (unsigned int i = 1; i < flow->n_instances; i += 2)
		assert_int_equal(flow->instances[i]->counts.passed_pkts, counted[(i + 1) / 2]);
	assert_int_equal(counted[0], TEST_PKTS);
	assert_true(counted[1] < counted[0] && counted[2] < counted[1] && counted[3] < counted[2]);
	assert_true(counted[4] == counted[3] && counted[5] < counted[4] && counted[5] > 0);
	plan_free(plan);
	plan_flow_free(flow);
}

static void statistics_count_what_functions_see(void **unused)
{
	for (unsigned int times = 0; times < 20; times++)
		test_statistics(times % 2);
}

/* O2: the value includes the current packet iff the source stands earlier. */
static void references_follow_fd_fid_order(void **unused)
{
	struct plan_flow *flows[2];
	struct function_value each[FUNCTION_ARGS_MAX] = { { .text = "" } };
	struct plan_instance *before, *after, *counter;
	struct error err = ERROR_INIT;
	struct plan *plan;
	stats_t stats;

	each[2].text = "0";
	assert_int_equal(plan_flow_new(&flows[0], 1), 0);
	assert_int_equal(plan_flow_new(&flows[1], 2), 0);
	counter = test_apply(flows[1], "PKT_COUNTER", NULL, NULL);
	before = test_apply(flows[0], "STATS", each, counter);
	after = test_apply(flows[1], "STATS", each, counter);
	assert_int_equal(plan_new(&plan, flows, 2, NULL, &err), 0);
	test_run_direct(plan, 256, NULL);
	memcpy(&stats, before->state, sizeof(stats));
	assert_true(stats.min == 0 && stats.max == TEST_PKTS - 1);
	memcpy(&stats, after->state, sizeof(stats));
	assert_true(stats.min == 1 && stats.max == TEST_PKTS);
	plan_free(plan);
	plan_flow_free(flows[0]);
	plan_flow_free(flows[1]);
}

/* O2: who comes later finds in a source what it has counted without anybody looking. */
static void references_begin_with_what_there_is(void **unused)
{
	struct function_value each[FUNCTION_ARGS_MAX] = { { .text = "" } };
	struct plan_instance *counter, *before;
	struct plan_flow *flows[2];
	struct error err = ERROR_INIT;
	struct packet_batch batch;
	struct plan_run *run;
	struct plan *plan;
	stats_t stats;

	each[2].text = "0";
	assert_int_equal(plan_flow_new(&flows[0], 1), 0);
	assert_int_equal(plan_flow_new(&flows[1], 2), 0);
	counter = test_apply(flows[1], "PKT_COUNTER", NULL, NULL);
	for (unsigned int late = 0; late < 2; late++) {
		if (late)
			before = test_apply(flows[0], "STATS", each, counter);
		assert_int_equal(plan_new(&plan, flows + !late, 1 + late, NULL, &err), 0);
		assert_int_equal(plan_run_new(&run, plan, true), 0);
		test_fill(&batch, 10 * late, 10);
		assert_int_equal(plan_run_direct(run, &batch), 0);
		plan_run_free(run);
		plan_free(plan);
	}
	memcpy(&stats, before->state, sizeof(stats));
	assert_int_equal((int)stats.min, 10);
	assert_int_equal((int)stats.max, 19);
	plan_flow_free(flows[0]);
	plan_flow_free(flows[1]);
}

/* T1: a period ends when its time has come, and what the next packet finds is the same. */
static void time_passes_without_packets(void **unused)
{
	struct function_value period[FUNCTION_ARGS_MAX] = { { .text = "" } };
	struct plan_instance *counter, *stats;
	struct error err = ERROR_INIT;
	struct packet_batch batch;
	struct plan_flow *flow;
	struct plan_run *run;
	struct plan *plan;
	stats_t result;

	period[2].text = "1s";
	assert_int_equal(plan_flow_new(&flow, 1), 0);
	counter = test_apply(flow, "PKT_COUNTER", NULL, NULL);
	stats = test_apply(flow, "STATS", period, counter);
	assert_int_equal(plan_new(&plan, &flow, 1, NULL, &err), 0);
	assert_int_equal(plan_run_new(&run, plan, true), 0);

	assert_false(plan_run_tick(run, 5000000000u)); /* nothing has begun */
	test_fill(&batch, 0, 10);
	for (unsigned int i = 0; i < 10; i++)
		batch.ts_ns[i] = 7000000000u + i;
	assert_int_equal(plan_run_direct(run, &batch), 0);
	assert_false(plan_run_tick(run, 7999999999u));
	assert_true(plan_run_tick(run, 8000000000u));
	assert_false(plan_run_tick(run, 8000000001u));
	memcpy(&result, stats->state, sizeof(result));
	assert_true(result.count == 1 && result.sum == 10);
	assert_true(plan_run_tick(run, 10500000000u)); /* two more, of nothing */
	memcpy(&result, stats->state, sizeof(result));
	assert_true(result.count == 3 && result.sum == 10 && result.min == 0);
	batch.n = 4;
	for (unsigned int i = 0; i < 4; i++)
		batch.ts_ns[i] = 10600000000u + i * 400000000u; /* the second is at the end */
	batch.ts_ns[1] = 11000000000u;
	assert_int_equal(plan_run_direct(run, &batch), 0);
	memcpy(&result, stats->state, sizeof(result));
	assert_true(result.count == 4 && result.sum == 11);
	plan_run_free(run);
	plan_free(plan);
	plan_flow_free(flow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_and_chunks_change_nothing),
		cmocka_unit_test(time_passes_without_packets),
		cmocka_unit_test(statistics_count_what_functions_see),
		cmocka_unit_test(references_follow_fd_fid_order),
		cmocka_unit_test(references_begin_with_what_there_is),
	};

	test_make_packets(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
