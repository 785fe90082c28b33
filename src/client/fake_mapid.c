/* SPDX-License-Identifier: BSD-2-Clause */
/* Started in the daemon's place by test_start: writes what it was given to its socket. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_null(int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat("/dev/null", &b) == 0 && a.st_rdev == b.st_rdev;
}

int main(int argc, char **argv)
{
	char report[512] = "", part[64];
	struct sigaction action;
	sigset_t blocked;
	struct dirent *e;
	DIR *dir = opendir("/proc/self/fd");
	int n_fds = 0;

	while (dir && (e = readdir(dir)))
		n_fds += e->d_name[0] != '.' && atoi(e->d_name) != dirfd(dir);
	if (dir)
		closedir(dir);
	for (int signo = 1; signo < 32; signo++) {
		if (sigaction(signo, NULL, &action) == 0 && action.sa_handler != SIG_DFL) {
			snprintf(part, sizeof(part), "ignored=%d ", signo);
			strcat(report, part);
		}
	}
	sigprocmask(SIG_SETMASK, NULL, &blocked);
	for (int signo = 1; signo < 32; signo++)
		if (sigismember(&blocked, signo))
			strcat(report, "blocked ");
	snprintf(part, sizeof(part), "argc=%d %s fds=%d null=%d%d session=%d pid=%d", argc,
		argc > 1 ? argv[1] : "", n_fds, is_null(0), is_null(1),
		getsid(0) != getpid() && getsid(0) != getsid(getppid()), (int)getpid());
	strcat(report, part);
	if (write(3, report, strlen(report)) < 0)
		return 1;
	return (int)read(3, part, 1); /* until the program ends */
}
