/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of mapi top: flows that count (top_flows.c), tables made of their results
 * (top_table.c), and tables shown to people and programs (top_show.c). top.c runs them, on a
 * terminal with the help of terminal.c.
 */
#ifndef MAPI_TOOL_TOP_H
#define MAPI_TOOL_TOP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "mapi.h"

enum top_view { TOP_VIEW_PROTOCOLS, TOP_VIEW_HOSTS, TOP_VIEW_PORTS, _TOP_VIEW_N };
enum top_sort { TOP_SORT_BYTES, TOP_SORT_PKTS, _TOP_SORT_N };

#define TOP_NAME_BYTES 48

/**
 * struct top_row - one line
 * @name:   of the protocol, an address, "443/tcp"
 * @pkts, @bytes: total, [0] sent by the address or port, [1] sent to it; protocols have only [0]
 * @pps, @bps: packets and bits per second since the sample before; negative: not known
 */
struct top_row {
	char name[TOP_NAME_BYTES];
	uint64_t pkts[2];
	uint64_t bytes[2];
	double pps;
	double bps;
};

/* @cut: there may be more rows than these. */
struct top_table {
	struct top_row *rows;
	unsigned int n_rows;
	bool cut;
};

/**
 * struct top_sample - everything, at one moment
 * @at_ns:   when it was read, CLOCK_MONOTONIC
 * @time_ns: the same since the Unix epoch
 * @total:   packets and bytes of the filter; its name is empty
 * @status:  of the flow that counts @total; lost_pkts holds the most of any flow
 */
struct top_sample {
	uint64_t at_ns;
	uint64_t time_ns;
	struct top_row total;
	struct mapi_result_status status;
	struct top_table tables[_TOP_VIEW_N];
};

void top_sample_deinit(struct top_sample *sample);

/**
 * top_table_add() - account packets to the row of this name, made if there is none
 * @direction: 0: sent by it, 1: sent to it
 *
 * Rows are searched one by one: for tables of some hundred rows. Return: 0, -ENOMEM.
 */
int top_table_add(struct top_table *table, const char *name, unsigned int direction, uint64_t pkts,
	uint64_t bytes);

/* What the result of a TOP holds. */
enum top_list { TOP_LIST_ADDRESSES, TOP_LIST_TCP_PORTS, TOP_LIST_UDP_PORTS };

/**
 * top_table_add_list() - account a result of TOP
 * @result, @result_bytes: as mapi_read_results() gives it
 * @max:    how many values were asked for: with so many the table is cut
 *
 * Return: 0, -ENOMEM, -EBADMSG: it is no result of TOP.
 */
int top_table_add_list(struct top_table *table, enum top_list list, unsigned int direction,
	const void *result, size_t result_bytes, unsigned int max);

/* Fill pps and bps of everything in @sample. @before: NULL: nothing is known. */
void top_rates(struct top_sample *sample, const struct top_sample *before);

/* Largest first, by rate if rates are known, else by total; protocols keep their order. */
void top_sort(struct top_sample *sample, enum top_sort sort);

/* ---- flows ---- */

struct top_flows;

/* An error of the library: mapi_read_error(). */
struct top_error {
	int code;
	char text[MAPI_ERRORSTR_LENGTH];
};

/**
 * top_flows_open() - create the flows, connected; files are not started yet
 * @path:   device, or capture file
 * @filter: NULL or empty: everything
 * @ret_error: always written
 *
 * Return: 0; -EINVAL, -ENOMEM with @ret_error saying why.
 */
int top_flows_open(struct top_flows **ret, const char *path, bool live, const char *filter,
	struct top_error *ret_error);

int top_flows_start(struct top_flows *flows); /* of files. Return: 0, -EINVAL */
struct top_flows *top_flows_close(struct top_flows *flows);

/* Make results cover everything captured so far. */
void top_flows_flush(const struct top_flows *flows);

/* Are all of them over? */
bool top_flows_finished(const struct top_flows *flows);

/* Return: 0, -EINVAL (mapi_read_error()), -ENOMEM. */
int top_flows_read(const struct top_flows *flows, struct top_sample *ret);

/* ---- what is shown ---- */

/**
 * struct top_screen - what there is to show, and how
 * @device:   what it is called now
 * @was:      what it was called by the user, if that is another name; else NULL
 * @filter:   as the user gave it
 * @live:     rates make sense
 * @edit:     filter being typed; NULL: none
 * @message:  a sentence instead of the keys; NULL: none
 * @scroll:   rows of the table that are left out above
 * @since_ns: since when packets are counted, CLOCK_MONOTONIC
 */
struct top_screen {
	const char *device;
	const char *was;
	const char *filter;
	bool live;
	enum top_view view;
	enum top_sort sort;
	bool paused;
	bool help;
	bool colour;
	const char *edit;
	const char *message;
	unsigned int scroll;
	uint64_t since_ns;
};

/* Lines of at most @width columns, exactly @height of them, no line end after the last; ASCII and,
 * with colour, SGR sequences. */
void top_show_screen(FILE *out, const struct top_screen *screen, const struct top_sample *sample,
	unsigned int width, unsigned int height);

/* Lines for files and pipes, at most @max_rows of each table. */
void top_show_lines(FILE *out, const struct top_screen *screen, const struct top_sample *sample,
	unsigned int max_rows);

/* One JSON object and a line end. */
void top_show_json(FILE *out, const struct top_screen *screen, const struct top_sample *sample,
	unsigned int max_rows);

/* The same as lines of values. @with_head: the names first. */
void top_show_csv(FILE *out, const struct top_screen *screen, const struct top_sample *sample,
	unsigned int max_rows, bool with_head);

/* "12.3 k": three significant digits in at most six columns, decimal prefixes. */
void top_scale(char *out, size_t out_bytes, double value);

#endif
