/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sends 64-byte frames through one end of a pair of veth interfaces, faster than any packet
 * socket can: the kernel repeats one frame by itself (BPF_PROG_RUN with live frames), until a
 * signal ends it. To begin costs it some 20 ms, so one system call must do for a whole run; the
 * rate is kept by the program that is run for each frame, which drops those that are early.
 *
 * usage: live_generator SENDER RECEIVER|- [tcp]
 *
 * They are UDP to port 9, or with "tcp" TCP to port 80. The receiving interface takes them only
 * while it has an XDP program: it gets one that passes all, or with "-" none.
 *
 * For each line "PPS SECONDS" on standard input (0 packets per second: as fast as possible) it
 * sends, and prints "PACKETS SECONDS". Everything runs where it is pinned to: the receiving
 * interface's softirq too, because it is raised by the sender. Needs root.
 *
 * Exit status: 0; 1 with the cause on standard error if the kernel cannot do this.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define GENERATOR_BATCH 64u
#define GENERATOR_LATE_NS 100000 /* what is made up for, of time that was lost */
#define GENERATOR_FRAME_BYTES 64
#define GENERATOR_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Shared with the program in the kernel, which knows the order. */
struct generator_pace {
	uint64_t gap_ns; /* between frames; 0: none */
	uint64_t due_ns;
	uint64_t n_pkts;
};

/* A receiver that nobody is, so that the kernel's own stack is done with it at once. */
static const uint8_t generator_udp[GENERATOR_FRAME_BYTES] = {
	0x02, 0, 0, 0, 0, 0x99, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, /* Ethernet */
	0x45, 0, 0, 50, 0, 1, 0, 0, 64, 17, 0x65, 0xea, 192, 0, 2, 1, 198, 51, 100, 9, /* IPv4 */
	0x30, 0x39, 0, 9, 0, 30, 0, 0, /* UDP, port 9 */
};

static const uint8_t generator_tcp[GENERATOR_FRAME_BYTES] = {
	0x02, 0, 0, 0, 0, 0x99, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, /* Ethernet */
	0x45, 0, 0, 50, 0, 1, 0, 0, 64, 6, 0x65, 0xf5, 192, 0, 2, 1, 198, 51, 100, 9, /* IPv4 */
	0x30, 0x39, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02, 0, 0, 0x93, 0x11, 0,
	0, /* TCP, SYN */
};

static int generator_bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int generator_load(const struct bpf_insn insns[], unsigned int n_insns)
{
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_XDP,
		.insn_cnt = n_insns,
		.insns = (uintptr_t)insns,
		.license = (uintptr_t) "BSD" };

	return generator_bpf(BPF_PROG_LOAD, &attr);
}

/*
 * for each frame:
 *	if (gap_ns != 0) {
 *		now = bpf_ktime_get_ns();
 *		if (now < due_ns)
 *			return XDP_DROP;
 *		due_ns = max(due_ns, now - GENERATOR_LATE_NS) + gap_ns;
 *	}
 *	n_pkts++;
 *	return bpf_redirect(ifindex, 0);
 */
static int generator_load_send(int map_fd, unsigned int ifindex)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_LD | BPF_IMM | BPF_DW,
			.dst_reg = BPF_REG_6,
			.src_reg = BPF_PSEUDO_MAP_VALUE,
			.imm = map_fd },
		{ 0 },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW,
			.dst_reg = BPF_REG_7,
			.src_reg = BPF_REG_6,
			.off = 0 },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_7, .off = 8, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_ktime_get_ns },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW,
			.dst_reg = BPF_REG_1,
			.src_reg = BPF_REG_6,
			.off = 8 },
		{ .code = BPF_JMP | BPF_JLT | BPF_X,
			.dst_reg = BPF_REG_0,
			.src_reg = BPF_REG_1,
			.off = 12 },
		{ .code = BPF_ALU64 | BPF_SUB | BPF_K,
			.dst_reg = BPF_REG_0,
			.imm = GENERATOR_LATE_NS },
		{ .code = BPF_JMP | BPF_JGE | BPF_X,
			.dst_reg = BPF_REG_1,
			.src_reg = BPF_REG_0,
			.off = 1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_0 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_7 },
		{ .code = BPF_STX | BPF_MEM | BPF_DW,
			.dst_reg = BPF_REG_6,
			.src_reg = BPF_REG_1,
			.off = 8 },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW,
			.dst_reg = BPF_REG_1,
			.src_reg = BPF_REG_6,
			.off = 16 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_1, .imm = 1 },
		{ .code = BPF_STX | BPF_MEM | BPF_DW,
			.dst_reg = BPF_REG_6,
			.src_reg = BPF_REG_1,
			.off = 16 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1, .imm = (int)ifindex },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect },
		{ .code = BPF_JMP | BPF_EXIT },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_DROP },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return generator_load(insns, GENERATOR_COUNT(insns));
}

static struct generator_pace *generator_map(int *ret_fd)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = sizeof(struct generator_pace),
		.max_entries = 1,
		.map_flags = BPF_F_MMAPABLE };
	void *map;

	*ret_fd = generator_bpf(BPF_MAP_CREATE, &attr);
	if (*ret_fd < 0)
		return NULL;
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
	return map == MAP_FAILED ? NULL : map;
}

/* A veth interface takes frames without a socket buffer only if it has a program: return XDP_PASS.
 * It goes when the process ends. */
static int generator_attach_pass(unsigned int ifindex)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { 0 };
	int fd = generator_load(insns, GENERATOR_COUNT(insns));

	if (fd < 0)
		return fd;
	attr.link_create.prog_fd = (uint32_t)fd;
	attr.link_create.target_ifindex = ifindex;
	attr.link_create.attach_type = BPF_XDP;
	return generator_bpf(BPF_LINK_CREATE, &attr);
}

static int generator_send(int fd, const uint8_t *frame, uint32_t n_pkts)
{
	union bpf_attr attr = { 0 };

	attr.test.prog_fd = (uint32_t)fd;
	attr.test.data_in = (uintptr_t)frame;
	attr.test.data_size_in = GENERATOR_FRAME_BYTES;
	attr.test.repeat = n_pkts;
	attr.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
	attr.test.batch_size = GENERATOR_BATCH;
	return generator_bpf(BPF_PROG_TEST_RUN, &attr);
}

static double generator_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void generator_alarm(int number)
{
}

static int generator_run(
	int fd, const uint8_t *frame, struct generator_pace *pace, double pps, double seconds)
{
	const uint64_t us = (uint64_t)(seconds * 1e6);
	/* Again and again: the first signal may come between the calls. */
	const struct itimerval timer = { .it_value = { (time_t)(us / 1000000),
						 (suseconds_t)(us % 1000000) },
		.it_interval = { 0, 10000 } };
	const struct itimerval none = { 0 };
	const double began = generator_now();

	*pace = (struct generator_pace){ .gap_ns = pps > 0 ? (uint64_t)(1e9 / pps + 0.5) : 0 };
	setitimer(ITIMER_REAL, &timer, NULL);
	while (generator_now() < began + seconds)
		if (generator_send(fd, frame, 1u << 30) < 0 && errno != EINTR)
			return -1;
	setitimer(ITIMER_REAL, &none, NULL);
	printf("%llu %.6f\n", (unsigned long long)pace->n_pkts, generator_now() - began);
	return fflush(stdout);
}

static int generator_fail(const char *what)
{
	fprintf(stderr, "live_generator: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char *argv[])
{
	const struct sigaction alarmed = { .sa_handler = generator_alarm };
	const uint8_t *frame = generator_udp;
	struct generator_pace *pace;
	unsigned int from, to;
	int map_fd, fd;
	char line[128];

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: live_generator SENDER RECEIVER|- [tcp]\n");
		return 2;
	}
	if (argc == 4)
		frame = generator_tcp;
	from = if_nametoindex(argv[1]);
	to = if_nametoindex(argv[2]);
	if (!from || (!to && strcmp(argv[2], "-") != 0))
		return generator_fail("interface");
	if (to && generator_attach_pass(to) < 0)
		return generator_fail("XDP program of the receiver");
	pace = generator_map(&map_fd);
	fd = pace ? generator_load_send(map_fd, from) : -1;
	if (fd < 0 || generator_send(fd, frame, GENERATOR_BATCH) < 0)
		return generator_fail("live frames");
	sigaction(SIGALRM, &alarmed, NULL);
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		double pps, seconds;

		if (sscanf(line, "%lf %lf", &pps, &seconds) != 2)
			return 2;
		if (generator_run(fd, frame, pace, pps, seconds) < 0)
			return generator_fail("live frames");
	}
	return 0;
}
