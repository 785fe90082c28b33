/* SPDX-License-Identifier: BSD-2-Clause */
/* See text.h. */
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT_WORD_MAX 32 /* longer words are not compared: nobody mistypes those */

static char text_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

bool text_equal(const char *word, size_t len, const char *name)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!name[i] || text_upper(word[i]) != text_upper(name[i]))
			return false;
	return !name[len];
}

/* Damerau's distance without repeated edits of one place ("optimal string alignment"). */
static unsigned int text_distance(const char *a, size_t n, const char *b, size_t m)
{
	unsigned int row[3][TEXT_WORD_MAX + 1];
	size_t i, j;

	for (j = 0; j <= m; j++)
		row[0][j] = (unsigned int)j;
	for (i = 1; i <= n; i++) {
		unsigned int *now = row[i % 3], *before = row[(i + 2) % 3];
		const unsigned int *two_before = row[(i + 1) % 3];

		now[0] = (unsigned int)i;
		for (j = 1; j <= m; j++) {
			char x = text_upper(a[i - 1]), y = text_upper(b[j - 1]);
			unsigned int best = before[j - 1] + (x != y);

			if (before[j] + 1 < best)
				best = before[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && x == text_upper(b[j - 2]) &&
				text_upper(a[i - 2]) == y && two_before[j - 2] + 1 < best)
				best = two_before[j - 2] + 1;
			now[j] = best;
		}
	}
	return row[n % 3][m];
}

static bool text_begins(const char *word, size_t len, const char *name)
{
	size_t i = 0;

	while (i < len && text_upper(word[i]) == text_upper(name[i]))
		i++;
	return i == len;
}

void text_suggest(struct text_suggestion *s, const char *name)
{
	size_t len = strlen(name);
	unsigned int limit, d;

	if (!s->word_len || s->word_len > TEXT_WORD_MAX || len > TEXT_WORD_MAX)
		return;
	limit = (unsigned int)(s->word_len / 3);
	limit = s->word_len < 2 ? 0 : limit < 1 ? 1 : limit > 3 ? 3 : limit;
	d = 2 * text_distance(s->word, s->word_len, name, len);
	/* The beginning of a name is nearer than anything but the name itself. */
	if (s->word_len < len && text_begins(s->word, s->word_len, name) &&
		(s->word_len >= 3 || d <= 2 * limit))
		d = 1;
	if (d <= 2 * limit && (!s->best || d < s->distance)) {
		s->best = name;
		s->distance = d;
	}
}

static bool text_is_control(unsigned char c)
{
	return c < 0x20 || c == 0x7f;
}

static bool text_is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

void text_caret(FILE *out, const char *prefix, const char *source, size_t at, size_t len)
{
	size_t total = strlen(source), first, end, i;
	bool underlined = false;

	if (at > total)
		at = total;
	for (first = at; first > 0 && source[first - 1] != '\n'; first--)
		;
	for (end = at; end < total && source[end] != '\n'; end++)
		;
	fputs(prefix, out);
	for (i = first; i < end; i++)
		fputc(text_is_control((unsigned char)source[i]) ? ' ' : source[i], out);
	fprintf(out, "\n%s", prefix);
	for (i = first; i < at; i++)
		if (!text_is_continuation(source[i]))
			fputc(' ', out);
	for (i = at; i < end && i < at + len; i++) {
		if (text_is_continuation(source[i]))
			continue;
		fputc(underlined ? '~' : '^', out);
		underlined = true;
	}
	if (!underlined)
		fputc('^', out);
	fputc('\n', out);
}

size_t text_utf8(const unsigned char *s)
{
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf && text_is_continuation((char)s[1]))
		return s[0] == 0xc2 && s[1] < 0xa0 ? 0 : 2;
	if ((s[0] & 0xf0) == 0xe0 && text_is_continuation((char)s[1]) &&
		text_is_continuation((char)s[2])) {
		if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0))
			return 0;
		return 3;
	}
	if (s[0] >= 0xf0 && s[0] <= 0xf4 && text_is_continuation((char)s[1]) &&
		text_is_continuation((char)s[2]) && text_is_continuation((char)s[3])) {
		if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
			return 0;
		return 4;
	}
	return 0;
}

/* Write the character at @s, or a byte that is none. Return: how long it is. */
static size_t text_safe_one(FILE *out, const char *s)
{
	size_t n = text_utf8((const unsigned char *)s);

	if (n && !text_is_control((unsigned char)*s))
		return fwrite(s, 1, n, out), n;
	fprintf(out, "\\x%02x", (unsigned char)*s);
	return 1;
}

/* Columns that the character at @s takes, and how long it is. */
static unsigned int text_safe_columns(const char *s, size_t *ret_n)
{
	size_t n = text_utf8((const unsigned char *)s);

	*ret_n = n ? n : 1;
	return n && !text_is_control((unsigned char)*s) ? 1 : 4;
}

void text_safe(FILE *out, const char *s)
{
	while (*s)
		s += text_safe_one(out, s);
}

void text_wrap(FILE *out, const char *s, unsigned int column)
{
	unsigned int at = column;

	while (*(s += strspn(s, " "))) {
		const char *end = s + strcspn(s, " ");
		unsigned int columns = at > column; /* the blank before the word */
		size_t n;

		for (const char *c = s; c < end; c += n)
			columns += text_safe_columns(c, &n);
		if (at > column && at + columns > TEXT_COLUMNS)
			at = (unsigned int)fprintf(out, "\n%*s", (int)column, "") - 1;
		else if (at > column)
			at += (unsigned int)fprintf(out, " ");
		while (s < end) {
			columns = text_safe_columns(s, &n);
			if (at + columns > TEXT_COLUMNS)
				at = (unsigned int)fprintf(out, "\n%*s", (int)column, "") - 1;
			s += text_safe_one(out, s);
			at += columns;
		}
	}
	fputc('\n', out);
}

void text_f64(char *out, size_t out_bytes, double value)
{
	int digits;

	if (value > -9007199254740993.0 && value < 9007199254740993.0 &&
		value == (double)(long long)value) {
		(void)snprintf(out, out_bytes, "%lld", (long long)value);
		return;
	}
	for (digits = 15; digits <= 17; digits++) {
		(void)snprintf(out, out_bytes, "%.*g", digits, value);
		if (strtod(out, NULL) == value)
			return;
	}
}

void text_f80(char *out, size_t out_bytes, long double value)
{
	int digits;

	if (value > -18446744073709551617.0L && value < 18446744073709551617.0L) {
		(void)snprintf(out, out_bytes, "%.0Lf", value);
		if (strtold(out, NULL) == value)
			return;
	}
	for (digits = 18; digits <= 21; digits++) {
		(void)snprintf(out, out_bytes, "%.*Lg", digits, value);
		if (strtold(out, NULL) == value)
			return;
	}
}

int text_colour_parse(const char *word, enum text_colour_mode *ret)
{
	static const char *const words[] = { "auto", "always", "never" };
	int i;

	for (i = 0; i < 3; i++)
		if (!strcmp(word, words[i])) {
			*ret = (enum text_colour_mode)i;
			return 0;
		}
	return -EINVAL;
}

static bool text_environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value;
}

bool text_colour_wanted(enum text_colour_mode mode, int fd)
{
	const char *term = getenv("TERM"), *force = getenv("CLICOLOR_FORCE");

	if (mode != TEXT_COLOUR_AUTO)
		return mode == TEXT_COLOUR_ALWAYS;
	if (text_environment("NO_COLOR"))
		return false;
	if (force && *force && strcmp(force, "0") != 0)
		return true;
	return isatty(fd) && term && strcmp(term, "dumb") != 0;
}

void text_bytes(char *out, size_t out_bytes, double bytes)
{
	static const char prefixes[] = " kMGTPE";
	unsigned int i = 0;

	while (bytes >= 999.5 && prefixes[i + 1]) {
		bytes /= 1000;
		i++;
	}
	if (!i)
		(void)snprintf(out, out_bytes, "%.0f B", bytes);
	else
		(void)snprintf(out, out_bytes, "%.*f %cB",
			bytes < 9.995           ? 2
				: bytes < 99.95 ? 1
						: 0,
			bytes, prefixes[i]);
}

void text_rfc3339(char out[TEXT_TIME_BYTES], uint64_t ts_ns)
{
	time_t s = (time_t)(ts_ns / 1000000000u);
	struct tm tm;
	size_t n;

	if (!gmtime_r(&s, &tm)) {
		(void)snprintf(out, TEXT_TIME_BYTES, "invalid");
		return;
	}
	n = strftime(out, TEXT_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(out + n, TEXT_TIME_BYTES - n, ".%09uZ", (unsigned int)(ts_ns % 1000000000u));
}
