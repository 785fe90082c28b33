/* SPDX-License-Identifier: BSD-2-Clause */
/* The progress bar of long files: on standard error, only if that is a terminal, after half a
 * second. */
#ifndef MAPI_TOOL_PROGRESS_H
#define MAPI_TOOL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct progress - a progress bar
 * @enabled:  there is a terminal, and nobody asked for quiet
 * @shown:    something stands on the line
 * @begin_ns: when it began, CLOCK_MONOTONIC
 * @last_ns:  when it was drawn last
 */
struct progress {
	bool enabled;
	bool shown;
	uint64_t begin_ns;
	uint64_t last_ns;
};

void progress_begin(struct progress *p, bool quiet);
void progress_update(struct progress *p, uint64_t done_bytes, uint64_t total_bytes);
void progress_end(struct progress *p); /* clears the line */

/* The line itself, without its beginning and end: "[#####     ]  50 %  1.20 GB of 2.40 GB ...". */
void progress_line(char *out, size_t out_bytes, uint64_t elapsed_ns, uint64_t done_bytes,
	uint64_t total_bytes);

#endif
