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

#include "base/clock.h"
#include "base/log.h"
#include "hook_private.h"
#include "mapi/errors.h"

#define HOOK_BEFORE_NS 2000000000u /* between looks for programs before ours */

static void hook_interface(const struct hook *hook, char ret[IFNAMSIZ])
{
	struct driver_interface interface;

	(void)hook->device->driver->interface(hook->device->source, 0, &interface);
	(void)snprintf(ret, IFNAMSIZ, "%.*s", IFNAMSIZ - 1, interface.name);
}

/* Ask a driver. Return: whether it has answered. */
static bool hook_ask_driver(const char *name, void *question)
{
	struct ifreq request = { .ifr_data = question };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool has_answered;

	if (fd < 0)
		return false;
	memcpy(request.ifr_name, name, MIN(strlen(name), sizeof(request.ifr_name) - 1));
	has_answered = ioctl(fd, SIOCETHTOOL, &request) == 0;
	(void)close(fd);
	return has_answered;
}

/* Whether the card takes VLAN tags out of packets, which XDP then does not see. */
static bool hook_untags(const char *name)
{
	struct ethtool_value value = { .cmd = ETHTOOL_GFLAGS };

	return hook_ask_driver(name, &value) && value.data & ETH_FLAG_RXVLAN;
}

/* Whether several packets of the wire may come in as one, by GRO or, where there is no wire, as
 * they were sent. The kernel turns off what cards merge (LRO) where XDP is put behind the driver.
 */
static bool hook_merges(const char *name)
{
	struct ethtool_value gro = { .cmd = ETHTOOL_GGRO };
	struct ethtool_drvinfo driver = { .cmd = ETHTOOL_GDRVINFO };

	return !hook_ask_driver(name, &gro) || gro.data || !hook_ask_driver(name, &driver) ||
		driver.bus_info[0] == '\0';
}

/* Whether packets of the interface are seen there as they were on the wire. Return: 0, -ENOTSUP
 * with @err filled. */
static int hook_is_exact(const char *name, enum kernel_way way, struct error *err)
{
	if (kernel_way_hook(way) != KERNEL_XDP)
		return 0;
	if (hook_untags(name)) {
		(void)error_set(err, MFUNCT_NOT_SUPPORTED,
			"the interface takes VLAN tags away before (ethtool -K %s rxvlan off)",
			name);
		return -ENOTSUP;
	}
	if (way == KERNEL_WAY_XDP_GENERIC && hook_merges(name)) {
		(void)error_set(err, MFUNCT_NOT_SUPPORTED,
			"packets that were merged before (GRO) would count as one (ethtool -K %s "
			"gro off, on a card)",
			name);
		return -ENOTSUP;
	}
	return 0;
}

static void hook_say_attached(const struct hook *hook, const char *others)
{
	if (others[0])
		log_event(LOG_INFO,
			"%s: programs of others are at the interface, too, behind ours: %s",
			hook->device->name, others);
}

/* In one way. Return: 0, negative errno with @err filled. */
static int hook_attach_way(struct hook *hook, enum kernel_way way, struct error *err)
{
	char name[IFNAMSIZ], others[KERNEL_TEXT_BYTES] = "";
	int r;

	hook_interface(hook, name);
	r = hook_is_exact(name, way, err);
	if (r == 0)
		r = hook->loader.attach(hook->loader.argument, name, way, &hook->root, others, err);
	if (r < 0)
		return r;
	hook->ifindex = if_nametoindex(name);
	hook_say_attached(hook, others);
	return 0;
}

/* That is tried again with the next flows, and said once. */
static void hook_say_unused(struct hook *hook, unsigned int i, const struct error *why)
{
	if (strcmp(hook->said[i].text, why->text) == 0)
		return;
	hook->said[i] = *why;
	log_event(LOG_INFO, "%s: %s is not used: %s", hook->device->name,
		kernel_way_name(hook->ways[i]), why->text);
}

int hook_attach(struct hook *hook, struct error *err)
{
	struct error why_not = ERROR_INIT;
	int r = -ENOTSUP;

	for (unsigned int i = 0; r < 0 && i < hook->n_ways; i++) {
		enum kernel_way way = hook->ways[i];
		struct error why = ERROR_INIT;

		r = hook_attach_way(hook, way, &why);
		if (r == 0) {
			hook->said[i] = ERROR_INIT;
			hook_lock(hook);
			hook->way = way;
			hook->why_not = why_not;
			hook_unlock(hook);
			break;
		}
		if (i == 0)
			why_not = why;
		if (i + 1 == hook->n_ways)
			*err = why;
		else
			hook_say_unused(hook, i, &why);
	}
	return r;
}

/* Packets end in what counts them, if it may discard, or pass. */
static void hook_discard(struct hook *hook, bool discard)
{
	hook_lock(hook);
	for (struct lowering_set *set = hook->sets; set; set = set->next)
		if (set->programs)
			kernel_program_discard(set->programs->at[0], discard);
	hook_unlock(hook);
}

int hook_listen(struct hook *hook, bool listens)
{
	int r;

	if (hook->listens == listens)
		return 0;
	if (listens)
		hook_discard(hook, false);
	r = hook->device->driver->listen(hook->device->source, listens);
	if (r == 0 && !listens)
		hook_discard(hook, true);
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
	hook_lock(hook);
	hook->lost = true;
	hook->outages += is_there;
	hook_unlock(hook);
	if (is_there)
		log_event(LOG_WARNING,
			"%s: somebody has taken away the program that counts at the interface "
			"(%s); it is put there again",
			hook->device->name, kernel_way_name(hook->way));
}

/* It cannot be put there again: because there is no such interface now, which is known, or it is
 * another's meanwhile. That is tried again later, and said once. */
static void hook_complain(struct hook *hook, const struct error *err)
{
	char name[IFNAMSIZ];

	hook_interface(hook, name);
	if (hook->has_complained || if_nametoindex(name) == 0)
		return;
	hook->has_complained = true;
	log_event(LOG_WARNING, "%s: nothing is counted at the interface (%s) until that can be: %s",
		hook->device->name, kernel_way_name(hook->way), err->text);
}

/* The program of before counts on. */
static void hook_return(struct hook *hook)
{
	struct error err = ERROR_INIT;
	struct lowering_set *running;

	if (hook_attach_way(hook, hook->way, &err) < 0) {
		hook_complain(hook, &err);
		return;
	}
	hook->has_complained = false;
	hook_lock(hook);
	running = lowering_set_running(hook->sets);
	hook_unlock(hook);
	if (kernel_root_put(&hook->root, running->programs->at[0], &err) < 0) {
		kernel_root_close(&hook->root);
		return;
	}
	hook_lock(hook);
	hook->lost = false;
	hook_unlock(hook);
}

/* Whether somebody has put a program before ours, which keeps its place: it is theirs to say who
 * comes first. */
static void hook_look_before(struct hook *hook)
{
	char name[IFNAMSIZ], before[KERNEL_TEXT_BYTES] = "";
	uint64_t now_ns = clock_monotonic_ns();
	struct error ignored = ERROR_INIT;

	if (kernel_way_hook(hook->way) != KERNEL_TC || now_ns < hook->asked_ns + HOOK_BEFORE_NS)
		return;
	hook->asked_ns = now_ns;
	hook_interface(hook, name);
	if (hook->loader.look(hook->loader.argument, name, kernel_root_id(&hook->root), before,
		    &ignored) < 0 ||
		strcmp(before, hook->before) == 0)
		return;
	if (before[0])
		log_event(LOG_WARNING,
			"%s: programs of others are before ours at the interface, and what they do "
			"not pass on is not counted: %s",
			hook->device->name, before);
	else
		log_event(LOG_INFO, "%s: no program is before ours at the interface any more",
			hook->device->name);
	hook_lock(hook);
	hook->times_behind += before[0] && !hook->before[0];
	memcpy(hook->before, before, sizeof(before));
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
	else
		hook_look_before(hook);
}
