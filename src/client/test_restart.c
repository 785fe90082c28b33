/* SPDX-License-Identifier: BSD-2-Clause */
/* A system daemon that ends and comes again, or does not: what programs see of it. */
#undef NDEBUG
#include "test_restart_run.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void test_counter(void **state)
{
	unsigned long long value = 5, zero = 0, *ref;
	struct mapi_result_status s;
	mapi_results_t *before;
	mapi_flow_info_t info;
	int fid, fd;

	fake_system_start(test_socket_path);
	fd = restart_flow("PKT_COUNTER", &fid);
	fake_write_slot(0, 1, &value, sizeof(value));
	before = mapi_read_results(fd, fid);
	assert_non_null(before);
	assert_int_equal(restart_value(fd, fid), 5);
	ref = mapi_read_results(fd, fid, MAPI_REF);
	fake_write_cell(17);
	assert_int_equal(*ref, 17);
	s = restart_status(fd, fid);
	assert_int_equal(s.restarts, 0);
	assert_int_equal(s.gap_ns, 0);
	restart_daemon();
	assert_int_equal(*ref, 17); /* the old place stays readable */
	s = restart_status(fd, fid);
	assert_int_equal(s.error, 0);
	assert_int_equal(s.status, FLOW_ACTIVE);
	assert_int_equal(s.restarts, 1);
	assert_true(s.gap_ns > 0 && s.gap_ns < 60000000000u);
	assert_int_equal(restart_value(fd, fid), 0);
	value = 7;
	fake_write_slot(0, 1, &value, sizeof(value));
	assert_int_equal(restart_value(fd, fid), 7);
	assert_ptr_equal(mapi_read_results(fd, fid), before);
	assert_int_equal(*ref, 17);
	ref = mapi_read_results(fd, fid, MAPI_REF);
	fake_write_cell(18);
	assert_int_equal(*ref, 18);
	/* Each call may be the one that notices. */
	restart_daemon();
	assert_int_equal(mapi_flush(fd), 0);
	restart_daemon();
	assert_int_equal(mapi_get_flow_info(fd, &info), 0);
	assert_int_equal(info.fd, fd);
	assert_int_equal(info.status, FLOW_ACTIVE);
	restart_daemon();
	assert_non_null(mapi_read_results(fd, fid, MAPI_REF));
	restart_daemon();
	assert_int_equal(mapi_wait(fd, 50), 0);
	assert_true(mapi_fileno(fd, fid) >= 0);
	/* mapi_read_results() asks at most every 10 ms. */
	fake_write_slot(0, 1, &value, sizeof(value));
	assert_int_equal(restart_value(fd, fid), 7);
	restart_daemon();
	while (restart_value(fd, fid) == 7)
		;
	s = restart_status(fd, fid);
	assert_int_equal(s.restarts, 6);
	assert_int_equal(restart_value(fd, fid), zero);
	assert_int_equal(mapi_close_flow(fd), 0);
	fake_engine_kill();
}

static void restart_hanging_daemon(void)
{
	fake_engine_hang();
	fake_system_start(test_socket_path);
}

static void *restart_hang_within_a_call(void *unused)
{
	while (fake_n_stalled == 0)
		(void)poll(NULL, 0, 1);
	restart_hanging_daemon();
	return NULL;
}

/* It is dead, but its sockets stay open. */
static void test_a_daemon_that_hangs(void **state)
{
	struct restart_waiter w = { .n_wanted = 1 };
	unsigned long long value = 7;
	struct pollfd pollfd = { .events = POLLIN };
	pthread_t thread;
	int fid, fd;

	fake_system_start(test_socket_path);
	fd = restart_flow("PKT_COUNTER", &fid);
	/* Each call may be the one that notices. */
	restart_hanging_daemon();
	assert_int_equal(mapi_flush(fd), 0);
	restart_hanging_daemon();
	assert_int_equal(mapi_wait(fd, 50), 0);
	fake_write_slot(0, 1, &value, sizeof(value));
	assert_int_equal(restart_value(fd, fid), value);
	restart_hanging_daemon();
	while (restart_value(fd, fid) == value)
		;
	/* Also who waits already: by poll(), for a record, for an answer. */
	pollfd.fd = mapi_fileno(fd, fid);
	assert_int_equal(mapi_wait(fd, 0), 0);
	assert_int_equal(poll(&pollfd, 1, 0), 0);
	restart_hanging_daemon();
	assert_int_equal(poll(&pollfd, 1, -1), 1);
	restart_await(fd, fid, 4);
	w.fd = restart_flow("TO_BUFFER", &w.fid);
	assert_int_equal(pthread_create(&thread, NULL, restart_wait_for_pkts, &w), 0);
	restart_hanging_daemon();
	restart_await(w.fd, w.fid, 1);
	restart_put_pkt(1);
	pthread_join(thread, NULL);
	assert_int_equal(w.code, 0);
	fake_engine_fault(WIRE__REQUEST__CALL_FLOW_FLUSH, FAKE_STALLS);
	assert_int_equal(pthread_create(&thread, NULL, restart_hang_within_a_call, NULL), 0);
	assert_int_equal(mapi_flush(fd), 0);
	pthread_join(thread, NULL);
	assert_int_equal(restart_status(fd, fid).restarts, 6);
	assert_int_equal(mapi_close_flow(w.fd), 0);
	assert_int_equal(mapi_close_flow(fd), 0);
	fake_engine_kill();
}

static void test_before_connect(void **state)
{
	int fid, fd;

	fake_system_start(test_socket_path);
	fd = mapi_create_flow("fake0");
	restart_daemon();
	fid = mapi_apply_function(fd, "PKT_COUNTER");
	assert_int_equal(fid, 1);
	restart_daemon();
	assert_int_equal(mapi_apply_function(fd, "NO_SUCH_FUNCTION"), -1);
	assert_error(MAPI_FUNCTION_NOT_FOUND);
	restart_daemon();
	assert_int_equal(mapi_connect(fd), 0);
	assert_int_equal(restart_value(fd, fid), 0);
	assert_int_equal(restart_status(fd, fid).restarts, 3);
	assert_int_equal(mapi_close_flow(fd), 0);
	fake_engine_kill();
}

static void test_references(void **state)
{
	int spare, first, second, counter, stats, refs;
	char text[64];

	fake_system_start(test_socket_path);
	/* Numbers of the program and of the next daemon differ. */
	spare = mapi_create_flow("fake0");
	first = mapi_create_flow("fake0");
	second = mapi_create_flow("fake1");
	counter = mapi_apply_function(first, "PKT_COUNTER");
	assert_int_equal(mapi_close_flow(spare), 0);
	assert_int_equal(mapi_apply_function(second, "CHAR", 'x'), 1);
	(void)snprintf(text, sizeof(text), "%d@%d,7@%d,1@0", counter, first, second);
	refs = mapi_apply_function(second, "REFS", text);
	assert_string_equal(fake_last_apply.texts[0], "1@2,7@3,1@0");
	(void)snprintf(text, sizeof(text), " %d, %d ,99,x1,,%d", first, second, first);
	assert_int_equal(mapi_apply_function(second, "FLOWS", text), refs + 1);
	assert_string_equal(fake_last_apply.texts[0], " 2, 3 ,99,x1,,2");
	(void)memset(text, 'z', sizeof(text) - 1); /* the library has its own */
	stats = mapi_apply_function(second, "STATS", first, counter, "0");
	assert_true(refs > 0 && stats > refs);
	assert_int_equal(mapi_connect(first), 0);
	assert_int_equal(mapi_connect(second), 0);
	restart_daemon();
	assert_int_equal(restart_value(first, counter), 0);
	while (restart_status(first, counter).restarts == 0)
		;
	assert_int_equal(fake_last_apply.flow, 2);
	assert_int_equal(fake_last_apply.numbers[0], 1);
	assert_int_equal(fake_last_apply.numbers[1], counter);
	assert_string_equal(fake_last_apply.texts[2], "0");
	/* A new function refers to an old flow by its old number. */
	spare = mapi_create_flow("fake0");
	assert_true(spare > second);
	(void)snprintf(text, sizeof(text), "1@%d,2@%d", first, second);
	assert_true(mapi_apply_function(spare, "REFS", text) > 0);
	assert_string_equal(fake_last_apply.texts[0], "1@1,2@2");
	/* A flow that refers to a closed one can't be built again, others can. */
	assert_int_equal(mapi_close_flow(spare), 0);
	assert_int_equal(mapi_close_flow(first), 0);
	assert_int_equal(mapi_close_flow(second), 0);
	fake_engine_kill();
}

static void test_files(void **state)
{
	char name[96], again[128], pipe_name[96], pipe_again[128];
	struct stat st;
	int fd, reader;

	fake_system_start(test_socket_path);
	(void)snprintf(name, sizeof(name), "%s/out", test_folder);
	(void)snprintf(again, sizeof(again), "%s.restart-1", name);
	(void)snprintf(pipe_name, sizeof(pipe_name), "%s/pipe", test_folder);
	(void)snprintf(pipe_again, sizeof(pipe_again), "%s.restart-1", pipe_name);
	assert_int_equal(mkfifo(pipe_name, 0600), 0);
	reader = open(pipe_name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0);
	fd = mapi_create_flow("fake0");
	assert_true(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, name, 0) > 0);
	assert_true(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, pipe_name, 0) > 0);
	assert_int_equal(mapi_connect(fd), 0);
	restart_daemon();
	assert_int_equal(mapi_flush(fd), 0);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_size, 7);
	assert_int_equal(stat(again, &st), 0);
	assert_int_equal(st.st_size, 7);
	assert_int_not_equal(access(pipe_again, F_OK), 0);
	assert_int_equal(unlink(name) | unlink(again) | unlink(pipe_name), 0);
	assert_int_equal(mapi_close_flow(fd), 0);
	assert_int_equal(close(reader), 0);
	fake_engine_kill();
}

static void test_waiter(void **state)
{
	struct restart_waiter w = { .n_wanted = 3 };
	pthread_t thread;

	fake_system_start(test_socket_path);
	w.fd = restart_flow("TO_BUFFER", &w.fid);
	assert_int_equal(pthread_create(&thread, NULL, restart_wait_for_pkts, &w), 0);
	restart_put_pkt(1);
	restart_await_pkts(&w, 1);
	for (unsigned int i = 1; i < 3; i++) {
		restart_daemon();
		restart_await(w.fd, w.fid, i);
		restart_put_pkt(i);
		restart_await_pkts(&w, i + 1);
	}
	pthread_join(thread, NULL);
	assert_int_equal(w.code, 0);
	assert_int_equal(mapi_close_flow(w.fd), 0);
	fake_engine_kill();
}

static uint64_t flow_restarts(int fd)
{
	struct flow *flow = flow_get(fd);
	uint64_t restarts = atomic_load(&flow->restarts);

	flow_put(flow);
	return restarts;
}

static void test_a_packet_stays_readable(void **state)
{
	const struct mapipkt *pkt;
	int fid, fd;

	fake_system_start(test_socket_path);
	fd = mapi_create_flow("fake0");
	fid = mapi_apply_function(fd, "TO_BUFFER", NOWAIT);
	assert_int_equal(mapi_connect(fd), 0);
	restart_put_pkt(4711);
	pkt = mapi_get_next_pkt(fd, fid);
	for (unsigned int i = 1; i < 5; i++) {
		restart_daemon();
		restart_await(fd, fid, i);
		assert_int_equal(pkt->wlen, 4711);
		assert_memory_equal(&pkt->pkt, "abcd", 4);
	}
	assert_null(mapi_get_next_pkt(fd, fid));
	assert_error(0);
	restart_put_pkt(4712);
	pkt = mapi_get_next_pkt(fd, fid);
	assert_int_equal(pkt->wlen, 4712);
	/* Who only asks for packets notices, too. */
	restart_daemon();
	do
		assert_null(mapi_get_next_pkt(fd, fid));
	while (flow_restarts(fd) < 5);
	assert_error(0);
	assert_int_equal(mapi_close_flow(fd), 0);
	fake_engine_kill();
}

static bool is_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 1;
}

static void test_descriptors_to_poll(void **state)
{
	int counter, buffer, fd, counter_poll, buffer_poll;

	fake_system_start(test_socket_path);
	fd = mapi_create_flow("fake0");
	counter = mapi_apply_function(fd, "PKT_COUNTER");
	buffer = mapi_apply_function(fd, "TO_BUFFER", NOWAIT);
	assert_int_equal(mapi_connect(fd), 0);
	counter_poll = mapi_fileno(fd, counter);
	buffer_poll = mapi_fileno(fd, buffer);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(mapi_fileno(fd, counter), counter_poll);
		assert_int_equal(mapi_fileno(fd, buffer), buffer_poll);
		assert_false(is_readable(buffer_poll));
		restart_put_pkt(1);
		assert_true(is_readable(buffer_poll));
		assert_non_null(mapi_get_next_pkt(fd, buffer));
		assert_null(mapi_get_next_pkt(fd, buffer));
		assert_false(is_readable(buffer_poll));
		assert_non_null(mapi_read_results(fd, counter));
		assert_false(is_readable(counter_poll));
		fake_write_event();
		assert_true(is_readable(counter_poll));
		assert_non_null(mapi_read_results(fd, counter));
		assert_false(is_readable(counter_poll));
		/* The end of the daemon can be seen. */
		fake_engine_kill();
		assert_true(is_readable(counter_poll));
		assert_true(is_readable(buffer_poll));
		fake_system_start(test_socket_path);
		restart_await(fd, counter, i + 1);
	}
	assert_int_equal(mapi_close_flow(fd), 0);
	fake_engine_kill();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counter),
		cmocka_unit_test(test_a_daemon_that_hangs),
		cmocka_unit_test(test_before_connect),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_waiter),
		cmocka_unit_test(test_a_packet_stays_readable),
		cmocka_unit_test(test_descriptors_to_poll),
	};
	int n_failed;

	restart_prepare();
	n_failed = cmocka_run_group_tests(tests, NULL, NULL);
	test_folder_remove();
	return n_failed;
}
