/* SPDX-License-Identifier: BSD-2-Clause */
/* What strangers have sent is closed, however long that takes: closer.h, bin.h. */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "bin.h"
#include "closer.h"
#include "wire/test_send.h"

#define CLOSER_LINGER_S 30
#define CLOSER_WAIT_MS 10000

/* ---- no threads to be had ---- */

static bool closer_no_threads;

int __real_pthread_create(
	pthread_t *ret, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_pthread_create(
	pthread_t *ret, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);

int __wrap_pthread_create(
	pthread_t *ret, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
	return closer_no_threads ? EAGAIN : __real_pthread_create(ret, attributes, run, argument);
}

/* ---- descriptors ---- */

/* A connection with @fd in what has come; the other end has gone. */
static int closer_connection(int fd)
{
	int fds[2];

	assert_true(fd >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_true(test_send_copies(fds[0], "", 1, fd, 1));
	(void)close(fd);
	(void)close(fds[0]);
	return fds[1];
}

/* Until nobody has the other end any more. */
static void closer_await_end(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	assert_int_equal(poll(&p, 1, CLOSER_WAIT_MS), 1);
	assert_true(p.revents & (POLLHUP | POLLRDHUP));
	(void)close(fd);
}

static void closer_await_done(struct closer *closer)
{
	uint64_t begin_ns = clock_monotonic_ns();

	while (!closer_is_done(closer)) {
		assert_true(clock_monotonic_ns() - begin_ns < CLOSER_WAIT_MS * UINT64_C(1000000));
		(void)poll(NULL, 0, 1);
	}
}

/* ---- tests ---- */

static void sockets_that_linger_are_closed_at_once(void **state)
{
	struct closer *closer;
	int peers[3];

	assert_int_equal(closer_new(&closer), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(peers); i++) {
		int fd = test_lingering(CLOSER_LINGER_S, &peers[i]);

		closer_close(closer, i ? closer_connection(fd) : fd);
	}
	closer_await_done(closer);
	closer_free(closer);
	for (unsigned int i = 0; i < ARRAY_SIZE(peers); i++)
		(void)close(peers[i]);
}

static void a_thread_that_could_not_start_starts_later(void **state)
{
	struct closer *closer;
	int fds[2];

	assert_int_equal(closer_new(&closer), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	closer_no_threads = true;
	closer_close(closer, fds[1]);
	assert_int_equal(closer_n_pending(closer), 1);
	assert_false(closer_is_done(closer));
	closer_no_threads = false;
	closer_await_done(closer);
	closer_await_end(fds[0]);
	closer_free(closer);
}

static void what_is_refused_is_closed_by_another_process(void **state)
{
	struct bin *bin;
	int fds[2], peer;

	assert_int_equal(bin_new(&bin), 0);
	for (unsigned int i = 0; i < 2; i++) { /* another process each time */
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
		assert_int_equal(
			bin_throw(bin, closer_connection(test_lingering(CLOSER_LINGER_S, &peer))),
			0);
		assert_int_equal(bin_throw(bin, closer_connection(fds[1])), 0);
		closer_await_end(fds[0]);
		(void)close(peer);
	}
	/* With the end of the engine, too. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(bin_throw(bin, closer_connection(fds[1])), 0);
	bin_free(bin);
	closer_await_end(fds[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_that_linger_are_closed_at_once),
		cmocka_unit_test(a_thread_that_could_not_start_starts_later),
		cmocka_unit_test(what_is_refused_is_closed_by_another_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
