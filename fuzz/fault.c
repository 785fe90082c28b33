/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that runs out: see fault.h. */
#include "fault.h"

#include <errno.h>
#include <stddef.h>

static unsigned int fault_in, fault_n;
static bool fault_fired;

/* Names that the linker makes: the library's functions, and ours in their place. */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

void fault_arm(unsigned int in)
{
	fault_in = in;
	fault_n = 0;
	fault_fired = false;
}

bool fault_disarm(unsigned int *ret_n)
{
	if (ret_n)
		*ret_n = fault_n;
	fault_in = 0;
	return fault_fired;
}

static bool fault_now(void)
{
	if (++fault_n != fault_in)
		return false;
	fault_fired = true;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fault_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fault_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fault_now() ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fault_now() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
	return fault_now() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
	return fault_now() ? NULL : __real_strndup(s, n);
}
