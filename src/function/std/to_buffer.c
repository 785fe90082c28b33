/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TO_BUFFER: hands the packets to the client, through a ring that it maps. The records are struct
 * mapipkt of mapi.h: a head of 20 bytes, then the captured bytes. WAIT and NOWAIT concern the
 * reader only: whether mapi_get_next_pkt() sleeps on an empty ring.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "mapi/errors.h"
#include "std.h"
#include "std_private.h"
#include "wire/ring.h"

#define STD_TO_BUFFER_RING_BYTES (2u << 20)

enum std_to_buffer_mode { STD_TO_BUFFER_MODE_WAIT, STD_TO_BUFFER_MODE_NOWAIT };

/* struct mapipkt without the packet's bytes, which follow it in the record at offset 20. */
struct std_to_buffer_head {
	uint64_t ts;
	uint16_t ifindex;
	uint16_t reserved;
	uint32_t cap_bytes;
	uint32_t wire_bytes;
	uint32_t data; /* first bytes of the packet, written with the tail */
};

#define STD_TO_BUFFER_HEAD_BYTES offsetof(struct std_to_buffer_head, data)

_Static_assert(offsetof(struct std_to_buffer_head, ifindex) == 8, "public layout");
_Static_assert(offsetof(struct std_to_buffer_head, cap_bytes) == 12, "public layout");
_Static_assert(offsetof(struct std_to_buffer_head, wire_bytes) == 16, "public layout");
_Static_assert(STD_TO_BUFFER_HEAD_BYTES == 20, "public layout");

/* So that ring_write() never refuses a packet for its size. */
_Static_assert(STD_TO_BUFFER_HEAD_BYTES + PACKET_CAP_BYTES_MAX <= RING_RECORD_BYTES_MAX, "fits");
_Static_assert(
	STD_TO_BUFFER_HEAD_BYTES + PACKET_CAP_BYTES_MAX <= STD_TO_BUFFER_RING_BYTES / 2, "fits");

struct std_to_buffer_instance {
	bool no_wait;
	struct ring *ring;
};

static int std_to_buffer_open(const struct function_open *open, struct error *err)
{
	struct std_to_buffer_instance *instance = open->instance;
	long long mode = open->args[0].number;
	int r;

	if (mode != STD_TO_BUFFER_MODE_WAIT && mode != STD_TO_BUFFER_MODE_NOWAIT)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
			"TO_BUFFER: %lld is no mode; use WAIT (0) or NOWAIT (1)", mode);
	instance->no_wait = mode == STD_TO_BUFFER_MODE_NOWAIT;
	r = ring_new(&instance->ring, STD_TO_BUFFER_RING_BYTES, open->lossless);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return error_set(err, MFUNCT_COULD_NOT_INIT_FUNCT,
			"TO_BUFFER: no memory to share with the program: %s", strerror(-r));
	return 0;
}

static void std_to_buffer_close(void *instance)
{
	struct std_to_buffer_instance *self = instance;

	self->ring = ring_free(self->ring);
}

static void std_to_buffer_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	const struct std_to_buffer_instance *self = instance;
	const struct packet_batch *batch = call->batch;
	struct packet_mask mine = std_selected(call, selection);

	packet_mask_for_each (i, &mine) {
		struct std_to_buffer_head head = {
			.ts = packet_ts_from_ns(batch->ts_ns[i]),
			.ifindex = batch->ifindex[i],
			.cap_bytes = batch->cap_bytes[i],
			.wire_bytes = batch->wire_bytes[i],
		};
		int r = ring_write(self->ring, &head, STD_TO_BUFFER_HEAD_BYTES, batch->data[i],
			batch->cap_bytes[i], call->error);

		/* Drops are counted in the ring. After a failure or a cancellation the flow is at
		 * its end. */
		if (r < 0 || r == RING_E_CANCELLED)
			return;
	}
}

static void std_to_buffer_cancel(void *instance)
{
	struct std_to_buffer_instance *self = instance;

	ring_cancel(self->ring);
}

static struct ring *std_to_buffer_ring(void *instance)
{
	struct std_to_buffer_instance *self = instance;

	return self->ring;
}

static bool std_to_buffer_no_wait(const void *instance)
{
	const struct std_to_buffer_instance *self = instance;

	return self->no_wait;
}

static const struct mapi_choice std_to_buffer_choices[] = {
	{ .name = "WAIT", .value = STD_TO_BUFFER_MODE_WAIT },
	{ .name = "NOWAIT", .value = STD_TO_BUFFER_MODE_NOWAIT },
};

static const struct mapi_arg std_to_buffer_args[] = {
	{
		.name = "wait",
		.type = MAPI_ARG_INT,
		.default_text = "WAIT",
		.min = STD_TO_BUFFER_MODE_WAIT,
		.max = STD_TO_BUFFER_MODE_NOWAIT,
		.legacy_optional = true,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.choices = std_to_buffer_choices,
		.n_choices = ARRAY_SIZE(std_to_buffer_choices),
		.help = "WAIT: reading waits for the next packet; NOWAIT: it returns at once.",
	},
};

const struct function std_to_buffer = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "TO_BUFFER",
		.library = STD_LIBRARY,
		.help = "Hands the packets to the program.",
		.example = "TO_BUFFER",
		.args = std_to_buffer_args,
		.n_args = ARRAY_SIZE(std_to_buffer_args),
		.flags = MAPI_FUNCTION_PACKETS,
	},
	.order = FUNCTION_ORDER,
	.live_bytes = STD_TO_BUFFER_RING_BYTES,
	.instance_bytes = sizeof(struct std_to_buffer_instance),
	.open = std_to_buffer_open,
	.close = std_to_buffer_close,
	.process = std_to_buffer_process,
	.cancel = std_to_buffer_cancel,
	.ring = std_to_buffer_ring,
	.no_wait = std_to_buffer_no_wait,
};
