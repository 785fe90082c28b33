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
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nursery.h"
#include "wire/test_send.h"

#define TEST_USER 65534 /* without rights, which would be an exception */
#define TEST_FDS 40
#define TEST_WAIT_MS 10000

/* Lives until it is killed, or asked. */
static void test_body(void)
{
	char c;

	(void)!read(NURSERY_CHILD_FD, &c, 1);
}

/* Says whether it has another descriptor than its own. */
static void test_body_alone(void)
{
	const char is_alone = fcntl(77, F_GETFD) < 0 ? 'y' : 'n';

	(void)!write(NURSERY_CHILD_FD, &is_alone, 1);
	test_body();
}

static void test_await_body(const struct nursery_child *child)
{
	char is_alone;

	assert(read(child->fd, &is_alone, 1) == 1);
	assert(is_alone == 'y');
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

static unsigned int test_children(pid_t pid, pid_t *ret_last)
{
	char path[64];
	unsigned int n = 0;
	FILE *file;
	int child;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fscanf(file, "%d", &child) == 1) {
		*ret_last = child;
		n++;
	}
	(void)fclose(file);
	return n;
}

/* Who gave up waiting once does not take the late answer for the next one, whose child nobody would
 * ever end. */
static void late_answers_are_dropped(void **state)
{
	struct nursery_child child = NURSERY_CHILD_NONE;
	struct nursery *nursery;
	unsigned int ms = 0;
	pid_t pid, other;

	(void)state;
	assert_int_equal(nursery_new(&nursery, test_body), 0);
	assert_int_equal(test_children(getpid(), &pid), 1);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(nursery_fork(nursery, &child), -ETIMEDOUT);
	assert_int_equal(kill(pid, SIGCONT), 0);
	assert_int_equal(nursery_fork(nursery, &child), 0);
	while (test_children(pid, &other) != 1 && ms++ < TEST_WAIT_MS)
		(void)poll(NULL, 0, 1);
	assert_int_equal(test_children(pid, &other), 1);
	nursery_kill(&child);
	while (test_children(pid, &other) != 0 && ms++ < TEST_WAIT_MS)
		(void)poll(NULL, 0, 1);
	assert_int_equal(test_children(pid, &other), 0);
	nursery_free(nursery);
}

/* Where close_range(2) is not known: Linux before 5.9. */
static void test_old_kernel(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	struct nursery_child child = NURSERY_CHILD_NONE;
	struct nursery *nursery;

	assert(filter);
	assert(seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(close_range), 0) == 0);
	assert(seccomp_load(filter) == 0);
	seccomp_release(filter);
	assert(dup2(1, 77) == 77);
	assert(nursery_new(&nursery, test_body_alone) == 0);
	assert(nursery_fork(nursery, &child) == 0);
	test_await_body(&child);
	nursery_kill(&child);
	nursery_free(nursery);
	_exit(0);
}

static void old_kernels_do(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		test_old_kernel();
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_may_send_as_many_as_the_engine),
		cmocka_unit_test(too_many_are_no_end),
		cmocka_unit_test(late_answers_are_dropped),
		cmocka_unit_test(old_kernels_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
