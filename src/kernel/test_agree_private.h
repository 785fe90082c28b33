/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sets of filters, loaded into the kernel and run on packets, held against libpcap's interpreter
 * (ours where that decides anything: filter/test_reference.h): after every packet the counters of
 * all filters must be what it says. Whatever else goes wrong fails the test.
 */
#ifndef MAPI_KERNEL_TEST_AGREE_PRIVATE_H
#define MAPI_KERNEL_TEST_AGREE_PRIVATE_H

#include "filter/test_captures.h"
#include "filter/test_random.h"
#include "filter/test_reference.h"
#include "kernel.h"
#include "test_run.h"

/* What cmocka calls before and after all tests: the captures there are. */
extern struct captures agree_captures;
int agree_setup(void **state);
int agree_teardown(void **state);

/* Can programs be loaded here? Says why not. */
bool agree_can_load(void);

/* Packets, with their bytes. */
struct agree_trace {
	unsigned int n, room;
	struct test_packet *packets;
};

/* Return: the new packet, a copy; borrowed until the next one. */
struct test_packet *agree_trace_add(struct agree_trace *t, const uint8_t *data, uint32_t n_bytes);
/* Up to @n_max Ethernet packets of captures that lie evenly in all of them, whole and cut, and a
 * tenth of that made up. */
void agree_trace_fill(
	struct agree_trace *t, struct random *r, const struct captures *c, unsigned int n_max);
void agree_trace_clear(struct agree_trace *t);

/* Filters with their texts. */
struct agree_filters {
	unsigned int n;
	struct filter_program **programs;
	struct reference *references;
	char **texts;
};

void agree_filters_init(struct agree_filters *f, unsigned int room);
/* Return: whether @text is a filter. */
bool agree_filters_add(struct agree_filters *f, const char *text);
void agree_filters_drop(struct agree_filters *f); /* the last one */
/* @program is taken. @name: of it, for messages */
void agree_filters_take(struct agree_filters *f, struct filter_program *program, const char *name);
/* Initialises @f with @n. @has_plain: every second is of a pattern that monitoring programs use. */
void agree_filters_random(
	struct agree_filters *f, unsigned int n, struct random *r, bool has_plain);
void agree_filters_clear(struct agree_filters *f);

/*
 * struct agree_account - of all runs of a test
 * @n_refused: packets that the kernel does not run, by errno
 */
struct agree_account {
	unsigned long n_decisions, n_matches, n_different, n_packets, n_scattered, n_delivered,
		n_foreign;
	unsigned int n_filters, n_lowered, n_pages;
	unsigned int n_reasons[_KERNEL_REASON_N];
	unsigned long n_refused[134];
	uint32_t refused_least, refused_most;
};

/* Ends a test: prints what was done, fails if something differed or nothing was compared. */
void agree_account_close(const char *what, unsigned int hook, const struct agree_account *a);

/*
 * struct agree_set - a set of filters, loaded
 * @run_fd: what is run; the program itself, or one that calls it
 * @own:    of the options
 * @delivers_all: packets are delivered whatever filters say
 */
struct agree_set {
	const struct kernel_options *options;
	const struct agree_filters *filters;
	unsigned int from, n;
	struct kernel_code *code;
	struct kernel_program *program;
	int run_fd;
	struct reference own;
	bool delivers_all;
	struct kernel_count *right, *counts;
};

/* Filters @from to @from + @n. @options, @f: borrowed until agree_set_deinit(). */
void agree_set_init(struct agree_set *s, struct agree_account *a,
	const struct kernel_options *options, const struct agree_filters *f, unsigned int from,
	unsigned int n);
/*
 * Runs @packet, which stands for what was on the wire as @wire (they differ where the kernel keeps
 * a tag), and for @n_pkts packets with @n_more bytes more (a super-packet).
 */
void agree_set_run(struct agree_set *s, struct agree_account *a, const struct test_packet *packet,
	const struct test_packet *wire, uint32_t n_pkts, uint32_t n_more);
void agree_set_deinit(struct agree_set *s);

/* Filters @from to @from + @n as one set, on all packets. */
void agree_all(struct agree_account *a, const struct kernel_options *options,
	const struct agree_filters *f, unsigned int from, unsigned int n,
	const struct agree_trace *t);

#endif
