/* SPDX-License-Identifier: BSD-2-Clause */
/* The system daemon and the service manager, in whose place the test is. */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "parent_private.h"
#include "privileged.h"
#include "test_daemon.h"

static int test_serve_once_alive(const struct parent_engine *engine)
{
	test_tell_ready(engine);
	privileged_tell(engine->privileged_fd, PRIVILEGED_ALIVE);
	return test_pause();
}

/* A datagram socket in the place of the service manager, abstract or not. */
static int test_manager(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t len = strlen(path);

	assert_true(fd >= 0);
	memcpy(address.sun_path, path, len);
	if (*path == '@')
		address.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
		0);
	assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
	return fd;
}

static void test_told(int manager, const char *text)
{
	struct pollfd p = { .fd = manager, .events = POLLIN };
	char got[512] = "";

	assert_int_equal(poll(&p, 1, TEST_WAIT_MS), 1);
	assert_true(recv(manager, got, sizeof(got) - 1, 0) > 0);
	assert_string_equal(got, text);
}

static void test_notify(void **state)
{
	char path[96];

	for (unsigned int i = 0; i < 2; i++) {
		int manager;
		pid_t daemon;

		(void)snprintf(
			path, sizeof(path), "%s%s/notify", i ? "@" : "", test_daemon.directory);
		manager = test_manager(path);
		daemon = test_start(test_serve);
		test_told(manager, "READY=1\nSTATUS=Serving");
		assert_int_equal(kill(test_next().pid, SIGKILL), 0);
		test_told(manager, "STATUS=Serving; the engine was started 2 times");
		(void)test_next();
		test_stop(daemon);
		test_told(manager, "STOPPING=1\nSTATUS=Ending");
		(void)close(manager);
		(void)unlink(path);
	}
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
}

static void test_watchdog(void **state)
{
	char path[96];
	int manager;
	pid_t daemon;

	(void)snprintf(path, sizeof(path), "@%s/watchdog", test_daemon.directory);
	manager = test_manager(path);
	assert_int_equal(setenv("WATCHDOG_USEC", "400000", 1), 0);
	daemon = test_start(test_serve_once_alive);
	(void)test_next();
	test_told(manager, "READY=1\nSTATUS=Serving");
	test_told(manager, "WATCHDOG=1");
	/* It says no more: it is ended, and the next one begins. */
	assert_int_equal(test_next().restarts, 1);
	test_told(manager, "STATUS=Serving; the engine was started 2 times");
	test_told(manager, "WATCHDOG=1");
	test_stop(daemon);
	(void)close(manager);
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
}

/* In the place of the service manager: sockets on 3 and 4, the first told by its name, the second
 * by its path. */
static void test_activate(const char *first, const char *second)
{
	const char *paths[] = { first, second };
	char pid[16];

	for (int i = 0; i < 2; i++) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", paths[i]);
		assert(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
		assert(listen(fd, 5) == 0);
		assert(dup2(fd, 100 + i) >= 0);
		(void)close(fd);
	}
	assert(dup2(100, 3) >= 0 && dup2(101, 4) >= 0);
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	(void)setenv("LISTEN_PID", pid, 1);
	(void)setenv("LISTEN_FDS", "2", 1);
	(void)setenv("LISTEN_FDNAMES", PARENT_SOCKET_NAME ":mapid.socket", 1);
}

static void test_activation(void **state)
{
	char elsewhere[96];
	char byte;
	pid_t daemon;
	int fd;

	(void)snprintf(elsewhere, sizeof(elsewhere), "%s/elsewhere", test_daemon.directory);
	daemon = fork();
	if (daemon == 0) {
		/* The pipe may be where the sockets must go. */
		assert(dup2(test_daemon.pipe[1], 110) >= 0);
		test_daemon.pipe[1] = 110;
		test_activate(elsewhere, test_daemon.read_only);
		test_run(test_serve_clients);
	}
	(void)test_next();
	assert_int_equal(access(test_daemon.socket, F_OK), -1);
	fd = test_connect(elsewhere);
	assert_int_equal(read(fd, &byte, 1), 1);
	(void)close(fd);
	fd = test_connect(test_daemon.read_only);
	assert_int_equal(read(fd, &byte, 1), 1);
	(void)close(fd);
	assert_int_equal(kill(daemon, SIGTERM), 0);
	assert_int_equal(test_status(daemon), 0);
	/* They are the manager's. */
	assert_int_equal(unlink(elsewhere), 0);
	assert_int_equal(unlink(test_daemon.read_only), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_watchdog),
		cmocka_unit_test(test_activation),
	};

	return cmocka_run_group_tests(tests, test_daemon_setup, test_daemon_teardown);
}
