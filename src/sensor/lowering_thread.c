/* SPDX-License-Identifier: BSD-2-Clause */
/* A thread that makes programs for a device: of a lowering, or of a hook. */
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/thread.h"
#include "lowering_private.h"

int lowering_thread_start(struct lowering_thread *thread, pthread_mutex_t *lock,
	void *(*main)(void *argument), void *argument)
{
	pthread_condattr_t monotonic;
	int r;

	(void)pthread_condattr_init(&monotonic); /* these cannot fail on Linux */
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&thread->asked, &monotonic);
	thread->lock = lock;
	r = thread_start(&thread->id, main, argument);
	thread->started = r == 0;
	return r;
}

void lowering_thread_stop(struct lowering_thread *thread)
{
	if (!thread->started)
		return;
	(void)pthread_mutex_lock(thread->lock);
	thread->over = true;
	lowering_thread_wake(thread);
	(void)pthread_mutex_unlock(thread->lock);
	(void)pthread_join(thread->id, NULL);
	(void)pthread_cond_destroy(&thread->asked);
	thread->started = false;
}

void lowering_thread_wake(struct lowering_thread *thread)
{
	(void)pthread_cond_signal(&thread->asked);
}

void lowering_thread_wait(struct lowering_thread *thread, uint64_t until_ns)
{
	const struct timespec until = { .tv_sec = (time_t)(until_ns / 1000000000u),
		.tv_nsec = (long)(until_ns % 1000000000u) };

	if (until_ns == UINT64_MAX)
		(void)pthread_cond_wait(&thread->asked, thread->lock);
	else
		(void)pthread_cond_timedwait(&thread->asked, thread->lock, &until);
}

void lowering_barrier(void)
{
	/* It is the kernel's synchronize_rcu(). Where it is refused (nohz_full), a packet that a
	 * program counts meanwhile would have to take as long as the pause. */
	const struct timespec pause = { .tv_sec = 1 };

	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		(void)nanosleep(&pause, NULL);
}
