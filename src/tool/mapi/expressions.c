/* SPDX-License-Identifier: BSD-2-Clause */
/* See expressions.h. */
#include "expressions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "session.h"

int expressions_failed(const struct pipeline_error *error, int r)
{
	if (r == -ENOMEM) {
		fprintf(stderr, "mapi: out of memory\n");
		return EXIT_DEVICE;
	}
	fputs("mapi: ", stderr);
	pipeline_error_print(stderr, error);
	return EXIT_USAGE;
}

/* @ret_filter: of words or file; the caller frees. NULL: none. Return: enum exit_code. */
static int expressions_parse(
	const struct expressions *e, struct pipeline_set *set, char **ret_filter)
{
	struct pipeline_error error = { .text = "" };
	unsigned int i;
	int r = 0, n_words = e->n_words, j;

	for (i = 0; i < e->n_pipelines && r >= 0; i++)
		r = pipeline_parse(set, e->pipelines[i], mapi_describe_next_function, &error);
	if (e->n_words && r >= 0 && pipeline_recognise(e->words[0], mapi_describe_next_function)) {
		for (j = 0; j < e->n_words && r >= 0; j++)
			r = pipeline_parse(set, e->words[j], mapi_describe_next_function, &error);
		n_words = 0;
	}
	if (r < 0)
		return expressions_failed(&error, r);
	return arguments_filter(e->arguments, e->verb, e->words, n_words, ret_filter);
}

static int expressions_add_implied(const char *filter, struct pipeline_set *set)
{
	struct pipeline_error error = { .text = "" };
	unsigned int i;
	int r = 0;

	if (!set->n_pipelines) {
		r = pipeline_add_step(set, 0, false, "PKT_COUNTER", NULL, 0, NULL,
			mapi_describe_next_function, &error);
		if (r >= 0)
			r = pipeline_add_step(set, 0, false, "BYTE_COUNTER", NULL, 0, NULL,
				mapi_describe_next_function, &error);
	}
	for (i = 0; i < set->n_pipelines && filter && *filter && r >= 0; i++)
		r = pipeline_add_step(set, i, true, "BPF_FILTER", &filter, 1, filter,
			mapi_describe_next_function, &error);
	return r < 0 ? expressions_failed(&error, r) : EXIT_OK;
}

int expressions_build(const struct expressions *e, struct pipeline_set *set)
{
	char *filter = NULL;
	int code = expressions_parse(e, set, &filter);

	if (code == EXIT_OK)
		code = expressions_add_implied(filter, set);
	free(filter);
	return code;
}

int expressions_resolve(struct pipeline_set *set)
{
	struct pipeline_error error = { .text = "" };
	int r = pipeline_resolve(set, &error);

	return r < 0 ? expressions_failed(&error, r) : EXIT_OK;
}
