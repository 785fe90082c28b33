/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting a private daemon, in a way that the program cannot notice: no SIGCHLD, no child that its
 * wait() could find, no descriptor of it kept open, not killed by its Ctrl-C.
 *
 * The raw clone call with exit signal 0 makes a child that only __WALL finds. It starts the daemon
 * and exits, so that the daemon belongs to init. No handler of pthread_atfork() runs, and between
 * clone and exec only async-signal-safe functions are called.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/close_from.h"
#include "client.h"

#ifndef MAPI_MAPID_PATH
#define MAPI_MAPID_PATH "/usr/sbin/mapid"
#endif

#define PRIVATE_SOCKET_FD 3 /* part of the daemon's interface */
#define PRIVATE_STATUS_FD 4

struct private_plan {
	const char *path;
	int socket_fd;
	int status_fd;
	int null_fd;
};

static bool private_is_program(char path[PATH_MAX], int n_bytes)
{
	return n_bytes > 0 && n_bytes < PATH_MAX && access(path, X_OK) == 0;
}

/* Where the daemon is: environment, beside this library (also in a build tree), as configured. */
static int private_find(char ret_path[PATH_MAX])
{
	static const char *const beside[] = { "../sbin/mapid", "../../sbin/mapid",
		"../sensor/mapid" };
	const char *set = getenv("MAPI_MAPID");
	Dl_info info;

	if (set && *set) {
		if (private_is_program(ret_path, snprintf(ret_path, PATH_MAX, "%s", set)))
			return 0;
		return client_fail(
			MCOM_INIT_SOCKET_ERROR, "MAPI_MAPID is '%s': %s", set, strerror(errno));
	}
	if (dladdr(__extension__(void *) private_start, &info) && info.dli_fname) {
		const char *slash = strrchr(info.dli_fname, '/');
		int dir_len = slash ? (int)(slash - info.dli_fname) : 1;

		for (size_t i = 0; i < ARRAY_SIZE(beside); i++)
			if (private_is_program(ret_path,
				    snprintf(ret_path, PATH_MAX, "%.*s/%s", dir_len,
					    slash ? info.dli_fname : ".", beside[i])))
				return 0;
	}
	if (private_is_program(ret_path, snprintf(ret_path, PATH_MAX, "%s", MAPI_MAPID_PATH)))
		return 0;
	return client_fail(MCOM_INIT_SOCKET_ERROR,
		"the daemon 'mapid' is not installed: neither beside the library nor as %s",
		MAPI_MAPID_PATH);
}

/* ---- between clone and exec ---- */

static void private_reset_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int signo = 1; signo < _NSIG; signo++) {
		action.sa_handler =
			signo == SIGINT || signo == SIGQUIT || signo == SIGHUP ? SIG_IGN : SIG_DFL;
		(void)sigaction(signo, &action, NULL); /* not for KILL, STOP and libc's own */
	}
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void private_exec(const struct private_plan *plan)
{
	char name[] = "mapid", private[] = "--private";
	char *const argv[] = { name, private, NULL };
	int status;

	if (dup2(plan->null_fd, 0) < 0 || dup2(plan->null_fd, 1) < 0)
		goto failed;
	if (fcntl(2, F_GETFD) < 0 && dup2(plan->null_fd, 2) < 0)
		goto failed;
	if (dup2(plan->socket_fd, PRIVATE_SOCKET_FD) < 0 ||
		dup3(plan->status_fd, PRIVATE_STATUS_FD, O_CLOEXEC) < 0)
		goto failed;
	close_from(PRIVATE_STATUS_FD + 1);
	private_reset_signals();
	(void)execv(plan->path, argv);
	status = errno;
	(void)!write(PRIVATE_STATUS_FD, &status, sizeof(status));
	_exit(127);
failed:
	status = errno;
	(void)!write(plan->status_fd, &status, sizeof(status));
	_exit(127);
}

static pid_t private_clone(void)
{
	return (pid_t)syscall(SYS_clone, 0, 0, 0, 0, 0);
}

/* The intermediate process. */
static void private_run(const struct private_plan *plan)
{
	pid_t pid;

	(void)setsid(); /* fails never: a new process leads no group */
	pid = private_clone();
	if (pid == 0)
		private_exec(plan);
	if (pid < 0) {
		int status = errno;

		(void)!write(plan->status_fd, &status, sizeof(status));
	}
	_exit(0);
}

/* ---- in the program ---- */

/* A copy of @fd above those that the daemon gets. @fd is closed. */
static int private_lift(int fd)
{
	int lifted = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 10);

	if (fd >= 0)
		(void)close(fd);
	return lifted;
}

static int private_spawn(const struct private_plan *plan, int status_read_fd)
{
	int status = 0;
	ssize_t n;
	pid_t pid = private_clone();

	if (pid == 0)
		private_run(plan);
	(void)close(plan->status_fd);
	if (pid < 0)
		return -errno;
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	/* The end of the pipe: exec has closed it. */
	do
		n = read(status_read_fd, &status, sizeof(status));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(status) ? -status : 0;
}

int private_start(int *ret_fd)
{
	char path[PATH_MAX];
	int sockets[2] = { -1, -1 }, pipes[2] = { -1, -1 };
	_cleanup_(cleanup_closep) int ours = -1, theirs = -1, status_read_fd = -1, null_fd = -1;
	struct private_plan plan;
	int r;

	if (getauxval(AT_SECURE))
		return client_fail(MCOM_INIT_SOCKET_ERROR,
			"a set-user-id program may not start a private daemon");
	if (private_find(path) < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0 ||
		pipe2(pipes, O_CLOEXEC) < 0) {
		r = -errno;
		if (sockets[0] >= 0) {
			(void)close(sockets[0]);
			(void)close(sockets[1]);
		}
		return client_fail(
			MCOM_INIT_SOCKET_ERROR, "cannot start the daemon: %s", strerror(-r));
	}
	ours = private_lift(sockets[0]);
	theirs = private_lift(sockets[1]);
	status_read_fd = private_lift(pipes[0]);
	null_fd = private_lift(open("/dev/null", O_RDWR | O_CLOEXEC));
	plan = (struct private_plan){
		.path = path,
		.socket_fd = theirs,
		.status_fd = private_lift(pipes[1]),
		.null_fd = null_fd,
	};
	if (ours < 0 || theirs < 0 || status_read_fd < 0 || null_fd < 0 || plan.status_fd < 0) {
		r = -errno;
		if (plan.status_fd >= 0)
			(void)close(plan.status_fd);
	} else {
		r = private_spawn(&plan, status_read_fd);
	}
	if (r < 0)
		return client_fail(MCOM_INIT_SOCKET_ERROR, "cannot start the daemon %s: %s", path,
			strerror(-r));
	*ret_fd = ours;
	ours = -1;
	return 0;
}
