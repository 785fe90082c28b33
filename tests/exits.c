/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program as they were written for MAPI 1.x: the status tells the end of the file, looked at once
 * per second, and the signal handler closes the flow and calls exit().
 *
 *	exits FILE
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
	exit(EXIT_SUCCESS);
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
	mapi_flow_info_t info;
	mapi_results_t *result;
	int fid;

	if (argc < 2)
		return 2;
	signal(SIGINT, terminate);
	signal(SIGTERM, terminate);
	fd = mapi_create_offline_flow(argv[1], MFF_PCAP);
	if (fd < 0)
		return fail(argv[1]);
	fid = mapi_apply_function(fd, "PKT_COUNTER");
	if (fid < 0)
		return fail("PKT_COUNTER");
	if (mapi_connect(fd) < 0)
		return fail("mapi_connect");
	do {
		if (mapi_get_flow_info(fd, &info) < 0)
			return fail("mapi_get_flow_info");
		result = mapi_read_results(fd, fid);
		if (!result)
			return fail("mapi_read_results");
		printf("%llu packets\n", *(unsigned long long *)result->res);
		fflush(stdout);
		if (info.status == FLOW_ACTIVE)
			sleep(1);
	} while (info.status == FLOW_ACTIVE);
	mapi_close_flow(fd);
	return EXIT_SUCCESS;
}
