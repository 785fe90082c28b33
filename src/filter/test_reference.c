/* SPDX-License-Identifier: BSD-2-Clause */
/* The interpreter beside libpcap's: see the header. */
#include "test_reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Before every instruction: the slots of scratch memory that all paths to it have written. */
struct reference_job {
	uint16_t *written;
	bool has_changed;
};

static void reference_meet(struct reference_job *j, uint32_t pc, uint16_t now)
{
	if (j->written[pc] & ~now) {
		j->written[pc] &= now;
		j->has_changed = true;
	}
}

/* One pass in program order; jumps backwards make more necessary. */
static bool reference_pass(struct reference_job *j, const struct filter_program *program)
{
	for (uint32_t pc = 0; pc < program->n_insns; pc++) {
		const struct bpf_insn *insn = &program->insns[pc];
		uint16_t now = j->written[pc];

		switch (BPF_CLASS(insn->code)) {
		case BPF_LD:
		case BPF_LDX:
			if (BPF_MODE(insn->code) == BPF_MEM && !(now >> insn->k & 1))
				return false;
			break;
		case BPF_ST:
		case BPF_STX:
			now |= (uint16_t)(1u << insn->k);
			break;
		case BPF_JMP:
			if (BPF_OP(insn->code) == BPF_JA) {
				reference_meet(j, pc + 1 + insn->k, now);
			} else {
				reference_meet(j, pc + 1 + insn->jt, now);
				reference_meet(j, pc + 1 + insn->jf, now);
			}
			continue;
		case BPF_RET:
			continue;
		}
		reference_meet(j, pc + 1, now); /* the last instruction is a RET */
	}
	return true;
}

static bool reference_writes_first(const struct filter_program *program)
{
	size_t n_bytes = program->n_insns * sizeof(uint16_t);
	struct reference_job j = { .written = malloc(n_bytes) };
	bool is_right;

	if (!j.written)
		abort();
	memset(j.written, 0xff, n_bytes);
	j.written[0] = 0;
	do {
		j.has_changed = false;
		is_right = reference_pass(&j, program);
	} while (is_right && j.has_changed);
	free(j.written);
	return is_right;
}

struct reference reference_of(const struct filter_program *program)
{
	struct reference reference = { .program = program };

	reference.is_defined = reference_writes_first(program);
	for (uint32_t pc = 0; pc < program->n_insns; pc++) {
		const struct bpf_insn *insn = &program->insns[pc];

		if (insn->code == (BPF_ALU | BPF_LSH) || insn->code == (BPF_ALU | BPF_RSH))
			reference.is_defined = reference.is_defined && insn->k < 32;
		if (insn->code == (BPF_JMP | BPF_JA) && insn->k >= program->n_insns)
			reference.jumps_back = true;
		if (insn->code == FILTER_INSN_PART) /* libpcap does not know it */
			reference.is_defined = false;
	}
	return reference;
}

enum filter_interpret_outcome reference_decide(const struct reference *reference,
	const uint8_t *data, uint32_t wire_bytes, uint32_t cap_bytes)
{
	enum filter_interpret_outcome ours = filter_interpret(
		reference->program, data, wire_bytes, cap_bytes, FILTER_DIRECTION_UNKNOWN);
	const char *why = NULL;
	bool theirs;

	if (ours == FILTER_INTERPRET_ENDLESS) {
		if (!reference->jumps_back)
			why = "endless without a jump backwards";
	} else if (reference->is_defined) {
		theirs = bpf_filter(reference->program->insns, data, wire_bytes, cap_bytes) != 0;
		if (theirs != (ours == FILTER_INTERPRET_ACCEPT))
			why = theirs ? "libpcap accepts" : "libpcap rejects";
	}
	if (why) {
		(void)fprintf(stderr, "the interpreter differs on %u of %u bytes: %s\n", cap_bytes,
			wire_bytes, why);
		abort();
	}
	return ours;
}
