/* SPDX-License-Identifier: BSD-2-Clause */
/* mapi.conf: the file, the built-in configuration, and what it says about a device. */
#include "config_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "mapi/errors.h"

#ifndef MAPI_CONFIG_PATH
#error "MAPI_CONFIG_PATH is the path of mapi.conf"
#endif

const char *config_default_path(void)
{
	return MAPI_CONFIG_PATH;
}

int config_set_text(char **member, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*member);
	*member = copy;
	return 0;
}

static void config_device_deinit(struct config_device *device)
{
	free(device->device);
	free(device->driver);
	free(device->alias);
	free(device->description);
	free(device->trace_dir);
}

struct config *config_free(struct config *config)
{
	if (!config)
		return NULL;
	for (unsigned int i = 0; i < config->n_devices; i++)
		config_device_deinit(&config->devices[i]);
	free(config->devices);
	free(config->path);
	free(config->socket);
	free(config->read_only_socket);
	free(config->group);
	free(config->user);
	free(config->logfile);
	free(config);
	return NULL;
}

static int config_new(struct config **ret, const char *path)
{
	_cleanup_(config_freep) struct config *config = calloc(1, sizeof(*config));

	if (!config || (path && config_set_text(&config->path, path) < 0) ||
		config_set_text(&config->socket, CONFIG_SOCKET) < 0 ||
		config_set_text(&config->read_only_socket, CONFIG_READ_ONLY_SOCKET) < 0 ||
		config_set_text(&config->group, CONFIG_GROUP) < 0 ||
		config_set_text(&config->user, CONFIG_USER) < 0)
		return -ENOMEM;
	config->any_interface = true;
	*ret = TAKE(config);
	return 0;
}

/* At most one byte more than a file may have. Return: how many bytes; negative errno. */
static ssize_t config_read(int fd, char *bytes)
{
	size_t n = 0;

	while (n <= CONFIG_FILE_BYTES_MAX) {
		ssize_t part = read(fd, bytes + n, CONFIG_FILE_BYTES_MAX + 1 - n);

		if (part < 0 && errno == EINTR)
			continue;
		if (part < 0)
			return -errno;
		if (part == 0)
			break;
		n += (size_t)part;
	}
	return (ssize_t)n;
}

/* Return: 0; negative errno, of which -EINVAL has @err filled. */
static int config_read_file(char **ret, size_t *ret_bytes, const char *path, struct error *err)
{
	_cleanup_(cleanup_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_cleanup_(cleanup_freep) char *bytes = NULL;
	ssize_t n;

	if (fd < 0)
		return -errno;
	bytes = malloc(CONFIG_FILE_BYTES_MAX + 1);
	if (!bytes)
		return -ENOMEM;
	n = config_read(fd, bytes);
	if (n < 0)
		return (int)n;
	if (n > (ssize_t)CONFIG_FILE_BYTES_MAX)
		return error_set(err, MAPI_ERROR_FILE,
			"%s: larger than %u bytes, the most a configuration may have", path,
			CONFIG_FILE_BYTES_MAX);
	*ret_bytes = (size_t)n;
	*ret = TAKE(bytes);
	return 0;
}

static int config_load_file(
	struct config *config, config_note note, void *context, struct error *err)
{
	struct error unheard = ERROR_INIT;
	size_t n_bytes = 0;
	char *bytes = NULL;
	int r = config_read_file(&bytes, &n_bytes, config->path, err);

	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		/* What was set first stays. */
		(void)error_set(
			err, MAPI_ERROR_FILE, "%s: cannot be read: %s", config->path, strerror(-r));
		return r;
	}
	r = config_parse(config, bytes, n_bytes, note, context, err ? err : &unheard);
	free(bytes);
	return r;
}

int config_load(
	struct config **ret, const char *path, config_note note, void *context, struct error *err)
{
	_cleanup_(config_freep) struct config *config = NULL;
	int r = config_new(&config, path);

	if (r == 0 && path)
		r = config_load_file(config, note, context, err);
	if (r < 0)
		return r;
	*ret = TAKE(config);
	return 0;
}

const struct config_device *config_find(const struct config *config, const char *name)
{
	for (unsigned int i = 0; i < config->n_devices; i++)
		if (!strcmp(config->devices[i].device, name))
			return &config->devices[i];
	for (unsigned int i = 0; i < config->n_devices; i++)
		if (config->devices[i].alias[0] && !strcmp(config->devices[i].alias, name))
			return &config->devices[i];
	return NULL;
}

int config_keep_devgroup(struct config *config, int devgroup, struct error *err)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < config->n_devices; i++)
		if (config->devices[i].devgroup == devgroup)
			config->devices[n++] = config->devices[i];
		else
			config_device_deinit(&config->devices[i]);
	config->n_devices = n;
	config->any_interface = false;
	if (n == 0)
		return error_set(err, MAPI_ERROR_FILE,
			"%s: no section [driver] says devgroup=%d, so there is no device to serve; "
			"without -g all are",
			config->path ? config->path : "the built-in configuration", devgroup);
	return 0;
}
