/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many packets an interface has lost (semantics L2), when the kernel counts in one what was
 * lost before anybody saw it, and what was captured and then of no use to the stack (struct
 * driver_drops).
 *
 * The stack drops only packets whose protocol it does not know, and of those it is known how many
 * have been captured. So of what was dropped between two readings, at least that was lost which is
 * more than the foreign packets of that time: and it is all, where there are none. Packets that a
 * full capture ring had no room for may have been foreign, too. The other bound comes from the
 * machine's queues: what they have dropped meanwhile was lost, though perhaps on another interface.
 * The greater of the two is reported.
 *
 * A reading counts when all packets have been read that were captured before it.
 */
#ifndef MAPI_SENSOR_LOSS_H
#define MAPI_SENSOR_LOSS_H

#include "driver/driver.h"

/**
 * struct loss_reading - of the drops
 * @ring_lost: of the driver, then
 * @foreign:   captured by then at least, delivered or not
 */
struct loss_reading {
	struct driver_drops drops;
	uint64_t ring_lost;
	uint64_t foreign;
};

/**
 * struct loss - what is known so far; zeroes at the beginning
 * @first:  the latest reading that counts; drops.n_read 0: none yet
 * @second: one that does not yet; the same as @first: there is none
 * @foreign_before: captured at least when @first was read
 * @pkts:   lost
 */
struct loss {
	struct loss_reading first;
	struct loss_reading second;
	uint64_t foreign_before;
	uint64_t pkts;
};

/**
 * loss_update() - go on with what a driver says now
 * @unseen_pkts: foreign packets that the kernel has counted instead of delivering them, after
 *               @stats were read
 *
 * Thread safety: one caller at a time.
 *
 * Return: packets lost by the interface so far, at least.
 */
uint64_t loss_update(struct loss *loss, const struct driver_stats *stats, uint64_t unseen_pkts);

#endif
