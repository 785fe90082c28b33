/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors beside bytes, through a socket of this machine (unix(7), SCM_RIGHTS). */
#ifndef MAPI_WIRE_SEND_FDS_H
#define MAPI_WIRE_SEND_FDS_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

#define WIRE_SEND_FDS_MAX 253u /* of one message: SCM_MAX_FD of the kernel */

/**
 * wire_send_fds() - one sendmsg(), again if a signal interrupts it
 * @socket_fd: borrowed
 * @fds:       borrowed; the receiver gets duplicates. May be NULL if @n_fds is 0
 * @n_fds:     0 to WIRE_SEND_FDS_MAX
 * @flags:     of sendmsg(); MSG_NOSIGNAL is added
 *
 * Thread safety: any thread.
 *
 * Return: bytes taken, or a negative errno.
 */
static inline ssize_t wire_send_fds(int socket_fd, const void *bytes, size_t n_bytes,
	const int fds[], unsigned int n_fds, int flags)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * WIRE_SEND_FDS_MAX)];
	} control = { .bytes = { 0 } };
	/* sendmsg() does not write to it */
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = n_bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (n_fds > 0) {
		struct cmsghdr *c;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	do
		n = sendmsg(socket_fd, &msg, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

#endif
