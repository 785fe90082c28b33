/* SPDX-License-Identifier: BSD-2-Clause */
/* Who owns what in a set of pipelines: steps, their arguments, and the expressions they come from.
 */
#include "pipeline_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void *pipeline_grow(void *array, unsigned int n, size_t item_bytes)
{
	return reallocarray(array, (size_t)n + 1, item_bytes);
}

int pipeline_copy(char **ret, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}

void pipeline_step_free(struct pipeline_step *step)
{
	unsigned int i;

	if (!step)
		return;
	for (i = 0; i < step->desc->n_args; i++) {
		free(step->args[i].text);
		free(step->args[i].refs);
	}
	free(step->args);
	free(step->label);
	free(step);
}
void pipeline_set_deinit(struct pipeline_set *set)
{
	unsigned int i, j;

	for (i = 0; i < set->n_pipelines; i++) {
		for (j = 0; j < set->pipelines[i].n_steps; j++)
			pipeline_step_free(set->pipelines[i].steps[j]);
		free(set->pipelines[i].steps);
	}
	for (i = 0; i < set->n_sources; i++)
		free(set->sources[i]);
	free(set->pipelines);
	free(set->sources);
	free(set->order);
	*set = (struct pipeline_set){ .n_pipelines = 0 };
}

int pipeline_step_new(struct pipeline_step **ret, const struct mapi_function_desc *desc)
{
	struct pipeline_step *step = calloc(1, sizeof(*step));

	if (!step)
		return -ENOMEM;
	*step = (struct pipeline_step){ .desc = desc, .fd = -1, .fid = -1 };
	step->args = calloc(desc->n_args + 1u, sizeof(*step->args));
	if (!step->args) {
		free(step);
		return -ENOMEM;
	}
	*ret = step;
	return 0;
}
