/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between parent and engine: what is allowed, and how the parent answers. See privileged.h. The
 * lower half runs with all rights and reads what a conquered engine may have written, so it is
 * short: a message has one form, descriptors never enter, and nothing is done that the
 * configuration does not name. What may take for ever is done by helpers (privileged_helper.c).
 */
#include "privileged.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "mapi/errors.h"
#include "privileged_private.h"
#include "wire/send_fds.h"

/* ---- what is allowed ---- */

static bool privileged_is_printable(const char *name)
{
	for (; *name; name++)
		if (iscntrl((unsigned char)*name))
			return false;
	return true;
}

/* An interface of this network namespace, or all of them. */
static bool privileged_is_interface(const char *name)
{
	return strcmp(name, "any") == 0 || (strlen(name) < IFNAMSIZ && if_nametoindex(name) > 0);
}

int privileged_find(const struct config *config, const char *name,
	struct driver_open_args *ret_args, struct driver_options *ret_options, struct error *err)
{
	const struct config_device *device;

	if (!*name || !privileged_is_printable(name))
		return error_set(err, MAPID_NO_DRIVER, "the name of the device is %s",
			*name ? "not printable" : "empty");
	device = config_find(config, name);
	if (!device && config->any_interface && !privileged_is_interface(name))
		return error_set(err, MAPID_NO_DRIVER,
			"there is no interface '%.200s', and no [driver] section of %s names such "
			"a device",
			name, config->path ? config->path : "the configuration");
	if (!device && !config->any_interface)
		return error_set(err, MAPID_NO_DRIVER,
			"device '%.200s' is not served: no [driver] section of %s names it", name,
			config->path ? config->path : "the configuration");
	*ret_options = (struct driver_options){ 0 };
	if (device)
		*ret_options = (struct driver_options){ .driver = device->driver_name,
			.trace_dir = device->trace_dir,
			.snaplen_bytes = device->snaplen_bytes,
			.ring_bytes = device->ring_bytes,
			.no_promisc = device->no_promisc,
			.incoming_only = device->incoming_only || device->dedicated };
	*ret_args = (struct driver_open_args){
		.name = device ? device->device : name, .fd = -1, .options = ret_options
	};
	return 0;
}

/* ---- the parent's side ---- */

static bool privileged_is_zero(const void *bytes, size_t n_bytes)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < n_bytes; i++)
		if (at[i])
			return false;
	return true;
}

/* Take one request. Return: 0; -EAGAIN; -EPIPE: the end; -EBADMSG. */
static int privileged_take(int fd, struct privileged_request *ret)
{
	struct iovec iov = { .iov_base = ret, .iov_len = sizeof(*ret) };
	/* No room for descriptors: the kernel closes what came and says MSG_CTRUNC. */
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -EPIPE;
	if (n == 0 && !(msg.msg_flags & MSG_CTRUNC))
		return -EPIPE; /* or an empty message: nobody whom we want to go on */
	if (n != sizeof(*ret) || msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return -EBADMSG;
	return 0;
}

static int privileged_check(const struct privileged_request *request, size_t area_bytes)
{
	switch (request->op) {
	case PRIVILEGED_PREPARE:
		if (request->n_workers < 1 || request->n_workers > DRIVER_FDS_MAX)
			return -EBADMSG;
		return memchr(request->name, '\0', sizeof(request->name)) ? 0 : -EBADMSG;
	case PRIVILEGED_LOAD:
		if (request->n_bytes < 1 || request->n_bytes > area_bytes)
			return -EBADMSG;
		return privileged_is_zero(request->name, sizeof(request->name)) ? 0 : -EBADMSG;
	case PRIVILEGED_ATTACH:
		if (request->way >= _KERNEL_WAY_N)
			return -EBADMSG;
		return memchr(request->name, '\0', sizeof(request->name)) ? 0 : -EBADMSG;
	case PRIVILEGED_LOOK:
		return memchr(request->name, '\0', sizeof(request->name)) ? 0 : -EBADMSG;
	case PRIVILEGED_ALIVE:
	case PRIVILEGED_READY:
		return privileged_is_zero((const char *)request + sizeof(request->op),
			       sizeof(*request) - sizeof(request->op))
			? 0
			: -EBADMSG;
	default:
		return -EBADMSG;
	}
}

static int privileged_open(const struct config *config, const struct privileged_request *request,
	int ret_fds[DRIVER_FDS_MAX], unsigned int *ret_n_fds, struct error *err)
{
	struct driver_options options;
	struct driver_open_args args;
	const struct driver *driver;
	int r = privileged_find(config, request->name, &args, &options, err);

	if (r < 0)
		return r;
	args.n_workers = request->n_workers;
	driver = driver_find(&args);
	if (!driver)
		return error_set(err, MAPID_NO_DRIVER, "no driver opens device '%.200s'%s%s",
			args.name, options.driver ? "; the configuration wants driver " : "",
			options.driver ? options.driver : "");
	return driver->prepare ? driver->prepare(&args, ret_fds, ret_n_fds, err) : 0;
}

int privileged_reply(int fd, const struct privileged_reply *reply, const int *fds)
{
	ssize_t n = wire_send_fds(fd, reply, sizeof(*reply), fds, reply->n_fds, MSG_DONTWAIT);

	if (n < 0)
		return n == -EPIPE || n == -ECONNRESET ? -EPIPE : -EBADMSG;
	return 0;
}

int privileged_serve(int fd, const struct config *config, const void *area,
	struct privileged_loads *loads, const struct privileged_request *request)
{
	struct privileged_reply reply = { .serial = request->serial };
	struct error err = ERROR_INIT;
	int fds[DRIVER_FDS_MAX];
	char others[KERNEL_TEXT_BYTES] = "";
	int r;

	if (request->op == PRIVILEGED_LOAD)
		r = privileged_load_foreign(
			config, loads, area, request->n_bytes, fds, &reply.n_fds, &err);
	else if (request->op == PRIVILEGED_ATTACH)
		r = privileged_attach_foreign(config, loads, request->name,
			(enum kernel_way)request->way, fds, &reply.n_fds, others, &err);
	else if (request->op == PRIVILEGED_LOOK)
		r = privileged_look_foreign(config, request->name, request->id, others, &err);
	else
		r = privileged_open(config, request, fds, &reply.n_fds, &err);
	(void)snprintf(reply.text, sizeof(reply.text), "%s", others);
	if (r < 0) { /* unless it has a sentence */
		(void)error_set(&err, MAPID_NO_DRIVER, "%s", strerror(-r));
		reply.code = request->op == PRIVILEGED_PREPARE ? err.code : r;
		reply.n_fds = 0;
		memcpy(reply.text, err.text, sizeof(reply.text));
	}
	r = privileged_reply(fd, &reply, fds);
	for (unsigned int i = 0; i < reply.n_fds; i++)
		(void)close(fds[i]);
	return r;
}

int privileged_answer(int fd, const struct config *config, const void *area, size_t area_bytes,
	struct privileged_loads *loads, struct privileged_helpers *helpers,
	enum privileged_op *ret_op)
{
	struct privileged_request request;
	int r = privileged_take(fd, &request);

	if (r == 0)
		r = privileged_check(&request, area_bytes);
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	if (request.op == PRIVILEGED_PREPARE || request.op == PRIVILEGED_ATTACH ||
		request.op == PRIVILEGED_LOOK)
		r = helpers ? privileged_help(helpers, fd, config, loads, &request)
			    : privileged_serve(fd, config, area, loads, &request);
	else if (request.op == PRIVILEGED_LOAD)
		r = privileged_serve(fd, config, area, loads, &request);
	if (r == 0)
		*ret_op = request.op;
	return r;
}
