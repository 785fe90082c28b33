/* SPDX-License-Identifier: BSD-2-Clause */
/* Relays, the side of keeper and reader: see relay.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "relay_private.h"
#include "wire/ring.h"

#define RELAY_LOOK_NS UINT64_C(100000000) /* at the device's counters, and at the engine */

_Static_assert(RELAY_FD_SHARED == RING_N_FDS && RELAY_N_FDS <= DRIVER_FDS_MAX,
	"all descriptors can be handed over");

/**
 * struct relay - the memory, and what a reader knows
 * @lease_fd:  end of the pipe that hangs up
 * @engine_fd: the other end, until it was given; -1
 * @before:    what readers before this one have counted
 * @unread_pkts: lost in the ring, of all readers
 * @numbers:   of the source's interfaces in the relay, as far as @n_interfaces
 */
struct relay {
	struct ring *ring;
	struct relay_shared *shared;
	int shared_fd;
	int lease_fd;
	int engine_fd;

	const struct driver *driver;
	struct driver_source *source;
	struct driver_stats before;
	uint64_t unread_pkts;
	unsigned int n_interfaces;
	uint32_t numbers[RELAY_INTERFACES_MAX];
	uint64_t look_ns;
	struct packet_batch batch;
};

/* ---- the memory ---- */

static int relay_share(struct relay *relay)
{
	/* Without F_SEAL_FUTURE_WRITE the engine could write there, too, which would harm nobody
	 * but it: Linux before 5.1. */
	static const int seals[] = { F_SEAL_SHRINK | F_SEAL_GROW, F_SEAL_FUTURE_WRITE,
		F_SEAL_SEAL };
	void *shared;

	relay->shared_fd = memfd_create("mapi-relay", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (relay->shared_fd < 0 ||
		ftruncate(relay->shared_fd, (off_t)sizeof(struct relay_shared)) < 0)
		return -errno;
	shared = mmap(NULL, sizeof(struct relay_shared), PROT_READ | PROT_WRITE, MAP_SHARED,
		relay->shared_fd, 0);
	if (shared == MAP_FAILED)
		return -errno;
	relay->shared = shared;
	for (size_t i = 0; i < ARRAY_SIZE(seals); i++)
		if (fcntl(relay->shared_fd, F_ADD_SEALS, seals[i]) < 0 &&
			seals[i] != F_SEAL_FUTURE_WRITE)
			return -errno;
	relay->shared->magic = RELAY_MAGIC;
	relay->shared->layout = RELAY_LAYOUT;
	return 0;
}

int relay_new(struct relay **ret, const struct driver_options *options)
{
	_cleanup_(relay_freep) struct relay *relay = calloc(1, sizeof(*relay));
	uint64_t bytes = options->ring_bytes ? options->ring_bytes : RELAY_BYTES;
	int lease[2], r;

	if (!relay)
		return -ENOMEM;
	relay->shared_fd = relay->lease_fd = relay->engine_fd = -1;
	r = relay_share(relay);
	if (r < 0)
		return r;
	r = ring_new(&relay->ring, (size_t)MAX(bytes, (uint64_t)RELAY_BYTES_MIN), false);
	if (r < 0)
		return r;
	if (pipe2(lease, O_CLOEXEC) < 0)
		return -errno;
	relay->lease_fd = lease[0];
	relay->engine_fd = lease[1];
	*ret = TAKE(relay);
	return 0;
}

struct relay *relay_free(struct relay *relay)
{
	if (!relay)
		return NULL;
	ring_free(relay->ring);
	if (relay->shared)
		(void)munmap(relay->shared, sizeof(*relay->shared));
	cleanup_closep(&relay->shared_fd);
	cleanup_closep(&relay->lease_fd);
	cleanup_closep(&relay->engine_fd);
	free(relay);
	return NULL;
}

void relay_fds(const struct relay *relay, int ret_fds[RELAY_N_FDS])
{
	ring_fds(relay->ring, ret_fds);
	ret_fds[RELAY_FD_SHARED] = relay->shared_fd;
	ret_fds[RELAY_FD_LEASE] = relay->engine_fd;
}

void relay_give(struct relay *relay)
{
	cleanup_closep(&relay->engine_fd);
	relay->engine_fd = -1;
}

int relay_lease_fd(const struct relay *relay)
{
	return relay->lease_fd;
}

void relay_gone(struct relay *relay)
{
	/* Nobody else writes now. */
	if (atomic_exchange_explicit(&relay->shared->state, (uint32_t)DRIVER_GONE,
		    memory_order_relaxed) == DRIVER_UP)
		atomic_fetch_add_explicit(&relay->shared->outages, 1, memory_order_relaxed);
}

/* ---- the reader ---- */

static bool relay_interface_is(
	const struct relay_interface *a, const struct driver_interface *interface)
{
	return a->linktype == interface->linktype && a->snaplen_bytes == interface->snaplen_bytes &&
		a->ts_units_per_s == interface->ts_units_per_s &&
		strcmp(a->name, interface->name) == 0;
}

/* Return: its number in the relay; RELAY_INTERFACES_MAX: there is no room for it. */
static uint32_t relay_interface_add(struct relay *relay, const struct driver_interface *interface)
{
	struct relay_shared *shared = relay->shared;
	uint32_t n = atomic_load_explicit(&shared->n_interfaces, memory_order_relaxed);

	for (uint32_t i = 0; i < n; i++)
		if (relay_interface_is(&shared->interfaces[i], interface))
			return i;
	if (n >= RELAY_INTERFACES_MAX)
		return RELAY_INTERFACES_MAX;
	shared->interfaces[n] = (struct relay_interface){ .linktype = interface->linktype,
		.snaplen_bytes = interface->snaplen_bytes,
		.ts_units_per_s = interface->ts_units_per_s };
	memcpy(shared->interfaces[n].name, interface->name, sizeof(interface->name));
	/* Pairs with relay_source_interface(). */
	atomic_store_explicit(&shared->n_interfaces, n + 1, memory_order_release);
	return n;
}

/* What the source says of itself. */
static struct driver_stats relay_look(struct relay *relay)
{
	struct relay_shared *shared = relay->shared;
	struct driver_interface interface;
	struct driver_stats stats;

	relay->driver->stats(relay->source, &stats);
	while (relay->n_interfaces < RELAY_INTERFACES_MAX &&
		relay->driver->interface(relay->source, relay->n_interfaces, &interface) == 0)
		relay->numbers[relay->n_interfaces++] = relay_interface_add(relay, &interface);
	atomic_store_explicit(
		&shared->outages, relay->before.outages + stats.outages, memory_order_relaxed);
	atomic_store_explicit(&shared->nic_lost_pkts,
		relay->before.nic_lost_pkts + stats.nic_lost_pkts, memory_order_relaxed);
	atomic_store_explicit(&shared->ring_lost_pkts,
		relay->before.ring_lost_pkts + stats.ring_lost_pkts, memory_order_relaxed);
	atomic_store_explicit(&shared->unread_pkts, relay->unread_pkts, memory_order_relaxed);
	atomic_store_explicit(&shared->state, (uint32_t)stats.state, memory_order_relaxed);
	relay->look_ns = clock_monotonic_ns() + RELAY_LOOK_NS;
	return stats;
}

int relay_begin(struct relay *relay, const struct driver *driver, struct driver_source *source)
{
	const struct relay_shared *shared = relay->shared;

	relay->driver = driver;
	relay->source = source;
	relay->before.outages = atomic_load_explicit(&shared->outages, memory_order_relaxed);
	relay->before.nic_lost_pkts =
		atomic_load_explicit(&shared->nic_lost_pkts, memory_order_relaxed);
	relay->before.ring_lost_pkts =
		atomic_load_explicit(&shared->ring_lost_pkts, memory_order_relaxed);
	relay->unread_pkts = atomic_load_explicit(&shared->unread_pkts, memory_order_relaxed);
	if (ring_resume(relay->ring) < 0)
		return -EBADMSG;
	(void)relay_look(relay);
	return 0;
}

static int relay_write(struct relay *relay, unsigned int i)
{
	const struct packet_batch *batch = &relay->batch;
	uint32_t number = batch->ifindex[i] < relay->n_interfaces
		? relay->numbers[batch->ifindex[i]]
		: RELAY_INTERFACES_MAX;
	struct relay_packet packet = {
		.ts_ns = batch->ts_ns[i], .wire_bytes = batch->wire_bytes[i], .interface = number
	};
	struct error unheard = ERROR_INIT;
	int r = RING_E_DROPPED;

	if (number < RELAY_INTERFACES_MAX)
		r = ring_write(relay->ring, &packet, sizeof(packet), batch->data[i],
			batch->cap_bytes[i], &unheard);
	relay->unread_pkts += r != 0;
	return r == -EINVAL ? -EBADMSG : 0;
}

/* Return: 0, -EBADMSG. */
static int relay_chunk(struct relay *relay, struct driver_chunk *chunk)
{
	int r = 0;

	while (r == 0 && relay->driver->next_batch(relay->source, chunk, &relay->batch) == 0)
		for (unsigned int i = 0; r == 0 && i < relay->batch.n; i++)
			r = relay_write(relay, i);
	relay->driver->release(relay->source, chunk);
	return r;
}

static bool relay_is_over(const struct relay *relay)
{
	struct pollfd lease = { .fd = relay->lease_fd };

	return poll(&lease, 1, 0) != 0;
}

int relay_run(struct relay *relay)
{
	for (;;) {
		struct driver_chunk chunk = { .seq = 0 };
		uint64_t asked_ns = clock_monotonic_ns();
		int r = relay->driver->claim(relay->source, &chunk);
		bool has_packets = r == 0;

		if (r == DRIVER_E_END)
			return 0;
		if (r == DRIVER_E_IDLE) /* pairs with relay_source_heard_ns() */
			atomic_store_explicit(
				&relay->shared->asked_ns, asked_ns, memory_order_release);
		if (has_packets && relay_chunk(relay, &chunk) < 0)
			return -EBADMSG;
		if (has_packets && clock_monotonic_ns() < relay->look_ns)
			continue;
		if (relay_look(relay).state != DRIVER_UP && !has_packets)
			return 0;
		if (relay_is_over(relay))
			return 0;
	}
}
