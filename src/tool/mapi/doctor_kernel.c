/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What mapi doctor finds out about the kernel: features are tried where that changes nothing, else
 * read from its version; limits and the clock.
 */
#include "doctor.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/release.h"

#define DOCTOR_RELEASE_TESTED 6001u

#define DOCTOR_LOOPBACK 1u /* its index, in each network namespace */
#define DOCTOR_MEMLOCK_BYTES (64u << 20)
#define DOCTOR_OPTMEM_BYTES 20480u

static void doctor_version(struct doctor *d)
{
	struct utsname name;

	if (uname(&name) < 0)
		return;
	d->release = release_number(name.release);
	if (d->release >= DOCTOR_RELEASE_TESTED)
		doctor_add(d, "kernel", DOCTOR_OK, NULL, NULL, "Linux %.60s", name.release);
	else
		doctor_add(d, "kernel", DOCTOR_NOTE, "Older than 6.1, where nobody tests this.",
			NULL, "Linux %.60s", name.release);
}

/* Return: 0, or why the kernel does not open such a socket. */
static int doctor_try_socket(int family, int type, int protocol, int *ret_fd)
{
	*ret_fd = socket(family, type | SOCK_CLOEXEC, protocol);
	return *ret_fd < 0 ? errno : 0;
}

static void doctor_packet_ring(struct doctor *d)
{
	static const char cost[] = "Live capture needs it.";
	int fd, version = TPACKET_V3, r;

	r = doctor_try_socket(AF_PACKET, SOCK_RAW, 0, &fd);
	if (r == EPERM) {
		doctor_add(d, "TPACKET_V3", DOCTOR_OK, NULL, NULL,
			"not tried: no right to; kernels since 3.2 have it");
		return;
	}
	if (!r && setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) < 0)
		r = errno;
	if (fd >= 0)
		(void)close(fd);
	if (r)
		doctor_add(d, "TPACKET_V3", DOCTOR_MISSING, cost,
			"a kernel with CONFIG_PACKET (modprobe af_packet)", "%s", strerror(r));
	else
		doctor_add(d, "TPACKET_V3", DOCTOR_OK, NULL, NULL, "rings of packet sockets");
}

/* What packet sockets are told of super-packets (docs/semantics.md, P3). */
static void doctor_super(struct doctor *d)
{
	if (d->release >= RELEASE_SUPER_PACKETS)
		doctor_add(d, "super-packets", DOCTOR_OK, NULL, NULL,
			"counters know what they stand for (GRO, GSO)");
	else if (d->release)
		doctor_add(d, "super-packets", DOCTOR_NOTE,
			"Packets that are captured merged (GRO), or not yet cut (GSO), are "
			"counted as full segments if they are TCP over IP, else as one.",
			"Linux 6.2 or later; or ethtool -K of the device: gro off gso off",
			"the kernel does not tell what they stand for");
}

/* The smallest program: return 0. It is loaded, attached nowhere, and closed. */
static int doctor_try_bpf(uint32_t type)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { .prog_type = type,
		.insn_cnt = ARRAY_SIZE(program),
		.insns = (uint64_t)(uintptr_t)program,
		.license = (uint64_t)(uintptr_t) "Dual BSD/GPL" };
	long fd = syscall(__NR_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	if (fd < 0)
		return errno;
	(void)close((int)fd);
	return 0;
}

static void doctor_bpf(struct doctor *d)
{
	static const char cost[] = "Filters and counters run in the daemon: packets that only "
				   "have to be counted are copied to it.";
	int r = doctor_try_bpf(BPF_PROG_TYPE_SOCKET_FILTER);

	if (!r)
		doctor_add(d, "eBPF", DOCTOR_OK, NULL, NULL, "programs can be loaded");
	else if (r == EPERM && d->rights.daemon == HOST_DAEMON_OK)
		doctor_add(d, "eBPF", DOCTOR_OK, NULL, NULL,
			"for the system daemon; not for this user, who needs no right to");
	else if (r == EPERM)
		doctor_add(d, "eBPF", DOCTOR_NOTE, cost,
			"sudo, CAP_BPF, or the system daemon, which has the right",
			"there, but not for this user");
	else
		doctor_add(d, "eBPF", DOCTOR_MISSING, cost, "a kernel with CONFIG_BPF_SYSCALL",
			"%s", strerror(r));
	if (access("/sys/kernel/btf/vmlinux", R_OK) == 0)
		doctor_add(d, "BTF", DOCTOR_OK, NULL, NULL, "types of the kernel are readable");
	else
		doctor_add(d, "BTF", DOCTOR_NOTE,
			"TCX is not used: flows that only count do so where packets are captured.",
			"a kernel with CONFIG_DEBUG_INFO_BTF", "no /sys/kernel/btf/vmlinux");
}

/* Only an administrator may look; where there is nothing to look at it cannot be turned off. */
static void doctor_jit(struct doctor *d)
{
	char line[64];

	if (!host_line("/proc/sys/net/core/bpf_jit_enable", line, sizeof(line)))
		return;
	if (strcmp(line, "0") == 0)
		doctor_add(d, "BPF JIT", DOCTOR_NOTE,
			"Programs are interpreted: filters in the kernel cost several times as "
			"much.",
			"sysctl net.core.bpf_jit_enable=1", "off");
	else
		doctor_add(d, "BPF JIT", DOCTOR_OK, NULL, NULL, "on");
}

static void doctor_tcx_and_xdp(struct doctor *d)
{
	int r = doctor_tcx(DOCTOR_LOOPBACK);

	if (r > 0)
		doctor_add(
			d, "TCX", DOCTOR_OK, NULL, NULL, "flows that only count may do so there");
	else if (r < 0)
		doctor_add(d, "TCX", DOCTOR_NOTE, NULL, NULL,
			"not known: to ask takes CAP_NET_ADMIN (sudo mapi doctor)");
	else
		doctor_add(d, "TCX", DOCTOR_NOTE,
			"Flows that only count do so where packets are captured.",
			"Linux 6.6 or later with CONFIG_NET_XGRESS", "the kernel has none");
	r = doctor_try_bpf(BPF_PROG_TYPE_XDP);
	if (!r)
		doctor_add(d, "XDP", DOCTOR_OK, NULL, NULL,
			"programs can be loaded (for direction=in, dedicated=yes)");
	else if (r == EPERM)
		doctor_add(d, "XDP", DOCTOR_OK, NULL, NULL, "not tried: no right to");
	else
		doctor_add(d, "XDP", DOCTOR_NOTE,
			"Interfaces with direction=in or dedicated=yes are counted at TCX.",
			"a kernel with CONFIG_BPF_SYSCALL", "%s", strerror(r));
}

static bool doctor_has_program(const char *name)
{
	static const char *const folders[] = { "/usr/sbin", "/sbin", "/usr/bin",
		"/usr/local/sbin" };
	char path[128];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(folders); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folders[i], name);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static void doctor_nftables(struct doctor *d)
{
	static const char cost[] = "Addresses can't be blocked; watching works.";
	int fd, r = doctor_try_socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, &fd);

	if (fd >= 0)
		(void)close(fd);
	if (r)
		doctor_add(d, "nftables", DOCTOR_NOTE, cost, "a kernel with CONFIG_NF_TABLES", "%s",
			strerror(r));
	else if (!doctor_has_program("nft"))
		doctor_add(d, "nftables", DOCTOR_NOTE, cost, "apt-get install nftables",
			"no program nft");
	else
		doctor_add(d, "nftables", DOCTOR_OK, NULL, NULL, "program and kernel");
}

/* ---- limits ---- */

static unsigned long doctor_sysctl(const char *path)
{
	char line[64];

	return host_line(path, line, sizeof(line)) ? strtoul(line, NULL, 10) : 0;
}

static void doctor_limits(struct doctor *d)
{
	unsigned long optmem = doctor_sysctl("/proc/sys/net/core/optmem_max");
	unsigned long rmem = doctor_sysctl("/proc/sys/net/core/rmem_max");
	struct rlimit limit = { .rlim_cur = 0 };

	if (optmem && optmem < DOCTOR_OPTMEM_BYTES)
		doctor_add(d, "optmem_max", DOCTOR_NOTE,
			"Long filters can't be attached to a socket.",
			"sysctl net.core.optmem_max=131072", "%lu bytes", optmem);
	else if (optmem)
		doctor_add(d, "optmem_max", DOCTOR_OK, NULL, NULL, "%lu bytes", optmem);
	if (rmem)
		doctor_add(d, "rmem_max", DOCTOR_OK, NULL, NULL,
			"%lu bytes (rings do not depend on it)", rmem);
	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return;
	if (limit.rlim_cur == RLIM_INFINITY)
		doctor_add(d, "memlock", DOCTOR_OK, NULL, NULL, "unlimited");
	else if (limit.rlim_cur >= DOCTOR_MEMLOCK_BYTES || d->rights.daemon == HOST_DAEMON_OK ||
		(d->capabilities & HOST_CAP(CAP_IPC_LOCK)))
		doctor_add(d, "memlock", DOCTOR_OK, NULL, NULL, "%llu bytes",
			(unsigned long long)limit.rlim_cur);
	else
		doctor_add(d, "memlock", DOCTOR_NOTE,
			"Large rings can't be locked into memory without CAP_IPC_LOCK.",
			"ulimit -l, LimitMEMLOCK= of the service", "%llu bytes",
			(unsigned long long)limit.rlim_cur);
}

static void doctor_clock(struct doctor *d)
{
	static const char source_path[] =
		"/sys/devices/system/clocksource/clocksource0/current_clocksource";
	struct timex clock = { .modes = 0 };
	char source[64];
	int state = adjtimex(&clock);

	if (host_line(source_path, source, sizeof(source))) {
		if (!strcmp(source, "jiffies") || !strcmp(source, "acpi_pm") ||
			!strcmp(source, "hpet"))
			doctor_add(d, "clock source", DOCTOR_NOTE,
				"Slow to read: every packet's time costs more.",
				"boot with clocksource=tsc if the machine's is sound", "%s",
				source);
		else
			doctor_add(d, "clock source", DOCTOR_OK, NULL, NULL, "%s", source);
	}
	if (state < 0)
		return;
	if (state == TIME_ERROR || (clock.status & STA_UNSYNC))
		doctor_add(d, "clock", DOCTOR_NOTE, "Times of several machines can't be compared.",
			"chrony or systemd-timesyncd", "not synchronised");
	else
		doctor_add(d, "clock", DOCTOR_OK, NULL, NULL,
			"synchronised, within %.1f ms by its own estimate",
			(double)clock.esterror / 1000);
}

void doctor_kernel(struct doctor *d)
{
	doctor_version(d);
	doctor_packet_ring(d);
	doctor_super(d);
	doctor_bpf(d);
	doctor_jit(d);
	doctor_tcx_and_xdp(d);
	doctor_nftables(d);
	doctor_limits(d);
	doctor_clock(d);
}
