/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What mapi_read_results() costs: a loop over data that stays in the first-level cache, without and
 * with one read per round, on the same core, by turns; the difference is the price. And what the
 * daemon's memory is with 100 flows.
 *
 * usage: bench_read CAPTURE [FILTERS]
 * Prints "read_results NS ns" and, with FILTERS (one per line), "daemon_100_flows KB kB".
 */
#include <mapi.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define READ_ROUNDS 1000000u
#define READ_TURNS 15
#define READ_FLOWS 100

static double read_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int read_compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return (d > 0) - (d < 0);
}

static double read_ns_per_round(int fd, int fid, volatile uint64_t cells[512])
{
	double began = read_seconds();

	for (unsigned int i = 0; i < READ_ROUNDS; i++) {
		cells[i & 511]++;
		if (fid > 0)
			cells[(i + 7) & 511] +=
				*(unsigned long long *)mapi_read_results(fd, fid)->res;
	}
	return (read_seconds() - began) / READ_ROUNDS * 1e9;
}

static int read_flow(const char *path, const char *filter, int *ret_fid)
{
	mapi_flow_info_t info = { 0 };
	int fd = mapi_create_offline_flow(path, MFF_PCAP);

	if (fd < 0 || mapi_apply_function(fd, "BPF_FILTER", filter) < 0)
		return -1;
	*ret_fid = mapi_apply_function(fd, "PKT_COUNTER");
	if (mapi_connect(fd) < 0)
		return -1;
	while (info.status != FLOW_FINISHED)
		if (mapi_get_flow_info(fd, &info) < 0)
			return -1;
	return fd;
}

static long read_status_kb(int pid, const char *name)
{
	char path[64], line[256];
	long kb = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, name, strlen(name)) == 0)
			kb = strtol(line + strlen(name) + 1, NULL, 10);
	if (file)
		fclose(file);
	return kb;
}

/* Memory of the daemon beside the mapped file and shared rings: what is anonymous. */
static void read_daemon_memory(const char *path, const char *filters)
{
	char *device = mapi_create_offline_device(path, MFF_PCAP);
	FILE *file = fopen(filters, "r");
	char line[1024], children[64];
	int n = 0, pid = 0, fd = -1;

	while (file && device && n < READ_FLOWS && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		fd = mapi_create_flow(device);
		if (fd < 0 || mapi_apply_function(fd, "BPF_FILTER", line) < 0 ||
			mapi_apply_function(fd, "PKT_COUNTER") < 0 || mapi_connect(fd) < 0)
			break;
		n++;
	}
	if (file)
		fclose(file);
	if (!device || mapi_start_offline_device(device) < 0)
		return;
	mapi_flush(fd);
	snprintf(children, sizeof(children), "/proc/self/task/%d/children", (int)getpid());
	file = fopen(children, "r");
	if (file && fscanf(file, "%d", &pid) == 1)
		printf("daemon_%d_flows %ld kB\n", n, read_status_kb(pid, "RssAnon"));
	if (file)
		fclose(file);
}

int main(int argc, char *argv[])
{
	static volatile uint64_t cells[512];
	double without[READ_TURNS], with[READ_TURNS];
	int fd, fid;

	if (argc < 2) {
		fprintf(stderr, "usage: bench_read CAPTURE [FILTERS]\n");
		return 2;
	}
	/* The daemon becomes a child of this process, where it can be found. */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	fd = read_flow(argv[1], "tcp", &fid);
	if (fd < 0) {
		fprintf(stderr, "bench_read: no flow on %s\n", argv[1]);
		return 1;
	}
	for (unsigned int i = 0; i < READ_TURNS; i++) {
		without[i] = read_ns_per_round(fd, 0, cells);
		with[i] = read_ns_per_round(fd, fid, cells);
	}
	qsort(without, READ_TURNS, sizeof(without[0]), read_compare);
	qsort(with, READ_TURNS, sizeof(with[0]), read_compare);
	printf("read_results %.1f ns\n", with[READ_TURNS / 2] - without[READ_TURNS / 2]);
	mapi_close_flow(fd);
	if (argc > 2)
		read_daemon_memory(argv[1], argv[2]);
	return 0;
}
