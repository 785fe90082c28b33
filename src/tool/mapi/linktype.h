/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Of which link type is a packet? A packet of the library says on which interface of the file it
 * was captured, but not of which type that is. So the types are read from the file: those of pcap
 * and pcapng files that are neither compressed nor a pipe. Elsewhere the packet itself is asked.
 */
#ifndef MAPI_TOOL_LINKTYPE_H
#define MAPI_TOOL_LINKTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINKTYPE_INTERFACES_MAX 1024

/**
 * struct linktypes - of the interfaces of one file
 * @any: of all interfaces (the user may have said so), if @n is 0
 */
#define LINKTYPE_UNKNOWN UINT32_MAX
struct linktypes {
	uint32_t any;
	unsigned int n;
	uint16_t *of_interface;
};

/* Read the types of the file; what can't be read stays unknown. Return: 0, -ENOMEM. */
int linktypes_init(struct linktypes *types, const char *path);
void linktypes_deinit(struct linktypes *types);

/* The type of a packet: from the file, else guessed from its first bytes (Ethernet or raw IP). */
uint32_t linktypes_get(const struct linktypes *types, unsigned int interface, const uint8_t *data,
	uint32_t cap_bytes, uint32_t wire_bytes);

/* A name as pcap_datalink_val_to_name() has it, or a number. Return: 0, -EINVAL. */
int linktype_parse(const char *text, uint32_t *ret);

#endif
