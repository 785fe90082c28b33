/* SPDX-License-Identifier: BSD-2-Clause */
/* Processes that give up all rights, before they meet what is hostile. */
#ifndef MAPI_SENSOR_CONFINE_H
#define MAPI_SENSOR_CONFINE_H

/**
 * confine_engine() - give up all rights for good
 * @user: to become, with its group, if root calls: "nobody" if there is no such user. Not root
 *
 * What remains: no capability, no new privileges, no supplementary group, and the system calls that
 * serving needs (confine.c lists them): files are opened for reading only, new sockets are local
 * ones and those of a resolver. Call it before there are threads.
 *
 * Return: 0, negative errno (a message was logged; rights may be half given up: end).
 */
int confine_engine(const char *user);

/**
 * confine_reader() - the same, for a process that does nothing but read an open device
 * @user:    as of confine_engine()
 * @tell_fd: the only descriptor that it writes to
 *
 * What remains: to read and wait, to ask about the device (ioctl(), statistics in files), and to
 * time. It cannot send, nor start a thread; those that a library has started are confined, too.
 *
 * Return: 0, negative errno (a message was logged; end).
 */
int confine_reader(const char *user, int tell_fd);

#endif
