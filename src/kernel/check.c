/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A look at finished instructions, without a kernel.
 *
 * Jumps and calls go forward, so one pass in program order sees every path: what is written on all
 * of them is the intersection at each instruction. The functions of a page come last, each begins
 * with its arguments, and nothing falls into it.
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

static int check_call(const struct check *c, const struct bpf_insn *insn, uint16_t *now)
{
	int r;

	if (insn->src_reg == BPF_PSEUDO_CALL) {
		r = check_reach(c, (int64_t)c->at + 1 + insn->imm, 0x41e);
		if (r == 0)
			r = check_needs(c, *now, 0x1e);
	} else {
		switch (insn->imm) {
		case BPF_FUNC_get_smp_processor_id:
			r = 0;
			break;
		case BPF_FUNC_xdp_get_buff_len:
			r = check_needs(c, *now, 0x2);
			break;
		case BPF_FUNC_tail_call:
			r = check_needs(c, *now, 0xe);
			break;
		case BPF_FUNC_skb_load_bytes:
		case BPF_FUNC_xdp_load_bytes:
			r = check_needs(c, *now, 0x1e);
			break;
		default:
			return check_fail(c, "calls what it should not");
		}
	}
	*now = (uint16_t)((*now & ~CHECK_SCRATCH) | 1);
	return r;
}

static int check_jump(const struct check *c, const struct bpf_insn *insn, uint16_t now)
{
	int r = check_needs(c, now, 1u << insn->dst_reg);

	if (r == 0 && BPF_SRC(insn->code) == BPF_X)
		r = check_needs(c, now, 1u << insn->src_reg);
	if (BPF_OP(insn->code) == BPF_JSET || BPF_OP(insn->code) > BPF_JLE)
		return check_fail(c, "is not a known jump");
	if (r == 0)
		r = check_reach(c, (int64_t)c->at + 1 + insn->off, now);
	return r == 0 ? check_reach(c, (int64_t)c->at + 1, now) : r;
}

/* Accesses through the area's register have to be inside, whatever the CPU. */
static int check_memory(const struct check *c, const struct bpf_insn *insn, uint8_t base)
{
	static const uint8_t sizes[] = {
		[BPF_W >> 3] = 4, [BPF_H >> 3] = 2, [BPF_B >> 3] = 1, [BPF_DW >> 3] = 8
	};
	int64_t at = (int64_t)insn->off + AREA_BIAS;

	if (base != REG_AREA)
		return 0;
	if (at < 0 || at + sizes[BPF_SIZE(insn->code) >> 3] > c->code->stride_bytes)
		return check_fail(c, "is outside of the area");
	return 0;
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
		if (insn->src_reg != BPF_PSEUDO_MAP_VALUE && insn->src_reg != BPF_PSEUDO_MAP_FD)
			return check_fail(c, "is not a known map");
		if (c->at + 2 >= c->page->n_insns || insn[1].code != 0)
			return check_fail(c, "is not whole");
		now |= (uint16_t)(1u << insn->dst_reg);
		c->written[c->at + 2] &= now;
		c->at++;
		return 0;
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
