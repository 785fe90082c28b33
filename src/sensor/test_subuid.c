/* SPDX-License-Identifier: BSD-2-Clause */
/* On whose account the programs of subordinate users are: subuid.h. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/config.h"
#include "mapi/errors.h"
#include "subuid.h"
#include "users.h"

#define SUBUID_SESSIONS_MAX 3

static char subuid_path[] = "/tmp/mapi-test-subuid-XXXXXX";

static int subuid_setup(void **state)
{
	static const char text[] = "alice:100000:65536\n"
				   "# a comment: 1:2\n"
				   "bob:165536:65536\n"
				   "1003:300000:1\n"
				   "alice:120000:5\n"
				   "wrong:x:5\nwrong:400000:\nwrong:400000\nwrong:400000:5x\n"
				   "wrong:-1:5\nwrong:400000:99999999999999999999999\n"
				   "top:4294967290:100\n"
				   "carol:500000:10";
	int fd = mkstemp(subuid_path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	return close(fd);
}

static int subuid_teardown(void **state)
{
	return unlink(subuid_path);
}

static void a_range_is_one_account(void **state)
{
	static const struct {
		uid_t uid, account;
	} cases[] = {
		{ 0, 0 },
		{ 1, 1 },
		{ 1003, 1003 },
		{ 65534, 65534 },
		{ 99999, 99999 },
		{ 100000, 100000 },
		{ 120001, 100000 },
		{ 165535, 100000 },
		{ 165536, 165536 },
		{ 231071, 165536 },
		{ 231072, 231072 },
		{ 300000, 300000 },
		{ 300001, 300001 },
		{ 400001, 400001 },
		{ 500009, 500000 },
		{ 500010, 500010 },
		{ 4294967294u, 4294967290u },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(subuid_account(subuid_path, cases[i].uid), cases[i].account);
	assert_int_equal(subuid_account("/no/such/file", 100001), 100001);
}

/* Whoever has a range has one quota for all of it. */
static void quotas_are_those_of_the_range(void **state)
{
	const struct config_quota quota = { .sessions = SUBUID_SESSIONS_MAX };
	struct users *users;
	struct user *user, *first;
	struct error err = ERROR_INIT;

	assert_int_equal(users_new(&users, &quota), 0);
	users_set_subuids(users, subuid_path);
	assert_int_equal(users_enter(users, 100000, &first, &err), 0);
	for (unsigned int i = 1; i < SUBUID_SESSIONS_MAX; i++) {
		assert_int_equal(users_enter(users, 100000 + i, &user, &err), 0);
		assert_ptr_equal(user, first);
	}
	assert_int_equal(users_enter(users, 110000, &user, &err), -EDQUOT);
	assert_int_equal(err.code, MAPI_QUOTA_EXCEEDED);
	assert_non_null(strstr(err.text, "max_sessions"));
	err = ERROR_INIT;
	assert_int_equal(users_enter(users, 170000, &user, &err), 0);
	assert_int_equal(users_enter(users, 1000, &user, &err), 0);
	user_leave(first);
	assert_int_equal(users_enter(users, 110000, &user, &err), 0);
	users_free(users);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_range_is_one_account),
		cmocka_unit_test(quotas_are_those_of_the_range),
	};

	return cmocka_run_group_tests(tests, subuid_setup, subuid_teardown);
}
