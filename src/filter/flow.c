/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which packets are of which part of all flows, in classic BPF: what HASHSAMP asks (semantics P5).
 *
 * The program walks over the outer headers as the decoder does (packet/decode.h), as far as most
 * packets need it, and leaves the flow's key in scratch memory; the part is one instruction, which
 * only we know. Of headers in which the decoder goes on and the program does not it says that it is
 * not sure, and another program accepts just these packets.
 *
 * A load beyond what was captured ends a program, and so it does if it cannot be sure: either way
 * the decoder finds no ports there, without which a packet is of no flow. IP's own length may end a
 * packet earlier.
 */
#include "filter_private.h"

#include <netinet/in.h>

#include "packet/decode.h"

#define FLOW_INSNS_MAX 512u /* more than there ever are */
#define FLOW_TAGS_MAX 2u
#define FLOW_EXTENSIONS_MAX 2u
#define FLOW_JUMPS_MAX 8u

/* Scratch memory behind the key's words. */
enum {
	FLOW_M_AT = FILTER_FLOW_WORDS, /* where IP begins */
	FLOW_M_LIMIT, /* of IPv6: the payload's bytes less 1, modulo 2^32: 0 means that there is
			 none */
	FLOW_M_PROTO,
	FLOW_M_NEXT, /* of IPv6: bytes of extension headers so far */
};

/* Jumps to one place that is not known yet. */
struct flow_label {
	unsigned int from[FLOW_JUMPS_MAX];
	unsigned int n;
};

struct flow_program {
	struct bpf_insn insns[FLOW_INSNS_MAX];
	unsigned int n;
	uint32_t unsure; /* what is returned if it is not sure */
	unsigned int n_parts;
};

static void flow_put(struct flow_program *p, uint16_t code, uint32_t k)
{
	p->insns[p->n++] = (struct bpf_insn){ .code = code, .k = k };
}

/* Returns @k if the condition holds. @op: also with BPF_X */
static void flow_return_if(struct flow_program *p, uint16_t op, uint32_t k, uint32_t ret)
{
	p->insns[p->n++] = (struct bpf_insn)BPF_JUMP(BPF_JMP | op, k, 0, 1);
	flow_put(p, BPF_RET | BPF_K, ret);
}

static void flow_return_unless(struct flow_program *p, uint16_t op, uint32_t k, uint32_t ret)
{
	p->insns[p->n++] = (struct bpf_insn)BPF_JUMP(BPF_JMP | op, k, 1, 0);
	flow_put(p, BPF_RET | BPF_K, ret);
}

static void flow_goto(struct flow_program *p, struct flow_label *label)
{
	label->from[label->n++] = p->n;
	flow_put(p, BPF_JMP | BPF_JA, 0);
}

static void flow_goto_if(struct flow_program *p, uint16_t op, uint32_t k, struct flow_label *label)
{
	p->insns[p->n++] = (struct bpf_insn)BPF_JUMP(BPF_JMP | op, k, 0, 1);
	flow_goto(p, label);
}

static void flow_place(struct flow_program *p, struct flow_label *label)
{
	while (label->n) {
		unsigned int from = label->from[--label->n];

		p->insns[from].k = p->n - from - 1;
	}
}

static void flow_set(struct flow_program *p, uint32_t word, uint32_t k)
{
	flow_put(p, BPF_LD | BPF_IMM, k);
	flow_put(p, BPF_ST, word);
}

/* X = where IP begins; A = @size at @k from there. */
static void flow_load(struct flow_program *p, uint16_t size, uint32_t k)
{
	flow_put(p, BPF_LDX | BPF_MEM, FLOW_M_AT);
	flow_put(p, BPF_LD | size | BPF_IND, k);
}

/* Words of the key, from @word on, from @k of the IP header on; or only the last of them, which
 * says that the packet is long enough. */
static void flow_take(struct flow_program *p, uint32_t word, uint32_t k, uint32_t n)
{
	for (uint32_t i = p->unsure ? n - 1 : 0; i < n; i++) {
		flow_load(p, BPF_W, k + 4 * i);
		flow_put(p, BPF_ST, word + i);
	}
}

/* The key is complete, but for its ports, which are at X + @k, and the protocol. */
static void flow_end(struct flow_program *p, uint32_t ip_version, uint32_t k)
{
	flow_put(p, BPF_LD | BPF_W | BPF_IND, k);
	flow_put(p, BPF_ST, FILTER_FLOW_PORTS);
	if (p->unsure) {
		flow_put(p, BPF_RET | BPF_K, 0);
		return;
	}
	flow_put(p, BPF_LD | BPF_MEM, FLOW_M_PROTO);
	flow_put(p, BPF_ALU | BPF_LSH | BPF_K, 8);
	flow_put(p, BPF_ALU | BPF_OR | BPF_K, ip_version);
	flow_put(p, BPF_ST, FILTER_FLOW_KIND);
	flow_put(p, FILTER_INSN_PART, 0);
	flow_return_if(p, BPF_JGE, p->n_parts, 0);
	flow_put(p, BPF_RET | BPF_K, UINT32_MAX);
}

/* A = IPv4's header length */
static void flow_ipv4_length(struct flow_program *p)
{
	flow_load(p, BPF_B, 0);
	flow_put(p, BPF_ALU | BPF_AND | BPF_K, 0xf);
	flow_put(p, BPF_ALU | BPF_LSH | BPF_K, 2);
}

/* Ends where IP ends before its ports; a length of 0 says that the interface has yet to find it. */
static void flow_ipv4_limit(struct flow_program *p)
{
	struct flow_label whole = { .n = 0 };

	flow_ipv4_length(p);
	flow_put(p, BPF_ALU | BPF_ADD | BPF_K, 4);
	flow_put(p, BPF_ST, FLOW_M_NEXT);
	flow_load(p, BPF_H, 2);
	flow_goto_if(p, BPF_JEQ, 0, &whole);
	flow_put(p, BPF_LDX | BPF_MEM, FLOW_M_NEXT);
	flow_return_unless(p, BPF_JGE | BPF_X, 0, 0);
	flow_place(p, &whole);
}

static void flow_ipv4(struct flow_program *p)
{
	struct flow_label known = { .n = 0 };

	flow_load(p, BPF_B, 0);
	flow_return_unless(p, BPF_JGE, 0x45, 0);
	flow_return_if(p, BPF_JGT, 0x4f, 0);
	flow_take(p, FILTER_FLOW_SRC + 3, 12, 1);
	flow_take(p, FILTER_FLOW_DST + 3, 16, 1);
	flow_load(p, BPF_H, 6);
	flow_return_if(p, BPF_JSET, 0x1fff, 0); /* a later fragment */
	flow_load(p, BPF_B, 9);
	flow_put(p, BPF_ST, FLOW_M_PROTO);
	flow_goto_if(p, BPF_JEQ, IPPROTO_TCP, &known);
	flow_goto_if(p, BPF_JEQ, IPPROTO_UDP, &known);
	flow_return_if(p, BPF_JEQ, IPPROTO_AH, p->unsure);
	flow_put(p, BPF_RET | BPF_K, 0);
	flow_place(p, &known);
	flow_ipv4_limit(p);
	for (uint32_t side = 0; side <= FILTER_FLOW_DST; side += FILTER_FLOW_DST) {
		flow_set(p, side, 0);
		flow_set(p, side + 1, 0);
		flow_set(p, side + 2, 0xffff);
	}
	flow_ipv4_length(p);
	flow_put(p, BPF_ALU | BPF_ADD | BPF_X, 0);
	flow_put(p, BPF_MISC | BPF_TAX, 0);
	flow_end(p, 4, 0);
}

/* Ends if the payload ends within the next A bytes behind extension headers so far. */
static void flow_ipv6_limit(struct flow_program *p)
{
	flow_put(p, BPF_LDX | BPF_MEM, FLOW_M_NEXT);
	flow_put(p, BPF_ALU | BPF_ADD | BPF_X, 0);
	flow_put(p, BPF_ALU | BPF_SUB | BPF_K, 1);
	flow_put(p, BPF_MISC | BPF_TAX, 0);
	flow_put(p, BPF_LD | BPF_MEM, FLOW_M_LIMIT);
	flow_return_unless(p, BPF_JGE | BPF_X, 0, 0);
}

/* X = where IP begins + bytes of extension headers */
static void flow_ipv6_here(struct flow_program *p)
{
	flow_put(p, BPF_LDX | BPF_MEM, FLOW_M_AT);
	flow_put(p, BPF_LD | BPF_MEM, FLOW_M_NEXT);
	flow_put(p, BPF_ALU | BPF_ADD | BPF_X, 0);
	flow_put(p, BPF_MISC | BPF_TAX, 0);
}

/* Over an extension header; A is its protocol. */
static void flow_ipv6_extension(struct flow_program *p)
{
	struct flow_label options = { .n = 0 }, plain = { .n = 0 };

	flow_return_if(p, BPF_JEQ, IPPROTO_AH, p->unsure);
	flow_return_if(p, BPF_JEQ, 135, p->unsure); /* mobility, HIP, shim6 */
	flow_return_if(p, BPF_JEQ, 139, p->unsure);
	flow_return_if(p, BPF_JEQ, 140, p->unsure);
	flow_goto_if(p, BPF_JEQ, IPPROTO_HOPOPTS, &options);
	flow_goto_if(p, BPF_JEQ, IPPROTO_ROUTING, &plain);
	flow_goto_if(p, BPF_JEQ, IPPROTO_DSTOPTS, &plain);
	flow_return_unless(p, BPF_JEQ, IPPROTO_FRAGMENT, 0);
	flow_ipv6_here(p);
	flow_put(p, BPF_LD | BPF_H | BPF_IND, 42);
	flow_return_if(p, BPF_JSET, 0xfff8, 0); /* a later fragment */
	/* It is 8 bytes long; where others have their length, nobody reads. */
	flow_put(p, BPF_LD | BPF_B | BPF_IND, 41);
	flow_return_unless(p, BPF_JEQ, 0, p->unsure);
	flow_goto(p, &plain);
	flow_place(p, &options);
	/* The length may be told in there (RFC 2675). */
	flow_put(p, BPF_LD | BPF_MEM, FLOW_M_LIMIT);
	flow_return_if(p, BPF_JEQ, UINT32_MAX, p->unsure);
	flow_place(p, &plain);
	flow_ipv6_here(p);
	flow_put(p, BPF_LD | BPF_B | BPF_IND, 40);
	flow_put(p, BPF_ST, FLOW_M_PROTO);
	flow_put(p, BPF_LD | BPF_B | BPF_IND, 41);
	flow_put(p, BPF_ALU | BPF_ADD | BPF_K, 1);
	flow_put(p, BPF_ALU | BPF_LSH | BPF_K, 3);
	flow_put(p, BPF_ST, FILTER_FLOW_PORTS);
	flow_ipv6_limit(p);
	flow_put(p, BPF_LD | BPF_MEM, FILTER_FLOW_PORTS);
	flow_put(p, BPF_LDX | BPF_MEM, FLOW_M_NEXT);
	flow_put(p, BPF_ALU | BPF_ADD | BPF_X, 0);
	flow_put(p, BPF_ST, FLOW_M_NEXT);
}

/* What stands behind as many extension headers as are followed: another one, or an end. A is its
 * protocol. */
static void flow_ipv6_further(struct flow_program *p)
{
	static const uint8_t extensions[] = { IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT,
		IPPROTO_AH, IPPROTO_DSTOPTS, 135, 139, 140 };

	for (size_t i = 0; i < ARRAY_SIZE(extensions); i++)
		flow_return_if(p, BPF_JEQ, extensions[i], p->unsure);
	flow_put(p, BPF_RET | BPF_K, 0);
}

static void flow_ipv6(struct flow_program *p)
{
	struct flow_label known = { .n = 0 };

	flow_load(p, BPF_B, 0);
	flow_return_unless(p, BPF_JGE, 0x60, 0);
	flow_return_if(p, BPF_JGT, 0x6f, 0);
	flow_take(p, FILTER_FLOW_SRC, 8, 4);
	flow_take(p, FILTER_FLOW_DST, 24, 4);
	flow_load(p, BPF_H, 4);
	flow_put(p, BPF_ALU | BPF_SUB | BPF_K, 1);
	flow_put(p, BPF_ST, FLOW_M_LIMIT);
	flow_set(p, FLOW_M_NEXT, 0);
	flow_load(p, BPF_B, 6);
	flow_put(p, BPF_ST, FLOW_M_PROTO);
	for (unsigned int n = 0; n <= FLOW_EXTENSIONS_MAX; n++) {
		flow_put(p, BPF_LD | BPF_MEM, FLOW_M_PROTO);
		flow_goto_if(p, BPF_JEQ, IPPROTO_TCP, &known);
		flow_goto_if(p, BPF_JEQ, IPPROTO_UDP, &known);
		if (n < FLOW_EXTENSIONS_MAX)
			flow_ipv6_extension(p);
		else
			flow_ipv6_further(p);
	}
	flow_place(p, &known);
	flow_put(p, BPF_LD | BPF_IMM, 4);
	flow_ipv6_limit(p);
	flow_ipv6_here(p);
	flow_end(p, 6, 40);
}

/* Up to the IP header. */
static void flow_link(struct flow_program *p, struct flow_label *ipv4, struct flow_label *ipv6)
{
	static const uint16_t tags[] = { 0x8100, 0x88a8, 0x9100, 0x9200 };
	/* MPLS, PPPoE, PPP, Ethernet, backbone tags; a third VLAN tag */
	static const uint16_t further[] = { 0x8847, 0x8848, 0x8864, 0x880b, 0x6558, 0x88e7, 0x8100,
		0x88a8, 0x9100, 0x9200 };
	struct flow_label other = { .n = 0 };

	for (uint32_t n = 0; n <= FLOW_TAGS_MAX; n++) {
		struct flow_label tagged = { .n = 0 };

		flow_set(p, FLOW_M_AT, 14 + 4 * n);
		flow_put(p, BPF_LD | BPF_H | BPF_ABS, 12 + 4 * n);
		flow_goto_if(p, BPF_JEQ, 0x0800, ipv4);
		flow_goto_if(p, BPF_JEQ, 0x86dd, ipv6);
		for (size_t i = 0; n < FLOW_TAGS_MAX && i < ARRAY_SIZE(tags); i++)
			flow_goto_if(p, BPF_JEQ, tags[i], &tagged);
		flow_goto(p, &other);
		flow_place(p, &tagged);
	}
	flow_place(p, &other);
	for (size_t i = 0; i < ARRAY_SIZE(further); i++)
		flow_return_if(p, BPF_JEQ, further[i], p->unsure);
	flow_return_unless(p, BPF_JGE, 0x0600, p->unsure); /* a length, and LLC */
	flow_put(p, BPF_RET | BPF_K, 0);
}

int filter_program_flow(struct filter_program **ret, unsigned int n_parts)
{
	struct flow_program p = { .n_parts = n_parts, .unsure = n_parts ? 0 : UINT32_MAX };
	struct flow_label ipv4 = { .n = 0 }, ipv6 = { .n = 0 };

	flow_link(&p, &ipv4, &ipv6);
	flow_place(&p, &ipv4);
	flow_ipv4(&p);
	flow_place(&p, &ipv6);
	flow_ipv6(&p);
	return filter_program_copy(ret, p.insns, p.n);
}
