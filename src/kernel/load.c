/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages into the kernel, and counters out of it.
 *
 * Uses the kernel's interface directly (libbpf's low level), without type information: what is
 * loaded was made here and needs no relocation but the descriptors of its two maps. A page is
 * loaded without a log, and again with one only if the verifier refuses it. The counters are one
 * array element that is mapped, so that reading them costs no system call.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel_private.h"
#include "mapi/errors.h"

#define LOAD_LOG_BYTES (1u << 20)
#define LOAD_LICENSE "Dual BSD/GPL"
#define LOAD_TRIES 100u
#define LOAD_F_XDP_HAS_FRAGS (1u << 5) /* BPF_F_XDP_HAS_FRAGS, Linux 5.18 */

struct kernel_program {
	int fds[KERNEL_PAGES_MAX];
	unsigned int n_pages;
	int area_fd;
	int chain_fd;
	const uint8_t *area;
	size_t area_bytes;
	uint32_t stride_bytes;
	unsigned int n_cpus;
	unsigned int n_slots;
	uint32_t *slots; /* of each program */
	unsigned int n_programs;
};

static enum bpf_prog_type load_type(enum kernel_hook hook)
{
	static const enum bpf_prog_type types[_KERNEL_HOOK_N] = {
		[KERNEL_SOCKET] = BPF_PROG_TYPE_SOCKET_FILTER,
		[KERNEL_TC] = BPF_PROG_TYPE_SCHED_CLS,
		[KERNEL_XDP] = BPF_PROG_TYPE_XDP,
	};

	return types[hook];
}

static int load_fail(struct error *err, const char *what, int error)
{
	(void)error_set(err, error == EPERM ? MAPI_NO_PERMISSION : MFUNCT_NOT_SUPPORTED, "%s: %s%s",
		what, strerror(error),
		error == EPERM ? "; it takes root, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON" : "");
	return error == ENOMEM ? -ENOMEM : error == EPERM ? -EPERM : -EINVAL;
}

/* Cuts the log to what the verifier says last, before its statistics. */
static const char *load_verdict(char *log)
{
	char *end = log + strlen(log), *line;

	for (;;) {
		while (end > log && end[-1] == '\n')
			*--end = '\0';
		line = strrchr(log, '\n');
		line = line ? line + 1 : log;
		if (line == log || strncmp(line, "processed ", 10) != 0)
			return line;
		end = line;
	}
}

/* What the verifier has against a page. */
static int load_refused(struct error *err, const struct kernel_code *code,
	const struct bpf_insn *insns, uint32_t n_insns, struct bpf_prog_load_opts *opts)
{
	_cleanup_(cleanup_freep) char *log = calloc(1, LOAD_LOG_BYTES);
	const char *verdict;
	bool is_large;
	int fd;

	if (!log)
		return -ENOMEM;
	opts->log_buf = log;
	opts->log_size = LOAD_LOG_BYTES;
	opts->log_level = 1;
	fd = bpf_prog_load(
		load_type(code->options.hook), "mapi_count", LOAD_LICENSE, insns, n_insns, opts);
	if (fd >= 0)
		(void)close(fd);
	log[LOAD_LOG_BYTES - 1] = '\0';
	verdict = load_verdict(log);
	is_large = strstr(log, "too large") || strstr(log, "too complex");
	(void)error_set(err, MFUNCT_NOT_SUPPORTED, "the kernel's verifier refuses the filters: %s",
		verdict[0] ? verdict : "it does not say why");
	return is_large ? -E2BIG : -EINVAL;
}

static int load_page(
	struct kernel_program *p, const struct kernel_code *code, unsigned int i, struct error *err)
{
	const struct kernel_page *page = &code->pages[i];
	_cleanup_(cleanup_freep) struct bpf_insn *insns = NULL;
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		.prog_flags = code->options.has_frags ? LOAD_F_XDP_HAS_FRAGS : 0);

	insns = malloc(page->n_insns * sizeof(*insns));
	if (!insns)
		return -ENOMEM;
	memcpy(insns, page->insns, page->n_insns * sizeof(*insns));
	for (uint32_t at = 0; at < page->n_insns; at++) {
		if (insns[at].code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		insns[at].imm =
			insns[at].src_reg == BPF_PSEUDO_MAP_VALUE ? p->area_fd : p->chain_fd;
		at++;
	}
	p->fds[i] = bpf_prog_load(load_type(code->options.hook), "mapi_count", LOAD_LICENSE, insns,
		page->n_insns, &opts);
	if (p->fds[i] >= 0)
		return 0;
	if (errno == EPERM || errno == ENOMEM)
		return load_fail(err, "loading a program into the kernel", errno);
	return load_refused(err, code, insns, page->n_insns, &opts);
}

static int load_maps(struct kernel_program *p, const struct kernel_code *code, struct error *err)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	void *area;

	p->area_bytes = (size_t)p->n_cpus * p->stride_bytes;
	p->area_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "mapi_area", sizeof(uint32_t),
		(uint32_t)p->area_bytes, 1, &opts);
	if (p->area_fd < 0)
		return load_fail(err, "making counters in the kernel", errno);
	p->area_bytes = (p->area_bytes + page_bytes - 1) & ~(page_bytes - 1);
	area = mmap(NULL, p->area_bytes, PROT_READ, MAP_SHARED, p->area_fd, 0);
	if (area == MAP_FAILED)
		return load_fail(err, "mapping the kernel's counters", errno);
	p->area = area;
	if (code->n_pages < 2)
		return 0;
	p->chain_fd = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "mapi_chain", sizeof(uint32_t),
		sizeof(uint32_t), code->n_pages, NULL);
	return p->chain_fd < 0 ? load_fail(err, "making a chain of programs", errno) : 0;
}

static int load_all(struct kernel_program *p, const struct kernel_code *code, struct error *err)
{
	int r = load_maps(p, code, err);

	if (r < 0)
		return r;
	for (unsigned int i = 0; i < code->n_pages; i++) {
		r = load_page(p, code, i, err);
		if (r < 0)
			return r;
		p->n_pages = i + 1;
		if (i > 0 && bpf_map_update_elem(p->chain_fd, &i, &p->fds[i], 0) < 0)
			return load_fail(err, "chaining programs", errno);
	}
	return 0;
}

int kernel_program_load(
	struct kernel_program **ret, const struct kernel_code *code, struct error *err)
{
	_cleanup_(kernel_program_freep) struct kernel_program *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->area_fd = p->chain_fd = -1;
	p->stride_bytes = code->stride_bytes;
	p->n_cpus = code->options.n_cpus;
	p->n_programs = code->n_programs;
	p->n_slots = code->n_slots;
	p->slots = calloc(p->n_programs + 1, sizeof(*p->slots));
	if (!p->slots)
		return -ENOMEM;
	memcpy(p->slots, code->slots, p->n_programs * sizeof(*p->slots));
	r = load_all(p, code, err);
	if (r == 0)
		*ret = TAKE(p);
	return r;
}

struct kernel_program *kernel_program_free(struct kernel_program *program)
{
	if (!program)
		return NULL;
	for (unsigned int i = 0; i < program->n_pages; i++)
		(void)close(program->fds[i]);
	if (program->area)
		(void)munmap((void *)(uintptr_t)program->area, program->area_bytes);
	if (program->area_fd >= 0)
		(void)close(program->area_fd);
	if (program->chain_fd >= 0)
		(void)close(program->chain_fd);
	free(program->slots);
	free(program);
	return NULL;
}

int kernel_program_fd(const struct kernel_program *program)
{
	return program->fds[0];
}

static const struct kernel_area *load_area(const struct kernel_program *p, unsigned int cpu)
{
	return (const void *)(p->area + (size_t)cpu * p->stride_bytes);
}

/* One CPU's counters. Return: false if a packet came in between. */
static bool load_copy(
	const struct kernel_program *p, const struct kernel_area *area, struct kernel_count ret[])
{
	const struct kernel_slot *slots = (const void *)(area + 1);
	uint64_t before, after;

	/* The program steps the number before and after it counts, on x86 in the order of its
	 * stores. Elsewhere a reader may see a packet's counts of two filters apart. */
	before = __atomic_load_n(&area->seq, __ATOMIC_ACQUIRE);
	for (unsigned int i = 0; i < p->n_slots; i++) {
		ret[i].pkts = __atomic_load_n(&slots[i].pkts, __ATOMIC_RELAXED);
		ret[i].bytes = __atomic_load_n(&slots[i].bytes, __ATOMIC_RELAXED);
	}
	atomic_thread_fence(memory_order_acquire);
	after = __atomic_load_n(&area->seq, __ATOMIC_RELAXED);
	return before == after && before % 2 == 0;
}

int kernel_program_read(
	const struct kernel_program *program, struct kernel_count ret[], unsigned int n)
{
	_cleanup_(cleanup_freep) struct kernel_count *slots =
		calloc(program->n_slots + 1, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	memset(ret, 0, n * sizeof(*ret));
	n = MIN(n, program->n_programs);
	for (unsigned int cpu = 0; cpu < program->n_cpus; cpu++) {
		for (unsigned int tries = 0; tries < LOAD_TRIES; tries++) {
			if (load_copy(program, load_area(program, cpu), slots))
				break;
		}
		for (unsigned int i = 0; i < n; i++) {
			if (program->slots[i] == UINT32_MAX)
				continue;
			ret[i].pkts += slots[program->slots[i]].pkts;
			ret[i].bytes += slots[program->slots[i]].bytes;
		}
	}
	return 0;
}

uint64_t kernel_program_unparsed(const struct kernel_program *program)
{
	uint64_t n = 0;

	for (unsigned int cpu = 0; cpu < program->n_cpus; cpu++)
		n += __atomic_load_n(&load_area(program, cpu)->unparsed, __ATOMIC_RELAXED);
	return n;
}

bool kernel_has_long_jumps(void)
{
	static const struct bpf_insn insns[] = {
		MOV_IMM(BPF_REG_0, 0),
		INSN(BPF_JMP32 | BPF_JA, 0, 0, 0, 0),
		EXIT(),
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "mapi_probe", LOAD_LICENSE, insns,
		ARRAY_SIZE(insns), NULL);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}
