/* SPDX-License-Identifier: BSD-2-Clause */
/* Results that cover all that came before, on a machine that does much else beside. */
#ifndef TESTS_LIVE_FLUSH_H
#define TESTS_LIVE_FLUSH_H

#include <mapi.h>
#include <mapi/errors.h>
#include <stdio.h>

#define FLUSH_TRIES 30 /* of a second each */

/* As mapi_flush(), but asks again while the daemon says that it needs more time (9008); what else
 * is wrong it says itself. */
static inline int flush_patiently(int fd)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";
	int code = 0;

	for (int i = 0; i < FLUSH_TRIES; i++) {
		if (mapi_flush(fd) == 0)
			return 0;
		mapi_read_error(&code, text);
		if (code != MAPI_FLUSH_INCOMPLETE)
			break;
	}
	fprintf(stderr, "mapi_flush: %d %s\n", code, text);
	return -1;
}

#endif
