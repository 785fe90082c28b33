/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scope-bound clean-up and other two-line helpers that every module uses.
 *
 * A destructor x_free() takes NULL and returns NULL; DEFINE_CLEANUP(struct x *, x_free) makes the
 * x_freep() that _cleanup_(x_freep) wants.
 */
#ifndef MAPI_BASE_CLEANUP_H
#define MAPI_BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

#define DEFINE_CLEANUP(type, destructor)               \
	static inline void destructor##p(type *object) \
	{                                              \
		if (*object)                           \
			destructor(*object);           \
	}                                              \
	_Static_assert(1, "semicolon")

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Hands over what @x owns: the value is returned and @x is emptied. */
#define TAKE(x)                            \
	({                                 \
		__typeof__(x) take_ = (x); \
		(x) = NULL;                \
		take_;                     \
	})

#define TAKE_FD(x)             \
	({                     \
		int fd_ = (x); \
		(x) = -1;      \
		fd_;           \
	})

static inline void cleanup_freep(void *object)
{
	free(*(void **)object);
}

static inline void cleanup_closep(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* nothing was written through it that close could lose */
}

#endif
