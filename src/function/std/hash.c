/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HASH: a checksum of the last packet, or of what its headers carry: (length + sum of the bytes)
 * mod 500009. Weak and historical; programs compare its numbers.
 */
#include "base/cleanup.h"
#include "mapi/errors.h"
#include "std.h"
#include "std_private.h"

#define STD_HASH_MODULUS 500009u

enum std_hash_layer {
	STD_HASH_LAYER_PACKET,
	STD_HASH_LAYER_LINK_PAYLOAD,
	STD_HASH_LAYER_IP_PAYLOAD,
	STD_HASH_LAYER_TRANSPORT_PAYLOAD,
	_STD_HASH_LAYER_N
};

struct std_hash_instance {
	enum std_hash_layer layer;
};

struct std_hash_state {
	uint32_t value;
};

static int std_hash_open(const struct function_open *open, struct error *err)
{
	struct std_hash_instance *instance = open->instance;

	if (open->args[0].number < 0 || open->args[0].number >= _STD_HASH_LAYER_N)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
			"HASH: there is no layer %lld; use 0 (whole packet), 1 (after the link "
			"layer), "
			"2 (IP payload) or 3 (transport payload)",
			open->args[0].number);
	instance->layer = (enum std_hash_layer)open->args[0].number;
	return 0;
}

/* Captured bytes only. A packet without the layer is hashed as zero bytes: its value is 0. */
static uint32_t std_hash_value(
	enum std_hash_layer layer, const struct function_call *call, unsigned int i)
{
	const struct packet_batch *batch = call->batch;
	const struct decode_layers *outer = &call->decode->outer[i];
	uint32_t begin = 0, end = batch->cap_bytes[i];
	uint64_t sum;

	switch (layer) {
	case STD_HASH_LAYER_PACKET:
		break;
	case STD_HASH_LAYER_LINK_PAYLOAD:
		begin = call->decode->l2_end[i];
		break;
	case STD_HASH_LAYER_IP_PAYLOAD:
	case STD_HASH_LAYER_TRANSPORT_PAYLOAD:
		if (outer->l3_offset == DECODE_NONE)
			return 0;
		begin = layer == STD_HASH_LAYER_IP_PAYLOAD ? outer->l4_offset
							   : outer->payload_offset;
		end = MIN(end, outer->l3_end);
		break;
	case _STD_HASH_LAYER_N:
		return 0;
	}
	if (begin >= end) /* DECODE_NONE is beyond every end */
		return 0;

	sum = end - begin;
	for (uint32_t b = begin; b < end; b++)
		sum += batch->data[i][b];
	return (uint32_t)(sum % STD_HASH_MODULUS);
}

static void std_hash_fill(const struct function_call *call, enum std_hash_layer layer,
	uint32_t value, const struct packet_mask *selection)
{
	for (unsigned int i = call->first; i < call->first + call->n; i++) {
		if (packet_mask_test(selection, i))
			value = std_hash_value(layer, call, i);
		call->column[i] = value;
	}
}

static void std_hash_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	const struct std_hash_instance *self = instance;
	struct std_hash_state *s = state;
	struct packet_mask mine = std_selected(call, selection);
	unsigned int last = std_last(&mine);

	if (call->column)
		std_hash_fill(call, self->layer, s->value, selection);
	if (last < PACKET_BATCH_MAX)
		s->value = std_hash_value(self->layer, call, last);
}

static const struct mapi_arg std_hash_args[] = {
	{
		.name = "layer",
		.type = MAPI_ARG_INT,
		.min = 0,
		.max = _STD_HASH_LAYER_N - 1,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.help = "0: whole packet, 1: after the link layer, 2: IP payload, 3: transport "
			"payload.",
	},
};

static const struct mapi_field std_hash_fields[] = {
	{
		.name = "hash",
		.type = MAPI_FIELD_U32,
		.offset_bytes = offsetof(struct std_hash_state, value),
		.merge = MAPI_MERGE_LAST,
		.unit = "",
		.help = "Hash of the last packet that reached the function.",
	},
};

/* ORDER for the reason given in pktinfo.c. */
const struct function std_hash = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "HASH",
		.library = STD_LIBRARY,
		.help = "Hashes the last packet, or one layer of it.",
		.example = "HASH(1)",
		.args = std_hash_args,
		.n_args = ARRAY_SIZE(std_hash_args),
		.fields = std_hash_fields,
		.n_fields = ARRAY_SIZE(std_hash_fields),
		.result_bytes = sizeof(uint32_t),
		.flags = MAPI_FUNCTION_REFERABLE,
	},
	.order = FUNCTION_ORDER,
	.wants_decode = true,
	.instance_bytes = sizeof(struct std_hash_instance),
	.state_bytes = sizeof(struct std_hash_state),
	.open = std_hash_open,
	.process = std_hash_process,
};
