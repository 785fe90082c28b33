/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * REGEXP in the plain machine. Nothing is tried and taken back here: each part of the expression
 * turns the set of places where a match may have come to into the set of those that it can go on
 * to. It knows what cases.c draws: bytes, \xff, \d, ., [...], (?:...|...), ? + * {m,n}, ^ and $,
 * and
 * (?i), (?s), (?m) at the beginning.
 */
#include "plain.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct plain_regexp {
	const uint8_t *data;
	size_t n_bytes;
	bool ignores_case, dot_is_all, has_lines;
};

/* One flag for each place before, between and behind the bytes. */
typedef unsigned char *plain_places;

static plain_places plain_places_new(const struct plain_regexp *r)
{
	plain_places places = calloc(r->n_bytes + 1, 1);

	if (!places)
		abort();
	return places;
}

/* Return: whether there are more now. */
static bool plain_unite(const struct plain_regexp *r, plain_places into, const plain_places from)
{
	bool more = false;

	for (size_t i = 0; i <= r->n_bytes; i++) {
		more |= from[i] && !into[i];
		into[i] |= from[i];
	}
	return more;
}

/* ---- one byte ---- */

static uint8_t plain_byte(const char **at)
{
	char digits[3] = "";

	if (**at != '\\')
		return (uint8_t) * (*at)++;
	memcpy(digits, *at + 2, 2);
	*at += 4; /* \xff */
	return (uint8_t)strtoul(digits, NULL, 16);
}

static void plain_add(const struct plain_regexp *r, bool set[256], unsigned int c)
{
	set[c] = true;
	if (r->ignores_case && c < 128 && isalpha((int)c))
		set[c ^ 0x20] = true;
}

/* [...], behind its first bracket. */
static void plain_class(const struct plain_regexp *r, const char **at, bool set[256])
{
	bool negated = **at == '^';

	*at += negated;
	while (**at != ']') {
		unsigned int first = plain_byte(at), last = first;

		if (**at == '-') {
			(*at)++;
			last = plain_byte(at);
		}
		for (unsigned int c = first; c <= last; c++)
			plain_add(r, set, c);
	}
	(*at)++;
	for (unsigned int c = 0; negated && c < 256; c++)
		set[c] = !set[c];
}

static void plain_set(const struct plain_regexp *r, const char **at, bool set[256])
{
	memset(set, 0, 256);
	if (**at == '.') {
		memset(set, 1, 256);
		set['\n'] = r->dot_is_all;
		(*at)++;
	} else if (**at == '[') {
		(*at)++;
		plain_class(r, at, set);
	} else if (strncmp(*at, "\\d", 2) == 0) {
		memset(set + '0', 1, 10);
		*at += 2;
	} else {
		plain_add(r, set, plain_byte(at));
	}
}

/* ---- parts of an expression; *at moves behind each ---- */

static void plain_alternatives(
	const struct plain_regexp *r, const char **at, const plain_places from, plain_places to);

static void plain_anchor(
	const struct plain_regexp *r, char anchor, const plain_places from, plain_places to)
{
	for (size_t i = 0; i <= r->n_bytes; i++) {
		bool fits;

		if (anchor == '^') /* not behind a newline that ends the packet */
			fits = i == 0 || (r->has_lines && r->data[i - 1] == '\n' && i < r->n_bytes);
		else
			fits = i == r->n_bytes ||
				(r->data[i] == '\n' && (r->has_lines || i + 1 == r->n_bytes));
		to[i] = from[i] && fits;
	}
}

static void plain_once(
	const struct plain_regexp *r, const char **at, const plain_places from, plain_places to)
{
	bool set[256];

	if (**at == '(') {
		*at += 3; /* (?: */
		plain_alternatives(r, at, from, to);
		(*at)++;
		return;
	}
	plain_set(r, at, set);
	for (size_t i = 0; i < r->n_bytes; i++)
		to[i + 1] = from[i] && set[r->data[i]];
}

static void plain_quantity(const char **at, size_t n_bytes, size_t *min, size_t *max)
{
	char *end;

	*min = *max = 1;
	if (**at == '?' || **at == '*')
		*min = 0;
	if (**at == '*' || **at == '+')
		*max = n_bytes;
	if (**at == '{') {
		*min = strtoul(*at + 1, &end, 10);
		*max = strtoul(end + 1, &end, 10);
		*at = end;
	}
	*at += **at == '?' || **at == '*' || **at == '+' || **at == '}';
}

static bool plain_any(const struct plain_regexp *r, const plain_places places)
{
	return memchr(places, 1, r->n_bytes + 1) != NULL;
}

static void plain_repeated(
	const struct plain_regexp *r, const char **at, const plain_places from, plain_places to)
{
	plain_places now = plain_places_new(r), next = plain_places_new(r);
	const char *begin = *at;
	size_t min, max;

	plain_once(r, at, from, next); /* to see where it ends */
	plain_quantity(at, r->n_bytes, &min, &max);
	memcpy(now, from, r->n_bytes + 1);
	if (min == 0)
		(void)plain_unite(r, to, now);
	for (size_t n = 1; n <= max && plain_any(r, now); n++) {
		const char *again = begin;

		memset(next, 0, r->n_bytes + 1);
		plain_once(r, &again, now, next);
		memcpy(now, next, r->n_bytes + 1);
		if (n >= min && !plain_unite(r, to, now))
			break;
	}
	free(now);
	free(next);
}

static void plain_sequence(
	const struct plain_regexp *r, const char **at, const plain_places from, plain_places to)
{
	plain_places next = plain_places_new(r);

	memcpy(to, from, r->n_bytes + 1);
	while (**at && **at != '|' && **at != ')') {
		memset(next, 0, r->n_bytes + 1);
		if (**at == '^' || **at == '$')
			plain_anchor(r, *(*at)++, to, next);
		else
			plain_repeated(r, at, to, next);
		memcpy(to, next, r->n_bytes + 1);
	}
	free(next);
}

static void plain_alternatives(
	const struct plain_regexp *r, const char **at, const plain_places from, plain_places to)
{
	plain_places one = plain_places_new(r);

	for (;;) {
		plain_sequence(r, at, from, one);
		(void)plain_unite(r, to, one);
		if (**at != '|')
			break;
		(*at)++;
	}
	free(one);
}

bool plain_regexp(const struct model_function *f, const struct model_packet *pkt)
{
	struct plain_regexp r = { .data = pkt->data, .n_bytes = pkt->cap_bytes };
	plain_places from, to;
	const char *at = f->text;
	bool found;

	for (; strncmp(at, "(?", 2) == 0 && at[2] != ':'; at += 4) {
		r.ignores_case |= at[2] == 'i';
		r.dot_is_all |= at[2] == 's';
		r.has_lines |= at[2] == 'm';
	}
	from = plain_places_new(&r);
	to = plain_places_new(&r);
	memset(from, 1, r.n_bytes + 1);
	plain_alternatives(&r, &at, from, to);
	found = plain_any(&r, to);
	free(from);
	free(to);
	return found;
}
