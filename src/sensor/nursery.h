/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The nursery: a small process that forks limited processes for an engine.
 *
 * The child of an engine's fork() would have all of its memory and the descriptors of all its
 * clients, one of which may be of a file system that never answers; and a fork() beside threads is
 * safe for little. So the engine splits off a process before it has threads and clients. That one
 * holds nothing but its end of a socketpair, has the limits of its children, forks one when it is
 * asked, and ends when the engine does.
 */
#ifndef MAPI_SENSOR_NURSERY_H
#define MAPI_SENSOR_NURSERY_H

#include <stdbool.h>

#include "base/cleanup.h"

#define NURSERY_PROCESS_NAME "mapid-nursery"
#define NURSERY_CHILD_FD 0

struct nursery;

/**
 * struct nursery_child - a process, as the engine sees it
 * @fd:     end of a socketpair whose other end is all that the process has, as NURSERY_CHILD_FD
 * @pid_fd: to end it by. Nobody need wait for it
 */
struct nursery_child {
	int fd;
	int pid_fd;
};

#define NURSERY_CHILD_NONE ((struct nursery_child){ .fd = -1, .pid_fd = -1 })

/**
 * nursery_new() - split the process off
 * @body: the life of each child. Its signals are as by default; it has little memory, no files
 *        to write, no processes and a few seconds of CPU time, which it may ask for anew
 *        (nursery_wind_up())
 *
 * Call it while the process has one thread and no descriptors that its children must not know of.
 *
 * Return: 0, -ENOMEM, a negative errno of socketpair() or fork().
 */
int nursery_new(struct nursery **ret, void (*body)(void));

/* Ends the nursery, which ends its children. Takes NULL. */
struct nursery *nursery_free(struct nursery *nursery);
DEFINE_CLEANUP(struct nursery *, nursery_free);

/* Whether it lives. Any thread. */
bool nursery_lives(const struct nursery *nursery);

/* Have a child forked. Any thread. Return: 0; a negative errno: of fork(), or -EPIPE, -ETIMEDOUT:
 * the nursery does not live, or does not answer. */
int nursery_fork(struct nursery *nursery, struct nursery_child *ret);

/* End a child, whatever it does, and forget it. Nothing if there is none. Any thread. */
void nursery_kill(struct nursery_child *child);

/* In a child: another task begins, which may take a few seconds of CPU time. Ends the process if
 * that cannot be had. */
void nursery_wind_up(void);

#endif
