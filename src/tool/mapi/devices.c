/* SPDX-License-Identifier: BSD-2-Clause */
/* mapi devices: what -i may name, and whether this user may capture there. */
#include "verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "base/cleanup.h"
#include "csv.h"
#include "host.h"
#include "json.h"
#include "mapi.h"
#include "session.h"
#include "text.h"

static const char devices_intro[] =
	"usage: mapi devices [--json|--csv]\n"
	"\n"
	"Lists the network interfaces of this machine: what -i may name. The one of the\n"
	"default route is marked with *.\n"
	"\n"
	"  mapi devices\n"
	"  mapi devices --json\n"
	"\n";

enum devices_option { DEVICES_NAMES = VERB_LONG };

static const struct verb_option devices_options[] = {
	ARGUMENTS_FORMAT_OPTIONS("interface"),
	{ DEVICES_NAMES, "names", NULL, VERB_NOTHING, NULL }, /* for completion */
	VERB_OPTION_END,
};

/* The driver of mapid that takes network interfaces. */
#define DEVICES_DRIVER "afpacket"

/* What the daemon, the system's or one of our own, says about a device. @group: 0: none */
struct devices_named {
	mapi_device_info_t info;
	int group;
};

/**
 * struct devices - what is known of all devices
 * @named: @n_named of them
 */
struct devices {
	char default_name[IF_NAMESIZE];
	struct devices_named *named;
	unsigned int n_named;
	struct host_rights rights;
	char advice[256];
};

/**
 * struct devices_one - a device
 * @interface: index 0: it is none
 * @named:     NULL: the daemon does not serve it
 */
struct devices_one {
	const char *name;
	const struct host_interface *interface;
	const struct devices_named *named;
};

/* The daemon knows which driver takes a device, and what the configuration calls it. Without a
 * daemon there is still the list of interfaces. */
static void devices_ask(struct devices *d)
{
	mapi_device_info_t info = { .id = -1 };
	struct devices_named *named;
	int group;

	while (mapi_get_next_device_info(info.id, &info) == 0) {
		group = mapi_get_device_group(info.id);
		named = realloc(d->named, (d->n_named + 1u) * sizeof(*named));
		if (!named)
			break;
		d->named = named;
		d->named[d->n_named++] =
			(struct devices_named){ .info = info, .group = MAX(group, 0) };
	}
	(void)mapi_read_error(&(int){ 0 }, NULL);
}

static const struct devices_named *devices_named(const struct devices *d, const char *name)
{
	unsigned int i;

	for (i = 0; i < d->n_named; i++)
		if (!strcmp(d->named[i].info.device, name))
			return &d->named[i];
	return NULL;
}

static const char *devices_driver(const struct devices_one *one)
{
	return one->named && *one->named->info.name ? one->named->info.name : DEVICES_DRIVER;
}

/* As the configuration says, which knows better than the kernel of virtual interfaces and taps. */
static unsigned int devices_mbps(const struct devices_one *one)
{
	return one->named && one->named->info.link_speed > 0
		? (unsigned int)one->named->info.link_speed
		: one->interface->speed_mbps;
}

static bool devices_is_default(const struct devices *d, const struct devices_one *one)
{
	return strcmp(one->name, d->default_name) == 0;
}

/* As many as are kept. */
static unsigned int devices_n_addresses(const struct host_interface *interface)
{
	return interface->n_addresses < HOST_ADDRESSES_MAX ? interface->n_addresses
							   : HOST_ADDRESSES_MAX;
}

/* ---- text ---- */

#define DEVICES_COLUMN 7 /* of the names */
#define DEVICES_NAME_COLUMNS 15

static void devices_speed(char *out, size_t out_bytes, unsigned int mbps)
{
	if (!mbps)
		(void)snprintf(out, out_bytes, "-");
	else if (mbps % 1000)
		(void)snprintf(out, out_bytes, "%u Mb/s", mbps);
	else
		(void)snprintf(out, out_bytes, "%u Gb/s", mbps / 1000);
}

/* Addresses, if it has some: words between blanks. */
static void devices_addresses(char *out, size_t out_bytes, const struct host_interface *interface)
{
	unsigned int n = devices_n_addresses(interface), i;
	size_t used = (size_t)snprintf(out, out_bytes, "%s", interface->link);

	for (i = 0; i < n && used < out_bytes; i++)
		used += (size_t)snprintf(out + used, out_bytes - used, "%s%s", used ? " " : "",
			interface->addresses[i]);
	if (interface->n_addresses > n && used < out_bytes)
		used += (size_t)snprintf(
			out + used, out_bytes - used, " and %u more", interface->n_addresses - n);
	if (interface->promiscuous && used < out_bytes)
		(void)snprintf(out + used, out_bytes - used, "%s(promiscuous)", used ? " " : "");
}

/* Whatever is long stands on lines of its own. */
static void devices_print_more(const char *text)
{
	if (!*text)
		return;
	printf("%*s", DEVICES_COLUMN, "");
	text_wrap(stdout, text, DEVICES_COLUMN);
}

static void devices_print(const struct devices *d, const struct devices_one *one)
{
	char more[HOST_ADDRESSES_MAX * (HOST_ADDRESS_BYTES + 1) + 64], speed[24], mtu[16] = "-";
	const struct host_interface *interface = one->interface;
	const struct devices_named *named = one->named;
	unsigned int columns = (unsigned int)strlen(one->name);

	devices_speed(speed, sizeof(speed), devices_mbps(one));
	if (interface->mtu)
		(void)snprintf(mtu, sizeof(mtu), "%u", interface->mtu);
	if (named)
		printf("%4d %c ", named->info.id, devices_is_default(d, one) ? '*' : ' ');
	else
		printf("%4s %c ", "-", devices_is_default(d, one) ? '*' : ' ');
	if (columns > DEVICES_NAME_COLUMNS) {
		text_wrap(stdout, one->name, DEVICES_COLUMN);
		columns = 0;
		printf("%*s", DEVICES_COLUMN, "");
	} else {
		text_safe(stdout, one->name);
	}
	printf("%*s  %-10s  %-8s  %5s  %-9s  %s\n", DEVICES_NAME_COLUMNS - (int)columns, "",
		interface->state, interface->kind, mtu, speed, devices_driver(one));
	devices_addresses(more, sizeof(more), interface);
	devices_print_more(more);
	if (!named)
		return;
	devices_print_more(named->info.alias);
	devices_print_more(named->info.description);
	if (named->group)
		printf("%*sgroup %d\n", DEVICES_COLUMN, "", named->group);
}

/* ---- JSON, CSV, names ---- */

static void devices_number_json(struct json *j, const char *key, uint64_t value, bool is_known)
{
	if (is_known)
		json_u64(j, key, value);
	else
		json_null(j, key);
}

/* NULL if it has none. */
static const char *devices_word(const char *word)
{
	return word && *word ? word : NULL;
}

static void devices_print_json(const struct devices *d, const struct devices_one *one)
{
	const struct host_interface *interface = one->interface;
	const struct devices_named *named = one->named;
	struct json j = JSON_TO(stdout);
	unsigned int i;

	json_object(&j, NULL);
	devices_number_json(&j, "id", named ? (uint64_t)named->info.id : 0, named);
	json_string(&j, "device", one->name);
	devices_number_json(&j, "index", interface->index, interface->index);
	json_string(&j, "state", interface->state);
	json_string(&j, "kind", interface->kind);
	devices_number_json(&j, "mtu", interface->mtu, interface->mtu);
	devices_number_json(&j, "speed_mbps", devices_mbps(one), devices_mbps(one));
	json_string(&j, "link_address", devices_word(interface->link));
	json_array(&j, "addresses");
	for (i = 0; i < devices_n_addresses(interface); i++)
		json_string(&j, NULL, interface->addresses[i]);
	json_end_array(&j);
	json_bool(&j, "promiscuous", interface->promiscuous);
	json_bool(&j, "default", devices_is_default(d, one));
	json_string(&j, "kernel_driver", devices_word(interface->driver));
	json_string(&j, "driver", devices_driver(one));
	json_string(&j, "alias", devices_word(named ? named->info.alias : NULL));
	json_string(&j, "description", devices_word(named ? named->info.description : NULL));
	devices_number_json(&j, "group", named ? (uint64_t)named->group : 0, named && named->group);
	json_bool(&j, "may_capture", host_may_capture(&d->rights));
	json_string(&j, "advice", devices_word(d->advice));
	json_end_object(&j);
	json_line(&j);
}

static void devices_head_csv(void)
{
	struct csv c = CSV_TO(stdout);
	static const char *const names[] = { "id", "device", "index", "state", "kind", "mtu",
		"speed_mbps", "link_address", "addresses", "promiscuous", "default",
		"kernel_driver", "driver", "alias", "description", "group", "may_capture",
		"advice" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		csv_string(&c, names[i]);
	csv_line(&c);
}

static void devices_number_csv(struct csv *c, uint64_t value, bool is_known)
{
	if (is_known)
		csv_u64(c, value);
	else
		csv_string(c, NULL);
}

static void devices_print_csv(const struct devices *d, const struct devices_one *one)
{
	char addresses[HOST_ADDRESSES_MAX * (HOST_ADDRESS_BYTES + 1)] = "";
	const struct host_interface *interface = one->interface;
	const struct devices_named *named = one->named;
	struct csv c = CSV_TO(stdout);
	size_t used = 0;
	unsigned int i;

	for (i = 0; i < devices_n_addresses(interface); i++)
		used += (size_t)snprintf(addresses + used, sizeof(addresses) - used, "%s%s",
			i ? " " : "", interface->addresses[i]);
	devices_number_csv(&c, named ? (uint64_t)named->info.id : 0, named);
	csv_string(&c, one->name);
	devices_number_csv(&c, interface->index, interface->index);
	csv_string(&c, interface->state);
	csv_string(&c, interface->kind);
	devices_number_csv(&c, interface->mtu, interface->mtu);
	devices_number_csv(&c, devices_mbps(one), devices_mbps(one));
	csv_string(&c, interface->link);
	csv_string(&c, addresses);
	csv_bool(&c, interface->promiscuous);
	csv_bool(&c, devices_is_default(d, one));
	csv_string(&c, interface->driver);
	csv_string(&c, devices_driver(one));
	csv_string(&c, named ? named->info.alias : NULL);
	csv_string(&c, named ? named->info.description : NULL);
	devices_number_csv(&c, named ? (uint64_t)named->group : 0, named && named->group);
	csv_bool(&c, host_may_capture(&d->rights));
	csv_string(&c, d->advice);
	csv_line(&c);
}

/* As it is, for programs: no name of a device has a line's end in it. */
static void devices_print_name(const struct devices *d, const struct devices_one *one)
{
	puts(one->name);
}

/* ---- the list ---- */

/* Behind the formats that users may choose. */
#define DEVICES_FORMAT_NAMES (ARGUMENTS_CSV + 1)

/* How a device is printed, by format. */
static void (*const devices_printers[])(const struct devices *d, const struct devices_one *one) = {
	[ARGUMENTS_TEXT] = devices_print,
	[ARGUMENTS_JSON] = devices_print_json,
	[ARGUMENTS_CSV] = devices_print_csv,
	[DEVICES_FORMAT_NAMES] = devices_print_name,
};

/* Devices of the daemon that are no interfaces: cards, directories of captures. */
static void devices_print_others(const struct devices *d, const struct host_interface *interfaces,
	unsigned int n_interfaces, unsigned int format)
{
	static const struct host_interface none = { .kind = "other", .state = "-" };
	unsigned int i, j;

	for (i = 0; i < d->n_named; i++) {
		struct devices_one other = {
			.name = d->named[i].info.device, .interface = &none, .named = &d->named[i]
		};

		for (j = 0; j < n_interfaces; j++)
			if (!strcmp(interfaces[j].name, other.name))
				break;
		if (j == n_interfaces)
			devices_printers[format](d, &other);
	}
}

static int devices_list(unsigned int format)
{
	struct devices d = { .default_name = "" };
	struct host_interface *interfaces;
	unsigned int n, i;
	int r = host_interfaces(&interfaces, &n);

	if (r < 0) {
		fprintf(stderr, "mapi: the interfaces can't be listed: %s\n", strerror(-r));
		return EXIT_DEVICE;
	}
	(void)host_default_device(d.default_name); /* there may be none */
	devices_ask(&d);
	host_rights(&d.rights);
	host_advice(d.advice, sizeof(d.advice), &d.rights);
	if (format == ARGUMENTS_CSV)
		devices_head_csv();
	if (format == ARGUMENTS_TEXT)
		printf("%4s   %-15s  %-10s  %-8s  %5s  %-9s  %s\n", "ID", "DEVICE", "STATE", "KIND",
			"MTU", "SPEED", "DRIVER");
	for (i = 0; i < n; i++)
		devices_printers[format](&d,
			&(struct devices_one){ .name = interfaces[i].name,
				.interface = &interfaces[i],
				.named = devices_named(&d, interfaces[i].name) });
	devices_print_others(&d, interfaces, n, format);
	free(interfaces);
	free(d.named);
	if (*d.advice && format == ARGUMENTS_TEXT)
		fprintf(stderr, "You may not capture here: %s.\n", d.advice);
	return EXIT_OK;
}

static int devices_run(int argc, char **argv)
{
	unsigned int format = ARGUMENTS_TEXT;
	int option;

	while ((option = verb_getopt(&verb_devices, argc, argv)) != -1 && option != '?')
		format = option == DEVICES_NAMES     ? DEVICES_FORMAT_NAMES
			: option == ARGUMENTS_ID_CSV ? ARGUMENTS_CSV
						     : ARGUMENTS_JSON;
	if (option != -1 || optind < argc)
		return verb_usage(&verb_devices, NULL);
	return devices_list(format);
}

const struct verb verb_devices = {
	.name = "devices",
	.summary = "list the devices that can be captured from",
	.intro = devices_intro,
	.options = devices_options,
	.outro = "",
	.run = devices_run,
};
