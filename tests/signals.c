/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SIGINT at random moments: a program that uses MAPI must end within 100 ms, must not crash or leak
 * (it is built with sanitizers where possible), must print no wrong number, and must leave nothing
 * behind: no process, no file. Time in which something on this machine waited for a CPU is not held
 * against it (/proc/pressure/cpu, where there is one): the machine is busy then.
 *
 * usage: signals RUNS SEED MAX_US PROGRAM [ARGUMENT...]
 *
 * A complete run comes first; its output is the measure: numbers that an interrupted run prints may
 * be smaller (it has seen less) but not larger, and words must be equal. RUNS are shared out to as
 * many processes as there are CPUs; each adopts its orphans, so that it sees every daemon.
 * ASAN_OPTIONS and UBSAN_OPTIONS are set to end with code 99.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "process.h"

#define SIGNALS_EXIT_MS 100
#define SIGNALS_HANGS_MS 4000 /* without those in which something waited for a CPU */
#define SIGNALS_PATIENCE_MS 60000
#define SIGNALS_TRIES 3
#define SIGNALS_OUTPUT_BYTES 65536
#define SIGNALS_SANITIZER_CODE 99

extern char **environ;

struct signals {
	char **argv;
	uint64_t random;
	long max_us;
	char complete[SIGNALS_OUTPUT_BYTES];
	unsigned int killed; /* before a handler was there */
	unsigned int finished; /* by themselves or by their handler */
	double slowest_ms;
	unsigned int slow; /* tries above the limit */
	unsigned int excused; /* of those, because others had the CPUs */
};

static uint64_t signals_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static pid_t signals_spawn(const struct signals *s)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	int r;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_addopen(&actions, 2, "err", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	r = posix_spawn(&pid, s->argv[0], &actions, &attr, s->argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	if (r != 0) {
		fprintf(stderr, "%s: %s\n", s->argv[0], strerror(r));
		exit(2);
	}
	return pid;
}

static void signals_read(const char *path, char ret[SIGNALS_OUTPUT_BYTES])
{
	FILE *file = fopen(path, "r");
	size_t n = file ? fread(ret, 1, SIGNALS_OUTPUT_BYTES - 1, file) : 0;

	ret[n] = '\0';
	if (file)
		fclose(file);
}

/* Does @line say the same as @complete, with numbers that are not larger? */
static bool signals_line_right(const char *line, const char *complete)
{
	while (*line && *line != '\n') {
		if (isdigit((unsigned char)*line) && isdigit((unsigned char)*complete)) {
			char *line_end, *complete_end;

			/* A rate depends on the time that the run took. */
			if (strtold(line, &line_end) > strtold(complete, &complete_end) &&
				strncmp(line_end, " Mbit/s", 7) != 0)
				return false;
			line = line_end;
			complete = complete_end;
			continue;
		}
		/* Columns are padded, and a smaller number has fewer digits. */
		if (*line == ' ' || *complete == ' ') {
			if (*line != ' ' && *complete != ' ')
				return false;
			line += strspn(line, " ");
			complete += strspn(complete, " ");
			continue;
		}
		if (*line++ != *complete++)
			return false;
	}
	return true;
}

/* Each line must be right beside some line of the complete run, and they come in the same order. */
static bool signals_output_right(const char *output, const char *complete)
{
	while (*output) {
		while (*complete && !signals_line_right(output, complete)) {
			complete += strcspn(complete, "\n");
			complete += *complete == '\n';
		}
		if (!*complete)
			return false;
		output += strcspn(output, "\n");
		output += *output == '\n';
	}
	return true;
}

static void signals_complain(const char *what, unsigned int run, long delay_us)
{
	char text[SIGNALS_OUTPUT_BYTES];

	printf("run %u, SIGINT after %ld us: %s\n", run, delay_us, what);
	signals_read("out", text);
	printf("--- output ---\n%.2000s--- errors ---\n", text);
	signals_read("err", text);
	printf("%s---\n", text);
	fflush(stdout);
}

/* Only "out" and "err", and what the complete run has made too ("keep"), may be here. */
static bool signals_files_left(void)
{
	struct dirent *entry;
	DIR *dir = opendir(".");
	bool left = false;

	while ((entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (name[0] == '.' || strcmp(name, "out") == 0 || strcmp(name, "err") == 0)
			continue;
		if (!strstr(name, ".pcap"))
			left = true;
		unlink(name);
	}
	closedir(dir);
	return left;
}

/* Return: milliseconds since boot in which a task that could run had to wait for a CPU; 0 if the
 * kernel does not tell. */
static double signals_stalled_ms(void)
{
	FILE *file = fopen("/proc/pressure/cpu", "r");
	unsigned long long total_us = 0;

	if (!file)
		return 0;
	if (fscanf(file, "some avg10=%*f avg60=%*f avg300=%*f total=%llu", &total_us) != 1)
		total_us = 0;
	fclose(file);
	return (double)total_us / 1e3;
}

/* Wait for the end of who got a signal at @sent. A machine that does much else may take its time.
 */
static bool signals_await_end(int pid_fd, double sent, double stalled_ms)
{
	struct pollfd ended = { .fd = pid_fd, .events = POLLIN };

	while (poll(&ended, 1, 1000) != 1) {
		double ms = (process_seconds() - sent) * 1e3;

		if (ms > SIGNALS_PATIENCE_MS ||
			ms - (signals_stalled_ms() - stalled_ms) > SIGNALS_HANGS_MS)
			return false;
	}
	return true;
}

enum signals_outcome { SIGNALS_GOOD, SIGNALS_SLOW, SIGNALS_BAD };

static enum signals_outcome signals_try(struct signals *s, unsigned int run, long delay_us)
{
	char output[SIGNALS_OUTPUT_BYTES];
	int status, pid_fd, left[16];
	double sent, stalled_ms, ms;
	pid_t pid;

	pid = signals_spawn(s);
	pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	process_pause_us(delay_us);
	stalled_ms = signals_stalled_ms();
	sent = process_seconds();
	kill(pid, SIGINT);
	if (!signals_await_end(pid_fd, sent, stalled_ms)) {
		kill(pid, SIGKILL);
		signals_complain("does not end", run, delay_us);
	}
	ms = (process_seconds() - sent) * 1e3;
	stalled_ms = signals_stalled_ms() - stalled_ms;
	close(pid_fd);
	waitpid(pid, &status, 0);
	if (ms > s->slowest_ms)
		s->slowest_ms = ms;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) {
		s->killed++;
	} else if (WIFSIGNALED(status) || WEXITSTATUS(status) == SIGNALS_SANITIZER_CODE) {
		signals_complain("crashed", run, delay_us);
		return SIGNALS_BAD;
	} else {
		s->finished++;
	}
	signals_read("out", output);
	if (!signals_output_right(output, s->complete)) {
		signals_complain("wrong output", run, delay_us);
		return SIGNALS_BAD;
	}
	if (process_wait_alone(2, left, 16) != 0) {
		signals_complain("leaves a process behind", run, delay_us);
		for (unsigned int i = 0; i < process_below(getpid(), left, 16); i++)
			kill(left[i], SIGKILL);
		return SIGNALS_BAD;
	}
	if (signals_files_left()) {
		signals_complain("leaves a file behind", run, delay_us);
		return SIGNALS_BAD;
	}
	if (ms <= SIGNALS_EXIT_MS)
		return SIGNALS_GOOD;
	s->slow++;
	s->excused += ms - stalled_ms <= SIGNALS_EXIT_MS;
	return ms - stalled_ms > SIGNALS_EXIT_MS ? SIGNALS_SLOW : SIGNALS_GOOD;
}

/* A machine that does other things, too, is late now and then; a program that is slow at some
 * moment is slow there each time. */
static bool signals_one(struct signals *s, unsigned int run)
{
	long delay_us = (long)(signals_random(&s->random) % (uint64_t)s->max_us);

	for (unsigned int n = 0; n < SIGNALS_TRIES; n++) {
		enum signals_outcome outcome = signals_try(s, run, delay_us);

		if (outcome != SIGNALS_SLOW)
			return outcome == SIGNALS_GOOD;
	}
	signals_complain("took longer than 100 ms, each time", run, delay_us);
	return false;
}

/* In a directory of its own. Return: number of bad runs. */
static unsigned int signals_share(struct signals *s, unsigned int share, unsigned int n_runs)
{
	char dir[64];
	unsigned int bad = 0;

	snprintf(dir, sizeof(dir), "share-%u", share);
	mkdir(dir, 0700);
	if (chdir(dir) < 0)
		return n_runs;
	process_adopt();
	s->random += share * 7919u;
	for (unsigned int run = 0; run < n_runs && bad < 3; run++)
		bad += !signals_one(s, run);
	printf("share %u: %u runs, %u ended by a handler or themselves, %u before there was one, "
	       "%u bad; %u slow (%u while CPUs were short), slowest end %.1f ms\n",
		share, n_runs, s->finished, s->killed, bad, s->slow, s->excused, s->slowest_ms);
	fflush(stdout);
	unlink("out");
	unlink("err");
	if (chdir("..") == 0)
		rmdir(dir);
	return bad;
}

static int signals_complete_run(struct signals *s)
{
	double began = process_seconds();
	int status;
	pid_t pid = signals_spawn(s);

	waitpid(pid, &status, 0);
	signals_read("out", s->complete);
	printf("complete run: code %d, %.1f ms, begins with: %.*s\n", WEXITSTATUS(status),
		(process_seconds() - began) * 1e3, (int)strcspn(s->complete, "\n"), s->complete);
	signals_files_left();
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	signals_complain("the complete run failed", 0, -1);
	return -1;
}

int main(int argc, char *argv[])
{
	static struct signals s;
	char code[64], dir[] = "signals-XXXXXX";
	unsigned int n_shares = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN), n_runs, bad = 0;

	if (argc < 5) {
		fprintf(stderr, "usage: signals RUNS SEED MAX_US PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	n_runs = (unsigned int)atoi(argv[1]);
	s.random = strtoull(argv[2], NULL, 10);
	s.max_us = atol(argv[3]);
	s.argv = argv + 4;
	snprintf(code, sizeof(code), "exitcode=%d:detect_leaks=1", SIGNALS_SANITIZER_CODE);
	setenv("ASAN_OPTIONS", code, 1);
	snprintf(code, sizeof(code), "exitcode=%d:halt_on_error=1", SIGNALS_SANITIZER_CODE);
	setenv("UBSAN_OPTIONS", code, 1);
	if (!mkdtemp(dir) || chdir(dir) < 0)
		return 2;
	setenv("TMPDIR", ".", 1);
	if (signals_complete_run(&s) < 0)
		return 1;
	fflush(stdout);
	for (unsigned int share = 0; share < n_shares; share++) {
		unsigned int n = n_runs / n_shares + (share < n_runs % n_shares);

		if (fork() == 0)
			_exit(signals_share(&s, share, n) != 0);
	}
	for (unsigned int share = 0; share < n_shares; share++) {
		int status;

		if (wait(&status) < 0 || status != 0)
			bad++;
	}
	unlink("out");
	unlink("err");
	if (chdir("..") < 0 || rmdir(dir) < 0) {
		printf("files are left in %s\n", dir);
		bad++;
	}
	return bad != 0;
}
