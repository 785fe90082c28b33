/* SPDX-License-Identifier: BSD-2-Clause */
/* Closing what clients have sent: see closer.h. */
#include "closer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/thread.h"

/* What closing may take; then a signal comes, over and over. By default nobody notices it. */
#define CLOSER_PATIENCE_NS 5000000
#define CLOSER_SIGNAL SIGURG

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

static void closer_on_signal(int signo)
{
}

/* Waiting ends for a signal that somebody handles. */
static void closer_handle_signal(void)
{
	const struct sigaction action = { .sa_handler = closer_on_signal };

	(void)sigaction(CLOSER_SIGNAL, &action, NULL); /* cannot fail */
}

int closer_new(struct closer **ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct closer *closer = calloc(1, sizeof(*closer));

	if (!closer)
		return -ENOMEM;
	(void)pthread_once(&once, closer_handle_signal);
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

/* Of this thread. Return: whether there is one; without, what lingers does. */
static bool closer_make_timer(timer_t *ret)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = CLOSER_SIGNAL };

	event._sigev_un._tid = gettid(); /* the manual's name for it is not everywhere */
	return timer_create(CLOCK_MONOTONIC, &event, ret) == 0;
}

static void closer_let_signal_in(void)
{
	sigset_t one;

	(void)sigemptyset(&one); /* these cannot fail for valid numbers */
	(void)sigaddset(&one, CLOSER_SIGNAL);
	(void)pthread_sigmask(SIG_UNBLOCK, &one, NULL);
}

static void closer_set_timer(timer_t timer, long ns)
{
	const struct itimerspec times = { .it_value = { .tv_nsec = ns },
		.it_interval = { .tv_nsec = ns } };

	(void)timer_settime(timer, 0, &times, NULL); /* cannot fail */
}

static void *closer_main(void *argument)
{
	struct closer *closer = argument;
	struct closer_note *note;
	timer_t timer;
	bool has_timer = closer_make_timer(&timer);

	closer_let_signal_in();

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
		if (has_timer)
			closer_set_timer(timer, CLOSER_PATIENCE_NS);
		(void)close(note->fd); /* what its sender loses is his */
		if (has_timer)
			closer_set_timer(timer, 0);
		free(note);
		(void)pthread_mutex_lock(&closer->lock);
		closer->n_pending--;
	}
	(void)pthread_mutex_unlock(&closer->lock);
	if (has_timer)
		(void)timer_delete(timer);
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

bool closer_is_done(struct closer *closer)
{
	bool is_done;

	if (!closer)
		return true;
	(void)pthread_mutex_lock(&closer->lock);
	is_done = closer->n_pending == 0;
	if (!is_done && !closer->started && closer_start(closer))
		(void)pthread_cond_signal(&closer->noted);
	(void)pthread_mutex_unlock(&closer->lock);
	return is_done;
}

/* Whether @n times as many places are free as are kept for messages. */
static bool closer_has(int fd, unsigned int n)
{
	struct rlimit limit;
	int lowest = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (lowest < 0)
		return false;
	(void)close(lowest);
	/* The lowest free place is the first to be taken, so nothing that stays lies higher. */
	return getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
		(rlim_t)lowest + n * MIN((rlim_t)CLOSER_PLACES, limit.rlim_cur / 4) <
		limit.rlim_cur;
}

bool closer_has_places(int fd)
{
	return closer_has(fd, 1);
}

bool closer_has_room(int fd)
{
	return closer_has(fd, 2);
}
