/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A look at finished instructions, without a kernel: are they such as we make?
 *
 * Jumps and calls go forward, so one pass in program order sees every path: what is written on all
 * of them is the intersection at each instruction. A page has one function at most, which comes
 * last, begins with its arguments and calls no other, so that time does not multiply; nothing falls
 * into it.
 *
 * The code may come from a process that has been conquered. That process may count and deliver what
 * it likes, but no more: it has these helpers, its own area and the next page. What memory may be
 * read and written is for the kernel's verifier to say.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_private.h"
#include "mapi/errors.h"

#define CHECK_UNREACHED 0xffffu /* all registers: the neutral element of the intersection */
#define CHECK_SCRATCH 0x3fu /* r0 to r5, which a call leaves unknown */

struct check {
	const struct kernel_code *code;
	const struct kernel_page *page;
	uint16_t *written; /* of each instruction: registers, CHECK_UNREACHED until it is reached */
	struct error *err;
	uint32_t at;
	uint32_t function; /* where it begins, once it was called; else 0 */
};

static int check_fail(const struct check *c, const char *what)
{
	return error_set(c->err, MFUNCT_NOT_SUPPORTED, "kernel code, page %u, instruction %u: %s",
		(unsigned int)(c->page - c->code->pages), c->at, what);
}

/* Control comes to @target with @now written. */
static int check_reach(const struct check *c, int64_t target, uint16_t now)
{
	if (target <= c->at || target >= c->page->n_insns)
		return check_fail(c, "goes out of the program, or backwards");
	if (target > 0 && c->page->insns[target - 1].code == (BPF_LD | BPF_IMM | BPF_DW))
		return check_fail(c, "goes into the middle of an instruction");
	c->written[target] &= now;
	return 0;
}

static int check_needs(const struct check *c, uint16_t now, unsigned int regs)
{
	return regs & ~now & 0x7ffu ? check_fail(c, "reads what is not written") : 0;
}

/* What a call leaves behind. */
static uint16_t check_after_call(uint16_t now)
{
	return (uint16_t)((now & ~CHECK_SCRATCH) | 1);
}

static int check_helper(const struct check *c, const struct bpf_insn *insn, uint16_t now)
{
	const struct kernel_options *options = &c->code->options;

	if (insn->imm == BPF_FUNC_get_smp_processor_id)
		return 0;
	if (insn->imm == BPF_FUNC_xdp_get_buff_len && options->has_frags)
		return check_needs(c, now, 0x2);
	if (insn->imm ==
		(options->hook == KERNEL_XDP ? BPF_FUNC_xdp_load_bytes : BPF_FUNC_skb_load_bytes))
		return check_needs(c, now, 0x1e);
	return check_fail(c, "calls what it should not");
}

/* The function of the page. */
static int check_function(struct check *c, const struct bpf_insn *insn, uint16_t now)
{
	int64_t target = (int64_t)c->at + 1 + insn->imm;
	int r = check_needs(c, now, 0x1e);

	if (r == 0)
		r = check_reach(c, target, 0x41e);
	if (r < 0)
		return r;
	if (c->function && c->function != target)
		return check_fail(c, "calls a second function, or from one");
	c->function = (uint32_t)target;
	return 0;
}

static int check_call(struct check *c, const struct bpf_insn *insn, uint16_t *now)
{
	int r;

	if (insn->dst_reg || insn->off)
		return check_fail(c, "is not a known call");
	switch (insn->src_reg) {
	case 0:
		r = check_helper(c, insn, *now);
		break;
	case BPF_PSEUDO_CALL:
		r = check_function(c, insn, *now);
		break;
	default:
		return check_fail(c, "calls what it should not");
	}
	*now = check_after_call(*now);
	return r;
}

static int check_jump(const struct check *c, const struct bpf_insn *insn, uint16_t now)
{
	int r = check_needs(c, now, 1u << insn->dst_reg);

	if (r == 0 && BPF_SRC(insn->code) == BPF_X)
		r = check_needs(c, now, 1u << insn->src_reg);
	switch (BPF_OP(insn->code)) {
	case BPF_JEQ:
	case BPF_JNE:
	case BPF_JGT:
	case BPF_JGE:
	case BPF_JLT:
	case BPF_JLE:
		break;
	default:
		return check_fail(c, "is not a known jump");
	}
	if (r == 0)
		r = check_reach(c, (int64_t)c->at + 1 + insn->off, now);
	return r == 0 ? check_reach(c, (int64_t)c->at + 1, now) : r;
}

/* Accesses through the area's register have to be inside, whatever the CPU; and what is written is
 * the area, by that register or another, where slots are far. */
static int check_memory(const struct check *c, const struct bpf_insn *insn, uint8_t base)
{
	static const uint8_t sizes[] = {
		[BPF_W >> 3] = 4, [BPF_H >> 3] = 2, [BPF_B >> 3] = 1, [BPF_DW >> 3] = 8
	};
	int64_t at = (int64_t)insn->off + AREA_BIAS;

	if (BPF_MODE(insn->code) != BPF_MEM)
		return check_fail(c, "is not a known access");
	if (base != REG_AREA)
		return BPF_CLASS(insn->code) == BPF_LDX || base == BPF_REG_5
			? 0
			: check_fail(c, "writes outside of the area");
	if (at < 0 || at + sizes[BPF_SIZE(insn->code) >> 3] > c->code->stride_bytes)
		return check_fail(c, "is outside of the area");
	return 0;
}

static bool check_is_operation(const struct bpf_insn *insn)
{
	switch (BPF_OP(insn->code)) {
	case BPF_ADD:
	case BPF_SUB:
	case BPF_MUL:
	case BPF_DIV:
	case BPF_MOD:
	case BPF_AND:
	case BPF_OR:
	case BPF_XOR:
	case BPF_LSH:
	case BPF_RSH:
	case BPF_MOV:
		return insn->off == 0;
	case BPF_END:
		return insn->code == (BPF_ALU | BPF_END | BPF_TO_BE) &&
			(insn->imm == 16 || insn->imm == 32);
	default:
		return false;
	}
}

static int check_move(const struct check *c, const struct bpf_insn *insn, uint16_t *now)
{
	uint16_t dst = (uint16_t)(1u << insn->dst_reg), src = (uint16_t)(1u << insn->src_reg);
	int r = 0;

	switch (BPF_CLASS(insn->code)) {
	case BPF_LDX:
		r = check_needs(c, *now, src);
		*now |= dst;
		return r ? r : check_memory(c, insn, insn->src_reg);
	case BPF_ST:
		r = check_needs(c, *now, dst);
		return r ? r : check_memory(c, insn, insn->dst_reg);
	case BPF_STX:
		r = check_needs(c, *now, (unsigned int)(dst | src));
		return r ? r : check_memory(c, insn, insn->dst_reg);
	}
	if (!check_is_operation(insn))
		return check_fail(c, "is not a known operation");
	if (BPF_OP(insn->code) != BPF_MOV)
		r = check_needs(c, *now, dst);
	if (r == 0 && BPF_SRC(insn->code) == BPF_X && BPF_OP(insn->code) != BPF_END)
		r = check_needs(c, *now, src);
	if (BPF_SRC(insn->code) == BPF_K && insn->imm == 0 &&
		(BPF_OP(insn->code) == BPF_DIV || BPF_OP(insn->code) == BPF_MOD))
		return check_fail(c, "divides by 0");
	*now |= dst;
	return r;
}

static bool check_is_register(const struct bpf_insn *insn)
{
	return insn->dst_reg <= BPF_REG_9 &&
		(insn->src_reg <= BPF_REG_9 || BPF_CLASS(insn->code) == BPF_LD);
}

/* The area's address; whatever stands for the map. */
static int check_area(struct check *c, const struct bpf_insn *insn, uint16_t now)
{
	if (insn->dst_reg != REG_AREA || insn[1].imm != 0)
		return check_fail(c, "is not the area");
	c->written[c->at + 2] &= (uint16_t)(now | 1u << REG_AREA);
	c->at++;
	return 0;
}

/* On to the next page: always the same instructions, which nothing jumps into. */
static int check_chain(struct check *c, const struct bpf_insn *insn, uint16_t now)
{
	const struct bpf_insn wanted[] = { MOV_IMM(BPF_REG_3,
						   (int32_t)(c->page - c->code->pages) + 1),
		CALL(BPF_FUNC_tail_call) };
	int r = check_needs(c, now, 0x2);

	if (r < 0)
		return r;
	if (insn->dst_reg != BPF_REG_2 || insn[1].imm != 0 || c->at + 4 >= c->page->n_insns ||
		memcmp(insn + 2, wanted, sizeof(wanted)) != 0 ||
		c->written[c->at + 2] != CHECK_UNREACHED ||
		c->written[c->at + 3] != CHECK_UNREACHED ||
		c->page + 1 == c->code->pages + c->code->n_pages)
		return check_fail(c, "does not call the next page");
	c->written[c->at + 4] &= check_after_call(now);
	c->at += 3;
	return 0;
}

static int check_map(struct check *c, const struct bpf_insn *insn, uint16_t now)
{
	if (c->at + 2 >= c->page->n_insns || insn[1].code || insn[1].dst_reg || insn[1].src_reg ||
		insn[1].off || insn->off)
		return check_fail(c, "is not whole");
	switch (insn->src_reg) {
	case BPF_PSEUDO_MAP_VALUE:
		return check_area(c, insn, now);
	case BPF_PSEUDO_MAP_FD:
		return check_chain(c, insn, now);
	default:
		return check_fail(c, "is not a known map");
	}
}

static int check_insn(struct check *c, uint16_t now)
{
	const struct bpf_insn *insn = &c->page->insns[c->at];
	int r;

	if (!check_is_register(insn))
		return check_fail(c, "uses a register that it should not");
	switch (insn->code) {
	case BPF_JMP | BPF_EXIT:
		return check_needs(c, now, 1);
	case BPF_JMP | BPF_JA:
		return check_reach(c, (int64_t)c->at + 1 + insn->off, now);
	case BPF_JMP32 | BPF_JA:
		return check_reach(c, (int64_t)c->at + 1 + insn->imm, now);
	case BPF_JMP | BPF_CALL:
		r = check_call(c, insn, &now);
		break;
	case BPF_LD | BPF_IMM | BPF_DW:
		return check_map(c, insn, now);
	default:
		switch (BPF_CLASS(insn->code)) {
		case BPF_JMP:
		case BPF_JMP32:
			return check_jump(c, insn, now);
		case BPF_LD:
			return check_fail(c, "is not known");
		default:
			r = check_move(c, insn, &now);
		}
	}
	return r == 0 ? check_reach(c, (int64_t)c->at + 1, now) : r;
}

static int check_page(struct check *c)
{
	int r = 0;

	c->function = 0;
	c->written = malloc((c->page->n_insns + 1) * sizeof(*c->written));
	if (!c->written)
		return -ENOMEM;
	memset(c->written, 0xff, (c->page->n_insns + 1) * sizeof(*c->written));
	c->written[0] = 0x402; /* r1, and r10 */
	for (c->at = 0; r == 0 && c->at < c->page->n_insns; c->at++) {
		if (c->written[c->at] == CHECK_UNREACHED)
			r = check_fail(c, "is never reached");
		else
			r = check_insn(c, c->written[c->at]);
	}
	free(c->written);
	return r;
}

int kernel_code_check(const struct kernel_code *code, struct error *err)
{
	struct check c = { .code = code, .err = err };
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < code->n_pages; i++) {
		c.page = &code->pages[i];
		r = check_page(&c);
	}
	return r;
}
