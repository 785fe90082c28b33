/* SPDX-License-Identifier: BSD-2-Clause */
/* Arguments of functions: see apply.h. */
#include "apply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mapi/errors.h"

static bool apply_is_text(const struct mapi_arg *arg)
{
	return arg->type == MAPI_ARG_STRING || arg->type == MAPI_ARG_FILE ||
		arg->type == MAPI_ARG_REFS || arg->type == MAPI_ARG_FLOWS;
}

/* A number in any base of C, or the name of a choice. */
static bool apply_parse(const struct mapi_arg *arg, const char *text, struct function_value *ret)
{
	char *end;

	for (unsigned int i = 0; i < arg->n_choices; i++) {
		if (strcasecmp(arg->choices[i].name, text) == 0) {
			ret->number = arg->choices[i].value;
			ret->large = (unsigned long long)ret->number;
			return true;
		}
	}
	if (arg->type == MAPI_ARG_CHAR && text[0] && !text[1]) {
		ret->number = (unsigned char)text[0];
		return true;
	}
	errno = 0;
	ret->number = strtoll(text, &end, 0);
	if (end == text || *end)
		return false;
	if (errno == 0) {
		ret->large = (unsigned long long)ret->number;
		return true;
	}
	errno = 0;
	ret->large = strtoull(text, &end, 0);
	ret->number = INT64_MAX;
	return errno == 0 && arg->type == MAPI_ARG_ULL;
}

static int apply_refuse(const struct mapi_function_desc *desc, const struct mapi_arg *arg,
	const char *given, struct error *err)
{
	char choices[160] = "";

	for (unsigned int i = 0; i < arg->n_choices; i++) {
		size_t used = strlen(choices);

		(void)snprintf(choices + used, sizeof(choices) - used, "%s%s",
			i ? ", " : "; one of ",
			arg->choices[i].name); /* a cut list is still useful */
	}
	if (arg->min != arg->max && !arg->n_choices)
		(void)snprintf(choices, sizeof(choices), "; %lld to %lld", arg->min, arg->max);
	return error_set(err, arg->error_code ? arg->error_code : MFUNCT_INVALID_ARGUMENT,
		"%s: argument '%s' cannot be '%.80s'%s", desc->name, arg->name, given, choices);
}

static int apply_number(const struct mapi_function_desc *desc, const struct mapi_arg *arg,
	const Wire__Value *value, struct function_value *ret, struct error *err)
{
	char given[32];

	switch (value->kind_case) {
	case WIRE__VALUE__KIND_NUMBER:
		ret->number = value->number;
		ret->large = (unsigned long long)value->number;
		break;
	case WIRE__VALUE__KIND_LARGE:
		ret->large = value->large;
		ret->number = value->large > INT64_MAX ? INT64_MAX : (long long)value->large;
		break;
	default:
		if (!apply_parse(arg, value->text, ret))
			return apply_refuse(desc, arg, value->text, err);
	}
	if (arg->type == MAPI_ARG_INT && ret->number != (int)ret->number)
		ret->number = (int)ret->number; /* as the int that historical callers pass */
	if (arg->min != arg->max && (ret->number < arg->min || ret->number > arg->max)) {
		(void)snprintf(given, sizeof(given), "%lld", ret->number);
		return apply_refuse(desc, arg, given, err);
	}
	return 0;
}

static int apply_value(struct apply_values *ret, unsigned int i,
	const struct mapi_function_desc *desc, const Wire__Value *value, struct error *err)
{
	const struct mapi_arg *arg = &desc->args[i];

	if (!apply_is_text(arg))
		return apply_number(desc, arg, value, &ret->values[i], err);
	if (value->kind_case == WIRE__VALUE__KIND_TEXT) {
		ret->values[i].text = value->text;
		return 0;
	}
	if (value->kind_case == WIRE__VALUE__KIND_LARGE)
		(void)snprintf(ret->texts[i], sizeof(ret->texts[i]), "%llu",
			(unsigned long long)value->large);
	else
		(void)snprintf(
			ret->texts[i], sizeof(ret->texts[i]), "%lld", (long long)value->number);
	ret->values[i].text = ret->texts[i];
	return 0;
}

static bool apply_given(const Wire__FlowApply *args, unsigned int i)
{
	return i < args->n_args && args->args[i]->kind_case != WIRE__VALUE__KIND_MISSING &&
		args->args[i]->kind_case != WIRE__VALUE__KIND__NOT_SET;
}

unsigned int apply_count_fds(const struct mapi_function_desc *desc, const Wire__FlowApply *args)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < desc->n_args; i++)
		n += desc->args[i].type == MAPI_ARG_FILE && apply_given(args, i);
	return n;
}

int apply_check(struct apply_values *ret, const struct mapi_function_desc *desc,
	const Wire__FlowApply *args, const int *fds, struct error *err)
{
	unsigned int n_fds = 0;
	int r = 0;

	*ret = (struct apply_values){ .texts = { "" } };
	for (unsigned int i = 0; i < desc->n_args && r == 0; i++) {
		const struct mapi_arg *arg = &desc->args[i];
		Wire__Value missing = WIRE__VALUE__INIT;
		union {
			const char *in;
			char *out;
		} cast = { .in = arg->default_text };

		ret->values[i].text = "";
		ret->values[i].fd = -1;
		if (apply_given(args, i)) {
			if (arg->type == MAPI_ARG_FILE)
				ret->values[i].fd = fds[n_fds++];
			r = apply_value(ret, i, desc, args->args[i], err);
		} else if (arg->default_text) {
			missing.kind_case = WIRE__VALUE__KIND_TEXT;
			missing.text = cast.out; /* only read */
			r = apply_value(ret, i, desc, &missing, err);
		} else {
			r = error_set(err,
				arg->error_code ? arg->error_code : MFUNCT_INVALID_ARGUMENT,
				"%s: argument '%s' is missing: %s", desc->name, arg->name,
				arg->help);
		}
	}
	return r;
}
