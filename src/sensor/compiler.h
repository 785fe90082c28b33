/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The compiler: filter expressions become programs in a helper process.
 *
 * libpcap's optimiser takes time that grows with the third power of an expression's length, names
 * in it are looked up in the network, and nobody promises that its parser is safe from every input.
 * So expressions are compiled in a process that is limited in time and memory, holds nothing but
 * one end of a socketpair, and is killed when it takes too long. What it answers is not trusted.
 *
 * A helper is forked at the first expression and kept for the next ones. There are two: one for the
 * control thread, which asks, goes on with other things and asks again, and one for workers, which
 * wait because they cannot look at a packet before they have the program.
 */
#ifndef MAPI_SENSOR_COMPILER_H
#define MAPI_SENSOR_COMPILER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "filter/filter.h"

#define COMPILER_TIME_MAX_MS 2000 /* per expression */
#define COMPILER_PROCESS_NAME "mapid-compile"

struct compiler;

enum compiler_outcome {
	COMPILER_E_AGAIN = 1, /* being compiled: ask again */
	_COMPILER_E_N
};

/* Starts no process yet. Return: 0, -ENOMEM. */
int compiler_new(struct compiler **ret);

/* Ends the helpers and waits for them; nobody waits in compiler_wait(). Takes NULL. */
struct compiler *compiler_free(struct compiler *compiler);
DEFINE_CLEANUP(struct compiler *, compiler_free);

/**
 * compiler_ask() - compile an expression, as filter_compile() does, but not at any price
 * @compiler:   the compiler
 * @expression: the filter text
 * @linktype:   LINKTYPE_ of the capture file formats
 * @ret:        the program; the caller owns it
 * @err:        1025: the expression is wrong, or takes too long, or too much memory
 *
 * Waits a few milliseconds, which is long enough for what people write. What takes longer goes on
 * meanwhile; the same question asked again gets the answer. Another question abandons it.
 *
 * Thread safety: one thread.
 *
 * Return: 0, COMPILER_E_AGAIN, -EINVAL with @err filled: not valid; -ETIMEDOUT, -EPIPE with @err
 * filled: too long, the helper has ended; -ENOMEM; a negative errno of fork() or socketpair().
 */
int compiler_ask(struct compiler *compiler, const char *expression, uint32_t linktype,
	struct filter_program **ret, struct error *err);

/**
 * compiler_wait() - the same for who must wait for the answer
 * @cancel: give up soon after this has become true
 *
 * Thread safety: any number of threads, one after the other; also beside compiler_ask().
 *
 * Return: as compiler_ask() without COMPILER_E_AGAIN; -ECANCELED with @err filled.
 */
int compiler_wait(struct compiler *compiler, const char *expression, uint32_t linktype,
	const _Atomic bool *cancel, struct filter_program **ret, struct error *err);

#endif
