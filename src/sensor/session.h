/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A session: one connected client, what it has made (devices, flows, results), and the answers to
 * its requests. Requests that a worker may hold up stay pending: the session answers them when the
 * engine calls session_poll(), and takes no further request before.
 */
#ifndef MAPI_SENSOR_SESSION_H
#define MAPI_SENSOR_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct session;

/* Limits of one client. */
#define SESSION_FLOWS_MAX 4096
#define SESSION_DEVICES_MAX 1024
#define SESSION_FUNCTIONS_MAX 256 /* per flow */
#define SESSION_AREA_BYTES \
	(256u << 20) /* for the most flows and functions; only what is used takes memory */
#define SESSION_SPILL_BYTES (64u << 20)
#define SESSION_WORKERS_MAX 64

/**
 * session_new() - serve a client
 * @fd:        connected socket; taken, also on failure
 * @notify_fd: eventfd that workers poke; borrowed
 *
 * Return: 0, negative errno.
 */
int session_new(struct session **ret, int fd, int notify_fd);
struct session *session_free(struct session *session); /* stops all it has; takes NULL */
DEFINE_CLEANUP(struct session *, session_free);

int session_fd(const struct session *session);

/* The socket is readable: answer what has come. Return: 0, negative: the session is over. */
int session_read(struct session *session);

/* The socket is writable. Return: as session_read(). */
int session_write(struct session *session);
bool session_wants_write(const struct session *session);

/* Something may have settled, or a millisecond has passed: answer what is pending, refresh cells,
 * publish, hand spilled records over. Return: as session_read(). */
int session_poll(struct session *session);

/* How soon session_poll() must be called without any event; 0: not at all. */
uint32_t session_poll_ms(const struct session *session);

#endif
