/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel tier of a device: see lowering.h.
 *
 * A set is what the flows of one plan want, and the program that does it. The newest set is the one
 * that runs, or is about to; older ones have been replaced, but their program may still be counting
 * its last packet on another processor. So a set is kept until the kernel says that nobody can be
 * in it any more (membarrier), its counts are taken for the last time, and then it is freed.
 *
 * Lock: flows_lock of the device guards the list of sets, their states, and whose places they are.
 * The places' filters belong to the thread while a set is being made.
 *
 * Users choose filters, and so what a program costs to make. Nobody waits for a large one: all
 * packets are delivered meanwhile, and it is made when ten times as long as making the last one
 * took has passed.
 */
#include "lowering.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "device_private.h"
#include "kernel/kernel.h"
#include "mapi/errors.h"
#include "mapi/explain.h"

#define LOWERING_PATIENCE_NS 100000000u /* of what only spares work: others may come meanwhile */
#define LOWERING_SMALL_INSNS 1024u /* classic BPF of all places: some 20 ms of work */
#define LOWERING_INSNS_MAX 65536u
#define LOWERING_REST 10u /* for each time of work */
#define LOWERING_OLD_MAX 8u /* sets that wait to be freed, before a new one is made */

enum lowering_state {
	LOWERING_WANTED,
	LOWERING_MAKING,
	LOWERING_RUNS,
	LOWERING_REPLACED,
};

/**
 * struct lowering_set - what the flows of one plan want of the kernel
 * @next:    older
 * @epoch:   of the device, when it was asked for
 * @all:     somebody wants all packets
 * @is_large: takes long to make
 * @due_ns:  when it is to be made; 0: at once, because flows wait for it
 * @program: NULL: all packets are delivered
 * @counts, @added: of each place: as read, and of it what flows have been given
 * @why:     there is no program
 */
struct lowering_set {
	struct lowering_set *next;
	enum lowering_state state;
	uint64_t epoch;
	bool all;
	bool is_large;
	uint64_t due_ns;
	struct plan_place *places;
	unsigned int n_places;
	struct kernel_program *program;
	unsigned int n_insns;
	struct kernel_count *counts;
	struct kernel_count *added;
	struct error why;
};

/**
 * struct lowering - of one device
 * @has_news: something was asked for since the thread has looked
 * @selects: a program is attached, or about to be; written by the thread
 * @refused: nobody may load programs, so why; written by the thread
 * @said:    what the log was told last; the thread's
 * @rest_ns: until then nothing large is made; the thread's
 * @served_epoch: flows that were there then get what they want
 * @changed_ns: when flows got another program last
 * @units:   that sets have counted which have been freed
 */
struct lowering {
	struct device *device;
	struct device_loader loader;
	struct driver_select select;
	pthread_t thread;
	bool started;
	pthread_cond_t asked;
	bool over;
	bool has_news;
	struct lowering_set *sets;
	bool selects;
	struct error refused;
	struct error said;
	uint64_t rest_ns;
	uint64_t served_epoch;
	uint64_t changed_ns;
	uint64_t units;
	uint64_t last_ns;
};

struct lowering_set *lowering_set_free(struct lowering_set *set)
{
	if (!set)
		return NULL;
	plan_places_free(set->places, set->n_places);
	kernel_program_free(set->program);
	free(set->counts);
	free(set->added);
	free(set);
	return NULL;
}

static void lowering_lock(struct lowering *l)
{
	(void)pthread_mutex_lock(&l->device->flows_lock);
}

static void lowering_unlock(struct lowering *l)
{
	(void)pthread_mutex_unlock(&l->device->flows_lock);
}

/* ---- making a program ---- */

/* The first place that is not in the code; n_places: there is none. */
static unsigned int lowering_left_out(
	const struct lowering_set *set, const struct kernel_code *code)
{
	unsigned int i = 0;

	while (i < set->n_places && kernel_code_reason(code, i) == KERNEL_LOWERED)
		i++;
	return i;
}

/* Place @i cannot be told by the kernel: deliver more. Return: 0, -ENOTSUP with @err filled: that
 * would be all. */
static int lowering_cut(struct lowering *l, struct lowering_set *set,
	const struct kernel_code *code, unsigned int i, struct error *err)
{
	if (set->places[i].first == 0) {
		(void)error_set(err, MFUNCT_NOT_SUPPORTED, "%s",
			kernel_reason_text(kernel_code_reason(code, i)));
		return -ENOTSUP;
	}
	lowering_lock(l);
	set->n_places = plan_places_cut(set->places, set->n_places, i);
	lowering_unlock(l);
	return 0;
}

/* A program for the set. Return: 0, negative errno with @err filled. */
static int lowering_load(struct lowering *l, struct lowering_set *set, struct kernel_program **ret,
	struct error *err)
{
	_cleanup_(cleanup_freep) const struct filter_program **programs =
		calloc(set->n_places, sizeof(programs[0]));
	_cleanup_(cleanup_freep) bool *deliver = calloc(set->n_places, sizeof(deliver[0]));
	const struct kernel_options options = { .hook = KERNEL_SOCKET,
		.snaplen_bytes = l->select.snaplen_bytes,
		.skip_outgoing = l->select.skip_outgoing,
		.undelivered = true,
		.deliver = deliver,
		.page_max = l->loader.page_max,
		.no_long_jumps = !l->loader.has_long_jumps };

	if (!programs || !deliver)
		return error_set(err, MAPI_OUT_OF_MEMORY, "out of memory");
	for (;;) {
		_cleanup_(kernel_code_freep) struct kernel_code *code = NULL;
		unsigned int left_out;
		int r;

		for (unsigned int i = 0; i < set->n_places; i++) {
			programs[i] = set->places[i].program;
			deliver[i] = set->places[i].deliver;
		}
		r = kernel_program_make(ret, &code, &options, programs, set->n_places,
			l->loader.load, l->loader.argument, err);
		if (r == -ENOMEM)
			(void)error_set(err, MAPI_OUT_OF_MEMORY, "out of memory");
		if (r < 0)
			return r;
		left_out = lowering_left_out(set, code);
		set->n_insns = kernel_code_stats(code).n_insns;
		if (left_out == set->n_places)
			return 0;
		*ret = kernel_program_free(*ret);
		r = lowering_cut(l, set, code, left_out, err);
		if (r < 0)
			return r;
	}
}

/* Nobody is in a program that has been replaced any more. */
static void lowering_barrier(void)
{
	/* It is the kernel's synchronize_rcu(). Where it is refused (nohz_full), a packet that a
	 * program counts meanwhile would have to take as long as the pause. */
	const struct timespec pause = { .tv_sec = 1 };

	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		(void)nanosleep(&pause, NULL);
}

/* ---- the thread ---- */

static struct lowering_set *lowering_find(struct lowering *l, enum lowering_state state)
{
	struct lowering_set *found = NULL; /* the oldest */

	for (struct lowering_set *set = l->sets; set; set = set->next)
		if (set->state == state)
			found = set;
	return found;
}

static unsigned int lowering_n_old(const struct lowering *l)
{
	unsigned int n = 0;

	for (const struct lowering_set *set = l->sets; set; set = set->next)
		n += set->state == LOWERING_REPLACED;
	return n;
}

/* Why all packets come up: not again and again. Missing rights do not change. */
static void lowering_say(struct lowering *l, int r, const struct error *err)
{
	bool is_expected = l->loader.is_expected || r != -EPERM;

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

/* From now on the set's program decides; NULL: all packets are delivered. Return: 0, -EINVAL with
 * @err filled. */
static int lowering_attach(
	struct lowering *l, const struct kernel_program *program, struct error *err)
{
	int r = 0;

	if (program || l->selects)
		r = l->device->driver->select(
			l->device->source, program ? kernel_program_fd(program) : -1, err);
	if (r < 0)
		return r;
	lowering_lock(l);
	l->selects = program;
	lowering_unlock(l);
	return 0;
}

/* The set's flows get what they want from now on. */
static void lowering_served(struct lowering *l, struct lowering_set *set)
{
	for (struct lowering_set *old = set->next; old; old = old->next)
		old->state = LOWERING_REPLACED;
	l->served_epoch = MAX(l->served_epoch, set->epoch);
	l->changed_ns = clock_monotonic_ns();
	(void)eventfd_write(l->device->notify_fd, 1); /* fails only if it is readable anyway */
}

/* The program is about to be attached. Return: false: others have been told meanwhile that all
 * packets are delivered, and so they are until there is a program for them, too. */
static bool lowering_take_over(
	struct lowering *l, struct lowering_set *set, struct kernel_program *program)
{
	bool takes;

	lowering_lock(l);
	takes = l->served_epoch <= set->epoch;
	if (takes) {
		set->program = program;
		l->selects |= program != NULL;
	} else {
		set->state = LOWERING_REPLACED;
	}
	lowering_unlock(l);
	return takes;
}

static void lowering_make(struct lowering *l, struct lowering_set *set)
{
	struct kernel_program *program = NULL;
	struct error err = set->why.code ? set->why : l->refused;
	uint64_t begin_ns = clock_monotonic_ns(), end_ns;
	int r = 0;

	if (!set->all && !err.code) {
		r = lowering_load(l, set, &program, &err);
		if (r < 0)
			lowering_say(l, r, &err);
	}
	end_ns = clock_monotonic_ns();
	l->rest_ns = end_ns + LOWERING_REST * (end_ns - begin_ns);
	if (!lowering_take_over(l, set, program)) {
		kernel_program_free(program);
		return;
	}
	r = lowering_attach(l, program, &err);
	/* What cannot be attached must not be waited for: then all are delivered. */
	if (r < 0 && lowering_attach(l, NULL, NULL) < 0)
		device_halt(l->device);
	lowering_lock(l);
	if (r < 0)
		set->program = kernel_program_free(program);
	if (!set->program)
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

static void lowering_add_set(struct lowering *l, struct lowering_set *set)
{
	if (!set->program)
		return;
	kernel_program_read(set->program, set->counts, set->n_places);
	if (set->counts[0].units != set->added[0].units)
		l->last_ns = clock_realtime_ns();
	for (unsigned int i = 0; i < set->n_places; i++) {
		const struct kernel_count *now = &set->counts[i], *before = &set->added[i];
		const struct function_count more = { .units = now->units - before->units,
			.pkts = now->pkts - before->pkts,
			.bytes = now->bytes - before->bytes };

		plan_place_add(&set->places[i], &more);
	}
	memcpy(set->added, set->counts, set->n_places * sizeof(set->added[0]));
}

/* Take sets that have been replaced out of the list: those without a program, or (@all) every one,
 * whose last counts are then taken. Return: the sets, to be freed. */
static struct lowering_set *lowering_take(struct lowering *l, bool all)
{
	struct lowering_set *ret = NULL;

	for (struct lowering_set **link = &l->sets; *link;) {
		struct lowering_set *set = *link;

		if (set->state != LOWERING_REPLACED || (set->program && !all)) {
			link = &set->next;
			continue;
		}
		lowering_add_set(l, set);
		l->units += set->added[0].units;
		*link = set->next;
		set->next = ret;
		ret = set;
	}
	return ret;
}

static void lowering_free_list(struct lowering_set *set)
{
	while (set) {
		struct lowering_set *next = set->next;

		lowering_set_free(set);
		set = next;
	}
}

/* Free what has been replaced. */
static void lowering_clear(struct lowering *l)
{
	struct lowering_set *old;

	lowering_barrier();
	(void)pthread_mutex_lock(&l->device->commit_lock);
	lowering_lock(l);
	old = lowering_take(l, true);
	lowering_unlock(l);
	(void)pthread_mutex_unlock(&l->device->commit_lock);
	lowering_free_list(old);
}

/* Until somebody asks, or it is @until_ns; UINT64_MAX: never. */
static void lowering_wait(struct lowering *l, uint64_t until_ns)
{
	const struct timespec until = { .tv_sec = (time_t)(until_ns / 1000000000u),
		.tv_nsec = (long)(until_ns % 1000000000u) };

	if (until_ns == UINT64_MAX)
		(void)pthread_cond_wait(&l->asked, &l->device->flows_lock);
	else
		(void)pthread_cond_timedwait(&l->asked, &l->device->flows_lock, &until);
}

/* One piece of work, if there is one: most urgent first. Return: when to come again. */
static uint64_t lowering_work(struct lowering *l)
{
	struct lowering_set *wanted, *old;
	uint64_t now_ns = clock_monotonic_ns(), due_ns = UINT64_MAX;
	unsigned int n_old;

	lowering_lock(l);
	old = lowering_take(l, false);
	wanted = lowering_find(l, LOWERING_WANTED);
	n_old = lowering_n_old(l);
	if (wanted && wanted->is_large && wanted->due_ns > 0)
		wanted->due_ns = MAX(wanted->due_ns, l->rest_ns);
	if (n_old > 0)
		due_ns = l->changed_ns + LOWERING_PATIENCE_NS;
	if (n_old >= LOWERING_OLD_MAX || (due_ns <= now_ns && !(wanted && wanted->due_ns == 0))) {
		wanted = NULL;
		due_ns = 0;
	} else if (wanted && wanted->due_ns <= now_ns) {
		wanted->state = LOWERING_MAKING;
		due_ns = 0;
	} else if (wanted) {
		due_ns = MIN(due_ns, wanted->due_ns);
		wanted = NULL;
	}
	lowering_unlock(l);
	lowering_free_list(old);
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
	while (!l->over) {
		uint64_t until_ns;

		l->has_news = false;
		lowering_unlock(l);
		until_ns = lowering_work(l);
		lowering_lock(l);
		if (until_ns > 0 && !l->has_news && !l->over)
			lowering_wait(l, until_ns);
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
	pthread_condattr_t monotonic;
	int r;

	*ret = NULL;
	if (!kernel_is_built()) {
		(void)error_set(err, MFUNCT_NOT_SUPPORTED,
			"this build of MAPI has no kernel tier (meson -Dkernel=enabled)");
		return -ENOTSUP;
	}
	if (!loader->load) {
		(void)error_set(err, MFUNCT_NOT_SUPPORTED, "the device is configured so (engine=)");
		return -ENOTSUP;
	}
	r = lowering_selects(device, &select, err);
	if (r < 0) {
		log_event(loader->is_expected ? LOG_WARNING : LOG_DEBUG,
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
	(void)pthread_condattr_init(&monotonic); /* these cannot fail on Linux */
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&l->asked, &monotonic);
	r = thread_start(&l->thread, lowering_main, l);
	if (r < 0)
		return r;
	l->started = true;
	*ret = TAKE(l);
	return 0;
}

struct lowering *lowering_free(struct lowering *lowering)
{
	if (!lowering)
		return NULL;
	if (lowering->started) {
		lowering_lock(lowering);
		lowering->over = true;
		(void)pthread_cond_signal(&lowering->asked);
		lowering_unlock(lowering);
		(void)pthread_join(lowering->thread, NULL);
	}
	while (lowering->sets) {
		struct lowering_set *set = lowering->sets;

		lowering->sets = set->next;
		lowering_set_free(set);
	}
	(void)pthread_cond_destroy(&lowering->asked);
	free(lowering);
	return NULL;
}

/* ---- the control thread ---- */

int lowering_prepare(struct lowering *lowering, struct plan_flow *const flows[],
	unsigned int n_flows, struct lowering_set **ret)
{
	_cleanup_(lowering_set_freep) struct lowering_set *set = NULL;
	struct driver_interface interface;
	unsigned int n_insns = 0;
	int r;

	if (!lowering) {
		*ret = NULL;
		return 0;
	}
	set = calloc(1, sizeof(*set));
	if (!set)
		return -ENOMEM;
	(void)lowering->device->driver->interface(
		lowering->device->source, 0, &interface); /* it has one: it is live */
	r = plan_lower(flows, n_flows, interface.linktype, &set->places, &set->n_places);
	if (r < 0)
		return r;
	set->counts = calloc(set->n_places, sizeof(set->counts[0]));
	set->added = calloc(set->n_places, sizeof(set->added[0]));
	if (!set->counts || !set->added)
		return -ENOMEM;
	for (unsigned int i = 0; i < set->n_places; i++) {
		const struct bpf_insn *insns;

		set->all |= set->places[i].deliver && set->places[i].first == 0;
		n_insns += filter_program_insns(set->places[i].program, &insns);
	}
	set->is_large = n_insns > LOWERING_SMALL_INSNS;
	if (n_insns > LOWERING_INSNS_MAX)
		(void)error_set(&set->why, MFUNCT_NOT_SUPPORTED,
			"the filters of all flows are more than the kernel is given at once");
	*ret = TAKE(set);
	return 0;
}

void lowering_ask(struct lowering *lowering, struct lowering_set *set, bool at_once)
{
	struct lowering_set *obsolete = NULL;

	if (!lowering)
		return;
	set->due_ns = at_once ? 0 : clock_monotonic_ns() + LOWERING_PATIENCE_NS;
	set->epoch = lowering->device->epoch;
	lowering_lock(lowering);
	if (lowering->sets && lowering->sets->state == LOWERING_WANTED) {
		obsolete = lowering->sets;
		set->due_ns = MIN(set->due_ns, obsolete->due_ns);
		lowering->sets = obsolete->next;
	}
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
	(void)pthread_cond_signal(&lowering->asked);
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
	for (struct lowering_set *set = lowering->sets; set; set = set->next)
		for (unsigned int i = 0; i < set->n_places; i++)
			if (set->places[i].flow == flow)
				set->places[i].flow = NULL;
}

/* ---- who publishes ---- */

void lowering_add(struct lowering *lowering)
{
	if (!lowering)
		return;
	for (struct lowering_set *set = lowering->sets; set; set = set->next)
		lowering_add_set(lowering, set);
}

uint64_t lowering_units(const struct lowering *lowering, bool now)
{
	uint64_t units = lowering ? lowering->units : 0;

	if (!lowering)
		return 0;
	for (const struct lowering_set *set = lowering->sets; set; set = set->next) {
		struct kernel_count all = { .units = set->added[0].units };

		if (now && set->program)
			kernel_program_read(set->program, &all, 1);
		units += all.units;
	}
	return units;
}

uint64_t lowering_last_ns(const struct lowering *lowering)
{
	return lowering ? lowering->last_ns : 0;
}

/* ---- who asks ---- */

/* The place whose packets the instance sees, or makes of those of the one before. */
static const struct plan_place *lowering_place(
	const struct lowering_set *set, const struct plan_instance *instance)
{
	for (unsigned int i = 0; i < set->n_places; i++) {
		const struct plan_place *place = &set->places[i];

		if (place->flow == instance->flow && place->first <= instance->fid &&
			instance->fid <= place->end)
			return place;
	}
	return NULL;
}

/* The first function that keeps the flow's packets from staying in the kernel. */
static void lowering_explain_packets(const struct lowering_set *set,
	const struct plan_instance *instance, struct device_tier *ret)
{
	const struct plan_flow *flow = instance->flow;
	const struct plan_place *last = NULL;
	const struct plan_instance *first;

	for (unsigned int i = 0; i < set->n_places; i++)
		if (set->places[i].flow == flow)
			last = &set->places[i];
	if (!last || last->end >= flow->n_instances)
		return;
	first = flow->instances[last->end];
	if (first == instance && first->referred)
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"another function refers to its values, packet by packet");
	else if (first == instance && first->function->filter)
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"its filter cannot be a program of the kernel");
	else if (first == instance)
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"it needs packets; those that get here are delivered");
	else
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"packets are delivered for %s (function %u)", first->function->desc.name,
			first->fid);
}

void lowering_explain(const struct lowering *lowering, const struct plan_instance *instance,
	struct device_tier *ret)
{
	const struct lowering_set *set = lowering->sets;
	const struct plan_place *place;

	while (set && set->state != LOWERING_RUNS)
		set = set->next;
	*ret = (struct device_tier){ .tier = MAPI_TIER_USER };
	if (!set) {
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"all packets are delivered until a program for all filters is made");
		return;
	}
	place = lowering_place(set, instance);
	if (set->program && place) {
		*ret = (struct device_tier){ .tier = MAPI_TIER_KERNEL, .n_insns = set->n_insns };
		(void)snprintf(ret->reason, sizeof(ret->reason),
			place->deliver ? "decides which packets are delivered"
				       : "packets are counted, and not delivered");
		return;
	}
	if (set->program || place == NULL)
		lowering_explain_packets(set, instance, ret);
	if (!ret->reason[0] && set->why.code)
		(void)snprintf(ret->reason, sizeof(ret->reason), "%.*s",
			(int)sizeof(ret->reason) - 1, set->why.text);
	if (!ret->reason[0])
		(void)snprintf(ret->reason, sizeof(ret->reason),
			"some function on the device wants all packets");
}
