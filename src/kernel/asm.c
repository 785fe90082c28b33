/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions with labels become a program.
 *
 * Jumps that lead to jumps are led to the end, what is never reached is dropped, and so are jumps
 * to the next instruction: the kernel's verifier would do all that, but in quadratic time.
 * Distances are 16 bits; a longer jump is a conditional jump over an unconditional one of 32 bits.
 */
#include "kernel_private.h"

#include <errno.h>
#include <stdlib.h>

void kernel_asm_deinit(struct kernel_asm *c)
{
	free(c->insns);
	free(c->targets);
	free(c->labels);
	*c = (struct kernel_asm){ 0 };
}

static bool asm_grow(void *array, uint32_t *room, size_t item_bytes)
{
	uint32_t wanted = *room ? 2 * *room : 256;
	void *grown = realloc(*(void **)array, wanted * item_bytes);

	if (!grown)
		return false;
	*(void **)array = grown;
	*room = wanted;
	return true;
}

uint32_t kernel_asm_label(struct kernel_asm *c)
{
	if (c->n_labels == c->labels_room &&
		!asm_grow(&c->labels, &c->labels_room, sizeof(*c->labels))) {
		c->failed = true;
		return 0;
	}
	c->labels[c->n_labels] = ASM_NOWHERE;
	return c->n_labels++;
}

void kernel_asm_place(struct kernel_asm *c, uint32_t label)
{
	if (!c->failed)
		c->labels[label] = c->n;
}

void kernel_asm_put(struct kernel_asm *c, struct bpf_insn insn)
{
	uint32_t room = c->room;

	if (c->n == c->room &&
		(!asm_grow(&c->insns, &c->room, sizeof(*c->insns)) ||
			!asm_grow(&c->targets, &room, sizeof(*c->targets)))) {
		c->failed = true;
		c->n = 0;
		c->room = 0;
		free(c->insns);
		free(c->targets);
		c->insns = NULL;
		c->targets = NULL;
		return;
	}
	c->targets[c->n] = 0;
	c->insns[c->n++] = insn;
}

void kernel_asm_jump(struct kernel_asm *c, struct bpf_insn insn, uint32_t label)
{
	kernel_asm_put(c, insn);
	if (!c->failed)
		c->targets[c->n - 1] = label + 1;
}

static bool asm_is_goto(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_JA);
}

static bool asm_is_exit(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_EXIT);
}

static bool asm_is_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL);
}

/* Where a jump to @label comes to rest. */
static uint32_t asm_target(const struct kernel_asm *c, uint32_t label)
{
	uint32_t at = c->labels[label];

	/* Jumps go forward, so this ends. */
	while (at < c->n && asm_is_goto(&c->insns[at]))
		at = c->labels[c->targets[at] - 1];
	return at;
}

/* Marks what is reached; all jumps and calls go forward. Return: false if code runs off its end. */
static bool asm_reach(const struct kernel_asm *c, uint8_t *is_kept)
{
	is_kept[0] = 1;
	for (uint32_t i = 0; i < c->n; i++) {
		const struct bpf_insn *insn = &c->insns[i];

		if (!is_kept[i])
			continue;
		if (c->targets[i]) {
			uint32_t target = asm_target(c, c->targets[i] - 1);

			if (target >= c->n || target <= i)
				return false;
			is_kept[target] = 1;
		}
		if (asm_is_goto(insn) || asm_is_exit(insn))
			continue;
		if (i + 1 >= c->n)
			return false;
		is_kept[i + 1] = 1;
	}
	return true;
}

/* Drops jumps to what follows anyway. */
static void asm_drop_gotos(const struct kernel_asm *c, uint8_t *is_kept)
{
	uint32_t next = c->n; /* the first kept instruction behind */

	for (uint32_t i = c->n; i-- > 0;) {
		if (!is_kept[i])
			continue;
		if (asm_is_goto(&c->insns[i]) && asm_target(c, c->targets[i] - 1) == next)
			is_kept[i] = 0; /* jumps to a goto go where it goes */
		else
			next = i;
	}
}

/* The contrary of a condition; 0 if there is none. */
static uint8_t asm_contrary(uint8_t code)
{
	static const uint8_t pairs[][2] = { { BPF_JEQ, BPF_JNE }, { BPF_JGT, BPF_JLE },
		{ BPF_JGE, BPF_JLT } };
	uint8_t rest = code & ~0xf0u;

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		if (BPF_OP(code) == pairs[i][0])
			return rest | pairs[i][1];
		if (BPF_OP(code) == pairs[i][1])
			return rest | pairs[i][0];
	}
	return 0;
}

/* is_kept: 0 dropped, 1 kept, 2 kept and long. Writes new places; return: the new size. */
static uint32_t asm_layout(const struct kernel_asm *c, const uint8_t *is_kept, uint32_t *place)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		place[i] = n;
		n += is_kept[i] == 2 && !asm_is_goto(&c->insns[i]) ? 2 : is_kept[i] != 0;
	}
	return n;
}

/* The place of the first kept instruction at or behind @at. */
static uint32_t asm_distance(const struct kernel_asm *c, const uint32_t *place, uint32_t i)
{
	return place[asm_target(c, c->targets[i] - 1)] - place[i] - 1;
}

/* Finds the jumps that must be long. Return: true if there was a new one. */
static bool asm_stretch(const struct kernel_asm *c, uint8_t *is_kept, const uint32_t *place)
{
	bool is_new = false;

	for (uint32_t i = 0; i < c->n; i++) {
		if (is_kept[i] == 1 && c->targets[i] && !asm_is_call(&c->insns[i]) &&
			asm_distance(c, place, i) > INT16_MAX) {
			is_kept[i] = 2;
			is_new = true;
		}
	}
	return is_new;
}

static void asm_write(const struct kernel_asm *c, const uint8_t *is_kept, const uint32_t *place,
	struct bpf_insn *to)
{
	for (uint32_t i = 0; i < c->n; i++) {
		struct bpf_insn insn = c->insns[i];
		uint32_t distance = c->targets[i] ? asm_distance(c, place, i) : 0;

		if (!is_kept[i])
			continue;
		if (is_kept[i] == 2) {
			struct bpf_insn far = INSN(BPF_JMP32 | BPF_JA, 0, 0, 0, (int32_t)distance);

			if (!asm_is_goto(&insn)) {
				insn.code = asm_contrary(insn.code);
				insn.off = 1;
				*to++ = insn;
				far.imm--;
			}
			*to++ = far;
			continue;
		}
		if (c->targets[i] && asm_is_call(&insn))
			insn.imm = (int32_t)distance;
		else if (c->targets[i])
			insn.off = (int16_t)distance;
		*to++ = insn;
	}
}

int kernel_asm_finish(struct kernel_asm *c, bool long_jumps)
{
	_cleanup_(cleanup_freep) uint8_t *is_kept = calloc(c->n + 1, sizeof(*is_kept));
	_cleanup_(cleanup_freep) uint32_t *place = calloc(c->n + 1, sizeof(*place));
	struct bpf_insn *insns;
	uint32_t n;

	if (!is_kept || !place || c->failed)
		return -ENOMEM;
	if (!asm_reach(c, is_kept))
		return -EINVAL;
	asm_drop_gotos(c, is_kept);
	n = asm_layout(c, is_kept, place);
	while (asm_stretch(c, is_kept, place)) {
		if (!long_jumps)
			return -E2BIG;
		n = asm_layout(c, is_kept, place);
	}
	if (n > ASM_INSNS_MAX)
		return -E2BIG;
	insns = calloc(n + 1, sizeof(*insns));
	if (!insns)
		return -ENOMEM;
	asm_write(c, is_kept, place, insns);
	free(c->insns);
	c->insns = insns;
	c->n = n;
	c->room = n + 1;
	return 0;
}
