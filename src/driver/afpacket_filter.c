/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The socket's program, in classic BPF: which packets the ring gets, and how much of them. It is
 * made here instruction by instruction, because what it does is little and known:
 *
 *	outgoing on loopback         -> 0
 *	hash % n_shares != share     -> 0       (several rings)
 *	else                         -> snaplen
 *
 * Several rings share an interface by each taking the packets that are its own, and not by
 * PACKET_FANOUT: a socket in a fanout group cannot be bound again, and only somebody with
 * CAP_NET_RAW could replace it, when an interface has been removed and made again. Two sockets cost
 * what fanout costs (a program to choose, a program to cut, against two that do both); each further
 * one some 40 ns per packet.
 *
 * The hash is the exclusive or of source and destination, of addresses and (TCP, UDP, SCTP, not
 * fragments) ports, multiplied to spread it: the same in both directions. One VLAN tag may stand in
 * the packet, beside the one that the kernel keeps elsewhere. All else goes by Ethernet addresses.
 *
 * A load beyond the packet ends a program with 0, which here would lose the packet for all rings:
 * so each group of loads is preceded by a look at the length.
 */
#include "afpacket_private.h"

#include <linux/if_ether.h>
#include <netinet/in.h>

#define AFPACKET_HASH_FACTOR 0x9e3779b1u /* 2^32 over the golden ratio, odd */

/* Jumps go forward, to labels that are placed later. */
enum afpacket_label {
	AFPACKET_NEXT, /* the next instruction */
	AFPACKET_DROP,
	AFPACKET_OTHER, /* neither IPv4 nor IPv6 */
	AFPACKET_SPREAD, /* A holds the hash */
	AFPACKET_V4,
	AFPACKET_V6,
	AFPACKET_TAG,
	AFPACKET_PORTS,
	AFPACKET_ADDRESSES, /* M[0] holds the hash */
	_AFPACKET_LABEL_N
};

struct afpacket_program {
	struct sock_filter *code;
	unsigned int n;
	uint8_t yes[AFPACKET_FILTER_MAX]; /* labels, until they are placed */
	uint8_t no[AFPACKET_FILTER_MAX];
};

static void afpacket_put(struct afpacket_program *p, uint16_t code, uint32_t k)
{
	if (p->n < AFPACKET_FILTER_MAX) {
		p->yes[p->n] = p->no[p->n] = AFPACKET_NEXT;
		p->code[p->n++] = (struct sock_filter){ .code = code, .k = k };
	}
}

static void afpacket_if(struct afpacket_program *p, uint16_t op, uint32_t k,
	enum afpacket_label yes, enum afpacket_label no)
{
	afpacket_put(p, (uint16_t)(BPF_JMP | op), k);
	p->yes[p->n - 1] = (uint8_t)yes;
	p->no[p->n - 1] = (uint8_t)no;
}

static void afpacket_goto(struct afpacket_program *p, enum afpacket_label label)
{
	afpacket_put(p, BPF_JMP | BPF_JA, 0);
	p->yes[p->n - 1] = (uint8_t)label;
}

/* All jumps to @label that have been put lead here. */
static void afpacket_place(struct afpacket_program *p, enum afpacket_label label)
{
	for (unsigned int i = 0; i < p->n; i++) {
		unsigned int distance = p->n - i - 1;

		if (p->yes[i] == label) {
			if (p->code[i].code == (BPF_JMP | BPF_JA))
				p->code[i].k = distance;
			else
				p->code[i].jt = (uint8_t)distance;
			p->yes[i] = AFPACKET_NEXT;
		}
		if (p->no[i] == label) {
			p->code[i].jf = (uint8_t)distance;
			p->no[i] = AFPACKET_NEXT;
		}
	}
}

/* A ^= the word at @at, by way of X. */
static void afpacket_xor_word(struct afpacket_program *p, uint32_t at)
{
	afpacket_put(p, BPF_MISC | BPF_TAX, 0);
	afpacket_put(p, BPF_LD | BPF_W | BPF_ABS, at);
	afpacket_put(p, BPF_ALU | BPF_XOR | BPF_X, 0);
}

/* M[0] = A, spread: else addresses and ports that count up together would cancel each other out. */
static void afpacket_keep_addresses(struct afpacket_program *p)
{
	afpacket_put(p, BPF_ALU | BPF_MUL | BPF_K, AFPACKET_HASH_FACTOR);
	afpacket_put(p, BPF_ST, 0);
}

/* A holds the protocol number, X the offset of the transport header, M[0] the addresses. */
static void afpacket_hash_ports(struct afpacket_program *p)
{
	afpacket_if(p, BPF_JEQ, IPPROTO_TCP, AFPACKET_PORTS, AFPACKET_NEXT);
	afpacket_if(p, BPF_JEQ, IPPROTO_UDP, AFPACKET_PORTS, AFPACKET_NEXT);
	afpacket_if(p, BPF_JEQ, IPPROTO_SCTP, AFPACKET_PORTS, AFPACKET_ADDRESSES);
	afpacket_place(p, AFPACKET_PORTS);
	afpacket_put(p, BPF_LD | BPF_W | BPF_LEN, 0);
	afpacket_put(p, BPF_JMP | BPF_JGT | BPF_X, 0);
	p->no[p->n - 1] = AFPACKET_ADDRESSES;
	afpacket_put(p, BPF_ALU | BPF_SUB | BPF_X, 0);
	afpacket_if(p, BPF_JGE, 4, AFPACKET_NEXT, AFPACKET_ADDRESSES);
	afpacket_put(p, BPF_LD | BPF_H | BPF_IND, 0);
	afpacket_put(p, BPF_ST, 1);
	afpacket_put(p, BPF_LD | BPF_H | BPF_IND, 2);
	afpacket_put(p, BPF_LDX | BPF_MEM, 1);
	afpacket_put(p, BPF_ALU | BPF_XOR | BPF_X, 0);
	afpacket_put(p, BPF_LDX | BPF_MEM, 0);
	afpacket_put(p, BPF_ALU | BPF_XOR | BPF_X, 0);
	afpacket_goto(p, AFPACKET_SPREAD);
	afpacket_place(p, AFPACKET_ADDRESSES);
	afpacket_put(p, BPF_LD | BPF_MEM, 0);
	afpacket_goto(p, AFPACKET_SPREAD);
}

static void afpacket_hash_ipv4(struct afpacket_program *p, uint32_t at)
{
	afpacket_put(p, BPF_LD | BPF_W | BPF_LEN, 0);
	afpacket_if(p, BPF_JGE, at + 20, AFPACKET_NEXT, AFPACKET_OTHER);
	afpacket_put(p, BPF_LD | BPF_W | BPF_ABS, at + 12);
	afpacket_xor_word(p, at + 16);
	afpacket_keep_addresses(p);
	afpacket_put(p, BPF_LD | BPF_H | BPF_ABS, at + 6);
	afpacket_if(p, BPF_JSET, 0x3fff, AFPACKET_ADDRESSES, AFPACKET_NEXT); /* MF, offset */
	afpacket_put(p, BPF_LDX | BPF_B | BPF_MSH, at);
	afpacket_put(p, BPF_MISC | BPF_TXA, 0);
	afpacket_put(p, BPF_ALU | BPF_ADD | BPF_K, at);
	afpacket_put(p, BPF_MISC | BPF_TAX, 0);
	afpacket_put(p, BPF_LD | BPF_B | BPF_ABS, at + 9);
	afpacket_hash_ports(p);
}

static void afpacket_hash_ipv6(struct afpacket_program *p, uint32_t at)
{
	afpacket_put(p, BPF_LD | BPF_W | BPF_LEN, 0);
	afpacket_if(p, BPF_JGE, at + 40, AFPACKET_NEXT, AFPACKET_OTHER);
	afpacket_put(p, BPF_LD | BPF_W | BPF_ABS, at + 8);
	for (uint32_t word = 12; word < 40; word += 4)
		afpacket_xor_word(p, at + word);
	afpacket_keep_addresses(p);
	afpacket_put(p, BPF_LDX | BPF_IMM, at + 40);
	/* A fragment has an extension header here, which is none of the three protocols. */
	afpacket_put(p, BPF_LD | BPF_B | BPF_ABS, at + 6);
	afpacket_hash_ports(p);
}

/* An Ethernet type at @at, the payload behind it. */
static void afpacket_hash_typed(struct afpacket_program *p, uint32_t at, bool may_be_tag)
{
	enum afpacket_label tag = may_be_tag ? AFPACKET_TAG : AFPACKET_OTHER;

	afpacket_put(p, BPF_LD | BPF_W | BPF_LEN, 0);
	afpacket_if(p, BPF_JGE, at + 2, AFPACKET_NEXT, AFPACKET_OTHER);
	afpacket_put(p, BPF_LD | BPF_H | BPF_ABS, at);
	afpacket_if(p, BPF_JEQ, ETH_P_IP, AFPACKET_V4, AFPACKET_NEXT);
	afpacket_if(p, BPF_JEQ, ETH_P_IPV6, AFPACKET_V6, AFPACKET_NEXT);
	afpacket_if(p, BPF_JEQ, ETH_P_8021Q, tag, AFPACKET_NEXT);
	afpacket_if(p, BPF_JEQ, ETH_P_8021AD, tag, AFPACKET_OTHER);
	afpacket_place(p, AFPACKET_V4);
	afpacket_hash_ipv4(p, at + 2);
	afpacket_place(p, AFPACKET_V6);
	afpacket_hash_ipv6(p, at + 2);
	afpacket_place(p, AFPACKET_TAG);
}

static void afpacket_hash_raw(struct afpacket_program *p)
{
	afpacket_put(p, BPF_LD | BPF_W | BPF_LEN, 0);
	afpacket_if(p, BPF_JGE, 1, AFPACKET_NEXT, AFPACKET_OTHER);
	afpacket_put(p, BPF_LD | BPF_B | BPF_ABS, 0);
	afpacket_put(p, BPF_ALU | BPF_RSH | BPF_K, 4);
	afpacket_if(p, BPF_JEQ, 4, AFPACKET_V4, AFPACKET_NEXT);
	afpacket_if(p, BPF_JEQ, 6, AFPACKET_V6, AFPACKET_OTHER);
	afpacket_place(p, AFPACKET_V4);
	afpacket_hash_ipv4(p, 0);
	afpacket_place(p, AFPACKET_V6);
	afpacket_hash_ipv6(p, 0);
	afpacket_place(p, AFPACKET_OTHER);
	afpacket_put(p, BPF_LD | BPF_IMM, 0);
}

static void afpacket_hash_ethernet(struct afpacket_program *p)
{
	afpacket_hash_typed(p, 12, true);
	afpacket_hash_typed(p, 16, false);
	afpacket_place(p, AFPACKET_OTHER);
	/* A frame without a whole header: M[0] and A are 0, and it is the first ring's. */
	afpacket_put(p, BPF_LD | BPF_IMM, 0);
	afpacket_put(p, BPF_ST, 0);
	afpacket_put(p, BPF_LD | BPF_W | BPF_LEN, 0);
	afpacket_if(p, BPF_JGE, 12, AFPACKET_NEXT, AFPACKET_ADDRESSES);
	afpacket_put(p, BPF_LD | BPF_W | BPF_ABS, 2);
	afpacket_xor_word(p, 8);
	afpacket_put(p, BPF_ST, 0);
	afpacket_place(p, AFPACKET_ADDRESSES);
	afpacket_put(p, BPF_LD | BPF_MEM, 0);
}

unsigned int afpacket_filter_make(
	const struct afpacket_filter *filter, struct sock_filter ret[AFPACKET_FILTER_MAX])
{
	struct afpacket_program p = { .code = ret };

	if (filter->skip_outgoing) {
		afpacket_put(&p, BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE));
		afpacket_if(&p, BPF_JEQ, PACKET_OUTGOING, AFPACKET_DROP, AFPACKET_NEXT);
	}
	if (filter->n_shares > 1) {
		if (filter->linktype == AFPACKET_LINKTYPE_ETHERNET)
			afpacket_hash_ethernet(&p);
		else
			afpacket_hash_raw(&p);
		afpacket_place(&p, AFPACKET_SPREAD);
		afpacket_put(&p, BPF_ALU | BPF_MUL | BPF_K, AFPACKET_HASH_FACTOR);
		afpacket_put(&p, BPF_ALU | BPF_RSH | BPF_K, 16);
		afpacket_put(&p, BPF_ALU | BPF_MOD | BPF_K, filter->n_shares);
		afpacket_if(&p, BPF_JEQ, filter->share, AFPACKET_NEXT, AFPACKET_DROP);
	}
	afpacket_put(&p, BPF_RET | BPF_K, filter->snaplen_bytes);
	afpacket_place(&p, AFPACKET_DROP);
	afpacket_put(&p, BPF_RET | BPF_K, 0);
	return p.n;
}
