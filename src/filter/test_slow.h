/* SPDX-License-Identifier: BSD-2-Clause */
/* A filter expression that takes far longer to compile than it may. */
#ifndef MAPI_FILTER_TEST_SLOW_H
#define MAPI_FILTER_TEST_SLOW_H

#include <stddef.h>
#include <stdio.h>

/* The time of an expression like this grows with the third power of its length. Made anew with each
 * call, by one thread at a time. */
static inline const char *test_slow(void)
{
	static char text[8192];
	size_t used = 0;

	for (unsigned int i = 0; i < 400; i++)
		used += (size_t)snprintf(
			text + used, sizeof(text) - used, "%sport %u", i ? " or " : "", 7 * i + 1);
	return text;
}

#endif
