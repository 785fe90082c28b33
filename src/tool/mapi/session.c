/* SPDX-License-Identifier: BSD-2-Clause */
/* See session.h. */
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "mapi/errors.h"

#include "device_error.h"
#include "filter_error.h"
#include "text.h"

/* How long to sleep between looks at flows that run: short at first, for small files. */
#define SESSION_SLEEP_MIN_MS 1u
#define SESSION_SLEEP_MAX_MS 16u
#define SESSION_RECORDS_MAX 64u
#define SESSION_SLEEP_PART 64u
#define SESSION_SLEEP_LIVE_MS 50u

/* How long records that were made before the end of a live session are waited for. */
#define SESSION_DRAIN_MS 200u

int session_environment(const char *workers, const char *seed)
{
	if (workers && setenv("MAPI_WORKERS", workers, 1) < 0)
		return -errno;
	if (seed && setenv("MAPI_SEED", seed, 1) < 0)
		return -errno;
	return 0;
}

int session_exit_code(int code, const char *text)
{
	if (strstr(text, strerror(EACCES)) || strstr(text, strerror(EPERM)))
		return EXIT_PERMISSION;
	switch (code) {
	case PCAP_BPF_ERR:
	case MDLIB_STRSEARCH_UNTERMINATED_PIPE:
	case MDLIB_STRSEARCH_DEPTH_ERR:
	case MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING:
	case FUNCTION_NOT_FOUND:
	case MAPI_FUNCTION_NOT_FOUND:
		return EXIT_USAGE;
	case MAPID_NOT_AUTHENTICATED:
	case MAPI_NO_PERMISSION:
		return EXIT_PERMISSION;
	case MCOM_UNKNOWN_ERROR:
	case MCOM_ERROR_ACK:
	case MCOM_SOCKET_ERROR:
	case MCOM_INIT_SOCKET_ERROR:
	case MAPI_DAEMON_LOST:
	case MAPI_QUOTA_EXCEEDED:
		return EXIT_DAEMON;
	default:
		return code >= MFUNCT_INVALID_ARGUMENT && code <= MFUNCT_INVALID_ARGUMENT_6
			? EXIT_USAGE
			: EXIT_DEVICE;
	}
}

int session_fail_text(int code, const char *text, const struct pipeline_step *step)
{
	struct pipeline_place place = { .source = NULL };
	const char *keyword = NULL;
	bool is_words;

	fputs("mapi: ", stderr);
	text_safe(stderr, *text ? text : "unknown error");
	fprintf(stderr, " (error %d)\n", code);
	if (step)
		place = step->n_args == 1 && step->args[0].place.source ? step->args[0].place
									: step->place;
	/* In a pipeline a filter is part of a longer text. */
	is_words = place.source && place.at == 0 && place.len == strlen(place.source);
	if (code == PCAP_BPF_ERR)
		filter_error_find(place, text, &place, &keyword);
	if (place.source)
		text_caret(stderr, "  ", place.source, place.at, place.len);
	if (keyword)
		fprintf(stderr, "did you mean %s?\n", keyword);
	else if (code == PCAP_BPF_ERR && is_words && filter_error_is_cut(place.source))
		fputs("put the filter into quotes: a shell takes & | < > ( ) ! and \\ for itself\n",
			stderr);
	if (code == MAPID_NO_DRIVER)
		device_error_advise(stderr, text);
	return session_exit_code(code, text);
}

int session_fail(const struct pipeline_step *step)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";
	int code = 0;

	(void)mapi_read_error(&code, text);
	return session_fail_text(code, text, step);
}

/* The value of an argument as mapi_apply_function_array() wants it. Caller frees. */
static char *session_arg_text(const struct mapi_arg *desc, const struct pipeline_arg *arg)
{
	char *text = NULL;
	size_t text_bytes;
	unsigned int i;
	FILE *out;

	if (!arg->n_refs)
		return strdup(arg->text);
	out = open_memstream(&text, &text_bytes);
	if (!out)
		return NULL;
	for (i = 0; i < arg->n_refs; i++) {
		const struct pipeline_step *to = arg->refs[i];

		if (desc->type == MAPI_ARG_FLOW || desc->type == MAPI_ARG_FLOWS)
			fprintf(out, "%s%d", i ? "," : "", to->fd);
		else if (desc->type == MAPI_ARG_FUNCTION)
			fprintf(out, "%d", to->fid);
		else
			fprintf(out, "%s%d@%d", i ? "," : "", to->fid, to->fd);
	}
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int session_apply(struct pipeline_step *step)
{
	char name[MAPI_STR_LENGTH], *args[16] = { NULL };
	unsigned int i, n = step->n_args < 16 ? step->n_args : 16;
	int code = EXIT_OK;

	(void)snprintf(name, sizeof(name), "%s:%s", step->desc->library, step->desc->name);
	for (i = 0; i < n && code == EXIT_OK; i++) {
		args[i] = session_arg_text(&step->desc->args[i], &step->args[i]);
		if (!args[i])
			code = session_fail_text(MAPI_OUT_OF_MEMORY, "Out of memory", NULL);
	}
	if (code == EXIT_OK) {
		step->fid = mapi_apply_function_array(step->fd, name, args, n);
		if (step->fid < 0)
			code = session_fail(step);
	}
	for (i = 0; i < n; i++)
		free(args[i]);
	return code;
}

/* Which function does an error at connect speak of? The only filter, if it is one. */
static const struct pipeline_step *session_suspect(const struct pipeline *pipeline)
{
	const struct pipeline_step *found = NULL;
	unsigned int i;

	for (i = 0; i < pipeline->n_steps; i++) {
		if (strcmp(pipeline->steps[i]->desc->name, "BPF_FILTER") != 0)
			continue;
		if (found)
			return NULL;
		found = pipeline->steps[i];
	}
	return found;
}

static int session_create_flows(struct session *session)
{
	unsigned int i, j;

	for (i = 0; i < session->set.n_pipelines; i++) {
		int fd = mapi_create_flow(session->device ? session->device : session->path);

		if (fd < 0)
			return session_fail(NULL);
		for (j = 0; j < session->set.pipelines[i].n_steps; j++)
			session->set.pipelines[i].steps[j]->fd = fd;
	}
	return EXIT_OK;
}

/* Signals are taken from a descriptor from here on. Not before: the private daemon, started by the
 * first call of the library, would inherit the mask. */
static int session_block_signals(struct session *session)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	session->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (session->signal_fd < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return session_fail_text(errno, strerror(errno), NULL);
	return EXIT_OK;
}

void session_tell_listening(const char *device)
{
	fputs("mapi: listening on ", stderr);
	text_safe(stderr, device);
	fputs("\n", stderr);
}

int session_connect(struct session *session, const char *path, bool live)
{
	unsigned int i;
	int code;

	session->path = path;
	session->live = live;
	if (!live) {
		session->device = mapi_create_offline_device(path, MFF_PCAP);
		if (!session->device)
			return session_fail(NULL);
	}
	code = session_create_flows(session);
	for (i = 0; i < session->set.n_order && code == EXIT_OK; i++)
		code = session_apply(session->set.order[i]);
	for (i = 0; i < session->set.n_pipelines && code == EXIT_OK; i++) {
		const struct pipeline *pipeline = &session->set.pipelines[i];

		if (mapi_connect(pipeline->steps[0]->fd) < 0)
			code = session_fail(session_suspect(pipeline));
	}
	return code;
}

int session_start(struct session *session, const char *path, bool live)
{
	int code = session_connect(session, path, live);

	if (code == EXIT_OK)
		code = session_block_signals(session);
	if (code == EXIT_OK && session->device && mapi_start_offline_device(session->device) < 0)
		code = session_fail(NULL);
	return code;
}

bool session_interrupted(struct session *session)
{
	struct signalfd_siginfo info;
	sigset_t set;

	if (session->signal_fd < 0 ||
		read(session->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return false;
	/* What is printed at the end begins behind the "^C" of the terminal. */
	if (info.ssi_signo == SIGINT && isatty(STDERR_FILENO))
		fputc('\n', stderr);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	return true;
}

bool session_finished(const struct pipeline_step *step, struct mapi_result_status *ret_status)
{
	struct mapi_result_status status = { .sz = sizeof(status) };

	/* A flow that can't tell has no more results to wait for. */
	if (mapi_result_status(step->fd, step->fid, 0, &status) < 0)
		return true;
	if (ret_status)
		*ret_status = status;
	return status.status == FLOW_FINISHED || status.status == FLOW_CLOSED;
}

/* An interface that goes, or comes, is news: counting goes on by itself. */
static void session_tell_device(struct session *session, const struct mapi_result_status *status)
{
	static const char *const news[] = {
		[MAPI_DEVICE_UP] = "is up again",
		[MAPI_DEVICE_DOWN] = "is down; capture goes on when it comes up",
		[MAPI_DEVICE_GONE] = "is gone; capture goes on when there is one of that name",
	};

	if (!session->live || status->device == session->device_state ||
		status->device > MAPI_DEVICE_GONE)
		return;
	session->device_state = status->device;
	fputs("mapi: ", stderr);
	text_safe(stderr, session->path);
	fprintf(stderr, " %s\n", news[status->device]);
}

static bool session_all_finished(struct session *session, struct progress *progress)
{
	struct mapi_result_status status = { .sz = sizeof(status) };
	bool finished = true;
	unsigned int i;

	for (i = 0; i < session->set.n_pipelines; i++)
		if (!session_finished(session->set.pipelines[i].steps[0], &status))
			finished = false;
	session_tell_device(session, &status);
	if (progress)
		progress_update(progress, status.done_bytes, status.total_bytes);
	return finished;
}

int session_records_fd(const struct pipeline_step *step)
{
	int fd = -1;

	if (step->desc->flags & MAPI_FUNCTION_BLOCKING) {
		fd = mapi_fileno(step->fd, step->fid);
		if (fd < 0)
			(void)mapi_read_error(&(int){ 0 }, NULL);
	}
	return fd;
}

/* What session_wait() polls: first the signals, then every step with records. */
struct session_poll {
	struct pollfd *fds;
	const struct pipeline_step **steps;
	unsigned int n;
};

static int session_poll_init(struct session_poll *p, const struct session *session)
{
	unsigned int i;

	p->fds = calloc(session->set.n_order + 1u, sizeof(*p->fds));
	p->steps = calloc(session->set.n_order + 1u, sizeof(struct pipeline_step *));
	if (!p->fds || !p->steps)
		return -ENOMEM;
	p->fds[p->n++] = (struct pollfd){ .fd = session->signal_fd, .events = POLLIN };
	for (i = 0; i < session->set.n_order && session->on_record; i++) {
		int fd = session_records_fd(session->set.order[i]);

		if (fd >= 0) {
			p->steps[p->n] = session->set.order[i];
			p->fds[p->n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
		}
	}
	return 0;
}

/* Take some of the records of a step that has one: looking after all steps costs more than that. */
static void session_take_records(
	struct pollfd *poll_fd, const struct pipeline_step *step, const struct session *session)
{
	unsigned int n = 0;

	do {
		const mapi_results_t *record = mapi_read_results(step->fd, step->fid);

		if (!record) {
			poll_fd->fd = -1;
			return;
		}
		session->on_record(step, record, session->data);
	} while (++n < SESSION_RECORDS_MAX && poll(poll_fd, 1, 0) > 0);
}

/* Return: whether there was a record, or an end of records. */
static bool session_poll_records(const struct session_poll *p, const struct session *session)
{
	bool any = false;
	unsigned int i;

	for (i = 1; i < p->n; i++) {
		if (!(p->fds[i].revents & (POLLIN | POLLERR | POLLHUP)))
			continue;
		any = true;
		session_take_records(&p->fds[i], p->steps[i], session);
	}
	return any;
}

/* Is there a step of which more records may come? */
static bool session_poll_has_records(const struct session_poll *p)
{
	unsigned int i;

	for (i = 1; i < p->n; i++)
		if (p->fds[i].fd >= 0)
			return true;
	return false;
}

uint64_t session_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
	return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

void session_flush(const struct session *session)
{
	char text[MAPI_ERRORSTR_LENGTH] = "";
	bool told = false;
	unsigned int i;
	int code = 0;

	for (i = 0; i < session->set.n_pipelines; i++) {
		if (mapi_flush(session->set.pipelines[i].steps[0]->fd) == 0)
			continue;
		mapi_read_error(&code, text);
		if (code == MAPI_FLUSH_INCOMPLETE && !told)
			fprintf(stderr, "mapi: %s\n", text);
		told = told || code == MAPI_FLUSH_INCOMPLETE;
	}
}

/* The end of a file is noticed late by at most a part of what the run has taken so far. */
static int session_sleep_ms(const struct session *session, uint64_t begin_ms, uint64_t next_ms)
{
	uint64_t now_ms = session_now_ms(), max_ms = SESSION_SLEEP_LIVE_MS;

	if (!session->live)
		max_ms = MIN(MAX((now_ms - begin_ms) / SESSION_SLEEP_PART, SESSION_SLEEP_MIN_MS),
			SESSION_SLEEP_MAX_MS);
	return (int)MIN(max_ms, next_ms > now_ms ? next_ms - now_ms : 0);
}

/* Take what stands ready when a session ends that could go on. More records may come all the time.
 */
static void session_end(struct session *session, struct session_poll *p)
{
	uint64_t end_ms = session_now_ms() + SESSION_DRAIN_MS;

	session_flush(session);
	while (session->live && p->n > 1 && session_now_ms() < end_ms &&
		poll(p->fds + 1, p->n - 1, 0) > 0 && session_poll_records(p, session))
		;
}

/* Call @on_interval if it is time. Return: when it is time again. */
static uint64_t session_interval(struct session *session, uint64_t next_ms)
{
	uint64_t now_ms = session_now_ms();

	if (!session->interval_ms)
		return UINT64_MAX;
	if (now_ms < next_ms)
		return next_ms;
	session->on_interval(session->data);
	do {
		next_ms += session->interval_ms;
	} while (next_ms <= now_ms);
	return next_ms;
}

static int session_poll_loop(
	struct session *session, struct session_poll *p, struct progress *progress)
{
	uint64_t begin_ms = session_now_ms(), next_ms = begin_ms + session->interval_ms;
	uint64_t end_ms = session->duration_ms ? begin_ms + session->duration_ms : UINT64_MAX;
	bool finished;
	int sleep_ms;

	for (;;) {
		next_ms = session_interval(session, next_ms);
		/* Records of a file may still wait in the daemon for room when the flows are over:
		 * each step tells the end of its own. */
		finished = (session_all_finished(session, progress) &&
				   (session->live || !session_poll_has_records(p))) ||
			(session->enough && session->enough(session->data)) ||
			session_now_ms() >= end_ms;
		sleep_ms = session_sleep_ms(session, begin_ms, MIN(next_ms, end_ms));
		if (poll(p->fds, p->n, finished ? 0 : sleep_ms) > 0) {
			if ((p->fds[0].revents & POLLIN) && session_interrupted(session)) {
				session_end(session, p);
				return session->live ? EXIT_OK : EXIT_INTERRUPTED;
			}
			if (session_poll_records(p, session) && !(finished && session->live))
				continue;
		}
		if (finished && session->live)
			session_end(session, p);
		if (finished)
			return EXIT_OK;
	}
}

int session_wait(struct session *session, struct progress *progress)
{
	struct session_poll p = { .n = 0 };
	int code;

	if (session_poll_init(&p, session) < 0)
		code = session_fail_text(MAPI_OUT_OF_MEMORY, "Out of memory", NULL);
	else
		code = session_poll_loop(session, &p, progress);
	free(p.fds);
	free(p.steps);
	return code;
}

/* Print a failure unless it is that of the flow before, @previous: what befalls the device befalls
 * all its flows. Return: the worse one of @code and its exit code. */
static int session_report_one(
	int code, const struct mapi_result_status *status, char previous[MAPI_ERRORSTR_LENGTH])
{
	int exit_code = session_exit_code(status->error, status->error_text);

	if (strcmp(previous, status->error_text) != 0)
		(void)session_fail_text(status->error, status->error_text, NULL);
	(void)snprintf(previous, MAPI_ERRORSTR_LENGTH, "%s", status->error_text);
	return exit_code > code ? exit_code : code;
}

static bool session_failed(const struct pipeline_step *step, struct mapi_result_status *ret)
{
	*ret = (struct mapi_result_status){ .sz = sizeof(*ret) };
	return step->fid >= 0 && mapi_result_status(step->fd, step->fid, 0, ret) == 0 && ret->error;
}

int session_report(const struct session *session)
{
	char previous[MAPI_ERRORSTR_LENGTH] = "";
	struct mapi_result_status status;
	int code = EXIT_OK;
	unsigned int i;

	for (i = 0; i < session->set.n_pipelines; i++)
		if (session_failed(session->set.pipelines[i].steps[0], &status))
			code = session_report_one(code, &status, previous);
	return code;
}

/* Close a flow. Return: whether its functions lost something then that nobody has heard of. */
static bool session_close(struct pipeline_step *step, struct mapi_result_status *ret)
{
	bool reported = session_failed(step, ret);
	int fd = step->fd;

	step->fd = -1;
	if (mapi_close_flow(fd) == 0 || reported)
		return false;
	(void)mapi_read_error(&ret->error, ret->error_text);
	/* Who reads our output may stop when they have seen enough. */
	return !strstr(ret->error_text, strerror(EPIPE));
}

int session_stop(struct session *session)
{
	char previous[MAPI_ERRORSTR_LENGTH] = "";
	struct mapi_result_status status;
	int code = EXIT_OK;
	unsigned int i;

	for (i = 0; i < session->set.n_pipelines; i++) {
		const struct pipeline *pipeline = &session->set.pipelines[i];

		if (pipeline->n_steps && pipeline->steps[0]->fd >= 0 &&
			session_close(pipeline->steps[0], &status))
			code = session_report_one(code, &status, previous);
	}
	if (session->device && mapi_delete_offline_device(session->device) < 0)
		free(session->device);
	session->device = NULL;
	return code;
}

void session_deinit(struct session *session)
{
	(void)session_stop(session);
	pipeline_set_deinit(&session->set);
	if (session->signal_fd >= 0)
		(void)close(session->signal_fd);
	session->signal_fd = -1;
}
