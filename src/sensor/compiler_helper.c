/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The helper process of the compiler: it answers questions until the engine closes the socket or
 * kills it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <pcap/bpf.h>

#include "base/spin.h"
#include "compiler_private.h"

#define HELPER_SPIN_US 50 /* the next question may be under way */

/* All or nothing: an end within a question is the end. */
static void helper_get(void *ret, size_t n_bytes)
{
	ssize_t n;

	if (n_bytes == 0)
		return;
	(void)spin_poll(NURSERY_CHILD_FD, POLLIN, HELPER_SPIN_US);
	do
		n = recv(NURSERY_CHILD_FD, ret, n_bytes, MSG_WAITALL);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)n_bytes)
		_exit(0);
}

static void helper_put(const void *bytes, size_t n_bytes)
{
	const char *at = bytes;

	while (n_bytes > 0) {
		ssize_t n = send(NURSERY_CHILD_FD, at, n_bytes, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			_exit(0);
		at += n;
		n_bytes -= (size_t)n;
	}
}

static void helper_answer(int code, const void *bytes, size_t n_bytes)
{
	const struct compiler_answer head = { .code = code, .n_bytes = (uint32_t)n_bytes };
	char *answer = malloc(sizeof(head) + n_bytes);

	if (!answer)
		_exit(1);
	memcpy(answer, &head, sizeof(head));
	if (n_bytes > 0)
		memcpy(answer + sizeof(head), bytes, n_bytes);
	helper_put(answer, sizeof(head) + n_bytes); /* at once: the parent wakes once */
	free(answer);
}

static void helper_compile(const char *expression, uint32_t linktype)
{
	struct filter_program *program;
	const struct bpf_insn *insns;
	struct error err = ERROR_INIT;
	int r = filter_compile(&program, expression, linktype, &err);

	if (r == 0) {
		unsigned int n_insns = filter_program_insns(program, &insns);

		helper_answer(0, insns, n_insns * sizeof(insns[0]));
		filter_program_free(program);
	} else if (r == -EINVAL) {
		helper_answer(COMPILER_WRONG, err.text, strlen(err.text));
	} else {
		helper_answer(COMPILER_NO_MEMORY, NULL, 0);
	}
}

static void helper_build(const uint8_t *source, size_t n_bytes)
{
	uint8_t *database;
	size_t database_bytes;
	struct error err = ERROR_INIT;
	int r = search_database_build(source, n_bytes, &database, &database_bytes, &err);

	if (r == 0 && database_bytes <= COMPILER_DATABASE_BYTES_MAX)
		helper_answer(0, database, database_bytes);
	else if (r == -EINVAL)
		helper_answer(COMPILER_WRONG, err.text, strlen(err.text));
	else
		helper_answer(COMPILER_NO_MEMORY, NULL, 0);
	if (r == 0)
		free(database);
}

static void helper_search(size_t n_bytes)
{
	uint8_t *source;

	if (n_bytes > COMPILER_SOURCE_BYTES_MAX)
		_exit(1);
	source = malloc(n_bytes);
	if (!source)
		_exit(1);
	helper_get(source, n_bytes);
	nursery_wind_up();
	helper_build(source, n_bytes);
	free(source);
}

static void helper_filter(size_t n_bytes, uint32_t linktype)
{
	static char expression[FILTER_EXPRESSION_MAX + 1];

	if (n_bytes > FILTER_EXPRESSION_MAX)
		_exit(1);
	helper_get(expression, n_bytes);
	expression[n_bytes] = '\0';
	nursery_wind_up();
	helper_compile(expression, linktype);
}

void compiler_helper_main(void)
{
	(void)prctl(PR_SET_NAME, COMPILER_PROCESS_NAME); /* cannot fail */
	for (;;) {
		struct compiler_question question;

		helper_get(&question, sizeof(question));
		if (question.kind == COMPILER_SEARCH)
			helper_search(question.n_bytes);
		else
			helper_filter(question.n_bytes, question.linktype);
	}
}
