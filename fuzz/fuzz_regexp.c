/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * REGEXP: hostile patterns on hostile packets. Input: length of the pattern (one byte), the
 * pattern, then packets, each behind its length (one byte; above 250 it is repeated to a long
 * packet). Checked: a refused pattern has a code and a text; a batch gives the same as its packets
 * one by one; what is not given up is what PCRE2's interpreter says of the packet.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "function/extra/extra.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

#define PACKETS_MAX 4
#define PACKET_BYTES_MAX 6000

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static uint8_t bytes[PACKETS_MAX][PACKET_BYTES_MAX];

/* Return: whether PCRE2 finds it, -1 if it says neither. */
static int reference(const char *pattern, const uint8_t *packet, uint32_t n)
{
	pcre2_match_context *context = pcre2_match_context_create(NULL);
	int code, r = -1;
	PCRE2_SIZE offset;
	pcre2_code *compiled =
		pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, 0, &code, &offset, NULL);
	pcre2_match_data *match = compiled ? pcre2_match_data_create(1, NULL) : NULL;

	if (match && context) {
		pcre2_set_match_limit(context, 2000);
		r = pcre2_match(compiled, packet, n, 0, PCRE2_NO_JIT, match, context);
		r = r >= 0 ? 1 : r == PCRE2_ERROR_NOMATCH ? 0 : -1;
	}
	pcre2_match_data_free(match);
	pcre2_code_free(compiled);
	pcre2_match_context_free(context);
	return r;
}

static uint64_t given_up(const void *instance, const void *state)
{
	uint64_t lost[6] = { 0 }, sum = 0;

	extra_regexp.lost(instance, state, lost);
	for (unsigned int i = 0; i < 6; i++)
		sum += lost[i];
	return sum;
}

static void check_packets(void *instance, const char *pattern, struct packet_batch *batch)
{
	struct packet_mask whole = packet_mask_first(batch->n), single = whole;
	uint64_t whole_state[4] = { 0 }, single_state[4] = { 0 };
	struct function_call call = { .batch = batch, .n = batch->n };

	CHECK(extra_regexp.state_bytes <= sizeof(whole_state));
	extra_regexp.process(&call, instance, whole_state, &whole);
	for (unsigned int i = 0; i < batch->n; i++) {
		uint64_t before = given_up(instance, single_state);
		int wanted;

		call.first = i;
		call.n = 1;
		extra_regexp.process(&call, instance, single_state, &single);
		if (given_up(instance, single_state) != before) {
			CHECK(!packet_mask_test(&single, i));
			continue;
		}
		wanted = reference(pattern, batch->data[i], batch->cap_bytes[i]);
		CHECK(wanted < 0 || wanted == packet_mask_test(&single, i));
	}
	CHECK(memcmp(&whole, &single, sizeof(whole)) == 0);
	CHECK(given_up(instance, whole_state) == given_up(instance, single_state));
}

static void take_packet(struct buf *in, struct packet_batch *batch)
{
	unsigned int i = batch->n++;
	size_t n = buf_get_u8(in), repeat = n > 250 ? PACKET_BYTES_MAX / 250 : 1;
	const uint8_t *from;

	n = n < buf_left(in) ? n : buf_left(in);
	from = buf_take(in, n);
	for (size_t k = 0; from && n && k < repeat && (k + 1) * n <= PACKET_BYTES_MAX; k++) {
		memcpy(bytes[i] + k * n, from, n);
		batch->cap_bytes[i] += (uint32_t)n;
	}
	batch->data[i] = bytes[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
	static struct packet_batch batch;
	struct buf in = buf_from(data, n_bytes);
	size_t n = buf_get_u8(&in);
	_Alignas(16) unsigned char instance[64] = { 0 };
	struct error err = ERROR_INIT;
	struct function_value arg = { .number = 0 };
	struct function_open open = {
		.args = &arg, .n_args = 1, .instance = instance, .device = "fuzz", .lossless = true
	};
	const uint8_t *from;
	char pattern[256];

	n = n < buf_left(&in) ? n : buf_left(&in);
	from = buf_take(&in, n);
	memset(pattern, 0, sizeof(pattern));
	if (from)
		memcpy(pattern, from, n);
	arg.text = pattern;
	CHECK(extra_regexp.instance_bytes <= sizeof(instance));
	if (extra_regexp.open(&open, &err) < 0) {
		CHECK(err.code && err.text[0]);
		return 0;
	}
	CHECK(!err.code);
	memset(&batch, 0, sizeof(batch));
	while (batch.n < PACKETS_MAX && buf_left(&in))
		take_packet(&in, &batch);
	check_packets(instance, pattern, &batch);
	extra_regexp.close(instance);
	return 0;
}
