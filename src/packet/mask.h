/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A set of packets of one batch: bit i stands for packet i. Bits at and above the batch's n are 0
 * in every mask that modules hand to each other.
 */
#ifndef MAPI_PACKET_MASK_H
#define MAPI_PACKET_MASK_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PACKET_BATCH_MAX 256
#define PACKET_MASK_WORDS (PACKET_BATCH_MAX / 64)

struct packet_mask {
	uint64_t word[PACKET_MASK_WORDS];
};

/* The set of the packets 0 .. n-1. */
static inline struct packet_mask packet_mask_first(unsigned int n)
{
	struct packet_mask m;

	for (unsigned int w = 0; w < PACKET_MASK_WORDS; w++) {
		unsigned int below = n > w * 64 ? n - w * 64 : 0;

		m.word[w] = below >= 64 ? ~0ULL : (1ULL << below) - 1;
	}
	return m;
}

static inline struct packet_mask packet_mask_and(struct packet_mask a, struct packet_mask b)
{
	for (unsigned int w = 0; w < PACKET_MASK_WORDS; w++)
		a.word[w] &= b.word[w];
	return a;
}

static inline struct packet_mask packet_mask_or(struct packet_mask a, struct packet_mask b)
{
	for (unsigned int w = 0; w < PACKET_MASK_WORDS; w++)
		a.word[w] |= b.word[w];
	return a;
}

static inline bool packet_mask_test(const struct packet_mask *m, unsigned int i)
{
	return m->word[i / 64] >> (i % 64) & 1;
}

static inline void packet_mask_set(struct packet_mask *m, unsigned int i)
{
	m->word[i / 64] |= 1ULL << (i % 64);
}

static inline void packet_mask_clear(struct packet_mask *m, unsigned int i)
{
	m->word[i / 64] &= ~(1ULL << (i % 64));
}

/* Two words at a time, in whatever the machine has for it. */
typedef uint64_t packet_mask_pair __attribute__((vector_size(16)));

_Static_assert(PACKET_MASK_WORDS % 2 == 0, "whole pairs");
_Static_assert(PACKET_MASK_WORDS / 2 * 8 <= UINT8_MAX, "additions below stay within bytes");

/*
 * The number of packets, with the steps of all words interleaved. This runs once per flow and
 * batch: with a thousand flows it is most of what a batch costs, and __builtin_popcountll() is a
 * function call where the oldest processors that we build for have no instruction.
 */
static inline unsigned int packet_mask_count(const struct packet_mask *m)
{
	const uint64_t ones = 0x5555555555555555u, twos = 0x3333333333333333u;
	const uint64_t fours = 0x0f0f0f0f0f0f0f0fu, bytes = 0x00ff00ff00ff00ffu;
	packet_mask_pair sum = { 0 };

	for (unsigned int w = 0; w < PACKET_MASK_WORDS; w += 2) {
		packet_mask_pair x;

		memcpy(&x, &m->word[w], sizeof(x));
		x -= x >> 1 & ones;
		x = (x & twos) + (x >> 2 & twos);
		sum += (x + (x >> 4)) & fours;
	}
	sum = (sum & bytes) + (sum >> 8 & bytes);
	return (unsigned int)((sum[0] + sum[1]) * 0x0001000100010001u >> 48);
}

static inline bool packet_mask_empty(const struct packet_mask *m)
{
	uint64_t any = 0;

	for (unsigned int w = 0; w < PACKET_MASK_WORDS; w++)
		any |= m->word[w];
	return any == 0;
}

/* The first packet at or after @from; PACKET_BATCH_MAX if there is none. */
static inline unsigned int packet_mask_next(const struct packet_mask *m, unsigned int from)
{
	for (unsigned int w = from / 64; w < PACKET_MASK_WORDS; w++) {
		uint64_t bits = m->word[w];

		if (w == from / 64)
			bits &= ~0ULL << (from % 64);
		if (bits)
			return w * 64 + (unsigned int)__builtin_ctzll(bits);
	}
	return PACKET_BATCH_MAX;
}

/* The body may clear bits of *m at or before i. */
#define packet_mask_for_each(i, m)                                          \
	for (unsigned int i = packet_mask_next(m, 0); i < PACKET_BATCH_MAX; \
		i = packet_mask_next(m, i + 1))

#endif
