/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counting at an interface: see hook.h.
 *
 * A root (kernel.h) is attached as long as there are flows; what counts stands in its slot. The
 * newest set is the one that counts, or is about to; older ones are kept until nobody can be in
 * their program any more, as in lowering.c. There is no other tier that these flows could use
 * meanwhile: so what cannot be made leaves the program before in its place, and the control thread
 * is told, which puts the flows that came elsewhere.
 *
 * Links are taken away with their interface, or by who administers the machine. The thread looks
 * after them, and begins again when it can; what it had counted stays.
 *
 * Lock: flows_lock of the device guards the list of sets, their states, whose places they are, and
 * what publishing reads. The places' filters belong to the thread while a set is being made.
 */
#include "hook.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "lowering_private.h"
#include "mapi/errors.h"

#define HOOK_PATIENCE_NS 100000000u /* when flows have gone: others may come */
#define HOOK_LOOK_NS 100000000u /* between looks after the links */
#define HOOK_WAYS_MAX 3u
#define HOOK_LINKTYPE_ETHERNET 1u

/**
 * struct hook - of one device
 * @ways:     how to attach, best first
 * @root:     the thread's
 * @ifindex:  that it was attached to; the thread's
 * @lost:     it has been taken away; written by the thread, as all that follows
 * @way:      how it is, or was, attached
 * @sets:     newest first
 * @wants_packets: somebody does, as of the newest request
 * @listens:  packets are captured
 * @failed:   what was asked for last could not be done, and nobody has been told
 * @refusal:  no more flows are taken
 * @units:    that sets have counted which have been freed
 * @alone:    that were counted while nothing was captured, at each of the first places
 */
struct hook {
	struct device *device;
	struct device_loader loader;
	enum kernel_way ways[HOOK_WAYS_MAX];
	unsigned int n_ways;
	uint32_t linktype;
	struct driver_select select; /* of which these programs share no packets */
	pthread_t thread;
	bool started;
	pthread_cond_t asked;
	bool over;
	bool has_news;
	struct kernel_root root;
	unsigned int ifindex;
	bool lost;
	enum kernel_way way;
	struct lowering_set *sets;
	bool wants_packets;
	bool listens;
	bool failed;
	struct error refusal;
	uint64_t served_epoch;
	uint64_t changed_ns;
	uint64_t units;
	uint64_t alone[_LOWERING_N];
	uint64_t last_ns;
	uint64_t outages;
};

static void hook_lock(struct hook *hook)
{
	(void)pthread_mutex_lock(&hook->device->flows_lock);
}

static void hook_unlock(struct hook *hook)
{
	(void)pthread_mutex_unlock(&hook->device->flows_lock);
}

static struct lowering_set *hook_running(const struct hook *hook)
{
	struct lowering_set *set = hook->sets;

	while (set && set->state != LOWERING_RUNS)
		set = set->next;
	return set;
}

bool hook_is_empty(const struct lowering_set *set)
{
	return set->n_places == _LOWERING_N; /* places of all packets */
}

/* ---- the interface ---- */

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

/* Return: 0, negative errno with @err filled, of the last way. */
static int hook_attach(struct hook *hook, struct error *err)
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

static int hook_listen(struct hook *hook, bool listens)
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

/* ---- making a program ---- */

/* A program for the set, of the way that the root was attached. Return: 0, negative errno with @err
 * filled. */
static int hook_load(struct hook *hook, struct lowering_set *set, struct error *err)
{
	_cleanup_(cleanup_freep) const struct filter_program **programs =
		calloc(set->n_places, sizeof(programs[0]));
	_cleanup_(kernel_code_freep) struct kernel_code *code = NULL;
	const struct kernel_options options = { .hook = kernel_way_hook(hook->way),
		.copies = hook->loader.is_distrusted,
		.page_max = hook->loader.page_max,
		.no_long_jumps = !hook->loader.has_long_jumps };
	_cleanup_(lowering_programs_freep) struct lowering_programs *made =
		lowering_programs_new(1, set->n_places);
	int r;

	if (!made || !programs)
		return error_set(err, MAPI_OUT_OF_MEMORY, "out of memory");
	for (unsigned int i = 0; i < set->n_places; i++)
		programs[i] = set->places[i].program;
	r = kernel_program_make(&made->at[0], &code, &options, programs, set->n_places,
		hook->loader.load, hook->loader.argument, err);
	if (r == -ENOMEM)
		return error_set(err, MAPI_OUT_OF_MEMORY, "out of memory");
	if (r < 0)
		return r;
	for (unsigned int i = 0; r == 0 && i < set->n_places; i++)
		if (kernel_code_reason(code, i) != KERNEL_LOWERED)
			r = error_set(err, MFUNCT_NOT_SUPPORTED, "%s",
				kernel_reason_text(kernel_code_reason(code, i)));
	if (r == 0)
		r = kernel_root_put(&hook->root, made->at[0], err);
	if (r < 0)
		return r;
	hook_lock(hook);
	set->programs = TAKE(made);
	set->n_insns = kernel_code_stats(code).n_insns;
	hook_unlock(hook);
	return 0;
}

/* Whether two sets count the same packets for the same flows. */
static bool hook_is_same(const struct lowering_set *a, const struct lowering_set *b)
{
	if (!a || a->n_places != b->n_places || (!a->programs && !hook_is_empty(a)))
		return false;
	for (unsigned int i = 0; i < a->n_places; i++)
		if (a->places[i].flow != b->places[i].flow ||
			a->places[i].first != b->places[i].first ||
			a->places[i].end != b->places[i].end)
			return false;
	return true;
}

/* The root, if there is none, and the set's program in it. */
static int hook_count(struct hook *hook, struct lowering_set *set, struct error *err)
{
	bool is_new = hook->root.n_links == 0 && !hook->lost;
	int r = 0;

	if (hook->root.n_links == 0)
		r = hook_attach(hook, err);
	if (r == 0)
		r = hook_load(hook, set, err);
	if (r < 0 && is_new)
		kernel_root_close(&hook->root);
	return r;
}

/* Takes the set out of the list. */
static void hook_drop(struct hook *hook, struct lowering_set *set)
{
	struct lowering_set **link = &hook->sets;

	while (*link != set)
		link = &(*link)->next;
	*link = set->next;
}

/* The set counts from now on. */
static void hook_replaced(struct hook *hook, struct lowering_set *set)
{
	for (struct lowering_set *old = set->next; old; old = old->next)
		old->state = LOWERING_REPLACED;
	set->state = LOWERING_RUNS;
	hook->changed_ns = clock_monotonic_ns();
}

static void hook_say(struct hook *hook, int r, const struct error *err)
{
	bool is_expected = hook->loader.is_asked_for || r != -EPERM;

	log_event(is_expected ? LOG_WARNING : LOG_INFO,
		"%s: flows that only count are counted where packets are captured, not at the "
		"interface: %s",
		hook->device->name, err->text);
}

/* With the lock held. What is left to be done for who asked. */
static void hook_served(struct hook *hook, uint64_t epoch)
{
	hook->served_epoch = MAX(hook->served_epoch, epoch);
	(void)eventfd_write(hook->device->notify_fd, 1); /* fails only if it is readable anyway */
}

static void hook_make(struct hook *hook, struct lowering_set *set, bool wants_packets)
{
	struct error err = ERROR_INIT;
	struct lowering_set *running, *obsolete = NULL;
	uint64_t epoch = set->epoch;
	int r = 0;

	if (wants_packets && hook_listen(hook, true) < 0)
		device_halt(hook->device); /* as if nothing could be captured any more */
	hook_lock(hook);
	running = hook_running(hook);
	if (hook_is_same(running, set)) {
		hook_drop(hook, set);
		obsolete = set;
	}
	hook_unlock(hook);
	if (!obsolete && hook_is_empty(set))
		kernel_root_close(&hook->root);
	else if (!obsolete)
		r = hook_count(hook, set, &err);
	if (r < 0)
		hook_say(hook, r, &err);
	/* Else they are captured although nobody wants them. */
	else if (!wants_packets && !(obsolete ? false : hook_is_empty(set)))
		(void)hook_listen(hook, false);
	hook_lock(hook);
	if (r < 0) {
		hook->refusal = err;
		hook->failed = true;
		hook_drop(hook, set);
		obsolete = set;
	} else if (!obsolete) {
		hook->lost &= !hook_is_empty(set) && hook->root.n_links == 0;
		hook_replaced(hook, set);
	}
	hook_served(hook, epoch);
	hook_unlock(hook);
	lowering_set_free(obsolete);
}

/* Free what has been replaced. */
static void hook_clear(struct hook *hook)
{
	struct lowering_set *old = NULL;

	lowering_barrier();
	(void)pthread_mutex_lock(&hook->device->commit_lock);
	hook_lock(hook);
	hook_add(hook);
	for (struct lowering_set **link = &hook->sets; *link;) {
		struct lowering_set *set = *link;

		if (set->state != LOWERING_REPLACED) {
			link = &set->next;
			continue;
		}
		hook->units += set->added[LOWERING_ALL].units;
		*link = set->next;
		set->next = old;
		old = set;
	}
	hook_unlock(hook);
	(void)pthread_mutex_unlock(&hook->device->commit_lock);
	while (old) {
		struct lowering_set *next = old->next;

		lowering_set_free(old);
		old = next;
	}
}

/* ---- what others do to the interface ---- */

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
	running = hook_running(hook);
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

static void hook_look(struct hook *hook)
{
	bool has_flows;

	hook_lock(hook);
	has_flows = hook_running(hook) && hook_running(hook)->programs;
	hook_unlock(hook);
	if (!has_flows)
		return;
	if (hook->root.n_links && !kernel_root_is_attached(&hook->root))
		hook_lose(hook);
	if (hook->lost)
		hook_return(hook);
}

/* ---- the thread ---- */

enum hook_work { HOOK_WORK_NONE, HOOK_WORK_MAKE, HOOK_WORK_CLEAR, HOOK_WORK_LOOK };

/* With the lock held: what is most urgent. @ret_until_ns: when to come again for what is due then.
 */
static enum hook_work hook_next(struct hook *hook, uint64_t looked_ns, uint64_t *ret_until_ns)
{
	const struct lowering_set *first = hook->sets, *running = hook_running(hook);
	uint64_t now_ns = clock_monotonic_ns();
	bool wants = first && first->state == LOWERING_WANTED;
	unsigned int n_old = 0;

	for (const struct lowering_set *set = first; set; set = set->next)
		n_old += set->state == LOWERING_REPLACED;
	*ret_until_ns = UINT64_MAX;
	if (n_old >= LOWERING_OLD_MAX)
		return HOOK_WORK_CLEAR;
	if (wants && first->due_ns <= now_ns)
		return HOOK_WORK_MAKE;
	if (wants)
		*ret_until_ns = first->due_ns;
	if (n_old > 0 && hook->changed_ns + HOOK_PATIENCE_NS <= now_ns)
		return HOOK_WORK_CLEAR;
	if (n_old > 0)
		*ret_until_ns = MIN(*ret_until_ns, hook->changed_ns + HOOK_PATIENCE_NS);
	if (running && running->programs) {
		if (looked_ns + HOOK_LOOK_NS <= now_ns)
			return HOOK_WORK_LOOK;
		*ret_until_ns = MIN(*ret_until_ns, looked_ns + HOOK_LOOK_NS);
	}
	return HOOK_WORK_NONE;
}

static void *hook_main(void *argument)
{
	struct hook *hook = argument;
	uint64_t until_ns, looked_ns = 0;

	hook_lock(hook);
	while (!hook->over) {
		struct lowering_set *set = hook->sets;
		bool wants_packets = hook->wants_packets;
		enum hook_work work = hook_next(hook, looked_ns, &until_ns);

		if (work == HOOK_WORK_NONE) {
			lowering_wait(&hook->asked, &hook->device->flows_lock, until_ns);
			continue;
		}
		if (work == HOOK_WORK_MAKE)
			set->state = LOWERING_MAKING;
		hook_unlock(hook);
		switch (work) {
		case HOOK_WORK_MAKE:
			hook_make(hook, set, wants_packets);
			break;
		case HOOK_WORK_CLEAR:
			hook_clear(hook);
			break;
		case HOOK_WORK_LOOK:
			hook_look(hook);
			looked_ns = clock_monotonic_ns();
			break;
		case HOOK_WORK_NONE:
			break;
		}
		hook_lock(hook);
	}
	hook_unlock(hook);
	return NULL;
}

/* ---- the control thread ---- */

int hook_new(struct hook **ret, struct device *device, const struct device_loader *loader)
{
	_cleanup_(hook_freep) struct hook *hook = NULL;
	struct driver_interface interface;
	struct error ignored = ERROR_INIT;
	pthread_condattr_t monotonic;
	int r;

	*ret = NULL;
	if (!kernel_is_built() || !loader->load || !loader->attach || !device->driver->listen ||
		device->driver->interface(device->source, 0, &interface) < 0 ||
		interface.linktype != HOOK_LINKTYPE_ETHERNET || interface.snaplen_bytes > 0)
		return -ENOTSUP;
	hook = calloc(1, sizeof(*hook));
	if (!hook)
		return -ENOMEM;
	hook->device = device;
	hook->loader = *loader;
	hook->root = KERNEL_ROOT_INIT;
	hook->listens = true;
	hook->linktype = interface.linktype;
	if (device->driver->selects)
		(void)device->driver->selects(device->source, &hook->select, &ignored);
	hook->select.n_programs = 1;
	if (interface.skips_outgoing) {
		if (loader->may_use_xdp) {
			hook->ways[hook->n_ways++] = KERNEL_WAY_XDP_NATIVE;
			hook->ways[hook->n_ways++] = KERNEL_WAY_XDP_GENERIC;
		}
		if (loader->is_asked_for)
			hook->ways[hook->n_ways++] = KERNEL_WAY_TCX_INGRESS;
	} else if (loader->is_asked_for) {
		hook->ways[hook->n_ways++] = KERNEL_WAY_TCX;
	}
	if (hook->n_ways == 0)
		return -ENOTSUP;
	(void)pthread_condattr_init(&monotonic); /* these cannot fail on Linux */
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&hook->asked, &monotonic);
	r = thread_start(&hook->thread, hook_main, hook);
	if (r < 0)
		return r;
	hook->started = true;
	*ret = TAKE(hook);
	return 0;
}

struct hook *hook_free(struct hook *hook)
{
	if (!hook)
		return NULL;
	if (hook->started) {
		hook_lock(hook);
		hook->over = true;
		(void)pthread_cond_signal(&hook->asked);
		hook_unlock(hook);
		(void)pthread_join(hook->thread, NULL);
	}
	kernel_root_close(&hook->root);
	while (hook->sets) {
		struct lowering_set *set = hook->sets;

		hook->sets = set->next;
		lowering_set_free(set);
	}
	(void)pthread_cond_destroy(&hook->asked);
	free(hook);
	return NULL;
}

bool hook_is_open(struct hook *hook)
{
	bool is_open;

	if (!hook)
		return false;
	hook_lock(hook);
	is_open = !hook->refusal.code;
	hook_unlock(hook);
	return is_open;
}

int hook_prepare(struct hook *hook, struct plan_flow *const flows[], unsigned int n_flows,
	struct lowering_set **ret)
{
	*ret = NULL;
	return hook ? lowering_set_new(ret, flows, n_flows, hook->linktype, &hook->select) : 0;
}

bool hook_accepts(const struct lowering_set *set)
{
	for (unsigned int i = 0; i < set->n_places; i++)
		if (set->places[i].deliver)
			return false;
	/* A large one keeps its program from being ready soon, and meanwhile nobody counts. */
	return !set->is_large && !set->why.code;
}

/* Whether there is nothing to do. */
static bool hook_has_done(const struct hook *hook, const struct lowering_set *set)
{
	bool is_same = hook->sets
		? hook->sets->state == LOWERING_RUNS && hook_is_same(hook->sets, set)
		: hook_is_empty(set);

	return is_same &&
		(hook->listens == hook->wants_packets || (hook->listens && hook_is_empty(set)));
}

void hook_ask(struct hook *hook, struct lowering_set *set, bool listens, bool at_once)
{
	struct lowering_set *obsolete = NULL;

	if (!hook)
		return;
	set->due_ns = at_once ? 0 : clock_monotonic_ns() + HOOK_PATIENCE_NS;
	set->epoch = hook->device->epoch;
	hook_lock(hook);
	hook->wants_packets = listens;
	if (hook->sets && hook->sets->state == LOWERING_WANTED) {
		obsolete = hook->sets;
		set->due_ns = MIN(set->due_ns, obsolete->due_ns);
		hook->sets = obsolete->next;
	}
	if (hook_has_done(hook, set)) {
		hook->served_epoch = set->epoch;
		lowering_set_free(set);
	} else {
		set->next = hook->sets;
		hook->sets = set;
		(void)pthread_cond_signal(&hook->asked);
	}
	hook_unlock(hook);
	lowering_set_free(obsolete);
}

bool hook_settled(struct hook *hook, uint64_t epoch)
{
	bool settled;

	if (!hook)
		return true;
	hook_lock(hook);
	settled = hook->served_epoch >= epoch && !hook->failed;
	hook_unlock(hook);
	return settled;
}

bool hook_failed(struct hook *hook)
{
	bool failed;

	if (!hook)
		return false;
	hook_lock(hook);
	failed = hook->failed;
	hook->failed = false;
	hook_unlock(hook);
	return failed;
}

bool hook_serves(const struct hook *hook, const struct plan_flow *flow)
{
	const struct lowering_set *running = hook_running(hook);

	for (unsigned int i = 0; running && i < running->n_places; i++)
		if (running->places[i].flow == flow)
			return true;
	return false;
}

void hook_forget(struct hook *hook, const struct plan_flow *flow)
{
	if (!hook)
		return;
	for (struct lowering_set *set = hook->sets; set; set = set->next)
		for (unsigned int i = 0; i < set->n_places; i++)
			if (set->places[i].flow == flow)
				set->places[i].flow = NULL;
}

/* ---- who publishes ---- */

void hook_add(struct hook *hook)
{
	if (!hook)
		return;
	for (struct lowering_set *set = hook->sets; set; set = set->next) {
		const uint64_t before[_LOWERING_N] = { set->added[LOWERING_ALL].units,
			set->added[LOWERING_FOREIGN].units };

		lowering_set_read(set);
		if (set->counts[LOWERING_ALL].units != before[LOWERING_ALL])
			hook->last_ns = clock_realtime_ns();
		lowering_set_give(set, hook->last_ns);
		for (unsigned int i = 0; i < _LOWERING_N && !hook->listens; i++)
			hook->alone[i] += set->added[i].units - before[i];
	}
}

uint64_t hook_units(const struct hook *hook, bool now)
{
	uint64_t units = hook ? hook->units : 0;

	for (const struct lowering_set *set = hook ? hook->sets : NULL; set; set = set->next) {
		struct kernel_count all = { .units = set->added[LOWERING_ALL].units };

		if (now && set->programs)
			lowering_programs_read(set->programs, &all, 1);
		units += all.units;
	}
	return units;
}

uint64_t hook_units_alone(const struct hook *hook)
{
	return hook ? hook->alone[LOWERING_ALL] : 0;
}

uint64_t hook_foreign(const struct hook *hook)
{
	uint64_t units = hook ? hook->alone[LOWERING_FOREIGN] : 0;

	if (!hook || hook->listens)
		return units;
	for (const struct lowering_set *set = hook->sets; set; set = set->next) {
		struct kernel_count counts[_LOWERING_N];

		if (!set->programs)
			continue;
		lowering_programs_read(set->programs, counts, _LOWERING_N);
		units += counts[LOWERING_FOREIGN].units - set->added[LOWERING_FOREIGN].units;
	}
	return units;
}

uint64_t hook_last_ns(const struct hook *hook)
{
	return hook ? hook->last_ns : 0;
}

uint64_t hook_outages(const struct hook *hook)
{
	return hook ? hook->outages : 0;
}

/* ---- who asks ---- */

void hook_explain(const struct hook *hook, struct device_tier *ret)
{
	const struct lowering_set *running = hook_running(hook);

	*ret = (struct device_tier){ .tier = MAPI_TIER_KERNEL };
	if (running && running->programs) {
		ret->n_insns = running->n_insns;
		ret->ns_per_pkt = (double)lowering_programs_cost_ns(running->programs);
	}
	if (hook->lost)
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"counted at the interface, when it is there again");
	else
		(void)snprintf(ret->reason, sizeof(ret->reason), "counted at the interface (%s)",
			kernel_way_name(hook->way));
}

const char *hook_refusal(const struct hook *hook)
{
	return hook ? hook->refusal.text : "";
}
