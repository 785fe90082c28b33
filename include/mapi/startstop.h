/* SPDX-License-Identifier: BSD-2-Clause */
/* The result of STARTSTOP: mapi_stdflib(3). */
#ifndef MAPI_STARTSTOP_H
#define MAPI_STARTSTOP_H

/* Times of capture, 32.32 fixed point seconds since the Unix epoch; 0 while there is no such
 * packet.
 */
typedef struct startstop {
	unsigned long long first; /* of the first packet that reached the function */
	unsigned long long first_processed; /* of the first one that it passed */
	unsigned long long last; /* of the last one that it passed */
} startstop_t;

#endif
