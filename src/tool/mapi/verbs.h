/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The verbs of the command line: one file each; main.c holds the visible list. What a verb takes is
 * a table, which its help, its parser and the completion of shells read.
 */
#ifndef MAPI_TOOL_VERBS_H
#define MAPI_TOOL_VERBS_H

#include <stdio.h>

/* Documented in mapi(1). */
enum exit_code {
	EXIT_OK = 0,
	EXIT_NO_MATCH = 1, /* grep-like tools only */
	EXIT_USAGE = 2,
	EXIT_PERMISSION = 3,
	EXIT_DEVICE = 4,
	EXIT_DAEMON = 5,
	EXIT_PARTIAL = 6,
	EXIT_INTERRUPTED = 130
};

/* What may stand in a place, for shells that complete it. */
enum verb_word {
	VERB_NOTHING = 0,
	VERB_ANYTHING,
	VERB_FILE,
	VERB_DEVICE,
	VERB_FUNCTION,
	VERB_FILTER, /* words of a filter, or pipelines */
	VERB_VERB
};

/**
 * struct verb_option - one option
 * @id:       its letter, or VERB_LONG and up if it has only a name
 * @name:     without "--"; NULL: it has only a letter
 * @argument: in upper case, or the choices themselves ("auto|always|never"); NULL: takes none
 * @word:     what the argument may be
 * @help:     NULL: accepted out of habit, not shown
 */
struct verb_option {
	int id;
	const char *name;
	const char *argument;
	enum verb_word word;
	const char *help;
};

#define VERB_LONG 256
#define VERB_OPTIONS_MAX 40

/**
 * struct verb - "mapi NAME ..."
 * @summary: one line for the list of verbs
 * @intro:   usage, purpose, three examples
 * @options: up to one without @id
 * @outro:   after the options; may be empty
 * @word:    what the words after the options may be
 * @run:     argv[0] is "mapi NAME"; returns enum exit_code
 */
struct verb {
	const char *name;
	const char *summary;
	const char *intro;
	const struct verb_option *options;
	const char *outro;
	enum verb_word word;
	int (*run)(int argc, char **argv);
};

#define VERB_OPTION_END                           \
	{                                         \
		0, NULL, NULL, VERB_NOTHING, NULL \
	}

/* Print how a verb is used. */
void verb_help(const struct verb *verb, FILE *out);

/* As getopt_long(), by the table. Return: the id of the next option, '?' (printed), -1: no more. */
int verb_getopt(const struct verb *verb, int argc, char **argv);

/* Print what is wrong with a command line, or if that is NULL how to find out. Return: EXIT_USAGE.
 */
int verb_usage(const struct verb *verb, const char *message);

/* All verbs, up to NULL (main.c). */
const struct verb *verb_at(unsigned int i);

extern const struct verb verb_completion;
extern const struct verb verb_devices;
extern const struct verb verb_doctor;
extern const struct verb verb_dump;
extern const struct verb verb_explain;
extern const struct verb verb_flows;
extern const struct verb verb_functions;
extern const struct verb verb_run;
extern const struct verb verb_top;
extern const struct verb verb_util;

#endif
