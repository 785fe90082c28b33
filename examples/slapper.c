/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Look for a worm by what its packets contain, and print who sends it. The pattern here is one of
 * the Slapper worm's: an unusual request to a web server that speaks TLS.
 *
 *	slapper -r FILE | -i DEVICE [-t SECONDS] [EXPRESSION [PATTERN]]
 *
 * Whatever ends it, mapi_get_next_pkt() then gives NULL.
 */
#include "source.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define ETHERNET_BYTES 14
#define IPV4_BYTES 20

static void print_hosts(const struct mapipkt *pkt)
{
	const unsigned char *ip = &pkt->pkt + ETHERNET_BYTES;
	char from[INET_ADDRSTRLEN], to[INET_ADDRSTRLEN];

	if (pkt->caplen < ETHERNET_BYTES + IPV4_BYTES || ip[0] >> 4 != 4)
		return;
	inet_ntop(AF_INET, ip + 12, from, sizeof(from));
	inet_ntop(AF_INET, ip + 16, to, sizeof(to));
	printf("%s -> %s, %u bytes\n", from, to, pkt->wlen);
}

int main(int argc, char **argv)
{
	int i = source_options(argc, argv, "[EXPRESSION [PATTERN]]"), fd, fid, code;
	const char *expression = i < argc ? argv[i] : "tcp dst port 443";
	const char *pattern = i + 1 < argc
		? argv[i + 1]
		: "|47 45 54 20 2f 20 48 54 54 50 2f 31 2e 31 0d 0a 0d 0a|";
	char text[MAPI_ERRORSTR_LENGTH];
	struct mapipkt *pkt;
	unsigned int n = 0;

	fd = source_check(mapi_create_flow(source.device), source.device);
	source_check(mapi_apply_function(fd, "BPF_FILTER", expression), expression);
	source_check(mapi_apply_function(fd, "STR_SEARCH", pattern, 0, 0), pattern);
	fid = source_check(mapi_apply_function(fd, "TO_BUFFER", WAIT), "TO_BUFFER");
	source_check(mapi_connect(fd), "mapi_connect");
	source_start(fd);
	while ((pkt = mapi_get_next_pkt(fd, fid))) {
		print_hosts(pkt);
		n++;
	}
	mapi_read_error(&code, text);
	printf("%u packets\n", n);
	if (!source.is_over) {
		if (code != 0)
			fprintf(stderr, "%s: error %d: %s\n", source.device, code, text);
		mapi_close_flow(fd);
	}
	source_close();
	return EXIT_SUCCESS;
}
