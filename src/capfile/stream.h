/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file or pipe as a stream of bytes, decompressed where its first bytes say that it is compressed
 * (gzip, zstd, xz, lz4; several members or frames in a row are one stream).
 */
#ifndef MAPI_CAPFILE_STREAM_H
#define MAPI_CAPFILE_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct capfile_stream;

enum capfile_stream_outcome {
	CAPFILE_STREAM_E_END = 1, /* the stream has ended properly */
	CAPFILE_STREAM_E_LATER, /* nothing is there now, and the caller did not want to wait */
	CAPFILE_STREAM_E_WOKEN, /* the wake descriptor became readable */
	_CAPFILE_STREAM_E_N
};

#define CAPFILE_STREAM_NOT_SEEKABLE UINT64_MAX

/**
 * struct capfile_stream_args - what is to be read
 * @fd:      borrowed for the life of the stream
 * @wake_fd: readable when a waiting read shall give up; -1: none. Borrowed
 * @offset:  read a regular file from here, without moving its file offset;
 *           CAPFILE_STREAM_NOT_SEEKABLE: read what the descriptor gives
 * @raw:     never decompress
 * @name:    for messages; borrowed
 */
struct capfile_stream_args {
	int fd;
	int wake_fd;
	uint64_t offset;
	bool raw;
	const char *name;
};

/* Whether bytes at the start of a file announce a compressed stream; @n_bytes >= 6 for certainty.
 */
bool capfile_stream_is_compressed(const uint8_t *bytes, size_t n_bytes);

/* Return: 0, -ENOMEM. Reads nothing yet. */
int capfile_stream_new(struct capfile_stream **ret, const struct capfile_stream_args *args);

/**
 * capfile_stream_read() - the next bytes
 * @bytes: at most @n_bytes are stored there
 * @wait:  wait until there is at least one byte
 *
 * Return: 0 and *@ret_n >= 1; an outcome; -EINVAL with @err filled (damaged compression, read
 * error); -ENOMEM.
 */
int capfile_stream_read(struct capfile_stream *stream, uint8_t *bytes, size_t n_bytes, bool wait,
	size_t *ret_n, struct error *err);

/* Any thread: how many bytes of the file have been used, before decompression. */
uint64_t capfile_stream_done_bytes(const struct capfile_stream *stream);

/* Takes NULL; closes nothing. */
struct capfile_stream *capfile_stream_free(struct capfile_stream *stream);

#endif
