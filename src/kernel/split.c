/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trie: splitting a set by a value, either all of the set in each range of the value, or by
 * pieces, in which some filters are decided by themselves before all meet again (trie.c has the
 * whole).
 */
#include "trie_private.h"

#include <stdlib.h>
#include <string.h>

#define SPLIT_RANGES_MAX 64u /* more are decided by pieces */
#define SPLIT_SPREAD_MAX 2u /* of sets in ranges, by the set that is split */
#define SPLIT_ROW_MAX 4u
#define SPLIT_KEEP_MIN 6u /* a costly value that as many pieces ask for is kept */

/*
 * struct split - by the ranges of a value
 * @items, @usual: filters and what is usually left of them
 * @n_pieces_of:   of each filter
 */
struct split {
	const struct kernel_items *items;
	struct kernel_question question;
	struct kernel_pieces pieces;
	uint32_t *usual;
	uint32_t *n_pieces_of;
	uint32_t *size; /* what the pieces of each filter were charged with */
	uint32_t end; /* where all meet again */
};

/* The set in range @range: usual rests, but pieces where there are. */
static struct kernel_items split_set(struct kernel_trie *t, const struct split *s, uint32_t range)
{
	struct kernel_items set = kernel_items_new(t, s->items->n);
	uint32_t *nodes = malloc((s->items->n + 1) * sizeof(*nodes));

	if (!nodes) {
		t->e->code.failed = true;
		return set;
	}
	memcpy(nodes, s->usual, s->items->n * sizeof(*nodes));
	for (uint32_t i = 0; i < s->pieces.n; i++) {
		const struct kernel_piece *p = &s->pieces.at[i];

		if (p->lo <= range && range < p->hi)
			nodes[p->item] = p->node;
	}
	for (uint32_t i = 0; i < s->items->n; i++) {
		struct kernel_item item = s->items->at[i];

		item.node = nodes[i];
		kernel_items_put(&set, &item);
	}
	free(nodes);
	return set;
}

static bool items_equal(const struct kernel_items *a, const struct kernel_items *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++) {
		if (a->at[i].slot != b->at[i].slot || a->at[i].node != b->at[i].node ||
			a->at[i].check != b->at[i].check)
			return false;
	}
	return true;
}

/* May all filters grow as sets do that have all of them? If so, they are charged. */
static bool split_afford(struct kernel_trie *t, const struct split *s,
	const struct kernel_items sets[], uint32_t n_sets)
{
	_cleanup_(cleanup_freep) uint32_t *sizes = calloc(s->items->n + 1, sizeof(*sizes));
	uint64_t total = 0, limit = TRIE_GROWTH_FREE;

	if (!sizes) {
		t->e->code.failed = true;
		return false;
	}
	for (uint32_t i = 0; i < n_sets; i++) {
		uint32_t at = 0; /* sets keep the order of the filters */

		for (uint32_t j = 0; j < sets[i].n; j++) {
			while (s->items->at[at].slot != sets[i].at[j].slot)
				at++;
			sizes[at] += 1 + kernel_trie_size(t, sets[i].at[j].node);
		}
	}
	for (uint32_t i = 0; i < s->items->n; i++) {
		total += sizes[i];
		limit += SPLIT_SPREAD_MAX * (1 + kernel_trie_size(t, s->items->at[i].node));
		sizes[i] = sizes[i] > s->size[i] ? sizes[i] - s->size[i] : 0;
		if (sizes[i] > t->limit[s->items->at[i].slot - t->first])
			return false;
	}
	if (total > limit)
		return false;
	for (uint32_t i = 0; i < s->items->n; i++)
		t->limit[s->items->at[i].slot - t->first] -= sizes[i];
	return true;
}

static void split_put_ranges(struct kernel_trie *t, const struct split *s,
	const struct kernel_items sets[], uint32_t n_sets, uint32_t labels[])
{
	uint32_t cuts[SPLIT_RANGES_MAX], label_of[SPLIT_RANGES_MAX];
	uint32_t n_ranges = s->pieces.n_cuts, n_kept;

	memcpy(cuts, s->pieces.cuts, n_ranges * sizeof(*cuts));
	for (uint32_t i = 0; i < n_sets; i++)
		label_of[i] = sets[i].n ? kernel_asm_label(&t->e->code) : s->end;
	for (uint32_t r = 0; r < n_ranges; r++)
		labels[r] = label_of[labels[r]];
	kernel_operand_masked(t->e, s->question.value, s->question.mask);
	kernel_choose(t->e, cuts, labels, n_ranges);
	n_kept = t->e->n_kept;
	for (uint32_t i = 0; i < n_sets; i++) {
		if (sets[i].n) {
			emit_place(t->e, label_of[i]);
			kernel_trie_decide(t, &sets[i], s->end);
			kernel_operand_forget(t->e, n_kept);
		}
	}
}

/* All of the set in each range; ranges with equal sets share one. Return: false, and nothing is
 * done, if the sets are too much. */
static bool split_by_ranges(struct kernel_trie *t, const struct split *s)
{
	struct kernel_items sets[SPLIT_RANGES_MAX] = { { 0 } };
	uint32_t labels[SPLIT_RANGES_MAX], n_sets = 0;
	bool is_good;

	if (s->pieces.n_cuts > SPLIT_RANGES_MAX)
		return false;
	for (uint32_t r = 0; r < s->pieces.n_cuts; r++) {
		struct kernel_items set = split_set(t, s, r);
		uint32_t same = 0;

		while (same < n_sets && !items_equal(&sets[same], &set))
			same++;
		labels[r] = same;
		if (same == n_sets)
			sets[n_sets++] = set;
		else
			free(set.at);
	}
	is_good = !emit_failed(t->e) && split_afford(t, s, sets, n_sets);
	if (is_good)
		split_put_ranges(t, s, sets, n_sets, labels);
	for (uint32_t i = 0; i < n_sets; i++)
		free(sets[i].at);
	return is_good;
}

/* What the pieces' filters decide there, by themselves; goes to @end. */
static void split_arm(struct kernel_trie *t, const struct split *s,
	const struct kernel_piece *pieces[], uint32_t n, uint32_t end)
{
	struct kernel_items set = kernel_items_new(t, n);
	uint32_t n_kept = t->e->n_kept, decided = end, n_marked = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct kernel_item item = s->items->at[pieces[i]->item];

		item.node = pieces[i]->node;
		kernel_items_put(&set, &item);
		n_marked += s->usual[pieces[i]->item] != FILTER_NODE_REJECT;
	}
	if (n_marked)
		decided = kernel_asm_label(&t->e->code);
	kernel_trie_decide(t, &set, decided);
	if (n_marked) {
		/* Not before: what is inside looks at marks of its own. */
		emit_place(t->e, decided);
		for (uint32_t i = 0; i < n; i++) {
			const struct kernel_piece *p = pieces[i];

			if (s->usual[p->item] != FILTER_NODE_REJECT)
				kernel_frame_mark(t->e, s->items->at[p->item].slot);
		}
		emit_goto(t->e, end);
	}
	kernel_operand_forget(t->e, n_kept);
	free(set.at);
}

/* Does the arm leave r0 as it is? */
static bool split_arm_keeps(const struct kernel_piece *pieces[], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (pieces[i]->node > FILTER_NODE_ACCEPT)
			return false;
	}
	return true;
}

static bool split_is_point(const struct kernel_piece *p)
{
	return p->lo + 1 == p->hi;
}

/* Few single ranges: one comparison, or two, for each. Return: false if they are others. */
static bool split_row(struct kernel_trie *t, const struct split *s,
	const struct kernel_piece *pieces[], uint32_t n, uint32_t n_all)
{
	uint32_t ranges[SPLIT_ROW_MAX], labels[SPLIT_ROW_MAX], n_ranges = 0;
	const struct kernel_piece **arm;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t known = 0, lo = pieces[i]->lo;

		while (known < n_ranges && ranges[known] != lo)
			known++;
		if (!split_is_point(pieces[i]) || known == SPLIT_ROW_MAX)
			return false;
		/* one number, not a range */
		if (lo + 1 >= n_all || s->pieces.cuts[lo] + 1 != s->pieces.cuts[lo + 1])
			return false;
		ranges[known] = lo;
		n_ranges = MAX(n_ranges, known + 1);
	}
	arm = malloc((n + 1) * sizeof(*arm));
	if (!arm) {
		t->e->code.failed = true;
		return true;
	}
	for (uint32_t r = 0; r < n_ranges; r++) {
		labels[r] = kernel_asm_label(&t->e->code);
		emit_jump(t->e, IF_IMM(BPF_JEQ, BPF_REG_0, s->pieces.cuts[ranges[r]]), labels[r]);
	}
	emit_goto(t->e, s->end);
	for (uint32_t r = 0; r < n_ranges; r++) {
		uint32_t n_arm = 0;

		for (uint32_t i = 0; i < n; i++) {
			if (pieces[i]->lo == ranges[r])
				arm[n_arm++] = pieces[i];
		}
		emit_place(t->e, labels[r]);
		split_arm(t, s, arm, n_arm, s->end);
	}
	free(arm);
	return true;
}

/*
 * r0 is in ranges @lo to @hi (excluded), @pieces are all that are there. Those that fill it are
 * decided, then each half goes on with what reaches into it.
 */
static void split_search(struct kernel_trie *t, const struct split *s, uint32_t lo, uint32_t hi,
	const struct kernel_piece *const pieces[], uint32_t n)
{
	_cleanup_(cleanup_freep) const struct kernel_piece **full = malloc((n + 1) * sizeof(*full));
	_cleanup_(cleanup_freep) const struct kernel_piece **rest = malloc((n + 1) * sizeof(*rest));
	uint32_t n_full = 0, n_rest = 0, n_kept = t->e->n_kept, n_half = 0, mid = (lo + hi) / 2;
	const struct kernel_piece **half;
	uint32_t right;

	if (!full || !rest || emit_failed(t->e)) {
		t->e->code.failed = t->e->code.failed || !full || !rest;
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (pieces[i]->lo <= lo && pieces[i]->hi >= hi)
			full[n_full++] = pieces[i];
		else
			rest[n_rest++] = pieces[i];
	}
	if (n_rest == 0) {
		split_arm(t, s, full, n_full, s->end);
		return;
	}
	if (n_full) {
		uint32_t after = kernel_asm_label(&t->e->code);

		split_arm(t, s, full, n_full, after);
		emit_place(t->e, after);
		if (!split_arm_keeps(full, n_full))
			kernel_operand_masked(t->e, s->question.value, s->question.mask);
	}
	if (split_row(t, s, rest, n_rest, s->pieces.n_cuts)) {
		kernel_operand_forget(t->e, n_kept);
		return;
	}
	right = kernel_asm_label(&t->e->code);
	emit_jump(t->e, IF_IMM(BPF_JGE, BPF_REG_0, s->pieces.cuts[mid]), right);
	half = full; /* its work is done, and it is as large */
	for (uint32_t i = 0; i < n_rest; i++) {
		if (rest[i]->lo < mid)
			half[n_half++] = rest[i];
	}
	split_search(t, s, lo, mid, half, n_half);
	emit_place(t->e, right);
	n_half = 0;
	for (uint32_t i = 0; i < n_rest; i++) {
		if (rest[i]->hi > mid)
			half[n_half++] = rest[i];
	}
	split_search(t, s, mid, hi, half, n_half);
	kernel_operand_forget(t->e, n_kept);
}

/* Values that many pieces ask for first are kept before they part. */
static void split_keep(struct kernel_trie *t, const struct split *s)
{
	uint32_t n = s->pieces.n;
	uint32_t *values = malloc((n + 1) * sizeof(*values));
	uint32_t n_values = 0;

	if (!values) {
		t->e->code.failed = true;
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (s->pieces.at[i].node > FILTER_NODE_ACCEPT) {
			struct kernel_question q = kernel_trie_question(t, s->pieces.at[i].node);

			if (q.value != FILTER_VALUE_NONE)
				values[n_values++] = q.value;
		}
	}
	for (uint32_t i = 0; i < n_values; i++) {
		uint32_t same = 0;

		for (uint32_t j = 0; j < n_values && same < SPLIT_KEEP_MIN; j++)
			same += values[j] == values[i];
		if (same >= SPLIT_KEEP_MIN)
			kernel_operand_keep(t->e, values[i]);
	}
	free(values);
}

/* By pieces; then all meet, and go on with the usual rests. */
static void split_by_pieces(struct kernel_trie *t, struct split *s)
{
	struct kernel_items usual = kernel_items_new(t, s->items->n);
	const struct kernel_piece **pieces = malloc((s->pieces.n + 1) * sizeof(*pieces));
	uint32_t end = s->end, n_kept;

	if (!usual.at || !pieces) {
		t->e->code.failed = true;
		free(usual.at);
		free(pieces);
		return;
	}
	for (uint32_t i = 0; i < s->items->n; i++) {
		struct kernel_item item = s->items->at[i];

		item.node = s->usual[i];
		item.check = item.check || s->n_pieces_of[i];
		kernel_items_put(&usual, &item);
	}
	for (uint32_t i = 0; i < s->pieces.n; i++)
		pieces[i] = &s->pieces.at[i];
	if (usual.n)
		s->end = kernel_asm_label(&t->e->code);
	split_keep(t, s);
	kernel_operand_masked(t->e, s->question.value, s->question.mask);
	n_kept = t->e->n_kept;
	split_search(t, s, 0, s->pieces.n_cuts, pieces, s->pieces.n);
	kernel_operand_forget(t->e, n_kept);
	if (usual.n) {
		emit_place(t->e, s->end);
		kernel_trie_decide(t, &usual, end);
	}
	free(usual.at);
	free(pieces);
}

/* Adds a filter to a split. Return: false if it would grow too much: nothing was added. */
static bool split_add(struct kernel_trie *t, struct split *s, uint32_t i)
{
	const struct kernel_item *item = &s->items->at[i];
	uint32_t n_before = s->pieces.n, size = 0;

	if (!kernel_pieces_add(&s->pieces, t->c, i, item->node, s->question.value, s->question.mask,
		    &s->usual[i]))
		return false;
	s->n_pieces_of[i] = s->pieces.n - n_before;
	for (uint32_t p = n_before; p < s->pieces.n; p++)
		size += 1 + kernel_trie_size(t, s->pieces.at[p].node);
	if (s->usual[i] != FILTER_NODE_REJECT)
		size += 1 + kernel_trie_size(t, s->usual[i]);
	s->size[i] = size;
	if (kernel_trie_afford(t, item->slot, size))
		return true;
	s->pieces.n = n_before;
	s->n_pieces_of[i] = 0;
	return false;
}

/* By a value. Filters that would grow too much are decided first, each by itself. */
void kernel_trie_split_value(struct kernel_trie *t, const struct kernel_items *items,
	struct kernel_question question, uint32_t end)
{
	struct kernel_items kept = kernel_items_new(t, items->n);
	struct split s = { .items = &kept, .question = question, .end = end };

	s.usual = calloc(items->n + 1, sizeof(*s.usual));
	s.n_pieces_of = calloc(items->n + 1, sizeof(*s.n_pieces_of));
	s.size = calloc(items->n + 1, sizeof(*s.size));
	if (!s.size || !s.usual || !s.n_pieces_of || !kept.at) {
		t->e->code.failed = true;
		goto out;
	}
	for (uint32_t i = 0; i < items->n && !emit_failed(t->e); i++) {
		kept.at[kept.n] = items->at[i];
		if (split_add(t, &s, kept.n)) {
			kept.n++;
		} else {
			kernel_trie_alone_here(t, &items->at[i]);
		}
	}
	kernel_pieces_cut(&s.pieces);
	if (s.pieces.failed)
		t->e->code.failed = true;
	if (emit_failed(t->e))
		goto out;
	if (kept.n == 0)
		emit_goto(t->e, end);
	else if (!split_by_ranges(t, &s))
		split_by_pieces(t, &s);
out:
	kernel_pieces_deinit(&s.pieces);
	free(s.usual);
	free(s.n_pieces_of);
	free(s.size);
	free(kept.at);
}
