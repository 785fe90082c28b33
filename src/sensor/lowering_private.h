/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the kernel tier of a device share: lowering.c (the thread, and who asks it),
 * lowering_set.c (what flows want, and the programs for it), lowering_programs.c,
 * lowering_thread.c, lowering_explain.c; and hook.c, which makes sets, too. */
#ifndef MAPI_SENSOR_LOWERING_PRIVATE_H
#define MAPI_SENSOR_LOWERING_PRIVATE_H

#include "device_private.h"
#include "kernel/kernel.h"
#include "lowering.h"

#define LOWERING_OLD_MAX 8u /* sets that wait to be freed, before a new one is made */

enum lowering_state {
	LOWERING_WANTED,
	LOWERING_MAKING,
	LOWERING_RUNS,
	LOWERING_REPLACED,
};

/* The first places of a set, which are of no flow. */
enum lowering_place {
	LOWERING_ALL, /* all packets */
	LOWERING_FOREIGN,
	_LOWERING_N
};

/**
 * struct lowering_programs - one for each ring, loaded; each counts packets of its own
 * @counts: working memory of lowering_programs_read()
 */
struct lowering_programs {
	struct kernel_count *counts;
	unsigned int n;
	struct kernel_program *at[];
};

/**
 * struct lowering_set - what the flows of one plan want of the kernel
 * @next:    older
 * @epoch:   of the device, when it was asked for
 * @all:     somebody wants all packets
 * @is_large: takes long to make
 * @due_ns:  when it is to be made; 0: at once, because flows wait for it
 * @programs: NULL: all packets are delivered
 * @ends:    they are about to: nobody will be in them
 * @counts, @added: of each place: as read, and of it what flows have been given
 * @samplings: of each place, as its programs were made
 * @why:     there are no programs, or they could not be attached; they may have counted all the
 * same
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
	struct lowering_programs *programs;
	bool ends;
	unsigned int n_insns;
	struct kernel_count *counts;
	struct kernel_count *added;
	struct kernel_sampling *samplings;
	struct error why;
};

/* struct lowering_cell - where a function that samples has its numbers from
 * @flow:  of the function; NULL: it is no more, but programs may still use the cell */
struct lowering_cell {
	struct lowering_cell *next;
	int cell;
	const struct plan_flow *flow;
	const struct sampling_state *state;
};

/**
 * struct lowering_thread - makes programs
 * @lock:  flows_lock of the device; guards what follows, too
 * @asked: there is something to do
 * @over:  it is to end
 */
struct lowering_thread {
	pthread_t id;
	bool started;
	pthread_mutex_t *lock;
	pthread_cond_t asked;
	bool over;
};

/**
 * struct lowering - of one device
 * @thread:   that makes programs
 * @has_news: something was asked for since the thread has looked
 * @selects: programs are attached, or about to be; written by the thread
 * @refused: nobody may load programs, so why; written by the thread
 * @said:    what the log was told last; the thread's
 * @rest_ns: until then nothing large is made; the thread's
 * @served_epoch: flows that were there then get what they want
 * @changed_ns: when flows got another program last
 * @units, @foreign: that sets have counted which have been freed
 * @cells:   of functions that sample
 * @turned:  gates have opened or closed since the control thread has looked
 * @read_units: and all others, as read last
 * @last_ns: when that was more than before (CLOCK_REALTIME)
 */
struct lowering {
	struct device *device;
	struct device_loader loader;
	struct driver_select select;
	struct lowering_thread thread;
	bool has_news;
	struct lowering_set *sets;
	bool selects;
	struct error refused;
	struct error said;
	uint64_t rest_ns;
	uint64_t served_epoch;
	uint64_t changed_ns;
	uint64_t units;
	uint64_t foreign;
	uint64_t read_units;
	uint64_t last_ns;
	struct lowering_cell *cells;
	_Atomic bool turned;
};

static inline void lowering_lock(struct lowering *l)
{
	(void)pthread_mutex_lock(&l->device->flows_lock);
}

static inline void lowering_unlock(struct lowering *l)
{
	(void)pthread_mutex_unlock(&l->device->flows_lock);
}

/* lowering_programs.c: places for programs, to be filled. Return: NULL without memory. */
struct lowering_programs *lowering_programs_new(unsigned int n, unsigned int n_places);
struct lowering_programs *lowering_programs_free(struct lowering_programs *programs);
DEFINE_CLEANUP(struct lowering_programs *, lowering_programs_free);
/* What they have counted together, at @n places. */
void lowering_programs_read(
	struct lowering_programs *programs, struct kernel_count ret[], unsigned int n);
/* What a packet costs that comes by all of them; 0: not known. */
uint64_t lowering_programs_cost_ns(const struct lowering_programs *programs);

/* A set of what @flows want; packets have @linktype. Return: 0, -ENOMEM. */
int lowering_set_new(struct lowering_set **ret, struct plan_flow *const flows[],
	unsigned int n_flows, uint32_t linktype, const struct driver_select *select);

/* Lists of sets, newest first. Free all; take one out; the flow is about to be freed. */
void lowering_sets_free(struct lowering_set *sets);
void lowering_sets_drop(struct lowering_set **sets, struct lowering_set *set);
void lowering_sets_forget(struct lowering_set *sets, const struct plan_flow *flow);

/* The set whose programs decide; NULL: there is none yet. */
struct lowering_set *lowering_set_running(struct lowering_set *sets);

/* The new set is wanted instead of the newest in the list, if nobody makes that yet. Return: that
 * one, taken out of the list, to be freed by the caller; NULL: none. */
struct lowering_set *lowering_set_supersedes(struct lowering_set *set, struct lowering_set **sets);

/* The set runs instead of all that are older. */
void lowering_set_replaces(struct lowering_set *set);

/* lowering_thread.c. Return: 0, what pthread_create() says; stop() then has nothing to do. */
int lowering_thread_start(struct lowering_thread *thread, pthread_mutex_t *lock,
	void *(*main)(void *argument), void *argument);
void lowering_thread_stop(struct lowering_thread *thread);
/* The caller holds the lock. Wait until somebody wakes the thread, or it is @until_ns of
 * CLOCK_MONOTONIC; UINT64_MAX: never. */
void lowering_thread_wake(struct lowering_thread *thread);
void lowering_thread_wait(struct lowering_thread *thread, uint64_t until_ns);

/* Nobody is in a program any more that has been replaced before. Takes some milliseconds. */
void lowering_barrier(void);

/* Thread of the lowering: programs for the set. Return: 0, negative errno with @err filled. */
int lowering_set_load(struct lowering *l, struct lowering_set *set, struct lowering_programs **ret,
	struct error *err);

/* What the set's programs have counted by now. The caller holds flows_lock, as below. */
void lowering_set_read(struct lowering_set *set);

/* Give flows what has been read and not been given yet. The caller holds commit_lock, too.
 * @last_ns: when the last of these packets came. */
void lowering_set_give(struct lowering_set *set, uint64_t last_ns);

/* Functions of the set that sample have their numbers from the kernel from now on. The thread's. */
void lowering_set_share(struct lowering *l, struct lowering_set *set);

/* Cells of functions that are no more, and that no set uses, or all of them (@all). The caller
 * holds flows_lock. */
void lowering_clear_cells(struct lowering *l, bool all);

#endif
