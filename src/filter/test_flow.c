/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs that choose flows against the decoder: on packets of captures and made-up ones, whole,
 * cut and changed, they pass exactly what the decoder's hash says, but for packets of which they
 * say that they are not sure.
 */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "filter_private.h"
#include "packet/decode.h"
#include "test_captures.h"
#include "test_flow_packets.h"
#include "test_random.h"

#define FLOW_ETHERNET 1u
#define FLOW_PACKET_MAX 2048u

static const unsigned int flow_ranges[] = { 1, 300, 512, 1023, 1024 };

struct flow_test {
	struct filter_program *passes[ARRAY_SIZE(flow_ranges)];
	struct filter_program *unsure;
	struct random random;
	unsigned long n_packets, n_flows, n_chosen, n_unsure, n_unsure_flows;
};

static bool flow_accepts(const struct filter_program *program, const uint8_t *data, uint32_t n)
{
	return filter_interpret(program, data, n, n, FILTER_DIRECTION_UNKNOWN) ==
		FILTER_INTERPRET_ACCEPT;
}

/* The part of the packet's flow; DECODE_FLOW_PARTS: it is of none. */
static unsigned int flow_part(const uint8_t *data, uint32_t n_bytes)
{
	static struct packet_batch batch = { .n = 1, .linktype = FLOW_ETHERNET };
	static struct decode_columns columns;
	const struct decode_layers *outer = &columns.outer[0];
	struct decode_flow_key key;

	batch.data[0] = data;
	batch.cap_bytes[0] = batch.wire_bytes[0] = n_bytes;
	decode_batch(&batch, &columns);
	if ((outer->l4_proto != IPPROTO_TCP && outer->l4_proto != IPPROTO_UDP) ||
		outer->flags & DECODE_FRAGMENT_LATER || !decode_flow_key(&batch, 0, outer, &key) ||
		outer->l4_offset == DECODE_NONE || outer->l3_end - outer->l4_offset < 4)
		return DECODE_FLOW_PARTS;
	key.src_port = outer->src_port;
	key.dst_port = outer->dst_port;
	return decode_flow_part(&key);
}

static void flow_try(struct flow_test *t, const uint8_t *data, uint32_t n_bytes)
{
	unsigned int part = flow_part(data, n_bytes);
	bool unsure = flow_accepts(t->unsure, data, n_bytes);

	t->n_packets++;
	t->n_flows += part < DECODE_FLOW_PARTS;
	t->n_unsure += unsure;
	t->n_unsure_flows += unsure && part < DECODE_FLOW_PARTS;
	for (size_t i = 0; i < ARRAY_SIZE(flow_ranges); i++) {
		bool passes = flow_accepts(t->passes[i], data, n_bytes);

		t->n_chosen += passes;
		if (passes != (!unsure && part < flow_ranges[i]))
			fail_msg("packet %lu of %u bytes: part %u, range %u: %s", t->n_packets,
				n_bytes, part, flow_ranges[i], passes ? "passes" : "does not pass");
	}
}

/* As it is, cut, and with some bytes of its headers changed. */
static void flow_try_variants(struct flow_test *t, const uint8_t *data, uint32_t n_bytes)
{
	uint8_t *changed = malloc(n_bytes + 1);

	assert_non_null(changed);
	flow_try(t, data, n_bytes);
	for (unsigned int n = 0; n < 20 && n_bytes > 0; n++) {
		/* In a buffer as long as the packet: sanitizers see a read beyond. */
		uint32_t cut_bytes = random_below(&t->random, MIN(n_bytes, 120)) + 1;
		uint8_t *cut = malloc(cut_bytes);

		assert_non_null(cut);
		memcpy(cut, data, cut_bytes);
		flow_try(t, cut, cut_bytes);
		free(cut);
		if (n_bytes <= 12)
			continue;
		memcpy(changed, data, n_bytes);
		for (unsigned int i = 1 + random_below(&t->random, 3); i > 0; i--)
			changed[12 + random_below(&t->random, MIN(n_bytes - 12, 80))] =
				(uint8_t)random_next(&t->random);
		flow_try(t, changed, n_bytes);
	}
	free(changed);
}

static void flow_begin(struct flow_test *t, uint64_t seed)
{
	*t = (struct flow_test){ .random = { .state = seed } };
	assert_int_equal(filter_program_flow(&t->unsure, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(flow_ranges); i++)
		assert_int_equal(filter_program_flow(&t->passes[i], flow_ranges[i]), 0);
}

static void flow_end(struct flow_test *t)
{
	print_message("%lu packets, %lu of flows; not sure of %lu, of which %lu are of flows\n",
		t->n_packets, t->n_flows, t->n_unsure, t->n_unsure_flows);
	filter_program_free(t->unsure);
	for (size_t i = 0; i < ARRAY_SIZE(flow_ranges); i++)
		filter_program_free(t->passes[i]);
}

static void flow_try_captured(void *context, const struct pcap_pkthdr *header, const uint8_t *data)
{
	flow_try_variants(context, data, MIN(header->caplen, FLOW_PACKET_MAX));
}

static void captured_packets_agree(void **state)
{
	struct captures captures = { 0 };
	struct flow_test t;

	flow_begin(&t, 1);
	captures_add(&captures, MAPI_OWN_CAPTURES);
	captures_add(&captures, captures_folder());
	for (unsigned int f = 0; f < captures.n; f++)
		captures_read(captures.paths[f], 10, flow_try_captured, &t);
	captures_clear(&captures);
	assert_true(t.n_flows > 0 && t.n_chosen > 0);
	flow_end(&t);
}

static void made_packets_agree(void **state)
{
	struct test_flow_packet p;
	struct flow_test t;

	flow_begin(&t, 2);
	for (unsigned int i = 0; i < 40000; i++) {
		test_flow_packet(&p, &t.random);
		flow_try(&t, p.bytes, p.n);
		if (i % 8 == 0)
			flow_try_variants(&t, p.bytes, p.n);
	}
	assert_true(t.n_flows > 10000 && t.n_unsure_flows > 1000);
	flow_end(&t);
}

/* As batches of filters see them. */
static void sets_interpret_them(void **state)
{
	static struct packet_batch batch = { .n = PACKET_BATCH_MAX, .linktype = FLOW_ETHERNET };
	static struct test_flow_packet packets[PACKET_BATCH_MAX];
	struct filter_set *set;
	struct packet_mask mask;
	struct flow_test t;
	void *scratch;

	flow_begin(&t, 3);
	assert_int_equal(
		filter_set_new(&set, (const struct filter_program *const *)&t.passes[2], 1), 0);
	assert_int_equal(filter_set_stats(set).n_interpreted, 1);
	scratch = aligned_alloc(64, (filter_set_scratch_bytes(set) + 63) / 64 * 64);
	assert_non_null(scratch);
	for (unsigned int i = 0; i < batch.n; i++) {
		test_flow_packet(&packets[i], &t.random);
		batch.data[i] = packets[i].bytes;
		batch.cap_bytes[i] = batch.wire_bytes[i] = packets[i].n;
	}
	filter_set_run(set, scratch, &batch, &mask);
	for (unsigned int i = 0; i < batch.n; i++)
		assert_int_equal(packet_mask_test(&mask, i),
			flow_accepts(t.passes[2], packets[i].bytes, packets[i].n));
	free(scratch);
	filter_set_free(set);
	flow_end(&t);
}

/* Nobody else makes the instruction. */
static void others_cannot_ask(void **state)
{
	static const struct bpf_insn insns[] = { BPF_STMT(FILTER_INSN_PART, 0),
		BPF_STMT(BPF_RET | BPF_K, 1) };
	struct filter_program *program;

	assert_true(filter_program_new(&program, insns, ARRAY_SIZE(insns)) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(captured_packets_agree),
		cmocka_unit_test(made_packets_agree),
		cmocka_unit_test(sets_interpret_them),
		cmocka_unit_test(others_cannot_ask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
