/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GAP: the time between the last packet and the one before it, of those that reach the function.
 * Its use is as a source: DIST(GAP) is the distribution of times between packets.
 */
#include "base/cleanup.h"
#include "std.h"
#include "std_private.h"

struct std_gap_state {
	uint64_t value;
	uint64_t last_ns; /* of the last packet */
	bool begun;
};

/* Converted once, so that whoever converts back has the same nanoseconds. Time that runs backwards
 * is no gap (semantics T1); what does not fit, 136 years, is as much as fits. */
static uint64_t std_gap_value(uint64_t before_ns, uint64_t ts_ns)
{
	uint64_t gap_ns = ts_ns > before_ns ? ts_ns - before_ns : 0;

	return gap_ns / 1000000000u > UINT32_MAX ? UINT64_MAX : packet_ts_from_ns(gap_ns);
}

static void std_gap_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	struct std_gap_state *s = state;

	for (unsigned int i = call->first; i < call->first + call->n; i++) {
		if (packet_mask_test(selection, i)) {
			uint64_t ts_ns = call->batch->ts_ns[i];

			s->value = s->begun ? std_gap_value(s->last_ns, ts_ns) : 0;
			s->last_ns = ts_ns;
			s->begun = true;
		}
		if (call->column)
			call->column[i] = s->value;
	}
}

static const struct mapi_field std_gap_fields[] = {
	{
		.name = "gap",
		.type = MAPI_FIELD_U64,
		.offset_bytes = offsetof(struct std_gap_state, value),
		.merge = MAPI_MERGE_LAST,
		.unit = "s/2^32",
		.help = "Time from the last packet but one to the last, 32.32 fixed point seconds.",
	},
};

const struct function std_gap = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "GAP",
		.library = STD_LIBRARY,
		.help = "Gives the time between the last two packets.",
		.example = "GAP",
		.fields = std_gap_fields,
		.n_fields = ARRAY_SIZE(std_gap_fields),
		.result_bytes = sizeof(uint64_t),
		.flags = MAPI_FUNCTION_REFERABLE,
	},
	.order = FUNCTION_ORDER,
	.state_bytes = sizeof(struct std_gap_state),
	.process = std_gap_process,
};
