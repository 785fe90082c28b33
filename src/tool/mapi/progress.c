/* SPDX-License-Identifier: BSD-2-Clause */
/* See progress.h. */
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

#define PROGRESS_AFTER_NS 500000000u
#define PROGRESS_EVERY_NS 100000000u
#define PROGRESS_BAR_LEN 24

static uint64_t progress_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void progress_begin(struct progress *p, bool quiet)
{
	const char *term = getenv("TERM");

	*p = (struct progress){ .begin_ns = progress_now_ns() };
	p->enabled = !quiet && isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

void progress_line(
	char *out, size_t out_bytes, uint64_t elapsed_ns, uint64_t done_bytes, uint64_t total_bytes)
{
	double seconds = (double)elapsed_ns / 1e9,
	       rate = seconds > 0 ? (double)done_bytes / seconds : 0;
	char bar[PROGRESS_BAR_LEN + 1], done[16], total[16], speed[16];
	double share = 0, left;
	unsigned int i;

	if (total_bytes && done_bytes > total_bytes)
		done_bytes = total_bytes;
	text_bytes(done, sizeof(done), (double)done_bytes);
	text_bytes(speed, sizeof(speed), rate);
	if (!total_bytes) {
		(void)snprintf(out, out_bytes, "%s read, %s/s", done, speed);
		return;
	}
	share = (double)done_bytes / (double)total_bytes;
	text_bytes(total, sizeof(total), (double)total_bytes);
	for (i = 0; i < PROGRESS_BAR_LEN; i++)
		bar[i] = share * PROGRESS_BAR_LEN >= i + 1 ? '#' : ' ';
	bar[i] = '\0';
	left = rate > 0 ? (double)(total_bytes - done_bytes) / rate : 0;
	(void)snprintf(out, out_bytes, "[%s] %3.0f %%  %s of %s  %s/s  %u:%02u left", bar,
		share * 100, done, total, speed, (unsigned int)(left / 60),
		(unsigned int)left % 60);
}

void progress_update(struct progress *p, uint64_t done_bytes, uint64_t total_bytes)
{
	uint64_t now;
	char line[128];

	if (!p->enabled)
		return;
	now = progress_now_ns();
	if (now - p->begin_ns < PROGRESS_AFTER_NS || now - p->last_ns < PROGRESS_EVERY_NS)
		return;
	p->last_ns = now;
	p->shown = true;
	progress_line(line, sizeof(line), now - p->begin_ns, done_bytes, total_bytes);
	/* The last column is left free: some terminals wrap when it is written. */
	fprintf(stderr, "\r%.79s\033[K", line);
	fflush(stderr);
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
