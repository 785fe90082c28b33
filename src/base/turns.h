/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lock whose holders take turns in the order in which they came: whoever asks again at once comes
 * after all who wait. For what takes long; a mutex is faster and promises no order.
 */
#ifndef MAPI_BASE_TURNS_H
#define MAPI_BASE_TURNS_H

#include <pthread.h>
#include <stdint.h>

/**
 * struct turns - the lock
 * @n_taken: turns that somebody waits for, has or had
 * @n_over:  of them, those that are over
 */
struct turns {
	pthread_mutex_t lock;
	pthread_cond_t next;
	uint64_t n_taken;
	uint64_t n_over;
};

#define TURNS_INIT                                                                  \
	{                                                                           \
		.lock = PTHREAD_MUTEX_INITIALIZER, .next = PTHREAD_COND_INITIALIZER \
	}

/* Wait for one's turn. Any thread that does not have it. */
static inline void turns_begin(struct turns *turns)
{
	uint64_t mine;

	(void)pthread_mutex_lock(&turns->lock);
	mine = turns->n_taken++;
	while (mine != turns->n_over)
		(void)pthread_cond_wait(&turns->next, &turns->lock);
	(void)pthread_mutex_unlock(&turns->lock);
}

/* The turn is over; by the thread that has it. */
static inline void turns_end(struct turns *turns)
{
	(void)pthread_mutex_lock(&turns->lock);
	turns->n_over++;
	(void)pthread_cond_broadcast(&turns->next);
	(void)pthread_mutex_unlock(&turns->lock);
}

#endif
