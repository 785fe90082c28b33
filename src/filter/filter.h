/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packet filters (docs/architecture.md, "The filter engine"): libpcap compiles an expression to
 * classic BPF; we lift the program by symbolic execution into loads, tests and a decision graph,
 * hash-consed across all filters of a set, and run the whole set on a batch, column by column.
 * What cannot be lifted (backward jumps) is interpreted, packet by packet. Semantics P2.
 */
#ifndef MAPI_FILTER_FILTER_H
#define MAPI_FILTER_FILTER_H

#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "packet/packet.h"

struct bpf_insn; /* <pcap/bpf.h> */

/* Limits on what a client may ask for; libpcap's optimiser recurses once per block. */
#define FILTER_EXPRESSION_MAX 32768u /* characters */
#define FILTER_INSNS_MAX 65536u

/* struct filter_program - one expression compiled for one link type; immutable. */
struct filter_program;

/**
 * filter_compile() - compile a pcap-filter(7) expression as tcpdump -r does
 * @ret:        the program; the caller owns it
 * @expression: the filter text
 * @linktype:   LINKTYPE_ of the capture file formats
 * @err:        1025 with libpcap's own words, and where they help, what to do
 *
 * An empty expression matches all packets. Names of hosts, networks, ports and protocols are looked
 * up by the system's resolver, which may block for seconds.
 *
 * Thread safety: any thread (libpcap's compiler is serialised inside).
 *
 * Return: 0, -EINVAL with @err filled, -ENOMEM.
 */
int filter_compile(
	struct filter_program **ret, const char *expression, uint32_t linktype, struct error *err);

/**
 * filter_program_new() - take over classic BPF made elsewhere
 * @ret:     the program; the caller owns it
 * @insns:   copied; refused unless bpf_validate() accepts it and all instructions are known
 * @n_insns: at least 1
 *
 * What it does is defined also where BPF leaves it open: scratch memory starts as 0, shifts by more
 * than 31 clear, and a packet on which a program takes too long (jumps backwards) is rejected.
 *
 * Return: 0, -EINVAL, -ENOMEM.
 */
int filter_program_new(
	struct filter_program **ret, const struct bpf_insn *insns, unsigned int n_insns);

/**
 * filter_program_flow() - packets of some flows of TCP and UDP, whole flows at a time
 * @ret:     the program; the caller owns it
 * @n_parts: of DECODE_FLOW_PARTS: it accepts the packets of flows in the first so many
 *           (decode_flow_part() of the outer headers). 0: instead, those packets of which such a
 *           program cannot tell, and never accepts any: with more than two VLAN tags, MPLS, PPPoE,
 *           LLC, authentication headers, more than two extension headers of IPv6, jumbograms
 *
 * For Ethernet. It sees what was captured: without its ports, no packet is of a flow. The kernel
 * tier translates it (kernel_code_new()), filter sets interpret it.
 *
 * Return: 0, -ENOMEM.
 */
int filter_program_flow(struct filter_program **ret, unsigned int n_parts);

/**
 * filter_program_join() - one program that accepts what all programs accept
 * @ret:      the program; the caller owns it. Keeps no reference to @programs
 * @programs: @n programs of one link type
 * @n:        0: all packets are accepted, whole
 *
 * What it returns is what the last one returns, where they all accept. Thread safety: any thread.
 *
 * Return: 0, -ENOMEM, -E2BIG (more than FILTER_INSNS_MAX), -ENOTSUP: one returns what it has
 * computed (libpcap's never do).
 */
int filter_program_join(
	struct filter_program **ret, const struct filter_program *const programs[], unsigned int n);

/**
 * filter_program_insns() - the classic BPF of a program
 * @ret: the instructions; they live as long as the program
 *
 * Return: their number.
 */
unsigned int filter_program_insns(
	const struct filter_program *program, const struct bpf_insn **ret);

/* Whether it asks packets for their direction. Where that is not known (struct packet_batch) they
 * do not match. */
bool filter_program_asks_direction(const struct filter_program *program);

struct filter_program *filter_program_free(struct filter_program *program);
DEFINE_CLEANUP(struct filter_program *, filter_program_free);

/* struct filter_set - many programs for one link type, merged; immutable after build. */
struct filter_set;

/**
 * filter_set_new() - merge programs into one set
 * @ret:        the set; the caller owns it. Keeps no reference to @programs
 * @programs:   @n_programs programs of one link type, in an order the caller knows
 * @n_programs: 0 is allowed
 *
 * Equal programs are evaluated once.
 *
 * Return: 0, -ENOMEM.
 */
int filter_set_new(struct filter_set **ret, const struct filter_program *const programs[],
	unsigned int n_programs);

struct filter_set *filter_set_free(struct filter_set *set);
DEFINE_CLEANUP(struct filter_set *, filter_set_free);

/**
 * filter_set_scratch_bytes() - working memory that a worker brings to filter_set_run()
 *
 * Return: a size; the memory must be aligned to 64 bytes and belongs to one worker at a time. Its
 * content need not be kept between calls.
 */
size_t filter_set_scratch_bytes(const struct filter_set *set);

/**
 * filter_set_run() - decide all filters on all packets of a batch
 * @set:     the set
 * @scratch: working memory of this worker
 * @batch:   packets of the set's link type
 * @ret:     one mask for each program of filter_set_new(), in its order
 *
 * Never reads beyond the captured bytes. A load out of bounds rejects, as in BPF.
 * Thread safety: any number of workers at once, each with its own @scratch. No allocation, lock,
 * or system call.
 */
void filter_set_run(const struct filter_set *set, void *scratch, const struct packet_batch *batch,
	struct packet_mask ret[]);

/**
 * struct filter_set_stats - how much the programs of a set share (for mapi explain and tests)
 */
struct filter_set_stats {
	unsigned int n_programs; /* given */
	unsigned int n_distinct; /* different programs */
	unsigned int n_interpreted; /* run by the interpreter */
	unsigned int n_loads;
	unsigned int n_tests;
	unsigned int n_nodes;
};

struct filter_set_stats filter_set_stats(const struct filter_set *set);

/**
 * filter_dlt() - libpcap's DLT_ value of a file's LINKTYPE_
 * @linktype: LINKTYPE_ value
 *
 * Return: the DLT_ value on this system; equal to @linktype if libpcap knows no mapping.
 */
int filter_dlt(uint32_t linktype);

#endif
