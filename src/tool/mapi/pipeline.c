/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The grammar of the pipeline language (pipeline.h): a lexer, and one function per rule. Values are
 * typed by pipeline_value.c, references by pipeline_resolve.c.
 */
#include "pipeline_private.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/build.h"

enum pipeline_token {
	PIPELINE_TOKEN_END,
	PIPELINE_TOKEN_WORD,
	PIPELINE_TOKEN_STRING,
	PIPELINE_TOKEN_SIGN /* one of SIGNS */
};

#define PIPELINE_SIGNS "()|,;@="

/* The lexer looks one token ahead; @text is the decoded word or string, owned. */
struct pipeline_parser {
	struct pipeline_set *set;
	pipeline_next_function next;
	struct pipeline_error *err;
	const char *source;
	size_t at;
	enum pipeline_token token;
	char sign;
	char *text;
	struct pipeline_place place;
};

int pipeline_fail(struct pipeline_error *err, struct pipeline_place place, const char *fmt, ...)
{
	va_list args;

	*err = (struct pipeline_error){ .place = place };
	va_start(args, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return -EINVAL;
}

void pipeline_hint(
	struct pipeline_error *err, const struct text_suggestion *s, const char *otherwise)
{
	if (text_suggested(s))
		(void)snprintf(err->hint, sizeof(err->hint), "did you mean %s?", text_suggested(s));
	else if (otherwise)
		(void)snprintf(err->hint, sizeof(err->hint), "%s", otherwise);
}

void pipeline_error_print(FILE *out, const struct pipeline_error *error)
{
	text_safe(out, error->text);
	fputc('\n', out);
	if (error->place.source)
		text_caret(out, "  ", error->place.source, error->place.at, error->place.len);
	if (error->hint[0]) {
		text_safe(out, error->hint);
		fputc('\n', out);
	}
}

bool pipeline_is_name(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		char c = text[i];

		if (!(c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (i && c >= '0' && c <= '9')))
			return false;
	}
	return len > 0;
}

static bool pipeline_is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool pipeline_ends_word(char c)
{
	return !c || pipeline_is_space(c) || strchr(PIPELINE_SIGNS "\"'", c);
}

/* Inside "...": \" \\ \n \r \t; another backslash stays, so that the escapes of search patterns and
 * regular expressions need no doubling. Inside '...': \' and \\ only. */
static int pipeline_lex_string(struct pipeline_parser *p)
{
	const char *s = p->source;
	char quote = s[p->at];
	size_t i = p->at + 1, n = 0;
	char *text = malloc(strlen(s + p->at) + 1);

	if (!text)
		return -ENOMEM;
	for (; s[i] && s[i] != quote; i++) {
		char c = s[i], escaped = s[i + 1];

		if (c == '\\' && (escaped == quote || escaped == '\\')) {
			c = escaped;
			i++;
		} else if (c == '\\' && quote == '"' &&
			(escaped == 'n' || escaped == 'r' || escaped == 't')) {
			c = escaped == 'n' ? '\n' : escaped == 'r' ? '\r' : '\t';
			i++;
		}
		text[n++] = c;
	}
	text[n] = '\0';
	if (!s[i]) {
		free(text);
		p->place.len = 1;
		return pipeline_fail(
			p->err, p->place, "The string is not closed: %c is missing", quote);
	}
	p->text = text;
	p->token = PIPELINE_TOKEN_STRING;
	p->at = i + 1;
	return 0;
}

static int pipeline_lex(struct pipeline_parser *p)
{
	const char *s = p->source;
	size_t end;
	int r = 0;

	free(p->text);
	p->text = NULL;
	while (pipeline_is_space(s[p->at]))
		p->at++;
	p->place = (struct pipeline_place){ .source = s, .at = p->at };
	if (!s[p->at]) {
		p->token = PIPELINE_TOKEN_END;
		return 0;
	}
	if (s[p->at] == '"' || s[p->at] == '\'') {
		r = pipeline_lex_string(p);
	} else if (strchr(PIPELINE_SIGNS, s[p->at])) {
		p->token = PIPELINE_TOKEN_SIGN;
		p->sign = s[p->at++];
	} else {
		for (end = p->at; !pipeline_ends_word(s[end]); end++)
			;
		p->text = strndup(s + p->at, end - p->at);
		if (!p->text)
			return -ENOMEM;
		p->token = PIPELINE_TOKEN_WORD;
		p->at = end;
	}
	p->place.len = r < 0 ? p->place.len : p->at - p->place.at;
	return r;
}

static bool pipeline_at_sign(const struct pipeline_parser *p, char sign)
{
	return p->token == PIPELINE_TOKEN_SIGN && p->sign == sign;
}

static int pipeline_unexpected(const struct pipeline_parser *p, const char *wanted)
{
	if (p->token == PIPELINE_TOKEN_END)
		return pipeline_fail(
			p->err, p->place, "The expression ends where %s is expected", wanted);
	return pipeline_fail(p->err, p->place, "%s is expected here", wanted);
}

static const struct mapi_function_desc *pipeline_find(pipeline_next_function next, const char *name,
	size_t len, struct text_suggestion *suggestion)
{
	const struct mapi_function_desc *desc = NULL;
	const char *colon = memchr(name, ':', len);
	const char *bare = colon ? colon + 1 : name;
	size_t bare_len = len - (size_t)(bare - name);

	*suggestion = TEXT_SUGGESTION(bare, bare_len);
	while ((desc = next(desc))) {
		if (text_equal(bare, bare_len, desc->name) &&
			(!colon || text_equal(name, (size_t)(colon - name), desc->library)))
			return desc;
		text_suggest(suggestion, desc->name);
	}
	return NULL;
}

bool pipeline_recognise(const char *text, pipeline_next_function next)
{
	struct text_suggestion ignored;
	size_t len, i, name;
	bool upper = true;

	while (pipeline_is_space(*text))
		text++;
	for (len = 0; !pipeline_ends_word(text[len]); len++)
		;
	for (name = len; name > 0 && text[name - 1] != ':'; name--)
		;
	if (!pipeline_is_name(text + name, len - name) ||
		(name && !pipeline_is_name(text, name - 1)))
		return false;
	for (i = name; i < len; i++)
		upper = upper && !(text[i] >= 'a' && text[i] <= 'z');
	for (i = len; pipeline_is_space(text[i]); i++)
		;
	if (text[i] && !strchr("(|@;", text[i]))
		return false;
	return upper || pipeline_find(next, text, len, &ignored);
}

/* Takes @step on success. */
static int pipeline_insert(
	struct pipeline_set *set, unsigned int number, bool front, struct pipeline_step *step)
{
	struct pipeline_step **steps;
	struct pipeline *pipeline;

	if (number == set->n_pipelines) {
		pipeline = pipeline_grow(set->pipelines, set->n_pipelines, sizeof(*pipeline));
		if (!pipeline)
			return -ENOMEM;
		set->pipelines = pipeline;
		pipeline[set->n_pipelines++] = (struct pipeline){ .n_steps = 0 };
	}
	pipeline = &set->pipelines[number];
	steps = pipeline_grow(pipeline->steps, pipeline->n_steps, sizeof(struct pipeline_step *));
	if (!steps)
		return -ENOMEM;
	pipeline->steps = steps;
	if (front)
		memmove(steps + 1, steps, pipeline->n_steps * sizeof(struct pipeline_step *));
	steps[front ? 0 : pipeline->n_steps] = step;
	pipeline->n_steps++;
	pipeline->n_front += front;
	step->number = number;
	return 0;
}

/* Copy an expression, for places to point into. */
static int pipeline_keep_source(struct pipeline_set *set, const char *source, const char **ret)
{
	char **sources = pipeline_grow(set->sources, set->n_sources, sizeof(char *));

	if (!sources)
		return -ENOMEM;
	set->sources = sources;
	if (pipeline_copy(&sources[set->n_sources], source) < 0)
		return -ENOMEM;
	*ret = sources[set->n_sources++];
	return 0;
}

/* ---- arguments ---- */

/* The arguments between the last one that was given and those before it take their defaults. */
static int pipeline_finish_args(
	struct pipeline_step *step, struct pipeline_place place, struct pipeline_error *err)
{
	const struct mapi_function_desc *desc = step->desc;
	unsigned int i;

	for (i = 0; i < desc->n_args; i++)
		if (step->args[i].given)
			step->n_args = i + 1;
	for (i = 0; i < desc->n_args; i++) {
		struct pipeline_arg *arg = &step->args[i];

		if (arg->given)
			continue;
		if (!desc->args[i].default_text) {
			int r = pipeline_fail(err, place, "%s needs the argument \"%s\"",
				desc->name, desc->args[i].name);

			(void)snprintf(err->hint, sizeof(err->hint), "%s: %s", desc->args[i].name,
				desc->args[i].help ? desc->args[i].help : "");
			return r;
		}
		if (pipeline_copy(&arg->text, desc->args[i].default_text) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Put the current token into argument @index; a label also fills the function after a flow. */
static int pipeline_take_value(
	struct pipeline_parser *p, struct pipeline_step *step, unsigned int index)
{
	const struct mapi_function_desc *desc = step->desc;
	struct pipeline_arg *arg = &step->args[index];
	int r;

	*arg = (struct pipeline_arg){ .text = TAKE(p->text),
		.given = true,
		.place = p->place,
		.quoted = p->token == PIPELINE_TOKEN_STRING };
	r = pipeline_value_check(desc->name, &desc->args[index], arg, p->err);
	if (r < 0)
		return r;
	if (desc->args[index].type == MAPI_ARG_FLOW && index + 1 < desc->n_args &&
		desc->args[index + 1].type == MAPI_ARG_FUNCTION &&
		pipeline_is_name(arg->text, strlen(arg->text))) {
		struct pipeline_arg *function = &step->args[index + 1];

		if (function->given)
			return pipeline_fail(p->err, p->place,
				"A label fills \"%s\" and \"%s\"; the second is given already",
				desc->args[index].name, desc->args[index + 1].name);
		*function = (struct pipeline_arg){ .given = true, .place = p->place };
		if (pipeline_copy(&function->text, arg->text) < 0)
			return -ENOMEM;
	}
	return pipeline_lex(p);
}

static int pipeline_named_argument(struct pipeline_parser *p, const struct pipeline_step *step,
	const char *name, struct pipeline_place place, unsigned int *ret_index)
{
	const struct mapi_function_desc *desc = step->desc;
	struct text_suggestion suggestion = TEXT_SUGGESTION(name, strlen(name));
	unsigned int i;
	int r;

	for (i = 0; i < desc->n_args; i++) {
		if (text_equal(name, strlen(name), desc->args[i].name))
			break;
		text_suggest(&suggestion, desc->args[i].name);
	}
	if (i == desc->n_args) {
		r = pipeline_fail(p->err, place, "%s has no argument \"%s\"", desc->name, name);
		pipeline_hint(p->err, &suggestion, NULL);
		return r;
	}
	if (step->args[i].given)
		return pipeline_fail(
			p->err, place, "The argument \"%s\" is given twice", desc->args[i].name);
	*ret_index = i;
	return 0;
}

static int pipeline_parse_argument(
	struct pipeline_parser *p, struct pipeline_step *step, bool *named)
{
	const struct mapi_function_desc *desc = step->desc;
	struct pipeline_parser ahead;
	struct pipeline_place place = p->place;
	unsigned int i = 0;
	int r;

	if (p->token != PIPELINE_TOKEN_WORD && p->token != PIPELINE_TOKEN_STRING)
		return pipeline_unexpected(p, "an argument");
	ahead = *p;
	while (pipeline_is_space(ahead.source[ahead.at]))
		ahead.at++;
	if (p->token == PIPELINE_TOKEN_WORD && ahead.source[ahead.at] == '=') {
		r = pipeline_named_argument(p, step, p->text, place, &i);
		*named = true;
		r = r < 0 ? r : pipeline_lex(p);
		r = r < 0 ? r : pipeline_lex(p);
		if (r < 0)
			return r;
		if (p->token != PIPELINE_TOKEN_WORD && p->token != PIPELINE_TOKEN_STRING)
			return pipeline_unexpected(p, "a value");
		return pipeline_take_value(p, step, i);
	}
	if (*named)
		return pipeline_fail(
			p->err, place, "An argument without a name can't follow one with a name");
	while (i < desc->n_args && step->args[i].given)
		i++;
	if (i == desc->n_args)
		return pipeline_fail(p->err, place, "%s takes %s%u argument%s", desc->name,
			desc->n_args ? "at most " : "", desc->n_args, desc->n_args == 1 ? "" : "s");
	return pipeline_take_value(p, step, i);
}

static int pipeline_parse_arguments(struct pipeline_parser *p, struct pipeline_step *step)
{
	bool named = false;
	int r = pipeline_lex(p); /* the opening parenthesis */

	if (r < 0)
		return r;
	while (!pipeline_at_sign(p, ')')) {
		r = pipeline_parse_argument(p, step, &named);
		if (r < 0)
			return r;
		if (pipeline_at_sign(p, ')'))
			break;
		if (!pipeline_at_sign(p, ','))
			return pipeline_unexpected(p, "\",\" or \")\"");
		r = pipeline_lex(p);
		if (r < 0)
			return r;
		if (pipeline_at_sign(p, ')'))
			return pipeline_unexpected(p, "an argument");
	}
	r = pipeline_finish_args(step, p->place, p->err);
	return r < 0 ? r : pipeline_lex(p);
}

/* ---- steps and pipelines ---- */

static int pipeline_parse_label(struct pipeline_parser *p, struct pipeline_step *step)
{
	int r = pipeline_lex(p); /* the @ */

	if (r < 0)
		return r;
	if (p->token != PIPELINE_TOKEN_WORD || !pipeline_is_name(p->text, strlen(p->text)))
		return pipeline_unexpected(p, "a label (letters, digits, _)");
	step->label_place = p->place;
	step->label = TAKE(p->text);
	return pipeline_lex(p);
}

static int pipeline_no_function(struct pipeline_parser *p, const struct text_suggestion *suggestion)
{
	const struct build_part *part = build_left_out(p->text);
	int r;

	if (!part) {
		r = pipeline_fail(p->err, p->place, "There is no function \"%s\"", p->text);
		pipeline_hint(p->err, suggestion, "\"mapi functions\" lists them");
		return r;
	}
	r = pipeline_fail(p->err, p->place, "This build has no %s", part->function);
	(void)snprintf(
		p->err->hint, sizeof(p->err->hint), "build with meson -D%s=enabled", part->option);
	return r;
}

static int pipeline_parse_step(struct pipeline_parser *p, unsigned int number)
{
	_cleanup_(pipeline_step_freep) struct pipeline_step *step = NULL;
	const struct mapi_function_desc *desc;
	struct text_suggestion suggestion;
	struct pipeline_place place = p->place;
	int r;

	if (p->token != PIPELINE_TOKEN_WORD)
		return pipeline_unexpected(p, "a function");
	desc = pipeline_find(p->next, p->text, strlen(p->text), &suggestion);
	if (!desc)
		return pipeline_no_function(p, &suggestion);
	r = pipeline_step_new(&step, desc);
	if (r < 0)
		return r;
	step->place = place;
	r = pipeline_lex(p);
	if (r < 0)
		return r;
	r = pipeline_at_sign(p, '(') ? pipeline_parse_arguments(p, step)
				     : pipeline_finish_args(step, place, p->err);
	if (r < 0)
		return r;
	if (pipeline_at_sign(p, '@')) {
		r = pipeline_parse_label(p, step);
		if (r < 0)
			return r;
	}
	r = pipeline_insert(p->set, number, false, step);
	if (r < 0)
		return r;
	step = NULL;
	return 0;
}

static int pipeline_parse_expression(struct pipeline_parser *p)
{
	unsigned int number = p->set->n_pipelines;
	int r = pipeline_lex(p);

	while (r >= 0) {
		r = pipeline_parse_step(p, number);
		if (r < 0)
			return r;
		if (p->token == PIPELINE_TOKEN_END)
			return 0;
		if (pipeline_at_sign(p, ';'))
			number = p->set->n_pipelines;
		else if (!pipeline_at_sign(p, '|'))
			return pipeline_unexpected(p, "\"|\" or \";\"");
		r = pipeline_lex(p);
		if (r >= 0 && p->token == PIPELINE_TOKEN_END && number == p->set->n_pipelines)
			return 0;
	}
	return r;
}

int pipeline_parse(struct pipeline_set *set, const char *source, pipeline_next_function next,
	struct pipeline_error *ret_error)
{
	struct pipeline_parser p = { .set = set, .next = next, .err = ret_error };
	int r = pipeline_keep_source(set, source, &p.source);

	if (r < 0)
		return r;
	r = pipeline_parse_expression(&p);
	free(p.text);
	return r;
}

int pipeline_add_step(struct pipeline_set *set, unsigned int number, bool front, const char *name,
	const char *const *args, unsigned int n_args, const char *source,
	pipeline_next_function next, struct pipeline_error *ret_error)
{
	_cleanup_(pipeline_step_freep) struct pipeline_step *step = NULL;
	struct text_suggestion ignored;
	const struct mapi_function_desc *desc = pipeline_find(next, name, strlen(name), &ignored);
	struct pipeline_place place = { .source = NULL };
	unsigned int i;
	int r;

	if (!desc)
		return pipeline_fail(ret_error, place, "There is no function \"%s\"", name);
	r = pipeline_step_new(&step, desc);
	if (r >= 0 && source)
		r = pipeline_keep_source(set, source, &place.source);
	if (r < 0)
		return r;
	place.len = source ? strlen(source) : 0;
	step->place = place;
	for (i = 0; i < n_args && i < desc->n_args; i++) {
		struct pipeline_arg *arg = &step->args[i];

		*arg = (struct pipeline_arg){ .given = true, .quoted = true, .place = place };
		if (pipeline_copy(&arg->text, args[i]) < 0)
			return -ENOMEM;
		r = pipeline_value_check(desc->name, &desc->args[i], arg, ret_error);
		if (r < 0)
			return r;
	}
	r = pipeline_finish_args(step, place, ret_error);
	r = r < 0 ? r : pipeline_insert(set, number, front, step);
	if (r < 0)
		return r;
	step = NULL;
	return 0;
}
