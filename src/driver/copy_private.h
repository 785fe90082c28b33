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

struct copy_pool;

/**
 * struct copy_chunk - packets of one link type and capture interface
 * @pool: where it goes back to
 * @at:   the next to be handed out
 */
struct copy_chunk {
	struct copy_chunk *next;
	struct copy_pool *pool;
	uint32_t linktype;
	uint16_t ifindex;
	unsigned int n;
	unsigned int at;
	uint32_t n_bytes;
	struct copy_packet packets[COPY_PKTS_MAX];
	uint8_t bytes[COPY_BYTES];
};

/* struct copy_pool - @unused: guarded by @lock; @next_seq is of the one who claims. */
struct copy_pool {
	pthread_mutex_t lock;
	struct copy_chunk *unused;
	unsigned int batch_pkts;
	uint64_t next_seq;
};

/* @args: what the source is opened with. Return: 0, -ENOMEM; copy_pool_deinit() in either case. */
int copy_pool_init(struct copy_pool *pool, const struct driver_open_args *args);
void copy_pool_deinit(struct copy_pool *pool);

/* How many packets of up to @cap_bytes still fit. */
unsigned int copy_room(const struct copy_chunk *chunk, uint32_t cap_bytes);

/* @packet: its offset is ignored. Return: whether it fitted. */
bool copy_add(struct copy_chunk *chunk, const struct copy_packet *packet, const uint8_t *bytes);

/* Collects packets in @chunk, which is empty. Return: as claim(). */
typedef int copy_fill_fn(struct driver_source *source, struct copy_chunk *chunk);

/* Parts of live drivers, where each packet is one on the wire. claim(), by way of @fill: idle, too,
 * if more workers claim than were announced. */
int copy_claim(struct copy_pool *pool, struct driver_source *source, copy_fill_fn *fill,
	struct driver_chunk *ret_chunk);
int copy_next_batch(
	struct driver_source *source, struct driver_chunk *chunk, struct packet_batch *batch);
void copy_rewind(struct driver_source *source, struct driver_chunk *chunk);
void copy_release(struct driver_source *source, struct driver_chunk *chunk);

#endif
