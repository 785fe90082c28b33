/* SPDX-License-Identifier: BSD-2-Clause */
/* The filter engine, piece by piece. test_oracle.c compares it with libpcap at large. */
#undef NDEBUG
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "filter_private.h"
#include "test_reference.h"

/* Linked with --wrap: the allocation of that number fails; 0 lets all pass. */
static unsigned int alloc_fail_at;

void *__real_malloc(size_t n_bytes);
void *__real_calloc(size_t n, size_t n_bytes);
void *__real_realloc(void *old, size_t n_bytes);
void *__wrap_malloc(size_t n_bytes);
void *__wrap_calloc(size_t n, size_t n_bytes);
void *__wrap_realloc(void *old, size_t n_bytes);

static bool alloc_fails(void)
{
	return alloc_fail_at && --alloc_fail_at == 0;
}

void *__wrap_malloc(size_t n_bytes)
{
	return alloc_fails() ? NULL : __real_malloc(n_bytes);
}

void *__wrap_calloc(size_t n, size_t n_bytes)
{
	return alloc_fails() ? NULL : __real_calloc(n, n_bytes);
}

void *__wrap_realloc(void *old, size_t n_bytes)
{
	return alloc_fails() ? NULL : __real_realloc(old, n_bytes);
}

#define INSNS(...) ((const struct bpf_insn[]){ __VA_ARGS__ })
#define S(code, k) BPF_STMT(code, k)
#define J(code, k, jt, jf) BPF_JUMP(code, k, jt, jf)

static const uint8_t bytes_64[64] = { 0x45, 1, 2, 3, 4, 5, 6, 7, 0x80, 0xff, 0xff, 0xff, 0xff, 13,
	14, 15, 16, 17, 18, 19, 0x86, 0xdd, 0, 0, 24, 25, 26, 27 };

static void *new_scratch(const struct filter_set *set)
{
	size_t n_bytes = (filter_set_scratch_bytes(set) + 63) & ~(size_t)63;
	void *scratch = aligned_alloc(64, n_bytes);

	assert_non_null(scratch);
	memset(scratch, 0x5a, n_bytes);
	return scratch;
}

/* Decides one packet by itself, with every set of inner loops; they must agree with libpcap. */
static bool decide(const struct filter_program *program, const uint8_t *data, uint32_t cap_bytes,
	uint32_t wire_bytes)
{
	static struct packet_batch batch;
	struct reference reference = reference_of(program);
	bool right = reference_decide(&reference, data, wire_bytes, cap_bytes) ==
		FILTER_INTERPRET_ACCEPT;
	uint8_t *exact = malloc(cap_bytes ? cap_bytes : 1);
	struct filter_set *set;
	void *scratch;

	assert_non_null(exact);
	memcpy(exact, data, cap_bytes);
	batch.n = 1;
	batch.data[0] = exact;
	batch.cap_bytes[0] = cap_bytes;
	batch.wire_bytes[0] = wire_bytes;
	assert_int_equal(filter_set_new(&set, &program, 1), 0);
	scratch = new_scratch(set);
	for (const struct filter_compare_ops *const *ops = filter_compare_list(); *ops; ops++) {
		struct packet_mask mask;

		set->compare = *ops;
		filter_set_run(set, scratch, &batch, &mask);
		assert_int_equal(packet_mask_test(&mask, 0), right);
		packet_mask_clear(&mask, 0);
		assert_true(packet_mask_empty(&mask));
	}
	free(scratch);
	filter_set_free(set);
	free(exact);
	return right;
}

static bool decide_insns(
	const struct bpf_insn *insns, unsigned int n_insns, uint32_t cap_bytes, uint32_t wire_bytes)
{
	struct filter_program *program;
	bool accepted;

	assert_int_equal(filter_program_new(&program, insns, n_insns), 0);
	accepted = decide(program, bytes_64, cap_bytes, wire_bytes);
	filter_program_free(program);
	return accepted;
}

#define DECIDE(cap, ...)                                                                       \
	decide_insns(INSNS(__VA_ARGS__), sizeof(INSNS(__VA_ARGS__)) / sizeof(struct bpf_insn), \
		cap, 100)

static struct filter_program *compile(const char *text)
{
	struct error err = ERROR_INIT;
	struct filter_program *program = NULL;

	assert_int_equal(filter_compile(&program, text, 1, &err), 0);
	return program;
}

/* ret (A == k) */
#define EQUALS(k) \
	J(BPF_JMP | BPF_JEQ | BPF_K, k, 0, 1), S(BPF_RET | BPF_K, 1), S(BPF_RET | BPF_K, 0)

static void loads_are_big_endian(void **state)
{
	assert_true(DECIDE(64, S(BPF_LD | BPF_B | BPF_ABS, 1), EQUALS(1)));
	assert_true(DECIDE(64, S(BPF_LD | BPF_H | BPF_ABS, 1), EQUALS(0x0102)));
	assert_true(DECIDE(64, S(BPF_LD | BPF_W | BPF_ABS, 1), EQUALS(0x01020304)));
	assert_false(DECIDE(64, S(BPF_LD | BPF_W | BPF_ABS, 1), EQUALS(0x04030201)));
	assert_true(DECIDE(
		64, S(BPF_LDX | BPF_IMM, 2), S(BPF_LD | BPF_H | BPF_IND, 3), EQUALS(0x0506)));
	assert_true(
		DECIDE(64, S(BPF_LDX | BPF_MSH | BPF_B, 0), S(BPF_MISC | BPF_TXA, 0), EQUALS(20)));
	assert_true(DECIDE(
		64, S(BPF_LDX | BPF_MSH | BPF_B, 0), S(BPF_LD | BPF_B | BPF_IND, 4), EQUALS(24)));
	assert_true(DECIDE(64, S(BPF_LDX | BPF_MSH | BPF_B, 0), S(BPF_LD | BPF_H | BPF_IND, 4),
		EQUALS(0x1819)));
	assert_true(DECIDE(64, S(BPF_LDX | BPF_MSH | BPF_B, 0), S(BPF_LD | BPF_W | BPF_IND, 4),
		EQUALS(0x18191a1b)));
}

static void loads_outside_reject(void **state)
{
	for (uint32_t cap = 0; cap <= 24; cap++) {
		/* accepted, whatever is loaded, if it can be */
		assert_int_equal(
			DECIDE(cap, S(BPF_LD | BPF_B | BPF_ABS, 20), S(BPF_RET | BPF_K, 1)),
			cap >= 21);
		assert_int_equal(
			DECIDE(cap, S(BPF_LD | BPF_H | BPF_ABS, 20), S(BPF_RET | BPF_K, 1)),
			cap >= 22);
		assert_int_equal(
			DECIDE(cap, S(BPF_LD | BPF_W | BPF_ABS, 20), S(BPF_RET | BPF_K, 1)),
			cap >= 24);
		assert_int_equal(
			DECIDE(cap, S(BPF_LDX | BPF_MSH | BPF_B, 20), S(BPF_RET | BPF_K, 1)),
			cap >= 21);
		assert_int_equal(DECIDE(cap, S(BPF_LDX | BPF_MSH | BPF_B, 0),
					 S(BPF_LD | BPF_H | BPF_IND, 2), S(BPF_RET | BPF_K, 1)),
			cap >= 24);
	}
	/* base and offset together exceed 32 bits; the sum alone would be inside */
	assert_false(DECIDE(64, S(BPF_LD | BPF_W | BPF_ABS, 9), S(BPF_MISC | BPF_TAX, 0),
		S(BPF_LD | BPF_B | BPF_IND, 2), S(BPF_RET | BPF_K, 1)));
	assert_false(DECIDE(64, S(BPF_LDX | BPF_IMM, 0xffffffff), S(BPF_LD | BPF_B | BPF_IND, 2),
		S(BPF_RET | BPF_K, 1)));
	assert_false(DECIDE(64, S(BPF_LD | BPF_B | BPF_ABS, 0xfffff030), S(BPF_RET | BPF_K, 1)));
	assert_false(DECIDE(64, S(BPF_LD | BPF_W | BPF_ABS, 0xffffffff), S(BPF_RET | BPF_K, 1)));
	/* a negative test does not save a load outside */
	assert_false(
		DECIDE(10, S(BPF_LD | BPF_H | BPF_ABS, 20), J(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 1),
			S(BPF_RET | BPF_K, 0), S(BPF_RET | BPF_K, 1)));
}

static void arithmetic_is_modulo_2_32(void **state)
{
	static const struct {
		uint16_t op;
		uint32_t k;
	} table[] = {
		{ BPF_ADD, 0xfffffffe },
		{ BPF_SUB, 3 },
		{ BPF_MUL, 0x10001 },
		{ BPF_MUL, 8 },
		{ BPF_DIV, 3 },
		{ BPF_DIV, 16 },
		{ BPF_MOD, 16 },
		{ BPF_MOD, 10 },
		{ BPF_AND, 0x00ff00ff },
		{ BPF_OR, 0x0f },
		{ BPF_XOR, 0xffffffff },
		{ BPF_LSH, 4 },
		{ BPF_LSH, 31 },
		{ BPF_RSH, 9 },
	};

	/* the right result is libpcap's: decide() compares; here with every operand form */
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		for (uint32_t bit = 0; bit < 32; bit++) {
			uint16_t op = table[i].op;
			uint32_t k = table[i].k;

			(void)DECIDE(64, S(BPF_LD | BPF_W | BPF_ABS, 6), S(BPF_ALU | op | BPF_K, k),
				J(BPF_JMP | BPF_JSET | BPF_K, 1u << bit, 0, 1),
				S(BPF_RET | BPF_K, 1), S(BPF_RET | BPF_K, 0));
			(void)DECIDE(64, S(BPF_LD | BPF_W | BPF_ABS, 6), S(BPF_LDX | BPF_IMM, k),
				S(BPF_ALU | op | BPF_X, 0),
				J(BPF_JMP | BPF_JSET | BPF_K, 1u << bit, 0, 1),
				S(BPF_RET | BPF_K, 1), S(BPF_RET | BPF_K, 0));
			(void)DECIDE(64, S(BPF_LD | BPF_B | BPF_ABS, 5), S(BPF_MISC | BPF_TAX, 0),
				S(BPF_LD | BPF_W | BPF_ABS, 6), S(BPF_ALU | op | BPF_X, 0),
				J(BPF_JMP | BPF_JSET | BPF_K, 1u << bit, 0, 1),
				S(BPF_RET | BPF_K, 1), S(BPF_RET | BPF_K, 0));
			(void)DECIDE(64, S(BPF_LD | BPF_B | BPF_ABS, 5), S(BPF_MISC | BPF_TAX, 0),
				S(BPF_LD | BPF_IMM, k), S(BPF_ALU | op | BPF_X, 0),
				J(BPF_JMP | BPF_JSET | BPF_K, 1u << bit, 0, 1),
				S(BPF_RET | BPF_K, 1), S(BPF_RET | BPF_K, 0));
		}
	}
	assert_true(DECIDE(
		64, S(BPF_LD | BPF_B | BPF_ABS, 1), S(BPF_ALU | BPF_NEG, 0), EQUALS(0xffffffff)));
	assert_true(DECIDE(64, S(BPF_LD | BPF_B | BPF_ABS, 1), S(BPF_ALU | BPF_SUB | BPF_K, 2),
		EQUALS(0xffffffff)));
	/* a shift by a register that holds more than 31 clears */
	assert_true(DECIDE(64, S(BPF_LD | BPF_B | BPF_ABS, 0), S(BPF_MISC | BPF_TAX, 0),
		S(BPF_ALU | BPF_LSH | BPF_X, 0), EQUALS(0)));
	assert_true(DECIDE(64, S(BPF_LD | BPF_B | BPF_ABS, 0), S(BPF_LDX | BPF_IMM, 40),
		S(BPF_ALU | BPF_RSH | BPF_X, 0), EQUALS(0)));
}

static void division_by_zero_rejects(void **state)
{
	for (uint32_t at = 1; at < 25; at++) {
		bool zero = bytes_64[at] == 0;

		assert_int_equal(DECIDE(64, S(BPF_LD | BPF_B | BPF_ABS, at),
					 S(BPF_MISC | BPF_TAX, 0), S(BPF_LD | BPF_IMM, 77),
					 S(BPF_ALU | BPF_DIV | BPF_X, 0), S(BPF_RET | BPF_K, 1)),
			!zero);
		assert_int_equal(DECIDE(64, S(BPF_LD | BPF_B | BPF_ABS, at),
					 S(BPF_MISC | BPF_TAX, 0), S(BPF_LD | BPF_W | BPF_ABS, 4),
					 S(BPF_ALU | BPF_MOD | BPF_X, 0), S(BPF_RET | BPF_K, 1)),
			!zero);
	}
	assert_false(DECIDE(64, S(BPF_LDX | BPF_IMM, 0), S(BPF_ALU | BPF_DIV | BPF_X, 0),
		S(BPF_RET | BPF_K, 1)));
	assert_false(DECIDE(64, S(BPF_LDX | BPF_IMM, 0), S(BPF_ALU | BPF_MOD | BPF_X, 0),
		S(BPF_RET | BPF_K, 1)));
}

/* All comparisons, with constants around the value and with registers. */
static void comparisons_agree(void **state)
{
	static const uint16_t ops[] = { BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET };
	static const uint16_t sizes[] = { BPF_B, BPF_H, BPF_W };
	static const uint32_t constants[] = { 0, 1, 0x44, 0x45, 0x46, 0x4500, 0x4501, 0x4502,
		0x45010203, 0x45010204, 0x7fffffff, 0x80000000, 0xffffffff, 0xff, 0x100, 0xffff,
		0x10000 };

	for (size_t o = 0; o < ARRAY_SIZE(ops); o++) {
		for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
			for (size_t c = 0; c < ARRAY_SIZE(constants); c++) {
				(void)DECIDE(64, S(BPF_LD | BPF_ABS | sizes[s], 0),
					J(BPF_JMP | ops[o] | BPF_K, constants[c], 0, 1),
					S(BPF_RET | BPF_K, 1), S(BPF_RET | BPF_K, 0));
				(void)DECIDE(64, S(BPF_LDX | BPF_IMM, constants[c]),
					S(BPF_LD | BPF_ABS | sizes[s], 0),
					J(BPF_JMP | ops[o] | BPF_X, 0, 0, 1), S(BPF_RET | BPF_K, 1),
					S(BPF_RET | BPF_K, 0));
				(void)DECIDE(64, S(BPF_LD | BPF_ABS | sizes[s], 0),
					S(BPF_MISC | BPF_TAX, 0), S(BPF_LD | BPF_IMM, constants[c]),
					J(BPF_JMP | ops[o] | BPF_X, 0, 0, 1), S(BPF_RET | BPF_K, 1),
					S(BPF_RET | BPF_K, 0));
			}
			for (uint32_t at = 0; at < 16; at++)
				(void)DECIDE(64, S(BPF_LD | BPF_ABS | sizes[s], at),
					S(BPF_MISC | BPF_TAX, 0), S(BPF_LD | BPF_ABS | BPF_H, 3),
					J(BPF_JMP | ops[o] | BPF_X, 0, 0, 1), S(BPF_RET | BPF_K, 1),
					S(BPF_RET | BPF_K, 0));
		}
	}
}

static void memory_and_registers_keep_values(void **state)
{
	assert_true(DECIDE(64, S(BPF_LD | BPF_B | BPF_ABS, 3), S(BPF_ST, 7), S(BPF_LD | BPF_IMM, 9),
		S(BPF_LDX | BPF_MEM, 7), S(BPF_STX, 15), S(BPF_LD | BPF_MEM, 15), EQUALS(3)));
	assert_true(DECIDE(64, S(BPF_LD | BPF_IMM, 5), S(BPF_MISC | BPF_TAX, 0),
		S(BPF_LD | BPF_IMM, 9), S(BPF_MISC | BPF_TXA, 0), EQUALS(5)));
	/* registers start as 0 */
	assert_true(DECIDE(64, S(BPF_ALU | BPF_ADD | BPF_X, 0), EQUALS(0)));
	/* which of two values meets the other path depends on the path */
	assert_true(DECIDE(64, S(BPF_LD | BPF_B | BPF_ABS, 1),
		J(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 2), S(BPF_LD | BPF_IMM, 70),
		S(BPF_JMP | BPF_JA, 1), S(BPF_LD | BPF_IMM, 80), EQUALS(70)));
	assert_true(DECIDE(64, S(BPF_LD | BPF_B | BPF_ABS, 1),
		J(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 2), S(BPF_LD | BPF_IMM, 70),
		S(BPF_JMP | BPF_JA, 1), S(BPF_LD | BPF_IMM, 80), EQUALS(80)));
}

static void accumulator_decides(void **state)
{
	assert_true(DECIDE(64, S(BPF_LD | BPF_B | BPF_ABS, 1), S(BPF_RET | BPF_A, 0)));
	assert_false(DECIDE(64, S(BPF_LD | BPF_B | BPF_ABS, 22), S(BPF_RET | BPF_A, 0)));
	assert_false(DECIDE(64, S(BPF_RET | BPF_A, 0)));
	assert_true(DECIDE(64, S(BPF_RET | BPF_K, 4)));
}

static void length_is_that_on_the_wire(void **state)
{
	assert_true(DECIDE(10, S(BPF_LD | BPF_LEN, 0), EQUALS(100)));
	assert_true(DECIDE(10, S(BPF_LDX | BPF_LEN, 0), S(BPF_MISC | BPF_TXA, 0), EQUALS(100)));
	assert_false(DECIDE(100 % 64, S(BPF_LD | BPF_LEN, 0), EQUALS(100 % 64)));
	/* the last byte on the wire was not captured */
	assert_false(DECIDE(64, S(BPF_LDX | BPF_LEN, 0), S(BPF_LD | BPF_B | BPF_IND, 0xffffffff),
		S(BPF_RET | BPF_K, 1)));
}

static void repeated_tests_count_once(void **state)
{
	const struct bpf_insn insns[] = { S(BPF_LD | BPF_B | BPF_ABS, 1),
		J(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 3), J(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 2),
		S(BPF_LD | BPF_B | BPF_ABS, 1), J(BPF_JMP | BPF_JEQ | BPF_K, 1, 1, 0),
		S(BPF_RET | BPF_K, 0), S(BPF_RET | BPF_K, 1) };
	struct filter_program *program;
	struct filter_set *set;

	assert_true(decide_insns(insns, ARRAY_SIZE(insns), 64, 64));
	assert_int_equal(filter_program_new(&program, insns, ARRAY_SIZE(insns)), 0);
	assert_int_equal(
		filter_set_new(&set, (const struct filter_program *const *)&program, 1), 0);
	assert_int_equal(filter_set_stats(set).n_loads, 1);
	assert_int_equal(filter_set_stats(set).n_tests, 2); /* the bound, and the byte */
	filter_set_free(set);
	filter_program_free(program);
}

static struct filter_set_stats stats_of(unsigned int n, const char *const texts[])
{
	struct filter_program *programs[8];
	struct filter_set_stats stats;
	struct filter_set *set;

	for (unsigned int i = 0; i < n; i++)
		programs[i] = compile(texts[i]);
	assert_int_equal(
		filter_set_new(&set, (const struct filter_program *const *)programs, n), 0);
	stats = filter_set_stats(set);
	filter_set_free(set);
	for (unsigned int i = 0; i < n; i++)
		filter_program_free(programs[i]);
	return stats;
}

#define STATS(...)                                                   \
	stats_of(ARRAY_SIZE(((const char *const[]){ __VA_ARGS__ })), \
		(const char *const[]){ __VA_ARGS__ })

static void filters_share(void **state)
{
	struct filter_set_stats one = STATS("tcp port 80"), two;

	assert_int_equal(one.n_interpreted, 0);
	two = STATS("tcp port 80", "tcp port 80", "tcp port 443");
	assert_int_equal(two.n_programs, 3);
	assert_int_equal(two.n_distinct, 2);
	assert_int_equal(two.n_loads, one.n_loads);
	assert_int_equal(two.n_tests, one.n_tests + 4); /* two ports, in IPv4 and IPv6 */
	/* the same in other words */
	one = STATS("ip[0] & 0xf = 5 and len > 99 and ip[6] & 0x40 = 0");
	two = STATS("ip[0] & 0xf = 5 and len > 99 and ip[6] & 0x40 = 0",
		"(ip[0] & 0xf) << 2 = 20 and len >= 100 and (ip[6] >> 6) & 1 = 0",
		"(ip[0] & 0xf) * 4 + 6 = 26 and not len < 100 and (ip[6] & 0x40) / 64 = 0");
	assert_int_equal(two.n_distinct, 3);
	assert_int_equal(two.n_tests, one.n_tests);
	assert_int_equal(two.n_nodes, one.n_nodes);
}

/* Packets of all lengths in one batch, in batches of all kinds of sizes. */
static void batches_of_all_sizes_agree(void **state)
{
	static const unsigned int sizes[] = { 1, 2, 7, 63, 64, 65, 127, 128, 129, 192, 255, 256 };
	static const char *const texts[] = { "tcp port 80", "", "ip6", "len > 200", "ip[30] = 30",
		"udp or tcp[0] & 1 = 1", "ip protochain 6", "tcp port 80" };
	static struct packet_batch batch;
	static uint8_t bytes[PACKET_BATCH_MAX][80];
	struct filter_program *programs[ARRAY_SIZE(texts)];
	struct packet_mask masks[ARRAY_SIZE(texts)];
	struct filter_set *set;
	void *scratch;

	for (unsigned int f = 0; f < ARRAY_SIZE(texts); f++)
		programs[f] = compile(texts[f]);
	assert_int_equal(filter_set_new(&set, (const struct filter_program *const *)programs,
				 ARRAY_SIZE(texts)),
		0);
	assert_int_equal(filter_set_stats(set).n_interpreted, 1);
	assert_int_equal(filter_set_stats(set).n_distinct, ARRAY_SIZE(texts) - 1);
	scratch = new_scratch(set);
	for (unsigned int i = 0; i < PACKET_BATCH_MAX; i++) {
		memset(bytes[i], (int)i, sizeof(bytes[i]));
		memcpy(bytes[i] + 12, i % 5 ? "\x08\x00\x45" : "\x86\xdd\x60", 3);
		memcpy(bytes[i] + 20, i % 3 ? "\0\0\x40\x06" : "\0\0\x40\x11", 4);
		memcpy(bytes[i] + 34, i % 2 ? "\0\x50\1\2" : "\1\2\0\x51", 4);
		batch.data[i] = bytes[i];
		batch.cap_bytes[i] = i % 81;
		batch.wire_bytes[i] = 100 + i;
	}
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		for (const struct filter_compare_ops *const *ops = filter_compare_list(); *ops;
			ops++) {
			set->compare = *ops;
			batch.n = sizes[s];
			memset(masks, 0xff, sizeof(masks));
			filter_set_run(set, scratch, &batch, masks);
			for (unsigned int i = 0; i < ARRAY_SIZE(texts) * PACKET_BATCH_MAX; i++) {
				unsigned int f = i / PACKET_BATCH_MAX, p = i % PACKET_BATCH_MAX;
				bool right = p < batch.n &&
					bpf_filter(programs[f]->insns, batch.data[p],
						batch.wire_bytes[p], batch.cap_bytes[p]);

				assert_int_equal(packet_mask_test(&masks[f], p), right);
			}
		}
	}
	free(scratch);
	filter_set_free(set);
	for (unsigned int f = 0; f < ARRAY_SIZE(texts); f++)
		filter_program_free(programs[f]);
}

static void empty_set_does_nothing(void **state)
{
	static struct packet_batch batch = { .n = 1, .data = { bytes_64 }, .cap_bytes = { 64 } };
	struct packet_mask untouched = { .word = { 42 } };
	struct filter_set *set;
	void *scratch;

	assert_int_equal(filter_set_new(&set, NULL, 0), 0);
	scratch = new_scratch(set);
	filter_set_run(set, scratch, &batch, &untouched);
	assert_int_equal(untouched.word[0], 42);
	free(scratch);
	filter_set_free(set);
	assert_null(filter_set_free(NULL));
	assert_null(filter_program_free(NULL));
}

/* Doubles the number of states that a point can be reached in, 16 times. */
static void exploding_paths_are_interpreted(void **state)
{
	struct bpf_insn insns[16 * 6 + 6];
	struct filter_program *program;
	struct filter_set *set;
	unsigned int n = 0;

	insns[n++] = (struct bpf_insn)S(BPF_LD | BPF_IMM, 0);
	insns[n++] = (struct bpf_insn)S(BPF_ST, 0);
	for (unsigned int i = 0; i < 16; i++) {
		const struct bpf_insn part[] = { S(BPF_LD | BPF_B | BPF_ABS, i),
			J(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 3), S(BPF_LD | BPF_MEM, 0),
			S(BPF_ALU | BPF_ADD | BPF_K, 1u << i), S(BPF_ST, 0) };

		memcpy(&insns[n], part, sizeof(part));
		n += ARRAY_SIZE(part);
	}
	insns[n++] = (struct bpf_insn)S(BPF_LD | BPF_MEM, 0);
	insns[n++] = (struct bpf_insn)J(BPF_JMP | BPF_JEQ | BPF_K, 0xbeab, 0, 1);
	insns[n++] = (struct bpf_insn)S(BPF_RET | BPF_K, 1);
	insns[n++] = (struct bpf_insn)S(BPF_RET | BPF_K, 0);
	assert_int_equal(filter_program_new(&program, insns, n), 0);
	assert_int_equal(
		filter_set_new(&set, (const struct filter_program *const *)&program, 1), 0);
	assert_int_equal(filter_set_stats(set).n_interpreted, 1);
	filter_set_free(set);
	assert_true(decide(program, bytes_64, 64, 64));
	filter_program_free(program);
}

static void open_cases_are_defined(void **state)
{
	assert_true(DECIDE(64, S(BPF_LD | BPF_MEM, 3), EQUALS(0)));
	assert_true(DECIDE(
		64, S(BPF_LD | BPF_B | BPF_ABS, 0), S(BPF_ALU | BPF_LSH | BPF_K, 32), EQUALS(0)));
	assert_true(DECIDE(
		64, S(BPF_LD | BPF_B | BPF_ABS, 0), S(BPF_ALU | BPF_RSH | BPF_K, 99), EQUALS(0)));
}

static void unsound_programs_are_refused(void **state)
{
	static const struct bpf_insn bad[][3] = {
		/* libpcap's bpf_validate() accepts the first four */
		{ S(BPF_LDX | BPF_W | BPF_ABS, 0), S(BPF_RET | BPF_K, 0), S(BPF_RET | BPF_K, 0) },
		{ S(BPF_LD | BPF_MSH | BPF_B, 0), S(BPF_RET | BPF_K, 0), S(BPF_RET | BPF_K, 0) },
		{ S(BPF_RET | BPF_X, 0), S(BPF_RET | BPF_K, 0), S(BPF_RET | BPF_K, 0) },
		{ S(BPF_MISC | 0x40, 0), S(BPF_RET | BPF_K, 0), S(BPF_RET | BPF_K, 0) },
		{ S(BPF_ALU | BPF_DIV | BPF_K, 0), S(BPF_RET | BPF_A, 0), S(BPF_RET | BPF_K, 0) },
		{ S(BPF_JMP | BPF_JA, 2), S(BPF_RET | BPF_A, 0), S(BPF_RET | BPF_K, 0) },
		{ S(BPF_JMP | BPF_JA, 0xfffffffe), S(BPF_RET | BPF_A, 0), S(BPF_RET | BPF_K, 0) },
		{ S(BPF_ST, 16), S(BPF_RET | BPF_A, 0), S(BPF_RET | BPF_K, 0) },
		{ S(BPF_RET | BPF_A, 0), S(BPF_RET | BPF_A, 0), S(BPF_ST, 0) },
	};
	struct filter_program *untouched = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(filter_program_new(&untouched, bad[i], 3), -EINVAL);
	assert_int_equal(filter_program_new(&untouched, bad[0], 0), -EINVAL);
	assert_int_equal(filter_program_new(&untouched, bad[0], UINT32_MAX), -EINVAL);
	assert_null(untouched);
}

static void lack_of_memory_is_reported(void **state)
{
	const char *const texts[] = { "tcp port 80 or ip[ip[0]:2] / ip[3] > len", "ip protochain 6",
		"tcp portrange 80-443 and not host 1.2.3.4" };
	struct filter_program *programs[ARRAY_SIZE(texts)], *one;
	struct filter_set *set = NULL;
	int r = -ENOMEM;

	for (unsigned int i = 0; i < ARRAY_SIZE(texts); i++)
		programs[i] = compile(texts[i]);
	for (unsigned int fail_at = 1; r == -ENOMEM; fail_at++) {
		assert_true(fail_at < 1000);
		alloc_fail_at = fail_at;
		r = filter_set_new(
			&set, (const struct filter_program *const *)programs, ARRAY_SIZE(texts));
		assert_true(r == 0 || (r == -ENOMEM && !set));
	}
	alloc_fail_at = 0;
	assert_int_equal(r, 0);
	filter_set_free(set);
	alloc_fail_at = 1;
	assert_int_equal(
		filter_program_new(&one, programs[0]->insns, programs[0]->n_insns), -ENOMEM);
	alloc_fail_at = 1;
	assert_int_equal(filter_compile(&one, "ip", 1, NULL), -ENOMEM);
	alloc_fail_at = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(texts); i++)
		filter_program_free(programs[i]);
}

#define N_DIRECTION_FILTERS 6

/* Which of the six filters below accept a packet: by hand. */
static void directions_right(unsigned int i, bool is_live, uint8_t flags, bool ret[])
{
	bool in = is_live && flags & PACKET_INBOUND, out = is_live && flags & PACKET_OUTBOUND;
	bool is_ip = i % 2 == 0;

	ret[0] = ret[1] = in;
	ret[2] = out;
	ret[3] = out && is_ip;
	ret[4] = in;
	ret[5] = in;
}

/* Once lifted, with every set of inner loops; and with an interpreted filter among them. */
static void directions_decide(void **state)
{
	static const uint8_t flags[] = { PACKET_INBOUND, PACKET_OUTBOUND, 0,
		PACKET_OUTBOUND | PACKET_CHECKSUM_OPEN, PACKET_INBOUND | PACKET_SUPER };
	static const uint8_t ip[34] = { [12] = 8, 0, 0x45 }, arp[34] = { [12] = 8, 6 };
	static const char *const texts[N_DIRECTION_FILTERS - 2] = { "inbound", "not outbound",
		"outbound", "outbound and ip" };
	/* direction computed with, so that the column is a wide one; and behind a jump backwards */
	const struct bpf_insn wide[] = { S(BPF_LD | BPF_H | BPF_ABS, FILTER_DIRECTION_AT),
		S(BPF_MISC | BPF_TAX, 0), S(BPF_LD | BPF_H | BPF_ABS, FILTER_DIRECTION_AT),
		S(BPF_ALU | BPF_ADD | BPF_X, 0), J(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		S(BPF_RET | BPF_K, 1), S(BPF_RET | BPF_K, 0) };
	const struct bpf_insn loop[] = { S(BPF_LD | BPF_H | BPF_ABS, FILTER_DIRECTION_AT),
		S(BPF_JMP | BPF_JA, 2), J(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2),
		S(BPF_RET | BPF_K, 1), S(BPF_JMP | BPF_JA, (uint32_t)-3), S(BPF_RET | BPF_K, 0) };
	struct filter_program *programs[N_DIRECTION_FILTERS];
	const struct filter_program *const *list = (const struct filter_program *const *)programs;
	static struct packet_batch batch;
	struct packet_mask masks[N_DIRECTION_FILTERS];
	struct filter_set *set;
	void *scratch;

	for (unsigned int f = 0; f < ARRAY_SIZE(texts); f++)
		assert_int_equal(filter_compile(&programs[f], texts[f], 1, NULL), 0);
	assert_int_equal(filter_program_new(&programs[4], wide, ARRAY_SIZE(wide)), 0);
	assert_int_equal(filter_program_copy(&programs[5], loop, ARRAY_SIZE(loop)), 0);
	assert_int_equal(filter_set_new(&set, list, N_DIRECTION_FILTERS), 0);
	assert_int_equal(filter_set_stats(set).n_interpreted, 1);
	scratch = new_scratch(set);
	batch.n = 200;
	for (unsigned int i = 0; i < batch.n; i++) {
		batch.data[i] = i % 2 == 0 ? ip : arp;
		batch.cap_bytes[i] = batch.wire_bytes[i] = sizeof(ip);
		batch.flags[i] = flags[i / 2 % ARRAY_SIZE(flags)];
	}
	for (unsigned int is_live = 0; is_live < 2; is_live++) {
		batch.is_live = is_live;
		for (unsigned int c = 0; filter_compare_list()[c]; c++) {
			set->compare = filter_compare_list()[c];
			filter_set_run(set, scratch, &batch, masks);
			for (unsigned int i = 0; i < batch.n; i++) {
				bool right[N_DIRECTION_FILTERS];

				directions_right(i, is_live, batch.flags[i], right);
				for (unsigned int f = 0; f < N_DIRECTION_FILTERS; f++)
					assert_int_equal(packet_mask_test(&masks[f], i), right[f]);
			}
		}
	}
	free(scratch);
	filter_set_free(set);
	for (unsigned int f = 0; f < N_DIRECTION_FILTERS; f++)
		filter_program_free(programs[f]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_are_big_endian),
		cmocka_unit_test(loads_outside_reject),
		cmocka_unit_test(arithmetic_is_modulo_2_32),
		cmocka_unit_test(division_by_zero_rejects),
		cmocka_unit_test(comparisons_agree),
		cmocka_unit_test(memory_and_registers_keep_values),
		cmocka_unit_test(accumulator_decides),
		cmocka_unit_test(length_is_that_on_the_wire),
		cmocka_unit_test(repeated_tests_count_once),
		cmocka_unit_test(filters_share),
		cmocka_unit_test(batches_of_all_sizes_agree),
		cmocka_unit_test(directions_decide),
		cmocka_unit_test(empty_set_does_nothing),
		cmocka_unit_test(exploding_paths_are_interpreted),
		cmocka_unit_test(open_cases_are_defined),
		cmocka_unit_test(unsound_programs_are_refused),
		cmocka_unit_test(lack_of_memory_is_reported),
	};

	return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
