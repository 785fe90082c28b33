/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CUT: later functions see only the first bytes of each packet, as if the capture had been made
 * with that snapshot length. A transform: it opens a child domain (semantics O4). The bytes stay
 * where they are; only the captured length shrinks.
 */
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "mapi/errors.h"
#include "std.h"

struct std_cut_instance {
	uint32_t bytes;
};

static int std_cut_open(const struct function_open *open, struct error *err)
{
	struct std_cut_instance *instance = open->instance;

	if (open->args[0].number < 1)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
			"CUT: %lld is no length; keep at least 1 byte", open->args[0].number);
	instance->bytes = (uint32_t)MIN(open->args[0].number, (long long)PACKET_CAP_BYTES_MAX);
	return 0;
}

static void std_cut_transform(const struct function_call *call, const void *instance, void *memory,
	struct packet_batch *ret)
{
	const struct std_cut_instance *self = instance;
	const struct packet_batch *batch = call->batch;

	ret->n = batch->n;
	ret->linktype = batch->linktype;
	ret->first_no = batch->first_no;
	memcpy(ret->data, batch->data, batch->n * sizeof(batch->data[0]));
	memcpy(ret->wire_bytes, batch->wire_bytes, batch->n * sizeof(batch->wire_bytes[0]));
	memcpy(ret->ts_ns, batch->ts_ns, batch->n * sizeof(batch->ts_ns[0]));
	memcpy(ret->ifindex, batch->ifindex, batch->n * sizeof(batch->ifindex[0]));
	for (unsigned int i = 0; i < batch->n; i++)
		ret->cap_bytes[i] = MIN(batch->cap_bytes[i], self->bytes);
	ret->is_live = batch->is_live;
	ret->has_super = batch->has_super;
	if (!batch->is_live)
		return;
	memcpy(ret->flags, batch->flags, batch->n * sizeof(batch->flags[0]));
	memcpy(ret->wire_pkts, batch->wire_pkts, batch->n * sizeof(batch->wire_pkts[0]));
	memcpy(ret->all_wire_bytes, batch->all_wire_bytes,
		batch->n * sizeof(batch->all_wire_bytes[0]));
}

static const struct mapi_arg std_cut_args[] = {
	{
		.name = "bytes",
		.type = MAPI_ARG_INT,
		.min = 1,
		.max = INT_MAX,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.help = "How many bytes of each packet are kept.",
	},
};

const struct function std_cut = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "CUT",
		.library = STD_LIBRARY,
		.help = "Keeps the first bytes of each packet, and its length on the wire.",
		.example = "CUT(64) | TO_FILE(pcap, /dev/null)",
		.args = std_cut_args,
		.n_args = ARRAY_SIZE(std_cut_args),
		.flags = MAPI_FUNCTION_TRANSFORMS,
	},
	.order = FUNCTION_FREE,
	.instance_bytes = sizeof(struct std_cut_instance),
	.open = std_cut_open,
	.transform = std_cut_transform,
};
