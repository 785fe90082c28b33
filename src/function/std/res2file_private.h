/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parts of RES2FILE: rows, which are made of results (res2file_row.c), and lines, which are
 * written to the file (res2file_lines.c).
 */
#ifndef MAPI_FUNCTION_STD_RES2FILE_PRIVATE_H
#define MAPI_FUNCTION_STD_RES2FILE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "function/function.h"
#include "mapi/res2file.h"
#include "output_queue_private.h"

#define STD_LINES_QUEUE_BYTES (1u << 20)
#define STD_LINE_BYTES_MAX (64u << 10)

/* ---- rows ---- */

/**
 * struct std_row_field - one result of a row
 * @result_bytes: of its function
 * @at:           where it is in the row's results; a value is a uint64_t there
 */
struct std_row_field {
	enum res2file_format format;
	size_t result_bytes;
	size_t at;
};

/**
 * struct std_row - what a line is made of
 * @results:   of all fields, as of the last std_row_take_*(); aligned for any result
 * @text:      room for one line
 * @zero_text: the line of a period in which nothing was
 * @has_results: some field is not a value: it is read as a whole
 */
struct std_row {
	unsigned int n_fields;
	struct std_row_field fields[FUNCTION_REFS_MAX];
	bool has_results;
	uint8_t *results;
	char *text;
	char *zero_text;
	size_t n_zero_bytes;
};

/* @types: "t1,t2", numbers or names of enum res2file_format, one for each of @refs. Return: 0,
 * -EINVAL with @err filled (7001, 7002), -ENOMEM; after failure there is nothing to deinit. */
int std_row_init(struct std_row *row, const char *types, const struct function *const *refs,
	unsigned int n_refs, struct error *err);
void std_row_deinit(struct std_row *row);

/* The results as of packet @i of @call; as they are now. */
void std_row_take_at(struct std_row *row, const struct function_call *call, unsigned int i);
void std_row_take_now(struct std_row *row, const struct function_call *call);

/* The results that were taken last become row->text. Return: its length. */
size_t std_row_print(struct std_row *row);

/* ---- lines ---- */

/* Where lines go: to the file, or on a live device through a queue. */
struct std_lines {
	struct output *output;
	struct std_queue *queue;
};

/* @file: a FILE argument. @live: nothing may wait. Return: 0, -EINVAL with @err filled, -ENOMEM. */
int std_lines_init(
	struct std_lines *lines, const struct function_value *file, bool live, struct error *err);

/* A worker. Append a line @n_times; what ends a line is added. Return: lines taken; fewer: @err is
 * filled, or the queue was full, which it counts once. */
uint64_t std_lines_put(struct std_lines *lines, const char *text, size_t n_bytes, uint64_t n_times,
	struct error *err);

/* After some puts: readers of the file shall see them soon. */
void std_lines_publish(struct std_lines *lines, struct error *err);

/* No line will follow. */
void std_lines_end(struct std_lines *lines, struct error *err);

/* Any thread: wait for no reader any more. */
void std_lines_cancel(struct std_lines *lines);

/* Control thread: no line will follow. Return: 0, -EINVAL with @err filled: not all has been
 * written.
 */
int std_lines_complete(struct std_lines *lines, struct error *err);

/* Control thread, after std_lines_complete(): its thread hangs. */
bool std_lines_is_busy(const struct std_lines *lines);

void std_lines_deinit(struct std_lines *lines);

#endif
