/* SPDX-License-Identifier: BSD-2-Clause */
/* GAP, DIST, BUCKET and THRESHOLD in the plain machine; records become a digest. */
#include <string.h>

#include "plain.h"

void plain_gap(struct plain_function *p, const struct model_packet *pkt)
{
	uint64_t gap_ns = p->begun && pkt->ts_ns > p->before ? pkt->ts_ns - p->before : 0;

	p->value = gap_ns / 1000000000u > UINT32_MAX ? UINT64_MAX : model_ts(gap_ns);
	p->before = pkt->ts_ns;
	p->begun = true;
}

/* ---- DIST: min, max and step are f->numbers ---- */

static uint64_t plain_dist_intervals(const struct model_function *f)
{
	return (uint64_t)((f->numbers[1] - f->numbers[0] + f->numbers[2] - 1) / f->numbers[2]);
}

void plain_dist(struct plain_function *p, const struct model_function *f, uint64_t value)
{
	uint64_t min = (uint64_t)f->numbers[0], max = (uint64_t)f->numbers[1];

	if (value < min)
		p->slots[0]++;
	else if (value > max)
		p->slots[plain_dist_intervals(f) + 1]++;
	else
		p->slots[(value - min) / (uint64_t)f->numbers[2] + 1]++;
}

void plain_dist_result(struct plain_function *p, const struct model_function *f)
{
	p->value = plain_dist_intervals(f) + 2;
	p->result.digest = model_digest_bytes(
		p->result.digest, p->slots, (size_t)p->value * sizeof(p->slots[0]));
}

/* ---- records ---- */

static void plain_give(struct plain_function *p, uint64_t ts_ns, uint64_t value)
{
	const uint64_t record[2] = { model_ts(ts_ns), value };

	p->value++;
	p->result.digest = model_digest_bytes(p->result.digest, record, sizeof(record));
}

/* A period has ended. Return: whether the next one begins there. */
static bool plain_period_end(struct plain_function *p)
{
	p->n_empty = p->has_pkts ? 0 : p->n_empty + 1;
	p->has_pkts = false;
	p->begun = p->n_empty < PLAIN_EMPTY_MAX;
	return p->begun;
}

/* Without a packet nothing comes, whatever the source shows. */
void plain_bucket_end(struct plain_function *p, const struct model_function *f,
	struct plain_function *source, uint64_t ts_ns)
{
	uint64_t period_ns = plain_period_ns(f->text);

	source->to_be_reset |= f->number != 0;
	while (ts_ns - p->begin_ns >= period_ns) {
		plain_give(p, p->begin_ns, p->has_pkts ? source->value : 0);
		p->begin_ns += period_ns;
		if (!plain_period_end(p))
			break;
	}
}

/* ---- THRESHOLD: boundary, divider and count are f->numbers ---- */

static uint64_t plain_cut(const struct model_function *f, uint64_t value)
{
	static const uint64_t masks[] = { 0xff, 0xffffffff, UINT64_MAX };

	return value & masks[f->number & 3];
}

/* Boundaries 4, 8 and 16 look at how much the value has grown. */
static void plain_compare(
	struct plain_function *p, const struct model_function *f, uint64_t ts_ns, uint64_t value)
{
	int boundary = f->numbers[0], divider = f->numbers[1], count = f->numbers[2];
	uint64_t x = value, threshold = (uint64_t)f->depth;
	bool held = p->holds;

	if (boundary >= 4)
		x = value > p->before ? value - p->before : 0;
	if (divider > 1)
		x /= (uint64_t)divider;
	if (boundary == 0 || boundary == 4)
		p->holds = x == threshold;
	else if (boundary == 1 || boundary == 8)
		p->holds = x > threshold;
	else
		p->holds = x < threshold;
	p->before = value;
	if (p->holds && (!held || (f->number & 128)) && (count == 0 || p->value < (uint64_t)count))
		plain_give(p, ts_ns, x);
}

void plain_threshold_begin(struct plain_function *p, const struct model_function *f,
	const struct plain_function *source)
{
	if (!p->has_before)
		p->before = plain_cut(f, source->value);
	p->has_before = true;
}

/* Nothing changes while no packet comes. */
void plain_threshold_end(struct plain_function *p, const struct model_function *f,
	const struct plain_function *source, uint64_t ts_ns)
{
	uint64_t period_ns = plain_period_ns(f->text);

	while (ts_ns - p->begin_ns >= period_ns) {
		p->begin_ns += period_ns;
		plain_compare(
			p, f, p->begin_ns, p->has_pkts ? plain_cut(f, source->value) : p->before);
		if (!plain_period_end(p))
			break;
	}
}

bool plain_threshold(struct plain_function *p, const struct model_function *f,
	const struct plain_function *source, const struct model_packet *pkt)
{
	uint64_t value = plain_cut(f, source->value);

	if (strcmp(f->text, "0") != 0)
		return p->holds;
	if (p->begun || f->numbers[0] < 4)
		plain_compare(p, f, pkt->ts_ns, value);
	p->before = value;
	p->begun = true;
	return p->holds;
}
