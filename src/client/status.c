/* SPDX-License-Identifier: BSD-2-Clause */
/* What is known about flows and results: status, loss, errors. */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "client.h"

/* Copy the head of a flow. Return: false if the daemon died while it wrote. */
static bool status_copy(struct flow *flow, struct results_flow *ret)
{
	for (unsigned int tries = 1;; tries++) {
		const struct results_flow *shared = atomic_load(&flow->shared);
		uint32_t begun = results_read_begin(&shared->seq);

		memcpy((void *)ret, (const void *)shared, sizeof(*ret));
		if (!results_read_retry(&shared->seq, begun))
			return true;
		if (tries % 10000 == 0) {
			if (engine_is_lost(flow->engine))
				return false;
			(void)sched_yield();
		}
	}
}

/* Under the lock. */
static int status_take_error(struct flow *flow, const Wire__Reply *reply, void *data)
{
	struct error *ret = data;

	(void)flow;
	if (reply->result_case != WIRE__REPLY__RESULT_FLOW_ERROR || reply->flow_error->code == 0)
		return -1;
	ret->code = reply->flow_error->code;
	(void)snprintf(ret->text, sizeof(ret->text), "%s",
		*reply->flow_error->text ? reply->flow_error->text : error_code_text(ret->code));
	return 0;
}

/* The engine's text for an error of a flow. Return: false if it has none. */
static bool status_ask_error(struct flow *flow, struct error *ret)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowError flow_error = WIRE__FLOW_ERROR__INIT;

	request.call_case = WIRE__REQUEST__CALL_FLOW_ERROR;
	request.flow_error = &flow_error;
	return flow_request(flow, &request, &flow_error.flow, status_take_error, ret) == 0;
}

bool flow_failed(struct flow *flow)
{
	struct results_flow head;
	struct error err = ERROR_INIT;

	if (atomic_load(&flow->is_over)) {
		client_fail_error(&flow->end);
		return true;
	}
	if (!status_copy(flow, &head)) {
		client_fail(MAPI_DAEMON_LOST, "the daemon of this flow ended unexpectedly");
		return true;
	}
	if (head.error_code == 0)
		return false;
	if (!status_ask_error(flow, &err))
		(void)error_set(&err, head.error_code, "%s", error_code_text(head.error_code));
	client_fail_error(&err);
	return true;
}

static enum mapi_flow_status status_of(const struct results_flow *head)
{
	return head->status <= FLOW_CLOSED ? (enum mapi_flow_status)head->status : FLOW_CLOSED;
}

bool flow_finished(struct flow *flow)
{
	struct results_flow head;

	return atomic_load(&flow->is_over) ||
		(status_copy(flow, &head) && head.status == FLOW_FINISHED);
}

static int status_flow_info(struct flow *flow, mapi_flow_info_t *info)
{
	struct results_flow head = { .seq = 0 };

	if (restart_is_due(flow))
		(void)restart_recover(flow, RESTART_READING_MS); /* or it is said below */
	*info = (mapi_flow_info_t){
		.uid = getuid(),
		.fd = atomic_load(&flow->fd),
		.devid = atomic_load(&flow->device_number),
		.num_functions = atomic_load(&flow->n_functions),
	};
	(void)snprintf(info->device, sizeof(info->device), "%s", flow->device_name);
	if (atomic_load(&flow->is_over)) {
		head.start_ns = atomic_load(&flow->shared)->start_ns;
		head.status = FLOW_FINISHED;
	} else if (engine_is_lost(flow->engine) || !status_copy(flow, &head)) {
		/* Programs that only look at the status must not wait for ever. */
		info->status = FLOW_FINISHED;
		return client_fail(MAPI_DAEMON_LOST, "the daemon of this flow ended unexpectedly");
	}
	info->start = (time_t)(head.start_ns / 1000000000u);
	info->end = (time_t)(head.end_ns / 1000000000u);
	info->status = status_of(&head);
	return 0;
}

int mapi_get_flow_info(int fd, mapi_flow_info_t *info)
{
	_cleanup_(flow_putp) struct flow *flow = NULL;

	if (!info)
		return client_fail(
			MFUNCT_INVALID_ARGUMENT_2, "the place for the information is NULL");
	if (client_enter_freely() < 0)
		return -1;
	flow = flow_get(fd);
	return flow ? status_flow_info(flow, info) : list_flow_info(fd, info);
}

int mapi_get_scope_size(int fd)
{
	_cleanup_(flow_putp) struct flow *flow = flow_enter(fd);

	return flow ? 1 : -1;
}

int mapi_is_remote(int fd)
{
	_cleanup_(flow_putp) struct flow *flow = flow_enter(fd);

	return flow ? 0 : -1;
}

static void status_fill(struct flow *flow, struct mapi_result_status *s)
{
	struct results_flow head = { .seq = 0 };
	struct error err = ERROR_INIT;
	uint64_t now_ns = clock_monotonic_ns();

	if (restart_is_due(flow))
		(void)restart_recover(flow, RESTART_READING_MS); /* or it is said below */
	if (atomic_load(&flow->is_over))
		err = flow->end;
	else if (engine_is_lost(flow->engine))
		(void)error_set(
			&err, MAPI_DAEMON_LOST, "the daemon of this flow ended unexpectedly");
	if (!status_copy(flow, &head))
		head = (struct results_flow){ .seq = 0 };
	s->status = err.code ? FLOW_FINISHED : status_of(&head);
	s->age_ns = now_ns > head.published_ns ? now_ns - head.published_ns : 0;
	s->restarts = atomic_load(&flow->restarts);
	s->gap_ns = atomic_load(&flow->gap_ns);
	s->pkts = head.pkts;
	s->late_pkts = head.late_pkts;
	for (unsigned int i = 0; i < MAPI_N_LOSS; i++)
		s->lost_pkts[i] = head.lost_pkts[i];
	s->done_bytes = head.done_bytes;
	s->total_bytes = head.total_bytes;
	s->last_ts_ns = head.last_ts_ns;
	s->device = (enum mapi_device_state)head.device_state;
	s->outages = head.outages;
	s->clock_steps = head.clock_steps;
	s->behind = head.behind != 0;
	s->times_behind = head.times_behind;
	s->changes = head.changes;
	if (err.code == 0 && head.error_code != 0 && !status_ask_error(flow, &err))
		(void)error_set(&err, head.error_code, "%s", error_code_text(head.error_code));
	s->error = err.code;
	(void)snprintf(s->error_text, sizeof(s->error_text), "%s", err.text);
}

_Static_assert(MAPI_N_LOSS == RESULTS_N_LOSS, "the causes of loss are the same everywhere");

int mapi_result_status(int fd, int fid, int i, struct mapi_result_status *ret_status)
{
	_cleanup_(flow_putp) struct flow *flow = flow_enter(fd);
	struct mapi_result_status status = { .sz = sizeof(status) };

	if (!flow)
		return -1;
	if (!flow_function(flow, fid))
		return client_fail(MAPI_INVALID_FID_FUNCID, "flow %d has no function %d", fd, fid);
	if (flow_need_connected(flow) < 0)
		return -1;
	if (i != 0)
		return client_fail(MFUNCT_INVALID_ARGUMENT_3,
			"the result has 1 element, number 0; there is no %d", i);
	if (!ret_status || ret_status->sz <= sizeof(ret_status->sz))
		return client_fail(MFUNCT_INVALID_ARGUMENT_4,
			"sz must be set to sizeof(struct mapi_result_status)");
	status_fill(flow, &status);
	client_fill_sized(ret_status, ret_status->sz, &status, sizeof(status));
	return 0;
}

static int status_take_linktype(struct flow *flow, const Wire__Reply *reply, void *data)
{
	(void)flow;
	if (reply->result_case != WIRE__REPLY__RESULT_INTERFACE)
		return client_fail(MCOM_UNKNOWN_ERROR, "the daemon sent an unexpected reply");
	*(int *)data = (int)reply->interface->linktype;
	return 0;
}

int mapi_get_linktype(int fd, unsigned int ifindex)
{
	_cleanup_(flow_putp) struct flow *flow = flow_enter(fd);
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowInterface interface = WIRE__FLOW_INTERFACE__INIT;
	int linktype = -1;

	if (!flow)
		return -1;
	interface.index = ifindex;
	request.call_case = WIRE__REQUEST__CALL_FLOW_INTERFACE;
	request.flow_interface = &interface;
	(void)flow_request(flow, &request, &interface.flow, status_take_linktype, &linktype);
	return linktype;
}
