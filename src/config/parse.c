/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines of mapi.conf: comments, section headers, key=value. As ever, nothing is trimmed: a space
 * belongs to the key or value beside it. What could only be a mistake is an error; what the
 * historical daemon passed over, an unknown key, is told as a note.
 */
#include "config_private.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "mapi/errors.h"

#define CONFIG_NEAR_MAX 2 /* letters: more is another word */
#define CONFIG_NOTE_BYTES 512

static const struct {
	const char *name;
	const char *note;
} config_sections[_CONFIG_SECTION_N] = {
	[CONFIG_SECTION_GLOBAL] = { .name = "" },
	[CONFIG_SECTION_DRIVER] = { .name = "driver" },
	[CONFIG_SECTION_FORMAT] = { "format",
		"[format] sections mean nothing any more: capture files are recognised by what is "
		"in them" },
	[CONFIG_SECTION_DAG] = { "dag",
		"[dag] means nothing any more: DAG cards are opened through libpcap, and their "
		"hardware filters are not used" },
	[CONFIG_SECTION_IPFIX] = { "ipfixflib",
		"[ipfixflib] means nothing any more: flow export is set up by the arguments of its "
		"functions" },
};

#define CONFIG_SECTIONS_POSSIBLE "possible are [driver], [format], [dag], [ipfixflib]"

int config_error(struct config_parser *parser, unsigned int line, const char *fmt, ...)
{
	char text[ERROR_TEXT_BYTES];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* cutting a sentence is no failure */
	va_end(args);
	return error_set(
		parser->err, MAPI_ERROR_FILE, "%s:%u: %s", parser->config->path, line, text);
}

void config_tell(struct config_parser *parser, unsigned int line, const char *fmt, ...)
{
	char text[CONFIG_NOTE_BYTES];
	va_list args;

	if (!parser->note)
		return;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	parser->note(parser->context, line, text);
}

/* The usual table, one row at a time. */
unsigned int config_distance(const char *a, const char *b, unsigned int max)
{
	unsigned int row[64], n = (unsigned int)strlen(b);

	if (n >= ARRAY_SIZE(row))
		return max + 1;
	for (unsigned int k = 0; k <= n; k++)
		row[k] = k;
	for (unsigned int i = 0; a[i] && i < ARRAY_SIZE(row); i++) {
		unsigned int corner = row[0];

		row[0] = i + 1;
		for (unsigned int k = 0; k < n; k++) {
			unsigned int changed = corner + (a[i] != b[k]);

			corner = row[k + 1];
			row[k + 1] = MIN(changed, MIN(corner, row[k]) + 1);
		}
	}
	return strlen(a) >= ARRAY_SIZE(row) ? max + 1 : MIN(row[n], max + 1);
}

/* Return: NULL if none is near. */
static const char *config_near_key(enum config_section section, const char *name)
{
	unsigned int best = CONFIG_NEAR_MAX + 1;
	const char *near = NULL;

	for (unsigned int i = 0; i < config_n_keys; i++) {
		unsigned int distance;

		if (config_keys[i].section != section)
			continue;
		distance = config_distance(name, config_keys[i].name, CONFIG_NEAR_MAX);
		if (distance < best && distance < strlen(config_keys[i].name)) {
			best = distance;
			near = config_keys[i].name;
		}
	}
	return near;
}

static unsigned int config_seen(const struct config_parser *parser, const char *name)
{
	int key = config_key_find(parser->section, name);

	return key < 0 ? 0 : parser->seen[key];
}

/* Two devices that a program could not tell from each other. */
static int config_check_names(struct config_parser *parser, const struct config_device *device)
{
	const struct config *config = parser->config;

	for (unsigned int i = 0; i + 1 < config->n_devices; i++) {
		const struct config_device *other = &config->devices[i];

		if (!strcmp(other->device, device->device))
			return config_error(parser, config_seen(parser, "device"),
				"device=%s: this device has a section already, line %u; one "
				"section per device",
				device->device, parser->device_lines[i]);
		if (other->alias[0] && !strcmp(other->alias, device->device))
			return config_error(parser, config_seen(parser, "device"),
				"device=%s: this is also the alias of the device in line %u",
				device->device, parser->device_lines[i]);
		if (device->alias[0] &&
			(!strcmp(device->alias, other->device) ||
				!strcmp(device->alias, other->alias)))
			return config_error(parser, config_seen(parser, "alias"),
				"alias=%s: the device in line %u has this name already",
				device->alias, parser->device_lines[i]);
	}
	return 0;
}

/* What can only be said when a section is complete. */
static int config_section_end(struct config_parser *parser)
{
	struct config_device *device;
	unsigned int n = parser->config->n_devices;

	if (parser->section != CONFIG_SECTION_DRIVER)
		return 0;
	device = &parser->config->devices[n - 1];
	if (!device->device[0])
		return config_error(parser, parser->section_line,
			"[driver] names no device: a line device=NAME is missing");
	parser->device_lines[n - 1] = config_seen(parser, "device");
	if (device->trace_dir && !device->driver[0])
		device->driver_name = "tracedir";
	if (device->driver_name && !strcmp(device->driver_name, "tracedir")) {
		if (!device->trace_dir)
			return config_error(parser, config_seen(parser, "driver"),
				"driver=%s replays captures: a line trace_dir=/DIRECTORY is "
				"missing",
				device->driver);
	} else if (device->trace_dir) {
		config_tell(parser, config_seen(parser, "trace_dir"),
			"trace_dir= means something only with driver=mapivindrv.so");
	}
	if (device->discard && !device->dedicated)
		return config_error(parser, config_seen(parser, "discard"),
			"discard=yes takes packets away from this machine: the section must say "
			"dedicated=yes, too");
	return config_check_names(parser, device);
}

static int config_device_new(struct config_parser *parser)
{
	struct config *config = parser->config;
	struct config_device *devices, *device;

	if (config->n_devices == CONFIG_DEVICES_MAX)
		return config_error(parser, parser->line,
			"more than %d [driver] sections, the most there may be",
			CONFIG_DEVICES_MAX);
	devices = reallocarray(config->devices, config->n_devices + 1, sizeof(*devices));
	if (!devices)
		return -ENOMEM;
	config->devices = devices;
	device = &devices[config->n_devices++];
	*device = (struct config_device){ .device = NULL };
	if (config_set_text(&device->device, "") < 0 || config_set_text(&device->driver, "") < 0 ||
		config_set_text(&device->alias, "") < 0 ||
		config_set_text(&device->description, "") < 0)
		return -ENOMEM;
	return 0;
}

static int config_section_begin(struct config_parser *parser, const char *line)
{
	size_t n = strlen(line);
	enum config_section section = CONFIG_SECTION_DRIVER;
	int r = config_section_end(parser);

	if (r < 0)
		return r;
	if (n < 3 || line[n - 1] != ']')
		return config_error(parser, parser->line,
			"damaged section header '%.64s': it is a word in brackets, alone in its "
			"line; " CONFIG_SECTIONS_POSSIBLE,
			line);
	while (section < _CONFIG_SECTION_N &&
		(strlen(config_sections[section].name) != n - 2 ||
			memcmp(config_sections[section].name, line + 1, n - 2) != 0))
		section++;
	if (section == _CONFIG_SECTION_N)
		return config_error(parser, parser->line,
			"there is no section %.64s; " CONFIG_SECTIONS_POSSIBLE, line);
	parser->section = section;
	parser->section_line = parser->line;
	memset(parser->seen, 0, sizeof(parser->seen));
	if (config_sections[section].note && !parser->told_sections[section]) {
		parser->told_sections[section] = true;
		config_tell(parser, parser->line, "%s", config_sections[section].note);
	}
	return section == CONFIG_SECTION_DRIVER ? config_device_new(parser) : 0;
}

static int config_unknown_key(struct config_parser *parser, const char *key)
{
	const char *near;

	if (parser->section == CONFIG_SECTION_GLOBAL) {
		for (unsigned int i = 0; i < config_n_keys; i++)
			if (!strcmp(config_keys[i].name, key))
				return config_error(parser, parser->line,
					"%s= belongs into a section [%s], and none has begun yet",
					key, config_sections[config_keys[i].section].name);
	} else if (config_key_find(CONFIG_SECTION_GLOBAL, key) >= 0) {
		config_tell(parser, parser->line,
			"%s= has no meaning in a section [%s]: it belongs in front of all sections",
			key, config_sections[parser->section].name);
		return 0;
	}
	near = config_near_key(parser->section, key);
	config_tell(parser, parser->line, "unknown key '%.64s'%s%s%s; it has no meaning", key,
		near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
	return 0;
}

static int config_key_line(struct config_parser *parser, char *line, char *equals)
{
	const char *value = equals + 1;
	struct config *config = parser->config;
	const struct config_key *key;
	void *object = config;
	int i;

	*equals = '\0';
	if (line[strspn(line, " \t")] == '\0' || line[0] == ' ' || line[0] == '\t' ||
		equals[-1] == ' ' || equals[-1] == '\t')
		return config_error(parser, parser->line,
			"'%.64s=': no key, or spaces around it, which are not removed; write "
			"key=value from the first column",
			line);
	i = config_key_find(parser->section, line);
	if (i < 0)
		return config_unknown_key(parser, line);
	key = &config_keys[i];
	if (key->note && !parser->told[i]) {
		parser->told[i] = true;
		config_tell(parser, parser->line, "%s= %s", key->name, key->note);
	}
	if (!key->set)
		return 0;
	if (parser->seen[i])
		return config_error(parser, parser->line,
			"%s= is given twice, first in line %u; once is possible", key->name,
			parser->seen[i]);
	parser->seen[i] = parser->line;
	if (parser->section == CONFIG_SECTION_DRIVER)
		object = &config->devices[config->n_devices - 1];
	return key->set(parser, key, value, (char *)object + key->offset);
}

static int config_line(struct config_parser *parser, char *line)
{
	char *equals;

	if (line[0] == '#' || line[0] == ';' || line[strspn(line, " \t")] == '\0')
		return 0;
	if (line[0] == '[')
		return config_section_begin(parser, line);
	equals = strchr(line, '=');
	if (!equals)
		return config_error(parser, parser->line,
			"'%.64s': neither key=value nor [section]; a comment has # or ; in the "
			"first column",
			line);
	return config_key_line(parser, line, equals);
}

/* A line as it stands in the file, without its end. */
static int config_raw_line(struct config_parser *parser, const char *bytes, size_t n_bytes)
{
	char line[CONFIG_LINE_BYTES_MAX + 1];

	if (n_bytes > 0 && bytes[n_bytes - 1] == '\r') {
		n_bytes--;
		if (!parser->told_dos)
			config_tell(parser, parser->line,
				"lines end in CR LF, as DOS writes them; the CR is removed");
		parser->told_dos = true;
	}
	if (n_bytes > CONFIG_LINE_BYTES_MAX)
		return config_error(parser, parser->line, "the line has %zu bytes; %d are possible",
			n_bytes, CONFIG_LINE_BYTES_MAX);
	for (size_t i = 0; i < n_bytes; i++)
		if ((bytes[i] >= 0 && bytes[i] < ' ' && bytes[i] != '\t') || bytes[i] == 0x7f)
			return config_error(parser, parser->line,
				"byte %zu is the control character 0x%02x; text is possible", i + 1,
				(unsigned int)bytes[i]);
	memcpy(line, bytes, n_bytes);
	line[n_bytes] = '\0';
	return config_line(parser, line);
}

int config_parse(struct config *config, const char *bytes, size_t n_bytes, config_note note,
	void *context, struct error *err)
{
	struct config_parser parser = { .config = config,
		.note = note,
		.context = context,
		.err = err,
		.section = CONFIG_SECTION_GLOBAL };
	int r;

	/* Some editors of other systems put this in front of UTF-8. */
	if (n_bytes >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3)) {
		bytes += 3;
		n_bytes -= 3;
	}
	while (n_bytes > 0) {
		const char *end = memchr(bytes, '\n', n_bytes);
		size_t part = end ? (size_t)(end - bytes) : n_bytes;

		parser.line++;
		r = config_raw_line(&parser, bytes, part);
		if (r < 0)
			return r;
		part += end != NULL;
		bytes += part;
		n_bytes -= part;
	}
	r = config_section_end(&parser);
	if (r < 0)
		return r;
	if (!parser.any_interface_given)
		config->any_interface = config->n_devices == 0;
	else if (!config->any_interface && config->n_devices == 0)
		config_tell(&parser, parser.line,
			"no device may be opened: any_interface=no, and there is no section "
			"[driver]");
	return 0;
}
