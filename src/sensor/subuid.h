/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Numbers of users that are subordinate to a user (subuid(5)). With a user namespace anybody can be
 * all the users of a range that the administrator has given him: so their programs are, as far as
 * quotas are concerned, those of one user. A namespace of who has no range has one user.
 */
#ifndef MAPI_SENSOR_SUBUID_H
#define MAPI_SENSOR_SUBUID_H

#include <sys/types.h>

#define SUBUID_PATH "/etc/subuid"

/**
 * subuid_account() - on whose account a user's programs are
 * @path: of the ranges, a line each: name or number of the user, first subordinate number, how many
 * @uid:  who has connected
 *
 * Reads the file anew; it is short. Lines that are none, and a file that is not there, say nothing.
 *
 * Return: the first number of the first range that has @uid; @uid, if none has.
 */
uid_t subuid_account(const char *path, uid_t uid);

#endif
