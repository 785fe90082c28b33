/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two series of values, interval by interval, that come as records of their own: paired by time.
 *
 * One series may be far ahead: all intervals of a silence come at once, first those of one series,
 * then those of the other. Equal values that follow each other take one place, so a silence takes
 * one place however long it is.
 */
#ifndef MAPI_TOOL_UTIL_SERIES_H
#define MAPI_TOOL_UTIL_SERIES_H

#include <stdbool.h>
#include <stdint.h>

/* Of a series. More than records fit into the ring of a function: beyond a silence no series can be
 * ahead by more than that. */
#define UTIL_SERIES_RUNS 4096u

/* @n intervals with the same @value, the first of which begins at @begin_ns. */
struct util_run {
	uint64_t begin_ns;
	uint64_t n;
	uint64_t value;
};

/**
 * struct util_series - what has come of a series and is not paired yet; zeroed at the beginning
 * @last_ns: beginning of the newest interval
 */
struct util_series {
	struct util_run runs[UTIL_SERIES_RUNS];
	unsigned int first, n;
	uint64_t last_ns;
};

/* An interval of both series. */
struct util_pair {
	uint64_t begin_ns;
	uint64_t values[2];
};

/**
 * util_series_add() - a record of a series has come; they come in the order of time
 * @begin_ns: of the interval, Unix time; 32-bit seconds may have gone round
 *
 * If there is no place, the oldest run is given up.
 */
void util_series_add(
	struct util_series *s, uint64_t begin_ns, uint64_t interval_ns, uint64_t value);

/**
 * util_series_pair() - take the oldest interval that both series have
 * @s: two series
 *
 * What only one of them has, because the other's record was lost, is left out.
 *
 * Return: whether there is one.
 */
bool util_series_pair(struct util_series s[2], uint64_t interval_ns, struct util_pair *ret_pair);

#endif
