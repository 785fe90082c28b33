/* SPDX-License-Identifier: BSD-2-Clause */
/* What of flows the kernel could do, and what comes of what it has counted. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <pcap/pcap.h>

#include "filter/filter.h"
#include "mapi.h"
#include "mapi/stats.h"
#include "mapi/threshold.h"
#include "plan.h"

static const struct plan_device test_device = {
	.name = "test", .lossless = true, .linktype = 1, .seed = 1
};

/* "TCP" is BPF_FILTER("tcp"), "REF" a function that refers to the last one that does not, and
 * looks at packets; STATS, BUCKET and THRESHOLD look at it each second; other words are names of
 * functions. */
static struct plan_flow *test_flow(const char *words)
{
	struct plan_instance *instance, *source = NULL;
	struct plan_flow *flow;
	char text[256], *rest = text, *word;

	(void)snprintf(text, sizeof(text), "%s", words);
	assert_int_equal(plan_flow_new(&flow, 1), 0);
	while ((word = strsep(&rest, " "))) {
		static const char *const filters[] = { "TCP", "tcp", "UDP", "udp", "LOOP",
			"ip6 protochain 6" };
		struct function_value values[FUNCTION_ARGS_MAX] = { { .text = "" } };
		struct plan_refs refs = { .n = 0 };
		const char *name = word;
		struct error err = ERROR_INIT;

		for (unsigned int i = 0; i < ARRAY_SIZE(filters); i += 2)
			if (strcmp(word, filters[i]) == 0) {
				name = "BPF_FILTER";
				values[0].text = filters[i + 1];
			}
		if (strcmp(word, "REF") == 0 || strcmp(word, "STATS") == 0) {
			name = "STATS";
			values[2].text = strcmp(word, "REF") == 0 ? "0" : "1s";
			refs = (struct plan_refs){ .instances = { source }, .n = 1 };
		} else if (strcmp(word, "BUCKET") == 0) {
			values[2].text = "1s";
			refs = (struct plan_refs){ .instances = { source }, .n = 1 };
		} else if (strcmp(word, "THRESHOLD") == 0) {
			values[0].number = THRESHOLD_ULL;
			values[3].large = 10;
			values[4].number = TR_B_POS;
			values[5].number = 1000000;
			refs = (struct plan_refs){ .instances = { source }, .n = 1 };
		} else if (strcmp(word, "PERIODIC") == 0 || strcmp(word, "CHANCE") == 0) {
			name = "SAMPLE";
			values[0].number = 10;
			values[1].number = strcmp(word, "CHANCE") == 0 ? 3 : 2;
		} else if (strcmp(word, "HASHSAMP") == 0) {
			values[0].number = 100;
		} else if (strcmp(word, "KEEP") == 0) {
			name = "HASHSAMP";
			values[0].number = 100;
			values[1].number = 1;
		} else if (strcmp(word, "STARTSTOP") == 0) {
			values[0].text = "+1s";
			values[1].text = "+2s";
		}
		if (plan_flow_apply(flow, function_find(name), values, &refs, &test_device,
			    &instance, &err) < 0)
			fail_msg("%s: %s", word, err.text);
		source = instance->n_refs ? source : instance;
	}
	return flow;
}

static struct plan_place *test_lower(struct plan_flow *flow, unsigned int *ret_n)
{
	struct plan_place *places;

	assert_int_equal(plan_lower(&flow, 1, 1, &places, ret_n), 0);
	assert_true(*ret_n >= 1);
	assert_null(places[0].flow);
	assert_false(places[0].deliver);
	return places;
}

/* Each place as "first-end", and "!" where packets are to be delivered. */
static void test_places_are(const struct plan_flow *flow, const struct plan_place *places,
	unsigned int n, const char *words, const char *expected)
{
	char text[256] = "";

	for (unsigned int i = 1; i < n; i++) {
		size_t len = strlen(text);

		assert_ptr_equal(places[i].flow, flow);
		(void)snprintf(text + len, sizeof(text) - len, "%s%u-%u%s", len ? " " : "",
			places[i].first, places[i].end, places[i].deliver ? "!" : "");
	}
	if (strcmp(text, expected) != 0)
		fail_msg("%s: places %s, expected %s", words, text, expected);
}

static void test_places(const char *words, const char *expected)
{
	struct plan_flow *flow = test_flow(words);
	struct plan_place *places;
	unsigned int n;

	places = test_lower(flow, &n);
	test_places_are(flow, places, n, words, expected);
	plan_places_free(places, n);
	plan_flow_free(flow);
}

/* Of two flows. */
static void test_both(const char *first, const char *second, const char *expected_first,
	const char *expected_second)
{
	struct plan_flow *flows[2] = { test_flow(first), test_flow(second) };
	struct plan_place *places;
	unsigned int n, n_first = 1;

	assert_int_equal(plan_lower(flows, 2, 1, &places, &n), 0);
	while (n_first < n && places[n_first].flow == flows[0])
		n_first++;
	test_places_are(flows[0], places, n_first, first, expected_first);
	test_places_are(flows[1], places + n_first - 1, n - n_first + 1, second, expected_second);
	plan_places_free(places, n);
	plan_flow_free(flows[0]);
	plan_flow_free(flows[1]);
}

/* Packets that are delivered are met later than others that are not: a sample goes by one order. */
static void samples_are_taken_where_all_packets_are(void **state)
{
	(void)state;
	test_both("PERIODIC PKT_COUNTER", "TCP CHANCE PKT_COUNTER", "0-0 1-2", "0-0 1-1 2-3");
	test_both("PERIODIC PKT_COUNTER", "TCP PKT_COUNTER", "0-0 1-2", "0-0 1-2");
	test_both("PERIODIC PKT_COUNTER", "TCP TO_BUFFER", "0-0!", "0-0 1-1!");
	test_both("UDP TO_BUFFER", "TCP CHANCE PKT_COUNTER", "0-0 1-1!", "0-0 1-1!");
	/* One's own packets are those that were chosen. */
	test_both("PERIODIC TO_BUFFER", "TCP PKT_COUNTER", "0-0 1-1!", "0-0 1-2");
	test_both("PERIODIC TO_BUFFER", "TCP CHANCE PKT_COUNTER", "0-0!", "0-0 1-1!");
}

static void what_the_kernel_could_do(void **state)
{
	test_places("PKT_COUNTER", "0-1");
	test_places("TCP PKT_COUNTER BYTE_COUNTER", "0-0 1-3");
	test_places("PKT_COUNTER TCP BYTE_COUNTER UDP PKT_COUNTER", "0-1 2-3 4-5");
	test_places("TCP", "0-0 1-1");
	/* Packets are delivered to the first function that needs them ... */
	test_places("TO_BUFFER", "0-0!");
	test_places("TCP PKT_COUNTER TO_BUFFER", "0-0 1-2!");
	test_places("TCP TO_BUFFER UDP PKT_COUNTER", "0-0 1-1!");
	test_places("TCP HASH PKT_COUNTER", "0-0 1-1!");
	/* ... of those that are sampled, to all that does not only count ... */
	test_places("TCP PERIODIC PKT_COUNTER BYTE_COUNTER", "0-0 1-1 2-4");
	test_places("CHANCE PKT_COUNTER", "0-0 1-2");
	test_places("TCP CHANCE TO_BUFFER", "0-0 1-1 2-2!");
	test_places("PERIODIC PKT_COUNTER UDP PKT_COUNTER", "0-0 1-2!");
	test_places("PERIODIC CHANCE PKT_COUNTER", "0-0 1-1!");
	test_places("LOOP PERIODIC TO_BUFFER", "0-0 1-1 2-2!");
	/* ... and all of them to who depends on others, too. */
	test_places("TCP CHANCE PKT_COUNTER STARTSTOP", "0-0!");
	test_places("TCP PKT_COUNTER STARTSTOP", "0-0!");
	test_places("TCP HASH STATS", "0-0!");
	(void)state;
}

/* A filter that goes by headers, and those packets of which only it can tell. */
static void flows_are_chosen(void **state)
{
	struct plan_flow *flow = test_flow("TCP HASHSAMP PKT_COUNTER UDP PKT_COUNTER");
	struct plan_place *places;
	unsigned int n;

	(void)state;
	test_places("HASHSAMP PKT_COUNTER", "0-0 1-1! 1-2");
	test_places("TCP HASHSAMP PKT_COUNTER", "0-0 1-1 2-2! 2-3");
	test_places("HASHSAMP TO_BUFFER", "0-0 1-1! 1-1!");
	test_places("KEEP PKT_COUNTER", "0-0 1-1! 1-1!");
	test_places("HASHSAMP UDP PKT_COUNTER", "0-0 1-1! 1-1 2-3");
	test_places("HASHSAMP HASHSAMP PKT_COUNTER", "0-0 1-1! 1-1 2-2! 2-3");
	test_places("PERIODIC HASHSAMP PKT_COUNTER", "0-0 1-1!");
	/* What only it can tell would come by the sample late. */
	test_places("HASHSAMP PERIODIC PKT_COUNTER", "0-0 1-1! 1-1!");
	test_both("HASHSAMP PKT_COUNTER", "TCP PERIODIC PKT_COUNTER", "0-0 1-1! 1-2", "0-0 1-1!");

	/* The two places go together, and what is before them is delivered. */
	for (unsigned int cut = 2; cut <= 5; cut++) {
		static const char *const left[] = { "0-0!", "0-0 1-1!", "0-0 1-1!",
			"0-0 1-1 2-2! 2-3!" };

		places = test_lower(flow, &n);
		test_places_are(flow, places, n, "whole", "0-0 1-1 2-2! 2-3 4-5");
		n = plan_places_cut(places, n, cut);
		test_places_are(flow, places, n, "cut", left[cut - 2]);
		plan_places_free(places, n);
	}
	plan_flow_free(flow);
}

/* Of other links than Ethernet, packets are delivered. */
static void flows_are_chosen_on_ethernet(void **state)
{
	struct plan_flow *flow = test_flow("HASHSAMP PKT_COUNTER");
	struct plan_place *places;
	unsigned int n;

	(void)state;
	assert_int_equal(plan_lower(&flow, 1, 101, &places, &n), 0);
	test_places_are(flow, places, n, "raw IP", "0-0!");
	plan_places_free(places, n);
	plan_flow_free(flow);
}

static void periods_need_no_packets(void **state)
{
	(void)state;
	test_places("TCP PKT_COUNTER STATS", "0-0 1-3");
	test_places("TCP PKT_COUNTER BUCKET UDP BYTE_COUNTER", "0-0 1-3 4-5");
	test_places("TCP PKT_COUNTER THRESHOLD BYTE_COUNTER", "0-0 1-4");
	test_places("TCP PKT_COUNTER THRESHOLD TO_BUFFER", "0-0 1-3!");
	test_places("PERIODIC PKT_COUNTER STATS", "0-0 1-3");
	/* Numbers go to packets that come by, and that depends on the moment. */
	test_places("PKT_COUNTER THRESHOLD PERIODIC PKT_COUNTER", "0-2!");
	/* Who looks at packets needs them, and those that its source counts, not others. */
	test_places("TCP PKT_COUNTER REF", "0-0 1-1!");
	/* Functions that are connected by references are together in this. */
	test_places("TCP HASH BUCKET", "0-0!");
}

static struct plan_instance *test_stats(
	struct plan_flow *flow, struct plan_instance *source, const char *interval)
{
	struct function_value values[FUNCTION_ARGS_MAX] = { [2] = { .text = interval } };
	const struct plan_refs refs = { .instances = { source }, .n = 1 };
	struct plan_instance *instance;
	struct error err = ERROR_INIT;

	assert_int_equal(plan_flow_apply(flow, function_find("STATS"), values, &refs, &test_device,
				 &instance, &err),
		0);
	return instance;
}

/* Whether packets are delivered for some of the flows; those without a place need none. */
static bool test_delivers(struct plan_flow *const flows[], unsigned int n_flows)
{
	struct plan_place *places;
	unsigned int n;
	bool delivers = false;

	assert_int_equal(plan_lower(flows, n_flows, 1, &places, &n), 0);
	for (unsigned int i = 0; i < n; i++)
		delivers |= places[i].deliver;
	plan_places_free(places, n);
	return delivers;
}

/* A counter that somebody else looks at: it depends on who does, as long as he does. */
static void it_depends_on_who_refers(void **state)
{
	struct plan_flow *counter = test_flow("TCP PKT_COUNTER"), *flows[3] = { counter };
	struct plan_instance *source = counter->instances[1];

	(void)state;
	assert_int_equal(plan_flow_new(&flows[1], 2), 0);
	assert_int_equal(plan_flow_new(&flows[2], 3), 0);
	(void)test_stats(flows[1], source, "1s");
	(void)test_stats(flows[2], source, "0");
	assert_false(test_delivers(flows, 2));
	assert_true(source->countable && flows[1]->instances[0]->countable);
	assert_true(test_delivers(flows, 3));
	assert_false(source->countable || flows[1]->instances[0]->countable);
	assert_true(plan_needs_all(flows[1]->instances[0]));
	assert_false(plan_needs_all(flows[2]->instances[0]));
	assert_false(test_delivers(flows, 2));
	for (unsigned int f = 3; f-- > 0;)
		plan_flow_free(flows[f]);
}

/* A program's verdict on a packet whose IPv4 protocol is @protocol. */
static bool test_accepts(const struct filter_program *program, uint8_t protocol)
{
	uint8_t packet[60] = { [12] = 8, [14] = 0x45, [23] = protocol };
	const struct bpf_insn *insns;

	(void)filter_program_insns(program, &insns);
	return bpf_filter(insns, packet, sizeof(packet), sizeof(packet)) > 0;
}

static void places_are_told_by_all_filters_before_them(void **state)
{
	struct plan_flow *flow = test_flow("TCP PKT_COUNTER UDP PKT_COUNTER");
	struct plan_place *places;
	unsigned int n;

	places = test_lower(flow, &n);
	assert_int_equal(n, 4);
	assert_true(test_accepts(places[0].program, 1) && test_accepts(places[1].program, 1));
	assert_true(test_accepts(places[2].program, 6));
	assert_false(test_accepts(places[2].program, 17));
	assert_false(test_accepts(places[3].program, 6) || test_accepts(places[3].program, 17));
	plan_places_free(places, n);
	plan_flow_free(flow);
	(void)state;
}

static void what_the_kernel_cannot_tell_is_delivered_before(void **state)
{
	struct plan_flow *flow = test_flow("TCP PKT_COUNTER LOOP PKT_COUNTER UDP PKT_COUNTER");
	struct plan_place *places;
	unsigned int n;

	places = test_lower(flow, &n);
	assert_int_equal(n, 5);
	n = plan_places_cut(places, n, 3);
	assert_int_equal(n, 3);
	assert_true(places[2].deliver);
	assert_int_equal(places[2].first, 1);
	assert_int_equal(places[2].end, 2);
	plan_places_free(places, n);
	plan_flow_free(flow);
	(void)state;
}

static uint64_t test_value(const struct plan_flow *flow, unsigned int fid)
{
	uint64_t value;

	memcpy(&value, flow->instances[fid - 1]->state, sizeof(value));
	return value;
}

static void what_was_counted_comes_to_counters_and_statistics(void **state)
{
	const struct function_count count = { .units = 2, .pkts = 5, .bytes = 700 };
	struct plan_flow *flow = test_flow("PKT_COUNTER TCP BYTE_COUNTER PKT_COUNTER");
	struct plan_place *places;
	unsigned int n;

	places = test_lower(flow, &n);
	assert_int_equal(n, 3);
	for (unsigned int i = 0; i < n; i++)
		plan_place_add(&places[i], &count);
	plan_place_add(&places[1], &count);
	plan_flow_count(flow);
	assert_int_equal(flow->instances[0]->counts.pkts, 4);
	assert_int_equal(flow->instances[1]->counts.pkts, 4);
	assert_int_equal(flow->instances[1]->counts.passed_pkts, 2);
	assert_int_equal(test_value(flow, 1), 10);
	assert_int_equal(test_value(flow, 3), 700);
	assert_int_equal(test_value(flow, 4), 5);
	/* A flow that has failed gets no more, nor does one that is gone. */
	flow->failed = true;
	plan_place_add(&places[1], &count);
	flow->failed = false;
	places[1].flow = NULL;
	plan_place_add(&places[1], &count);
	assert_int_equal(test_value(flow, 1), 10);
	plan_places_free(places, n);
	plan_flow_free(flow);
	(void)state;
}

/* A second of packets that nobody has seen, and what periods make of them. */
static void periods_see_what_was_counted(void **state)
{
	const uint64_t begin_ns = 1000000000000000000u, second_ns = 1000000000u;
	const struct function_count count = { .units = 3, .pkts = 3, .bytes = 300 };
	struct plan_flow *flow = test_flow("TCP PKT_COUNTER STATS THRESHOLD BYTE_COUNTER");
	struct plan_place *places;
	struct plan_run *run;
	struct plan *plan;
	struct error err = ERROR_INIT;
	const stats_t *stats = flow->instances[2]->state;
	unsigned int n;

	(void)state;
	places = test_lower(flow, &n);
	assert_int_equal(plan_new(&plan, &flow, 1, NULL, &err), 0);
	assert_int_equal(plan_run_new(&run, plan, true), 0);
	/* 3, 6, 9 ... packets each second: more than 10 in the fourth, so in the fifth packets
	 * pass. */
	for (unsigned int s = 0; s < 5; s++)
		for (unsigned int k = 0; k <= s; k++) {
			(void)plan_run_counted(run, begin_ns + s * second_ns + k);
			plan_place_add(&places[2], &count);
		}
	assert_int_equal(stats->count, 4);
	assert_true(stats->sum == 30 && stats->max == 12 && stats->min == 3);
	assert_int_equal(test_value(flow, 2), 15);
	assert_int_equal(test_value(flow, 5), 1500);
	plan_flow_count(flow);
	assert_int_equal(flow->instances[3]->counts.pkts, 45);
	assert_int_equal(flow->instances[3]->counts.passed_pkts, 15);
	/* Time passes also without packets. */
	assert_true(plan_run_tick(run, begin_ns + 5 * second_ns));
	assert_int_equal(stats->count, 5);
	assert_true(stats->sum == 45);
	assert_false(plan_run_counted(run, begin_ns + 5 * second_ns + 1));
	plan_place_add(&places[2], &count);
	assert_true(plan_run_tick(run, begin_ns + 7 * second_ns));
	assert_int_equal(stats->count, 7);
	assert_true(stats->sum == 48 && stats->min == 0);
	assert_int_equal(test_value(flow, 5), 1800);
	plan_place_add(&places[2], &count);
	assert_int_equal(test_value(flow, 5), 1800);
	plan_run_free(run);
	plan_free(plan);
	plan_places_free(places, n);
	plan_flow_free(flow);
}

/* Only what does not serve others ends with its flow; a filter goes on passing packets to the rest.
 */
static void retired_functions_need_nothing(void **state)
{
	struct plan_flow *flow = test_flow("TCP TO_BUFFER PKT_COUNTER");
	struct plan_place *places;
	unsigned int n;

	plan_flow_retire(flow);
	places = test_lower(flow, &n);
	assert_int_equal(n, 3);
	assert_false(places[2].deliver);
	assert_int_equal(places[2].end, 3);
	plan_places_free(places, n);
	plan_flow_free(flow);
	(void)state;
}

/* A batch of @n packets of TCP, a nanosecond after each other, through the flow's plan. */
static void test_batch(struct plan_run *run, uint64_t ts_ns, unsigned int n)
{
	static const uint8_t packet[60] = { [12] = 8, [14] = 0x45, [23] = 6 };
	static struct packet_batch batch;

	batch = (struct packet_batch){ .n = n, .linktype = 1 };
	for (unsigned int i = 0; i < n; i++) {
		batch.data[i] = packet;
		batch.cap_bytes[i] = batch.wire_bytes[i] = sizeof(packet);
		batch.all_wire_bytes[i] = sizeof(packet);
		batch.wire_pkts[i] = 1;
		batch.ts_ns[i] = ts_ns + i;
	}
	assert_int_equal(plan_run_direct(run, &batch), 0);
}

static void test_packet(struct plan_run *run, uint64_t ts_ns)
{
	test_batch(run, ts_ns, 1);
}

/* What is counted elsewhere up to a moment is seen from then on, and so say its statistics. */
static void flows_are_seen_from_a_moment(void **state)
{
	const struct function_count count = { .units = 4, .pkts = 4, .bytes = 400 };
	struct plan_flow *flow = test_flow("TCP PKT_COUNTER");
	struct plan_place *places;
	struct plan_run *run;
	struct plan *plan;
	struct error err = ERROR_INIT;
	unsigned int n;

	places = test_lower(flow, &n);
	assert_int_equal(plan_new(&plan, &flow, 1, NULL, &err), 0);
	assert_int_equal(plan_run_new(&run, plan, true), 0);
	flow->from_ns = UINT64_MAX;
	test_batch(run, 1000, 10);
	for (unsigned int i = 1; i < n; i++)
		plan_place_add(&places[i], &count);
	plan_flow_count(flow);
	assert_int_equal(flow->instances[0]->counts.pkts, 4);
	assert_int_equal(test_value(flow, 2), 4);
	flow->from_ns = 2007;
	test_batch(run, 2000, 10);
	test_batch(run, 3000, 10);
	plan_flow_count(flow);
	assert_int_equal(flow->instances[0]->counts.pkts, 4 + 3 + 10);
	assert_int_equal(flow->instances[0]->counts.passed_pkts, 4 + 3 + 10);
	assert_int_equal(test_value(flow, 2), 4 + 3 + 10);
	plan_run_free(run);
	plan_free(plan);
	plan_places_free(places, n);
	plan_flow_free(flow);
	(void)state;
}

static void test_is_counted(const char *words, bool is_referred, bool is_counted)
{
	struct plan_flow *flow = test_flow(words);

	plan_mark_countable(&flow, 1);
	assert_int_equal(plan_flow_is_referred(flow), is_referred);
	assert_int_equal(plan_flow_is_counted(flow), is_counted);
	plan_flow_free(flow);
}

/* It depends on how they look at its counters. */
static void who_is_referred_to_may_still_be_counted(void **state)
{
	test_is_counted("TCP PKT_COUNTER", false, true);
	test_is_counted("PKT_COUNTER BUCKET", true, true);
	test_is_counted("PKT_COUNTER BUCKET BYTE_COUNTER STATS", true, true);
	test_is_counted("PKT_COUNTER REF", true, false);
	test_is_counted("PKT_COUNTER BUCKET REF", true, false);
	(void)state;
}

static void test_only_counts(const char *words, bool only_counts)
{
	struct plan_flow *flow = test_flow(words);

	assert_int_equal(plan_flow_only_counts(flow), only_counts);
	plan_flow_free(flow);
}

/* Where nothing can be delivered, flows are that never want a packet, whatever the time. */
static void flows_that_only_count_never_need_a_packet(void **state)
{
	test_only_counts("PKT_COUNTER", true);
	test_only_counts("TCP PKT_COUNTER UDP BYTE_COUNTER", true);
	test_only_counts("TCP", true);
	test_only_counts("TCP STARTSTOP PKT_COUNTER", false);
	test_only_counts("PERIODIC PKT_COUNTER", false);
	test_only_counts("HASHSAMP PKT_COUNTER", false);
	test_only_counts("PKT_COUNTER BUCKET", false);
	(void)state;
}

static void test_places_of(struct plan_flow *flow, const char *expected)
{
	unsigned int n;
	struct plan_place *places = test_lower(flow, &n);

	test_places_are(flow, places, n, "STARTSTOP", expected);
	plan_places_free(places, n);
}

/* From one second after the first packet on, for two seconds. */
static void gates_are_open_or_closed_for_some_time(void **state)
{
	const uint64_t s = 1000000000u, ms = 1000000u, begin = 5000 * s;
	struct plan_flow *flow = test_flow("TCP PKT_COUNTER STARTSTOP UDP PKT_COUNTER");
	const struct function_count count = { .units = 1, .last_ns = begin + 1800 * ms };
	struct plan_place *places;
	struct plan_run *run;
	struct plan *plan;
	struct error err = ERROR_INIT;
	unsigned long long last;
	unsigned int n;

	assert_int_equal(plan_new(&plan, &flow, 1, NULL, &err), 0);
	assert_int_equal(plan_run_new(&run, plan, true), 0);
	/* When it begins depends on a packet that has not come. */
	assert_false(plan_flow_turn_gates(flow, begin));
	test_places_of(flow, "0-0!");
	test_packet(run, begin);
	assert_true(plan_flow_turn_gates(flow, begin + 900 * ms));
	test_places_of(flow, "0-0 1-2");
	assert_false(plan_flow_turn_gates(flow, begin + s - 1));
	/* It turns meanwhile. */
	assert_true(plan_flow_turn_gates(flow, begin + s));
	test_places_of(flow, "0-0!");
	assert_false(plan_flow_turn_gates(flow, begin + 1500 * ms));
	test_packet(run, begin + 1200 * ms);
	assert_true(plan_flow_turn_gates(flow, begin + 1500 * ms));
	test_places_of(flow, "0-0 1-2 3-3 4-5");
	places = test_lower(flow, &n);
	plan_place_add(&places[3], &count);
	plan_flow_count(flow);
	assert_int_equal(flow->instances[2]->counts.passed_pkts, 2);
	memcpy(&last, (const uint8_t *)flow->instances[2]->state + 16, sizeof(last));
	assert_int_equal(last, packet_ts_from_ns(count.last_ns));
	plan_places_free(places, n);
	assert_true(plan_flow_turn_gates(flow, begin + 3 * s));
	test_places_of(flow, "0-0!");
	/* For ever. */
	test_packet(run, begin + 3 * s);
	assert_true(plan_flow_turn_gates(flow, begin + 4 * s));
	test_places_of(flow, "0-0 1-2");
	assert_false(plan_flow_turn_gates(flow, UINT64_MAX));
	plan_run_free(run);
	plan_free(plan);
	plan_flow_free(flow);
	(void)state;
}

/* A place has the filters of all places before it: a flow of many would have programs without end.
 */
static void programs_of_places_are_limited(void **unused)
{
	struct function_value values[FUNCTION_ARGS_MAX] = { { .text = NULL } };
	const unsigned int n_filters = 200, n_hosts = 60;
	struct plan_flow *flow;
	struct plan_place *places;
	const struct bpf_insn *insns;
	unsigned int n, n_insns = 0;
	char text[1024];
	size_t used = 0;

	for (unsigned int i = 0; i < n_hosts; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s ::%x",
			i ? " or" : "not ip6 src host", i);
	values[0].text = text;
	assert_int_equal(plan_flow_new(&flow, 1), 0);
	for (unsigned int i = 0; i < n_filters; i++) {
		struct plan_instance *instance;
		struct error err = ERROR_INIT;

		if (plan_flow_apply(flow, function_find("BPF_FILTER"), values, NULL, &test_device,
			    &instance, &err) < 0)
			fail_msg("%s", err.text);
	}
	assert_int_equal(plan_lower(&flow, 1, 1, &places, &n), 0);
	for (unsigned int i = 0; i < n; i++)
		n_insns += filter_program_insns(places[i].program, &insns);
	assert_in_range(n_insns, PLAN_PLACES_INSNS_MAX, 2 * PLAN_PLACES_INSNS_MAX);
	assert_true(places[n - 1].deliver);
	assert_int_equal(places[n - 1].end, n_filters);
	plan_places_free(places, n);
	plan_flow_free(flow);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gates_are_open_or_closed_for_some_time),
		cmocka_unit_test(what_the_kernel_could_do),
		cmocka_unit_test(samples_are_taken_where_all_packets_are),
		cmocka_unit_test(flows_are_chosen),
		cmocka_unit_test(flows_are_chosen_on_ethernet),
		cmocka_unit_test(periods_need_no_packets),
		cmocka_unit_test(it_depends_on_who_refers),
		cmocka_unit_test(flows_are_seen_from_a_moment),
		cmocka_unit_test(who_is_referred_to_may_still_be_counted),
		cmocka_unit_test(flows_that_only_count_never_need_a_packet),
		cmocka_unit_test(places_are_told_by_all_filters_before_them),
		cmocka_unit_test(what_the_kernel_cannot_tell_is_delivered_before),
		cmocka_unit_test(what_was_counted_comes_to_counters_and_statistics),
		cmocka_unit_test(periods_see_what_was_counted),
		cmocka_unit_test(retired_functions_need_nothing),
		cmocka_unit_test(programs_of_places_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
