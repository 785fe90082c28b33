/* SPDX-License-Identifier: BSD-2-Clause */
/* What hostile peers of a socket do. */
#ifndef MAPI_WIRE_TEST_SEND_H
#define MAPI_WIRE_TEST_SEND_H

#include <stdbool.h>

#include "wire/send_fds.h"

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
