/* SPDX-License-Identifier: BSD-2-Clause */
/* Chunks that hold copies of packets: see copy_private.h. */
#include "copy_private.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

_Static_assert(COPY_BYTES >= PACKET_CAP_BYTES_MAX, "every packet fits into an empty chunk");

int copy_pool_init(struct copy_pool *pool, const struct driver_open_args *args)
{
	*pool = (struct copy_pool){ .batch_pkts = args->batch_pkts };
	(void)pthread_mutex_init(&pool->lock, NULL);
	/* A worker gives its chunk back before it claims the next. */
	for (unsigned int i = 0; i < args->n_workers; i++) {
		/* Pages are touched when packets come. */
		struct copy_chunk *chunk = malloc(sizeof(*chunk));

		if (!chunk)
			return -ENOMEM;
		chunk->pool = pool;
		chunk->next = pool->unused;
		pool->unused = chunk;
	}
	return 0;
}

void copy_pool_deinit(struct copy_pool *pool)
{
	while (pool->unused) {
		struct copy_chunk *chunk = pool->unused;

		pool->unused = chunk->next;
		free(chunk);
	}
	(void)pthread_mutex_destroy(&pool->lock);
}

/* Return: an empty chunk; NULL: none is left. */
static struct copy_chunk *copy_take(struct copy_pool *pool)
{
	struct copy_chunk *chunk;

	(void)pthread_mutex_lock(&pool->lock);
	chunk = pool->unused;
	if (chunk)
		pool->unused = chunk->next;
	(void)pthread_mutex_unlock(&pool->lock);
	if (chunk)
		chunk->n = chunk->at = chunk->n_bytes = 0;
	return chunk;
}

static void copy_put(struct copy_chunk *chunk)
{
	struct copy_pool *pool = chunk->pool;

	(void)pthread_mutex_lock(&pool->lock);
	chunk->next = pool->unused;
	pool->unused = chunk;
	(void)pthread_mutex_unlock(&pool->lock);
}

unsigned int copy_room(const struct copy_chunk *chunk, uint32_t cap_bytes)
{
	return MIN(COPY_PKTS_MAX - chunk->n, (COPY_BYTES - chunk->n_bytes) / MAX(cap_bytes, 1u));
}

bool copy_add(struct copy_chunk *chunk, const struct copy_packet *packet, const uint8_t *bytes)
{
	struct copy_packet *copy = &chunk->packets[chunk->n];

	if (copy_room(chunk, packet->cap_bytes) == 0)
		return false;
	*copy = *packet;
	copy->offset = chunk->n_bytes;
	memcpy(chunk->bytes + chunk->n_bytes, bytes, packet->cap_bytes);
	chunk->n_bytes += packet->cap_bytes;
	chunk->n++;
	return true;
}

int copy_claim(struct copy_pool *pool, struct driver_source *source, copy_fill_fn *fill,
	struct driver_chunk *ret_chunk)
{
	struct copy_chunk *c = copy_take(pool);
	int r;

	if (!c)
		return DRIVER_E_IDLE;
	r = fill(source, c);
	if (r != 0) {
		copy_put(c);
		return r;
	}
	*ret_chunk = (struct driver_chunk){ .seq = pool->next_seq++, .impl = c };
	return 0;
}

int copy_next_batch(
	struct driver_source *source, struct driver_chunk *chunk, struct packet_batch *batch)
{
	struct copy_chunk *c = chunk->impl;
	unsigned int n = MIN(c->n - c->at, c->pool->batch_pkts);

	(void)source;
	batch->n = n;
	if (n == 0)
		return DRIVER_E_END;
	batch->linktype = c->linktype;
	batch->is_live = true;
	for (unsigned int i = 0; i < n; i++) {
		const struct copy_packet *packet = &c->packets[c->at + i];

		batch->data[i] = c->bytes + packet->offset;
		batch->cap_bytes[i] = packet->cap_bytes;
		batch->wire_bytes[i] = packet->wire_bytes;
		batch->ts_ns[i] = packet->ts_ns;
		batch->ifindex[i] = c->ifindex;
		batch->flags[i] = 0;
		batch->wire_pkts[i] = 1;
		batch->all_wire_bytes[i] = packet->wire_bytes;
	}
	c->at += n;
	return 0;
}

void copy_rewind(struct driver_source *source, struct driver_chunk *chunk)
{
	struct copy_chunk *c = chunk->impl;

	(void)source;
	c->at = 0;
}

void copy_release(struct driver_source *source, struct driver_chunk *chunk)
{
	(void)source;
	copy_put(chunk->impl);
	chunk->impl = NULL;
}
