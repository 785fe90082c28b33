/* SPDX-License-Identifier: BSD-2-Clause */
/* See result.h. */
#include "result.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "mapi/topx.h"
#include "text.h"

#define RESULT_TEXT_BYTES 64

/* A row of the table; @name is empty on the second and later fields of one result. */
struct result_row {
	char name[128];
	char field[40];
	char value[RESULT_TEXT_BYTES];
	char unit[64];
};

static const char *const result_loss_names[MAPI_N_LOSS] = { "nic", "ring", "queue", "table",
	"policy", "memory" };
static const char *const result_loss_texts[MAPI_N_LOSS] = { "lost by the card",
	"lost in the capture buffer", "not read in time", "lost because a table was full",
	"withheld by policy", "lost for want of memory" };

/* One field, whatever its type: exactly one member is valid. */
union result_number {
	uint64_t u;
	int64_t i;
	double f64;
	long double f80;
};

static void result_get(const struct mapi_field *field, const void *result, union result_number *ret)
{
	const char *at = (const char *)result + field->offset_bytes;

#define RESULT_GET(member, type)                   \
	do {                                       \
		type value;                        \
                                                   \
		memcpy(&value, at, sizeof(value)); \
		ret->member = value;               \
	} while (0)
	switch (field->type) {
	case MAPI_FIELD_U16:
		RESULT_GET(u, uint16_t);
		break;
	case MAPI_FIELD_U32:
	case MAPI_FIELD_IPV4:
	case MAPI_FIELD_KEY: /* as a number */
		RESULT_GET(u, uint32_t);
		break;
	case MAPI_FIELD_U64:
	case MAPI_FIELD_TS:
		RESULT_GET(u, uint64_t);
		break;
	case MAPI_FIELD_I32:
		RESULT_GET(i, int32_t);
		break;
	case MAPI_FIELD_I64:
		RESULT_GET(i, int64_t);
		break;
	case MAPI_FIELD_F64:
		RESULT_GET(f64, double);
		break;
	case MAPI_FIELD_F80:
		RESULT_GET(f80, long double);
		break;
	}
#undef RESULT_GET
}

static sa_family_t result_key_family(const struct mapi_field *field, const void *result)
{
	struct topx_result key;

	memcpy(&key, (const char *)result + field->offset_bytes,
		offsetof(struct topx_result, family) + sizeof(key.family));
	return key.family;
}

static void result_key_text(
	char *out, size_t out_bytes, const struct mapi_field *field, const void *result)
{
	const char *at = (const char *)result + field->offset_bytes;
	struct topx_result key;

	memcpy(&key, at, offsetof(struct topx_result, family) + sizeof(key.family));
	if ((key.family == AF_INET && inet_ntop(AF_INET, &key.value, out, (socklen_t)out_bytes)) ||
		(key.family == AF_INET6 &&
			inet_ntop(AF_INET6, &key.addr6, out, (socklen_t)out_bytes)))
		return;
	(void)snprintf(out, out_bytes, "%u", key.value);
}

void result_field_text(
	char *out, size_t out_bytes, const struct mapi_field *field, const void *result)
{
	union result_number n = { .u = 0 };
	char time[TEXT_TIME_BYTES];

	result_get(field, result, &n);
	switch (field->type) {
	case MAPI_FIELD_U16:
	case MAPI_FIELD_U32:
	case MAPI_FIELD_U64:
		(void)snprintf(out, out_bytes, "%" PRIu64, n.u);
		break;
	case MAPI_FIELD_I32:
	case MAPI_FIELD_I64:
		(void)snprintf(out, out_bytes, "%" PRId64, n.i);
		break;
	case MAPI_FIELD_F64:
		text_f64(out, out_bytes, n.f64);
		break;
	case MAPI_FIELD_F80:
		text_f80(out, out_bytes, n.f80);
		break;
	case MAPI_FIELD_TS:
		text_rfc3339(time, text_ns_from_ts(n.u));
		(void)snprintf(out, out_bytes, "%s", time);
		break;
	case MAPI_FIELD_IPV4:
		(void)snprintf(out, out_bytes, "%u.%u.%u.%u", (unsigned int)(n.u >> 24),
			(unsigned int)(n.u >> 16 & 255), (unsigned int)(n.u >> 8 & 255),
			(unsigned int)(n.u & 255));
		break;
	case MAPI_FIELD_KEY:
		result_key_text(out, out_bytes, field, result);
		break;
	}
}

static void result_field_json(
	struct json *j, const char *key, const struct mapi_field *field, const void *result)
{
	union result_number n = { .u = 0 };
	char text[RESULT_TEXT_BYTES];

	result_get(field, result, &n);
	switch (field->type) {
	case MAPI_FIELD_U16:
	case MAPI_FIELD_U32:
	case MAPI_FIELD_U64:
		json_u64(j, key, n.u);
		break;
	case MAPI_FIELD_I32:
	case MAPI_FIELD_I64:
		json_i64(j, key, n.i);
		break;
	case MAPI_FIELD_F64:
		json_f64(j, key, n.f64);
		break;
	case MAPI_FIELD_F80:
		json_f80(j, key, n.f80);
		break;
	case MAPI_FIELD_KEY:
		if (result_key_family(field, result) == 0) {
			json_u64(j, key, n.u);
			break;
		}
		__attribute__((fallthrough));
	case MAPI_FIELD_TS:
	case MAPI_FIELD_IPV4:
		result_field_text(text, sizeof(text), field, result);
		json_string(j, key, text);
		break;
	}
}

bool result_is_whole(const struct mapi_function_desc *desc, size_t n_bytes)
{
	return n_bytes >= (desc->record_bytes ? desc->list_offset_bytes : desc->result_bytes);
}

/* How many records a list has, whatever it says itself. */
static unsigned int result_n_records(
	const struct mapi_function_desc *desc, const void *result, size_t n_bytes)
{
	size_t n = (n_bytes - desc->list_offset_bytes) / desc->record_bytes;
	unsigned int n_counted;

	if (!(desc->flags & MAPI_FUNCTION_COUNTED))
		return (unsigned int)n;
	memcpy(&n_counted, result, sizeof(n_counted));
	return (unsigned int)MIN(n, n_counted);
}

/* Record number @i, where the offsets of the fields find it. */
static const void *result_record(
	const struct mapi_function_desc *desc, const void *result, unsigned int i)
{
	return (const char *)result + (size_t)i * desc->record_bytes;
}

static void result_fields_json(
	struct json *j, const struct mapi_field *fields, unsigned int n_fields, const void *result)
{
	for (unsigned int i = 0; i < n_fields; i++)
		result_field_json(j, fields[i].name, &fields[i], result);
}

/* One field is a value, more are an object. */
static void result_struct_json(struct json *j, const char *key, const struct mapi_field *fields,
	unsigned int n_fields, const void *result)
{
	if (n_fields == 1) {
		result_field_json(j, key, &fields[0], result);
		return;
	}
	json_object(j, key);
	result_fields_json(j, fields, n_fields, result);
	json_end_object(j);
}

static void result_list_json(struct json *j, const char *key, const struct mapi_function_desc *desc,
	const void *result, size_t n_bytes)
{
	unsigned int n = result_n_records(desc, result, n_bytes), n_head = desc->n_head_fields;
	const struct mapi_field *fields = desc->fields + n_head;
	unsigned int n_fields = desc->n_fields - n_head;

	if (n_head) {
		json_object(j, key);
		result_fields_json(j, desc->fields, n_head, result);
		key = n_fields == 1 ? fields[0].name : "records";
	}
	json_array(j, key);
	for (unsigned int i = 0; i < n; i++)
		result_struct_json(j, NULL, fields, n_fields, result_record(desc, result, i));
	json_end_array(j);
	if (n_head)
		json_end_object(j);
}

void result_value_json(struct json *j, const char *key, const struct mapi_function_desc *desc,
	const void *result, size_t n_bytes)
{
	if (desc->record_bytes)
		result_list_json(j, key, desc, result, n_bytes);
	else
		result_struct_json(j, key, desc->fields, desc->n_fields, result);
}

bool result_next_item(struct result_item *item, const void *result, size_t n_bytes)
{
	const struct mapi_function_desc *desc = item->desc;
	unsigned int n_head = desc->record_bytes ? desc->n_head_fields : desc->n_fields;
	unsigned int i = item->field ? (unsigned int)(item->field - desc->fields) + 1 : 0;

	if (item->record == 0 && i < n_head) {
		item->at = result;
	} else if (item->record == 0 || i == desc->n_fields) {
		if (!desc->record_bytes || n_head == desc->n_fields ||
			item->record == result_n_records(desc, result, n_bytes))
			return false;
		item->at = result_record(desc, result, item->record++);
		i = n_head;
	}
	item->field = &desc->fields[i];
	return true;
}

void result_loss_json(struct json *j, const char *key, const unsigned long long *lost_pkts)
{
	unsigned int i;

	json_object(j, key);
	for (i = 0; i < MAPI_N_LOSS; i++)
		json_u64(j, result_loss_names[i], lost_pkts[i]);
	json_end_object(j);
}

void result_loss_text(char *out, size_t out_bytes, const unsigned long long *lost_pkts)
{
	size_t n = 0;
	unsigned int i;

	*out = '\0';
	for (i = 0; i < MAPI_N_LOSS && n < out_bytes; i++)
		if (lost_pkts[i])
			n += (size_t)snprintf(out + n, out_bytes - n, "%s%llu %s", n ? ", " : "",
				lost_pkts[i], result_loss_texts[i]);
}

/* A line for a field; @name is empty if it is not the first of the result. */
static void result_table_add_field(struct result_table *table, const char *name, bool with_name,
	const struct mapi_field *field, const void *result)
{
	struct result_row *row = &table->rows[table->n_rows++];

	*row = (struct result_row){ .name = "" };
	(void)snprintf(row->name, sizeof(row->name), "%s", name);
	(void)snprintf(row->field, sizeof(row->field), "%s", with_name ? field->name : "");
	(void)snprintf(row->unit, sizeof(row->unit), "%s", field->unit ? field->unit : "");
	result_field_text(row->value, sizeof(row->value), field, result);
}

/* A line for a record: its first field instead of a name, its second as the value, then the rest;
 * of a record that is one field, the field's name and the record's number. */
static void result_table_add_record(struct result_table *table, const char *name,
	const struct mapi_function_desc *desc, const void *record, unsigned int number)
{
	const struct mapi_field *fields = desc->fields + desc->n_head_fields;
	unsigned int n_fields = desc->n_fields - desc->n_head_fields;
	struct result_row *row;
	size_t used = 0;

	result_table_add_field(table, name, false, &fields[0], record);
	row = &table->rows[table->n_rows - 1];
	if (n_fields == 1) {
		(void)snprintf(row->field, sizeof(row->field), "%s[%u]", fields[0].name, number);
		return;
	}
	(void)snprintf(row->field, sizeof(row->field), "%.39s", row->value);
	for (unsigned int i = 1; i < n_fields && used < sizeof(row->unit); i++) {
		const struct mapi_field *field = &fields[i];
		char text[RESULT_TEXT_BYTES] = "";

		result_field_text(i > 1 ? text : row->value, sizeof(text), field, record);
		used += (size_t)snprintf(row->unit + used, sizeof(row->unit) - used, "%s%s%s%s",
			i > 1 ? ", " : "", text, *text ? " " : "", field->unit ? field->unit : "");
	}
}

int result_table_add(struct result_table *table, const char *name,
	const struct mapi_function_desc *desc, const void *result, size_t n_bytes)
{
	unsigned int n_records = desc->record_bytes ? result_n_records(desc, result, n_bytes) : 0;
	unsigned int n_fields = desc->record_bytes ? desc->n_head_fields : desc->n_fields;
	struct result_row *rows = reallocarray(
		table->rows, (size_t)table->n_rows + n_fields + n_records + 1u, sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	table->rows = rows;
	for (unsigned int i = 0; i < n_fields; i++)
		result_table_add_field(
			table, i ? "" : name, desc->n_fields > 1, &desc->fields[i], result);
	for (unsigned int i = 0; i < n_records; i++)
		result_table_add_record(
			table, n_fields || i ? "" : name, desc, result_record(desc, result, i), i);
	return 0;
}

void result_table_print(const struct result_table *table, FILE *out, int colour)
{
	int name_len = 0, field_len = 0, value_len = 0;
	unsigned int i;

	for (i = 0; i < table->n_rows; i++) {
		const struct result_row *row = &table->rows[i];

		if ((int)strlen(row->name) > name_len)
			name_len = (int)strlen(row->name);
		if ((int)strlen(row->field) > field_len)
			field_len = (int)strlen(row->field);
		if ((int)strlen(row->value) > value_len)
			value_len = (int)strlen(row->value);
	}
	for (i = 0; i < table->n_rows; i++) {
		const struct result_row *row = &table->rows[i];

		fprintf(out, "%-*s  %-*s%s%s%*s%s%s%s\n", name_len, row->name, field_len,
			row->field, field_len ? "  " : "", colour ? "\033[1m" : "", value_len,
			row->value, colour ? "\033[0m" : "", *row->unit ? " " : "", row->unit);
	}
}

void result_table_deinit(struct result_table *table)
{
	free(table->rows);
	*table = (struct result_table){ .n_rows = 0 };
}
