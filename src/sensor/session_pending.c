/* SPDX-License-Identifier: BSD-2-Clause */
/* A request that cannot be answered at once: what it waits for, whether that has come, and then. */
#include "base/clock.h"
#include "registry.h"
#include "session_private.h"

#define SESSION_FLUSH_FILE_NS 50000000u
#define SESSION_FLUSH_LIVE_NS 1000000000u /* its workers wait for nobody, but for a CPU */

/* Return: whether the pending request can be answered now. */
static bool session_pending_done(struct session *session)
{
	struct session_pending *pending = &session->pending;
	uint64_t waited_ns;

	switch (pending->kind) {
	case SESSION_PENDING_NONE:
		return false;
	case SESSION_PENDING_CONNECT:
		return device_connected(pending->device->device, pending->epoch);
	case SESSION_PENDING_CLOSE:
		return !session_flow_closing(session, pending->flow_id);
	case SESSION_PENDING_FLUSH:
		if (device_flush(pending->device->device, &pending->begin))
			return true;
		waited_ns = clock_monotonic_ns() - pending->begin.monotonic_ns;
		/* A worker that waits for this very client cannot be waited for. */
		if (!pending->device->entry)
			return waited_ns >= SESSION_FLUSH_FILE_NS;
		pending->is_late = waited_ns >= SESSION_FLUSH_LIVE_NS;
		return pending->is_late;
	case SESSION_PENDING_PREPARE:
		return device_has_prepared(pending->device->device,
			session->preparing ? &session->preparing->device_flow : NULL,
			pending->epoch);
	case SESSION_PENDING_COMPILE:
		return compiler_has_answered(session->compiler);
	case SESSION_PENDING_OPEN: /* asking is the way to find out */
	case _SESSION_PENDING_N:
		break;
	}
	return true;
}

void session_wait(struct session *session, enum session_pending_kind kind, uint64_t request_id,
	struct session_device *device, uint32_t flow_id)
{
	session->pending = (struct session_pending){ .kind = kind,
		.request_id = request_id,
		.device = device,
		.flow_id = flow_id,
		.begin = device_moment_now() };
	/* Compiling and opening depend on no worker: full rings may wait. */
	ring_group_await(session->rings,
		kind != SESSION_PENDING_COMPILE && kind != SESSION_PENDING_OPEN &&
			kind != SESSION_PENDING_PREPARE);
}

void session_wait_prepared(struct session *session, uint64_t request_id,
	struct session_device *device, struct session_flow *flow)
{
	session_wait(session, SESSION_PENDING_PREPARE, request_id, device, flow ? flow->id : 0);
	session->pending.epoch =
		device_n_prepared(device->device, flow ? &flow->device_flow : NULL);
	session->preparing = flow;
}

/* What was waited for has come, or may have. */
static int session_answer(
	struct session *session, enum session_pending_kind kind, uint64_t request_id)
{
	switch (kind) {
	case SESSION_PENDING_COMPILE:
		return request_apply_again(session, request_id);
	case SESSION_PENDING_OPEN:
		return request_open_again(session, request_id);
	case SESSION_PENDING_PREPARE:
		return session->pending.flow_id
			? request_connect(session, request_id, session->pending.flow_id)
			: request_start(session, request_id, session->pending.device->id);
	case SESSION_PENDING_CLOSE:
		return request_closed(session, request_id);
	case SESSION_PENDING_FLUSH:
		return request_flushed(session, request_id, session->pending.is_late);
	case SESSION_PENDING_NONE:
	case SESSION_PENDING_CONNECT:
	case _SESSION_PENDING_N:
		break;
	}
	return request_done(session, request_id);
}

int session_answer_pending(struct session *session)
{
	enum session_pending_kind kind = session->pending.kind;
	uint64_t request_id = session->pending.request_id;
	int r;

	if (!session_pending_done(session))
		return 0;
	session->pending.kind = SESSION_PENDING_NONE;
	ring_group_await(session->rings, false);
	r = session_answer(session, kind, request_id);
	session->unread |= r == 0;
	return r;
}
