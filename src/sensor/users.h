/* SPDX-License-Identifier: BSD-2-Clause */
/* Who uses the daemon, and how much of it: what a user's programs take together has limits. */
#ifndef MAPI_SENSOR_USERS_H
#define MAPI_SENSOR_USERS_H

#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "closer.h"
#include "config/config.h"

struct users;

/**
 * struct user - one user's programs together; of a range of subordinate users, all of theirs
 * @n_sessions:   connections
 * @n_flows:      their flows, at most @flows_max
 * @n_functions:  of these flows, at most @functions_max
 * @n_rings:      of these, with a ring, which takes descriptors; at most @rings_max
 * @n_writers:    of these, with a thread of their own, which writes a file; at most @writers_max
 * @search_bytes: characters that these search for, at most @search_max_bytes
 * @filter_insns: instructions of their filters' programs, at most @filter_max_insns
 * @result_bytes: of their results, at most @result_max_bytes
 * @memory_bytes: of their functions: instances, states, packet rings, output queues, what becomes
 *                of expressions and strings; and of long requests; at most @memory_max_bytes
 * @closer:       closes what they have sent; NULL: a private daemon, which does so itself
 */
struct user {
	struct user *next;
	struct users *users;
	uid_t uid; /* of a range, the first */
	unsigned int n_sessions;
	unsigned int n_flows;
	unsigned int flows_max;
	unsigned int n_functions;
	unsigned int functions_max;
	unsigned int n_rings;
	unsigned int rings_max;
	unsigned int n_writers;
	unsigned int writers_max;
	uint32_t search_bytes;
	uint32_t search_max_bytes;
	uint32_t filter_insns;
	uint32_t filter_max_insns;
	size_t result_bytes;
	size_t result_max_bytes;
	uint64_t memory_bytes;
	uint64_t memory_max_bytes;
	struct closer *closer;
};

/* @quota: limits per user; NULL: a private daemon, no limits beside those of a session. */
int users_new(struct users **ret, const struct config_quota *quota);
struct users *users_free(struct users *users); /* takes NULL */
DEFINE_CLEANUP(struct users *, users_free);

/* Where subordinate users are listed (subuid.h), if not in /etc. @path: borrowed. */
void users_set_subuids(struct users *users, const char *path);

/* One more connection of @uid. Return: 0; -EDQUOT with @err filled: it has as many as it may, or so
 * much of what it has sent hangs; -ENOMEM. */
int users_enter(struct users *users, uid_t uid, struct user **ret, struct error *err);

/* Close a connection of @uid that cannot be served, if nobody else does (bin.h); without waiting,
 * whatever was sent with it. */
void users_refuse(struct users *users, uid_t uid, int fd);

/* It has ended. Takes NULL. */
void user_leave(struct user *user);

/* Whether another message of this user may be received, with as many descriptors as it can bring.
 */
bool user_may_send(const struct user *user);

/* Once in a while: forget users without connections of whom nothing hangs any more. */
void users_expire(struct users *users);

#endif
