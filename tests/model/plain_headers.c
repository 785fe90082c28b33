/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What looks at headers in the plain machine: HASH, HASHSAMP and TOP. This reader knows the common
 * link types, VLAN tags, IPv4, and IPv6 with the common extension headers; of all other packets it
 * says that it is not sure, and then what depends on them cannot be foretold.
 */
#include "plain.h"

#include <mapi/hashsamp.h>
#include <mapi/topx.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define PLAIN_NOWHERE UINT32_MAX
#define PLAIN_TCP 6
#define PLAIN_UDP 17

/**
 * struct plain_headers - where the outer headers of a packet are
 * @link_end: first byte behind the link layer; PLAIN_NOWHERE if that is cut
 * @version:  4 or 6; 0 if there is no complete IP header, then nothing below is set
 * @transport: first byte behind IP's headers, PLAIN_NOWHERE if one of them is cut
 * @end:      where the packet ends by IP's own length, or is cut
 * @later:    a fragment other than the first
 */
struct plain_headers {
	bool unsure;
	uint32_t link_end;
	unsigned int version;
	uint32_t ip;
	uint32_t transport;
	uint32_t end;
	unsigned int proto;
	bool later;
};

static unsigned int plain_be16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

static uint32_t plain_be32(const uint8_t *p)
{
	return (uint32_t)plain_be16(p) << 16 | plain_be16(p + 2);
}

/* ---- link layers; *type becomes an Ethernet type, 0 if what follows is no IP ---- */

static void plain_ethernet(
	const struct model_packet *pkt, uint32_t at, struct plain_headers *h, unsigned int *type)
{
	for (;; at += 4) {
		if (pkt->cap_bytes < at + 2)
			return;
		*type = plain_be16(pkt->data + at);
		if (*type != 0x8100 && *type != 0x88a8)
			break;
	}
	h->link_end = at + 2;
	/* Lengths, and types that may hide IP. */
	h->unsure = *type < 0x600 || *type == 0x8847 || *type == 0x8848 || *type == 0x8863 ||
		*type == 0x8864 || *type == 0x88e7 || (*type >= 0x9100 && *type <= 0x9300);
}

static void plain_raw(const struct model_packet *pkt, struct plain_headers *h, unsigned int *type)
{
	unsigned int version = pkt->cap_bytes > 0 ? pkt->data[0] >> 4 : 0;

	h->link_end = 0;
	*type = version == 4 ? 0x0800 : version == 6 ? 0x86dd : 0;
	h->unsure = pkt->cap_bytes == 0;
}

static unsigned int plain_link(
	int linktype, const struct model_packet *pkt, struct plain_headers *h)
{
	unsigned int type = 0;

	switch (linktype) {
	case DLT_EN10MB:
		plain_ethernet(pkt, 12, h, &type);
		break;
	case DLT_LINUX_SLL:
		plain_ethernet(pkt, 14, h, &type);
		break;
	case DLT_RAW:
		plain_raw(pkt, h, &type);
		break;
	default:
		h->unsure = true;
	}
	return type;
}

/* ---- IP ---- */

/* Extension headers, from h->transport on. */
static void plain_extensions(const struct model_packet *pkt, struct plain_headers *h)
{
	for (unsigned int n = 0;; n++) {
		const uint8_t *p = pkt->data + h->transport;
		unsigned int proto = h->proto, n_bytes;

		if (proto != 0 && proto != 43 && proto != 44 && proto != 51 && proto != 60) {
			h->unsure |= proto == 135 || proto == 139 || proto == 140 || n > 8;
			return;
		}
		if (h->later || h->transport + 8 > h->end) {
			h->unsure = true; /* which protocol it is depends on how one looks */
			return;
		}
		n_bytes = proto == 44 ? 8 : proto == 51 ? (p[1] + 2u) * 4 : (p[1] + 1u) * 8;
		h->unsure |= h->transport + n_bytes > h->end;
		h->later = proto == 44 && plain_be16(p + 2) >> 3;
		h->proto = p[0];
		h->transport += n_bytes;
		if (h->unsure)
			return;
	}
}

static void plain_ipv4(const struct model_packet *pkt, struct plain_headers *h)
{
	const uint8_t *p = pkt->data + h->link_end;
	uint32_t left = pkt->cap_bytes - h->link_end, head_bytes, total_bytes;

	if (left < 20 || p[0] >> 4 != 4 || (p[0] & 15) < 5)
		return;
	head_bytes = (p[0] & 15u) * 4u;
	total_bytes = plain_be16(p + 2);
	h->unsure = total_bytes < head_bytes;
	h->version = 4;
	h->ip = h->link_end;
	h->end = h->ip + (total_bytes < left ? total_bytes : left);
	h->proto = p[9];
	h->later = plain_be16(p + 6) & 0x1fff;
	h->transport = head_bytes <= left ? h->ip + head_bytes : PLAIN_NOWHERE;
	if (h->proto == 51)
		h->unsure = true;
}

static void plain_ipv6(const struct model_packet *pkt, struct plain_headers *h)
{
	const uint8_t *p = pkt->data + h->link_end;
	uint32_t left = pkt->cap_bytes - h->link_end, total_bytes;

	if (left < 40 || p[0] >> 4 != 6)
		return;
	total_bytes = 40 + plain_be16(p + 4);
	h->unsure = total_bytes == 40; /* nothing, or a jumbogram */
	h->version = 6;
	h->ip = h->link_end;
	h->end = h->ip + (total_bytes < left ? total_bytes : left);
	h->proto = p[6];
	h->transport = h->ip + 40;
	plain_extensions(pkt, h);
}

static struct plain_headers plain_read(const struct plain *m, const struct model_packet *pkt)
{
	struct plain_headers h = { .link_end = PLAIN_NOWHERE };
	unsigned int type = plain_link(pcap_datalink(m->capture->pcap), pkt, &h);

	if (h.unsure || h.link_end == PLAIN_NOWHERE)
		return h;
	if (type == 0x0800)
		plain_ipv4(pkt, &h);
	else if (type == 0x86dd)
		plain_ipv6(pkt, &h);
	return h;
}

/* Its transport header, of which at least @n_bytes are there. NULL: not that much, or none. */
static const uint8_t *plain_transport(
	const struct plain_headers *h, const struct model_packet *pkt, uint32_t n_bytes)
{
	if (h->version == 0 || h->later || h->transport == PLAIN_NOWHERE ||
		h->transport + n_bytes > h->end)
		return NULL;
	return pkt->data + h->transport;
}

/* ---- HASH ---- */

/* What it is the sum of. Return: false if the packet has no such layer. */
static bool plain_layer(int layer, const struct model_packet *pkt, struct plain_headers *h,
	uint32_t *begin, uint32_t *end)
{
	const uint8_t *p;

	*begin = h->link_end;
	*end = pkt->cap_bytes;
	if (layer == 1)
		return h->link_end != PLAIN_NOWHERE;
	if (h->version == 0)
		return false;
	*begin = h->transport;
	*end = h->end;
	if (layer == 2)
		return h->transport != PLAIN_NOWHERE;
	p = plain_transport(h, pkt, h->proto == PLAIN_UDP ? 8 : 20);
	if (!p || (h->proto != PLAIN_TCP && h->proto != PLAIN_UDP)) {
		h->unsure = true; /* what else there is has headers, too */
		return false;
	}
	*begin += h->proto == PLAIN_UDP ? 8 : (p[12] >> 4) * 4u;
	h->unsure = h->proto == PLAIN_TCP && p[12] >> 4 < 5;
	return true;
}

void plain_hash(struct plain *m, struct plain_function *p, const struct model_function *f,
	const struct model_packet *pkt)
{
	struct plain_headers h = plain_read(m, pkt);
	uint32_t begin = 0, end = pkt->cap_bytes;
	uint64_t sum = 0;

	p->result.known = true;
	if (f->number > 0) {
		if (!h.unsure && !plain_layer(f->number, pkt, &h, &begin, &end))
			begin = end;
		p->result.known = !h.unsure;
	}
	if (begin < end)
		sum = end - begin;
	for (uint32_t i = begin; i < end; i++)
		sum += pkt->data[i];
	p->value = sum % 500009;
}

/* ---- HASHSAMP ---- */

/* The hash of mapi_stdflib(3). */
static uint64_t plain_flow_hash(const struct plain_headers *h, const struct model_packet *pkt)
{
	unsigned int n_bytes = h->version == 4 ? 4 : 16;
	const uint8_t *ip = pkt->data + h->ip;
	uint8_t ends[2][18] = { { 0 } }, hashed[40] = { 0 };

	for (unsigned int i = 0; i < 2; i++) {
		const uint8_t *address = ip + (h->version == 4 ? 12 : 8) + i * n_bytes;

		if (h->version == 4)
			ends[i][10] = ends[i][11] = 0xff;
		memcpy(ends[i] + 16 - n_bytes, address, n_bytes);
		memcpy(ends[i] + 16, pkt->data + h->transport + 2 * (size_t)i, 2);
	}
	for (unsigned int i = 0; i < 2; i++) {
		const uint8_t *end = ends[(memcmp(ends[0], ends[1], 18) > 0) ^ i];
		uint16_t port = (uint16_t)plain_be16(end + 16);

		memcpy(hashed + 16 * (size_t)i, end, 16);
		memcpy(hashed + 32 + 2 * (size_t)i, &port, 2);
	}
	hashed[36] = (uint8_t)h->version;
	hashed[37] = (uint8_t)h->proto;
	return XXH3_64bits_withSeed(hashed, sizeof(hashed), 6564987);
}

static void plain_keep_sample(
	struct plain_function *p, const struct plain_headers *h, const struct model_packet *pkt)
{
	const uint8_t *ip = pkt->data + h->ip, *transport = pkt->data + h->transport;
	struct sample record;

	memset(&record, 0, sizeof(record));
	if (h->version == 4) {
		record.source_ip = plain_be32(ip + 12);
		record.dest_ip = plain_be32(ip + 16);
	}
	record.sourceport = plain_be16(transport);
	record.destport = plain_be16(transport + 2);
	record.protocol = h->proto;
	record.timestamp = model_ts(pkt->ts_ns);
	if (h->proto == PLAIN_TCP) {
		unsigned int flags = transport[13];

		record.sequence = plain_be32(transport + 4);
		record.tcp_flags = (flags >> 1 & 1) * HASHSAMP_SYN +
			(flags >> 4 & 1) * HASHSAMP_ACK + (flags >> 2 & 1) * HASHSAMP_RST +
			(flags & 1) * HASHSAMP_FIN + (flags >> 3 & 1) * HASHSAMP_PSH;
	}
	p->value++;
	p->result.digest = model_digest_bytes(p->result.digest, &record, sizeof(record));
}

bool plain_hashsamp(struct plain *m, struct plain_function *p, const struct model_function *f,
	const struct model_packet *pkt)
{
	struct plain_headers h = plain_read(m, pkt);

	if (!h.unsure &&
		(h.version == 0 || (h.proto != PLAIN_TCP && h.proto != PLAIN_UDP) || h.later))
		return false;
	if (h.unsure || !plain_transport(&h, pkt, h.proto == PLAIN_TCP ? 14 : 4)) {
		p->unsure = true;
		return false;
	}
	if (plain_flow_hash(&h, pkt) % 1024 >= (uint64_t)f->number)
		return false;
	if (f->depth)
		plain_keep_sample(p, &h, pkt);
	return true;
}

/* ---- TOP ---- */

/* Offset and length of each field: in IPv4, in IPv6; beginning with TCP's, in both. */
static const struct {
	uint8_t at[2], n_bytes[2];
} plain_fields[] = {
	[TOPX_IP_TOS] = { { 1, 0 }, { 1, 2 } },
	[TOPX_IP_LENGTH] = { { 2, 4 }, { 2, 2 } },
	[TOPX_IP_ID] = { { 4, 0 }, { 2, 0 } },
	[TOPX_IP_OFFSET] = { { 6, 0 }, { 2, 0 } },
	[TOPX_IP_TTL] = { { 8, 7 }, { 1, 1 } },
	[TOPX_IP_PROTOCOL] = { { 9, 6 }, { 1, 1 } },
	[TOPX_IP_CHECKSUM] = { { 10, 0 }, { 2, 0 } },
	[TOPX_IP_SRCIP] = { { 12, 8 }, { 4, 16 } },
	[TOPX_IP_DSTIP] = { { 16, 24 }, { 4, 16 } },
	[TOPX_TCP_SRCPORT] = { { 0, 0 }, { 2, 2 } },
	[TOPX_TCP_DSTPORT] = { { 2, 2 }, { 2, 2 } },
	[TOPX_TCP_SEQ] = { { 4, 4 }, { 4, 4 } },
	[TOPX_TCP_ACK] = { { 8, 8 }, { 4, 4 } },
	[TOPX_TCP_FLAGS] = { { 13, 13 }, { 1, 1 } },
	[TOPX_TCP_WIN] = { { 14, 14 }, { 2, 2 } },
	[TOPX_TCP_CRC] = { { 16, 16 }, { 2, 2 } },
	[TOPX_TCP_URGENT] = { { 18, 18 }, { 2, 2 } },
	[TOPX_UDP_SRCPORT] = { { 0, 0 }, { 2, 2 } },
	[TOPX_UDP_DSTPORT] = { { 2, 2 }, { 2, 2 } },
	[TOPX_UDP_LENGTH] = { { 4, 4 }, { 2, 2 } },
	[TOPX_UDP_CHECKSUM] = { { 6, 6 }, { 2, 2 } },
};

/* Return: the first byte of the field, NULL if the packet does not have it. */
static const uint8_t *plain_field(const struct plain_headers *h, const struct model_packet *pkt,
	int protocol, int field, unsigned int *n_bytes)
{
	unsigned int at = plain_fields[field].at[h->version == 6];

	*n_bytes = plain_fields[field].n_bytes[h->version == 6];
	if (h->version == 0 || *n_bytes == 0)
		return NULL;
	if (protocol == TOPX_IP)
		return pkt->data + h->ip + at;
	if (h->proto != (protocol == TOPX_TCP ? PLAIN_TCP : PLAIN_UDP) ||
		!plain_transport(h, pkt, at + *n_bytes))
		return NULL;
	return pkt->data + h->transport + at;
}

static bool plain_top_value(const struct plain_headers *h, const struct model_packet *pkt,
	int protocol, int field, struct topx_result *ret)
{
	unsigned int n_bytes;
	const uint8_t *p = plain_field(h, pkt, protocol, field, &n_bytes);

	if (!p)
		return false;
	memset(ret, 0, sizeof(*ret));
	if (field == TOPX_IP_SRCIP || field == TOPX_IP_DSTIP) {
		ret->family = h->version == 4 ? AF_INET : AF_INET6;
		memcpy(h->version == 4 ? (void *)&ret->value : &ret->addr6, p, n_bytes);
		return true;
	}
	for (unsigned int i = 0; i < n_bytes; i++)
		ret->value = ret->value << 8 | p[i];
	if (h->version == 6 && field == TOPX_IP_TOS)
		ret->value = ret->value >> 4 & 0xff;
	if (h->version == 6 && field == TOPX_IP_LENGTH)
		ret->value += 40;
	if (h->version == 6 && field == TOPX_IP_PROTOCOL)
		ret->value = h->proto;
	return true;
}

void plain_top(struct plain *m, struct plain_function *p, const struct model_function *f,
	const struct model_packet *pkt)
{
	struct plain_headers h = plain_read(m, pkt);
	struct topx_result value;
	unsigned int n = 0;

	p->unsure |= h.unsure;
	if (h.unsure || !plain_top_value(&h, pkt, f->numbers[1], f->numbers[2], &value))
		return;
	while (n < p->n_top &&
		(p->top[n].value != value.value || p->top[n].family != value.family ||
			memcmp(&p->top[n].addr6, &value.addr6, sizeof(value.addr6)) != 0))
		n++;
	if (n == p->n_top) {
		if (n % 1024 == 0)
			p->top = realloc(p->top, (n + 1024) * sizeof(*p->top));
		if (!p->top)
			abort();
		p->top[p->n_top++] = value;
	}
	p->top[n].count++;
	p->top[n].bytecount += pkt->wire_bytes;
}

static int plain_order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int plain_by_value(const struct topx_result *a, const struct topx_result *b)
{
	if (a->family != b->family)
		return a->family == AF_INET ? -1 : 1;
	if (a->family == AF_INET6)
		return memcmp(&a->addr6, &b->addr6, sizeof(a->addr6));
	return a->family == AF_INET ? plain_order(ntohl(a->value), ntohl(b->value))
				    : plain_order(a->value, b->value);
}

static int plain_by_packets(const void *one, const void *other)
{
	const struct topx_result *a = one, *b = other;
	int order = plain_order(b->count, a->count);

	order = order ? order : plain_order(b->bytecount, a->bytecount);
	return order ? order : plain_by_value(a, b);
}

static int plain_by_bytes(const void *one, const void *other)
{
	const struct topx_result *a = one, *b = other;
	int order = plain_order(b->bytecount, a->bytecount);

	return order ? order : plain_by_packets(one, other);
}

void plain_top_end(struct plain_function *p, const struct model_function *f, uint64_t ts_ns)
{
	uint64_t period_ns = plain_period_ns(f->text);

	p->begin_ns += (ts_ns - p->begin_ns) / period_ns * period_ns;
	p->n_top = 0;
}

void plain_top_result(
	const struct plain *m, struct plain_function *p, const struct model_function *f)
{
	uint64_t begin_ns = p->begun ? p->begin_ns : m->capture->pkts[0].ts_ns;
	unsigned int n = f->numbers[0] < 1 ? 1 : (unsigned int)f->numbers[0];

	if (p->n_top > 0)
		qsort(p->top, p->n_top, sizeof(*p->top),
			f->numbers[3] == SORT_BY_BYTES ? plain_by_bytes : plain_by_packets);
	if (n > p->n_top)
		n = p->n_top;
	for (unsigned int i = 0; i < n; i++) {
		p->top[i].last_rst_secs = (unsigned int)(begin_ns / 1000);
		p->result.digest =
			model_digest_bytes(p->result.digest, &p->top[i], sizeof(p->top[i]));
	}
	p->value = n;
	free(p->top);
	p->top = NULL;
	p->n_top = 0;
}
