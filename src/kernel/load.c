/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages into the kernel.
 *
 * Uses the kernel's interface directly (libbpf's low level), without type information: what is
 * loaded was made here and needs no relocation but the descriptors of its maps. A page is
 * loaded without a log, and again with one only if the verifier refuses it. The counters are one
 * array element, so that they can be mapped (program.c).
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/release.h"
#include "kernel_private.h"
#include "mapi/errors.h"

#define LOAD_LOG_BYTES (1u << 20)
/* A socket takes a program of net.core.optmem_max bytes at most, 20,480 where nobody has changed
 * it: with what the verifier adds. */
#define LOAD_SOCKET_INSNS_MAX 1000u
#define LOAD_LONG_JUMPS_RELEASE 6006u

enum bpf_prog_type kernel_load_type(enum kernel_hook hook)
{
	static const enum bpf_prog_type types[_KERNEL_HOOK_N] = {
		[KERNEL_SOCKET] = BPF_PROG_TYPE_SOCKET_FILTER,
		[KERNEL_TC] = BPF_PROG_TYPE_SCHED_CLS,
		[KERNEL_XDP] = BPF_PROG_TYPE_XDP,
	};

	return types[hook];
}

int kernel_load_fail(struct error *err, const char *what, int error)
{
	(void)error_set(err, error == EPERM ? MAPI_NO_PERMISSION : MFUNCT_NOT_SUPPORTED, "%s: %s%s",
		what, strerror(error),
		error == EPERM ? "; it takes root, or CAP_BPF, and on interfaces CAP_NET_ADMIN and "
				 "CAP_PERFMON"
			       : "");
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

/* What the verifier has against a page. @error: with which it was refused; ENOMEM may mean that
 * it is too large. */
static int load_refused(struct error *err, const struct kernel_code *code,
	const struct bpf_insn *insns, uint32_t n_insns, struct bpf_prog_load_opts *opts, int error)
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
	fd = bpf_prog_load(kernel_load_type(code->options.hook), "mapi_count", LOAD_LICENSE, insns,
		n_insns, opts);
	if (fd >= 0)
		(void)close(fd);
	log[LOAD_LOG_BYTES - 1] = '\0';
	verdict = load_verdict(log);
	/* The last: jumps that what the verifier adds would make too long. */
	is_large = strstr(log, "too large") || strstr(log, "too complex") ||
		strstr(log, "cannot be patched");
	if (error == ENOMEM && !is_large)
		return kernel_load_fail(err, "loading a program into the kernel", ENOMEM);
	(void)error_set(err, MFUNCT_NOT_SUPPORTED, "the kernel's verifier refuses the filters: %s",
		verdict[0] ? verdict : "it does not say why");
	return is_large ? -E2BIG : -EINVAL;
}

/* The map whose address comes into a register. */
static int load_memory(uint8_t reg, const struct kernel_memory *memory)
{
	return reg == REG_AREA     ? memory->area_fd
		: reg == REG_SUPER ? memory->super_fd
				   : memory->turns_fd;
}

/* Return: the descriptor, or a negative errno. */
static int load_page(const struct kernel_code *code, const struct kernel_page *page,
	const struct kernel_fds *fds, const struct kernel_memory *memory, struct error *err)
{
	_cleanup_(cleanup_freep) struct bpf_insn *insns = NULL;
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		.prog_flags = code->options.has_frags ? LOAD_F_XDP_HAS_FRAGS : 0);
	int fd;

	insns = malloc(page->n_insns * sizeof(*insns));
	if (!insns)
		return -ENOMEM;
	memcpy(insns, page->insns, page->n_insns * sizeof(*insns));
	for (uint32_t at = 0; at < page->n_insns; at++) {
		if (insns[at].code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		if (insns[at].src_reg == BPF_PSEUDO_MAP_FD)
			insns[at].imm = fds->chain;
		else if (insns[at].src_reg == BPF_PSEUDO_MAP_VALUE)
			insns[at].imm = load_memory(insns[at].dst_reg, memory);
		at++;
	}
	fd = bpf_prog_load(kernel_load_type(code->options.hook), "mapi_count", LOAD_LICENSE, insns,
		page->n_insns, &opts);
	if (fd >= 0)
		return fd;
	if (errno == EPERM)
		return kernel_load_fail(err, "loading a program into the kernel", EPERM);
	if (errno == E2BIG) { /* and it takes seconds to find out */
		(void)error_set(err, MFUNCT_NOT_SUPPORTED,
			"the filters are too much for the kernel's verifier");
		return -E2BIG;
	}
	return load_refused(err, code, insns, page->n_insns, &opts, errno);
}

/* Whether the first page is too large to be attached: then a program of a few instructions is,
 * which calls it. */
static bool load_needs_head(const struct kernel_code *code)
{
	return code->options.hook == KERNEL_SOCKET &&
		code->pages[0].n_insns > LOAD_SOCKET_INSNS_MAX;
}

/* Return: the descriptor of that program, or a negative errno. */
static int load_head(const struct kernel_fds *fds, struct error *err)
{
	const struct bpf_insn insns[] = {
		INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_2, BPF_PSEUDO_MAP_FD, 0, fds->chain),
		INSN(0, 0, 0, 0, 0),
		MOV_IMM(BPF_REG_3, 0),
		CALL(BPF_FUNC_tail_call),
		MOV_IMM(BPF_REG_0, 0),
		EXIT(),
	};
	int fd = bpf_prog_load(kernel_load_type(KERNEL_SOCKET), "mapi_head", LOAD_LICENSE, insns,
		ARRAY_SIZE(insns), NULL);

	return fd >= 0 ? fd : kernel_load_fail(err, "loading a program into the kernel", errno);
}

/* Without CAP_PERFMON, pointers stay within the map: also that to the last CPU's share, which is
 * AREA_BIAS ahead. */
size_t kernel_code_area_bytes(const struct kernel_code *code)
{
	return (size_t)code->options.n_cpus * code->stride_bytes + AREA_BIAS;
}

int kernel_area_new(size_t area_bytes, struct error *err)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(
		BPF_MAP_TYPE_ARRAY, "mapi_area", sizeof(uint32_t), (uint32_t)area_bytes, 1, &opts);

	return fd < 0 ? kernel_load_fail(err, "making counters in the kernel", errno) : fd;
}

static int load_chain(const struct kernel_code *code, struct kernel_fds *fds, struct error *err)
{
	if (code->n_pages < 2 && !load_needs_head(code))
		return 0;
	fds->chain = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "mapi_chain", sizeof(uint32_t),
		sizeof(uint32_t), code->n_pages, NULL);
	return fds->chain < 0 ? kernel_load_fail(err, "making a chain of programs", errno) : 0;
}

/* The array holds the pages behind the one that is attached. */
static int load_pages(const struct kernel_code *code, const struct kernel_memory *memory,
	uint64_t until_ns, struct kernel_fds *fds, struct error *err)
{
	for (unsigned int i = 0; i < code->n_pages; i++) {
		int fd, r;

		if (clock_monotonic_ns() >= until_ns) {
			(void)error_set(err, MFUNCT_NOT_SUPPORTED,
				"the kernel's verifier takes too long for the filters");
			return -ETIME;
		}
		fd = load_page(code, &code->pages[i], fds, memory, err);
		if (fd < 0)
			return fd;
		if (i == 0 && !load_needs_head(code)) {
			fds->program = fd;
			continue;
		}
		r = bpf_map_update_elem(fds->chain, &i, &fd, 0) < 0 ? errno : 0;
		(void)close(fd);
		if (r)
			return kernel_load_fail(err, "chaining programs", r);
	}
	if (fds->program < 0)
		fds->program = load_head(fds, err);
	return MIN(fds->program, 0);
}

int kernel_load_fresh(const struct kernel_code *code, int turns_fd, int super_fd,
	struct kernel_fds *ret, struct error *err)
{
	struct kernel_memory memory = { .area_bytes = kernel_code_area_bytes(code),
		.turns_fd = turns_fd,
		.super_fd = super_fd };
	int r;

	memory.area_fd = kernel_area_new(memory.area_bytes, err);
	if (memory.area_fd < 0)
		return memory.area_fd;
	r = kernel_code_load_into(code, UINT64_MAX, &memory, ret, err);
	(void)close(memory.area_fd);
	return r;
}

int kernel_code_load(const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	return kernel_load_fresh(code, -1, -1, ret, err);
}

int kernel_code_load_into(const struct kernel_code *code, uint64_t until_ns,
	const struct kernel_memory *memory, struct kernel_fds *ret, struct error *err)
{
	struct kernel_fds fds = KERNEL_FDS_INIT;
	int r = 0;

	if ((code->samples && memory->turns_fd < 0) ||
		(code->options.has_root && memory->super_fd < 0))
		return error_set(err, MFUNCT_NOT_SUPPORTED,
			"there is no memory for samples, or for super-packets");
	fds.area = fcntl(memory->area_fd, F_DUPFD_CLOEXEC, 0);
	if (fds.area < 0)
		r = kernel_load_fail(err, "making counters in the kernel", errno);
	if (r == 0)
		r = load_chain(code, &fds, err);
	if (r == 0)
		r = load_pages(code, memory, until_ns, &fds, err);
	/* The numbers that a run takes would be missing: others are using them. */
	if (r == 0)
		r = kernel_measure(&fds, memory->area_bytes, !code->samples);
	if (r < 0)
		kernel_fds_close(&fds);
	else
		*ret = fds;
	return r;
}

void kernel_fds_close(struct kernel_fds *fds)
{
	cleanup_closep(&fds->program);
	cleanup_closep(&fds->area);
	cleanup_closep(&fds->chain);
	cleanup_closep(&fds->turns);
	*fds = KERNEL_FDS_INIT;
}

bool kernel_has_long_jumps(void)
{
	return release_reaches(LOAD_LONG_JUMPS_RELEASE);
}
