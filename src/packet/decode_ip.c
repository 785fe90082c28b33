/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPv4, IPv6 with its extension headers, and how long the transport header behind them is.
 *
 * Sources: RFC 791, RFC 8200, RFC 2675 (jumbograms), RFC 4302 (AH), RFC 6275 (mobility), RFC 9293
 * (TCP), RFC 768, RFC 3828, RFC 9260 (SCTP), RFC 4340 (DCCP), RFC 792, RFC 4443, RFC 3376.
 */
#include "decode_private.h"

#include "base/cleanup.h"

/* Header at least @min_bytes long, whose length a byte tells in 32-bit words; 0 if cut or
 * malformed. */
static uint32_t decode_transport_words(uint8_t words, uint32_t min_bytes, uint32_t avail_bytes)
{
	uint32_t n_bytes = words * 4u;

	return n_bytes >= min_bytes && n_bytes <= avail_bytes ? n_bytes : 0;
}

/* Length of the transport header; 0 if cut or malformed. */
static uint32_t decode_transport_bytes(uint8_t proto, const uint8_t *p, uint32_t avail_bytes)
{
	switch (proto) {
	case DECODE_IP_TCP:
		return avail_bytes < 20 ? 0 : decode_transport_words(p[12] >> 4, 20, avail_bytes);
	case DECODE_IP_DCCP:
		return avail_bytes < 12 ? 0 : decode_transport_words(p[4], 12, avail_bytes);
	case DECODE_IP_SCTP:
		return avail_bytes < 12 ? 0 : 12;
	case DECODE_IP_GRE:
		return decode_gre_bytes(p, avail_bytes);
	default: /* UDP, UDP-Lite, ICMP, ICMPv6, IGMP */
		return avail_bytes < 8 ? 0 : 8;
	}
}

static void decode_transport(const struct decode_walk *w, struct decode_layers *l)
{
	const uint8_t *p = w->data + l->l4_offset;
	uint32_t avail_bytes = l->l3_end - l->l4_offset;
	uint32_t n_bytes;

	switch (l->flags & DECODE_FRAGMENT_LATER ? DECODE_IP_NONE : l->l4_proto) {
	case DECODE_IP_TCP:
	case DECODE_IP_UDP:
	case DECODE_IP_DCCP:
	case DECODE_IP_SCTP:
	case DECODE_IP_UDPLITE:
		if (avail_bytes >= 4) {
			l->src_port = buf_peek_be16(p);
			l->dst_port = buf_peek_be16(p + 2);
		}
		break;
	case DECODE_IP_ICMP:
	case DECODE_IP_IGMP:
	case DECODE_IP_GRE:
	case DECODE_IP_ICMPV6:
		break;
	default:
		l->payload_offset = l->l4_offset;
		return;
	}
	n_bytes = decode_transport_bytes(l->l4_proto, p, avail_bytes);
	if (n_bytes)
		l->payload_offset = l->l4_offset + n_bytes;
	else
		l->flags |= DECODE_CUT;
}

/* RFC 2675: the end by the length that did not fit into the IPv6 header, from the hop-by-hop
 * options at @p. */
static uint32_t decode_jumbo_end(const struct decode_layers *l, const uint8_t *p, uint32_t n_bytes)
{
	uint32_t at = 2;

	while (at + 6 <= n_bytes) {
		if (p[at] == 0xc2 && p[at + 1] == 4) {
			uint64_t end = l->l3_offset + 40ull + buf_peek_be32(p + at + 2);

			return (uint32_t)MIN(end, l->l3_end);
		}
		at += p[at] == 0 ? 1 : 2u + p[at + 1];
	}
	return l->l3_end;
}

/* Length of the extension header @proto at @p, by the two bytes that all have; 0: not one. */
static uint32_t decode_extension_bytes(uint8_t proto, const uint8_t *p)
{
	switch (proto) {
	case DECODE_IP_HOPOPT:
	case DECODE_IP_ROUTING:
	case DECODE_IP_DSTOPTS:
		return (p[1] + 1u) * 8;
	case DECODE_IP_MOBILITY:
	case DECODE_IP_HIP:
	case DECODE_IP_SHIM6:
		/* They end the packet, as a rule, and are then what it is about. */
		return p[0] == DECODE_IP_NONE ? 0 : (p[1] + 1u) * 8;
	case DECODE_IP_FRAGMENT:
		return 8;
	case DECODE_IP_AH:
		return (p[1] + 2u) * 4;
	default:
		return 0;
	}
}

static bool decode_is_extension(uint8_t proto)
{
	switch (proto) {
	case DECODE_IP_HOPOPT:
	case DECODE_IP_ROUTING:
	case DECODE_IP_FRAGMENT:
	case DECODE_IP_AH:
	case DECODE_IP_DSTOPTS:
	case DECODE_IP_MOBILITY:
	case DECODE_IP_HIP:
	case DECODE_IP_SHIM6:
		return true;
	default:
		return false;
	}
}

/* Over extension headers from l->l4_offset on. Return: false if one is cut. */
static bool decode_extensions(const struct decode_walk *w, struct decode_layers *l, bool jumbo)
{
	uint32_t at = l->l4_offset;
	bool whole = true;

	for (unsigned int n = 0; decode_is_extension(l->l4_proto); n++) {
		const uint8_t *p = w->data + at;
		uint32_t left = l->l3_end - at, n_bytes, end;
		uint16_t fragment;

		whole = n < DECODE_EXTENSIONS_MAX && left >= 8;
		if (!whole)
			break;
		n_bytes = decode_extension_bytes(l->l4_proto, p);
		whole = n_bytes <= left;
		if (!n_bytes || !whole)
			break;
		if (l->l4_proto == DECODE_IP_HOPOPT && jumbo) {
			end = decode_jumbo_end(l, p, n_bytes);
			if (end >= at + n_bytes)
				l->l3_end = end;
		}
		fragment = l->l4_proto == DECODE_IP_FRAGMENT ? buf_peek_be16(p + 2) : 0;
		l->l4_proto = p[0];
		at += n_bytes;
		/* Offset and "more fragments"; RFC 6946: with neither the packet is whole. */
		if (fragment & 0xfff9)
			l->flags |= DECODE_FRAGMENT;
		if (fragment & 0xfff8) {
			l->flags |= DECODE_FRAGMENT_LATER;
			break;
		}
	}
	l->l4_offset = whole ? at : DECODE_NONE;
	return whole;
}

static bool decode_ipv4(const struct decode_walk *w, struct decode_layers *l)
{
	const uint8_t *p = decode_here(w);
	uint32_t left = w->end - w->at, header_bytes, total_bytes;
	uint16_t fragment;

	if (left < 20) {
		l->flags |= DECODE_CUT;
		return false;
	}
	header_bytes = (p[0] & 0x0fu) * 4;
	if (p[0] >> 4 != 4 || header_bytes < 20)
		return false;
	total_bytes = buf_peek_be16(p + 2);
	if (total_bytes ==
		0) /* segmentation is left to the interface: the length is not known yet */
		total_bytes = left;
	fragment = buf_peek_be16(p + 6);
	l->l3_offset = w->at;
	l->l3_end = w->at + MIN(left, total_bytes);
	l->ip_version = 4;
	l->l4_proto = p[9];
	if (fragment & 0x3fff)
		l->flags |= DECODE_FRAGMENT;
	if (fragment & 0x1fff)
		l->flags |= DECODE_FRAGMENT_LATER;
	if (header_bytes > left || header_bytes > total_bytes) {
		l->flags |= DECODE_CUT;
		return true;
	}
	l->l4_offset = w->at + header_bytes;
	if (l->l4_proto == DECODE_IP_AH && !(l->flags & DECODE_FRAGMENT_LATER) &&
		!decode_extensions(w, l, false)) {
		l->flags |= DECODE_CUT;
		return true;
	}
	decode_transport(w, l);
	return true;
}

static bool decode_ipv6(const struct decode_walk *w, struct decode_layers *l)
{
	const uint8_t *p = decode_here(w);
	uint32_t left = w->end - w->at, payload_bytes;

	if (left < 40) {
		l->flags |= DECODE_CUT;
		return false;
	}
	if (p[0] >> 4 != 6)
		return false;
	payload_bytes = buf_peek_be16(p + 4);
	l->l3_offset = w->at;
	l->l3_end = w->at + MIN(left, 40 + payload_bytes);
	/* No length: a jumbogram, or segmentation is left to the interface. */
	if (payload_bytes == 0 && p[6] != DECODE_IP_NONE)
		l->l3_end = w->at + left;
	l->ip_version = 6;
	l->l4_proto = p[6];
	l->l4_offset = w->at + 40;
	if (!decode_extensions(w, l, payload_bytes == 0))
		l->flags |= DECODE_CUT;
	else
		decode_transport(w, l);
	return true;
}

bool decode_network(const struct decode_walk *w, struct decode_layers *ret)
{
	*ret = (struct decode_layers){
		.l3_offset = DECODE_NONE,
		.l4_offset = DECODE_NONE,
		.payload_offset = DECODE_NONE,
		.l3_end = DECODE_NONE,
	};
	if (w->ethertype == DECODE_TYPE_IPV4)
		return decode_ipv4(w, ret);
	if (w->ethertype == DECODE_TYPE_IPV6)
		return decode_ipv6(w, ret);
	return false;
}
