/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What filters cost in the kernel: bench_kernel PORT80.bpf.o FILE.pcap...
 *
 * Runs programs by BPF_PROG_RUN over Ethernet packets from all over the files: "tcp port 80" with
 * counters written by hand (kernel/port80.bpf.c), and sets of 1, 100 and 1,000 filters as one
 * program and as separate translations: one after the other in as few programs as the verifier
 * takes, and in a chain of as many as the kernel calls; and of one filter what the daemon's engine
 * has its parent load ("foreign"), by itself and called by a root at an interface ("root"). In each
 * of MAPI_BENCH_KERNEL_ROUNDS (9) rounds each program is run on each packet; the median of the
 * rounds of the mean of the packets counts. The time of a program that returns at once is the price
 * of the call; it is contained in all others, and so is in "empty" what a set without filters does.
 * Prints "hook-name value unit", which bench/run makes a table of; needs root.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench_kernel_packets.h"
#include "kernel/kernel.h"
#include "kernel/test_run.h"
#include "sensor/privileged_private.h"

#define BENCH_ROUNDS 9
#define BENCH_ROUNDS_MAX 99
#define BENCH_REPEAT 1000
#define BENCH_REPEAT_LONG 100 /* of what takes microseconds */
#define BENCH_FILTERS_MAX 1000
#define BENCH_PAGE_MAX 50 /* separate filters that the verifier takes in one program */
#define BENCH_CHAIN_MAX 32 /* programs that one may call, one after the other */

static const char *const bench_hooks[_KERNEL_HOOK_N] = { "socket", "tc", "xdp" };

struct bench_case {
	const char *name;
	unsigned int n_filters;
	bool is_separate;
	unsigned int page_max;
	const char *by_hand; /* a program of port80.bpf.o */
	bool is_foreign;
	bool has_root;
	int fd;
	struct kernel_program *program;
	double ns[BENCH_ROUNDS_MAX];
};

static unsigned int bench_rounds(void)
{
	const char *text = getenv("MAPI_BENCH_KERNEL_ROUNDS");
	unsigned long n = text ? strtoul(text, NULL, 10) : BENCH_ROUNDS;

	return n < 1 ? 1 : (unsigned int)MIN(n, (unsigned long)BENCH_ROUNDS_MAX);
}

/* BPF_PROG_RUN has the kernel learn to call an XDP program, and forget it, which takes 10 ms each
 * time: it knows those that are at an interface. Return: a link. */
static int bench_introduce(int fd, enum kernel_hook hook)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_SKB_MODE);

	if (hook != KERNEL_XDP || fd < 0)
		return -1;
	return bpf_link_create(fd, (int)if_nametoindex("lo"), BPF_XDP, &opts);
}

/* Mean nanoseconds of a program. */
static double bench_run(const struct bench_case *c, int fd, enum kernel_hook hook,
	const struct test_packet packets[], unsigned int n)
{
	const unsigned int repeat =
		c->is_separate && c->n_filters > 100 ? BENCH_REPEAT_LONG : BENCH_REPEAT;
	double sum = 0;
	unsigned int n_run = 0;

	for (unsigned int i = 0; i < n && fd >= 0; i++) {
		double ns = test_run_ns(fd, hook, &packets[i], repeat, 1);

		sum += ns;
		n_run += ns > 0;
	}
	return n_run ? sum / n_run : 0;
}

static struct privileged_loads bench_loads;

/* As bench_run(), of a root at an interface that calls the program. */
static double bench_run_root(const struct bench_case *c, enum kernel_hook hook,
	const struct test_packet packets[], unsigned int n)
{
	const enum kernel_way way =
		hook == KERNEL_XDP ? KERNEL_WAY_XDP_GENERIC : KERNEL_WAY_TCX_INGRESS;
	char others[KERNEL_TEXT_BYTES];
	struct error err = ERROR_INIT;
	struct kernel_root root = KERNEL_ROOT_INIT;
	double ns = 0;
	int super_fd, fd;
	int r = privileged_take_super(&bench_loads, hook == KERNEL_TC, &super_fd, &err);

	if (r == 0)
		r = kernel_root_attach(
			&root, if_nametoindex("lo"), way, false, super_fd, others, &err);
	if (r == 0)
		r = kernel_root_put(&root, c->program, &err);
	if (r < 0) {
		printf("%s-%s: not run: %s\n", bench_hooks[hook], c->name, err.text);
	} else {
		fd = bpf_prog_get_fd_by_id(kernel_root_id(&root));
		ns = bench_run(c, fd, hook, packets, n);
		(void)close(fd);
	}
	kernel_root_close(&root);
	return ns;
}

static double bench_round(const struct bench_case *c, enum kernel_hook hook,
	const struct test_packet packets[], unsigned int n)
{
	double ns;
	int link;

	if (c->has_root)
		return c->program ? bench_run_root(c, hook, packets, n) : 0;
	link = bench_introduce(c->fd, hook);
	ns = bench_run(c, c->fd, hook, packets, n);
	if (link >= 0)
		(void)close(link);
	return ns;
}

/* CPU time of this process, in the kernel too: others may be at work. */
static double bench_cpu_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* As the parent of the system daemon loads what its engine has made. */
static int bench_load_foreign(
	const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	static const struct config config = { .any_interface = true };
	static uint8_t bytes[1 << 20];
	int fds[PRIVILEGED_LOAD_FDS_MAX], r;
	unsigned int n_fds;

	r = privileged_load_foreign(&config, &bench_loads, bytes,
		kernel_code_flatten(code, bytes, sizeof(bytes)), fds, &n_fds, err);
	if (r == 0)
		*ret = (struct kernel_fds){
			.program = fds[0], .area = fds[1], .chain = fds[2], .turns = -1
		};
	return r;
}

static int bench_load(
	struct bench_case *c, enum kernel_hook hook, const struct filter_program *const filters[])
{
	struct kernel_options options = { .hook = hook,
		.is_separate = c->is_separate,
		.page_max = c->page_max,
		.is_distrusted = c->is_foreign && hook != KERNEL_SOCKET,
		.has_root = c->is_foreign && hook == KERNEL_TC };
	struct kernel_fds fds;
	struct error err = ERROR_INIT;
	struct kernel_code *code = NULL;
	struct kernel_stats stats;
	double start = bench_cpu_ms(), made;
	int r = kernel_code_new(&code, &options, filters, c->n_filters);

	made = bench_cpu_ms();
	if (r == 0)
		r = c->is_foreign ? bench_load_foreign(code, &fds, &err)
				  : kernel_code_load(code, &fds, &err);
	if (r == 0)
		r = kernel_program_new(&c->program, code, &fds, &err);
	if (r < 0) {
		printf("%s-%s: not loaded: %s\n", bench_hooks[hook], c->name, err.text);
		kernel_code_free(code);
		return r;
	}
	stats = kernel_code_stats(code);
	printf("%s-%s-make %.2f ms\n%s-%s-load %.2f ms\n%s-%s-insns %u in %u programs\n",
		bench_hooks[hook], c->name, made - start, bench_hooks[hook], c->name,
		bench_cpu_ms() - made, bench_hooks[hook], c->name, stats.n_insns, stats.n_pages);
	c->fd = kernel_program_fd(c->program);
	kernel_code_free(code);
	return 0;
}

static int bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double bench_median(struct bench_case *c, unsigned int rounds)
{
	qsort(c->ns, rounds, sizeof(*c->ns), bench_compare);
	return c->ns[rounds / 2];
}

static void bench_hook(enum kernel_hook hook, struct bpf_object *object,
	const struct filter_program *const filters[], const struct test_packet packets[],
	unsigned int n_packets)
{
	struct bench_case cases[] = {
		{ .name = "nothing" },
		{ .name = "empty" },
		{ .name = "by-hand",
			.by_hand = (const char *const[]){ "port80_socket", "port80_tc",
				"port80_xdp" }[hook] },
		{ .name = "1", .n_filters = 1 },
		{ .name = "100", .n_filters = 100 },
		{ .name = "1000", .n_filters = 1000 },
		{ .name = "separate-100",
			.n_filters = 100,
			.is_separate = true,
			.page_max = BENCH_PAGE_MAX },
		{ .name = "separate-1000",
			.n_filters = 1000,
			.is_separate = true,
			.page_max = BENCH_PAGE_MAX },
		{ .name = "chain-100",
			.n_filters = 100,
			.is_separate = true,
			.page_max = 100 / BENCH_CHAIN_MAX + 1 },
		{ .name = "foreign", .n_filters = 1, .is_foreign = true },
		{ .name = "root", .n_filters = 1, .is_foreign = true, .has_root = true },
	};
	const unsigned int rounds = bench_rounds();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cases[i].fd = -1;
		if (i == 0)
			cases[i].fd = test_run_nothing(hook);
		else if (cases[i].by_hand)
			cases[i].fd = bpf_program__fd(
				bpf_object__find_program_by_name(object, cases[i].by_hand));
		else if (hook != KERNEL_SOCKET || !cases[i].has_root)
			(void)bench_load(&cases[i], hook, filters);
	}
	for (unsigned int round = 0; round < rounds; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
			cases[i].ns[round] = bench_round(&cases[i], hook, packets, n_packets);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		double ns = bench_median(&cases[i], rounds);

		if (ns > 0)
			printf("%s-%s %.1f ns\n", bench_hooks[hook], cases[i].name, ns);
		kernel_program_free(cases[i].program);
	}
	(void)close(cases[0].fd);
}

int main(int argc, char **argv)
{
	static const struct filter_program *filters[BENCH_FILTERS_MAX];
	static struct test_packet packets[BENCH_PACKETS_MAX];
	struct bpf_object *object;
	unsigned int n;

	if (argc < 3) {
		(void)fprintf(stderr, "usage: %s PORT80.bpf.o FILE.pcap...\n", argv[0]);
		return 2;
	}
	(void)unshare(CLONE_NEWNET); /* nobody else is to meet the programs */
	object = bpf_object__open_file(argv[1], NULL);
	if (!object || bpf_object__load(object) < 0) {
		(void)fprintf(stderr, "%s: cannot be loaded; this needs root\n", argv[1]);
		return 1;
	}
	n = bench_packets(packets, argv + 2, (unsigned int)argc - 2);
	printf("packets %u of %d files\nrounds %u\n", n, argc - 2, bench_rounds());
	if (bench_filters(filters, BENCH_FILTERS_MAX) < 0)
		return 1;
	for (unsigned int hook = 0; hook < _KERNEL_HOOK_N; hook++)
		bench_hook(hook, object, filters, packets, n);
	privileged_loads_clear(&bench_loads);
	bpf_object__close(object);
	return 0;
}
