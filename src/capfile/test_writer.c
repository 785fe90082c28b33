/* SPDX-License-Identifier: BSD-2-Clause */
/* What the writer writes is read back by this project's reader; full disks and closed pipes. The
 * programs of others read it in tests/. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "mapi/errors.h"
#include "reader.h"
#include "writer.h"

static uint8_t data[300000];
static uint8_t back[4 << 20];
static struct capfile_file format;
static struct packet_batch batch;

static struct capfile_writer *writer_on(int fd, enum capfile_format kind, uint32_t snaplen)
{
	struct capfile_writer_args args = { .fd = fd,
		.path = "out",
		.format = kind,
		.snaplen_bytes = snaplen,
		.device = "dev",
		.comment = "a comment" };
	struct capfile_writer *writer = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(capfile_writer_new(&writer, &args, &err), 0);
	return writer;
}

static struct capfile_packet packet_of(uint32_t no)
{
	return (struct capfile_packet){ .data = data + no % 7,
		.cap_bytes = no * 31 % 200,
		.wire_bytes = no * 31 % 200 + no % 2,
		.linktype = 1,
		.ts_ns = 1500000000123456000 + no * 1000ULL };
}

/* Read all that is in @fd; count packets, keep the last batch. */
static uint64_t read_back(int fd)
{
	struct capfile_cursor cursor = { .swapped = false };
	struct capfile_span span = { .bytes = back };
	struct error err = ERROR_INIT;
	ssize_t n = pread(fd, back, sizeof(back), 0);
	uint64_t n_pkts = 0;

	assert_true(n > 0);
	capfile_file_deinit(&format);
	memset(&format, 0, sizeof(format));
	assert_int_equal(capfile_file_open(&format, back, (size_t)n, false, "x", &err), 0);
	span.at = format.header_bytes;
	span.stop = span.end = (size_t)n;
	if (capfile_scan(&format, &cursor, &span, &n_pkts, "x", &err) != CAPFILE_E_STOP)
		fail_msg("%s", err.text);
	cursor = (struct capfile_cursor){ .swapped = false };
	span.at = format.header_bytes;
	(void)capfile_walk(&format, &cursor, &span, &batch, 256, "x", &err);
	return n_pkts;
}

static int memory_file(void)
{
	int fd = memfd_create("out", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void test_each_format_is_read_back(void **state)
{
	for (int kind = 0; kind < _CAPFILE_FORMAT_N; kind++) {
		int fd = memory_file();
		struct capfile_writer *writer = writer_on(dup(fd), (enum capfile_format)kind, 0);
		struct error err = ERROR_INIT;

		for (uint32_t i = 0; i < 5000; i++) {
			struct capfile_packet packet = packet_of(i);

			packet.comment = i % 5 == 1 ? "remarkable" : NULL;
			assert_int_equal(capfile_write(writer, &packet, &err), 0);
		}
		assert_int_equal(capfile_writer_close(writer, &err), 0);
		assert_int_equal(read_back(fd), 5000);
		for (uint32_t i = 0; i < 256; i++) {
			struct capfile_packet packet = packet_of(i);

			assert_int_equal(batch.cap_bytes[i], packet.cap_bytes);
			assert_int_equal(batch.wire_bytes[i], packet.wire_bytes);
			assert_int_equal(batch.ts_ns[i], packet.ts_ns);
			assert_memory_equal(batch.data[i], packet.data, packet.cap_bytes);
		}
		(void)close(fd);
	}
}

/* Direction, and what super-packets stand for: all that a live device knows of a packet. */
static void test_pcapng_keeps_what_is_known(void **state)
{
	int fd = memory_file();
	struct capfile_writer *writer = writer_on(dup(fd), CAPFILE_PCAPNG, 0);
	static const uint8_t flags[] = { 0, PACKET_INBOUND, PACKET_OUTBOUND | PACKET_CHECKSUM_OPEN,
		PACKET_OUTBOUND };

	for (uint32_t i = 0; i < 40; i++) {
		struct capfile_packet packet = packet_of(i);

		packet.lost_pkts = i % 7 == 0;
		packet.comment = i % 5 == 0 ? "stands for nothing" : NULL;
		packet.flags = i < 8 ? 0 : flags[i % 4];
		packet.wire_pkts = i % 8 == 6 ? (uint16_t)(i * 1000) : 1;
		packet.all_wire_bytes = packet.wire_bytes + packet.wire_pkts;
		assert_int_equal(capfile_write(writer, &packet, NULL), 0);
	}
	assert_int_equal(capfile_writer_close(writer, NULL), 0);
	assert_int_equal(read_back(fd), 40);
	assert_true(batch.is_live && batch.has_super);
	for (uint32_t i = 0; i < 40; i++) {
		bool super = i % 8 == 6;

		assert_int_equal(
			batch.flags[i], (i < 8 ? 0 : flags[i % 4]) | (super ? PACKET_SUPER : 0));
		assert_int_equal(batch.wire_pkts[i], super ? i * 1000 : 1);
		assert_int_equal(
			batch.all_wire_bytes[i], packet_of(i).wire_bytes + (super ? i * 1000 : 0));
	}
	(void)close(fd);

	/* A file without any of this does not say that it knows. */
	fd = memory_file();
	writer = writer_on(dup(fd), CAPFILE_PCAPNG, 0);
	for (uint32_t i = 0; i < 40; i++) {
		static const char *const comments[] = {
			"stands for 1 packets, 900 bytes on the wire",
			"stands for 7 packets, 1 bytes on the wire",
			"stands for 7 packets, 900 bytes on the wire.",
			"stands for 07 packets, 900 bytes on the wire", "s", ""
		};
		struct capfile_packet packet = packet_of(i + 10);

		packet.comment = comments[i % ARRAY_SIZE(comments)];
		assert_int_equal(capfile_write(writer, &packet, NULL), 0);
	}
	assert_int_equal(capfile_writer_close(writer, NULL), 0);
	assert_int_equal(read_back(fd), 40);
	assert_false(batch.is_live || batch.has_super);
	(void)close(fd);
}

static void test_a_file_without_packets_is_a_file(void **state)
{
	for (int kind = 0; kind < _CAPFILE_FORMAT_N; kind++) {
		int fd = memory_file();

		assert_int_equal(capfile_writer_close(
					 writer_on(dup(fd), (enum capfile_format)kind, 99), NULL),
			0);
		assert_int_equal(read_back(fd), 0);
		assert_int_equal(capfile_interface_get(&format, 0)->linktype, 1);
		assert_int_equal(capfile_interface_get(&format, 0)->snaplen_bytes, 99);
		(void)close(fd);
	}
	assert_int_equal(capfile_writer_close(NULL, NULL), 0);
}

static void test_pcap_refuses_a_second_link_type(void **state)
{
	int fd = memory_file();
	struct capfile_writer *writer = writer_on(dup(fd), CAPFILE_PCAP_US, 0);
	struct capfile_packet packet = packet_of(1);
	struct error err = ERROR_INIT;

	assert_int_equal(capfile_write(writer, &packet, &err), 0);
	packet.linktype = 101;
	assert_int_equal(capfile_write(writer, &packet, &err), -EINVAL);
	assert_int_equal(err.code, MAPI_OUTPUT_FAILED);
	assert_non_null(strstr(err.text, "pcapng"));
	packet.linktype = 1;
	packet.ts_ns = UINT64_MAX;
	err = ERROR_INIT;
	assert_int_equal(capfile_write(writer, &packet, &err), -EINVAL);
	assert_non_null(strstr(err.text, "2106"));
	packet.ts_ns = 0;
	assert_int_equal(capfile_write(writer, &packet, NULL), 0);
	assert_int_equal(capfile_writer_close(writer, NULL), 0);
	assert_int_equal(read_back(fd), 2);
	(void)close(fd);
}

static void test_pcapng_describes_each_interface_once(void **state)
{
	int fd = memory_file();
	struct capfile_writer *writer = writer_on(dup(fd), CAPFILE_PCAPNG, 0);
	struct error err = ERROR_INIT;

	for (uint32_t i = 0; i < 60; i++) {
		struct capfile_packet packet = packet_of(i);

		packet.ifindex = (uint16_t)(i % 3);
		packet.linktype = i % 2 ? 101 : 1;
		assert_int_equal(capfile_write(writer, &packet, &err), 0);
	}
	assert_int_equal(capfile_write_drops(writer, 2, 7, &err), 0);
	assert_int_equal(capfile_write_drops(writer, 9, 7, &err), 0);
	assert_int_equal(capfile_writer_close(writer, &err), 0);
	assert_int_equal(read_back(fd), 60);
	assert_int_equal(format.n_interfaces, 7); /* and one that only lost packets */
	assert_string_equal(capfile_interface_get(&format, 0)->name, "dev:0");
	assert_int_equal(capfile_interface_get(&format, 0)->ts_units_per_s, 1000000000);
	(void)close(fd);
}

/* The statistics block at @at says @received packets at @ts_ns, and whether none were dropped. */
static void test_statistics(
	const uint8_t *at, uint32_t interface, uint64_t ts_ns, uint64_t received, bool lossless)
{
	const uint32_t head[] = { 5, lossless ? 52 : 40, interface, (uint32_t)(ts_ns >> 32),
		(uint32_t)ts_ns };
	const uint16_t option_heads[] = { 4, 8, 5, 8 };
	const uint64_t none = 0;

	assert_memory_equal(at, head, sizeof(head));
	assert_memory_equal(at + 20, &option_heads[0], 4);
	assert_memory_equal(at + 24, &received, 8);
	if (lossless) {
		assert_memory_equal(at + 32, &option_heads[2], 4);
		assert_memory_equal(at + 36, &none, 8);
	}
}

static void test_pcapng_counts_each_interface(void **state)
{
	for (unsigned int lossless = 0; lossless < 2; lossless++) {
		const off_t block = lossless ? 52 : 40;
		int fd = memory_file();
		struct capfile_writer *writer = writer_on(dup(fd), CAPFILE_PCAPNG, 0);
		uint8_t bytes[104];
		off_t end;

		for (uint32_t i = 0; i < 60; i++) {
			struct capfile_packet packet = packet_of(i);

			packet.ifindex = i % 3 == 2 ? 7 : 0;
			packet.ts_ns = UINT64_C(5000000000) + i;
			assert_int_equal(capfile_write(writer, &packet, NULL), 0);
		}
		assert_int_equal(capfile_write_counts(writer, lossless, NULL), 0);
		assert_int_equal(capfile_writer_close(writer, NULL), 0);
		assert_int_equal(read_back(fd), 60);
		end = lseek(fd, 0, SEEK_END);
		assert_int_equal(pread(fd, bytes, sizeof(bytes), end - 2 * block) >= 2 * block, 1);
		test_statistics(bytes, 0, UINT64_C(5000000058), 40, lossless);
		test_statistics(bytes + block, 1, UINT64_C(5000000059), 20, lossless);
		(void)close(fd);
	}
}

static void test_large_packets_pass_by_the_buffer(void **state)
{
	int fd = memory_file();
	struct capfile_writer *writer = writer_on(dup(fd), CAPFILE_PCAPNG, 0);
	struct capfile_packet packet = packet_of(0);

	for (int i = 0; i < 5; i++) {
		packet.cap_bytes = packet.wire_bytes = 200001;
		assert_int_equal(capfile_write(writer, &packet, NULL), 0);
		packet.cap_bytes = 10;
		assert_int_equal(capfile_write(writer, &packet, NULL), 0);
	}
	assert_int_equal(capfile_write_drops(writer, 0, 1, NULL), 0);
	assert_int_equal(capfile_writer_close(writer, NULL), 0);
	assert_int_equal(read_back(fd), 10);
	(void)close(fd);
}

static void test_drops_are_nothing_to_pcap(void **state)
{
	int fd = memory_file();
	struct capfile_writer *writer = writer_on(dup(fd), CAPFILE_PCAP_NS, 0);

	assert_int_equal(capfile_write_drops(writer, 0, 1, NULL), 0);
	assert_int_equal(capfile_write_counts(writer, true, NULL), 0);
	assert_int_equal(capfile_writer_close(writer, NULL), 0);
	assert_int_equal(read_back(fd), 0);
	(void)close(fd);
}

static void test_what_cannot_be_written_to_is_refused(void **state)
{
	struct capfile_writer_args args = { .fd = -1, .path = "out" };
	struct capfile_writer *writer = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(capfile_writer_new(&writer, &args, &err), -EINVAL);
	assert_int_equal(err.code, MAPI_OUTPUT_FAILED);
	args.fd = memory_file();
	args.format = _CAPFILE_FORMAT_N;
	assert_int_equal(capfile_writer_new(&writer, &args, NULL), -EINVAL);
	assert_null(writer);
	assert_int_equal(close(args.fd), 0); /* still ours */
}

static void test_a_full_device_is_reported(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct capfile_writer *writer;
	struct error err = ERROR_INIT;
	struct capfile_packet packet = packet_of(3);

	if (fd < 0)
		skip();
	writer = writer_on(fd, CAPFILE_PCAP_US, 0);
	assert_int_equal(capfile_write(writer, &packet, &err), 0);
	assert_int_equal(capfile_writer_flush(writer, &err), -EINVAL);
	assert_int_equal(err.code, MAPI_OUTPUT_FAILED);
	assert_string_equal(err.text, "out: writing failed after 0 bytes: No space left on device");
	err = ERROR_INIT;
	assert_int_equal(capfile_write(writer, &packet, &err), -EINVAL);
	assert_int_equal(err.code, MAPI_OUTPUT_FAILED);
	assert_int_equal(capfile_writer_close(writer, NULL), -EINVAL);
}

/* The disk is full at every possible place: what is left is a valid file. */
static void test_a_full_disk_leaves_complete_records(void **state)
{
	struct rlimit before, limit;

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	for (int kind = 0; kind < _CAPFILE_FORMAT_N; kind++)
		for (rlim_t bytes = 300; bytes < 200000; bytes = bytes * 2 + 13) {
			int fd = memory_file();
			struct capfile_writer *writer =
				writer_on(dup(fd), (enum capfile_format)kind, 0);
			struct error err = ERROR_INIT;
			uint64_t n_pkts;
			struct stat st;
			int r = 0;

			limit = (struct rlimit){ .rlim_cur = bytes, .rlim_max = before.rlim_max };
			assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
			for (uint32_t i = 0; r == 0 && i < 100000; i++) {
				struct capfile_packet packet = packet_of(i + 1);

				if (i % 1000 == 999)
					packet.cap_bytes = 70000;
				r = capfile_write(writer, &packet, &err);
			}
			assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
			assert_int_equal(r, -EINVAL);
			assert_int_equal(err.code, MAPI_OUTPUT_FAILED);
			assert_int_equal(capfile_writer_close(writer, NULL), -EINVAL);
			assert_int_equal(fstat(fd, &st), 0);
			assert_true((rlim_t)st.st_size <= bytes);
			n_pkts = read_back(fd);
			assert_true(bytes < 3000 || n_pkts > 0);
			(void)close(fd);
		}
}

static void test_a_closed_pipe_is_reported(void **state)
{
	struct capfile_writer *writer;
	struct error err = ERROR_INIT;
	struct capfile_packet packet = packet_of(3);
	int fds[2];

	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	(void)close(fds[0]);
	writer = writer_on(fds[1], CAPFILE_PCAPNG, 0);
	assert_int_equal(capfile_write(writer, &packet, &err), 0);
	assert_int_equal(capfile_writer_close(writer, &err), -EINVAL);
	assert_non_null(strstr(err.text, "Broken pipe"));
}

struct canceller {
	struct capfile_writer *writer;
	int fd; /* the pipe that it writes to */
};

static void *cancel_when_full(void *argument)
{
	const struct canceller *c = argument;

	while (poll(&(struct pollfd){ .fd = c->fd, .events = POLLOUT }, 1, 0) != 0)
		(void)poll(NULL, 0, 1);
	capfile_writer_cancel(c->writer);
	return NULL;
}

/* More than the pipe holds, nobody reads: the writer waits until it is cancelled. */
static void test_a_cancelled_writer_waits_for_no_reader(void **state)
{
	struct capfile_writer *writer;
	struct error err = ERROR_INIT;
	struct capfile_packet packet = packet_of(1000);
	struct canceller canceller;
	pthread_t thread;
	int fds[2], r = 0;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	writer = writer_on(fds[1], CAPFILE_PCAPNG, 0);
	canceller = (struct canceller){ .writer = writer, .fd = fds[1] };
	assert_int_equal(pthread_create(&thread, NULL, cancel_when_full, &canceller), 0);
	for (unsigned int i = 0; i < 1000000 && r == 0; i++)
		r = capfile_write(writer, &packet, &err);
	assert_int_equal(r, -EINVAL);
	assert_int_equal(capfile_writer_close(writer, NULL), -EINVAL);
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void)close(fds[0]);
}

static int teardown(void **state)
{
	capfile_file_deinit(&format);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_format_is_read_back),
		cmocka_unit_test(test_a_file_without_packets_is_a_file),
		cmocka_unit_test(test_pcapng_keeps_what_is_known),
		cmocka_unit_test(test_pcap_refuses_a_second_link_type),
		cmocka_unit_test(test_pcapng_describes_each_interface_once),
		cmocka_unit_test(test_pcapng_counts_each_interface),
		cmocka_unit_test(test_large_packets_pass_by_the_buffer),
		cmocka_unit_test(test_drops_are_nothing_to_pcap),
		cmocka_unit_test(test_what_cannot_be_written_to_is_refused),
		cmocka_unit_test(test_a_full_device_is_reported),
		cmocka_unit_test(test_a_full_disk_leaves_complete_records),
		cmocka_unit_test(test_a_closed_pipe_is_reported),
		cmocka_unit_test(test_a_cancelled_writer_waits_for_no_reader),
	};

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 13);
	return cmocka_run_group_tests_name("capfile writer", tests, NULL, teardown);
}
