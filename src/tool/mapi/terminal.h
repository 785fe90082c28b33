/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A terminal that shows one screen and gives single keys. A few control sequences that every
 * terminal since the VT100 understands, and termios.
 */
#ifndef MAPI_TOOL_TERMINAL_H
#define MAPI_TOOL_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

enum terminal_key {
	TERMINAL_KEY_NONE = 0,
	/* 1 .. 126: the character */
	TERMINAL_KEY_UP = 256,
	TERMINAL_KEY_DOWN,
	TERMINAL_KEY_PAGE_UP,
	TERMINAL_KEY_PAGE_DOWN
};

#define TERMINAL_KEY_TAB 9
#define TERMINAL_KEY_ENTER 13
#define TERMINAL_KEY_ESCAPE 27
#define TERMINAL_KEY_BACKSPACE 127

/* Are standard input and output a terminal that can do this? */
bool terminal_usable(void);

/* Take the terminal, until terminal_close(); it is also given back when the program exits, or is
 * killed by one of its own faults. Return: 0, negative errno. */
int terminal_open(void);

/* As it was. Does nothing if it is not open. */
void terminal_close(void);

/* Columns and lines; 80 x 24 if nobody knows. */
void terminal_size(unsigned int *ret_width, unsigned int *ret_height);

/* Show these lines; @text has line ends between them. */
void terminal_show(const char *text);

/* Read what was typed into @bytes, without waiting. Return: bytes, 0 for none, -1: hung up. */
int terminal_read(char *bytes, size_t max_bytes);

/**
 * terminal_decode() - the next key in what was read
 * @bytes, @n_bytes: what is left
 * @ret_used: bytes that it takes, at least 1
 *
 * Return: a character or enum terminal_key; TERMINAL_KEY_NONE for sequences of keys without a
 * meaning here, and bytes beyond ASCII.
 */
int terminal_decode(const char *bytes, size_t n_bytes, size_t *ret_used);

#endif
