/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole engine of a system daemon with live devices that many programs share. The engine, the
 * parent and the devices are of the test's process: a thread each, and a driver that never has a
 * packet. Links with --wrap=driver_find, plan_new and search_database_build.
 */
#ifndef MAPI_SENSOR_TEST_LIVE_PRIVATE_H
#define MAPI_SENSOR_TEST_LIVE_PRIVATE_H

#include <stdatomic.h>

#include "test_driver.h"
#include "test_sensor_private.h"

#define LIVE_CPUS 2 /* of live0; there are live1, too, and broken, which cannot be opened */

/* Helpers that build databases, which are other processes. */
struct live_builds {
	_Atomic bool hold;
	_Atomic unsigned int n_begun;
};

/* What does not return while it is held, and how often things were done. @n_workers: of the device
 * that was opened last */
struct live_control {
	_Atomic bool holds_prepare, holds_open, holds_claim, holds_plan;
	_Atomic bool ends; /* the device, as a file does */
	_Atomic unsigned int n_prepared, n_opened, n_plans;
	_Atomic unsigned int n_workers;
	struct live_builds *builds;
};

extern struct live_control live_control;

/* Before all tests. live_teardown(), live_setup(): the daemon ends, and closes its devices; another
 * begins. */
int live_begin(void **state);
int live_setup(void **state);
int live_teardown(void **state);

void live_connect(struct test_client *client); /* says hello; test_end() ends it */
Wire__Reply *live_open_device(struct test_client *client, const char *name);
uint64_t live_device(struct test_client *client); /* live0 */
uint32_t live_flow(struct test_client *client, uint64_t device); /* with a counter */
void live_call(struct test_client *client); /* has an answer without a device */
unsigned int live_n_flows(struct test_client *client); /* that are listed */

#endif
