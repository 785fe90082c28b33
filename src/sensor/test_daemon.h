/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A system daemon for tests: a child of the test, in a directory of its own. Its engines write a
 * note to a pipe when they serve, so nothing waits for time but what time is the matter of.
 */
#ifndef MAPI_SENSOR_TEST_DAEMON_H
#define MAPI_SENSOR_TEST_DAEMON_H

#include "parent.h"

#define TEST_WAIT_MS 20000 /* for what comes at once, on any machine */
#define TEST_DIRECTORY_BYTES 32

/* struct test_note - an engine serves, unless the test takes it for something else. */
struct test_note {
	pid_t pid;
	unsigned int restarts;
};

/**
 * struct test_daemon - what the tests of a program share
 * @config: change it before test_start() if need be
 * @pipe:   of struct test_note
 */
struct test_daemon {
	struct config config;
	char directory[TEST_DIRECTORY_BYTES];
	char socket[TEST_DIRECTORY_BYTES + 32];
	char read_only[TEST_DIRECTORY_BYTES + 32];
	int pipe[2];
};

extern struct test_daemon test_daemon;

/* Of the test program: a directory to live in; teardown fails if something was left there. */
int test_daemon_setup(void **state);
int test_daemon_teardown(void **state);

/* Write a note; by whatever process of the daemon's. */
void test_tell(pid_t pid, uint64_t restarts);

/* Engines: begin to serve, wait for a signal, do both, answer whoever connects with '0' + restarts.
 */
void test_tell_ready(const struct parent_engine *engine);
int test_pause(void);
int test_serve(const struct parent_engine *engine);
int test_serve_clients(const struct parent_engine *engine);

/* Return: a daemon's process number; it says nothing unless TEST_LOG is in the environment. */
pid_t test_start(int (*serve)(const struct parent_engine *engine));

/* One that has devices. @devices: borrowed for the call */
pid_t test_start_with(int (*serve)(const struct parent_engine *engine),
	struct config_device *devices, unsigned int n_devices);

/* What a started daemon's process does in the child. */
_Noreturn void test_run(int (*serve)(const struct parent_engine *engine));

/* Return: the next engine that serves. */
struct test_note test_next(void);

/* Wait for a daemon's end. Return: as of waitpid(). */
int test_status(pid_t daemon);

/* End it, and see that it leaves nothing. */
void test_stop(pid_t daemon);

/* Another process. Return: its descriptor, for test_await_end(), which closes it. */
int test_watch(pid_t pid);
void test_await_end(int pidfd);

int test_connect(const char *path);

#endif
