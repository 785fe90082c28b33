/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * References of the pipeline language: labels and pairs of numbers become steps; then an order is
 * sought in which all steps can be applied. Flows can all be created first, and within a flow
 * functions are applied one after the other, but flows may take turns: so only a cycle is
 * impossible.
 */
#include "pipeline_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int pipeline_find_label(const struct pipeline_set *set, const char *label, size_t len,
	struct pipeline_place place, struct pipeline_step **ret, struct pipeline_error *err)
{
	struct text_suggestion suggestion = TEXT_SUGGESTION(label, len);
	unsigned int i, j;

	for (i = 0; i < set->n_pipelines; i++)
		for (j = 0; j < set->pipelines[i].n_steps; j++) {
			struct pipeline_step *step = set->pipelines[i].steps[j];

			if (!step->label)
				continue;
			if (strlen(step->label) == len && !memcmp(step->label, label, len)) {
				*ret = step;
				return 0;
			}
		}
	for (i = 0; i < set->n_pipelines; i++)
		for (j = 0; j < set->pipelines[i].n_steps; j++)
			if (set->pipelines[i].steps[j]->label)
				text_suggest(&suggestion, set->pipelines[i].steps[j]->label);
	(void)pipeline_fail(err, place, "There is no label \"%.*s\"", (int)len, label);
	pipeline_hint(err, &suggestion, "write @label after the function that is meant");
	return -EINVAL;
}

/* 1-based, at most four digits. */
static bool pipeline_index(const char *text, size_t len, unsigned int *ret)
{
	unsigned int value = 0;
	size_t i;

	if (!len || len > 4)
		return false;
	for (i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned int)(text[i] - '0');
	}
	*ret = value;
	return value > 0;
}

static int pipeline_find_pair(const struct pipeline_set *set, const char *flow, size_t flow_len,
	const char *function, size_t function_len, struct pipeline_place place,
	struct pipeline_step **ret, struct pipeline_error *err)
{
	unsigned int i, j;

	if (!pipeline_index(flow, flow_len, &i) || !pipeline_index(function, function_len, &j)) {
		(void)pipeline_fail(err, place, "A reference must be a label or two numbers");
		pipeline_hint(err, &TEXT_SUGGESTION("", 0),
			"the numbers are the pipeline and the position in it, both from 1");
		return -EINVAL;
	}
	if (i <= set->n_pipelines) {
		const struct pipeline *pipeline = &set->pipelines[i - 1];

		if (j <= pipeline->n_steps - pipeline->n_front) {
			*ret = pipeline->steps[pipeline->n_front + j - 1];
			return 0;
		}
	}
	(void)pipeline_fail(err, place, "There is no function %u in pipeline %u", j, i);
	return -EINVAL;
}

static int pipeline_keep_ref(struct pipeline_arg *arg, struct pipeline_step *to)
{
	struct pipeline_step **refs =
		pipeline_grow(arg->refs, arg->n_refs, sizeof(struct pipeline_step *));

	if (!refs)
		return -ENOMEM;
	arg->refs = refs;
	refs[arg->n_refs++] = to;
	return 0;
}

/* @any_result: of a list; else the function must have a value. */
static int pipeline_add_ref(struct pipeline_arg *arg, struct pipeline_step *to, bool any_result,
	struct pipeline_error *err)
{
	if (any_result ? !to->desc->n_fields || (to->desc->flags & MAPI_FUNCTION_BLOCKING)
		       : !(to->desc->flags & MAPI_FUNCTION_REFERABLE))
		return pipeline_fail(err, arg->place, "%s has no %s that could be referred to",
			to->desc->name, any_result ? "result" : "value");
	return pipeline_keep_ref(arg, to);
}

/* "pipeline,label": flows, by number or by a function of theirs. */
static int pipeline_resolve_flows(
	const struct pipeline_set *set, struct pipeline_arg *arg, struct pipeline_error *err)
{
	const char *at = arg->text;
	int r = 0;

	do {
		struct pipeline_step *to = NULL;
		unsigned int number = 0;
		size_t len;

		at += strspn(at, " ");
		len = strcspn(at, ", ");
		if (!pipeline_index(at, len, &number))
			r = pipeline_find_label(set, at, len, arg->place, &to, err);
		else if (number > set->n_pipelines)
			r = pipeline_fail(err, arg->place, "There is no pipeline %u", number);
		if (r < 0)
			return r;
		number = to ? to->number : number - 1;
		r = pipeline_keep_ref(arg, set->pipelines[number].steps[0]);
		if (r < 0)
			return r;
		at += len + strspn(at + len, " ");
		if (*at && *at != ',')
			return pipeline_fail(
				err, arg->place, "Pipelines must be separated by commas");
	} while (*at++);
	return 0;
}

/* "label,label" or "function@pipeline,..." */
static int pipeline_resolve_list(
	const struct pipeline_set *set, struct pipeline_arg *arg, struct pipeline_error *err)
{
	const char *at = arg->text;
	int r;

	for (;;) {
		struct pipeline_step *to = NULL;
		size_t len, skip = strspn(at, " ");
		const char *pair;

		at += skip;
		len = strcspn(at, ",");
		pair = memchr(at, '@', len);
		if (pair)
			r = pipeline_find_pair(set, pair + 1, len - (size_t)(pair + 1 - at), at,
				(size_t)(pair - at), arg->place, &to, err);
		else
			r = pipeline_find_label(set, at, len, arg->place, &to, err);
		r = r < 0 ? r : pipeline_add_ref(arg, to, true, err);
		if (r < 0)
			return r;
		at += len;
		if (!*at)
			return 0;
		at++;
	}
}

static int pipeline_resolve_pair(const struct pipeline_set *set, struct pipeline_step *step,
	unsigned int index, struct pipeline_error *err)
{
	struct pipeline_arg *flow = &step->args[index], *function = flow + 1;
	struct pipeline_step *to = NULL;
	int r;

	if (pipeline_is_name(flow->text, strlen(flow->text)))
		r = pipeline_find_label(set, flow->text, strlen(flow->text), flow->place, &to, err);
	else
		r = pipeline_find_pair(set, flow->text, strlen(flow->text), function->text,
			strlen(function->text), flow->place, &to, err);
	r = r < 0 ? r : pipeline_add_ref(flow, to, false, err);
	return r < 0 ? r : pipeline_add_ref(function, to, false, err);
}

static int pipeline_resolve_step(
	const struct pipeline_set *set, struct pipeline_step *step, struct pipeline_error *err)
{
	const struct mapi_function_desc *desc = step->desc;
	unsigned int i;
	int r = 0;

	for (i = 0; i < step->n_args && r >= 0; i++) {
		if (desc->args[i].type == MAPI_ARG_REFS && step->args[i].text[0])
			r = pipeline_resolve_list(set, &step->args[i], err);
		else if (desc->args[i].type == MAPI_ARG_FLOWS)
			r = pipeline_resolve_flows(set, &step->args[i], err);
		else if (desc->args[i].type == MAPI_ARG_FLOW && i + 1 < step->n_args &&
			desc->args[i + 1].type == MAPI_ARG_FUNCTION)
			r = pipeline_resolve_pair(set, step, i, err);
		else if (desc->args[i].type == MAPI_ARG_FLOW)
			r = pipeline_fail(err, step->args[i].place,
				"A reference must be a label or two numbers");
	}
	return r;
}

static int pipeline_check_labels(const struct pipeline_set *set, struct pipeline_error *err)
{
	struct pipeline_step *first = NULL;
	unsigned int i, j;
	int r;

	for (i = 0; i < set->n_pipelines; i++)
		for (j = 0; j < set->pipelines[i].n_steps; j++) {
			const struct pipeline_step *step = set->pipelines[i].steps[j];

			if (!step->label)
				continue;
			r = pipeline_find_label(set, step->label, strlen(step->label),
				step->label_place, &first, err);
			if (r < 0)
				return r;
			if (first != step)
				return pipeline_fail(err, step->label_place,
					"The label \"%s\" names two functions", step->label);
		}
	return 0;
}

/* Is all that @step refers to in the order already? @ret_at: the reference that is not. */
static bool pipeline_is_ready(const struct pipeline_step *step, const struct pipeline_arg **ret_at)
{
	unsigned int i, j;

	for (i = 0; i < step->n_args; i++)
		for (j = 0; j < step->args[i].n_refs && /* all flows are made first */
			step->desc->args[i].type != MAPI_ARG_FLOWS;
			j++)
			if (!step->args[i].refs[j]->ordered) {
				*ret_at = &step->args[i];
				return false;
			}
	return true;
}

/* Every pipeline goes as far as it can, in turns, until nothing moves. */
static int pipeline_find_order(struct pipeline_set *set, struct pipeline_error *err)
{
	_cleanup_(cleanup_freep) unsigned int *done = calloc(set->n_pipelines + 1u, sizeof(*done));
	const struct pipeline_arg *stuck = NULL;
	unsigned int i, n_steps = 0;
	bool moved = true;

	for (i = 0; i < set->n_pipelines; i++)
		n_steps += set->pipelines[i].n_steps;
	set->order = calloc(n_steps + 1u, sizeof(struct pipeline_step *));
	if (!done || !set->order)
		return -ENOMEM;
	while (moved) {
		moved = false;
		for (i = 0; i < set->n_pipelines; i++) {
			const struct pipeline *pipeline = &set->pipelines[i];

			while (done[i] < pipeline->n_steps &&
				pipeline_is_ready(pipeline->steps[done[i]], &stuck)) {
				pipeline->steps[done[i]]->ordered = true;
				set->order[set->n_order++] = pipeline->steps[done[i]++];
				moved = true;
			}
		}
	}
	if (set->n_order < n_steps) {
		(void)pipeline_fail(err, stuck->place,
			"This reference can't be made: the function meant would have to come "
			"both before and after this one");
		pipeline_hint(err, &TEXT_SUGGESTION("", 0),
			"refer to a function that stands earlier, or in another pipeline");
		return -EINVAL;
	}
	return 0;
}

int pipeline_resolve(struct pipeline_set *set, struct pipeline_error *ret_error)
{
	unsigned int i, j;
	int r = pipeline_check_labels(set, ret_error);

	for (i = 0; i < set->n_pipelines && r >= 0; i++)
		for (j = 0; j < set->pipelines[i].n_steps && r >= 0; j++)
			r = pipeline_resolve_step(set, set->pipelines[i].steps[j], ret_error);
	return r < 0 ? r : pipeline_find_order(set, ret_error);
}
