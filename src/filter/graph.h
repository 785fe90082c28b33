/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The intermediate form of filters: values, tests and decision nodes of many programs, hash-consed
 * in one graph. Two back ends make something that runs of it: schedule.c here, for batches in user
 * space, and src/kernel, for packets in the kernel.
 *
 * A node asks a test and goes on with yes or no. A load outside the captured bytes is preceded, on
 * every path, by nodes that reject such packets; so a back end may ask a test only where it stands
 * at the top of what is left of a filter, and may compute values anywhere.
 */
#ifndef MAPI_FILTER_GRAPH_H
#define MAPI_FILTER_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filter.h"

/*
 * A table of records of one size, each different from the others, numbered from 0 as they come.
 * Records are compared as bytes: they must have no padding.
 */
struct intern {
	uint8_t *items;
	uint32_t *slots; /* number + 1 of a record, 0 = empty; open addressing */
	uint32_t item_bytes;
	uint32_t n;
	uint32_t n_slots; /* a power of two; items has room for half as many */
};

void intern_init(struct intern *t, uint32_t item_bytes);
void intern_deinit(struct intern *t);

/* Writes the number of the record that equals @item, new or old, and whether it is new (NULL is
 * allowed). Return: 0, -ENOMEM. */
int intern_get(struct intern *t, const void *item, uint32_t *ret, bool *ret_new);

static inline void *intern_at(const struct intern *t, uint32_t i)
{
	return t->items + (size_t)i * t->item_bytes;
}

enum value_kind {
	VALUE_CONST, /* k */
	VALUE_LEN, /* length on the wire */
	VALUE_CAP, /* captured length */
	VALUE_LOAD, /* @bytes bytes at k + a, big endian */
	VALUE_ALU, /* a @op b; a shift by 32 or more is 0, a division by 0 anything */
};

#define VALUE_NONE UINT32_MAX /* the base of an absolute load */

/*
 * struct value - what a register holds, as a function of the packet
 * @a, @b: operands: numbers of values, always lower than the value's own. VALUE_NONE if unused
 * @max:   no packet makes the value larger
 *
 * A load outside the captured bytes gives anything: whoever uses it asks graph_inside() first.
 */
struct value {
	uint32_t kind;
	uint32_t op; /* ALU: BPF_ADD ... */
	uint32_t bytes; /* LOAD: 1, 2, 4 */
	uint32_t k;
	uint32_t a;
	uint32_t b;
	uint32_t max;
};

enum test_op {
	TEST_NEVER, /* test 0: false */
	TEST_EQ, /* (value & mask) == k */
	TEST_GE, /* (value & mask) >= k */
	TEST_EQ_VALUE, /* value == other */
	TEST_GE_VALUE, /* value >= other */
	TEST_INSIDE, /* value + k <= captured length, without wrapping around */
};

struct test {
	uint32_t op;
	uint32_t value;
	uint32_t other; /* VALUE_NONE where not used */
	uint32_t mask;
	uint32_t k;
};

/* A test or its contrary: twice the number of the test, plus 1 for the contrary. */
typedef uint32_t literal;
#define LITERAL_FALSE 0u
#define LITERAL_TRUE 1u

/* Node 0 rejects, node 1 accepts; all others ask. Children have lower numbers than parents. */
#define NODE_REJECT 0u
#define NODE_ACCEPT 1u

struct node {
	uint32_t test;
	uint32_t yes;
	uint32_t no;
};

/*
 * struct graph - values, tests and nodes of all programs of a set
 * @failed: memory ran out somewhere; what was returned since then is valid but senseless. The
 *          many small constructors need not be checked one by one: ask once at the end
 */
struct graph {
	struct intern values;
	struct intern tests;
	struct intern nodes;
	bool failed;
};

int graph_init(struct graph *g);
void graph_deinit(struct graph *g);

static inline const struct value *graph_value(const struct graph *g, uint32_t v)
{
	return intern_at(&g->values, v);
}

static inline const struct test *graph_test(const struct graph *g, uint32_t t)
{
	return intern_at(&g->tests, t);
}

static inline const struct node *graph_node(const struct graph *g, uint32_t n)
{
	return intern_at(&g->nodes, n);
}

/* value.c: each returns the number of the value, simplified. */
uint32_t value_const(struct graph *g, uint32_t k);
uint32_t value_len(struct graph *g);
uint32_t value_cap(struct graph *g);
uint32_t value_load(struct graph *g, uint32_t base, uint32_t k, uint32_t bytes);
uint32_t value_alu(struct graph *g, uint32_t op, uint32_t a, uint32_t b);

/* All bits that a number up to @max can have. */
static inline uint32_t value_bits(uint32_t max)
{
	return max ? UINT32_MAX >> __builtin_clz(max) : 0;
}

/* graph.c: questions, in the simplest form. */
literal graph_eq(struct graph *g, uint32_t v, uint32_t w);
literal graph_ge(struct graph *g, uint32_t v, uint32_t w);
literal graph_set(struct graph *g, uint32_t v, uint32_t w);
/* Are the @bytes bytes at base + @k captured? */
literal graph_inside(struct graph *g, uint32_t base, uint32_t k, uint32_t bytes);
/* The node that goes on with @yes where @l holds and with @no elsewhere. */
uint32_t graph_branch(struct graph *g, literal l, uint32_t yes, uint32_t no);

/* lift.c: positive outcome of graph_lift(). */
enum { LIFT_E_REFUSED = 1 };

/**
 * graph_lift() - add a program to a graph
 * @g:        the graph
 * @program:  as made by filter_compile() or filter_program_new()
 * @ret_root: node that decides as the program does
 *
 * Return: 0, LIFT_E_REFUSED if the program jumps backwards or would grow too large, -ENOMEM.
 */
int graph_lift(struct graph *g, const struct filter_program *program, uint32_t *ret_root);

#endif
