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

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/turns.h"
#include "mapi/errors.h"
#include "test_daemon.h"
#include "test_privileged_private.h"
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

struct test_asker {
	int fd;
	pthread_t thread;
	bool loads;
};

/* What no verifier takes from anybody: packets read in place; and without rights nothing is. */
static struct kernel_code *test_refused_code(void)
{
	const struct kernel_options options = { .hook = KERNEL_XDP };
	struct kernel_code *code;

	assert(kernel_code_new(&code, &options, NULL, 0) == 0);
	return code;
}

static void *test_asker_main(void *argument)
{
	struct test_asker *asker = argument;
	struct kernel_code *code = asker->loads ? test_refused_code() : NULL;

	for (unsigned int i = 0; i < 50; i++) {
		struct error err = ERROR_INIT;
		int fds[DRIVER_FDS_MAX];
		struct kernel_fds loaded;
		unsigned int n_fds = 0;

		if (asker->loads) {
			assert(privileged_load(asker->fd, test_area, sizeof(test_area), code,
				       &loaded, &err) < 0);
			assert(strstr(err.text, "into the kernel") || strstr(err.text, "verifier"));
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
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_capture),
	};

	return cmocka_run_group_tests(tests, test_daemon_setup, test_daemon_teardown);
}
