/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors that become readable when somebody signals, shared by the daemon and a client; read()
 * of 8 bytes makes them unreadable again.
 *
 * An eventfd is one. But a descriptor's flags are shared, too: a client can make it blocking and
 * its counter full, and then the daemon's next write waits for that client for ever. So who serves
 * strangers takes a timerfd, set to expire at once: setting it never waits, whatever the other side
 * has done to it. It costs a timer interrupt, which an eventfd between a program and its own daemon
 * does not.
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

#endif
