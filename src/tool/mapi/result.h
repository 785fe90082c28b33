/* SPDX-License-Identifier: BSD-2-Clause */
/* Results of functions as people and as programs read them, by the schema of the function. */
#ifndef MAPI_TOOL_RESULT_H
#define MAPI_TOOL_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "mapi.h"
#include "mapi/schema.h"

#include "json.h"

/* Write the value of @field as text. @result holds desc->result_bytes bytes, unaligned. */
void result_field_text(
	char *out, size_t out_bytes, const struct mapi_field *field, const void *result);

/* Whether @n_bytes are enough for the result of such a function. */
bool result_is_whole(const struct mapi_function_desc *desc, size_t n_bytes);

/* Write the value of a result of @n_bytes bytes: a number (or string) if there is one field, an
 * object of the fields if there are more. A list is an array of such values; what precedes a list
 * and the array, by the name of its field or "records", are an object. */
void result_value_json(struct json *j, const char *key, const struct mapi_function_desc *desc,
	const void *result, size_t n_bytes);

/**
 * struct result_item - one field of a result
 * @desc:   set by the caller, the rest is 0 at first
 * @field:  NULL at first
 * @at:     the result, or the record, that the offset of the field counts from
 * @record: its number from 1; 0: the field is no part of a list
 */
struct result_item {
	const struct mapi_function_desc *desc;
	const struct mapi_field *field;
	const void *at;
	unsigned int record;
};

/* Go to the next field of all fields of all records. Return: false if there is none. */
bool result_next_item(struct result_item *item, const void *result, size_t n_bytes);

/* All causes of loss, whether anything is lost or not, so that readers need no special case. */
void result_loss_json(struct json *j, const char *key, const unsigned long long *lost_pkts);

/* "12 lost in the capture buffer, 3 withheld by policy"; empty if nothing is lost. */
void result_loss_text(char *out, size_t out_bytes, const unsigned long long *lost_pkts);

/**
 * struct result_table - aligned lines: name, field, value, unit
 *
 * Lines are collected, because the widths are known at the end.
 */
struct result_table {
	struct result_row *rows;
	unsigned int n_rows;
};

/* Return: 0, -ENOMEM. */
int result_table_add(struct result_table *table, const char *name,
	const struct mapi_function_desc *desc, const void *result, size_t n_bytes);
void result_table_print(const struct result_table *table, FILE *out, int colour);
void result_table_deinit(struct result_table *table);

#endif
