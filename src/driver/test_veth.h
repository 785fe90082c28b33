/* SPDX-License-Identifier: BSD-2-Clause */
/* A network namespace of a test's own, with a veth pair: "a" and "b". */
#ifndef MAPI_DRIVER_TEST_VETH_H
#define MAPI_DRIVER_TEST_VETH_H

#include <stdbool.h>

/* Return: whether this process is now alone in a namespace with a veth pair, which is up; the
 * kernel sends nothing of its own there. */
bool test_veth_enter(void);

/* Run ip, as root even if the test is not just now; fails the test if it fails. */
void test_veth_ip(const char *arguments);
/* The kernel sends only some time after an interface has come up, when it says it is running. */
void test_veth_await_running(const char *name);
/* Take both ends up, and wait until they carry packets. */
void test_veth_up(void);

#endif
