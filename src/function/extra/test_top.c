/* SPDX-License-Identifier: BSD-2-Clause */
/* TOP on made-up packets: fields, ranking, bounded memory, intervals. */
#undef NDEBUG
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/build.h"
#include "base/cleanup.h"
#include "extra.h"
#include "mapi.h"
#include "mapi/errors.h"
#include "mapi/topx.h"
#include "top_private.h"

#define TEST_PACKET_BYTES 100

/* One batch at a time, decoded by the decoder. */
struct test_batch {
	struct packet_batch batch;
	struct decode_columns decode;
	struct packet_mask selection;
	uint8_t bytes[PACKET_BATCH_MAX][TEST_PACKET_BYTES];
};

struct test_run {
	const struct function *function;
	struct error error;
	_Alignas(16) unsigned char instance[64];
	_Alignas(16) unsigned char state[64];
	uint64_t deadline_ns; /* what tick() has asked for */
	uint64_t lost_pkts[MAPI_N_LOSS];
	unsigned char result[4 + TOPX_MAX_X * sizeof(struct topx_result)];
};

static struct test_batch *test_batch_new(void)
{
	struct test_batch *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->batch.linktype = 1;
	return t;
}

/* Ethernet, IPv4 or IPv6, TCP or UDP; every field is the function of @n that the tests expect. */
static unsigned int test_add(struct test_batch *t, bool six, uint8_t proto, uint32_t n)
{
	unsigned int i = t->batch.n++, l4 = six ? 54 : 34;
	uint8_t *p = t->bytes[i];

	assert_true(i < PACKET_BATCH_MAX);
	memset(p, 0, TEST_PACKET_BYTES);
	p[12] = six ? 0x86 : 0x08;
	p[13] = six ? 0xdd : 0x00;
	if (six) {
		memcpy(p + 14, (const uint8_t[]){ 0x6a, 0xb0, 0, 0, 0, 40, proto, 63 }, 8);
		p[22] = p[38] = 0xfd;
		p[37] = (uint8_t)n;
		p[53] = 2;
	} else {
		memcpy(p + 14,
			(const uint8_t[]){
				0x45, 0xab, 0, 60, 0x12, 0x34, 0x40, 0, 63, proto, 0x56, 0x78 },
			12);
		n = htonl(n);
		memcpy(p + 26, &n, 4);
		n = ntohl(n);
		memcpy(p + 30, (const uint8_t[]){ 10, 0, 0, 1 }, 4);
	}
	p[l4] = (uint8_t)(n >> 8);
	p[l4 + 1] = (uint8_t)n;
	p[l4 + 3] = 80;
	if (proto == 6) {
		memcpy(p + l4 + 4,
			(const uint8_t[]){
				1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0x12, 0x20, 0x30, 9, 10, 11, 12 },
			16);
	} else {
		memcpy(p + l4 + 4, (const uint8_t[]){ 0, 40, 0xbe, 0xef }, 4);
	}
	t->batch.data[i] = p;
	t->batch.cap_bytes[i] = 94;
	t->batch.wire_bytes[i] = 94;
	packet_mask_set(&t->selection, i);
	return i;
}

static struct function_value test_number(long long number)
{
	return (struct function_value){ .number = number, .text = "" };
}

static int test_open_values(
	struct test_run *run, const struct function *function, const struct function_value args[])
{
	struct function_open open = { .args = args,
		.n_args = function->desc.n_args,
		.instance = run->instance,
		.device = "test",
		.lossless = true,
		.seed = 42 };
	int r;

	*run = (struct test_run){ .function = function };
	assert_true(function->instance_bytes <= sizeof(run->instance));
	assert_true(function->state_bytes <= sizeof(run->state));
	assert_true(function->desc.result_bytes <= sizeof(run->result));
	r = function->open(&open, &run->error);
	if (r == 0 && function->init)
		function->init(run->instance, run->state);
	return r;
}

static int test_open_top(struct test_run *run, int x, int protocol, int field, int sort, int reset)
{
	const struct function_value args[] = { test_number(x), test_number(protocol),
		test_number(field), test_number(sort), test_number(reset) };

	return test_open_values(run, &extra_top, args);
}

static void test_close(struct test_run *run)
{
	run->function->close(run->instance);
}

static bool test_is_due(const struct test_run *run, const struct test_batch *t, unsigned int i)
{
	return run->function->tick && t->batch.ts_ns[i] >= run->deadline_ns;
}

/* In ranges of @step packets at most; time passes before packets as in a plan. */
static void test_process(struct test_run *run, struct test_batch *t, unsigned int step)
{
	struct packet_mask selection = t->selection;

	decode_batch(&t->batch, &t->decode);
	for (unsigned int i = 0, n; i < t->batch.n; i += n) {
		struct function_call call = {
			.batch = &t->batch, .first = i, .decode = &t->decode, .error = &run->error
		};

		if (test_is_due(run, t, i))
			run->deadline_ns = run->function->tick(
				&call, run->instance, run->state, t->batch.ts_ns[i]);
		for (n = 1; n < step && i + n < t->batch.n && !test_is_due(run, t, i + n); n++)
			;
		call.n = n;
		run->function->process(&call, run->instance, run->state, &selection);
	}
	memset(run->lost_pkts, 0, sizeof(run->lost_pkts));
	run->function->lost(run->instance, run->state, run->lost_pkts);
	run->function->read(run->instance, run->state, run->result);
	assert_int_equal(run->error.code, 0);
}

static unsigned int test_n(const struct test_run *run)
{
	unsigned int n;

	memcpy(&n, run->result, sizeof(n));
	return n;
}

static struct topx_result test_record(const struct test_run *run, unsigned int i)
{
	struct topx_result record;

	memcpy(&record, run->result + 4 + i * sizeof(record), sizeof(record));
	return record;
}

/* ---- TOP ---- */

static void test_every_descriptor_is_complete(void **state)
{
	assert_int_equal(extra_n_functions, 1 + MAPI_WITH_PCRE2);
	for (unsigned int k = 0; k < extra_n_functions; k++) {
		const struct function *f = extra_functions[k];

		assert_int_equal(f->abi, FUNCTION_ABI);
		assert_int_equal(f->struct_bytes, sizeof(*f));
		assert_ptr_equal(function_find(f->desc.name), f);
		assert_int_equal(f->desc.help[strlen(f->desc.help) - 1], '.');
		assert_int_equal(!f->desc.n_fields, !f->desc.result_bytes);
		if (f->order == FUNCTION_FREE && f->state_bytes)
			assert_non_null(f->merge);
		for (unsigned int a = 0; a < f->desc.n_args; a++)
			assert_true(f->desc.args[a].error_code >= 7000);
	}
	assert_ptr_equal(function_find("extraflib:TOP!1.3"), &extra_top);
	assert_null(function_find("stdflib:TOP"));
}

static void test_refused_arguments_of_top(void **state)
{
	static const struct {
		int x, protocol, field, code;
	} cases[] = {
		{ 1001, TOPX_TCP, TOPX_TCP_DSTPORT, MFUNCT_INVALID_ARGUMENT_1 },
		{ 10, 0, TOPX_TCP_DSTPORT, MFUNCT_INVALID_ARGUMENT_2 },
		{ 10, TOPX_ICMP, TOPX_TCP_DSTPORT, MFUNCT_INVALID_ARGUMENT_2 },
		{ 10, -1, TOPX_TCP_DSTPORT, MFUNCT_INVALID_ARGUMENT_2 },
		{ 10, TOPX_TCP, TOPX_IP_DSTIP, MFUNCT_INVALID_ARGUMENT_3 },
		{ 10, TOPX_TCP, TOPX_UDP_SRCPORT, MFUNCT_INVALID_ARGUMENT_3 },
		{ 10, TOPX_IP, TOPX_TCP_SRCPORT, MFUNCT_INVALID_ARGUMENT_3 },
		{ 10, TOPX_IP, 0, MFUNCT_INVALID_ARGUMENT_3 },
		{ 10, TOPX_UDP, 22, MFUNCT_INVALID_ARGUMENT_3 },
		{ 10, TOPX_UDP, -1, MFUNCT_INVALID_ARGUMENT_3 },
	};
	struct test_run run;

	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		assert_true(test_open_top(
				    &run, cases[k].x, cases[k].protocol, cases[k].field, 1, 0) < 0);
		assert_int_equal(run.error.code, cases[k].code);
		assert_true(strlen(run.error.text) > 10);
	}
	/* What has always been taken. */
	assert_int_equal(0, test_open_top(&run, -3, TOPX_TCP, TOPX_TCP_SRCPORT, 77, -5));
	test_close(&run);
	assert_int_equal(0, test_open_top(&run, 1000, TOPX_UDP, TOPX_UDP_CHECKSUM, 0, 0));
	test_close(&run);
}

static void test_every_field_is_read(void **state)
{
	static const struct {
		int protocol, field;
		uint8_t proto;
		unsigned int v4, v6; /* UINT32_MAX: no such field */
	} cases[] = {
		{ TOPX_IP, TOPX_IP_TOS, 6, 0xab, 0xab },
		{ TOPX_IP, TOPX_IP_LENGTH, 6, 60, 80 },
		{ TOPX_IP, TOPX_IP_ID, 6, 0x1234, UINT32_MAX },
		{ TOPX_IP, TOPX_IP_OFFSET, 6, 0x4000, UINT32_MAX },
		{ TOPX_IP, TOPX_IP_TTL, 6, 63, 63 },
		{ TOPX_IP, TOPX_IP_PROTOCOL, 17, 17, 17 },
		{ TOPX_IP, TOPX_IP_CHECKSUM, 6, 0x5678, UINT32_MAX },
		{ TOPX_TCP, TOPX_TCP_SRCPORT, 6, 7, 7 },
		{ TOPX_TCP, TOPX_TCP_DSTPORT, 6, 80, 80 },
		{ TOPX_TCP, TOPX_TCP_SEQ, 6, 0x01020304, 0x01020304 },
		{ TOPX_TCP, TOPX_TCP_ACK, 6, 0x05060708, 0x05060708 },
		{ TOPX_TCP, TOPX_TCP_FLAGS, 6, 0x12, 0x12 },
		{ TOPX_TCP, TOPX_TCP_WIN, 6, 0x2030, 0x2030 },
		{ TOPX_TCP, TOPX_TCP_CRC, 6, 0x090a, 0x090a },
		{ TOPX_TCP, TOPX_TCP_URGENT, 6, 0x0b0c, 0x0b0c },
		{ TOPX_UDP, TOPX_UDP_SRCPORT, 17, 7, 7 },
		{ TOPX_UDP, TOPX_UDP_DSTPORT, 17, 80, 80 },
		{ TOPX_UDP, TOPX_UDP_LENGTH, 17, 40, 40 },
		{ TOPX_UDP, TOPX_UDP_CHECKSUM, 17, 0xbeef, 0xbeef },
	};

	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		for (int six = 0; six <= 1; six++) {
			unsigned int wanted = six ? cases[k].v6 : cases[k].v4;
			struct test_batch *t = test_batch_new();
			struct test_run run;

			test_add(t, six, cases[k].proto, 7);
			/* The other transport has no such field. */
			if (cases[k].protocol != TOPX_IP)
				test_add(t, six, cases[k].proto == 6 ? 17 : 6, 9);
			assert_int_equal(
				0, test_open_top(&run, 5, cases[k].protocol, cases[k].field, 1, 0));
			test_process(&run, t, 256);
			assert_int_equal(test_n(&run), wanted != UINT32_MAX);
			if (wanted != UINT32_MAX)
				assert_int_equal(test_record(&run, 0).value, wanted);
			assert_int_equal(test_record(&run, 0).family, 0);
			test_close(&run);
			free(t);
		}
	}
}

static void test_addresses_are_as_in_packets(void **state)
{
	struct test_batch *t = test_batch_new();
	struct topx_result record;
	struct in6_addr six;
	struct test_run run;

	assert_int_equal(inet_pton(AF_INET6, "fd00::7", &six), 1);
	test_add(t, false, 6, 0x0a000007);
	test_add(t, true, 6, 7);
	test_add(t, true, 17, 7);
	assert_int_equal(0, test_open_top(&run, 5, TOPX_IP, TOPX_IP_SRCIP, 1, 0));
	test_process(&run, t, 256);
	assert_int_equal(test_n(&run), 2);
	assert_int_equal(test_record(&run, 0).family, AF_INET6);
	record = test_record(&run, 0);
	assert_memory_equal(&record.addr6, &six, sizeof(six));
	assert_int_equal(test_record(&run, 0).count, 2);
	assert_int_equal(test_record(&run, 1).family, AF_INET);
	assert_int_equal(test_record(&run, 1).value, inet_addr("10.0.0.7"));
	test_close(&run);
	free(t);
}

static void test_cut_headers_and_fragments_do_not_count(void **state)
{
	struct test_batch *t = test_batch_new();
	struct test_run run;

	t->batch.cap_bytes[test_add(t, false, 6, 1)] = 14 + 20 + 13; /* no flags any more */
	t->batch.cap_bytes[test_add(t, false, 6, 2)] = 14 + 19;
	t->batch.cap_bytes[test_add(t, false, 6, 3)] = 0;
	t->bytes[test_add(t, false, 6, 4)][21] = 1; /* a later fragment */
	t->batch.cap_bytes[test_add(t, true, 6, 5)] = 14 + 39;
	assert_int_equal(0, test_open_top(&run, 5, TOPX_TCP, TOPX_TCP_FLAGS, 1, 0));
	test_process(&run, t, 256);
	assert_int_equal(test_n(&run), 0);
	test_close(&run);
	free(t);
}

/* Three values: 1 has most packets, 2 most bytes, 3 as many packets as 2. */
static void test_ranking(void **state)
{
	struct test_batch *t = test_batch_new();
	struct test_run run;

	for (unsigned int i = 0; i < 5; i++)
		t->batch.wire_bytes[test_add(t, false, 17, 1)] = 60;
	for (unsigned int i = 0; i < 3; i++) {
		t->batch.wire_bytes[test_add(t, false, 17, 3)] = 90;
		t->batch.wire_bytes[test_add(t, false, 17, 2)] = 1500;
	}
	packet_mask_clear(&t->selection, test_add(t, false, 17, 4));
	assert_int_equal(0, test_open_top(&run, 2, TOPX_UDP, TOPX_UDP_SRCPORT, SORT_BY_PACKETS, 0));
	test_process(&run, t, 256);
	assert_int_equal(test_n(&run), 2);
	assert_int_equal(test_record(&run, 0).value, 1);
	assert_int_equal(test_record(&run, 0).count, 5);
	assert_int_equal(test_record(&run, 0).bytecount, 300);
	assert_int_equal(test_record(&run, 1).value, 2);
	assert_int_equal(test_record(&run, 2).count, 0);
	test_close(&run);
	assert_int_equal(0, test_open_top(&run, 3, TOPX_UDP, TOPX_UDP_SRCPORT, SORT_BY_BYTES, 0));
	test_process(&run, t, 256);
	assert_int_equal(test_record(&run, 0).value, 2);
	assert_int_equal(test_record(&run, 1).value, 1);
	assert_int_equal(test_record(&run, 2).value, 3);
	test_close(&run);
	free(t);
}

static void test_super_packets_count_as_what_was_on_the_wire(void **state)
{
	struct test_batch *t = test_batch_new();
	struct test_run run;
	unsigned int i = test_add(t, false, 6, 1);

	t->batch.is_live = true;
	t->batch.wire_pkts[i] = 40;
	t->batch.all_wire_bytes[i] = 60000;
	assert_int_equal(0, test_open_top(&run, 2, TOPX_TCP, TOPX_TCP_DSTPORT, 1, 0));
	test_process(&run, t, 256);
	assert_int_equal(test_record(&run, 0).count, 40);
	assert_int_equal(test_record(&run, 0).bytecount, 60000);
	test_close(&run);
	free(t);
}

static void test_intervals_follow_packets(void **state)
{
	const uint64_t s = 1000000000u;
	/* Times in tenths of seconds; the fourth is late, the fifth not selected but of effect. */
	static const struct {
		unsigned int tenths, n, count, since;
	} steps[] = { { 1000, 1, 1, 100 }, { 1099, 1, 2, 100 }, { 1100, 1, 1, 110 },
		{ 1000, 1, 2, 110 }, { 1350, 0, 0, 130 }, { 1351, 1, 1, 130 } };
	struct test_run run;

	assert_int_equal(0, test_open_top(&run, 2, TOPX_TCP, TOPX_TCP_SRCPORT, 1, 10));
	for (size_t k = 0; k < ARRAY_SIZE(steps); k++) {
		struct test_batch *t = test_batch_new();

		t->batch.ts_ns[test_add(t, false, 6, 5)] = steps[k].tenths * (s / 10);
		if (!steps[k].n)
			packet_mask_clear(&t->selection, 0);
		test_process(&run, t, 256);
		assert_int_equal(test_n(&run), steps[k].count > 0);
		assert_int_equal(test_record(&run, 0).count, steps[k].count);
		if (steps[k].count)
			assert_int_equal(test_record(&run, 0).last_rst_secs,
				(uint32_t)(steps[k].since * 1000000u));
		free(t);
	}
	test_close(&run);
}

static void test_intervals_survive_steps_of_the_clock(void **state)
{
	const uint64_t s = 1000000000u;
	/* The clock is set by so many seconds before the packet, which comes at a tenth of a
	 * second. */
	static const struct {
		int by_s;
		unsigned int tenths, count, since;
	} steps[] = { { 0, 1000, 1, 100 }, { 5000, 51099, 2, 5100 }, { 0, 51100, 1, 5110 },
		{ -900, 42199, 2, 4210 }, { 0, 42200, 1, 4220 } };
	struct test_run run;

	assert_int_equal(0, test_open_top(&run, 2, TOPX_TCP, TOPX_TCP_SRCPORT, 1, 10));
	for (size_t k = 0; k < ARRAY_SIZE(steps); k++) {
		struct test_batch *t = test_batch_new();
		int64_t by_ns = steps[k].by_s * (int64_t)s;

		if (by_ns != 0) { /* as a plan does */
			extra_top.step(run.instance, run.state, by_ns);
			run.deadline_ns = function_moment(run.deadline_ns, by_ns);
		}
		t->batch.ts_ns[test_add(t, false, 6, 5)] = steps[k].tenths * (s / 10);
		test_process(&run, t, 256);
		assert_int_equal(test_record(&run, 0).count, steps[k].count);
		assert_int_equal(test_record(&run, 0).last_rst_secs,
			(uint32_t)(steps[k].since * 1000000ull));
		free(t);
	}
	test_close(&run);
}

static void test_any_split_gives_the_same(void **state)
{
	static const unsigned int steps[] = { 1, 7, 256 };
	struct test_run runs[ARRAY_SIZE(steps)];

	for (size_t k = 0; k < ARRAY_SIZE(steps); k++) {
		srand(5);
		assert_int_equal(0, test_open_top(&runs[k], 20, TOPX_IP, TOPX_IP_SRCIP, 2, 1));
		for (unsigned int b = 0; b < 4; b++) {
			struct test_batch *t = test_batch_new();

			for (unsigned int i = 0; i < 256; i++) {
				test_add(t, rand() % 4 == 0, rand() % 2 ? 6 : 17,
					(unsigned int)(rand() % 30));
				t->batch.wire_bytes[i] = 60 + (uint32_t)(rand() % 1400);
				t->batch.ts_ns[i] = (b * 256 + i) * 10000000u;
				if (rand() % 3 == 0)
					packet_mask_clear(&t->selection, i);
			}
			test_process(&runs[k], t, steps[k]);
			free(t);
		}
		assert_memory_equal(runs[k].result, runs[0].result, sizeof(runs[0].result));
		test_close(&runs[k]);
	}
	assert_int_equal(test_n(&runs[0]), 20);
}

/* ---- the table ---- */

static void test_put(struct top_table *table, uint32_t value, uint64_t bytes)
{
	struct top_key key = { .family = 0 };

	value = htonl(value);
	memcpy(key.bytes, &value, sizeof(value));
	top_table_add(table, &key, 1, bytes);
}

static uint32_t test_value(const struct top_count *count)
{
	uint32_t value;

	memcpy(&value, count->key.bytes, sizeof(value));
	return ntohl(value);
}

static void test_exact_while_values_fit(void **state)
{
	struct top_count counts[50];
	struct top_table *table;
	unsigned int n = 0;

	assert_int_equal(0, top_table_new(&table, TOP_CAPACITY, 50, false, 1));
	for (uint32_t round = 0; round < 3; round++) { /* full, but not beyond */
		for (uint32_t v = 0; v < TOP_CAPACITY; v++)
			test_put(table, v * 2654435761u, 1);
	}
	/* Value k * 1000 comes 3 + k times. */
	for (uint32_t k = 60; k > 0; k--)
		for (uint32_t i = 0; i < k; i++, n++)
			test_put(table, k * 1000 * 2654435761u, 1);
	assert_int_equal(top_table_largest(table, counts), 50);
	for (uint32_t i = 0; i < 50; i++) {
		assert_int_equal(test_value(&counts[i]), (60 - i) * 1000 * 2654435761u);
		assert_int_equal(counts[i].pkts, 3 + 60 - i);
	}
	assert_int_equal(top_table_lost_pkts(table), 0);
	assert_null(top_table_free(table));
}

/* 200,000 values that come once, and ten that come again and again among them. */
static void test_more_values_than_places(void **state)
{
	struct top_count counts[10];
	struct top_table *table;
	uint64_t n = 0, smallest = 200000 / TOP_CAPACITY + 1;

	assert_int_equal(0, top_table_new(&table, TOP_CAPACITY, 10, false, 7));
	for (uint32_t v = 0; v < 200000; v++, n++) {
		test_put(table, 1000 + v, 100);
		for (uint32_t k = 1; v % 100 == 0 && k <= 10; k++, n++)
			if (v % (100 * k) == 0)
				test_put(table, k, 100);
	}
	assert_int_equal(top_table_largest(table, counts), 10);
	for (uint32_t i = 0; i < 10; i++) {
		uint64_t truth = (2000 + i) / (i + 1);

		assert_int_equal(test_value(&counts[i]), i + 1);
		assert_in_range(counts[i].pkts, truth, truth + smallest);
	}
	/* 65,526 places are left for those that come once. */
	assert_int_equal(top_table_lost_pkts(table), 200000 - (TOP_CAPACITY - 10));
	top_table_clear(table);
	assert_int_equal(top_table_largest(table, counts), 0);
	test_put(table, 1, 1);
	assert_int_equal(top_table_largest(table, counts), 1);
	assert_int_equal(counts[0].pkts, 1);
	top_table_free(table);
}

static int test_compare(const void *a, const void *b)
{
	const struct top_count *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	if (x->pkts != y->pkts)
		return x->pkts < y->pkts ? 1 : -1;
	return test_value(x) < test_value(y) ? -1 : 1;
}

/* Against counting in an array; a small table that overflows keeps its promises. */
static void test_table_against_plain_counting(void **state)
{
	static struct top_count plain[1000];
	struct top_count counts[40];
	struct top_table *exact, *small;

	srand(3);
	for (unsigned int round = 0; round < 20; round++) {
		uint64_t n = 0, sum = 0, least;

		assert_int_equal(0, top_table_new(&exact, 1000, 40, true, round));
		assert_int_equal(0, top_table_new(&small, 40, 40, false, round));
		memset(plain, 0, sizeof(plain));
		for (; n < 5000; n++) {
			uint32_t v = (uint32_t)(rand() % 1000) * (uint32_t)(rand() % 1000) / 1000;
			uint64_t bytes = (uint64_t)(rand() % 3);
			uint32_t key = htonl(v);

			test_put(exact, v, bytes);
			test_put(small, v, bytes);
			memcpy(plain[v].key.bytes, &key, sizeof(key));
			plain[v].pkts++;
			plain[v].bytes += bytes;
		}
		assert_int_equal(top_table_largest(small, counts), 40);
		least = counts[39].pkts;
		for (unsigned int i = 0; i < 40; i++) {
			uint64_t truth = plain[test_value(&counts[i])].pkts;

			assert_in_range(counts[i].pkts, truth, truth + least);
			sum += counts[i].pkts;
		}
		assert_int_equal(sum, n); /* nothing is lost, only counted elsewhere */
		qsort(plain, ARRAY_SIZE(plain), sizeof(plain[0]), test_compare);
		assert_int_equal(top_table_largest(exact, counts), 40);
		for (unsigned int i = 0; i < 40; i++) {
			assert_int_equal(test_value(&counts[i]), test_value(&plain[i]));
			assert_int_equal(counts[i].pkts, plain[i].pkts);
			assert_int_equal(counts[i].bytes, plain[i].bytes);
		}
		top_table_free(exact);
		top_table_free(small);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_descriptor_is_complete),
		cmocka_unit_test(test_refused_arguments_of_top),
		cmocka_unit_test(test_every_field_is_read),
		cmocka_unit_test(test_addresses_are_as_in_packets),
		cmocka_unit_test(test_cut_headers_and_fragments_do_not_count),
		cmocka_unit_test(test_ranking),
		cmocka_unit_test(test_super_packets_count_as_what_was_on_the_wire),
		cmocka_unit_test(test_intervals_follow_packets),
		cmocka_unit_test(test_intervals_survive_steps_of_the_clock),
		cmocka_unit_test(test_any_split_gives_the_same),
		cmocka_unit_test(test_exact_while_values_fit),
		cmocka_unit_test(test_more_values_than_places),
		cmocka_unit_test(test_table_against_plain_counting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
