/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoding of link, network and transport headers, once per packet and batch (semantics P4).
 *
 * The result is columns: for each packet where its headers start and what they are. Nothing reads
 * past the captured bytes; a header that is cut or malformed ends the decoding of its packet there.
 * "Outer" is the first network header after the link layer (VLAN, QinQ, MPLS and PPPoE are part of
 * the link layer); "inner" is the innermost one that can be read behind IP in IP, GRE (with
 * Ethernet, MPLS, ERSPAN or PPP in it), EtherIP, VXLAN, Geneve, GTP-U or Teredo, and equals the
 * outer one in a packet without a tunnel. At most 8 tunnels, 16 tags and 32 extension headers are
 * followed.
 */
#ifndef MAPI_PACKET_DECODE_H
#define MAPI_PACKET_DECODE_H

#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

#define DECODE_NONE UINT32_MAX /* an offset that does not exist */

/* struct decode_layers.flags */
#define DECODE_FRAGMENT (1u << 0) /* any fragment of a datagram */
#define DECODE_FRAGMENT_LATER (1u << 1) /* not the first: it has no transport header */
#define DECODE_CUT (1u << 2) /* the capture or the packet ends within a header */

/**
 * struct decode_layers - one network header and what it carries
 * @l3_offset:      first byte of the IPv4 or IPv6 header, DECODE_NONE if there is none or its fixed
 *                  part is cut or malformed (then @ip_version is 0 and nothing below is set)
 * @l4_offset:      first byte after IPv4 options, AH or IPv6 extension headers; DECODE_NONE if cut
 * @payload_offset: first byte after the transport header (TCP, UDP, UDP-Lite, SCTP, DCCP, ICMP,
 *                  ICMPv6, IGMP, GRE), DECODE_NONE if that is cut or malformed. Equal to @l4_offset
 *                  in later fragments and in protocols that the decoder does not know
 * @l3_end:         end of the packet by the network header's own length, at most the captured bytes
 * @ip_version:     4, 6 or 0
 * @l4_proto:       IANA protocol number of the header at @l4_offset; if an IPv6 extension header is
 *                  cut, that header's
 * @flags:          DECODE_*
 * @src_port:       host byte order; 0 unless TCP, UDP, SCTP, DCCP or UDP-Lite with readable ports
 * @dst_port:       likewise
 */
struct decode_layers {
	uint32_t l3_offset;
	uint32_t l4_offset;
	uint32_t payload_offset;
	uint32_t l3_end;
	uint8_t ip_version;
	uint8_t l4_proto;
	uint8_t flags;
	uint8_t reserved;
	uint16_t src_port;
	uint16_t dst_port;
};

/**
 * struct decode_columns - decoding of a batch
 * @ethertype:     EtherType (host byte order) behind VLAN, QinQ, MPLS and PPPoE; 0 if unknown
 * @l2_end:        offset of the first byte after the link layer, DECODE_NONE if it is cut
 * @vlan_tci:      outer VLAN tag control information, host byte order; 0 if @n_vlans is 0
 * @n_vlans:       number of VLAN tags
 */
struct decode_columns {
	uint32_t l2_end[PACKET_BATCH_MAX];
	uint16_t ethertype[PACKET_BATCH_MAX];
	uint16_t vlan_tci[PACKET_BATCH_MAX];
	uint8_t n_vlans[PACKET_BATCH_MAX];
	struct decode_layers outer[PACKET_BATCH_MAX];
	struct decode_layers inner[PACKET_BATCH_MAX];
};

/**
 * decode_batch() - decode all packets of a batch
 * @batch: the packets
 * @ret:   columns; entries at and above @batch->n are left alone
 *
 * Thread safety: any thread, no shared state. Cannot fail: an unknown link type decodes to nothing.
 */
void decode_batch(const struct packet_batch *batch, struct decode_columns *ret);

/**
 * struct decode_flow_key - who talks to whom, as columns give it
 * @src, @dst: network byte order; IPv4 as ::ffff:a.b.c.d
 */
struct decode_flow_key {
	uint8_t src[16];
	uint8_t dst[16];
	uint16_t src_port;
	uint16_t dst_port;
	uint8_t ip_version;
	uint8_t l4_proto;
	uint8_t reserved[2];
};

/**
 * decode_flow_key() - the 5-tuple of one packet
 * @batch, @i: the packet
 * @layers:    its outer or inner layers
 * @ret:       written only if the packet has an IP header. Ports are 0 in every fragment, also the
 *             first, so that all fragments of a datagram have one key and one hash
 *
 * Return: true if the packet has an IP header.
 */
bool decode_flow_key(const struct packet_batch *batch, unsigned int i,
	const struct decode_layers *layers, struct decode_flow_key *ret);

/**
 * decode_flow_hash() - the affinity hash (semantics O6): equal for both directions
 * @key:  5-tuple
 * @seed: secret, so that nobody can aim many flows at one place
 */
uint64_t decode_flow_hash(const struct decode_flow_key *key, uint64_t seed);

/* All flows are cut into so many parts; the seed is historical, and documented (HASHSAMP). */
#define DECODE_FLOW_PARTS 1024u
#define DECODE_FLOW_PARTS_SEED 6564987u

/* The part in which a flow is. Programs of the kernel find the same (src/kernel/part.c). Return:
 * below DECODE_FLOW_PARTS. */
static inline unsigned int decode_flow_part(const struct decode_flow_key *key)
{
	return decode_flow_hash(key, DECODE_FLOW_PARTS_SEED) % DECODE_FLOW_PARTS;
}

#endif
