/* SPDX-License-Identifier: BSD-2-Clause */
/* Events for people: see log.h. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int log_level = LOG_INFO;
static const char *log_program = "mapi";
static bool log_in_file;
static bool log_in_system;

void log_open(const char *program, int level)
{
	log_program = program;
	log_level = level;
}

int log_to_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (dup2(fd, STDERR_FILENO) < 0)
		r = -errno;
	(void)close(fd);
	log_in_file = r == 0;
	return r;
}

bool log_to_system(void)
{
	if (log_in_file)
		return false;
	openlog(log_program, LOG_PID, LOG_DAEMON);
	log_in_system = true;
	return true;
}

/* Nobody else notes the time of a line in a file. */
static void log_time(char *ret, size_t ret_bytes)
{
	time_t now = time(NULL);
	struct tm tm;

	ret[0] = '\0';
	if (log_in_file && gmtime_r(&now, &tm))
		(void)strftime(ret, ret_bytes, "%Y-%m-%dT%H:%M:%SZ ", &tm);
}

/* One write per event, so that lines of several threads do not mix. */
static void log_write(int level, const char *cause, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

static void log_write(int level, const char *cause, const char *fmt, va_list ap)
{
	char text[1024], at[sizeof("2000-01-01T00:00:00Z ") + 8];

	(void)vsnprintf(text, sizeof(text), fmt, ap); /* a cut message is still useful */
	log_time(at, sizeof(at));
	if (log_in_system)
		syslog(level, "%s%s%s", text, cause ? ": " : "", cause ? cause : "");
	else
		(void)fprintf(stderr, "%s%s: %s%s%s\n", at, log_program, text, cause ? ": " : "",
			cause ? cause : "");
}

void log_event(int level, const char *fmt, ...)
{
	va_list ap;

	if (level > log_level)
		return;
	va_start(ap, fmt);
	log_write(level, NULL, fmt, ap);
	va_end(ap);
}

int log_errno(int level, int r, const char *fmt, ...)
{
	char cause[128];
	va_list ap;

	if (level > log_level)
		return r;
	va_start(ap, fmt);
	log_write(level, strerror_r(-r, cause, sizeof(cause)), fmt, ap);
	va_end(ap);
	return r;
}
