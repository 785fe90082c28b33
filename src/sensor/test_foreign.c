/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Code for the kernel from an engine, as the parent of the system daemon loads it: without the
 * rights to make the verifier trust anybody. What the engine makes of filters is loaded; what
 * somebody else made of it is refused here or by the verifier, or does no harm. Needs CAP_BPF.
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

#include "base/clock.h"
#include "filter/test_random.h"
#include "kernel/test_run.h"
#include "privileged_private.h"

#define FOREIGN_SET 50u /* filters */
#define FOREIGN_BYTES ((size_t)8 << 20)
#define FOREIGN_SLOWEST_NS                                                    \
	UINT64_C(20000000000) /* three seconds, and a page; on a busy machine \
			       */

static struct privileged_loads foreign_loads;
static uint8_t *foreign_area;

static bool foreign_is_long(void)
{
	return getenv("MAPI_TEST_LONG");
}

/* The first @n_bytes of the area. */
static int foreign_load_bytes(size_t n_bytes, struct kernel_fds *ret, struct error *err)
{
	static const struct config config = { .any_interface = true };
	int fds[PRIVILEGED_LOAD_FDS_MAX], r;
	unsigned int n_fds = 0;

	r = privileged_load_foreign(
		&config, &foreign_loads, foreign_area, n_bytes, fds, &n_fds, err);
	if (r == 0) {
		assert_int_equal(n_fds, PRIVILEGED_LOAD_FDS);
		*ret = KERNEL_FDS_INIT;
		ret->program = fds[0];
		ret->area = fds[1];
		ret->chain = fds[2];
	}
	return r;
}

/* As privileged_load() does it, without a socket in between. */
static int foreign_load(
	void *argument, const struct kernel_code *code, struct kernel_fds *ret, struct error *err)
{
	size_t n_bytes = kernel_code_flatten(code, foreign_area, FOREIGN_BYTES);

	(void)argument;
	assert_true(n_bytes <= FOREIGN_BYTES);
	return foreign_load_bytes(n_bytes, ret, err);
}

/* @n filters that libpcap accepts. */
static void foreign_filters(
	struct random *r, struct filter_program *ret[], unsigned int n, bool are_plain)
{
	for (unsigned int i = 0; i < n;) {
		struct error err = ERROR_INIT;
		char text[4096];

		if (are_plain)
			random_plain_expression(r, text, sizeof(text));
		else
			random_expression(r, text, sizeof(text));
		i += filter_compile(&ret[i], text, 1, &err) == 0;
	}
}

static void foreign_filters_free(struct filter_program *filters[], unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		filter_program_free(filters[i]);
}

static int foreign_setup(void **state)
{
	struct kernel_options options = { .hook = KERNEL_SOCKET };
	struct kernel_code *code;
	struct kernel_fds fds;
	struct error err = ERROR_INIT;
	int r;

	foreign_area = malloc(FOREIGN_BYTES);
	if (!foreign_area || kernel_code_new(&code, &options, NULL, 0) < 0)
		return -1;
	r = foreign_load(NULL, code, &fds, &err);
	kernel_code_free(code);
	*state = r < 0 ? foreign_area : NULL;
	if (r < 0)
		print_message("SKIP: %s\n", err.text);
	else
		kernel_fds_close(&fds);
	return 0;
}

static int foreign_teardown(void **state)
{
	(void)state;
	privileged_loads_clear(&foreign_loads);
	free(foreign_area);
	return 0;
}

/* Whatever filters there are: the verifier refuses none, and counters start at zero. */
static void filters_are_loaded(void **state)
{
	unsigned int n_sets = (foreign_is_long() ? 2000 : 300) / FOREIGN_SET, n_left = 0;
	struct random r = { .state = 1603 };

	if (*state)
		skip();
	for (unsigned int s = 0; s < n_sets; s++) {
		const struct kernel_options options = { .hook = KERNEL_SOCKET,
			.undelivered = true,
			.page_max = s % 4 == 3 ? 7 : FOREIGN_SET,
			.no_long_jumps = !kernel_has_long_jumps() };
		struct filter_program *filters[FOREIGN_SET];
		struct kernel_count counts[FOREIGN_SET];
		struct kernel_program *program;
		struct kernel_code *code;
		struct error err = ERROR_INIT;

		foreign_filters(&r, filters, FOREIGN_SET, s % 2);
		if (kernel_program_make(&program, &code, &options,
			    (const struct filter_program *const *)filters, FOREIGN_SET,
			    foreign_load, NULL, &err) < 0)
			fail_msg("set %u: %s", s, err.text);
		n_left += FOREIGN_SET - kernel_code_stats(code).n_lowered;
		kernel_program_read(program, counts, FOREIGN_SET);
		for (unsigned int i = 0; i < FOREIGN_SET; i++)
			assert_int_equal(counts[i].pkts + counts[i].bytes + counts[i].units, 0);
		kernel_program_free(program);
		kernel_code_free(code);
		foreign_filters_free(filters, FOREIGN_SET);
	}
	print_message(
		"%u filters loaded, %u of them stay in user space\n", n_sets * FOREIGN_SET, n_left);
	assert_true(n_left * 5 <= n_sets * FOREIGN_SET);
}

/* ---- what is not ours ---- */

/* A code, in bytes (flat.c), is a head and its instructions. */
#define FOREIGN_LOAD_MAP 0x18 /* of 64 bits: two instructions */
#define FOREIGN_CALL 0x85

struct foreign_insn {
	uint8_t code;
	uint8_t regs; /* source << 4 | destination */
	int16_t off;
	int32_t imm;
};

/* Helpers that ours call: get_smp_processor_id, tail_call, skb_load_bytes. */
static const int32_t foreign_helpers[] = { 8, 12, 26 };

/* Numbers at which somebody would try. */
static int32_t foreign_number(struct random *r)
{
	static const int32_t numbers[] = { 0, 1, 2, 3, 4, 8, 12, 26, 113, 128, 129, 4096, 32767, -1,
		-4, -8, -32768, 65536, INT32_MAX, INT32_MIN };

	return random_below(r, 3) ? numbers[random_below(r, ARRAY_SIZE(numbers))]
				  : (int32_t)random_next(r);
}

static void foreign_mutate(struct random *r, struct foreign_insn insns[], uint32_t n)
{
	struct foreign_insn *insn = &insns[random_below(r, n)];
	const struct foreign_insn other = insns[random_below(r, n)];

	switch (random_below(r, 8)) {
	case 0:
		insn->code = (uint8_t)random_next(r);
		break;
	case 1:
		insn->regs = (uint8_t)((insn->regs & 0xf0) | random_below(r, 11));
		break;
	case 2:
		insn->regs = (uint8_t)((insn->regs & 0x0f) | random_below(r, 11) << 4);
		break;
	case 3:
		insn->off = (int16_t)foreign_number(r);
		break;
	case 4:
		insn->off = (int16_t)(insn->off + (int)random_below(r, 33) - 16);
		break;
	case 5:
		insn->imm = foreign_number(r);
		break;
	case 6:
		insn->code = other.code;
		break;
	default:
		*insn = other;
	}
}

/* Whether all helpers are such as ours call. */
static bool foreign_helpers_are_ours(const struct foreign_insn insns[], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		bool is_ours = false;

		if (insns[i].code == FOREIGN_LOAD_MAP)
			i++;
		else if (insns[i].code == FOREIGN_CALL && insns[i].regs >> 4 != 1) {
			for (size_t h = 0; h < ARRAY_SIZE(foreign_helpers); h++)
				is_ours |= insns[i].imm == foreign_helpers[h];
			if (!is_ours || insns[i].regs >> 4 != 0)
				return false;
		}
	}
	return true;
}

/* @n_checked: passed our check; @n_loaded: and the verifier's */
struct foreign_account {
	unsigned int n;
	unsigned int n_checked;
	unsigned int n_loaded;
	uint64_t slowest_ns;
};

static void foreign_run(struct random *r, const struct kernel_fds *fds)
{
	for (unsigned int i = 0; i < 4; i++) {
		uint8_t bytes[1600];
		struct test_packet packet = { .data = bytes,
			.n_bytes = random_packet(r, bytes, sizeof(bytes)) };

		(void)test_run(fds->program, KERNEL_SOCKET, &packet, NULL);
	}
}

/* One code, with a few of its instructions changed. */
static void foreign_mutant(
	struct random *r, const struct kernel_code *good, struct foreign_account *a)
{
	struct error err = ERROR_INIT, check_err = ERROR_INIT;
	size_t n_bytes = kernel_code_flatten(good, foreign_area, FOREIGN_BYTES);
	uint32_t n_insns = kernel_code_stats(good).n_insns;
	struct foreign_insn *insns =
		(void *)(foreign_area + n_bytes - n_insns * sizeof(struct foreign_insn));
	struct kernel_fds fds = KERNEL_FDS_INIT;
	struct kernel_code *code;
	uint64_t begin_ns;
	bool is_checked;
	int loaded;

	for (unsigned int n = 1 + random_below(r, 3); n > 0; n--)
		foreign_mutate(r, insns, n_insns);
	assert_int_equal(kernel_code_unflatten(&code, foreign_area, n_bytes), 0);
	is_checked = kernel_code_check(code, &check_err) == 0;
	kernel_code_free(code);
	begin_ns = clock_monotonic_ns();
	loaded = foreign_load_bytes(n_bytes, &fds, &err);
	a->slowest_ns = MAX(a->slowest_ns, clock_monotonic_ns() - begin_ns);
	a->n++;
	a->n_checked += is_checked;
	a->n_loaded += loaded == 0;
	if (is_checked)
		assert_true(foreign_helpers_are_ours(insns, n_insns));
	if (loaded == 0) {
		assert_true(is_checked);
		foreign_run(r, &fds);
	} else {
		assert_true(err.text[0]);
		assert_true(loaded == -EINVAL || loaded == -E2BIG || loaded == -ETIME);
	}
	kernel_fds_close(&fds);
}

static void mutants_do_no_harm(void **state)
{
	unsigned int n_codes = foreign_is_long() ? 200 : 20;
	struct random r = { .state = 2411 };
	struct foreign_account a = { .n = 0 };

	if (*state)
		skip();
	for (unsigned int c = 0; c < n_codes; c++) {
		const struct kernel_options options = { .hook = KERNEL_SOCKET,
			.page_max = c % 2 ? 2 : 0 };
		struct filter_program *filters[4];
		struct kernel_code *code;

		foreign_filters(&r, filters, ARRAY_SIZE(filters), c % 4 < 2);
		assert_int_equal(
			kernel_code_new(&code, &options,
				(const struct filter_program *const *)filters, ARRAY_SIZE(filters)),
			0);
		for (unsigned int i = 0; i < 100; i++)
			foreign_mutant(&r, code, &a);
		kernel_code_free(code);
		foreign_filters_free(filters, ARRAY_SIZE(filters));
	}
	print_message("%u mutants, %u pass the check, %u the verifier; %.1f ms at most\n", a.n,
		a.n_checked, a.n_loaded, (double)a.slowest_ns / 1e6);
	assert_in_range(a.n_checked, a.n / 50, a.n - a.n / 10);
	assert_in_range(a.n_loaded, 1, a.n_checked);
	assert_true(a.slowest_ns < FOREIGN_SLOWEST_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filters_are_loaded),
		cmocka_unit_test(mutants_do_no_harm),
	};

	return cmocka_run_group_tests(tests, foreign_setup, foreign_teardown);
}
