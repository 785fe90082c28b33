/* SPDX-License-Identifier: BSD-2-Clause */
/* mapi doctor: would capture work here, how well, and what to do about it. */
#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "arguments.h"
#include "base/build.h"
#include "base/cleanup.h"
#include "json.h"
#include "mapi.h"
#include "mapi/schema.h"
#include "session.h"
#include "text.h"
#include "verbs.h"

static const char doctor_intro[] =
	"usage: mapi doctor [-i DEVICE] [--json]\n"
	"\n"
	"Looks at everything that capturing depends on: kernel, rights, daemon, device,\n"
	"clock. Says what is missing, what that costs, and how to mend it. Changes\n"
	"nothing.\n"
	"\n"
	"  mapi doctor\n"
	"  mapi doctor -i eth1\n"
	"  mapi doctor --json\n"
	"\n";

static const struct verb_option doctor_options[] = {
	{ 'i', "interface", "DEVICE", VERB_DEVICE,
		"look at this one (default: that of the default route)" },
	ARGUMENTS_OPTION_JSON("one object per line and finding"),
	ARGUMENTS_OPTION_COLOUR,
	VERB_OPTION_END,
};

static const char *const doctor_state_names[] = { "ok", "note", "missing" };
static const char *const doctor_state_colours[] = { "32", "33", "31" };

struct doctor_finding *doctor_add(struct doctor *d, const char *name, enum doctor_state state,
	const char *cost, const char *fix, const char *format, ...)
{
	static struct doctor_finding surplus;
	struct doctor_finding *f =
		d->n_findings < ARRAY_SIZE(d->findings) ? &d->findings[d->n_findings++] : &surplus;
	va_list args;

	*f = (struct doctor_finding){ .name = name, .state = state };
	(void)snprintf(f->cost, sizeof(f->cost), "%s", cost ? cost : "");
	(void)snprintf(f->fix, sizeof(f->fix), "%s", fix ? fix : "");
	va_start(args, format);
	(void)vsnprintf(f->text, sizeof(f->text), format, args);
	va_end(args);
	return f;
}

#define DOCTOR_COLUMN 27u /* of sentences */

/* Commands are not broken, so that they can be copied. */
static void doctor_print_fix(const char *fix)
{
	printf("%*s-> ", (int)DOCTOR_COLUMN, "");
	text_safe(stdout, fix);
	fputc('\n', stdout);
}

static void doctor_print(const struct doctor *d, int colour)
{
	unsigned int i;

	for (i = 0; i < d->n_findings; i++) {
		const struct doctor_finding *f = &d->findings[i];

		printf("%s%s%s%-7s%s  %-16s  ", colour ? "\033[" : "",
			colour ? doctor_state_colours[f->state] : "", colour ? "m" : "",
			doctor_state_names[f->state], colour ? "\033[0m" : "", f->name);
		text_wrap(stdout, f->text, DOCTOR_COLUMN);
		if (*f->cost) {
			printf("%*s", (int)DOCTOR_COLUMN, "");
			text_wrap(stdout, f->cost, DOCTOR_COLUMN);
		}
		if (*f->fix)
			doctor_print_fix(f->fix);
	}
}

static void doctor_print_json(const struct doctor *d)
{
	unsigned int i;

	for (i = 0; i < d->n_findings; i++) {
		const struct doctor_finding *f = &d->findings[i];
		struct json j = JSON_TO(stdout);

		json_object(&j, NULL);
		json_string(&j, "check", f->name);
		json_string(&j, "state", doctor_state_names[f->state]);
		json_string(&j, "text", f->text);
		json_string(&j, "cost", *f->cost ? f->cost : NULL);
		json_string(&j, "fix", *f->fix ? f->fix : NULL);
		json_end_object(&j);
		json_line(&j);
	}
}

/* Optional parts that were left out. */
static void doctor_build(struct doctor *d)
{
	const struct build_part *part;
	unsigned int n_missing = 0;
	char fix[64];

	for (size_t i = 0; (part = build_part_at(i)); i++) {
		if (part->is_built)
			continue;
		(void)snprintf(fix, sizeof(fix), "meson configure -D%s=enabled", part->option);
		doctor_add(d, "build", DOCTOR_MISSING, part->cost, fix, "without %s", part->option);
		n_missing++;
	}
	if (!n_missing)
		doctor_add(d, "build", DOCTOR_OK, NULL, NULL, "all optional parts");
}

/* Both a program's own daemon and its functions come from here. */
static void doctor_library(struct doctor *d)
{
	const struct mapi_function_desc *desc = NULL;
	char text[MAPI_ERRORSTR_LENGTH] = "";
	unsigned int n = 0;

	while ((desc = mapi_describe_next_function(desc)))
		n++;
	if (n) {
		doctor_add(d, "daemon answers", DOCTOR_OK, NULL, NULL, "%u functions", n);
		return;
	}
	(void)mapi_read_error(NULL, text);
	doctor_add(d, "daemon answers", DOCTOR_MISSING, "Nothing works without a daemon.",
		"install mapid beside this program, or set MAPI_MAPID to its path", "%s", text);
}

/* What the daemon knows of the device: by its alias, too, and if it is no interface. */
static void doctor_ask_device(struct doctor *d)
{
	mapi_device_info_t info = { .id = -1 };

	while (d->device && mapi_get_next_device_info(info.id, &info) == 0) {
		if (strcmp(info.device, d->device) != 0 && strcmp(info.alias, d->device) != 0)
			continue;
		(void)snprintf(d->driver, sizeof(d->driver), "%.63s", info.name);
		(void)snprintf(d->named, sizeof(d->named), "%.255s", info.device);
		d->device = d->named;
		break;
	}
	(void)mapi_read_error(&(int){ 0 }, NULL);
}

/* What the exit code says, in words. */
static int doctor_verdict(struct doctor *d)
{
	unsigned int i;

	for (i = 0; i < d->n_findings; i++) {
		if (d->findings[i].state != DOCTOR_MISSING)
			continue;
		if (!strcmp(d->findings[i].name, "device")) {
			doctor_add(d, "capture", DOCTOR_MISSING, NULL, NULL,
				"would not work: no such device");
			return EXIT_DEVICE;
		}
		if (!strcmp(d->findings[i].name, "daemon answers")) {
			doctor_add(d, "capture", DOCTOR_MISSING, NULL, NULL,
				"would not work: no daemon");
			return EXIT_DAEMON;
		}
	}
	if (!host_may_capture(&d->rights)) {
		doctor_add(d, "capture", DOCTOR_MISSING,
			"Capture files can still be read: mapi run -r FILE.", NULL,
			"would not work: a permission is missing");
		return EXIT_PERMISSION;
	}
	doctor_add(d, "capture", DOCTOR_OK, NULL, NULL, "would work%s%s", d->device ? " on " : "",
		d->device ? d->device : "");
	return EXIT_OK;
}

static int doctor_run(int argc, char **argv)
{
	enum text_colour_mode colour = TEXT_COLOUR_AUTO;
	struct doctor d = { .device = NULL };
	bool json = false, wrong = false;
	int option, code;

	while ((option = verb_getopt(&verb_doctor, argc, argv)) != -1) {
		if (option == 'i')
			d.device = optarg;
		else if (option == ARGUMENTS_ID_JSON)
			json = true;
		else if (option != ARGUMENTS_ID_COLOUR || text_colour_parse(optarg, &colour) < 0)
			wrong = true;
	}
	if (wrong || optind < argc)
		return verb_usage(&verb_doctor, NULL);
	if (!d.device && host_default_device(d.default_name) == 0)
		d.device = d.default_name;
	d.capabilities = host_capabilities();
	host_rights(&d.rights);
	doctor_kernel(&d);
	doctor_build(&d);
	doctor_rights(&d);
	doctor_library(&d);
	doctor_ask_device(&d);
	doctor_device(&d);
	code = doctor_verdict(&d);
	if (json)
		doctor_print_json(&d);
	else
		doctor_print(&d, text_colour_wanted(colour, STDOUT_FILENO));
	return code;
}

const struct verb verb_doctor = {
	.name = "doctor",
	.summary = "say whether capture would work here, and what would make it better",
	.intro = doctor_intro,
	.options = doctor_options,
	.outro = "\nThe exit code is 0 if capture would work, 3 if a permission is missing, 4 if "
		 "the\n"
		 "device is.\n",
	.run = doctor_run,
};
