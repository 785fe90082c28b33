/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How what is left of a filter depends on one value: a usual rest, and pieces - ranges of the value
 * where another rest is left. A port that a filter asks for is a piece of one number.
 */
#include "kernel_private.h"

#include <stdlib.h>

void kernel_pieces_deinit(struct kernel_pieces *p)
{
	free(p->at);
	free(p->cuts);
	*p = (struct kernel_pieces){ 0 };
}

static bool pieces_room(void *array, uint32_t *room, uint32_t n, size_t item_bytes)
{
	void *grown;

	if (n <= *room)
		return true;
	grown = realloc(*(void **)array, 2 * (size_t)n * item_bytes);
	if (!grown)
		return false;
	*(void **)array = grown;
	*room = 2 * n;
	return true;
}

static void pieces_put(struct kernel_pieces *p, const struct kernel_piece *piece)
{
	if (!pieces_room(&p->at, &p->room, p->n + 1, sizeof(*p->at))) {
		p->failed = true;
		return;
	}
	p->at[p->n++] = *piece;
}

static int pieces_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint32_t pieces_unique(uint32_t cuts[], uint32_t n)
{
	uint32_t n_unique = 0;

	qsort(cuts, n, sizeof(*cuts), pieces_compare);
	for (uint32_t i = 0; i < n; i++) {
		if (i == 0 || cuts[i] != cuts[n_unique - 1])
			cuts[n_unique++] = cuts[i];
	}
	return n_unique;
}

/* The cuts of a node's own tests. Return: their number, 0 if there are too many. */
static uint32_t pieces_own_cuts(struct kernel_cofactor *c, uint32_t node, uint32_t value,
	uint32_t mask, uint32_t ret[2 * PIECES_CONSTANTS_MAX + 1], bool *ret_has_ge)
{
	uint32_t room = 8 * PIECES_CONSTANTS_MAX, n = 0, max;
	_cleanup_(cleanup_freep) uint32_t *nodes = malloc(room * sizeof(*nodes));
	uint32_t n_nodes;

	if (!nodes) {
		c->g->failed = true;
		return 0;
	}
	max = MIN(mask, filter_graph_value(c->g, value)->max);
	n_nodes = kernel_cofactor_list(c, node, nodes, room);
	if (n_nodes == room)
		return 0;
	ret[n++] = 0;
	*ret_has_ge = false;
	for (uint32_t i = 0; i < n_nodes; i++) {
		const struct filter_test *t =
			filter_graph_test(c->g, filter_graph_node(c->g, nodes[i])->test);

		if (!test_is_of_value(t) || t->value != value || t->mask != mask)
			continue;
		if (n + 2 > 2 * PIECES_CONSTANTS_MAX)
			return 0;
		ret[n++] = t->k;
		if (t->op == FILTER_TEST_GE)
			*ret_has_ge = true;
		else if (t->k < max)
			ret[n++] = t->k + 1;
	}
	return pieces_unique(ret, n);
}

bool kernel_pieces_add(struct kernel_pieces *p, struct kernel_cofactor *c, uint32_t item,
	uint32_t node, uint32_t value, uint32_t mask, uint32_t *ret_usual)
{
	uint32_t cuts[2 * PIECES_CONSTANTS_MAX + 1], rests[2 * PIECES_CONSTANTS_MAX + 1];
	uint32_t usual = FILTER_NODE_REJECT, widest = 0, max;
	bool has_ge;
	uint32_t n = pieces_own_cuts(c, node, value, mask, cuts, &has_ge);

	if (n == 0)
		return false;
	max = MIN(mask, filter_graph_value(c->g, value)->max);
	for (uint32_t i = 0; i < n; i++) {
		struct kernel_fact fact = { .value = value,
			.mask = mask,
			.lo = cuts[i],
			.hi = i + 1 < n ? cuts[i + 1] - 1 : max };

		rests[i] = kernel_cofactor_node(c, node, &fact);
		/* Where only single numbers are asked for, all others are alike. */
		if (!has_ge && fact.hi - fact.lo >= widest) {
			widest = fact.hi - fact.lo;
			usual = rests[i];
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t first = i;

		while (i + 1 < n && rests[i + 1] == rests[first])
			i++;
		if (rests[first] != usual)
			pieces_put(p,
				&(struct kernel_piece){ .item = item,
					.lo = cuts[first],
					.hi = i + 1 < n ? cuts[i + 1] - 1 : UINT32_MAX,
					.node = rests[first] });
	}
	*ret_usual = usual;
	return true;
}

static uint32_t pieces_number(const struct kernel_pieces *p, uint32_t cut)
{
	const uint32_t *found = bsearch(&cut, p->cuts, p->n_cuts, sizeof(*found), pieces_compare);

	return (uint32_t)(found - p->cuts);
}

void kernel_pieces_cut(struct kernel_pieces *p)
{
	if (!pieces_room(&p->cuts, &p->cuts_room, 2 * p->n + 1, sizeof(*p->cuts))) {
		p->failed = true;
		return;
	}
	p->n_cuts = 0;
	p->cuts[p->n_cuts++] = 0;
	for (uint32_t i = 0; i < p->n; i++) {
		p->cuts[p->n_cuts++] = p->at[i].lo;
		if (p->at[i].hi != UINT32_MAX)
			p->cuts[p->n_cuts++] = p->at[i].hi + 1;
	}
	p->n_cuts = pieces_unique(p->cuts, p->n_cuts);
	for (uint32_t i = 0; i < p->n; i++) {
		struct kernel_piece *piece = &p->at[i];

		piece->lo = pieces_number(p, piece->lo);
		piece->hi = piece->hi == UINT32_MAX ? p->n_cuts : pieces_number(p, piece->hi + 1);
	}
}
