/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Batches that wait for their turn. A chunk that runs early leaves its late nodes to be run when
 * all chunks before it are committed; until then its batches (views, not bytes) and the verdicts of
 * the pure filters are kept here, packed to what they need. The memory grows to that of the largest
 * chunk and is then used again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "run_private.h"

/* What is kept of a batch until its turn: a head, the columns cut to n, the verdicts. */
struct run_kept {
	uint32_t n;
	uint32_t linktype;
	bool is_live;
	bool has_super;
};

static size_t run_kept_size(const struct plan_run *run, unsigned int n, bool is_live)
{
	size_t per_packet = sizeof(uint8_t *) + sizeof(uint64_t) + 2 * sizeof(uint32_t) +
		sizeof(uint16_t) +
		(is_live ? sizeof(uint8_t) + sizeof(uint16_t) + sizeof(uint32_t) : 0);
	size_t bytes = sizeof(struct run_kept) + n * per_packet +
		run->plan->n_masks * sizeof(run->masks[0]);

	return (bytes + 7) / 8 * 8;
}

static void run_pack(uint8_t **at, const void *from, size_t bytes)
{
	memcpy(*at, from, bytes);
	*at += bytes;
}

static void run_unpack(const uint8_t **at, void *to, size_t bytes)
{
	memcpy(to, *at, bytes);
	*at += bytes;
}

int run_keep(struct plan_run *run, const struct packet_batch *batch)
{
	size_t bytes = run_kept_size(run, batch->n, batch->is_live);
	struct run_kept head = { .n = batch->n,
		.linktype = batch->linktype,
		.is_live = batch->is_live,
		.has_super = batch->has_super };
	uint8_t *at;

	if (run->kept_bytes + bytes > run->kept_size_bytes) {
		/* Grows to what the largest chunk needs, then never again. */
		size_t size = MAX(2 * run->kept_size_bytes, run->kept_bytes + bytes);
		uint8_t *grown = realloc(run->kept, size);

		if (!grown)
			return -ENOMEM;
		run->kept = grown;
		run->kept_size_bytes = size;
	}
	at = run->kept + run->kept_bytes;
	run_pack(&at, &head, sizeof(head));
	run_pack(&at, batch->data, batch->n * sizeof(batch->data[0]));
	run_pack(&at, batch->ts_ns, batch->n * sizeof(batch->ts_ns[0]));
	run_pack(&at, batch->cap_bytes, batch->n * sizeof(batch->cap_bytes[0]));
	run_pack(&at, batch->wire_bytes, batch->n * sizeof(batch->wire_bytes[0]));
	run_pack(&at, batch->ifindex, batch->n * sizeof(batch->ifindex[0]));
	if (batch->is_live) {
		run_pack(&at, batch->flags, batch->n * sizeof(batch->flags[0]));
		run_pack(&at, batch->wire_pkts, batch->n * sizeof(batch->wire_pkts[0]));
		run_pack(&at, batch->all_wire_bytes, batch->n * sizeof(batch->all_wire_bytes[0]));
	}
	run_pack(&at, run->masks, run->plan->n_masks * sizeof(run->masks[0]));
	run->kept_bytes += bytes;
	return 0;
}

size_t run_restore(struct plan_run *run, size_t offset)
{
	struct packet_batch *batch = run->kept_batch;
	const uint8_t *at = run->kept + offset;
	struct run_kept head;

	run_unpack(&at, &head, sizeof(head));
	batch->n = head.n;
	batch->linktype = head.linktype;
	batch->is_live = head.is_live;
	batch->has_super = head.has_super;
	run_unpack(&at, batch->data, head.n * sizeof(batch->data[0]));
	run_unpack(&at, batch->ts_ns, head.n * sizeof(batch->ts_ns[0]));
	run_unpack(&at, batch->cap_bytes, head.n * sizeof(batch->cap_bytes[0]));
	run_unpack(&at, batch->wire_bytes, head.n * sizeof(batch->wire_bytes[0]));
	run_unpack(&at, batch->ifindex, head.n * sizeof(batch->ifindex[0]));
	if (head.is_live) {
		run_unpack(&at, batch->flags, head.n * sizeof(batch->flags[0]));
		run_unpack(&at, batch->wire_pkts, head.n * sizeof(batch->wire_pkts[0]));
		run_unpack(&at, batch->all_wire_bytes, head.n * sizeof(batch->all_wire_bytes[0]));
	}
	run_unpack(&at, run->masks, run->plan->n_masks * sizeof(run->masks[0]));
	return run_kept_size(run, head.n, head.is_live);
}
