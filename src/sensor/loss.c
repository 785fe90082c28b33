/* SPDX-License-Identifier: BSD-2-Clause */
/* See loss.h. */
#include "loss.h"

#include "base/cleanup.h"

static uint64_t loss_less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* All that was captured before @loss->second has been read: @foreign of it at most. */
static void loss_settle(struct loss *loss, uint64_t foreign)
{
	const struct loss_reading *first = &loss->first, *second = &loss->second;
	uint64_t dropped = second->drops.pkts - first->drops.pkts;
	uint64_t maybe_seen =
		foreign - loss->foreign_before + (second->ring_lost - first->ring_lost);
	uint64_t queues = loss_less(second->drops.queues_after, first->drops.queues_before);

	if (first->drops.n_read > 0)
		loss->pkts += MAX(loss_less(dropped, maybe_seen), MIN(dropped, queues));
	/* What had been captured when the reading before was made had been when this one was. */
	loss->foreign_before = first->foreign;
	loss->first = *second;
}

uint64_t loss_update(struct loss *loss, const struct driver_stats *stats, uint64_t unseen_pkts)
{
	const struct driver_drops *drops = &stats->drops;
	uint64_t foreign = drops->foreign_pkts + unseen_pkts;

	if (loss->second.drops.n_read == loss->first.drops.n_read &&
		drops->n_read != loss->second.drops.n_read)
		loss->second = (struct loss_reading){
			.drops = *drops, .ring_lost = stats->ring_lost_pkts, .foreign = foreign
		};
	if (loss->second.drops.n_read != loss->first.drops.n_read &&
		drops->read_pkts >= loss->second.drops.met_pkts)
		loss_settle(loss, foreign);
	return stats->nic_lost_pkts + loss->pkts;
}
