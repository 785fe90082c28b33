/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs in a row decide as all of them: libpcap's interpreter runs each, and the whole. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "filter_private.h"
#include "test_random.h"
#include "test_reference.h"

#define N_PARTS 3u
#define N_PACKETS 40u
#define N_RANDOM_INSNS 12u

static struct filter_program *program_of(const struct bpf_insn *insns, unsigned int n)
{
	struct filter_program *program;

	assert_int_equal(filter_program_new(&program, insns, n), 0);
	return program;
}

static bool has_return_of_a(const struct bpf_insn *insns, unsigned int n)
{
	for (unsigned int pc = 0; pc < n; pc++) {
		if (insns[pc].code == (BPF_RET | BPF_A))
			return true;
	}
	return false;
}

/* An expression, or instructions of no sense that leave and find things in registers and memory. */
static struct filter_program *random_part(struct random *r)
{
	struct filter_program *program = NULL;

	while (!program) {
		struct bpf_insn insns[N_RANDOM_INSNS];
		struct error err = ERROR_INIT;
		char text[4096];

		if (random_below(r, 2)) {
			random_expression(r, text, sizeof(text));
			(void)filter_compile(&program, text, 1, &err);
			continue;
		}
		random_program(r, insns, N_RANDOM_INSNS);
		if (!has_return_of_a(insns, N_RANDOM_INSNS))
			(void)filter_program_new(&program, insns, N_RANDOM_INSNS);
	}
	return program;
}

/* Return: what all of @parts make of a packet. */
static enum filter_interpret_outcome decide_all(struct filter_program *const parts[],
	unsigned int n, const uint8_t *packet, uint32_t n_bytes)
{
	for (unsigned int i = 0; i < n; i++) {
		struct reference reference = reference_of(parts[i]);
		enum filter_interpret_outcome outcome =
			reference_decide(&reference, packet, n_bytes, n_bytes);

		if (outcome != FILTER_INTERPRET_ACCEPT)
			return outcome;
	}
	return FILTER_INTERPRET_ACCEPT;
}

static void random_parts_agree(void **state)
{
	struct random r = { .state = 2026 };
	unsigned int n_accepted = 0, n_rejected = 0;

	(void)state;
	for (unsigned int round = 0; round < 1500; round++) {
		struct filter_program *parts[N_PARTS] = { NULL }, *all;
		unsigned int n = 1 + random_below(&r, N_PARTS);
		struct reference reference;

		for (unsigned int i = 0; i < n; i++)
			parts[i] = random_part(&r);
		assert_int_equal(
			filter_program_join(&all, (const struct filter_program *const *)parts, n),
			0);
		/* It is a program like any other. */
		assert_true(bpf_validate(all->insns, (int)all->n_insns));
		reference = reference_of(all);
		for (unsigned int p = 0; p < N_PACKETS; p++) {
			uint8_t packet[1600];
			uint32_t n_bytes = random_packet(&r, packet, sizeof(packet));
			enum filter_interpret_outcome right = decide_all(parts, n, packet, n_bytes);

			if (right == FILTER_INTERPRET_ENDLESS)
				continue;
			assert_int_equal(
				reference_decide(&reference, packet, n_bytes, n_bytes), right);
			n_accepted += right == FILTER_INTERPRET_ACCEPT;
			n_rejected += right != FILTER_INTERPRET_ACCEPT;
		}
		filter_program_free(all);
		for (unsigned int i = 0; i < n; i++)
			filter_program_free(parts[i]);
	}
	print_message("%u packets accepted, %u rejected\n", n_accepted, n_rejected);
	assert_true(n_accepted > 4000 && n_rejected > 5000);
}

static uint32_t run_joined(const struct filter_program *const parts[], unsigned int n)
{
	static const uint8_t packet[64] = { 1, 2, 3 };
	struct filter_program *all;
	uint32_t bytes;

	assert_int_equal(filter_program_join(&all, parts, n), 0);
	bytes = bpf_filter(all->insns, packet, sizeof(packet), sizeof(packet));
	filter_program_free(all);
	return bytes;
}

/* What the one leaves, the next does not find. */
static void each_starts_afresh(void **state)
{
	static const struct bpf_insn leaves[] = { BPF_STMT(BPF_LD | BPF_IMM, 5),
		BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_STX, 15),
		BPF_STMT(BPF_RET | BPF_K, 1) };
	static const struct bpf_insn finds[][3] = {
		{ BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_RET | BPF_K, 0) },
		{ BPF_STMT(BPF_MISC | BPF_TXA, 0), BPF_STMT(BPF_RET | BPF_K, 0) },
		{ BPF_STMT(BPF_LD | BPF_MEM, 3), BPF_STMT(BPF_RET | BPF_K, 0) },
		{ BPF_STMT(BPF_LDX | BPF_MEM, 15), BPF_STMT(BPF_MISC | BPF_TXA, 0) },
	};
	struct filter_program *first = program_of(leaves, ARRAY_SIZE(leaves));

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(finds); i++) {
		struct bpf_insn insns[5] = { finds[i][0], finds[i][1] };
		unsigned int n = insns[1].code == (BPF_RET | BPF_K) ? 1 : 2;
		const struct filter_program *parts[2] = { first };
		struct filter_program *second;

		insns[n++] = (struct bpf_insn)BPF_JUMP(BPF_JMP | BPF_JEQ, 0, 0, 1);
		insns[n++] = (struct bpf_insn)BPF_STMT(BPF_RET | BPF_K, 96);
		insns[n++] = (struct bpf_insn)BPF_STMT(BPF_RET | BPF_K, 0);
		parts[1] = second = program_of(insns, n);
		assert_int_equal(run_joined(parts, 2), 96);
		filter_program_free(second);
	}
	filter_program_free(first);
}

static void the_last_says_how_much(void **state)
{
	static const struct bpf_insn returns[][1] = { { BPF_STMT(BPF_RET | BPF_K, 100) },
		{ BPF_STMT(BPF_RET | BPF_K, 200) }, { BPF_STMT(BPF_RET | BPF_K, 0) },
		{ BPF_STMT(BPF_RET | BPF_A, 0) } };
	const struct filter_program *parts[ARRAY_SIZE(returns)], *pair[2];
	struct filter_program *all;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(returns); i++)
		parts[i] = program_of(returns[i], 1);
	assert_int_equal(run_joined(parts, 0), UINT32_MAX);
	assert_int_equal(run_joined(parts, 1), 100);
	assert_int_equal(run_joined(parts, 2), 200);
	assert_int_equal(run_joined(parts, 3), 0);
	pair[0] = parts[2];
	pair[1] = parts[0];
	assert_int_equal(run_joined(pair, 2), 0);
	pair[0] = parts[3];
	assert_int_equal(filter_program_join(&all, pair, 2), -ENOTSUP);
	pair[0] = parts[0];
	pair[1] = parts[3];
	assert_int_equal(filter_program_join(&all, pair, 2), -ENOTSUP);
	for (size_t i = 0; i < ARRAY_SIZE(returns); i++)
		filter_program_free((struct filter_program *)(uintptr_t)parts[i]);
}

static void too_much_is_refused(void **state)
{
	struct bpf_insn *insns = calloc(FILTER_INSNS_MAX, sizeof(*insns));
	const struct filter_program *parts[2];
	struct filter_program *half, *all;

	(void)state;
	assert_non_null(insns);
	for (unsigned int i = 0; i < FILTER_INSNS_MAX / 2; i++)
		insns[i] = (struct bpf_insn)BPF_STMT(BPF_RET | BPF_K, 1);
	half = program_of(insns, FILTER_INSNS_MAX / 2);
	parts[0] = parts[1] = half;
	assert_int_equal(filter_program_join(&all, parts, 2), -E2BIG);
	filter_program_free(half);
	half = program_of(insns, FILTER_INSNS_MAX / 2 - 1);
	parts[0] = parts[1] = half;
	assert_int_equal(run_joined(parts, 2), 1);
	filter_program_free(half);
	free(insns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_parts_agree),
		cmocka_unit_test(each_starts_afresh),
		cmocka_unit_test(the_last_says_how_much),
		cmocka_unit_test(too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
