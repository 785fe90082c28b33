/* SPDX-License-Identifier: BSD-2-Clause */
/* The second function of a page (part.c) is as it is made here, and led to by calls alone. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_private.h"

static struct bpf_insn *part;
static uint32_t n_part;

static struct kernel_code *make(enum kernel_hook hook)
{
	const struct kernel_options options = { .hook = hook, .n_cpus = 2 };
	struct filter_program *program;
	struct kernel_code *code;
	struct error err = ERROR_INIT;

	assert_int_equal(filter_program_flow(&program, 100), 0);
	assert_int_equal(
		kernel_code_new(&code, &options, (const struct filter_program *const *)&program, 1),
		0);
	filter_program_free(program);
	assert_int_equal(code->n_pages, 1);
	if (kernel_code_check(code, &err) < 0)
		fail_msg("%s", err.text);
	return code;
}

/* Where the function begins. */
static uint32_t find_part(const struct kernel_page *page)
{
	uint32_t at = 0;

	while (memcmp(&page->insns[at], part, n_part * sizeof(*part)) != 0) {
		at++;
		assert_true(at + n_part <= page->n_insns);
	}
	return at;
}

static void expect_refused(struct kernel_code *code, uint32_t at, struct bpf_insn insn)
{
	struct bpf_insn *insns = code->pages[0].insns, before = insns[at];
	struct error err = ERROR_INIT;

	insns[at] = insn;
	if (kernel_code_check(code, &err) != -EINVAL)
		fail_msg("instruction %u", at);
	insns[at] = before;
	assert_int_equal(kernel_code_check(code, &err), 0);
}

static void other_functions_are_refused(void **state)
{
	(void)state;
	for (unsigned int hook = 0; hook < _KERNEL_HOOK_N; hook++) {
		struct kernel_code *code = make(hook);
		uint32_t begin = find_part(&code->pages[0]);

		for (uint32_t i = 0; i < n_part; i++) {
			struct bpf_insn insn = part[i];

			insn.imm ^= 1;
			expect_refused(code, begin + i, insn);
			insn = part[i];
			insn.off ^= 1;
			expect_refused(code, begin + i, insn);
		}
		kernel_code_free(code);
	}
}

static bool is_call_of(const struct kernel_page *page, uint32_t at, uint32_t function)
{
	const struct bpf_insn *insn = &page->insns[at];

	return insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL &&
		at + 1 + (uint32_t)insn->imm == function;
}

/* Nothing jumps or falls into it, and its argument is the area. */
static void only_calls_lead_there(void **state)
{
	struct kernel_code *code = make(KERNEL_SOCKET);
	struct kernel_page *page = &code->pages[0];
	uint32_t begin = find_part(page), call = 0;

	(void)state;
	while (!is_call_of(page, call, begin))
		call++;
	expect_refused(code, call, INSN(BPF_JMP32 | BPF_JA, 0, 0, 0, (int32_t)(begin - call - 1)));
	expect_refused(code, begin - 1, MOV_IMM(BPF_REG_0, 0));
	assert_int_equal(page->insns[call - 1].dst_reg, BPF_REG_3);
	expect_refused(code, call - 1, MOV_IMM(BPF_REG_3, 0));
	expect_refused(code, call - 1, MOV_REG(BPF_REG_3, REG_CTX));
	expect_refused(code, call,
		INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, page->insns[call].imm + 1));
	kernel_code_free(code);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_functions_are_refused),
		cmocka_unit_test(only_calls_lead_there),
	};
	int r = kernel_part_insns(&part);

	assert_true(r > 0);
	n_part = (uint32_t)r;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	free(part);
	return r;
}
