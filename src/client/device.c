/* SPDX-License-Identifier: BSD-2-Clause */
/* Offline devices: capture files that flows share. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "client.h"

struct device {
	struct device *next;
	struct engine *engine;
	uint64_t id; /* at the engine */
	int number;
	char name[]; /* as the program knows it */
};

/* Guarded by the client's lock. */
static struct device_table {
	struct device *devices;
	int last_number;
} device_table;

static struct device **device_at(const char *name)
{
	struct device **at = &device_table.devices;

	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	return at;
}

bool device_find(
	const char *name, struct engine **ret_engine, uint64_t *ret_device, int *ret_number)
{
	const struct device *device = *device_at(name);

	if (!device)
		return false;
	*ret_engine = device->engine;
	*ret_device = device->id;
	*ret_number = device->number;
	return true;
}

void device_forget_all(void)
{
	while (device_table.devices) {
		struct device *device = device_table.devices;

		device_table.devices = device->next;
		device->engine->n_users--;
		free(device);
	}
}

int device_open_file(const char *path)
{
	struct stat st;
	int fd;

	if (strcmp(path, "-") == 0)
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	else
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return client_fail(PCAP_OPEN_ERR, "cannot open the capture file '%s': %s", path,
			strerror(errno));
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		(void)close(fd);
		return client_fail(PCAP_OPEN_ERR, "'%s' is a directory, not a capture file", path);
	}
	return fd;
}

static int device_request(struct engine *engine, Wire__Request__CallCase call, uint64_t id)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__DeviceStart start = WIRE__DEVICE_START__INIT;
	Wire__DeviceClose close_request = WIRE__DEVICE_CLOSE__INIT;

	request.call_case = call;
	if (call == WIRE__REQUEST__CALL_DEVICE_START) {
		start.device = id;
		request.device_start = &start;
	} else {
		close_request.device = id;
		request.device_close = &close_request;
	}
	return engine_call(engine, &request, NULL, 0) ? 0 : -1;
}

/* Ask for the device and remember it. Under the lock. @ret_name: for the program. */
static int device_make(const char *path, int fd, char **ret_name)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__DeviceOpen open_request = WIRE__DEVICE_OPEN__INIT;
	struct engine *engine = client_engine();
	size_t name_bytes = strlen(path) + 16;
	_cleanup_(cleanup_freep) struct device *device = NULL;
	_cleanup_(cleanup_freep) char *name = NULL;
	const Wire__Reply *reply;

	if (!engine)
		return -1;
	device = calloc(1, sizeof(*device) + name_bytes);
	name = malloc(name_bytes);
	if (!device || !name)
		return client_fail(MAPI_OUT_OF_MEMORY, "out of memory");
	open_request.name = (char *)(uintptr_t)path;
	request.call_case = WIRE__REQUEST__CALL_DEVICE_OPEN;
	request.device_open = &open_request;
	reply = engine_call(engine, &request, &fd, 1);
	if (!reply)
		return -1;
	if (reply->result_case != WIRE__REPLY__RESULT_DEVICE)
		return client_fail(MCOM_UNKNOWN_ERROR, "the daemon sent an unexpected reply");
	device->engine = engine;
	device->id = reply->device->device;
	device->number = ++device_table.last_number;
	(void)snprintf(device->name, name_bytes, "%s@%d", path, device->number);
	(void)snprintf(name, name_bytes, "%s", device->name);
	device->next = device_table.devices;
	device_table.devices = device;
	engine->n_users++;
	device = NULL;
	*ret_name = TAKE(name);
	return 0;
}

char *mapi_create_offline_device(const char *path, int format)
{
	_cleanup_(cleanup_closep) int fd = -1;
	struct client_lock lock;
	char *name = NULL;

	(void)format; /* the content decides */
	if (!path) {
		client_fail(MAPI_DEVICE_INFO_ERR, "the path of the capture file is NULL");
		return NULL;
	}
	/* Before the lock: opening a pipe waits for its writer. */
	fd = device_open_file(path);
	if (fd < 0)
		return NULL;
	client_lock(&lock);
	(void)device_make(path, fd, &name); /* NULL says it */
	client_unlock(&lock);
	return name;
}

int mapi_start_offline_device(const char *dev)
{
	struct client_lock lock;
	struct device *device;
	int r;

	if (client_enter() < 0)
		return -1;
	if (!dev)
		return client_fail(MAPI_DEVICE_INFO_ERR, "the device is NULL");
	client_lock(&lock);
	device = *device_at(dev);
	if (device)
		r = device_request(device->engine, WIRE__REQUEST__CALL_DEVICE_START, device->id);
	else
		r = client_fail(MAPI_DEVICE_INFO_ERR, "there is no offline device '%s'", dev);
	client_unlock(&lock);
	return r;
}

int mapi_delete_offline_device(char *dev)
{
	struct client_lock lock;
	struct device **at, *device;
	int r = 0;

	if (client_enter() < 0)
		return -1;
	if (!dev)
		return client_fail(MAPI_DEVICE_INFO_ERR, "the device is NULL");
	client_lock(&lock);
	at = device_at(dev);
	device = *at;
	if (device) {
		*at = device->next;
		device->engine->n_users--;
		/* A lost daemon has closed it already. */
		if (!atomic_load(&device->engine->is_lost) &&
			device_request(
				device->engine, WIRE__REQUEST__CALL_DEVICE_CLOSE, device->id) < 0)
			client_clear_error(); /* lost just now: @dev is gone all the same */
	} else {
		r = client_fail(MAPI_DEVICE_INFO_ERR, "there is no offline device '%s'", dev);
	}
	client_unlock(&lock);
	if (device) {
		free(device);
		free(dev);
	}
	return r;
}
