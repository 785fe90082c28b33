/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing CSV (RFC 4180): a head, then lines of the same number of values. */
#ifndef MAPI_TOOL_CSV_H
#define MAPI_TOOL_CSV_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* @comma: a value stands before on the line. */
struct csv {
	FILE *out;
	bool comma;
};

#define CSV_TO(stream) ((struct csv){ .out = (stream) })

/* Quoted where it must be. NULL: empty. */
void csv_string(struct csv *c, const char *value);
void csv_u64(struct csv *c, uint64_t value);
void csv_i64(struct csv *c, int64_t value);
void csv_f64(struct csv *c, double value); /* NaN and infinity: empty */
void csv_bool(struct csv *c, bool value); /* "true", "false" */
void csv_line(struct csv *c); /* ends it */

#endif
