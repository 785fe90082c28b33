/* SPDX-License-Identifier: BSD-2-Clause */
/* A parent for tests: a thread that answers what an engine asks (privileged.h). */
#ifndef MAPI_SENSOR_TEST_PRIVILEGED_PRIVATE_H
#define MAPI_SENSOR_TEST_PRIVILEGED_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "privileged.h"

#define TEST_AREA_BYTES (1u << 20)

extern uint8_t test_area[TEST_AREA_BYTES]; /* the engine's memory, which the parent sees */

/* @lives: it has not met its end; @outcome: which that was */
struct test_parent {
	struct config config;
	struct privileged_loads loads;
	int fd;
	pthread_t thread;
	int outcome;
	_Atomic bool lives;
};

/* Devices "eth7", alias "uplink", and "replay". */
struct config test_config(bool any_interface);

/* Return: the engine's end, for test_parent_end(). */
int test_parent_start(struct test_parent *parent, bool any_interface);
void test_parent_ended(struct test_parent *parent, int fd, int outcome);
void test_parent_end(struct test_parent *parent, int fd); /* by the end of its engine */

/* Descriptors of this process. */
unsigned int test_n_fds(void);

/* Two filters. @page_max: on a page; 1 makes a chain. */
struct kernel_code *test_code(enum kernel_hook hook, unsigned int page_max);

/* Or a message. */
bool test_has_kernel(void);

#endif
