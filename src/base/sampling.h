/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which packets of a sequence are chosen, by their number; and who gives out the numbers.
 *
 * A packet takes a number where it is decided: in user space or, if it is not delivered, in the
 * kernel (docs/architecture.md, "The kernel tier"). Both take them from the same memory, so there
 * is one sequence whoever sees a packet. A packet that is delivered because it was chosen has its
 * number from the kernel; as does one that was delivered because another sample wanted it. The
 * kernel says how many of them there are: as many of those that come next take no other.
 */
#ifndef MAPI_BASE_SAMPLING_H
#define MAPI_BASE_SAMPLING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sampling_mode {
	SAMPLING_NONE,
	SAMPLING_PERIODIC, /* the last of every @value */
	SAMPLING_BY_CHANCE, /* @value percent, by a hash of seed and number */
};

struct sampling {
	enum sampling_mode mode;
	uint32_t value; /* PERIODIC: at least 1 */
	uint64_t seed;
};

/* The finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
 * 2014), over elements of its sequence. */
#define SAMPLING_STEP 0x9e3779b97f4a7c15u
#define SAMPLING_FIRST 0xbf58476d1ce4e5b9u
#define SAMPLING_SECOND 0x94d049bb133111ebu

/* @no: from 0 */
static inline bool sampling_chooses(const struct sampling *s, uint64_t no)
{
	uint64_t h = s->seed + (no + 1) * SAMPLING_STEP;

	if (s->mode == SAMPLING_PERIODIC)
		return (no + 1) % s->value == 0;
	h = (h ^ h >> 30) * SAMPLING_FIRST;
	h = (h ^ h >> 27) * SAMPLING_SECOND;
	h ^= h >> 31;
	return (h >> 32) * 100 >> 32 < s->value;
}

/**
 * struct sampling_turns - numbers that kernel and user space give out together
 * @next:   by either of them, atomically
 * @passes: packets that the kernel has chosen and delivered; by the kernel
 * @skips:  that it has not chosen, and delivered all the same
 */
struct sampling_turns {
	uint64_t next;
	uint64_t passes;
	uint64_t skips;
	uint64_t reserved;
};
_Static_assert(sizeof(struct sampling_turns) == 32, "written by programs of the kernel");

/**
 * struct sampling_state - of one sample in user space; begins as zeroes
 * @no:     next number, while @shared is NULL
 * @shared: where they come from; borrowed
 * @passes, @skips: of those that the kernel has decided, what has come
 */
struct sampling_state {
	uint64_t no;
	struct sampling_turns *shared;
	uint64_t passes;
	uint64_t skips;
};

/* From now on numbers are given out in @turns, which nobody uses yet. */
static inline void sampling_share(struct sampling_state *state, struct sampling_turns *turns)
{
	*turns = (struct sampling_turns){ .next = state->no };
	*state = (struct sampling_state){ .shared = turns };
}

/* Is the next packet chosen? One thread at a time. */
static inline bool sampling_next(const struct sampling *s, struct sampling_state *state)
{
	struct sampling_turns *turns = state->shared;

	if (!turns)
		return sampling_chooses(s, state->no++);
	/* The kernel counts a packet before it hands it over, and nothing else depends on that. */
	if (__atomic_load_n(&turns->passes, __ATOMIC_RELAXED) != state->passes) {
		state->passes++;
		return true;
	}
	if (__atomic_load_n(&turns->skips, __ATOMIC_RELAXED) != state->skips) {
		state->skips++;
		return false;
	}
	return sampling_chooses(s, __atomic_fetch_add(&turns->next, 1, __ATOMIC_RELAXED));
}

#endif
