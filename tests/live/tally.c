/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flows that only count, while others come and go.
 *
 * usage: tally [-r] DEVICE CHANGES FILTER...
 *
 * -r: before the others a flow is connected that samples, though there are no packets that it
 * wants: so all are counted where packets are captured.
 *
 * Makes a flow of BPF_FILTER, PKT_COUNTER and BYTE_COUNTER for each FILTER ("-": none; "%N FILTER":
 * with SAMPLE(N, PERIODIC) before the counters; "=SPAN FILTER": with STARTSTOP(+0s, SPAN)), says
 * whether it is behind programs of others, "behind FLOW 0|1 TIMES", where each function runs, "tier
 * FLOW FUNCTION kernel|user: REASON", and "ready". Then CHANGES
 * times another flow is connected and closed, which in turn counts packets, wants some of them, or
 * wants all. When that is done it says "changed", with how long the slowest and the middle one of
 * these calls of mapi_connect() and mapi_close_flow() took, in milliseconds; for each line of its
 * standard input where each function runs now, and when that has ended
 *
 *   flow N packets N bytes N entered N passed N lost N
 *
 *   outages N changes N
 *
 * of each flow: what the counters say, the function statistics of the first function, and what the
 * flow reports as lost; and how often the device was not there, or got another name or MTU.
 */
#include <mapi.h>
#include <mapi/explain.h>
#include <mapi/sample.h>

#include "../process.h"
#include "flush.h"

#define TALLY_FLOWS_MAX 512

static void tally_fail(const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";

	mapi_read_error(NULL, text);
	fprintf(stderr, "tally: %s: %s\n", what, text);
	exit(1);
}

static void tally_explain(int fd, int n_functions)
{
	struct mapi_result_status status = { .sz = sizeof(status) };

	if (mapi_result_status(fd, n_functions, 0, &status) < 0)
		tally_fail("mapi_result_status");
	printf("behind %d %d %llu\n", fd, status.behind, status.times_behind);
	for (int fid = 1; fid <= n_functions; fid++) {
		struct mapi_explanation e = { .sz = sizeof(e) };

		if (mapi_explain(fd, fid, &e) < 0)
			tally_fail("mapi_explain");
		printf("tier %d %d %s: %s\n", fd, fid,
			e.tier == MAPI_TIER_KERNEL ? "kernel" : "user", e.reason);
	}
}

/* Return: how many functions it has. */
static int tally_make(const char *device, const char *filter, int *ret)
{
	int fd = mapi_create_flow(device), period = 0, used = 0, has_filter;
	char span[16] = "";

	if (sscanf(filter, "%%%d %n", &period, &used) == 1 ||
		sscanf(filter, "=%15s %n", span, &used) == 1)
		filter += used;
	has_filter = strcmp(filter, "-") != 0;
	if (fd < 0)
		tally_fail("mapi_create_flow");
	if (has_filter && mapi_apply_function(fd, "BPF_FILTER", filter) < 0)
		tally_fail("BPF_FILTER");
	if (period && mapi_apply_function(fd, "SAMPLE", period, PERIODIC) < 0)
		tally_fail("SAMPLE");
	if (span[0] && mapi_apply_function(fd, "STARTSTOP", "+0s", span) < 0)
		tally_fail("STARTSTOP");
	if (mapi_apply_function(fd, "PKT_COUNTER") < 0 ||
		mapi_apply_function(fd, "BYTE_COUNTER") < 0)
		tally_fail("counters");
	if (mapi_connect(fd) < 0)
		tally_fail("mapi_connect");
	*ret = fd;
	return 2 + has_filter + (period || span[0]);
}

/* Something that is done where packets are captured, though none needs to be. */
static void tally_make_reader(const char *device)
{
	int fd = mapi_create_flow(device);

	if (fd < 0 || mapi_apply_function(fd, "BPF_FILTER", "udp port 1 and udp port 2") < 0 ||
		mapi_apply_function(fd, "SAMPLE", 2, PERIODIC) < 0 ||
		mapi_apply_function(fd, "PKT_COUNTER") < 0 || mapi_connect(fd) < 0)
		tally_fail("a flow that samples");
}

/* Return: how long the call took, in milliseconds. */
static double tally_time(int (*call)(int fd), int fd)
{
	double begin = process_seconds();

	if (call(fd) < 0)
		tally_fail("change");
	return (process_seconds() - begin) * 1e3;
}

static void tally_change(const char *device, int i, double *ret_connect_ms, double *ret_close_ms)
{
	char filter[64];
	int fd = mapi_create_flow(device);

	snprintf(filter, sizeof(filter), "udp port 9 and ip[8] > %d", i % 200);
	if (fd < 0)
		tally_fail("mapi_create_flow");
	if (i % 3 != 2 && mapi_apply_function(fd, "BPF_FILTER", filter) < 0)
		tally_fail("BPF_FILTER");
	if ((i % 3 == 0 ? mapi_apply_function(fd, "PKT_COUNTER")
			: mapi_apply_function(fd, "TO_BUFFER", 1)) < 0)
		tally_fail("function");
	*ret_connect_ms = tally_time(mapi_connect, fd);
	*ret_close_ms = tally_time(mapi_close_flow, fd);
}

static int tally_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void tally_print_times(const char *call, double ms[], int n)
{
	qsort(ms, (size_t)n, sizeof(ms[0]), tally_compare);
	printf(" %s_ms %.1f middle %.1f", call, n ? ms[n - 1] : 0, n ? ms[n / 2] : 0);
}

static void tally_changes(const char *device, int n)
{
	double *connect_ms = calloc((size_t)n + 1, sizeof(*connect_ms));
	double *close_ms = calloc((size_t)n + 1, sizeof(*close_ms));

	if (!connect_ms || !close_ms)
		exit(1);
	for (int i = 0; i < n; i++)
		tally_change(device, i, &connect_ms[i], &close_ms[i]);
	printf("changed");
	tally_print_times("connect", connect_ms, n);
	tally_print_times("close", close_ms, n);
	printf("\n");
	fflush(stdout);
	free(connect_ms);
	free(close_ms);
}

static void tally_report(int fd, int n_functions, struct mapi_result_status *ret_status)
{
	struct mapi_result_status status = { .sz = sizeof(status) };
	unsigned long long pkts, bytes, lost = 0;
	mapi_function_info_t info;
	mapi_results_t *result;

	if (flush_patiently(fd) < 0)
		tally_fail("mapi_flush");
	result = mapi_read_results(fd, n_functions - 1);
	pkts = result ? *(unsigned long long *)result->res : 0;
	result = mapi_read_results(fd, n_functions);
	bytes = result ? *(unsigned long long *)result->res : 0;
	if (!result || mapi_result_status(fd, n_functions, 0, &status) < 0)
		tally_fail("mapi_read_results");
	for (int i = 0; i < MAPI_N_LOSS; i++)
		lost += status.lost_pkts[i];
	if (mapi_get_function_info(fd, 1, &info) < 0)
		tally_fail("mapi_get_function_info");
	*ret_status = status;
	printf("flow %d packets %llu bytes %llu entered %llu passed %llu lost %llu\n", fd, pkts,
		bytes, (unsigned long long)info.pkts, (unsigned long long)info.passed_pkts, lost);
}

int main(int argc, char *argv[])
{
	bool has_reader = argc > 1 && !strcmp(argv[1], "-r");
	int fds[TALLY_FLOWS_MAX], n_functions[TALLY_FLOWS_MAX], n, changes;
	struct mapi_result_status status = { .sz = sizeof(status) };
	char c;

	argc -= has_reader;
	argv += has_reader;
	n = argc - 3;
	if (n < 1 || n > TALLY_FLOWS_MAX) {
		fprintf(stderr, "usage: tally [-r] DEVICE CHANGES FILTER...\n");
		return 2;
	}
	if (has_reader)
		tally_make_reader(argv[1]);
	changes = atoi(argv[2]);
	for (int i = 0; i < n; i++)
		n_functions[i] = tally_make(argv[1], argv[3 + i], &fds[i]);
	for (int i = 0; i < n; i++)
		tally_explain(fds[i], n_functions[i]);
	printf("ready\n");
	fflush(stdout);
	tally_changes(argv[1], changes);
	while (read(0, &c, 1) > 0) {
		for (int i = 0; c == '\n' && i < n; i++)
			tally_explain(fds[i], n_functions[i]);
		fflush(stdout);
	}
	for (int i = 0; i < n; i++)
		tally_report(fds[i], n_functions[i], &status);
	printf("outages %llu changes %llu\n", status.outages, status.changes);
	return 0;
}
