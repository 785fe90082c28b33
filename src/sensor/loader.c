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

/* While the parent loads, it does nothing else; and because it does so without CAP_PERFMON, the
 * verifier trusts nobody, and takes up to ten times as long: for this many some 0.4 seconds, on
 * pages that are small. Large ones it may follow through a million instructions before it gives
 * them up. */
#define LOADER_PARENT_INSNS_MAX 65536u
#define LOADER_PARENT_PAGE_MAX 50u

static int loader_parent(
	void *argument, const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	const struct registry_args *args = argument;

	if (kernel_code_stats(code).n_insns > LOADER_PARENT_INSNS_MAX) {
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
