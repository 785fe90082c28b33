/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening, starting and closing devices: capture files of the client's own, live ones of the
 * registry. */
#include <errno.h>

#include "base/log.h"
#include "mapi/errors.h"
#include "registry.h"
#include "requests_private.h"

/* A device of the client's own: it has opened the capture file. */
static int request_open_file(struct session *session, const char *name, int fd,
	struct session_device *device, struct error *err)
{
	const struct device_args args = { .open = { .name = name,
						  .fd = fd,
						  .batch_pkts = session->batch_pkts,
						  .n_workers = session->n_workers },
		.seed = session->seed,
		.notify_fd = session->env.notify_fd,
		.compiler = session->env.compiler };

	if (!session->env.is_system)
		return device_new(&device->device, &args, err);
	session_close_fd(session, fd);
	return error_set(err, MAPID_NO_DRIVER,
		"%s: capture files are read by a private daemon, never by that of the system",
		name);
}

static int request_device_reply(
	struct session *session, uint64_t id, const struct session_device *device)
{
	Wire__Reply reply = WIRE__REPLY__INIT;
	Wire__DeviceReply body = WIRE__DEVICE_REPLY__INIT;

	body.device = device->id;
	body.id = request_device_number(session, device);
	body.driver = (char *)(uintptr_t)device_driver_name(device->device);
	reply.result_case = WIRE__REPLY__RESULT_DEVICE;
	reply.device = &body;
	return request_reply(session, id, &reply, NULL, 0);
}

/* There is room for it in session->devices. */
static int request_device_add(struct session *session, uint64_t id, struct session_device *device)
{
	device->id = ++session->last_device_id;
	device->index = session->n_devices;
	session->devices[session->n_devices++] = device;
	return request_device_reply(session, id, device);
}

int request_open_again(struct session *session, uint64_t id)
{
	struct session_device *device = session->opening;
	struct error err = ERROR_INIT;
	int r = registry_opened(session->env.registry, device->entry, &device->device, &err);

	if (r == REGISTRY_E_AGAIN) {
		session_wait(session, SESSION_PENDING_OPEN, id, NULL, 0);
		return 0;
	}
	if (r < 0) {
		request_open_forget(session);
		return request_fail(session, id, r, &err);
	}
	session->opening = NULL;
	return request_device_add(session, id, device);
}

void request_open_forget(struct session *session)
{
	if (session->opening)
		registry_put(session->env.registry, session->opening->entry);
	free(session->opening);
	session->opening = NULL;
}

/* What opening a device needs but the device. Return: 0, -EINVAL with @err filled, -ENOMEM. */
static int request_device_room(struct session *session, const char *name, struct error *err)
{
	struct session_device **grown;

	if (!closer_has_room(session_fd(session)))
		return error_set(err, MAPI_QUOTA_EXCEEDED,
			"%s: the daemon has no descriptors left (ulimit -n)", name);
	if (session->n_devices >= SESSION_DEVICES_MAX)
		return error_set(err, MAPI_QUOTA_EXCEEDED,
			"%s: a program may open %d devices at once", name, SESSION_DEVICES_MAX);
	grown = realloc(session->devices, (session->n_devices + 1) * sizeof(grown[0]));
	if (!grown)
		return -ENOMEM;
	session->devices = grown;
	return 0;
}

int request_device_open(struct session *session, uint64_t id, const Wire__DeviceOpen *open)
{
	_cleanup_(cleanup_freep) struct session_device *device = calloc(1, sizeof(*device));
	bool is_system = session->env.is_system;
	struct error err = ERROR_INIT;
	int fd = -1;
	int r = device ? request_device_room(session, open->name, &err) : -ENOMEM;

	(void)wire_conn_take_fds(session->conn, &fd, 1); /* none: a live device */
	if (r < 0 && fd >= 0)
		session_close_fd(session, fd);
	if (r < 0)
		return request_fail(session, id, r, &err);
	device->compiler = session->compiler;
	device->user = session->env.user;
	if (fd >= 0) {
		r = request_open_file(session, open->name, fd, device, &err);
		return r < 0 ? request_fail(session, id, r, &err)
			     : request_device_add(session, id, TAKE(device));
	}
	if (!is_system && open->no_system && *open->no_system)
		log_event(LOG_NOTICE,
			"%s is captured for this program alone: the system daemon is not used: %s",
			open->name, open->no_system);
	r = registry_get(session->env.registry, open->name, session->live_workers,
		is_system ? PACKET_BATCH_MAX : session->batch_pkts, is_system ? 0 : session->seed,
		&device->entry, &err);
	if (r < 0)
		return request_fail(session, id, r, &err);
	session->opening = TAKE(device);
	return request_open_again(session, id);
}

int request_no_device(struct session *session, uint64_t request_id)
{
	struct error err = ERROR_INIT;

	error_set(&err, MAPID_NO_DEVICE, "there is no such offline device");
	return request_refuse(session, request_id, &err);
}

int request_device_start(struct session *session, uint64_t id, const Wire__DeviceStart *start)
{
	return request_start(session, id, start->device);
}

int request_start(struct session *session, uint64_t id, uint64_t device_id)
{
	struct session_device *device = request_device(session, device_id);
	struct error err = ERROR_INIT;
	int r;

	if (!device)
		return request_no_device(session, id);
	r = device_prepare(device->device, NULL, &err);
	if (r == DEVICE_E_AGAIN) {
		session_wait_prepared(session, id, device, NULL);
		return 0;
	}
	if (r == 0)
		r = device_start(device->device);
	if (r < 0)
		return request_fail(session, id, r, &err);
	device->running = true;
	return request_done(session, id);
}

int request_device_close(struct session *session, uint64_t id, const Wire__DeviceClose *close)
{
	struct session_device *device = request_device(session, close->device);

	if (!device)
		return request_no_device(session, id);
	device->closed = true;
	if (!device->entry)
		device_stop(device->device);
	session_device_release(session, device);
	return request_done(session, id);
}
