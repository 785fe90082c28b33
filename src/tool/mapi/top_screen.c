/* SPDX-License-Identifier: BSD-2-Clause */
/* The screen of mapi top: keys, time and signals. What stands on it: top_show.c. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session.h"
#include "terminal.h"
#include "top_private.h"

#define TOP_FILTER_BYTES 1024
#define TOP_LOOK_MS 100u /* how late the end of a file is noticed */

/* @next_ms: when the next sample is due; @drawn: what is on the screen is what should be */
struct top_ui {
	struct top *top;
	char edit[TOP_FILTER_BYTES];
	char message[MAPI_ERRORSTR_LENGTH];
	uint64_t next_ms;
	uint64_t end_ms;
	bool drawn;
	bool quit;
	bool interrupted;
};

static int top_ui_draw(struct top_ui *ui)
{
	unsigned int width, height;
	char *text = NULL;
	size_t text_bytes;
	FILE *out = open_memstream(&text, &text_bytes);

	if (!out)
		return -ENOMEM;
	terminal_size(&width, &height);
	ui->top->screen.filter = ui->top->filter;
	top_show_screen(out, &ui->top->screen, &ui->top->sample, width, height);
	if (fclose(out) != 0) {
		free(text);
		return -ENOMEM;
	}
	terminal_show(text);
	free(text);
	ui->drawn = true;
	return 0;
}

static void top_ui_say(struct top_ui *ui, const char *text)
{
	(void)snprintf(ui->message, sizeof(ui->message), "%s", text);
	ui->top->screen.message = ui->message;
}

/* ---- filter ---- */

/* The flows are made anew; those of a filter that can't be used leave the old ones alone. */
static void top_ui_filter(struct top_ui *ui)
{
	struct top *t = ui->top;
	struct top_flows *flows;
	struct top_error error;
	char *filter = strdup(ui->edit);

	t->screen.edit = NULL;
	if (!filter ||
		top_flows_open(&flows, t->options->arguments.input, true, filter, &error) < 0) {
		top_ui_say(ui, filter ? error.text : "out of memory");
		free(filter);
		return;
	}
	top_flows_close(t->flows);
	t->flows = flows;
	free(t->filter);
	t->filter = filter;
	t->has_sample = false;
	t->screen.since_ns = session_now_ms() * 1000000u;
	t->screen.scroll = 0;
	ui->next_ms = 0;
}

static void top_ui_edit(struct top_ui *ui, int key)
{
	size_t n = strlen(ui->edit);

	if (key == TERMINAL_KEY_ENTER || key == '\n')
		top_ui_filter(ui);
	else if (key == TERMINAL_KEY_ESCAPE)
		ui->top->screen.edit = NULL;
	else if ((key == TERMINAL_KEY_BACKSPACE || key == '\b') && n)
		ui->edit[n - 1] = '\0';
	else if (key == 'U' - '@')
		*ui->edit = '\0';
	else if (key >= ' ' && key < TERMINAL_KEY_BACKSPACE && n + 1 < sizeof(ui->edit)) {
		ui->edit[n] = (char)key;
		ui->edit[n + 1] = '\0';
	}
}

static void top_ui_begin_edit(struct top_ui *ui)
{
	if (!ui->top->options->arguments.live) {
		top_ui_say(ui, "a file is read once: give the filter on the command line");
		return;
	}
	(void)snprintf(ui->edit, sizeof(ui->edit), "%s", ui->top->filter ? ui->top->filter : "");
	ui->top->screen.edit = ui->edit;
}

/* ---- keys ---- */

static void top_ui_scroll(struct top_ui *ui, int rows)
{
	struct top_screen *s = &ui->top->screen;
	long n_rows = ui->top->sample.tables[s->view].n_rows;
	long scroll = (long)s->scroll + rows;

	s->scroll = (unsigned int)MAX(MIN(scroll, n_rows - 1), 0);
}

static void top_ui_command(struct top_ui *ui, int key)
{
	struct top_screen *s = &ui->top->screen;

	switch (key) {
	case 'q':
	case 'Q':
		ui->quit = true;
		break;
	case 'v':
	case TERMINAL_KEY_TAB:
		s->view = (enum top_view)((s->view + 1) % _TOP_VIEW_N);
		s->scroll = 0;
		break;
	case 's':
		s->sort = (enum top_sort)((s->sort + 1) % _TOP_SORT_N);
		top_sort(&ui->top->sample, s->sort);
		break;
	case 'p':
	case ' ':
		s->paused = !s->paused;
		ui->next_ms = 0;
		break;
	case '/':
		top_ui_begin_edit(ui);
		break;
	case '?':
	case 'h':
	case TERMINAL_KEY_ESCAPE:
		s->help = key != TERMINAL_KEY_ESCAPE && !s->help;
		break;
	case TERMINAL_KEY_UP:
	case TERMINAL_KEY_DOWN:
		top_ui_scroll(ui, key == TERMINAL_KEY_UP ? -1 : 1);
		break;
	case TERMINAL_KEY_PAGE_UP:
	case TERMINAL_KEY_PAGE_DOWN:
		top_ui_scroll(ui, key == TERMINAL_KEY_PAGE_UP ? -10 : 10);
		break;
	}
}

static void top_ui_keys(struct top_ui *ui)
{
	char bytes[256];
	size_t at = 0, used;
	int n = terminal_read(bytes, sizeof(bytes)), key;

	if (n < 0)
		ui->quit = true;
	while (n > 0 && at < (size_t)n && !ui->quit) {
		key = terminal_decode(bytes + at, (size_t)n - at, &used);
		at += used;
		if (key == TERMINAL_KEY_NONE)
			continue;
		ui->top->screen.message = NULL;
		if (ui->top->screen.edit)
			top_ui_edit(ui, key);
		else
			top_ui_command(ui, key);
	}
	ui->drawn = false;
}

/* ---- signals ---- */

/* As a shell expects of a program that is stopped: the terminal is its own meanwhile. */
static void top_ui_stop(void)
{
	terminal_close();
	(void)raise(SIGSTOP);
	(void)terminal_open(); /* fails only if the terminal is gone, and then reading does too */
}

static void top_ui_signals(struct top_ui *ui)
{
	int number;

	while ((number = top_signal(ui->top))) {
		ui->drawn = false;
		if (number == SIGTSTP)
			top_ui_stop();
		else if (number != SIGWINCH)
			ui->interrupted = true;
	}
}

/* ---- time ---- */

static int top_ui_sample(struct top_ui *ui)
{
	uint64_t now_ms = session_now_ms();
	const struct top *t = ui->top;

	if (now_ms < ui->next_ms || t->screen.paused || t->screen.edit)
		return 0;
	/* The first rates come soon. */
	ui->next_ms = now_ms + (t->has_sample ? t->options->interval_ms : 300);
	ui->drawn = false;
	return top_take_sample(ui->top);
}

static int top_ui_loop(struct top_ui *ui)
{
	struct pollfd fds[] = {
		{ .fd = ui->top->signal_fd, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};
	int r;

	while (!ui->quit && !ui->interrupted && session_now_ms() < ui->end_ms &&
		!top_flows_finished(ui->top->flows)) {
		r = top_ui_sample(ui);
		if (r == 0 && !ui->drawn)
			r = top_ui_draw(ui);
		if (r < 0)
			return r;
		if (poll(fds, 2, (int)TOP_LOOK_MS) <= 0)
			continue;
		if (fds[0].revents)
			top_ui_signals(ui);
		if (fds[1].revents)
			top_ui_keys(ui);
	}
	return 0;
}

int top_run_screen(struct top *t)
{
	struct top_ui ui = { .top = t, .end_ms = UINT64_MAX };
	int r = terminal_open();

	if (r < 0) {
		fprintf(stderr, "mapi: terminal: %s\n", strerror(-r));
		return EXIT_DEVICE;
	}
	if (t->options->arguments.duration_ms)
		ui.end_ms = session_now_ms() + t->options->arguments.duration_ms;
	r = top_ui_loop(&ui);
	terminal_close();
	/* From here on a signal kills, as everywhere after the first. */
	(void)sigprocmask(SIG_UNBLOCK, &t->signals, NULL);
	t->screen.edit = t->screen.message = NULL;
	if (r < 0)
		return session_fail(NULL);
	return !t->options->arguments.live && ui.interrupted ? EXIT_INTERRUPTED : EXIT_OK;
}
