/* SPDX-License-Identifier: BSD-2-Clause */
/* See test_std_private.h. */
#undef NDEBUG
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "test_std_private.h"
#include "wire/ring.h"

static void test_columns(struct test_traffic *t, unsigned int b, unsigned int i,
	struct decode_layers layers, uint32_t l2_end)
{
	t->decode[b].l2_end[i] = l2_end;
	t->decode[b].outer[i] = layers;
	t->decode[b].inner[i] = layers;
}

static void test_addresses(uint8_t *at, size_t n_bytes, unsigned int flow, bool backwards)
{
	memset(at, 0, 2 * n_bytes);
	at[0] = at[n_bytes] = 10;
	at[n_bytes - 1 + (backwards ? n_bytes : 0)] = (uint8_t)flow;
	at[n_bytes - 1 + (backwards ? 0 : n_bytes)] = (uint8_t)(flow + 100);
}

void test_packet(struct test_traffic *t, unsigned int b, unsigned int i, enum test_kind kind,
	unsigned int flow, bool backwards)
{
	const struct decode_layers none = {
		.l3_offset = DECODE_NONE, .l4_offset = DECODE_NONE, .payload_offset = DECODE_NONE
	};
	struct decode_layers layers = none;
	bool six = kind == TEST_KIND_TCP6,
	     udp = kind == TEST_KIND_UDP4 || kind == TEST_KIND_FRAGMENT;
	uint32_t cap_bytes = 60, l4_bytes = udp ? 8 : 20;
	uint8_t *p = t->bytes[b][i];

	for (unsigned int k = 0; k < TEST_PACKET_BYTES; k++)
		p[k] = (uint8_t)(rand() >> 3);
	if (kind == TEST_KIND_CUT || kind == TEST_KIND_EMPTY) {
		cap_bytes = kind == TEST_KIND_CUT ? 9 : 0;
		test_columns(t, b, i, none, DECODE_NONE);
	} else if (kind == TEST_KIND_ARP) {
		test_columns(t, b, i, none, 14);
	} else {
		layers.ip_version = six ? 6 : 4;
		layers.l4_proto = udp ? 17 : 6;
		layers.l3_offset = 14;
		layers.l4_offset = six ? 54 : 34;
		layers.payload_offset = layers.l4_offset + l4_bytes;
		layers.l3_end = layers.payload_offset + TEST_PAYLOAD_BYTES;
		layers.src_port = (uint16_t)(backwards ? 80 : 1000 + flow);
		layers.dst_port = (uint16_t)(backwards ? 1000 + flow : 80);
		cap_bytes = layers.l3_end + 5; /* a trailer, which is not the datagram's */
		test_addresses(p + (six ? 22 : 26), six ? 16 : 4, flow, backwards);
		if (kind == TEST_KIND_FRAGMENT) {
			layers.flags = DECODE_FRAGMENT | DECODE_FRAGMENT_LATER;
			layers.src_port = layers.dst_port = 0;
			layers.payload_offset = DECODE_NONE;
		}
		test_columns(t, b, i, layers, 14);
	}
	t->batch[b].data[i] = p;
	t->batch[b].cap_bytes[i] = cap_bytes;
	t->batch[b].wire_bytes[i] = cap_bytes + (uint32_t)rand() % 1400;
	t->batch[b].ifindex[i] = (uint16_t)(rand() % 3);
}

struct test_traffic *test_traffic_new(unsigned int seed)
{
	static const unsigned int n_packets[TEST_N_BATCHES] = { 256, 1, 70, 256 };
	struct test_traffic *t = calloc(1, sizeof(*t));
	uint64_t ts_ns = 1000000000000000000u, no = 0;

	assert_non_null(t);
	srand(seed);
	for (unsigned int b = 0; b < TEST_N_BATCHES; b++) {
		t->batch[b].n = n_packets[b];
		t->batch[b].linktype = 1;
		t->batch[b].first_no = no;
		no += n_packets[b];
		for (unsigned int i = 0; i < n_packets[b]; i++) {
			enum test_kind kind = i < _TEST_KIND_N
				? (enum test_kind)i
				: (enum test_kind)(rand() % _TEST_KIND_N);

			test_packet(t, b, i, kind, (unsigned int)rand() % 16, rand() & 1);
			/* Mostly small steps; some backwards, some of many seconds. */
			ts_ns += (uint64_t)(rand() % 40000000);
			if (rand() % 16 == 0)
				ts_ns -= 90000000;
			if (rand() % 64 == 0)
				ts_ns += 7000000000u;
			t->batch[b].ts_ns[i] = ts_ns;
			t->source[b][i] = (uint64_t)(rand() % 5000);
			t->second[b][i] = (uint64_t)(rand() % 5000);
			if (rand() % 3)
				packet_mask_set(&t->selection[b], i);
		}
	}
	/* Whole words: the counters have a path of their own for them. */
	t->selection[0].word[1] = ~0ULL;
	t->selection[3] = packet_mask_first(t->batch[3].n);
	return t;
}

struct function_value test_number(long long number)
{
	return (struct function_value){
		.number = number, .large = (unsigned long long)number, .text = "", .fd = -1
	};
}

struct function_value test_text(const char *text)
{
	return (struct function_value){ .text = text, .fd = -1 };
}

int test_open(struct test_run *run, const struct function *function,
	const struct function_value args[], unsigned int n_args, bool lossless)
{
	struct function_open open = {
		.args = args,
		.n_args = n_args,
		.instance = run->instance,
		.device = "test",
		.lossless = lossless,
		.seed = 42,
	};

	assert_int_equal(n_args, function->desc.n_args);
	assert_true(function->instance_bytes <= sizeof(run->instance));
	assert_true(function->state_bytes <= sizeof(run->state));
	*run = (struct test_run){ .function = function,
		.result_bytes = function->desc.result_bytes };
	if (function->result_bytes_of)
		run->result_bytes = function->result_bytes_of(args);
	assert_true(run->result_bytes <= sizeof(run->result));
	return function->open ? function->open(&open, &run->error) : 0;
}

void test_close(struct test_run *run)
{
	if (run->function->close)
		run->function->close(run->instance);
}

static void test_reset_ref(const struct function_call *call, unsigned int ref)
{
	struct test_run *run = call->plan;

	assert_int_equal(ref, 0);
	run->n_resets++;
}

/* Before packet @i: what the source showed until then. */
static void test_tick(
	struct test_run *run, const struct test_traffic *t, unsigned int b, unsigned int i)
{
	uint64_t before = i ? t->source[b][i - 1] : b ? t->source[b - 1][t->batch[b - 1].n - 1] : 0;
	struct function_call call = { .refs = (const struct function_ref[]){ { .value = &before } },
		.error = &run->error,
		.reset_ref = test_reset_ref,
		.plan = run };
	uint64_t now_ns = t->batch[b].ts_ns[i];

	run->deadline_ns = run->function->tick(&call, run->instance, run->state, now_ns);
	if (!run->deadline_ns)
		run->deadline_ns = run->function->tick(&call, run->instance, run->state, now_ns);
	assert_true(run->deadline_ns > now_ns || now_ns == UINT64_MAX);
}

static bool test_is_due(
	const struct test_run *run, const struct test_traffic *t, unsigned int b, unsigned int i)
{
	return run->function->tick && t->batch[b].ts_ns[i] >= run->deadline_ns;
}

static void test_process_range(struct test_run *run, const struct test_traffic *t, unsigned int b,
	unsigned int first, unsigned int n, bool with_column)
{
	struct function_call call = {
		.batch = &t->batch[b],
		.first = first,
		.n = n,
		.decode = run->function->wants_decode ? &t->decode[b] : NULL,
		.column = with_column ? run->column[b] : NULL,
		.refs = (const struct function_ref[]){ { .value = t->source[b] },
			{ .value = t->second[b] } },
		.error = &run->error,
		.reset_ref = test_reset_ref,
		.plan = run,
	};

	run->function->process(&call, run->instance, run->state, &run->passed[b]);
}

void test_process(struct test_run *run, const struct test_traffic *t, unsigned int b,
	unsigned int first, unsigned int n, bool with_column)
{
	unsigned int end = first + n, next;

	for (; first < end; first = next) {
		if (test_is_due(run, t, b, first))
			test_tick(run, t, b, first);
		for (next = first + 1; next < end && !test_is_due(run, t, b, next); next++)
			;
		test_process_range(run, t, b, first, next - first, with_column);
	}
}

void test_reset(struct test_run *run)
{
	memset(run->state, 0, sizeof(run->state));
	run->deadline_ns = 0;
	if (run->function->init)
		run->function->init(run->instance, run->state);
}

void test_read(struct test_run *run)
{
	if (run->function->read)
		run->function->read(run->instance, run->state, run->result);
	else
		memcpy(run->result, run->state, run->result_bytes);
}

static unsigned int test_step(enum test_split split, unsigned int left)
{
	switch (split) {
	case TEST_SPLIT_WHOLE:
		return left;
	case TEST_SPLIT_SINGLE:
		return 1;
	case TEST_SPLIT_RANDOM:
		return 1 + (unsigned int)rand() % left;
	case _TEST_SPLIT_N:
		break;
	}
	return left;
}

void test_run(struct test_run *run, const struct test_traffic *t, unsigned int first_batch,
	unsigned int end_batch, enum test_split split, bool with_column)
{
	test_reset(run);
	run->n_resets = 0;
	for (unsigned int b = first_batch; b < end_batch; b++) {
		run->passed[b] = t->selection[b];
		for (unsigned int i = 0, n; i < t->batch[b].n; i += n) {
			n = test_step(split, t->batch[b].n - i);
			test_process(run, t, b, i, n, with_column);
		}
	}
	test_read(run);
}

static size_t test_field_bytes(enum mapi_field_type type)
{
	switch (type) {
	case MAPI_FIELD_U16:
		return 2;
	case MAPI_FIELD_U32:
	case MAPI_FIELD_I32:
	case MAPI_FIELD_IPV4:
		return 4;
	case MAPI_FIELD_U64:
	case MAPI_FIELD_I64:
	case MAPI_FIELD_F64:
	case MAPI_FIELD_TS:
		return 8;
	case MAPI_FIELD_KEY:
		return 22;
	case MAPI_FIELD_F80:
		return 10; /* the rest of a long double is padding */
	}
	return 0;
}

void test_assert_same_result(const struct test_run *a, const struct test_run *b)
{
	const struct mapi_function_desc *desc = &a->function->desc;

	for (unsigned int f = 0; f < desc->n_fields; f++) {
		size_t at = desc->fields[f].offset_bytes;

		assert_memory_equal(
			a->result + at, b->result + at, test_field_bytes(desc->fields[f].type));
	}
	assert_int_equal(a->n_resets, b->n_resets);
	if (desc->record_bytes && !(desc->flags & MAPI_FUNCTION_COUNTED))
		assert_memory_equal(a->result, b->result, a->result_bytes);
}

void test_assert_same_packets(const struct test_run *a, const struct test_run *b,
	unsigned int first_batch, unsigned int end_batch)
{
	for (unsigned int k = first_batch; k < end_batch; k++) {
		assert_memory_equal(&a->passed[k], &b->passed[k], sizeof(a->passed[k]));
		assert_memory_equal(a->column[k], b->column[k], sizeof(a->column[k]));
	}
}

void test_any_split(const struct test_traffic *t, const struct function *function,
	const struct function_value args[], unsigned int n_args, bool lossless)
{
	bool referable = function->desc.flags & MAPI_FUNCTION_REFERABLE;
	struct test_run single, other;

	assert_int_equal(0, test_open(&single, function, args, n_args, lossless));
	assert_int_equal(0, test_open(&other, function, args, n_args, lossless));
	test_run(&single, t, 0, TEST_N_BATCHES, TEST_SPLIT_SINGLE, referable);
	for (unsigned int round = 0; round < 20; round++) {
		test_run(&other, t, 0, TEST_N_BATCHES, round ? TEST_SPLIT_RANDOM : TEST_SPLIT_WHOLE,
			referable);
		test_assert_same_result(&single, &other);
		test_assert_same_packets(&single, &other, 0, TEST_N_BATCHES);
	}
	/* Without a column other code computes the same result. */
	test_run(&other, t, 0, TEST_N_BATCHES, TEST_SPLIT_RANDOM, false);
	test_assert_same_result(&single, &other);
	assert_int_equal(single.error.code, 0);
	test_close(&single);
	test_close(&other);
}

struct ring_reader *test_ring_reader(struct test_run *run)
{
	struct ring_reader *reader = NULL;
	int fds[RING_N_FDS], dups[RING_N_FDS];

	ring_fds(run->function->ring(run->instance), fds);
	for (unsigned int i = 0; i < RING_N_FDS; i++) {
		dups[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		assert_true(dups[i] >= 0);
	}
	assert_int_equal(0, ring_reader_new(&reader, dups));
	return reader;
}
