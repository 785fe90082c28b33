/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Print packets as a line each: who sends what to whom. mapi_loop() calls print_IP_pkt() for every
 * packet that the functions before TO_BUFFER let pass.
 *
 *	print_ip FILE [EXPRESSION [COUNT]]
 */
#include <arpa/inet.h>
#include <mapi.h>
#include <stdio.h>
#include <stdlib.h>

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

static int fail(const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH];
	int code;

	mapi_read_error(&code, text);
	fprintf(stderr, "%s: error %d: %s\n", what, code, text);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	int fd, fid;

	if (argc < 2) {
		fprintf(stderr, "usage: %s FILE [EXPRESSION [COUNT]]\n", argv[0]);
		return 2;
	}
	fd = mapi_create_offline_flow(argv[1], MFF_PCAP);
	if (fd < 0)
		return fail(argv[1]);
	if (argc > 2 && mapi_apply_function(fd, "BPF_FILTER", argv[2]) < 0)
		return fail(argv[2]);
	fid = mapi_apply_function(fd, "TO_BUFFER", WAIT);
	if (fid < 0 || mapi_connect(fd) < 0)
		return fail("TO_BUFFER");
	if (mapi_loop(fd, fid, argc > 3 ? atoi(argv[3]) : -1, print_IP_pkt) < 0)
		return fail("mapi_loop");
	mapi_close_flow(fd);
	return EXIT_SUCCESS;
}
