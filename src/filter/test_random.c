/* SPDX-License-Identifier: BSD-2-Clause */
#include "test_random.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

uint32_t random_next(struct random *r)
{
	/* xorshift64*, by Marsaglia and Vigna */
	r->state = r->state ? r->state : 88172645463325252u;
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return (uint32_t)(r->state * 2685821657736338717u >> 32);
}

uint32_t random_below(struct random *r, uint32_t n)
{
	return (uint32_t)((uint64_t)random_next(r) * n >> 32);
}

/* Text that grows at its end and never overflows. */
struct text {
	struct random *r;
	char *at;
	size_t left;
};

__attribute__((format(printf, 2, 3))) static void text_add(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->at, t->left, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= t->left)
		n = t->left ? (int)t->left - 1 : 0;
	t->at += n;
	t->left -= (size_t)n;
}

static uint32_t text_below(struct text *t, uint32_t n)
{
	return random_below(t->r, n);
}

#define PICK(t, ...)                                                \
	({                                                          \
		static const char *const pick_[] = { __VA_ARGS__ }; \
		pick_[text_below(t, ARRAY_SIZE(pick_))];            \
	})

static void text_number(struct text *t)
{
	static const uint32_t common[] = { 0, 1, 2, 3, 4, 5, 6, 8, 14, 17, 20, 40, 53, 58, 60, 64,
		80, 100, 128, 255, 256, 443, 1024, 1500, 2048, 8080, 65535, 0x0800, 0x86dd, 0x8100,
		0xffffffff, 0x80000000 };

	if (text_below(t, 4))
		text_add(t, "%u", common[text_below(t, ARRAY_SIZE(common))]);
	else
		text_add(t, "0x%x", random_next(t->r) >> text_below(t, 32));
}

static void text_port(struct text *t)
{
	static const unsigned int common[] = { 20, 21, 22, 23, 25, 53, 67, 68, 80, 110, 123, 137,
		143, 161, 443, 445, 500, 993, 1900, 3306, 3389, 4500, 5060, 5353, 8080 };

	if (text_below(t, 5))
		text_add(t, "%u", common[text_below(t, ARRAY_SIZE(common))]);
	else
		text_add(t, "%u", text_below(t, 65536));
}

static void text_ip4(struct text *t)
{
	if (text_below(t, 2))
		text_add(t, "%s",
			PICK(t, "192.168.1.1", "192.168.0.1", "10.0.0.1", "127.0.0.1", "8.8.8.8",
				"224.0.0.251", "255.255.255.255", "172.16.0.1"));
	else
		text_add(t, "%u.%u.%u.%u", text_below(t, 256), text_below(t, 256),
			text_below(t, 256), text_below(t, 256));
}

static void text_ip6(struct text *t)
{
	text_add(t, "%s",
		PICK(t, "::1", "fe80::1", "ff02::1", "ff02::fb", "2001:db8::1",
			"2001:db8:1:2:3:4:5:6", "::ffff:10.0.0.1"));
}

static void text_mac(struct text *t)
{
	if (text_below(t, 2))
		text_add(t, "%s",
			PICK(t, "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb", "00:00:00:00:00:00",
				"33:33:00:00:00:fb"));
	else
		text_add(t, "%02x:%02x:%02x:%02x:%02x:%02x", text_below(t, 256), text_below(t, 256),
			text_below(t, 256), text_below(t, 256), text_below(t, 256),
			text_below(t, 256));
}

static void text_arithmetic(struct text *t, unsigned int depth)
{
	unsigned int what = depth ? text_below(t, 9) : text_below(t, 4);

	switch (what) {
	case 0:
		text_number(t);
		break;
	case 1:
		text_add(t, "len");
		break;
	case 2:
	case 3:
	case 4:
		text_add(t, "%s[%u:%s]",
			PICK(t, "ether", "ip", "tcp", "udp", "icmp", "ip6", "arp", "icmp6", "link"),
			text_below(t, text_below(t, 8) ? 40 : 2000), PICK(t, "1", "2", "4"));
		break;
	case 5:
		text_add(t, "%s[", PICK(t, "ip", "tcp", "udp", "ether", "ip6"));
		text_arithmetic(t, depth - 1);
		text_add(t, ":%s]", PICK(t, "1", "2", "4"));
		break;
	case 6:
		text_add(t, "-");
		text_arithmetic(t, depth - 1);
		break;
	default:
		text_add(t, "(");
		text_arithmetic(t, depth - 1);
		text_add(t, " %s ",
			PICK(t, "+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "&", "+"));
		if (text_below(t, 2))
			text_add(t, "%u", 1 + text_below(t, 31));
		else
			text_arithmetic(t, depth - 1);
		text_add(t, ")");
		break;
	}
}

static void text_address(struct text *t)
{
	const char *dir = PICK(t, "", "src ", "dst ", "src or dst ", "src and dst ");

	switch (text_below(t, 10)) {
	case 0:
	case 1:
		text_add(t, "%s%shost ", PICK(t, "", "ip ", "arp ", "rarp "), dir);
		text_ip4(t);
		break;
	case 2:
		text_add(t, "ip6 %shost ", dir);
		text_ip6(t);
		break;
	case 3:
		text_add(t, "%snet %u.%u", dir, text_below(t, 256), text_below(t, 256));
		break;
	case 4: {
		unsigned int bits = text_below(t, 25);

		text_add(t, "%snet %u.%u.%u.0/%u", dir, bits >= 8 ? 192 : 0, bits >= 16 ? 168 : 0,
			bits >= 24 ? text_below(t, 4) : 0, bits);
		break;
	}
	case 5:
		text_add(t, "%snet 10.%u.0.0 mask 255.%u.0.0", dir, 64 * text_below(t, 4), 192);
		break;
	case 6:
		text_add(t, "ip6 %snet %s", dir,
			PICK(t, "fe80::/10", "ff00::/8", "2001:db8::/32", "::/0", "fe80::1/128"));
		break;
	default:
		text_add(t, "ether %shost ", PICK(t, "", "src ", "dst "));
		text_mac(t);
		break;
	}
}

static void text_ports(struct text *t)
{
	text_add(t, "%s%s", PICK(t, "", "tcp ", "udp ", "sctp ", "ip6 and tcp "),
		PICK(t, "", "src ", "dst ", "src or dst "));
	if (text_below(t, 3)) {
		text_add(t, "port ");
		text_port(t);
	} else {
		unsigned int low = text_below(t, 60000);

		text_add(t, "portrange %u-%u", low, low + text_below(t, 5000));
	}
}

static void text_link(struct text *t)
{
	switch (text_below(t, 9)) {
	case 0:
		text_add(t, "vlan");
		break;
	case 1:
		text_add(t, "vlan %u", text_below(t, 4096));
		break;
	case 2:
		text_add(t, "mpls");
		break;
	case 3:
		text_add(t, "mpls %u", text_below(t, 1u << text_below(t, 20)));
		break;
	case 4:
		text_add(t, "pppoes%s", PICK(t, "", " 1", " 17", " 4660"));
		break;
	case 5:
		text_add(t, "pppoed");
		break;
	case 6:
		text_add(t, "ether proto %s",
			PICK(t, "0x0800", "\\ip", "\\ip6", "\\arp", "0x88cc", "0x8100", "\\stp",
				"\\ipx", "\\netbeui", "\\iso", "100"));
		break;
	case 7:
		text_add(t, "%s %s", PICK(t, "ether", "ip", "ip6"),
			PICK(t, "multicast", "multicast", "broadcast"));
		break;
	default:
		text_add(t, "geneve%s", PICK(t, "", " 5"));
		break;
	}
}

static void text_protocol(struct text *t)
{
	switch (text_below(t, 8)) {
	case 0:
	case 1:
	case 2:
		text_add(t, "%s",
			PICK(t, "ip", "ip6", "arp", "rarp", "tcp", "udp", "icmp", "icmp6", "igmp",
				"sctp", "ah", "esp", "pim", "vrrp", "igrp", "stp", "decnet", "aarp",
				"atalk", "iso", "ipx", "netbeui", "lat", "moprc", "mopdl", "carp"));
		break;
	case 3:
		text_add(t, "%s proto %s", PICK(t, "ip", "ip6"),
			PICK(t, "\\tcp", "\\udp", "\\icmp", "1", "2", "41", "47", "50", "58",
				"89"));
		break;
	case 4:
		text_add(t, "%s protochain %s", PICK(t, "ip", "ip6"),
			PICK(t, "\\tcp", "\\udp", "58", "6"));
		break;
	case 5:
		text_add(t, "tcp[tcpflags] & (%s) %s 0",
			PICK(t, "tcp-syn", "tcp-fin|tcp-rst", "tcp-ack", "tcp-push",
				"tcp-syn|tcp-ack", "tcp-urg"),
			PICK(t, "!=", "=", ">"));
		break;
	case 6:
		text_add(t, "icmp[icmptype] %s %s", PICK(t, "=", "!=", "<"),
			PICK(t, "icmp-echo", "icmp-echoreply", "icmp-unreach", "icmp-timxceed",
				"11"));
		break;
	default:
		text_add(t, "icmp6[icmp6type] %s %s", PICK(t, "=", "!=", ">="),
			PICK(t, "icmp6-echo", "icmp6-neighborsolicit", "icmp6-routeradvert",
				"129"));
		break;
	}
}

static void text_primitive(struct text *t)
{
	switch (text_below(t, 10)) {
	case 0:
	case 1:
		text_address(t);
		break;
	case 2:
	case 3:
		text_ports(t);
		break;
	case 4:
		text_link(t);
		break;
	case 5:
	case 6:
		text_protocol(t);
		break;
	case 7:
		text_add(t, "%s %u", PICK(t, "less", "greater"), text_below(t, 1600));
		break;
	default:
		text_arithmetic(t, 2);
		text_add(t, " %s ", PICK(t, "=", "!=", "<", ">", "<=", ">=", "=="));
		text_arithmetic(t, text_below(t, 3));
		break;
	}
}

static void text_expression(struct text *t, unsigned int depth)
{
	if (depth == 0 || text_below(t, 3) == 0) {
		text_primitive(t);
		return;
	}
	text_add(t, text_below(t, 5) ? "(" : "not (");
	text_expression(t, depth - 1);
	text_add(t, " %s ", PICK(t, "and", "or", "and not"));
	text_expression(t, depth - 1);
	text_add(t, ")");
}

void random_expression(struct random *r, char *ret, size_t ret_bytes)
{
	struct text t = { .r = r, .at = ret, .left = ret_bytes };

	text_expression(&t, random_below(r, 4));
}

void random_plain_expression(struct random *r, char *ret, size_t ret_bytes)
{
	struct text t = { .r = r, .at = ret, .left = ret_bytes };

	switch (random_below(r, 5)) {
	case 0:
		text_add(&t, "tcp port %u", random_below(r, 65536));
		break;
	case 1:
		text_add(&t, "udp and src net 10.%u.%u.0/24", random_below(r, 256),
			random_below(r, 256));
		break;
	case 2:
		text_add(&t, "host 192.168.%u.%u", random_below(r, 256), random_below(r, 256));
		break;
	case 3:
		text_add(&t, "tcp[tcpflags] & tcp-syn != 0 and dst portrange %u-%u",
			random_below(r, 30000), 30000 + random_below(r, 30000));
		break;
	default:
		text_add(&t, "(ip or ip6) and port %u and not host 10.0.%u.%u",
			random_below(r, 65536), random_below(r, 256), random_below(r, 256));
		break;
	}
}

static const uint16_t random_codes[] = {
	BPF_LD | BPF_W | BPF_ABS,
	BPF_LD | BPF_H | BPF_ABS,
	BPF_LD | BPF_B | BPF_ABS,
	BPF_LD | BPF_W | BPF_IND,
	BPF_LD | BPF_H | BPF_IND,
	BPF_LD | BPF_B | BPF_IND,
	BPF_LD | BPF_W | BPF_LEN,
	BPF_LD | BPF_IMM,
	BPF_LD | BPF_MEM,
	BPF_LDX | BPF_W | BPF_LEN,
	BPF_LDX | BPF_MSH | BPF_B,
	BPF_LDX | BPF_IMM,
	BPF_LDX | BPF_MEM,
	BPF_ST,
	BPF_STX,
	BPF_ALU | BPF_NEG,
	BPF_MISC | BPF_TAX,
	BPF_MISC | BPF_TXA,
};

static uint32_t random_constant(struct random *r)
{
	switch (random_below(r, 6)) {
	case 0:
		return random_next(r);
	case 1:
		return random_next(r) >> random_below(r, 32);
	case 2:
		return 1u << random_below(r, 32);
	case 3:
		return -random_below(r, 4);
	default:
		return random_below(r, 64);
	}
}

static struct bpf_insn random_insn(struct random *r, unsigned int left)
{
	struct bpf_insn insn = { .k = random_constant(r) };
	uint16_t by = random_below(r, 2) ? BPF_X : BPF_K;

	if (random_below(r, 64) == 0) {
		insn.code = BPF_JMP | BPF_JA; /* backwards: mostly refused */
		insn.k = random_below(r, 8) ? random_below(r, MIN(left, 8))
					    : -(1 + random_below(r, 8));
		return insn;
	}
	switch (random_below(r, 8)) {
	case 0:
	case 1:
		insn.code = (uint16_t)(BPF_JMP | by | (BPF_JEQ + 0x10 * random_below(r, 4)));
		insn.jt = (uint8_t)random_below(r, MIN(left, 255));
		insn.jf = (uint8_t)random_below(r, MIN(left, 255));
		break;
	case 2:
	case 3:
		insn.code = (uint16_t)(BPF_ALU | by | 0x10 * random_below(r, 11));
		if (insn.code == (BPF_ALU | BPF_NEG | BPF_X))
			insn.code = BPF_ALU | BPF_NEG;
		if (BPF_OP(insn.code) == BPF_LSH || BPF_OP(insn.code) == BPF_RSH)
			insn.k &= 31;
		break;
	case 4:
		insn.code = (uint16_t)(BPF_RET | (random_below(r, 2) ? BPF_A : BPF_K));
		insn.k = random_below(r, 2);
		if (random_below(r, 3) == 0)
			break;
		/* fall through: mostly not the end */
		__attribute__((fallthrough));
	default:
		insn.code = random_codes[random_below(r, ARRAY_SIZE(random_codes))];
		if (BPF_MODE(insn.code) == BPF_MEM || BPF_CLASS(insn.code) == BPF_ST ||
			BPF_CLASS(insn.code) == BPF_STX)
			insn.k = random_below(r, 3);
		break;
	}
	return insn;
}

void random_program(struct random *r, struct bpf_insn *insns, unsigned int n_insns)
{
	/* scratch memory 0 .. 2 is written first, so that any may be read */
	for (unsigned int pc = 0; pc < n_insns; pc++) {
		if (pc < 3 && n_insns > 4)
			insns[pc] = (struct bpf_insn){ .code = BPF_ST, .k = pc };
		else
			insns[pc] = random_insn(r, n_insns - pc - 1);
	}
	insns[n_insns - 1] = (struct bpf_insn){
		.code = (uint16_t)(BPF_RET | (random_below(r, 2) ? BPF_A : BPF_K)),
		.k = random_below(r, 2),
	};
}

void random_mutate_program(struct random *r, struct bpf_insn *insns, unsigned int n_insns)
{
	for (unsigned int n = 1 + random_below(r, 4); n > 0; n--) {
		unsigned int pc = random_below(r, n_insns);
		struct bpf_insn *insn = &insns[pc];

		switch (random_below(r, 6)) {
		case 0:
			*insn = random_insn(r, n_insns - pc - 1 ? n_insns - pc - 1 : 1);
			break;
		case 1:
			insn->jt = (uint8_t)random_below(r, MIN(n_insns - pc, 256));
			break;
		case 2:
			insn->jf = (uint8_t)random_below(r, MIN(n_insns - pc, 256));
			break;
		case 3:
			insn->k = random_constant(r);
			break;
		case 4:
			insn->k += random_below(r, 5) - 2;
			break;
		default:
			insn->code ^= (uint16_t)(1u << random_below(r, 8));
			break;
		}
	}
}

uint32_t random_packet(struct random *r, uint8_t *ret, uint32_t room_bytes)
{
	static const uint8_t starts[][26] = {
		{ [12] = 0x08, 0, 0x45, [23] = 6 },
		{ [12] = 0x08, 0, 0x47, [20] = 0x20, [23] = 17 },
		{ [12] = 0x08, 0, 0x4f, [23] = 1 },
		{ [12] = 0x86, 0xdd, 0x60, [20] = 6 },
		{ [12] = 0x86, 0xdd, 0x60, [20] = 0 },
		{ [12] = 0x81, 0, 0, 1, 0x08, 0, 0x45 },
		{ [12] = 0x88, 0x47, 0, 0, 0x11, 0xff, 0x45 },
		{ [12] = 0x88, 0x64, 0x11, 0, 0, 1, 0, 40, 0, 0x21, 0x45 },
		{ [12] = 0x08, 0x06, 0, 1 },
		{ [12] = 0x00, 0x26, 0x42, 0x42, 3 },
	};
	uint32_t n_bytes = random_below(r, random_below(r, 4) ? 100 : room_bytes) + 1;
	const uint8_t *start = starts[random_below(r, ARRAY_SIZE(starts))];

	n_bytes = MIN(n_bytes, room_bytes);
	for (uint32_t i = 0; i < n_bytes; i++)
		ret[i] = random_below(r, 3) ? (uint8_t)random_below(r, 8) : (uint8_t)random_next(r);
	if (random_below(r, 8))
		memcpy(ret, start, MIN(n_bytes, sizeof(starts[0])));
	return random_below(r, 16) ? n_bytes : 0;
}
