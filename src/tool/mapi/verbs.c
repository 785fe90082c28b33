/* SPDX-License-Identifier: BSD-2-Clause */
/* See verbs.h. */
#include "verbs.h"

#include <getopt.h>
#include <string.h>

#include "text.h"

#define VERB_COLUMN 18 /* where the explanations begin */

/* "-r FILE", or "--json" where there is no letter. */
static int verb_print_option(const struct verb_option *o, FILE *out)
{
	int n = o->id < VERB_LONG ? fprintf(out, "  -%c", o->id) : fprintf(out, "  --%s", o->name);

	return o->argument ? n + fprintf(out, " %s", o->argument) : n;
}

void verb_help(const struct verb *verb, FILE *out)
{
	const struct verb_option *o;

	fputs(verb->intro, out);
	for (o = verb->options; o->id; o++) {
		int n;

		if (!o->help)
			continue;
		n = verb_print_option(o, out);
		if (n > VERB_COLUMN - 2)
			n = fprintf(out, "\n") - 1;
		fprintf(out, "%*s%s\n", VERB_COLUMN - n, "", o->help);
	}
	fputs(verb->outro, out);
}

/* What the user typed is shown harmless; getopt() itself would not do that. */
static void verb_wrong_option(const struct verb *verb, const char *word, int outcome)
{
	const char letter[] = { '-', (char)optopt, '\0' };
	struct text_suggestion s = TEXT_SUGGESTION(word + 2, strcspn(word + 2, "="));
	bool is_long = strncmp(word, "--", 2) == 0;

	fprintf(stderr, "mapi %s: ", verb->name);
	fputs(outcome == ':' ? "a value is missing behind \"" : "there is no option \"", stderr);
	text_safe(stderr, is_long ? word : letter);
	for (const struct verb_option *o = verb->options; o->id && is_long; o++)
		if (o->name)
			text_suggest(&s, o->name);
	if (is_long && outcome != ':' && text_suggested(&s))
		fprintf(stderr, "\"; did you mean --%s?\n", text_suggested(&s));
	else
		fputs("\"\n", stderr);
}

int verb_getopt(const struct verb *verb, int argc, char **argv)
{
	struct option options[VERB_OPTIONS_MAX + 1] = { { NULL, 0, NULL, 0 } };
	char letters[2 * VERB_OPTIONS_MAX + 2] = ":", *letter = letters + 1;
	const struct verb_option *o;
	unsigned int n = 0;
	int option;

	for (o = verb->options; o->id && n < VERB_OPTIONS_MAX; o++) {
		if (o->name)
			options[n++] = (struct option){ .name = o->name,
				.has_arg = o->argument ? required_argument : no_argument,
				.val = o->id };
		if (o->id >= VERB_LONG)
			continue;
		*letter++ = (char)o->id;
		if (o->argument)
			*letter++ = ':';
	}
	*letter = '\0';
	opterr = 0;
	option = getopt_long(argc, argv, letters, options, NULL);
	if (option != '?' && option != ':')
		return option;
	verb_wrong_option(verb, argv[optind - 1], option);
	return '?';
}

int verb_usage(const struct verb *verb, const char *message)
{
	fprintf(stderr, "mapi: %s%s\"mapi help %s\" shows how it is used\n", message ? message : "",
		message ? "\n" : "", verb->name);
	return EXIT_USAGE;
}
