/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk over one packet, as the files of the decoder share it: decode_link.c takes it over the
 * link header, decode_tag.c over VLAN, MPLS and PPPoE, decode_ip.c over IP and the transport
 * header, decode_tunnel.c into a tunnel, from where it starts again at the tags.
 */
#ifndef MAPI_PACKET_DECODE_PRIVATE_H
#define MAPI_PACKET_DECODE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "packet/decode.h"

/* A hostile packet may nest without end: these bound the work. Real ones stay far below. */
#define DECODE_TAGS_MAX 16u /* VLAN tags, label stacks, PPPoE headers of one link layer */
#define DECODE_LABELS_MAX 64u /* MPLS labels of one stack */
#define DECODE_EXTENSIONS_MAX 32u /* IPv6 extension headers */
#define DECODE_TUNNELS_MAX 8u /* network headers behind the outer one */

/* EtherTypes; those of the second group are used inside the decoder for what has none of its own.
 */
enum {
	DECODE_TYPE_UNKNOWN = 0,
	DECODE_TYPE_IPV4 = 0x0800,
	DECODE_TYPE_ARP = 0x0806,
	DECODE_TYPE_ETHERNET = 0x6558, /* transparent Ethernet bridging */
	DECODE_TYPE_VLAN = 0x8100,
	DECODE_TYPE_IPV6 = 0x86dd,
	DECODE_TYPE_PPP = 0x880b,
	DECODE_TYPE_MPLS = 0x8847,
	DECODE_TYPE_MPLS_UPSTREAM = 0x8848,
	DECODE_TYPE_PPPOE_SESSION = 0x8864,
	DECODE_TYPE_QINQ = 0x88a8,
	DECODE_TYPE_ERSPAN2 = 0x88be,
	DECODE_TYPE_BACKBONE = 0x88e7, /* IEEE 802.1ah service instance tag */
	DECODE_TYPE_ERSPAN3 = 0x22eb,
	DECODE_TYPE_QINQ_OLD = 0x9100,
	DECODE_TYPE_QINQ_OLDER = 0x9200,
};

/* IANA protocol numbers */
enum {
	DECODE_IP_HOPOPT = 0,
	DECODE_IP_ICMP = 1,
	DECODE_IP_IGMP = 2,
	DECODE_IP_IPV4 = 4,
	DECODE_IP_TCP = 6,
	DECODE_IP_UDP = 17,
	DECODE_IP_DCCP = 33,
	DECODE_IP_IPV6 = 41,
	DECODE_IP_ROUTING = 43,
	DECODE_IP_FRAGMENT = 44,
	DECODE_IP_GRE = 47,
	DECODE_IP_AH = 51,
	DECODE_IP_ICMPV6 = 58,
	DECODE_IP_NONE = 59,
	DECODE_IP_DSTOPTS = 60,
	DECODE_IP_ETHERIP = 97,
	DECODE_IP_SCTP = 132,
	DECODE_IP_MOBILITY = 135,
	DECODE_IP_UDPLITE = 136,
	DECODE_IP_MPLS = 137,
	DECODE_IP_HIP = 139,
	DECODE_IP_SHIM6 = 140,
};

/**
 * struct decode_walk - where the decoder stands in a packet
 * @data:      the packet
 * @at:        first byte not decoded yet; never above @end
 * @end:       no byte from here on may be read: captured length, or end of the outer datagram
 * @ethertype: what stands at @at
 */
struct decode_walk {
	const uint8_t *data;
	uint32_t at;
	uint32_t end;
	uint16_t ethertype;
	uint16_t vlan_tci; /* of the first tag */
	uint8_t n_vlans;
};

static inline bool decode_has(const struct decode_walk *w, uint32_t n_bytes)
{
	return w->end - w->at >= n_bytes;
}

static inline const uint8_t *decode_here(const struct decode_walk *w)
{
	return w->data + w->at;
}

static inline uint16_t decode_be16_at(const struct decode_walk *w, uint32_t ahead)
{
	return buf_peek_be16(w->data + w->at + ahead);
}

/* A step of the walk. Return: false if the bytes end within the header. */
typedef bool decode_step(struct decode_walk *w);

/* The step over the link header of a LINKTYPE_; NULL if unknown. */
decode_step *decode_link_step(uint32_t linktype);

bool decode_ethernet(struct decode_walk *w);
bool decode_llc(struct decode_walk *w);
/* EtherType, or the length of an IEEE 802.3 frame that goes on with LLC. */
bool decode_type_or_length(struct decode_walk *w);
/* Sets the EtherType by the version field of what follows. */
bool decode_by_ip_version(struct decode_walk *w);

/* Over everything between the link header and the network header. */
bool decode_tags(struct decode_walk *w);

/**
 * decode_network() - the network and transport header at the walk
 * @w:   left where it is
 * @ret: filled in any case
 *
 * Return: true if there is an IP header.
 */
bool decode_network(const struct decode_walk *w, struct decode_layers *ret);

/**
 * decode_tunnel() - step into the tunnel that @outer carries
 * @w: moved to the inner header, if there is one
 *
 * Return: true if there is a tunnel and its own header is complete.
 */
bool decode_tunnel(struct decode_walk *w, const struct decode_layers *outer);

/* Bytes of the GRE header at @p; 0 if it is cut or of an unknown kind. */
uint32_t decode_gre_bytes(const uint8_t *p, uint32_t n_bytes);

/* UDP ports whose payload decode_tunnel() looks into. */
static inline bool decode_is_tunnel_port(uint16_t port)
{
	return port == 2152 || port == 3544 || port == 4789 || port == 4790 || port == 6081 ||
		port == 8472;
}

#endif
