/* SPDX-License-Identifier: BSD-2-Clause */
/* A nursery where descriptors of its user are on their way: the kernel lets nobody send more then.
 */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>
#include <grp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nursery.h"
#include "wire/test_send.h"

#define TEST_USER 65534 /* without rights, which would be an exception */
#define TEST_FDS 40

/* Lives until it is killed, or asked. */
static void test_body(void)
{
	char c;

	(void)!read(NURSERY_CHILD_FD, &c, 1);
}

/* @limit: of descriptors, for the nursery. Descriptors of others are received, then asked again. */
static void test_child(rlim_t limit, bool fits)
{
	struct rlimit nofile;
	struct nursery_child child = NURSERY_CHILD_NONE;
	struct nursery *nursery;
	int fds[2];

	assert(setgroups(0, NULL) == 0 && setresgid(TEST_USER, TEST_USER, TEST_USER) == 0);
	assert(setresuid(TEST_USER, TEST_USER, TEST_USER) == 0);
	assert(getrlimit(RLIMIT_NOFILE, &nofile) == 0);
	nofile.rlim_cur = limit;
	assert(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	for (unsigned int i = 0; i < TEST_FDS; i++)
		assert(test_send_copies(fds[0], "x", 1, fds[1], 1) == 1);
	assert(setrlimit(RLIMIT_NOFILE, &nofile) == 0);
	assert(nursery_new(&nursery, test_body) == 0);
	if (!fits)
		assert(nursery_fork(nursery, &child) == -ETOOMANYREFS);
	assert(nursery_lives(nursery));
	if (!fits) {
		(void)close(fds[0]);
		(void)close(fds[1]);
	}
	/* What has been closed leaves in its own time. */
	while (nursery_fork(nursery, &child) == -ETOOMANYREFS)
		assert(!fits);
	assert(child.fd >= 0);
	nursery_kill(&child);
	nursery_free(nursery);
	_exit(0);
}

static void test_in_child(rlim_t limit, bool fits)
{
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		print_message("SKIP: needs root to be another user\n");
		skip();
	}
	pid = fork();
	if (pid == 0)
		test_child(limit, fits);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void others_may_send_as_many_as_the_engine(void **state)
{
	test_in_child(1000, true);
	(void)state;
}

static void too_many_are_no_end(void **state)
{
	test_in_child(20, false);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_may_send_as_many_as_the_engine),
		cmocka_unit_test(too_many_are_no_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
