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
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "mapi/errors.h"
#include "privileged.h"
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

struct test_parent {
	struct config config;
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
		parent->outcome = privileged_answer(parent->fd, &parent->config, &op);
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

static void test_parent_end(struct test_parent *parent, int fd)
{
	(void)close(fd);
	assert_int_equal(pthread_join(parent->thread, NULL), 0);
	assert_int_equal(parent->outcome, -EPIPE);
	(void)close(parent->fd);
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

/* ---- the whole way, with the real driver ---- */

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
		cmocka_unit_test(test_capture),
	};

	return cmocka_run_group_tests(tests, test_daemon_setup, test_daemon_teardown);
}
