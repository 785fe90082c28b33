/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The result area: how results reach a client without a system call (semantics R1-R3).
 *
 * One sealed memfd per client, which the client can only read. It holds one struct results_flow per
 * flow and, per function instance with a result, n_slots consecutive slots. A slot has one writer
 * at a time and is guarded by a sequence count (odd while it is written). Offsets are handed out by
 * the engine in its replies; the client checks them against the size of the area.
 */
#ifndef MAPI_WIRE_RESULTS_H
#define MAPI_WIRE_RESULTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define RESULTS_ALIGN_BYTES 64

/* Causes of loss (semantics L2), in the order of enum mapi_loss (mapi.h). */
#define RESULTS_N_LOSS 6

struct results_flow {
	_Atomic uint32_t seq;
	uint32_t status; /* enum mapi_flow_status */
	int32_t error_code; /* 0, or why the flow ended early; the text comes by message */
	uint32_t device_state; /* enum mapi_device_state */
	uint64_t published_ns; /* CLOCK_MONOTONIC of the last publication */
	uint64_t start_ns; /* CLOCK_REALTIME of connect */
	uint64_t end_ns; /* CLOCK_REALTIME of the end, 0 before */
	uint64_t pkts; /* packets of the device since connect */
	uint64_t late_pkts; /* of them, packets with a time before the watermark */
	uint64_t lost_pkts[RESULTS_N_LOSS];
	uint64_t done_bytes; /* progress of a file */
	uint64_t total_bytes;
	uint64_t last_ts_ns; /* watermark */
	uint64_t outages; /* how often the device has gone down since connect */
	uint64_t clock_steps; /* how often the clock was set since connect */
	uint64_t times_behind; /* how often programs of others came before it since connect */
	uint32_t behind; /* some are there now */
	uint32_t reserved;
	uint64_t changes; /* of the device's name and MTU since connect */
};

struct results_slot {
	_Atomic uint32_t seq;
	uint32_t data_bytes;
	uint64_t order; /* number of the last packet that changed it: decides MAPI_MERGE_LAST */
	_Alignas(16) unsigned char data[];
};

_Static_assert(offsetof(struct results_slot, data) == 16, "data follows the head");

/* Bytes that one slot takes for a result of @data_bytes. */
static inline size_t results_slot_bytes(size_t data_bytes)
{
	size_t bytes = sizeof(struct results_slot) + data_bytes;

	return (bytes + RESULTS_ALIGN_BYTES - 1) / RESULTS_ALIGN_BYTES * RESULTS_ALIGN_BYTES;
}

/* Writers bracket their stores; readers retry. The pairs: release in write_end with acquire in
 * read_begin, and the fences around the data. */
static inline void results_write_begin(_Atomic uint32_t *seq)
{
	uint32_t s = atomic_load_explicit(seq, memory_order_relaxed);

	atomic_store_explicit(seq, s + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

static inline void results_write_end(_Atomic uint32_t *seq)
{
	uint32_t s = atomic_load_explicit(seq, memory_order_relaxed);

	atomic_store_explicit(seq, s + 1, memory_order_release);
}

static inline uint32_t results_read_begin(const _Atomic uint32_t *seq)
{
	return atomic_load_explicit(seq, memory_order_acquire);
}

static inline bool results_read_retry(const _Atomic uint32_t *seq, uint32_t begun)
{
	atomic_thread_fence(memory_order_acquire);
	return (begun & 1) || atomic_load_explicit(seq, memory_order_relaxed) != begun;
}

#endif
