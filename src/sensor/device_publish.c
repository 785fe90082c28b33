/* SPDX-License-Identifier: BSD-2-Clause */
/* Results of a device when somebody asks for them: publishing now, exactly, and what was captured.
 */
#include "base/clock.h"
#include "device_private.h"

#define DEVICE_BLOCK_NS 10000000u /* no driver holds a packet back for longer */
#define DEVICE_EXACT_NS 2000000u /* between two exact publications that were asked for */

/* Take commit_lock, if no worker has it; one that has it publishes soon. */
static bool device_interrupt(struct device *device)
{
	if (pthread_mutex_trylock(&device->commit_lock) == 0)
		return true;
	atomic_store_explicit(&device->exact_wanted, true, memory_order_relaxed);
	return false;
}

bool device_publish(struct device *device)
{
	if (!device_interrupt(device))
		return false;
	publish_all(device);
	(void)pthread_mutex_unlock(&device->commit_lock);
	return true;
}

struct device_moment device_moment_now(void)
{
	return (struct device_moment){ .monotonic_ns = clock_monotonic_ns(),
		.realtime_ns = clock_realtime_ns() };
}

/* With commit_lock held. A source that is never without packets shows by their time how far it is:
 * those of a moment have left the kernel's block, and a second ring's, some milliseconds later. */
bool device_covers(const struct device *device, uint64_t caught_up_ns, uint64_t watermark_ns,
	const struct device_moment *moment)
{
	return !device->driver->real_time || !device->n_threads || device->finished ||
		caught_up_ns >= moment->monotonic_ns ||
		watermark_ns >= moment->realtime_ns + DEVICE_BLOCK_NS;
}

/* With commit_lock held. Publishing takes the time of all flows of a device that is shared: what
 * was published meanwhile will do, and who flushes all the time waits until it is time again. */
static bool device_publish_exactly(struct device *device, const struct device_moment *moment)
{
	if (device->exact_ns >= moment->monotonic_ns &&
		device_covers(
			device, device->exact_caught_up_ns, device->exact_watermark_ns, moment))
		return true;
	if (!device_covers(device, device->caught_up_ns, device->counted_watermark_ns, moment) ||
		(!device->driver->lossless &&
			clock_monotonic_ns() - device->exact_ns <
				MAX(DEVICE_EXACT_NS, device->rest_ns)))
		return false;
	publish_all(device);
	return true;
}

bool device_flush(struct device *device, const struct device_moment *moment)
{
	bool is_exact;

	if (!device_interrupt(device))
		return false;
	is_exact = device_publish_exactly(device, moment);
	(void)pthread_mutex_unlock(&device->commit_lock);
	return is_exact;
}

struct plan_counts device_counts(struct device *device, const struct plan_instance *instance)
{
	struct plan_counts counts;

	(void)pthread_mutex_lock(&device->flows_lock);
	counts = instance->counts;
	(void)pthread_mutex_unlock(&device->flows_lock);
	return counts;
}

void device_stats(struct device *device, uint64_t *ret_pkts, struct driver_stats *ret)
{
	(void)pthread_mutex_lock(&device->flows_lock);
	publish_ask(device, clock_monotonic_ns());
	*ret = device->stats;
	*ret_pkts = atomic_load_explicit(&device->seen_pkts, memory_order_relaxed) +
		lowering_units(device->lowering, false) + hook_units_alone(device->hook);
	(void)pthread_mutex_unlock(&device->flows_lock);
}
