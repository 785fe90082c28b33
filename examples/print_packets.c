/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Print time, length and first bytes of packets, by a callback.
 *
 *	print_packets -r FILE | -i DEVICE [-t SECONDS] [COUNT [EXPRESSION]]
 */
#include "source.h"

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

int main(int argc, char **argv)
{
	int i = source_options(argc, argv, "[COUNT [EXPRESSION]]"), fd, fid, r;
	int count = i < argc ? atoi(argv[i]) : -1;

	fd = source_check(mapi_create_flow(source.device), source.device);
	if (i + 1 < argc)
		source_check(mapi_apply_function(fd, "BPF_FILTER", argv[i + 1]), argv[i + 1]);
	fid = source_check(mapi_apply_function(fd, "TO_BUFFER", WAIT), "TO_BUFFER");
	source_check(mapi_connect(fd), "mapi_connect");
	source_start(fd);
	r = mapi_loop(fd, fid, count, print_packet);
	if (!source.is_over) {
		source_check(r, "mapi_loop");
		mapi_close_flow(fd);
	}
	source_close();
	return EXIT_SUCCESS;
}
