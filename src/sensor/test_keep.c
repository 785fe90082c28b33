/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices that helpers of the parent keep (privileged_keep.c): a system daemon whose engine reads
 * them, with a driver whose packets tell what the process that captures can do. driver_find() is
 * wrapped.
 */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/build.h"
#include "base/clock.h"
#include "driver/relay.h"
#include "mapi/errors.h"
#include "privileged.h"
#include "test_daemon.h"

#define TEST_NAME_BYTES 32
#define TEST_STEP 8 /* devices that are opened in TEST_WAIT_MS */

/* ---- a device ---- */

/* What a packet tells of who captures it: errors, 0: it succeeded. */
struct test_seen {
	pid_t pid;
	pid_t keeper;
	uid_t uid;
	int packet_socket;
	int write_file;
	int write_null;
	int send_away;
	int start_process;
	int become_root;
	int end_keeper;
	int signal_keeper;
	int have_signalled;
	int stay;
	int signal_itself;
	char caps[32];
};

/* Of all processes: how often it was opened. */
static _Atomic unsigned int *test_n_opened;

struct driver_source {
	struct test_seen seen;
	bool has_looked;
	bool fragile;
	unsigned int n;
	int sockets[2];
	int null_fd;
};

static int test_error(long r)
{
	return r < 0 ? errno : 0;
}

static void test_look(struct driver_source *source)
{
	struct test_seen *seen = &source->seen;
	FILE *file;
	char line[128];

	source->has_looked = true;
	*seen = (struct test_seen){ .pid = getpid(), .keeper = getppid(), .uid = getuid() };
	seen->packet_socket = test_error(socket(AF_PACKET, SOCK_RAW, 0));
	seen->write_file = test_error(open("/tmp", O_TMPFILE | O_RDWR, 0600));
	seen->write_null = test_error(write(source->null_fd, "x", 1));
	seen->send_away = test_error(send(source->sockets[0], "x", 1, 0));
	seen->start_process = test_error(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
	seen->become_root = test_error(setresuid(0, 0, 0));
	seen->end_keeper = test_error(syscall(SYS_kill, getppid(), 0));
	seen->signal_keeper = test_error(syscall(SYS_tgkill, getppid(), getppid(), 0));
	seen->have_signalled = test_error(fcntl(source->sockets[0], F_SETOWN, getppid()));
	seen->stay = test_error(prctl(PR_SET_PDEATHSIG, 0));
	seen->signal_itself = test_error(syscall(SYS_tgkill, getpid(), gettid(), 0));
	file = fopen("/proc/self/status", "re");
	assert(file);
	while (fgets(line, sizeof(line), file))
		(void)sscanf(line, "CapEff: %31s", seen->caps);
	(void)fclose(file);
}

static int test_open(
	struct driver_source **ret, const struct driver_open_args *args, struct error *err)
{
	struct driver_source *source = calloc(1, sizeof(*source));
	unsigned int n = atomic_fetch_add(test_n_opened, 1);
	bool is_fragile;

	assert(source && args->n_fds == 0 && args->options);
	if (strcmp(args->name, "hangs") == 0)
		(void)test_pause();
	if (strcmp(args->name, "dies") == 0)
		(void)raise(SIGKILL);
	is_fragile = strcmp(args->name, "fragile") == 0;
	source->fragile = is_fragile && n == 0;
	if (strcmp(args->name, "denied") == 0 || (is_fragile && (n == 1 || n == 2))) {
		free(source);
		return error_set(err, MAPI_NO_PERMISSION, "not %s", args->name);
	}
	source->null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert(source->null_fd >= 0);
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, source->sockets) == 0);
	*ret = source;
	return 0;
}

static int test_claim(struct driver_source *source, struct driver_chunk *chunk)
{
	if (!source->has_looked)
		test_look(source);
	(void)poll(NULL, 0, 1);
	source->n++;
	return source->n % 2 ? 0 : DRIVER_E_IDLE;
}

static int test_next_batch(
	struct driver_source *source, struct driver_chunk *chunk, struct packet_batch *batch)
{
	batch->n = chunk->last ? 0 : 1;
	chunk->last = true;
	batch->data[0] = (const uint8_t *)&source->seen;
	batch->cap_bytes[0] = batch->wire_bytes[0] = sizeof(source->seen);
	batch->ts_ns[0] = source->n;
	batch->ifindex[0] = 0;
	return batch->n ? 0 : DRIVER_E_END;
}

static void test_release(struct driver_source *source, struct driver_chunk *chunk)
{
}

static void test_stats(const struct driver_source *source, struct driver_stats *ret)
{
	bool is_down = source->fragile && source->n > 10;

	*ret = (struct driver_stats){ .state = is_down ? DRIVER_GONE : DRIVER_UP,
		.outages = is_down };
}

static int test_interface(
	const struct driver_source *source, unsigned int index, struct driver_interface *ret)
{
	if (index > 0)
		return -ENOENT;
	*ret = (struct driver_interface){ .linktype = 147, .ts_units_per_s = 1000000000u };
	return 0;
}

static int test_relays(const struct driver_open_args *args, struct error *err)
{
	return strcmp(args->name, "refused") == 0
		? error_set(err, MAPID_NO_DRIVER, "never %s", args->name)
		: 0;
}

static const struct driver test_driver = { .name = "test",
	.relays = test_relays,
	.open = test_open,
	.claim = test_claim,
	.next_batch = test_next_batch,
	.release = test_release,
	.stats = test_stats,
	.interface = test_interface };

const struct driver *__wrap_driver_find(const struct driver_open_args *args);

const struct driver *__wrap_driver_find(const struct driver_open_args *args)
{
	return &test_driver;
}

static struct config_device test_devices[] = {
	{ .device = (char[]){ "good" }, .alias = (char[]){ "" } },
	{ .device = (char[]){ "fragile" }, .alias = (char[]){ "" } },
	{ .device = (char[]){ "hangs" }, .alias = (char[]){ "" } },
	{ .device = (char[]){ "dies" }, .alias = (char[]){ "" } },
	{ .device = (char[]){ "denied" }, .alias = (char[]){ "" } },
	{ .device = (char[]){ "refused" }, .alias = (char[]){ "" } },
};

/* ---- engines ---- */

/* Return: NULL with @err filled. */
static struct driver_source *test_open_relay(
	const struct parent_engine *engine, const char *name, struct error *err)
{
	struct driver_source *source = NULL;
	struct driver_open_args args = { .name = name, .fd = -1, .batch_pkts = 1, .n_workers = 1 };
	int fds[DRIVER_FDS_MAX];
	int r;

	*err = ERROR_INIT;
	r = privileged_prepare(engine->privileged_fd, name, 1, fds, &args.n_fds, err);
	if (r < 0)
		return NULL;
	args.fds = fds;
	assert(args.n_fds == RELAY_N_FDS);
	r = driver_relay.open(&source, &args, err);
	assert(r == 0);
	return source;
}

static void test_refused(
	const struct parent_engine *engine, const char *name, int code, const char *words)
{
	struct error err;
	struct driver_source *source = test_open_relay(engine, name, &err);

	if (!source && err.code == code && strstr(err.text, words))
		return;
	(void)fprintf(stderr, "%s: '%s' (%d)\n", name, err.text, err.code);
	_exit(1);
}

/* Return: 0; error of the chunk. @ret: of the last packet */
static int test_read(struct driver_source *source, struct test_seen *ret)
{
	static struct packet_batch batch;
	struct driver_chunk chunk;
	int r = driver_relay.claim(source, &chunk);

	if (r == DRIVER_E_IDLE)
		return 0;
	assert(r == 0);
	while (driver_relay.next_batch(source, &chunk, &batch) == 0) {
		assert(batch.cap_bytes[0] == sizeof(*ret) && batch.linktype == 147);
		memcpy(ret, batch.data[0], sizeof(*ret));
	}
	r = chunk.error.code;
	driver_relay.release(source, &chunk);
	return r;
}

/* Tells of each process that captures, with how often the device was away; and of the end. */
static int test_serve_reading(const struct parent_engine *engine, const char *name)
{
	struct test_seen seen = { .pid = 0 };
	struct driver_source *source;
	struct driver_stats stats;
	struct error err;
	pid_t last = 0;

	test_tell_ready(engine);
	source = test_open_relay(engine, name, &err);
	assert(source);
	while (test_read(source, &seen) == 0) {
		driver_relay.stats(source, &stats);
		if (seen.pid != last)
			test_tell(seen.pid, stats.outages);
		last = seen.pid;
	}
	test_tell(0, 0);
	return test_pause();
}

static int test_serve_good(const struct parent_engine *engine)
{
	return test_serve_reading(engine, "good");
}

static int test_serve_fragile(const struct parent_engine *engine)
{
	return test_serve_reading(engine, "fragile");
}

/* Who keeps a device is not taken for one who needs too long to open it, which is 4 seconds. */
static int test_serve_refused(const struct parent_engine *engine)
{
	uint64_t end_ns = clock_monotonic_ns() + UINT64_C(5000000000);
	struct test_seen first = { .pid = 0 }, seen;
	struct driver_source *source;
	struct error err;

	source = test_open_relay(engine, "good", &err);
	assert(source);
	while (first.pid == 0)
		assert(test_read(source, &first) == 0);
	test_refused(engine, "denied", MAPI_NO_PERMISSION, "not denied");
	test_refused(engine, "refused", MAPID_NO_DRIVER, "never refused");
	test_refused(engine, "dies", MAPID_NO_DRIVER, "ended by signal 9");
	test_refused(engine, "hangs", MAPID_NO_DRIVER, "within 3 seconds");
	test_refused(engine, "other", MAPID_NO_DRIVER, "not served");
	for (seen = first; clock_monotonic_ns() < end_ns;)
		assert(test_read(source, &seen) == 0 && seen.pid == first.pid);
	return test_serve(engine);
}

/* What the process that captures has left. */
static int test_serve_rights(const struct parent_engine *engine)
{
	struct test_seen seen = { .pid = 0 };
	struct driver_source *source;
	struct error err;

	source = test_open_relay(engine, "good", &err);
	assert(source);
	while (seen.pid == 0)
		assert(test_read(source, &seen) == 0);
	assert(seen.uid == getuid());
	assert(strcmp(seen.caps, "0000000000000000") == 0);
	assert(seen.packet_socket == ENOSYS);
	assert(seen.write_file == ENOSYS || seen.write_file == EACCES);
	assert(seen.write_null == (BUILD_SANITIZED ? 0 : EINVAL));
	assert(seen.send_away == ENOSYS);
	assert(seen.start_process == ENOSYS);
	assert(seen.become_root == ENOSYS);
	assert(seen.end_keeper == ENOSYS);
	assert(seen.signal_keeper == ENOSYS);
	assert(seen.have_signalled == ENOSYS);
	assert(seen.stay == ENOSYS);
	assert(seen.signal_itself == 0);
	driver_relay.close(source);
	return test_serve(engine);
}

/* Devices are closed as often as they are opened; but not more than so many are open. */
static int test_serve_many(const struct parent_engine *engine)
{
	struct driver_source *sources[PRIVILEGED_HELPERS_MAX];
	struct test_seen seen;
	struct error err;

	if (engine->restarts == 0) {
		for (unsigned int i = 0; i < PRIVILEGED_HELPERS_MAX + TEST_STEP; i++) {
			if (i % TEST_STEP == 0)
				test_tell(getpid(), 0);
			sources[0] = test_open_relay(engine, "good", &err);
			assert(sources[0]);
			for (seen.pid = 0; seen.pid == 0;)
				assert(test_read(sources[0], &seen) == 0);
			driver_relay.close(sources[0]);
			/* Its processes are gone soon. */
			while (kill(seen.keeper, 0) == 0 || errno != ESRCH)
				(void)poll(NULL, 0, 1);
		}
		for (unsigned int i = 0; i < PRIVILEGED_HELPERS_MAX; i++) {
			if (i % TEST_STEP == 0)
				test_tell(getpid(), 0);
			sources[i] = test_open_relay(engine, "good", &err);
			assert(sources[i]);
		}
		test_refused(engine, "good", MAPID_NO_DRIVER, "are in use");
	} else {
		assert(test_open_relay(engine, "good", &err));
	}
	return test_serve(engine);
}

/* ---- the daemon ---- */

static pid_t test_start_devices(int (*serve)(const struct parent_engine *engine))
{
	atomic_store(test_n_opened, 0);
	return test_start_with(serve, test_devices, ARRAY_SIZE(test_devices));
}

/* Of /proc/PID/stat. Return: 0: none. */
static pid_t test_parent_of(pid_t pid)
{
	char path[TEST_NAME_BYTES];
	FILE *file;
	int parent = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%*d (%*[^)]) %*c %d", &parent), 1);
	(void)fclose(file);
	return (pid_t)parent;
}

/* ---- tests ---- */

static void test_opened_or_not(void **state)
{
	pid_t daemon = test_start_devices(test_serve_refused);

	assert_int_equal(test_next().restarts, 0);
	test_stop(daemon);
}

static void test_rights(void **state)
{
	pid_t daemon = test_start_devices(test_serve_rights);

	assert_int_equal(test_next().restarts, 0);
	test_stop(daemon);
}

static void test_number(void **state)
{
	pid_t daemon = test_start_devices(test_serve_many);
	struct test_note note = test_next();

	for (unsigned int i = 0; i < 2 * PRIVILEGED_HELPERS_MAX + TEST_STEP; i += TEST_STEP)
		note = test_next();
	assert_int_equal(note.restarts, 0);
	/* What it has open goes with it. */
	assert_int_equal(kill(note.pid, SIGKILL), 0);
	assert_int_equal(test_next().restarts, 1);
	test_stop(daemon);
}

static void test_killed_reader(void **state)
{
	pid_t daemon = test_start_devices(test_serve_good);
	pid_t last = 0;

	(void)test_next();
	for (unsigned int i = 0; i < 5; i++) {
		struct test_note note = test_next();

		assert_true(note.pid > 0 && note.pid != last);
		assert_int_equal(note.restarts, i);
		last = note.pid;
		assert_int_equal(kill(last, SIGKILL), 0);
	}
	test_stop(daemon);
}

/* The device is lost, cannot be opened twice, and comes back. */
static void test_device_comes_back(void **state)
{
	pid_t daemon = test_start_devices(test_serve_fragile);
	struct test_note first, second;

	(void)test_next();
	first = test_next();
	second = test_next();
	assert_true(first.pid != second.pid);
	assert_int_equal(first.restarts, 0);
	assert_int_equal(second.restarts, 1);
	assert_int_equal(atomic_load(test_n_opened), 4);
	test_stop(daemon);
}

static void test_killed_keeper(void **state)
{
	pid_t daemon = test_start_devices(test_serve_good);
	struct test_note note;
	int reader;

	(void)test_next();
	note = test_next();
	reader = test_watch(note.pid);
	assert_int_equal(kill(test_parent_of(note.pid), SIGKILL), 0);
	test_await_end(reader);
	/* The engine is told. */
	assert_int_equal(test_next().pid, 0);
	test_stop(daemon);
}

static void test_killed_engine(void **state)
{
	pid_t daemon = test_start_devices(test_serve_good);

	for (unsigned int i = 0; i < 10; i++) {
		struct test_note engine = test_next(), reader = test_next();
		int keeper_fd = test_watch(test_parent_of(reader.pid));
		int reader_fd = test_watch(reader.pid);

		assert_int_equal(engine.restarts, i);
		assert_int_equal(kill(engine.pid, SIGKILL), 0);
		test_await_end(keeper_fd);
		test_await_end(reader_fd);
	}
	(void)test_next();
	(void)test_next();
	test_stop(daemon);
}

static void test_killed_parent(void **state)
{
	pid_t daemon = test_start_devices(test_serve_good);
	struct test_note engine = test_next(), reader = test_next();
	int fds[] = { test_watch(engine.pid), test_watch(test_parent_of(reader.pid)),
		test_watch(reader.pid) };

	assert_int_equal(test_parent_of(test_parent_of(reader.pid)), daemon);
	assert_int_equal(kill(daemon, SIGKILL), 0);
	assert_true(WIFSIGNALED(test_status(daemon)));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		test_await_end(fds[i]);
	/* The next one replaces its sockets. */
	daemon = test_start(test_serve);
	(void)test_next();
	test_stop(daemon);
}

static int test_setup(void **state)
{
	test_n_opened = mmap(NULL, sizeof(*test_n_opened), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return test_n_opened == MAP_FAILED ? -1 : test_daemon_setup(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opened_or_not),
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_killed_reader),
		cmocka_unit_test(test_device_comes_back),
		cmocka_unit_test(test_killed_keeper),
		cmocka_unit_test(test_killed_engine),
		cmocka_unit_test(test_killed_parent),
	};

	return cmocka_run_group_tests(tests, test_setup, test_daemon_teardown);
}
