/* SPDX-License-Identifier: BSD-2-Clause */
/* The trace-directory driver, on a clock that only waiting moves; and chunks of copies. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <zlib.h>

#include "copy_private.h"
#include "mapi/errors.h"
#include "tracedir_private.h"
#include "test_private.h"

#define S 1000000000ull
#define MS 1000000ull
#define NOW_REAL (1700000000 * S)

static uint64_t now_ns;
static char dir[64];
static struct test_bytes file;

static uint64_t test_monotonic_ns(void)
{
	return now_ns;
}

static uint64_t test_realtime_ns(void)
{
	return NOW_REAL + now_ns;
}

static void test_wait(int wake_fd, uint64_t wait_ns)
{
	(void)wake_fd;
	assert_true(wait_ns > 0 && wait_ns <= DRIVER_IDLE_MS * MS);
	now_ns += wait_ns;
}

static const struct tracedir_clock test_clock = {
	.monotonic_ns = test_monotonic_ns, .realtime_ns = test_realtime_ns, .wait = test_wait
};

static int set_up(void **unused)
{
	(void)unused;
	(void)snprintf(dir, sizeof(dir), "/tmp/test-tracedir-XXXXXX");
	now_ns = 5000 * S;
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **unused)
{
	char command[128];

	(void)unused;
	(void)snprintf(command, sizeof(command), "rm -r '%s'", dir);
	return system(command);
}

static void begin(uint32_t linktype)
{
	file.n = 0;
	test_pcap_header(&file, 0xa1b2c3d4, 65535, linktype, false);
}

/* A packet of 4 bytes that hold @no, at @ms. */
static void packet(uint64_t ms, uint32_t no)
{
	test_u32(&file, (uint32_t)(ms / 1000), false);
	test_u32(&file, (uint32_t)(ms % 1000 * 1000), false);
	test_u32(&file, 4, false);
	test_u32(&file, 60, false);
	test_u32(&file, no, false);
}

static void save_bytes(const char *name, const void *bytes, size_t n)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
}

static void save(const char *name)
{
	save_bytes(name, file.bytes, file.n);
}

static int open_dir(struct driver_source **ret, struct error *err)
{
	const struct driver_options options = { .driver = "tracedir", .trace_dir = dir };
	const struct driver_open_args args = {
		.name = "replay", .fd = -1, .batch_pkts = 3, .n_workers = 2, .options = &options
	};

	*err = ERROR_INIT;
	return tracedir_open_clock(ret, &args, &test_clock, err);
}

static struct driver_source *open_good(void)
{
	struct driver_source *source = NULL;
	struct error err;

	if (open_dir(&source, &err) != 0)
		fail_msg("%s", err.text);
	return source;
}

struct seen {
	uint32_t no;
	uint32_t linktype;
	unsigned int ifindex;
	uint64_t ts_ns; /* since NOW_REAL */
	uint64_t at_ns; /* when it was claimed */
};

/* Claim until @n packets have come. */
static void see(struct driver_source *source, struct seen *seen, unsigned int n)
{
	static struct packet_batch batch;
	struct driver_chunk chunk;
	unsigned int k = 0;
	uint64_t seq = UINT64_MAX;

	while (k < n) {
		int r = driver_tracedir.claim(source, &chunk);

		assert_true(r == 0 || r == DRIVER_E_IDLE);
		if (r == DRIVER_E_IDLE)
			continue;
		assert_true(seq == UINT64_MAX || chunk.seq == seq + 1);
		seq = chunk.seq;
		while (driver_tracedir.next_batch(source, &chunk, &batch) == 0) {
			assert_true(batch.n >= 1 && batch.n <= 3 && batch.is_live);
			for (unsigned int i = 0; i < batch.n && k < n; i++) {
				assert_int_equal(batch.cap_bytes[i], 4);
				assert_int_equal(batch.wire_bytes[i], 60);
				assert_int_equal(batch.all_wire_bytes[i], 60);
				assert_int_equal(batch.wire_pkts[i], 1);
				seen[k].linktype = batch.linktype;
				seen[k].ifindex = batch.ifindex[i];
				seen[k].ts_ns = batch.ts_ns[i] - NOW_REAL;
				seen[k].at_ns = now_ns;
				memcpy(&seen[k++].no, batch.data[i], 4);
			}
		}
		driver_tracedir.release(source, &chunk);
	}
}

static struct driver_stats stats(const struct driver_source *source)
{
	struct driver_stats ret;

	driver_tracedir.stats(source, &ret);
	return ret;
}

/* ---- chunks of copies ---- */

static int copies_fill(struct driver_source *source, struct copy_chunk *chunk)
{
	(void)source;
	return chunk->n == 0 ? 0 : DRIVER_E_END;
}

static struct copy_chunk *copies_claim(struct copy_pool *pool, struct driver_chunk *ret)
{
	assert_int_equal(copy_claim(pool, NULL, copies_fill, ret), 0);
	return ret->impl;
}

static void copies_are_bounded_and_come_in_batches(void **unused)
{
	const struct driver_open_args args = { .batch_pkts = 3, .n_workers = 2 };
	static struct packet_batch batch;
	static uint8_t bytes[PACKET_CAP_BYTES_MAX];
	struct copy_packet pkt = { .ts_ns = 7, .cap_bytes = sizeof(bytes), .wire_bytes = 300000 };
	struct copy_pool pool;
	struct driver_chunk chunk, other, none;
	struct copy_chunk *c;

	(void)unused;
	assert_int_equal(copy_pool_init(&pool, &args), 0);
	c = copies_claim(&pool, &chunk);
	assert_ptr_not_equal(c, copies_claim(&pool, &other));
	assert_true(chunk.seq == 0 && other.seq == 1);
	assert_int_equal(copy_claim(&pool, NULL, copies_fill, &none), DRIVER_E_IDLE);
	copy_release(NULL, &other);
	assert_int_equal(copy_room(c, sizeof(bytes)), 4);
	pkt.cap_bytes = 0;
	assert_true(copy_add(c, &pkt, bytes));
	pkt.cap_bytes = sizeof(bytes);
	for (unsigned int i = 0; i < 4; i++)
		assert_true(copy_add(c, &pkt, bytes));
	assert_false(copy_add(c, &pkt, bytes));
	assert_int_equal(copy_room(c, 1), 0);
	for (unsigned int round = 0; round < 2; round++) {
		assert_int_equal(copy_next_batch(NULL, &chunk, &batch), 0);
		assert_int_equal(batch.n, 3);
		assert_int_equal(copy_next_batch(NULL, &chunk, &batch), 0);
		assert_int_equal(batch.n, 2);
		assert_int_equal(batch.cap_bytes[1], sizeof(bytes));
		assert_int_equal(copy_next_batch(NULL, &chunk, &batch), DRIVER_E_END);
		copy_rewind(NULL, &chunk);
	}
	copy_release(NULL, &chunk);
	c = copies_claim(&pool, &chunk);
	assert_int_equal(copy_room(c, 1), COPY_PKTS_MAX);
	pkt.cap_bytes = 1;
	for (unsigned int i = 0; i < COPY_PKTS_MAX; i++)
		assert_true(copy_add(c, &pkt, bytes));
	assert_false(copy_add(c, &pkt, bytes));
	copy_release(NULL, &chunk);
	copy_pool_deinit(&pool);
}

/* ---- replay ---- */

static void packets_come_in_their_distances_again_and_again(void **unused)
{
	static const uint64_t ms[] = { 0, 10, 10, 2500, 2500 + 25, 4000 };
	uint64_t begin_ns = now_ns;
	struct driver_source *source;
	struct seen seen[12];

	(void)unused;
	begin(1);
	for (uint32_t i = 0; i < 6; i++)
		packet(77000 + ms[i], i);
	save("a.pcap");
	source = open_good();
	now_ns += 30 * S; /* nobody claims before there is a flow; nothing is lost by that */
	begin_ns += 30 * S;
	see(source, seen, 12);
	for (unsigned int i = 0; i < 12; i++) {
		uint64_t wanted_ns = begin_ns + ms[i % 6] * MS + i / 6 * 4000 * MS;

		assert_int_equal(seen[i].no, i % 6);
		assert_int_equal(seen[i].ts_ns, wanted_ns);
		assert_int_equal(seen[i].at_ns, wanted_ns);
		assert_int_equal(seen[i].linktype, 1);
	}
	assert_int_equal(stats(source).ring_lost_pkts, 0);
	assert_null(driver_tracedir.close(source));
	assert_null(driver_tracedir.close(NULL));
}

static void a_pass_takes_a_second_at_least(void **unused)
{
	struct driver_source *source;
	uint64_t begin_ns = now_ns;
	struct seen seen[3];

	(void)unused;
	begin(1);
	packet(5, 1);
	save("one");
	source = open_good();
	see(source, seen, 3);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(seen[i].ts_ns, begin_ns + i * S);
	driver_tracedir.close(source);
}

static void files_follow_each_other_by_name(void **unused)
{
	struct driver_source *source;
	uint64_t begin_ns = now_ns;
	struct seen seen[5];
	char path[128], link[128];

	(void)unused;
	begin(1);
	packet(1000, 10);
	packet(2000, 11);
	save("b1");
	begin(113);
	packet(2500, 20); /* goes on where the file before ended */
	save("b2");
	begin(1);
	packet(900000, 30); /* another time */
	save("b3");
	begin(1);
	packet(5, 40); /* before */
	save("b4");
	save(".hidden");
	save_bytes("a-readme", "no capture", 10);
	save_bytes("c-empty", "", 0);
	(void)snprintf(path, sizeof(path), "%s/a-dir", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/a-fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	(void)snprintf(path, sizeof(path), "%s/b1", dir);
	(void)snprintf(link, sizeof(link), "%s/a-link", dir);
	assert_int_equal(symlink(path, link), 0);
	source = open_good();
	assert_int_equal(stats(source).n_interfaces, 2);
	see(source, seen, 5);
	assert_int_equal(seen[0].no, 10);
	assert_int_equal(seen[1].ts_ns, begin_ns + S);
	assert_int_equal(seen[2].no, 20);
	assert_int_equal(seen[2].ts_ns, begin_ns + 1500 * MS);
	assert_int_equal(seen[2].linktype, 113);
	assert_int_equal(seen[2].ifindex, 1);
	assert_int_equal(seen[3].no, 30);
	assert_int_equal(seen[3].ts_ns, begin_ns + 1500 * MS);
	assert_int_equal(seen[3].ifindex, 0);
	assert_int_equal(seen[4].no, 40);
	assert_int_equal(seen[4].ts_ns, begin_ns + 1500 * MS);
	driver_tracedir.close(source);
}

static void times_that_no_clock_has(void **unused)
{
	struct driver_source *source;
	uint64_t begin_ns = now_ns;
	struct seen seen[5];

	(void)unused;
	begin(1);
	packet(10000, 0);
	packet(9000, 1); /* backwards */
	packet(10500, 2);
	packet(4000000000ull, 3); /* 46 days later */
	packet(1000, 4);
	save("x");
	source = open_good();
	see(source, seen, 5);
	assert_int_equal(seen[1].ts_ns, begin_ns - S);
	assert_int_equal(seen[1].at_ns, begin_ns);
	assert_int_equal(seen[2].ts_ns, begin_ns + 500 * MS);
	assert_int_equal(seen[2].at_ns, seen[2].ts_ns);
	assert_int_equal(seen[3].ts_ns, seen[2].ts_ns + 3600 * S);
	assert_int_equal(seen[4].ts_ns, seen[2].ts_ns);
	assert_int_equal(seen[4].at_ns, seen[3].at_ns);
	driver_tracedir.close(source);
}

static void time_that_always_runs_backwards_stops_nothing(void **unused)
{
	struct driver_source *source;
	struct seen seen[300];

	(void)unused;
	begin(1);
	for (uint32_t i = 0; i < 100; i++)
		packet(4000000000ull - i * 7200000ull, i);
	save("x");
	source = open_good();
	see(source, seen, 300);
	for (unsigned int i = 0; i < 300; i++) {
		assert_int_equal(seen[i].no, i % 100);
		assert_true(seen[i].ts_ns + 3600 * S >= seen[i].at_ns);
	}
	driver_tracedir.close(source);
}

static void who_comes_late_loses_and_is_told(void **unused)
{
	struct driver_source *source;
	struct seen seen[2];

	(void)unused;
	begin(1);
	for (uint32_t i = 0; i < 1000; i++)
		packet(1000 + 10 * i, i); /* 10 s */
	save("x");
	source = open_good();
	see(source, seen, 1);
	now_ns += 4 * S + 5 * MS;
	see(source, seen, 1);
	/* A second of packets was kept. */
	assert_int_equal(seen[0].no, 301);
	assert_int_equal(stats(source).ring_lost_pkts, 300);
	driver_tracedir.close(source);
}

static void an_idle_source_comes_back(void **unused)
{
	struct driver_source *source;
	struct driver_chunk chunk;
	struct seen seen[1];
	uint64_t before_ns;

	(void)unused;
	begin(1);
	packet(1000, 0);
	packet(9000, 1);
	save("x");
	source = open_good();
	see(source, seen, 1);
	before_ns = now_ns;
	assert_int_equal(driver_tracedir.claim(source, &chunk), DRIVER_E_IDLE);
	assert_int_equal(now_ns - before_ns, DRIVER_IDLE_MS * MS);
	driver_tracedir.wake(source);
	assert_int_equal(driver_tracedir.claim(source, &chunk), DRIVER_E_END);
	driver_tracedir.close(source);
}

static void damaged_and_compressed_files(void **unused)
{
	static const uint32_t wanted[] = { 0, 2, 3 };
	struct driver_source *source;
	struct seen seen[8];
	char path[128];
	gzFile gz;

	(void)unused;
	begin(1);
	packet(1000, 0);
	packet(1000, 1);
	file.n -= 2;
	save("a"); /* its last packet is cut */
	begin(1);
	packet(1000, 2);
	packet(1000, 3);
	(void)snprintf(path, sizeof(path), "%s/b.gz", dir);
	gz = gzopen(path, "wb");
	assert_int_equal(gzwrite(gz, file.bytes, (unsigned int)file.n), file.n);
	gzclose(gz);
	begin(1); /* no packet at all */
	save("c");
	source = open_good();
	see(source, seen, 6);
	for (unsigned int i = 0; i < 6; i++)
		assert_int_equal(seen[i].no, wanted[i % 3]);
	driver_tracedir.close(source);
}

static void a_pass_without_packets_waits(void **unused)
{
	struct driver_source *source;
	struct driver_chunk chunk;

	(void)unused;
	begin(1);
	save("c");
	source = open_good();
	for (unsigned int i = 0; i < 300; i++)
		assert_int_equal(driver_tracedir.claim(source, &chunk), DRIVER_E_IDLE);
	driver_tracedir.close(source);
}

static void refused(int code, const char *words)
{
	struct driver_source *source = NULL;
	struct error err;

	assert_int_equal(open_dir(&source, &err), -EINVAL);
	assert_null(source);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, words))
		fail_msg("'%s' lacks '%s'", err.text, words);
}

static void directories_without_captures(void **unused)
{
	char name[16], saved[sizeof(dir)];

	(void)unused;
	refused(MAPID_NO_DRIVER, "no file in it can be read");
	save_bytes("readme", "no capture", 10);
	refused(MAPID_NO_DRIVER, "no file in its directory is a capture");
	for (unsigned int i = 0; i < DRIVER_FDS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "f%02u", i);
		save_bytes(name, "", 0);
	}
	refused(MAPID_NO_DRIVER, "more than 64 files");
	memcpy(saved, dir, sizeof(dir));
	(void)snprintf(dir, sizeof(dir), "/nonexistent");
	refused(MAPID_NO_DRIVER, "/nonexistent cannot be read: No such file");
	memcpy(dir, saved, sizeof(dir));
}

static void descriptors_of_another_process(void **unused)
{
	const struct driver_options options = { .driver = "tracedir", .trace_dir = dir };
	struct driver_open_args args = {
		.name = "replay", .fd = -1, .batch_pkts = 3, .n_workers = 1, .options = &options
	};
	struct driver_source *source = NULL;
	struct error err = ERROR_INIT;
	int fds[DRIVER_FDS_MAX];
	struct seen seen[1];
	char path[128];

	(void)unused;
	begin(1);
	packet(1, 42);
	save("x");
	save_bytes("y", "", 0);
	assert_int_equal(driver_tracedir.prepare(&args, fds, &args.n_fds, &err), 0);
	assert_int_equal(args.n_fds, 2);
	(void)snprintf(path, sizeof(path), "%s/x", dir);
	assert_int_equal(unlink(path), 0);
	args.fds = fds;
	args.options = NULL;
	assert_int_equal(tracedir_open_clock(&source, &args, &test_clock, &err), 0);
	see(source, seen, 1);
	assert_int_equal(seen[0].no, 42);
	driver_tracedir.close(source);
	assert_int_equal(fcntl(fds[0], F_GETFD), -1); /* consumed */
	assert_int_equal(fcntl(fds[1], F_GETFD), -1);
}

static void which_devices_match(void **unused)
{
	struct driver_options options = { .trace_dir = dir };
	struct driver_open_args args = { .name = "replay", .fd = -1, .options = &options };

	(void)unused;
	assert_ptr_equal(driver_find(&args), &driver_tracedir);
	options.driver = "tracedir";
	assert_ptr_equal(driver_find(&args), &driver_tracedir);
	options.driver = "pcap";
	assert_ptr_equal(driver_find(&args), &driver_pcap);
	args.options = NULL;
	assert_false(driver_tracedir.match(&args));
	args.options = &options;
	options.driver = "tracedir";
	args.fd = 3;
	assert_false(driver_tracedir.match(&args));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_are_bounded_and_come_in_batches),
		TEST(packets_come_in_their_distances_again_and_again),
		TEST(a_pass_takes_a_second_at_least),
		TEST(files_follow_each_other_by_name),
		TEST(times_that_no_clock_has),
		TEST(time_that_always_runs_backwards_stops_nothing),
		TEST(who_comes_late_loses_and_is_told),
		TEST(an_idle_source_comes_back),
		TEST(damaged_and_compressed_files),
		TEST(a_pass_without_packets_waits),
		TEST(directories_without_captures),
		TEST(descriptors_of_another_process),
		TEST(which_devices_match),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
