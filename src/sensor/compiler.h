/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The compiler: filter expressions become programs, and strings to search for become databases, in
 * helper processes.
 *
 * libpcap's optimiser takes time that grows with the third power of an expression's length, names
 * in it are looked up in the network, and nobody promises that its parser is safe from every input.
 * So expressions are compiled in processes that are limited in time and memory, hold nothing but
 * one end of a socketpair (nursery.h), and are killed when they take too long. What they answer is
 * not trusted, but for databases: vectorscan checks their sum, no more. A helper that was taken
 * over could so go on to the engine, which is as unprivileged, and where the database would be
 * built otherwise.
 *
 * Nobody but a thread of the compiler's waits for a helper, and looks at what it says. There are at
 * most COMPILER_HELPERS_MAX of both, for all clients together. Users take turns, each with at most
 * COMPILER_USER_MAX expressions at a time; a helper serves one user, because what has been done to
 * it by an expression is nobody else's business.
 */
#ifndef MAPI_SENSOR_COMPILER_H
#define MAPI_SENSOR_COMPILER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "filter/filter.h"
#include "search/search.h"

#define COMPILER_TIME_MAX_MS 2000 /* per expression */
/* Of a database. It takes less CPU time than a helper has, on a machine that may be busy. */
#define COMPILER_SEARCH_TIME_MAX_MS 20000
#define COMPILER_HELPERS_MAX 8
#define COMPILER_USER_MAX 2 /* of them */
#define COMPILER_PROCESS_NAME "mapid-compile"

struct compiler;
struct compiler_client;

enum compiler_outcome {
	COMPILER_E_AGAIN = 1, /* being compiled: ask again */
	_COMPILER_E_N
};

/**
 * compiler_new() - before the process has threads and clients (nursery.h)
 * @notify_fd: eventfd that hears of each answer to compiler_ask(); borrowed
 *
 * Return: 0, negative errno.
 */
int compiler_new(struct compiler **ret, int notify_fd);

/* Ends the helpers. All clients have left. Takes NULL. */
struct compiler *compiler_free(struct compiler *compiler);
DEFINE_CLEANUP(struct compiler *, compiler_free);

/* Whether helpers can be had, as far as is known. */
bool compiler_works(const struct compiler *compiler);

/* @uid: whose expressions they are. Return: 0, -ENOMEM. */
int compiler_client_new(struct compiler_client **ret, struct compiler *compiler, uid_t uid);

/* Abandons what it has asked. Nobody waits in compiler_wait(). Takes NULL. */
struct compiler_client *compiler_client_free(struct compiler_client *client);

/**
 * compiler_ask() - compile an expression, as filter_compile() does, but not at any price
 * @client:     who asks
 * @expression: the filter text
 * @linktype:   LINKTYPE_ of the capture file formats
 * @ret:        the program; the caller owns it
 * @err:        1025: the expression is wrong, or takes too long, or too much memory
 *
 * Waits for nothing: the same question asked again gets the answer. Another question abandons it.
 *
 * Thread safety: one thread per client.
 *
 * Return: 0, COMPILER_E_AGAIN, -EINVAL with @err filled: not valid; -ETIMEDOUT, -EPIPE with @err
 * filled: too long, the helper has ended; -ENOMEM; with @err filled, -ENOTCONN: there are no
 * helpers, and a negative errno of fork() or socketpair().
 */
int compiler_ask(struct compiler_client *client, const char *expression, uint32_t linktype,
	struct filter_program **ret, struct error *err);

/**
 * compiler_build() - have a search set completed
 * @set: prepared; taken
 *
 * Waits for nothing; compiler_built() gives it back. Whatever was asked before is abandoned. A
 * client either asks or builds.
 *
 * Thread safety: one thread per client.
 *
 * Return: 0, -ENOMEM, and what of compiler_ask() says that there are no helpers.
 */
int compiler_build(struct compiler_client *client, struct search_set *set, struct error *err);

/* Return: 0 and the set; COMPILER_E_AGAIN; -EINVAL with @err filled (7007), -ENOMEM. */
int compiler_built(struct compiler_client *client, struct search_set **ret, struct error *err);

/* Whether compiler_ask() would answer the question that it was asked last. Its thread. */
bool compiler_has_answered(struct compiler_client *client);

/**
 * compiler_wait() - the same for who must wait for the answer
 * @cancel: give up soon after this has become true
 *
 * Thread safety: any number of threads, also beside compiler_ask().
 *
 * Return: as compiler_ask() without COMPILER_E_AGAIN; -ECANCELED with @err filled.
 */
int compiler_wait(struct compiler_client *client, const char *expression, uint32_t linktype,
	const _Atomic bool *cancel, struct filter_program **ret, struct error *err);

#endif
