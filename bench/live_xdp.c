/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program in XDP that counts "tcp port 80", as it is measured with live frames.
 *
 * usage: live_xdp PORT80.bpf.o DEVICE nothing|by-hand|by-hand-drop
 *
 * "nothing" lets all pass; so does "by-hand", which is kernel/port80.bpf.c; with "by-hand-drop"
 * packets end with it. Prints "ready", and upon SIGUSR1 "COUNTED 0", as live_mapi does. Ends at
 * SIGTERM. Needs root.
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
};

static uint64_t live_read(const struct live_counter *counter)
{
	struct port80_count counts[PORT80_CPUS_MAX];
	struct bpf_map *map = NULL;
	uint32_t key = 0;
	uint64_t sum = 0;

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
	return live_by_hand(ret, path, ifindex,
		strcmp(what, "by-hand-drop") == 0 ? "port80_xdp_drop" : "port80_xdp");
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
