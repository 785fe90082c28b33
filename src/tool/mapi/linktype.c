/* SPDX-License-Identifier: BSD-2-Clause */
/* See linktype.h. */
#include "linktype.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

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

uint32_t linktype_canonical(uint32_t linktype)
{
	return linktype == 12 || linktype == 14 ? 101 : linktype;
}
