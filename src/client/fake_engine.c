/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_engine.h. */
#undef NDEBUG
#include "fake_engine_private.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

struct fake_apply fake_last_apply;
_Atomic unsigned int fake_n_engines, fake_n_closed;
uint64_t fake_hello_seed, fake_hello_workers, fake_hello_batch_pkts;
bool fake_start_fails;
const struct fake_listed *fake_devices, *fake_flows;
const char *fake_refuses;
int fake_stall_fd = -1;
_Atomic unsigned int fake_n_stalled;
struct fake fake;

void fake_reply(const Wire__Reply *reply, const int fds[], unsigned int n_fds)
{
	int r = wire_conn_put(fake.conn, &reply->base, fds, n_fds);

	while (r == WIRE_E_AGAIN) {
		struct pollfd pollfd = { .fd = wire_conn_fd(fake.conn), .events = POLLOUT };

		(void)poll(&pollfd, 1, -1);
		r = wire_conn_flush(fake.conn);
	}
}

void fake_reply_done(uint64_t id)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__Empty empty = WIRE__EMPTY__INIT;

	reply.id = id;
	reply.result_case = WIRE__REPLY__RESULT_DONE;
	reply.done = &empty;
	fake_reply(&reply, NULL, 0);
}

void fake_reply_error(uint64_t id, int code, const char *text)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__Error error = WIRE__ERROR__INIT;

	reply.id = id;
	error.code = code;
	error.text = (char *)(uintptr_t)text;
	reply.error = &error;
	fake_reply(&reply, NULL, 0);
}

/* Return: false to end. */
static bool fake_misbehave(Wire__Request *request, enum fake_fault fault)
{
	int fd;

	while (wire_conn_take_fds(fake.conn, &fd, 1) == 0)
		close(fd);
	switch (fault) {
	case FAKE_DIES:
		return false;
	case FAKE_WRONG_ID:
		fake_reply_done(request->id + 1);
		return true;
	case FAKE_REFUSES:
		fake_reply_error(0, MAPI_QUOTA_EXCEEDED, "too many");
		return false;
	case FAKE_GARBAGE:
		assert(write(wire_conn_fd(fake.conn), "\0\0\0\4\377\377\377\377", 8) == 8);
		return true;
	case FAKE_WRONG_REPLY:
		fake_reply_done(request->id);
		return true;
	default:
		assert(!"unexpected");
		return false;
	}
}

static bool fake_answer(Wire__Request *request)
{
	enum fake_fault fault = FAKE_NO_FAULT;

	if (request->call_case == fake.fault_call && fake.fault != FAKE_NO_FAULT) {
		fault = fake.fault;
		fake.fault = FAKE_NO_FAULT;
		if (fault <= FAKE_WRONG_REPLY)
			return fake_misbehave(request, fault);
		if (fault == FAKE_STALLS) {
			struct pollfd pollfds[] = { { .fd = fake_stall_fd, .events = POLLIN },
				{ .fd = fake.kill_fd, .events = POLLIN } };

			atomic_fetch_add(&fake_n_stalled, 1);
			(void)poll(pollfds, 2, -1);
			if (pollfds[1].revents)
				return false;
		}
	}
	switch (request->call_case) {
	case WIRE__REQUEST__CALL_HELLO:
		fake_hello(request, fault);
		return true;
	case WIRE__REQUEST__CALL_DESCRIBE:
		fake_describe(request);
		return true;
	case WIRE__REQUEST__CALL_DEVICE_OPEN:
		fake_device_open(request);
		return true;
	case WIRE__REQUEST__CALL_FLOW_CREATE:
		fake_flow_create(request, fault);
		return true;
	case WIRE__REQUEST__CALL_FLOW_APPLY:
		fake_flow_apply(request, fault);
		return true;
	case WIRE__REQUEST__CALL_FLOW_CONNECT:
		fake_flow_connect(request);
		return true;
	case WIRE__REQUEST__CALL_FLOW_EVENTS:
		fake_flow_events(request);
		return true;
	case WIRE__REQUEST__CALL_RESULT_CELL:
		fake_result_cell(request, fault);
		return true;
	case WIRE__REQUEST__CALL_FLOW_ERROR:
		fake_flow_error(request);
		return true;
	case WIRE__REQUEST__CALL_LIST_DEVICE:
		fake_list_device(request);
		return true;
	case WIRE__REQUEST__CALL_LIST_FLOW:
		fake_list_flow(request);
		return true;
	case WIRE__REQUEST__CALL_LIST_FUNCTION:
		fake_list_function(request);
		return true;
	case WIRE__REQUEST__CALL_DEVICE_STATS:
		fake_device_stats(request);
		return true;
	case WIRE__REQUEST__CALL_EXPLAIN:
		fake_explain(request);
		return true;
	case WIRE__REQUEST__CALL_FLOW_CLOSE:
		atomic_fetch_add(&fake_n_closed, 1);
		fake_reply_done(request->id);
		return true;
	default:
		fake_reply_done(request->id);
		return true;
	}
}

/* One connection. Return: false: the engine is to end. */
static bool fake_serve(void)
{
	struct pollfd pollfds[] = { { .fd = wire_conn_fd(fake.conn), .events = POLLIN },
		{ .fd = fake.kill_fd, .events = POLLIN } };
	bool goes_on = true, is_killed = false;

	while (goes_on) {
		const uint8_t *frame;
		size_t n_bytes;
		int r = wire_conn_next(fake.conn, &frame, &n_bytes);

		if (r == WIRE_E_AGAIN) {
			(void)poll(pollfds, 2, -1);
			is_killed = pollfds[1].revents != 0;
			goes_on = !is_killed;
		} else if (r == 0) {
			Wire__Request *request = wire__request__unpack(NULL, n_bytes, frame);

			assert(request);
			goes_on = fake_answer(request);
			wire__request__free_unpacked(request, NULL);
		} else {
			goes_on = false;
		}
	}
	if (!fake.hangs)
		(void)shutdown(wire_conn_fd(fake.conn), SHUT_RDWR);
	return !is_killed && !fake.hangs;
}

static void *fake_run(void *data)
{
	struct pollfd pollfds[] = { { .fd = fake.listening_fd, .events = POLLIN },
		{ .fd = fake.kill_fd, .events = POLLIN } };

	if (fake.listening_fd < 0) {
		(void)fake_serve();
		return data;
	}
	do {
		fake.conn = wire_conn_free(fake.conn);
		(void)poll(pollfds, 2, -1);
		if (pollfds[1].revents)
			break;
		assert(wire_conn_new(&fake.conn,
			       accept4(fake.listening_fd, NULL, NULL, SOCK_CLOEXEC)) == 0);
	} while (fake_serve());
	return data;
}

static int fake_hanging_fd = -1; /* the socket of one that hangs */

void fake_engine_kill(void)
{
	uint64_t one = 1;

	if (!fake.is_running)
		return;
	if (fake.listening_fd >= 0)
		(void)shutdown(fake.listening_fd, SHUT_RDWR);
	(void)!write(fake.kill_fd + 1, &one, sizeof(one)); /* see fake_start() */
	pthread_join(fake.thread, NULL);
	fake.is_running = false;
	for (unsigned int i = 0; i < fake.n_rings; i++)
		ring_free(fake.rings[i]);
	if (fake.hangs) {
		if (fake_hanging_fd >= 0)
			close(fake_hanging_fd);
		fake_hanging_fd = fcntl(wire_conn_fd(fake.conn), F_DUPFD_CLOEXEC, 500);
	}
	wire_conn_free(fake.conn);
	munmap(fake.area, FAKE_AREA_BYTES);
	close(fake.area_fd);
	close(fake.kill_fd);
	close(fake.kill_fd + 1);
	if (fake.listening_fd >= 0) {
		close(fake.life_fds[1]);
		close(fake.life_fds[0]);
		close(fake.listening_fd);
	}
	if (fake.event_fd > 0)
		close(fake.event_fd);
	fake = (struct fake){ .fault_call = fake.fault_call, .fault = fake.fault };
}

void fake_engine_hang(void)
{
	fake.hangs = true;
	fake_engine_kill();
}

void fake_engine_forget(void)
{
	fake = (struct fake){ .n_rings = 0 };
}

static void fake_start(struct wire_conn *conn, int listening_fd)
{
	int pipes[2];

	assert(pipe2(pipes, O_CLOEXEC) == 0);
	fake.kill_fd = fcntl(pipes[0], F_DUPFD_CLOEXEC, 500);
	assert(dup3(pipes[1], fake.kill_fd + 1, O_CLOEXEC) >= 0);
	close(pipes[0]);
	close(pipes[1]);
	fake.conn = conn;
	fake.listening_fd = listening_fd;
	fake.area_fd = memfd_create("results", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert(ftruncate(fake.area_fd, FAKE_AREA_BYTES) == 0);
	assert(fcntl(fake.area_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	fake.area =
		mmap(NULL, FAKE_AREA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fake.area_fd, 0);
	assert(fake.area != MAP_FAILED);
	assert(pthread_create(&fake.thread, NULL, fake_run, NULL) == 0);
	fake.is_running = true;
}

static void fake_say_too_many(int fd)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__Error error = WIRE__ERROR__INIT;
	char text[] = "too many";

	error.code = MAPI_QUOTA_EXCEEDED;
	error.text = text;
	reply.error = &error;
	wire_say(fd, &reply.base);
}

/* Instead of start.c. */
int private_start(int *ret_fd)
{
	struct wire_conn *conn;
	int sockets[2];

	if (fake_start_fails)
		return client_fail(MCOM_INIT_SOCKET_ERROR, "not today");
	fake_engine_kill(); /* a dead one still has its memory */
	atomic_fetch_add(&fake_n_engines, 1);
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0);
	if (fake.fault == FAKE_REFUSES_AT_ONCE) {
		fake.fault = FAKE_NO_FAULT;
		fake_say_too_many(sockets[1]);
		close(sockets[1]);
		*ret_fd = sockets[0];
		return 0;
	}
	assert(wire_conn_new(&conn, sockets[1]) == 0);
	fake_start(conn, -1);
	*ret_fd = sockets[0];
	return 0;
}

void fake_system_start(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	fake_engine_kill();
	atomic_fetch_add(&fake_n_engines, 1);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	(void)unlink(path);
	assert(bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	assert(listen(fd, 8) == 0);
	assert(pipe2(fake.life_fds, O_CLOEXEC) == 0);
	fake_start(NULL, fd);
}

/* ---- what tests do to it, while it waits for a request ---- */

void fake_engine_fault(Wire__Request__CallCase call, enum fake_fault fault)
{
	fake.fault_call = call;
	fake.fault = fault;
}

struct ring *fake_last_ring(void)
{
	return fake.rings[fake.n_rings - 1];
}

void fake_write_slot(unsigned int i, uint64_t order, const void *data, size_t n_bytes)
{
	struct results_slot *slot = (void *)(fake.slots + i * fake.slot_bytes);

	results_write_begin(&slot->seq);
	slot->order = order;
	memcpy(slot->data, data, n_bytes);
	results_write_end(&slot->seq);
}

void fake_write_head(enum mapi_flow_status status, int error_code)
{
	results_write_begin(&fake.head->seq);
	fake.head->status = status;
	fake.head->error_code = error_code;
	fake.head->start_ns = 1000000000ull * 12345;
	fake.head->end_ns = status == FLOW_FINISHED ? 1000000000ull * 12346 : 0;
	fake.head->pkts = 42;
	fake.head->late_pkts = 3;
	for (unsigned int k = 0; k < RESULTS_N_LOSS; k++)
		fake.head->lost_pkts[k] = 10 + k;
	fake.head->done_bytes = 50;
	fake.head->total_bytes = 100;
	results_write_end(&fake.head->seq);
}

void fake_write_event(void)
{
	assert(eventfd_write(fake.event_fd, 1) == 0);
}

void fake_write_cell(uint64_t value)
{
	*fake.cell = value;
}
