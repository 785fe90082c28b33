/* SPDX-License-Identifier: BSD-2-Clause */
/* mapi, the command line: finds the verb. A new verb is one file and one line in main_verbs. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/build.h"
#include "mapi.h"
#include "mapi/schema.h"

#include "session.h"
#include "text.h"
#include "verbs.h"

static const struct verb *const main_verbs[] = { &verb_top, &verb_util, &verb_run, &verb_dump,
	&verb_functions, &verb_explain, &verb_devices, &verb_flows, &verb_doctor,
	&verb_completion };

#define MAIN_N_VERBS (sizeof(main_verbs) / sizeof(main_verbs[0]))

const struct verb *verb_at(unsigned int i)
{
	return i < MAIN_N_VERBS ? main_verbs[i] : NULL;
}

static void main_usage(FILE *out)
{
	size_t i;

	fputs("usage: mapi VERB [options] [arguments]\n\n"
	      "Looks into networks and captures: filters, counts, searches, prints, writes.\n\n"
	      "  mapi top                             what is on the network now\n"
	      "  mapi run -r f.pcap tcp port 80       count packets and bytes\n"
	      "  mapi dump -n -r f.pcap udp port 53   print packets\n"
	      "  mapi functions                       what pipelines are made of\n\n"
	      "verbs:\n",
		out);
	for (i = 0; i < MAIN_N_VERBS; i++)
		fprintf(out, "  %-10s %s\n", main_verbs[i]->name, main_verbs[i]->summary);
	fputs("  help       show this, or how a verb is used\n\n"
	      "\"mapi help VERB\" or \"mapi VERB --help\" tells more; \"mapi --version\" the "
	      "version.\n",
		out);
}

static int main_unknown(const char *word)
{
	struct text_suggestion s = TEXT_SUGGESTION(word, strlen(word));
	size_t i;

	for (i = 0; i < MAIN_N_VERBS; i++)
		text_suggest(&s, main_verbs[i]->name);
	text_suggest(&s, "help");
	fputs("mapi: there is no verb \"", stderr);
	text_safe(stderr, word);
	if (text_suggested(&s))
		fprintf(stderr, "\"; did you mean %s?\n", text_suggested(&s));
	else
		fputs("\"; \"mapi help\" lists them\n", stderr);
	return EXIT_USAGE;
}

static const struct verb *main_find(const char *name)
{
	size_t i;

	for (i = 0; i < MAIN_N_VERBS; i++)
		if (!strcmp(name, main_verbs[i]->name))
			return main_verbs[i];
	return NULL;
}

static int main_help(const char *name)
{
	const struct verb *verb = name ? main_find(name) : NULL;

	if (name && !verb && strcmp(name, "help") != 0)
		return main_unknown(name);
	if (verb)
		verb_help(verb, stdout);
	else
		main_usage(stdout);
	return EXIT_OK;
}

static int main_version(void)
{
	const struct mapi_function_desc *desc = NULL;
	const struct build_part *part;
	unsigned int n = 0;
	size_t i = 0;

	printf("mapi " MAPI_TOOL_VERSION "\n"
	       "reads: " MAPI_CAPTURE_FORMATS "; writes: pcap, pcapng\n");
	while ((part = build_part_at(i++)))
		if (!part->is_built)
			printf("without %s: %s (meson -D%s=enabled)\n", part->option, part->cost,
				part->option);
	while ((desc = mapi_describe_next_function(desc)))
		n += (unsigned int)printf("%s%s", n ? " " : "functions: ", desc->name) > 0;
	printf("%s\n", n ? "" : "functions: none, the daemon can't be reached");
	return EXIT_OK;
}

static int main_verb(const struct verb *verb, int argc, char **argv)
{
	char name[32];
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (!strcmp(argv[i], "--help") || (i == 1 && !strcmp(argv[i], "-h"))) {
			verb_help(verb, stdout);
			return EXIT_OK;
		}
	(void)snprintf(name, sizeof(name), "mapi %s", verb->name);
	argv[0] = name; /* for getopt's messages */
	return verb->run(argc, argv);
}

/* What is written is only known to have arrived when the stream is flushed; who flushed before has
 * left a failure in the stream, and its cause has gone. */
static int main_flush(int code)
{
	bool failed;

	errno = 0;
	failed = fflush(stdout) != 0 || ferror(stdout);
	if (!failed || code != EXIT_OK)
		return code;
	fprintf(stderr, "mapi: standard output: %s\n",
		errno ? strerror(errno) : "not all could be written");
	return EXIT_DEVICE;
}

/* If the caller has closed a standard stream, no file that is opened later may take its place. Of
 * what stands there nothing can be read, and nothing can be written to it. */
static void main_keep_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null",
				fd ? O_RDONLY : O_WRONLY); /* the lowest free one: fd */
}

int main(int argc, char **argv)
{
	const struct verb *verb;
	const char *word = argc > 1 ? argv[1] : NULL;

	/* A closed pipe (mapi dump ... | head) ends the program quietly, also if the caller's
	 * caller has left the signal ignored. */
	(void)signal(SIGPIPE, SIG_DFL);
	main_keep_streams();
	if (!word) {
		main_usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(word, "help") || !strcmp(word, "--help") || !strcmp(word, "-h"))
		return main_flush(main_help(argc > 2 ? argv[2] : NULL));
	if (!strcmp(word, "--version") || !strcmp(word, "-V"))
		return main_flush(main_version());
	verb = main_find(word);
	return verb ? main_flush(main_verb(verb, argc - 1, argv + 1)) : main_unknown(word);
}
