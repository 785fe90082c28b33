/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The filter engine against libpcap: expressions and programs made at random, and a list of
 * expressions (filters.txt) on all captures at hand. libpcap's own compiler and interpreter decide
 * what is right, packet by packet; no difference is allowed. Our interpreter must agree with
 * libpcap's, and decides where that might not end or decides anything (test_reference.c).
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

#include "filter_private.h"
#include "test_captures.h"
#include "test_random.h"
#include "test_reference.h"

#define ORACLE_PACKETS_MAX 200000u
#define ORACLE_EXPRESSIONS 1500u
#define ORACLE_PROGRAMS 20000u

/* Packets of one link type, with their bytes. */
struct trace {
	unsigned int n;
	unsigned int room;
	uint8_t **data;
	uint32_t *cap_bytes;
	uint32_t *wire_bytes;
};

static void trace_add(struct trace *t, const uint8_t *data, uint32_t cap_bytes, uint32_t wire_bytes)
{
	if (t->n == t->room) {
		t->room = t->room ? 2 * t->room : 1024;
		t->data = realloc(t->data, t->room * sizeof(*t->data));
		t->cap_bytes = realloc(t->cap_bytes, t->room * sizeof(*t->cap_bytes));
		t->wire_bytes = realloc(t->wire_bytes, t->room * sizeof(*t->wire_bytes));
		assert_true(t->data && t->cap_bytes && t->wire_bytes);
	}
	/* exactly as many bytes as captured, so that the sanitizer sees a read beyond */
	t->data[t->n] = malloc(cap_bytes ? cap_bytes : 1);
	assert_non_null(t->data[t->n]);
	memcpy(t->data[t->n], data, cap_bytes);
	t->cap_bytes[t->n] = cap_bytes;
	t->wire_bytes[t->n++] = wire_bytes;
}

static void trace_clear(struct trace *t)
{
	for (unsigned int i = 0; i < t->n; i++)
		free(t->data[i]);
	free(t->data);
	free(t->cap_bytes);
	free(t->wire_bytes);
	*t = (struct trace){ 0 };
}

/* Whole, cut, and with some bytes changed. */
static void trace_add_variants(struct trace *t, struct random *r, const uint8_t *data,
	uint32_t cap_bytes, uint32_t wire_bytes)
{
	uint8_t changed[2048];
	uint32_t n = MIN(cap_bytes, sizeof(changed));

	trace_add(t, data, cap_bytes, wire_bytes);
	if (random_below(r, 4) || n == 0)
		return;
	trace_add(t, data, random_below(r, MIN(n, 80)), wire_bytes);
	memcpy(changed, data, n);
	for (unsigned int i = 1 + random_below(r, 4); i > 0; i--)
		changed[random_below(r, MIN(n, 64))] = (uint8_t)random_next(r);
	trace_add(t, changed, n, wire_bytes);
}

static struct captures captures;

static int oracle_setup(void **state)
{
	(void)state;
	captures_add(&captures, captures_folder());
	return 0;
}

static int oracle_teardown(void **state)
{
	(void)state;
	captures_clear(&captures);
	return 0;
}

struct oracle_captured {
	struct trace *trace;
	struct random *random;
};

static void oracle_add_captured(
	void *context, const struct pcap_pkthdr *header, const uint8_t *data)
{
	struct oracle_captured *to = context;

	trace_add_variants(to->trace, to->random, data, header->caplen, header->len);
}

/* Ethernet packets of the captures, a few of each, and made-up ones. */
static void oracle_trace(struct trace *t, struct random *r, unsigned int n_max)
{
	struct oracle_captured to = { .trace = t, .random = r };
	uint8_t made[1600];

	for (unsigned int f = 0; f < captures.n && t->n < n_max / 2; f++)
		captures_read(captures.paths[f], 8, oracle_add_captured, &to);
	while (t->n < n_max) {
		uint32_t n_bytes = random_packet(r, made, sizeof(made));

		trace_add(t, made, n_bytes,
			n_bytes + (random_below(r, 4) ? 0 : random_below(r, 2000)));
	}
}

static void batch_fill(
	struct packet_batch *batch, const struct trace *t, unsigned int first, unsigned int n)
{
	batch->n = n;
	for (unsigned int i = 0; i < n; i++) {
		batch->data[i] = t->data[first + i];
		batch->cap_bytes[i] = t->cap_bytes[first + i];
		batch->wire_bytes[i] = t->wire_bytes[first + i];
	}
}

/* One program for each text in @names, which is there to be printed. */
struct oracle {
	unsigned int n;
	struct filter_program **programs;
	char **names;
};

static void oracle_init(struct oracle *o, unsigned int n)
{
	*o = (struct oracle){ .n = 0 };
	o->programs = calloc(n, sizeof(*o->programs));
	o->names = calloc(n, sizeof(*o->names));
	assert_true(o->programs && o->names);
}

static void oracle_deinit(struct oracle *o)
{
	for (unsigned int i = 0; i < o->n; i++) {
		filter_program_free(o->programs[i]);
		free(o->names[i]);
	}
	free(o->programs);
	free(o->names);
}

static unsigned long oracle_n_endless; /* decisions without an oracle */

/* Runs the first @n programs as one set on all packets, in batches of all sizes, with every set of
 * inner loops; returns the number of decisions that differ from the interpreter's. */
static unsigned long oracle_differences(const struct oracle *o, unsigned int from, unsigned int n,
	const struct trace *t, struct random *r)
{
	static const unsigned int sizes[] = { 1, 7, 64, 65, 200, 255, 256, 256, 256 };
	struct packet_mask *masks = calloc(n, sizeof(*masks));
	struct packet_batch *batch = calloc(1, sizeof(*batch));
	struct reference *references = calloc(n, sizeof(*references));
	struct filter_set *set;
	unsigned long n_different = 0;
	void *scratch;

	assert_true(masks && batch && references);
	for (unsigned int f = 0; f < n; f++)
		references[f] = reference_of(o->programs[from + f]);
	assert_int_equal(
		filter_set_new(&set, (const struct filter_program *const *)o->programs + from, n),
		0);
	scratch = aligned_alloc(64, (filter_set_scratch_bytes(set) + 63) & ~(size_t)63);
	assert_non_null(scratch);
	memset(scratch, 0xa5, filter_set_scratch_bytes(set));
	for (unsigned int first = 0; first < t->n; first += batch->n) {
		const struct filter_compare_ops *const *list = filter_compare_list();
		unsigned int size = sizes[random_below(r, ARRAY_SIZE(sizes))];

		for (unsigned int i = random_below(r, 3); i > 0 && list[1]; i--)
			list++;
		set->compare = *list;
		batch_fill(batch, t, first, MIN(size, t->n - first));
		filter_set_run(set, scratch, batch, masks);
		for (unsigned int f = 0; f < n; f++) {
			struct packet_mask all = packet_mask_first(batch->n);
			struct packet_mask outside = masks[f];

			for (unsigned int w = 0; w < PACKET_MASK_WORDS; w++)
				outside.word[w] &= ~all.word[w];
			assert_true(packet_mask_empty(&outside));
			for (unsigned int i = 0; i < batch->n; i++) {
				enum filter_interpret_outcome outcome =
					reference_decide(&references[f], batch->data[i],
						batch->wire_bytes[i], batch->cap_bytes[i]);
				bool right = outcome == FILTER_INTERPRET_ACCEPT;

				oracle_n_endless += outcome == FILTER_INTERPRET_ENDLESS;
				if (right == packet_mask_test(&masks[f], i))
					continue;
				if (n_different++ < 5)
					print_error("packet %u, %s: '%s' should be %d\n", first + i,
						set->compare->name, o->names[from + f], right);
			}
		}
	}
	free(scratch);
	filter_set_free(set);
	free(batch);
	free(masks);
	free(references);
	return n_different;
}

static void random_expressions_agree(void **state)
{
	struct random r = { .state = 20240611 };
	struct trace t = { .n = 0 };
	struct filter_set *set;
	struct filter_set_stats stats;
	unsigned long n_different = 0;
	unsigned int n_refused = 0;
	struct oracle o;

	(void)state;
	oracle_trace(&t, &r, 6000);
	oracle_init(&o, ORACLE_EXPRESSIONS);
	while (o.n < ORACLE_EXPRESSIONS) {
		struct error err = ERROR_INIT;
		char text[4096];

		random_expression(&r, text, sizeof(text));
		if (filter_compile(&o.programs[o.n], text, 1, &err) < 0) {
			n_refused++;
			continue;
		}
		o.names[o.n++] = strdup(text);
	}
	for (unsigned int from = 0; from < o.n; from += 100)
		n_different += oracle_differences(&o, from, 100, &t, &r);
	assert_int_equal(
		filter_set_new(&set, (const struct filter_program *const *)o.programs, o.n), 0);
	stats = filter_set_stats(set);
	print_message("%u expressions (%u more refused by libpcap), %u packets: %u different, "
		      "%u interpreted, %u loads, %u tests, %u nodes\n",
		o.n, n_refused, t.n, stats.n_distinct, stats.n_interpreted, stats.n_loads,
		stats.n_tests, stats.n_nodes);
	/* only "protochain" is left to the interpreter */
	assert_true(stats.n_interpreted < o.n / 10);
	filter_set_free(set);
	oracle_deinit(&o);
	trace_clear(&t);
	assert_int_equal(n_different, 0);
}

static void random_programs_agree(void **state)
{
	struct random r = { .state = 77 };
	struct trace t = { .n = 0 };
	unsigned long n_different = 0;
	struct oracle o;

	(void)state;
	oracle_n_endless = 0;
	oracle_trace(&t, &r, 600);
	oracle_init(&o, ORACLE_PROGRAMS);
	while (o.n < ORACLE_PROGRAMS) {
		struct bpf_insn insns[512];
		unsigned int n_insns = 1 + random_below(&r, 40);
		char text[256];

		if (o.n % 2) {
			struct filter_program *base;
			struct error err = ERROR_INIT;

			random_expression(&r, text, sizeof(text));
			if (filter_compile(&base, text, 1, &err) < 0)
				continue;
			n_insns = MIN(base->n_insns, 512);
			memcpy(insns, base->insns, n_insns * sizeof(insns[0]));
			filter_program_free(base);
			random_mutate_program(&r, insns, n_insns);
		} else {
			random_program(&r, insns, n_insns);
		}
		if (filter_program_new(&o.programs[o.n], insns, n_insns) < 0)
			continue;
		(void)snprintf(text, sizeof(text), "program %u of %u instructions", o.n, n_insns);
		o.names[o.n++] = strdup(text);
	}
	for (unsigned int from = 0; from < o.n; from += 50)
		n_different += oracle_differences(&o, from, 50, &t, &r);
	print_message("%u programs, %u packets, %lu times endless\n", o.n, t.n, oracle_n_endless);
	assert_true(oracle_n_endless > 0 && oracle_n_endless < (unsigned long)o.n * t.n / 100);
	oracle_deinit(&o);
	trace_clear(&t);
	assert_int_equal(n_different, 0);
}

/* The LINKTYPE_ of a DLT_: the inverse of filter_dlt(). */
static uint32_t oracle_linktype(int dlt)
{
	static uint32_t known[512];
	static bool is_ready;

	if (!is_ready) {
		for (uint32_t linktype = ARRAY_SIZE(known); linktype-- > 0;) {
			int to = filter_dlt(linktype);

			if (to >= 0 && to < (int)ARRAY_SIZE(known))
				known[to] = linktype;
		}
		is_ready = true;
	}
	return dlt >= 0 && dlt < (int)ARRAY_SIZE(known) ? known[dlt] : (uint32_t)dlt;
}

static void oracle_read_filters(struct oracle *o)
{
	FILE *file = fopen(MAPI_FILTERS, "r");
	char line[4096];

	assert_non_null(file);
	oracle_init(o, 1000);
	while (o->n < 1000 && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] && line[0] != '#')
			o->names[o->n++] = strdup(line);
	}
	(void)fclose(file);
}

/* One file: both compilers accept the same expressions, both engines the same packets. */
static unsigned long oracle_check_file(
	const struct oracle *filters, const char *path, unsigned long *n_decisions)
{
	char message[PCAP_ERRBUF_SIZE];
	pcap_t *file = pcap_open_offline(path, message);
	struct bpf_program *theirs;
	struct pcap_pkthdr *header;
	struct trace t = { .n = 0 };
	struct random r = { .state = 5 };
	unsigned long n_different = 0;
	const uint8_t *data;
	struct oracle o;

	if (!file)
		return 0;
	theirs = calloc(filters->n, sizeof(*theirs));
	assert_non_null(theirs);
	oracle_init(&o, filters->n);
	for (unsigned int f = 0; f < filters->n; f++) {
		struct error err = ERROR_INIT;
		int their = pcap_compile(file, &theirs[o.n], filters->names[f], 1, 0);
		int our = filter_compile(&o.programs[o.n], filters->names[f],
			oracle_linktype(pcap_datalink(file)), &err);

		/* the plan refuses it for a file that tells no directions */
		if (our == 0 && filter_program_asks_direction(o.programs[o.n])) {
			o.programs[o.n] = filter_program_free(o.programs[o.n]);
			our = -EINVAL;
		}
		if ((their < 0) != (our < 0)) {
			print_error("%s: '%s': %s\n", path, filters->names[f],
				their < 0 ? pcap_geterr(file) : err.text);
			n_different++;
		}
		if (our < 0 || their < 0)
			continue;
		assert_int_equal(theirs[o.n].bf_len, o.programs[o.n]->n_insns);
		o.names[o.n++] = strdup(filters->names[f]);
	}
	while (t.n < ORACLE_PACKETS_MAX && pcap_next_ex(file, &header, &data) == 1)
		trace_add(&t, data, header->caplen, header->len);
	if (o.n && t.n)
		n_different += oracle_differences(&o, 0, o.n, &t, &r);
	if (n_different)
		print_error("%s: %lu differences\n", path, n_different);
	*n_decisions += (unsigned long)o.n * t.n;
	for (unsigned int f = 0; f < o.n; f++)
		pcap_freecode(&theirs[f]);
	free(theirs);
	oracle_deinit(&o);
	trace_clear(&t);
	pcap_close(file);
	return n_different;
}

static void captures_agree(void **state)
{
	unsigned long n_different = 0, n_decisions = 0;
	struct oracle filters;

	(void)state;
	oracle_n_endless = 0;
	if (captures.n == 0) {
		print_message("skipped: the captures are absent: %s\n", captures_folder());
		skip();
	}
	oracle_read_filters(&filters);
	assert_true(filters.n >= 60);
	for (unsigned int f = 0; f < captures.n; f++)
		n_different += oracle_check_file(&filters, captures.paths[f], &n_decisions);
	print_message("%u files, %u filters, %lu decisions\n", captures.n, filters.n, n_decisions);
	oracle_deinit(&filters);
	assert_true(n_decisions > 0);
	assert_int_equal(n_different, 0);
	assert_int_equal(oracle_n_endless, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_expressions_agree),
		cmocka_unit_test(random_programs_agree),
		cmocka_unit_test(captures_agree),
	};

	return cmocka_run_group_tests_name("filter oracle", tests, oracle_setup, oracle_teardown);
}
