/* SPDX-License-Identifier: BSD-2-Clause */
/* The file driver: splitting, truncation at every byte, shrinking files, pipes, compression. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include <lz4frame.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "mapi/errors.h"
#include "test_private.h"

static struct test_bytes file, other;

static void read_bytes(const void *bytes, size_t n, unsigned int n_workers, size_t range_bytes,
	struct test_reading *ret)
{
	assert_int_equal(
		test_read_fd(test_memfd(bytes, n), n_workers, range_bytes, 1 << 20, 256, ret), 0);
}

static void same(const struct test_reading *a, const struct test_reading *b)
{
	assert_int_equal(a->pkts, b->pkts);
	assert_int_equal(a->sum, b->sum);
	assert_int_equal(a->err.code, b->err.code);
	assert_string_equal(a->err.text, b->err.text);
}

static void test_sequential_reading_gives_every_packet(void **state)
{
	struct test_reading reading;

	test_pcap(&file, 100);
	read_bytes(file.bytes, file.n, 1, FILE_RANGE_BYTES, &reading);
	assert_int_equal(reading.pkts, 100);
	assert_int_equal(reading.cap_bytes, file.n - 24 - 100 * 16);
	assert_int_equal(reading.err.code, 0);
	assert_int_equal(reading.last, 1);
	assert_int_equal(reading.redos, 0);
}

static void test_batches_of_any_size_give_the_same(void **state)
{
	struct test_reading all, part;

	test_pcap(&file, 300);
	read_bytes(file.bytes, file.n, 1, FILE_RANGE_BYTES, &all);
	for (unsigned int n = 1; n <= 256; n = n * 3 + 1) {
		assert_int_equal(
			test_read_fd(test_memfd(file.bytes, file.n), 1, 1000, 1 << 20, n, &part),
			0);
		same(&all, &part);
	}
}

static void test_split_reading_equals_sequential_reading(void **state)
{
	static const size_t ranges[] = { 1, 2, 3, 7, 16, 17, 63, 100, 1000, 5000, 1 << 20 };
	struct test_reading all, part;

	test_pcap(&file, 120);
	read_bytes(file.bytes, file.n, 1, FILE_RANGE_BYTES, &all);
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		for (unsigned int n = 1; n <= 3; n++) {
			read_bytes(file.bytes, file.n, n, ranges[i], &part);
			same(&all, &part);
			if (n == 1)
				assert_int_equal(part.redos, 0);
		}
}

/* The packets hold capture files of their own, so that guesses find records that are none. */
static void test_captures_within_packets_do_not_deceive(void **state)
{
	struct test_reading all, part;
	unsigned int redos = 0;

	test_pcap(&other, 40);
	file.n = 0;
	test_pcap_header(&file, 0xa1b2c3d4, 65535, 1, false);
	for (unsigned int i = 0; i < 30; i++) {
		uint32_t from = i % 7;

		test_u32(&file, 2000000, false);
		test_u32(&file, 5, false);
		test_u32(&file, (uint32_t)other.n - from, false);
		test_u32(&file, (uint32_t)other.n - from, false);
		test_put(&file, other.bytes + from, other.n - from);
	}
	read_bytes(file.bytes, file.n, 1, FILE_RANGE_BYTES, &all);
	assert_int_equal(all.pkts, 30);
	for (size_t range = 50; range < 9000; range = range * 2 + 1)
		for (unsigned int n = 2; n <= 4; n++) {
			read_bytes(file.bytes, file.n, n, range, &part);
			same(&all, &part);
			redos += part.redos;
		}
	assert_true(redos > 0);
}

static void test_a_file_cut_at_any_byte_gives_what_precedes(void **state)
{
	test_pcap(&file, 12);
	for (size_t n = 24; n <= file.n; n++) {
		struct test_reading all, part;
		size_t at = 24, whole = 0;
		char place[64];

		while (at < n && at + 16 <= n) {
			uint32_t cap;

			memcpy(&cap, file.bytes + at + 8, 4);
			if (at + 16 + cap > n)
				break;
			at += 16 + cap;
			whole++;
		}
		read_bytes(file.bytes, n, 1, FILE_RANGE_BYTES, &all);
		assert_int_equal(all.pkts, whole);
		assert_int_equal(all.err.code, at == n ? 0 : MAPI_CAPTURE_DAMAGED);
		(void)snprintf(place, sizeof(place), "trace: damaged at offset %zu:", at);
		if (at != n)
			assert_non_null(strstr(all.err.text, place));
		for (unsigned int w = 2; w <= 3; w++) {
			read_bytes(file.bytes, n, w, 30, &part);
			same(&all, &part);
		}
	}
}

static void test_a_cut_header_cannot_be_opened(void **state)
{
	struct test_reading reading;

	test_pcap(&file, 1);
	for (size_t n = 0; n < 24; n++) {
		assert_int_equal(
			test_read_fd(test_memfd(file.bytes, n), 1, 1000, 1000, 256, &reading),
			-EINVAL);
		assert_int_equal(reading.err.code, PCAP_OPEN_ERR);
	}
}

static void test_what_is_no_capture_says_what_is_supported(void **state)
{
	static const char text[] =
		"Once upon a time there was a capture file, but this is not it.\n";
	struct test_reading reading;

	assert_int_equal(test_read_fd(test_memfd(text, sizeof(text)), 1, 1000, 1000, 256, &reading),
		-EINVAL);
	assert_int_equal(reading.err.code, PCAP_OPEN_ERR);
	assert_non_null(strstr(reading.err.text, "zstd"));
	assert_int_equal(test_read_fd(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), 1, 1000, 1000,
				 256, &reading),
		-EINVAL);
	assert_non_null(strstr(reading.err.text, "directory"));
	assert_int_equal(test_read_fd(test_memfd("", 0), 1, 1000, 1000, 256, &reading), -EINVAL);
	assert_non_null(strstr(reading.err.text, "empty"));
}

static void test_only_open_files_match(void **state)
{
	struct driver_open_args args = { .name = "/", .fd = -1, .batch_pkts = 1 };

	assert_false(driver_file.match(&args));
	args.fd = 0;
	assert_ptr_equal(driver_find(&args), &driver_file);
	assert_null(driver_file.close(NULL));
}

static void test_a_file_that_shrinks_ends_there(void **state)
{
	static const size_t cuts[] = { 0, 24, 100, 4096, 5000, 70000, 200000 };

	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		struct driver_open_args args = {
			.name = "trace", .batch_pkts = 64, .n_workers = 1
		};
		struct driver_source *source = NULL;
		struct test_reading reading = { .pkts = 0 }, before;
		struct error err = ERROR_INIT;
		char place[64];
		int fd;

		test_pcap(&file, 4000);
		assert_true(file.n > 250000);
		fd = test_memfd(file.bytes, file.n);
		args.fd = dup(fd);
		assert_int_equal(file_open_sized(&source, &args, 50000, 1000, &err), 0);
		assert_int_equal(ftruncate(fd, (off_t)cuts[i]), 0);
		test_read_all(source, 1, &reading);
		assert_int_equal(reading.err.code, MAPI_CAPTURE_SHRUNK);
		(void)snprintf(place, sizeof(place), "shrunk at offset %zu ", cuts[i]);
		assert_non_null(strstr(reading.err.text, place));
		(void)driver_file.close(source);
		if (cuts[i] >= 24) {
			read_bytes(file.bytes, cuts[i], 1, 50000, &before);
			assert_int_equal(reading.pkts, before.pkts);
			assert_int_equal(reading.sum, before.sum);
		}
		(void)close(fd);
	}
}

/* Between the reading of a batch and the check, the file is cut: the chunk is done again. */
static void test_a_file_that_shrinks_behind_the_reader_is_done_again(void **state)
{
	struct driver_open_args args = { .name = "trace", .batch_pkts = 256, .n_workers = 2 };
	struct driver_source *source = NULL;
	struct driver_chunk chunk;
	struct test_reading reading = { .pkts = 0 }, again = { .pkts = 0 };
	struct error err = ERROR_INIT;
	int fd;

	test_pcap(&file, 1000);
	fd = test_memfd(file.bytes, file.n);
	args.fd = dup(fd);
	assert_int_equal(file_open_sized(&source, &args, 1 << 20, 1000, &err), 0);
	assert_int_equal(driver_file.claim(source, &chunk), 0);
	test_read_chunk(source, &chunk, &reading);
	assert_int_equal(reading.pkts, 1000);
	assert_int_equal(ftruncate(fd, 10000), 0);
	assert_int_equal(driver_file.verify(source, &chunk), DRIVER_E_REDO);
	driver_file.rewind(source, &chunk);
	test_read_chunk(source, &chunk, &again);
	assert_true(again.pkts > 0 && again.pkts < 1000);
	assert_int_equal(chunk.error.code, MAPI_CAPTURE_SHRUNK);
	assert_true(chunk.last);
	driver_file.release(source, &chunk);
	assert_int_equal(driver_file.claim(source, &chunk), DRIVER_E_END);
	(void)driver_file.close(source);
	(void)close(fd);
}

struct feeder {
	int fd;
	const uint8_t *bytes;
	size_t n;
	size_t piece;
};

static void *feed(void *argument)
{
	struct feeder *feeder = argument;

	for (size_t at = 0; at < feeder->n; at += feeder->piece) {
		size_t n = feeder->n - at < feeder->piece ? feeder->n - at : feeder->piece;

		if (write(feeder->fd, feeder->bytes + at, n) != (ssize_t)n)
			break;
	}
	(void)close(feeder->fd);
	return NULL;
}

static void read_pipe(const void *bytes, size_t n, size_t piece, struct test_reading *ret)
{
	struct feeder feeder = { .bytes = bytes, .n = n, .piece = piece };
	pthread_t thread;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	feeder.fd = fds[1];
	assert_int_equal(pthread_create(&thread, NULL, feed, &feeder), 0);
	assert_int_equal(test_read_fd(fds[0], 2, 1000, 3000, 100, ret), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_a_pipe_gives_the_same_as_a_file(void **state)
{
	struct test_reading all, part;

	test_pcap(&file, 300);
	read_bytes(file.bytes, file.n, 1, FILE_RANGE_BYTES, &all);
	read_pipe(file.bytes, file.n, 1 << 20, &part);
	same(&all, &part);
	read_pipe(file.bytes, file.n, 13, &part);
	same(&all, &part);
}

static void test_a_pipe_that_ends_in_a_record_says_where(void **state)
{
	struct test_reading all, part;

	test_pcap(&file, 50);
	for (size_t n = file.n - 90; n < file.n; n++) {
		read_bytes(file.bytes, n, 1, FILE_RANGE_BYTES, &all);
		read_pipe(file.bytes, n, 1000, &part);
		same(&all, &part);
	}
}

static void test_a_pipe_without_capture_fails_in_its_first_chunk(void **state)
{
	struct test_reading reading;

	read_pipe("hello, world: these words are no packets", 40, 40, &reading);
	assert_int_equal(reading.err.code, PCAP_OPEN_ERR);
	assert_int_equal(reading.last, 1);
	read_pipe("", 0, 1, &reading);
	assert_int_equal(reading.err.code, PCAP_OPEN_ERR);
}

static void test_complete_packets_do_not_wait_for_more(void **state)
{
	struct driver_open_args args = { .name = "-", .batch_pkts = 256, .n_workers = 1 };
	struct driver_source *source = NULL;
	struct driver_chunk chunk;
	struct test_reading reading = { .pkts = 0 };
	struct error err = ERROR_INIT;
	int fds[2];

	test_pcap(&file, 3);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	/* Two packets and a piece of the third; the writer stays. */
	assert_true(write(fds[1], file.bytes, file.n - 5) > 0);
	args.fd = fds[0];
	assert_int_equal(driver_file.open(&source, &args, &err), 0);
	assert_int_equal(driver_file.claim(source, &chunk), 0);
	test_read_chunk(source, &chunk, &reading);
	assert_int_equal(reading.pkts, 2);
	assert_false(chunk.last);
	driver_file.release(source, &chunk);
	/* Nothing more comes: only wake() ends the waiting. */
	driver_file.wake(source);
	assert_int_equal(driver_file.claim(source, &chunk), DRIVER_E_END);
	(void)driver_file.close(source);
	(void)close(fds[1]);
}

static void *wake_it(void *source)
{
	driver_file.wake(source);
	return NULL;
}

static void test_wake_ends_a_claim_that_waits(void **state)
{
	struct driver_open_args args = { .name = "-", .batch_pkts = 256, .n_workers = 1 };
	struct driver_source *source = NULL;
	struct driver_chunk chunk;
	struct error err = ERROR_INIT;
	pthread_t thread;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	args.fd = fds[0];
	assert_int_equal(driver_file.open(&source, &args, &err), 0);
	assert_int_equal(pthread_create(&thread, NULL, wake_it, source), 0);
	assert_int_equal(driver_file.claim(source, &chunk), DRIVER_E_END);
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void)driver_file.close(source);
	(void)close(fds[1]);
}

static size_t compress_gzip(uint8_t *out, size_t room, const uint8_t *in, size_t n)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)in,
		.avail_in = (uInt)n,
		.next_out = out,
		.avail_out = (uInt)room };

	assert_int_equal(
		deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	(void)deflateEnd(&z);
	return room - z.avail_out;
}

static size_t compress_zstd(uint8_t *out, size_t room, const uint8_t *in, size_t n)
{
	return ZSTD_compress(out, room, in, n, 3);
}

static size_t compress_xz(uint8_t *out, size_t room, const uint8_t *in, size_t n)
{
	size_t at = 0;

	assert_int_equal(
		lzma_easy_buffer_encode(3, LZMA_CHECK_CRC32, NULL, in, n, out, &at, room), LZMA_OK);
	return at;
}

static size_t compress_lz4(uint8_t *out, size_t room, const uint8_t *in, size_t n)
{
	return LZ4F_compressFrame(out, room, in, n, NULL);
}

static size_t (*const compressors[])(uint8_t *, size_t, const uint8_t *, size_t) = { compress_gzip,
	compress_zstd, compress_xz, compress_lz4 };

static void test_compressed_files_give_the_same(void **state)
{
	struct test_reading all, part;

	test_pcap(&file, 500);
	read_bytes(file.bytes, file.n, 1, FILE_RANGE_BYTES, &all);
	for (size_t c = 0; c < 4; c++) {
		size_t half = file.n / 2 + 5;

		/* In two members, with zeros behind them as tapes leave them. */
		other.n = compressors[c](other.bytes, sizeof(other.bytes), file.bytes, half);
		other.n += compressors[c](other.bytes + other.n, sizeof(other.bytes) - other.n,
			file.bytes + half, file.n - half);
		memset(other.bytes + other.n, 0, 4);
		read_bytes(other.bytes, other.n + 4, 2, 5000, &part);
		same(&all, &part);
		read_pipe(other.bytes, other.n, 100, &part);
		same(&all, &part);
	}
}

static void test_cut_compression_gives_what_precedes(void **state)
{
	test_pcap(&file, 2000);
	for (size_t c = 0; c < 4; c++) {
		struct test_reading part;

		other.n = compressors[c](other.bytes, sizeof(other.bytes), file.bytes, file.n);
		read_bytes(other.bytes, other.n - 1, 1, 5000, &part);
		assert_int_equal(part.err.code, MAPI_CAPTURE_DAMAGED);
		assert_non_null(strstr(part.err.text, "end early"));
		assert_true(part.pkts <= 2000);
		/* Cut in the middle; the first half of a file of one block may hold nothing. */
		if (test_read_fd(test_memfd(other.bytes, other.n / 2), 1, 5000, 5000, 256, &part) <
			0)
			assert_int_equal(part.err.code, PCAP_OPEN_ERR);
		else
			assert_int_equal(part.err.code, MAPI_CAPTURE_DAMAGED);
		/* One byte wrong: whatever is read, it ends, and never with more packets. */
		other.bytes[other.n / 2] ^= 0x55;
		if (test_read_fd(test_memfd(other.bytes, other.n), 1, 5000, 5000, 256, &part) == 0)
			assert_true(part.pkts <= 2000);
	}
}

static void test_progress_and_interfaces_are_told(void **state)
{
	struct driver_open_args args = { .name = "trace", .batch_pkts = 256, .n_workers = 1 };
	struct driver_source *source = NULL;
	struct driver_interface interface;
	struct driver_stats stats;
	struct test_reading reading = { .pkts = 0 };
	struct error err = ERROR_INIT;

	test_pcap(&file, 100);
	args.fd = test_memfd(file.bytes, file.n);
	assert_int_equal(driver_file.open(&source, &args, &err), 0);
	driver_file.stats(source, &stats);
	assert_int_equal(stats.total_bytes, file.n);
	assert_int_equal(stats.done_bytes, 0);
	assert_int_equal(stats.n_interfaces, 1);
	assert_int_equal(driver_file.interface(source, 0, &interface), 0);
	assert_int_equal(interface.linktype, 1);
	assert_int_equal(interface.snaplen_bytes, 65535);
	assert_int_equal(interface.ts_units_per_s, 1000000);
	assert_int_equal(driver_file.interface(source, 1, &interface), -ENOENT);
	test_read_all(source, 1, &reading);
	driver_file.stats(source, &stats);
	assert_int_equal(stats.done_bytes, file.n);
	(void)driver_file.close(source);
}

static void test_many_files_at_once(void **state)
{
	struct driver_source *sources[80];
	struct error err = ERROR_INIT;

	test_pcap(&file, 10);
	for (size_t i = 0; i < 80; i++) {
		struct driver_open_args args = { .name = "trace",
			.fd = test_memfd(file.bytes, file.n),
			.batch_pkts = 256,
			.n_workers = 1 };

		assert_int_equal(driver_file.open(&sources[i], &args, &err), 0);
	}
	/* More than can be mapped: the others are read as streams, alike. */
	for (size_t i = 0; i < 80; i++) {
		struct test_reading reading = { .pkts = 0 };

		test_read_all(sources[i], 1, &reading);
		assert_int_equal(reading.pkts, 10);
		assert_int_equal(reading.err.code, 0);
		(void)driver_file.close(sources[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequential_reading_gives_every_packet),
		cmocka_unit_test(test_batches_of_any_size_give_the_same),
		cmocka_unit_test(test_split_reading_equals_sequential_reading),
		cmocka_unit_test(test_captures_within_packets_do_not_deceive),
		cmocka_unit_test(test_a_file_cut_at_any_byte_gives_what_precedes),
		cmocka_unit_test(test_a_cut_header_cannot_be_opened),
		cmocka_unit_test(test_what_is_no_capture_says_what_is_supported),
		cmocka_unit_test(test_only_open_files_match),
		cmocka_unit_test(test_a_file_that_shrinks_ends_there),
		cmocka_unit_test(test_a_file_that_shrinks_behind_the_reader_is_done_again),
		cmocka_unit_test(test_a_pipe_gives_the_same_as_a_file),
		cmocka_unit_test(test_a_pipe_that_ends_in_a_record_says_where),
		cmocka_unit_test(test_a_pipe_without_capture_fails_in_its_first_chunk),
		cmocka_unit_test(test_complete_packets_do_not_wait_for_more),
		cmocka_unit_test(test_wake_ends_a_claim_that_waits),
		cmocka_unit_test(test_compressed_files_give_the_same),
		cmocka_unit_test(test_cut_compression_gives_what_precedes),
		cmocka_unit_test(test_progress_and_interfaces_are_told),
		cmocka_unit_test(test_many_files_at_once),
	};

	return cmocka_run_group_tests_name("driver file", tests, NULL, NULL);
}
