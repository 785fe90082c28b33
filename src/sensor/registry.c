/* SPDX-License-Identifier: BSD-2-Clause */
/* Live devices: see registry.h. */
#include "registry.h"

#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/thread.h"
#include "driver/driver.h"
#include "interfaces.h"
#include "loader.h"
#include "mapi/errors.h"
#include "privileged.h"

#define REGISTRY_KEEP_NS 1000000000u
#define REGISTRY_THREADS_MAX 8

enum registry_state { REGISTRY_OPENING, REGISTRY_OPEN, REGISTRY_FAILED, REGISTRY_CLOSING };

/**
 * struct registry_entry - a device in use
 * @next:      of the registry's entries
 * @next_job:  of the threads' jobs
 * @users:     references
 * @unused_ns: since when, where there are no users
 * @state:     GUARDED_BY(lock); while it is OPENING or CLOSING, what follows is a thread's
 * @outcome:   of opening: 0, negative, then perhaps with @error
 * @name:      as driver and configuration call it
 */
struct registry_entry {
	struct registry_entry *next;
	struct registry_entry *next_job;
	unsigned int users;
	uint64_t unused_ns;
	enum registry_state state;
	struct device_args args;
	struct driver_options options;
	struct device *device;
	int outcome;
	struct error error;
	char name[];
};

/**
 * struct registry - all entries, and the threads that open and close devices
 * @interfaces: of the control thread, as all above @lock
 * @first_job: GUARDED_BY(lock), as all that follows; entries that are CLOSING are in no other list
 * @n_jobs:    that nobody works on
 * @threads:   as many as were needed at once so far
 * @n_begun:   of them, those that have a number
 * @working:   by number: on what
 * @over:      they are to end when there is no job
 */
struct registry {
	struct registry_args args;
	struct registry_entry *entries;
	struct interfaces interfaces;
	struct device_loader loader;
	pthread_mutex_t lock;
	pthread_cond_t asked;
	struct registry_entry *first_job;
	struct registry_entry **last_job;
	unsigned int n_jobs;
	pthread_t threads[REGISTRY_THREADS_MAX];
	unsigned int n_threads;
	unsigned int n_begun;
	const struct registry_entry *working[REGISTRY_THREADS_MAX];
	unsigned int n_working;
	bool over;
};

int registry_new(struct registry **ret, const struct registry_args *args)
{
	struct registry *registry = calloc(1, sizeof(*registry));

	if (!registry)
		return -ENOMEM;
	registry->args = *args;
	if (kernel_turns_new(&registry->args.turns) < 0) {
		free(registry);
		return -ENOMEM;
	}
	registry->loader = loader_get(&registry->args);
	registry->last_job = &registry->first_job;
	(void)pthread_mutex_init(&registry->lock, NULL); /* these cannot fail on Linux */
	(void)pthread_cond_init(&registry->asked, NULL);
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

/* ---- the threads ---- */

static int registry_open(struct registry *registry, struct registry_entry *entry)
{
	int fds[DRIVER_FDS_MAX];
	int r;

	if (registry->args.privileged_fd >= 0) {
		r = privileged_prepare(registry->args.privileged_fd, entry->name,
			entry->args.open.n_workers, fds, &entry->args.open.n_fds, &entry->error);
		if (r < 0)
			return r;
		entry->args.open.fds = fds;
	}
	r = device_new(&entry->device, &entry->args, &entry->error);
	entry->args.open.fds = NULL;
	return r;
}

/* Return: 0, negative. */
static int registry_work(struct registry *registry, struct registry_entry *job)
{
	if (job->state == REGISTRY_OPENING)
		return registry_open(registry, job);
	job->device = device_free(job->device);
	return 0;
}

/* With the lock held. */
static void registry_work_done(struct registry *registry, struct registry_entry *job)
{
	if (job->state == REGISTRY_CLOSING) {
		free(job);
		return;
	}
	job->state = job->outcome < 0 ? REGISTRY_FAILED : REGISTRY_OPEN;
	(void)eventfd_write(registry->args.notify_fd, 1); /* fails only if it is readable anyway */
}

/* With the lock held. Who opens and closes one device does so in the order in which he was asked.
 */
static bool registry_is_busy(const struct registry *registry, const struct registry_entry *job)
{
	for (unsigned int i = 0; i < registry->n_threads; i++)
		if (registry->working[i] && strcmp(registry->working[i]->name, job->name) == 0)
			return true;
	for (const struct registry_entry *one = registry->first_job; one != job;
		one = one->next_job)
		if (strcmp(one->name, job->name) == 0)
			return true;
	return false;
}

/* With the lock held. Return: the first job that can be begun, NULL: there is none. */
static struct registry_entry *registry_take_job(struct registry *registry)
{
	struct registry_entry **at = &registry->first_job;

	while (*at && registry_is_busy(registry, *at))
		at = &(*at)->next_job;
	if (*at) {
		struct registry_entry *job = *at;

		*at = job->next_job;
		if (registry->last_job == &job->next_job)
			registry->last_job = at;
		registry->n_jobs--;
		return job;
	}
	return NULL;
}

static void *registry_main(void *argument)
{
	struct registry *registry = argument;
	struct registry_entry *job;
	unsigned int number;

	(void)pthread_mutex_lock(&registry->lock);
	number = registry->n_begun++;
	for (;;) {
		job = registry_take_job(registry);
		if (!job && registry->over && !registry->first_job)
			break;
		if (!job) {
			(void)pthread_cond_wait(&registry->asked, &registry->lock);
			continue;
		}
		registry->working[number] = job;
		registry->n_working++;
		(void)pthread_mutex_unlock(&registry->lock);
		job->outcome = registry_work(registry, job);
		(void)pthread_mutex_lock(&registry->lock);
		registry->working[number] = NULL;
		registry->n_working--;
		registry_work_done(registry, job);
		(void)pthread_cond_broadcast(&registry->asked);
	}
	(void)pthread_mutex_unlock(&registry->lock);
	return NULL;
}

/* With the lock held. Return: 0, negative errno. */
static int registry_add_thread(struct registry *registry)
{
	int r = thread_start(&registry->threads[registry->n_threads], registry_main, registry);

	registry->n_threads += r == 0;
	return r;
}

/* Return: 0, negative errno: nothing can be opened. */
static int registry_start(struct registry *registry)
{
	int r = 0;

	(void)pthread_mutex_lock(&registry->lock);
	if (!registry->n_threads)
		r = registry_add_thread(registry);
	(void)pthread_mutex_unlock(&registry->lock);
	return r;
}

static void registry_ask(struct registry *registry, struct registry_entry *entry)
{
	entry->next_job = NULL;
	(void)pthread_mutex_lock(&registry->lock);
	*registry->last_job = entry;
	registry->last_job = &entry->next_job;
	registry->n_jobs++;
	/* One device that takes long keeps no other waiting; without another thread it does. */
	if (registry->n_jobs > registry->n_threads - registry->n_working &&
		registry->n_threads < REGISTRY_THREADS_MAX)
		(void)registry_add_thread(registry);
	(void)pthread_cond_broadcast(&registry->asked);
	(void)pthread_mutex_unlock(&registry->lock);
}

static void registry_end(struct registry *registry)
{
	unsigned int n_threads;

	(void)pthread_mutex_lock(&registry->lock);
	registry->over = true;
	n_threads = registry->n_threads;
	/* Who waits for the parent waits no longer. */
	if (registry->n_working && registry->args.privileged_fd >= 0)
		(void)shutdown(registry->args.privileged_fd, SHUT_RD);
	(void)pthread_cond_broadcast(&registry->asked);
	(void)pthread_mutex_unlock(&registry->lock);
	for (unsigned int i = 0; i < n_threads; i++)
		(void)pthread_join(registry->threads[i], NULL);
}

struct registry *registry_free(struct registry *registry)
{
	if (!registry)
		return NULL;
	registry_end(registry);
	while (registry->entries) {
		struct registry_entry *entry = registry->entries;

		registry->entries = entry->next;
		registry_entry_free(entry);
	}
	(void)pthread_cond_destroy(&registry->asked);
	(void)pthread_mutex_destroy(&registry->lock);
	interfaces_deinit(&registry->interfaces);
	kernel_turns_free(registry->args.turns);
	free(registry);
	return NULL;
}

/* ---- the control thread ---- */

static enum registry_state registry_state(
	struct registry *registry, const struct registry_entry *entry)
{
	enum registry_state state;

	(void)pthread_mutex_lock(&registry->lock);
	state = entry->state;
	(void)pthread_mutex_unlock(&registry->lock);
	return state;
}

/* The device of that name that runs already, or is about to; NULL if none does. */
static struct registry_entry *registry_find(struct registry *registry, const char *name)
{
	for (struct registry_entry *entry = registry->entries; entry; entry = entry->next) {
		enum registry_state state;

		if (strcmp(entry->name, name) != 0)
			continue;
		state = registry_state(registry, entry);
		/* One that has ended, for want of memory, is of no use to those who come now. */
		if (state == REGISTRY_OPENING ||
			(state == REGISTRY_OPEN && !device_is_over(entry->device)))
			return entry;
	}
	return NULL;
}

int registry_get(struct registry *registry, const char *name, unsigned int n_workers,
	unsigned int batch_pkts, uint64_t seed, struct registry_entry **ret, struct error *err)
{
	const struct config *config = registry->args.config;
	const struct config_device *section = config ? config_find(config, name) : NULL;
	struct registry_entry *entry;
	struct driver_open_args open = { .name = name, .fd = -1 };
	struct driver_options options = { .driver = NULL };
	int r = config ? privileged_find(config, name, &open, &options, err) : 0;

	if (r == 0)
		r = registry_start(registry);
	if (r < 0)
		return r;
	entry = registry_find(registry, open.name);
	if (entry) {
		entry->users++;
		*ret = entry;
		return 0;
	}
	entry = calloc(1, sizeof(*entry) + strlen(open.name) + 1);
	if (!entry)
		return -ENOMEM;
	memcpy(entry->name, open.name, strlen(open.name));
	if (n_workers == 0 && section)
		n_workers = section->n_cpus;
	entry->options = options;
	entry->args = (struct device_args){ .open = { .name = entry->name,
						    .fd = -1,
						    .batch_pkts = batch_pkts,
						    .n_workers = MAX(n_workers, 1u),
						    .options = config ? &entry->options : NULL },
		.seed = seed,
		.notify_fd = registry->args.notify_fd,
		.loader = registry->loader,
		.compiler = registry->args.compiler,
		.cpus = section ? section->cpus : NULL,
		.n_cpus = section ? section->n_cpus : 0 };
	entry->args.loader.is_asked_for = section && section->engine == CONFIG_ENGINE_KERNEL;
	entry->args.loader.may_use_xdp = options.incoming_only;
	entry->args.loader.discards = section && section->discard;
	if (section && section->engine == CONFIG_ENGINE_USER)
		entry->args.loader.load = NULL;
	entry->users = 1;
	entry->next = registry->entries;
	registry->entries = entry;
	registry_ask(registry, entry);
	*ret = entry;
	return 0;
}

int registry_opened(struct registry *registry, const struct registry_entry *entry,
	struct device **ret, struct error *err)
{
	if (registry_state(registry, entry) == REGISTRY_OPENING)
		return REGISTRY_E_AGAIN;
	if (entry->outcome < 0) {
		*err = entry->error;
		return entry->outcome;
	}
	*ret = entry->device;
	return 0;
}

/* ---- lists ---- */

/* Interfaces of the system, where the configuration names no devices. */
static int registry_list_interfaces(
	struct registry *registry, int id, bool next, struct registry_listed *ret)
{
	int r = interfaces_read(&registry->interfaces), number;
	const char *name;

	if (r < 0)
		return r;
	name = interfaces_at(&registry->interfaces, id, next, &number);
	if (!name)
		return -ENOENT;
	*ret = (struct registry_listed){
		.id = number, .device = name, .driver = "afpacket", .alias = "", .description = ""
	};
	return 0;
}

/* The driver that would open it now. */
static const char *registry_driver_name(const struct config_device *section)
{
	const struct driver_open_args args = { .name = section->device, .fd = -1 };
	const struct driver *driver = section->driver_name ? NULL : driver_find(&args);

	return section->driver_name ? section->driver_name : driver ? driver->name : "";
}

int registry_list(struct registry *registry, int id, bool next, struct registry_listed *ret)
{
	const struct config *config = registry->args.config;
	const struct config_device *section;
	unsigned int i;

	if (!config || !config->n_devices)
		return registry_list_interfaces(registry, id, next, ret);
	i = next ? (unsigned int)MAX(id, -1) + 1u : (unsigned int)id;
	if (i >= config->n_devices)
		return -ENOENT;
	section = &config->devices[i];
	*ret = (struct registry_listed){ .id = (int)i,
		.device = section->device,
		.driver = registry_driver_name(section),
		.alias = section->alias ? section->alias : "",
		.description = section->description ? section->description : "",
		.link_speed_mbps = section->link_speed_mbps,
		.mpls = section->mpls,
		.vlan = section->vlan,
		.group = (uint32_t)section->devgroup };
	return 0;
}

int registry_id(struct registry *registry, const char *device)
{
	const struct config *config = registry->args.config;

	for (unsigned int i = 0; config && i < config->n_devices; i++)
		if (strcmp(config->devices[i].device, device) == 0)
			return (int)i;
	if ((config && config->n_devices) || interfaces_read(&registry->interfaces) < 0)
		return -1;
	return interfaces_find(&registry->interfaces, device);
}

struct device *registry_look(struct registry *registry, const char *name)
{
	const struct config *config = registry->args.config;
	const struct config_device *section = config ? config_find(config, name) : NULL;
	const struct registry_entry *entry;

	entry = registry_find(registry, section ? section->device : name);
	return entry && entry->users > 0 && registry_state(registry, entry) == REGISTRY_OPEN
		? entry->device
		: NULL;
}

/* Nobody uses it, and a thread has opened it, or could not. */
static void registry_remove(struct registry *registry, struct registry_entry **at)
{
	struct registry_entry *entry = *at;

	*at = entry->next;
	entry->state = REGISTRY_CLOSING;
	registry_ask(registry, entry);
}

void registry_put(struct registry *registry, struct registry_entry *entry)
{
	if (--entry->users > 0)
		return;
	entry->unused_ns = clock_monotonic_ns();
	if (registry->args.privileged_fd >= 0)
		return;
	for (struct registry_entry **at = &registry->entries; *at; at = &(*at)->next)
		if (*at == entry) {
			if (registry_state(registry, entry) != REGISTRY_OPENING)
				registry_remove(registry, at);
			return;
		}
}

void registry_expire(struct registry *registry)
{
	uint64_t now_ns = clock_monotonic_ns();

	for (struct registry_entry **at = &registry->entries; *at; at = &(*at)->next)
		if ((*at)->users == 0 && now_ns - (*at)->unused_ns > REGISTRY_KEEP_NS &&
			registry_state(registry, *at) != REGISTRY_OPENING) {
			registry_remove(registry, at);
			return;
		}
}
