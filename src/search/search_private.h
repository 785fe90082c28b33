/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parser (pattern.c) hands to the set (search.c). */
#ifndef MAPI_SEARCH_SEARCH_PRIVATE_H
#define MAPI_SEARCH_SEARCH_PRIVATE_H

#include "search/search.h"

/* struct search_literal - one alternative: bytes as they stand in a packet, at least one. */
struct search_literal {
	const uint8_t *bytes;
	uint32_t n_bytes;
};

struct search_pattern {
	uint32_t offset_bytes;
	uint32_t depth_bytes;
	unsigned int n_literals;
	struct search_literal *literals;
	uint8_t *bytes; /* of all literals, one after the other */
};

#endif
