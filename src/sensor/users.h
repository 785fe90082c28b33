/* SPDX-License-Identifier: BSD-2-Clause */
/* Who uses the daemon, and how much of it: what a user's programs take together has limits. */
#ifndef MAPI_SENSOR_USERS_H
#define MAPI_SENSOR_USERS_H

#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "config/config.h"

struct users;

/**
 * struct user - one user's programs together
 * @n_sessions:   connections
 * @n_flows:      their flows, at most @flows_max
 * @n_functions:  of these flows, at most @functions_max
 * @memory_bytes: of their packet rings and output queues, at most @memory_max_bytes
 */
struct user {
	struct user *next;
	struct users *users;
	uid_t uid;
	unsigned int n_sessions;
	unsigned int n_flows;
	unsigned int flows_max;
	unsigned int n_functions;
	unsigned int functions_max;
	uint64_t memory_bytes;
	uint64_t memory_max_bytes;
};

/* @quota: limits per user; NULL: a private daemon, no limits beside those of a session. */
int users_new(struct users **ret, const struct config_quota *quota);
struct users *users_free(struct users *users); /* takes NULL */
DEFINE_CLEANUP(struct users *, users_free);

/* One more connection of @uid. Return: 0; -EDQUOT: it has as many as it may; -ENOMEM. */
int users_enter(struct users *users, uid_t uid, struct user **ret);

/* It has ended. Takes NULL. */
void user_leave(struct user *user);

#endif
