/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TOP: the values of a header field that come most often, such as addresses or ports. The counting
 * is in top_table.c; here are the arguments, the fields and the historical result.
 *
 * Intervals follow the time of the device (semantics T1), as the periods of STATS do: the first one
 * begins with the first packet, and when one ends another begins, with nothing counted.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "extra.h"
#include "mapi.h"
#include "mapi/errors.h"
#include "mapi/topx.h"
#include "top_private.h"

_Static_assert(sizeof(struct topx_result) == 48, "public layout");
_Static_assert(offsetof(struct topx_result, addr6) == 4, "public layout");
_Static_assert(offsetof(struct topx_result, family) == 20, "public layout");
_Static_assert(offsetof(struct topx_result, count) == 24, "public layout");
_Static_assert(offsetof(struct topx_result, bytecount) == 32, "public layout");
_Static_assert(offsetof(struct topx_result, last_rst_secs) == 40, "public layout");

#define EXTRA_TOP_NS_PER_S 1000000000u
#define EXTRA_TOP_FIRST sizeof(unsigned int) /* offset of the first record */

/* Where a field stands in its header; 0 bytes: that version of IP has no such field. */
struct extra_top_place {
	uint8_t offset;
	uint8_t bytes;
};

/* @v4, @v6: in the IP header; TCP and UDP: both in the transport header */
struct extra_top_field {
	uint8_t protocol;
	struct extra_top_place v4, v6;
};

static const struct extra_top_field extra_top_fields[] = {
	[TOPX_IP_TOS] = { TOPX_IP, { 1, 1 }, { 0, 2 } },
	[TOPX_IP_LENGTH] = { TOPX_IP, { 2, 2 }, { 4, 2 } },
	[TOPX_IP_ID] = { TOPX_IP, { 4, 2 }, { 0, 0 } },
	[TOPX_IP_OFFSET] = { TOPX_IP, { 6, 2 }, { 0, 0 } },
	[TOPX_IP_TTL] = { TOPX_IP, { 8, 1 }, { 7, 1 } },
	[TOPX_IP_PROTOCOL] = { TOPX_IP, { 9, 1 }, { 6, 1 } },
	[TOPX_IP_CHECKSUM] = { TOPX_IP, { 10, 2 }, { 0, 0 } },
	[TOPX_IP_SRCIP] = { TOPX_IP, { 12, 4 }, { 8, 16 } },
	[TOPX_IP_DSTIP] = { TOPX_IP, { 16, 4 }, { 24, 16 } },
	[TOPX_TCP_SRCPORT] = { TOPX_TCP, { 0, 2 }, { 0, 2 } },
	[TOPX_TCP_DSTPORT] = { TOPX_TCP, { 2, 2 }, { 2, 2 } },
	[TOPX_TCP_SEQ] = { TOPX_TCP, { 4, 4 }, { 4, 4 } },
	[TOPX_TCP_ACK] = { TOPX_TCP, { 8, 4 }, { 8, 4 } },
	[TOPX_TCP_FLAGS] = { TOPX_TCP, { 13, 1 }, { 13, 1 } },
	[TOPX_TCP_WIN] = { TOPX_TCP, { 14, 2 }, { 14, 2 } },
	[TOPX_TCP_CRC] = { TOPX_TCP, { 16, 2 }, { 16, 2 } },
	[TOPX_TCP_URGENT] = { TOPX_TCP, { 18, 2 }, { 18, 2 } },
	[TOPX_UDP_SRCPORT] = { TOPX_UDP, { 0, 2 }, { 0, 2 } },
	[TOPX_UDP_DSTPORT] = { TOPX_UDP, { 2, 2 }, { 2, 2 } },
	[TOPX_UDP_LENGTH] = { TOPX_UDP, { 4, 2 }, { 4, 2 } },
	[TOPX_UDP_CHECKSUM] = { TOPX_UDP, { 6, 2 }, { 6, 2 } },
};

struct extra_top_instance {
	uint32_t x;
	enum topx_field field;
	uint64_t interval_ns; /* 0: counting never begins anew */
	struct top_table *table;
};

struct extra_top_state {
	bool begun;
	uint64_t begin_ns;
};

static int extra_top_open(const struct function_open *open, struct error *err)
{
	struct extra_top_instance *instance = open->instance;
	long long x = open->args[0].number, protocol = open->args[1].number;
	long long field = open->args[2].number, interval_s = open->args[4].number;

	if (x > TOPX_MAX_X)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
			"TOP: %lld are more than the %d values that it can give", x, TOPX_MAX_X);
	if (protocol != TOPX_IP && protocol != TOPX_TCP && protocol != TOPX_UDP)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_2,
			"TOP: %lld is no protocol; use TOPX_IP (1), TOPX_TCP (2) or TOPX_UDP (3)",
			protocol);
	if (field < 0 || field >= (long long)ARRAY_SIZE(extra_top_fields) ||
		extra_top_fields[field].protocol != protocol)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_3,
			"TOP: %lld is no field of this protocol; IP has 1 to 9, TCP 10 to 17, UDP "
			"18 to 21",
			field);
	instance->x = (uint32_t)MAX(x, 1);
	instance->field = (enum topx_field)field;
	instance->interval_ns = interval_s > 0 ? (uint64_t)interval_s * EXTRA_TOP_NS_PER_S : 0;
	return top_table_new(&instance->table, TOP_CAPACITY, instance->x,
		open->args[3].number == SORT_BY_BYTES, open->seed);
}

static void extra_top_close(void *instance)
{
	struct extra_top_instance *self = instance;

	self->table = top_table_free(self->table);
}

static void extra_top_init(const void *instance, void *state)
{
	const struct extra_top_instance *self = instance;

	top_table_clear(self->table);
}

/* ---- fields ---- */

/* The header that holds the field. Return: its first byte, NULL if it is not there; @ret_bytes: how
 * many may be read. */
static const uint8_t *extra_top_header(const struct extra_top_instance *self,
	const struct function_call *call, unsigned int i, uint32_t *ret_bytes)
{
	const struct decode_layers *outer = &call->decode->outer[i];
	uint32_t end = call->batch->cap_bytes[i], begin = outer->l3_offset;
	unsigned int protocol = extra_top_fields[self->field].protocol;

	if (protocol != TOPX_IP) {
		if (outer->l4_proto != (protocol == TOPX_TCP ? IPPROTO_TCP : IPPROTO_UDP) ||
			(outer->flags & DECODE_FRAGMENT_LATER))
			return NULL;
		begin = outer->l4_offset;
		end = MIN(end, outer->l3_end);
	}
	if (outer->ip_version == 0 || begin >= end) /* DECODE_NONE is beyond every end */
		return NULL;
	*ret_bytes = end - begin;
	return call->batch->data[i] + begin;
}

/* What a field of IPv6 is not called by itself, as IPv4 has it. */
static uint32_t extra_top_translate(
	enum topx_field field, uint32_t value, const struct decode_layers *outer)
{
	switch (field) {
	case TOPX_IP_TOS: /* the traffic class lies across two bytes */
		return value >> 4 & 0xff;
	case TOPX_IP_LENGTH: /* IPv6 does not count its header */
		return value + 40;
	case TOPX_IP_PROTOCOL: /* behind the extension headers */
		return outer->l4_proto;
	default:
		return value;
	}
}

static bool extra_top_key(const struct extra_top_instance *self, const struct function_call *call,
	unsigned int i, struct top_key *ret)
{
	const struct extra_top_field *field = &extra_top_fields[self->field];
	const struct decode_layers *outer = &call->decode->outer[i];
	struct extra_top_place place = outer->ip_version == 6 ? field->v6 : field->v4;
	uint32_t n_bytes = 0, value = 0;
	const uint8_t *header = extra_top_header(self, call, i, &n_bytes);

	if (!header || place.bytes == 0 || (uint32_t)place.offset + place.bytes > n_bytes)
		return false;
	*ret = (struct top_key){ .family = 0 };
	if (self->field == TOPX_IP_SRCIP || self->field == TOPX_IP_DSTIP) {
		ret->family = outer->ip_version == 6 ? AF_INET6 : AF_INET;
		memcpy(ret->bytes, header + place.offset, place.bytes);
		return true;
	}
	for (unsigned int b = 0; b < place.bytes; b++)
		value = value << 8 | header[place.offset + b];
	if (outer->ip_version == 6)
		value = extra_top_translate(self->field, value, outer);
	value = htobe32(value);
	memcpy(ret->bytes, &value, sizeof(value));
	return true;
}

/* ---- packets ---- */

static uint64_t extra_top_tick(
	const struct function_call *call, void *instance, void *state, uint64_t now_ns)
{
	const struct extra_top_instance *self = instance;
	struct extra_top_state *s = state;
	uint64_t end_ns;

	if (!s->begun) {
		s->begun = true;
		s->begin_ns = now_ns;
	} else {
		s->begin_ns += (now_ns - s->begin_ns) / self->interval_ns * self->interval_ns;
		top_table_clear(self->table);
	}
	if (!self->interval_ns || __builtin_add_overflow(s->begin_ns, self->interval_ns, &end_ns))
		return UINT64_MAX;
	return end_ns;
}

static void extra_top_step(const void *instance, void *state, int64_t by_ns)
{
	struct extra_top_state *s = state;

	s->begin_ns = function_moment(s->begin_ns, by_ns);
}

static void extra_top_process(const struct function_call *call, void *instance, void *state,
	struct packet_mask *selection)
{
	const struct extra_top_instance *self = instance;
	const struct packet_batch *batch = call->batch;

	for (unsigned int i = call->first; i < call->first + call->n; i++) {
		struct top_key key;

		if (!packet_mask_test(selection, i) || !extra_top_key(self, call, i, &key))
			continue;
		if (batch->is_live)
			top_table_add(self->table, &key, MAX(batch->wire_pkts[i], 1u),
				batch->all_wire_bytes[i]);
		else
			top_table_add(self->table, &key, 1, batch->wire_bytes[i]);
	}
}

static void extra_top_read(const void *instance, const void *state, void *ret_result)
{
	const struct extra_top_instance *self = instance;
	const struct extra_top_state *s = state;
	uint32_t begin_us = (uint32_t)(s->begin_ns / 1000), n;
	struct top_count counts[TOPX_MAX_X];
	unsigned char *at = ret_result;

	n = top_table_largest(self->table, counts);
	memcpy(at, &n, sizeof(n));
	at += EXTRA_TOP_FIRST;
	for (uint32_t i = 0; i < self->x; i++, at += sizeof(struct topx_result)) {
		struct topx_result record;

		memset(&record, 0, sizeof(record)); /* also what lies between the members */
		if (i < n) {
			record.family = (sa_family_t)counts[i].key.family;
			record.count = (unsigned int)MIN(counts[i].pkts, UINT32_MAX);
			record.bytecount = counts[i].bytes;
			record.last_rst_secs = begin_us;
			if (record.family == AF_INET6)
				memcpy(&record.addr6, counts[i].key.bytes, sizeof(record.addr6));
			else if (record.family == AF_INET)
				memcpy(&record.value, counts[i].key.bytes, sizeof(record.value));
			else
				record.value = buf_peek_be32(counts[i].key.bytes);
		}
		memcpy(at, &record, sizeof(record));
	}
}

static void extra_top_lost(const void *instance, const void *state, uint64_t lost_pkts[])
{
	const struct extra_top_instance *self = instance;

	lost_pkts[MAPI_LOSS_TABLE] += top_table_lost_pkts(self->table);
}

/* ---- description ---- */

static const struct mapi_choice extra_top_protocols[] = {
	{ .name = "TOPX_IP", .value = TOPX_IP },
	{ .name = "TOPX_TCP", .value = TOPX_TCP },
	{ .name = "TOPX_UDP", .value = TOPX_UDP },
};

#define EXTRA_TOP_CHOICE(field)                 \
	{                                       \
		.name = #field, .value = field, \
	}

static const struct mapi_choice extra_top_field_choices[] = {
	EXTRA_TOP_CHOICE(TOPX_IP_TOS),
	EXTRA_TOP_CHOICE(TOPX_IP_LENGTH),
	EXTRA_TOP_CHOICE(TOPX_IP_ID),
	EXTRA_TOP_CHOICE(TOPX_IP_OFFSET),
	EXTRA_TOP_CHOICE(TOPX_IP_TTL),
	EXTRA_TOP_CHOICE(TOPX_IP_PROTOCOL),
	EXTRA_TOP_CHOICE(TOPX_IP_CHECKSUM),
	EXTRA_TOP_CHOICE(TOPX_IP_SRCIP),
	EXTRA_TOP_CHOICE(TOPX_IP_DSTIP),
	EXTRA_TOP_CHOICE(TOPX_TCP_SRCPORT),
	EXTRA_TOP_CHOICE(TOPX_TCP_DSTPORT),
	EXTRA_TOP_CHOICE(TOPX_TCP_SEQ),
	EXTRA_TOP_CHOICE(TOPX_TCP_ACK),
	EXTRA_TOP_CHOICE(TOPX_TCP_FLAGS),
	EXTRA_TOP_CHOICE(TOPX_TCP_WIN),
	EXTRA_TOP_CHOICE(TOPX_TCP_CRC),
	EXTRA_TOP_CHOICE(TOPX_TCP_URGENT),
	EXTRA_TOP_CHOICE(TOPX_UDP_SRCPORT),
	EXTRA_TOP_CHOICE(TOPX_UDP_DSTPORT),
	EXTRA_TOP_CHOICE(TOPX_UDP_LENGTH),
	EXTRA_TOP_CHOICE(TOPX_UDP_CHECKSUM),
};

static const struct mapi_choice extra_top_sorts[] = {
	{ .name = "SORT_BY_PACKETS", .value = SORT_BY_PACKETS },
	{ .name = "SORT_BY_BYTES", .value = SORT_BY_BYTES },
};

static const struct mapi_arg extra_top_args[] = {
	{
		.name = "x",
		.type = MAPI_ARG_INT,
		.error_code = MFUNCT_INVALID_ARGUMENT_1,
		.help = "How many values, at most 1000; below 1 counts as 1.",
	},
	{
		.name = "protocol",
		.type = MAPI_ARG_INT,
		.error_code = MFUNCT_INVALID_ARGUMENT_2,
		.choices = extra_top_protocols,
		.n_choices = ARRAY_SIZE(extra_top_protocols),
		.help = "The protocol that has the field.",
	},
	{
		.name = "field",
		.type = MAPI_ARG_INT,
		.error_code = MFUNCT_INVALID_ARGUMENT_3,
		.choices = extra_top_field_choices,
		.n_choices = ARRAY_SIZE(extra_top_field_choices),
		.help = "The field of the header.",
	},
	{
		.name = "sort_by",
		.type = MAPI_ARG_INT,
		.default_text = "1",
		.error_code = MFUNCT_INVALID_ARGUMENT_4,
		.choices = extra_top_sorts,
		.n_choices = ARRAY_SIZE(extra_top_sorts),
		.help = "What makes a value come first; anything else counts as SORT_BY_PACKETS.",
	},
	{
		.name = "reset_interval",
		.type = MAPI_ARG_INT,
		.default_text = "0",
		.error_code = MFUNCT_INVALID_ARGUMENT_5,
		.help = "Seconds after which counting begins anew; 0: never.",
	},
};

#define EXTRA_TOP_FIELD(name_, type_, member, merge_, unit_, help_)                     \
	{                                                                               \
		.name = name_, .type = type_,                                           \
		.offset_bytes = EXTRA_TOP_FIRST + offsetof(struct topx_result, member), \
		.merge = merge_, .unit = unit_, .help = help_,                          \
	}

static const struct mapi_field extra_top_result[] = {
	EXTRA_TOP_FIELD("value", MAPI_FIELD_KEY, value, MAPI_MERGE_LAST, "",
		"The value: a number or an address."),
	EXTRA_TOP_FIELD("pkts", MAPI_FIELD_U32, count, MAPI_MERGE_SUM, "packets",
		"Packets with that value."),
	EXTRA_TOP_FIELD("bytes", MAPI_FIELD_U64, bytecount, MAPI_MERGE_SUM, "bytes",
		"Their bytes on the wire."),
};

const struct function extra_top = {
	.abi = FUNCTION_ABI,
	.struct_bytes = sizeof(struct function),
	.desc = {
		.name = "TOP",
		.library = EXTRA_LIBRARY,
		.help = "Gives the values of a header field that come most often.",
		.example = "TOP(10, tcp, tcp_dstport)",
		.args = extra_top_args,
		.n_args = ARRAY_SIZE(extra_top_args),
		.fields = extra_top_result,
		.n_fields = ARRAY_SIZE(extra_top_result),
		.result_bytes = EXTRA_TOP_FIRST + TOPX_MAX_X * sizeof(struct topx_result),
		.flags = MAPI_FUNCTION_COUNTED,
		.record_bytes = sizeof(struct topx_result),
		.list_offset_bytes = EXTRA_TOP_FIRST,
	},
	.order = FUNCTION_ORDER,
	.wants_decode = true,
	.live_bytes = TOP_LIVE_BYTES,
	.instance_bytes = sizeof(struct extra_top_instance),
	.state_bytes = sizeof(struct extra_top_state),
	.open = extra_top_open,
	.close = extra_top_close,
	.process = extra_top_process,
	.tick = extra_top_tick,
	.step = extra_top_step,
	.init = extra_top_init,
	.read = extra_top_read,
	.lost = extra_top_lost,
};
