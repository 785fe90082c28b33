/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of patterns and of sets have in common. */
#ifndef MAPI_SEARCH_TEST_PRIVATE_H
#define MAPI_SEARCH_TEST_PRIVATE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "search_private.h"

/* A pattern that is right. */
static inline struct search_pattern *pattern_ok(const char *text, uint32_t offset, uint32_t depth)
{
	struct search_pattern *pattern = NULL;
	struct error err = ERROR_INIT;
	int r = search_pattern_new(&pattern, text, offset, depth, &err);

	if (r)
		print_error("'%s': %s\n", text, err.text);
	assert_int_equal(r, 0);
	assert_non_null(pattern);
	return pattern;
}

#endif
