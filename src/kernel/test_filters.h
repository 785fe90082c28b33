/* SPDX-License-Identifier: BSD-2-Clause */
/* The filters of a test, and code for them. Whatever fails here fails the test. */
#ifndef MAPI_KERNEL_TEST_FILTERS_H
#define MAPI_KERNEL_TEST_FILTERS_H

#include "kernel.h"

#define TEST_FILTERS_MAX 16u
#define TEST_PORTS_N 12u

struct test_filters {
	struct filter_program *programs[TEST_FILTERS_MAX];
	unsigned int n;
};

/* Of Ethernet. @texts: borrowed for the call */
void test_filters_init(struct test_filters *ret, const char *const texts[], unsigned int n);
void test_filters_deinit(struct test_filters *filters);

/* As kernel_code_new(): the caller's. */
struct kernel_code *test_filters_code(
	const struct test_filters *filters, const struct kernel_options *options);

/* TEST_PORTS_N filters of different connections; a group's setup and teardown. */
extern struct test_filters test_ports;
int test_ports_setup(void **state);
int test_ports_teardown(void **state);

#endif
