/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lists: the devices that the daemon of live flows serves, and the flows that run there.
 *
 * "Next" is what has the smallest number greater than the given one, so a list may change while a
 * program goes through it. Flows of this program are known here, also those on capture files; those
 * of other programs are asked for.
 */
#include <stdio.h>

#include "client.h"

/* A daemon that has just been restarted is asked once more. */
#define LIST_TRIES 2

const Wire__Reply *list_ask(Wire__Request *request, Wire__Reply__ResultCase result,
	bool needs_system, struct engine **ret_engine)
{
	for (unsigned int tries = 0; tries < LIST_TRIES; tries++) {
		struct engine *engine = client_list_engine(needs_system);
		const Wire__Reply *reply = engine ? engine_call(engine, request, NULL, 0) : NULL;

		if (reply && reply->result_case != result) {
			client_fail(MCOM_UNKNOWN_ERROR, "the daemon sent an unexpected reply");
			return NULL;
		}
		if (reply || !engine || !atomic_load(&engine->is_lost)) {
			*ret_engine = engine;
			return reply;
		}
	}
	return NULL;
}

/* ---- devices ---- */

/* Device 0 is the last one that this thread was told of. */
static __thread bool list_is_after_first __attribute__((tls_model("initial-exec")));

/* @ret_group: NULL, or its group of devices */
static int list_device(int devid, bool next, mapi_device_info_t *ret, int *ret_group)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__ListDevice list = WIRE__LIST_DEVICE__INIT;
	const Wire__ListedDevice *listed;
	const Wire__Reply *reply;
	struct client_lock lock;
	struct engine *engine;

	if (!ret)
		return client_fail(
			MFUNCT_INVALID_ARGUMENT_2, "the place for the information is NULL");
	if (client_enter_freely() < 0)
		return -1;
	list.id = devid;
	list.next = next;
	request.call_case = WIRE__REQUEST__CALL_LIST_DEVICE;
	request.list_device = &list;
	client_lock(&lock);
	reply = list_ask(&request, WIRE__REPLY__RESULT_LISTED_DEVICE, false, &engine);
	if (reply) {
		listed = reply->listed_device;
		*ret = (mapi_device_info_t){
			.id = listed->id,
			.link_speed = (int)MIN(listed->link_speed_mbps, (uint32_t)INT32_MAX),
			.mpls = listed->mpls,
			.vlan = listed->vlan,
		};
		(void)snprintf(ret->device, sizeof(ret->device), "%s", listed->device);
		(void)snprintf(ret->name, sizeof(ret->name), "%s", listed->driver);
		(void)snprintf(ret->alias, sizeof(ret->alias), "%s", listed->alias);
		(void)snprintf(
			ret->description, sizeof(ret->description), "%s", listed->description);
		if (ret_group)
			*ret_group = (int)MIN(listed->group, (uint32_t)INT32_MAX);
	}
	client_unlock(&lock);
	list_is_after_first = reply && ret->id == 0;
	return reply ? 0 : -1;
}

int mapi_get_device_group(int devid)
{
	mapi_device_info_t info;
	int group;

	return list_device(devid, false, &info, &group) < 0 ? -1 : group;
}

int mapi_get_device_info(int devid, mapi_device_info_t *info)
{
	return list_device(devid, false, info, NULL);
}

int mapi_get_next_device_info(int devid, mapi_device_info_t *info)
{
	/* Numbers begin with 0, and loops of old programs with "next of 0", too. */
	return list_device(devid == 0 && !list_is_after_first ? -1 : devid, true, info, NULL);
}

/* ---- flows ---- */

/* A flow of the system daemon, and of another program if @others. Under the lock. Return: 0, -1
 * with this thread's error, or without one if there is no system daemon. */
static int list_flow(int fd, bool next, bool others, mapi_flow_info_t *ret)
{
	Wire__Request request = WIRE__REQUEST__INIT;
	Wire__ListFlow list = WIRE__LIST_FLOW__INIT;
	const Wire__ListedFlow *listed;
	const Wire__Reply *reply;
	struct engine *engine;

	list.id = fd > 0 ? (uint32_t)fd : 0;
	list.next = next;
	request.call_case = WIRE__REQUEST__CALL_LIST_FLOW;
	request.list_flow = &list;
	for (;;) {
		reply = list_ask(&request, WIRE__REPLY__RESULT_LISTED_FLOW, true, &engine);
		if (!reply)
			return -1;
		listed = reply->listed_flow;
		if (listed->id > INT32_MAX || (next && listed->id <= list.id))
			return client_fail(
				MCOM_UNKNOWN_ERROR, "the daemon sent an unexpected reply");
		if (!others || !flow_is_own(engine, listed->id))
			break;
		list.id = listed->id;
	}
	*ret = (mapi_flow_info_t){
		.uid = (uid_t)listed->uid,
		.fd = (int)listed->id,
		.devid = listed->device_id,
		.num_functions = listed->functions,
		.start = (time_t)(listed->start_ns / 1000000000u),
		.end = (time_t)(listed->end_ns / 1000000000u),
		.status = listed->status <= FLOW_CLOSED ? (enum mapi_flow_status)listed->status
							: FLOW_CLOSED,
	};
	(void)snprintf(ret->device, sizeof(ret->device), "%s", listed->device);
	return 0;
}

int list_flow_info(int fd, mapi_flow_info_t *ret)
{
	struct client_lock lock;
	int r = -1;

	client_clear_error();
	client_lock(&lock);
	if (fd > 0)
		r = list_flow(fd, false, false, ret);
	client_unlock(&lock);
	return r == 0 ? 0 : flow_unknown(fd);
}

int mapi_get_next_flow_info(int fd, mapi_flow_info_t *info)
{
	mapi_flow_info_t listed, own;
	struct client_lock lock;
	int own_fd, r;

	if (!info)
		return client_fail(
			MFUNCT_INVALID_ARGUMENT_2, "the place for the information is NULL");
	if (client_enter_freely() < 0)
		return -1;
	client_clear_error();
	client_lock(&lock);
	r = list_flow(fd, true, true, &listed);
	client_unlock(&lock);
	/* A flow of this program may be closed by another thread while it is looked at. */
	for (own_fd = flow_next(fd); own_fd > 0; own_fd = flow_next(own_fd)) {
		if (r == 0 && listed.fd < own_fd)
			break;
		own = (mapi_flow_info_t){ .fd = 0 };
		if (mapi_get_flow_info(own_fd, &own) == 0 || own.fd == own_fd) {
			client_clear_error(); /* one whose daemon is lost is listed, too */
			*info = own;
			return 0;
		}
	}
	if (r == 0) {
		client_clear_error();
		*info = listed;
		return 0;
	}
	if (client_error_code() != 0)
		return -1;
	return client_fail(MAPI_FLOW_INFO_ERR, "there is no flow after %d", fd);
}
