/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The result area: see area.h. Blocks are multiples of RESULTS_ALIGN_BYTES; freed ones wait in a
 * list per size, threaded through the blocks' numbers outside the area, because clients can read it
 * and the engine must not depend on what is in it.
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

#define AREA_CLASSES 1024 /* blocks up to 64 KiB are reused; larger ones do not occur */

struct area {
	int fd;
	uint8_t *base;
	size_t bytes;
	size_t used_bytes;
	struct area_list {
		uint64_t *offsets;
		size_t n, size;
	} lists[AREA_CLASSES + 1];
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
	for (size_t c = 0; c <= AREA_CLASSES; c++)
		free(area->lists[c].offsets);
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

static size_t area_class(size_t bytes)
{
	return (bytes + RESULTS_ALIGN_BYTES - 1) / RESULTS_ALIGN_BYTES;
}

uint64_t area_get(struct area *area, size_t bytes)
{
	size_t class = area_class(bytes);
	struct area_list *list = &area->lists[MIN(class, (size_t)AREA_CLASSES)];
	uint64_t offset;

	if (class < AREA_CLASSES && list->n) {
		offset = list->offsets[--list->n];
	} else {
		if (class * RESULTS_ALIGN_BYTES > area->bytes - area->used_bytes)
			return AREA_NONE;
		offset = area->used_bytes;
		area->used_bytes += class * RESULTS_ALIGN_BYTES;
	}
	memset(area->base + offset, 0, class * RESULTS_ALIGN_BYTES);
	return offset;
}

void area_put(struct area *area, uint64_t offset, size_t bytes)
{
	size_t class = area_class(bytes);
	struct area_list *list = &area->lists[MIN(class, (size_t)AREA_CLASSES)];

	if (offset == AREA_NONE || class >= AREA_CLASSES)
		return;
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
