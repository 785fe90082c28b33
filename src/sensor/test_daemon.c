/* SPDX-License-Identifier: BSD-2-Clause */
/* A system daemon for tests: see test_daemon.h. */
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
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/log.h"
#include "privileged.h"
#include "test_daemon.h"

struct test_daemon test_daemon = { .directory = "/tmp/mapi-test-parent-XXXXXX",
	.config = { .group = (char[]){ "nogroup" }, .user = (char[]){ "nobody" } } };

void test_tell(pid_t pid, uint64_t restarts)
{
	const struct test_note note = { .pid = pid, .restarts = (unsigned int)restarts };

	assert(write(test_daemon.pipe[1], &note, sizeof(note)) == sizeof(note));
}

void test_tell_ready(const struct parent_engine *engine)
{
	privileged_tell(engine->privileged_fd, PRIVILEGED_READY);
	test_tell(getpid(), engine->restarts);
}

int test_pause(void)
{
	while (pause() < 0) /* which it always does */
		;
	return 0;
}

int test_serve(const struct parent_engine *engine)
{
	test_tell_ready(engine);
	return test_pause();
}

/* Says its number to whoever connects. */
int test_serve_clients(const struct parent_engine *engine)
{
	struct pollfd p[] = { { .fd = engine->socket_fd, .events = POLLIN },
		{ .fd = engine->read_only_fd, .events = POLLIN } };

	test_tell_ready(engine);
	for (;;) {
		assert(poll(p, ARRAY_SIZE(p), -1) > 0);
		for (unsigned int i = 0; i < ARRAY_SIZE(p); i++) {
			char byte = (char)('0' + engine->restarts);
			int fd = accept4(p[i].fd, NULL, NULL, SOCK_CLOEXEC);

			if (fd < 0) {
				assert(errno == EAGAIN);
				continue;
			}
			(void)!write(fd, &byte, 1);
			(void)close(fd);
		}
	}
}

void test_run(int (*serve)(const struct parent_engine *engine))
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	log_open("test", getenv("TEST_LOG") ? LOG_DEBUG : LOG_EMERG);
	_exit(-parent_run(&test_daemon.config, serve));
}

pid_t test_start(int (*serve)(const struct parent_engine *engine))
{
	pid_t pid = fork();

	if (pid == 0)
		test_run(serve);
	assert_true(pid > 0);
	return pid;
}

/* Return: the next engine that serves. */
struct test_note test_next(void)
{
	struct pollfd p = { .fd = test_daemon.pipe[0], .events = POLLIN };
	struct test_note note = { 0 };

	assert_int_equal(poll(&p, 1, TEST_WAIT_MS), 1);
	assert_int_equal(read(test_daemon.pipe[0], &note, sizeof(note)), sizeof(note));
	return note;
}

int test_status(pid_t daemon)
{
	int status;

	assert_int_equal(waitpid(daemon, &status, 0), daemon);
	return status;
}

void test_stop(pid_t daemon)
{
	assert_int_equal(kill(daemon, SIGTERM), 0);
	assert_int_equal(test_status(daemon), 0);
	assert_int_equal(access(test_daemon.socket, F_OK), -1);
	assert_int_equal(access(test_daemon.read_only, F_OK), -1);
}

int test_watch(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	assert_true(fd >= 0);
	return fd;
}

void test_await_end(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, TEST_WAIT_MS), 1);
	(void)close(pidfd);
}

int test_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

pid_t test_start_with(int (*serve)(const struct parent_engine *engine),
	struct config_device *devices, unsigned int n_devices)
{
	pid_t pid;

	test_daemon.config.devices = devices;
	test_daemon.config.n_devices = n_devices;
	pid = test_start(serve);
	test_daemon.config.devices = NULL;
	test_daemon.config.n_devices = 0;
	return pid;
}

int test_daemon_setup(void **state)
{
	assert_non_null(mkdtemp(test_daemon.directory));
	/* A directory that is made. */
	(void)snprintf(test_daemon.socket, sizeof(test_daemon.socket), "%s/run/mapid.sock",
		test_daemon.directory);
	(void)snprintf(test_daemon.read_only, sizeof(test_daemon.read_only), "%s/run/read.sock",
		test_daemon.directory);
	test_daemon.config.socket = test_daemon.socket;
	test_daemon.config.read_only_socket = test_daemon.read_only;
	return pipe2(test_daemon.pipe, O_CLOEXEC);
}

int test_daemon_teardown(void **state)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/run", test_daemon.directory);
	/* Nothing is left there; it is not there if all tests were skipped. */
	assert_true(rmdir(path) == 0 || errno == ENOENT);
	return rmdir(test_daemon.directory);
}
