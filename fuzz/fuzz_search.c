/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Search patterns, sets of them, and packets, against a naive matcher. Input: number of patterns;
 * for each offset, depth, length and text; then packets, each behind its length (all one byte).
 * Checked: errors have a code and a text and leave the output alone; a parsed pattern, written out
 * in hexadecimal, parses to itself; the set finds what the naive matcher finds; without memory for
 * an allocation, the outcome is that. A length above 252 also tries no text, and too long a text.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "fault.h"
#include "search/search.h"
#include "search/search_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

#define PATTERNS_MAX 6
#define PACKETS_MAX 8

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static void check_same(const struct search_pattern *a, const struct search_pattern *b)
{
	CHECK(a->n_literals == b->n_literals);
	for (unsigned int i = 0; i < a->n_literals; i++) {
		CHECK(a->literals[i].n_bytes == b->literals[i].n_bytes);
		CHECK(!memcmp(a->literals[i].bytes, b->literals[i].bytes, a->literals[i].n_bytes));
	}
}

static void check_hex(const struct search_pattern *pattern)
{
	static char text[8192];
	struct search_pattern *again;
	char *at = text;

	for (unsigned int i = 0; i < pattern->n_literals; i++) {
		if (i)
			at += sprintf(at, "||");
		*at++ = '|';
		for (uint32_t k = 0; k < pattern->literals[i].n_bytes; k++)
			at += sprintf(at, k % 2 ? "%02x" : " %02X", pattern->literals[i].bytes[k]);
		*at++ = '|';
	}
	*at = '\0';
	CHECK(search_pattern_new(&again, text, pattern->offset_bytes, pattern->depth_bytes, NULL) ==
		0);
	check_same(pattern, again);
	search_pattern_free(again);
}

/* No allocation is left when it fails: the sanitizer sees leaks. */
static void check_without_memory(const char *text, uint32_t offset, uint32_t depth, int wanted)
{
	unsigned int n;

	for (unsigned int in = 1; in <= 3; in++) {
		struct search_pattern *pattern = NULL;
		bool failed;
		int r;

		fault_arm(in);
		r = search_pattern_new(&pattern, text, offset, depth, NULL);
		failed = fault_disarm(&n);
		CHECK(failed ? r == -ENOMEM && !pattern : !r == !wanted);
		search_pattern_free(pattern);
	}
}

static void check_limits(void)
{
	static char text[SEARCH_TEXT_BYTES_MAX + 2];
	struct search_pattern *pattern = NULL;
	struct error err = ERROR_INIT;

	memset(text, 'x', sizeof(text) - 1);
	CHECK(search_pattern_new(&pattern, text, 0, 0, &err) < 0 && !pattern && err.code);
	err = ERROR_INIT;
	CHECK(search_pattern_new(&pattern, NULL, 0, 0, &err) < 0 && !pattern && err.code);
}

static struct search_pattern *take_pattern(struct buf *in)
{
	uint32_t offset = buf_get_u8(in), depth = buf_get_u8(in);
	size_t n = buf_get_u8(in);
	struct search_pattern *pattern = NULL;
	struct error err = ERROR_INIT;
	const uint8_t *bytes;
	char text[512];
	size_t repeat;
	int r;

	/* Long literals are rare in the corpus: a length above 250 doubles the text. */
	repeat = n > 250 ? 2 : 1;
	if (n > 252)
		check_limits();
	n = n < buf_left(in) ? n : buf_left(in);
	bytes = buf_take(in, n);
	if (!bytes)
		return NULL;
	for (size_t i = 0; i < repeat; i++)
		memcpy(text + i * n, bytes, n);
	text[repeat * n] = '\0';
	r = search_pattern_new(&pattern, text, offset, depth, &err);
	check_without_memory(text, offset, depth, r);
	if (r) {
		CHECK(!pattern && err.code && err.text[0]);
		return NULL;
	}
	CHECK(!err.code && pattern->n_literals > 0);
	check_hex(pattern);
	return pattern;
}

static bool naive(const struct search_pattern *p, const uint8_t *packet, uint32_t n_bytes)
{
	uint64_t end = p->depth_bytes ? (uint64_t)p->offset_bytes + p->depth_bytes : n_bytes;

	if (end > n_bytes)
		end = n_bytes;
	for (unsigned int k = 0; k < p->n_literals; k++) {
		const struct search_literal *l = &p->literals[k];

		for (uint64_t at = p->offset_bytes; at + l->n_bytes <= end; at++) {
			if (!memcmp(packet + at, l->bytes, l->n_bytes))
				return true;
		}
	}
	return false;
}

static void take_packet(struct buf *in, struct packet_batch *batch)
{
	size_t n = buf_get_u8(in);
	uint8_t *copy;

	n = n < buf_left(in) ? n : buf_left(in);
	copy = malloc(n ? n : 1);
	CHECK(copy);
	memcpy(copy, in->at, n);
	(void)buf_take(in, n);
	batch->data[batch->n] = copy;
	batch->cap_bytes[batch->n++] = (uint32_t)n;
}

static void check_set(const struct search_pattern *const patterns[], unsigned int n,
	const struct packet_batch *batch)
{
	struct packet_mask wanted = packet_mask_first(batch->n), ret[PATTERNS_MAX];
	struct search_scratch *scratch = NULL;
	struct search_set *set = NULL;

	CHECK(search_set_new(&set, patterns, n, NULL) == 0);
	CHECK(search_scratch_new(&scratch, set) == 0);
	memset(ret, 0xff, sizeof(ret));
	search_set_run(set, scratch, batch, &wanted, ret);
	for (unsigned int p = 0; p < n; p++) {
		for (unsigned int i = 0; i < PACKET_BATCH_MAX; i++)
			CHECK(packet_mask_test(&ret[p], i) ==
				(i < batch->n &&
					naive(patterns[p], batch->data[i], batch->cap_bytes[i])));
	}
	search_scratch_free(scratch);
	search_set_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
	const struct search_pattern *patterns[PATTERNS_MAX];
	struct packet_batch batch = { .n = 0 };
	struct buf in = buf_from(data, n_bytes);
	unsigned int n = 0, n_texts = buf_get_u8(&in) % PATTERNS_MAX + 1;

	for (unsigned int i = 0; i < n_texts; i++) {
		patterns[n] = take_pattern(&in);
		n += patterns[n] != NULL;
	}
	while (buf_left(&in) && batch.n < PACKETS_MAX)
		take_packet(&in, &batch);
	if (n)
		check_set(patterns, n, &batch);
	for (unsigned int i = 0; i < batch.n; i++)
		free((void *)(uintptr_t)batch.data[i]);
	for (unsigned int i = 0; i < n; i++)
		search_pattern_free((struct search_pattern *)(uintptr_t)patterns[i]);
	return 0;
}
