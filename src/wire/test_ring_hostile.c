/* SPDX-License-Identifier: BSD-2-Clause */
/* Rings whose other side writes into the shared memory what it likes, or is no ring at all. */
#undef NDEBUG
#include "ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "mapi/errors.h"
#include "test_ring_private.h"

#define TEST_WAIT_S 60 /* who waits longer waits for ever */

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

struct scribbler {
	struct both both;
	uint64_t n_records;
	_Atomic uint64_t n_written;
};

static void *scribble(void *data)
{
	struct scribbler *s = data;
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
	struct scribbler s = { .n_records = 50000 };
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

/* Flags of descriptors are of both sides. */
static void test_writer_cannot_make_the_reader_wait(void **state)
{
	struct both b = both_new(4096, false, NULL);
	const void *record;
	size_t n_bytes;
	int fds[RING_N_FDS];

	ring_fds(b.ring, fds);
	assert_int_equal(fcntl(fds[1], F_SETFL, 0), 0); /* not O_NONBLOCK any more */
	(void)alarm(TEST_WAIT_S);
	assert_int_equal(ring_reader_wait(b.reader, 1), RING_READ_E_EMPTY);
	assert_int_equal(ring_write(b.ring, "record", 6, NULL, 0, NULL), 0);
	assert_int_equal(ring_reader_wait(b.reader, -1), 0);
	assert_int_equal(ring_reader_next(b.reader, &record, &n_bytes), 0);
	assert_int_equal(ring_reader_next(b.reader, &record, &n_bytes), RING_READ_E_EMPTY);
	assert_int_equal(ring_reader_wait(b.reader, 1), RING_READ_E_EMPTY);
	ring_reader_wake(b.reader);
	assert_int_equal(ring_reader_wait(b.reader, -1), RING_READ_E_WOKEN);
	(void)alarm(0);
	both_free(&b);
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
		cmocka_unit_test(test_hostile_reader),
		cmocka_unit_test(test_scribbling_reader),
		cmocka_unit_test(test_hostile_writer),
		cmocka_unit_test(test_writer_cannot_make_the_reader_wait),
		cmocka_unit_test(test_reader_refuses_what_is_no_ring),
	};

	return cmocka_run_group_tests_name("hostile ring", tests, NULL, NULL);
}
