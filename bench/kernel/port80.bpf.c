// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * "tcp port 80" with a packet and a byte counter, written by hand: what the programs of src/kernel
 * are measured beside. It does what they do - IPv4 with options and without later fragments, IPv6
 * without extension headers, a VLAN tag beside the packet hides the rest, counters of each CPU in
 * memory that can be mapped, super-packets counted as their segments - and nothing else.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "port80.h"

struct port80_count counts[PORT80_CPUS_MAX];

static __always_inline void count(__u64 pkts, __u64 bytes)
{
	__u32 cpu = bpf_get_smp_processor_id();

	if (cpu >= PORT80_CPUS_MAX)
		return;
	counts[cpu].pkts += pkts;
	counts[cpu].bytes += bytes;
}

/* Where the TCP header begins, by the first 34 bytes; 0: no TCP. */
static __always_inline __u32 tcp_at(const __u8 *p)
{
	__be16 type = *(const __be16 *)(p + 12);

	if (type == bpf_htons(ETH_P_IP) && p[23] == IPPROTO_TCP &&
		!(*(const __be16 *)(p + 20) & bpf_htons(0x1fff)))
		return ETH_HLEN + (p[14] & 0xf) * 4;
	if (type == bpf_htons(ETH_P_IPV6) && p[20] == IPPROTO_TCP)
		return ETH_HLEN + 40;
	return 0;
}

static __always_inline int is_port80(const __be16 *ports)
{
	return ports[0] == bpf_htons(80) || ports[1] == bpf_htons(80);
}

/* Each segment of a super-packet has all headers. */
static __always_inline void count_skb(struct __sk_buff *skb, __u32 at)
{
	__u64 bytes = skb->len;
	__u32 segs = 1;
	__u8 offset;

	if (skb->gso_size && bpf_skb_load_bytes(skb, at + 12, &offset, 1) == 0) {
		segs = skb->gso_segs;
		bytes += (__u64)(segs - 1) * (at + (offset >> 4) * 4);
	}
	count(segs, bytes);
}

SEC("socket")
int port80_socket(struct __sk_buff *skb)
{
	__be16 ports[2];
	__u8 p[34];
	__u32 at;

	if (skb->vlan_present || bpf_skb_load_bytes(skb, 0, p, sizeof(p)) < 0)
		return 0;
	at = tcp_at(p);
	if (at && bpf_skb_load_bytes(skb, at, ports, sizeof(ports)) == 0 && is_port80(ports))
		count_skb(skb, at);
	return 0;
}

SEC("tc")
int port80_tc(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__be16 copy[2];
	__u8 p[34];
	__u32 at;

	if (skb->vlan_present)
		return -1;
	if (data + sizeof(p) <= end)
		at = tcp_at(data);
	else
		at = bpf_skb_load_bytes(skb, 0, p, sizeof(p)) == 0 ? tcp_at(p) : 0;
	if (!at)
		return -1;
	if (data + at + sizeof(copy) <= end) {
		if (is_port80(data + at))
			count_skb(skb, at);
	} else if (bpf_skb_load_bytes(skb, at, copy, sizeof(copy)) == 0 && is_port80(copy)) {
		count_skb(skb, at);
	}
	return -1;
}

static __always_inline void count_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 at;

	if (data + 34 > end)
		return;
	at = tcp_at(data);
	if (at && data + at + 4 <= end && is_port80(data + at))
		count(1, end - data);
}

SEC("xdp")
int port80_xdp(struct xdp_md *ctx)
{
	count_xdp(ctx);
	return XDP_PASS;
}

/* For rates above those of the kernel's stack. */
SEC("xdp")
int port80_xdp_drop(struct xdp_md *ctx)
{
	count_xdp(ctx);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
