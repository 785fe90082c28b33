/* SPDX-License-Identifier: BSD-2-Clause */
/* Events for people: see log.h. */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int log_level = LOG_INFO;
static const char *log_program = "mapi";

void log_open(const char *program, int level)
{
	log_program = program;
	log_level = level;
}

/* One write per event, so that lines of several threads do not mix. */
static void log_write(const char *cause, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

static void log_write(const char *cause, const char *fmt, va_list ap)
{
	char text[1024];

	(void)vsnprintf(text, sizeof(text), fmt, ap); /* a cut message is still useful */
	(void)fprintf(
		stderr, "%s: %s%s%s\n", log_program, text, cause ? ": " : "", cause ? cause : "");
}

void log_event(int level, const char *fmt, ...)
{
	va_list ap;

	if (level > log_level)
		return;
	va_start(ap, fmt);
	log_write(NULL, fmt, ap);
	va_end(ap);
}

int log_errno(int level, int r, const char *fmt, ...)
{
	char cause[128];
	va_list ap;

	if (level > log_level)
		return r;
	va_start(ap, fmt);
	log_write(strerror_r(-r, cause, sizeof(cause)), fmt, ap);
	va_end(ap);
	return r;
}
