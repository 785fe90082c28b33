/* SPDX-License-Identifier: BSD-2-Clause */
/* The keys of mapi.conf, and what their values may be. A new key is a row of config_keys[]. */
#include "config_private.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>

#define CONFIG_SHOWN ".64s" /* so much of a bad value is shown */
#define CONFIG_CPU_MAX 1023u
#define CONFIG_SOCKET_BYTES_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

/* ---- text ---- */

static int config_set_any_text(
	struct config_parser *parser, const struct config_key *key, const char *value, void *member)
{
	if (strlen(value) > key->max)
		return config_error(parser, parser->line,
			"%s=%" CONFIG_SHOWN "...: %zu bytes; at most %llu are possible", key->name,
			value, strlen(value), (unsigned long long)key->max);
	return config_set_text(member, value);
}

/* One word: of a device, a user. */
static int config_set_word(
	struct config_parser *parser, const struct config_key *key, const char *value, void *member)
{
	if (value[0] == '\0')
		return config_error(
			parser, parser->line, "%s= is empty; a name is possible", key->name);
	if (strpbrk(value, " \t"))
		return config_error(parser, parser->line,
			"%s=%" CONFIG_SHOWN ": a name without spaces is possible; nothing is "
			"removed from a value, also no comment behind it",
			key->name, value);
	return config_set_any_text(parser, key, value, member);
}

static int config_set_path(
	struct config_parser *parser, const struct config_key *key, const char *value, void *member)
{
	if (value[0] != '/')
		return config_error(parser, parser->line,
			"%s=%" CONFIG_SHOWN ": a path that begins with / is possible", key->name,
			value);
	return config_set_any_text(parser, key, value, member);
}

/* Empty, as in the file that earlier releases installed: none. */
static int config_set_logfile(
	struct config_parser *parser, const struct config_key *key, const char *value, void *member)
{
	return value[0] == '\0' ? 0 : config_set_path(parser, key, value, member);
}

static int config_set_user(
	struct config_parser *parser, const struct config_key *key, const char *value, void *member)
{
	if (!strcmp(value, "root"))
		config_tell(parser, parser->line,
			"user=root: what meets packets and programs would run as root; a user of "
			"its own is safer");
	return config_set_word(parser, key, value, member);
}

/* ---- numbers ---- */

static int config_number(struct config_parser *parser, const struct config_key *key,
	const char *value, uint64_t *ret)
{
	uint64_t v = 0;
	size_t n = strspn(value, "0123456789");

	if (n == 0 || value[n] != '\0')
		return config_error(parser, parser->line,
			"%s=%" CONFIG_SHOWN ": not a number; possible are %llu to %llu", key->name,
			value, (unsigned long long)key->min, (unsigned long long)key->max);
	for (size_t i = 0; i < n && v <= key->max; i++)
		v = v * 10 + (uint64_t)(value[i] - '0'); /* max is far below the end */
	if (v < key->min || v > key->max)
		return config_error(parser, parser->line,
			"%s=%" CONFIG_SHOWN ": out of range; possible are %llu to %llu", key->name,
			value, (unsigned long long)key->min, (unsigned long long)key->max);
	*ret = v;
	return 0;
}

static int config_set_u32(
	struct config_parser *parser, const struct config_key *key, const char *value, void *member)
{
	uint64_t v;
	int r = config_number(parser, key, value, &v);

	_Static_assert(sizeof(int) == sizeof(uint32_t) && sizeof(unsigned int) == sizeof(uint32_t),
		"members of these types take 32 bits");
	if (r == 0)
		*(uint32_t *)member = (uint32_t)v;
	return r;
}

static int config_set_mib(
	struct config_parser *parser, const struct config_key *key, const char *value, void *member)
{
	uint64_t v;
	int r = config_number(parser, key, value, &v);

	if (r == 0)
		*(uint64_t *)member = v << 20;
	return r;
}

static int config_set_bool(
	struct config_parser *parser, const struct config_key *key, const char *value, void *member)
{
	static const char *const yes[] = { "yes", "1", "true", "on" };
	static const char *const no[] = { "no", "0", "false", "off" };

	for (unsigned int i = 0; i < ARRAY_SIZE(yes); i++) {
		if (strcmp(value, yes[i]) != 0 && strcmp(value, no[i]) != 0)
			continue;
		*(bool *)member = strcmp(value, yes[i]) == 0;
		return 0;
	}
	return config_error(parser, parser->line,
		"%s=%" CONFIG_SHOWN ": possible are yes and no (or 1 and 0)", key->name, value);
}

static int config_set_promisc(
	struct config_parser *parser, const struct config_key *key, const char *value, void *member)
{
	bool promisc;
	int r = config_set_bool(parser, key, value, &promisc);

	if (r == 0)
		*(bool *)member = !promisc;
	return r;
}

static const char *const config_engine_names[] = {
	[CONFIG_ENGINE_AUTO] = "auto",
	[CONFIG_ENGINE_KERNEL] = "kernel",
	[CONFIG_ENGINE_USER] = "user",
};

const char *config_engine_name(enum config_engine engine)
{
	return config_engine_names[engine];
}

static int config_set_engine(
	struct config_parser *parser, const struct config_key *key, const char *value, void *member)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(config_engine_names); i++) {
		if (strcmp(value, config_engine_names[i]) != 0)
			continue;
		*(enum config_engine *)member = (enum config_engine)i;
		return 0;
	}
	return config_error(parser, parser->line,
		"%s=%" CONFIG_SHOWN ": possible are auto, kernel and user", key->name, value);
}

static int config_set_direction(
	struct config_parser *parser, const struct config_key *key, const char *value, void *member)
{
	if (strcmp(value, "in") != 0 && strcmp(value, "both") != 0)
		return config_error(parser, parser->line,
			"%s=%" CONFIG_SHOWN ": possible are in and both", key->name, value);
	*(bool *)member = !strcmp(value, "in");
	return 0;
}

static int config_set_any_interface(
	struct config_parser *parser, const struct config_key *key, const char *value, void *member)
{
	parser->any_interface_given = true;
	return config_set_bool(parser, key, value, member);
}

/* ---- cpus=0,2-3 ---- */

static int config_bad_cpus(struct config_parser *parser, const char *value, const char *why)
{
	return config_error(parser, parser->line,
		"cpus=%" CONFIG_SHOWN ": %s; possible are at most %d different processors of 0 to "
		"%u, as in cpus=0,2-3",
		value, why, CONFIG_CPUS_MAX, CONFIG_CPU_MAX);
}

/* Digits at *@at; stays there on failure. */
static bool config_take_cpu(const char **at, unsigned int *ret)
{
	size_t n = strspn(*at, "0123456789");
	unsigned int v = 0;

	if (n == 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		v = v * 10 + (unsigned int)((*at)[i] - '0');
		if (v > CONFIG_CPU_MAX)
			return false;
	}
	*at += n;
	*ret = v;
	return true;
}

static const char *config_add_cpus(
	struct config_device *device, unsigned int first, unsigned int last)
{
	for (unsigned int cpu = first; cpu <= last; cpu++) {
		for (unsigned int i = 0; i < device->n_cpus; i++)
			if (device->cpus[i] == cpu)
				return "a processor is there twice";
		if (device->n_cpus == CONFIG_CPUS_MAX)
			return "too many processors";
		device->cpus[device->n_cpus++] = cpu;
	}
	return NULL;
}

static int config_set_cpus(
	struct config_parser *parser, const struct config_key *key, const char *value, void *member)
{
	struct config_device *device = &parser->config->devices[parser->config->n_devices - 1];
	const char *at = value, *why;

	for (;;) {
		unsigned int first, last;

		if (!config_take_cpu(&at, &first))
			return config_bad_cpus(parser, value, "not a list of processors");
		last = first;
		if (*at == '-') {
			at++;
			if (!config_take_cpu(&at, &last) || last < first)
				return config_bad_cpus(parser, value, "not a range of processors");
		}
		why = config_add_cpus(device, first, last);
		if (why)
			return config_bad_cpus(parser, value, why);
		if (*at == '\0')
			return 0;
		if (*at++ != ',')
			return config_bad_cpus(parser, value, "not a list of processors");
	}
}

/* ---- driver= ---- */

#define CONFIG_ANY_DRIVER NULL

static const struct {
	const char *name;
	const char *driver;
	const char *note;
} config_drivers[] = {
	{ "any", CONFIG_ANY_DRIVER, NULL },
	{ "afpacket", "afpacket", NULL },
	{ "pcap", "pcap", NULL },
	{ "tracedir", "tracedir", NULL },
	/* The historical daemon opened interfaces, and whatever else, through libpcap. */
	{ "mapinicdrv.so", CONFIG_ANY_DRIVER, NULL },
	{ "mapivindrv.so", "tracedir", NULL },
	{ "mapidagdrv.so", "pcap", NULL },
	{ "mapinapatechdrv.so", "pcap", NULL },
	{ "mapicombo6drv.so", CONFIG_ANY_DRIVER,
		"there is no driver of COMBO6 cards any more; any that opens the device is used" },
	{ "mapienp2611drv.so", CONFIG_ANY_DRIVER,
		"there is no driver of ENP-2611 cards any more; any that opens the device is "
		"used" },
};

static int config_set_driver(
	struct config_parser *parser, const struct config_key *key, const char *value, void *member)
{
	struct config_device *device = &parser->config->devices[parser->config->n_devices - 1];

	for (unsigned int i = 0; i < ARRAY_SIZE(config_drivers); i++) {
		if (strcmp(config_drivers[i].name, value) != 0)
			continue;
		if (config_drivers[i].note)
			config_tell(parser, parser->line, "driver=%s: %s", value,
				config_drivers[i].note);
		device->driver_name = config_drivers[i].driver;
		return config_set_text(member, value);
	}
	return config_error(parser, parser->line,
		"driver=%" CONFIG_SHOWN ": there is no such driver; possible are any, afpacket, "
		"pcap, tracedir, and the historical mapinicdrv.so, mapivindrv.so, mapidagdrv.so, "
		"mapinapatechdrv.so, mapicombo6drv.so, mapienp2611drv.so",
		value);
}

/* ---- socket= ---- */

static int config_set_old_socket(
	struct config_parser *parser, const struct config_key *key, const char *value, void *member)
{
	if (!strcmp(value, "local") || !strcmp(value, "global"))
		return 0;
	return config_error(parser, parser->line,
		"socket=%" CONFIG_SHOWN ": possible are the historical local and global; for a "
		"path there is socket_path=",
		value);
}

/* ---- the keys ---- */

#define CONFIG_IN_FILE(member) .offset = offsetof(struct config, member)
#define CONFIG_IN_DEVICE(member) \
	.section = CONFIG_SECTION_DRIVER, .offset = offsetof(struct config_device, member)

#define CONFIG_NO_LIBS                                                                            \
	"means nothing any more: functions and drivers are part of the daemon ('mapi functions' " \
	"lists the functions)"
#define CONFIG_NO_SYSLOG                                                                         \
	"means nothing any more: messages go to the journal or to standard error, unless there " \
	"is "                                                                                    \
	"logfile="

/* Of a section that means nothing as a whole: its note is given once. */
#define CONFIG_DEAD(kind, key)                   \
	{                                        \
		.name = (key), .section = (kind) \
	}

const struct config_key config_keys[] = {
	{ .name = "libpath", .note = CONFIG_NO_LIBS },
	{ .name = "drvpath", .note = CONFIG_NO_LIBS },
	{ .name = "libs", .note = CONFIG_NO_LIBS },
	{ .name = "dimapi_port",
		.set = config_set_u32,
		.min = 1,
		.max = 65535,
		CONFIG_IN_FILE(dimapi_port),
		.note = "is for remote access, which this version does not have" },
	{ .name = "log_level", .set = config_set_u32, .max = 2, CONFIG_IN_FILE(log_level) },
	{ .name = "logfile",
		.set = config_set_logfile,
		.max = CONFIG_LINE_BYTES_MAX,
		CONFIG_IN_FILE(logfile) },
	{ .name = "syslog", .note = CONFIG_NO_SYSLOG },
	{ .name = "debug", .note = "means nothing any more: log_level=2 tells most" },
	{ .name = "local",
		.note = "means nothing any more: a socket elsewhere is set by socket_path=, and "
			"programs find it by MAPI_SOCKET" },
	{ .name = "socket",
		.set = config_set_old_socket,
		.note = "means nothing any more: a socket elsewhere is set by socket_path=, and "
			"programs find it by MAPI_SOCKET" },
	{ .name = "socket_path",
		.set = config_set_path,
		.max = CONFIG_SOCKET_BYTES_MAX,
		CONFIG_IN_FILE(socket) },
	{ .name = "read_only_socket_path",
		.set = config_set_path,
		.max = CONFIG_SOCKET_BYTES_MAX,
		CONFIG_IN_FILE(read_only_socket) },
	{ .name = "user", .set = config_set_user, .max = 255, CONFIG_IN_FILE(user) },
	{ .name = "group", .set = config_set_word, .max = 255, CONFIG_IN_FILE(group) },
	{ .name = "any_interface", .set = config_set_any_interface, CONFIG_IN_FILE(any_interface) },
	{ .name = "max_sessions",
		.set = config_set_u32,
		.min = 1,
		.max = 65536,
		CONFIG_IN_FILE(quota.sessions) },
	{ .name = "max_flows",
		.set = config_set_u32,
		.min = 1,
		.max = 1048576,
		CONFIG_IN_FILE(quota.flows) },
	{ .name = "max_memory_mb",
		.set = config_set_mib,
		.min = 1,
		.max = 1048576,
		CONFIG_IN_FILE(quota.memory_bytes) },

	{ .name = "device", .set = config_set_word, .max = 255, CONFIG_IN_DEVICE(device) },
	{ .name = "driver", .set = config_set_driver, CONFIG_IN_DEVICE(driver) },
	{ .name = "alias", .set = config_set_any_text, .max = 255, CONFIG_IN_DEVICE(alias) },
	{ .name = "description",
		.set = config_set_any_text,
		.max = CONFIG_LINE_BYTES_MAX,
		CONFIG_IN_DEVICE(description) },
	{ .name = "trace_dir",
		.set = config_set_path,
		.max = CONFIG_LINE_BYTES_MAX,
		CONFIG_IN_DEVICE(trace_dir) },
	{ .name = "link_speed",
		.set = config_set_u32,
		.max = 100000000,
		CONFIG_IN_DEVICE(link_speed_mbps) },
	{ .name = "devgroup", .set = config_set_u32, .max = INT32_MAX, CONFIG_IN_DEVICE(devgroup) },
	{ .name = "mpls", .set = config_set_bool, CONFIG_IN_DEVICE(mpls) },
	{ .name = "vlan", .set = config_set_bool, CONFIG_IN_DEVICE(vlan) },
	{ .name = "promisc", .set = config_set_promisc, CONFIG_IN_DEVICE(no_promisc) },
	{ .name = "engine", .set = config_set_engine, CONFIG_IN_DEVICE(engine) },
	{ .name = "direction", .set = config_set_direction, CONFIG_IN_DEVICE(incoming_only) },
	{ .name = "dedicated", .set = config_set_bool, CONFIG_IN_DEVICE(dedicated) },
	{ .name = "discard", .set = config_set_bool, CONFIG_IN_DEVICE(discard) },
	{ .name = "cpus", .set = config_set_cpus, CONFIG_IN_DEVICE(cpus) },
	{ .name = "ring_mb",
		.set = config_set_mib,
		.min = 1,
		.max = 1024, /* what the driver takes */
		CONFIG_IN_DEVICE(ring_bytes) },
	{ .name = "snaplen",
		.set = config_set_u32,
		.max = 262144,
		CONFIG_IN_DEVICE(snaplen_bytes) },

	CONFIG_DEAD(CONFIG_SECTION_FORMAT, "format"),
	CONFIG_DEAD(CONFIG_SECTION_FORMAT, "driver"),
	CONFIG_DEAD(CONFIG_SECTION_FORMAT, "description"),

	CONFIG_DEAD(CONFIG_SECTION_DAG, "dsm_loader_bin"),
	CONFIG_DEAD(CONFIG_SECTION_DAG, "disable_dsm"),
	CONFIG_DEAD(CONFIG_SECTION_DAG, "disable_dsm_xml_remove"),

	CONFIG_DEAD(CONFIG_SECTION_IPFIX, "observationDomain"),
	CONFIG_DEAD(CONFIG_SECTION_IPFIX, "ingressInterface"),
	CONFIG_DEAD(CONFIG_SECTION_IPFIX, "egressInterface"),
	CONFIG_DEAD(CONFIG_SECTION_IPFIX, "enterpriseid"),
	CONFIG_DEAD(CONFIG_SECTION_IPFIX, "hashSize"),
	CONFIG_DEAD(CONFIG_SECTION_IPFIX, "scanCycle"),
	CONFIG_DEAD(CONFIG_SECTION_IPFIX, "traceMode"),
	CONFIG_DEAD(CONFIG_SECTION_IPFIX, "traceToFile"),
	CONFIG_DEAD(CONFIG_SECTION_IPFIX, "statInterval"),
	CONFIG_DEAD(CONFIG_SECTION_IPFIX, "idleTimeout"),
	CONFIG_DEAD(CONFIG_SECTION_IPFIX, "lifetimeTimeout"),
	CONFIG_DEAD(CONFIG_SECTION_IPFIX, "cacheTimeout"),
	CONFIG_DEAD(CONFIG_SECTION_IPFIX, "minFlowPkts"),
};

const unsigned int config_n_keys = ARRAY_SIZE(config_keys);

_Static_assert(ARRAY_SIZE(config_keys) <= CONFIG_KEYS_MAX, "struct config_parser has room");

int config_key_find(enum config_section section, const char *name)
{
	for (unsigned int i = 0; i < config_n_keys; i++)
		if (config_keys[i].section == section && !strcmp(config_keys[i].name, name))
			return (int)i;
	return -ENOENT;
}
