/* SPDX-License-Identifier: BSD-2-Clause */
/* See test_driver.h. */
#include "test_driver.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#define TEST_IDLE_MS 1

int test_driver_open(
	struct driver_source **ret, const struct driver_open_args *args, struct error *err)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

int test_driver_claim(struct driver_source *source, struct driver_chunk *chunk)
{
	if (source->woken)
		return DRIVER_E_END;
	(void)poll(NULL, 0, TEST_IDLE_MS);
	return DRIVER_E_IDLE;
}

static void test_driver_release(struct driver_source *source, struct driver_chunk *chunk)
{
}

static void test_driver_wake(struct driver_source *source)
{
	source->woken = true;
}

static void test_driver_stats(const struct driver_source *source, struct driver_stats *ret)
{
	*ret = (struct driver_stats){ .n_interfaces = 1 };
}

static int test_driver_interface(
	const struct driver_source *source, unsigned int index, struct driver_interface *ret)
{
	if (index > 0)
		return -ENOENT;
	*ret = (struct driver_interface){
		.linktype = 1, .ts_units_per_s = 1000000000u, .name = "test"
	};
	return 0;
}

static struct driver_source *test_driver_close(struct driver_source *source)
{
	free(source);
	return NULL;
}

struct driver test_driver = {
	.name = "test",
	.open = test_driver_open,
	.claim = test_driver_claim,
	.release = test_driver_release,
	.wake = test_driver_wake,
	.stats = test_driver_stats,
	.interface = test_driver_interface,
	.close = test_driver_close,
};

const struct driver *__wrap_driver_find(const struct driver_open_args *args);

const struct driver *__wrap_driver_find(const struct driver_open_args *args)
{
	return &test_driver;
}

void test_device_end(struct device *device, struct device_flow flows[], unsigned int n_flows)
{
	device_stop(device);
	device_join(device);
	for (unsigned int n = 0; n < n_flows; n++) {
		if (!flows[n].plan)
			continue;
		device_remove(device, &flows[n]);
		device_forget(device, &flows[n]);
	}
	device_free(device);
	for (unsigned int n = 0; n < n_flows; n++)
		plan_flow_free(flows[n].plan);
}
