/* SPDX-License-Identifier: BSD-2-Clause */
/* What filters become for a link type: programs of each instance, sets of each domain. */
#include "plan.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "mapi/errors.h"
#include "plan_private.h"

/* Programs are compiled when a worker meets a link type for the first time. An instance may stand
 * in an old and a new plan at once, so the lock is not the plan's. */
static pthread_mutex_t plan_compile_lock = PTHREAD_MUTEX_INITIALIZER;

struct plan_program *plan_program_free(struct plan_program *programs)
{
	while (programs) {
		struct plan_program *next = programs->next;

		filter_program_free(programs->program);
		free(programs);
		programs = next;
	}
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

const struct filter_program *plan_program_of(
	const struct plan_instance *instance, uint32_t linktype)
{
	const struct filter_program *ret = NULL;

	(void)pthread_mutex_lock(&plan_compile_lock);
	for (const struct plan_program *p = instance->programs; p && !ret; p = p->next)
		if (p->linktype == linktype)
			ret = p->program;
	(void)pthread_mutex_unlock(&plan_compile_lock);
	return ret;
}

int plan_program_get(struct plan_instance *instance, uint32_t linktype, bool may_wait,
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
	if (r == 0 && !instance->tells_direction && filter_program_asks_direction(p->program)) {
		p->program = filter_program_free(p->program);
		r = error_set(err, PCAP_BPF_ERR,
			"pcap filter: packets of this device do not say whether they come or go: "
			"inbound and outbound need an interface (driver=afpacket), or a recording "
			"of "
			"one in pcapng");
	}
	p->next = instance->programs;
	instance->programs = p;
	*ret = p->program;
	return r;
}

void plan_link_free(const struct plan *plan, struct plan_link *link)
{
	for (unsigned int d = 0; link->sets && d < plan->n_domains; d++)
		filter_set_free(link->sets[d]);
	free(link->sets);
	free(link);
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
