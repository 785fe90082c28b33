/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code as bytes, from a process without the right to load it to one that has it. The reader
 * believes the writer nothing: numbers are bounded before memory is asked for, and whether the
 * instructions are such as we make is for kernel_code_check() to say.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_private.h"

/* What loading needs; followed by the instructions of all pages. Of this machine's byte order. */
struct flat_head {
	uint32_t hook;
	uint32_t has_frags;
	uint32_t n_cpus;
	uint32_t n_slots;
	uint32_t stride_bytes;
	uint32_t samples;
	uint32_t has_root;
	uint32_t discards;
	uint32_t n_pages;
	uint32_t n_insns[KERNEL_PAGES_MAX];
};

size_t kernel_code_flatten(const struct kernel_code *code, void *bytes, size_t room_bytes)
{
	struct flat_head head = { .hook = code->options.hook,
		.has_frags = code->options.has_frags,
		.discards = code->options.discards,
		.has_root = code->options.has_root,
		.samples = code->samples,
		.n_cpus = code->options.n_cpus,
		.n_slots = code->n_slots,
		.stride_bytes = code->stride_bytes,
		.n_pages = code->n_pages };
	size_t n_bytes = sizeof(head);
	uint8_t *at = bytes;

	for (unsigned int i = 0; i < code->n_pages; i++) {
		head.n_insns[i] = code->pages[i].n_insns;
		n_bytes += code->pages[i].n_insns * sizeof(struct bpf_insn);
	}
	if (n_bytes > room_bytes)
		return n_bytes;
	memcpy(at, &head, sizeof(head));
	at += sizeof(head);
	for (unsigned int i = 0; i < code->n_pages; i++) {
		size_t page_bytes = code->pages[i].n_insns * sizeof(struct bpf_insn);

		memcpy(at, code->pages[i].insns, page_bytes);
		at += page_bytes;
	}
	return n_bytes;
}

/* Is it the head of something that we make, in @n_bytes with its instructions? */
static bool flat_is_right(const struct flat_head *head, size_t n_bytes)
{
	size_t wanted_bytes = sizeof(*head);

	if (head->hook >= _KERNEL_HOOK_N || head->has_frags > 1 || head->has_root > 1 ||
		head->discards > 1 || head->samples > 1 ||
		(head->has_frags && head->hook != KERNEL_XDP) ||
		(head->discards && !head->has_frags) || (head->has_root && head->hook != KERNEL_TC))
		return false;
	if (head->n_cpus < 1 || head->n_cpus > kernel_n_cpus() ||
		head->n_slots > KERNEL_AREA_BYTES_MAX ||
		head->stride_bytes != kernel_stride_bytes(head->n_slots) ||
		(uint64_t)head->n_cpus * head->stride_bytes > KERNEL_AREA_BYTES_MAX)
		return false;
	if (head->n_pages < 1 || head->n_pages > KERNEL_PAGES_MAX)
		return false;
	for (unsigned int i = 0; i < KERNEL_PAGES_MAX; i++) {
		uint32_t n = head->n_insns[i];

		if (n > ASM_INSNS_MAX || (n > 0) != (i < head->n_pages))
			return false;
		wanted_bytes += n * sizeof(struct bpf_insn);
	}
	return wanted_bytes == n_bytes;
}

static int flat_read_pages(
	struct kernel_code *code, const struct flat_head *head, const uint8_t *at)
{
	for (unsigned int i = 0; i < head->n_pages; i++) {
		struct kernel_page *page = &code->pages[i];
		size_t page_bytes = head->n_insns[i] * sizeof(*page->insns);

		page->insns = malloc(page_bytes);
		if (!page->insns)
			return -ENOMEM;
		memcpy(page->insns, at, page_bytes);
		page->n_insns = head->n_insns[i];
		code->n_pages = i + 1;
		at += page_bytes;
	}
	return 0;
}

int kernel_code_unflatten(struct kernel_code **ret, const void *bytes, size_t n_bytes)
{
	_cleanup_(kernel_code_freep) struct kernel_code *code = NULL;
	struct flat_head head;
	int r;

	if (n_bytes < sizeof(head))
		return -EBADMSG;
	memcpy(&head, bytes, sizeof(head));
	if (!flat_is_right(&head, n_bytes))
		return -EBADMSG;
	code = calloc(1, sizeof(*code));
	if (!code)
		return -ENOMEM;
	code->options = (struct kernel_options){ .hook = head.hook,
		.n_cpus = head.n_cpus,
		.has_frags = head.has_frags,
		.discards = head.discards,
		.has_root = head.has_root };
	code->samples = head.samples;
	code->n_slots = head.n_slots;
	code->stride_bytes = head.stride_bytes;
	code->pages = calloc(KERNEL_PAGES_MAX, sizeof(*code->pages));
	if (!code->pages)
		return -ENOMEM;
	r = flat_read_pages(code, &head, (const uint8_t *)bytes + sizeof(head));
	if (r == 0)
		*ret = TAKE(code);
	return r;
}
