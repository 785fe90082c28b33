/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What parent and engine of the system daemon read from each other. The first byte says who reads,
 * how many descriptors travel beside each message, and what the configuration allows; then come
 * messages, each behind its length in two bytes (little endian). The area in which code is handed
 * over holds a good one, or all of the input; and perhaps each message is preceded by a place in
 * that area, two bytes, and four bytes to be written there. Messages that ask for loading may get
 * the size of a good code.
 *
 * The parent's answers must be of their form, and no descriptor may stay on either side. An engine
 * that keeps what it is given comes to an end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "mapi/errors.h"
#include "sensor/privileged_private.h"
#include "wire/test_send.h"

#define FUZZ_SERIAL 77 /* of all requests: the clock stands still */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static int null_fd = -1;

static void check(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

/* ---- the neighbours ---- */

int __wrap_clock_gettime(clockid_t id, struct timespec *ret);

int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
	*ret = (struct timespec){ .tv_nsec = FUZZ_SERIAL };
	return 0;
}

static int fuzz_prepare(const struct driver_open_args *args, int ret_fds[DRIVER_FDS_MAX],
	unsigned int *ret_n_fds, struct error *err)
{
	check(args->n_workers >= 1 && args->n_workers <= DRIVER_FDS_MAX, "number of workers");
	check(args->fd == -1 && args->options && args->name[0], "arguments");
	if (args->n_workers == 13)
		return error_set(err, MAPI_NO_PERMISSION, "unlucky %s", args->name);
	for (unsigned int i = 0; i < args->n_workers; i++) {
		ret_fds[i] = dup(null_fd);
		check(ret_fds[i] >= 0, "dup");
	}
	*ret_n_fds = args->n_workers;
	return 0;
}

static const struct driver fuzz_driver = { .name = "fuzz", .prepare = fuzz_prepare };

const struct driver *driver_find(const struct driver_open_args *args)
{
	return args->options->driver ? NULL : &fuzz_driver;
}

/* Of helpers, of which there are none. */
bool privileged_keep(int fd, const struct config *config, const struct privileged_request *request,
	_Atomic uint32_t *phase, bool is_again, int *ret)
{
	abort();
}

int __wrap_kernel_turns_open(struct error *err);
int __wrap_kernel_super_open(struct error *err);
int __wrap_kernel_area_new(size_t area_bytes, struct error *err);
int __wrap_kernel_code_load_into(const struct kernel_code *code, uint64_t until_ns,
	const struct kernel_memory *memory, struct kernel_fds *ret, struct error *err);

int __wrap_kernel_turns_open(struct error *err)
{
	(void)err;
	return dup(null_fd);
}

int __wrap_kernel_super_open(struct error *err)
{
	(void)err;
	return dup(null_fd);
}

int __wrap_kernel_area_new(size_t area_bytes, struct error *err)
{
	check(area_bytes <= PRIVILEGED_COUNTERS_BYTES_MAX, "memory for counters");
	return dup(null_fd);
}

int __wrap_kernel_root_attach(struct kernel_root *ret, unsigned int ifindex, enum kernel_way way,
	bool discards, int super_fd, char ret_others[KERNEL_TEXT_BYTES], struct error *err);

/* So is attaching, to an interface that there is. */
int __wrap_kernel_root_attach(struct kernel_root *ret, unsigned int ifindex, enum kernel_way way,
	bool discards, int super_fd, char ret_others[KERNEL_TEXT_BYTES], struct error *err)
{
	check(!discards, "nothing ends where nobody has said so");
	(void)err;
	check(ifindex > 0 && kernel_way_hook(way) == KERNEL_TC, "where it may be attached");
	check(super_fd >= 0, "memory for super-packets");
	*ret = KERNEL_ROOT_INIT;
	ret->slots = dup(null_fd);
	for (ret->n_links = 0; ret->n_links < 1 + (way == KERNEL_WAY_TCX); ret->n_links++)
		ret->links[ret->n_links] = dup(null_fd);
	(void)snprintf(ret_others, KERNEL_TEXT_BYTES, "others");
	return 0;
}

/* Loading is the kernel's; what comes here must be of the kind that is allowed. */
int __wrap_kernel_code_load_into(const struct kernel_code *code, uint64_t until_ns,
	const struct kernel_memory *memory, struct kernel_fds *ret, struct error *err)
{
	struct error none = ERROR_INIT;

	(void)err, (void)until_ns;
	check(kernel_code_samples(code) <= (memory->turns_fd >= 0), "numbers for samples");
	check(kernel_code_has_root(code) <= (memory->super_fd >= 0), "memory for super-packets");
	check(kernel_code_hook(code) < _KERNEL_HOOK_N, "a known hook");
	check(!kernel_code_discards(code), "nothing ends where nobody has said so");
	check(kernel_code_check(code, &none) == 0, "checked code");
	check(kernel_code_area_bytes(code) <= memory->area_bytes, "room for its counters");
	*ret = (struct kernel_fds){ .program = dup(null_fd),
		.area = dup(memory->area_fd),
		.chain = dup(null_fd),
		.turns = -1 };
	check(ret->program >= 0 && ret->area >= 0 && ret->chain >= 0, "dup");
	return 0;
}

static uint8_t fuzz_area[2048];
static size_t fuzz_code_bytes; /* of a good code */
static struct privileged_loads fuzz_loads;

/* A program without filters. */
static void fuzz_fill_area(void)
{
	const struct kernel_options options = { .hook = KERNEL_SOCKET, .n_cpus = 1 };
	struct kernel_code *code;

	if (kernel_code_new(&code, &options, NULL, 0) < 0)
		return;
	fuzz_code_bytes = kernel_code_flatten(code, fuzz_area, sizeof(fuzz_area));
	check(fuzz_code_bytes <= sizeof(fuzz_area), "room for a program");
	kernel_code_free(code);
}

static struct config_device fuzz_devices[] = { { .device = (char[]){ "eth0" } },
	{ .device = (char[]){ "none" }, .driver_name = "none" } };

const struct config_device *config_find(const struct config *config, const char *name)
{
	for (unsigned int i = 0; i < config->n_devices; i++)
		if (strcmp(config->devices[i].device, name) == 0)
			return &config->devices[i];
	return NULL;
}

/* ---- messages ---- */

/* Step over the next message. Return: its bytes, NULL at the end. */
static const uint8_t *fuzz_next(const uint8_t **bytes, size_t *n_bytes, size_t *ret_n_bytes)
{
	const uint8_t *message = *bytes + 2;
	size_t n;

	if (*n_bytes < 2)
		return NULL;
	n = (size_t)((*bytes)[0] | (*bytes)[1] << 8);
	n = MIN(n, *n_bytes - 2);
	*bytes += 2 + n;
	*n_bytes -= 2 + n;
	*ret_n_bytes = n;
	return message;
}

/* What the engine has and does not give back. */
static int fuzz_kept[4 * PRIVILEGED_LOADS_MAX];
static size_t fuzz_n_kept;

static void fuzz_take(int fd, bool keeps)
{
	if (keeps && fuzz_n_kept < ARRAY_SIZE(fuzz_kept))
		fuzz_kept[fuzz_n_kept++] = fd;
	else
		(void)close(fd);
}

static void fuzz_give_back(void)
{
	while (fuzz_n_kept > 0)
		(void)close(fuzz_kept[--fuzz_n_kept]);
}

/* The engine's end: what the parent has said. */
static void fuzz_check_reply(int fd, const struct privileged_request *request, bool keeps)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * DRIVER_FDS_MAX)];
	} control;
	struct privileged_reply reply;
	struct iovec iov = { .iov_base = &reply, .iov_len = sizeof(reply) };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	unsigned int n_fds = 0;

	check(recvmsg(fd, &msg, MSG_DONTWAIT) == sizeof(reply), "size of a reply");
	if (CMSG_FIRSTHDR(&msg)) {
		int fds[DRIVER_FDS_MAX];

		n_fds = (unsigned int)((CMSG_FIRSTHDR(&msg)->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&msg)), n_fds * sizeof(int));
		for (unsigned int i = 0; i < n_fds; i++)
			fuzz_take(fds[i], keeps && request->op == PRIVILEGED_LOAD);
	}
	check(reply.serial == request->serial, "the request's number");
	check(reply.n_fds == n_fds, "number of descriptors");
	if (request->op == PRIVILEGED_PREPARE)
		check(n_fds == (reply.code ? 0 : request->n_workers), "as many as were wanted");
	else if (request->op == PRIVILEGED_ATTACH)
		check(reply.code ? n_fds == 0 : n_fds == 2 || n_fds == 3, "slots and links");
	else if (request->op == PRIVILEGED_LOOK)
		check(n_fds == 0, "a text only");
	else
		check(reply.code ? n_fds == 0 : n_fds == 3 || n_fds == 4,
			"a program, its counters, a lease, and perhaps numbers of samples");
	check(memchr(reply.text, '\0', sizeof(reply.text)), "end of the text");
	if (request->op != PRIVILEGED_ATTACH && request->op != PRIVILEGED_LOOK) /* name programs */
		check(!reply.code == !reply.text[0], "code and text");
	for (const char *c = reply.text; *c; c++)
		check((unsigned char)*c >= ' ' && *c != 127, "a text for people");
}

/* The engine writes to the area again. */
static void fuzz_patch(const uint8_t **bytes, size_t *n_bytes)
{
	size_t at;

	if (*n_bytes < 6)
		return;
	at = (size_t)((*bytes)[0] | (*bytes)[1] << 8) % (sizeof(fuzz_area) - 4);
	memcpy(fuzz_area + at, *bytes + 2, 4);
	*bytes += 6;
	*n_bytes -= 6;
}

static void fuzz_check_loads(void)
{
	size_t area_bytes = 0;

	check(fuzz_loads.n <= PRIVILEGED_LOADS_MAX, "number of programs");
	for (unsigned int i = 0; i < fuzz_loads.n; i++)
		area_bytes += fuzz_loads.at[i].area_bytes;
	check(fuzz_loads.area_bytes == area_bytes && area_bytes <= PRIVILEGED_COUNTERS_BYTES_MAX,
		"memory for counters");
}

/* A message with the size of a good code, whatever that is. Return: its bytes. */
static const uint8_t *fuzz_sized(const uint8_t *message, size_t n_bytes)
{
	static struct privileged_request request;

	if (n_bytes != sizeof(request))
		return message;
	memcpy(&request, message, sizeof(request));
	if (request.op == PRIVILEGED_LOAD)
		request.n_bytes = (uint32_t)fuzz_code_bytes;
	return (const uint8_t *)&request;
}

/* @how: the input's first byte */
static void fuzz_parent(const int fds[2], const struct config *config, const uint8_t *bytes,
	size_t n_bytes, unsigned int n_fds, uint8_t how)
{
	const uint8_t *message;
	size_t message_bytes;

	for (;;) {
		enum privileged_op op = _PRIVILEGED_N;
		struct privileged_request request;
		int r;

		if (how & 64)
			fuzz_patch(&bytes, &n_bytes);
		message = fuzz_next(&bytes, &n_bytes, &message_bytes);
		if (!message)
			return;
		if (how & 128)
			message = fuzz_sized(message, message_bytes);
		if (!test_send_copies(fds[1], message, message_bytes, null_fd, n_fds))
			return;
		r = privileged_answer(
			fds[0], config, fuzz_area, sizeof(fuzz_area), &fuzz_loads, NULL, &op);
		check(r == 0 || r == -EPIPE || r == -EBADMSG, "outcome");
		check(r == 0 || op == _PRIVILEGED_N, "untouched on failure");
		if (r < 0)
			return;
		check(message_bytes == sizeof(request) && n_fds == 0,
			"its size, and nothing beside");
		memcpy(&request, message, sizeof(request));
		check(op > 0 && op < _PRIVILEGED_N && op == request.op, "what was asked");
		if (op == PRIVILEGED_PREPARE || op == PRIVILEGED_LOAD || op == PRIVILEGED_ATTACH ||
			op == PRIVILEGED_LOOK)
			fuzz_check_reply(fds[1], &request, how & 32);
		fuzz_check_loads();
	}
}

static void fuzz_engine_load(int fd)
{
	const struct kernel_options options = { .hook = KERNEL_SOCKET, .n_cpus = 1 };
	struct kernel_fds fds = KERNEL_FDS_INIT;
	struct error err = ERROR_INIT;
	struct kernel_code *code;
	int r;

	if (kernel_code_new(&code, &options, NULL, 0) < 0)
		return;
	r = privileged_load(fd, fuzz_area, sizeof(fuzz_area), code, &fds, &err);
	check((r == 0) == (err.code == 0), "an error where it failed");
	check((r == 0) == (fds.program >= 0), "untouched on failure");
	kernel_fds_close(&fds);
	kernel_code_free(code);
}

static void fuzz_engine(
	const int fds[2], const uint8_t *bytes, size_t n_bytes, unsigned int n_fds, uint8_t how)
{
	int got[DRIVER_FDS_MAX];
	unsigned int n_got = 77;
	struct error err = ERROR_INIT;
	const uint8_t *message;
	size_t message_bytes;
	int r;

	while ((message = fuzz_next(&bytes, &n_bytes, &message_bytes)))
		if (!test_send_copies(fds[0], message, message_bytes, null_fd, n_fds))
			break;
	check(shutdown(fds[0], SHUT_WR) == 0, "shutdown");
	if (how & 16) {
		fuzz_engine_load(fds[1]);
		return;
	}
	r = privileged_prepare(fds[1], "eth0", 1, got, &n_got, &err);
	check(r == 0 || r == -EINVAL || r == -EPIPE, "outcome");
	check((r == 0) == (err.code == 0), "an error where it failed");
	check((r == 0) == (n_got != 77), "untouched on failure");
	for (unsigned int i = 0; r == 0 && i < n_got; i++)
		check(close(got[i]) == 0, "descriptors that were promised");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
	static const unsigned int n_fds_of[] = { 0, 1, DRIVER_FDS_MAX, DRIVER_FDS_MAX + 1 };
	struct config config = { .devices = fuzz_devices, .n_devices = ARRAY_SIZE(fuzz_devices) };
	unsigned int n_fds;
	int fds[2], lowest, after;

	if (n_bytes == 0 || n_bytes > 65536)
		return 0;
	if (null_fd < 0)
		null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	lowest = dup(null_fd);
	(void)close(lowest);
	n_fds = n_fds_of[bytes[0] / 2 % ARRAY_SIZE(n_fds_of)];
	config.any_interface = bytes[0] & 8;
	memset(fuzz_area, 0, sizeof(fuzz_area));
	if (bytes[0] & 16)
		memcpy(fuzz_area, bytes + 1, MIN(n_bytes - 1, sizeof(fuzz_area)));
	else
		fuzz_fill_area();
	check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
	if (bytes[0] % 2 == 0)
		fuzz_parent(fds, &config, bytes + 1, n_bytes - 1, n_fds, bytes[0]);
	else
		fuzz_engine(fds, bytes + 1, n_bytes - 1, n_fds, bytes[0]);
	(void)close(fds[0]);
	(void)close(fds[1]);
	fuzz_give_back();
	privileged_loads_clear(&fuzz_loads);
	after = dup(null_fd);
	(void)close(after);
	check(after == lowest, "a descriptor stays");
	return 0;
}
