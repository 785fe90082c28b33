/* SPDX-License-Identifier: BSD-2-Clause */
/* See test_filters.h. */
#undef NDEBUG
#include "test_filters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

void test_filters_init(struct test_filters *ret, const char *const texts[], unsigned int n)
{
	assert_true(n <= TEST_FILTERS_MAX);
	for (ret->n = 0; ret->n < n; ret->n++) {
		struct error err = ERROR_INIT;

		if (filter_compile(&ret->programs[ret->n], texts[ret->n], 1, &err) < 0)
			fail_msg("%s", err.text);
	}
}

void test_filters_deinit(struct test_filters *filters)
{
	for (unsigned int i = 0; i < filters->n; i++)
		filter_program_free(filters->programs[i]);
	filters->n = 0;
}

struct kernel_code *test_filters_code(
	const struct test_filters *filters, const struct kernel_options *options)
{
	struct kernel_code *code;

	assert_int_equal(
		kernel_code_new(&code, options,
			(const struct filter_program *const *)filters->programs, filters->n),
		0);
	return code;
}

struct test_filters test_ports;

int test_ports_setup(void **state)
{
	char texts[TEST_PORTS_N][64];
	const char *pointers[TEST_PORTS_N];

	(void)state;
	for (unsigned int i = 0; i < TEST_PORTS_N; i++) {
		(void)snprintf(
			texts[i], sizeof(texts[i]), "tcp port %u and ip[%u] = 7", 80 + i, 200 + i);
		pointers[i] = texts[i];
	}
	test_filters_init(&test_ports, pointers, TEST_PORTS_N);
	return 0;
}

int test_ports_teardown(void **state)
{
	(void)state;
	test_filters_deinit(&test_ports);
	return 0;
}
