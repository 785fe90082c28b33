/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The capture file reader on arbitrary bytes: as a file in order, as a file split among two or
 * three workers in tiny ranges, as a pipe, and as a pipe that gives little at a time. All must give
 * the same packets and the same kind of error. Then with memory or reads that fail: never more
 * packets than there are, and never an end without an error. The last two bytes choose ranges and
 * what fails.
 */
#include "../src/driver/test_private.h"

#include <fcntl.h>

#include "../src/driver/test_fault.h"

#define FUZZ_PIPE_BYTES 65536u
#define FUZZ_EACH_FAULT_BYTES 512u
#define FUZZ_FAULTS 16u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_differ(const struct test_reading *a, const struct test_reading *b)
{
	fprintf(stderr, "%llu packets, %d %s\n%llu packets, %d %s\n", (unsigned long long)a->pkts,
		a->err.code, a->err.text, (unsigned long long)b->pkts, b->err.code, b->err.text);
	abort();
}

static void fuzz_same(const struct test_reading *a, const struct test_reading *b)
{
	if (a->pkts != b->pkts || a->sum != b->sum || a->err.code != b->err.code)
		fuzz_differ(a, b);
}

/* Something failed in @part: it says so, unless a second try gave everything. */
static void fuzz_reported(const struct test_reading *all, int r, const struct test_reading *part)
{
	if (part->pkts > all->pkts)
		fuzz_differ(all, part);
	if (r == 0 && part->err.code == 0)
		fuzz_same(all, part);
}

static int fuzz_pipe(const uint8_t *data, size_t size)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0 || write(fds[1], data, size) != (ssize_t)size)
		abort();
	(void)close(fds[1]);
	return fds[0];
}

/* Opening does not read a pipe: what a file's open() says comes with the pipe's first chunk. */
static void fuzz_as_pipe(const uint8_t *data, size_t size, size_t range,
	const struct test_reading *all, struct test_fault fault)
{
	int fd = fuzz_pipe(data, size);
	struct test_reading part;
	int r;

	test_fault = fault;
	r = test_read_fd(fd, 1, range, range, 256, &part);
	/* Not used up: nothing failed. */
	if (test_fault.alloc_in > 0 || test_fault.read_in > 0 ||
		(fault.alloc_in == 0 && fault.read_in == 0)) {
		if (r < 0)
			abort();
		fuzz_same(all, &part);
	} else {
		fuzz_reported(all, r, &part);
	}
	test_fault = (struct test_fault){ .alloc_in = 0 };
}

static void fuzz_as_file(const uint8_t *data, size_t size, size_t range,
	const struct test_reading *all, struct test_fault fault)
{
	int fd = test_memfd(data, size);
	struct test_reading part;
	int r;

	test_fault = fault;
	r = test_read_fd(fd, 1, range, range, 256, &part);
	if (test_fault.alloc_in == 0 && test_fault.read_in == 0)
		fuzz_reported(all, r, &part);
	test_fault = (struct test_fault){ .alloc_in = 0 };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct test_reading all, part;
	size_t range = 1 + (size ? data[size - 1] : 0) * 3u;
	unsigned int choice = size > 1 ? data[size - 2] : 0;
	unsigned int first = 1 + choice % FUZZ_FAULTS;
	unsigned int last = size <= FUZZ_EACH_FAULT_BYTES ? FUZZ_FAULTS : first;
	int r = test_read_fd(test_memfd(data, size), 1, 1 << 20, 4096, 256, &all);

	for (unsigned int n = 2; n <= 3; n++) {
		if (test_read_fd(test_memfd(data, size), n, range, 64, 1 + range % 256, &part) != r)
			abort();
		fuzz_same(&all, &part);
	}
	if (size > FUZZ_PIPE_BYTES)
		return 0;
	fuzz_as_pipe(data, size, range, &all, (struct test_fault){ .alloc_in = 0 });
	fuzz_as_pipe(data, size, range, &all,
		(struct test_fault){ .piece_bytes = 1 + choice + size / 64 });
	for (unsigned int n = last == first ? first : 1; n <= last; n++) {
		fuzz_as_pipe(data, size, range, &all, (struct test_fault){ .alloc_in = n });
		fuzz_as_pipe(data, size, range, &all, (struct test_fault){ .read_in = n });
		fuzz_as_file(data, size, range, &all, (struct test_fault){ .alloc_in = n });
		fuzz_as_file(data, size, range, &all, (struct test_fault){ .read_in = n });
	}
	return 0;
}
