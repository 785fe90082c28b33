/* SPDX-License-Identifier: BSD-2-Clause */
/* mapi.conf: every key, every historical line, every error. */
#undef NDEBUG
#include "config_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "mapi/errors.h"

static const char *example_path; /* packaging/mapi.conf */
static char path[64];

struct notes {
	unsigned int n;
	unsigned int lines[600];
	char texts[600][256];
};

static struct notes notes;

static void take_note(void *context, unsigned int line, const char *text)
{
	struct notes *to = context;

	assert_true(to->n < 600);
	to->lines[to->n] = line;
	(void)snprintf(to->texts[to->n++], sizeof(to->texts[0]), "%s", text);
}

/* A file of these bytes; it stays until the next one. */
static void make_file(const char *bytes, size_t n_bytes)
{
	static int fd = -1;

	cleanup_closep(&fd);
	fd = memfd_create("mapi.conf", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n_bytes), n_bytes);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
}

static void make_text(const char *text)
{
	make_file(text, strlen(text));
}

static struct config *load_bytes(const char *bytes, size_t n_bytes)
{
	struct config *config = NULL;
	struct error err = ERROR_INIT;

	make_file(bytes, n_bytes);
	notes.n = 0;
	if (config_load(&config, path, take_note, &notes, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(err.code, 0);
	assert_string_equal(config->path, path);
	return config;
}

static struct config *load(const char *text)
{
	return load_bytes(text, strlen(text));
}

static void refused_bytes(const char *bytes, size_t n_bytes, unsigned int line, const char *words)
{
	static struct config other;
	struct config *const untouched = &other;
	struct config *config = untouched;
	struct error err = ERROR_INIT;
	char where[96];

	make_file(bytes, n_bytes);
	assert_int_equal(config_load(&config, path, NULL, NULL, &err), -EINVAL);
	assert_ptr_equal(config, untouched);
	assert_int_equal(err.code, MAPI_ERROR_FILE);
	(void)snprintf(where, sizeof(where), "%s:%u: ", path, line);
	if (strncmp(err.text, where, strlen(where)) != 0 || !strstr(err.text, words))
		fail_msg("'%s' is not '%s... %s'", err.text, where, words);
	/* Nobody listens: the same. */
	assert_int_equal(config_load(&config, path, NULL, NULL, NULL), -EINVAL);
}

static void refused(const char *text, unsigned int line, const char *words)
{
	refused_bytes(text, strlen(text), line, words);
}

static void noted(unsigned int i, unsigned int line, const char *words)
{
	assert_true(i < notes.n);
	if (notes.lines[i] != line || !strstr(notes.texts[i], words))
		fail_msg("note %u is '%u: %s'", i, notes.lines[i], notes.texts[i]);
}

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
	struct config *config = load("");

	(void)unused;
	assert_true(config->any_interface);
	config_free(config);
	config = load("# nothing\n; either\n\n \t \n");
	assert_int_equal(notes.n, 0);
	assert_true(config->any_interface);
	config_free(config);
}

static void every_key_of_the_daemon(void **unused)
{
	struct config *config = load("socket_path=/run/x/s\nread_only_socket_path=/run/x/r\n"
				     "group=ops\nuser=nobody\nany_interface=no\nlog_level=2\n"
				     "max_sessions=3\nmax_flows=40\nmax_memory_mb=5\n"
				     "[driver]\ndevice=lo");

	(void)unused;
	assert_int_equal(notes.n, 0);
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
	struct config *config = load("[driver]\ndevice=eth0\ndriver=afpacket\nalias=up link\n"
				     "description= to the = provider \nlink_speed=10000\n"
				     "devgroup=7\nmpls=1\nvlan=yes\npromisc=no\ncpus=5,0-2,4\n"
				     "ring_mb=64\nsnaplen=96\n[driver]\ndevice=lo\n");
	const unsigned int cpus[] = { 5, 0, 1, 2, 4 };
	const struct config_device *device = config_find(config, "eth0");

	(void)unused;
	assert_int_equal(notes.n, 0);
	assert_ptr_equal(device, &config->devices[0]);
	assert_ptr_equal(config_find(config, "up link"), device);
	assert_null(config_find(config, ""));
	assert_string_equal(device->driver, "afpacket");
	assert_string_equal(device->driver_name, "afpacket");
	assert_string_equal(device->description, " to the = provider ");
	assert_int_equal(device->link_speed_mbps, 10000);
	assert_int_equal(device->devgroup, 7);
	assert_true(device->mpls && device->vlan && device->no_promisc);
	assert_int_equal(device->n_cpus, 5);
	assert_memory_equal(device->cpus, cpus, sizeof(cpus));
	assert_int_equal(device->ring_bytes, 64 << 20);
	assert_int_equal(device->snaplen_bytes, 96);
	assert_null(device->trace_dir);
	device = config_find(config, "lo");
	assert_string_equal(device->driver, "");
	assert_string_equal(device->alias, "");
	assert_string_equal(device->description, "");
	assert_null(device->driver_name);
	assert_false(device->no_promisc);
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
		config = load(text);
		assert_string_equal(config->devices[0].driver, rows[i].name);
		if (rows[i].driver)
			assert_string_equal(config->devices[0].driver_name, rows[i].driver);
		else
			assert_null(config->devices[0].driver_name);
		assert_int_equal(notes.n, i >= 6);
		config_free(config);
	}
}

static void directories_of_captures(void **unused)
{
	struct config *config = load("[driver]\ndevice=a\ndriver=mapivindrv.so\ntrace_dir=/t/a\n"
				     "[driver]\ndevice=b\ntrace_dir=/t/b\n"
				     "[driver]\ndevice=c\ndriver=tracedir\ntrace_dir=/t/c\n"
				     "[driver]\ndevice=d\ndriver=pcap\ntrace_dir=/t/d\n");

	(void)unused;
	for (unsigned int i = 0; i < 3; i++)
		assert_string_equal(config->devices[i].driver_name, "tracedir");
	assert_string_equal(config->devices[1].trace_dir, "/t/b");
	assert_string_equal(config->devices[3].driver_name, "pcap");
	assert_int_equal(notes.n, 1);
	noted(0, 15, "only with driver=mapivindrv.so");
	config_free(config);
	refused("[driver]\ndevice=a\ndriver=mapivindrv.so\n", 3, "trace_dir=/DIRECTORY is missing");
	refused("[driver]\ndevice=a\ntrace_dir=traces\n", 3, "a path that begins with /");
}

/* The file that earlier releases installed, with everything in it that they could read. */
static void the_historical_file(void **unused)
{
	struct config *config = load("# MAPI configuration\n"
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
	noted(0, 2, "libpath= means nothing any more");
	noted(1, 3, "drvpath= means nothing any more");
	noted(2, 4, "libs= means nothing any more");
	noted(3, 5, "dimapi_port= is for remote access");
	noted(4, 8, "local= means nothing any more");
	noted(5, 9, "syslog= means nothing any more");
	noted(6, 10, "socket= means nothing any more");
	noted(7, 11, "debug= means nothing any more");
	noted(8, 25, "[format] sections mean nothing any more");
	noted(9, 32, "[dag] means nothing any more");
	noted(10, 36, "[ipfixflib] means nothing any more");
	assert_int_equal(notes.n, 11);
	config_free(config);
	config = load("libs=a\nlibs=b\nsocket=local\n");
	assert_int_equal(notes.n, 2); /* once each */
	config_free(config);
}

static void unknown_keys_are_told(void **unused)
{
	struct config *config = load("loglevel=1\nnonsense=1\n[driver]\ndevice=a\nlinkspeed=1\n"
				     "log_level=1\nformat=x\n[format]\nformt=x\ndevice=a\n");

	(void)unused;
	noted(0, 1, "unknown key 'loglevel', did you mean 'log_level'?");
	noted(1, 2, "unknown key 'nonsense'; it has no meaning");
	noted(2, 5, "did you mean 'link_speed'?");
	noted(3, 6, "log_level= has no meaning in a section [driver]");
	noted(4, 7, "unknown key 'format'; it");
	noted(5, 8, "[format] sections");
	noted(6, 9, "did you mean 'format'?");
	noted(7, 10, "unknown key 'device'");
	assert_int_equal(notes.n, 8);
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
	struct config *config = load("\xef\xbb\xbflog_level=1\r\n[driver]\r\ndevice=eth0\r\n"
				     "description=\xc3\xa9t\xc3\xa9\tx\r\n\r\n");

	(void)unused;
	assert_int_equal(notes.n, 1);
	noted(0, 1, "CR LF");
	assert_int_equal(config->log_level, 1);
	assert_string_equal(config->devices[0].device, "eth0");
	assert_string_equal(config->devices[0].description, "\xc3\xa9t\xc3\xa9\tx");
	config_free(config);

	memset(text, '#', sizeof(text));
	config_free(load_bytes(text, 1024));
	text[1024] = '\n';
	config_free(load_bytes(text, 1025));
	text[1024] = '\r';
	text[1025] = '\n';
	config_free(load_bytes(text, 1026));
	refused_bytes(text, 1024 + 2 + 1025, 2, "the line has 1025 bytes; 1024 are possible");
	refused_bytes("a=b\n#\0\n", 7, 2, "byte 2 is the control character 0x00");
	refused_bytes("\n\n\x1b[2J\n", 7, 3, "byte 1 is the control character 0x1b");
	refused("x=\x7f\n", 1, "0x7f");
	refused("a=\rb\n", 1, "0x0d");
	refused("just words\n", 1, "'just words': neither key=value nor [section]");
	refused("  # late\n", 1, "a comment has # or ; in the first column");
	refused("=value\n", 1, "'=': no key");
	refused(" =value\n", 1, "no key");
	refused(" log_level=1\n", 1, "spaces around it");
	refused("log_level =1\n", 1, "spaces around it");
	refused("log_level\t=1\n", 1, "spaces around it");
	refused("log_level= 1\n", 1, "log_level= 1: not a number; possible are 0 to 2");
}

static void sections_that_are_damaged(void **unused)
{
	(void)unused;
	refused("\n[driver\n", 2, "damaged section header '[driver': it is a word in brackets");
	refused("[]\n", 1, "damaged section header");
	refused("[", 1, "damaged section header");
	refused("[driver] \n", 1, "damaged section header");
	refused("[driver] # x\n", 1, "damaged section header");
	refused("[Driver]\n", 1, "there is no section [Driver]; possible are [driver]");
	refused("[drivers]\n", 1, "there is no section");
	refused("[driver]]\n", 1, "there is no section");
	refused("[driver]\ndriver=any\n[driver]\ndevice=a\n", 1, "[driver] names no device");
	refused("[driver]\ndevice=a\n\n[driver]\n", 4, "[driver] names no device");
}

static void keys_out_of_place(void **unused)
{
	(void)unused;
	refused("device=eth0\n[driver]\n", 1, "device= belongs into a section [driver]");
	refused("#\nformat=MFF_PCAP\n", 2, "format= belongs into a section [format]");
	refused("idleTimeout=1\n", 1, "belongs into a section [ipfixflib]");
	refused("log_level=1\n\nlog_level=1\n", 3, "log_level= is given twice, first in line 1");
	refused("[driver]\ndevice=a\ndevice=b\n", 3, "device= is given twice, first in line 2");
}

static void devices_that_are_the_same(void **unused)
{
	(void)unused;
	refused("[driver]\ndevice=a\n[driver]\nalias=x\ndevice=a\n", 5,
		"device=a: this device has a section already, line 2");
	refused("[driver]\ndevice=a\nalias=b\n[driver]\ndevice=b\n", 5,
		"device=b: this is also the alias of the device in line 2");
	refused("[driver]\ndevice=a\n[driver]\ndevice=b\nalias=a\n", 5,
		"alias=a: the device in line 2 has this name already");
	refused("[driver]\ndevice=a\nalias=z\n[driver]\ndevice=b\nalias=z\n", 6,
		"alias=z: the device in line 2");
	config_free(load("[driver]\ndevice=a\nalias=a\n[driver]\ndevice=b\nalias=b\n"));
}

static void too_many_devices(void **unused)
{
	static char text[CONFIG_DEVICES_MAX * 32 + 64];
	size_t n = 0;
	struct config *config;

	(void)unused;
	for (unsigned int i = 0; i < CONFIG_DEVICES_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "[driver]\ndevice=eth%u\n", i);
	config = load_bytes(text, n);
	assert_int_equal(config->n_devices, CONFIG_DEVICES_MAX);
	assert_ptr_equal(config_find(config, "eth255"), &config->devices[255]);
	config_free(config);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "[driver]\ndevice=x\n");
	refused_bytes(text, n, 513, "more than 256 [driver] sections");
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
		{ "ring_mb=0", "possible are 1 to 4096", false },
		{ "ring_mb=4097", "possible are 1 to 4096", false },
		{ "ring_mb=64M", "not a number", false },
		{ "snaplen=262145", "possible are 0 to 262144", false },
	};
	char text[128];

	(void)unused;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		(void)snprintf(text, sizeof(text), "%s%s\n",
			rows[i].global ? "\n\n" : "[driver]\ndevice=a\n", rows[i].line);
		refused(text, 3, rows[i].words);
	}
}

static void values_that_are_none(void **unused)
{
	static char text[CONFIG_LINE_BYTES_MAX];

	(void)unused;
	refused("any_interface=maybe\n", 1, "any_interface=maybe: possible are yes and no");
	refused("any_interface=\n", 1, "possible are yes and no");
	refused("[driver]\npromisc=Yes\n", 2, "promisc=Yes: possible are yes and no");
	refused("[driver]\ndevice=\n", 2, "device= is empty");
	refused("[driver]\ndevice=eth0 # uplink\n", 2, "a name without spaces is possible");
	refused("[driver]\ndevice=eth0 \n", 2, "a name without spaces is possible");
	refused("user=\n", 1, "user= is empty");
	refused("group=a b\n", 1, "group=a b: a name without spaces");
	refused("socket_path=mapid.sock\n", 1, "a path that begins with /");
	refused("logfile=mapid.log\n", 1, "a path that begins with /");
	refused("read_only_socket_path=\n", 1, "a path that begins with /");
	refused("socket=/run/x\n", 1, "for a path there is socket_path=");
	refused("[driver]\ndevice=a\ndriver=mapinicdrv\n", 3,
		"driver=mapinicdrv: there is no such driver; possible are any, afpacket");
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "socket_path=/", 13);
	text[12 + 108] = '\0';
	refused(text, 1, "108 bytes; at most 107 are possible");
	text[12 + 107] = '\0';
	config_free(load(text));
	memset(text, 'x', sizeof(text) - 1);
	memcpy(text, "[driver]\ndevice=", 16);
	refused(text, 2, "at most 255 are possible");
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
		refused(text, 2, "possible are at most 64 different processors of 0 to 1023");
	}
	config = load("[driver]\ndevice=a\ncpus=960-1023\n");
	assert_int_equal(config->devices[0].n_cpus, 64);
	assert_int_equal(config->devices[0].cpus[63], 1023);
	config_free(config);
}

static void what_is_usable_but_odd_is_told(void **unused)
{
	(void)unused;
	config_free(load("user=root\nany_interface=no\n"));
	assert_int_equal(notes.n, 2);
	noted(0, 1, "a user of its own is safer");
	noted(1, 2, "no device may be opened");
	config_free(load("any_interface=yes\n[driver]\ndevice=a\n"));
	assert_int_equal(notes.n, 0);
}

/* Return: what config_check() prints, up to the next call. */
static const char *check(const char *file, int wanted)
{
	static char text[4096];
	FILE *out = fmemopen(text, sizeof(text), "w");

	assert_non_null(out);
	assert_int_equal(config_check(file, out), wanted);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void a_check_tells_notes_and_devices(void **unused)
{
	char wanted[1024];

	(void)unused;
	make_text("libs=a\n[driver]\ndevice=eth0\nalias=up\ncpus=2,3\n[driver]\ndevice=lo\n");
	(void)snprintf(wanted, sizeof(wanted),
		"%s:1: note: libs= means nothing any more: functions and drivers are part of the "
		"daemon ('mapi functions' lists the functions)\n"
		"%s: can be used: 2 devices, 1 note\n"
		"  eth0 (up): driver any, 2 workers on processor 2,3\n"
		"  lo: driver any, 1 worker\n"
		"  programs of group mapi connect to /run/mapi/mapid.sock\n",
		path, path);
	assert_string_equal(check(path, 0), wanted);
	make_text("log_level=9\n");
	(void)snprintf(wanted, sizeof(wanted),
		"%s:1: log_level=9: out of range; possible are 0 to 2\n", path);
	assert_string_equal(check(path, 1), wanted);
	assert_string_equal(check("/nonexistent", 1),
		"/nonexistent: cannot be read: No such file or directory\n");
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
	config = load_bytes(active, n);
	assert_int_equal(notes.n, 0);
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
		cmocka_unit_test(unknown_keys_are_told),
		cmocka_unit_test(names_that_are_near),
		cmocka_unit_test(forms_of_lines),
		cmocka_unit_test(sections_that_are_damaged),
		cmocka_unit_test(keys_out_of_place),
		cmocka_unit_test(devices_that_are_the_same),
		cmocka_unit_test(too_many_devices),
		cmocka_unit_test(numbers_out_of_range),
		cmocka_unit_test(values_that_are_none),
		cmocka_unit_test(lists_of_processors),
		cmocka_unit_test(what_is_usable_but_odd_is_told),
		cmocka_unit_test(a_check_tells_notes_and_devices),
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
