/* SPDX-License-Identifier: BSD-2-Clause */
/* RES2FILE in the plain machine: lines become a digest. */
#include <mapi/res2file.h>
#include <stdio.h>
#include <string.h>

#include "plain.h"

static void plain_save_text(struct plain_function *p, const void *bytes, size_t n_bytes)
{
	p->result.digest = model_digest_bytes(p->result.digest, bytes, n_bytes);
}

static void plain_save_value(struct plain_function *p, int format, uint64_t value)
{
	char text[64];

	if (format == R2F_RAW) {
		plain_save_text(p, &value, sizeof(value));
		return;
	}
	if (format == R2F_ULLSTR)
		snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	else
		snprintf(text, sizeof(text), "%.12Lf", (long double)value / 4294967296.0L);
	plain_save_text(p, text, strlen(text));
}

static void plain_save_stats(struct plain_function *p, const struct model_result *r)
{
	char text[300];

	snprintf(text, sizeof(text), "%llu %.0Lf %.0Lf %.0f %.0f", r->count, r->sum, r->sum2,
		r->max, r->min);
	plain_save_text(p, text, strlen(text));
}

/* A line, of results or of zeroes. */
static void plain_save_line(
	struct plain *m, struct plain_function *p, const struct model_function *f, bool of_results)
{
	static const struct plain_function nothing;

	for (unsigned int r = 0; r < f->n_refs; r++) {
		const struct model_ref *ref = &f->refs[r];
		const struct plain_function *source =
			of_results ? &m->of[ref->flow][ref->function] : &nothing;

		if (r)
			plain_save_text(p, " ", 1);
		if (ref->format == R2F_STATS)
			plain_save_stats(p, &source->result);
		else
			plain_save_value(p, ref->format, source->value);
	}
	plain_save_text(p, "\n", 1);
	p->value++;
}

void plain_save_open(struct plain_function *p)
{
	plain_save_text(p, "header\n", 7);
}

/* The results as they are now, then perhaps a reset. */
static void plain_save_now(
	struct plain *m, struct plain_function *p, const struct model_function *f)
{
	plain_save_line(m, p, f, true);
	for (unsigned int r = 0; f->number && r < f->n_refs; r++)
		m->of[f->refs[r].flow][f->refs[r].function].to_be_reset = true;
}

void plain_save(struct plain *m, unsigned int i, unsigned int k)
{
	const struct model_function *f = &m->c->flows[i].functions[k];

	if (strcmp(f->text, "0") == 0)
		plain_save_now(m, &m->of[i][k], f);
}

/* The function's period ends. Statistics that it saves have zeroes of periods before that, of the
 * same moment only if they stand before it. */
void plain_save_end(struct plain *m, unsigned int i, unsigned int k, uint64_t ts_ns)
{
	const struct model_function *f = &m->c->flows[i].functions[k];
	struct plain_function *p = &m->of[i][k];
	uint64_t n = (ts_ns - p->begin_ns) / plain_period_ns(f->text);

	for (unsigned int r = 0; r < f->n_refs; r++) {
		const struct model_ref *ref = &f->refs[r];
		bool before = ref->flow < i || (ref->flow == i && ref->function < k);

		plain_settle(&m->of[ref->flow][ref->function],
			&m->c->flows[ref->flow].functions[ref->function],
			before ? m->end_ns : m->end_ns - 1);
	}
	p->begin_ns += n * plain_period_ns(f->text);
	if (p->has_pkts) {
		plain_save_now(m, p, f);
		p->has_pkts = false;
		p->n_empty = 0;
		n--;
	}
	for (; n > 0 && p->n_empty < PLAIN_EMPTY_MAX; n--) {
		plain_save_line(m, p, f, false);
		p->n_empty++;
	}
	if (p->n_empty == PLAIN_EMPTY_MAX)
		p->begun = false;
}

void plain_save_close(struct plain *m, unsigned int i, unsigned int k)
{
	const struct model_function *f = &m->c->flows[i].functions[k];

	if (strcmp(f->text, "-1") == 0)
		plain_save_line(m, &m->of[i][k], f, true);
}
