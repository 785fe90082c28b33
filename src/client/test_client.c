/* SPDX-License-Identifier: BSD-2-Clause */
/* The library against an engine that does what the test wants: calls, errors, faults, closing. */
#undef NDEBUG
#include "fake_engine.h"
#include "test_run.h"

#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>

static const char *const path = "/dev/null"; /* the engine does not look */

static int flow_with(const char *name, int *ret_fid)
{
	int fd = mapi_create_offline_flow(path, MFF_PCAP);

	assert_true(fd > 0);
	*ret_fid = mapi_apply_function(fd, name);
	assert_true(*ret_fid > 0);
	return fd;
}

static void put_pkt(unsigned int n)
{
	struct {
		struct mapipkt head;
	} pkt = { .head = { .ts = n, .caplen = 4, .wlen = 1000 + n } };

	assert_int_equal(
		ring_write(fake_last_ring(), &pkt, offsetof(struct mapipkt, pkt), "abcd", 4, NULL),
		0);
}

static void test_calls_before_any_creation(void **state)
{
	mapi_flow_info_t info;

	assert_int_equal(mapi_connect(1), -1);
	assert_error(MAPI_INIT_ERROR);
	assert_int_equal(mapi_apply_function(1, "PKT_COUNTER"), -1);
	assert_error(MAPI_INIT_ERROR);
	assert_null(mapi_read_results(1, 1));
	assert_error(MAPI_INIT_ERROR);
	assert_null(mapi_get_next_pkt(1, 1));
	assert_error(MAPI_INIT_ERROR);
	assert_int_equal(mapi_close_flow(1), -1);
	assert_error(MAPI_INIT_ERROR);
	assert_int_equal(mapi_result_status(1, 1, 0, NULL), -1);
	assert_error(MAPI_INIT_ERROR);
	assert_int_equal(mapi_start_offline_device("x"), -1);
	assert_error(MAPI_INIT_ERROR);
	assert_int_equal(mapi_fileno(1, 1), -1);
	assert_error(MAPI_INIT_ERROR);
	assert_int_equal(mapi_read_error(NULL, NULL), -1);
	fake_start_fails = true;
	assert_int_equal(mapi_create_offline_flow(path, MFF_PCAP), -1);
	assert_error(MCOM_INIT_SOCKET_ERROR);
	fake_start_fails = false;
	/* It needs no flow: there is none of another program. */
	assert_int_equal(mapi_get_flow_info(1, &info), -1);
	assert_error(MAPI_INVALID_FLOW);
}

static void test_environment(void **state)
{
	const char *const bad[] = { "0", "-1", "65", "x", "1x", "99999999999999999999" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		setenv("MAPI_WORKERS", bad[i], 1);
		assert_int_equal(mapi_create_offline_flow(path, MFF_PCAP), -1);
		assert_error(MFUNCT_INVALID_ARGUMENT);
	}
	setenv("MAPI_WORKERS", "3", 1);
	setenv("MAPI_BATCH", "7", 1);
	setenv("MAPI_SEED", "0xffffffffffffffff", 1);
	assert_true(mapi_create_offline_flow(path, MFF_PCAP) > 0);
	assert_int_equal(fake_hello_workers, 3);
	assert_int_equal(fake_hello_batch_pkts, 7);
	assert_true(fake_hello_seed == UINT64_MAX);
	unsetenv("MAPI_WORKERS");
	unsetenv("MAPI_BATCH");
	unsetenv("MAPI_SEED");
}

static void test_errors_of_the_manual(void **state)
{
	int fid, fd = flow_with("PKT_COUNTER", &fid);
	int buffer = mapi_apply_function(fd, "TO_BUFFER");

	assert_int_equal(mapi_create_flow(NULL), -1);
	assert_error(MAPI_DEVICE_INFO_ERR);
	assert_int_equal(mapi_create_flow("eth7"), -1);
	assert_error(MAPID_NO_DRIVER);
	assert_int_equal(mapi_create_flow("host:eth0"), -1);
	assert_error(MAPID_NO_DRIVER);
	assert_int_equal(mapi_create_offline_flow("/nonexistent", MFF_PCAP), -1);
	assert_error(PCAP_OPEN_ERR);
	assert_int_equal(mapi_create_offline_flow("/", MFF_PCAP), -1);
	assert_error(PCAP_OPEN_ERR);
	assert_int_equal(mapi_apply_function(0, "PKT_COUNTER"), -1);
	assert_error(MAPI_INVALID_FID_FUNCID);
	assert_int_equal(mapi_apply_function(fd, NULL), -1);
	assert_error(MFUNCT_COULD_NOT_APPLY_FUNCT);
	assert_int_equal(mapi_apply_function(fd + 1000, "PKT_COUNTER"), -1);
	assert_error(MAPI_INVALID_FLOW);
	assert_int_equal(mapi_apply_function(fd, "NOT_A_FUNCTION"), -1);
	assert_error(MAPI_FUNCTION_NOT_FOUND);
	assert_int_equal(mapi_apply_function(fd, "BPF_FILTER", "syntax error"), -1);
	assert_error(PCAP_BPF_ERR);
	assert_null(mapi_read_results(fd, fid));
	assert_error(MAPI_FLOW_NOT_CONNECTED);
	assert_null(mapi_get_next_pkt(fd, buffer));
	assert_error(MAPI_FLOW_NOT_CONNECTED);
	assert_int_equal(mapi_flush(fd), -1);
	assert_error(MAPI_FLOW_NOT_CONNECTED);
	assert_int_equal(mapi_connect(fd + 4096), -1); /* the same slot */
	assert_error(MAPI_INVALID_FLOW);
	assert_int_equal(mapi_connect(fd), 0);
	assert_int_equal(mapi_connect(fd), -1);
	assert_error(FLOW_ALREADY_ACTIVE);
	assert_int_equal(mapi_apply_function(fd, "BPF_FILTER", "syntax error"), -1);
	assert_error(MFUNCT_COULD_NOT_APPLY_FUNCT);
	assert_int_equal(mapi_apply_function(fd, "PKT_COUNTER", "extra", 1), -1);
	assert_error(MFUNCT_COULD_NOT_APPLY_FUNCT);
	assert_null(mapi_read_results(fd, 0));
	assert_error(MAPI_INVALID_FLOW);
	assert_null(mapi_read_results(-1, fid));
	assert_error(MAPI_INVALID_FLOW);
	assert_null(mapi_read_results(fd, 77));
	assert_error(MAPI_INVALID_FID_FUNCID);
	assert_null(mapi_get_next_pkt(fd, fid)); /* not a buffer */
	assert_error(MAPI_INVALID_FID_FUNCID);
	assert_null(mapi_get_next_pkt(fd + 1, buffer));
	assert_error(MAPI_INVALID_FID_FUNCID);
	assert_int_equal(mapi_loop(fd, buffer, 1, NULL), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_4);
	assert_int_equal(mapi_get_flow_info(fd, NULL), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_2);
	assert_int_equal(mapi_get_flow_info(fd + 1, &(mapi_flow_info_t){ .fd = 0 }), -1);
	assert_error(MAPI_INVALID_FLOW);
	assert_int_equal(mapi_get_scope_size(fd), 1);
	assert_int_equal(mapi_is_remote(fd), 0);
	assert_int_equal(mapi_get_scope_size(fd + 1), -1);
	assert_error(MAPI_INVALID_FLOW);
	assert_int_equal(mapi_is_remote(0), -1);
	assert_error(MAPI_INVALID_FLOW);
	assert_int_equal(mapi_authenticate(fd, "user", "password", "vo"), 0);
	assert_int_equal(mapi_authenticate(0, "user", "password", "vo"), -1);
	assert_error(MAPI_INVALID_FLOW);
	assert_int_equal(mapi_fileno(fd, fid), -1); /* the daemon sends no descriptor */
	assert_error(MCOM_UNKNOWN_ERROR);
	assert_int_equal(mapi_flush(fd), 0);
	assert_int_equal(mapi_close_flow(fd), 0);
	assert_int_equal(mapi_close_flow(fd), -1);
	assert_error(MAPI_INVALID_FLOW);
	assert_null(mapi_read_results(fd, fid));
	assert_error(MAPI_INVALID_FLOW);
}

static void test_results(void **state)
{
	int fid, fd = flow_with("stdflib:PKT_COUNTER!1.3", &fid);
	unsigned long long value = 893, *ref;
	mapi_results_t *r;
	int none;

	fake_write_slot(0, 1, &value, sizeof(value));
	none = mapi_apply_function(fd, "BPF_FILTER", "tcp");
	assert_int_equal(mapi_connect(fd), 0);
	r = mapi_read_results(fd, fid);
	assert_non_null(r);
	assert_int_equal(r->size, 8);
	assert_int_equal(*(unsigned long long *)r->res, 893);
	assert_true(r->ts / 1000000 >= (unsigned long long)time(NULL) - 2);
	assert_ptr_equal(mapi_read_results(fd, fid), r);
	assert_int_equal(*(unsigned long long *)mapi_read_results(fd, fid, MAPI_COPY), 893);
	r = mapi_read_results(fd, none);
	assert_non_null(r);
	assert_non_null(r->res);
	assert_int_equal(r->size, 0);
	ref = mapi_read_results(fd, fid, MAPI_REF);
	assert_non_null(ref);
	fake_write_cell(5);
	assert_int_equal(*ref, 5);
	fake_write_cell(6);
	assert_int_equal(*ref, 6);
	assert_ptr_equal(mapi_read_results(fd, fid, MAPI_REF), ref);
	assert_non_null(mapi_read_results(fd, none, MAPI_REF));
	assert_int_equal(mapi_close_flow(fd), 0);
}

struct merged {
	uint64_t u64_sum;
	uint32_t u32_max;
	int32_t i32_min;
	double f64_sum;
	uint16_t u16_last;
	long double f80_sum;
	int64_t i64_min;
	uint64_t ts_max;
};
_Static_assert(sizeof(struct merged) == 64, "as the fake engine describes it");

static void test_merging_of_slots(void **state)
{
	const struct merged slots[FAKE_MERGE_SLOTS] = {
		{ 1, 10, -5, 0.5, 100, 1.25L, -7, 1000 },
		{ 2, 30, 7, 0.25, 200, 2.5L, 3, 3000 },
		{ 4, 20, -6, 1.0, 300, 4.0L, -8, 2000 },
	};
	const struct merged *m;
	int fid, fd = flow_with("MERGE", &fid);

	assert_int_equal(mapi_connect(fd), 0);
	m = mapi_read_results(fd, fid)->res;
	assert_int_equal(m->u64_sum, 0);
	/* One worker has seen nothing: its zeroes are no minimum. */
	fake_write_slot(1, 5, &slots[1], sizeof(slots[1]));
	m = mapi_read_results(fd, fid)->res;
	assert_memory_equal(m, &slots[1], offsetof(struct merged, f80_sum));
	assert_int_equal(m->i64_min, 3);
	fake_write_slot(0, 9, &slots[0], sizeof(slots[0]));
	fake_write_slot(2, 7, &slots[2], sizeof(slots[2]));
	m = mapi_read_results(fd, fid)->res;
	assert_int_equal(m->u64_sum, 7);
	assert_int_equal(m->u32_max, 30);
	assert_int_equal(m->i32_min, -6);
	assert_true(m->f64_sum == 1.75);
	assert_int_equal(m->u16_last, 100);
	assert_true(m->f80_sum == 7.75L);
	assert_int_equal(m->i64_min, -8);
	assert_int_equal(m->ts_max, 3000);
	assert_int_equal(mapi_close_flow(fd), 0);
}

static void test_flow_info_and_status(void **state)
{
	struct mapi_result_status s = { .sz = sizeof(s) };
	struct {
		struct mapi_result_status s;
		char later[16];
	} newer;
	mapi_flow_info_t info;
	int fid, fd = flow_with("PKT_COUNTER", &fid);

	assert_int_equal(mapi_get_flow_info(fd, &info), 0);
	assert_int_equal(info.status, FLOW_INIT);
	assert_int_equal(mapi_result_status(fd, fid, 0, &s), -1);
	assert_error(MAPI_FLOW_NOT_CONNECTED);
	assert_int_equal(mapi_connect(fd), 0);
	fake_write_head(FLOW_ACTIVE, 0);
	assert_int_equal(mapi_get_flow_info(fd, &info), 0);
	assert_int_equal(info.uid, getuid());
	assert_int_equal(info.fd, fd);
	assert_string_equal(info.device, path);
	assert_int_equal(info.num_functions, 1);
	assert_int_equal(info.start, 12345);
	assert_int_equal(info.end, 0);
	assert_int_equal(info.status, FLOW_ACTIVE);
	assert_int_equal(mapi_result_status(fd, fid, 0, &s), 0);
	assert_int_equal(s.sz, sizeof(s));
	assert_int_equal(s.status, FLOW_ACTIVE);
	assert_int_equal(s.pkts, 42);
	assert_int_equal(s.late_pkts, 3);
	assert_int_equal(s.lost_pkts[MAPI_LOSS_NIC], 10);
	assert_int_equal(s.lost_pkts[MAPI_LOSS_MEMORY], 15);
	assert_int_equal(s.done_bytes, 50);
	assert_int_equal(s.total_bytes, 100);
	assert_int_equal(s.error, 0);
	fake_write_head(FLOW_FINISHED, MAPI_CAPTURE_DAMAGED);
	assert_int_equal(mapi_result_status(fd, fid, 0, &s), 0);
	assert_int_equal(s.status, FLOW_FINISHED);
	assert_int_equal(s.error, MAPI_CAPTURE_DAMAGED);
	assert_string_equal(s.error_text, "the file is damaged at offset 17");
	assert_int_equal(mapi_get_flow_info(fd, &info), 0);
	assert_int_equal(info.end, 12346);
	/* An older program's structure is shorter, a newer one's longer. */
	memset(&newer, 0x55, sizeof(newer));
	newer.s.sz = offsetof(struct mapi_result_status, pkts);
	assert_int_equal(mapi_result_status(fd, fid, 0, &newer.s), 0);
	assert_int_equal(newer.s.status, FLOW_FINISHED);
	assert_true(newer.s.pkts == 0x5555555555555555u);
	newer.s.sz = sizeof(newer);
	assert_int_equal(mapi_result_status(fd, fid, 0, &newer.s), 0);
	assert_int_equal(newer.later[0], 0);
	s.sz = 0;
	assert_int_equal(mapi_result_status(fd, fid, 0, &s), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_4);
	s.sz = sizeof(s);
	assert_int_equal(mapi_result_status(fd, fid, 1, &s), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_3);
	assert_int_equal(mapi_result_status(fd, fid + 1, 0, &s), -1);
	assert_error(MAPI_INVALID_FID_FUNCID);
	assert_int_equal(mapi_close_flow(fd), 0);
	assert_int_equal(mapi_result_status(fd, fid, 0, &s), -1);
	assert_error(MAPI_INVALID_FLOW);
}

static unsigned int n_seen;
static int fd_to_close;

static void count_pkt(const struct mapipkt *pkt)
{
	assert_memory_equal(&pkt->pkt, "abcd", 4);
	n_seen++;
	if (fd_to_close && n_seen == 3)
		assert_int_equal(mapi_close_flow(fd_to_close), 0);
}

/* Who waits for it outside of the library. */
static void test_descriptors_tell_of_the_end_of_the_daemon(void **state)
{
	int fid, fd = flow_with("TO_BUFFER", &fid);
	struct pollfd p = { .events = POLLIN };

	assert_int_equal(mapi_connect(fd), 0);
	p.fd = mapi_fileno(fd, fid);
	assert_true(p.fd >= 0);
	assert_int_equal(p.fd, mapi_fileno(fd, fid));
	assert_int_equal(poll(&p, 1, 0), 0);
	fake_engine_kill();
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_null(mapi_get_next_pkt(fd, fid));
	assert_error(MAPI_DAEMON_LOST);
	assert_int_equal(mapi_close_flow(fd), 0);
}

static void test_packets(void **state)
{
	const struct mapipkt *pkt;
	int fid, fd = flow_with("TO_BUFFER", &fid);
	struct pollfd p = { .events = POLLIN };

	assert_int_equal(mapi_connect(fd), 0);
	p.fd = mapi_fileno(fd, fid);
	assert_int_equal(poll(&p, 1, 0), 0);
	for (unsigned int n = 0; n < 5; n++)
		put_pkt(n);
	assert_int_equal(poll(&p, 1, 0), 1);
	pkt = mapi_get_next_pkt(fd, fid);
	assert_non_null(pkt);
	assert_int_equal(pkt->wlen, 1000);
	n_seen = 0;
	assert_int_equal(mapi_loop(fd, fid, 2, count_pkt), 0);
	assert_int_equal(n_seen, 2);
	ring_end(fake_last_ring());
	fake_write_head(FLOW_FINISHED, 0);
	assert_int_equal(mapi_loop(fd, fid, -1, count_pkt), 0);
	assert_int_equal(n_seen, 4);
	assert_error(0);
	assert_null(mapi_get_next_pkt(fd, fid));
	assert_error(0);
	fake_write_head(FLOW_FINISHED, MAPI_CAPTURE_DAMAGED);
	assert_null(mapi_get_next_pkt(fd, fid));
	assert_error(MAPI_CAPTURE_DAMAGED);
	assert_int_equal(mapi_loop(fd, fid, 0, count_pkt), -1);
	assert_error(MAPI_CAPTURE_DAMAGED);
	assert_int_equal(mapi_close_flow(fd), 0);
}

static void test_nowait(void **state)
{
	int fid, fd = mapi_create_offline_flow(path, MFF_PCAP);

	fid = mapi_apply_function(fd, "TO_BUFFER", NOWAIT);
	assert_int_equal(mapi_connect(fd), 0);
	assert_null(mapi_get_next_pkt(fd, fid));
	assert_error(0);
	assert_int_equal(mapi_loop(fd, fid, -1, count_pkt), 0);
	put_pkt(1);
	assert_non_null(mapi_get_next_pkt(fd, fid));
	assert_int_equal(mapi_close_flow(fd), 0);
}

static void test_closing_in_the_callback(void **state)
{
	int fid, fd = flow_with("TO_BUFFER", &fid);

	assert_int_equal(mapi_connect(fd), 0);
	for (unsigned int n = 0; n < 5; n++)
		put_pkt(n);
	n_seen = 0;
	fd_to_close = fd;
	assert_int_equal(mapi_loop(fd, fid, -1, count_pkt), -1);
	assert_error(MAPI_INVALID_FLOW);
	fd_to_close = 0;
	assert_int_equal(n_seen, 3);
}

static void test_records(void **state)
{
	int fid, fd = flow_with("RECORDS", &fid);
	mapi_results_t *r;

	assert_int_equal(mapi_connect(fd), 0);
	assert_int_equal(ring_write(fake_last_ring(), "0123456789abcdef", 16, NULL, 0, NULL), 0);
	assert_int_equal(ring_write(fake_last_ring(), "short", 5, NULL, 0, NULL), 0);
	ring_end(fake_last_ring());
	r = mapi_read_results(fd, fid);
	assert_non_null(r);
	assert_memory_equal(r->res, "0123456789abcdef", 16);
	r = mapi_read_results(fd, fid);
	assert_memory_equal(r->res, "short\0\0\0", 8);
	assert_null(mapi_read_results(fd, fid));
	assert_error(0);
	assert_null(mapi_get_next_pkt(fd, fid));
	assert_error(MAPI_INVALID_FID_FUNCID);
	assert_int_equal(mapi_close_flow(fd), 0);
}

static void test_offline_devices(void **state)
{
	char *one = mapi_create_offline_device(path, MFF_PCAP);
	char *two = mapi_create_offline_device(path, MFF_PCAP);
	int fd;

	assert_non_null(one);
	assert_string_not_equal(one, two);
	assert_memory_equal(one, "/dev/null@", 10);
	fd = mapi_create_flow(one);
	assert_true(fd > 0);
	assert_int_equal(mapi_connect(fd), 0);
	assert_int_equal(mapi_start_offline_device(one), 0);
	assert_int_equal(mapi_start_offline_device("/dev/null@999"), -1);
	assert_error(MAPI_DEVICE_INFO_ERR);
	assert_int_equal(mapi_start_offline_device(NULL), -1);
	assert_error(MAPI_DEVICE_INFO_ERR);
	assert_int_equal(mapi_delete_offline_device(one), 0);
	assert_int_equal(mapi_close_flow(fd), 0);
	assert_int_equal(mapi_delete_offline_device(two), 0);
	two = strdup("never@1");
	assert_int_equal(mapi_delete_offline_device(two), -1);
	assert_error(MAPI_DEVICE_INFO_ERR);
	free(two);
	assert_null(mapi_create_offline_device("/nonexistent", 0));
	assert_error(PCAP_OPEN_ERR);
	assert_null(mapi_create_offline_device(NULL, 0));
	assert_error(MAPI_DEVICE_INFO_ERR);
}

static void test_standard_input(void **state)
{
	int saved = dup(0), fds[2], fd;

	assert_int_equal(pipe(fds), 0);
	dup2(fds[0], 0);
	fd = mapi_create_offline_flow("-", MFF_PCAP);
	assert_true(fd > 0);
	assert_int_equal(mapi_close_flow(fd), 0);
	assert_true(fcntl(0, F_GETFD) >= 0); /* only a copy was passed */
	dup2(saved, 0);
	close(saved);
	close(fds[0]);
	close(fds[1]);
}

static unsigned int count_fds(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 2048; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_many_cycles_use_nothing_up(void **state)
{
	unsigned int n_before = 0;
	int last = 0;

	for (unsigned int n = 0; n < 5000; n++) {
		int fid, fd = flow_with("PKT_COUNTER", &fid);

		assert_true(fd > last);
		last = fd;
		assert_int_equal(mapi_connect(fd), 0);
		assert_non_null(mapi_read_results(fd, fid));
		assert_int_equal(mapi_close_flow(fd), 0);
		if (n == 50)
			n_before = count_fds();
	}
	assert_int_equal(count_fds(), n_before);
}

static void test_the_table_is_full(void **state)
{
	static int fds[CLIENT_FLOWS_MAX + 1];
	unsigned int n = 0;

	while ((fds[n] = mapi_create_offline_flow(path, MFF_PCAP)) > 0)
		n++;
	assert_error(MAPI_QUOTA_EXCEEDED);
	assert_true(n > CLIENT_FLOWS_MAX - 10);
	/* One free slot anywhere is found. */
	assert_int_equal(mapi_close_flow(fds[n / 3]), 0);
	fds[n / 3] = mapi_create_offline_flow(path, MFF_PCAP);
	assert_true(fds[n / 3] > fds[n - 1]);
	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(mapi_close_flow(fds[i]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_before_any_creation),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_errors_of_the_manual),
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_merging_of_slots),
		cmocka_unit_test(test_flow_info_and_status),
		cmocka_unit_test(test_descriptors_tell_of_the_end_of_the_daemon),
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_nowait),
		cmocka_unit_test(test_closing_in_the_callback),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_offline_devices),
		cmocka_unit_test(test_standard_input),
		cmocka_unit_test(test_many_cycles_use_nothing_up),
		cmocka_unit_test(test_the_table_is_full),
	};

	return test_run_each(tests, sizeof(tests) / sizeof(tests[0]));
}
