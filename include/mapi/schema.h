/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a function takes and what it gives: one description that the library, the command line,
 * JSON, CSV, the manual pages and error messages all read.
 *
 * A program rarely needs this header: mapi_apply_function() and mapi_read_results() are typed by
 * the documentation. Programs that handle functions they do not know (a command line, an exporter)
 * ask mapi_describe_function().
 */
#ifndef MAPI_SCHEMA_H
#define MAPI_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The type of an argument. The values are the historical letters of an argument descriptor, but for
 * MAPI_ARG_FLOWS, which has that of a string there. */
enum mapi_arg_type {
	MAPI_ARG_INT = 'i', /* int */
	MAPI_ARG_ULL = 'l', /* unsigned long long */
	MAPI_ARG_CHAR = 'c', /* char */
	MAPI_ARG_STRING = 's', /* const char * */
	MAPI_ARG_FLOW = 'r', /* int: flow descriptor of a reference */
	MAPI_ARG_FUNCTION = 'f', /* int: function id of the reference that a MAPI_ARG_FLOW began */
	MAPI_ARG_FILE = 'w', /* const char *: path of an output file, which the caller opens */
	MAPI_ARG_REFS = 'S', /* const char *: list of references "fid@fd,fid@fd" */
	MAPI_ARG_FLOWS = 'R' /* const char *: list of flow descriptors "fd,fd" */
};

/* A name that stands for a number, e.g. PERIODIC for 2. */
struct mapi_choice {
	const char *name;
	long long value;
};

struct mapi_arg {
	const char *name; /* lower case, snake_case */
	enum mapi_arg_type type;
	const char *default_text; /* used when the argument is missing; NULL: it is required */
	long long min, max; /* bounds of a number, inclusive; equal: no bounds */
	int error_code; /* mapi/errors.h: reported if it is missing or out of bounds */
	const struct mapi_choice *choices; /* NULL or n_choices names */
	unsigned int n_choices;
	const char *help; /* one sentence */
	bool legacy_optional; /* programs of old leave it out: where what is passed is not known, a
			       * number out of bounds counts as missing */
};

enum mapi_field_type {
	MAPI_FIELD_U16,
	MAPI_FIELD_U32,
	MAPI_FIELD_U64,
	MAPI_FIELD_I32,
	MAPI_FIELD_I64,
	MAPI_FIELD_F64, /* double */
	MAPI_FIELD_F80, /* long double */
	MAPI_FIELD_TS, /* uint64_t, 32.32 fixed point seconds since the Unix epoch */
	MAPI_FIELD_IPV4, /* uint32_t, host byte order */
	MAPI_FIELD_KEY /* value, addr6 and family of struct topx_result (mapi/topx.h): by family an
			* IPv4 address, an IPv6 address or a number */
};

/* How the values of several workers or sensors become one. */
enum mapi_merge {
	MAPI_MERGE_SUM,
	MAPI_MERGE_MAX,
	MAPI_MERGE_MIN,
	MAPI_MERGE_LAST /* of the part that saw the latest packet */
};

struct mapi_field {
	const char *name; /* lower case, snake_case */
	enum mapi_field_type type;
	unsigned int offset_bytes; /* in the result struct; of a list, in its first record */
	enum mapi_merge merge;
	const char *unit; /* "packets", "bytes", "" ... */
	const char *help; /* one sentence */
};

/* Flags of a function. */
#define MAPI_FUNCTION_FILTERS (1u << 0) /* later functions see only what it lets pass */
#define MAPI_FUNCTION_TRANSFORMS (1u << 1) /* later functions see other packets */
#define MAPI_FUNCTION_REFERABLE (1u << 2) /* other functions may refer to its value */
#define MAPI_FUNCTION_PACKETS (1u << 3) /* read by mapi_get_next_pkt() */
#define MAPI_FUNCTION_BLOCKING (1u << 4) /* mapi_read_results() waits for the next record */
#define MAPI_FUNCTION_COUNTED (1u << 5) /* a list says its number of records */

/**
 * struct mapi_function_desc - a function, as its library describes it
 * @name:         upper case
 * @library:      name of its function library, e.g. "stdflib"
 * @help:         one sentence
 * @args:         @n_args arguments in order
 * @fields:       @n_fields fields of the result; none: the function has no result
 * @result_bytes: size of the result that mapi_read_results() returns; of a list, the largest one
 * @flags:        MAPI_FUNCTION_*
 * @record_bytes: 0: the result is one struct. Else it is a list of records of this size each
 * @list_offset_bytes: where the records begin, perhaps unaligned. With MAPI_FUNCTION_COUNTED an
 *                unsigned int at offset 0 says how many there are, else they go to the end of the
 *                result (size in mapi_results_t)
 * @n_head_fields: how many of @fields, from the first on, describe what precedes the list; the
 *                others describe its first record
 * @example:      a pipeline for the command line that uses it, or empty
 */
struct mapi_function_desc {
	const char *name;
	const char *library;
	const char *help;
	const struct mapi_arg *args;
	unsigned int n_args;
	const struct mapi_field *fields;
	unsigned int n_fields;
	unsigned int result_bytes;
	unsigned int flags;
	unsigned int record_bytes;
	unsigned int list_offset_bytes;
	unsigned int n_head_fields;
	const char *example;
};

/**
 * mapi_describe_function() - describe one function
 * @name: "NAME" or "library:NAME"
 *
 * Return: a description that stays valid until the process ends; NULL if there is no such function
 * (mapi_read_error: 6144, with a suggestion) or no daemon.
 */
const struct mapi_function_desc *mapi_describe_function(const char *name);

/**
 * mapi_describe_next_function() - list all functions
 * @previous: NULL for the first, else what the last call returned
 *
 * Return: the function after @previous, NULL after the last.
 */
const struct mapi_function_desc *mapi_describe_next_function(
	const struct mapi_function_desc *previous);

#ifdef __cplusplus
}
#endif

#endif
