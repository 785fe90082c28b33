/* SPDX-License-Identifier: BSD-2-Clause */
/* mapi devices: what -i may name, and whether this user may capture there. */
#include "verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
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

/* More devices than that have no names from the daemon. */
#define DEVICES_NAMED_MAX 256u

/**
 * struct devices - what is known of all devices
 * @named: what the daemon, the system's or one of our own, says about @n_named of them
 */
struct devices {
	char default_name[IF_NAMESIZE];
	mapi_device_info_t *named;
	unsigned int n_named;
	struct host_rights rights;
	char advice[256];
};

/* The daemon knows which driver takes a device, and what the configuration calls it. Without a
 * daemon there is still the list of interfaces. */
static void devices_ask(struct devices *d)
{
	mapi_device_info_t info = { .id = 0 };

	d->named = calloc(DEVICES_NAMED_MAX, sizeof(*d->named));
	while (d->named && d->n_named < DEVICES_NAMED_MAX &&
		mapi_get_next_device_info(info.id, &info) == 0)
		d->named[d->n_named++] = info;
	(void)mapi_read_error(&(int){ 0 }, NULL);
}

static const mapi_device_info_t *devices_named(const struct devices *d, const char *name)
{
	unsigned int i;

	for (i = 0; i < d->n_named; i++)
		if (!strcmp(d->named[i].device, name))
			return &d->named[i];
	return NULL;
}

/* NULL if it has none. */
static const char *devices_word(const char *word)
{
	return word && *word ? word : NULL;
}

static void devices_speed(char *out, size_t out_bytes, unsigned int mbps)
{
	if (!mbps)
		(void)snprintf(out, out_bytes, "-");
	else if (mbps % 1000)
		(void)snprintf(out, out_bytes, "%u Mb/s", mbps);
	else
		(void)snprintf(out, out_bytes, "%u Gb/s", mbps / 1000);
}

static void devices_print(const struct devices *d, const struct host_interface *interface)
{
	const mapi_device_info_t *named = devices_named(d, interface->name);
	char speed[24];
	unsigned int i;

	devices_speed(speed, sizeof(speed), interface->speed_mbps);
	printf("%5u %c ", interface->index,
		strcmp(interface->name, d->default_name) != 0 ? ' ' : '*');
	text_safe(stdout, interface->name);
	printf("%*s  %-10s  %-8s  %5u  %-9s  %-9s %s",
		IF_NAMESIZE - 1 - (int)strlen(interface->name), "", interface->state,
		interface->kind, interface->mtu, speed,
		named && *named->name ? named->name : DEVICES_DRIVER, interface->link);
	for (i = 0; i < interface->n_addresses && i < HOST_ADDRESSES_MAX; i++)
		printf(" %s", interface->addresses[i]);
	if (interface->n_addresses > HOST_ADDRESSES_MAX)
		printf(" and %u more", interface->n_addresses - HOST_ADDRESSES_MAX);
	if (interface->promiscuous)
		fputs(" (promiscuous)", stdout);
	if (named && (*named->alias || *named->description)) {
		fputs(" (", stdout);
		text_safe(stdout, *named->alias ? named->alias : "");
		fputs(*named->alias && *named->description ? ": " : "", stdout);
		text_safe(stdout, named->description);
		fputc(')', stdout);
	}
	fputc('\n', stdout);
}

static void devices_print_json(const struct devices *d, const struct host_interface *interface)
{
	const mapi_device_info_t *named = devices_named(d, interface->name);
	struct json j = JSON_TO(stdout);
	unsigned int i;

	json_object(&j, NULL);
	json_string(&j, "device", interface->name);
	json_u64(&j, "index", interface->index);
	json_string(&j, "state", interface->state);
	json_string(&j, "kind", interface->kind);
	json_u64(&j, "mtu", interface->mtu);
	if (interface->speed_mbps)
		json_u64(&j, "speed_mbps", interface->speed_mbps);
	else
		json_null(&j, "speed_mbps");
	json_string(&j, "link_address", *interface->link ? interface->link : NULL);
	json_array(&j, "addresses");
	for (i = 0; i < interface->n_addresses && i < HOST_ADDRESSES_MAX; i++)
		json_string(&j, NULL, interface->addresses[i]);
	json_end_array(&j);
	json_bool(&j, "promiscuous", interface->promiscuous);
	json_bool(&j, "default", !strcmp(interface->name, d->default_name));
	json_string(&j, "kernel_driver", *interface->driver ? interface->driver : NULL);
	json_string(&j, "driver", named && *named->name ? named->name : DEVICES_DRIVER);
	json_string(&j, "alias", devices_word(named ? named->alias : NULL));
	json_string(&j, "description", devices_word(named ? named->description : NULL));
	json_bool(&j, "may_capture", host_may_capture(&d->rights));
	json_string(&j, "advice", *d->advice ? d->advice : NULL);
	json_end_object(&j);
	json_line(&j);
}

static void devices_head_csv(void)
{
	struct csv c = CSV_TO(stdout);
	static const char *const names[] = { "device", "index", "state", "kind", "mtu",
		"speed_mbps", "link_address", "addresses", "promiscuous", "default",
		"kernel_driver", "driver", "alias", "description", "may_capture", "advice" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		csv_string(&c, names[i]);
	csv_line(&c);
}

static void devices_print_csv(const struct devices *d, const struct host_interface *interface)
{
	const mapi_device_info_t *named = devices_named(d, interface->name);
	char addresses[HOST_ADDRESSES_MAX * (HOST_ADDRESS_BYTES + 1)] = "";
	struct csv c = CSV_TO(stdout);
	size_t used = 0;
	unsigned int i;

	for (i = 0; i < interface->n_addresses && i < HOST_ADDRESSES_MAX; i++)
		used += (size_t)snprintf(addresses + used, sizeof(addresses) - used, "%s%s",
			i ? " " : "", interface->addresses[i]);
	csv_string(&c, interface->name);
	csv_u64(&c, interface->index);
	csv_string(&c, interface->state);
	csv_string(&c, interface->kind);
	csv_u64(&c, interface->mtu);
	if (interface->speed_mbps)
		csv_u64(&c, interface->speed_mbps);
	else
		csv_string(&c, NULL);
	csv_string(&c, interface->link);
	csv_string(&c, addresses);
	csv_bool(&c, interface->promiscuous);
	csv_bool(&c, !strcmp(interface->name, d->default_name));
	csv_string(&c, interface->driver);
	csv_string(&c, named && *named->name ? named->name : DEVICES_DRIVER);
	csv_string(&c, named ? named->alias : NULL);
	csv_string(&c, named ? named->description : NULL);
	csv_bool(&c, host_may_capture(&d->rights));
	csv_string(&c, d->advice);
	csv_line(&c);
}

/* As it is, for programs: no name of an interface has a line's end in it. */
static void devices_print_name(const struct devices *d, const struct host_interface *interface)
{
	puts(interface->name);
}

/* Behind the formats that users may choose. */
#define DEVICES_FORMAT_NAMES (ARGUMENTS_CSV + 1)

/* How a device is printed, by format. */
static void (*const devices_printers[])(
	const struct devices *d, const struct host_interface *interface) = {
	[ARGUMENTS_TEXT] = devices_print,
	[ARGUMENTS_JSON] = devices_print_json,
	[ARGUMENTS_CSV] = devices_print_csv,
	[DEVICES_FORMAT_NAMES] = devices_print_name,
};

/* Devices of the daemon that are no interfaces: cards, directories of captures. */
static void devices_print_others(const struct devices *d, const struct host_interface *interfaces,
	unsigned int n_interfaces, unsigned int format)
{
	unsigned int i, j;

	for (i = 0; i < d->n_named; i++) {
		struct host_interface other = { .kind = "other", .state = "-" };

		for (j = 0; j < n_interfaces; j++)
			if (!strcmp(interfaces[j].name, d->named[i].device))
				break;
		if (j < n_interfaces || strlen(d->named[i].device) >= sizeof(other.name))
			continue;
		(void)snprintf(other.name, sizeof(other.name), "%.*s", (int)sizeof(other.name) - 1,
			d->named[i].device);
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
		printf("%5s   %-15s  %-10s  %-8s  %5s  %-9s  %-9s %s\n", "INDEX", "DEVICE", "STATE",
			"KIND", "MTU", "SPEED", "DRIVER", "ADDRESSES");
	for (i = 0; i < n; i++)
		devices_printers[format](&d, &interfaces[i]);
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
		format = option == DEVICES_NAMES         ? DEVICES_FORMAT_NAMES
			: option == ARGUMENTS_OPTION_CSV ? ARGUMENTS_CSV
							 : ARGUMENTS_JSON;
	if (option != -1 || optind < argc) {
		fputs("mapi: \"mapi help devices\" shows how it is used\n", stderr);
		return EXIT_USAGE;
	}
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
