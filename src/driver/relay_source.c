/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Relays, the engine's side (relay.h): a source of packets that a reader captures. What it has
 * written is checked: it has met packets, too.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "copy_private.h"
#include "mapi/errors.h"
#include "relay_private.h"
#include "wire/ring.h"

#define RELAY_MS_NS UINT64_C(1000000)

/**
 * struct driver_source - a relay
 * @record, @record_bytes: read from the ring, but not taken; NULL: none. Of the one who claims, as
 *             all that follows but @broken and @shared
 * @why:       what is wrong with the relay, for good; code 0: nothing. Written once, before @broken
 * @interfaces: as far as @n_interfaces, which only grows: of @shared, as they were when they were
 *             first seen. Were they others for each packet, the engine would compile filters for
 *             ever more link types
 */
struct driver_source {
	char *name;
	struct ring_reader *ring;
	const struct relay_shared *shared;
	int lease_fd;
	const void *record;
	size_t record_bytes;
	uint64_t asked_ns;
	struct error why;
	_Atomic bool broken;
	_Atomic bool woken;
	bool told;
	_Atomic uint32_t n_interfaces;
	struct driver_interface interfaces[RELAY_INTERFACES_MAX];
	struct copy_pool pool;
};

static bool relay_source_match(const struct driver_open_args *args)
{
	(void)args;
	return false; /* driver_find() finds it behind the driver of the device */
}

/* ---- packets ---- */

static void relay_source_break(struct driver_source *source, const char *why)
{
	(void)error_set(&source->why, MAPI_CAPTURE_DAMAGED, "%s: %s", source->name, why);
	atomic_store_explicit(&source->broken, true, memory_order_release);
}

static unsigned int relay_source_n_interfaces(const struct driver_source *source)
{
	/* Pairs with relay_source_meet(). */
	return atomic_load_explicit(&source->n_interfaces, memory_order_acquire);
}

/* Take over what interfaces have come. Who opens, later who claims. Return: 0, -EBADMSG. */
static int relay_source_meet(struct driver_source *source)
{
	/* Pairs with relay_interface_add(). */
	uint32_t n = atomic_load_explicit(&source->shared->n_interfaces, memory_order_acquire);

	n = MIN(n, RELAY_INTERFACES_MAX);
	for (uint32_t i = relay_source_n_interfaces(source); i < n; i++) {
		const struct relay_interface *from = &source->shared->interfaces[i];
		struct driver_interface *to = &source->interfaces[i];

		*to = (struct driver_interface){ .linktype = from->linktype,
			.snaplen_bytes = from->snaplen_bytes,
			.ts_units_per_s = from->ts_units_per_s };
		memcpy(to->name, from->name, sizeof(to->name) - 1);
		if (to->linktype > UINT16_MAX || to->ts_units_per_s == 0)
			return -EBADMSG;
		atomic_store_explicit(&source->n_interfaces, i + 1, memory_order_release);
	}
	return 0;
}

/* Look at the next record, if there is one. Return: 0, -EAGAIN, -EBADMSG. */
static int relay_source_peek(struct driver_source *source)
{
	int r;

	if (source->record)
		return 0;
	r = ring_reader_next(source->ring, &source->record, &source->record_bytes);
	if (r != 0)
		source->record = NULL;
	/* It has no end that a reader could tell: another one may go on. */
	return r == 0 ? 0 : r == RING_READ_E_EMPTY ? -EAGAIN : -EBADMSG;
}

/* A chunk is of one interface. Return: 0, -EAGAIN: not into this chunk, -EBADMSG. */
static int relay_source_take(struct driver_source *source, struct copy_chunk *chunk)
{
	struct relay_packet head;
	struct copy_packet packet;

	if (source->record_bytes < sizeof(head) ||
		source->record_bytes - sizeof(head) > PACKET_CAP_BYTES_MAX)
		return -EBADMSG;
	memcpy(&head, source->record, sizeof(head));
	if (relay_source_meet(source) < 0 || head.ts_ns > INT64_MAX ||
		head.interface >= relay_source_n_interfaces(source))
		return -EBADMSG;
	if (chunk->n == 0) {
		chunk->ifindex = (uint16_t)head.interface;
		chunk->linktype = source->interfaces[head.interface].linktype;
	} else if (chunk->ifindex != head.interface) {
		return -EAGAIN;
	}
	packet = (struct copy_packet){ .ts_ns = head.ts_ns,
		.cap_bytes = (uint32_t)(source->record_bytes - sizeof(head)) };
	packet.wire_bytes = MAX(head.wire_bytes, packet.cap_bytes);
	if (!copy_add(chunk, &packet, (const uint8_t *)source->record + sizeof(head)))
		return -EAGAIN;
	source->record = NULL;
	return 0;
}

/* What is there now, as far as it fits. */
static void relay_source_collect(struct driver_source *source, struct copy_chunk *chunk)
{
	int r;

	do {
		r = relay_source_peek(source);
		if (r == 0)
			r = relay_source_take(source, chunk);
	} while (r == 0);
	if (r == -EBADMSG)
		relay_source_break(source, "the process that captures writes nonsense");
}

/* All is in the ring, or was taken out, that the device had by then. */
static uint64_t relay_source_heard_ns(const struct driver_source *source)
{
	const struct relay_shared *shared = source->shared;

	/* Pairs with relay_run(). */
	if (atomic_load_explicit(&shared->state, memory_order_relaxed) == DRIVER_UP)
		return atomic_load_explicit(&shared->asked_ns, memory_order_acquire);
	return UINT64_MAX; /* there is no device */
}

/* Return: as claim(), and 0 without packets if it is broken. */
static int relay_source_fill(struct driver_source *source, struct copy_chunk *chunk)
{
	const struct pollfd lease = { .fd = source->lease_fd };
	uint64_t until_ns = clock_monotonic_ns() + DRIVER_IDLE_MS * RELAY_MS_NS;

	for (;;) {
		uint64_t now_ns;
		int r;

		source->asked_ns = relay_source_heard_ns(source); /* before the ring is empty */
		if (atomic_load_explicit(&source->woken, memory_order_relaxed))
			return DRIVER_E_END;
		if (!source->why.code)
			relay_source_collect(source, chunk);
		if (chunk->n > 0 || source->why.code) {
			source->told = chunk->n == 0;
			return 0;
		}
		now_ns = clock_monotonic_ns();
		if (now_ns >= until_ns)
			return DRIVER_E_IDLE;
		r = ring_reader_wait_peer(source->ring, &lease, 1,
			(int)((until_ns - now_ns + RELAY_MS_NS - 1) / RELAY_MS_NS));
		if (r == RING_READ_E_HANGUP)
			relay_source_break(source,
				"the process that kept the device was ended: create the flow "
				"again, or start the command again");
	}
}

static int relay_source_claim(struct driver_source *source, struct driver_chunk *chunk)
{
	return source->told ? DRIVER_E_END
			    : copy_claim(&source->pool, source, relay_source_fill, chunk);
}

static uint64_t relay_source_asked_ns(const struct driver_source *source)
{
	return source->asked_ns;
}

static int relay_source_next_batch(
	struct driver_source *source, struct driver_chunk *chunk, struct packet_batch *batch)
{
	const struct copy_chunk *c = chunk->impl;

	if (c->n == 0) /* nothing follows */
		chunk->error = source->why;
	return copy_next_batch(source, chunk, batch);
}

/* ---- the source ---- */

static void relay_source_wake(struct driver_source *source)
{
	atomic_store_explicit(&source->woken, true, memory_order_relaxed);
	ring_reader_wake(source->ring);
}

static void relay_source_stats(const struct driver_source *source, struct driver_stats *ret)
{
	const struct relay_shared *shared = source->shared;
	uint32_t state = atomic_load_explicit(&shared->state, memory_order_relaxed);

	*ret = (struct driver_stats){
		.nic_lost_pkts = atomic_load_explicit(&shared->nic_lost_pkts, memory_order_relaxed),
		.ring_lost_pkts =
			atomic_load_explicit(&shared->ring_lost_pkts, memory_order_relaxed) +
			atomic_load_explicit(&shared->unread_pkts, memory_order_relaxed),
		.n_interfaces = relay_source_n_interfaces(source),
		.outages = atomic_load_explicit(&shared->outages, memory_order_relaxed),
		.state = state == DRIVER_UP || state == DRIVER_DOWN ? (enum driver_state)state
								    : DRIVER_GONE,
	};
	if (atomic_load_explicit(&source->broken, memory_order_acquire))
		ret->state = DRIVER_GONE;
}

static int relay_source_interface(
	const struct driver_source *source, unsigned int index, struct driver_interface *ret)
{
	if (index >= relay_source_n_interfaces(source))
		return -ENOENT;
	*ret = source->interfaces[index];
	return 0;
}

static struct driver_source *relay_source_close(struct driver_source *source)
{
	if (!source)
		return NULL;
	ring_reader_free(source->ring);
	if (source->shared)
		(void)munmap((void *)source->shared, sizeof(*source->shared));
	cleanup_closep(&source->lease_fd);
	copy_pool_deinit(&source->pool);
	free(source->name);
	free(source);
	return NULL;
}
DEFINE_CLEANUP(struct driver_source *, relay_source_close);

/* Return: 0, -EBADMSG, negative errno. */
static int relay_source_map(struct driver_source *source, int fd)
{
	struct stat st;
	void *shared;

	if (fstat(fd, &st) < 0 || st.st_size != (off_t)sizeof(*source->shared))
		return -EBADMSG;
	shared = mmap(NULL, sizeof(*source->shared), PROT_READ, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		return -errno;
	source->shared = shared;
	return source->shared->magic == RELAY_MAGIC && source->shared->layout == RELAY_LAYOUT
		? 0
		: -EBADMSG;
}

/* @fds: those that are kept are set to -1. */
static int relay_source_take_fds(struct driver_source *source, int fds[RELAY_N_FDS])
{
	int r = relay_source_map(source, fds[RELAY_FD_SHARED]);

	if (r == 0)
		r = ring_reader_new(&source->ring, fds);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < RING_N_FDS; i++)
		fds[i] = -1;
	source->lease_fd = TAKE_FD(fds[RELAY_FD_LEASE]);
	return 0;
}

static int relay_source_new(
	struct driver_source **ret, const struct driver_open_args *args, int fds[RELAY_N_FDS])
{
	_cleanup_(relay_source_closep) struct driver_source *source = calloc(1, sizeof(*source));
	int r;

	if (!source)
		return -ENOMEM;
	source->lease_fd = -1;
	source->name = strdup(args->name);
	r = copy_pool_init(&source->pool, args);
	if (r == 0 && !source->name)
		r = -ENOMEM;
	if (r == 0)
		r = relay_source_take_fds(source, fds);
	if (r == 0)
		r = relay_source_meet(source);
	if (r < 0)
		return r;
	*ret = TAKE(source);
	return 0;
}

static int relay_source_open(
	struct driver_source **ret, const struct driver_open_args *args, struct error *err)
{
	int fds[RELAY_N_FDS] = { -1, -1, -1, -1, -1 };
	int r = -EBADMSG;

	for (unsigned int i = 0; i < args->n_fds; i++)
		if (args->n_fds == RELAY_N_FDS)
			fds[i] = args->fds[i];
		else
			(void)close(args->fds[i]);
	if (args->n_fds == RELAY_N_FDS)
		r = relay_source_new(ret, args, fds);
	for (unsigned int i = 0; i < RELAY_N_FDS; i++)
		cleanup_closep(&fds[i]);
	if (r == 0 || r == -ENOMEM)
		return r;
	return error_set(err, MAPID_NO_DRIVER, "%s: no way to the process that captures: %s",
		args->name, strerror(-r));
}

const struct driver driver_relay = {
	.name = "pcap",
	.real_time = true,
	.match = relay_source_match,
	.open = relay_source_open,
	.claim = relay_source_claim,
	.asked_ns = relay_source_asked_ns,
	.next_batch = relay_source_next_batch,
	.rewind = copy_rewind,
	.release = copy_release,
	.wake = relay_source_wake,
	.stats = relay_source_stats,
	.interface = relay_source_interface,
	.close = relay_source_close,
};
