/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors that become readable when somebody signals, shared by the daemon and a client, or a
 * process that captures for it.
 *
 * An eventfd is one. But a descriptor's flags are shared, too: the other side can make it blocking
 * and its counter full, or empty, and then the daemon's next write or read waits for that side for
 * ever. So strangers share a timerfd, set to expire at once, or never: setting it never waits,
 * whatever the other side has done to it. It costs a timer interrupt, which an eventfd between a
 * program and its own daemon does not.
 */
#ifndef MAPI_WIRE_WAKE_H
#define MAPI_WIRE_WAKE_H

#include <stdbool.h>

/**
 * wake_new() - make a descriptor, not blocking and close-on-exec
 * @for_strangers: it is shared with somebody who may be hostile
 *
 * Return: the descriptor, or a negative errno: -EMFILE, -ENFILE, -ENOMEM.
 */
int wake_new(bool for_strangers);

/* Any thread, also a signal handler. One for strangers becomes readable some microseconds later.
 * Never waits, if the descriptor is for strangers or the other side is honest. */
void wake_signal(int fd);

/* The same, and returns when it is readable: for the side that reads. */
void wake_signal_now(int fd);

/* It is not readable any more. Any thread, also a signal handler; never waits, as wake_signal(). */
void wake_clear(int fd);

#endif
