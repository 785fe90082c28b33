/* SPDX-License-Identifier: BSD-2-Clause */
/* Libraries, their functions, functions of flows, statistics: what programs are told, and what
 * happens when the daemon is gone or talks nonsense. */
#undef NDEBUG
#include "fake_engine.h"

#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "mapi/explain.h"
#include "test_run.h"

static void test_without_a_daemon(void **state)
{
	mapi_lib_info_t library;
	mapi_libfunct_info_t function;
	struct mapi_stat stats;
	unsigned int n_engines = atomic_load(&fake_n_engines);

	fake_start_fails = true;
	assert_int_equal(mapi_get_library_info(0, &library), -1);
	assert_error(MCOM_INIT_SOCKET_ERROR);
	assert_int_equal(mapi_get_next_libfunct_info(0, -1, &function), -1);
	assert_error(MCOM_INIT_SOCKET_ERROR);
	fake_start_fails = false;
	/* A daemon of our own would know of no device: it isn't started to say so. */
	assert_int_equal(mapi_stats("fake9", &stats), -1);
	assert_error(MAPI_STATS_ERROR);
	assert_int_equal(atomic_load(&fake_n_engines), n_engines);
	assert_int_equal(mapi_get_library_info(0, &library), 0);
	assert_int_equal(atomic_load(&fake_n_engines), n_engines + 1);
}

static void test_libraries(void **state)
{
	mapi_lib_info_t library;
	mapi_libfunct_info_t function, again;
	unsigned int n = 0;

	memset(&library, 0xff, sizeof(library));
	assert_int_equal(mapi_get_next_library_info(-1, &library), 0);
	assert_int_equal(library.id, 0);
	assert_string_equal(library.libname, "stdflib");
	assert_true(library.functs >= 8);
	assert_int_equal(mapi_get_next_library_info(0, &library), -1);
	assert_error(INVALID_FLID);
	assert_string_equal(library.libname, "stdflib"); /* as it was */
	memset(&function, 0xff, sizeof(function));
	for (int i = -1; mapi_get_libfunct_next_info(0, i, &function) == 0; i++) {
		assert_int_equal(mapi_get_libfunct_info(0, i + 1, &again), 0);
		assert_memory_equal(&function, &again, sizeof(function));
		assert_string_equal(function.devtype, "1");
		if (strcmp(function.name, "TO_FILE") == 0)
			assert_string_equal(function.argdescr, "iwl");
		if (strcmp(function.name, "PKT_COUNTER") == 0)
			assert_string_equal(function.argdescr, "");
		if (strcmp(function.name, "FLOWS") == 0)
			assert_string_equal(function.argdescr, "s");
		n++;
	}
	assert_error(INVALID_FUNCID);
	assert_int_equal(n, library.functs);
}

static void test_functions_of_own_flows(void **state)
{
	int fd = mapi_create_offline_flow("/dev/null", MFF_PCAP), fid;
	mapi_function_info_t info, before;

	fid = mapi_apply_function(fd, "PKT_COUNTER");
	assert_int_equal(mapi_get_next_function_info(fd, 0, &info), 0);
	assert_int_equal(info.fid, fid);
	assert_string_equal(info.name, "FAKE");
	assert_string_equal(info.libname, "fakelib");
	assert_string_equal(info.devtype, "1");
	assert_int_equal(info.pkts, 1001);
	assert_int_equal(info.passed_pkts, 500);
	assert_int_equal(info.result_size, 8);
	assert_int_equal(mapi_get_next_function_info(fd, fid, &info), -1);
	assert_error(MAPI_FUNCTION_INFO_ERR);
	assert_int_equal(mapi_get_function_info(fd, fid + 1, &info), -1);
	assert_error(MAPI_FUNCTION_INFO_ERR);
	fake_engine_fault(WIRE__REQUEST__CALL_LIST_FUNCTION, FAKE_WRONG_REPLY);
	assert_int_equal(mapi_get_function_info(fd, fid, &info), -1);
	assert_error(MCOM_UNKNOWN_ERROR);
	assert_int_equal(mapi_is_sensor_down(fd), 0);
	assert_string_equal(mapi_get_devtype_of_flow(fd), "1.3");
	fake_engine_kill();
	memset(&info, 0xff, sizeof(info));
	memset(&before, 0xff, sizeof(before));
	assert_int_equal(mapi_get_function_info(fd, fid, &info), -1);
	assert_error(MAPI_DAEMON_LOST);
	assert_memory_equal(&info, &before, sizeof(info)); /* as it was */
	assert_int_equal(mapi_is_sensor_down(fd), 1);
	assert_int_equal(mapi_close_flow(fd), 0);
	set_agent();
}

static void test_explanations(void **state)
{
	int fd = mapi_create_offline_flow("/dev/null", MFF_PCAP);
	int fid = mapi_apply_function(fd, "PKT_COUNTER");
	struct {
		struct mapi_explanation e;
		unsigned char after[16];
	} longer = { .e = { .sz = sizeof(longer) }, .after = { 1 } };
	struct mapi_explanation e = { .sz = offsetof(struct mapi_explanation, step), .step = 99 };

	assert_int_equal(mapi_connect(fd), 0);
	/* An older program has less room, a newer one more. */
	assert_int_equal(mapi_explain(fd, fid, &e), 0);
	assert_int_equal(e.group, 6);
	assert_int_equal(e.step, 99);
	assert_int_equal(e.sz, offsetof(struct mapi_explanation, step));
	assert_int_equal(mapi_explain(fd, fid, &longer.e), 0);
	assert_int_equal(longer.after[0], 0);
	assert_int_equal(longer.e.sz, sizeof(longer));
	assert_int_equal(longer.e.tier, MAPI_TIER_KERNEL);
	assert_int_equal(longer.e.work, MAPI_WORK_SEARCH);
	assert_int_equal(longer.e.order, MAPI_ORDER_AFFINITY);
	assert_int_equal(longer.e.late, 1);
	assert_true(longer.e.step == 2 && longer.e.n_steps == 5 && longer.e.domain == 1);
	assert_true(longer.e.together == 4 && longer.e.shared == 3);
	assert_true(longer.e.instructions == 77 && longer.e.ns_per_pkt == 1.5);
	assert_string_equal(longer.e.reason, "because");
	assert_true(longer.e.has_seed == 1 && longer.e.seed == 0x123456789abcdef);
	e.sz = sizeof(e.sz);
	assert_int_equal(mapi_explain(fd, fid, &e), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_3);
	fake_engine_fault(WIRE__REQUEST__CALL_EXPLAIN, FAKE_WRONG_REPLY);
	assert_int_equal(mapi_explain(fd, fid, &longer.e), -1);
	assert_error(MCOM_UNKNOWN_ERROR);
	assert_int_equal(mapi_close_flow(fd), 0);
}

static void test_statistics(void **state)
{
	int fd = mapi_create_offline_flow("/dev/null", MFF_PCAP);
	struct mapi_stat stats;

	/* As pcap_stats(): what was dropped was received, and 32 bits wrap. */
	assert_int_equal(mapi_stats("/dev/null", &stats), 1);
	assert_int_equal(stats.ps_recv, 10);
	assert_int_equal(stats.ps_drop, 3);
	assert_int_equal(stats.ps_ifdrop, 2);
	assert_string_equal(stats.hostname, "localhost");
	assert_string_equal(stats.dev, "/dev/null");
	fake_engine_fault(WIRE__REQUEST__CALL_DEVICE_STATS, FAKE_WRONG_REPLY);
	assert_int_equal(mapi_stats("/dev/null", &stats), -1);
	assert_error(MCOM_UNKNOWN_ERROR);
	assert_int_equal(mapi_close_flow(fd), 0);
	assert_int_equal(mapi_stats("/dev/null", &stats), -1);
	assert_error(MAPI_STATS_ERROR);
}

/* At the system daemon there are devices and flows that others use. */
static void test_of_others(void **state)
{
	static const struct fake_listed flows[] = { { 7, "fake9", NULL, 2 }, { 0, NULL, NULL, 0 } };
	mapi_function_info_t info;
	struct mapi_stat stats;

	setenv("MAPI_SOCKET", test_socket_path, 1);
	fake_system_start(test_socket_path);
	fake_flows = flows;
	assert_int_equal(mapi_get_next_function_info(7, -1, &info), 0);
	assert_int_equal(info.fid, 1);
	assert_int_equal(mapi_get_next_function_info(7, 1, &info), 0);
	assert_int_equal(info.fid, 3);
	assert_int_equal(info.pkts, 1003);
	assert_int_equal(mapi_get_next_function_info(7, 3, &info), -1);
	assert_error(MAPI_FUNCTION_INFO_ERR);
	assert_int_equal(mapi_get_function_info(7, 2, &info), -1);
	assert_error(MAPI_FUNCTION_INFO_ERR);
	assert_int_equal(mapi_get_function_info(8, 1, &info), -1);
	assert_error(MAPI_INIT_ERROR);
	assert_int_equal(mapi_stats("fake9", &stats), 1);
	assert_int_equal(mapi_stats("fake8", &stats), -1);
	assert_error(MAPI_STATS_ERROR);
	fake_flows = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_daemon),
		cmocka_unit_test(test_libraries),
		cmocka_unit_test(test_functions_of_own_flows),
		cmocka_unit_test(test_explanations),
		cmocka_unit_test(test_statistics),
		cmocka_unit_test(test_of_others),
	};

	return test_run_each(tests, sizeof(tests) / sizeof(tests[0]));
}
