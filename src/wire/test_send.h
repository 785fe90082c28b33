/* SPDX-License-Identifier: BSD-2-Clause */
/* What hostile peers of a socket do. */
#ifndef MAPI_WIRE_TEST_SEND_H
#define MAPI_WIRE_TEST_SEND_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "wire/send_fds.h"

/**
 * test_lingering() - a socket that takes long to close: full of what nobody reads
 * @linger_s: how long who closes its last descriptor waits
 * @ret_peer: its other end, which reads nothing; the caller's
 *
 * Return: the socket, the caller's; -1: errno.
 */
static inline int test_lingering(int linger_s, int *ret_peer)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct linger linger = { .l_onoff = 1, .l_linger = linger_s };
	socklen_t n_bytes = sizeof(address);
	static const uint8_t bytes[65536];
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool works = bind(listening, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		listen(listening, 1) == 0 &&
		getsockname(listening, (struct sockaddr *)&address, &n_bytes) == 0 &&
		connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

	*ret_peer = works ? accept4(listening, NULL, NULL, SOCK_CLOEXEC) : -1;
	while (*ret_peer >= 0 && send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	(void)close(listening);
	if (*ret_peer >= 0 && setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

/**
 * test_send_copies() - send bytes, and a descriptor several times beside them
 * @fd:    borrowed
 * @n_fds: how many times, 0 to WIRE_SEND_FDS_MAX
 *
 * Never waits. Return: whether all bytes went out.
 */
static inline bool test_send_copies(
	int socket_fd, const void *bytes, size_t n_bytes, int fd, unsigned int n_fds)
{
	int fds[WIRE_SEND_FDS_MAX];

	for (unsigned int i = 0; i < n_fds; i++)
		fds[i] = fd;
	return wire_send_fds(socket_fd, bytes, n_bytes, fds, n_fds, MSG_DONTWAIT) ==
		(ssize_t)n_bytes;
}

#endif
