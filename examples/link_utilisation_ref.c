/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Utilisation of a link in the form of MAPI 1.x: mapi_read_results() with a third argument returns
 * the result itself, by MAPI_REF as a place that always holds the current value.
 *
 *	link_utilisation_ref FILE
 */
#include <mapi.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const volatile unsigned long long *in, *out;
	mapi_flow_info_t info;
	unsigned long long *copy;
	int in_fd, out_fd, in_fid, out_fid;

	if (argc != 2) {
		fprintf(stderr, "usage: %s FILE\n", argv[0]);
		return 2;
	}
	in_fd = mapi_create_offline_flow(argv[1], MFF_PCAP);
	out_fd = mapi_create_offline_flow(argv[1], MFF_PCAP);
	if (in_fd < 0 || out_fd < 0) {
		fprintf(stderr, "%s: could not create flows\n", argv[0]);
		return EXIT_FAILURE;
	}
	mapi_apply_function(in_fd, "BPF_FILTER", "tcp");
	in_fid = mapi_apply_function(in_fd, "BYTE_COUNTER");
	mapi_apply_function(out_fd, "BPF_FILTER", "udp");
	out_fid = mapi_apply_function(out_fd, "BYTE_COUNTER");
	if (mapi_connect(in_fd) < 0 || mapi_connect(out_fd) < 0) {
		fprintf(stderr, "%s: could not connect flows\n", argv[0]);
		return EXIT_FAILURE;
	}
	in = (unsigned long long *)mapi_read_results(in_fd, in_fid, MAPI_REF);
	out = (unsigned long long *)mapi_read_results(out_fd, out_fid, MAPI_REF);
	if (!in || !out)
		return EXIT_FAILURE;
	do {
		usleep(10000);
		printf("tcp %llu bytes, udp %llu bytes\n", *in, *out);
	} while (mapi_get_flow_info(out_fd, &info) == 0 && info.status == FLOW_ACTIVE);
	while (mapi_get_flow_info(in_fd, &info) == 0 && info.status == FLOW_ACTIVE)
		usleep(1000);
	copy = (unsigned long long *)mapi_read_results(in_fd, in_fid, MAPI_COPY);
	if (copy)
		printf("in the end: tcp %llu bytes\n", *copy);
	mapi_close_flow(in_fd);
	mapi_close_flow(out_fd);
	return EXIT_SUCCESS;
}
