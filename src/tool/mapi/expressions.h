/* SPDX-License-Identifier: BSD-2-Clause */
/* What a command line asks for: pipelines, or words of a filter, as one set of pipelines. */
#ifndef MAPI_TOOL_EXPRESSIONS_H
#define MAPI_TOOL_EXPRESSIONS_H

#include "arguments.h"
#include "pipeline.h"

/**
 * struct expressions - where they stand
 * @pipelines:   @n_pipelines expressions (-e)
 * @words:       @n_words after the options: pipelines if the first one looks like one, else words
 *               of a filter
 * @arguments:   with the filter's file, if it has one
 * @verb:        for hints
 */
struct expressions {
	char *const *pipelines;
	unsigned int n_pipelines;
	char *const *words;
	int n_words;
	const struct arguments *arguments;
	const struct verb *verb;
};

/* Fill the set. Without a pipeline, packets and bytes are counted; a filter stands in front of
 * every pipeline. Return: enum exit_code (printed). */
int expressions_build(const struct expressions *e, struct pipeline_set *set);

/* pipeline_resolve(). Return: enum exit_code (printed). */
int expressions_resolve(struct pipeline_set *set);

/* Print what is wrong. @r: of the function that has failed. Return: enum exit_code. */
int expressions_failed(const struct pipeline_error *error, int r);

#endif
