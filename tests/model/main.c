/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usage: model -f FILTERS [-n CASES] [-s SEED] [-t SECONDS] [-b BYTES] [-q] [-v] CAPTURE...
 *        model -f FILTERS -i INTERFACE -o INTERFACE [-n CASES] [-s SEED] [-b BYTES] CAPTURE...
 *
 * Case N has seed SEED + N and the capture whose turn it is. Prints each difference, then a summary
 * and a digest of what chance decides, which must be the same for every batch size and number of
 * workers (MAPI_BATCH, MAPI_WORKERS; MAPI_SEED is set here). Captures longer than BYTES are left
 * out.
 *
 * With -i and -o cases run live, on what is sent through the interface of -o and comes in at that
 * of -i (live.c).
 */
#include "model.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAIN_FILTERS_MAX 1024

/* Sums of the engine's parts are added in another order: the last bits of a long double may differ.
 */
static bool main_sums_agree(long double a, long double b)
{
	return fabsl(a - b) <= 1e-15L * fmaxl(fabsl(a), fabsl(b));
}

/* What chance lets pass is near what it should be: six standard deviations, and what is rounded. */
static bool main_chance_agrees(const struct model_function *f, const struct model_result *engine)
{
	double p = f->number / 100.0, n = (double)engine->pkts;

	return fabs((double)engine->passed_pkts - n * p) <= 6 * sqrt(n * p * (1 - p)) + 1;
}

static bool main_agree(const struct model_function *f, const struct model_result *plain,
	const struct model_result *engine)
{
	if ((plain->pkts_known && plain->pkts != engine->pkts) ||
		(plain->passed_known && plain->passed_pkts != engine->passed_pkts) ||
		(f->kind == MODEL_CHANCE && !main_chance_agrees(f, engine)))
		return false;
	if (engine->lost_pkts > 0) /* files lose nothing */
		return false;
	if (!plain->known)
		return true;
	return plain->value == engine->value && plain->digest == engine->digest &&
		plain->count == engine->count && main_sums_agree(plain->sum, engine->sum) &&
		main_sums_agree(plain->sum2, engine->sum2) && plain->max == engine->max &&
		plain->min == engine->min;
}

static void main_print_result(const char *who, const struct model_result *r)
{
	printf("    %s: value %llu, digest %016llx, count %llu, sum %.21Lg, sum2 %.21Lg, max "
	       "%.17g, min %.17g, %llu packets, %llu passed\n",
		who, (unsigned long long)r->value, (unsigned long long)r->digest, r->count, r->sum,
		r->sum2, r->max, r->min, (unsigned long long)r->pkts,
		(unsigned long long)r->passed_pkts);
}

unsigned int model_compare(const struct model_case *c, const struct model_results *plain,
	const struct model_results *engine, struct model_totals *totals)
{
	unsigned int differences = 0;

	for (unsigned int i = 0; i < c->n_flows; i++) {
		for (unsigned int k = 0; k < c->flows[i].n_functions; k++) {
			const struct model_result *p = &plain->of[i][k], *e = &engine->of[i][k];

			if (!p->known) {
				const uint64_t values[4] = { e->value, e->digest, e->pkts,
					e->passed_pkts };

				totals->digest = model_digest(totals->digest, e->count,
					sizeof(values), 0, (const uint8_t *)values);
				totals->chance++;
			} else {
				totals->results++;
			}
			if (main_agree(&c->flows[i].functions[k], p, e))
				continue;
			differences++;
			printf("differs: flow %u, function %u\n", i + 1, k + 1);
			main_print_result("plain machine", p);
			main_print_result("engine       ", e);
		}
	}
	return differences;
}

static void main_case(const struct model_drawing *drawing, uint64_t n,
	const struct model_capture captures[], unsigned int n_captures, bool verbose,
	struct model_totals *totals)
{
	uint64_t seed = drawing->seed + n;
	const struct model_capture *capture = &captures[seed % n_captures];
	struct model_results plain, engine;
	struct model_case c;
	unsigned int differences;

	/* Draw again until all filters suit the capture's link type. */
	for (unsigned int attempt = 0;; attempt++) {
		model_case_draw(&c, seed + attempt * 1000003u, capture, drawing->filters,
			drawing->n_filters);
		if (model_plain_run(&plain, &c, capture) == 0)
			break;
		if (attempt == 50)
			return;
	}
	if (verbose) {
		printf("case %llu: %s\n", (unsigned long long)seed, capture->path);
		model_case_print(&c);
		fflush(stdout);
	}
	totals->cases++;
	if (model_engine_run(&engine, &c, capture) < 0)
		differences = 1;
	else
		differences = model_compare(&c, &plain, &engine, totals);
	if (differences) {
		totals->differences++;
		printf("differs: case %llu: %s\n", (unsigned long long)seed, capture->path);
		model_case_print(&c);
		fflush(stdout);
	}
}

/* Lines of @path that are neither empty nor comments. */
static unsigned int main_read_filters(const char *path, char *filters[])
{
	FILE *file = fopen(path, "r");
	char line[MODEL_TEXT_BYTES];
	unsigned int n = 0;

	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(2);
	}
	while (n < MAIN_FILTERS_MAX && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '#' && line[0] != '\0')
			filters[n++] = strdup(line);
	}
	fclose(file);
	return n;
}

static double main_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Keep what libpcap reads to the end, at most @max_bytes long, with at least one packet; @live:
 * that can be sent. */
static unsigned int main_read_captures(struct model_capture captures[], char *paths[],
	unsigned int n_paths, long long max_bytes, bool live)
{
	unsigned int n = 0;
	struct stat info;

	for (unsigned int i = 0; i < n_paths; i++) {
		if (stat(paths[i], &info) < 0 || info.st_size > max_bytes)
			continue;
		if (model_capture_read(&captures[n], paths[i]) < 0)
			continue;
		if (captures[n].n_pkts > 0 && (!live || model_live_prepare(&captures[n])))
			n++;
		else
			model_capture_free(&captures[n]);
	}
	return n;
}

int main(int argc, char *argv[])
{
	char *filters[MAIN_FILTERS_MAX];
	unsigned int n_captures;
	struct model_totals totals = { .digest = MODEL_DIGEST_EMPTY };
	struct model_drawing drawing = { .filters = filters, .n_cases = 100, .seed = 1 };
	struct model_cable cable = { .in = NULL };
	double end = main_seconds() + 1e9;
	long long max_bytes = 1 << 20;
	struct model_capture *captures;
	bool verbose = false, quiet = false;
	int option;

	while ((option = getopt(argc, argv, "f:n:s:t:b:i:o:qv")) != -1) {
		switch (option) {
		case 'f':
			drawing.n_filters = main_read_filters(optarg, filters);
			break;
		case 'n':
			drawing.n_cases = strtoull(optarg, NULL, 10);
			break;
		case 's':
			drawing.seed = strtoull(optarg, NULL, 10);
			break;
		case 't':
			end = main_seconds() + strtod(optarg, NULL);
			break;
		case 'b':
			max_bytes = strtoll(optarg, NULL, 10);
			break;
		case 'i':
			cable.in = optarg;
			break;
		case 'o':
			cable.out = optarg;
			break;
		case 'q':
			quiet = true;
			break;
		case 'v':
			verbose = true;
			break;
		default:
			return 2;
		}
	}
	if (!cable.in != !cable.out)
		return 2;
	if (quiet && !freopen("/dev/null", "w", stderr))
		return 2;
	setenv("MAPI_SEED", "7", 1);
	captures = calloc((size_t)(argc - optind) + 1, sizeof(*captures));
	n_captures = main_read_captures(captures, argv + optind, (unsigned int)(argc - optind),
		max_bytes, cable.in != NULL);
	if (drawing.n_filters == 0 || n_captures == 0) {
		printf("model: no filters or no captures\n");
		return 2;
	}
	if (cable.in)
		model_live(captures, n_captures, &cable, &drawing, &totals);
	for (uint64_t n = 0; !cable.in && n < drawing.n_cases && main_seconds() < end; n++)
		main_case(&drawing, n, captures, n_captures, verbose, &totals);

	if (cable.in)
		printf("live: %u packets; %u cases had to be drawn again, %u lost packets\n",
			totals.pkts, totals.late, totals.lost);
	printf("model: %u cases on %u captures, %u results compared, %u of chance, %u cases "
	       "differ\n",
		totals.cases, n_captures, totals.results, totals.chance, totals.differences);
	printf("chance %016llx\n", (unsigned long long)totals.digest);
	for (unsigned int i = 0; i < n_captures; i++)
		model_capture_free(&captures[i]);
	free(captures);
	for (unsigned int i = 0; i < drawing.n_filters; i++)
		free(filters[i]);
	return totals.differences != 0 || totals.cases == 0;
}
