/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs in a row: one program that accepts what all of them accept.
 *
 * They stand one behind the other. Where one accepts, it goes on to the next, which finds registers
 * and scratch memory as at its own start: both are cleared in front of it. Where one rejects, all
 * do. Instructions keep their number, so jumps within a program stay as they are.
 */
#include "filter_private.h"

#include <errno.h>
#include <stdlib.h>

#define JOIN_WHOLE UINT32_MAX /* bytes of a packet that nobody cuts */

/* Which words of scratch memory does it read? */
static uint32_t join_words(const struct filter_program *program)
{
	uint32_t words = 0;

	for (unsigned int pc = 0; pc < program->n_insns; pc++) {
		const struct bpf_insn *insn = &program->insns[pc];

		if (insn->code == (BPF_LD | BPF_MEM) || insn->code == (BPF_LDX | BPF_MEM))
			words |= 1u << insn->k;
	}
	return words;
}

/* What stands in front of a program. Return: its length; @to may be NULL. */
static unsigned int join_clear(const struct filter_program *program, struct bpf_insn *to)
{
	uint32_t words = join_words(program);
	unsigned int n = 0;
	const struct bpf_insn clears[] = { BPF_STMT(BPF_LD | BPF_IMM, 0),
		BPF_STMT(BPF_LDX | BPF_IMM, 0) };

	for (; n < ARRAY_SIZE(clears); n++) {
		if (to)
			to[n] = clears[n];
	}
	for (uint32_t word = 0; word < BPF_MEMWORDS; word++) {
		if (!(words & 1u << word))
			continue;
		if (to)
			to[n] = (struct bpf_insn)BPF_STMT(BPF_ST, word);
		n++;
	}
	return n;
}

/* Return: how long all are, -E2BIG, -ENOTSUP. */
static int join_measure(const struct filter_program *const programs[], unsigned int n)
{
	uint64_t n_insns = 0;

	for (unsigned int i = 0; i < n; i++) {
		n_insns += programs[i]->n_insns + (i > 0 ? join_clear(programs[i], NULL) : 0);
		if (n_insns > FILTER_INSNS_MAX)
			return -E2BIG;
		for (unsigned int pc = 0; pc < programs[i]->n_insns; pc++) {
			if (programs[i]->insns[pc].code == (BPF_RET | BPF_A))
				return -ENOTSUP;
		}
	}
	return (int)n_insns;
}

/* Appends a program. @is_last: what it accepts is accepted. */
static void join_append(struct bpf_insn *to, const struct filter_program *program, bool is_last)
{
	for (unsigned int pc = 0; pc < program->n_insns; pc++) {
		to[pc] = program->insns[pc];
		if (!is_last && to[pc].code == (BPF_RET | BPF_K) && to[pc].k != 0)
			to[pc] = (struct bpf_insn)BPF_STMT(
				BPF_JMP | BPF_JA, program->n_insns - pc - 1);
	}
}

int filter_program_join(
	struct filter_program **ret, const struct filter_program *const programs[], unsigned int n)
{
	static const struct bpf_insn all = BPF_STMT(BPF_RET | BPF_K, JOIN_WHOLE);
	_cleanup_(cleanup_freep) struct bpf_insn *insns = NULL;
	int n_insns = join_measure(programs, n);
	unsigned int at = 0;

	if (n_insns < 0)
		return n_insns;
	if (n == 0)
		return filter_program_copy(ret, &all, 1);
	insns = malloc((size_t)n_insns * sizeof(*insns));
	if (!insns)
		return -ENOMEM;
	for (unsigned int i = 0; i < n; i++) {
		if (i > 0)
			at += join_clear(programs[i], insns + at);
		join_append(insns + at, programs[i], i + 1 == n);
		at += programs[i]->n_insns;
	}
	return filter_program_copy(ret, insns, at);
}
