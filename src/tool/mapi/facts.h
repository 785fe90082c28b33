/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a packet says about itself, gathered before it is printed: link, network and transport
 * header.
 *
 * Everything is read through a bounded cursor. Where a header is cut or malformed the facts end:
 * @cut names it. Tunnels of IP in IP are followed by facts_inner(), one level at a time.
 */
#ifndef MAPI_TOOL_FACTS_H
#define MAPI_TOOL_FACTS_H

#include <stdbool.h>
#include <stdint.h>

/* LINKTYPE_ values of capture files that are understood. */
enum facts_linktype {
	FACTS_LINK_NULL = 0,
	FACTS_LINK_ETHERNET = 1,
	FACTS_LINK_RAW = 101,
	FACTS_LINK_LOOP = 108,
	FACTS_LINK_SLL = 113,
	FACTS_LINK_IPV4 = 228,
	FACTS_LINK_IPV6 = 229,
	FACTS_LINK_SLL2 = 276
};

#define FACTS_TAGS_MAX 4

enum facts_transport {
	FACTS_TRANSPORT_NONE, /* protocol not understood, or a later fragment */
	FACTS_TRANSPORT_TCP,
	FACTS_TRANSPORT_UDP,
	FACTS_TRANSPORT_ICMP,
	FACTS_TRANSPORT_ICMP6
};

/* Host byte order, except addresses, which stay as on the wire. */
struct facts_tcp {
	uint32_t seq;
	uint32_t ack;
	uint16_t window;
	uint16_t flags; /* the 9 bits of RFC 9293 and RFC 3540 */
	const uint8_t *options;
	uint32_t options_bytes;
};

struct facts_arp {
	uint16_t operation;
	uint8_t sender_mac[6];
	uint8_t sender_ip[4];
	uint8_t target_ip[4];
};

/**
 * struct facts - of one packet, or of one tunnel level
 * @payload:       behind the last header that was understood; @payload_bytes of it are captured
 * @payload_wire_bytes: its length by the headers
 * @packet_bytes:  length of the network packet by its own header
 * @cut:           header that is cut or malformed, NULL if none is
 */
struct facts {
	bool has_ethernet;
	uint8_t eth_dst[6];
	uint8_t eth_src[6];
	uint16_t ethertype; /* 0: none. Below 1536 it is an 802.3 length */
	unsigned int n_vlans, n_mpls;
	uint16_t vlan[FACTS_TAGS_MAX];
	uint32_t mpls[FACTS_TAGS_MAX];
	bool has_arp;
	struct facts_arp arp;
	uint8_t ip_version; /* 4, 6 or 0 */
	uint8_t src[16], dst[16];
	uint8_t proto, ttl, tos;
	uint32_t id;
	uint32_t flow_label;
	uint32_t fragment_offset;
	bool more_fragments, dont_fragment;
	uint32_t packet_bytes;
	enum facts_transport transport;
	uint16_t src_port, dst_port;
	struct facts_tcp tcp;
	uint8_t icmp_type, icmp_code;
	const uint8_t *payload;
	uint32_t payload_bytes;
	uint32_t payload_wire_bytes;
	const char *cut;
};

/* Gather the facts of a packet of @cap_bytes captured and @wire_bytes transmitted bytes. @ret
 * points into @data. */
void facts_gather(uint32_t linktype, const uint8_t *data, uint32_t cap_bytes, uint32_t wire_bytes,
	struct facts *ret);

/* Gather the facts of the packet inside @outer. Return: false if there is none. */
bool facts_inner(const struct facts *outer, struct facts *ret);

#endif
