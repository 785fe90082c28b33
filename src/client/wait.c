/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waiting without reading: descriptors to poll, and the end of a flow.
 *
 * Packets and records have the descriptor of their ring. For results the daemon hands out an
 * eventfd per flow, which it writes when it has published something new; reading a result empties
 * it first, so that no news is lost between the two.
 */
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "client.h"

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
		(void)eventfd_write(event_fd, 1); /* fails only if it is readable anyway */
	}
}

/* Under the lock. Return: the flow's eventfd, -1 with this thread's error. */
static int wait_ask_events(struct flow *flow)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowEvents events = WIRE__FLOW_EVENTS__INIT;
	int event_fd = atomic_load(&flow->event_fd);

	if (event_fd >= 0)
		return event_fd; /* another thread was faster */
	if (atomic_load(&flow->is_closed))
		return client_fail(MAPI_INVALID_FLOW, "the flow was closed");
	events.flow = flow->id;
	request.call_case = WIRE__REQUEST__CALL_FLOW_EVENTS;
	request.flow_events = &events;
	if (!engine_call(flow->engine, &request, NULL, 0))
		return -1;
	if (engine_take_fds(flow->engine, &event_fd, 1) < 0)
		return client_fail(MCOM_UNKNOWN_ERROR, "the daemon sent an unexpected reply");
	atomic_store(&flow->event_fd, event_fd);
	return event_fd;
}

static int wait_events(struct flow *flow)
{
	int event_fd = atomic_load(&flow->event_fd);
	struct client_lock lock;

	if (event_fd >= 0)
		return event_fd;
	client_lock(&lock);
	event_fd = wait_ask_events(flow);
	client_unlock(&lock);
	return event_fd;
}

/* Find a connected flow. Return: a referenced flow, NULL: failed. */
static struct flow *wait_begin(int fd)
{
	struct flow *flow;

	if (client_enter() < 0)
		return NULL;
	flow = flow_get(fd);
	if (!flow) {
		client_fail(MAPI_INVALID_FLOW, "there is no flow %d", fd);
		return NULL;
	}
	if (atomic_load(&flow->is_connected))
		return flow;
	client_fail(MAPI_FLOW_NOT_CONNECTED, "flow %d is not connected", fd);
	flow_put(flow);
	return NULL;
}

int mapi_fileno(int fd, int fid)
{
	_cleanup_(flow_putp) struct flow *flow = wait_begin(fd);
	struct applied *applied;

	if (!flow)
		return -1;
	applied = flow_function(flow, fid);
	if (!applied)
		return client_fail(MAPI_INVALID_FID_FUNCID, "flow %d has no function %d", fd, fid);
	return applied->ring ? ring_reader_fileno(applied->ring) : wait_events(flow);
}

static int wait_left_ms(uint64_t deadline_ns)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (deadline_ns == UINT64_MAX)
		return -1;
	return now_ns >= deadline_ns ? 0 : (int)((deadline_ns - now_ns + 999999u) / 1000000u);
}

int mapi_wait(int fd, int timeout_ms)
{
	_cleanup_(flow_putp) struct flow *flow = wait_begin(fd);
	uint64_t deadline_ns = UINT64_MAX;
	struct pollfd fds[2];

	if (!flow)
		return -1;
	if (timeout_ms >= 0)
		deadline_ns = clock_monotonic_ns() + (uint64_t)timeout_ms * 1000000u;
	fds[0] = (struct pollfd){ .fd = wait_events(flow), .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = flow->engine->fd, .events = POLLRDHUP };
	if (fds[0].fd < 0)
		return -1;
	for (;;) {
		int left_ms = wait_left_ms(deadline_ns);

		/* Emptied before the looks, so that what comes after them wakes. */
		flow_consume_news(flow);
		if (atomic_load(&flow->is_closed))
			return client_fail(MAPI_INVALID_FLOW, "the flow was closed");
		if (flow_finished(flow))
			return 1;
		if (fds[1].revents & (POLLRDHUP | POLLHUP | POLLERR))
			return client_fail(
				MAPI_DAEMON_LOST, "the daemon of this flow ended unexpectedly");
		if (left_ms == 0)
			return 0;
		if (poll(fds, 2, left_ms) < 0)
			return atomic_load(&flow->is_closed)
				? client_fail(MAPI_INVALID_FLOW, "the flow was closed")
				: 0;
	}
}
