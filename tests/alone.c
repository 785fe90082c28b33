/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Run a command and see that it leaves no process behind: nothing may run below it two seconds
 * after it has ended. Its exit code is ours; 98 if something was left, 99 if a signal ended it.
 *
 * usage: alone COMMAND [ARGUMENT...]
 */
#include <spawn.h>

#include "process.h"

extern char **environ;

int main(int argc, char *argv[])
{
	int status, left[64];
	unsigned int n;
	pid_t pid;

	if (argc < 2)
		return 2;
	process_adopt();
	if (posix_spawnp(&pid, argv[1], NULL, NULL, argv + 1, environ) != 0) {
		perror(argv[1]);
		return 97;
	}
	waitpid(pid, &status, 0);
	n = process_wait_alone(2, left, 64);
	if (n > 0) {
		fprintf(stderr, "alone: %s left %u processes behind\n", argv[1], n);
		return 98;
	}
	if (WIFSIGNALED(status)) {
		fprintf(stderr, "alone: %s was ended by signal %d\n", argv[1], WTERMSIG(status));
		return 99;
	}
	return WEXITSTATUS(status);
}
