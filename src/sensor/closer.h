/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Closing what clients have sent. close() of a descriptor takes as long as its sender likes: a file
 * system may be a program of his (FUSE), a socket may linger, and a unix socket closes what waits
 * in it. So a thread of the user's own does it, and what hangs there is his. A wait that a signal
 * ends, as that of a socket that lingers, ends after milliseconds.
 *
 * Where places in the table of descriptors run out, the kernel closes what it cannot hand over in
 * the thread that receives it. So some places are kept free.
 */
#ifndef MAPI_SENSOR_CLOSER_H
#define MAPI_SENSOR_CLOSER_H

#include <stdbool.h>

#include "base/cleanup.h"

struct closer;

/* No thread yet: the first descriptor starts it. Return: 0, or -ENOMEM. */
int closer_new(struct closer **ret);

/* Takes NULL. A thread that hangs is left behind: for a daemon that ends. */
struct closer *closer_free(struct closer *closer);
DEFINE_CLEANUP(struct closer *, closer_free);

/* Close @fd some time. Never waits, but without memory for a note. Control thread. */
void closer_close(struct closer *closer, int fd);

/* How many are not closed yet. Control thread. */
unsigned int closer_n_pending(struct closer *closer);

/* Whether all are closed; if not, and there was no thread to be had for them, it is started now.
 * Takes NULL. Control thread, once in a while. */
bool closer_is_done(struct closer *closer);

/* Whether the process has places for all descriptors that may come with a message, and some more.
 * @fd: any open one. */
bool closer_has_places(int fd);

/* Whether it has so many again for what stays: rings, files, devices. Those that are connected, and
 * some that come, are still served when there is no room for that. */
bool closer_has_room(int fd);

#endif
