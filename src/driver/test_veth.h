/* SPDX-License-Identifier: BSD-2-Clause */
/* A network namespace of a test's own, with a veth pair: "a" and "b". */
#ifndef MAPI_DRIVER_TEST_VETH_H
#define MAPI_DRIVER_TEST_VETH_H

#include <stdbool.h>
#include <stdint.h>

/* Return: whether this process is now alone in a namespace with a veth pair, which is up; the
 * kernel sends nothing of its own there. */
bool test_veth_enter(void);
/* Skips a test that wants it, where it could not. */
void test_veth_need(void);

/* Run ip, as root even if the test is not just now; fails the test if it fails. */
void test_veth_ip(const char *arguments);
/* The kernel sends only some time after an interface has come up, when it says it is running. */
void test_veth_await_running(const char *name);
/* Take both ends up, and wait until they carry packets. */
void test_veth_up(void);

/* A packet socket sees what an interface does. @protocol: of Ethernet, host byte order; 0: it
 * sends alone. Return: the caller's. */
int test_veth_socket(const char *name, uint16_t protocol);
void test_veth_bind(int fd, const char *name, uint16_t protocol); /* one of the caller's */

#endif
