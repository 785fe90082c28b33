/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mapped files that may become shorter while they are read.
 *
 * Reading a page behind the new end raises SIGBUS. The handler finds the mapping in a table without
 * locks, puts zero pages over the rest of it and marks it; the reader goes on with zeros, and asks
 * file_map_valid_bytes() before it believes what it read. A fault elsewhere goes to the handler
 * that was there before. This handler is the one piece of process-wide state of the driver: signals
 * have no other kind.
 */
#include "file_private.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define FILE_MAPS_MAX 64u
#define FILE_MAP_WHOLE SIZE_MAX

/**
 * struct file_map - one mapping; lives in the table
 * @start:       address, 0: the entry is free; stored last, with release order
 * @n_bytes:     of the file when it was mapped
 * @fault_at:    least offset that could not be read; FILE_MAP_WHOLE: none
 */
struct file_map {
	_Atomic bool used;
	_Atomic uintptr_t start;
	size_t n_bytes;
	_Atomic size_t fault_at;
	int fd;
};

static struct file_map file_maps[FILE_MAPS_MAX];
static struct sigaction file_map_previous;
static _Atomic size_t file_map_page_bytes;
static pthread_mutex_t file_map_lock = PTHREAD_MUTEX_INITIALIZER;

static void file_map_lower(struct file_map *map, size_t to)
{
	size_t old = atomic_load_explicit(&map->fault_at, memory_order_relaxed);

	while (to < old && !atomic_compare_exchange_weak(&map->fault_at, &old, to))
		;
}

/* Return: whether the fault was in a mapping of ours. */
static bool file_map_mend(uintptr_t address)
{
	for (size_t i = 0; i < FILE_MAPS_MAX; i++) {
		struct file_map *map = &file_maps[i];
		/* Pairs with the release in file_map_new(). */
		uintptr_t start = atomic_load_explicit(&map->start, memory_order_acquire);
		size_t at, length;

		if (start == 0 || address < start || address - start >= map->n_bytes)
			continue;
		at = (address - start) & ~(file_map_page_bytes - 1);
		length = map->n_bytes - at;
		if (mmap((void *)(start + at), length, PROT_READ,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
			return false;
		file_map_lower(map, at);
		return true;
	}
	return false;
}

static void file_map_fault(int signo, siginfo_t *info, void *context)
{
	int saved_errno = errno;

	if (file_map_mend((uintptr_t)info->si_addr)) {
		errno = saved_errno;
		return;
	}
	if (file_map_previous.sa_flags & SA_SIGINFO) {
		file_map_previous.sa_sigaction(signo, info, context);
	} else if (file_map_previous.sa_handler != SIG_DFL &&
		file_map_previous.sa_handler != SIG_IGN) {
		file_map_previous.sa_handler(signo);
	} else {
		/* The instruction faults again, and the default action ends the process. */
		(void)signal(signo, SIG_DFL);
	}
	errno = saved_errno;
}

/* With each mapping: somebody may have put another handler in front, or in the place, of ours. */
static void file_map_install(void)
{
	struct sigaction action = { .sa_sigaction = file_map_fault, .sa_flags = SA_SIGINFO };
	struct sigaction now;

	(void)sigemptyset(&action.sa_mask);
	(void)pthread_mutex_lock(&file_map_lock);
	file_map_page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	/* These calls cannot fail for SIGBUS. */
	(void)sigaction(SIGBUS, NULL, &now);
	if (!(now.sa_flags & SA_SIGINFO) || now.sa_sigaction != file_map_fault) {
		file_map_previous = now;
		(void)sigaction(SIGBUS, &action, NULL);
	}
	(void)pthread_mutex_unlock(&file_map_lock);
}

static struct file_map *file_map_take_entry(void)
{
	for (size_t i = 0; i < FILE_MAPS_MAX; i++) {
		bool used = false;

		if (atomic_compare_exchange_strong(&file_maps[i].used, &used, true))
			return &file_maps[i];
	}
	return NULL;
}

int file_map_new(struct file_map **ret, int fd, size_t n_bytes)
{
	struct file_map *map;
	void *bytes;

	file_map_install();
	map = file_map_take_entry();
	if (!map)
		return -ENOSPC;
	bytes = mmap(NULL, n_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED) {
		int r = -errno;

		atomic_store(&map->used, false);
		return r;
	}
	/* Read ahead generously from slow disks. Filling the page tables beforehand (MAP_POPULATE,
	 * MADV_POPULATE_READ) costs a tenth more than the faults do, which map 16 pages at once. */
	(void)madvise(bytes, n_bytes, MADV_SEQUENTIAL);
	map->fd = fd;
	map->n_bytes = n_bytes;
	atomic_store_explicit(&map->fault_at, FILE_MAP_WHOLE, memory_order_relaxed);
	/* Pairs with the acquire in file_map_mend(). */
	atomic_store_explicit(&map->start, (uintptr_t)bytes, memory_order_release);
	*ret = map;
	return 0;
}

const uint8_t *file_map_bytes(const struct file_map *map)
{
	return (const uint8_t *)atomic_load_explicit(&map->start, memory_order_relaxed);
}

size_t file_map_valid_bytes(struct file_map *map)
{
	struct stat st;

	/* A page that holds the new end is not lost, only zeroed: the handler alone sees too
	 * little. */
	if (fstat(map->fd, &st) == 0 && (uint64_t)st.st_size < map->n_bytes)
		file_map_lower(map, (size_t)st.st_size);
	return MIN(atomic_load_explicit(&map->fault_at, memory_order_relaxed), map->n_bytes);
}

struct file_map *file_map_free(struct file_map *map)
{
	uintptr_t start;

	if (!map)
		return NULL;
	start = atomic_exchange(&map->start, 0);
	(void)munmap((void *)start, map->n_bytes); /* fails only for addresses that are not ours */
	atomic_store(&map->used, false);
	return NULL;
}
