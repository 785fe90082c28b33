/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What becomes of the interface. The kernel tells a packet socket by ENETDOWN that its interface
 * went down or away, and takes it up again by itself when the same interface comes up. What
 * remains:
 *
 *   renamed      the socket is bound to the index, so nothing is lost; the new name is noted
 *   removed      the socket is bound to nothing. When there is an interface of the last name, or
 *                of the name that was asked for, it is bound to that; this takes no right
 *   promiscuous  belongs to the interface: asked for again after binding
 *
 * To know, we ask the kernel about the interface when a socket reports an error, when rtnetlink
 * reports a change of whatever interface (what it says is not read), every 100 ms while the
 * interface is not up. Never per packet, and never while packets keep claim() from idling: such a
 * question may have to wait for whoever changes interfaces. The counters of the interface are read
 * by a thread of their own (afpacket_counter.c).
 */
#include "afpacket_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "mapi/errors.h"

#define AFPACKET_ASK_NS 100000000u

/* What no packet is of: LocalTalk is not told by a type of Ethernet. A socket that is bound to it
 * is not asked about any packet, but hears of its interface, which one that is bound to nothing
 * does not. */
#define AFPACKET_NO_PACKETS ETH_P_LOCALTALK

int afpacket_bind(int fd, int ifindex, uint16_t protocol)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = ifindex
	};

	return bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

int afpacket_promisc(int fd, int ifindex)
{
	struct packet_mreq request = { .mr_ifindex = ifindex, .mr_type = PACKET_MR_PROMISC };

	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof(request)) < 0)
		return -errno;
	return 0;
}

/* Index of the interface that the socket is bound to, at most 0 if it is none. */
static int afpacket_bound_to(int fd)
{
	struct sockaddr_ll address = { .sll_ifindex = 0 };
	socklen_t n_bytes = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &n_bytes) < 0)
		return 0;
	return address.sll_ifindex;
}

/* Whether the socket's interface went down or away since the last call. */
static bool afpacket_watch_went(const struct afpacket_watch *watch)
{
	bool went = false;

	for (unsigned int i = 0; i < watch->n_fds; i++) {
		socklen_t n_bytes = sizeof(int);
		int error = 0;

		if (getsockopt(watch->fds[i], SOL_SOCKET, SO_ERROR, &error, &n_bytes) == 0)
			went = went || error == ENETDOWN;
	}
	return went;
}

static enum driver_state afpacket_state_of(const struct afpacket_link *link)
{
	return link->flags & IFF_UP ? DRIVER_UP : DRIVER_DOWN;
}

static void afpacket_watch_note(struct afpacket_watch *watch, const struct afpacket_link *link)
{
	uint32_t mtu_bytes = atomic_load_explicit(&watch->mtu_bytes, memory_order_relaxed);

	/* Without a name it is the first time. */
	watch->changes += watch->name[0] &&
		(strcmp(watch->name, link->name) != 0 || mtu_bytes != link->mtu_bytes);
	memcpy(watch->name, link->name, sizeof(watch->name));
	atomic_store_explicit(&watch->mtu_bytes, link->mtu_bytes, memory_order_relaxed);
}

/* The sockets have been bound to an interface: what it has dropped before is no loss of ours. */
static void afpacket_watch_bound(struct afpacket_watch *watch, const struct afpacket_counts *counts)
{
	watch->bound_to = watch->ifindex;
	watch->binding++;
	watch->has_counted = counts != NULL;
	if (counts)
		watch->counted = *counts;
}

static bool afpacket_watch_is_bound(const struct afpacket_watch *watch)
{
	for (unsigned int i = 0; i < watch->n_fds; i++)
		if (afpacket_bound_to(watch->fds[i]) != watch->ifindex)
			return false;
	return true;
}

/* Find the interface that takes the place of the one that is gone. */
static int afpacket_watch_find(struct afpacket_watch *watch, struct afpacket_link *ret)
{
	uint32_t linktype;
	int r = afpacket_link_get(watch->query_fd, 0, watch->name, ret);

	if (r == -ENODEV)
		r = afpacket_link_get(watch->query_fd, 0, watch->first_name, ret);
	if (r < 0)
		return r;
	/* Filters are compiled for the link type. */
	if (afpacket_linktype(ret->type, &linktype) < 0 || linktype != watch->linktype)
		return -ENODEV;
	return 0;
}

static int afpacket_watch_bind(const struct afpacket_watch *watch, const struct afpacket_link *link)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < watch->n_fds; i++) {
		if (afpacket_bound_to(watch->fds[i]) == link->ifindex)
			continue;
		r = afpacket_bind(watch->fds[i], link->ifindex, watch->protocol);
		if (r == 0 && watch->promisc)
			r = afpacket_promisc(watch->fds[i], link->ifindex);
	}
	return r;
}

static int afpacket_watch_rebind(struct afpacket_watch *watch, struct afpacket_link *ret)
{
	int r = afpacket_watch_find(watch, ret);

	if (r < 0)
		return r;
	(void)pthread_mutex_lock(&watch->bind_lock);
	r = afpacket_watch_bind(watch, ret);
	(void)pthread_mutex_unlock(&watch->bind_lock);
	if (r < 0)
		return r;
	(void)afpacket_watch_went(watch); /* binding to one that is down says so, too */
	watch->ifindex = ret->ifindex;
	return 0;
}

/* What the kernel says now. Whoever changes interfaces may keep the answer waiting: without the
 * lock, so that nobody waits who only wants to know the counters. */
static int afpacket_watch_ask(
	struct afpacket_watch *watch, struct afpacket_link *ret, bool *ret_went, bool *ret_rebound)
{
	int r = -ENODEV;

	*ret_went = afpacket_watch_went(watch);
	*ret_rebound = false;
	if (afpacket_watch_is_bound(watch))
		r = afpacket_link_get(watch->query_fd, watch->ifindex, NULL, ret);
	if (r != -ENODEV)
		return r;
	*ret_went = true;
	r = afpacket_watch_rebind(watch, ret);
	*ret_rebound = r == 0;
	return r;
}

void afpacket_watch_look(struct afpacket_watch *watch)
{
	enum driver_state before =
		(enum driver_state)atomic_load_explicit(&watch->state, memory_order_relaxed);
	enum driver_state now = DRIVER_GONE;
	struct afpacket_counts counts;
	struct afpacket_link link;
	bool went, rebound, counted = false;
	int r;

	watch->looked_ns = clock_monotonic_ns();
	r = afpacket_watch_ask(watch, &link, &went, &rebound);
	if (rebound)
		counted = afpacket_link_counts(watch->query_fd, watch->ifindex, &counts) == 0;
	(void)pthread_mutex_lock(&watch->lock);
	if (rebound)
		afpacket_watch_bound(watch, counted ? &counts : NULL);
	if (r == 0) {
		now = afpacket_state_of(&link);
		afpacket_watch_note(watch, &link);
	} else if (r != -ENODEV) {
		now = before; /* there was no answer: ask again later */
	}
	/* It may have been away and be back already. */
	if (before == DRIVER_UP && (went || now != DRIVER_UP))
		watch->outages++;
	atomic_store_explicit(&watch->state, (int)now, memory_order_relaxed);
	(void)pthread_mutex_unlock(&watch->lock);
}

void afpacket_watch_drain(struct afpacket_watch *watch)
{
	char ignored[256];

	/* An overrun is reported once, as ENOBUFS, and means as much as an event. */
	while (recv(watch->events_fd, ignored, sizeof(ignored), MSG_DONTWAIT) > 0 ||
		errno == ENOBUFS)
		;
	afpacket_watch_look(watch);
}

void afpacket_watch_idle(struct afpacket_watch *watch)
{
	if (atomic_load_explicit(&watch->state, memory_order_relaxed) != DRIVER_UP &&
		clock_monotonic_ns() - watch->looked_ns >= AFPACKET_ASK_NS)
		afpacket_watch_look(watch);
}

/* What has been counted since the last reading; nothing if the counts have been set back: what they
 * were in between is not known. */
static uint64_t afpacket_watch_more(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static void afpacket_watch_count(struct afpacket_watch *watch, struct driver_drops *ret)
{
	struct afpacket_reading reading;
	const struct afpacket_counts *now = &reading.counts;

	afpacket_counter_ask(watch->counter, watch->bound_to, watch->binding, &reading);
	if (reading.n > 0 && reading.binding == watch->binding && reading.n != watch->n_read) {
		if (watch->has_counted) {
			watch->nic_lost +=
				afpacket_watch_more(now->missed_pkts, watch->counted.missed_pkts);
			watch->dropped +=
				afpacket_watch_more(now->dropped_pkts, watch->counted.dropped_pkts);
		}
		watch->counted = *now;
		watch->has_counted = true;
		watch->n_read = reading.n;
	}
	*ret = (struct driver_drops){ .n_read = reading.n,
		.pkts = watch->dropped,
		.queues_before = reading.queues_before,
		.queues_after = reading.queues_after };
}

/* Reading sets the kernel's counts back to 0. */
static void afpacket_watch_rings(struct afpacket_watch *watch)
{
	for (unsigned int i = 0; i < watch->n_fds; i++) {
		struct tpacket_stats_v3 stats = { .tp_drops = 0 };
		socklen_t n_bytes = sizeof(stats);

		if (getsockopt(watch->fds[i], SOL_PACKET, PACKET_STATISTICS, &stats, &n_bytes) < 0)
			continue;
		watch->ring_lost += stats.tp_drops;
		/* These are all that came, also those that were dropped. */
		watch->met_pkts += stats.tp_packets - stats.tp_drops;
	}
}

void afpacket_watch_stats(struct afpacket_watch *watch, struct driver_stats *ret)
{
	struct driver_drops drops;

	(void)pthread_mutex_lock(&watch->lock);
	/* In this order: what the interface's count has of captured packets is in the rings'. */
	afpacket_watch_count(watch, &drops);
	afpacket_watch_rings(watch);
	drops.met_pkts = watch->met_pkts;
	*ret = (struct driver_stats){
		.nic_lost_pkts = watch->nic_lost,
		.ring_lost_pkts = watch->ring_lost,
		.n_interfaces = 1,
		.state = (enum driver_state)atomic_load_explicit(
			&watch->state, memory_order_relaxed),
		.outages = watch->outages,
		.changes = watch->changes,
		.drops = drops,
	};
	(void)pthread_mutex_unlock(&watch->lock);
}

void afpacket_watch_name(struct afpacket_watch *watch, char *ret, size_t ret_bytes)
{
	(void)pthread_mutex_lock(&watch->lock);
	memcpy(ret, watch->name, MIN(ret_bytes, sizeof(watch->name)));
	(void)pthread_mutex_unlock(&watch->lock);
}

struct afpacket_watch *afpacket_watch_free(struct afpacket_watch *watch)
{
	if (!watch)
		return NULL;
	watch->counter = afpacket_counter_free(watch->counter);
	for (unsigned int i = 0; i < watch->n_fds; i++)
		cleanup_closep(&watch->fds[i]);
	cleanup_closep(&watch->events_fd);
	cleanup_closep(&watch->query_fd);
	(void)pthread_mutex_destroy(&watch->bind_lock);
	(void)pthread_mutex_destroy(&watch->lock);
	free(watch->fds);
	free(watch);
	return NULL;
}
DEFINE_CLEANUP(struct afpacket_watch *, afpacket_watch_free);

/* Return: NULL without memory; then @fds are closed. */
static struct afpacket_watch *afpacket_watch_take(const int fds[], unsigned int n_fds)
{
	struct afpacket_watch *watch = calloc(1, sizeof(*watch));
	int *copy = calloc(n_fds, sizeof(copy[0]));

	if (!watch || !copy) {
		for (unsigned int i = 0; i < n_fds; i++)
			(void)close(fds[i]);
		free(watch);
		free(copy);
		return NULL;
	}
	memcpy(copy, fds, n_fds * sizeof(copy[0]));
	watch->n_fds = n_fds - AFPACKET_FDS_EXTRA;
	watch->fds = copy;
	watch->events_fd = fds[n_fds - 4];
	watch->query_fd = fds[n_fds - 3];
	(void)pthread_mutex_init(&watch->lock, NULL); /* these cannot fail on Linux */
	(void)pthread_mutex_init(&watch->bind_lock, NULL);
	watch->protocol = ETH_P_ALL;
	return watch;
}

int afpacket_watch_new(struct afpacket_watch **ret, const int fds[], unsigned int n_fds,
	const char *name, struct afpacket_link *ret_link, struct error *err)
{
	_cleanup_(afpacket_watch_freep) struct afpacket_watch *watch = NULL;
	struct afpacket_link link;
	int r;

	watch = afpacket_watch_take(fds, n_fds);
	if (!watch)
		return -ENOMEM;
	r = afpacket_counter_new(&watch->counter, fds[n_fds - 2], fds[n_fds - 1]);
	if (r < 0)
		return r;
	watch->ifindex = afpacket_bound_to(watch->fds[0]);
	if (watch->ifindex <= 0 ||
		afpacket_link_get(watch->query_fd, watch->ifindex, NULL, &link) < 0 ||
		afpacket_linktype(link.type, &watch->linktype) < 0)
		return error_set(err, MAPID_NO_DRIVER,
			"%s: the interface has gone away while it was opened", name);
	afpacket_watch_note(watch, &link);
	memcpy(watch->first_name, name, MIN(strlen(name), sizeof(watch->first_name) - 1));
	atomic_store_explicit(&watch->state, (int)afpacket_state_of(&link), memory_order_relaxed);
	*ret_link = link;
	*ret = TAKE(watch);
	return 0;
}

int afpacket_watch_start(struct afpacket_watch *watch)
{
	struct afpacket_counts counts;
	bool counted;

	for (unsigned int i = 0; i < watch->n_fds; i++) {
		int r = afpacket_bind(watch->fds[i], watch->ifindex, ETH_P_ALL);

		if (r < 0)
			return r;
	}
	(void)afpacket_watch_went(watch); /* it may be down from the start: that is no outage */
	counted = afpacket_link_counts(watch->query_fd, watch->ifindex, &counts) == 0;
	afpacket_watch_bound(watch, counted ? &counts : NULL);
	return 0;
}

int afpacket_watch_listen(struct afpacket_watch *watch, bool listens)
{
	uint16_t before;
	int r = 0;

	(void)pthread_mutex_lock(&watch->bind_lock);
	before = watch->protocol;
	watch->protocol = listens ? ETH_P_ALL : AFPACKET_NO_PACKETS;
	for (unsigned int i = 0; r == 0 && i < watch->n_fds; i++) {
		int ifindex = afpacket_bound_to(watch->fds[i]);

		/* One whose interface is gone is bound when there is one again. */
		if (ifindex > 0)
			r = afpacket_bind(watch->fds[i], ifindex, watch->protocol);
		if (r == -ENODEV)
			r = 0;
	}
	if (r < 0)
		watch->protocol = before;
	(void)pthread_mutex_unlock(&watch->bind_lock);
	return r;
}
