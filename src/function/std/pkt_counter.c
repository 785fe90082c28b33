/* SPDX-License-Identifier: BSD-2-Clause */
/* PKT_COUNTER: counts packets. Behind a filter it is one popcount of the filter's mask per batch.
 */
#include <string.h>

#include "base/cleanup.h"
#include "std.h"
#include "std_private.h"

struct std_pkt_counter_state {
	uint64_t pkts;
};

/* Two words at a time, in whatever the machine has for it. */
typedef uint64_t std_pkt_counter_pair __attribute__((vector_size(16)));

_Static_assert(PACKET_MASK_WORDS % 2 == 0, "whole pairs");
_Static_assert(PACKET_MASK_WORDS / 2 * 8 <= UINT8_MAX, "additions below stay within bytes");

/*
 * The number of bits in a mask, with the steps of all words interleaved. This runs once per flow
 * and batch: with a thousand flows it is most of what a batch costs, and __builtin_popcountll() is
 * a function call where the oldest processors that we build for have no instruction.
 */
static uint64_t std_pkt_counter_bits(const struct packet_mask *mask)
{
	const uint64_t ones = 0x5555555555555555u, twos = 0x3333333333333333u;
	const uint64_t fours = 0x0f0f0f0f0f0f0f0fu, bytes = 0x00ff00ff00ff00ffu;
	std_pkt_counter_pair sum = { 0 };
	uint64_t total;

	for (unsigned int w = 0; w < PACKET_MASK_WORDS; w += 2) {
		std_pkt_counter_pair x;

		memcpy(&x, &mask->word[w], sizeof(x));
		x -= x >> 1 & ones;
		x = (x & twos) + (x >> 2 & twos);
		sum += (x + (x >> 4)) & fours;
	}
	sum = (sum & bytes) + (sum >> 8 & bytes);
	total = sum[0] + sum[1];
	return total * 0x0001000100010001u >> 48;
}

/* What super-packets stand for beyond themselves (semantics P3). */
static uint64_t std_pkt_counter_extra(
	const struct packet_batch *batch, const struct packet_mask *mask)
{
	uint64_t pkts = 0;

	packet_mask_for_each (i, mask)
		pkts += batch->wire_pkts[i] - 1u;
	return pkts;
}

/* A part of a batch, super-packets, or a value column, which wants a number for every packet,
 * selected or not. Kept apart for the sake of the common case: no stack to set up and guard. */
static __attribute__((noinline)) void std_pkt_counter_part(const struct function_call *call,
	struct std_pkt_counter_state *s, const struct packet_mask *selection)
{
	struct packet_mask mine = std_selected(call, selection);
	const struct packet_batch *batch = call->batch;
	uint64_t pkts = s->pkts;

	s->pkts += std_pkt_counter_bits(&mine);
	if (batch->has_super)
		s->pkts += std_pkt_counter_extra(batch, &mine);
	if (!call->column)
		return;
	for (unsigned int i = call->first; i < call->first + call->n; i++) {
		if (packet_mask_test(selection, i))
			pkts += batch->has_super ? batch->wire_pkts[i] : 1u;
		call->column[i] = pkts;
	}
}

static void std_pkt_counter_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	struct std_pkt_counter_state *s = state;

	if (std_whole_batch(call) && !call->column && !call->batch->has_super)
		s->pkts += std_pkt_counter_bits(selection);
	else
		std_pkt_counter_part(call, s, selection);
}

static void std_pkt_counter_merge(const void *instance, void *into, const void *from)
{
	struct std_pkt_counter_state *s = into;
	const struct std_pkt_counter_state *other = from;

	s->pkts += other->pkts;
}

static const struct mapi_field std_pkt_counter_fields[] = {
	{
		.name = "packets",
		.type = MAPI_FIELD_U64,
		.offset_bytes = offsetof(struct std_pkt_counter_state, pkts),
		.merge = MAPI_MERGE_SUM,
		.unit = "packets",
		.help = "Packets that reached the counter.",
	},
};

const struct function std_pkt_counter = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "PKT_COUNTER",
		.library = STD_LIBRARY,
		.help = "Counts packets.",
		.fields = std_pkt_counter_fields,
		.n_fields = ARRAY_SIZE(std_pkt_counter_fields),
		.result_bytes = sizeof(uint64_t),
		.flags = MAPI_FUNCTION_REFERABLE,
	},
	.order = FUNCTION_FREE,
	.state_bytes = sizeof(struct std_pkt_counter_state),
	.process = std_pkt_counter_process,
	.merge = std_pkt_counter_merge,
};
