/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of patterns: where they are found and where not; a naive matcher as oracle. */
#include "search/search.h"

#undef NDEBUG
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mapi/errors.h"
#include "search_private.h"
#include "test_private.h"

/* A packet in memory of exactly its size, so that the sanitizer sees what reads too far. */
static void batch_add(struct packet_batch *batch, const void *bytes, uint32_t n_bytes)
{
	uint8_t *copy = malloc(n_bytes ? n_bytes : 1);

	assert_non_null(copy);
	memcpy(copy, bytes, n_bytes);
	batch->data[batch->n] = copy;
	batch->cap_bytes[batch->n++] = n_bytes;
}

static void batch_clear(struct packet_batch *batch)
{
	for (unsigned int i = 0; i < batch->n; i++)
		free((void *)(uintptr_t)batch->data[i]);
	batch->n = 0;
}

/* The database is built by others, and would not be of another set. */
static int set_in_steps(struct search_set **ret, const struct search_pattern *const patterns[],
	unsigned int n, struct error *err)
{
	uint8_t *source = NULL, *database = NULL;
	size_t source_bytes, database_bytes;
	int r = search_set_prepare(ret, patterns, n);

	if (r == 0)
		r = search_set_source(*ret, &source, &source_bytes);
	if (r < 0 || source_bytes == 0)
		return r;
	r = search_database_build(source, source_bytes, &database, &database_bytes, err);
	if (r == 0)
		r = search_set_complete(*ret, database, database_bytes);
	free(source);
	free(database);
	return r;
}

static void run(const struct search_pattern *const patterns[], unsigned int n,
	const struct packet_batch *batch, const struct packet_mask *wanted,
	struct packet_mask ret[])
{
	struct search_scratch *scratch = NULL;
	struct search_set *set = NULL;
	struct error err = ERROR_INIT;
	static unsigned int n_runs;
	int r = n_runs++ % 2 ? set_in_steps(&set, patterns, n, &err)
			     : search_set_new(&set, patterns, n, &err);

	if (r)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	assert_int_equal(search_scratch_new(&scratch, set), 0);
	memset(ret, 0xff, n * sizeof(*ret));
	search_set_run(set, scratch, batch, wanted, ret);
	search_scratch_free(scratch);
	search_set_free(set);
}

static bool found(
	const char *text, uint32_t offset, uint32_t depth, const char *packet, uint32_t n_bytes)
{
	struct search_pattern *pattern = pattern_ok(text, offset, depth);
	const struct search_pattern *patterns[] = { pattern };
	struct packet_batch batch = { .n = 0 };
	struct packet_mask wanted = packet_mask_first(1), ret;

	batch_add(&batch, packet, n_bytes);
	run(patterns, 1, &batch, &wanted, &ret);
	batch_clear(&batch);
	search_pattern_free(pattern);
	return packet_mask_test(&ret, 0);
}

#define FOUND(text, offset, depth, packet) found(text, offset, depth, packet, sizeof(packet) - 1)

static void test_places(void **state)
{
	assert_true(FOUND("www", 0, 0, "a www."));
	assert_false(FOUND("WWW", 0, 0, "a www."));
	assert_false(FOUND("www", 0, 0, "a ww."));
	assert_true(FOUND("www", 2, 0, "a www"));
	assert_false(FOUND("www", 3, 0, "a www"));
	assert_true(FOUND("www", 0, 5, "a www"));
	assert_false(FOUND("www", 0, 4, "a www"));
	assert_true(FOUND("www", 2, 3, "a www b"));
	assert_false(FOUND("www", 3, 3, "a www b"));
	assert_true(FOUND("ab", 3, 2, "ab ab"));
	assert_false(FOUND("ab", 9, 0, "ab ab"));
	assert_false(FOUND("ab", UINT32_MAX, UINT32_MAX, "ab ab"));
	assert_true(FOUND("ab", 0, UINT32_MAX, "ab ab"));
	assert_true(FOUND("a|00|b", 0, 0, "xa\0b"));
	assert_true(FOUND("|00|", 0, 0, "\0"));
	assert_true(FOUND("|00 00|", 1, 0, "\0\0\0"));
	assert_false(FOUND("|00 00|", 1, 0, "\0\0"));
	assert_true(FOUND("|00 00|b||c", 0, 0, "a\0\0b"));
	assert_false(FOUND("|00 00|b", 2, 0, "a\0\0b"));
	assert_true(FOUND("|00|||c", 0, 0, "abc"));
	assert_false(FOUND("x", 0, 0, ""));
	assert_true(FOUND("no||yes", 0, 0, "say yes"));
	assert_false(FOUND("no||yes", 0, 0, "say ye"));
}

static void test_long_literals_share_a_prefix(void **state)
{
	char text[3][1001], packet[1200];
	const struct search_pattern *patterns[3];
	struct packet_batch batch = { .n = 0 };
	struct packet_mask wanted, ret[3];

	for (unsigned int i = 0; i < 3; i++) {
		memset(text[i], 'a', 1000);
		text[i][1000] = '\0';
		text[i][990] = (char)('x' + i);
		patterns[i] = pattern_ok(text[i], i == 2 ? 200 : 0, 0);
	}
	memset(packet, 'a', sizeof(packet));
	packet[1190] = 'y';
	batch_add(&batch, packet, 1200);
	batch_add(&batch, packet, 1199);
	packet[1190] = 'z';
	batch_add(&batch, packet, 1200);
	packet[1190] = 'a';
	packet[1189] = 'z';
	batch_add(&batch, packet, 1200);
	wanted = packet_mask_first(batch.n);
	run(patterns, 3, &batch, &wanted, ret);
	assert_int_equal(ret[0].word[0], 0);
	assert_int_equal(ret[1].word[0], 1);
	assert_int_equal(ret[2].word[0], 4);
	batch_clear(&batch);
	for (unsigned int i = 0; i < 3; i++)
		search_pattern_free((struct search_pattern *)(uintptr_t)patterns[i]);
}

/* The engine finds a part of the literal at every place; only one of them, odd or even, is right.
 */
static void test_parts_overlap(void **state)
{
	char text[300], packet[400];

	memset(text, 'a', 256);
	memcpy(text + 256, "b", 2);
	memset(packet, 'a', sizeof(packet));
	for (uint32_t n = 256; n < 300; n++) {
		packet[n] = 'b';
		assert_true(found(text, 0, 0, packet, n + 1));
		assert_true(found(text, n - 256, 0, packet, n + 1));
		assert_false(found(text, n - 255, 0, packet, n + 1));
		packet[n] = 'a';
	}
}

static void test_thousands_of_alternatives(void **state)
{
	char *text = malloc(5000 * 10 + 1), *at = text, packet[32];
	struct packet_batch batch = { .n = 0 };
	struct packet_mask wanted = packet_mask_first(200), ret;
	const struct search_pattern *patterns[1];

	assert_non_null(text);
	for (unsigned int i = 0; i < 5000; i++)
		at += sprintf(at, "%sn%05u", i ? "||" : "", i * 2);
	patterns[0] = pattern_ok(text, 0, 0);
	for (unsigned int i = 0; i < 200; i++) {
		int n = snprintf(packet, sizeof(packet), "..n%05u..", i * 37);

		batch_add(&batch, packet, (uint32_t)n);
	}
	run(patterns, 1, &batch, &wanted, &ret);
	for (unsigned int i = 0; i < 200; i++)
		assert_int_equal(packet_mask_test(&ret, i), i * 37 % 2 == 0);
	batch_clear(&batch);
	search_pattern_free((struct search_pattern *)(uintptr_t)patterns[0]);
	free(text);
}

static void test_only_wanted_packets_are_searched(void **state)
{
	struct search_pattern *pattern = pattern_ok("a", 0, 0);
	const struct search_pattern *patterns[] = { pattern, pattern };
	struct packet_batch batch = { .n = 0 };
	struct packet_mask wanted = { .word = { 5 } }, ret[2];

	for (unsigned int i = 0; i < 4; i++)
		batch_add(&batch, "aa", 2);
	run(patterns, 2, &batch, &wanted, ret);
	assert_int_equal(ret[0].word[0], 5);
	assert_int_equal(ret[1].word[0], 5);
	batch_clear(&batch);
	search_pattern_free(pattern);
}

/* vectorscan 5.4.9 alone misses one of a few literals at some places of a block that is otherwise
 * alike, from byte 61 on. */
static void test_few_literals_are_found_everywhere(void **state)
{
	static const char *const texts[] = { "GET||POST", "www||HTTP", "|5c 20|e||L|2a 0f|N|f3|La",
		"abcd||efghij||klmnopqr", "wxyz||0123||45678||9abcdefg" };
	static const struct {
		const char *bytes;
		unsigned int text;
	} cases[] = { { "GET", 0 }, { "POST", 0 }, { "www", 1 }, { "HTTP", 1 }, { "\\ e", 2 },
		{ "L*\x0fN\xf3La", 2 }, { "abcd", 3 }, { "efghij", 3 }, { "klmnopqr", 3 },
		{ "wxyz", 4 }, { "0123", 4 }, { "45678", 4 }, { "9abcdefg", 4 } };
	enum { BLOCK_BYTES = 512 };

	for (unsigned int c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		struct search_pattern *pattern = pattern_ok(texts[cases[c].text], 0, 0);
		const struct search_pattern *patterns[] = { pattern };
		uint32_t n_bytes = (uint32_t)strlen(cases[c].bytes);

		for (uint32_t at = 0; at + n_bytes <= BLOCK_BYTES;) {
			struct packet_batch batch = { .n = 0 };
			struct packet_mask wanted, ret;

			for (; batch.n < 256 && at + n_bytes <= BLOCK_BYTES; at++) {
				uint8_t block[BLOCK_BYTES] = { 0 };

				memcpy(block + at, cases[c].bytes, n_bytes);
				batch_add(&batch, block, BLOCK_BYTES);
			}
			wanted = packet_mask_first(batch.n);
			run(patterns, 1, &batch, &wanted, &ret);
			assert_memory_equal(&ret, &wanted, sizeof(ret));
			batch_clear(&batch);
		}
		search_pattern_free(pattern);
	}
}

/* vectorscan 5.4.9 alone finds no "ab" here (fuzz/regress/search/missed-pair). */
static void test_pairs_that_vectorscan_misses(void **state)
{
	struct search_pattern *first = pattern_ok("a;", 0, 0), *second = pattern_ok("ab", 0, 0);
	const struct search_pattern *patterns[] = { first, second };
	struct packet_batch batch = { .n = 0 };
	struct packet_mask wanted = packet_mask_first(64), ret[2];
	static uint8_t shifted[64][256];
	static const uint8_t packet[] = {
		0x62,
		0x02,
		0x00,
		0x00,
		0x08,
		0x7c,
		0x30,
		0x30,
		0x20,
		0x30,
		0x30,
		0x7c,
		0x78,
		0xaf,
		0x00,
		0x00,
		0x06,
		0x7c,
		0x30,
		0x30,
		0x30,
		0x02,
		0x7c,
		0x31,
		0x08,
		0x30,
		0x30,
		0x00,
		0x00,
		0x20,
		0x30,
		0x30,
		0x7c,
		0x78,
		0x00,
		0x00,
		0x06,
		0x7c,
		0x30,
		0x30,
		0x30,
		0x31,
		0x9d,
		0x7c,
		0x01,
		0x00,
		0x00,
		0x00,
		0x55,
		0x30,
		0xff,
		0xff,
		0x7a,
		0xff,
		0xff,
		0x9d,
		0x00,
		0x00,
		0x00,
		0x00,
		0x00,
		0x00,
		0x00,
		0x00,
		0x00,
		0x00,
		0x00,
		0x00,
		0x00,
		0x00,
		0x00,
		0x00,
		0x7c,
		0x01,
		0x03,
		0x04,
		0x7c,
		0x30,
		0x30,
		0x7c,
		0x03,
		0x00,
		0x00,
		0x82,
		0x06,
		0x61,
		0x62,
		0x58,
		0x62,
		0x61,
		0x62,
		0x61,
		0x62,
		0x3a,
		0x3a,
		0x3a,
		0x3a,
	};

	for (; batch.n < 64; batch.n++) { /* it depends on the alignment */
		memcpy(shifted[batch.n] + batch.n, packet, sizeof(packet));
		batch.data[batch.n] = shifted[batch.n] + batch.n;
		batch.cap_bytes[batch.n] = sizeof(packet);
	}
	run(patterns, 2, &batch, &wanted, ret);
	assert_int_equal(packet_mask_count(&ret[0]), 0);
	assert_int_equal(packet_mask_count(&ret[1]), 64);
	search_pattern_free(first);
	search_pattern_free(second);
}

/* ---- the oracle ---- */

static uint32_t random_state = 12345;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)(random_state >> 8) * n >> 24);
}

/* struct plain - what a pattern text was made from */
struct plain {
	uint8_t bytes[3][12];
	uint32_t n_bytes[3];
	unsigned int n;
	uint32_t offset;
	uint32_t depth;
};

static bool plain_matches(const struct plain *plain, const uint8_t *packet, uint32_t n_bytes)
{
	for (unsigned int k = 0; k < plain->n; k++) {
		for (uint32_t at = plain->offset; at + plain->n_bytes[k] <= n_bytes; at++) {
			if (plain->depth &&
				at + plain->n_bytes[k] > (uint64_t)plain->offset + plain->depth)
				break;
			if (!memcmp(packet + at, plain->bytes[k], plain->n_bytes[k]))
				return true;
		}
	}
	return false;
}

/* Few different bytes, so that there are many matches; all kinds of notation. */
static struct search_pattern *plain_make(struct plain *plain)
{
	static const uint8_t alphabet[] = { 'a', 'b', '|', '\\', 0 };
	char text[512], *at = text;
	uint32_t longest = 0;

	*plain = (struct plain){ .n = 1 + random_below(3) };
	for (unsigned int k = 0; k < plain->n; k++) {
		if (k)
			at += sprintf(at, "||");
		plain->n_bytes[k] = 1 + random_below(random_below(4) ? 3 : 12);
		longest = MAX(longest, plain->n_bytes[k]);
		for (uint32_t i = 0; i < plain->n_bytes[k]; i++) {
			uint8_t byte = alphabet[random_below(sizeof(alphabet))];

			plain->bytes[k][i] = byte;
			if (byte == 0 || random_below(3) == 0)
				at += sprintf(at, "|%02x|", byte);
			else if (byte == '|' || byte == '\\' || random_below(3) == 0)
				at += sprintf(at, "\\%c", byte);
			else
				at += sprintf(at, "%c", byte);
		}
	}
	plain->offset = random_below(2) ? 0 : random_below(20);
	plain->depth = random_below(2) ? 0 : longest + random_below(20);
	return pattern_ok(text, plain->offset, plain->depth);
}

static void test_equals_naive_matcher(void **state)
{
	static const uint8_t alphabet[] = { 'a', 'b', '|', '\\', 0 };
	enum { PATTERNS_MAX = 40, ROUNDS = 300 };
	static struct plain plain[PATTERNS_MAX];
	const struct search_pattern *patterns[PATTERNS_MAX];
	struct packet_mask wanted, ret[PATTERNS_MAX];
	unsigned int n_found = 0, n_not = 0;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		struct packet_batch batch = { .n = 0 };
		unsigned int n = 1 + random_below(random_below(2) ? 3 : PATTERNS_MAX);

		for (unsigned int p = 0; p < n; p++)
			patterns[p] = plain_make(&plain[p]);
		for (unsigned int i = 0; i < 64; i++) {
			uint8_t packet[64];
			uint32_t n_bytes = random_below(sizeof(packet));

			for (uint32_t b = 0; b < n_bytes; b++)
				packet[b] = alphabet[random_below(sizeof(alphabet))];
			batch_add(&batch, packet, n_bytes);
		}
		wanted = packet_mask_first(batch.n);
		run(patterns, n, &batch, &wanted, ret);
		for (unsigned int p = 0; p < n; p++) {
			for (unsigned int i = 0; i < batch.n; i++) {
				bool want =
					plain_matches(&plain[p], batch.data[i], batch.cap_bytes[i]);

				assert_int_equal(packet_mask_test(&ret[p], i), want);
				n_found += want;
				n_not += !want;
			}
			search_pattern_free((struct search_pattern *)(uintptr_t)patterns[p]);
		}
		batch_clear(&batch);
	}
	assert_true(n_found > 10000 && n_not > 10000);
}

/* ---- a known capture ---- */

static void test_known_capture(void **state)
{
	const char *folder = getenv("MAPI_PCAPS");
	struct search_pattern *pattern = pattern_ok("www", 0, 1500);
	const struct search_pattern *patterns[] = { pattern };
	struct packet_batch batch = { .n = 0 };
	struct packet_mask wanted, ret;
	unsigned int n_pkts = 0, n_found = 0;
	uint32_t head[6], record[4];
	uint8_t packet[2048];
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/mapi/tracefile", folder ? folder : MAPI_PCAPS_DEFAULT);
	file = fopen(path, "rb");
	if (!file) {
		search_pattern_free(pattern);
		print_message("skipped: the captures are absent: %s\n", path);
		skip();
	}
	assert_int_equal(fread(head, sizeof(head), 1, file), 1);
	assert_int_equal(head[0], 0xa1b2c3d4);
	for (bool more = true; more;) {
		more = fread(record, sizeof(record), 1, file) == 1;
		if (more) {
			assert_true(record[2] <= sizeof(packet));
			assert_int_equal(fread(packet, 1, record[2], file), record[2]);
			batch_add(&batch, packet, record[2]);
			n_pkts++;
		}
		if (!more || batch.n == PACKET_BATCH_MAX) {
			wanted = packet_mask_first(batch.n);
			run(patterns, 1, &batch, &wanted, &ret);
			n_found += packet_mask_count(&ret);
			batch_clear(&batch);
		}
	}
	(void)fclose(file);
	search_pattern_free(pattern);
	assert_int_equal(n_pkts, 893);
	assert_int_equal(n_found, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_long_literals_share_a_prefix),
		cmocka_unit_test(test_parts_overlap),
		cmocka_unit_test(test_thousands_of_alternatives),
		cmocka_unit_test(test_only_wanted_packets_are_searched),
		cmocka_unit_test(test_pairs_that_vectorscan_misses),
		cmocka_unit_test(test_few_literals_are_found_everywhere),
		cmocka_unit_test(test_equals_naive_matcher),
		cmocka_unit_test(test_known_capture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
