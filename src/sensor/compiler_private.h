/* SPDX-License-Identifier: BSD-2-Clause */
/* What compiler.c (the queue), compiler_task.c (which asks a helper) and compiler_helper.c (which
 * answers) know of each other. All are one binary, so structs travel as they are. */
#ifndef MAPI_SENSOR_COMPILER_PRIVATE_H
#define MAPI_SENSOR_COMPILER_PRIVATE_H

#include "compiler.h"
#include "nursery.h"

enum compiler_kind { COMPILER_FILTER, COMPILER_SEARCH };

/* Followed by the expression, without the NUL that ends it in memory; or by what a database is to
 * be made of. */
struct compiler_question {
	uint32_t kind; /* enum compiler_kind */
	uint32_t linktype;
	uint32_t n_bytes;
};

/* Followed by instructions or a database if code is 0, by the text of an error if it is
 * COMPILER_WRONG, by nothing if it is COMPILER_NO_MEMORY. */
struct compiler_answer {
	int32_t code;
	uint32_t n_bytes;
};

#define COMPILER_NO_MEMORY (-1)
#define COMPILER_WRONG 1

#define COMPILER_SOURCE_BYTES_MAX (512u << 10) /* a user of the system daemon has less */
#define COMPILER_DATABASE_BYTES_MAX (64u << 20)

/**
 * struct compiler_helper - a helper process, as a thread sees it
 * @uid:    whose expressions it has seen
 * @proven: it has answered
 */
struct compiler_helper {
	struct nursery_child child;
	uid_t uid;
	bool proven;
};

/**
 * struct compiler_task - an expression to be compiled, or a set to be completed
 * @over:    set when nobody wants the answer any more
 * @r, @program, @err: the answer, as of compiler_ask()
 * @set:     the answer's and the question's
 * @source:  what its database is to be made of; @expression: else
 */
struct compiler_task {
	uid_t uid;
	_Atomic bool over;
	int r;
	struct filter_program *program;
	struct search_set *set;
	struct error err;
	struct compiler_question question;
	char *expression;
	uint8_t *source;
};

/* compiler_task.c: have a task done, by this helper or a new one, which is kept for the next. */
void compiler_task_run(
	struct compiler_task *task, struct compiler_helper *helper, struct nursery *nursery);

/* Turn @r, what compiler_ask() or compiler_built() returns, into words. Return: @r. */
int compiler_fail(enum compiler_kind kind, int r, struct error *err);

/* compiler_helper.c: the life of a helper (nursery_new()). */
void compiler_helper_main(void);

#endif
