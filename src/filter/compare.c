/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tests of a column against a constant, in plain C, and the choice of the instruction set.
 *
 * The answers are first bytes, 0 or 1, in a loop that compilers vectorise; then eight bytes at a
 * time become eight bits: multiplying by the magic number moves byte i's lowest bit to bit 56 + i,
 * and nothing else there.
 */
#include "compare_nodes_private.h"

#include <endian.h>
#include <string.h>

#define COMPARE_PACK 0x0102040810204080u

static uint64_t compare_pack(const uint8_t truth[64])
{
	uint64_t word = 0, eight;

	for (unsigned int i = 0; i < 8; i++) {
		memcpy(&eight, truth + 8 * i, sizeof(eight));
		word |= (le64toh(eight) * COMPARE_PACK >> 56) << (8 * i);
	}
	return word;
}

#define COMPARE_LOOP(name, type, relation)                                                       \
	static void name(const void *column, uint32_t mask, const struct filter_run_test *tests, \
		unsigned int n_tests, unsigned int n_words, struct packet_mask *masks)           \
	{                                                                                        \
		for (const struct filter_run_test *t = tests; t < tests + n_tests; t++) {        \
			const type *in = column;                                                 \
			const type m = (type)mask, k = (type)t->k;                               \
                                                                                                 \
			for (unsigned int w = 0; w < n_words; w++, in += 64) {                   \
				uint8_t truth[64];                                               \
                                                                                                 \
				for (unsigned int i = 0; i < 64; i++)                            \
					truth[i] = (in[i] & m) relation k;                       \
				masks[t->ret].word[w] = compare_pack(truth);                     \
			}                                                                        \
		}                                                                                \
	}

COMPARE_LOOP(compare_eq_8, uint8_t, ==)
COMPARE_LOOP(compare_eq_16, uint16_t, ==)
COMPARE_LOOP(compare_eq_32, uint32_t, ==)
COMPARE_LOOP(compare_ge_8, uint8_t, >=)
COMPARE_LOOP(compare_ge_16, uint16_t, >=)
COMPARE_LOOP(compare_ge_32, uint32_t, >=)

static void compare_nodes(
	const struct filter_run_node *nodes, unsigned int n_nodes, filter_mask_vec *masks)
{
	compare_nodes_inline(nodes, n_nodes, masks);
}

const struct filter_compare_ops filter_compare_portable = {
	.name = "portable",
	.eq = { compare_eq_8, compare_eq_16, compare_eq_32 },
	.ge = { compare_ge_8, compare_ge_16, compare_ge_32 },
	.nodes = compare_nodes,
};

const struct filter_compare_ops *const *filter_compare_list(void)
{
	static const struct filter_compare_ops *const portable[] = { &filter_compare_portable,
		NULL };
#ifdef __x86_64__
	static const struct filter_compare_ops *const avx2[] = { &filter_compare_avx2,
		&filter_compare_portable, NULL };
	static const struct filter_compare_ops *const avx512[] = { &filter_compare_avx512,
		&filter_compare_avx2, &filter_compare_portable, NULL };

	if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
		return avx512;
	if (__builtin_cpu_supports("avx2"))
		return avx2;
#endif
	return portable;
}
