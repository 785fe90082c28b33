/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the filter engine share. In the order of the work:
 *
 * compile.c   expression -> classic BPF, by libpcap
 * program.c   classic BPF made by others: check and copy
 * flow.c      packets of a part of all flows -> classic BPF
 * intern.c    tables in which equal things are one thing
 * value.c     what a register can hold: constants, loads, arithmetic, simplified
 * graph.c     questions about values, and the decision graph made of them
 * lift.c      classic BPF -> values, tests, nodes, by symbolic execution
 * guard.c     which packets need what
 * schedule.c  graph -> an order of steps;  slot.c: and where the masks of nodes live
 * run.c       the steps, on a batch;  column.c: loads and arithmetic;  compare*.c: tests
 * interpret.c the programs that are not lifted, packet by packet
 * set.c       the whole: filter_set_new() and its siblings
 */
#ifndef MAPI_FILTER_PRIVATE_H
#define MAPI_FILTER_PRIVATE_H

#include <pcap/pcap.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filter.h"
#include "graph.h"

struct filter_program {
	unsigned int n_insns;
	struct bpf_insn insns[];
};

/* A = decode_flow_part() of the key in the first words of scratch memory (FILTER_FLOW_WORDS). Only
 * flow.c makes this instruction; programs of others that have it are refused. */
#define FILTER_INSN_PART (BPF_MISC | 0x40)

/* Copies @insns; checks nothing. */
int filter_program_copy(
	struct filter_program **ret, const struct bpf_insn *insns, unsigned int n_insns);

/*
 * How many instructions jumps backwards may repeat, per packet. One turn of a "protochain" repeats
 * about 30: enough for the headers of any packet of 9,000 bytes, and for two thousand in larger.
 */
#define FILTER_INTERPRET_REPEATED_MAX 65536u

enum filter_interpret_outcome {
	FILTER_INTERPRET_REJECT,
	FILTER_INTERPRET_ACCEPT,
	FILTER_INTERPRET_ENDLESS, /* more than that was repeated; the packet is rejected */
};

/*
 * The load by which libpcap asks for a packet's direction (SKF_AD_OFF + SKF_AD_PKTTYPE of
 * <linux/filter.h>): it is no place in the packet.
 */
#define FILTER_DIRECTION_AT 0xfffff004u

static inline bool filter_insn_asks_direction(const struct bpf_insn *insn)
{
	return insn->code == (BPF_LD | BPF_H | BPF_ABS) && insn->k == FILTER_DIRECTION_AT;
}

/* FILTER_DIRECTION_* of packet @i. */
static inline uint8_t filter_direction(const struct packet_batch *batch, unsigned int i)
{
	if (!batch->is_live || !(batch->flags[i] & (PACKET_INBOUND | PACKET_OUTBOUND)))
		return FILTER_DIRECTION_UNKNOWN;
	return batch->flags[i] & PACKET_OUTBOUND ? FILTER_DIRECTION_OUT : FILTER_DIRECTION_IN;
}

/* Run a program on a packet: interpret.c. Registers and scratch memory start as 0.
 * @direction: FILTER_DIRECTION_* */
enum filter_interpret_outcome filter_interpret(const struct filter_program *program,
	const uint8_t *data, uint32_t wire_bytes, uint32_t cap_bytes, uint32_t direction);

/* Column kinds by the bytes of an element: also the index into struct filter_compare_ops. */
enum filter_column_width {
	FILTER_COLUMN_8,
	FILTER_COLUMN_16,
	FILTER_COLUMN_32,
	_FILTER_COLUMN_WIDTH_N
};

enum filter_step_kind {
	FILTER_STEP_LOAD, /* gather a column */
	FILTER_STEP_DIRECTION, /* a column of directions */
	FILTER_STEP_ALU, /* compute a column */
	FILTER_STEP_TESTS, /* the masks of all tests of one column with one operator and one bit
			      mask */
	FILTER_STEP_TEST, /* the mask of a test that needs more than that */
};

#define FILTER_STEP_GUARDS_MAX 8
#define FILTER_MASK_NONE UINT32_MAX

/* One of the tests of a column: its constant, and the mask to write. */
struct filter_run_test {
	uint32_t k;
	uint32_t ret;
};

/*
 * struct filter_step - one thing to do for a batch
 * @need:    mask to write: the packets for which the column of a load or calculation is needed
 * @inside:  LOAD: mask of the packets in which the load is inside the captured bytes
 * @a, @b:   columns that are read (a load's base; operands; what is tested), FILTER_COLUMN_NONE if
 * none
 * @need_a, @need_b: masks: where those hold something
 * @ret:     LOAD, DIRECTION, ALU: column to write. TEST: mask to write
 * @first_test, @n_tests: TESTS
 * @guard:   masks; a packet that is not in all of them makes no use of the column
 */
struct filter_step {
	uint8_t kind;
	uint8_t op; /* TEST, TESTS: enum filter_test_op; ALU: BPF_ADD ... */
	uint8_t bytes;
	uint8_t width; /* of the column written or tested */
	uint8_t n_guards;
	uint32_t k;
	uint32_t mask;
	uint32_t need;
	uint32_t inside;
	uint32_t a, b;
	uint32_t need_a, need_b;
	uint32_t ret;
	uint32_t first_test, n_tests;
	uint32_t guard[FILTER_STEP_GUARDS_MAX];
};

/* Columns 0 and 1 are arrays of the batch itself. */
enum { FILTER_COLUMN_LEN, FILTER_COLUMN_CAP, FILTER_COLUMN_FIRST };
#define FILTER_COLUMN_NONE UINT32_MAX

/* Masks with a fixed place. */
enum { FILTER_MASK_REJECT, FILTER_MASK_ALL, FILTER_MASK_FIRST };

/* A mask inside the scratch memory. */
typedef uint64_t filter_mask_vec __attribute__((vector_size(32), may_alias));

/* ret = valid & (test ? yes : no); masks, as offsets in bytes from the first one. */
struct filter_run_node {
	uint32_t valid, test, yes, no, ret;
};

/*
 * struct filter_schedule - what a worker does for each batch, in this order: all steps, all nodes
 * @column: offset in the scratch memory, from FILTER_COLUMN_FIRST
 */
struct filter_schedule {
	struct filter_step *steps;
	struct filter_run_test *tests;
	uint32_t *column;
	struct filter_run_node *nodes;
	unsigned int n_steps, n_columns, n_nodes;
	unsigned int n_loads, n_tests, n_tests_of_two;
	uint32_t n_masks;
	size_t scratch_bytes;
};

/**
 * filter_schedule_init() - lay out the work that decides @roots
 * @roots: nodes of @g; on return, the masks that hold the decisions
 *
 * Return: 0, -ENOMEM.
 */
int filter_schedule_init(
	struct filter_schedule *s, struct filter_graph *g, uint32_t roots[], unsigned int n_roots);
void filter_schedule_deinit(struct filter_schedule *s);

/*
 * struct filter_compare_ops - the inner loops, one table per instruction set
 * @eq, @ge: for each of the tests, bit i of its mask = (column[i] & mask) == k, resp. >= k, for
 *           @n_words times 64 packets
 * @nodes:   all nodes, see struct filter_schedule
 */
struct filter_compare_ops {
	const char *name;
	void (*eq[_FILTER_COLUMN_WIDTH_N])(const void *column, uint32_t mask,
		const struct filter_run_test *tests, unsigned int n_tests, unsigned int n_words,
		struct packet_mask *masks);
	void (*ge[_FILTER_COLUMN_WIDTH_N])(const void *column, uint32_t mask,
		const struct filter_run_test *tests, unsigned int n_tests, unsigned int n_words,
		struct packet_mask *masks);
	void (*nodes)(
		const struct filter_run_node *nodes, unsigned int n_nodes, filter_mask_vec *masks);
};

extern const struct filter_compare_ops filter_compare_portable, filter_compare_avx2,
	filter_compare_avx512;

/* The tables that this processor can run, best first; ends with NULL. */
const struct filter_compare_ops *const *filter_compare_list(void);

/* column.c. @which: the packets to read, all inside the captured bytes; NULL for all of the batch
 */
void filter_column_load(const struct filter_step *step, const struct packet_batch *batch,
	const struct packet_mask *which, const uint32_t *base, void *ret);
void filter_column_direction(
	const struct packet_batch *batch, enum filter_column_width width, void *ret);
void filter_column_alu(const struct filter_step *step, unsigned int n, const uint32_t *a,
	const uint32_t *b, uint32_t *ret);

struct filter_set {
	const struct filter_compare_ops *compare;
	struct filter_schedule schedule;
	struct filter_program **interpreted;
	uint32_t *outcome; /* of each program: a mask, or n_masks + index into interpreted */
	struct filter_set_stats stats;
};

/* Everything but the interpreted programs. */
void filter_schedule_run(const struct filter_schedule *s, const struct filter_compare_ops *compare,
	void *scratch, const struct packet_batch *batch);

#endif
