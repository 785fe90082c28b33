/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parser (pattern.c) hands to the set (search.c), and the set to its engine. */
#ifndef MAPI_SEARCH_SEARCH_PRIVATE_H
#define MAPI_SEARCH_SEARCH_PRIVATE_H

#include "search/search.h"

/* Nothing in a packet begins by chance with so many bytes of a literal, and vectorscan (which takes
 * 16,000 bytes) needs time and memory for each. */
#define SEARCH_PART_BYTES 256u
#define SEARCH_SHORT_BYTES 3u /* what is shorter is not for the engine */

/* struct search_literal - one alternative: bytes as they stand in a packet, at least one. */
struct search_literal {
	const uint8_t *bytes;
	uint32_t n_bytes;
};

struct search_pattern {
	_Atomic unsigned int refs; /* besides the first */
	uint32_t offset_bytes;
	uint32_t depth_bytes;
	unsigned int n_literals;
	struct search_literal *literals;
	uint8_t *bytes; /* of all literals, one after the other */
};

/**
 * struct search_use - what a match of a literal may mean
 * @low:    first byte of the packet where the match may begin
 * @high:   the match must end at or before this byte
 * @bytes, @n_bytes: the literal
 * @head_bytes: NUL bytes at its beginning
 * @part_bytes: how many of those behind them are searched; 0: there are none
 * @slot:   pattern whose mask gets the bit
 */
struct search_use {
	uint64_t low;
	uint64_t high;
	const uint8_t *bytes;
	uint32_t n_bytes;
	uint32_t head_bytes;
	uint32_t part_bytes;
	unsigned int slot;
};

/* struct search_group - the uses of one part: [first_use, first_use + n_uses). */
struct search_group {
	unsigned int first_use;
	unsigned int n_uses;
};

/**
 * struct search_shorts - parts of one and two bytes, by their first byte
 * @any:   whether one begins with this byte
 * @one:   number of the group of this byte alone, or SEARCH_NONE
 * @pairs: groups [pairs[b], pairs[b + 1]) begin with b
 */
struct search_shorts {
	bool any[256];
	uint32_t one[256];
	uint32_t pairs[257];
};

/**
 * struct search_set - see search.h
 * @slots:    [n_patterns] which pattern's mask holds the result of each pattern: the first equal
 * one
 * @n_slots:  number of different patterns
 * @uses:     ordered by part, those without one first; @n_uses, @n_nul_uses
 * @groups:   uses of one part; the first @n_short_groups are for search_short(), the others for
 *            the engine
 * @shorts:   NULL if there are no short parts
 * @engine:   NULL if all parts are short
 * @bytes:    what the uses point to
 * @low, @high: union of all places
 * @min_bytes: length of the shortest literal
 */
struct search_set {
	unsigned int n_patterns;
	unsigned int *slots;
	unsigned int n_slots;
	struct search_use *uses;
	unsigned int n_uses;
	unsigned int n_nul_uses;
	struct search_group *groups;
	unsigned int n_groups;
	unsigned int n_short_groups;
	struct search_shorts *shorts;
	uint8_t *bytes;
	struct search_engine *engine;
	uint64_t low;
	uint64_t high;
	uint32_t min_bytes;
};

/* struct search_scan - one packet, for the callback */
struct search_scan {
	const struct search_set *set;
	struct packet_mask *masks;
	const uint8_t *data;
	uint64_t cap_bytes;
	uint64_t bit;
	unsigned int word;
	unsigned int n_missing; /* patterns not found yet */
};

/**
 * search_match() - what a part means that has been found
 * @group: of the part
 * @end:   the byte of the packet behind it
 *
 * Return: whether every pattern has been found.
 */
bool search_match(struct search_scan *scan, const struct search_group *group, uint64_t end);

/* Whether all patterns that a part can decide have been found in this packet. */
bool search_is_decided(const struct search_scan *scan, const struct search_group *group);

/*
 * The engine finds the parts of groups [n_short_groups, n_groups), and calls search_match() for
 * each place of each part, until that returns true. Which one a build has is decided by
 * meson.build.
 */
struct search_engine;

/* @set: its groups are complete; the engine may refer to it. Return: 0, -EINVAL with @err filled
 * (7007), -ENOMEM. */
int search_engine_new(struct search_engine **ret, const struct search_set *set, struct error *err);

/* As search_set_source() and search_set_complete(). */
int search_engine_source(const struct search_set *set, uint8_t **ret, size_t *ret_n_bytes);
int search_engine_load(struct search_engine **ret, const struct search_set *set,
	const uint8_t *database, size_t n_bytes);
struct search_engine *search_engine_free(struct search_engine *engine);
DEFINE_CLEANUP(struct search_engine *, search_engine_free);

/* Search bytes [scan->set->low, @end) of the packet. */
void search_engine_scan(const struct search_engine *engine, struct search_scratch *scratch,
	struct search_scan *scan, uint64_t end);

#endif
