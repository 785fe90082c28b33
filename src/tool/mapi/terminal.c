/* SPDX-License-Identifier: BSD-2-Clause */
/* See terminal.h. */
#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"

#define TERMINAL_ENTER "\033[?1049h\033[?25l\033[2J" /* other screen, no cursor, clear */
#define TERMINAL_LEAVE "\033[0m\033[?25h\033[?1049l"

/* Read by a signal handler. */
static volatile sig_atomic_t terminal_is_open;
static struct termios terminal_before;

static const int terminal_faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };

bool terminal_usable(void)
{
	const char *term = getenv("TERM");

	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && *term &&
		strcmp(term, "dumb") != 0;
}

/* Calls only what a signal handler may call. */
void terminal_close(void)
{
	int saved = errno;

	if (!terminal_is_open)
		return;
	terminal_is_open = 0;
	/* If the terminal is gone there is nobody to tell. */
	if (write(STDOUT_FILENO, TERMINAL_LEAVE, sizeof(TERMINAL_LEAVE) - 1) < 0)
		errno = saved;
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal_before);
	errno = saved;
}

static void terminal_on_fault(int number)
{
	terminal_close();
	(void)raise(number); /* the handler is gone: SA_RESETHAND */
}

int terminal_open(void)
{
	struct sigaction action = { .sa_handler = terminal_on_fault, .sa_flags = SA_RESETHAND };
	static bool registered;
	struct termios raw;
	unsigned int i;

	if (tcgetattr(STDIN_FILENO, &terminal_before) < 0)
		return -errno;
	if (!registered && atexit(terminal_close) != 0)
		return -ENOMEM;
	registered = true;
	for (i = 0; i < ARRAY_SIZE(terminal_faults); i++)
		(void)sigaction(terminal_faults[i], &action, NULL);
	raw = terminal_before;
	/* Single keys, not echoed. Ctrl-C and Ctrl-Z stay signals, and output is still processed.
	 */
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_iflag &= ~(tcflag_t)(ICRNL | IXON);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) < 0)
		return -errno;
	terminal_is_open = 1;
	fputs(TERMINAL_ENTER, stdout);
	(void)fflush(stdout);
	return 0;
}

void terminal_size(unsigned int *ret_width, unsigned int *ret_height)
{
	struct winsize size = { .ws_col = 0 };

	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	*ret_width = size.ws_col ? size.ws_col : 80;
	*ret_height = size.ws_row ? size.ws_row : 24;
}

void terminal_show(const char *text)
{
	const char *end;

	/* Erased before it is written: behind a full line the cursor stands on the last character.
	 */
	fputs("\033[H", stdout);
	for (; (end = strchr(text, '\n')); text = end + 1)
		fprintf(stdout, "\033[K%.*s\r\n", (int)(end - text), text);
	fprintf(stdout, "\033[K%s", text);
	(void)fflush(stdout); /* a terminal that is gone is found by terminal_read() */
}

int terminal_read(char *bytes, size_t max_bytes)
{
	struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
	ssize_t n;

	if (poll(&fd, 1, 0) <= 0)
		return 0;
	if (fd.revents & (POLLHUP | POLLERR | POLLNVAL))
		return -1;
	n = read(STDIN_FILENO, bytes, max_bytes);
	return n > 0 ? (int)n : n < 0 && errno != EAGAIN && errno != EINTR ? -1 : 0;
}

int terminal_decode(const char *bytes, size_t n_bytes, size_t *ret_used)
{
	size_t n = 2;

	*ret_used = 1;
	if (bytes[0] != TERMINAL_KEY_ESCAPE || n_bytes < 2 || (bytes[1] != '[' && bytes[1] != 'O'))
		return (unsigned char)bytes[0] <= 127 ? bytes[0] : TERMINAL_KEY_NONE;
	/* ECMA-48: parameters and intermediates, then one final byte. */
	while (n < n_bytes && bytes[n] >= 0x20 && bytes[n] <= 0x3f)
		n++;
	*ret_used = n < n_bytes ? n + 1 : n;
	if (n == n_bytes)
		return TERMINAL_KEY_NONE;
	if (bytes[n] == 'A')
		return TERMINAL_KEY_UP;
	if (bytes[n] == 'B')
		return TERMINAL_KEY_DOWN;
	if (bytes[n] == '~' && bytes[2] == '5')
		return TERMINAL_KEY_PAGE_UP;
	if (bytes[n] == '~' && bytes[2] == '6')
		return TERMINAL_KEY_PAGE_DOWN;
	return TERMINAL_KEY_NONE;
}
