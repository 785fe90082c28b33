/* SPDX-License-Identifier: BSD-2-Clause */
/* A program of one of the two daemons. */
#include "twins.h"

#include <mapi.h>
#include <mapi/explain.h>
#include <mapi/sample.h>
#include <mapi/stats.h>
#include <stdlib.h>
#include <string.h>

#include "../process.h"
#include "flush.h"

#define SIDE_PATIENCE_S 10
#define SIDE_STILL_S 0.15 /* some periods of TWINS_PERIODS */

struct side {
	const char *device;
	bool ordered;
	FILE *in, *out;
	int all_fd, all_fid; /* counts whatever comes */
	struct twins_case c;
	int fd[TWINS_FLOWS_MAX], fid[TWINS_FLOWS_MAX][TWINS_FUNCTIONS_MAX];
	bool connected[TWINS_FLOWS_MAX];
};

static _Noreturn void side_fail(const struct side *s, const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";
	int code = 0;

	mapi_read_error(&code, text);
	fprintf(s->out, "failed: %s: %d %s\n.\n", what, code, text);
	fflush(s->out);
	exit(1);
}

/* ---- flows ---- */

static int side_apply(const struct side *s, unsigned int i, unsigned int k)
{
	const struct twins_function *f = &s->c.flows[i].functions[k];
	const struct twins_ref *a = &f->refs[0], *b = &f->refs[1];
	int fd = s->fd[i], a_fd = s->fd[a->flow], b_fd = s->fd[b->flow];
	int a_fid = s->fid[a->flow][a->function], b_fid = s->fid[b->flow][b->function];

	switch (f->kind) {
	case TWINS_BPF_FILTER:
		return mapi_apply_function(fd, "BPF_FILTER", f->text);
	case TWINS_PKT_COUNTER:
		return mapi_apply_function(fd, "PKT_COUNTER");
	case TWINS_BYTE_COUNTER:
		return mapi_apply_function(fd, "BYTE_COUNTER");
	case TWINS_SAMPLE:
		return mapi_apply_function(fd, "SAMPLE", f->number, PERIODIC);
	case TWINS_CHANCE:
		return mapi_apply_function(fd, "SAMPLE", f->number, PROBABILISTIC);
	case TWINS_HASHSAMP:
		return mapi_apply_function(fd, "HASHSAMP", f->number, 0);
	case TWINS_STARTSTOP:
		return mapi_apply_function(fd, "STARTSTOP", f->text, f->stop);
	case TWINS_PERIODS:
		return mapi_apply_function(fd, "STATS", a_fd, a_fid, f->text);
	case TWINS_STATS:
		return mapi_apply_function(fd, "STATS", a_fd, a_fid, "0");
	case TWINS_BINOP:
		return mapi_apply_function(fd, "BINOP", f->number, a_fd, a_fid, b_fd, b_fid);
	case TWINS_DIST:
		return mapi_apply_function(fd, "DIST", a_fd, a_fid, "0", "1500", "100");
	case TWINS_PKTINFO:
		return mapi_apply_function(fd, "PKTINFO", 1); /* size */
	case TWINS_HASH:
		return mapi_apply_function(fd, "HASH", f->number);
	case TWINS_STR_SEARCH:
		return mapi_apply_function(fd, "STR_SEARCH", f->text, 0, 0);
	case TWINS_CUT:
		return mapi_apply_function(fd, "CUT", f->number);
	case _TWINS_KIND_N:
		break;
	}
	return -1;
}

static void side_case(struct side *s, uint64_t seed)
{
	twins_case_draw(&s->c, seed, s->ordered);
	for (unsigned int i = 0; i < s->c.n_flows; i++) {
		s->fd[i] = mapi_create_flow(s->device);
		if (s->fd[i] < 0)
			side_fail(s, "mapi_create_flow");
		for (unsigned int k = 0; k < s->c.flows[i].n_functions; k++) {
			s->fid[i][k] = side_apply(s, i, k);
			if (s->fid[i][k] < 0)
				side_fail(s, "mapi_apply_function");
		}
	}
}

static void side_connect(struct side *s, unsigned int i)
{
	if (mapi_connect(s->fd[i]) < 0)
		side_fail(s, "mapi_connect");
	s->connected[i] = true;
}

static void side_close(struct side *s, unsigned int i)
{
	if (mapi_close_flow(s->fd[i]) < 0)
		side_fail(s, "mapi_close_flow");
	s->connected[i] = false;
	s->fd[i] = 0;
}

static void side_end(struct side *s)
{
	for (unsigned int i = 0; i < s->c.n_flows; i++)
		if (s->fd[i])
			side_close(s, i);
}

/* One flow more, that counts in the kernel, or wants some packets, or all; then it goes. */
static void side_churn(const struct side *s, uint64_t seed, unsigned int n)
{
	for (uint64_t state = seed; n > 0; n--) {
		char filter[TWINS_TEXT_BYTES];
		unsigned int kind = twins_below(&state, 3);
		int fd = mapi_create_flow(s->device);

		twins_filter_draw(&state, filter);
		if (fd < 0 || (kind < 2 && mapi_apply_function(fd, "BPF_FILTER", filter) < 0) ||
			(kind == 0 ? mapi_apply_function(fd, "PKT_COUNTER")
				   : mapi_apply_function(fd, "TO_BUFFER", 1)) < 0 ||
			mapi_connect(fd) < 0 || mapi_close_flow(fd) < 0)
			side_fail(s, "flows that come and go");
	}
}

/* ---- results ---- */

/* But for what the interface says itself, which is asked for now and then. */
static unsigned long long side_lost(const struct side *s, int fd, int fid)
{
	struct mapi_result_status status = { .sz = sizeof(status) };
	unsigned long long lost = 0;

	if (mapi_result_status(fd, fid, 0, &status) < 0)
		side_fail(s, "mapi_result_status");
	for (int i = 0; i < MAPI_N_LOSS; i++)
		lost += i == MAPI_LOSS_NIC ? 0 : status.lost_pkts[i];
	return lost;
}

static void side_flush(const struct side *s, int fd)
{
	if (flush_patiently(fd) < 0)
		side_fail(s, "mapi_flush");
}

static const void *side_result(const struct side *s, int fd, int fid, int *ret_bytes)
{
	const mapi_results_t *result = mapi_read_results(fd, fid);

	if (!result)
		side_fail(s, "mapi_read_results");
	if (ret_bytes)
		*ret_bytes = result->size;
	return result->res;
}

static void side_reach(const struct side *s, unsigned long long n)
{
	double end = process_seconds() + SIDE_PATIENCE_S;
	unsigned long long count, lost;

	do {
		side_flush(s, s->all_fd);
		count = *(const unsigned long long *)side_result(s, s->all_fd, s->all_fid, NULL);
		lost = side_lost(s, s->all_fd, s->all_fid);
	} while (count + lost < n && process_seconds() < end);
	fprintf(s->out, "came %llu lost %llu\n", count, lost);
}

/* Until the last period with packets has ended. */
static void side_print_sum(const struct side *s, int fd, int fid)
{
	long double sum = -1, before = -1;
	double since = process_seconds();

	while (process_seconds() - since < SIDE_STILL_S) {
		side_flush(s, fd);
		sum = ((const stats_t *)side_result(s, fd, fid, NULL))->sum;
		if (sum != before)
			since = process_seconds();
		before = sum;
	}
	fprintf(s->out, " sum %.0Lf", sum);
}

static bool side_has_result(const struct twins_function *f)
{
	return f->kind == TWINS_PKT_COUNTER || f->kind == TWINS_BYTE_COUNTER ||
		(f->kind >= TWINS_STATS && f->kind < TWINS_STR_SEARCH);
}

static void side_print_result(const struct side *s, int fd, int fid, enum twins_kind kind)
{
	int n_bytes;
	const unsigned char *bytes = side_result(s, fd, fid, &n_bytes);

	if (kind == TWINS_STATS) {
		const stats_t *stats = (const void *)bytes;

		fprintf(s->out, " %llu %.0Lf %.0Lf %.0f %.0f", stats->count, stats->sum,
			stats->sum2, stats->max, stats->min);
		return;
	}
	for (fputc(' ', s->out); n_bytes > 0; n_bytes--)
		fprintf(s->out, "%02x", *bytes++);
}

static void side_read_flow(const struct side *s, unsigned int i, unsigned int round)
{
	bool churned = twins_has_churned(&s->c, round), final = round + 1 == s->c.n_rounds;

	side_flush(s, s->fd[i]);
	for (unsigned int k = 0; k < s->c.flows[i].n_functions; k++) {
		const struct twins_function *f = &s->c.flows[i].functions[k];
		int fd = s->fd[i], fid = s->fid[i][k];
		bool is_known = !churned || !f->vague_value;
		mapi_function_info_t info;

		if (mapi_get_function_info(fd, fid, &info) < 0)
			side_fail(s, "mapi_get_function_info");
		fprintf(s->out, "flow %u function %u: lost %llu", i, k, side_lost(s, fd, fid));
		if (!churned || !f->vague)
			fprintf(s->out, ", %llu packets, %llu passed", info.pkts, info.passed_pkts);
		if (f->kind == TWINS_PERIODS && final && is_known)
			side_print_sum(s, fd, fid);
		else if (side_has_result(f) && f->number >= 0 && is_known)
			side_print_result(s, fd, fid, f->kind);
		fputc('\n', s->out);
	}
}

static void side_tiers(const struct side *s)
{
	for (unsigned int i = 0; i < s->c.n_flows; i++)
		for (unsigned int k = 0; s->connected[i] && k < s->c.flows[i].n_functions; k++) {
			struct mapi_explanation e = { .sz = sizeof(e) };

			if (mapi_explain(s->fd[i], s->fid[i][k], &e) < 0)
				side_fail(s, "mapi_explain");
			fprintf(s->out, "%u %u %d %s\n", i, k, e.tier == MAPI_TIER_KERNEL,
				e.reason);
		}
}

/* ---- commands ---- */

static void side_do(struct side *s, const char *line)
{
	unsigned long long a = 0, b = 0;
	char word[16] = "";

	(void)sscanf(line, "%15s %llu %llu", word, &a, &b);
	if (strcmp(word, "case") == 0)
		side_case(s, a);
	else if (strcmp(word, "connect") == 0)
		side_connect(s, (unsigned int)a);
	else if (strcmp(word, "close") == 0)
		side_close(s, (unsigned int)a);
	else if (strcmp(word, "churn") == 0)
		side_churn(s, a, (unsigned int)b);
	else if (strcmp(word, "reach") == 0)
		side_reach(s, a);
	else if (strcmp(word, "tiers") == 0)
		side_tiers(s);
	else if (strcmp(word, "end") == 0)
		side_end(s);
	for (unsigned int i = 0; strcmp(word, "read") == 0 && i < s->c.n_flows; i++)
		if (s->connected[i])
			side_read_flow(s, i, (unsigned int)a);
	fprintf(s->out, ".\n");
	fflush(s->out);
}

void twins_side(const char *device, bool ordered, FILE *in, FILE *out)
{
	struct side *s = calloc(1, sizeof(*s));
	char line[64];

	if (!s)
		exit(1);
	*s = (struct side){ .device = device, .ordered = ordered, .in = in, .out = out };
	s->all_fd = mapi_create_flow(device);
	s->all_fid = mapi_apply_function(s->all_fd, "PKT_COUNTER");
	if (s->all_fd < 0 || s->all_fid < 0 || mapi_connect(s->all_fd) < 0)
		side_fail(s, "a flow that counts all");
	while (fgets(line, sizeof(line), s->in))
		side_do(s, line);
	side_end(s);
	(void)mapi_close_flow(s->all_fd);
	exit(0);
}
