/* SPDX-License-Identifier: BSD-2-Clause */
/* The compiler of expressions: answers, times, and who waits for whom. */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "test_compiler_private.h"

#define TEST_THREADS 8
#define TEST_ROUNDS 40

/* For some link types libpcap reads scratch memory that it has not written. */
static void test_programs_for_variable_headers_arrive(void **state)
{
	struct compiler_client *client = test_begin();
	struct filter_program *program;
	struct error err = ERROR_INIT;

	if (test_ask_for(
		    client, "geneve", 127 /* LINKTYPE_IEEE802_11_RADIOTAP */, &program, &err) != 0)
		fail_msg("%s", err.text);
	filter_program_free(program);
	test_end(client);
}

static void programs_are_those_of_libpcap(void **unused)
{
	static const char *const expressions[] = { "tcp port 80", "", "ip6 protochain 17",
		"ip protochain 6 and port 53", "vlan and host 192.0.2.1", "greater 700" };
	struct compiler_client *client = test_begin();
	static const _Atomic bool never;

	assert_int_equal(test_helper(), 0); /* none before it is needed */
	for (size_t i = 0; i < 2 * ARRAY_SIZE(expressions); i++) {
		const char *expression = expressions[i / 2];
		_cleanup_(filter_program_freep) struct filter_program *ours = NULL, *theirs = NULL;
		const struct bpf_insn *our_insns, *their_insns;
		unsigned int n;
		struct error err;
		int r;

		r = i % 2 ? compiler_wait(client, expression, 1, &never, &ours, &err)
			  : test_ask(client, expression, &ours, &err);
		assert_int_equal(r, 0);
		assert_int_equal(filter_compile(&theirs, expression, 1, &err), 0);
		n = filter_program_insns(theirs, &their_insns);
		assert_int_equal(filter_program_insns(ours, &our_insns), n);
		assert_memory_equal(our_insns, their_insns, n * sizeof(*our_insns));
	}
	test_end(client);
}

static void wrong_expressions_are_refused_in_the_words_of_libpcap(void **unused)
{
	static const char *const expressions[] = { "tcp prot 80", "port", "ip proto \\\n", "%" };
	struct compiler_client *client = test_begin();
	struct filter_program *program;
	struct error ours, theirs;
	pid_t helper;

	test_works(client);
	helper = test_helper();
	for (size_t i = 0; i < ARRAY_SIZE(expressions); i++) {
		theirs = ERROR_INIT;
		assert_int_equal(test_ask(client, expressions[i], &program, &ours), -EINVAL);
		assert_int_equal(filter_compile(&program, expressions[i], 1, &theirs), -EINVAL);
		assert_int_equal(ours.code, TEST_CODE);
		assert_string_equal(ours.text, theirs.text);
	}
	assert_int_equal(test_ask(client, "tcp", &program, &ours), 0);
	filter_program_free(program);
	assert_int_equal(test_helper(), helper); /* a wrong expression costs no process */
	test_end(client);
}

static void slow_expressions_end_in_time(void **unused)
{
	struct compiler_client *client = test_begin();
	struct filter_program *program;
	struct error err = ERROR_INIT;
	uint64_t began_ns = clock_monotonic_ns();
	int r;

	assert_int_equal(compiler_ask(client, test_slow(), 1, &program, &err), COMPILER_E_AGAIN);
	assert_true(clock_monotonic_ns() - began_ns < 1000000000u); /* it came back at once */
	r = test_ask(client, test_slow(), &program, &err);
	assert_int_equal(r, -ETIMEDOUT);
	assert_int_equal(err.code, TEST_CODE);
	assert_non_null(strstr(err.text, "split it"));
	assert_true(clock_monotonic_ns() - began_ns >= COMPILER_TIME_MAX_MS * 1000000ull);
	test_await_no_helper();
	test_works(client);
	test_end(client);
}

static void another_question_abandons_the_first(void **unused)
{
	struct compiler_client *client = test_begin();
	struct filter_program *program;
	struct error err = ERROR_INIT;

	assert_int_equal(compiler_ask(client, test_slow(), 1, &program, &err), COMPILER_E_AGAIN);
	test_works(client);
	/* The same words for another link type are another question. */
	assert_int_equal(compiler_ask(client, test_slow(), 1, &program, &err), COMPILER_E_AGAIN);
	assert_int_equal(compiler_ask(client, test_slow(), 101, &program, &err), COMPILER_E_AGAIN);
	test_end(client); /* also with a question open */
}

static void long_expressions_pass_or_are_refused(void **unused)
{
	static char text[FILTER_EXPRESSION_MAX + 2];
	struct compiler_client *client = test_begin();
	struct filter_program *program;
	struct error err;
	static const _Atomic bool never;

	memset(text, ' ', sizeof(text) - 1);
	memcpy(text, "tcp", 3);
	assert_int_equal(test_ask(client, text, &program, &err), -EINVAL);
	assert_int_equal(err.code, TEST_CODE);
	assert_int_equal(compiler_wait(client, text, 1, &never, &program, &err), -EINVAL);
	text[FILTER_EXPRESSION_MAX] = '\0';
	assert_int_equal(test_ask(client, text, &program, &err), 0);
	filter_program_free(program);
	test_end(client);
}

static void asking_waits_for_nothing(void **unused)
{
	struct compiler_client *client = test_begin();
	struct filter_program *program;
	struct error err;

	assert_int_equal(compiler_ask(client, "tcp", 1, &program, &err), COMPILER_E_AGAIN);
	assert_int_equal(test_ask(client, "tcp", &program, &err), 0);
	filter_program_free(program);
	assert_int_equal(compiler_ask(client, "tcp", 1, &program, &err), COMPILER_E_AGAIN);
	test_end(client);
}

static void users_take_turns(void **unused)
{
	enum { USERS = 5, EACH = 6 };
	struct compiler_client *client = test_begin(), *hostile[USERS * EACH];
	struct filter_program *program;
	unsigned int n_answered = 0;
	struct error err;
	pid_t pid;

	/* A user's slow expressions take a few helpers: one of them is left for others at once. */
	for (size_t i = 0; i < EACH; i++) {
		hostile[i] = test_client(2000);
		assert_int_equal(
			compiler_ask(hostile[i], "hang", 1, &program, &err), COMPILER_E_AGAIN);
	}
	while (test_find(COMPILER_PROCESS_NAME, true, &pid) < COMPILER_USER_MAX)
		(void)usleep(100);
	test_works(client);
	for (size_t i = 0; i < EACH; i++)
		assert_false(compiler_has_answered(hostile[i]));
	assert_true(test_find(COMPILER_PROCESS_NAME, true, &pid) <= COMPILER_USER_MAX + 1);
	/* Those of many users take all of them: others wait for one, not for all. */
	for (size_t i = EACH; i < USERS * EACH; i++) {
		hostile[i] = test_client(2000 + (uid_t)(i / EACH));
		assert_int_equal(
			compiler_ask(hostile[i], "hang", 1, &program, &err), COMPILER_E_AGAIN);
	}
	test_works(client);
	for (size_t i = 0; i < USERS * EACH; i++)
		n_answered += compiler_has_answered(hostile[i]);
	assert_true(n_answered <= COMPILER_HELPERS_MAX);
	for (size_t i = 0; i < USERS * EACH; i++)
		compiler_client_free(hostile[i]);
	test_end(client);
}

static void *test_thread(void *argument)
{
	static const _Atomic bool never;
	struct compiler_client *client = argument;

	for (unsigned int i = 0; i < TEST_ROUNDS; i++) {
		struct filter_program *program = NULL;
		struct error err = ERROR_INIT;
		char text[32];

		(void)snprintf(text, sizeof(text), "port %u", i + 1);
		if (compiler_wait(client, text, 1, &never, &program, &err) != 0) {
			print_error("%s: %s\n", text, err.text);
			return argument;
		}
		filter_program_free(program);
	}
	return NULL;
}

static void many_threads_take_turns(void **unused)
{
	struct compiler_client *client = test_begin();
	pthread_t threads[TEST_THREADS];
	void *failed;

	for (unsigned int i = 0; i < TEST_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, test_thread, client), 0);
	for (unsigned int i = 0; i < TEST_ROUNDS; i++)
		test_works(client);
	for (unsigned int i = 0; i < TEST_THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	test_end(client);
}

struct test_cancel {
	struct compiler_client *client;
	_Atomic bool cancel;
	struct error err;
};

static void *test_cancelled(void *argument)
{
	struct test_cancel *c = argument;
	struct filter_program *program;

	return compiler_wait(c->client, test_slow(), 1, &c->cancel, &program, &c->err) == -ECANCELED
		? NULL
		: argument;
}

static void waiting_can_be_cancelled(void **unused)
{
	struct test_cancel c = { .client = test_begin() };
	pthread_t thread;
	uint64_t began_ns;
	void *failed;

	(void)test_slow(); /* its static text is there before the thread reads it */
	assert_int_equal(pthread_create(&thread, NULL, test_cancelled, &c), 0);
	while (!test_helper())
		(void)usleep(100);
	began_ns = clock_monotonic_ns();
	c.cancel = true;
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	assert_int_equal(c.err.code, TEST_CODE);
	assert_true(clock_monotonic_ns() - began_ns < 1000000000u);
	test_end(c.client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_programs_for_variable_headers_arrive),
		cmocka_unit_test(programs_are_those_of_libpcap),
		cmocka_unit_test(wrong_expressions_are_refused_in_the_words_of_libpcap),
		cmocka_unit_test(slow_expressions_end_in_time),
		cmocka_unit_test(another_question_abandons_the_first),
		cmocka_unit_test(long_expressions_pass_or_are_refused),
		cmocka_unit_test(asking_waits_for_nothing),
		cmocka_unit_test(users_take_turns),
		cmocka_unit_test(many_threads_take_turns),
		cmocka_unit_test(waiting_can_be_cancelled),
	};

	return cmocka_run_group_tests(tests, test_share, NULL);
}
