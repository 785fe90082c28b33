/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lifter: a classic BPF program becomes a decision graph, by symbolic execution.
 *
 * A *point* is an instruction where paths begin or meet, together with what the registers hold
 * there, as values (value.c). Executing a point goes through the instructions up to the next jump
 * or meeting: loads and arithmetic make values; each load and each division adds a condition that
 * must hold or the packet is rejected; the jump adds a question and two further points. Equal
 * points are one point, and what is never read again does not count as a difference, so a program
 * of n blocks usually has about n points.
 *
 * Jumps go forward, hence: points executed in the order of their instructions have seen all their
 * predecessors. That makes "captured at least so many bytes on every path to here" a simple
 * minimum, and saves most of the bounds questions. A second pass, backwards, turns points into
 * nodes of the graph, children first.
 */
#include "filter_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Larger programs, and those whose paths multiply, are left to the interpreter. */
#define LIFT_INSNS_MAX 4096u
#define LIFT_POINTS_MAX 16384u

#define LIFT_A BPF_MEMWORDS
#define LIFT_X (BPF_MEMWORDS + 1)
#define LIFT_REGISTERS (BPF_MEMWORDS + 2)

#define LIFT_POINT_NONE UINT32_MAX

/* What makes points different; compared as bytes. */
struct lift_key {
	uint32_t pc;
	uint32_t reg[LIFT_REGISTERS]; /* values; value 0 where never read again */
};

/*
 * struct lift_point - a point, and how it was executed
 * @next:        next point of the same instruction
 * @cap_bytes:   every path to here has seen that so many bytes are captured
 * @first_claim, @n_claims: conditions, in order, without which the packet is rejected
 * @question, @yes, @no: what follows then; or @node, if that is decided
 */
struct lift_point {
	uint32_t next;
	uint32_t cap_bytes;
	uint32_t first_claim;
	uint32_t n_claims;
	filter_literal question;
	uint32_t yes;
	uint32_t no;
	uint32_t node;
};

struct lift {
	struct filter_graph *g;
	const struct filter_program *program;
	uint32_t *live; /* of each instruction: the registers read before written */
	uint32_t *head; /* of each instruction: its first point */
	bool *is_meeting;
	struct filter_intern keys;
	struct lift_point *points; /* parallel to keys */
	uint32_t n_points_room;
	filter_literal *claims;
	uint32_t n_claims, n_claims_room;
};

/* Symbolic state while a point is executed. */
struct lift_state {
	uint32_t reg[LIFT_REGISTERS];
	uint32_t point;
	uint32_t cap_bytes;
	bool rejected; /* a claim can never hold */
};

/* The registers that an instruction reads (@ret_reads) and the one that it writes. */
static uint32_t lift_uses(const struct bpf_insn *insn, uint32_t *ret_reads)
{
	const uint32_t a = 1u << LIFT_A, x = 1u << LIFT_X;
	uint32_t by_x = BPF_SRC(insn->code) == BPF_X ? x : 0;

	*ret_reads = 0;
	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
	case BPF_LDX:
		if (BPF_MODE(insn->code) == BPF_IND)
			*ret_reads = x;
		if (BPF_MODE(insn->code) == BPF_MEM)
			*ret_reads = 1u << insn->k;
		return BPF_CLASS(insn->code) == BPF_LD ? a : x;
	case BPF_ST:
		*ret_reads = a;
		return 1u << insn->k;
	case BPF_STX:
		*ret_reads = x;
		return 1u << insn->k;
	case BPF_ALU:
		*ret_reads = a | (BPF_OP(insn->code) == BPF_NEG ? 0 : by_x);
		return a;
	case BPF_JMP:
		*ret_reads = BPF_OP(insn->code) == BPF_JA ? 0 : a | by_x;
		return 0;
	case BPF_RET:
		*ret_reads = BPF_RVAL(insn->code) == BPF_A ? a : 0;
		return 0;
	default: /* BPF_MISC */
		if (insn->code == FILTER_INSN_PART) {
			*ret_reads = (1u << FILTER_FLOW_WORDS) - 1;
			return a;
		}
		*ret_reads = BPF_MISCOP(insn->code) == BPF_TAX ? a : x;
		return BPF_MISCOP(insn->code) == BPF_TAX ? x : a;
	}
}

/* Finds liveness and meetings, backwards. Return: false if the program jumps backwards, or asks for
 * what the back end does not know. */
static bool lift_survey(struct lift *l)
{
	const struct filter_program *p = l->program;

	for (uint32_t pc = p->n_insns; pc-- > 0;) {
		const struct bpf_insn *insn = &p->insns[pc];
		uint32_t reads, after = 0, writes = lift_uses(insn, &reads);

		if (insn->code == FILTER_INSN_PART && !l->g->has_parts)
			return false;
		if (insn->code == (BPF_JMP | BPF_JA)) {
			if (insn->k >= p->n_insns)
				return false;
			after = l->live[pc + 1 + insn->k];
			l->is_meeting[pc + 1 + insn->k] = true;
		} else if (BPF_CLASS(insn->code) == BPF_JMP) {
			after = l->live[pc + 1 + insn->jt] | l->live[pc + 1 + insn->jf];
			l->is_meeting[pc + 1 + insn->jt] = true;
			l->is_meeting[pc + 1 + insn->jf] = true;
		} else if (BPF_CLASS(insn->code) != BPF_RET) {
			after = l->live[pc + 1];
		}
		l->live[pc] = reads | (after & ~writes);
	}
	return true;
}

/* The point at @pc with the registers of @s; new or known. */
static uint32_t lift_point(struct lift *l, uint32_t pc, const struct lift_state *s)
{
	struct lift_key key = { .pc = pc };
	struct lift_point *p;
	bool is_new;
	uint32_t i;

	for (unsigned int reg = 0; reg < LIFT_REGISTERS; reg++)
		key.reg[reg] = l->live[pc] >> reg & 1 ? s->reg[reg] : 0;
	if (filter_intern_get(&l->keys, &key, &i, &is_new) < 0)
		goto fail;
	if (!is_new) {
		l->points[i].cap_bytes = MIN(l->points[i].cap_bytes, s->cap_bytes);
		return i;
	}
	if (i >= l->n_points_room) {
		uint32_t room = l->n_points_room ? l->n_points_room * 2 : 64;

		p = realloc(l->points, room * sizeof(*p));
		if (!p)
			goto fail;
		l->points = p;
		l->n_points_room = room;
	}
	l->points[i] = (struct lift_point){
		.next = l->head[pc],
		.cap_bytes = s->cap_bytes,
	};
	l->head[pc] = i;
	return i;
fail:
	l->g->failed = true;
	return 0;
}

/* The packet is rejected unless @claim holds. */
static void lift_claim(struct lift *l, struct lift_state *s, filter_literal claim)
{
	if (claim == FILTER_LITERAL_TRUE)
		return;
	if (claim == FILTER_LITERAL_FALSE) {
		s->rejected = true;
		return;
	}
	if (l->n_claims == l->n_claims_room) {
		uint32_t room = l->n_claims_room ? l->n_claims_room * 2 : 64;
		filter_literal *claims = realloc(l->claims, room * sizeof(*claims));

		if (!claims) {
			l->g->failed = true;
			return;
		}
		l->claims = claims;
		l->n_claims_room = room;
	}
	l->claims[l->n_claims++] = claim;
	l->points[s->point].n_claims++;
}

static uint32_t lift_load(
	struct lift *l, struct lift_state *s, uint32_t base, uint32_t k, uint32_t bytes)
{
	filter_literal inside = filter_graph_inside(l->g, base, k, bytes);

	if (inside > FILTER_LITERAL_TRUE) {
		const struct filter_test *t = filter_graph_test(l->g, inside / 2);

		if (t->op == FILTER_TEST_GE) { /* of the captured length */
			if (t->k <= s->cap_bytes)
				inside = FILTER_LITERAL_TRUE;
			else
				s->cap_bytes = t->k;
		}
	}
	lift_claim(l, s, inside);
	return filter_value_load(l->g, base, k, bytes);
}

/* Where it is not known the packet is rejected, like one whose bytes are not there. */
static uint32_t lift_direction(struct lift *l, struct lift_state *s)
{
	uint32_t v = filter_value_direction(l->g);
	uint32_t unknown = filter_value_const(l->g, FILTER_DIRECTION_UNKNOWN);

	lift_claim(l, s, filter_graph_eq(l->g, v, unknown) ^ 1);
	return v;
}

static uint32_t lift_bytes(const struct bpf_insn *insn)
{
	return BPF_SIZE(insn->code) == BPF_W ? 4 : BPF_SIZE(insn->code) == BPF_H ? 2 : 1;
}

static uint32_t lift_ld(struct lift *l, struct lift_state *s, const struct bpf_insn *insn)
{
	struct filter_graph *g = l->g;
	uint32_t v;

	switch (BPF_MODE(insn->code)) {
	case BPF_ABS:
		if (filter_insn_asks_direction(insn))
			return lift_direction(l, s);
		return lift_load(l, s, FILTER_VALUE_NONE, insn->k, lift_bytes(insn));
	case BPF_IND:
		return lift_load(l, s, s->reg[LIFT_X], insn->k, lift_bytes(insn));
	case BPF_MSH:
		v = lift_load(l, s, FILTER_VALUE_NONE, insn->k, 1);
		v = filter_value_alu(g, BPF_AND, v, filter_value_const(g, 0xf));
		return filter_value_alu(g, BPF_LSH, v, filter_value_const(g, 2));
	case BPF_LEN:
		return filter_value_len(g);
	case BPF_MEM:
		return s->reg[insn->k];
	default: /* BPF_IMM */
		return filter_value_const(g, insn->k);
	}
}

static uint32_t lift_alu(struct lift *l, struct lift_state *s, const struct bpf_insn *insn)
{
	struct filter_graph *g = l->g;
	uint32_t op = BPF_OP(insn->code), b;

	if (op == BPF_NEG)
		return filter_value_alu(g, BPF_SUB, filter_value_const(g, 0), s->reg[LIFT_A]);
	b = BPF_SRC(insn->code) == BPF_X ? s->reg[LIFT_X] : filter_value_const(g, insn->k);
	if (op == BPF_DIV || op == BPF_MOD)
		lift_claim(l, s, filter_graph_eq(g, b, filter_value_const(g, 0)) ^ 1);
	return filter_value_alu(g, op, s->reg[LIFT_A], b);
}

static filter_literal lift_question(
	struct lift *l, const struct lift_state *s, const struct bpf_insn *insn)
{
	struct filter_graph *g = l->g;
	uint32_t a = s->reg[LIFT_A];
	uint32_t b = BPF_SRC(insn->code) == BPF_X ? s->reg[LIFT_X] : filter_value_const(g, insn->k);

	switch (BPF_OP(insn->code)) {
	case BPF_JA:
		return FILTER_LITERAL_TRUE;
	case BPF_JEQ:
		return filter_graph_eq(g, a, b);
	case BPF_JGE:
		return filter_graph_ge(g, a, b);
	case BPF_JGT:
		return filter_graph_ge(g, b, a) ^ 1;
	default: /* BPF_JSET */
#ifdef MAPI_MUTANT
		return filter_graph_set(g, a, b) ^ (insn->k == 0x1fff); /* the one broken opcode */
#endif
		return filter_graph_set(g, a, b);
	}
}

/* One instruction that is neither jump nor return. */
static void lift_insn(struct lift *l, struct lift_state *s, const struct bpf_insn *insn)
{
	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
		s->reg[LIFT_A] = lift_ld(l, s, insn);
		break;
	case BPF_LDX:
		s->reg[LIFT_X] = lift_ld(l, s, insn);
		break;
	case BPF_ST:
		s->reg[insn->k] = s->reg[LIFT_A];
		break;
	case BPF_STX:
		s->reg[insn->k] = s->reg[LIFT_X];
		break;
	case BPF_ALU:
		s->reg[LIFT_A] = lift_alu(l, s, insn);
		break;
	case BPF_MISC:
		if (insn->code == FILTER_INSN_PART)
			s->reg[LIFT_A] = filter_value_part(l->g, s->reg);
		else if (BPF_MISCOP(insn->code) == BPF_TAX)
			s->reg[LIFT_X] = s->reg[LIFT_A];
		else
			s->reg[LIFT_A] = s->reg[LIFT_X];
		break;
	}
}

/* Records how a point ends. */
static void lift_end(
	struct lift *l, uint32_t point, filter_literal question, uint32_t yes, uint32_t no)
{
	l->points[point].question = question;
	l->points[point].yes = yes;
	l->points[point].no = no;
}

static void lift_execute(struct lift *l, uint32_t point)
{
	const struct lift_key *key = filter_intern_at(&l->keys, point);
	struct lift_state s = { .point = point, .cap_bytes = l->points[point].cap_bytes };
	uint32_t pc = key->pc;

	memcpy(s.reg, key->reg, sizeof(s.reg));
	l->points[point].first_claim = l->n_claims;
	lift_end(l, point, FILTER_LITERAL_FALSE, LIFT_POINT_NONE, LIFT_POINT_NONE);
	for (;; pc++) {
		const struct bpf_insn *insn = &l->program->insns[pc];

		if (BPF_CLASS(insn->code) == BPF_RET) {
			filter_literal accept =
				insn->k ? FILTER_LITERAL_TRUE : FILTER_LITERAL_FALSE;

			if (BPF_RVAL(insn->code) == BPF_A)
				accept = filter_graph_eq(
						 l->g, s.reg[LIFT_A], filter_value_const(l->g, 0)) ^
					1;
			lift_end(l, point, accept, LIFT_POINT_NONE, LIFT_POINT_NONE);
			return;
		}
		if (BPF_CLASS(insn->code) == BPF_JMP) {
			bool always = BPF_OP(insn->code) == BPF_JA;
			filter_literal question = lift_question(l, &s, insn);
			uint32_t jt = pc + 1 + (always ? insn->k : insn->jt);
			uint32_t jf = pc + 1 + (always ? insn->k : insn->jf);
			/* What cannot happen is not followed: paths that do not exist would
			 * weaken what is known where they meet others. */
			uint32_t yes =
				lift_point(l, question == FILTER_LITERAL_FALSE ? jf : jt, &s);
			uint32_t no = lift_point(l, question == FILTER_LITERAL_TRUE ? jt : jf, &s);

			lift_end(l, point, question, yes, no);
			return;
		}
		lift_insn(l, &s, insn);
		if (s.rejected)
			return;
		if (l->is_meeting[pc + 1]) {
			uint32_t next = lift_point(l, pc + 1, &s);

			lift_end(l, point, FILTER_LITERAL_TRUE, next, next);
			return;
		}
	}
}

/* Points that are met again jump forward only: a point's successors have nodes before it. */
static void lift_build(struct lift *l, uint32_t point)
{
	struct lift_point *p = &l->points[point];
	uint32_t yes = p->yes == LIFT_POINT_NONE ? FILTER_NODE_ACCEPT : l->points[p->yes].node;
	uint32_t no = p->no == LIFT_POINT_NONE ? FILTER_NODE_REJECT : l->points[p->no].node;

	p->node = filter_graph_branch(l->g, p->question, yes, no);
	for (uint32_t i = p->n_claims; i-- > 0;)
		p->node = filter_graph_branch(
			l->g, l->claims[p->first_claim + i], p->node, FILTER_NODE_REJECT);
}

static int lift_all(struct lift *l, uint32_t *ret_root)
{
	struct lift_state start = { .cap_bytes = 0 };
	uint32_t n_insns = l->program->n_insns;

	if (!lift_survey(l))
		return FILTER_LIFT_E_REFUSED;
	for (uint32_t pc = 0; pc < n_insns; pc++)
		l->head[pc] = LIFT_POINT_NONE;
	(void)lift_point(l, 0, &start); /* value 0 is the constant 0, which registers start with */
	for (uint32_t pc = 0; pc < n_insns; pc++) {
		for (uint32_t i = l->head[pc]; i != LIFT_POINT_NONE && !l->g->failed;
			i = l->points[i].next)
			lift_execute(l, i);
		if (l->g->failed)
			return -ENOMEM;
		if (l->keys.n > LIFT_POINTS_MAX)
			return FILTER_LIFT_E_REFUSED;
	}
	for (uint32_t pc = n_insns; pc-- > 0;) {
		for (uint32_t i = l->head[pc]; i != LIFT_POINT_NONE; i = l->points[i].next)
			lift_build(l, i);
	}
	if (l->g->failed)
		return -ENOMEM;
	*ret_root = l->points[0].node;
	return 0;
}

int filter_lift(struct filter_graph *g, const struct filter_program *program, uint32_t *ret_root)
{
	struct lift l = { .g = g, .program = program };
	int r = -ENOMEM;

	if (program->n_insns > LIFT_INSNS_MAX)
		return FILTER_LIFT_E_REFUSED;
	filter_intern_init(&l.keys, sizeof(struct lift_key));
	l.live = calloc(program->n_insns, sizeof(*l.live));
	l.head = calloc(program->n_insns, sizeof(*l.head));
	l.is_meeting = calloc(program->n_insns, sizeof(*l.is_meeting));
	if (l.live && l.head && l.is_meeting)
		r = lift_all(&l, ret_root);
	filter_intern_deinit(&l.keys);
	free(l.live);
	free(l.head);
	free(l.is_meeting);
	free(l.points);
	free(l.claims);
	return r;
}
