/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A counter that another flow begins to refer to counts each packet once (semantics O2, C1).
 *
 * usage: moves DEVICE FILTER FUNCTION ARGUMENT RESET
 *
 * A flow connects to DEVICE that only counts; after each line of the standard input another does,
 * with FUNCTION(fd, fid, ARGUMENT, RESET) of its counter. Says "ready:" and where it is counted,
 * "referred:" and the same after each. At the end of the input, and, if FUNCTION is BUCKET, of
 * intervals with packets,
 *
 *   packets N entered N came N lost N last N
 *
 * by the counter (with RESET, together with the intervals), as statistics of the filter, as status
 * of the flow; as lost; and as the last interval with packets gives them. Needs CAP_NET_RAW or a
 * daemon.
 */
#include <mapi.h>
#include <mapi/bucket.h>
#include <mapi/explain.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flush.h"

#define MOVES_SILENCE 100 /* intervals without packets: there are no more */

static void moves_fail(const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";

	mapi_read_error(NULL, text);
	fprintf(stderr, "moves: %s: %s\n", what, text);
	exit(1);
}

static void moves_say(const char *what, int fd, int fid)
{
	struct mapi_explanation e = { .sz = sizeof(e) };

	if (mapi_explain(fd, fid, &e) < 0)
		moves_fail("where it runs");
	printf("%s: %s\n", what, e.reason);
	fflush(stdout);
}

/* What has reached the counter by now. */
static unsigned long long moves_entered(int fd)
{
	mapi_function_info_t info;

	if (flush_patiently(fd) < 0 || mapi_get_function_info(fd, 1, &info) < 0)
		moves_fail("statistics");
	return info.pkts;
}

/* Intervals, until @packets are in them. Return: their sum. */
static unsigned long long moves_intervals(
	int fd, int resets, unsigned long long packets, unsigned long long *ret_last)
{
	unsigned long long sum = 0;

	for (int silence = 0; silence < MOVES_SILENCE; silence++) {
		mapi_results_t *result = mapi_read_results(fd, 1);
		const struct bucket_data *interval = result ? result->res : NULL;

		if (!interval)
			moves_fail("an interval");
		if (interval->data == 0)
			continue;
		sum += interval->data;
		*ret_last = interval->data;
		silence = 0;
		if ((resets ? sum : *ret_last) >= packets)
			break;
	}
	return sum;
}

static void moves_report(int fd, int fid, unsigned long long in_intervals, unsigned long long last)
{
	struct mapi_result_status status = { .sz = sizeof(status) };
	unsigned long long lost = 0, entered = moves_entered(fd);
	mapi_results_t *result = mapi_read_results(fd, fid);

	if (!result || mapi_result_status(fd, fid, 0, &status) < 0)
		moves_fail("the result");
	for (int i = 0; i < MAPI_N_LOSS; i++)
		lost += status.lost_pkts[i];
	printf("packets %llu entered %llu came %llu lost %llu last %llu\n",
		*(unsigned long long *)result->res + in_intervals, entered, status.pkts, lost,
		last);
}

int main(int argc, char *argv[])
{
	unsigned long long sum = 0, last = 0;
	int fd, fid, other = -1, resets;
	char line[16];

	if (argc != 6) {
		fprintf(stderr, "usage: moves DEVICE FILTER FUNCTION ARGUMENT RESET\n");
		return 2;
	}
	resets = atoi(argv[5]);
	fd = mapi_create_flow(argv[1]);
	if (fd < 0 || mapi_apply_function(fd, "BPF_FILTER", argv[2]) < 0)
		moves_fail(argv[2]);
	fid = mapi_apply_function(fd, "PKT_COUNTER");
	if (fid < 0 || mapi_connect(fd) < 0)
		moves_fail("the counter");
	moves_say("ready", fd, fid);
	while (fgets(line, sizeof(line), stdin)) {
		other = mapi_create_flow(argv[1]);
		if (other < 0 ||
			mapi_apply_function(other, argv[3], fd, fid, argv[4], resets) < 0 ||
			mapi_connect(other) < 0)
			moves_fail(argv[3]);
		moves_say("referred", fd, fid);
	}
	if (other >= 0 && !strcmp(argv[3], "BUCKET"))
		sum = moves_intervals(other, resets, moves_entered(fd), &last);
	moves_report(fd, fid, resets ? sum : 0, last);
	return 0;
}
