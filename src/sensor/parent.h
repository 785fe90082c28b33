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
	int socket_fd; /* listening, non-blocking: programs that may capture */
	int read_only_fd; /* listening, non-blocking: programs that may look; -1: none */
	int privileged_fd; /* to the parent */
	void *area; /* to hand code to it: privileged_load() */
	size_t area_bytes;
	int life_fd; /* for clients: hangs up when the parent knows this engine dead; -1: none */
	unsigned int restarts; /* how often the engine was started before */
};

/**
 * parent_run() - be the system daemon
 * @config: outlives the call
 * @serve:  runs in the engine's process, confined: no capability, the user of the configuration,
 *          a seccomp filter; signals are as by default, but INT, QUIT, HUP, PIPE and XFSZ are
 *          ignored. TERM tells it to end, and it is killed 5 seconds later. It should tell
 *          PRIVILEGED_READY once, and from then on PRIVILEGED_ALIVE every second or so: who falls
 *          silent for 30 seconds, or for half the time of the service manager's watchdog, is
 *          ended, unless it was stopped (SIGSTOP). Returns an exit status
 *
 * The first thread of the process calls it, before there are others. An engine that ends is started
 * again: at once if it has served for a second, or was killed from outside while it served; else
 * with growing pauses, up to 5 seconds. One that has been killed and does not end, because a thread
 * of it hangs in the kernel, is left behind after some seconds, and reaped when it ends.
 *
 * Returns when SIGTERM or SIGINT came and the engine has ended: 0; negative errno (a message was
 * logged) if it could not begin: -EADDRINUSE: the socket is in use by another daemon; -ECHILD: no
 * engine came to serve; no right ...
 */
int parent_run(const struct config *config, int (*serve)(const struct parent_engine *engine));

#endif
