/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Words for people: suggestions for mistyped names, carets under mistakes, colour, and text that
 * comes from outside made safe for a terminal.
 */
#ifndef MAPI_TOOL_TEXT_H
#define MAPI_TOOL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/**
 * struct text_suggestion - the nearest of several names, found one by one
 * @word, @word_len: what was typed; borrowed
 * @best:            nearest name so far, NULL while none is near enough
 * @distance:        twice its edit distance
 */
struct text_suggestion {
	const char *word;
	size_t word_len;
	const char *best;
	unsigned int distance;
};

#define TEXT_SUGGESTION(w, len) ((struct text_suggestion){ .word = (w), .word_len = (len) })

/* Offer one name. A name is near if at most a third of the word (1 to 3 letters; none of a single
 * letter) is inserted, left out, changed or swapped with its neighbour, whatever the case, or if
 * the word is its beginning. */
void text_suggest(struct text_suggestion *s, const char *name);

/* "  did you mean X?" material: the name, or NULL. */
static inline const char *text_suggested(const struct text_suggestion *s)
{
	return s->best;
}

/* Compare @len letters of @word with the whole of @name, whatever the case (ASCII). */
bool text_equal(const char *word, size_t len, const char *name);

/**
 * text_caret() - show where in a line something is wrong
 * @out:    stream
 * @prefix: written before the line, e.g. "  "
 * @source: text, may have several lines; only the line of @at is shown
 * @at:     byte offset in @source; its length is allowed
 * @len:    bytes to underline, at least one column is
 *
 * Control characters are shown as spaces or '?', so that columns agree and terminals are safe.
 */
void text_caret(FILE *out, const char *prefix, const char *source, size_t at, size_t len);

/* Write @s with control characters (C0, DEL, C1 and invalid UTF-8 bytes) as \xHH. */
void text_safe(FILE *out, const char *s);

/* What fits into every terminal. */
#define TEXT_COLUMNS 79

/* Write the words of @s, safely as above, from column @column on, where the first line has begun
 * already, and end the last line. A word that is longer than a line is broken. */
void text_wrap(FILE *out, const char *s, unsigned int column);

/* Length of the valid UTF-8 sequence (RFC 3629) at @s, which is NUL-terminated; 0 if there is none,
 * or a C1 control. */
size_t text_utf8(const unsigned char *s);

/* Numbers with as many digits as bring them back; integers without a point as long as the type
 * holds them exactly. */
#define TEXT_F80_BYTES 48
void text_f64(char *out, size_t out_bytes, double value);
void text_f80(char *out, size_t out_bytes, long double value);

enum text_colour_mode { TEXT_COLOUR_AUTO, TEXT_COLOUR_ALWAYS, TEXT_COLOUR_NEVER };

/* Return: 0, -EINVAL if @word is none of auto, always, never. */
int text_colour_parse(const char *word, enum text_colour_mode *ret);

/* Whether to colour what goes to @fd: NO_COLOR, CLICOLOR_FORCE and TERM=dumb are obeyed in auto. */
bool text_colour_wanted(enum text_colour_mode mode, int fd);

/* "3.4 GB": three significant digits, decimal prefixes. */
void text_bytes(char *out, size_t out_bytes, double bytes);

/* RFC 3339, UTC, nine digits: "2026-11-22T03:22:00.123456789Z". */
#define TEXT_TIME_BYTES 40
void text_rfc3339(char out[TEXT_TIME_BYTES], uint64_t ts_ns);

/* Nanoseconds since the Unix epoch of a 32.32 fixed point time: exactly those of the capture,
 * because the library rounds up when it makes 32.32 of nanoseconds. */
static inline uint64_t text_ns_from_ts(uint64_t ts)
{
	return (ts >> 32) * 1000000000u + (((ts & 0xffffffffu) * 1000000000u) >> 32);
}

#endif
