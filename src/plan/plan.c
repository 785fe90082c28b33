/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a plan is made of: flows, instances, nodes and domains. The order of execution is decided in
 * order.c, running is in run.c.
 *
 * Pure filters of a domain are collected into one filter set per link type and one search set, so
 * that all flows share the work (semantics O3). A transform opens a child domain; flows whose
 * transforms follow from the same domain with the same arguments share the child.
 */
#include "plan.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "mapi/errors.h"
#include "plan_private.h"

/* Programs are compiled when a worker meets a link type for the first time. An instance may stand
 * in an old and a new plan at once, so the lock is not the plan's. */
static pthread_mutex_t plan_compile_lock = PTHREAD_MUTEX_INITIALIZER;

int plan_flow_new(struct plan_flow **ret, unsigned int id)
{
	struct plan_flow *flow = calloc(1, sizeof(*flow));

	if (!flow)
		return -ENOMEM;
	flow->id = id;
	*ret = flow;
	return 0;
}

static struct plan_program *plan_program_free(struct plan_program *programs)
{
	while (programs) {
		struct plan_program *next = programs->next;

		filter_program_free(programs->program);
		free(programs);
		programs = next;
	}
	return NULL;
}

static void plan_instance_free(struct plan_instance *instance)
{
	plan_program_free(instance->programs);
	free(instance->memory);
	free(instance->state);
	free(instance->refs);
	free(instance->waits);
	free(instance);
}
DEFINE_CLEANUP(struct plan_instance *, plan_instance_free);

static void plan_instance_complete(struct plan_instance *instance, struct error *err)
{
	if (!instance->completed && instance->function->complete)
		(void)instance->function->complete(instance->memory, err); /* the first one wins */
	instance->completed = true;
}

static bool plan_instance_is_busy(const struct plan_instance *instance)
{
	return !instance->closed && instance->function->busy &&
		instance->function->busy(instance->memory);
}

static void plan_instance_close(struct plan_instance *instance)
{
	if (instance->closed)
		return;
	plan_instance_complete(instance, NULL);
	instance->closed = true;
	if (instance->function->close)
		instance->function->close(instance->memory);
}

void plan_flow_complete(struct plan_flow *flow, struct error *err)
{
	for (unsigned int i = 0; i < flow->n_instances; i++)
		plan_instance_complete(flow->instances[i], err);
}

bool plan_flow_is_busy(const struct plan_flow *flow)
{
	bool busy = false;

	for (unsigned int i = 0; i < flow->n_instances; i++)
		busy |= plan_instance_is_busy(flow->instances[i]);
	return busy;
}

bool plan_flow_is_draining(const struct plan_flow *flow)
{
	for (unsigned int i = 0; i < flow->n_instances; i++) {
		const struct plan_instance *instance = flow->instances[i];

		if (!instance->completed && instance->function->draining &&
			instance->function->draining(instance->memory))
			return true;
	}
	return false;
}

void plan_flow_retire(struct plan_flow *flow)
{
	for (unsigned int i = 0; i < flow->n_instances; i++) {
		struct plan_instance *instance = flow->instances[i];
		unsigned int flags = instance->function->desc.flags;

		if (!instance->referred &&
			!(flags & (MAPI_FUNCTION_FILTERS | MAPI_FUNCTION_TRANSFORMS)))
			instance->retired = true;
	}
}

void plan_flow_close_retired(struct plan_flow *flow, struct error *err)
{
	for (unsigned int i = 0; i < flow->n_instances; i++) {
		struct plan_instance *instance = flow->instances[i];

		if (!instance->retired)
			continue;
		plan_instance_complete(instance, err);
		if (!plan_instance_is_busy(instance))
			plan_instance_close(instance);
	}
}

struct plan_flow *plan_flow_free(struct plan_flow *flow)
{
	if (!flow)
		return NULL;
	for (unsigned int i = 0; i < flow->n_instances; i++)
		plan_instance_close(flow->instances[i]);
	for (unsigned int i = flow->n_instances; i-- > 0;)
		plan_instance_free(flow->instances[i]);
	free(flow->instances);
	free(flow);
	return NULL;
}

static int plan_compile(const struct plan_instance *instance, uint32_t linktype, bool may_wait,
	struct filter_program **ret, struct error *err)
{
	const struct plan_compiler *compiler = &instance->compiler;
	const char *expression = instance->function->filter(instance->memory);

	if (!compiler->compile)
		return filter_compile(ret, expression, linktype, err);
	return compiler->compile(compiler->context, expression, linktype, may_wait, ret, err);
}

/* Compile an instance's expression for a link type, or find it compiled. A program that is not
 * valid for @linktype, or could not be had, is remembered as NULL: it matches nothing there. */
static int plan_program_get(struct plan_instance *instance, uint32_t linktype, bool may_wait,
	const struct filter_program **ret, struct error *err)
{
	struct plan_program *p;
	int r;

	for (p = instance->programs; p; p = p->next) {
		if (p->linktype == linktype) {
			*ret = p->program;
			return 0;
		}
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->linktype = linktype;
	r = plan_compile(instance, linktype, may_wait, &p->program, err);
	if (r == -ENOMEM || r == PLAN_E_AGAIN) {
		free(p);
		return r;
	}
	p->next = instance->programs;
	instance->programs = p;
	*ret = p->program;
	return r;
}

/* What the arguments name. Return: 0, -ENOMEM. */
static int plan_instance_refer(struct plan_instance *instance, const struct plan_refs *refs)
{
	instance->refs = calloc(MAX(refs->n, 1u), sizeof(struct plan_instance *));
	instance->waits = calloc(MAX(refs->n_flows, 1u), sizeof(instance->waits[0]));
	if (!instance->refs || !instance->waits)
		return -ENOMEM;
	instance->n_refs = refs->n;
	for (unsigned int i = 0; i < refs->n; i++)
		instance->refs[i] = refs->instances[i];
	instance->n_waits = refs->n_flows;
	for (unsigned int i = 0; i < refs->n_flows; i++)
		instance->waits[i].flow = refs->flows[i];
	return 0;
}

int plan_flow_apply(struct plan_flow *flow, const struct function *function,
	const struct function_value *args, const struct plan_refs *refs,
	const struct plan_device *device, struct plan_instance **ret, struct error *err)
{
	_cleanup_(plan_instance_freep) struct plan_instance *instance =
		calloc(1, sizeof(*instance));
	static const struct plan_refs none;
	const struct function *functions[FUNCTION_REFS_MAX];
	struct plan_instance **instances;
	struct function_open open;
	int r;

	if (!instance)
		return -ENOMEM;
	instances = realloc(flow->instances, (flow->n_instances + 1) * sizeof(instances[0]));
	if (!instances)
		return -ENOMEM;
	flow->instances = instances;
	instance->function = function;
	instance->flow = flow;
	instance->compiler = device->compiler;
	instance->fid = flow->n_instances + 1;
	instance->memory = calloc(1, MAX(function->instance_bytes, (size_t)1));
	/* States are copied into result structs, which may hold long doubles. */
	instance->state = aligned_alloc(64, (MAX(function->state_bytes, (size_t)1) + 63) / 64 * 64);
	if (!instance->memory || !instance->state)
		return -ENOMEM;
	r = plan_instance_refer(instance, refs ? refs : &none);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < instance->n_refs; i++)
		functions[i] = instance->refs[i]->function;
	open = (struct function_open){ .args = args,
		.n_args = function->desc.n_args,
		.instance = instance->memory,
		.device = device->name,
		.lossless = device->lossless,
		.seed = device->seed ^ ((uint64_t)flow->id << 32 | instance->fid),
		.refs = functions,
		.n_refs = instance->n_refs };
	r = function->open ? function->open(&open, err) : 0;
	if (r < 0)
		return r;
	if (function->filter) {
		const struct filter_program *program;

		r = plan_program_get(instance, device->linktype, false, &program, err);
		if (r != 0) {
			if (function->close)
				function->close(instance->memory);
			return r;
		}
	}
	memset(instance->state, 0, function->state_bytes);
	if (function->init)
		function->init(instance->memory, instance->state);
	for (unsigned int i = 0; i < instance->n_refs; i++)
		instance->refs[i]->referred = true;
	flow->instances[flow->n_instances++] = instance;
	*ret = TAKE(instance);
	return 0;
}

/* Does the gate open with the plan? That is when all whom it waits for are in it or have been
 * connected elsewhere. */
static bool plan_gate_is_open(const struct plan *plan, const struct plan_instance *gate)
{
	for (unsigned int i = 0; i < gate->n_waits; i++) {
		bool found = gate->waits[i].connected;

		for (unsigned int f = 0; f < plan->n_flows && !found; f++)
			found = plan->flows[f]->id == gate->waits[i].flow;
		if (!found)
			return false;
	}
	return true;
}

static void plan_open_gates(struct plan *plan)
{
	for (unsigned int n = 0; n < plan->n_nodes; n++) {
		struct plan_node *node = &plan->nodes[n];

		if (node->kind == PLAN_NODE_GATE)
			node->index = plan_gate_is_open(plan, node->instance);
	}
}

bool plan_flow_note_connected(struct plan_flow *flow, unsigned int id)
{
	bool opens = false;

	for (unsigned int i = 0; i < flow->n_instances; i++) {
		struct plan_instance *instance = flow->instances[i];
		bool noted = false, open = true;

		for (unsigned int w = 0; w < instance->n_waits; w++) {
			struct plan_wait *wait = &instance->waits[w];

			if (wait->flow == id && !wait->connected)
				noted = wait->connected = true;
			open &= wait->connected;
		}
		opens |= noted && open;
	}
	return opens;
}

/* The child of @parent that @transform opens: an existing one if it would hold the same packets. */
static int plan_domain_open(
	struct plan *plan, unsigned int parent, struct plan_instance *transform, unsigned int *ret)
{
	struct plan_domain *domains;

	for (unsigned int d = 0; d < plan->n_domains; d++) {
		struct plan_instance *other = plan->domains[d].transform;

		if (transform && other && plan->domains[d].parent == parent &&
			other->function == transform->function &&
			memcmp(other->memory, transform->memory,
				transform->function->instance_bytes) == 0) {
			*ret = d;
			return 0;
		}
	}
	domains = realloc(plan->domains, (plan->n_domains + 1) * sizeof(domains[0]));
	if (!domains)
		return -ENOMEM;
	plan->domains = domains;
	domains[plan->n_domains] = (struct plan_domain){ .parent = parent, .transform = transform };
	*ret = plan->n_domains++;
	return 0;
}

static int plan_domain_add_filter(
	struct plan_domain *domain, struct plan_instance *instance, unsigned int *ret)
{
	/* Grown in powers of two. */
	if ((domain->n_filters & (domain->n_filters - 1)) == 0) {
		size_t n = domain->n_filters ? 2 * (size_t)domain->n_filters : 1;
		struct plan_instance **grown = realloc(domain->filters, n * sizeof(grown[0]));

		if (!grown)
			return -ENOMEM;
		domain->filters = grown;
	}
	domain->filters[domain->n_filters] = instance;
	*ret = domain->n_filters++;
	return 0;
}

static int plan_domain_add_search(struct plan_domain *domain, struct plan_instance *instance,
	const unsigned int *filters, unsigned int n_filters, unsigned int *ret)
{
	unsigned int *copy = NULL;

	if ((domain->n_searches & (domain->n_searches - 1)) == 0) {
		size_t n = domain->n_searches ? 2 * (size_t)domain->n_searches : 1;
		struct plan_search *grown = realloc(domain->searches, n * sizeof(grown[0]));

		if (!grown)
			return -ENOMEM;
		domain->searches = grown;
	}
	if (n_filters) {
		copy = malloc(n_filters * sizeof(copy[0]));
		if (!copy)
			return -ENOMEM;
		memcpy(copy, filters, n_filters * sizeof(copy[0]));
	}
	domain->searches[domain->n_searches] = (struct plan_search){
		.instance = instance, .filters = copy, .n_filters = n_filters
	};
	*ret = domain->n_searches++;
	return 0;
}

/* One flow's instances become nodes, in application order. */
static int plan_add_flow(struct plan *plan, unsigned int flow_index)
{
	struct plan_flow *flow = plan->flows[flow_index];
	_cleanup_(cleanup_freep) unsigned int *filters = NULL;
	unsigned int domain = 0, n_filters = 0, selection = flow_index;
	int r = 0;

	filters = malloc(MAX(flow->n_instances, 1u) * sizeof(filters[0]));
	if (!filters)
		return -ENOMEM;
	for (unsigned int i = 0; i < flow->n_instances; i++) {
		struct plan_instance *instance = flow->instances[i];
		const struct function *f = instance->function;
		struct plan_node *node = &plan->nodes[plan->n_nodes];

		if (instance->retired)
			continue;
		instance->node = plan->n_nodes++;
		*node = (struct plan_node){ .instance = instance,
			.kind = PLAN_NODE_PROCESS,
			.flow = flow_index,
			.domain = domain,
			.in = selection,
			.has_column =
				instance->referred && (f->desc.flags & MAPI_FUNCTION_REFERABLE) };
		if (plan_node_filters(node))
			selection = plan->n_selections++;
		node->out = selection;
		if (f->filter) {
			node->kind = PLAN_NODE_FILTER;
			r = plan_domain_add_filter(&plan->domains[domain], instance, &node->index);
			filters[n_filters++] = node->index;
		} else if (f->waits) {
			node->kind = PLAN_NODE_GATE;
		} else if (f->search) {
			node->kind = PLAN_NODE_SEARCH;
			r = plan_domain_add_search(
				&plan->domains[domain], instance, filters, n_filters, &node->index);
		} else if (f->transform) {
			node->kind = PLAN_NODE_TRANSFORM;
			r = plan_domain_open(plan, domain, instance, &domain);
			node->index = domain;
			n_filters = 0; /* indices of another domain's set */
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* References must stay within the plan: a source that has left would leave a dangling column. */
static int plan_check_refs(const struct plan *plan, struct error *err)
{
	for (unsigned int n = 0; n < plan->n_nodes; n++) {
		const struct plan_instance *instance = plan->nodes[n].instance;

		for (unsigned int i = 0; i < instance->n_refs; i++) {
			bool found = false;

			for (unsigned int f = 0; f < plan->n_flows && !found; f++)
				found = plan->flows[f] == instance->refs[i]->flow;
			if (!found)
				return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
					"%s refers to a flow that is not connected on the same "
					"device: "
					"connect the flow it refers to first",
					instance->function->desc.name);
		}
	}
	return 0;
}

int plan_new(struct plan **ret, struct plan_flow *const *flows, unsigned int n_flows,
	const struct plan *previous, struct error *err)
{
	_cleanup_(plan_freep) struct plan *plan = calloc(1, sizeof(*plan));
	unsigned int n_nodes = 0, root;
	int r;

	if (!plan)
		return -ENOMEM;
	for (unsigned int i = 0; i < n_flows; i++)
		n_nodes += flows[i]->n_instances;
	plan->flows = calloc(MAX(n_flows, 1u), sizeof(plan->flows[0]));
	plan->nodes = calloc(MAX(n_nodes, 1u), sizeof(plan->nodes[0]));
	if (!plan->flows || !plan->nodes)
		return -ENOMEM;
	plan->n_selections = n_flows;
	r = plan_domain_open(plan, 0, NULL, &root);
	for (unsigned int i = 0; i < n_flows && r == 0; i++) {
		plan->flows[i] = flows[i];
		plan->n_flows++;
		r = plan_add_flow(plan, i);
	}
	if (r == 0)
		r = plan_check_refs(plan, err);
	plan_open_gates(plan);
	for (unsigned int d = 0; d < plan->n_domains && r == 0; d++) {
		struct plan_domain *domain = &plan->domains[d];

		/* Only the captured packets are the same domain in every plan for sure. */
		r = plan_searches_init(
			domain, d == 0 && previous ? &previous->domains[0] : NULL, err);
		domain->first_mask = plan->n_masks;
		plan->n_masks +=
			domain->n_filters + (domain->search_set ? domain->search_set->n : 0);
	}
	if (r == 0)
		r = plan_order(plan);
	if (r < 0)
		return r;
	*ret = TAKE(plan);
	return 0;
}

static void plan_link_free(const struct plan *plan, struct plan_link *link)
{
	for (unsigned int d = 0; link->sets && d < plan->n_domains; d++)
		filter_set_free(link->sets[d]);
	free(link->sets);
	free(link);
}

struct plan *plan_free(struct plan *plan)
{
	if (!plan)
		return NULL;
	while (plan->links) {
		struct plan_link *next = plan->links->next;

		plan_link_free(plan, plan->links);
		plan->links = next;
	}
	for (unsigned int d = 0; d < plan->n_domains; d++) {
		struct plan_domain *domain = &plan->domains[d];

		for (unsigned int s = 0; s < domain->n_searches; s++)
			free(domain->searches[s].filters);
		free(domain->searches);
		free(domain->filters);
		plan_searches_unref(domain->search_set);
	}
	free(plan->domains);
	free(plan->nodes);
	free(plan->flows);
	free(plan);
	return NULL;
}

/* A program that rejects everything, for expressions that make no sense on a link type. */
static int plan_program_none(struct filter_program **ret)
{
	static const struct {
		uint16_t code;
		uint8_t jt, jf;
		uint32_t k;
	} reject = { .code = 0x06 /* BPF_RET | BPF_K */ };

	return filter_program_new(ret, (const struct bpf_insn *)&reject, 1);
}

/* Without its filter a flow cannot go on. */
static void plan_fail_filter(struct plan_instance *instance, const struct error *err)
{
	if (!instance->filter_error.code)
		instance->filter_error = *err;
	/* Pairs with the acquire of who reads filter_error. */
	atomic_store_explicit(&instance->flow->failed, true, memory_order_release);
}

static int plan_link_build(
	struct plan *plan, unsigned int d, uint32_t linktype, struct filter_set **ret)
{
	struct plan_domain *domain = &plan->domains[d];
	_cleanup_(cleanup_freep) const struct filter_program **programs = NULL;
	_cleanup_(filter_program_freep) struct filter_program *none = NULL;
	int r;

	if (!domain->n_filters)
		return 0;
	programs = calloc(domain->n_filters, sizeof(programs[0]));
	if (!programs)
		return -ENOMEM;
	r = plan_program_none(&none);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < domain->n_filters; i++) {
		struct error err = ERROR_INIT;

		r = plan_program_get(domain->filters[i], linktype, true, &programs[i], &err);
		if (r == -ENOMEM)
			return r;
		/* What no link type has accepted so far is as wrong as if plan_flow_apply() had
		 * refused it, which did not know the link type yet. */
		if (r < 0 && (r != -EINVAL || !domain->filters[i]->filter_met))
			plan_fail_filter(domain->filters[i], &err);
		else if (programs[i])
			domain->filters[i]->filter_met = true;
		if (!programs[i])
			programs[i] = none;
	}
	return filter_set_new(ret, programs, domain->n_filters);
}

const struct plan_link *plan_link_get(struct plan *plan, uint32_t linktype)
{
	struct plan_link *link;

	(void)pthread_mutex_lock(&plan_compile_lock); /* once per worker and link type */
	for (link = plan->links; link; link = link->next)
		if (link->linktype == linktype)
			break;
	if (!link) {
		int r = 0;

		link = calloc(1, sizeof(*link));
		if (link) {
			link->linktype = linktype;
			link->sets = calloc(plan->n_domains, sizeof(link->sets[0]));
			r = link->sets ? 0 : -ENOMEM;
			for (unsigned int d = 0; d < plan->n_domains && r == 0; d++)
				r = plan_link_build(plan, d, linktype, &link->sets[d]);
			if (r < 0) {
				plan_link_free(plan, link);
				link = NULL;
			} else {
				link->next = plan->links;
				plan->links = link;
			}
		}
	}
	(void)pthread_mutex_unlock(&plan_compile_lock);
	return link;
}
