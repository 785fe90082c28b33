/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program in XDP that counts "tcp port 80", as it is measured with live frames.
 *
 * usage: live_xdp PORT80.bpf.o DEVICE nothing|by-hand|ours|by-hand-drop|ours-drop
 *
 * "nothing" lets all pass; "by-hand" is kernel/port80.bpf.c, "ours" what src/kernel makes of that
 * filter, called by a root as mapid's are. Both let all pass, too. So most of a packet's time is
 * that of the kernel's stack: with "-drop" packets end with the program, ours by other last
 * instructions, which are of the benchmark only. Prints "ready", and upon SIGUSR1 "COUNTED 0", as
 * live_mapi does. Ends at SIGTERM. Needs root.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bench_kernel_packets.h"
#include "kernel/kernel_private.h"
#include "kernel/test_run.h"

#include "kernel/port80.h"

/* struct live_counter - of one of the programs; all zero: of none */
struct live_counter {
	struct bpf_object *object;
	struct kernel_program *program;
};

static uint64_t live_read(const struct live_counter *counter)
{
	struct port80_count counts[PORT80_CPUS_MAX];
	struct bpf_map *map = NULL;
	struct kernel_count count;
	uint32_t key = 0;
	uint64_t sum = 0;

	if (counter->program) {
		kernel_program_read(counter->program, &count, 1);
		return count.pkts;
	}
	if (counter->object)
		map = bpf_object__find_map_by_name(counter->object, ".bss");
	if (!map || bpf_map_lookup_elem(bpf_map__fd(map), &key, counts) < 0)
		return 0;
	for (unsigned int i = 0; i < PORT80_CPUS_MAX; i++)
		sum += counts[i].pkts;
	return sum;
}

static int live_fail(const char *what)
{
	(void)fprintf(stderr, "live_xdp: %s\n", what);
	return -1;
}

/* The program's last instructions say what becomes of a packet. */
static void live_drop(const struct kernel_page *page)
{
	for (uint32_t i = 1; i < page->n_insns; i++) {
		struct bpf_insn *last = &page->insns[i - 1];

		if (page->insns[i].code == (BPF_JMP | BPF_EXIT) &&
			last->code == (BPF_ALU64 | BPF_MOV | BPF_K) && last->imm == XDP_PASS)
			last->imm = XDP_DROP;
	}
}

static int live_ours(struct live_counter *ret, unsigned int ifindex, bool drops)
{
	const struct kernel_options options = { .hook = KERNEL_XDP };
	const struct filter_program *filter;
	struct kernel_root root;
	struct kernel_code *code;
	struct error err = ERROR_INIT;
	char others[KERNEL_TEXT_BYTES];

	if (bench_filters(&filter, 1) < 0 || kernel_code_new(&code, &options, &filter, 1) < 0)
		return live_fail("no instructions");
	if (drops)
		live_drop(&code->pages[0]);
	if (kernel_program_load(&ret->program, code, &err) < 0 ||
		kernel_root_attach(&root, ifindex, KERNEL_WAY_XDP_NATIVE, -1, others, &err) < 0 ||
		kernel_root_put(&root, ret->program, &err) < 0)
		return live_fail(err.text);
	kernel_code_free(code);
	return 0;
}

static int live_by_hand(
	struct live_counter *ret, const char *path, unsigned int ifindex, const char *name)
{
	struct error err = ERROR_INIT;
	int fd;

	ret->object = bpf_object__open_file(path, NULL);
	if (!ret->object || bpf_object__load(ret->object) < 0)
		return live_fail("the program by hand cannot be loaded");
	fd = bpf_program__fd(bpf_object__find_program_by_name(ret->object, name));
	return kernel_attach_fd(fd, ifindex, KERNEL_XDP_NATIVE, &err) < 0 ? live_fail(err.text) : 0;
}

static int live_nothing(unsigned int ifindex)
{
	struct error err = ERROR_INIT;
	int fd = test_run_nothing(KERNEL_XDP);

	if (fd < 0)
		return live_fail("a program cannot be loaded");
	return kernel_attach_fd(fd, ifindex, KERNEL_XDP_NATIVE, &err) < 0 ? live_fail(err.text) : 0;
}

static int live_start(
	struct live_counter *ret, const char *path, unsigned int ifindex, const char *what)
{
	if (strcmp(what, "nothing") == 0)
		return live_nothing(ifindex);
	if (strcmp(what, "by-hand") == 0)
		return live_by_hand(ret, path, ifindex, "port80_xdp");
	if (strcmp(what, "by-hand-drop") == 0)
		return live_by_hand(ret, path, ifindex, "port80_xdp_drop");
	return live_ours(ret, ifindex, strcmp(what, "ours-drop") == 0);
}

/* Links and programs end with the process. */
int main(int argc, char *argv[])
{
	struct live_counter counter = { 0 };
	unsigned int ifindex;
	int number;
	sigset_t set;

	if (argc != 4) {
		(void)fprintf(stderr, "usage: live_xdp PORT80.bpf.o DEVICE WHAT\n");
		return 2;
	}
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	ifindex = if_nametoindex(argv[2]);
	if (!ifindex || live_start(&counter, argv[1], ifindex, argv[3]) < 0)
		return 1;
	printf("ready\n");
	(void)fflush(stdout);
	while (sigwait(&set, &number) == 0) {
		printf("%llu 0\n", (unsigned long long)live_read(&counter));
		(void)fflush(stdout);
	}
	return 0;
}
