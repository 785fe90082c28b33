/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Functions that sample: of the packets that a filter accepts, some are chosen by their number.
 *
 * The filter says only that it has accepted (the mark of one slot, for all that sample behind it);
 * numbers are taken at the end of the page, so that the code stands there once. Those whose chosen
 * packets are delivered come before anything is counted, because what is delivered is not. If one
 * of them has chosen the packet, the numbers that the others have taken are not given out again in
 * user space: it is told how many there are, and what was decided (base/sampling.h).
 */
#include "base/sampling.h"
#include "kernel_private.h"

#define TURNS_AT(member) ((int16_t)offsetof(struct sampling_turns, member))
#define ATOMIC_ADD(at, reg, op) INSN(BPF_STX | BPF_ATOMIC | BPF_DW, BPF_REG_2, reg, at, op)

/* Goes to @no unless the filter has accepted the packet. */
static void sample_accepted(struct kernel_emit *e, const struct kernel_sample *s, uint32_t no)
{
	uint8_t reg;
	int16_t at = kernel_frame_slot(e, s->leader, offsetof(struct kernel_slot, mark), &reg);

	emit_put(e, LOAD(BPF_DW, BPF_REG_2, reg, at));
	emit_put(e, LOAD(BPF_DW, BPF_REG_1, REG_AREA, AREA_AT(seq)));
	emit_jump(e, IF64_REG(BPF_JLT, BPF_REG_2, BPF_REG_1), no);
}

/* r2 = the sample's numbers; the loader fills in the map's descriptor. */
static void sample_turns(struct kernel_emit *e, const struct kernel_sample *s)
{
	emit_put(e, INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_2, BPF_PSEUDO_MAP_VALUE, 0, 0));
	emit_put(e, INSN(0, 0, 0, 0, (int32_t)(s->of.cell * sizeof(struct sampling_turns))));
}

/* r3 = @value */
static void sample_constant(struct kernel_emit *e, uint64_t value)
{
	emit_put(e, INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_3, 0, 0, (int32_t)(uint32_t)value));
	emit_put(e, INSN(0, 0, 0, 0, (int32_t)(uint32_t)(value >> 32)));
}

/* r0 ^= r0 >> @bits */
static void sample_fold(struct kernel_emit *e, int bits)
{
	emit_put(e, MOV_REG(BPF_REG_1, BPF_REG_0));
	emit_put(e, ALU_IMM(BPF_RSH, BPF_REG_1, bits));
	emit_put(e, ALU_REG(BPF_XOR, BPF_REG_0, BPF_REG_1));
}

static void sample_multiply(struct kernel_emit *e, uint64_t factor)
{
	sample_constant(e, factor);
	emit_put(e, ALU_REG(BPF_MUL, BPF_REG_0, BPF_REG_3));
}

/* Takes a number, and goes to @no if it is not chosen: sampling_chooses(). */
static void sample_take(struct kernel_emit *e, const struct kernel_sample *s, uint32_t no)
{
	sample_turns(e, s);
	emit_put(e, MOV_IMM(BPF_REG_0, 1));
	emit_put(e, ATOMIC_ADD(TURNS_AT(next), BPF_REG_0, BPF_ADD | BPF_FETCH));
	emit_put(e, ALU_IMM(BPF_ADD, BPF_REG_0, 1));
	if (s->of.rule.mode == SAMPLING_PERIODIC) {
		emit_put(e, ALU_IMM(BPF_MOD, BPF_REG_0, (int32_t)s->of.rule.value));
		emit_jump(e, IF64_IMM(BPF_JNE, BPF_REG_0, 0), no);
		return;
	}
	sample_multiply(e, SAMPLING_STEP);
	sample_constant(e, s->of.rule.seed);
	emit_put(e, ALU_REG(BPF_ADD, BPF_REG_0, BPF_REG_3));
	sample_fold(e, 30);
	sample_multiply(e, SAMPLING_FIRST);
	sample_fold(e, 27);
	sample_multiply(e, SAMPLING_SECOND);
	sample_fold(e, 31);
	emit_put(e, ALU_IMM(BPF_RSH, BPF_REG_0, 32));
	emit_put(e, ALU_IMM(BPF_MUL, BPF_REG_0, 100));
	emit_put(e, ALU_IMM(BPF_RSH, BPF_REG_0, 32));
	emit_jump(e, IF64_IMM(BPF_JGE, BPF_REG_0, (int32_t)s->of.rule.value), no);
}

/* The packet's number, which is odd, + 1: later than the mark of a filter that has accepted it, and
 * than all marks of packets before. */
static void sample_mark_chosen(struct kernel_emit *e, const struct kernel_sample *s)
{
	uint8_t reg;
	int16_t at = kernel_frame_slot(e, s->slot, offsetof(struct kernel_slot, mark), &reg);

	emit_put(e, LOAD(BPF_DW, BPF_REG_1, REG_AREA, AREA_AT(seq)));
	emit_put(e, ALU_IMM(BPF_ADD, BPF_REG_1, 1));
	emit_put(e, STORE(BPF_DW, reg, BPF_REG_1, at));
	emit_put(e, STORE_IMM(BPF_W, REG_AREA, AREA_AT(deliver), 1));
}

/* The packet is delivered: user space will meet it, and must not decide again. */
static void sample_tell(struct kernel_emit *e, const struct kernel_sample *s)
{
	uint32_t undecided = kernel_asm_label(&e->code), passed = kernel_asm_label(&e->code);
	uint8_t reg;
	int16_t at;

	sample_accepted(e, s, undecided);
	at = kernel_frame_slot(e, s->slot, offsetof(struct kernel_slot, mark), &reg);
	emit_put(e, LOAD(BPF_DW, BPF_REG_3, reg, at));
	sample_turns(e, s);
	emit_put(e, MOV_IMM(BPF_REG_0, 1));
	emit_jump(e, IF64_REG(BPF_JGT, BPF_REG_3, BPF_REG_1), passed);
	emit_put(e, ATOMIC_ADD(TURNS_AT(skips), BPF_REG_0, BPF_ADD));
	emit_goto(e, undecided);
	emit_place(e, passed);
	emit_put(e, ATOMIC_ADD(TURNS_AT(passes), BPF_REG_0, BPF_ADD));
	emit_place(e, undecided);
}

static bool sample_delivers_any(const struct kernel_emit *e)
{
	for (uint32_t i = 0; i < e->n_samples; i++)
		if (e->samples[i].deliver)
			return true;
	return false;
}

void kernel_sample_deliver(struct kernel_emit *e)
{
	uint32_t none = kernel_asm_label(&e->code);

	if (!sample_delivers_any(e))
		return;
	emit_put(e, STORE_IMM(BPF_W, REG_AREA, AREA_AT(deliver), 0));
	for (uint32_t i = 0; i < e->n_samples; i++) {
		uint32_t next = kernel_asm_label(&e->code);

		if (!e->samples[i].deliver)
			continue;
		sample_accepted(e, &e->samples[i], next);
		sample_take(e, &e->samples[i], next);
		sample_mark_chosen(e, &e->samples[i]);
		emit_place(e, next);
	}
	emit_put(e, LOAD(BPF_W, BPF_REG_1, REG_AREA, AREA_AT(deliver)));
	emit_jump(e, IF_IMM(BPF_JEQ, BPF_REG_1, 0), none);
	for (uint32_t i = 0; i < e->n_samples; i++)
		if (e->samples[i].deliver)
			sample_tell(e, &e->samples[i]);
	emit_goto(e, e->delivered);
	emit_place(e, none);
}

/* Counts what the sample's filter has accepted, if that was not done at once. */
static void sample_count_filter(struct kernel_emit *e, const struct kernel_sample *s)
{
	uint32_t next = kernel_asm_label(&e->code);

	sample_accepted(e, s, next);
	kernel_frame_count(e, s->filter);
	emit_place(e, next);
}

void kernel_sample_count(struct kernel_emit *e, uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < e->n_samples && !emit_failed(e); i++) {
		const struct kernel_sample *s = &e->samples[i];
		uint32_t next = kernel_asm_label(&e->code);

		if (s->filter < first || s->filter - first >= n ||
			e->actions[s->filter] & ACTION_DELIVER)
			continue;
		if (s->slot == s->leader && s->filter < e->n_early &&
			e->actions[s->filter] & ACTION_COUNT)
			sample_count_filter(e, s);
		if (s->deliver)
			continue;
		sample_accepted(e, s, next);
		sample_take(e, s, next);
		kernel_frame_count(e, s->slot);
		emit_place(e, next);
	}
}
