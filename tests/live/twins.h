/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The same flows with two daemons at the same time, on the same interface:
 *
 *   twins_case.c  draws flows, and when they come and go
 *   twins_side.c  a program of one daemon: does with its flows as it is told
 *   twins.c       tells two such programs the same, sends packets and compares what they say
 *
 * Only the public interface is used here.
 */
#ifndef TESTS_LIVE_TWINS_H
#define TESTS_LIVE_TWINS_H

#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define TWINS_FLOWS_MAX 6u
#define TWINS_FUNCTIONS_MAX 6u
#define TWINS_ROUNDS_MAX 4u
#define TWINS_TEXT_BYTES 512

enum twins_kind {
	TWINS_BPF_FILTER,
	TWINS_PKT_COUNTER,
	TWINS_BYTE_COUNTER,
	TWINS_SAMPLE,
	TWINS_CHANCE, /* SAMPLE, PROBABILISTIC */
	TWINS_HASHSAMP,
	TWINS_STARTSTOP,
	TWINS_PERIODS, /* STATS with a period; only its sum is compared, and only at the end */
	/* These need packets, or the value at each of them. */
	TWINS_STATS,
	TWINS_BINOP,
	TWINS_DIST,
	TWINS_PKTINFO,
	TWINS_HASH,
	TWINS_STR_SEARCH,
	TWINS_CUT,
	_TWINS_KIND_N
};

struct twins_ref {
	unsigned int flow, function;
};

/* @text: of BPF_FILTER, STR_SEARCH, STARTSTOP; @number: of what takes one; @few: it is behind a
 * sample, directly or by a reference. Once flows have come or gone while packets were on their way
 * (twins_has_churned()), how many packets are chosen is known, which ones is not (semantics T3);
 * @vague: so its packets are not known then; @vague_value: its value is not */
struct twins_function {
	enum twins_kind kind;
	char text[TWINS_TEXT_BYTES];
	char stop[16];
	int number;
	struct twins_ref refs[2];
	bool referred, few, vague, vague_value;
};

/**
 * struct twins_flow - a flow, and when it comes and goes
 * @first: the round before which it is connected
 * @last:  the round after which it is closed
 */
struct twins_flow {
	unsigned int n_functions;
	struct twins_function functions[TWINS_FUNCTIONS_MAX];
	unsigned int first, last;
};

/* @churn: in each round, so many other flows come and go while packets are sent */
struct twins_case {
	unsigned int n_flows, n_rounds;
	struct twins_flow flows[TWINS_FLOWS_MAX];
	unsigned int churn[TWINS_ROUNDS_MAX];
};

/* All follows from the seed. @ordered: packets come in one order, so that functions may depend on
 * it. */
void twins_case_draw(struct twins_case *ret, uint64_t seed, bool ordered);
/* A filter for Ethernet that libpcap accepts. */
void twins_filter_draw(uint64_t *state, char ret[TWINS_TEXT_BYTES]);
/* Each call another number, below @n. */
unsigned int twins_below(uint64_t *state, unsigned int n);
void twins_case_print(const struct twins_case *c);

/* Whether other flows have come and gone until the end of round @round. */
bool twins_has_churned(const struct twins_case *c, unsigned int round);

/* Whether the kernel could do it, for all that stands in its own flow. */
bool twins_is_able(const struct twins_flow *flow, unsigned int function);
/* Whether because of it all packets are delivered, whatever others could do. */
bool twins_wants_all(const struct twins_flow *flow);

/**
 * twins_side() - a program with flows on @device
 * @ordered: as for twins_case_draw()
 *
 * Takes commands, one per line, from @in, until it ends:
 *
 *   case SEED     the flows of that case are made
 *   connect I     a flow is connected
 *   churn SEED N  N other flows come and go
 *   reach N       until so many packets have come since the program began, or been lost
 *   read ROUND    what all connected flows say at the end of that round
 *   tiers         where their functions run
 *   close I
 *   end           of the case: flows that are left are closed
 *
 * Answers each with lines of text on @out, and a line ".". Does not return.
 */
_Noreturn void twins_side(const char *device, bool ordered, FILE *in, FILE *out);

#endif
