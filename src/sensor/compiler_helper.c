/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The helper process of the compiler: it confines itself, then answers questions until its parent
 * closes the socket or kills it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <pcap/bpf.h>

#include "base/buf.h"
#include "base/spin.h"
#include "compiler_private.h"
#include "mapi/errors.h"

#define HELPER_CPU_S 3 /* per expression; only where the parent cannot kill: it is less patient */
#define HELPER_MEMORY_BYTES ((rlim_t)512 << 20)
#define HELPER_FDS 16 /* the resolver's files and sockets */
#define HELPER_FD 0
#define HELPER_SPIN_US 50 /* the next question may be under way */

static void helper_limit(__rlimit_resource_t resource, rlim_t limit)
{
	const struct rlimit both = { .rlim_cur = limit, .rlim_max = limit };

	if (setrlimit(resource, &both) < 0 && errno != EPERM) /* EPERM: it is lower already */
		_exit(1);
}

/* The limit counts what was mapped before the fork, too: captures, rings, workers' stacks. */
static void helper_limit_memory(void)
{
	char text[64] = "";
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	rlim_t mapped_pages;

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		_exit(1);
	(void)close(fd);
	mapped_pages = strtoull(text, NULL, 10);
	helper_limit(RLIMIT_AS, mapped_pages * (rlim_t)sysconf(_SC_PAGESIZE) + HELPER_MEMORY_BYTES);
}

static void helper_reset_signals(void)
{
	const struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int signo = 1; signo < _NSIG; signo++)
		(void)sigaction(signo, &action, NULL); /* not for KILL, STOP and libc's own */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What has a path and was inherited; -1: the end. */
static void *helper_close_files(void *argument)
{
	int *files = argument;

	/* Only these: what the helper opens meanwhile has other numbers. */
	for (unsigned int i = 0; files[i] >= 0; i++)
		(void)close(files[i]);
	free(files);
	return NULL;
}

/* Close what has no path, which waits for nobody, as we are not the last one to have it. Return:
 * the others, to be freed; NULL: without memory or /proc. */
static int *helper_close_nameless(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int *files = calloc(1, sizeof(files[0])), *grown;
	const struct dirent *entry;
	size_t n = 0;

	while (directory && files && (entry = readdir(directory))) {
		int fd = (int)strtol(entry->d_name, NULL, 10); /* . and .. are 0 */
		char target[2];

		if (fd <= HELPER_FD || fd == dirfd(directory) ||
			readlinkat(dirfd(directory), entry->d_name, target, sizeof(target)) <= 0)
			continue;
		if (target[0] != '/') {
			(void)close(fd);
			continue;
		}
		grown = realloc(files, (n + 2) * sizeof(files[0]));
		if (!grown)
			break;
		files = grown;
		files[n++] = fd;
	}
	if (!directory) {
		free(files);
		return NULL;
	}
	(void)closedir(directory);
	if (files)
		files[n] = -1;
	return files;
}

/* Files may be of a file system that never answers, which some client of the daemon serves: then a
 * thread waits for it, and expressions do not. */
static void helper_close_others(void)
{
	int *files;
	pthread_t thread;

	/* Neither memory nor threads are to be had in the child of a sanitized process with
	 * threads.
	 */
	if (COMPILER_SANITIZED) {
		(void)close_range(HELPER_FD + 1, UINT_MAX, 0);
		return;
	}
	files = helper_close_nameless();
	if (!files || pthread_create(&thread, NULL, helper_close_files, files) != 0)
		_exit(1);
	(void)pthread_detach(thread);
}

static void helper_confine(int fd, bool with_parent)
{
	(void)prctl(PR_SET_NAME, COMPILER_PROCESS_NAME); /* cannot fail */
	if (with_parent && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(1);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		_exit(1);
	helper_reset_signals();
	if (dup2(fd, HELPER_FD) < 0)
		_exit(1);
	helper_close_others();
	if (!COMPILER_SANITIZED) /* shadow memory is larger than any limit */
		helper_limit_memory();
	helper_limit(RLIMIT_NOFILE, HELPER_FDS);
	helper_limit(RLIMIT_CORE, 0);
	helper_limit(RLIMIT_FSIZE, 0);
}

/* Another expression, another few seconds. */
static void helper_wind_up(void)
{
	struct rlimit limit;
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) < 0 || getrlimit(RLIMIT_CPU, &limit) < 0)
		_exit(1);
	limit.rlim_cur = MIN(limit.rlim_max,
		(rlim_t)usage.ru_utime.tv_sec + (rlim_t)usage.ru_stime.tv_sec + HELPER_CPU_S);
	if (setrlimit(RLIMIT_CPU, &limit) < 0)
		_exit(1);
}

/* All or nothing: an end within a question is the end. */
static void helper_get(void *ret, size_t n_bytes)
{
	ssize_t n;

	if (n_bytes == 0)
		return;
	(void)spin_poll(HELPER_FD, POLLIN, HELPER_SPIN_US);
	do
		n = recv(HELPER_FD, ret, n_bytes, MSG_WAITALL);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)n_bytes)
		_exit(0);
}

static void helper_put(const void *bytes, size_t n_bytes)
{
	const char *at = bytes;

	while (n_bytes > 0) {
		ssize_t n = send(HELPER_FD, at, n_bytes, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			_exit(0);
		at += n;
		n_bytes -= (size_t)n;
	}
}

static void helper_answer(int code, const void *bytes, size_t n_bytes)
{
	const struct compiler_answer head = { .code = code, .n_bytes = (uint32_t)n_bytes };
	char *answer = malloc(sizeof(head) + n_bytes);

	if (!answer)
		_exit(1);
	memcpy(answer, &head, sizeof(head));
	if (n_bytes > 0)
		memcpy(answer + sizeof(head), bytes, n_bytes);
	helper_put(answer, sizeof(head) + n_bytes); /* at once: the parent wakes once */
	free(answer);
}

static void helper_compile(const char *expression, uint32_t linktype)
{
	struct filter_program *program;
	const struct bpf_insn *insns;
	struct error err = ERROR_INIT;
	int r = filter_compile(&program, expression, linktype, &err);

	if (r == 0) {
		unsigned int n_insns = filter_program_insns(program, &insns);

		helper_answer(0, insns, n_insns * sizeof(insns[0]));
		filter_program_free(program);
	} else if (r == -EINVAL) {
		helper_answer(PCAP_BPF_ERR, err.text, strlen(err.text));
	} else {
		helper_answer(COMPILER_NO_MEMORY, NULL, 0);
	}
}

void compiler_helper_main(int fd, bool with_parent)
{
	static char expression[FILTER_EXPRESSION_MAX + 1];

	helper_confine(fd, with_parent);
	for (;;) {
		struct compiler_question question;

		helper_get(&question, sizeof(question));
		if (question.n_bytes > FILTER_EXPRESSION_MAX)
			_exit(1);
		helper_get(expression, question.n_bytes);
		expression[question.n_bytes] = '\0';
		helper_wind_up();
		helper_compile(expression, question.linktype);
	}
}
