/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's own protocol, for programs that do not keep to libmapi. */
#include "hostile_wire.h"

#include <unistd.h>

#include "../process.h"
#include "hostile.h"

Wire__Reply *hostile_call(
	struct wire_conn *conn, Wire__Request *request, const int *fds, unsigned int n_fds)
{
	static uint64_t last_id;
	const uint8_t *frame;
	size_t n_bytes;
	int r;

	request->id = ++last_id;
	if (wire_conn_put(conn, &request->base, fds, n_fds) < 0)
		return NULL;
	while ((r = wire_conn_next(conn, &frame, &n_bytes)) == WIRE_E_AGAIN)
		process_pause_us(100);
	return r == 0 ? wire__reply__unpack(NULL, n_bytes, frame) : NULL;
}

int hostile_code(Wire__Reply *reply)
{
	int code = !reply ? -1 : reply->error ? reply->error->code : 0;

	if (reply)
		wire__reply__free_unpacked(reply, NULL);
	return code;
}

struct wire_conn *hostile_greet(int *ret_area_fd)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__Hello hello = WIRE__HELLO__INIT;
	struct wire_conn *conn = NULL;
	int fd = hostile_connect(0), area_fd = -1;

	if (fd < 0 || wire_conn_new(&conn, fd) < 0)
		return NULL;
	hello.version = WIRE_VERSION;
	request.call_case = WIRE__REQUEST__CALL_HELLO;
	request.hello = &hello;
	if (hostile_code(hostile_call(conn, &request, NULL, 0)) != 0 ||
		wire_conn_take_fds(conn, &area_fd, 1) < 0)
		return wire_conn_free(conn);
	if (ret_area_fd)
		*ret_area_fd = area_fd;
	else
		close(area_fd);
	return conn;
}

uint32_t hostile_flow_new(struct wire_conn *conn)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__DeviceOpen open = WIRE__DEVICE_OPEN__INIT;
	Wire__FlowCreate create = WIRE__FLOW_CREATE__INIT;
	Wire__Reply *reply;
	uint32_t flow = 0;

	open.name = (char *)(uintptr_t)hostile_device;
	request.call_case = WIRE__REQUEST__CALL_DEVICE_OPEN;
	request.device_open = &open;
	reply = hostile_call(conn, &request, NULL, 0);
	if (!reply || reply->error)
		return 0;
	create.device = reply->device->device;
	create.start = true;
	wire__reply__free_unpacked(reply, NULL);
	request = (Wire__Request)WIRE__REQUEST__INIT;
	request.call_case = WIRE__REQUEST__CALL_FLOW_CREATE;
	request.flow_create = &create;
	reply = hostile_call(conn, &request, NULL, 0);
	if (reply && !reply->error)
		flow = reply->flow->flow;
	hostile_code(reply);
	return flow;
}

int hostile_flow_apply(struct wire_conn *conn, uint32_t flow, const char *function, const int *fds,
	unsigned int n_fds)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowApply apply = WIRE__FLOW_APPLY__INIT;
	Wire__Value format = WIRE__VALUE__INIT, path = WIRE__VALUE__INIT;
	Wire__Value *args[] = { &format, &path };

	format.kind_case = WIRE__VALUE__KIND_NUMBER;
	path.kind_case = WIRE__VALUE__KIND_TEXT;
	path.text = (char[]){ "file" };
	apply.flow = flow;
	apply.function = (char *)(uintptr_t)function;
	apply.args = args;
	apply.n_args = n_fds ? 2 : 0;
	request.call_case = WIRE__REQUEST__CALL_FLOW_APPLY;
	request.flow_apply = &apply;
	return hostile_code(hostile_call(conn, &request, fds, n_fds));
}

int hostile_flow_connect(struct wire_conn *conn, uint32_t flow)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowConnect connect_ = WIRE__FLOW_CONNECT__INIT;

	connect_.flow = flow;
	request.call_case = WIRE__REQUEST__CALL_FLOW_CONNECT;
	request.flow_connect = &connect_;
	return hostile_code(hostile_call(conn, &request, NULL, 0));
}

int hostile_flow_close(struct wire_conn *conn, uint32_t flow)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowClose close_ = WIRE__FLOW_CLOSE__INIT;

	close_.flow = flow;
	request.call_case = WIRE__REQUEST__CALL_FLOW_CLOSE;
	request.flow_close = &close_;
	return hostile_code(hostile_call(conn, &request, NULL, 0));
}
