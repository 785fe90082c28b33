/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plans: whatever the batches and however the packets are split into chunks, the outcome is that of
 * one packet after the other; references see what (fd, fid) order says; domains are shared.
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
#include "plan.h"
#include "plan_private.h"

#define TEST_PKTS 1500
#define TEST_FLOWS_MAX 4

struct test_packet {
	uint8_t data[64];
	uint32_t cap_bytes;
	uint32_t wire_bytes;
	uint64_t ts_ns;
};

static struct test_packet test_packets[TEST_PKTS];
static uint64_t test_random_state;
static bool test_live; /* packets are a live source's, every third a super-packet */
static bool test_ticks; /* time passes between batches, as on a live device */

static uint32_t test_random(uint32_t below)
{
	test_random_state = test_random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(test_random_state >> 33) % below;
}

/* Ethernet and IPv4 with TCP or UDP; time mostly forward. */
static void test_make_packets(void)
{
	uint64_t ts_ns = 1000000000000000000u;

	for (unsigned int i = 0; i < TEST_PKTS; i++) {
		struct test_packet *p = &test_packets[i];

		memset(p->data, 0, sizeof(p->data));
		p->data[12] = 8;
		p->data[14] = 0x45;
		p->data[23] = test_random(2) ? 6 : 17;
		p->data[37] = (uint8_t)test_random(4);
		memcpy(p->data + 50, test_random(3) ? "xxwwwx" : "nothin", 6);
		p->cap_bytes = 64;
		p->wire_bytes = 64 + test_random(1400);
		ts_ns += test_random(40000000) + (test_random(50) ? 0u : 2500000000u);
		p->ts_ns = test_random(20) ? ts_ns : ts_ns - 100000000;
	}
}

static void test_fill(struct packet_batch *batch, unsigned int from, unsigned int n)
{
	*batch = (struct packet_batch){ .n = n, .linktype = 1, .first_no = from };
	for (unsigned int i = 0; i < n; i++) {
		const struct test_packet *p = &test_packets[from + i];

		batch->data[i] = p->data;
		batch->cap_bytes[i] = p->cap_bytes;
		batch->wire_bytes[i] = p->wire_bytes;
		batch->ts_ns[i] = p->ts_ns;
		batch->wire_pkts[i] = (from + i) % 3 ? 1 : (uint16_t)(2 + (from + i) % 40);
		batch->all_wire_bytes[i] = p->wire_bytes + 54u * (batch->wire_pkts[i] - 1u);
		batch->has_super = test_live && (batch->has_super || batch->wire_pkts[i] > 1);
	}
	batch->is_live = test_live;
}

static const struct plan_device test_device = {
	.name = "test", .lossless = true, .linktype = 1, .seed = 1
};

static struct plan_instance *test_apply(struct plan_flow *flow, const char *name,
	const struct function_value *values, struct plan_instance *ref)
{
	static const struct function_value none[FUNCTION_ARGS_MAX] = { { .text = "" } };
	struct error err = ERROR_INIT;
	struct plan_instance *instance = NULL;
	const struct function *f = function_find(name);
	const struct plan_refs refs = { .instances = { ref }, .n = ref ? 1 : 0 };

	assert_non_null(f);
	if (plan_flow_apply(flow, f, values ? values : none, &refs, &test_device, &instance, &err) <
		0)
		fail_msg("%s: %s", name, err.text);
	return instance;
}

/* The same flows for the same seed. */
static unsigned int test_make_flows(struct plan_flow *flows[TEST_FLOWS_MAX], uint64_t seed)
{
	static const char *const filters[] = { "tcp", "udp", "greater 700", "ip[23] & 1 = 1" };
	static const char *const periods[] = { "0", "1", "7ms", "50ms", "300ms", "1s" };
	struct plan_instance *sources[64];
	unsigned int n_flows, n_sources = 0;

	test_random_state = seed;
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

static void test_run_direct(struct plan *plan, unsigned int batch_pkts)
{
	struct plan_run *run;
	struct packet_batch batch;

	assert_int_equal(plan_run_new(&run, plan, true), 0);
	for (unsigned int at = 0; at < TEST_PKTS; at += batch.n) {
		test_fill(&batch, at, MIN(batch_pkts, TEST_PKTS - at));
		test_pass_time(run, at);
		assert_int_equal(plan_run_direct(run, &batch), 0);
	}
	plan_run_finish(run);
	plan_run_free(run);
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
		test_run_direct(plan, batch_pkts);
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

/* What statistics say of each function is what a PKT_COUNTER in its place counts. */
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
		test_run_direct(plan, 256);
	plan_flow_count(flow);
	for (unsigned int i = 0; i < flow->n_instances; i++) {
		const struct plan_instance *instance = flow->instances[i];
		unsigned int before = (i + 1) / 2;

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
	test_run_direct(plan, 256);
	memcpy(&stats, before->state, sizeof(stats));
	assert_true(stats.min == 0 && stats.max == TEST_PKTS - 1);
	memcpy(&stats, after->state, sizeof(stats));
	assert_true(stats.min == 1 && stats.max == TEST_PKTS);
	plan_free(plan);
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

static struct plan_explanation test_explain(
	const struct plan *plan, const struct plan_instance *instance)
{
	struct plan_explanation e;

	assert_int_equal(plan_explain(plan, instance, &e), 0);
	return e;
}

static void plans_are_explained(void **unused)
{
	static const char *const filters[] = { "tcp", "tcp", "udp" };
	static const char *const patterns[] = { "www", "|77 77|w", "absent" };
	struct plan_flow *flows[3], *later;
	struct plan_instance *filter[3], *search[3], *cut[3], *inner[3], *counter, *stats;
	struct plan_explanation e;
	struct error err = ERROR_INIT;
	struct plan *plan;

	for (unsigned int f = 0; f < 3; f++) {
		struct function_value args[FUNCTION_ARGS_MAX] = { { .text = filters[f] } };

		assert_int_equal(plan_flow_new(&flows[f], f + 1), 0);
		filter[f] = test_apply(flows[f], "BPF_FILTER", args, NULL);
		args[0].text = patterns[f];
		search[f] = test_apply(flows[f], "STR_SEARCH", args, NULL);
		args[0].number = f < 2 ? 60 : 61;
		cut[f] = test_apply(flows[f], "CUT", args, NULL);
		args[0].text = "ip";
		inner[f] = test_apply(flows[f], "BPF_FILTER", args, NULL);
	}
	counter = test_apply(flows[2], "PKT_COUNTER", NULL, NULL);
	stats = test_apply(flows[2], "STATS",
		(struct function_value[FUNCTION_ARGS_MAX]){ [2] = { .text = "1s" } }, counter);
	assert_int_equal(plan_new(&plan, flows, 3, NULL, &err), 0);
	for (unsigned int f = 0; f < 3; f++) {
		e = test_explain(plan, filter[f]);
		assert_true(
			e.work == PLAN_WORK_FILTER && e.domain == 0 && e.order == FUNCTION_FREE);
		assert_true(e.together == 3 && e.shared == (f < 2 ? 2u : 1u));
		e = test_explain(plan, search[f]);
		assert_true(e.work == PLAN_WORK_SEARCH && e.together == 3);
		assert_int_equal(e.shared, f < 2 ? 2 : 1);
		e = test_explain(plan, cut[f]);
		assert_true(e.work == PLAN_WORK_TRANSFORM && e.domain == 0);
		assert_true(e.new_domain == (f < 2 ? 1u : 2u) && e.shared == (f < 2 ? 2u : 1u));
		e = test_explain(plan, inner[f]);
		assert_true(e.domain == (f < 2 ? 1u : 2u) && e.shared == (f < 2 ? 2u : 1u));
		assert_true(!e.late && e.group == 0 && e.n_steps == 14);
	}
	/* Who resets what he refers to and that run packet by packet, in turn. */
	e = test_explain(plan, stats);
	assert_true(e.work == PLAN_WORK_PROCESS && e.late && e.order == FUNCTION_ORDER);
	assert_true(e.group == 1 && test_explain(plan, counter).group == 1);
	assert_true(e.step == test_explain(plan, counter).step + 1);
	assert_int_equal(plan_flow_new(&later, 4), 0);
	counter = test_apply(later, "PKT_COUNTER", NULL, NULL);
	assert_int_equal(plan_explain(plan, counter, &e), -ENOENT);
	plan_flow_free(later);
	plan_free(plan);
	for (unsigned int f = 0; f < 3; f++)
		plan_flow_free(flows[f]);
}

static void equal_transforms_share_a_domain(void **unused)
{
	struct plan_flow *flows[3];
	struct function_value cut[FUNCTION_ARGS_MAX] = { { .text = "" } };
	struct error err = ERROR_INIT;
	struct plan *plan;

	for (unsigned int f = 0; f < 3; f++) {
		assert_int_equal(plan_flow_new(&flows[f], f + 1), 0);
		cut[0].number = f < 2 ? 60 : 61;
		test_apply(flows[f], "CUT", cut, NULL);
		test_apply(flows[f], "PKT_COUNTER", NULL, NULL);
	}
	assert_int_equal(plan_new(&plan, flows, 3, NULL, &err), 0);
	assert_int_equal(plan->n_domains, 3); /* captured, cut at 60, cut at 61 */
	plan_free(plan);
	for (unsigned int f = 0; f < 3; f++)
		plan_flow_free(flows[f]);
}

/* Who leaves takes his pattern away without a new database; who comes brings one. */
static void search_sets_are_inherited(void **unused)
{
	static const char *const patterns[] = { "www", "nothin", "absent" };
	struct plan_flow *flows[3];
	struct plan_instance *counters[3];
	struct error err = ERROR_INIT;
	struct plan *first, *second, *third;

	for (unsigned int f = 0; f < 3; f++) {
		struct function_value args[FUNCTION_ARGS_MAX] = { { .text = patterns[f] } };

		assert_int_equal(plan_flow_new(&flows[f], f + 1), 0);
		test_apply(flows[f], "STR_SEARCH", args, NULL);
		counters[f] = test_apply(flows[f], "PKT_COUNTER", NULL, NULL);
	}
	assert_int_equal(plan_new(&first, flows, 2, NULL, &err), 0);
	assert_int_equal(plan_new(&second, flows + 1, 1, first, &err), 0);
	assert_ptr_equal(first->domains[0].search_set, second->domains[0].search_set);
	assert_int_equal(plan_new(&third, flows + 1, 2, second, &err), 0);
	assert_ptr_not_equal(second->domains[0].search_set, third->domains[0].search_set);
	plan_free(first);
	test_run_direct(second, 256);
	assert_int_equal(*(uint64_t *)counters[0]->state, 0);
	assert_in_range(*(uint64_t *)counters[1]->state, TEST_PKTS / 4, TEST_PKTS / 2);
	plan_free(second);
	plan_free(third);
	for (unsigned int f = 0; f < 3; f++)
		plan_flow_free(flows[f]);
}

static void counters_alone_need_no_order(void **unused)
{
	struct plan_flow *flow;
	struct function_value args[FUNCTION_ARGS_MAX] = { { .text = "tcp" } };
	struct error err = ERROR_INIT;
	struct plan *plan;

	assert_int_equal(plan_flow_new(&flow, 1), 0);
	test_apply(flow, "BPF_FILTER", args, NULL);
	test_apply(flow, "PKT_COUNTER", NULL, NULL);
	assert_int_equal(plan_new(&plan, &flow, 1, NULL, &err), 0);
	assert_false(plan->has_late);
	plan_free(plan);
	plan_flow_free(flow);
}

static void a_reference_out_of_the_plan_is_refused(void **unused)
{
	struct plan_flow *flows[2];
	struct function_value each[FUNCTION_ARGS_MAX] = { { .text = "" } };
	struct error err = ERROR_INIT;
	struct plan *plan = NULL;

	each[2].text = "0";
	assert_int_equal(plan_flow_new(&flows[0], 1), 0);
	assert_int_equal(plan_flow_new(&flows[1], 2), 0);
	test_apply(flows[1], "STATS", each, test_apply(flows[0], "PKT_COUNTER", NULL, NULL));
	assert_int_equal(plan_new(&plan, flows + 1, 1, NULL, &err), -22);
	assert_int_equal(err.code, 7001);
	assert_null(plan);
	plan_flow_free(flows[0]);
	plan_flow_free(flows[1]);
}

static void a_bad_filter_leaves_the_flow_as_it_was(void **unused)
{
	struct function_value args[FUNCTION_ARGS_MAX] = { { .text = "tcp prot 80" } };
	struct plan_instance *instance = NULL;
	struct error err = ERROR_INIT;
	struct plan_flow *flow;

	assert_int_equal(plan_flow_new(&flow, 1), 0);
	assert_int_equal(plan_flow_apply(flow, function_find("BPF_FILTER"), args, NULL,
				 &test_device, &instance, &err),
		-22);
	assert_int_equal(err.code, 1025);
	assert_null(instance);
	assert_int_equal(flow->n_instances, 0);
	plan_flow_free(flow);
}

/* The link type was not known at apply: what its first packets refuse ends the flow. */
static void a_filter_that_no_link_type_accepts_ends_its_flow(void **unused)
{
	struct function_value wrong[FUNCTION_ARGS_MAX] = { { .text = "ether host 2:0:0:0:0:1" } };
	struct function_value right[FUNCTION_ARGS_MAX] = { { .text = "ip" } };
	struct plan_flow *flows[2];
	struct error err = ERROR_INIT;
	struct packet_batch batch;
	struct plan_run *run;
	struct plan *plan;

	for (unsigned int f = 0; f < 2; f++) {
		assert_int_equal(plan_flow_new(&flows[f], f + 1), 0);
		test_apply(flows[f], "BPF_FILTER", f ? right : wrong, NULL);
	}
	assert_int_equal(plan_new(&plan, flows, 2, NULL, &err), 0);
	assert_int_equal(plan_run_new(&run, plan, true), 0);
	test_fill(&batch, 0, 10);
	batch.linktype = 101; /* LINKTYPE_RAW: it has no Ethernet addresses */
	assert_int_equal(plan_run_direct(run, &batch), 0);
	assert_true(flows[0]->failed);
	assert_int_equal(flows[0]->instances[0]->filter_error.code, 1025);
	assert_false(flows[1]->failed);
	plan_run_free(run);
	plan_free(plan);
	plan_flow_free(flows[0]);
	plan_flow_free(flows[1]);
}

/* Does not know at first; knows for one link type only. */
static int test_compile(void *context, const char *expression, uint32_t linktype, bool may_wait,
	struct filter_program **ret, struct error *err)
{
	unsigned int *n_asked = context;

	if (!may_wait && ++*n_asked < 3)
		return PLAN_E_AGAIN;
	if (linktype == test_device.linktype)
		return filter_compile(ret, expression, linktype, err);
	(void)error_set(err, 1025, "too long");
	return -ETIMEDOUT;
}

static void a_compiler_may_take_its_time_and_fail_later(void **unused)
{
	struct function_value args[FUNCTION_ARGS_MAX] = { { .text = "ip" } };
	unsigned int n_asked = 0;
	struct plan_device device = test_device;
	struct plan_instance *instance = NULL;
	struct error err = ERROR_INIT;
	struct packet_batch batch;
	struct plan_flow *flow;
	struct plan_run *run;
	struct plan *plan;

	device.compiler = (struct plan_compiler){ .compile = test_compile, .context = &n_asked };
	assert_int_equal(plan_flow_new(&flow, 1), 0);
	while (plan_flow_apply(flow, function_find("BPF_FILTER"), args, NULL, &device, &instance,
		       &err) == PLAN_E_AGAIN)
		assert_int_equal(flow->n_instances, 0);
	assert_int_equal(n_asked, 3);
	assert_int_equal(flow->n_instances, 1);
	assert_int_equal(plan_new(&plan, &flow, 1, NULL, &err), 0);
	assert_int_equal(plan_run_new(&run, plan, true), 0);
	test_fill(&batch, 0, 10);
	assert_int_equal(plan_run_direct(run, &batch), 0);
	assert_false(flow->failed);
	test_fill(&batch, 10, 10);
	batch.linktype = 101; /* valid there, too, but nobody can say so */
	assert_int_equal(plan_run_direct(run, &batch), 0);
	assert_true(flow->failed);
	assert_string_equal(instance->filter_error.text, "too long");
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
		cmocka_unit_test(plans_are_explained),
		cmocka_unit_test(references_follow_fd_fid_order),
		cmocka_unit_test(equal_transforms_share_a_domain),
		cmocka_unit_test(search_sets_are_inherited),
		cmocka_unit_test(counters_alone_need_no_order),
		cmocka_unit_test(a_reference_out_of_the_plan_is_refused),
		cmocka_unit_test(a_filter_that_no_link_type_accepts_ends_its_flow),
		cmocka_unit_test(a_compiler_may_take_its_time_and_fail_later),
		cmocka_unit_test(a_bad_filter_leaves_the_flow_as_it_was),
	};

	test_random_state = 1;
	test_make_packets();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
