/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads of a library or a daemon: signals are not their business. */
#ifndef MAPI_BASE_THREAD_H
#define MAPI_BASE_THREAD_H

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

/**
 * thread_start() - a thread that no signal interrupts
 * @ret:  the thread, to be joined; written only on success
 * @main: what it runs, with @arg
 *
 * All signals are blocked in it but those of its own faults: SIGBUS is how a mapped file tells that
 * it has become shorter, and a fault that is blocked kills whatever handler there is.
 * Thread safety: any thread.
 *
 * Return: 0, or a negative errno.
 */
static inline int thread_start(pthread_t *ret, void *(*main)(void *), void *arg)
{
	static const int faults[] = { SIGBUS, SIGSEGV, SIGFPE, SIGILL };
	sigset_t all, old;
	int r;

	(void)sigfillset(&all); /* these cannot fail for valid numbers */
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		(void)sigdelset(&all, faults[i]);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(ret, NULL, main, arg);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

#endif
