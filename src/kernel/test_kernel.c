/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel tier against libpcap: filters made at random and filters that people use, on packets
 * of captures and made-up ones, in each kind of program, by BPF_PROG_RUN. libpcap's interpreter
 * decides what is right (ours where that decides anything: filter/test_reference.c); after every
 * packet the counters of all filters must be what it says.
 *
 * Packets are whole in the kernel: those of captures are taken as long as they were captured.
 */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter/filter.h"
#include "filter/test_random.h"
#include "filter/test_reference.h"
#include "kernel.h"
#include "test_run_private.h"

#define PACKETS_PER_FILE 6u

static const char *const hook_names[_KERNEL_HOOK_N] = { "socket", "tc", "xdp" };

/* Packets, with their bytes. */
struct trace {
	unsigned int n, room;
	struct test_packet *packets;
};

static struct test_packet *trace_add(struct trace *t, const uint8_t *data, uint32_t n_bytes)
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

static void trace_clear(struct trace *t)
{
	for (unsigned int i = 0; i < t->n; i++)
		free((void *)(uintptr_t)t->packets[i].data);
	free(t->packets);
	*t = (struct trace){ 0 };
}

static char **files;
static unsigned int n_files;

static int files_visit(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (flag == FTW_F) {
		files = realloc(files, (n_files + 1) * sizeof(*files));
		assert_non_null(files);
		files[n_files++] = strdup(path);
	}
	return 0;
}

static int files_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_quick(void)
{
	return !getenv("MAPI_TEST_LONG");
}

static int setup(void **state)
{
	const char *dir = getenv("MAPI_PCAPS");

	(void)state;
	(void)nftw(MAPI_OWN_CAPTURES, files_visit, 16, FTW_PHYS);
	(void)nftw(dir ? dir : MAPI_PCAPS_DEFAULT, files_visit, 16, FTW_PHYS);
	qsort(files, n_files, sizeof(*files), files_compare);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < n_files; i++)
		free(files[i]);
	free(files);
	return 0;
}

/* Ethernet packets of captures that lie evenly in all of them, whole and cut, and made-up ones. */
static void trace_fill(struct trace *t, struct random *r, unsigned int n_max)
{
	unsigned int step = 1 + n_files * PACKETS_PER_FILE / n_max;
	uint8_t made[1600];

	for (unsigned int f = random_below(r, step); f < n_files && t->n < n_max; f += step) {
		char message[PCAP_ERRBUF_SIZE];
		pcap_t *file = pcap_open_offline(files[f], message);
		struct pcap_pkthdr *header;
		const uint8_t *data;

		if (!file)
			continue;
		for (unsigned int i = 0; i < PACKETS_PER_FILE; i++) {
			if (pcap_datalink(file) != DLT_EN10MB ||
				pcap_next_ex(file, &header, &data) != 1)
				break;
			trace_add(t, data, MIN(header->caplen, TEST_RUN_JUMBO_MAX));
			if (random_below(r, 3) == 0)
				trace_add(t, data, random_below(r, MIN(header->caplen, 80) + 1));
		}
		pcap_close(file);
	}
	for (unsigned int i = 0; i < n_max / 10; i++)
		trace_add(t, made, random_packet(r, made, sizeof(made)));
}

/* Filters with their texts. */
struct filters {
	unsigned int n;
	struct filter_program **programs;
	struct reference *references;
	char **texts;
};

static void filters_init(struct filters *f, unsigned int room)
{
	*f = (struct filters){ .n = 0 };
	f->programs = calloc(room, sizeof(*f->programs));
	f->references = calloc(room, sizeof(*f->references));
	f->texts = calloc(room, sizeof(*f->texts));
	assert_true(f->programs && f->references && f->texts);
}

static void filters_clear(struct filters *f)
{
	for (unsigned int i = 0; i < f->n; i++) {
		filter_program_free(f->programs[i]);
		free(f->texts[i]);
	}
	free(f->programs);
	free(f->references);
	free(f->texts);
}

static bool filters_add(struct filters *f, const char *text)
{
	struct error err = ERROR_INIT;

	if (filter_compile(&f->programs[f->n], text, 1, &err) < 0)
		return false;
	f->references[f->n] = reference_of(f->programs[f->n]);
	f->texts[f->n++] = strdup(text);
	return true;
}

/* @has_plain: every second is of a pattern that monitoring programs use. */
static void filters_random(struct filters *f, unsigned int n, struct random *r, bool has_plain)
{
	filters_init(f, n + 100);
	while (f->n < n) {
		char text[4096];

		if (has_plain && f->n % 2)
			random_plain_expression(r, text, sizeof(text));
		else
			random_expression(r, text, sizeof(text));
		(void)filters_add(f, text);
	}
}

/*
 * struct account - of all runs of a test
 * @n_refused: packets that the kernel does not run, by errno
 */
struct account {
	unsigned long n_decisions, n_matches, n_different, n_packets, n_scattered;
	unsigned int n_filters, n_lowered, n_pages;
	unsigned int n_reasons[_KERNEL_REASON_N];
	unsigned long n_refused[134];
	uint32_t refused_least, refused_most;
};

static void account_print(const char *what, const struct account *a)
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

static void account_refused(struct account *a, int error, uint32_t n_bytes)
{
	a->n_refused[-error < (int)ARRAY_SIZE(a->n_refused) ? -error : 0]++;
	a->refused_least = a->refused_most ? MIN(a->refused_least, n_bytes) : n_bytes;
	a->refused_most = MAX(a->refused_most, n_bytes);
}

/* Compares all counters with what they must be. */
static void counts_compare(struct account *a, const struct filters *f, unsigned int from,
	unsigned int n, const struct kernel_program *program, const struct kernel_count *right,
	struct kernel_count *counts)
{
	assert_int_equal(kernel_program_read(program, counts, n), 0);
	for (unsigned int i = 0; i < n; i++) {
		if (counts[i].pkts == right[i].pkts && counts[i].bytes == right[i].bytes)
			continue;
		if (a->n_different++ < 5)
			print_error("'%s' counts %lu packets, %lu bytes instead of %lu, %lu\n",
				f->texts[from + i], (unsigned long)counts[i].pkts,
				(unsigned long)counts[i].bytes, (unsigned long)right[i].pkts,
				(unsigned long)right[i].bytes);
	}
}

/*
 * struct set - a set of filters, loaded
 * @run_fd: what is run; the program itself, or one that calls it
 */
struct set {
	const struct kernel_options *options;
	const struct filters *filters;
	unsigned int from, n;
	struct kernel_code *code;
	struct kernel_program *program;
	int run_fd;
	struct kernel_count *right, *counts;
};

static void set_init(struct set *s, struct account *a, const struct kernel_options *options,
	const struct filters *f, unsigned int from, unsigned int n)
{
	struct error err = ERROR_INIT;

	*s = (struct set){ .options = options, .filters = f, .from = from, .n = n };
	s->right = calloc(n + 1, sizeof(*s->right));
	s->counts = calloc(n + 1, sizeof(*s->counts));
	assert_true(s->right && s->counts);
	assert_int_equal(kernel_code_new(&s->code, options,
				 (const struct filter_program *const *)f->programs + from, n),
		0);
	if (kernel_code_check(s->code, &err) < 0 ||
		kernel_program_load(&s->program, s->code, &err) < 0)
		fail_msg("filters %u to %u: %s", from, from + n - 1, err.text);
	s->run_fd = kernel_program_fd(s->program);
	a->n_filters += n;
	a->n_lowered += kernel_code_stats(s->code).n_lowered;
	a->n_pages += kernel_code_stats(s->code).n_pages;
	for (unsigned int i = 0; i < n; i++)
		a->n_reasons[kernel_code_reason(s->code, i)]++;
}

static void set_deinit(struct set *s)
{
	kernel_program_free(s->program);
	kernel_code_free(s->code);
	free(s->right);
	free(s->counts);
}

/*
 * Runs @packet, which stands for what was on the wire as @wire (they differ where the kernel keeps
 * a tag), and for @n_pkts packets with @n_more bytes more (a super-packet).
 */
static void set_run(struct set *s, struct account *a, const struct test_packet *packet,
	const struct test_packet *wire, uint32_t n_pkts, uint32_t n_more)
{
	const struct kernel_options *options = s->options;
	int verdict, r = test_run(s->run_fd, options->hook, packet, &verdict);
	bool is_delivered = false;

	if (r < 0) {
		account_refused(a, r, packet->n_bytes);
		return;
	}
	for (unsigned int i = 0; i < s->n; i++) {
		if (kernel_code_reason(s->code, i) != KERNEL_LOWERED ||
			reference_decide(&s->filters->references[s->from + i], wire->data,
				wire->n_bytes, wire->n_bytes) != FILTER_INTERPRET_ACCEPT)
			continue;
		s->right[i].pkts += n_pkts;
		s->right[i].bytes += wire->n_bytes + n_more;
		is_delivered |= options->deliver && options->deliver[i];
		a->n_matches++;
	}
	a->n_packets++;
	a->n_decisions += s->n;
	counts_compare(a, s->filters, s->from, s->n, s->program, s->right, s->counts);
	if (options->hook == KERNEL_SOCKET)
		assert_int_equal(verdict, is_delivered ? (int)options->snaplen_bytes : 0);
	else
		assert_int_equal(verdict, options->hook == KERNEL_TC ? -1 : 2);
}

/* Filters @from to @from + @n as one set, on all packets. */
static void agree(struct account *a, const struct kernel_options *options, const struct filters *f,
	unsigned int from, unsigned int n, const struct trace *t)
{
	struct set s;

	set_init(&s, a, options, f, from, n);
	for (unsigned int p = 0; p < t->n && a->n_different < 20; p++) {
		/* In several buffers; no interface would give them to a program that cannot. */
		if (options->hook == KERNEL_XDP && !options->has_frags &&
			t->packets[p].n_bytes > TEST_RUN_BYTES_MAX)
			account_refused(a, -E2BIG, t->packets[p].n_bytes);
		else
			set_run(&s, a, &t->packets[p], &t->packets[p], 1, 0);
	}
	set_deinit(&s);
}

static bool can_load(void)
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
	return r == 0;
}

/* Ends a test: prints what was done, fails if something differed or nothing was compared. */
static void account_close(const char *what, unsigned int hook, const struct account *a)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "%s, %s", what, hook_names[hook]);
	account_print(name, a);
	assert_int_equal(a->n_different, 0);
	assert_true(a->n_matches > 0);
}

static void random_filters_agree(void **state)
{
	static const unsigned int sizes[] = { 1, 10, 100, 1000 };
	unsigned int n = is_quick() ? 300 : 2000;
	struct random r = { .state = 4711 };
	struct trace t = { 0 };
	struct filters f;

	(void)state;
	if (!can_load())
		skip();
	trace_fill(&t, &r, is_quick() ? 300 : 600);
	filters_random(&f, n, &r, false);
	for (unsigned int hook = 0; hook < _KERNEL_HOOK_N; hook++) {
		struct kernel_options options = { .hook = hook };
		struct account a = { 0 };

		for (unsigned int s = 0; s < ARRAY_SIZE(sizes); s++) {
			unsigned int size = MIN(sizes[s], n);

			for (unsigned int from = 0; from + size <= (size == 1 ? n / 10 : n);
				from += size)
				agree(&a, &options, &f, from, size, &t);
		}
		account_close("random filters", hook, &a);
		assert_true(a.n_lowered * 10 > a.n_filters * 8);
	}
	filters_clear(&f);
	trace_clear(&t);
}

/* Every second is of a kind that monitoring programs use: ports and addresses are searched. */
static void mixed_filters_agree(void **state)
{
	unsigned int n = is_quick() ? 400 : 1000;
	bool *deliver = calloc(n, sizeof(*deliver));
	struct random r = { .state = 12 };
	struct trace t = { 0 };
	struct filters f;

	(void)state;
	if (!can_load()) {
		free(deliver);
		skip();
	}
	assert_non_null(deliver);
	trace_fill(&t, &r, 300);
	filters_random(&f, n, &r, true);
	for (unsigned int i = 0; i < n; i++)
		deliver[i] = random_below(&r, 8) == 0;
	for (unsigned int hook = 0; hook < _KERNEL_HOOK_N; hook++) {
		struct kernel_options options = { .hook = hook,
			.snaplen_bytes = 200,
			.deliver = hook == KERNEL_SOCKET ? deliver : NULL };
		struct account a = { 0 };
		unsigned int n_pages;

		agree(&a, &options, &f, 0, n, &t);
		options.page_max = n / 7; /* a chain */
		agree(&a, &options, &f, 0, n, &t);
		options.page_max = 0; /* as many pages as short jumps make necessary */
		options.no_long_jumps = true;
		n_pages = a.n_pages;
		agree(&a, &options, &f, 0, n, &t);
		assert_true(is_quick() || a.n_pages - n_pages > 1);
		options.is_separate = true;
		options.page_max = 50;
		agree(&a, &options, &f, 0, MIN(n, 200), &t);
		account_close("mixed filters", hook, &a);
		assert_true(a.n_pages > 3);
	}
	filters_clear(&f);
	trace_clear(&t);
	free(deliver);
}

/* The list of expressions that the filter engine is tested with. */
static void listed_filters_agree(void **state)
{
	struct random r = { .state = 5 };
	struct trace t = { 0 };
	struct filters f;
	char line[4096];
	FILE *file = fopen(MAPI_FILTERS, "re");

	(void)state;
	assert_non_null(file);
	filters_init(&f, 1000);
	while (f.n < 1000 && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] && line[0] != '#')
			(void)filters_add(&f, line);
	}
	(void)fclose(file);
	assert_true(f.n > 50);
	if (!can_load()) {
		filters_clear(&f);
		skip();
	}
	trace_fill(&t, &r, 600);
	for (unsigned int hook = 0; hook < _KERNEL_HOOK_N; hook++) {
		struct kernel_options options = { .hook = hook };
		struct account a = { 0 };

		agree(&a, &options, &f, 0, f.n, &t);
		account_close("listed filters", hook, &a);
	}
	filters_clear(&f);
	trace_clear(&t);
}

/* A tag that the kernel keeps beside the packet is where it was on the wire. */
static void tags_are_put_back(void **state)
{
	static const uint32_t tags[] = { 0x81000001, 0x81000fff, 0x8100e064, 0x88a80005 };
	static const char *const more[] = { "vlan", "vlan 1", "vlan 100 and tcp", "not vlan",
		"vlan and vlan", "vlan 5 and vlan", "ether[12:4] = 0x81000001", "ether[13:4] != 0",
		"ether[14:2] & 0xe000 != 0", "ether[15] = 5", "ether[ether[15]:2] > 100",
		"vlan and port 53", "vlan and ip6 and udp", "len = 64", "ether[100:4] > 3" };
	struct kernel_options options = { .hook = KERNEL_TC };
	struct random r = { .state = 99 };
	struct account a = { 0 };
	struct trace t = { 0 };
	struct filters f;
	struct set s;

	(void)state;
	if (!can_load())
		skip();
	trace_fill(&t, &r, is_quick() ? 200 : 1000);
	filters_random(&f, 100, &r, true);
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		assert_true(filters_add(&f, more[i]));
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		set_init(&s, &a, &options, &f, 0, f.n);
		s.run_fd = test_run_tagger(s.run_fd, tags[i]);
		assert_true(s.run_fd >= 0);
		for (unsigned int p = 0; p < t.n; p++) {
			uint8_t wire[TEST_RUN_JUMBO_MAX + 4];
			struct test_packet tagged = { .data = wire,
				.n_bytes = t.packets[p].n_bytes + 4 };
			uint16_t type;

			if (t.packets[p].n_bytes < 14)
				continue;
			memcpy(&type, t.packets[p].data + 12, sizeof(type));
			memcpy(wire, t.packets[p].data, 12);
			for (unsigned int b = 0; b < 4; b++)
				wire[12 + b] = (uint8_t)(tags[i] >> (24 - 8 * b));
			memcpy(wire + 16, t.packets[p].data + 12, t.packets[p].n_bytes - 12);
			set_run(&s, &a, &t.packets[p], &tagged, 1, 0);
		}
		(void)close(s.run_fd);
		set_deinit(&s);
	}
	account_close("tagged packets", KERNEL_TC, &a);
	filters_clear(&f);
	trace_clear(&t);
}

/* TCP or UDP over IP of some payload. Return: bytes of its headers. */
static uint32_t super_make(
	uint8_t *packet, unsigned int kind, uint32_t payload_bytes, uint32_t *ret_bytes)
{
	uint32_t tag = kind & 4 ? 4 : 0, ip = 14 + tag, transport = ip + (kind & 1 ? 40 : 24);
	uint32_t header_bytes = transport + (kind & 2 ? 8 : 32);

	memset(packet, 0, header_bytes + payload_bytes);
	if (tag)
		memcpy(packet + 12, "\x81\x00\x00\x07", 4);
	packet[ip - 2] = kind & 1 ? 0x86 : 0x08;
	packet[ip - 1] = kind & 1 ? 0xdd : 0x00;
	packet[ip] = kind & 1 ? 0x60 : 0x46;
	packet[ip + (kind & 1 ? 6 : 9)] = kind & 2 ? 17 : 6;
	packet[transport + 12] = 0x80;
	*ret_bytes = header_bytes + payload_bytes;
	return header_bytes;
}

static void super_packets_count_as_segments(void **state)
{
	static const unsigned int hooks[] = { KERNEL_SOCKET, KERNEL_TC };
	struct filters f;

	(void)state;
	if (!can_load())
		skip();
	filters_init(&f, 8);
	assert_true(filters_add(&f, "") && filters_add(&f, "tcp or udp") &&
		filters_add(&f, "vlan") && filters_add(&f, "arp"));
	for (size_t h = 0; h < ARRAY_SIZE(hooks); h++) {
		struct kernel_options options = { .hook = hooks[h] };
		struct account a = { 0 };
		struct set s;

		set_init(&s, &a, &options, &f, 0, f.n);
		for (unsigned int kind = 0; kind < 16; kind++) {
			uint8_t data[4000];
			struct test_packet packet = { .data = data, .gso_size = 700 };
			uint32_t header_bytes = super_make(data, kind, 2000, &packet.n_bytes);

			/* known to the kernel, or to be found out: 700, 700, 600 */
			packet.gso_segs = kind & 8 ? 3 : 0;
			set_run(&s, &a, &packet, &packet, 3, 2 * header_bytes);
		}
		assert_true(kernel_program_unparsed(s.program) == 0);
		{
			uint8_t data[1000] = { [12] = 0x12, [13] = 0x34 };
			struct test_packet packet = { .data = data,
				.n_bytes = sizeof(data),
				.gso_size = 100,
				.gso_segs = 9 };

			/* not known what it is: its segments, and nothing more */
			set_run(&s, &a, &packet, &packet, 9, 0);
			assert_true(kernel_program_unparsed(s.program) == 1);
		}
		set_deinit(&s);
		account_close("super-packets", hooks[h], &a);
	}
	filters_clear(&f);
}

/* Packets of several buffers, of which the first holds little. */
static void scattered_packets_agree(void **state)
{
	struct kernel_options options = { .hook = KERNEL_XDP, .has_frags = true };
	struct random r = { .state = 31 };
	struct account a = { 0 };
	struct trace t = { 0 };
	struct filters f;
	struct set s;
	uint8_t data[TEST_RUN_JUMBO_MAX];
	unsigned long n_short;

	(void)state;
	if (!can_load())
		skip();
	trace_fill(&t, &r, is_quick() ? 150 : 800);
	for (unsigned int i = 0; i < 20; i++) {
		(void)random_packet(&r, data, 1600);
		(void)trace_add(&t, data, 4000 + random_below(&r, 5000));
	}
	filters_random(&f, 150, &r, true);
	set_init(&s, &a, &options, &f, 0, f.n);
	for (unsigned int p = 0; p < t.n; p++) {
		struct test_packet packet = t.packets[p];

		set_run(&s, &a, &packet, &packet, 1, 0);
		if (packet.n_bytes > 100) {
			packet.linear_bytes = 14 + random_below(&r, 80);
			n_short = a.n_packets;
			set_run(&s, &a, &packet, &packet, 1, 0);
			a.n_scattered += a.n_packets - n_short;
		}
	}
	set_deinit(&s);
	print_message("%lu packets with a short first buffer\n", a.n_scattered);
	account_close("scattered packets", KERNEL_XDP, &a);
	filters_clear(&f);
	trace_clear(&t);
}

/* What cannot be translated is left out, and said so; the others are not harmed. */
static void loops_stay_in_user_space(void **state)
{
	struct kernel_options options = { .hook = KERNEL_TC, .n_cpus = 1 };
	struct kernel_code *code;
	struct kernel_stats stats;
	struct filters f;

	(void)state;
	filters_init(&f, 3);
	assert_true(filters_add(&f, "tcp") && filters_add(&f, "ip6 protochain 6") &&
		filters_add(&f, "tcp"));
	assert_int_equal(kernel_code_new(&code, &options,
				 (const struct filter_program *const *)f.programs, f.n),
		0);
	stats = kernel_code_stats(code);
	assert_int_equal(kernel_code_reason(code, 0), KERNEL_LOWERED);
	assert_int_equal(kernel_code_reason(code, 1), KERNEL_REASON_LOOP);
	assert_int_equal(kernel_code_reason(code, 2), KERNEL_LOWERED);
	assert_int_equal(stats.n_lowered, 2);
	assert_int_equal(stats.n_slots, 1);
	kernel_code_free(code);
	options.has_frags = true;
	assert_int_equal(kernel_code_new(&code, &options, NULL, 0), -EINVAL);
	filters_clear(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_filters_agree),
		cmocka_unit_test(mixed_filters_agree),
		cmocka_unit_test(listed_filters_agree),
		cmocka_unit_test(tags_are_put_back),
		cmocka_unit_test(super_packets_count_as_segments),
		cmocka_unit_test(scattered_packets_agree),
		cmocka_unit_test(loops_stay_in_user_space),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
