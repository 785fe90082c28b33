/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A driver of the test's own, of one live interface on which no packet comes. Links with
 * --wrap=driver_find: each device is opened with it.
 */
#ifndef MAPI_SENSOR_TEST_DRIVER_H
#define MAPI_SENSOR_TEST_DRIVER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "device.h"
#include "driver/driver.h"

/* struct driver_source - all but @woken is for the test's own functions */
struct driver_source {
	_Atomic bool woken;
	uint64_t next_seq;
	bool given;
	unsigned int n_pkts;
};

/* A test sets those of its functions that are to be others, before it opens a device. */
extern struct driver test_driver;

/* What a function of the test's own may go on with. */
int test_driver_open(
	struct driver_source **ret, const struct driver_open_args *args, struct error *err);
int test_driver_claim(struct driver_source *source, struct driver_chunk *chunk);

/* A device stops, and is freed with its flows. @flows: without a plan: none */
void test_device_end(struct device *device, struct device_flow flows[], unsigned int n_flows);

#endif
