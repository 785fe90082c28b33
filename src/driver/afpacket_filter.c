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
 * fragments) ports, multiplied to spread it: the same in both directions. It looks behind two VLAN
 * tags, of which the kernel may keep the outer one beside the packet. All else goes by Ethernet
 * addresses.
 *
 * Where the kernel tier selects packets, its programs do all this instead, and find the hash by the
 * same instructions (filter_lift()), for packets as they were on the wire: with the tag in place. A
 * packet is the same ring's in either form, so programs can take each other's place ring by ring.
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

/* Scratch memory. */
#define AFPACKET_M_HASH 0
#define AFPACKET_M_OTHER 1 /* what is combined with A next */
#define AFPACKET_M_AT 2 /* of tagged packets: where IP begins */
#define AFPACKET_M_PROTO 3

/* What a load of the IP header is: at a fixed place, which is fast, or behind tags. */
struct afpacket_ip {
	uint32_t at;
	bool is_tagged; /* at M[AFPACKET_M_AT] */
};

/* A = @size at @k of the IP header; X = where that begins, if packets are tagged. */
static void afpacket_load(
	struct afpacket_program *p, const struct afpacket_ip *ip, uint16_t size, uint32_t k)
{
	if (ip->is_tagged)
		afpacket_put(p, BPF_LDX | BPF_MEM, AFPACKET_M_AT);
	afpacket_put(p, BPF_LD | size | (ip->is_tagged ? BPF_IND : BPF_ABS), ip->at + k);
}

/* A ^= the word at @k of the IP header. */
static void afpacket_xor_word(struct afpacket_program *p, const struct afpacket_ip *ip, uint32_t k)
{
	afpacket_put(p, BPF_ST, AFPACKET_M_OTHER);
	afpacket_load(p, ip, BPF_W, k);
	afpacket_put(p, BPF_LDX | BPF_MEM, AFPACKET_M_OTHER);
	afpacket_put(p, BPF_ALU | BPF_XOR | BPF_X, 0);
}

/* Goes to OTHER if there are not @n_bytes of the IP header. */
static void afpacket_need(
	struct afpacket_program *p, const struct afpacket_ip *ip, uint32_t n_bytes)
{
	if (ip->is_tagged)
		afpacket_put(p, BPF_LDX | BPF_MEM, AFPACKET_M_AT);
	afpacket_put(p, BPF_LD | BPF_W | BPF_LEN, 0);
	if (ip->is_tagged)
		afpacket_put(p, BPF_ALU | BPF_SUB | BPF_X, 0);
	afpacket_if(p, BPF_JGE, ip->at + n_bytes, AFPACKET_NEXT, AFPACKET_OTHER);
}

/* The hash of the addresses, spread: else addresses and ports that count up together would cancel
 * each other out. */
static void afpacket_keep_addresses(struct afpacket_program *p)
{
	afpacket_put(p, BPF_ALU | BPF_MUL | BPF_K, AFPACKET_HASH_FACTOR);
	afpacket_put(p, BPF_ST, AFPACKET_M_HASH);
}

/* M holds the protocol number and the addresses, X the offset of the transport header. */
static void afpacket_hash_ports(struct afpacket_program *p)
{
	afpacket_put(p, BPF_LD | BPF_MEM, AFPACKET_M_PROTO);
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
	afpacket_put(p, BPF_ST, AFPACKET_M_OTHER);
	afpacket_put(p, BPF_LD | BPF_H | BPF_IND, 2);
	afpacket_put(p, BPF_LDX | BPF_MEM, AFPACKET_M_OTHER);
	afpacket_put(p, BPF_ALU | BPF_XOR | BPF_X, 0);
	afpacket_put(p, BPF_LDX | BPF_MEM, AFPACKET_M_HASH);
	afpacket_put(p, BPF_ALU | BPF_XOR | BPF_X, 0);
	afpacket_goto(p, AFPACKET_SPREAD);
	afpacket_place(p, AFPACKET_ADDRESSES);
	afpacket_put(p, BPF_LD | BPF_MEM, AFPACKET_M_HASH);
	afpacket_goto(p, AFPACKET_SPREAD);
}

/* X = where the IP header begins + A; of tagged packets X is where that is already. */
static void afpacket_transport(struct afpacket_program *p, const struct afpacket_ip *ip)
{
	if (ip->is_tagged)
		afpacket_put(p, BPF_ALU | BPF_ADD | BPF_X, 0);
	else
		afpacket_put(p, BPF_ALU | BPF_ADD | BPF_K, ip->at);
	afpacket_put(p, BPF_MISC | BPF_TAX, 0);
}

static void afpacket_hash_ipv4(struct afpacket_program *p, const struct afpacket_ip *ip)
{
	afpacket_need(p, ip, 20);
	afpacket_load(p, ip, BPF_W, 12);
	afpacket_xor_word(p, ip, 16);
	afpacket_keep_addresses(p);
	afpacket_load(p, ip, BPF_H, 6);
	afpacket_if(p, BPF_JSET, 0x3fff, AFPACKET_ADDRESSES, AFPACKET_NEXT); /* MF, offset */
	afpacket_load(p, ip, BPF_B, 9);
	afpacket_put(p, BPF_ST, AFPACKET_M_PROTO);
	afpacket_load(p, ip, BPF_B, 0);
	afpacket_put(p, BPF_ALU | BPF_AND | BPF_K, 0xf);
	afpacket_put(p, BPF_ALU | BPF_LSH | BPF_K, 2);
	afpacket_transport(p, ip);
	afpacket_hash_ports(p);
}

static void afpacket_hash_ipv6(struct afpacket_program *p, const struct afpacket_ip *ip)
{
	afpacket_need(p, ip, 40);
	afpacket_load(p, ip, BPF_W, 8);
	for (uint32_t word = 12; word < 40; word += 4)
		afpacket_xor_word(p, ip, word);
	afpacket_keep_addresses(p);
	/* A fragment has an extension header here, which is none of the three protocols. */
	afpacket_load(p, ip, BPF_B, 6);
	afpacket_put(p, BPF_ST, AFPACKET_M_PROTO);
	afpacket_put(p, BPF_LD | BPF_IMM, 40);
	afpacket_transport(p, ip);
	afpacket_hash_ports(p);
}

/* An Ethernet type at @at. */
static void afpacket_type(struct afpacket_program *p, uint32_t at, enum afpacket_label v4,
	enum afpacket_label v6, enum afpacket_label tag)
{
	afpacket_put(p, BPF_LD | BPF_W | BPF_LEN, 0);
	afpacket_if(p, BPF_JGE, at + 2, AFPACKET_NEXT, AFPACKET_OTHER);
	afpacket_put(p, BPF_LD | BPF_H | BPF_ABS, at);
	afpacket_if(p, BPF_JEQ, ETH_P_IP, v4, AFPACKET_NEXT);
	afpacket_if(p, BPF_JEQ, ETH_P_IPV6, v6, AFPACKET_NEXT);
	if (tag != AFPACKET_OTHER)
		afpacket_if(p, BPF_JEQ, ETH_P_8021Q, tag, AFPACKET_NEXT);
	afpacket_if(p, BPF_JEQ, ETH_P_8021AD, tag, AFPACKET_OTHER);
}

static void afpacket_ip_at(struct afpacket_program *p, uint32_t at)
{
	afpacket_put(p, BPF_LD | BPF_IMM, at);
	afpacket_put(p, BPF_ST, AFPACKET_M_AT);
}

/* Up to two tags, of which the kernel may keep the outer one beside the packet. */
static void afpacket_hash_tagged(struct afpacket_program *p, bool is_wire)
{
	const struct afpacket_ip tagged = { .is_tagged = true };

	afpacket_ip_at(p, 18);
	afpacket_type(p, 16, AFPACKET_V4, AFPACKET_V6, AFPACKET_TAG);
	afpacket_place(p, AFPACKET_TAG);
	if (!is_wire) {
		afpacket_put(p, BPF_LD | BPF_B | BPF_ABS, AFPACKET_TAG_IS_BESIDE);
		afpacket_if(p, BPF_JEQ, 0, AFPACKET_NEXT, AFPACKET_OTHER);
	}
	afpacket_ip_at(p, 22);
	afpacket_type(p, 20, AFPACKET_V4, AFPACKET_V6, AFPACKET_OTHER);
	afpacket_place(p, AFPACKET_V4);
	afpacket_hash_ipv4(p, &tagged);
	afpacket_place(p, AFPACKET_V6);
	afpacket_hash_ipv6(p, &tagged);
}

static void afpacket_hash_ethernet(struct afpacket_program *p, bool is_wire)
{
	const struct afpacket_ip untagged = { .at = 14 };

	afpacket_type(p, 12, AFPACKET_V4, AFPACKET_V6, AFPACKET_TAG);
	afpacket_place(p, AFPACKET_V4);
	afpacket_hash_ipv4(p, &untagged);
	afpacket_place(p, AFPACKET_V6);
	afpacket_hash_ipv6(p, &untagged);
	afpacket_place(p, AFPACKET_TAG);
	afpacket_hash_tagged(p, is_wire);
	afpacket_place(p, AFPACKET_OTHER);
	/* A frame without a whole header: A is 0, and it is the first ring's. */
	afpacket_put(p, BPF_LD | BPF_IMM, 0);
	afpacket_put(p, BPF_ST, AFPACKET_M_HASH);
	afpacket_put(p, BPF_LD | BPF_W | BPF_LEN, 0);
	afpacket_if(p, BPF_JGE, 12, AFPACKET_NEXT, AFPACKET_ADDRESSES);
	afpacket_put(p, BPF_LD | BPF_W | BPF_ABS, 2);
	afpacket_xor_word(p, &(struct afpacket_ip){ .at = 0 }, 8);
	afpacket_put(p, BPF_ST, AFPACKET_M_HASH);
	afpacket_place(p, AFPACKET_ADDRESSES);
	afpacket_put(p, BPF_LD | BPF_MEM, AFPACKET_M_HASH);
}

static void afpacket_hash_raw(struct afpacket_program *p)
{
	const struct afpacket_ip whole = { .at = 0 };

	afpacket_put(p, BPF_LD | BPF_W | BPF_LEN, 0);
	afpacket_if(p, BPF_JGE, 1, AFPACKET_NEXT, AFPACKET_OTHER);
	afpacket_put(p, BPF_LD | BPF_B | BPF_ABS, 0);
	afpacket_put(p, BPF_ALU | BPF_RSH | BPF_K, 4);
	afpacket_if(p, BPF_JEQ, 4, AFPACKET_V4, AFPACKET_NEXT);
	afpacket_if(p, BPF_JEQ, 6, AFPACKET_V6, AFPACKET_OTHER);
	afpacket_place(p, AFPACKET_V4);
	afpacket_hash_ipv4(p, &whole);
	afpacket_place(p, AFPACKET_V6);
	afpacket_hash_ipv6(p, &whole);
	afpacket_place(p, AFPACKET_OTHER);
	afpacket_put(p, BPF_LD | BPF_IMM, 0);
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
			afpacket_hash_ethernet(&p, filter->is_wire);
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
