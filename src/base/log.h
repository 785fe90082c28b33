/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events for people, on standard error or in the journal. Only daemons log; libraries return
 * errors. Levels are those of <syslog.h>.
 */
#ifndef MAPI_BASE_LOG_H
#define MAPI_BASE_LOG_H

#include <syslog.h>

/* Set once at start, before threads exist: messages above @level are dropped. */
void log_open(const char *program, int level);

void log_event(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Log "...: strerror(-r)" and return @r, so that callers can write "return log_errno(...)". */
int log_errno(int level, int r, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
