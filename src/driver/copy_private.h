/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chunks that hold copies of packets, for sources whose packets do not stay where they are. All
 * memory is there from the start: as many chunks as workers can hold, of equal size.
 */
#ifndef MAPI_DRIVER_COPY_PRIVATE_H
#define MAPI_DRIVER_COPY_PRIVATE_H

#include <pthread.h>
#include <stddef.h>

#include "driver.h"

#define COPY_PKTS_MAX 4096u
#define COPY_BYTES 1048576u /* several of the longest packets */

struct copy_packet {
	uint64_t ts_ns;
	uint32_t offset;
	uint32_t cap_bytes;
	uint32_t wire_bytes;
};

/**
 * struct copy_chunk - packets of one link type and capture interface
 * @at: the next to be handed out
 */
struct copy_chunk {
	struct copy_chunk *next;
	uint32_t linktype;
	uint16_t ifindex;
	unsigned int n;
	unsigned int at;
	uint32_t n_bytes;
	struct copy_packet packets[COPY_PKTS_MAX];
	uint8_t bytes[COPY_BYTES];
};

struct copy_pool {
	pthread_mutex_t lock;
	struct copy_chunk *unused;
};

/* Return: 0, -ENOMEM; copy_pool_deinit() in either case. */
int copy_pool_init(struct copy_pool *pool, unsigned int n_workers);
void copy_pool_deinit(struct copy_pool *pool);

/* Return: an empty chunk; NULL if more workers claim than were announced. */
struct copy_chunk *copy_take(struct copy_pool *pool);
void copy_put(struct copy_pool *pool, struct copy_chunk *chunk);

/* How many packets of up to @cap_bytes still fit. */
unsigned int copy_room(const struct copy_chunk *chunk, uint32_t cap_bytes);

/* @packet: its offset is ignored. Return: whether it fitted. */
bool copy_add(struct copy_chunk *chunk, const struct copy_packet *packet, const uint8_t *bytes);

/* Parts of drivers: next_batch() of a live source, where each packet is one on the wire. */
int copy_next_batch(struct copy_chunk *chunk, struct packet_batch *batch, unsigned int batch_pkts);

#endif
