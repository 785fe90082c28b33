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
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"

struct session;

/* Limits of one client. */
#define SESSION_FLOWS_MAX 4096
#define SESSION_DEVICES_MAX 1024
#define SESSION_FUNCTIONS_MAX 256 /* per flow */
#define SESSION_AREA_BYTES \
	(256u << 20) /* for the most flows and functions; only what is used takes memory */
#define SESSION_SPILL_BYTES (64u << 20)
#define SESSION_WORKERS_MAX 64

struct compiler;
struct registry;
struct user;

/* Flow ids of an engine: base + 1 ... base + n in turn; one that is in use is passed over. */
struct session_ids {
	uint32_t base;
	uint32_t n;
	uint32_t last; /* without the base */
	bool again; /* all have been used */
};

/**
 * struct session_env - what all sessions of an engine share, and who this client is
 * @notify_fd:    eventfd that workers poke; borrowed
 * @registry:     live devices; borrowed
 * @compiler:     of filter expressions; borrowed
 * @sessions:     the first of all sessions of the engine; kept up by session_new() and
 *                session_free()
 * @is_system:    the daemon serves many; else it is private to this client
 * @flow_ids:     the engine's; borrowed
 * @user:         the client's account; borrowed
 * @uid:          who the client is
 * @read_only:    the client may only look
 * @life_fd:      for the client, if it wants that; -1: none; borrowed
 */
struct session_env {
	int notify_fd;
	struct registry *registry;
	struct compiler *compiler;
	struct session **sessions;
	bool is_system;
	struct session_ids *flow_ids;
	struct user *user;
	uid_t uid;
	bool read_only;
	int life_fd;
};

/**
 * session_new() - serve a client
 * @fd:  connected socket; taken on success
 * @env: copied
 *
 * Return: 0, negative errno.
 */
int session_new(struct session **ret, int fd, const struct session_env *env);

/* Say why a connection will not be served. Never waits; @fd stays open. */
void session_refuse(int fd, const struct error *why);

/* Stops all it has, also the live devices it uses: for an engine that ends. Takes NULL. */
struct session *session_free(struct session *session);
DEFINE_CLEANUP(struct session *, session_free);

int session_fd(const struct session *session);

/* The socket is readable: answer what has come. Return: 0, negative: the session is over. */
int session_read(struct session *session);

/* The socket is writable. Return: as session_read(). */
int session_write(struct session *session);
bool session_wants_write(const struct session *session);

/* Whether session_read() would do anything; if not, the socket need not be watched for reading. */
bool session_wants_read(const struct session *session);

/* Something may have settled, or a millisecond has passed: answer what is pending, refresh cells,
 * publish, hand spilled records over. Return: as session_read(). */
int session_poll(struct session *session);

/* The client has gone: its flows begin to leave; others are not disturbed. From now on only
 * session_poll(), until session_is_empty(); then session_free(). */
void session_leave(struct session *session);
bool session_is_empty(const struct session *session);

/* How soon session_poll() must be called without any event; 0: not at all. */
uint32_t session_poll_ms(const struct session *session);

#endif
