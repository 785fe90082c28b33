/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of devices and flows: whose they are, in which order, and which daemon is asked. */
#undef NDEBUG
#include "fake_engine.h"
#include "mapi/explain.h"
#include "test_run.h"

#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct fake_listed devices[] = { { 2, "eth0", "uplink", 10000 }, { 5, "eth1", "", 0 },
	{ 0, NULL, NULL, 0 } };

static void test_before_any_creation(void **state)
{
	mapi_device_info_t device;
	mapi_flow_info_t flow;
	unsigned int n_engines = atomic_load(&fake_n_engines);

	assert_int_equal(mapi_get_device_info(2, NULL), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_2);
	assert_int_equal(mapi_get_next_device_info(0, NULL), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_2);
	assert_int_equal(mapi_get_next_flow_info(0, NULL), -1);
	assert_error(MFUNCT_INVALID_ARGUMENT_2);
	/* A private daemon has no flows but ours: it isn't started to be asked for them. */
	assert_int_equal(mapi_get_next_flow_info(0, &flow), -1);
	assert_error(MAPI_FLOW_INFO_ERR);
	assert_int_equal(mapi_get_flow_info(1, &flow), -1);
	assert_error(MAPI_INVALID_FLOW);
	assert_int_equal(atomic_load(&fake_n_engines), n_engines);
	fake_devices = devices;
	assert_int_equal(mapi_get_device_info(2, &device), 0);
	assert_int_equal(atomic_load(&fake_n_engines), n_engines + 1);
}

static void test_devices(void **state)
{
	mapi_device_info_t device;

	fake_devices = devices;
	memset(&device, 0xff, sizeof(device));
	assert_int_equal(mapi_get_next_device_info(-1, &device), 0);
	assert_int_equal(device.id, 2);
	assert_string_equal(device.device, "eth0");
	assert_string_equal(device.name, "fake");
	assert_string_equal(device.alias, "uplink");
	assert_string_equal(device.description, "a device");
	assert_int_equal(device.link_speed, 10000);
	assert_int_equal(device.mpls, 0);
	assert_int_equal(device.vlan, 1);
	assert_int_equal(mapi_get_device_group(2), 2);
	assert_int_equal(mapi_get_device_group(3), -1);
	assert_error(MAPI_DEVICE_INFO_ERR);
	assert_int_equal(mapi_get_next_device_info(2, &device), 0);
	assert_int_equal(device.id, 5);
	assert_string_equal(device.alias, "");
	assert_int_equal(mapi_get_next_device_info(5, &device), -1);
	assert_error(MAPI_DEVICE_INFO_ERR);
	assert_int_equal(mapi_get_device_info(3, &device), -1);
	assert_error(MAPI_DEVICE_INFO_ERR);
	assert_int_equal(mapi_get_device_info(5, &device), 0);
	assert_string_equal(device.device, "eth1");
	fake_engine_fault(WIRE__REQUEST__CALL_LIST_DEVICE, FAKE_WRONG_REPLY);
	assert_int_equal(mapi_get_device_info(5, &device), -1);
	assert_error(MCOM_UNKNOWN_ERROR);
	/* One that has died is replaced. */
	fake_engine_fault(WIRE__REQUEST__CALL_LIST_DEVICE, FAKE_DIES);
	assert_int_equal(mapi_get_device_info(5, &device), 0);
}

static void test_own_flows(void **state)
{
	mapi_flow_info_t info;
	int first = mapi_create_offline_flow("/dev/null", MFF_PCAP);
	int second = mapi_create_offline_flow("/dev/null", MFF_PCAP);

	assert_true(first > 0 && second > first);
	assert_int_equal(mapi_get_next_flow_info(-1, &info), 0);
	assert_int_equal(info.fd, first);
	assert_int_equal(info.uid, getuid());
	assert_int_equal(mapi_get_next_flow_info(first, &info), 0);
	assert_int_equal(info.fd, second);
	assert_int_equal(mapi_get_next_flow_info(second, &info), -1);
	assert_error(MAPI_FLOW_INFO_ERR);
	/* Those whose daemon is gone are still there until they are closed. */
	fake_engine_kill();
	assert_int_equal(mapi_get_next_flow_info(first, &info), 0);
	assert_int_equal(info.fd, second);
	assert_int_equal(info.status, FLOW_FINISHED);
	assert_error(0);
	assert_int_equal(mapi_close_flow(first), 0);
	assert_int_equal(mapi_get_next_flow_info(0, &info), 0);
	assert_int_equal(info.fd, second);
	assert_int_equal(mapi_close_flow(second), 0);
	assert_int_equal(mapi_get_next_flow_info(0, &info), -1);
	assert_error(MAPI_FLOW_INFO_ERR);
}

static void test_flows_of_others(void **state)
{
	struct fake_listed flows[] = { { 1, "fake0", NULL, 3 }, { 7, "fake1", NULL, 0 },
		{ 0, NULL, NULL, 0 } };
	struct mapi_explanation e = { .sz = sizeof(e) };
	mapi_flow_info_t info;
	int fd;

	setenv("MAPI_SOCKET", test_socket_path, 1);
	fake_system_start(test_socket_path);
	fd = mapi_create_flow("fake0");
	assert_int_equal(fd, 1); /* the daemon's number */
	fake_flows = flows;
	/* The daemon's number 1 is ours, and not told twice. */
	assert_int_equal(mapi_get_next_flow_info(0, &info), 0);
	assert_int_equal(info.fd, fd);
	assert_int_equal(info.uid, getuid());
	assert_int_equal(mapi_get_next_flow_info(fd, &info), 0);
	assert_int_equal(info.fd, 7);
	assert_int_equal(info.uid, 4711);
	assert_int_equal(info.devid, 12);
	assert_string_equal(info.device, "fake1");
	assert_int_equal(info.start, 7);
	assert_int_equal(info.status, FLOW_ACTIVE);
	assert_int_equal(mapi_get_next_flow_info(7, &info), -1);
	assert_error(MAPI_FLOW_INFO_ERR);
	assert_int_equal(mapi_get_flow_info(7, &info), 0);
	assert_string_equal(info.device, "fake1");
	assert_int_equal(mapi_get_flow_info(6, &info), -1);
	assert_error(MAPI_INVALID_FLOW);
	assert_int_equal(mapi_explain(7, 1, &e), 0);
	assert_true(e.tier == MAPI_TIER_KERNEL && e.has_seed);
	fake_engine_fault(WIRE__REQUEST__CALL_EXPLAIN, FAKE_WRONG_REPLY);
	assert_int_equal(mapi_explain(7, 1, &e), -1);
	assert_error(MCOM_UNKNOWN_ERROR);
	assert_int_equal(mapi_explain(0, 1, &e), -1);
	assert_error(MAPI_INVALID_FLOW);
	flows[0].id = flows[1].id; /* before ours in no order: an endless list */
	fake_engine_fault(WIRE__REQUEST__CALL_LIST_FLOW, FAKE_WRONG_REPLY);
	assert_int_equal(mapi_get_next_flow_info(1, &info), -1);
	assert_error(MCOM_UNKNOWN_ERROR);
	assert_int_equal(mapi_close_flow(fd), 0);
	fake_flows = NULL;
	fake_engine_kill();
	/* The named daemon is gone: that is not the same as no flow. */
	assert_int_equal(mapi_get_next_flow_info(0, &info), -1);
	assert_error(MCOM_INIT_SOCKET_ERROR);
}

/* Programs begin with -1 or, historically, with 0: device 0 is told once in either case. */
static void test_loops_over_devices(void **state)
{
	static const struct fake_listed dense[] = { { 0, "lo", "", 0 }, { 1, "eth0", "", 0 },
		{ 2, "eth1", "", 0 }, { 0, NULL, NULL, 0 } };
	mapi_device_info_t device;

	fake_devices = dense;
	for (int begin = -1; begin <= 0; begin++)
		for (int round = 0; round < 2; round++) {
			int n = 0;

			device.id = begin;
			while (mapi_get_next_device_info(device.id, &device) == 0)
				assert_int_equal(device.id, n++);
			assert_error(MAPI_DEVICE_INFO_ERR);
			assert_int_equal(n, 3);
		}
	assert_int_equal(mapi_get_device_info(0, &device), 0);
	assert_string_equal(device.device, "lo");
	assert_int_equal(mapi_get_next_device_info(0, &device), 0);
	assert_int_equal(device.id, 1);
}

/* A user who may not use the first socket. Root may use everything, so root becomes another. */
static void test_socket_for_those_who_look(void **state)
{
	static const struct fake_listed flows[] = { { 7, "fake1", NULL, 2 }, { 0, NULL, NULL, 0 } };
	mapi_device_info_t device;
	mapi_flow_info_t info;
	bool is_root = getuid() == 0;
	int refuses;

	setenv("MAPI_SOCKET", test_socket_path, 1);
	refuses = open(test_socket_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0);
	assert_true(refuses >= 0);
	close(refuses);
	fake_system_start(test_read_only_path);
	if (is_root) {
		assert_int_equal(chmod(test_folder, 0755), 0);
		assert_int_equal(chmod(test_read_only_path, 0777), 0);
		assert_int_equal(seteuid(65534), 0);
	}
	fake_devices = devices;
	fake_flows = flows;
	assert_int_equal(mapi_create_flow("fake0"), -1);
	assert_error(MAPI_NO_PERMISSION);
	assert_int_equal(mapi_get_next_device_info(0, &device), 0);
	assert_int_equal(device.id, 2);
	assert_int_equal(mapi_get_next_flow_info(0, &info), 0);
	assert_int_equal(info.fd, 7);
	assert_int_equal(mapi_get_flow_info(7, &info), 0);
	assert_int_equal(mapi_get_flow_info(8, &info), -1);
	assert_error(MAPI_INVALID_FLOW);
	assert_int_equal(mapi_get_device_info(3, &device), -1);
	assert_error(MAPI_DEVICE_INFO_ERR);
	fake_engine_kill();
	assert_int_equal(mapi_get_next_device_info(0, &device), -1);
	assert_error(MCOM_INIT_SOCKET_ERROR);
	if (is_root)
		assert_int_equal(seteuid(0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_before_any_creation),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_loops_over_devices),
		cmocka_unit_test(test_own_flows),
		cmocka_unit_test(test_flows_of_others),
		cmocka_unit_test(test_socket_for_those_who_look),
	};

	return test_run_each(tests, sizeof(tests) / sizeof(tests[0]));
}
