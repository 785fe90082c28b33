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

/* @ring: NULL: none */
struct std_records {
	struct ring *ring;
	bool lossless;
};

/* @name: of the function. Return: 0, -EINVAL with @err filled, -ENOMEM. */
int std_records_init(struct std_records *records, const struct function_open *open,
	const char *name, struct error *err);

/**
 * std_records_write() - a record for each of several periods, all with one value
 * @first_ns:  time of the first record
 * @period_ns: from one to the next
 * @n:         how many; whatever it is, a live device does not take longer than for a full ring
 * @err:       see ring_write()
 *
 * Return: how many more of the records are lost than the ring has counted.
 */
uint64_t std_records_write(const struct std_records *records, uint64_t first_ns, uint64_t period_ns,
	uint64_t n, uint64_t value, struct error *err);

#endif
