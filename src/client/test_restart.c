/* SPDX-License-Identifier: BSD-2-Clause */
/* A system daemon that ends and comes again, or does not: what programs see of it. */
#undef NDEBUG
#include "fake_engine.h"

#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "base/clock.h"

static char directory[64], path[80];

static void assert_error(int code)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";
	int got = -1;

	assert_int_equal(mapi_read_error(&got, text), 0);
	if (got != code)
		print_error("%d: %s\n", got, text);
	assert_int_equal(got, code);
}

static void restart(void)
{
	fake_engine_kill();
	fake_system_start(path);
}

/* A connected flow with one function. */
static int flow_with(const char *name, int *ret_fid)
{
	int fd = mapi_create_flow("fake0");

	if (fd < 0)
		assert_error(0);
	*ret_fid = mapi_apply_function(fd, name);
	assert_true(*ret_fid > 0);
	assert_int_equal(mapi_connect(fd), 0);
	return fd;
}

static unsigned long long value_of(int fd, int fid)
{
	mapi_results_t *r = mapi_read_results(fd, fid);

	if (!r)
		assert_error(0);
	assert_non_null(r);
	return *(unsigned long long *)r->res;
}

static void put_pkt(unsigned int n)
{
	struct {
		struct mapipkt head;
	} pkt = { .head = { .ts = n, .caplen = 4, .wlen = n } };

	assert_int_equal(
		ring_write(fake_last_ring(), &pkt, offsetof(struct mapipkt, pkt), "abcd", 4, NULL),
		0);
}

static struct mapi_result_status status_of(int fd, int fid)
{
	struct mapi_result_status s = { .sz = sizeof(s) };

	assert_int_equal(mapi_result_status(fd, fid, 0, &s), 0);
	return s;
}

static void test_counter(void **state)
{
	unsigned long long value = 5, zero = 0, *ref;
	struct mapi_result_status s;
	mapi_results_t *before;
	mapi_flow_info_t info;
	int fid, fd;

	fake_system_start(path);
	fd = flow_with("PKT_COUNTER", &fid);
	fake_write_slot(0, 1, &value, sizeof(value));
	before = mapi_read_results(fd, fid);
	assert_non_null(before);
	assert_int_equal(value_of(fd, fid), 5);
	ref = mapi_read_results(fd, fid, MAPI_REF);
	fake_write_cell(17);
	assert_int_equal(*ref, 17);
	s = status_of(fd, fid);
	assert_int_equal(s.restarts, 0);
	assert_int_equal(s.gap_ns, 0);
	restart();
	assert_int_equal(*ref, 17); /* the old place stays readable */
	s = status_of(fd, fid);
	assert_int_equal(s.error, 0);
	assert_int_equal(s.status, FLOW_ACTIVE);
	assert_int_equal(s.restarts, 1);
	assert_true(s.gap_ns > 0 && s.gap_ns < 60000000000u);
	assert_int_equal(value_of(fd, fid), 0);
	value = 7;
	fake_write_slot(0, 1, &value, sizeof(value));
	assert_int_equal(value_of(fd, fid), 7);
	assert_ptr_equal(mapi_read_results(fd, fid), before);
	assert_int_equal(*ref, 17);
	ref = mapi_read_results(fd, fid, MAPI_REF);
	fake_write_cell(18);
	assert_int_equal(*ref, 18);
	/* Each call may be the one that notices. */
	restart();
	assert_int_equal(mapi_flush(fd), 0);
	restart();
	assert_int_equal(mapi_get_flow_info(fd, &info), 0);
	assert_int_equal(info.fd, fd);
	assert_int_equal(info.status, FLOW_ACTIVE);
	restart();
	assert_non_null(mapi_read_results(fd, fid, MAPI_REF));
	restart();
	assert_int_equal(mapi_wait(fd, 50), 0);
	assert_true(mapi_fileno(fd, fid) >= 0);
	/* mapi_read_results() asks at most every 10 ms. */
	fake_write_slot(0, 1, &value, sizeof(value));
	assert_int_equal(value_of(fd, fid), 7);
	restart();
	while (value_of(fd, fid) == 7)
		;
	s = status_of(fd, fid);
	assert_int_equal(s.restarts, 6);
	assert_int_equal(value_of(fd, fid), zero);
	assert_int_equal(mapi_close_flow(fd), 0);
	fake_engine_kill();
}

static void test_before_connect(void **state)
{
	int fid, fd;

	fake_system_start(path);
	fd = mapi_create_flow("fake0");
	restart();
	fid = mapi_apply_function(fd, "PKT_COUNTER");
	assert_int_equal(fid, 1);
	restart();
	assert_int_equal(mapi_apply_function(fd, "NO_SUCH_FUNCTION"), -1);
	assert_error(MAPI_FUNCTION_NOT_FOUND);
	restart();
	assert_int_equal(mapi_connect(fd), 0);
	assert_int_equal(value_of(fd, fid), 0);
	assert_int_equal(status_of(fd, fid).restarts, 3);
	assert_int_equal(mapi_close_flow(fd), 0);
	fake_engine_kill();
}

static void test_references(void **state)
{
	int spare, first, second, counter, stats, refs;
	char text[64];

	fake_system_start(path);
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
	(void)memset(text, 'z', sizeof(text) - 1); /* the library has its own */
	stats = mapi_apply_function(second, "STATS", first, counter, "0");
	assert_true(refs > 0 && stats > refs);
	assert_int_equal(mapi_connect(first), 0);
	assert_int_equal(mapi_connect(second), 0);
	restart();
	assert_int_equal(value_of(first, counter), 0);
	while (status_of(first, counter).restarts == 0)
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
	char name[96], again[128];
	struct stat st;
	int fd;

	fake_system_start(path);
	(void)snprintf(name, sizeof(name), "%s/out", directory);
	(void)snprintf(again, sizeof(again), "%s.restart-1", name);
	fd = mapi_create_flow("fake0");
	assert_true(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, name, 0) > 0);
	assert_true(mapi_apply_function(fd, "TO_FILE", MFF_PCAP, "/dev/null", 0) > 0);
	assert_int_equal(mapi_connect(fd), 0);
	restart();
	assert_int_equal(mapi_flush(fd), 0);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_size, 7);
	assert_int_equal(stat(again, &st), 0);
	assert_int_equal(st.st_size, 7);
	assert_int_not_equal(access("/dev/null.restart-1", F_OK), 0);
	assert_int_equal(unlink(name) | unlink(again), 0);
	assert_int_equal(mapi_close_flow(fd), 0);
	fake_engine_kill();
}

struct waiter {
	int fd, fid;
	unsigned int n_wanted;
	_Atomic unsigned int n_pkts;
	int code;
};

static void *wait_for_pkts(void *data)
{
	struct waiter *w = data;

	w->code = 0;
	while (atomic_load(&w->n_pkts) < w->n_wanted) {
		const struct mapipkt *pkt = mapi_get_next_pkt(w->fd, w->fid);

		if (!pkt) {
			mapi_read_error(&w->code, NULL);
			break;
		}
		assert_int_equal(pkt->caplen, 4);
		atomic_fetch_add(&w->n_pkts, 1);
	}
	return NULL;
}

static void await_pkts(struct waiter *w, unsigned int n)
{
	while (atomic_load(&w->n_pkts) < n)
		(void)poll(NULL, 0, 1);
}

static void await_restarts(int fd, int fid, unsigned int n)
{
	while (status_of(fd, fid).restarts < n)
		(void)poll(NULL, 0, 1);
}

static void test_waiter(void **state)
{
	struct waiter w = { .n_wanted = 3 };
	pthread_t thread;

	fake_system_start(path);
	w.fd = flow_with("TO_BUFFER", &w.fid);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_pkts, &w), 0);
	put_pkt(1);
	await_pkts(&w, 1);
	for (unsigned int i = 1; i < 3; i++) {
		restart();
		await_restarts(w.fd, w.fid, i);
		put_pkt(i);
		await_pkts(&w, i + 1);
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

	fake_system_start(path);
	fd = mapi_create_flow("fake0");
	fid = mapi_apply_function(fd, "TO_BUFFER", NOWAIT);
	assert_int_equal(mapi_connect(fd), 0);
	put_pkt(4711);
	pkt = mapi_get_next_pkt(fd, fid);
	for (unsigned int i = 1; i < 5; i++) {
		restart();
		await_restarts(fd, fid, i);
		assert_int_equal(pkt->wlen, 4711);
		assert_memory_equal(&pkt->pkt, "abcd", 4);
	}
	assert_null(mapi_get_next_pkt(fd, fid));
	assert_error(0);
	put_pkt(4712);
	pkt = mapi_get_next_pkt(fd, fid);
	assert_int_equal(pkt->wlen, 4712);
	/* Who only asks for packets notices, too. */
	restart();
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

	fake_system_start(path);
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
		put_pkt(1);
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
		fake_system_start(path);
		await_restarts(fd, counter, i + 1);
	}
	assert_int_equal(mapi_close_flow(fd), 0);
	fake_engine_kill();
}

static void *read_status(void *data)
{
	struct waiter *w = data;
	struct mapi_result_status s = { .sz = sizeof(s) };

	w->code = mapi_result_status(w->fd, w->fid, 0, &s);
	return NULL;
}

static void *close_flow(void *data)
{
	return mapi_close_flow(*(int *)data) == 0 ? data : NULL;
}

static void test_closed_while_it_is_built(void **state)
{
	struct waiter status = { .n_wanted = 1 }, pkts = { .n_wanted = 1 };
	pthread_t threads[3];
	void *closed;

	fake_system_start(path);
	pkts.fd = status.fd = flow_with("TO_BUFFER", &pkts.fid);
	status.fid = pkts.fid;
	fake_engine_kill();
	fake_stall_fd = eventfd(0, EFD_CLOEXEC);
	fake_engine_fault(WIRE__REQUEST__CALL_FLOW_APPLY, FAKE_STALLS);
	fake_system_start(path);
	assert_int_equal(pthread_create(&threads[0], NULL, read_status, &status), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, wait_for_pkts, &pkts), 0);
	while (atomic_load(&fake_n_stalled) == 0)
		(void)poll(NULL, 0, 1);
	assert_int_equal(pthread_create(&threads[2], NULL, close_flow, &pkts.fd), 0);
	(void)poll(NULL, 0, 5); /* better it comes too early now and then */
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
	struct waiter w = { .n_wanted = 1 };
	pthread_t thread;
	uint64_t begin_ns;

	fake_system_start(path);
	w.fd = flow_with("TO_BUFFER", &w.fid);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_pkts, &w), 0);
	fake_engine_kill();
	(void)poll(NULL, 0, 20);
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

	fake_system_start(path);
	fd = flow_with("PKT_COUNTER", &fid);
	fake_engine_kill();
	begin_ns = clock_monotonic_ns();
	s = status_of(fd, fid);
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
	fake_system_start(path);
	assert_int_equal(value_of(fd, fid), 0);
	s = status_of(fd, fid);
	assert_int_equal(s.error, 0);
	assert_int_equal(s.restarts, 1);
	assert_true(s.gap_ns >= 900000000u);
	assert_int_equal(mapi_close_flow(fd), 0);
	fake_engine_kill();
}

static void test_a_refused_function(void **state)
{
	int counter, buffer, refused, other;
	struct mapi_result_status s;
	mapi_flow_info_t info;
	unsigned int n_closed;
	unsigned long long value = 77;

	fake_system_start(path);
	refused = mapi_create_flow("fake0");
	counter = mapi_apply_function(refused, "PKT_COUNTER");
	fake_write_slot(0, 1, &value, sizeof(value));
	assert_int_equal(mapi_connect(refused), 0);
	assert_int_equal(value_of(refused, counter), 77);
	other = flow_with("TO_BUFFER", &buffer);
	fake_refuses = "PKT_COUNTER";
	n_closed = atomic_load(&fake_n_closed);
	restart();
	s = status_of(refused, counter);
	assert_int_equal(s.error, 7001);
	assert_string_equal(s.error_text, "not any more");
	assert_int_equal(s.status, FLOW_FINISHED);
	assert_int_equal(mapi_wait(refused, -1), 1);
	assert_int_equal(mapi_get_flow_info(refused, &info), 0);
	assert_int_equal(info.status, FLOW_FINISHED);
	assert_int_equal(value_of(refused, counter), 77); /* what it had stays readable */
	assert_int_equal(mapi_flush(refused), -1);
	assert_error(7001);
	assert_int_equal(atomic_load(&fake_n_closed), n_closed + 1); /* what was built of it */
	s = status_of(other, buffer);
	assert_int_equal(s.error, 0);
	assert_int_equal(s.restarts, 1);
	fake_refuses = NULL;
	restart();
	assert_int_equal(status_of(refused, counter).error, 7001);
	await_restarts(other, buffer, 2);
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

	fake_system_start(path);
	fd = flow_with("TO_BUFFER", &fid);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		for (size_t k = 0; k < ARRAY_SIZE(faults); k++) {
			fake_engine_kill();
			fake_engine_fault(calls[i], faults[k]);
			fake_system_start(path);
			await_restarts(fd, fid, ++n);
			assert_int_equal(status_of(fd, fid).error, 0);
		}
	/* Places and descriptors that it does not have are no reason to try again. */
	fake_engine_kill();
	fake_engine_fault(WIRE__REQUEST__CALL_FLOW_APPLY, FAKE_NO_FDS);
	fake_system_start(path);
	assert_int_equal(status_of(fd, fid).error, MAPI_SHM_ERR);
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
	const struct waiter *w = data;

	assert_int_equal(mapi_wait(w->fd, -1), -1);
	return NULL;
}

static void *read_all_the_time(void *data)
{
	struct waiter *w = data;

	while (!atomic_load(&w->n_pkts))
		assert_non_null(mapi_read_results(w->fd, w->fid));
	return NULL;
}

static void test_many_restarts(void **state)
{
	struct waiter pkts = { .n_wanted = 1000000 }, end, values = { .n_wanted = 0 };
	pthread_t threads[4];
	unsigned int n_fds = 0;
	int nowait;

	fake_system_start(path);
	pkts.fd = mapi_create_flow("fake0");
	values.fid = mapi_apply_function(pkts.fd, "PKT_COUNTER");
	nowait = mapi_apply_function(pkts.fd, "TO_BUFFER", NOWAIT);
	pkts.fid = mapi_apply_function(pkts.fd, "TO_BUFFER", WAIT);
	assert_int_equal(mapi_connect(pkts.fd), 0);
	assert_true(mapi_fileno(pkts.fd, nowait) >= 0);
	end = pkts;
	values.fd = pkts.fd;
	assert_int_equal(pthread_create(&threads[0], NULL, wait_for_pkts, &pkts), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, wait_for_end, &end), 0);
	assert_int_equal(pthread_create(&threads[2], NULL, read_all_the_time, &values), 0);
	assert_int_equal(pthread_create(&threads[3], NULL, wait_for_end, &end), 0);
	for (unsigned int i = 1; i <= 200; i++) {
		restart();
		await_restarts(pkts.fd, values.fid, i);
		put_pkt(i);
		await_pkts(&pkts, i);
		if (i == 20)
			n_fds = count_fds();
	}
	/* A restart may find calls that still see the one before. */
	if (count_fds() > n_fds + 24)
		print_error("%u, %u\n", n_fds, count_fds());
	assert_true(count_fds() <= n_fds + 24);
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
		cmocka_unit_test(test_counter),
		cmocka_unit_test(test_before_connect),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_waiter),
		cmocka_unit_test(test_a_packet_stays_readable),
		cmocka_unit_test(test_descriptors_to_poll),
		cmocka_unit_test(test_closed_while_it_is_built),
		cmocka_unit_test(test_closed_while_the_daemon_is_away),
		cmocka_unit_test(test_a_daemon_that_stays_away),
		cmocka_unit_test(test_a_refused_function),
		cmocka_unit_test(test_a_daemon_that_dies_again),
		cmocka_unit_test(test_many_restarts),
	};
	int n_failed;

	(void)snprintf(directory, sizeof(directory), "/tmp/test_restart.XXXXXX");
	if (!mkdtemp(directory))
		return 1;
	(void)snprintf(path, sizeof(path), "%s/mapid.sock", directory);
	setenv("MAPI_SOCKET", path, 1);
	n_failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(path);
	(void)rmdir(directory);
	return n_failed;
}
