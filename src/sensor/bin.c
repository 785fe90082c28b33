/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Refused connections: see bin.h. Three kinds of process share one socketpair: the engine throws
 * descriptors into it; the *collector* takes them; the *keeper*, its parent, never takes any, so
 * that nothing of what strangers have sent can hold it up. The collector tells it by a pipe what it
 * has; the keeper kills it, and makes another.
 */
#include "bin.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/close_from.h"
#include "wire/send_fds.h"

#define BIN_NAME "mapid-bin"
#define BIN_FD 0 /* of keeper and collectors, which have little else */
#define BIN_FULL 4096u /* descriptors in one collector */
#define BIN_TIME_MS 1000
#define BIN_HANGING_MAX 64 /* collectors that have not ended yet */
#define BIN_END_MS 100 /* to end in good order */

#define BIN_SAYS_SOME 's'
#define BIN_SAYS_FULL 'f'

struct bin {
	int fd;
	pid_t keeper;
};

union bin_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* ---- the collector ---- */

/* It does not look at what it takes, and keeps it until it ends. Return: false: the engine has
 * gone. */
static bool bin_take(void)
{
	union bin_control control;
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	ssize_t n;

	do
		n = recvmsg(BIN_FD, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	return n > 0;
}

/* @said: a pipe to the keeper */
static _Noreturn void bin_collect(const int said[2])
{
	struct rlimit limit = { .rlim_cur = BIN_FULL };
	unsigned int full;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(EXIT_FAILURE);
	(void)close(said[0]);
	(void)getrlimit(RLIMIT_NOFILE, &limit); /* cannot fail */
	full = (unsigned int)MIN((rlim_t)BIN_FULL, limit.rlim_cur / 2);
	for (unsigned int n = 1; bin_take(); n++) {
		const char says = n == full ? BIN_SAYS_FULL : BIN_SAYS_SOME;

		if ((n == 1 || n == full) && write(said[1], &says, 1) < 1)
			break;
		while (n == full)
			(void)pause(); /* for the end */
	}
	_exit(EXIT_SUCCESS);
}

/* ---- the keeper ---- */

/* Return: what a collector says; 0: it has ended, or time has passed. */
static char bin_listen(int said_fd, int timeout_ms)
{
	struct pollfd p = { .fd = said_fd, .events = POLLIN };
	char says = 0;

	if (poll(&p, 1, timeout_ms) < 1 || read(said_fd, &says, 1) < 1)
		return 0;
	return says;
}

/* How many children have not ended yet, of @n. */
static unsigned int bin_reap(unsigned int n)
{
	while (n > 0 && waitpid(-1, NULL, WNOHANG) > 0)
		n--;
	return n;
}

/* Wait a little for @pid. */
static void bin_await(pid_t pid)
{
	for (unsigned int ms = 0; ms < BIN_END_MS && waitpid(pid, NULL, WNOHANG) == 0; ms++)
		(void)poll(NULL, 0, 1);
}

static bool bin_engine_has_gone(void)
{
	struct pollfd p = { .fd = BIN_FD, .events = POLLRDHUP };

	return poll(&p, 1, 0) == 1 && p.revents & (POLLRDHUP | POLLHUP);
}

/* One collector, until it has been killed. @collector: its pidfd: if it has ended, it may have been
 * reaped, and its number may be somebody else's. @n_hanging: those before it. */
static void bin_keep_one(int collector, int said_fd, unsigned int *n_hanging)
{
	char says = bin_listen(said_fd, -1);

	/* Some take long to end: then this one may as well become full. */
	while (says == BIN_SAYS_SOME) {
		struct pollfd p = { .fd = said_fd, .events = POLLIN };

		if (poll(&p, 1, BIN_TIME_MS) == 1) {
			says = bin_listen(said_fd, 0);
			break;
		}
		*n_hanging = bin_reap(*n_hanging);
		if (*n_hanging == 0)
			break;
	}
	(void)syscall(SYS_pidfd_send_signal, collector, SIGKILL, NULL, 0);
	++*n_hanging;
}

static _Noreturn void bin_keep(void)
{
	unsigned int n_hanging = 0;

	while (!bin_engine_has_gone()) {
		int said[2], collector_fd;
		pid_t collector;

		n_hanging = bin_reap(n_hanging);
		if (n_hanging >= BIN_HANGING_MAX || pipe2(said, O_CLOEXEC) < 0) {
			(void)poll(NULL, 0, BIN_TIME_MS);
			continue;
		}
		collector = fork();
		if (collector == 0)
			bin_collect(said);
		(void)close(said[1]);
		/* It is ours, and not reaped yet. */
		collector_fd = collector < 0 ? -1 : (int)syscall(SYS_pidfd_open, collector, 0);
		if (collector_fd >= 0) {
			bin_keep_one(collector_fd, said[0], &n_hanging);
			(void)close(collector_fd);
		} else {
			if (collector > 0 && kill(collector, SIGKILL) == 0)
				n_hanging++;
			(void)poll(NULL, 0, BIN_TIME_MS);
		}
		(void)close(said[0]);
	}
	bin_await(-1);
	_exit(EXIT_SUCCESS);
}

static _Noreturn void bin_main(int fd)
{
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGCHLD, SIG_DFL);
	(void)prctl(PR_SET_NAME, BIN_NAME); /* cannot fail */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
		(fd != BIN_FD && dup3(fd, BIN_FD, O_CLOEXEC) < 0))
		_exit(EXIT_FAILURE);
	close_from(BIN_FD + 1);
	bin_keep();
}

/* ---- the engine ---- */

int bin_new(struct bin **ret)
{
	_cleanup_(bin_freep) struct bin *bin = calloc(1, sizeof(*bin));
	int fds[2], r;

	if (!bin)
		return -ENOMEM;
	bin->fd = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	bin->fd = fds[0];
	bin->keeper = fork();
	if (bin->keeper == 0)
		bin_main(fds[1]);
	r = bin->keeper < 0 ? -errno : 0;
	(void)close(fds[1]);
	if (r < 0)
		return r;
	*ret = TAKE(bin);
	return 0;
}

struct bin *bin_free(struct bin *bin)
{
	if (!bin)
		return NULL;
	if (bin->fd >= 0)
		(void)close(bin->fd); /* which ends them */
	if (bin->keeper > 0)
		bin_await(bin->keeper);
	free(bin);
	return NULL;
}

int bin_throw(struct bin *bin, int fd)
{
	ssize_t n = wire_send_fds(bin->fd, "", 1, &fd, 1, MSG_DONTWAIT);

	if (n < 0)
		return (int)n;
	(void)close(fd); /* not the last one, and a socket minds only that */
	return 0;
}
