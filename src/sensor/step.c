/* SPDX-License-Identifier: BSD-2-Clause */
/* Steps of the machine's clock: see step.h. */
#include "step.h"

#include <stdlib.h>

static uint64_t step_distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

void step_look(struct step *step, uint64_t monotonic_ns, uint64_t realtime_ns)
{
	int64_t ahead_ns = (int64_t)(realtime_ns - monotonic_ns);
	int64_t by_ns = ahead_ns - step->ahead_ns;
	bool has_looked = step->has_looked;

	step->has_looked = true;
	step->now_ns = realtime_ns;
	step->ahead_ns = ahead_ns;
	if (!has_looked || llabs(by_ns) < STEP_MIN_NS)
		return;
	step->seen_ns = monotonic_ns;
	step->pending_ns += by_ns;
	if (llabs(step->pending_ns) < STEP_MIN_NS) /* set, and set back */
		step->pending_ns = 0;
}

static int64_t step_done(struct step *step)
{
	int64_t by_ns = step->pending_ns;

	step->pending_ns = 0;
	return by_ns;
}

int64_t step_take(struct step *step, uint64_t first_ns, uint64_t last_ns)
{
	/* What is old comes before what is new: with a clock that was set ahead, what is new must
	 * not come before the step, with one that was set back, what is old not after it. */
	uint64_t ts_ns = step->pending_ns > 0 ? last_ns : first_ns;
	uint64_t old_ns = step->now_ns - (uint64_t)step->pending_ns;

	if (step->pending_ns == 0 ||
		step_distance(ts_ns, step->now_ns) >= step_distance(ts_ns, old_ns))
		return 0;
	return step_done(step);
}

int64_t step_take_idle(struct step *step, uint64_t asked_ns)
{
	if (step->pending_ns == 0 || asked_ns < step->seen_ns + STEP_PATIENCE_NS)
		return 0;
	return step_done(step);
}
