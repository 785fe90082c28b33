/* SPDX-License-Identifier: BSD-2-Clause */
/* What command lines of several verbs have in common: filters, numbers, output files. */
#ifndef MAPI_TOOL_ARGUMENTS_H
#define MAPI_TOOL_ARGUMENTS_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#include "verbs.h"

/* The words with spaces between; the caller frees. NULL: out of memory. */
char *arguments_join(char *const *words, int n_words);

/* The content of a filter file without its comments ("#" to the end of the line); the caller frees.
 * NULL: printed. */
char *arguments_read_filter(const char *path);

/* A decimal number from 1 to @max for the option @name. Return: 0, -EINVAL (printed). */
int arguments_number(
	const char *name, const char *text, unsigned long long max, unsigned long long *ret);

/* Seconds, a fraction is allowed, from a millisecond to a year. Return: 0, -EINVAL (printed). */
int arguments_seconds(const char *name, const char *text, uint64_t *ret_ms);

enum arguments_format { ARGUMENTS_TEXT, ARGUMENTS_JSON, ARGUMENTS_CSV };

/* Ids of the options for them, in the tables of all verbs that have them. */
#define ARGUMENTS_OPTION_JSON 1000
#define ARGUMENTS_OPTION_CSV 1001

/* Both options, @per says what a line is about. */
#define ARGUMENTS_FORMAT_OPTIONS(per)                                                            \
	{ ARGUMENTS_OPTION_JSON, "json", NULL, VERB_NOTHING, "one object per line and " per },   \
	{                                                                                        \
		ARGUMENTS_OPTION_CSV, "csv", NULL, VERB_NOTHING, "lines of values, after a head" \
	}

/* The command line of a verb that has no other options. Words begin at optind; without @words there
 * may be none. Return: 0, -EINVAL (printed). */
int arguments_only_format(
	const struct verb *verb, int argc, char **argv, bool words, enum arguments_format *ret);

enum arguments_precision {
	ARGUMENTS_PRECISION_AUTO,
	ARGUMENTS_PRECISION_MICRO,
	ARGUMENTS_PRECISION_NANO
};

/* "micro" or "nano". Return: 0, -EINVAL (printed). */
int arguments_precision(const char *text, enum arguments_precision *ret);

/**
 * arguments_output() - how an output file is to be written
 * @path:   "-" is standard output
 * @source: capture file that is read; "" if it is a live device
 * @precision: of a pcap file. In automatic mode it has microseconds only if the source is a plain
 *         pcap file with microseconds, else nanoseconds: so nothing is lost, and files that need no
 *         more stay readable for every program
 * @ret_path: what the library is given, the same lifetime as @path
 * @ret_format: number of the file format as text, static
 *
 * Refuses terminals, and the source itself, which would be emptied before it is read.
 *
 * Return: 0, -EINVAL (printed).
 */
int arguments_output(const char *path, const char *source, enum arguments_precision precision,
	const char **ret_path, const char **ret_format);

#endif
