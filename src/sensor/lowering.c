/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel tier of a device: see lowering.h.
 *
 * A set is what the flows of one plan want, and the programs that do it, one for each ring. The
 * newest set is the one that runs, or is about to; older ones have been replaced, but their program
 * may still be counting its last packet on another processor. So a set is kept until the kernel
 * says that nobody can be in it any more (membarrier), its counts are read for the last time, and
 * when a worker has given them to the flows it is freed. Only workers do that, because they know
 * the time.
 *
 * Lock: flows_lock of the device guards the list of sets, their states, and whose places they are.
 * The places' filters belong to the thread while a set is being made.
 *
 * Users choose filters, and so what a program costs to make. Nobody waits for a large one: all
 * packets are delivered meanwhile, and it is made when ten times as long as making the last one
 * took has passed.
 */
#include "lowering_private.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/log.h"
#include "mapi/errors.h"

#define LOWERING_PATIENCE_NS 100000000u /* of what only spares work: others may come meanwhile */
#define LOWERING_PAUSE_NS 10000000u /* of a worker: so often it gives what was counted */
#define LOWERING_REST 10u /* for each time of work */

/* ---- the thread ---- */

static struct lowering_set *lowering_find(struct lowering *l, enum lowering_state state)
{
	struct lowering_set *found = NULL; /* the oldest */

	for (struct lowering_set *set = l->sets; set; set = set->next)
		if (set->state == state)
			found = set;
	return found;
}

/* Sets that have been replaced. @runs: their program may still; else what it has counted is to be
 * given by the worker. */
static unsigned int lowering_n_old(const struct lowering *l, bool runs)
{
	unsigned int n = 0;

	for (const struct lowering_set *set = l->sets; set; set = set->next)
		n += set->state == LOWERING_REPLACED && (set->programs != NULL) == runs;
	return n;
}

/* Why all packets come up: not again and again. Missing rights do not change. */
static void lowering_say(struct lowering *l, int r, const struct error *err)
{
	bool is_expected = l->loader.is_asked_for || r != -EPERM;

	if (r == -EPERM) {
		lowering_lock(l);
		l->refused = *err;
		lowering_unlock(l);
	}
	if (strcmp(l->said.text, err->text) == 0)
		return;
	l->said = *err;
	log_event(is_expected ? LOG_WARNING : LOG_INFO,
		"%s: filters run in the daemon, not in the kernel: %s", l->device->name, err->text);
}

/* From now on these programs decide; NULL: all packets are delivered. Return: 0, -EINVAL with @err
 * filled. */
static int lowering_attach(
	struct lowering *l, const struct lowering_programs *programs, struct error *err)
{
	int fds[DRIVER_FDS_MAX], r = 0;

	for (unsigned int i = 0; programs && i < programs->n; i++)
		fds[i] = kernel_program_fd(programs->at[i]);
	if (programs || l->selects)
		r = l->device->driver->select(l->device->source, programs ? fds : NULL, err);
	if (r < 0)
		return r;
	lowering_lock(l);
	l->selects = programs;
	lowering_unlock(l);
	return 0;
}

/* The set's flows get what they want from now on. */
static void lowering_served(struct lowering *l, struct lowering_set *set)
{
	lowering_set_replaces(set);
	l->served_epoch = MAX(l->served_epoch, set->epoch);
	l->changed_ns = clock_monotonic_ns();
	(void)eventfd_write(l->device->notify_fd, 1); /* fails only if it is readable anyway */
}

/* The programs are about to be attached. Return: false: others have been told meanwhile that all
 * packets are delivered, and so they are until there are programs for them, too. */
static bool lowering_take_over(
	struct lowering *l, struct lowering_set *set, struct lowering_programs *programs)
{
	bool takes;

	lowering_lock(l);
	takes = l->served_epoch <= set->epoch;
	if (takes) {
		set->programs = programs;
		l->selects |= programs != NULL;
	} else {
		set->state = LOWERING_REPLACED;
	}
	lowering_unlock(l);
	return takes;
}

static void lowering_make(struct lowering *l, struct lowering_set *set)
{
	struct lowering_programs *programs = NULL;
	struct error err = set->why.code ? set->why : l->refused;
	uint64_t begin_ns = clock_monotonic_ns(), end_ns;
	int r = 0;

	if (!set->all && !err.code) {
		r = lowering_set_load(l, set, &programs, &err);
		if (r < 0)
			lowering_say(l, r, &err);
	}
	end_ns = clock_monotonic_ns();
	l->rest_ns = end_ns + LOWERING_REST * (end_ns - begin_ns);
	if (!lowering_take_over(l, set, programs)) {
		lowering_programs_free(programs);
		return;
	}
	if (programs)
		lowering_set_share(l, set);
	r = lowering_attach(l, programs, &err);
	/* What cannot be attached must not be waited for: then all are delivered. What some of the
	 * programs have counted until then remains. */
	if (r < 0 && lowering_attach(l, NULL, NULL) < 0)
		device_halt(l->device);
	lowering_lock(l);
	if (r < 0 || !set->programs)
		set->why = err;
	set->state = LOWERING_RUNS;
	lowering_served(l, set);
	lowering_unlock(l);
}

/* Nobody waits for what takes long. */
static void lowering_put_off(struct lowering *l, struct lowering_set *set)
{
	if (lowering_attach(l, NULL, NULL) < 0) {
		lowering_make(l, set); /* then they do */
		return;
	}
	lowering_lock(l);
	set->due_ns = MAX(clock_monotonic_ns() + LOWERING_PATIENCE_NS, l->rest_ns);
	set->state = set == l->sets ? LOWERING_WANTED : LOWERING_REPLACED;
	lowering_served(l, set);
	lowering_unlock(l);
}

/* Take sets that have been replaced, and of which all is given, out of the list. Return: the sets,
 * to be freed. */
static struct lowering_set *lowering_take(struct lowering *l)
{
	struct lowering_set *ret = NULL;

	for (struct lowering_set **link = &l->sets; *link;) {
		struct lowering_set *set = *link;

		if (set->state != LOWERING_REPLACED || set->programs ||
			set->added[LOWERING_ALL].units != set->counts[LOWERING_ALL].units) {
			link = &set->next;
			continue;
		}
		l->units += set->added[LOWERING_ALL].units;
		l->foreign += set->added[LOWERING_FOREIGN].units;
		*link = set->next;
		set->next = ret;
		ret = set;
	}
	lowering_clear_cells(l, false);
	return ret;
}

/* End programs that have been replaced: their last counts are to be given. */
static void lowering_clear(struct lowering *l)
{
	lowering_lock(l);
	for (struct lowering_set *set = l->sets; set; set = set->next)
		set->ends = set->state == LOWERING_REPLACED && set->programs;
	lowering_unlock(l);
	lowering_barrier();
	for (;;) {
		struct lowering_programs *programs = NULL;

		lowering_lock(l);
		for (struct lowering_set *set = l->sets; set && !programs; set = set->next)
			if (set->ends) {
				lowering_set_read(set);
				programs = TAKE(set->programs);
				set->ends = false;
			}
		lowering_unlock(l);
		if (!programs)
			return;
		lowering_programs_free(programs);
	}
}

/* One piece of work, if there is one: most urgent first. Return: when to come again. */
static uint64_t lowering_work(struct lowering *l)
{
	struct lowering_set *wanted, *old;
	uint64_t now_ns = clock_monotonic_ns(), due_ns = UINT64_MAX;
	unsigned int n_old, n_ended;

	lowering_lock(l);
	old = lowering_take(l);
	wanted = lowering_find(l, LOWERING_WANTED);
	n_old = lowering_n_old(l, true);
	n_ended = lowering_n_old(l, false);
	if (wanted && wanted->is_large && wanted->due_ns > 0)
		wanted->due_ns = MAX(wanted->due_ns, l->rest_ns);
	if (n_old > 0)
		due_ns = l->changed_ns + LOWERING_PATIENCE_NS;
	if (n_ended >= LOWERING_OLD_MAX) {
		wanted = NULL;
		due_ns = now_ns + LOWERING_PAUSE_NS;
	} else if (n_old >= LOWERING_OLD_MAX ||
		(due_ns <= now_ns && !(wanted && wanted->due_ns == 0))) {
		wanted = NULL;
		due_ns = 0;
	} else if (wanted && wanted->due_ns <= now_ns) {
		wanted->state = LOWERING_MAKING;
		due_ns = 0;
	} else if (wanted) {
		due_ns = MIN(due_ns, wanted->due_ns);
		wanted = NULL;
	}
	if (due_ns > 0 && n_ended > 0)
		due_ns = MIN(due_ns, now_ns + LOWERING_PATIENCE_NS);
	lowering_unlock(l);
	lowering_sets_free(old);
	if (due_ns > 0)
		return due_ns;
	if (!wanted)
		lowering_clear(l);
	else if (wanted->is_large && wanted->due_ns == 0)
		lowering_put_off(l, wanted);
	else
		lowering_make(l, wanted);
	return 0;
}

static void *lowering_main(void *argument)
{
	struct lowering *l = argument;

	lowering_lock(l);
	while (!l->thread.over) {
		uint64_t until_ns;

		l->has_news = false;
		lowering_unlock(l);
		until_ns = lowering_work(l);
		lowering_lock(l);
		if (until_ns > 0 && !l->has_news && !l->thread.over)
			lowering_thread_wait(&l->thread, until_ns);
	}
	lowering_unlock(l);
	return NULL;
}

static int lowering_selects(
	const struct device *device, struct driver_select *ret, struct error *err)
{
	if (device->driver->selects)
		return device->driver->selects(device->source, ret, err);
	(void)error_set(
		err, MFUNCT_NOT_SUPPORTED, "packets of this device do not come by the kernel");
	return -ENOTSUP;
}

int lowering_new(struct lowering **ret, struct device *device, const struct device_loader *loader,
	struct error *err)
{
	_cleanup_(lowering_freep) struct lowering *l = NULL;
	struct driver_select select;
	int r;

	*ret = NULL;
	if (!kernel_is_built()) {
		(void)error_set(err, MFUNCT_NOT_SUPPORTED,
			"this build of MAPI has no kernel tier (meson -Dkernel=enabled)");
		return -ENOTSUP;
	}
	if (!loader->load) {
		(void)error_set(
			err, MFUNCT_NOT_SUPPORTED, "the configuration says so (engine=user)");
		return -ENOTSUP;
	}
	r = lowering_selects(device, &select, err);
	if (r < 0) {
		log_event(loader->is_asked_for ? LOG_WARNING : LOG_DEBUG,
			"%s: filters run in the daemon, not in the kernel: %s", device->name,
			err->text);
		return r;
	}
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->device = device;
	l->loader = *loader;
	l->select = select;
	r = lowering_thread_start(&l->thread, &device->flows_lock, lowering_main, l);
	if (r < 0)
		return r;
	*ret = TAKE(l);
	return 0;
}

void lowering_stop(struct lowering *lowering)
{
	if (lowering)
		lowering_thread_stop(&lowering->thread);
}

struct lowering *lowering_free(struct lowering *lowering)
{
	if (!lowering)
		return NULL;
	lowering_stop(lowering);
	lowering_sets_free(lowering->sets);
	lowering->sets = NULL;
	lowering_clear_cells(lowering, true);
	free(lowering);
	return NULL;
}

/* ---- the control thread ---- */

void lowering_ask(struct lowering *lowering, struct lowering_set *set, bool at_once)
{
	struct lowering_set *obsolete;

	if (!lowering)
		return;
	set->due_ns = at_once ? 0 : clock_monotonic_ns() + LOWERING_PATIENCE_NS;
	set->epoch = lowering->device->epoch;
	lowering_lock(lowering);
	obsolete = lowering_set_supersedes(set, &lowering->sets);
	/* All packets are delivered, and go on to be. */
	set->all |= lowering->refused.code != 0;
	if (lowering->refused.code)
		set->why = lowering->refused;
	if (set->all &&
		(!lowering->sets || (lowering->sets->state == LOWERING_RUNS && !lowering->selects)))
		set->state = LOWERING_RUNS;
	if (set->state == LOWERING_RUNS) {
		lowering->served_epoch = set->epoch;
		if (lowering->sets)
			lowering->sets->state = LOWERING_REPLACED;
	}
	/* The same while a large program is made that nobody waits for. */
	if (lowering->sets && lowering->sets->state == LOWERING_MAKING &&
		lowering->sets->due_ns > 0 && !lowering->selects) {
		set->due_ns = clock_monotonic_ns() + LOWERING_PATIENCE_NS;
		lowering->served_epoch = set->epoch;
	}
	set->next = lowering->sets;
	lowering->sets = set;
	lowering->has_news = true;
	lowering_thread_wake(&lowering->thread);
	lowering_unlock(lowering);
	lowering_set_free(obsolete);
}

bool lowering_settled(struct lowering *lowering, uint64_t epoch)
{
	bool settled;

	if (!lowering)
		return true;
	lowering_lock(lowering);
	settled = lowering->served_epoch >= epoch;
	lowering_unlock(lowering);
	return settled;
}

void lowering_forget(struct lowering *lowering, const struct plan_flow *flow)
{
	if (!lowering)
		return;
	lowering_sets_forget(lowering->sets, flow);
	for (struct lowering_cell *c = lowering->cells; c; c = c->next)
		if (c->flow == flow)
			c->flow = NULL;
}

/* ---- who publishes ---- */

/* All packets are delivered from so long before a gate turns on. */
#define LOWERING_GATE_NS UINT64_C(10000000000)

static void lowering_turn_gates(struct lowering *l)
{
	const struct device *device = l->device;
	uint64_t now_ns = MAX(clock_realtime_ns(), device->clock.watermark_ns);
	bool turned = false;

	for (unsigned int i = 0; i < device->n_flows; i++)
		turned |= plan_flow_turn_gates(device->flows[i]->plan, now_ns + LOWERING_GATE_NS);
	if (!turned)
		return;
	atomic_store(&l->turned, true);
	(void)eventfd_write(device->notify_fd, 1); /* fails only if it is readable anyway */
}

bool lowering_has_turned(struct lowering *lowering)
{
	return lowering && atomic_exchange(&lowering->turned, false);
}

uint64_t lowering_read(struct lowering *lowering)
{
	uint64_t units;

	if (!lowering)
		return 0;
	for (struct lowering_set *set = lowering->sets; set; set = set->next)
		lowering_set_read(set);
	units = lowering_units(lowering, false);
	if (units != lowering->read_units)
		lowering->last_ns = clock_realtime_ns();
	lowering->read_units = units;
	return units;
}

void lowering_give(struct lowering *lowering)
{
	for (struct lowering_set *set = lowering ? lowering->sets : NULL; set; set = set->next)
		lowering_set_give(set, lowering->last_ns);
	if (lowering)
		lowering_turn_gates(lowering);
}

/* Packets that all sets have counted at one of the first places. */
static uint64_t lowering_sum(const struct lowering *lowering, unsigned int place, bool now)
{
	uint64_t units = 0;

	for (const struct lowering_set *set = lowering->sets; set; set = set->next) {
		struct kernel_count counts[_LOWERING_N] = { { 0 } };

		if (now && set->programs)
			lowering_programs_read(set->programs, counts, _LOWERING_N);
		else
			counts[place] = set->counts[place];
		units += counts[place].units;
	}
	return units;
}

uint64_t lowering_units(const struct lowering *lowering, bool now)
{
	return lowering ? lowering->units + lowering_sum(lowering, LOWERING_ALL, now) : 0;
}

uint64_t lowering_foreign(const struct lowering *lowering)
{
	return lowering ? lowering->foreign + lowering_sum(lowering, LOWERING_FOREIGN, true) : 0;
}

uint64_t lowering_last_ns(const struct lowering *lowering)
{
	return lowering ? lowering->last_ns : 0;
}
