/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A counter that another flow begins to refer to counts each packet once (semantics O2, C1).
 *
 * usage: moves DEVICE FILTER FUNCTION ARGUMENT
 *
 * A flow connects to DEVICE that only counts; after each line of the standard input another does,
 * with FUNCTION(fd, fid, ARGUMENT, 0) of its counter. Says "ready:" and where it is counted,
 * "moved" after each; at the end of the input "packets N entered N lost N" of the counter. Needs
 * CAP_NET_RAW or a daemon.
 */
#include <mapi.h>
#include <mapi/explain.h>

#include <stdio.h>
#include <stdlib.h>

static void moves_fail(const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";

	mapi_read_error(NULL, text);
	fprintf(stderr, "moves: %s: %s\n", what, text);
	exit(1);
}

int main(int argc, char *argv[])
{
	struct mapi_explanation e = { .sz = sizeof(e) };
	struct mapi_result_status status = { .sz = sizeof(status) };
	unsigned long long lost = 0;
	mapi_function_info_t info;
	mapi_results_t *result;
	char line[16];
	int fd, fid;

	if (argc != 5) {
		fprintf(stderr, "usage: moves DEVICE FILTER FUNCTION ARGUMENT\n");
		return 2;
	}
	fd = mapi_create_flow(argv[1]);
	if (fd < 0 || mapi_apply_function(fd, "BPF_FILTER", argv[2]) < 0)
		moves_fail(argv[2]);
	fid = mapi_apply_function(fd, "PKT_COUNTER");
	if (fid < 0 || mapi_connect(fd) < 0)
		moves_fail("the counter");
	if (mapi_explain(fd, fid, &e) < 0)
		moves_fail("where it runs");
	printf("ready: %s\n", e.reason);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		int other = mapi_create_flow(argv[1]);

		if (other < 0 || mapi_apply_function(other, argv[3], fd, fid, argv[4], 0) < 0 ||
			mapi_connect(other) < 0)
			moves_fail(argv[3]);
		puts("moved");
		fflush(stdout);
	}
	if (mapi_flush(fd) < 0)
		moves_fail("mapi_flush");
	result = mapi_read_results(fd, fid);
	if (!result || mapi_get_function_info(fd, 1, &info) < 0)
		moves_fail("the result");
	if (mapi_result_status(fd, fid, 0, &status) < 0)
		moves_fail("what was lost");
	for (int i = 0; i < MAPI_N_LOSS; i++)
		lost += status.lost_pkts[i];
	printf("packets %llu entered %llu lost %llu\n", *(unsigned long long *)result->res,
		(unsigned long long)info.pkts, lost);
	return 0;
}
