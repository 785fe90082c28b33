/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The plan: all connected flows of one device merged into one graph, and how a batch of packets
 * runs through it.
 *
 * A flow is an ordered list of instances (functions with arguments and state). A plan is built from
 * a set of flows, never changed, and replaced as a whole when a flow comes or goes; instances live
 * longer than plans and carry their state from one to the next. docs/architecture.md, "The plan",
 * explains domains, pure nodes, late nodes and packet-by-packet groups.
 *
 * Threads: flows, instances and plans are made and freed by the control thread. A struct plan_run
 * belongs to one worker. Late nodes and everything named "commit" run by one worker at a time, in
 * the order of the packets; the caller sees to that.
 */
#ifndef MAPI_PLAN_PLAN_H
#define MAPI_PLAN_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "function/function.h"
#include "packet/packet.h"

struct plan;
struct plan_run;
struct plan_searches;
struct plan_program; /* private: compiled filters of an instance */
struct filter_program;

enum plan_outcome {
	PLAN_E_AGAIN = 1, /* not known yet: ask again, in the same words */
	_PLAN_E_N
};

/**
 * struct plan_compiler - who turns filter expressions into programs
 * @compile: as filter_compile(), from any thread. If not @may_wait it may also return PLAN_E_AGAIN.
 *           A negative errno that filter_compile() does not have says that nobody knows whether the
 *           expression is valid, and why in @err. NULL: filter_compile() itself
 * @context: of compile(); outlives all flows that were made with it
 */
struct plan_compiler {
	int (*compile)(void *context, const char *expression, uint32_t linktype, bool may_wait,
		struct filter_program **ret, struct error *err);
	void *context;
};

/* A flow that a gate waits for. It need not be of the same device. */
struct plan_wait {
	unsigned int flow; /* its id */
	bool connected; /* it has been */
};

/**
 * struct plan_refs - what the arguments of one function name, in their order
 * @instances: that it refers to
 * @flows:     ids of the flows that it waits for
 */
struct plan_refs {
	struct plan_instance *instances[FUNCTION_REFS_MAX];
	unsigned int n;
	unsigned int flows[FUNCTION_REFS_MAX];
	unsigned int n_flows;
};

/* Packets that reached an instance, and those of them that later functions of its flow see, too. */
struct plan_counts {
	uint64_t pkts;
	uint64_t passed_pkts;
};

/* struct plan_cost - what a function has cost in user space, in batches whose time was taken. Any
 * thread. */
struct plan_cost {
	_Atomic uint64_t ns;
	_Atomic uint64_t pkts; /* of the device */
};

/**
 * struct plan_instance - one applied function
 * @fid:     1, 2, 3 ... within its flow
 * @waits:   what it waits for, if it is a gate
 * @memory:  the function's instance
 * @state:   the function's state: all packets that are committed
 * @refs:    instances it refers to, in argument order
 * @node:    where plan_new() has put it while a plan is built
 * @countable: it and whoever refers to it need not see packets: how many have come will do
 * @connected: of the work that finds that out
 * @retired: it takes no part in further plans
 * @completed: its function's complete() has been called
 * @closed:  its function's close() has been called
 * @passed_pkts: of a filter: committed packets that it has let pass
 * @cost:    see plan_cost_ns_per_pkt()
 * @counts:  what plan_flow_count() has found; not used by the plan
 * @deadline_ns: when its function's tick() is to be called; 0: at the first packet; UINT64_MAX:
 * never
 * @error:   why it cannot go on; set by a worker
 * @compiler: of its filter
 * @tells_direction: packets of its device say whether they come or go, and its filter may ask
 * @filter_error: why its filter could not be compiled for a link type that came up later; valid
 * once the flow has failed (acquire)
 * @filter_met: its filter is valid for a link type that packets have had
 * @gate:    what it does for a while (enum function_gate), as plan_flow_turn_gates() has found
 * @result:  where the owner wants the result to be written; NULL: nowhere. Not used by the plan
 */
struct plan_instance {
	const struct function *function;
	struct plan_flow *flow;
	unsigned int fid;
	unsigned int n_refs;
	struct plan_instance **refs;
	unsigned int n_waits;
	struct plan_wait *waits;
	void *memory;
	void *state;
	bool referred;
	bool retired;
	bool completed;
	bool closed;
	unsigned int node;
	bool countable;
	struct plan_instance *connected;
	uint64_t deadline_ns;
	uint64_t passed_pkts;
	struct plan_cost cost;
	struct plan_counts counts;
	struct error error;
	struct plan_compiler compiler;
	bool tells_direction;
	struct error filter_error;
	bool filter_met;
	struct plan_program *programs;
	_Atomic int gate;
	void *result;
};

/* Where a flow is, for its device; not used by the plan. */
enum plan_flow_place {
	PLAN_FLOW_OUT,
	PLAN_FLOW_HELD, /* connected; it waits for flows that it refers to */
	PLAN_FLOW_IN, /* connected */
};

/**
 * struct plan_flow - what a client built
 * @id:     orders the flows (semantics O2)
 * @owner:  whose it is: what it searches for shares a database with other flows of the owner
 * @searches: a database that it brings for the next plan; NULL: none
 * @failed: a function cannot go on: the flow gets no more packets
 * @pkts:   committed packets that have entered it
 * @from_ns: it sees packets of this time and later; earlier ones have been counted for it
 * elsewhere. UINT64_MAX: none, all are
 * @arrives: that is about to end: packets have to be delivered before. The control thread's
 * @retired: closed, but others refer to it
 * @stuck:  HELD: and cannot go on, while that is found out
 * @walk:   of plan_flow_walk(): the last one that has been here; @next_walked: whom it visits
 * then
 * @taken:  it is among the flows of the plan that is being made
 */
struct plan_flow {
	unsigned int id;
	unsigned int owner;
	struct plan_searches *searches;
	unsigned int n_instances;
	struct plan_instance **instances;
	_Atomic bool failed;
	_Atomic uint64_t from_ns;
	bool arrives;
	uint64_t pkts;
	bool retired;
	bool stuck;
	enum plan_flow_place place;
	uint64_t walk;
	struct plan_flow *next_walked;
	bool taken;
};

int plan_flow_new(struct plan_flow **ret, unsigned int id);
struct plan_flow *plan_flow_free(
	struct plan_flow *flow); /* with its instances; in no plan any more */
DEFINE_CLEANUP(struct plan_flow *, plan_flow_free);

/* Complete its functions; it is in no plan any more, and only to be freed. @err: the first failure
 * of one to hand on what it kept back; NULL: nobody wants to know. */
void plan_flow_complete(struct plan_flow *flow, struct error *err);

/* Whether a thread of a completed instance hangs, so that plan_flow_free() would leave its memory
 * behind. */
bool plan_flow_is_busy(const struct plan_flow *flow);

/* Whether plan_flow_complete() would wait for something that a thread of an instance is handing on.
 * The flow's functions have been cancelled, so that will end in bounded time. */
bool plan_flow_is_draining(const struct plan_flow *flow);

/* Bring the counts of a flow's instances up to date. In turn: nobody commits meanwhile. */
void plan_flow_count(struct plan_flow *flow);

/* The flow, and all that its functions refer to, however far, have this number in their walk then;
 * those that had it before are passed over. Control thread. */
void plan_flow_walk(struct plan_flow *flow, uint64_t walk);

/* Whether functions of @flow refer to those of @to, or to such that do. @walk: a number, not 0,
 * that flows of this device have not been asked with. Control thread. */
bool plan_flow_refers(struct plan_flow *flow, const struct plan_flow *to, uint64_t walk);

/* Nobody reads the flow any more, but others refer to it: what does not serve them takes no part in
 * further plans, and is closed by plan_flow_close_retired() once no worker uses an earlier one;
 * completed only, where a thread of it hangs. @err: as of plan_flow_complete(). */
void plan_flow_retire(struct plan_flow *flow);
void plan_flow_close_retired(struct plan_flow *flow, struct error *err);

/* What plan_flow_apply() needs to know about the device. @seed: of the flow. */
struct plan_device {
	const char *name;
	bool lossless;
	uint32_t linktype; /* of its first interface: filters are checked against it */
	bool tells_direction; /* else filters may not ask for it */
	uint64_t seed;
	struct plan_compiler compiler;
};

/**
 * plan_flow_apply() - append a function to a flow
 * @flow:     not in a plan yet
 * @function: the descriptor
 * @args:     function->desc.n_args checked values
 * @refs:     what the arguments name; NULL: nothing
 * @device:   of the flow
 * @ret:      the new instance, owned by the flow
 * @err:      the function's own code, or 1025 for a filter expression
 *
 * Return: 0, PLAN_E_AGAIN (@flow is as it was; the next call opens the function again), -EINVAL and
 * what the compiler returns with @err filled, -ENOMEM.
 */
int plan_flow_apply(struct plan_flow *flow, const struct function *function,
	const struct function_value *args, const struct plan_refs *refs,
	const struct plan_device *device, struct plan_instance **ret, struct error *err);

/* Flow @id has been connected: tell the gates of @flow, for the plans to come. Return: whether that
 * opens one, on devices where flow @id is not. */
bool plan_flow_note_connected(struct plan_flow *flow, unsigned int id);

/**
 * plan_new() - merge flows into a plan
 * @ret:     the plan; the caller owns it
 * @flows:   @n_flows flows, ascending by id; borrowed as long as the plan lives
 * @previous: the plan that the new one will follow on the same device: what is costly to build is
 *           taken over where it fits; NULL: none. What flows bring (plan_flow_bring_searches()) is
 *           not kept for a plan after this one
 * @err:     7001 for a reference to a flow that is not among @flows; 7007 for a search database
 *
 * Return: 0, -EINVAL with @err filled, -ENOMEM.
 */
int plan_new(struct plan **ret, struct plan_flow *const *flows, unsigned int n_flows,
	const struct plan *previous, struct error *err);
struct plan *plan_free(struct plan *plan); /* takes NULL */
DEFINE_CLEANUP(struct plan *, plan_free);

/*
 * Search databases are built by plan_new() where it must. Who cannot wait for that makes one
 * (plan_searches_new()), has its set completed elsewhere, and lets a flow bring it. Control thread,
 * but that references may be given back by any.
 */

/* What all flows of @owner among @flows search for; the set is prepared, not complete.
 * Return: 0, -ENOMEM. */
int plan_searches_new(struct plan_searches **ret, struct plan_flow *const flows[],
	unsigned int n_flows, unsigned int owner);
struct plan_searches *plan_searches_ref(struct plan_searches *searches);
struct plan_searches *plan_searches_unref(struct plan_searches *searches); /* takes NULL */

/* Its set, which is the caller's until it is given back; meanwhile the database serves nobody. */
struct search_set *plan_searches_take(struct plan_searches *searches);
void plan_searches_give(struct plan_searches *searches, struct search_set *set);

/* Whether it finds all that flows of @owner among @flows search for. @searches may be NULL. */
bool plan_searches_serve(const struct plan_searches *searches, struct plan_flow *const flows[],
	unsigned int n_flows, unsigned int owner);

/* Whether a plan after @plan (NULL: none) would need no new one for these. */
bool plan_serves(const struct plan *plan, struct plan_flow *const flows[], unsigned int n_flows,
	unsigned int owner);

/* @searches: taken; the set is complete. */
void plan_flow_bring_searches(struct plan_flow *flow, struct plan_searches *searches);

/**
 * struct plan_place - packets of a flow that filters alone tell, and what only counts them
 * @flow:    NULL: all packets of the device; or the flow is no more
 * @first, @end: its instances that see them: [first, end). Before @first, unless it is 0, stands
 * the last of the filters, or a function that samples
 * @program: those filters as one, owned
 * @sampling: of the function that samples, which is the last one before @first; NULL: there is none
 * @state:   whose numbers it gives out; as @sampling, the flow's
 * @deliver: somebody needs the packets themselves
 * @is_rest: of the packets for which the last of the filters has to look itself; they are
 * delivered. The place of those that it passes is the next one
 */
struct plan_place {
	struct plan_flow *flow;
	unsigned int first;
	unsigned int end;
	struct filter_program *program;
	const struct sampling *sampling;
	struct sampling_state *state;
	bool deliver;
	bool is_rest;
};

/* Instructions of the programs of all places. A place has those of all filters before it, so users
 * could ask for as many as they like. */
#define PLAN_PLACES_INSNS_MAX 65536u

/**
 * plan_lower() - what of flows the kernel could do
 * @flows:  @n_flows flows of one device
 * @linktype: of all its packets
 * @ret:    the places, to be freed by plan_places_free(). The first is that of all packets; those
 *          of a flow follow each other. Once they have more than PLAN_PLACES_INSNS_MAX
 *          instructions, all packets of further flows are to be delivered
 *
 * Control thread. Return: 0, -ENOMEM.
 */
int plan_lower(struct plan_flow *const flows[], unsigned int n_flows, uint32_t linktype,
	struct plan_place **ret, unsigned int *ret_n);
struct plan_place *plan_places_free(struct plan_place *places, unsigned int n); /* takes NULL */

/* Put a place of no flow behind the first. @program: whose packets are counted; taken, also on
 * failure. Return: 0, -ENOMEM. */
int plan_places_insert(struct plan_place **places, unsigned int *n, struct filter_program *program);

/* Place @i, which is not the first of its flow (its @first is not 0), cannot be told by the kernel:
 * what comes as far as the place before it is to be delivered. Places of other flows that sample
 * may have to go with it. Return: how many places are left. */
unsigned int plan_places_cut(struct plan_place *places, unsigned int n, unsigned int i);

/* What do the flow's gates do with packets up to @until_ns? In turn. Return: whether that has
 * changed: then plan_lower() makes other places. */
bool plan_flow_turn_gates(struct plan_flow *flow, uint64_t until_ns);

/* After plan_lower(): whether the instance's outcome depends on packets that do not reach it, and
 * knowing how many there are will not do. */
bool plan_needs_all(const struct plan_instance *instance);

/* Whether the flow is nothing but filters, and counters that nobody refers to: so it never needs a
 * packet. */
bool plan_flow_only_counts(const struct plan_flow *flow);

/* Find out which functions of these flows, all of a device, have to do with packets only that they
 * are counted. Control thread, as what follows. */
void plan_mark_countable(struct plan_flow *const flows[], unsigned int n_flows);

/* After that, of a flow that only counted: whether it still needs no packet, because who refers to
 * its counters looks at them when periods end, or nobody does. */
bool plan_flow_is_counted(const struct plan_flow *flow);

/* Whether functions of other flows, or of its own, refer to some of the flow's. */
bool plan_flow_is_referred(const struct plan_flow *flow);

/* As if packets that have come to the place, and were not delivered, had been run. In turn. */
void plan_place_add(const struct plan_place *place, const struct function_count *count);

/* What kind of work a function is in a plan; the order of enum mapi_work (mapi/explain.h). */
enum plan_work {
	PLAN_WORK_FILTER, /* decided together with all pure filters of the domain */
	PLAN_WORK_SEARCH, /* the same with all searches */
	PLAN_WORK_TRANSFORM,
	PLAN_WORK_PROCESS,
	_PLAN_WORK_N
};

/**
 * struct plan_explanation - how a plan executes an instance
 * @step, @n_steps: place in the order of execution, from 1
 * @domain:     whose packets it sees; 0: the captured ones
 * @new_domain: that it opens; 0: none
 * @together:   functions that are decided in the same pass, itself included
 * @shared:     of them, those that the very same work serves
 * @order:      how its packets may be split
 * @late:       it waits for its turn where several workers read
 * @group:      number of the group that runs packet by packet; 0: none
 */
struct plan_explanation {
	enum plan_work work;
	unsigned int step;
	unsigned int n_steps;
	unsigned int domain;
	unsigned int new_domain;
	unsigned int together;
	unsigned int shared;
	enum function_order order;
	bool late;
	unsigned int group;
};

/* Return: 0, -ENOENT: it is not in the plan. */
int plan_explain(const struct plan *plan, const struct plan_instance *instance,
	struct plan_explanation *ret);

/**
 * plan_cost_ns_per_pkt() - what a function costs for each packet that the device delivers
 *
 * Filters, and searches, are decided in one pass for all of a domain: it is the cost of that. Of
 * functions that depend on each other in a circle, it is that of all. Thread safety: any thread.
 *
 * Return: nanoseconds, 0: not known yet.
 */
double plan_cost_ns_per_pkt(const struct plan_instance *instance);

/**
 * plan_run_new() - a worker's memory for a plan
 * @ret:    the run; the caller owns it
 * @direct: this worker sees all packets in order and commits at once
 */
int plan_run_new(struct plan_run **ret, struct plan *plan, bool direct);
struct plan_run *plan_run_free(struct plan_run *run); /* takes NULL */
DEFINE_CLEANUP(struct plan_run *, plan_run_free);

/**
 * plan_run_direct() - run all nodes on the next batch, and commit
 *
 * Only for a direct run. Return: 0, -ENOMEM (a link type that is new cannot be prepared).
 */
int plan_run_direct(struct plan_run *run, const struct packet_batch *batch);

/**
 * plan_run_early() - run what needs no order on the next batch of a chunk
 *
 * If the plan has late nodes, the batch and the verdicts of its pure filters are kept for
 * plan_run_commit(). Return: 0, -ENOMEM.
 */
int plan_run_early(struct plan_run *run, const struct packet_batch *batch);

/* Forget everything since the last commit: the chunk began in the wrong place. */
void plan_run_abandon(struct plan_run *run);

/**
 * plan_run_commit() - it is this chunk's turn: merge the early states, run the late nodes
 * @first_no: number of the chunk's first packet within the device
 */
void plan_run_commit(struct plan_run *run, uint64_t first_no);

/**
 * plan_run_tick() - time passes although no packet comes (semantics T1)
 * @now_ns: in the time of the packets; no later packet is earlier, or it is late
 *
 * In turn, between batches. Return: whether a function had waited for that.
 */
bool plan_run_tick(struct plan_run *run, uint64_t now_ns);

/* The clock that stamps packets was set, by @by_ns: spans of time that functions wait for stay as
 * long as they were. In turn, between batches. */
void plan_run_step(struct plan_run *run, int64_t by_ns);

/**
 * plan_run_counted() - packets have come that were counted and not delivered
 * @now_ns: to be taken as their time
 *
 * Time passes to there for functions that need no more than that, then they hear of the packets;
 * plan_place_add() follows. In turn, between batches. Return: as plan_run_tick().
 */
bool plan_run_counted(struct plan_run *run, uint64_t now_ns);

/* The source has ended in good order: finish() of all instances. In turn, once. */
void plan_run_finish(struct plan_run *run);

#endif
