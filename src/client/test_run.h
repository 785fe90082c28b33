/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the library have in common, beside the fake engine. */
#ifndef MAPI_CLIENT_TEST_RUN_H
#define MAPI_CLIENT_TEST_RUN_H

#include <stddef.h>

struct CMUnitTest;

/* Each test in a process of its own, in which the library was never used, with the folder below.
 * Return: how many have failed. */
int test_run_each(const struct CMUnitTest *tests, size_t n);

/* This thread's last error is @code, it has a text if it is one, and reading it has reset it. */
void assert_error(int code);

/* Where a system daemon of this test's own listens, and the folder of these. */
extern char test_folder[64], test_socket_path[80], test_read_only_path[80];

/* Makes the folder of these paths, without sockets. MAPI_SOCKET is empty: no system daemon,
 * whatever runs on this machine. Ends the program if it fails. */
void test_folder_make(void);

/* With what is left in it. */
void test_folder_remove(void);

#endif
