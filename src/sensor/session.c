/* SPDX-License-Identifier: BSD-2-Clause */
/* Sessions: see session.h. What a client owns is in session_private.h; its requests are answered in
 * requests.c; here is what happens around them: reading, writing, the round of the control thread,
 * ending. */
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "mapi/errors.h"
#include "registry.h"
#include "requests_private.h"

#define SESSION_SETTLE_POLL_MS 1
#define SESSION_PUBLISH_POLL_MS 5
#define SESSION_HANGING_POLL_MS 100
#define SESSION_ARENA_BYTES (1u << 20) /* that are kept for the next request */
#define SESSION_BURST 64 /* requests that are answered in a row */

void session_close_fd(const struct session *session, int fd)
{
	if (session->env.user->closer)
		closer_close(session->env.user->closer, fd);
	else
		(void)close(fd);
}

static void session_close_received(void *context, int fd)
{
	session_close_fd(context, fd);
}

static bool session_has_places(void *context)
{
	const struct session *session = context;

	return closer_has_places(wire_conn_fd(session->conn));
}

int session_new(struct session **ret, int fd, const struct session_env *env)
{
	_cleanup_(session_freep) struct session *session = calloc(1, sizeof(*session));
	int r;

	if (!session)
		return -ENOMEM;
	session->env = *env;
	r = compiler_client_new(&session->compiler, env->compiler, env->user->uid);
	if (r == 0)
		r = area_new(&session->area, SESSION_AREA_BYTES);
	if (r == 0)
		r = ring_group_new(&session->rings, SESSION_SPILL_BYTES);
	if (r == 0)
		r = wire_conn_new(&session->conn, fd);
	if (r < 0)
		return r;
	wire_conn_set_close(session->conn, session_close_received, session);
	if (env->is_system) {
		wire_conn_allow_fds(session->conn, env->read_only ? WIRE_FDS_NONE : WIRE_FDS_FILES);
		wire_conn_set_places(session->conn, session_has_places, session);
	}
	session->next_session = *env->sessions;
	*env->sessions = session;
	*ret = TAKE(session);
	return 0;
}

void session_refuse(int fd, const struct error *why)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__Error error = WIRE__ERROR__INIT;

	error.code = why->code;
	error.text = (char *)(uintptr_t)why->text;
	reply.error = &error;
	wire_say(fd, &reply.base);
}

void session_device_release(struct session *session, struct session_device *device)
{
	if (device->n_flows || !device->closed)
		return;
	session->devices[device->index] = session->devices[--session->n_devices];
	session->devices[device->index]->index = device->index;
	device->next_released = session->released;
	session->released = device;
}

/* Giving a large mapping back takes milliseconds, for which no answer should wait. */
static void session_free_released(struct session *session)
{
	while (session->released) {
		struct session_device *device = session->released;

		session->released = device->next_released;
		if (device->entry)
			registry_put(session->env.registry, device->entry);
		else
			device_free(device->device);
		free(device);
	}
}

static void session_free_arena(struct session *session)
{
	free(session->arena_bytes);
	session->arena_bytes = NULL;
	session->env.user->memory_bytes -= session->arena_n_bytes;
	session->arena_n_bytes = 0;
}

void session_forget_prepared(struct session *session)
{
	struct session_flow *flow = TAKE(session->preparing);

	if (flow)
		device_unprepare(flow->device->device, &flow->device_flow);
}

struct session *session_free(struct session *session)
{
	if (!session)
		return NULL;
	for (struct session **at = session->env.sessions; at && *at; at = &(*at)->next_session)
		if (*at == session) {
			*at = session->next_session;
			break;
		}
	session_forget_prepared(session);
	/* All stop at once, then each is waited for. */
	for (unsigned int i = 0; i < session->n_devices; i++)
		device_stop(session->devices[i]->device);
	while (session->n_devices) {
		struct session_device *device = session->devices[session->n_devices - 1];

		device->closed = true;
		device->n_flows++; /* keeps it until the loop is done */
		device_join(device->device);
		for (unsigned int i = session->n_flows; i-- > 0;) {
			struct session_flow *flow = session->flows[i];

			if (flow->device == device)
				session_flow_part(session, flow);
		}
		device->n_flows--;
		session_device_release(session, device);
	}
	while (session->n_flows)
		session_flow_free(session, session->flows[session->n_flows - 1]);
	session_free_released(session);
	request_apply_forget(session);
	request_open_forget(session);
	compiler_client_free(session->compiler);
	free(session->flows);
	free(session->devices);
	free(session->cells);
	ring_group_free(session->rings);
	area_free(session->area);
	wire_conn_free(session->conn);
	session_free_arena(session);
	free(session);
	return NULL;
}

int session_fd(const struct session *session)
{
	return wire_conn_fd(session->conn);
}

bool session_wants_write(const struct session *session)
{
	return wire_conn_queued_bytes(session->conn) > 0;
}

int session_write(struct session *session)
{
	int r = wire_conn_flush(session->conn);

	return r < 0 ? r : 0; /* session_poll() goes on with what is unread */
}

bool session_wants_read(const struct session *session)
{
	return session->pending.kind == SESSION_PENDING_NONE && !session->unread &&
		!session->starved;
}

/* Bytes that one frame may unpack into, on the user's account. Return: 0, -ENOMEM, -EDQUOT. */
static int session_arena(struct session *session, size_t frame_bytes, struct wire_arena *ret)
{
	struct user *user = session->env.user;
	size_t bytes = WIRE_ARENA_BYTES(frame_bytes);

	if (bytes > session->arena_n_bytes) {
		session_free_arena(session);
		if (bytes > user->memory_max_bytes - user->memory_bytes)
			return -EDQUOT;
		session->arena_bytes = malloc(bytes);
		if (!session->arena_bytes)
			return -ENOMEM;
		session->arena_n_bytes = bytes;
		user->memory_bytes += bytes;
	}
	wire_arena_init(ret, session->arena_bytes, session->arena_n_bytes);
	return 0;
}

/* There is no memory for the next request, so the connection ends, and hears why. Return: @r. */
static int session_end_starved(struct session *session, size_t frame_bytes, int r)
{
	struct error err = ERROR_INIT;

	if (r == -EDQUOT)
		(void)error_set(&err, MAPI_QUOTA_EXCEEDED,
			"a request of %zu bytes takes %zu MiB to read, which is more than this "
			"user's programs may have (max_memory_mb in mapi.conf)",
			frame_bytes, WIRE_ARENA_BYTES(frame_bytes) >> 20);
	else
		(void)error_set(&err, MAPI_OUT_OF_MEMORY, "the daemon is out of memory");
	(void)request_refuse(session, 0, &err); /* it ends anyway */
	return r;
}

/* While a request is pending nothing is read, so that the end of the socket would go unnoticed. */
static bool session_client_gone(const struct session *session)
{
	struct pollfd p = { .fd = wire_conn_fd(session->conn), .events = POLLRDHUP };

	return poll(&p, 1, 0) == 1;
}

static bool session_may_go_on(const struct session *session)
{
	return !wire_conn_is_clogged(session->conn) && user_may_send(session->env.user);
}

int session_read(struct session *session)
{
	session->unread = session->starved = false;
	for (unsigned int n = 0; session->pending.kind == SESSION_PENDING_NONE; n++) {
		struct wire_arena arena;
		const uint8_t *frame;
		Wire__Request *request;
		size_t frame_bytes;
		int r;

		/* Others want to be answered, too; and who does not take answers gets none, nor
		 * does who has sent what cannot be closed. */
		if (n == SESSION_BURST || !session_may_go_on(session)) {
			session->unread = true;
			break;
		}
		r = wire_conn_next(session->conn, &frame, &frame_bytes);
		session->starved = r == WIRE_E_NO_PLACES;
		if (r == WIRE_E_AGAIN || r == WIRE_E_NO_PLACES)
			break;
		if (r != 0)
			return r < 0 ? r : -ESHUTDOWN;
		r = session_arena(session, frame_bytes, &arena);
		if (r < 0)
			return session_end_starved(session, frame_bytes, r);
		request = wire__request__unpack(&arena.allocator, frame_bytes, frame);
		if (!request)
			return -EBADMSG;
		r = request_answer(session, request);
		if (r < 0)
			return r;
	}
	/* A pending request is still in it. */
	if (session->arena_n_bytes > SESSION_ARENA_BYTES &&
		session->pending.kind == SESSION_PENDING_NONE)
		session_free_arena(session);
	session_free_released(session);
	return 0;
}

void session_refresh_cell(struct session *session, const struct session_cell *cell)
{
	const struct results_slot *slot = cell->slot;
	uint64_t value = 0;
	uint32_t begun;

	do {
		begun = results_read_begin(&slot->seq);
		memcpy(&value, slot->data + cell->field_offset_bytes, cell->field_bytes);
	} while (results_read_retry(&slot->seq, begun));
	atomic_store_explicit((_Atomic uint64_t *)area_at(session->area, cell->offset), value,
		memory_order_relaxed);
}

void session_refresh_cells(struct session *session)
{
	for (unsigned int i = 0; i < session->n_cells; i++)
		session_refresh_cell(session, &session->cells[i]);
}

void session_leave(struct session *session)
{
	session->left = true;
	(void)shutdown(wire_conn_fd(session->conn), SHUT_RDWR); /* it may have gone already */
	session->pending.kind = SESSION_PENDING_NONE;
	session->closing = (struct session_closing){ .flow_id = 0 };
	session_forget_prepared(session);
	request_apply_forget(session);
	request_open_forget(session);
	ring_group_await(session->rings, false);
	for (unsigned int i = 0; i < session->n_devices; i++)
		session->devices[i]->closed = true;
	for (unsigned int i = 0; i < session->n_flows; i++) {
		struct session_flow *flow = session->flows[i];

		if (flow->hanging)
			continue;
		if (flow->connected && !flow->leaving)
			device_drop(flow->device->device, &flow->device_flow);
		flow->closed = flow->leaving = true;
		flow->retiring = false;
	}
	/* They leave the plan with the next session_poll(): one plan, however many clients go. */
	for (unsigned int i = session->n_devices; i-- > 0;)
		session_device_release(session, session->devices[i]);
	session_free_released(session);
}

bool session_is_empty(const struct session *session)
{
	return session->n_flows == 0;
}

static void session_pump(struct session *session)
{
	session->spilled = false;
	for (unsigned int i = 0; i < session->n_flows; i++) {
		const struct plan_flow *flow = session->flows[i]->device_flow.plan;

		for (unsigned int k = 0; k < flow->n_instances; k++) {
			const struct plan_instance *instance = flow->instances[k];
			struct ring *ring = instance->function->ring && !instance->closed
				? instance->function->ring(instance->memory)
				: NULL;

			if (ring)
				session->spilled |= ring_pump(ring);
		}
	}
}

int session_poll(struct session *session)
{
	int r;

	for (unsigned int i = 0; session->left && i < session->n_devices; i++)
		device_catch_up(session->devices[i]->device);
	for (unsigned int i = 0; i < session->n_devices; i++)
		device_follow_time(session->devices[i]->device);
	session_sweep(session);
	if (session->left) {
		session_free_released(session);
		return 0;
	}
	r = session_answer_pending(session);
	if (r < 0)
		return r;
	if (!session_wants_read(session) && session_client_gone(session))
		return -ESHUTDOWN;
	if ((session->unread || session->starved) && session_may_go_on(session)) {
		r = session_read(session); /* what came meanwhile */
		if (r < 0)
			return r;
	}
	for (unsigned int i = 0; i < session->n_devices; i++)
		if (session->devices[i]->running && !session->devices[i]->entry) {
			(void)device_publish(session->devices[i]->device);
			session->devices[i]->running = !device_ended(session->devices[i]->device);
		}
	session_refresh_cells(session);
	session_pump(session);
	return 0;
}

uint32_t session_poll_ms(const struct session *session)
{
	/* Answers are told; but the client may go. */
	const bool compiles = session->pending.kind == SESSION_PENDING_COMPILE ||
		session->pending.kind == SESSION_PENDING_PREPARE;

	if ((session->pending.kind != SESSION_PENDING_NONE && !compiles) ||
		(session->unread && session_may_go_on(session)))
		return SESSION_SETTLE_POLL_MS;
	if (session->n_cells || session->spilled)
		return 1;
	for (unsigned int i = 0; i < session->n_devices; i++)
		if (session->devices[i]->running && !session->devices[i]->entry)
			return SESSION_PUBLISH_POLL_MS;
	for (unsigned int i = 0; i < session->n_flows; i++)
		if (session->flows[i]->leaving || session->flows[i]->retiring)
			return SESSION_SETTLE_POLL_MS;
	for (unsigned int i = 0; i < session->n_flows; i++)
		if (session->flows[i]->hanging)
			return SESSION_HANGING_POLL_MS;
	return compiles || session->starved ||
			(session->unread && !user_may_send(session->env.user))
		? SESSION_HANGING_POLL_MS
		: 0;
}
