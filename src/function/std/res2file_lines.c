/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of RES2FILE, on the way to their file: see res2file_private.h. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "capfile/output.h"
#include "mapi/errors.h"
#include "res2file_private.h"

/* In front of a line in the queue. */
struct std_lines_head {
	uint64_t n_times;
};

/* Return: lines written; fewer: @err is filled. */
static uint64_t std_lines_write(struct output *output, const void *text, size_t n_bytes,
	uint64_t n_times, struct error *err)
{
	const struct output_part parts[] = {
		{ .bytes = text, .n_bytes = n_bytes },
		{ .bytes = "\n", .n_bytes = 1 },
	};

	for (uint64_t i = 0; i < n_times; i++)
		if (output_put(output, parts, ARRAY_SIZE(parts), true, err) < 0)
			return i;
	return n_times;
}

/* ---- the queue's thread ---- */

static int std_lines_sink_write(
	void *sink, const struct std_queue_record *record, struct error *err)
{
	const struct std_lines_head *head = (const void *)record->bytes;
	uint64_t n = std_lines_write(sink, record->bytes + sizeof(*head),
		record->n_bytes - sizeof(*head), head->n_times, err);

	return n < head->n_times ? -EINVAL : 0;
}

static int std_lines_sink_flush(void *sink, struct error *err)
{
	return output_flush(sink, err);
}

static int std_lines_sink_complete(void *sink, const uint64_t gaps[], struct error *err)
{
	return output_flush(sink, err);
}

static void std_lines_sink_cancel(void *sink)
{
	output_cancel(sink);
}

static uint64_t std_lines_sink_lost(const void *sink)
{
	return output_lost_records(sink);
}

static void std_lines_sink_close(void *sink)
{
	(void)output_close(sink, NULL); /* it has been flushed or has failed */
}

static const struct std_queue_ops std_lines_sink_ops = {
	.unit = "lines",
	.n_channels = 1,
	.n_bytes_max = sizeof(struct std_lines_head) + STD_LINE_BYTES_MAX,
	.write = std_lines_sink_write,
	.complete = std_lines_sink_complete,
	.flush = std_lines_sink_flush,
	.cancel = std_lines_sink_cancel,
	.lost = std_lines_sink_lost,
	.close = std_lines_sink_close,
};

/* ---- the function's side ---- */

int std_lines_init(
	struct std_lines *lines, const struct function_value *file, bool live, struct error *err)
{
	struct output *output = NULL;
	int r;

	*lines = (struct std_lines){ .output = NULL };
	if (file->fd < 0)
		return error_set(
			err, MAPI_ERROR_FILE, "RES2FILE got no open file for '%.200s'", file->text);
	r = output_new(&output, file->fd, file->text, err);
	if (r < 0)
		return r;
	if (!live) {
		lines->output = output;
		return 0;
	}
	r = std_queue_new(
		&lines->queue, &std_lines_sink_ops, output, file->text, STD_LINES_QUEUE_BYTES);
	if (r == 0)
		return 0;
	output_abandon(output);
	if (r == -ENOMEM)
		return r;
	return error_set(err, MFUNCT_COULD_NOT_INIT_FUNCT, "RES2FILE: no queue for '%.200s': %s",
		file->text, strerror(-r));
}

uint64_t std_lines_put(struct std_lines *lines, const char *text, size_t n_bytes, uint64_t n_times,
	struct error *err)
{
	const struct std_lines_head head = { .n_times = n_times };

	if (!lines->queue)
		return std_lines_write(lines->output, text, n_bytes, n_times, err);
	if (n_times == 0)
		return 0;
	return std_queue_put(lines->queue, 0, &head, sizeof(head), text, n_bytes) ? n_times : 0;
}

void std_lines_publish(struct std_lines *lines, struct error *err)
{
	if (lines->queue)
		std_queue_publish(lines->queue);
	else
		(void)output_flush(lines->output, err);
}

void std_lines_end(struct std_lines *lines, struct error *err)
{
	if (lines->queue)
		std_queue_end(lines->queue);
	else
		(void)output_flush(lines->output, err);
}

void std_lines_cancel(struct std_lines *lines)
{
	if (lines->queue)
		std_queue_hurry(lines->queue);
	output_cancel(lines->output);
}

int std_lines_complete(struct std_lines *lines, struct error *err)
{
	if (lines->queue)
		return std_queue_finish(lines->queue, err);
	/* What is still buffered must not make the daemon wait for the reader of a pipe. */
	output_cancel(lines->output);
	return output_close(TAKE(lines->output), err);
}

bool std_lines_is_busy(const struct std_lines *lines)
{
	return lines->queue && !std_queue_is_done(lines->queue);
}

void std_lines_deinit(struct std_lines *lines)
{
	(void)std_queue_close(TAKE(lines->queue), NULL);
	output_cancel(lines->output);
	(void)output_close(TAKE(lines->output), NULL);
}
