/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a hook attaches to its interface, and what others do to it.
 *
 * Links are taken away with their interface, or by who administers the machine. The thread looks
 * after them, and begins again when it can; what it had counted stays.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "hook_private.h"
#include "mapi/errors.h"

static void hook_interface(const struct hook *hook, char ret[IFNAMSIZ])
{
	struct driver_interface interface;

	(void)hook->device->driver->interface(hook->device->source, 0, &interface);
	(void)snprintf(ret, IFNAMSIZ, "%.*s", IFNAMSIZ - 1, interface.name);
}

/* Whether the card takes VLAN tags out of packets, which XDP then does not see. */
static bool hook_untags(const char *name)
{
	struct ethtool_value value = { .cmd = ETHTOOL_GFLAGS };
	struct ifreq request = { .ifr_data = (char *)&value };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool untags = false;

	if (fd < 0)
		return false;
	memcpy(request.ifr_name, name, MIN(strlen(name), sizeof(request.ifr_name) - 1));
	if (ioctl(fd, SIOCETHTOOL, &request) == 0)
		untags = value.data & ETH_FLAG_RXVLAN;
	(void)close(fd);
	return untags;
}

static void hook_say_attached(const struct hook *hook, const char *others)
{
	if (others[0])
		log_event(LOG_INFO,
			"%s: programs of others are at the interface, too, behind ours: %s",
			hook->device->name, others);
}

int hook_attach(struct hook *hook, struct error *err)
{
	char name[IFNAMSIZ], others[KERNEL_TEXT_BYTES] = "";
	int r = -ENOTSUP;

	hook_interface(hook, name);
	for (unsigned int i = 0; r < 0 && i < hook->n_ways; i++) {
		enum kernel_way way = hook->ways[i];
		bool is_last = i + 1 == hook->n_ways;
		struct error why = ERROR_INIT;

		if (kernel_way_hook(way) == KERNEL_XDP && !is_last && hook_untags(name)) {
			(void)error_set(&why, MFUNCT_NOT_SUPPORTED,
				"the interface takes VLAN tags away before (ethtool -K %s rxvlan "
				"off)",
				name);
		} else {
			r = hook->loader.attach(
				hook->loader.argument, name, way, &hook->root, others, &why);
		}
		if (r == 0) {
			hook_lock(hook);
			hook->way = way;
			hook_unlock(hook);
		} else if (is_last) {
			*err = why;
		} else {
			log_event(LOG_INFO, "%s: %s is not used: %s", hook->device->name,
				kernel_way_name(way), why.text);
		}
	}
	if (r < 0)
		return r;
	hook->ifindex = if_nametoindex(name);
	hook_say_attached(hook, others);
	return 0;
}

int hook_listen(struct hook *hook, bool listens)
{
	int r;

	if (hook->listens == listens)
		return 0;
	r = hook->device->driver->listen(hook->device->source, listens);
	if (r < 0)
		return r;
	hook_lock(hook);
	hook->listens = listens;
	hook_unlock(hook);
	return 0;
}

/* Whoever took the links away: the interface has gone with them, which the driver tells; or it is
 * there without them, and that is told here. */
static void hook_lose(struct hook *hook)
{
	char name[IFNAMSIZ];
	bool is_there;

	hook_interface(hook, name);
	is_there = if_nametoindex(name) == hook->ifindex;
	kernel_root_close(&hook->root);
	if (is_there)
		log_event(LOG_WARNING,
			"%s: somebody has taken away the program that counts at the interface "
			"(%s); it is put there again",
			hook->device->name, kernel_way_name(hook->way));
	hook_lock(hook);
	hook->lost = true;
	hook->outages += is_there;
	hook_unlock(hook);
}

/* The program of before counts on. */
static void hook_return(struct hook *hook)
{
	struct error err = ERROR_INIT;
	struct lowering_set *running;

	if (hook_attach(hook, &err) < 0)
		return; /* there is no such interface now: try again later */
	hook_lock(hook);
	running = lowering_set_running(hook->sets);
	hook_unlock(hook);
	/* Another way may want another program, which then is made when flows come or go. */
	if (kernel_root_put(&hook->root, running->programs->at[0], &err) < 0) {
		kernel_root_close(&hook->root);
		return;
	}
	hook_lock(hook);
	hook->lost = false;
	hook_unlock(hook);
}

void hook_look(struct hook *hook)
{
	bool has_flows;

	hook_lock(hook);
	has_flows = lowering_set_running(hook->sets) && lowering_set_running(hook->sets)->programs;
	hook_unlock(hook);
	if (!has_flows)
		return;
	if (hook->root.n_links && !kernel_root_is_attached(&hook->root))
		hook_lose(hook);
	if (hook->lost)
		hook_return(hook);
}
