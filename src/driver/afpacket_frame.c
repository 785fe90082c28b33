/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From frames in a block to batches. Nothing is copied: a batch points into the block. A frame is
 * only read, unless a tag is to be put back; then that is noted in the padding of the frame's own
 * header, which the kernel has zeroed: so a chunk can be walked again, and a tag is put back once.
 *
 *	| tpacket3_hdr | sockaddr_ll | ... reserved ... | virtio_net_hdr | packet ... |
 *	               ^ tp_padding: struct afpacket_note                ^ tp_mac
 *
 * Another processor has just written all this, and ours may have slept meanwhile: what takes the
 * time is waiting for memory. So the first lines of a frame, with the headers of its packet, are
 * asked for while those before it are looked at. Where it will be is guessed; asking for what is
 *not there does no harm.
 */
#include "afpacket_private.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* headers before 6.2 */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define AFPACKET_TAG_BYTES 4u
#define AFPACKET_TAG_AT 12u /* behind the two Ethernet addresses */
/* How far ahead memory is asked for: frames, and bytes of each. */
#define AFPACKET_AHEAD_FRAMES 8u
#define AFPACKET_AHEAD_BYTES 192u
#define AFPACKET_LINE_BYTES 64u
/* A packet longer than what the interface transmits, by more than tags, is a super-packet. */
#define AFPACKET_MTU_SLACK_BYTES 8u

/* What a frame is. @kept: this stands in the frame. */
struct afpacket_note {
	uint32_t all_wire_bytes;
	uint16_t wire_pkts;
	uint8_t flags;
	uint8_t kept;
};
_Static_assert(sizeof(struct afpacket_note) == sizeof(((struct tpacket3_hdr *)0)->tp_padding),
	"the note fits");

/* struct afpacket_super - how a super-packet divides. */
struct afpacket_super {
	uint32_t segment_bytes; /* payload of each packet on the wire; 0: it is one packet */
	uint32_t header_bytes; /* before the payload, repeated in each */
};

static const uint8_t *afpacket_frame_data(const struct tpacket3_hdr *frame)
{
	return (const uint8_t *)frame + frame->tp_mac;
}

/* What stands before the network header, as the kernel has it. */
static uint32_t afpacket_link_bytes(const struct tpacket3_hdr *frame)
{
	return frame->tp_net > frame->tp_mac ? (uint32_t)(frame->tp_net - frame->tp_mac) : 0;
}

static uint32_t afpacket_tcp_bytes(const struct tpacket3_hdr *frame, uint32_t at)
{
	uint32_t n_bytes;

	if (at + 13 > frame->tp_snaplen)
		return 20;
	n_bytes = (afpacket_frame_data(frame)[at + 12] >> 4) * 4u;
	return MAX(n_bytes, 20u);
}

/* Where the transport header of a plain TCP or UDP packet begins. @ret_proto: its protocol.
 * Return: 0 if it is none. */
static uint32_t afpacket_transport_at(const struct tpacket3_hdr *frame, uint8_t *ret_proto)
{
	uint32_t at = afpacket_link_bytes(frame);
	const uint8_t *ip = afpacket_frame_data(frame) + at;

	if (at + 20 > frame->tp_snaplen)
		return 0;
	if (ip[0] >> 4 == 4) {
		*ret_proto = ip[9];
		return at + (ip[0] & 15) * 4u;
	}
	*ret_proto = ip[6];
	return ip[0] >> 4 == 6 ? at + 40 : 0;
}

/* The kernel tells of the segments, and where the innermost checksum begins: so tunnels divide
 * rightly too. */
static void afpacket_super_told(const struct tpacket3_hdr *frame, struct afpacket_super *ret)
{
	struct virtio_net_hdr vnet;
	bool is_udp;
	uint8_t proto;
	uint32_t at;

	memcpy(&vnet, afpacket_frame_data(frame) - sizeof(vnet), sizeof(vnet));
	switch (vnet.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV6:
		is_udp = false;
		break;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		is_udp = true;
		break;
	default:
		return;
	}
	at = vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM ? vnet.csum_start
						      : afpacket_transport_at(frame, &proto);
	if (at == 0)
		return;
	ret->segment_bytes = vnet.gso_size;
	ret->header_bytes = at + (is_udp ? 8u : afpacket_tcp_bytes(frame, at));
}

/* The kernel does not tell: TCP that is longer than can be sent was full segments, mostly. */
static void afpacket_super_guessed(
	const struct tpacket3_hdr *frame, uint32_t mtu_bytes, struct afpacket_super *ret)
{
	uint32_t link_bytes = afpacket_link_bytes(frame);
	uint32_t at;
	uint8_t proto;

	if (mtu_bytes == 0 || frame->tp_len <= link_bytes + mtu_bytes + AFPACKET_MTU_SLACK_BYTES)
		return;
	at = afpacket_transport_at(frame, &proto);
	if (at == 0 || proto != IPPROTO_TCP)
		return;
	ret->header_bytes = at + afpacket_tcp_bytes(frame, at);
	if (ret->header_bytes < link_bytes + mtu_bytes)
		ret->segment_bytes = link_bytes + mtu_bytes - ret->header_bytes;
}

/* The kernel keeps the outermost tag beside the packet; on the wire it stood in it. The addresses
 * move into the room before the packet. */
static void afpacket_restore_tag(struct tpacket3_hdr *frame)
{
	uint16_t tpid = frame->tp_status & TP_STATUS_VLAN_TPID_VALID ? frame->hv1.tp_vlan_tpid
								     : ETH_P_8021Q;
	uint16_t tag[2] = { htons(tpid), htons((uint16_t)frame->hv1.tp_vlan_tci) };
	uint8_t *data = (uint8_t *)frame + frame->tp_mac - AFPACKET_TAG_BYTES;
	uint32_t moved_bytes = MIN(frame->tp_snaplen, AFPACKET_TAG_AT);

	_Static_assert(sizeof(tag) == AFPACKET_TAG_BYTES, "a tag");
	memmove(data, data + AFPACKET_TAG_BYTES, moved_bytes);
	frame->tp_mac = (uint16_t)(frame->tp_mac - AFPACKET_TAG_BYTES);
	frame->tp_len += AFPACKET_TAG_BYTES;
	if (moved_bytes < AFPACKET_TAG_AT)
		return;
	memcpy(data + AFPACKET_TAG_AT, tag, sizeof(tag));
	frame->tp_snaplen += AFPACKET_TAG_BYTES;
}

/* Whether a packet is one packet on the wire, as it was there. */
static bool afpacket_is_plain(
	const struct tpacket3_hdr *frame, bool vnet, const struct afpacket_frames *frames)
{
	const uint8_t *gso_type = afpacket_frame_data(frame) - sizeof(struct virtio_net_hdr) +
		offsetof(struct virtio_net_hdr, gso_type);

	if (frame->tp_status & (TP_STATUS_VLAN_VALID | TP_STATUS_CSUMNOTREADY))
		return false;
	return vnet ? *gso_type == VIRTIO_NET_HDR_GSO_NONE : frame->tp_len <= frames->mtu_bytes;
}

/* What a frame is that is not plain. */
static __attribute__((noinline)) struct afpacket_note afpacket_meet(
	struct tpacket3_hdr *frame, bool vnet, const struct afpacket_frames *frames)
{
	struct afpacket_super super = { .segment_bytes = 0 };
	struct afpacket_note note;

	memcpy(&note, frame->tp_padding, sizeof(note));
	if (note.kept)
		return note;
	note = (struct afpacket_note){ .wire_pkts = 1 };
	if (frame->tp_status & TP_STATUS_CSUMNOTREADY)
		note.flags |= PACKET_CHECKSUM_OPEN;
	if (vnet)
		afpacket_super_told(frame, &super);
	else
		afpacket_super_guessed(frame, frames->mtu_bytes, &super);
	if (frame->tp_status & TP_STATUS_VLAN_VALID &&
		frames->linktype == AFPACKET_LINKTYPE_ETHERNET) {
		afpacket_restore_tag(frame);
		frame->tp_snaplen = MIN(frame->tp_snaplen, frames->snaplen_bytes);
		super.header_bytes += AFPACKET_TAG_BYTES;
		note.flags |= PACKET_TAG_RESTORED;
		note.kept = 1;
	}
	note.all_wire_bytes = frame->tp_len;
	if (super.segment_bytes > 0 && frame->tp_len > super.header_bytes + super.segment_bytes) {
		uint32_t payload_bytes = frame->tp_len - super.header_bytes;
		uint32_t n = payload_bytes / super.segment_bytes +
			(payload_bytes % super.segment_bytes != 0);

		note.wire_pkts = (uint16_t)MIN(n, (uint32_t)UINT16_MAX);
		note.all_wire_bytes += (note.wire_pkts - 1u) * super.header_bytes;
		note.flags |= PACKET_SUPER;
	}
	if (note.kept)
		memcpy(frame->tp_padding, &note, sizeof(note));
	return note;
}

void afpacket_chunk_start(struct afpacket_chunk *chunk)
{
	for (unsigned int i = 0; i < chunk->n_slices; i++) {
		chunk->slices[i].at = chunk->slices[i].first;
		chunk->slices[i].n_left = chunk->slices[i].n;
		chunk->slices[i].n_foreign = 0;
	}
}

static void afpacket_ask_ahead(const uint8_t *at, uint32_t frame_bytes)
{
	const uint8_t *ahead = at + (size_t)AFPACKET_AHEAD_FRAMES * frame_bytes;

	for (unsigned int i = 0; i < AFPACKET_AHEAD_BYTES; i += AFPACKET_LINE_BYTES)
		__builtin_prefetch(ahead + i);
}

/* Whether the stack may have no use for a packet that came in, after all have seen it: it drops
 * what nobody takes (net/core/dev.c), which these take always. */
static bool afpacket_is_foreign(const struct sockaddr_ll *address, bool has_ipv6)
{
	uint16_t type = address->sll_protocol; /* behind a first tag */

	return type != htons(ETH_P_IP) && !(has_ipv6 && type == htons(ETH_P_IPV6)) &&
		type != htons(ETH_P_ARP) && address->sll_pkttype != PACKET_OUTGOING;
}

static const struct sockaddr_ll *afpacket_address(const struct tpacket3_hdr *frame)
{
	return (const void *)((const uint8_t *)frame + TPACKET_ALIGN(sizeof(*frame)));
}

static void afpacket_present(struct tpacket3_hdr *frame, bool vnet,
	const struct afpacket_frames *frames, struct packet_batch *ret, unsigned int i)
{
	const struct sockaddr_ll *address = afpacket_address(frame);
	struct afpacket_note note = { .wire_pkts = 1, .all_wire_bytes = frame->tp_len };

	if (!afpacket_is_plain(frame, vnet, frames)) {
		note = afpacket_meet(frame, vnet, frames);
		ret->has_super = ret->has_super || note.wire_pkts > 1;
	}
	ret->data[i] = afpacket_frame_data(frame);
	ret->cap_bytes[i] = frame->tp_snaplen;
	ret->wire_bytes[i] = frame->tp_len;
	ret->ts_ns[i] = afpacket_frame_ns((uint8_t *)frame);
	ret->flags[i] = note.flags |
		(address->sll_pkttype == PACKET_OUTGOING ? PACKET_OUTBOUND : PACKET_INBOUND);
	ret->wire_pkts[i] = note.wire_pkts;
	ret->all_wire_bytes[i] = note.all_wire_bytes;
}

/* The slice whose next frame is the earliest. @ret_until_ns: how long it stays so. Return: NULL:
 * the chunk is done. */
static struct afpacket_slice *afpacket_chunk_earliest(
	const struct afpacket_chunk *chunk, uint64_t *ret_until_ns)
{
	struct afpacket_slice *ret = NULL;
	uint64_t ret_ns = UINT64_MAX;

	*ret_until_ns = UINT64_MAX;
	for (unsigned int i = 0; i < chunk->n_slices; i++) {
		struct afpacket_slice *slice = &chunk->slices[i];
		uint64_t ns;

		if (slice->n_left == 0)
			continue;
		ns = afpacket_frame_ns(slice->at);
		if (!ret || ns < ret_ns) {
			*ret_until_ns = ret_ns;
			ret_ns = ns;
			ret = slice;
		} else {
			*ret_until_ns = MIN(*ret_until_ns, ns);
		}
	}
	return ret;
}

/* Its next frame, and those after it that are not later than @until_ns. */
static void afpacket_slice_next(struct afpacket_slice *slice, uint64_t until_ns,
	const struct afpacket_frames *frames, struct packet_batch *ret)
{
	bool vnet = slice->ring->vnet;

	do {
		struct tpacket3_hdr *frame = (void *)slice->at; /* aligned by the kernel */

		afpacket_ask_ahead(slice->at, frame->tp_next_offset);
		afpacket_present(frame, vnet, frames, ret, ret->n++);
		slice->n_foreign += afpacket_is_foreign(afpacket_address(frame), frames->has_ipv6);
		slice->at += frame->tp_next_offset;
		slice->n_left--;
	} while (slice->n_left > 0 && ret->n < frames->batch_pkts &&
		afpacket_frame_ns(slice->at) <= until_ns);
}

int afpacket_chunk_next(struct afpacket_chunk *chunk, const struct afpacket_frames *frames,
	struct packet_batch *ret)
{
	struct afpacket_slice *slice;
	uint64_t until_ns;

	ret->n = 0;
	ret->linktype = frames->linktype;
	ret->is_live = true;
	ret->has_super = false;
	while (ret->n < frames->batch_pkts && (slice = afpacket_chunk_earliest(chunk, &until_ns)))
		afpacket_slice_next(slice, until_ns, frames, ret);
	if (ret->n == 0)
		return DRIVER_E_END;
	memset(ret->ifindex, 0, ret->n * sizeof(ret->ifindex[0]));
	return 0;
}
