/* SPDX-License-Identifier: BSD-2-Clause */
/* Flows at random, most of which the kernel can run; and when they come and go. */
#include "twins.h"

#include <string.h>

#include "filter/test_random.h"

/* The finalizer of SplitMix64. */
static uint64_t twins_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

unsigned int twins_below(uint64_t *state, unsigned int n)
{
	return (unsigned int)(twins_random(state) % n);
}

/* ---- filters ---- */

static bool twins_compiles(const char *text)
{
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 262144);
	struct bpf_program program;
	bool compiles = pcap && pcap_compile(pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN) == 0;

	if (compiles)
		pcap_freecode(&program);
	if (pcap)
		pcap_close(pcap);
	return compiles;
}

void twins_filter_draw(uint64_t *state, char ret[TWINS_TEXT_BYTES])
{
	static const char *const common[] = { "ip", "tcp", "udp", "ip6", "icmp or icmp6", "arp",
		"tcp port 80", "port 53", "not tcp", "len > 100", "len <= 100", "vlan",
		"len > 1000", "ip[6:2] & 0x3fff != 0", "tcp[tcpflags] & tcp-syn != 0",
		"ether[0] & 1 = 1" };
	struct random r = { .state = twins_random(state) };

	if (twins_below(state, 2)) {
		(void)snprintf(ret, TWINS_TEXT_BYTES, "%s",
			common[twins_below(state, sizeof(common) / sizeof(common[0]))]);
		return;
	}
	do
		random_expression(&r, ret, TWINS_TEXT_BYTES);
	while (!twins_compiles(ret));
}

/* ---- functions ---- */

static bool twins_depends_on_order(enum twins_kind kind)
{
	return kind == TWINS_SAMPLE || kind == TWINS_CHANCE || kind >= TWINS_STATS;
}

static bool twins_has_value(enum twins_kind kind)
{
	return kind == TWINS_PKT_COUNTER || kind == TWINS_BYTE_COUNTER || kind == TWINS_PKTINFO ||
		kind == TWINS_BINOP;
}

/* Any function with a value, of this flow or an earlier one; what a period resets has one reader.
 */
static bool twins_ref_draw(struct twins_case *c, unsigned int n_flows, uint64_t *state, bool resets,
	struct twins_ref *ret)
{
	unsigned int found = 0;

	for (unsigned int i = 0; i < n_flows; i++)
		for (unsigned int k = 0; k < c->flows[i].n_functions; k++) {
			const struct twins_function *f = &c->flows[i].functions[k];

			if (!twins_has_value(f->kind) || f->number < 0)
				continue;
			if (resets &&
				(f->referred || i + 1 < n_flows ||
					(f->kind != TWINS_PKT_COUNTER &&
						f->kind != TWINS_BYTE_COUNTER)))
				continue;
			if (twins_below(state, ++found) == 0)
				*ret = (struct twins_ref){ .flow = i, .function = k };
		}
	if (found)
		c->flows[ret->flow].functions[ret->function].referred = true;
	return found > 0;
}

static void twins_arguments_draw(struct twins_function *f, uint64_t *state)
{
	static const char *const spans[][2] = { { "+0s", "" }, { "+0s", "+60m" }, { "+60m", "" } };
	static const char *const literals[] = { "HTTP", "www", "|00 00|", "e", "|ff ff ff|" };
	unsigned int n;

	switch (f->kind) {
	case TWINS_BPF_FILTER:
		twins_filter_draw(state, f->text);
		break;
	case TWINS_SAMPLE:
		f->number = 1 + (int)twins_below(state, twins_below(state, 2) ? 4 : 40);
		break;
	case TWINS_CHANCE:
		f->number = (int)twins_below(state, 101);
		break;
	case TWINS_HASHSAMP:
		f->number = 1 + (int)twins_below(state, 1024);
		break;
	case TWINS_STARTSTOP:
		n = twins_below(state, 3);
		(void)snprintf(f->text, sizeof(f->text), "%s", spans[n][0]);
		(void)snprintf(f->stop, sizeof(f->stop), "%s", spans[n][1]);
		break;
	case TWINS_STR_SEARCH:
		(void)snprintf(f->text, sizeof(f->text), "%s", literals[twins_below(state, 5)]);
		break;
	case TWINS_CUT:
		f->number = 14 + (int)twins_below(state, 100);
		break;
	case TWINS_BINOP:
		f->number = (int)twins_below(state, 2);
		break;
	case TWINS_HASH:
		f->number = (int)twins_below(state, 4);
		break;
	case TWINS_PKT_COUNTER:
	case TWINS_BYTE_COUNTER:
	case TWINS_PERIODS:
	case TWINS_STATS:
	case TWINS_DIST:
	case TWINS_PKTINFO:
	case _TWINS_KIND_N:
		break;
	}
}

/* @packets: some functions that need them may come */
static enum twins_kind twins_kind_draw(uint64_t *state, bool packets)
{
	static const unsigned int share[_TWINS_KIND_N] = {
		[TWINS_BPF_FILTER] = 30,
		[TWINS_PKT_COUNTER] = 22,
		[TWINS_BYTE_COUNTER] = 16,
		[TWINS_SAMPLE] = 8,
		[TWINS_CHANCE] = 4,
		[TWINS_HASHSAMP] = 6,
		[TWINS_STARTSTOP] = 4,
		[TWINS_STATS] = 6,
		[TWINS_BINOP] = 4,
		[TWINS_DIST] = 4,
		[TWINS_PKTINFO] = 6,
		[TWINS_HASH] = 4,
		[TWINS_STR_SEARCH] = 6,
		[TWINS_CUT] = 4,
	};
	unsigned int at = twins_below(state, packets ? 124 : 90), kind = 0;

	while (at >= share[kind])
		at -= share[kind++];
	return (enum twins_kind)kind;
}

/* What is drawn, for all flows of a case. @packets: some functions need packets; @all: of which
 * there are flows without a filter */
struct twins_style {
	bool packets, periods, all, ordered;
};

static void twins_function_draw(
	struct twins_case *c, unsigned int flow, uint64_t *state, const struct twins_style *style)
{
	struct twins_flow *at = &c->flows[flow];
	struct twins_function *f = &at->functions[at->n_functions];
	bool known = true;

	f->kind = twins_kind_draw(state, style->packets);
	if (at->n_functions == 0 && !style->all)
		f->kind = TWINS_BPF_FILTER;
	if (!style->ordered && twins_depends_on_order(f->kind))
		f->kind = TWINS_BPF_FILTER;
	if (f->kind == TWINS_STATS || f->kind == TWINS_DIST || f->kind == TWINS_BINOP)
		known = twins_ref_draw(c, flow + 1, state, false, &f->refs[0]);
	if (known && f->kind == TWINS_BINOP)
		known = twins_ref_draw(c, flow + 1, state, false, &f->refs[1]);
	if (!known)
		f->kind = TWINS_PKT_COUNTER;
	twins_arguments_draw(f, state);
	at->n_functions++;
}

/* A counter of the flow that nobody else looks at is read and reset whenever a period ends. */
static void twins_periods_draw(struct twins_case *c, unsigned int flow, uint64_t *state)
{
	struct twins_flow *at = &c->flows[flow];
	struct twins_function *f = &at->functions[at->n_functions];

	if (at->n_functions == TWINS_FUNCTIONS_MAX ||
		!twins_ref_draw(c, flow + 1, state, true, &f->refs[0]))
		return;
	f->kind = TWINS_PERIODS;
	(void)snprintf(f->text, sizeof(f->text), "%ums", 10 + twins_below(state, 40));
	/* Nobody else may read it from now on. */
	at->functions[f->refs[0].function].number = -1;
	at->n_functions++;
}

static unsigned int twins_n_refs(const struct twins_function *f)
{
	if (f->kind == TWINS_BINOP)
		return 2;
	return f->kind == TWINS_STATS || f->kind == TWINS_DIST || f->kind == TWINS_PERIODS;
}

/*
 * What is not the same in both tiers behind samples, if flows come and go meanwhile. A packet has
 * its number from the kernel when it comes, if nobody else has packets delivered, or else from the
 * daemon when that meets it, some milliseconds later. Where samples move to the kernel, packets
 * that come then have their numbers before those that are still on their way to the daemon.
 */
static void twins_vague(struct twins_case *c, unsigned int flow)
{
	bool few = false, vague = false;

	for (unsigned int k = 0; k < c->flows[flow].n_functions; k++) {
		struct twins_function *f = &c->flows[flow].functions[k];

		f->few = few;
		for (unsigned int r = 0; r < twins_n_refs(f); r++)
			f->few |= c->flows[f->refs[r].flow].functions[f->refs[r].function].few;
		vague |= few &&
			(f->kind == TWINS_BPF_FILTER || f->kind == TWINS_HASHSAMP ||
				f->kind == TWINS_STR_SEARCH);
		f->vague = vague;
		f->vague_value = vague || (f->few && f->kind != TWINS_PKT_COUNTER);
		few |= f->kind == TWINS_SAMPLE || f->kind == TWINS_CHANCE;
	}
}

/* Whom it refers to is there when it comes. */
static void twins_rounds_draw(struct twins_case *c, unsigned int flow, uint64_t *state)
{
	struct twins_flow *at = &c->flows[flow];

	if (twins_below(state, 2))
		at->first = twins_below(state, c->n_rounds);
	for (unsigned int k = 0; k < at->n_functions; k++) {
		const struct twins_function *f = &at->functions[k];
		for (unsigned int r = 0; r < twins_n_refs(f); r++)
			if (c->flows[f->refs[r].flow].first > at->first)
				at->first = c->flows[f->refs[r].flow].first;
	}
	at->last = c->n_rounds - 1;
	if (twins_below(state, 3) == 0)
		at->last = at->first + twins_below(state, c->n_rounds - at->first);
}

void twins_case_draw(struct twins_case *ret, uint64_t seed, bool ordered)
{
	uint64_t state = seed * 0x2545f4914f6cdd1du + 1;
	const struct twins_style style = {
		.packets = twins_below(&state, 3) == 0,
		.periods = twins_below(&state, 6) == 0,
		.all = twins_below(&state, 4) == 0,
		.ordered = ordered,
	};

	*ret = (struct twins_case){ .n_flows = 1 + twins_below(&state, TWINS_FLOWS_MAX),
		.n_rounds = 1 + twins_below(&state, TWINS_ROUNDS_MAX) };
	for (unsigned int i = 0; i < ret->n_flows; i++) {
		unsigned int n = 1 + twins_below(&state, TWINS_FUNCTIONS_MAX);

		while (n-- > 0)
			twins_function_draw(ret, i, &state, &style);
		if (style.periods && twins_below(&state, 2))
			twins_periods_draw(ret, i, &state);
		twins_vague(ret, i);
		twins_rounds_draw(ret, i, &state);
	}
	if (twins_below(&state, 2) == 0)
		return;
	for (unsigned int round = 0; round < ret->n_rounds; round++)
		ret->churn[round] = twins_below(&state, 2) * twins_below(&state, 4);
}

bool twins_has_churned(const struct twins_case *c, unsigned int round)
{
	for (unsigned int i = 0; i <= round; i++)
		if (c->churn[i])
			return true;
	return false;
}

static bool twins_is_lowered(const struct twins_function *f)
{
	return !f->referred &&
		(f->kind == TWINS_BPF_FILTER || f->kind == TWINS_HASHSAMP ||
			f->kind == TWINS_PKT_COUNTER || f->kind == TWINS_BYTE_COUNTER);
}

bool twins_is_able(const struct twins_flow *flow, unsigned int function)
{
	for (unsigned int k = 0; k <= function; k++)
		if (!twins_is_lowered(&flow->functions[k]))
			return false;
	return true;
}

bool twins_wants_all(const struct twins_flow *flow)
{
	bool filtered = false, able = true;

	for (unsigned int k = 0; k < flow->n_functions; k++) {
		enum twins_kind kind = flow->functions[k].kind;

		if (kind == TWINS_CHANCE || kind == TWINS_STARTSTOP || kind == TWINS_PERIODS)
			return true;
		able = able && twins_is_lowered(&flow->functions[k]);
		if (!able && !filtered)
			return true;
		filtered |= kind == TWINS_BPF_FILTER || kind == TWINS_HASHSAMP;
	}
	return false;
}

void twins_case_print(const struct twins_case *c)
{
	static const char *const names[_TWINS_KIND_N] = { "BPF_FILTER", "PKT_COUNTER",
		"BYTE_COUNTER", "SAMPLE", "CHANCE", "HASHSAMP", "STARTSTOP", "PERIODS", "STATS",
		"BINOP", "DIST", "PKTINFO", "HASH", "STR_SEARCH", "CUT" };

	for (unsigned int i = 0; i < c->n_flows; i++) {
		const struct twins_flow *flow = &c->flows[i];

		printf("  flow %u, rounds %u to %u:", i, flow->first, flow->last);
		for (unsigned int k = 0; k < flow->n_functions; k++) {
			const struct twins_function *f = &flow->functions[k];

			printf("%s %s(\"%s\" \"%s\" %d, %u.%u, %u.%u)", k ? " |" : "",
				names[f->kind], f->text, f->stop, f->number, f->refs[0].flow,
				f->refs[0].function, f->refs[1].flow, f->refs[1].function);
		}
		printf("\n");
	}
}
