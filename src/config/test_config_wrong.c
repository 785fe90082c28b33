/* SPDX-License-Identifier: BSD-2-Clause */
/* mapi.conf: every error. */
#undef NDEBUG
#include "test_config_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "mapi/errors.h"

static void sections_that_are_damaged(void **unused)
{
	(void)unused;
	test_refused(
		"\n[driver\n", 2, "damaged section header '[driver': it is a word in brackets");
	test_refused("[]\n", 1, "damaged section header");
	test_refused("[", 1, "damaged section header");
	test_refused("[driver] \n", 1, "damaged section header");
	test_refused("[driver] # x\n", 1, "damaged section header");
	test_refused("[Driver]\n", 1, "there is no section [Driver]; possible are [driver]");
	test_refused("[drivers]\n", 1, "there is no section");
	test_refused("[driver]]\n", 1, "there is no section");
	test_refused("[driver]\ndriver=any\n[driver]\ndevice=a\n", 1, "[driver] names no device");
	test_refused("[driver]\ndevice=a\n\n[driver]\n", 4, "[driver] names no device");
}

static void keys_out_of_place(void **unused)
{
	(void)unused;
	test_refused("device=eth0\n[driver]\n", 1, "device= belongs into a section [driver]");
	test_refused("#\nformat=MFF_PCAP\n", 2, "format= belongs into a section [format]");
	test_refused("idleTimeout=1\n", 1, "belongs into a section [ipfixflib]");
	test_refused(
		"log_level=1\n\nlog_level=1\n", 3, "log_level= is given twice, first in line 1");
	test_refused(
		"[driver]\ndevice=a\ndevice=b\n", 3, "device= is given twice, first in line 2");
}

static void devices_that_are_the_same(void **unused)
{
	(void)unused;
	test_refused("[driver]\ndevice=a\n[driver]\nalias=x\ndevice=a\n", 5,
		"device=a: this device has a section already, line 2");
	test_refused("[driver]\ndevice=a\nalias=b\n[driver]\ndevice=b\n", 5,
		"device=b: this is also the alias of the device in line 2");
	test_refused("[driver]\ndevice=a\n[driver]\ndevice=b\nalias=a\n", 5,
		"alias=a: the device in line 2 has this name already");
	test_refused("[driver]\ndevice=a\nalias=z\n[driver]\ndevice=b\nalias=z\n", 6,
		"alias=z: the device in line 2");
	config_free(test_load("[driver]\ndevice=a\nalias=a\n[driver]\ndevice=b\nalias=b\n"));
}

static void too_many_devices(void **unused)
{
	static char text[CONFIG_DEVICES_MAX * 32 + 64];
	size_t n = 0;
	struct config *config;

	(void)unused;
	for (unsigned int i = 0; i < CONFIG_DEVICES_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "[driver]\ndevice=eth%u\n", i);
	config = test_load_bytes(text, n);
	assert_int_equal(config->n_devices, CONFIG_DEVICES_MAX);
	assert_ptr_equal(config_find(config, "eth255"), &config->devices[255]);
	config_free(config);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "[driver]\ndevice=x\n");
	test_refused_bytes(text, n, 513, "more than 256 [driver] sections");
}

static void numbers_out_of_range(void **unused)
{
	static const struct {
		const char *line, *words;
		bool global;
	} rows[] = {
		{ "log_level=3", "log_level=3: out of range; possible are 0 to 2", true },
		{ "log_level=", "not a number", true },
		{ "log_level=-1", "not a number", true },
		{ "log_level=1x", "not a number", true },
		{ "dimapi_port=0", "possible are 1 to 65535", true },
		{ "dimapi_port=65536", "possible are 1 to 65535", true },
		{ "max_sessions=0", "possible are 1 to 65536", true },
		{ "max_flows=1048577", "possible are 1 to 1048576", true },
		{ "max_memory_mb=99999999999999999999999", "possible are 1 to 1048576", true },
		{ "link_speed=100000001", "possible are 0 to 100000000", false },
		{ "devgroup=2147483648", "possible are 0 to 2147483647", false },
		{ "ring_mb=0", "possible are 1 to 1024", false },
		{ "ring_mb=1025", "possible are 1 to 1024", false },
		{ "ring_mb=64M", "not a number", false },
		{ "snaplen=262145", "possible are 0 to 262144", false },
	};
	char text[128];

	(void)unused;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		(void)snprintf(text, sizeof(text), "%s%s\n",
			rows[i].global ? "\n\n" : "[driver]\ndevice=a\n", rows[i].line);
		test_refused(text, 3, rows[i].words);
	}
}

static void values_that_are_none(void **unused)
{
	static char text[CONFIG_LINE_BYTES_MAX];

	(void)unused;
	test_refused("any_interface=maybe\n", 1, "any_interface=maybe: possible are yes and no");
	test_refused("any_interface=\n", 1, "possible are yes and no");
	test_refused("[driver]\npromisc=Yes\n", 2, "promisc=Yes: possible are yes and no");
	test_refused(
		"[driver]\nengine=card\n", 2, "engine=card: possible are auto, kernel and user");
	test_refused("[driver]\ndirection=out\n", 2, "direction=out: possible are in and both");
	test_refused("[driver]\ndevice=a\ndiscard=yes\n", 3, "dedicated=yes");
	test_refused("[driver]\ndevice=\n", 2, "device= is empty");
	test_refused("[driver]\ndevice=eth0 # uplink\n", 2, "a name without spaces is possible");
	test_refused("[driver]\ndevice=eth0 \n", 2, "a name without spaces is possible");
	test_refused("user=\n", 1, "user= is empty");
	test_refused("group=a b\n", 1, "group=a b: a name without spaces");
	test_refused("socket_path=mapid.sock\n", 1, "a path that begins with /");
	test_refused("logfile=mapid.log\n", 1, "a path that begins with /");
	test_refused("read_only_socket_path=\n", 1, "a path that begins with /");
	test_refused("socket=/run/x\n", 1, "for a path there is socket_path=");
	test_refused("[driver]\ndevice=a\ndriver=mapinicdrv\n", 3,
		"driver=mapinicdrv: there is no such driver; possible are any, afpacket");
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "socket_path=/", 13);
	text[12 + 108] = '\0';
	test_refused(text, 1, "108 bytes; at most 107 are possible");
	text[12 + 107] = '\0';
	config_free(test_load(text));
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "[driver]\ndevice=", 16);
	test_refused(text, 2, "at most 255 are possible");
}

static void lists_of_processors(void **unused)
{
	static const char *const bad[] = { "", ",", "0,", ",0", "a", "0-", "-1", "3-2", "0 ,1",
		"1024", "0-1024", "0,0", "0-3,2", "0-64", "0;1", "99999999999999999999", "0--1" };
	struct config *config;
	char text[64];

	(void)unused;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		(void)snprintf(text, sizeof(text), "[driver]\ncpus=%s\n", bad[i]);
		test_refused(text, 2, "possible are at most 64 different processors of 0 to 1023");
	}
	config = test_load("[driver]\ndevice=a\ncpus=960-1023\n");
	assert_int_equal(config->devices[0].n_cpus, 64);
	assert_int_equal(config->devices[0].cpus[63], 1023);
	config_free(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_that_are_damaged),
		cmocka_unit_test(keys_out_of_place),
		cmocka_unit_test(devices_that_are_the_same),
		cmocka_unit_test(too_many_devices),
		cmocka_unit_test(numbers_out_of_range),
		cmocka_unit_test(values_that_are_none),
		cmocka_unit_test(lists_of_processors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
