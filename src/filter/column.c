/* SPDX-License-Identifier: BSD-2-Clause */
/* Columns: loads gathered from the packets of a batch, and arithmetic on them. */
#include "filter_private.h"

#include "base/buf.h"

/*
 * The loops below come in every combination of load and column width. Where all packets may be read
 * the loop is straight, so that the memory accesses of many packets overlap; else it visits the
 * bits of the mask. @which is inside the captured bytes, which is what makes the accesses legal.
 */
#define COLUMN_VISIT(statement)                                                        \
	for (unsigned int w = 0; w < PACKET_MASK_WORDS; w++) {                         \
		for (uint64_t bits = which->word[w]; bits; bits &= bits - 1) {         \
			unsigned int i = w * 64 + (unsigned int)__builtin_ctzll(bits); \
                                                                                       \
			statement;                                                     \
		}                                                                      \
	}

#define COLUMN_LOOPS(suffix, type, get)                                                \
	static void column_load_##suffix(const struct packet_batch *batch, uint32_t k, \
		const struct packet_mask *which, const uint32_t *base, type *ret)      \
	{                                                                              \
		if (!which && !base) {                                                 \
			for (unsigned int i = 0; i < batch->n; i++)                    \
				ret[i] = get(batch->data[i] + k);                      \
		} else if (!which) {                                                   \
			for (unsigned int i = 0; i < batch->n; i++)                    \
				ret[i] = get(batch->data[i] + k + base[i]);            \
		} else if (!base) {                                                    \
			COLUMN_VISIT(ret[i] = get(batch->data[i] + k));                \
		} else {                                                               \
			COLUMN_VISIT(ret[i] = get(batch->data[i] + k + base[i]));      \
		}                                                                      \
	}

static inline uint8_t column_get_8(const uint8_t *p)
{
	return *p;
}

COLUMN_LOOPS(8_to_8, uint8_t, column_get_8)
COLUMN_LOOPS(8_to_32, uint32_t, column_get_8)
COLUMN_LOOPS(16_to_16, uint16_t, buf_peek_be16)
COLUMN_LOOPS(16_to_32, uint32_t, buf_peek_be16)
COLUMN_LOOPS(32_to_32, uint32_t, buf_peek_be32)

void filter_column_load(const struct filter_step *step, const struct packet_batch *batch,
	const struct packet_mask *which, const uint32_t *base, void *ret)
{
	if (step->bytes == 1 && step->width == FILTER_COLUMN_8)
		column_load_8_to_8(batch, step->k, which, base, ret);
	else if (step->bytes == 1)
		column_load_8_to_32(batch, step->k, which, base, ret);
	else if (step->bytes == 2 && step->width == FILTER_COLUMN_16)
		column_load_16_to_16(batch, step->k, which, base, ret);
	else if (step->bytes == 2)
		column_load_16_to_32(batch, step->k, which, base, ret);
	else
		column_load_32_to_32(batch, step->k, which, base, ret);
}

void filter_column_direction(
	const struct packet_batch *batch, enum filter_column_width width, void *ret)
{
	uint8_t *bytes = ret;
	uint32_t *words = ret;

	for (unsigned int i = 0; i < batch->n; i++) {
		if (width == FILTER_COLUMN_8)
			bytes[i] = filter_direction(batch, i);
		else
			words[i] = filter_direction(batch, i);
	}
}

/* Each operation for column and column, column and constant, constant and column. */
#define COLUMN_ALU(a_i, b_i, expression)               \
	do {                                           \
		for (unsigned int i = 0; i < n; i++) { \
			uint32_t x = (a_i), y = (b_i); \
                                                       \
			ret[i] = (expression);         \
		}                                      \
	} while (0)
#define COLUMN_ALU_FORMS(expression)                        \
	do {                                                \
		if (a && b)                                 \
			COLUMN_ALU(a[i], b[i], expression); \
		else if (a)                                 \
			COLUMN_ALU(a[i], k, expression);    \
		else                                        \
			COLUMN_ALU(k, b[i], expression);    \
	} while (0)

/* Packets that do not need the column are computed too: whatever is there, it must not trap. */
void filter_column_alu(const struct filter_step *step, unsigned int n, const uint32_t *a,
	const uint32_t *b, uint32_t *ret)
{
	uint32_t k = step->k;

	switch (step->op) {
	case BPF_ADD:
		COLUMN_ALU_FORMS(x + y);
		break;
	case BPF_SUB:
		COLUMN_ALU_FORMS(x - y);
		break;
	case BPF_MUL:
		COLUMN_ALU_FORMS(x * y);
		break;
	case BPF_DIV:
		COLUMN_ALU_FORMS(y ? x / y : 0);
		break;
	case BPF_MOD:
		COLUMN_ALU_FORMS(y ? x % y : 0);
		break;
	case BPF_AND:
		COLUMN_ALU_FORMS(x & y);
		break;
	case BPF_OR:
		COLUMN_ALU_FORMS(x | y);
		break;
	case BPF_XOR:
		COLUMN_ALU_FORMS(x ^ y);
		break;
	case BPF_LSH:
		COLUMN_ALU_FORMS(y < 32 ? x << y : 0);
		break;
	case BPF_RSH:
		COLUMN_ALU_FORMS(y < 32 ? x >> y : 0);
		break;
	}
}
