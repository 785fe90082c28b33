/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of restarts share: a system daemon (fake_engine.h) that ends and comes again, and
 * programs that wait for it.
 */
#ifndef MAPI_CLIENT_TEST_RESTART_RUN_H
#define MAPI_CLIENT_TEST_RESTART_RUN_H

#include "fake_engine.h"

#include <setjmp.h>
#include <cmocka.h>

#include "test_run.h"

/* test_folder_make(), and MAPI_SOCKET names its socket. */
void restart_prepare(void);
/* The daemon ends, and another begins. */
void restart_daemon(void);
/* A connected flow with one function. */
int restart_flow(const char *name, int *ret_fid);
unsigned long long restart_value(int fd, int fid);
void restart_put_pkt(unsigned int n);
struct mapi_result_status restart_status(int fd, int fid);

/* A thread that reads packets, and why it has ended. */
struct restart_waiter {
	_Atomic pid_t tid; /* of who waits, once it runs */
	int fd, fid;
	unsigned int n_wanted;
	_Atomic unsigned int n_pkts;
	int code;
};
void *restart_wait_for_pkts(void *data);
void restart_await_pkts(struct restart_waiter *w, unsigned int n);
void restart_await(int fd, int fid, unsigned int n);

#endif
