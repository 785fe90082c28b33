/* SPDX-License-Identifier: BSD-2-Clause */
/* See loader.h. */
#include "loader.h"

#include <errno.h>
#include <net/if.h>

#include "kernel/kernel.h"
#include "mapi/errors.h"
#include "privileged.h"

/* Large pages the verifier may follow through a million instructions before it gives them up. */
#define LOADER_PARENT_PAGE_MAX 50u

static int loader_parent(
	void *argument, const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	const struct registry_args *args = argument;
	int r;

	if (kernel_code_stats(code).n_insns > PRIVILEGED_LOAD_INSNS_MAX) {
		(void)error_set(err, MFUNCT_NOT_SUPPORTED,
			"the filters of all flows are more than the daemon's parent loads at once");
		return -ENOTSUP;
	}
	r = privileged_load(args->privileged_fd, args->area, args->area_bytes, code, ret, err);
	if (r == 0 && ret->turns >= 0) {
		r = kernel_turns_map(args->turns, ret->turns, err);
		ret->turns = -1;
		if (r < 0)
			kernel_fds_close(ret);
	}
	return r;
}

static int loader_attach_own(void *argument, const char *name, enum kernel_way way,
	struct kernel_root *ret, char ret_others[KERNEL_TEXT_BYTES], struct error *err)
{
	unsigned int ifindex = if_nametoindex(name);
	int super_fd = -1;

	if (ifindex == 0) {
		(void)error_set(err, MAPID_NO_DRIVER, "there is no interface '%s' now", name);
		return -ENODEV;
	}
	if (kernel_way_hook(way) == KERNEL_TC)
		super_fd = kernel_turns_super(argument, err);
	if (kernel_way_hook(way) == KERNEL_TC && super_fd < 0)
		return super_fd;
	return kernel_root_attach(ret, ifindex, way, false, super_fd, ret_others, err);
}

static int loader_look_own(void *argument, const char *name, uint32_t id,
	char ret_others[KERNEL_TEXT_BYTES], struct error *err)
{
	(void)argument, (void)err;
	kernel_root_before(if_nametoindex(name), id, ret_others);
	return 0;
}

static int loader_look_parent(void *argument, const char *name, uint32_t id,
	char ret_others[KERNEL_TEXT_BYTES], struct error *err)
{
	const struct registry_args *args = argument;

	return privileged_look(args->privileged_fd, name, id, ret_others, err);
}

static int loader_attach_parent(void *argument, const char *name, enum kernel_way way,
	struct kernel_root *ret, char ret_others[KERNEL_TEXT_BYTES], struct error *err)
{
	const struct registry_args *args = argument;

	return privileged_attach(args->privileged_fd, name, way, ret, ret_others, err);
}

struct device_loader loader_get(const struct registry_args *args)
{
	struct device_loader loader = { .has_long_jumps = kernel_has_long_jumps(),
		.turns = args->turns };

	if (args->privileged_fd < 0) {
		loader.load = kernel_turns_load;
		loader.attach = loader_attach_own;
		loader.look = loader_look_own;
		loader.argument = args->turns;
	} else {
		loader.load = loader_parent;
		loader.attach = loader_attach_parent;
		loader.look = loader_look_parent;
		loader.is_distrusted = true;
		loader.argument = (void *)(uintptr_t)args;
		loader.page_max = LOADER_PARENT_PAGE_MAX;
	}
	return loader;
}
