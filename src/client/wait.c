/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waiting without reading: descriptors to poll, and the end of a flow.
 *
 * Packets and records have the descriptor of their ring. For results the daemon hands out a
 * descriptor per flow, which it signals when it has published something new; reading a result
 * empties it first, so that no news is lost between the two.
 */
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "client.h"
#include "wire/wake.h"

void flow_consume_news(struct flow *flow)
{
	int event_fd = atomic_load_explicit(&flow->event_fd, memory_order_relaxed);
	eventfd_t news;

	if (event_fd < 0 || atomic_load_explicit(&flow->is_end_told, memory_order_relaxed) ||
		eventfd_read(event_fd, &news) < 0)
		return;
	/* The end is news to everybody who waits, and for ever. */
	if (atomic_load(&flow->is_closed) || flow_finished(flow)) {
		atomic_store(&flow->is_end_told, true);
		wake_signal_now(event_fd);
	}
}

/* Under the lock. */
static int wait_take_events(struct flow *flow, const Wire__Reply *reply, void *data)
{
	int event_fd;

	(void)reply;
	(void)data;
	if (engine_take_fds(flow->engine, &event_fd, 1) < 0)
		return client_fail(MCOM_UNKNOWN_ERROR, "the daemon sent an unexpected reply");
	/* The number stays, whatever stands behind it. */
	if (atomic_load(&flow->event_fd) >= 0)
		(void)close(event_fd); /* another thread was faster */
	else
		atomic_store(&flow->event_fd, event_fd);
	return 0;
}

/* Return: the flow's descriptor, -1 with this thread's error. */
static int wait_events(struct flow *flow)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowEvents events = WIRE__FLOW_EVENTS__INIT;
	int event_fd = atomic_load(&flow->event_fd);

	if (event_fd >= 0)
		return event_fd;
	request.call_case = WIRE__REQUEST__CALL_FLOW_EVENTS;
	request.flow_events = &events;
	if (flow_request(flow, &request, &events.flow, wait_take_events, NULL) < 0)
		return -1;
	return atomic_load(&flow->event_fd);
}

/* Find a connected flow. Return: a referenced flow, NULL: failed. */
static struct flow *wait_begin(int fd)
{
	struct flow *flow = flow_enter(fd);

	if (!flow || flow_need_connected(flow) == 0)
		return flow;
	flow_put(flow);
	return NULL;
}

/* Under the lock. */
static int wait_fileno(struct flow *flow, struct applied *applied, int event_fd)
{
	const struct engine *engine = flow->engine;

	if (atomic_load(&flow->is_closed))
		return client_fail(MAPI_INVALID_FLOW, "the flow was closed");
	if (applied->ring)
		event_fd = ring_reader_fileno(applied->ring);
	return restart_poll_fd(
		applied->ring ? &applied->function->poll_fd : &flow->poll_fd, engine, event_fd);
}

int mapi_fileno(int fd, int fid)
{
	_cleanup_(flow_putp) struct flow *flow = wait_begin(fd);
	struct applied *applied;
	struct client_lock lock;
	int event_fd = -1;

	if (!flow)
		return -1;
	applied = flow_function(flow, fid);
	if (!applied)
		return client_fail(MAPI_INVALID_FID_FUNCID, "flow %d has no function %d", fd, fid);
	/* HASHSAMP, applied so that it keeps nothing. */
	if (!applied->ring &&
		(applied->desc->flags & (MAPI_FUNCTION_BLOCKING | MAPI_FUNCTION_PACKETS)))
		return client_fail(MAPI_INVALID_FID_FUNCID,
			"function %d of flow %d gives no records", fid, fd);
	if (!applied->ring) {
		event_fd = wait_events(flow);
		if (event_fd < 0)
			return -1;
	}
	client_lock(&lock);
	event_fd = wait_fileno(flow, flow_function(flow, fid), event_fd);
	client_unlock(&lock);
	return event_fd;
}

static int wait_left_ms(uint64_t deadline_ns)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (deadline_ns == UINT64_MAX)
		return -1;
	return now_ns >= deadline_ns ? 0 : (int)((deadline_ns - now_ns + 999999u) / 1000000u);
}

/* Until there is news, the end of the daemon, or of the time. Return: as poll(). */
static int wait_poll(struct flow *flow, int event_fd, int left_ms, bool *ret_hangup)
{
	struct pollfd fds[1 + ENGINE_N_ENDS] = { { .fd = event_fd, .events = POLLIN } };
	struct engine *engine;
	struct client_lock lock;
	int r, saved_errno;

	/* Its socket must not be closed meanwhile. */
	client_lock(&lock);
	engine = flow->engine;
	engine->n_users++;
	client_unlock(&lock);
	engine_ends(engine, fds + 1);
	flow_park(flow);
	r = poll(fds, ARRAY_SIZE(fds), left_ms);
	saved_errno = errno;
	flow_unpark(flow);
	client_lock(&lock);
	engine->n_users--;
	client_unlock(&lock);
	*ret_hangup = r > 0 && (fds[1].revents || fds[2].revents);
	errno = saved_errno;
	return r;
}

/* The daemon brings them up to date once a millisecond, and when it is told to. */
static void wait_settle_references(struct flow *flow)
{
	unsigned int n_functions = atomic_load(&flow->n_functions);
	bool has_cell = false;

	for (unsigned int i = 0; i < n_functions; i++)
		has_cell |= atomic_load(&atomic_load(&flow->functions[i])->cell) != NULL;
	if (has_cell && !atomic_load(&flow->is_over) && !restart_is_due(flow))
		(void)flow_flush(flow); /* fails if there is no daemon that could */
}

int mapi_wait(int fd, int timeout_ms)
{
	_cleanup_(flow_putp) struct flow *flow = wait_begin(fd);
	uint64_t deadline_ns = UINT64_MAX;
	bool is_lost = false;
	int event_fd;

	if (!flow)
		return -1;
	if (timeout_ms >= 0)
		deadline_ns = clock_monotonic_ns() + (uint64_t)timeout_ms * 1000000u;
	event_fd = wait_events(flow);
	if (event_fd < 0 && !atomic_load(&flow->is_over))
		return -1;
	for (;;) {
		int left_ms = wait_left_ms(deadline_ns);

		/* Emptied before the looks, so that what comes after them wakes. */
		flow_consume_news(flow);
		if (atomic_load(&flow->is_closed))
			return client_fail(MAPI_INVALID_FLOW, "the flow was closed");
		if (flow_finished(flow)) {
			wait_settle_references(flow);
			client_clear_error();
			return 1;
		}
		if (is_lost && !atomic_load(&flow->engine)->is_system)
			return client_fail(
				MAPI_DAEMON_LOST, "the daemon of this flow ended unexpectedly");
		if (left_ms == 0)
			return 0;
		if (restart_is_due(flow) &&
			restart_recover(flow,
				left_ms < 0 ? RESTART_BLOCKING_MS
					    : MIN(left_ms, RESTART_BLOCKING_MS)) < 0 &&
			!atomic_load(&flow->is_over))
			return -1;
		if (!atomic_load(&flow->is_over) &&
			wait_poll(flow, event_fd, left_ms, &is_lost) < 0)
			return atomic_load(&flow->is_closed)
				? client_fail(MAPI_INVALID_FLOW, "the flow was closed")
				: 0;
	}
}
