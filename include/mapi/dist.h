/* SPDX-License-Identifier: BSD-2-Clause */
/* The result of DIST: mapi_stdflib(3). */
#ifndef MAPI_DIST_H
#define MAPI_DIST_H

/* data has intervals + 2 numbers: how many values were below min, how many in each interval, how
 * many above the last one. It goes beyond this struct, to the end of the result. */
typedef struct dist {
	unsigned long long min;
	unsigned long long max;
	unsigned long long intervals;
	unsigned long long data[1];
} dist_t;

#endif
