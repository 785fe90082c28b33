/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the examples have in common: where their packets come from, and until when.
 *
 *	-r FILE		a capture file, until its end
 *	-i DEVICE	a live device, until Ctrl-C
 *	-t SECONDS	for so long at most
 *
 * That is all that is different between a file and a live device: source_options() takes these
 * options, mapi_create_flow(source.device) makes flows of either, source_start() has a file read
 * when all flows are connected, source_wait() waits for the end, whatever it is. Flows that come
 * to their end early have results like others.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include <mapi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SOURCE_USAGE "-r FILE | -i DEVICE [-t SECONDS]"
#define SOURCE_LOOK_MS 50

/* @read_fd: a flow whose packets are read one by one; 0: there is none */
static struct source {
	const char *path;
	char *device;
	unsigned int seconds;
	int read_fd;
	volatile sig_atomic_t is_over;
} source;

/* Print the last error and end, if a call has failed. */
static inline int source_check(int outcome, const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH];
	int code;

	if (outcome >= 0)
		return outcome;
	mapi_read_error(&code, text);
	fprintf(stderr, "%s: error %d: %s\n", what, code, text);
	exit(EXIT_FAILURE);
}

/* The result of a counter. */
static inline unsigned long long source_number(int fd, int fid)
{
	mapi_results_t *result = mapi_read_results(fd, fid);

	source_check(result ? 0 : -1, "mapi_read_results");
	return *(unsigned long long *)result->res;
}

/* Ctrl-C, or time is over; the next Ctrl-C ends the program at once. mapi_close_flow() may be
 * called here, and has mapi_get_next_pkt() and mapi_loop() return. */
static inline void source_end(int signo)
{
	source.is_over = 1;
	if (source.read_fd)
		mapi_close_flow(source.read_fd);
	signal(signo, SIG_DFL);
}

/* Take the options above. @more: what else the program takes, for who mistypes. Return: the index
 * of the first other argument. */
static inline int source_options(int argc, char **argv, const char *more)
{
	const char *device = NULL;
	int option;

	/* "+": what comes behind may look like an option. */
	while ((option = getopt(argc, argv, "+r:i:t:")) != -1) {
		if (option == 'r')
			source.path = optarg;
		else if (option == 'i')
			device = optarg;
		else if (option != 't' || (source.seconds = (unsigned int)atoi(optarg)) == 0)
			break;
	}
	if (option != -1 || !source.path == !device) {
		fprintf(stderr, "usage: %s " SOURCE_USAGE " %s\n", argv[0], more);
		exit(2);
	}
	source.device =
		source.path ? mapi_create_offline_device(source.path, MFF_PCAP) : (char *)device;
	source_check(source.device ? 0 : -1, source.path);
	return optind;
}

/* To be called when all flows are connected. @read_fd: the one whose packets are read; 0: none */
static inline void source_start(int read_fd)
{
	source.read_fd = read_fd;
	signal(SIGINT, source_end);
	signal(SIGTERM, source_end);
	signal(SIGALRM, source_end);
	if (source.seconds)
		alarm(source.seconds);
	if (source.path)
		source_check(mapi_start_offline_device(source.device), source.path);
}

/* Wait for the end, at most so long; negative: as long as it takes. Return: whether it is the end:
 * then results cover everything before it. */
static inline int source_wait(int fd, int timeout_ms)
{
	int finished = 0, look_ms;

	while (!finished && !source.is_over && timeout_ms != 0) {
		look_ms =
			timeout_ms < 0 || timeout_ms > SOURCE_LOOK_MS ? SOURCE_LOOK_MS : timeout_ms;
		finished = source_check(mapi_wait(fd, look_ms), "mapi_wait");
		if (timeout_ms > 0)
			timeout_ms -= look_ms;
	}
	if (source.is_over && !finished)
		source_check(mapi_flush(fd), "mapi_flush");
	return finished || source.is_over;
}

/* When all flows are closed. */
static inline void source_close(void)
{
	if (source.path)
		mapi_delete_offline_device(source.device);
}

#endif
