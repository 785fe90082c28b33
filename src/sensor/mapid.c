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
#include <limits.h>
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
		"usage: mapid [-f FILE] [-g N] [-d] [-s]\n"
		"       mapid [-g N] --check-config [FILE]\n"
		"       mapid --private\n"
		"       mapid --help | --version\n"
		"\n"
		"The daemon that runs network flows for libmapi.\n"
		"\n"
		"  -f, --config FILE      instead of %s\n"
		"  -g, --devgroup N       serve only devices whose section has devgroup=N\n"
		"  -d, --daemon           go to the background when the sockets are there\n"
		"  -s, --syslog           messages go to syslog, unless there is logfile=\n"
		"  --check-config [FILE]  say what is wrong with a configuration, or what it "
		"comes\n"
		"                         to, and end\n"
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

/**
 * struct mapid_options - what the command line says
 * @path:     of the configuration; NULL: the usual file, or, if there is none, the built-in one
 * @devgroup: 0: all devices
 */
struct mapid_options {
	const char *path;
	int devgroup;
	bool background;
	bool syslog;
	bool check;
};

static int mapid_configure(
	struct config **ret, const struct mapid_options *options, struct mapid_notes *notes)
{
	_cleanup_(config_freep) struct config *config = NULL;
	struct error err = ERROR_INIT;
	int r = config_load(&config, notes->path, mapid_note, notes, &err);

	if (r == -ENOENT && !options->path)
		r = config_load(&config, NULL, NULL, NULL, &err);
	if (r == 0 && options->devgroup > 0)
		r = config_keep_devgroup(config, options->devgroup, &err);
	if (r < 0)
		log_event(LOG_ERR, "%s", err.code ? err.text : strerror(-r));
	else
		*ret = TAKE(config);
	return r;
}

/* Where messages go from now on. */
static int mapid_begin(const struct config *config, const struct mapid_options *options)
{
	int r = 0;

	if (config->log_level > 0)
		log_open("mapid", LOG_DEBUG);
	if (config->logfile)
		r = log_to_file(config->logfile);
	if (r < 0)
		return log_errno(LOG_ERR, r, "%s", config->logfile);
	if (options->syslog)
		(void)log_to_system(); /* a file that is configured goes first */
	return options->background ? background_enter() : 0;
}

static int mapid_system(const struct mapid_options *options)
{
	_cleanup_(config_freep) struct config *config = NULL;
	struct mapid_notes notes = { .path = options->path ? options->path
							   : config_default_path() };
	int r;

	notes.lines = open_memstream(&notes.text, &notes.n_bytes);
	r = mapid_configure(&config, options, &notes);
	if (r == 0)
		r = mapid_begin(config, options);
	mapid_tell_notes(&notes);
	if (r < 0)
		return 1;
	mapid_raise_limit();
	return parent_run(config, engine_run_system) < 0;
}

/* The number of a group of devices. Return: 0: it is none. */
static int mapid_devgroup(const char *text)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno == 0 && *text >= '0' && *text <= '9' && !*end && value <= INT_MAX && value > 0)
		return (int)value;
	(void)fprintf(stderr, "mapid: -g %s: the number of a group is possible, from 1 to %d\n",
		text, INT_MAX);
	return 0;
}

/* Return: -1: go on; else the exit status. */
static int mapid_option(int option, struct mapid_options *options)
{
	switch (option) {
	case 'f':
		options->path = optarg;
		return -1;
	case 'g':
		options->devgroup = mapid_devgroup(optarg);
		return options->devgroup ? -1 : 2;
	case 'd':
		options->background = true;
		return -1;
	case 's':
		options->syslog = true;
		return -1;
	case 'c':
		options->check = true;
		if (optarg)
			options->path = optarg;
		return -1;
	case 'p':
		return mapid_private();
	case 'h':
		mapid_usage(stdout);
		return 0;
	case 'v':
		(void)puts("mapid " MAPI_VERSION);
		return 0;
	default:
		mapid_usage(stderr);
		return 2;
	}
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'f' },
		{ "devgroup", required_argument, NULL, 'g' },
		{ "daemon", no_argument, NULL, 'd' },
		{ "syslog", no_argument, NULL, 's' },
		{ "check-config", optional_argument, NULL, 'c' },
		{ "private", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	struct mapid_options options = { .path = NULL };
	int option, status;

	log_open("mapid", LOG_INFO);
	while ((option = getopt_long(argc, argv, "f:g:dshv", known, NULL)) != -1) {
		status = mapid_option(option, &options);
		if (status >= 0)
			return status;
	}
	if (options.check && optind < argc)
		options.path = argv[optind++];
	if (optind < argc) {
		(void)fprintf(stderr, "mapid: '%s' belongs to no option\n", argv[optind]);
		mapid_usage(stderr);
		return 2;
	}
	return options.check ? config_check(options.path, options.devgroup, stdout)
			     : mapid_system(&options);
}
