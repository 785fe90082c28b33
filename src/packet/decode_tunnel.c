/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tunnels: from the headers that carry to what is carried. Every kind leaves the walk at a header
 * whose EtherType is known, so that tags and Ethernet inside need no code here.
 *
 * Sources: RFC 2003 and 4213 (IP in IP), RFC 2784 and 2890 (GRE), RFC 2637 (PPTP's GRE), ERSPAN
 * (draft-foschiano-erspan), RFC 3378 (EtherIP), RFC 4023 (MPLS in IP), RFC 7348 (VXLAN), RFC 8926
 * (Geneve), 3GPP TS 29.281 (GTP-U), RFC 4380 (Teredo).
 */
#include "decode_private.h"

enum {
	DECODE_GRE_CHECKSUM = 0x8000,
	DECODE_GRE_ROUTING = 0x4000,
	DECODE_GRE_KEY = 0x2000,
	DECODE_GRE_SEQUENCE = 0x1000,
	DECODE_GRE_ACK = 0x0080, /* version 1 */
	DECODE_GRE_VERSION = 0x0007,
};

uint32_t decode_gre_bytes(const uint8_t *p, uint32_t n_bytes)
{
	uint32_t size = 4;
	uint16_t flags;

	if (n_bytes < 4)
		return 0;
	flags = buf_peek_be16(p);
	/* Source routes (RFC 1701) were dropped from the standard and never used. */
	if ((flags & DECODE_GRE_VERSION) > 1 || flags & DECODE_GRE_ROUTING)
		return 0;
	if (flags & DECODE_GRE_CHECKSUM)
		size += 4;
	if (flags & DECODE_GRE_KEY)
		size += 4;
	if (flags & DECODE_GRE_SEQUENCE)
		size += 4;
	if ((flags & DECODE_GRE_VERSION) == 1 && flags & DECODE_GRE_ACK)
		size += 4;
	return size <= n_bytes ? size : 0;
}

static bool decode_tunnel_skip(struct decode_walk *w, uint32_t n_bytes, uint16_t ethertype)
{
	if (!decode_has(w, n_bytes))
		return false;
	w->at += n_bytes;
	w->ethertype = ethertype;
	return true;
}

/* @gre: offset of the GRE header, which is complete; the walk stands behind it. */
static bool decode_tunnel_gre(struct decode_walk *w, uint32_t gre)
{
	uint16_t flags = buf_peek_be16(w->data + gre);

	w->ethertype = buf_peek_be16(w->data + gre + 2);
	switch (w->ethertype) {
	case DECODE_TYPE_ERSPAN2:
		/* Type I has neither a sequence number nor a header of its own. */
		return decode_tunnel_skip(
			w, flags & DECODE_GRE_SEQUENCE ? 8 : 0, DECODE_TYPE_ETHERNET);
	case DECODE_TYPE_ERSPAN3:
		return decode_has(w, 12) &&
			decode_tunnel_skip(
				w, decode_here(w)[11] & 1 ? 20 : 12, DECODE_TYPE_ETHERNET);
	default:
		return true;
	}
}

static bool decode_tunnel_vxlan(struct decode_walk *w)
{
	const uint8_t *p = decode_here(w);
	uint16_t ethertype = DECODE_TYPE_ETHERNET;

	if (!decode_has(w, 8) || !(p[0] & 0x08))
		return false;
	/* With the generic protocol extension (draft-ietf-nvo3-vxlan-gpe) the header says what
	 * follows; senders set its flag on VXLAN's own port, too. */
	if (p[0] & 0x04) {
		switch (p[3]) {
		case 1:
			ethertype = DECODE_TYPE_IPV4;
			break;
		case 2:
			ethertype = DECODE_TYPE_IPV6;
			break;
		case 3:
			break;
		default:
			return false;
		}
	}
	return decode_tunnel_skip(w, 8, ethertype);
}

static bool decode_tunnel_geneve(struct decode_walk *w)
{
	const uint8_t *p = decode_here(w);

	return decode_has(w, 8) && p[0] >> 6 == 0 &&
		decode_tunnel_skip(w, 8 + (p[0] & 0x3fu) * 4, decode_be16_at(w, 2));
}

static bool decode_tunnel_gtp(struct decode_walk *w)
{
	const uint8_t *p = decode_here(w);
	uint8_t next;

	/* Version 1, protocol type GTP, message type "G-PDU". */
	if (!decode_has(w, 8) || (p[0] & 0xf0) != 0x30 || p[1] != 0xff)
		return false;
	if (!(p[0] & 0x07))
		return decode_tunnel_skip(w, 8, 0) && decode_by_ip_version(w);
	if (!decode_has(w, 12))
		return false;
	next = p[0] & 0x04 ? p[11] : 0;
	w->at += 12;
	for (unsigned int n = 0; next && n < DECODE_EXTENSIONS_MAX; n++) {
		uint32_t size;

		if (!decode_has(w, 1))
			return false;
		size = *decode_here(w) * 4u;
		if (size == 0 || !decode_has(w, size))
			return false;
		next = decode_here(w)[size - 1];
		w->at += size;
	}
	return !next && decode_by_ip_version(w);
}

static bool decode_tunnel_teredo(struct decode_walk *w)
{
	const uint8_t *p = decode_here(w);

	if (decode_has(w, 4) && p[0] == 0 && p[1] == 1) { /* authentication indication */
		if (!decode_tunnel_skip(w, 13u + p[2] + p[3], 0))
			return false;
		p = decode_here(w);
	}
	if (decode_has(w, 2) && p[0] == 0 && p[1] == 0 && !decode_tunnel_skip(w, 8, 0))
		return false;
	return decode_by_ip_version(w) && w->ethertype == DECODE_TYPE_IPV6;
}

static bool decode_tunnel_udp(struct decode_walk *w, const struct decode_layers *outer)
{
	switch (outer->dst_port) {
	case 4789:
	case 4790:
	case 8472: /* Linux before the assignment, and by default still */
		return decode_tunnel_vxlan(w);
	case 6081:
		return decode_tunnel_geneve(w);
	case 2152:
		return decode_tunnel_gtp(w);
	default:
		break;
	}
	if (outer->src_port == 2152)
		return decode_tunnel_gtp(w);
	if (outer->src_port == 3544 || outer->dst_port == 3544)
		return decode_tunnel_teredo(w);
	return false;
}

bool decode_tunnel(struct decode_walk *w, const struct decode_layers *outer)
{
	if (outer->payload_offset == DECODE_NONE || outer->flags & DECODE_FRAGMENT_LATER)
		return false;
	w->at = outer->payload_offset;
	w->end = outer->l3_end;
	switch (outer->l4_proto) {
	case DECODE_IP_IPV4:
		w->ethertype = DECODE_TYPE_IPV4;
		return true;
	case DECODE_IP_IPV6:
		w->ethertype = DECODE_TYPE_IPV6;
		return true;
	case DECODE_IP_MPLS:
		w->ethertype = DECODE_TYPE_MPLS;
		return true;
	case DECODE_IP_GRE:
		return decode_tunnel_gre(w, outer->l4_offset);
	case DECODE_IP_ETHERIP:
		return decode_has(w, 2) && *decode_here(w) == 0x30 &&
			decode_tunnel_skip(w, 2, DECODE_TYPE_ETHERNET);
	case DECODE_IP_UDP:
		return decode_tunnel_udp(w, outer);
	default:
		return false;
	}
}
