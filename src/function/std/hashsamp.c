/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * HASHSAMP: passes a share of the TCP and UDP flows, whole flows at a time: those whose hash over
 * the outer 5-tuple falls below a limit. On request it also keeps a record of each packet that
 * passes, which the client reads one by one.
 *
 * Both directions of a connection have one hash, so a sample holds whole connections. (Historically
 * each direction had its own.) Later fragments have no ports to tell their flow by and never pass,
 * nor do packets that end before their ports; first fragments have them, and pass with their flow.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "filter/filter.h"
#include "mapi/errors.h"
#include "mapi/hashsamp.h"
#include "std.h"
#include "std_private.h"
#include "wire/ring.h"

#define STD_HASHSAMP_RING_BYTES (64u << 10)
#define STD_HASHSAMP_PORTS_BYTES 4u
#define STD_HASHSAMP_LINKTYPE_ETHERNET 1u

_Static_assert(sizeof(struct sample) == 40, "public layout");
_Static_assert(offsetof(struct sample, timestamp) == 32, "public layout");

struct std_hashsamp_instance {
	uint32_t range;
	struct ring *ring; /* NULL: nothing is kept */
};

static int std_hashsamp_open(const struct function_open *open, struct error *err)
{
	struct std_hashsamp_instance *instance = open->instance;
	long long range = open->args[0].number;
	int r;

	if (range < 1 || range > (long long)DECODE_FLOW_PARTS)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
			"HASHSAMP: range %lld is not within 1 .. 1024; 1024 passes every flow",
			range);
	instance->range = (uint32_t)range;
	if (open->args[1].number == 0)
		return 0;

	r = ring_new(&instance->ring, STD_HASHSAMP_RING_BYTES, open->lossless);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return error_set(err, MFUNCT_COULD_NOT_INIT_FUNCT,
			"HASHSAMP: no memory to share with the program: %s", strerror(-r));
	return 0;
}

static void std_hashsamp_close(void *instance)
{
	struct std_hashsamp_instance *self = instance;

	self->ring = ring_free(self->ring);
}

/* Without a ring any split of the packets gives the same decisions. */
static enum function_order std_hashsamp_order_of(const void *instance)
{
	const struct std_hashsamp_instance *self = instance;

	return self->ring ? FUNCTION_ORDER : FUNCTION_FREE;
}

static bool std_hashsamp_passes(const struct function_call *call, unsigned int i, uint32_t range,
	struct decode_flow_key *ret_key)
{
	const struct decode_layers *outer = &call->decode->outer[i];
	struct decode_flow_key key;

	if (outer->l4_proto != IPPROTO_TCP && outer->l4_proto != IPPROTO_UDP)
		return false;
	if (outer->flags & DECODE_FRAGMENT_LATER || outer->l4_offset == DECODE_NONE ||
		outer->l3_end - outer->l4_offset < STD_HASHSAMP_PORTS_BYTES)
		return false;
	if (!decode_flow_key(call->batch, i, outer, &key))
		return false;
	key.src_port = outer->src_port; /* also of a first fragment */
	key.dst_port = outer->dst_port;
	if (decode_flow_part(&key) >= range)
		return false;
	*ret_key = key;
	return true;
}

/* The same, as far as programs of the kernel know headers (filter/flow.c). */
static int std_hashsamp_programs(const void *instance, uint32_t linktype,
	struct filter_program **ret_passes, struct filter_program **ret_unsure)
{
	const struct std_hashsamp_instance *self = instance;
	struct filter_program *passes;
	int r;

	if (linktype != STD_HASHSAMP_LINKTYPE_ETHERNET)
		return -ENOTSUP;
	r = filter_program_flow(&passes, self->range);
	if (r < 0)
		return r;
	r = filter_program_flow(ret_unsure, 0);
	if (r < 0)
		filter_program_free(passes);
	else
		*ret_passes = passes;
	return r;
}

static unsigned int std_hashsamp_tcp_flags(uint8_t header_flags)
{
	return (header_flags & 0x02 ? HASHSAMP_SYN : 0) | (header_flags & 0x10 ? HASHSAMP_ACK : 0) |
		(header_flags & 0x04 ? HASHSAMP_RST : 0) |
		(header_flags & 0x01 ? HASHSAMP_FIN : 0) | (header_flags & 0x08 ? HASHSAMP_PSH : 0);
}

static void std_hashsamp_record(const struct function_call *call, unsigned int i,
	const struct decode_flow_key *key, struct sample *ret)
{
	const struct packet_batch *batch = call->batch;
	uint32_t l4_offset = call->decode->outer[i].l4_offset;

	*ret = (struct sample){
		.sourceport = key->src_port,
		.destport = key->dst_port,
		.protocol = key->l4_proto,
		.timestamp = packet_ts_from_ns(batch->ts_ns[i]),
	};
	if (key->ip_version == 4) {
		ret->source_ip = buf_peek_be32(key->src + 12);
		ret->dest_ip = buf_peek_be32(key->dst + 12);
	}
	if (key->l4_proto == IPPROTO_TCP && l4_offset < batch->cap_bytes[i]) {
		struct buf b =
			buf_from(batch->data[i] + l4_offset, batch->cap_bytes[i] - l4_offset);

		(void)buf_take(&b, 4); /* ports */
		ret->sequence = buf_get_be32(&b);
		(void)buf_take(&b, 5); /* acknowledgement, header length */
		ret->tcp_flags = std_hashsamp_tcp_flags(buf_get_u8(&b));
	}
}

static void std_hashsamp_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	const struct std_hashsamp_instance *self = instance;
	struct packet_mask mine = std_selected(call, selection);

	packet_mask_for_each (i, &mine) {
		struct decode_flow_key key;
		struct sample record;

		if (!std_hashsamp_passes(call, i, self->range, &key)) {
			packet_mask_clear(selection, i);
			continue;
		}
		if (!self->ring)
			continue;
		std_hashsamp_record(call, i, &key, &record);
		/* A full or cancelled ring counts what it drops; the packets pass all the same. */
		(void)ring_write(self->ring, &record, sizeof(record), NULL, 0, call->error);
	}
}

/* The records travel through the ring; what is read beside it is an empty one. */
static void std_hashsamp_read(const void *instance, const void *state, void *ret_result)
{
	*(struct sample *)ret_result = (struct sample){ .protocol = 0 };
}

static void std_hashsamp_cancel(void *instance)
{
	struct std_hashsamp_instance *self = instance;

	if (self->ring)
		ring_cancel(self->ring);
}

static struct ring *std_hashsamp_ring(void *instance)
{
	struct std_hashsamp_instance *self = instance;

	return self->ring;
}

static const struct mapi_arg std_hashsamp_args[] = {
	{
		.name = "range",
		.type = MAPI_ARG_INT,
		.min = 1,
		.max = DECODE_FLOW_PARTS,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.help = "How many of 1024 parts of all flows pass.",
	},
	{
		.name = "keep",
		.type = MAPI_ARG_INT,
		.default_text = "0",
		.error_code = MFUNCT_INVALID_ARGUMENT_2,
		.help = "Not 0: keep a record of each packet that passes, to be read one by one.",
	},
};

#define STD_HASHSAMP_FIELD(name_, type_, member, unit_, help_)                                 \
	{                                                                                      \
		.name = name_, .type = type_, .offset_bytes = offsetof(struct sample, member), \
		.merge = MAPI_MERGE_LAST, .unit = unit_, .help = help_,                        \
	}

/* Documented: programs everywhere choose the same flows. */
static bool std_hashsamp_seed(const void *instance, uint64_t *seed)
{
	(void)instance;
	*seed = DECODE_FLOW_PARTS_SEED;
	return true;
}

static const struct mapi_field std_hashsamp_fields[] = {
	STD_HASHSAMP_FIELD("source_ip", MAPI_FIELD_IPV4, source_ip, "",
		"IPv4 source address; 0.0.0.0 for IPv6."),
	STD_HASHSAMP_FIELD("dest_ip", MAPI_FIELD_IPV4, dest_ip, "",
		"IPv4 destination address; 0.0.0.0 for IPv6."),
	STD_HASHSAMP_FIELD("source_port", MAPI_FIELD_U32, sourceport, "", "Source port."),
	STD_HASHSAMP_FIELD("dest_port", MAPI_FIELD_U32, destport, "", "Destination port."),
	STD_HASHSAMP_FIELD(
		"sequence", MAPI_FIELD_U32, sequence, "", "TCP sequence number; 0 for UDP."),
	STD_HASHSAMP_FIELD("tcp_flags", MAPI_FIELD_U32, tcp_flags, "",
		"Sum of SYN 1, ACK 2, RST 4, FIN 8, PSH 16; 0 for UDP."),
	STD_HASHSAMP_FIELD("protocol", MAPI_FIELD_U32, protocol, "", "6: TCP, 17: UDP."),
	STD_HASHSAMP_FIELD("timestamp", MAPI_FIELD_TS, timestamp, "", "Time of capture."),
};

const struct function std_hashsamp = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "HASHSAMP",
		.library = STD_LIBRARY,
		.help = "Passes a sample of the TCP and UDP flows, whole flows at a time.",
		.example = "HASHSAMP(100) | PKT_COUNTER",
		.args = std_hashsamp_args,
		.n_args = ARRAY_SIZE(std_hashsamp_args),
		.fields = std_hashsamp_fields,
		.n_fields = ARRAY_SIZE(std_hashsamp_fields),
		.result_bytes = sizeof(struct sample),
		.flags = MAPI_FUNCTION_FILTERS | MAPI_FUNCTION_BLOCKING,
	},
	.order = FUNCTION_ORDER,
	.wants_decode = true,
	.order_of = std_hashsamp_order_of,
	.live_bytes = STD_HASHSAMP_RING_BYTES,
	.instance_bytes = sizeof(struct std_hashsamp_instance),
	.open = std_hashsamp_open,
	.close = std_hashsamp_close,
	.process = std_hashsamp_process,
	.programs = std_hashsamp_programs,
	.seed = std_hashsamp_seed,
	.read = std_hashsamp_read,
	.cancel = std_hashsamp_cancel,
	.ring = std_hashsamp_ring,
};
