/* SPDX-License-Identifier: BSD-2-Clause */
/* A packet as a JSON object (print.h): the facts of the innermost IP header. */
#include "print.h"

#include "json.h"
#include "text.h"

static void print_json_mac(struct json *j, const char *key, const uint8_t mac[6])
{
	char text[18];

	(void)snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		mac[3], mac[4], mac[5]);
	json_string(j, key, text);
}

static void print_json_link(struct json *j, const struct facts *f)
{
	unsigned int i;

	if (f->has_ethernet) {
		print_json_mac(j, "eth_src", f->eth_src);
		print_json_mac(j, "eth_dst", f->eth_dst);
	}
	if (f->ethertype)
		json_u64(j, "ethertype", f->ethertype);
	if (f->n_vlans) {
		json_array(j, "vlan");
		for (i = 0; i < f->n_vlans; i++)
			json_u64(j, NULL, f->vlan[i] & 0xfffu);
		json_end_array(j);
	}
	if (f->n_mpls) {
		json_array(j, "mpls");
		for (i = 0; i < f->n_mpls; i++)
			json_u64(j, NULL, f->mpls[i] >> 12);
		json_end_array(j);
	}
}

static void print_json_ip(struct json *j, const struct facts *f)
{
	const char *proto = print_proto_name(f->proto);
	char address[PRINT_ADDRESS_BYTES], flags[16];

	json_u64(j, "ip_version", f->ip_version);
	print_address(address, f->ip_version, f->src);
	json_string(j, "src", address);
	print_address(address, f->ip_version, f->dst);
	json_string(j, "dst", address);
	json_u64(j, "proto", f->proto);
	json_string(j, "proto_name", proto);
	json_u64(j, "ttl", f->ttl);
	if (f->fragment_offset || f->more_fragments)
		json_u64(j, "fragment_offset", f->fragment_offset);
	switch (f->transport) {
	case FACTS_TRANSPORT_TCP:
		print_tcp_flags(flags, f->tcp.flags);
		json_u64(j, "src_port", f->src_port);
		json_u64(j, "dst_port", f->dst_port);
		json_string(j, "tcp_flags", flags);
		json_u64(j, "seq", f->tcp.seq);
		json_u64(j, "ack", f->tcp.ack);
		json_u64(j, "window", f->tcp.window);
		break;
	case FACTS_TRANSPORT_UDP:
		json_u64(j, "src_port", f->src_port);
		json_u64(j, "dst_port", f->dst_port);
		break;
	case FACTS_TRANSPORT_ICMP:
	case FACTS_TRANSPORT_ICMP6:
		json_u64(j, "icmp_type", f->icmp_type);
		json_u64(j, "icmp_code", f->icmp_code);
		break;
	case FACTS_TRANSPORT_NONE:
		break;
	}
	json_u64(j, "payload_bytes", f->payload_wire_bytes);
}

void print_packet_json(FILE *out, const struct print_packet *packet)
{
	struct json j = JSON_TO(out);
	struct facts f, inner;
	char ts[TEXT_TIME_BYTES];
	unsigned int i;

	facts_gather(packet->linktype, packet->data, packet->cap_bytes, packet->wire_bytes, &f);
	text_rfc3339(ts, packet->ts_ns);
	json_object(&j, NULL);
	json_u64(&j, "number", packet->number);
	json_string(&j, "ts", ts);
	json_u64(&j, "linktype", packet->linktype);
	json_u64(&j, "caplen", packet->cap_bytes);
	json_u64(&j, "len", packet->wire_bytes);
	print_json_link(&j, &f);
	for (i = 0; i < 4 && facts_inner(&f, &inner) && inner.ip_version; i++)
		f = inner;
	if (f.ip_version)
		print_json_ip(&j, &f);
	json_string(&j, "cut", f.cut);
	json_end_object(&j);
	json_line(&j);
}
