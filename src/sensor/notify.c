/* SPDX-License-Identifier: BSD-2-Clause */
/* The service manager: see notify.h. */
#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOTIFY_LISTEN_FD 3 /* the first one passed: sd_listen_fds(3) */
#define NOTIFY_LISTEN_MAX 64
#define NOTIFY_TEXT_BYTES 512

/* A whole decimal number; 0 if it is none, which none of our variables ever means. */
static uint64_t notify_number(const char *variable)
{
	const char *text = getenv(variable);
	char *end;
	unsigned long long n;

	if (!text || *text < '0' || *text > '9')
		return 0;
	errno = 0;
	n = strtoull(text, &end, 10);
	return *end || errno ? 0 : n;
}

static void notify_find_watchdog(struct notify *notify)
{
	uint64_t us = notify_number("WATCHDOG_USEC");
	uint64_t pid = notify_number("WATCHDOG_PID");

	if (us > 0 && us < UINT64_MAX / 1000 && (pid == 0 || pid == (uint64_t)getpid()))
		notify->watchdog_ns = us * 1000;
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
}

void notify_open(struct notify *ret)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path ? strlen(path) : 0;

	*ret = (struct notify){ .fd = -1, .address = { .sun_family = AF_UNIX } };
	/* "@..." is an abstract socket: no NUL at its end, one at its start. */
	if (len > 1 && len < sizeof(ret->address.sun_path) && (*path == '/' || *path == '@')) {
		memcpy(ret->address.sun_path, path, len);
		if (*path == '@')
			ret->address.sun_path[0] = '\0';
		ret->address_bytes =
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*path == '/'));
		ret->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		notify_find_watchdog(ret);
	}
	(void)unsetenv("NOTIFY_SOCKET");
}

void notify_send(const struct notify *notify, const char *fmt, ...)
{
	char text[NOTIFY_TEXT_BYTES];
	va_list ap;
	int len;

	if (notify->fd < 0)
		return;
	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(text))
		return;
	/* A manager that does not listen is not our problem. */
	(void)sendto(notify->fd, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL,
		(const struct sockaddr *)&notify->address, notify->address_bytes);
}

void notify_close(struct notify *notify)
{
	if (notify->fd >= 0)
		(void)close(notify->fd);
	notify->fd = -1;
}

/* ---- sockets ---- */

static unsigned int notify_n_sockets(void)
{
	uint64_t n = notify_number("LISTEN_FDS");

	if (notify_number("LISTEN_PID") != (uint64_t)getpid() || n > NOTIFY_LISTEN_MAX)
		return 0;
	return (unsigned int)n;
}

/* Is the name in place @index of the list "a:b:c" @name? */
static bool notify_is_named(unsigned int index, const char *name)
{
	const char *at = getenv("LISTEN_FDNAMES");
	size_t len;

	for (; at && index > 0; index--) {
		at = strchr(at, ':');
		if (at)
			at++;
	}
	if (!at)
		return false;
	len = strcspn(at, ":");
	return len == strlen(name) && strncmp(at, name, len) == 0;
}

static bool notify_is_bound(int fd, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNSPEC };
	socklen_t bytes = sizeof(address) - 1; /* a NUL is left */

	return getsockname(fd, (struct sockaddr *)&address, &bytes) == 0 &&
		address.sun_family == AF_UNIX && strcmp(address.sun_path, path) == 0;
}

static bool notify_option_is(int fd, int option, int wanted)
{
	int value;
	socklen_t bytes = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &bytes) == 0 && value == wanted;
}

int notify_socket(const char *name, const char *path)
{
	unsigned int n = notify_n_sockets();

	for (unsigned int i = 0; i < n; i++) {
		int fd = NOTIFY_LISTEN_FD + (int)i;

		if (!notify_is_named(i, name) && !notify_is_bound(fd, path))
			continue;
		if (!notify_option_is(fd, SO_DOMAIN, AF_UNIX) ||
			!notify_option_is(fd, SO_TYPE, SOCK_STREAM) ||
			!notify_option_is(fd, SO_ACCEPTCONN, 1))
			continue;
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
			continue;
		return fd;
	}
	return -1;
}

unsigned int notify_sockets_close(const int *taken, unsigned int n_taken)
{
	unsigned int n = notify_n_sockets(), n_closed = 0;

	for (unsigned int i = 0; i < n; i++) {
		int fd = NOTIFY_LISTEN_FD + (int)i;
		bool is_taken = false;

		for (unsigned int j = 0; j < n_taken; j++)
			is_taken = is_taken || taken[j] == fd;
		if (!is_taken && close(fd) == 0)
			n_closed++;
	}
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	return n_closed;
}
