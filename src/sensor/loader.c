/* SPDX-License-Identifier: BSD-2-Clause */
/* See loader.h. */
#include "loader.h"

#include "kernel/kernel.h"
#include "privileged.h"

static int loader_own(
	void *argument, const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	return kernel_code_load(code, ret, err);
}

static int loader_parent(
	void *argument, const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	const struct registry_args *args = argument;

	return privileged_load(args->privileged_fd, args->area, args->area_bytes, code, ret, err);
}

struct device_loader loader_get(const struct registry_args *args)
{
	return (struct device_loader){ .load = args->privileged_fd < 0 ? loader_own : loader_parent,
		.argument = (void *)(uintptr_t)args,
		.has_long_jumps = kernel_has_long_jumps() };
}
