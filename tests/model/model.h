/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reference model: what a plain machine that takes packets one at a time and functions in
 * application order makes of a capture (semantics O1), to be compared with the engine.
 *
 *   capture.c  reads a capture with libpcap
 *   cases.c    draws random pipelines, print.c says what they are
 *   plain.c    the plain machine: one packet, one function at a time; filters by libpcap's
 *              interpreter, everything else written from the manual as simply as possible
 *   plain_save.c, plain_span.c  of that, RES2FILE; STARTSTOP and BURST
 *   plain_values.c  GAP, DIST, BUCKET and THRESHOLD
 *   plain_headers.c, plain_regexp.c  HASH, HASHSAMP and TOP, which look at headers; REGEXP
 *   engine.c   the same pipelines through libmapi
 *   live.c     many of them on an interface, and then on what was recorded of it
 *   main.c     compares
 *
 * Nothing of the engine's code is used here, only its public interface.
 */
#ifndef TESTS_MODEL_MODEL_H
#define TESTS_MODEL_MODEL_H

#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdint.h>

#define MODEL_FLOWS_MAX 3
#define MODEL_FUNCTIONS_MAX 6
#define MODEL_TEXT_BYTES 512
#define MODEL_REFS_MAX 3
#define MODEL_CATEGORIES_MAX 64
#define MODEL_SLOTS_MAX 64 /* of DIST */

struct model_packet {
	uint64_t ts_ns;
	uint32_t cap_bytes;
	uint32_t wire_bytes;
	uint32_t interface; /* of a pcapng file, else 0 */
	const uint8_t *data;
};

/* @pcap: still open, because filters must be compiled for it as tcpdump does: libpcap generates
 * other code for a file than for a link type alone (DLT_NULL, for instance) */
struct model_capture {
	const char *path;
	pcap_t *pcap;
	unsigned int n_pkts;
	struct model_packet *pkts;
	uint8_t *bytes;
};

/* Return: 0, or -1 with one line on standard error: libpcap cannot read @path to its end. */
int model_capture_read(struct model_capture *ret, const char *path);
void model_capture_free(struct model_capture *capture);

enum model_kind {
	MODEL_BPF_FILTER,
	MODEL_STR_SEARCH,
	MODEL_REGEXP,
	MODEL_INTERFACE,
	MODEL_SAMPLE, /* PERIODIC */
	MODEL_CHANCE, /* SAMPLE, PROBABILISTIC: the plain machine cannot foretell it */
	MODEL_HASHSAMP,
	MODEL_CUT,
	MODEL_PKT_COUNTER,
	MODEL_BYTE_COUNTER,
	MODEL_PKTINFO,
	MODEL_HASH,
	MODEL_GAP,
	MODEL_BINOP,
	MODEL_STATS,
	MODEL_DIST,
	MODEL_BUCKET,
	MODEL_THRESHOLD,
	MODEL_TO_BUFFER,
	MODEL_TO_FILE,
	MODEL_RES2FILE,
	MODEL_STARTSTOP,
	MODEL_BURST,
	MODEL_SYNC,
	MODEL_TOP,
	_MODEL_KIND_N
};

/* A function that another one refers to: indices into the case; of RES2FILE, enum res2file_format.
 */
struct model_ref {
	unsigned int flow;
	unsigned int function;
	int format;
};

/**
 * struct model_function - one function of a pipeline
 * @text:   filter, pattern, interval, start; flows of SYNC; timeout of THRESHOLD, "0" or a period;
 *          likewise interval of TOP
 * @stop:   of STARTSTOP
 * @number: offset, period, length, property, layer, percent, range, operation, type, interface,
 *          whether to reset, whether to wait, or file format
 * @depth:  of a search; the threshold of THRESHOLD; whether HASHSAMP keeps records
 * @ref_flow, @ref_function: source of STATS, DIST, BUCKET, THRESHOLD, as indices into the case
 * @refs, @n_refs: of RES2FILE; @number: whether it resets them. Of BINOP
 * @numbers: of BURST; minimum, maximum and interval of DIST; boundary, divider and count of
 * THRESHOLD; the first four arguments of TOP
 */
struct model_function {
	enum model_kind kind;
	char text[MODEL_TEXT_BYTES];
	int number;
	int depth;
	unsigned int ref_flow;
	unsigned int ref_function;
	char stop[16];
	struct model_ref refs[MODEL_REFS_MAX];
	unsigned int n_refs;
	int numbers[7];
};

struct model_flow {
	unsigned int n_functions;
	struct model_function functions[MODEL_FUNCTIONS_MAX];
};

/**
 * struct model_case - pipelines on one capture
 * @order: flow of the function that is applied 1st, 2nd ... @n_order; a function can only refer to
 *         those applied before it, though these may belong to later flows
 */
struct model_case {
	uint64_t seed;
	unsigned int n_flows;
	struct model_flow flows[MODEL_FLOWS_MAX];
	unsigned int n_order;
	unsigned int order[MODEL_FLOWS_MAX * MODEL_FUNCTIONS_MAX];
};

void model_case_draw(struct model_case *ret, uint64_t seed, const struct model_capture *capture,
	char *const filters[], unsigned int n_filters);
void model_case_print(const struct model_case *c);

/**
 * struct model_result - result of one function
 * @known:  the plain machine can foretell it
 * @value:  counters, PKTINFO, HASH, GAP, BINOP; number of packets of TO_BUFFER and TO_FILE, of
 * lines of RES2FILE, of records of BUCKET, THRESHOLD, HASHSAMP and TOP, of numbers of DIST
 * @digest: of the packets of TO_BUFFER and TO_FILE: times, lengths and bytes in order; of the bytes
 *          of RES2FILE's file, STARTSTOP's and BURST's result; of numbers and records
 * @pkts, @passed_pkts: packets that reached the function, and those that it passed on
 * @lost_pkts: of all causes
 * @pkts_known, @passed_known: the plain machine can foretell them
 * @count, @sum, @sum2, @max, @min: STATS
 */
struct model_result {
	bool known;
	uint64_t value;
	uint64_t digest;
	unsigned long long count;
	long double sum;
	long double sum2;
	double max;
	double min;
	uint64_t pkts;
	uint64_t passed_pkts;
	uint64_t lost_pkts;
	bool pkts_known;
	bool passed_known;
};

/* @next_end_ns: of the plain machine: when the first period ends that had not ended when the last
 * packet came; UINT64_MAX: none */
struct model_results {
	struct model_result of[MODEL_FLOWS_MAX][MODEL_FUNCTIONS_MAX];
	uint64_t next_end_ns;
};

/* Return: 0, -1 if a filter does not compile for this capture's link type. */
int model_plain_run(
	struct model_results *ret, const struct model_case *c, const struct model_capture *capture);

/* Return: 0, -1 with a line on standard error: a call of libmapi failed. */
int model_engine_run(
	struct model_results *ret, const struct model_case *c, const struct model_capture *capture);

/* Whether it refers to one function, ref_function of ref_flow. */
bool model_has_source(enum model_kind kind);

/* Whether it does something when a period ends, which is its @text then. */
bool model_has_period(const struct model_function *f);

struct model_totals {
	unsigned int cases;
	unsigned int results; /* compared with the plain machine */
	unsigned int chance; /* only digested */
	unsigned int differences;
	unsigned int late, lost; /* live cases that were drawn again; that lost packets */
	unsigned int pkts; /* recorded */
	uint64_t digest;
};

/* Print what differs. Return: how many functions differ. */
unsigned int model_compare(const struct model_case *c, const struct model_results *plain,
	const struct model_results *engine, struct model_totals *totals);

/* What is sent through @out comes in at @in. */
struct model_cable {
	const char *in;
	const char *out;
};

struct model_drawing {
	char **filters;
	unsigned int n_filters;
	uint64_t seed;
	uint64_t n_cases;
};

/* Keep of a capture what can be sent over a cable, in short time. Return: false if there is too
 * little. */
bool model_live_prepare(struct model_capture *capture);

/* Captures that were prepared are sent; cases on @cable, on its recording and by the plain machine
 * are compared. */
void model_live(struct model_capture captures[], unsigned int n_captures,
	const struct model_cable *cable, const struct model_drawing *drawing,
	struct model_totals *totals);

/* Order-dependent digest (FNV-1a) of one more packet. */
uint64_t model_digest(
	uint64_t digest, uint64_t ts, uint32_t cap_bytes, uint32_t wire_bytes, const uint8_t *data);
/* The same of bytes. */
uint64_t model_digest_bytes(uint64_t digest, const void *bytes, size_t n_bytes);
#define MODEL_DIGEST_EMPTY 0xcbf29ce484222325u

/* 32.32 fixed point seconds, rounded down, as the manual says. */
uint64_t model_ts(uint64_t ts_ns);

#endif
