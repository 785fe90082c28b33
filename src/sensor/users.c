/* SPDX-License-Identifier: BSD-2-Clause */
/* Users and their limits: see users.h. */
#include "users.h"

#include <errno.h>

#include "session.h"

#define USERS_SESSIONS_MAX 256
#define USERS_FLOWS_MAX 4096
/* Each is looked at whenever results are published, on behalf of everybody. */
#define USERS_FUNCTIONS_MAX 16384
#define USERS_MEMORY_MAX_BYTES (1ull << 30)

struct users {
	struct config_quota quota;
	unsigned int functions_max;
	struct user *users; /* with connections */
};

int users_new(struct users **ret, const struct config_quota *quota)
{
	struct users *users = calloc(1, sizeof(*users));

	if (!users)
		return -ENOMEM;
	users->functions_max = quota ? USERS_FUNCTIONS_MAX : UINT32_MAX;
	if (quota) {
		users->quota = *quota;
		if (!quota->sessions)
			users->quota.sessions = USERS_SESSIONS_MAX;
		if (!quota->flows)
			users->quota.flows = USERS_FLOWS_MAX;
		if (!quota->memory_bytes)
			users->quota.memory_bytes = USERS_MEMORY_MAX_BYTES;
	} else {
		users->quota = (struct config_quota){
			.sessions = 1, .flows = UINT32_MAX, .memory_bytes = UINT64_MAX
		};
	}
	*ret = users;
	return 0;
}

struct users *users_free(struct users *users)
{
	free(users); /* whoever is in it has left before */
	return NULL;
}

int users_enter(struct users *users, uid_t uid, struct user **ret)
{
	struct user *user = users->users;

	while (user && user->uid != uid)
		user = user->next;
	if (!user) {
		user = calloc(1, sizeof(*user));
		if (!user)
			return -ENOMEM;
		*user = (struct user){ .next = users->users,
			.users = users,
			.uid = uid,
			.flows_max = users->quota.flows,
			.functions_max = users->functions_max,
			.memory_max_bytes = users->quota.memory_bytes };
		users->users = user;
	}
	if (user->n_sessions >= users->quota.sessions)
		return -EDQUOT;
	user->n_sessions++;
	*ret = user;
	return 0;
}

void user_leave(struct user *user)
{
	if (!user || --user->n_sessions > 0)
		return;
	for (struct user **at = &user->users->users; *at; at = &(*at)->next)
		if (*at == user) {
			*at = user->next;
			break;
		}
	free(user);
}
