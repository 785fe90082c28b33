/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mapid: the daemon that runs flows. This file is its command line.
 *
 * A private daemon (--private) serves the one program that started it, under that program's user:
 * it finds its client on descriptor 3, ends when the client does, and outlives no signal to the
 * terminal's process group, because it is the client's business what a signal means.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "background.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "config/config.h"
#include "engine.h"
#include "parent.h"

#define MAPID_CLIENT_FD 3

static void mapid_usage(FILE *to)
{
	(void)fprintf(to,
		"usage: mapid [-f FILE] [-d]\n"
		"       mapid --check-config [FILE]\n"
		"       mapid --private\n"
		"       mapid --help | --version\n"
		"\n"
		"The daemon that runs network flows for libmapi.\n"
		"\n"
		"  -f, --config FILE      instead of %s\n"
		"  -d, --daemon           go to the background when the sockets are there\n"
		"  --check-config [FILE]  say what is wrong with a configuration, and end\n"
		"  --private              serve the program that has started it, on descriptor 3;\n"
		"                         libmapi does this by itself\n"
		"\n"
		"Exit status: 0 after an orderly end, 1 on failure, 2 on wrong usage.\n"
		"See mapid(8) and mapi.conf(5).\n",
		config_default_path());
}

/* Each ring, file and device of a client takes descriptors: as many as the administrator allows,
 * not as few as the default for programs that use select(). */
static void mapid_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit); /* or it stays as it is */
}

/* What a client or a terminal does is no reason to end. */
static void mapid_ignore_signals(void)
{
	(void)signal(SIGPIPE, SIG_IGN); /* these cannot fail for valid numbers */
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of write() */
}

static int mapid_private(void)
{
	int type;
	socklen_t type_bytes = sizeof(type);
	int r;

	if (getsockopt(MAPID_CLIENT_FD, SOL_SOCKET, SO_TYPE, &type, &type_bytes) < 0) {
		log_event(LOG_ERR,
			"descriptor 3 is no socket; --private is for libmapi, which starts the "
			"daemon "
			"by itself");
		return 2;
	}
	mapid_ignore_signals();
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGQUIT, SIG_IGN);
	mapid_raise_limit();
	r = engine_run_private(MAPID_CLIENT_FD);
	if (r < 0) {
		(void)log_errno(LOG_ERR, r, "the private daemon cannot run");
		return 1;
	}
	return 0;
}

/* Notes of a configuration wait until it is known where the log is. */
struct mapid_notes {
	const char *path;
	FILE *lines;
	char *text;
	size_t n_bytes;
};

static void mapid_note(void *context, unsigned int line, const char *text)
{
	struct mapid_notes *notes = context;

	if (notes->lines)
		(void)fprintf(notes->lines, "%s:%u: %s\n", notes->path, line, text);
	else
		log_event(LOG_NOTICE, "%s:%u: %s", notes->path, line, text);
}

static void mapid_tell_notes(struct mapid_notes *notes)
{
	char *line, *rest;

	if (notes->lines)
		(void)fclose(notes->lines); /* what memory was not enough for is missing */
	rest = notes->text;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			log_event(LOG_NOTICE, "%s", line);
	free(notes->text);
}

/* @path: NULL: the usual file, or, if there is none, the built-in configuration. */
static int mapid_configure(struct config **ret, const char *path, struct mapid_notes *notes)
{
	struct error err = ERROR_INIT;
	int r = config_load(ret, notes->path, mapid_note, notes, &err);

	if (r == -ENOENT && !path)
		r = config_load(ret, NULL, NULL, NULL, &err);
	if (r < 0)
		log_event(LOG_ERR, "%s", err.code ? err.text : strerror(-r));
	return r;
}

/* Where messages go from now on. */
static int mapid_begin(const struct config *config, bool background)
{
	int r = 0;

	if (config->log_level > 0)
		log_open("mapid", LOG_DEBUG);
	if (config->logfile)
		r = log_to_file(config->logfile);
	if (r < 0)
		return log_errno(LOG_ERR, r, "%s", config->logfile);
	return background ? background_enter() : 0;
}

static int mapid_system(const char *path, bool background)
{
	_cleanup_(config_freep) struct config *config = NULL;
	struct mapid_notes notes = { .path = path ? path : config_default_path() };
	int r;

	notes.lines = open_memstream(&notes.text, &notes.n_bytes);
	r = mapid_configure(&config, path, &notes);
	if (r == 0)
		r = mapid_begin(config, background);
	mapid_tell_notes(&notes);
	if (r < 0)
		return 1;
	mapid_raise_limit();
	return parent_run(config, engine_run_system) < 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'f' },
		{ "daemon", no_argument, NULL, 'd' },
		{ "check-config", optional_argument, NULL, 'c' },
		{ "private", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	const char *path = NULL;
	bool background = false;
	int option;

	log_open("mapid", LOG_INFO);
	while ((option = getopt_long(argc, argv, "f:dh", options, NULL)) != -1)
		switch (option) {
		case 'f':
			path = optarg;
			break;
		case 'd':
			background = true;
			break;
		case 'c':
			if (!optarg && optind < argc)
				optarg = argv[optind];
			return config_check(optarg ? optarg : path, stdout);
		case 'p':
			return mapid_private();
		case 'h':
			mapid_usage(stdout);
			return 0;
		case 'V':
			(void)puts("mapid " MAPI_VERSION);
			return 0;
		default:
			mapid_usage(stderr);
			return 2;
		}
	if (optind < argc) {
		mapid_usage(stderr);
		return 2;
	}
	return mapid_system(path, background);
}
