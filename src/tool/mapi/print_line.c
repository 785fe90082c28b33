/* SPDX-License-Identifier: BSD-2-Clause */
/* The line of a packet (print.h), made from its facts. */
#include "print.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"

#define PRINT_TUNNELS_MAX 4

struct print_name {
	unsigned int number;
	const char *name;
};

static const char *print_find(const struct print_name *names, size_t n, unsigned int number)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (names[i].number == number)
			return names[i].name;
	return NULL;
}

#define PRINT_FIND(names, number) print_find(names, sizeof(names) / sizeof((names)[0]), number)

const char *print_ethertype_name(uint16_t ethertype)
{
	static const struct print_name names[] = { { 0x0800, "IPv4" }, { 0x0806, "ARP" },
		{ 0x8035, "RARP" }, { 0x8100, "802.1Q" }, { 0x86dd, "IPv6" }, { 0x8847, "MPLS" },
		{ 0x8848, "MPLS multicast" }, { 0x8863, "PPPoE D" }, { 0x8864, "PPPoE S" },
		{ 0x888e, "EAPOL" }, { 0x88a8, "802.1Q-QinQ" }, { 0x88cc, "LLDP" },
		{ 0x88f7, "PTP" }, { 0x88e5, "MACsec" }, { 0x9000, "Loopback" },
		{ 0x809b, "Appletalk" }, { 0x8137, "IPX" } };

	return PRINT_FIND(names, ethertype);
}

const char *print_proto_name(uint8_t proto)
{
	static const struct print_name names[] = { { 1, "ICMP" }, { 2, "IGMP" }, { 4, "IPIP" },
		{ 6, "TCP" }, { 17, "UDP" }, { 33, "DCCP" }, { 41, "IPv6" }, { 46, "RSVP" },
		{ 47, "GRE" }, { 50, "ESP" }, { 51, "AH" }, { 58, "ICMPv6" },
		{ 59, "no next header" }, { 88, "EIGRP" }, { 89, "OSPF" }, { 103, "PIM" },
		{ 112, "VRRP" }, { 132, "SCTP" } };

	return PRINT_FIND(names, proto);
}

void print_tcp_flags(char out[16], uint16_t flags)
{
	static const char letters[] = "FSRP.UEWe"; /* from the lowest bit; tcpdump's letters */
	size_t n = 0, i;

	for (i = 0; i < 9; i++)
		if (flags & 1u << i && letters[i] != '.')
			out[n++] = letters[i];
	if (flags & 0x10)
		out[n++] = '.';
	if (!n)
		memcpy(out, "none", n = 4);
	out[n] = '\0';
}

static void print_sack(FILE *out, struct buf *value)
{
	unsigned int n = (unsigned int)(buf_left(value) / 8);

	fprintf(out, "sack %u ", n);
	while (n--) {
		uint32_t from = buf_get_be32(value);

		fprintf(out, "{%u:%u}", from, buf_get_be32(value));
	}
}

/* RFC 9293, 3.1 and the RFCs of the options. Return: false at the end of the list. */
static bool print_tcp_option(FILE *out, struct buf *b)
{
	unsigned int kind = buf_get_u8(b), length;
	const uint8_t *bytes;
	struct buf value;
	uint32_t ts;

	if (kind == 0) {
		fputs("eol", out);
		return false;
	}
	if (kind == 1) {
		fputs("nop", out);
		return true;
	}
	length = buf_get_u8(b);
	bytes = length >= 2 ? buf_take(b, length - 2) : NULL;
	if (!bytes || !buf_ok(b)) {
		fputs("[bad opt]", out);
		return false;
	}
	value = buf_from(bytes, length - 2);
	if (kind == 2 && length == 4) {
		fprintf(out, "mss %u", buf_get_be16(&value));
	} else if (kind == 3 && length == 3) {
		fprintf(out, "wscale %u", buf_get_u8(&value));
	} else if (kind == 4 && length == 2) {
		fputs("sackOK", out);
	} else if (kind == 5) {
		print_sack(out, &value);
	} else if (kind == 8 && length == 10) {
		ts = buf_get_be32(&value);
		fprintf(out, "TS val %u ecr %u", ts, buf_get_be32(&value));
	} else {
		fprintf(out, "opt %u", kind);
	}
	return true;
}

static void print_tcp(FILE *out, const struct print_options *options, const struct facts *f)
{
	struct buf b = buf_from(f->tcp.options, f->tcp.options_bytes);
	bool first = true;
	char flags[16];

	if (options->quick) {
		fprintf(out, "tcp %u", f->payload_wire_bytes);
		return;
	}
	print_tcp_flags(flags, f->tcp.flags);
	fprintf(out, "Flags [%s]", flags);
	if (f->payload_wire_bytes)
		fprintf(out, ", seq %u:%u", f->tcp.seq, f->tcp.seq + f->payload_wire_bytes);
	else if (f->tcp.flags & 7 || options->verbose)
		fprintf(out, ", seq %u", f->tcp.seq);
	if (f->tcp.flags & 0x10)
		fprintf(out, ", ack %u", f->tcp.ack);
	fprintf(out, ", win %u", f->tcp.window);
	if (f->tcp.options_bytes) {
		fputs(", options [", out);
		while (buf_left(&b)) {
			if (!first)
				fputc(',', out);
			first = false;
			if (!print_tcp_option(out, &b))
				break;
		}
		fputc(']', out);
	}
	fprintf(out, ", length %u", f->payload_wire_bytes);
}

static bool print_is_dns_port(uint16_t port)
{
	return port == 53 || port == 5353 || port == 5355;
}

static void print_udp(FILE *out, const struct print_options *options, const struct facts *f)
{
	if (options->quick) {
		fprintf(out, "UDP, length %u", f->payload_wire_bytes);
		return;
	}
	if ((print_is_dns_port(f->src_port) || print_is_dns_port(f->dst_port)) &&
		print_dns(out, f->payload, f->payload_bytes)) {
		fprintf(out, " (%u)", f->payload_wire_bytes);
		return;
	}
	fprintf(out, "UDP, length %u", f->payload_wire_bytes);
}

static const char *print_icmp_name(uint8_t type, uint8_t code)
{
	static const struct print_name unreachable[] = { { 0, "net unreachable" },
		{ 1, "host unreachable" }, { 2, "protocol unreachable" }, { 3, "port unreachable" },
		{ 4, "need to frag" }, { 13, "admin prohibited" } };
	static const struct print_name names[] = { { 0, "echo reply" }, { 3, "unreachable" },
		{ 4, "source quench" }, { 5, "redirect" }, { 8, "echo request" },
		{ 9, "router advertisement" }, { 10, "router solicitation" },
		{ 11, "time exceeded" }, { 12, "parameter problem" }, { 13, "time stamp query" },
		{ 14, "time stamp reply" } };
	const char *name = type == 3 ? PRINT_FIND(unreachable, code) : NULL;

	return name ? name : PRINT_FIND(names, type);
}

static const char *print_icmp6_name(uint8_t type)
{
	static const struct print_name names[] = { { 1, "unreachable" }, { 2, "packet too big" },
		{ 3, "time exceeded" }, { 4, "parameter problem" }, { 128, "echo request" },
		{ 129, "echo reply" }, { 130, "multicast listener query" },
		{ 131, "multicast listener report" }, { 132, "multicast listener done" },
		{ 133, "router solicitation" }, { 134, "router advertisement" },
		{ 135, "neighbor solicitation" }, { 136, "neighbor advertisement" },
		{ 137, "redirect" }, { 143, "multicast listener report v2" } };

	return PRINT_FIND(names, type);
}

static void print_icmp(FILE *out, const struct facts *f)
{
	bool six = f->transport == FACTS_TRANSPORT_ICMP6;
	const char *name =
		six ? print_icmp6_name(f->icmp_type) : print_icmp_name(f->icmp_type, f->icmp_code);
	bool echo = six ? f->icmp_type == 128 || f->icmp_type == 129
			: f->icmp_type == 0 || f->icmp_type == 8;
	struct buf b = buf_from(f->payload, f->payload_bytes);
	char address[PRINT_ADDRESS_BYTES];

	fputs(six ? "ICMP6, " : "ICMP ", out);
	if (name)
		fputs(name, out);
	else
		fprintf(out, "type %u code %u", f->icmp_type, f->icmp_code);
	if (echo && buf_left(&b) >= 4) {
		unsigned int id = buf_get_be16(&b);

		fprintf(out, ", id %u, seq %u", id, buf_get_be16(&b));
	} else if (six && (f->icmp_type == 135 || f->icmp_type == 136) && buf_left(&b) >= 20) {
		(void)buf_take(&b, 4);
		print_address(address, 6, b.at);
		fprintf(out, f->icmp_type == 135 ? ", who has %s" : ", tgt is %s", address);
	}
	fprintf(out, ", length %u", f->payload_wire_bytes);
}

static void print_arp(FILE *out, const struct facts *f)
{
	char sender[PRINT_ADDRESS_BYTES], target[PRINT_ADDRESS_BYTES];

	fputs("ARP, ", out);
	print_address(sender, 4, f->arp.sender_ip);
	print_address(target, 4, f->arp.target_ip);
	if (!f->has_arp) {
		fprintf(out, "operation %u", f->arp.operation);
	} else if (f->arp.operation == 1) {
		fprintf(out, "Request who-has %s tell %s", target, sender);
	} else if (f->arp.operation == 2) {
		fprintf(out, "Reply %s is-at ", sender);
		print_mac(out, f->arp.sender_mac);
	} else {
		fprintf(out, "operation %u, sender %s, target %s", f->arp.operation, sender,
			target);
	}
	fprintf(out, ", length %u", f->payload_wire_bytes);
}

static void print_ip_header(FILE *out, const struct facts *f)
{
	const char *proto = print_proto_name(f->proto);

	if (f->ip_version == 4)
		fprintf(out, "(tos 0x%x, ttl %u, id %u, offset %u, flags [%s], ", f->tos, f->ttl,
			f->id, f->fragment_offset,
			f->more_fragments          ? "+"
				: f->dont_fragment ? "DF"
						   : "none");
	else
		fprintf(out, "(class 0x%02x, flowlabel 0x%05x, hlim %u, ", f->tos, f->flow_label,
			f->ttl);
	fprintf(out, "%s %s (%u), length %u) ", f->ip_version == 4 ? "proto" : "next-header",
		proto ? proto : "unknown", f->proto, f->packet_bytes);
}

static void print_ip(FILE *out, const struct print_options *options, const struct facts *f)
{
	char src[PRINT_ADDRESS_BYTES], dst[PRINT_ADDRESS_BYTES];
	const char *proto = print_proto_name(f->proto);
	bool ports = f->transport == FACTS_TRANSPORT_TCP || f->transport == FACTS_TRANSPORT_UDP;

	fputs(f->ip_version == 4 ? "IP " : "IP6 ", out);
	if (options->verbose)
		print_ip_header(out, f);
	print_address(src, f->ip_version, f->src);
	print_address(dst, f->ip_version, f->dst);
	if (ports)
		fprintf(out, "%s.%u > %s.%u: ", src, f->src_port, dst, f->dst_port);
	else
		fprintf(out, "%s > %s: ", src, dst);
	if (f->fragment_offset || f->more_fragments)
		fprintf(out, "frag (%u:%u@%u%s) ", f->id, f->payload_wire_bytes, f->fragment_offset,
			f->more_fragments ? "+" : "");
	switch (f->transport) {
	case FACTS_TRANSPORT_TCP:
		print_tcp(out, options, f);
		break;
	case FACTS_TRANSPORT_UDP:
		print_udp(out, options, f);
		break;
	case FACTS_TRANSPORT_ICMP:
	case FACTS_TRANSPORT_ICMP6:
		print_icmp(out, f);
		break;
	case FACTS_TRANSPORT_NONE:
		if (proto)
			fprintf(out, "%s, length %u", proto, f->payload_wire_bytes);
		else
			fprintf(out, "ip-proto-%u, length %u", f->proto, f->payload_wire_bytes);
		break;
	}
}

static void print_link(FILE *out, const struct print_packet *packet, const struct facts *f)
{
	const char *name = print_ethertype_name(f->ethertype);
	unsigned int i;

	if (!f->has_ethernet) {
		fprintf(out, "linktype %u, length %u: ", packet->linktype, packet->wire_bytes);
		return;
	}
	print_mac(out, f->eth_src);
	fputs(" > ", out);
	print_mac(out, f->eth_dst);
	if (f->ethertype >= 1536)
		fprintf(out, ", ethertype %s (0x%04x)", name ? name : "Unknown", f->ethertype);
	else
		fprintf(out, ", 802.3");
	fprintf(out, ", length %u: ", packet->wire_bytes);
	for (i = 0; i < f->n_vlans; i++)
		fprintf(out, "vlan %u, p %u, ", f->vlan[i] & 0xfffu, f->vlan[i] >> 13);
}

/* IEEE 802.2; the SNAP header is RFC 1042's. */
static void print_llc(FILE *out, const struct facts *f)
{
	struct buf b = buf_from(f->payload, f->payload_bytes);
	unsigned int dsap = buf_get_u8(&b), ssap = buf_get_u8(&b), control = buf_get_u8(&b), oui;

	if (!buf_ok(&b)) {
		fprintf(out, "802.3, length %u [|llc]", f->ethertype);
		return;
	}
	if (dsap == 0xaa && ssap == 0xaa && control == 3 && buf_left(&b) >= 5) {
		oui = (unsigned int)buf_get_be16(&b) << 8;
		oui |= buf_get_u8(&b);
		fprintf(out, "SNAP, oui 0x%06x, pid 0x%04x", oui, buf_get_be16(&b));
	} else if (dsap == 0x42 && ssap == 0x42) {
		fputs("STP", out);
	} else {
		fprintf(out, "LLC, dsap 0x%02x, ssap 0x%02x, ctrl 0x%02x", dsap, ssap, control);
	}
	fprintf(out, ", length %u", f->ethertype);
}

static void print_other(FILE *out, const struct print_packet *packet, const struct facts *f)
{
	const char *name = print_ethertype_name(f->ethertype);

	if (name && f->ethertype >= 1536)
		fprintf(out, "%s, length %u", name, f->payload_wire_bytes);
	else if (f->ethertype >= 1536)
		fprintf(out, "ethertype 0x%04x, length %u", f->ethertype, f->payload_wire_bytes);
	else if (f->has_ethernet)
		print_llc(out, f);
	else
		fprintf(out, "linktype %u, length %u", packet->linktype, packet->wire_bytes);
}

static void print_summary(FILE *out, const struct print_options *options,
	const struct print_packet *packet, struct facts *f)
{
	struct facts inner;
	unsigned int i;

	for (i = 0; i < f->n_mpls; i++)
		fprintf(out, "MPLS (label %u, tc %u%s, ttl %u) ", f->mpls[i] >> 12,
			f->mpls[i] >> 9 & 7, f->mpls[i] & 0x100 ? ", [S]" : "", f->mpls[i] & 0xff);
	for (i = 0; i < PRINT_TUNNELS_MAX && facts_inner(f, &inner) && inner.ip_version; i++) {
		char src[PRINT_ADDRESS_BYTES], dst[PRINT_ADDRESS_BYTES];

		print_address(src, f->ip_version, f->src);
		print_address(dst, f->ip_version, f->dst);
		fprintf(out, "IP%s %s > %s: ", f->ip_version == 6 ? "6" : "", src, dst);
		*f = inner;
	}
	if (f->ip_version)
		print_ip(out, options, f);
	else if (f->ethertype == 0x0806 && !f->cut)
		print_arp(out, f);
	else
		print_other(out, packet, f);
	if (f->cut)
		fprintf(out, " [|%s]", f->cut);
}

void print_packet(FILE *out, const struct print_options *options, struct print_state *state,
	const struct print_packet *packet)
{
	uint32_t link_bytes = 0;
	struct facts f;

	facts_gather(packet->linktype, packet->data, packet->cap_bytes, packet->wire_bytes, &f);
	if (options->number)
		fprintf(out, "%5" PRIu64 "  ", packet->number);
	if (options->colour)
		fputs("\033[2m", out);
	print_time(out, options, state, packet->ts_ns);
	if (options->colour)
		fputs("\033[0m", out);
	if (options->link)
		print_link(out, packet, &f);
	if (f.has_ethernet && !options->bytes_link)
		link_bytes = 14 + 4 * f.n_vlans;
	print_summary(out, options, packet, &f);
	fputc('\n', out);
	print_bytes(out, options->bytes, packet->data + link_bytes, packet->cap_bytes - link_bytes);
}
