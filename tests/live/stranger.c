/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Somebody else's eBPF program at an interface.
 *
 * usage: stranger tcx|before|full|xdp INTERFACE
 *
 * Attaches a program (before: at the head of the list of TCX; full: as many as there is room for)
 * that lets every packet pass and counts them, says "attached", and when its standard input ends
 * "seen N" or, if it is not attached any more, "displaced".
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STRANGER_TCX_INGRESS 46 /* <linux/bpf.h> of Linux 6.6 */
#define STRANGER_BEFORE (1u << 3) /* BPF_F_BEFORE */

#define INSN(op, d, s, o, i)                                                         \
	{                                                                            \
		.code = (op), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) \
	}

static int stranger_load(int map, int is_xdp)
{
	const struct bpf_insn insns[] = {
		INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_VALUE, 0, map),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 1),
		INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 1, 2, 0, BPF_ADD),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0,
			is_xdp ? 2 : 0), /* XDP_PASS, TC_ACT_OK */
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return bpf_prog_load(is_xdp ? BPF_PROG_TYPE_XDP : BPF_PROG_TYPE_SCHED_CLS, "stranger",
		"Dual BSD/GPL", insns, sizeof(insns) / sizeof(insns[0]), NULL);
}

/* libbpf learnt of it later than Debian 12. */
static int stranger_attach_before(int program, unsigned int ifindex)
{
	struct {
		uint32_t program, ifindex, type, flags, relative_fd, reserved;
		uint64_t expected_revision;
	} attr = { (uint32_t)program, ifindex, STRANGER_TCX_INGRESS, STRANGER_BEFORE, 0, 0, 0 };

	return (int)syscall(__NR_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
}

static int stranger_attach(const char *kind, int program, unsigned int ifindex)
{
	if (!strcmp(kind, "before"))
		return stranger_attach_before(program, ifindex);
	return bpf_link_create(program, (int)ifindex,
		!strcmp(kind, "xdp") ? BPF_XDP : (enum bpf_attach_type)STRANGER_TCX_INGRESS, NULL);
}

/* Until there is no room: the first one sees a packet. */
static void stranger_fill(int map, unsigned int ifindex)
{
	int program, link;

	do {
		program = stranger_load(map, 0);
		link = program < 0 ? -1 : stranger_attach("tcx", program, ifindex);
	} while (link >= 0);
}

int main(int argc, char *argv[])
{
	int is_xdp = argc == 3 && !strcmp(argv[1], "xdp"), map, program, link;
	unsigned int ifindex = argc == 3 ? if_nametoindex(argv[2]) : 0;
	struct bpf_link_info info = { .type = 0 };
	uint32_t n_bytes = sizeof(info), zero = 0;
	uint64_t seen = 0;
	char byte;

	if (ifindex == 0) {
		fprintf(stderr, "usage: stranger tcx|before|full|xdp INTERFACE\n");
		return 2;
	}
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "seen", sizeof(zero), sizeof(seen), 1, NULL);
	program = map < 0 ? -1 : stranger_load(map, is_xdp);
	link = program < 0 ? -1 : stranger_attach(argv[1], program, ifindex);
	if (link < 0) {
		fprintf(stderr, "stranger: %s\n", strerror(errno));
		return 1;
	}
	if (!strcmp(argv[1], "full"))
		stranger_fill(map, ifindex);
	printf("attached\n");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	if (bpf_obj_get_info_by_fd(link, &info, &n_bytes) < 0 || info.xdp.ifindex != ifindex ||
		bpf_map_lookup_elem(map, &zero, &seen) < 0)
		printf("displaced\n");
	else
		printf("seen %llu\n", (unsigned long long)seen);
	return 0;
}
