/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing JSON (RFC 8259), one object per line, straight to a stream.
 *
 * Every call takes a key, which is NULL inside an array and at the top. Integers are written as
 * integers whatever their size; a floating point number gets as many digits as bring it back, NaN
 * and infinity become null. Bytes that are no UTF-8 become U+FFFD.
 */
#ifndef MAPI_TOOL_JSON_H
#define MAPI_TOOL_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* @comma: a value stands before in the current object or array. */
struct json {
	FILE *out;
	bool comma;
};

#define JSON_TO(stream) ((struct json){ .out = (stream) })

void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_end_object(struct json *j);
void json_end_array(struct json *j);

/* @value NULL: null */
void json_string(struct json *j, const char *key, const char *value);
void json_u64(struct json *j, const char *key, uint64_t value);
void json_i64(struct json *j, const char *key, int64_t value);
void json_f64(struct json *j, const char *key, double value);
void json_f80(struct json *j, const char *key, long double value);
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);

/* Ends the line after the outermost value. */
void json_line(struct json *j);

#endif
