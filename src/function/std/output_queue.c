/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The queue between a worker and the thread that writes its records: see output_queue_private.h.
 *
 * Records lie in one piece of memory: a head, the bytes, padding to 8. Positions only
 * grow; a record begins at its position modulo the size. The last one before the end runs beyond
 * it, into a margin that is as long as the longest record, and not to the beginning: so every
 * record is contiguous, and what it leaves unused there is no more than it uses of the margin.
 *
 * Whether the thread sleeps and whether the producer has published are a store and a load on each
 * side, all sequentially consistent, so that at least one sees the other and no wake-up is lost.
 */
#include "output_queue_private.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/thread.h"
#include "mapi/errors.h"

#define STD_QUEUE_ALIGN 8u
#define STD_QUEUE_NS_PER_MS 1000000u
/* What comes slowly is kept back this long, so that a reader of the file sees it soon. */
#define STD_QUEUE_FLUSH_NS 100000000u
/* For a thread that has been told to give up. A pipe is waited for less long, a write to a disk
 * that works takes less. */
#define STD_QUEUE_LEAVE_NS 300000000u

struct std_queue {
	/* The producer. */
	_Alignas(64) uint64_t head;
	uint64_t known_tail;
	uint64_t *gaps; /* per channel: dropped since the last one that was taken */
	_Atomic uint64_t n_taken;
	_Atomic uint64_t n_dropped;

	/* Told by the producer. */
	_Alignas(64) _Atomic uint64_t published;
	_Atomic bool ended; /* gaps are the thread's from then on */

	/* The thread. */
	_Alignas(64) _Atomic uint64_t tail;
	_Atomic bool sleeps;
	_Atomic uint64_t n_written;
	_Atomic bool failed; /* error does not change any more */
	_Atomic bool done;
	struct error error;

	/* Constant, but for the control thread's. */
	_Alignas(64) uint8_t *data;
	uint64_t mask;
	size_t n_bytes;
	const struct std_queue_ops *ops;
	void *sink;
	char *path;
	int wake_fd;
	int done_fd;
	pthread_t thread;
	_Atomic uint64_t deadline_ns; /* for what is in the queue at its end; 0: none */
	_Atomic bool given_up; /* the deadline has passed */
	pthread_mutex_t sink_lock;
	bool closing; /* GUARDED_BY(sink_lock): the sink is about to go */
	_Atomic unsigned int refs; /* the control thread and the thread */
};

/* The position after a record. */
static uint64_t std_queue_after(uint64_t at, size_t n_bytes)
{
	return at +
		((sizeof(struct std_queue_record) + n_bytes + STD_QUEUE_ALIGN - 1) &
			~(uint64_t)(STD_QUEUE_ALIGN - 1));
}

/* ---- the producer ---- */

static void std_queue_count(_Atomic uint64_t *counter)
{
	/* There is one producer. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
		memory_order_relaxed);
}

bool std_queue_put(struct std_queue *queue, uint16_t channel, const void *head, size_t head_bytes,
	const void *data, size_t data_bytes)
{
	uint64_t *gap = &queue->gaps[channel];
	size_t n_bytes = head_bytes + data_bytes;
	uint64_t next = std_queue_after(queue->head, n_bytes);
	struct std_queue_record *record;

	/* Pairs with the release in std_queue_write(): the memory is no longer read. */
	if (next - queue->known_tail > queue->mask + 1)
		queue->known_tail = atomic_load_explicit(&queue->tail, memory_order_acquire);
	if (next - queue->known_tail > queue->mask + 1 || n_bytes > queue->ops->n_bytes_max) {
		++*gap;
		std_queue_count(&queue->n_dropped);
		return false;
	}
	record = (struct std_queue_record *)(void *)(queue->data + (queue->head & queue->mask));
	*record = (struct std_queue_record){
		.lost = *gap, .n_bytes = (uint32_t)n_bytes, .channel = channel
	};
	memcpy(record->bytes, head, head_bytes);
	if (data_bytes)
		memcpy(record->bytes + head_bytes, data, data_bytes);
	*gap = 0;
	queue->head = next;
	std_queue_count(&queue->n_taken);
	return true;
}

static void std_queue_wake(struct std_queue *queue)
{
	if (atomic_load(&queue->sleeps) && atomic_exchange(&queue->sleeps, false))
		(void)eventfd_write(queue->wake_fd, 1); /* fails only if it is readable anyway */
}

void std_queue_publish(struct std_queue *queue)
{
	atomic_store(&queue->published, queue->head);
	std_queue_wake(queue);
}

void std_queue_end(struct std_queue *queue)
{
	if (atomic_load(&queue->ended))
		return;
	atomic_store(&queue->published, queue->head);
	atomic_store(&queue->ended, true);
	std_queue_wake(queue);
}

/* ---- the thread ---- */

/* Return: -EINVAL with queue->error filled. */
static int std_queue_give_up(struct std_queue *queue)
{
	(void)queue->ops->flush(queue->sink, &queue->error);
	return error_set(&queue->error, MAPI_OUTPUT_FAILED, "%s: closed too early", queue->path);
}

/* Write what has been published. Return: 0, -EINVAL with queue->error filled. */
static int std_queue_write(struct std_queue *queue, uint64_t end)
{
	uint64_t at = atomic_load_explicit(&queue->tail, memory_order_relaxed);

	while (at != end) {
		const struct std_queue_record *record =
			(const void *)(queue->data + (at & queue->mask));
		int r;

		if (atomic_load_explicit(&queue->given_up, memory_order_relaxed))
			return std_queue_give_up(queue);
		r = queue->ops->write(queue->sink, record, &queue->error);
		if (r < 0)
			return r;
		atomic_fetch_add_explicit(&queue->n_written, 1, memory_order_relaxed);
		at = std_queue_after(at, record->n_bytes);
		/* Pairs with the acquire in std_queue_put(). */
		atomic_store_explicit(&queue->tail, at, memory_order_release);
	}
	return 0;
}

/* Until there is something new, or @timeout_ms have passed. */
static void std_queue_sleep(struct std_queue *queue, uint64_t tail, int timeout_ms)
{
	struct pollfd pollfd = { .fd = queue->wake_fd, .events = POLLIN };
	eventfd_t count;

	atomic_store(&queue->sleeps, true);
	if (atomic_load(&queue->published) == tail && !atomic_load(&queue->ended))
		(void)poll(&pollfd, 1, timeout_ms);
	if (!atomic_exchange(&queue->sleeps, false))
		(void)eventfd_read(queue->wake_fd, &count); /* or the next sleep is a short one */
}

/* The queue is empty: sleep, and flush in time. @since_ns: since when something has been kept back;
 * 0: nothing is. */
static int std_queue_idle(struct std_queue *queue, uint64_t tail, uint64_t *since_ns)
{
	uint64_t now_ns = clock_monotonic_ns(), flush_ns = *since_ns + STD_QUEUE_FLUSH_NS;

	if (*since_ns && now_ns >= flush_ns) {
		*since_ns = 0;
		return queue->ops->flush(queue->sink, &queue->error);
	}
	std_queue_sleep(
		queue, tail, *since_ns ? (int)((flush_ns - now_ns) / STD_QUEUE_NS_PER_MS) + 1 : -1);
	return 0;
}

static int std_queue_run(struct std_queue *queue)
{
	uint64_t since_ns = 0;

	for (;;) {
		bool ended = atomic_load(&queue->ended); /* before published: then it is the last */
		uint64_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
		uint64_t end = atomic_load(&queue->published);
		int r;

		if (end == tail && ended)
			return queue->ops->complete(queue->sink, queue->gaps, &queue->error);
		if (end == tail) {
			r = std_queue_idle(queue, tail, &since_ns);
		} else {
			r = std_queue_write(queue, end);
			since_ns = since_ns ? since_ns : clock_monotonic_ns();
		}
		if (r < 0)
			return r;
	}
}

static struct std_queue *std_queue_unref(struct std_queue *queue)
{
	/* The last one sees what the other has done. */
	if (atomic_fetch_sub(&queue->refs, 1) > 1)
		return NULL;
	if (queue->data)
		(void)munmap(queue->data, queue->n_bytes);
	if (queue->gaps)
		(void)munmap(queue->gaps, queue->ops->n_channels * sizeof(queue->gaps[0]));
	cleanup_closep(&queue->wake_fd);
	cleanup_closep(&queue->done_fd);
	(void)pthread_mutex_destroy(&queue->sink_lock);
	free(queue->path);
	free(queue);
	return NULL;
}

/* Here and not by the control thread: closing a file may wait for who serves it. */
static void std_queue_close_sink(struct std_queue *queue)
{
	(void)pthread_mutex_lock(&queue->sink_lock);
	queue->closing = true;
	(void)pthread_mutex_unlock(&queue->sink_lock);
	queue->ops->close(queue->sink);
}

static void std_queue_cancel_sink(struct std_queue *queue)
{
	(void)pthread_mutex_lock(&queue->sink_lock);
	if (!queue->closing)
		queue->ops->cancel(queue->sink);
	(void)pthread_mutex_unlock(&queue->sink_lock);
}

static void *std_queue_main(void *argument)
{
	struct std_queue *queue = argument;

	/* So that the producer meets no page for the first time. Linux 5.14; older ones, and those
	 * that are short of memory, hand pages out one by one. */
#ifdef MADV_POPULATE_WRITE
	(void)madvise(queue->data, queue->n_bytes, MADV_POPULATE_WRITE);
#endif
	if (std_queue_run(queue) < 0) {
		atomic_fetch_sub_explicit(
			&queue->n_written, queue->ops->lost(queue->sink), memory_order_relaxed);
		/* Pairs with the acquire in std_queue_failed(). */
		atomic_store_explicit(&queue->failed, true, memory_order_release);
	}
	std_queue_close_sink(queue);
	atomic_store(&queue->done, true);
	(void)eventfd_write(queue->done_fd, 1);
	std_queue_unref(queue);
	return NULL;
}

/* ---- the control thread ---- */

static int std_queue_map(void **ret, size_t n_bytes)
{
	void *p = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

static int std_queue_make(struct std_queue *queue, const char *path, size_t n_bytes)
{
	int r;

	queue->path = strdup(path);
	if (!queue->path)
		return -ENOMEM;
	queue->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	queue->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->wake_fd < 0 || queue->done_fd < 0)
		return -errno;
	queue->mask = n_bytes - 1;
	queue->n_bytes =
		n_bytes + sizeof(struct std_queue_record) + queue->ops->n_bytes_max; /* see above */
	r = std_queue_map((void **)&queue->data, queue->n_bytes);
	if (r == 0)
		r = std_queue_map(
			(void **)&queue->gaps, queue->ops->n_channels * sizeof(queue->gaps[0]));
	return r;
}

int std_queue_new(struct std_queue **ret, const struct std_queue_ops *ops, void *sink,
	const char *path, size_t n_bytes)
{
	struct std_queue *queue = aligned_alloc(_Alignof(struct std_queue), sizeof(*queue));
	int r;

	if (!queue)
		return -ENOMEM;
	*queue = (struct std_queue){ .ops = ops, .wake_fd = -1, .done_fd = -1, .refs = 1 };
	(void)pthread_mutex_init(&queue->sink_lock, NULL); /* cannot fail on Linux */
	r = std_queue_make(queue, path, n_bytes);
	if (r == 0) {
		queue->sink = sink;
		atomic_store(&queue->refs, 2);
		r = thread_start(&queue->thread, std_queue_main, queue);
		if (r < 0)
			atomic_store(&queue->refs, 1); /* the sink is still the caller's */
	}
	if (r < 0) {
		std_queue_unref(queue);
		return r;
	}
	*ret = queue;
	return 0;
}

bool std_queue_is_done(const struct std_queue *queue)
{
	return atomic_load(&queue->done);
}

bool std_queue_failed(const struct std_queue *queue, struct error *err)
{
	/* Pairs with the release in std_queue_main(). */
	if (!atomic_load_explicit(&queue->failed, memory_order_acquire))
		return false;
	if (err)
		*err = queue->error;
	return true;
}

uint64_t std_queue_lost(const struct std_queue *queue)
{
	uint64_t lost = atomic_load_explicit(&queue->n_dropped, memory_order_relaxed);

	if (std_queue_failed(queue, NULL))
		lost += atomic_load_explicit(&queue->n_taken, memory_order_relaxed) -
			atomic_load_explicit(&queue->n_written, memory_order_relaxed);
	return lost;
}

void std_queue_hurry(struct std_queue *queue)
{
	uint64_t none = 0;

	(void)atomic_compare_exchange_strong(
		&queue->deadline_ns, &none, clock_monotonic_ns() + STD_QUEUE_DRAIN_NS);
}

/* When it is over. */
static uint64_t std_queue_deadline_ns(const struct std_queue *queue)
{
	return atomic_load(&queue->deadline_ns) +
		(atomic_load(&queue->given_up) ? STD_QUEUE_LEAVE_NS : 0);
}

bool std_queue_is_draining(struct std_queue *queue)
{
	std_queue_hurry(queue);
	if (std_queue_is_done(queue))
		return false;
	if (clock_monotonic_ns() < std_queue_deadline_ns(queue))
		return true;
	if (atomic_exchange(&queue->given_up, true))
		return false;
	std_queue_cancel_sink(queue);
	return true;
}

/* What has not been written, for who closes the flow. */
static int std_queue_report(const struct std_queue *queue, struct error *err)
{
	bool done = std_queue_is_done(queue);
	uint64_t left = atomic_load_explicit(&queue->n_taken, memory_order_relaxed) -
		atomic_load_explicit(&queue->n_written, memory_order_relaxed);

	if (done && !std_queue_failed(queue, NULL))
		return 0;
	if (done && !atomic_load(&queue->given_up))
		return error_set(err, queue->error.code, "%s", queue->error.text);
	return error_set(err, MAPI_OUTPUT_FAILED,
		"%s: closed when %s%llu %s were not written yet: what it is written to takes "
		"nothing, or too slowly",
		queue->path, done ? "" : "at least ", (unsigned long long)left, queue->ops->unit);
}

int std_queue_finish(struct std_queue *queue, struct error *err)
{
	struct pollfd pollfd = { .fd = queue->done_fd, .events = POLLIN };

	std_queue_end(queue);
	while (std_queue_is_draining(queue)) {
		uint64_t now_ns = clock_monotonic_ns(), end_ns = std_queue_deadline_ns(queue);

		if (now_ns < end_ns)
			(void)poll(&pollfd, 1, (int)((end_ns - now_ns) / STD_QUEUE_NS_PER_MS) + 1);
	}
	return std_queue_report(queue, err);
}

int std_queue_close(struct std_queue *queue, struct error *err)
{
	int r;

	if (!queue)
		return 0;
	r = std_queue_finish(queue, err);
	/* A thread that hangs in the kernel cannot be joined; it frees the queue when it can. */
	if (std_queue_is_done(queue))
		(void)pthread_join(queue->thread, NULL);
	else
		(void)pthread_detach(queue->thread);
	std_queue_unref(queue);
	return r;
}
