/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between parent and engine: see privileged.h. The lower half runs with all rights and reads what a
 * conquered engine may have written, so it is short: a message has one form, descriptors never
 * enter, and nothing is done that the configuration does not name.
 */
#include "privileged.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/turns.h"
#include "mapi/errors.h"
#include "privileged_private.h"
#include "wire/send_fds.h"

#define PRIVILEGED_WAIT_MS 5000
#define PRIVILEGED_MS_NS 1000000u

union privileged_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * DRIVER_FDS_MAX)];
};

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

/* ---- the engine's side ---- */

static int privileged_lost(struct error *err)
{
	(void)error_set(err, MAPID_NO_DRIVER, "the daemon is ending: its parent process is gone");
	return -EPIPE;
}

/* Return: 0, -EAGAIN, -EPIPE. */
static int privileged_send(int fd, const struct privileged_request *request, int flags)
{
	ssize_t n;

	do
		n = send(fd, request, sizeof(*request), flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -EAGAIN : -EPIPE;
	return 0;
}

void privileged_tell(int fd, enum privileged_op op)
{
	const struct privileged_request request = { .op = op };

	/* A parent that is busy or gone will be noticed by who needs its answer. */
	(void)privileged_send(fd, &request, MSG_DONTWAIT);
}

/* Take one reply. Return: 0; -EAGAIN: none; -EPIPE: the end, or not of our form. */
static int privileged_receive(int fd, struct privileged_reply *ret, int ret_fds[DRIVER_FDS_MAX])
{
	union privileged_control control = { .bytes = { 0 } };
	struct iovec iov = { .iov_base = ret, .iov_len = sizeof(*ret) };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	const struct cmsghdr *c;
	unsigned int n_fds = 0;
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -EPIPE;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		n_fds = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(ret_fds, CMSG_DATA(c), n_fds * sizeof(int));
	}
	if (n == sizeof(*ret) && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
		n_fds == ret->n_fds && memchr(ret->text, '\0', sizeof(ret->text)))
		return 0;
	for (unsigned int i = 0; i < n_fds; i++)
		(void)close(ret_fds[i]);
	return -EPIPE;
}

/* Wait for the reply to @serial; older ones are dropped. */
static int privileged_wait(
	int fd, uint64_t serial, struct privileged_reply *ret, int ret_fds[DRIVER_FDS_MAX])
{
	uint64_t end_ns = clock_monotonic_ns() + PRIVILEGED_WAIT_MS * (uint64_t)PRIVILEGED_MS_NS;

	for (;;) {
		uint64_t now_ns = clock_monotonic_ns();
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int r;

		if (now_ns >= end_ns)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)((end_ns - now_ns) / PRIVILEGED_MS_NS) + 1) < 1)
			continue; /* a signal, or time has come */
		r = privileged_receive(fd, ret, ret_fds);
		if (r == 0 && ret->serial == serial)
			return 0;
		for (unsigned int i = 0; r == 0 && i < ret->n_fds; i++)
			(void)close(ret_fds[i]);
		if (r == -EPIPE)
			return r;
	}
}

/* Ask, and wait for the answer. One at a time, whoever asks: a process has one parent, and the area
 * is part of the question. Return: 0, -ETIMEDOUT, -EPIPE. */
static int privileged_ask(int fd, struct privileged_request *request, struct privileged_reply *ret,
	int ret_fds[DRIVER_FDS_MAX])
{
	int r;

	request->serial = clock_monotonic_ns(); /* never the same again */
	r = privileged_send(fd, request, 0);
	return r < 0 ? r : privileged_wait(fd, request->serial, ret, ret_fds);
}

static struct turns privileged_turns = TURNS_INIT;

int privileged_prepare(int fd, const char *name, unsigned int n_workers,
	int ret_fds[DRIVER_FDS_MAX], unsigned int *ret_n_fds, struct error *err)
{
	struct privileged_request request = { .op = PRIVILEGED_PREPARE, .n_workers = n_workers };
	struct privileged_reply reply;
	int fds[DRIVER_FDS_MAX];
	size_t len = strlen(name);
	int r;

	if (len >= sizeof(request.name) || n_workers < 1 || n_workers > DRIVER_FDS_MAX)
		return error_set(err, MAPID_NO_DRIVER,
			"a device has a name of at most %d characters and 1 to %d workers",
			PRIVILEGED_NAME_BYTES - 1, DRIVER_FDS_MAX);
	memcpy(request.name, name, len);
	turns_begin(&privileged_turns);
	r = privileged_ask(fd, &request, &reply, fds);
	turns_end(&privileged_turns);
	if (r == -ETIMEDOUT)
		return error_set(err, MAPID_NO_DRIVER,
			"device '%.200s' could not be opened within %d seconds", name,
			PRIVILEGED_WAIT_MS / 1000);
	if (r < 0)
		return privileged_lost(err);
	if (reply.code)
		return error_set(err, reply.code, "%s", reply.text);
	memcpy(ret_fds, fds, reply.n_fds * sizeof(int));
	*ret_n_fds = reply.n_fds;
	return 0;
}

/* Of a reply about the kernel: with @min_fds to @max_fds descriptors, or a
 * reason. Return: 0, negative errno with
 * @err filled, and nothing to be closed. */
static int privileged_granted(const struct privileged_reply *reply, const int fds[],
	unsigned int min_fds, unsigned int max_fds, struct error *err)
{
	if (reply->code) {
		(void)error_set(err,
			reply->code == -EPERM ? MAPI_NO_PERMISSION : MFUNCT_NOT_SUPPORTED, "%s",
			reply->text);
		return reply->code < 0 ? reply->code : -EINVAL;
	}
	if (reply->n_fds >= min_fds && reply->n_fds <= max_fds)
		return 0;
	for (unsigned int i = 0; i < reply->n_fds; i++)
		(void)close(fds[i]);
	return privileged_lost(err);
}

/* What came with the answer. */
static int privileged_loaded(const struct privileged_reply *reply, const int fds[],
	const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	unsigned int n_fds = PRIVILEGED_LOAD_FDS + kernel_code_samples(code);
	int r = privileged_granted(reply, fds, n_fds, n_fds, err);

	if (r < 0)
		return r;
	*ret = (struct kernel_fds){ .program = fds[0],
		.area = fds[1],
		.chain = fds[2],
		.turns = kernel_code_samples(code) ? fds[3] : -1 };
	return 0;
}

int privileged_load(int fd, void *area, size_t area_bytes, const struct kernel_code *code,
	struct kernel_fds *ret, struct error *err)
{
	struct privileged_request request = { .op = PRIVILEGED_LOAD };
	struct privileged_reply reply;
	int fds[DRIVER_FDS_MAX];
	size_t n_bytes;
	int r = -ENOSPC;

	turns_begin(&privileged_turns);
	n_bytes = kernel_code_flatten(code, area, area_bytes);
	if (n_bytes <= area_bytes) {
		request.n_bytes = (uint32_t)n_bytes;
		r = privileged_ask(fd, &request, &reply, fds);
	}
	turns_end(&privileged_turns);
	if (r == -ENOSPC)
		return error_set(err, MFUNCT_NOT_SUPPORTED,
			"the filters are more than %zu bytes of code for the kernel", area_bytes);
	if (r == -ETIMEDOUT)
		return error_set(err, MFUNCT_NOT_SUPPORTED,
			"the kernel did not take the filters within %d seconds",
			PRIVILEGED_WAIT_MS / 1000);
	if (r < 0)
		return privileged_lost(err);
	return privileged_loaded(&reply, fds, code, ret, err);
}

int privileged_attach(int fd, const char *name, enum kernel_way way, struct kernel_root *ret,
	char ret_others[KERNEL_TEXT_BYTES], struct error *err)
{
	struct privileged_request request = { .op = PRIVILEGED_ATTACH, .way = way };
	struct kernel_root root = KERNEL_ROOT_INIT;
	struct privileged_reply reply;
	int fds[DRIVER_FDS_MAX];
	size_t len = strlen(name);
	int r;

	if (len >= sizeof(request.name))
		return error_set(err, MAPID_NO_DRIVER, "the name is too long");
	memcpy(request.name, name, len);
	turns_begin(&privileged_turns);
	r = privileged_ask(fd, &request, &reply, fds);
	turns_end(&privileged_turns);
	if (r == -ETIMEDOUT) {
		(void)error_set(err, MFUNCT_NOT_SUPPORTED,
			"the interface did not take a program within %d seconds",
			PRIVILEGED_WAIT_MS / 1000);
		return r;
	}
	if (r < 0)
		return privileged_lost(err);
	r = privileged_granted(&reply, fds, 2, 1 + KERNEL_ROOT_LINKS_MAX, err);
	if (r < 0)
		return r;
	root.slots = fds[0];
	for (root.n_links = 0; root.n_links + 1 < reply.n_fds; root.n_links++)
		root.links[root.n_links] = fds[1 + root.n_links];
	*ret = root;
	(void)snprintf(ret_others, KERNEL_TEXT_BYTES, "%.*s", KERNEL_TEXT_BYTES - 1, reply.text);
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

/* Never waits: an engine that does not read what it has asked for is up to something. */
static int privileged_reply(int fd, const struct privileged_reply *reply, const int *fds)
{
	ssize_t n = wire_send_fds(fd, reply, sizeof(*reply), fds, reply->n_fds, MSG_DONTWAIT);

	if (n < 0)
		return n == -EPIPE || n == -ECONNRESET ? -EPIPE : -EBADMSG;
	return 0;
}

/* Do what was asked, and answer. Return: 0, -EPIPE, -EBADMSG. */
static int privileged_serve(int fd, const struct config *config, const void *area,
	struct privileged_loads *loads, const struct privileged_request *request)
{
	struct privileged_reply reply = { .serial = request->serial };
	struct error err = ERROR_INIT;
	int fds[DRIVER_FDS_MAX];
	char others[KERNEL_TEXT_BYTES] = "";
	int r;

	if (request->op == PRIVILEGED_LOAD)
		r = privileged_load_foreign(loads, area, request->n_bytes, fds, &reply.n_fds, &err);
	else if (request->op == PRIVILEGED_ATTACH)
		r = privileged_attach_foreign(config, request->name, (enum kernel_way)request->way,
			fds, &reply.n_fds, others, &err);
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
	struct privileged_loads *loads, enum privileged_op *ret_op)
{
	struct privileged_request request;
	int r = privileged_take(fd, &request);

	if (r == 0)
		r = privileged_check(&request, area_bytes);
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	if (request.op == PRIVILEGED_PREPARE || request.op == PRIVILEGED_LOAD ||
		request.op == PRIVILEGED_ATTACH)
		r = privileged_serve(fd, config, area, loads, &request);
	if (r == 0)
		*ret_op = request.op;
	return r;
}
