/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent of the system daemon: see parent.h. It keeps the rights and the listening sockets, and
 * waits for three things: signals, requests of the engine, and time. Programs that connect while
 * there is no engine wait in the sockets' queues for the next one.
 *
 * Engines that end at once, one after the other, are started with growing pauses. An engine that
 * served and was killed from outside is started at once: it was not its fault.
 */
#include "parent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "confine.h"
#include "notify.h"
#include "parent_private.h"
#include "privileged.h"

#define PARENT_MS_NS UINT64_C(1000000)
#define PARENT_S_NS (1000 * PARENT_MS_NS)
#define PARENT_QUICK_NS PARENT_S_NS /* who lives shorter died quickly */
#define PARENT_PAUSE_FIRST_NS (100 * PARENT_MS_NS)
#define PARENT_PAUSE_MAX_NS (5 * PARENT_S_NS)
#define PARENT_STOP_NS (5 * PARENT_S_NS) /* an engine that is told to end has that long */
#define PARENT_LOST_NS PARENT_S_NS /* and one that has closed its socket that long */
#define PARENT_SILENT_NS (30 * PARENT_S_NS) /* without a watchdog: an engine that hangs */
#define PARENT_LATE_NS (2 * PARENT_S_NS) /* an engine this silent may be dead already */
#define PARENT_LEAVE_NS                                                          \
	(2 * PARENT_S_NS) /* and one that is dead is reaped within that, or left \
			   */
#define PARENT_AREA_BYTES ((size_t)8 << 20)
#define PARENT_TRIES_MAX 6 /* before the first engine has served */

/**
 * struct parent - the daemon
 * @engine:        its process; 0: there is none
 * @engine_fd:     our end of the socketpair; -1: none
 * @area:          that the engine hands code over in; NULL: none
 * @loads:         what we have loaded for it
 * @helpers:       processes that open devices, for this engine or one before
 * @life_fd:       of a pipe that hangs up at clients of the engine when it has died; -1: none
 * @started_ns:    when the engine was
 * @n_starts:      of engines, ever
 * @n_quick:       engines in a row that died quickly
 * @start_ns:      when to start the next, if there is no engine
 * @ready:         this engine serves
 * @ever_ready:    some engine did
 * @condemned:     it was killed by us
 * @killed_ns:     when it died, as far as we know; 0: it has not
 * @lost_ns:       when it closed its end of the socketpair: it is ending, or should; 0: it has not
 * @alive_ns:      when it last said that it serves or is alive; 0: never
 * @fed_ns:        when the service manager last heard of us
 * @stop_ns:       when an engine that was told to end is killed; 0: not ending
 */
struct parent {
	const struct config *config;
	int (*serve)(const struct parent_engine *engine);
	struct parent_sockets sockets;
	struct notify notify;
	sigset_t old_mask;
	int signal_fd;
	pid_t engine;
	int engine_fd;
	void *area;
	struct privileged_loads loads;
	struct privileged_helpers helpers;
	int life_fd;
	uint64_t started_ns;
	unsigned int n_starts;
	unsigned int n_quick;
	uint64_t start_ns;
	bool ready;
	bool ever_ready;
	bool condemned;
	uint64_t killed_ns;
	uint64_t lost_ns;
	uint64_t alive_ns;
	uint64_t fed_ns;
	uint64_t stop_ns;
};

/* ---- the engine's process ---- */

static void parent_engine_signals(const struct parent *parent)
{
	static const int ignored[] = { SIGINT, SIGQUIT, SIGHUP, SIGPIPE, SIGXFSZ };

	/* What is meant for the daemon and reaches all of the terminal's processes is the parent's
	 * to handle; a file size limit is an error of write(). Cannot fail for valid numbers. */
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGCHLD, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &parent->old_mask, NULL);
}

/* In the child. @fd: its end of the socketpair. @life_fd: of the pipe. */
static _Noreturn void parent_engine_main(
	struct parent *parent, int fd, int life_fd, pid_t parent_pid)
{
	struct parent_engine engine = { .config = parent->config,
		.socket_fd = parent->sockets.control.fd,
		.read_only_fd = parent->sockets.read_only.fd,
		.privileged_fd = fd,
		.area = parent->area,
		.area_bytes = PARENT_AREA_BYTES,
		.life_fd = life_fd,
		.restarts = parent->n_starts };

	(void)close(parent->engine_fd);
	(void)close(parent->life_fd);
	(void)close(parent->signal_fd);
	(void)close(parent->sockets.lock_fd); /* the lock is not inherited */
	notify_close(&parent->notify);
	parent_engine_signals(parent);
	if (confine_engine(parent->config->user) < 0)
		_exit(EXIT_FAILURE);
	/* After the change of user, which would undo it; and not too late. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent_pid)
		_exit(EXIT_FAILURE);
	/* What is registered for exit() is the parent's. */
	_exit(parent->serve(&engine));
}

static void parent_schedule(struct parent *parent, bool quick)
{
	uint64_t pause_ns = 0;

	parent->n_quick = quick ? parent->n_quick + 1 : 0;
	for (unsigned int i = 1; i < parent->n_quick && pause_ns < PARENT_PAUSE_MAX_NS; i++)
		pause_ns = pause_ns ? 2 * pause_ns : PARENT_PAUSE_FIRST_NS;
	parent->start_ns = clock_monotonic_ns() + MIN(pause_ns, PARENT_PAUSE_MAX_NS);
	if (pause_ns > 0 && !parent->stop_ns)
		log_event(LOG_WARNING, "engines end quickly: the next one starts in %u ms",
			(unsigned int)(MIN(pause_ns, PARENT_PAUSE_MAX_NS) / PARENT_MS_NS));
}

static void parent_hang_up(struct parent *parent)
{
	cleanup_closep(&parent->engine_fd);
	parent->engine_fd = -1;
	if (parent->area)
		(void)munmap(parent->area, PARENT_AREA_BYTES);
	parent->area = NULL;
	privileged_loads_clear(&parent->loads);
	privileged_helpers_forget(&parent->helpers);
}

/* There is no engine, as far as anybody is concerned. */
static void parent_forget(struct parent *parent)
{
	parent->engine = 0;
	parent_hang_up(parent);
	cleanup_closep(&parent->life_fd);
	parent->life_fd = -1;
}

static int parent_area_open(struct parent *parent)
{
	void *area = mmap(
		NULL, PARENT_AREA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		return -errno;
	parent->area = area;
	return 0;
}

static int parent_fork(struct parent *parent)
{
	pid_t parent_pid = getpid();
	int fds[2], life[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	parent->engine_fd = fds[0];
	/* Its own: one before it that still hangs somewhere writes to another. */
	r = parent_area_open(parent);
	if (r == 0)
		r = pipe2(life, O_CLOEXEC) < 0 ? -errno : 0;
	if (r == 0) {
		parent->life_fd = life[1];
		(void)fflush(NULL); /* or both would write what is buffered */
		parent->engine = fork();
		if (parent->engine == 0)
			parent_engine_main(parent, fds[1], life[0], parent_pid);
		r = parent->engine < 0 ? -errno : 0;
		(void)close(life[0]);
	}
	(void)close(fds[1]);
	if (r < 0)
		parent_forget(parent);
	return r;
}

static void parent_start(struct parent *parent)
{
	int r;

	parent->started_ns = clock_monotonic_ns();
	parent->ready = parent->condemned = false;
	parent->alive_ns = parent->lost_ns = parent->killed_ns = 0;
	r = parent_fork(parent);
	if (r < 0) {
		(void)log_errno(LOG_ERR, r, "no process for the engine");
		parent_schedule(parent, true);
		return;
	}
	if (parent->n_starts++ > 0) {
		log_event(LOG_NOTICE, "the engine was started again (process %d)",
			(int)parent->engine);
		notify_send(&parent->notify, "STATUS=Serving; the engine was started %u times",
			parent->n_starts);
	}
}

/* End an engine that cannot be trusted or does not answer. It is reaped when the signal comes. */
static void parent_condemn(struct parent *parent)
{
	parent->condemned = true;
	parent->killed_ns = clock_monotonic_ns();
	parent_hang_up(parent);
	(void)kill(parent->engine, SIGKILL); /* it is ours, and not reaped yet */
}

static void parent_condemn_liar(struct parent *parent)
{
	log_event(LOG_ERR, "the engine sends what it never sends, and is ended");
	parent_condemn(parent);
}

/* ---- events ---- */

/* Return: whether it served until somebody else killed it. */
static bool parent_log_end(const struct parent *parent, int status)
{
	int level = parent->stop_ns ? LOG_DEBUG : LOG_ERR;

	if (WIFSIGNALED(status))
		log_event(level, "the engine (process %d) was ended by signal %d (%s)%s",
			(int)parent->engine, WTERMSIG(status), strsignal(WTERMSIG(status)),
			WTERMSIG(status) == SIGSYS ? ": a system call that it never makes" : "");
	else
		log_event(level, "the engine (process %d) has ended with status %d",
			(int)parent->engine, WEXITSTATUS(status));
	return parent->ready && !parent->condemned && WIFSIGNALED(status) &&
		(WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM);
}

static void parent_engine_ended(struct parent *parent, int status)
{
	bool quick = clock_monotonic_ns() - parent->started_ns < PARENT_QUICK_NS;

	if (parent_log_end(parent, status))
		quick = false;
	parent_forget(parent);
	parent_schedule(parent, quick);
}

/* Also engines that were left behind. */
static void parent_reap(struct parent *parent)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		int r;

		if (pid == parent->engine) {
			parent_engine_ended(parent, status);
			continue;
		}
		r = privileged_helpers_ended(&parent->helpers, parent->engine_fd, pid, status);
		if (r == -EBADMSG)
			parent_condemn_liar(parent);
		else if (r == -ESRCH)
			log_event(LOG_NOTICE, "process %d, which was left behind, has ended",
				(int)pid);
	}
}

static void parent_stop(struct parent *parent, int signo)
{
	if (parent->stop_ns) { /* asked twice: now */
		if (parent->engine)
			(void)kill(parent->engine, SIGKILL);
		return;
	}
	log_event(LOG_INFO, "ending: signal %d (%s)", signo, strsignal(signo));
	notify_send(&parent->notify, "STOPPING=1\nSTATUS=Ending");
	parent->stop_ns = clock_monotonic_ns() + PARENT_STOP_NS;
	if (parent->engine)
		(void)kill(parent->engine, SIGTERM);
}

static void parent_on_signals(struct parent *parent)
{
	struct signalfd_siginfo info;

	while (read(parent->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			parent_stop(parent, (int)info.ssi_signo);
			break;
		case SIGHUP:
			log_event(LOG_NOTICE,
				"the configuration is read at the start only: to change it, start "
				"the daemon again");
			break;
		default: /* SIGCHLD: below, because several may be one */
			break;
		}
	}
	parent_reap(parent);
}

static void parent_on_ready(struct parent *parent)
{
	if (!parent->ready && !parent->ever_ready) {
		log_event(LOG_INFO, "serving on %s", parent->sockets.control.path);
		notify_send(&parent->notify, "READY=1\nSTATUS=Serving");
	}
	parent->ready = parent->ever_ready = true;
	parent->alive_ns = clock_monotonic_ns();
}

/* The service manager hears of us only while the engine works, and not more often than it needs,
 * whatever the engine says. */
static void parent_on_alive(struct parent *parent)
{
	parent->alive_ns = clock_monotonic_ns();
	if (!parent->notify.watchdog_ns ||
		parent->alive_ns - parent->fed_ns < parent->notify.watchdog_ns / 8)
		return;
	parent->fed_ns = parent->alive_ns;
	notify_send(&parent->notify, "WATCHDOG=1");
}

static void parent_on_request(struct parent *parent)
{
	enum privileged_op op = _PRIVILEGED_N;
	int r = privileged_answer(parent->engine_fd, parent->config, parent->area,
		PARENT_AREA_BYTES, &parent->loads, &parent->helpers, &op);

	if (r == -EPIPE) {
		parent->lost_ns = clock_monotonic_ns();
		parent_hang_up(parent);
	} else if (r < 0) {
		parent_condemn_liar(parent);
	} else if (op == PRIVILEGED_READY) {
		parent_on_ready(parent);
	} else if (op == PRIVILEGED_ALIVE) {
		parent_on_alive(parent);
	}
}

/* ---- time ---- */

/* When the engine has been silent for too long; UINT64_MAX: never. A little before the service
 * manager would end all of us: only the engine hangs. */
static uint64_t parent_silent_ns(const struct parent *parent)
{
	if (!parent->engine || parent->condemned)
		return UINT64_MAX;
	if (parent->lost_ns)
		return parent->lost_ns + PARENT_LOST_NS;
	if (!parent->alive_ns)
		return UINT64_MAX;
	return parent->alive_ns +
		(parent->notify.watchdog_ns ? parent->notify.watchdog_ns / 2 : PARENT_SILENT_NS);
}

/* The letter of proc(5); 0: none. */
static char parent_engine_state(const struct parent *parent)
{
	char path[32], text[64] = "";
	const char *at;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)parent->engine);
	file = fopen(path, "re");
	if (!file)
		return 0;
	at = fgets(text, sizeof(text), file) ? strrchr(text, ')') : NULL;
	(void)fclose(file);
	return at && at[1] == ' ' ? at[2] : (char)0;
}

/* Whether all that is left of the engine waits for one of its threads, which hangs in the kernel:
 * on a file of a file system that does not answer, perhaps. Then it cannot be reaped. */
static bool parent_engine_is_dead(const struct parent *parent)
{
	return parent_engine_state(parent) == 'Z';
}

/* Somebody has stopped it, or looks at it with a debugger. */
static bool parent_engine_is_stopped(const struct parent *parent)
{
	char state = parent_engine_state(parent);

	return state == 'T' || state == 't';
}

/* Others are not to wait for it, too. Return: when to look again. */
static uint64_t parent_look_for_dead(struct parent *parent)
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t heard_ns = MAX(parent->started_ns, parent->alive_ns);

	if (!parent->engine)
		return UINT64_MAX;
	if (!parent->killed_ns) {
		if (now_ns - heard_ns < PARENT_LATE_NS)
			return heard_ns + PARENT_LATE_NS;
		if (!parent_engine_is_dead(parent))
			return now_ns + PARENT_LATE_NS;
		parent->killed_ns = now_ns;
	}
	if (now_ns - parent->killed_ns < PARENT_LEAVE_NS)
		return parent->killed_ns + PARENT_LEAVE_NS;
	log_event(LOG_ERR,
		"the engine (process %d) was killed and hangs in the kernel: it is left behind",
		(int)parent->engine);
	(void)kill(parent->engine, SIGKILL); /* whoever has ended its first thread */
	parent_forget(parent);
	parent_schedule(parent, false);
	return now_ns;
}

/* What time has come for. Return: when to look again; UINT64_MAX: no need. */
static uint64_t parent_on_time(struct parent *parent)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (parent->stop_ns) {
		if (now_ns < parent->stop_ns)
			return parent->stop_ns;
		log_event(LOG_WARNING, "the engine does not end, and is killed");
		(void)kill(parent->engine, SIGKILL);
		parent->killed_ns = now_ns;
		parent->stop_ns = UINT64_MAX;
		return now_ns;
	}
	if (!parent->engine) {
		if (now_ns < parent->start_ns)
			return parent->start_ns;
		parent_start(parent);
		return parent->engine ? parent_silent_ns(parent) : parent->start_ns;
	}
	if (now_ns >= parent_silent_ns(parent) && !parent->notify.watchdog_ns &&
		parent_engine_is_stopped(parent))
		parent->alive_ns = now_ns;
	if (now_ns >= parent_silent_ns(parent)) {
		log_event(LOG_ERR, "the engine (process %d) is silent, and is ended",
			(int)parent->engine);
		parent_condemn(parent);
	}
	return parent_silent_ns(parent);
}

static void parent_wait(struct parent *parent, uint64_t until_ns)
{
	struct pollfd fds[] = { { .fd = parent->signal_fd, .events = POLLIN },
		{ .fd = parent->engine_fd, .events = POLLIN } };
	uint64_t now_ns = clock_monotonic_ns();
	int timeout_ms = -1;

	if (until_ns != UINT64_MAX)
		timeout_ms = until_ns <= now_ns ? 0 : (int)((until_ns - now_ns) / PARENT_MS_NS) + 1;
	if (poll(fds, ARRAY_SIZE(fds), timeout_ms) < 0)
		return; /* a signal that is not ours; anything else will come again */
	if (fds[0].revents)
		parent_on_signals(parent);
	/* One at a time, so that signals come first; not if it was reaped just now. */
	if (fds[1].revents && parent->engine_fd >= 0)
		parent_on_request(parent);
}

/* Return: 0; -ECHILD: no engine ever came to serve. */
static int parent_loop(struct parent *parent)
{
	for (;;) {
		uint64_t until_ns, dead_ns, help_ns;

		if (parent->stop_ns && !parent->engine)
			return 0;
		if (!parent->ever_ready && parent->n_quick >= PARENT_TRIES_MAX) {
			log_event(LOG_ERR, "the engine cannot serve: see the messages above");
			return -ECHILD;
		}
		until_ns = parent_on_time(parent);
		dead_ns = parent_look_for_dead(parent);
		help_ns = privileged_helpers_on_time(&parent->helpers, parent->engine_fd);
		parent_wait(parent, MIN(until_ns, MIN(dead_ns, help_ns)));
	}
}

static int parent_init(struct parent *parent)
{
	sigset_t mask;

	(void)signal(SIGCHLD, SIG_DFL); /* an inherited SIG_IGN would reap for us */
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigaddset(&mask, SIGINT);
	(void)sigaddset(&mask, SIGHUP);
	(void)sigaddset(&mask, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &mask, &parent->old_mask) < 0)
		return log_errno(LOG_ERR, -errno, "sigprocmask");
	parent->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (parent->signal_fd < 0)
		return log_errno(LOG_ERR, -errno, "signalfd");
	return 0;
}

static void parent_deinit(struct parent *parent)
{
	struct signalfd_siginfo info;

	/* Who asks twice does not want us to end otherwise than well. */
	while (read(parent->signal_fd, &info, sizeof(info)) == sizeof(info))
		;
	(void)close(parent->signal_fd);
	(void)sigprocmask(SIG_SETMASK, &parent->old_mask, NULL);
}

/* Who is not root may mean another way to the same end. */
static void parent_tell_ordinary_user(int r)
{
	if (geteuid() == 0 || (r != -EACCES && r != -EPERM))
		return;
	log_event(LOG_ERR,
		"the system daemon is started by root ('sudo mapid', 'systemctl start mapid'). "
		"Your "
		"programs start a private daemon by themselves, for capture files, and for "
		"interfaces if they have CAP_NET_RAW. For a daemon of your own name sockets of "
		"your "
		"own (mapid -f FILE with socket_path= and read_only_socket_path=)");
}

int parent_run(const struct config *config, int (*serve)(const struct parent_engine *engine))
{
	struct parent parent = {
		.config = config, .serve = serve, .signal_fd = -1, .engine_fd = -1, .life_fd = -1
	};
	int r = parent_init(&parent); /* first, so that no signal leaves sockets behind */

	if (r < 0)
		return r;
	r = parent_sockets_open(&parent.sockets, config);
	if (r == 0) {
		if (geteuid() != 0)
			log_event(LOG_WARNING,
				"not started as root: without CAP_NET_RAW and CAP_NET_ADMIN "
				"interfaces cannot be opened");
		notify_open(&parent.notify);
		r = parent_loop(&parent);
		parent_sockets_close(&parent.sockets);
		notify_close(&parent.notify);
	} else {
		parent_tell_ordinary_user(r);
	}
	parent_deinit(&parent);
	return r;
}
