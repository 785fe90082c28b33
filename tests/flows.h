/* SPDX-License-Identifier: BSD-2-Clause */
/* What several test programs do with flows. */
#ifndef TESTS_FLOWS_H
#define TESTS_FLOWS_H

#include <mapi.h>
#include <stdio.h>
#include <time.h>

/* Print the last error of libmapi behind @what. Return: its code. */
static inline int flows_error(const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";
	int code = 0;

	mapi_read_error(&code, text);
	fprintf(stderr, "%s: %d %s\n", what, code, text);
	return code;
}

/* Wait until the file of flow @fd is read to its end. Return: 0, -1 if there is no such flow. */
static inline int flows_wait_end(int fd)
{
	const struct timespec pause = { .tv_nsec = 100000 };
	mapi_flow_info_t info;

	for (;;) {
		if (mapi_get_flow_info(fd, &info) < 0)
			return -1;
		if (info.status == FLOW_FINISHED)
			return 0;
		nanosleep(&pause, NULL);
	}
}

#endif
