/* SPDX-License-Identifier: BSD-2-Clause */
/* mapi functions: what there is to put into a pipeline, from the descriptions of the functions. */
#include "verbs.h"

#include <stdio.h>
#include <string.h>

#include "base/build.h"
#include "arguments.h"
#include "csv.h"
#include "json.h"
#include "session.h"
#include "text.h"

static const char functions_intro[] =
	"usage: mapi functions [--json|--csv] [NAME ...]\n"
	"\n"
	"Lists the functions for pipelines, or describes some of them: arguments with\n"
	"bounds, defaults and choices, result, error codes, an example.\n"
	"\n"
	"  mapi functions\n"
	"  mapi functions STATS\n"
	"  mapi functions --json\n"
	"\n";

enum functions_option { FUNCTIONS_NAMES = VERB_LONG };

static const struct verb_option functions_options[] = {
	ARGUMENTS_FORMAT_OPTIONS("function"),
	{ FUNCTIONS_NAMES, "names", NULL, VERB_NOTHING, NULL }, /* for completion */
	VERB_OPTION_END,
};

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
	char text[512];
	size_t n = (size_t)snprintf(text, sizeof(text), "%s(", desc->name);
	bool first = true;
	unsigned int i;

	for (i = 0; i < desc->n_args && n < sizeof(text); i++) {
		const struct mapi_arg *arg = &desc->args[i];

		/* A label stands for both numbers of a reference. */
		if (arg->type == MAPI_ARG_FUNCTION)
			continue;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%s%s", first ? "" : ", ",
			arg->name, arg->default_text ? "=" : "",
			arg->default_text ? arg->default_text : "");
		first = false;
	}
	if (n < sizeof(text))
		(void)snprintf(text + n, sizeof(text) - n, ")  [%s]", desc->library);
	text_wrap(stdout, text, 0);
}

static void functions_describe_arg(const struct mapi_arg *arg)
{
	char text[512];
	unsigned int j;
	size_t n;

	printf("    %-10s %-9s ", arg->name, functions_arg_type(arg));
	n = (size_t)snprintf(text, sizeof(text), "%s", arg->help ? arg->help : "");
	if (arg->min != arg->max && n < sizeof(text))
		n += (size_t)snprintf(
			text + n, sizeof(text) - n, " From %lld to %lld.", arg->min, arg->max);
	for (j = 0; j < arg->n_choices && n < sizeof(text); j++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s (%lld)%s",
			j ? ", " : " One of ", arg->choices[j].name, arg->choices[j].value,
			j + 1 == arg->n_choices ? "." : "");
	if (arg->default_text && *arg->default_text && n < sizeof(text))
		n += (size_t)snprintf(
			text + n, sizeof(text) - n, " Default: %s.", arg->default_text);
	if (arg->error_code && n < sizeof(text))
		(void)snprintf(text + n, sizeof(text) - n, " Else error %d.", arg->error_code);
	text_wrap(stdout, text, 25);
}

static void functions_describe_result(const struct mapi_function_desc *desc)
{
	unsigned int i;

	if (desc->n_fields)
		printf("  result%s:\n",
			desc->flags & MAPI_FUNCTION_BLOCKING ? ", record by record" : "");
	for (i = 0; i < desc->n_fields; i++) {
		const struct mapi_field *field = &desc->fields[i];

		if (desc->record_bytes && i == desc->n_head_fields)
			printf("    in each record of a list:\n");
		printf("    %-16s %-5s %-9s ", field->name, functions_field_type(field),
			field->unit ? field->unit : "");
		text_wrap(stdout, field->help ? field->help : "", 37);
	}
}

static void functions_describe(const struct mapi_function_desc *desc)
{
	static const struct {
		unsigned int flag;
		const char *text;
	} notes[] = {
		{ MAPI_FUNCTION_FILTERS, "Functions after it see what it lets pass." },
		{ MAPI_FUNCTION_TRANSFORMS, "Functions after it see changed packets." },
		{ MAPI_FUNCTION_REFERABLE, "Other functions may refer to its value." },
		{ MAPI_FUNCTION_PACKETS, "Hands packets to the program (mapi dump)." },
	};
	unsigned int i;

	functions_signature(desc);
	printf("  ");
	text_wrap(stdout, desc->help, 2);
	for (i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
		if (desc->flags & notes[i].flag)
			printf("  %s\n", notes[i].text);
	if (desc->n_args)
		printf("  arguments:\n");
	for (i = 0; i < desc->n_args; i++)
		functions_describe_arg(&desc->args[i]);
	functions_describe_result(desc);
	if (*desc->example)
		printf("  example:\n    mapi %s -r f.pcap '%s'\n",
			desc->flags & MAPI_FUNCTION_PACKETS ? "explain" : "run", desc->example);
}

/* One line per part: the function, each argument, each field. */
static void functions_describe_csv(const struct mapi_function_desc *desc)
{
	struct csv c = CSV_TO(stdout);
	unsigned int i, k;

	csv_string(&c, desc->name);
	csv_string(&c, desc->library);
	csv_string(&c, "function");
	csv_string(&c, desc->example);
	for (i = 0; i < 7; i++)
		csv_string(&c, NULL);
	csv_string(&c, desc->help);
	csv_line(&c);
	for (i = 0; i < desc->n_args; i++) {
		const struct mapi_arg *arg = &desc->args[i];
		char choices[512] = "";
		size_t n = 0;

		for (k = 0; k < arg->n_choices && n < sizeof(choices); k++)
			n += (size_t)snprintf(choices + n, sizeof(choices) - n, "%s%s=%lld",
				k ? " " : "", arg->choices[k].name, arg->choices[k].value);
		csv_string(&c, desc->name);
		csv_string(&c, desc->library);
		csv_string(&c, "argument");
		csv_string(&c, arg->name);
		csv_string(&c, functions_arg_type(arg));
		csv_string(&c, arg->default_text);
		if (arg->min != arg->max) {
			csv_i64(&c, arg->min);
			csv_i64(&c, arg->max);
		} else {
			csv_string(&c, NULL);
			csv_string(&c, NULL);
		}
		csv_string(&c, choices);
		csv_i64(&c, arg->error_code);
		csv_string(&c, NULL);
		csv_string(&c, arg->help);
		csv_line(&c);
	}
	for (i = 0; i < desc->n_fields; i++) {
		csv_string(&c, desc->name);
		csv_string(&c, desc->library);
		csv_string(&c, "field");
		csv_string(&c, desc->fields[i].name);
		csv_string(&c, functions_field_type(&desc->fields[i]));
		for (k = 0; k < 5; k++)
			csv_string(&c, NULL);
		csv_string(&c, desc->fields[i].unit);
		csv_string(&c, desc->fields[i].help);
		csv_line(&c);
	}
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
		if (arg->min != arg->max) {
			json_i64(&j, "min", arg->min);
			json_i64(&j, "max", arg->max);
		} else {
			json_null(&j, "min");
			json_null(&j, "max");
		}
		json_object(&j, "choices");
		for (k = 0; k < arg->n_choices; k++)
			json_i64(&j, arg->choices[k].name, arg->choices[k].value);
		json_end_object(&j);
		json_i64(&j, "error", arg->error_code);
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
	json_bool(&j, "packets", desc->flags & MAPI_FUNCTION_PACKETS);
	json_bool(&j, "records", desc->flags & MAPI_FUNCTION_BLOCKING);
	json_string(&j, "example", *desc->example ? desc->example : NULL);
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

/* How a function is described, by format. */
static void (*const functions_printers[])(const struct mapi_function_desc *desc) = {
	[ARGUMENTS_TEXT] = functions_describe,
	[ARGUMENTS_JSON] = functions_describe_json,
	[ARGUMENTS_CSV] = functions_describe_csv,
};

static int functions_named(char *const *names, int n_names, enum arguments_format format)
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
		if (i > 0 && format == ARGUMENTS_TEXT)
			fputc('\n', stdout);
		functions_printers[format](desc);
	}
	return EXIT_OK;
}

static int functions_run(int argc, char **argv)
{
	const struct mapi_function_desc *desc = NULL;
	enum arguments_format format = ARGUMENTS_TEXT;
	bool names = false;
	int option;

	while ((option = verb_getopt(&verb_functions, argc, argv)) != -1) {
		if (option == '?')
			return EXIT_USAGE;
		if (option == FUNCTIONS_NAMES)
			names = true;
		else
			format = option == ARGUMENTS_ID_CSV ? ARGUMENTS_CSV : ARGUMENTS_JSON;
	}
	if (!mapi_describe_next_function(NULL))
		return session_fail(NULL);
	if (format == ARGUMENTS_CSV)
		printf("function,library,part,name,type,default,min,max,choices,error,unit,"
		       "help\r\n");
	if (optind < argc)
		return functions_named(argv + optind, argc - optind, format);
	while ((desc = mapi_describe_next_function(desc))) {
		if (names)
			printf("%s\n", desc->name);
		else if (format != ARGUMENTS_TEXT)
			functions_printers[format](desc);
		else
			printf("%-14s %s\n", desc->name, desc->help);
	}
	return EXIT_OK;
}

const struct verb verb_functions = {
	.name = "functions",
	.summary = "list and describe the functions for pipelines",
	.intro = functions_intro,
	.options = functions_options,
	.outro = "",
	.word = VERB_FUNCTION,
	.run = functions_run,
};
