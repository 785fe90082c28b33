/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An unlucky or hostile program: random calls of the whole API in any order, with descriptors that
 * are valid, stale or nonsense, from several threads, from signal handlers, across forks, while the
 * daemon is killed, on captures that are damaged or never end.
 *
 * usage: abuse ROUNDS SEED CAPTURE...
 *
 * Each round is a process of its own with its own seed (SEED + round), so a failure can be repeated
 * alone: abuse 1 SEED+round CAPTURE... A round fails if it crashes, hangs for ten seconds, prints a
 * sanitizer's report (the daemon writes to the same stderr), gets a wrong error code, or leaves a
 * process behind. It uses the current directory for its files. What the environment's ABUSE_ON_HANG
 * names is run with the process that hangs as its argument: a shell command that prints the stacks.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "abuse.h"
#include "process.h"

#define ABUSE_THREADS_MAX 4
#define ABUSE_HANG_S 10.0
#define ABUSE_END_MS 250 /* after that a round closes all it has */

struct abuse abuse = { .names_lock = PTHREAD_MUTEX_INITIALIZER };

void abuse_kill_daemons(void)
{
	int pids[64];
	unsigned int n = process_below(getppid(), pids, 64);

	for (unsigned int i = 0; i < n; i++) {
		char path[64], name[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/comm", pids[i]);
		file = fopen(path, "r");
		if (!file)
			continue;
		if (fgets(name, sizeof(name), file) && strncmp(name, "mapid", 5) == 0) {
			abuse.killed = true;
			kill(pids[i], SIGKILL);
		}
		fclose(file);
	}
}

static void abuse_handler(int signo)
{
	int saved_errno = errno, fd = abuse.flows[abuse.ticks % ABUSE_FLOWS];
	mapi_results_t *result;

	(void)signo;
	if (++abuse.ticks % 8 == 0)
		(void)mapi_close_flow(fd);
	else if ((result = mapi_read_results(fd, 1)) && result->size > 0 && !abuse.functions[0])
		(void)*(volatile unsigned char *)result->res;
	errno = saved_errno;
}

struct abuse_thread {
	pthread_t thread;
	uint64_t seed;
	_Atomic bool done;
};

static void *abuse_main(void *argument)
{
	struct abuse_thread *self = argument;

	abuse_state = self->seed;
	for (unsigned int n = 40 + abuse_random(200); n > 0 && !abuse.over; n--)
		abuse_step();
	self->done = true;
	return NULL;
}

/* One round. The main thread keeps the time: waiters must return when their flow is closed. */
static int abuse_round(uint64_t seed)
{
	struct abuse_thread threads[ABUSE_THREADS_MAX] = { { .done = false } };
	struct itimerval period = { .it_interval = { .tv_usec = 300 },
		.it_value = { .tv_usec = 300 } };
	struct sigaction action = { .sa_handler = abuse_handler };
	unsigned int n_threads, n_done = 0;
	double end;

	abuse_state = seed;
	abuse.traits = abuse_random(16);
	n_threads = abuse_random(2) ? 1 : 1 + abuse_random(ABUSE_THREADS_MAX);
	for (unsigned int i = 0; i < ABUSE_PIPES; i++)
		if (pipe2(abuse.pipes[i], O_CLOEXEC) == 0) {
			(void)fcntl(abuse.pipes[i][1], F_SETFL, O_NONBLOCK);
			abuse.n_pipes = i + 1;
		}
	signal(SIGPIPE, SIG_IGN);
	if (abuse.traits & ABUSE_SIGNALS) {
		action.sa_flags = abuse_random(2) ? SA_RESTART : 0;
		sigaction(SIGALRM, &action, NULL);
		setitimer(ITIMER_REAL, &period, NULL);
	}
	for (unsigned int i = 0; i < n_threads; i++) {
		threads[i].seed = seed * 31 + i;
		if (pthread_create(&threads[i].thread, NULL, abuse_main, &threads[i]) != 0)
			return 4;
	}
	end = process_seconds() + ABUSE_END_MS / 1e3;
	while (n_done < n_threads) {
		process_pause_us(2000);
		if (process_seconds() > end) {
			abuse.over = true;
			abuse_close_all();
		}
		n_done = 0;
		for (unsigned int i = 0; i < n_threads; i++)
			n_done += threads[i].done;
	}
	for (unsigned int i = 0; i < n_threads; i++)
		pthread_join(threads[i].thread, NULL);
	if (abuse_random(2))
		abuse_close_all();
	for (unsigned int i = 0; i < ABUSE_DEVICES; i++) {
		char *name = atomic_exchange(&abuse.devices[i], NULL);

		if (name && mapi_delete_offline_device(name) < 0)
			free(name);
	}
	return 0;
}

/* ---- the judge ---- */

static bool abuse_reported(int log_fd)
{
	char text[65536];
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	if (!strstr(text, "Sanitizer") && !strstr(text, "runtime error") && !strstr(text, "WRONG"))
		return false;
	fputs(text, stderr);
	return true;
}

static void abuse_on_hang(int pid)
{
	const char *command = getenv("ABUSE_ON_HANG");
	char line[512];

	if (command && snprintf(line, sizeof(line), "%s %d", command, pid) < (int)sizeof(line))
		(void)!system(line);
}

static bool abuse_judge(uint64_t seed)
{
	double begin = process_seconds();
	int left[64], status = 0, log_fd = open("stderr.log", O_RDWR | O_CREAT | O_TRUNC, 0600);
	unsigned int n_left;
	bool hung = false, wrong;
	pid_t pid = fork();

	if (pid == 0) {
		dup2(log_fd, 2);
		exit(abuse_round(seed));
	}
	while (waitpid(pid, &status, WNOHANG) != pid) {
		process_pause_us(1000);
		if (!hung && process_seconds() - begin > ABUSE_HANG_S) {
			hung = true;
			fprintf(stderr, "abuse: seed %llu: hangs\n", (unsigned long long)seed);
			abuse_on_hang(pid);
			kill(pid, SIGKILL);
		}
	}
	n_left = process_wait_alone(hung ? 5 : 2, left, 64);
	for (unsigned int i = 0; i < n_left; i++) {
		fprintf(stderr, "abuse: seed %llu: process %d is left\n", (unsigned long long)seed,
			left[i]);
		kill(left[i], SIGKILL);
	}
	(void)process_wait_alone(5, left, 64);
	wrong = abuse_reported(log_fd) || hung || n_left > 0 ||
		(WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) ||
		(WIFEXITED(status) && WEXITSTATUS(status) != 0);
	if (wrong)
		fprintf(stderr, "abuse: seed %llu FAILED, status %#x\n", (unsigned long long)seed,
			(unsigned int)status);
	close(log_fd);
	return !wrong;
}

/* A pipe that is full and whose reader never reads. */
static bool abuse_stuck_pipe(void)
{
	static const char bytes[4096];
	int fd;

	if (mkfifo("stuck.pipe", 0600) < 0)
		return false;
	fd = open("stuck.pipe", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	while (fd >= 0 && write(fd, bytes, sizeof(bytes)) > 0)
		;
	return fd >= 0;
}

int main(int argc, char *argv[])
{
	unsigned long long seed;
	unsigned int n_failed = 0, n_rounds;

	if (argc < 4) {
		fprintf(stderr, "usage: abuse ROUNDS SEED CAPTURE...\n");
		return 2;
	}
	process_adopt();
	if (!abuse_stuck_pipe()) {
		perror("stuck.pipe");
		return 2;
	}
	n_rounds = (unsigned int)strtoul(argv[1], NULL, 10);
	seed = strtoull(argv[2], NULL, 10);
	abuse.captures = argv + 3;
	abuse.n_captures = (unsigned int)argc - 3;
	for (unsigned int i = 0; i < n_rounds; i++)
		n_failed += !abuse_judge(seed + i);
	printf("%u rounds from seed %llu, %u failed\n", n_rounds, seed, n_failed);
	return n_failed != 0;
}
