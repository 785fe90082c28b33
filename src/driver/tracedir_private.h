/* SPDX-License-Identifier: BSD-2-Clause */
/* What tests of the trace-directory driver need: a clock of their own. */
#ifndef MAPI_DRIVER_TRACEDIR_PRIVATE_H
#define MAPI_DRIVER_TRACEDIR_PRIVATE_H

#include "driver.h"

/* A packet that nobody has claimed so long after its time is lost. */
#define TRACEDIR_LATE_NS 1000000000u

/**
 * struct tracedir_clock - time, for a source
 * @monotonic_ns: that packets are due by
 * @realtime_ns:  that they are stamped with
 * @wait:         until @wake_fd is readable, at most @wait_ns
 */
struct tracedir_clock {
	uint64_t (*monotonic_ns)(void);
	uint64_t (*realtime_ns)(void);
	void (*wait)(int wake_fd, uint64_t wait_ns);
};

/* The driver's open() with another clock, which outlives the source. */
int tracedir_open_clock(struct driver_source **ret, const struct driver_open_args *args,
	const struct tracedir_clock *clock, struct error *err);

#endif
