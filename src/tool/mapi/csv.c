/* SPDX-License-Identifier: BSD-2-Clause */
/* See csv.h. */
#include "csv.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "text.h"

static void csv_value(struct csv *c)
{
	if (c->comma)
		fputc(',', c->out);
	c->comma = true;
}

void csv_string(struct csv *c, const char *value)
{
	csv_value(c);
	if (!value)
		return;
	if (!value[strcspn(value, ",\"\r\n")]) {
		fputs(value, c->out);
		return;
	}
	fputc('"', c->out);
	for (; *value; value++) {
		if (*value == '"')
			fputc('"', c->out);
		fputc(*value, c->out);
	}
	fputc('"', c->out);
}

void csv_u64(struct csv *c, uint64_t value)
{
	csv_value(c);
	fprintf(c->out, "%" PRIu64, value);
}

void csv_i64(struct csv *c, int64_t value)
{
	csv_value(c);
	fprintf(c->out, "%" PRId64, value);
}

void csv_f64(struct csv *c, double value)
{
	char text[48] = "";

	if (isfinite(value))
		text_f64(text, sizeof(text), value);
	csv_string(c, text);
}

void csv_bool(struct csv *c, bool value)
{
	csv_string(c, value ? "true" : "false");
}

void csv_line(struct csv *c)
{
	fputs("\r\n", c->out);
	c->comma = false;
}
