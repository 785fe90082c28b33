/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A capture file or a live device being read by the flows of a set of pipelines: the part that all
 * verbs share.
 *
 * Failures are printed here, to standard error, with the place in the expression where it is known;
 * what is returned is an exit code of the program (enum exit_code).
 */
#ifndef MAPI_TOOL_SESSION_H
#define MAPI_TOOL_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "mapi.h"

#include "pipeline.h"
#include "progress.h"
#include "verbs.h"

/**
 * struct session - flows on a capture file or a live device
 * @path:   as the user gave it
 * @live:   @path is a device: it has no end, and ending it is no interruption
 * @device: what libmapi made of a file, NULL before session_start()
 * @set:    its pipelines; each step holds its fd and fid
 * @signal_fd: SIGINT and SIGTERM, blocked from session_start() on; -1 before
 * @on_record: called by session_wait() for each record of a function that gives records; may be
 * NULL
 * @enough:    asked now and then by session_wait(): true ends the wait; may be NULL
 * @duration_ms: ends session_wait() of a live device; 0: nothing does but a signal
 * @interval_ms: how often session_wait() calls @on_interval; 0: never
 * @data:      for all of them
 */
struct session {
	const char *path;
	bool live;
	enum mapi_device_state device_state; /* as it was told */
	char *device;
	struct pipeline_set set;
	int signal_fd;
	void (*on_record)(
		const struct pipeline_step *step, const mapi_results_t *record, void *data);
	bool (*enough)(void *data);
	void (*on_interval)(void *data);
	uint64_t duration_ms;
	uint64_t interval_ms;
	void *data;
};

#define SESSION_INIT ((struct session){ .signal_fd = -1 })

/* Settings that the library takes from the environment, as text; NULL leaves one alone. To be
 * called before the library is. Return: 0, or a negative errno. */
int session_environment(const char *workers, const char *seed);

/* Create the device (unless @live: @path is one) and the flows, apply, connect. From then on a live
 * device's packets are seen; of a file nothing is read. Return: enum exit_code. */
int session_connect(struct session *session, const char *path, bool live);

/* session_connect(), then block the signals that session_wait() waits for, and begin to read the
 * file. Return: enum exit_code. */
int session_start(struct session *session, const char *path, bool live);

/**
 * session_wait() - wait until all flows have finished
 * @progress: shown meanwhile; may be NULL
 *
 * Return: EXIT_OK (also: a signal or @duration_ms has ended a live session, results are flushed),
 * or EXIT_INTERRUPTED: a signal came, the flows are flushed. In both cases the next signal kills.
 */
int session_wait(struct session *session, struct progress *progress);

/* Milliseconds of a clock that only goes forward. */
uint64_t session_now_ms(void);

/* Make results cover everything captured so far. */
void session_flush(const struct session *session);

/* On stderr: a live device's packets count from here on. */
void session_tell_listening(const char *device);

/* Has a signal come? Then the next one kills. Does not wait. */
bool session_interrupted(struct session *session);

/* Does this step give records (MAPI_FUNCTION_BLOCKING, applied so that it has some)? The descriptor
 * to poll, or -1. */
int session_records_fd(const struct pipeline_step *step);

/* Errors of all flows that ended early, printed. Return: enum exit_code of the worst. */
int session_report(const struct session *session);

/* Close flows and device. Output files are complete afterwards; if not, and session_report() has
 * not said so, it is printed. Return: as session_report(). */
int session_stop(struct session *session);

/* Frees what the session holds; also after a failed session_start(). */
void session_deinit(struct session *session);

/* The exit code that goes with an error code of the library. */
int session_exit_code(int code, const char *text);

/* Print this thread's error of the library. Return: enum exit_code. */
int session_fail(const struct pipeline_step *step);

/* Print an error of the library; @step, which may be NULL, is what it is about. Return: enum
 * exit_code. */
int session_fail_text(int code, const char *text, const struct pipeline_step *step);

/* Is the flow of this step over? @ret_status may be NULL. */
bool session_finished(const struct pipeline_step *step, struct mapi_result_status *ret_status);

#endif
