/* SPDX-License-Identifier: BSD-2-Clause */
/* Records of a time and a value: see period_records_private.h. */
#include "period_records_private.h"

#include <errno.h>
#include <string.h>

#include "mapi.h"
#include "mapi/errors.h"
#include "packet/packet.h"

int std_records_init(struct std_records *records, const struct function_open *open,
	const char *name, struct error *err)
{
	int r = ring_new(&records->ring, STD_RECORDS_RING_BYTES, open->lossless);

	records->lossless = open->lossless;
	if (r == 0 || r == -ENOMEM)
		return r;
	return error_set(err, MFUNCT_COULD_NOT_INIT_FUNCT,
		"%s: no memory to share with the program: %s", name, strerror(-r));
}

/* Return: how many of @n records are lost beside those that the ring counts. */
static uint64_t std_records_put(const struct std_records *records, uint64_t first_ns,
	uint64_t period_ns, uint64_t n, uint64_t value, struct error *err)
{
	for (uint64_t k = 0; k < n; k++) {
		struct std_record record = {
			.timestamp = packet_ts_from_ns(first_ns + k * period_ns),
			.value = value,
		};
		int r;

		/* A clock may jump by years, and many short periods pass between two looks at it.
		 */
		if (!records->lossless && k == STD_RECORDS_MAX)
			return n - k;
		r = ring_write(records->ring, &record, sizeof(record), NULL, 0, err);
		if (r == RING_E_DROPPED)
			return n - k - 1;
		if (r != 0) /* cancelled: nobody reads any more; or @err says why */
			return 0;
	}
	return 0;
}

void std_records_write(const struct std_records *records, struct std_records_state *state,
	uint64_t first_ns, uint64_t period_ns, uint64_t n, uint64_t value, struct error *err)
{
	state->n_lost += std_records_put(records, first_ns, period_ns, n, value, err);
}

void std_records_close(void *instance)
{
	struct std_records *records = instance;

	records->ring = ring_free(records->ring);
}

void std_records_cancel(void *instance)
{
	const struct std_records *records = instance;

	ring_cancel(records->ring);
}

struct ring *std_records_ring(void *instance)
{
	struct std_records *records = instance;

	return records->ring;
}

void std_records_read(const void *instance, const void *state, void *ret_result)
{
	*(struct std_record *)ret_result = (struct std_record){ .value = 0 };
}

void std_records_lost(const void *instance, const void *state, uint64_t lost_pkts[])
{
	const struct std_records_state *s = state;

	lost_pkts[MAPI_LOSS_QUEUE] += s->n_lost;
}
