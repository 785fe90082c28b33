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

#include "base/log.h"
#include "engine.h"

#define MAPID_CLIENT_FD 3

static void mapid_usage(FILE *to)
{
	(void)fputs("usage: mapid --private\n"
		    "       mapid --help | --version\n"
		    "\n"
		    "The daemon that runs network flows for libmapi.\n"
		    "\n"
		    "  --private   serve the program that has started it, on descriptor 3;\n"
		    "              libmapi does this by itself\n"
		    "\n"
		    "Exit status: 0 when the client has gone, 1 on failure, 2 on wrong usage.\n"
		    "See mapid(8).\n",
		to);
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
	(void)signal(SIGPIPE, SIG_IGN); /* these cannot fail for valid numbers */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGQUIT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of write() */
	mapid_raise_limit();
	r = engine_run_private(MAPID_CLIENT_FD);
	if (r < 0) {
		(void)log_errno(LOG_ERR, r, "the private daemon cannot run");
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "private", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int option = getopt_long(argc, argv, "h", options, NULL);

	log_open("mapid", LOG_INFO);
	switch (option) {
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
}
