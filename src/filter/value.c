/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values: what the registers of classic BPF hold, as expressions over the packet.
 *
 * Each constructor folds what it can, so that the same property of the packet, computed in
 * different ways by different filters, is one value: multiplications and divisions by powers of two
 * become shifts and masks, subtractions of constants additions, nested masks, shifts and sums one.
 * All arithmetic is modulo 2^32, as in BPF. Loads keep base and offset apart: the sum of an
 * indirect load must not wrap around, so that a constant inside the base cannot move to the offset.
 */
#include "filter_private.h"

static uint32_t value_intern(struct graph *g, const struct value *v)
{
	uint32_t i = 0;

	if (intern_get(&g->values, v, &i, NULL) < 0)
		g->failed = true;
	return i;
}

uint32_t value_const(struct graph *g, uint32_t k)
{
	return value_intern(g,
		&(struct value){
			.kind = VALUE_CONST, .k = k, .a = VALUE_NONE, .b = VALUE_NONE, .max = k });
}

uint32_t value_len(struct graph *g)
{
	return value_intern(g,
		&(struct value){
			.kind = VALUE_LEN, .a = VALUE_NONE, .b = VALUE_NONE, .max = UINT32_MAX });
}

uint32_t value_cap(struct graph *g)
{
	return value_intern(g,
		&(struct value){
			.kind = VALUE_CAP, .a = VALUE_NONE, .b = VALUE_NONE, .max = UINT32_MAX });
}

uint32_t value_load(struct graph *g, uint32_t base, uint32_t k, uint32_t bytes)
{
	struct value v = {
		.kind = VALUE_LOAD,
		.bytes = bytes,
		.k = k,
		.a = base,
		.b = VALUE_NONE,
		.max = UINT32_MAX >> (32 - 8 * bytes),
	};

	if (base != VALUE_NONE && graph_value(g, base)->kind == VALUE_CONST) {
		v.a = VALUE_NONE;
		v.k = k + graph_value(g, base)->k;
	}
	return value_intern(g, &v);
}

static uint32_t value_fold(uint32_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_MUL:
		return a * b;
	case BPF_DIV:
		return b ? a / b : 0;
	case BPF_MOD:
		return b ? a % b : 0;
	case BPF_AND:
		return a & b;
	case BPF_OR:
		return a | b;
	case BPF_XOR:
		return a ^ b;
	case BPF_LSH:
		return b < 32 ? a << b : 0;
	default: /* BPF_RSH */
		return b < 32 ? a >> b : 0;
	}
}

/* An upper bound of a @op b. */
static uint32_t value_max(uint32_t op, const struct value *a, const struct value *b)
{
	uint64_t max = UINT32_MAX;

	switch (op) {
	case BPF_ADD:
		max = (uint64_t)a->max + b->max;
		break;
	case BPF_MUL:
		max = (uint64_t)a->max * b->max;
		break;
	case BPF_LSH:
		if (b->kind == VALUE_CONST && b->k < 32)
			max = (uint64_t)a->max << b->k;
		break;
	case BPF_RSH:
		max = b->kind == VALUE_CONST && b->k < 32 ? a->max >> b->k : a->max;
		break;
	case BPF_DIV:
		max = b->kind == VALUE_CONST && b->k ? a->max / b->k : a->max;
		break;
	case BPF_MOD:
		max = b->max ? b->max - 1 : 0;
		break;
	case BPF_AND:
		max = MIN(a->max, b->max);
		break;
	case BPF_OR:
	case BPF_XOR:
		max = value_bits(a->max | b->max);
		break;
	}
	return max < UINT32_MAX ? (uint32_t)max : UINT32_MAX;
}

static bool value_is_commutative(uint32_t op)
{
	return op == BPF_ADD || op == BPF_MUL || op == BPF_AND || op == BPF_OR || op == BPF_XOR;
}

/* Rewrites "a @op k" into an operation of fewer kinds. */
static void value_reduce(uint32_t *op, uint32_t *k)
{
	bool is_power = *k && !(*k & (*k - 1));
	uint32_t log2 = is_power ? (uint32_t)__builtin_ctz(*k) : 0;

	if (*op == BPF_SUB) {
		*op = BPF_ADD;
		*k = -*k;
	} else if (*op == BPF_MUL && is_power) {
		*op = BPF_LSH;
		*k = log2;
	} else if (*op == BPF_DIV && is_power) {
		*op = BPF_RSH;
		*k = log2;
	} else if (*op == BPF_MOD && is_power) {
		*op = BPF_AND;
		*k = *k - 1;
	}
}

/* a @op k */
static uint32_t value_alu_const(struct graph *g, uint32_t op, uint32_t a, uint32_t k)
{
	struct value inner;

	value_reduce(&op, &k);
	inner = *graph_value(g, a);
	/* (x op j) op k, where the two are one */
	if (inner.kind == VALUE_ALU && inner.op == op &&
		graph_value(g, inner.b)->kind == VALUE_CONST) {
		uint32_t j = graph_value(g, inner.b)->k;

		if (op == BPF_ADD || op == BPF_AND || op == BPF_OR || op == BPF_XOR) {
			return value_alu_const(g, op, inner.a, value_fold(op, j, k));
		}
		if (op == BPF_LSH || op == BPF_RSH)
			return value_alu_const(g, op, inner.a, MIN(j, 32) + MIN(k, 32));
	}
	switch (op) {
	case BPF_AND:
		k &= value_bits(inner.max);
		if (k == value_bits(inner.max))
			return a;
		if (k == 0)
			return value_const(g, 0);
		break;
	case BPF_LSH:
		if (k >= 32)
			return value_const(g, 0);
		break;
	case BPF_RSH:
		if (k >= 32 || inner.max >> k == 0)
			return value_const(g, 0);
		break;
	case BPF_MUL:
		if (k == 0)
			return value_const(g, 0);
		break;
	}
	if (k == 0 &&
		(op == BPF_ADD || op == BPF_OR || op == BPF_XOR || op == BPF_LSH || op == BPF_RSH))
		return a;
	{
		uint32_t b = value_const(g, k);

		return value_intern(g,
			&(struct value){ .kind = VALUE_ALU,
				.op = op,
				.a = a,
				.b = b,
				.max = value_max(op, &inner, graph_value(g, b)) });
	}
}

uint32_t value_alu(struct graph *g, uint32_t op, uint32_t a, uint32_t b)
{
	const struct value *va = graph_value(g, a), *vb = graph_value(g, b);

	if (va->kind == VALUE_CONST && vb->kind == VALUE_CONST)
		return value_const(g, value_fold(op, va->k, vb->k));
	if (vb->kind == VALUE_CONST)
		return value_alu_const(g, op, a, vb->k);
	if (value_is_commutative(op)) {
		if (va->kind == VALUE_CONST)
			return value_alu_const(g, op, b, va->k);
		if (a > b)
			return value_alu(g, op, b, a);
	}
	return value_intern(g,
		&(struct value){ .kind = VALUE_ALU,
			.op = op,
			.a = a,
			.b = b,
			.max = value_max(op, va, vb) });
}
