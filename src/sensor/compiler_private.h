/* SPDX-License-Identifier: BSD-2-Clause */
/* What compiler.c (the queue), compiler_task.c (which asks a helper) and compiler_helper.c (which
 * answers) know of each other. All are one binary, so structs travel as they are. */
#ifndef MAPI_SENSOR_COMPILER_PRIVATE_H
#define MAPI_SENSOR_COMPILER_PRIVATE_H

#include "compiler.h"
#include "nursery.h"

/* Followed by the expression, without the NUL that ends it in memory. */
struct compiler_question {
	uint32_t linktype;
	uint32_t n_bytes;
};

/* Followed by instructions if code is 0, by the text of an error if it is PCAP_BPF_ERR, by nothing
 * if it is COMPILER_NO_MEMORY. */
struct compiler_answer {
	int32_t code;
	uint32_t n_bytes;
};

#define COMPILER_NO_MEMORY (-1)

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
 * struct compiler_task - an expression to be compiled
 * @over:    set when nobody wants the answer any more
 * @r, @program, @err: the answer, as of compiler_ask()
 */
struct compiler_task {
	uid_t uid;
	_Atomic bool over;
	int r;
	struct filter_program *program;
	struct error err;
	struct compiler_question question;
	char *expression;
};

/* compiler_task.c: have a task done, by this helper or a new one, which is kept for the next. */
void compiler_task_run(
	struct compiler_task *task, struct compiler_helper *helper, struct nursery *nursery);

/* Turn @r, what compiler_ask() returns, into words. Return: @r. */
int compiler_fail(int r, struct error *err);

/* compiler_helper.c: the life of a helper (nursery_new()). */
void compiler_helper_main(void);

#endif
