/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Print time, length and first bytes of packets, by a callback.
 *
 *	print_packets FILE [COUNT [EXPRESSION]]
 */
#include <mapi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static int fd;
static volatile sig_atomic_t is_stopped;

static void terminate(int signo)
{
	(void)signo;
	is_stopped = 1;
	mapi_close_flow(fd);
}

static void print_packet(const struct mapipkt *pkt)
{
	/* 32.32 fixed point: seconds above, fraction below. It is rounded so that this is exact. */
	unsigned long long ns = ((pkt->ts & 0xffffffff) * 1000000000) >> 32;
	const unsigned char *byte = &pkt->pkt;
	unsigned int i;

	printf("%llu.%09llu %u/%u ", pkt->ts >> 32, ns, pkt->caplen, pkt->wlen);
	for (i = 0; i < pkt->caplen && i < 16; i++)
		printf("%02x", byte[i]);
	putchar('\n');
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
	int fid, count = argc > 2 ? atoi(argv[2]) : -1;

	if (argc < 2) {
		fprintf(stderr, "usage: %s FILE [COUNT [EXPRESSION]]\n", argv[0]);
		return 2;
	}
	signal(SIGINT, terminate);
	fd = mapi_create_offline_flow(argv[1], MFF_PCAP);
	if (fd < 0)
		return fail(argv[1]);
	if (argc > 3 && mapi_apply_function(fd, "BPF_FILTER", argv[3]) < 0)
		return fail(argv[3]);
	fid = mapi_apply_function(fd, "TO_BUFFER", WAIT);
	if (fid < 0 || mapi_connect(fd) < 0)
		return fail("TO_BUFFER");
	if (mapi_loop(fd, fid, count, print_packet) < 0 && !is_stopped)
		return fail("mapi_loop");
	mapi_close_flow(fd);
	return EXIT_SUCCESS;
}
