/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where is a filter wrong? libpcap says what, but not where. This finds the place that its message
 * most probably speaks of: a name that the message quotes, an unpaired parenthesis, or a word that
 * is nearly a keyword.
 */
#ifndef MAPI_TOOL_FILTER_ERROR_H
#define MAPI_TOOL_FILTER_ERROR_H

#include <stdbool.h>

#include "pipeline.h"

/**
 * filter_error_find() - narrow the place of a mistake in a filter expression
 * @whole:   the expression, or the string that holds it
 * @message: what libpcap says
 * @ret_place: the narrowed place; @whole if nothing is found
 * @ret_keyword: the keyword that was probably meant, or NULL
 */
void filter_error_find(struct pipeline_place whole, const char *message,
	struct pipeline_place *ret_place, const char **ret_keyword);

/* Whether a shell has taken a part of the filter, as far as one can tell: it ends where more must
 * follow (what was behind &, |, < or > is gone), or lacks the backslash of "proto \\tcp". */
bool filter_error_is_cut(const char *filter);

#endif
