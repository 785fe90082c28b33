/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A look at finished instructions, without a kernel: are they such as we make?
 *
 * Jumps and calls go forward, so one pass in program order sees every path: at each instruction,
 * what a register may hold is what it holds on any of them. A page has one function at most, which
 * comes last, begins with its arguments, is short and calls no other, so that time does not
 * multiply; nothing falls into it. A second one may stand before it, instruction by instruction
 * that of part.c.
 *
 * The code may come from a process that has been conquered. That process may count and deliver what
 * it likes, but no more: it has these helpers, its own area, the next page and, if it samples, the
 * numbers of samples, and addresses go nowhere else. What a root tells of super-packets, it may
 * read. What memory may be read and written is for the kernel's verifier to say.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_private.h"
#include "mapi/errors.h"

/* Our function has 19 instructions; a page may call it from every other one. */
#define CHECK_FUNCTION_INSNS_MAX 24u
#define CHECK_REGS 10u /* r10, the stack's, is never used */

/* What a register may hold: one of these. */
#define MAY_BE_ANYTHING 1u /* it was not written, on some path */
#define MAY_BE_NUMBER 2u
#define MAY_BE_CONTEXT 4u
#define MAY_BE_AREA 8u /* an address in the area */
#define MAY_BE_PACKET 16u /* an address in the packet, or its end */
#define MAY_BE_TURNS 32u /* the address of a sample's numbers */
#define MAY_BE_SUPER 64u /* an address in what roots tell */

/*
 * struct check_state - what is known before an instruction
 * @may:   of each register, over all paths; all 0: it has not been reached
 * @bytes: the lower half of r4 at most, for helpers
 */
struct check_state {
	uint8_t may[CHECK_REGS];
	uint32_t bytes;
};

/*
 * @function: where it begins, once it was called; else 0
 * @helpers:  that the function calls
 * @part:     where part.c's function begins, once it was called; else 0
 * @part_insns, @n_part_insns: what it has to be
 */
struct check {
	const struct kernel_code *code;
	const struct kernel_page *page;
	struct check_state *states; /* of each instruction */
	struct error *err;
	uint32_t at;
	uint32_t function;
	unsigned int helpers;
	uint32_t part;
	struct bpf_insn *part_insns;
	uint32_t n_part_insns;
};

static int check_fail(const struct check *c, const char *what)
{
	return error_set(c->err, MFUNCT_NOT_SUPPORTED, "kernel code, page %u, instruction %u: %s",
		(unsigned int)(c->page - c->code->pages), c->at, what);
}

static bool check_is_reached(const struct check *c, uint32_t at)
{
	return c->states[at].may[0] != 0;
}

/* Control comes to @target with @now. */
static int check_reach(const struct check *c, int64_t target, const struct check_state *now)
{
	struct check_state *there;

	if (target <= c->at || target >= c->page->n_insns)
		return check_fail(c, "goes out of the program, or backwards");
	if (target > 0 && c->page->insns[target - 1].code == (BPF_LD | BPF_IMM | BPF_DW))
		return check_fail(c, "goes into the middle of an instruction");
	/* A packet's fate is told right before the end: check_end(). */
	if (target > c->at + 1 && c->page->insns[target].code == (BPF_JMP | BPF_EXIT) &&
		!(c->function && target >= c->function))
		return check_fail(c, "goes to the end without a verdict");
	there = &c->states[target];
	for (unsigned int reg = 0; reg < CHECK_REGS; reg++)
		there->may[reg] |= now->may[reg];
	there->bytes = MAX(there->bytes, now->bytes);
	return 0;
}

/* The register holds one of @kinds, whatever the path. */
static int check_holds(
	const struct check *c, const struct check_state *now, unsigned int reg, unsigned int kinds)
{
	if (now->may[reg] & MAY_BE_ANYTHING)
		return check_fail(c, "reads what is not written");
	return now->may[reg] & ~kinds ? check_fail(c, "uses a value of another kind") : 0;
}

/* What a call leaves behind: a number in r0, and r6 to r9. */
static void check_after_call(struct check_state *now)
{
	now->may[BPF_REG_0] = MAY_BE_NUMBER;
	for (unsigned int reg = BPF_REG_1; reg <= BPF_REG_5; reg++)
		now->may[reg] = MAY_BE_ANYTHING;
}

/* Of what loads from the packet: context, offset, area, bytes. Their number is limited, because
 * such calls may stand everywhere. */
static int check_arguments(const struct check *c, const struct check_state *now)
{
	static const uint8_t kinds[] = { [BPF_REG_1] = MAY_BE_CONTEXT,
		[BPF_REG_2] = MAY_BE_NUMBER,
		[BPF_REG_3] = MAY_BE_AREA,
		[BPF_REG_4] = MAY_BE_NUMBER };
	int r = 0;

	for (unsigned int reg = BPF_REG_1; r == 0 && reg <= BPF_REG_4; reg++)
		r = check_holds(c, now, reg, kinds[reg]);
	if (r == 0 && now->bytes > WINDOW_BYTES)
		return check_fail(c, "loads more at once than a window");
	return r;
}

static int check_helper(struct check *c, const struct bpf_insn *insn, const struct check_state *now)
{
	const struct kernel_options *options = &c->code->options;

	if (c->function && c->at >= c->function && c->helpers++ > 0)
		return check_fail(c, "is a second call of the function");
	if (insn->imm == BPF_FUNC_get_smp_processor_id)
		return 0;
	if (insn->imm == BPF_FUNC_xdp_get_buff_len && options->hook == KERNEL_XDP)
		return check_holds(c, now, BPF_REG_1, MAY_BE_CONTEXT);
	if (insn->imm ==
		(options->hook == KERNEL_XDP ? BPF_FUNC_xdp_load_bytes : BPF_FUNC_skb_load_bytes))
		return check_arguments(c, now);
	return check_fail(c, "calls what it should not");
}

/* The function of the page. */
static int check_function(
	struct check *c, const struct bpf_insn *insn, const struct check_state *now)
{
	int64_t target = (int64_t)c->at + 1 + insn->imm;
	struct check_state begin = *now;
	int r = check_arguments(c, now);

	begin.may[BPF_REG_0] = MAY_BE_ANYTHING;
	for (unsigned int reg = BPF_REG_5; reg < CHECK_REGS; reg++)
		begin.may[reg] = MAY_BE_ANYTHING;
	if (r == 0)
		r = check_reach(c, target, &begin);
	if (r < 0)
		return r;
	if (c->function && c->function != target)
		return check_fail(c, "calls a second function, or from one");
	if (c->page->n_insns - target > CHECK_FUNCTION_INSNS_MAX)
		return check_fail(c, "calls a function that is too long");
	c->function = (uint32_t)target;
	return 0;
}

/* Does part.c's function begin there? */
static bool check_is_part(const struct check *c, int64_t target)
{
	if (target <= c->at || target + c->n_part_insns > c->page->n_insns)
		return false;
	return memcmp(&c->page->insns[target], c->part_insns,
		       c->n_part_insns * sizeof(struct bpf_insn)) == 0;
}

/* Once it is where it is, nothing else may lead to it: check_part_end(). */
static int check_part(struct check *c, const struct bpf_insn *insn, const struct check_state *now)
{
	uint32_t target = c->at + 1 + (uint32_t)insn->imm;

	if (c->part && c->part != target)
		return check_fail(c, "calls a second function");
	c->part = target;
	return check_holds(c, now, BPF_REG_3, MAY_BE_AREA);
}

/* Over part.c's function, which is as it is. */
static int check_part_end(struct check *c)
{
	uint32_t end = c->part + c->n_part_insns;

	for (uint32_t at = c->part; at < end; at++)
		if (check_is_reached(c, at))
			return check_fail(c, "leads into a function");
	c->at = end - 1;
	return 0;
}

static int check_call(struct check *c, const struct bpf_insn *insn, struct check_state *now)
{
	int r;

	if (insn->dst_reg || insn->off)
		return check_fail(c, "is not a known call");
	switch (insn->src_reg) {
	case 0:
		r = check_helper(c, insn, now);
		break;
	case BPF_PSEUDO_CALL:
		r = check_is_part(c, (int64_t)c->at + 1 + insn->imm) ? check_part(c, insn, now)
								     : check_function(c, insn, now);
		break;
	default:
		return check_fail(c, "calls what it should not");
	}
	check_after_call(now);
	return r;
}

/* Numbers are compared, or, to know where it ends, addresses of the packet. */
static int check_compared(
	const struct check *c, const struct bpf_insn *insn, const struct check_state *now)
{
	unsigned int kinds = MAY_BE_NUMBER;
	int r;

	if (insn->code == (BPF_JMP | BPF_OP(insn->code) | BPF_X) &&
		now->may[insn->dst_reg] == MAY_BE_PACKET)
		kinds = MAY_BE_PACKET;
	r = check_holds(c, now, insn->dst_reg, kinds);
	if (r == 0 && BPF_SRC(insn->code) == BPF_X)
		r = check_holds(c, now, insn->src_reg, kinds);
	return r;
}

static int check_jump(
	const struct check *c, const struct bpf_insn *insn, const struct check_state *now)
{
	struct check_state jumped = *now;
	int r = check_compared(c, insn, now);

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
	if (insn->code == (BPF_JMP32 | BPF_JLE | BPF_K) && insn->dst_reg == BPF_REG_4)
		jumped.bytes = MIN(jumped.bytes, (uint32_t)insn->imm);
	if (r == 0)
		r = check_reach(c, (int64_t)c->at + 1 + insn->off, &jumped);
	return r == 0 ? check_reach(c, (int64_t)c->at + 1, now) : r;
}

static uint32_t check_access_bytes(const struct bpf_insn *insn)
{
	static const uint8_t bytes[] = {
		[BPF_W >> 3] = 4, [BPF_H >> 3] = 2, [BPF_B >> 3] = 1, [BPF_DW >> 3] = 8
	};

	return bytes[BPF_SIZE(insn->code) >> 3];
}

/* Accesses through the area's register have to be inside, whatever the CPU. */
static int check_memory(const struct check *c, const struct bpf_insn *insn, uint8_t base)
{
	int64_t at = (int64_t)insn->off + AREA_BIAS;

	if (BPF_MODE(insn->code) != BPF_MEM)
		return check_fail(c, "is not a known access");
	if (base == REG_AREA && (at < 0 || at + check_access_bytes(insn) > c->code->stride_bytes))
		return check_fail(c, "is outside of the area");
	return 0;
}

#define CHECK_SKB(member) (1ull << offsetof(struct __sk_buff, member) / sizeof(uint32_t))
#define CHECK_XDP(member) (1ull << offsetof(struct xdp_md, member) / sizeof(uint32_t))

/* A field of the context. Return: what it is, 0 if we do not read it. */
static uint8_t check_field(const struct check *c, const struct bpf_insn *insn)
{
	static const uint64_t numbers = CHECK_SKB(len) | CHECK_SKB(pkt_type) |
		CHECK_SKB(vlan_present) | CHECK_SKB(vlan_proto) | CHECK_SKB(vlan_tci) |
		CHECK_SKB(gso_size) | CHECK_SKB(gso_segs);
	static const uint64_t addresses[_KERNEL_HOOK_N] = {
		[KERNEL_TC] = CHECK_SKB(data) | CHECK_SKB(data_end),
		[KERNEL_XDP] = CHECK_XDP(data) | CHECK_XDP(data_end),
	};
	enum kernel_hook hook = c->code->options.hook;
	uint64_t field;

	if (BPF_SIZE(insn->code) != BPF_W || insn->off < 0 || insn->off >= 64 * 4 || insn->off % 4)
		return 0;
	field = 1ull << insn->off / 4;
	if (field & addresses[hook])
		return MAY_BE_PACKET;
	return hook != KERNEL_XDP && field & numbers ? MAY_BE_NUMBER : 0;
}

static int check_load(const struct check *c, const struct bpf_insn *insn, struct check_state *now)
{
	uint8_t kind = MAY_BE_NUMBER;
	int r;

	if (now->may[insn->src_reg] == MAY_BE_CONTEXT) {
		kind = check_field(c, insn);
		r = kind ? 0 : check_fail(c, "reads a field that it should not");
	} else {
		r = check_holds(c, now, insn->src_reg, MAY_BE_AREA | MAY_BE_PACKET | MAY_BE_SUPER);
	}
	now->may[insn->dst_reg] = kind;
	return r ? r : check_memory(c, insn, insn->src_reg);
}

/* One of the numbers of a sample += a register, which may get what was there. */
static int check_turn(
	const struct check *c, const struct bpf_insn *insn, const struct check_state *now)
{
	int r = check_holds(c, now, insn->dst_reg, MAY_BE_TURNS);

	if (r == 0)
		r = check_holds(c, now, insn->src_reg, MAY_BE_NUMBER);
	if (r == 0 &&
		(insn->off < 0 || insn->off % 8 ||
			insn->off >= (int16_t)sizeof(struct sampling_turns) ||
			(insn->imm != BPF_ADD && insn->imm != (BPF_ADD | BPF_FETCH))))
		return check_fail(c, "is not a known way to take a number");
	return r;
}

/* What is written is the area, and numbers. */
static int check_store(
	const struct check *c, const struct bpf_insn *insn, const struct check_state *now)
{
	int r;

	if (insn->code == (BPF_STX | BPF_ATOMIC | BPF_DW))
		return check_turn(c, insn, now);
	r = check_holds(c, now, insn->dst_reg, MAY_BE_AREA);
	if (r == 0 && BPF_CLASS(insn->code) == BPF_STX)
		r = check_holds(c, now, insn->src_reg, MAY_BE_NUMBER);
	return r ? r : check_memory(c, insn, insn->dst_reg);
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

/* Return: what comes out, 0 if we do not calculate so. @to is not used by a move. */
static uint8_t check_result(const struct bpf_insn *insn, uint8_t to, uint8_t from)
{
	uint8_t op = BPF_OP(insn->code);

	if (BPF_CLASS(insn->code) == BPF_ALU64) {
		if (op == BPF_MOV)
			return from;
		if (op == BPF_ADD && from == MAY_BE_NUMBER &&
			(to == MAY_BE_AREA || to == MAY_BE_PACKET || to == MAY_BE_SUPER))
			return to;
		if (op == BPF_SUB && from == MAY_BE_PACKET && to == MAY_BE_PACKET)
			return MAY_BE_NUMBER;
	}
	return from == MAY_BE_NUMBER && (op == BPF_MOV || to == MAY_BE_NUMBER) ? MAY_BE_NUMBER : 0;
}

static int check_calculate(
	const struct check *c, const struct bpf_insn *insn, struct check_state *now)
{
	bool has_source = BPF_SRC(insn->code) == BPF_X && BPF_OP(insn->code) != BPF_END;
	uint8_t to = now->may[insn->dst_reg];
	uint8_t from = has_source ? now->may[insn->src_reg] : MAY_BE_NUMBER;

	if (!check_is_operation(insn))
		return check_fail(c, "is not a known operation");
	if ((BPF_OP(insn->code) != BPF_MOV && to & MAY_BE_ANYTHING) || from & MAY_BE_ANYTHING)
		return check_fail(c, "reads what is not written");
	if (BPF_SRC(insn->code) == BPF_K && insn->imm == 0 &&
		(BPF_OP(insn->code) == BPF_DIV || BPF_OP(insn->code) == BPF_MOD))
		return check_fail(c, "divides by 0");
	now->may[insn->dst_reg] = check_result(insn, to, from);
	return now->may[insn->dst_reg] ? 0 : check_fail(c, "calculates with an address");
}

static int check_move(const struct check *c, const struct bpf_insn *insn, struct check_state *now)
{
	bool is_number = BPF_OP(insn->code) == BPF_MOV && BPF_SRC(insn->code) == BPF_K;
	int r;

	switch (BPF_CLASS(insn->code)) {
	case BPF_ST:
	case BPF_STX:
		return check_store(c, insn, now);
	case BPF_LDX:
		is_number = false;
		r = check_load(c, insn, now);
		break;
	default:
		r = check_calculate(c, insn, now);
	}
	if (insn->dst_reg == BPF_REG_4)
		now->bytes = is_number ? (uint32_t)insn->imm : UINT32_MAX;
	return r;
}

static bool check_is_register(const struct bpf_insn *insn)
{
	return insn->dst_reg <= BPF_REG_9 &&
		(insn->src_reg <= BPF_REG_9 || BPF_CLASS(insn->code) == BPF_LD);
}

/* An address or a constant, of two instructions, comes into the register. */
static int check_wide(
	struct check *c, const struct bpf_insn *insn, uint8_t kind, struct check_state *now)
{
	now->may[insn->dst_reg] = kind;
	c->at++;
	return check_reach(c, (int64_t)c->at + 1, now);
}

/* The area's address, that of a sample's numbers, or of what roots tell; whatever stands for the
 * map. */
static int check_value(struct check *c, const struct bpf_insn *insn, struct check_state *now)
{
	if (insn->dst_reg == REG_AREA && insn[1].imm == 0)
		return check_wide(c, insn, MAY_BE_AREA, now);
	if (insn->dst_reg == REG_SUPER && insn[1].imm == 0 && c->code->options.has_root)
		return check_wide(c, insn, MAY_BE_SUPER, now);
	if (insn->dst_reg != BPF_REG_2 || !c->code->samples || insn[1].imm < 0 ||
		(size_t)insn[1].imm % sizeof(struct sampling_turns) ||
		(size_t)insn[1].imm >= KERNEL_TURNS_BYTES)
		return check_fail(c, "is none of the memory that it has");
	return check_wide(c, insn, MAY_BE_TURNS, now);
}

/* On to the next page: always the same instructions, which nothing jumps into. */
static int check_chain(struct check *c, const struct bpf_insn *insn, struct check_state *now)
{
	const struct bpf_insn wanted[] = { MOV_IMM(BPF_REG_3,
						   (int32_t)(c->page - c->code->pages) + 1),
		CALL(BPF_FUNC_tail_call) };
	int r = check_holds(c, now, BPF_REG_1, MAY_BE_CONTEXT);

	if (r < 0)
		return r;
	if (insn->dst_reg != BPF_REG_2 || insn[1].imm != 0 || c->at + 4 >= c->page->n_insns ||
		memcmp(insn + 2, wanted, sizeof(wanted)) != 0 || check_is_reached(c, c->at + 2) ||
		check_is_reached(c, c->at + 3) || c->page + 1 == c->code->pages + c->code->n_pages)
		return check_fail(c, "does not call the next page");
	check_after_call(now);
	c->at += 3;
	return check_reach(c, (int64_t)c->at + 1, now);
}

static int check_map(struct check *c, const struct bpf_insn *insn, struct check_state *now)
{
	if (c->at + 2 >= c->page->n_insns || insn[1].code || insn[1].dst_reg || insn[1].src_reg ||
		insn[1].off || insn->off)
		return check_fail(c, "is not whole");
	switch (insn->src_reg) {
	case 0:
		return insn->dst_reg == BPF_REG_3 ? check_wide(c, insn, MAY_BE_NUMBER, now)
						  : check_fail(c, "is not a known constant");
	case BPF_PSEUDO_MAP_VALUE:
		return check_value(c, insn, now);
	case BPF_PSEUDO_MAP_FD:
		return check_chain(c, insn, now);
	default:
		return check_fail(c, "is not a known map");
	}
}

/* Is that what is said of the packet before the end? */
static bool check_says(const struct check *c, int verdict)
{
	const struct bpf_insn says = MOV_IMM(BPF_REG_0, verdict);

	return c->at > 0 && memcmp(&c->page->insns[c->at - 1], &says, sizeof(says)) == 0;
}

/* Interfaces do with a packet what a program says: ours let all pass, or say that they discard. A
 * function of the page returns to it, and a filter of sockets says how much it wants. */
static int check_end(const struct check *c, const struct check_state *now)
{
	const struct kernel_options *options = &c->code->options;

	if (options->hook != KERNEL_SOCKET && !(c->function && c->at >= c->function) &&
		!check_says(c, kernel_frame_verdict(options->hook)) &&
		!(options->discards && check_says(c, XDP_DROP)))
		return check_fail(c, "does not let the packet pass");
	return check_holds(c, now, BPF_REG_0, MAY_BE_NUMBER);
}

static int check_insn(struct check *c)
{
	struct check_state now = c->states[c->at];
	const struct bpf_insn *insn = &c->page->insns[c->at];
	int r;

	if (!check_is_register(insn))
		return check_fail(c, "uses a register that it should not");
	switch (insn->code) {
	case BPF_JMP | BPF_EXIT:
		return check_end(c, &now);
	case BPF_JMP | BPF_JA:
		return check_reach(c, (int64_t)c->at + 1 + insn->off, &now);
	case BPF_JMP32 | BPF_JA:
		return check_reach(c, (int64_t)c->at + 1 + insn->imm, &now);
	case BPF_JMP | BPF_CALL:
		r = check_call(c, insn, &now);
		break;
	case BPF_LD | BPF_IMM | BPF_DW:
		return check_map(c, insn, &now);
	default:
		switch (BPF_CLASS(insn->code)) {
		case BPF_JMP:
		case BPF_JMP32:
			return check_jump(c, insn, &now);
		case BPF_LD:
			return check_fail(c, "is not known");
		default:
			r = check_move(c, insn, &now);
		}
	}
	return r == 0 ? check_reach(c, (int64_t)c->at + 1, &now) : r;
}

static int check_page(struct check *c)
{
	int r = 0;

	c->function = 0;
	c->helpers = 0;
	c->part = 0;
	c->states = calloc(c->page->n_insns, sizeof(*c->states));
	if (!c->states)
		return -ENOMEM;
	memset(c->states[0].may, MAY_BE_ANYTHING, sizeof(c->states[0].may));
	c->states[0].may[BPF_REG_1] = MAY_BE_CONTEXT;
	c->states[0].bytes = UINT32_MAX;
	for (c->at = 0; r == 0 && c->at < c->page->n_insns; c->at++) {
		if (c->part && c->at == c->part)
			r = check_part_end(c);
		else
			r = check_is_reached(c, c->at) ? check_insn(c)
						       : check_fail(c, "is never reached");
	}
	free(c->states);
	return r;
}

int kernel_code_check(const struct kernel_code *code, struct error *err)
{
	struct check c = { .code = code, .err = err };
	int r = kernel_part_insns(&c.part_insns);

	if (r < 0)
		return r;
	c.n_part_insns = (uint32_t)r;
	r = 0;
	for (unsigned int i = 0; r == 0 && i < code->n_pages; i++) {
		c.page = &code->pages[i];
		r = check_page(&c);
	}
	free(c.part_insns);
	return r;
}
