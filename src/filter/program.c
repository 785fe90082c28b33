/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Classic BPF programs: copying, and checking those that others made.
 *
 * libpcap's bpf_validate() sees that jumps and scratch memory are within bounds and that the last
 * instruction returns, but lets through instructions that do not exist (an addressing mode that the
 * instruction class does not have). So foreign programs pass a second check here. Every program
 * that passes ends on every packet: see interpret.c.
 */
#include "filter_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int filter_program_copy(
	struct filter_program **ret, const struct bpf_insn *insns, unsigned int n_insns)
{
	struct filter_program *program;

	program = malloc(sizeof(*program) + (size_t)n_insns * sizeof(*insns));
	if (!program)
		return -ENOMEM;
	program->n_insns = n_insns;
	memcpy(program->insns, insns, (size_t)n_insns * sizeof(*insns));
	*ret = program;
	return 0;
}

/* The instructions that exist. */
static bool program_known_code(unsigned int code)
{
	switch (code) {
	case BPF_LD | BPF_W | BPF_ABS:
	case BPF_LD | BPF_H | BPF_ABS:
	case BPF_LD | BPF_B | BPF_ABS:
	case BPF_LD | BPF_W | BPF_IND:
	case BPF_LD | BPF_H | BPF_IND:
	case BPF_LD | BPF_B | BPF_IND:
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LD | BPF_IMM:
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_MSH | BPF_B:
	case BPF_LDX | BPF_IMM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
	case BPF_ALU | BPF_NEG:
	case BPF_JMP | BPF_JA:
	case BPF_RET | BPF_K:
	case BPF_RET | BPF_A:
	case BPF_MISC | BPF_TAX:
	case BPF_MISC | BPF_TXA:
		return true;
	}
	if (BPF_CLASS(code) == BPF_ALU && code <= 0xff)
		return BPF_OP(code) <= BPF_XOR && BPF_OP(code) != BPF_NEG;
	if (BPF_CLASS(code) == BPF_JMP && code <= 0xff)
		return BPF_OP(code) >= BPF_JEQ && BPF_OP(code) <= BPF_JSET;
	return false;
}

int filter_program_new(
	struct filter_program **ret, const struct bpf_insn *insns, unsigned int n_insns)
{
	if (n_insns < 1 || n_insns > FILTER_INSNS_MAX || !bpf_validate(insns, (int)n_insns))
		return -EINVAL;
	for (unsigned int pc = 0; pc < n_insns; pc++) {
		if (!program_known_code(insns[pc].code))
			return -EINVAL;
	}
	return filter_program_copy(ret, insns, n_insns);
}

unsigned int filter_program_insns(const struct filter_program *program, const struct bpf_insn **ret)
{
	*ret = program->insns;
	return program->n_insns;
}

bool filter_program_asks_direction(const struct filter_program *program)
{
	for (unsigned int pc = 0; pc < program->n_insns; pc++) {
		if (filter_insn_asks_direction(&program->insns[pc]))
			return true;
	}
	return false;
}

struct filter_program *filter_program_free(struct filter_program *program)
{
	free(program);
	return NULL;
}
