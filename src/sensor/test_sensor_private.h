/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine as its client sees it: a thread runs engine_run_private() on one end of a socketpair,
 * the test speaks the protocol on the other. Whatever fails here fails the test.
 */
#ifndef MAPI_SENSOR_TEST_SENSOR_PRIVATE_H
#define MAPI_SENSOR_TEST_SENSOR_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "mapi.h"
#include "mapi.pb-c.h"
#include "wire/results.h"
#include "wire/ring.h"
#include "wire/wire.h"

#define TEST_PKTS 1000
#define TEST_PKT_BYTES 60

struct test_client {
	pthread_t engine;
	int engine_fd;
	int engine_result;
	struct wire_conn *conn;
	uint64_t id;
	uint8_t *area;
	size_t area_bytes;
	uint8_t *arena;
	int fds[RING_N_FDS];
};

/* An engine and a connection to it; the end of both. */
void test_start(struct test_client *client);
void test_stop(struct test_client *client);
void test_begin(struct test_client *client, int fd); /* on a connection to another; takes it */
void test_end(struct test_client *client); /* of that */
void test_wait(struct test_client *client); /* until the engine has said something */

/* Send a request. Return: its reply, valid until the next call; NULL: the session is over. */
Wire__Reply *test_call(
	struct test_client *client, Wire__Request *request, const int *fds, unsigned int n_fds);

/* The reply to the last request. */
Wire__Reply *test_reply(struct test_client *client);

#define TEST_CALL(client, member, case_, message)                 \
	({                                                        \
		Wire__Request request_ = WIRE__REQUEST__INIT;     \
		request_.call_case = WIRE__REQUEST__CALL_##case_; \
		request_.member = (message);                      \
		test_call((client), &request_, NULL, 0);          \
	})

void test_greet(struct test_client *client, unsigned int n_workers);
uint64_t test_open(struct test_client *client); /* TEST_PKTS packets, half of them TCP */
uint64_t test_open_fd(struct test_client *client, int fd); /* takes it */
uint32_t test_flow(struct test_client *client, uint64_t device, bool start,
	const struct results_flow **ret_shared);

/* Apply a function with arguments as text, and descriptors. Return: the reply. */
Wire__Reply *test_apply_fds(struct test_client *client, uint32_t flow, const char *function,
	const char *const *args, unsigned int n_args, const int *fds, unsigned int n_fds);
Wire__Reply *test_apply(struct test_client *client, uint32_t flow, const char *function,
	const char *const *args, unsigned int n_args);

/* Where the result is that the reply to an apply tells of. */
const struct results_slot *test_slot(struct test_client *client, const Wire__Reply *reply);
uint64_t test_u64(const struct results_slot *slot);
void test_connect(struct test_client *client, uint32_t flow);
void test_connect_later(struct test_client *client, uint32_t flow); /* test_reply() waits for it */
void test_close(struct test_client *client, uint32_t flow, int code);
void test_start_device(struct test_client *client, uint64_t device);
void test_flush(struct test_client *client, uint32_t flow);
/* Flush until the flow has finished. */
void test_finish(struct test_client *client, uint32_t flow, const struct results_flow *shared);

#endif
