/* SPDX-License-Identifier: BSD-2-Clause */
/* The state of the plain machine, shared by its files. */
#ifndef TESTS_MODEL_PLAIN_H
#define TESTS_MODEL_PLAIN_H

#include <mapi/topx.h>

#include "model.h"

/* So many periods without packets: then none begins before a packet comes. */
#define PLAIN_EMPTY_MAX 100000u

struct plain_burst {
	uint64_t pkts; /* of the one that is not over */
	uint64_t bytes;
	uint64_t last_ns;
	uint64_t last_bytes;
	unsigned long categories[MODEL_CATEGORIES_MAX][5];
};

struct plain_function {
	struct bpf_program program;
	uint64_t seen; /* packets that reached it */
	uint64_t value; /* what a reference to it sees */
	bool unknown; /* something before it cannot be foretold */
	bool unsure; /* has met packets whose headers this machine cannot read */
	bool to_be_reset;
	bool begun;
	bool has_ended; /* a period before the current packet; its zeroes are still to come */
	uint64_t begin_ns;
	bool has_pkts; /* RES2FILE, BUCKET, THRESHOLD: in the current period */
	bool holds; /* THRESHOLD */
	bool has_before; /* THRESHOLD */
	uint64_t before; /* THRESHOLD: what it compared last; GAP: time of the last packet */
	uint64_t slots[MODEL_SLOTS_MAX + 2]; /* DIST */
	uint64_t n_empty; /* RES2FILE, BUCKET, THRESHOLD: periods without packets before it */
	uint64_t start_ns, stop_ns; /* STARTSTOP, from its first packet on */
	uint64_t times[3]; /* STARTSTOP: its result */
	struct plain_burst burst;
	struct topx_result *top; /* TOP: all values of its interval */
	unsigned int n_top;
	struct model_result result;
};

struct plain {
	const struct model_case *c;
	const struct model_capture *capture;
	struct plain_function of[MODEL_FLOWS_MAX][MODEL_FUNCTIONS_MAX];
	uint64_t now_ns; /* the largest time so far */
	uint64_t end_ns; /* the period that ends next */
};

uint64_t plain_period_ns(const char *text);

/* STATS: samples of the periods that have ended up to @until_ns after the one that had a sample. */
void plain_settle(struct plain_function *p, const struct model_function *f, uint64_t until_ns);

/* plain_headers.c */
void plain_hash(struct plain *m, struct plain_function *p, const struct model_function *f,
	const struct model_packet *pkt);
/* Return: whether the packet passes. */
bool plain_hashsamp(struct plain *m, struct plain_function *p, const struct model_function *f,
	const struct model_packet *pkt);
void plain_top(struct plain *m, struct plain_function *p, const struct model_function *f,
	const struct model_packet *pkt);
void plain_top_end(struct plain_function *p, const struct model_function *f, uint64_t ts_ns);
void plain_top_result(
	const struct plain *m, struct plain_function *p, const struct model_function *f);

/* plain_regexp.c. Return: whether the packet passes. */
bool plain_regexp(const struct model_function *f, const struct model_packet *pkt);

/* plain_save.c */
void plain_save_open(struct plain_function *p);
void plain_save(struct plain *m, unsigned int i, unsigned int k);
void plain_save_end(struct plain *m, unsigned int i, unsigned int k, uint64_t ts_ns);
void plain_save_close(struct plain *m, unsigned int i, unsigned int k);

/* plain_span.c. Return: whether the packet passes. */
bool plain_startstop(struct plain *m, struct plain_function *p, const struct model_function *f,
	const struct model_packet *pkt);
void plain_burst(
	struct plain_function *p, const struct model_function *f, const struct model_packet *pkt);
void plain_burst_result(struct plain_function *p, const struct model_function *f);

/* plain_values.c */
void plain_gap(struct plain_function *p, const struct model_packet *pkt);
void plain_dist(struct plain_function *p, const struct model_function *f, uint64_t value);
void plain_dist_result(struct plain_function *p, const struct model_function *f);
void plain_bucket_end(struct plain_function *p, const struct model_function *f,
	struct plain_function *source, uint64_t ts_ns);
void plain_threshold_begin(struct plain_function *p, const struct model_function *f,
	const struct plain_function *source);
void plain_threshold_end(struct plain_function *p, const struct model_function *f,
	const struct plain_function *source, uint64_t ts_ns);
/* Return: whether the packet passes. */
bool plain_threshold(struct plain_function *p, const struct model_function *f,
	const struct plain_function *source, const struct model_packet *pkt);

#endif
