/* SPDX-License-Identifier: BSD-2-Clause */
/* See test_tiers_private.h. */
#undef NDEBUG
#include "test_tiers_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "wire/ring.h"

#define TIERS_HASH_BASIS UINT64_C(0xcbf29ce484222325) /* FNV-1a */
#define TIERS_HASH_PRIME UINT64_C(0x100000001b3)

static void tiers_fold(struct tiers_output *output, const void *bytes, size_t n_bytes)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < n_bytes; i++)
		output->hash = (output->hash ^ at[i]) * TIERS_HASH_PRIME;
	output->n_bytes += n_bytes;
}

/* The records of an instance's ring, each with its length. */
static void tiers_records(struct ring *ring, struct tiers_output *ret)
{
	_cleanup_(ring_reader_freep) struct ring_reader *reader = NULL;
	int fds[RING_N_FDS], dups[RING_N_FDS];
	size_t record_bytes;
	const void *record;

	ring_fds(ring, fds);
	for (unsigned int i = 0; i < RING_N_FDS; i++) {
		dups[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		assert_true(dups[i] >= 0);
	}
	assert_int_equal(ring_reader_new(&reader, dups), 0);
	while (ring_reader_next(reader, &record, &record_bytes) == 0) {
		tiers_fold(ret, &record_bytes, sizeof(record_bytes));
		tiers_fold(ret, record, record_bytes);
	}
}

static void tiers_file(int fd, struct tiers_output *ret)
{
	uint8_t bytes[4096];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, bytes, sizeof(bytes), at)) > 0) {
		tiers_fold(ret, bytes, (size_t)n);
		at += n;
	}
	assert_true(n == 0);
}

static void tiers_result(const struct plan_instance *instance, struct tiers_output *ret)
{
	const struct function *function = instance->function;

	if (function->read)
		function->read(instance->memory, instance->state, ret->result);
	else
		memcpy(ret->result, instance->state, function->desc.result_bytes);
}

void tiers_output_read(const struct plan_instance *instance, int fd, struct tiers_output *ret)
{
	const struct function *function = instance->function;

	*ret = (struct tiers_output){ .hash = TIERS_HASH_BASIS };
	tiers_result(instance, ret);
	if (function->ring && function->ring(instance->memory))
		tiers_records(function->ring(instance->memory), ret);
	if (fd >= 0)
		tiers_file(fd, ret);
}

bool tiers_output_equals(const struct tiers_output *a, const struct tiers_output *b)
{
	return memcmp(a->result, b->result, sizeof(a->result)) == 0 && a->n_bytes == b->n_bytes &&
		a->hash == b->hash;
}
