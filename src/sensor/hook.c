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
 * Lock: flows_lock of the device guards the list of sets, their states, whose places they are, and
 * what publishing reads. The places' filters belong to the thread while a set is being made.
 */
#include "hook.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/log.h"
#include "hook_private.h"
#include "mapi/errors.h"

#define HOOK_PATIENCE_NS 100000000u /* when flows have gone: others may come */
#define HOOK_LOOK_NS 100000000u /* between looks after the links */
#define HOOK_REFUSAL_NS 1000000000u /* until it is tried again, the first time */
#define HOOK_REFUSAL_MAX_NS 3600000000000u
#define HOOK_LINKTYPE_ETHERNET 1u

bool hook_is_empty(const struct lowering_set *set)
{
	return set->n_places == _LOWERING_N; /* places of all packets */
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
		.is_distrusted = hook->loader.is_distrusted,
		.has_root = kernel_way_hook(hook->way) == KERNEL_TC,
		.has_frags = hook_discards(hook),
		.discards = hook_discards(hook),
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
	if (r == 0) {
		kernel_program_discard(made->at[0], !hook->listens);
		r = kernel_root_put(&hook->root, made->at[0], err);
	}
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

/* Once, however often it is tried again. */
static void hook_say(const struct hook *hook, const struct error *err)
{
	if (hook->refusal_ns && strcmp(hook->refusal.text, err->text) == 0)
		return;
	log_event(hook->loader.is_asked_for ? LOG_WARNING : LOG_INFO,
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

/* With the lock held. What hinders may end: room at the interface, memory, a program of others. */
static void hook_refuse(struct hook *hook, const struct error *err)
{
	hook->refusal = *err;
	hook->refusal_ns =
		MIN(MAX(2 * hook->refusal_ns, (uint64_t)HOOK_REFUSAL_NS), HOOK_REFUSAL_MAX_NS);
	hook->refused_until_ns = clock_monotonic_ns() + hook->refusal_ns;
	hook->failed = true;
}

static void hook_make(struct hook *hook, struct lowering_set *set, bool wants_packets)
{
	struct error err = ERROR_INIT;
	struct lowering_set *running, *obsolete = NULL;
	uint64_t epoch = set->epoch;
	int r = 0;

	hook_lock(hook);
	running = lowering_set_running(hook->sets);
	if (hook_is_same(running, set)) {
		lowering_sets_drop(&hook->sets, set);
		obsolete = set;
	}
	hook_unlock(hook);
	if (!obsolete && hook_is_empty(set))
		kernel_root_close(&hook->root);
	else if (!obsolete)
		r = hook_count(hook, set, &err);
	if (r < 0)
		hook_say(hook, &err);
	/* Else they are captured although nobody wants them. */
	else if (!wants_packets && !(obsolete ? false : hook_is_empty(set)))
		(void)hook_listen(hook, false);
	hook_lock(hook);
	if (r < 0) {
		hook_refuse(hook, &err);
		lowering_sets_drop(&hook->sets, set);
		obsolete = set;
	} else if (!obsolete) {
		hook->lost &= !hook_is_empty(set) && hook->root.n_links == 0;
		set->state = LOWERING_RUNS;
		if (!hook_is_empty(set)) {
			hook->refusal = ERROR_INIT;
			hook->refusal_ns = 0;
		}
		lowering_set_replaces(set);
		hook->changed_ns = clock_monotonic_ns();
	}
	hook_served(hook, epoch);
	hook_unlock(hook);
	lowering_set_free(obsolete);
}

/* Free what has been replaced, and of which all is given. */
static void hook_clear(struct hook *hook)
{
	struct lowering_set *old = NULL;

	lowering_barrier();
	(void)pthread_mutex_lock(&hook->device->commit_lock);
	hook_lock(hook);
	if (!hook->device->looks_at_hook)
		hook_add(hook);
	hook->changed_ns = clock_monotonic_ns();
	for (struct lowering_set **link = &hook->sets; *link;) {
		struct lowering_set *set = *link;

		lowering_set_read(set);
		if (set->state != LOWERING_REPLACED ||
			set->added[LOWERING_ALL].units != set->counts[LOWERING_ALL].units) {
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
	lowering_sets_free(old);
}

/* ---- the thread ---- */

enum hook_work {
	HOOK_WORK_NONE,
	HOOK_WORK_LISTEN,
	HOOK_WORK_MAKE,
	HOOK_WORK_CLEAR,
	HOOK_WORK_LOOK
};

/* With the lock held: what is most urgent. @ret_until_ns: when to come again for what is due then.
 */
static enum hook_work hook_next(struct hook *hook, uint64_t looked_ns, uint64_t *ret_until_ns)
{
	const struct lowering_set *first = hook->sets, *running = lowering_set_running(hook->sets);
	uint64_t now_ns = clock_monotonic_ns();
	bool wants = first && first->state == LOWERING_WANTED;
	unsigned int n_old = 0;

	for (const struct lowering_set *set = first; set; set = set->next)
		n_old += set->state == LOWERING_REPLACED;
	*ret_until_ns = UINT64_MAX;
	if (hook->wants_packets && !hook->listens && !device_stopping(hook->device))
		return HOOK_WORK_LISTEN;
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
	while (!hook->thread.over) {
		struct lowering_set *set = hook->sets;
		bool wants_packets = hook->wants_packets;
		enum hook_work work = hook_next(hook, looked_ns, &until_ns);

		if (work == HOOK_WORK_NONE) {
			lowering_thread_wait(&hook->thread, until_ns);
			continue;
		}
		if (work == HOOK_WORK_MAKE)
			set->state = LOWERING_MAKING;
		hook_unlock(hook);
		switch (work) {
		case HOOK_WORK_LISTEN:
			if (hook_listen(hook, true) < 0)
				device_halt(hook->device); /* as if nothing could be captured */
			break;
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
	if (!interface.skips_outgoing)
		hook->ways[hook->n_ways++] = KERNEL_WAY_TCX;
	if (interface.skips_outgoing && loader->may_use_xdp)
		hook->ways[hook->n_ways++] = KERNEL_WAY_XDP_NATIVE;
	if (interface.skips_outgoing)
		hook->ways[hook->n_ways++] = KERNEL_WAY_TCX_INGRESS;
	if (interface.skips_outgoing && loader->may_use_xdp)
		hook->ways[hook->n_ways++] = KERNEL_WAY_XDP_GENERIC;
	r = lowering_thread_start(&hook->thread, &device->flows_lock, hook_main, hook);
	if (r < 0)
		return r;
	*ret = TAKE(hook);
	return 0;
}

struct hook *hook_free(struct hook *hook)
{
	if (!hook)
		return NULL;
	lowering_thread_stop(&hook->thread);
	kernel_root_close(&hook->root);
	lowering_sets_free(hook->sets);
	free(hook);
	return NULL;
}

bool hook_is_open(struct hook *hook)
{
	bool is_open;

	if (!hook)
		return false;
	hook_lock(hook);
	is_open = !hook->refusal.code || hook->refused_until_ns <= clock_monotonic_ns();
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
		if (set->places[i].deliver || filter_program_asks_direction(set->places[i].program))
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
	struct lowering_set *obsolete;

	if (!hook)
		return;
	set->due_ns = at_once ? 0 : clock_monotonic_ns() + HOOK_PATIENCE_NS;
	set->epoch = hook->device->epoch;
	hook_lock(hook);
	hook->wants_packets = listens;
	obsolete = lowering_set_supersedes(set, &hook->sets);
	if (hook_has_done(hook, set)) {
		hook->served_epoch = set->epoch;
		lowering_set_free(set);
	} else {
		set->next = hook->sets;
		hook->sets = set;
		lowering_thread_wake(&hook->thread);
	}
	hook_unlock(hook);
	lowering_set_free(obsolete);
}

void hook_ask_packets(struct hook *hook)
{
	if (!hook)
		return;
	hook_lock(hook);
	hook->wants_packets = true;
	lowering_thread_wake(&hook->thread);
	hook_unlock(hook);
}

bool hook_listens(struct hook *hook)
{
	bool listens;

	if (!hook)
		return true;
	hook_lock(hook);
	listens = hook->listens;
	hook_unlock(hook);
	return listens;
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
	const struct lowering_set *running = lowering_set_running(hook->sets);

	for (unsigned int i = 0; running && i < running->n_places; i++)
		if (running->places[i].flow == flow)
			return true;
	return false;
}

void hook_forget(struct hook *hook, const struct plan_flow *flow)
{
	if (hook)
		lowering_sets_forget(hook->sets, flow);
}
