/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices, the control thread's side: see device.h. Opening, starting, stopping, closing. */
#include "device.h"

#include <errno.h>
#include <string.h>

#include "base/build.h"
#include "base/thread.h"
#include "device_private.h"
#include "mapi/errors.h"

#define DEVICE_SEED_DEFAULT 0x6d617069u
#define DEVICE_LINKTYPE_DEFAULT 1u /* LINKTYPE_ETHERNET, where the source does not know yet */

int device_new(struct device **ret, const struct device_args *args, struct error *err)
{
	const struct driver *driver = driver_find(&args->open);
	struct driver_open_args open = args->open;
	_cleanup_(device_freep) struct device *device = NULL;
	int r;

	if (!driver) {
		cleanup_closep(&open.fd);
		return error_set(err, MAPID_NO_DRIVER, "%s: no driver for this device%s%s",
			args->open.name,
			MAPI_WITH_PCAP_LIVE ? ""
					    : " (this build of MAPI opens network interfaces; "
					      "others need meson -Dpcap-live=enabled)",
			driver_file_advice(args->open.name));
	}
	device = calloc(1, sizeof(*device));
	if (!device) {
		cleanup_closep(&open.fd);
		return -ENOMEM;
	}
	(void)pthread_mutex_init(&device->claim_lock, NULL); /* these cannot fail on Linux */
	(void)pthread_mutex_init(&device->plan_lock, NULL);
	(void)pthread_mutex_init(&device->commit_lock, NULL);
	(void)pthread_mutex_init(&device->flows_lock, NULL);
	(void)pthread_cond_init(&device->turn_cond, NULL);
	device->driver = driver;
	device->seed = args->seed ? args->seed : DEVICE_SEED_DEFAULT;
	device->notify_fd = args->notify_fd;
	device->n_workers = open.n_workers;
	device->loader = args->loader;
	r = driver->open(&device->source, &open, err);
	if (r == 0 && args->compiler)
		r = searches_new(&device->searches, args->compiler);
	if (r < 0)
		return r;
	device->name = strdup(open.name);
	device->workers = calloc(open.n_workers, sizeof(device->workers[0]));
	if (!device->name || !device->workers)
		return -ENOMEM;
	if (args->n_cpus) {
		device->cpus = calloc(open.n_workers, sizeof(device->cpus[0]));
		if (!device->cpus)
			return -ENOMEM;
		for (unsigned int w = 0; w < open.n_workers; w++)
			device->cpus[w] = args->cpus[w % args->n_cpus];
	}
	*ret = TAKE(device);
	return 0;
}

struct device *device_free(struct device *device)
{
	if (!device)
		return NULL;
	device_stop(device);
	device_join(device);
	for (unsigned int w = 0; device->workers && w < device->n_workers; w++)
		plan_run_free(device->workers[w].run);
	device->n_threads = 0; /* nobody uses anything */
	device_free_retired(device);
	plan_free(device->plan);
	searches_free(device->searches);
	hook_free(device->hook);
	lowering_stop(device->lowering);
	if (device->source)
		device->driver->close(device->source);
	lowering_free(device->lowering); /* of which nothing counts any more */
	(void)pthread_cond_destroy(&device->turn_cond);
	(void)pthread_mutex_destroy(&device->flows_lock);
	(void)pthread_mutex_destroy(&device->commit_lock);
	(void)pthread_mutex_destroy(&device->plan_lock);
	(void)pthread_mutex_destroy(&device->claim_lock);
	free(device->flows);
	free(device->cpus);
	free(device->workers);
	free(device->name);
	free(device);
	return NULL;
}

const _Atomic bool *device_stop_flag(const struct device *device)
{
	return &device->stop;
}

struct plan_device device_describe(struct device *device)
{
	struct driver_interface interface = { .linktype = DEVICE_LINKTYPE_DEFAULT,
		.tells_direction = true };

	(void)device->driver->interface(device->source, 0, &interface); /* or the default stays */
	return (struct plan_device){ .name = device->name,
		.lossless = device->driver->lossless,
		.linktype = interface.linktype,
		.tells_direction = interface.tells_direction,
		.seed = device->seed };
}

const char *device_name(const struct device *device)
{
	return device->name;
}

const char *device_driver_name(const struct device *device)
{
	return device->driver->name;
}

unsigned int device_n_workers(const struct device *device)
{
	return device->n_workers;
}

int device_interface(const struct device *device, unsigned int index, struct driver_interface *ret)
{
	return device->driver->interface(device->source, index, ret);
}

bool device_runs(struct device *device)
{
	bool runs = false;

	(void)pthread_mutex_lock(&device->plan_lock);
	for (unsigned int w = 0; w < device->n_threads; w++)
		runs |= !device->workers[w].left;
	(void)pthread_mutex_unlock(&device->plan_lock);
	return runs;
}

/* Where the worker runs. A processor that is not there is no reason not to capture. */
static void device_pin(const struct device *device, unsigned int w)
{
	cpu_set_t set;

	if (!device->cpus || device->cpus[w] >= CPU_SETSIZE)
		return;
	CPU_ZERO(&set);
	CPU_SET(device->cpus[w], &set);
	(void)pthread_setaffinity_np(device->workers[w].thread, sizeof(set), &set);
}

int device_start(struct device *device)
{
	int r;

	if (device->n_threads)
		return 0;
	if (!device->lowering)
		(void)lowering_new(&device->lowering, device, &device->loader,
			&device->lowering_why); /* without, all packets are delivered */
	if (!device->hook)
		(void)hook_new(&device->hook, device, &device->loader); /* it can do without */
	r = device_replan(device, NULL, true, NULL);
	if (r < 0)
		return r;
	/* Nobody leaves before it is known how many there are. */
	(void)pthread_mutex_lock(&device->commit_lock);
	for (unsigned int w = 0; w < device->n_workers && r == 0; w++) {
		device->workers[w].device = device;
		device->workers[w].idle = true; /* until it runs */
		r = thread_start(&device->workers[w].thread, worker_main, &device->workers[w]);
		if (r == 0)
			device_pin(device, w);
		device->n_threads += r == 0;
		device->n_joinable += r == 0;
	}
	device->n_active = device->n_threads;
	(void)pthread_mutex_unlock(&device->commit_lock);
	/* Fewer workers than planned do the same work. */
	return device->n_threads ? 0 : r;
}

bool device_is_over(struct device *device)
{
	return device_stopping(device) || device_ended(device);
}

void device_stop(struct device *device)
{
	atomic_store_explicit(&device->stop, true, memory_order_relaxed);
	if (device->source)
		device->driver->wake(device->source);
	for (unsigned int i = 0; i < device->n_flows; i++)
		device_cancel(device->flows[i]->plan);
	if (device->n_threads || !device->source)
		return;
	(void)pthread_mutex_lock(&device->commit_lock); /* nobody else wants it */
	device->ended = device->finished = true;
	publish_all(device);
	(void)pthread_mutex_unlock(&device->commit_lock);
}

void device_join(struct device *device)
{
	for (unsigned int w = 0; w < device->n_joinable; w++)
		(void)pthread_join(device->workers[w].thread, NULL); /* it is ours and joinable */
	device->n_joinable = 0;
}

bool device_ended(struct device *device)
{
	bool ended;

	if (pthread_mutex_trylock(&device->commit_lock) != 0)
		return false;
	ended = device->finished;
	(void)pthread_mutex_unlock(&device->commit_lock);
	return ended;
}
