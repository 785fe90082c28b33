/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mapi completion: what shells need to complete command lines of mapi, from the tables of the
 * verbs. Names of devices and functions are asked for when they are needed.
 */
#include "verbs.h"

#include <string.h>

#include "session.h"

static const char completion_intro[] =
	"usage: mapi completion bash|zsh\n"
	"\n"
	"Prints the completion of command lines for a shell. Packages install it.\n"
	"\n"
	"  . <(mapi completion bash)\n"
	"  mapi completion zsh > ~/.zfunc/_mapi\n"
	"\n";

static const struct verb_option completion_options[] = { VERB_OPTION_END };

/* "-r --read" of one option, with a space behind. */
static void completion_names(const struct verb_option *o)
{
	if (o->id < VERB_LONG)
		printf("-%c ", o->id);
	if (o->name)
		printf("--%s ", o->name);
}

/* What completes a word of this kind, as the name of a shell function. */
static const char *completion_words(enum verb_word word)
{
	switch (word) {
	case VERB_FILE:
		return "files";
	case VERB_DEVICE:
		return "devices";
	case VERB_FUNCTION:
	case VERB_FILTER:
		return "functions";
	case VERB_VERB:
		return "verbs";
	case VERB_NOTHING:
	case VERB_ANYTHING:
		break;
	}
	return "nothing";
}

/* The shells' "case" for the options of @verb that take an argument. */
static void completion_arguments(const struct verb *verb)
{
	const struct verb_option *o;

	for (o = verb->options; o->id; o++) {
		const char *at = o->argument;

		if (!o->help || !at)
			continue;
		printf("\t\t%s,", verb->name);
		if (o->id < VERB_LONG)
			printf("-%c%s", o->id, o->name ? "|" : "");
		if (o->id < VERB_LONG && o->name)
			printf("%s,", verb->name);
		if (o->name)
			printf("--%s", o->name);
		if (!strchr(at, '|')) {
			printf(") _mapi_%s ;;\n", completion_words(o->word));
			continue;
		}
		fputs(") _mapi_choices '", stdout);
		for (; *at; at++)
			fputc(*at == '|' ? ' ' : *at, stdout);
		fputs("' ;;\n", stdout);
	}
}

static void completion_options_of(const struct verb *verb)
{
	const struct verb_option *o;

	printf("\t\t%s) _mapi_choices '", verb->name);
	for (o = verb->options; o->id; o++)
		if (o->help)
			completion_names(o);
	fputs("--help' ;;\n", stdout);
}

/* Both shells understand this, if _mapi_lines completes $_mapi_word from the lines of standard
 * input, each of which is a name, and _mapi_files completes files. Names of devices are anything:
 * no shell may look into them. */
static void completion_common(void)
{
	const struct verb *verb;
	unsigned int i;

	fputs("_mapi_nothing() { :; }\n"
	      "_mapi_choices() { _mapi_lines < <(printf '%s\\n' \"$1\" | tr ' ' '\\n'); }\n"
	      "_mapi_verbs() { _mapi_choices '",
		stdout);
	for (i = 0; (verb = verb_at(i)); i++)
		printf("%s ", verb->name);
	fputs("help'; }\n"
	      "_mapi_devices() { _mapi_lines < <(mapi devices --names 2>/dev/null); }\n"
	      "_mapi_functions() { _mapi_lines < <(mapi functions --names 2>/dev/null); }\n"
	      "_mapi_complete() { # VERB OPTION-BEFORE WORD\n"
	      "\tlocal _mapi_word=$3\n"
	      "\tcase $1,$2 in\n",
		stdout);
	for (i = 0; (verb = verb_at(i)); i++)
		completion_arguments(verb);
	fputs("\t\t*) case $3 in\n"
	      "\t\t-*) case $1 in\n",
		stdout);
	for (i = 0; (verb = verb_at(i)); i++)
		completion_options_of(verb);
	fputs("\t\tesac ;;\n"
	      "\t\t*) case $1 in\n",
		stdout);
	for (i = 0; (verb = verb_at(i)); i++)
		printf("\t\t%s) _mapi_%s ;;\n", verb->name,
			verb == &verb_completion ? "shells" : completion_words(verb->word));
	fputs("\t\thelp) _mapi_verbs ;;\n"
	      "\t\tesac ;;\n"
	      "\t\tesac ;;\n"
	      "\tesac\n"
	      "}\n"
	      "_mapi_shells() { _mapi_choices 'bash zsh'; }\n",
		stdout);
}

static void completion_bash(void)
{
	fputs("# bash completion of mapi(1), made by \"mapi completion bash\"\n"
	      "_mapi_lines() {\n"
	      "\tlocal line quoted\n"
	      "\twhile IFS= read -r line; do\n"
	      "\t\tprintf -v quoted %q \"$line\"\n"
	      "\t\tif [ -n \"$line\" ] && [[ $line == \"$_mapi_word\"* || "
	      "$quoted == \"$_mapi_word\"* ]]; then\n"
	      "\t\t\tCOMPREPLY+=(\"$quoted\")\n"
	      "\t\tfi\n"
	      "\tdone\n"
	      "}\n"
	      "_mapi_files() {\n"
	      "\tlocal names\n"
	      "\tcompopt -o filenames 2>/dev/null\n"
	      "\tmapfile -t names < <(compgen -f -- \"$_mapi_word\")\n"
	      "\tCOMPREPLY+=(\"${names[@]}\")\n"
	      "}\n",
		stdout);
	completion_common();
	fputs("_mapi() {\n"
	      "\tCOMPREPLY=()\n"
	      "\tif [ \"$COMP_CWORD\" = 1 ]; then\n"
	      "\t\tlocal _mapi_word=${COMP_WORDS[1]}\n"
	      "\t\t_mapi_verbs\n"
	      "\telse\n"
	      "\t\t_mapi_complete \"${COMP_WORDS[1]}\" \"${COMP_WORDS[COMP_CWORD-1]}\" "
	      "\"${COMP_WORDS[COMP_CWORD]}\"\n"
	      "\tfi\n"
	      "}\n"
	      "complete -F _mapi mapi\n",
		stdout);
}

static void completion_zsh(void)
{
	fputs("#compdef mapi\n"
	      "# zsh completion of mapi(1), made by \"mapi completion zsh\"\n"
	      "_mapi_lines() {\n"
	      "\tlocal line\n"
	      "\twhile IFS= read -r line; do\n"
	      "\t\t[ -z \"$line\" ] || compadd -- \"$line\"\n"
	      "\tdone\n"
	      "}\n"
	      "_mapi_files() { _files; }\n",
		stdout);
	completion_common();
	fputs("_mapi() {\n"
	      "\tif (( CURRENT == 2 )); then\n"
	      "\t\t_mapi_verbs\n"
	      "\telse\n"
	      "\t\t_mapi_complete \"$words[2]\" \"$words[CURRENT-1]\" \"$words[CURRENT]\"\n"
	      "\tfi\n"
	      "}\n"
	      "if [ \"$funcstack[1]\" = _mapi ]; then _mapi \"$@\"; else compdef _mapi mapi; fi\n",
		stdout);
}

static int completion_run(int argc, char **argv)
{
	int option = verb_getopt(&verb_completion, argc, argv);

	if (option == -1 && optind + 1 == argc && !strcmp(argv[optind], "bash"))
		completion_bash();
	else if (option == -1 && optind + 1 == argc && !strcmp(argv[optind], "zsh"))
		completion_zsh();
	else
		return verb_usage(&verb_completion, "completion is for bash or zsh");
	return EXIT_OK;
}

const struct verb verb_completion = {
	.name = "completion",
	.summary = "print what bash or zsh need to complete command lines",
	.intro = completion_intro,
	.options = completion_options,
	.outro = "",
	.run = completion_run,
};
