/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events for people, on standard error or in the journal. Only daemons log; libraries return
 * errors. Levels are those of <syslog.h>.
 */
#ifndef MAPI_BASE_LOG_H
#define MAPI_BASE_LOG_H

#include <stdbool.h>
#include <syslog.h>

/* Set once at start, before threads exist: messages above @level are dropped. */
void log_open(const char *program, int level);

/* From now on append to a file, each line after the time (UTC). Return: 0, negative errno. */
int log_to_file(const char *path);

/* From now on to the system's log (syslog(3)), unless a file is in use. Return: whether it is. */
bool log_to_system(void);

void log_event(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Log "...: strerror(-r)" and return @r, so that callers can write "return log_errno(...)". */
int log_errno(int level, int r, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
