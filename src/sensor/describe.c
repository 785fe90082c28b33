/* SPDX-License-Identifier: BSD-2-Clause */
/* Function descriptors as messages: see describe.h. */
#include "describe.h"

#include <errno.h>
#include <stdlib.h>

#include "base/build.h"
#include "base/cleanup.h"
#include "function/function.h"
#include "mapi/errors.h"

/* protobuf-c wants char *, and only reads it. */
static char *describe_text(const char *text)
{
	union {
		const char *in;
		char *out;
	} cast = { .in = text ? text : "" };

	return cast.out;
}

/* One array of pointers and one of messages in a single block that starts with the pointers. */
#define DESCRIBE_ARRAY(type, n, pointers)                                                   \
	({                                                                                  \
		type **block_ =                                                             \
			calloc(MAX((size_t)(n), (size_t)1), sizeof(type *) + sizeof(type)); \
		for (size_t k_ = 0; block_ && k_ < (n); k_++)                               \
			block_[k_] = (type *)(void *)(block_ + (n)) + k_;                   \
		(pointers) = block_;                                                        \
		block_ ? 0 : -ENOMEM;                                                       \
	})

static int describe_arg(Wire__ArgDesc *ret, const struct mapi_arg *arg)
{
	wire__arg_desc__init(ret);
	ret->name = describe_text(arg->name);
	ret->type = (uint32_t)arg->type;
	ret->has_default = arg->default_text != NULL;
	ret->default_text = describe_text(arg->default_text);
	ret->min = arg->min;
	ret->max = arg->max;
	ret->error_code = arg->error_code;
	ret->help = describe_text(arg->help);
	ret->legacy_optional = arg->legacy_optional;
	if (!arg->n_choices)
		return 0;
	if (DESCRIBE_ARRAY(Wire__Choice, arg->n_choices, ret->choices) < 0)
		return -ENOMEM;
	ret->n_choices = arg->n_choices;
	for (unsigned int i = 0; i < arg->n_choices; i++) {
		wire__choice__init(ret->choices[i]);
		ret->choices[i]->name = describe_text(arg->choices[i].name);
		ret->choices[i]->value = arg->choices[i].value;
	}
	return 0;
}

static int describe_function(Wire__FunctionDesc *ret, const struct mapi_function_desc *desc)
{
	int r = 0;

	wire__function_desc__init(ret);
	ret->name = describe_text(desc->name);
	ret->library = describe_text(desc->library);
	ret->help = describe_text(desc->help);
	ret->result_bytes = desc->result_bytes;
	ret->flags = desc->flags;
	ret->record_bytes = desc->record_bytes;
	ret->list_offset_bytes = desc->list_offset_bytes;
	ret->n_head_fields = desc->n_head_fields;
	ret->example = describe_text(desc->example);
	if (DESCRIBE_ARRAY(Wire__ArgDesc, desc->n_args, ret->args) < 0)
		return -ENOMEM;
	for (unsigned int i = 0; i < desc->n_args && r == 0; i++) {
		r = describe_arg(ret->args[i], &desc->args[i]);
		ret->n_args++;
	}
	if (r < 0 || DESCRIBE_ARRAY(Wire__FieldDesc, desc->n_fields, ret->fields) < 0)
		return -ENOMEM;
	ret->n_fields = desc->n_fields;
	for (unsigned int i = 0; i < desc->n_fields; i++) {
		const struct mapi_field *field = &desc->fields[i];

		wire__field_desc__init(ret->fields[i]);
		ret->fields[i]->name = describe_text(field->name);
		ret->fields[i]->type = (uint32_t)field->type;
		ret->fields[i]->offset_bytes = field->offset_bytes;
		ret->fields[i]->merge = (uint32_t)field->merge;
		ret->fields[i]->unit = describe_text(field->unit);
		ret->fields[i]->help = describe_text(field->help);
	}
	return 0;
}

void describe_free(Wire__DescribeReply *reply)
{
	for (size_t f = 0; f < reply->n_functions; f++) {
		Wire__FunctionDesc *function = reply->functions[f];

		for (size_t i = 0; i < function->n_args; i++)
			free(function->args[i]->choices);
		free(function->args);
		free(function->fields);
	}
	free(reply->functions);
	reply->functions = NULL;
	reply->n_functions = 0;
}

int describe_functions(Wire__DescribeReply *ret, const char *name, struct error *err)
{
	const struct function *one = *name ? function_find(name) : NULL;
	size_t n = one ? 1 : 0;
	int r = 0;

	if (*name && !one) {
		const struct build_part *part = build_left_out(name);
		const char *near = function_suggest(name);

		if (part)
			return error_set(err, MAPI_FUNCTION_NOT_FOUND,
				"this build of MAPI has no %s; build it with meson -D%s=enabled",
				part->function, part->option);
		return error_set(err, MAPI_FUNCTION_NOT_FOUND, "there is no function '%.64s'%s%s%s",
			name, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	}
	while (!one && function_at((unsigned int)n))
		n++;
	wire__describe_reply__init(ret);
	if (DESCRIBE_ARRAY(Wire__FunctionDesc, n, ret->functions) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n && r == 0; i++) {
		const struct function *f = one ? one : function_at((unsigned int)i);

		r = describe_function(ret->functions[i], &f->desc);
		ret->n_functions++;
	}
	if (r < 0)
		describe_free(ret);
	return r;
}
