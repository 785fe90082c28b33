/* SPDX-License-Identifier: BSD-2-Clause */
/* Record rings: order, no loss, waiting, waking, spilling, cancelling. */
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
#include "test_ring_private.h"

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
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
