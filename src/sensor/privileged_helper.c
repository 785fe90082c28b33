/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes that open devices for the parent of the system daemon: see privileged.h. A helper is a
 * fork of the parent, with its rights and the configuration, and the parent's end of the socket, to
 * which it writes one answer; who attaches a root also has the memory that all roots share. So the
 * parent hears signals and the engine meanwhile, and starts another one, whatever a device does.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/close_from.h"
#include "base/log.h"
#include "mapi/errors.h"
#include "privileged_private.h"

#define HELPER_S 4 /* less than the engine waits */
#define HELPER_NS (HELPER_S * UINT64_C(1000000000))
#define HELPER_FD 3 /* behind standard input, output and error */
#define HELPER_SUPER_FD 4 /* of struct privileged_loads */
#define HELPER_UNREAD 1 /* exit status: the engine does not read answers */

/* Leaves a helper with what it needs: others are for clients to hear that the engine has died, and
 * for the next daemon. @super_fd: -1: none. Return: 0, -errno. */
static int helper_keep(int fd, int super_fd)
{
	int high_fd = -1;

	if (super_fd >= 0) {
		high_fd = fcntl(super_fd, F_DUPFD, HELPER_SUPER_FD + 1);
		if (high_fd < 0)
			return -errno;
	}
	if (dup2(fd, HELPER_FD) < 0 || (high_fd >= 0 && dup2(high_fd, HELPER_SUPER_FD) < 0))
		return -errno;
	close_from(high_fd >= 0 ? HELPER_SUPER_FD + 1 : HELPER_FD + 1);
	return 0;
}

/* What a helper's process is given. @is_again: see privileged_keep(). */
struct helper_args {
	int fd;
	int super_fd;
	pid_t parent;
	const struct config *config;
	const struct privileged_request *request;
	_Atomic uint32_t *phase;
	bool is_again;
};

static _Noreturn void helper_main(const struct helper_args *args)
{
	struct privileged_loads loads = { .has_super = args->super_fd >= 0,
		.super_fd = HELPER_SUPER_FD };
	int r;

	(void)prctl(PR_SET_NAME, "mapid-open"); /* cannot fail */
	if (helper_keep(args->fd, args->super_fd) < 0)
		_exit(0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != args->parent)
		_exit(0);
	if (args->request->op != PRIVILEGED_PREPARE ||
		!privileged_keep(
			HELPER_FD, args->config, args->request, args->phase, args->is_again, &r))
		r = privileged_serve(HELPER_FD, args->config, NULL, &loads, args->request);
	_exit(r == -EBADMSG ? HELPER_UNREAD : 0);
}

static const char *helper_aim(const struct privileged_helper *helper)
{
	return helper->op == PRIVILEGED_PREPARE   ? "opened"
		: helper->op == PRIVILEGED_ATTACH ? "given a program"
						  : "asked for its programs";
}

/* @r: negative errno, which is what a program is told. Return: as of privileged_reply(). */
static int helper_refuse(
	int fd, const struct privileged_helper *helper, int r, const struct error *err)
{
	struct privileged_reply reply = { .serial = helper->serial,
		.code = helper->op == PRIVILEGED_PREPARE ? err->code : r };

	memcpy(reply.text, err->text, sizeof(reply.text));
	return privileged_reply(fd, &reply, NULL);
}

static uint32_t helper_phase(
	const struct privileged_helpers *helpers, const struct privileged_helper *helper)
{
	return helpers->phases ? atomic_load(&helpers->phases[helper - helpers->at])
			       : (uint32_t)PRIVILEGED_OPENS;
}

/* One for the same, that has answered: @hangs: and could not be ended; else: and keeps the device.
 */
static const struct privileged_helper *helper_find_done(const struct privileged_helpers *helpers,
	const struct privileged_helper *wanted, bool hangs)
{
	for (size_t i = 0; i < ARRAY_SIZE(helpers->at); i++) {
		const struct privileged_helper *helper = &helpers->at[i];
		uint32_t phase = helper_phase(helpers, helper);

		if (helper->pid && helper->op == wanted->op &&
			strcmp(helper->name, wanted->name) == 0 &&
			(hangs ? helper->hangs || phase == PRIVILEGED_HANGS
			       : phase == PRIVILEGED_KEEPS))
			return helper;
	}
	return NULL;
}

static struct privileged_helper *helper_find(struct privileged_helpers *helpers, pid_t pid)
{
	for (size_t i = 0; i < ARRAY_SIZE(helpers->at); i++)
		if (helpers->at[i].pid == pid)
			return &helpers->at[i];
	return NULL;
}

/* Whether there may be a process for it. Return: 0, negative errno with @err filled. */
static int helper_admit(const struct privileged_helpers *helpers, const struct config *config,
	const struct privileged_helper *wanted, struct error *err)
{
	const struct privileged_helper *hanging = helper_find_done(helpers, wanted, true);
	struct driver_options options;
	struct driver_open_args args;
	int r = privileged_find(config, wanted->name, &args, &options, err);

	if (r < 0 || !hanging)
		return r;
	(void)error_set(err, MAPID_NO_DRIVER,
		"device '%.100s' cannot be %s: process %d, which has tried before, hangs in the "
		"kernel; see whether the device works (dmesg)",
		wanted->name, helper_aim(wanted), (int)hanging->pid);
	return -EBUSY;
}

/* Memory for what helpers say. Return: 0, negative errno. */
static int helper_share(struct privileged_helpers *helpers)
{
	void *phases;

	if (helpers->phases)
		return 0;
	phases = mmap(NULL, PRIVILEGED_HELPERS_MAX * sizeof(helpers->phases[0]),
		PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (phases == MAP_FAILED)
		return -errno;
	helpers->phases = phases;
	return 0;
}

/* Return: 0 (with @wanted->pid), negative errno with @err filled. */
static int helper_start(struct privileged_helpers *helpers, const struct privileged_helper *place,
	struct privileged_helper *wanted, struct helper_args *args, struct privileged_loads *loads,
	struct error *err)
{
	bool has_super = wanted->op == PRIVILEGED_ATTACH &&
		kernel_way_hook((enum kernel_way)args->request->way) == KERNEL_TC;
	int r = privileged_take_super(loads, has_super, &args->super_fd, err);

	if (r < 0)
		return r;
	r = helper_share(helpers);
	if (r == 0) {
		args->phase = &helpers->phases[place - helpers->at];
		atomic_store(args->phase, (uint32_t)PRIVILEGED_OPENS);
		args->is_again = helper_find_done(helpers, wanted, false) != NULL;
		args->parent = getpid();
		wanted->pid = fork();
		if (wanted->pid == 0)
			helper_main(args);
		if (wanted->pid > 0)
			return 0;
		r = -errno;
	}
	(void)error_set(err, MAPID_NO_DRIVER, "device '%.100s' cannot be %s: no process for it: %s",
		wanted->name, helper_aim(wanted), strerror(-r));
	return r;
}

int privileged_help(struct privileged_helpers *helpers, int fd, const struct config *config,
	struct privileged_loads *loads, const struct privileged_request *request)
{
	struct privileged_helper *place = helper_find(helpers, 0);
	struct privileged_helper wanted = { .op = request->op,
		.serial = request->serial,
		.until_ns = clock_monotonic_ns() + HELPER_NS };
	struct helper_args args = { .fd = fd, .config = config, .request = request };
	struct error err = ERROR_INIT;
	int r;

	memcpy(wanted.name, request->name, sizeof(wanted.name));
	r = helper_admit(helpers, config, &wanted, &err);
	if (r == 0 && !place) {
		(void)error_set(&err, MAPID_NO_DRIVER,
			"device '%.100s' cannot be %s now: %u others take long, or are in use; try "
			"again "
			"later",
			wanted.name, helper_aim(&wanted), PRIVILEGED_HELPERS_MAX);
		r = -EBUSY;
	}
	if (r == 0)
		r = helper_start(helpers, place, &wanted, &args, loads, &err);
	if (r < 0 || !place)
		return helper_refuse(fd, &wanted, r, &err);
	*place = wanted;
	return 0;
}

/* It takes too long. */
static void helper_end(struct privileged_helper *helper, int fd)
{
	struct error err = ERROR_INIT;

	log_event(LOG_ERR, "device '%s' is not %s within %d seconds: process %d is ended",
		helper->name, helper_aim(helper), HELPER_S, (int)helper->pid);
	(void)kill(helper->pid, SIGKILL); /* it is ours, and not reaped yet */
	(void)error_set(&err, MAPID_NO_DRIVER,
		"device '%.100s' could not be %s within %d seconds: see whether it, or the file "
		"system that it is on, works (dmesg), and try again",
		helper->name, helper_aim(helper), HELPER_S);
	/* An engine that does not read is found out by the next who answers. */
	if (helper->serial && fd >= 0)
		(void)helper_refuse(fd, helper, -ETIMEDOUT, &err);
	helper->serial = 0;
	helper->until_ns = UINT64_MAX;
	helper->hangs = true;
}

uint64_t privileged_helpers_on_time(struct privileged_helpers *helpers, int fd)
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t next_ns = UINT64_MAX;

	for (size_t i = 0; i < ARRAY_SIZE(helpers->at); i++) {
		struct privileged_helper *helper = &helpers->at[i];

		if (helper->pid && now_ns >= helper->until_ns &&
			helper_phase(helpers, helper) != PRIVILEGED_OPENS)
			helper->until_ns = UINT64_MAX;
		else if (helper->pid && now_ns >= helper->until_ns)
			helper_end(helper, fd);
		if (helper->pid)
			next_ns = MIN(next_ns, helper->until_ns);
	}
	return next_ns;
}

/* Who waits for it is told of a death. Return: as of privileged_reply(). */
static int helper_mourn(const struct privileged_helper *helper, int fd, int status)
{
	struct error err = ERROR_INIT;

	if (WIFEXITED(status))
		return WEXITSTATUS(status) == HELPER_UNREAD ? -EBADMSG : 0;
	(void)error_set(&err, MAPID_NO_DRIVER,
		"device '%.100s' could not be %s: process %d, which tried, was ended by signal %d "
		"(%s)",
		helper->name, helper_aim(helper), (int)helper->pid, WTERMSIG(status),
		strsignal(WTERMSIG(status)));
	return helper_refuse(fd, helper, -EIO, &err);
}

int privileged_helpers_ended(struct privileged_helpers *helpers, int fd, pid_t pid, int status)
{
	struct privileged_helper *helper = helper_find(helpers, pid);
	int r = 0;

	if (!helper)
		return -ESRCH;
	if (helper->serial && fd >= 0)
		r = helper_phase(helpers, helper) == PRIVILEGED_OPENS
			? helper_mourn(helper, fd, status)
			: 0;
	*helper = (struct privileged_helper){ .pid = 0 };
	return r == -EBADMSG ? r : 0;
}

void privileged_helpers_forget(struct privileged_helpers *helpers)
{
	for (size_t i = 0; i < ARRAY_SIZE(helpers->at); i++) {
		struct privileged_helper *helper = &helpers->at[i];

		/* One that hangs is to be known when somebody asks for its device again. */
		if (!helper->pid || !helper->serial ||
			helper_phase(helpers, helper) == PRIVILEGED_HANGS)
			continue;
		helper->serial = 0;
		(void)kill(helper->pid, SIGKILL); /* it is ours, and not reaped yet */
	}
}
