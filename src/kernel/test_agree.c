/* SPDX-License-Identifier: BSD-2-Clause */
/* See test_agree_private.h. */
#undef NDEBUG
#include "test_agree_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGREE_PACKETS_PER_FILE 6u

static const char *const agree_hooks[_KERNEL_HOOK_N] = { "socket", "tc", "xdp" };

struct test_packet *agree_trace_add(struct agree_trace *t, const uint8_t *data, uint32_t n_bytes)
{
	uint8_t *copy = malloc(n_bytes + 1);

	if (t->n == t->room) {
		t->room = t->room ? 2 * t->room : 1024;
		t->packets = realloc(t->packets, t->room * sizeof(*t->packets));
		assert_non_null(t->packets);
	}
	assert_non_null(copy);
	if (n_bytes)
		memcpy(copy, data, n_bytes);
	t->packets[t->n] = (struct test_packet){ .data = copy, .n_bytes = n_bytes };
	return &t->packets[t->n++];
}

void agree_trace_clear(struct agree_trace *t)
{
	for (unsigned int i = 0; i < t->n; i++)
		free((void *)(uintptr_t)t->packets[i].data);
	free(t->packets);
	*t = (struct agree_trace){ 0 };
}

struct agree_captured {
	struct agree_trace *trace;
	struct random *random;
};

static void agree_add_captured(void *context, const struct pcap_pkthdr *header, const uint8_t *data)
{
	struct agree_captured *to = context;
	struct random *r = to->random;

	agree_trace_add(to->trace, data, MIN(header->caplen, TEST_RUN_JUMBO_MAX));
	if (random_below(r, 3) == 0)
		agree_trace_add(to->trace, data, random_below(r, MIN(header->caplen, 80) + 1));
}

void agree_trace_fill(
	struct agree_trace *t, struct random *r, const struct captures *c, unsigned int n_max)
{
	unsigned int step = 1 + c->n * AGREE_PACKETS_PER_FILE / n_max;
	struct agree_captured to = { .trace = t, .random = r };
	uint8_t made[1600];

	for (unsigned int f = random_below(r, step); f < c->n && t->n < n_max; f += step)
		captures_read(c->paths[f], AGREE_PACKETS_PER_FILE, agree_add_captured, &to);
	for (unsigned int i = 0; i < n_max / 10; i++)
		agree_trace_add(t, made, random_packet(r, made, sizeof(made)));
}

void agree_filters_init(struct agree_filters *f, unsigned int room)
{
	*f = (struct agree_filters){ .n = 0 };
	f->programs = calloc(room, sizeof(*f->programs));
	f->references = calloc(room, sizeof(*f->references));
	f->texts = calloc(room, sizeof(*f->texts));
	assert_true(f->programs && f->references && f->texts);
}

void agree_filters_clear(struct agree_filters *f)
{
	for (unsigned int i = 0; i < f->n; i++) {
		filter_program_free(f->programs[i]);
		free(f->texts[i]);
	}
	free(f->programs);
	free(f->references);
	free(f->texts);
}

void agree_filters_drop(struct agree_filters *f)
{
	f->n--;
	filter_program_free(f->programs[f->n]);
	free(f->texts[f->n]);
}

void agree_filters_take(struct agree_filters *f, struct filter_program *program, const char *name)
{
	f->programs[f->n] = program;
	f->references[f->n] = reference_of(program);
	f->texts[f->n++] = strdup(name);
}

bool agree_filters_add(struct agree_filters *f, const char *text)
{
	struct filter_program *program;
	struct error err = ERROR_INIT;

	if (filter_compile(&program, text, 1, &err) < 0)
		return false;
	agree_filters_take(f, program, text);
	return true;
}

void agree_filters_random(struct agree_filters *f, unsigned int n, struct random *r, bool has_plain)
{
	agree_filters_init(f, n + 100);
	while (f->n < n) {
		char text[4096];

		if (has_plain && f->n % 2)
			random_plain_expression(r, text, sizeof(text));
		else
			random_expression(r, text, sizeof(text));
		(void)agree_filters_add(f, text);
	}
}

static void agree_account_print(const char *what, const struct agree_account *a)
{
	print_message("%s: %u filters, %u in the kernel, %u pages; %lu packets run, %lu decisions, "
		      "%lu matches, %lu different\n",
		what, a->n_filters, a->n_lowered, a->n_pages, a->n_packets, a->n_decisions,
		a->n_matches, a->n_different);
	for (unsigned int i = KERNEL_LOWERED + 1; i < _KERNEL_REASON_N; i++) {
		if (a->n_reasons[i])
			print_message(
				"  %u in user space: %s\n", a->n_reasons[i], kernel_reason_text(i));
	}
	for (int e = 0; e < (int)ARRAY_SIZE(a->n_refused); e++) {
		if (a->n_refused[e])
			print_message("  %lu packets (%u to %u bytes) refused by BPF_PROG_RUN: "
				      "%s\n",
				a->n_refused[e], a->refused_least, a->refused_most, strerror(e));
	}
}

static void agree_account_refused(struct agree_account *a, int error, uint32_t n_bytes)
{
	a->n_refused[-error < (int)ARRAY_SIZE(a->n_refused) ? -error : 0]++;
	a->refused_least = a->refused_most ? MIN(a->refused_least, n_bytes) : n_bytes;
	a->refused_most = MAX(a->refused_most, n_bytes);
}

/* Compares all counters with what they must be. */
static void agree_counts_compare(struct agree_account *a, const struct agree_filters *f,
	unsigned int from, unsigned int n, const struct kernel_program *program,
	const struct kernel_count *right, struct kernel_count *counts)
{
	kernel_program_read(program, counts, n);
	for (unsigned int i = 0; i < n; i++) {
		if (memcmp(&counts[i], &right[i], sizeof(counts[i])) == 0)
			continue;
		if (a->n_different++ < 5)
			print_error("'%s' counts %lu packets, %lu bytes, %lu units instead of %lu, "
				    "%lu, %lu\n",
				f->texts[from + i], (unsigned long)counts[i].pkts,
				(unsigned long)counts[i].bytes, (unsigned long)counts[i].units,
				(unsigned long)right[i].pkts, (unsigned long)right[i].bytes,
				(unsigned long)right[i].units);
	}
}

/* As another process would get and load it. @argument: the options */
static int agree_load(
	void *argument, const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	const struct kernel_options *options = argument;
	size_t n_bytes = kernel_code_flatten(code, NULL, 0);
	uint8_t *bytes = malloc(n_bytes);
	struct kernel_code *same;
	int r;

	assert_non_null(bytes);
	assert_int_equal(kernel_code_flatten(code, bytes, n_bytes), n_bytes);
	assert_int_equal(kernel_code_unflatten(&same, bytes, n_bytes), 0);
	free(bytes);
	r = kernel_code_check(same, err);
	test_run_distrust(options->is_distrusted);
	if (r == 0)
		r = kernel_code_load(same, ret, err);
	test_run_distrust(false);
	kernel_code_free(same);
	return r;
}

void agree_set_init(struct agree_set *s, struct agree_account *a,
	const struct kernel_options *options, const struct agree_filters *f, unsigned int from,
	unsigned int n)
{
	struct error err = ERROR_INIT;

	*s = (struct agree_set){ .options = options, .filters = f, .from = from, .n = n };
	s->right = calloc(n + 1, sizeof(*s->right));
	s->counts = calloc(n + 1, sizeof(*s->counts));
	assert_true(s->right && s->counts);
	if (kernel_program_make(&s->program, &s->code, options,
		    (const struct filter_program *const *)f->programs + from, n, agree_load,
		    (void *)(uintptr_t)options, &err) < 0)
		fail_msg("filters %u to %u: %s", from, from + n - 1, err.text);
	s->run_fd = kernel_program_fd(s->program);
	if (options->own)
		s->own = reference_of(options->own);
	a->n_filters += n;
	a->n_lowered += kernel_code_stats(s->code).n_lowered;
	a->n_pages += kernel_code_stats(s->code).n_pages;
	for (unsigned int i = 0; i < n; i++)
		a->n_reasons[kernel_code_reason(s->code, i)]++;
}

void agree_set_deinit(struct agree_set *s)
{
	kernel_program_free(s->program);
	kernel_code_free(s->code);
	free(s->right);
	free(s->counts);
}

/* Packets that are run come in, which libpcap's interpreter is not told. */
static bool agree_accepts(
	const struct reference *reference, const struct test_packet *wire, uint32_t cap_bytes)
{
	if (filter_program_asks_direction(reference->program))
		return filter_interpret(reference->program, wire->data, wire->n_bytes, cap_bytes,
			       FILTER_DIRECTION_IN) == FILTER_INTERPRET_ACCEPT;
	return reference_decide(reference, wire->data, wire->n_bytes, cap_bytes) ==
		FILTER_INTERPRET_ACCEPT;
}

/* Does filter @i, if it is in the kernel, accept the packet? */
static bool agree_is_match(
	const struct agree_set *s, unsigned int i, const struct test_packet *wire)
{
	uint32_t cap_bytes =
		s->options->is_cut ? MIN(wire->n_bytes, s->options->snaplen_bytes) : wire->n_bytes;

	return kernel_code_reason(s->code, i) == KERNEL_LOWERED &&
		agree_accepts(&s->filters->references[s->from + i], wire, cap_bytes);
}

/* Is the packet this program's? */
static bool agree_is_own(const struct agree_set *s, const struct test_packet *wire)
{
	return !s->options->own ||
		reference_decide(&s->own, wire->data, wire->n_bytes, wire->n_bytes) ==
		FILTER_INTERPRET_ACCEPT;
}

void agree_set_run(struct agree_set *s, struct agree_account *a, const struct test_packet *packet,
	const struct test_packet *wire, uint32_t n_pkts, uint32_t n_more)
{
	const struct kernel_options *options = s->options;
	int verdict, r = test_run(s->run_fd, options->hook, packet, &verdict);
	bool is_own = agree_is_own(s, wire), is_delivered = is_own && s->delivers_all;

	if (r < 0) {
		agree_account_refused(a, r, packet->n_bytes);
		return;
	}
	for (unsigned int i = 0; is_own && i < s->n; i++)
		is_delivered |=
			options->deliver && options->deliver[i] && agree_is_match(s, i, wire);
	for (unsigned int i = 0; is_own && i < s->n; i++) {
		if (!agree_is_match(s, i, wire))
			continue;
		a->n_matches++;
		if (is_delivered && options->undelivered)
			continue;
		s->right[i].pkts += n_pkts;
		s->right[i].bytes += wire->n_bytes + n_more;
		s->right[i].units++;
	}
	a->n_delivered += is_delivered;
	a->n_foreign += !is_own;
	a->n_packets++;
	a->n_decisions += s->n;
	agree_counts_compare(a, s->filters, s->from, s->n, s->program, s->right, s->counts);
	if (options->hook == KERNEL_SOCKET)
		assert_int_equal(verdict, is_delivered ? (int)options->snaplen_bytes : 0);
	else
		assert_int_equal(verdict, options->hook == KERNEL_TC ? -1 : 2);
}

void agree_all(struct agree_account *a, const struct kernel_options *options,
	const struct agree_filters *f, unsigned int from, unsigned int n,
	const struct agree_trace *t)
{
	struct agree_set s;

	agree_set_init(&s, a, options, f, from, n);
	for (unsigned int p = 0; p < t->n && a->n_different < 20; p++) {
		/* In several buffers; no interface would give them to a program that cannot. */
		if (options->hook == KERNEL_XDP && !options->has_frags &&
			t->packets[p].n_bytes > TEST_RUN_BYTES_MAX)
			agree_account_refused(a, -E2BIG, t->packets[p].n_bytes);
		else
			agree_set_run(&s, a, &t->packets[p], &t->packets[p], 1, 0);
	}
	agree_set_deinit(&s);
}

bool agree_can_load(void)
{
	struct kernel_options options = { .hook = KERNEL_SOCKET };
	struct kernel_program *program = NULL;
	struct kernel_code *code;
	struct error err = ERROR_INIT;
	int r;

	assert_int_equal(kernel_code_new(&code, &options, NULL, 0), 0);
	r = kernel_program_load(&program, code, &err);
	kernel_program_free(program);
	kernel_code_free(code);
	if (r < 0)
		print_message("SKIP: %s\n", err.text);
	assert_true(r == 0 || r == -EPERM); /* not what the verifier refuses */
	return r == 0;
}

void agree_account_close(const char *what, unsigned int hook, const struct agree_account *a)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "%s, %s", what, agree_hooks[hook]);
	agree_account_print(name, a);
	assert_int_equal(a->n_different, 0);
	assert_true(a->n_matches > 0);
}

struct captures agree_captures;

int agree_setup(void **state)
{
	(void)state;
	captures_add(&agree_captures, MAPI_OWN_CAPTURES);
	captures_add(&agree_captures, captures_folder());
	return 0;
}

int agree_teardown(void **state)
{
	(void)state;
	captures_clear(&agree_captures);
	return 0;
}
