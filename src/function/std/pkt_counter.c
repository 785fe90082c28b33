/* SPDX-License-Identifier: BSD-2-Clause */
/* PKT_COUNTER: counts packets. Behind a filter it is one popcount of the filter's mask per batch.
 */
#include "base/cleanup.h"
#include "std.h"
#include "std_private.h"

struct std_pkt_counter_state {
	uint64_t pkts;
};

/* The value column wants a number for every packet of the range, selected or not. */
static void std_pkt_counter_fill(
	const struct function_call *call, uint64_t pkts, const struct packet_mask *selection)
{
	for (unsigned int i = call->first; i < call->first + call->n; i++) {
		pkts += packet_mask_test(selection, i);
		call->column[i] = pkts;
	}
}

static void std_pkt_counter_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	struct std_pkt_counter_state *s = state;

	if (call->column)
		std_pkt_counter_fill(call, s->pkts, selection);
	if (std_whole_batch(call)) {
		s->pkts += packet_mask_count(selection);
	} else {
		struct packet_mask mine = std_selected(call, selection);

		s->pkts += packet_mask_count(&mine);
	}
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
