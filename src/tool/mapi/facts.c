/* SPDX-License-Identifier: BSD-2-Clause */
/* See facts.h. Sources: RFC 791, 8200, 9293, 768, 792, 4443, 826, 3032; IEEE 802.1Q. */
#include "facts.h"

#include <string.h>

#include "base/buf.h"

#define FACTS_ETHERTYPE_IPV4 0x0800
#define FACTS_ETHERTYPE_ARP 0x0806
#define FACTS_ETHERTYPE_VLAN 0x8100
#define FACTS_ETHERTYPE_QINQ 0x88a8
#define FACTS_ETHERTYPE_QINQ_OLD 0x9100
#define FACTS_ETHERTYPE_IPV6 0x86dd
#define FACTS_ETHERTYPE_MPLS 0x8847
#define FACTS_ETHERTYPE_MPLS_MULTICAST 0x8848

#define FACTS_PROTO_HOP_BY_HOP 0
#define FACTS_PROTO_ICMP 1
#define FACTS_PROTO_IPV4 4
#define FACTS_PROTO_TCP 6
#define FACTS_PROTO_UDP 17
#define FACTS_PROTO_IPV6 41
#define FACTS_PROTO_ROUTING 43
#define FACTS_PROTO_FRAGMENT 44
#define FACTS_PROTO_AH 51
#define FACTS_PROTO_ICMP6 58
#define FACTS_PROTO_DESTINATION 60

#define FACTS_EXTENSIONS_MAX 16

static void facts_take(struct buf *b, void *to, size_t n_bytes)
{
	const uint8_t *p = buf_take(b, n_bytes);

	if (p)
		memcpy(to, p, n_bytes);
}

static void facts_tcp(struct buf *b, struct facts *f)
{
	uint16_t offset_flags;
	uint32_t header_bytes;

	f->src_port = buf_get_be16(b);
	f->dst_port = buf_get_be16(b);
	f->tcp.seq = buf_get_be32(b);
	f->tcp.ack = buf_get_be32(b);
	offset_flags = buf_get_be16(b);
	f->tcp.window = buf_get_be16(b);
	(void)buf_take(b, 4);
	header_bytes = (uint32_t)(offset_flags >> 12) * 4;
	f->tcp.flags = offset_flags & 0x1ff;
	if (!buf_ok(b) || header_bytes < 20) {
		f->cut = "tcp";
		return;
	}
	f->transport = FACTS_TRANSPORT_TCP;
	f->tcp.options_bytes = header_bytes - 20;
	f->tcp.options = buf_take(b, f->tcp.options_bytes);
	if (!f->tcp.options) {
		f->tcp.options_bytes = 0;
		f->cut = "tcp options";
	}
	f->payload_wire_bytes -=
		header_bytes < f->payload_wire_bytes ? header_bytes : f->payload_wire_bytes;
}

static void facts_transport(struct buf *b, struct facts *f)
{
	switch (f->proto) {
	case FACTS_PROTO_TCP:
		facts_tcp(b, f);
		return;
	case FACTS_PROTO_UDP:
		f->src_port = buf_get_be16(b);
		f->dst_port = buf_get_be16(b);
		(void)buf_take(b, 4);
		f->transport = FACTS_TRANSPORT_UDP;
		break;
	case FACTS_PROTO_ICMP:
	case FACTS_PROTO_ICMP6:
		if ((f->proto == FACTS_PROTO_ICMP) != (f->ip_version == 4))
			return;
		f->icmp_type = buf_get_u8(b);
		f->icmp_code = buf_get_u8(b);
		(void)buf_take(b, 2);
		f->transport = f->ip_version == 4 ? FACTS_TRANSPORT_ICMP : FACTS_TRANSPORT_ICMP6;
		/* The length that is printed is that of the message with its header. */
		if (!buf_ok(b))
			f->cut = "icmp";
		return;
	default:
		return;
	}
	if (!buf_ok(b)) {
		f->transport = FACTS_TRANSPORT_NONE;
		f->cut = "udp";
		return;
	}
	f->payload_wire_bytes -= f->payload_wire_bytes < 8 ? f->payload_wire_bytes : 8;
}

/* @b holds what is captured of the network packet's payload, @wire_bytes is its length. */
static void facts_finish(struct buf b, uint32_t wire_bytes, struct facts *f)
{
	if (buf_left(&b) > wire_bytes)
		b = buf_from(b.at, wire_bytes); /* Ethernet padding */
	f->payload_wire_bytes = wire_bytes;
	if (!f->fragment_offset)
		facts_transport(&b, f);
	f->payload = b.at;
	f->payload_bytes = (uint32_t)buf_left(&b);
}

static void facts_ipv4(struct buf b, uint32_t left_wire_bytes, struct facts *f)
{
	uint8_t version_length = buf_get_u8(&b);
	uint32_t header_bytes = (version_length & 15u) * 4, offset;

	f->tos = buf_get_u8(&b);
	f->packet_bytes = buf_get_be16(&b);
	f->id = buf_get_be16(&b);
	offset = buf_get_be16(&b);
	f->ttl = buf_get_u8(&b);
	f->proto = buf_get_u8(&b);
	(void)buf_take(&b, 2);
	facts_take(&b, f->src, 4);
	facts_take(&b, f->dst, 4);
	/* RFC 791 3.1: five words at least. A total length of 0 is what segmentation offload
	 * leaves. */
	if (!buf_ok(&b) || version_length >> 4 != 4 || header_bytes < 20) {
		f->cut = "ip";
		return;
	}
	f->ip_version = 4;
	f->dont_fragment = offset & 0x4000;
	f->more_fragments = offset & 0x2000;
	f->fragment_offset = (offset & 0x1fff) * 8;
	if (!f->packet_bytes)
		f->packet_bytes = left_wire_bytes;
	(void)buf_take(&b, header_bytes - 20);
	if (!buf_ok(&b) || f->packet_bytes < header_bytes) {
		f->cut = "ip";
		return;
	}
	facts_finish(b, f->packet_bytes - header_bytes, f);
}

/* Step over the extension headers (RFC 8200, section 4). Return: their length. */
static uint32_t facts_extensions(struct buf *b, struct facts *f)
{
	const uint8_t *begin = b->at;
	unsigned int i;

	for (i = 0; i < FACTS_EXTENSIONS_MAX && buf_ok(b) && !f->fragment_offset; i++) {
		uint8_t next, length;
		uint16_t fragment;

		switch (f->proto) {
		case FACTS_PROTO_HOP_BY_HOP:
		case FACTS_PROTO_ROUTING:
		case FACTS_PROTO_DESTINATION:
		case FACTS_PROTO_AH:
			next = buf_get_u8(b);
			length = buf_get_u8(b);
			(void)buf_take(
				b, f->proto == FACTS_PROTO_AH ? length * 4u + 6 : length * 8u + 6);
			break;
		case FACTS_PROTO_FRAGMENT:
			next = buf_get_u8(b);
			(void)buf_get_u8(b);
			fragment = buf_get_be16(b);
			f->id = buf_get_be32(b);
			f->fragment_offset = fragment & 0xfff8u;
			f->more_fragments = fragment & 1;
			break;
		default:
			return (uint32_t)(b->at - begin);
		}
		if (buf_ok(b))
			f->proto = next;
	}
	if (!buf_ok(b))
		f->cut = "ip6 extension";
	return (uint32_t)(b->at - begin);
}

static void facts_ipv6(struct buf b, uint32_t left_wire_bytes, struct facts *f)
{
	uint32_t first = buf_get_be32(&b), payload_bytes, extension_bytes;

	payload_bytes = buf_get_be16(&b);
	f->proto = buf_get_u8(&b);
	f->ttl = buf_get_u8(&b);
	facts_take(&b, f->src, 16);
	facts_take(&b, f->dst, 16);
	if (!buf_ok(&b) || first >> 28 != 6) {
		f->cut = "ip6";
		return;
	}
	f->ip_version = 6;
	f->tos = (uint8_t)(first >> 20);
	f->flow_label = first & 0xfffff;
	if (!payload_bytes && left_wire_bytes > 40) /* jumbogram, or offload */
		payload_bytes = left_wire_bytes - 40;
	f->packet_bytes = payload_bytes + 40;
	extension_bytes = facts_extensions(&b, f);
	if (f->cut)
		return;
	facts_finish(b, payload_bytes > extension_bytes ? payload_bytes - extension_bytes : 0, f);
}

static void facts_arp(struct buf b, struct facts *f)
{
	uint16_t hardware = buf_get_be16(&b), protocol = buf_get_be16(&b),
		 lengths = buf_get_be16(&b);

	f->arp.operation = buf_get_be16(&b);
	facts_take(&b, f->arp.sender_mac, 6);
	facts_take(&b, f->arp.sender_ip, 4);
	(void)buf_take(&b, 6);
	facts_take(&b, f->arp.target_ip, 4);
	if (!buf_ok(&b))
		f->cut = "arp";
	else
		f->has_arp = hardware == 1 && protocol == FACTS_ETHERTYPE_IPV4 && lengths == 0x0604;
}

static void facts_ip(struct buf b, uint32_t wire_bytes, struct facts *f)
{
	uint8_t version = buf_left(&b) ? *b.at >> 4 : 0;

	if (version == 4)
		facts_ipv4(b, wire_bytes, f);
	else if (version == 6)
		facts_ipv6(b, wire_bytes, f);
}

static void facts_network(struct buf b, const uint8_t *data, uint32_t wire_bytes, struct facts *f)
{
	uint32_t label, left;

	while (buf_ok(&b) &&
		(f->ethertype == FACTS_ETHERTYPE_VLAN || f->ethertype == FACTS_ETHERTYPE_QINQ ||
			f->ethertype == FACTS_ETHERTYPE_QINQ_OLD) &&
		f->n_vlans < FACTS_TAGS_MAX) {
		f->vlan[f->n_vlans] = buf_get_be16(&b);
		f->ethertype = buf_get_be16(&b);
		f->n_vlans += buf_ok(&b);
	}
	if (f->ethertype == FACTS_ETHERTYPE_MPLS ||
		f->ethertype == FACTS_ETHERTYPE_MPLS_MULTICAST) {
		do {
			label = buf_get_be32(&b);
			if (buf_ok(&b) && f->n_mpls < FACTS_TAGS_MAX)
				f->mpls[f->n_mpls++] = label;
		} while (buf_ok(&b) && !(label & 0x100)); /* RFC 3032: bottom of stack */
	}
	if (!buf_ok(&b)) {
		f->cut = "link";
		return;
	}
	left = (uint32_t)(b.at - data) < wire_bytes ? wire_bytes - (uint32_t)(b.at - data) : 0;
	f->payload = b.at;
	f->payload_bytes = (uint32_t)buf_left(&b);
	f->payload_wire_bytes = left;
	if (f->n_mpls)
		facts_ip(b, left, f);
	else if (f->ethertype == FACTS_ETHERTYPE_IPV4)
		facts_ipv4(b, left, f);
	else if (f->ethertype == FACTS_ETHERTYPE_IPV6)
		facts_ipv6(b, left, f);
	else if (f->ethertype == FACTS_ETHERTYPE_ARP)
		facts_arp(b, f);
}

void facts_gather(uint32_t linktype, const uint8_t *data, uint32_t cap_bytes, uint32_t wire_bytes,
	struct facts *ret)
{
	struct buf b = buf_from(data, cap_bytes);

	*ret = (struct facts){
		.payload = data, .payload_bytes = cap_bytes, .payload_wire_bytes = wire_bytes
	};
	switch (linktype) {
	case FACTS_LINK_ETHERNET:
		facts_take(&b, ret->eth_dst, 6);
		facts_take(&b, ret->eth_src, 6);
		ret->ethertype = buf_get_be16(&b);
		ret->has_ethernet = buf_ok(&b);
		break;
	case FACTS_LINK_SLL:
		(void)buf_take(&b, 14);
		ret->ethertype = buf_get_be16(&b);
		break;
	case FACTS_LINK_SLL2:
		ret->ethertype = buf_get_be16(&b);
		(void)buf_take(&b, 18);
		break;
	case FACTS_LINK_NULL:
	case FACTS_LINK_LOOP:
		/* The address family has the byte order, and the number, of whoever captured: the
		 * version of the packet behind it says as much. */
		(void)buf_take(&b, 4);
		if (buf_ok(&b))
			facts_ip(b, wire_bytes > 4 ? wire_bytes - 4 : 0, ret);
		else
			ret->cut = "link";
		return;
	case FACTS_LINK_RAW:
	case FACTS_LINK_IPV4:
	case FACTS_LINK_IPV6:
		facts_ip(b, wire_bytes, ret);
		return;
	default:
		return;
	}
	if (!buf_ok(&b)) {
		ret->cut = "link";
		return;
	}
	facts_network(b, data, wire_bytes, ret);
}

bool facts_inner(const struct facts *outer, struct facts *ret)
{
	struct buf b = buf_from(outer->payload, outer->payload_bytes);

	if (!outer->ip_version || outer->fragment_offset || outer->cut || !outer->payload_bytes)
		return false;
	*ret = (struct facts){ .payload = outer->payload,
		.payload_bytes = outer->payload_bytes,
		.payload_wire_bytes = outer->payload_wire_bytes };
	if (outer->proto == FACTS_PROTO_IPV4)
		facts_ipv4(b, outer->payload_wire_bytes, ret);
	else if (outer->proto == FACTS_PROTO_IPV6)
		facts_ipv6(b, outer->payload_wire_bytes, ret);
	else
		return false;
	return true;
}
