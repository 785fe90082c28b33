/* SPDX-License-Identifier: BSD-2-Clause */
/* See verbs.h. */
#include "verbs.h"

#include <getopt.h>
#include <string.h>

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

int verb_getopt(const struct verb *verb, int argc, char **argv)
{
	struct option options[VERB_OPTIONS_MAX + 1] = { { NULL, 0, NULL, 0 } };
	char letters[2 * VERB_OPTIONS_MAX + 1], *letter = letters;
	const struct verb_option *o;
	unsigned int n = 0;

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
	return getopt_long(argc, argv, letters, options, NULL);
}

int verb_usage(const struct verb *verb, const char *message)
{
	fprintf(stderr, "mapi: %s%s\"mapi help %s\" shows how it is used\n", message ? message : "",
		message ? "\n" : "", verb->name);
	return EXIT_USAGE;
}
