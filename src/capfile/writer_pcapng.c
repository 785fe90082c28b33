/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing pcapng (draft-ietf-opsawg-pcapng): one section in the byte order of this host; an
 * interface for each pair of capture interface and link type, described before its first packet.
 */
#include "writer_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mapi/errors.h"
#include "packet/packet.h"
#include "pcapng_private.h"

#define PCAPNG_SECTION 0x0a0d0d0au
#define PCAPNG_INTERFACE 1u
#define PCAPNG_STATISTICS 5u
#define PCAPNG_ENHANCED 6u
#define PCAPNG_MAGIC 0x1a2b3c4du
#define PCAPNG_COMMENT 1u
#define PCAPNG_SHB_USERAPPL 4u
#define PCAPNG_EPB_FLAGS 2u
#define PCAPNG_EPB_DROPCOUNT 4u
#define PCAPNG_IF_NAME 2u
#define PCAPNG_IF_TSRESOL 9u
#define PCAPNG_ISB_IFRECV 4u
#define PCAPNG_ISB_IFDROP 5u
#define PCAPNG_OPTION_MAX_BYTES 65535u

/* Option headers, a short option's value with padding. */
struct writer_option {
	uint16_t code;
	uint16_t n_bytes;
};

struct writer_option_u64 {
	struct writer_option head;
	uint32_t value[2];
};
_Static_assert(sizeof(struct writer_option_u64) == 12, "as in the file");

/* Options of a packet: what is known of it beside its bytes. */
struct writer_extras {
	uint8_t bytes[96];
	size_t n_bytes;
};
_Static_assert(3 * sizeof(struct writer_option) + 4 + 8 + PCAPNG_SUPER_TEXT_BYTES <=
		sizeof(((struct writer_extras *)0)->bytes),
	"all of them fit");

static const uint8_t writer_padding[4];

static size_t writer_pad(size_t n_bytes)
{
	return -n_bytes & 3;
}

/* A text option as parts: header, text, padding. Return: how many parts were filled, 0 or 3. */
static unsigned int writer_text(
	struct output_part *parts, struct writer_option *head, uint16_t code, const char *text)
{
	size_t n_bytes = text ? MIN(strlen(text), PCAPNG_OPTION_MAX_BYTES) : 0;

	if (n_bytes == 0)
		return 0;
	*head = (struct writer_option){ .code = code, .n_bytes = (uint16_t)n_bytes };
	parts[0] = (struct output_part){ .bytes = head, .n_bytes = sizeof(*head) };
	parts[1] = (struct output_part){ .bytes = text, .n_bytes = n_bytes };
	parts[2] = (struct output_part){ .bytes = writer_padding, .n_bytes = writer_pad(n_bytes) };
	return 3;
}

/* End of options and of the block. @length: of the block, filled here for its head and its tail. */
static int writer_block(struct capfile_writer *writer, struct output_part *parts,
	unsigned int n_parts, bool options, bool is_packet, uint32_t *length, struct error *err)
{
	struct {
		struct writer_option end;
		uint32_t length;
	} tail = { .length = 0 };
	size_t n_bytes = sizeof(tail.length) + (options ? sizeof(tail.end) : 0);

	for (unsigned int i = 0; i < n_parts; i++)
		n_bytes += parts[i].n_bytes;
	*length = tail.length = (uint32_t)n_bytes;
	parts[n_parts] = options
		? (struct output_part){ .bytes = &tail, .n_bytes = sizeof(tail) }
		: (struct output_part){ .bytes = &tail.length, .n_bytes = sizeof(tail.length) };
	return output_put(writer->output, parts, n_parts + 1, is_packet, err);
}

int writer_pcapng_begin(struct capfile_writer *writer, struct error *err)
{
	struct {
		uint32_t type;
		uint32_t length;
		uint32_t magic;
		uint16_t version_major;
		uint16_t version_minor;
		uint32_t section_bytes[2];
	} head = { .type = PCAPNG_SECTION,
		.magic = PCAPNG_MAGIC,
		.version_major = 1,
		.section_bytes = { UINT32_MAX, UINT32_MAX } }; /* not known */
	struct writer_option options[2];
	struct output_part parts[OUTPUT_PARTS_MAX] = { { .bytes = &head,
		.n_bytes = sizeof(head) } };
	unsigned int n = 1;

	n += writer_text(parts + n, &options[0], PCAPNG_SHB_USERAPPL, "mapi");
	n += writer_text(parts + n, &options[1], PCAPNG_COMMENT, writer->comment);
	return writer_block(writer, parts, n, true, false, &head.length, err);
}

static int writer_interface_add(
	struct capfile_writer *writer, uint16_t ifindex, uint32_t linktype, struct error *err)
{
	struct {
		uint32_t type;
		uint32_t length;
		uint16_t linktype;
		uint16_t reserved;
		uint32_t snaplen_bytes;
		struct writer_option tsresol;
		uint8_t tsresol_value[4];
	} head = { .type = PCAPNG_INTERFACE,
		.linktype = (uint16_t)linktype,
		.snaplen_bytes = writer->snaplen_bytes,
		.tsresol = { .code = PCAPNG_IF_TSRESOL, .n_bytes = 1 },
		.tsresol_value = { 9 } };
	struct output_part parts[OUTPUT_PARTS_MAX] = { { .bytes = &head,
		.n_bytes = sizeof(head) } };
	struct writer_interface *grown;
	struct writer_option option;
	char name[256];
	int r;

	if (linktype > UINT16_MAX || writer->n_interfaces == WRITER_INTERFACES_MAX)
		return error_set(err, MAPI_OUTPUT_FAILED,
			linktype > UINT16_MAX
				? "%s: pcapng cannot hold link type %u"
				: "%s: more than 65536 interfaces, the next of link type %u",
			output_path(writer->output), linktype);
	grown = reallocarray(writer->interfaces, writer->n_interfaces + 1, sizeof(*grown));
	if (!grown)
		return error_set(
			err, MAPI_OUT_OF_MEMORY, "%s: out of memory", output_path(writer->output));
	writer->interfaces = grown;
	(void)snprintf(name, sizeof(name), "%s%s%u", writer->device ? writer->device : "if",
		writer->device ? ":" : "", ifindex);
	r = writer_block(writer, parts, 1 + writer_text(parts + 1, &option, PCAPNG_IF_NAME, name),
		true, false, &head.length, err);
	if (r < 0)
		return r;
	grown[writer->n_interfaces] =
		(struct writer_interface){ .linktype = linktype, .ifindex = ifindex };
	writer->recent = writer->n_interfaces++;
	return 0;
}

/* Make writer->recent the interface. @any_linktype: the first that fits will do. */
static int writer_interface(struct capfile_writer *writer, uint16_t ifindex, uint32_t linktype,
	bool any_linktype, struct error *err)
{
	for (unsigned int i = 0; i < writer->n_interfaces; i++) {
		unsigned int n = (writer->recent + i) % writer->n_interfaces;
		const struct writer_interface *interface = &writer->interfaces[n];

		if (interface->ifindex == ifindex &&
			(any_linktype || interface->linktype == linktype)) {
			writer->recent = n;
			return 0;
		}
	}
	while (writer->keep_ifindex && writer->n_interfaces < ifindex) {
		int r = writer_interface_add(writer, (uint16_t)writer->n_interfaces, linktype, err);

		if (r < 0)
			return r;
	}
	return writer_interface_add(writer, ifindex, linktype, err);
}

static void writer_extra(
	struct writer_extras *extras, uint16_t code, const void *value, size_t n_bytes)
{
	const struct writer_option head = { .code = code, .n_bytes = (uint16_t)n_bytes };
	uint8_t *at = extras->bytes + extras->n_bytes;

	memcpy(at, &head, sizeof(head));
	memcpy(at + sizeof(head), value, n_bytes);
	memset(at + sizeof(head) + n_bytes, 0, writer_pad(n_bytes));
	extras->n_bytes += sizeof(head) + n_bytes + writer_pad(n_bytes);
}

static void writer_extras(struct writer_extras *extras, const struct capfile_packet *packet)
{
	uint32_t flags = 0;

	if (packet->flags & PACKET_INBOUND)
		flags |= PCAPNG_FLAG_INBOUND;
	if (packet->flags & PACKET_OUTBOUND)
		flags |= PCAPNG_FLAG_OUTBOUND;
	if (packet->flags & PACKET_CHECKSUM_OPEN)
		flags |= PCAPNG_FLAG_CHECKSUM_OPEN;
	if (flags)
		writer_extra(extras, PCAPNG_EPB_FLAGS, &flags, sizeof(flags));
	if (packet->lost_pkts)
		writer_extra(extras, PCAPNG_EPB_DROPCOUNT, &packet->lost_pkts,
			sizeof(packet->lost_pkts));
	if (packet->wire_pkts > 1) {
		char text[PCAPNG_SUPER_TEXT_BYTES];
		int n = snprintf(text, sizeof(text), PCAPNG_SUPER_TEXT, packet->wire_pkts,
			packet->all_wire_bytes);

		writer_extra(extras, PCAPNG_COMMENT, text, (size_t)n);
	}
}

int writer_pcapng_packet(
	struct capfile_writer *writer, const struct capfile_packet *packet, struct error *err)
{
	struct {
		uint32_t type;
		uint32_t length;
		uint32_t interface;
		uint32_t ts_high;
		uint32_t ts_low;
		uint32_t cap_bytes;
		uint32_t wire_bytes;
	} head = { .type = PCAPNG_ENHANCED,
		.ts_high = (uint32_t)(packet->ts_ns >> 32),
		.ts_low = (uint32_t)packet->ts_ns,
		.cap_bytes = packet->cap_bytes,
		.wire_bytes = packet->wire_bytes };
	struct output_part parts[OUTPUT_PARTS_MAX] = { { .bytes = &head, .n_bytes = sizeof(head) },
		{ .bytes = packet->data, .n_bytes = packet->cap_bytes },
		{ .bytes = writer_padding, .n_bytes = writer_pad(packet->cap_bytes) } };
	struct writer_option option;
	struct writer_extras extras = { .n_bytes = 0 };
	unsigned int n = 3;
	int r = writer_interface(writer, packet->ifindex, packet->linktype, false, err);

	if (r < 0)
		return r;
	head.interface = writer->recent;
	n += writer_text(parts + n, &option, PCAPNG_COMMENT, packet->comment);
	writer_extras(&extras, packet);
	if (extras.n_bytes)
		parts[n++] =
			(struct output_part){ .bytes = extras.bytes, .n_bytes = extras.n_bytes };
	r = writer_block(writer, parts, n, n > 3, true, &head.length, err);
	if (r < 0)
		return r;
	writer->interfaces[writer->recent].n_pkts++;
	writer->interfaces[writer->recent].lost_pkts += packet->lost_pkts;
	writer->interfaces[writer->recent].ts_ns = packet->ts_ns;
	return 0;
}

/* @dropped_pkts: NULL: not known */
static int writer_statistics(struct capfile_writer *writer, uint32_t interface, uint64_t ts_ns,
	uint64_t received_pkts, const uint64_t *dropped_pkts, struct error *err)
{
	struct {
		uint32_t type;
		uint32_t length;
		uint32_t interface;
		uint32_t ts_high;
		uint32_t ts_low;
		struct writer_option_u64 received;
	} head = { .type = PCAPNG_STATISTICS,
		.interface = interface,
		.ts_high = (uint32_t)(ts_ns >> 32),
		.ts_low = (uint32_t)ts_ns,
		.received = { .head = { .code = PCAPNG_ISB_IFRECV, .n_bytes = 8 } } };
	struct writer_option_u64 dropped = { .head = { .code = PCAPNG_ISB_IFDROP, .n_bytes = 8 } };
	struct output_part parts[OUTPUT_PARTS_MAX] = { { .bytes = &head,
		.n_bytes = sizeof(head) } };
	unsigned int n = 1;

	memcpy(head.received.value, &received_pkts, sizeof(received_pkts));
	if (dropped_pkts) {
		memcpy(dropped.value, dropped_pkts, sizeof(*dropped_pkts));
		parts[n++] = (struct output_part){ .bytes = &dropped, .n_bytes = sizeof(dropped) };
	}
	return writer_block(writer, parts, n, true, false, &head.length, err);
}

int writer_pcapng_drops(
	struct capfile_writer *writer, uint16_t ifindex, uint64_t lost_pkts, struct error *err)
{
	int r = writer_interface(writer, ifindex, writer->linktype, true, err);

	if (r == 0)
		writer->interfaces[writer->recent].lost_pkts += lost_pkts;
	return r;
}

int writer_pcapng_counts(struct capfile_writer *writer, bool lossless, struct error *err)
{
	int r = 0;

	for (unsigned int i = 0; i < writer->n_interfaces && r == 0; i++) {
		const struct writer_interface *interface = &writer->interfaces[i];
		uint64_t received_pkts = interface->n_pkts + interface->lost_pkts;

		if (received_pkts > 0)
			r = writer_statistics(writer, i, interface->ts_ns, received_pkts,
				lossless || interface->lost_pkts ? &interface->lost_pkts : NULL,
				err);
	}
	return r;
}

int writer_pcapng_end(struct capfile_writer *writer, struct error *err)
{
	if (writer->n_interfaces)
		return 0;
	/* Readers such as libpcap refuse a section that describes no interface. */
	return writer_interface_add(writer, 0, WRITER_LINKTYPE_ETHERNET, err);
}
