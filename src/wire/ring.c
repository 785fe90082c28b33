/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The writer's side of a record ring: see ring.h.
 *
 * The usual write is: compare the own index with the last known index of the reader, copy, publish,
 * ask whether the reader sleeps. Whether one side sleeps and whether the other has moved are a
 * store and a load on each side; all four are sequentially consistent, so that at least one side
 * sees the other and no wake-up is lost.
 *
 * When a lossless ring is full the writer waits. It must not if the client itself waits, for
 * another ring that only this writer could fill: then records go to a spill queue in engine memory,
 * up to the quota of the group. While a ring has spilled records, all changes of its index are made
 * under its mutex, because the control thread moves them into the ring too.
 */
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "mapi/errors.h"
#include "ring_private.h"
#include "wake.h"

/* How long a client may wait on another ring and take nothing from a full one that cannot spill. A
 * client that only polls may be busy with a record, so it gets more time. */
#define RING_STALL_SLEEPS_NS 1000000000u
#define RING_STALL_POLLS_NS 30000000000u
/* A waiting writer looks at its surroundings this often, with growing pauses. */
#define RING_POLL_FIRST_MS 1
#define RING_POLL_LAST_MS 10

struct ring_spill {
	struct ring_spill *next;
	size_t n_bytes;
	uint8_t bytes[];
};

struct ring {
	/* The writer. */
	uint64_t head;
	uint64_t known_tail;
	struct ring_shared *shared;
	uint8_t *data;
	uint64_t data_bytes;
	uint64_t mask;
	bool is_lossless;
	_Atomic bool is_spilling;
	_Atomic bool is_cancelled;
	_Atomic uint64_t n_dropped;

	int memory_fd;
	int reader_fd;
	int writer_fd;

	pthread_mutex_t lock; /* the spill queue; the index too while is_spilling */
	struct ring_spill *spill_first;
	struct ring_spill **spill_last;
	bool wants_end;

	struct ring_group *group;
	struct ring *next_in_group; /* guarded by the group's lock */
};

struct ring_group {
	pthread_mutex_t lock;
	struct ring *rings;
	size_t quota_bytes;
	size_t used_bytes; /* guarded by lock */
	_Atomic bool awaits_reply;
};

/* ---- groups ---- */

int ring_group_new(struct ring_group **ret, size_t spill_quota_bytes)
{
	struct ring_group *group = calloc(1, sizeof(*group));

	if (!group)
		return -ENOMEM;
	(void)pthread_mutex_init(&group->lock, NULL); /* cannot fail with default attributes */
	group->quota_bytes = spill_quota_bytes;
	*ret = group;
	return 0;
}

struct ring_group *ring_group_free(struct ring_group *group)
{
	if (!group)
		return NULL;
	(void)pthread_mutex_destroy(&group->lock);
	free(group);
	return NULL;
}

void ring_group_await(struct ring_group *group, bool awaits_reply)
{
	atomic_store(&group->awaits_reply, awaits_reply);
}

int ring_join(struct ring *ring, struct ring_group *group)
{
	(void)pthread_mutex_lock(&group->lock);
	ring->group = group;
	ring->next_in_group = group->rings;
	group->rings = ring;
	(void)pthread_mutex_unlock(&group->lock);
	return 0;
}

static void ring_leave(struct ring *ring)
{
	struct ring_group *group = ring->group;

	if (!group)
		return;
	(void)pthread_mutex_lock(&group->lock);
	for (struct ring **at = &group->rings; *at; at = &(*at)->next_in_group) {
		if (*at == ring) {
			*at = ring->next_in_group;
			break;
		}
	}
	for (struct ring_spill *s = ring->spill_first; s; s = s->next)
		group->used_bytes -= s->n_bytes;
	(void)pthread_mutex_unlock(&group->lock);
	ring->group = NULL;
}

/* Does the client sleep on another ring, with nothing in it? What the client's memory says decides
 * only whose quota is spent: its own. */
static enum ring_sleep ring_client_sleeps_elsewhere(struct ring *ring)
{
	struct ring_group *group = ring->group;
	enum ring_sleep sleep = RING_AWAKE;

	if (!group)
		return sleep;
	if (atomic_load(&group->awaits_reply))
		return RING_SLEEPS;
	(void)pthread_mutex_lock(&group->lock);
	for (struct ring *r = group->rings; r && sleep != RING_SLEEPS; r = r->next_in_group) {
		uint32_t how = atomic_load(&r->shared->reader_sleeps);

		if (r == ring || how == RING_AWAKE || atomic_load(&r->shared->is_ended))
			continue;
		if (atomic_load(&r->shared->head) == atomic_load(&r->shared->tail))
			sleep = how == RING_SLEEPS ? RING_SLEEPS : RING_POLLS;
	}
	(void)pthread_mutex_unlock(&group->lock);
	return sleep;
}

static bool ring_group_take(struct ring_group *group, size_t n_bytes)
{
	bool fits;

	(void)pthread_mutex_lock(&group->lock);
	fits = n_bytes <= group->quota_bytes - group->used_bytes;
	if (fits)
		group->used_bytes += n_bytes;
	(void)pthread_mutex_unlock(&group->lock);
	return fits;
}

static void ring_group_give(struct ring_group *group, size_t n_bytes)
{
	(void)pthread_mutex_lock(&group->lock);
	group->used_bytes -= n_bytes;
	(void)pthread_mutex_unlock(&group->lock);
}

/* ---- making ---- */

uint64_t ring_header_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

int ring_map(int fd, uint64_t data_bytes, struct ring_shared **ret_shared, uint8_t **ret_data)
{
	uint64_t header_bytes = ring_header_bytes();
	uint8_t *base = mmap(NULL, header_bytes + 2 * data_bytes, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int r;

	if (base == MAP_FAILED)
		return -errno;
	if (mmap(base, header_bytes + data_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		    fd, 0) == MAP_FAILED ||
		mmap(base + header_bytes + data_bytes, data_bytes, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_FIXED, fd, (off_t)header_bytes) == MAP_FAILED) {
		r = -errno;
		(void)munmap(base, header_bytes + 2 * data_bytes);
		return r;
	}
	*ret_shared = (struct ring_shared *)(void *)base;
	*ret_data = base + header_bytes;
	return 0;
}

void ring_unmap(struct ring_shared *shared, uint64_t data_bytes)
{
	(void)munmap(shared, ring_header_bytes() + 2 * data_bytes);
}

static int ring_make_memory(struct ring *ring)
{
	uint64_t header_bytes = ring_header_bytes();

	ring->memory_fd = memfd_create("mapi-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (ring->memory_fd < 0)
		return -errno;
	if (ftruncate(ring->memory_fd, (off_t)(header_bytes + ring->data_bytes)) < 0)
		return -errno;
	/* The client writes its index, so the memory cannot be sealed against writing; but nobody
	 * may cut it under the other's feet. */
	if (fcntl(ring->memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	return ring_map(ring->memory_fd, ring->data_bytes, &ring->shared, &ring->data);
}

int ring_new(struct ring **ret, size_t data_bytes, bool lossless)
{
	_cleanup_(ring_freep) struct ring *ring = calloc(1, sizeof(*ring));
	int r;

	if (!ring)
		return -ENOMEM;
	ring->memory_fd = ring->reader_fd = ring->writer_fd = -1;
	ring->spill_last = &ring->spill_first;
	ring->is_lossless = lossless;
	(void)pthread_mutex_init(&ring->lock, NULL);
	if (data_bytes > SIZE_MAX / 8)
		return -ENOMEM;
	ring->data_bytes = ring_header_bytes();
	while (ring->data_bytes < data_bytes)
		ring->data_bytes *= 2;
	ring->mask = ring->data_bytes - 1;
	r = ring_make_memory(ring);
	if (r < 0)
		return r;
	/* One that loses nothing is between a program and its own daemon. */
	ring->reader_fd = wake_new(!lossless);
	if (ring->reader_fd < 0)
		return ring->reader_fd;
	ring->writer_fd = wake_new(!lossless);
	if (ring->writer_fd < 0)
		return ring->writer_fd;
	ring->shared->magic = RING_MAGIC;
	ring->shared->layout = RING_LAYOUT;
	ring->shared->data_bytes = ring->data_bytes;
	*ret = TAKE(ring);
	return 0;
}

struct ring *ring_free(struct ring *ring)
{
	if (!ring)
		return NULL;
	ring_leave(ring);
	while (ring->spill_first) {
		struct ring_spill *s = ring->spill_first;

		ring->spill_first = s->next;
		free(s);
	}
	if (ring->shared)
		ring_unmap(ring->shared, ring->data_bytes);
	if (ring->memory_fd >= 0)
		(void)close(ring->memory_fd);
	if (ring->reader_fd >= 0)
		(void)close(ring->reader_fd);
	if (ring->writer_fd >= 0)
		(void)close(ring->writer_fd);
	(void)pthread_mutex_destroy(&ring->lock);
	free(ring);
	return NULL;
}

int ring_resume(struct ring *ring)
{
	uint64_t head = atomic_load(&ring->shared->head);
	uint64_t tail = atomic_load(&ring->shared->tail);

	if (head - tail > ring->data_bytes || head % RING_RECORD_ALIGN_BYTES)
		return -EBADMSG;
	ring->head = head;
	ring->known_tail = tail;
	return 0;
}

void ring_fds(const struct ring *ring, int ret_fds[RING_N_FDS])
{
	ret_fds[0] = ring->memory_fd;
	ret_fds[1] = ring->reader_fd;
	ret_fds[2] = ring->writer_fd;
}

/* ---- writing ---- */

static void ring_wake_reader(struct ring *ring)
{
	if (atomic_load(&ring->shared->reader_sleeps) == RING_AWAKE)
		return;
	if (atomic_exchange(&ring->shared->reader_sleeps, RING_AWAKE) != RING_AWAKE)
		wake_signal(ring->reader_fd);
}

/* Look at the reader's index anew. Return: 0, or -EINVAL if no honest reader could have written it.
 */
static int ring_look(struct ring *ring, struct error *err)
{
	uint64_t tail = atomic_load(&ring->shared->tail);

	if (tail - ring->known_tail > ring->head - ring->known_tail)
		return error_set(err, SHM_ERR, "the client has damaged the index of its ring");
	ring->known_tail = tail;
	return 0;
}

static bool ring_has_room(const struct ring *ring, uint64_t total_bytes)
{
	return ring->data_bytes - (ring->head - ring->known_tail) >= total_bytes;
}

static void ring_store(
	struct ring *ring, const void *head, size_t head_bytes, const void *tail, size_t tail_bytes)
{
	uint8_t *at = ring->data + (ring->head & ring->mask);
	struct ring_record record = { .n_bytes = (uint32_t)(head_bytes + tail_bytes) };

	memcpy(at, &record, sizeof(record));
	at += sizeof(record);
	if (head_bytes > 0)
		memcpy(at, head, head_bytes);
	if (tail_bytes > 0)
		memcpy(at + head_bytes, tail, tail_bytes);
	ring->head += ring_record_total_bytes(head_bytes + tail_bytes);
	/* Pairs with the load in ring_reader_next(), and with arming in the reader's sleep. */
	atomic_store(&ring->shared->head, ring->head);
	ring_wake_reader(ring);
}

static void ring_publish_end(struct ring *ring)
{
	atomic_store(&ring->shared->is_ended, 1);
	/* Even a reader that only polls must see it, so do not ask whether it sleeps. */
	atomic_store(&ring->shared->reader_sleeps, RING_AWAKE);
	wake_signal(ring->reader_fd);
}

/* Under the lock: move what fits. */
static int ring_pump_locked(struct ring *ring, struct error *err)
{
	while (ring->spill_first) {
		struct ring_spill *s = ring->spill_first;
		uint64_t total_bytes = ring_record_total_bytes(s->n_bytes);

		if (!ring_has_room(ring, total_bytes)) {
			int r = ring_look(ring, err);

			if (r < 0)
				return r;
			if (!ring_has_room(ring, total_bytes))
				return 0;
		}
		ring_store(ring, s->bytes, s->n_bytes, NULL, 0);
		ring->spill_first = s->next;
		if (!s->next)
			ring->spill_last = &ring->spill_first;
		ring_group_give(ring->group, s->n_bytes);
		free(s);
	}
	/* Hands the index back to the writer; pairs with the load in ring_write(). */
	atomic_store(&ring->is_spilling, false);
	if (ring->wants_end && !atomic_load(&ring->shared->is_ended))
		ring_publish_end(ring);
	return 0;
}

/* Under the lock. Return: 0, -EDQUOT, -ENOMEM. */
static int ring_spill(
	struct ring *ring, const void *head, size_t head_bytes, const void *tail, size_t tail_bytes)
{
	size_t n_bytes = head_bytes + tail_bytes;
	struct ring_spill *s;

	if (!ring_group_take(ring->group, n_bytes))
		return -EDQUOT;
	s = malloc(sizeof(*s) + n_bytes);
	if (!s) {
		ring_group_give(ring->group, n_bytes);
		return -ENOMEM;
	}
	s->next = NULL;
	s->n_bytes = n_bytes;
	if (head_bytes > 0)
		memcpy(s->bytes, head, head_bytes);
	if (tail_bytes > 0)
		memcpy(s->bytes + head_bytes, tail, tail_bytes);
	*ring->spill_last = s;
	ring->spill_last = &s->next;
	atomic_store(&ring->is_spilling, true);
	return 0;
}

/* What a writer that goes to sleep waits for, taken under the lock. */
struct ring_need {
	uint64_t known_tail;
	uint64_t wake_at;
};

static struct ring_need ring_need(const struct ring *ring, uint64_t total_bytes)
{
	uint64_t enough = ring->head + total_bytes - ring->data_bytes;

	/* A fair share, so that the reader wakes us once and not per record. It is never more than
	 * the reader has: a record takes at most half the ring, so more than half is in use. */
	return (struct ring_need){
		.known_tail = ring->known_tail,
		.wake_at = MAX(enough, ring->known_tail + ring->data_bytes / 4),
	};
}

static void ring_sleep(struct ring *ring, const struct ring_need *need, int timeout_ms)
{
	struct pollfd pollfd = { .fd = ring->writer_fd, .events = POLLIN };
	uint64_t count;
	ssize_t n;

	atomic_store(&ring->shared->writer_wake_at, need->wake_at);
	/* Pairs with ring_reader_give_back(): one of both sees the other. */
	atomic_store(&ring->shared->writer_waits, 1);
	if (!atomic_load(&ring->is_cancelled) &&
		atomic_load(&ring->shared->tail) == need->known_tail)
		(void)poll(&pollfd, 1, timeout_ms); /* any outcome: look again */
	atomic_store(&ring->shared->writer_waits, 0);
	n = read(ring->writer_fd, &count, sizeof(count));
	(void)n; /* nothing to read if time was over */
}

struct ring_stall {
	bool is_stalled;
	uint64_t since_ns;
	uint64_t tail;
};

/* The quota is used up while the client sleeps elsewhere: for how long has it taken nothing here?
 */
static bool ring_is_stuck(struct ring *ring, enum ring_sleep sleep, struct ring_stall *stall)
{
	uint64_t limit_ns = sleep == RING_SLEEPS ? RING_STALL_SLEEPS_NS : RING_STALL_POLLS_NS;
	uint64_t now_ns = clock_monotonic_ns();

	if (!stall->is_stalled || stall->tail != ring->known_tail) {
		*stall = (struct ring_stall){
			.is_stalled = true,
			.since_ns = now_ns,
			.tail = ring->known_tail,
		};
		return false;
	}
	return now_ns - stall->since_ns >= limit_ns;
}

/* One attempt. Return: 0, RING_E_*, -EAGAIN (sleep), -EINVAL with @err. */
static int ring_try(struct ring *ring, const void *head, size_t head_bytes, const void *tail,
	size_t tail_bytes, struct ring_stall *stall, struct error *err)
{
	uint64_t total_bytes = ring_record_total_bytes(head_bytes + tail_bytes);
	enum ring_sleep sleep;
	int r;

	if (atomic_load(&ring->is_cancelled))
		return RING_E_CANCELLED;
	r = ring_pump_locked(ring, err);
	if (r < 0)
		return r;
	if (!ring->spill_first) {
		r = ring_look(ring, err);
		if (r < 0)
			return r;
		if (ring_has_room(ring, total_bytes)) {
			ring_store(ring, head, head_bytes, tail, tail_bytes);
			return 0;
		}
		if (!ring->is_lossless) {
			(void)atomic_fetch_add(&ring->n_dropped, 1);
			return RING_E_DROPPED;
		}
	}
	sleep = ring_client_sleeps_elsewhere(ring);
	if (sleep == RING_AWAKE) {
		stall->is_stalled = false;
		return -EAGAIN;
	}
	r = ring_spill(ring, head, head_bytes, tail, tail_bytes);
	if (r == -ENOMEM)
		return error_set(err, MAPI_OUT_OF_MEMORY,
			"out of memory for packets that the program has not read yet");
	if (r == -EDQUOT && ring_is_stuck(ring, sleep, stall))
		return error_set(err, MAPI_QUOTA_EXCEEDED,
			"the program waits for something else and does not read this function's "
			"packets; %zu bytes are kept for it and no more can be",
			ring->group->quota_bytes);
	return r == -EDQUOT ? -EAGAIN : r;
}

static int ring_write_slow(struct ring *ring, const void *head, size_t head_bytes, const void *tail,
	size_t tail_bytes, struct error *err)
{
	struct ring_stall stall = { .is_stalled = false };
	int timeout_ms = RING_POLL_FIRST_MS;

	for (;;) {
		struct ring_need need;
		int r;

		(void)pthread_mutex_lock(&ring->lock);
		r = ring_try(ring, head, head_bytes, tail, tail_bytes, &stall, err);
		need = ring_need(ring,
			ring_record_total_bytes(ring->spill_first ? ring->spill_first->n_bytes
								  : head_bytes + tail_bytes));
		(void)pthread_mutex_unlock(&ring->lock);
		if (r != -EAGAIN)
			return r;
		ring_sleep(ring, &need, timeout_ms);
		timeout_ms = MIN(2 * timeout_ms, RING_POLL_LAST_MS);
	}
}

int ring_write(struct ring *ring, const void *head, size_t head_bytes, const void *tail,
	size_t tail_bytes, struct error *err)
{
	uint64_t total_bytes;

	if (head_bytes > RING_RECORD_BYTES_MAX || tail_bytes > RING_RECORD_BYTES_MAX - head_bytes)
		return -EMSGSIZE;
	total_bytes = ring_record_total_bytes(head_bytes + tail_bytes);
	if (total_bytes > ring->data_bytes / 2)
		return -EMSGSIZE;
	if (atomic_load_explicit(&ring->is_cancelled, memory_order_relaxed))
		return RING_E_CANCELLED;
	/* Pairs with the store in ring_pump_locked(). */
	if (atomic_load_explicit(&ring->is_spilling, memory_order_acquire) ||
		!ring_has_room(ring, total_bytes))
		return ring_write_slow(ring, head, head_bytes, tail, tail_bytes, err);
	ring_store(ring, head, head_bytes, tail, tail_bytes);
	return 0;
}

void ring_cancel(struct ring *ring)
{
	atomic_store(&ring->is_cancelled, true);
	wake_signal(ring->writer_fd);
}

void ring_end(struct ring *ring)
{
	(void)pthread_mutex_lock(&ring->lock);
	ring->wants_end = true;
	if (!ring->spill_first && !atomic_load(&ring->shared->is_ended))
		ring_publish_end(ring);
	(void)pthread_mutex_unlock(&ring->lock);
}

bool ring_pump(struct ring *ring)
{
	bool has_more;

	if (!atomic_load_explicit(&ring->is_spilling, memory_order_acquire))
		return false;
	(void)pthread_mutex_lock(&ring->lock);
	(void)ring_pump_locked(ring, NULL); /* a damaged index is reported to the writer */
	has_more = ring->spill_first != NULL;
	(void)pthread_mutex_unlock(&ring->lock);
	return has_more;
}

uint64_t ring_dropped(const struct ring *ring)
{
	return atomic_load_explicit(&ring->n_dropped, memory_order_relaxed);
}
