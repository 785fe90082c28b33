/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tests of a column against a constant with AVX2 and AVX-512, chosen at run time (compare.c).
 *
 * AVX2 compares only signed numbers: x >= k is max(x, k) == x. Its packing instructions work on the
 * two halves of a register separately, so that what they mixed must be sorted again. AVX-512 has
 * comparisons of unsigned numbers that give bits.
 */
#include "compare_nodes_private.h"

#ifdef __x86_64__
#include <immintrin.h>

#define COMPARE_AVX2 __attribute__((target("avx2")))
#define COMPARE_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx2")))

/* One inner loop; WORD makes 64 bits out of the 64 elements at @in. */
#define COMPARE_LOOP(attribute, name, type, WORD)                                 \
	attribute static void name(const void *column, uint32_t mask, uint32_t k, \
		unsigned int n_words, uint64_t *ret)                              \
	{                                                                         \
		const type *in = column;                                          \
                                                                                  \
		for (unsigned int w = 0; w < n_words; w++, in += 64)              \
			ret[w] = WORD(in, mask, k);                               \
	}

COMPARE_AVX2 static inline __m256i compare_load256(const void *p)
{
	return _mm256_loadu_si256(p);
}

/* 32 bytes of all ones or all zeros become 32 bits. */
COMPARE_AVX2 static inline uint64_t compare_bits(__m256i truth)
{
	return (uint32_t)_mm256_movemask_epi8(truth);
}

#define COMPARE_EQ(x, k, bits) _mm256_cmpeq_epi##bits(x, k)
#define COMPARE_GE(x, k, bits) _mm256_cmpeq_epi##bits(_mm256_max_epu##bits(x, k), x)

#define COMPARE_WORD_8(name, RELATION)                                                         \
	COMPARE_AVX2 static inline uint64_t name(const uint8_t *in, uint32_t mask, uint32_t k) \
	{                                                                                      \
		const __m256i m = _mm256_set1_epi8((char)mask), c = _mm256_set1_epi8((char)k); \
		uint64_t word = 0;                                                             \
                                                                                               \
		for (unsigned int i = 0; i < 2; i++) {                                         \
			__m256i x = _mm256_and_si256(compare_load256(in + 32 * i), m);         \
                                                                                               \
			word |= compare_bits(RELATION(x, c, 8)) << (32 * i);                   \
		}                                                                              \
		return word;                                                                   \
	}

#define COMPARE_WORD_16(name, RELATION)                                                         \
	COMPARE_AVX2 static inline uint64_t name(const uint16_t *in, uint32_t mask, uint32_t k) \
	{                                                                                       \
		const __m256i m = _mm256_set1_epi16((short)mask);                               \
		const __m256i c = _mm256_set1_epi16((short)k);                                  \
		uint64_t word = 0;                                                              \
                                                                                                \
		for (unsigned int i = 0; i < 2; i++, in += 32) {                                \
			__m256i x = _mm256_and_si256(compare_load256(in), m);                   \
			__m256i y = _mm256_and_si256(compare_load256(in + 16), m);              \
			__m256i t = _mm256_packs_epi16(RELATION(x, c, 16), RELATION(y, c, 16)); \
                                                                                                \
			t = _mm256_permute4x64_epi64(t, 0xd8);                                  \
			word |= compare_bits(t) << (32 * i);                                    \
		}                                                                               \
		return word;                                                                    \
	}

#define COMPARE_WORD_32(name, RELATION)                                                          \
	COMPARE_AVX2 static inline uint64_t name(const uint32_t *in, uint32_t mask, uint32_t k)  \
	{                                                                                        \
		const __m256i m = _mm256_set1_epi32((int)mask), c = _mm256_set1_epi32((int)k);   \
		const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);                 \
		uint64_t word = 0;                                                               \
                                                                                                 \
		for (unsigned int i = 0; i < 2; i++, in += 32) {                                 \
			__m256i t[4];                                                            \
                                                                                                 \
			for (unsigned int j = 0; j < 4; j++) {                                   \
				__m256i x = _mm256_and_si256(compare_load256(in + 8 * j), m);    \
                                                                                                 \
				t[j] = RELATION(x, c, 32);                                       \
			}                                                                        \
			t[0] = _mm256_packs_epi16(                                               \
				_mm256_packs_epi32(t[0], t[1]), _mm256_packs_epi32(t[2], t[3])); \
			t[0] = _mm256_permutevar8x32_epi32(t[0], order);                         \
			word |= compare_bits(t[0]) << (32 * i);                                  \
		}                                                                                \
		return word;                                                                     \
	}

COMPARE_WORD_8(compare_word_eq_8, COMPARE_EQ)
COMPARE_WORD_8(compare_word_ge_8, COMPARE_GE)
COMPARE_WORD_16(compare_word_eq_16, COMPARE_EQ)
COMPARE_WORD_16(compare_word_ge_16, COMPARE_GE)
COMPARE_WORD_32(compare_word_eq_32, COMPARE_EQ)
COMPARE_WORD_32(compare_word_ge_32, COMPARE_GE)
COMPARE_LOOP(COMPARE_AVX2, compare_avx2_eq_8, uint8_t, compare_word_eq_8)
COMPARE_LOOP(COMPARE_AVX2, compare_avx2_ge_8, uint8_t, compare_word_ge_8)
COMPARE_LOOP(COMPARE_AVX2, compare_avx2_eq_16, uint16_t, compare_word_eq_16)
COMPARE_LOOP(COMPARE_AVX2, compare_avx2_ge_16, uint16_t, compare_word_ge_16)
COMPARE_LOOP(COMPARE_AVX2, compare_avx2_eq_32, uint32_t, compare_word_eq_32)
COMPARE_LOOP(COMPARE_AVX2, compare_avx2_ge_32, uint32_t, compare_word_ge_32)

COMPARE_AVX2 static void compare_avx2_nodes(
	const struct run_node *nodes, unsigned int n_nodes, mask_vec *masks, uint32_t first_node)
{
	compare_nodes_inline(nodes, n_nodes, masks, first_node);
}

const struct compare_ops compare_avx2 = {
	.name = "avx2",
	.eq = { compare_avx2_eq_8, compare_avx2_eq_16, compare_avx2_eq_32 },
	.ge = { compare_avx2_ge_8, compare_avx2_ge_16, compare_avx2_ge_32 },
	.nodes = compare_avx2_nodes,
};

#define COMPARE_WORD_512(name, type, relation, bits)                                          \
	COMPARE_AVX512 static inline uint64_t name(const type *in, uint32_t mask, uint32_t k) \
	{                                                                                     \
		const __m512i m = _mm512_set1_epi##bits((int##bits##_t)mask);                 \
		const __m512i c = _mm512_set1_epi##bits((int##bits##_t)k);                    \
		uint64_t word = 0;                                                            \
                                                                                              \
		for (unsigned int i = 0; i < 64; i += 512 / (bits)) {                         \
			__m512i x = _mm512_and_si512(_mm512_loadu_si512(in + i), m);          \
                                                                                              \
			word |= (uint64_t)_mm512_cmp##relation##_epu##bits##_mask(x, c) << i; \
		}                                                                             \
		return word;                                                                  \
	}

COMPARE_WORD_512(compare_word512_eq_8, uint8_t, eq, 8)
COMPARE_WORD_512(compare_word512_ge_8, uint8_t, ge, 8)
COMPARE_WORD_512(compare_word512_eq_16, uint16_t, eq, 16)
COMPARE_WORD_512(compare_word512_ge_16, uint16_t, ge, 16)
COMPARE_WORD_512(compare_word512_eq_32, uint32_t, eq, 32)
COMPARE_WORD_512(compare_word512_ge_32, uint32_t, ge, 32)
COMPARE_LOOP(COMPARE_AVX512, compare_avx512_eq_8, uint8_t, compare_word512_eq_8)
COMPARE_LOOP(COMPARE_AVX512, compare_avx512_ge_8, uint8_t, compare_word512_ge_8)
COMPARE_LOOP(COMPARE_AVX512, compare_avx512_eq_16, uint16_t, compare_word512_eq_16)
COMPARE_LOOP(COMPARE_AVX512, compare_avx512_ge_16, uint16_t, compare_word512_ge_16)
COMPARE_LOOP(COMPARE_AVX512, compare_avx512_eq_32, uint32_t, compare_word512_eq_32)
COMPARE_LOOP(COMPARE_AVX512, compare_avx512_ge_32, uint32_t, compare_word512_ge_32)

COMPARE_AVX512 static void compare_avx512_nodes(
	const struct run_node *nodes, unsigned int n_nodes, mask_vec *masks, uint32_t first_node)
{
	compare_nodes_inline(nodes, n_nodes, masks, first_node);
}

const struct compare_ops compare_avx512 = {
	.name = "avx512",
	.eq = { compare_avx512_eq_8, compare_avx512_eq_16, compare_avx512_eq_32 },
	.ge = { compare_avx512_ge_8, compare_avx512_ge_16, compare_avx512_ge_32 },
	.nodes = compare_avx512_nodes,
};
#endif
