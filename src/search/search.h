/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * String search in packets: the pattern syntax of STR_SEARCH, and many patterns searched at once
 * by one vectorscan database (docs/architecture.md, "Searches").
 */
#ifndef MAPI_SEARCH_SEARCH_H
#define MAPI_SEARCH_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "packet/packet.h"

#define SEARCH_TEXT_BYTES_MAX (1u << 20)

/*
 * Patterns follow the content syntax of Snort rules:
 *
 *   pattern     = alternative, { "||", alternative } ;
 *   alternative = element, { element } ;
 *   element     = byte | escape | hex ;
 *   byte        = any byte except "|", "\" and NUL ;
 *   escape      = "\", any byte except NUL ;          (that byte itself: \\ \| \" \: \; ...)
 *   hex         = "|", { " " }, digit, digit, { { " " }, digit, digit }, { " " }, "|" ;
 *
 * The text is read from left to right. A pipe outside hexadecimal bytes that is followed by another
 * pipe always separates alternatives; a pipe inside hexadecimal bytes always closes them. So
 * |41||42| is the two bytes AB, |41||||42| is A or B, and a|||42| is a or B. Letters match as they
 * are written. A pattern is found where any of its alternatives is found.
 */

/* struct search_pattern - a parsed pattern with its place; immutable. */
struct search_pattern;

/**
 * search_pattern_new() - parse a STR_SEARCH pattern
 * @ret:    the pattern; the caller owns it
 * @text:   as above; NULL is taken as empty
 * @offset_bytes: where the search begins, from the first captured byte
 * @depth_bytes:  how many bytes are searched; 0: to the end. A match lies wholly inside
 * @err:    7001 empty; 3503 unterminated pipe; 3504 depth smaller than an alternative;
 *          3505 anything else: a digit missing or wrong, an empty alternative, a backslash at the
 *          end, more than SEARCH_TEXT_BYTES_MAX. The text names the column and the remedy
 *
 * Return: 0, -EINVAL with @err filled, -ENOMEM.
 */
int search_pattern_new(struct search_pattern **ret, const char *text, uint32_t offset_bytes,
	uint32_t depth_bytes, struct error *err);

/* It stays until as many have freed it as refer to it. Any thread. Return: @pattern. */
struct search_pattern *search_pattern_ref(struct search_pattern *pattern);
struct search_pattern *search_pattern_free(struct search_pattern *pattern);
DEFINE_CLEANUP(struct search_pattern *, search_pattern_free);

/* Whether both find the same, so that one search serves both. */
bool search_pattern_equal(const struct search_pattern *a, const struct search_pattern *b);

/* An order of patterns. Return: 0 if they are equal, else negative or positive. */
int search_pattern_compare(const struct search_pattern *a, const struct search_pattern *b);

/* struct search_set - the searches of one plan, merged; immutable after search_set_new(). */
struct search_set;

/**
 * search_set_new() - merge patterns into one database
 * @ret:        the set; the caller owns it. Keeps no reference to @patterns
 * @patterns:   in an order the caller knows; equal ones are searched once
 * @n_patterns: at least 1
 * @err:        7007 if the database cannot be built
 *
 * Return: 0, -EINVAL with @err filled, -ENOMEM.
 */
int search_set_new(struct search_set **ret, const struct search_pattern *const patterns[],
	unsigned int n_patterns, struct error *err);

/*
 * The same in steps, for who has the long one done elsewhere: search_set_prepare(), then
 * search_database_build() of what search_set_source() says, in another process of this program,
 * then search_set_complete(). A set that is not complete can only be completed or freed.
 */

/* Return: 0, -ENOMEM. */
int search_set_prepare(struct search_set **ret, const struct search_pattern *const patterns[],
	unsigned int n_patterns);

/* What the database is to be made of. @ret: the caller frees it. @ret_n_bytes: 0: none is needed,
 * the set is complete. Return: 0, -ENOMEM. */
int search_set_source(const struct search_set *set, uint8_t **ret, size_t *ret_n_bytes);

/* @ret: the caller frees it. Return: 0, -EINVAL with @err filled (7007; also @source makes no
 * sense), -ENOMEM. */
int search_database_build(const uint8_t *source, size_t n_bytes, uint8_t **ret, size_t *ret_n_bytes,
	struct error *err);

/* @database is believed, but for its checksum. Return: 0, -EBADMSG: it is none, -ENOMEM. */
int search_set_complete(struct search_set *set, const uint8_t *database, size_t n_bytes);

struct search_set *search_set_free(struct search_set *set);
DEFINE_CLEANUP(struct search_set *, search_set_free);

/* struct search_scratch - working memory of one worker for one set. */
struct search_scratch;

int search_scratch_new(struct search_scratch **ret, const struct search_set *set);
struct search_scratch *search_scratch_free(struct search_scratch *scratch);
DEFINE_CLEANUP(struct search_scratch *, search_scratch_free);

/**
 * search_set_run() - find which packets contain which patterns
 * @set:     the set
 * @scratch: of this worker, made for @set
 * @batch:   the packets
 * @wanted:  packets that must be searched; the others may be reported as not matching
 * @ret:     one mask for each pattern of search_set_new(), in its order; cleared first
 *
 * Only bytes of @batch->data below cap_bytes are read.
 * Thread safety: any number of workers, each with its own scratch. No allocation, no lock.
 */
void search_set_run(const struct search_set *set, struct search_scratch *scratch,
	const struct packet_batch *batch, const struct packet_mask *wanted,
	struct packet_mask ret[]);

#endif
