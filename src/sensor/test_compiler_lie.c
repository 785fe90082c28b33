/* SPDX-License-Identifier: BSD-2-Clause */
/* The compiler and helpers that may lie: see test_compiler_private.h. */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "test_compiler_private.h"

/* ---- a helper that lies ---- */

struct test_lie *test_lie;

void __real_compiler_helper_main(void);
void __wrap_compiler_helper_main(void);

static bool test_hangs(void)
{
	char question[64] = "";
	size_t head_bytes = sizeof(struct compiler_question);

	return recv(NURSERY_CHILD_FD, question, sizeof(question) - 1, MSG_PEEK) > 0 &&
		strncmp(question + head_bytes, "hang", 4) == 0;
}

void __wrap_compiler_helper_main(void)
{
	char question[64];

	(void)prctl(PR_SET_NAME, COMPILER_PROCESS_NAME);
	while (test_hangs())
		pause(); /* it must be killed */
	if (!test_lie->told)
		__real_compiler_helper_main();
	(void)!read(NURSERY_CHILD_FD, question, sizeof(question));
	(void)!write(NURSERY_CHILD_FD, &test_lie->head, sizeof(test_lie->head));
	(void)!write(NURSERY_CHILD_FD, test_lie->body, test_lie->n_bytes);
	(void)shutdown(NURSERY_CHILD_FD, SHUT_WR);
	for (;;)
		pause();
}

/* ---- helpers of the test ---- */

struct compiler *test_compiler;
int test_notify_fd;

int test_ask_for(struct compiler_client *client, const char *expression, uint32_t linktype,
	struct filter_program **ret, struct error *err)
{
	int r;

	*err = ERROR_INIT;
	while ((r = compiler_ask(client, expression, linktype, ret, err)) == COMPILER_E_AGAIN) {
		eventfd_t n;

		assert_int_equal(eventfd_read(test_notify_fd, &n), 0); /* waits */
	}
	return r;
}

int test_ask(struct compiler_client *client, const char *expression, struct filter_program **ret,
	struct error *err)
{
	return test_ask_for(client, expression, 1, ret, err);
}

void test_works(struct compiler_client *client)
{
	struct filter_program *program;
	struct error err;

	if (test_ask(client, "tcp port 80", &program, &err) != 0)
		fail_msg("%s", err.text);
	filter_program_free(program);
}

/* The field after the name in /proc/PID/stat, and the parent. */
static bool test_stat(pid_t pid, char ret_name[32], char *ret_state, pid_t *ret_parent)
{
	char path[64];
	FILE *file;
	int n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	if (!file)
		return false;
	n = fscanf(file, "%*d (%31[^)]) %c %d", ret_name, ret_state, ret_parent);
	(void)fclose(file);
	return n == 3;
}

unsigned int test_find(const char *wanted, bool grand, pid_t *ret)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	unsigned int n = 0;

	assert_non_null(proc);
	while ((entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name), parent;
		char name[32], parent_name[32], state;

		if (pid <= 0 || !test_stat(pid, name, &state, &parent) ||
			strcmp(name, wanted) != 0 ||
			(grand && !test_stat(parent, parent_name, &state, &parent)) ||
			parent != getpid())
			continue;
		n++;
		*ret = pid;
	}
	closedir(proc);
	return n;
}

pid_t test_helper(void)
{
	pid_t pid = 0;

	assert_true(test_find(COMPILER_PROCESS_NAME, true, &pid) <= 1);
	return pid;
}

void test_await_no_helper(void)
{
	while (test_helper())
		(void)usleep(100);
}

void test_kill(pid_t pid)
{
	char name[32], state = 'R';
	pid_t parent;

	assert_true(pid > 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	while (state != 'Z' && test_stat(pid, name, &state, &parent))
		(void)usleep(100);
}

struct compiler_client *test_client(uid_t uid)
{
	struct compiler_client *client;

	assert_int_equal(compiler_client_new(&client, test_compiler, uid), 0);
	return client;
}

struct compiler_client *test_begin(void)
{
	*test_lie = (struct test_lie){ .told = false };
	test_notify_fd = eventfd(0, EFD_CLOEXEC);
	assert_true(test_notify_fd >= 0);
	assert_int_equal(compiler_new(&test_compiler, test_notify_fd), 0);
	return test_client(1000);
}

void test_end(struct compiler_client *client)
{
	compiler_client_free(client);
	compiler_free(test_compiler);
	assert_int_equal(close(test_notify_fd), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

int test_share(void **state)
{
	test_lie = mmap(
		NULL, sizeof(*test_lie), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return test_lie == MAP_FAILED ? -1 : 0;
}
