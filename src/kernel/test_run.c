/* SPDX-License-Identifier: BSD-2-Clause */
/* BPF_PROG_RUN: see the header. */
#include "test_run.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel_private.h"

/* The kernel takes the Ethernet header off before a socket filter sees the packet: so there is one
 * more, of a type that nothing looks at. */
#define TEST_RUN_HEADER_BYTES 14

static const uint8_t *test_run_data(
	enum kernel_hook hook, const struct test_packet *packet, uint8_t *room, uint32_t *ret_bytes)
{
	static const uint8_t header[TEST_RUN_HEADER_BYTES] = { [12] = 0x88, [13] = 0xb5 };

	*ret_bytes = packet->n_bytes;
	if (hook != KERNEL_SOCKET)
		return packet->data;
	*ret_bytes += TEST_RUN_HEADER_BYTES;
	memcpy(room, header, sizeof(header));
	if (packet->n_bytes)
		memcpy(room + sizeof(header), packet->data, packet->n_bytes);
	return room;
}

static int test_run_opts(int fd, enum kernel_hook hook, const struct test_packet *packet,
	unsigned int repeat, struct bpf_test_run_opts *opts)
{
	uint8_t room[TEST_RUN_JUMBO_MAX + TEST_RUN_HEADER_BYTES];
	struct __sk_buff skb = { .gso_size = packet->gso_size, .gso_segs = packet->gso_segs };
	struct xdp_md xdp = { .data_end = packet->linear_bytes };

	if (packet->n_bytes > TEST_RUN_JUMBO_MAX)
		return -E2BIG;
	opts->data_in = test_run_data(hook, packet, room, &opts->data_size_in);
	opts->repeat = (int)repeat;
	if (hook == KERNEL_XDP && packet->linear_bytes) {
		opts->ctx_in = &xdp;
		opts->ctx_size_in = sizeof(xdp);
	} else if (hook != KERNEL_XDP && packet->gso_size) {
		opts->ctx_in = &skb;
		opts->ctx_size_in = sizeof(skb);
	}
	return bpf_prog_test_run_opts(fd, opts) < 0 ? -errno : 0;
}

int test_run(int fd, enum kernel_hook hook, const struct test_packet *packet, int *ret_verdict)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int r = test_run_opts(fd, hook, packet, 1, &opts);

	if (r == 0 && ret_verdict)
		*ret_verdict = (int)opts.retval;
	return r;
}

static int test_run_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double test_run_ns(int fd, enum kernel_hook hook, const struct test_packet *packet,
	unsigned int repeat, unsigned int rounds)
{
	double ns[32] = { 0 };

	rounds = MIN(rounds, ARRAY_SIZE(ns));
	for (unsigned int i = 0; i < rounds; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts);

		if (test_run_opts(fd, hook, packet, repeat, &opts) < 0)
			return 0;
		ns[i] = opts.duration;
	}
	qsort(ns, rounds, sizeof(*ns), test_run_compare);
	return ns[rounds / 2];
}

int test_run_tagger(int fd, uint32_t tag)
{
	int map = bpf_map_create(
		BPF_MAP_TYPE_PROG_ARRAY, "mapi_test", sizeof(uint32_t), sizeof(uint32_t), 1, NULL);
	struct bpf_insn insns[] = {
		MOV_REG(BPF_REG_6, BPF_REG_1),
		MOV_IMM(BPF_REG_2, (int32_t)__builtin_bswap16((uint16_t)(tag >> 16))),
		MOV_IMM(BPF_REG_3, (int32_t)(tag & 0xffff)),
		CALL(BPF_FUNC_skb_vlan_push),
		MOV_REG(BPF_REG_1, BPF_REG_6),
		INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_2, BPF_PSEUDO_MAP_FD, 0, map),
		INSN(0, 0, 0, 0, 0),
		MOV_IMM(BPF_REG_3, 0),
		CALL(BPF_FUNC_tail_call),
		MOV_IMM(BPF_REG_0, 99),
		EXIT(),
	};
	uint32_t key = 0;
	int r = -errno;

	if (map < 0)
		return r;
	r = bpf_map_update_elem(map, &key, &fd, 0) < 0
		? -errno
		: bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "mapi_tagger", "GPL", insns,
			  ARRAY_SIZE(insns), NULL);
	/* The program refers to the map's pages, but an array of programs is emptied when its last
	 * descriptor is closed: so this one stays open until the test ends. */
	return r;
}

#define TEST_RUN_CAP_PERFMON 38 /* <linux/capability.h> of Linux 5.8 */

void test_run_distrust(bool is_distrusted)
{
	static const unsigned int caps[] = { TEST_RUN_CAP_PERFMON, CAP_SYS_ADMIN };
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		uint32_t bit = 1u << caps[i] % 32;

		data[caps[i] / 32].effective &= ~bit;
		if (!is_distrusted)
			data[caps[i] / 32].effective |= data[caps[i] / 32].permitted & bit;
	}
	(void)syscall(SYS_capset, &head, data);
}

uint32_t test_run_verified(int fd)
{
	struct bpf_prog_info info = { .type = 0 };
	uint32_t n_bytes = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &n_bytes) < 0 ? 0 : info.verified_insns;
}

int test_run_nothing(enum kernel_hook hook)
{
	static const enum bpf_prog_type types[_KERNEL_HOOK_N] = { BPF_PROG_TYPE_SOCKET_FILTER,
		BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_XDP };
	static const struct bpf_insn insns[] = { MOV_IMM(BPF_REG_0, XDP_PASS), EXIT() };
	int fd = bpf_prog_load(
		types[hook], "mapi_nothing", "Dual BSD/GPL", insns, ARRAY_SIZE(insns), NULL);

	return fd < 0 ? -errno : fd;
}
