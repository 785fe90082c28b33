/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Output to a file or pipe that another process has opened: capture files (writer.h) and lines of
 * text. Records are collected in a buffer and handed to the kernel together. When a write fails, a
 * regular file is cut back to the end of its last complete record, so that what is on the disk is
 * whole. A failure sticks: later calls report it again.
 */
#ifndef MAPI_CAPFILE_OUTPUT_H
#define MAPI_CAPFILE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define OUTPUT_PARTS_MAX 8u

struct output;

struct output_part {
	const void *bytes;
	size_t n_bytes;
};

/* @fd: open for writing; taken on success. It is not looked at before the first write, which, as
 * closing it, takes as long as whoever serves the file likes. @path: for messages; copied.
 * Return: 0, -EINVAL with @err (9003) filled, -ENOMEM. */
int output_new(struct output **ret, int fd, const char *path, struct error *err);

const char *output_path(const struct output *output);

/* Append one record, made of at most OUTPUT_PARTS_MAX parts. @is_counted: output_lost_records()
 * counts it. Return: 0, -EINVAL with @err filled (9003: the text names path, cause and bytes
 * written). */
int output_put(struct output *output, const struct output_part *parts, unsigned int n_parts,
	bool is_counted, struct error *err);

/* Hand everything to the kernel. Return: as output_put(). */
int output_flush(struct output *output, struct error *err);

/* Any thread: a pipe whose reader does not read is waited for a moment only, now and ever after;
 * then writing fails. A reader that reads gets everything. Takes NULL. */
void output_cancel(struct output *output);

/* After a failure: counted records that were taken, and of which the file or pipe did not get all
 * bytes. */
uint64_t output_lost_records(const struct output *output);

/* Free, as if it had never been; the descriptor is the caller's again. Takes NULL. */
void output_abandon(struct output *output);

/* Flush, close, free; takes NULL. Return: as output_put(). */
int output_close(struct output *output, struct error *err);

#endif
