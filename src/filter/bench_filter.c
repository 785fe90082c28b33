/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What filters cost: bench_filter FILE.pcap [ROUNDS]
 *
 * Walks the mapped file (little-endian pcap of Ethernet) in batches, alone and with filter sets of
 * growing size, and runs libpcap's interpreter over the same mapped packets. All variants
 * take turns; the median counts. Prints "name value unit".
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "filter_private.h"
#include "test_random.h"

#define BENCH_ROUNDS_MAX 99
#define BENCH_FILTERS_MAX 1000
/* The interpreter runs only as many filters as this; its time is linear in their number. */
#define BENCH_INTERPRETED_MAX 20

struct bench_file {
	const uint8_t *bytes;
	size_t n_bytes;
};

struct bench_case {
	const char *name;
	unsigned int n_filters;
	struct filter_set *set; /* NULL: walk only, or the interpreter */
	bool is_interpreted;
	double ns[BENCH_ROUNDS_MAX];
	uint64_t n_matches;
};

static struct filter_program *bench_programs[BENCH_FILTERS_MAX];
static struct packet_mask bench_masks[BENCH_FILTERS_MAX];
static struct packet_batch bench_batch;
static uint64_t bench_n_pkts;

static void bench_decide(struct bench_case *c, void *scratch)
{
	if (c->set) {
		filter_set_run(c->set, scratch, &bench_batch, bench_masks);
		for (unsigned int f = 0; f < c->n_filters; f++)
			c->n_matches += packet_mask_count(&bench_masks[f]);
	} else if (c->is_interpreted) {
		for (unsigned int i = 0; i < bench_batch.n; i++) {
			for (unsigned int f = 0; f < c->n_filters; f++)
				c->n_matches +=
					bpf_filter(bench_programs[f]->insns, bench_batch.data[i],
						bench_batch.wire_bytes[i],
						bench_batch.cap_bytes[i]) != 0;
		}
	} else {
		c->n_matches += bench_batch.n;
	}
}

static double bench_walk(struct bench_case *c, const struct bench_file *file, void *scratch)
{
	uint64_t start = clock_monotonic_ns(), n_pkts = 0;
	const uint8_t *at = file->bytes + 24, *end = file->bytes + file->n_bytes;

	c->n_matches = 0;
	while (end - at >= 16) {
		unsigned int n = 0;

		while (n < PACKET_BATCH_MAX && end - at >= 16) {
			uint32_t length[2];

			memcpy(length, at + 8, sizeof(length));
			if ((size_t)(end - at - 16) < length[0])
				break;
			bench_batch.data[n] = at + 16;
			bench_batch.cap_bytes[n] = length[0];
			bench_batch.wire_bytes[n++] = length[1];
			__builtin_prefetch(at + 16 + length[0] + 2048);
			at += 16 + length[0];
		}
		if (n == 0)
			break;
		bench_batch.n = n;
		n_pkts += n;
		bench_decide(c, scratch);
	}
	bench_n_pkts = n_pkts;
	return (double)(clock_monotonic_ns() - start) / (double)n_pkts;
}

static int bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int bench_open(struct bench_file *ret, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *bytes;

	if (fd < 0 || fstat(fd, &st) < 0) {
		perror(path);
		return -1;
	}
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	(void)close(fd);
	if (bytes == MAP_FAILED || st.st_size < 24) {
		perror(path);
		return -1;
	}
	*ret = (struct bench_file){ .bytes = bytes, .n_bytes = (size_t)st.st_size };
	return 0;
}

/* The first program is "tcp port 80", all others are different. */
static int bench_compile(void)
{
	struct random r = { .state = 1 };
	char text[256] = "tcp port 80";
	uint64_t start = clock_monotonic_ns();

	for (unsigned int f = 0; f < BENCH_FILTERS_MAX; f++) {
		struct error err = ERROR_INIT;

		if (filter_compile(&bench_programs[f], text, 1, &err) < 0) {
			(void)fprintf(stderr, "%s: %s\n", text, err.text);
			return -1;
		}
		random_plain_expression(&r, text, sizeof(text));
	}
	printf("compile-%u %.1f ms\n", BENCH_FILTERS_MAX,
		(double)(clock_monotonic_ns() - start) / 1e6);
	return 0;
}

static size_t bench_build(struct bench_case *c)
{
	uint64_t start = clock_monotonic_ns();
	struct filter_set_stats stats;

	if (filter_set_new(&c->set, (const struct filter_program *const *)bench_programs,
		    c->n_filters) < 0)
		return 0;
	stats = filter_set_stats(c->set);
	printf("build-%s %.3f ms (%u loads, %u tests, %u nodes, %zu bytes, %s)\n", c->name,
		(double)(clock_monotonic_ns() - start) / 1e6, stats.n_loads, stats.n_tests,
		stats.n_nodes, filter_set_scratch_bytes(c->set), c->set->compare->name);
	return filter_set_scratch_bytes(c->set);
}

int main(int argc, char **argv)
{
	static struct bench_case cases[] = {
		{ .name = "walk" },
		{ .name = "filters-1", .n_filters = 1 },
		{ .name = "filters-10", .n_filters = 10 },
		{ .name = "filters-100", .n_filters = 100 },
		{ .name = "filters-1000", .n_filters = 1000 },
		{ .name = "libpcap-1", .n_filters = 1, .is_interpreted = true },
		{ .name = "libpcap-20",
			.n_filters = BENCH_INTERPRETED_MAX,
			.is_interpreted = true },
	};
	unsigned int rounds = argc > 2 ? (unsigned int)atoi(argv[2]) : 5;
	struct bench_file file;
	size_t scratch_bytes = 64;
	void *scratch;

	if (argc < 2) {
		(void)fprintf(stderr, "usage: %s FILE.pcap [ROUNDS]\n", argv[0]);
		return 2;
	}
	rounds = rounds < 1 ? 1 : MIN(rounds, BENCH_ROUNDS_MAX);
	if (bench_open(&file, argv[1]) < 0 || bench_compile() < 0)
		return 1;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		if (cases[i].n_filters && !cases[i].is_interpreted) {
			size_t bytes = bench_build(&cases[i]);

			scratch_bytes = MAX(scratch_bytes, bytes);
		}
	}
	scratch = aligned_alloc(64, (scratch_bytes + 63) & ~(size_t)63);
	if (!scratch)
		return 1;
	for (unsigned int round = 0; round < rounds; round++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
			cases[i].ns[round] = bench_walk(&cases[i], &file, scratch);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		qsort(cases[i].ns, rounds, sizeof(double), bench_compare);
		printf("%s %.1f ns/packet (least %.1f, %llu matches)\n", cases[i].name,
			cases[i].ns[rounds / 2], cases[i].ns[0],
			(unsigned long long)cases[i].n_matches);
	}
	for (unsigned int f = 0; f < BENCH_FILTERS_MAX; f++)
		filter_program_free(bench_programs[f]);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		filter_set_free(cases[i].set);
	free(scratch);
	(void)munmap((void *)(uintptr_t)file.bytes, file.n_bytes);
	return 0;
}
