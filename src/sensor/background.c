/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Going to the background: see background.h. Whether the daemon serves is heard as a service
 * manager hears it (notify.h): the program that was started plays its part. Every process may send
 * to the socket, so the kernel says who has.
 */
#include "background.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#define BACKGROUND_POLL_MS 20

/* A socket of an abstract name, which the environment then has. Return: the descriptor, negative
 * errno. */
static int background_listen(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t address_bytes = sizeof(address.sun_family); /* the kernel chooses */
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0 &&
		bind(fd, (const struct sockaddr *)&address, address_bytes) == 0) {
		address_bytes = sizeof(address);
		if (getsockname(fd, (struct sockaddr *)&address, &address_bytes) == 0) {
			address.sun_path[0] = '@';
			address.sun_path[address_bytes - offsetof(struct sockaddr_un, sun_path)] =
				'\0';
			if (setenv("NOTIFY_SOCKET", address.sun_path, 1) == 0)
				return fd;
		}
	}
	(void)close(fd);
	return -EIO;
}

union background_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(struct ucred))];
};

/* Return: whether the message is from the daemon itself. */
static bool background_is_from(struct msghdr *msg, pid_t pid)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	struct ucred sender;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS ||
		c->cmsg_len != CMSG_LEN(sizeof(sender)))
		return false;
	memcpy(&sender, CMSG_DATA(c), sizeof(sender));
	return sender.pid == pid;
}

static bool background_is_ready(int fd, pid_t pid)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char text[256];
	union background_control control;
	struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	ssize_t n;

	if (poll(&p, 1, BACKGROUND_POLL_MS) != 1)
		return false;
	n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	text[MAX(n, 0)] = '\0';
	return n > 0 && background_is_from(&msg, pid) && strstr(text, "READY=1") != NULL;
}

/* The program that was started. */
static void background_wait(int fd, pid_t pid)
{
	int status;

	while (!background_is_ready(fd, pid))
		if (waitpid(pid, &status, WNOHANG) == pid)
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	_exit(0);
}

int background_enter(void)
{
	int fd = background_listen(), null_fd;
	pid_t pid;

	if (fd < 0)
		return log_errno(LOG_ERR, fd, "cannot go to the background");
	pid = fork();
	if (pid > 0)
		background_wait(fd, pid);
	(void)close(fd);
	if (pid < 0)
		return log_errno(LOG_ERR, -errno, "cannot go to the background");
	(void)setsid(); /* never fails: a new process leads no group */
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (chdir("/") < 0 || null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0)
		return log_errno(LOG_ERR, -errno, "cannot go to the background");
	if (log_to_system())
		(void)dup2(null_fd, 2);
	(void)close(null_fd);
	return 0;
}
