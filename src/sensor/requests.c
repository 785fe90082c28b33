/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Answers to the requests of a client, one function per message of mapi.proto. Here: the greeting,
 * descriptions, what all answers have in common, and who answers which; the others are in
 * requests_device.c, requests_flow.c, requests_apply.c (FlowApply, the longest) and requests_list.c
 * (those that ask what there is).
 *
 * A request that cannot be granted gets an error reply and changes nothing. A frame that is not a
 * request, or asks before it has greeted, ends the session.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "describe.h"
#include "mapi.h"
#include "mapi/errors.h"
#include "requests_private.h"

/* ---- replies ---- */

int request_reply(struct session *session, uint64_t request_id, Wire__Reply *reply, const int *fds,
	unsigned int n_fds)
{
	int r;

	reply->id = request_id;
	r = wire_conn_put(session->conn, &reply->base, fds, n_fds);
	return r < 0 ? r : 0;
}

int request_refuse(struct session *session, uint64_t request_id, const struct error *err)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__Error error = WIRE__ERROR__INIT;
	char text[ERROR_TEXT_BYTES];

	(void)snprintf(text, sizeof(text), "%s", err->text); /* same size */
	error.code = err->code ? err->code : MAPID_MEM_ALLOCATION_ERROR;
	error.text = text;
	reply.error = &error;
	return request_reply(session, request_id, &reply, NULL, 0);
}

/* Turn what a module returned into an error reply: -EINVAL has filled @err. */
int request_fail(struct session *session, uint64_t request_id, int r, struct error *err)
{
	char cause[128];

	if (!err->code && r == -ENOMEM)
		error_set(err, MAPID_MEM_ALLOCATION_ERROR, "the daemon is out of memory");
	else if (!err->code)
		error_set(err, MCOM_UNKNOWN_ERROR, "the daemon cannot do this: %s",
			strerror_r(-r, cause, sizeof(cause)));
	return request_refuse(session, request_id, err);
}

int request_done(struct session *session, uint64_t request_id)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__Empty empty = WIRE__EMPTY__INIT;

	reply.result_case = WIRE__REPLY__RESULT_DONE;
	reply.done = &empty;
	return request_reply(session, request_id, &reply, NULL, 0);
}

/* ---- look-up ---- */

struct session_device *request_device(const struct session *session, uint64_t id)
{
	for (unsigned int i = 0; i < session->n_devices; i++)
		if (session->devices[i]->id == id && !session->devices[i]->closed)
			return session->devices[i];
	return NULL;
}

struct session_flow *request_flow(const struct session *session, uint32_t id)
{
	for (unsigned int i = 0; i < session->n_flows; i++)
		if (session->flows[i]->id == id && !session->flows[i]->closed)
			return session->flows[i];
	return NULL;
}

int request_no_flow(struct session *session, uint64_t request_id, uint32_t id)
{
	struct error err = ERROR_INIT;

	error_set(&err, MAPI_INVALID_FLOW, "there is no flow %u", id);
	return request_refuse(session, request_id, &err);
}

struct plan_instance *request_instance(const struct session_flow *flow, uint32_t fid)
{
	const struct plan_flow *plan = flow->device_flow.plan;

	return fid >= 1 && fid <= plan->n_instances ? plan->instances[fid - 1] : NULL;
}

/* ---- greeting and descriptions ---- */

static unsigned int request_clamp(uint32_t value, unsigned int fallback, unsigned int max)
{
	return value == 0 ? fallback : MIN(value, max);
}

/* The interfaces that the client sees are not those that the daemon does. */
static bool request_is_elsewhere(const Wire__Hello *hello)
{
	struct stat st;

	return hello->netns_inode && stat("/proc/self/ns/net", &st) == 0 &&
		st.st_ino != hello->netns_inode;
}

static int request_hello(struct session *session, uint64_t id, const Wire__Hello *hello)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__HelloReply body = WIRE__HELLO_REPLY__INIT;
	long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);
	const int fds[] = { area_fd(session->area), session->env.life_fd };

	if (hello->version != WIRE_VERSION) {
		struct error err = ERROR_INIT;

		error_set(&err, MCOM_INIT_SOCKET_ERROR,
			"libmapi speaks version %u of the protocol, mapid version %u: install both "
			"from one release",
			hello->version, WIRE_VERSION);
		return request_refuse(session, id, &err);
	}
	if (request_is_elsewhere(hello)) {
		struct error err = ERROR_INIT;

		error_set(&err, MCOM_INIT_SOCKET_ERROR,
			"this daemon captures in another network namespace");
		return request_refuse(session, id, &err);
	}
	session->greeted = true;
	session->n_workers = request_clamp(
		hello->workers, n_cpus > 0 ? (unsigned int)n_cpus : 1, SESSION_WORKERS_MAX);
	session->batch_pkts = request_clamp(hello->batch_pkts, PACKET_BATCH_MAX, PACKET_BATCH_MAX);
	/* A shared device is as the administrator wants it, not as who comes first. */
	session->live_workers =
		session->env.is_system ? 0 : MIN(hello->workers, SESSION_WORKERS_MAX);
	session->seed = hello->has_seed ? hello->seed : 0;
	body.version = WIRE_VERSION;
	body.results_bytes = area_bytes(session->area);
	body.workers = session->n_workers;
	body.lifeline = hello->lifeline && session->env.life_fd >= 0;
	reply.result_case = WIRE__REPLY__RESULT_HELLO;
	reply.hello = &body;
	return request_reply(session, id, &reply, fds, body.lifeline ? 2 : 1);
}

static int request_describe(struct session *session, uint64_t id, const Wire__Describe *describe)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__DescribeReply body;
	struct error err = ERROR_INIT;
	int r = describe_functions(&body, describe->name, &err);

	if (r < 0)
		return request_fail(session, id, r, &err);
	reply.result_case = WIRE__REPLY__RESULT_DESCRIBE;
	reply.describe = &body;
	r = request_reply(session, id, &reply, NULL, 0);
	describe_free(&body);
	return r;
}

/* ---- all of them ---- */

/* What a client of the read-only socket may ask. */
static bool request_only_looks(const Wire__Request *request)
{
	return request->call_case == WIRE__REQUEST__CALL_HELLO ||
		request->call_case == WIRE__REQUEST__CALL_DESCRIBE ||
		request->call_case == WIRE__REQUEST__CALL_LIST_DEVICE ||
		request->call_case == WIRE__REQUEST__CALL_LIST_FLOW ||
		request->call_case == WIRE__REQUEST__CALL_LIST_FUNCTION ||
		request->call_case == WIRE__REQUEST__CALL_DEVICE_STATS;
}

static int request_may_not(struct session *session, uint64_t id)
{
	struct error err = ERROR_INIT;

	error_set(&err, MAPI_NO_PERMISSION,
		"this connection may only look: capturing needs the other socket, which is for "
		"members of its group");
	return request_refuse(session, id, &err);
}

int request_answer(struct session *session, const Wire__Request *request)
{
	if (!session->greeted && request->call_case != WIRE__REQUEST__CALL_HELLO)
		return -EPROTO;
	if (session->env.read_only && !request_only_looks(request))
		return request_may_not(session, request->id);
	switch (request->call_case) {
	case WIRE__REQUEST__CALL_HELLO:
		return request_hello(session, request->id, request->hello);
	case WIRE__REQUEST__CALL_DESCRIBE:
		return request_describe(session, request->id, request->describe);
	case WIRE__REQUEST__CALL_DEVICE_OPEN:
		return request_device_open(session, request->id, request->device_open);
	case WIRE__REQUEST__CALL_DEVICE_START:
		return request_device_start(session, request->id, request->device_start);
	case WIRE__REQUEST__CALL_DEVICE_CLOSE:
		return request_device_close(session, request->id, request->device_close);
	case WIRE__REQUEST__CALL_FLOW_CREATE:
		return request_flow_create(session, request->id, request->flow_create);
	case WIRE__REQUEST__CALL_FLOW_APPLY:
		return request_flow_apply(session, request->id, request->flow_apply);
	case WIRE__REQUEST__CALL_FLOW_CONNECT:
		return request_flow_connect(session, request->id, request->flow_connect);
	case WIRE__REQUEST__CALL_FLOW_CLOSE:
		return request_flow_close(session, request->id, request->flow_close);
	case WIRE__REQUEST__CALL_FLOW_FLUSH:
		return request_flow_flush(session, request->id, request->flow_flush);
	case WIRE__REQUEST__CALL_FLOW_ERROR:
		return request_flow_error(session, request->id, request->flow_error);
	case WIRE__REQUEST__CALL_RESULT_CELL:
		return request_result_cell(session, request->id, request->result_cell);
	case WIRE__REQUEST__CALL_FLOW_EVENTS:
		return request_flow_events(session, request->id, request->flow_events);
	case WIRE__REQUEST__CALL_FLOW_INTERFACE:
		return request_flow_interface(session, request->id, request->flow_interface);
	case WIRE__REQUEST__CALL_LIST_DEVICE:
		return request_list_device(session, request->id, request->list_device);
	case WIRE__REQUEST__CALL_LIST_FLOW:
		return request_list_flow(session, request->id, request->list_flow);
	case WIRE__REQUEST__CALL_LIST_FUNCTION:
		return request_list_function(session, request->id, request->list_function);
	case WIRE__REQUEST__CALL_DEVICE_STATS:
		return request_device_stats(session, request->id, request->device_stats);
	case WIRE__REQUEST__CALL_EXPLAIN:
		return request_explain(session, request->id, request->explain);
	case WIRE__REQUEST__CALL__NOT_SET:
	case _WIRE__REQUEST__CALL__CASE_IS_INT_SIZE:
		break;
	}
	return -EPROTO;
}
