/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two tiers, one truth: plans at random, over packets of captures, once with the kernel counting
 * what it keeps back, by BPF_PROG_RUN, and once with all packets delivered. Flows come and go, and
 * programs are put in place of each other, sooner or later than plans; all results, records, files
 * and statistics are the same.
 *
 * What the kernel has counted comes when it is read, and so it does in the run without: at that
 * moment, with that time (semantics T1).
 *
 * MAPI_TEST_LONG=1: some 17,000 plans instead of 1,000.
 */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test_tiers_private.h"

#define TIERS_GATE_NS 5000000u /* programs are made so long before gates turn */

static void tiers_event(struct tiers_run *t, struct tiers_event event)
{
	assert_true(t->n_events < TIERS_EVENTS_MAX);
	t->events[t->n_events++] = event;
}

/* As a worker does. */
static void tiers_add(struct tiers_run *t)
{
	/* A gate wants to know when the last packet came; then there is one each time. */
	uint64_t units = 0, now_ns = t->c->has_gates ? t->last_ns : t->now_ns;

	for (struct tiers_set *set = t->sets; set; set = set->next) {
		tiers_set_read(set);
		units += set->counts[0].units - set->added[0].units;
	}
	assert_int_equal(units, t->n_counted);
	if (t->n_counted)
		(void)plan_run_counted(t->run, now_ns);
	for (unsigned int i = 0; i < t->n_counted; i++)
		tiers_event(t, (struct tiers_event){ TIERS_PACKET, t->counted[i], now_ns });
	t->n_counted = 0;
	for (struct tiers_set *set = t->sets; set; set = set->next)
		tiers_set_give(set, t->last_ns);
}

/* Sets that have been replaced, and of which all is given, end when it suits. */
static void tiers_clear(struct tiers_run *t, bool at_end)
{
	struct tiers_set **link = t->sets && !at_end ? &t->sets->next : &t->sets;

	tiers_add(t);
	while (*link) {
		struct tiers_set *set = *link;

		*link = set->next;
		tiers_set_free(set);
	}
}

/* ---- flows ---- */

/* The argument that is a file; NULL: none is. */
static struct function_value *tiers_path(const char *name, struct function_value values[])
{
	if (strcmp(name, "RES2FILE") == 0)
		return &values[3];
	return strcmp(name, "TO_FILE") == 0 ? &values[1] : NULL;
}

static void tiers_flow_apply(struct tiers_run *t, unsigned int flow)
{
	const struct tiers_flow *f = &t->c->flows[flow];
	const struct plan_device device = {
		.name = "test", .lossless = true, .linktype = 1, .seed = 100 + flow
	};

	assert_int_equal(plan_flow_new(&t->flows[flow],
				 t->c->is_reversed ? TIERS_FLOWS_MAX - flow : flow + 1),
		0);
	for (unsigned int i = 0; i < f->n_functions; i++) {
		const struct tiers_function *function = &f->functions[i];
		struct function_value values[FUNCTION_ARGS_MAX];
		struct function_value *path = tiers_path(function->name, values);
		struct plan_refs refs = { .n = 0 };
		struct plan_instance *instance;
		struct error err = ERROR_INIT;

		memcpy(values, function->values, sizeof(values));
		t->files[flow][i] = -1;
		if (path) {
			t->files[flow][i] = memfd_create("output", MFD_CLOEXEC);
			path->fd = dup(t->files[flow][i]);
			assert_true(path->fd >= 0);
		}
		for (refs.n = 0; refs.n < function->n_refs; refs.n++)
			refs.instances[refs.n] =
				t->flows[function->refs[refs.n].flow]
					->instances[function->refs[refs.n].function];
		if (plan_flow_apply(t->flows[flow], function_find(function->name), values, &refs,
			    &device, &instance, &err) < 0)
			fail_msg("%s: %s", function->name, err.text);
	}
}

/* The flows of change @change; those that are new are made. */
static unsigned int tiers_flows_of(
	struct tiers_run *t, unsigned int change, struct plan_flow *ret[TIERS_FLOWS_MAX])
{
	unsigned int n = 0;

	for (unsigned int f = 0; f < t->c->n_flows; f++) {
		if (change < t->c->flows[f].joins || change >= t->c->flows[f].leaves)
			continue;
		if (!t->flows[f])
			tiers_flow_apply(t, f);
		ret[n++] = t->flows[f];
	}
	for (unsigned int i = 0; t->c->is_reversed && i < n / 2; i++) {
		struct plan_flow *later = ret[i];

		ret[i] = ret[n - 1 - i];
		ret[n - 1 - i] = later;
	}
	return n;
}

/* ---- packets ---- */

static void tiers_flush(struct tiers_run *t)
{
	struct packet_batch *batch = &t->batch;

	if (batch->n)
		assert_int_equal(plan_run_direct(t->run, batch), 0);
	for (unsigned int i = 0; i < batch->n; i++)
		tiers_event(
			t, (struct tiers_event){ TIERS_PACKET, t->waiting[i], batch->ts_ns[i] });
	t->n_delivered += batch->n;
	batch->n = 0;
	batch->has_super = false;
	batch->first_no = t->n_delivered;
}

static void tiers_deliver(struct tiers_run *t, unsigned int index, uint64_t ts_ns)
{
	const struct tiers_packet *packet = &t->c->packets[index];
	struct packet_batch *batch = &t->batch;
	unsigned int i = batch->n++;

	t->waiting[i] = index;
	batch->data[i] = packet->packet->data;
	batch->cap_bytes[i] = packet->packet->n_bytes;
	if (t->c->snaplen_bytes)
		batch->cap_bytes[i] = MIN(batch->cap_bytes[i], t->c->snaplen_bytes);
	batch->wire_bytes[i] = packet->packet->n_bytes;
	batch->ts_ns[i] = ts_ns;
	batch->ifindex[i] = 1;
	batch->flags[i] = packet->packet->gso_segs ? PACKET_SUPER : 0;
	batch->wire_pkts[i] = tiers_wire_pkts(packet->packet);
	batch->all_wire_bytes[i] = tiers_wire_bytes(packet->packet);
	batch->has_super |= batch->wire_pkts[i] > 1;
	if (batch->n == PACKET_BATCH_MAX || t->c->is_single || random_below(&t->random, 40) == 0)
		tiers_flush(t);
}

static bool tiers_refuses(const struct tiers_packet *packet, int fd)
{
	return fd >= 0 && test_run(fd, KERNEL_SOCKET, packet->packet, NULL) < 0;
}

/* By which program it is: one at most. */
static bool tiers_is_delivered(const struct tiers_set *set, const struct tiers_packet *packet)
{
	unsigned int n = 0;

	for (unsigned int worker = 0; worker < TIERS_WORKERS_MAX; worker++) {
		int verdict;

		if (!set->programs[worker])
			break;
		assert_int_equal(test_run(kernel_program_fd(set->programs[worker]), KERNEL_SOCKET,
					 packet->packet, &verdict),
			0);
		n += verdict > 0;
	}
	assert_true(n <= 1);
	return n;
}

static void tiers_tick(struct tiers_run *t, uint64_t now_ns)
{
	tiers_flush(t);
	(void)plan_run_tick(t->run, now_ns);
	tiers_event(t, (struct tiers_event){ .kind = TIERS_TICK, .ts_ns = now_ns });
}

static void tiers_packet(struct tiers_run *t, unsigned int index)
{
	const struct tiers_packet *packet = &t->c->packets[index];
	bool is_delivered = true;

	t->now_ns = MAX(t->now_ns, packet->ts_ns);
	if (t->sets->selects) {
		is_delivered = tiers_is_delivered(t->sets, packet);
		t->kernel->account.n_run++;
		t->kernel->account.n_delivered += is_delivered;
	}
	if (is_delivered && t->c->is_single)
		tiers_add(t); /* the run without has them in this order */
	if (is_delivered && t->c->has_samples && t->n_counted) {
		/* It has them in the order in which they came, and gives them numbers by that.
		 * Here numbers have been given already, by the kernel, also to packets that came
		 * after those that are still waiting in the batch. */
		tiers_flush(t);
		tiers_add(t);
	}
	if (is_delivered) {
		tiers_deliver(t, index, packet->ts_ns);
		/* The kernel does not ask samples about such: it is late where others are not. */
		if (t->c->has_samples && packet->packet->gso_segs)
			tiers_flush(t);
	} else {
		t->counted[t->n_counted++] = index;
		t->last_ns = packet->ts_ns;
	}
	if (t->c->has_gates || random_below(&t->random, 30) == 0) {
		if (t->c->has_samples)
			tiers_flush(t);
		tiers_add(t);
	}
	if (random_below(&t->random, 60) == 0)
		tiers_tick(t, t->now_ns);
}

/* ---- cases ---- */

static void tiers_change_plan(struct tiers_run *t, unsigned int change)
{
	struct plan_flow *flows[TIERS_FLOWS_MAX];
	unsigned int n_flows = tiers_flows_of(t, change, flows);
	struct plan *plan;
	struct error err = ERROR_INIT;

	if (t->run) {
		tiers_flush(t);
		tiers_add(t);
	}
	tiers_event(t, (struct tiers_event){ .kind = TIERS_PLAN, .index = change });
	if (plan_new(&plan, flows, n_flows, t->plan, &err) < 0)
		fail_msg("%s", err.text);
	plan_run_free(t->run);
	plan_free(t->plan);
	t->plan = plan;
	t->plan_change = change;
	assert_int_equal(plan_run_new(&t->run, plan, true), 0);
	for (unsigned int f = 0; f < t->c->n_flows; f++) {
		if (t->c->flows[f].leaves != change)
			continue;
		for (struct tiers_set *set = t->sets; set; set = set->next)
			for (unsigned int i = 0; i < set->n_places; i++)
				if (set->places[i].flow == t->flows[f])
					set->places[i].flow = NULL;
	}
}

static void tiers_change_program(struct tiers_run *t, unsigned int change)
{
	struct plan_flow *flows[TIERS_FLOWS_MAX];
	unsigned int n_flows = tiers_flows_of(t, change, flows);
	struct tiers_set *set;

	/* Where samples are taken changes: what is still on its way is late (semantics T3). */
	if (t->c->has_samples && t->run)
		tiers_flush(t);
	set = tiers_set_new(t, flows, n_flows, t->c->changes[change].all);
	t->change = change;
	set->next = t->sets;
	t->sets = set;
	if (random_below(&t->random, 2))
		tiers_clear(t, false);
}

/* Whether a gate has turned, or is about to: then there is another program in time, and not for
 * flows that have left. */
static void tiers_turn_gates(struct tiers_run *t, const struct tiers_packet *packet)
{
	struct plan_flow *flows[TIERS_FLOWS_MAX];
	unsigned int change = MAX(t->change, t->plan_change);
	unsigned int n_flows = tiers_flows_of(t, change, flows);
	uint64_t until_ns = MAX(t->now_ns, packet->ts_ns) + TIERS_GATE_NS;
	bool turned = false;

	for (unsigned int f = 0; f < n_flows; f++)
		turned |= plan_flow_turn_gates(flows[f], until_ns);
	if (turned) {
		tiers_change_program(t, change);
		t->kernel->account.n_turned++;
	}
}

static void tiers_begin(
	struct tiers_run *t, struct tiers_kernel *kernel, const struct tiers_case *c, uint64_t seed)
{
	*t = (struct tiers_run){ .c = c, .kernel = kernel, .random = { .state = seed } };
	t->batch = (struct packet_batch){ .linktype = 1, .is_live = true };
}

/* In the kernel. */
static void tiers_run(struct tiers_run *t, struct tiers_kernel *kernel, const struct tiers_case *c)
{
	tiers_begin(t, kernel, c, 1);
	for (unsigned int i = 0; i < c->n_packets; i++) {
		for (unsigned int k = 0; k < c->n_changes; k++) {
			if (c->changes[k].at == i)
				tiers_change_plan(t, k);
			if (c->changes[k].program_at == i)
				tiers_change_program(t, k);
		}
		if (c->has_gates)
			tiers_turn_gates(t, &c->packets[i]);
		tiers_packet(t, i);
	}
	tiers_tick(t, t->now_ns);
	tiers_clear(t, true);
	plan_run_finish(t->run);
}

/* The same with all packets delivered. */
static void tiers_run_again(struct tiers_run *t, const struct tiers_run *first)
{
	tiers_begin(t, first->kernel, first->c, 2);
	for (unsigned int i = 0; i < first->n_events; i++) {
		const struct tiers_event *event = &first->events[i];

		if (event->kind == TIERS_PLAN)
			tiers_change_plan(t, event->index);
		else if (event->kind == TIERS_TICK)
			tiers_tick(t, event->ts_ns);
		else
			tiers_deliver(t, event->index, event->ts_ns);
	}
	tiers_flush(t);
	plan_run_finish(t->run);
}

static void tiers_end(struct tiers_run *t)
{
	tiers_cells_put(t);
	plan_run_free(t->run);
	plan_free(t->plan);
	for (unsigned int f = t->c->n_flows; f-- > 0;) {
		for (unsigned int i = 0; t->flows[f] && i < t->c->flows[f].n_functions; i++)
			if (t->files[f][i] >= 0)
				(void)close(t->files[f][i]);
		plan_flow_free(t->flows[f]);
	}
}

static void tiers_compare(const struct tiers_run *one, const struct tiers_run *other,
	unsigned int flow, unsigned int seed)
{
	struct plan_flow *a = one->flows[flow], *b = other->flows[flow];

	plan_flow_count(a);
	plan_flow_count(b);
	/* What is still kept back goes to files; when it would, is a matter of time. */
	plan_flow_complete(a, NULL);
	plan_flow_complete(b, NULL);
	for (unsigned int i = 0; i < a->n_instances; i++) {
		const struct plan_counts *x = &a->instances[i]->counts;
		const struct plan_counts *y = &b->instances[i]->counts;
		struct tiers_output x_output, y_output;

		tiers_output_read(a->instances[i], one->files[flow][i], &x_output);
		tiers_output_read(b->instances[i], other->files[flow][i], &y_output);
		one->kernel->account.n_output_bytes += x_output.n_bytes;
		if (tiers_output_equals(&x_output, &y_output) && x->pkts == y->pkts &&
			x->passed_pkts == y->passed_pkts)
			continue;
		fail_msg("case %u, flow %u, function %u, %s(%s): %lu of %lu packets, in the kernel "
			 "%lu of %lu; or its result differs, or its output (%zu bytes, in the "
			 "kernel %zu)",
			seed, flow + 1, i + 1, a->instances[i]->function->desc.name,
			one->c->flows[flow].functions[i].values[0].text,
			(unsigned long)x->passed_pkts, (unsigned long)x->pkts,
			(unsigned long)y->passed_pkts, (unsigned long)y->pkts, x_output.n_bytes,
			y_output.n_bytes);
	}
	one->kernel->account.n_compared++;
}

/* Packets that BPF_PROG_RUN does not take are in no case. */
static void tiers_pool_filter(struct tiers_pool *pool, struct tiers_account *a)
{
	int fd = test_run_nothing(KERNEL_SOCKET);
	unsigned int n = 0;

	assert_true(fd >= 0);
	for (unsigned int i = 0; i < pool->n_packets; i++) {
		struct test_packet packet = pool->packets[i];

		if (!tiers_refuses(&(struct tiers_packet){ .packet = &packet }, fd)) {
			pool->packets[n++] = packet;
			continue;
		}
		a->refused_least =
			a->n_refused ? MIN(a->refused_least, packet.n_bytes) : packet.n_bytes;
		a->refused_most = MAX(a->refused_most, packet.n_bytes);
		a->n_refused++;
		free((void *)(uintptr_t)packet.data);
	}
	pool->n_packets = n;
	(void)close(fd);
}

static void tiers_account_print(const struct tiers_account *a, unsigned int n_packets)
{
	print_message("%lu plans, %lu flows (%lu compared), %lu programs; %lu packets run, %lu of "
		      "them delivered\n",
		a->n_plans, a->n_flows, a->n_compared, a->n_programs, a->n_run, a->n_delivered);
	print_message("%lu programs because gates had turned\n", a->n_turned);
	print_message("%u different packets; %lu more (%u to %u bytes) refused by BPF_PROG_RUN\n",
		n_packets, a->n_refused, a->refused_least, a->refused_most);
	print_message("%lu functions with periods in the kernel; %lu bytes of records and files\n",
		a->n_timed, a->n_output_bytes);
	print_message("filters, counters, samples (HASHSAMP, too), gates and periods that need no "
		      "packets: %lu, of them "
		      "in user space %lu "
		      "(%.2f %%)\n",
		a->n_able, a->n_untranslated,
		100.0 * (double)a->n_untranslated / (double)MAX(a->n_able, 1u));
	print_message("not among these: %lu behind functions that need packets, %lu beside flows "
		      "that want all\n",
		a->n_behind, a->n_beside_all);
}

static void both_tiers_come_to_the_same(void **state)
{
	unsigned int n_cases = getenv("MAPI_TEST_LONG") ? 5000 : 300;
	static struct tiers_kernel kernel;
	struct tiers_account *a = &kernel.account;
	struct tiers_pool pool;

	(void)state;
	if (!tiers_can_load())
		skip();
	tiers_kernel_init(&kernel);
	tiers_pool_init(&pool, 4000, 1000);
	tiers_pool_filter(&pool, a);
	for (unsigned int seed = 1; seed <= n_cases; seed++) {
		static struct tiers_case c;
		static struct tiers_run one, other;

		tiers_case_make(&c, &pool, seed);
		tiers_run(&other, &kernel, &c);
		tiers_run_again(&one, &other);
		for (unsigned int f = 0; f < c.n_flows; f++)
			if (tiers_is_exact(&c, f))
				tiers_compare(&one, &other, f, seed);
		a->n_flows += c.n_flows;
		a->n_plans += c.n_changes;
		tiers_end(&one);
		tiers_end(&other);
	}
	tiers_account_print(a, pool.n_packets);
	assert_true(a->n_able > 0 && a->n_untranslated * 5 <= a->n_able);
	assert_true(a->n_compared * 2 > a->n_flows);
	assert_true(a->n_turned > 0);
	assert_true(a->n_timed > 0 && a->n_output_bytes > 0);
	assert_true(a->n_delivered > 0 && a->n_delivered < a->n_run);
	tiers_pool_deinit(&pool);
	tiers_kernel_deinit(&kernel);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(both_tiers_come_to_the_same) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
