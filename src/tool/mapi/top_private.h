/* SPDX-License-Identifier: BSD-2-Clause */
/* Between top.c, which runs everything, and top_screen.c, which runs a terminal. */
#ifndef MAPI_TOOL_TOP_PRIVATE_H
#define MAPI_TOOL_TOP_PRIVATE_H

#include <net/if.h>
#include <signal.h>

#include "base/cleanup.h"
#include "arguments.h"
#include "text.h"
#include "top.h"

/* What the command line says. */
struct top_options {
	struct arguments arguments;
	char default_name[IF_NAMESIZE];
	unsigned int max_rows;
	enum top_sort sort;
	uint64_t interval_ms;
	bool plain;
	bool screen; /* there is a terminal, and nobody wants lines */
};

/**
 * struct top - a run
 * @filter:  of the flows; owned
 * @index:   of the interface; 0: it is none, or it is gone
 * @renamed: what it is called now, if not as the user called it
 */
struct top {
	const struct top_options *options;
	char *filter;
	unsigned int index;
	char renamed[IF_NAMESIZE];
	struct top_flows *flows;
	struct top_sample sample;
	bool has_sample;
	unsigned long long n_shown;
	struct top_screen screen;
	sigset_t signals; /* blocked, and read from @signal_fd */
	int signal_fd;
};

/* Read @sample anew, with rates since the one before. Return: 0, -EINVAL (mapi_read_error()),
 * -ENOMEM. */
int top_take_sample(struct top *t);

/* The number of a signal that has come, 0 if none has. Does not wait. */
int top_signal(struct top *t);

/* Show the screen until the user or the flows end it. The terminal is given back. Return: enum
 * exit_code; if it is EXIT_OK or EXIT_INTERRUPTED the result is worth printing. */
int top_run_screen(struct top *t);

#endif
