/* SPDX-License-Identifier: BSD-2-Clause */
/* The result of STATS: mapi_stdflib(3). */
#ifndef MAPI_STATS_H
#define MAPI_STATS_H

typedef struct stats {
	unsigned long long count; /* samples taken */
	long double sum; /* of the samples */
	long double sum2; /* of their squares */
	double max; /* 0 while count is 0 */
	double min; /* 0 while count is 0 */
} stats_t;

#endif
