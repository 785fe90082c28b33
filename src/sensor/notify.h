/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * To the service manager, if one has started us: sd_notify(3) in our own few lines, because all it
 * takes is a datagram. Descriptors of listening sockets come from there, too: sd_listen_fds(3).
 */
#ifndef MAPI_SENSOR_NOTIFY_H
#define MAPI_SENSOR_NOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/**
 * struct notify - the service manager
 * @fd:          -1: there is none
 * @watchdog_ns: how often it wants to hear that we are alive, at least; 0: never
 */
struct notify {
	int fd;
	struct sockaddr_un address;
	socklen_t address_bytes;
	uint64_t watchdog_ns;
};

/* Take what the environment says (NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID) and remove it from
 * there, so that no child speaks for us. Without a service manager nothing is ever sent. */
void notify_open(struct notify *ret);

/* Send "READY=1", "STATUS=...", or several lines. Never waits; what cannot be sent is lost. */
void notify_send(const struct notify *notify, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

void notify_close(struct notify *notify);

/**
 * notify_socket() - a listening socket that the service manager has opened for us
 * @name: as the manager calls it (FileDescriptorName=)
 * @path: that it is bound to; a socket that has neither the name nor the path is not it
 *
 * Reads the environment only; notify_sockets_close() ends the matter.
 *
 * Return: the descriptor, close-on-exec and non-blocking, -1 if there is none.
 */
int notify_socket(const char *name, const char *path);

/* Close the sockets that nobody took, @taken excepted, and clear the environment.
 * Return: how many were closed. */
unsigned int notify_sockets_close(const int *taken, unsigned int n_taken);

#endif
