/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chunks that are filled from a stream: pipes, compressed files, and the rare files whose packets
 * must be rewritten. claim() reads until the buffer of the chunk is full, or until complete packets
 * are there and no more bytes are at hand. What is left behind the last complete record moves to
 * the next chunk.
 */
#include "file_private.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "mapi/errors.h"

int file_stream_start(struct driver_source *source, uint64_t offset, bool raw)
{
	struct capfile_stream *stream;
	int r = capfile_stream_new(&stream,
		&(struct capfile_stream_args){ .fd = source->fd,
			.wake_fd = source->wake_fd,
			.offset = offset,
			.raw = raw,
			.name = source->name });

	if (r == 0)
		source->stream = stream;
	return r;
}

static int file_stream_keep(struct driver_source *source, const uint8_t *bytes, size_t n_bytes)
{
	if (n_bytes > source->rest_room) {
		uint8_t *rest = malloc(n_bytes);

		if (!rest)
			return -ENOMEM;
		free(source->rest);
		source->rest = rest;
		source->rest_room = n_bytes;
	}
	if (n_bytes > 0)
		memcpy(source->rest, bytes, n_bytes);
	source->rest_bytes = n_bytes;
	return 0;
}

int file_stream_probe(struct driver_source *source, struct error *err)
{
	uint8_t bytes[CAPFILE_PROBE_BYTES];
	size_t n_bytes = 0, n = 0;
	int r;

	for (;;) {
		bool more = !source->stream_eof && n_bytes < sizeof(bytes);

		r = capfile_file_open(&source->format, bytes, n_bytes, more, source->name, err);
		if (r != CAPFILE_E_MORE)
			break;
		r = capfile_stream_read(
			source->stream, bytes + n_bytes, sizeof(bytes) - n_bytes, true, &n, err);
		if (r == CAPFILE_STREAM_E_WOKEN)
			return DRIVER_E_END;
		/* Damage before anything could be recognised: it cannot be opened. */
		if (r < 0 && err && err->code)
			err->code = PCAP_OPEN_ERR;
		if (r < 0)
			return r;
		if (r == CAPFILE_STREAM_E_END)
			source->stream_eof = true;
		else
			n_bytes += n;
	}
	if (r == CAPFILE_E_UNKNOWN && n_bytes == 0)
		return error_set(err, PCAP_OPEN_ERR,
			"%s: there is nothing in it; " CAPFILE_SUPPORTED, source->name);
	if (r == CAPFILE_E_UNKNOWN)
		return error_set(err, PCAP_OPEN_ERR, "%s: not a capture file; " CAPFILE_SUPPORTED,
			source->name);
	if (r < 0)
		return r;
	file_learn(source, bytes, n_bytes);
	n = source->format.header_bytes;
	source->rest_offset = n;
	return file_stream_keep(source, bytes + n, n_bytes - n);
}

static int file_stream_room(struct driver_source *source, struct file_chunk *c, size_t n_bytes)
{
	uint8_t *buffer;

	if (n_bytes <= c->buffer_bytes)
		return 0;
	buffer = realloc(c->buffer, n_bytes);
	if (!buffer)
		return -ENOMEM;
	c->buffer = buffer;
	c->buffer_bytes = n_bytes;
	c->span.bytes = buffer;
	return 0;
}

/* Read once. Return: 0; an outcome of capfile_stream_read(); negative. */
static int file_stream_fill(struct driver_source *source, struct file_chunk *c, bool wait)
{
	size_t n = 0;
	int r;

	/* Grow with what has come, not with what a record promises. */
	if (c->span.end == c->buffer_bytes) {
		r = file_stream_room(source, c, c->buffer_bytes * 2);
		if (r < 0)
			return r;
	}
	r = capfile_stream_read(source->stream, c->buffer + c->span.end,
		c->buffer_bytes - c->span.end, wait, &n, &c->pending);
	if (r == 0)
		c->span.end = c->span.stop = c->span.end + n;
	if (r == CAPFILE_STREAM_E_END)
		source->stream_eof = true;
	return r;
}

/* Scan and read in turn until the chunk is worth giving out. Return: 0, DRIVER_E_END, -ENOMEM. */
static int file_stream_collect(struct driver_source *source, struct file_chunk *c)
{
	uint64_t n_pkts = 0;

	for (;;) {
		int r;

		c->span.more = !source->stream_eof;
		r = capfile_scan(&source->format, &source->cursor, &c->span, &n_pkts, source->name,
			&c->pending);
		if (r < 0)
			return r;
		if (r == CAPFILE_E_DAMAGED || source->stream_eof)
			break;
		if (n_pkts > 0 && c->span.end >= source->stream_bytes)
			return 0;
		/* Only blocks that nobody wants: make room for the packets. */
		if (n_pkts == 0 && c->span.at == c->span.end) {
			c->span.offset += c->span.at;
			c->span.at = c->span.end = c->span.stop = 0;
			c->start_cursor = source->cursor;
		}
		r = file_stream_fill(source, c, n_pkts == 0);
		if (r == CAPFILE_STREAM_E_LATER)
			return 0;
		if (r == CAPFILE_STREAM_E_WOKEN)
			return n_pkts > 0 ? 0 : DRIVER_E_END;
		if (r == -ENOMEM)
			(void)error_set(&c->pending, MAPI_OUT_OF_MEMORY,
				"%s: out of memory while reading", source->name);
		if (r < 0)
			break;
	}
	source->ended = c->ends = true;
	return n_pkts > 0 || c->pending.code ? 0 : DRIVER_E_END;
}

int file_stream_claim(struct driver_source *source, struct file_chunk *c)
{
	int r = file_stream_room(source, c, MAX(source->stream_bytes, source->rest_bytes + 1));

	if (r < 0)
		return r;
	if (source->rest_bytes > 0)
		memcpy(c->buffer, source->rest, source->rest_bytes);
	c->start_cursor = source->cursor;
	c->exact = true;
	c->span = (struct capfile_span){ .bytes = c->buffer,
		.end = source->rest_bytes,
		.stop = source->rest_bytes,
		.offset = source->rest_offset,
		.rewrite = true };
	r = file_stream_collect(source, c);
	if (r != 0)
		return r;
	source->rest_offset = c->span.offset + c->span.at;
	r = file_stream_keep(source, c->buffer + c->span.at, c->span.end - c->span.at);
	c->span.stop = c->span.end = c->span.at;
	c->span.more = c->span.rewrite = false;
	c->span.at = c->start = 0;
	c->cursor = c->start_cursor;
	return r;
}
