/* SPDX-License-Identifier: BSD-2-Clause */
/* mapid --check-config: a configuration, told to a person. */
#include "config_private.h"

#include <errno.h>
#include <string.h>

struct check {
	const char *path;
	FILE *out;
	unsigned int n_notes;
};

static void check_note(void *context, unsigned int line, const char *text)
{
	struct check *check = context;

	check->n_notes++;
	(void)fprintf(check->out, "%s:%u: note: %s\n", check->path, line, text);
}

static const char *check_plural(unsigned int n)
{
	return n == 1 ? "" : "s";
}

static const char *check_yes(bool is_set)
{
	return is_set ? "yes" : "no";
}

/* A number of a key, of which 0 is @otherwise. */
static void check_number(const char *key, uint64_t value, const char *otherwise, FILE *out)
{
	if (value)
		(void)fprintf(out, " %s=%llu", key, (unsigned long long)value);
	else
		(void)fprintf(out, " %s=%s", key, otherwise);
}

/* What is captured, and where it is counted: of captures that are replayed nothing of it. */
static void check_capture(const struct config_device *device, FILE *out)
{
	(void)fprintf(out, "    engine=%s direction=%s dedicated=%s discard=%s promisc=%s",
		config_engine_name(device->engine),
		device->incoming_only || device->dedicated ? "in" : "both",
		check_yes(device->dedicated), check_yes(device->discard),
		check_yes(!device->no_promisc));
	check_number("snaplen", device->snaplen_bytes, "0 (all)", out);
	check_number("ring_mb", device->ring_bytes >> 20, "default", out);
	(void)fputc('\n', out);
}

/* What is for people, as far as it is given. */
static void check_facts(const struct config_device *device, FILE *out)
{
	if (device->description[0])
		(void)fprintf(out, "    description=%s\n", device->description);
	if (!device->link_speed_mbps && !device->devgroup && !device->mpls && !device->vlan)
		return;
	(void)fputs("   ", out);
	if (device->link_speed_mbps)
		(void)fprintf(out, " link_speed=%u", device->link_speed_mbps);
	if (device->devgroup)
		(void)fprintf(out, " devgroup=%d", device->devgroup);
	(void)fprintf(
		out, "%s%s\n", device->mpls ? " mpls=yes" : "", device->vlan ? " vlan=yes" : "");
}

static void check_device(const struct config_device *device, FILE *out)
{
	unsigned int workers = device->n_cpus > 0 ? device->n_cpus : 1;

	(void)fprintf(out, "  %s", device->device);
	if (device->alias[0])
		(void)fprintf(out, " (%s)", device->alias);
	(void)fprintf(out, ": driver %s, %u worker%s",
		device->driver_name ? device->driver_name : "any", workers, check_plural(workers));
	for (unsigned int i = 0; i < device->n_cpus; i++)
		(void)fprintf(out, "%s%u", i > 0 ? "," : " on processor ", device->cpus[i]);
	(void)fputc('\n', out);
	check_facts(device, out);
	if (device->trace_dir)
		(void)fprintf(out, "    trace_dir=%s\n", device->trace_dir);
	else
		check_capture(device, out);
}

static void check_daemon(const struct config *config, FILE *out)
{
	const struct config_quota *quota = &config->quota;

	(void)fprintf(out,
		"  programs of group %s connect to %s\n"
		"  programs that only look connect to %s\n"
		"  the engine runs as user %s; log_level=%d, messages go to %s\n"
		"  one user's programs may have together:",
		config->group, config->socket, config->read_only_socket, config->user,
		config->log_level,
		config->logfile ? config->logfile : "the journal or standard error");
	check_number("max_sessions", quota->sessions, "default", out);
	check_number("max_flows", quota->flows, "default", out);
	check_number("max_memory_mb", quota->memory_bytes >> 20, "default", out);
	(void)fputc('\n', out);
}

static void check_config(const struct check *check, const struct config *config)
{
	(void)fprintf(check->out, "%s: can be used: %u device%s, %u note%s\n", check->path,
		config->n_devices, check_plural(config->n_devices), check->n_notes,
		check_plural(check->n_notes));
	for (unsigned int i = 0; i < config->n_devices; i++)
		check_device(&config->devices[i], check->out);
	if (config->any_interface)
		(void)fprintf(check->out, "  %s other interface: driver any, 1 worker\n",
			config->n_devices > 0 ? "every" : "no section [driver], so every");
	check_daemon(config, check->out);
}

int config_check(const char *path, int devgroup, FILE *out)
{
	_cleanup_(config_freep) struct config *config = NULL;
	struct check check = { .path = path ? path : config_default_path(), .out = out };
	struct error err = ERROR_INIT;
	int r = config_load(&config, check.path, check_note, &check, &err);

	if (r == -ENOENT && !path) {
		(void)fprintf(out, "%s: there is no such file; the built-in configuration:\n",
			check.path);
		err = ERROR_INIT;
		r = config_load(&config, NULL, NULL, NULL, &err);
	}
	if (r == 0 && devgroup > 0)
		r = config_keep_devgroup(config, devgroup, &err);
	if (r < 0) {
		(void)fprintf(out, "%s\n", err.code ? err.text : strerror(-r));
		return 1;
	}
	check_config(&check, config);
	return 0;
}
