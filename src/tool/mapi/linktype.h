/* SPDX-License-Identifier: BSD-2-Clause */
/* Names and numbers of link types. */
#ifndef MAPI_TOOL_LINKTYPE_H
#define MAPI_TOOL_LINKTYPE_H

#include <stdint.h>

/* A name as pcap_datalink_val_to_name() has it, or a number. Return: 0, -EINVAL. */
int linktype_parse(const char *text, uint32_t *ret);

/* Raw IP had other numbers on some systems (DLT_RAW): one for all. */
uint32_t linktype_canonical(uint32_t linktype);

#endif
