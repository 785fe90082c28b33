/* SPDX-License-Identifier: BSD-2-Clause */
/* See json.h. */
#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "text.h"

static void json_text(struct json *j, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	fputc('"', j->out);
	while (*p) {
		size_t n = text_utf8(p);

		if (!n) {
			fputs("\\ufffd", j->out);
			n = 1;
		} else if (*p == '"' || *p == '\\') {
			fprintf(j->out, "\\%c", *p);
		} else if (*p == '\n') {
			fputs("\\n", j->out);
		} else if (*p == '\t') {
			fputs("\\t", j->out);
		} else if (*p < 0x20 || *p == 0x7f) {
			fprintf(j->out, "\\u%04x", *p);
		} else {
			fwrite(p, 1, n, j->out);
		}
		p += n;
	}
	fputc('"', j->out);
}

static void json_key(struct json *j, const char *key)
{
	if (j->comma)
		fputc(',', j->out);
	j->comma = true;
	if (key) {
		json_text(j, key);
		fputc(':', j->out);
	}
}

void json_object(struct json *j, const char *key)
{
	json_key(j, key);
	fputc('{', j->out);
	j->comma = false;
}

void json_array(struct json *j, const char *key)
{
	json_key(j, key);
	fputc('[', j->out);
	j->comma = false;
}

void json_end_object(struct json *j)
{
	fputc('}', j->out);
	j->comma = true;
}

void json_end_array(struct json *j)
{
	fputc(']', j->out);
	j->comma = true;
}

void json_string(struct json *j, const char *key, const char *value)
{
	if (!value) {
		json_null(j, key);
		return;
	}
	json_key(j, key);
	json_text(j, value);
}

void json_u64(struct json *j, const char *key, uint64_t value)
{
	json_key(j, key);
	fprintf(j->out, "%" PRIu64, value);
}

void json_i64(struct json *j, const char *key, int64_t value)
{
	json_key(j, key);
	fprintf(j->out, "%" PRId64, value);
}

void json_f64(struct json *j, const char *key, double value)
{
	char text[40];

	if (!isfinite(value)) {
		json_null(j, key);
		return;
	}
	json_key(j, key);
	text_f64(text, sizeof(text), value);
	fputs(text, j->out);
}

void json_f80(struct json *j, const char *key, long double value)
{
	char text[TEXT_F80_BYTES];

	if (!isfinite(value)) {
		json_null(j, key);
		return;
	}
	json_key(j, key);
	text_f80(text, sizeof(text), value);
	fputs(text, j->out);
}

void json_bool(struct json *j, const char *key, bool value)
{
	json_key(j, key);
	fputs(value ? "true" : "false", j->out);
}

void json_null(struct json *j, const char *key)
{
	json_key(j, key);
	fputs("null", j->out);
}

void json_line(struct json *j)
{
	fputc('\n', j->out);
	j->comma = false;
}
