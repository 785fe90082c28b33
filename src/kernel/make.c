/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From filters to a loaded program: where the verifier finds pages too large, they are made again,
 * and smaller.
 */
#include <errno.h>

#include "kernel_private.h"

static int make_load_here(
	void *argument, const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	(void)argument;
	return kernel_code_load(code, ret, err);
}

/* More pages, if there can be. Each try has fewer slots on a page than the one before. */
static bool make_smaller(struct kernel_options *options, const struct kernel_code *code)
{
	uint32_t n_pages = MIN(2 * code->n_pages, KERNEL_PAGES_MAX);
	uint32_t most = kernel_pages(code->n_slots, code->n_pages);
	uint32_t page_max = MIN(kernel_pages(code->n_slots, n_pages), most - 1);

	if (most < 2 || kernel_pages(code->n_slots, page_max) > KERNEL_PAGES_MAX)
		return false;
	options->page_max = page_max;
	return true;
}

int kernel_program_make(struct kernel_program **ret, struct kernel_code **ret_code,
	const struct kernel_options *options, const struct filter_program *const programs[],
	unsigned int n_programs, kernel_load_fn *load, void *argument, struct error *err)
{
	struct kernel_options now = *options;
	struct kernel_code *code;
	struct kernel_fds fds;
	int r;

	for (;;) {
		r = kernel_code_new(&code, &now, programs, n_programs);
		if (r < 0)
			return r;
		r = (load ? load : make_load_here)(argument, code, &fds, err);
		if (r != -E2BIG || !make_smaller(&now, code))
			break;
		kernel_code_free(code);
		if (err)
			*err = ERROR_INIT;
	}
	if (r == 0)
		r = kernel_program_new(ret, code, &fds, err);
	if (r == 0 && ret_code)
		*ret_code = code;
	else
		kernel_code_free(code);
	return r;
}
