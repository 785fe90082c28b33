/* SPDX-License-Identifier: BSD-2-Clause */
/* Closing what clients have sent: see closer.h. */
#include "closer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/thread.h"

/* More than a message can bring: 253, SCM_MAX_FD of the kernel. */
#define CLOSER_PLACES 300u

struct closer_note {
	struct closer_note *next;
	int fd;
};

/**
 * struct closer - a queue and its thread
 * @n_pending: noted and not closed yet
 * @started:   the thread runs; it does from the first note on
 * @over:      it is to end when nothing is noted
 * @refs:      the owner and the thread
 */
struct closer {
	pthread_mutex_t lock;
	pthread_cond_t noted;
	struct closer_note *first; /* GUARDED_BY(lock), as all that follows */
	struct closer_note **last;
	unsigned int n_pending;
	bool started;
	bool over;
	unsigned int refs;
	pthread_t thread;
};

int closer_new(struct closer **ret)
{
	struct closer *closer = calloc(1, sizeof(*closer));

	if (!closer)
		return -ENOMEM;
	(void)pthread_mutex_init(&closer->lock, NULL); /* these cannot fail on Linux */
	(void)pthread_cond_init(&closer->noted, NULL);
	closer->last = &closer->first;
	closer->refs = 1;
	*ret = closer;
	return 0;
}

static void closer_unref(struct closer *closer)
{
	bool is_last;

	(void)pthread_mutex_lock(&closer->lock);
	is_last = --closer->refs == 0;
	(void)pthread_mutex_unlock(&closer->lock);
	if (!is_last)
		return;
	while (closer->first) {
		struct closer_note *note = closer->first;

		closer->first = note->next;
		free(note);
	}
	(void)pthread_cond_destroy(&closer->noted);
	(void)pthread_mutex_destroy(&closer->lock);
	free(closer);
}

static void *closer_main(void *argument)
{
	struct closer *closer = argument;
	struct closer_note *note;

	(void)pthread_mutex_lock(&closer->lock);
	for (;;) {
		while (!closer->first && !closer->over)
			(void)pthread_cond_wait(&closer->noted, &closer->lock);
		note = closer->first;
		if (!note)
			break;
		closer->first = note->next;
		if (!note->next)
			closer->last = &closer->first;
		(void)pthread_mutex_unlock(&closer->lock);
		(void)close(note->fd); /* what its sender loses is his */
		free(note);
		(void)pthread_mutex_lock(&closer->lock);
		closer->n_pending--;
	}
	(void)pthread_mutex_unlock(&closer->lock);
	closer_unref(closer);
	return NULL;
}

/* With the lock held. */
static bool closer_start(struct closer *closer)
{
	closer->started = thread_start(&closer->thread, closer_main, closer) == 0;
	closer->refs += closer->started;
	return closer->started;
}

struct closer *closer_free(struct closer *closer)
{
	bool started, hangs;

	if (!closer)
		return NULL;
	(void)pthread_mutex_lock(&closer->lock);
	closer->over = true;
	started = closer->started;
	hangs = closer->n_pending > 0;
	(void)pthread_cond_signal(&closer->noted);
	(void)pthread_mutex_unlock(&closer->lock);
	if (started && hangs)
		(void)pthread_detach(closer->thread);
	else if (started)
		(void)pthread_join(closer->thread, NULL);
	closer_unref(closer);
	return NULL;
}

void closer_close(struct closer *closer, int fd)
{
	struct closer_note *note = malloc(sizeof(*note));

	if (!note) {
		(void)close(fd);
		return;
	}
	*note = (struct closer_note){ .fd = fd };
	(void)pthread_mutex_lock(&closer->lock);
	*closer->last = note;
	closer->last = &note->next;
	closer->n_pending++;
	if (!closer->started)
		(void)closer_start(closer); /* or with the next one */
	(void)pthread_cond_signal(&closer->noted);
	(void)pthread_mutex_unlock(&closer->lock);
}

unsigned int closer_n_pending(struct closer *closer)
{
	unsigned int n_pending;

	(void)pthread_mutex_lock(&closer->lock);
	n_pending = closer->n_pending;
	(void)pthread_mutex_unlock(&closer->lock);
	return n_pending;
}

bool closer_has_places(int fd)
{
	struct rlimit limit;
	int lowest = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (lowest < 0)
		return false;
	(void)close(lowest);
	/* The lowest free place is the first to be taken, so nothing that stays lies higher. */
	return getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
		(rlim_t)lowest + MIN((rlim_t)CLOSER_PLACES, limit.rlim_cur / 4) < limit.rlim_cur;
}
