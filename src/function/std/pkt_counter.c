/* SPDX-License-Identifier: BSD-2-Clause */
/* PKT_COUNTER: counts packets. Behind a filter it is one count of the filter's mask per batch. */
#include "base/cleanup.h"
#include "std.h"
#include "std_private.h"

struct std_pkt_counter_state {
	uint64_t pkts;
};

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

	s->pkts += packet_mask_count(&mine);
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
		s->pkts += packet_mask_count(selection);
	else
		std_pkt_counter_part(call, s, selection);
}

static void std_pkt_counter_merge(const void *instance, void *into, const void *from)
{
	struct std_pkt_counter_state *s = into;
	const struct std_pkt_counter_state *other = from;

	s->pkts += other->pkts;
}

static void std_pkt_counter_add(
	const void *instance, void *state, const struct function_count *count)
{
	struct std_pkt_counter_state *s = state;

	s->pkts += count->pkts;
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
		.example = "PKT_COUNTER",
		.fields = std_pkt_counter_fields,
		.n_fields = ARRAY_SIZE(std_pkt_counter_fields),
		.result_bytes = sizeof(uint64_t),
		.flags = MAPI_FUNCTION_REFERABLE,
	},
	.order = FUNCTION_FREE,
	.state_bytes = sizeof(struct std_pkt_counter_state),
	.process = std_pkt_counter_process,
	.merge = std_pkt_counter_merge,
	.add = std_pkt_counter_add,
};
