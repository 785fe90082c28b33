/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is loaded, and its counters: memory that the kernel writes and this process maps, a share
 * for each CPU. Reading is copying, without a system call.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel_private.h"
#include "mapi/errors.h"

#define PROGRAM_TRIES 8u

/*
 * struct kernel_program - see kernel.h
 * @slots:    of each program of kernel_code_new()
 * @snapshot: of each slot, of one CPU; working memory of kernel_program_read()
 */
struct kernel_program {
	struct kernel_fds fds; /* the area's is closed once it is mapped */
	uint8_t *area; /* read only, unless it @discards */
	size_t area_bytes;
	uint32_t stride_bytes;
	enum kernel_hook hook;
	bool discards;
	unsigned int n_cpus;
	unsigned int n_slots;
	unsigned int n_programs;
	uint32_t *slots;
	struct kernel_count *snapshot;
};

static int program_map(struct kernel_program *p, struct error *err)
{
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	void *area;

	p->area_bytes = (size_t)p->n_cpus * p->stride_bytes;
	p->area_bytes = (p->area_bytes + page_bytes - 1) & ~(page_bytes - 1);
	area = mmap(NULL, p->area_bytes, p->discards ? PROT_READ | PROT_WRITE : PROT_READ,
		MAP_SHARED, p->fds.area, 0);
	if (area == MAP_FAILED)
		return error_set(err, MFUNCT_NOT_SUPPORTED, "mapping the kernel's counters: %s",
			strerror(errno));
	p->area = area;
	cleanup_closep(&p->fds.area);
	p->fds.area = -1;
	return 0;
}

int kernel_program_new(struct kernel_program **ret, const struct kernel_code *code,
	const struct kernel_fds *fds, struct error *err)
{
	_cleanup_(kernel_program_freep) struct kernel_program *p = calloc(1, sizeof(*p));
	struct kernel_fds taken = *fds;
	int r;

	if (!p) {
		kernel_fds_close(&taken);
		return -ENOMEM;
	}
	*p = (struct kernel_program){ .fds = taken,
		.stride_bytes = code->stride_bytes,
		.hook = code->options.hook,
		.discards = code->options.discards,
		.n_cpus = code->options.n_cpus,
		.n_slots = code->n_slots,
		.n_programs = code->n_programs };
	p->slots = calloc(p->n_programs + 1, sizeof(*p->slots));
	p->snapshot = calloc(p->n_slots + 1, sizeof(*p->snapshot));
	if (!p->slots || !p->snapshot)
		return -ENOMEM;
	memcpy(p->slots, code->slots, p->n_programs * sizeof(*p->slots));
	r = program_map(p, err);
	if (r == 0)
		*ret = TAKE(p);
	return r;
}

int kernel_program_load(
	struct kernel_program **ret, const struct kernel_code *code, struct error *err)
{
	struct kernel_fds fds;
	int r = kernel_code_load(code, &fds, err);

	return r < 0 ? r : kernel_program_new(ret, code, &fds, err);
}

struct kernel_program *kernel_program_free(struct kernel_program *program)
{
	if (!program)
		return NULL;
	if (program->area)
		(void)munmap(program->area, program->area_bytes);
	kernel_fds_close(&program->fds);
	free(program->slots);
	free(program->snapshot);
	free(program);
	return NULL;
}

int kernel_program_fd(const struct kernel_program *program)
{
	return program->fds.program;
}

static struct kernel_area *program_area(const struct kernel_program *p, unsigned int cpu)
{
	return (void *)(p->area + (size_t)cpu * p->stride_bytes);
}

/* One CPU's counters. Return: false if a packet came in between. */
static bool program_copy(const struct kernel_program *p, const struct kernel_area *area)
{
	const struct kernel_slot *slots = (const void *)(area + 1);
	uint64_t before, after;

	/* The program steps the number before and after it counts, on x86 in the order of its
	 * stores. Elsewhere a reader may see a packet's counts of two filters apart. */
	before = __atomic_load_n(&area->seq, __ATOMIC_ACQUIRE);
	for (unsigned int i = 0; i < p->n_slots; i++) {
		struct kernel_count *to = &p->snapshot[i];

		to->pkts = __atomic_load_n(&slots[i].pkts, __ATOMIC_RELAXED);
		to->bytes = __atomic_load_n(&slots[i].bytes, __ATOMIC_RELAXED);
		to->units = p->hook == KERNEL_XDP
			? to->pkts
			: __atomic_load_n(&slots[i].units, __ATOMIC_RELAXED);
	}
	atomic_thread_fence(memory_order_acquire);
	after = __atomic_load_n(&area->seq, __ATOMIC_RELAXED);
	return before == after && before % 2 == 0;
}

void kernel_program_read(
	const struct kernel_program *program, struct kernel_count ret[], unsigned int n)
{
	memset(ret, 0, n * sizeof(*ret));
	n = MIN(n, program->n_programs);
	for (unsigned int cpu = 0; cpu < program->n_cpus; cpu++) {
		for (unsigned int tries = 0; tries < PROGRAM_TRIES; tries++) {
			if (program_copy(program, program_area(program, cpu)))
				break;
		}
		for (unsigned int i = 0; i < n; i++) {
			const struct kernel_count *from;

			if (program->slots[i] == UINT32_MAX)
				continue;
			from = &program->snapshot[program->slots[i]];
			ret[i].pkts += from->pkts;
			ret[i].bytes += from->bytes;
			ret[i].units += from->units;
		}
	}
}

uint64_t kernel_program_unparsed(const struct kernel_program *program)
{
	uint64_t n = 0;

	for (unsigned int cpu = 0; cpu < program->n_cpus; cpu++)
		n += __atomic_load_n(&program_area(program, cpu)->unparsed, __ATOMIC_RELAXED);
	return n;
}

void kernel_program_discard(struct kernel_program *program, bool discard)
{
	for (unsigned int cpu = 0; program->discards && cpu < program->n_cpus; cpu++)
		__atomic_store_n(&program_area(program, cpu)->discard, discard, __ATOMIC_SEQ_CST);
}

uint64_t kernel_program_cost_ns(const struct kernel_program *program)
{
	return program_area(program, 0)->cost_ns;
}
