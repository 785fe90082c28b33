/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A short look before a sleep. Two processes that question and answer each other spend most of the
 * time on being woken; who looks again for some microseconds instead has the answer when it comes.
 */
#ifndef MAPI_BASE_SPIN_H
#define MAPI_BASE_SPIN_H

#include <poll.h>
#include <sched.h>
#include <stdbool.h>

#include "clock.h"

/**
 * spin_poll() - see whether a descriptor becomes ready soon
 * @fd:     a descriptor
 * @events: as of poll()
 * @us:     how long to look, microseconds. Others that want this processor go first
 *
 * Return: whether it is ready (also with an error or an end).
 */
static inline bool spin_poll(int fd, short events, unsigned int us)
{
	struct pollfd p = { .fd = fd, .events = events };
	uint64_t end_ns = clock_monotonic_ns() + us * 1000ull;

	for (;;) {
		int n = poll(&p, 1, 0);

		if (n > 0)
			return true;
		if (n < 0 || clock_monotonic_ns() >= end_ns)
			return false;
		(void)sched_yield(); /* cannot fail */
	}
}

#endif
