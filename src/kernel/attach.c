/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs to work, and others in their place.
 *
 * Interfaces hold programs by links: descriptors that end with their process, so that nothing stays
 * behind, however that ends. TCX is asked for by the system call itself, because libbpf learnt of
 * it later than Debian 12, and at the head of its list: a program before ours that is content with
 * a packet would hide it.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel_private.h"
#include "mapi/errors.h"

/* <linux/bpf.h> of Linux 6.6 */
#define ATTACH_TCX_INGRESS 46u
#define ATTACH_TCX_EGRESS 47u
#define ATTACH_F_BEFORE (1u << 3)

/* The arguments of BPF_LINK_CREATE for TCX; the kernel wants the rest to be zero, or absent. */
struct attach_tcx {
	uint32_t prog_fd;
	uint32_t ifindex;
	uint32_t attach_type;
	uint32_t flags;
	uint32_t relative_fd;
	uint32_t reserved;
	uint64_t expected_revision;
};
_Static_assert(sizeof(struct attach_tcx) == 32, "as the kernel has it");

static int attach_fail(struct error *err, const char *what, const char *remedy)
{
	int error = errno;

	(void)error_set(err, error == EPERM ? MAPI_NO_PERMISSION : MFUNCT_NOT_SUPPORTED, "%s: %s%s",
		what, strerror(error), error == EINVAL ? remedy : "");
	return -error;
}

int kernel_attach_socket(const struct kernel_program *program, int socket_fd, struct error *err)
{
	int fd = kernel_program_fd(program);

	if (setsockopt(socket_fd, SOL_SOCKET, SO_ATTACH_BPF, &fd, sizeof(fd)) < 0)
		return attach_fail(err, "filtering in the kernel", "");
	return 0;
}

static int attach_tcx(int fd, unsigned int ifindex, uint32_t type)
{
	struct attach_tcx attr = { .prog_fd = (uint32_t)fd,
		.ifindex = ifindex,
		.attach_type = type,
		.flags = ATTACH_F_BEFORE };

	return (int)syscall(__NR_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
}

static int attach_xdp(int fd, unsigned int ifindex, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);

	return bpf_link_create(fd, (int)ifindex, BPF_XDP, &opts);
}

int kernel_attach_fd(
	int program_fd, unsigned int ifindex, enum kernel_place place, struct error *err)
{
	int link = -1;

	switch (place) {
	case KERNEL_TCX_INGRESS:
		link = attach_tcx(program_fd, ifindex, ATTACH_TCX_INGRESS);
		break;
	case KERNEL_TCX_EGRESS:
		link = attach_tcx(program_fd, ifindex, ATTACH_TCX_EGRESS);
		break;
	case KERNEL_XDP_NATIVE:
		link = attach_xdp(program_fd, ifindex, XDP_FLAGS_DRV_MODE);
		break;
	case KERNEL_XDP_GENERIC:
		link = attach_xdp(program_fd, ifindex, XDP_FLAGS_SKB_MODE);
		break;
	}
	if (link >= 0)
		return link;
	return attach_fail(err, "counting on the interface",
		place <= KERNEL_TCX_EGRESS ? "; TCX needs Linux 6.6" : "");
}

int kernel_attach_interface(int *ret_link_fd, const struct kernel_program *program,
	unsigned int ifindex, enum kernel_place place, struct error *err)
{
	int link = kernel_attach_fd(kernel_program_fd(program), ifindex, place, err);

	if (link < 0)
		return link;
	*ret_link_fd = link;
	return 0;
}

int kernel_link_replace(int link_fd, const struct kernel_program *program, struct error *err)
{
	if (bpf_link_update(link_fd, kernel_program_fd(program), NULL) < 0)
		return attach_fail(err, "replacing a program in the kernel", "");
	return 0;
}
