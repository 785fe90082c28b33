/* SPDX-License-Identifier: BSD-2-Clause */
/* Until privileged.c and config.c are there. */
#include <errno.h>

#include "privileged.h"

__attribute__((weak)) const struct config_device *config_find(
	const struct config *config, const char *name)
{
	return NULL;
}

__attribute__((weak)) int privileged_prepare(int fd, const char *name, unsigned int n_workers,
	int ret_fds[DRIVER_FDS_MAX], unsigned int *ret_n_fds, struct error *err)
{
	return -EPIPE;
}

__attribute__((weak)) void privileged_tell(int fd, enum privileged_op op)
{
}
