/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The compiler, with its real helper and with one that lies: compiler_helper_main() is wrapped, and
 * does what test_lie says, if anything.
 */
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
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <pcap/bpf.h>

#include "base/build.h"
#include "base/clock.h"
#include "compiler_private.h"

#define TEST_THREADS 8
#define TEST_ROUNDS 40
#define TEST_CODE 1025

/* ---- a helper that lies ---- */

/* Shared with the helpers. */
struct test_lie {
	bool told;
	struct compiler_answer head;
	uint8_t body[16384];
	size_t n_bytes; /* sent after the head, whatever it says */
};

static struct test_lie *test_lie;

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

static struct compiler *test_compiler;
static int test_notify_fd;

static const char *test_slow(void)
{
	static char text[8192];
	size_t used = 0;

	for (unsigned int i = 0; i < 400; i++)
		used += (size_t)snprintf(
			text + used, sizeof(text) - used, "%sport %u", i ? " or " : "", 7 * i + 1);
	return text;
}

/* Ask until there is an answer. */
static int test_ask_for(struct compiler_client *client, const char *expression, uint32_t linktype,
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

static int test_ask(struct compiler_client *client, const char *expression,
	struct filter_program **ret, struct error *err)
{
	return test_ask_for(client, expression, 1, ret, err);
}

static void test_works(struct compiler_client *client)
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

/* Processes of this name among our children, or (@grand) our children's. Return: how many. */
static unsigned int test_find(const char *wanted, bool grand, pid_t *ret)
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

/* The only helper; 0: there is none. */
static pid_t test_helper(void)
{
	pid_t pid = 0;

	assert_true(test_find(COMPILER_PROCESS_NAME, true, &pid) <= 1);
	return pid;
}

static void test_await_no_helper(void)
{
	while (test_helper())
		(void)usleep(100);
}

static void test_kill(pid_t pid)
{
	char name[32], state = 'R';
	pid_t parent;

	assert_true(pid > 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	while (state != 'Z' && test_stat(pid, name, &state, &parent))
		(void)usleep(100);
}

static struct compiler_client *test_client(uid_t uid)
{
	struct compiler_client *client;

	assert_int_equal(compiler_client_new(&client, test_compiler, uid), 0);
	return client;
}

static struct compiler_client *test_begin(void)
{
	*test_lie = (struct test_lie){ .told = false };
	test_notify_fd = eventfd(0, EFD_CLOEXEC);
	assert_true(test_notify_fd >= 0);
	assert_int_equal(compiler_new(&test_compiler, test_notify_fd), 0);
	return test_client(1000);
}

/* Neither a process nor a zombie is left. */
static void test_end(struct compiler_client *client)
{
	compiler_client_free(client);
	compiler_free(test_compiler);
	assert_int_equal(close(test_notify_fd), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

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

/* ---- tests ---- */

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

static struct search_set *test_set(const char *text, struct search_pattern **ret_pattern)
{
	const struct search_pattern *patterns[1];
	struct search_set *set = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(search_pattern_new(ret_pattern, text, 0, 0, &err), 0);
	patterns[0] = *ret_pattern;
	assert_int_equal(search_set_prepare(&set, patterns, 1), 0);
	return set;
}

/* As compiler_built(), when there is an answer. */
static int test_build(struct compiler_client *client, const char *text, struct search_set **ret,
	struct error *err)
{
	struct search_pattern *pattern;
	int r;

	*err = ERROR_INIT;
	assert_int_equal(compiler_build(client, test_set(text, &pattern), err), 0);
	while ((r = compiler_built(client, ret, err)) == COMPILER_E_AGAIN) {
		eventfd_t n;

		assert_int_equal(eventfd_read(test_notify_fd, &n), 0); /* waits */
	}
	search_pattern_free(pattern);
	return r;
}

static void test_finds(struct search_set *set, const char *text)
{
	static struct packet_batch batch;
	struct packet_mask found, wanted = packet_mask_first(1);
	struct search_scratch *scratch;

	batch.n = 1;
	batch.data[0] = (const uint8_t *)text;
	batch.cap_bytes[0] = (uint32_t)strlen(text);
	assert_int_equal(search_scratch_new(&scratch, set), 0);
	search_set_run(set, scratch, &batch, &wanted, &found);
	assert_true(packet_mask_test(&found, 0));
	search_scratch_free(scratch);
	search_set_free(set);
}

static void databases_are_built_by_helpers(void **unused)
{
	static char text[SEARCH_TEXT_BYTES_MAX];
	struct compiler_client *client = test_begin();
	struct search_set *set;
	struct error err;
	size_t used = 0;

	assert_int_equal(test_build(client, "needle||pin", &set, &err), 0);
	test_finds(set, "a needle in a haystack");
	assert_int_equal(test_build(client, "x", &set, &err), 0); /* needs no database */
	test_finds(set, "abcxyz");
	test_works(client);
	/* More than goes through a socket at once; and more than is for a helper. */
	for (unsigned int n = 10000; n <= 40000; n += 30000) {
		for (used = 0; used < n * 12;)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%09zu",
				used ? "||" : "", used);
		assert_int_equal(test_build(client, text, &set, &err), 0);
		test_finds(set, "number 000000000 was the first");
	}
	test_end(client);
}

static void a_database_that_is_none_is_refused(void **unused)
{
	struct compiler_client *client = test_begin();
	struct search_set *set;
	struct error err;

	*test_lie = (struct test_lie){
		.told = true, .head = { 0, 64 }, .body = "no database", .n_bytes = 64
	};
	if (MAPI_WITH_VECTORSCAN) /* without, there is nothing to be believed */
		assert_int_equal(test_build(client, "needle||pin", &set, &err), -EPIPE);
	*test_lie = (struct test_lie){
		.told = true, .head = { 0, COMPILER_DATABASE_BYTES_MAX + 1 }, .n_bytes = 64
	};
	assert_int_equal(test_build(client, "needle||pin", &set, &err), -EPIPE);
	assert_int_equal(err.code, 7007);
	*test_lie = (struct test_lie){
		.told = true, .head = { COMPILER_WRONG, 4 }, .body = "a\033\nb", .n_bytes = 4
	};
	assert_int_equal(test_build(client, "needle||pin", &set, &err), -EINVAL);
	assert_string_equal(err.text, "a??b");
	test_lie->told = false;
	assert_int_equal(test_build(client, "needle||pin", &set, &err), 0);
	test_finds(set, "pins and needles");
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
		cmocka_unit_test(test_programs_for_variable_headers_arrive),
		cmocka_unit_test(programs_are_those_of_libpcap),
		cmocka_unit_test(wrong_expressions_are_refused_in_the_words_of_libpcap),
		cmocka_unit_test(slow_expressions_end_in_time),
		cmocka_unit_test(another_question_abandons_the_first),
		cmocka_unit_test(long_expressions_pass_or_are_refused),
		cmocka_unit_test(a_helper_that_dies_is_replaced),
		cmocka_unit_test(the_helper_is_confined),
		cmocka_unit_test(helpers_know_nothing_of_clients),
		cmocka_unit_test(asking_waits_for_nothing),
		cmocka_unit_test(a_helper_serves_one_user),
		cmocka_unit_test(users_take_turns),
		cmocka_unit_test(without_the_nursery_it_is_said),
		cmocka_unit_test(many_threads_take_turns),
		cmocka_unit_test(waiting_can_be_cancelled),
		cmocka_unit_test(lies_are_not_believed),
		cmocka_unit_test(databases_are_built_by_helpers),
		cmocka_unit_test(a_database_that_is_none_is_refused),
		cmocka_unit_test(what_is_said_unasked_ends_the_helper),
	};

	test_lie = mmap(
		NULL, sizeof(*test_lie), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert(test_lie != MAP_FAILED);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
