/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The live devices of an engine, by name: however many flows of however many clients listen to an
 * interface, it is captured once. Control thread only.
 */
#ifndef MAPI_SENSOR_REGISTRY_H
#define MAPI_SENSOR_REGISTRY_H

#include "config/config.h"
#include "device.h"

struct registry;
struct registry_entry; /* a device in use */

/**
 * struct registry_args - for all devices of an engine
 * @config:        which devices there are; NULL: every interface
 * @privileged_fd: who opens them; -1: the engine itself
 * @area:          for code to be loaded by who opens them; outlives the registry
 * @notify_fd:     eventfd that workers poke; borrowed
 * @turns:         numbers of samples in the kernel; the registry's own
 * @compiler:      of its devices; outlives the registry
 */
struct registry_args {
	const struct config *config;
	int privileged_fd;
	void *area;
	size_t area_bytes;
	int notify_fd;
	struct kernel_turns *turns;
	struct compiler *compiler;
};

int registry_new(struct registry **ret, const struct registry_args *args);
struct registry *registry_free(struct registry *registry); /* nobody uses a device; takes NULL */
DEFINE_CLEANUP(struct registry *, registry_free);

enum registry_outcome {
	REGISTRY_E_AGAIN = 1, /* not known yet */
	_REGISTRY_E_N
};

/**
 * registry_get() - begin to use a device
 * @name:       an interface, or what the configuration calls it
 * @n_workers:  asked for; 0: as configured. Who comes first decides
 * @batch_pkts: packets per batch, alike
 * @seed:       of everything random, alike
 * @ret:        a reference, to be given back by registry_put()
 *
 * Opening takes as long as parent and kernel like, so a thread of the registry does it, one device
 * at a time; registry_opened() tells when it is done.
 *
 * Return: 0; -EINVAL with @err filled (3200: no such device, or nobody may use it), -ENOMEM.
 */
int registry_get(struct registry *registry, const char *name, unsigned int n_workers,
	unsigned int batch_pkts, uint64_t seed, struct registry_entry **ret, struct error *err);

/* Return: 0 and the device; REGISTRY_E_AGAIN: ask again when the notify descriptor is readable;
 * -EINVAL with @err filled (3200; 9007: no right to capture), -ENOMEM. */
int registry_opened(struct registry *registry, const struct registry_entry *entry,
	struct device **ret, struct error *err);

/* What registry_list() tells about a device. Texts are valid until the next call. */
struct registry_listed {
	int id;
	const char *device;
	const char *driver;
	const char *alias;
	const char *description;
	uint32_t link_speed_mbps;
	bool mpls;
	bool vlan;
	uint32_t group;
};

/* The devices that may be used: the one with @id, or (@next) the first with a greater one. Ids
 * begin with 0: those of the configuration in its order or, where it has none, interfaces
 * (interfaces.h). Return: 0, -ENOENT, or negative errno if the kernel does not tell. */
int registry_list(struct registry *registry, int id, bool next, struct registry_listed *ret);

/* The id of a device in registry_list(), -1 if it is not listed. */
int registry_id(struct registry *registry, const char *device);

/* The device of that name, or of that name in the configuration, which somebody uses. NULL: nobody
 * does. */
struct device *registry_look(struct registry *registry, const char *name);

/* Give a reference back. The last one has the device stopped, which takes some milliseconds, by the
 * registry's thread; where others may come (the engine opens no device itself), not before
 * registry_expire(). */
void registry_put(struct registry *registry, struct registry_entry *entry);

/* Once in a while: have a device stopped that nobody has used for a second. */
void registry_expire(struct registry *registry);

#endif
