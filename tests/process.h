/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What processes a test leaves behind. process_adopt() makes the calling process the parent of all
 * orphans below it, so that a daemon cannot hide by forking twice.
 */
#ifndef TESTS_PROCESS_H
#define TESTS_PROCESS_H

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline void process_adopt(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static inline double process_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline void process_pause_us(long us)
{
	const struct timespec pause = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	nanosleep(&pause, NULL);
}

/* Children of @parent, children's children and so on. Return: their number, at most @max in @ret.
 */
static inline unsigned int process_below(int parent, int ret[], unsigned int max)
{
	unsigned int n = 0, done = 0;
	char path[64];
	int pid = parent;

	for (;;) {
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
		file = fopen(path, "r");
		while (file && n < max && fscanf(file, "%d", &ret[n]) == 1)
			n++;
		if (file)
			fclose(file);
		if (done == n)
			return n;
		pid = ret[done++];
	}
}

/* Wait until nothing runs below this process. Return: what still runs after @seconds. */
static inline unsigned int process_wait_alone(double seconds, int ret[], unsigned int max)
{
	double end = process_seconds() + seconds;
	unsigned int n;

	for (;;) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		n = process_below(getpid(), ret, max);
		if (n == 0 || process_seconds() > end)
			return n;
		process_pause_us(200);
	}
}

/* Number of open descriptors of @pid, -1 if it is gone. */
static inline int process_fds(int pid)
{
	char path[64];
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return -1;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

/* A line "NAME: N kB" of /proc/PID/status. Return: N, -1 if there is none. */
static inline long process_status_kb(int pid, const char *name)
{
	char path[64], line[256];
	size_t len = strlen(name);
	long kb = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, name, len) == 0 && line[len] == ':')
			kb = strtol(line + len + 1, NULL, 10);
	if (file)
		fclose(file);
	return kb;
}

/* Lines of /proc/PID/maps. */
static inline int process_maps(int pid)
{
	char path[64];
	int n = 0, c;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	file = fopen(path, "r");
	while (file && (c = fgetc(file)) != EOF)
		n += c == '\n';
	if (file)
		fclose(file);
	return n;
}

#endif
