/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the pipeline language share. */
#ifndef MAPI_TOOL_PIPELINE_PRIVATE_H
#define MAPI_TOOL_PIPELINE_PRIVATE_H

#include "pipeline.h"

#include "text.h"

/* Fill @err. Return: -EINVAL. */
int pipeline_fail(struct pipeline_error *err, struct pipeline_place place, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Say in the hint which name was probably meant, else @otherwise (may be NULL). */
void pipeline_hint(
	struct pipeline_error *err, const struct text_suggestion *s, const char *otherwise);

/* A value typed by @desc: a choice becomes its number, a suffix is multiplied, bounds are checked.
 * Texts and references stay as they are. @function is for messages.
 * Return: 0 with @arg->text replaced, -EINVAL, -ENOMEM. */
int pipeline_value_check(const char *function, const struct mapi_arg *desc,
	struct pipeline_arg *arg, struct pipeline_error *err);

/* [A-Za-z_][A-Za-z0-9_]* */
bool pipeline_is_name(const char *text, size_t len);

/* The array with room for one more item after its @n; NULL, and @array as it was, without memory.
 */
void *pipeline_grow(void *array, unsigned int n, size_t item_bytes);

/* Return: 0, -ENOMEM. */
int pipeline_copy(char **ret, const char *text);

/* Return: 0, -ENOMEM. */
int pipeline_step_new(struct pipeline_step **ret, const struct mapi_function_desc *desc);
void pipeline_step_free(struct pipeline_step *step); /* takes NULL */
DEFINE_CLEANUP(struct pipeline_step *, pipeline_step_free);

#endif
