/* SPDX-License-Identifier: BSD-2-Clause */
/* Values of the pipeline language: what was written becomes what the function's description wants.
 */
#include "pipeline_private.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Length of the beginning that all choices share, up to and with its last underscore: "PKT_" of
 * PKT_TS and PKT_SIZE. People may leave it out. */
static size_t pipeline_choice_prefix(const struct mapi_arg *desc)
{
	const char *first = desc->choices[0].name;
	size_t len = strlen(first);
	unsigned int i;

	if (desc->n_choices < 2)
		return 0;
	for (i = 1; i < desc->n_choices; i++) {
		size_t same = 0;

		while (same < len && first[same] == desc->choices[i].name[same])
			same++;
		len = same;
	}
	while (len > 0 && first[len - 1] != '_')
		len--;
	return len;
}

static const struct mapi_choice *pipeline_choice(
	const struct mapi_arg *desc, const char *text, struct text_suggestion *suggestion)
{
	size_t prefix, len = strlen(text);
	unsigned int i;

	if (!desc->n_choices)
		return NULL;
	prefix = pipeline_choice_prefix(desc);
	*suggestion = TEXT_SUGGESTION(text, len);
	for (i = 0; i < desc->n_choices; i++) {
		const char *name = desc->choices[i].name;

		if (text_equal(text, len, name) || text_equal(text, len, name + prefix))
			return &desc->choices[i];
		text_suggest(suggestion, name);
		text_suggest(suggestion, name + prefix);
	}
	return NULL;
}

/* Digits (decimal, or hexadecimal after 0x) with a sign, and k, M or G for thousands.
 * Return: 0, -EINVAL if it is no number, -ERANGE if it is too large. */
static int pipeline_number(const char *text, bool *ret_negative, unsigned long long *ret)
{
	const char *digits = text + (*text == '-' || *text == '+');
	unsigned long long value, scale = 1;
	char *end;

	if (*digits < '0' || *digits > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(digits, &end, digits[0] == '0' && (digits[1] | 32) == 'x' ? 16 : 10);
	if (errno == ERANGE)
		return -ERANGE;
	if (*end == 'k' || *end == 'K')
		scale = 1000;
	else if (*end == 'M')
		scale = 1000000;
	else if (*end == 'G')
		scale = 1000000000;
	if (end[scale > 1])
		return -EINVAL;
	if (value > ULLONG_MAX / scale)
		return -ERANGE;
	*ret_negative = *text == '-' && value;
	*ret = value * scale;
	return 0;
}

static void pipeline_list_choices(const struct mapi_arg *desc, char *out, size_t out_bytes)
{
	size_t n = 0;
	unsigned int i;

	for (i = 0; i < desc->n_choices && n < out_bytes; i++)
		n += (size_t)snprintf(out + n, out_bytes - n, "%s%s", i ? ", " : "one of ",
			desc->choices[i].name);
}

static int pipeline_not_a_number(const char *function, const struct mapi_arg *desc,
	const struct pipeline_arg *arg, const struct text_suggestion *suggestion,
	struct pipeline_error *err)
{
	char choices[200] = "";
	int r = pipeline_fail(err, arg->place, "\"%s\" of %s must be a number%s, not \"%s\"",
		desc->name, function, desc->n_choices ? " or a name" : "", arg->text);

	pipeline_list_choices(desc, choices, sizeof(choices));
	pipeline_hint(err, suggestion, desc->n_choices ? choices : desc->help);
	return r;
}

static bool pipeline_in_bounds(const struct mapi_arg *desc, bool negative, unsigned long long value)
{
	bool bounds = desc->min != desc->max;
	unsigned long long most_negative = 1ull + LLONG_MAX;

	if (desc->type == MAPI_ARG_ULL) {
		if (negative)
			return false;
		return !bounds ||
			((desc->min <= 0 || value >= (unsigned long long)desc->min) &&
				desc->max >= 0 && value <= (unsigned long long)desc->max);
	}
	if (value > (negative ? 1ull + INT_MAX : INT_MAX) || value > most_negative)
		return false;
	if (bounds) {
		long long number = negative ? -(long long)value : (long long)value;

		return number >= desc->min && number <= desc->max;
	}
	return true;
}

static int pipeline_check_number(const char *function, const struct mapi_arg *desc,
	struct pipeline_arg *arg, struct pipeline_error *err)
{
	struct text_suggestion suggestion = TEXT_SUGGESTION("", 0);
	const struct mapi_choice *choice = pipeline_choice(desc, arg->text, &suggestion);
	unsigned long long value = 0;
	bool negative = false;
	char text[24];
	int r;

	if (choice) {
		(void)snprintf(text, sizeof(text), "%lld", choice->value);
	} else {
		r = pipeline_number(arg->text, &negative, &value);
		if (r == -EINVAL)
			return pipeline_not_a_number(function, desc, arg, &suggestion, err);
		if (r < 0 || !pipeline_in_bounds(desc, negative, value)) {
			r = pipeline_fail(err, arg->place, "\"%s\" of %s is out of bounds: %s",
				desc->name, function, arg->text);
			if (desc->min != desc->max)
				(void)snprintf(err->hint, sizeof(err->hint),
					"it goes from %lld to %lld", desc->min, desc->max);
			return r;
		}
		(void)snprintf(text, sizeof(text), "%s%llu", negative ? "-" : "", value);
	}
	free(arg->text);
	arg->text = strdup(text);
	return arg->text ? 0 : -ENOMEM;
}

int pipeline_value_check(const char *function, const struct mapi_arg *desc,
	struct pipeline_arg *arg, struct pipeline_error *err)
{
	switch (desc->type) {
	case MAPI_ARG_INT:
	case MAPI_ARG_ULL:
		return pipeline_check_number(function, desc, arg, err);
	case MAPI_ARG_CHAR:
		if (strlen(arg->text) == 1 &&
			(arg->quoted || *arg->text < '0' || *arg->text > '9')) {
			char text[8];

			(void)snprintf(text, sizeof(text), "%d", *arg->text);
			free(arg->text);
			arg->text = strdup(text);
			return arg->text ? 0 : -ENOMEM;
		}
		return pipeline_check_number(function, desc, arg, err);
	case MAPI_ARG_FILE:
		if (!*arg->text)
			return pipeline_fail(err, arg->place, "\"%s\" of %s must name a file",
				desc->name, function);
		return 0;
	case MAPI_ARG_STRING:
	case MAPI_ARG_FLOW:
	case MAPI_ARG_FUNCTION:
	case MAPI_ARG_REFS:
	case MAPI_ARG_FLOWS:
		return 0;
	}
	return pipeline_fail(err, arg->place, "%s has an argument of an unknown type", function);
}
