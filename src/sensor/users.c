/* SPDX-License-Identifier: BSD-2-Clause */
/* Users and their limits: see users.h. */
#include "users.h"

#include <errno.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "mapi/errors.h"
#include "session.h"
#include "subuid.h"

#define USERS_SESSIONS_MAX 256
#define USERS_FLOWS_MAX 4096
/* Each is looked at whenever results are published, on behalf of everybody. */
#define USERS_FUNCTIONS_MAX 16384
#define USERS_RINGS_MAX 768 /* of three descriptors each: mapid.service has LimitNOFILE=65536 */
#define USERS_WRITERS_MAX 64 /* mapid.service has TasksMax=4096 */
/* What a user's flows on a device search for is prepared together, whenever something comes: this
 * much takes a helper up to half a second, and some MiB. */
#define USERS_SEARCH_MAX_BYTES (64u << 10)
/* Workers make all filters of a device into one set anew when any flow comes or goes, and meanwhile
 * carry no packets: a microsecond for each instruction. */
#define USERS_FILTER_MAX_INSNS (64u << 10)
/* They are copied whenever results are published, on behalf of everybody. */
#define USERS_RESULTS_MAX_BYTES ((size_t)16 << 20)
#define USERS_MEMORY_MAX_BYTES (1ull << 30)
/* Descriptors that wait to be closed. Who has more has sent some that hang. */
#define USERS_PENDING_MAX 1024u
/* Where the process may have few descriptors, these take a quarter of them at most. */
#define USERS_FDS_SHARE 16u /* of the limit, for connections and what waits to be closed each */
#define USERS_RING_SHARE 24u /* of three descriptors: an eighth */

struct users {
	struct config_quota quota;
	unsigned int rings_max;
	unsigned int pending_max;
	unsigned int functions_max;
	bool is_system;
	const char *subuids; /* file */
	struct user *users; /* with connections, or of whom something hangs */
};

/* @share: of the descriptors that the process may have. Return: @max, or as many as that is. */
static unsigned int users_limit(unsigned int max, unsigned int share)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0) /* which it never does */
		return max;
	return (unsigned int)MAX(MIN(limit.rlim_max / share, (rlim_t)max), (rlim_t)1);
}

int users_new(struct users **ret, const struct config_quota *quota)
{
	struct users *users = calloc(1, sizeof(*users));

	if (!users)
		return -ENOMEM;
	users->is_system = quota != NULL;
	users->subuids = SUBUID_PATH;
	users->functions_max = quota ? USERS_FUNCTIONS_MAX : UINT32_MAX;
	users->rings_max = quota ? users_limit(USERS_RINGS_MAX, USERS_RING_SHARE) : UINT32_MAX;
	users->pending_max = users_limit(USERS_PENDING_MAX, USERS_FDS_SHARE);
	if (quota) {
		users->quota = *quota;
		if (!quota->sessions)
			users->quota.sessions = users_limit(USERS_SESSIONS_MAX, USERS_FDS_SHARE);
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

static struct user *user_free(struct user *user)
{
	if (!user)
		return NULL;
	closer_free(user->closer);
	free(user);
	return NULL;
}
DEFINE_CLEANUP(struct user *, user_free);

struct users *users_free(struct users *users)
{
	while (users && users->users) {
		struct user *user = users->users;

		users->users = user->next;
		user_free(user);
	}
	free(users);
	return NULL;
}

void users_set_subuids(struct users *users, const char *path)
{
	users->subuids = path;
}

static struct user *users_find(const struct users *users, uid_t uid)
{
	struct user *user = users->users;

	while (user && user->uid != uid)
		user = user->next;
	return user;
}

/* One who is here already with his own number is in no range, or the first of it. */
static uid_t users_account(const struct users *users, uid_t uid)
{
	return !users->is_system || users_find(users, uid) ? uid
							   : subuid_account(users->subuids, uid);
}

static int users_add(struct users *users, uid_t uid, struct user **ret)
{
	_cleanup_(user_freep) struct user *user = calloc(1, sizeof(*user));
	int r;

	if (!user)
		return -ENOMEM;
	*user = (struct user){ .next = users->users,
		.users = users,
		.uid = uid,
		.flows_max = users->quota.flows,
		.functions_max = users->functions_max,
		.rings_max = users->rings_max,
		.writers_max = users->is_system ? USERS_WRITERS_MAX : UINT32_MAX,
		.search_max_bytes = users->is_system ? USERS_SEARCH_MAX_BYTES : UINT32_MAX,
		.result_max_bytes = users->is_system ? USERS_RESULTS_MAX_BYTES : SIZE_MAX,
		.filter_max_insns = users->is_system ? USERS_FILTER_MAX_INSNS : UINT32_MAX,
		.memory_max_bytes = users->quota.memory_bytes };
	r = users->is_system ? closer_new(&user->closer) : 0;
	if (r < 0)
		return r;
	users->users = user;
	*ret = TAKE(user);
	return 0;
}

/* Return: 0; -EDQUOT with @err filled. */
static int users_check(const struct users *users, const struct user *user, struct error *err)
{
	if (user->n_sessions >= users->quota.sessions)
		(void)error_set(err, MAPI_QUOTA_EXCEEDED,
			"this user's programs have as many connections to the daemon as they may: "
			"%u "
			"(max_sessions in mapi.conf)",
			users->quota.sessions);
	else if (!user_may_send(user))
		(void)error_set(err, MAPI_QUOTA_EXCEEDED,
			"the daemon cannot close what this user's programs have sent, at least %u "
			"descriptors: files of a file system that does not answer, perhaps",
			users->pending_max);
	return err->code ? -EDQUOT : 0;
}

int users_enter(struct users *users, uid_t uid, struct user **ret, struct error *err)
{
	uid_t account = users_account(users, uid);
	struct user *user = users_find(users, account);
	int r = user ? 0 : users_add(users, account, &user);

	if (r == 0)
		r = users_check(users, user, err);
	if (r < 0)
		return r;
	user->n_sessions++;
	*ret = user;
	return 0;
}

void users_refuse(struct users *users, uid_t uid, int fd)
{
	struct user *user = users_find(users, users_account(users, uid));

	if (user && user->closer)
		closer_close(user->closer, fd);
	else
		(void)close(fd);
}

bool user_may_send(const struct user *user)
{
	return !user->closer || closer_n_pending(user->closer) < user->users->pending_max;
}

void user_leave(struct user *user)
{
	if (user)
		user->n_sessions--; /* users_expire() does the rest */
}

void users_expire(struct users *users)
{
	for (struct user **at = &users->users; *at;) {
		struct user *user = *at;

		if (user->n_sessions > 0 || !closer_is_done(user->closer)) {
			at = &user->next;
			continue;
		}
		*at = user->next;
		user_free(user);
	}
}
