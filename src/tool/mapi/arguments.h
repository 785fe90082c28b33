/* SPDX-License-Identifier: BSD-2-Clause */
/* What command lines of several verbs have in common: options, filters, numbers, output files. */
#ifndef MAPI_TOOL_ARGUMENTS_H
#define MAPI_TOOL_ARGUMENTS_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#include "text.h"
#include "verbs.h"

/* A decimal number from 1 to @max for the option @name. Return: 0, -EINVAL (printed). */
int arguments_number(
	const char *name, const char *text, unsigned long long max, unsigned long long *ret);

/* Seconds, a fraction is allowed, from a millisecond to a year. Return: 0, -EINVAL (printed). */
int arguments_seconds(const char *name, const char *text, uint64_t *ret_ms);

enum arguments_format { ARGUMENTS_TEXT, ARGUMENTS_JSON, ARGUMENTS_CSV };

enum arguments_precision {
	ARGUMENTS_PRECISION_AUTO,
	ARGUMENTS_PRECISION_MICRO,
	ARGUMENTS_PRECISION_NANO
};

/**
 * struct arguments - what the options below say; borrowed from the command line
 * @input: capture file, "-" or device; NULL: not given
 * @live:  @input is a device
 */
struct arguments {
	const char *input;
	bool live;
	const char *filter_file;
	uint64_t duration_ms;
	enum arguments_format format;
	enum arguments_precision precision;
	enum text_colour_mode colour;
	const char *workers;
	const char *seed;
};

/* Ids of the options that have no letter; other options of verbs begin at VERB_LONG. */
enum arguments_option {
	ARGUMENTS_ID_JSON = 1000,
	ARGUMENTS_ID_CSV,
	ARGUMENTS_ID_COLOUR,
	ARGUMENTS_ID_DURATION,
	ARGUMENTS_ID_PRECISION,
	ARGUMENTS_ID_WORKERS,
	ARGUMENTS_ID_SEED
};

/* Rows of the tables of verbs. */
#define ARGUMENTS_OPTION_READ                                                       \
	{                                                                           \
		'r', "read", "FILE", VERB_FILE,                                     \
			"pcap, pcapng or ERF, also compressed; - is standard input" \
	}
#define ARGUMENTS_OPTION_INTERFACE                                   \
	{                                                            \
		'i', "interface", "DEVICE", VERB_DEVICE,             \
			"capture live (\"mapi devices\" lists them)" \
	}
#define ARGUMENTS_OPTION_FILTER_FILE                                        \
	{                                                                   \
		'F', NULL, "FILE", VERB_FILE, "read the filter from a file" \
	}
#define ARGUMENTS_OPTION_DURATION(help)                                       \
	{                                                                     \
		ARGUMENTS_ID_DURATION, "duration", "SEC", VERB_ANYTHING, help \
	}
#define ARGUMENTS_OPTION_JSON(help)                                 \
	{                                                           \
		ARGUMENTS_ID_JSON, "json", NULL, VERB_NOTHING, help \
	}
/* JSON and CSV; @per says what a line is about. */
#define ARGUMENTS_FORMAT_OPTIONS(per)                                                        \
	ARGUMENTS_OPTION_JSON("one object per line and " per),                               \
	{                                                                                    \
		ARGUMENTS_ID_CSV, "csv", NULL, VERB_NOTHING, "lines of values, after a head" \
	}
#define ARGUMENTS_OPTION_PRECISION(help)                                                   \
	{                                                                                  \
		ARGUMENTS_ID_PRECISION, "time-precision", "micro|nano", VERB_NOTHING, help \
	}
#define ARGUMENTS_OPTION_WORKERS                                     \
	{                                                            \
		ARGUMENTS_ID_WORKERS, "workers", "N", VERB_ANYTHING, \
			"threads (default: one per processor)"       \
	}
#define ARGUMENTS_OPTION_SEED                                                         \
	{                                                                             \
		ARGUMENTS_ID_SEED, "seed", "N", VERB_ANYTHING, "of everything random" \
	}
#define ARGUMENTS_OPTION_COLOUR                                                                  \
	{                                                                                        \
		ARGUMENTS_ID_COLOUR, "color", "auto|always|never", VERB_NOTHING, "default: auto" \
	}

/* Take an option that is one of these. Return: EXIT_OK, EXIT_USAGE (printed; also if it is none of
 * them). */
int arguments_take(struct arguments *a, const struct verb *verb, int option, const char *value);

/* --duration is only for live inputs. Return: EXIT_OK, EXIT_USAGE (printed). */
int arguments_check_duration(const struct arguments *a, const struct verb *verb);

/* The same; and there must be an input. */
int arguments_need_input(const struct arguments *a, const struct verb *verb);

/* The filter of a file or of words, not both; *ret is NULL if there is none, else the caller frees.
 * Return: enum exit_code (printed). */
int arguments_filter(const struct arguments *a, const struct verb *verb, char *const *words,
	int n_words, char **ret);

/* The command line of a verb that takes nothing else. Return: EXIT_OK, EXIT_USAGE (printed). */
int arguments_only_format(
	const struct verb *verb, int argc, char **argv, enum arguments_format *ret);

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
