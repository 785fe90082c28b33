/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values and tests into registers.
 *
 * What lies in the first bytes of every frame is one load from the window. Anything else is read
 * through data and data_end, taken afresh each time, or - beyond the linear part, in a copied
 * window - by a function that all loads share. What a load outside of the packet gives is of no
 * concern: the graph asks for the length before it asks for the value.
 */
#include "kernel_private.h"

#define OPERAND_K_MAX 0x7000u /* offsets of instructions are signed 16 bits */
#define OPERAND_BASE_MAX 0x7fff

static const uint8_t operand_sizes[] = { [1] = BPF_B, [2] = BPF_H, [4] = BPF_W };

/* Headers of four bits of length mostly have no options: so many bytes of at most so many. */
#define OPERAND_HEADER_BYTES 20u
#define OPERAND_HEADER_BYTES_MAX 60u

/* Where it says how much of the packet may be read. */
static int16_t operand_cap(const struct kernel_emit *e)
{
	return e->options->is_cut && !e->sees_all ? AREA_AT(cap) : AREA_AT(len);
}

static int16_t operand_column(struct kernel_emit *e, uint32_t value)
{
	if (e->column[value] == 0) {
		if (e->n_columns == COLUMNS_MAX) {
			e->too_large = true;
			return AREA_AT(columns);
		}
		e->column[value] = ++e->n_columns;
	}
	return (int16_t)(AREA_AT(columns) + (int)(4 * (e->column[value] - 1)));
}

static void operand_store(struct kernel_emit *e, uint32_t value)
{
	emit_put(e, STORE(BPF_W, REG_AREA, BPF_REG_0, operand_column(e, value)));
	if (!e->is_kept[value]) {
		e->is_kept[value] = true;
		e->kept[e->n_kept++] = value;
	}
}

void kernel_operand_forget(struct kernel_emit *e, uint32_t n_kept)
{
	while (e->n_kept > n_kept)
		e->is_kept[e->kept[--e->n_kept]] = false;
}

/* From memory order to a number. */
static void operand_swap(struct kernel_emit *e, uint32_t bytes)
{
	if (bytes > 1)
		emit_put(e, TO_BE(BPF_REG_0, 8 * (int)bytes));
}

/* What a base mostly is: a header's length, perhaps with bytes before it. 0: there is no telling.
 */
static uint32_t operand_usual(const struct filter_graph *g, uint32_t value)
{
	uint32_t before = 0;

	while (before <= OPERAND_K_MAX) {
		const struct filter_value *v = filter_graph_value(g, value);

		if (v->max == OPERAND_HEADER_BYTES_MAX)
			return before + OPERAND_HEADER_BYTES;
		if (v->kind != FILTER_VALUE_ALU || v->op != BPF_ADD ||
			filter_graph_value(g, v->b)->kind != FILTER_VALUE_CONST)
			break;
		before += MIN(filter_graph_value(g, v->b)->k, OPERAND_K_MAX + 1);
		value = v->a;
	}
	return 0;
}

uint32_t kernel_operand_end(const struct filter_graph *g, const struct filter_value *v)
{
	uint32_t usual = 0;

	if (v->kind != FILTER_VALUE_LOAD || v->k > OPERAND_K_MAX)
		return UINT32_MAX;
	if (v->a != FILTER_VALUE_NONE) {
		usual = operand_usual(g, v->a);
		if (usual == 0)
			return UINT32_MAX;
	}
	return v->k + usual + v->bytes;
}

/* Is it in the window, if its base is the usual one? */
static bool operand_is_usually_direct(const struct kernel_emit *e, const struct filter_value *v)
{
	uint32_t room = emit_reads_copy(e) ? WINDOW_BYTES : e->direct_bytes;

	return kernel_operand_end(e->g, v) <= room;
}

static bool operand_is_direct(const struct kernel_emit *e, const struct filter_value *v)
{
	return v->a == FILTER_VALUE_NONE && operand_is_usually_direct(e, v);
}

/* The function that loads anything: r1 context, r2 offset, r3 area, r4 bytes, into @temp. */
static void operand_call_slow(struct kernel_emit *e, uint32_t k, uint32_t bytes, bool has_base)
{
	e->uses_slow = true;
	if (has_base) {
		emit_put(e, ALU32_REG(BPF_MOV, BPF_REG_2, BPF_REG_0));
		emit_put(e, ALU32_IMM(BPF_ADD, BPF_REG_2, k));
	} else {
		emit_put(e, ALU32_IMM(BPF_MOV, BPF_REG_2, k));
	}
	emit_put(e, MOV_REG(BPF_REG_1, REG_CTX));
	emit_put(e, MOV_REG(BPF_REG_3, REG_AREA));
	emit_put(e, MOV_IMM(BPF_REG_4, (int32_t)bytes));
	emit_jump(e, CALL_LABEL(), e->slow);
	emit_put(e, LOAD(operand_sizes[bytes], BPF_REG_0, REG_AREA, AREA_AT(temp)));
}

/* The base is in r0: make the verifier know that it is not large. It does not know that a swap of
 * bytes clears the upper half, so the comparison is of 64 bits. */
static void operand_bound(struct kernel_emit *e, uint32_t max, uint32_t too_large)
{
	if (filter_value_bits(max) <= OPERAND_BASE_MAX)
		emit_put(e, ALU32_IMM(BPF_AND, BPF_REG_0, filter_value_bits(max)));
	else
		emit_jump(e, IF64_IMM(BPF_JGT, BPF_REG_0, OPERAND_BASE_MAX), too_large);
}

/* Without CAP_PERFMON, only what does not depend on the packet is added to its address. */
static bool operand_is_readable_in_place(const struct kernel_emit *e, const struct filter_value *v)
{
	return !emit_reads_copy(e) && v->k <= OPERAND_K_MAX &&
		!(e->options->is_distrusted && v->a != FILTER_VALUE_NONE);
}

/* Of the packet where it is, or else by the function, which stands here: jumps go forward. */
static void operand_load_in_place(struct kernel_emit *e, const struct filter_value *v)
{
	bool is_xdp = e->options->hook == KERNEL_XDP;
	bool has_base = v->a != FILTER_VALUE_NONE;
	uint32_t slow = kernel_asm_label(&e->code), fast = kernel_asm_label(&e->code);
	uint32_t done = kernel_asm_label(&e->code);

	if (has_base)
		operand_bound(e, filter_graph_value(e->g, v->a)->max, slow);
	emit_put(e, LOAD(BPF_W, BPF_REG_1, REG_AREA, AREA_AT(is_copy)));
	emit_jump(e, IF_IMM(BPF_JNE, BPF_REG_1, 0), slow);
	emit_put(e,
		LOAD(BPF_W, BPF_REG_1, REG_CTX,
			is_xdp ? offsetof(struct xdp_md, data) : offsetof(struct __sk_buff, data)));
	emit_put(e,
		LOAD(BPF_W, BPF_REG_2, REG_CTX,
			is_xdp ? offsetof(struct xdp_md, data_end)
			       : offsetof(struct __sk_buff, data_end)));
	if (has_base)
		emit_put(e, ALU_REG(BPF_ADD, BPF_REG_1, BPF_REG_0));
	emit_put(e, MOV_REG(BPF_REG_3, BPF_REG_1));
	emit_put(e, ALU_IMM(BPF_ADD, BPF_REG_3, (int32_t)(v->k + v->bytes)));
	emit_jump(e, IF64_REG(BPF_JLE, BPF_REG_3, BPF_REG_2), fast);
	emit_place(e, slow);
	operand_call_slow(e, v->k, v->bytes, has_base);
	emit_goto(e, done);
	emit_place(e, fast);
	emit_put(e, LOAD(operand_sizes[v->bytes], BPF_REG_0, BPF_REG_1, (int16_t)v->k));
	emit_place(e, done);
}

/* Of a copied window that is known to hold it. */
static bool operand_load_from_copy(struct kernel_emit *e, const struct filter_value *v)
{
	uint32_t bits;

	if (!emit_reads_copy(e) || v->a == FILTER_VALUE_NONE)
		return false;
	bits = filter_value_bits(filter_graph_value(e->g, v->a)->max);
	if (v->k > WINDOW_BYTES ||
		filter_graph_value(e->g, v->a)->max + v->k + v->bytes > WINDOW_BYTES ||
		bits > WINDOW_BYTES)
		return false;
	emit_put(e, ALU32_IMM(BPF_AND, BPF_REG_0, bits));
	emit_put(e, MOV_REG(BPF_REG_1, REG_AREA));
	emit_put(e, ALU_REG(BPF_ADD, BPF_REG_1, BPF_REG_0));
	emit_put(e,
		LOAD(operand_sizes[v->bytes], BPF_REG_0, BPF_REG_1,
			(int16_t)(AREA_AT(window) + (int)v->k)));
	return true;
}

/* Behind a header whose length, r0, is the usual one: then goes to @done. */
static void operand_load_usual(struct kernel_emit *e, const struct filter_value *v, uint32_t done)
{
	uint32_t other = kernel_asm_label(&e->code);

	emit_jump(e, IF_IMM(BPF_JNE, BPF_REG_0, operand_usual(e->g, v->a)), other);
	emit_put(e,
		LOAD(operand_sizes[v->bytes], BPF_REG_0, REG_WINDOW,
			(int16_t)(kernel_operand_end(e->g, v) - v->bytes)));
	emit_goto(e, done);
	emit_place(e, other);
}

static void operand_load_elsewhere(struct kernel_emit *e, const struct filter_value *v)
{
	uint32_t done = kernel_asm_label(&e->code);

	if (v->a != FILTER_VALUE_NONE) {
		kernel_operand_value(e, v->a);
		if (operand_is_usually_direct(e, v))
			operand_load_usual(e, v, done);
	}
	if (operand_load_from_copy(e, v))
		;
	else if (operand_is_readable_in_place(e, v))
		operand_load_in_place(e, v);
	else
		operand_call_slow(e, v->k, v->bytes, v->a != FILTER_VALUE_NONE);
	emit_place(e, done);
}

static void operand_load(struct kernel_emit *e, const struct filter_value *v)
{
	if (operand_is_direct(e, v))
		emit_put(e, LOAD(operand_sizes[v->bytes], BPF_REG_0, REG_WINDOW, (int16_t)v->k));
	else
		operand_load_elsewhere(e, v);
	operand_swap(e, v->bytes);
}

/* r0 = r0 @op r1, where a shift by more than 31 gives 0. */
static void operand_alu_reg(struct kernel_emit *e, uint8_t op)
{
	uint32_t clears, end;

	if (op != BPF_LSH && op != BPF_RSH) {
		emit_put(e, ALU32_REG(op, BPF_REG_0, BPF_REG_1));
		return;
	}
	clears = kernel_asm_label(&e->code);
	end = kernel_asm_label(&e->code);
	emit_jump(e, IF_IMM(BPF_JGT, BPF_REG_1, 31), clears);
	emit_put(e, ALU32_REG(op, BPF_REG_0, BPF_REG_1));
	emit_jump(e, GOTO(), end);
	emit_place(e, clears);
	emit_put(e, ALU32_IMM(BPF_MOV, BPF_REG_0, 0));
	emit_place(e, end);
}

static void operand_alu(struct kernel_emit *e, const struct filter_value *v)
{
	const struct filter_value *b = filter_graph_value(e->g, v->b);
	uint8_t op = (uint8_t)v->op;

	if (b->kind == FILTER_VALUE_CONST) {
		kernel_operand_value(e, v->a);
		if (b->k == 0 && (op == BPF_DIV || op == BPF_MOD)) /* never asked for */
			emit_put(e, ALU32_IMM(BPF_MOV, BPF_REG_0, 0));
		else
			emit_put(e, ALU32_IMM(op, BPF_REG_0, b->k));
		return;
	}
	if (!e->is_kept[v->b]) {
		kernel_operand_value(e, v->b);
		operand_store(e, v->b);
	}
	kernel_operand_value(e, v->a);
	emit_put(e, LOAD(BPF_W, BPF_REG_1, REG_AREA, operand_column(e, v->b)));
	operand_alu_reg(e, op);
}

/* XDP sees what comes in; of all kinds of packets, those that leave are of the higher half. */
static void operand_direction(struct kernel_emit *e)
{
	if (e->options->hook == KERNEL_XDP) {
		emit_put(e, ALU32_IMM(BPF_MOV, BPF_REG_0, FILTER_DIRECTION_IN));
		return;
	}
	emit_put(e, LOAD(BPF_W, BPF_REG_0, REG_CTX, offsetof(struct __sk_buff, pkt_type)));
	emit_put(e, ALU32_IMM(BPF_AND, BPF_REG_0, FILTER_DIRECTION_OUT));
}

static void operand_part(struct kernel_emit *e, const struct filter_value *v)
{
	uint32_t words = v->a;

	for (uint32_t i = FILTER_FLOW_WORDS; i-- > 0;) {
		const struct filter_value *list = filter_graph_value(e->g, words);

		kernel_operand_value(e, list->b);
		emit_put(e,
			STORE(BPF_W, REG_AREA, BPF_REG_0, (int16_t)(AREA_AT(flow) + (int)(4 * i))));
		words = list->a;
	}
	e->uses_part = true;
	emit_put(e, MOV_REG(BPF_REG_3, REG_AREA));
	emit_jump(e, CALL_LABEL(), e->part);
}

/* Is it worth a store? What others are made of is, or hostile programs would be written out once
 * for each use of each of their parts. */
static bool operand_is_costly(const struct kernel_emit *e, uint32_t value)
{
	const struct filter_value *v = filter_graph_value(e->g, value);

	if (v->kind == FILTER_VALUE_LOAD)
		return !operand_is_direct(e, v);
	if (v->kind == FILTER_VALUE_PART)
		return true;
	return v->kind == FILTER_VALUE_ALU &&
		filter_graph_value(e->g, v->b)->kind != FILTER_VALUE_CONST;
}

void kernel_operand_value(struct kernel_emit *e, uint32_t value)
{
	const struct filter_value *v = filter_graph_value(e->g, value);

	if (emit_failed(e))
		return;
	if (e->code.n > 2 * ASM_INSNS_MAX) {
		e->too_large = true;
		return;
	}
	if (e->is_kept[value]) {
		emit_put(e, LOAD(BPF_W, BPF_REG_0, REG_AREA, operand_column(e, value)));
		return;
	}
	switch ((enum filter_value_kind)v->kind) {
	case FILTER_VALUE_CONST:
		emit_put(e, ALU32_IMM(BPF_MOV, BPF_REG_0, v->k));
		break;
	case FILTER_VALUE_LEN:
		emit_put(e, LOAD(BPF_W, BPF_REG_0, REG_AREA, AREA_AT(len)));
		break;
	case FILTER_VALUE_CAP:
		emit_put(e, LOAD(BPF_W, BPF_REG_0, REG_AREA, operand_cap(e)));
		break;
	case FILTER_VALUE_DIRECTION:
		operand_direction(e);
		break;
	case FILTER_VALUE_LOAD:
		operand_load(e, v);
		break;
	case FILTER_VALUE_ALU:
		operand_alu(e, v);
		break;
	case FILTER_VALUE_PART:
		operand_part(e, v);
		break;
	case FILTER_VALUE_WORDS: /* is no value by itself */
		break;
	}
	if (e->uses[value] > 1 && operand_is_costly(e, value))
		operand_store(e, value);
}

void kernel_operand_keep(struct kernel_emit *e, uint32_t value)
{
	if (!e->is_kept[value] && operand_is_costly(e, value)) {
		kernel_operand_value(e, value);
		operand_store(e, value);
	}
}

void kernel_operand_masked(struct kernel_emit *e, uint32_t value, uint32_t mask)
{
	kernel_operand_value(e, value);
	if (mask != UINT32_MAX && filter_value_bits(filter_graph_value(e->g, value)->max) & ~mask)
		emit_put(e, ALU32_IMM(BPF_AND, BPF_REG_0, mask));
}

/* Both values of a test of two: r0 and r1. */
static void operand_both(struct kernel_emit *e, const struct filter_test *t)
{
	if (!e->is_kept[t->other]) {
		kernel_operand_value(e, t->other);
		operand_store(e, t->other);
	}
	kernel_operand_value(e, t->value);
	emit_put(e, LOAD(BPF_W, BPF_REG_1, REG_AREA, operand_column(e, t->other)));
}

void kernel_operand_test(struct kernel_emit *e, uint32_t test, uint32_t no)
{
	const struct filter_test *t = filter_graph_test(e->g, test);

	switch ((enum filter_test_op)t->op) {
	case FILTER_TEST_NEVER:
		emit_goto(e, no);
		return;
	case FILTER_TEST_EQ:
		kernel_operand_masked(e, t->value, t->mask);
		emit_jump(e, IF_IMM(BPF_JNE, BPF_REG_0, t->k), no);
		return;
	case FILTER_TEST_GE:
		kernel_operand_masked(e, t->value, t->mask);
		emit_jump(e, IF_IMM(BPF_JLT, BPF_REG_0, t->k), no);
		return;
	case FILTER_TEST_EQ_VALUE:
		operand_both(e, t);
		emit_jump(e, IF_REG(BPF_JNE, BPF_REG_0, BPF_REG_1), no);
		return;
	case FILTER_TEST_GE_VALUE:
		operand_both(e, t);
		emit_jump(e, IF_REG(BPF_JLT, BPF_REG_0, BPF_REG_1), no);
		return;
	case FILTER_TEST_INSIDE:
		/* The sum of 64 bits is above all lengths where that of 32 bits wraps around;
		 * and the constant is, where its sign would be extended. */
		if (t->k > INT32_MAX) {
			emit_goto(e, no);
			return;
		}
		kernel_operand_value(e, t->value);
		emit_put(e, ALU_IMM(BPF_ADD, BPF_REG_0, (int32_t)t->k));
		emit_put(e, LOAD(BPF_W, BPF_REG_1, REG_AREA, operand_cap(e)));
		emit_jump(e, IF64_REG(BPF_JGT, BPF_REG_0, BPF_REG_1), no);
		return;
	}
}
