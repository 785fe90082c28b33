/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent of the system daemon. It binds the sockets, starts the engine as an unprivileged child
 * and hands it the sockets, opens devices for it (privileged.h), starts it again when it ends
 * unexpectedly, tells the service manager, and ends it when it is told to end.
 */
#ifndef MAPI_SENSOR_PARENT_H
#define MAPI_SENSOR_PARENT_H

#include "config/config.h"

/* What the engine is given. Descriptors are its own; closed by it. */
struct parent_engine {
	const struct config *config;
	int socket_fd; /* listening: programs that may capture */
	int read_only_fd; /* listening: programs that may look; -1: none */
	int privileged_fd; /* to the parent */
	unsigned int restarts; /* how often the engine was started before */
};

/**
 * parent_run() - be the system daemon
 * @config: outlives the call
 * @serve:  runs in the engine's process, confined: no capability, the user of the configuration,
 *          a seccomp filter; returns an exit status
 *
 * Returns when SIGTERM or SIGINT came and the engine has ended: 0; negative errno (a message was
 * logged) if it could not begin: the socket is in use by another daemon, no right ...
 */
int parent_run(const struct config *config, int (*serve)(const struct parent_engine *engine));

/* Give up all rights for good: @user's, no capability, no new privileges, a filter of system calls
 * that serving needs. Return: 0, negative errno (a message was logged). */
int parent_confine(const char *user, const char *group);

#endif
