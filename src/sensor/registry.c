/* SPDX-License-Identifier: BSD-2-Clause */
/* Live devices: see registry.h. */
#include "registry.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "mapi/errors.h"
#include "privileged.h"

/* A device in use. @users: references. */
struct registry_entry {
	struct registry_entry *next;
	struct device *device;
	unsigned int users;
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

/* Which device is meant, and whether it may be used. Return: 0, -EINVAL with @err filled. */
static int registry_resolve(const struct registry *registry, const char *name,
	const struct config_device **ret, struct error *err)
{
	const struct config *config = registry->args.config;

	*ret = config ? config_find(config, name) : NULL;
	if (*ret || !config || config->any_interface)
		return 0;
	return error_set(err, MAPID_NO_DRIVER,
		"%s: this daemon serves no such device; its configuration names those it does "
		"(mapi "
		"devices)",
		name);
}

static int registry_open(const struct registry *registry, const struct config_device *section,
	struct device_args *args, struct device **ret, struct error *err)
{
	struct driver_options options = { .driver = NULL };
	int fds[DRIVER_FDS_MAX];
	int r;

	if (section)
		options = (struct driver_options){ .driver = section->driver_name,
			.trace_dir = section->trace_dir,
			.snaplen_bytes = section->snaplen_bytes,
			.ring_bytes = section->ring_bytes,
			.no_promisc = section->no_promisc };
	args->open.options = &options;
	if (registry->args.privileged_fd >= 0) {
		r = privileged_prepare(registry->args.privileged_fd, args->open.name,
			args->open.n_workers, fds, &args->open.n_fds, err);
		if (r < 0)
			return r;
		args->open.fds = fds;
	}
	return device_new(ret, args, err);
}

int registry_get(struct registry *registry, const char *name, unsigned int n_workers,
	unsigned int batch_pkts, uint64_t seed, struct device **ret, struct error *err)
{
	_cleanup_(registry_entry_freep) struct registry_entry *entry = NULL;
	const struct config_device *section;
	struct device_args args = { .seed = seed, .notify_fd = registry->args.notify_fd };
	int r = registry_resolve(registry, name, &section, err);

	if (r < 0)
		return r;
	if (section)
		name = section->device;
	for (struct registry_entry *known = registry->entries; known; known = known->next) {
		/* One that has ended, for want of memory, is of no use to those who come now. */
		if (strcmp(known->name, name) != 0 || device_ended(known->device))
			continue;
		known->users++;
		*ret = known->device;
		return 0;
	}
	if (n_workers == 0)
		n_workers = section ? section->n_cpus : 0;
	entry = calloc(1, sizeof(*entry) + strlen(name) + 1);
	if (!entry)
		return -ENOMEM;
	memcpy(entry->name, name, strlen(name));
	args.open = (struct driver_open_args){ .name = entry->name,
		.fd = -1,
		.batch_pkts = batch_pkts,
		.n_workers = MAX(n_workers, 1u) };
	r = registry_open(registry, section, &args, &entry->device, err);
	if (r < 0)
		return r;
	entry->users = 1;
	entry->next = registry->entries;
	*ret = entry->device;
	registry->entries = entry;
	entry = NULL;
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

void registry_put(struct registry *registry, struct device *device)
{
	for (struct registry_entry **at = &registry->entries; *at; at = &(*at)->next) {
		struct registry_entry *entry = *at;

		if (entry->device != device)
			continue;
		if (--entry->users > 0)
			return;
		*at = entry->next;
		registry_entry_free(entry);
		return;
	}
}
