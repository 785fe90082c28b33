/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows of RES2FILE: see res2file_private.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "mapi/errors.h"
#include "mapi/stats.h"
#include "res2file_private.h"
#include "std.h"

#define STD_ROW_ALIGN 16u /* of a long double */
#define STD_ROW_ULLSTR_BYTES 20u /* 2^64 */
#define STD_ROW_ULLSEC_BYTES 23u /* 2^32, a point and 12 decimals */
/* A sum of 2^64 squares of numbers below 2^64 has 58 digits; the rest is shorter. */
#define STD_ROW_STATS_BYTES 240u

static const char *const std_row_format_names[] = {
	[R2F_RAW] = "R2F_RAW",
	[R2F_ULLSTR] = "R2F_ULLSTR",
	[R2F_ULLSEC] = "R2F_ULLSEC",
	[R2F_STATS] = "R2F_STATS",
};

static bool std_row_is_value(enum res2file_format format)
{
	return format == R2F_ULLSTR || format == R2F_ULLSEC;
}

/* ---- arguments ---- */

/* Return: whether @text, @len bytes, is a number or a name of a format. */
static bool std_row_parse_format(const char *text, size_t len, enum res2file_format *ret)
{
	for (unsigned int f = 0; f < ARRAY_SIZE(std_row_format_names); f++) {
		const char *name = std_row_format_names[f];

		if ((len == 1 && *text == (char)('0' + f)) ||
			(len == strlen(name) && memcmp(text, name, len) == 0)) {
			*ret = (enum res2file_format)f;
			return true;
		}
	}
	return false;
}

/* Return: 0, -EINVAL with @err filled. */
static int std_row_parse(struct std_row *row, const char *types, struct error *err)
{
	const char *at = types;

	for (row->n_fields = 0;; at++) {
		size_t len;

		at += strspn(at, " ");
		len = strcspn(at, ", ");
		if (row->n_fields == FUNCTION_REFS_MAX)
			return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
				"RES2FILE: more than %d types", FUNCTION_REFS_MAX);
		if (!std_row_parse_format(at, len, &row->fields[row->n_fields++].format))
			return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
				"RES2FILE: '%.*s' is no type; use R2F_RAW (0), R2F_ULLSTR (1), "
				"R2F_ULLSEC (2) or R2F_STATS (3)",
				(int)MIN(len, (size_t)40), at);
		at += len + strspn(at + len, " ");
		if (*at == '\0')
			return 0;
		if (*at != ',')
			return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
				"RES2FILE: the types must be separated by commas, not as in "
				"'%.80s'",
				types);
	}
}

/* Does the type suit the function? */
static int std_row_check(enum res2file_format format, unsigned int number,
	const struct function *ref, struct error *err)
{
	const char *name = std_row_format_names[format];

	if (ref->desc.record_bytes || ref->result_bytes_of)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_2,
			"RES2FILE: result %u, of %s, is a list, which is not for one line", number,
			ref->desc.name);
	if (std_row_is_value(format) && !(ref->desc.flags & MAPI_FUNCTION_REFERABLE))
		return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
			"RES2FILE: result %u, of %s, is no value, which type %s wants", number,
			ref->desc.name, name);
	if (format == R2F_STATS && ref != &std_stats)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
			"RES2FILE: result %u is of %s; type %s is for those of STATS", number,
			ref->desc.name, name);
	return 0;
}

static size_t std_row_text_bytes(const struct std_row_field *field)
{
	switch (field->format) {
	case R2F_RAW:
		return field->result_bytes;
	case R2F_ULLSTR:
		return STD_ROW_ULLSTR_BYTES;
	case R2F_ULLSEC:
		return STD_ROW_ULLSEC_BYTES;
	case R2F_STATS:
		break;
	}
	return STD_ROW_STATS_BYTES;
}

int std_row_init(struct std_row *row, const char *types, const struct function *const *refs,
	unsigned int n_refs, struct error *err)
{
	size_t results_bytes = 0, text_bytes = 1;
	int r;

	*row = (struct std_row){ .n_fields = 0 };
	r = std_row_parse(row, types, err);
	if (r == 0 && row->n_fields != n_refs)
		r = error_set(err, MFUNCT_INVALID_ARGUMENT_1,
			"RES2FILE: %u types for %u results; there must be one for each",
			row->n_fields, n_refs);
	for (unsigned int i = 0; i < n_refs && r == 0; i++) {
		struct std_row_field *field = &row->fields[i];

		r = std_row_check(field->format, i + 1, refs[i], err);
		field->result_bytes = refs[i]->desc.result_bytes;
		field->at = results_bytes;
		results_bytes += (MAX(field->result_bytes, sizeof(uint64_t)) + STD_ROW_ALIGN - 1) /
			STD_ROW_ALIGN * STD_ROW_ALIGN;
		text_bytes += std_row_text_bytes(field) + 1;
		row->has_results |= !std_row_is_value(field->format);
	}
	if (r == 0 && text_bytes > STD_LINE_BYTES_MAX)
		r = error_set(err, MFUNCT_INVALID_ARGUMENT_2,
			"RES2FILE: these results may take %zu bytes a line, and %u is the limit",
			text_bytes, STD_LINE_BYTES_MAX);
	if (r < 0)
		return r;
	row->results = aligned_alloc(STD_ROW_ALIGN, results_bytes);
	row->text = malloc(text_bytes);
	row->zero_text = malloc(text_bytes);
	if (!row->results || !row->text || !row->zero_text) {
		std_row_deinit(row);
		return -ENOMEM;
	}
	memset(row->results, 0, results_bytes);
	row->n_zero_bytes = std_row_print(row);
	memcpy(row->zero_text, row->text, row->n_zero_bytes);
	return 0;
}

void std_row_deinit(struct std_row *row)
{
	free(row->results);
	free(row->text);
	free(row->zero_text);
}

/* ---- taking and printing ---- */

static void std_row_set(struct std_row *row, const struct std_row_field *field, uint64_t value)
{
	memcpy(row->results + field->at, &value, sizeof(value));
}

void std_row_take_at(struct std_row *row, const struct function_call *call, unsigned int i)
{
	for (unsigned int k = 0; k < row->n_fields; k++) {
		const struct std_row_field *field = &row->fields[k];

		if (std_row_is_value(field->format))
			std_row_set(row, field, call->refs[k].value[i]);
		else
			function_read_ref(call, k, row->results + field->at);
	}
}

void std_row_take_now(struct std_row *row, const struct function_call *call)
{
	for (unsigned int k = 0; k < row->n_fields; k++) {
		const struct std_row_field *field = &row->fields[k];
		uint32_t value;

		function_read_ref(call, k, row->results + field->at);
		if (!std_row_is_value(field->format) || field->result_bytes != sizeof(value))
			continue;
		memcpy(&value, row->results + field->at, sizeof(value));
		std_row_set(row, field, value);
	}
}

static size_t std_row_print_field(char *to, const struct std_row_field *field, const void *result)
{
	uint64_t value;
	stats_t stats;
	int n = 0;

	switch (field->format) {
	case R2F_RAW:
		memcpy(to, result, field->result_bytes);
		return field->result_bytes;
	case R2F_ULLSTR:
		memcpy(&value, result, sizeof(value));
		n = snprintf(to, STD_ROW_ULLSTR_BYTES + 1, "%llu", (unsigned long long)value);
		break;
	case R2F_ULLSEC:
		/* A long double holds all 64 bits. */
		memcpy(&value, result, sizeof(value));
		n = snprintf(to, STD_ROW_ULLSEC_BYTES + 1, "%.12Lf",
			(long double)value / (long double)(1ull << 32));
		break;
	case R2F_STATS:
		memcpy(&stats, result, sizeof(stats));
		n = snprintf(to, STD_ROW_STATS_BYTES + 1, "%llu %.0Lf %.0Lf %.0f %.0f", stats.count,
			stats.sum, stats.sum2, stats.max, stats.min);
		break;
	}
	return (size_t)n;
}

size_t std_row_print(struct std_row *row)
{
	size_t n_bytes = 0;

	for (unsigned int k = 0; k < row->n_fields; k++) {
		const struct std_row_field *field = &row->fields[k];

		if (k)
			row->text[n_bytes++] = ' ';
		n_bytes +=
			std_row_print_field(row->text + n_bytes, field, row->results + field->at);
	}
	return n_bytes;
}
