/* SPDX-License-Identifier: BSD-2-Clause */
/* Hand-made packets for the decoder's tests: each put_ function appends, in network byte order. */
#ifndef MAPI_PACKET_DECODE_TEST_PRIVATE_H
#define MAPI_PACKET_DECODE_TEST_PRIVATE_H

#include <stdint.h>
#include <string.h>

#include "packet/decode.h"

struct pkt {
	uint32_t n;
	uint8_t b[4096];
};

static inline void put8(struct pkt *p, unsigned int v)
{
	p->b[p->n++] = (uint8_t)v;
}

static inline void put16(struct pkt *p, unsigned int v)
{
	put8(p, v >> 8 & 0xff);
	put8(p, v & 0xff);
}

static inline void put32(struct pkt *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p, v & 0xffff);
}

static inline void put_fill(struct pkt *p, unsigned int value, uint32_t n_bytes)
{
	memset(p->b + p->n, (int)value, n_bytes);
	p->n += n_bytes;
}

static inline void put_ethernet(struct pkt *p, unsigned int type)
{
	put_fill(p, 0x02, 6);
	put_fill(p, 0x06, 6);
	put16(p, type);
}

static inline void put_snap(struct pkt *p, unsigned int type)
{
	put16(p, 0xaaaa);
	put8(p, 3);
	put8(p, 0);
	put16(p, 0);
	put16(p, type);
}

/* Lengths are those of what follows the header; 10.0.0.1 to 10.0.0.2. */
static inline void put_ipv4(struct pkt *p, unsigned int proto, unsigned int payload_bytes)
{
	put16(p, 0x4500);
	put16(p, 20 + payload_bytes);
	put32(p, 0x12340000);
	put8(p, 64);
	put8(p, proto);
	put16(p, 0);
	put32(p, 0x0a000001);
	put32(p, 0x0a000002);
}

static inline void put_ipv6(struct pkt *p, unsigned int next, unsigned int payload_bytes)
{
	put32(p, 0x60000000);
	put16(p, payload_bytes);
	put8(p, next);
	put8(p, 64);
	put_fill(p, 0x20, 15);
	put8(p, 1);
	put_fill(p, 0x20, 15);
	put8(p, 2);
}

static inline void put_tcp(struct pkt *p, unsigned int src, unsigned int dst)
{
	put16(p, src);
	put16(p, dst);
	put_fill(p, 0, 8);
	put16(p, 0x5010);
	put_fill(p, 0, 6);
}

static inline void put_udp(
	struct pkt *p, unsigned int src, unsigned int dst, unsigned int payload_bytes)
{
	put16(p, src);
	put16(p, dst);
	put16(p, 8 + payload_bytes);
	put16(p, 0);
}

/* TCP from 1234 to 80 with four bytes of payload, in IPv4: 44 bytes. */
static inline void put_ipv4_tcp(struct pkt *p)
{
	put_ipv4(p, 6, 24);
	put_tcp(p, 1234, 80);
	put_fill(p, 'x', 4);
}

/* The same in IPv6: 64 bytes. */
static inline void put_ipv6_tcp(struct pkt *p)
{
	put_ipv6(p, 6, 24);
	put_tcp(p, 1234, 80);
	put_fill(p, 'x', 4);
}

/* Decode one packet that lies in memory of exactly its size, as packet 0 of @ret; check that every
 * offset is inside and in order. The batch holds the packet until check_free(). */
void check_decode(uint32_t linktype, const uint8_t *bytes, uint32_t n_bytes,
	struct packet_batch *batch, struct decode_columns *ret);
void check_free(struct packet_batch *batch);

/* What one of the hand-made packets must decode to; 0 where decode_test_private.h has no say. */
struct check_layers {
	uint32_t l3, l4, payload, end;
	unsigned int version, proto, flags, src_port, dst_port;
};

void check_outer(const struct decode_columns *c, struct check_layers want);
void check_inner(const struct decode_columns *c, struct check_layers want);
/* No network header. */
void check_nothing(const struct decode_columns *c, unsigned int flags);

/* Decode @p and, under the sanitizer's eyes, every shorter cut of it. */
void check_packet(uint32_t linktype, const struct pkt *p, struct decode_columns *ret);

#endif
