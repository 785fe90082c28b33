/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser of STR_SEARCH patterns; search.h has the grammar. One pass, left to right; the bytes
 * of all alternatives go into one block, which is never longer than the text.
 */
#include "search/search.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "mapi/errors.h"
#include "search_private.h"

/* struct search_parse - where the parser stands */
struct search_parse {
	const char *text;
	const char *at;
	struct search_pattern *pattern;
	size_t used_bytes; /* of pattern->bytes */
	size_t begun_bytes; /* used_bytes when the current alternative began */
	const char *begun_text; /* where it began */
	struct error *err;
};

static int search_column(const struct search_parse *parse, const char *at)
{
	return (int)(at - parse->text) + 1;
}

static int search_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static void search_put_byte(struct search_parse *parse, uint8_t byte)
{
	parse->pattern->bytes[parse->used_bytes++] = byte;
}

/* From the opening pipe to behind the closing one. */
static int search_parse_hex(struct search_parse *parse)
{
	const char *open = parse->at++;
	size_t before_bytes = parse->used_bytes;

	for (;;) {
		int high, low;

		while (*parse->at == ' ')
			parse->at++;
		if (*parse->at == '|')
			break;
		if (*parse->at == '\0')
			return error_set(parse->err, MDLIB_STRSEARCH_UNTERMINATED_PIPE,
				"The '|' at column %d of the search string opens hexadecimal bytes "
				"that no '|' closes; write \\| for the character itself",
				search_column(parse, open));
		high = search_hex_digit(parse->at[0]);
		if (high < 0)
			return error_set(parse->err, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING,
				"Column %d of the search string is not a hexadecimal digit, but "
				"stands "
				"between '|' and '|'; write |0d 0a|, or \\| for the character "
				"itself",
				search_column(parse, parse->at));
		low = search_hex_digit(parse->at[1]);
		if (low < 0)
			return error_set(parse->err, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING,
				"The byte at column %d of the search string has one hexadecimal "
				"digit; "
				"write two, for example 0a",
				search_column(parse, parse->at));
		search_put_byte(parse, (uint8_t)(high << 4 | low));
		parse->at += 2;
	}
	if (parse->used_bytes == before_bytes)
		return error_set(parse->err, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING,
			"There are no bytes between the '|' at column %d of the search string and "
			"the "
			"next; write |0d 0a|, or || between alternatives",
			search_column(parse, open));
	parse->at++;
	return 0;
}

static int search_end_alternative(struct search_parse *parse)
{
	struct search_pattern *p = parse->pattern;
	size_t n_bytes = parse->used_bytes - parse->begun_bytes;

	if (n_bytes == 0)
		return error_set(parse->err, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING,
			"The alternative at column %d of the search string is empty; '||' stands "
			"between "
			"two, and \\| is the character itself",
			search_column(parse, parse->begun_text));
	if (p->depth_bytes && n_bytes > p->depth_bytes)
		return error_set(parse->err, MDLIB_STRSEARCH_DEPTH_ERR,
			"The search depth is %u bytes, but the alternative at column %d has %zu "
			"and can "
			"never be found; raise the depth, or give 0 for no limit",
			p->depth_bytes, search_column(parse, parse->begun_text), n_bytes);
	p->literals[p->n_literals++] = (struct search_literal){
		.bytes = p->bytes + parse->begun_bytes,
		.n_bytes = (uint32_t)n_bytes,
	};
	parse->begun_bytes = parse->used_bytes;
	return 0;
}

static int search_parse_element(struct search_parse *parse)
{
	if (*parse->at == '|')
		return search_parse_hex(parse);
	if (*parse->at == '\\') {
		parse->at++;
		if (*parse->at == '\0')
			return error_set(parse->err, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING,
				"The backslash at column %d ends the search string; write \\\\ for "
				"the "
				"character itself",
				search_column(parse, parse->at - 1));
	}
	search_put_byte(parse, (uint8_t)*parse->at++);
	return 0;
}

static int search_parse_text(struct search_parse *parse)
{
	int r;

	while (*parse->at) {
		if (parse->at[0] == '|' && parse->at[1] == '|') {
			r = search_end_alternative(parse);
			parse->at += 2;
			parse->begun_text = parse->at;
		} else {
			r = search_parse_element(parse);
		}
		if (r < 0)
			return r;
	}
	return search_end_alternative(parse);
}

/* No more alternatives than this can come out of @text. */
static size_t search_max_alternatives(const char *text)
{
	size_t n = 1;

	for (; *text; text++)
		n += text[0] == '|' && text[1] == '|';
	return n;
}

int search_pattern_new(struct search_pattern **ret, const char *text, uint32_t offset_bytes,
	uint32_t depth_bytes, struct error *err)
{
	_cleanup_(search_pattern_freep) struct search_pattern *p = NULL;
	struct search_parse parse;
	int r;

	if (!text || !*text)
		return error_set(err, MFUNCT_INVALID_ARGUMENT_1,
			"The search string is empty; give at least one byte to look for");
	if (strlen(text) > SEARCH_TEXT_BYTES_MAX)
		return error_set(err, MDLIB_STRSEARCH_NOT_VALID_SEARCH_STRING,
			"The search string has %zu characters; at most %u are possible",
			strlen(text), SEARCH_TEXT_BYTES_MAX);
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->offset_bytes = offset_bytes;
	p->depth_bytes = depth_bytes;
	p->bytes = malloc(strlen(text));
	p->literals = calloc(search_max_alternatives(text), sizeof(*p->literals));
	if (!p->bytes || !p->literals)
		return -ENOMEM;
	parse = (struct search_parse){
		.text = text,
		.at = text,
		.begun_text = text,
		.pattern = p,
		.err = err,
	};
	r = search_parse_text(&parse);
	if (r < 0)
		return r;
	*ret = TAKE(p);
	return 0;
}

struct search_pattern *search_pattern_ref(struct search_pattern *pattern)
{
	atomic_fetch_add_explicit(&pattern->refs, 1, memory_order_relaxed);
	return pattern;
}

struct search_pattern *search_pattern_free(struct search_pattern *pattern)
{
	if (!pattern || atomic_fetch_sub_explicit(&pattern->refs, 1, memory_order_acq_rel) > 0)
		return NULL;
	free(pattern->literals);
	free(pattern->bytes);
	free(pattern);
	return NULL;
}

bool search_pattern_equal(const struct search_pattern *a, const struct search_pattern *b)
{
	if (a->offset_bytes != b->offset_bytes || a->depth_bytes != b->depth_bytes ||
		a->n_literals != b->n_literals)
		return false;
	for (unsigned int i = 0; i < a->n_literals; i++)
		if (a->literals[i].n_bytes != b->literals[i].n_bytes ||
			memcmp(a->literals[i].bytes, b->literals[i].bytes,
				a->literals[i].n_bytes) != 0)
			return false;
	return true;
}
