/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon and its device: see test_live_private.h. */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "engine.h"
#include "mapi/errors.h"
#include "plan/plan.h"
#include "privileged.h"
#include "test_live_private.h"

/* ---- a device without packets ---- */

struct live_control live_control;

static void live_while(_Atomic bool *flag)
{
	while (atomic_load(flag))
		(void)poll(NULL, 0, 1);
}

static int live_prepare(const struct driver_open_args *args, int ret_fds[DRIVER_FDS_MAX],
	unsigned int *ret_n_fds, struct error *err)
{
	live_control.n_prepared++;
	live_while(&live_control.holds_prepare);
	if (strcmp(args->name, "broken") == 0)
		return error_set(err, MAPI_NO_PERMISSION, "broken cannot be opened");
	ret_fds[0] = eventfd(0, EFD_CLOEXEC);
	*ret_n_fds = 1;
	return 0;
}

static int live_open(
	struct driver_source **ret, const struct driver_open_args *args, struct error *err)
{
	live_control.n_opened++;
	if (strcmp(args->name, "live1") != 0)
		live_while(&live_control.holds_open);
	live_control.n_workers = args->n_workers;
	for (unsigned int i = 0; i < args->n_fds; i++)
		(void)close(args->fds[i]);
	return test_driver_open(ret, args, err);
}

static int live_claim(struct driver_source *source, struct driver_chunk *chunk)
{
	(void)test_driver_claim(source, chunk);
	live_while(&live_control.holds_claim);
	return source->woken || live_control.ends ? DRIVER_E_END : DRIVER_E_IDLE;
}

/* ---- plans are counted, and can be held ---- */

int __real_plan_new(struct plan **ret, struct plan_flow *const *flows, unsigned int n_flows,
	const struct plan *previous, struct error *err);
int __wrap_plan_new(struct plan **ret, struct plan_flow *const *flows, unsigned int n_flows,
	const struct plan *previous, struct error *err);

int __wrap_plan_new(struct plan **ret, struct plan_flow *const *flows, unsigned int n_flows,
	const struct plan *previous, struct error *err)
{
	live_control.n_plans++;
	live_while(&live_control.holds_plan);
	return __real_plan_new(ret, flows, n_flows, previous, err);
}

/* ---- helpers that build databases ---- */

int __real_search_database_build(const uint8_t *source, size_t n_bytes, uint8_t **ret,
	size_t *ret_n_bytes, struct error *err);
int __wrap_search_database_build(const uint8_t *source, size_t n_bytes, uint8_t **ret,
	size_t *ret_n_bytes, struct error *err);

int __wrap_search_database_build(const uint8_t *source, size_t n_bytes, uint8_t **ret,
	size_t *ret_n_bytes, struct error *err)
{
	live_control.builds->n_begun++;
	live_while(&live_control.builds->hold);
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

int live_setup(void **state)
{
	static char shared[] = "live0", other[] = "live1", broken[] = "broken", no_alias[] = "";
	struct test_client client;
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
	live_connect(&client); /* it serves, and knows what SIGTERM means */
	test_end(&client);
	return 0;
}

int live_teardown(void **state)
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

void live_connect(struct test_client *client)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*client = (struct test_client){ .engine_fd = -1 };
	assert_int_equal(connect(fd, (struct sockaddr *)&live.address, live.address_bytes), 0);
	test_begin(client, fd);
	test_greet(client, 1);
}

Wire__Reply *live_open_device(struct test_client *client, const char *name)
{
	Wire__DeviceOpen open = WIRE__DEVICE_OPEN__INIT;
	char copy[32];

	(void)snprintf(copy, sizeof(copy), "%s", name);
	open.name = copy;
	return TEST_CALL(client, device_open, DEVICE_OPEN, &open);
}

uint64_t live_device(struct test_client *client)
{
	Wire__Reply *reply = live_open_device(client, "live0");

	assert_non_null(reply);
	if (reply->error)
		fail_msg("%s", reply->error->text);
	return reply->device->device;
}

uint32_t live_flow(struct test_client *client, uint64_t device)
{
	uint32_t flow = test_flow(client, device, true, NULL);

	assert_null(test_apply(client, flow, "PKT_COUNTER", NULL, 0)->error);
	return flow;
}

void live_call(struct test_client *client)
{
	Wire__Describe describe = WIRE__DESCRIBE__INIT;

	describe.name = (char[]){ "PKT_COUNTER" };
	assert_null(TEST_CALL(client, describe, DESCRIBE, &describe)->error);
}

unsigned int live_n_flows(struct test_client *client)
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

int live_begin(void **state)
{
	(void)alarm(100); /* what is waited for comes at once, or never */
	live_control.builds = mmap(NULL, sizeof(*live_control.builds), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert(live_control.builds != MAP_FAILED);
	test_driver.prepare = live_prepare;
	test_driver.open = live_open;
	test_driver.claim = live_claim;
	return live_setup(state);
}
