/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is left of a filter when something about the packet is known: the graph with the tests that
 * the fact decides taken out. New nodes are interned like all others, so that equal rests are equal
 * numbers.
 */
#include "kernel_private.h"

#include <stdlib.h>
#include <string.h>

void kernel_cofactor_deinit(struct kernel_cofactor *c)
{
	free(c->stamp);
	free(c->result);
	*c = (struct kernel_cofactor){ 0 };
}

/* Room for all nodes of now, and a walk that has seen none. Return: false without memory. */
static bool cofactor_start(struct kernel_cofactor *c)
{
	if (c->room < c->g->nodes.n) {
		uint32_t room = 2 * c->g->nodes.n;
		uint32_t *stamp = realloc(c->stamp, room * sizeof(*stamp));
		uint32_t *result;

		if (stamp)
			c->stamp = stamp;
		result = realloc(c->result, room * sizeof(*result));
		if (result)
			c->result = result;
		if (!stamp || !result) {
			c->g->failed = true;
			return false;
		}
		memset(stamp + c->room, 0, (room - c->room) * sizeof(*stamp));
		c->room = room;
	}
	if (++c->now == 0) {
		memset(c->stamp, 0, c->room * sizeof(*c->stamp));
		c->now = 1;
	}
	return true;
}

enum { COFACTOR_NO, COFACTOR_YES, COFACTOR_OPEN };

/* What the fact says of a test. */
static int cofactor_decide(const struct kernel_fact *f, uint32_t test, const struct filter_test *t)
{
	if (f->value == FILTER_VALUE_NONE)
		return test != f->test ? COFACTOR_OPEN : f->holds ? COFACTOR_YES : COFACTOR_NO;
	if (t->value != f->value || !test_is_of_value(t))
		return COFACTOR_OPEN;
	if (f->lo == f->hi && (t->mask & ~f->mask) == 0) {
		uint32_t k = f->lo & t->mask;

		return t->op == FILTER_TEST_EQ ? k == t->k : k >= t->k;
	}
	if (t->mask != f->mask)
		return COFACTOR_OPEN;
	if (t->op == FILTER_TEST_EQ)
		return t->k < f->lo || t->k > f->hi ? COFACTOR_NO : COFACTOR_OPEN;
	return f->lo >= t->k ? COFACTOR_YES : f->hi < t->k ? COFACTOR_NO : COFACTOR_OPEN;
}

static uint32_t cofactor_walk(struct kernel_cofactor *c, uint32_t n, const struct kernel_fact *f)
{
	struct filter_node node = *filter_graph_node(c->g, n);
	uint32_t result, yes, no;

	if (n <= FILTER_NODE_ACCEPT)
		return n;
	if (c->stamp[n] == c->now)
		return c->result[n];
	switch (cofactor_decide(f, node.test, filter_graph_test(c->g, node.test))) {
	case COFACTOR_YES:
		result = cofactor_walk(c, node.yes, f);
		break;
	case COFACTOR_NO:
		result = cofactor_walk(c, node.no, f);
		break;
	default:
		yes = cofactor_walk(c, node.yes, f);
		no = cofactor_walk(c, node.no, f);
		result = yes == node.yes && no == node.no
			? n
			: filter_graph_branch(c->g, 2 * node.test, yes, no);
		break;
	}
	c->stamp[n] = c->now;
	c->result[n] = result;
	return result;
}

uint32_t kernel_cofactor_node(
	struct kernel_cofactor *c, uint32_t node, const struct kernel_fact *fact)
{
	if (node <= FILTER_NODE_ACCEPT || !cofactor_start(c))
		return node;
	return cofactor_walk(c, node, fact);
}

/* Appends what is reachable and was not seen; at most @room in all. */
static uint32_t cofactor_gather(
	struct kernel_cofactor *c, uint32_t n, uint32_t *ret, uint32_t n_ret, uint32_t room)
{
	const struct filter_node *node = filter_graph_node(c->g, n);

	if (n <= FILTER_NODE_ACCEPT || n_ret == room || c->stamp[n] == c->now)
		return n_ret;
	c->stamp[n] = c->now;
	if (ret)
		ret[n_ret] = n;
	n_ret = cofactor_gather(c, node->yes, ret, n_ret + 1, room);
	return cofactor_gather(c, node->no, ret, n_ret, room);
}

uint32_t kernel_cofactor_size(struct kernel_cofactor *c, uint32_t node, uint32_t max)
{
	return cofactor_start(c) ? cofactor_gather(c, node, NULL, 0, max) : 0;
}

static int cofactor_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x > y ? -1 : x < y;
}

uint32_t kernel_cofactor_list(
	struct kernel_cofactor *c, uint32_t node, uint32_t *ret, uint32_t room)
{
	uint32_t n = cofactor_start(c) ? cofactor_gather(c, node, ret, 0, room) : 0;

	qsort(ret, n, sizeof(*ret), cofactor_compare);
	return n;
}
