/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Numbers that programs and this process give out together (base/sampling.h): one map of cells for
 * all programs of a process, which outlives each of them, so that another program goes on where the
 * one before it was. Beside it, what else they all share (super.c).
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/sampling.h"
#include "kernel_private.h"
#include "mapi/errors.h"

/*
 * @lock:    guards all of it
 * @fd:      the map; -1: there is none yet
 * @at:      its cells; NULL as long
 * @is_used: of each cell
 * @super_fd: memory of kernel_super_open(); -1: there is none yet
 */
struct kernel_turns {
	pthread_mutex_t lock;
	int fd;
	struct sampling_turns *at;
	bool is_used[KERNEL_TURNS_MAX];
	int super_fd;
};

int kernel_turns_new(struct kernel_turns **ret)
{
	struct kernel_turns *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->fd = t->super_fd = -1;
	(void)pthread_mutex_init(&t->lock, NULL);
	*ret = t;
	return 0;
}

struct kernel_turns *kernel_turns_free(struct kernel_turns *turns)
{
	if (!turns)
		return NULL;
	if (turns->at)
		(void)munmap(turns->at, KERNEL_TURNS_BYTES);
	cleanup_closep(&turns->fd);
	cleanup_closep(&turns->super_fd);
	(void)pthread_mutex_destroy(&turns->lock);
	free(turns);
	return NULL;
}

int kernel_turns_get(struct kernel_turns *turns)
{
	int cell = -1;

	if (!turns)
		return -1;
	(void)pthread_mutex_lock(&turns->lock);
	for (unsigned int i = 0; cell < 0 && i < KERNEL_TURNS_MAX; i++) {
		if (turns->is_used[i])
			continue;
		turns->is_used[i] = true;
		cell = (int)i;
	}
	(void)pthread_mutex_unlock(&turns->lock);
	return cell;
}

void kernel_turns_put(struct kernel_turns *turns, int cell)
{
	(void)pthread_mutex_lock(&turns->lock);
	turns->is_used[cell] = false;
	(void)pthread_mutex_unlock(&turns->lock);
}

struct sampling_turns *kernel_turns_at(struct kernel_turns *turns, int cell)
{
	struct sampling_turns *at;

	(void)pthread_mutex_lock(&turns->lock);
	at = turns->at ? &turns->at[cell] : NULL;
	(void)pthread_mutex_unlock(&turns->lock);
	return at;
}

int kernel_turns_open(struct error *err)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(
		BPF_MAP_TYPE_ARRAY, "mapi_turns", sizeof(uint32_t), KERNEL_TURNS_BYTES, 1, &opts);

	return fd >= 0 ? fd
		       : kernel_load_fail(err, "making memory for samples in the kernel", errno);
}

/* With the lock held. @fd is taken. */
static int turns_map(struct kernel_turns *turns, int fd, struct error *err)
{
	void *at;

	if (turns->at) {
		(void)close(fd);
		return 0;
	}
	at = mmap(NULL, KERNEL_TURNS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED) {
		(void)error_set(err, MFUNCT_NOT_SUPPORTED, "mapping the numbers of samples: %s",
			strerror(errno));
		(void)close(fd);
		return -EINVAL;
	}
	turns->at = at;
	turns->fd = fd;
	return 0;
}

int kernel_turns_map(struct kernel_turns *turns, int fd, struct error *err)
{
	int r;

	(void)pthread_mutex_lock(&turns->lock);
	r = turns_map(turns, fd, err);
	(void)pthread_mutex_unlock(&turns->lock);
	return r;
}

int kernel_turns_super(struct kernel_turns *turns, struct error *err)
{
	int r;

	(void)pthread_mutex_lock(&turns->lock);
	if (turns->super_fd < 0)
		turns->super_fd = kernel_super_open(err);
	r = turns->super_fd;
	(void)pthread_mutex_unlock(&turns->lock);
	return r;
}

/* Memory for samples, if there is none yet. Return: 0, negative errno with @err filled. */
static int turns_make(struct kernel_turns *turns, struct error *err)
{
	int r = 0;

	(void)pthread_mutex_lock(&turns->lock);
	if (!turns->at) {
		r = kernel_turns_open(err);
		if (r >= 0)
			r = turns_map(turns, r, err);
	}
	(void)pthread_mutex_unlock(&turns->lock);
	return r;
}

int kernel_turns_load(
	void *argument, const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	struct kernel_turns *turns = argument;
	int super_fd = -1, r = 0;

	if (!turns)
		return kernel_code_load(code, ret, err);
	if (kernel_code_samples(code))
		r = turns_make(turns, err);
	if (r == 0 && kernel_code_has_root(code))
		r = super_fd = kernel_turns_super(turns, err);
	return r < 0 ? r : kernel_load_fresh(code, turns->fd, super_fd, ret, err);
}
