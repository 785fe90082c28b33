/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The capture file reader on arbitrary bytes: as a file in order, as a file split among two or
 * three workers in tiny ranges, and as a pipe. All must give the same packets and the same kind of
 * error.
 */
#include "../src/driver/test_private.h"

#include <fcntl.h>

#define FUZZ_PIPE_BYTES 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_same(const struct test_reading *a, const struct test_reading *b)
{
	if (a->pkts != b->pkts || a->sum != b->sum || a->err.code != b->err.code) {
		fprintf(stderr, "%llu packets, %d %s\n%llu packets, %d %s\n",
			(unsigned long long)a->pkts, a->err.code, a->err.text,
			(unsigned long long)b->pkts, b->err.code, b->err.text);
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct test_reading all, part;
	size_t range = 1 + (size ? data[size - 1] : 0) * 3u;
	int r = test_read_fd(test_memfd(data, size), 1, 1 << 20, 4096, 256, &all);
	int fds[2];

	for (unsigned int n = 2; n <= 3; n++) {
		if (test_read_fd(test_memfd(data, size), n, range, 64, 1 + range % 256, &part) != r)
			abort();
		fuzz_same(&all, &part);
	}
	if (size > FUZZ_PIPE_BYTES || pipe2(fds, O_CLOEXEC) < 0)
		return 0;
	if (write(fds[1], data, size) != (ssize_t)size)
		abort();
	(void)close(fds[1]);
	if (test_read_fd(fds[0], 1, range, range, 256, &part) < 0)
		abort();
	fuzz_same(&all, &part);
	return 0;
}
