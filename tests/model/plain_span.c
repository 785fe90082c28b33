/* SPDX-License-Identifier: BSD-2-Clause */
/* STARTSTOP and BURST in the plain machine. */
#include <string.h>

#include "plain.h"

/* ---- STARTSTOP ---- */

bool plain_startstop(struct plain *m, struct plain_function *p, const struct model_function *f,
	const struct model_packet *pkt)
{
	if (p->seen == 1) {
		p->times[0] = model_ts(pkt->ts_ns);
		p->start_ns = m->now_ns + plain_period_ns(f->text + 1);
		p->stop_ns = f->stop[0] ? p->start_ns + plain_period_ns(f->stop + 1) : UINT64_MAX;
	}
	if (m->now_ns < p->start_ns || m->now_ns >= p->stop_ns)
		return false;
	p->times[2] = model_ts(pkt->ts_ns);
	if (!p->begun)
		p->times[1] = p->times[2];
	p->begun = true;
	return true;
}

/* ---- BURST ---- */

static unsigned long *plain_category(
	struct plain_burst *b, const struct model_function *f, uint64_t bytes)
{
	uint64_t n = (uint64_t)(f->numbers[1] - f->numbers[0]) / (uint64_t)f->numbers[2] + 2;
	uint64_t place = 0;

	if (bytes >= (uint64_t)f->numbers[0])
		place = (bytes - (uint64_t)f->numbers[0]) / (uint64_t)f->numbers[2] + 1;
	return b->categories[place < n ? place : n - 1];
}

static void plain_burst_end(struct plain_burst *b, const struct model_function *f)
{
	unsigned long *category = plain_category(b, f, b->bytes);

	category[0] += b->bytes;
	category[1] += b->pkts;
	category[2]++;
	b->bytes = b->pkts = 0;
}

void plain_burst(
	struct plain_function *p, const struct model_function *f, const struct model_packet *pkt)
{
	struct plain_burst *b = &p->burst;

	if (b->pkts > 0) {
		uint64_t speed = (uint64_t)f->numbers[6];
		uint64_t due_ns = b->last_bytes * 8000 / speed + (uint64_t)f->numbers[3];
		__int128 late_ns = (__int128)pkt->ts_ns - b->last_ns;

		late_ns = (late_ns < 0 ? 0 : late_ns) - due_ns;
		if (late_ns > f->numbers[4]) {
			uint64_t gap_bytes = (uint64_t)(late_ns * speed / 8000);
			unsigned long *category = plain_category(b, f, gap_bytes);

			category[3] += gap_bytes;
			category[4]++;
		}
		if (late_ns > f->numbers[4] || late_ns < -f->numbers[5])
			plain_burst_end(b, f);
	}
	b->pkts++;
	b->bytes += pkt->wire_bytes;
	b->last_bytes = pkt->wire_bytes;
	b->last_ns = pkt->ts_ns;
}

void plain_burst_result(struct plain_function *p, const struct model_function *f)
{
	size_t n = (size_t)((f->numbers[1] - f->numbers[0]) / f->numbers[2] + 2);

	if (p->burst.pkts > 0)
		plain_burst_end(&p->burst, f);
	p->result.digest = model_digest_bytes(
		p->result.digest, p->burst.categories, n * sizeof(p->burst.categories[0]));
}
