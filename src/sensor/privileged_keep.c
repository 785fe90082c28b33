/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices that nobody can open for another (driver/relay.h): the helper that was to open one keeps
 * it for the engine. It stays as it is, with the parent's rights, and meets neither packets nor the
 * engine, of which it only hears that it has closed its end. A process of its own, the reader,
 * opens the device with these rights, gives them up for good, and hands packets over; when it has
 * ended, because the device is down or gone, or because somebody has killed it, another one is
 * tried every 250 ms.
 *
 * What may take for ever is opening a device. A reader that has not done so in 3 seconds is killed.
 * If the kernel does not let it end, the keeper waits for that, and lets the parent know.
 *
 * The parent's death ends the keeper, and the keeper's the reader.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
#include "base/log.h"
#include "confine.h"
#include "driver/relay.h"
#include "mapi/errors.h"
#include "privileged_private.h"

#define KEEP_OPEN_S 3 /* less than a helper has */
#define KEEP_END_MS 500 /* that a reader has to end */
#define KEEP_MS_NS UINT64_C(1000000)
#define KEEP_RETRY_MS 250
#define KEEP_AGAIN_MS 1000 /* who kept the device before is gone by then */
#define KEEP_AGAIN_PAUSE_MS 50

/**
 * struct keep - a device that is kept
 * @fd:     to the engine, for the answer
 * @user:   who the reader becomes
 * @reader: its process; 0: none
 * @told_fd: hangs up when the reader has ended
 */
struct keep {
	int fd;
	const char *user;
	const struct driver *driver;
	const struct driver_open_args *args;
	struct relay *relay;
	_Atomic uint32_t *phase;
	pid_t reader;
	int told_fd;
};

/* What a reader says once: whether it has opened the device. */
struct keep_told {
	int32_t outcome;
	struct error err;
};

/* ---- the reader ---- */

/* Neither the terminal nor what helpers tell the parent is a reader's. */
static void keep_reader_leave(struct keep *keep)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; null_fd >= 0 && fd <= STDERR_FILENO; fd++)
		(void)dup2(null_fd, fd);
	cleanup_closep(&null_fd);
	(void)munmap((void *)((uintptr_t)keep->phase & ~(page - 1)), page);
	(void)close(keep->fd);
	relay_give(keep->relay);
}

/* Return: 0, negative errno with @err filled. */
static int keep_reader_open(struct keep *keep, pid_t keeper, int tell_fd, struct error *err)
{
	struct driver_source *source;
	int r = keep->driver->open(&source, keep->args, err);

	if (r < 0)
		return r;
	r = confine_reader(keep->user, tell_fd);
	if (r < 0) {
		(void)error_set(err, MAPID_NO_DRIVER,
			"%s: the process that captures cannot give up its rights: %s",
			keep->args->name, strerror(-r));
		return r;
	}
	/* After the change of user, which has undone it; and not too late. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper)
		_exit(EXIT_FAILURE);
	return relay_begin(keep->relay, keep->driver, source);
}

static _Noreturn void keep_reader_main(struct keep *keep, pid_t keeper, int tell_fd)
{
	struct keep_told told = { .err = ERROR_INIT };

	(void)prctl(PR_SET_NAME, "mapid-capture");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != keeper)
		_exit(EXIT_FAILURE);
	keep_reader_leave(keep);
	told.outcome = keep_reader_open(keep, keeper, tell_fd, &told.err);
	(void)!write(tell_fd, &told, sizeof(told)); /* a keeper that is gone ends us, too */
	_exit(told.outcome == 0 && relay_run(keep->relay) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* ---- the keeper ---- */

/* Return: 0, negative errno. */
static int keep_fork(struct keep *keep)
{
	pid_t keeper = getpid();
	int told[2], r;

	if (pipe2(told, O_CLOEXEC) < 0)
		return -errno;
	keep->reader = fork();
	if (keep->reader == 0) {
		(void)close(told[0]);
		keep_reader_main(keep, keeper, told[1]);
	}
	r = keep->reader < 0 ? -errno : 0;
	(void)close(told[1]);
	if (r < 0) {
		keep->reader = 0;
		(void)close(told[0]);
		return r;
	}
	keep->told_fd = told[0];
	return 0;
}

/* Wait until the reader ends, or, with POLLIN, says something. Signals are blocked. @timeout_ms:
 * -1: no limit. Return: 0; -ETIMEDOUT; -EPIPE: the engine has closed its end. */
static int keep_wait(const struct keep *keep, short events, int timeout_ms)
{
	struct pollfd polls[] = { { .fd = relay_lease_fd(keep->relay) },
		{ .fd = keep->told_fd, .events = events } };
	int n = poll(polls, ARRAY_SIZE(polls), timeout_ms);

	if (n > 0 && polls[0].revents)
		return -EPIPE;
	return n > 0 ? 0 : -ETIMEDOUT;
}

/* Take away a reader that has ended, or is to. Return: as of waitpid(). */
static int keep_reap(struct keep *keep)
{
	int status = 0;

	while (waitpid(keep->reader, &status, 0) < 0 && errno == EINTR)
		;
	keep->reader = 0;
	cleanup_closep(&keep->told_fd);
	keep->told_fd = -1;
	return status;
}

static void keep_kill(const struct keep *keep)
{
	(void)kill(keep->reader, SIGKILL); /* it is ours, and not reaped yet */
}

/* The reader has opened the device, or has told why not, or neither. Return: 0, -EINVAL with @err
 * filled. */
static int keep_hear(struct keep *keep, struct error *err)
{
	const char *name = keep->args->name;
	struct keep_told told;
	int status;

	if (read(keep->told_fd, &told, sizeof(told)) == sizeof(told)) {
		if (told.outcome == 0)
			return 0;
		told.err.text[sizeof(told.err.text) - 1] = '\0';
		(void)keep_reap(keep);
		return error_set(err, told.err.code ? told.err.code : MAPID_NO_DRIVER, "%s",
			told.err.code ? told.err.text : strerror(-told.outcome));
	}
	status = keep_reap(keep);
	if (WIFSIGNALED(status))
		return error_set(err, MAPID_NO_DRIVER,
			"device '%.100s' could not be opened: the process that tried was ended by "
			"signal %d (%s)",
			name, WTERMSIG(status), strsignal(WTERMSIG(status)));
	return error_set(err, MAPID_NO_DRIVER,
		"device '%.100s' could not be opened: the process that tried has ended", name);
}

/* Have a reader open the device. Return: 0; -EPIPE: the engine does not want it any more;
 * -ETIMEDOUT with @err filled, and a reader that was killed, to be reaped; -EINVAL with @err
 * filled. */
static int keep_open(struct keep *keep, struct error *err)
{
	int r = keep_fork(keep);

	if (r < 0)
		return error_set(err, MAPID_NO_DRIVER,
			"device '%.100s' cannot be opened: no process for it: %s", keep->args->name,
			strerror(-r));
	r = keep_wait(keep, POLLIN, KEEP_OPEN_S * 1000);
	if (r == 0)
		return keep_hear(keep, err);
	keep_kill(keep);
	if (r == -ETIMEDOUT)
		(void)error_set(err, MAPID_NO_DRIVER,
			"device '%.100s' could not be opened within %d seconds: see whether it "
			"works "
			"(dmesg), and try again",
			keep->args->name, KEEP_OPEN_S);
	return r;
}

/* A reader that was killed may not end. */
static void keep_reap_killed(struct keep *keep)
{
	struct pollfd told = { .fd = keep->told_fd };
	uint32_t phase = atomic_load(keep->phase);

	if (poll(&told, 1, KEEP_END_MS) == 0)
		atomic_store(keep->phase, (uint32_t)PRIVILEGED_HANGS);
	(void)keep_reap(keep);
	atomic_store(keep->phase, phase);
}

/* The first time. Who kept the device before may need some time to close it. */
static int keep_open_first(struct keep *keep, bool is_again, struct error *err)
{
	uint64_t until_ns = clock_monotonic_ns() + KEEP_AGAIN_MS * KEEP_MS_NS;
	struct error last;
	int r;

	for (;;) {
		last = ERROR_INIT;
		r = keep_open(keep, &last);
		if (r != -EINVAL || !is_again || clock_monotonic_ns() >= until_ns)
			break;
		(void)poll(NULL, 0, KEEP_AGAIN_PAUSE_MS);
	}
	*err = last;
	return r;
}

/* Return: whether the engine wants the device still. */
static bool keep_pause(const struct keep *keep)
{
	struct pollfd lease = { .fd = relay_lease_fd(keep->relay) };

	return poll(&lease, 1, KEEP_RETRY_MS) <= 0;
}

/* Have a reader again. Return: whether the engine wants the device still. */
static bool keep_open_again(struct keep *keep)
{
	while (keep_pause(keep)) {
		struct error unheard = ERROR_INIT;
		int r = keep_open(keep, &unheard);

		if (r == 0)
			return true;
		if (r == -EPIPE)
			return false;
		if (r == -ETIMEDOUT)
			keep_reap_killed(keep);
		relay_gone(keep->relay);
	}
	return false;
}

/* Until the engine has closed the device, or a reader finds that it is no engine of ours. */
static void keep_on(struct keep *keep)
{
	int status;

	do {
		if (keep_wait(keep, 0, -1) < 0)
			return;
		status = keep_reap(keep);
		if (WIFSIGNALED(status))
			relay_gone(keep->relay);
		else if (WEXITSTATUS(status) != EXIT_SUCCESS)
			return;
	} while (keep_open_again(keep));
}

/* Return: as of privileged_reply(). */
static int keep_answer(
	struct keep *keep, const struct privileged_request *request, int r, const struct error *err)
{
	struct privileged_reply reply = { .serial = request->serial };
	int fds[RELAY_N_FDS];

	relay_fds(keep->relay, fds);
	if (r == 0) {
		reply.n_fds = RELAY_N_FDS;
	} else {
		reply.code = err->code ? err->code : MAPID_NO_DRIVER;
		memcpy(reply.text, err->text, sizeof(reply.text));
	}
	return privileged_reply(keep->fd, &reply, fds);
}

/* Return: of the answer. */
static int keep_run(struct keep *keep, const struct privileged_request *request, bool is_again)
{
	struct error err = ERROR_INIT;
	int outcome = keep_open_first(keep, is_again, &err);
	int r = keep_answer(keep, request, outcome, &err);

	if (outcome == 0 && r == 0) {
		atomic_store(keep->phase, (uint32_t)PRIVILEGED_KEEPS);
		(void)close(keep->fd);
		relay_give(keep->relay);
		keep_on(keep);
	}
	if (keep->reader) {
		keep_kill(keep);
		keep_reap_killed(keep);
	}
	return r;
}

bool privileged_keep(int fd, const struct config *config, const struct privileged_request *request,
	_Atomic uint32_t *phase, bool is_again, int *ret)
{
	struct error err = ERROR_INIT;
	struct driver_options options;
	struct driver_open_args args;
	struct keep keep = { .fd = fd, .args = &args, .phase = phase, .told_fd = -1 };

	if (privileged_find(config, request->name, &args, &options, &err) < 0)
		return false;
	keep.driver = driver_find(&args);
	if (!keep.driver || !keep.driver->relays)
		return false;
	args.batch_pkts = PACKET_BATCH_MAX;
	args.n_workers = 1;
	keep.user = config->user;
	/* Files of the log are not a helper's. */
	log_open("mapid", LOG_EMERG);
	if (keep.driver->relays(&args, &err) < 0 || relay_new(&keep.relay, &options) < 0) {
		struct privileged_reply reply = { .serial = request->serial };

		(void)error_set(&err, MAPID_NO_DRIVER,
			"device '%.100s' cannot be opened: no memory", args.name);
		reply.code = err.code;
		memcpy(reply.text, err.text, sizeof(reply.text));
		*ret = privileged_reply(fd, &reply, NULL);
		return true;
	}
	*ret = keep_run(&keep, request, is_again);
	relay_free(keep.relay);
	return true;
}
