/* SPDX-License-Identifier: BSD-2-Clause */
/* A system daemon that stays away, dies again, refuses, or is closed meanwhile; and many restarts.
 */
#undef NDEBUG
#include "test_restart_run.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"

static void *read_status(void *data)
{
	struct restart_waiter *w = data;
	struct mapi_result_status s = { .sz = sizeof(s) };

	w->code = mapi_result_status(w->fd, w->fid, 0, &s);
	return NULL;
}

struct closer {
	int fd;
	_Atomic pid_t tid; /* 0 until it runs */
};

static void *close_flow(void *data)
{
	struct closer *c = data;

	atomic_store(&c->tid, gettid());
	return mapi_close_flow(c->fd) == 0 ? data : NULL;
}

/* It waits for something in the kernel. */
static bool is_asleep(pid_t tid)
{
	char path[64], text[512] = "";
	const char *state;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	(void)fclose(file);
	state = strrchr(text, ')'); /* behind its name */
	return state && state[1] && state[2] == 'S';
}

/* Somebody looks for a daemon where there is none: it is one that ends at once. */
static void await_attempt(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", test_socket_path);
	(void)unlink(test_socket_path);
	assert_int_equal(bind(listening, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listening, 1), 0);
	fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	(void)unlink(test_socket_path);
	close(listening);
	close(fd);
}

static void test_closed_while_it_is_built(void **state)
{
	struct restart_waiter status = { .n_wanted = 1 }, pkts = { .n_wanted = 1 };
	struct closer closer = { .tid = 0 };
	pthread_t threads[3];
	void *closed;

	fake_system_start(test_socket_path);
	pkts.fd = status.fd = restart_flow("TO_BUFFER", &pkts.fid);
	status.fid = pkts.fid;
	fake_engine_kill();
	fake_stall_fd = eventfd(0, EFD_CLOEXEC);
	fake_engine_fault(WIRE__REQUEST__CALL_FLOW_APPLY, FAKE_STALLS);
	fake_system_start(test_socket_path);
	assert_int_equal(pthread_create(&threads[0], NULL, read_status, &status), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, restart_wait_for_pkts, &pkts), 0);
	while (atomic_load(&fake_n_stalled) == 0 || atomic_load(&pkts.tid) == 0 ||
		!is_asleep(atomic_load(&pkts.tid)))
		(void)poll(NULL, 0, 1);
	closer.fd = pkts.fd;
	assert_int_equal(pthread_create(&threads[2], NULL, close_flow, &closer), 0);
	while (atomic_load(&closer.tid) == 0 || !is_asleep(atomic_load(&closer.tid)))
		(void)poll(NULL, 0, 1);
	assert_int_equal(eventfd_write(fake_stall_fd, 1), 0);
	pthread_join(threads[2], &closed);
	assert_non_null(closed);
	pthread_join(threads[1], NULL);
	assert_int_equal(pkts.code, MAPI_INVALID_FLOW);
	pthread_join(threads[0], NULL);
	close(fake_stall_fd);
	fake_engine_kill();
}

static void test_closed_while_the_daemon_is_away(void **state)
{
	struct restart_waiter w = { .n_wanted = 1 };
	pthread_t thread;
	uint64_t begin_ns;

	fake_system_start(test_socket_path);
	w.fd = restart_flow("TO_BUFFER", &w.fid);
	assert_int_equal(pthread_create(&thread, NULL, restart_wait_for_pkts, &w), 0);
	fake_engine_kill();
	await_attempt();
	begin_ns = clock_monotonic_ns();
	assert_int_equal(mapi_close_flow(w.fd), 0);
	pthread_join(thread, NULL);
	assert_int_equal(w.code, MAPI_INVALID_FLOW);
	assert_true(clock_monotonic_ns() - begin_ns < 2000000000u);
}

static void test_a_daemon_that_stays_away(void **state)
{
	struct mapi_result_status s;
	mapi_flow_info_t info;
	uint64_t begin_ns;
	int fid, fd;

	fake_system_start(test_socket_path);
	fd = restart_flow("PKT_COUNTER", &fid);
	fake_engine_kill();
	begin_ns = clock_monotonic_ns();
	s = restart_status(fd, fid);
	assert_true(clock_monotonic_ns() - begin_ns >= 900000000u);
	assert_int_equal(s.error, MAPI_DAEMON_LOST);
	/* The next ones do not wait again. */
	begin_ns = clock_monotonic_ns();
	for (unsigned int i = 0; i < 3; i++) {
		assert_null(mapi_read_results(fd, fid));
		assert_error(MAPI_DAEMON_LOST);
		assert_int_equal(mapi_wait(fd, -1), -1);
		assert_error(MAPI_DAEMON_LOST);
		assert_int_equal(mapi_get_flow_info(fd, &info), -1);
		assert_error(MAPI_DAEMON_LOST);
		assert_int_equal(mapi_flush(fd), -1);
		assert_error(MAPI_DAEMON_LOST);
	}
	assert_true(clock_monotonic_ns() - begin_ns < 900000000u);
	fake_system_start(test_socket_path);
	assert_int_equal(restart_value(fd, fid), 0);
	s = restart_status(fd, fid);
	assert_int_equal(s.error, 0);
	assert_int_equal(s.restarts, 1);
	assert_true(s.gap_ns >= 900000000u);
	assert_int_equal(mapi_close_flow(fd), 0);
	fake_engine_kill();
}

/* It listens, but nobody is at home. */
static void test_a_silent_daemon(void **state)
{
	unsigned int n_stalled = atomic_load(&fake_n_stalled);
	char text[MAPI_ERRORSTR_LENGTH];
	struct client_lock lock;
	int code;

	fake_stall_fd = eventfd(0, EFD_CLOEXEC);
	fake_engine_fault(WIRE__REQUEST__CALL_HELLO, FAKE_STALLS);
	fake_system_start(test_socket_path);
	client_lock(&lock);
	client_set_patience(1);
	client_unlock(&lock);
	assert_int_equal(mapi_create_flow("fake0"), -1);
	client_lock(&lock);
	client_set_patience(0);
	client_unlock(&lock);
	/* Which one it is, and what to do. */
	assert_int_equal(mapi_read_error(&code, text), 0);
	assert_int_equal(code, MCOM_INIT_SOCKET_ERROR);
	assert_non_null(strstr(text, test_socket_path));
	assert_non_null(strstr(text, "does not answer"));
	assert_non_null(strstr(text, "systemctl restart mapid"));
	while (atomic_load(&fake_n_stalled) == n_stalled) /* it has met its fault */
		(void)poll(NULL, 0, 1);
	fake_engine_kill();
	close(fake_stall_fd);
}

static void test_a_refused_function(void **state)
{
	int counter, buffer, refused, other;
	struct mapi_result_status s;
	mapi_flow_info_t info;
	unsigned int n_closed;
	unsigned long long value = 77;

	fake_system_start(test_socket_path);
	refused = mapi_create_flow("fake0");
	counter = mapi_apply_function(refused, "PKT_COUNTER");
	fake_write_slot(0, 1, &value, sizeof(value));
	assert_int_equal(mapi_connect(refused), 0);
	assert_int_equal(restart_value(refused, counter), 77);
	other = restart_flow("TO_BUFFER", &buffer);
	fake_refuses = "PKT_COUNTER";
	n_closed = atomic_load(&fake_n_closed);
	restart_daemon();
	s = restart_status(refused, counter);
	assert_int_equal(s.error, 7001);
	assert_string_equal(s.error_text, "not any more");
	assert_int_equal(s.status, FLOW_FINISHED);
	assert_int_equal(mapi_wait(refused, -1), 1);
	assert_int_equal(mapi_get_flow_info(refused, &info), 0);
	assert_int_equal(info.status, FLOW_FINISHED);
	assert_int_equal(restart_value(refused, counter), 77); /* what it had stays readable */
	assert_int_equal(mapi_flush(refused), -1);
	assert_error(7001);
	assert_int_equal(atomic_load(&fake_n_closed), n_closed + 1); /* what was built of it */
	s = restart_status(other, buffer);
	assert_int_equal(s.error, 0);
	assert_int_equal(s.restarts, 1);
	fake_refuses = NULL;
	restart_daemon();
	assert_int_equal(restart_status(refused, counter).error, 7001);
	restart_await(other, buffer, 2);
	assert_int_equal(mapi_close_flow(refused), 0);
	assert_int_equal(mapi_close_flow(other), 0);
	fake_engine_kill();
}

/* The fault comes once, and the daemon waits for the next connection. */
static void test_a_daemon_that_dies_again(void **state)
{
	static const Wire__Request__CallCase calls[] = { WIRE__REQUEST__CALL_HELLO,
		WIRE__REQUEST__CALL_DEVICE_OPEN, WIRE__REQUEST__CALL_FLOW_CREATE,
		WIRE__REQUEST__CALL_FLOW_APPLY, WIRE__REQUEST__CALL_FLOW_CONNECT };
	static const enum fake_fault faults[] = { FAKE_DIES, FAKE_GARBAGE, FAKE_WRONG_ID };
	unsigned int n = 0;
	int fid, fd;

	fake_system_start(test_socket_path);
	fd = restart_flow("TO_BUFFER", &fid);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		for (size_t k = 0; k < ARRAY_SIZE(faults); k++) {
			fake_engine_kill();
			fake_engine_fault(calls[i], faults[k]);
			fake_system_start(test_socket_path);
			restart_await(fd, fid, ++n);
			assert_int_equal(restart_status(fd, fid).error, 0);
		}
	/* Places and descriptors that it does not have are no reason to try again. */
	fake_engine_kill();
	fake_engine_fault(WIRE__REQUEST__CALL_FLOW_APPLY, FAKE_NO_FDS);
	fake_system_start(test_socket_path);
	assert_int_equal(restart_status(fd, fid).error, MAPI_SHM_ERR);
	assert_int_equal(mapi_close_flow(fd), 0);
	fake_engine_kill();
}

static unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void *wait_for_end(void *data)
{
	const struct restart_waiter *w = data;

	assert_int_equal(mapi_wait(w->fd, -1), -1);
	return NULL;
}

static void *read_all_the_time(void *data)
{
	struct restart_waiter *w = data;

	while (!atomic_load(&w->n_pkts))
		assert_non_null(mapi_read_results(w->fd, w->fid));
	return NULL;
}

static void test_many_restarts(void **state)
{
	struct restart_waiter pkts = { .n_wanted = 1000000 }, end, values = { .n_wanted = 0 };
	pthread_t threads[4];
	unsigned int n_fds = 0;
	int nowait;

	fake_system_start(test_socket_path);
	pkts.fd = mapi_create_flow("fake0");
	values.fid = mapi_apply_function(pkts.fd, "PKT_COUNTER");
	nowait = mapi_apply_function(pkts.fd, "TO_BUFFER", NOWAIT);
	pkts.fid = mapi_apply_function(pkts.fd, "TO_BUFFER", WAIT);
	assert_int_equal(mapi_connect(pkts.fd), 0);
	assert_true(mapi_fileno(pkts.fd, nowait) >= 0);
	end = pkts;
	values.fd = pkts.fd;
	assert_int_equal(pthread_create(&threads[0], NULL, restart_wait_for_pkts, &pkts), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, wait_for_end, &end), 0);
	assert_int_equal(pthread_create(&threads[2], NULL, read_all_the_time, &values), 0);
	assert_int_equal(pthread_create(&threads[3], NULL, wait_for_end, &end), 0);
	for (unsigned int i = 1; i <= 200; i++) {
		restart_daemon();
		restart_await(pkts.fd, values.fid, i);
		restart_put_pkt(i);
		restart_await_pkts(&pkts, i);
		if (i == 20)
			n_fds = count_fds();
	}
	/* A restart may find calls that still see those before; a descriptor lost per restart is
	 * more. */
	if (count_fds() > n_fds + 100)
		print_error("%u, %u\n", n_fds, count_fds());
	assert_true(count_fds() <= n_fds + 100);
	atomic_store(&values.n_pkts, 1);
	pthread_join(threads[2], NULL);
	assert_int_equal(mapi_close_flow(pkts.fd), 0);
	pthread_join(threads[0], NULL);
	assert_int_equal(pkts.code, MAPI_INVALID_FLOW);
	pthread_join(threads[1], NULL);
	pthread_join(threads[3], NULL);
	fake_engine_kill();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closed_while_it_is_built),
		cmocka_unit_test(test_closed_while_the_daemon_is_away),
		cmocka_unit_test(test_a_daemon_that_stays_away),
		cmocka_unit_test(test_a_silent_daemon),
		cmocka_unit_test(test_a_refused_function),
		cmocka_unit_test(test_a_daemon_that_dies_again),
		cmocka_unit_test(test_many_restarts),
	};
	int n_failed;

	restart_prepare();
	n_failed = cmocka_run_group_tests(tests, NULL, NULL);
	test_folder_remove();
	return n_failed;
}
