/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests of the engine and answers of the parent, with a driver that does what test_driver says:
 * driver_find() is wrapped. A thread is the parent.
 */
#undef NDEBUG
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/turns.h"
#include "mapi/errors.h"
#include "privileged.h"
#include "privileged_private.h"
#include "test_daemon.h"
#include "wire/test_send.h"

static const struct driver *test_driver; /* NULL: the real ones */
static struct driver_open_args test_args; /* of the last prepare() */
static struct driver_options test_options;

const struct driver *__real_driver_find(const struct driver_open_args *args);
const struct driver *__wrap_driver_find(const struct driver_open_args *args);

const struct driver *__wrap_driver_find(const struct driver_open_args *args)
{
	return test_driver ? test_driver : __real_driver_find(args);
}

/* ---- drivers ---- */

/* A descriptor per worker; each tells the worker's number. */
static int test_prepare(const struct driver_open_args *args, int ret_fds[DRIVER_FDS_MAX],
	unsigned int *ret_n_fds, struct error *err)
{
	test_args = *args;
	test_options = *args->options;
	for (unsigned int i = 0; i < args->n_workers; i++) {
		ret_fds[i] = eventfd(i + 1, EFD_CLOEXEC | EFD_NONBLOCK);
		assert(ret_fds[i] >= 0);
	}
	*ret_n_fds = args->n_workers;
	return 0;
}

static int test_prepare_not(const struct driver_open_args *args, int ret_fds[DRIVER_FDS_MAX],
	unsigned int *ret_n_fds, struct error *err)
{
	return error_set(err, MAPI_NO_PERMISSION, "not %s", args->name);
}

static int test_prepare_silent(const struct driver_open_args *args, int ret_fds[DRIVER_FDS_MAX],
	unsigned int *ret_n_fds, struct error *err)
{
	*ret_n_fds = 7; /* of which it has none */
	return -ENODEV;
}

static const struct driver test_good = { .name = "good", .prepare = test_prepare };
static const struct driver test_bad = { .name = "bad", .prepare = test_prepare_not };
static const struct driver test_silent = { .name = "silent", .prepare = test_prepare_silent };
static const struct driver test_free = { .name = "free" };

/* ---- a configuration ---- */

static struct config_device test_devices[] = {
	{ .device = (char[]){ "eth7" },
		.alias = (char[]){ "uplink" },
		.driver_name = "afpacket",
		.ring_bytes = 1 << 20,
		.snaplen_bytes = 96,
		.no_promisc = true },
	{ .device = (char[]){ "replay" },
		.alias = (char[]){ "" },
		.driver_name = "tracedir",
		.trace_dir = (char[]){ "/srv/traces" } },
};

static struct config test_config(bool any_interface)
{
	static char path[] = "/etc/mapi/mapi.conf";

	return (struct config){ .path = path,
		.any_interface = any_interface,
		.devices = test_devices,
		.n_devices = ARRAY_SIZE(test_devices) };
}

/* ---- the parent ---- */

static uint8_t test_area[1 << 20]; /* the engine's memory, which the parent sees */

struct test_parent {
	struct config config;
	struct privileged_loads loads;
	int fd;
	pthread_t thread;
	int outcome;
};

static void *test_parent_main(void *argument)
{
	struct test_parent *parent = argument;
	struct pollfd p = { .fd = parent->fd, .events = POLLIN };
	enum privileged_op op;

	do {
		assert(poll(&p, 1, -1) == 1);
		parent->outcome = privileged_answer(parent->fd, &parent->config, test_area,
			sizeof(test_area), &parent->loads, &op);
	} while (parent->outcome == 0);
	return NULL;
}

/* Return: the engine's end. */
static int test_parent_start(struct test_parent *parent, bool any_interface)
{
	int fds[2];

	*parent = (struct test_parent){ .config = test_config(any_interface) };
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	parent->fd = fds[0];
	assert_int_equal(pthread_create(&parent->thread, NULL, test_parent_main, parent), 0);
	return fds[1];
}

static void test_parent_ended(struct test_parent *parent, int fd, int outcome)
{
	(void)close(fd);
	assert_int_equal(pthread_join(parent->thread, NULL), 0);
	assert_int_equal(parent->outcome, outcome);
	privileged_loads_clear(&parent->loads);
	(void)close(parent->fd);
}

static void test_parent_end(struct test_parent *parent, int fd)
{
	test_parent_ended(parent, fd, -EPIPE);
}

static unsigned int test_n_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(directory);
	while (readdir(directory))
		n++;
	(void)closedir(directory);
	return n;
}

/* ---- tests ---- */

static void test_find(void **state)
{
	static const struct {
		const char *name;
		bool any_interface;
		const char *found; /* NULL: refused, with */
		const char *words;
	} cases[] = {
		{ "eth7", false, "eth7", NULL },
		{ "uplink", false, "eth7", NULL },
		{ "replay", true, "replay", NULL },
		{ "lo", true, "lo", NULL },
		{ "any", true, "any", NULL },
		{ "lo", false, NULL, "'lo' is not served" },
		{ "any", false, NULL, "no [driver] section of /etc/mapi/mapi.conf" },
		{ "no-such0", true, NULL, "no interface 'no-such0'" },
		{ "a-name-longer-than-interfaces-have", true, NULL, "no interface" },
		{ "/etc/shadow", true, NULL, "no interface" },
		{ "", true, NULL, "empty" },
		{ "lo\n", true, NULL, "not printable" },
		{ "\033[2J", false, NULL, "not printable" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct config config = test_config(cases[i].any_interface);
		struct driver_open_args args = { .fd = 77 };
		struct driver_options options = { .ring_bytes = 77 };
		struct error err = ERROR_INIT;
		int r = privileged_find(&config, cases[i].name, &args, &options, &err);

		if (cases[i].found) {
			assert_int_equal(r, 0);
			assert_string_equal(args.name, cases[i].found);
			assert_int_equal(args.fd, -1);
			assert_ptr_equal(args.options, &options);
			continue;
		}
		assert_int_equal(r, -EINVAL);
		assert_int_equal(err.code, MAPID_NO_DRIVER);
		if (!strstr(err.text, cases[i].words))
			fail_msg("'%s' does not say '%s'", err.text, cases[i].words);
		assert_int_equal(args.fd, 77);
		assert_int_equal(options.ring_bytes, 77);
	}
}

static void test_descriptors(void **state)
{
	unsigned int n_before = test_n_fds();
	struct test_parent parent;
	int fd = test_parent_start(&parent, false);

	test_driver = &test_good;
	for (unsigned int n = 1; n <= DRIVER_FDS_MAX; n++) {
		struct error err = ERROR_INIT;
		int fds[DRIVER_FDS_MAX];
		unsigned int n_fds = 0;

		privileged_tell(fd, PRIVILEGED_ALIVE);
		assert_int_equal(privileged_prepare(fd, "uplink", n, fds, &n_fds, &err), 0);
		assert_int_equal(n_fds, n);
		for (unsigned int i = 0; i < n; i++) {
			eventfd_t value = 0;

			assert_int_equal(eventfd_read(fds[i], &value), 0);
			assert_int_equal(value, i + 1);
			assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
			(void)close(fds[i]);
		}
	}
	assert_string_equal(test_args.name, "eth7");
	assert_int_equal(test_args.fd, -1);
	assert_string_equal(test_options.driver, "afpacket");
	assert_int_equal(test_options.ring_bytes, 1 << 20);
	assert_int_equal(test_options.snaplen_bytes, 96);
	assert_true(test_options.no_promisc);
	test_parent_end(&parent, fd);
	assert_int_equal(test_n_fds(), n_before);
}

static void test_refused(
	int fd, const char *name, unsigned int n_workers, int code, const char *words)
{
	struct error err = ERROR_INIT;
	int fds[DRIVER_FDS_MAX];
	unsigned int n_fds = 77;

	assert_int_equal(privileged_prepare(fd, name, n_workers, fds, &n_fds, &err), -EINVAL);
	assert_int_equal(n_fds, 77);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, words))
		fail_msg("'%s' does not say '%s'", err.text, words);
}

static void test_refusals(void **state)
{
	char name[PRIVILEGED_NAME_BYTES + 1];
	struct test_parent parent;
	int fd = test_parent_start(&parent, false);
	struct error err = ERROR_INIT;
	int fds[DRIVER_FDS_MAX];
	unsigned int n_fds = 77;

	test_driver = &test_bad;
	test_refused(fd, "eth7", 1, MAPI_NO_PERMISSION, "not eth7");
	test_refused(fd, "eth8", 1, MAPID_NO_DRIVER, "'eth8' is not served");
	test_driver = &test_silent;
	test_refused(fd, "eth7", 1, MAPID_NO_DRIVER, "No such device");
	test_refused(fd, "eth7", 0, MAPID_NO_DRIVER, "1 to 64 workers");
	test_refused(fd, "eth7", DRIVER_FDS_MAX + 1, MAPID_NO_DRIVER, "1 to 64 workers");
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	test_refused(fd, name, 1, MAPID_NO_DRIVER, "at most 255 characters");
	name[sizeof(name) - 2] = '\0';
	test_refused(fd, name, 1, MAPID_NO_DRIVER, "is not served");
	test_driver = &test_free;
	assert_int_equal(privileged_prepare(fd, "replay", 1, fds, &n_fds, &err), 0);
	assert_int_equal(n_fds, 0);
	test_parent_end(&parent, fd);
	test_driver = NULL;
}

/* ---- replies that are none ---- */

static void test_reply(int fd, const struct privileged_reply *reply, size_t n_bytes, int sent_fd)
{
	assert_true(test_send_copies(fd, reply, n_bytes, sent_fd, sent_fd >= 0));
}

static void test_bad_replies(void **state)
{
	unsigned int n_before = test_n_fds();

	for (unsigned int kind = 0; kind < 5; kind++) {
		struct privileged_reply reply = { .text = "" };
		struct error err = ERROR_INIT;
		int pair[2], fds[DRIVER_FDS_MAX];
		unsigned int n_fds = 77;

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
		if (kind == 2)
			memset(reply.text, 'x', sizeof(reply.text));
		if (kind == 3)
			reply.n_fds = 1; /* which is not there */
		if (kind < 4)
			test_reply(pair[0], &reply, sizeof(reply) - (kind == 0),
				kind == 1 ? pair[0] : -1); /* which it does not tell */
		else
			(void)close(pair[0]);
		assert_int_equal(privileged_prepare(pair[1], "eth7", 1, fds, &n_fds, &err), -EPIPE);
		assert_int_equal(n_fds, 77);
		assert_true(err.code != 0 && err.text[0]);
		if (kind < 4)
			(void)close(pair[0]);
		(void)close(pair[1]);
	}
	assert_int_equal(test_n_fds(), n_before);
}

/* Who gave up waiting once does not take the late answer for the next one. */
static void test_late_reply(void **state)
{
	const struct privileged_reply late = { .serial = 1, .n_fds = 1 };
	unsigned int n_before = test_n_fds();
	struct test_parent parent;
	int fd = test_parent_start(&parent, false);

	test_reply(parent.fd, &late, sizeof(late), fd);
	test_refused(fd, "eth8", 1, MAPID_NO_DRIVER, "'eth8' is not served");
	test_parent_end(&parent, fd);
	assert_int_equal(test_n_fds(), n_before);
}

/* ---- code for the kernel ---- */

static bool test_scribbles;

int __real_kernel_code_unflatten(struct kernel_code **ret, const void *bytes, size_t n_bytes);
int __wrap_kernel_code_unflatten(struct kernel_code **ret, const void *bytes, size_t n_bytes);

/* An engine that changes its mind while the parent looks. */
int __wrap_kernel_code_unflatten(struct kernel_code **ret, const void *bytes, size_t n_bytes)
{
	if (test_scribbles)
		memset(test_area, 0x55, sizeof(test_area));
	return __real_kernel_code_unflatten(ret, bytes, n_bytes);
}

static bool test_is_late;

int __real_kernel_code_load_into(const struct kernel_code *code, uint64_t until_ns,
	const struct kernel_memory *memory, struct kernel_fds *ret, struct error *err);
int __wrap_kernel_code_load_into(const struct kernel_code *code, uint64_t until_ns,
	const struct kernel_memory *memory, struct kernel_fds *ret, struct error *err);

/* The parent gives up before the engine that asks does; or a verifier that has taken that long. */
int __wrap_kernel_code_load_into(const struct kernel_code *code, uint64_t until_ns,
	const struct kernel_memory *memory, struct kernel_fds *ret, struct error *err)
{
	assert(until_ns <= clock_monotonic_ns() + UINT64_C(4000000000));
	return __real_kernel_code_load_into(
		code, test_is_late ? clock_monotonic_ns() : until_ns, memory, ret, err);
}

/* @page_max: of two filters on a page; 1 makes a chain. */
static struct kernel_code *test_code(enum kernel_hook hook, unsigned int page_max)
{
	static const char *const texts[] = { "tcp port 80", "udp and ip[30] = 7" };
	struct kernel_options options = { .hook = hook, .page_max = page_max };
	struct filter_program *filters[2];
	struct kernel_code *code;

	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(filter_compile(&filters[i], texts[i], 1, &err), 0);
	}
	assert_int_equal(
		kernel_code_new(&code, &options, (const struct filter_program *const *)filters, 2),
		0);
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
		filter_program_free(filters[i]);
	return code;
}

static int test_load(int fd, const struct kernel_code *code, struct kernel_fds *ret)
{
	struct error err = ERROR_INIT;
	int r = privileged_load(fd, test_area, sizeof(test_area), code, ret, &err);

	assert_int_equal(r == 0, err.code == 0);
	if (r < 0)
		print_message("%s\n", err.text);
	return r;
}

static bool test_has_kernel(void)
{
	if (kernel_is_built())
		return true;
	print_message("SKIP: built without the kernel tier\n");
	return false;
}

/* Return: may this process load? */
static bool test_can_load(void)
{
	struct kernel_code *code = test_code(KERNEL_SOCKET, 0);
	struct kernel_fds fds;
	struct error err = ERROR_INIT;
	int r = kernel_code_load(code, &fds, &err);

	kernel_code_free(code);
	if (r == 0)
		kernel_fds_close(&fds);
	else
		print_message("SKIP: %s\n", err.text);
	return r == 0;
}

static void test_loads(void **state)
{
	struct test_parent parent;
	unsigned int n_before;
	int fd;

	if (!test_has_kernel() || !test_can_load())
		skip();
	n_before = test_n_fds();
	fd = test_parent_start(&parent, false);
	for (unsigned int kind = 0; kind < 4; kind++) {
		struct kernel_code *code = test_code(KERNEL_SOCKET, kind % 2);
		struct kernel_program *program;
		struct kernel_count counts[2];
		struct kernel_fds fds;
		struct error err = ERROR_INIT;

		test_scribbles = kind > 1;
		assert_int_equal(test_load(fd, code, &fds), 0);
		assert_true(fds.chain >= 0);
		assert_int_equal(fcntl(fds.program, F_GETFD), FD_CLOEXEC);
		assert_int_equal(kernel_program_new(&program, code, &fds, &err), 0);
		kernel_program_read(program, counts, 2);
		assert_int_equal(counts[0].pkts + counts[1].pkts, 0);
		kernel_program_free(program);
		kernel_code_free(code);
	}
	test_scribbles = false;
	test_parent_end(&parent, fd);
	assert_int_equal(test_n_fds(), n_before);
}

/* @ret_fds: untouched if none came. */
static void test_receive(int fd, struct privileged_reply *ret, int ret_fds[PRIVILEGED_LOAD_FDS])
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(PRIVILEGED_LOAD_FDS * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = ret, .iov_len = sizeof(*ret) };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };

	assert_int_equal(recvmsg(fd, &msg, MSG_CMSG_CLOEXEC), sizeof(*ret));
	assert_false(msg.msg_flags & MSG_CTRUNC);
	assert_int_equal(ret->n_fds, CMSG_FIRSTHDR(&msg) ? PRIVILEGED_LOAD_FDS : 0);
	if (ret->n_fds)
		memcpy(ret_fds, CMSG_DATA(CMSG_FIRSTHDR(&msg)), ret->n_fds * sizeof(int));
}

/* As an engine that was conquered asks: for @area_bytes of counters. Return: of the reply. */
static int test_load_large(int fd, size_t area_bytes, int ret_fds[PRIVILEGED_LOAD_FDS])
{
	struct privileged_request request = { .op = PRIVILEGED_LOAD };
	struct kernel_code *code = test_code(KERNEL_SOCKET, 1);
	struct privileged_reply reply;
	uint32_t head[5];

	request.n_bytes = (uint32_t)kernel_code_flatten(code, test_area, sizeof(test_area));
	kernel_code_free(code);
	memcpy(head, test_area, sizeof(head));
	head[3] = (uint32_t)((area_bytes / head[2] & ~(size_t)63) - head[4]) / 32; /* slots */
	head[3] &= ~1u;
	head[4] += 32 * head[3];
	head[3] += 2;
	memcpy(test_area, head, sizeof(head));
	assert_int_equal(send(fd, &request, sizeof(request), 0), sizeof(request));
	test_receive(fd, &reply, ret_fds);
	return reply.code;
}

static void test_close_all(int fds[PRIVILEGED_LOAD_FDS])
{
	for (unsigned int i = 0; i < PRIVILEGED_LOAD_FDS; i++)
		(void)close(fds[i]);
}

/* What an engine keeps has an end; what it says it does not use is used again, even if it does. */
static void test_loads_are_limited(void **state)
{
	const size_t large = 8 << 20;
	int fds[32][PRIVILEGED_LOAD_FDS];
	struct test_parent parent;
	unsigned int n_before, n = 0;
	uint8_t *counters;
	int fd, r;

	if (!test_has_kernel() || !test_can_load())
		skip();
	n_before = test_n_fds();
	fd = test_parent_start(&parent, false);
	while ((r = test_load_large(fd, large, fds[n])) == 0)
		assert_true(++n < ARRAY_SIZE(fds));
	assert_int_equal(r, -ENOSPC);
	assert_in_range(n, 5, PRIVILEGED_COUNTERS_BYTES_MAX / large);
	/* One is not used any more, it says, and keeps its counters. */
	counters = mmap(NULL, large, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0][1], 0);
	assert_true(counters != MAP_FAILED);
	memset(counters, 0x77, large);
	(void)close(fds[0][2]);
	for (unsigned int i = 0; i < 3; i++) {
		int more[PRIVILEGED_LOAD_FDS];

		assert_int_equal(test_load_large(fd, large, more), 0);
		assert_int_equal(test_load_large(fd, large, fds[n]), -ENOSPC);
		assert_int_equal(counters[0], 0);
		assert_int_equal(counters[large - 1], 0);
		counters[0] = 1;
		test_close_all(more);
	}
	(void)munmap(counters, large);
	assert_int_equal(close(fds[0][0]) | close(fds[0][1]), 0);
	for (unsigned int i = 1; i < n; i++)
		test_close_all(fds[i]);
	test_parent_end(&parent, fd);
	assert_int_equal(test_n_fds(), n_before);
}

/* More counters at once than a machine of this size needs; for CPUs that it does not have. */
static void test_large_counters(void **state)
{
	struct test_parent parent;
	int fd, fds[PRIVILEGED_LOAD_FDS];

	if (!test_has_kernel())
		skip();
	fd = test_parent_start(&parent, false);
	assert_int_equal(test_load_large(fd, (size_t)17 << 20, fds), -EBADMSG);
	test_parent_end(&parent, fd);
}

/* Memory of this process, in KiB. */
static unsigned long test_resident_kb(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%*u %lu", &pages), 1);
	(void)fclose(file);
	return pages * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

/* Programs one after the other, some of them at the same time. */
static void test_many_loads(void **state)
{
	const char *is_long = getenv("MAPI_TEST_LONG");
	unsigned int n_loads = is_long ? 10000 : 500, n_warm = 100, n_fds = 0;
	struct kernel_fds kept[5] = { KERNEL_FDS_INIT, KERNEL_FDS_INIT, KERNEL_FDS_INIT,
		KERNEL_FDS_INIT, KERNEL_FDS_INIT };
	struct kernel_code *codes[2];
	struct test_parent parent;
	unsigned long resident_kb = 0;
	size_t area_bytes = 0;
	uint64_t begin_ns;
	int fd;

	if (!test_has_kernel() || !test_can_load())
		skip();
	codes[0] = test_code(KERNEL_SOCKET, 0);
	codes[1] = test_code(KERNEL_SOCKET, 1);
	fd = test_parent_start(&parent, false);
	begin_ns = clock_monotonic_ns();
	for (unsigned int i = 0; i < n_loads; i++) {
		struct kernel_fds *at = &kept[i % ARRAY_SIZE(kept)];

		kernel_fds_close(at);
		assert_int_equal(test_load(fd, codes[i % 2], at), 0);
		if (i == n_warm) {
			n_fds = test_n_fds();
			resident_kb = test_resident_kb();
			area_bytes = parent.loads.area_bytes;
		}
		if (i > n_warm) { /* two or three chains; the parent may be closing what it sent */
			assert_in_range(test_n_fds(), n_fds - 4, n_fds + 4);
			assert_int_equal(parent.loads.area_bytes, area_bytes);
		}
	}
	print_message("%u programs, %.0f per second\n", n_loads,
		n_loads * 1e9 / (double)(clock_monotonic_ns() - begin_ns));
	assert_true(test_resident_kb() <= resident_kb + 1024);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		kernel_fds_close(&kept[i]);
	test_parent_end(&parent, fd);
	kernel_code_free(codes[0]);
	kernel_code_free(codes[1]);
}

/* The parent has more to do than to wait for the verifier. */
static void test_slow_code(void **state)
{
	struct kernel_fds fds = KERNEL_FDS_INIT;
	struct test_parent parent;
	unsigned int n_before;
	int fd;

	if (!test_has_kernel() || !test_can_load())
		skip();
	n_before = test_n_fds();
	fd = test_parent_start(&parent, false);
	for (unsigned int kind = 0; kind < 2; kind++) {
		struct kernel_code *code = test_code(KERNEL_SOCKET, kind);

		test_is_late = true;
		assert_int_equal(test_load(fd, code, &fds), -ETIME);
		test_is_late = false;
		assert_int_equal(fds.program, -1);
		assert_int_equal(test_load(fd, code, &fds), 0);
		kernel_fds_close(&fds);
		kernel_code_free(code);
	}
	test_parent_end(&parent, fd);
	assert_int_equal(test_n_fds(), n_before);
}

/* Code that is not for an engine, or not ours: said so, and the engine lives on. */
static void test_bad_code(void **state)
{
	struct privileged_request request = { .op = PRIVILEGED_LOAD, .serial = 9 };
	struct kernel_code *code;
	struct test_parent parent;
	struct privileged_reply reply;
	struct kernel_fds fds = KERNEL_FDS_INIT;
	unsigned int n_before = test_n_fds();
	size_t n_bytes;
	int fd;

	if (!test_has_kernel())
		skip();
	fd = test_parent_start(&parent, false);
	code = test_code(KERNEL_TC, 0);
	assert_int_equal(test_load(fd, code, &fds), -EINVAL);
	kernel_code_free(code);
	code = test_code(KERNEL_SOCKET, 0);
	n_bytes = kernel_code_flatten(code, test_area, sizeof(test_area));
	kernel_code_free(code);
	/* garbage; one instruction other than ours; a byte less */
	for (unsigned int kind = 0; kind < 3; kind++) {
		request.n_bytes = (uint32_t)(kind == 2 ? n_bytes - 1 : n_bytes);
		if (kind == 0)
			memset(test_area, 0xff, 8);
		if (kind == 1) /* ends with exit */
			test_area[n_bytes - 8] = 0;
		assert_int_equal(send(fd, &request, sizeof(request), 0), sizeof(request));
		assert_int_equal(recv(fd, &reply, sizeof(reply), 0), sizeof(reply));
		assert_true(reply.code < 0 && reply.n_fds == 0 && reply.text[0]);
		assert_int_equal(reply.code, kind == 1 ? -EINVAL : -EBADMSG);
		assert_int_equal(reply.serial, 9);
		code = test_code(KERNEL_SOCKET, 0);
		(void)kernel_code_flatten(code, test_area, sizeof(test_area));
		kernel_code_free(code);
	}
	test_parent_end(&parent, fd);
	assert_int_equal(test_n_fds(), n_before);
	assert_int_equal(fds.program, -1);
}

/* Requests that no engine of ours makes: it is ended. */
static void test_bad_loads(void **state)
{
	for (unsigned int kind = 0; kind < 3; kind++) {
		struct privileged_request request = { .op = PRIVILEGED_LOAD, .n_bytes = 8 };
		struct test_parent parent;
		int fd = test_parent_start(&parent, false);

		if (kind == 0)
			request.n_bytes = sizeof(test_area) + 1;
		if (kind == 1)
			request.n_bytes = 0;
		if (kind == 2)
			request.name[255] = 1;
		assert_int_equal(send(fd, &request, sizeof(request), 0), sizeof(request));
		assert_int_equal(pthread_join(parent.thread, NULL), 0);
		assert_int_equal(parent.outcome, -EBADMSG);
		(void)close(parent.fd);
		(void)close(fd);
	}
}

/* A code that does not fit is not sent. */
static void test_large_code(void **state)
{
	struct kernel_fds fds = KERNEL_FDS_INIT;
	struct error err = ERROR_INIT;
	struct kernel_code *code;

	if (!test_has_kernel())
		skip();
	code = test_code(KERNEL_SOCKET, 0);
	assert_int_equal(privileged_load(-1, test_area, 100, code, &fds, &err), -EINVAL);
	assert_non_null(strstr(err.text, "more than 100 bytes"));
	kernel_code_free(code);
}

/* An engine that does not know the limit. */
static void test_too_many_instructions(void **state)
{
	static struct filter_program *filters[1500];
	static unsigned char bytes[4u << 20];
	const struct kernel_options options = { .hook = KERNEL_SOCKET };
	struct error err = ERROR_INIT;
	struct kernel_code *code;
	struct privileged_loads loads = { .n = 0 };
	int fds[PRIVILEGED_LOAD_FDS_MAX];
	unsigned int n_fds;
	size_t n_bytes;

	if (!test_has_kernel())
		skip();
	for (unsigned int i = 0; i < ARRAY_SIZE(filters); i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "host 10.1.%u.%u", i / 250, i % 250);
		assert_int_equal(filter_compile(&filters[i], text, 1, &err), 0);
	}
	assert_int_equal(
		kernel_code_new(&code, &options, (const struct filter_program *const *)filters,
			ARRAY_SIZE(filters)),
		0);
	assert_true(kernel_code_stats(code).n_insns > PRIVILEGED_LOAD_INSNS_MAX);
	n_bytes = kernel_code_flatten(code, bytes, sizeof(bytes));
	assert_true(n_bytes <= sizeof(bytes));
	assert_int_equal(
		privileged_load_foreign(&loads, bytes, n_bytes, fds, &n_fds, &err), -EINVAL);
	assert_non_null(strstr(err.text, "more than 65536 instructions"));
	kernel_code_free(code);
	for (unsigned int i = 0; i < ARRAY_SIZE(filters); i++)
		filter_program_free(filters[i]);
}

struct test_asker {
	int fd;
	pthread_t thread;
	bool loads;
};

static void *test_asker_main(void *argument)
{
	struct test_asker *asker = argument;
	struct kernel_code *code = asker->loads ? test_code(KERNEL_TC, 0) : NULL;

	for (unsigned int i = 0; i < 50; i++) {
		struct error err = ERROR_INIT;
		int fds[DRIVER_FDS_MAX];
		struct kernel_fds loaded;
		unsigned int n_fds = 0;

		if (asker->loads) {
			assert(privileged_load(asker->fd, test_area, sizeof(test_area), code,
				       &loaded, &err) == -EINVAL);
			assert(strstr(err.text, "only filters of sockets"));
			continue;
		}
		assert(privileged_prepare(asker->fd, "eth7", 2, fds, &n_fds, &err) == 0);
		assert(n_fds == 2);
		for (unsigned int f = 0; f < n_fds; f++)
			(void)close(fds[f]);
	}
	kernel_code_free(code);
	return NULL;
}

/* Each gets its own answer. */
static void test_threads(void **state)
{
	struct test_asker askers[4];
	unsigned int n_before = test_n_fds();
	struct test_parent parent;
	int fd;

	if (!test_has_kernel())
		skip();
	fd = test_parent_start(&parent, false);
	test_driver = &test_good;
	for (size_t i = 0; i < ARRAY_SIZE(askers); i++) {
		askers[i] = (struct test_asker){ .fd = fd, .loads = i % 2 };
		assert_int_equal(
			pthread_create(&askers[i].thread, NULL, test_asker_main, &askers[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(askers); i++)
		assert_int_equal(pthread_join(askers[i].thread, NULL), 0);
	test_parent_end(&parent, fd);
	assert_int_equal(test_n_fds(), n_before);
	test_driver = NULL;
}

struct test_turns {
	struct turns turns;
	_Atomic bool has_had;
};

static void *test_turns_main(void *argument)
{
	struct test_turns *test = argument;

	turns_begin(&test->turns);
	atomic_store(&test->has_had, true);
	turns_end(&test->turns);
	return NULL;
}

/* Who asks again at once comes after who waits. */
static void test_turns(void **state)
{
	for (unsigned int i = 0; i < 100; i++) {
		struct test_turns test = { .turns = TURNS_INIT };
		bool waits = false;
		pthread_t thread;

		turns_begin(&test.turns);
		assert_int_equal(pthread_create(&thread, NULL, test_turns_main, &test), 0);
		while (!waits) {
			(void)pthread_mutex_lock(&test.turns.lock);
			waits = test.turns.n_taken == 2;
			(void)pthread_mutex_unlock(&test.turns.lock);
		}
		assert_false(atomic_load(&test.has_had));
		turns_end(&test.turns);
		turns_begin(&test.turns);
		assert_true(atomic_load(&test.has_had));
		turns_end(&test.turns);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
}

/* ---- the whole way, with the real driver ---- */

/* An engine without rights that has a program, on a socket of its own. Return: 0, or less with a
 * message. */
static int test_count_in_kernel(const struct parent_engine *engine)
{
	_cleanup_(kernel_code_freep) struct kernel_code *code = test_code(KERNEL_SOCKET, 1);
	_cleanup_(kernel_program_freep) struct kernel_program *program = NULL;
	struct kernel_count counts[2];
	struct error err = ERROR_INIT;
	struct kernel_fds fds;
	int pair[2], r;

	assert(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	r = privileged_load(
		engine->privileged_fd, engine->area, engine->area_bytes, code, &fds, &err);
	if (r == 0)
		r = kernel_program_new(&program, code, &fds, &err);
	if (r == 0)
		r = kernel_attach_socket(program, pair[0], &err);
	if (r == 0)
		kernel_program_read(program, counts, ARRAY_SIZE(counts));
	else
		(void)fprintf(stderr, "%s\n", err.text);
	(void)close(pair[0]);
	(void)close(pair[1]);
	return r;
}

/* An engine without rights that opens an interface. */
static int test_serve_capture(const struct parent_engine *engine)
{
	struct driver_options options;
	struct driver_open_args args;
	struct driver_source *source = NULL;
	struct error err = ERROR_INIT;
	int fds[DRIVER_FDS_MAX];
	unsigned int n_fds = 0;

	assert(socket(AF_PACKET, SOCK_RAW, 0) < 0);
	assert(privileged_find(engine->config, "lo", &args, &options, &err) == 0);
	if (privileged_prepare(engine->privileged_fd, "lo", 1, fds, &n_fds, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	args.batch_pkts = PACKET_BATCH_MAX;
	args.n_workers = 1;
	args.fds = fds;
	args.n_fds = n_fds;
	if (driver_find(&args)->open(&source, &args, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	driver_find(&args)->close(source);
	if (kernel_is_built() && test_count_in_kernel(engine) < 0)
		return 1;
	return test_serve(engine);
}

static void test_capture(void **state)
{
	struct driver_options options = { 0 };
	const struct driver_open_args args = { .name = "lo", .fd = -1, .options = &options };
	pid_t daemon;

	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
		print_message("only root captures\n");
		skip();
	}
	if (!driver_find(&args)) {
		print_message("no driver of interfaces is built in\n");
		skip();
	}
	test_daemon.config.any_interface = true;
	daemon = test_start(test_serve_capture);
	assert_int_equal(test_next().restarts, 0);
	test_stop(daemon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_bad_replies),
		cmocka_unit_test(test_late_reply),
		cmocka_unit_test(test_loads),
		cmocka_unit_test(test_loads_are_limited),
		cmocka_unit_test(test_large_counters),
		cmocka_unit_test(test_many_loads),
		cmocka_unit_test(test_slow_code),
		cmocka_unit_test(test_bad_code),
		cmocka_unit_test(test_bad_loads),
		cmocka_unit_test(test_large_code),
		cmocka_unit_test(test_too_many_instructions),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_capture),
	};

	return cmocka_run_group_tests(tests, test_daemon_setup, test_daemon_teardown);
}
