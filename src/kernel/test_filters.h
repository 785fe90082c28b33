/* SPDX-License-Identifier: BSD-2-Clause */
/* The filters of a test, and code for them. Whatever fails here fails the test. */
#ifndef MAPI_KERNEL_TEST_FILTERS_H
#define MAPI_KERNEL_TEST_FILTERS_H

#include "kernel.h"

#define TEST_FILTERS_MAX 16u

struct test_filters {
	struct filter_program *programs[TEST_FILTERS_MAX];
	unsigned int n;
};

/* Of Ethernet. @texts: borrowed for the call */
void test_filters_init(struct test_filters *ret, const char *const texts[], unsigned int n);
/* Of @n different connections. */
void test_filters_init_ports(struct test_filters *ret, unsigned int n);
void test_filters_deinit(struct test_filters *filters);

/* As kernel_code_new(): the caller's. */
struct kernel_code *test_filters_code(
	const struct test_filters *filters, const struct kernel_options *options);

#endif
