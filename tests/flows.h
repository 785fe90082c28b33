/* SPDX-License-Identifier: BSD-2-Clause */
/* What several test programs do with flows. */
#ifndef TESTS_FLOWS_H
#define TESTS_FLOWS_H

#include <mapi.h>
#include <stdio.h>

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
	int r;

	do
		r = mapi_wait(fd, -1);
	while (r == 0); /* a signal */
	return r < 0 ? -1 : 0;
}

#endif
