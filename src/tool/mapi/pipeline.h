/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pipeline language: how people write flows.
 *
 *   PKTINFO(1) @size | STATS(size, "0") ; BPF_FILTER("tcp port 80") | PKT_COUNTER
 *
 *   expression = pipeline { ";" pipeline } [ ";" ] ;
 *   pipeline   = step { "|" step } ;
 *   step       = function [ "(" [ argument { "," argument } ] ")" ] [ "@" label ] ;
 *   function   = [ library ":" ] name ;
 *   argument   = [ name "=" ] ( string | word ) ;
 *
 * One pipeline is one flow. Arguments are typed by the description of the function
 * (mapi/schema.h), so "PKTINFO(size)" and "PKTINFO(1)" are the same. A label is the name of a step;
 * as an argument it stands for the pair (flow, function) that a referring function wants. Labels
 * belong to the whole set: a pipeline may refer to a step of another one, also of one written
 * later.
 *
 * The parser reads, types and names; session.c makes flows of the outcome. It needs the
 * descriptions only through a function, so tests and fuzzers bring their own. It does not recurse.
 */
#ifndef MAPI_TOOL_PIPELINE_H
#define MAPI_TOOL_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "mapi/schema.h"

/* As mapi_describe_next_function(). */
typedef const struct mapi_function_desc *(*pipeline_next_function)(
	const struct mapi_function_desc *previous);

/* A place in an expression. @source is owned by the set; NULL: not written by the user. */
struct pipeline_place {
	const char *source;
	size_t at;
	size_t len;
};

/**
 * struct pipeline_error - what is wrong with an expression
 * @text:  one sentence without a full stop
 * @hint:  what to do, may be empty
 * @place: where; belongs to the set, print the error before freeing that
 */
struct pipeline_error {
	char text[256];
	char hint[256];
	struct pipeline_place place;
};

struct pipeline_step;

/**
 * struct pipeline_arg - one argument of a step, as mapi_apply_function_array() wants it
 * @text:   its value; NULL if it is a reference
 * @refs:   the steps that it refers to: one for MAPI_ARG_FLOW and MAPI_ARG_FUNCTION, any number for
 *          MAPI_ARG_REFS, of MAPI_ARG_FLOWS the first one of each pipeline; valid after
 *          pipeline_resolve()
 * @given:  the user wrote it; else @text is the default
 * @quoted: it was a string
 */
struct pipeline_arg {
	char *text;
	struct pipeline_step **refs;
	unsigned int n_refs;
	bool given;
	bool quoted;
	struct pipeline_place place;
};

/**
 * struct pipeline_step - one function of a pipeline
 * @args:   @n_args arguments: up to the last one that was given
 * @label:  NULL if it has none
 * @number: its pipeline's, from 0
 * @ordered: is in the order already
 * @fd, @fid: of whoever applies it, see session.h; -1 before
 */
struct pipeline_step {
	const struct mapi_function_desc *desc;
	char *label;
	struct pipeline_arg *args;
	unsigned int n_args;
	struct pipeline_place place;
	struct pipeline_place label_place;
	unsigned int number;
	bool ordered;
	int fd;
	int fid;
};

/* @n_front: how many of the @n_steps were put in front by pipeline_add_step() */
struct pipeline {
	struct pipeline_step **steps;
	unsigned int n_steps;
	unsigned int n_front;
};

/**
 * struct pipeline_set - everything that one command line asks for
 * @order: after pipeline_resolve(): all @n_order steps in an order in which they can be applied:
 *         each pipeline's in sequence, and each after those that it refers to
 */
struct pipeline_set {
	struct pipeline *pipelines;
	unsigned int n_pipelines;
	struct pipeline_step **order;
	unsigned int n_order;
	char **sources;
	unsigned int n_sources;
};

void pipeline_set_deinit(struct pipeline_set *set);

/**
 * pipeline_parse() - append the pipelines of one expression
 * @set:    zeroed, or what earlier calls have filled
 * @source: the expression; copied
 * @next:   lists the functions
 * @ret_error: filled on -EINVAL
 *
 * Return: 0; -EINVAL (the set holds part of the expression and can only be freed), -ENOMEM.
 */
int pipeline_parse(struct pipeline_set *set, const char *source, pipeline_next_function next,
	struct pipeline_error *ret_error);

/**
 * pipeline_add_step() - add a step that was not written as an expression
 * @number: pipeline; n_pipelines makes a new one
 * @front:  put it first instead of last
 * @name:   function
 * @args:   @n_args texts in order
 * @source: NULL, or the text that an error may point into (a filter); copied
 *
 * Return: 0, -EINVAL with @ret_error filled, -ENOMEM.
 */
int pipeline_add_step(struct pipeline_set *set, unsigned int number, bool front, const char *name,
	const char *const *args, unsigned int n_args, const char *source,
	pipeline_next_function next, struct pipeline_error *ret_error);

/**
 * pipeline_resolve() - connect references with what they name, and find the order of application
 *
 * Once, when the set is complete. A reference is a label, or a pair of numbers (pipeline,
 * position), both from 1; steps that were put in front are not counted.
 *
 * Return: 0, -EINVAL with @ret_error filled (unknown label, not referable, a cycle), -ENOMEM.
 */
int pipeline_resolve(struct pipeline_set *set, struct pipeline_error *ret_error);

/**
 * pipeline_recognise() - is this argument of a command line a pipeline or a word of a filter?
 *
 * It is a pipeline if it begins with a name in upper case ("NAME" or "library:NAME"), or with the
 * name of a known function in any case, and "(", "|", "@", ";" or the end follows.
 */
bool pipeline_recognise(const char *text, pipeline_next_function next);

/* The message, the expression with a caret, the hint. */
void pipeline_error_print(FILE *out, const struct pipeline_error *error);

#endif
