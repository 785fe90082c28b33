/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of hostile: hostile.c, hostile_fds.c (descriptors), hostile_spy.c. */
#ifndef TESTS_LIVE_HOSTILE_H
#define TESTS_LIVE_HOSTILE_H

#include <stdint.h>

extern double hostile_end; /* of process_seconds(): when it is over */
extern const char *hostile_device;

int hostile_connect(int flags); /* Return: a connection to the daemon, -1 */
void hostile_rest(void); /* until it is over */

/* See hostile.c. */
void hostile_linger(void);
void hostile_refused(void);
void hostile_fuse(void);
void hostile_untaken(void);
void hostile_resize(void);
void hostile_spy(void);

#endif
