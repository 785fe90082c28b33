/* SPDX-License-Identifier: BSD-2-Clause */
/* The sockets of the system daemon: parent_socket.c opens them for parent.c. */
#ifndef MAPI_SENSOR_PARENT_PRIVATE_H
#define MAPI_SENSOR_PARENT_PRIVATE_H

#include <stdbool.h>

#include "config/config.h"

/* As the units in packaging/ call them. */
#define PARENT_SOCKET_NAME "control"
#define PARENT_READ_ONLY_NAME "read-only"

/**
 * struct parent_socket - a listening socket
 * @fd:      -1: none
 * @path:    borrowed from the configuration
 * @ours:    we have made the file, and remove it
 */
struct parent_socket {
	int fd;
	const char *path;
	bool ours;
};

/**
 * struct parent_sockets - all that programs connect to
 * @lock_fd: on a file beside @control; its lock is held by this process, not by its children, and
 *           ends with it in whatever way: of two daemons one begins. -1: none
 */
struct parent_sockets {
	int lock_fd;
	struct parent_socket control;
	struct parent_socket read_only;
};

/* Bind them, or take them from the service manager. Return: 0, negative errno (a message was
 * logged). */
int parent_sockets_open(struct parent_sockets *ret, const struct config *config);

/* Close and remove them. */
void parent_sockets_close(struct parent_sockets *sockets);

#endif
