/* SPDX-License-Identifier: BSD-2-Clause */
/* See test_tiers_private.h. */
#undef NDEBUG
#include "test_tiers_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/filter.h"
#include "filter/test_captures.h"
#include "mapi/binop.h"
#include "mapi/sample.h"
#include "mapi/threshold.h"
#include "mapi/to_file.h"

#define TIERS_PACKETS_PER_FILE 6u
#define TIERS_SUPER_HEADER_BYTES 54u
#define TIERS_SUPER_SEGMENTS 3u
#define TIERS_SUPER_SEGMENT_BYTES 700u

/* ---- packets ---- */

static struct test_packet *tiers_add_packet(
	struct tiers_pool *pool, const uint8_t *data, uint32_t n_bytes)
{
	uint8_t *copy = malloc(n_bytes + 1);

	assert_non_null(copy);
	if (n_bytes)
		memcpy(copy, data, n_bytes);
	pool->packets[pool->n_packets] = (struct test_packet){ .data = copy, .n_bytes = n_bytes };
	return &pool->packets[pool->n_packets++];
}

struct tiers_adding {
	struct tiers_pool *pool;
	unsigned int room;
	struct random *r;
};

static void tiers_add_captured(void *context, const struct pcap_pkthdr *header, const uint8_t *data)
{
	const struct tiers_adding *to = context;

	if (to->pool->n_packets + 1 >= to->room)
		return;
	(void)tiers_add_packet(to->pool, data, MIN(header->caplen, TEST_RUN_JUMBO_MAX + 1));
	if (random_below(to->r, 8) == 0)
		(void)tiers_add_packet(
			to->pool, data, random_below(to->r, MIN(header->caplen, 80) + 1));
}

/* TCP over IPv4, as the kernel has put it together. */
static void tiers_add_super(struct tiers_pool *pool, unsigned int port)
{
	uint8_t data[TIERS_SUPER_HEADER_BYTES + 2000] = { [12] = 8, [14] = 0x45, [23] = 6 };
	struct test_packet *packet;

	data[35] = (uint8_t)port;
	data[46] = 0x50;
	packet = tiers_add_packet(pool, data, sizeof(data));
	packet->gso_size = TIERS_SUPER_SEGMENT_BYTES;
	packet->gso_segs = TIERS_SUPER_SEGMENTS;
}

uint16_t tiers_wire_pkts(const struct test_packet *packet)
{
	return packet->gso_segs ? (uint16_t)packet->gso_segs : 1;
}

uint32_t tiers_wire_bytes(const struct test_packet *packet)
{
	return packet->n_bytes + (tiers_wire_pkts(packet) - 1u) * TIERS_SUPER_HEADER_BYTES;
}

static void tiers_pool_packets(struct tiers_pool *pool, unsigned int room, struct random *r)
{
	struct captures c = { .n = 0 };
	unsigned int step, n_made = room / 10;
	struct tiers_adding to = { .pool = pool, .room = room - 2 * n_made, .r = r };
	uint8_t made[1600];

	captures_add(&c, captures_folder());
	captures_add(&c, MAPI_OWN_CAPTURES);
	step = 1 + c.n * TIERS_PACKETS_PER_FILE / room;
	for (unsigned int f = random_below(r, step); f < c.n; f += step)
		captures_read(c.paths[f], TIERS_PACKETS_PER_FILE, tiers_add_captured, &to);
	captures_clear(&c);
	for (unsigned int i = 0; i < n_made; i++) {
		(void)tiers_add_packet(pool, made, random_packet(r, made, sizeof(made)));
		tiers_add_super(pool, i);
	}
}

/* ---- filters ---- */

static void tiers_add_filter(struct tiers_pool *pool, unsigned int room, const char *text)
{
	struct filter_program *program;
	struct error err = ERROR_INIT;

	/* The direction of packets that BPF_PROG_RUN makes is not that of a capture. */
	if (pool->n_filters == room || strstr(text, "bound") ||
		filter_compile(&program, text, 1, &err) < 0)
		return;
	filter_program_free(program);
	pool->filters[pool->n_filters++] = strdup(text);
}

static void tiers_pool_filters(struct tiers_pool *pool, unsigned int room, struct random *r)
{
	FILE *file = fopen(MAPI_FILTERS, "re");
	char text[4096];

	assert_non_null(file);
	while (fgets(text, sizeof(text), file)) {
		text[strcspn(text, "\n")] = '\0';
		if (text[0] && text[0] != '#')
			tiers_add_filter(pool, room, text);
	}
	(void)fclose(file);
	while (pool->n_filters < room) {
		if (random_below(r, 2))
			random_plain_expression(r, text, sizeof(text));
		else
			random_expression(r, text, sizeof(text));
		tiers_add_filter(pool, room, text);
	}
}

void tiers_pool_init(struct tiers_pool *pool, unsigned int n_packets, unsigned int n_filters)
{
	struct random r = { .state = 5 };

	*pool = (struct tiers_pool){ .n_packets = 0 };
	pool->packets = calloc(n_packets, sizeof(pool->packets[0]));
	pool->filters = calloc(n_filters, sizeof(pool->filters[0]));
	assert_true(pool->packets && pool->filters);
	tiers_pool_packets(pool, n_packets, &r);
	tiers_pool_filters(pool, n_filters, &r);
}

void tiers_pool_deinit(struct tiers_pool *pool)
{
	for (unsigned int i = 0; i < pool->n_packets; i++)
		free((void *)(uintptr_t)pool->packets[i].data);
	for (unsigned int i = 0; i < pool->n_filters; i++)
		free(pool->filters[i]);
	free(pool->packets);
	free(pool->filters);
}

/* ---- flows ---- */

/* Values of another function, of this flow or one that is there for as long. @to_counter: it is one
 * that the kernel may count. Return: false: there
 * is none. */
static bool tiers_refer(struct tiers_case *c, unsigned int flow, bool to_counter, struct random *r)
{
	struct tiers_flow *mine = &c->flows[flow];
	struct tiers_function *function = &mine->functions[mine->n_functions];
	unsigned int f = random_below(r, flow + 1), chosen = TIERS_FUNCTIONS_MAX;
	const struct tiers_flow *other = &c->flows[f];

	if (other->joins > mine->joins || other->leaves < mine->leaves)
		return false;
	for (unsigned int i = 0; i < other->n_functions; i++)
		if ((function_find(other->functions[i].name)->desc.flags &
			    MAPI_FUNCTION_REFERABLE) &&
			(!to_counter || function_find(other->functions[i].name)->add) &&
			(chosen == TIERS_FUNCTIONS_MAX || random_below(r, 2)))
			chosen = i;
	if (chosen == TIERS_FUNCTIONS_MAX)
		return false;
	function->refs[function->n_refs].flow = f;
	function->refs[function->n_refs++].function = chosen;
	return true;
}

/* What looks at counters at the end of periods. Return: at how many. */
static unsigned int tiers_period_make(
	struct tiers_function *function, unsigned int choice, struct random *r)
{
	static const int boundaries[] = { TR_B_EQ, TR_B_POS, TR_B_NEG, TR_B_D_EQ, TR_B_D_POS,
		TR_B_D_NEG };
	static const char *const periods[] = { "7ms", "50ms", "300ms" };
	unsigned int period = random_below(r, ARRAY_SIZE(periods));

	switch (choice) {
	case 0:
		function->name = "STATS";
		function->values[2].text = periods[period];
		return 1;
	case 1:
		function->name = "BUCKET";
		function->values[2].text = periods[period];
		function->values[3].number = random_below(r, 2);
		return 1;
	case 2:
		function->name = "THRESHOLD";
		function->values[0].number =
			THRESHOLD_ULL | (random_below(r, 2) ? THRESHOLD_MULTI : 0);
		function->values[3].large = random_below(r, 30);
		function->values[4].number = boundaries[random_below(r, ARRAY_SIZE(boundaries))];
		function->values[5].number = period == 0 ? 7000 : 50000;
		return 1;
	default:
		function->name = "RES2FILE";
		function->values[0].text = "1,1";
		function->values[4].text = periods[period];
		function->values[5].number = random_below(r, 2);
		return 2;
	}
}

/* What a flow is made of at most. */
enum tiers_kind { TIERS_COUNTS, TIERS_WANTS_SOME, TIERS_WANTS_ALL, _TIERS_KIND_N };

/* Return: false: nothing was made. */
static bool tiers_function_make(struct tiers_case *c, const struct tiers_pool *pool,
	unsigned int flow, enum tiers_kind kind, struct random *r)
{
	static const char *const spans[] = { "0", "1", "7ms", "50ms", "300ms" };
	static const char *const starts[] = { "+0ms", "+5ms", "+40ms" };
	static const char *const stops[] = { "", "+60ms", "+200ms" };
	static const unsigned int n_choices[_TIERS_KIND_N] = { 16, 22, 32 };
	struct tiers_flow *f = &c->flows[flow];
	struct tiers_function *function = &f->functions[f->n_functions];
	unsigned int choice, n_refs = 0;

	*function = (struct tiers_function){ .name = NULL };
	for (unsigned int i = 0; i < FUNCTION_ARGS_MAX; i++)
		function->values[i].text = "";
	choice = random_below(r, n_choices[kind]);
	/* Packets that are wanted have mostly passed a filter: else all are wanted. */
	if (kind == TIERS_WANTS_SOME && f->n_functions == 0 && random_below(r, 16))
		choice = 0;
	switch (choice) {
	case 0 ... 3:
		function->name = "BPF_FILTER";
		function->values[0].text = pool->filters[random_below(r, pool->n_filters)];
		break;
	case 4 ... 5:
		function->name = "PKT_COUNTER";
		break;
	case 6 ... 7:
		function->name = "BYTE_COUNTER";
		break;
	case 8 ... 11:
		n_refs = tiers_period_make(function, choice - 8, r);
		break;
	case 12:
		function->name = "SAMPLE";
		function->values[0].number = 1 + random_below(r, 5);
		function->values[1].number = PERIODIC;
		break;
	case 13:
		function->name = "SAMPLE";
		function->values[0].number = random_below(r, 101);
		function->values[1].number = PROBABILISTIC;
		break;
	case 14:
		if (kind < TIERS_WANTS_ALL && !c->has_gates)
			return false;
		function->name = "STARTSTOP";
		function->values[0].text = starts[random_below(r, ARRAY_SIZE(starts))];
		function->values[1].text = stops[random_below(r, ARRAY_SIZE(stops))];
		break;
	case 15:
		function->name = "HASHSAMP";
		function->values[0].number = 1 + random_below(r, 1024);
		function->values[1].number = kind != TIERS_COUNTS && random_below(r, 2);
		break;
	case 16:
		function->name = "HASH";
		function->values[0].number = random_below(r, 4);
		break;
	case 17:
		function->name = "CUT";
		function->values[0].number = 14 + random_below(r, 80);
		break;
	case 18:
		function->name = "PKTINFO";
		function->values[0].number = random_below(r, 2);
		break;
	case 19:
		function->name = "BINOP";
		function->values[0].number = random_below(r, 2) ? BINOP_ADD : BINOP_SUB;
		n_refs = 2;
		break;
	case 20:
		function->name = "TO_BUFFER";
		break;
	case 21:
		function->name = "TO_FILE";
		function->values[0].number = MFF_PCAP_NS;
		function->values[2].large = random_below(r, 2) ? 0 : 1 + random_below(r, 20);
		break;
	case 22 ... 26:
		function->name = "STATS";
		n_refs = 1;
		function->values[2].text = spans[random_below(r, ARRAY_SIZE(spans))];
		break;
	default:
		function->name = "BUCKET";
		n_refs = 1;
		function->values[2].text = spans[2 + random_below(r, ARRAY_SIZE(spans) - 2)];
		function->values[3].number = random_below(r, 2);
		break;
	}
	while (function->n_refs < n_refs)
		if (!tiers_refer(c, flow, choice < 12, r))
			return false;
	f->n_functions++;
	return true;
}

static void tiers_flow_make(
	struct tiers_case *c, const struct tiers_pool *pool, unsigned int flow, struct random *r)
{
	struct tiers_flow *f = &c->flows[flow];
	enum tiers_kind kind = TIERS_COUNTS;
	unsigned int n = 1 + random_below(r, TIERS_FUNCTIONS_MAX);

	if (random_below(r, 3) == 0)
		kind = c->has_all ? TIERS_WANTS_ALL : TIERS_WANTS_SOME;
	*f = (struct tiers_flow){ .joins = random_below(r, 2) ? 0 : random_below(r, c->n_changes) };
	f->leaves = random_below(r, 2) ? c->n_changes : random_below(r, c->n_changes + 1);
	if (f->leaves <= f->joins)
		f->leaves = c->n_changes;
	while (f->n_functions < n)
		if (!tiers_function_make(c, pool, flow, kind, r))
			n--;
}

/* ---- cases ---- */

static void tiers_changes_make(struct tiers_case *c, struct random *r)
{
	unsigned int part = c->n_packets / c->n_changes;

	for (unsigned int i = 0; i < c->n_changes; i++) {
		struct tiers_change *change = &c->changes[i];

		*change = (struct tiers_change){ .all = random_below(r, 12) == 0 };
		if (i == 0)
			continue;
		/* Each has its part of the packets, for the plan's change and the program's. */
		change->at = i * part + random_below(r, part);
		change->program_at =
			random_below(r, 2) ? change->at : i * part + random_below(r, part);
	}
}

void tiers_case_make(struct tiers_case *ret, const struct tiers_pool *pool, uint64_t seed)
{
	struct random r = { .state = seed * 0x9e3779b97f4a7c15u };
	uint64_t ts_ns = 1000000000000000000u;

	/* Few, because programs have nothing to do beside flows that want all. */
	ret->has_all = random_below(&r, 3) == 0;
	ret->has_gates = random_below(&r, 4) == 0;
	ret->is_reversed = random_below(&r, 2);
	ret->n_changes = 1 + random_below(&r, TIERS_CHANGES_MAX);
	ret->n_flows = 1 + random_below(&r, TIERS_FLOWS_MAX);
	ret->n_packets = TIERS_PKTS_MAX / 2 + random_below(&r, TIERS_PKTS_MAX / 2 + 1);
	for (unsigned int i = 0; i < ret->n_packets; i++) {
		ts_ns += random_below(&r, 2000000) + (random_below(&r, 50) ? 0u : 90000000u);
		ret->packets[i] = (struct tiers_packet){
			.packet = &pool->packets[random_below(&r, pool->n_packets)],
			.ts_ns = random_below(&r, 20) ? ts_ns : ts_ns - 5000000,
		};
	}
	ret->n_workers = random_below(&r, 2) ? 1 : 2 + random_below(&r, TIERS_WORKERS_MAX - 1);
	ret->snaplen_bytes = random_below(&r, 4) ? 0 : 1 + random_below(&r, 120);
	tiers_changes_make(ret, &r);
	ret->is_single = ret->has_gates;
	ret->has_samples = false;
	for (unsigned int f = 0; f < ret->n_flows; f++) {
		tiers_flow_make(ret, pool, f, &r);
		for (unsigned int i = 0; i < ret->flows[f].n_functions; i++)
			ret->has_samples |= strcmp(ret->flows[f].functions[i].name, "SAMPLE") == 0;
	}
}

/* Whether the flow comes and goes with the program. */
static bool tiers_is_in_step(const struct tiers_case *c, unsigned int flow)
{
	const struct tiers_flow *f = &c->flows[flow];
	const struct tiers_change *joins = &c->changes[f->joins];

	if (joins->at != joins->program_at)
		return false;
	/* Who has left is still counted for, but not any more before. */
	return f->leaves >= c->n_changes ||
		c->changes[f->leaves].program_at >= c->changes[f->leaves].at;
}

/* What the flow refers to, and what it resets, is not exact if it is not, and the other way round.
 * Return: whether @inexact has changed. */
static bool tiers_spread(const struct tiers_case *c, unsigned int flow, bool inexact[])
{
	const struct tiers_flow *f = &c->flows[flow];
	bool changed = false;

	for (unsigned int i = 0; i < f->n_functions; i++) {
		const struct tiers_function *function = &f->functions[i];

		for (unsigned int k = 0; k < function->n_refs; k++) {
			unsigned int source = function->refs[k].flow;
			bool resets = strcmp(function->name, "BUCKET") == 0 ||
				strlen(function->values[2].text) > 1; /* STATS of periods */

			changed |= (inexact[source] && !inexact[flow]) ||
				(resets && inexact[flow] && !inexact[source]);
			inexact[flow] |= inexact[source];
			inexact[source] |= resets && inexact[flow];
		}
	}
	return changed;
}

bool tiers_is_exact(const struct tiers_case *c, unsigned int flow)
{
	bool inexact[TIERS_FLOWS_MAX] = { false }, changed = true;

	for (unsigned int f = 0; f < c->n_flows; f++)
		inexact[f] = !tiers_is_in_step(c, f);
	while (changed) {
		changed = false;
		for (unsigned int f = 0; f < c->n_flows; f++)
			changed |= tiers_spread(c, f, inexact);
	}
	return !inexact[flow];
}
