/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shared memory of a ring: one page with struct ring_shared, then the data, which each side
 * maps twice in a row. Indices count bytes since the ring was made and never wrap in practice.
 *
 * Each side keeps its own index in its own memory and only publishes it here. What the other side
 * published is checked on every use.
 */
#ifndef MAPI_WIRE_RING_PRIVATE_H
#define MAPI_WIRE_RING_PRIVATE_H

#include <stdatomic.h>
#include <stdint.h>

#define RING_MAGIC 0x4d524e47u
#define RING_LAYOUT 1u
#define RING_RECORD_ALIGN_BYTES 8u

enum ring_sleep {
	RING_AWAKE = 0,
	RING_SLEEPS, /* in ring_reader_wait(): this ring is what the thread waits for */
	RING_POLLS /* only ring_reader_fileno() must become readable */
};

struct ring_shared {
	uint32_t magic;
	uint32_t layout;
	uint64_t data_bytes;

	/* Written by the engine. */
	_Alignas(64) _Atomic uint64_t head; /* end of the last record */
	_Atomic uint32_t is_ended; /* set after the last head */
	_Atomic uint32_t writer_waits; /* cleared by whoever wakes the writer */
	_Atomic uint64_t writer_wake_at; /* tail from which waking it is worth while */

	/* Written by the client. */
	_Alignas(64) _Atomic uint64_t tail; /* end of the last record that was given back */
	_Atomic uint32_t reader_sleeps; /* enum ring_sleep; cleared by whoever wakes the reader */
};

/* What precedes each record. */
struct ring_record {
	uint32_t n_bytes;
	uint32_t reserved;
};

static inline uint64_t ring_record_total_bytes(uint64_t payload_bytes)
{
	uint64_t bytes = sizeof(struct ring_record) + payload_bytes;

	return (bytes + RING_RECORD_ALIGN_BYTES - 1) & ~(uint64_t)(RING_RECORD_ALIGN_BYTES - 1);
}

/* Maps header and doubled data of the memory @fd. Return: 0 or negative errno. */
int ring_map(int fd, uint64_t data_bytes, struct ring_shared **ret_shared, uint8_t **ret_data);
void ring_unmap(struct ring_shared *shared, uint64_t data_bytes);
uint64_t ring_header_bytes(void);

#endif
