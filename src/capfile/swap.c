/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Headers in front of packets that the capturing host wrote in its own byte order. In a file of the
 * opposite order they are turned, as libpcap does, so that filters see them alike. And the length
 * on the wire of USB packets, which older libpcaps computed wrongly.
 *
 * Layouts: Linux' usbmon.txt, libpcap's pcap/usb.h, pcap/nflog.h, OpenBSD's if_pflog.h and the link
 * type registry of tcpdump.org.
 */
#include "reader_private.h"

#define USB_HEADER_MMAPPED_BYTES 64u
#define USB_DESCRIPTOR_BYTES 16u
#define USB_TRANSFER_ISOCHRONOUS 0u
#define USB_ENDPOINT_IN 0x80u

#define SLL_HEADER_BYTES 16u
#define SLL_PROTOCOL_CAN 0x000cu
#define SLL_PROTOCOL_CANFD 0x000du
#define PFLOG_UID_AT 44u
#define NFLOG_HEADER_BYTES 4u
#define NFLOG_TLV_BYTES 4u

bool capfile_swap_wanted(uint32_t linktype)
{
	return linktype == CAPFILE_LINKTYPE_LINUX_SLL || linktype == CAPFILE_LINKTYPE_PFLOG ||
		linktype == CAPFILE_LINKTYPE_USB_LINUX ||
		linktype == CAPFILE_LINKTYPE_USB_LINUX_MMAPPED ||
		linktype == CAPFILE_LINKTYPE_NFLOG;
}

/* Turn the field at @at if the captured bytes hold it. Return: whether they do. */
static bool swap_field(uint8_t *data, uint32_t n_bytes, uint32_t at, uint32_t field_bytes)
{
	if (n_bytes < field_bytes || at > n_bytes - field_bytes)
		return false;
	for (uint32_t i = 0; i < field_bytes / 2; i++) {
		uint8_t t = data[at + i];

		data[at + i] = data[at + field_bytes - 1 - i];
		data[at + field_bytes - 1 - i] = t;
	}
	return true;
}

static void swap_sll(uint8_t *data, uint32_t n_bytes)
{
	uint16_t protocol;

	if (n_bytes < SLL_HEADER_BYTES)
		return;
	protocol = buf_peek_be16(data + 14);
	if (protocol == SLL_PROTOCOL_CAN || protocol == SLL_PROTOCOL_CANFD)
		(void)swap_field(data, n_bytes, SLL_HEADER_BYTES, 4);
}

static void swap_pflog(uint8_t *data, uint32_t n_bytes)
{
	/* uid, pid, rule_uid, rule_pid: as many as the header says it has */
	for (uint32_t at = PFLOG_UID_AT; at < PFLOG_UID_AT + 16; at += 4)
		if (n_bytes == 0 || data[0] < at + 4 || !swap_field(data, n_bytes, at, 4))
			return;
}

static void swap_usb(uint8_t *data, uint32_t n_bytes, bool mmapped)
{
	static const struct {
		uint8_t at;
		uint8_t field_bytes;
	} fields[] = { { 0, 8 }, { 12, 2 }, { 16, 8 }, { 24, 4 }, { 28, 4 }, { 32, 4 }, { 36, 4 } },
	  iso[] = { { 40, 4 }, { 44, 4 } }, more[] = { { 48, 4 }, { 52, 4 }, { 56, 4 }, { 60, 4 } };
	bool isochronous;
	uint32_t n;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (!swap_field(data, n_bytes, fields[i].at, fields[i].field_bytes))
			return;
	isochronous = data[9] == USB_TRANSFER_ISOCHRONOUS;
	for (size_t i = 0; isochronous && i < ARRAY_SIZE(iso); i++)
		if (!swap_field(data, n_bytes, iso[i].at, iso[i].field_bytes))
			return;
	if (!mmapped)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		if (!swap_field(data, n_bytes, more[i].at, more[i].field_bytes))
			return;
	if (!isochronous)
		return;
	n = capfile_u32(data + 60, false);
	for (uint32_t i = 0, at = USB_HEADER_MMAPPED_BYTES; i < n; i++, at += USB_DESCRIPTOR_BYTES)
		for (uint32_t f = 0; f < 12; f += 4)
			if (!swap_field(data, n_bytes, at + f, 4))
				return;
}

static void swap_nflog(uint8_t *data, uint32_t n_bytes)
{
	uint32_t at = NFLOG_HEADER_BYTES;

	if (n_bytes < NFLOG_HEADER_BYTES || data[1] != 0)
		return;
	while (swap_field(data, n_bytes, at, 2) && swap_field(data, n_bytes, at + 2, 2)) {
		uint32_t tlv_bytes = (capfile_u16(data + at + 2, false) + 3u) & 0xfffcu;

		if (tlv_bytes < NFLOG_TLV_BYTES || tlv_bytes > n_bytes - at)
			return;
		at += tlv_bytes;
	}
}

void capfile_swap(uint32_t linktype, uint8_t *data, uint32_t cap_bytes, uint32_t wire_bytes)
{
	uint32_t n_bytes = MIN(cap_bytes, wire_bytes);

	switch (linktype) {
	case CAPFILE_LINKTYPE_LINUX_SLL:
		swap_sll(data, n_bytes);
		break;
	case CAPFILE_LINKTYPE_PFLOG:
		swap_pflog(data, n_bytes);
		break;
	case CAPFILE_LINKTYPE_USB_LINUX:
		swap_usb(data, cap_bytes, false);
		break;
	case CAPFILE_LINKTYPE_USB_LINUX_MMAPPED:
		swap_usb(data, cap_bytes, true);
		break;
	case CAPFILE_LINKTYPE_NFLOG:
		swap_nflog(data, n_bytes);
		break;
	default:
		break;
	}
}

uint32_t capfile_usb_wire_bytes(const uint8_t *data, uint32_t cap_bytes, uint32_t wire_bytes)
{
	uint64_t total_bytes, data_bytes = 0;
	uint32_t n;

	if (cap_bytes < USB_HEADER_MMAPPED_BYTES)
		return wire_bytes;
	n = capfile_u32(data + 60, false);
	total_bytes = USB_HEADER_MMAPPED_BYTES + (uint64_t)n * USB_DESCRIPTOR_BYTES;
	/* Completed, isochronous, inward, with data; and the length is the wrong one. */
	if (data[15] != 0 || data[8] != 'C' || data[9] != USB_TRANSFER_ISOCHRONOUS ||
		!(data[10] & USB_ENDPOINT_IN) ||
		wire_bytes != total_bytes + capfile_u32(data + 32, false))
		return wire_bytes;
	/* Each descriptor says where its data lie: the last byte of them ends the packet. */
	for (uint32_t i = 0; i < n &&
		(uint64_t)(i + 1) * USB_DESCRIPTOR_BYTES <= cap_bytes - USB_HEADER_MMAPPED_BYTES;
		i++) {
		const uint8_t *descriptor =
			data + USB_HEADER_MMAPPED_BYTES + (size_t)i * USB_DESCRIPTOR_BYTES;
		uint64_t end = (uint64_t)capfile_u32(descriptor + 4, false) +
			capfile_u32(descriptor + 8, false);

		if (capfile_u32(descriptor + 8, false) != 0)
			data_bytes = MAX(data_bytes, MIN(end, UINT32_MAX));
	}
	total_bytes = MIN(total_bytes + data_bytes, UINT32_MAX);
	if (total_bytes >= cap_bytes)
		return (uint32_t)total_bytes;
	return MAX(cap_bytes, wire_bytes);
}
