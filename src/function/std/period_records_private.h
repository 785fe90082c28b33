/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records of a time and a value, which the program reads one by one: what BUCKET and THRESHOLD
 * give. A ring holds a thousand; when it is full, a file waits for its reader, and a live device
 * loses records and counts them.
 */
#ifndef MAPI_FUNCTION_STD_PERIOD_RECORDS_PRIVATE_H
#define MAPI_FUNCTION_STD_PERIOD_RECORDS_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "function/function.h"
#include "wire/ring.h"

#define STD_RECORDS_MAX 1000u
#define STD_RECORDS_RING_BYTES (32u << 10)

/* As struct bucket_data and struct threshold_crossing. */
struct std_record {
	uint64_t timestamp; /* 32.32 fixed point seconds */
	uint64_t value;
};

/* @ring: NULL: none. The first member of its function's instance. */
struct std_records {
	struct ring *ring;
	bool lossless;
};

/* The first member of its function's state. */
struct std_records_state {
	uint64_t n_lost; /* beside those that the ring has counted */
};

/* @name: of the function. Return: 0, -EINVAL with @err filled, -ENOMEM. */
int std_records_init(struct std_records *records, const struct function_open *open,
	const char *name, struct error *err);

/**
 * std_records_write() - a record for each of several periods, all with one value
 * @state:     counts those that are lost
 * @first_ns:  time of the first record
 * @period_ns: from one to the next
 * @n:         how many; whatever it is, a live device does not take longer than for a full ring
 * @err:       see ring_write()
 */
void std_records_write(const struct std_records *records, struct std_records_state *state,
	uint64_t first_ns, uint64_t period_ns, uint64_t n, uint64_t value, struct error *err);

/* Members of struct function; @instance and @state begin as said above. */
void std_records_close(void *instance);
void std_records_cancel(void *instance);
struct ring *std_records_ring(void *instance);
/* The records travel through the ring; what is read beside it is an empty one. */
void std_records_read(const void *instance, const void *state, void *ret_result);
void std_records_lost(const void *instance, const void *state, uint64_t lost_pkts[]);

#endif
