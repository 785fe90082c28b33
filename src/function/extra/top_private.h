/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table that counts how often values come, in bounded memory, and knows the largest at any time.
 *
 * As long as the different values fit, all counts are exact. When the table is full, a new value
 * takes the place of the smallest, and its counts go on from that one's (A. Metwally, D. Agrawal,
 * A. El Abbadi, Efficient computation of frequent and top-k elements in data streams, ICDT 2005,
 * "space saving"): counts are then upper bounds, too large by at most the smallest count, and every
 * value whose true count is above that is in the table. What was counted for values that lost
 * their place is summed up in lost_pkts.
 *
 * The outcome depends on the values and their order only, not on the seed.
 *
 * Threads: one at a time.
 */
#ifndef MAPI_FUNCTION_EXTRA_TOP_PRIVATE_H
#define MAPI_FUNCTION_EXTRA_TOP_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#define TOP_CAPACITY 65536u /* every value of 16 bits has room */
#define TOP_LIVE_BYTES (7u << 20) /* its table, when it is full */

/* @bytes: big-endian and left-aligned, the rest 0, so that comparing bytes compares values.
 * @family: AF_INET, AF_INET6 or 0 for a number */
struct top_key {
	uint8_t bytes[16];
	uint32_t family;
};

struct top_count {
	struct top_key key;
	uint64_t pkts;
	uint64_t bytes;
};

struct top_table;

/**
 * top_table_new() - make an empty table
 * @ret:      the table; its memory is taken from the system as it fills
 * @capacity: different values that it holds, 1 .. TOP_CAPACITY, at least @x
 * @x:        how many of the largest it keeps at hand, 1 or more
 * @by_bytes: rank by bytes, then packets; else by packets, then bytes. Equal ones by key, the
 *            smallest first
 * @seed:     secret, so that nobody can choose values that meet in one place
 *
 * Return: 0, -ENOMEM.
 */
int top_table_new(
	struct top_table **ret, uint32_t capacity, uint32_t x, bool by_bytes, uint64_t seed);
struct top_table *top_table_free(struct top_table *table); /* takes NULL */

/* Count @pkts (1 or more) packets of @bytes together. No allocation; the work is bounded by the
 * logarithm of the capacity but for the packet that fills the table. */
void top_table_add(
	struct top_table *table, const struct top_key *key, uint32_t pkts, uint64_t bytes);

/* Forget all counts but lost_pkts. Takes as long as there are values. */
void top_table_clear(struct top_table *table);

/* Packets, since top_table_new(), that are counted for other values than theirs. */
uint64_t top_table_lost_pkts(const struct top_table *table);

/**
 * top_table_largest() - the largest, in order
 * @ret: room for x
 *
 * Return: how many there are, at most x.
 */
uint32_t top_table_largest(struct top_table *table, struct top_count ret[]);

#endif
