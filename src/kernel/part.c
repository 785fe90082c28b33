/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In which part of all flows a packet is: decode_flow_part(), instruction by instruction.
 *
 * The hash is XXH3 of 64 bits with a seed, for inputs of 17 to 128 bytes (Yann Collet, "XXH3"; the
 * draft's "medium inputs"): the sum, over four pieces of 16 bytes, of the halves of a product of
 * 128 bits, folded; then mixed once more. Products are put together of four of 64 bits.
 *
 * It is a function, which stands once in a program however many filters ask for it, and knows no
 * packet: the words of the key are in the area, as numbers. The verifier follows it at each call,
 * as all functions, but registers hold nothing that it could tell apart when it returns.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "kernel_private.h"
#include "packet/decode.h"

#define PART_BYTES 40u /* of what is hashed */
#define PART_MIX 0x165667919e3779f9u /* PRIME_MX1 */

#define PART_AREA BPF_REG_9
#define PART_SUM BPF_REG_6

static int16_t part_at(uint32_t word)
{
	return (int16_t)(AREA_AT(flow) + (int)(4 * word));
}

static void part_wide(struct kernel_asm *c, uint8_t reg, uint64_t value)
{
	kernel_asm_put(c, INSN(BPF_LD | BPF_IMM | BPF_DW, reg, 0, 0, (int32_t)(uint32_t)value));
	kernel_asm_put(c, INSN(0, 0, 0, 0, (int32_t)(uint32_t)(value >> 32)));
}

static void part_load(struct kernel_asm *c, uint8_t reg, uint32_t word)
{
	kernel_asm_put(c, LOAD(BPF_W, reg, PART_AREA, part_at(word)));
}

static void part_store(struct kernel_asm *c, uint8_t reg, uint32_t word)
{
	kernel_asm_put(c, STORE(BPF_W, PART_AREA, reg, part_at(word)));
}

/* The smaller address first, of equal ones that with the smaller port. */
static void part_order(struct kernel_asm *c)
{
	uint32_t turned = kernel_asm_label(c), ordered = kernel_asm_label(c);

	for (uint32_t i = 0; i < FILTER_FLOW_DST; i++) {
		part_load(c, BPF_REG_1, FILTER_FLOW_SRC + i);
		part_load(c, BPF_REG_2, FILTER_FLOW_DST + i);
		kernel_asm_jump(c, IF_REG(BPF_JLT, BPF_REG_1, BPF_REG_2), ordered);
		kernel_asm_jump(c, IF_REG(BPF_JGT, BPF_REG_1, BPF_REG_2), turned);
	}
	part_load(c, BPF_REG_1, FILTER_FLOW_PORTS);
	kernel_asm_put(c, MOV_REG(BPF_REG_2, BPF_REG_1));
	kernel_asm_put(c, ALU32_IMM(BPF_RSH, BPF_REG_1, 16));
	kernel_asm_put(c, ALU32_IMM(BPF_AND, BPF_REG_2, 0xffff));
	kernel_asm_jump(c, IF_REG(BPF_JLE, BPF_REG_1, BPF_REG_2), ordered);
	kernel_asm_place(c, turned);
	for (uint32_t i = 0; i < FILTER_FLOW_DST; i++) {
		part_load(c, BPF_REG_1, FILTER_FLOW_SRC + i);
		part_load(c, BPF_REG_2, FILTER_FLOW_DST + i);
		part_store(c, BPF_REG_2, FILTER_FLOW_SRC + i);
		part_store(c, BPF_REG_1, FILTER_FLOW_DST + i);
	}
	part_load(c, BPF_REG_1, FILTER_FLOW_PORTS);
	kernel_asm_put(c, MOV_REG(BPF_REG_2, BPF_REG_1));
	kernel_asm_put(c, ALU32_IMM(BPF_RSH, BPF_REG_1, 16));
	kernel_asm_put(c, ALU32_IMM(BPF_LSH, BPF_REG_2, 16));
	kernel_asm_put(c, ALU_REG(BPF_OR, BPF_REG_1, BPF_REG_2));
	part_store(c, BPF_REG_1, FILTER_FLOW_PORTS);
	kernel_asm_place(c, ordered);
}

/* @reg = bytes 8 * @i to 8 * @i + 7 of what is hashed, the first one lowest; changes r0. */
static void part_bytes(struct kernel_asm *c, uint8_t reg, uint32_t i)
{
	bool is_address = i < FILTER_FLOW_PORTS / 2;

	part_load(c, reg, 2 * i);
	part_load(c, BPF_REG_0, 2 * i + 1);
	if (is_address) {
		kernel_asm_put(c, TO_BE(reg, 32));
		kernel_asm_put(c, TO_BE(BPF_REG_0, 32));
		kernel_asm_put(c, ALU_IMM(BPF_LSH, BPF_REG_0, 32));
	} else {
		/* Two ports, each in host order, then version and protocol. */
		kernel_asm_put(c, ALU_IMM(BPF_LSH, BPF_REG_0, 32));
		kernel_asm_put(c, MOV_REG(BPF_REG_3, reg));
		kernel_asm_put(c, ALU32_IMM(BPF_RSH, BPF_REG_3, 16));
		kernel_asm_put(c, ALU_REG(BPF_OR, BPF_REG_0, BPF_REG_3));
		kernel_asm_put(c, ALU32_IMM(BPF_LSH, reg, 16));
	}
	kernel_asm_put(c, ALU_REG(BPF_OR, reg, BPF_REG_0));
}

/* r6 += both halves of r1 * r2, of 128 bits, folded. */
static void part_multiply(struct kernel_asm *c)
{
	/* r1, r2: lower halves; r3, r4: upper ones; r7: the lower half of the product */
	kernel_asm_put(c, MOV_REG(BPF_REG_7, BPF_REG_1));
	kernel_asm_put(c, ALU_REG(BPF_MUL, BPF_REG_7, BPF_REG_2));
	kernel_asm_put(c, MOV_REG(BPF_REG_3, BPF_REG_1));
	kernel_asm_put(c, ALU_IMM(BPF_RSH, BPF_REG_3, 32));
	kernel_asm_put(c, MOV_REG(BPF_REG_4, BPF_REG_2));
	kernel_asm_put(c, ALU_IMM(BPF_RSH, BPF_REG_4, 32));
	kernel_asm_put(c, ALU32_REG(BPF_MOV, BPF_REG_1, BPF_REG_1));
	kernel_asm_put(c, ALU32_REG(BPF_MOV, BPF_REG_2, BPF_REG_2));
	/* r0: what comes from the lower halves; r5: upper times lower */
	kernel_asm_put(c, MOV_REG(BPF_REG_0, BPF_REG_1));
	kernel_asm_put(c, ALU_REG(BPF_MUL, BPF_REG_0, BPF_REG_2));
	kernel_asm_put(c, ALU_IMM(BPF_RSH, BPF_REG_0, 32));
	kernel_asm_put(c, MOV_REG(BPF_REG_5, BPF_REG_3));
	kernel_asm_put(c, ALU_REG(BPF_MUL, BPF_REG_5, BPF_REG_2));
	kernel_asm_put(c, ALU32_REG(BPF_MOV, BPF_REG_8, BPF_REG_5));
	kernel_asm_put(c, ALU_REG(BPF_ADD, BPF_REG_0, BPF_REG_8));
	kernel_asm_put(c, ALU_REG(BPF_MUL, BPF_REG_1, BPF_REG_4));
	kernel_asm_put(c, ALU_REG(BPF_ADD, BPF_REG_0, BPF_REG_1));
	kernel_asm_put(c, ALU_IMM(BPF_RSH, BPF_REG_0, 32));
	kernel_asm_put(c, ALU_IMM(BPF_RSH, BPF_REG_5, 32));
	kernel_asm_put(c, ALU_REG(BPF_MUL, BPF_REG_3, BPF_REG_4));
	kernel_asm_put(c, ALU_REG(BPF_ADD, BPF_REG_3, BPF_REG_5));
	kernel_asm_put(c, ALU_REG(BPF_ADD, BPF_REG_3, BPF_REG_0));
	kernel_asm_put(c, ALU_REG(BPF_XOR, BPF_REG_3, BPF_REG_7));
	kernel_asm_put(c, ALU_REG(BPF_ADD, PART_SUM, BPF_REG_3));
}

/* One piece: bytes from 8 * @i on, with the secret from byte @secret on. */
static void part_piece(struct kernel_asm *c, uint32_t i, uint32_t secret)
{
	uint64_t keys_le[2];

	memcpy(keys_le, XXH3_kSecret + secret, sizeof(keys_le));
	part_bytes(c, BPF_REG_1, i);
	part_bytes(c, BPF_REG_2, i + 1);
	part_wide(c, BPF_REG_3, le64toh(keys_le[0]) + DECODE_FLOW_PARTS_SEED);
	kernel_asm_put(c, ALU_REG(BPF_XOR, BPF_REG_1, BPF_REG_3));
	part_wide(c, BPF_REG_3, le64toh(keys_le[1]) - DECODE_FLOW_PARTS_SEED);
	kernel_asm_put(c, ALU_REG(BPF_XOR, BPF_REG_2, BPF_REG_3));
	part_multiply(c);
}

/* r6 ^= r6 >> @bits */
static void part_fold(struct kernel_asm *c, int bits)
{
	kernel_asm_put(c, MOV_REG(BPF_REG_1, PART_SUM));
	kernel_asm_put(c, ALU_IMM(BPF_RSH, BPF_REG_1, bits));
	kernel_asm_put(c, ALU_REG(BPF_XOR, PART_SUM, BPF_REG_1));
}

void kernel_part_put(struct kernel_asm *c, uint32_t label)
{
	kernel_asm_place(c, label);
	kernel_asm_put(c, MOV_REG(PART_AREA, BPF_REG_3));
	part_order(c);
	part_wide(c, PART_SUM, PART_BYTES * XXH_PRIME64_1);
	/* Of 40 bytes, pieces from both ends overlap. */
	part_piece(c, 2, 32);
	part_piece(c, 1, 48);
	part_piece(c, 0, 0);
	part_piece(c, 3, 16);
	part_fold(c, 37);
	part_wide(c, BPF_REG_3, PART_MIX);
	kernel_asm_put(c, ALU_REG(BPF_MUL, PART_SUM, BPF_REG_3));
	part_fold(c, 32);
	kernel_asm_put(c, MOV_REG(BPF_REG_0, PART_SUM));
	kernel_asm_put(c, ALU_IMM(BPF_AND, BPF_REG_0, DECODE_FLOW_PARTS - 1));
	kernel_asm_put(c, EXIT());
}

int kernel_part_insns(struct bpf_insn **ret)
{
	struct kernel_asm c = { .n = 0 };
	int r;

	kernel_part_put(&c, kernel_asm_label(&c));
	r = kernel_asm_finish(&c, false);
	if (r == 0) {
		*ret = TAKE(c.insns);
		r = (int)c.n;
	}
	kernel_asm_deinit(&c);
	return r;
}
