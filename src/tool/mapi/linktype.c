/* SPDX-License-Identifier: BSD-2-Clause */
/* See linktype.h. Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng. */
#include "linktype.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "text.h"

#define LINKTYPE_PCAP_HEADER_BYTES 24
#define LINKTYPE_BLOCK_SECTION 0x0a0d0d0au
#define LINKTYPE_BLOCK_INTERFACE 1u
#define LINKTYPE_ORDER_MAGIC 0x1a2b3c4du
#define LINKTYPE_BLOCK_BYTES_MAX (64u << 20)

static const struct {
	const char *name;
	uint32_t value;
} linktype_names[] = { { "NULL", 0 }, { "EN10MB", 1 }, { "ETHERNET", 1 }, { "RAW", 101 },
	{ "LOOP", 108 }, { "LINUX_SLL", 113 }, { "IPV4", 228 }, { "IPV6", 229 },
	{ "LINUX_SLL2", 276 } };

int linktype_parse(const char *text, uint32_t *ret)
{
	unsigned long value;
	char *end;
	size_t i;

	for (i = 0; i < sizeof(linktype_names) / sizeof(linktype_names[0]); i++)
		if (text_equal(text, strlen(text), linktype_names[i].name)) {
			*ret = linktype_names[i].value;
			return 0;
		}
	value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || value > UINT16_MAX)
		return -EINVAL;
	*ret = (uint32_t)value;
	return 0;
}

static uint32_t linktype_u32(const uint8_t *at, bool swapped)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return swapped ? __builtin_bswap32(value) : value;
}

static int linktypes_add(struct linktypes *types, uint16_t type)
{
	uint16_t *grown;

	if (types->n == LINKTYPE_INTERFACES_MAX)
		return 0;
	grown = reallocarray(types->of_interface, types->n + 1u, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	types->of_interface = grown;
	grown[types->n++] = type;
	return 0;
}

/* Interface blocks may stand anywhere, so walk all blocks; only their heads are read. */
static int linktypes_read_pcapng(struct linktypes *types, FILE *in)
{
	uint8_t head[16];
	bool swapped = false;

	while (fread(head, 1, sizeof(head), in) == sizeof(head)) {
		uint32_t type = linktype_u32(head, swapped), bytes, order;

		if (type == LINKTYPE_BLOCK_SECTION) {
			order = linktype_u32(head + 8, false);
			swapped = order != LINKTYPE_ORDER_MAGIC;
			if (swapped && __builtin_bswap32(order) != LINKTYPE_ORDER_MAGIC)
				return 0;
		}
		bytes = linktype_u32(head + 4, swapped);
		if (type == LINKTYPE_BLOCK_INTERFACE) {
			uint16_t link;

			memcpy(&link, head + 8, sizeof(link));
			if (linktypes_add(types, swapped ? __builtin_bswap16(link) : link) < 0)
				return -ENOMEM;
		}
		/* A block may be as short as 12 bytes: then the next one's head was begun. */
		if (bytes < 12 || bytes > LINKTYPE_BLOCK_BYTES_MAX || bytes % 4 ||
			fseek(in, (long)bytes - (long)sizeof(head), SEEK_CUR) < 0)
			return 0;
	}
	return 0;
}

static uint32_t linktype_canonical(uint32_t type)
{
	/* Raw IP had other numbers on some systems (DLT_RAW). */
	return type == 12 || type == 14 ? 101 : type;
}

int linktypes_init(struct linktypes *types, const char *path)
{
	uint8_t head[LINKTYPE_PCAP_HEADER_BYTES];
	struct stat st;
	uint32_t magic;
	FILE *in;
	int r = 0;

	*types = (struct linktypes){ .any = LINKTYPE_UNKNOWN };
	/* A pipe's bytes are the library's. */
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	in = fopen(path, "re");
	if (!in)
		return 0;
	if (fread(head, 1, sizeof(head), in) == sizeof(head)) {
		magic = linktype_u32(head, false);
		if (magic == LINKTYPE_BLOCK_SECTION) {
			rewind(in);
			r = linktypes_read_pcapng(types, in);
		} else if (magic == 0xa1b2c3d4u || magic == 0xa1b23c4du || magic == 0xa1b2cd34u) {
			types->any = linktype_canonical(linktype_u32(head + 20, false) & 0xffffu);
		} else if (magic == 0xd4c3b2a1u || magic == 0x4d3cb2a1u || magic == 0x34cdb2a1u) {
			types->any = linktype_canonical(linktype_u32(head + 20, true) & 0xffffu);
		}
	}
	(void)fclose(in);
	return r;
}

void linktypes_deinit(struct linktypes *types)
{
	free(types->of_interface);
	*types = (struct linktypes){ .any = LINKTYPE_UNKNOWN };
}

/* An IPv4 or IPv6 header whose length agrees with the packet's, and no EtherType where Ethernet has
 * it. */
static bool linktype_looks_like_ip(const uint8_t *data, uint32_t cap_bytes, uint32_t wire_bytes)
{
	if (cap_bytes < 20)
		return false;
	if (data[0] >> 4 == 4)
		return (data[0] & 15) >= 5 && buf_peek_be16(data + 2) == wire_bytes;
	return data[0] >> 4 == 6 && buf_peek_be16(data + 4) + 40u == wire_bytes;
}

uint32_t linktypes_get(const struct linktypes *types, unsigned int interface, const uint8_t *data,
	uint32_t cap_bytes, uint32_t wire_bytes)
{
	if (interface < types->n)
		return linktype_canonical(types->of_interface[interface]);
	if (types->any != LINKTYPE_UNKNOWN)
		return types->any;
	return linktype_looks_like_ip(data, cap_bytes, wire_bytes) ? 101 : 1;
}
