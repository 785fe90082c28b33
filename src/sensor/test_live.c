/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole engine of a system daemon with live devices that many programs share, and programs that
 * mean it ill. The engine, the parent and the device are of this process: a thread each, and a
 * driver that never has a packet.
 */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "engine.h"
#include "mapi/errors.h"
#include "plan/plan.h"
#include "privileged.h"
#include "session.h"
#include "test_sensor_private.h"
#include "users.h"
#include "wire/test_send.h"

#define LIVE_CPUS 2
#define LIVE_IDLE_MS 1
#define LIVE_FUNCTIONS_MAX 16384 /* of a user; users.c */
#define LIVE_RINGS_MAX 768 /* of a user; users.c */
#define LIVE_CROWD 30
#define LIVE_LINGER_S 8
#define LIVE_NAME_LEN 1000000

/* ---- a device without packets ---- */

struct driver_source {
	_Atomic bool woken;
};

/* They do not return. */
static _Atomic bool live_holds_prepare, live_holds_open, live_holds_claim;
static _Atomic unsigned int live_n_prepared, live_n_opened;
static _Atomic unsigned int live_workers; /* of the device that was opened last */

static void live_while(_Atomic bool *flag)
{
	while (atomic_load(flag))
		(void)poll(NULL, 0, 1);
}

static int live_prepare(const struct driver_open_args *args, int ret_fds[DRIVER_FDS_MAX],
	unsigned int *ret_n_fds, struct error *err)
{
	live_n_prepared++;
	live_while(&live_holds_prepare);
	if (strcmp(args->name, "broken") == 0)
		return error_set(err, MAPI_NO_PERMISSION, "broken cannot be opened");
	ret_fds[0] = eventfd(0, EFD_CLOEXEC);
	*ret_n_fds = 1;
	return 0;
}

static int live_open(
	struct driver_source **ret, const struct driver_open_args *args, struct error *err)
{
	live_n_opened++;
	if (strcmp(args->name, "live1") != 0)
		live_while(&live_holds_open);
	live_workers = args->n_workers;
	for (unsigned int i = 0; i < args->n_fds; i++)
		(void)close(args->fds[i]);
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

static int live_claim(struct driver_source *source, struct driver_chunk *chunk)
{
	if (!source->woken)
		(void)poll(NULL, 0, LIVE_IDLE_MS);
	live_while(&live_holds_claim);
	return source->woken ? DRIVER_E_END : DRIVER_E_IDLE;
}

static int live_next_batch(
	struct driver_source *source, struct driver_chunk *chunk, struct packet_batch *batch)
{
	return DRIVER_E_END;
}

static void live_with_chunk(struct driver_source *source, struct driver_chunk *chunk)
{
}

static int live_verify(struct driver_source *source, struct driver_chunk *chunk)
{
	return 0;
}

static void live_wake(struct driver_source *source)
{
	source->woken = true;
}

static void live_stats(const struct driver_source *source, struct driver_stats *ret)
{
	*ret = (struct driver_stats){ .n_interfaces = 1 };
}

static int live_interface(
	const struct driver_source *source, unsigned int index, struct driver_interface *ret)
{
	*ret = (struct driver_interface){ .linktype = 1, .ts_units_per_s = 1000000000 };
	return index ? -ENOENT : 0;
}

static struct driver_source *live_close(struct driver_source *source)
{
	free(source);
	return NULL;
}

static struct driver live_driver = { .name = "live",
	.prepare = live_prepare,
	.open = live_open,
	.claim = live_claim,
	.next_batch = live_next_batch,
	.rewind = live_with_chunk,
	.verify = live_verify,
	.release = live_with_chunk,
	.wake = live_wake,
	.stats = live_stats,
	.interface = live_interface,
	.close = live_close };

const struct driver *__wrap_driver_find(const struct driver_open_args *args);

const struct driver *__wrap_driver_find(const struct driver_open_args *args)
{
	return &live_driver;
}

/* ---- plans are counted, and can be held ---- */

static _Atomic bool live_holds_plan;
static _Atomic unsigned int live_n_plans;

int __real_plan_new(struct plan **ret, struct plan_flow *const *flows, unsigned int n_flows,
	const struct plan *previous, struct error *err);
int __wrap_plan_new(struct plan **ret, struct plan_flow *const *flows, unsigned int n_flows,
	const struct plan *previous, struct error *err);

int __wrap_plan_new(struct plan **ret, struct plan_flow *const *flows, unsigned int n_flows,
	const struct plan *previous, struct error *err)
{
	live_n_plans++;
	live_while(&live_holds_plan);
	return __real_plan_new(ret, flows, n_flows, previous, err);
}

/* ---- helpers that build databases ---- */

/* Shared with them. */
struct live_builds {
	_Atomic bool hold;
	_Atomic unsigned int n_begun;
};

static struct live_builds *live_builds;

int __real_search_database_build(const uint8_t *source, size_t n_bytes, uint8_t **ret,
	size_t *ret_n_bytes, struct error *err);
int __wrap_search_database_build(const uint8_t *source, size_t n_bytes, uint8_t **ret,
	size_t *ret_n_bytes, struct error *err);

int __wrap_search_database_build(const uint8_t *source, size_t n_bytes, uint8_t **ret,
	size_t *ret_n_bytes, struct error *err)
{
	live_builds->n_begun++;
	live_while(&live_builds->hold);
	return __real_search_database_build(source, n_bytes, ret, ret_n_bytes, err);
}

/* ---- the daemon ---- */

static struct live {
	struct config config;
	struct config_device devices[3];
	struct parent_engine system;
	struct sockaddr_un address;
	socklen_t address_bytes;
	int parent_fd;
	pthread_t parent;
	pthread_t engine;
} live;

static void *live_parent(void *unused)
{
	struct pollfd p = { .fd = live.parent_fd, .events = POLLIN };
	enum privileged_op op;

	while (poll(&p, 1, -1) == 1 &&
		privileged_answer(live.parent_fd, &live.config, NULL, 0, NULL, NULL, &op) == 0)
		;
	return NULL;
}

static void *live_engine(void *unused)
{
	return engine_run_system(&live.system) == 0 ? NULL : &live;
}

static int live_setup(void **state)
{
	static char shared[] = "live0", other[] = "live1", broken[] = "broken", no_alias[] = "";
	int fds[2];

	live = (struct live){ .config = { .devices = live.devices, .n_devices = 3 },
		.devices = { { .device = shared,
				     .alias = no_alias,
				     .cpus = { 0, 0 },
				     .n_cpus = LIVE_CPUS },
			{ .device = broken, .alias = no_alias },
			{ .device = other, .alias = no_alias } },
		.address = { .sun_family = AF_UNIX },
		.address_bytes = sizeof(live.address) };
	/* 64 MiB, of which connections, flows and rings take little. */
	live.config.quota = (struct config_quota){ .memory_bytes = 64u << 20 };
	live.system = (struct parent_engine){ .config = &live.config, .read_only_fd = -1 };
	live.system.socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* A name that the kernel chooses. */
	assert_int_equal(bind(live.system.socket_fd, (struct sockaddr *)&live.address,
				 sizeof(live.address.sun_family)),
		0);
	assert_int_equal(getsockname(live.system.socket_fd, (struct sockaddr *)&live.address,
				 &live.address_bytes),
		0);
	assert_int_equal(listen(live.system.socket_fd, SOMAXCONN), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	live.parent_fd = fds[0];
	live.system.privileged_fd = fds[1];
	assert_int_equal(pthread_create(&live.parent, NULL, live_parent, NULL), 0);
	assert_int_equal(pthread_create(&live.engine, NULL, live_engine, NULL), 0);
	return 0;
}

static int live_teardown(void **state)
{
	void *failed;

	assert_int_equal(kill(getpid(), SIGTERM), 0);
	assert_int_equal(pthread_join(live.engine, &failed), 0);
	assert_null(failed);
	(void)close(live.system.socket_fd);
	(void)close(live.system.privileged_fd);
	assert_int_equal(pthread_join(live.parent, NULL), 0);
	(void)close(live.parent_fd);
	return 0;
}

static void live_connect(struct test_client *client)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*client = (struct test_client){ .engine_fd = -1 };
	assert_int_equal(connect(fd, (struct sockaddr *)&live.address, live.address_bytes), 0);
	test_begin(client, fd);
	test_greet(client, 1);
}

static Wire__Reply *live_open_device(struct test_client *client, const char *name)
{
	Wire__DeviceOpen open = WIRE__DEVICE_OPEN__INIT;
	char copy[32];

	(void)snprintf(copy, sizeof(copy), "%s", name);
	open.name = copy;
	return TEST_CALL(client, device_open, DEVICE_OPEN, &open);
}

static uint64_t live_device(struct test_client *client)
{
	Wire__Reply *reply = live_open_device(client, "live0");

	assert_non_null(reply);
	if (reply->error)
		fail_msg("%s", reply->error->text);
	return reply->device->device;
}

/* A flow with a counter. */
static uint32_t live_flow(struct test_client *client, uint64_t device)
{
	uint32_t flow = test_flow(client, device, true, NULL);

	assert_null(test_apply(client, flow, "PKT_COUNTER", NULL, 0)->error);
	return flow;
}

/* The call has an answer without a device. */
static void live_call(struct test_client *client)
{
	Wire__Describe describe = WIRE__DESCRIBE__INIT;

	describe.name = (char[]){ "PKT_COUNTER" };
	assert_null(TEST_CALL(client, describe, DESCRIBE, &describe)->error);
}

static unsigned int live_n_flows(struct test_client *client)
{
	Wire__ListFlow list = WIRE__LIST_FLOW__INIT;
	unsigned int n = 0;

	list.next = true;
	for (;;) {
		Wire__Reply *reply = TEST_CALL(client, list_flow, LIST_FLOW, &list);

		if (reply->error)
			return n;
		list.id = reply->listed_flow->id;
		n++;
	}
}

/* ---- tests ---- */

static void workers_of_a_shared_device_are_the_administrators(void **state)
{
	struct test_client client;
	Wire__Hello hello = WIRE__HELLO__INIT;

	live_connect(&client);
	hello.version = WIRE_VERSION;
	hello.workers = 7;
	assert_null(TEST_CALL(&client, hello, HELLO, &hello)->error);
	(void)live_device(&client);
	assert_int_equal(live_workers, LIVE_CPUS);
	test_end(&client);
}

/* The request, without waiting for its answer. */
static void live_ask_for_device(struct test_client *client, const char *name)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__DeviceOpen open = WIRE__DEVICE_OPEN__INIT;
	char copy[32];

	(void)snprintf(copy, sizeof(copy), "%s", name);
	open.name = copy;
	request.id = ++client->id;
	request.call_case = WIRE__REQUEST__CALL_DEVICE_OPEN;
	request.device_open = &open;
	assert_int_equal(wire_conn_put(client->conn, &request.base, NULL, 0), 0);
}

/* Whatever takes time, the parent or the kernel: nobody but who has asked waits, and who goes
 * meanwhile is missed by nobody. */
static void others_go_on_while_a_device_is_opened(void **state)
{
	_Atomic bool *const holds[] = { &live_holds_prepare, &live_holds_open };
	_Atomic unsigned int *const n[] = { &live_n_prepared, &live_n_opened };

	for (unsigned int i = 0; i < ARRAY_SIZE(holds); i++) {
		struct test_client patient, gone, other;
		unsigned int before = *n[i];

		live_teardown(NULL); /* which closes the device */
		live_setup(NULL);
		live_connect(&patient);
		live_connect(&gone);
		live_connect(&other);
		*holds[i] = true;
		live_ask_for_device(&patient, "live0");
		live_ask_for_device(&gone, "live0");
		while (*n[i] == before)
			live_call(&other);
		live_call(&other);
		test_end(&gone);
		live_call(&other);
		*holds[i] = false;
		assert_null(test_reply(&patient)->error);
		assert_int_equal(
			live_open_device(&other, "broken")->error->code, MAPI_NO_PERMISSION);
		(void)live_device(&other);
		assert_int_equal(*n[i], before + (i == 0 ? 2 : 1)); /* one live0, for all */
		test_end(&patient);
		test_end(&other);
	}
}

/* It keeps no other from being opened. */
static void devices_are_opened_beside_one_that_takes_long(void **state)
{
	struct test_client patient, other;
	unsigned int before;

	live_teardown(NULL); /* which closes the devices */
	live_setup(NULL);
	before = live_n_opened;
	live_connect(&patient);
	live_connect(&other);
	live_holds_open = true;
	live_ask_for_device(&patient, "live0");
	while (live_n_opened == before)
		live_call(&other);
	assert_null(live_open_device(&other, "live1")->error);
	assert_int_equal(live_open_device(&other, "broken")->error->code, MAPI_NO_PERMISSION);
	live_holds_open = false;
	assert_null(test_reply(&patient)->error);
	test_end(&patient);
	test_end(&other);
}

/* Two connected flows, the second refers to the first. Each has opened the device itself. */
static void live_pair(struct test_client *client, uint32_t *source, uint32_t *flow)
{
	char text[16];

	*source = live_flow(client, live_device(client));
	*flow = live_flow(client, live_device(client));
	(void)snprintf(text, sizeof(text), "%u", *source);
	assert_null(
		test_apply(client, *flow, "STATS", (const char *[]){ text, "1", "0" }, 3)->error);
	test_connect(client, *source);
	test_connect(client, *flow);
}

/* A program opens a live device with each flow, and means the same one. */
static void flows_of_a_live_device_refer_to_each_other(void **state)
{
	struct test_client client;
	uint32_t source, flow;

	live_connect(&client);
	live_pair(&client, &source, &flow);
	test_close(&client, source, 0);
	test_close(&client, flow, 0);
	live_pair(&client, &source, &flow); /* these go with their program */
	test_end(&client);
}

static void live_stats_of(struct test_client *client, uint32_t flow, uint32_t source)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%u", source);
	assert_null(
		test_apply(client, flow, "STATS", (const char *[]){ text, "1", "0" }, 3)->error);
}

/* Three flows in a ring of references, each not connected yet. */
static void live_ring(struct test_client *client, uint32_t flows[3],
	const volatile struct results_flow *shared[3])
{
	for (unsigned int i = 0; i < 3; i++) {
		const struct results_flow *head;

		flows[i] = test_flow(client, live_device(client), true, &head);
		assert_null(test_apply(client, flows[i], "PKT_COUNTER", NULL, 0)->error);
		shared[i] = head;
	}
	for (unsigned int i = 0; i < 3; i++)
		live_stats_of(client, flows[i], flows[(i + 1) % 3]);
}

/* The first ones wait for the last, whichever that is; one that refers to one of them waits, too;
 * who has nothing to do with them does not. They go in any order. */
static void flows_that_refer_to_each_other_come_together(void **state)
{
	const volatile struct results_flow *shared[3];
	struct test_client client, other;
	uint32_t flows[3], after, alone;

	live_connect(&client);
	live_connect(&other);
	for (unsigned int last = 0; last < 3; last++) {
		live_ring(&client, flows, shared);
		after = live_flow(&client, live_device(&client));
		live_stats_of(&client, after, flows[(last + 1) % 3]);
		test_connect(&client, flows[(last + 1) % 3]);
		test_connect(&client, after);
		test_connect(&client, flows[(last + 2) % 3]);
		alone = live_flow(&other, live_device(&other));
		test_connect(&other, alone);
		test_close(&other, alone, 0);
		for (unsigned int i = 0; i < 3; i++)
			assert_int_equal(shared[i]->status, FLOW_INIT);
		test_connect(&client, flows[last]);
		for (unsigned int i = 0; i < 3; i++)
			assert_int_equal(shared[i]->status, FLOW_ACTIVE);
		for (unsigned int i = 0; i < 3; i++)
			test_close(&client, flows[(last + i) % 3], 0);
		test_close(&client, after, 0);
	}
	/* others go while they wait, and so does their program */
	live_ring(&client, flows, shared);
	test_connect(&client, flows[0]);
	test_connect(&client, flows[1]);
	test_close(&client, flows[1], 0);
	test_connect(&client, flows[2]);
	assert_int_equal(shared[0]->status, FLOW_ACTIVE);
	live_ring(&client, flows, shared);
	test_connect(&client, flows[0]);
	test_end(&client);
	test_end(&other);
}

/* What it waits for never comes: that is an error of who waits, now or when it connects. */
static void who_waits_for_a_closed_flow_is_told(void **state)
{
	const volatile struct results_flow *shared[3];
	Wire__FlowConnect connect = WIRE__FLOW_CONNECT__INIT;
	Wire__FlowError error = WIRE__FLOW_ERROR__INIT;
	struct test_client client;
	uint32_t flows[3];

	live_connect(&client);
	live_ring(&client, flows, shared);
	test_connect(&client, flows[0]);
	test_close(&client, flows[2], 0);
	while (shared[0]->status != FLOW_FINISHED)
		live_call(&client);
	error.flow = flows[0];
	assert_int_equal(TEST_CALL(&client, flow_error, FLOW_ERROR, &error)->flow_error->code,
		MFUNCT_INVALID_ARGUMENT_1);
	connect.flow = flows[1];
	assert_int_equal(TEST_CALL(&client, flow_connect, FLOW_CONNECT, &connect)->error->code,
		MFUNCT_INVALID_ARGUMENT_1);
	test_end(&client);
}

static void how_many_wait_is_limited(void **state)
{
	const volatile struct results_flow *shared[3];
	Wire__FlowConnect connect = WIRE__FLOW_CONNECT__INIT;
	struct test_client client;
	uint32_t flows[3];

	live_connect(&client);
	for (unsigned int i = 0; i < 65; i++) {
		Wire__Reply *reply;

		live_ring(&client, flows, shared);
		connect.flow = flows[0];
		reply = TEST_CALL(&client, flow_connect, FLOW_CONNECT, &connect);
		if (i < 64)
			assert_null(reply->error);
		else
			assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED);
	}
	test_end(&client);
}

/* Who connects a flow that refers to one that is not connected must not keep others from starting
 * the device. */
static void bad_references_do_not_keep_a_device_from_starting(void **state)
{
	struct test_client hostile, other;
	Wire__FlowConnect connect = WIRE__FLOW_CONNECT__INIT;
	uint64_t device;
	uint32_t source, flow;
	char text[16];

	live_connect(&hostile);
	live_connect(&other);
	device = live_device(&hostile);
	source = test_flow(&hostile, device, false, NULL);
	assert_null(test_apply(&hostile, source, "PKT_COUNTER", NULL, 0)->error);
	(void)snprintf(text, sizeof(text), "%u", source);
	flow = test_flow(&hostile, device, false, NULL);
	assert_null(
		test_apply(&hostile, flow, "STATS", (const char *[]){ text, "1", "0" }, 3)->error);
	connect.flow = flow;
	assert_int_equal(TEST_CALL(&hostile, flow_connect, FLOW_CONNECT, &connect)->error->code,
		MFUNCT_INVALID_ARGUMENT_1);
	test_connect(&other, live_flow(&other, live_device(&other)));
	test_connect(&hostile, source);
	test_connect(&hostile, flow);
	test_end(&hostile);
	test_end(&other);
}

/* The engine hears of all at once, because it is held meanwhile. */
static void clients_that_leave_together_make_few_plans(void **state)
{
	struct test_client crowd[LIVE_CROWD], other;
	uint32_t first, last;
	uint64_t device;
	unsigned int before;

	live_connect(&other);
	device = live_device(&other);
	first = live_flow(&other, device);
	last = live_flow(&other, live_device(&other));
	test_connect(&other, first);
	for (unsigned int i = 0; i < LIVE_CROWD; i++) {
		live_connect(&crowd[i]);
		for (unsigned int k = 0; k < 3; k++)
			test_connect(&crowd[i], live_flow(&crowd[i], live_device(&crowd[i])));
	}
	assert_int_equal(live_n_flows(&other), 2 + 3 * LIVE_CROWD);
	live_holds_plan = true;
	before = live_n_plans;
	test_connect_later(&other, last);
	while (live_n_plans == before)
		(void)poll(NULL, 0, 1);
	for (unsigned int i = 0; i < LIVE_CROWD; i++)
		test_end(&crowd[i]);
	live_holds_plan = false;
	assert_null(test_reply(&other)->error);
	while (live_n_flows(&other) > 2)
		;
	test_close(&other, last, 0);
	assert_in_range(live_n_plans - before, 2, 4); /* last comes, they go, last goes */
	test_end(&other);
}

/* However many programs and flows they are spread over. */
static void functions_of_a_user_are_limited(void **state)
{
	struct test_client clients[2];
	Wire__Reply *reply;
	uint64_t devices[2];
	uint32_t flow = 0;
	unsigned int n = 0;

	for (unsigned int i = 0; i < 2; i++) {
		live_connect(&clients[i]);
		devices[i] = live_device(&clients[i]);
	}
	for (; n < LIVE_FUNCTIONS_MAX; n++) {
		unsigned int i = n / SESSION_FUNCTIONS_MAX % 2;

		if (n % SESSION_FUNCTIONS_MAX == 0)
			flow = test_flow(&clients[i], devices[i], false, NULL);
		reply = test_apply(&clients[i], flow, "PKT_COUNTER", NULL, 0);
		if (reply->error)
			fail_msg("function %u: %s", n, reply->error->text);
	}
	reply = test_apply(&clients[1], flow, "PKT_COUNTER", NULL, 0);
	assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED); /* of the flow */
	flow = test_flow(&clients[0], devices[0], false, NULL);
	reply = test_apply(&clients[0], flow, "PKT_COUNTER", NULL, 0);
	assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED);
	assert_non_null(strstr(reply->error->text, "functions together"));
	test_end(&clients[1]);
	do
		reply = test_apply(&clients[0], flow, "PKT_COUNTER", NULL, 0);
	while (reply->error); /* until the other one's have gone */
	test_end(&clients[0]);
}

/* They take descriptors, which all users share. */
static void rings_of_a_user_are_limited(void **state)
{
	const char *const args[] = { "1", "1" };
	struct test_client client;
	Wire__Reply *reply = NULL;
	uint32_t flows[LIVE_RINGS_MAX / SESSION_FUNCTIONS_MAX + 1], flow = 0;
	unsigned int n_flows = 0;
	uint64_t device;
	struct rlimit limit;
	unsigned int n = 0, rings_max = LIVE_RINGS_MAX;
	int fds[RING_N_FDS];

	/* Engine and client are one process here. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	rings_max = (unsigned int)MIN(rings_max, limit.rlim_max / 24);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	live_connect(&client);
	device = live_device(&client);
	for (; n <= rings_max; n++) {
		if (n % SESSION_FUNCTIONS_MAX == 0)
			flows[n_flows++] = flow = test_flow(&client, device, false, NULL);
		reply = test_apply(&client, flow, "HASHSAMP", args, 2);
		if (reply->error)
			break;
		assert_int_equal(wire_conn_take_fds(client.conn, fds, RING_N_FDS), 0);
		for (unsigned int i = 0; i < RING_N_FDS; i++)
			(void)close(fds[i]);
	}
	assert_int_equal(n, rings_max);
	assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED);
	assert_non_null(strstr(reply->error->text, "records together"));
	assert_null(test_apply(&client, flow, "PKT_COUNTER", NULL, 0)->error);
	while (n_flows)
		test_close(&client, flows[--n_flows], 0);
	test_end(&client);
}

/* Two queues of 32 MiB are as much as the quota is, so with what is around them they are more. */
static void all_memory_of_functions_is_charged(void **state)
{
	const char *const args[] = { "0", "out" };
	struct test_client client;
	uint64_t device;
	uint32_t first, second;
	Wire__Reply *reply;
	int fd = memfd_create("out", MFD_CLOEXEC);

	live_connect(&client);
	device = live_device(&client);
	first = test_flow(&client, device, false, NULL);
	second = test_flow(&client, device, false, NULL);
	assert_null(test_apply_fds(&client, first, "TO_FILE", args, 2, &fd, 1)->error);
	reply = test_apply_fds(&client, second, "TO_FILE", args, 2, &fd, 1);
	assert_non_null(reply->error);
	assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED);
	test_close(&client, first, 0);
	do
		reply = test_apply_fds(&client, second, "TO_FILE", args, 2, &fd, 1);
	while (reply->error); /* the thread ends some time */
	test_end(&client);
	(void)close(fd);
}

/* What they are prepared into takes time and memory. */
static void searches_of_a_user_are_limited(void **state)
{
	static char text[8001];
	const char *const args[] = { text };
	struct test_client clients[2];
	uint32_t flows[2];
	Wire__Reply *reply;
	unsigned int n = 0;

	memset(text, 'x', sizeof(text) - 1);
	for (unsigned int i = 0; i < 2; i++) {
		live_connect(&clients[i]);
		flows[i] = test_flow(&clients[i], live_device(&clients[i]), false, NULL);
	}
	do
		reply = test_apply(&clients[n % 2], flows[n % 2], "STR_SEARCH", args, 1);
	while (!reply->error && ++n < 100);
	assert_int_equal(n, 65536 / 8000);
	assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED);
	assert_non_null(strstr(reply->error->text, "characters together"));
	test_close(&clients[0], flows[0], 0);
	assert_null(test_apply(&clients[1], flows[1], "STR_SEARCH", args, 1)->error);
	for (unsigned int i = 0; i < 2; i++)
		test_end(&clients[i]);
}

/* A flow that searches for @text, to be connected when test_reply() says so; NULL: for nothing. */
static uint32_t live_searching(struct test_client *client, const char *text)
{
	const char *const args[] = { text };
	uint32_t flow;

	live_connect(client);
	flow = test_flow(client, live_device(client), true, NULL);
	if (text)
		assert_null(test_apply(client, flow, "STR_SEARCH", args, 1)->error);
	assert_null(test_apply(client, flow, "PKT_COUNTER", NULL, 0)->error);
	test_connect_later(client, flow);
	return flow;
}

static void live_await_builds(unsigned int n)
{
	while (live_builds->n_begun < n)
		(void)poll(NULL, 0, 1);
	assert_int_equal(live_builds->n_begun, n);
}

static bool live_has_reply(const struct test_client *client)
{
	struct pollfd p = { .fd = wire_conn_fd(client->conn), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* However long a database takes, who searches for nothing does not wait; and those who come with
 * searches meanwhile wait for one together. */
static void others_connect_while_a_search_is_prepared(void **state)
{
	struct test_client first, other, second, third, again;
	uint32_t flow;

	*live_builds = (struct live_builds){ .hold = true };
	flow = live_searching(&first, "needle");
	live_await_builds(1);
	(void)live_searching(&other, NULL);
	assert_null(test_reply(&other)->error);
	(void)live_searching(&second, "haystack");
	(void)live_searching(&third, "straw||reed");
	live_call(&other);
	assert_false(live_has_reply(&first) || live_has_reply(&second) || live_has_reply(&third));
	assert_int_equal(live_builds->n_begun, 1);
	live_builds->hold = false;
	assert_null(test_reply(&first)->error);
	assert_null(test_reply(&second)->error);
	assert_null(test_reply(&third)->error);
	assert_int_equal(live_builds->n_begun, 2);
	/* Nor is there anything new for who searches for the same, or when somebody goes. */
	(void)live_searching(&again, "straw||reed");
	assert_null(test_reply(&again)->error);
	test_close(&first, flow, 0);
	test_end(&third);
	test_end(&second);
	live_call(&other);
	assert_int_equal(live_builds->n_begun, 2);
	test_end(&first);
	test_end(&other);
	test_end(&again);
}

static void who_waits_for_a_search_may_go(void **state)
{
	struct test_client first, second;

	*live_builds = (struct live_builds){ .hold = true };
	(void)live_searching(&first, "gone before it is found");
	live_await_builds(1);
	(void)live_searching(&second, "stays");
	test_end(&first);
	live_builds->hold = false;
	assert_null(test_reply(&second)->error);
	test_end(&second);
}

/* A request that is longer than the socket takes at once. Return: its reply; NULL: the end. */
static Wire__Reply *live_describe_long(struct test_client *client, char *name)
{
	struct pollfd p = { .fd = wire_conn_fd(client->conn), .events = POLLOUT };
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__Describe describe = WIRE__DESCRIBE__INIT;
	int r;

	describe.name = name;
	request.id = ++client->id;
	request.call_case = WIRE__REQUEST__CALL_DESCRIBE;
	request.describe = &describe;
	r = wire_conn_put(client->conn, &request.base, NULL, 0);
	while (r == WIRE_E_AGAIN) {
		assert_int_equal(poll(&p, 1, -1), 1);
		r = wire_conn_flush(client->conn);
	}
	return test_reply(client);
}

/* A message of 1 MiB may become 128. */
static void long_requests_are_charged(void **state)
{
	struct test_client hostile, other;
	char *name = malloc(LIVE_NAME_LEN + 1);

	assert_non_null(name);
	memset(name, 'x', LIVE_NAME_LEN);
	name[LIVE_NAME_LEN] = '\0';
	live_connect(&hostile);
	live_connect(&other);
	for (unsigned int i = 0; i < 100; i++) { /* it is given back each time */
		name[LIVE_NAME_LEN / 4] = '\0';
		assert_non_null(live_describe_long(&other, name)->error);
		name[LIVE_NAME_LEN / 4] = 'x';
	}
	assert_null(live_describe_long(&hostile, name));
	live_call(&other);
	test_end(&hostile);
	test_end(&other);
	free(name);
}

/* The worker gets no time, so what came before the call may not be in the results. */
static void a_flush_that_comes_too_late_says_so(void **state)
{
	Wire__FlowFlush flush = WIRE__FLOW_FLUSH__INIT;
	struct test_client client;

	live_teardown(NULL); /* which closes the device */
	live_driver.real_time = true;
	live_setup(NULL);
	live_connect(&client);
	flush.flow = live_flow(&client, live_device(&client));
	test_connect(&client, flush.flow);
	assert_null(TEST_CALL(&client, flow_flush, FLOW_FLUSH, &flush)->error);
	live_holds_claim = true;
	assert_int_equal(TEST_CALL(&client, flow_flush, FLOW_FLUSH, &flush)->error->code,
		MAPI_FLUSH_INCOMPLETE);
	live_holds_claim = false;
	assert_null(TEST_CALL(&client, flow_flush, FLOW_FLUSH, &flush)->error);
	test_end(&client);
	live_teardown(NULL);
	live_driver.real_time = false;
	live_setup(NULL);
}

/* What finds no place is closed by the kernel, in the thread that reads the message. */
static void nobody_waits_for_descriptors_without_a_place(void **state)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__Describe describe = WIRE__DESCRIBE__INIT;
	struct test_client hostile, other;
	struct rlimit limit, none;
	uint64_t begin_ns;
	int peer, fd;

	live_connect(&hostile);
	live_connect(&other);
	fd = test_lingering(LIVE_LINGER_S, &peer);
	assert_true(fd >= 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	describe.name = (char[]){ "PKT_COUNTER" };
	request.id = ++hostile.id;
	request.call_case = WIRE__REQUEST__CALL_DESCRIBE;
	request.describe = &describe;
	assert_int_equal(wire_conn_put(hostile.conn, &request.base, &fd, 1), 0);
	(void)close(fd);
	begin_ns = clock_monotonic_ns();
	for (unsigned int i = 0; i < 100; i++)
		live_call(&other);
	assert_true(clock_monotonic_ns() - begin_ns < LIVE_LINGER_S * UINT64_C(500000000));
	/* With places it is read, and who sends sockets is not served any longer. */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_null(test_reply(&hostile));
	live_call(&other);
	test_end(&hostile);
	test_end(&other);
	(void)close(peer);
}

/* Who has taken many descriptors keeps nobody from being served, and told why. */
static void without_room_everybody_is_answered(void **state)
{
	struct test_client client, other;
	struct rlimit limit, little;
	Wire__Reply *reply;
	uint64_t device;
	uint32_t flow;
	int taken[100];

	live_connect(&client);
	device = live_device(&client);
	flow = test_flow(&client, device, true, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		taken[i] = fcntl(0, F_DUPFD_CLOEXEC, 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	little = limit;
	little.rlim_cur = (rlim_t)taken[ARRAY_SIZE(taken) - 1] * 8 / 5; /* a quarter for messages */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &little), 0);
	live_connect(&other);
	live_call(&other);
	do /* places that are given back meanwhile are taken first */
		reply = live_open_device(&other, "live1");
	while (!reply->error);
	assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED);
	assert_non_null(strstr(reply->error->text, "descriptors"));
	do
		reply = test_apply(&client, flow, "TO_BUFFER", NULL, 0);
	while (!reply->error);
	assert_int_equal(reply->error->code, MAPI_QUOTA_EXCEEDED);
	assert_non_null(strstr(reply->error->text, "descriptors"));
	assert_null(test_apply(&client, flow, "PKT_COUNTER", NULL, 0)->error);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_null(test_apply(&client, flow, "TO_BUFFER", NULL, 0)->error);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		(void)close(taken[i]);
	test_end(&client);
	test_end(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers_of_a_shared_device_are_the_administrators),
		cmocka_unit_test(others_go_on_while_a_device_is_opened),
		cmocka_unit_test(devices_are_opened_beside_one_that_takes_long),
		cmocka_unit_test(flows_of_a_live_device_refer_to_each_other),
		cmocka_unit_test(flows_that_refer_to_each_other_come_together),
		cmocka_unit_test(who_waits_for_a_closed_flow_is_told),
		cmocka_unit_test(how_many_wait_is_limited),
		cmocka_unit_test(bad_references_do_not_keep_a_device_from_starting),
		cmocka_unit_test(clients_that_leave_together_make_few_plans),
		cmocka_unit_test(functions_of_a_user_are_limited),
		cmocka_unit_test(rings_of_a_user_are_limited),
		cmocka_unit_test(all_memory_of_functions_is_charged),
		cmocka_unit_test(searches_of_a_user_are_limited),
		cmocka_unit_test(others_connect_while_a_search_is_prepared),
		cmocka_unit_test(who_waits_for_a_search_may_go),
		cmocka_unit_test(long_requests_are_charged),
		cmocka_unit_test(a_flush_that_comes_too_late_says_so),
		cmocka_unit_test(nobody_waits_for_descriptors_without_a_place),
		cmocka_unit_test(without_room_everybody_is_answered),
	};

	(void)alarm(100); /* what is waited for comes at once, or never */
	live_builds = mmap(NULL, sizeof(*live_builds), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert(live_builds != MAP_FAILED);
	return cmocka_run_group_tests(tests, live_setup, live_teardown);
}
