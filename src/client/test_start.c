/* SPDX-License-Identifier: BSD-2-Clause */
/* How a private daemon is started, and that the program does not notice. */
#undef NDEBUG
#include "client.h"

#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/build.h"

static volatile sig_atomic_t n_sigchld;

static void count_sigchld(int signo)
{
	(void)signo;
	n_sigchld++;
}

static char *report_of(int fd)
{
	static char report[512];
	ssize_t n = read(fd, report, sizeof(report) - 1);

	assert_true(n > 0);
	report[n] = '\0';
	return report;
}

static void assert_error(int code, const char *part)
{
	char text[MAPI_ERRORSTR_LENGTH];
	int got;

	mapi_read_error(&got, text);
	assert_int_equal(got, code);
	if (!strstr(text, part))
		print_error("%s\n", text);
	assert_non_null(strstr(text, part));
}

static void test_what_the_daemon_gets(void **state)
{
	struct sigaction action = { .sa_handler = count_sigchld }, before;
	char *report;
	sigset_t all, before_set;
	int fd = -1, extra = open("/dev/null", O_RDONLY); /* not close-on-exec */
	char byte;

	sigaction(SIGCHLD, &action, &before);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before_set); /* as under the lock */
	assert_int_equal(private_start(&fd), 0);
	pthread_sigmask(SIG_SETMASK, &before_set, NULL);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	report = report_of(fd);
	/* 0 to 3, nothing else; only INT, QUIT and HUP ignored; nothing blocked; own session. */
	assert_non_null(strstr(report, "argc=2 --private fds=4 null=11 session=1"));
	if (!BUILD_SANITIZED) /* its own handlers are in the daemon's report, too */
		assert_memory_equal(report, "ignored=1 ignored=2 ignored=3 argc", 34);
	assert_null(strstr(report, "blocked"));
	/* The program has no child and has heard of none. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	assert_int_equal(n_sigchld, 0);
	/* It ends when the socket does. */
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_int_equal(read(fd, &byte, 1), 0);
	close(fd);
	close(extra);
	sigaction(SIGCHLD, &before, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
}

/* A program without standard descriptors: those of the socket are the numbers 0 to 4. */
static void test_closed_standard_descriptors(void **state)
{
	int report_fds[2], status;
	char report[512] = "";
	pid_t pid;

	assert_int_equal(pipe(report_fds), 0);
	pid = fork();
	if (pid == 0) {
		int fd = -1;

		dup2(report_fds[1], 30);
		for (int i = 0; i < 30; i++)
			close(i);
		if (private_start(&fd) < 0)
			_exit(1);
		(void)!write(30, report, (size_t)read(fd, report, sizeof(report)));
		_exit(0);
	}
	close(report_fds[1]);
	assert_true(read(report_fds[0], report, sizeof(report) - 1) > 0);
	close(report_fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_non_null(strstr(report, "fds=4 null=11"));
}

static unsigned int count_fds(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_failures_leave_nothing(void **state)
{
	char *path = strdup(getenv("MAPI_MAPID"));
	unsigned int n_before = count_fds();
	char script[64];
	int fd = -7, script_fd;

	setenv("MAPI_MAPID", "/nonexistent/mapid", 1);
	assert_int_equal(private_start(&fd), -1);
	assert_error(MCOM_INIT_SOCKET_ERROR, "/nonexistent/mapid");
	/* Executable, but no program. */
	(void)snprintf(script, sizeof(script), "/tmp/mapi-test-start-%d", (int)getpid());
	script_fd = open(script, O_CREAT | O_WRONLY | O_CLOEXEC, 0700);
	assert_true(script_fd >= 0);
	close(script_fd);
	setenv("MAPI_MAPID", script, 1);
	assert_int_equal(private_start(&fd), -1);
	assert_error(MCOM_INIT_SOCKET_ERROR, "Exec format error");
	unlink(script);
	assert_int_equal(fd, -7);
	assert_int_equal(count_fds(), n_before);
	/* Starts, and says nothing. */
	setenv("MAPI_MAPID", "/bin/true", 1);
	assert_int_equal(mapi_create_flow("eth0"), -1);
	assert_error(MCOM_INIT_SOCKET_ERROR, "does not answer");
	assert_int_equal(count_fds(), n_before);
	setenv("MAPI_MAPID", path, 1);
	free(path);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_the_daemon_gets),
		cmocka_unit_test(test_closed_standard_descriptors),
		cmocka_unit_test(test_failures_leave_nothing),
	};

	if (argc < 2)
		return 77;
	setenv("MAPI_MAPID", argv[1], 1);
	return cmocka_run_group_tests_name("start", tests, NULL, NULL);
}
