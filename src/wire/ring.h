/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Record rings: how packets (struct mapipkt) and records of blocking functions travel from the
 * engine to one client, through shared memory (semantics R4, L1).
 *
 * One writer (the worker whose turn it is), one reader (the client; several threads of it must
 * agree among themselves). The data area is mapped twice in a row, so a record is contiguous at the
 * wrap. The reader's index is written by the client: the writer treats it as hostile, and so does
 * the reader with the writer's. The memory is a memfd sealed against resizing. A descriptor
 * (wake.h) wakes the reader, and only when it has said that it sleeps; a second one wakes a writer
 * that waits for room.
 */
#ifndef MAPI_WIRE_RING_H
#define MAPI_WIRE_RING_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define RING_RECORD_BYTES_MAX (1u << 20)

/* ---- the writer: the engine ---- */

struct ring;
struct ring_group; /* the rings of one client, so that one can spill while the client waits on
		      another */

int ring_group_new(struct ring_group **ret, size_t spill_quota_bytes);
struct ring_group *ring_group_free(
	struct ring_group *group); /* takes NULL; all rings gone before */
DEFINE_CLEANUP(struct ring_group *, ring_group_free);

/* The client waits for an answer that a writer of its rings may hold up: while it does, full rings
 * spill as if it slept on another ring. Any thread. */
void ring_group_await(struct ring_group *group, bool awaits_reply);

/**
 * ring_new() - make a ring
 * @ret:        the ring; the caller owns it
 * @data_bytes: capacity, rounded up to a power of two of at least one page
 * @lossless:   ring_write() waits for room instead of dropping
 *
 * Return: 0, -ENOMEM, -EMFILE or another negative errno of memfd_create, mmap, wake_new().
 */
int ring_new(struct ring **ret, size_t data_bytes, bool lossless);
struct ring *ring_free(struct ring *ring); /* takes NULL; leaves its group */
DEFINE_CLEANUP(struct ring *, ring_free);

/* The writer is another process now than the one that made the ring, or wrote to it before: it goes
 * on where that one has published its last record. Return: 0, -EBADMSG: the client has damaged it.
 */
int ring_resume(struct ring *ring);

/* Put the ring among the other rings of its client, before the first write. Control thread.
 * Return: 0. */
int ring_join(struct ring *ring, struct ring_group *group);

/* Descriptors for the client, in this order: memory, what wakes the reader, the writer. Borrowed.
 */
#define RING_N_FDS 3
void ring_fds(const struct ring *ring, int ret_fds[RING_N_FDS]);

enum ring_outcome {
	RING_E_DROPPED = 1, /* no room, not lossless: counted in the ring */
	RING_E_CANCELLED, /* ring_cancel() was called */
	_RING_E_N
};

/**
 * ring_write() - append one record
 * @head, @head_bytes: first part of the record
 * @tail, @tail_bytes: second part
 * @err:  9004 when the client reads nothing of this ring, waits on another one, and the spill quota
 *        is used up; 3075 when the client wrote nonsense into its index; 9006
 *
 * The record is published at once; the reader is woken if it sleeps. May wait if the ring is
 * lossless.
 *
 * Return: 0, RING_E_DROPPED, RING_E_CANCELLED, -EMSGSIZE (more than RING_RECORD_BYTES_MAX or than
 * half the ring), -EINVAL with @err filled.
 */
int ring_write(struct ring *ring, const void *head, size_t head_bytes, const void *tail,
	size_t tail_bytes, struct error *err);

/* Any thread: a writer that waits returns RING_E_CANCELLED, now and ever after. */
void ring_cancel(struct ring *ring);

/* No record will follow: the reader drains the ring and is then told the end. Spilled records are
 * still handed over as room appears, by ring_pump(). */
void ring_end(struct ring *ring);

/* Control thread: move spilled records into the ring. Return: true while some remain. */
bool ring_pump(struct ring *ring);

uint64_t ring_dropped(const struct ring *ring);

/* ---- the reader: libmapi ---- */

struct ring_reader;

/**
 * ring_reader_new() - map a ring that the engine sent
 * @ret: the reader; the caller owns it
 * @fds: the descriptors of ring_fds(); consumed on success only
 *
 * Return: 0, -EBADMSG if the memory is not such a ring, -ENOMEM or another errno.
 */
int ring_reader_new(struct ring_reader **ret, const int fds[RING_N_FDS]);
/* Async-signal-safe: closes the descriptors; records that were read stay readable until
 * ring_reader_free(), and no other function may be called. */
void ring_reader_close(struct ring_reader *reader);
struct ring_reader *ring_reader_free(struct ring_reader *reader); /* takes NULL; closes, unmaps */
DEFINE_CLEANUP(struct ring_reader *, ring_reader_free);

enum ring_read_outcome {
	RING_READ_E_EMPTY = 1, /* nothing now */
	RING_READ_E_END, /* nothing ever again */
	RING_READ_E_WOKEN, /* ring_reader_wake(), or a signal: look at your own state */
	RING_READ_E_HANGUP, /* the writer's process is gone */
	_RING_READ_E_N
};

/**
 * ring_reader_next() - the next record
 * @ret_record: first byte, aligned to 8; valid until the next call for this reader
 * @ret_bytes:  its length
 *
 * Releases the record of the previous call. Never waits; holds no lock.
 *
 * Return: 0, RING_READ_E_EMPTY, RING_READ_E_END, -EBADMSG if the shared memory is inconsistent.
 */
int ring_reader_next(struct ring_reader *reader, const void **ret_record, size_t *ret_bytes);

/**
 * ring_reader_wait() - sleep until there is a record, the end, a wake-up or a signal
 * @timeout_ms: -1: no limit
 *
 * Return: 0 (look again), RING_READ_E_WOKEN, RING_READ_E_EMPTY (time is over).
 */
int ring_reader_wait(struct ring_reader *reader, int timeout_ms);

/* The same, and ends with RING_READ_E_HANGUP when one of @ends comes, as poll() says; at most
 * RING_ENDS_MAX. */
#define RING_ENDS_MAX 2
int ring_reader_wait_peer(struct ring_reader *reader, const struct pollfd ends[],
	unsigned int n_ends, int timeout_ms);

/* Any thread and signal handlers: make ring_reader_wait() return RING_READ_E_WOKEN, now and ever
 * after. */
void ring_reader_wake(struct ring_reader *reader);

/* The descriptor to poll for readability (mapi_fileno); from the first call on it is kept current:
 * readable while there are records or the end has come. Borrowed. */
int ring_reader_fileno(struct ring_reader *reader);

#endif
