/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random pipelines. Everything follows from the seed of a case, so that a difference can be seen
 * again with "model -s SEED -n 1 FILE".
 */
#include "model.h"

#include <ctype.h>
#include <mapi/res2file.h>
#include <mapi/topx.h>
#include <stdio.h>
#include <string.h>

/* The finalizer of SplitMix64. */
static uint64_t model_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static unsigned int model_below(uint64_t *state, unsigned int n)
{
	return (unsigned int)(model_random(state) % n);
}

/* One alternative of a pattern: a piece of a packet of the capture, so that it is found, or at
 * times one bit away from it. Letters stand for themselves, the rest is in hex. */
static size_t model_draw_literal(
	char *out, size_t room, uint64_t *state, const struct model_capture *capture)
{
	const struct model_packet *pkt = &capture->pkts[model_below(state, capture->n_pkts)];
	uint32_t n = 1 + model_below(state, 8), at;
	bool off_by_one = model_below(state, 4) == 0, in_hex = false;
	size_t len = 0;

	if (pkt->cap_bytes == 0)
		return (size_t)snprintf(out, room, "www");
	if (n > pkt->cap_bytes)
		n = pkt->cap_bytes;
	at = model_below(state, pkt->cap_bytes - n + 1);
	for (uint32_t i = 0; i < n; i++) {
		uint8_t byte = pkt->data[at + i];
		bool hex;

		if (off_by_one && i == n - 1)
			byte ^= 1;
		hex = !isalnum(byte);
		if (hex != in_hex)
			len += (size_t)snprintf(out + len, room - len, "|");
		else if (hex)
			len += (size_t)snprintf(out + len, room - len, " ");
		len += (size_t)snprintf(out + len, room - len, hex ? "%02x" : "%c", byte);
		in_hex = hex;
	}
	if (in_hex)
		len += (size_t)snprintf(out + len, room - len, "|");
	return len;
}

static void model_draw_search(
	struct model_function *f, uint64_t *state, const struct model_capture *capture)
{
	unsigned int alternatives = 1 + (model_below(state, 4) == 0) * model_below(state, 3);
	size_t len = 0;

	for (unsigned int i = 0; i < alternatives; i++) {
		/* "|41|" directly before "||" would read as another thing: a letter between. */
		if (i)
			len += (size_t)snprintf(f->text + len, sizeof(f->text) - len, "e||");
		len += model_draw_literal(f->text + len, sizeof(f->text) - len, state, capture);
	}
	f->number = model_below(state, 3) ? 0 : (int)model_below(state, 100);
	f->depth = model_below(state, 3) ? 0 : 60 + (int)model_below(state, 200);
}

/* What a byte of an expression becomes: itself, a class that it is in, or any byte. */
static size_t model_draw_atom(char *out, size_t room, uint64_t *state, uint8_t byte)
{
	char itself[8];

	snprintf(itself, sizeof(itself), isalnum(byte) ? "%c" : "\\x%02x", byte);
	switch (model_below(state, 10)) {
	case 0:
		return (size_t)snprintf(out, room, ".");
	case 1:
		return (size_t)snprintf(out, room, isdigit(byte) ? "\\d" : "[a-z\\x%02x]", byte);
	case 2:
		return (size_t)snprintf(out, room, "[^\\x%02x]", byte ^ 1);
	case 3:
		return (size_t)snprintf(out, room, "[\\x%02x-\\x%02x]", byte & 0xf0, byte | 0x0f);
	case 4:
		return (size_t)snprintf(out, room, "(?:%s|zz)", itself);
	default:
		return (size_t)snprintf(out, room, "%s", itself);
	}
}

/* How often @atom may come. What is unbounded takes many steps, so there is one at most. */
static size_t model_draw_quantity(
	char *out, size_t room, uint64_t *state, const char *atom, bool *bounded)
{
	static const char *const quantities[] = { "?", "{0,2}", "{1,3}", "{2,4}", "+", "*" };
	bool matches_much =
		strncmp(atom, "(?:", 3) == 0 || strncmp(atom, "[^", 2) == 0 || atom[0] == '.';
	unsigned int n = model_below(state, *bounded || matches_much ? 4 : 6);

	*bounded |= n >= 4;
	return (size_t)snprintf(out, room, "%s", quantities[n]);
}

static bool model_has_long_packets(const struct model_capture *capture)
{
	for (unsigned int n = 0; n < capture->n_pkts; n++)
		if (capture->pkts[n].cap_bytes > 700)
			return true;
	return false;
}

/* An expression that a piece of a packet has led to. Few steps: one that gives up a packet could
 * not be foretold. */
static void model_draw_regexp(
	struct model_function *f, uint64_t *state, const struct model_capture *capture)
{
	static const char *const options[] = { "", "", "", "(?i)", "(?s)", "(?m)" };
	const struct model_packet *pkt = &capture->pkts[model_below(state, capture->n_pkts)];
	unsigned int n = 1 + model_below(state, 6), alternatives = 1 + !model_below(state, 4);
	size_t room = sizeof(f->text), len;
	bool bounded = model_has_long_packets(capture);

	len = (size_t)snprintf(f->text, room, "%s", options[model_below(state, 6)]);
	for (; alternatives > 0; alternatives--) {
		uint32_t at = model_below(state, 3) ? model_below(state, pkt->cap_bytes + 1) : 0;

		if (at == 0 && model_below(state, 2))
			len += (size_t)snprintf(f->text + len, room - len, "^");
		for (unsigned int i = 0; i < n && at < pkt->cap_bytes; i++, at++) {
			char *atom = f->text + len;

			len += model_draw_atom(atom, room - len, state, pkt->data[at]);
			if (!model_below(state, 5))
				len += model_draw_quantity(
					f->text + len, room - len, state, atom, &bounded);
		}
		if (!model_below(state, 8) || at == pkt->cap_bytes)
			len += (size_t)snprintf(f->text + len, room - len, "$");
		if (alternatives > 1)
			len += (size_t)snprintf(f->text + len, room - len, "|");
	}
}

/* A source: any function with a value that has been applied, of any flow. */
static bool model_draw_source(struct model_function *f, uint64_t *state, const struct model_case *c,
	const bool referable[MODEL_FLOWS_MAX][MODEL_FUNCTIONS_MAX])
{
	unsigned int found = 0;

	for (unsigned int i = 0; i < c->n_flows; i++) {
		for (unsigned int k = 0; k < c->flows[i].n_functions; k++) {
			if (!referable[i][k] || model_below(state, ++found))
				continue;
			f->ref_flow = i;
			f->ref_function = k;
		}
	}
	return found > 0;
}

bool model_has_source(enum model_kind kind)
{
	return kind == MODEL_STATS || kind == MODEL_DIST || kind == MODEL_BUCKET ||
		kind == MODEL_THRESHOLD;
}

static bool model_draw_operands(struct model_function *f, uint64_t *state,
	const struct model_case *c, const bool referable[MODEL_FLOWS_MAX][MODEL_FUNCTIONS_MAX])
{
	for (; f->n_refs < 2; f->n_refs++) {
		if (!model_draw_source(f, state, c, referable))
			return false;
		f->refs[f->n_refs] =
			(struct model_ref){ .flow = f->ref_flow, .function = f->ref_function };
	}
	return true;
}

/* What RES2FILE saves: values, and statistics. Return: false if there is nothing. */
static bool model_draw_refs(struct model_function *f, uint64_t *state, const struct model_case *c,
	const bool referable[MODEL_FLOWS_MAX][MODEL_FUNCTIONS_MAX])
{
	for (unsigned int r = 1 + model_below(state, MODEL_REFS_MAX); r > 0; r--) {
		struct model_ref *ref = &f->refs[f->n_refs];
		unsigned int found = 0;

		for (unsigned int i = 0; i < c->n_flows; i++) {
			for (unsigned int k = 0; k < c->flows[i].n_functions; k++) {
				bool stats = c->flows[i].functions[k].kind == MODEL_STATS;

				if ((!referable[i][k] && !stats) || model_below(state, ++found))
					continue;
				*ref = (struct model_ref){ .flow = i,
					.function = k,
					.format = stats ? R2F_STATS
							: (int)model_below(state, R2F_STATS) };
			}
		}
		f->n_refs += found > 0;
	}
	return f->n_refs > 0;
}

static void model_draw_save(
	struct model_function *f, uint64_t *state, const struct model_capture *capture)
{
	static const char *const saves[] = { "0", "0", "-1", "7ms", "300ms", "1s", "9s", "2m" };
	static const uint64_t periods_ns[] = { 0, 0, 0, 7000000, 300000000, 1000000000,
		9000000000 };
	uint64_t first_ns = UINT64_MAX, last_ns = 0;
	unsigned int n = model_below(state, 8);

	for (unsigned int i = 0; i < capture->n_pkts; i++) {
		uint64_t ts_ns = capture->pkts[i].ts_ns;

		first_ns = ts_ns < first_ns ? ts_ns : first_ns;
		last_ns = ts_ns > last_ns ? ts_ns : last_ns;
	}
	/* Not too many lines. */
	while (n > 2 && n < 7 && (last_ns - first_ns) / periods_ns[n] > 20000)
		n++;
	snprintf(f->text, sizeof(f->text), "%s", saves[n]);
	f->number = (int)model_below(state, 2);
}

/* A period of which the capture has at most two thousand, or so many that a silence of half of it
 * has too many. */
static unsigned int model_draw_period_us(uint64_t *state, const struct model_capture *capture)
{
	uint64_t last_ns = 0, first_ns = capture->pkts[0].ts_ns, us;

	for (unsigned int n = 0; n < capture->n_pkts; n++)
		if (capture->pkts[n].ts_ns > last_ns)
			last_ns = capture->pkts[n].ts_ns;
	us = (last_ns - first_ns) / 1000 /
			(model_below(state, 16) ? 1 + model_below(state, 2000) : 210000) +
		1;
	return us > INT32_MAX ? INT32_MAX : (unsigned int)us;
}

static void model_draw_dist(struct model_function *f, uint64_t *state)
{
	unsigned int min = model_below(state, 200), step = 1 + model_below(state, 300);

	f->numbers[0] = (int)min;
	f->numbers[1] = (int)(min + step * model_below(state, MODEL_SLOTS_MAX - 1) + 1 +
		model_below(state, step));
	f->numbers[2] = (int)step;
}

static void model_draw_threshold(
	struct model_function *f, uint64_t *state, const struct model_capture *capture)
{
	static const int boundaries[] = { 0, 1, 2, 4, 8, 16 };

	f->number = (int)model_below(state, 3) | (model_below(state, 2) ? 128 : 0);
	f->depth = (int)model_below(state, model_below(state, 2) ? 8 : 2000);
	snprintf(f->text, sizeof(f->text), "0");
	if (model_below(state, 2))
		snprintf(f->text, sizeof(f->text), "%uus", model_draw_period_us(state, capture));
	f->numbers[0] = boundaries[model_below(state, 6)];
	f->numbers[1] = (int)model_below(state, 4);
	f->numbers[2] = model_below(state, 3) ? 0 : 1 + (int)model_below(state, 3);
}

static void model_draw_burst(struct model_function *f, uint64_t *state)
{
	static const int times[] = { 0, 0, 96, 1000, 50000, 1000000, 500000000 };
	static const int speeds[] = { 1, 10, 100, 1000, 10000, 7 };

	f->numbers[0] = (int)model_below(state, 2) * (int)model_below(state, 1000);
	f->numbers[1] = f->numbers[0] + (int)model_below(state, 5000);
	f->numbers[2] = 100 + (int)model_below(state, 1000);
	for (unsigned int i = 3; i < 6; i++)
		f->numbers[i] = times[model_below(state, 7)];
	f->numbers[6] = speeds[model_below(state, 6)];
}

/* Every kind of result has its turn. */
static void model_draw_top(struct model_function *f, uint64_t *state)
{
	static const int first[] = { TOPX_IP_TOS, TOPX_TCP_SRCPORT, TOPX_UDP_SRCPORT,
		TOPX_UDP_CHECKSUM + 1 };
	static const int numbers[] = { -1, 1, 2, 3, 10, TOPX_MAX_X };
	static const char *const intervals[] = { "0", "0", "1s", "2s", "60s" };
	unsigned int protocol = model_below(state, 3);

	f->numbers[0] = numbers[model_below(state, 6)];
	f->numbers[1] = (int)protocol + TOPX_IP;
	f->numbers[2] = first[protocol] +
		(int)model_below(state, (unsigned int)(first[protocol + 1] - first[protocol]));
	f->numbers[3] = (int)model_below(state, 4);
	snprintf(f->text, sizeof(f->text), "%s", intervals[model_below(state, 5)]);
}

static void model_draw_arguments(struct model_function *f, uint64_t *state,
	const struct model_capture *capture, char *const filters[], unsigned int n_filters)
{
	static const int formats[] = { 0, 100, 101 }; /* MFF_PCAP, MFF_PCAPNG, MFF_PCAP_NS */
	static const char *const starts[] = { "+0s", "+0s", "+3ms", "+200ms", "+1s", "+70s" };
	static const char *const stops[] = { "", "", "+5ms", "+1s", "+5s", "+3m" };
	static const char *const intervals[] = { "0", "0", "0", "1", "1", "50us", "7ms", "1s",
		"2m" };

	switch (f->kind) {
	case MODEL_BPF_FILTER:
		snprintf(f->text, sizeof(f->text), "%s", filters[model_below(state, n_filters)]);
		break;
	case MODEL_STR_SEARCH:
		model_draw_search(f, state, capture);
		break;
	case MODEL_SAMPLE:
		f->number = 1 + (int)model_below(state, model_below(state, 2) ? 4 : 40);
		break;
	case MODEL_CUT:
		f->number = 1 + (int)model_below(state, model_below(state, 2) ? 60 : 400);
		break;
	case MODEL_PKTINFO:
		f->number = (int)model_below(state, 2);
		break;
	case MODEL_HASH:
		f->number = (int)model_below(state, 4);
		break;
	case MODEL_TO_FILE:
		f->number = formats[model_below(state, 3)];
		f->depth = model_below(state, 4) ? 0 : 1 + (int)model_below(state, 20);
		break;
	case MODEL_CHANCE:
		f->number = (int)model_below(state, 101);
		break;
	case MODEL_HASHSAMP:
		f->number = model_below(state, 4) ? 1 + (int)model_below(state, 1024) : 1024;
		f->depth = model_below(state, 2) ? 0 : (int)model_below(state, 4) - 2;
		break;
	case MODEL_REGEXP:
		model_draw_regexp(f, state, capture);
		break;
	case MODEL_INTERFACE:
		f->number = (int)capture->pkts[model_below(state, capture->n_pkts)].interface +
			(model_below(state, 4) == 0);
		break;
	case MODEL_TOP:
		model_draw_top(f, state);
		break;
	case MODEL_STATS:
		snprintf(f->text, sizeof(f->text), "%s",
			intervals[model_below(state, sizeof(intervals) / sizeof(intervals[0]))]);
		break;
	case MODEL_BINOP:
		f->number = (int)model_below(state, 2);
		break;
	case MODEL_DIST:
		model_draw_dist(f, state);
		break;
	case MODEL_BUCKET:
		f->number = (int)model_below(state, 2);
		snprintf(f->text, sizeof(f->text), "%uus", model_draw_period_us(state, capture));
		break;
	case MODEL_THRESHOLD:
		model_draw_threshold(f, state, capture);
		break;
	case MODEL_RES2FILE:
		model_draw_save(f, state, capture);
		break;
	case MODEL_STARTSTOP:
		snprintf(f->text, sizeof(f->text), "%s", starts[model_below(state, 6)]);
		snprintf(f->stop, sizeof(f->stop), "%s", stops[model_below(state, 6)]);
		break;
	case MODEL_BURST:
		model_draw_burst(f, state);
		break;
	case MODEL_PKT_COUNTER:
	case MODEL_BYTE_COUNTER:
	case MODEL_GAP:
	case MODEL_TO_BUFFER:
	case MODEL_SYNC: /* drawn with the flows */
	case _MODEL_KIND_N:
		break;
	}
}

/* How often a kind is drawn, of 112. */
static enum model_kind model_draw_kind(uint64_t *state)
{
	static const unsigned int share[_MODEL_KIND_N] = {
		[MODEL_BPF_FILTER] = 12,
		[MODEL_STR_SEARCH] = 6,
		[MODEL_SAMPLE] = 6,
		[MODEL_CUT] = 4,
		[MODEL_PKT_COUNTER] = 11,
		[MODEL_BYTE_COUNTER] = 7,
		[MODEL_PKTINFO] = 6,
		[MODEL_HASH] = 3,
		[MODEL_GAP] = 4,
		[MODEL_BINOP] = 5,
		[MODEL_STATS] = 9,
		[MODEL_DIST] = 3,
		[MODEL_BUCKET] = 5,
		[MODEL_THRESHOLD] = 5,
		[MODEL_TO_BUFFER] = 2,
		[MODEL_TO_FILE] = 2,
		[MODEL_RES2FILE] = 4,
		[MODEL_STARTSTOP] = 2,
		[MODEL_BURST] = 1,
		[MODEL_SYNC] = 1,
		[MODEL_CHANCE] = 1,
		[MODEL_HASHSAMP] = 3,
		[MODEL_REGEXP] = 4,
		[MODEL_INTERFACE] = 2,
		[MODEL_TOP] = 5,
	};
	unsigned int at = model_below(state, 112);
	unsigned int kind = 0;

	while (at >= share[kind])
		at -= share[kind++];
	return (enum model_kind)kind;
}

/* What this build has been made without; it says so itself. */
static bool model_is_built(enum model_kind kind)
{
	return kind != MODEL_REGEXP || MODEL_HAS_REGEXP;
}

static void model_draw_next(struct model_case *c, unsigned int i, uint64_t *state,
	bool referable[MODEL_FLOWS_MAX][MODEL_FUNCTIONS_MAX], bool *has_buffer)
{
	unsigned int k = c->flows[i].n_functions++;
	struct model_function *f = &c->flows[i].functions[k];

	f->kind = model_draw_kind(state);
	if (!model_is_built(f->kind))
		f->kind = MODEL_STR_SEARCH;
	/* One ring of packets in a case: two would have to be read by turns. */
	if (f->kind == MODEL_TO_BUFFER && *has_buffer)
		f->kind = MODEL_PKT_COUNTER;
	*has_buffer |= f->kind == MODEL_TO_BUFFER;
	if (model_has_source(f->kind) && !model_draw_source(f, state, c, referable))
		f->kind = MODEL_PKT_COUNTER;
	if (f->kind == MODEL_BINOP && !model_draw_operands(f, state, c, referable))
		f->kind = MODEL_PKT_COUNTER;
	if (f->kind == MODEL_RES2FILE && !model_draw_refs(f, state, c, referable))
		f->kind = MODEL_PKT_COUNTER;
	for (unsigned int n = 0, len = 0; f->kind == MODEL_SYNC && n < c->n_flows; n++)
		if (n == i || model_below(state, 2))
			f->text[len++] = (char)('0' + n);
	referable[i][k] = f->kind == MODEL_PKT_COUNTER || f->kind == MODEL_BYTE_COUNTER ||
		f->kind == MODEL_PKTINFO || f->kind == MODEL_GAP || f->kind == MODEL_BINOP;
}

void model_case_draw(struct model_case *ret, uint64_t seed, const struct model_capture *capture,
	char *const filters[], unsigned int n_filters)
{
	bool referable[MODEL_FLOWS_MAX][MODEL_FUNCTIONS_MAX] = { 0 };
	unsigned int left[MODEL_FLOWS_MAX];
	uint64_t state = seed * 0x2545f4914f6cdd1du + 1;
	bool has_buffer = false;
	unsigned int n = 0;

	*ret = (struct model_case){ .seed = seed,
		.n_flows = 1 + model_below(&state, MODEL_FLOWS_MAX) };
	for (unsigned int i = 0; i < ret->n_flows; i++)
		n += left[i] = 1 + model_below(&state, MODEL_FUNCTIONS_MAX);
	while (n > 0) {
		unsigned int i = model_below(&state, ret->n_flows);

		if (left[i] == 0)
			continue;
		left[i]--;
		n--;
		ret->order[ret->n_order++] = i;
		model_draw_next(ret, i, &state, referable, &has_buffer);
		model_draw_arguments(&ret->flows[i].functions[ret->flows[i].n_functions - 1],
			&state, capture, filters, n_filters);
	}
}
