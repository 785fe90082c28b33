/* SPDX-License-Identifier: BSD-2-Clause */
/* mapi functions: what there is to put into a pipeline, from the descriptions of the functions. */
#include "verbs.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/build.h"
#include "json.h"
#include "session.h"
#include "text.h"

static const char functions_help[] =
	"usage: mapi functions [--json] [NAME ...]\n"
	"\n"
	"Lists the functions for pipelines, or describes some of them.\n"
	"\n"
	"  mapi functions\n"
	"  mapi functions STATS\n"
	"  mapi functions --json\n";

static const char *functions_arg_type(const struct mapi_arg *arg)
{
	switch (arg->type) {
	case MAPI_ARG_INT:
	case MAPI_ARG_ULL:
		return "number";
	case MAPI_ARG_CHAR:
		return "character";
	case MAPI_ARG_STRING:
		return "string";
	case MAPI_ARG_FLOW:
		return "label";
	case MAPI_ARG_FUNCTION:
		return "function";
	case MAPI_ARG_FILE:
		return "path";
	case MAPI_ARG_REFS:
		return "labels";
	case MAPI_ARG_FLOWS:
		return "pipelines";
	}
	return "?";
}

static const char *functions_field_type(const struct mapi_field *field)
{
	switch (field->type) {
	case MAPI_FIELD_U16:
		return "u16";
	case MAPI_FIELD_U32:
		return "u32";
	case MAPI_FIELD_U64:
		return "u64";
	case MAPI_FIELD_I32:
		return "i32";
	case MAPI_FIELD_I64:
		return "i64";
	case MAPI_FIELD_F64:
		return "f64";
	case MAPI_FIELD_F80:
		return "f80";
	case MAPI_FIELD_TS:
		return "time";
	case MAPI_FIELD_IPV4:
		return "ipv4";
	case MAPI_FIELD_KEY:
		return "key";
	}
	return "?";
}

static void functions_signature(const struct mapi_function_desc *desc)
{
	unsigned int i;
	bool first = true;

	printf("%s(", desc->name);
	for (i = 0; i < desc->n_args; i++) {
		/* A label stands for both numbers of a reference. */
		if (desc->args[i].type == MAPI_ARG_FUNCTION)
			continue;
		printf("%s%s%s%s", first ? "" : ", ", desc->args[i].name,
			desc->args[i].default_text ? "=" : "",
			desc->args[i].default_text ? desc->args[i].default_text : "");
		first = false;
	}
	printf(")");
}

static void functions_describe(const struct mapi_function_desc *desc)
{
	unsigned int i, j;

	functions_signature(desc);
	printf("  [%s]\n  %s\n", desc->library, desc->help);
	for (i = 0; i < desc->n_args; i++) {
		const struct mapi_arg *arg = &desc->args[i];

		printf("  %-12s %-10s %s", arg->name, functions_arg_type(arg),
			arg->help ? arg->help : "");
		if (arg->min != arg->max)
			printf(" (%lld to %lld)", arg->min, arg->max);
		for (j = 0; j < arg->n_choices; j++)
			printf("%s%s = %lld", j ? ", " : " [", arg->choices[j].name,
				arg->choices[j].value);
		printf("%s\n", arg->n_choices ? "]" : "");
	}
	if (desc->n_fields)
		printf("  result:\n");
	for (i = 0; i < desc->n_fields; i++)
		printf("    %-12s %-6s %-8s %s\n", desc->fields[i].name,
			functions_field_type(&desc->fields[i]),
			desc->fields[i].unit ? desc->fields[i].unit : "",
			desc->fields[i].help ? desc->fields[i].help : "");
	printf("%s%s%s%s",
		desc->flags & MAPI_FUNCTION_FILTERS ? "  Later functions see what it lets pass.\n"
						    : "",
		desc->flags & MAPI_FUNCTION_TRANSFORMS ? "  Later functions see changed packets.\n"
						       : "",
		desc->flags & MAPI_FUNCTION_REFERABLE
			? "  Other functions may refer to its value.\n"
			: "",
		desc->flags & MAPI_FUNCTION_BLOCKING ? "  It gives records as they come.\n" : "");
}

static void functions_describe_json(const struct mapi_function_desc *desc)
{
	struct json j = JSON_TO(stdout);
	unsigned int i, k;

	json_object(&j, NULL);
	json_string(&j, "function", desc->name);
	json_string(&j, "library", desc->library);
	json_string(&j, "help", desc->help);
	json_array(&j, "args");
	for (i = 0; i < desc->n_args; i++) {
		const struct mapi_arg *arg = &desc->args[i];

		json_object(&j, NULL);
		json_string(&j, "name", arg->name);
		json_string(&j, "type", functions_arg_type(arg));
		json_string(&j, "default", arg->default_text);
		json_object(&j, "choices");
		for (k = 0; k < arg->n_choices; k++)
			json_i64(&j, arg->choices[k].name, arg->choices[k].value);
		json_end_object(&j);
		json_string(&j, "help", arg->help);
		json_end_object(&j);
	}
	json_end_array(&j);
	json_array(&j, "fields");
	for (i = 0; i < desc->n_fields; i++) {
		json_object(&j, NULL);
		json_string(&j, "name", desc->fields[i].name);
		json_string(&j, "type", functions_field_type(&desc->fields[i]));
		json_string(&j, "unit", desc->fields[i].unit);
		json_string(&j, "help", desc->fields[i].help);
		json_end_object(&j);
	}
	json_end_array(&j);
	json_bool(&j, "filters", desc->flags & MAPI_FUNCTION_FILTERS);
	json_bool(&j, "transforms", desc->flags & MAPI_FUNCTION_TRANSFORMS);
	json_bool(&j, "referable", desc->flags & MAPI_FUNCTION_REFERABLE);
	json_end_object(&j);
	json_line(&j);
}

static int functions_unknown(const char *name, const struct text_suggestion *s)
{
	const struct build_part *part = build_left_out(name);

	if (part) {
		fprintf(stderr, "mapi: this build has no %s; build with meson -D%s=enabled\n",
			part->function, part->option);
		return EXIT_USAGE;
	}
	fputs("mapi: there is no function \"", stderr);
	text_safe(stderr, name);
	fprintf(stderr, "\"%s%s%s\n", text_suggested(s) ? "; did you mean " : "",
		text_suggested(s) ? text_suggested(s) : "", text_suggested(s) ? "?" : "");
	return EXIT_USAGE;
}

static int functions_named(char *const *names, int n_names, bool as_json)
{
	int i;

	for (i = 0; i < n_names; i++) {
		struct text_suggestion s = TEXT_SUGGESTION(names[i], strlen(names[i]));
		const char *colon = strchr(names[i], ':');
		const char *bare = colon ? colon + 1 : names[i];
		const struct mapi_function_desc *desc = NULL;

		while ((desc = mapi_describe_next_function(desc)) &&
			!text_equal(bare, strlen(bare), desc->name))
			text_suggest(&s, desc->name);
		if (!desc)
			return functions_unknown(names[i], &s);
		if (as_json)
			functions_describe_json(desc);
		else
			functions_describe(desc);
	}
	return EXIT_OK;
}

static int functions_run(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	const struct mapi_function_desc *desc = NULL;
	bool as_json = false;
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option != 'j')
			return EXIT_USAGE;
		as_json = true;
	}
	if (!mapi_describe_next_function(NULL))
		return session_fail(NULL);
	if (optind < argc)
		return functions_named(argv + optind, argc - optind, as_json);
	while ((desc = mapi_describe_next_function(desc))) {
		if (as_json)
			functions_describe_json(desc);
		else
			printf("%-14s %s\n", desc->name, desc->help);
	}
	return EXIT_OK;
}

const struct verb verb_functions = {
	.name = "functions",
	.summary = "list and describe the functions for pipelines",
	.help = functions_help,
	.run = functions_run,
};
