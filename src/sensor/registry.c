/* SPDX-License-Identifier: BSD-2-Clause */
/* Live devices: see registry.h. */
#include "registry.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "mapi/errors.h"
#include "privileged.h"

#define REGISTRY_KEEP_NS 1000000000u

/* A device in use. @users: references. */
struct registry_entry {
	struct registry_entry *next;
	struct device *device;
	unsigned int users;
	uint64_t unused_ns; /* since when, where there are no users */
	char name[]; /* as driver and configuration call it */
};

struct registry {
	struct registry_args args;
	struct registry_entry *entries;
	char listed_name[IF_NAMESIZE];
};

int registry_new(struct registry **ret, const struct registry_args *args)
{
	struct registry *registry = calloc(1, sizeof(*registry));

	if (!registry)
		return -ENOMEM;
	registry->args = *args;
	*ret = registry;
	return 0;
}

static struct registry_entry *registry_entry_free(struct registry_entry *entry)
{
	if (entry)
		device_free(entry->device);
	free(entry);
	return NULL;
}
DEFINE_CLEANUP(struct registry_entry *, registry_entry_free);

struct registry *registry_free(struct registry *registry)
{
	while (registry && registry->entries) {
		struct registry_entry *entry = registry->entries;

		registry->entries = entry->next;
		registry_entry_free(entry);
	}
	free(registry);
	return NULL;
}

/* @open: what the driver is told; a device is named, nothing is opened yet. */
static int registry_open(const struct registry *registry, struct device_args *args,
	struct device **ret, struct error *err)
{
	int fds[DRIVER_FDS_MAX];
	int r;

	if (registry->args.privileged_fd >= 0) {
		r = privileged_prepare(registry->args.privileged_fd, args->open.name,
			args->open.n_workers, fds, &args->open.n_fds, err);
		if (r < 0)
			return r;
		args->open.fds = fds;
	}
	return device_new(ret, args, err);
}

/* The device of that name that runs already, NULL if none does. */
static struct registry_entry *registry_find(const struct registry *registry, const char *name)
{
	/* One that has ended, for want of memory, is of no use to those who come now. */
	for (struct registry_entry *entry = registry->entries; entry; entry = entry->next)
		if (strcmp(entry->name, name) == 0 && !device_is_over(entry->device))
			return entry;
	return NULL;
}

int registry_get(struct registry *registry, const char *name, unsigned int n_workers,
	unsigned int batch_pkts, uint64_t seed, struct device **ret, struct error *err)
{
	const struct config *config = registry->args.config;
	const struct config_device *section = config ? config_find(config, name) : NULL;
	_cleanup_(registry_entry_freep) struct registry_entry *entry = NULL;
	struct device_args args = { .open = { .name = name, .fd = -1 },
		.seed = seed,
		.notify_fd = registry->args.notify_fd };
	struct driver_options options;
	int r = config ? privileged_find(config, name, &args.open, &options, err) : 0;

	if (r < 0)
		return r;
	name = args.open.name;
	entry = registry_find(registry, name);
	if (entry) {
		entry->users++;
		*ret = TAKE(entry)->device;
		return 0;
	}
	entry = calloc(1, sizeof(*entry) + strlen(name) + 1);
	if (!entry)
		return -ENOMEM;
	memcpy(entry->name, name, strlen(name));
	if (n_workers == 0 && section)
		n_workers = section->n_cpus;
	if (section) {
		args.cpus = section->cpus;
		args.n_cpus = section->n_cpus;
	}
	args.open.batch_pkts = batch_pkts;
	args.open.n_workers = MAX(n_workers, 1u);
	r = registry_open(registry, &args, &entry->device, err);
	if (r < 0)
		return r;
	entry->users = 1;
	entry->next = registry->entries;
	*ret = entry->device;
	registry->entries = TAKE(entry);
	return 0;
}

/* ---- lists ---- */

/* Interfaces of the system; their numbers are the ids where the configuration names no devices. */
static int registry_list_interfaces(
	struct registry *registry, int id, bool next, struct registry_listed *ret)
{
	struct if_nameindex *all = if_nameindex();
	const struct if_nameindex *found = NULL;

	for (const struct if_nameindex *one = all; one && one->if_name; one++) {
		bool fits = next ? (int)one->if_index > id : (int)one->if_index == id;

		if (fits && (!found || one->if_index < found->if_index))
			found = one;
	}
	if (found) {
		(void)snprintf(
			registry->listed_name, sizeof(registry->listed_name), "%s", found->if_name);
		*ret = (struct registry_listed){ .id = (int)found->if_index,
			.device = registry->listed_name,
			.driver = "afpacket",
			.alias = "",
			.description = "" };
	}
	if_freenameindex(all);
	return found ? 0 : -ENOENT;
}

int registry_list(struct registry *registry, int id, bool next, struct registry_listed *ret)
{
	const struct config *config = registry->args.config;
	const struct config_device *section;
	unsigned int i;

	if (!config || !config->n_devices)
		return registry_list_interfaces(registry, id, next, ret);
	i = next ? (unsigned int)MAX(id, 0) : (unsigned int)id - 1; /* ids begin at 1 */
	if (i >= config->n_devices)
		return -ENOENT;
	section = &config->devices[i];
	*ret = (struct registry_listed){ .id = (int)i + 1,
		.device = section->device,
		.driver = section->driver_name ? section->driver_name : "afpacket",
		.alias = section->alias ? section->alias : "",
		.description = section->description ? section->description : "",
		.link_speed_mbps = section->link_speed_mbps,
		.mpls = section->mpls,
		.vlan = section->vlan };
	return 0;
}

static struct registry_entry **registry_at(struct registry *registry, const struct device *device)
{
	struct registry_entry **at = &registry->entries;

	while (*at && (*at)->device != device)
		at = &(*at)->next;
	return at;
}

static void registry_remove(struct registry_entry **at)
{
	struct registry_entry *entry = *at;

	*at = entry->next;
	registry_entry_free(entry);
}

void registry_put(struct registry *registry, struct device *device)
{
	struct registry_entry **at = registry_at(registry, device);

	if (!*at || --(*at)->users > 0)
		return;
	(*at)->unused_ns = clock_monotonic_ns();
	if (registry->args.privileged_fd < 0)
		registry_remove(at);
}

void registry_expire(struct registry *registry)
{
	uint64_t now_ns = clock_monotonic_ns();

	for (struct registry_entry **at = &registry->entries; *at; at = &(*at)->next)
		if ((*at)->users == 0 && now_ns - (*at)->unused_ns > REGISTRY_KEEP_NS) {
			registry_remove(at);
			return;
		}
}
