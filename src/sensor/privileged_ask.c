/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine asks its parent: see privileged.h. Threads ask at the same time, and answers come in
 * the order in which they are ready: one device that takes long to open keeps nobody waiting who
 * wants another. One of those who wait reads the socket for all; when it has its own answer, or
 * gives up, the next one does.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/turns.h"
#include "mapi/errors.h"
#include "privileged.h"
#include "privileged_private.h"

#define PRIVILEGED_WAIT_MS 5000
#define PRIVILEGED_MS_NS UINT64_C(1000000)

union privileged_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * DRIVER_FDS_MAX)];
};

/**
 * struct privileged_call - somebody asks
 * @next:   who asked before
 * @end_ns: when he gives up
 * @done:   @outcome is known: 0, then with @reply and @fds, or -EPIPE
 */
struct privileged_call {
	struct privileged_call *next;
	uint64_t serial;
	uint64_t end_ns;
	bool done;
	int outcome;
	struct privileged_reply reply;
	int fds[DRIVER_FDS_MAX];
};

/* All who ask: a process has one parent. @first and @is_read: GUARDED_BY(lock) */
static struct privileged_calls {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct privileged_call *first;
	bool is_read; /* somebody reads the socket */
} privileged_calls = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

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

static void privileged_close(const struct privileged_reply *reply, const int fds[])
{
	for (unsigned int i = 0; i < reply->n_fds; i++)
		(void)close(fds[i]);
}

/* With the lock held. The answer that has come is somebody's, or of one who has given up. */
static void privileged_hand_over(
	struct privileged_calls *calls, const struct privileged_reply *reply, const int fds[])
{
	for (struct privileged_call *call = calls->first; call; call = call->next)
		if (call->serial == reply->serial && !call->done) {
			call->done = true;
			call->reply = *reply;
			memcpy(call->fds, fds, reply->n_fds * sizeof(fds[0]));
			return;
		}
	privileged_close(reply, fds);
}

/* With the lock held, which it lets go meanwhile. Wait until something comes, or until @end_ns. */
static void privileged_read(struct privileged_calls *calls, int fd, uint64_t end_ns)
{
	uint64_t now_ns = clock_monotonic_ns();
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct privileged_reply reply;
	int fds[DRIVER_FDS_MAX];
	int r = -EAGAIN;

	calls->is_read = true;
	(void)pthread_mutex_unlock(&calls->lock);
	if (now_ns < end_ns && poll(&p, 1, (int)((end_ns - now_ns) / PRIVILEGED_MS_NS) + 1) > 0)
		r = privileged_receive(fd, &reply, fds);
	(void)pthread_mutex_lock(&calls->lock);
	calls->is_read = false;
	if (r == 0)
		privileged_hand_over(calls, &reply, fds);
	for (struct privileged_call *call = calls->first; r == -EPIPE && call; call = call->next)
		if (!call->done) {
			call->done = true;
			call->outcome = -EPIPE;
		}
	(void)pthread_cond_broadcast(&calls->changed);
}

/* With the lock held. When the first of those who wait gives up: all wait equally long. */
static uint64_t privileged_end_ns(const struct privileged_calls *calls)
{
	uint64_t end_ns = UINT64_MAX;

	for (const struct privileged_call *call = calls->first; call; call = call->next)
		end_ns = call->done ? end_ns : MIN(end_ns, call->end_ns);
	return end_ns;
}

static void privileged_call_begin(struct privileged_calls *calls, struct privileged_call *call)
{
	call->serial = clock_monotonic_ns(); /* never the same again */
	call->end_ns = call->serial + PRIVILEGED_WAIT_MS * PRIVILEGED_MS_NS;
	(void)pthread_mutex_lock(&calls->lock);
	for (const struct privileged_call *one = calls->first; one; one = one->next)
		call->serial = MAX(call->serial, one->serial + 1);
	call->next = calls->first;
	calls->first = call;
	(void)pthread_mutex_unlock(&calls->lock);
}

/* Wait for the answer. Return: 0, -ETIMEDOUT, -EPIPE. */
static int privileged_call_end(struct privileged_calls *calls, struct privileged_call *call, int fd)
{
	struct privileged_call **at = &calls->first;

	(void)pthread_mutex_lock(&calls->lock);
	while (!call->done && clock_monotonic_ns() < call->end_ns)
		if (calls->is_read)
			(void)pthread_cond_wait(&calls->changed, &calls->lock);
		else
			privileged_read(calls, fd, privileged_end_ns(calls));
	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	/* Somebody else reads now. */
	(void)pthread_cond_broadcast(&calls->changed);
	(void)pthread_mutex_unlock(&calls->lock);
	return call->done ? call->outcome : -ETIMEDOUT;
}

static void privileged_call_fail(struct privileged_calls *calls, struct privileged_call *call)
{
	(void)pthread_mutex_lock(&calls->lock);
	call->done = true;
	call->outcome = -EPIPE;
	(void)pthread_mutex_unlock(&calls->lock);
}

/* Ask, and wait for the answer. Any thread. Return: 0, -ETIMEDOUT, -EPIPE. */
static int privileged_ask(int fd, struct privileged_request *request, struct privileged_reply *ret,
	int ret_fds[DRIVER_FDS_MAX])
{
	struct privileged_call call = { .done = false };
	int r;

	privileged_call_begin(&privileged_calls, &call);
	request->serial = call.serial;
	if (privileged_send(fd, request, 0) < 0)
		privileged_call_fail(&privileged_calls, &call);
	r = privileged_call_end(&privileged_calls, &call, fd);
	if (r < 0)
		return r;
	*ret = call.reply;
	memcpy(ret_fds, call.fds, call.reply.n_fds * sizeof(ret_fds[0]));
	return 0;
}

/* The area is part of the question: who hands code over does so in turn. */
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
	r = privileged_ask(fd, &request, &reply, fds);
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

/* Of a reply about the kernel: with @min_fds to @max_fds descriptors, or a reason. Return: 0,
 * negative errno with @err filled, and nothing to be closed. */
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

/* Asks about the interface @name. @does_not: what it does not do in time. Return: 0, with @min_fds
 * to
 * @max_fds descriptors; negative errno with @err filled, and nothing to be closed. */
static int privileged_ask_interface(int fd, const char *name, struct privileged_request *request,
	const char *does_not, unsigned int min_fds, unsigned int max_fds,
	struct privileged_reply *ret, int ret_fds[DRIVER_FDS_MAX], struct error *err)
{
	size_t len = strlen(name);
	int r;

	if (len >= sizeof(request->name))
		return error_set(err, MAPID_NO_DRIVER, "the name is too long");
	memcpy(request->name, name, len);
	r = privileged_ask(fd, request, ret, ret_fds);
	if (r == -ETIMEDOUT) {
		(void)error_set(err, MFUNCT_NOT_SUPPORTED,
			"the interface did not %s within %d seconds", does_not,
			PRIVILEGED_WAIT_MS / 1000);
		return r;
	}
	if (r < 0)
		return privileged_lost(err);
	return privileged_granted(ret, ret_fds, min_fds, max_fds, err);
}

static void privileged_others(
	const struct privileged_reply *reply, char ret_others[KERNEL_TEXT_BYTES])
{
	(void)snprintf(ret_others, KERNEL_TEXT_BYTES, "%.*s", KERNEL_TEXT_BYTES - 1, reply->text);
}

int privileged_attach(int fd, const char *name, enum kernel_way way, struct kernel_root *ret,
	char ret_others[KERNEL_TEXT_BYTES], struct error *err)
{
	struct privileged_request request = { .op = PRIVILEGED_ATTACH, .way = way };
	struct kernel_root root = KERNEL_ROOT_INIT;
	struct privileged_reply reply;
	int fds[DRIVER_FDS_MAX];
	int r = privileged_ask_interface(fd, name, &request, "take a program", 2,
		PRIVILEGED_ATTACH_FDS_MAX, &reply, fds, err);

	if (r < 0)
		return r;
	root.slots = fds[0];
	for (root.n_links = 0; root.n_links + 1 < reply.n_fds; root.n_links++)
		root.links[root.n_links] = fds[1 + root.n_links];
	*ret = root;
	privileged_others(&reply, ret_others);
	return 0;
}

int privileged_look(int fd, const char *name, uint32_t id, char ret_others[KERNEL_TEXT_BYTES],
	struct error *err)
{
	struct privileged_request request = { .op = PRIVILEGED_LOOK, .id = id };
	struct privileged_reply reply;
	int fds[DRIVER_FDS_MAX];
	int r = privileged_ask_interface(
		fd, name, &request, "tell of its programs", 0, 0, &reply, fds, err);

	if (r == 0)
		privileged_others(&reply, ret_others);
	return r;
}
