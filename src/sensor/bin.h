/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where connections go that are refused. What a stranger has put into a socket is closed with the
 * socket, and that takes as long as he likes (closer.h). A user who is served has an account for
 * it; one who is refused may come again as often as he likes. So the descriptor leaves the engine
 * unread: a process of its own collects such descriptors, and ends when it has enough of them or
 * has had some for a second. A process that ends does not linger at sockets; should it hang all the
 * same, it is left behind, and another one goes on collecting.
 *
 * All of these processes are children of a small one that is forked before the first client, so
 * that they have no copies of the engine's descriptors: closing a copy may hang, too.
 */
#ifndef MAPI_SENSOR_BIN_H
#define MAPI_SENSOR_BIN_H

#include "base/cleanup.h"

struct bin;

/* Forks: before there are clients. Return: 0, -ENOMEM, a negative errno of socketpair() or fork().
 */
int bin_new(struct bin **ret);

/* Its processes end; those that hang are not waited for. Takes NULL. */
struct bin *bin_free(struct bin *bin);
DEFINE_CLEANUP(struct bin *, bin_free);

/**
 * bin_throw() - get rid of an unread socket
 * @fd: a connected unix socket; taken on success
 *
 * Never waits. Control thread.
 *
 * Return: 0; -EAGAIN: not now; -ETOOMANYREFS: sockets are nested in it too deeply (before Linux
 * 6.10, where the kernel has no limit); -EPIPE: the processes have gone.
 */
int bin_throw(struct bin *bin, int fd);

#endif
