/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code as bytes, which one process gives another (flat.c): it is the same there, and other bytes
 * are refused. Needs no rights.
 */
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
#include "test_filters.h"

/* Of another process on this machine. */
static const struct kernel_options foreign = { .hook = KERNEL_SOCKET, .page_max = 4 };

static uint8_t *flatten(const struct kernel_options *options, size_t *ret_n_bytes)
{
	struct kernel_code *code = test_filters_code(&test_ports, options);
	size_t n_bytes = kernel_code_flatten(code, NULL, 0);
	uint8_t *bytes = malloc(n_bytes);

	assert_non_null(bytes);
	bytes[0] = 77;
	assert_int_equal(kernel_code_flatten(code, bytes, n_bytes - 1), n_bytes);
	assert_int_equal(bytes[0], 77); /* not enough room: nothing is written */
	assert_int_equal(kernel_code_flatten(code, bytes, n_bytes), n_bytes);
	kernel_code_free(code);
	*ret_n_bytes = n_bytes;
	return bytes;
}

static void bytes_are_the_code(void **state)
{
	struct kernel_code *code = test_filters_code(&test_ports, &foreign), *same;
	struct error err = ERROR_INIT;
	size_t n_bytes;
	uint8_t *bytes = flatten(&foreign, &n_bytes);

	(void)state;
	assert_int_equal(kernel_code_unflatten(&same, bytes, n_bytes), 0);
	assert_int_equal(kernel_code_hook(same), KERNEL_SOCKET);
	assert_int_equal(same->n_pages, 3);
	assert_int_equal(kernel_code_check(same, &err), 0);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(same->pages[i].n_insns, code->pages[i].n_insns);
		assert_memory_equal(same->pages[i].insns, code->pages[i].insns,
			code->pages[i].n_insns * sizeof(struct bpf_insn));
	}
	kernel_code_free(same);
	kernel_code_free(code);
	free(bytes);
}

/* Each number of the head made another one; fewer bytes; more. */
static void other_bytes_are_refused(void **state)
{
	static const uint32_t numbers[] = { 0, 1, 2, 3, 4, 31, 32, 33, 12, 64, 4352, 400000, 400001,
		64u << 20, 0x7fffffff, 0x80000000, 0xffffffc0, 0xffffffff };
	struct kernel_code *code = NULL;
	size_t n_bytes, n_good = 0;
	uint8_t *bytes = flatten(&foreign, &n_bytes), *copy = malloc(n_bytes + 8);

	(void)state;
	assert_non_null(copy);
	memset(copy + n_bytes, 0, 8);
	for (size_t at = 0; at < 41; at++) {
		for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
			uint32_t old;

			memcpy(copy, bytes, n_bytes);
			memcpy(&old, copy + 4 * at, sizeof(old));
			memcpy(copy + 4 * at, &numbers[i], sizeof(numbers[i]));
			if (kernel_code_unflatten(&code, copy, n_bytes) < 0)
				continue;
			/* another hook; that it samples; other CPUs that this machine has; slots
			 * of an equal stride */
			assert_true(numbers[i] == old || at == 0 || at == 5 ||
				(at == 2 && numbers[i] <= kernel_n_cpus()));
			kernel_code_free(code);
			n_good++;
		}
	}
	assert_in_range(n_good, 30, 60);
	memcpy(copy, bytes, n_bytes);
	for (size_t n = 0; n < n_bytes; n = n < 300 ? n + 1 : n + 97)
		assert_int_equal(kernel_code_unflatten(&code, copy, n), -EBADMSG);
	assert_int_equal(kernel_code_unflatten(&code, copy, n_bytes + 8), -EBADMSG);
	free(bytes);
	free(copy);
}

/* That packets end, in whatever buffers they are; that a root tells of super-packets. */
static void what_code_does_beside_comes_along(void **state)
{
	const struct kernel_options discards = {
		.hook = KERNEL_XDP, .has_frags = true, .discards = true
	};
	const struct kernel_options has_root = { .hook = KERNEL_TC, .has_root = true };
	struct kernel_code *code;
	struct error err = ERROR_INIT;
	size_t n_bytes;
	uint8_t *bytes = flatten(&discards, &n_bytes);

	(void)state;
	assert_int_equal(kernel_code_unflatten(&code, bytes, n_bytes), 0);
	assert_true(kernel_code_discards(code));
	assert_int_equal(kernel_code_check(code, &err), 0);
	kernel_code_free(code);
	memset(bytes + 4, 0, 4); /* of one buffer */
	assert_int_equal(kernel_code_unflatten(&code, bytes, n_bytes), -EBADMSG);
	free(bytes);
	bytes = flatten(&has_root, &n_bytes);
	assert_int_equal(kernel_code_unflatten(&code, bytes, n_bytes), 0);
	assert_true(kernel_code_has_root(code));
	kernel_code_free(code);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_the_code),
		cmocka_unit_test(other_bytes_are_refused),
		cmocka_unit_test(what_code_does_beside_comes_along),
	};

	return cmocka_run_group_tests(tests, test_ports_setup, test_ports_teardown);
}
