/* SPDX-License-Identifier: BSD-2-Clause */
/* Closing from signal handlers and other threads, fork, daemons that die or answer nonsense. */
#undef NDEBUG
#include "fake_engine.h"
#include "test_run.h"

#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>

static int flow_with(const char *name, int *ret_fid)
{
	int fd = mapi_create_offline_flow("/dev/null", MFF_PCAP);

	assert_true(fd > 0);
	*ret_fid = mapi_apply_function(fd, name);
	assert_true(*ret_fid > 0);
	assert_int_equal(mapi_connect(fd), 0);
	return fd;
}

/* ---- signals ---- */

static volatile sig_atomic_t handler_fd, handler_ran;

static void close_in_handler(int signo)
{
	int saved_errno = errno;

	(void)signo;
	errno = 4711;
	if (handler_fd > 0)
		(void)mapi_close_flow(handler_fd);
	assert_int_equal(errno, 4711);
	errno = saved_errno;
	handler_fd = 0;
	handler_ran = 1;
}

static void start_timer(unsigned int us)
{
	struct itimerval timer = { .it_value = { .tv_usec = (suseconds_t)us } };

	handler_ran = 0;
	setitimer(ITIMER_REAL, &timer, NULL);
}

static uint32_t random_next(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

static void loop_pkt(const struct mapipkt *pkt)
{
	volatile unsigned char byte = pkt->pkt; /* must stay readable */

	(void)byte;
}

/* A writer that fills the ring until it is told to stop. */
static void *write_pkts(void *data)
{
	struct mapipkt pkt = { .caplen = 4 };

	while (ring_write(data, &pkt, offsetof(struct mapipkt, pkt), "abcd", 4, NULL) == 0)
		;
	return NULL;
}

static void test_handler_closes_while_main_waits(void **state)
{
	struct sigaction action = { .sa_handler = close_in_handler }, before;
	uint64_t rnd = 1;

	sigaction(SIGALRM, &action, &before);
	for (unsigned int round = 0; round < 100; round++) {
		int fid, fd = flow_with("TO_BUFFER", &fid);

		handler_fd = fd;
		start_timer(1 + random_next(&rnd) % 3000);
		if (round % 2) {
			assert_null(mapi_get_next_pkt(fd, fid));
		} else {
			assert_int_equal(mapi_loop(fd, fid, -1, loop_pkt), -1);
		}
		assert_int_equal(handler_ran, 1);
	}
	sigaction(SIGALRM, &before, NULL);
}

/* The handler strikes anywhere: in a call, in the program's own code, in malloc. Packets that the
 * program holds stay readable. */
static void test_handler_closes_at_any_moment(void **state)
{
	struct sigaction action = { .sa_handler = close_in_handler }, before;
	uint64_t rnd = 2;

	sigaction(SIGALRM, &action, &before);
	for (unsigned int round = 0; round < 60; round++) {
		int fid, fd = flow_with("TO_BUFFER", &fid);
		struct ring *ring = fake_last_ring();
		struct mapipkt *pkt;
		pthread_t thread;
		sigset_t set, old;

		sigemptyset(&set);
		sigaddset(&set, SIGALRM);
		pthread_sigmask(SIG_BLOCK, &set, &old);
		pthread_create(&thread, NULL, write_pkts, ring);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		handler_fd = fd;
		start_timer(1 + random_next(&rnd) % 2000);
		while ((pkt = mapi_get_next_pkt(fd, fid))) {
			free(malloc(pkt->caplen));
			loop_pkt(pkt);
			(void)mapi_result_status(fd, fid, 0,
				&(struct mapi_result_status){
					.sz = sizeof(struct mapi_result_status) });
			(void)mapi_flush(fd);
			loop_pkt(pkt);
		}
		while (!handler_ran)
			;
		ring_cancel(ring);
		pthread_join(thread, NULL);
	}
	sigaction(SIGALRM, &before, NULL);
}

static void exit_in_handler(int signo)
{
	(void)signo;
	(void)mapi_close_flow(handler_fd);
	exit(42);
}

static void test_handler_exits(void **state)
{
	for (unsigned int round = 0; round < 20; round++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			struct sigaction action = { .sa_handler = exit_in_handler };
			int fid, fd;

			sigaction(SIGALRM, &action, NULL);
			fd = flow_with("TO_BUFFER", &fid);
			handler_fd = fd;
			start_timer(1 + round * 100);
			for (;;)
				(void)mapi_get_next_pkt(fd, fid);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 42);
	}
}

/* ---- threads ---- */

struct waiter {
	int fd, fid;
	int code;
	bool got_pkt;
};

static void *wait_for_pkt(void *data)
{
	struct waiter *w = data;

	w->got_pkt = mapi_get_next_pkt(w->fd, w->fid) != NULL;
	mapi_read_error(&w->code, NULL);
	return NULL;
}

static void test_another_thread_closes(void **state)
{
	for (unsigned int round = 0; round < 200; round++) {
		struct waiter w;
		pthread_t thread;

		w.fd = flow_with("TO_BUFFER", &w.fid);
		pthread_create(&thread, NULL, wait_for_pkt, &w);
		if (round % 2)
			usleep(round * 5);
		assert_int_equal(mapi_close_flow(w.fd), 0);
		pthread_join(thread, NULL);
		assert_false(w.got_pkt);
		/* Too late to find the flow, or woken. */
		assert_true(w.code == MAPI_INVALID_FID_FUNCID || w.code == MAPI_INVALID_FLOW);
	}
}

static void test_one_reader_at_a_time(void **state)
{
	struct waiter w = { .fd = 0 };
	struct flow *flow;
	pthread_t thread;
	int code;

	w.fd = flow_with("TO_BUFFER", &w.fid);
	pthread_create(&thread, NULL, wait_for_pkt, &w);
	flow = flow_get(w.fd);
	while (!atomic_load(&flow_function(flow, w.fid)->is_busy)) /* until the thread is in */
		(void)sched_yield();
	flow_put(flow);
	assert_null(mapi_get_next_pkt(w.fd, w.fid));
	mapi_read_error(&code, NULL);
	assert_int_equal(code, MAPI_SEM_ERR);
	assert_int_equal(mapi_close_flow(w.fd), 0);
	pthread_join(thread, NULL);
	assert_int_equal(w.code, MAPI_INVALID_FLOW);
}

/* Lookups race with closing and creating; the sanitizers watch. */
static _Atomic bool churn_stops;
static _Atomic int churn_fd;

static void *churn_read(void *data)
{
	while (!atomic_load(&churn_stops)) {
		int fd = atomic_load(&churn_fd);

		(void)mapi_get_scope_size(fd);
		(void)mapi_result_status(fd, 1, 0,
			&(struct mapi_result_status){ .sz = sizeof(struct mapi_result_status) });
	}
	return data;
}

static void test_lookups_race_with_closing(void **state)
{
	pthread_t threads[2];

	for (unsigned int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, churn_read, NULL);
	for (unsigned int round = 0; round < 1000; round++) {
		int fid, fd = flow_with("PKT_COUNTER", &fid);

		atomic_store(&churn_fd, fd);
		assert_non_null(mapi_read_results(fd, fid));
		assert_int_equal(mapi_close_flow(fd), 0);
	}
	atomic_store(&churn_stops, true);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

/* ---- dead and mad daemons ---- */

static void test_daemon_dies_under_a_waiter(void **state)
{
	struct mapi_result_status s = { .sz = sizeof(s) };
	struct waiter w;
	mapi_flow_info_t info;
	pthread_t thread;
	int counter;

	w.fd = mapi_create_offline_flow("/dev/null", MFF_PCAP);
	w.fid = mapi_apply_function(w.fd, "TO_BUFFER");
	counter = mapi_apply_function(w.fd, "PKT_COUNTER");
	assert_int_equal(mapi_connect(w.fd), 0);
	pthread_create(&thread, NULL, wait_for_pkt, &w);
	fake_engine_kill();
	pthread_join(thread, NULL);
	assert_false(w.got_pkt);
	assert_int_equal(w.code, MAPI_DAEMON_LOST);
	assert_null(mapi_read_results(w.fd, counter));
	assert_error(MAPI_DAEMON_LOST);
	assert_int_equal(mapi_get_flow_info(w.fd, &info), -1);
	assert_error(MAPI_DAEMON_LOST);
	assert_int_equal(info.status, FLOW_FINISHED);
	assert_int_equal(mapi_result_status(w.fd, counter, 0, &s), 0);
	assert_int_equal(s.error, MAPI_DAEMON_LOST);
	assert_int_equal(mapi_flush(w.fd), -1);
	assert_error(MAPI_DAEMON_LOST);
	assert_int_equal(mapi_close_flow(w.fd), 0);
}

static void test_a_new_daemon_is_started(void **state)
{
	int fid, fd = flow_with("PKT_COUNTER", &fid), later;
	unsigned int n_before = atomic_load(&fake_n_engines);
	char refs[32], wanted[32];

	fake_engine_kill();
	later = mapi_create_offline_flow("/dev/null", MFF_PCAP);
	assert_true(later > fd);
	assert_int_equal(atomic_load(&fake_n_engines), n_before + 1);
	/* References are numbered as this daemon counts. */
	assert_true(mapi_apply_function(later, "STATS", later, 1, "0") > 0);
	assert_int_equal(fake_last_apply.flow, 1);
	assert_int_equal(fake_last_apply.numbers[0], 1);
	(void)snprintf(refs, sizeof(refs), "1@%d,2@%d,x", later, later);
	(void)snprintf(wanted, sizeof(wanted), "1@1,2@1,x");
	assert_true(mapi_apply_function(later, "REFS", refs) > 0);
	assert_string_equal(fake_last_apply.texts[0], wanted);
	/* The old flow is still known, as lost. */
	assert_null(mapi_read_results(fd, fid));
	assert_error(MAPI_DAEMON_LOST);
	assert_int_equal(mapi_close_flow(fd), 0);
	assert_int_equal(mapi_close_flow(later), 0);
}

/* A daemon that refuses, or goes, says why: that is the error, whichever call hears it. */
static void test_daemons_that_say_why(void **state)
{
	static const enum fake_fault faults[] = { FAKE_REFUSES, FAKE_REFUSES_AT_ONCE };
	char text[MAPI_ERRORSTR_LENGTH];
	int fid, fd, code;

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		fake_engine_kill();
		fake_engine_fault(WIRE__REQUEST__CALL_HELLO, faults[i]);
		assert_int_equal(mapi_create_flow("eth0"), -1);
		assert_int_equal(mapi_read_error(&code, text), 0);
		assert_int_equal(code, MAPI_QUOTA_EXCEEDED);
		assert_string_equal(text, "too many");
	}
	fd = flow_with("PKT_COUNTER", &fid);
	fake_engine_fault(WIRE__REQUEST__CALL_FLOW_FLUSH, FAKE_REFUSES);
	assert_int_equal(mapi_flush(fd), -1);
	assert_error(MAPI_QUOTA_EXCEEDED);
	assert_int_equal(mapi_flush(fd), -1);
	assert_error(MAPI_DAEMON_LOST);
	assert_int_equal(mapi_close_flow(fd), 0);
}

static void test_mad_daemons(void **state)
{
	const enum fake_fault faults[] = { FAKE_DIES, FAKE_WRONG_ID, FAKE_GARBAGE };
	int fid, fd;

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		fake_engine_kill();
		fake_engine_fault(WIRE__REQUEST__CALL_HELLO, faults[i]);
		assert_int_equal(mapi_create_flow("eth0"), -1);
		assert_error(MCOM_INIT_SOCKET_ERROR);
		fd = flow_with("PKT_COUNTER", &fid);
		fake_engine_fault(WIRE__REQUEST__CALL_FLOW_FLUSH, faults[i]);
		assert_int_equal(mapi_flush(fd), -1);
		assert_error(MAPI_DAEMON_LOST);
		assert_int_equal(mapi_close_flow(fd), 0);
	}
	for (int fault = FAKE_BAD_OFFSET; fault <= FAKE_WRONG_VERSION; fault++) {
		fake_engine_kill();
		fake_engine_fault(WIRE__REQUEST__CALL_HELLO, (enum fake_fault)fault);
		assert_int_equal(mapi_create_flow("eth0"), -1);
		assert_error(fault == FAKE_WRONG_VERSION ? MCOM_INIT_SOCKET_ERROR : MAPI_SHM_ERR);
	}
	fake_engine_kill();
	fd = mapi_create_offline_flow("/dev/null", 0);
	fake_engine_fault(WIRE__REQUEST__CALL_FLOW_APPLY, FAKE_BAD_OFFSET);
	assert_int_equal(mapi_apply_function(fd, "PKT_COUNTER"), -1);
	assert_error(MAPI_SHM_ERR);
	fake_engine_fault(WIRE__REQUEST__CALL_FLOW_APPLY, FAKE_NO_FDS);
	assert_int_equal(mapi_apply_function(fd, "TO_BUFFER"), -1);
	assert_error(MAPI_SHM_ERR);
	fake_engine_fault(WIRE__REQUEST__CALL_FLOW_APPLY, FAKE_WRONG_REPLY);
	assert_int_equal(mapi_apply_function(fd, "TO_BUFFER"), -1);
	assert_error(MCOM_UNKNOWN_ERROR);
	fake_engine_fault(WIRE__REQUEST__CALL_FLOW_CREATE, FAKE_BAD_OFFSET);
	assert_int_equal(mapi_create_offline_flow("/dev/null", 0), -1);
	assert_error(MAPI_SHM_ERR);
	fake_engine_fault(WIRE__REQUEST__CALL_FLOW_CREATE, FAKE_WRONG_REPLY);
	assert_int_equal(mapi_create_offline_flow("/dev/null", 0), -1);
	assert_error(MCOM_UNKNOWN_ERROR);
	fake_engine_fault(WIRE__REQUEST__CALL_DEVICE_OPEN, FAKE_WRONG_REPLY);
	assert_null(mapi_create_offline_device("/dev/null", 0));
	assert_error(MCOM_UNKNOWN_ERROR);
	assert_true((fid = mapi_apply_function(fd, "PKT_COUNTER")) > 0);
	assert_int_equal(mapi_connect(fd), 0);
	fake_engine_fault(WIRE__REQUEST__CALL_RESULT_CELL, FAKE_BAD_OFFSET);
	assert_null(mapi_read_results(fd, fid, MAPI_REF));
	assert_error(MAPI_SHM_ERR);
	fake_engine_fault(WIRE__REQUEST__CALL_FLOW_CLOSE, FAKE_DIES);
	assert_int_equal(mapi_close_flow(fd), -1);
	assert_error(MAPI_DAEMON_LOST);
}

/* ---- fork ---- */

static int child_status(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_a_child_has_no_flows(void **state)
{
	int fid, fd = flow_with("PKT_COUNTER", &fid), code = 0;
	char *dev = mapi_create_offline_device("/dev/null", 0);
	unsigned int n_closed = atomic_load(&fake_n_closed);
	pid_t pid = fork();

	if (pid == 0) {
		if (mapi_read_results(fd, fid) || mapi_read_error(&code, NULL) < 0 ||
			code != MAPI_INIT_ERROR)
			_exit(1);
		if (mapi_close_flow(fd) != -1)
			_exit(2);
		/* Its own engine could be started; the parent's is forgotten. */
		fake_start_fails = true;
		if (mapi_create_flow(dev) != -1 || mapi_read_error(&code, NULL) < 0 ||
			code != MCOM_INIT_SOCKET_ERROR)
			_exit(3);
		if (mapi_close_flow(fd) != -1 || mapi_read_error(&code, NULL) < 0 ||
			code != MAPI_INVALID_FLOW)
			_exit(4);
		_exit(0);
	}
	assert_int_equal(child_status(pid), 0);
	assert_int_equal(atomic_load(&fake_n_closed), n_closed);
	assert_non_null(mapi_read_results(fd, fid));
	assert_int_equal(mapi_close_flow(fd), 0);
	assert_int_equal(mapi_delete_offline_device(dev), 0);
}

/* Fork @n_forks times, each parent exiting at once, and see whether the last child has the flow.
 * @owner_exits: the process that made the flow does, too. */
static char adopt(unsigned int n_forks, bool owner_exits)
{
	int outcome_fds[2], alive_fds[2], fid, fd = 0;
	char outcome = 'x';
	pid_t pid;

	assert_int_equal(pipe(outcome_fds), 0);
	assert_int_equal(pipe(alive_fds), 0);
	pid = fork();
	if (pid == 0) {
		char byte;

		/* A program of its own, with its own engine. */
		fake_engine_forget();
		fd = flow_with("PKT_COUNTER", &fid);
		for (unsigned int i = 0; i < n_forks; i++) {
			if (fork() == 0)
				continue;
			if (i == 0 && !owner_exits)
				(void)!read(outcome_fds[0], &outcome, 1);
			_exit(outcome == 'x' ? 0 : outcome);
		}
		close(alive_fds[1]); /* the ancestors' ends go with them */
		if (owner_exits)
			(void)!read(alive_fds[0], &byte, 1);
		/* An exited process is known by the kernel until it was waited for. */
		for (unsigned int i = 0; i < 2000 && !mapi_read_results(fd, fid) && owner_exits;
			i++)
			usleep(1000);
		outcome = mapi_read_results(fd, fid) ? 'y' : 'n';
		(void)!write(outcome_fds[1], &outcome, 1);
		_exit(0);
	}
	close(alive_fds[0]);
	close(alive_fds[1]);
	if (owner_exits) {
		assert_int_equal(child_status(pid), 0);
		assert_int_equal(read(outcome_fds[0], &outcome, 1), 1);
	} else {
		outcome = (char)child_status(pid);
	}
	close(outcome_fds[0]);
	close(outcome_fds[1]);
	return outcome;
}

static void test_a_child_adopts_what_its_parent_left(void **state)
{
	assert_int_equal(adopt(1, true), 'y');
	assert_int_equal(adopt(2, true), 'y');
	assert_int_equal(adopt(1, false), 'n');
	assert_int_equal(adopt(2, false), 'n');
	assert_int_equal(adopt(3, false), 'n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handler_exits),
		cmocka_unit_test(test_handler_closes_while_main_waits),
		cmocka_unit_test(test_handler_closes_at_any_moment),
		cmocka_unit_test(test_another_thread_closes),
		cmocka_unit_test(test_one_reader_at_a_time),
		cmocka_unit_test(test_lookups_race_with_closing),
		cmocka_unit_test(test_daemon_dies_under_a_waiter),
		cmocka_unit_test(test_a_new_daemon_is_started),
		cmocka_unit_test(test_daemons_that_say_why),
		cmocka_unit_test(test_mad_daemons),
		cmocka_unit_test(test_a_child_has_no_flows),
		cmocka_unit_test(test_a_child_adopts_what_its_parent_left),
	};
	int r = cmocka_run_group_tests_name("faults", tests, NULL, NULL);

	fake_engine_kill();
	return r;
}
