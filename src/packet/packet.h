/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The packet view: how every driver presents packets and how everything above sees them
 * (semantics P1). Packets travel in batches; a batch is a struct of arrays, so that work on one
 * property of many packets runs over consecutive memory. All packets of a batch have one link
 * type: a driver ends a batch where the link type changes.
 */
#ifndef MAPI_PACKET_PACKET_H
#define MAPI_PACKET_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include "mask.h"

/* No packet is longer: what claims to be is damage. As libpcap's MAXIMUM_SNAPLEN for Ethernet. */
#define PACKET_CAP_BYTES_MAX 262144u

enum packet_flag {
	PACKET_OUTBOUND = 1 << 0, /* sent by this host */
	PACKET_CHECKSUM_OPEN = 1 << 1, /* a checksum is left to the card */
	PACKET_SUPER = 1 << 2, /* stands for several packets on the wire (GRO, GSO) */
	PACKET_TAG_RESTORED = 1 << 3, /* the VLAN tag came beside the packet */
	PACKET_INBOUND = 1 << 4 /* received; neither this nor PACKET_OUTBOUND: not known */
};

/**
 * struct packet_batch - up to PACKET_BATCH_MAX packets that travel together
 * @n:          number of packets
 * @linktype:   LINKTYPE_ value of the capture file formats (not DLT_), of all packets
 * @first_no:   number of packet 0 within its device, from 0; valid only in ordered processing
 * @data:       first captured byte, unaligned; @cap_bytes[i] bytes may be read.
 *              Borrowed from the driver until the chunk is released
 * @cap_bytes:  captured length
 * @wire_bytes: length on the wire
 * @ts_ns:      time of capture, nanoseconds since the Unix epoch
 * @ifindex:    capture interface: its number within the capture file, or the kernel's
 * @is_live:    @flags, @wire_pkts and @all_wire_bytes are valid, because the packets are those of a
 *              live device or of a recording that tells; else each packet is one packet on the
 *              wire, of wire_bytes, and nothing more is known of it
 * @has_super:  ... and some of @wire_pkts are more than 1
 * @flags:      PACKET_*
 * @wire_pkts:  packets on the wire that packet i stands for (semantics P3), at least 1
 * @all_wire_bytes: their bytes together, the headers of each counted
 */
struct packet_batch {
	unsigned int n;
	uint32_t linktype;
	uint64_t first_no;
	const uint8_t *data[PACKET_BATCH_MAX];
	uint32_t cap_bytes[PACKET_BATCH_MAX];
	uint32_t wire_bytes[PACKET_BATCH_MAX];
	uint64_t ts_ns[PACKET_BATCH_MAX];
	uint16_t ifindex[PACKET_BATCH_MAX];
	bool is_live;
	bool has_super;
	uint8_t flags[PACKET_BATCH_MAX];
	uint16_t wire_pkts[PACKET_BATCH_MAX];
	uint32_t all_wire_bytes[PACKET_BATCH_MAX];
};

/* Time as the public interface has it: 32.32 fixed point. Rounded up, so that whoever converts back
 * by cutting off, as programs do, gets the same nanoseconds or microseconds. */
static inline uint64_t packet_ts_from_ns(uint64_t ts_ns)
{
	uint64_t s = ts_ns / 1000000000u, ns = ts_ns % 1000000000u;

	return s << 32 | ((ns << 32) + 999999999u) / 1000000000u;
}

#endif
