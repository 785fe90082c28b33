/* SPDX-License-Identifier: BSD-2-Clause */
/* Periods of the device's time: see periods_private.h. */
#include "periods_private.h"

#include "base/cleanup.h"

bool std_periods_pass(struct std_periods *periods, uint64_t period_ns, uint64_t now_ns,
	struct std_periods_ended *ret)
{
	uint64_t n;

	if (!periods->begun)
		*periods = (struct std_periods){ .begun = true, .begin_ns = now_ns };
	n = (now_ns - periods->begin_ns) / period_ns;
	if (n == 0)
		return false;
	*ret = (struct std_periods_ended){
		.has_pkts = periods->has_pkts,
		.begin_ns = periods->begin_ns,
		.empty_begin_ns = periods->begin_ns,
	};
	periods->begin_ns += n * period_ns;
	if (periods->has_pkts) {
		ret->empty_begin_ns += period_ns;
		periods->has_pkts = false;
		periods->n_empty = 0;
		n--;
	}
	ret->n_empty = MIN(n, STD_PERIODS_EMPTY_MAX - periods->n_empty);
	periods->n_empty += ret->n_empty;
	periods->begun = periods->n_empty < STD_PERIODS_EMPTY_MAX;
	return true;
}

uint64_t std_periods_next_ns(const struct std_periods *periods, uint64_t period_ns)
{
	uint64_t end_ns;

	if (!periods->begun)
		return 0; /* with the next packet, which may have come */
	return __builtin_add_overflow(periods->begin_ns, period_ns, &end_ns) ? UINT64_MAX : end_ns;
}
