/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Searching a capture for strings: this project's set against vectorscan alone (one hs_scan() per
 * packet, the same literals with HS_FLAG_SINGLEMATCH, a callback that sets one bit) and, for one
 * string, against memmem(). The runs are interleaved; the ratios are medians.
 *
 *   bench_search FILE.pcap [RUNS]
 *
 * Prints "name value unit". The file is a plain pcap file.
 */
#include <fcntl.h>
#include <hs/hs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "search/search.h"

#define STRINGS_MAX 1000
#define RUNS_MAX 101

/* struct trace - where the packets of the file are */
struct trace {
	const uint8_t **data;
	uint32_t *cap_bytes;
	size_t n_pkts;
	uint64_t n_bytes;
};

/* struct job - what is searched, in both ways */
struct job {
	unsigned int n;
	char texts[STRINGS_MAX][16];
	const struct search_pattern *patterns[STRINGS_MAX];
	struct search_set *set;
	struct search_scratch *scratch;
	hs_database_t *database;
	hs_scratch_t *hs_scratch;
	struct packet_mask masks[STRINGS_MAX];
	uint64_t n_found; /* by the last run */
};

static void bench_die(const char *what)
{
	fprintf(stderr, "bench_search: %s\n", what);
	exit(1);
}

static void trace_open(struct trace *trace, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	const uint8_t *map;
	uint32_t magic, cap_bytes;
	size_t at = 24;

	if (fd < 0 || fstat(fd, &st) || st.st_size < 24)
		bench_die("cannot open the file");
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED)
		bench_die("cannot map the file");
	memcpy(&magic, map, 4);
	if (magic != 0xa1b2c3d4 && magic != 0xa1b23c4d)
		bench_die("not a pcap file of this machine's byte order");
	trace->data = calloc((size_t)st.st_size / 16, sizeof(*trace->data));
	trace->cap_bytes = calloc((size_t)st.st_size / 16, sizeof(*trace->cap_bytes));
	if (!trace->data || !trace->cap_bytes)
		bench_die("out of memory");
	while (at + 16 <= (size_t)st.st_size) {
		memcpy(&cap_bytes, map + at + 8, 4);
		if (cap_bytes > (size_t)st.st_size - at - 16)
			break;
		trace->data[trace->n_pkts] = map + at + 16;
		trace->cap_bytes[trace->n_pkts++] = cap_bytes;
		trace->n_bytes += cap_bytes;
		at += 16 + cap_bytes;
	}
}

static int bench_on_match(unsigned int id, unsigned long long from, unsigned long long to,
	unsigned int flags, void *context)
{
	uint64_t *bits = context;

	bits[id / 64] |= 1ULL << id % 64;
	return 0;
}

static uint64_t run_alone(struct job *job, const struct trace *trace)
{
	uint64_t bits[(STRINGS_MAX + 63) / 64], start_ns = clock_monotonic_ns();
	size_t n_words = (job->n + 63) / 64;

	job->n_found = 0;
	for (size_t i = 0; i < trace->n_pkts; i++) {
		memset(bits, 0, n_words * sizeof(bits[0]));
		hs_scan(job->database, (const char *)trace->data[i], trace->cap_bytes[i], 0,
			job->hs_scratch, bench_on_match, bits);
		for (size_t w = 0; w < n_words; w++)
			job->n_found += (unsigned int)__builtin_popcountll(bits[w]);
	}
	return clock_monotonic_ns() - start_ns;
}

static uint64_t run_set(struct job *job, const struct trace *trace)
{
	static struct packet_batch batch;
	uint64_t start_ns = clock_monotonic_ns();
	struct packet_mask wanted;

	job->n_found = 0;
	for (size_t first = 0; first < trace->n_pkts; first += batch.n) {
		size_t left = trace->n_pkts - first;

		batch.n = left < PACKET_BATCH_MAX ? (unsigned int)left : PACKET_BATCH_MAX;
		memcpy(batch.data, trace->data + first, batch.n * sizeof(batch.data[0]));
		memcpy(batch.cap_bytes, trace->cap_bytes + first,
			batch.n * sizeof(batch.cap_bytes[0]));
		wanted = packet_mask_first(batch.n);
		search_set_run(job->set, job->scratch, &batch, &wanted, job->masks);
		for (unsigned int p = 0; p < job->n; p++)
			job->n_found += packet_mask_count(&job->masks[p]);
	}
	return clock_monotonic_ns() - start_ns;
}

static uint64_t run_memmem(struct job *job, const struct trace *trace)
{
	uint64_t start_ns = clock_monotonic_ns();
	size_t n_bytes = strlen(job->texts[0]);

	job->n_found = 0;
	for (size_t i = 0; i < trace->n_pkts; i++)
		job->n_found +=
			memmem(trace->data[i], trace->cap_bytes[i], job->texts[0], n_bytes) != NULL;
	return clock_monotonic_ns() - start_ns;
}

/* "Mozilla" first; the others are words made of what packets contain, so that some are found. */
static void job_texts(struct job *job, const struct trace *trace)
{
	uint64_t random = 1;

	snprintf(job->texts[0], sizeof(job->texts[0]), "Mozilla");
	for (unsigned int i = 1; i < job->n; i++) {
		char *text = job->texts[i];
		unsigned int n = 5 + i % 8;
		bool equal = false;

		do {
			size_t at;

			random = random * 6364136223846793005u + 1442695040888963407u;
			at = (random >> 33) % trace->n_pkts;
			for (unsigned int k = 0; k < n; k++)
				text[k] = (char)('a' + (random >> (k * 4)) % 26);
			/* Every other one is taken from a packet, where it is of plain letters. */
			if (i % 2 && trace->cap_bytes[at] > 200)
				memcpy(text, trace->data[at] + 150, n);
			for (unsigned int k = 0; k < n; k++) {
				if ((text[k] | 0x20) < 'a' || (text[k] | 0x20) > 'z')
					text[k] = (char)('a' + (random >> k) % 26);
			}
			text[n] = '\0';
			for (unsigned int k = 0; k < i && !equal; k++)
				equal = !strcmp(job->texts[k], text);
		} while (equal && (equal = false, true));
	}
}

static void job_prepare(struct job *job, const struct trace *trace)
{
	static const char *literals[STRINGS_MAX];
	static size_t n_bytes[STRINGS_MAX];
	static unsigned int flags[STRINGS_MAX], ids[STRINGS_MAX];
	hs_compile_error_t *failure = NULL;
	struct error err = ERROR_INIT;
	uint64_t start_ns;

	job_texts(job, trace);
	start_ns = clock_monotonic_ns();
	for (unsigned int i = 0; i < job->n; i++) {
		struct search_pattern *pattern;

		if (search_pattern_new(&pattern, job->texts[i], 0, 0, &err))
			bench_die(err.text);
		job->patterns[i] = pattern;
	}
	if (search_set_new(&job->set, job->patterns, job->n, &err) ||
		search_scratch_new(&job->scratch, job->set))
		bench_die(err.text);
	printf("search.%u.setup %.1f ms\n", job->n,
		(double)(clock_monotonic_ns() - start_ns) / 1e6);
	for (unsigned int i = 0; i < job->n; i++) {
		literals[i] = job->texts[i];
		n_bytes[i] = strlen(job->texts[i]);
		flags[i] = HS_FLAG_SINGLEMATCH;
		ids[i] = i;
	}
	if (hs_compile_lit_multi(literals, flags, ids, n_bytes, job->n, HS_MODE_BLOCK, NULL,
		    &job->database, &failure) != HS_SUCCESS ||
		hs_alloc_scratch(job->database, &job->hs_scratch) != HS_SUCCESS)
		bench_die("vectorscan refuses the strings");
}

static void job_free(struct job *job)
{
	hs_free_scratch(job->hs_scratch);
	hs_free_database(job->database);
	search_scratch_free(job->scratch);
	search_set_free(job->set);
	for (unsigned int i = 0; i < job->n; i++)
		search_pattern_free((struct search_pattern *)(uintptr_t)job->patterns[i]);
}

static int compare_doubles(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double values[], unsigned int n)
{
	qsort(values, n, sizeof(*values), compare_doubles);
	return values[n / 2];
}

static void bench(const struct trace *trace, unsigned int n_strings, unsigned int n_runs)
{
	static struct job job;
	double ours[RUNS_MAX], ratio[RUNS_MAX], ratio_memmem[RUNS_MAX];
	uint64_t found = 0;

	job = (struct job){ .n = n_strings };
	job_prepare(&job, trace);
	for (unsigned int i = 0; i < n_runs; i++) {
		double alone_ns = (double)run_alone(&job, trace), ours_ns;

		found = job.n_found;
		ours_ns = (double)run_set(&job, trace);
		if (job.n_found != found)
			bench_die("the set and vectorscan disagree");
		ours[i] = (double)trace->n_bytes / ours_ns;
		ratio[i] = alone_ns / ours_ns;
		if (n_strings == 1) {
			ratio_memmem[i] = (double)run_memmem(&job, trace) / ours_ns;
			if (job.n_found != found)
				bench_die("the set and memmem disagree");
		}
	}
	printf("search.%u.found %llu packets\n", n_strings, (unsigned long long)found);
	printf("search.%u.speed %.2f GB/s\n", n_strings, median(ours, n_runs));
	printf("search.%u.of_vectorscan_alone %.2f ratio\n", n_strings, median(ratio, n_runs));
	if (n_strings == 1)
		printf("search.1.of_memmem %.2f ratio\n", median(ratio_memmem, n_runs));
	job_free(&job);
}

int main(int argc, char *argv[])
{
	struct trace trace = { .n_pkts = 0 };
	unsigned int n_runs = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 10) : 15;

	if (argc < 2 || n_runs < 1 || n_runs > RUNS_MAX)
		bench_die("usage: bench_search FILE.pcap [RUNS]");
	trace_open(&trace, argv[1]);
	printf("search.trace %zu packets\n", trace.n_pkts);
	bench(&trace, 1, n_runs);
	bench(&trace, 10, n_runs);
	bench(&trace, STRINGS_MAX, n_runs);
	free(trace.data);
	free(trace.cap_bytes);
	return 0;
}
