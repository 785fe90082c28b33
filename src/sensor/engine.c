/* SPDX-License-Identifier: BSD-2-Clause */
/* The event loop: see engine.h. libevent carries the control plane only; packets never pass here.
 */
#include "engine.h"

#include <errno.h>
#include <event2/event.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "session.h"

#define ENGINE_SPIN_NS 50000u /* who has asked asks again soon: then do not sleep yet */

struct engine {
	struct event_base *base;
	int notify_fd;
	struct event *notified;
	struct event *timer;
	uint64_t answered_ns; /* when a client was last heard */
	struct session *session;
	struct event *readable;
	struct event *writable;
};

static void engine_end(struct engine *engine)
{
	(void)event_base_loopbreak(engine->base); /* fails only without a base */
}

/* After anything happened: does the session want to write, or to be polled? */
static void engine_rearm(struct engine *engine)
{
	uint32_t poll_ms = session_poll_ms(engine->session);
	struct timeval period = { .tv_sec = poll_ms / 1000,
		.tv_usec = (suseconds_t)(poll_ms % 1000) * 1000 };

	if (session_wants_write(engine->session))
		(void)event_add(engine->writable, NULL);
	if (poll_ms)
		(void)event_add(engine->timer, &period); /* one shot, from now */
	else
		(void)event_del(engine->timer);
}

static void engine_on_readable(evutil_socket_t fd, short what, void *argument)
{
	struct engine *engine = argument;

	if (session_read(engine->session) < 0)
		engine_end(engine);
	else
		engine_rearm(engine);
	engine->answered_ns = clock_monotonic_ns();
}

static void engine_on_writable(evutil_socket_t fd, short what, void *argument)
{
	struct engine *engine = argument;

	if (session_write(engine->session) < 0)
		engine_end(engine);
	else
		engine_rearm(engine);
}

static void engine_on_timer(evutil_socket_t fd, short what, void *argument)
{
	struct engine *engine = argument;

	if (session_poll(engine->session) < 0)
		engine_end(engine);
	else
		engine_rearm(engine);
}

static void engine_on_notify(evutil_socket_t fd, short what, void *argument)
{
	eventfd_t n;

	(void)eventfd_read(fd, &n); /* only to be told again later */
	engine_on_timer(fd, what, argument);
}

static void engine_deinit(struct engine *engine)
{
	struct event *events[] = { engine->notified, engine->timer, engine->readable,
		engine->writable };

	engine->session = session_free(engine->session);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (events[i])
			event_free(events[i]);
	if (engine->base)
		event_base_free(engine->base);
	cleanup_closep(&engine->notify_fd);
}

static int engine_init(struct engine *engine, int fd)
{
	int r;

	*engine = (struct engine){ .notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	if (engine->notify_fd < 0) {
		(void)close(fd);
		return -errno;
	}
	r = session_new(&engine->session, fd, engine->notify_fd);
	if (r < 0)
		return r;
	fd = session_fd(engine->session);
	engine->base = event_base_new();
	if (!engine->base)
		return -ENOMEM;
	engine->notified = event_new(
		engine->base, engine->notify_fd, EV_READ | EV_PERSIST, engine_on_notify, engine);
	engine->timer = event_new(engine->base, -1, 0, engine_on_timer, engine);
	engine->readable =
		event_new(engine->base, fd, EV_READ | EV_PERSIST, engine_on_readable, engine);
	engine->writable = event_new(engine->base, fd, EV_WRITE, engine_on_writable, engine);
	if (!engine->notified || !engine->timer || !engine->readable || !engine->writable)
		return -ENOMEM;
	if (event_add(engine->notified, NULL) < 0 || event_add(engine->readable, NULL) < 0)
		return -ENOMEM;
	return 0;
}

static int engine_loop(struct engine *engine)
{
	while (!event_base_got_break(engine->base)) {
		bool busy = clock_monotonic_ns() - engine->answered_ns < ENGINE_SPIN_NS;

		if (event_base_loop(engine->base, busy ? EVLOOP_NONBLOCK : EVLOOP_ONCE) < 0)
			return -EIO;
		if (busy)
			(void)sched_yield(); /* cannot fail */
	}
	return 0;
}

int engine_run_private(int fd)
{
	struct engine engine;
	int r = engine_init(&engine, fd);

	if (r == 0)
		r = engine_loop(&engine);
	engine_deinit(&engine);
	return r;
}
