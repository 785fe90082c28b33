/* SPDX-License-Identifier: BSD-2-Clause */
/* Arguments and records of THRESHOLD: mapi_stdflib(3). */
#ifndef MAPI_THRESHOLD_H
#define MAPI_THRESHOLD_H

/* How much of the value is compared, and, added to that, how crossings are reported. */
#define THRESHOLD_CHAR 0 /* the low 8 bits */
#define THRESHOLD_INT 1 /* the low 32 bits */
#define THRESHOLD_ULL 2 /* all 64 bits */
#define THRESHOLD_POLL 64 /* reading does not wait */
#define THRESHOLD_MULTI 128 /* a record of each time that it holds, not only of the first */

/* What must hold. */
#define TR_B_EQ 0 /* the value is the threshold */
#define TR_B_POS 1 /* the value is above it */
#define TR_B_NEG 2 /* the value is below it */
#define TR_B_D_EQ 4 /* the same of how much the value has grown */
#define TR_B_D_POS 8
#define TR_B_D_NEG 16

struct threshold_crossing {
	unsigned long long timestamp; /* 32.32 fixed point seconds since the Unix epoch */
	unsigned long long value; /* that was compared */
};

#endif
