/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file driver without memory: each allocation fails once, and the source says so. Without the
 * bytes that poll() has promised: another reader of the pipe was faster.
 */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mapi/errors.h"
#include "test_fault.h"
#include "test_private.h"

#include <zlib.h>

static struct test_bytes file, packed;

static void pack(void)
{
	uLongf n = sizeof(packed.bytes);
	z_stream z = { .next_in = file.bytes,
		.avail_in = (uInt)file.n,
		.next_out = packed.bytes,
		.avail_out = (uInt)n };

	assert_int_equal(
		deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	packed.n = z.total_out;
	(void)deflateEnd(&z);
}

static int pipe_of(const struct test_bytes *from)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], from->bytes, from->n), from->n);
	(void)close(fds[1]);
	return fds[0];
}

/* Return: how many allocations could fail. */
static unsigned int fail_each(const struct test_bytes *from, bool as_pipe, unsigned int n_workers)
{
	struct test_reading all, part;

	assert_int_equal(test_read_fd(test_memfd(from->bytes, from->n), 1, 1000, 300, 16, &all), 0);
	assert_true(all.pkts > 0);
	for (unsigned int n = 1;; n++) {
		int fd = as_pipe ? pipe_of(from) : test_memfd(from->bytes, from->n);
		int r;

		test_fault.alloc_in = n;
		r = test_read_fd(fd, n_workers, 1000, 300, 16, &part);
		if (test_fault.alloc_in > 0) {
			test_fault.alloc_in = 0;
			assert_int_equal(r, 0);
			assert_int_equal(part.sum, all.sum);
			assert_int_equal(part.err.code, 0);
			return n - 1;
		}
		if (r == 0) {
			assert_int_equal(part.err.code, MAPI_OUT_OF_MEMORY);
			assert_non_null(strstr(part.err.text, "trace: out of memory"));
			assert_int_equal(part.last, 1);
		} else {
			assert_int_equal(r, -ENOMEM);
		}
		assert_true(part.pkts <= all.pkts);
	}
}

static void test_every_allocation_that_fails_is_reported(void **state)
{
	test_pcap(&file, 100);
	pack();
	for (unsigned int n_workers = 1; n_workers <= 3; n_workers++) {
		assert_true(fail_each(&file, false, n_workers) >= 4);
		assert_true(fail_each(&file, true, n_workers) >= 6);
		assert_true(fail_each(&packed, false, n_workers) >= 8);
		assert_true(fail_each(&packed, true, n_workers) >= 8);
	}
}

static void test_a_claim_without_memory_for_a_chunk_gives_one_that_says_so(void **state)
{
	struct driver_open_args args = { .name = "trace", .batch_pkts = 256, .n_workers = 1 };
	static struct packet_batch batch;
	struct driver_source *source = NULL;
	struct driver_chunk chunk;
	struct error err = ERROR_INIT;

	test_pcap(&file, 10);
	args.fd = test_memfd(file.bytes, file.n);
	assert_int_equal(driver_file.open(&source, &args, &err), 0);
	test_fault.alloc_in = 1;
	assert_int_equal(driver_file.claim(source, &chunk), 0);
	assert_int_equal(test_fault.alloc_in, 0);
	assert_int_equal(driver_file.verify(source, &chunk), 0);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(driver_file.next_batch(source, &chunk, &batch), DRIVER_E_END);
		assert_int_equal(chunk.error.code, MAPI_OUT_OF_MEMORY);
		assert_true(chunk.last);
		driver_file.rewind(source, &chunk);
		assert_int_equal(chunk.error.code, 0);
	}
	driver_file.release(source, &chunk);
	assert_int_equal(driver_file.claim(source, &chunk), DRIVER_E_END);
	(void)driver_file.close(source);
}

static struct {
	int fds[2];
	unsigned int n_polls;
} rival;

static void rival_reads(void)
{
	uint8_t bytes[64];

	if (rival.n_polls == 1)
		assert_true(read(rival.fds[0], bytes, sizeof(bytes)) > 0);
}

static void rival_lets_go(void)
{
	if (++rival.n_polls != 2)
		return;
	assert_int_equal(write(rival.fds[1], file.bytes, file.n), file.n);
	assert_int_equal(close(rival.fds[1]), 0);
}

/* @fds: read end, write end */
static void read_with_a_rival(const int fds[2])
{
	struct test_reading all, part;

	test_pcap(&file, 10);
	assert_int_equal(test_read_fd(test_memfd(file.bytes, file.n), 1, 1000, 300, 16, &all), 0);
	rival.fds[0] = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
	rival.fds[1] = fds[1];
	rival.n_polls = 0;
	assert_int_equal(write(fds[1], "stolen", 6), 6);
	test_fault.before_poll = rival_lets_go;
	test_fault.after_poll = rival_reads;
	alarm(60); /* a read that waits is killed */
	assert_int_equal(test_read_fd(fds[0], 1, 1000, 300, 16, &part), 0);
	alarm(0);
	test_fault.before_poll = test_fault.after_poll = NULL;
	assert_int_equal(part.pkts, all.pkts);
	assert_int_equal(part.sum, all.sum);
	(void)close(rival.fds[0]);
}

static void test_bytes_that_another_reader_took_are_not_waited_for(void **state)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	read_with_a_rival(fds);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	read_with_a_rival(fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_allocation_that_fails_is_reported),
		cmocka_unit_test(test_a_claim_without_memory_for_a_chunk_gives_one_that_says_so),
		cmocka_unit_test(test_bytes_that_another_reader_took_are_not_waited_for),
	};

	return cmocka_run_group_tests_name("driver memory", tests, NULL, NULL);
}
