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
struct filter_intern {
	uint8_t *items;
	uint32_t *slots; /* number + 1 of a record, 0 = empty; open addressing */
	uint32_t item_bytes;
	uint64_t seed; /* of the hash */
	uint32_t n;
	uint32_t n_slots; /* a power of two; items has room for half as many */
};

void filter_intern_init(struct filter_intern *t, uint32_t item_bytes);
void filter_intern_deinit(struct filter_intern *t);

/* Writes the number of the record that equals @item, new or old, and whether it is new (NULL is
 * allowed). Return: 0, -ENOMEM. */
int filter_intern_get(struct filter_intern *t, const void *item, uint32_t *ret, bool *ret_new);

static inline void *filter_intern_at(const struct filter_intern *t, uint32_t i)
{
	return t->items + (size_t)i * t->item_bytes;
}

enum filter_value_kind {
	FILTER_VALUE_CONST, /* k */
	FILTER_VALUE_LEN, /* length on the wire */
	FILTER_VALUE_CAP, /* captured length */
	FILTER_VALUE_LOAD, /* @bytes bytes at k + a, big endian */
	FILTER_VALUE_DIRECTION, /* FILTER_DIRECTION_* */
	FILTER_VALUE_ALU, /* a @op b; a shift by 32 or more is 0, a division by 0 anything */
	FILTER_VALUE_WORDS, /* a list of words of a flow key: @b, and before it those of @a, if any
			     */
	FILTER_VALUE_PART, /* decode_flow_part() of the key whose words are @a */
};

/* As the kernel numbers them for packet sockets, so that what libpcap compares holds. In the kernel
 * it is always known. */
enum { FILTER_DIRECTION_IN = 0, FILTER_DIRECTION_OUT = 4, FILTER_DIRECTION_UNKNOWN = 7 };

#define FILTER_VALUE_NONE UINT32_MAX /* the base of an absolute load */

/* A flow key as numbers: source and destination address, each of four words; ports, the source's in
 * the upper half; version of IP and, times 256, protocol. */
#define FILTER_FLOW_WORDS 10u
enum { FILTER_FLOW_SRC = 0, FILTER_FLOW_DST = 4, FILTER_FLOW_PORTS = 8, FILTER_FLOW_KIND = 9 };

/*
 * struct filter_value - what a register holds, as a function of the packet
 * @a, @b: operands: numbers of values, always lower than the value's own. FILTER_VALUE_NONE if
 * unused
 * @max:   no packet makes the value larger
 *
 * A load outside the captured bytes gives anything: whoever uses it asks filter_graph_inside()
 * first.
 */
struct filter_value {
	uint32_t kind;
	uint32_t op; /* ALU: BPF_ADD ... */
	uint32_t bytes; /* LOAD: 1, 2, 4 */
	uint32_t k;
	uint32_t a;
	uint32_t b;
	uint32_t max;
};

enum filter_test_op {
	FILTER_TEST_NEVER, /* test 0: false */
	FILTER_TEST_EQ, /* (value & mask) == k */
	FILTER_TEST_GE, /* (value & mask) >= k */
	FILTER_TEST_EQ_VALUE, /* value == other */
	FILTER_TEST_GE_VALUE, /* value >= other */
	FILTER_TEST_INSIDE, /* value + k <= captured length, without wrapping around */
};

struct filter_test {
	uint32_t op;
	uint32_t value;
	uint32_t other; /* FILTER_VALUE_NONE where not used */
	uint32_t mask;
	uint32_t k;
};

/* A test or its contrary: twice the number of the test, plus 1 for the contrary. */
typedef uint32_t filter_literal;
#define FILTER_LITERAL_FALSE 0u
#define FILTER_LITERAL_TRUE 1u

/* Node 0 rejects, node 1 accepts; all others ask. Children have lower numbers than parents. */
#define FILTER_NODE_REJECT 0u
#define FILTER_NODE_ACCEPT 1u

struct filter_node {
	uint32_t test;
	uint32_t yes;
	uint32_t no;
};

/*
 * struct filter_graph - values, tests and nodes of all programs of a set
 * @has_parts: the back end knows FILTER_VALUE_PART; else programs that ask for it are not lifted
 * @failed: memory ran out somewhere; what was returned since then is valid but senseless. The
 *          many small constructors need not be checked one by one: ask once at the end
 */
struct filter_graph {
	struct filter_intern values;
	struct filter_intern tests;
	struct filter_intern nodes;
	bool has_parts;
	bool failed;
};

int filter_graph_init(struct filter_graph *g);
void filter_graph_deinit(struct filter_graph *g);

static inline const struct filter_value *filter_graph_value(
	const struct filter_graph *g, uint32_t v)
{
	return filter_intern_at(&g->values, v);
}

static inline const struct filter_test *filter_graph_test(const struct filter_graph *g, uint32_t t)
{
	return filter_intern_at(&g->tests, t);
}

static inline const struct filter_node *filter_graph_node(const struct filter_graph *g, uint32_t n)
{
	return filter_intern_at(&g->nodes, n);
}

/* value.c: each returns the number of the value, simplified. */
uint32_t filter_value_const(struct filter_graph *g, uint32_t k);
uint32_t filter_value_len(struct filter_graph *g);
uint32_t filter_value_cap(struct filter_graph *g);
uint32_t filter_value_direction(struct filter_graph *g);
uint32_t filter_value_load(struct filter_graph *g, uint32_t base, uint32_t k, uint32_t bytes);
uint32_t filter_value_alu(struct filter_graph *g, uint32_t op, uint32_t a, uint32_t b);
uint32_t filter_value_part(struct filter_graph *g, const uint32_t words[FILTER_FLOW_WORDS]);

/* All bits that a number up to @max can have. */
static inline uint32_t filter_value_bits(uint32_t max)
{
	return max ? UINT32_MAX >> __builtin_clz(max) : 0;
}

/* graph.c: questions, in the simplest form. */
filter_literal filter_graph_eq(struct filter_graph *g, uint32_t v, uint32_t w);
filter_literal filter_graph_ge(struct filter_graph *g, uint32_t v, uint32_t w);
filter_literal filter_graph_set(struct filter_graph *g, uint32_t v, uint32_t w);
/* Are the @bytes bytes at base + @k captured? */
filter_literal filter_graph_inside(
	struct filter_graph *g, uint32_t base, uint32_t k, uint32_t bytes);
/* The node that goes on with @yes where @l holds and with @no elsewhere. */
uint32_t filter_graph_branch(struct filter_graph *g, filter_literal l, uint32_t yes, uint32_t no);

/* lift.c: positive outcome of filter_lift(). */
enum { FILTER_LIFT_E_REFUSED = 1 };

/**
 * filter_lift() - add a program to a graph
 * @g:        the graph
 * @program:  as made by filter_compile() or filter_program_new()
 * @ret_root: node that decides as the program does
 *
 * Return: 0, FILTER_LIFT_E_REFUSED if the program jumps backwards, would grow too large or asks for
 * what the back end does not know, -ENOMEM.
 */
int filter_lift(struct filter_graph *g, const struct filter_program *program, uint32_t *ret_root);

#endif
