/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PKTINFO: one property of the last packet. Its use is as a source: STATS(PKTINFO(PKT_SIZE)) is the
 * distribution of packet sizes.
 */
#include "base/cleanup.h"
#include "mapi/errors.h"
#include "mapi/pktinfo.h"
#include "std.h"
#include "std_private.h"

struct std_pktinfo_instance {
	enum pktinfo what;
};

struct std_pktinfo_state {
	uint64_t value;
};

static int std_pktinfo_open(const struct function_open *open, struct error *err)
{
	struct std_pktinfo_instance *instance = open->instance;

	switch (open->args[0].number) {
	case PKT_TS:
	case PKT_SIZE:
		instance->what = (enum pktinfo)open->args[0].number;
		return 0;
	}
	return error_set(err, MFUNCT_INVALID_ARGUMENT_2,
		"PKTINFO: %lld is no property of a packet; use PKT_TS (0) or PKT_SIZE (1)",
		open->args[0].number);
}

static uint64_t std_pktinfo_value(
	enum pktinfo what, const struct packet_batch *batch, unsigned int i)
{
	switch (what) {
	case PKT_TS:
		return packet_ts_from_ns(batch->ts_ns[i]);
	case PKT_SIZE:
		return batch->wire_bytes[i];
	}
	return 0;
}

static void std_pktinfo_fill(const struct function_call *call, enum pktinfo what, uint64_t value,
	const struct packet_mask *selection)
{
	for (unsigned int i = call->first; i < call->first + call->n; i++) {
		if (packet_mask_test(selection, i))
			value = std_pktinfo_value(what, call->batch, i);
		call->column[i] = value;
	}
}

static void std_pktinfo_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	const struct std_pktinfo_instance *self = instance;
	struct std_pktinfo_state *s = state;
	struct packet_mask mine = std_selected(call, selection);
	unsigned int last = std_last(&mine);

	if (call->column)
		std_pktinfo_fill(call, self->what, s->value, selection);
	if (last < PACKET_BATCH_MAX)
		s->value = std_pktinfo_value(self->what, call->batch, last);
}

static const struct mapi_choice std_pktinfo_choices[] = {
	{ .name = "PKT_TS", .value = PKT_TS },
	{ .name = "PKT_SIZE", .value = PKT_SIZE },
};

static const struct mapi_arg std_pktinfo_args[] = {
	{
		.name = "property",
		.type = MAPI_ARG_INT,
		.min = PKT_TS,
		.max = PKT_SIZE,
		.error_code = MFUNCT_INVALID_ARGUMENT_2, /* historical, for the only argument */
		.choices = std_pktinfo_choices,
		.n_choices = ARRAY_SIZE(std_pktinfo_choices),
		.help = "PKT_TS: time of capture (32.32 fixed point seconds); PKT_SIZE: bytes on "
			"the wire.",
	},
};

static const struct mapi_field std_pktinfo_fields[] = {
	{
		.name = "value",
		.type = MAPI_FIELD_U64,
		.offset_bytes = offsetof(struct std_pktinfo_state, value),
		.merge = MAPI_MERGE_LAST,
		.unit = "",
		.help = "The property of the last packet that reached the function.",
	},
};

/* ORDER, because "the last packet" needs a place in the order, which the packets of a FREE function
 * do not have yet. */
const struct function std_pktinfo = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "PKTINFO",
		.library = STD_LIBRARY,
		.help = "Gives the time or the size of the last packet.",
		.example = "PKTINFO(size)",
		.args = std_pktinfo_args,
		.n_args = ARRAY_SIZE(std_pktinfo_args),
		.fields = std_pktinfo_fields,
		.n_fields = ARRAY_SIZE(std_pktinfo_fields),
		.result_bytes = sizeof(uint64_t),
		.flags = MAPI_FUNCTION_REFERABLE,
	},
	.order = FUNCTION_ORDER,
	.instance_bytes = sizeof(struct std_pktinfo_instance),
	.state_bytes = sizeof(struct std_pktinfo_state),
	.open = std_pktinfo_open,
	.process = std_pktinfo_process,
};
