/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The plain machine. For each packet, for each flow, for each function in application order: do
 * what the manual says. Slow, and meant to be read.
 */
#include "plain.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- STR_SEARCH ---- */

static unsigned int plain_hex(char digit)
{
	return (unsigned int)(isdigit((unsigned char)digit)
			? digit - '0'
			: tolower((unsigned char)digit) - 'a' + 10);
}

/* Read one alternative; *text moves behind it and its "||". The cases contain letters, digits and
 * |xx xx| only. */
static size_t plain_alternative(const char **text, uint8_t *ret)
{
	size_t n = 0;

	while (**text) {
		if ((*text)[0] == '|' && (*text)[1] == '|') {
			*text += 2;
			break;
		}
		if (**text == '|') {
			for ((*text)++; **text != '|'; *text += 2) {
				*text += **text == ' ';
				ret[n++] = (uint8_t)(plain_hex((*text)[0]) << 4 |
					plain_hex((*text)[1]));
			}
			(*text)++;
		} else {
			ret[n++] = (uint8_t) * *text;
			(*text)++;
		}
	}
	return n;
}

static bool plain_search(const struct model_function *f, const struct model_packet *pkt)
{
	uint8_t literal[MODEL_TEXT_BYTES];
	const char *text = f->text;
	size_t begin = (size_t)f->number, end = pkt->cap_bytes;

	if (f->depth > 0 && begin + (size_t)f->depth < end)
		end = begin + (size_t)f->depth;
	while (*text) {
		size_t n = plain_alternative(&text, literal);

		for (size_t at = begin; at + n <= end; at++)
			if (memcmp(pkt->data + at, literal, n) == 0)
				return true;
	}
	return false;
}

/* ---- STATS ---- */

static void plain_sample(struct plain_function *p, uint64_t value)
{
	struct model_result *r = &p->result;
	double d = (double)value;

	if (r->count == 0 || d > r->max)
		r->max = d;
	if (r->count == 0 || d < r->min)
		r->min = d;
	r->count++;
	r->sum += (long double)value;
	r->sum2 += (long double)value * (long double)value;
}

uint64_t plain_period_ns(const char *text)
{
	char *unit;
	uint64_t n = strtoull(text, &unit, 10);

	if (strcmp(unit, "us") == 0)
		return n * 1000u;
	if (strcmp(unit, "ms") == 0)
		return n * 1000000u;
	if (strcmp(unit, "s") == 0)
		return n * 1000000000u;
	return n * 60000000000u;
}

bool model_has_period(const struct model_function *f)
{
	return (f->kind == MODEL_STATS && strcmp(f->text, "0") != 0 && strcmp(f->text, "1") != 0) ||
		f->kind == MODEL_BUCKET ||
		((f->kind == MODEL_THRESHOLD || f->kind == MODEL_TOP) &&
			strcmp(f->text, "0") != 0) ||
		(f->kind == MODEL_RES2FILE && strcmp(f->text, "0") != 0 &&
			strcmp(f->text, "-1") != 0);
}

static struct plain_function *plain_source(struct plain *m, const struct model_function *f)
{
	return &m->of[f->ref_flow][f->ref_function];
}

static void plain_stats(struct plain_function *p, const struct model_function *f,
	const struct plain_function *source)
{
	if (strcmp(f->text, "0") == 0 || (strcmp(f->text, "1") == 0 && p->seen > 1))
		plain_sample(p, source->value);
}

/* Adding zeroes one by one would take years for some captures. */
void plain_settle(struct plain_function *p, const struct model_function *f, uint64_t until_ns)
{
	uint64_t period_ns, n;

	if (f->kind != MODEL_STATS || !p->begun || !p->has_ended || until_ns < p->begin_ns)
		return;
	period_ns = plain_period_ns(f->text);
	n = (until_ns - p->begin_ns) / period_ns;
	p->begin_ns += n * period_ns;
	if (n > 0) {
		p->result.count += n;
		p->result.min = 0;
	}
}

/* Calls visit for every function with periods. */
static void plain_periods(struct plain *m, uint64_t ts_ns,
	void (*visit)(struct plain *, unsigned int i, unsigned int k, uint64_t ts_ns))
{
	for (unsigned int i = 0; i < m->c->n_flows; i++)
		for (unsigned int k = 0; k < m->c->flows[i].n_functions; k++)
			if (model_has_period(&m->c->flows[i].functions[k]))
				visit(m, i, k, ts_ns);
}

static void plain_begin(struct plain *m, unsigned int i, unsigned int k, uint64_t ts_ns)
{
	struct plain_function *p = &m->of[i][k];

	plain_settle(p, &m->c->flows[i].functions[k], ts_ns);
	p->has_ended = false;
	if (p->begun)
		return;
	p->begin_ns = ts_ns;
	p->begun = true;
	p->n_empty = 0;
	if (m->c->flows[i].functions[k].kind == MODEL_THRESHOLD)
		plain_threshold_begin(p, &m->c->flows[i].functions[k],
			plain_source(m, &m->c->flows[i].functions[k]));
}

/* The first period that has ended and has not been dealt with. */
static void plain_find_end(struct plain *m, unsigned int i, unsigned int k, uint64_t ts_ns)
{
	struct plain_function *p = &m->of[i][k];
	uint64_t period_ns = plain_period_ns(m->c->flows[i].functions[k].text);

	if (p->begun && !p->has_ended && ts_ns >= p->begin_ns && ts_ns - p->begin_ns >= period_ns &&
		p->begin_ns + period_ns < m->end_ns)
		m->end_ns = p->begin_ns + period_ns;
}

/* Without a packet nothing comes after the reset, so only the first period has a sample. */
static void plain_stats_end(
	struct plain *m, struct plain_function *p, const struct model_function *f)
{
	struct plain_function *source = plain_source(m, f);

	plain_sample(p, source->value);
	source->to_be_reset = true;
	p->begin_ns += plain_period_ns(f->text);
}

static void plain_end(struct plain *m, unsigned int i, unsigned int k, uint64_t ts_ns)
{
	const struct model_function *f = &m->c->flows[i].functions[k];
	struct plain_function *p = &m->of[i][k];

	if (!p->begun || p->has_ended || p->begin_ns + plain_period_ns(f->text) != m->end_ns)
		return;
	p->has_ended = true;
	if (f->kind == MODEL_STATS)
		plain_stats_end(m, p, f);
	else if (f->kind == MODEL_BUCKET)
		plain_bucket_end(p, f, plain_source(m, f), ts_ns);
	else if (f->kind == MODEL_THRESHOLD)
		plain_threshold_end(p, f, plain_source(m, f), ts_ns);
	else if (f->kind == MODEL_TOP)
		plain_top_end(p, f, ts_ns);
	else
		plain_save_end(m, i, k, ts_ns);
}

static void plain_reset(struct plain *m)
{
	for (unsigned int i = 0; i < m->c->n_flows; i++) {
		for (unsigned int k = 0; k < m->c->flows[i].n_functions; k++) {
			struct plain_function *p = &m->of[i][k];

			if (!p->to_be_reset)
				continue;
			p->to_be_reset = p->begun = false;
			p->value = p->seen = p->result.count = 0;
			p->result.sum = p->result.sum2 = 0;
			p->result.max = p->result.min = 0;
		}
	}
}

/* Before a packet, its time comes: periods of the device's packets, also of those that filters keep
 * away. They end one after the other; the sample is the value then, and the source is reset. */
static void plain_pass_time(struct plain *m, uint64_t ts_ns)
{
	plain_periods(m, ts_ns, plain_begin);
	for (;;) {
		m->end_ns = UINT64_MAX;
		plain_periods(m, ts_ns, plain_find_end);
		if (m->end_ns == UINT64_MAX)
			break;
		plain_periods(m, ts_ns, plain_end);
		plain_reset(m);
	}
	plain_periods(m, ts_ns, plain_begin);
}

/* ---- the machine ---- */

static void plain_record(
	struct plain_function *p, const struct model_function *f, const struct model_packet *pkt)
{
	uint64_t ts = pkt->ts_ns;

	if (f->kind == MODEL_TO_FILE) {
		if (f->depth > 0 && p->value == (uint64_t)f->depth)
			return;
		if (f->number == 0)
			ts -= ts % 1000;
	} else {
		ts = model_ts(ts);
	}
	p->value++;
	p->result.digest =
		model_digest(p->result.digest, ts, pkt->cap_bytes, pkt->wire_bytes, pkt->data);
}

static uint64_t plain_binop(const struct plain *m, const struct model_function *f)
{
	uint64_t a = m->of[f->refs[0].flow][f->refs[0].function].value;
	uint64_t b = m->of[f->refs[1].flow][f->refs[1].function].value;

	return f->number ? a - b : a + b;
}

/* Return: true if the packet goes on to the next function. */
static bool plain_step(struct plain *m, unsigned int i, unsigned int k, struct model_packet *pkt)
{
	const struct model_function *f = &m->c->flows[i].functions[k];
	struct plain_function *p = &m->of[i][k];

	p->seen++;
	switch (f->kind) {
	case MODEL_BPF_FILTER: {
		struct pcap_pkthdr head = { .caplen = pkt->cap_bytes, .len = pkt->wire_bytes };

		return pcap_offline_filter(&p->program, &head, pkt->data) != 0;
	}
	case MODEL_STR_SEARCH:
		return plain_search(f, pkt);
	case MODEL_REGEXP:
		return plain_regexp(f, pkt);
	case MODEL_INTERFACE:
		return pkt->interface == (uint32_t)f->number;
	case MODEL_CHANCE:
		return f->number >= 100; /* below, but for 0, nobody knows: plain_mark_unknown() */
	case MODEL_HASHSAMP:
		return plain_hashsamp(m, p, f, pkt);
	case MODEL_SAMPLE:
		return p->seen % (uint64_t)f->number == 0;
	case MODEL_CUT:
		if (pkt->cap_bytes > (uint32_t)f->number)
			pkt->cap_bytes = (uint32_t)f->number;
		break;
	case MODEL_PKT_COUNTER:
		p->value++;
		break;
	case MODEL_BYTE_COUNTER:
		p->value += pkt->wire_bytes;
		break;
	case MODEL_PKTINFO:
		p->value = f->number == 0 ? model_ts(pkt->ts_ns) : pkt->wire_bytes;
		break;
	case MODEL_HASH:
		plain_hash(m, p, f, pkt);
		break;
	case MODEL_STATS:
		plain_stats(p, f, plain_source(m, f));
		break;
	case MODEL_GAP:
		plain_gap(p, pkt);
		break;
	case MODEL_BINOP:
		p->value = plain_binop(m, f);
		break;
	case MODEL_DIST:
		plain_dist(p, f, plain_source(m, f)->value);
		break;
	case MODEL_BUCKET:
		break; /* looks at time only */
	case MODEL_THRESHOLD:
		return plain_threshold(p, f, plain_source(m, f), pkt);
	case MODEL_TO_BUFFER:
	case MODEL_TO_FILE:
		plain_record(p, f, pkt);
		break;
	case MODEL_RES2FILE:
		plain_save(m, i, k);
		break;
	case MODEL_STARTSTOP:
		return plain_startstop(m, p, f, pkt);
	case MODEL_BURST:
		plain_burst(p, f, pkt);
		break;
	case MODEL_SYNC: /* all flows are connected before the first packet */
		break;
	case MODEL_TOP:
		plain_top(m, p, f, pkt);
		break;
	case _MODEL_KIND_N:
		break;
	}
	return true;
}

static void plain_packet(struct plain *m, const struct model_packet *pkt)
{
	plain_pass_time(m, pkt->ts_ns);
	if (pkt->ts_ns > m->now_ns)
		m->now_ns = pkt->ts_ns;
	for (unsigned int i = 0; i < m->c->n_flows; i++) {
		struct model_packet view = *pkt;

		for (unsigned int k = 0; k < m->c->flows[i].n_functions; k++) {
			m->of[i][k].result.pkts++;
			if (!plain_step(m, i, k, &view))
				break;
			m->of[i][k].result.passed_pkts++;
		}
		for (unsigned int k = 0; k < m->c->flows[i].n_functions; k++)
			m->of[i][k].has_pkts = true;
	}
	plain_reset(m);
}

static void plain_mark_source(struct plain *m, struct plain_function *p, unsigned int flow,
	unsigned int function, bool is_reset)
{
	struct plain_function *source = &m->of[flow][function];

	p->unknown |= source->unknown;
	source->unknown |= p->unknown && is_reset;
}

static bool plain_is_chance(const struct plain_function *p, const struct model_function *f)
{
	return (f->kind == MODEL_CHANCE && f->number > 0 && f->number < 100) ||
		(f->kind == MODEL_HASHSAMP && p->unsure);
}

/* Chance passes on to what stands behind it, to what refers to that, and to what is reset by it. */
static void plain_mark_unknown(struct plain *m)
{
	for (unsigned int round = 0; round < MODEL_FLOWS_MAX * MODEL_FUNCTIONS_MAX; round++) {
		for (unsigned int i = 0; i < m->c->n_flows; i++) {
			bool unknown = false;

			for (unsigned int k = 0; k < m->c->flows[i].n_functions; k++) {
				const struct model_function *f = &m->c->flows[i].functions[k];
				struct plain_function *p = &m->of[i][k];

				p->result.pkts_known = !unknown;
				p->unknown |=
					unknown && (!model_has_period(f) || f->kind == MODEL_TOP);
				if (model_has_source(f->kind))
					plain_mark_source(m, p, f->ref_flow, f->ref_function,
						model_has_period(f) && f->kind != MODEL_THRESHOLD);
				for (unsigned int r = 0; r < f->n_refs; r++)
					plain_mark_source(m, p, f->refs[r].flow,
						f->refs[r].function,
						f->kind == MODEL_RES2FILE && f->number);
				unknown |= plain_is_chance(p, f) ||
					(f->kind == MODEL_THRESHOLD && p->unknown);
				p->result.passed_known = !unknown;
			}
		}
	}
}

static int plain_compile(struct plain *m)
{
	for (unsigned int i = 0; i < m->c->n_flows; i++) {
		for (unsigned int k = 0; k < m->c->flows[i].n_functions; k++) {
			const struct model_function *f = &m->c->flows[i].functions[k];
			struct plain_function *p = &m->of[i][k];

			p->result = (struct model_result){ .known = true,
				.digest = MODEL_DIGEST_EMPTY };
			if (f->kind == MODEL_RES2FILE)
				plain_save_open(p);
			if (f->kind != MODEL_BPF_FILTER)
				continue;
			if (pcap_compile(m->capture->pcap, &p->program, f->text, 1, 0) != 0)
				return -1;
		}
	}
	return 0;
}

static void plain_finish(struct plain *m, unsigned int i, unsigned int k)
{
	const struct model_function *f = &m->c->flows[i].functions[k];
	struct plain_function *p = &m->of[i][k];

	if (f->kind == MODEL_RES2FILE)
		plain_save_close(m, i, k);
	if (f->kind == MODEL_DIST)
		plain_dist_result(p, f);
	if (f->kind == MODEL_BURST)
		plain_burst_result(p, f);
	if (f->kind == MODEL_TOP)
		plain_top_result(m, p, f);
	if (f->kind == MODEL_STARTSTOP)
		p->result.digest = model_digest_bytes(p->result.digest, p->times, sizeof(p->times));
	p->result.value = p->value;
	p->result.known &= !p->unknown && !p->unsure;
	pcap_freecode(&p->program);
}

/* The end of the first period that the last packet did not see. */
static uint64_t plain_next_end_ns(struct plain *m)
{
	m->end_ns = UINT64_MAX;
	plain_periods(m, UINT64_MAX, plain_find_end);
	return m->end_ns;
}

/* @unsure: functions that meet packets which this machine cannot read. Return: 1 if there are more
 * of them than were told, 0, or -1. */
static int plain_run(struct model_results *ret, const struct model_case *c,
	const struct model_capture *capture, bool unsure[MODEL_FLOWS_MAX][MODEL_FUNCTIONS_MAX])
{
	struct plain m = { .c = c, .capture = capture };
	int r = plain_compile(&m), more = 0;

	for (unsigned int i = 0; i < c->n_flows; i++)
		for (unsigned int k = 0; k < c->flows[i].n_functions; k++)
			m.of[i][k].unsure = unsure[i][k];
	plain_mark_unknown(&m);
	for (unsigned int n = 0; r == 0 && n < capture->n_pkts; n++)
		plain_packet(&m, &capture->pkts[n]);
	ret->next_end_ns = plain_next_end_ns(&m);
	for (unsigned int i = 0; i < c->n_flows; i++) {
		for (unsigned int k = 0; k < c->flows[i].n_functions; k++) {
			plain_finish(&m, i, k);
			ret->of[i][k] = m.of[i][k].result;
			more |= m.of[i][k].unsure && !unsure[i][k];
			unsure[i][k] = m.of[i][k].unsure;
		}
	}
	return r < 0 ? -1 : more;
}

int model_plain_run(
	struct model_results *ret, const struct model_case *c, const struct model_capture *capture)
{
	bool unsure[MODEL_FLOWS_MAX][MODEL_FUNCTIONS_MAX] = { 0 };
	int r;

	/* What HASHSAMP cannot tell makes what stands behind it a matter of chance. */
	do
		r = plain_run(ret, c, capture, unsure);
	while (r > 0);
	return r;
}
