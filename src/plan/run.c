/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running a plan on batches: one struct plan_run per worker.
 *
 * Per batch: the transforms make the child domains' views; one filter set and one search set per
 * domain decide all pure filters at once; then the nodes run in the order of order.c on selections.
 * A selection is written once per batch (node->out) and read many times (node->in), so nodes of one
 * flow may run out of application order where nothing forbids it.
 *
 * A direct run sees all packets in order and works on the committed states. Otherwise early nodes
 * work on states of their own (deltas), which plan_run_commit() merges when the chunk's turn has
 * come; late nodes run in that turn, on batches and verdicts kept meanwhile.
 *
 * Values that others refer to stand in two columns: after[i], the value after packet i, and
 * before[i], the value before packet i, for those that stand earlier in (fd, fid) order.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "run_private.h"

static void *run_alloc(size_t bytes)
{
	size_t size =
		(MAX(bytes, (size_t)1) + RUN_ALIGN_BYTES - 1) / RUN_ALIGN_BYTES * RUN_ALIGN_BYTES;
	void *p = aligned_alloc(RUN_ALIGN_BYTES, size);

	if (p)
		memset(p, 0, size);
	return p;
}

void run_init_state(const struct plan_instance *instance, void *state)
{
	memset(state, 0, instance->function->state_bytes);
	if (instance->function->init)
		instance->function->init(instance->memory, state);
}

/* ---- columns and references ---- */

static void run_link_refs(struct plan_run *run, struct run_node *node)
{
	const struct plan_instance *instance = node->node->instance;

	for (unsigned int i = 0; i < instance->n_refs; i++) {
		const struct plan_instance *source = instance->refs[i];
		const struct run_columns *columns;
		bool earlier = source->flow->id < instance->flow->id ||
			(source->flow == instance->flow && source->fid < instance->fid);

		node->sources[i] = (struct run_source){ .instance = source,
			.node = &run->nodes[node->node->sources[i]] };
		columns = node->sources[i].node->columns;
		if (columns)
			node->refs[i].value = earlier ? columns->after : columns->before;
	}
}

/* ---- making and freeing ---- */

static int run_init_domain(struct plan_run *run, unsigned int d)
{
	const struct plan_domain *domain = &run->plan->domains[d];
	struct run_domain *rd = &run->domains[d];

	if (domain->transform) {
		rd->child = run_alloc(sizeof(*rd->child));
		rd->memory = run_alloc(domain->transform->function->memory_bytes);
		if (!rd->child || !rd->memory)
			return -ENOMEM;
	}
	if (domain->early_decode || domain->late_decode) {
		rd->decode = run_alloc(sizeof(*rd->decode));
		if (!rd->decode)
			return -ENOMEM;
	}
	rd->search_scratch = calloc(MAX(domain->n_search_sets, 1u), sizeof(rd->search_scratch[0]));
	rd->searched = run_alloc(domain->n_search_sets * sizeof(rd->searched[0]));
	if (!rd->search_scratch || !rd->searched)
		return -ENOMEM;
	for (unsigned int i = 0; i < domain->n_search_sets; i++)
		if (search_scratch_new(&rd->search_scratch[i], domain->search_sets[i].set) < 0)
			return -ENOMEM;
	return 0;
}

static int run_init_node(struct plan_run *run, unsigned int n)
{
	const struct plan_node *node = &run->plan->nodes[n];
	const struct function *f = node->instance->function;
	struct run_node *rn = &run->nodes[n];

	*rn = (struct run_node){ .node = node };
	if (node->instance->n_refs) {
		rn->sources = calloc(node->instance->n_refs, sizeof(rn->sources[0]));
		rn->refs = calloc(node->instance->n_refs, sizeof(rn->refs[0]));
		if (!rn->sources || !rn->refs)
			return -ENOMEM;
	}
	rn->call = (struct function_call){ .error = &node->instance->error,
		.refs = rn->refs,
		.reset_ref = run_reset_ref,
		.read_ref = run_read_ref,
		.plan = rn,
		.decode = f->wants_decode ? run->domains[node->domain].decode : NULL };
	if (node->has_column) {
		rn->columns = run_alloc(sizeof(*rn->columns));
		if (!rn->columns)
			return -ENOMEM;
		rn->call.column = rn->columns->after;
	}
	if (!run->direct && !node->late && node->kind == PLAN_NODE_PROCESS && f->state_bytes) {
		rn->delta = run_alloc(f->state_bytes);
		if (!rn->delta)
			return -ENOMEM;
		run_init_state(node->instance, rn->delta);
	}
	return 0;
}

/* Early nodes, and late nodes with the pure filters of their flows. */
static int run_init_lists(struct plan_run *run)
{
	const struct plan *plan = run->plan;
	_cleanup_(cleanup_freep) bool *late_flow = calloc(MAX(plan->n_flows, 1u), sizeof(bool));

	run->early = calloc(MAX(plan->n_nodes, 1u), sizeof(run->early[0]));
	run->late = calloc(MAX(plan->n_nodes, 1u), sizeof(run->late[0]));
	if (!late_flow || !run->early || !run->late)
		return -ENOMEM;
	for (unsigned int n = 0; n < plan->n_nodes; n++)
		late_flow[plan->nodes[n].flow] |= plan->nodes[n].late;
	for (unsigned int n = 0; n < plan->n_nodes; n++) {
		const struct plan_node *node = &plan->nodes[n];
		bool pure = node->kind != PLAN_NODE_PROCESS;

		if (!node->late || run->direct)
			run->early[run->n_early++] = n;
		if (node->late || (pure && late_flow[node->flow]))
			run->late[run->n_late++] = n;
	}
	return 0;
}

int plan_run_new(struct plan_run **ret, struct plan *plan, bool direct)
{
	_cleanup_(plan_run_freep) struct plan_run *run = calloc(1, sizeof(*run));
	int r = 0;

	if (!run)
		return -ENOMEM;
	run->plan = plan;
	run->direct = direct;
	run->domains = calloc(plan->n_domains, sizeof(run->domains[0]));
	run->nodes = calloc(MAX(plan->n_nodes, 1u), sizeof(run->nodes[0]));
	run->selections = run_alloc(plan->n_selections * sizeof(run->selections[0]));
	run->counts = run_counts_new(plan, direct);
	run->masks = run_alloc(plan->n_masks * sizeof(run->masks[0]));
	run->kept_batch = run_alloc(sizeof(*run->kept_batch));
	if (!run->domains || !run->nodes || !run->selections || !run->counts || !run->masks ||
		!run->kept_batch)
		return -ENOMEM;
	for (unsigned int d = 0; d < plan->n_domains && r == 0; d++)
		r = run_init_domain(run, d);
	for (unsigned int n = 0; n < plan->n_nodes && r == 0; n++)
		r = run_init_node(run, n);
	for (unsigned int n = 0; n < plan->n_nodes && r == 0; n++)
		run_link_refs(run, &run->nodes[n]);
	if (r == 0)
		r = run_init_lists(run);
	if (r < 0)
		return r;
	*ret = TAKE(run);
	return 0;
}

struct plan_run *plan_run_free(struct plan_run *run)
{
	if (!run)
		return NULL;
	for (unsigned int d = 0; run->domains && d < run->plan->n_domains; d++) {
		struct run_domain *rd = &run->domains[d];

		free(rd->child);
		free(rd->memory);
		free(rd->decode);
		free(rd->filter_scratch);
		for (unsigned int i = 0;
			rd->search_scratch && i < run->plan->domains[d].n_search_sets; i++)
			search_scratch_free(rd->search_scratch[i]);
		free(rd->search_scratch);
		free(rd->searched);
	}
	for (unsigned int n = 0; run->nodes && n < run->plan->n_nodes; n++) {
		free(run->nodes[n].columns);
		free(run->nodes[n].delta);
		free(run->nodes[n].sources);
		free(run->nodes[n].refs);
	}
	free(run->domains);
	free(run->nodes);
	free(run->early);
	free(run->late);
	free(run->selections);
	free(run->counts);
	free(run->masks);
	free(run->kept_batch);
	free(run->kept);
	free(run);
	return NULL;
}

/* ---- views and verdicts ---- */

/* Once per link type: other filter sets, other scratch memory. */
static int run_adopt_link(struct plan_run *run, uint32_t linktype)
{
	const struct plan_link *link = plan_link_get(run->plan, linktype);

	if (!link)
		return -ENOMEM;
	for (unsigned int d = 0; d < run->plan->n_domains; d++) {
		struct run_domain *rd = &run->domains[d];

		free(rd->filter_scratch);
		rd->filter_scratch = NULL;
		if (!link->sets[d])
			continue;
		rd->filter_scratch = run_alloc(filter_set_scratch_bytes(link->sets[d]));
		if (!rd->filter_scratch) {
			run->link = NULL;
			return -ENOMEM;
		}
	}
	run->link = link;
	return 0;
}

/* The views of all domains; a child comes after its parent. */
static void run_view(struct plan_run *run, const struct packet_batch *batch, bool late)
{
	run->domains[0].view = batch;
	for (unsigned int d = 0; d < run->plan->n_domains; d++) {
		const struct plan_domain *domain = &run->plan->domains[d];
		struct run_domain *rd = &run->domains[d];

		if (domain->transform) {
			struct function_call call = { .batch = run->domains[domain->parent].view,
				.n = batch->n };
			uint64_t begin_ns = run_clock_ns(run);

			domain->transform->function->transform(
				&call, domain->transform->memory, rd->memory, rd->child);
			rd->view = rd->child;
			run_cost_kind(run, d, PLAN_NODE_TRANSFORM, begin_ns);
		}
		if (late ? domain->late_decode : domain->early_decode)
			decode_batch(rd->view, rd->decode);
		else if (run->direct && domain->late_decode)
			decode_batch(rd->view, rd->decode);
	}
}

/* Which packets the flows want searched by which set: by the pure filters before the search. */
static void run_wanted(struct run_domain *rd, const struct plan_domain *domain,
	const struct packet_mask *filter_masks)
{
	struct packet_mask all = packet_mask_first(rd->view->n);

	memset(rd->searched, 0, domain->n_search_sets * sizeof(rd->searched[0]));
	for (unsigned int n = 0; n < domain->n_searches; n++) {
		const struct plan_search *search = &domain->searches[n];
		struct packet_mask *searched = &rd->searched[search->set];
		struct packet_mask passed = all;

		for (unsigned int i = 0; i < search->n_filters; i++)
			passed = packet_mask_and(passed, filter_masks[search->filters[i]]);
		*searched = packet_mask_or(*searched, passed);
	}
}

static void run_verdicts(struct plan_run *run)
{
	for (unsigned int d = 0; d < run->plan->n_domains; d++) {
		const struct plan_domain *domain = &run->plan->domains[d];
		struct run_domain *rd = &run->domains[d];
		struct packet_mask *masks = run->masks + domain->first_mask;
		uint64_t begin_ns = run_clock_ns(run);

		if (domain->n_filters) {
			filter_set_run(run->link->sets[d], rd->filter_scratch, rd->view, masks);
			run_cost_kind(run, d, PLAN_NODE_FILTER, begin_ns);
		}
		if (!domain->n_searches)
			continue;
		begin_ns = run_clock_ns(run);
		run_wanted(rd, domain, masks);
		for (unsigned int s = 0; s < domain->n_search_sets; s++) {
			const struct plan_search_set *set = &domain->search_sets[s];

			search_set_run(set->set, rd->search_scratch[s], rd->view, &rd->searched[s],
				masks + domain->n_filters + set->first);
		}
		run_cost_kind(run, d, PLAN_NODE_SEARCH, begin_ns);
	}
}

/* ---- nodes ---- */

void run_fail(struct plan_flow *flow)
{
	atomic_store_explicit(
		&flow->failed, true, memory_order_relaxed); /* read by this worker next,
							     * by others in their turn */
}

uint64_t run_value(const struct plan_instance *instance)
{
	const struct function *f = instance->function;
	uint64_t value = 0; /* little-endian, or as long as the result */

	if (f->read)
		f->read(instance->memory, instance->state, &value);
	else
		memcpy(&value, instance->state, f->desc.result_bytes);
	return value;
}

/* The function of a PROCESS node, on the packets [first, first + n). */
static void run_process(
	struct plan_run *run, struct run_node *rn, unsigned int first, unsigned int n)
{
	struct plan_instance *instance = rn->node->instance;
	const struct function *f = instance->function;
	struct packet_mask *out = &run->selections[rn->node->out];

	if (!rn->columns && !f->follows_time && packet_mask_empty(out))
		return;
	rn->call.first = first;
	rn->call.n = n;
	rn->dirty = true;
	f->process(&rn->call, instance->memory, rn->delta ? rn->delta : instance->state, out);
	if (__builtin_expect(instance->error.code != 0, 0))
		run_fail(instance->flow);
}

/* The same on a whole batch: time passes before packets for which the function has waited. */
static void run_process_batch(struct plan_run *run, const unsigned int *entry)
{
	struct run_node *rn = &run->nodes[*entry];
	const uint64_t *ts_ns = rn->call.batch->ts_ns;
	unsigned int n = rn->call.batch->n, first = 0, end;

	if (!rn->node->instance->function->tick) {
		run_process(run, rn, 0, n);
		return;
	}
	for (; first < n; first = end) {
		run_pass_time(run, entry, 1, first, ts_ns[first], true);
		for (end = first + 1; end < n && !run_is_due(rn, ts_ns[end]); end++)
			;
		run_process(run, rn, first, end - first);
	}
}

static void run_node_batch(struct plan_run *run, const unsigned int *entry)
{
	struct run_node *rn = &run->nodes[*entry];
	const struct plan_node *node = rn->node;
	const struct run_domain *rd = &run->domains[node->domain];
	const struct plan_domain *domain = &run->plan->domains[node->domain];
	const struct packet_mask *masks = run->masks + domain->first_mask;
	const struct packet_mask none = { .word = { 0 } };
	unsigned int n = rd->view->n;

	switch (node->kind) {
	case PLAN_NODE_FILTER:
		run->selections[node->out] =
			packet_mask_and(run->selections[node->in], masks[node->index]);
		return;
	case PLAN_NODE_SEARCH:
		run->selections[node->out] = packet_mask_and(run->selections[node->in],
			masks[domain->n_filters + domain->searches[node->index].slot]);
		return;
	case PLAN_NODE_GATE:
		run->selections[node->out] = node->index ? run->selections[node->in] : none;
		return;
	case PLAN_NODE_TRANSFORM:
		return;
	case PLAN_NODE_PROCESS:
		break;
	case _PLAN_NODE_N:
		__builtin_unreachable();
	}
	rn->call.batch = rd->view;
	if (plan_node_filters(node))
		run->selections[node->out] = run->selections[node->in];
	if (rn->columns)
		rn->columns->before[0] = run_value(node->instance);
	run_process_batch(run, entry);
	if (!rn->columns)
		return;
	if (node->delayed)
		memcpy(rn->columns->before + 1, rn->columns->after, (n - 1) * sizeof(uint64_t));
}

/* What enters a filter, of one packet. @verdict: what a pure filter says; true: not decided yet. */
static void run_decide(
	struct plan_run *run, const struct plan_node *node, unsigned int i, bool verdict)
{
	if (packet_mask_test(&run->selections[node->in], i) && verdict)
		packet_mask_set(&run->selections[node->out], i);
	else
		packet_mask_clear(&run->selections[node->out], i);
}

/* One packet through one member of a group. */
static void run_node_packet(struct plan_run *run, struct run_node *rn, unsigned int i)
{
	const struct plan_node *node = rn->node;
	const struct plan_domain *domain = &run->plan->domains[node->domain];
	const struct packet_mask *verdict = run->masks + domain->first_mask;

	switch (node->kind) {
	case PLAN_NODE_SEARCH:
		run_decide(run, node, i,
			packet_mask_test(
				&verdict[domain->n_filters + domain->searches[node->index].slot],
				i));
		return;
	case PLAN_NODE_FILTER:
		run_decide(run, node, i, packet_mask_test(&verdict[node->index], i));
		return;
	case PLAN_NODE_GATE:
		run_decide(run, node, i, node->index);
		return;
	case PLAN_NODE_TRANSFORM:
		return;
	case PLAN_NODE_PROCESS:
		if (plan_node_filters(node))
			run_decide(run, node, i, true);
		run_process(run, rn, i, 1);
		if (rn->columns)
			rn->columns->before[i + 1] = rn->columns->after[i];
		return;
	case _PLAN_NODE_N:
		__builtin_unreachable();
	}
}

/* A group of nodes that depend on each other in a circle: packet by packet. */
static void run_group(struct plan_run *run, const unsigned int *list, unsigned int n_members)
{
	unsigned int n_pkts = run->domains[0].view->n;

	for (unsigned int m = 0; m < n_members; m++) {
		struct run_node *rn = &run->nodes[list[m]];

		rn->call.batch = run->domains[rn->node->domain].view;
		if (plan_node_filters(rn->node))
			run->selections[rn->node->out] = (struct packet_mask){ .word = { 0 } };
		if (rn->columns)
			rn->columns->before[0] = run_value(rn->node->instance);
	}
	for (unsigned int i = 0; i < n_pkts; i++) {
		run_pass_time(run, list, n_members, i, run->domains[0].view->ts_ns[i], true);
		for (unsigned int m = 0; m < n_members; m++)
			run_node_packet(run, &run->nodes[list[m]], i);
		for (unsigned int m = 0; m < n_members; m++)
			run_reset_after(&run->nodes[list[m]], i);
	}
}

/* The packets that enter the flow. */
static struct packet_mask run_enter(const struct plan_flow *flow, const struct packet_batch *batch)
{
	uint64_t from_ns = atomic_load_explicit(&flow->from_ns, memory_order_relaxed);
	struct packet_mask ret = { .word = { 0 } };

	if (atomic_load_explicit(&flow->failed, memory_order_relaxed))
		return ret;
	ret = packet_mask_first(batch->n);
	for (unsigned int i = 0; from_ns > 0 && i < batch->n; i++)
		if (batch->ts_ns[i] < from_ns)
			packet_mask_clear(&ret, i);
	return ret;
}

static void run_nodes(struct plan_run *run, const unsigned int *list, unsigned int n_list)
{
	unsigned int i = 0;

	for (unsigned int f = 0; f < run->plan->n_flows; f++)
		run->selections[f] = run_enter(run->plan->flows[f], run->domains[0].view);
	while (i < n_list) {
		unsigned int group = run->nodes[list[i]].node->group;
		unsigned int n = 1;
		uint64_t begin_ns = run_clock_ns(run);

		if (group == 0) {
			run_node_batch(run, &list[i]);
		} else {
			while (i + n < n_list && run->nodes[list[i + n]].node->group == group)
				n++;
			run_group(run, list + i, n);
		}
		run_cost_list(run, list + i, n, begin_ns);
		i += n;
	}
}

int plan_run_direct(struct plan_run *run, const struct packet_batch *batch)
{
	if (!run->link || run->link->linktype != batch->linktype) {
		int r = run_adopt_link(run, batch->linktype);

		if (r < 0)
			return r;
	}
	run_cost_begin(run, false);
	run_view(run, batch, false);
	run_verdicts(run);
	run_nodes(run, run->early, run->n_early);
	run_count(run, false);
	return 0;
}

int plan_run_early(struct plan_run *run, const struct packet_batch *batch)
{
	int r = plan_run_direct(run, batch);

	return r < 0 || !run->plan->has_late ? r : run_keep(run, batch);
}

void plan_run_abandon(struct plan_run *run)
{
	for (unsigned int n = 0; n < run->plan->n_nodes; n++) {
		struct run_node *rn = &run->nodes[n];

		if (rn->delta && rn->dirty)
			run_init_state(rn->node->instance, rn->delta);
		rn->dirty = false;
	}
	run_count_abandon(run);
	run->kept_bytes = 0;
}

void plan_run_commit(struct plan_run *run, uint64_t first_no)
{
	for (unsigned int n = 0; n < run->plan->n_nodes; n++) {
		struct run_node *rn = &run->nodes[n];
		struct plan_instance *instance = rn->node->instance;

		if (rn->delta && rn->dirty) {
			instance->function->merge(instance->memory, instance->state, rn->delta);
			run_init_state(instance, rn->delta);
		}
		rn->dirty = false;
	}
	run_count_commit(run);
	for (size_t offset = 0; offset < run->kept_bytes;) {
		offset += run_restore(run, offset);
		run->kept_batch->first_no = first_no;
		first_no += run->kept_batch->n;
		run_cost_begin(run, true);
		run_view(run, run->kept_batch, true);
		run_nodes(run, run->late, run->n_late);
		run_count(run, true);
	}
	run->kept_bytes = 0;
}

void plan_run_finish(struct plan_run *run)
{
	static const struct packet_batch nothing;

	for (unsigned int n = 0; n < run->plan->n_nodes; n++) {
		struct run_node *rn = &run->nodes[n];
		struct plan_instance *instance = rn->node->instance;

		if (!instance->function->finish)
			continue;
		rn->call.batch = &nothing;
		rn->call.first = rn->call.n = 0;
		instance->function->finish(&rn->call, instance->memory, instance->state);
		if (instance->error.code)
			run_fail(instance->flow);
	}
}
