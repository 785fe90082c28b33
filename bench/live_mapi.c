/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program with one flow on a live device: a filter and a counter.
 *
 * usage: live_mapi DEVICE FILTER
 *
 * Prints "ready", and upon SIGUSR1 "COUNTED LOST". Ends at SIGTERM.
 */
#include <mapi.h>
#include <signal.h>
#include <stdio.h>

static int live_fail(const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";
	int code = 0;

	mapi_read_error(&code, text);
	fprintf(stderr, "live_mapi: %s: %d %s\n", what, code, text);
	return 1;
}

int main(int argc, char *argv[])
{
	struct mapi_result_status status;
	mapi_results_t *result;
	int fd, fid, number;
	sigset_t set;

	if (argc != 3) {
		fprintf(stderr, "usage: live_mapi DEVICE FILTER\n");
		return 2;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = mapi_create_flow(argv[1]);
	if (fd < 0 || mapi_apply_function(fd, "BPF_FILTER", argv[2]) < 0)
		return live_fail("BPF_FILTER");
	fid = mapi_apply_function(fd, "PKT_COUNTER");
	if (fid < 0 || mapi_connect(fd) < 0)
		return live_fail("mapi_connect");
	printf("ready\n");
	fflush(stdout);
	while (sigwait(&set, &number) == 0) {
		unsigned long long lost = 0;

		status = (struct mapi_result_status){ .sz = sizeof(status) };
		(void)mapi_flush(fd);
		result = mapi_read_results(fd, fid);
		if (!result || mapi_result_status(fd, fid, 0, &status) < 0)
			return live_fail("mapi_read_results");
		for (int i = 0; i < MAPI_N_LOSS; i++)
			lost += status.lost_pkts[i];
		printf("%llu %llu\n", *(unsigned long long *)result->res, lost);
		fflush(stdout);
	}
	return 0;
}
