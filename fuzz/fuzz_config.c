/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mapi.conf from anybody. The first byte says which allocation fails, the rest is the file.
 * Checked: an error has a code and a sentence with a line and leaves the output alone; what is
 * accepted keeps the promises of config.h; notes name lines of the file, in order; the file as a
 * file (config_load) gives what its bytes give (config_parse).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/config.h"
#include "config/config_private.h"
#include "fault.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

struct notes {
	unsigned int n;
	unsigned int n_lines;
};

static void take_note(void *context, unsigned int line, const char *text)
{
	struct notes *notes = context;

	CHECK(text[0] && !strpbrk(text, "\r\n") && line <= notes->n_lines);
	notes->n++;
}

static void check_text(const char *text, size_t max)
{
	CHECK(text && strlen(text) <= max && !strpbrk(text, "\r\n\x1b"));
}

static void check_device(const struct config *config, const struct config_device *device)
{
	check_text(device->device, 255);
	check_text(device->driver, 64);
	check_text(device->alias, 255);
	check_text(device->description, CONFIG_LINE_BYTES_MAX);
	CHECK(device->device[0] && !strchr(device->device, ' '));
	CHECK(config_find(config, device->device) == device);
	CHECK(!device->alias[0] || config_find(config, device->alias) == device);
	CHECK(device->n_cpus <= CONFIG_CPUS_MAX && device->ring_bytes <= 4096ull << 20);
	for (unsigned int i = 0; i < device->n_cpus; i++)
		CHECK(device->cpus[i] <= 1023);
	if (device->driver_name && !strcmp(device->driver_name, "tracedir"))
		CHECK(device->trace_dir && device->trace_dir[0] == '/');
}

static void check_config(const struct config *config)
{
	CHECK(config->socket[0] == '/' && strlen(config->socket) <= 107);
	CHECK(config->read_only_socket[0] == '/' && strlen(config->read_only_socket) <= 107);
	check_text(config->group, 255);
	check_text(config->user, 255);
	CHECK(config->user[0] && config->group[0]);
	CHECK(config->log_level >= 0 && config->log_level <= 2);
	CHECK(config->dimapi_port >= 0 && config->dimapi_port <= 65535);
	CHECK(config->n_devices <= CONFIG_DEVICES_MAX);
	for (unsigned int i = 0; i < config->n_devices; i++)
		check_device(config, &config->devices[i]);
}

/* Return: as config_load(). */
static int load(
	const char *path, unsigned int n_lines, unsigned int fail_in, unsigned int *ret_notes)
{
	struct notes notes = { .n_lines = n_lines };
	struct config *config = NULL;
	struct error err = ERROR_INIT;
	bool failed;
	int r;

	fault_arm(fail_in);
	r = config_load(&config, path, take_note, &notes, &err);
	failed = fault_disarm(NULL);
	CHECK((r == 0) == (config != NULL));
	CHECK(failed == (r == -ENOMEM));
	if (r == 0)
		check_config(config);
	else if (!failed)
		CHECK(r == -EINVAL && err.code && !strncmp(err.text, path, strlen(path)));
	config_free(config);
	*ret_notes = notes.n;
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
	unsigned int n_lines = 1, n_notes, n_again;
	char path[64];
	int fd, r;

	if (n_bytes == 0 || n_bytes > 65536)
		return 0;
	fd = memfd_create("config", MFD_CLOEXEC);
	CHECK(fd >= 0 && write(fd, data + 1, n_bytes - 1) == (ssize_t)(n_bytes - 1));
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (size_t i = 1; i < n_bytes; i++)
		n_lines += data[i] == '\n';
	(void)load(path, n_lines, data[0], &n_notes);
	r = load(path, n_lines, 0, &n_notes);
	CHECK(load(path, n_lines, 0, &n_again) == r && n_again == n_notes);
	(void)close(fd);
	return 0;
}
