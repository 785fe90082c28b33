/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file driver's parts. file.c: the driver's table, opening and claiming. file_chunk.c: what a
 * worker does with a chunk, and the checks of speculation. file_stream.c: chunks filled from
 * streams. file_map.c: mapped files that may shrink.
 */
#ifndef MAPI_DRIVER_FILE_PRIVATE_H
#define MAPI_DRIVER_FILE_PRIVATE_H

#include <pthread.h>

#include "capfile/reader.h"
#include "capfile/stream.h"
#include "driver.h"

#define FILE_RANGE_BYTES (4u << 20)
#define FILE_STREAM_BYTES (1u << 20)

/* A mapping that survives its file becoming shorter: what is gone reads as zeros. */
struct file_map;

/* Return: 0, -errno; -ENOSPC if too many files are mapped by this process. */
int file_map_new(struct file_map **ret, int fd, size_t n_bytes);
const uint8_t *file_map_bytes(const struct file_map *map);
/* How many bytes from the start are the file's own, now. Any thread. */
size_t file_map_valid_bytes(struct file_map *map);
struct file_map *file_map_free(struct file_map *map);

enum file_mode {
	FILE_MODE_GUESS, /* mapped; chunks start where records probably start */
	FILE_MODE_ALONE, /* mapped; the only worker learns what blocks mean while it reads */
	FILE_MODE_SCAN, /* mapped; claim() passes over the records */
	FILE_MODE_STREAM, /* read into buffers of the chunks */
	FILE_MODE_PROBE /* a stream whose format is not known yet */
};

/**
 * struct file_chunk - a chunk of a capture file
 * @start:     position of the first record within @span, valid unless @guess
 * @guess:     @start has still to be found
 * @exact:     @start is where the previous chunk ends
 * @outcome:   of the last walk; 0: go on walking
 * @ends:      nothing follows; @pending says why, if it is not the proper end
 * @n_out:     packets given out since the start
 * @buffer:    of a stream's chunk
 */
struct file_chunk {
	struct file_chunk *next;
	struct capfile_cursor start_cursor;
	struct capfile_cursor cursor;
	struct capfile_span span;
	size_t start;
	bool guess;
	bool exact;
	bool ends;
	int outcome;
	uint64_t n_out;
	struct error pending;
	struct error found;
	uint8_t *buffer;
	size_t buffer_bytes;
};

/**
 * struct driver_source - an open capture file
 * @claim_at:  where the next claim starts (GUESS: at least)
 * @cursor:    SCAN: at @claim_at. ALONE: at @true_end
 * @private_next: ALONE: what follows must be rewritten
 * @ended:     the last chunk has been claimed
 * @lock:      guards what follows
 * @unused:    chunks to be used again
 * @last_resort: the chunk that tells that there is no memory for a chunk
 * @checked:   the chunk that was verified last, if not released yet
 * @true_end:  where the chunk before the next to be verified really ends
 * @over:      ... and nothing follows it
 * @rest:      bytes of the stream that follow the last claimed chunk
 */
struct driver_source {
	char *name;
	int fd;
	int wake_fd;
	unsigned int batch_pkts;
	unsigned int n_workers;
	size_t range_bytes;
	size_t stream_bytes;
	enum file_mode mode;
	bool ended;
	_Atomic bool woken;
	uint64_t total_bytes;
	_Atomic uint64_t released_bytes;
	struct capfile_file format;
	struct capfile_cursor cursor;
	bool private_next;
	struct file_map *map;
	size_t map_bytes;
	uint64_t claim_at;
	uint64_t next_seq;
	struct capfile_stream *_Atomic stream; /* appears once, for stats() */
	bool stream_eof;
	uint8_t *rest;
	size_t rest_bytes;
	size_t rest_room;
	uint64_t rest_offset;
	struct error stream_error;
	pthread_mutex_t lock;
	struct file_chunk *unused;
	struct file_chunk last_resort;
	struct driver_chunk *checked;
	uint64_t released_seq;
	uint64_t true_end;
	bool over;
};

/* Sizes that tests make tiny; open() uses FILE_RANGE_BYTES and FILE_STREAM_BYTES. */
int file_open_sized(struct driver_source **ret, const struct driver_open_args *args,
	size_t range_bytes, size_t stream_bytes, struct error *err);

/* file_chunk.c */
int file_next_batch(
	struct driver_source *source, struct driver_chunk *chunk, struct packet_batch *batch);
void file_rewind(struct driver_source *source, struct driver_chunk *chunk);
int file_verify(struct driver_source *source, struct driver_chunk *chunk);
void file_release(struct driver_source *source, struct driver_chunk *chunk);

/* file.c: learn the interfaces that are described before the first packet. */
void file_learn(struct driver_source *source, const uint8_t *bytes, size_t n_bytes);

/* file_stream.c: read until the format is known. Return: 0, DRIVER_E_END when woken, -EINVAL with
 * @err filled, -ENOMEM. */
int file_stream_probe(struct driver_source *source, struct error *err);
/* Fill @chunk with the next complete records. Return: 0, DRIVER_E_END. */
int file_stream_claim(struct driver_source *source, struct file_chunk *chunk);
/* Go on with a mapped file as a stream, from @offset. Return: 0, -ENOMEM. */
int file_stream_start(struct driver_source *source, uint64_t offset, bool raw);

#endif
