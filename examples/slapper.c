/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Look for a worm by what its packets contain, and print who sends it. The pattern here is one of
 * the Slapper worm's: an unusual request to a web server that speaks TLS.
 *
 *	slapper FILE [EXPRESSION [PATTERN]]
 *
 * The handler closes the flow and returns: mapi_get_next_pkt() then gives NULL.
 */
#include <mapi.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ETHERNET_BYTES 14
#define IPV4_BYTES 20

static int fd;
static volatile sig_atomic_t is_stopped;

static void terminate(int signo)
{
	(void)signo;
	is_stopped = 1;
	mapi_close_flow(fd);
}

static int fail(const char *what)
{
	char text[MAPI_ERRORSTR_LENGTH];
	int code;

	mapi_read_error(&code, text);
	fprintf(stderr, "%s: error %d: %s\n", what, code, text);
	return EXIT_FAILURE;
}

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
	const char *expression = argc > 2 ? argv[2] : "tcp dst port 443";
	const char *pattern =
		argc > 3 ? argv[3] : "|47 45 54 20 2f 20 48 54 54 50 2f 31 2e 31 0d 0a 0d 0a|";
	struct mapipkt *pkt;
	unsigned int n = 0;
	char text[MAPI_ERRORSTR_LENGTH];
	int fid, code;

	if (argc < 2) {
		fprintf(stderr, "usage: %s FILE [EXPRESSION [PATTERN]]\n", argv[0]);
		return 2;
	}
	signal(SIGINT, terminate);
	signal(SIGTERM, terminate);
	fd = mapi_create_offline_flow(argv[1], MFF_PCAP);
	if (fd < 0)
		return fail(argv[1]);
	if (mapi_apply_function(fd, "BPF_FILTER", expression) < 0)
		return fail(expression);
	if (mapi_apply_function(fd, "STR_SEARCH", pattern, 0, 0) < 0)
		return fail(pattern);
	fid = mapi_apply_function(fd, "TO_BUFFER", WAIT);
	if (fid < 0)
		return fail("TO_BUFFER");
	if (mapi_connect(fd) < 0)
		return fail("mapi_connect");
	while ((pkt = mapi_get_next_pkt(fd, fid))) {
		print_hosts(pkt);
		n++;
	}
	mapi_read_error(&code, text);
	printf("%u packets\n", n);
	if (code != 0 && !is_stopped)
		fprintf(stderr, "%s: error %d: %s\n", argv[1], code, text);
	if (!is_stopped)
		mapi_close_flow(fd);
	return EXIT_SUCCESS;
}
