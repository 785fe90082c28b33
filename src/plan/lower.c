/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What of flows can be done where packets arrive, and what that has done comes back.
 *
 * A flow begins with functions that need to know of a packet only whether it passes filters, and
 * how long it is: filters, counters, and what looks at counters now and then (countable.c). Between
 * two filters is a place, whose packets the kernel can recognise and count. The first function that
 * needs more ends that part of the flow: packets that come as far as this have to be delivered. A
 * function that samples goes by numbers that both tiers give out together (base/sampling.h), and so
 * it may be the last one but for counters: whatever needs more, filters too, gets the packets that
 * were chosen. A gate is open or closed for some time, and all packets are delivered when it turns.
 * A function that goes by headers (HASHSAMP) is a filter but for packets of which only it can tell:
 * those have a place of their own, the *rest*, and are delivered.
 *
 * A packet is delivered for all flows or for none, and in each case counted once: by the plan,
 * which runs all functions on whatever is delivered, or by the kernel, which counts what it keeps
 * back. So a counter is the sum of two parts, whenever programs are put in place of each other.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "plan_private.h"

/* ---- from flows to places ---- */

struct lower_list {
	struct plan_place *places;
	unsigned int n;
	unsigned int n_insns; /* of their programs */
	uint32_t linktype;
};

static struct plan_place *lower_append(struct lower_list *list, struct plan_flow *flow)
{
	struct plan_place *grown = realloc(list->places, (list->n + 1) * sizeof(list->places[0]));

	if (!grown)
		return NULL;
	list->places = grown;
	grown[list->n] = (struct plan_place){ .flow = flow };
	return &grown[list->n++];
}

/* How the kernel may serve a flow: from the first function that needs packets on, it cannot. */
enum lower_need {
	LOWER_NEEDS_NOTHING,
	LOWER_NEEDS_COUNT,
	LOWER_IS_OPEN,
	LOWER_IS_CLOSED,
	LOWER_NEEDS_NUMBER,
	LOWER_NEEDS_PACKETS,
	LOWER_NEEDS_ALL
};

static enum lower_need lower_gate(const struct plan_instance *instance)
{
	switch ((enum function_gate)atomic_load_explicit(&instance->gate, memory_order_relaxed)) {
	case FUNCTION_GATE_CLOSED:
		return LOWER_IS_CLOSED;
	case FUNCTION_GATE_OPEN:
		return LOWER_IS_OPEN;
	case FUNCTION_GATE_UNSURE:
		break;
	}
	return LOWER_NEEDS_ALL;
}

bool plan_needs_all(const struct plan_instance *instance)
{
	const struct function *f = instance->function;

	if (instance->retired || instance->countable)
		return false;
	if (f->gate)
		return lower_gate(instance) == LOWER_NEEDS_ALL;
	return f->needs_all ? f->needs_all(instance->memory) : f->tick != NULL;
}

static enum lower_need lower_need(const struct plan_instance *instance)
{
	const struct function *f = instance->function;

	if (instance->retired)
		return LOWER_NEEDS_NOTHING;
	if (f->gate)
		return lower_gate(instance);
	if (f->filter || f->programs || instance->countable)
		return LOWER_NEEDS_COUNT;
	if (f->sampling)
		return LOWER_NEEDS_NUMBER;
	return plan_needs_all(instance) ? LOWER_NEEDS_ALL : LOWER_NEEDS_PACKETS;
}

static bool lower_flow_needs_all(const struct plan_flow *flow)
{
	/* Only where packets are seen it is known which of them come later. */
	if (flow->arrives)
		return true;
	for (unsigned int i = 0; i < flow->n_instances; i++)
		if (plan_needs_all(flow->instances[i]))
			return true;
	return false;
}

static bool lower_is_filter(const struct plan_instance *instance)
{
	return instance->function->filter || instance->function->programs;
}

/* The program of a filter. @rest: instead, of the packets of which only the function can tell.
 * @ret_owned: it, if it was made for the caller, or else NULL. Return: as lower_join(). */
static int lower_program(const struct plan_instance *instance, uint32_t linktype, bool rest,
	const struct filter_program **ret, struct filter_program **ret_owned)
{
	struct filter_program *passes = NULL, *unsure = NULL;
	int r;

	*ret_owned = NULL;
	if (instance->function->filter) {
		*ret = plan_program_of(instance, linktype);
		return *ret ? 0 : -ENOTSUP;
	}
	r = instance->function->programs(instance->memory, linktype, &passes, &unsure);
	if (r < 0)
		return r;
	filter_program_free(rest ? passes : unsure);
	*ret = *ret_owned = rest ? unsure : passes;
	return 0;
}

/* The programs of the flow's filters up to and without instance @end, as one. @rest: of the last
 * of them, the rest. Return: 0, -ENOTSUP, -E2BIG: they cannot be one, -ENOMEM. */
static int lower_join(const struct plan_flow *flow, unsigned int end, uint32_t linktype, bool rest,
	struct filter_program **ret)
{
	_cleanup_(cleanup_freep) const struct filter_program **programs =
		calloc(end + 1, sizeof(programs[0]));
	_cleanup_(cleanup_freep) struct filter_program **owned = calloc(end + 1, sizeof(owned[0]));
	unsigned int n = 0;
	int r = 0;

	if (!programs || !owned)
		return -ENOMEM;
	for (unsigned int i = 0; r == 0 && i < end; i++) {
		if (!lower_is_filter(flow->instances[i]))
			continue;
		r = lower_program(flow->instances[i], linktype, rest && i + 1 == end, &programs[n],
			&owned[n]);
		n += r == 0;
	}
	if (r == 0)
		r = filter_program_join(ret, programs, n);
	for (unsigned int i = 0; i < n; i++)
		filter_program_free(owned[i]);
	return r;
}

/* Whether a filter before instance @end goes by time. */
static bool lower_goes_by_time(const struct plan_flow *flow, unsigned int end)
{
	for (unsigned int i = 0; i < end; i++)
		if (flow->instances[i]->function->passes)
			return true;
	return false;
}

/* What the functions from @i on need of the kernel, so that the place @place goes on with them. */
static enum lower_need lower_most(const struct plan_place *place, unsigned int i)
{
	const struct plan_instance *instance = place->flow->instances[i];
	enum lower_need need = lower_need(instance);

	/* Which packets come by here depends on the moment, and so do their numbers. */
	if (instance->function->sampling && lower_goes_by_time(place->flow, i))
		return LOWER_NEEDS_PACKETS;
	/* Behind a sample, only chosen packets matter: they may as well be delivered. */
	if (place->sampling &&
		(lower_is_filter(instance) || need == LOWER_NEEDS_NUMBER || need == LOWER_IS_OPEN))
		return LOWER_NEEDS_PACKETS;
	return need;
}

/* A place of the flow from instance @first on. @program: taken, also on failure. Return: NULL: no
 * memory. */
static struct plan_place *lower_place(struct lower_list *list, struct plan_flow *flow,
	unsigned int first, struct filter_program *program)
{
	struct plan_place *place = lower_append(list, flow);
	const struct bpf_insn *insns;

	if (!place) {
		filter_program_free(program);
		return NULL;
	}
	place->first = place->end = first;
	place->program = program;
	list->n_insns += filter_program_insns(program, &insns);
	return place;
}

/* The place of the packets of which only instance @i, a filter, can tell. Return: as lower_join().
 */
static int lower_rest(struct lower_list *list, struct plan_flow *flow, unsigned int i)
{
	struct filter_program *program = NULL;
	struct plan_place *place;
	int r = lower_join(flow, i + 1, list->linktype, true, &program);

	if (r < 0)
		return r;
	place = lower_place(list, flow, i + 1, program);
	if (!place)
		return -ENOMEM;
	place->is_rest = place->deliver = true;
	return 0;
}

/* The place behind instance @i of the flow, which filters, samples or is an open gate; before it,
 * if there is one, that of its rest. Return: as lower_join(). */
static int lower_next(struct lower_list *list, struct plan_flow *flow, unsigned int i)
{
	struct plan_instance *instance = flow->instances[i];
	const struct function *f = instance->function;
	struct filter_program *program = NULL;
	struct plan_place *place;
	int r = lower_join(flow, i + 1, list->linktype, false, &program);

	if (r < 0)
		return r;
	if (f->programs)
		r = lower_rest(list, flow, i);
	if (r < 0) {
		filter_program_free(program);
		return r;
	}
	place = lower_place(list, flow, i + 1, program);
	if (!place)
		return -ENOMEM;
	place->deliver = f->programs && f->ring && f->ring(instance->memory);
	if (f->sampling)
		place->sampling = f->sampling(instance->memory, instance->state, &place->state);
	return 0;
}

/* The places of a flow. */
static int lower_flow(struct lower_list *list, struct plan_flow *flow)
{
	struct plan_place *place = lower_append(list, flow);
	unsigned int i;
	int r;

	if (!place)
		return -ENOMEM;
	r = filter_program_join(&place->program, NULL, 0);
	if (r < 0)
		return r;
	place->deliver = lower_flow_needs_all(flow);
	for (i = 0; !place->deliver && i < flow->n_instances; i++) {
		enum lower_need need = lower_most(place, i);

		if (list->n_insns > PLAN_PLACES_INSNS_MAX) {
			place->deliver = true;
			place->end = flow->n_instances;
			break;
		}

		place->end = i;
		if (need == LOWER_IS_CLOSED)
			return 0;
		place->deliver = need > LOWER_NEEDS_NUMBER;
		if (place->deliver ||
			!(lower_is_filter(flow->instances[i]) || need >= LOWER_IS_OPEN))
			continue;
		r = lower_next(list, flow, i);
		if (r == -ENOMEM)
			return r;
		place = &list->places[list->n - 1];
		place->deliver |= r < 0;
	}
	if (!place->deliver)
		place->end = i;
	return 0;
}

struct plan_place *plan_places_free(struct plan_place *places, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		filter_program_free(places[i].program);
	free(places);
	return NULL;
}

static unsigned int lower_cut(struct plan_place *places, unsigned int n, unsigned int i)
{
	unsigned int end;

	/* A filter that is not in the kernel has no rest there. */
	if (places[i - 1].is_rest)
		i--;
	end = i;
	while (end < n && places[end].first > 0)
		filter_program_free(places[end++].program);
	places[i - 1].deliver = true;
	memmove(&places[i], &places[end], (n - end) * sizeof(places[0]));
	return n - (end - i);
}

/* A packet that is delivered takes its number when it is met, later than packets that come after it
 * and are not. So the kernel samples only where no other flow has packets delivered: then those
 * that are were chosen, in their order. */
static unsigned int lower_samples(struct plan_place *places, unsigned int n)
{
	const struct plan_flow *flow = NULL; /* has packets delivered */
	bool several = false, again = true;

	for (unsigned int i = 0; i < n; i++) {
		/* What is delivered for a rest may have come by samples of its own flow. */
		several |=
			places[i].is_rest || (places[i].deliver && flow && places[i].flow != flow);
		flow = places[i].deliver ? places[i].flow : flow;
	}
	while (again) {
		again = false;
		for (unsigned int i = 1; i < n; i++) {
			const struct plan_flow *of = places[i].flow;

			if (!places[i].sampling || !(several || (flow && flow != of)))
				continue;
			n = lower_cut(places, n, i);
			several = true;
			again = true;
		}
	}
	return n;
}

unsigned int plan_places_cut(struct plan_place *places, unsigned int n, unsigned int i)
{
	return lower_samples(places, lower_cut(places, n, i));
}

int plan_lower(struct plan_flow *const flows[], unsigned int n_flows, uint32_t linktype,
	struct plan_place **ret, unsigned int *ret_n)
{
	struct lower_list list = { .linktype = linktype };
	struct plan_place *all = lower_append(&list, NULL);
	int r = all ? filter_program_join(&all->program, NULL, 0) : -ENOMEM;

	plan_mark_countable(flows, n_flows);
	for (unsigned int f = 0; r == 0 && f < n_flows; f++)
		if (!atomic_load_explicit(&flows[f]->failed, memory_order_relaxed))
			r = lower_flow(&list, flows[f]);
	if (r < 0) {
		plan_places_free(list.places, list.n);
		return r;
	}
	*ret = list.places;
	*ret_n = lower_samples(list.places, list.n);
	return 0;
}

int plan_places_insert(struct plan_place **places, unsigned int *n, struct filter_program *program)
{
	struct plan_place *grown = realloc(*places, (*n + 1) * sizeof(grown[0]));

	if (!grown) {
		filter_program_free(program);
		return -ENOMEM;
	}
	memmove(&grown[2], &grown[1], (*n - 1) * sizeof(grown[0]));
	grown[1] = (struct plan_place){ .program = program };
	*places = grown;
	*n += 1;
	return 0;
}

bool plan_flow_turn_gates(struct plan_flow *flow, uint64_t until_ns)
{
	bool changed = false;

	for (unsigned int i = 0; i < flow->n_instances; i++) {
		struct plan_instance *instance = flow->instances[i];
		const struct function *f = instance->function;

		if (f->gate) {
			int gate = (int)f->gate(instance->memory, instance->state, until_ns);

			changed |= atomic_exchange_explicit(
					   &instance->gate, gate, memory_order_relaxed) != gate;
		}
	}
	return changed;
}

bool plan_flow_only_counts(const struct plan_flow *flow)
{
	for (unsigned int i = 0; i < flow->n_instances; i++) {
		const struct plan_instance *instance = flow->instances[i];
		const struct function *f = instance->function;

		if (instance->retired || f->tick || f->gate ||
			!(f->filter || (f->add && !instance->referred)))
			return false;
	}
	return flow->n_instances > 0;
}

bool plan_flow_is_counted(const struct plan_flow *flow)
{
	for (unsigned int i = 0; i < flow->n_instances; i++) {
		const struct plan_instance *instance = flow->instances[i];

		if (!instance->retired && instance->referred && !instance->countable)
			return false;
	}
	return true;
}

bool plan_flow_is_referred(const struct plan_flow *flow)
{
	bool is_referred = false;

	for (unsigned int i = 0; i < flow->n_instances; i++)
		is_referred |= flow->instances[i]->referred;
	return is_referred;
}

/* ---- and back ---- */

/* Whether a filter before instance @end, which goes by time, passes nothing now. */
static bool lower_is_held_back(const struct plan_flow *flow, unsigned int end)
{
	for (unsigned int i = 0; i < end; i++) {
		const struct plan_instance *instance = flow->instances[i];
		const struct function *f = instance->function;

		if (f->passes && !f->passes(instance->memory, instance->state))
			return true;
	}
	return false;
}

void plan_place_add(const struct plan_place *place, const struct function_count *count)
{
	struct plan_flow *flow = place->flow;

	if (!flow || count->units == 0 ||
		atomic_load_explicit(&flow->failed, memory_order_relaxed) ||
		lower_is_held_back(flow, place->first))
		return;
	if (place->first == 0) {
		flow->pkts += count->units;
	} else {
		struct plan_instance *before = flow->instances[place->first - 1];

		before->passed_pkts += count->units;
		if (before->function->gate)
			before->function->add(before->memory, before->state, count);
	}
	for (unsigned int i = place->first; i < place->end; i++) {
		struct plan_instance *instance = flow->instances[i];
		const struct function *f = instance->function;

		if (f->passes && !f->passes(instance->memory, instance->state))
			return;
		if (f->passes)
			instance->passed_pkts += count->units;
		if (!instance->retired && f->add)
			f->add(instance->memory, instance->state, count);
	}
}
