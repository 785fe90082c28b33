/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code from a process that may have been conquered: what is not such as we make is refused before a
 * kernel sees it; options that leave filters out. Needs no rights.
 */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_private.h"
#include "test_filters.h"

static struct kernel_code *make(const struct kernel_options *options)
{
	return test_filters_code(&test_ports, options);
}

/* Three pages of a socket filter for two CPUs. */
static const struct kernel_options usual = { .hook = KERNEL_SOCKET, .n_cpus = 2, .page_max = 4 };

/* The first instruction of that code at or behind @from. */
static uint32_t find(const struct kernel_page *page, uint32_t from, uint8_t code, int32_t imm)
{
	while (from < page->n_insns &&
		(page->insns[from].code != code || page->insns[from].imm != imm))
		from++;
	assert_true(from < page->n_insns);
	return from;
}

static void expect_refused(struct kernel_code *code, uint32_t at, struct bpf_insn insn)
{
	struct bpf_insn *place = &code->pages[0].insns[at], old = *place;
	struct error err = ERROR_INIT;

	assert_int_equal(kernel_code_check(code, &err), 0);
	*place = insn;
	assert_int_equal(kernel_code_check(code, &err), -EINVAL);
	assert_true(err.text[0]);
	*place = old;
}

/* One instruction of a good program becomes one that we never make. */
static void other_instructions_are_refused(void **state)
{
	struct kernel_code *code = make(&usual);
	const struct kernel_page *page = &code->pages[0];
	uint32_t cpu = find(page, 0, BPF_JMP | BPF_CALL, BPF_FUNC_get_smp_processor_id);
	uint32_t area = find(page, 0, BPF_LD | BPF_IMM | BPF_DW, 0);
	uint32_t chain = find(page, area + 2, BPF_LD | BPF_IMM | BPF_DW, 0);
	uint32_t step = area + 4;
	const struct bpf_insn step_load = page->insns[step], step_store = page->insns[step + 2];

	(void)state;
	assert_int_equal(step_load.code, BPF_LDX | BPF_MEM | BPF_DW);
	assert_int_equal(step_store.code, BPF_STX | BPF_MEM | BPF_DW);
	/* helpers that read and write anywhere, other functions of the kernel, other hooks' */
	expect_refused(code, cpu, CALL(BPF_FUNC_probe_read_kernel));
	expect_refused(code, cpu, CALL(BPF_FUNC_map_update_elem));
	expect_refused(code, cpu, CALL(BPF_FUNC_tail_call));
	expect_refused(code, cpu, CALL(BPF_FUNC_xdp_load_bytes));
	expect_refused(code, cpu, CALL(BPF_FUNC_xdp_get_buff_len));
	expect_refused(code, cpu, CALL(0));
	expect_refused(code, cpu, INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, 8));
	expect_refused(code, cpu, INSN(BPF_JMP | BPF_CALL, 0, 0, 1, 8));
	expect_refused(code, cpu, INSN(BPF_JMP32 | BPF_CALL, 0, 0, 0, 8));
	/* other kinds of maps, other places in them */
	for (uint8_t kind = 0; kind < 8; kind++) {
		if (kind != BPF_PSEUDO_MAP_VALUE)
			expect_refused(
				code, area, INSN(BPF_LD | BPF_IMM | BPF_DW, REG_AREA, kind, 0, 0));
		if (kind != BPF_PSEUDO_MAP_FD)
			expect_refused(code, chain,
				INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_2, kind, 0, 0));
	}
	expect_refused(
		code, area, INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_VALUE, 0, 0));
	expect_refused(code, area + 1, INSN(0, 0, 0, 0, 64));
	expect_refused(code, chain + 1, INSN(0, 0, 0, 0, 64));
	/* not to the next page */
	expect_refused(code, chain + 2, MOV_IMM(BPF_REG_3, 0));
	expect_refused(code, chain + 2, MOV_IMM(BPF_REG_3, 2));
	expect_refused(code, chain + 2, MOV_REG(BPF_REG_3, BPF_REG_2));
	expect_refused(code, chain + 3, CALL(BPF_FUNC_get_smp_processor_id));
	/* loads and stores of other kinds and places */
	expect_refused(code, step, INSN(BPF_LDX | 0x80 | BPF_DW, 1, REG_AREA, step_load.off, 0));
	expect_refused(code, step, INSN(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, 0));
	expect_refused(code, step, LOAD(BPF_DW, BPF_REG_1, BPF_REG_10, -8));
	expect_refused(code, step, LOAD(BPF_DW, BPF_REG_10, REG_AREA, step_load.off));
	expect_refused(code, step, LOAD(BPF_DW, BPF_REG_1, REG_AREA, INT16_MAX));
	expect_refused(code, step + 2,
		INSN(BPF_STX | 0xc0 | BPF_DW, REG_AREA, 1, step_store.off, BPF_ADD));
	expect_refused(code, step + 2, STORE(BPF_DW, REG_CTX, BPF_REG_1, 48));
	expect_refused(code, step + 2, STORE(BPF_DW, BPF_REG_10, BPF_REG_1, -8));
	/* operations and jumps */
	expect_refused(code, step + 1, INSN(BPF_ALU64 | BPF_DIV | BPF_K, 1, 0, 1, 3));
	expect_refused(code, step + 1, INSN(BPF_ALU64 | BPF_DIV | BPF_K, 1, 0, 0, 0));
	expect_refused(code, step + 1, INSN(BPF_ALU64 | BPF_NEG, 1, 0, 0, 0));
	expect_refused(code, step + 1, INSN(BPF_ALU64 | BPF_END, 1, 0, 0, 16));
	expect_refused(code, step + 1, ALU_REG(BPF_ADD, BPF_REG_1, BPF_REG_4));
	expect_refused(code, step + 1, INSN(BPF_JMP | BPF_JSGT | BPF_K, 1, 0, 1, 0));
	expect_refused(code, step + 1, INSN(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1, 0));
	expect_refused(code, step + 1, INSN(BPF_JMP | 0xe0, 0, 0, 1, 0));
	expect_refused(code, step + 1, INSN(BPF_JMP | BPF_JA, 0, 0, -2, 0));
	expect_refused(code, step + 1, INSN(BPF_JMP | BPF_JA, 0, 0, INT16_MAX, 0));
	expect_refused(code, step + 1, INSN(BPF_JMP | BPF_JA, 0, 0, 1, 0));
	expect_refused(code, step + 1, INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
	expect_refused(code, page->n_insns - 1, MOV_IMM(BPF_REG_0, 0));
	/* into the middle of an instruction; into the call of the next page */
	expect_refused(code, step + 1,
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, (int16_t)(chain + 1 - step - 2), 0));
	expect_refused(code, step + 1,
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, (int16_t)(chain + 2 - step - 2), 0));
	kernel_code_free(code);
}

/* Where the page's function is called first, and where it begins. */
static uint32_t find_function_call(const struct kernel_page *page)
{
	uint32_t call = 0;

	while (page->insns[call].code != (BPF_JMP | BPF_CALL) ||
		page->insns[call].src_reg != BPF_PSEUDO_CALL)
		call++;
	return call;
}

static uint32_t find_function(const struct kernel_page *page)
{
	uint32_t call = find_function_call(page);

	return call + 1 + (uint32_t)page->insns[call].imm;
}

/* What a program at an interface says of a packet is that it may pass. */
static void packets_of_interfaces_pass(void **state)
{
	static const struct {
		enum kernel_hook hook;
		int pass;
		int other;
	} rows[] = { { KERNEL_TC, -1, 2 /* TC_ACT_SHOT */ }, { KERNEL_XDP, 2, 1 /* XDP_DROP */ } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct kernel_options options = { .hook = rows[i].hook, .n_cpus = 2 };
		struct kernel_code *code = make(&options);
		const struct bpf_insn pass = MOV_IMM(BPF_REG_0, rows[i].pass);
		uint32_t at = 0;
		struct error err = ERROR_INIT;

		assert_int_equal(kernel_code_check(code, &err), 0);
		while (code->pages[0].insns[at + 1].code != (BPF_JMP | BPF_EXIT))
			at++;
		assert_memory_equal(&code->pages[0].insns[at], &pass, sizeof(pass));
		expect_refused(code, at, MOV_IMM(BPF_REG_0, rows[i].other));
		expect_refused(code, at, MOV_IMM(BPF_REG_1, rows[i].pass));
		/* Over the verdict to the end. */
		expect_refused(code, at - 1, INSN(BPF_JMP | BPF_JA, 0, 0, 1, 0));
		kernel_code_free(code);
	}
}

/* But for one that says that it discards: then packets end, and that is all. */
static void packets_end_where_that_is_said(void **state)
{
	struct kernel_options options = { .hook = KERNEL_XDP, .has_frags = true, .discards = true };
	const struct bpf_insn drop = MOV_IMM(BPF_REG_0, XDP_DROP);
	struct kernel_code *code = make(&options);
	struct error err = ERROR_INIT;
	uint32_t at = 0;

	(void)state;
	while (memcmp(&code->pages[0].insns[at], &drop, sizeof(drop)) != 0)
		at++;
	assert_int_equal(code->pages[0].insns[at + 1].code, BPF_JMP | BPF_EXIT);
	for (int verdict = -1; verdict <= XDP_REDIRECT + 1; verdict++)
		if (verdict != XDP_DROP && verdict != XDP_PASS)
			expect_refused(code, at, MOV_IMM(BPF_REG_0, verdict));
	expect_refused(code, at - 1, INSN(BPF_JMP | BPF_JA, 0, 0, 1, 0));
	code->options.discards = false;
	assert_int_equal(kernel_code_check(code, &err), -EINVAL);
	assert_non_null(strstr(err.text, "does not let the packet pass"));
	kernel_code_free(code);
	options.has_frags = false;
	assert_int_equal(kernel_code_new(&code, &options, NULL, 0), -EINVAL);
}

/* Functions that call functions would multiply time. */
static void one_function_is_enough(void **state)
{
	struct kernel_code *code = make(&usual);
	const struct kernel_page *page = &code->pages[0];
	uint32_t call = find_function_call(page), function = find_function(page), load;

	(void)state;
	load = find(page, function, BPF_JMP | BPF_CALL, BPF_FUNC_skb_load_bytes);
	expect_refused(code, load, INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 0));
	expect_refused(code, call,
		INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, page->insns[call].imm + 1));
	kernel_code_free(code);
}

/* It may be called from every other instruction of a page: it is as short as ours. */
static void the_function_is_short(void **state)
{
	struct kernel_code *code = make(&usual);
	struct kernel_page *page = &code->pages[0];
	uint32_t function = find_function(page), n = page->n_insns;
	struct error err = ERROR_INIT;

	(void)state;
	page->insns = realloc(page->insns, (n + 4096) * sizeof(*page->insns));
	assert_non_null(page->insns);
	for (unsigned int more = 1; more <= 4096; more *= 2) {
		/* It begins with more work, and does what it does. */
		memmove(&page->insns[function + more], &page->insns[function],
			(n - function) * sizeof(*page->insns));
		for (unsigned int i = 0; i < more; i++)
			page->insns[function + i] = MOV_IMM(BPF_REG_0, 0);
		page->n_insns = n + more;
		assert_int_equal(kernel_code_check(code, &err), more < 8 ? 0 : -EINVAL);
		memmove(&page->insns[function], &page->insns[function + more],
			(n - function) * sizeof(*page->insns));
		page->n_insns = n;
	}
	kernel_code_free(code);
}

/* Helpers cost more than other instructions: the function calls one of them. */
static void the_function_calls_one_helper(void **state)
{
	struct kernel_code *code = make(&usual);
	const struct kernel_page *page = &code->pages[0];
	uint32_t load =
		find(page, find_function(page), BPF_JMP | BPF_CALL, BPF_FUNC_skb_load_bytes);

	(void)state;
	assert_int_equal(page->insns[load + 1].code, BPF_ALU64 | BPF_MOV | BPF_K);
	expect_refused(code, load + 1, CALL(BPF_FUNC_get_smp_processor_id));
	kernel_code_free(code);
}

/* The context, and other addresses, are used where we use them, and nowhere else. */
static void addresses_stay_where_they_are(void **state)
{
	struct kernel_code *code = make(&usual);
	const struct kernel_page *page = &code->pages[0];
	uint32_t area = find(page, 0, BPF_LD | BPF_IMM | BPF_DW, 0), step = area + 4;
	uint32_t load = find(page, 0, BPF_JMP | BPF_CALL, BPF_FUNC_skb_load_bytes);
	uint32_t slow = find_function(page), call = find_function_call(page);
	int16_t at = page->insns[step].off;

	(void)state;
	/* not written to memory that others read */
	expect_refused(code, step + 2, STORE(BPF_DW, REG_AREA, REG_CTX, at));
	expect_refused(code, step + 2, STORE(BPF_DW, REG_AREA, REG_AREA, at));
	expect_refused(code, step + 1, MOV_REG(BPF_REG_1, REG_CTX)); /* stored next */
	expect_refused(code, step + 1, MOV_REG(BPF_REG_1, REG_AREA));
	expect_refused(code, step + 1, ALU_REG(BPF_ADD, BPF_REG_1, REG_CTX));
	/* nothing is written by it, either */
	expect_refused(code, step + 1, STORE(BPF_DW, REG_CTX, BPF_REG_1, 0));
	/* not calculated with, asked for, or seen as a number of 32 bits */
	expect_refused(code, step + 1, ALU_IMM(BPF_ADD, REG_CTX, 8));
	expect_refused(code, step + 1, ALU_IMM(BPF_MUL, REG_AREA, 1));
	expect_refused(code, step + 1, ALU_REG(BPF_SUB, REG_AREA, REG_AREA));
	expect_refused(code, step + 1, ALU32_IMM(BPF_ADD, REG_AREA, 0));
	expect_refused(code, step + 1, ALU32_REG(BPF_MOV, BPF_REG_1, REG_CTX));
	expect_refused(code, step + 1, TO_BE(REG_CTX, 16));
	expect_refused(code, step + 1, INSN(BPF_JMP | BPF_JEQ | BPF_K, REG_CTX, 0, 0, 0));
	expect_refused(code, step + 1, INSN(BPF_JMP | BPF_JGT | BPF_X, REG_AREA, REG_CTX, 0, 0));
	/* fields of the context that we do not read, or not so */
	expect_refused(
		code, step, LOAD(BPF_W, BPF_REG_1, REG_CTX, offsetof(struct __sk_buff, data)));
	expect_refused(
		code, step, LOAD(BPF_W, BPF_REG_1, REG_CTX, offsetof(struct __sk_buff, mark)));
	expect_refused(
		code, step, LOAD(BPF_B, BPF_REG_1, REG_CTX, offsetof(struct __sk_buff, len)));
	/* numbers are no addresses */
	expect_refused(code, step, LOAD(BPF_DW, BPF_REG_1, REG_BYTES, 0));
	expect_refused(code, step, LOAD(BPF_DW, BPF_REG_1, BPF_REG_0, 0));
	/* arguments: context, offset, area, bytes */
	assert_int_equal(page->insns[load - 1].code, BPF_ALU64 | BPF_MOV | BPF_K);
	assert_int_equal(page->insns[load - 1].dst_reg, BPF_REG_4);
	expect_refused(code, load - 1, MOV_REG(BPF_REG_4, REG_CTX));
	expect_refused(code, load - 1, MOV_REG(BPF_REG_3, REG_CTX));
	expect_refused(code, load - 1, MOV_REG(BPF_REG_2, REG_CTX));
	expect_refused(code, load - 1, MOV_REG(BPF_REG_1, REG_AREA));
	/* that many bytes, at each instruction, would take long */
	expect_refused(code, load - 1, MOV_IMM(BPF_REG_4, (int32_t)WINDOW_BYTES + 1));
	expect_refused(code, load - 1, MOV_IMM(BPF_REG_4, -1));
	expect_refused(code, load - 1, LOAD(BPF_W, BPF_REG_4, REG_AREA, AREA_AT(len)));
	/* and of the function */
	expect_refused(code, call - 1, MOV_REG(BPF_REG_4, REG_CTX));
	expect_refused(code, call - 1, MOV_REG(BPF_REG_3, REG_CTX));
	expect_refused(code, call - 1, MOV_REG(BPF_REG_1, REG_AREA));
	expect_refused(code, call - 1, MOV_IMM(BPF_REG_4, (int32_t)WINDOW_BYTES + 1));
	expect_refused(code, slow, MOV_REG(BPF_REG_6, BPF_REG_5));
	kernel_code_free(code);
}

/* The last page does not go on. */
static void the_last_page_calls_none(void **state)
{
	struct kernel_code *code = make(&usual);
	struct error err = ERROR_INIT;

	(void)state;
	free(code->pages[--code->n_pages].insns);
	assert_int_equal(kernel_code_check(code, &err), -EINVAL);
	kernel_code_free(code);
}

/* The memory for counters has an end, also with many CPUs. */
static void counters_are_limited(void **state)
{
	struct kernel_options options = { .hook = KERNEL_TC, .n_cpus = 3750 };
	struct kernel_code *code = make(&options);
	unsigned int n_out = 0;

	(void)state;
	for (unsigned int i = 0; i < TEST_PORTS_N; i++)
		n_out += kernel_code_reason(code, i) == KERNEL_REASON_COUNTERS;
	assert_int_equal(n_out + kernel_code_stats(code).n_slots, TEST_PORTS_N);
	assert_in_range(n_out, 1, TEST_PORTS_N - 1);
	assert_int_equal(n_out + kernel_code_stats(code).n_lowered, TEST_PORTS_N);
	assert_true((uint64_t)code->stride_bytes * options.n_cpus <= KERNEL_AREA_BYTES_MAX);
	kernel_code_free(code);
	options.n_cpus = 4000;
	assert_int_equal(kernel_code_new(&code, &options, NULL, 0), -EINVAL);
}

/* A loader that takes pages of so many slots. */
struct loader {
	unsigned int page_max;
	unsigned int n_tries;
	unsigned int n_pages;
};

static int loader_try(
	void *argument, const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	struct loader *loader = argument;

	(void)ret;
	loader->n_tries++;
	loader->n_pages = kernel_code_stats(code).n_pages;
	(void)error_set(err, 1, "%u pages", loader->n_pages);
	return kernel_pages(code->n_slots, loader->n_pages) > loader->page_max ? -E2BIG : -EPERM;
}

static void pages_become_smaller(void **state)
{
	(void)state;
	for (unsigned int page_max = 0; page_max <= TEST_PORTS_N; page_max++) {
		struct kernel_options options = { .hook = KERNEL_SOCKET, .n_cpus = 1 };
		struct loader loader = { .page_max = page_max };
		struct kernel_program *program;
		struct error err = ERROR_INIT;
		char text[32];
		int r = kernel_program_make(&program, NULL, &options,
			(const struct filter_program *const *)test_ports.programs, TEST_PORTS_N,
			loader_try, &loader, &err);

		assert_int_equal(r, page_max ? -EPERM : -E2BIG);
		assert_true(loader.n_tries <= 5);
		assert_true(page_max == TEST_PORTS_N ? loader.n_tries == 1 : loader.n_tries > 1);
		assert_true(page_max || loader.n_pages == TEST_PORTS_N);
		(void)snprintf(text, sizeof(text), "%u pages", loader.n_pages);
		assert_string_equal(err.text, text); /* of the last try */
	}
}

/* Numbers of samples are taken in one way, and only by code that is said to. */
static void other_ways_to_take_numbers_are_refused(void **state)
{
	struct kernel_sampling samplings[TEST_PORTS_N] = { 0 };
	struct kernel_options options = usual;
	struct bpf_insn add, wide;
	struct kernel_code *code;
	struct error err = ERROR_INIT;
	uint32_t take, turns;

	(void)state;
	samplings[0] = (struct kernel_sampling){
		.rule = { .mode = SAMPLING_BY_CHANCE, .value = 7, .seed = 1 }, .cell = 5
	};
	options.samplings = samplings;
	code = make(&options);
	assert_true(kernel_code_samples(code));
	take = find(&code->pages[0], 0, BPF_STX | BPF_ATOMIC | BPF_DW, BPF_ADD | BPF_FETCH);
	turns = take - 3;
	add = code->pages[0].insns[take];
	wide = code->pages[0].insns[turns];
	assert_int_equal(wide.code, BPF_LD | BPF_IMM | BPF_DW);
	assert_int_equal(code->pages[0].insns[turns + 1].imm, 5 * sizeof(struct sampling_turns));
	expect_refused(code, turns, INSN(wide.code, BPF_REG_1, wide.src_reg, 0, 0));
	expect_refused(code, turns, INSN(wide.code, BPF_REG_2, 0, 0, 0));
	expect_refused(code, turns, INSN(wide.code, BPF_REG_2, BPF_PSEUDO_MAP_IDX_VALUE, 0, 0));
	expect_refused(code, turns + 1, INSN(0, 0, 0, 0, 8));
	expect_refused(code, turns + 1, INSN(0, 0, 0, 0, (int32_t)KERNEL_TURNS_BYTES));
	expect_refused(code, turns + 1, INSN(0, 0, 0, 0, -32));
	expect_refused(code, take, INSN(add.code, BPF_REG_2, BPF_REG_0, 0, BPF_XCHG));
	expect_refused(code, take, INSN(add.code, BPF_REG_2, BPF_REG_0, 0, BPF_OR));
	expect_refused(code, take, INSN(add.code, BPF_REG_2, BPF_REG_0, 32, add.imm));
	expect_refused(code, take, INSN(add.code, BPF_REG_2, BPF_REG_0, -8, add.imm));
	expect_refused(code, take, INSN(add.code, BPF_REG_2, BPF_REG_0, 4, add.imm));
	expect_refused(code, take, INSN(add.code, REG_AREA, BPF_REG_0, 0, add.imm));
	expect_refused(
		code, take, INSN(BPF_STX | BPF_ATOMIC | BPF_W, BPF_REG_2, BPF_REG_0, 0, add.imm));
	expect_refused(code, take, INSN(add.code, BPF_REG_2, BPF_REG_5, 0, add.imm));
	code->samples = false;
	assert_int_equal(kernel_code_check(code, &err), -EINVAL);
	kernel_code_free(code);
}

/* What a root tells of super-packets is read, by code that is said to have one, and no more. */
static void what_roots_tell_is_only_read(void **state)
{
	struct kernel_options options = { .hook = KERNEL_TC, .n_cpus = 2, .has_root = true };
	struct kernel_code *code = make(&options);
	struct error err = ERROR_INIT;
	struct bpf_insn *insns = code->pages[0].insns, wide;
	uint32_t at = find(&code->pages[0], 0, BPF_LD | BPF_IMM | BPF_DW, 0);

	(void)state;
	assert_true(kernel_code_has_root(code));
	at = find(&code->pages[0], at + 2, BPF_LD | BPF_IMM | BPF_DW, 0);
	wide = insns[at];
	assert_int_equal(wide.dst_reg, REG_SUPER);
	assert_int_equal(insns[at + 3].code, BPF_LDX | BPF_MEM | BPF_W);
	expect_refused(code, at, INSN(wide.code, BPF_REG_1, wide.src_reg, 0, 0));
	expect_refused(code, at, INSN(wide.code, REG_SUPER, BPF_PSEUDO_MAP_IDX_VALUE, 0, 0));
	expect_refused(code, at + 1, INSN(0, 0, 0, 0, 8));
	expect_refused(code, at + 2, ALU_REG(BPF_SUB, REG_SUPER, BPF_REG_0));
	expect_refused(code, at + 2, ALU_REG(BPF_ADD, REG_SUPER, REG_AREA));
	expect_refused(code, at + 2, STORE_IMM(BPF_W, REG_SUPER, 0, 1));
	expect_refused(code, at + 2, STORE(BPF_W, REG_SUPER, BPF_REG_0, 0));
	expect_refused(code, at + 2,
		INSN(BPF_STX | BPF_ATOMIC | BPF_DW, REG_SUPER, BPF_REG_0, 0, BPF_ADD));
	expect_refused(code, at + 2, STORE(BPF_DW, REG_AREA, REG_SUPER, AREA_AT(columns)));
	expect_refused(code, at + 2, INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, 8));
	code->options.has_root = false;
	assert_int_equal(kernel_code_check(code, &err), -EINVAL);
	kernel_code_free(code);
	options.hook = KERNEL_XDP;
	assert_int_equal(kernel_code_new(&code, &options, NULL, 0), -EINVAL);
	options.hook = KERNEL_SOCKET;
	assert_int_equal(kernel_code_new(&code, &options, NULL, 0), -EINVAL);
}

/* More than a program may have stay in user space; what cannot be is said. */
static void samples_are_limited(void **state)
{
	static const struct filter_program *many[KERNEL_SAMPLES_MAX + 1];
	static struct kernel_sampling samplings[ARRAY_SIZE(many)];
	static bool deliver[ARRAY_SIZE(many)];
	struct kernel_options options = {
		.hook = KERNEL_SOCKET, .n_cpus = 1, .samplings = samplings
	};
	struct error err = ERROR_INIT;
	struct kernel_code *code;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(many); i++) {
		many[i] = test_ports.programs[i % TEST_PORTS_N];
		samplings[i] =
			(struct kernel_sampling){ .rule = { .mode = SAMPLING_PERIODIC, .value = 7 },
				.cell = i };
	}
	assert_int_equal(kernel_code_new(&code, &options, many, ARRAY_SIZE(many)), 0);
	assert_int_equal(kernel_code_stats(code).n_lowered, KERNEL_SAMPLES_MAX);
	assert_int_equal(kernel_code_reason(code, KERNEL_SAMPLES_MAX), KERNEL_REASON_SAMPLES);
	assert_int_equal(kernel_code_check(code, &err), 0);
	kernel_code_free(code);
	samplings[3].rule.value = 0;
	assert_int_equal(kernel_code_new(&code, &options, many, 4), -EINVAL);
	samplings[3].rule.value = 1u << 31;
	assert_int_equal(kernel_code_new(&code, &options, many, 4), -EINVAL);
	samplings[3].rule.value = 1;
	samplings[3].cell = KERNEL_TURNS_MAX;
	assert_int_equal(kernel_code_new(&code, &options, many, 4), -EINVAL);
	options.deliver = deliver;
	assert_int_equal(kernel_code_new(&code, &options, many, 3), -EINVAL);
	options.undelivered = true;
	assert_int_equal(kernel_code_new(&code, &options, many, 3), 0);
	kernel_code_free(code);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_instructions_are_refused),
		cmocka_unit_test(other_ways_to_take_numbers_are_refused),
		cmocka_unit_test(what_roots_tell_is_only_read),
		cmocka_unit_test(samples_are_limited),
		cmocka_unit_test(packets_of_interfaces_pass),
		cmocka_unit_test(packets_end_where_that_is_said),
		cmocka_unit_test(one_function_is_enough),
		cmocka_unit_test(the_function_is_short),
		cmocka_unit_test(the_function_calls_one_helper),
		cmocka_unit_test(addresses_stay_where_they_are),
		cmocka_unit_test(the_last_page_calls_none),
		cmocka_unit_test(counters_are_limited),
		cmocka_unit_test(pages_become_smaller),
	};

	return cmocka_run_group_tests(tests, test_ports_setup, test_ports_teardown);
}
