/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder's entry: a batch in, columns out. The plain TCP or UDP packet in IPv4 in Ethernet,
 * most of all traffic, is decoded here in one go; everything else takes the walk
 * (decode_private.h). Both give the same columns.
 */
#include "packet/decode.h"

#include <stddef.h>

#include "base/cleanup.h"
#include "decode_private.h"

/* How far ahead packet headers are fetched: memory takes about as long as decoding this many. */
#define DECODE_AHEAD_PKTS 8

static void decode_packet(decode_step *link, const uint8_t *data, uint32_t cap_bytes,
	struct decode_columns *ret, unsigned int i)
{
	struct decode_walk w = { .data = data, .end = cap_bytes };
	struct decode_layers inner;
	bool whole = link && link(&w) && decode_tags(&w);

	if (!whole)
		w.ethertype = DECODE_TYPE_UNKNOWN;
	ret->l2_end[i] = whole ? w.at : DECODE_NONE;
	ret->ethertype[i] = w.ethertype;
	ret->vlan_tci[i] = w.vlan_tci;
	ret->n_vlans[i] = w.n_vlans;
	decode_network(&w, &ret->outer[i]);
	if (link && !whole)
		ret->outer[i].flags |= DECODE_CUT;
	ret->inner[i] = ret->outer[i];
	for (unsigned int n = 0; n < DECODE_TUNNELS_MAX; n++) {
		if (!decode_tunnel(&w, &ret->inner[i]) || !decode_tags(&w) ||
			!decode_network(&w, &inner))
			break;
		ret->inner[i] = inner;
	}
}

/* Return: false if the packet is not of the plain kind; nothing is written then. */
static inline bool decode_plain(
	const uint8_t *data, uint32_t cap_bytes, struct decode_columns *ret, unsigned int i)
{
	const uint32_t l3 = 14, l4 = 34;
	uint32_t end, payload;
	uint16_t total_bytes, src_port, dst_port;

	if (cap_bytes < l4 + 8 || buf_peek_be16(data + 12) != DECODE_TYPE_IPV4 ||
		data[l3] != 0x45 || buf_peek_be16(data + l3 + 6) & 0x3fff)
		return false;
	total_bytes = buf_peek_be16(data + l3 + 2);
	end = MIN(cap_bytes, l3 + total_bytes);
	src_port = buf_peek_be16(data + l4);
	dst_port = buf_peek_be16(data + l4 + 2);
	if (data[l3 + 9] == DECODE_IP_TCP) {
		if (end < l4 + 20)
			return false;
		payload = l4 + (data[l4 + 12] >> 4) * 4u;
		if (payload < l4 + 20 || payload > end)
			return false;
	} else if (data[l3 + 9] == DECODE_IP_UDP) {
		payload = l4 + 8;
		if (payload > end || decode_is_tunnel_port(src_port) ||
			decode_is_tunnel_port(dst_port))
			return false;
	} else {
		return false;
	}
	ret->l2_end[i] = l3;
	ret->ethertype[i] = DECODE_TYPE_IPV4;
	ret->vlan_tci[i] = 0;
	ret->n_vlans[i] = 0;
	ret->outer[i] = ret->inner[i] = (struct decode_layers){
		.l3_offset = l3,
		.l4_offset = l4,
		.payload_offset = payload,
		.l3_end = end,
		.ip_version = 4,
		.l4_proto = data[l3 + 9],
		.src_port = src_port,
		.dst_port = dst_port,
	};
	return true;
}

void decode_batch(const struct packet_batch *batch, struct decode_columns *ret)
{
	decode_step *link = decode_link_step(batch->linktype);
	bool ethernet = link == decode_ethernet;

	for (unsigned int i = 0; i < batch->n; i++) {
		if (i + DECODE_AHEAD_PKTS < batch->n)
			__builtin_prefetch(batch->data[i + DECODE_AHEAD_PKTS]);
		if (ethernet && decode_plain(batch->data[i], batch->cap_bytes[i], ret, i))
			continue;
		decode_packet(link, batch->data[i], batch->cap_bytes[i], ret, i);
	}
}
