/* SPDX-License-Identifier: BSD-2-Clause */
#undef NDEBUG
#include "test_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_engine.h"
#include "mapi.h"

char test_folder[64], test_socket_path[80], test_read_only_path[80];

void assert_error(int code)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";
	int got = -1;

	assert_int_equal(mapi_read_error(&got, text), 0);
	if (got != code)
		print_error("%d: %s\n", got, text);
	assert_int_equal(got, code);
	assert_int_equal(code == 0, text[0] == '\0');
	assert_int_equal(mapi_read_error(&got, NULL), 0);
	assert_int_equal(got, 0);
}

void test_folder_make(void)
{
	(void)snprintf(test_folder, sizeof(test_folder), "/tmp/mapi-test.XXXXXX");
	if (!mkdtemp(test_folder) || setenv("MAPI_SOCKET", "", 1) < 0) {
		perror(test_folder);
		exit(1);
	}
	(void)snprintf(test_socket_path, sizeof(test_socket_path), "%s/mapid.sock", test_folder);
	(void)snprintf(test_read_only_path, sizeof(test_read_only_path), "%s/mapid-read.sock",
		test_folder);
}

void test_folder_remove(void)
{
	(void)unlink(test_socket_path);
	(void)unlink(test_read_only_path);
	(void)rmdir(test_folder);
}

static int test_run_one(const struct CMUnitTest *test)
{
	const struct CMUnitTest alone[] = { *test };
	int n_failed;

	test_folder_make();
	n_failed = cmocka_run_group_tests(alone, NULL, NULL);
	fake_engine_kill();
	test_folder_remove();
	return n_failed;
}

int test_run_each(const struct CMUnitTest *tests, size_t n)
{
	int n_failed = 0;

	for (size_t i = 0; i < n; i++) {
		int status = -1;
		pid_t pid = fork();

		if (pid == 0)
			exit(test_run_one(&tests[i]) != 0);
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
			n_failed++;
	}
	return n_failed;
}
