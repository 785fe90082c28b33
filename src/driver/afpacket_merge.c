/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several rings become one sequence of chunks, in the order of time (semantics O5).
 *
 * A chunk holds, of the first block of each ring, what is not later than the end of the earliest of
 * these blocks: nothing that is still to be handed over can be earlier, but for a ring without such
 * a block. That one either has nothing, or the kernel is filling a block for it, which will be
 * handed over within milliseconds; what others have then waits for it. Whether the kernel fills one
 * is seen by the block's own count, which it keeps up in place. Packets are not sorted here but
 * when a chunk is walked (afpacket_chunk_next()), by as many workers as hold chunks; of a block
 * that is divided the times are read here.
 *
 * Nothing waits for ever. Not for a block that is not handed over for AFPACKET_HOLD_NS; not at the
 * price of packets, once half of a ring is full. And packets of one ring do not wait because those
 * of others have earlier times, again and again: what others had when they came has been taken
 * after as many chunks as there are blocks; then it is the clock that has been set back. In all
 * these cases packets may come that are earlier than those before them, and count as late (T1).
 */
#include <errno.h>
#include <stdlib.h>

#include "afpacket_private.h"
#include "base/cleanup.h"

#define AFPACKET_HOLD_NS 100000000u
#define AFPACKET_AHEAD_FRAMES 8u

int afpacket_merge_init(struct afpacket_merge *merge, struct afpacket_ring *rings,
	unsigned int n_rings, unsigned int n_chunks)
{
	*merge =
		(struct afpacket_merge){ .rings = rings, .n_rings = n_rings, .n_chunks = n_chunks };
	merge->chunks = calloc(n_chunks, sizeof(merge->chunks[0]));
	for (unsigned int i = 0; merge->chunks && i < n_chunks; i++) {
		merge->chunks[i].slices = calloc(n_rings, sizeof(merge->chunks[i].slices[0]));
		if (!merge->chunks[i].slices)
			return -ENOMEM;
	}
	return merge->chunks ? 0 : -ENOMEM;
}

void afpacket_merge_deinit(struct afpacket_merge *merge)
{
	for (unsigned int i = 0; merge->chunks && i < merge->n_chunks; i++)
		free(merge->chunks[i].slices);
	free(merge->chunks);
	merge->chunks = NULL;
}

static struct afpacket_chunk *merge_free_chunk(const struct afpacket_merge *merge)
{
	for (unsigned int i = 0; i < merge->n_chunks; i++)
		if (!atomic_load_explicit(&merge->chunks[i].held, memory_order_acquire))
			return &merge->chunks[i];
	return NULL;
}

/* Whether rings that have none may have packets that are earlier than what others have: what the
 * kernel had put into their blocks by the time that it was looked for first. */
static bool merge_must_wait(struct afpacket_merge *merge, uint64_t now_ns)
{
	bool begins = merge->held_ns == 0, awaits = false, is_short = false;

	if (begins)
		merge->held_ns = now_ns;
	for (unsigned int i = 0; i < merge->n_rings; i++) {
		struct afpacket_ring *ring = &merge->rings[i];

		ring->is_awaited =
			(begins || ring->is_awaited) && !ring->at && afpacket_ring_fills(ring);
		awaits = awaits || ring->is_awaited;
		is_short = is_short || (ring->at && afpacket_ring_is_short(ring));
	}
	return awaits && !is_short && now_ns - merge->held_ns < AFPACKET_HOLD_NS;
}

/* The ring whose block is to be taken to its end. */
static struct afpacket_ring *merge_first(const struct afpacket_merge *merge)
{
	struct afpacket_ring *ret = NULL;

	for (unsigned int i = 0; i < merge->n_rings; i++) {
		struct afpacket_ring *ring = &merge->rings[i];

		if (!ring->at)
			continue;
		if (ring->n_passed > (uint64_t)merge->n_rings * ring->n_blocks)
			return ring;
		if (!ret || ring->end_ns < ret->end_ns)
			ret = ring;
	}
	return ret;
}

static void merge_take(
	struct afpacket_chunk *chunk, struct afpacket_ring *ring, uint8_t *end, unsigned int n)
{
	struct afpacket_slice *slice = &chunk->slices[chunk->n_slices++];

	*slice = (struct afpacket_slice){ .ring = ring, .first = ring->at, .n = n };
	slice->block = afpacket_ring_claim(ring, end, n);
}

/* What is not later than @until_ns. */
static void merge_take_until(
	struct afpacket_chunk *chunk, struct afpacket_ring *ring, uint64_t until_ns)
{
	uint8_t *at = ring->at;
	unsigned int n = 0;

	while (n < ring->n_left && afpacket_frame_ns(at) <= until_ns) {
		const struct tpacket3_hdr *frame = (const void *)at; /* aligned by the kernel */

		__builtin_prefetch(at + (size_t)AFPACKET_AHEAD_FRAMES * frame->tp_next_offset);
		at += frame->tp_next_offset;
		n++;
	}
	if (n > 0)
		merge_take(chunk, ring, at, n);
	else
		ring->n_passed++;
}

int afpacket_merge_claim(struct afpacket_merge *merge, uint64_t now_ns, struct afpacket_chunk **ret)
{
	struct afpacket_chunk *chunk = merge_free_chunk(merge);
	struct afpacket_ring *first;
	unsigned int n_ready = 0;
	uint64_t until_ns;

	for (unsigned int i = 0; i < merge->n_rings; i++)
		n_ready += afpacket_ring_ready(&merge->rings[i]);
	if (n_ready == 0 || !chunk)
		return AFPACKET_E_NONE;
	if (n_ready < merge->n_rings && merge_must_wait(merge, now_ns))
		return AFPACKET_E_HELD;
	merge->held_ns = 0;
	first = merge_first(merge);
	until_ns = first->end_ns;
	chunk->n_slices = 0;
	merge_take(chunk, first, NULL, first->n_left);
	for (unsigned int i = 0; i < merge->n_rings; i++)
		if (merge->rings[i].at)
			merge_take_until(chunk, &merge->rings[i], until_ns);
	afpacket_chunk_start(chunk);
	atomic_store_explicit(&chunk->held, true, memory_order_relaxed);
	*ret = chunk;
	return 0;
}

void afpacket_merge_release(struct afpacket_chunk *chunk)
{
	for (unsigned int i = 0; i < chunk->n_slices; i++) {
		const struct afpacket_slice *slice = &chunk->slices[i];

		/* What nobody looked at may have been anything. */
		afpacket_ring_note(slice->ring, slice->n, slice->n_foreign + slice->n_left);
		if (slice->block)
			afpacket_ring_release(slice->ring, slice->block);
	}
	atomic_store_explicit(&chunk->held, false, memory_order_release);
}
