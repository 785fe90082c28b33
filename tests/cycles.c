/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Create, connect and close flows again and again: neither this process nor the daemon may grow.
 *
 * usage: cycles N CAPTURE
 * A tenth of the cycles is for warming up. Descriptors and mappings must then stay equal, memory
 * may grow by 2 MB (allocators keep some; at 10,000 cycles a leak of 200 bytes would show).
 */
#include <mapi/stats.h>

#include "flows.h"
#include "process.h"

/* A sanitizer's allocator maps as it goes; one mapping per cycle would be hundreds. */
#define CYCLES_SLACK_MAPS (CYCLES_SLACK_KB > 2048 ? 64 : 8)
#ifndef CYCLES_SLACK_KB /* a sanitizer's allocator keeps more, however many cycles follow */
#define CYCLES_SLACK_KB 2048
#endif
#define CYCLES_PROCESSES_MAX 16

struct cycles_sizes {
	int fds;
	int maps;
	long rss_kb;
};

static int cycles_one(const char *path, unsigned int n)
{
	const mapi_results_t *result;
	int fd, size, stats;

	fd = mapi_create_offline_flow(path, MFF_PCAP);
	if (fd < 0)
		return -1;
	if (mapi_apply_function(fd, "BPF_FILTER", n % 2 ? "tcp" : "ip and udp") < 0 ||
		mapi_apply_function(fd, "STR_SEARCH", "www", 0, 0) < 0)
		return -1;
	size = mapi_apply_function(fd, "PKTINFO", 1);
	stats = mapi_apply_function(fd, "STATS", fd, size, "0");
	if (stats < 0 || mapi_apply_function(fd, "TO_BUFFER", NOWAIT) < 0)
		return -1;
	if (n % 7 == 0) /* some are closed before they run */
		return mapi_close_flow(fd);
	if (mapi_connect(fd) < 0)
		return -1;
	if (n % 3 == 0 && flows_wait_end(fd) < 0)
		return -1;
	result = mapi_read_results(fd, stats);
	if (!result || result->size != sizeof(stats_t))
		return -1;
	return mapi_close_flow(fd);
}

static void cycles_measure(const int pids[], unsigned int n_pids, struct cycles_sizes ret[])
{
	for (unsigned int i = 0; i < n_pids; i++)
		ret[i] = (struct cycles_sizes){
			.fds = process_fds(pids[i]),
			.maps = process_maps(pids[i]),
			.rss_kb = process_status_kb(pids[i], "VmRSS"),
		};
}

/* The daemon closes what belonged to a flow after it has answered: wait for it to settle. */
static bool cycles_settled(
	const int pids[], unsigned int n_pids, const struct cycles_sizes before[])
{
	struct cycles_sizes now[CYCLES_PROCESSES_MAX];
	double end = process_seconds() + 5;
	bool settled;

	do {
		settled = true;
		cycles_measure(pids, n_pids, now);
		for (unsigned int i = 0; i < n_pids; i++)
			settled &= now[i].fds <= before[i].fds &&
				now[i].maps <= before[i].maps + CYCLES_SLACK_MAPS &&
				now[i].rss_kb <= before[i].rss_kb + CYCLES_SLACK_KB;
		if (!settled)
			process_pause_us(2000);
	} while (!settled && process_seconds() < end);
	for (unsigned int i = 0; i < n_pids; i++)
		printf("process %u: descriptors %d -> %d, mappings %d -> %d, memory %ld -> %ld "
		       "kB\n",
			i, before[i].fds, now[i].fds, before[i].maps, now[i].maps, before[i].rss_kb,
			now[i].rss_kb);
	return settled;
}

int main(int argc, char *argv[])
{
	struct cycles_sizes before[CYCLES_PROCESSES_MAX] = { 0 };
	int pids[CYCLES_PROCESSES_MAX];
	unsigned int n_pids = 0, n_cycles;

	if (argc != 3) {
		fprintf(stderr, "usage: cycles N CAPTURE\n");
		return 2;
	}
	process_adopt();
	n_cycles = (unsigned int)atoi(argv[1]);
	for (unsigned int n = 0; n < n_cycles; n++) {
		if (n == n_cycles / 10) {
			pids[0] = getpid();
			n_pids = 1 + process_below(getpid(), pids + 1, CYCLES_PROCESSES_MAX - 1);
			process_pause_us(50000);
			cycles_measure(pids, n_pids, before);
		}
		if (cycles_one(argv[2], n) < 0) {
			fprintf(stderr, "cycle %u\n", n);
			flows_error("cycles");
			return 1;
		}
	}
	printf("%u cycles, %u processes\n", n_cycles, n_pids);
	if (n_pids < 2) {
		printf("cycles: no daemon below this process\n");
		return 1;
	}
	if (!cycles_settled(pids, n_pids, before)) {
		printf("cycles: something grows\n");
		return 1;
	}
	return 0;
}
