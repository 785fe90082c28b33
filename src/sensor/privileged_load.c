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
#include <linux/capability.h>
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

static int load_checked(const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	struct load_caps old;
	int r;

	if (kernel_code_hook(code) != KERNEL_SOCKET)
		return error_set(err, MAPI_NO_PERMISSION,
			"only filters of sockets are loaded for an engine");
	if (kernel_code_stats(code).n_insns > PRIVILEGED_LOAD_INSNS_MAX)
		return error_set(err, MFUNCT_NOT_SUPPORTED,
			"more than %u instructions are not loaded for an engine",
			PRIVILEGED_LOAD_INSNS_MAX);
	r = kernel_code_check(code, err);
	if (r == 0)
		r = load_lower(&old, err);
	if (r < 0)
		return r;
	r = kernel_code_load_until(code, clock_monotonic_ns() + LOAD_TIME_NS, ret, err);
	/* It is what was there before. */
	(void)syscall(SYS_capset, &old.head, old.data);
	return r;
}

int privileged_load_foreign(const void *area, size_t n_bytes, int ret_fds[PRIVILEGED_LOAD_FDS_MAX],
	unsigned int *ret_n_fds, struct error *err)
{
	_cleanup_(kernel_code_freep) struct kernel_code *code = NULL;
	_cleanup_(cleanup_freep) void *bytes = malloc(n_bytes);
	struct kernel_fds fds;
	int r;

	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, area, n_bytes);
	r = kernel_code_unflatten(&code, bytes, n_bytes);
	if (r == 0)
		r = load_checked(code, &fds, err);
	if (r < 0)
		return r;
	ret_fds[0] = fds.program;
	ret_fds[1] = fds.area;
	ret_fds[2] = fds.chain;
	*ret_n_fds = fds.chain < 0 ? 2 : 3;
	return 0;
}
