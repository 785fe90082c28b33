/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mapi top: what is on a device now: rates and totals by protocol, host and port. A screen with
 * keys on a terminal (top_screen.c), else lines or JSON every so often; of a file one table at the
 * end.
 */
#include "top.h"

#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "arguments.h"
#include "host.h"
#include "session.h"
#include "terminal.h"
#include "text.h"
#include "top_private.h"
#include "verbs.h"

#define TOP_INTERVAL_MS 2000u
#define TOP_INTERVAL_SCREEN_MS 1000u
#define TOP_ROWS 10u
#define TOP_POLL_FILE_MS 20u /* how late the end of a file is noticed */
#define TOP_POLL_LIVE_MS 250u /* how late it is noticed that a device has failed */

static const char top_intro[] =
	"usage: mapi top [-i DEVICE | -r FILE] [options] [filter words ...]\n"
	"\n"
	"Shows what is on a device, until q or Ctrl-C: rates and totals by protocol, host\n"
	"and port, and what was lost. Without -i: the interface of the default route.\n"
	"\n"
	"  mapi top\n"
	"  mapi top -i eth0 --interval 5 --json tcp port 443\n"
	"  mapi top -r f.pcap -n 20\n"
	"\n";

enum top_option { TOP_INTERVAL = VERB_LONG, TOP_PLAIN };

static const struct verb_option top_table[] = {
	ARGUMENTS_OPTION_INTERFACE,
	ARGUMENTS_OPTION_READ,
	ARGUMENTS_OPTION_FILTER_FILE,
	{ 'n', NULL, "N", VERB_ANYTHING,
		"at most N hosts and ports (default: 10; a screen shows more)" },
	{ 's', "sort", "bytes|packets", VERB_NOTHING, "what to sort by; the key s changes it" },
	{ TOP_INTERVAL, "interval", "SEC", VERB_ANYTHING, "how often (default: 2; a screen: 1)" },
	ARGUMENTS_OPTION_DURATION("end after so long"),
	ARGUMENTS_FORMAT_OPTIONS("interval"),
	{ TOP_PLAIN, "plain", NULL, VERB_NOTHING, "lines, also on a terminal" },
	ARGUMENTS_OPTION_COLOUR,
	VERB_OPTION_END,
};

static int top_take_option(struct top_options *o, int option, const char *value)
{
	unsigned long long number;
	int r = 0;

	switch (option) {
	case 'n':
		r = arguments_number("-n", value, 1000, &number);
		if (r == 0)
			o->max_rows = (unsigned int)number;
		break;
	case 's':
		if (strcmp(value, "bytes") != 0 && strcmp(value, "packets") != 0)
			return verb_usage(&verb_top, "-s is bytes or packets");
		o->sort = *value == 'b' ? TOP_SORT_BYTES : TOP_SORT_PKTS;
		break;
	case TOP_PLAIN:
		o->plain = true;
		break;
	case TOP_INTERVAL:
		r = arguments_seconds("--interval", value, &o->interval_ms);
		break;
	default:
		return arguments_take(&o->arguments, &verb_top, option, value);
	}
	return r < 0 ? EXIT_USAGE : EXIT_OK;
}

static int top_parse_options(struct top_options *o, int argc, char **argv)
{
	int option, code = EXIT_OK;

	*o = (struct top_options){ .max_rows = TOP_ROWS };
	while (code == EXIT_OK && (option = verb_getopt(&verb_top, argc, argv)) != -1)
		code = top_take_option(o, option, optarg);
	if (code != EXIT_OK)
		return code;
	if (arguments_check_duration(&o->arguments, &verb_top) != EXIT_OK)
		return EXIT_USAGE;
	if (!o->arguments.input) {
		if (host_default_device(o->default_name) < 0)
			return verb_usage(&verb_top,
				"there is no default route; which device (-i)? \"mapi "
				"devices\" lists them");
		o->arguments.input = o->default_name;
		o->arguments.live = true;
	}
	o->screen = o->arguments.format == ARGUMENTS_TEXT && !o->plain && terminal_usable() &&
		strcmp(o->arguments.input, "-") != 0;
	if (!o->interval_ms)
		o->interval_ms = o->screen ? TOP_INTERVAL_SCREEN_MS : TOP_INTERVAL_MS;
	return EXIT_OK;
}

/* ---- what screen and lines have in common ---- */

/* Capture follows the interface, not its name. One that is removed, and made again, has that of
 * the last. */
static void top_name_device(struct top *t)
{
	const char *given = t->options->arguments.input;
	char name[IF_NAMESIZE];

	if (!t->options->arguments.live)
		return;
	if (!t->index || !if_indextoname(t->index, name)) {
		t->index = if_nametoindex(t->screen.device);
		if (!t->index)
			t->index = if_nametoindex(given);
		if (!t->index || !if_indextoname(t->index, name))
			return;
	}
	memcpy(t->renamed, name, sizeof(t->renamed));
	t->screen.was = strcmp(name, given) != 0 ? given : NULL;
	t->screen.device = t->screen.was ? t->renamed : given;
}

int top_take_sample(struct top *t)
{
	struct top_sample sample;
	int r = top_flows_read(t->flows, &sample);

	if (r < 0)
		return r;
	if (t->has_sample && t->options->arguments.live)
		top_rates(&sample, &t->sample);
	top_sample_deinit(&t->sample);
	t->sample = sample;
	t->has_sample = true;
	top_sort(&t->sample, t->screen.sort);
	top_name_device(t);
	return 0;
}

/* An error that may be about the filter. Return: enum exit_code. */
static int top_fail(const struct top_error *error, const char *filter)
{
	struct pipeline_arg arg = { .place = { .source = filter,
					    .len = filter ? strlen(filter) : 0 } };
	struct pipeline_step step = { .args = &arg, .n_args = 1, .fd = -1, .fid = -1 };

	return session_fail_text(error->code, error->text, filter && *filter ? &step : NULL);
}

static void top_block_signals(struct top *t)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH };
	unsigned int i;

	sigemptyset(&t->signals);
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		if (t->options->screen || i < 2)
			sigaddset(&t->signals, numbers[i]);
	t->signal_fd = signalfd(-1, &t->signals, SFD_CLOEXEC | SFD_NONBLOCK);
	(void)sigprocmask(SIG_BLOCK, &t->signals, NULL);
}

int top_signal(struct top *t)
{
	struct signalfd_siginfo info;

	if (read(t->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	return (int)info.ssi_signo;
}

/* ---- lines ---- */

static void top_print(struct top *t)
{
	t->screen.filter = t->filter;
	if (t->options->arguments.format == ARGUMENTS_CSV)
		top_show_csv(
			stdout, &t->screen, &t->sample, t->options->max_rows, t->n_shown++ == 0);
	else if (t->options->arguments.format == ARGUMENTS_JSON)
		top_show_json(stdout, &t->screen, &t->sample, t->options->max_rows);
	else
		top_show_lines(stdout, &t->screen, &t->sample, t->options->max_rows);
	(void)fflush(stdout); /* a failure stays in the stream and is found at the end */
}

/* Return: milliseconds to sleep until the next look. */
static int top_sleep_ms(const struct top *t, uint64_t next_ms, uint64_t end_ms)
{
	uint64_t now_ms = session_now_ms(), until_ms = MIN(next_ms, end_ms);
	uint64_t max_ms = t->options->arguments.live ? TOP_POLL_LIVE_MS : TOP_POLL_FILE_MS;

	return (int)MIN(max_ms, until_ms > now_ms ? until_ms - now_ms : 0);
}

static int top_run_lines(struct top *t)
{
	uint64_t begin_ms = session_now_ms(), next_ms = begin_ms + t->options->interval_ms;
	uint64_t end_ms = t->options->arguments.duration_ms
		? begin_ms + t->options->arguments.duration_ms
		: UINT64_MAX;
	struct pollfd fd = { .fd = t->signal_fd, .events = POLLIN };

	if (!t->options->arguments.live)
		next_ms = UINT64_MAX;
	else if (top_take_sample(t) < 0) /* from which the first rates are */
		return session_fail(NULL);
	else
		session_tell_listening(t->options->arguments.input);
	while (session_now_ms() < end_ms && !top_flows_finished(t->flows)) {
		if (poll(&fd, 1, top_sleep_ms(t, next_ms, end_ms)) > 0 && top_signal(t)) {
			(void)sigprocmask(SIG_UNBLOCK, &t->signals, NULL);
			return t->options->arguments.live ? EXIT_OK : EXIT_INTERRUPTED;
		}
		if (session_now_ms() < next_ms)
			continue;
		if (top_take_sample(t) < 0)
			return session_fail(NULL);
		top_print(t);
		next_ms += t->options->interval_ms;
	}
	return EXIT_OK;
}

/* The totals, once more and exact. */
static int top_finish(struct top *t, int code)
{
	struct top_sample *sample = &t->sample;
	unsigned int i, j;

	top_flows_flush(t->flows);
	if (top_take_sample(t) < 0)
		return session_fail(NULL);
	sample->total.pps = sample->total.bps = -1;
	for (i = 0; i < _TOP_VIEW_N; i++)
		for (j = 0; j < sample->tables[i].n_rows; j++)
			sample->tables[i].rows[j].pps = sample->tables[i].rows[j].bps = -1;
	top_sort(sample, t->screen.sort);
	top_print(t);
	if (sample->status.error) {
		int failed =
			session_fail_text(sample->status.error, sample->status.error_text, NULL);

		code = code == EXIT_OK ? failed : code;
	}
	return code;
}

/* ---- the verb ---- */

static int top_session(struct top *t)
{
	struct top_error error;
	int code;

	if (top_flows_open(&t->flows, t->options->arguments.input, t->options->arguments.live,
		    t->filter, &error) < 0)
		return top_fail(&error, t->filter);
	top_block_signals(t);
	if (top_flows_start(t->flows) < 0)
		return session_fail(NULL);
	t->screen.since_ns = session_now_ms() * 1000000u;
	code = t->options->screen ? top_run_screen(t) : top_run_lines(t);
	if (code == EXIT_OK || code == EXIT_INTERRUPTED)
		code = top_finish(t, code);
	return code;
}

static int top_run(int argc, char **argv)
{
	struct top_options o;
	struct top t = { .options = &o, .signal_fd = -1 };
	int code = top_parse_options(&o, argc, argv);

	if (code != EXIT_OK)
		return code;
	code = arguments_filter(&o.arguments, &verb_top, argv + optind, argc - optind, &t.filter);
	if (code != EXIT_OK)
		return code;
	t.screen = (struct top_screen){ .device = o.arguments.input,
		.live = o.arguments.live,
		.sort = o.sort,
		.colour = text_colour_wanted(o.arguments.colour, STDOUT_FILENO) };
	code = top_session(&t);
	top_flows_close(t.flows);
	top_sample_deinit(&t.sample);
	if (t.signal_fd >= 0)
		(void)close(t.signal_fd);
	free(t.filter);
	return code;
}

const struct verb verb_top = {
	.name = "top",
	.summary = "show what is on a device: protocols, hosts, ports, rates, losses",
	.intro = top_intro,
	.options = top_table,
	.outro = "\nKeys: q quit, v next view, s sort, p pause, / filter, ? help.\n",
	.word = VERB_FILTER,
	.run = top_run,
};
