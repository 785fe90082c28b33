/* SPDX-License-Identifier: BSD-2-Clause */
/* What the flows of one plan want of the kernel, and the programs that do it: see lowering.h. */
#include <errno.h>
#include <net/ethernet.h>
#include <pcap/bpf.h>
#include <string.h>

#include "base/clock.h"
#include "lowering_counts.h"
#include "lowering_private.h"
#include "mapi/errors.h"

#define LOWERING_SMALL_INSNS 1024u /* classic BPF of all places: some 20 ms of work */
#define LOWERING_SAMPLE_INSNS 32u /* as many make the work that a sample makes */
#define LOWERING_TYPE_8021AD 0x88a8

struct lowering_set *lowering_set_free(struct lowering_set *set)
{
	if (!set)
		return NULL;
	plan_places_free(set->places, set->n_places);
	lowering_programs_free(set->programs);
	free(set->counts);
	free(set->added);
	free(set->samplings);
	free(set);
	return NULL;
}

/* ---- lists of sets, newest first ---- */

void lowering_sets_free(struct lowering_set *sets)
{
	while (sets) {
		struct lowering_set *next = sets->next;

		lowering_set_free(sets);
		sets = next;
	}
}

void lowering_sets_drop(struct lowering_set **sets, struct lowering_set *set)
{
	while (*sets != set)
		sets = &(*sets)->next;
	*sets = set->next;
}

void lowering_sets_forget(struct lowering_set *sets, const struct plan_flow *flow)
{
	for (struct lowering_set *set = sets; set; set = set->next)
		for (unsigned int i = 0; i < set->n_places; i++)
			if (set->places[i].flow == flow)
				set->places[i].flow = NULL;
}

struct lowering_set *lowering_set_running(struct lowering_set *sets)
{
	while (sets && sets->state != LOWERING_RUNS)
		sets = sets->next;
	return sets;
}

struct lowering_set *lowering_set_supersedes(struct lowering_set *set, struct lowering_set **sets)
{
	struct lowering_set *obsolete = *sets;

	if (!obsolete || obsolete->state != LOWERING_WANTED)
		return NULL;
	set->due_ns = MIN(set->due_ns, obsolete->due_ns);
	*sets = obsolete->next;
	return obsolete;
}

void lowering_set_replaces(struct lowering_set *set)
{
	for (struct lowering_set *old = set->next; old; old = old->next)
		old->state = LOWERING_REPLACED;
}

/* ---- what is wanted ---- */

/* Packets whose protocol the stack may not know: see loss.h. The type behind a first tag says so,
 * or the version of IP. */
static int lowering_add_foreign(struct lowering_set *set, bool is_raw, bool has_ipv6)
{
	const struct bpf_insn raw[] = {
		BPF_STMT(BPF_LD + BPF_B + BPF_ABS, 0),
		BPF_STMT(BPF_ALU + BPF_RSH + BPF_K, 4),
		BPF_JUMP(BPF_JMP + BPF_JEQ + BPF_K, 4, 2, 0),
		BPF_JUMP(BPF_JMP + BPF_JEQ + BPF_K, 6, has_ipv6, 0),
		BPF_STMT(BPF_RET + BPF_K, 1),
		BPF_STMT(BPF_RET + BPF_K, 0),
	};
	const struct bpf_insn insns[] = {
		BPF_STMT(BPF_LD + BPF_H + BPF_ABS, 12),
		BPF_JUMP(BPF_JMP + BPF_JEQ + BPF_K, ETHERTYPE_VLAN, 1, 0),
		BPF_JUMP(BPF_JMP + BPF_JEQ + BPF_K, LOWERING_TYPE_8021AD, 0, 1),
		BPF_STMT(BPF_LD + BPF_H + BPF_ABS, 16),
		BPF_JUMP(BPF_JMP + BPF_JEQ + BPF_K, ETHERTYPE_IP, 3, 0),
		BPF_JUMP(BPF_JMP + BPF_JEQ + BPF_K, ETHERTYPE_ARP, 2, 0),
		BPF_JUMP(BPF_JMP + BPF_JEQ + BPF_K, ETHERTYPE_IPV6, has_ipv6, 0),
		BPF_STMT(BPF_RET + BPF_K, 1),
		BPF_STMT(BPF_RET + BPF_K, 0),
	};
	struct filter_program *program;
	int r = is_raw ? filter_program_new(&program, raw, ARRAY_SIZE(raw))
		       : filter_program_new(&program, insns, ARRAY_SIZE(insns));

	return r < 0 ? r : plan_places_insert(&set->places, &set->n_places, program);
}

int lowering_prepare(struct lowering *lowering, struct plan_flow *const flows[],
	unsigned int n_flows, bool others, struct lowering_set **ret)
{
	struct driver_interface interface;
	int r;

	if (!lowering) {
		*ret = NULL;
		return 0;
	}
	(void)lowering->device->driver->interface(
		lowering->device->source, 0, &interface); /* it has one: it is live */
	r = lowering_set_new(ret, flows, n_flows, interface.linktype, &lowering->select);
	if (r == 0 && others && n_flows == 0)
		(*ret)->all = true; /* needs no program */
	return r;
}

int lowering_set_new(struct lowering_set **ret, struct plan_flow *const flows[],
	unsigned int n_flows, uint32_t linktype, const struct driver_select *select)
{
	_cleanup_(lowering_set_freep) struct lowering_set *set = calloc(1, sizeof(*set));
	unsigned int n_insns = 0, n_samples = 0;
	int r;

	if (!set)
		return -ENOMEM;
	r = plan_lower(flows, n_flows, linktype, &set->places, &set->n_places);
	if (r == 0)
		r = lowering_add_foreign(set, select->is_raw, select->has_ipv6);
	if (r < 0)
		return r;
	set->counts = calloc(set->n_places, sizeof(set->counts[0]));
	set->added = calloc(set->n_places, sizeof(set->added[0]));
	set->samplings = calloc(set->n_places, sizeof(set->samplings[0]));
	if (!set->counts || !set->added || !set->samplings)
		return -ENOMEM;
	for (unsigned int i = 0; i < set->n_places; i++) {
		const struct bpf_insn *insns;

		set->all |= set->places[i].deliver && set->places[i].first == 0;
		n_insns += filter_program_insns(set->places[i].program, &insns);
		n_samples += set->places[i].sampling ? 1 : 0;
	}
	set->is_large = (n_insns + n_samples * LOWERING_SAMPLE_INSNS) * select->n_programs >
		LOWERING_SMALL_INSNS;
	if (n_insns > PLAN_PLACES_INSNS_MAX)
		(void)error_set(&set->why, MFUNCT_NOT_SUPPORTED,
			"the filters of all flows are more than the kernel is given at once");
	*ret = TAKE(set);
	return 0;
}

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

/* ---- numbers of samples ---- */

/* With flows_lock held. The cell of a place that samples. Return: -1: there is none. */
static int lowering_cell(struct lowering *l, const struct plan_place *place)
{
	struct lowering_cell *c;

	for (c = l->cells; c; c = c->next)
		if (c->flow && c->state == place->state)
			return c->cell;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -1;
	*c = (struct lowering_cell){ .next = l->cells,
		.cell = kernel_turns_get(l->loader.turns),
		.flow = place->flow,
		.state = place->state };
	if (c->cell < 0) {
		free(c);
		return -1;
	}
	l->cells = c;
	return c->cell;
}

/* What is to be sampled, and with which numbers. Where there are none, more is delivered. */
static void lowering_sample(struct lowering *l, struct lowering_set *set)
{
	unsigned int i = 0;

	lowering_lock(l);
	while (i < set->n_places) {
		struct plan_place *place = &set->places[i];
		int cell = -1;

		set->samplings[i] = (struct kernel_sampling){ .cell = 0 };
		if (place->sampling && place->flow)
			cell = lowering_cell(l, place);
		if (place->sampling && cell < 0) {
			set->n_places = plan_places_cut(set->places, set->n_places, i);
			i = 0; /* others may have been cut, too */
			continue;
		}
		if (place->sampling)
			set->samplings[i] = (struct kernel_sampling){ .rule = *place->sampling,
				.cell = (uint32_t)cell };
		i++;
	}
	lowering_unlock(l);
}

void lowering_set_share(struct lowering *l, struct lowering_set *set)
{
	(void)pthread_mutex_lock(&l->device->commit_lock);
	lowering_lock(l);
	for (unsigned int i = 0; i < set->n_places; i++) {
		struct plan_place *place = &set->places[i];

		if (place->sampling && place->flow && !place->state->shared)
			sampling_share(place->state,
				kernel_turns_at(l->loader.turns, (int)set->samplings[i].cell));
	}
	lowering_unlock(l);
	(void)pthread_mutex_unlock(&l->device->commit_lock);
}

/* Whether some program may take numbers from it. */
static bool lowering_uses_cell(const struct lowering *l, int cell)
{
	for (const struct lowering_set *set = l->sets; set; set = set->next)
		for (unsigned int i = 0; i < set->n_places; i++)
			if (set->samplings[i].rule.mode != SAMPLING_NONE &&
				set->samplings[i].cell == (uint32_t)cell)
				return true;
	return false;
}

void lowering_clear_cells(struct lowering *l, bool all)
{
	for (struct lowering_cell **link = &l->cells; *link;) {
		struct lowering_cell *c = *link;

		if (!all && (c->flow || lowering_uses_cell(l, c->cell))) {
			link = &c->next;
			continue;
		}
		*link = c->next;
		kernel_turns_put(l->loader.turns, c->cell);
		free(c);
	}
}

/* ---- programs ---- */

/* The program of ring @i. Return: 0; -EAGAIN: some place had to be cut; negative errno with @err
 * filled. */
static int lowering_load_one(struct lowering *l, struct lowering_set *set,
	struct kernel_options *options, const struct filter_program *const programs[],
	unsigned int i, struct kernel_program **ret, struct error *err)
{
	_cleanup_(kernel_code_freep) struct kernel_code *code = NULL;
	unsigned int left_out;
	int r;

	options->own = l->select.own ? l->select.own[i] : NULL;
	r = kernel_program_make(ret, &code, options, programs, set->n_places, l->loader.load,
		l->loader.argument, err);
	if (r == -ENOMEM)
		(void)error_set(err, MAPI_OUT_OF_MEMORY, "out of memory");
	if (r < 0)
		return r;
	left_out = lowering_left_out(set, code);
	set->n_insns += kernel_code_stats(code).n_insns;
	if (left_out == set->n_places)
		return 0;
	r = lowering_cut(l, set, code, left_out, err);
	return r < 0 ? r : -EAGAIN;
}

/* Programs for the places that there are. Return: as lowering_load_one(). */
static int lowering_load_all(struct lowering *l, struct lowering_set *set,
	const struct filter_program **programs, bool *deliver, struct lowering_programs **ret,
	struct error *err)
{
	_cleanup_(lowering_programs_freep) struct lowering_programs *loaded =
		lowering_programs_new(l->select.n_programs, set->n_places);
	struct kernel_options options = { .hook = KERNEL_SOCKET,
		.snaplen_bytes = l->select.snaplen_bytes,
		.is_cut = l->select.is_cut,
		.is_raw = l->select.is_raw,
		.skip_outgoing = l->select.skip_outgoing,
		.undelivered = true,
		.deliver = deliver,
		.samplings = set->samplings,
		.page_max = l->loader.page_max,
		.no_long_jumps = !l->loader.has_long_jumps };
	int r = 0;

	if (!loaded)
		return error_set(err, MAPI_OUT_OF_MEMORY, "out of memory");
	lowering_sample(l, set);
	for (unsigned int i = 0; i < set->n_places; i++) {
		programs[i] = set->places[i].program;
		deliver[i] = set->places[i].deliver;
	}
	set->n_insns = 0;
	for (unsigned int i = 0; r == 0 && i < loaded->n; i++)
		r = lowering_load_one(l, set, &options, programs, i, &loaded->at[i], err);
	if (r == 0)
		*ret = TAKE(loaded);
	return r;
}

int lowering_set_load(struct lowering *l, struct lowering_set *set, struct lowering_programs **ret,
	struct error *err)
{
	_cleanup_(cleanup_freep) const struct filter_program **programs =
		calloc(set->n_places, sizeof(programs[0]));
	_cleanup_(cleanup_freep) bool *deliver = calloc(set->n_places, sizeof(deliver[0]));
	int r = -EAGAIN;

	if (!programs || !deliver)
		return error_set(err, MAPI_OUT_OF_MEMORY, "out of memory");
	while (r == -EAGAIN)
		r = lowering_load_all(l, set, programs, deliver, ret, err);
	return r;
}

void lowering_set_read(struct lowering_set *set)
{
	if (set->programs)
		lowering_programs_read(set->programs, set->counts, set->n_places);
}

void lowering_set_give(struct lowering_set *set, uint64_t last_ns)
{
	lowering_counts_give(set->places, set->counts, set->added, set->n_places, last_ns);
}
