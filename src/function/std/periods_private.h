/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Periods of the device's time (semantics T1), for functions that give something for each: the
 * first one begins with the first packet, and each begins where the one before ends. A long silence
 * is no reason to give things for ever: after so many periods without packets none begins until a
 * packet comes, with which the next one does.
 */
#ifndef MAPI_FUNCTION_STD_PERIODS_PRIVATE_H
#define MAPI_FUNCTION_STD_PERIODS_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#define STD_PERIODS_EMPTY_MAX 100000u

/* All zeroes before the first packet. @has_pkts: process() sets it. */
struct std_periods {
	bool begun;
	bool has_pkts; /* the current period */
	uint64_t begin_ns; /* of the current period */
	uint64_t n_empty; /* periods without packets before it */
};

/* What has ended: a period with packets, if @has_pkts, then @n_empty without. */
struct std_periods_ended {
	bool has_pkts;
	uint64_t begin_ns; /* of the one with packets */
	uint64_t empty_begin_ns; /* of the first one without */
	uint64_t n_empty;
};

/**
 * std_periods_pass() - time passes, from tick()
 * @now_ns: as tick() has it
 *
 * Return: whether any period has ended.
 */
bool std_periods_pass(struct std_periods *periods, uint64_t period_ns, uint64_t now_ns,
	struct std_periods_ended *ret);

/* After std_periods_pass(): what tick() returns. */
uint64_t std_periods_next_ns(const struct std_periods *periods, uint64_t period_ns);

#endif
