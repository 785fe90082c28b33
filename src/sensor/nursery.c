/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The nursery: see nursery.h. A question is its number; the answer has the same number, and an
 * errno or two descriptors: the socket to the child, and the child itself (pidfd_open(2)), so that
 * no process is ever ended in its place. Answers to questions whose asker has given up are dropped:
 * without its socket, the child ends. The kernel reaps the children.
 */
#include "nursery.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/build.h"
#include "base/close_from.h"

#define NURSERY_WAIT_S 2 /* an answer takes a millisecond */
#define NURSERY_CPU_S 3 /* per task; who gave it kills sooner */
#define NURSERY_MEMORY_BYTES ((rlim_t)512 << 20)
#define NURSERY_FDS 16 /* the resolver's files and sockets */
#define NURSERY_FD 0 /* in the nursery: to the engine */
#define NURSERY_ANSWER_FDS 2

struct nursery {
	pid_t pid;
	int fd;
	pthread_mutex_t lock; /* one question at a time */
	uint32_t question; /* the last one's number */
};

struct nursery_answer {
	uint32_t question;
	int32_t code;
};

union nursery_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(NURSERY_ANSWER_FDS * sizeof(int))];
};

/* ---- the nursery's side ---- */

static void nursery_limit(__rlimit_resource_t resource, rlim_t limit)
{
	const struct rlimit both = { .rlim_cur = limit, .rlim_max = limit };

	if (setrlimit(resource, &both) < 0 && errno != EPERM) /* EPERM: it is lower already */
		_exit(1);
}

/* The limit counts what was mapped before, too: the program and its libraries. */
static void nursery_limit_memory(void)
{
	char text[64] = "";
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	rlim_t mapped_pages;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		_exit(1);
	(void)close(fd);
	mapped_pages = strtoull(text, NULL, 10);
	nursery_limit(
		RLIMIT_AS, mapped_pages * (rlim_t)sysconf(_SC_PAGESIZE) + NURSERY_MEMORY_BYTES);
}

static void nursery_reset_signals(void)
{
	const struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int signo = 1; signo < _NSIG; signo++)
		(void)sigaction(signo, &action, NULL); /* not for KILL, STOP and libc's own */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Keep one descriptor, under a number of its own. */
static void nursery_keep(int fd, int as)
{
	if (dup2(fd, as) < 0)
		_exit(1);
	close_from((unsigned int)as + 1);
}

static void nursery_confine(int fd)
{
	(void)prctl(PR_SET_NAME, NURSERY_PROCESS_NAME); /* cannot fail */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		_exit(1);
	nursery_reset_signals();
	nursery_keep(fd, NURSERY_FD);
	if (!BUILD_SANITIZED) /* shadow memory is larger than any limit */
		nursery_limit_memory();
	nursery_limit(RLIMIT_CORE, 0);
	nursery_limit(RLIMIT_FSIZE, 0);
}

static _Noreturn void nursery_child_main(int fd, void (*body)(void))
{
	nursery_keep(fd, NURSERY_CHILD_FD);
	(void)signal(SIGCHLD, SIG_DFL);
	/* Not the nursery's: it is also how many descriptors of this user may be on their way from
	 * any process to another before this one may send some. */
	nursery_limit(RLIMIT_NOFILE, NURSERY_FDS);
	nursery_limit(RLIMIT_NPROC, 0);
	/* With the nursery. Who has lost it already sees the end of its socket. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(1);
	body();
	_exit(0);
}

/* Return: 0, negative errno. */
static int nursery_bear(int ret_fds[NURSERY_ANSWER_FDS], void (*body)(void))
{
	int fds[2], r = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		nursery_child_main(fds[1], body);
	ret_fds[0] = fds[0];
	/* It waits for a task, and lives. */
	ret_fds[1] = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (ret_fds[1] < 0)
		r = -errno;
	(void)close(fds[1]);
	if (r < 0)
		(void)close(fds[0]);
	return r;
}

static void nursery_answer(uint32_t question, void (*body)(void))
{
	union nursery_control control = { .bytes = { 0 } };
	int fds[NURSERY_ANSWER_FDS];
	struct nursery_answer answer = { .question = question, .code = nursery_bear(fds, body) };
	struct iovec iov = { .iov_base = &answer, .iov_len = sizeof(answer) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	bool has_child = answer.code == 0;
	struct cmsghdr *c;

	if (has_child) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fds));
		memcpy(CMSG_DATA(c), fds, sizeof(fds));
	}
	if (sendmsg(NURSERY_FD, &msg, MSG_NOSIGNAL) < 0) {
		/* Too many descriptors are on their way (ETOOMANYREFS), or no memory: later. */
		msg.msg_controllen = 0;
		msg.msg_control = NULL;
		answer.code = -errno;
		if (!has_child || sendmsg(NURSERY_FD, &msg, MSG_NOSIGNAL) < 0)
			_exit(0);
	}
	for (size_t i = 0; has_child && i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
}

static _Noreturn void nursery_main(int fd, void (*body)(void))
{
	uint32_t question;
	ssize_t n;

	nursery_confine(fd);
	(void)signal(SIGCHLD, SIG_IGN); /* the kernel reaps */
	for (;;) {
		n = recv(NURSERY_FD, &question, sizeof(question), 0);
		if (n == sizeof(question))
			nursery_answer(question, body);
		else if (n == 0 || errno != EINTR)
			_exit(0);
	}
}

void nursery_wind_up(void)
{
	struct rlimit limit;
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) < 0 || getrlimit(RLIMIT_CPU, &limit) < 0)
		_exit(1);
	limit.rlim_cur = MIN(limit.rlim_max,
		(rlim_t)usage.ru_utime.tv_sec + (rlim_t)usage.ru_stime.tv_sec + NURSERY_CPU_S);
	if (setrlimit(RLIMIT_CPU, &limit) < 0)
		_exit(1);
}

/* ---- the engine's side ---- */

int nursery_new(struct nursery **ret, void (*body)(void))
{
	static const struct timeval patience = { .tv_sec = NURSERY_WAIT_S };
	_cleanup_(cleanup_freep) struct nursery *nursery = calloc(1, sizeof(*nursery));
	int fds[2], r = 0;

	if (!nursery)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	(void)setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	nursery->pid = fork();
	if (nursery->pid == 0)
		nursery_main(fds[1], body);
	if (nursery->pid < 0)
		r = -errno;
	(void)close(fds[1]);
	if (r < 0) {
		(void)close(fds[0]);
		return r;
	}
	nursery->fd = fds[0];
	(void)pthread_mutex_init(&nursery->lock, NULL); /* cannot fail on Linux */
	*ret = TAKE(nursery);
	return 0;
}

struct nursery *nursery_free(struct nursery *nursery)
{
	if (!nursery)
		return NULL;
	(void)close(nursery->fd);
	(void)kill(nursery->pid, SIGKILL); /* it is ours, and not reaped yet */
	(void)waitpid(nursery->pid, NULL, 0);
	(void)pthread_mutex_destroy(&nursery->lock);
	free(nursery);
	return NULL;
}

bool nursery_lives(const struct nursery *nursery)
{
	char byte;

	/* Nothing comes unasked, but the end. An answer to somebody else's question stays. */
	return recv(nursery->fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) != 0;
}

/* The next answer, to whatever question. Return: 0, negative errno: there is none, or no child. */
static int nursery_receive(int fd, uint32_t *ret_question, struct nursery_child *ret)
{
	union nursery_control control = { .bytes = { 0 } };
	struct nursery_answer answer;
	struct iovec iov = { .iov_base = &answer, .iov_len = sizeof(answer) };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes) };
	int fds[NURSERY_ANSWER_FDS] = { -1, -1 };
	const struct cmsghdr *c;
	size_t fds_bytes = 0;
	ssize_t n;

	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(answer))
		return n < 0 && errno == EAGAIN ? -ETIMEDOUT : -EPIPE;
	*ret_question = answer.question;
	if (answer.code < 0)
		return answer.code;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_type == SCM_RIGHTS)
		fds_bytes = MIN(c->cmsg_len - CMSG_LEN(0), sizeof(fds));
	if (fds_bytes)
		memcpy(fds, CMSG_DATA(c), fds_bytes);
	if (fds_bytes < sizeof(fds)) { /* our table is full */
		cleanup_closep(&fds[0]);
		return -EMFILE;
	}
	*ret = (struct nursery_child){ .fd = fds[0], .pid_fd = fds[1] };
	return 0;
}

int nursery_fork(struct nursery *nursery, struct nursery_child *ret)
{
	struct nursery_child child = NURSERY_CHILD_NONE;
	uint32_t question, answered;
	int r;

	(void)pthread_mutex_lock(&nursery->lock);
	question = answered = ++nursery->question;
	r = send(nursery->fd, &question, sizeof(question), MSG_NOSIGNAL) < 0 ? -errno : 0;
	if (r == 0)
		r = nursery_receive(nursery->fd, &answered, &child);
	while (answered != question) { /* somebody has given up on that one */
		nursery_kill(&child);
		answered = question;
		r = nursery_receive(nursery->fd, &answered, &child);
	}
	(void)pthread_mutex_unlock(&nursery->lock);
	if (r == 0)
		*ret = child;
	return r;
}

void nursery_kill(struct nursery_child *child)
{
	if (child->fd < 0)
		return;
	(void)syscall(SYS_pidfd_send_signal, child->pid_fd, SIGKILL, NULL, 0);
	(void)close(child->fd);
	(void)close(child->pid_fd);
	*child = NURSERY_CHILD_NONE;
}
