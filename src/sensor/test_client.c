/* SPDX-License-Identifier: BSD-2-Clause */
/* The client's side of the tests: see test_sensor_private.h. */
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
#include <sys/mman.h>
#include <sys/socket.h>

#include "engine.h"
#include "test_sensor_private.h"
#include "wire/wire.h"

#define TEST_ARENA_BYTES WIRE_ARENA_BYTES(65536)

static void *test_engine(void *argument)
{
	struct test_client *client = argument;

	client->engine_result = engine_run_private(client->engine_fd);
	return NULL;
}

void test_begin(struct test_client *client, int fd)
{
	*client = (struct test_client){ .arena = malloc(TEST_ARENA_BYTES) };
	assert_non_null(client->arena);
	assert_int_equal(wire_conn_new(&client->conn, fd), 0);
}

void test_end(struct test_client *client)
{
	wire_conn_free(client->conn);
	free(client->arena);
	if (client->area)
		munmap(client->area, client->area_bytes);
}

void test_start(struct test_client *client)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	test_begin(client, fds[0]);
	client->engine_fd = fds[1];
	assert_int_equal(pthread_create(&client->engine, NULL, test_engine, client), 0);
}

void test_stop(struct test_client *client)
{
	test_end(client);
	assert_int_equal(pthread_join(client->engine, NULL), 0);
}

void test_wait(struct test_client *client)
{
	struct pollfd p = { .fd = wire_conn_fd(client->conn), .events = POLLIN };

	assert_int_equal(poll(&p, 1, 10000), 1);
}

static void test_put(
	struct test_client *client, Wire__Request *request, const int *fds, unsigned int n_fds)
{
	request->id = ++client->id;
	assert_int_equal(wire_conn_put(client->conn, &request->base, fds, n_fds), 0);
}

Wire__Reply *test_reply(struct test_client *client)
{
	struct wire_arena arena;
	const uint8_t *frame;
	size_t frame_bytes;
	Wire__Reply *reply;
	int r;

	while ((r = wire_conn_next(client->conn, &frame, &frame_bytes)) == WIRE_E_AGAIN)
		test_wait(client);
	if (r != 0)
		return NULL;
	wire_arena_init(&arena, client->arena, TEST_ARENA_BYTES);
	reply = wire__reply__unpack(&arena.allocator, frame_bytes, frame);
	assert_non_null(reply);
	assert_int_equal(reply->id, client->id);
	return reply;
}

Wire__Reply *test_call(
	struct test_client *client, Wire__Request *request, const int *fds, unsigned int n_fds)
{
	test_put(client, request, fds, n_fds);
	return test_reply(client);
}

void test_greet(struct test_client *client, unsigned int n_workers)
{
	Wire__Hello hello = WIRE__HELLO__INIT;
	Wire__Reply *reply;
	int fd;

	hello.version = WIRE_VERSION;
	hello.workers = n_workers;
	hello.batch_pkts = 7;
	reply = TEST_CALL(client, hello, HELLO, &hello);
	assert_non_null(reply);
	assert_null(reply->error);
	assert_int_equal(reply->hello->workers, n_workers);
	client->area_bytes = reply->hello->results_bytes;
	assert_int_equal(wire_conn_take_fds(client->conn, &fd, 1), 0);
	/* Nobody but the engine writes results. */
	assert_ptr_equal(mmap(NULL, client->area_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
		MAP_FAILED);
	client->area = mmap(NULL, client->area_bytes, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(client->area, MAP_FAILED);
	close(fd);
}

/* A pcap file of TEST_PKTS Ethernet frames of TEST_PKT_BYTES. */
static int test_capture(void)
{
	const uint32_t head[6] = { 0xa1b2c3d4, 0x00040002, 0, 0, 65535, 1 };
	int fd = memfd_create("test-capture", MFD_CLOEXEC);

	assert_int_equal(write(fd, head, sizeof(head)), sizeof(head));
	for (uint32_t i = 0; i < TEST_PKTS; i++) {
		const uint32_t record[4] = { 1000000000 + i / 10, i % 10, TEST_PKT_BYTES,
			TEST_PKT_BYTES };
		uint8_t data[TEST_PKT_BYTES] = {
			[12] = 8, [13] = 0, [14] = 0x45, [23] = i % 2 ? 6 : 17
		};

		assert_int_equal(write(fd, record, sizeof(record)), sizeof(record));
		assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
	}
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

uint64_t test_open_fd(struct test_client *client, int fd)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__DeviceOpen open = WIRE__DEVICE_OPEN__INIT;
	Wire__Reply *reply;

	open.name = (char[]){ "test.pcap" };
	request.call_case = WIRE__REQUEST__CALL_DEVICE_OPEN;
	request.device_open = &open;
	reply = test_call(client, &request, &fd, 1);
	close(fd);
	if (reply->error)
		fail_msg("%s", reply->error->text);
	return reply->device->device;
}

uint64_t test_open(struct test_client *client)
{
	return test_open_fd(client, test_capture());
}

uint32_t test_flow(struct test_client *client, uint64_t device, bool start,
	const struct results_flow **ret_shared)
{
	Wire__FlowCreate create = WIRE__FLOW_CREATE__INIT;
	Wire__Reply *reply;

	create.device = device;
	create.start = start;
	reply = TEST_CALL(client, flow_create, FLOW_CREATE, &create);
	assert_null(reply->error);
	if (ret_shared)
		*ret_shared = (const void *)(client->area + reply->flow->flow_offset_bytes);
	return reply->flow->flow;
}

Wire__Reply *test_apply_fds(struct test_client *client, uint32_t flow, const char *function,
	const char *const *args, unsigned int n_args, const int *fds, unsigned int n_fds)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowApply apply = WIRE__FLOW_APPLY__INIT;
	Wire__Value values[8], *pointers[8];
	char name[64];
	static char texts[8][8192]; /* a slow expression is long */

	snprintf(name, sizeof(name), "%s", function);
	for (unsigned int i = 0; i < n_args; i++) {
		snprintf(texts[i], sizeof(texts[i]), "%s", args[i]);
		wire__value__init(&values[i]);
		values[i].kind_case = WIRE__VALUE__KIND_TEXT;
		values[i].text = texts[i];
		pointers[i] = &values[i];
	}
	apply.flow = flow;
	apply.function = name;
	apply.args = pointers;
	apply.n_args = n_args;
	request.call_case = WIRE__REQUEST__CALL_FLOW_APPLY;
	request.flow_apply = &apply;
	return test_call(client, &request, fds, n_fds);
}

Wire__Reply *test_apply(struct test_client *client, uint32_t flow, const char *function,
	const char *const *args, unsigned int n_args)
{
	return test_apply_fds(client, flow, function, args, n_args, NULL, 0);
}

const struct results_slot *test_slot(struct test_client *client, const Wire__Reply *reply)
{
	assert_null(reply->error);
	assert_int_equal(reply->apply->n_slots, 1);
	return (const void *)(client->area + reply->apply->slot_offset_bytes);
}

void test_connect(struct test_client *client, uint32_t flow)
{
	Wire__FlowConnect connect = WIRE__FLOW_CONNECT__INIT;
	Wire__Reply *reply;

	connect.flow = flow;
	reply = TEST_CALL(client, flow_connect, FLOW_CONNECT, &connect);
	if (reply->error)
		fail_msg("%s", reply->error->text);
}

void test_connect_later(struct test_client *client, uint32_t flow)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__FlowConnect connect = WIRE__FLOW_CONNECT__INIT;

	connect.flow = flow;
	request.call_case = WIRE__REQUEST__CALL_FLOW_CONNECT;
	request.flow_connect = &connect;
	test_put(client, &request, NULL, 0);
}

void test_close(struct test_client *client, uint32_t flow, int code)
{
	Wire__FlowClose close = WIRE__FLOW_CLOSE__INIT;
	Wire__Reply *reply;

	close.flow = flow;
	reply = TEST_CALL(client, flow_close, FLOW_CLOSE, &close);
	assert_int_equal(reply->error ? reply->error->code : 0, code);
}

void test_start_device(struct test_client *client, uint64_t device)
{
	Wire__DeviceStart start = WIRE__DEVICE_START__INIT;

	start.device = device;
	assert_null(TEST_CALL(client, device_start, DEVICE_START, &start)->error);
}

void test_flush(struct test_client *client, uint32_t flow)
{
	Wire__FlowFlush flush = WIRE__FLOW_FLUSH__INIT;

	flush.flow = flow;
	assert_null(TEST_CALL(client, flow_flush, FLOW_FLUSH, &flush)->error);
}

void test_finish(struct test_client *client, uint32_t flow, const struct results_flow *shared)
{
	while (*(const volatile uint32_t *)&shared->status != FLOW_FINISHED)
		test_flush(client, flow);
}

uint64_t test_u64(const struct results_slot *slot)
{
	uint64_t value;

	memcpy(&value, slot->data, sizeof(value));
	return value;
}
