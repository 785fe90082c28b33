/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chunks of a capture file, as workers and the plan use them.
 *
 * A guessed chunk may start anywhere, even in the middle of a packet that holds a capture file of
 * its own: what is read there is safe, but wrong. file_verify() compares the start with the end of
 * the chunk before, which is known by then, and moves the chunk if they differ. So guesses only
 * cost time, never correctness.
 */
#include "file_private.h"

#include "base/cleanup.h"
#include "mapi/errors.h"

static void file_chunk_restart(struct file_chunk *c, struct driver_chunk *chunk)
{
	c->cursor = c->start_cursor;
	c->span.at = c->start;
	c->outcome = 0;
	c->n_out = 0;
	chunk->error.code = 0;
	chunk->error.text[0] = '\0';
	c->found = ERROR_INIT;
	chunk->last = false;
}

void file_rewind(struct driver_source *source, struct driver_chunk *chunk)
{
	struct file_chunk *c = chunk->impl;

	(void)source;
	if (!c->guess)
		file_chunk_restart(c, chunk);
}

/* Keep only what lies before the new end of a file that has become shorter. */
static void file_chunk_cut(
	struct driver_source *source, struct file_chunk *c, struct packet_batch *batch)
{
	size_t valid = file_map_valid_bytes(source->map);
	unsigned int n = 0;

	if (valid == source->map_bytes)
		return;
	while (n < batch->n &&
		(size_t)(batch->data[n] - c->span.bytes) + batch->cap_bytes[n] <= valid)
		n++;
	/* Damage that the zeros behind the new end made is none of the file's. */
	if (n == batch->n && c->outcome != CAPFILE_E_DAMAGED && c->span.at <= valid)
		return;
	batch->n = n;
	c->outcome = CAPFILE_E_DAMAGED;
	c->found = ERROR_INIT;
	(void)error_set(&c->found, MAPI_CAPTURE_SHRUNK,
		"%s: shrunk at offset %zu while it was read: it had %zu bytes when it was opened",
		source->name, valid, source->map_bytes);
}

static int file_chunk_end(
	struct driver_source *source, struct file_chunk *c, struct driver_chunk *chunk)
{
	if (c->outcome == CAPFILE_E_DAMAGED)
		chunk->error = c->found;
	else if (c->pending.code)
		chunk->error = c->pending;
	chunk->last = chunk->error.code != 0 || (c->ends && c->outcome != CAPFILE_E_PRIVATE);
	return DRIVER_E_END;
}

static void file_chunk_walk(
	struct driver_source *source, struct file_chunk *c, struct packet_batch *batch)
{
	if (source->mode == FILE_MODE_ALONE)
		c->outcome = capfile_read(&source->format, &c->cursor, &c->span, batch,
			source->batch_pkts, source->name, &c->found);
	else
		c->outcome = capfile_walk(&source->format, &c->cursor, &c->span, batch,
			source->batch_pkts, source->name, &c->found);
	if (c->outcome < 0) {
		(void)error_set(&c->found, MAPI_OUT_OF_MEMORY, "%s: out of memory while reading",
			source->name);
		c->outcome = CAPFILE_E_DAMAGED;
	}
}

int file_next_batch(
	struct driver_source *source, struct driver_chunk *chunk, struct packet_batch *batch)
{
	struct file_chunk *c = chunk->impl;

	batch->n = 0;
	if (c->guess) {
		c->start = capfile_guess(&source->format, &c->span);
		c->guess = false;
		c->span.at = c->start;
	}
	if (c->outcome == 0) {
		file_chunk_walk(source, c, batch);
		if (source->map && c->span.bytes == file_map_bytes(source->map))
			file_chunk_cut(source, c, batch);
	}
	if (batch->n == 0)
		return file_chunk_end(source, c, chunk);
	c->n_out += batch->n;
	return 0;
}

/* Where the chunk before the next to be verified ends. Under the lock. */
static void file_true_end(struct driver_source *source)
{
	struct file_chunk *c;

	if (!source->checked)
		return;
	c = source->checked->impl;
	source->true_end = c->span.offset + c->span.at;
	source->over = source->checked->last;
}

/* The file shrank after packets had been given out, before all were looked at. */
static bool file_chunk_lost(struct driver_source *source, struct file_chunk *c)
{
	return source->n_workers > 1 && source->map && c->n_out > 0 &&
		c->span.bytes == file_map_bytes(source->map) && c->outcome != CAPFILE_E_DAMAGED &&
		c->span.at > file_map_valid_bytes(source->map);
}

int file_verify(struct driver_source *source, struct driver_chunk *chunk)
{
	struct file_chunk *c = chunk->impl;
	int r = 0;

	(void)pthread_mutex_lock(&source->lock);
	file_true_end(source);
	if (!c->exact && source->over) {
		/* The chunk should not exist. */
		c->span.stop = c->start = c->span.at;
		c->ends = true;
		r = c->n_out > 0 ? DRIVER_E_REDO : 0;
		c->guess = false;
		file_chunk_restart(c, chunk);
		chunk->last = true;
	} else if (!c->exact && (c->guess || c->start != source->true_end)) {
		bool was_empty = !c->guess && c->n_out == 0 && !chunk->error.code;

		c->guess = false;
		c->start = source->true_end;
		file_chunk_restart(c, chunk);
		if (was_empty && c->start >= c->span.stop) {
			c->outcome = CAPFILE_E_STOP;
			chunk->last = c->ends;
		} else {
			r = DRIVER_E_REDO;
		}
	} else if (file_chunk_lost(source, c)) {
		file_chunk_restart(c, chunk);
		r = DRIVER_E_REDO;
	}
	c->exact = true;
	source->checked = chunk;
	(void)pthread_mutex_unlock(&source->lock);
	return r;
}

void file_release(struct driver_source *source, struct driver_chunk *chunk)
{
	struct file_chunk *c = chunk->impl;

	(void)pthread_mutex_lock(&source->lock);
	if (source->checked == chunk) {
		file_true_end(source);
		source->checked = NULL;
	} else if (c->exact) {
		/* Never verified, as a single worker may do: its start was certain. */
		source->true_end = c->span.offset + c->span.at;
		source->over = chunk->last;
	}
	source->released_seq = chunk->seq + 1;
	if (source->mode == FILE_MODE_ALONE) {
		source->cursor = c->cursor;
		source->private_next = c->outcome == CAPFILE_E_PRIVATE;
	}
	if (source->map && c->span.bytes == file_map_bytes(source->map))
		atomic_store_explicit(&source->released_bytes, c->span.at, memory_order_relaxed);
	if (c->buffer_bytes > 4 * source->stream_bytes) {
		free(c->buffer);
		c->buffer = NULL;
		c->buffer_bytes = 0;
	}
	if (c != &source->last_resort) {
		c->next = source->unused;
		source->unused = c;
	}
	(void)pthread_mutex_unlock(&source->lock);
	chunk->impl = NULL;
}
