/* SPDX-License-Identifier: BSD-2-Clause */
/* mapi.conf: every key, every historical line. Errors are in test_config_wrong.c. */
#undef NDEBUG
#include "test_config_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "mapi/errors.h"

static const char *example_path; /* packaging/mapi.conf */
static void no_file_is_every_interface(void **unused)
{
	struct config *config = NULL;
	struct error err = ERROR_INIT;

	(void)unused;
	assert_int_equal(config_load(&config, NULL, NULL, NULL, &err), 0);
	assert_null(config->path);
	assert_true(config->any_interface);
	assert_int_equal(config->n_devices, 0);
	assert_string_equal(config->socket, CONFIG_SOCKET);
	assert_string_equal(config->read_only_socket, CONFIG_READ_ONLY_SOCKET);
	assert_string_equal(config->group, "mapi");
	assert_string_equal(config->user, "mapi");
	assert_null(config_find(config, "eth0"));
	assert_null(config_free(config));
	assert_null(config_free(NULL));
	assert_true(strstr(config_default_path(), "mapi/mapi.conf") != NULL);
}

static void files_that_are_none(void **unused)
{
	struct config *config = NULL;
	struct error err = ERROR_INIT;

	(void)unused;
	assert_int_equal(config_load(&config, "/nonexistent/mapi.conf", NULL, NULL, &err), -ENOENT);
	assert_string_equal(
		err.text, "/nonexistent/mapi.conf: cannot be read: No such file or directory");
	err = ERROR_INIT;
	assert_int_equal(config_load(&config, "/", NULL, NULL, &err), -EISDIR);
	assert_non_null(strstr(err.text, "/: cannot be read: "));
	err = ERROR_INIT;
	assert_int_equal(config_load(&config, "/dev/zero", NULL, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "larger than 1048576 bytes"));
	assert_null(config);
}

static void an_empty_file_is_the_default(void **unused)
{
	struct config *config = test_load("");

	(void)unused;
	assert_true(config->any_interface);
	config_free(config);
	config = test_load("# nothing\n; either\n\n \t \n");
	assert_int_equal(test_notes.n, 0);
	assert_true(config->any_interface);
	config_free(config);
}

static void every_key_of_the_daemon(void **unused)
{
	struct config *config = test_load("socket_path=/run/x/s\nread_only_socket_path=/run/x/r\n"
					  "group=ops\nuser=nobody\nany_interface=no\nlog_level=2\n"
					  "max_sessions=3\nmax_flows=40\nmax_memory_mb=5\n"
					  "[driver]\ndevice=lo");

	(void)unused;
	assert_int_equal(test_notes.n, 0);
	assert_string_equal(config->socket, "/run/x/s");
	assert_string_equal(config->read_only_socket, "/run/x/r");
	assert_string_equal(config->group, "ops");
	assert_string_equal(config->user, "nobody");
	assert_false(config->any_interface);
	assert_int_equal(config->log_level, 2);
	assert_int_equal(config->quota.sessions, 3);
	assert_int_equal(config->quota.flows, 40);
	assert_int_equal(config->quota.memory_bytes, 5 << 20);
	assert_int_equal(config->n_devices, 1);
	config_free(config);
}

static void every_key_of_a_device(void **unused)
{
	struct config *config = test_load("[driver]\ndevice=eth0\ndriver=afpacket\nalias=up link\n"
					  "description= to the = provider \nlink_speed=10000\n"
					  "devgroup=7\nmpls=1\nvlan=yes\npromisc=no\ncpus=5,0-2,4\n"
					  "ring_mb=64\nsnaplen=96\nengine=user\n"
					  "direction=in\ndedicated=yes\ndiscard=yes\n[driver]\n"
					  "device=lo\n");
	const unsigned int cpus[] = { 5, 0, 1, 2, 4 };
	const struct config_device *device = config_find(config, "eth0");

	(void)unused;
	assert_int_equal(test_notes.n, 0);
	assert_ptr_equal(device, &config->devices[0]);
	assert_ptr_equal(config_find(config, "up link"), device);
	assert_null(config_find(config, ""));
	assert_string_equal(device->driver, "afpacket");
	assert_string_equal(device->driver_name, "afpacket");
	assert_string_equal(device->description, " to the = provider ");
	assert_int_equal(device->link_speed_mbps, 10000);
	assert_int_equal(device->devgroup, 7);
	assert_true(device->mpls && device->vlan && device->no_promisc);
	assert_int_equal(device->engine, CONFIG_ENGINE_USER);
	assert_int_equal(device->n_cpus, 5);
	assert_memory_equal(device->cpus, cpus, sizeof(cpus));
	assert_int_equal(device->ring_bytes, 64 << 20);
	assert_int_equal(device->snaplen_bytes, 96);
	assert_true(device->incoming_only && device->dedicated && device->discard);
	assert_null(device->trace_dir);
	device = config_find(config, "lo");
	assert_string_equal(device->driver, "");
	assert_string_equal(device->alias, "");
	assert_string_equal(device->description, "");
	assert_null(device->driver_name);
	assert_false(device->no_promisc || device->incoming_only || device->dedicated ||
		device->discard);
	assert_int_equal(device->engine, CONFIG_ENGINE_AUTO);
	assert_false(config->any_interface);
	config_free(config);
}

static void drivers_of_both_ages(void **unused)
{
	static const struct {
		const char *name, *driver;
	} rows[] = { { "any", NULL }, { "afpacket", "afpacket" }, { "pcap", "pcap" },
		{ "mapinicdrv.so", NULL }, { "mapidagdrv.so", "pcap" },
		{ "mapinapatechdrv.so", "pcap" }, { "mapicombo6drv.so", NULL },
		{ "mapienp2611drv.so", NULL } };
	struct config *config;
	char text[128];

	(void)unused;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		(void)snprintf(text, sizeof(text), "[driver]\ndevice=x\ndriver=%s\n", rows[i].name);
		config = test_load(text);
		assert_string_equal(config->devices[0].driver, rows[i].name);
		if (rows[i].driver)
			assert_string_equal(config->devices[0].driver_name, rows[i].driver);
		else
			assert_null(config->devices[0].driver_name);
		assert_int_equal(test_notes.n, i >= 6);
		config_free(config);
	}
}

static void directories_of_captures(void **unused)
{
	struct config *config =
		test_load("[driver]\ndevice=a\ndriver=mapivindrv.so\ntrace_dir=/t/a\n"
			  "[driver]\ndevice=b\ntrace_dir=/t/b\n"
			  "[driver]\ndevice=c\ndriver=tracedir\ntrace_dir=/t/c\n"
			  "[driver]\ndevice=d\ndriver=pcap\ntrace_dir=/t/d\n");

	(void)unused;
	for (unsigned int i = 0; i < 3; i++)
		assert_string_equal(config->devices[i].driver_name, "tracedir");
	assert_string_equal(config->devices[1].trace_dir, "/t/b");
	assert_string_equal(config->devices[3].driver_name, "pcap");
	assert_int_equal(test_notes.n, 1);
	test_noted(0, 15, "only with driver=mapivindrv.so");
	config_free(config);
	test_refused(
		"[driver]\ndevice=a\ndriver=mapivindrv.so\n", 3, "trace_dir=/DIRECTORY is missing");
	test_refused("[driver]\ndevice=a\ntrace_dir=traces\n", 3, "a path that begins with /");
}

/* The file that earlier releases installed, with everything in it that they could read. */
static void the_historical_file(void **unused)
{
	struct config *config =
		test_load("# MAPI configuration\n"
			  "libpath=/usr/local/share/mapi\n"
			  "drvpath=/usr/local/share/mapi\n"
			  "libs=stdflib.so:dagflib.so:extraflib.so\n"
			  "dimapi_port=2233\n"
			  "log_level=0\n"
			  "logfile=/var/log/mapid\n"
			  "local=1\n"
			  "syslog=1\n"
			  "socket=global\n"
			  "debug=2\n"
			  "\n"
			  "[driver]\n"
			  "device=eth0\n"
			  "description=local NIC\n"
			  "driver=mapinicdrv.so\n"
			  "link_speed=1000\n"
			  "devgroup=1\n"
			  "mpls=0\n"
			  "vlan=0\n"
			  "[driver]\n"
			  "device=lo\n"
			  "alias=loopback\n"
			  "driver=mapinicdrv.so\n"
			  "[format]\n"
			  "format=MFF_PCAP\n"
			  "description=libpcap files\n"
			  "driver=mapinicdrv.so\n"
			  "[format]\n"
			  "format=MFF_DAG_ERF\n"
			  "driver=mapidagdrv.so\n"
			  "[dag]\n"
			  "dsm_loader_bin=/usr/local/bin/dsm_loader\n"
			  "disable_dsm=0\n"
			  "disable_dsm_xml_remove=0\n"
			  "[ipfixflib]\n"
			  "observationDomain=0\ningressInterface=0\negressInterface=0\n"
			  "enterpriseid=1\nhashSize=65536\nscanCycle=1\ntraceMode=0\n"
			  "traceToFile=0\nstatInterval=0\nidleTimeout=30\n"
			  "lifetimeTimeout=240\ncacheTimeout=360\nminFlowPkts=1\n");

	(void)unused;
	assert_int_equal(config->n_devices, 2);
	assert_int_equal(config->dimapi_port, 2233);
	assert_int_equal(config->devices[0].link_speed_mbps, 1000);
	assert_int_equal(config->devices[0].devgroup, 1);
	assert_ptr_equal(config_find(config, "loopback"), &config->devices[1]);
	assert_string_equal(config->logfile, "/var/log/mapid");
	test_noted(0, 2, "libpath= means nothing any more");
	test_noted(1, 3, "drvpath= means nothing any more");
	test_noted(2, 4, "libs= means nothing any more");
	test_noted(3, 5, "dimapi_port= is for remote access");
	test_noted(4, 8, "local= means nothing any more");
	test_noted(5, 9, "syslog= means nothing any more");
	test_noted(6, 10, "socket= means nothing any more");
	test_noted(7, 11, "debug= means nothing any more");
	test_noted(8, 25, "[format] sections mean nothing any more");
	test_noted(9, 32, "[dag] means nothing any more");
	test_noted(10, 36, "[ipfixflib] means nothing any more");
	assert_int_equal(test_notes.n, 11);
	config_free(config);
	config = test_load("libs=a\nlibs=b\nsocket=local\n");
	assert_int_equal(test_notes.n, 2); /* once each */
	config_free(config);
}

/* As it was installed, of which less was filled in. */
static void the_installed_file(void **unused)
{
	struct config *config =
		test_load("libpath=/usr/local/share/mapi\ndrvpath=/usr/local/share/mapi\n\n"
			  "libs=stdflib.so:extraflib.so\n\n"
			  "dimapi_port=2233\nlog_level=1\nlogfile=\n\n"
			  "[driver]\ndevice=eth0\ndriver=mapinicdrv.so\n\n"
			  "[driver]\ndevice=/dev/dag0\ndriver=mapidagdrv.so\n"
			  "description=DAG capture card\n\n"
			  "[format]\nformat=MFF_PCAP\ndriver=mapinicdrv.so\n");

	(void)unused;
	assert_null(config->logfile);
	assert_int_equal(config->log_level, 1);
	assert_int_equal(config->n_devices, 2);
	assert_int_equal(test_notes.n, 5);
	config_free(config);
}

static void unknown_keys_are_told(void **unused)
{
	struct config *config =
		test_load("loglevel=1\nnonsense=1\n[driver]\ndevice=a\nlinkspeed=1\n"
			  "log_level=1\nformat=x\n[format]\nformt=x\ndevice=a\n");

	(void)unused;
	test_noted(0, 1, "unknown key 'loglevel', did you mean 'log_level'?");
	test_noted(1, 2, "unknown key 'nonsense'; it has no meaning");
	test_noted(2, 5, "did you mean 'link_speed'?");
	test_noted(3, 6, "log_level= has no meaning in a section [driver]");
	test_noted(4, 7, "unknown key 'format'; it");
	test_noted(5, 8, "[format] sections");
	test_noted(6, 9, "did you mean 'format'?");
	test_noted(7, 10, "unknown key 'device'");
	assert_int_equal(test_notes.n, 8);
	assert_int_equal(config->log_level, 0);
	config_free(config);
}

static void names_that_are_near(void **unused)
{
	char longer[200] = { 0 };

	(void)unused;
	memset(longer, 'x', sizeof(longer) - 1);
	assert_int_equal(config_distance("", "", 2), 0);
	assert_int_equal(config_distance("device", "device", 2), 0);
	assert_int_equal(config_distance("devices", "device", 2), 1);
	assert_int_equal(config_distance("evice", "device", 2), 1);
	assert_int_equal(config_distance("dcvike", "device", 2), 2);
	assert_int_equal(config_distance("alias", "device", 2), 3);
	assert_int_equal(config_distance(longer, "device", 2), 3);
	assert_int_equal(config_distance("device", longer, 2), 3);
}

static void forms_of_lines(void **unused)
{
	static char text[4096];
	struct config *config = test_load("\xef\xbb\xbflog_level=1\r\n[driver]\r\ndevice=eth0\r\n"
					  "description=\xc3\xa9t\xc3\xa9\tx\r\n\r\n");

	(void)unused;
	assert_int_equal(test_notes.n, 1);
	test_noted(0, 1, "CR LF");
	assert_int_equal(config->log_level, 1);
	assert_string_equal(config->devices[0].device, "eth0");
	assert_string_equal(config->devices[0].description, "\xc3\xa9t\xc3\xa9\tx");
	config_free(config);

	memset(text, '#', sizeof(text));
	config_free(test_load_bytes(text, 1024));
	text[1024] = '\n';
	config_free(test_load_bytes(text, 1025));
	text[1024] = '\r';
	text[1025] = '\n';
	config_free(test_load_bytes(text, 1026));
	test_refused_bytes(text, 1024 + 2 + 1025, 2, "the line has 1025 bytes; 1024 are possible");
	test_refused_bytes("a=b\n#\0\n", 7, 2, "byte 2 is the control character 0x00");
	test_refused_bytes("\n\n\x1b[2J\n", 7, 3, "byte 1 is the control character 0x1b");
	test_refused("x=\x7f\n", 1, "0x7f");
	test_refused("a=\rb\n", 1, "0x0d");
	test_refused("just words\n", 1, "'just words': neither key=value nor [section]");
	test_refused("  # late\n", 1, "a comment has # or ; in the first column");
	test_refused("=value\n", 1, "'=': no key");
	test_refused(" =value\n", 1, "no key");
	test_refused(" log_level=1\n", 1, "spaces around it");
	test_refused("log_level =1\n", 1, "spaces around it");
	test_refused("log_level\t=1\n", 1, "spaces around it");
	test_refused("log_level= 1\n", 1, "log_level= 1: not a number; possible are 0 to 2");
}

static void what_is_usable_but_odd_is_told(void **unused)
{
	(void)unused;
	config_free(test_load("user=root\nany_interface=no\n"));
	assert_int_equal(test_notes.n, 2);
	test_noted(0, 1, "a user of its own is safer");
	test_noted(1, 2, "no device may be opened");
	config_free(test_load("any_interface=yes\n[driver]\ndevice=a\n"));
	assert_int_equal(test_notes.n, 0);
}

/* Return: what config_check() prints, up to the next call. */
static const char *check_devgroup(const char *file, int devgroup, int wanted)
{
	static char text[4096];
	FILE *out = fmemopen(text, sizeof(text), "w");

	assert_non_null(out);
	assert_int_equal(config_check(file, devgroup, out), wanted);
	assert_int_equal(fclose(out), 0);
	return text;
}

static const char *check(const char *file, int wanted)
{
	return check_devgroup(file, 0, wanted);
}

static void a_check_tells_notes_and_devices(void **unused)
{
	char wanted[2048];

	(void)unused;
	test_make_text("libs=a\nlogfile=/var/log/m\nmax_flows=7\n[driver]\ndevice=eth0\nalias=up\n"
		       "cpus=2,3\nengine=user\ndedicated=yes\ndiscard=yes\nsnaplen=96\nring_mb=4\n"
		       "[driver]\ndevice=lo\npromisc=no\ndescription=no wire\n"
		       "[driver]\ndevice=old\ntrace_dir=/traces\nlink_speed=1000\ndevgroup=7\n"
		       "mpls=1\nvlan=1\n");
	(void)snprintf(wanted, sizeof(wanted),
		"%s:1: note: libs= means nothing any more: functions and drivers are part of the "
		"daemon ('mapi functions' lists the functions)\n"
		"%s: can be used: 3 devices, 1 note\n"
		"  eth0 (up): driver any, 2 workers on processor 2,3\n"
		"    engine=user direction=in dedicated=yes discard=yes promisc=yes snaplen=96 "
		"ring_mb=4\n"
		"  lo: driver any, 1 worker\n"
		"    description=no wire\n"
		"    engine=auto direction=both dedicated=no discard=no promisc=no snaplen=0 (all) "
		"ring_mb=default\n"
		"  old: driver tracedir, 1 worker\n"
		"    link_speed=1000 devgroup=7 mpls=yes vlan=yes\n"
		"    trace_dir=/traces\n"
		"  programs of group mapi connect to /run/mapi/mapid.sock\n"
		"  programs that only look connect to /run/mapi/mapid-read.sock\n"
		"  the engine runs as user mapi; log_level=0, messages go to /var/log/m\n"
		"  one user's programs may have together: max_sessions=default max_flows=7 "
		"max_memory_mb=default\n",
		test_path, test_path);
	assert_string_equal(check(test_path, 0), wanted);
	test_make_text("log_level=9\n");
	(void)snprintf(wanted, sizeof(wanted),
		"%s:1: log_level=9: out of range; possible are 0 to 2\n", test_path);
	assert_string_equal(check(test_path, 1), wanted);
	assert_string_equal(check("/nonexistent", 1),
		"/nonexistent: cannot be read: No such file or directory\n");
}

static void a_group_of_devices(void **unused)
{
	struct error err = ERROR_INIT;
	struct config *config;
	char wanted[1024];

	(void)unused;
	test_make_text("any_interface=yes\n[driver]\ndevice=a\ndevgroup=1\n[driver]\ndevice=b\n"
		       "[driver]\ndevice=c\ndevgroup=2\n[driver]\ndevice=d\ndevgroup=1\n");
	assert_int_equal(config_load(&config, test_path, NULL, NULL, &err), 0);
	assert_int_equal(config_keep_devgroup(config, 1, &err), 0);
	assert_int_equal(config->n_devices, 2);
	assert_non_null(config_find(config, "a"));
	assert_non_null(config_find(config, "d"));
	assert_false(config->any_interface);
	config_free(config);
	assert_non_null(strstr(check_devgroup(test_path, 2, 0), "1 device"));
	(void)snprintf(wanted, sizeof(wanted),
		"%s: no section [driver] says devgroup=3, so there is no device to serve; "
		"without -g all are\n",
		test_path);
	assert_string_equal(check_devgroup(test_path, 3, 1), wanted);
}

static void the_example_passes_without_a_note(void **unused)
{
	const char *text = check(example_path, 0);

	(void)unused;
	assert_non_null(strstr(text, "can be used: 1 device, 0 notes\n"));
	assert_non_null(strstr(text, "every other interface"));
}

/* What it shows as examples is possible, and the defaults it tells are the defaults. */
static void the_examples_of_the_example(void **unused)
{
	static char text[16384], active[16384];
	FILE *file = fopen(example_path, "r");
	size_t n = 0;
	struct config *config, *plain = NULL;

	(void)unused;
	assert_non_null(file);
	while (fgets(text, sizeof(text), file)) {
		bool is_example = text[0] == '#' && text[1] != ' ' && text[1] != '\n';

		n += (size_t)snprintf(active + n, sizeof(active) - n, "%s", text + is_example);
	}
	(void)fclose(file);
	config = test_load_bytes(active, n);
	assert_int_equal(test_notes.n, 0);
	assert_int_equal(config->n_devices, 3);
	assert_int_equal(config_load(&plain, NULL, NULL, NULL, NULL), 0);
	assert_string_equal(config->socket, plain->socket);
	assert_string_equal(config->read_only_socket, plain->read_only_socket);
	assert_string_equal(config->group, plain->group);
	assert_string_equal(config->user, plain->user);
	assert_int_equal(config->log_level, plain->log_level);
	config_free(plain);
	config_free(config);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_file_is_every_interface),
		cmocka_unit_test(files_that_are_none),
		cmocka_unit_test(an_empty_file_is_the_default),
		cmocka_unit_test(every_key_of_the_daemon),
		cmocka_unit_test(every_key_of_a_device),
		cmocka_unit_test(drivers_of_both_ages),
		cmocka_unit_test(directories_of_captures),
		cmocka_unit_test(the_historical_file),
		cmocka_unit_test(the_installed_file),
		cmocka_unit_test(unknown_keys_are_told),
		cmocka_unit_test(names_that_are_near),
		cmocka_unit_test(forms_of_lines),
		cmocka_unit_test(what_is_usable_but_odd_is_told),
		cmocka_unit_test(a_check_tells_notes_and_devices),
		cmocka_unit_test(a_group_of_devices),
		cmocka_unit_test(the_example_passes_without_a_note),
		cmocka_unit_test(the_examples_of_the_example),
	};

	if (argc != 2) {
		(void)fputs("usage: test_config MAPI.CONF\n", stderr);
		return 2;
	}
	example_path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
