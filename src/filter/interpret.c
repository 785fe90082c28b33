/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interpreter of classic BPF, for programs that the lifter leaves: those that jump backwards,
 * and those whose paths multiply.
 *
 * It decides as libpcap's bpf_filter() does, but ends with every program on every packet. The loop
 * that libpcap makes of "ip6 protochain" does not: behind an authentication header it goes on at
 * the header's length, not that far behind its start, and a packet can be made so that this is the
 * same header again.
 *
 * What jumps forward ends by itself; so only jumps backwards are counted, by the instructions that
 * they may repeat.
 */
#include "filter_private.h"

#include <endian.h>
#include <string.h>

#include "packet/decode.h"

struct interpret {
	const uint8_t *data;
	uint32_t cap_bytes;
	uint32_t wire_bytes;
	uint32_t direction;
	uint32_t a, x;
	uint32_t memory[BPF_MEMWORDS];
};

/* Return: false if that is not inside the captured bytes. */
static bool interpret_bytes(
	const struct interpret *s, uint32_t base, uint32_t k, uint32_t n_bytes, uint32_t *ret)
{
	uint32_t value = 0;

	if (k > s->cap_bytes || base > s->cap_bytes - k || n_bytes > s->cap_bytes - k - base)
		return false;
	for (uint32_t i = 0; i < n_bytes; i++)
		value = value << 8 | s->data[base + k + i];
	*ret = value;
	return true;
}

/* LD and LDX. Return, here and below: false if the packet is rejected. */
static bool interpret_load(struct interpret *s, const struct bpf_insn *insn)
{
	uint32_t *to = BPF_CLASS(insn->code) == BPF_LD ? &s->a : &s->x;

	if (filter_insn_asks_direction(insn)) {
		*to = s->direction;
		return s->direction != FILTER_DIRECTION_UNKNOWN;
	}
	switch (insn->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		return interpret_bytes(s, 0, insn->k, 4, to);
	case BPF_LD | BPF_H | BPF_ABS:
		return interpret_bytes(s, 0, insn->k, 2, to);
	case BPF_LD | BPF_B | BPF_ABS:
		return interpret_bytes(s, 0, insn->k, 1, to);
	case BPF_LD | BPF_W | BPF_IND:
		return interpret_bytes(s, s->x, insn->k, 4, to);
	case BPF_LD | BPF_H | BPF_IND:
		return interpret_bytes(s, s->x, insn->k, 2, to);
	case BPF_LD | BPF_B | BPF_IND:
		return interpret_bytes(s, s->x, insn->k, 1, to);
	case BPF_LDX | BPF_MSH | BPF_B:
		if (!interpret_bytes(s, 0, insn->k, 1, to))
			return false;
		*to = (*to & 0xf) << 2;
		return true;
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_W | BPF_LEN:
		*to = s->wire_bytes;
		return true;
	case BPF_LD | BPF_IMM:
	case BPF_LDX | BPF_IMM:
		*to = insn->k;
		return true;
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
		*to = s->memory[insn->k];
		return true;
	}
	return false;
}

static bool interpret_alu(struct interpret *s, const struct bpf_insn *insn)
{
	uint32_t b = BPF_SRC(insn->code) == BPF_X ? s->x : insn->k;

	if (insn->code == (BPF_ALU | BPF_NEG)) {
		s->a = -s->a;
		return true;
	}
	switch (insn->code & ~(unsigned int)BPF_X) {
	case BPF_ALU | BPF_ADD:
		s->a += b;
		return true;
	case BPF_ALU | BPF_SUB:
		s->a -= b;
		return true;
	case BPF_ALU | BPF_MUL:
		s->a *= b;
		return true;
	case BPF_ALU | BPF_DIV:
		s->a = b ? s->a / b : 0;
		return b != 0;
	case BPF_ALU | BPF_MOD:
		s->a = b ? s->a % b : 0;
		return b != 0;
	case BPF_ALU | BPF_AND:
		s->a &= b;
		return true;
	case BPF_ALU | BPF_OR:
		s->a |= b;
		return true;
	case BPF_ALU | BPF_XOR:
		s->a ^= b;
		return true;
	case BPF_ALU | BPF_LSH:
		s->a = b < 32 ? s->a << b : 0;
		return true;
	case BPF_ALU | BPF_RSH:
		s->a = b < 32 ? s->a >> b : 0;
		return true;
	}
	return false;
}

static uint32_t interpret_part(const struct interpret *s)
{
	uint32_t ports = s->memory[FILTER_FLOW_PORTS], kind = s->memory[FILTER_FLOW_KIND];
	struct decode_flow_key key = { .src_port = (uint16_t)(ports >> 16),
		.dst_port = (uint16_t)ports,
		.ip_version = (uint8_t)kind,
		.l4_proto = (uint8_t)(kind >> 8) };

	for (uint32_t i = 0; i < 4; i++) {
		uint32_t src_be = htobe32(s->memory[FILTER_FLOW_SRC + i]);
		uint32_t dst_be = htobe32(s->memory[FILTER_FLOW_DST + i]);

		memcpy(key.src + (size_t)i * 4, &src_be, 4);
		memcpy(key.dst + (size_t)i * 4, &dst_be, 4);
	}
	return decode_flow_part(&key);
}

/* Everything else but jumps and returns. */
static bool interpret_move(struct interpret *s, const struct bpf_insn *insn)
{
	switch (insn->code) {
	case BPF_ST:
		s->memory[insn->k] = s->a;
		return true;
	case BPF_STX:
		s->memory[insn->k] = s->x;
		return true;
	case BPF_MISC | BPF_TAX:
		s->x = s->a;
		return true;
	case BPF_MISC | BPF_TXA:
		s->a = s->x;
		return true;
	case FILTER_INSN_PART:
		s->a = interpret_part(s);
		return true;
	}
	return false;
}

/* Adds to @pc, modulo 2^32, what is to be jumped over. */
static bool interpret_jump(const struct interpret *s, const struct bpf_insn *insn, uint32_t *pc)
{
	uint32_t b = BPF_SRC(insn->code) == BPF_X ? s->x : insn->k;
	bool holds;

	if (insn->code == (BPF_JMP | BPF_JA)) {
		*pc += insn->k;
		return true;
	}
	switch (insn->code & ~(unsigned int)BPF_X) {
	case BPF_JMP | BPF_JEQ:
		holds = s->a == b;
		break;
	case BPF_JMP | BPF_JGT:
		holds = s->a > b;
		break;
	case BPF_JMP | BPF_JGE:
		holds = s->a >= b;
		break;
	case BPF_JMP | BPF_JSET:
		holds = (s->a & b) != 0;
		break;
	default:
		return false;
	}
	*pc += holds ? insn->jt : insn->jf;
	return true;
}

enum filter_interpret_outcome filter_interpret(const struct filter_program *program,
	const uint8_t *data, uint32_t wire_bytes, uint32_t cap_bytes, uint32_t direction)
{
	struct interpret s = { .data = data,
		.wire_bytes = wire_bytes,
		.cap_bytes = cap_bytes,
		.direction = direction };
	uint32_t repeated = 0, pc = 0;

	for (;;) {
		const struct bpf_insn *insn = &program->insns[pc++];
		uint32_t next = pc;
		bool goes_on = false;

		switch (BPF_CLASS(insn->code)) {
		case BPF_LD:
		case BPF_LDX:
			goes_on = interpret_load(&s, insn);
			break;
		case BPF_ALU:
			goes_on = interpret_alu(&s, insn);
			break;
		case BPF_JMP:
			goes_on = interpret_jump(&s, insn, &pc);
			break;
		case BPF_RET:
			if (insn->code == (BPF_RET | BPF_A))
				return s.a ? FILTER_INTERPRET_ACCEPT : FILTER_INTERPRET_REJECT;
			return insn->code == (BPF_RET | BPF_K) && insn->k ? FILTER_INTERPRET_ACCEPT
									  : FILTER_INTERPRET_REJECT;
		default:
			goes_on = interpret_move(&s, insn);
			break;
		}
		if (!goes_on)
			return FILTER_INTERPRET_REJECT;
		if (pc < next) {
			repeated += next - pc;
			if (repeated > FILTER_INTERPRET_REPEATED_MAX)
				return FILTER_INTERPRET_ENDLESS;
		}
	}
}
