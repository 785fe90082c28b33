/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many programs with many flows on one live device.
 *
 * usage: crowd CLIENTS FLOWS DEVICE FILTER
 *
 * CLIENTS processes make FLOWS flows each, every one with FILTER and a counter. When all are
 * connected it prints "ready". At the end of its standard input all counters are read, and the
 * flows closed. It prints the least and the greatest count, the greatest number of packets that any
 * flow reports as lost, and the longest calls of mapi_connect() and mapi_close_flow() in
 * milliseconds:
 *
 *   flows N least N greatest N lost N connect_ms X close_ms X
 *
 * Exit status: 0, 1 if a call fails.
 */
#include <mapi.h>
#include <signal.h>
#include <sys/types.h>

#include "../process.h"

#define CROWD_FLOWS_MAX 4096

struct crowd_outcome {
	unsigned long long least;
	unsigned long long greatest;
	unsigned long long lost;
	double connect_ms;
	double close_ms;
	int failed;
};

static void crowd_fail(const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";
	int code = 0;

	mapi_read_error(&code, text);
	fprintf(stderr, "crowd: %s: %d %s\n", what, code, text);
	_exit(1);
}

static void crowd_connect(int fds[], int fids[], int n_flows, char *argv[], double *longest_ms)
{
	for (int i = 0; i < n_flows; i++) {
		double begin, ms;

		fds[i] = mapi_create_flow(argv[3]);
		if (fds[i] < 0)
			crowd_fail("mapi_create_flow");
		if (mapi_apply_function(fds[i], "BPF_FILTER", argv[4]) < 0)
			crowd_fail("BPF_FILTER");
		fids[i] = mapi_apply_function(fds[i], "PKT_COUNTER");
		if (fids[i] < 0)
			crowd_fail("PKT_COUNTER");
		begin = process_seconds();
		if (mapi_connect(fds[i]) < 0)
			crowd_fail("mapi_connect");
		ms = (process_seconds() - begin) * 1e3;
		*longest_ms = ms > *longest_ms ? ms : *longest_ms;
	}
}

static void crowd_read(int fd, int fid, struct crowd_outcome *outcome)
{
	struct mapi_result_status status = { .sz = sizeof(status) };
	unsigned long long count, lost = 0;
	mapi_results_t *result;

	(void)mapi_flush(fd);
	result = mapi_read_results(fd, fid);
	if (!result || mapi_result_status(fd, fid, 0, &status) < 0)
		crowd_fail("mapi_read_results");
	count = *(unsigned long long *)result->res;
	for (int i = 0; i < MAPI_N_LOSS; i++)
		lost += status.lost_pkts[i];
	outcome->least = count < outcome->least ? count : outcome->least;
	outcome->greatest = count > outcome->greatest ? count : outcome->greatest;
	outcome->lost = lost > outcome->lost ? lost : outcome->lost;
}

/* @ready_fd: told when all are connected; @go_fd: ends when it is time to read */
static void crowd_client(int n_flows, char *argv[], int ready_fd, int go_fd, int outcome_fd)
{
	struct crowd_outcome outcome = { .least = ~0ull };
	int fds[CROWD_FLOWS_MAX], fids[CROWD_FLOWS_MAX];
	char c = 0;

	crowd_connect(fds, fids, n_flows, argv, &outcome.connect_ms);
	if (write(ready_fd, &c, 1) != 1)
		_exit(1);
	close(ready_fd); /* so that one who never writes is missed */
	while (read(go_fd, &c, 1) > 0)
		;
	for (int i = 0; i < n_flows; i++)
		crowd_read(fds[i], fids[i], &outcome);
	for (int i = 0; i < n_flows; i++) {
		double begin = process_seconds(), ms;

		if (mapi_close_flow(fds[i]) < 0)
			crowd_fail("mapi_close_flow");
		ms = (process_seconds() - begin) * 1e3;
		outcome.close_ms = ms > outcome.close_ms ? ms : outcome.close_ms;
	}
	if (write(outcome_fd, &outcome, sizeof(outcome)) != sizeof(outcome))
		_exit(1);
	_exit(0);
}

int main(int argc, char *argv[])
{
	struct crowd_outcome all = { .least = ~0ull }, one;
	int ready[2], go[2], outcomes[2], n_clients, n_flows, n = 0, status, failed = 0;
	char c;

	if (argc != 5 || (n_clients = atoi(argv[1])) < 1 || (n_flows = atoi(argv[2])) < 1 ||
		n_flows > CROWD_FLOWS_MAX) {
		fprintf(stderr, "usage: crowd CLIENTS FLOWS DEVICE FILTER\n");
		return 2;
	}
	if (pipe(ready) < 0 || pipe(go) < 0 || pipe(outcomes) < 0)
		return 1;
	for (int i = 0; i < n_clients; i++)
		if (fork() == 0) {
			close(go[1]);
			crowd_client(n_flows, argv, ready[1], go[0], outcomes[1]);
		}
	close(ready[1]);
	close(go[0]);
	close(outcomes[1]);
	for (int i = 0; i < n_clients; i++)
		if (read(ready[0], &c, 1) != 1)
			return 1;
	printf("ready\n");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	close(go[1]);
	while (read(outcomes[0], &one, sizeof(one)) == sizeof(one)) {
		all.least = one.least < all.least ? one.least : all.least;
		all.greatest = one.greatest > all.greatest ? one.greatest : all.greatest;
		all.lost = one.lost > all.lost ? one.lost : all.lost;
		all.connect_ms = one.connect_ms > all.connect_ms ? one.connect_ms : all.connect_ms;
		all.close_ms = one.close_ms > all.close_ms ? one.close_ms : all.close_ms;
		n++;
	}
	while (wait(&status) > 0)
		failed |= status;
	printf("flows %d least %llu greatest %llu lost %llu connect_ms %.1f close_ms %.1f\n",
		n * n_flows, all.least, all.greatest, all.lost, all.connect_ms, all.close_ms);
	return failed != 0 || n != n_clients;
}
