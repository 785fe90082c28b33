/* SPDX-License-Identifier: BSD-2-Clause */
/* What mapi top shows: a screen, lines, or JSON. See top.h. */
#include "top.h"

#include <stdarg.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "csv.h"
#include "json.h"
#include "result.h"
#include "text.h"

#define TOP_WIDTH_MIN 20u
#define TOP_WIDTH_MAX 400u
#define TOP_NARROW 64u /* columns; below it totals are left out */

#define TOP_MESSAGE_BYTES 2048

static const char *const top_view_names[] = { "protocols", "hosts", "ports" };
static const char *const top_view_titles[] = { "PROTOCOL", "HOST", "PORT" };
static const char *const top_sort_names[] = { "bytes", "packets" };

void top_scale(char *out, size_t out_bytes, double value)
{
	static const char prefixes[] = " kMGTPE";
	unsigned int i = 0;

	/* 999.5 would be rounded to 1000. */
	while (value >= 999.5 && i + 2 < sizeof(prefixes)) {
		value /= 1000;
		i++;
	}
	if (!i)
		(void)snprintf(out, out_bytes, "%.0f", value);
	else
		(void)snprintf(out, out_bytes, "%.*f %c",
			value < 9.995           ? 2
				: value < 99.95 ? 1
						: 0,
			value, prefixes[i]);
}

static void top_rate(char *out, size_t out_bytes, double value)
{
	if (value < 0)
		(void)snprintf(out, out_bytes, "-");
	else
		top_scale(out, out_bytes, value);
}

static uint64_t top_pkts(const struct top_row *row)
{
	return row->pkts[0] + row->pkts[1];
}

static uint64_t top_bytes(const struct top_row *row)
{
	return row->bytes[0] + row->bytes[1];
}

/* "0 lost", or the losses by cause, then what else happened. */
static void top_loss(char *out, size_t out_bytes, const struct mapi_result_status *status)
{
	size_t n;

	result_loss_text(out, out_bytes, status->lost_pkts);
	if (!*out)
		(void)snprintf(out, out_bytes, "0 lost");
	n = strlen(out);
	if (status->restarts)
		(void)snprintf(out + n, out_bytes - n, ", %llu restarts cost %.1f s",
			status->restarts, (double)status->gap_ns / 1e9);
}

static bool top_has_lost(const struct mapi_result_status *status)
{
	unsigned int i;

	for (i = 0; i < MAPI_N_LOSS; i++)
		if (status->lost_pkts[i])
			return true;
	return status->restarts || status->error;
}

/* ---- screen ---- */

/* A screen being drawn: it is laid out for @width columns, TOP_WIDTH_MIN at least, and every line
 * is cut at @columns, those of the terminal; bytes that are not printable ASCII are shown as
 * question marks, so that columns agree on every terminal. The last @foot_lines lines are for the
 * foot. */
struct top_canvas {
	FILE *out;
	unsigned int width;
	unsigned int columns;
	unsigned int lines_left;
	unsigned int foot_lines;
	bool begun;
	bool colour;
};

static __attribute__((format(printf, 3, 4))) void top_line(
	struct top_canvas *c, const char *sgr, const char *format, ...)
{
	char line[TOP_WIDTH_MAX + 1];
	unsigned int i, n;
	va_list args;

	if (!c->lines_left)
		return;
	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	n = (unsigned int)strlen(line);
	for (i = 0; i < n; i++)
		if (line[i] < ' ' || line[i] > '~')
			line[i] = '?';
	if (n > c->columns)
		line[c->columns] = '\0';
	if (c->begun)
		fputs("\n", c->out);
	c->begun = true;
	c->lines_left--;
	if (sgr && c->colour)
		fprintf(c->out, "\033[%sm%s\033[0m", sgr, line);
	else
		fputs(line, c->out);
}

/* How much of @text, which is not empty, stands on its first line: up to the last space that fits,
 * or as much as fits. */
static unsigned int top_text_piece(const char *text, unsigned int columns)
{
	unsigned int n = (unsigned int)strlen(text), i;

	if (n <= columns)
		return n;
	for (i = columns; i && text[i] != ' '; i--)
		;
	return i ? i : columns;
}

/* A sentence on as many lines as it takes; one, if it is empty. */
static void top_text(struct top_canvas *c, const char *sgr, const char *text)
{
	do {
		unsigned int n = top_text_piece(text, MAX(c->columns, 1u));

		top_line(c, sgr, "%.*s", (int)n, text);
		text += n;
		text += strspn(text, " ");
	} while (*text);
}

static unsigned int top_text_lines(const char *text, unsigned int columns)
{
	unsigned int n_lines = 0;

	do {
		text += top_text_piece(text, MAX(columns, 1u));
		text += strspn(text, " ");
		n_lines++;
	} while (*text);
	return n_lines;
}

static void top_show_head(
	struct top_canvas *c, const struct top_screen *s, const struct top_sample *sample)
{
	char pkts[16], bytes[16], pps[16], bps[16], loss[512], title[TOP_WIDTH_MAX + 1];
	char state[TOP_MESSAGE_BYTES];
	unsigned int seconds = 0;

	if (sample->at_ns > s->since_ns)
		seconds = (unsigned int)((sample->at_ns - s->since_ns) / 1000000000u);
	(void)snprintf(title, sizeof(title), "mapi top  %s%s%s%s  %u:%02u:%02u%s  %s%s", s->device,
		s->was ? " (was " : "", s->was ? s->was : "", s->was ? ")" : "", seconds / 3600,
		seconds / 60 % 60, seconds % 60, s->paused ? "  PAUSED" : "",
		s->filter && *s->filter ? "filter: " : "", s->filter ? s->filter : "");
	if (strlen(title) > c->width)
		memcpy(title + c->width - 3, "...", sizeof("..."));
	top_line(c, "7", "%-*s", (int)c->width, title);
	top_scale(pkts, sizeof(pkts), (double)top_pkts(&sample->total));
	top_scale(bytes, sizeof(bytes), (double)top_bytes(&sample->total));
	top_rate(pps, sizeof(pps), sample->total.pps);
	top_rate(bps, sizeof(bps), sample->total.bps);
	if (c->width < TOP_NARROW)
		top_line(c, "1", "%s pkts %s bytes  %sbit/s", pkts, bytes, bps);
	else
		top_line(c, "1", "%s packets, %s bytes;  %s packets/s, %s bit/s", pkts, bytes, pps,
			bps);
	top_loss(loss, sizeof(loss), &sample->status);
	(void)snprintf(state, sizeof(state), "%s%s%s", loss, sample->status.error ? ", " : "",
		sample->status.error ? sample->status.error_text : "");
	top_text(c, top_has_lost(&sample->status) ? "1;31" : NULL, state);
}

static void top_show_columns(struct top_canvas *c, const struct top_screen *s)
{
	const char *title = top_view_titles[s->view];

	if (c->width < TOP_NARROW)
		top_line(c, "4", "%-*s %7s %7s", (int)(c->width - 16), title, "PKT/S", "BIT/S");
	else
		top_line(c, "4", "%-*s %7s %7s %7s %7s %6s", (int)(c->width - 39), title, "PACKETS",
			"BYTES", "PKT/S", "BIT/S", "SHARE");
}

static void top_show_row(struct top_canvas *c, const struct top_row *row, double whole)
{
	char pkts[16], bytes[16], pps[16], bps[16], share[16];
	int name_len = (int)(c->width < TOP_NARROW ? c->width - 16 : c->width - 39);

	top_scale(pkts, sizeof(pkts), (double)top_pkts(row));
	top_scale(bytes, sizeof(bytes), (double)top_bytes(row));
	top_rate(pps, sizeof(pps), row->pps);
	top_rate(bps, sizeof(bps), row->bps);
	if (c->width < TOP_NARROW) {
		top_line(c, NULL, "%-*.*s %7s %7s", name_len, name_len, row->name, pps, bps);
		return;
	}
	(void)snprintf(share, sizeof(share), "%.1f%%",
		whole > 0 ? (double)top_bytes(row) * 100 / whole : 0.0);
	top_line(c, NULL, "%-*.*s %7s %7s %7s %7s %6s", name_len, name_len, row->name, pkts, bytes,
		pps, bps, share);
}

static void top_show_help(struct top_canvas *c)
{
	static const char *const lines[] = {
		"q        quit",
		"v, Tab   protocols, hosts, ports",
		"s        sort by bytes or packets",
		"p, Space pause, go on",
		"/        filter: words of pcap-filter(7)",
		"Up, Down scroll",
		"? or h   this help, and back",
		"",
		"Hosts and ports: what they send and",
		"what is sent to them, together. SHARE",
		"is that of all bytes of the filter.",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lines) && c->lines_left > c->foot_lines; i++)
		top_text(c, NULL, lines[i]);
}

/* What stands below: the filter that is typed, a message, or the keys. Return: its colour. */
static const char *top_foot(
	char *out, size_t out_bytes, const struct top_screen *s, unsigned int columns)
{
	size_t len;

	if (s->edit) {
		/* The end is what is being typed. */
		len = strlen(s->edit);
		len = len + 9 > columns ? len + 9 - MAX(columns, 9u) : 0;
		(void)snprintf(out, out_bytes, "filter: %s_", s->edit + len);
		return "1";
	}
	if (s->message) {
		(void)snprintf(out, out_bytes, "%s", s->message);
		return "1;31";
	}
	(void)snprintf(out, out_bytes, "q quit  v view: %-9s  s sort: %-7s  p %s  / filter  ? help",
		top_view_names[s->view], top_sort_names[s->sort], s->paused ? "go on" : "pause");
	if (strlen(out) > columns)
		(void)snprintf(out, out_bytes, "q quit v view s sort p %s / filter ? help",
			s->paused ? "go on" : "pause");
	return "7";
}

void top_show_screen(FILE *out, const struct top_screen *screen, const struct top_sample *sample,
	unsigned int width, unsigned int height)
{
	struct top_canvas c = { .out = out, .colour = screen->colour };
	const struct top_table *table = &sample->tables[screen->view];
	char foot[TOP_MESSAGE_BYTES];
	const char *foot_sgr;
	unsigned int i;

	c.columns = MIN(width, TOP_WIDTH_MAX);
	c.width = MAX(c.columns, TOP_WIDTH_MIN);
	c.lines_left = height;
	foot_sgr = top_foot(foot, sizeof(foot), screen, c.columns);
	c.foot_lines = top_text_lines(foot, c.columns);
	top_show_head(&c, screen, sample);
	if (screen->help) {
		top_show_help(&c);
	} else {
		top_show_columns(&c, screen);
		for (i = screen->scroll; i < table->n_rows && c.lines_left > c.foot_lines; i++)
			top_show_row(&c, &table->rows[i], (double)top_bytes(&sample->total));
	}
	while (c.lines_left > c.foot_lines)
		top_line(&c, NULL, " ");
	top_text(&c, foot_sgr, foot);
}

/* ---- lines ---- */

static void top_show_line(FILE *out, const struct top_row *row, const char *name, bool rates)
{
	char pps[16], bps[16];

	fprintf(out, "%-39.47s %12llu %15llu", name, (unsigned long long)top_pkts(row),
		(unsigned long long)top_bytes(row));
	if (rates) {
		top_rate(pps, sizeof(pps), row->pps);
		top_rate(bps, sizeof(bps), row->bps);
		fprintf(out, " %8s %8s", pps, bps);
	}
	fputc('\n', out);
}

void top_show_lines(FILE *out, const struct top_screen *screen, const struct top_sample *sample,
	unsigned int max_rows)
{
	bool rates = sample->total.pps >= 0;
	const char *bold = screen->colour ? "\033[1m" : "",
		   *plain = screen->colour ? "\033[0m" : "";
	char time[TEXT_TIME_BYTES], loss[512];
	unsigned int i, j;

	text_rfc3339(time, sample->time_ns);
	top_loss(loss, sizeof(loss), &sample->status);
	fputs(bold, out);
	if (screen->live)
		fprintf(out, "%.19sZ  ", time);
	text_safe(out, screen->device);
	fprintf(out, "  %llu packets %s, %s%s\n", sample->status.pkts,
		screen->live ? "captured" : "read", loss, plain);
	for (i = 0; i < _TOP_VIEW_N; i++) {
		const struct top_table *table = &sample->tables[i];

		if (!table->n_rows)
			continue;
		fprintf(out, "%s%-39s %12s %15s", bold, top_view_titles[i], "PACKETS", "BYTES");
		if (rates)
			fprintf(out, " %8s %8s", "PKT/S", "BIT/S");
		fprintf(out, "%s\n", plain);
		if (i == TOP_VIEW_PROTOCOLS)
			top_show_line(out, &sample->total, "all", rates);
		for (j = 0; j < table->n_rows && (j < max_rows || i == TOP_VIEW_PROTOCOLS); j++)
			if (i != TOP_VIEW_PROTOCOLS || table->rows[j].pkts[0])
				top_show_line(out, &table->rows[j], table->rows[j].name, rates);
	}
	fputc('\n', out);
}

/* ---- JSON ---- */

static void top_json_rates(struct json *j, const struct top_row *row)
{
	if (row->pps < 0) {
		json_null(j, "packets_per_s");
		json_null(j, "bits_per_s");
		return;
	}
	json_f64(j, "packets_per_s", row->pps);
	json_f64(j, "bits_per_s", row->bps);
}

static void top_json_row(
	struct json *j, enum top_view view, const struct top_row *row, const char *key)
{
	static const char *const names[] = { "protocol", "host", "port" };

	json_object(j, key);
	if (!key)
		json_string(j, names[view], row->name);
	json_u64(j, "packets", top_pkts(row));
	json_u64(j, "bytes", top_bytes(row));
	if (view != TOP_VIEW_PROTOCOLS) {
		json_u64(j, "sent_packets", row->pkts[0]);
		json_u64(j, "sent_bytes", row->bytes[0]);
		json_u64(j, "received_packets", row->pkts[1]);
		json_u64(j, "received_bytes", row->bytes[1]);
	}
	top_json_rates(j, row);
	json_end_object(j);
}

static void top_csv_row(struct csv *c, const struct top_screen *screen,
	const struct top_sample *sample, const char *table, const struct top_row *row)
{
	char time[TEXT_TIME_BYTES];

	text_rfc3339(time, sample->time_ns);
	csv_string(c, time);
	csv_string(c, screen->device);
	csv_string(c, table);
	csv_string(c, row->name);
	csv_u64(c, top_pkts(row));
	csv_u64(c, top_bytes(row));
	csv_f64(c, row->pps < 0 ? NAN : row->pps);
	csv_f64(c, row->pps < 0 ? NAN : row->bps);
	csv_line(c);
}

void top_show_csv(FILE *out, const struct top_screen *screen, const struct top_sample *sample,
	unsigned int max_rows, bool with_head)
{
	struct csv c = CSV_TO(out);
	unsigned int i, n;

	if (with_head)
		fputs("time,device,table,name,packets,bytes,packets_per_s,bits_per_s\r\n", out);
	top_csv_row(&c, screen, sample, "total", &sample->total);
	for (i = 0; i < _TOP_VIEW_N; i++)
		for (n = 0;
			n < sample->tables[i].n_rows && (n < max_rows || i == TOP_VIEW_PROTOCOLS);
			n++)
			top_csv_row(
				&c, screen, sample, top_view_names[i], &sample->tables[i].rows[n]);
}

void top_show_json(FILE *out, const struct top_screen *screen, const struct top_sample *sample,
	unsigned int max_rows)
{
	struct json j = JSON_TO(out);
	char time[TEXT_TIME_BYTES];
	unsigned int i, n;

	json_object(&j, NULL);
	text_rfc3339(time, sample->time_ns);
	json_string(&j, "time", time);
	text_rfc3339(time, sample->status.last_ts_ns);
	json_string(&j, "ts", sample->status.last_ts_ns ? time : NULL);
	json_string(&j, "device", screen->device);
	json_string(&j, "filter", screen->filter && *screen->filter ? screen->filter : NULL);
	json_u64(&j, "captured_packets", sample->status.pkts);
	result_loss_json(&j, "loss", sample->status.lost_pkts);
	json_u64(&j, "restarts", sample->status.restarts);
	json_u64(&j, "gap_ns", sample->status.gap_ns);
	json_string(&j, "error", sample->status.error ? sample->status.error_text : NULL);
	top_json_row(&j, TOP_VIEW_PROTOCOLS, &sample->total, "total");
	for (i = 0; i < _TOP_VIEW_N; i++) {
		const struct top_table *table = &sample->tables[i];

		json_array(&j, top_view_names[i]);
		for (n = 0; n < table->n_rows && (n < max_rows || i == TOP_VIEW_PROTOCOLS); n++)
			top_json_row(&j, (enum top_view)i, &table->rows[n], NULL);
		json_end_array(&j);
	}
	json_end_object(&j);
	json_line(&j);
}
