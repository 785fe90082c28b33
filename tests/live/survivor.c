/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that outlives its daemon: it counts, and reads packets in a second thread, whatever
 * happens to the system daemon meanwhile.
 *
 * usage: survivor DEVICE [FILTER]
 *
 * It counts what is sent to UDP port 9, and reads that, or what passes FILTER. Prints "restarts N"
 * when it begins and whenever the number changes that the library reports. When its standard input
 * has ended, and nothing new has come for a while, it prints
 *
 *   end restarts N gap_ms N count N packets N failed N lost N call_ms N
 *
 * where "failed" is how many calls gave an error although the library may wait for the daemon,
 * "lost" what both flows together report, and "call_ms" the longest call that the daemon answered.
 * Exit status: 0, 1 if it could not begin.
 */
#include <mapi.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "../process.h"

#define SURVIVOR_LOOK_MS 2
#define SURVIVOR_QUIET_S 0.3

static int survivor_buffer_fd, survivor_buffer_fid;
static _Atomic unsigned long long survivor_packets;
static _Atomic unsigned long long survivor_failed;
static _Atomic bool survivor_over;
static double survivor_call_ms;

static void survivor_fail(const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";

	mapi_read_error(NULL, text);
	fprintf(stderr, "survivor: %s: %s\n", what, text);
	if (survivor_failed++ > 100)
		exit(1);
}

static void *survivor_read(void *unused)
{
	while (!survivor_over)
		if (mapi_get_next_pkt(survivor_buffer_fd, survivor_buffer_fid))
			survivor_packets++;
		else if (!survivor_over)
			survivor_fail("mapi_get_next_pkt");
	return NULL;
}

/* A question that the daemon answers. */
static void survivor_ask(int fd)
{
	double begin = process_seconds(), ms;

	if (mapi_flush(fd) < 0)
		survivor_fail("mapi_flush");
	ms = (process_seconds() - begin) * 1e3;
	survivor_call_ms = ms > survivor_call_ms ? ms : survivor_call_ms;
}

/* Until neither flow has got anything for a while. Return: the count. */
static unsigned long long survivor_settle(int fd, int fid)
{
	unsigned long long before = ~0ull, now = 0, count = 0;
	double since = 0;

	while (before != now || process_seconds() - since < SURVIVOR_QUIET_S) {
		mapi_results_t *result = mapi_read_results(fd, fid);

		if (result)
			count = *(unsigned long long *)result->res;
		if (before != now)
			since = process_seconds();
		before = now;
		now = count + survivor_packets;
		process_pause_us(5000);
	}
	return count;
}

static unsigned long long survivor_lost(int fd, int fid)
{
	struct mapi_result_status status = { .sz = sizeof(status) };
	unsigned long long lost = 0;

	if (mapi_result_status(fd, fid, 0, &status) < 0)
		survivor_fail("mapi_result_status");
	for (int i = 0; i < MAPI_N_LOSS; i++)
		lost += status.lost_pkts[i];
	return lost;
}

int main(int argc, char *argv[])
{
	struct mapi_result_status status = { .sz = sizeof(status) };
	struct pollfd input = { .fd = 0, .events = POLLIN };
	unsigned long long restarts = ~0ull, count = 0, lost;
	int fd = argc > 1 ? mapi_create_flow(argv[1]) : -1, fid;
	pthread_t reader;

	survivor_buffer_fd = fd > 0 ? mapi_create_flow(argv[1]) : -1;
	(void)mapi_apply_function(fd, "BPF_FILTER", "udp port 9");
	fid = mapi_apply_function(fd, "PKT_COUNTER");
	(void)mapi_apply_function(
		survivor_buffer_fd, "BPF_FILTER", argc > 2 ? argv[2] : "udp port 9");
	survivor_buffer_fid = mapi_apply_function(survivor_buffer_fd, "TO_BUFFER", 0);
	if (mapi_connect(fd) < 0 || mapi_connect(survivor_buffer_fd) < 0 ||
		pthread_create(&reader, NULL, survivor_read, NULL) != 0) {
		survivor_fail("flows");
		return 1;
	}
	while (poll(&input, 1, SURVIVOR_LOOK_MS) == 0) {
		mapi_results_t *result;

		survivor_ask(fd);
		result = mapi_read_results(fd, fid);
		if (result)
			count = *(unsigned long long *)result->res;
		else
			survivor_fail("mapi_read_results");
		if (mapi_result_status(fd, fid, 0, &status) < 0)
			survivor_fail("mapi_result_status");
		if (status.restarts == restarts)
			continue;
		restarts = status.restarts;
		printf("restarts %llu\n", restarts);
		fflush(stdout);
	}
	count = survivor_settle(fd, fid);
	lost = survivor_lost(fd, fid) + survivor_lost(survivor_buffer_fd, survivor_buffer_fid);
	survivor_over = true;
	(void)mapi_close_flow(survivor_buffer_fd);
	pthread_join(reader, NULL);
	printf("end restarts %llu gap_ms %llu count %llu packets %llu failed %llu lost %llu "
	       "call_ms %.0f\n",
		status.restarts, status.gap_ns / 1000000, count,
		(unsigned long long)survivor_packets, (unsigned long long)survivor_failed, lost,
		survivor_call_ms);
	return mapi_close_flow(fd) < 0;
}
