/* SPDX-License-Identifier: BSD-2-Clause */
/* The result of BURST, an array: mapi_stdflib(3). */
#ifndef MAPI_BURST_H
#define MAPI_BURST_H

/* One category of sizes: of bursts, and of the gaps between them. */
typedef struct burst_category {
	unsigned long bytes; /* of the bursts, on the wire */
	unsigned long packets; /* of the bursts */
	unsigned long bursts;
	unsigned long gap_bytes; /* for which the link would have had time in the gaps */
	unsigned long gaps;
} burst_category_t;

#endif
