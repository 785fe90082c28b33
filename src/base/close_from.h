/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors that a new process is not to have. */
#ifndef MAPI_BASE_CLOSE_FROM_H
#define MAPI_BASE_CLOSE_FROM_H

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CLOSE_FROM_MAX (1u << 20) /* where their number has no limit */

/* Close all descriptors from @first. Between fork and exec, too; other threads open none. */
static inline void close_from(unsigned int first)
{
	struct rlimit limit;

	if (syscall(SYS_close_range, first, ~0u, 0) == 0)
		return;
	/* Linux before 5.9. Those above the limit, which somebody has lowered, stay. */
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > CLOSE_FROM_MAX)
		limit.rlim_cur = CLOSE_FROM_MAX;
	for (unsigned int fd = first; fd < limit.rlim_cur; fd++)
		(void)close((int)fd);
}

#endif
