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

static const size_t tiers_record_bytes[] = { 16, 40 }; /* of BUCKET and THRESHOLD, of HASHSAMP */

/* The records of an instance's ring. Return: their bytes. */
static size_t tiers_records(struct ring *ring, uint8_t ret[TIERS_OUTPUT_BYTES])
{
	_cleanup_(ring_reader_freep) struct ring_reader *reader = NULL;
	int fds[RING_N_FDS], dups[RING_N_FDS];
	size_t n_bytes = 0, record_bytes;
	const void *record;

	ring_fds(ring, fds);
	for (unsigned int i = 0; i < RING_N_FDS; i++) {
		dups[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		assert_true(dups[i] >= 0);
	}
	assert_int_equal(ring_reader_new(&reader, dups), 0);
	while (ring_reader_next(reader, &record, &record_bytes) == 0) {
		assert_true(record_bytes == tiers_record_bytes[0] ||
			record_bytes == tiers_record_bytes[1]);
		assert_true(n_bytes + record_bytes <= TIERS_OUTPUT_BYTES);
		memcpy(ret + n_bytes, record, record_bytes);
		n_bytes += record_bytes;
	}
	return n_bytes;
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

	*ret = (struct tiers_output){ .n_bytes = 0 };
	tiers_result(instance, ret);
	if (function->ring && function->ring(instance->memory))
		ret->n_bytes = tiers_records(function->ring(instance->memory), ret->bytes);
	if (fd >= 0) {
		ssize_t n = pread(fd, ret->bytes, sizeof(ret->bytes), 0);

		assert_true(n >= 0 && (size_t)n < sizeof(ret->bytes));
		ret->n_bytes = (size_t)n;
	}
}

bool tiers_output_equals(const struct tiers_output *a, const struct tiers_output *b)
{
	return memcmp(a->result, b->result, sizeof(a->result)) == 0 && a->n_bytes == b->n_bytes &&
		memcmp(a->bytes, b->bytes, a->n_bytes) == 0;
}
