/* SPDX-License-Identifier: BSD-2-Clause */
/* What the flows of one plan want of the kernel, and the program that does it: see lowering.h. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "lowering_private.h"
#include "mapi/errors.h"

#define LOWERING_SMALL_INSNS 1024u /* classic BPF of all places: some 20 ms of work */
#define LOWERING_INSNS_MAX 65536u

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

int lowering_set_load(struct lowering *l, struct lowering_set *set, struct kernel_program **ret,
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

void lowering_set_add(struct lowering *l, struct lowering_set *set)
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
