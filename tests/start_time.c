/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From nothing to a result: the time of a whole program, daemon included, that counts the packets
 * of a small file; median of 21 runs.
 *
 * usage: start_time LIMIT_MS PROGRAM [ARGUMENT...]
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>

#include "process.h"

#define START_RUNS 21

extern char **environ;

static int start_compare(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return (d > 0) - (d < 0);
}

static double start_once(char *argv[])
{
	posix_spawn_file_actions_t actions;
	double began = process_seconds();
	int status, r;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r != 0 || waitpid(pid, &status, 0) < 0 || status != 0) {
		fprintf(stderr, "start_time: %s failed\n", argv[0]);
		exit(1);
	}
	return (process_seconds() - began) * 1e3;
}

int main(int argc, char *argv[])
{
	double ms[START_RUNS], limit_ms;

	if (argc < 3) {
		fprintf(stderr, "usage: start_time LIMIT_MS PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	limit_ms = strtod(argv[1], NULL);
	for (unsigned int i = 0; i < START_RUNS; i++)
		ms[i] = start_once(argv + 2);
	qsort(ms, START_RUNS, sizeof(ms[0]), start_compare);
	printf("start to result: median %.2f ms, fastest %.2f ms, slowest %.2f ms, limit %.0f ms\n",
		ms[START_RUNS / 2], ms[0], ms[START_RUNS - 1], limit_ms);
	return ms[START_RUNS / 2] > limit_ms;
}
