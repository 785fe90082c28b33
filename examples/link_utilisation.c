/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Utilisation of a link: the bytes that came since the last look, divided by the time between the
 * results.
 *
 *	link_utilisation FILE [SECONDS]
 */
#include <mapi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int fd;

static void terminate(int signo)
{
	(void)signo;
	mapi_close_flow(fd);
	_exit(EXIT_SUCCESS);
}

static int fail(const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH];
	int code;

	mapi_read_error(&code, text);
	fprintf(stderr, "%s: error %d: %s\n", what, code, text);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	unsigned long long bytes, last_bytes = 0, last_us;
	int pause_s = argc > 2 ? atoi(argv[2]) : 1;
	struct mapi_result_status status;
	mapi_results_t *result;
	int fid, finished;

	if (argc < 2) {
		fprintf(stderr, "usage: %s FILE [SECONDS]\n", argv[0]);
		return 2;
	}
	signal(SIGINT, terminate);
	fd = mapi_create_offline_flow(argv[1], MFF_PCAP);
	if (fd < 0)
		return fail(argv[1]);
	fid = mapi_apply_function(fd, "BYTE_COUNTER");
	if (fid < 0 || mapi_connect(fd) < 0)
		return fail("BYTE_COUNTER");
	result = mapi_read_results(fd, fid);
	if (!result)
		return fail("mapi_read_results");
	last_us = result->ts;
	do {
		finished = mapi_wait(fd, pause_s * 1000);
		if (finished < 0)
			return fail("mapi_wait");
		result = mapi_read_results(fd, fid);
		if (!result)
			return fail("mapi_read_results");
		bytes = *(unsigned long long *)result->res;
		printf("%llu bytes, %.2f Mbit/s\n", bytes,
			result->ts > last_us ? 8.0 * (double)(bytes - last_bytes) /
					(double)(result->ts - last_us)
					     : 0.0);
		last_bytes = bytes;
		last_us = result->ts;
	} while (!finished);
	status.sz = sizeof(status);
	if (mapi_result_status(fd, fid, 0, &status) < 0)
		return fail("mapi_result_status");
	if (status.error)
		fprintf(stderr, "%s: %s\n", argv[1], status.error_text);
	mapi_close_flow(fd);
	return status.error ? EXIT_FAILURE : EXIT_SUCCESS;
}
