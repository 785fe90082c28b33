/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A value that lies in one of many ranges chooses where to go on: binary search, down to a few
 * comparisons in a row.
 */
#include "kernel_private.h"

#define CHOOSE_ROW_MAX 3u

/* Neighbours that lead to the same place become one. */
static uint32_t choose_merge(uint32_t cuts[], uint32_t labels[], uint32_t n)
{
	uint32_t n_merged = 1;

	for (uint32_t i = 1; i < n; i++) {
		if (labels[i] != labels[n_merged - 1]) {
			cuts[n_merged] = cuts[i];
			labels[n_merged++] = labels[i];
		}
	}
	return n_merged;
}

/* The label that most of the ranges lead to. */
static uint32_t choose_usual(const uint32_t labels[], uint32_t n, uint32_t *ret_others)
{
	uint32_t best = 0, best_n = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t same = 0;

		for (uint32_t j = 0; j < n; j++)
			same += labels[j] == labels[i];
		if (same > best_n) {
			best = labels[i];
			best_n = same;
		}
	}
	*ret_others = n - best_n;
	return best;
}

/* Goes to the label of range @i of @n, if r0 is in it. */
static void choose_one(struct kernel_emit *e, const uint32_t cuts[], const uint32_t labels[],
	uint32_t i, uint32_t n)
{
	uint32_t skip;

	if (i + 1 < n && cuts[i] + 1 == cuts[i + 1]) {
		emit_jump(e, IF_IMM(BPF_JEQ, BPF_REG_0, cuts[i]), labels[i]);
	} else if (i == 0) {
		emit_jump(e, IF_IMM(BPF_JLT, BPF_REG_0, cuts[1]), labels[0]);
	} else if (i + 1 == n) {
		emit_jump(e, IF_IMM(BPF_JGE, BPF_REG_0, cuts[i]), labels[i]);
	} else {
		skip = kernel_asm_label(&e->code);
		emit_jump(e, IF_IMM(BPF_JLT, BPF_REG_0, cuts[i]), skip);
		emit_jump(e, IF_IMM(BPF_JLT, BPF_REG_0, cuts[i + 1]), labels[i]);
		emit_place(e, skip);
	}
}

static void choose_among(
	struct kernel_emit *e, const uint32_t cuts[], const uint32_t labels[], uint32_t n)
{
	uint32_t others, usual, right;

	if (n == 1) {
		emit_goto(e, labels[0]);
		return;
	}
	if (n <= 2 * CHOOSE_ROW_MAX + 1) {
		usual = choose_usual(labels, n, &others);
		if (others <= CHOOSE_ROW_MAX) {
			for (uint32_t i = 0; i < n; i++) {
				if (labels[i] != usual)
					choose_one(e, cuts, labels, i, n);
			}
			emit_goto(e, usual);
			return;
		}
	}
	right = kernel_asm_label(&e->code);
	emit_jump(e, IF_IMM(BPF_JGE, BPF_REG_0, cuts[n / 2]), right);
	choose_among(e, cuts, labels, n / 2);
	emit_place(e, right);
	choose_among(e, cuts + n / 2, labels + n / 2, n - n / 2);
}

void kernel_choose(struct kernel_emit *e, uint32_t cuts[], uint32_t labels[], uint32_t n)
{
	choose_among(e, cuts, labels, choose_merge(cuts, labels, n));
}
