/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The result area: see area.h. Blocks are multiples of RESULTS_ALIGN_BYTES; freed ones wait in a
 * list per length, threaded through the blocks' numbers outside the area, because clients can read
 * it and the engine must not depend on what is in it.
 */
#include "area.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "wire/results.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1; glibc 2.36 hides it behind kernel headers */
#endif

/* Short blocks have a list for each length, long ones one for each power of two. */
#define AREA_SMALL_BYTES 4096u
#define AREA_BLOCK_BYTES_MAX (AREA_SMALL_BYTES << 9)
#define AREA_LISTS (AREA_SMALL_BYTES / RESULTS_ALIGN_BYTES + 9 + 1)

struct area {
	int fd;
	uint8_t *base;
	size_t bytes;
	size_t used_bytes;
	struct area_list {
		uint64_t *offsets;
		size_t n, size;
	} lists[AREA_LISTS];
};

int area_new(struct area **ret, size_t bytes)
{
	_cleanup_(area_freep) struct area *area = calloc(1, sizeof(*area));
	void *base;

	if (!area)
		return -ENOMEM;
	area->fd = memfd_create("mapi-results", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (area->fd < 0)
		return -errno;
	if (ftruncate(area->fd, (off_t)bytes) < 0)
		return -errno;
	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, area->fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	area->base = base;
	area->bytes = bytes;
	/* After this nobody who gets the descriptor can map it writable or resize it. */
	if (fcntl(area->fd, F_ADD_SEALS,
		    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
		return -errno;
	*ret = TAKE(area);
	return 0;
}

struct area *area_free(struct area *area)
{
	if (!area)
		return NULL;
	if (area->base)
		(void)munmap(area->base, area->bytes); /* the range is ours */
	cleanup_closep(&area->fd);
	for (size_t l = 0; l < AREA_LISTS; l++)
		free(area->lists[l].offsets);
	free(area);
	return NULL;
}

int area_fd(const struct area *area)
{
	return area->fd;
}

size_t area_bytes(const struct area *area)
{
	return area->bytes;
}

void *area_at(const struct area *area, uint64_t offset)
{
	return area->base + offset;
}

/* How long the block for @bytes is. Long ones are powers of two, so that results of many lengths
 * find each other's blocks. */
static size_t area_block_bytes(size_t bytes)
{
	size_t block_bytes = AREA_SMALL_BYTES;

	if (bytes <= AREA_SMALL_BYTES)
		return (bytes + RESULTS_ALIGN_BYTES - 1) / RESULTS_ALIGN_BYTES *
			RESULTS_ALIGN_BYTES;
	while (block_bytes < bytes)
		block_bytes *= 2;
	return block_bytes;
}

static struct area_list *area_list(struct area *area, size_t block_bytes)
{
	size_t class = block_bytes / RESULTS_ALIGN_BYTES;

	if (block_bytes > AREA_SMALL_BYTES) {
		class = AREA_SMALL_BYTES / RESULTS_ALIGN_BYTES;
		for (; block_bytes > AREA_SMALL_BYTES; block_bytes /= 2)
			class ++;
	}
	return &area->lists[class];
}

uint64_t area_get(struct area *area, size_t bytes)
{
	size_t block_bytes;
	struct area_list *list;
	uint64_t offset;

	if (bytes > AREA_BLOCK_BYTES_MAX)
		return AREA_NONE;
	block_bytes = area_block_bytes(bytes);
	list = area_list(area, block_bytes);
	if (list->n) {
		offset = list->offsets[--list->n];
	} else {
		if (block_bytes > area->bytes - area->used_bytes)
			return AREA_NONE;
		offset = area->used_bytes;
		area->used_bytes += block_bytes;
	}
	memset(area->base + offset, 0, bytes);
	return offset;
}

void area_put(struct area *area, uint64_t offset, size_t bytes)
{
	struct area_list *list;

	if (offset == AREA_NONE)
		return;
	list = area_list(area, area_block_bytes(bytes));
	if (list->n == list->size) {
		size_t size = list->size ? 2 * list->size : 16;
		uint64_t *grown = realloc(list->offsets, size * sizeof(grown[0]));

		if (!grown)
			return; /* the block is lost until the client goes: bounded by its area */
		list->offsets = grown;
		list->size = size;
	}
	list->offsets[list->n++] = offset;
}
