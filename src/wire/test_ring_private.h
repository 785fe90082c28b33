/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of rings have in common: both sides of one, and records that can be checked. */
#ifndef MAPI_WIRE_TEST_RING_PRIVATE_H
#define MAPI_WIRE_TEST_RING_PRIVATE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "ring_private.h"

/* A ring and its reader, as if in two processes. */
struct both {
	struct ring *ring;
	struct ring_reader *reader;
	struct ring_shared *shared; /* a third mapping, for mischief */
};

static inline struct both both_new(size_t data_bytes, bool lossless, struct ring_group *group)
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

static inline void both_free(struct both *b)
{
	ring_reader_free(b->reader);
	ring_free(b->ring);
	munmap(b->shared, 4096);
}

static inline uint32_t random_next(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

/* Record number @n has a size and bytes of its own. */
static inline size_t record_make(uint64_t n, uint8_t *bytes, size_t bytes_max)
{
	uint64_t state = n * 2654435761u + 1;
	size_t n_bytes = sizeof(n) + random_next(&state) % (bytes_max - sizeof(n));

	memset(bytes, (int)random_next(&state), n_bytes);
	memcpy(bytes, &n, sizeof(n));
	return n_bytes;
}

static inline void record_check(uint64_t n, const void *record, size_t n_bytes, size_t bytes_max)
{
	uint8_t wanted[4096];

	assert_int_equal((uintptr_t)record % 8, 0);
	assert_int_equal(n_bytes, record_make(n, wanted, bytes_max));
	assert_memory_equal(record, wanted, n_bytes);
}

#endif
