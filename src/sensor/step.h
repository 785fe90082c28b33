/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Steps of the machine's clock (semantics T1).
 *
 * The kernel stamps packets with the time of day, which can be set. Whether it was shows in how far
 * it is ahead of the monotonic clock. Packets that were stamped before may still be under way then:
 * so a step is taken with the first packet that shows it, or, if none comes, after a while. Less
 * than STEP_MIN_NS is no step: then packets are late, or time passes, by as much.
 */
#ifndef MAPI_SENSOR_STEP_H
#define MAPI_SENSOR_STEP_H

#include <stdbool.h>
#include <stdint.h>

#define STEP_MIN_NS 1000000000
#define STEP_PATIENCE_NS 1000000000u /* no packet is under way for so long */

/**
 * struct step - of a device. All zero at the start
 * @ahead_ns:   realtime less monotonic, as of the last look
 * @seen_ns:    monotonic: when the newest step was noticed
 * @now_ns:     realtime of the last look
 * @pending_ns: by how much the clock was set, that packets have not shown yet; 0: nothing
 */
struct step {
	bool has_looked;
	int64_t ahead_ns;
	uint64_t seen_ns;
	uint64_t now_ns;
	int64_t pending_ns;
};

/* Both clocks, read after the packets that come next were captured. */
void step_look(struct step *step, uint64_t monotonic_ns, uint64_t realtime_ns);

/**
 * step_take() - packets come next
 * @first_ns, @last_ns: times of the first one and the last one
 *
 * Packets from before and after a step may come together: then those of an earlier time are late,
 * but none is ahead of its time.
 *
 * Return: by how much the clock was set before them, 0: it was not.
 */
int64_t step_take(struct step *step, uint64_t first_ns, uint64_t last_ns);

/* The same, when no packet comes: @asked_ns, monotonic, until which they have been looked for. */
int64_t step_take_idle(struct step *step, uint64_t asked_ns);

#endif
