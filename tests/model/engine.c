/* SPDX-License-Identifier: BSD-2-Clause */
/* A case through libmapi. */
#include "engine.h"

#include <mapi.h>
#include <mapi/bucket.h>
#include <mapi/dist.h>
#include <mapi/hashsamp.h>
#include <mapi/sample.h>
#include <mapi/stats.h>
#include <mapi/topx.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flows.h"

static const char *engine_name_file(struct engine *e, unsigned int i, unsigned int k)
{
	char *path = e->output[i][k];

	snprintf(path, sizeof(e->output[i][k]), "model-%d-%u-%u-%u.out", (int)getpid(), e->number,
		i, k);
	return path;
}

static int engine_apply_file(struct engine *e, unsigned int i, unsigned int k)
{
	const struct model_function *f = &e->c->flows[i].functions[k];
	const char *path = engine_name_file(e, i, k);

	return mapi_apply_function(
		e->fd[i], "TO_FILE", f->number, path, (unsigned long long)f->depth);
}

/* Lists name functions as "fid@fd". */
static int engine_apply_lines(struct engine *e, unsigned int i, unsigned int k)
{
	const struct model_function *f = &e->c->flows[i].functions[k];
	const char *path = engine_name_file(e, i, k);
	char types[64] = "", results[128] = "";

	for (unsigned int r = 0; r < f->n_refs; r++) {
		const struct model_ref *ref = &f->refs[r];
		size_t at = strlen(types);

		snprintf(types + at, sizeof(types) - at, "%s%d", r ? "," : "", ref->format);
		at = strlen(results);
		snprintf(results + at, sizeof(results) - at, "%s%d@%d", r ? "," : "",
			e->fid[ref->flow][ref->function], e->fd[ref->flow]);
	}
	return mapi_apply_function(
		e->fd[i], "RES2FILE", types, results, "header", path, f->text, f->number);
}

/* The case numbers flows from 0, with a digit. */
static int engine_apply_sync(struct engine *e, unsigned int i, unsigned int k)
{
	char list[64] = "";

	for (const char *at = e->c->flows[i].functions[k].text; *at; at++) {
		size_t len = strlen(list);

		snprintf(list + len, sizeof(list) - len, "%s%d", len ? "," : "", e->fd[*at - '0']);
	}
	return mapi_apply_function(e->fd[i], "SYNC", list);
}

static int engine_apply_dist(int fd, int ref_fd, int ref_fid, const struct model_function *f)
{
	char texts[3][16];

	for (unsigned int n = 0; n < 3; n++)
		snprintf(texts[n], sizeof(texts[n]), "%d", f->numbers[n]);
	return mapi_apply_function(fd, "DIST", ref_fd, ref_fid, texts[0], texts[1], texts[2]);
}

static int engine_apply(struct engine *e, unsigned int i, unsigned int k)
{
	const struct model_function *f = &e->c->flows[i].functions[k];
	int fd = e->fd[i], ref_fd = e->fd[f->ref_flow];
	int ref_fid = e->fid[f->ref_flow][f->ref_function];
	const struct model_ref *refs = f->refs;

	switch (f->kind) {
	case MODEL_BPF_FILTER:
		return mapi_apply_function(fd, "BPF_FILTER", f->text);
	case MODEL_STR_SEARCH:
		return mapi_apply_function(fd, "STR_SEARCH", f->text, f->number, f->depth);
	case MODEL_SAMPLE:
		return mapi_apply_function(fd, "SAMPLE", f->number, PERIODIC);
	case MODEL_CHANCE:
		return mapi_apply_function(fd, "SAMPLE", f->number, PROBABILISTIC);
	case MODEL_HASHSAMP:
		return mapi_apply_function(fd, "HASHSAMP", f->number, f->depth);
	case MODEL_REGEXP:
		return mapi_apply_function(fd, "REGEXP", f->text);
	case MODEL_INTERFACE:
		return mapi_apply_function(fd, "INTERFACE", f->number);
	case MODEL_TOP:
		return mapi_apply_function(fd, "TOP", f->numbers[0], f->numbers[1], f->numbers[2],
			f->numbers[3], (int)strtol(f->text, NULL, 10));
	case MODEL_CUT:
		return mapi_apply_function(fd, "CUT", f->number);
	case MODEL_PKT_COUNTER:
		return mapi_apply_function(fd, "PKT_COUNTER");
	case MODEL_BYTE_COUNTER:
		return mapi_apply_function(fd, "BYTE_COUNTER");
	case MODEL_PKTINFO:
		return mapi_apply_function(fd, "PKTINFO", f->number);
	case MODEL_HASH:
		return mapi_apply_function(fd, "HASH", f->number);
	case MODEL_GAP:
		return mapi_apply_function(fd, "GAP");
	case MODEL_BINOP:
		return mapi_apply_function(fd, "BINOP", f->number, e->fd[refs[0].flow],
			e->fid[refs[0].flow][refs[0].function], e->fd[refs[1].flow],
			e->fid[refs[1].flow][refs[1].function]);
	case MODEL_STATS:
		return mapi_apply_function(fd, "STATS", ref_fd, ref_fid, f->text);
	case MODEL_DIST:
		return engine_apply_dist(fd, ref_fd, ref_fid, f);
	case MODEL_BUCKET:
		return mapi_apply_function(fd, "BUCKET", ref_fd, ref_fid, f->text, f->number);
	case MODEL_THRESHOLD: /* "0" or "...us" */
		return mapi_apply_function(fd, "THRESHOLD", f->number, ref_fd, ref_fid,
			(unsigned long long)f->depth, f->numbers[0], (int)strtol(f->text, NULL, 10),
			f->numbers[1], f->numbers[2]);
	case MODEL_TO_BUFFER:
		return mapi_apply_function(fd, "TO_BUFFER", e->live ? NOWAIT : WAIT);
	case MODEL_TO_FILE:
		return engine_apply_file(e, i, k);
	case MODEL_RES2FILE:
		return engine_apply_lines(e, i, k);
	case MODEL_STARTSTOP:
		return mapi_apply_function(fd, "STARTSTOP", f->text, f->stop);
	case MODEL_BURST:
		return mapi_apply_function(fd, "BURST", f->numbers[0], f->numbers[1], f->numbers[2],
			f->numbers[3], f->numbers[4], f->numbers[5], f->numbers[6]);
	case MODEL_SYNC:
		return engine_apply_sync(e, i, k);
	case _MODEL_KIND_N:
		break;
	}
	return -1;
}

/* Whether flow @i is connected, and so are those that it refers to. */
static bool engine_may_connect(
	const struct model_flow *flow, const bool connected[], unsigned int i)
{
	for (unsigned int k = 0; k < flow->n_functions; k++) {
		const struct model_function *f = &flow->functions[k];

		if (model_has_source(f->kind) && f->ref_flow != i && !connected[f->ref_flow])
			return false;
		for (unsigned int r = 0; r < f->n_refs; r++)
			if (f->refs[r].flow != i && !connected[f->refs[r].flow])
				return false;
	}
	return true;
}

bool engine_connect_order(const struct model_case *c, unsigned int ret[MODEL_FLOWS_MAX])
{
	bool connected[MODEL_FLOWS_MAX] = { false };
	unsigned int n = 0;

	for (unsigned int round = 0; round < c->n_flows; round++)
		for (unsigned int i = 0; i < c->n_flows; i++)
			if (!connected[i] && engine_may_connect(&c->flows[i], connected, i)) {
				connected[i] = true;
				ret[n++] = i;
			}
	return n == c->n_flows;
}

static int engine_connect(struct engine *e)
{
	unsigned int order[MODEL_FLOWS_MAX] = { 0, 1, 2 };

	if (e->live && !engine_connect_order(e->c, order))
		return -1;
	for (unsigned int i = 0; i < e->c->n_flows; i++) {
		if (mapi_connect(e->fd[order[i]]) < 0) {
			flows_error("mapi_connect");
			return -1;
		}
	}
	return 0;
}

int engine_make(struct engine *e)
{
	unsigned int applied[MODEL_FLOWS_MAX] = { 0 };

	for (unsigned int i = 0; i < e->c->n_flows; i++) {
		e->fd[i] = mapi_create_flow(e->device);
		if (e->fd[i] < 0) {
			flows_error("mapi_create_flow");
			return -1;
		}
	}
	for (unsigned int n = 0; n < e->c->n_order; n++) {
		unsigned int i = e->c->order[n], k = applied[i]++;

		e->fid[i][k] = engine_apply(e, i, k);
		if (e->fid[i][k] != (int)k + 1) {
			fprintf(stderr, "flow %u function %u: id %d\n", i + 1, k + 1, e->fid[i][k]);
			flows_error("mapi_apply_function");
			return -1;
		}
	}
	return engine_connect(e);
}

static int engine_read_packets(
	struct engine *e, unsigned int i, unsigned int k, struct model_result *ret)
{
	const struct mapipkt *pkt;
	int code = 0;

	while ((pkt = mapi_get_next_pkt(e->fd[i], e->fid[i][k]))) {
		ret->value++;
		ret->digest = model_digest(ret->digest, pkt->ts, pkt->caplen, pkt->wlen, &pkt->pkt);
	}
	mapi_read_error(&code, NULL);
	if (code != 0)
		fprintf(stderr, "mapi_get_next_pkt: %d\n", code);
	return code == 0 ? 0 : -1;
}

static bool engine_gives_records(const struct model_function *f)
{
	return f->kind == MODEL_BUCKET || f->kind == MODEL_THRESHOLD ||
		(f->kind == MODEL_HASHSAMP && f->depth);
}

/* A file's next one is worth waiting for. */
static bool engine_has_record(struct engine *e, unsigned int i, unsigned int k)
{
	struct pollfd poll_fd = { .fd = mapi_fileno(e->fd[i], e->fid[i][k]), .events = POLLIN };

	return !e->live || poll(&poll_fd, 1, 0) == 1;
}

/* Records of BUCKET and THRESHOLD are a time and a value. */
static int engine_read_records(
	struct engine *e, unsigned int i, unsigned int k, struct model_result *ret)
{
	size_t n_bytes = e->c->flows[i].functions[k].kind == MODEL_HASHSAMP
		? sizeof(struct sample)
		: sizeof(struct bucket_data);
	const mapi_results_t *results;
	int code = 0;

	while (engine_has_record(e, i, k) &&
		(results = mapi_read_results(e->fd[i], e->fid[i][k]))) {
		ret->value++;
		ret->digest = model_digest_bytes(ret->digest, results->res, n_bytes);
	}
	mapi_read_error(&code, NULL);
	if (code != 0)
		fprintf(stderr, "mapi_read_results: %d\n", code);
	return code == 0 ? 0 : -1;
}

static void engine_take_dist(const mapi_results_t *results, struct model_result *ret)
{
	const dist_t *dist = results->res;

	ret->value = dist->intervals + 2;
	ret->digest = model_digest_bytes(
		ret->digest, dist->data, (size_t)results->size - offsetof(dist_t, data));
}

/* A number, and so many records at once behind it. */
static void engine_take_top(const mapi_results_t *results, struct model_result *ret)
{
	const char *res = results->res;
	unsigned int n;

	memcpy(&n, res, sizeof(n));
	ret->value = n;
	ret->digest =
		model_digest_bytes(ret->digest, res + sizeof(n), n * sizeof(struct topx_result));
}

static void engine_take_stats(const mapi_results_t *results, struct model_result *ret)
{
	const stats_t *stats = results->res;

	ret->count = stats->count;
	ret->sum = stats->sum;
	ret->sum2 = stats->sum2;
	ret->max = stats->max;
	ret->min = stats->min;
}

/* HASHSAMP without records gives an empty one. */
static void engine_take_nothing(const mapi_results_t *results, struct model_result *ret)
{
	static const struct sample nothing;

	if (results->size != sizeof(nothing) ||
		memcmp(results->res, &nothing, sizeof(nothing)) != 0)
		ret->value = UINT64_MAX;
}

static int engine_read_status(
	struct engine *e, unsigned int i, unsigned int k, struct model_result *ret)
{
	struct mapi_result_status status = { .sz = sizeof(status) };
	mapi_function_info_t info;

	if (mapi_get_function_info(e->fd[i], e->fid[i][k], &info) < 0 ||
		mapi_result_status(e->fd[i], e->fid[i][k], 0, &status) < 0) {
		flows_error("mapi_get_function_info, mapi_result_status");
		return -1;
	}
	ret->pkts = info.pkts;
	ret->passed_pkts = info.passed_pkts;
	/* What an interface drops counts what no protocol of the kernel wanted, captured or not:
	 * frames with tags, for instance. live.c counts for itself. */
	for (unsigned int n = 0; n < MAPI_N_LOSS; n++)
		if (!e->live || n != MAPI_LOSS_NIC)
			ret->lost_pkts += status.lost_pkts[n];
	return 0;
}

static int engine_read_result(
	struct engine *e, unsigned int i, unsigned int k, struct model_result *ret)
{
	const struct model_function *f = &e->c->flows[i].functions[k];
	const mapi_results_t *results;

	if (engine_read_status(e, i, k, ret) < 0)
		return -1;
	if (f->kind == MODEL_TO_BUFFER || f->kind == MODEL_TO_FILE || engine_gives_records(f))
		return 0;
	results = mapi_read_results(e->fd[i], e->fid[i][k]);
	if (!results) {
		flows_error("mapi_read_results");
		return -1;
	}
	if (f->kind == MODEL_STATS) {
		engine_take_stats(results, ret);
	} else if (f->kind == MODEL_TOP) {
		engine_take_top(results, ret);
	} else if (f->kind == MODEL_HASHSAMP) {
		engine_take_nothing(results, ret);
	} else if (f->kind == MODEL_STARTSTOP || f->kind == MODEL_BURST) {
		ret->digest =
			model_digest_bytes(MODEL_DIGEST_EMPTY, results->res, (size_t)results->size);
	} else if (f->kind == MODEL_DIST) {
		engine_take_dist(results, ret);
	} else if (results->size == 8) {
		ret->value = *(const unsigned long long *)results->res;
	} else if (results->size == 4) {
		ret->value = *(const unsigned int *)results->res;
	}
	return 0;
}

static void engine_read_file(const char *path, struct model_result *ret)
{
	struct model_capture capture;

	if (model_capture_read(&capture, path) == 0) {
		ret->value = capture.n_pkts;
		for (unsigned int n = 0; n < capture.n_pkts; n++)
			ret->digest = model_digest(ret->digest, capture.pkts[n].ts_ns,
				capture.pkts[n].cap_bytes, capture.pkts[n].wire_bytes,
				capture.pkts[n].data);
		model_capture_free(&capture);
	}
	unlink(path);
}

static void engine_read_lines(const char *path, struct model_result *ret)
{
	FILE *file = fopen(path, "rb");
	char bytes[4096];
	size_t n;

	if (file) {
		while ((n = fread(bytes, 1, sizeof(bytes), file)) > 0)
			ret->digest = model_digest_bytes(ret->digest, bytes, n);
		fclose(file);
	}
	unlink(path);
}

typedef int (*engine_each)(
	struct engine *e, unsigned int i, unsigned int k, struct model_result *ret);

static int engine_packets_of_ring(
	struct engine *e, unsigned int i, unsigned int k, struct model_result *ret)
{
	ret->digest = MODEL_DIGEST_EMPTY;
	if (engine_gives_records(&e->c->flows[i].functions[k]))
		return engine_read_records(e, i, k, ret);
	if (e->c->flows[i].functions[k].kind != MODEL_TO_BUFFER)
		return 0;
	return engine_read_packets(e, i, k, ret);
}

static int engine_packets_of_file(
	struct engine *e, unsigned int i, unsigned int k, struct model_result *ret)
{
	if (e->c->flows[i].functions[k].kind == MODEL_TO_FILE)
		engine_read_file(e->output[i][k], ret);
	if (e->c->flows[i].functions[k].kind == MODEL_RES2FILE)
		engine_read_lines(e->output[i][k], ret);
	return 0;
}

static int engine_for_all(struct engine *e, engine_each each, struct model_results *ret)
{
	for (unsigned int i = 0; i < e->c->n_flows; i++)
		for (unsigned int k = 0; k < e->c->flows[i].n_functions; k++)
			if (each(e, i, k, &ret->of[i][k]) < 0)
				return -1;
	return 0;
}

int engine_read_rings(struct engine *e, struct model_results *ret)
{
	*ret = (struct model_results){ .next_end_ns = UINT64_MAX };
	return engine_for_all(e, engine_packets_of_ring, ret);
}

int engine_read_results(struct engine *e, struct model_results *ret)
{
	return engine_for_all(e, engine_read_result, ret);
}

int engine_close(struct engine *e)
{
	int r = 0;

	for (unsigned int i = 0; i < e->c->n_flows; i++) {
		if (e->fd[i] > 0 && mapi_close_flow(e->fd[i]) < 0) {
			flows_error("mapi_close_flow");
			r = -1;
		}
	}
	return r;
}

void engine_read_files(struct engine *e, struct model_results *ret)
{
	(void)engine_for_all(e, engine_packets_of_file, ret);
}

/* ---- a case on a capture file ---- */

static int engine_go(struct engine *e, struct model_results *ret)
{
	if (engine_make(e) < 0)
		return -1;
	if (mapi_start_offline_device(e->device) < 0) {
		flows_error("mapi_start_offline_device");
		return -1;
	}
	if (engine_read_rings(e, ret) < 0)
		return -1;
	for (unsigned int i = 0; i < e->c->n_flows; i++) {
		if (flows_wait_end(e->fd[i]) < 0) {
			flows_error("mapi_get_flow_info");
			return -1;
		}
	}
	return engine_read_results(e, ret);
}

int model_engine_run(
	struct model_results *ret, const struct model_case *c, const struct model_capture *capture)
{
	char *device = mapi_create_offline_device(capture->path, MFF_PCAP);
	struct engine e = { .c = c, .device = device };
	int r;

	if (!device) {
		flows_error("mapi_create_offline_device");
		return -1;
	}
	r = engine_go(&e, ret);
	if (engine_close(&e) < 0)
		r = -1;
	if (mapi_delete_offline_device(device) < 0)
		r = -1;
	engine_read_files(&e, ret);
	return r;
}
