/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code of the engine into the kernel, by the parent, which has the right to.
 *
 * The engine may have been conquered. So the bytes are copied before anything is looked at: it may
 * go on writing. What they say is bounded, and must be such as we make (kernel_code_check()); and
 * the verifier sees them without the rights that would let a program read addresses of the kernel,
 * or memory that it has not written: CAP_PERFMON, and CAP_SYS_ADMIN, which contains it. A few bytes
 * can keep the verifier busy for a second, and so much more of them: time is limited, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "kernel/kernel.h"
#include "mapi/errors.h"
#include "privileged.h"
#include "privileged_private.h"

/* <linux/capability.h> of Linux 5.8 */
#define LOAD_CAP_PERFMON 38
#define LOAD_CAP_BPF 39

/* Meanwhile the parent hears nobody: neither signals nor that the engine is alive. */
#define LOAD_TIME_NS UINT64_C(3000000000)

struct load_caps {
	struct __user_cap_header_struct head;
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
};

static void load_caps_drop(struct load_caps *caps, unsigned int cap)
{
	caps->data[cap / 32].effective &= ~(1u << cap % 32);
}

/* Gives up, for a while, what loading does not need. @ret_old: to be given back. */
static int load_lower(struct load_caps *ret_old, struct error *err)
{
	struct load_caps lower;

	if (prctl(PR_CAPBSET_READ, LOAD_CAP_BPF, 0, 0, 0) < 0) {
		(void)error_set(err, MAPI_NO_PERMISSION,
			"counting in the kernel needs Linux 5.8: this one does not know CAP_BPF");
		return -EPERM;
	}
	*ret_old = (struct load_caps){ .head.version = _LINUX_CAPABILITY_VERSION_3 };
	if (syscall(SYS_capget, &ret_old->head, ret_old->data) < 0)
		return -errno;
	lower = *ret_old;
	load_caps_drop(&lower, LOAD_CAP_PERFMON);
	load_caps_drop(&lower, CAP_SYS_ADMIN);
	return syscall(SYS_capset, &lower.head, lower.data) < 0 ? -errno : 0;
}

/* ---- what is loaded ---- */

static void load_end(struct privileged_load *load)
{
	cleanup_closep(&load->chain_fd);
	cleanup_closep(&load->lease_fd);
	load->chain_fd = load->lease_fd = -1;
}

void privileged_loads_clear(struct privileged_loads *loads)
{
	for (unsigned int i = 0; i < loads->n; i++) {
		load_end(&loads->at[i]);
		(void)close(loads->at[i].area_fd);
	}
	if (loads->has_turns)
		(void)close(loads->turns_fd);
	if (loads->has_super)
		(void)close(loads->super_fd);
	loads->has_turns = loads->has_super = false;
	loads->n = 0;
	loads->area_bytes = 0;
}

/* End what the engine has done with. */
static void load_end_old(struct privileged_loads *loads)
{
	struct pollfd leases[PRIVILEGED_LOADS_MAX];

	for (unsigned int i = 0; i < loads->n; i++)
		leases[i] = (struct pollfd){ .fd = loads->at[i].lease_fd };
	if (poll(leases, loads->n, 0) < 1)
		return;
	for (unsigned int i = 0; i < loads->n; i++)
		if (leases[i].revents)
			load_end(&loads->at[i]);
}

/* Up to a quarter more than @bytes, so that what grows a little finds counters of others. */
static size_t load_round(size_t bytes)
{
	size_t step = 4096;

	while (8 * step <= bytes)
		step *= 2;
	return (bytes + step - 1) & ~(step - 1);
}

/* The smallest that are free and large enough. */
static struct privileged_load *load_find(struct privileged_loads *loads, size_t bytes)
{
	struct privileged_load *best = NULL;

	for (unsigned int i = 0; i < loads->n; i++) {
		struct privileged_load *load = &loads->at[i];

		if (load->lease_fd < 0 && load->area_bytes >= bytes &&
			(!best || load->area_bytes < best->area_bytes))
			best = load;
	}
	return best;
}

/* Counters that nobody uses, old or new. Return: 0, negative errno with @err filled. */
static int load_take(struct privileged_loads *loads, size_t bytes, struct privileged_load **ret,
	struct error *err)
{
	int fd;

	load_end_old(loads);
	*ret = load_find(loads, bytes);
	if (*ret)
		return 0;
	bytes = load_round(bytes);
	if (loads->n == PRIVILEGED_LOADS_MAX ||
		loads->area_bytes + bytes > PRIVILEGED_COUNTERS_BYTES_MAX) {
		(void)error_set(err, MFUNCT_NOT_SUPPORTED,
			"all that is loaded for an engine at a time is taken: %u programs, %zu KiB "
			"of counters",
			loads->n, loads->area_bytes / 1024);
		return -ENOSPC;
	}
	fd = kernel_area_new(bytes, err);
	if (fd < 0)
		return fd;
	*ret = &loads->at[loads->n++];
	**ret = (struct privileged_load){
		.area_fd = fd, .area_bytes = bytes, .chain_fd = -1, .lease_fd = -1
	};
	loads->area_bytes += bytes;
	return 0;
}

/* The numbers of samples. @ret: a descriptor of its own; -1: the code takes none. Return: 0,
 * negative errno with @err filled. */
static int load_take_turns(
	struct privileged_loads *loads, const struct kernel_code *code, int *ret, struct error *err)
{
	*ret = -1;
	if (!kernel_code_samples(code))
		return 0;
	if (!loads->has_turns) {
		int fd = kernel_turns_open(err);

		if (fd < 0)
			return fd;
		loads->turns_fd = fd;
		loads->has_turns = true;
	}
	*ret = fcntl(loads->turns_fd, F_DUPFD_CLOEXEC, 0);
	return *ret < 0 ? -errno : 0;
}

int privileged_take_super(
	struct privileged_loads *loads, bool is_wanted, int *ret, struct error *err)
{
	*ret = -1;
	if (!is_wanted)
		return 0;
	if (!loads->has_super) {
		int fd = kernel_super_open(err);

		if (fd < 0)
			return fd;
		loads->super_fd = fd;
		loads->has_super = true;
	}
	*ret = loads->super_fd;
	return 0;
}

/* ---- loading ---- */

/* Into counters of our choice; with the rights that are left. */
static int load_into(struct privileged_loads *loads, const struct kernel_code *code,
	int ret_fds[PRIVILEGED_LOAD_FDS_MAX], unsigned int *ret_n_fds, struct error *err)
{
	uint64_t until_ns = clock_monotonic_ns() + LOAD_TIME_NS;
	struct privileged_load *load;
	struct kernel_memory memory;
	struct kernel_fds fds;
	int lease[2];
	int r = load_take(loads, kernel_code_area_bytes(code), &load, err);

	if (r == 0)
		r = privileged_take_super(loads, kernel_code_has_root(code), &memory.super_fd, err);
	if (r == 0)
		r = load_take_turns(loads, code, &memory.turns_fd, err);
	if (r < 0)
		return r;
	memory.area_fd = load->area_fd;
	memory.area_bytes = load->area_bytes;
	r = pipe2(lease, O_CLOEXEC) < 0 ? -errno : 0;
	if (r == 0) {
		r = kernel_code_load_into(code, until_ns, &memory, &fds, err);
		if (r < 0) {
			(void)close(lease[0]);
			(void)close(lease[1]);
		}
	}
	if (r < 0) {
		cleanup_closep(&memory.turns_fd);
		return r;
	}
	load->lease_fd = lease[0];
	load->chain_fd = fds.chain;
	ret_fds[0] = fds.program;
	ret_fds[1] = fds.area;
	ret_fds[2] = lease[1];
	ret_fds[3] = memory.turns_fd;
	*ret_n_fds = PRIVILEGED_LOAD_FDS + kernel_code_samples(code);
	return 0;
}

/* Whether packets end at some interface. */
static bool load_may_discard(const struct config *config)
{
	for (unsigned int i = 0; i < config->n_devices; i++)
		if (config->devices[i].discard)
			return true;
	return false;
}

/* What discards cannot come to other interfaces: the kernel puts it only into roots of its own
 * kind (kernel_root_attach()), which are made for those that discard. */
static int load_checked(const struct config *config, struct privileged_loads *loads,
	const struct kernel_code *code, int ret_fds[PRIVILEGED_LOAD_FDS_MAX],
	unsigned int *ret_n_fds, struct error *err)
{
	struct load_caps old;
	int r;

	if (kernel_code_discards(code) && !load_may_discard(config)) {
		(void)error_set(err, MAPI_NO_PERMISSION,
			"packets end at no interface: no [driver] section says discard=yes");
		return -EPERM;
	}
	if (kernel_code_stats(code).n_insns > PRIVILEGED_LOAD_INSNS_MAX)
		return error_set(err, MFUNCT_NOT_SUPPORTED,
			"more than %u instructions are not loaded for an engine",
			PRIVILEGED_LOAD_INSNS_MAX);
	r = kernel_code_check(code, err);
	if (r == 0)
		r = load_lower(&old, err);
	if (r < 0)
		return r;
	r = load_into(loads, code, ret_fds, ret_n_fds, err);
	/* It is what was there before. */
	(void)syscall(SYS_capset, &old.head, old.data);
	return r;
}

int privileged_load_foreign(const struct config *config, struct privileged_loads *loads,
	const void *area, size_t n_bytes, int ret_fds[PRIVILEGED_LOAD_FDS_MAX],
	unsigned int *ret_n_fds, struct error *err)
{
	_cleanup_(kernel_code_freep) struct kernel_code *code = NULL;
	_cleanup_(cleanup_freep) void *bytes = malloc(n_bytes);
	int r;

	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, area, n_bytes);
	r = kernel_code_unflatten(&code, bytes, n_bytes);
	if (r == 0)
		r = load_checked(config, loads, code, ret_fds, ret_n_fds, err);
	return r;
}

int privileged_attach_foreign(const struct config *config, struct privileged_loads *loads,
	const char *name, enum kernel_way way, int ret_fds[PRIVILEGED_ATTACH_FDS_MAX],
	unsigned int *ret_n_fds, char ret_others[KERNEL_TEXT_BYTES], struct error *err)
{
	const struct config_device *device = config_find(config, name);
	bool discards = device && device->discard;
	struct driver_options options;
	struct driver_open_args args;
	struct kernel_root root;
	unsigned int ifindex;
	int super_fd;
	int r = privileged_find(config, name, &args, &options, err);

	if (r < 0)
		return r;
	if (kernel_way_hook(way) == KERNEL_XDP && !options.incoming_only)
		return error_set(err, MAPI_NO_PERMISSION,
			"%.200s: XDP is for interfaces with direction=in or dedicated=yes", name);
	ifindex = if_nametoindex(args.name);
	if (ifindex == 0) {
		(void)error_set(
			err, MAPID_NO_DRIVER, "there is no interface '%.200s' now", args.name);
		return -ENODEV;
	}
	r = privileged_take_super(loads, kernel_way_hook(way) == KERNEL_TC, &super_fd, err);
	if (r == 0)
		r = kernel_root_attach(&root, ifindex, way, discards, super_fd, ret_others, err);
	if (r < 0)
		return r;
	ret_fds[0] = root.slots;
	for (unsigned int i = 0; i < root.n_links; i++)
		ret_fds[1 + i] = root.links[i];
	*ret_n_fds = 1 + root.n_links;
	return 0;
}

int privileged_look_foreign(const struct config *config, const char *name, uint32_t id,
	char ret_others[KERNEL_TEXT_BYTES], struct error *err)
{
	struct driver_options options;
	struct driver_open_args args;
	int r = privileged_find(config, name, &args, &options, err);

	if (r == 0)
		kernel_root_before(if_nametoindex(args.name), id, ret_others);
	return r;
}
