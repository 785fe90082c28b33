/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent of the system daemon, with engines of all kinds: those that serve, that are killed,
 * that send nonsense, that hang; and with devices of all kinds: driver_find() is wrapped.
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
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "mapi/errors.h"
#include "privileged.h"
#include "test_daemon.h"
#include "wire/test_send.h"

#define TEST_KILLS 200
#define TEST_FLOOD 10000

static int test_kind;

/* ---- time ---- */

static int test_speed = 1; /* of the clock */

int __real_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret);
int __real_poll(struct pollfd *fds, nfds_t n_fds, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n_fds, int timeout_ms);

int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
	int r = __real_clock_gettime(id, ret);
	uint64_t ns = ((uint64_t)ret->tv_sec * 1000000000u + (uint64_t)ret->tv_nsec) *
		(uint64_t)test_speed;

	*ret = (struct timespec){ .tv_sec = (time_t)(ns / 1000000000u),
		.tv_nsec = (long)(ns % 1000000000u) };
	return r;
}

int __wrap_poll(struct pollfd *fds, nfds_t n_fds, int timeout_ms)
{
	return __real_poll(fds, n_fds,
		timeout_ms > 0 ? (timeout_ms + test_speed - 1) / test_speed : timeout_ms);
}

/* ---- devices ---- */

static bool test_cannot_kill; /* helpers of the parent: as if they hung in the kernel */

int __real_kill(pid_t pid, int signo);
int __wrap_kill(pid_t pid, int signo);
const struct driver *__real_driver_find(const struct driver_open_args *args);
const struct driver *__wrap_driver_find(const struct driver_open_args *args);

int __wrap_kill(pid_t pid, int signo)
{
	return test_cannot_kill && signo == SIGKILL ? 0 : __real_kill(pid, signo);
}

static int test_prepare(const struct driver_open_args *args, int ret_fds[DRIVER_FDS_MAX],
	unsigned int *ret_n_fds, struct error *err)
{
	if (strcmp(args->name, "hangs") == 0)
		(void)test_pause();
	if (strcmp(args->name, "crashes") == 0)
		(void)raise(SIGKILL);
	ret_fds[0] = eventfd(7, EFD_CLOEXEC);
	assert(ret_fds[0] >= 0);
	*ret_n_fds = 1;
	return 0;
}

static const struct driver test_driver = { .name = "test", .prepare = test_prepare };

const struct driver *__wrap_driver_find(const struct driver_open_args *args)
{
	return strcmp(args->name, "lo") == 0 ? __real_driver_find(args) : &test_driver;
}

static struct config_device test_devices[] = {
	{ .device = (char[]){ "works" }, .alias = (char[]){ "" } },
	{ .device = (char[]){ "hangs" }, .alias = (char[]){ "" } },
	{ .device = (char[]){ "crashes" }, .alias = (char[]){ "" } },
};

/* @words: of the reason why not; NULL: it is opened */
static void test_opens(const struct parent_engine *engine, const char *name, const char *words)
{
	struct error err = ERROR_INIT;
	int fds[DRIVER_FDS_MAX];
	unsigned int n_fds = 0;
	eventfd_t value = 0;
	int r = privileged_prepare(engine->privileged_fd, name, 1, fds, &n_fds, &err);

	if (words) {
		assert(r == -EINVAL && err.code == MAPID_NO_DRIVER);
		if (!strstr(err.text, words)) {
			(void)fprintf(stderr, "'%s' does not say '%s'\n", err.text, words);
			_exit(1);
		}
		return;
	}
	assert(r == 0 && n_fds == 1);
	assert(eventfd_read(fds[0], &value) == 0 && value == 7);
	(void)close(fds[0]);
}

/* ---- engines ---- */

static int test_serve_stubborn(const struct parent_engine *engine)
{
	(void)signal(SIGTERM, SIG_IGN);
	return test_serve(engine);
}

static int test_serve_not(const struct parent_engine *engine)
{
	test_tell(getpid(), engine->restarts);
	return 3;
}

static int test_serve_closing(const struct parent_engine *engine)
{
	test_tell_ready(engine);
	(void)close(engine->privileged_fd);
	return test_pause();
}

enum test_nonsense {
	TEST_EMPTY,
	TEST_SHORT,
	TEST_LONG,
	TEST_HUGE,
	TEST_NO_NUL,
	TEST_OP_ZERO,
	TEST_OP_UNKNOWN,
	TEST_OP_LARGE,
	TEST_WORKERS_NONE,
	TEST_WORKERS_MANY,
	TEST_READY_WITH_NAME,
	TEST_ALIVE_WITH_SERIAL,
	TEST_DESCRIPTORS,
	TEST_DESCRIPTOR_ALONE,
	TEST_NEVER_READS,
	_TEST_NONSENSE_N
};

static void test_send_nonsense(int fd, enum test_nonsense kind)
{
	static struct {
		struct privileged_request request;
		char rest[65536];
	} huge;
	struct privileged_request request = {
		.op = PRIVILEGED_PREPARE, .n_workers = 1, .name = "lo"
	};
	size_t n_bytes = sizeof(request);

	switch (kind) {
	case TEST_EMPTY:
		n_bytes = 0;
		break;
	case TEST_SHORT:
		n_bytes--;
		break;
	case TEST_LONG:
	case TEST_HUGE:
		huge.request = request;
		n_bytes = kind == TEST_LONG ? sizeof(request) + 1 : sizeof(huge);
		assert(send(fd, &huge, n_bytes, MSG_NOSIGNAL) == (ssize_t)n_bytes);
		return;
	case TEST_NO_NUL:
		memset(request.name, 'x', sizeof(request.name));
		break;
	case TEST_OP_ZERO:
		request.op = 0;
		break;
	case TEST_OP_UNKNOWN:
		request.op = _PRIVILEGED_N;
		break;
	case TEST_OP_LARGE:
		request.op = ~0u;
		break;
	case TEST_WORKERS_NONE:
		request.n_workers = 0;
		break;
	case TEST_WORKERS_MANY:
		request.n_workers = DRIVER_FDS_MAX + 1;
		break;
	case TEST_READY_WITH_NAME:
		request = (struct privileged_request){ .op = PRIVILEGED_READY, .name = "lo" };
		break;
	case TEST_ALIVE_WITH_SERIAL:
		request = (struct privileged_request){ .op = PRIVILEGED_ALIVE, .serial = 1 };
		break;
	case TEST_DESCRIPTORS:
		assert(test_send_copies(fd, &request, sizeof(request), fd, 8));
		return;
	case TEST_DESCRIPTOR_ALONE:
		assert(test_send_copies(fd, "", 1, fd, 1));
		return;
	case TEST_NEVER_READS:
		for (unsigned int i = 0; i < TEST_FLOOD; i++)
			if (send(fd, &request, sizeof(request), MSG_NOSIGNAL) < 0)
				return;
		return;
	case _TEST_NONSENSE_N:
		abort();
	}
	assert(send(fd, &request, n_bytes, MSG_NOSIGNAL) == (ssize_t)n_bytes);
}

/* Nonsense at first; the next engine is a good one. */
static int test_serve_nonsense(const struct parent_engine *engine)
{
	if (engine->restarts > 0)
		return test_serve(engine);
	test_tell_ready(engine);
	test_send_nonsense(engine->privileged_fd, test_kind);
	return test_pause();
}

static int test_serve_flood(const struct parent_engine *engine)
{
	int fds[DRIVER_FDS_MAX];
	unsigned int n_fds;

	for (unsigned int i = 0; i < TEST_FLOOD; i++) {
		struct error err = ERROR_INIT;

		privileged_tell(engine->privileged_fd, PRIVILEGED_ALIVE);
		assert(privileged_prepare(engine->privileged_fd, "no such device", 1, fds, &n_fds,
			       &err) == -EINVAL);
		assert(strstr(err.text, "'no such device'"));
	}
	return test_serve(engine);
}

static int test_serve_silent(const struct parent_engine *engine)
{
	test_tell_ready(engine);
	if (engine->restarts == 0)
		return test_pause();
	for (;;) {
		privileged_tell(engine->privileged_fd, PRIVILEGED_ALIVE);
		(void)poll(NULL, 0, 1000);
	}
}

static void *test_hang(void *unused)
{
	(void)test_pause();
	return NULL;
}

/* All but a thread of it ends, as when that hangs in the kernel: then it cannot be reaped. */
static int test_serve_hanging(const struct parent_engine *engine)
{
	pthread_t thread;

	if (engine->restarts > 0)
		return test_serve_silent(engine);
	assert(pthread_create(&thread, NULL, test_hang, NULL) == 0);
	if (test_kind)
		test_tell_ready(engine);
	else
		test_tell(getpid(), 0);
	(void)syscall(SYS_exit, 0);
	return 1;
}

/* ---- engines that open devices ---- */

struct test_opener {
	const struct parent_engine *engine;
	_Atomic bool is_over;
};

static void *test_open_hanging(void *argument)
{
	struct test_opener *opener = argument;

	test_opens(opener->engine, "hangs", "within 4 seconds");
	atomic_store(&opener->is_over, true);
	return NULL;
}

/* While a device hangs, others are opened; then it has an answer. */
static int test_serve_devices(const struct parent_engine *engine)
{
	struct test_opener opener = { .engine = engine };
	unsigned int n_meanwhile = 0;
	pthread_t thread;

	test_opens(engine, "works", NULL);
	test_opens(engine, "crashes", "ended by signal 9");
	test_opens(engine, "lost", "not served");
	assert(pthread_create(&thread, NULL, test_open_hanging, &opener) == 0);
	for (; !atomic_load(&opener.is_over); n_meanwhile++)
		test_opens(engine, "works", NULL);
	assert(pthread_join(thread, NULL) == 0);
	assert(n_meanwhile > 10);
	test_opens(engine, "works", NULL);
	return test_serve(engine);
}

/* Nobody tries again what cannot be ended. */
static int test_serve_unkillable(const struct parent_engine *engine)
{
	if (engine->restarts == 0) {
		test_opens(engine, "hangs", "within 4 seconds");
		for (unsigned int i = 0; i < 100; i++)
			test_opens(engine, "hangs", "hangs in the kernel");
	}
	test_opens(engine, "works", NULL);
	return test_serve(engine);
}

/* The first asks for devices that hang, more than there may be, and has no answer. */
static int test_serve_asking(const struct parent_engine *engine)
{
	struct privileged_request request = {
		.op = PRIVILEGED_PREPARE, .n_workers = 1, .name = "hangs"
	};

	for (unsigned int i = 1; engine->restarts == 0 && i <= PRIVILEGED_HELPERS_MAX; i++) {
		request.serial = i;
		assert(send(engine->privileged_fd, &request, sizeof(request), MSG_NOSIGNAL) ==
			sizeof(request));
	}
	test_opens(engine, "works", engine->restarts == 0 ? "others take long" : NULL);
	return test_serve(engine);
}

/* ---- tests ---- */

static void test_sockets(void **state)
{
	pid_t daemon = test_start(test_serve_clients);
	const struct group *gr = getgrnam(test_daemon.config.group);
	struct stat st;
	char byte = 0;
	int fd;

	(void)test_next();
	assert_int_equal(stat(test_daemon.socket, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	if (gr && geteuid() == 0)
		assert_int_equal(st.st_gid, gr->gr_gid);
	assert_int_equal(stat(test_daemon.read_only, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	for (unsigned int i = 0; i < 2; i++) {
		fd = test_connect(i ? test_daemon.read_only : test_daemon.socket);
		assert_int_equal(read(fd, &byte, 1), 1);
		assert_int_equal(byte, '0');
		(void)close(fd);
	}
	assert_int_equal(kill(daemon, SIGHUP), 0);
	test_stop(daemon);
}

static void test_no_group(void **state)
{
	char *group = test_daemon.config.group;
	pid_t daemon;
	struct stat st;

	test_daemon.config.group = (char[]){ "no-such-group" };
	daemon = test_start(test_serve);
	(void)test_next();
	assert_int_equal(stat(test_daemon.socket, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	test_stop(daemon);
	test_daemon.config.group = group;
}

static void test_killed_engine(void **state)
{
	pid_t daemon = test_start(test_serve_clients);
	uint64_t begin_ns = clock_monotonic_ns();

	for (unsigned int i = 0; i < TEST_KILLS; i++) {
		struct test_note note = test_next();
		int fd;
		char byte;

		assert_int_equal(note.restarts, i);
		assert_int_equal(kill(note.pid, SIGKILL), 0);
		/* Connects while there is no engine, or one that is dying. */
		fd = test_connect(test_daemon.socket);
		if (i % 10 == 0)
			(void)!read(fd, &byte, 1);
		(void)close(fd);
	}
	(void)test_next();
	print_message("%d engines in %u ms\n", TEST_KILLS,
		(unsigned int)((clock_monotonic_ns() - begin_ns) / 1000000));
	test_stop(daemon);
}

static void test_killed_parent(void **state)
{
	struct test_note note;
	pid_t daemon;
	int pidfd;

	for (unsigned int i = 0; i < 20; i++) {
		daemon = test_start(i % 2 ? test_serve_stubborn : test_serve);
		note = test_next();
		pidfd = test_watch(note.pid);
		assert_int_equal(note.restarts, 0);
		assert_int_equal(kill(daemon, SIGKILL), 0);
		assert_true(WIFSIGNALED(test_status(daemon)));
		if (i % 4 < 2) /* else the next starts while the old engine ends */
			test_await_end(pidfd);
		else
			(void)close(pidfd);
		assert_int_equal(access(test_daemon.socket, F_OK), 0);
	}
	daemon = test_start(test_serve);
	(void)test_next();
	test_stop(daemon);
}

static int test_refusal(void)
{
	return WEXITSTATUS(test_status(test_start(test_serve)));
}

static void test_only_one(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	pid_t daemon = test_start(test_serve_clients);
	char byte = 0;
	int fd;

	(void)test_next();
	assert_int_equal(test_refusal(), EADDRINUSE);
	fd = test_connect(test_daemon.socket);
	assert_int_equal(read(fd, &byte, 1), 1);
	(void)close(fd);
	test_stop(daemon);

	/* Another program, which knows nothing of our lock. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", test_daemon.socket);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(test_refusal(), EADDRINUSE);
	/* It is gone; its file is not. */
	(void)close(fd);
	assert_int_equal(access(test_daemon.socket, F_OK), 0);
	daemon = test_start(test_serve);
	(void)test_next();
	test_stop(daemon);

	fd = open(test_daemon.socket, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	(void)close(fd);
	assert_int_equal(test_refusal(), EEXIST);
	assert_int_equal(unlink(test_daemon.socket), 0);
}

static void test_stubborn_engine(void **state)
{
	pid_t daemon = test_start(test_serve_stubborn);

	(void)test_next();
	assert_int_equal(kill(daemon, SIGTERM), 0);
	/* Asked again, it does not wait for the engine any more. Both may come as one. */
	while (kill(daemon, SIGINT) == 0 && waitpid(daemon, NULL, WNOHANG) == 0)
		(void)usleep(1000);
	assert_int_equal(access(test_daemon.socket, F_OK), -1);
}

static void test_quick_engines(void **state)
{
	pid_t daemon = test_start(test_serve_not);
	uint64_t begin_ns = clock_monotonic_ns();

	for (unsigned int i = 0; i < 6; i++)
		assert_int_equal(test_next().restarts, i);
	assert_int_equal(WEXITSTATUS(test_status(daemon)), ECHILD);
	/* 0, 0.1, 0.2, 0.4, 0.8 s */
	assert_true(clock_monotonic_ns() - begin_ns >= UINT64_C(1500000000));
	assert_int_equal(access(test_daemon.socket, F_OK), -1);
}

static void test_nonsense(void **state)
{
	for (test_kind = 0; test_kind < _TEST_NONSENSE_N; test_kind++) {
		pid_t daemon = test_start(test_serve_nonsense);

		assert_int_equal(test_next().restarts, 0);
		assert_int_equal(test_next().restarts, 1);
		test_stop(daemon);
	}
}

static void test_flood(void **state)
{
	pid_t daemon = test_start(test_serve_flood);

	assert_int_equal(test_next().restarts, 0);
	test_stop(daemon);
}

static void test_lost_engine(void **state)
{
	pid_t daemon = test_start(test_serve_closing);

	assert_int_equal(test_next().restarts, 0);
	assert_int_equal(test_next().restarts, 1);
	test_stop(daemon);
}

/* Before it has said that it serves, and after. */
static void test_hanging_engine(void **state)
{
	for (test_kind = 0; test_kind < 2; test_kind++) {
		pid_t daemon;
		pid_t first;

		test_speed = 20;
		daemon = test_start(test_serve_hanging);
		test_speed = 1;
		first = test_next().pid;
		assert_int_equal(test_next().restarts, 1);
		/* The thread ends at last: nothing of it stays. */
		while (kill(first, 0) == 0)
			(void)poll(NULL, 0, 1);
		test_stop(daemon);
	}
}

static void test_silent_engine(void **state)
{
	pid_t daemon;
	struct test_note note;

	test_speed = 100;
	daemon = test_start(test_serve_silent);
	test_speed = 1;
	assert_int_equal(test_next().restarts, 0);
	note = test_next();
	assert_int_equal(note.restarts, 1);
	/* Who is stopped is not silent. */
	assert_int_equal(kill(note.pid, SIGSTOP), 0);
	(void)poll(NULL, 0, 1000);
	assert_int_equal(kill(note.pid, SIGCONT), 0);
	test_stop(daemon);
	assert_int_equal(
		poll(&(struct pollfd){ .fd = test_daemon.pipe[0], .events = POLLIN }, 1, 0), 0);
}

static pid_t test_start_devices(int (*serve)(const struct parent_engine *engine), int speed)
{
	pid_t daemon;

	test_speed = speed;
	daemon = test_start_with(serve, test_devices, ARRAY_SIZE(test_devices));
	test_speed = 1;
	return daemon;
}

static void test_hanging_device(void **state)
{
	pid_t daemon = test_start_devices(test_serve_devices, 4);

	assert_int_equal(test_next().restarts, 0);
	test_stop(daemon);
}

static void test_unkillable_device(void **state)
{
	pid_t daemon;

	test_cannot_kill = true;
	daemon = test_start_devices(test_serve_unkillable, 4);
	test_cannot_kill = false;
	assert_int_equal(kill(test_next().pid, SIGKILL), 0);
	assert_int_equal(test_next().restarts, 1);
	test_stop(daemon);
}

/* The parent starts another engine, whatever the one before has asked for. */
static void test_hanging_devices(void **state)
{
	pid_t daemon = test_start_devices(test_serve_asking, 1);
	struct test_note note = test_next();

	assert_int_equal(note.restarts, 0);
	assert_int_equal(kill(note.pid, SIGKILL), 0);
	assert_int_equal(test_next().restarts, 1);
	test_stop(daemon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_no_group),
		cmocka_unit_test(test_killed_engine),
		cmocka_unit_test(test_killed_parent),
		cmocka_unit_test(test_only_one),
		cmocka_unit_test(test_stubborn_engine),
		cmocka_unit_test(test_quick_engines),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_lost_engine),
		cmocka_unit_test(test_hanging_engine),
		cmocka_unit_test(test_silent_engine),
		cmocka_unit_test(test_hanging_device),
		cmocka_unit_test(test_unkillable_device),
		cmocka_unit_test(test_hanging_devices),
	};

	return cmocka_run_group_tests(tests, test_daemon_setup, test_daemon_teardown);
}
