/* SPDX-License-Identifier: BSD-2-Clause */
/* What plans are made of: domains are shared, searches inherited, wrong filters refused. */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "plan_private.h"
#include "test_packets_private.h"

static struct plan_explanation test_explain(
	const struct plan *plan, const struct plan_instance *instance)
{
	struct plan_explanation e;

	assert_int_equal(plan_explain(plan, instance, &e), 0);
	return e;
}

static void plans_are_explained(void **unused)
{
	static const char *const filters[] = { "tcp", "tcp", "udp" };
	static const char *const patterns[] = { "www", "|77 77|w", "absent" };
	struct plan_flow *flows[3], *later;
	struct plan_instance *filter[3], *search[3], *cut[3], *inner[3], *counter, *stats;
	struct plan_explanation e;
	struct error err = ERROR_INIT;
	struct plan *plan;

	for (unsigned int f = 0; f < 3; f++) {
		struct function_value args[FUNCTION_ARGS_MAX] = { { .text = filters[f] } };

		assert_int_equal(plan_flow_new(&flows[f], f + 1), 0);
		filter[f] = test_apply(flows[f], "BPF_FILTER", args, NULL);
		args[0].text = patterns[f];
		search[f] = test_apply(flows[f], "STR_SEARCH", args, NULL);
		args[0].number = f < 2 ? 60 : 61;
		cut[f] = test_apply(flows[f], "CUT", args, NULL);
		args[0].text = "ip";
		inner[f] = test_apply(flows[f], "BPF_FILTER", args, NULL);
	}
	counter = test_apply(flows[2], "PKT_COUNTER", NULL, NULL);
	stats = test_apply(flows[2], "STATS",
		(struct function_value[FUNCTION_ARGS_MAX]){ [2] = { .text = "1s" } }, counter);
	assert_int_equal(plan_new(&plan, flows, 3, NULL, &err), 0);
	for (unsigned int f = 0; f < 3; f++) {
		e = test_explain(plan, filter[f]);
		assert_true(
			e.work == PLAN_WORK_FILTER && e.domain == 0 && e.order == FUNCTION_FREE);
		assert_true(e.together == 3 && e.shared == (f < 2 ? 2u : 1u));
		e = test_explain(plan, search[f]);
		assert_true(e.work == PLAN_WORK_SEARCH && e.together == 3);
		assert_int_equal(e.shared, f < 2 ? 2 : 1);
		e = test_explain(plan, cut[f]);
		assert_true(e.work == PLAN_WORK_TRANSFORM && e.domain == 0);
		assert_true(e.new_domain == (f < 2 ? 1u : 2u) && e.shared == (f < 2 ? 2u : 1u));
		e = test_explain(plan, inner[f]);
		assert_true(e.domain == (f < 2 ? 1u : 2u) && e.shared == (f < 2 ? 2u : 1u));
		assert_true(!e.late && e.group == 0 && e.n_steps == 14);
	}
	/* Who resets what he refers to and that run packet by packet, in turn. */
	e = test_explain(plan, stats);
	assert_true(e.work == PLAN_WORK_PROCESS && e.late && e.order == FUNCTION_ORDER);
	assert_true(e.group == 1 && test_explain(plan, counter).group == 1);
	assert_true(e.step == test_explain(plan, counter).step + 1);
	assert_int_equal(plan_flow_new(&later, 4), 0);
	counter = test_apply(later, "PKT_COUNTER", NULL, NULL);
	assert_int_equal(plan_explain(plan, counter, &e), -ENOENT);
	plan_flow_free(later);
	plan_free(plan);
	for (unsigned int f = 0; f < 3; f++)
		plan_flow_free(flows[f]);
}

static void equal_transforms_share_a_domain(void **unused)
{
	struct plan_flow *flows[3];
	struct function_value cut[FUNCTION_ARGS_MAX] = { { .text = "" } };
	struct error err = ERROR_INIT;
	struct plan *plan;

	for (unsigned int f = 0; f < 3; f++) {
		assert_int_equal(plan_flow_new(&flows[f], f + 1), 0);
		cut[0].number = f < 2 ? 60 : 61;
		test_apply(flows[f], "CUT", cut, NULL);
		test_apply(flows[f], "PKT_COUNTER", NULL, NULL);
	}
	assert_int_equal(plan_new(&plan, flows, 3, NULL, &err), 0);
	assert_int_equal(plan->n_domains, 3); /* captured, cut at 60, cut at 61 */
	plan_free(plan);
	for (unsigned int f = 0; f < 3; f++)
		plan_flow_free(flows[f]);
}

static const struct search_set *test_set(const struct plan *plan, unsigned int i)
{
	assert_true(i < plan->domains[0].n_search_sets);
	return plan->domains[0].search_sets[i].set;
}

/* What counts is what is searched for, not whose search it is; but owners share nothing. */
static void searches_are_those_of_their_owners(void **unused)
{
	static const char *const patterns[] = { "www", "nothin", "nothin", "www" };
	struct plan_searches *brought;
	struct plan_flow *flows[4];
	struct plan_instance *counters[4];
	struct error err = ERROR_INIT;
	struct search_set *set;
	struct plan *first, *second, *third;

	for (unsigned int f = 0; f < 4; f++) {
		struct function_value args[FUNCTION_ARGS_MAX] = { { .text = patterns[f] } };

		assert_int_equal(plan_flow_new(&flows[f], f + 1), 0);
		flows[f]->owner = f == 1 ? 7 : 8;
		test_apply(flows[f], "STR_SEARCH", args, NULL);
		counters[f] = test_apply(flows[f], "PKT_COUNTER", NULL, NULL);
	}
	assert_int_equal(plan_new(&first, flows, 2, NULL, &err), 0);
	assert_int_equal(first->domains[0].n_search_sets, 2);
	assert_false(plan_serves(first, flows, 3, 8));
	assert_true(plan_serves(first, flows, 3, 7));
	assert_true(plan_serves(first, flows + 3, 1, 8)); /* another flow, the same string */
	/* A database that is still being built serves nobody. */
	assert_int_equal(plan_searches_new(&brought, flows, 4, 8), 0);
	set = plan_searches_take(brought);
	assert_false(plan_searches_serve(brought, flows, 4, 8));
	search_set_free(set);
	plan_searches_unref(brought);
	assert_int_equal(plan_searches_new(&brought, flows, 4, 8), 0);
	assert_true(plan_searches_serve(brought, flows, 4, 8));
	assert_false(plan_searches_serve(brought, flows, 4, 7));
	plan_searches_unref(brought);
	assert_int_equal(plan_new(&second, flows, 4, first, &err), 0);
	assert_ptr_equal(test_set(first, 1), test_set(second, 1));
	assert_ptr_not_equal(test_set(first, 0), test_set(second, 0));
	assert_int_equal(plan_new(&third, flows + 1, 3, second, &err), 0);
	assert_ptr_equal(test_set(second, 0), test_set(third, 1));
	plan_free(first);
	plan_free(second);
	test_run_direct(third, 256, NULL);
	assert_in_range(*(uint64_t *)counters[1]->state, TEST_PKTS / 4, TEST_PKTS / 2);
	assert_int_equal(*(uint64_t *)counters[1]->state, *(uint64_t *)counters[2]->state);
	assert_true(*(uint64_t *)counters[3]->state > 0);
	assert_int_not_equal(*(uint64_t *)counters[3]->state, *(uint64_t *)counters[2]->state);
	plan_free(third);
	for (unsigned int f = 0; f < 4; f++)
		plan_flow_free(flows[f]);
}

/* Who leaves takes his pattern away without a new database; who comes brings one. */
static void search_sets_are_inherited(void **unused)
{
	static const char *const patterns[] = { "www", "nothin", "absent" };
	struct plan_flow *flows[3];
	struct plan_instance *counters[3];
	struct error err = ERROR_INIT;
	struct plan *first, *second, *third;

	for (unsigned int f = 0; f < 3; f++) {
		struct function_value args[FUNCTION_ARGS_MAX] = { { .text = patterns[f] } };

		assert_int_equal(plan_flow_new(&flows[f], f + 1), 0);
		test_apply(flows[f], "STR_SEARCH", args, NULL);
		counters[f] = test_apply(flows[f], "PKT_COUNTER", NULL, NULL);
	}
	assert_int_equal(plan_new(&first, flows, 2, NULL, &err), 0);
	assert_int_equal(plan_new(&second, flows + 1, 1, first, &err), 0);
	assert_ptr_equal(
		first->domains[0].search_sets[0].set, second->domains[0].search_sets[0].set);
	assert_int_equal(plan_new(&third, flows + 1, 2, second, &err), 0);
	assert_ptr_not_equal(
		second->domains[0].search_sets[0].set, third->domains[0].search_sets[0].set);
	plan_free(first);
	test_run_direct(second, 256, NULL);
	assert_int_equal(*(uint64_t *)counters[0]->state, 0);
	assert_in_range(*(uint64_t *)counters[1]->state, TEST_PKTS / 4, TEST_PKTS / 2);
	plan_free(second);
	plan_free(third);
	for (unsigned int f = 0; f < 3; f++)
		plan_flow_free(flows[f]);
}

static void counters_alone_need_no_order(void **unused)
{
	struct plan_flow *flow;
	struct function_value args[FUNCTION_ARGS_MAX] = { { .text = "tcp" } };
	struct error err = ERROR_INIT;
	struct plan *plan;

	assert_int_equal(plan_flow_new(&flow, 1), 0);
	test_apply(flow, "BPF_FILTER", args, NULL);
	test_apply(flow, "PKT_COUNTER", NULL, NULL);
	assert_int_equal(plan_new(&plan, &flow, 1, NULL, &err), 0);
	assert_false(plan->has_late);
	plan_free(plan);
	plan_flow_free(flow);
}

static void a_reference_out_of_the_plan_is_refused(void **unused)
{
	struct plan_flow *flows[2];
	struct function_value each[FUNCTION_ARGS_MAX] = { { .text = "" } };
	struct error err = ERROR_INIT;
	struct plan *plan = NULL;

	each[2].text = "0";
	assert_int_equal(plan_flow_new(&flows[0], 1), 0);
	assert_int_equal(plan_flow_new(&flows[1], 2), 0);
	test_apply(flows[1], "STATS", each, test_apply(flows[0], "PKT_COUNTER", NULL, NULL));
	assert_int_equal(plan_new(&plan, flows + 1, 1, NULL, &err), -22);
	assert_int_equal(err.code, 7001);
	assert_null(plan);
	plan_flow_free(flows[0]);
	plan_flow_free(flows[1]);
}

static void a_bad_filter_leaves_the_flow_as_it_was(void **unused)
{
	struct function_value args[FUNCTION_ARGS_MAX] = { { .text = "tcp prot 80" } };
	struct plan_instance *instance = NULL;
	struct error err = ERROR_INIT;
	struct plan_flow *flow;

	assert_int_equal(plan_flow_new(&flow, 1), 0);
	assert_int_equal(plan_flow_apply(flow, function_find("BPF_FILTER"), args, NULL,
				 &test_device, &instance, &err),
		-22);
	assert_int_equal(err.code, 1025);
	assert_null(instance);
	assert_int_equal(flow->n_instances, 0);
	plan_flow_free(flow);
}

/* The link type was not known at apply: what its first packets refuse ends the flow. */
static void a_filter_that_no_link_type_accepts_ends_its_flow(void **unused)
{
	struct function_value wrong[FUNCTION_ARGS_MAX] = { { .text = "ether host 2:0:0:0:0:1" } };
	struct function_value right[FUNCTION_ARGS_MAX] = { { .text = "ip" } };
	struct plan_flow *flows[2];
	struct error err = ERROR_INIT;
	struct packet_batch batch;
	struct plan_run *run;
	struct plan *plan;

	for (unsigned int f = 0; f < 2; f++) {
		assert_int_equal(plan_flow_new(&flows[f], f + 1), 0);
		test_apply(flows[f], "BPF_FILTER", f ? right : wrong, NULL);
	}
	assert_int_equal(plan_new(&plan, flows, 2, NULL, &err), 0);
	assert_int_equal(plan_run_new(&run, plan, true), 0);
	test_fill(&batch, 0, 10);
	batch.linktype = 101; /* LINKTYPE_RAW: it has no Ethernet addresses */
	assert_int_equal(plan_run_direct(run, &batch), 0);
	assert_true(flows[0]->failed);
	assert_int_equal(flows[0]->instances[0]->filter_error.code, 1025);
	assert_false(flows[1]->failed);
	plan_run_free(run);
	plan_free(plan);
	plan_flow_free(flows[0]);
	plan_flow_free(flows[1]);
}

/* Does not know at first; knows for one link type only. */
static int test_compile(void *context, const char *expression, uint32_t linktype, bool may_wait,
	struct filter_program **ret, struct error *err)
{
	unsigned int *n_asked = context;

	if (!may_wait && ++*n_asked < 3)
		return PLAN_E_AGAIN;
	if (linktype == test_device.linktype)
		return filter_compile(ret, expression, linktype, err);
	(void)error_set(err, 1025, "too long");
	return -ETIMEDOUT;
}

static void a_compiler_may_take_its_time_and_fail_later(void **unused)
{
	struct function_value args[FUNCTION_ARGS_MAX] = { { .text = "ip" } };
	unsigned int n_asked = 0;
	struct plan_device device = test_device;
	struct plan_instance *instance = NULL;
	struct error err = ERROR_INIT;
	struct packet_batch batch;
	struct plan_flow *flow;
	struct plan_run *run;
	struct plan *plan;

	device.compiler = (struct plan_compiler){ .compile = test_compile, .context = &n_asked };
	assert_int_equal(plan_flow_new(&flow, 1), 0);
	while (plan_flow_apply(flow, function_find("BPF_FILTER"), args, NULL, &device, &instance,
		       &err) == PLAN_E_AGAIN)
		assert_int_equal(flow->n_instances, 0);
	assert_int_equal(n_asked, 3);
	assert_int_equal(flow->n_instances, 1);
	assert_int_equal(plan_new(&plan, &flow, 1, NULL, &err), 0);
	assert_int_equal(plan_run_new(&run, plan, true), 0);
	test_fill(&batch, 0, 10);
	assert_int_equal(plan_run_direct(run, &batch), 0);
	assert_false(flow->failed);
	test_fill(&batch, 10, 10);
	batch.linktype = 101; /* valid there, too, but nobody can say so */
	assert_int_equal(plan_run_direct(run, &batch), 0);
	assert_true(flow->failed);
	assert_string_equal(instance->filter_error.text, "too long");
	plan_run_free(run);
	plan_free(plan);
	plan_flow_free(flow);
}

static void directions_are_refused_where_they_are_not_told(void **unused)
{
	struct function_value args[FUNCTION_ARGS_MAX] = { { .text = "inbound" } };
	struct plan_device device = test_device;
	struct plan_instance *instance = NULL;
	struct plan_flow *flow;

	assert_int_equal(plan_flow_new(&flow, 1), 0);
	for (unsigned int tells = 0; tells < 2; tells++) {
		struct error err = ERROR_INIT;

		device.tells_direction = tells;
		assert_int_equal(plan_flow_apply(flow, function_find("BPF_FILTER"), args, NULL,
					 &device, &instance, &err),
			tells ? 0 : -EINVAL);
		assert_int_equal(err.code, tells ? 0 : 1025);
	}
	assert_int_equal(flow->n_instances, 1);
	plan_flow_free(flow);
}

/* A user makes chains as long as flows are allowed; the control thread has one stack. */
static void chains_of_references_may_be_long(void **state)
{
	const unsigned int n = 300000;
	struct chain {
		struct plan_flow flow;
		struct plan_instance instance, *instances, *refs;
	} *chain = calloc(n, sizeof(*chain));

	(void)state;
	assert_non_null(chain);
	for (unsigned int i = 0; i < n; i++) {
		struct chain *c = &chain[i];

		c->instance = (struct plan_instance){
			.flow = &c->flow, .refs = &c->refs, .n_refs = i + 1 < n
		};
		c->instances = &c->instance;
		c->refs = &chain[(i + 1) % n].instance;
		c->flow.instances = &c->instances;
		c->flow.n_instances = 1;
	}
	assert_true(plan_flow_refers(&chain[0].flow, &chain[n - 1].flow, 1));
	assert_false(plan_flow_refers(&chain[1].flow, &chain[0].flow, 2));
	chain[n - 1].instance.n_refs = 1; /* a ring */
	assert_true(plan_flow_refers(&chain[1].flow, &chain[0].flow, 3));
	free(chain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_of_references_may_be_long),
		cmocka_unit_test(plans_are_explained),
		cmocka_unit_test(equal_transforms_share_a_domain),
		cmocka_unit_test(searches_are_those_of_their_owners),
		cmocka_unit_test(search_sets_are_inherited),
		cmocka_unit_test(counters_alone_need_no_order),
		cmocka_unit_test(a_reference_out_of_the_plan_is_refused),
		cmocka_unit_test(a_filter_that_no_link_type_accepts_ends_its_flow),
		cmocka_unit_test(directions_are_refused_where_they_are_not_told),
		cmocka_unit_test(a_compiler_may_take_its_time_and_fail_later),
		cmocka_unit_test(a_bad_filter_leaves_the_flow_as_it_was),
	};

	test_make_packets(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
