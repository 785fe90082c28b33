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
#include "packet/decode.h"

static uint32_t value_intern(struct filter_graph *g, const struct filter_value *v)
{
	uint32_t i = 0;

	if (filter_intern_get(&g->values, v, &i, NULL) < 0)
		g->failed = true;
	return i;
}

uint32_t filter_value_const(struct filter_graph *g, uint32_t k)
{
	return value_intern(g,
		&(struct filter_value){ .kind = FILTER_VALUE_CONST,
			.k = k,
			.a = FILTER_VALUE_NONE,
			.b = FILTER_VALUE_NONE,
			.max = k });
}

/* What a packet has, whatever it contains. */
static uint32_t value_of_packet(struct filter_graph *g, enum filter_value_kind kind, uint32_t max)
{
	return value_intern(g,
		&(struct filter_value){
			.kind = kind, .a = FILTER_VALUE_NONE, .b = FILTER_VALUE_NONE, .max = max });
}

uint32_t filter_value_len(struct filter_graph *g)
{
	return value_of_packet(g, FILTER_VALUE_LEN, UINT32_MAX);
}

uint32_t filter_value_cap(struct filter_graph *g)
{
	return value_of_packet(g, FILTER_VALUE_CAP, UINT32_MAX);
}

uint32_t filter_value_direction(struct filter_graph *g)
{
	return value_of_packet(g, FILTER_VALUE_DIRECTION, FILTER_DIRECTION_UNKNOWN);
}

uint32_t filter_value_load(struct filter_graph *g, uint32_t base, uint32_t k, uint32_t bytes)
{
	struct filter_value v = {
		.kind = FILTER_VALUE_LOAD,
		.bytes = bytes,
		.k = k,
		.a = base,
		.b = FILTER_VALUE_NONE,
		.max = UINT32_MAX >> (32 - 8 * bytes),
	};

	if (base != FILTER_VALUE_NONE && filter_graph_value(g, base)->kind == FILTER_VALUE_CONST) {
		v.a = FILTER_VALUE_NONE;
		v.k = k + filter_graph_value(g, base)->k;
	}
	return value_intern(g, &v);
}

uint32_t filter_value_part(struct filter_graph *g, const uint32_t words[FILTER_FLOW_WORDS])
{
	struct filter_value v = {
		.kind = FILTER_VALUE_WORDS, .a = FILTER_VALUE_NONE, .max = UINT32_MAX
	};

	for (uint32_t i = 0; i < FILTER_FLOW_WORDS; i++) {
		v.b = words[i];
		v.a = value_intern(g, &v);
	}
	v.kind = FILTER_VALUE_PART;
	v.b = FILTER_VALUE_NONE;
	v.max = DECODE_FLOW_PARTS - 1;
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
static uint32_t value_max(uint32_t op, const struct filter_value *a, const struct filter_value *b)
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
		if (b->kind == FILTER_VALUE_CONST && b->k < 32)
			max = (uint64_t)a->max << b->k;
		break;
	case BPF_RSH:
		max = b->kind == FILTER_VALUE_CONST && b->k < 32 ? a->max >> b->k : a->max;
		break;
	case BPF_DIV:
		max = b->kind == FILTER_VALUE_CONST && b->k ? a->max / b->k : a->max;
		break;
	case BPF_MOD:
		max = b->max ? b->max - 1 : 0;
		break;
	case BPF_AND:
		max = MIN(a->max, b->max);
		break;
	case BPF_OR:
	case BPF_XOR:
		max = filter_value_bits(a->max | b->max);
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
static uint32_t value_alu_const(struct filter_graph *g, uint32_t op, uint32_t a, uint32_t k)
{
	struct filter_value inner;

	value_reduce(&op, &k);
	inner = *filter_graph_value(g, a);
	/* (x op j) op k, where the two are one */
	if (inner.kind == FILTER_VALUE_ALU && inner.op == op &&
		filter_graph_value(g, inner.b)->kind == FILTER_VALUE_CONST) {
		uint32_t j = filter_graph_value(g, inner.b)->k;

		if (op == BPF_ADD || op == BPF_AND || op == BPF_OR || op == BPF_XOR) {
			return value_alu_const(g, op, inner.a, value_fold(op, j, k));
		}
		if (op == BPF_LSH || op == BPF_RSH)
			return value_alu_const(g, op, inner.a, MIN(j, 32) + MIN(k, 32));
	}
	switch (op) {
	case BPF_AND:
		k &= filter_value_bits(inner.max);
		if (k == filter_value_bits(inner.max))
			return a;
		if (k == 0)
			return filter_value_const(g, 0);
		break;
	case BPF_LSH:
		if (k >= 32)
			return filter_value_const(g, 0);
		break;
	case BPF_RSH:
		if (k >= 32 || inner.max >> k == 0)
			return filter_value_const(g, 0);
		break;
	case BPF_MUL:
		if (k == 0)
			return filter_value_const(g, 0);
		break;
	}
	if (k == 0 &&
		(op == BPF_ADD || op == BPF_OR || op == BPF_XOR || op == BPF_LSH || op == BPF_RSH))
		return a;
	{
		uint32_t b = filter_value_const(g, k);

		return value_intern(g,
			&(struct filter_value){ .kind = FILTER_VALUE_ALU,
				.op = op,
				.a = a,
				.b = b,
				.max = value_max(op, &inner, filter_graph_value(g, b)) });
	}
}

uint32_t filter_value_alu(struct filter_graph *g, uint32_t op, uint32_t a, uint32_t b)
{
	const struct filter_value *va = filter_graph_value(g, a), *vb = filter_graph_value(g, b);

	if (va->kind == FILTER_VALUE_CONST && vb->kind == FILTER_VALUE_CONST)
		return filter_value_const(g, value_fold(op, va->k, vb->k));
	if (vb->kind == FILTER_VALUE_CONST)
		return value_alu_const(g, op, a, vb->k);
	if (value_is_commutative(op)) {
		if (va->kind == FILTER_VALUE_CONST)
			return value_alu_const(g, op, b, va->k);
		if (a > b)
			return filter_value_alu(g, op, b, a);
	}
	return value_intern(g,
		&(struct filter_value){ .kind = FILTER_VALUE_ALU,
			.op = op,
			.a = a,
			.b = b,
			.max = value_max(op, va, vb) });
}
