/* SPDX-License-Identifier: BSD-2-Clause */
/* See loader.h. */
#include "loader.h"

#include <errno.h>

#include "kernel/kernel.h"
#include "mapi/errors.h"
#include "privileged.h"

static int loader_own(
	void *argument, const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	return kernel_code_load(code, ret, err);
}

/* Large pages the verifier may follow through a million instructions before it gives them up. */
#define LOADER_PARENT_PAGE_MAX 50u

static int loader_parent(
	void *argument, const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	const struct registry_args *args = argument;

	if (kernel_code_stats(code).n_insns > PRIVILEGED_LOAD_INSNS_MAX) {
		(void)error_set(err, MFUNCT_NOT_SUPPORTED,
			"the filters of all flows are more than the daemon's parent loads at once");
		return -ENOTSUP;
	}
	return privileged_load(args->privileged_fd, args->area, args->area_bytes, code, ret, err);
}

struct device_loader loader_get(const struct registry_args *args)
{
	return (struct device_loader){ .load = args->privileged_fd < 0 ? loader_own : loader_parent,
		.argument = (void *)(uintptr_t)args,
		.has_long_jumps = kernel_has_long_jumps(),
		.page_max = args->privileged_fd < 0 ? 0 : LOADER_PARENT_PAGE_MAX };
}
