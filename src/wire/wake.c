/* SPDX-License-Identifier: BSD-2-Clause */
#include "wake.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define WAKE_EXPIRY_MS 100 /* a timer that is due expires sooner, unless the machine stalls */

int wake_new(bool for_strangers)
{
	int fd = for_strangers ? timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)
			       : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void wake_signal(int fd)
{
	static const struct itimerspec at_once = { .it_value = { .tv_nsec = 1 } };
	static const uint64_t one = 1;
	int saved_errno = errno;

	/* A timerfd refuses to be written, whoever it is shared with. An eventfd fails only when it
	 * is readable already. */
	if (write(fd, &one, sizeof(one)) < 0 && errno == EINVAL)
		(void)timerfd_settime(fd, 0, &at_once, NULL);
	errno = saved_errno;
}

void wake_signal_now(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	int saved_errno = errno;

	wake_signal(fd);
	(void)poll(&pollfd, 1, WAKE_EXPIRY_MS);
	errno = saved_errno;
}

void wake_clear(int fd)
{
	static const struct itimerspec never = { .it_value = { .tv_nsec = 0 } };
	int saved_errno = errno;
	uint64_t count;

	/* That also forgets an expiry that nobody has read. An eventfd is no timer. */
	if (timerfd_settime(fd, 0, &never, NULL) < 0)
		(void)!read(fd, &count, sizeof(count)); /* empty is fine */
	errno = saved_errno;
}
