/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tests of a column against constants with AVX2 and AVX-512, chosen at run time (compare.c).
 *
 * A part of the column is held in registers while all tests of it pass by.
 *
 * AVX2 compares only signed numbers: x >= k is max(x, k) == x. Its packing instructions work on the
 * two halves of a register separately, so that what they mixed must be sorted again. AVX-512 has
 * comparisons of unsigned numbers that give bits.
 */
#include "compare_nodes_private.h"

#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

#define COMPARE_AVX2 __attribute__((target("avx2")))
#define COMPARE_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx2")))

#define COMPARE_EQ(x, k, bits) _mm256_cmpeq_epi##bits(x, k)
#define COMPARE_GE(x, k, bits) _mm256_cmpeq_epi##bits(_mm256_max_epu##bits(x, k), x)

/* Vector j of a part of the column, masked. */
#define COMPARE_IN(j) _mm256_and_si256(_mm256_loadu_si256((const void *)(in + 32 * (j))), m)

/*
 * 32 packets at a time: LOAD declares the vectors x0 ..., TRUTH makes bytes of all ones or zeros
 * out of them and the constant k.
 */
#define COMPARE_LOOP_256(name, bits, LOAD, TRUTH, RELATION)                                       \
	COMPARE_AVX2 static void name(const void *column, uint32_t mask,                          \
		const struct filter_run_test *tests, unsigned int n_tests, unsigned int n_words,  \
		struct packet_mask *masks)                                                        \
	{                                                                                         \
		const __m256i m = _mm256_set1_epi##bits((int##bits##_t)mask);                     \
		const uint8_t *in = column;                                                       \
                                                                                                  \
		for (unsigned int part = 0; part < 2 * n_words; part++, in += 4 * (bits)) {       \
			LOAD;                                                                     \
                                                                                                  \
			for (const struct filter_run_test *t = tests; t < tests + n_tests; t++) { \
				const __m256i k = _mm256_set1_epi##bits((int##bits##_t)t->k);     \
				int truth = _mm256_movemask_epi8(TRUTH(RELATION));                \
                                                                                                  \
				memcpy((uint8_t *)&masks[t->ret] + 4 * part, &truth, 4);          \
			}                                                                         \
		}                                                                                 \
	}

#define COMPARE_LOAD_8 const __m256i x0 = COMPARE_IN(0)
#define COMPARE_LOAD_16 const __m256i x0 = COMPARE_IN(0), x1 = COMPARE_IN(1)
#define COMPARE_LOAD_32                                                           \
	const __m256i x0 = COMPARE_IN(0), x1 = COMPARE_IN(1), x2 = COMPARE_IN(2), \
		      x3 = COMPARE_IN(3), order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)
#define COMPARE_TRUTH_8(RELATION) RELATION(x0, k, 8)
#define COMPARE_TRUTH_16(RELATION) \
	_mm256_permute4x64_epi64(_mm256_packs_epi16(RELATION(x0, k, 16), RELATION(x1, k, 16)), 0xd8)
#define COMPARE_TRUTH_32(RELATION)                                                               \
	_mm256_permutevar8x32_epi32(                                                             \
		_mm256_packs_epi16(_mm256_packs_epi32(RELATION(x0, k, 32), RELATION(x1, k, 32)), \
			_mm256_packs_epi32(RELATION(x2, k, 32), RELATION(x3, k, 32))),           \
		order)

COMPARE_LOOP_256(compare_avx2_eq_8, 8, COMPARE_LOAD_8, COMPARE_TRUTH_8, COMPARE_EQ)
COMPARE_LOOP_256(compare_avx2_ge_8, 8, COMPARE_LOAD_8, COMPARE_TRUTH_8, COMPARE_GE)
COMPARE_LOOP_256(compare_avx2_eq_16, 16, COMPARE_LOAD_16, COMPARE_TRUTH_16, COMPARE_EQ)
COMPARE_LOOP_256(compare_avx2_ge_16, 16, COMPARE_LOAD_16, COMPARE_TRUTH_16, COMPARE_GE)
COMPARE_LOOP_256(compare_avx2_eq_32, 32, COMPARE_LOAD_32, COMPARE_TRUTH_32, COMPARE_EQ)
COMPARE_LOOP_256(compare_avx2_ge_32, 32, COMPARE_LOAD_32, COMPARE_TRUTH_32, COMPARE_GE)

COMPARE_AVX2 static void compare_avx2_nodes(
	const struct filter_run_node *nodes, unsigned int n_nodes, filter_mask_vec *masks)
{
	compare_nodes_inline(nodes, n_nodes, masks);
}

const struct filter_compare_ops filter_compare_avx2 = {
	.name = "avx2",
	.eq = { compare_avx2_eq_8, compare_avx2_eq_16, compare_avx2_eq_32 },
	.ge = { compare_avx2_ge_8, compare_avx2_ge_16, compare_avx2_ge_32 },
	.nodes = compare_avx2_nodes,
};

/* 64 packets at a time, in as many vectors as they fill. */
#define COMPARE_LOOP_512(name, bits, LOAD, STORE, relation)                                       \
	COMPARE_AVX512 static void name(const void *column, uint32_t mask,                        \
		const struct filter_run_test *tests, unsigned int n_tests, unsigned int n_words,  \
		struct packet_mask *masks)                                                        \
	{                                                                                         \
		const __m512i m = _mm512_set1_epi##bits((int##bits##_t)mask);                     \
		const uint8_t *in = column;                                                       \
                                                                                                  \
		for (unsigned int w = 0; w < n_words; w++, in += 8 * (bits)) {                    \
			LOAD;                                                                     \
                                                                                                  \
			for (const struct filter_run_test *t = tests; t < tests + n_tests; t++) { \
				const __m512i k = _mm512_set1_epi##bits((int##bits##_t)t->k);     \
				uint8_t *ret = (uint8_t *)&masks[t->ret].word[w];                 \
                                                                                                  \
				STORE(relation);                                                  \
			}                                                                         \
		}                                                                                 \
	}

#define COMPARE_IN_512(j) _mm512_and_si512(_mm512_loadu_si512(in + 64 * (j)), m)
#define COMPARE_OUT_512(j, relation, bits)                             \
	do {                                                           \
		__mmask##bits truth = RELATION_512(relation, j, bits); \
                                                                       \
		memcpy(ret + (bits) / 8 * (j), &truth, (bits) / 8);    \
	} while (0)
/* a vector of 64 / 32 / 16 elements has elements of 8 / 16 / 32 bits */
#define RELATION_512(relation, j, bits) RELATION_512_##bits(relation, x##j)
#define RELATION_512_64(relation, x) _mm512_cmp##relation##_epu8_mask(x, k)
#define RELATION_512_32(relation, x) _mm512_cmp##relation##_epu16_mask(x, k)
#define RELATION_512_16(relation, x) _mm512_cmp##relation##_epu32_mask(x, k)

#define COMPARE_LOAD_512_8 const __m512i x0 = COMPARE_IN_512(0)
#define COMPARE_LOAD_512_16 const __m512i x0 = COMPARE_IN_512(0), x1 = COMPARE_IN_512(1)
#define COMPARE_LOAD_512_32                                                                   \
	const __m512i x0 = COMPARE_IN_512(0), x1 = COMPARE_IN_512(1), x2 = COMPARE_IN_512(2), \
		      x3 = COMPARE_IN_512(3)
#define COMPARE_STORE_512_8(relation) COMPARE_OUT_512(0, relation, 64)
#define COMPARE_STORE_512_16(relation)            \
	do {                                      \
		COMPARE_OUT_512(0, relation, 32); \
		COMPARE_OUT_512(1, relation, 32); \
	} while (0)
#define COMPARE_STORE_512_32(relation)            \
	do {                                      \
		COMPARE_OUT_512(0, relation, 16); \
		COMPARE_OUT_512(1, relation, 16); \
		COMPARE_OUT_512(2, relation, 16); \
		COMPARE_OUT_512(3, relation, 16); \
	} while (0)

COMPARE_LOOP_512(compare_avx512_eq_8, 8, COMPARE_LOAD_512_8, COMPARE_STORE_512_8, eq)
COMPARE_LOOP_512(compare_avx512_ge_8, 8, COMPARE_LOAD_512_8, COMPARE_STORE_512_8, ge)
COMPARE_LOOP_512(compare_avx512_eq_16, 16, COMPARE_LOAD_512_16, COMPARE_STORE_512_16, eq)
COMPARE_LOOP_512(compare_avx512_ge_16, 16, COMPARE_LOAD_512_16, COMPARE_STORE_512_16, ge)
COMPARE_LOOP_512(compare_avx512_eq_32, 32, COMPARE_LOAD_512_32, COMPARE_STORE_512_32, eq)
COMPARE_LOOP_512(compare_avx512_ge_32, 32, COMPARE_LOAD_512_32, COMPARE_STORE_512_32, ge)

COMPARE_AVX512 static void compare_avx512_nodes(
	const struct filter_run_node *nodes, unsigned int n_nodes, filter_mask_vec *masks)
{
	compare_nodes_inline(nodes, n_nodes, masks);
}

const struct filter_compare_ops filter_compare_avx512 = {
	.name = "avx512",
	.eq = { compare_avx512_eq_8, compare_avx512_eq_16, compare_avx512_eq_32 },
	.ge = { compare_avx512_ge_8, compare_avx512_ge_16, compare_avx512_ge_32 },
	.nodes = compare_avx512_nodes,
};
#endif
