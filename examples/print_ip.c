/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Print packets as a line each: who sends what to whom. mapi_loop() calls print_IP_pkt() for every
 * packet that the functions before TO_BUFFER let pass.
 *
 *	print_ip -r FILE | -i DEVICE [-t SECONDS] [EXPRESSION [COUNT]]
 */
#include "source.h"

#include <arpa/inet.h>

#define ETHERNET_BYTES 14
#define TYPE_VLAN 0x8100
#define TYPE_IPV4 0x0800

static unsigned int number(const unsigned char *bytes)
{
	return bytes[0] * 256u + bytes[1];
}

static void print_IP_pkt(const struct mapipkt *pkt)
{
	const unsigned char *ip = &pkt->pkt + ETHERNET_BYTES, *ports;
	unsigned int n_bytes = pkt->caplen, type, header_bytes;
	char from[INET_ADDRSTRLEN], to[INET_ADDRSTRLEN];

	if (n_bytes < ETHERNET_BYTES + 4)
		return;
	n_bytes -= ETHERNET_BYTES;
	type = number(ip - 2);
	if (type == TYPE_VLAN) {
		type = number(ip + 2);
		ip += 4;
		n_bytes -= 4;
	}
	header_bytes = (ip[0] & 15) * 4;
	if (type != TYPE_IPV4 || n_bytes < 20 || header_bytes < 20) {
		printf("type %04x, %u bytes\n", type, pkt->wlen);
		return;
	}
	inet_ntop(AF_INET, ip + 12, from, sizeof(from));
	inet_ntop(AF_INET, ip + 16, to, sizeof(to));
	ports = ip + header_bytes;
	/* TCP and UDP have ports, but only in the first fragment. */
	if ((ip[9] == 6 || ip[9] == 17) && (number(ip + 6) & 0x1fff) == 0 &&
		n_bytes >= header_bytes + 4)
		printf("%s %s:%u -> %s:%u, ttl %d, %u bytes\n", ip[9] == 6 ? "TCP" : "UDP", from,
			number(ports), to, number(ports + 2), ip[8], pkt->wlen);
	else
		printf("protocol %d %s -> %s, ttl %d, %u bytes\n", ip[9], from, to, ip[8],
			pkt->wlen);
}

int main(int argc, char **argv)
{
	int i = source_options(argc, argv, "[EXPRESSION [COUNT]]"), fd, fid, r;
	int count = i + 1 < argc ? atoi(argv[i + 1]) : -1;

	fd = source_check(mapi_create_flow(source.device), source.device);
	if (i < argc)
		source_check(mapi_apply_function(fd, "BPF_FILTER", argv[i]), argv[i]);
	fid = source_check(mapi_apply_function(fd, "TO_BUFFER", WAIT), "TO_BUFFER");
	source_check(mapi_connect(fd), "mapi_connect");
	source_start(fd);
	r = mapi_loop(fd, fid, count, print_IP_pkt);
	if (!source.is_over) {
		source_check(r, "mapi_loop");
		mapi_close_flow(fd);
	}
	source_close();
	return EXIT_SUCCESS;
}
