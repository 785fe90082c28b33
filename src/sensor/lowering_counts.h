/* SPDX-License-Identifier: BSD-2-Clause */
/* What programs have counted, on its way to the flows. */
#ifndef MAPI_SENSOR_LOWERING_COUNTS_H
#define MAPI_SENSOR_LOWERING_COUNTS_H

#include "kernel/kernel.h"
#include "plan/plan.h"

/* Gives flows what their places have counted, @counts, beyond what they have been given before,
 * @added, which it brings up to date. @last_ns: time of the last packet that was counted */
static inline void lowering_counts_give(struct plan_place *places,
	const struct kernel_count *counts, struct kernel_count *added, unsigned int n_places,
	uint64_t last_ns)
{
	for (unsigned int i = 0; i < n_places; i++) {
		const struct function_count more = { .units = counts[i].units - added[i].units,
			.pkts = counts[i].pkts - added[i].pkts,
			.bytes = counts[i].bytes - added[i].bytes,
			.last_ns = last_ns };

		plan_place_add(&places[i], &more);
		added[i] = counts[i];
	}
}

#endif
