/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reader's side of a record ring: see ring.h. It gives room back in larger steps, because each
 * step costs a cache line that the writer wants and a look at whether the writer waits.
 *
 * The descriptor's count carries no number, it only means "look again". Whoever empties it looks
 * again before sleeping, and puts it back if it carried a wake-up, which is for all threads and for
 * ever.
 */
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "ring_private.h"
#include "wake.h"

struct ring_reader {
	struct ring_shared *shared;
	const uint8_t *data;
	uint64_t data_bytes;
	uint64_t mask;
	uint64_t tail; /* begin of the next record */
	uint64_t given_tail; /* as published */
	uint64_t held_bytes; /* of the record that the caller still uses */
	_Atomic bool is_woken;
	_Atomic bool is_polled;
	int fds[RING_N_FDS];
};

int ring_reader_new(struct ring_reader **ret, const int fds[RING_N_FDS])
{
	const int wanted_seals = F_SEAL_SHRINK | F_SEAL_GROW;
	_cleanup_(cleanup_freep) struct ring_reader *reader = calloc(1, sizeof(*reader));
	uint64_t header_bytes = ring_header_bytes();
	uint64_t data_bytes;
	struct stat st;
	int seals, r;

	if (!reader)
		return -ENOMEM;
	if (fstat(fds[0], &st) < 0)
		return -errno;
	seals = fcntl(fds[0], F_GET_SEALS);
	if (seals < 0 || (seals & wanted_seals) != wanted_seals)
		return -EBADMSG;
	if (st.st_size < 0 || (uint64_t)st.st_size <= header_bytes)
		return -EBADMSG;
	data_bytes = (uint64_t)st.st_size - header_bytes;
	if ((data_bytes & (data_bytes - 1)) != 0 || data_bytes % header_bytes != 0)
		return -EBADMSG;
	r = ring_map(fds[0], data_bytes, &reader->shared, (uint8_t **)&reader->data);
	if (r < 0)
		return r;
	if (reader->shared->magic != RING_MAGIC || reader->shared->layout != RING_LAYOUT ||
		reader->shared->data_bytes != data_bytes) {
		ring_unmap(reader->shared, data_bytes);
		return -EBADMSG;
	}
	reader->data_bytes = data_bytes;
	reader->mask = data_bytes - 1;
	reader->tail = reader->given_tail = atomic_load(&reader->shared->tail);
	memcpy(reader->fds, fds, sizeof(reader->fds));
	*ret = TAKE(reader);
	return 0;
}

void ring_reader_close(struct ring_reader *reader)
{
	for (unsigned int i = 0; i < RING_N_FDS; i++) {
		if (reader->fds[i] >= 0)
			(void)close(reader->fds[i]);
		reader->fds[i] = -1;
	}
}

struct ring_reader *ring_reader_free(struct ring_reader *reader)
{
	if (!reader)
		return NULL;
	ring_reader_close(reader);
	ring_unmap(reader->shared, reader->data_bytes);
	free(reader);
	return NULL;
}

/* Publish what has been read. */
static void ring_reader_give_back(struct ring_reader *reader)
{
	struct ring_shared *shared = reader->shared;

	if (reader->given_tail == reader->tail)
		return;
	reader->given_tail = reader->tail;
	/* Pairs with ring_sleep() of the writer: one of both sees the other. */
	atomic_store(&shared->tail, reader->tail);
	if (atomic_load(&shared->writer_waits) == 0)
		return;
	if ((int64_t)(reader->tail - atomic_load(&shared->writer_wake_at)) < 0)
		return;
	if (atomic_exchange(&shared->writer_waits, 0) != 0)
		wake_signal(reader->fds[2]);
}

static bool ring_reader_has_news(const struct ring_reader *reader)
{
	return atomic_load(&reader->shared->head) != reader->tail + reader->held_bytes ||
		atomic_load(&reader->shared->is_ended) != 0;
}

/* Say that the reader sleeps or polls. Return: true if it may, false if there is news already. */
static bool ring_reader_arm(struct ring_reader *reader, enum ring_sleep how)
{
	wake_clear(reader->fds[1]);
	if (atomic_load(&reader->is_woken)) {
		wake_signal_now(reader->fds[1]);
		return false;
	}
	/* Pairs with ring_store() of the writer: one of both sees the other. */
	atomic_store(&reader->shared->reader_sleeps, (uint32_t)how);
	if (!ring_reader_has_news(reader))
		return true;
	atomic_store(&reader->shared->reader_sleeps, RING_AWAKE);
	wake_signal_now(reader->fds[1]); /* keep it readable for those who poll */
	return false;
}

int ring_reader_next(struct ring_reader *reader, const void **ret_record, size_t *ret_bytes)
{
	struct ring_shared *shared = reader->shared;
	struct ring_record record;
	uint64_t head, used_bytes, total_bytes;
	bool is_ended;

	if (reader->held_bytes > 0) {
		reader->tail += reader->held_bytes;
		reader->held_bytes = 0;
		if (reader->tail - reader->given_tail >= reader->data_bytes / 8 ||
			atomic_load_explicit(&shared->writer_waits, memory_order_relaxed))
			ring_reader_give_back(reader);
	}
	/* Pairs with the store in ring_store(). */
	head = atomic_load_explicit(&shared->head, memory_order_acquire);
	if (head == reader->tail) {
		ring_reader_give_back(reader);
		if (atomic_load(&reader->is_polled))
			(void)ring_reader_arm(reader, RING_POLLS); /* news: it is readable */
		/* The end is published after the last record, so ask for it first. */
		is_ended = atomic_load(&shared->is_ended) != 0;
		head = atomic_load(&shared->head);
		if (head == reader->tail)
			return is_ended ? RING_READ_E_END : RING_READ_E_EMPTY;
	}
	used_bytes = head - reader->tail;
	if (used_bytes > reader->data_bytes || used_bytes < sizeof(record))
		return -EBADMSG;
	memcpy(&record, reader->data + (reader->tail & reader->mask), sizeof(record));
	total_bytes = ring_record_total_bytes(record.n_bytes);
	if (record.n_bytes > RING_RECORD_BYTES_MAX || total_bytes > used_bytes)
		return -EBADMSG;
	reader->held_bytes = total_bytes;
	/* Who polls may read without waiting, so after the last one it is readable no more. */
	if (used_bytes == total_bytes && atomic_load(&reader->is_polled))
		(void)ring_reader_arm(reader, RING_POLLS);
	*ret_record = reader->data + (reader->tail & reader->mask) + sizeof(record);
	*ret_bytes = record.n_bytes;
	return 0;
}

int ring_reader_wait(struct ring_reader *reader, int timeout_ms)
{
	return ring_reader_wait_peer(reader, NULL, 0, timeout_ms);
}

int ring_reader_wait_peer(
	struct ring_reader *reader, const struct pollfd ends[], unsigned int n_ends, int timeout_ms)
{
	struct pollfd pollfds[1 + RING_ENDS_MAX] = { { .fd = reader->fds[1], .events = POLLIN } };
	int n;

	n_ends = MIN(n_ends, (unsigned int)RING_ENDS_MAX);
	if (n_ends)
		memcpy(pollfds + 1, ends, n_ends * sizeof(ends[0]));

	if (atomic_load(&reader->is_woken))
		return RING_READ_E_WOKEN;
	if (reader->held_bytes > 0 || ring_reader_has_news(reader))
		return 0;
	if (!ring_reader_arm(reader, RING_SLEEPS))
		return atomic_load(&reader->is_woken) ? RING_READ_E_WOKEN : 0;
	n = poll(pollfds, 1 + n_ends, timeout_ms);
	if (n <= 0)
		atomic_store(&reader->shared->reader_sleeps,
			atomic_load(&reader->is_polled) ? RING_POLLS : RING_AWAKE);
	if (n < 0 || atomic_load(&reader->is_woken))
		return RING_READ_E_WOKEN;
	if (n == 0)
		return RING_READ_E_EMPTY;
	/* What was written before the end comes first. */
	return pollfds[0].revents || ring_reader_has_news(reader) ? 0 : RING_READ_E_HANGUP;
}

void ring_reader_wake(struct ring_reader *reader)
{
	atomic_store(&reader->is_woken, true);
	wake_signal_now(reader->fds[1]);
}

int ring_reader_fileno(struct ring_reader *reader)
{
	if (!atomic_exchange(&reader->is_polled, true)) {
		if (ring_reader_has_news(reader))
			wake_signal_now(reader->fds[1]);
		else
			(void)ring_reader_arm(reader, RING_POLLS); /* news: it is readable */
	}
	return reader->fds[1];
}
