/* SPDX-License-Identifier: BSD-2-Clause */
/* Record rings: order, no loss, waiting, waking, spilling, cancelling, hostile memory. */
#undef NDEBUG
#include "ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "mapi/errors.h"
#include "ring_private.h"

/* A ring and its reader, as if in two processes. */
struct both {
	struct ring *ring;
	struct ring_reader *reader;
	struct ring_shared *shared; /* a third mapping, for mischief */
};

static struct both both_new(size_t data_bytes, bool lossless, struct ring_group *group)
{
	struct both b;
	int fds[RING_N_FDS], copies[RING_N_FDS];

	assert_int_equal(ring_new(&b.ring, data_bytes, lossless), 0);
	if (group)
		assert_int_equal(ring_join(b.ring, group), 0);
	ring_fds(b.ring, fds);
	for (unsigned int i = 0; i < RING_N_FDS; i++) {
		copies[i] = dup(fds[i]);
		assert_true(copies[i] >= 0);
	}
	assert_int_equal(ring_reader_new(&b.reader, copies), 0);
	b.shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	assert_true(b.shared != MAP_FAILED);
	return b;
}

static void both_free(struct both *b)
{
	ring_reader_free(b->reader);
	ring_free(b->ring);
	munmap(b->shared, 4096);
}

static uint32_t random_next(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

/* Record number @n has a size and bytes of its own. */
static size_t record_make(uint64_t n, uint8_t *bytes, size_t bytes_max)
{
	uint64_t state = n * 2654435761u + 1;
	size_t n_bytes = sizeof(n) + random_next(&state) % (bytes_max - sizeof(n));

	memset(bytes, (int)random_next(&state), n_bytes);
	memcpy(bytes, &n, sizeof(n));
	return n_bytes;
}

static void record_check(uint64_t n, const void *record, size_t n_bytes, size_t bytes_max)
{
	uint8_t wanted[4096];

	assert_int_equal((uintptr_t)record % 8, 0);
	assert_int_equal(n_bytes, record_make(n, wanted, bytes_max));
	assert_memory_equal(record, wanted, n_bytes);
}

static void test_order_across_the_wrap(void **state)
{
	struct both b = both_new(4096, false, NULL);
	uint8_t bytes[1000];
	const void *record = NULL;
	size_t n_bytes = 0;

	assert_int_equal(ring_reader_next(b.reader, &record, &n_bytes), RING_READ_E_EMPTY);
	assert_null(record);
	for (uint64_t n = 0; n < 20000; n++) {
		size_t k = record_make(n, bytes, 900);

		assert_int_equal(
			ring_write(b.ring, bytes, k / 2, bytes + k / 2, k - k / 2, NULL), 0);
		if (n % 2 == 0)
			continue;
		for (uint64_t m = n - 1; m <= n; m++) {
			assert_int_equal(ring_reader_next(b.reader, &record, &n_bytes), 0);
			record_check(m, record, n_bytes, 900);
		}
		assert_int_equal(ring_reader_next(b.reader, &record, &n_bytes), RING_READ_E_EMPTY);
	}
	ring_end(b.ring);
	assert_int_equal(ring_reader_next(b.reader, &record, &n_bytes), RING_READ_E_END);
	assert_int_equal(ring_reader_wait(b.reader, -1), 0);
	assert_int_equal(ring_reader_next(b.reader, &record, &n_bytes), RING_READ_E_END);
	both_free(&b);
}

static void test_drops_are_counted(void **state)
{
	struct both b = both_new(4096, false, NULL);
	const void *record;
	size_t n_bytes;
	uint64_t zero = 0, n_written = 0;

	while (ring_write(b.ring, &zero, 8, NULL, 0, NULL) == 0)
		n_written++;
	assert_int_equal(n_written, 4096 / 16);
	assert_int_equal(ring_write(b.ring, &zero, 8, NULL, 0, NULL), RING_E_DROPPED);
	assert_int_equal(ring_dropped(b.ring), 2);
	for (uint64_t n = 0; n < n_written; n++)
		assert_int_equal(ring_reader_next(b.reader, &record, &n_bytes), 0);
	assert_int_equal(ring_reader_next(b.reader, &record, &n_bytes), RING_READ_E_EMPTY);
	assert_int_equal(ring_write(b.ring, &zero, 8, NULL, 0, NULL), 0);
	assert_int_equal(ring_write(b.ring, &zero, 8, NULL, 2048 - 15, NULL), -EMSGSIZE);
	assert_int_equal(ring_write(b.ring, NULL, RING_RECORD_BYTES_MAX, NULL, 1, NULL), -EMSGSIZE);
	assert_int_equal(ring_write(b.ring, NULL, SIZE_MAX, NULL, SIZE_MAX, NULL), -EMSGSIZE);
	both_free(&b);
	assert_null(ring_free(NULL));
	assert_null(ring_reader_free(NULL));
	assert_null(ring_group_free(NULL));
}

/* ---- threads ---- */

struct stress {
	struct both both;
	uint64_t n_records;
	size_t bytes_max;
	int outcome;
	struct error err;
	_Atomic uint64_t n_written;
};

static void *stress_write(void *data)
{
	struct stress *s = data;
	uint8_t bytes[4096];

	for (uint64_t n = 0; n < s->n_records; n++) {
		size_t k = record_make(n, bytes, s->bytes_max);

		s->outcome = ring_write(s->both.ring, bytes, k, NULL, 0, &s->err);
		if (s->outcome != 0)
			return NULL;
		atomic_store(&s->n_written, n + 1);
	}
	ring_end(s->both.ring);
	return NULL;
}

static void stress_read(struct stress *s, bool slow, bool polls)
{
	uint64_t n = 0, rnd = 1;

	for (;;) {
		const void *record;
		size_t n_bytes;
		int r = ring_reader_next(s->both.reader, &record, &n_bytes);

		if (r == RING_READ_E_END)
			break;
		if (r == RING_READ_E_EMPTY && polls) {
			struct pollfd p = { .fd = ring_reader_fileno(s->both.reader),
				.events = POLLIN };

			assert_int_equal(poll(&p, 1, 20000), 1);
			continue;
		}
		if (r == RING_READ_E_EMPTY) {
			assert_int_equal(ring_reader_wait(s->both.reader, 20000), 0);
			continue;
		}
		assert_int_equal(r, 0);
		record_check(n++, record, n_bytes, s->bytes_max);
		if (slow && random_next(&rnd) % 64 == 0)
			for (unsigned int i = random_next(&rnd) % 20000; i > 0; i--)
				atomic_signal_fence(memory_order_seq_cst);
	}
	assert_int_equal(n, s->n_records);
}

static void stress_run(uint64_t n_records, size_t bytes_max, bool slow, bool polls)
{
	struct stress s = { .n_records = n_records, .bytes_max = bytes_max };
	pthread_t thread;

	s.both = both_new(8192, true, NULL);
	assert_int_equal(pthread_create(&thread, NULL, stress_write, &s), 0);
	stress_read(&s, slow, polls);
	pthread_join(thread, NULL);
	assert_int_equal(s.outcome, 0);
	assert_int_equal(ring_dropped(s.both.ring), 0);
	both_free(&s.both);
}

static void test_nothing_is_lost(void **state)
{
	stress_run(60000, 64, false, false);
	stress_run(60000, 64, true, false);
	stress_run(20000, 1500, true, false);
	stress_run(20000, 3000, false, false);
}

static void test_nothing_is_lost_by_polling(void **state)
{
	stress_run(60000, 64, false, true);
	stress_run(20000, 3000, true, true);
}

static void test_cancel_at_any_moment(void **state)
{
	for (unsigned int round = 0; round < 200; round++) {
		struct stress s = { .n_records = UINT64_MAX, .bytes_max = 500 };
		const void *record;
		size_t n_bytes;
		uint64_t n = 0;
		pthread_t thread;

		s.both = both_new(4096, true, NULL);
		assert_int_equal(pthread_create(&thread, NULL, stress_write, &s), 0);
		while (n < round * 5)
			if (ring_reader_next(s.both.reader, &record, &n_bytes) == 0)
				record_check(n++, record, n_bytes, 500);
		ring_cancel(s.both.ring);
		pthread_join(thread, NULL);
		assert_int_equal(s.outcome, RING_E_CANCELLED);
		assert_int_equal(ring_write(s.both.ring, "x", 1, NULL, 0, NULL), RING_E_CANCELLED);
		/* What was written before is there, whole. */
		while (ring_reader_next(s.both.reader, &record, &n_bytes) == 0)
			record_check(n++, record, n_bytes, 500);
		assert_int_equal(n, atomic_load(&s.n_written));
		both_free(&s.both);
	}
}

static void *wait_for_record(void *data)
{
	struct both *b = data;

	return (void *)(intptr_t)ring_reader_wait(b->reader, -1);
}

/* Two threads in the same wait: both must come back. */
static void test_wake_is_for_all_and_for_ever(void **state)
{
	for (unsigned int round = 0; round < 200; round++) {
		struct both b = both_new(4096, true, NULL);
		pthread_t threads[2];
		void *outcome;

		for (unsigned int i = 0; i < 2; i++)
			pthread_create(&threads[i], NULL, wait_for_record, &b);
		while (round % 2 && atomic_load(&b.shared->reader_sleeps) != RING_SLEEPS)
			;
		ring_reader_wake(b.reader);
		for (unsigned int i = 0; i < 2; i++) {
			pthread_join(threads[i], &outcome);
			assert_int_equal((intptr_t)outcome, RING_READ_E_WOKEN);
		}
		assert_int_equal(ring_reader_wait(b.reader, -1), RING_READ_E_WOKEN);
		both_free(&b);
	}
}

static void signal_nothing(int signo)
{
	(void)signo;
}

static void test_a_signal_ends_the_wait(void **state)
{
	struct both b = both_new(4096, true, NULL);
	struct sigaction action = { .sa_handler = signal_nothing, .sa_flags = SA_RESTART };
	struct sigaction before;
	pthread_t thread;
	void *outcome;

	sigaction(SIGUSR1, &action, &before);
	pthread_create(&thread, NULL, wait_for_record, &b);
	while (pthread_tryjoin_np(thread, &outcome) == EBUSY)
		pthread_kill(thread, SIGUSR1);
	assert_int_equal((intptr_t)outcome, RING_READ_E_WOKEN);
	sigaction(SIGUSR1, &before, NULL);
	assert_int_equal(ring_reader_wait(b.reader, 1), RING_READ_E_EMPTY);
	assert_int_equal(atomic_load(&b.shared->reader_sleeps), RING_AWAKE);
	both_free(&b);
}

static bool is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void test_fileno_is_kept_current(void **state)
{
	struct both b = both_new(4096, true, NULL);
	const void *record;
	size_t n_bytes;
	int fd;

	ring_write(b.ring, "x", 1, NULL, 0, NULL);
	fd = ring_reader_fileno(b.reader);
	assert_true(is_readable(fd));
	assert_int_equal(ring_reader_next(b.reader, &record, &n_bytes), 0);
	assert_false(is_readable(fd)); /* or who reads when it is readable would wait */
	assert_int_equal(ring_reader_next(b.reader, &record, &n_bytes), RING_READ_E_EMPTY);
	assert_false(is_readable(fd));
	assert_int_equal(ring_reader_fileno(b.reader), fd);
	assert_false(is_readable(fd));
	ring_write(b.ring, "x", 1, NULL, 0, NULL);
	assert_true(is_readable(fd));
	ring_write(b.ring, "y", 1, NULL, 0, NULL);
	assert_int_equal(ring_reader_next(b.reader, &record, &n_bytes), 0);
	assert_true(is_readable(fd));
	/* A wait in between changes nothing. */
	assert_int_equal(ring_reader_wait(b.reader, -1), 0);
	assert_true(is_readable(fd));
	assert_int_equal(ring_reader_next(b.reader, &record, &n_bytes), 0);
	assert_int_equal(ring_reader_next(b.reader, &record, &n_bytes), RING_READ_E_EMPTY);
	assert_int_equal(ring_reader_wait(b.reader, 1), RING_READ_E_EMPTY);
	assert_false(is_readable(fd));
	ring_end(b.ring);
	assert_true(is_readable(fd));
	assert_int_equal(ring_reader_next(b.reader, &record, &n_bytes), RING_READ_E_END);
	assert_true(is_readable(fd));
	both_free(&b);
}

/* ---- two rings of one client ---- */

struct two {
	struct both a, b;
	uint64_t n_records;
	struct error err;
	int outcome;
};

/* Writes @n_records to ring a, then one to ring b, as one worker would. */
static void *two_write(void *data)
{
	struct two *t = data;
	uint8_t bytes[512];

	for (uint64_t n = 0; n < t->n_records; n++) {
		size_t k = record_make(n, bytes, sizeof(bytes));

		t->outcome = ring_write(t->a.ring, bytes, k, NULL, 0, &t->err);
		if (t->outcome != 0)
			break;
	}
	ring_end(t->a.ring);
	if (t->outcome == 0)
		t->outcome = ring_write(t->b.ring, "now", 4, NULL, 0, &t->err);
	ring_end(t->b.ring);
	return NULL;
}

/* The client waits on b while a is full: a spills, nothing is lost. */
static void test_spilling_breaks_the_deadlock(void **state)
{
	struct two t = { .n_records = 3000 };
	struct ring_group *group;
	const void *record;
	size_t n_bytes;
	pthread_t thread;
	uint64_t n = 0;
	int r;

	assert_int_equal(ring_group_new(&group, 4u << 20), 0);
	t.a = both_new(4096, true, group);
	t.b = both_new(4096, true, group);
	assert_int_equal(pthread_create(&thread, NULL, two_write, &t), 0);
	while ((r = ring_reader_next(t.b.reader, &record, &n_bytes)) == RING_READ_E_EMPTY)
		assert_int_equal(ring_reader_wait(t.b.reader, 20000), 0);
	assert_int_equal(r, 0);
	assert_string_equal(record, "now");
	pthread_join(thread, NULL);
	assert_int_equal(t.outcome, 0);
	/* The worker is done: the control thread hands the rest over. */
	while ((r = ring_reader_next(t.a.reader, &record, &n_bytes)) != RING_READ_E_END) {
		if (r == RING_READ_E_EMPTY) {
			(void)ring_pump(t.a.ring);
			continue;
		}
		assert_int_equal(r, 0);
		record_check(n++, record, n_bytes, 512);
	}
	assert_int_equal(n, t.n_records);
	assert_false(ring_pump(t.a.ring));
	both_free(&t.a);
	both_free(&t.b);
	ring_group_free(group);
}

static void test_spilling_has_a_limit(void **state)
{
	struct two t = { .n_records = 3000 };
	struct ring_group *group;
	const void *record;
	size_t n_bytes;
	pthread_t thread;
	int r;

	assert_int_equal(ring_group_new(&group, 10000), 0);
	t.a = both_new(4096, true, group);
	t.b = both_new(4096, true, group);
	assert_int_equal(pthread_create(&thread, NULL, two_write, &t), 0);
	while ((r = ring_reader_next(t.b.reader, &record, &n_bytes)) == RING_READ_E_EMPTY)
		(void)ring_reader_wait(t.b.reader, 20000);
	assert_int_equal(r, RING_READ_E_END);
	pthread_join(thread, NULL);
	assert_int_equal(t.outcome, -EINVAL);
	assert_int_equal(t.err.code, MAPI_QUOTA_EXCEEDED);
	assert_true(ring_pump(t.a.ring));
	both_free(&t.a); /* with records still spilled */
	both_free(&t.b);
	ring_group_free(group);
}

/* A client with two threads: one sleeps on b all the time, the other reads a. All of a arrives. */
static void test_a_second_thread_may_sleep(void **state)
{
	struct two t = { .n_records = 20000 };
	struct ring_group *group;
	const void *record;
	pthread_t writer, sleeper;
	size_t n_bytes;
	void *outcome;
	uint64_t n = 0;
	int r;

	assert_int_equal(ring_group_new(&group, 50000), 0);
	t.a = both_new(4096, true, group);
	t.b = both_new(4096, true, group);
	assert_int_equal(pthread_create(&sleeper, NULL, wait_for_record, &t.b), 0);
	assert_int_equal(pthread_create(&writer, NULL, two_write, &t), 0);
	while ((r = ring_reader_next(t.a.reader, &record, &n_bytes)) != RING_READ_E_END) {
		if (r == RING_READ_E_EMPTY) {
			(void)ring_pump(t.a.ring);
			continue;
		}
		assert_int_equal(r, 0);
		record_check(n++, record, n_bytes, 512);
	}
	pthread_join(writer, NULL);
	pthread_join(sleeper, &outcome);
	assert_int_equal((intptr_t)outcome, 0);
	assert_int_equal(n, t.n_records);
	assert_int_equal(t.outcome, 0);
	both_free(&t.a);
	both_free(&t.b);
	ring_group_free(group);
}

/* ---- hostile memory ---- */

static void test_hostile_reader(void **state)
{
	const uint64_t tails[] = { 1, 17, UINT64_MAX, 1ull << 63, 4096 * 100, UINT64_MAX - 4096 };
	uint8_t bytes[600];

	for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
		struct both b = both_new(4096, false, NULL);
		struct error err = ERROR_INIT;
		int r = 0;

		atomic_store(&b.shared->tail, tails[i]);
		atomic_store(&b.shared->head, tails[i] * 3); /* not used by the writer */
		b.shared->data_bytes = UINT64_MAX;
		atomic_store(&b.shared->reader_sleeps, 77);
		for (uint64_t n = 0; n < 100 && r == 0; n++)
			r = ring_write(
				b.ring, bytes, record_make(n, bytes, sizeof(bytes)), NULL, 0, &err);
		/* An index that an honest reader could have is believed. */
		assert_int_equal(r, tails[i] < 100 ? RING_E_DROPPED : -EINVAL);
		assert_int_equal(err.code, tails[i] < 100 ? 0 : SHM_ERR);
		both_free(&b);
	}
}

static void *scribble(void *data)
{
	struct stress *s = data;
	uint64_t rnd = 5;

	while (atomic_load(&s->n_written) < s->n_records) {
		atomic_store(&s->both.shared->tail,
			random_next(&rnd) % 2 ? random_next(&rnd)
					      : atomic_load(&s->n_written) * 16);
		atomic_store(&s->both.shared->reader_sleeps, random_next(&rnd));
		atomic_store(&s->both.shared->writer_wake_at, random_next(&rnd));
	}
	return NULL;
}

static void test_scribbling_reader(void **state)
{
	struct stress s = { .n_records = 50000 };
	uint64_t zero = 0;
	pthread_t thread;

	s.both = both_new(4096, false, NULL);
	assert_int_equal(pthread_create(&thread, NULL, scribble, &s), 0);
	for (uint64_t n = 0; n < s.n_records; n++) {
		struct error err = ERROR_INIT;
		int r = ring_write(s.both.ring, &zero, 8, NULL, 0, &err);

		assert_true(r == 0 || r == RING_E_DROPPED || err.code == SHM_ERR);
		atomic_store(&s.n_written, n + 1);
	}
	pthread_join(thread, NULL);
	both_free(&s.both);
}

static void test_hostile_writer(void **state)
{
	const struct {
		uint64_t head;
		uint32_t n_bytes;
	} cases[] = { { 4, 0 }, { 16, 9 }, { 16, UINT32_MAX }, { 4096 + 8, 8 }, { UINT64_MAX, 8 },
		{ 4096, RING_RECORD_BYTES_MAX }, { 8, 1 }, { 4096, 4096 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct both b = both_new(4096, true, NULL);
		const void *record = NULL;
		size_t n_bytes = 7;
		int fds[RING_N_FDS];
		uint8_t *all;

		ring_fds(b.ring, fds);
		all = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
		assert_true(all != MAP_FAILED);
		memcpy(all + 4096, &cases[i].n_bytes, sizeof(uint32_t));
		atomic_store(&b.shared->head, cases[i].head);
		assert_int_equal(ring_reader_next(b.reader, &record, &n_bytes), -EBADMSG);
		assert_null(record);
		assert_int_equal(n_bytes, 7);
		munmap(all, 8192);
		both_free(&b);
	}
}

static void test_reader_refuses_what_is_no_ring(void **state)
{
	struct ring_reader *reader = NULL;
	int fds[RING_N_FDS] = { -1, -1, -1 }, real[RING_N_FDS];
	struct ring *ring;

	assert_int_equal(ring_reader_new(&reader, fds), -EBADF);
	fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(ring_reader_new(&reader, fds), -EBADMSG);
	close(fds[0]);
	fds[0] = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(fds[0], 8192), 0);
	assert_int_equal(ring_reader_new(&reader, fds), -EBADMSG); /* not sealed */
	assert_int_equal(fcntl(fds[0], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	assert_int_equal(ring_reader_new(&reader, fds), -EBADMSG); /* no magic */
	close(fds[0]);
	for (off_t size = 0; size <= 4096 * 4; size += 4096) {
		fds[0] = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		assert_int_equal(ftruncate(fds[0], size), 0);
		assert_int_equal(fcntl(fds[0], F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
		assert_int_equal(ring_reader_new(&reader, fds), -EBADMSG);
		close(fds[0]);
	}
	assert_null(reader);
	assert_int_equal(ring_new(&ring, 5000, false), 0);
	ring_fds(ring, real);
	assert_true(ftruncate(real[0], 0) < 0); /* sealed */
	assert_int_equal(lseek(real[0], 0, SEEK_END), 4096 + 8192);
	ring_free(ring);
	assert_int_equal(ring_new(&ring, SIZE_MAX, false), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_across_the_wrap),
		cmocka_unit_test(test_drops_are_counted),
		cmocka_unit_test(test_nothing_is_lost),
		cmocka_unit_test(test_nothing_is_lost_by_polling),
		cmocka_unit_test(test_cancel_at_any_moment),
		cmocka_unit_test(test_wake_is_for_all_and_for_ever),
		cmocka_unit_test(test_a_signal_ends_the_wait),
		cmocka_unit_test(test_fileno_is_kept_current),
		cmocka_unit_test(test_spilling_breaks_the_deadlock),
		cmocka_unit_test(test_spilling_has_a_limit),
		cmocka_unit_test(test_a_second_thread_may_sleep),
		cmocka_unit_test(test_hostile_reader),
		cmocka_unit_test(test_scribbling_reader),
		cmocka_unit_test(test_hostile_writer),
		cmocka_unit_test(test_reader_refuses_what_is_no_ring),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
