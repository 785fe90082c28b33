/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program with flows on a live device: each a filter and two counters.
 *
 * usage: live_mapi [-p|-r] DEVICE FILTER...
 *
 * -p: each flow has its last packet kept, too (PKTINFO), for which packets have to be delivered.
 * -r: before the others comes a flow that has packets delivered, of which there are none: so all
 * are counted where packets are captured.
 *
 * Prints "ready", and where the first counter runs; upon SIGUSR1 "COUNTED LOST", of the first flow
 * and of all. Ends at SIGTERM.
 */
#include <mapi.h>
#include <mapi/explain.h>
#include <mapi/pktinfo.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define LIVE_FLOWS_MAX 64

struct live_flow {
	int fd, fid; /* of the counter */
};

static int live_fail(const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";
	int code = 0;

	mapi_read_error(&code, text);
	fprintf(stderr, "live_mapi: %s: %d %s\n", what, code, text);
	return 1;
}

static int live_make(
	const char *device, const char *filter, int wants_packets, struct live_flow *ret)
{
	ret->fd = mapi_create_flow(device);
	if (ret->fd < 0 || mapi_apply_function(ret->fd, "BPF_FILTER", filter) < 0)
		return live_fail("BPF_FILTER");
	ret->fid = mapi_apply_function(ret->fd, "PKT_COUNTER");
	if (ret->fid < 0 || mapi_apply_function(ret->fd, "BYTE_COUNTER") < 0)
		return live_fail("counters");
	if (wants_packets && mapi_apply_function(ret->fd, "PKTINFO", PKT_SIZE) < 0)
		return live_fail("PKTINFO");
	return mapi_connect(ret->fd) < 0 ? live_fail("mapi_connect") : 0;
}

static int live_make_reader(const char *device)
{
	struct live_flow flow;

	return live_make(device, "udp port 1 and udp port 2", 1, &flow);
}

static int live_print(const struct live_flow flows[], int n)
{
	unsigned long long counted = 0, lost = 0;

	for (int i = 0; i < n; i++) {
		struct mapi_result_status status = { .sz = sizeof(status) };
		mapi_results_t *result;

		(void)mapi_flush(flows[i].fd);
		result = mapi_read_results(flows[i].fd, flows[i].fid);
		if (!result || mapi_result_status(flows[i].fd, flows[i].fid, 0, &status) < 0)
			return live_fail("mapi_read_results");
		if (i == 0)
			counted = *(unsigned long long *)result->res;
		for (int k = 0; k < MAPI_N_LOSS; k++)
			lost += status.lost_pkts[k];
	}
	printf("%llu %llu\n", counted, lost);
	return fflush(stdout);
}

int main(int argc, char *argv[])
{
	const int wants_packets = argc > 1 && strcmp(argv[1], "-p") == 0;
	const int has_reader = argc > 1 && strcmp(argv[1], "-r") == 0;
	struct mapi_explanation explained = { .sz = sizeof(explained) };
	struct live_flow flows[LIVE_FLOWS_MAX];
	const int n = argc - 2 - wants_packets - has_reader;
	char **args = argv + 1 + wants_packets + has_reader;
	int number;
	sigset_t set;

	if (n < 1 || n > LIVE_FLOWS_MAX) {
		fprintf(stderr, "usage: live_mapi [-p|-r] DEVICE FILTER...\n");
		return 2;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (has_reader && live_make_reader(args[0]))
		return 1;
	for (int i = 0; i < n; i++)
		if (live_make(args[0], args[1 + i], wants_packets, &flows[i]))
			return 1;
	if (mapi_explain(flows[0].fd, flows[0].fid, &explained) < 0)
		return live_fail("mapi_explain");
	printf("ready: %s\n", explained.reason);
	fflush(stdout);
	while (sigwait(&set, &number) == 0)
		if (live_print(flows, n))
			return 1;
	return 0;
}
