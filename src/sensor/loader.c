/* SPDX-License-Identifier: BSD-2-Clause */
/* See loader.h. */
#include "loader.h"

#include "kernel/kernel.h"

static int loader_own(
	void *argument, const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	return kernel_code_load(code, ret, err);
}

struct device_loader loader_get(int privileged_fd)
{
	if (privileged_fd >= 0)
		return (struct device_loader){ .load = NULL };
	return (struct device_loader){ .load = loader_own,
		.has_long_jumps = kernel_has_long_jumps() };
}
