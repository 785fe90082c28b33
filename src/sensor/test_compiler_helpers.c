/* SPDX-License-Identifier: BSD-2-Clause */
/* The helpers of the compiler: what they are, and what is believed of what they say. */
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
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "test_compiler_private.h"

static void a_helper_that_dies_is_replaced(void **unused)
{
	struct compiler_client *client = test_begin();
	struct filter_program *program;
	struct error err = ERROR_INIT;
	pid_t first;

	test_works(client);
	first = test_helper();
	test_kill(first);
	test_works(client);
	assert_int_not_equal(test_helper(), first);
	/* A question that it may not have read is put to another; if that dies, too, it is said. */
	first = test_helper();
	assert_int_equal(compiler_ask(client, test_slow(), 1, &program, &err), COMPILER_E_AGAIN);
	test_kill(first);
	while (test_helper() == first || test_helper() == 0)
		assert_int_equal(
			compiler_ask(client, test_slow(), 1, &program, &err), COMPILER_E_AGAIN);
	test_kill(test_helper());
	assert_int_equal(test_ask(client, test_slow(), &program, &err), -EPIPE);
	assert_int_equal(err.code, TEST_CODE);
	test_works(client);
	test_end(client);
}

static unsigned int test_n_fds(pid_t pid)
{
	unsigned int n = 0;
	struct dirent *entry;
	char path[64];
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

static void the_helper_is_confined(void **unused)
{
	struct compiler_client *client;
	char path[64], line[256];
	unsigned int n_found = 0;
	pid_t nursery = 0;
	FILE *file;

	(void)signal(SIGUSR1, SIG_IGN);
	client = test_begin();
	test_works(client);
	assert_int_equal(test_n_fds(test_helper()), 1);
	assert_int_equal(test_find(NURSERY_PROCESS_NAME, false, &nursery), 1);
	assert_int_equal(test_n_fds(nursery), 1);
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)test_helper());
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		unsigned long long ignored;

		n_found += strcmp(line, "NoNewPrivs:\t1\n") == 0;
		/* What the test was started with may go beyond the signals that a program can set.
		 */
		if (sscanf(line, "SigIgn: %llx", &ignored) == 1)
			n_found += !(ignored >> (SIGUSR1 - 1) & 1);
	}
	(void)fclose(file);
	assert_int_equal(n_found, 2);
	(void)signal(SIGUSR1, SIG_DFL);
	test_end(client);
}

/* What a client sends is nobody's but the engine's: closed there, it is closed. */
static void helpers_know_nothing_of_clients(void **unused)
{
	struct compiler_client *client = test_begin();
	struct filter_program *program;
	struct error err;
	char byte;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(compiler_ask(client, "hang", 1, &program, &err), COMPILER_E_AGAIN);
	while (!test_helper())
		(void)usleep(100);
	(void)close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 0); /* and does not wait for the helper */
	(void)close(fds[0]);
	test_end(client);
}

static void a_helper_serves_one_user(void **unused)
{
	struct compiler_client *client = test_begin(), *other = test_client(1001);
	pid_t helper;

	test_works(client);
	helper = test_helper();
	test_works(client);
	assert_int_equal(test_helper(), helper);
	test_works(other);
	while (test_find(COMPILER_PROCESS_NAME, true, &helper) > 1)
		(void)usleep(100);
	compiler_client_free(other);
	test_end(client);
}

static void without_the_nursery_it_is_said(void **unused)
{
	struct compiler_client *client = test_begin();
	struct filter_program *program;
	struct error err;
	pid_t nursery = 0;

	test_works(client);
	assert_true(compiler_works(test_compiler));
	assert_int_equal(test_find(NURSERY_PROCESS_NAME, false, &nursery), 1);
	test_kill(nursery);
	while (compiler_works(test_compiler))
		(void)usleep(100); /* its other threads, of a sanitizer, end a little later */
	test_await_no_helper(); /* it has gone, too */
	assert_int_equal(test_ask(client, "tcp", &program, &err), -ENOTCONN);
	assert_int_equal(err.code, TEST_CODE);
	assert_non_null(strstr(err.text, NURSERY_PROCESS_NAME));
	test_end(client);
}

static void lies_are_not_believed(void **unused)
{
	static const struct {
		const char *why;
		struct compiler_answer head;
		size_t n_bytes;
		struct bpf_insn insns[2];
	} cases[] = {
		{ "no answer", { 0, 8 }, 0, { { 0 } } },
		{ "an empty program", { 0, 0 }, 0, { { 0 } } },
		{ "half an instruction", { 0, 12 }, 12, { { 0x06, 0, 0, 1 } } },
		{ "too large", { 0, 0xfffffff8u }, 16, { { 0x06, 0, 0, 1 } } },
		{ "an unknown code", { 7, 8 }, 8, { { 0x06, 0, 0, 1 } } },
		{ "a long text", { COMPILER_WRONG, ERROR_TEXT_BYTES }, 16, { { 0 } } },
		{ "no memory, and more", { COMPILER_NO_MEMORY, 8 }, 8, { { 0 } } },
		{ "no end", { 0, 8 }, 8, { { 0x00, 0, 0, 1 } } },
		{ "a jump out", { 0, 16 }, 16, { { 0x05, 0, 0, 9 }, { 0x06, 0, 0, 1 } } },
		{ "an unknown instruction", { 0, 16 }, 16,
			{ { 0xff, 0, 0, 0 }, { 0x06, 0, 0, 1 } } },
	};
	struct compiler_client *client = test_begin();
	struct error err;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct filter_program *program;

		*test_lie = (struct test_lie){
			.told = true, .head = cases[i].head, .n_bytes = cases[i].n_bytes
		};
		memcpy(test_lie->body, cases[i].insns, sizeof(cases[i].insns));
		if (test_ask(client, "tcp", &program, &err) != -EPIPE || err.code != TEST_CODE)
			fail_msg("%s: %s", cases[i].why, err.text);
	}
	test_lie->told = false;
	test_works(client);
	test_end(client);
}

static void what_is_said_unasked_ends_the_helper(void **unused)
{
	static const struct bpf_insn all = { 0x06, 0, 0, 1 };
	struct compiler_client *client = test_begin();
	struct filter_program *program;
	struct error err;
	pid_t liar;

	*test_lie = (struct test_lie){
		.told = true, .head = { 0, sizeof(all) }, .n_bytes = sizeof(all) + 8
	};
	memcpy(test_lie->body, &all, sizeof(all));
	assert_int_equal(test_ask(client, "tcp", &program, &err), 0);
	filter_program_free(program);
	test_lie->told = false;
	test_works(client); /* with another, though the liar lives */
	while (test_find(COMPILER_PROCESS_NAME, true, &liar) > 1)
		(void)usleep(100); /* until it has ended */
	liar = test_helper();
	assert_int_not_equal(liar, 0);
	/* Control characters do not reach a terminal. */
	*test_lie = (struct test_lie){
		.told = true, .head = { COMPILER_WRONG, 4 }, .body = "a\033\nb", .n_bytes = 4
	};
	test_kill(liar);
	assert_int_equal(test_ask(client, "tcp", &program, &err), -EINVAL);
	assert_string_equal(err.text, "a??b");
	test_end(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_helper_that_dies_is_replaced),
		cmocka_unit_test(the_helper_is_confined),
		cmocka_unit_test(helpers_know_nothing_of_clients),
		cmocka_unit_test(a_helper_serves_one_user),
		cmocka_unit_test(without_the_nursery_it_is_said),
		cmocka_unit_test(lies_are_not_believed),
		cmocka_unit_test(what_is_said_unasked_ends_the_helper),
	};

	return cmocka_run_group_tests(tests, test_share, NULL);
}
