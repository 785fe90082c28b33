/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pcapng format (draft-ietf-opsawg-pcapng): sections of either byte order, any number of
 * interfaces and link types, enhanced, simple and obsolete packet blocks; all other blocks are
 * stepped over.
 */
#include "reader_private.h"

#include <errno.h>
#include <stdio.h>

#include "pcapng_private.h"

enum pcapng_block_type {
	PCAPNG_BLOCK_INTERFACE = 1,
	PCAPNG_BLOCK_PACKET = 2, /* obsolete */
	PCAPNG_BLOCK_SIMPLE = 3,
	PCAPNG_BLOCK_ENHANCED = 6,
	PCAPNG_BLOCK_SECTION = 0x0a0d0d0a /* the same in both byte orders */
};

enum pcapng_option {
	PCAPNG_OPTION_END = 0,
	PCAPNG_OPTION_COMMENT = 1,
	PCAPNG_OPTION_EPB_FLAGS = 2,
	PCAPNG_OPTION_IF_NAME = 2,
	PCAPNG_OPTION_IF_TSRESOL = 9,
	PCAPNG_OPTION_IF_TSOFFSET = 14
};

#define PCAPNG_MAGIC 0x1a2b3c4du
#define PCAPNG_SECTION_MIN_BYTES 28u
#define PCAPNG_SECTION_MAX_BYTES (1u << 20)
#define PCAPNG_INTERFACE_MIN_BYTES 20u
#define PCAPNG_BLOCK_MIN_BYTES 12u
/* No block is longer, except packets of the link types that allow long ones. */
#define PCAPNG_BLOCK_MAX_BYTES (16u << 20)
#define PCAPNG_OPTIONS_MAX_BYTES 131072u

/* Byte order of a section header block. Return: false if it is none. */
static bool pcapng_section_order(const uint8_t *at, bool *ret_swapped)
{
	uint32_t magic = capfile_u32(at + 8, false);

	if (magic != PCAPNG_MAGIC && magic != __builtin_bswap32(PCAPNG_MAGIC))
		return false;
	*ret_swapped = magic != PCAPNG_MAGIC;
	return true;
}

int capfile_pcapng_open(struct capfile_file *ret, const uint8_t *bytes, size_t n_bytes, bool more,
	const char *name, struct error *err)
{
	unsigned int major, minor;

	if (n_bytes >= 4 && capfile_u32(bytes, false) != PCAPNG_BLOCK_SECTION)
		return CAPFILE_E_UNKNOWN;
	if (n_bytes < 16)
		return more ? CAPFILE_E_MORE : CAPFILE_E_UNKNOWN;
	if (!pcapng_section_order(bytes, &ret->swapped))
		return CAPFILE_E_UNKNOWN;
	major = capfile_u16(bytes + 12, ret->swapped);
	minor = capfile_u16(bytes + 14, ret->swapped);
	if (major != 1 || (minor != 0 && minor != 2))
		return error_set(err, PCAP_OPEN_ERR,
			"%s: pcapng version %u.%u cannot be read, only 1.0 and 1.2 can", name,
			major, minor);
	ret->kind = CAPFILE_KIND_PCAPNG;
	return 0;
}

/* Nanoseconds since 1970 of a timestamp; what lies outside 1970 .. 2554 is moved to the edge. */
static uint64_t pcapng_ts(const struct capfile_interface *interface, uint64_t ts)
{
	uint64_t units = interface->ts_units_per_s, frac_ns;
	__int128 s;

	if (interface->ts_offset_s == 0) {
		if (units == CAPFILE_NS_PER_S)
			return ts;
		if (units == 1000000 && ts <= UINT64_MAX / 1000)
			return ts * 1000;
	}
	s = (__int128)(ts / units) + interface->ts_offset_s;
	frac_ns = (uint64_t)((unsigned __int128)(ts % units) * CAPFILE_NS_PER_S / units);
	if (s < 0)
		return 0;
	if (s >= (__int128)(UINT64_MAX / CAPFILE_NS_PER_S))
		return UINT64_MAX;
	return (uint64_t)s * CAPFILE_NS_PER_S + frac_ns;
}

/* The packet within a block whose fixed part is known to be there. */
static int pcapng_packet(const struct capfile_file *format, const struct capfile_cursor *cursor,
	uint32_t index, uint64_t ts, const uint8_t *data, size_t room, struct capfile_record *ret)
{
	const struct capfile_interface *interface = NULL;

	if (index < cursor->n_interfaces)
		interface = capfile_interface_get(format, cursor->first_interface + index);
	if (!interface)
		return capfile_bad(
			ret, "a packet of interface %u, which has not been described", index);
	if (ret->cap_bytes > interface->snaplen_bytes)
		return capfile_bad(ret,
			"the block says %u captured bytes, its interface at most %u",
			ret->cap_bytes, interface->snaplen_bytes);
	if (ret->cap_bytes > room)
		return capfile_bad(ret, "the block says %u captured bytes, but has room for %zu",
			ret->cap_bytes, room);
	ret->packet = true;
	ret->tells = false;
	ret->data = data;
	ret->linktype = interface->linktype;
	ret->ifindex = (uint16_t)(cursor->first_interface + index);
	ret->ts_ns = pcapng_ts(interface, ts);
	if (ret->linktype == CAPFILE_LINKTYPE_USB_LINUX_MMAPPED)
		ret->wire_bytes = capfile_usb_wire_bytes(data, ret->cap_bytes, ret->wire_bytes);
	ret->cap_bytes = MIN(ret->cap_bytes, PACKET_CAP_BYTES_MAX);
	return 0;
}

/* Begin to tell: what is known of every packet. */
static void pcapng_tell(struct capfile_record *ret)
{
	if (ret->tells)
		return;
	ret->tells = true;
	ret->flags = 0;
	ret->wire_pkts = 1;
	ret->all_wire_bytes = ret->wire_bytes;
}

static void pcapng_flags(uint32_t flags, struct capfile_record *ret)
{
	pcapng_tell(ret);
	if ((flags & 3) == PCAPNG_FLAG_INBOUND)
		ret->flags |= PACKET_INBOUND;
	if ((flags & 3) == PCAPNG_FLAG_OUTBOUND)
		ret->flags |= PACKET_OUTBOUND;
	if (flags & PCAPNG_FLAG_CHECKSUM_OPEN)
		ret->flags |= PACKET_CHECKSUM_OPEN;
}

/* A comment, if it is that of a super-packet: the text that the writer would write, and no other.
 */
static void pcapng_comment(const uint8_t *value, size_t n_bytes, struct capfile_record *ret)
{
	char text[PCAPNG_SUPER_TEXT_BYTES], again[PCAPNG_SUPER_TEXT_BYTES];
	unsigned int n_pkts, n_wire_bytes;

	if (n_bytes >= sizeof(text) || n_bytes < 2 || value[0] != PCAPNG_SUPER_TEXT[0])
		return;
	memcpy(text, value, n_bytes);
	text[n_bytes] = '\0';
	if (sscanf(text, PCAPNG_SUPER_TEXT, &n_pkts, &n_wire_bytes) != 2)
		return;
	(void)snprintf(again, sizeof(again), PCAPNG_SUPER_TEXT, n_pkts, n_wire_bytes);
	if (strlen(again) != n_bytes || memcmp(again, text, n_bytes) != 0 || n_pkts < 2 ||
		n_pkts > UINT16_MAX || n_wire_bytes < ret->wire_bytes)
		return;
	pcapng_tell(ret);
	ret->flags |= PACKET_SUPER;
	ret->wire_pkts = (uint16_t)n_pkts;
	ret->all_wire_bytes = n_wire_bytes;
}

/* What stands behind the packet; damage there is nobody's business, as in libpcap. */
static void pcapng_packet_options(
	const uint8_t *at, size_t n_bytes, bool swapped, struct capfile_record *ret)
{
	struct buf b = buf_from(at, n_bytes);

	while (buf_left(&b) > 0) {
		const uint8_t *head = buf_take(&b, 4), *value;
		uint16_t code = head ? capfile_u16(head, swapped) : 0;
		uint16_t value_bytes = head ? capfile_u16(head + 2, swapped) : 0;

		value = buf_take(&b, ((size_t)value_bytes + 3) & ~(size_t)3);
		if (!value || code == PCAPNG_OPTION_END)
			return;
		if (code == PCAPNG_OPTION_EPB_FLAGS && value_bytes == 4)
			pcapng_flags(capfile_u32(value, swapped), ret);
		else if (code == PCAPNG_OPTION_COMMENT)
			pcapng_comment(value, value_bytes, ret);
	}
}

static int pcapng_enhanced(const struct capfile_file *format, const struct capfile_cursor *cursor,
	const uint8_t *at, struct capfile_record *ret)
{
	bool swapped = cursor->swapped;
	uint64_t ts = (uint64_t)capfile_u32(at + 12, swapped) << 32 | capfile_u32(at + 16, swapped);
	size_t cap_bytes;
	int r;

	if (ret->bytes < 32)
		return capfile_bad(ret, "a packet block of only %zu bytes", ret->bytes);
	ret->cap_bytes = capfile_u32(at + 20, swapped);
	ret->wire_bytes = capfile_u32(at + 24, swapped);
	cap_bytes = ((size_t)ret->cap_bytes + 3) & ~(size_t)3;
	r = pcapng_packet(
		format, cursor, capfile_u32(at + 8, swapped), ts, at + 28, ret->bytes - 32, ret);
	if (r == 0 && cap_bytes + 4 <= ret->bytes - 32)
		pcapng_packet_options(
			at + 28 + cap_bytes, ret->bytes - 32 - cap_bytes, swapped, ret);
	return r;
}

static int pcapng_obsolete(const struct capfile_file *format, const struct capfile_cursor *cursor,
	const uint8_t *at, struct capfile_record *ret)
{
	bool swapped = cursor->swapped;
	uint64_t ts = (uint64_t)capfile_u32(at + 12, swapped) << 32 | capfile_u32(at + 16, swapped);

	if (ret->bytes < 32)
		return capfile_bad(ret, "a packet block of only %zu bytes", ret->bytes);
	ret->cap_bytes = capfile_u32(at + 20, swapped);
	ret->wire_bytes = capfile_u32(at + 24, swapped);
	return pcapng_packet(
		format, cursor, capfile_u16(at + 8, swapped), ts, at + 28, ret->bytes - 32, ret);
}

static int pcapng_simple(const struct capfile_file *format, const struct capfile_cursor *cursor,
	const uint8_t *at, struct capfile_record *ret)
{
	const struct capfile_interface *first = NULL;

	if (ret->bytes < 16)
		return capfile_bad(ret, "a packet block of only %zu bytes", ret->bytes);
	if (cursor->n_interfaces > 0)
		first = capfile_interface_get(format, cursor->first_interface);
	ret->wire_bytes = capfile_u32(at + 8, cursor->swapped);
	/* The captured length is not written: it follows from the interface. */
	ret->cap_bytes = first ? MIN(ret->wire_bytes, first->snaplen_bytes) : ret->wire_bytes;
	return pcapng_packet(format, cursor, 0, 0, at + 12, ret->bytes - 16, ret);
}

/* Length of the block at @at: 0, CAPFILE_E_MORE, CAPFILE_E_DAMAGED. */
static int pcapng_block(const uint8_t *at, size_t left, bool swapped, uint32_t max_bytes,
	struct capfile_record *ret)
{
	uint32_t bytes = capfile_u32(at + 4, swapped), again;

	if (bytes < PCAPNG_BLOCK_MIN_BYTES || bytes % 4 != 0 || bytes > max_bytes)
		return capfile_bad(ret, "a block of %u bytes: %s", bytes,
			bytes > max_bytes   ? "too long"
				: bytes % 4 ? "not a multiple of 4"
					    : "too short");
	ret->bytes = bytes;
	if (bytes > left)
		return CAPFILE_E_MORE;
	again = capfile_u32(at + bytes - 4, swapped);
	if (again != bytes)
		return capfile_bad(
			ret, "a block starts with the length %u and ends with %u", bytes, again);
	return 0;
}

int capfile_pcapng_record(const struct capfile_file *format, const struct capfile_cursor *cursor,
	const uint8_t *at, size_t left, struct capfile_record *ret)
{
	bool swapped = cursor->swapped;
	uint32_t type;
	int r;

	ret->packet = false;
	ret->bytes = PCAPNG_BLOCK_MIN_BYTES;
	if (left < PCAPNG_BLOCK_MIN_BYTES)
		return CAPFILE_E_MORE;
	type = capfile_u32(at, swapped);
	if (type == PCAPNG_BLOCK_SECTION) {
		if (!pcapng_section_order(at, &swapped))
			return capfile_bad(ret, "a section header without byte order mark");
		return pcapng_block(at, left, swapped, PCAPNG_SECTION_MAX_BYTES, ret);
	}
	r = pcapng_block(at, left, swapped,
		MAX(PCAPNG_BLOCK_MAX_BYTES, cursor->packet_max_bytes + PCAPNG_OPTIONS_MAX_BYTES),
		ret);
	if (r != 0)
		return r;
	switch (type) {
	case PCAPNG_BLOCK_ENHANCED:
		return pcapng_enhanced(format, cursor, at, ret);
	case PCAPNG_BLOCK_SIMPLE:
		return pcapng_simple(format, cursor, at, ret);
	case PCAPNG_BLOCK_PACKET:
		return pcapng_obsolete(format, cursor, at, ret);
	default:
		return 0;
	}
}

static int pcapng_tsresol(uint8_t code, uint64_t *ret_units, struct capfile_record *record)
{
	uint64_t units = 1;

	if (code & 0x80) {
		if ((code & 0x7f) > 63)
			return capfile_bad(record, "timestamps in units of 2^-%u s", code & 0x7f);
		*ret_units = 1ULL << (code & 0x7f);
		return 0;
	}
	if (code > 19)
		return capfile_bad(record, "timestamps in units of 10^-%u s", code);
	while (code-- > 0)
		units *= 10;
	*ret_units = units;
	return 0;
}

static int pcapng_interface_option(struct capfile_interface *interface, uint16_t code,
	const uint8_t *value, uint16_t bytes, bool swapped, struct capfile_record *record)
{
	switch (code) {
	case PCAPNG_OPTION_IF_NAME:
		bytes = MIN(bytes, (uint16_t)(sizeof(interface->name) - 1));
		memcpy(interface->name, value, bytes);
		interface->name[bytes] = '\0';
		return 0;
	case PCAPNG_OPTION_IF_TSRESOL:
		if (bytes != 1)
			return capfile_bad(record, "a timestamp resolution of %u bytes", bytes);
		return pcapng_tsresol(*value, &interface->ts_units_per_s, record);
	case PCAPNG_OPTION_IF_TSOFFSET:
		if (bytes != 8)
			return capfile_bad(record, "a timestamp offset of %u bytes", bytes);
		interface->ts_offset_s = (int64_t)capfile_u64(value, swapped);
		return 0;
	default:
		return 0;
	}
}

/* @known: the interface is in the table already; its block is only checked. */
static int pcapng_interface(struct capfile_file *grow, bool known, const uint8_t *block,
	size_t bytes, bool swapped, struct capfile_record *record)
{
	struct capfile_interface interface = { .ts_units_per_s = 1000000 };
	struct buf b = buf_from(block + 16, bytes - PCAPNG_INTERFACE_MIN_BYTES);
	int r = 0;

	interface.linktype = capfile_u16(block + 8, swapped);
	interface.snaplen_bytes =
		capfile_snaplen(interface.linktype, capfile_u32(block + 12, swapped));
	while (r == 0 && buf_left(&b) > 0) {
		const uint8_t *head = buf_take(&b, 4), *value;
		uint16_t code = head ? capfile_u16(head, swapped) : 0;
		uint16_t value_bytes = head ? capfile_u16(head + 2, swapped) : 0;

		value = buf_take(&b, ((size_t)value_bytes + 3) & ~(size_t)3);
		if (!value)
			return capfile_bad(record, "an option is longer than its block");
		if (code == PCAPNG_OPTION_END)
			break;
		r = pcapng_interface_option(&interface, code, value, value_bytes, swapped, record);
	}
	if (r != 0 || known)
		return r;
	r = capfile_interface_add(grow, &interface);
	if (r == CAPFILE_E_DAMAGED)
		return capfile_bad(record, "more than %u interfaces", CAPFILE_INTERFACES_MAX);
	return r;
}

int capfile_pcapng_enter(struct capfile_file *grow, struct capfile_cursor *cursor,
	const uint8_t *block, size_t bytes, struct capfile_record *record)
{
	uint32_t type = capfile_u32(block, cursor->swapped);
	int r;

	if (type == PCAPNG_BLOCK_SECTION) {
		bool swapped = false;

		if (bytes < PCAPNG_SECTION_MIN_BYTES || !pcapng_section_order(block, &swapped))
			return capfile_bad(record, "a section header of only %zu bytes", bytes);
		if (capfile_u16(block + 12, swapped) != 1)
			return capfile_bad(record,
				"a section of pcapng version %u, only 1 can be read",
				capfile_u16(block + 12, swapped));
		cursor->first_interface += cursor->n_interfaces;
		cursor->n_interfaces = 0;
		cursor->swapped = swapped;
		return 0;
	}
	if (type != PCAPNG_BLOCK_INTERFACE)
		return 0;
	if (bytes < PCAPNG_INTERFACE_MIN_BYTES)
		return capfile_bad(record, "an interface description of only %zu bytes", bytes);
	if (grow) {
		bool known = cursor->first_interface + cursor->n_interfaces <
			atomic_load_explicit(&grow->n_interfaces, memory_order_relaxed);

		r = pcapng_interface(grow, known, block, bytes, cursor->swapped, record);
		if (r != 0)
			return r;
	}
	cursor->n_interfaces += 1;
	cursor->packet_max_bytes = MAX(
		cursor->packet_max_bytes, capfile_cap_max(capfile_u16(block + 8, cursor->swapped)));
	return 0;
}
