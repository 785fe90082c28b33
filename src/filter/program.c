/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Classic BPF programs: copying, and checking those that others made.
 *
 * libpcap's bpf_validate() lets through programs that its own interpreter aborts on (an addressing
 * mode that the instruction class does not have), never ends on (an unconditional jump backwards),
 * or runs with results that C leaves undefined (scratch memory read before it is written, shifts by
 * 32 and more). Programs of pcap_compile() have none of these except the backward jumps of
 * "protochain", which end because they advance through the packet. So foreign programs pass a
 * second check here, in the spirit of Linux' net/core/filter.c: bpf_check_classic().
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

/* The instructions that the interpreter knows; it calls abort() on any other. */
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

/*
 * Jumps go forward, so one pass in program order sees all predecessors of an instruction before it.
 */
int filter_program_check_memory(const struct bpf_insn *insns, unsigned int n_insns)
{
	uint16_t *written = malloc((size_t)n_insns * sizeof(*written));
	int r = 0;

	if (!written)
		return -ENOMEM;
	memset(written, 0xff, (size_t)n_insns * sizeof(*written));
	written[0] = 0;
	for (unsigned int pc = 0; pc < n_insns && r == 0; pc++) {
		const struct bpf_insn *insn = &insns[pc];
		uint16_t now = written[pc];

		switch (BPF_CLASS(insn->code)) {
		case BPF_LD:
		case BPF_LDX:
			if (BPF_MODE(insn->code) == BPF_MEM && !(now >> insn->k & 1))
				r = -EINVAL;
			break;
		case BPF_ST:
		case BPF_STX:
			now |= (uint16_t)(1u << insn->k);
			break;
		case BPF_JMP:
			if (BPF_OP(insn->code) == BPF_JA) {
				written[pc + 1 + insn->k] &= now;
			} else {
				written[pc + 1 + insn->jt] &= now;
				written[pc + 1 + insn->jf] &= now;
			}
			continue;
		case BPF_RET:
			continue;
		}
		/* bpf_validate() has seen that the last instruction is a RET */
		written[pc + 1] &= now;
	}
	free(written);
	return r;
}

/* Would it run, and end? */
static int program_check(const struct bpf_insn *insns, unsigned int n_insns)
{
	if (n_insns < 1 || n_insns > FILTER_INSNS_MAX || !bpf_validate(insns, (int)n_insns))
		return -EINVAL;
	for (unsigned int pc = 0; pc < n_insns; pc++) {
		const struct bpf_insn *insn = &insns[pc];

		if (!program_known_code(insn->code))
			return -EINVAL;
		/* a jump backwards wraps around 2^32 */
		if (insn->code == (BPF_JMP | BPF_JA) && insn->k >= n_insns)
			return -EINVAL;
		if (BPF_CLASS(insn->code) == BPF_ALU && BPF_SRC(insn->code) == BPF_K &&
			(BPF_OP(insn->code) == BPF_LSH || BPF_OP(insn->code) == BPF_RSH) &&
			insn->k > 31)
			return -EINVAL;
	}
	return 0;
}

int filter_program_new(
	struct filter_program **ret, const struct bpf_insn *insns, unsigned int n_insns)
{
	int r = program_check(insns, n_insns);

	if (r == 0)
		r = filter_program_check_memory(insns, n_insns);
	return r < 0 ? r : filter_program_copy(ret, insns, n_insns);
}

int filter_program_receive(
	struct filter_program **ret, const struct bpf_insn *insns, unsigned int n_insns)
{
	int r = program_check(insns, n_insns);

	return r < 0 ? r : filter_program_copy(ret, insns, n_insns);
}

unsigned int filter_program_insns(const struct filter_program *program, const struct bpf_insn **ret)
{
	*ret = program->insns;
	return program->n_insns;
}

struct filter_program *filter_program_free(struct filter_program *program)
{
	free(program);
	return NULL;
}
